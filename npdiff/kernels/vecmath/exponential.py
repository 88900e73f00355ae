"""exp, exp2, expm1.

x = n ln 2 + r with |r| <= (ln 2)/2; e**r is a polynomial, 2**n goes into the exponent (W. J. Cody and W. Waite,
Software Manual for the Elementary Functions, chapter 6).
"""

from __future__ import annotations

import numpy as np

from npdiff.kernels.vecmath.lanes import Lanes, Value


def between(v: Lanes, x: Value, low: float, high: float) -> Value:
    """x, or the bound it lies beyond; NaN stays."""
    return below(v, v.select(v.compare("olt", x, v.const(low)), v.const(low), x), high)


def below(v: Lanes, x: Value, high: float) -> Value:
    """x, or the bound if it lies beyond; NaN stays."""
    return v.select(v.compare("ogt", x, v.const(high)), v.const(high), x)


def reduce(v: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """n (as `Lanes.nearest` gives its bits), r and the part of r that its last place cannot hold."""
    ln2, rest = v.table("LN2")
    n, bits = v.nearest_multiple(x, v.table("LOG2_E")[0])
    # Exact: both are multiples of the same small number, and the difference is small.
    head = v.fma(n, v.const(-ln2), x)
    r = v.fma(n, v.const(-rest), head)
    return bits, r, v.fma(n, v.const(-rest), v.sub(head, r))


def parts(v: Lanes, x: Value) -> tuple[Value, Value]:
    """y and the bits of n with e**x = 2**n y."""
    bits, r, _ = reduce(v, x)
    return v.add(v.const(1), v.fma(v.mul(r, r), v.poly(r, v.table("EXP")), r)), bits


def exp(v: Lanes, x: Value) -> Value:
    """e**x"""
    return v.scale(*parts(v, between(v, x, v.pick(-760, -110), v.pick(720, 100))))


def quick_exp(v: Lanes, x: Value) -> tuple[Value, Value]:
    """e**x, and where it may be neither a normal number nor 1."""
    return v.shift(*parts(v, x)), v.compare("uge", v.abs(x), v.const(v.pick(708, 87)))


def exp2(v: Lanes, x: Value) -> Value:
    """2**x"""
    return two_to(v, between(v, x, v.pick(-1100, -160), v.pick(1040, 140)), v.const(0))


def exp10(v: Lanes, x: Value) -> Value:
    """10**x"""
    x = between(v, x, v.pick(-330, -48), v.pick(310, 40))
    c, rest = v.table("LOG2_10")
    y, error = v.two_product(x, v.const(c))
    return two_to(v, y, v.fma(x, v.const(rest), error))


def two_to(v: Lanes, x: Value, low: Value) -> Value:
    """2**(x + low) for a small low; x is not far outside the exponents of the dtype."""
    return v.scale(*two_to_parts(v, x, low))


def two_to_parts(v: Lanes, x: Value, low: Value) -> tuple[Value, Value]:
    """y and the bits of n with 2**(x + low) = 2**n y."""
    ln2, rest = v.table("LN2")
    n, bits = v.nearest(x)
    part = v.sub(x, n)
    total, low = v.two_sum(part, low)
    r, error = v.two_product(total, v.const(ln2))
    error = v.add(v.fma(total, v.const(rest), error), v.mul(low, v.const(ln2)))
    grown = v.fma(v.mul(r, r), v.poly(r, v.table("EXP")), error)
    return v.add(v.const(1), v.add(r, grown)), bits


def expm1(v: Lanes, x: Value) -> Value:
    """e**x - 1"""
    bits, r, low = reduce(v, between(v, x, v.pick(-40, -20), v.pick(709.9, 88.8)))
    p, error = v.two_sum(r, v.fma(v.mul(r, r), v.poly(r, v.table("EXPM1")), low))
    # Half of the result, so that 2**n is finite wherever the result is.
    half = v.power_of_two(bits, -1)
    scaled = v.mul(half, p)
    total, rest = v.two_sum(v.sub(half, v.const(0.5)), scaled)
    y = v.add(total, v.fma(half, error, rest))
    # Half of a subnormal number loses its last bit.
    tiny = v.compare("olt", v.abs(x), v.const(float(np.ldexp(1.0, -v.precision - 1))))
    return v.select(tiny, x, v.add(y, y))
