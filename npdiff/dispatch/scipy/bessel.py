"""scipy.special: Bessel, spherical Bessel, Airy, Kelvin, Struve and parabolic cylinder functions.

Formulas: NIST Digital Library of Mathematical Functions, chapters 9 to 12; Abramowitz and Stegun, chapters 9 to 12.
No derivative with respect to an order has a closed form: asking for it is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.dispatch.rules import strong_multiply
from npdiff.dispatch.scipy.declare import S, is_complex, no_partial, over, several, special, special_jvp

_ORDER = "v, the order"
_Z = ("1.7, P(3)", "0, A(3)", "2.5, C(3)", "I(3), P(3)")
_REAL = ("P(3)", "P()[()]")


def _half(a: Any, b: Any) -> Any:
    return np.multiply(0.5, np.add(a, b))


def _half_gap(a: Any, b: Any) -> Any:
    return np.multiply(0.5, np.subtract(a, b))


def _around(f: Any, v: Any, z: Any) -> tuple[Any, Any]:
    return f(np.subtract(v, 1), z), f(np.add(v, 1), z)


# ---------------------------------------------------------------------- order 0 and 1

special("j0", lambda _y, x: np.negative(S.j1(x)))
special("y0", lambda _y, x: np.negative(S.y1(x)), cases=_REAL)
special("i0", lambda _y, x: S.i1(x))
special("k0", lambda _y, x: np.negative(S.k1(x)), cases=_REAL)
special("j1", lambda _y, x: _half_gap(S.j0(x), S.jv(2, x)))
special("y1", lambda y, x: np.subtract(S.y0(x), np.divide(y, x)), cases=_REAL)
special("i1", lambda _y, x: _half(S.i0(x), S.iv(2, x)))
special("k1", lambda y, x: np.negative(np.add(S.k0(x), np.divide(y, x))), cases=_REAL)
special("i0e", lambda y, x: np.subtract(S.i1e(x), np.multiply(np.sign(x), y)))
special("i1e", lambda y, x: np.subtract(_half(S.i0e(x), S.ive(2, x)), np.multiply(np.sign(x), y)))
special("k0e", lambda y, x: np.subtract(y, S.k1e(x)), cases=_REAL)
special("k1e", lambda y, x: np.subtract(y, np.add(S.k0e(x), np.divide(y, x))), cases=_REAL)

# ---------------------------------------------------------------------- any order


def _cylinder(name: str) -> Any:
    """J, Y and H: the derivative is half the difference of the neighbouring orders."""
    return lambda _y, v, z: _half_gap(*_around(getattr(S, name), v, z))


for _kind in ("jv", "hankel1", "hankel2"):
    special(_kind, _ORDER, _cylinder(_kind), cases=_Z)
special("yv", _ORDER, _cylinder("yv"), cases=("1.7, P(3)", "2.5, C(3)", "I(3), P(3)"))
special("yn", "n, the order", _cylinder("yv"), cases=("2, P(3)", "I(3), P(3)"))
special("iv", _ORDER, lambda _y, v, z: _half(*_around(S.iv, v, z)), cases=_Z)
special("kv", _ORDER, lambda _y, v, z: np.negative(_half(*_around(S.kv, v, z))), cases=("1.7, P(3)", "2.5, C(3)"))
special("kn", "n, the order", lambda _y, n, x: np.negative(_half(*_around(S.kv, n, x))),
        cases=("2, P(3)", "I(3), P(3)"))
special("kve", _ORDER, lambda y, v, z: np.subtract(y, _half(*_around(S.kve, v, z))), cases=("1.7, P(3)", "2.5, C(3)"))
special("hankel1e", _ORDER, lambda y, v, z: np.subtract(_half_gap(*_around(S.hankel1e, v, z)), np.multiply(1j, y)),
        cases=("1.7, P(3)", "2.5, C(3)"))
special("hankel2e", _ORDER, lambda y, v, z: np.add(_half_gap(*_around(S.hankel2e, v, z)), np.multiply(1j, y)),
        cases=("1.7, P(3)", "2.5, C(3)"))


def _scaled(name: str, neighbours: Any, part: Any) -> None:
    """Row of a function scaled by ``exp(-|part of z|)``, which is differentiable over the reals only."""
    order = no_partial(name, _ORDER)

    def jvp(y: Any, primals: Any, tangents: Any) -> Any:
        (v, z), (dv, dz) = primals, tangents
        if dv is not None:
            order.refuse(None, None, v, z)
        if dz is None:
            return None
        scale = np.multiply(np.sign(part(z)), part(dz))
        slope = neighbours(*_around(getattr(S, name), v, z))
        return np.subtract(strong_multiply(dz, slope), strong_multiply(scale, y))

    special_jvp(name, jvp, cases=("1.7, P(3)", "2.5, C(3)"))


_scaled("jve", _half_gap, np.imag)
_scaled("yve", _half_gap, np.imag)
_scaled("ive", _half, np.real)

# ---------------------------------------------------------------------- spherical Bessel functions


def _spherical(name: str, sign_below: int, sign_above: int) -> None:
    """``(2n+1) f_n' = +-n f_(n-1) +- (n+1) f_(n+1)`` (DLMF 10.51)."""
    f = getattr(S, name)

    def slope(_y: Any, n: Any, z: Any) -> Any:
        below = np.multiply(sign_below, np.multiply(n, f(np.maximum(np.subtract(n, 1), 0), z)))
        above = np.multiply(sign_above, np.multiply(np.add(n, 1), f(np.add(n, 1), z)))
        return np.divide(np.add(below, above), np.add(np.multiply(2, n), 1))

    def curvature(y: Any, n: Any, z: Any) -> Any:
        # z^2 f'' + 2 z f' + (+-z^2 - n (n+1)) f = 0 (DLMF 10.47.1, 10.47.2)
        square = np.multiply(z, z)
        rest = np.subtract(np.multiply(n, np.add(n, 1)), square if sign_below * sign_above < 0 else np.negative(square))
        return np.divide(np.subtract(np.multiply(rest, f(n, z)), np.multiply(2, np.multiply(z, y))), square)

    special(name, "n, the order", slope, cases=("2, P(3)", "I(3), P(3)", "1, C(3)"))
    special(f"{name}_d", "n, the order", curvature, cases=("2, P(3)", "1, C(3)"))


