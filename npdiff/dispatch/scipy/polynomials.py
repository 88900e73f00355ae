"""scipy.special: orthogonal polynomials, Legendre functions, Mathieu and spheroidal functions.

Formulas: NIST Digital Library of Mathematical Functions, 14.10, 18.9, 28.2, 28.20, 30.2; Abramowitz and Stegun,
chapters 8, 20, 21 and 22. No derivative with respect to a degree has a closed form: asking for it is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.dispatch.scipy.declare import S, several, special, unknown

_DEGREE = "n, the degree"
_CASES = ("3, U(3)", "I(3, high=4), U(3)")


def _lower(name: str, factor: Any, n: Any, *rest: Any) -> Any:
    """``factor * f_(n-1)(rest)``, and 0 for degree 0, which has no lower one."""
    constant = np.equal(n, 0)
    value = getattr(S, name)(np.where(constant, 0, np.subtract(n, 1)), *rest)
    return np.where(constant, 0, np.multiply(factor, value))


special("eval_legendre", _DEGREE, lambda _y, n, x: _lower("eval_gegenbauer", 1, n, 1.5, x), cases=_CASES)
special("eval_chebyt", _DEGREE, lambda _y, n, x: _lower("eval_chebyu", n, n, x), cases=_CASES)
special("eval_chebyu", _DEGREE, lambda _y, n, x: _lower("eval_gegenbauer", 2, n, 2, x), cases=_CASES)
special("eval_chebyc", _DEGREE, lambda _y, n, x: _lower("eval_chebys", n, n, x), cases=_CASES)
special("eval_chebys", _DEGREE, lambda _y, n, x: _lower("eval_gegenbauer", 1, n, 2, np.multiply(0.5, x)), cases=_CASES)
special("eval_sh_legendre", _DEGREE, lambda _y, n, x: _lower("eval_gegenbauer", 2, n, 1.5, _shifted(x)), cases=_CASES)
special("eval_sh_chebyt", _DEGREE, lambda _y, n, x: _lower("eval_sh_chebyu", np.multiply(2, n), n, x), cases=_CASES)
special("eval_sh_chebyu", _DEGREE, lambda _y, n, x: _lower("eval_gegenbauer", 4, n, 2, _shifted(x)), cases=_CASES)
special("eval_hermite", _DEGREE, lambda _y, n, x: _lower("eval_hermite", np.multiply(2, n), n, x), cases=_CASES)
special("eval_hermitenorm", _DEGREE, lambda _y, n, x: _lower("eval_hermitenorm", n, n, x), cases=_CASES)
special("eval_laguerre", _DEGREE, lambda _y, n, x: _lower("eval_genlaguerre", -1, n, 1, x), cases=_CASES)
special("eval_genlaguerre", _DEGREE, "alpha",
        lambda _y, n, a, x: _lower("eval_genlaguerre", -1, n, np.add(a, 1), x), cases=("3, 0.7, U(3)",))
special("eval_gegenbauer", _DEGREE, "alpha",
        lambda _y, n, a, x: _lower("eval_gegenbauer", np.multiply(2, a), n, np.add(a, 1), x), cases=("3, 0.7, U(3)",))
special("eval_jacobi", _DEGREE, "alpha", "beta",
        lambda _y, n, a, b, x: _lower("eval_jacobi", np.multiply(0.5, np.add(np.add(n, 1), np.add(a, b))), n,
                                      np.add(a, 1), np.add(b, 1), x), cases=("3, 0.7, 1.2, U(3)",))
special("eval_sh_jacobi", _DEGREE, "p", "q",
        lambda _y, n, p, q, x: _lower("eval_sh_jacobi", n, n, np.add(p, 2), np.add(q, 1), x),
        cases=("3, 1.7, 1.2, P(3) / 3",))


def _shifted(x: Any) -> Any:
    return np.subtract(np.multiply(2, x), 1)


def _legendre_slope(y: Any, m: Any, v: Any, x: Any) -> Any:
    below = np.multiply(np.add(v, m), S.lpmv(m, np.subtract(v, 1), x))
    return np.divide(np.subtract(np.multiply(v, np.multiply(x, y)), below), np.subtract(np.multiply(x, x), 1))


special("lpmv", "m, the order", "v, the degree", _legendre_slope, cases=("1, 3, U(3)", "0, 0, U(3)", "2, 2.5, U(3)"))

# ---------------------------------------------------------------------- Mathieu functions

_TURN = np.pi / 180  # the angular functions take degrees
_CIRCLE = np.arange(0, 360, 360 / 512)


def _along_q(wave: str) -> Any:
    """``a' = 2 / pi`` times the integral of ``cos 2x w^2`` over a period, for which equal weights are exact.

    It follows from the differential equation, as w is periodic and normalised (28.2.1, 28.2.30). 512 points are enough
    for the orders up to 100 that SciPy computes well.
    """
    weights = 4 / len(_CIRCLE) * np.cos(2 * _TURN * _CIRCLE)

    def slope(_y: Any, m: Any, q: Any) -> Any:
        w = getattr(S, wave)(np.expand_dims(m, -1), np.expand_dims(q, -1), _CIRCLE)[0]
        return np.sum(np.multiply(weights, np.multiply(w, w)), axis=-1)

    return slope


for _value, _waves in (("mathieu_a", "mathieu_cem"), ("mathieu_b", "mathieu_sem")):
    special(_value, "m, the order", _along_q(_waves), cases=("2, 0.7",), notes="first derivatives")


def _mathieu(eigenvalue: str, cosine: Any, sign: int, unit: float) -> Any:
    """``w'' = sign (2 q cos 2x - a) w``, where the second result is already w'."""

    def slopes(y: Any, m: Any, q: Any, x: Any) -> Any:
        wave = np.multiply(np.multiply(2, q), cosine(np.multiply(2 * unit, x)))
        bend = np.multiply(sign * unit, np.subtract(wave, getattr(S, eigenvalue)(m, q)))
        return np.multiply(unit, y[1]), np.multiply(bend, y[0])

    return slopes


