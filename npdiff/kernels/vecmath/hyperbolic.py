"""sinh, cosh, tanh and their inverses.

With |x| = n ln 2 + r, sinh(x) and cosh(x) are combinations of sinh(r) and cosh(r) - 1, which are polynomials, with
powers of two as weights: no difference of exponentials is taken. The inverses are logarithms of 1 + a small number
(Abramowitz and Stegun, Handbook of Mathematical Functions, 4.5 and 4.6).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from npdiff.kernels.vecmath.exponential import below, reduce
from npdiff.kernels.vecmath.lanes import Lanes, Value
from npdiff.kernels.vecmath.logarithm import of_sum


class Reduced(NamedTuple):
    """The bits of n, sinh(r) and cosh(r) - 1."""

    bits: Value
    sinh: Value
    cosh1: Value


def _reduced(v: Lanes, x: Value, top: float) -> Reduced:
    a = v.abs(x)
    bits, r, low = reduce(v, v.select(v.compare("ogt", a, v.const(top)), v.const(top), a))
    z = v.mul(r, r)
    sinh = v.add(r, v.fma(v.mul(z, r), v.poly(z, v.table("SINH")), low))
    cosh1 = v.fma(v.mul(z, z), v.poly(z, v.table("COSH")), v.mul(v.const(0.5), z))
    return Reduced(bits, sinh, cosh1)


def _weights(v: Lanes, bits: Value) -> tuple[Value, Value]:
    """2**(n - 2) - 2**(-n - 2) and their sum: half the weights, so that they are finite."""
    grown = v.power_of_two(bits, -2)
    shrunk = v.from_bits(v.isub(v.integer((2 * v.bias - 4) << v.fraction), v.bits(grown)))
    # Where its exponent would be too small for a normal number, it is below a rounding.
    shrunk = v.select(v.compare("ogt", grown, v.const(2.0**(2 * v.precision))), v.const(0), shrunk)
    return v.sub(grown, shrunk), v.add(grown, shrunk)


def _tiny(v: Lanes, x: Value) -> Value:
    return v.compare("olt", v.abs(x), v.const(float(np.ldexp(1.0, -v.precision))))


def sinh(v: Lanes, x: Value) -> Value:
    """The hyperbolic sine."""
    r = _reduced(v, x, v.pick(710.6, 89.6))
    difference, total = _weights(v, r.bits)
    half = v.add(difference, v.fma(total, r.sinh, v.mul(difference, r.cosh1)))
    # Half of a subnormal number loses its last bit.
    return v.select(_tiny(v, x), x, v.copysign(v.add(half, half), x))


def cosh(v: Lanes, x: Value) -> Value:
    """The hyperbolic cosine."""
    r = _reduced(v, x, v.pick(710.6, 89.6))
    difference, total = _weights(v, r.bits)
    half = v.add(total, v.fma(difference, r.sinh, v.mul(total, r.cosh1)))
    return v.add(half, half)


def tanh(v: Lanes, x: Value) -> Value:
    """The hyperbolic tangent."""
    # With m = e**(2 a) - 1 it is m / (m + 2).
    a = below(v, v.abs(x), v.pick(20, 10))
    bits, r, low = reduce(v, v.add(a, a))
    power = v.power_of_two(bits)
    grown = v.add(r, v.fma(v.mul(r, r), v.poly(r, v.table("EXP")), low))
    m = v.fma(power, grown, v.sub(power, v.const(1)))
    return v.copysign(v.div(m, v.add(m, v.const(2))), x)


def _log1p_or_twice(v: Lanes, large: Value, x: Value, high: Value, low: Value) -> Value:
    """log(2 x) where `large`, else log(1 + high + low)."""
    zero, one = v.const(0), v.const(1)
    return of_sum(v, v.select(large, x, high), v.select(large, v.const(-1), low), v.select(large, one, zero))


def arcsinh(v: Lanes, x: Value) -> Value:
    """The inverse hyperbolic sine."""
    a = v.abs(x)
    # asinh(a) = log(1 + a + a^2 / (1 + sqrt(1 + a^2))); for large a it is log(2 a).
    large = v.compare("ogt", a, v.const(2.0**(v.precision // 2 + 2)))
    b = v.select(large, v.const(1), a)
    square = v.mul(b, b)
    quotient = v.div(square, v.add(v.const(1), v.sqrt(v.add(v.const(1), square))))
    # The first word may be the smaller one.
    bigger = v.compare("ogt", quotient, b)
    first, second = v.select(bigger, quotient, b), v.select(bigger, b, quotient)
    high, low = v.two_sum(first, second)
    y = _log1p_or_twice(v, large, a, high, low)
    y = v.select(v.compare("olt", a, v.const(np.inf)), y, a)
    return v.select(_tiny(v, x), x, v.copysign(y, x))


def arccosh(v: Lanes, x: Value) -> Value:
    """The inverse hyperbolic cosine."""
    # acosh(x) = log(1 + t + sqrt(2 t + t^2)) with t = x - 1; for large x it is log(2 x).
    t = v.sub(x, v.const(1))
    large = v.compare("ogt", x, v.const(2.0**(v.precision // 2 + 2)))
    b = v.select(large, v.const(1), t)
    square, error = v.two_product(b, v.add(b, v.const(2)))
    root = v.sqrt(square)
    # The root's own error, to first order.
    low = v.div(v.add(v.fma(v.neg(root), root, square), error), v.add(root, root))
    low = v.select(v.compare("oeq", root, v.const(0)), v.const(0), low)
    high, rest = v.two_sum(root, b)
    low = v.add(low, rest)
    y = _log1p_or_twice(v, large, x, high, low)
    usual = v.both(v.compare("oge", x, v.const(1)), v.compare("olt", x, v.const(np.inf)))
    return v.select(usual, y, v.select(v.compare("olt", x, v.const(1)), v.const(np.nan), x))


def arctanh(v: Lanes, x: Value) -> Value:
    """The inverse hyperbolic tangent."""
    # atanh(a) = log(1 + 2 a / (1 - a)) / 2
    a = v.abs(x)
    rest, lost = v.two_sum(v.const(1), v.neg(a))
    twice = v.add(a, a)
    q = v.div(twice, rest)
    error = v.div(v.sub(v.fma(v.neg(q), rest, twice), v.mul(q, lost)), rest)
    y = v.mul(v.const(0.5), of_sum(v, q, error))
    y = v.select(v.compare("oeq", a, v.const(1)), v.const(np.inf), y)
    y = v.select(v.compare("ogt", a, v.const(1)), v.const(np.nan), y)
    return v.select(_tiny(v, x), x, v.copysign(y, x))