_spherical("_spherical_jn", 1, -1)
_spherical("_spherical_yn", 1, -1)
_spherical("_spherical_in", 1, 1)
_spherical("_spherical_kn", -1, -1)

# ---------------------------------------------------------------------- integrals of Bessel functions


def _less_one(f: Any, x: Any) -> Any:
    return over(np.subtract(f(x), 1), x, 0)


several("itj0y0", lambda _y, x: (S.j0(x), S.y0(x)), cases=_REAL)
several("iti0k0", lambda _y, x: (S.i0(x), S.k0(x)), cases=_REAL)
several("it2j0y0", lambda _y, x: (np.negative(_less_one(S.j0, x)), np.negative(np.divide(S.y0(x), x))), cases=_REAL)
several("it2i0k0", lambda _y, x: (_less_one(S.i0, x), np.negative(np.divide(S.k0(x), x))), cases=_REAL)
special("besselpoly", lambda _y, a, p, v: np.subtract(S.besselpoly(a, np.add(p, 1), np.subtract(v, 1)),
                                                      S.besselpoly(a, np.add(p, 1), np.add(v, 1))),
        "lmb, the power", "nu, the order", cases=("P(3), 1.5, 2", "P(3), 0.5, 1.5"))
special("wright_bessel", "a", "b", lambda _y, a, b, x: S.wright_bessel(a, np.add(a, b), x), cases=("0.7, 1.2, P(3)",))
special("log_wright_bessel", "a", "b",
        lambda y, a, b, x: np.exp(np.subtract(S.log_wright_bessel(a, np.add(a, b), x), y)), cases=("0.7, 1.2, P(3)",))

# ---------------------------------------------------------------------- Airy functions