for _even, _value in (("ce", "mathieu_a"), ("se", "mathieu_b")):
    several(f"mathieu_{_even}m", "m, the order", "q", _mathieu(_value, np.cos, 1, _TURN),
            cases=("2, 0.7, np.zeros(3) + 40 * P(3)",))
    for _number in "12":
        several(f"mathieu_mod{_even}m{_number}", "m, the order", "q", _mathieu(_value, np.cosh, -1, 1.0),
                cases=("2, 0.7, np.zeros(3) + P(3)",))

# ---------------------------------------------------------------------- spheroidal wave functions

_WAVE = ("m, the mode", "n, the mode", "c, the parameter")


def _wave(given: bool, family: str, stretch: int, side: int) -> Any:
    """The spheroidal wave equation, ``side (1 - side x^2) w'' - 2 x w' + (cv + stretch c^2 x^2 - m^2 / ...) w = 0``.

    The second result is w' already; `given` tells whether the eigenvalue cv is an operand.
    """

    def slopes(y: Any, m: Any, n: Any, c: Any, *rest: Any) -> Any:
        cv, x = rest if given else (getattr(S, f"{family}_cv")(m, n, c), rest[0])
        square = np.multiply(x, x)
        span = np.subtract(1, np.multiply(side, square))
        well = np.subtract(np.multiply(stretch, np.multiply(np.multiply(c, c), square)),
                           np.divide(np.multiply(m, m), span))
        pull = np.subtract(np.multiply(np.multiply(2, x), y[1]), np.multiply(np.add(cv, well), y[0]))
        return y[1], np.multiply(side, np.divide(pull, span))

    return slopes


for _family, _kind, _stretch, _side, _at in (
        ("pro", "ang1", -1, 1, "P(3) / 3"), ("pro", "rad1", -1, 1, "1.2 + P(3)"), ("pro", "rad2", -1, 1, "1.7"),
        ("obl", "ang1", 1, 1, "P(3) / 3"), ("obl", "rad1", -1, -1, "P(3)"), ("obl", "rad2", -1, -1, "0.7")):
    several(f"{_family}_{_kind}", *_WAVE, _wave(False, _family, _stretch, _side), cases=(f"1, 2, 0.7, {_at}",))
    several(f"{_family}_{_kind}_cv", *_WAVE, "cv, the eigenvalue", _wave(True, _family, _stretch, _side),
            cases=(f"1, 2, 0.7, float(scipy.special.{_family}_cv(1, 2, 0.7)), {_at}",))
unknown("obl_cv", *_WAVE, cases=("1, 2, 0.7",))
unknown("pro_cv", *_WAVE, cases=("1, 2, 0.7",))

__all__: list[str] = []
