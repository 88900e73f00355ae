"""scipy.special: error functions, exponential integrals, entropies, losses and other functions near the elementary.

Formulas: NIST Digital Library of Mathematical Functions, chapters 4, 6 and 7; Abramowitz and Stegun, chapter 7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.dispatch.scipy.declare import S, over, several, special, steps

_ROOT_PI = float(np.sqrt(np.pi))
_TWO_OVER_ROOT_PI = 2 / _ROOT_PI
_NORMAL = 1 / float(np.sqrt(2 * np.pi))  # the density of the normal distribution at 0
_DEGREE = np.pi / 180
_LOG_2, _LOG_10 = float(np.log(2)), float(np.log(10))

# ---------------------------------------------------------------------- powers, exponentials and logarithms

special("cbrt", lambda y, _x: np.divide(1, np.multiply(3, np.multiply(y, y))), cases=("A(3)",))
special("exp2", lambda y, _x: np.multiply(_LOG_2, y))
special("exp10", lambda y, _x: np.multiply(_LOG_10, y))
special("expm1", lambda _y, x: np.exp(x))
special("exprel", lambda _y, x: np.multiply(0.5, S.hyp1f1(2, 3, x)))
special("log1p", lambda _y, x: np.divide(1, np.add(1, x)), cases=("P(3)", "P()[()]"))
special("cosm1", lambda _y, x: np.negative(np.sin(x)))
special("powm1", lambda _y, x, p: np.multiply(p, np.power(x, np.subtract(p, 1))),
        lambda y, x, _p: np.multiply(np.add(y, 1), np.log(x)), cases=("P(2, 1), A(3)",))
special("xlogy", lambda _y, _a, b: np.log(b), lambda _y, a, b: np.divide(a, b), cases=("A(2, 1), P(3)",))
special("xlog1py", lambda _y, _a, b: S.log1p(b), lambda _y, a, b: np.divide(a, np.add(1, b)), cases=("A(2, 1), P(3)",))
special("logit", lambda _y, p: np.divide(1, np.multiply(p, np.subtract(1, p))), cases=("P(3) / 3",))
special("expit", lambda y, x: np.multiply(y, S.expit(np.negative(x))))
special("log_expit", lambda _y, x: S.expit(np.negative(x)))
steps("round", "gammasgn")

# ---------------------------------------------------------------------- angles in degrees

special("sindg", lambda _y, x: np.multiply(_DEGREE, S.cosdg(x)), cases=("40 * A(3)",))
special("cosdg", lambda _y, x: np.multiply(-_DEGREE, S.sindg(x)), cases=("40 * A(3)",))
special("tandg", lambda y, _x: np.multiply(_DEGREE, np.add(1, np.multiply(y, y))), cases=("20 * A(3)",))
special("cotdg", lambda y, _x: np.multiply(-_DEGREE, np.add(1, np.multiply(y, y))), cases=("20 * A(3)",))
special("radian", _DEGREE, _DEGREE / 60, _DEGREE / 3600, cases=("P(3), P(3), P(3)",))

# ---------------------------------------------------------------------- error functions


def _gauss(x: Any) -> Any:
    return np.exp(np.negative(np.multiply(x, x)))


special("erf", lambda _y, x: np.multiply(_TWO_OVER_ROOT_PI, _gauss(x)))
special("erfc", lambda _y, x: np.multiply(-_TWO_OVER_ROOT_PI, _gauss(x)))
special("erfcx", lambda y, x: np.subtract(np.multiply(2, np.multiply(x, y)), _TWO_OVER_ROOT_PI))
special("erfi", lambda _y, x: np.multiply(_TWO_OVER_ROOT_PI, np.exp(np.multiply(x, x))))
special("dawsn", lambda y, x: np.subtract(1, np.multiply(2, np.multiply(x, y))))
special("wofz", lambda y, z: np.subtract(1j * _TWO_OVER_ROOT_PI, np.multiply(2, np.multiply(z, y))), cases=("C(3)",))
special("erfinv", lambda y, _x: np.multiply(_ROOT_PI / 2, np.exp(np.multiply(y, y))), cases=("U(3)",))
special("erfcinv", lambda y, _x: np.multiply(-_ROOT_PI / 2, np.exp(np.multiply(y, y))), cases=("1 + U(3)",))
several("fresnel", lambda _y, z: (np.sin(np.multiply(np.pi / 2, np.multiply(z, z))),
                                  np.cos(np.multiply(np.pi / 2, np.multiply(z, z)))), cases=("A(3)", "A()[()]"))


def _modified_fresnel(sign: int) -> Any:
    """F is the integral of ``exp(sign i t^2)`` from x on; K is ``exp(-sign i (x^2 + pi/4)) F / sqrt(pi)``."""
    turn = np.exp(-sign * 0.25j * np.pi) / _ROOT_PI

    def partials(y: Any, x: Any) -> Any:
        return (np.negative(np.exp(np.multiply(sign * 1j, np.multiply(x, x)))),
                np.subtract(np.multiply(-2j * sign, np.multiply(x, y[1])), turn))

    return partials


several("modfresnelp", _modified_fresnel(1), cases=("P(3)",))
several("modfresnelm", _modified_fresnel(-1), cases=("P(3)",))


def _voigt(x: Any, sigma: Any, gamma: Any) -> Any:
    """The derivative of the Faddeeva function at the profile's place, over 2 sigma^2 sqrt(pi)."""
    z = np.divide(np.add(x, np.multiply(1j, gamma)), np.multiply(sigma, float(np.sqrt(2))))
    slope = np.subtract(1j * _TWO_OVER_ROOT_PI, np.multiply(2, np.multiply(z, S.wofz(z))))
    return z, np.divide(slope, np.multiply(2 * _ROOT_PI, np.multiply(sigma, sigma)))


