"""Checks that run around every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from surroundings import clean_surroundings


@pytest.fixture(autouse=True)
def _surroundings() -> Iterator[None]:
    with clean_surroundings():
        yield
