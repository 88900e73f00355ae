"""The packages that compile for CUDA, imported when they are first needed."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from functools import lru_cache
from typing import Any

import numpy as np

from npdiff.errors import BackendError, message

INSTALL = "python -m pip install 'npdiff[cuda12]' or 'npdiff[cuda13]', whichever the driver's CUDA is"
# Names that numba-cuda (up to 0.30) still looks up in NumPy, which has dropped them in 2.5.
_GONE = {"row_stack": "vstack"}


@lru_cache(maxsize=1)
def simulating() -> bool:
    """Whether Numba runs CUDA kernels in its simulator."""
    return bool(importlib.import_module("numba").config.ENABLE_CUDASIM)


@lru_cache(maxsize=1)
def numba_cuda() -> Any:
    """The module numba.cuda, with all it compiles.

    Raises
    ------
    BackendError
        If the package numba-cuda is not installed.
    """
    if importlib.util.find_spec("numba_cuda") is None:
        raise BackendError(message("kernels for CUDA need the package numba-cuda, which is not installed",
                                   instead=INSTALL))
    space = vars(np)
    lent = [name for name in _GONE if name not in space]
    with warnings.catch_warnings():
        # It says of numba-cuda's own code what NumPy 2.5 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        space.update({name: space[_GONE[name]] for name in lent})
        try:
            cuda = importlib.import_module("numba.cuda")
            if not simulating():
                importlib.import_module("numba.cuda.np.arrayobj")
        finally:
            for name in lent:
                del space[name]
    return cuda


def part(name: str) -> Any:
    """A module of numba.cuda."""
    numba_cuda()
    return importlib.import_module(f"numba.cuda.{name}")


def core() -> Any:
    """The module cuda.core, which links, loads and launches."""
    return importlib.import_module("cuda.core")


def missing() -> str:
    """What compiling for CUDA lacks here, in words for the user; nothing if it is complete."""
    if importlib.util.find_spec("numba_cuda") is None:
        return "the package numba-cuda is not installed"
    find = importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib
    for library in ("nvvm", "nvrtc"):
        try:
            find(library)
        except RuntimeError:
            return f"the library {library} of NVIDIA's compiler is not found"
    return ""
