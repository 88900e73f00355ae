"""Helpers of the backend tests are importable whichever folder pytest starts in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """NumPy's calls warn where jax does not; the sample calls reach zeros and infinities on purpose."""
    with np.errstate(all="ignore"):
        yield
