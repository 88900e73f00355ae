"""scipy.special: the gamma and beta functions and what is made of them.

Formulas: NIST Digital Library of Mathematical Functions, chapters 5, 8 and 25. The derivative of an incomplete gamma
or beta function with respect to a shape parameter has no closed form: asking for it is an error.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from npdiff.core import Primitive
from npdiff.dispatch.rules import elementwise_primitive
from npdiff.dispatch.scipy.declare import S, is_complex, special

# Bernoulli's numbers B_2, B_4, ...
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)


def _factorial(n: int) -> float:
    return float(np.prod(np.arange(1.0, n + 1)))


def _polygamma_arrays(n: int, z: Any) -> Any:
    """The n-th derivative of psi at complex z: the recurrence up to a large argument, the asymptotic series there."""
    z = np.asarray(z)
    w, total = z.astype(complex), np.zeros(z.shape, complex)
    near = w.real < 15 + n
    while np.any(near):
        total = total + np.where(near, _factorial(n) / np.where(near, w, 1) ** (n + 1), 0)
        w = np.where(near, w + 1, w)
        near = w.real < 15 + n
    series = _factorial(n - 1) / w**n + _factorial(n) / (2 * w ** (n + 1))
    for k, b in enumerate(_BERNOULLI, 1):
        series = series + b * _factorial(2 * k + n - 1) / (_factorial(2 * k) * w ** (2 * k + n))
    return ((-1) ** (n + 1) * (total + series)).astype(z.dtype)[()]


@functools.cache
def _complex_polygamma(n: int) -> Primitive:
    return elementwise_primitive("scipy.special.polygamma", None, [lambda _y, z: polygamma(n + 1, z)],
                                 impl=lambda z: _polygamma_arrays(n, z))


def polygamma(n: int, x: Any) -> Any:
    """The n-th derivative of psi, for n > 0 (DLMF 5.15.1)."""
    if is_complex(x):
        return _complex_polygamma(n).call(x)
    return np.multiply((-1) ** (n + 1) * _factorial(n), S._zeta(n + 1, x))


# ---------------------------------------------------------------------- gamma

special("gamma", lambda y, x: np.multiply(y, S.psi(x)))
special("gammaln", lambda _y, x: S.psi(x))
special("loggamma", lambda _y, x: S.psi(x), cases=("P(3)", "C(3)"))
special("rgamma", lambda y, x: np.negative(np.multiply(y, S.psi(x))))
special("psi", lambda _y, x: polygamma(1, x))
special("_zeta", "x", lambda _y, x, q: np.negative(np.multiply(x, S._zeta(np.add(x, 1), q))), cases=("2.5, P(3)",))
special("_riemann_zeta", "x", cases=("2.5",))
special("zetac", "x", cases=("2.5",))
special("poch", lambda y, z, m: np.multiply(y, np.subtract(S.psi(np.add(z, m)), S.psi(z))),
        lambda y, z, m: np.multiply(y, S.psi(np.add(z, m))), cases=("P(2, 1), P(3)",))
special("binom", lambda y, n, k: np.multiply(y, np.subtract(S.psi(np.add(n, 1)), S.psi(_rest(n, k)))),
        lambda y, n, k: np.multiply(y, np.subtract(S.psi(_rest(n, k)), S.psi(np.add(k, 1)))),
        cases=("3 + P(2, 1), P(3)", "5 + P(3), 2"))
special("_factorial", lambda y, n: np.multiply(y, S.psi(np.add(n, 1))), cases=("P(3)",))


def _rest(n: Any, k: Any) -> Any:
    return np.add(np.subtract(n, k), 1)


def gamma_density(a: Any, x: Any) -> Any:
    """``x^(a-1) exp(-x) / gamma(a)``, the derivative of the lower incomplete gamma function."""
    return np.exp(np.subtract(S.xlogy(np.subtract(a, 1), x), np.add(x, S.gammaln(a))))


_SHAPE = "a, the shape"
special("gammainc", _SHAPE, lambda _y, a, x: gamma_density(a, x), cases=("1.7, P(3)", "1, P(3)"))
special("gammaincc", _SHAPE, lambda _y, a, x: np.negative(gamma_density(a, x)), cases=("1.7, P(3)",))
special("gammaincinv", _SHAPE, lambda y, a, _p: np.divide(1, gamma_density(a, y)), cases=("1.7, P(3) / 3",))
special("gammainccinv", _SHAPE, lambda y, a, _p: np.divide(-1, gamma_density(a, y)), cases=("1.7, P(3) / 3",))

# ---------------------------------------------------------------------- beta


def _beta_share(a: Any, b: Any) -> Any:
    return np.subtract(S.psi(a), S.psi(np.add(a, b)))


special("beta", lambda y, a, b: np.multiply(y, _beta_share(a, b)), lambda y, a, b: np.multiply(y, _beta_share(b, a)),
        cases=("P(2, 1), P(3)",))
special("betaln", lambda _y, a, b: _beta_share(a, b), lambda _y, a, b: _beta_share(b, a), cases=("P(2, 1), P(3)",))


def beta_density(a: Any, b: Any, x: Any) -> Any:
    """``x^(a-1) (1-x)^(b-1) / B(a, b)``, the derivative of the regularized incomplete beta function."""
    powers = np.add(S.xlogy(np.subtract(a, 1), x), S.xlog1py(np.subtract(b, 1), np.negative(x)))
    return np.exp(np.subtract(powers, S.betaln(a, b)))


_SHAPES = (_SHAPE, "b, the shape")
special("betainc", *_SHAPES, lambda _y, a, b, x: beta_density(a, b, x), cases=("1.7, 2.3, P(3) / 3",))
special("betaincc", *_SHAPES, lambda _y, a, b, x: np.negative(beta_density(a, b, x)), cases=("1.7, 2.3, P(3) / 3",))
special("betaincinv", *_SHAPES, lambda y, a, b, _p: np.divide(1, beta_density(a, b, y)),
        cases=("1.7, 2.3, P(3) / 3",))
special("betainccinv", *_SHAPES, lambda y, a, b, _p: np.divide(-1, beta_density(a, b, y)),
        cases=("1.7, 2.3, P(3) / 3",))
special("btdtria", "p", "b", "x", cases=("0.4, 2.3, 0.6",))
special("btdtrib", "a", "p", "x", cases=("1.7, 0.4, 0.6",))

__all__ = ["beta_density", "gamma_density", "polygamma"]
