"""arcsin, arccos, arctan, arctan2.

arcsin is a polynomial below 1/2 and pi/2 - 2 arcsin(sqrt((1 - x) / 2)) above; arctan of a quotient is cut at tan(pi/8)
and tan(3 pi/8): the angle less a multiple of pi/4 has a tangent below sqrt(2) - 1 (W. J. Cody and W. Waite, Software
Manual for the Elementary Functions, chapters 10 and 11).
"""

from __future__ import annotations

import numpy as np

from npdiff.kernels.vecmath.lanes import Lanes, Value


def _small_arcsin(v: Lanes, x: Value) -> tuple[Value, Value, Value, Value]:
    """Whether ``|x| > 1/2``; s; arcsin(s) - s; and what the last place of s cannot hold."""
    a = v.abs(x)
    large = v.compare("ogt", a, v.const(0.5))
    rest = v.mul(v.sub(v.const(1), a), v.const(0.5))
    z = v.select(large, rest, v.mul(a, a))
    root = v.sqrt(rest)
    s = v.select(large, root, a)
    return large, s, v.mul(v.mul(s, z), v.poly(z, v.table("ASIN"))), rest


def arcsin(v: Lanes, x: Value) -> Value:
    """The angle in [-pi/2, pi/2] whose sine is x."""
    large, s, more, _ = _small_arcsin(v, x)
    half_pi, low, _ = v.table("HALF_PI")
    from_above = v.sub(v.const(half_pi), v.mul(v.const(2), v.sub(s, v.sub(v.const(low / 2), more))))
    return v.copysign(v.select(large, from_above, v.add(s, more)), x)


def arccos(v: Lanes, x: Value) -> Value:
    """The angle in [0, pi] whose cosine is x."""
    large, s, more, rest = _small_arcsin(v, x)
    half_pi, half_low, _ = v.table("HALF_PI")
    pi, low = v.table("PI")
    negative = v.compare("olt", x, v.const(0))
    # The root's error is doubled: correct it.
    error = v.div(v.fma(v.neg(s), s, rest), v.add(s, s))
    error = v.select(v.compare("oeq", s, v.const(0)), v.const(0), error)
    twice = v.mul(v.const(2), v.add(s, v.add(more, error)))
    right = v.select(negative, v.sub(v.const(pi), v.sub(twice, v.const(low))), twice)
    signed, signed_more = v.copysign(s, x), v.copysign(more, x)
    near = v.sub(v.const(half_pi), v.sub(signed, v.sub(v.const(half_low), signed_more)))
    return v.select(large, right, near)


def _quotient(v: Lanes, y: Value, x: Value) -> tuple[Value, Value, Value]:
    """arctan(y / x) for positive numbers as three terms, the largest first."""
    below, above = v.const(np.sqrt(2) - 1), v.const(np.sqrt(2) + 1)
    low = v.compare("olt", y, v.mul(x, below))
    high = v.compare("ogt", y, v.mul(x, above))
    numerator = v.select(low, y, v.select(high, v.neg(x), v.sub(y, x)))
    denominator = v.select(low, x, v.select(high, y, v.add(y, x)))
    t = v.div(numerator, denominator)
    z = v.mul(t, t)
    more = v.mul(v.mul(t, z), v.poly(z, v.table("ATAN")))
    quarter, half = v.table("QUARTER_PI"), v.table("HALF_PI")
    base, rest = (v.select(low, v.const(0), v.select(high, v.const(half[i]), v.const(quarter[i]))) for i in (0, 1))
    return base, t, v.add(more, rest)


def arctan(v: Lanes, x: Value) -> Value:
    """The angle in [-pi/2, pi/2] whose tangent is x."""
    base, t, more = _quotient(v, v.abs(x), v.const(1))
    return v.copysign(v.add(base, v.add(t, more)), x)


def arctan2(v: Lanes, y: Value, x: Value) -> Value:
    """The angle of the point (x, y)."""
    ay, ax = v.abs(y), v.abs(x)
    infinite = v.both(v.compare("oeq", ay, v.const(np.inf)), v.compare("oeq", ax, v.const(np.inf)))
    # The sum below must not overflow, and subnormal numbers are too coarse to be cut.
    larger = v.select(v.compare("ogt", ay, ax), ay, ax)
    down = v.compare("ogt", larger, v.const(float(np.ldexp(1.0, v.bias - 2))))
    up = v.compare("olt", larger, v.const(float(np.ldexp(1.0, v.precision - v.bias))))
    factor = v.select(down, v.const(0.25), v.select(up, v.const(2.0**v.precision), v.const(1)))
    ay = v.select(infinite, v.const(1), v.mul(ay, factor))
    ax = v.select(infinite, v.const(1), v.mul(ax, factor))
    # The angle of the origin is that of the axis.
    origin = v.both(v.compare("oeq", ay, v.const(0)), v.compare("oeq", ax, v.const(0)))
    ax = v.select(origin, v.const(1), ax)
    base, t, more = _quotient(v, ay, ax)
    pi, rest = v.table("PI")
    left = v.negative(x)
    base = v.select(left, v.sub(v.const(pi), base), base)
    t = v.select(left, v.neg(t), t)
    more = v.select(left, v.sub(v.const(rest), more), more)
    return v.copysign(v.add(base, v.add(t, more)), y)
