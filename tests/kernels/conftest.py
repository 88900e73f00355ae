"""Helpers of the kernel tests are importable whichever folder pytest starts in."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))


@pytest.fixture(autouse=True)
def _quiet():
    """Host calls warn as NumPy does; the tests feed them zeros and infinities on purpose."""
    with np.errstate(all="ignore"):
        yield
