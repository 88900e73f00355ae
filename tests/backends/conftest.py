"""Helpers of the backend tests are importable whichever folder pytest starts in."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from npdiff.kernels import cuda

sys.path.insert(0, os.path.dirname(__file__))

# Numba reads this when it is imported. test_cuda.py starts a session of its own with it; on a card it is not set.
if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    import cupy_standin

    cupy_standin.install()
    # Every thread of the simulator is one of Python's: small blocks.
    small = cuda.Config(block=32, threads=64, blocks=2, run=8)
    for name in ("compiled", "along", "added"):
        setattr(cuda, name, functools.partial(getattr(cuda, name), config=small))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """NumPy's calls warn where jax does not; the sample calls reach zeros and infinities on purpose."""
    with np.errstate(all="ignore"):
        yield
