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
    effects,
    einsum,
    elementary,
    emath,
    fft,
    foreign,
    indexing,
    joining,
    linalg,
    logic,
    makers,
    manipulation,
    math,
    matmul,
    missing,
    norms,
    padding,
    polynomials,
    products,
    quantiles,
    ranges,
    reductions,
    replacing,
    selecting,
    sets,
    sorting,
    statistics,
    ufunc_methods,
    ufuncs,
    unsupported,
    writing,
)
from npdiff.dispatch.declare import rows

capture.capture_rows()

__all__ = ["rows"]
