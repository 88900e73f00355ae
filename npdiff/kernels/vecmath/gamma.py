"""lgamma, digamma.

Up to 5.5 (5) by the recurrence to a polynomial around 2 (around the zero of digamma), beyond by Stirling's series
(NIST Digital Library of Mathematical Functions, 5.5.1 and 5.11.1 to 5.11.2). The products of the recurrence are kept
in two words. Negative arguments are reflected (5.5.3, 5.5.4), so near the zeros there the error is absolute.
"""

from __future__ import annotations

import numpy as np

from npdiff.kernels.vecmath.exponential import below
from npdiff.kernels.vecmath.lanes import Lanes, Value
from npdiff.kernels.vecmath.logarithm import log, natural, series, take_apart


def _turned(v: Lanes, r: Value) -> tuple[Value, Value]:
    """sin(pi r) / pi and cos(pi r) for |r| <= 1/4."""
    z = v.mul(r, r)
    return v.fma(v.mul(r, z), v.poly(z, v.table("SIN_PI")), r), v.fma(z, v.poly(z, v.table("COS_PI")), v.const(1))


def lgamma(v: Lanes, x: Value) -> Value:
    """The logarithm of the absolute value of the gamma function."""
    a, negative = v.abs(x), v.compare("olt", x, v.const(0))
    # Reflected to |x|; to 1 + |x| where |x| is small, as the terms of the former would cancel.
    next_up = v.both(negative, v.compare("olt", a, v.const(0.5)))
    g = v.select(next_up, v.add(v.const(1), a), a)
    small = v.compare("olt", g, v.const(5.5))
    m = v.rint(below(v, g, 5))
    # From 1.4 on, rather from 2: the logarithm and the polynomial would cancel.
    m = v.select(v.both(v.compare("ogt", g, v.const(1.4)), v.compare("olt", g, v.const(2))), v.const(2), m)
    t = v.sub(g, m)
    one = v.const(1)

    def where(predicate: str, bound: float, yes: Value, no: Value) -> Value:
        return v.select(v.compare(predicate, m, v.const(bound)), yes, no)

    # gamma(g) is gamma(2 + t) times or, below 1.5, divided by a product of up to three factors.
    first = where("olt", 1.5, g, where("ogt", 2.5, v.sub(g, one), one))
    grown, grown_low = v.two_sum(one, g)
    second = where("olt", 0.5, grown, where("ogt", 3.5, v.sub(g, v.const(2)), one))
    p, rest = v.two_product(first, second)
    rest = v.fma(first, where("olt", 0.5, grown_low, v.const(0)), rest)
    third = where("ogt", 4.5, v.sub(g, v.const(3)), one)
    p, more = v.two_product(p, third)
    rest = v.fma(rest, third, more)
    # Where the product is tiny its error does not matter, and its scale is not a normal number.
    usual = v.both(small, v.compare("ogt", p, v.const(v.pick(2.0**-500, 2.0**-60))))
    parts = take_apart(v, v.select(small, p, g))
    f = v.select(usual, v.fma(rest, parts.scale, parts.f), parts.f)
    ln2, ln2_low = v.table("LN2_SHORT")
    h, s = series(v, f)
    s = v.sub(v.fma(parts.k, v.const(ln2_low), s), h)
    # Near 1 the logarithm's first term, which is t, goes into the polynomial's.
    near = v.both(v.compare("oeq", m, one), v.compare("oeq", parts.k, v.const(0)))
    logarithm = v.fma(parts.k, v.const(ln2), v.add(v.select(near, v.const(0), f), s))
    # lgamma(2 + t) = t (1 - gamma + t P(t)), Euler's gamma in two words
    head, head_low = (v.select(near, v.const(-c), v.const(d))
                      for c, d in zip(v.table("EULER"), v.table("ONE_LESS_EULER"), strict=True))
    product, product_low = v.two_product(t, v.poly(t, v.table("LGAMMA")))
    head, rest = v.two_sum(head, product)
    y = v.fma(t, v.add(rest, v.add(product_low, head_low)), where("olt", 1.5, v.neg(logarithm), logarithm))
    y = v.fma(t, head, y)
    # (g - 1/2) (log(g) - 1), and what is left
    head, low = v.two_sum(v.mul(parts.k, v.const(ln2)), f)
    inverse = v.div(one, g)
    tail = v.fma(inverse, v.poly(v.mul(inverse, inverse), v.table("STIRLING")), v.const(0.5 * np.log(2 * np.pi) - 0.5))
    less = v.sub(g, v.const(0.5))
    large = v.fma(less, v.sub(head, one), v.fma(less, v.add(low, s), tail))
    y = v.select(small, y, large)
    r = v.sub(a, v.rint(a))
    sine, cosine = _turned(v, _folded(v, r))
    wave = v.abs(v.select(_outer(v, r), v.mul(cosine, v.const(1 / np.pi)), sine))
    wave = v.select(next_up, wave, v.mul(wave, a))
    y = v.select(negative, v.neg(v.add(log(v, wave), y)), y)
    pole = v.both(negative, v.compare("oeq", r, v.const(0)))
    y = v.select(pole, v.const(np.inf), y)
    edge = v.either(v.compare("oeq", a, v.const(0)), v.compare("oeq", a, v.const(np.inf)))
    # No zero is negative.
    return v.add(v.select(edge, v.select(negative, x, v.const(np.inf)), y), v.const(0))


