"""i0, i1, i0e, i1e: the modified Bessel functions of the first kind, orders 0 and 1.

exp(a) / (1 + a) or a exp(a) / (2 + a)**2 times a polynomial in a up to 8, beyond it exp(a) / sqrt(a) times one in 1 / a
(C. W. Clenshaw, Chebyshev Series for Mathematical Functions, 1962; NIST Digital Library of Mathematical Functions,
10.40.1).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from npdiff.kernels.vecmath.exponential import below, reduce
from npdiff.kernels.vecmath.lanes import Lanes, Value


def _bessel(order: int, scaled: bool) -> Callable[[Lanes, Value], Value]:
    def build(v: Lanes, x: Value) -> Value:
        infinite = v.compare("oeq", v.abs(x), v.const(np.inf))
        # Where the result overflows without scaling, it need not be exact.
        a = v.abs(x) if scaled else below(v, v.abs(x), v.pick(720, 100))
        small = v.compare("olt", a, v.const(8))
        t = v.fma(below(v, a, 8), v.const(0.25), v.const(-1))
        near, near_low = v.long_poly(t, f"I{order}")
        bottom, bottom_low = v.any_sum(v.const(1 + order), a)
        if order:
            near, near_low = v.mul(near, a), v.mul(near_low, a)
            bottom, square_low = v.two_product(bottom, bottom)
            bottom_low = v.fma(v.mul(v.const(2), v.add(v.const(2), a)), bottom_low, square_low)
        b = v.select(small, v.const(8), a)
        far, far_low = v.long_poly(v.sub(v.div(v.const(16), b), v.const(1)), f"I{order}_FAR")
        top, bottom = v.select(small, near, far), v.select(small, bottom, v.sqrt(b))
        inverse = v.div(v.const(1), bottom)
        y = v.mul(top, inverse)
        more = v.select(small, v.fma(v.neg(y), bottom_low, near_low), far_low)
        y = v.fma(v.add(v.fma(v.neg(y), bottom, top), more), inverse, y)
        if scaled:
            y = v.select(infinite, v.const(0), y)
        else:
            bits, r, low = reduce(v, a)
            y = v.scale(v.fma(y, v.add(r, v.fma(v.mul(r, r), v.poly(r, v.table("EXP")), low)), y), bits)
            y = v.select(infinite, v.const(np.nan), y)
        return v.select(v.compare("oeq", x, v.const(0)), v.const(0), v.copysign(y, x)) if order else y

    return build


i0, i1 = _bessel(0, scaled=False), _bessel(1, scaled=False)
i0e, i1e = _bessel(0, scaled=True), _bessel(1, scaled=True)
