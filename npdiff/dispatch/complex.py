"""Real and imaginary parts, which are views in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.array import is_scalar, view_of
from npdiff.avals import python_type
from npdiff.core import Handle, Primitive, aval, bind
from npdiff.dispatch.declare import composite, function, operand, point
from npdiff.dispatch.rules import linear_primitive


def _batch(prim_of: Any) -> Any:
    return lambda _size, args, _batched, params: prim_of().call(*args, **params)


real_p: Primitive = linear_primitive("real", None, lambda ct, a: ct, impl=np.real, kind="elementwise",
                          batch=_batch(lambda: real_p))
imag_p: Primitive = linear_primitive("imag", None, lambda ct, a: np.multiply(ct, -1j), impl=np.imag, kind="elementwise",
                          batch=_batch(lambda: imag_p))


@function(np.real, "linear", real_p, cases=("C(2, 3)", "A(3)", "C()", "I(3)"))
def real(val: Any) -> Any:
    val = operand(val)
    if isinstance(val, Handle) and aval(val).weak and aval(val).dtype.kind == "b":
        number: Any = val
        return +number  # as Python has it, an int
    if not isinstance(val, Handle) or aval(val).dtype.kind != "c":
        return val if isinstance(val, Handle) else np.real(val)
    return view_of(val, lambda base: bind(real_p, (base,), {}),
                   lambda base, new: np.add(new, np.multiply(np.imag(base), 1j)))


@function(np.imag, "linear", imag_p, cases=("C(2, 3)", "A(3)", "C()", "I(3)"))
def imag(val: Any) -> Any:
    val = operand(val)
    if not isinstance(val, Handle):
        return np.imag(val)
    if aval(val).dtype.kind != "c":
        v = aval(val)
        nothing: Any = python_type(v.dtype)(0).imag if v.weak else v.dtype.type(0)
        return nothing if is_scalar(val) else view_of(val, np.zeros_like, None)
    return view_of(val, lambda base: bind(imag_p, (base,), {}),
                   lambda base, new: np.add(np.real(base), np.multiply(new, 1j)))


@composite(np.angle, cases=("C(2, 3)", "A(3)", "C(3), deg=True", "C()[()]", "I(3, low=-1)"), points=(
    point("0 at the origin", "f(x)", 0j, 0, 0), point("0 along the real axis", "f(x)", [0.0, -1.0], 0, 0)))
def angle(z: Any, deg: Any = False) -> Any:
    z = operand(z)
    out = np.arctan2(np.imag(z) if aval(z).dtype.kind == "c" else 0, np.real(z))
    return np.degrees(out) if deg else out
