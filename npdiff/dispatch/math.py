"""Ufuncs that have derivatives: one line each, the partials given the output and the operands.

Formulas: Abramowitz and Stegun, Handbook of Mathematical Functions, chapters 4 and 7; NIST DLMF.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.core import aval
from npdiff.dispatch.declare import (
    elementwise,
    elementwise_jvp,
    first,
    nondifferentiable_ufunc,
    second,
    strong_multiply,
)

REAL = "real"
POSITIVE = "positive"
UNIT = "unit"  # inside (-1, 1)
ABOVE_ONE = "above one"
NONZERO = "nonzero"
DISTINCT = "distinct"  # two operands without ties


def _is_complex(a: Any) -> bool:
    return aval(a).dtype.kind == "c"


# ---------------------------------------------------------------------- arithmetic

elementwise(np.add, 1, 1, python=operator.add, domain=(REAL, REAL))
elementwise(np.subtract, 1, -1, python=operator.sub, domain=(REAL, REAL))
elementwise(np.multiply, second, first, python=operator.mul, domain=(REAL, REAL))
elementwise(np.divide, lambda _y, _a, b: np.divide(1, b), lambda y, _a, b: np.negative(np.divide(y, b)),
            strong=True, python=operator.truediv, domain=(REAL, NONZERO))
elementwise(np.negative, -1, python=operator.neg, domain=(REAL,))
elementwise(np.positive, 1, python=operator.pos, domain=(REAL,))
elementwise(np.reciprocal, lambda y, _a: np.negative(np.multiply(y, y)), strong=True, domain=(NONZERO,))
elementwise(np.remainder, 1, lambda _y, a, b: np.negative(np.floor_divide(a, b)), python=operator.mod,
            domain=(REAL, POSITIVE))
elementwise(np.fmod, 1, lambda _y, a, b: np.negative(np.trunc(np.divide(a, b))), domain=(REAL, POSITIVE))


def _power_base(_y: Any, a: Any, b: Any) -> Any:
    # b * a ** (b - 1), without 0 * inf where b is zero
    if type(b) in (int, float) and b in (1, 2, 3):  # by far the most common, and much faster as products
        return 1 if b == 1 else np.multiply(2, a) if b == 2 else np.multiply(3, np.multiply(a, a))
    return np.multiply(b, np.power(a, np.where(np.equal(b, 0), 1, np.subtract(b, 1))))


def _power_exponent(y: Any, a: Any, _b: Any) -> Any:
    # y * log(a); the limit is 0 at a = 0, where y is 0
    safe = np.where(np.equal(a, 0), 1, a)
    return np.multiply(y, np.log(safe))


elementwise(np.power, _power_base, _power_exponent, strong=True, python=operator.pow, domain=(POSITIVE, REAL),
            notes="at base 0 the derivative along the exponent is 0")
elementwise(np.float_power, _power_base, _power_exponent, strong=True, domain=(POSITIVE, REAL))
elementwise(np.square, lambda _y, a: np.multiply(2, a), domain=(REAL,))
elementwise(np.sqrt, lambda y, _a: np.divide(0.5, y), strong=True, domain=(POSITIVE,))
elementwise(np.cbrt, lambda y, _a: np.divide(1, np.multiply(3, np.multiply(y, y))), strong=True, domain=(POSITIVE,))

# ---------------------------------------------------------------------- exponentials and logarithms

elementwise(np.exp, lambda y, _a: y, domain=(REAL,))
elementwise(np.exp2, lambda y, _a: np.multiply(y, np.log(2)), domain=(REAL,))
elementwise(np.expm1, lambda y, _a: np.add(y, 1), domain=(REAL,))
elementwise(np.log, lambda _y, a: np.divide(1, a), strong=True, domain=(POSITIVE,))
elementwise(np.log2, lambda _y, a: np.divide(1 / np.log(2), a), strong=True, domain=(POSITIVE,))
elementwise(np.log10, lambda _y, a: np.divide(1 / np.log(10), a), strong=True, domain=(POSITIVE,))
elementwise(np.log1p, lambda _y, a: np.divide(1, np.add(1, a)), strong=True, domain=(POSITIVE,))


def _share(y: Any, a: Any, exp: Any) -> Any:
    # exp(a - y), which is 0 where both operands of logaddexp are -inf
    gap = np.subtract(a, y)
    return np.where(np.isnan(gap), 0, exp(gap))


elementwise(np.logaddexp, lambda y, a, _b: _share(y, a, np.exp), lambda y, _a, b: _share(y, b, np.exp), strong=True,
            domain=(REAL, REAL))
elementwise(np.logaddexp2, lambda y, a, _b: _share(y, a, np.exp2), lambda y, _a, b: _share(y, b, np.exp2), strong=True,
            domain=(REAL, REAL))

# ---------------------------------------------------------------------- trigonometric and hyperbolic functions

elementwise(np.sin, lambda _y, a: np.cos(a), domain=(REAL,))
elementwise(np.cos, lambda _y, a: np.negative(np.sin(a)), domain=(REAL,))
elementwise(np.tan, lambda y, _a: np.add(1, np.multiply(y, y)), domain=(UNIT,))
elementwise(np.arcsin, lambda _y, a: np.divide(1, np.sqrt(np.subtract(1, np.multiply(a, a)))), strong=True,
            domain=(UNIT,))
elementwise(np.arccos, lambda _y, a: np.divide(-1, np.sqrt(np.subtract(1, np.multiply(a, a)))), strong=True,
            domain=(UNIT,))
elementwise(np.arctan, lambda _y, a: np.divide(1, np.add(1, np.multiply(a, a))), domain=(REAL,))


def _over_norm(numerator: Any, a: Any, b: Any) -> Any:
    # numerator / (a^2 + b^2), and 0 at the origin, where the angle has no derivative
    square = np.add(np.multiply(a, a), np.multiply(b, b))
    zero = np.equal(square, 0)
    return np.where(zero, 0, np.divide(numerator, np.where(zero, 1, square)))


elementwise(np.arctan2, lambda _y, a, b: _over_norm(b, a, b), lambda _y, a, b: np.negative(_over_norm(a, a, b)),
            domain=(REAL, NONZERO), notes="0 at the origin")


def _hypot_share(y: Any, a: Any) -> Any:
    return np.divide(a, np.where(np.equal(y, 0), 1, y))


elementwise(np.hypot, lambda y, a, _b: _hypot_share(y, a), lambda y, _a, b: _hypot_share(y, b),
            domain=(NONZERO, NONZERO), notes="0 at the origin")
elementwise(np.sinh, lambda _y, a: np.cosh(a), domain=(REAL,))
elementwise(np.cosh, lambda _y, a: np.sinh(a), domain=(REAL,))
elementwise(np.tanh, lambda y, _a: np.subtract(1, np.multiply(y, y)), domain=(REAL,))
elementwise(np.arcsinh, lambda _y, a: np.divide(1, np.sqrt(np.add(np.multiply(a, a), 1))), domain=(REAL,))
elementwise(np.arccosh, lambda _y, a: np.divide(1, np.multiply(np.sqrt(np.subtract(a, 1)), np.sqrt(np.add(a, 1)))),
            strong=True, domain=(ABOVE_ONE,))
elementwise(np.arctanh, lambda _y, a: np.divide(1, np.subtract(1, np.multiply(a, a))), strong=True, domain=(UNIT,))
elementwise(np.deg2rad, np.pi / 180, domain=(REAL,))
elementwise(np.radians, np.pi / 180, domain=(REAL,))
elementwise(np.rad2deg, 180 / np.pi, domain=(REAL,))
elementwise(np.degrees, 180 / np.pi, domain=(REAL,))

# ---------------------------------------------------------------------- choosing the larger or smaller


def _wins(y: Any, a: Any, b: Any) -> Any:
    """1 where `a` was chosen, 0 where `b` was, 1/2 on ties; the NaN is chosen where NumPy propagates one."""
    chose_a = np.logical_or(np.equal(a, y), np.isnan(a))
    chose_b = np.logical_or(np.equal(b, y), np.isnan(b))
    return np.where(chose_a, np.where(chose_b, 0.5, 1.0), 0.0)


def _wins_ignoring_nan(y: Any, a: Any, b: Any) -> Any:
    chose_a, chose_b = np.equal(a, y), np.equal(b, y)
    return np.where(chose_a, np.where(chose_b, 0.5, 1.0), 0.0)


for _ufunc in (np.maximum, np.minimum):
    elementwise(_ufunc, _wins, lambda y, a, b: _wins(y, b, a), domain=(DISTINCT, DISTINCT), notes="ties share equally")
for _quiet in (np.fmax, np.fmin):
    elementwise(_quiet, _wins_ignoring_nan, lambda y, a, b: _wins_ignoring_nan(y, b, a), domain=(DISTINCT, DISTINCT),
                notes="ties share equally")

# ---------------------------------------------------------------------- signs, complex parts, floating-point parts


def _absolute_jvp(y: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    (a,), (t,) = primals, tangents
    if not _is_complex(a):
        return None if t is None else np.multiply(t, np.sign(a))
    if t is None:
        return None
    direction = np.divide(a, np.where(np.equal(y, 0), 1, y))
    return np.add(np.multiply(np.real(direction), np.real(t)), np.multiply(np.imag(direction), np.imag(t)))


def _sign_jvp(y: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    (a,), (t,) = primals, tangents
    if t is None or not _is_complex(a):
        return None
    # d(a/|a|) = (t - y Re(conj(y) t)) / |a|
    size = np.absolute(a)
    along = np.real(np.multiply(np.conjugate(y), t))
    return strong_multiply(np.subtract(t, np.multiply(y, along)), np.divide(1, np.where(np.equal(size, 0), 1, size)))


def _conjugate_jvp(_y: Any, _primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    (t,) = tangents
    return None if t is None else np.conjugate(t)


elementwise_jvp(np.absolute, _absolute_jvp, python=operator.abs, domain=(NONZERO,), notes="0 at 0")
elementwise(np.fabs, lambda _y, a: np.sign(a), domain=(NONZERO,), notes="0 at 0")
elementwise_jvp(np.sign, _sign_jvp, domain=(NONZERO,), notes="0 at 0")
elementwise_jvp(np.conjugate, _conjugate_jvp, pull=lambda ct, _out, _args, _needed, _params: (np.conjugate(ct),),
                python=operator.methodcaller("conjugate"), domain=(REAL,))
elementwise(np.copysign, lambda _y, a, b: np.multiply(np.copysign(1.0, a), np.copysign(1.0, b)), None,
            domain=(NONZERO, NONZERO))
elementwise(np.heaviside, None, lambda _y, a, _b: np.equal(a, 0), domain=(NONZERO, REAL))
elementwise(np.nextafter, 1, None, domain=(REAL, REAL), notes="moves by one unit in the last place: derivative 1")
elementwise(np.ldexp, lambda _y, _a, b: np.ldexp(1.0, b), None, domain=(REAL, "small integer"))

nondifferentiable_ufunc(
    np.floor, np.ceil, np.trunc, np.rint, np.signbit, np.spacing, np.isfinite, np.isinf, np.isnan,
    np.isnat, np.gcd, np.lcm, np.bitwise_count,
    np.logical_and, np.logical_or, np.logical_xor, np.logical_not,
)
nondifferentiable_ufunc(np.equal, python=operator.eq)
nondifferentiable_ufunc(np.not_equal, python=operator.ne)
nondifferentiable_ufunc(np.less, python=operator.lt)
nondifferentiable_ufunc(np.less_equal, python=operator.le)
nondifferentiable_ufunc(np.greater, python=operator.gt)
nondifferentiable_ufunc(np.greater_equal, python=operator.ge)
nondifferentiable_ufunc(np.floor_divide, python=operator.floordiv)
nondifferentiable_ufunc(np.bitwise_and, python=operator.and_)
nondifferentiable_ufunc(np.bitwise_or, python=operator.or_)
nondifferentiable_ufunc(np.bitwise_xor, python=operator.xor)
nondifferentiable_ufunc(np.invert, python=operator.invert)
nondifferentiable_ufunc(np.left_shift, python=operator.lshift)
nondifferentiable_ufunc(np.right_shift, python=operator.rshift)
