"""scipy.special: distribution functions of statistics and their inverses.

Each distribution function's derivative is its density; an inverse's is one over the density, and along a parameter the
negative quotient of the two derivatives. Formulas: Abramowitz and Stegun, chapter 26; Johnson, Kotz and Balakrishnan,
Continuous Univariate Distributions, chapters 18, 27 and 29; W. Feller, On the Kolmogorov-Smirnov limit theorems for
empirical distributions, Ann. Math. Statist. 19 (1948). Most derivatives along a shape parameter have no closed
form: asking for them is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.dispatch.scipy.declare import S, special, unknown
from npdiff.dispatch.scipy.gamma import beta_density, gamma_density

_COUNTS = ("k, a count", "n, a count")
_CHANCE = "P(3) / 3"

# ---------------------------------------------------------------------- binomial, negative binomial, Poisson


def _binomial(k: Any, n: Any, p: Any) -> Any:
    """The derivative of bdtrc(k, n, p), which is betainc(k + 1, n - k, p)."""
    k = np.floor(k)
    return beta_density(np.add(k, 1), np.subtract(n, k), p)


def _negative_binomial(k: Any, n: Any, p: Any) -> Any:
    """The derivative of nbdtr(k, n, p), which is betainc(n, k + 1, p)."""
    return beta_density(n, np.add(np.floor(k), 1), p)


def _poisson(k: Any, m: Any) -> Any:
    """The derivative of pdtrc(k, m), which is gammainc(k + 1, m)."""
    return gamma_density(np.add(np.floor(k), 1), m)


special("bdtr", *_COUNTS, lambda _y, k, n, p: np.negative(_binomial(k, n, p)), cases=(f"1, 4, {_CHANCE}",))
special("bdtrc", *_COUNTS, lambda _y, k, n, p: _binomial(k, n, p), cases=(f"1, 4, {_CHANCE}",))
special("bdtri", *_COUNTS, lambda p, k, n, _y: np.divide(-1, _binomial(k, n, p)), cases=(f"1, 4, {_CHANCE}",))
special("nbdtr", *_COUNTS, lambda _y, k, n, p: _negative_binomial(k, n, p), cases=(f"2, 4, {_CHANCE}",))
special("nbdtrc", *_COUNTS, lambda _y, k, n, p: np.negative(_negative_binomial(k, n, p)), cases=(f"2, 4, {_CHANCE}",))
special("nbdtri", *_COUNTS, lambda p, k, n, _y: np.divide(1, _negative_binomial(k, n, p)), cases=(f"2, 4, {_CHANCE}",))
special("pdtr", "k, a count", lambda _y, k, m: np.negative(_poisson(k, m)), cases=("2, P(3)",))
special("pdtrc", "k, a count", lambda _y, k, m: _poisson(k, m), cases=("2, P(3)",))
special("pdtri", "k, a count", lambda m, k, _y: np.divide(-1, _poisson(k, m)), cases=(f"2, {_CHANCE}",))
unknown("bdtrik", "y", "n", "p", cases=("0.4, 5, 0.3",))
unknown("bdtrin", "k", "y", "p", cases=("1, 0.4, 0.3",))
unknown("nbdtrik", "y", "n", "p", cases=("0.4, 5, 0.3",))
unknown("nbdtrin", "k", "y", "p", cases=("3, 0.4, 0.3",))
unknown("pdtrik", "p", "m", cases=("0.4, 1.3",))

# ---------------------------------------------------------------------- gamma and chi-square


def _gamma_rate(a: Any, b: Any, x: Any) -> Any:
    return gamma_density(b, np.multiply(a, x))


def _chi_square(v: Any, x: Any) -> Any:
    return np.multiply(0.5, gamma_density(np.multiply(0.5, v), np.multiply(0.5, x)))


_B = "b, the shape"
special("gdtr", lambda _y, a, b, x: np.multiply(x, _gamma_rate(a, b, x)), _B,
        lambda _y, a, b, x: np.multiply(a, _gamma_rate(a, b, x)), cases=("P(2, 1), 1.7, P(3)",))
special("gdtrc", lambda _y, a, b, x: np.negative(np.multiply(x, _gamma_rate(a, b, x))), _B,
        lambda _y, a, b, x: np.negative(np.multiply(a, _gamma_rate(a, b, x))), cases=("P(2, 1), 1.7, P(3)",))
special("gdtria", lambda a, _p, b, x: np.divide(1, np.multiply(x, _gamma_rate(a, b, x))), _B,
        lambda a, _p, _b, x: np.negative(np.divide(a, x)), cases=("P(2, 1) / 3, 1.7, P(3)",))
special("gdtrix", lambda x, a, _b, _p: np.negative(np.divide(x, a)), _B,
        lambda x, a, b, _p: np.divide(1, np.multiply(a, _gamma_rate(a, b, x))), cases=(f"P(2, 1), 1.7, {_CHANCE}",))
unknown("gdtrib", "a", "p", "x", cases=("0.7, 0.4, 1.3",))
_V = "v, the degrees of freedom"
special("chdtr", _V, lambda _y, v, x: _chi_square(v, x), cases=("3, P(3)",))
special("chdtrc", _V, lambda _y, v, x: np.negative(_chi_square(v, x)), cases=("3, P(3)",))
special("chdtri", _V, lambda x, v, _p: np.divide(-1, _chi_square(v, x)), cases=(f"3, {_CHANCE}",))
unknown("chdtriv", "p", "x", cases=("0.4, 1.3",))


def _noncentral(x: Any, df: Any, nc: Any) -> Any:
    """The density of the non-central chi-square distribution (Johnson et al., 29.4)."""
    gap = np.subtract(np.sqrt(x), np.sqrt(nc))
    power = np.power(np.divide(x, nc), np.subtract(np.multiply(0.25, df), 0.5))
    bessel = S.ive(np.subtract(np.multiply(0.5, df), 1), np.sqrt(np.multiply(x, nc)))
    return np.multiply(0.5, np.multiply(np.exp(np.multiply(-0.5, np.multiply(gap, gap))), np.multiply(power, bessel)))


def _along_nc(x: Any, df: Any, nc: Any) -> Any:
    return np.negative(_noncentral(x, np.add(df, 2), nc))


_DF = "df, the degrees of freedom"
special("chndtr", lambda _y, x, df, nc: _noncentral(x, df, nc), _DF, lambda _y, x, df, nc: _along_nc(x, df, nc),
        cases=("P(2, 1), 3, P(3)",))
special("chndtrix", lambda x, _p, df, nc: np.divide(1, _noncentral(x, df, nc)), _DF,
        lambda x, _p, df, nc: np.negative(np.divide(_along_nc(x, df, nc), _noncentral(x, df, nc))),
        cases=("P(2, 1) / 3, 3, P(3)",))
special("chndtrinc", lambda nc, x, df, _p: np.negative(np.divide(_noncentral(x, df, nc), _along_nc(x, df, nc))), _DF,
        lambda nc, x, df, _p: np.divide(1, _along_nc(x, df, nc)), cases=("7 + P(3), 3, 0.3 + 0.2 * P(3) / 3",))
unknown("chndtridf", "x", "p", "nc", cases=("1.3, 0.4, 0.7",))

# ---------------------------------------------------------------------- F and Student's t


def _f_density(a: Any, b: Any, x: Any) -> Any:
    """fdtr(a, b, x) is betainc(a/2, b/2, a x / (a x + b))."""
    total = np.add(np.multiply(a, x), b)
    inner = np.divide(np.multiply(a, b), np.multiply(total, total))
    return np.multiply(inner, beta_density(np.multiply(0.5, a), np.multiply(0.5, b),
                                           np.divide(np.multiply(a, x), total)))


def _t_density(df: Any, t: Any) -> Any:
    half = np.multiply(0.5, df)
    kernel = np.power(np.add(1, np.divide(np.multiply(t, t), df)), np.negative(np.add(half, 0.5)))
    return np.divide(kernel, np.multiply(np.sqrt(df), S.beta(half, 0.5)))


_DFS = ("dfn, the degrees of freedom", "dfd, the degrees of freedom")
special("fdtr", *_DFS, lambda _y, a, b, x: _f_density(a, b, x), cases=("3, 5, P(3)",))
special("fdtrc", *_DFS, lambda _y, a, b, x: np.negative(_f_density(a, b, x)), cases=("3, 5, P(3)",))
special("fdtri", *_DFS, lambda x, a, b, _p: np.divide(1, _f_density(a, b, x)), cases=(f"3, 5, {_CHANCE}",))
unknown("fdtridfd", "dfn", "p", "x", cases=("3, 0.4, 1.3",))
special("stdtr", _DF, lambda _y, df, t: _t_density(df, t), cases=("3, A(3)",))
special("stdtrit", _DF, lambda t, df, _p: np.divide(1, _t_density(df, t)), cases=(f"3, {_CHANCE}",))
unknown("stdtridf", "p", "t", cases=("0.7, 0.8",))
unknown("ncfdtr", "dfn", "dfd", "nc", "f", cases=("3, 5, 0.7, 1.3",))
unknown("ncfdtri", "dfn", "dfd", "nc", "p", cases=("3, 5, 0.7, 0.4",))
unknown("ncfdtridfd", "dfn", "p", "nc", "f", cases=("3, 0.4, 0.7, 1.3",))
unknown("ncfdtridfn", "p", "dfd", "nc", "f", cases=("0.4, 5, 0.7, 1.3",))
unknown("ncfdtrinc", "dfn", "dfd", "p", "f", cases=("3, 5, 0.4, 1.3",))
unknown("nctdtr", "df", "nc", "t", cases=("3, 0.7, 1.3",))
unknown("nctdtridf", "p", "nc", "t", cases=("0.6, 0.7, 1.3",))
unknown("nctdtrinc", "df", "p", "t", cases=("3, 0.4, 1.3",))
unknown("nctdtrit", "df", "nc", "p", cases=("3, 0.7, 0.4",))

# ---------------------------------------------------------------------- Kolmogorov, Smirnov, Tukey

_TERMS = np.arange(1.0, 13)


def _kolmogorov_slope(x: Any) -> Any:
    """Kolmogorov's series for large x, and its transform by Jacobi's theta functions for small x (W. Feller 1948)."""
    near, tiny = np.less(x, 0.8), np.less(x, 0.04)
    large = np.expand_dims(np.where(near, 1.0, x), -1)
    small = np.expand_dims(np.where(np.logical_or(tiny, np.greater_equal(x, 0.8)), 0.5, x), -1)
    squares = _TERMS * _TERMS
    waves = np.multiply((-1) ** _TERMS * squares, np.exp(np.multiply(-2 * squares, np.multiply(large, large))))
    rates = (2 * _TERMS - 1) ** 2 * (np.pi**2 / 8)
    inverse = np.divide(1, np.multiply(small, small))
    bumps = np.multiply(np.exp(np.multiply(-rates, inverse)),
                        np.multiply(inverse, np.subtract(1, np.multiply(2 * rates, inverse))))
    above = np.multiply(np.multiply(8, np.squeeze(large, -1)), np.sum(waves, axis=-1))
    below = np.multiply(np.sqrt(2 * np.pi), np.sum(bumps, axis=-1))
    return np.where(tiny, 0.0, np.where(near, below, above))


_SIZE = "n, the sample size"
special("kolmogorov", lambda _y, x: _kolmogorov_slope(x), cases=("P(3)", "3 * P(3)"))
special("kolmogi", lambda x, _p: np.divide(1, _kolmogorov_slope(x)), cases=(_CHANCE,))
special("smirnov", _SIZE, lambda _y, n, d: S._smirnovp(n, d), cases=("5, 0.4",), notes="first derivatives")
special("smirnovi", _SIZE, lambda d, n, _p: np.divide(1, S._smirnovp(n, d)), cases=("5, 0.4",),
        notes="first derivatives")
special("_smirnovp", _SIZE, "d", cases=("5, 0.4",))


def _tukey_slope(p: Any, power: Any) -> Any:
    """The derivative of the quantile ``(p^l - (1-p)^l) / l``."""
    less = np.subtract(power, 1)
    return np.add(np.power(p, less), np.power(np.subtract(1, p), less))


def _tukey_along_power(p: Any, _x: Any, power: Any) -> Any:
    a, b = np.log(p), np.log1p(np.negative(p))

    def bend(log: Any) -> Any:  # the derivative of (exp(l log) - 1) / l along l
        return np.multiply(np.multiply(log, log), np.multiply(0.5, S.hyp1f1(2, 3, np.multiply(power, log))))

    return np.negative(np.divide(np.subtract(bend(a), bend(b)), _tukey_slope(p, power)))


special("tklmbda", lambda p, _x, power: np.divide(1, _tukey_slope(p, power)), _tukey_along_power,
        cases=("A(2, 1), 0.4 * U(3)", "A(3), 0.0"))

__all__: list[str] = []
