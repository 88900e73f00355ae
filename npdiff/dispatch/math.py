"""Ufuncs that have derivatives: one line each, the partials given the output and the operands.

Formulas: Abramowitz and Stegun, Handbook of Mathematical Functions, chapters 4 and 7; NIST DLMF.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.core import aval
from npdiff.dispatch.declare import elementwise, elementwise_jvp, nondifferentiable_ufunc, point
from npdiff.dispatch.rules import first, second, strong_multiply, strong_product

REAL = "real"
POSITIVE = "positive"
UNIT = "unit"  # inside (-1, 1)
ABOVE_ONE = "above one"
NONZERO = "nonzero"
DISTINCT = "distinct"  # two operands without ties


_UNTAKEN = "a branch that is not taken passes nothing"
_EDGE = "infinite at the edge of the domain"
_TIES = "ties share equally"
_JUMP = "0 everywhere, at the jumps too"
_ORIGIN = "0 at the origin"
_AT_ZERO = "0 at 0"
_ABSORBED = "a slope of zero takes up an infinite one before it"


def _is_complex(a: Any) -> bool:
    return aval(a).dtype.kind == "c"


# ---------------------------------------------------------------------- arithmetic

elementwise(np.add, 1, 1, python=operator.add, domain=(REAL, REAL))
elementwise(np.subtract, 1, -1, python=operator.sub, domain=(REAL, REAL))
elementwise(np.multiply, second, first, python=operator.mul, domain=(REAL, REAL),
            points=(point(_UNTAKEN, "np.where(x == 0, 0, f(x, np.log(x)))", [0.0, 1.0], [0, 1], [0, 1]),
                    point(_ABSORBED, "f(x, np.log(x))", 0.0, -np.inf)))
elementwise(np.divide, lambda _y, _a, b: np.divide(1, b), lambda y, _a, b: np.negative(np.divide(y, b)),
            python=operator.truediv, domain=(REAL, NONZERO),
            points=(point(_UNTAKEN, "np.where(x != 0, f(1, x), 0)", [0.0, 2.0], [0, -0.25], [0, 0.25]),))
elementwise(np.negative, -1, python=operator.neg, domain=(REAL,))
elementwise(np.positive, 1, python=operator.pos, domain=(REAL,))
elementwise(np.reciprocal, lambda y, _a: np.negative(np.multiply(y, y)), domain=(NONZERO,), points=(
    point("infinite at 0", "f(x)", 0.0, -np.inf, np.inf),
    point(_UNTAKEN, "np.where(x != 0, f(x), 0)", [0.0, 2.0], [0, -0.25], [0, 0.25])))
elementwise(np.remainder, 1, lambda _y, a, b: np.negative(np.floor_divide(a, b)), python=operator.mod,
            domain=(REAL, POSITIVE), points=(
                point("at a jump as beside it", "f(x, 1.0)", [0.0, 1.0, 0.5], 1, 0),
                point("at a jump as beside it, by the quotient rounded down", "f(2.0, x)", [1.0, 2.0], [-2, -1], 0)))
elementwise(np.fmod, 1, lambda _y, a, b: np.negative(np.trunc(np.divide(a, b))), domain=(REAL, POSITIVE),
            points=(point("at a jump as beside it", "f(x, 1.0)", [0.0, 1.0, 0.5], 1, 0),))


def _floating(a: Any) -> Any:
    """Small integers as floats: their squares overflow, and NumPy gives their logarithms in half precision."""
    return a if aval(a).dtype.kind in "fc" else np.multiply(a, 1.0)


def _power_base(_y: Any, a: Any, b: Any) -> Any:
    # b * a ** (b - 1), without 0 * inf where both are zero
    if type(b) in (int, float):  # by far the most common, and the smallest powers are much faster as products
        if b in (1, 2, 3):
            return 1 if b == 1 else np.multiply(2, a) if b == 2 else np.multiply(3, np.multiply(a, a))
        return np.multiply(b, np.power(a, b - 1 if b else 1))
    # Elsewhere the exponent must stay b - 1 where b is zero: the derivative along b reads it.
    return np.multiply(b, np.power(a, np.where(np.logical_and(np.equal(a, 0), np.equal(b, 0)), 1, np.subtract(b, 1))))


def _power_exponent(y: Any, a: Any, _b: Any) -> Any:
    # y * log(a), and 0 at a = 0: the limit for positive exponents
    zero = np.equal(a, 0)
    return np.multiply(np.where(zero, 0, y), np.log(np.where(zero, 1, _floating(a))))


_POWER = (
    *[point("integer powers are smooth at 0, the zeroth too", f"f(x, {n})", 0.0, *slopes)
      for n, slopes in ((0, (0, 0, 0)), (1, (1, 0, 0)), (2, (0, 2, 0)), (3, (0, 0, 6)))],
    point("the same with exponents in an array", "f(x, np.array([0.0, 1.0, 2.0, 3.0]))", [0.0] * 4, [0, 1, 0, 0],
          [0, 0, 2, 0]),
    point("a root is infinite at 0", "f(x, 0.5)", 0.0, np.inf, -np.inf),
    point("at base 0 the derivative along the exponent is 0", "f(0.0, x)", [0.0, 1.0, 2.0, -1.0], 0, 0),
    point("a negative base has no real powers beside the integer ones: NaN along the exponent", "f(-1.0, x)", 2.0,
          np.nan),
    point(_UNTAKEN, "np.where(x > 0, f(x, 0.5), 0)", [0.0, 4.0], [0, 0.25], [0, -0.03125]),
)
elementwise(np.power, _power_base, _power_exponent, python=operator.pow, domain=(POSITIVE, REAL), points=_POWER,
            # NumPy refuses integers to negative integer powers.
            total=lambda eq, fixed: fixed[1] or eq.outputs[0].aval.dtype.kind != "i")
elementwise(np.float_power, _power_base, _power_exponent, domain=(POSITIVE, REAL), points=_POWER)
elementwise(np.square, lambda _y, a: np.multiply(2, a), domain=(REAL,),
            points=(point(_ABSORBED, "f(np.sqrt(x))", 0.0, 0),))
elementwise(np.sqrt, lambda y, _a: np.divide(0.5, y), domain=(POSITIVE,), points=(
    point(_EDGE, "f(x)", 0.0, np.inf, -np.inf),
    point(_UNTAKEN, "np.where(x > 0, f(x), 0)", [0.0, -1.0, 4.0], [0, 0, 0.25], [0, 0, -0.03125])))
elementwise(np.cbrt, lambda y, _a: np.divide(1, np.multiply(3, np.multiply(y, y))), domain=(POSITIVE,), points=(
    point("infinite at 0", "f(x)", 0.0, np.inf),
    point(_UNTAKEN, "np.where(x == 0, 0, f(x))", [0.0, 8.0], [0, 1 / 12], [0, -1 / 144])))

# ---------------------------------------------------------------------- exponentials and logarithms

elementwise(np.exp, lambda y, _a: y, domain=(REAL,), points=(
    point(_UNTAKEN, "np.where(x < 100, f(x), 0)", [0.0, 1000.0], [1, 0], [1, 0]),))
elementwise(np.exp2, lambda y, _a: np.multiply(y, np.log(2)), domain=(REAL,))
elementwise(np.expm1, lambda y, _a: np.add(y, 1), domain=(REAL,))
elementwise(np.log, lambda _y, a: np.divide(1, a), domain=(POSITIVE,), points=(
    point(_EDGE, "f(x)", 0.0, np.inf, -np.inf),
    point("what is not read passes nothing", "f(x)[1:]", [0.0, 1.0], [0, 1], [0, -1]),
    point(_UNTAKEN, "np.where(x > 0, f(x), 0)", [0.0, 1.0], [0, 1], [0, -1])))
elementwise(np.log2, lambda _y, a: np.divide(1 / np.log(2), a), domain=(POSITIVE,), points=(
    point(_UNTAKEN, "np.where(x > 0, f(x), 0)", [0.0, 1.0], [0, 1 / np.log(2)], [0, -1 / np.log(2)]),))
elementwise(np.log10, lambda _y, a: np.divide(1 / np.log(10), a), domain=(POSITIVE,), points=(
    point(_UNTAKEN, "np.where(x > 0, f(x), 0)", [0.0, 1.0], [0, 1 / np.log(10)], [0, -1 / np.log(10)]),))
elementwise(np.log1p, lambda _y, a: np.divide(1, np.add(1, a)), domain=(POSITIVE,), points=(
    point(_UNTAKEN, "np.where(x > -1, f(x), 0)", [-1.0, 0.0], [0, 1], [0, -1]),))


def _share(y: Any, a: Any, b: Any, exp: Any) -> Any:
    # exp(a - y); where y is infinite, the share of the larger operand, and 0 where both are -inf
    ends = np.isinf(y)
    inside = exp(np.where(ends, 0, np.subtract(a, np.where(ends, 0, y))))
    return np.where(ends, np.where(np.less(y, 0), 0, _wins(y, a, b)), inside)


_INFINITE = (
    point("0 where both operands are -inf", "f(x[0], x[1])", [-np.inf, -np.inf], 0, 0),
    point("an infinite operand is the larger one", "f(x[0], x[1])", [np.inf, 0.0], [1, 0], 0),
    point(_TIES, "f(x[0], x[1])", [np.inf, np.inf], 0.5, 0),
)
elementwise(np.logaddexp, lambda y, a, b: _share(y, a, b, np.exp), lambda y, a, b: _share(y, b, a, np.exp),
            domain=(REAL, REAL), points=_INFINITE)
elementwise(np.logaddexp2, lambda y, a, b: _share(y, a, b, np.exp2), lambda y, a, b: _share(y, b, a, np.exp2),
            domain=(REAL, REAL), points=_INFINITE)

# ---------------------------------------------------------------------- trigonometric and hyperbolic functions

elementwise(np.sin, lambda _y, a: np.cos(a), domain=(REAL,))
elementwise(np.cos, lambda _y, a: np.negative(np.sin(a)), domain=(REAL,))
elementwise(np.tan, lambda y, _a: np.add(1, np.multiply(y, y)), domain=(UNIT,))


def _circle(a: Any) -> Any:
    """``sqrt(1 - a^2)``, for complex numbers on the side of the branch cut where the signs of zeros put them."""
    if not _is_complex(a):
        return np.sqrt(np.subtract(1, np.multiply(a, a)))
    # (a + 1 would make 0 of a negative zero)
    return np.multiply(np.sqrt(np.subtract(a, -1)), np.sqrt(np.negative(np.subtract(a, 1))))


elementwise(np.arcsin, lambda _y, a: np.divide(1, _circle(a)),
            domain=(UNIT,), points=(
                point(_EDGE, "f(x)", [-1.0, 1.0], np.inf),
                point(_UNTAKEN, "np.where(np.abs(x) < 1, f(x), 0)", [-1.0, 0.0, 1.0], [0, 1, 0], 0)))
elementwise(np.arccos, lambda _y, a: np.divide(-1, _circle(a)),
            domain=(UNIT,), points=(
                point(_EDGE, "f(x)", [-1.0, 1.0], -np.inf),
                point(_UNTAKEN, "np.where(np.abs(x) < 1, f(x), 0)", [-1.0, 0.0, 1.0], [0, -1, 0], 0)))
elementwise(np.arctan, lambda _y, a: np.divide(1, np.add(1, np.multiply(a, a))), domain=(REAL,))


def _over_norm(numerator: Any, a: Any, b: Any) -> Any:
    # numerator / (a^2 + b^2), and 0 at the origin, where the angle has no derivative
    a, b = _floating(a), _floating(b)
    square = np.add(np.multiply(a, a), np.multiply(b, b))
    zero = np.equal(square, 0)
    return np.where(zero, 0, np.divide(numerator, np.where(zero, 1, square)))


elementwise(np.arctan2, lambda _y, a, b: _over_norm(b, a, b), lambda _y, a, b: np.negative(_over_norm(a, a, b)),
            domain=(REAL, NONZERO), points=(point(_ORIGIN, "f(x[0], x[1])", [0.0, 0.0], 0, 0),))


def _hypot_share(y: Any, a: Any) -> Any:
    zero = np.equal(y, 0)
    return np.where(zero, 0, np.divide(a, np.where(zero, 1, y)))


elementwise(np.hypot, lambda y, a, _b: _hypot_share(y, a), lambda y, _a, b: _hypot_share(y, b),
            domain=(NONZERO, NONZERO), points=(point(_ORIGIN, "f(x[0], x[1])", [0.0, 0.0], 0, 0),))
elementwise(np.sinh, lambda _y, a: np.cosh(a), domain=(REAL,))
elementwise(np.cosh, lambda _y, a: np.sinh(a), domain=(REAL,))
elementwise(np.tanh, lambda y, _a: np.subtract(1, np.multiply(y, y)), domain=(REAL,))
elementwise(np.arcsinh, lambda _y, a: np.divide(
    1, np.cosh(np.arcsinh(a)) if _is_complex(a) else np.sqrt(np.add(np.multiply(a, a), 1))), domain=(REAL,))
elementwise(np.arccosh, lambda _y, a: np.divide(
    1, np.multiply(np.sqrt(np.subtract(a, 1)), np.sqrt(np.subtract(a, -1)))),
            domain=(ABOVE_ONE,), points=(
                point(_EDGE, "f(x)", 1.0, np.inf),
                point(_UNTAKEN, "np.where(x > 1, f(x), 0)", [1.0, 2.0], [0, 3**-0.5], [0, -2 / 3**1.5])))
elementwise(np.arctanh, lambda _y, a: np.divide(1, np.subtract(1, np.multiply(a, a))), domain=(UNIT,), points=(
    point(_EDGE, "f(x)", [-1.0, 1.0], np.inf),
    point(_UNTAKEN, "np.where(np.abs(x) < 1, f(x), 0)", [-1.0, 0.0, 1.0], [0, 1, 0], 0)))
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


_BOTH = (point(_TIES, "f(x[0], x[1])", [1.0, 1.0], 0.5, 0), point(_TIES, "f(x, 0.0)", 0.0, 0.5, 0))
_LARGER = point("what is not chosen passes nothing", "f(np.log(x), -5.0)", [0.0, 1.0], [0, 1], [0, -1])
_SMALLER = point("what is not chosen passes nothing", "f(1 / x, 5.0)", [0.0, 1.0], [0, -1], [0, 2])
_NAN = point("NaN is chosen, and has derivative 1", "f(x, 1.0)", np.nan, 1, 0)
_NO_NAN = point("NaN is never chosen", "f(x, 1.0)", np.nan, 0, 0)
for _ufunc, _points in ((np.maximum, (_LARGER, _NAN)), (np.minimum, (_SMALLER, _NAN))):
    elementwise(_ufunc, _wins, lambda y, a, b: _wins(y, b, a), chooses=True, domain=(DISTINCT, DISTINCT),
                points=(*_BOTH, *_points))
for _quiet, _points in ((np.fmax, (_LARGER, _NO_NAN)), (np.fmin, (_SMALLER, _NO_NAN))):
    elementwise(_quiet, _wins_ignoring_nan, lambda y, a, b: _wins_ignoring_nan(y, b, a), chooses=True,
                domain=(DISTINCT, DISTINCT), points=(*_BOTH, *_points))

# ---------------------------------------------------------------------- signs, complex parts, floating-point parts


def _absolute_jvp(y: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    (a,), (t,) = primals, tangents
    if not _is_complex(a):
        return None if t is None else strong_product(t, np.sign(a))
    if t is None:
        return None
    direction = _hypot_share(y, a)
    return np.add(strong_multiply(np.real(t), np.real(direction)), strong_multiply(np.imag(t), np.imag(direction)))


def _sign_jvp(y: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    (a,), (t,) = primals, tangents
    if t is None or not _is_complex(a):
        return None
    # d(a/|a|) = (t - y Re(conj(y) t)) / |a|
    size = np.absolute(a)
    along = np.real(np.multiply(np.conjugate(y), t))
    return strong_multiply(np.subtract(t, np.multiply(y, along)), _hypot_share(size, 1))


def _conjugate_jvp(_y: Any, _primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    (t,) = tangents
    return None if t is None else np.conjugate(t)


elementwise_jvp(np.absolute, _absolute_jvp, python=operator.abs, domain=(NONZERO,), points=(
    point(_AT_ZERO, "f(x)", [0.0, -0.0], 0, 0), point(_AT_ZERO, "f(x)", 0j, 0, 0),
    point(_ABSORBED, "f(np.sqrt(x))", 0.0, 0)))
elementwise(np.fabs, lambda _y, a: np.sign(a), domain=(NONZERO,),
            points=(point(_AT_ZERO, "f(x)", [0.0, -0.0], 0, 0),))
elementwise_jvp(np.sign, _sign_jvp, domain=(NONZERO,), points=(
    point(_AT_ZERO, "f(x)", [0.0, 2.0], 0, 0), point(_AT_ZERO, "f(x)", 0j, 0, 0)))
elementwise_jvp(np.conjugate, _conjugate_jvp, pull=lambda ct, _out, _args, _needed, _params: (np.conjugate(ct),),
                python=operator.methodcaller("conjugate"), domain=(REAL,))
elementwise(np.copysign, lambda _y, a, b: np.multiply(np.copysign(1.0, a), np.copysign(1.0, b)), None,
            domain=(NONZERO, NONZERO),
            points=(point("by the signs of zeros", "f(x, 1.0)", [0.0, -0.0], [1, -1], 0),))
elementwise(np.heaviside, None, lambda _y, a, _b: np.equal(a, 0), domain=(NONZERO, REAL), points=(
    point(_JUMP, "f(x, 0.5)", [0.0, 1.0], 0, 0), point("passes the value at 0", "f(0.0, x)", 0.5, 1, 0)))
elementwise(np.nextafter, 1, None, domain=(REAL, REAL), notes="moves by one unit in the last place: derivative 1")
elementwise(np.ldexp, lambda _y, _a, b: np.ldexp(1.0, b), None, domain=(REAL, "small integer"))

nondifferentiable_ufunc(np.floor, np.ceil, np.trunc, np.rint, points=(
    point(_JUMP, "f(x)", [0.0, 0.5, 1.0], 0, 0),))
nondifferentiable_ufunc(
    np.signbit, np.spacing, np.isfinite, np.isinf, np.isnan, np.gcd, np.lcm, np.bitwise_count,
    np.logical_and, np.logical_or, np.logical_xor, np.logical_not,
)
nondifferentiable_ufunc(np.isnat, cases=())  # takes dates only
nondifferentiable_ufunc(np.equal, python=operator.eq)
nondifferentiable_ufunc(np.not_equal, python=operator.ne)
nondifferentiable_ufunc(np.less, python=operator.lt)
nondifferentiable_ufunc(np.less_equal, python=operator.le)
nondifferentiable_ufunc(np.greater, python=operator.gt)
nondifferentiable_ufunc(np.greater_equal, python=operator.ge)
nondifferentiable_ufunc(np.floor_divide, python=operator.floordiv, points=(
    point(_JUMP, "f(x, 1.0)", [0.0, 0.5, 1.0], 0, 0),), cases=(
    "A(2, 3), 0.99 + 0.01 * P(3)", "A(3), 0.9", "0.9, 0.3 + A(2)", "I(3, high=9), 2"))
nondifferentiable_ufunc(np.bitwise_and, python=operator.and_)
nondifferentiable_ufunc(np.bitwise_or, python=operator.or_)
nondifferentiable_ufunc(np.bitwise_xor, python=operator.xor)
nondifferentiable_ufunc(np.invert, python=operator.invert)
nondifferentiable_ufunc(np.left_shift, python=operator.lshift)
nondifferentiable_ufunc(np.right_shift, python=operator.rshift)
