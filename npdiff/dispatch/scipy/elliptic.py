"""scipy.special: elliptic integrals and functions, arithmetic-geometric mean, hypergeometric functions.

Formulas: NIST Digital Library of Mathematical Functions, chapters 13, 15, 16, 19 and 22; for the derivatives of
Carlson's integrals 19.18 with 19.20 and 19.21.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.dispatch.scipy.declare import S, several, special

# ---------------------------------------------------------------------- Carlson's symmetric integrals


def _first(x: Any, y: Any, z: Any) -> Any:
    """The derivative of R_F(x, y, z) with respect to x."""
    return np.multiply(-1 / 6, S.elliprd(y, z, x))


def _mixed(y: Any, x: Any, other: Any, z: Any) -> Any:
    """The derivative of R_D(x, other, z) with respect to x, from R_F's own (DLMF 19.18.6); its limit where x = z."""
    gap = np.subtract(x, z)
    tie = np.equal(gap, 0)
    safe = np.where(tie, z, 1)
    ratio = np.subtract(1, np.divide(other, safe))
    limit = np.multiply(-0.3, np.multiply(np.power(safe, -2.5), S.hyp2f1(2.5, 0.5, 3.5, np.where(tie, ratio, 0))))
    slope = np.divide(np.subtract(S.elliprd(other, z, x), y), np.multiply(2, np.where(tie, 1, gap)))
    return np.where(tie, limit, slope)


def _times(x: Any, slope: Any) -> Any:
    """``x * slope``, and 0 where x is 0 and the slope infinite."""
    return np.where(np.equal(x, 0), 0, np.multiply(x, slope))


def _last(r: Any, x: Any, y: Any, z: Any) -> Any:
    """The derivative of R_D(x, y, z) with respect to z: R_D is homogeneous of degree -3/2."""
    rest = np.add(_times(x, _mixed(r, x, y, z)), _times(y, _mixed(r, y, x, z)))
    return np.negative(np.divide(np.add(np.multiply(1.5, r), rest), z))


def _surface(x: Any, y: Any, z: Any) -> Any:
    """The derivative of R_G(x, y, z) with respect to x."""
    return np.multiply(0.25, np.subtract(S.elliprf(x, y, z), np.multiply(1 / 3, np.multiply(x, S.elliprd(y, z, x)))))


def _degenerate_first(_r: Any, x: Any, y: Any) -> Any:
    return _first(x, y, y)


def _degenerate_last(r: Any, x: Any, y: Any) -> Any:
    # R_C is homogeneous of degree -1/2; this holds for its principal value at negative y too
    return np.negative(np.divide(np.add(np.multiply(0.5, r), np.multiply(x, _degenerate_first(r, x, y))), y))


special("elliprf", lambda _r, x, y, z: _first(x, y, z), lambda _r, x, y, z: _first(y, z, x),
        lambda _r, x, y, z: _first(z, x, y), cases=("P(3), P(3), P(3)",))
special("elliprd", lambda r, x, y, z: _mixed(r, x, y, z), lambda r, x, y, z: _mixed(r, y, x, z), _last,
        cases=("P(3), P(3), P(3)",))
special("elliprg", lambda _r, x, y, z: _surface(x, y, z), lambda _r, x, y, z: _surface(y, z, x),
        lambda _r, x, y, z: _surface(z, x, y), cases=("P(3), P(3), P(3)",))
special("elliprc", _degenerate_first, _degenerate_last, cases=("P(2, 1), P(3)",))


def _third(r: Any, x: Any, y: Any, z: Any, p: Any) -> Any:
    """The derivative of R_J(x, y, z, p) with respect to x, by partial fractions (19.16.2); its limit where x = p."""
    gap = np.subtract(p, x)
    tie = np.equal(gap, 0)
    other = S.elliprd(y, z, x)
    slope = np.divide(np.subtract(r, other), np.multiply(2, np.where(tie, 1, gap)))
    return np.where(tie, np.multiply(1 / 3, _last(other, y, z, x)), slope)


def _along_p(r: Any, x: Any, y: Any, z: Any, p: Any) -> Any:
    """The derivative of R_J(x, y, z, p) with respect to p: R_J is homogeneous of degree -3/2."""
    rest = np.add(np.add(_times(x, _third(r, x, y, z, p)), _times(y, _third(r, y, z, x, p))),
                  _times(z, _third(r, z, x, y, p)))
    return np.negative(np.divide(np.add(np.multiply(1.5, r), rest), p))


special("elliprj", _third, lambda r, x, y, z, p: _third(r, y, z, x, p), lambda r, x, y, z, p: _third(r, z, x, y, p),
        _along_p, cases=("P(3), P(3), P(3), 2 + P(3)", "0.0, P(3), 1.2, 0.7"))

# ---------------------------------------------------------------------- complete integrals


def _k_slope(m: Any) -> Any:
    return np.multiply(np.pi / 8, S.hyp2f1(1.5, 1.5, 2, m))


def _e_slope(m: Any) -> Any:
    return np.multiply(-np.pi / 8, S.hyp2f1(0.5, 1.5, 2, m))