def _outer(v: Lanes, r: Value) -> Value:
    return v.compare("ogt", v.abs(r), v.const(0.25))


def _folded(v: Lanes, r: Value) -> Value:
    """r in [-1/2, 1/2], folded to within 1/4: what is left to 1/2, with the sign of r."""
    return v.select(_outer(v, r), v.sub(v.copysign(v.const(0.5), r), r), r)


def digamma(v: Lanes, x: Value) -> Value:
    """The logarithmic derivative of the gamma function."""
    a, negative = v.abs(x), v.compare("olt", x, v.const(0))
    g = v.select(negative, v.add(v.const(1), a), a)
    small = v.compare("olt", g, v.const(5))
    m = v.floor(below(v, g, 4))
    one, zero = v.const(1), v.const(0)

    def above(bound: float, yes: Value, no: Value) -> Value:
        return v.select(v.compare("ogt", m, v.const(bound)), yes, no)

    u = v.sub(v.sub(g, m), v.const(0.5))
    # The sum of 1 / (g - 1), 1 / (g - 2) and 1 / (g - 3), as far as they are needed, or -1 / g.
    top = above(0.5, above(1.5, one, zero), v.const(-1))
    bottom = above(0.5, above(1.5, v.sub(g, one), one), g)
    bottom_low = zero
    for k in (2, 3):
        factor = above(k + 0.5, v.sub(g, v.const(k)), one)
        top = v.fma(top, factor, above(k + 0.5, bottom, zero))
        bottom, rest = v.two_product(bottom, factor)
        bottom_low = v.fma(bottom_low, factor, rest)
    inverse = v.div(one, v.select(small, bottom, g))
    q = v.mul(top, inverse)
    left = v.fma(v.neg(q), bottom_low, v.fma(v.neg(q), bottom, top))
    low = v.select(v.compare("ogt", g, v.const(v.pick(2.0**-500, 2.0**-60))), v.mul(left, inverse), zero)
    zero_of, zero_low = v.table("DIGAMMA_ZERO")
    apart, apart_low = v.any_sum(u, v.const(-zero_of))
    apart, apart_low = v.two_sum(apart, v.sub(apart_low, v.const(zero_low)))
    first, *rest_of = v.table("DIGAMMA")
    low = v.fma(apart_low, v.const(first), low)
    y = v.add(q, v.fma(apart, v.const(first), v.fma(apart, v.mul(u, v.poly(u, rest_of)), low)))
    parts = take_apart(v, g)
    z = v.mul(inverse, inverse)
    tail = v.fma(z, v.poly(z, v.table("DIGAMMA_FAR")), v.mul(v.const(-0.5), inverse))
    y = v.select(small, y, v.add(natural(v, parts.k, parts.f), tail))
    # Reflected: pi cot(pi a) more.
    r = v.sub(a, v.rint(a))
    sine, cosine = _turned(v, _folded(v, r))
    outer = _outer(v, r)
    square, square_low = v.table("PI_SQUARE")
    scaled = v.fma(sine, v.const(square), v.mul(sine, v.const(square_low)))
    turned = v.div(v.select(outer, scaled, cosine), v.select(outer, cosine, sine))
    y = v.select(negative, v.add(y, turned), y)
    pole = v.both(negative, v.compare("oeq", r, zero))
    y = v.select(pole, v.const(np.nan), y)
    y = v.select(v.compare("oeq", x, zero), v.copysign(v.const(np.inf), v.neg(x)), y)
    return v.select(v.compare("oeq", x, v.const(np.inf)), x, y)
