"""Imports every chapter, so that all rows are entered."""

from npdiff.dispatch import (  # noqa: F401
    capture,
    complex,
    creation,
    cumulative,
    decompositions,
    einsum,
    indexing,
    linalg,
    manipulation,
    math,
    matmul,
    norms,
    products,
    reductions,
    sets,
    sorting,
    ufuncs,
)
from npdiff.dispatch.declare import rows

__all__ = ["rows"]
