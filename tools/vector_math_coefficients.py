"""Write npdiff/kernels/vecmath/coefficients.py: every constant of the vector math functions.

    python tools/vector_math_coefficients.py

Method: each polynomial interpolates its function at the Chebyshev nodes of the interval, solved in 200 digits with
mpmath and then rounded (E. W. Cheney, Introduction to Approximation Theory, section 3.3: such a polynomial is within a
small factor of the best one). The degree is the smallest whose error, relative to the whole function it is part of,
stays below 2**-56 (float64) or 2**-27 (float32), an eighth of a unit in the last place. Constants such as pi are split
into parts of the given precision that add up to it (W. J. Cody and W. Waite, Software Manual for the Elementary
Functions, 1980).
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


def tables() -> dict[str, dict[int, tuple[float, ...]]]:
    """All constants by name and item size."""
    out: dict[str, dict[int, tuple[float, ...]]] = {}
    for name, (f, weight, low, high) in _polynomials().items():
        out[name] = {size: rounded(fit(f, weight, low, high, goal), size) for size, goal in GOAL.items()}
    # The start of a Newton iteration: a fixed degree.
    start = interpolate(lambda x: x**(-mpf(1) / 3), mpf(1), mpf(8), 6)
    out["CBRT"] = {size: rounded(start, size) for size in GOAL}
    constants: dict[str, tuple[Any, int]] = {
        "LN2": (m.log(2), 2), "LOG2_E": (1 / m.log(2), 2), "LOG10_E": (1 / m.log(10), 2),
        "HALF_PI": (m.pi / 2, 3), "TWO_OVER_PI": (2 / m.pi, 1), "PI": (m.pi, 2), "QUARTER_PI": (m.pi / 4, 2),
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
