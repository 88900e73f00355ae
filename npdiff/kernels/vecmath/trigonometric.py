"""sin, cos, tan.

x = n pi/2 + r with |r| <= pi/4, pi/2 in three words (W. J. Cody and W. Waite, Software Manual for the Elementary
Functions, chapter 8); sin(r) and cos(r) are polynomials. Vectors with a number too large for this go to the C library.
"""

from __future__ import annotations

from typing import NamedTuple

from npdiff.kernels.vecmath.lanes import Lanes, Value


class Angle(NamedTuple):
    """sin(r), cos(r) and the bits of n."""

    sin: Value
    cos: Value
    turns: Value


def limit(v: Lanes) -> float:
    """Beyond this, n is no longer exact enough."""
    return v.pick(2.0**32, 2.0**15)


def _angle(v: Lanes, x: Value) -> Angle:
    first, second, third = v.table("HALF_PI")
    n, turns = v.nearest_multiple(x, v.table("TWO_OVER_PI")[0])
    # The first difference is exact; close to a multiple of pi/2, so is the second.
    r = v.fma(n, v.const(-third), v.fma(n, v.const(-second), v.fma(n, v.const(-first), x)))
    z = v.mul(r, r)
    sin = v.fma(v.mul(z, r), v.poly(z, v.table("SIN")), r)
    half = v.mul(z, v.const(0.5))
    near = v.sub(v.const(1), half)
    lost = v.sub(v.sub(v.const(1), near), half)
    rest = v.fma(v.mul(z, z), v.poly(z, v.table("COS")), lost)
    return Angle(sin, v.add(near, rest), turns)


def _signed(v: Lanes, y: Value, turns: Value) -> Value:
    """y, negative where the second bit of the quadrant is set."""
    sign = v.iand(v.left(turns, 8 * v.dtype.itemsize - 2), v.int(v.pattern(-0.0)))
    return v.float(v.ixor(v.bits(y), sign))


def sin(v: Lanes, x: Value) -> Value:
    """The sine."""
    a = _angle(v, x)
    y = _signed(v, v.select(v.is_set(a.turns, 0), a.cos, a.sin), a.turns)
    return v.select(v.compare("oeq", x, v.const(0)), x, y)


def cos(v: Lanes, x: Value) -> Value:
    """The cosine."""
    a = _angle(v, x)
    y = v.select(v.is_set(a.turns, 0), a.sin, a.cos)
    return _signed(v, y, v.iadd(a.turns, v.int(1)))


def tan(v: Lanes, x: Value) -> Value:
    """The tangent."""
    a = _angle(v, x)
    odd = v.is_set(a.turns, 0)
    y = v.div(v.select(odd, a.cos, a.sin), v.select(odd, v.neg(a.sin), a.cos))
    return v.select(v.compare("oeq", x, v.const(0)), x, y)
