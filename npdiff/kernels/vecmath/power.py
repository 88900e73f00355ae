"""power, cbrt, hypot.

x**y is 2**(y log2(x)) with the logarithm and the product in two words each; cbrt is Halley's iteration for the
reciprocal root, which needs no division, and one correction with the exact remainder; hypot scales by a power of two.
Edge cases follow IEEE 754-2019, section 9.2.
"""

from __future__ import annotations

import numpy as np

from npdiff.kernels.vecmath.exponential import two_to, two_to_parts
from npdiff.kernels.vecmath.lanes import Lanes, Value
from npdiff.kernels.vecmath.logarithm import take_apart


def _log2(v: Lanes, x: Value, subnormal: bool = True) -> tuple[Value, Value]:
    """log2 of a positive number, in two words."""
    parts = take_apart(v, x, subnormal)
    d, d_low = v.two_sum(v.const(2), parts.f)
    inverse = v.div(v.const(1), d)
    s = v.mul(parts.f, inverse)
    s_low = v.mul(v.sub(v.fma(v.neg(s), d, parts.f), v.mul(s, d_low)), inverse)
    z, z_low = v.two_product(s, s)
    z_low = v.fma(v.add(s, s), s_low, z_low)
    # T = log(m) / (2 s) - 1 = z / 3 + z^2 P(z)
    third, third_low = v.table("THIRD")
    t, t_low = v.two_product(z, v.const(third))
    t_low = v.fma(z, v.const(third_low), v.fma(z_low, v.const(third), t_low))
    t, rest = v.two_sum(t, v.mul(v.mul(z, z), v.poly(z, v.table("POW"))))
    t_low = v.add(t_low, rest)
    p, p_low = v.two_product(s, t)
    p_low = v.add(p_low, v.fma(s, t_low, v.mul(s_low, t)))
    high, low = v.two_sum(s, p)
    low = v.add(low, v.add(p_low, s_low))
    c, c_low = v.table("LOG2_E")
    y, y_low = v.two_product(high, v.const(2 * c))
    y_low = v.add(y_low, v.fma(low, v.const(2 * c), v.mul(high, v.const(2 * c_low))))
    whole, rest = v.two_sum(parts.k, y)
    return whole, v.add(rest, y_low)


def power(v: Lanes, x: Value, y: Value) -> Value:
    """x**y"""
    a, infinity = v.abs(x), v.const(np.inf)
    high, low = _log2(v, a)
    zero = v.compare("oeq", a, v.const(0))
    edge = v.either(zero, v.compare("oeq", a, infinity))
    high = v.select(zero, v.const(-np.inf), v.select(edge, infinity, high))
    low = v.select(edge, v.const(0), low)
    exponent, rest = v.two_product(y, high)
    rest = v.fma(y, low, rest)
    # Far outside, the rest no longer matters, and may be NaN.
    top, bottom = v.pick(1100, 200), v.pick(-1200, -250)
    over, under = v.compare("ogt", exponent, v.const(top)), v.compare("olt", exponent, v.const(bottom))
    exponent = v.select(over, v.const(top), v.select(under, v.const(bottom), exponent))
    rest = v.select(v.either(over, under), v.const(0), rest)
    size = two_to(v, exponent, rest)
    whole = v.compare("oeq", v.rint(y), y)
    half = v.mul(y, v.const(0.5))
    odd = v.both(whole, v.compare("one", v.rint(half), half))
    size = v.select(v.both(odd, v.negative(x)), v.neg(size), size)
    finite_negative = v.both(v.compare("olt", x, v.const(0)), v.compare("olt", a, infinity))
    fraction = v.compare("one", v.rint(y), y)
    size = v.select(v.both(finite_negative, fraction), v.const(np.nan), size)
    size = v.select(v.compare("uno", x, y), v.add(x, y), size)
    minus = v.both(v.compare("oeq", a, v.const(1)), v.compare("oeq", v.abs(y), infinity))
    one = v.either(v.either(v.compare("oeq", x, v.const(1)), v.compare("oeq", y, v.const(0))), minus)
    return v.select(one, v.const(1), size)