special("ellipk", lambda _y, m: _k_slope(m), cases=("U(3)", "-3 * P(3)"))
special("ellipe", lambda _y, m: _e_slope(m), cases=("U(3)", "-3 * P(3)"))
special("ellipkm1", lambda _y, p: np.multiply(-1 / 6, S.elliprd(0, 1, p)), cases=("P(3)",))


def _agm_slope(y: Any, a: Any, b: Any) -> Any:
    # 1 / agm(a, b) = 2 / pi R_F(0, a^2, b^2)
    cube = S.elliprd(0, np.multiply(b, b), np.multiply(a, a))
    return np.multiply(2 / (3 * np.pi), np.multiply(np.absolute(a), np.multiply(np.multiply(y, y), cube)))


special("agm", _agm_slope, lambda y, a, b: _agm_slope(y, b, a), cases=("P(2, 1), P(3)", "-P(3), -P(3)"))

# ---------------------------------------------------------------------- incomplete integrals and Jacobi's functions


def _delta(phi: Any, m: Any) -> Any:
    sine = np.sin(phi)
    return np.sqrt(np.subtract(1, np.multiply(m, np.multiply(sine, sine))))


def _turns(phi: Any) -> tuple[Any, Any, Any, Any]:
    """How many half turns lie in an angle, and sin, cos^2 and sin^2 of what is left."""
    turns = np.rint(np.divide(phi, np.pi))
    sine = np.sin(np.subtract(phi, np.multiply(np.pi, turns)))
    square = np.multiply(sine, sine)
    return turns, sine, np.subtract(1, square), square


def _f_along_m(phi: Any, m: Any) -> Any:
    turns, sine, rest, square = _turns(phi)
    part = S.elliprd(rest, 1, np.subtract(1, np.multiply(m, square)))
    whole = np.multiply(np.multiply(2, turns), np.where(np.equal(turns, 0), 0, _k_slope(m)))
    return np.add(whole, np.multiply(1 / 6, np.multiply(np.multiply(sine, square), part)))


def _e_along_m(phi: Any, m: Any) -> Any:
    turns, sine, rest, square = _turns(phi)
    part = S.elliprd(rest, np.subtract(1, np.multiply(m, square)), 1)
    whole = np.multiply(np.multiply(2, turns), np.where(np.equal(turns, 0), 0, _e_slope(m)))
    return np.subtract(whole, np.multiply(1 / 6, np.multiply(np.multiply(sine, square), part)))


special("ellipkinc", lambda _y, phi, m: np.divide(1, _delta(phi, m)), lambda _y, phi, m: _f_along_m(phi, m),
        cases=("P(2, 1), P(3) / 3", "5.0, U(3)"))
special("ellipeinc", lambda _y, phi, m: _delta(phi, m), lambda _y, phi, m: _e_along_m(phi, m),
        cases=("P(2, 1), P(3) / 3", "5.0, U(3)"))


def _jacobi_along_u(y: Any, _u: Any, m: Any) -> Any:
    sn, cn, dn, _ = y
    return (np.multiply(cn, dn), np.negative(np.multiply(sn, dn)), np.negative(np.multiply(m, np.multiply(sn, cn))), dn)


def _jacobi_along_m(y: Any, _u: Any, m: Any) -> Any:
    # ph is where ellipkinc(ph, m) = u
    sn, cn, dn, ph = y
    turn = np.negative(np.multiply(dn, _f_along_m(ph, m)))
    bend = np.add(np.multiply(sn, sn), np.multiply(np.multiply(2, m), np.multiply(np.multiply(sn, cn), turn)))
    return np.multiply(cn, turn), np.negative(np.multiply(sn, turn)), np.divide(bend, np.multiply(-2, dn)), turn


several("ellipj", _jacobi_along_u, _jacobi_along_m, cases=("P(2, 1), P(3) / 3", "A(3), 0.0"))

# ---------------------------------------------------------------------- hypergeometric functions

special("hyp0f1", "v", lambda _y, v, z: np.divide(S.hyp0f1(np.add(v, 1), z), v), cases=("1.7, A(3)", "1.7, C(3)"))
special("hyp1f1", "a", "b",
        lambda _y, a, b, x: np.multiply(np.divide(a, b), S.hyp1f1(np.add(a, 1), np.add(b, 1), x)),
        cases=("1.7, 2.3, A(3)", "1.7, 2.3, C(3)"))
special("hyp2f1", "a", "b", "c",
        lambda _y, a, b, c, z: np.multiply(np.divide(np.multiply(a, b), c),
                                           S.hyp2f1(np.add(a, 1), np.add(b, 1), np.add(c, 1), z)),
        cases=("0.7, 1.2, 2.5, U(3)", "0.7, 1.2, 2.5, 0.3 * C(3)"))
special("hyperu", "a", "b",
        lambda _y, a, b, x: np.negative(np.multiply(a, S.hyperu(np.add(a, 1), np.add(b, 1), x))),
        cases=("1.7, 2.3, P(3)",))

__all__: list[str] = []
