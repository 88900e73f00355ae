"""Write npdiff/kernels/vecmath/coefficients.py: every constant of the vector math functions.

    python tools/vector_math_coefficients.py

Method: each polynomial interpolates its function at the Chebyshev nodes of the interval, solved in 200 digits with
mpmath and then rounded (E. W. Cheney, Introduction to Approximation Theory, section 3.3: such a polynomial is within a
small factor of the best one). The degree is the smallest whose error, relative to the whole function it is part of,
stays below 2**-56 (float64) or 2**-27 (float32), an eighth of a unit in the last place. The longer ones are the best
there are, found by Remez's exchange (the same, section 3.8). Constants such as pi are split into parts of the given
precision that add up to it (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import matrix, mp, mpf
from mpmath import mp as m

TARGET = Path(__file__).resolve().parent.parent / "npdiff" / "kernels" / "vecmath" / "coefficients.py"
GOAL = {8: -56.0, 4: -27.0}

Function = Callable[[Any], Any]


def interpolate(f: Function, low: Any, high: Any, degree: int) -> list[Any]:
    """Coefficients, lowest first, of the polynomial through the Chebyshev nodes."""
    nodes = [(low + high) / 2 + (high - low) / 2 * mp.cos((2 * k + 1) * mp.pi / (2 * (degree + 1)))
             for k in range(degree + 1)]
    powers, values = matrix(degree + 1, degree + 1), matrix(degree + 1, 1)
    for i, x in enumerate(nodes):
        values[i] = f(x)
        for j in range(degree + 1):
            powers[i, j] = x**j
    return list(mp.lu_solve(powers, values))


def value_of(coefficients: list[Any], x: Any) -> Any:
    """A polynomial, given from the lowest power on."""
    total = mpf(0)
    for c in reversed(coefficients):
        total = total * x + c
    return total


def fit(f: Function, weight: Function, low: Any, high: Any, goal: float) -> list[Any]:
    """The shortest polynomial with ``|p - f| * weight < 2**goal`` on the interval."""
    low, high = mpf(low), mpf(high)
    points = [low + (high - low) * k / 400 for k in range(401)]
    exact = [(x, f(x), weight(x)) for x in points]
    for degree in range(1, 60):
        c = interpolate(f, low, high, degree)
        if max(abs(value_of(c, x) - y) * abs(w) for x, y, w in exact) < mpf(2)**goal:
            return c
    raise ArithmeticError("no polynomial of degree below 60 is good enough")


def exchange(f: Function, weight: Function, low: Any, high: Any, degree: int, goal: float) -> list[Any]:
    """The polynomial of least ``max |p - f| * weight``, which has to be below ``2**goal``."""
    low, high = mpf(low), mpf(high)
    count = 12 * (degree + 2)
    points = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * k / count) for k in range(count + 1)]
    values, weights = [f(x) for x in points], [weight(x) for x in points]
    at = [round(count * k / (degree + 1)) for k in range(degree + 2)]
    for _ in range(12):
        system, right = matrix(degree + 2, degree + 2), matrix(degree + 2, 1)
        for i, j in enumerate(at):
            for k in range(degree + 1):
                system[i, k] = points[j]**k
            system[i, degree + 1] = (-1)**i / weights[j]
            right[i] = values[j]
        *c, level = mp.lu_solve(system, right)
        errors = [(value_of(c, x) - y) * w for x, y, w in zip(points, values, weights, strict=True)]
        largest = max(map(abs, errors))
        if largest < abs(level) * mpf("1.1"):
            break
        # The largest error of each run of one sign.
        at = [0]
        for j in range(1, count + 1):
            if (errors[j] > 0) != (errors[at[-1]] > 0):
                at.append(j)
            elif abs(errors[j]) > abs(errors[at[-1]]):
                at[-1] = j
        while len(at) > degree + 2:
            del at[0 if abs(errors[at[0]]) < abs(errors[at[-1]]) else -1]
        if len(at) < degree + 2:
            break
    if largest >= mpf(2)**goal:
        raise ArithmeticError(f"the error is 2**{float(mp.log(largest, 2)):.2f}")
    return c


def series(f: Function) -> Function:
    """`f` of a variable that may be zero: there, its value a little further on."""
    return lambda z: f(z if abs(z) > mpf(10)**-30 else mpf(10)**-30)


def odd(f: Function) -> tuple[Function, Function]:
    """For an odd f with f(x) = x + x^3 P(x^2): P as a function of z = x^2, and its weight in f."""
    def rest(z: Any) -> Any:
        x = mp.sqrt(z)
        return (f(x) - x) / x**3
    return series(rest), series(lambda z: z * mp.sqrt(z) / f(mp.sqrt(z)))


mp.dps = 200

HALF_LN2 = m.log(2) / 2 * mpf("1.001")
QUARTER_PI = m.pi / 4 * mpf("1.001")
# s = (m - 1) / (m + 1) for m between sqrt(1/2) and sqrt(2)
LARGEST_S2 = ((m.sqrt(2) - 1) / (m.sqrt(2) + 1))**2 * mpf("1.001")


def _polynomials() -> dict[str, tuple[Function, Function, Any, Any]]:
    sin, sin_w = odd(mp.sin)
    asin, asin_w = odd(mp.asin)
    atan, atan_w = odd(mp.atan)
    sinh, sinh_w = odd(mp.sinh)
    return {
        "EXP": (series(lambda r: (mp.exp(r) - 1 - r) / r**2), lambda r: r * r, -HALF_LN2, HALF_LN2),
        "EXPM1": (series(lambda r: (mp.exp(r) - 1 - r) / r**2), series(lambda r: r * r / mp.expm1(r)),
                  -HALF_LN2, HALF_LN2),
        "SINH": (sinh, sinh_w, 0, HALF_LN2**2),
        "COSH": (series(lambda z: (mp.cosh(mp.sqrt(z)) - 1 - z / 2) / z**2), lambda z: z * z, 0, HALF_LN2**2),
        "SIN": (sin, sin_w, 0, QUARTER_PI**2),
        "COS": (series(lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2), lambda z: z * z, 0, QUARTER_PI**2),
        "LOG": (series(lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z), lambda z: z / 2, 0, LARGEST_S2),
        # log(m) / (2 s) = 1 + z / 3 + z^2 P(z)
        "POW": (series(lambda z: (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1 - z / 3) / z**2), lambda z: z * z * 2**11,
                0, LARGEST_S2),
        "ASIN": (asin, asin_w, 0, mpf("0.2501")),
        "ATAN": (atan, atan_w, 0, ((m.sqrt(2) - 1) * mpf("1.001"))**2),
    }


def _erfcx(a: Any) -> Any:
    return mp.exp(a * a) * mp.erfc(a)


def _by_distance(t: Any) -> Any:
    """(1 + 2 a) erfcx(a) with t = (a - 4) / (a + 4)"""
    a = 4 * (1 + t) / (1 - t)
    return (1 + 2 * a) * _erfcx(a)


def _far(f: Function) -> Function:
    """`f` of 1 / sqrt(z)."""
    return lambda z: f(1 / mp.sqrt(z))


def _stirling(x: Any) -> Any:
    return x * (mp.loggamma(x) - (x - mpf(1) / 2) * mp.log(x) + x - mp.log(2 * mp.pi) / 2)


def _bessel_near(order: int) -> Function:
    """exp(-a) (1 + a) I0(a) or exp(-a) (2 + a)**2 I1(a) / a, as a function of a / 4 - 1."""
    def f(t: Any) -> Any:
        a = 4 * (t + 1)
        return mp.exp(-a) * mp.besseli(order, a) * ((2 + a)**2 / a if order else 1 + a)
    return f


def _bessel_far(order: int) -> Function:
    """sqrt(a) exp(-a) times a modified Bessel function, as a function of 16 / a - 1."""
    def f(s: Any) -> Any:
        w = (s + 1) / 16
        if w > mpf("0.01"):
            return mp.exp(-1 / w) * mp.besseli(order, 1 / w) / mp.sqrt(w)
        # The asymptotic series (DLMF 10.40.1)
        total, term = mpf(0), 1 / mp.sqrt(2 * mp.pi)
        for k in range(1, 60):
            total += term
            term *= -w * (4 * order**2 - (2 * k - 1)**2) / (8 * k)
        return total
    return f


def relative(f: Function) -> Function:
    """The weight of relative errors."""
    return lambda x: 1 / f(x)


def exchanged() -> dict[str, tuple[Function, Function, dict[int, tuple[Any, Any, int]]]]:
    """Functions, weights, and by item size the interval and the degree."""
    root = mp.findroot(mp.digamma, mpf("1.46"))
    erf = series(lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1)
    least = mpf(10)**-12  # for what has no value at 0
    sin_pi = series(lambda z: (mp.sin(mp.pi * mp.sqrt(z)) / mp.pi / mp.sqrt(z) - 1) / z)
    cos_pi = series(lambda z: (mp.cos(mp.pi * mp.sqrt(z)) - 1) / z)
    far = {8: mpf(28), 4: mpf(11)}
    ends = {size: (a - 4) / (a + 4) for size, a in far.items()}

    def digamma(u: Any) -> Any:
        y = u + mpf("1.5") - root
        return mp.digamma(root + y) / y if abs(y) > mpf(10)**-30 else mp.psi(1, root)

    def lgamma(t: Any) -> Any:
        near = (mp.zeta(2) - 1) / 2 + t * (1 - mp.zeta(3)) / 3
        return (mp.loggamma(2 + t) / t - 1 + mp.euler) / t if abs(t) > mpf(10)**-20 else near

    def both(low: Any, high: Any, double: int, single: int) -> dict[int, tuple[Any, Any, int]]:
        return {8: (low, high, double), 4: (low, high, single)}

    def normal(z: Any) -> Any:
        return mp.erf(mp.sqrt(z / 2)) / 2 / mp.sqrt(z)

    out: dict[str, tuple[Function, Function, dict[int, tuple[Any, Any, int]]]] = {
        "NDTR": (normal, lambda z: 4, both(least, mpf("1.124"), 10, 5)),
        "ERF": (erf, lambda z: 1, both(0, mpf("0.5626"), 10, 5)),
        "LOG_ERFC": (lambda u: -mp.log(mp.erfc(u + mpf("0.5"))), lambda u: mp.erfc(u + mpf("0.5")),
                     {8: (0, mpf("5.5"), 20), 4: (0, mpf("3.5"), 6)}),
        "ERFCX": (_by_distance, relative(_by_distance), {8: (-1, ends[8], 22), 4: (-1, ends[4], 11)}),
        "ERFCX_FAR": (_far(lambda a: a * _erfcx(a)), lambda z: 2,
                      {8: (least, far[8]**-2, 5), 4: (least, far[4]**-2, 3)}),
        "LGAMMA": (lgamma, lambda t: 2 * max(abs(t), mpf("0.01")), both(mpf("-0.601"), mpf("0.5"), 18, 8)),
        "STIRLING": (_far(_stirling), _far(lambda x: 1 / x / mp.loggamma(x)), both(least, mpf("5.5")**-2, 6, 1)),
        "DIGAMMA": (digamma, relative(digamma), both(mpf("-0.5"), mpf("0.5"), 22, 10)),
        "DIGAMMA_FAR": (_far(lambda x: (mp.digamma(x) - mp.log(x) + 1 / (2 * x)) * x**2),
                        _far(lambda x: 1 / x**2 / mp.digamma(x)), both(least, mpf(5)**-2, 7, 2)),
        "SIN_PI": (sin_pi, lambda z: mpf("0.0626"), both(0, mpf("0.0626"), 5, 3)),
        "COS_PI": (cos_pi, lambda z: mpf("0.0626"), both(0, mpf("0.0626"), 6, 3)),
    }
    for order in (0, 1):
        near, beyond = _bessel_near(order), _bessel_far(order)
        out[f"I{order}"] = near, relative(near), both(least - 1, 1, 29, 18)
        out[f"I{order}_FAR"] = beyond, relative(beyond), both(-1, 1, 24, 6)
    return out


# Polynomials whose first coefficient is kept in two words.
LONG = ("NDTR", "ERFCX", "I0", "I0_FAR", "I1", "I1_FAR")


def rounded(values: list[Any], size: int) -> tuple[float, ...]:
    """In the precision of a dtype of `size` bytes."""
    return tuple(float(v) if size == 8 else nearest32(v) for v in values)


def nearest32(value: Any) -> float:
    """The float32 nearest to a number of mpmath."""
    with mp.workprec(24):
        return float(np.float32(float(+value)))


def split(value: Any, parts: int, size: int, bits: int | None = None) -> tuple[float, ...]:
    """Numbers that add up to `value`; all but the last have at most `bits` significant bits."""
    out = []
    for k in range(parts):
        with mp.workprec(bits if bits is not None and k < parts - 1 else 53 if size == 8 else 24):
            head = +value
        out.append(float(head))
        value = value - head
    return tuple(out)


def tables(long: bool = True) -> dict[str, dict[int, tuple[float, ...]]]:
    """All constants by name and item size, with or without the polynomials found by exchange, which take long."""
    out: dict[str, dict[int, tuple[float, ...]]] = {}
    for name, (f, weight, low, high) in _polynomials().items():
        out[name] = {size: rounded(fit(f, weight, low, high, goal), size) for size, goal in GOAL.items()}
    with mp.workdps(60):
        for name, (f, weight, by_size) in exchanged().items() if long else ():
            out[name] = {}
            for size, (low, high, degree) in by_size.items():
                try:
                    found = exchange(f, weight, low, high, degree, GOAL[size])
                except ArithmeticError as error:
                    raise ArithmeticError(f"{name}, {size} bytes: {error}") from None
                out[name][size] = rounded(found, size)
                if name in LONG:
                    out.setdefault(f"{name}_REST", {})[size] = split(found[0], 2, size)[1:]
    # The start of a Newton iteration: a fixed degree.
    start = interpolate(lambda x: x**(-mpf(1) / 3), mpf(1), mpf(8), 6)
    out["CBRT"] = {size: rounded(start, size) for size in GOAL}
    constants: dict[str, tuple[Any, int]] = {
        "LN2": (m.log(2), 2), "LOG2_E": (1 / m.log(2), 2), "LOG10_E": (1 / m.log(10), 2),
        "LOG2_10": (m.log(10, 2), 2), "ROOT_HALF": (m.sqrt(mpf(1) / 2), 2), "EULER": (m.euler, 2),
        "ONE_LESS_EULER": (1 - m.euler, 2), "DIGAMMA_ZERO": (mp.findroot(mp.digamma, mpf("1.46")) - mpf("1.5"), 2),
        "HALF_PI": (m.pi / 2, 3), "TWO_OVER_PI": (2 / m.pi, 1), "PI": (m.pi, 2), "QUARTER_PI": (m.pi / 4, 2),
        "PI_SQUARE": (m.pi**2, 2),
        "THIRD": (mpf(1) / 3, 2),
    }
    for name, (value, parts) in constants.items():
        out[name] = {size: split(value, parts, size) for size in GOAL}
    # Short heads, whose product with an exponent is exact.
    out["LN2_SHORT"] = {8: split(m.log(2), 2, 8, 42), 4: split(m.log(2), 2, 4, 16)}
    out["LOG10_2_SHORT"] = {8: split(m.log(2, 10), 2, 8, 42), 4: split(m.log(2, 10), 2, 4, 16)}
    return out


def main() -> None:
    """Write the file."""
    lines = ['"""Constants of the vector math functions, by item size of the dtype; polynomials lowest power first.',
             "", "Written by tools/vector_math_coefficients.py, which says where they come from; not to be edited.",
             '"""', "", "from __future__ import annotations", "", "TABLES: dict[str, dict[int, tuple[float, ...]]] = {"]
    for name, by_size in tables().items():
        lines.append(f'    "{name}": {{')
        for size, values in by_size.items():
            lines.append(f"        {size}: (")
            lines += [f"            {v!r}," for v in values]
            lines.append("        ),")
        lines.append("    },")
    lines.append("}")
    TARGET.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