def quick_power(v: Lanes, x: Value, y: Value) -> tuple[Value, Value]:
    """x**y, and where x or the result may not be a positive normal number."""
    high, low = _log2(v, x, subnormal=False)
    exponent, rest = v.two_product(y, high)
    far = v.compare("uge", v.abs(exponent), v.const(v.pick(1020, 124)))
    return v.shift(*two_to_parts(v, exponent, v.fma(y, low, rest))), v.either(far, v.unusual(x))


def cbrt(v: Lanes, x: Value) -> Value:
    """The cube root."""
    a = v.abs(x)
    lift = 54 if v.precision == 53 else 24
    small = v.compare("olt", a, v.const(float(np.finfo(v.dtype).tiny)))
    bits = v.bits(v.select(small, v.mul(a, v.const(2.0**lift)), a))
    # The exponent field is 3 q + rem, and its bias, after `offset` is added, a multiple of 3.
    offset = (-v.bias) % 3
    field = v.iadd(v.right(bits, v.fraction), v.integer(offset))
    base = 2.0**v.fraction
    count = v.sub(v.from_bits(v.ior(field, v.integer(v.pattern(base)))), v.const(base + 1))
    _, q = v.nearest_multiple(count, v.table("THIRD")[0])
    q = v.isub(q, v.integer(v.pattern(v.magic)))
    rem = v.isub(field, v.iadd(q, v.iadd(q, q)))
    fraction = v.iand(bits, v.integer((1 << v.fraction) - 1))
    m = v.from_bits(v.iadd(fraction, v.left(v.iadd(rem, v.integer(v.bias)), v.fraction)))
    t = v.poly(m, v.table("CBRT"))
    for _ in range(2 if v.precision == 53 else 1):
        h = v.fma(v.neg(m), v.mul(v.mul(t, t), t), v.const(1))
        t = v.fma(v.mul(t, h), v.fma(h, v.const(2 / 9), v.const(1 / 3)), t)
    y = v.mul(m, v.mul(t, t))
    square, low = v.two_product(y, y)
    remainder = v.fma(v.neg(low), y, v.fma(v.neg(square), y, m))
    y = v.fma(v.mul(remainder, v.const(1 / 3)), v.mul(t, t), y)
    power = v.from_bits(v.left(v.iadd(q, v.integer(v.bias - (v.bias + offset) // 3)), v.fraction))
    y = v.mul(y, v.select(small, v.mul(power, v.const(2.0**(-lift // 3))), power))
    usual = v.both(v.compare("ogt", a, v.const(0)), v.compare("olt", a, v.const(np.inf)))
    return v.select(usual, v.copysign(y, x), x)


def hypot(v: Lanes, x: Value, y: Value) -> Value:
    """sqrt(x**2 + y**2) without overflow on the way."""
    a, b = v.abs(x), v.abs(y)
    swap = v.compare("ogt", b, a)
    large, small = v.select(swap, b, a), v.select(swap, a, b)
    # 2**-e and 2**e for the exponent e of the larger one, both kept normal
    field = v.iand(v.bits(large), v.integer(v.pattern(np.inf)))
    exponent = v.from_bits(field)
    clamp = v.pick(2.0**1000, 2.0**120)
    exponent = v.select(v.compare("ogt", exponent, v.const(clamp)), v.const(clamp), exponent)
    exponent = v.select(v.compare("olt", exponent, v.const(1 / clamp)), v.const(1 / clamp), exponent)
    inverse = v.from_bits(v.isub(v.integer(2 * v.bias << v.fraction), v.bits(exponent)))
    p, q = v.mul(large, inverse), v.mul(small, inverse)
    length = v.mul(v.sqrt(v.fma(p, p, v.mul(q, q))), exponent)
    infinite = v.either(v.compare("oeq", a, v.const(np.inf)), v.compare("oeq", b, v.const(np.inf)))
    # NaN in either: maximum chose by a comparison that NaN fails.
    length = v.select(v.compare("uno", x, y), v.add(x, y), length)
    return v.select(infinite, v.const(np.inf), length)