def _voigt_sigma(y: Any, x: Any, sigma: Any, gamma: Any) -> Any:
    z, slope = _voigt(x, sigma, gamma)
    inner = np.multiply(float(np.sqrt(2)), np.real(np.multiply(z, slope)))
    return np.negative(np.add(np.divide(y, sigma), inner))


special("voigt_profile", lambda _y, x, s, g: np.real(_voigt(x, s, g)[1]), _voigt_sigma,
        lambda _y, x, s, g: np.negative(np.imag(_voigt(x, s, g)[1])), cases=("A(3), P(3), P(3)",))

# ---------------------------------------------------------------------- the normal distribution


def _density(x: Any) -> Any:
    return np.multiply(_NORMAL, np.exp(np.multiply(-0.5, np.multiply(x, x))))


def _ndtri_slope(y: Any) -> Any:
    return np.multiply(1 / _NORMAL, np.exp(np.multiply(0.5, np.multiply(y, y))))


special("ndtr", lambda _y, x: _density(x))
special("log_ndtr", lambda y, x: np.multiply(_NORMAL, np.exp(np.subtract(np.multiply(-0.5, np.multiply(x, x)), y))))
special("ndtri", lambda y, _p: _ndtri_slope(y), cases=("P(3) / 3",))
special("ndtri_exp", lambda y, p: np.divide(np.exp(p), _density(y)), cases=("-P(3)",))
special("owens_t",
        lambda _y, h, a: np.multiply(-0.5, np.multiply(_density(h), S.erf(np.multiply(float(np.sqrt(0.5)),
                                                                                      np.multiply(a, h))))),
        lambda _y, h, a: np.divide(np.exp(np.multiply(-0.5, np.multiply(np.multiply(h, h), _plus_square(a)))),
                                   np.multiply(2 * np.pi, _plus_square(a))), cases=("A(2, 1), A(3)",))


def _plus_square(a: Any) -> Any:
    return np.add(1, np.multiply(a, a))


special("nrdtrimn", lambda _y, p, s, _x: np.negative(np.multiply(s, _ndtri_slope(S.ndtri(p)))),
        lambda _y, p, _s, _x: np.negative(S.ndtri(p)), 1, cases=("P(3) / 3, P(3), A(3)",))
special("nrdtrisd", lambda _y, _m, p, _x: np.divide(-1, S.ndtri(p)),
        lambda y, _m, p, _x: np.negative(np.divide(np.multiply(y, _ndtri_slope(S.ndtri(p))), S.ndtri(p))),
        lambda _y, _m, p, _x: np.divide(1, S.ndtri(p)), cases=("A(3), 0.6 + 0.3 * P(3) / 3, A(3)",))

# ---------------------------------------------------------------------- exponential integrals


def _expn_slope(y: Any, n: Any, x: Any) -> Any:
    # E_0 is exp(-x) / x
    first = np.equal(n, 0)
    return np.negative(np.where(first, np.multiply(y, np.add(1, np.divide(1, x))),
                                S.expn(np.where(first, 0, np.subtract(n, 1)), x)))


