"""erf, erfc, erfcx; the normal distribution's ndtr and log_ndtr.

erfc(a) is exp(-a**2) times erfcx(a), which varies slowly: below 3/4 it is made of erf, beyond it is a polynomial in
(a - 4) / (a + 4) over 1 + 2 a (M. M. Shepherd and J. G. Laframboise, Chebyshev approximation of (1 + 2 x) exp(x^2)
erfc(x), 1981). The square in the exponent is kept in two words. erf is a polynomial times x below 1/2, and
1 - exp(-q(a)) with a polynomial q above.
"""

from __future__ import annotations

import numpy as np

from npdiff.kernels.vecmath.exponential import below, reduce
from npdiff.kernels.vecmath.lanes import Lanes, Value
from npdiff.kernels.vecmath.logarithm import natural, of_sum, take_apart


def _grown(v: Lanes, x: Value, more: Value) -> tuple[Value, Value]:
    """The bits of n, and g, with exp(x + more) = 2**n (1 + g)."""
    bits, r, low = reduce(v, x)
    r, rest = v.two_sum(r, more)
    return bits, v.add(r, v.fma(v.mul(r, r), v.poly(r, v.table("EXP")), v.add(low, rest)))


def _complement(v: Lanes, a: Value) -> tuple[Value, Value]:
    """1 - erf(a) in two words, for 0 <= a <= 3/4."""
    rest, low = v.two_sum(v.const(1), v.neg(a))
    rest, more = v.two_sum(rest, v.neg(v.mul(a, v.poly(v.mul(a, a), v.table("ERF")))))
    return rest, v.add(low, more)


def _is_near(v: Lanes, a: Value) -> Value:
    return v.compare("olt", a, v.const(0.75))


def _slow(v: Lanes, a: Value) -> tuple[Value, Value]:
    """erfcx(a) in two words, for a >= 3/4; beyond the end of the polynomial, its value at the end."""
    a = below(v, a, v.pick(28, 11))
    one = v.const(1)
    t = v.div(v.sub(a, v.const(4)), v.add(a, v.const(4)))
    d, d_low = v.any_sum(one, v.add(a, a))
    inverse = v.div(one, d)
    p, p_low = v.long_poly(t, "ERFCX")
    w = v.mul(p, inverse)
    left = v.add(v.fma(v.neg(w), d, p), v.fma(v.neg(w), d_low, p_low))
    return w, v.mul(left, inverse)


def _scaled(v: Lanes, a: Value) -> Value:
    """erfcx(a) for a >= 0."""
    # exp(a^2) (1 - erf(a)) below 3/4; the growth of exp by that of exp(a^2 / 2)
    half = v.mul(v.const(0.5), v.mul(a, a))
    half = v.fma(v.mul(half, half), v.poly(half, v.table("EXP")), half)
    rest, low = _complement(v, a)
    near = v.add(rest, v.fma(rest, v.mul(half, v.add(v.const(2), half)), low))
    y = v.select(_is_near(v, a), near, v.add(*_slow(v, a)))
    # Where the polynomial has ended, by the asymptotic series (DLMF 7.12.1).
    inverse = v.div(v.const(1), a)
    first, *others = v.table("ERFCX_FAR")
    z = v.mul(inverse, inverse)
    top = v.fma(z, v.poly(z, others), v.const(first))
    far = v.mul(top, inverse)
    far = v.fma(v.fma(v.neg(far), a, top), inverse, far)
    y = v.select(v.compare("olt", a, v.const(v.pick(28, 11))), y, far)
    return v.select(v.compare("olt", a, v.const(np.inf)), y, inverse)


def _tail(v: Lanes, a: Value, square: Value, rest: Value) -> tuple[Value, Value, Value]:
    """exp(-(square + rest)) erfcx(a) as two words, to be scaled by a power of two whose bits come first."""
    w, w_low = _slow(v, a)
    bits, g = _grown(v, v.neg(square), v.neg(rest))
    y, low = v.two_sum(w, v.fma(w, g, w_low))
    return bits, y, low


def erf(v: Lanes, x: Value) -> Value:
    """The error function."""
    a = v.abs(x)
    near = v.fma(a, v.poly(v.mul(a, a), v.table("ERF")), a)
    half = v.const(0.5)
    q = v.poly(v.sub(below(v, a, v.pick(6, 4)), half), v.table("LOG_ERFC"))
    bits, r, _ = reduce(v, v.neg(q))
    power = v.power_of_two(bits)
    g = v.fma(v.mul(r, r), v.poly(r, v.table("EXP")), r)
    far = v.sub(v.const(1), v.fma(power, g, power))
    return v.copysign(v.select(v.compare("olt", a, half), near, far), x)


def erfc(v: Lanes, x: Value) -> Value:
    """1 - erf(x)"""
    a = below(v, v.abs(x), v.pick(27.5, 10.7))
    bits, y, _ = _tail(v, a, *v.two_product(a, a))
    y = v.select(_is_near(v, a), v.add(*_complement(v, a)), v.scale(y, bits))
    return v.select(v.compare("olt", x, v.const(0)), v.sub(v.const(2), y), y)


def erfcx(v: Lanes, x: Value) -> Value:
    """exp(x**2) erfc(x)"""
    a = v.abs(x)
    w = _scaled(v, a)
    b = below(v, a, v.pick(27, 10))
    bits, g = _grown(v, *v.two_product(b, b))
    left = v.sub(v.scale(v.add(v.const(2), v.add(g, g)), bits), w)
    return v.select(v.compare("olt", x, v.const(0)), left, w)


def _over_root_two(v: Lanes, a: Value) -> Value:
    c, rest = v.table("ROOT_HALF")
    return v.fma(a, v.const(c), v.mul(a, v.const(rest)))


def _normal_tail(v: Lanes, x: Value) -> tuple[Value, Value]:
    """The normal distribution's mass beyond |x| in two words."""
    a = below(v, v.abs(x), v.pick(38.8, 15))
    half = v.const(0.5)
    square, rest = v.two_product(a, a)
    bits, y, low = _tail(v, _over_root_two(v, a), v.mul(square, half), v.mul(rest, half))
    y, low = v.scale(v.mul(y, half), bits), v.scale(v.mul(low, half), bits)
    slope, slope_low = v.long_poly(square, "NDTR")
    central, rest = v.two_product(a, slope)
    rest = v.fma(a, slope_low, rest)
    near, near_low = v.two_sum(half, v.neg(central))
    inside = v.compare("olt", a, v.const(1.06))
    return v.select(inside, near, y), v.select(inside, v.sub(near_low, rest), low)


def ndtr(v: Lanes, x: Value) -> Value:
    """The normal distribution's mass below x."""
    y, low = _normal_tail(v, x)
    y = v.add(y, low)
    return v.select(v.compare("ogt", x, v.const(0)), v.sub(v.const(1), y), y)


def log_ndtr(v: Lanes, x: Value) -> Value:
    """The logarithm of `ndtr`."""
    a = v.abs(x)
    y, low = _normal_tail(v, x)
    right = v.copysign(of_sum(v, v.neg(y), v.neg(low)), v.const(-1))
    # On the left: -x^2 / 2 + log(erfcx(a / sqrt(2)) / 2)
    parts = take_apart(v, _scaled(v, _over_root_two(v, a)), subnormal=False)
    left = v.fma(v.mul(a, v.const(-0.5)), a, natural(v, v.sub(parts.k, v.const(1)), parts.f))
    return v.select(v.compare("olt", x, v.const(0)), left, right)
