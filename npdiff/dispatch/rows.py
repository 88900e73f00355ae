"""Imports every chapter, so that all rows are entered."""

from npdiff.dispatch import (  # noqa: F401
    arranging,
    capture,
    complex,
    counting,
    creation,
    cumulative,
    decompositions,
    describing,
    diagonals,
    einsum,
    elementary,
    fft,
    indexing,
    joining,
    linalg,
    logic,
    manipulation,
    math,
    matmul,
    missing,
    norms,
    padding,
    products,
    quantiles,
    ranges,
    reductions,
    selecting,
    sets,
    sorting,
    statistics,
    ufuncs,
    writing,
)
from npdiff.dispatch.declare import rows

__all__ = ["rows"]