special("exp1", lambda _y, x: np.negative(np.divide(np.exp(np.negative(x)), x)), cases=("P(3)", "C(3)"))
special("expi", lambda _y, x: np.divide(np.exp(x), x), cases=("A(3)", "C(3)"))
special("expn", "n, the order", _expn_slope, cases=("2, P(3)", "I(3), P(3)"))
several("shichi", lambda _y, x: (over(np.sinh(x), x, 1), np.divide(np.cosh(x), x)), cases=("P(3)",))
several("sici", lambda _y, x: (over(np.sin(x), x, 1), np.divide(np.cos(x), x)), cases=("P(3)", "C(3)"))
special("spence", lambda _y, z: over(np.log(z), np.subtract(1, z), -1), cases=("P(3)", "1.2 + P(3)", "C(3)"))
special("wrightomega", lambda y, _z: np.divide(y, np.add(1, y)), cases=("A(3)", "C(3)"))
special("_lambertw", lambda y, z, _k, _tol: np.divide(np.exp(np.negative(y)), np.add(1, y)),
        "k, the branch", "the tolerance", cases=("C(3), 0, 1e-8", "C(3), 1, 1e-8"))

# ---------------------------------------------------------------------- entropies and losses


def _ratio_log(x: Any, y: Any) -> Any:
    return np.log(np.divide(x, y))


special("entr", lambda _y, x: np.negative(np.add(1, np.log(x))), cases=("P(3)",))
special("rel_entr", lambda _z, x, y: np.add(1, _ratio_log(x, y)), lambda _z, x, y: np.negative(np.divide(x, y)),
        cases=("P(2, 1), P(3)",))
special("kl_div", lambda _z, x, y: _ratio_log(x, y), lambda _z, x, y: np.subtract(1, np.divide(x, y)),
        cases=("P(2, 1), P(3)",))
special("huber", lambda _y, d, r: np.maximum(np.subtract(np.absolute(r), d), 0),
        lambda _y, d, r: np.clip(r, np.negative(d), d), cases=("0.7, A(3)", "P(2, 1), 3 * A(3)"))


def _root(d: Any, r: Any) -> Any:
    u = over(r, d, 0)
    return np.sqrt(np.add(1, np.multiply(u, u)))


def _pseudo_huber_width(_y: Any, d: Any, r: Any) -> Any:
    # delta (s - 1)^2 / s with s = sqrt(1 + (r / delta)^2), where s - 1 would cancel
    u, s = over(r, d, 0), _root(d, r)
    less = np.divide(np.multiply(u, u), np.add(s, 1))
    return np.divide(np.multiply(d, np.multiply(less, less)), s)


special("pseudo_huber", _pseudo_huber_width, lambda _y, d, r: np.divide(r, _root(d, r)), cases=("P(2, 1), A(3)",))

# ---------------------------------------------------------------------- Box and Cox's transformation


def _box_power(log: Any, p: Any) -> Any:
    """The derivative along lambda of ``(exp(lambda log) - 1) / lambda``."""
    return np.multiply(np.multiply(log, log), np.multiply(0.5, S.hyp1f1(2, 3, np.multiply(p, log))))


def _unbox_power(y: Any, p: Any) -> Any:
    """The derivative along lambda of ``log1p(lambda y) / lambda``."""
    return np.multiply(np.multiply(y, y), np.multiply(-0.5, S.hyp2f1(2, 2, 3, np.negative(np.multiply(p, y)))))


special("boxcox", lambda _y, x, p: np.power(x, np.subtract(p, 1)), lambda _y, x, p: _box_power(np.log(x), p),
        cases=("P(2, 1), A(3)", "P(3), 0.0"))
special("boxcox1p", lambda _y, x, p: np.power(np.add(1, x), np.subtract(p, 1)),
        lambda _y, x, p: _box_power(S.log1p(x), p), cases=("P(2, 1), A(3)",))
special("inv_boxcox", lambda x, _y, p: np.power(x, np.subtract(1, p)),
        lambda x, y, p: np.multiply(x, _unbox_power(y, p)), cases=("P(2, 1), P(3)", "A(3), 0.0"))
special("inv_boxcox1p", lambda x, _y, p: np.power(np.add(1, x), np.subtract(1, p)),
        lambda x, y, p: np.multiply(np.add(1, x), _unbox_power(y, p)), cases=("P(2, 1), P(3)",))

__all__: list[str] = []