several("airy", lambda y, z: (y[1], np.multiply(z, y[0]), y[3], np.multiply(z, y[2])), cases=("A(3)", "C(3)"))
several("itairy", lambda _y, x: (S.airy(x)[0], S.airy(x)[2], S.airy(np.negative(x))[0], S.airy(np.negative(x))[2]),
        cases=("P(3)", "-P(3)"))


def _airye_jvp(y: Any, primals: Any, tangents: Any) -> Any:
    # Ai is scaled by exp(w), Bi by exp(-|Re w|), with w = 2/3 z^(3/2)
    (z,), (t,) = primals, tangents
    if t is None:
        return None, None, None, None
    ai, aip, bi, bip = y
    # At negative real z, where w is imaginary, Ai is NaN and Bi is not scaled.
    root = np.sqrt(z) if is_complex(z) else np.sqrt(np.maximum(z, 0))
    shift = strong_multiply(t, root)
    size = np.multiply(np.sign(np.real(np.multiply(root, z))), np.real(shift))
    along = strong_multiply(t, z)
    return (np.add(strong_multiply(t, aip), np.multiply(shift, ai)),
            np.add(np.multiply(along, ai), np.multiply(shift, aip)),
            np.subtract(strong_multiply(t, bip), np.multiply(size, bi)),
            np.subtract(np.multiply(along, bi), np.multiply(size, bip)))


special_jvp("airye", _airye_jvp, cases=("P(3)", "C(3)"))

# ---------------------------------------------------------------------- Kelvin functions

for _value, _slope in (("ber", "berp"), ("bei", "beip"), ("ker", "kerp"), ("kei", "keip")):
    special(_value, (lambda name: lambda _y, x: getattr(S, name)(x))(_slope), cases=_REAL)


def _kelvin(other: str, sign: int) -> Any:
    """w = ber + i bei and w = ker + i kei solve ``x^2 w'' + x w' - i x^2 w = 0``."""
    return lambda y, x: np.subtract(np.multiply(sign, getattr(S, other)(x)), np.divide(y, x))


for _value, _other, _sign in (("berp", "bei", -1), ("beip", "ber", 1), ("kerp", "kei", -1), ("keip", "ker", 1)):
    special(_value, _kelvin(_other, _sign), cases=_REAL)
several("kelvin", lambda y, x: (y[2], y[3], np.subtract(np.multiply(1j, y[0]), np.divide(y[2], x)),
                                np.subtract(np.multiply(1j, y[1]), np.divide(y[3], x))), cases=_REAL)

# ---------------------------------------------------------------------- Struve functions


def _struve(name: str) -> Any:
    """``f_v' = f_(v-1) - (v / x) f_v`` (DLMF 11.4.27, 11.4.29)."""
    return lambda y, v, x: np.subtract(getattr(S, name)(np.subtract(v, 1), x), np.divide(np.multiply(v, y), x))


special("struve", _ORDER, _struve("struve"), cases=("1.7, P(3)", "0, P(3)"))
special("modstruve", _ORDER, _struve("modstruve"), cases=("1.7, P(3)", "0, P(3)"))
special("itstruve0", lambda _y, x: S.struve(0, x), cases=_REAL)
special("it2struve0", lambda _y, x: np.negative(np.divide(S.struve(0, x), x)), cases=_REAL)
special("itmodstruve0", lambda _y, x: S.modstruve(0, x), cases=_REAL)

# ---------------------------------------------------------------------- parabolic cylinder functions


def _weber(v: Any, x: Any) -> Any:
    """``x^2 / 4 - v - 1/2``, the ratio of D_v'' to D_v."""
    return np.subtract(np.multiply(0.25, np.multiply(x, x)), np.add(v, 0.5))


for _kind in ("pbdv", "pbvv"):
    several(_kind, _ORDER, lambda y, v, x: (y[1], np.multiply(_weber(v, x), y[0])), cases=("1.5, A(3)",))
several("pbwa", "a", lambda y, a, x: (y[1], np.multiply(np.subtract(a, np.multiply(0.25, np.multiply(x, x))), y[0])),
        cases=("1.5, A(3)",))

__all__: list[str] = []
