"""Imports every chapter, so that all rows are entered."""

from npdiff.dispatch import (  # noqa: F401
    arranging,
    capture,
    complex,
    creation,
    cumulative,
    decompositions,
    describing,
    diagonals,
    einsum,
    indexing,
    joining,
    linalg,
    manipulation,
    math,
    matmul,
    memory,
    norms,
    padding,
    products,
    ranges,
    reductions,
    selecting,
    sets,
    sorting,
    ufuncs,
    writing,
)
from npdiff.dispatch.declare import rows

__all__ = ["rows"]
