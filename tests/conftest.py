"""Checks that run around every test, in a cache folder of the tests' own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from surroundings import clean_surroundings

# Before npdiff compiles anything, and seen by the processes that tests start.
_FOLDER = tempfile.mkdtemp(prefix="npdiff-tests-")
os.environ["NPDIFF_CACHE_DIR"] = _FOLDER


def pytest_unconfigure() -> None:
    """Remove what this run compiled."""
    shutil.rmtree(_FOLDER, ignore_errors=True)


@pytest.fixture(autouse=True)
def _surroundings() -> Iterator[None]:
    with clean_surroundings():
        yield
