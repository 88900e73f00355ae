"""log, log2, log10, log1p.

x = 2**k m with sqrt(1/2) <= m < sqrt(2); with f = m - 1 and s = f / (2 + f), log(m) is 2 atanh(s), a polynomial in s**2
(W. J. Cody and W. Waite, Software Manual for the Elementary Functions, chapter 5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from npdiff.kernels.vecmath import exponential
from npdiff.kernels.vecmath.lanes import Lanes, Value


class Parts(NamedTuple):
    """x as 2**k (1 + f): k as a float, f, and 2**-k for numbers that are not subnormal."""

    k: Value
    f: Value
    scale: Value


def take_apart(v: Lanes, x: Value, subnormal: bool = True) -> Parts:
    """Exponent and significand of a positive number."""
    lift = v.precision + 1
    small = v.compare("olt", x, v.const(float(np.finfo(v.dtype).tiny))) if subnormal else None
    whole = x if small is None else v.select(small, v.mul(x, v.const(2.0**lift)), x)
    bits, middle, top = v.bits(whole), v.pattern(0.5**0.5), v.bias + 1
    # The exponent plus `top`, which is positive, becomes the last bits of a float.
    raised = v.iadd(bits, v.integer((top << v.fraction) - middle))
    field = v.right(raised, v.fraction)
    base = 2.0**v.fraction
    biased = v.from_bits(v.ior(field, v.integer(v.pattern(base))))
    origin = v.const(base + top)
    if small is not None:
        origin = v.select(small, v.const(base + top + lift), origin)
    k = v.sub(biased, origin)
    significand = v.iadd(v.iand(raised, v.integer((1 << v.fraction) - 1)), v.integer(middle))
    f = v.sub(v.from_bits(significand), v.const(1))
    # 2**(top - k), from what is above the significand
    exponent = v.isub(raised, v.isub(significand, v.integer(middle)))
    return Parts(k, f, v.from_bits(v.isub(v.integer((v.bias + top) << v.fraction), exponent)))


def series(v: Lanes, f: Value) -> tuple[Value, Value]:
    """h and t with log(1 + f) = f - (h - t), h = f**2 / 2."""
    s = v.div(f, v.add(v.const(2), f))
    z = v.mul(s, s)
    h = v.mul(v.mul(v.const(0.5), f), f)
    return h, v.mul(s, v.fma(z, v.poly(z, v.table("LOG")), h))


def natural(v: Lanes, k: Value, f: Value) -> Value:
    """log(2**k (1 + f))"""
    ln2, rest = v.table("LN2_SHORT")
    h, t = series(v, f)
    t = v.fma(k, v.const(rest), t)
    return v.fma(k, v.const(ln2), v.sub(f, v.sub(h, t)))


def _edges(v: Lanes, x: Value, y: Value) -> Value:
    """y, except for what is not a positive number."""
    below = v.select(v.compare("olt", x, v.const(0)), v.const(np.nan), x)
    edge = v.select(v.compare("oeq", x, v.const(0)), v.const(-np.inf), below)
    usual = v.both(v.compare("ogt", x, v.const(0)), v.compare("olt", x, v.const(np.inf)))
    return v.select(usual, y, edge)


def log(v: Lanes, x: Value) -> Value:
    """The natural logarithm."""
    parts = take_apart(v, x)
    return _edges(v, x, natural(v, parts.k, parts.f))


def quick_log(v: Lanes, x: Value) -> tuple[Value, Value]:
    """The natural logarithm, and where x is not a positive normal number."""
    parts = take_apart(v, x, subnormal=False)
    return natural(v, parts.k, parts.f), v.unusual(x)


def log1p_exp(v: Lanes, x: Value) -> Value:
    """log(1 + e**x) for x <= 0"""
    y, bits = exponential.parts(v, exponential.between(v, x, v.pick(-760, -110), 0))
    t = v.scale(y, bits)
    u, error = v.two_sum(v.const(1), t)
    # u is at most 2: halved, where it is above the root of 2.
    large = v.compare("ogt", u, v.const(2**0.5))
    half = v.const(0.5)
    f = v.sub(v.select(large, v.mul(u, half), u), v.const(1))
    f = v.add(f, v.select(large, v.mul(error, half), error))
    return natural(v, v.select(large, v.const(1), v.const(0)), f)


def _based(v: Lanes, x: Value, factor: str, unit: str | None) -> Value:
    parts = take_apart(v, x)
    h, t = series(v, parts.f)
    # log(m) in two words times 1 / log(base) in two words
    high, low = v.two_sum(parts.f, v.sub(t, h))
    c, rest = v.table(factor)
    y, error = v.two_product(high, v.const(c))
    error = v.add(v.fma(low, v.const(c), error), v.mul(high, v.const(rest)))
    if unit is None:
        whole = parts.k
    else:
        whole = v.mul(parts.k, v.const(v.table(unit)[0]))
        error = v.fma(parts.k, v.const(v.table(unit)[1]), error)
    y, low = v.two_sum(whole, y)
    return _edges(v, x, v.add(y, v.add(low, error)))


def log2(v: Lanes, x: Value) -> Value:
    """The logarithm to base 2."""
    return _based(v, x, "LOG2_E", None)


def log10(v: Lanes, x: Value) -> Value:
    """The logarithm to base 10."""
    return _based(v, x, "LOG10_E", "LOG10_2_SHORT")


def of_sum(v: Lanes, high: Value, low: Value, more: Value | None = None) -> Value:
    """log(1 + high + low), accurate where the sum is near 0; `more` is added to the exponent."""
    u = v.add(v.const(1), high)
    # 1 + high - u, whichever of the two is larger
    big = v.compare("ogt", v.abs(high), v.const(1))
    first, second = v.select(big, high, v.const(1)), v.select(big, v.const(1), high)
    error = v.add(v.add(v.sub(first, u), second), low)
    parts = take_apart(v, u, subnormal=False)
    # Beyond this, the error is below a rounding, and 2**-k might not be a normal number.
    large = v.compare("ogt", u, v.const(2.0**(2 * v.precision)))
    f = v.select(large, parts.f, v.fma(error, parts.scale, parts.f))
    return natural(v, parts.k if more is None else v.add(parts.k, more), f)


def log1p(v: Lanes, x: Value) -> Value:
    """log(1 + x)"""
    y = of_sum(v, x, v.const(0))
    usual = v.both(v.compare("ogt", x, v.const(-1)), v.compare("olt", x, v.const(np.inf)))
    below = v.select(v.compare("olt", x, v.const(-1)), v.const(np.nan), x)
    edge = v.select(v.compare("oeq", x, v.const(-1)), v.const(-np.inf), below)
    y = v.select(usual, y, edge)
    # Keeps the sign of zero.
    return v.select(v.compare("oeq", x, v.const(0)), x, y)


def logit(v: Lanes, p: Value) -> Value:
    """log(p / (1 - p))"""
    # log1p of (1 - 2 m) / m, where m is the smaller one; a tiny m gives its power of two to the exponent.
    half, one = v.const(0.5), v.const(1)
    m = v.select(v.compare("olt", p, half), p, v.sub(one, p))
    lift = v.pick(100, 30)
    tiny = v.compare("olt", m, v.const(v.pick(2.0**-1000, 2.0**-120)))
    lifted = v.select(tiny, v.mul(m, v.const(2.0**lift)), m)
    odds = v.div(v.fma(v.const(-2), m, one), lifted)
    y = of_sum(v, odds, v.const(0), v.select(tiny, v.const(lift), v.const(0)))
    y = v.select(v.compare("olt", p, half), v.neg(y), y)
    edge = v.select(v.compare("oeq", m, v.const(0)), v.copysign(v.const(np.inf), v.sub(p, half)), v.const(np.nan))
    return v.select(v.compare("ogt", m, v.const(0)), y, edge)


def log_ratio(v: Lanes, x: Value, y: Value) -> Value:
    """log(x / y) for positive numbers and infinity, accurate where they are nearly equal."""
    above, below = take_apart(v, x), take_apart(v, y)
    bottom, bottom_low = v.two_sum(v.const(1), below.f)
    top, top_low = v.any_sum(above.f, v.neg(below.f))
    inverse = v.div(v.const(1), bottom)
    q = v.mul(top, inverse)
    rest = v.fma(v.neg(q), bottom_low, v.add(v.fma(v.neg(q), bottom, top), top_low))
    z = of_sum(v, q, v.mul(rest, inverse), v.sub(above.k, below.k))
    infinity = v.const(np.inf)
    z = v.select(v.compare("oeq", y, infinity), v.const(-np.inf), z)
    return v.select(v.compare("oeq", x, infinity), v.add(z, infinity), z)
