"""Arrays with special values replaced: nan_to_num, real_if_close."""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.array import is_scalar
from npdiff.core import aval
from npdiff.dispatch.declare import composite, operand, point
from npdiff.dispatch.manipulation import strong
from npdiff.dispatch.operands import anywhere, phantom
from npdiff.dispatch.storing import stored


def _finite(x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
    limits = np.finfo(aval(x).dtype)
    for found, value, default in ((np.isnan(x), nan, 0.0), (np.equal(x, np.inf), posinf, limits.max),
                                  (np.equal(x, -np.inf), neginf, limits.min)):
        new = operand(default if value is None else value)
        if not aval(new).weak:
            np.copyto(np.zeros(aval(x).shape, aval(x).dtype), phantom(new))  # NumPy's own errors
        x = np.where(found, stored(new, aval(x).dtype), x)
    return x


@composite(np.nan_to_num, points=(
    point("0 at a value that is replaced", "f(x)", [np.nan, np.inf, -np.inf, 1.0], [0, 0, 0, 1], 0),), cases=(
    "A(3)", "A(2, 3) * np.array([np.nan, 1, 1])",
    "np.array([np.nan, np.inf, -np.inf, 1.0]) + A(4), nan=1.0, posinf=3.0",
    "C(3) * np.array([1, np.nan, 1])", "A(), copy=True", "A(3), True, 0.5, 2.0, -2.0"))
def nan_to_num(x: Any, copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    x = strong(operand(x))
    kind = aval(x).dtype.kind
    if kind == "c":
        new = np.add(_finite(np.real(x), nan, posinf, neginf),
                     np.multiply(_finite(np.imag(x), nan, posinf, neginf), 1j))
    elif kind == "f":
        new = _finite(x, nan, posinf, neginf)
    else:
        new = np.copy(x) if copy else x
    if copy or kind not in "fc":
        return new if aval(new).ndim else new[()]
    if is_scalar(x):
        np.nan_to_num(phantom(x)[()], copy=False)  # NumPy's own error
    x[...] = new
    return x if aval(x).ndim else x[()]


@composite(np.real_if_close, notes="whether the imaginary part vanishes is asked of the values", cases=(
    "A(3)", "C(3)", "C(2), 1e18"))
def real_if_close(a: Any, tol: Any = 100) -> Any:
    a = operand(a)
    if aval(a).dtype.kind != "c":
        return a
    bound = np.finfo(aval(a).dtype).eps * tol if tol > 1 else tol
    return a if anywhere(np.greater_equal(np.abs(np.imag(a)), bound)) else np.real(a)
