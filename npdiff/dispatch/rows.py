"""Imports every chapter, so that all rows are entered."""

from npdiff.dispatch import (  # noqa: F401
    arranging,
    capture,
    complex,
    creation,
    describing,
    diagonals,
    indexing,
    joining,
    linalg,
    manipulation,
    math,
    memory,
    padding,
    ranges,
    reductions,
    selecting,
    ufuncs,
    writing,
)
from npdiff.dispatch.declare import rows

__all__ = ["rows"]
