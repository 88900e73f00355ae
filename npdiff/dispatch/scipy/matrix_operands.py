"""What scipy.linalg's rows ask of their operands: single matrices, finite where that is to be looked at."""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.core import aval, unsupported
from npdiff.dispatch.declare import operand
from npdiff.dispatch.operands import anywhere


def matrix(a: Any, check_finite: Any, ndims: tuple[int, ...] = (2,)) -> Any:
    """An operand of the right number of axes, finite if that is asked."""
    a = operand(a)
    if aval(a).ndim not in ndims:
        raise unsupported("scipy.linalg", "is recorded for single matrices, not for stacks", a,
                          instead="use np.linalg, or npdiff.vmap over the stack")
    if check_finite and anywhere(np.logical_not(np.isfinite(a))):
        raise ValueError("array must not contain infs or NaNs")
    return a if aval(a).dtype.kind in "fc" else np.multiply(1.0, a)


def only(name: str, *args: Any, **options: bool) -> None:
    """Raise if an option was chosen that is not recorded."""
    for option, chosen in options.items():
        if chosen:
            raise unsupported(f"scipy.linalg.{name}", f"is not recorded with {option}", *args,
                              instead="leave it out, or give the function a rule with npdiff.custom_jvp")


def columns(b: Any) -> tuple[Any, bool]:
    """The right-hand side as a matrix, and whether it was a vector."""
    vector = aval(b).ndim == 1
    return (np.expand_dims(b, -1) if vector else b), vector


__all__ = ["columns", "matrix", "only"]
