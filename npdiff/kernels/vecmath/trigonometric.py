"""sin, cos, tan.

x = n pi/2 + r with |r| <= pi/4, pi/2 in three words (W. J. Cody and W. Waite, Software Manual for the Elementary
Functions, chapter 8); sin(r) and cos(r) are polynomials. Vectors with a number too large for this go to the C library.
"""

from __future__ import annotations

from typing import NamedTuple

from npdiff.kernels.vecmath.lanes import Lanes, Value


class Angle(NamedTuple):
    """r, a correction to it, and n as `Lanes.nearest` gives its bits."""

    r: Value
    low: Value | None
    turns: Value


def limit(v: Lanes) -> float:
    """Beyond this, n is no longer exact enough."""
    return v.pick(2.0**32, 2.0**15)


def _angle(v: Lanes, x: Value, exact: bool = False) -> Angle:
    first, second, third = v.table("HALF_PI")
    n, turns = v.nearest_multiple(x, v.table("TWO_OVER_PI")[0])
    # Exact: a multiple of the last place of pi/2, and below 1.
    head = v.fma(n, v.const(-first), x)
    if not exact:
        return Angle(v.fma(n, v.const(-third), v.fma(n, v.const(-second), head)), None, turns)
    product, error = v.two_product(n, v.const(second))
    r, rest = v.two_sum(head, v.neg(product))
    return Angle(r, v.fma(n, v.const(-third), v.sub(rest, error)), turns)


def _sin(v: Lanes, a: Angle, z: Value) -> Value:
    more = v.mul(z, a.r)
    if a.low is None:
        return v.fma(more, v.poly(z, v.table("SIN")), a.r)
    return v.add(a.r, v.fma(more, v.poly(z, v.table("SIN")), a.low))


def _cos(v: Lanes, a: Angle, z: Value) -> Value:
    half = v.mul(z, v.const(0.5))
    near = v.sub(v.const(1), half)
    lost = v.sub(v.sub(v.const(1), near), half)
    if a.low is not None:
        lost = v.fma(v.neg(a.r), a.low, lost)
    return v.add(near, v.fma(v.mul(z, z), v.poly(z, v.table("COS")), lost))


def _signed(v: Lanes, y: Value, turns: Value) -> Value:
    """y, negative where the second bit of the quadrant is set."""
    sign = v.iand(v.left(turns, 8 * v.dtype.itemsize - 2), v.integer(v.pattern(-0.0)))
    return v.from_bits(v.ixor(v.bits(y), sign))


def sin(v: Lanes, x: Value) -> Value:
    """The sine."""
    a = _angle(v, x)
    z = v.mul(a.r, a.r)
    y = _signed(v, v.select(v.is_set(a.turns, 0), _cos(v, a, z), _sin(v, a, z)), a.turns)
    return v.select(v.compare("oeq", x, v.const(0)), x, y)


def cos(v: Lanes, x: Value) -> Value:
    """The cosine."""
    a = _angle(v, x)
    z = v.mul(a.r, a.r)
    y = v.select(v.is_set(a.turns, 0), _sin(v, a, z), _cos(v, a, z))
    return _signed(v, y, v.iadd(a.turns, v.integer(1)))


def tan(v: Lanes, x: Value) -> Value:
    """The tangent."""
    a = _angle(v, x, exact=True)
    z = v.mul(a.r, a.r)
    odd, s, c = v.is_set(a.turns, 0), _sin(v, a, z), _cos(v, a, z)
    y = v.div(v.select(odd, c, s), v.select(odd, v.neg(s), c))
    return v.select(v.compare("oeq", x, v.const(0)), x, y)
