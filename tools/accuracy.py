"""The largest errors of the vector math functions against mpmath; writes docs/accuracy.md.

    python tools/accuracy.py [--count N] [--only NAME ...]

For every function and dtype, N points are drawn: over all finite floats (random bits), over the ranges where the
function is steep, and around the points where an implementation changes its method. Where there is a loop for a wider
float than the dtype, NumPy's or SciPy's result in it says which points are the worst; mpmath decides about those, and
about some taken at random, more of them where there is no such loop.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import mpmath
import numpy as np
import scipy.special
from mpmath import mp, mpf

from npdiff.kernels import native
from npdiff.kernels.classify import rule_of
from npdiff.kernels.compile_cpu import compile_kernel
from npdiff.kernels.expressions import Expressions
from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Store, verify
from npdiff.kernels.vecmath.library import FUNCTIONS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "accuracy.md"
DTYPES = (np.dtype("f8"), np.dtype("f4"))
NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh",
         "acosh": "arccosh", "atanh": "arctanh", "pow": "power"}
SPECIAL = {"lgamma": "gammaln", "digamma": "psi"}
# Functions made of others in the tables of rules, and measured as a whole.
COMPOSED = ("logaddexp", "logaddexp2", "expit", "log_expit", "xlogy", "xlog1py", "entr", "rel_entr", "kl_div")
# These are only parts of others.
PARTS = ("log_ratio", "log1p_exp")
NAMES = (*[name for name in FUNCTIONS if name not in PARTS], *COMPOSED)


def _log_normal(x: Any) -> Any:
    if x > 0:
        return mp.log1p(-mp.erfc(x / mp.sqrt(2)) / 2)
    if x > -10**4:
        return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)
    return -x * x / 2 - mp.log(-x * mp.sqrt(2 * mp.pi)) + mp.log1p(-1 / x**2 + 3 / x**4)


def _scaled_erfc(x: Any) -> Any:
    if x > 10**4:
        return (1 - 1 / (2 * x**2) + 3 / (4 * x**4) - 15 / (8 * x**6)) / (x * mp.sqrt(mp.pi))
    return mp.exp(x * x) * mp.erfc(x) if x > -100 else mp.inf


def _bessel(order: int, scaled: bool) -> Callable[[Any], Any]:
    def exact(x: Any) -> Any:
        a = abs(x)
        if a > 10**3:
            if not scaled:
                return mp.inf if x > 0 or not order else -mp.inf
            # DLMF 10.40.1
            terms = [1 / mp.sqrt(2 * mp.pi * a)]
            for k in range(1, 30):
                terms.append(-terms[-1] * (4 * order**2 - (2 * k - 1)**2) / (8 * k * a))
            return sum(terms) * (mp.sign(x) if order else 1)
        return mp.besseli(order, x) * (mp.exp(-a) if scaled else 1)
    return exact


def _lgamma(x: Any) -> Any:
    if x > 0:
        return mp.loggamma(x)
    return mp.log(mp.pi / abs(mp.sinpi(x))) - mp.loggamma(1 - x) if x != mp.floor(x) else mp.inf


def _parts(x: Any, positive: Any, wave: Callable[[Any, Any], Any]) -> Any:
    """The larger part of a reflection, and at least 1; 0 where nothing is reflected."""
    if x > 0 or x == mp.floor(x):
        return 0
    return max(1, abs(positive), abs(wave(abs(mp.sinpi(x)), mp.cospi(x))))


def _times_log(x: Any, y: Any, log: Any) -> Any:
    return log(y) * x if x else mpf(0)


def _rel_entr(x: Any, y: Any) -> Any:
    return x * mp.log(x / y) if x > 0 and y > 0 else mpf(0) if x == 0 and y >= 0 else mp.inf


def _kl_div(x: Any, y: Any) -> Any:
    return _rel_entr(x, y) - x + y if y >= 0 else mp.inf


def _add_exponents(x: Any, y: Any, base: Any) -> Any:
    high, gap = max(x, y), -abs(x - y) * mp.log(base)
    return high + (mp.log1p(mp.exp(gap)) / mp.log(base) if gap > -10**4 else 0)


EXACT: dict[str, Callable[..., Any]] = {
    "exp2": lambda x: mpf(2)**x, "log2": lambda x: mp.log(x, 2), "log10": mp.log10, "pow": mp.power,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)), "exp10": lambda x: mpf(10)**x, "lgamma": _lgamma,
    "erf": lambda x: mp.erf(x) if abs(x) < 100 else mp.sign(x),
    "erfc": lambda x: mp.erfc(x) if abs(x) < 100 else 1 - mp.sign(x),
    "erfcx": _scaled_erfc, "ndtr": lambda x: mp.ncdf(x) if abs(x) < 100 else (1 + mp.sign(x)) / 2,
    "log_ndtr": _log_normal,
    "i0": _bessel(0, False), "i1": _bessel(1, False), "i0e": _bessel(0, True), "i1e": _bessel(1, True),
    "logit": lambda p: mp.log(p / (1 - p)) if 0 < p < 1 else mp.nan,
    "logaddexp": lambda x, y: _add_exponents(x, y, mp.e), "logaddexp2": lambda x, y: _add_exponents(x, y, mpf(2)),
    "expit": lambda x: 1 / (1 + mp.exp(-x)) if x > -10**4 else mpf(0),
    "log_expit": lambda x: -mp.log1p(mp.exp(-x)) if x > -10**4 else x,
    "xlogy": lambda x, y: _times_log(x, y, mp.log), "xlog1py": lambda x, y: _times_log(x, y, mp.log1p),
    "entr": lambda x: -x * mp.log(x) if x > 0 else -mp.inf if x < 0 else mpf(0),
    "rel_entr": _rel_entr, "kl_div": _kl_div,
}
# Where a function has zeros that no formula of moderate length reaches: the size of its terms, by which errors are
# measured near them.
TERMS: dict[str, Callable[..., Any]] = {
    "lgamma": lambda x: _parts(x, mp.loggamma(abs(x)), lambda s, _c: mp.log(-x * s / mp.pi)),
    "digamma": lambda x: _parts(x, mp.digamma(1 + abs(x)), lambda s, c: mp.pi * c / s),
    "logaddexp": lambda x, y: max(abs(x), abs(y)), "logaddexp2": lambda x, y: max(abs(x), abs(y)),
    "kl_div": lambda x, y: max(abs(x), abs(y)),
}
# Ranges to look at closely, beside the whole line.
RANGES: dict[str, list[tuple[float, float]]] = {
    "exp": [(-1, 1), (-110, 90), (-750, 710)], "exp2": [(-1, 1), (-150, 128), (-1080, 1024)],
    "expm1": [(-1, 1), (-40, 90), (-40, 710)], "sinh": [(-2, 2), (-90, 90), (-711, 711)],
    "cosh": [(-2, 2), (-90, 90), (-711, 711)], "tanh": [(-1, 1), (-22, 22)],
    "sin": [(-4, 4), (-1e4, 1e4), (-2.0**33, 2.0**33)], "cos": [(-4, 4), (-1e4, 1e4), (-2.0**33, 2.0**33)],
    "tan": [(-4, 4), (-1e4, 1e4), (-2.0**33, 2.0**33)], "log": [(0.5, 2), (0, 100)], "log2": [(0.5, 2), (0, 100)],
    "log10": [(0.5, 2), (0, 100)], "log1p": [(-1, 2), (-0.1, 0.1)], "asin": [(-1, 1), (-0.1, 0.1)],
    "acos": [(-1, 1), (-0.1, 0.1)], "atanh": [(-1, 1), (-0.1, 0.1)], "acosh": [(1, 3), (1, 1.01), (1, 1e9)],
    "asinh": [(-2, 2), (-0.1, 0.1), (-1e9, 1e9)], "pow": [(0, 4)], "cbrt": [(-8, 8)],
    "erf": [(-1, 1), (-6, 6)], "erfc": [(-6, 28), (-1, 1)], "erfcx": [(-27, 3), (0, 30)], "ndtr": [(-39, 9), (-2, 2)],
    "log_ndtr": [(-50, 9), (-2, 2)], "lgamma": [(0, 10), (0.5, 2.5), (-20, 0), (0, 1e5)],
    "digamma": [(0, 10), (1, 2), (-20, 0), (0, 1e5)], "exp10": [(-1, 1), (-46, 39), (-325, 309)],
    "logit": [(0, 1), (0, 1e-3), (0.49, 0.51)], "i0": [(-12, 12), (-90, 90), (-714, 714)],
    "i1": [(-12, 12), (-90, 90), (-714, 714)], "i0e": [(-12, 12), (-1000, 1000)], "i1e": [(-12, 12), (-1000, 1000)],
    "expit": [(-1, 1), (-110, 20), (-750, 40)], "log_expit": [(-1, 1), (-110, 110), (-750, 750)],
    "entr": [(0, 3), (0.9, 1.1)], "rel_entr": [(0, 3), (0.9, 1.1)], "kl_div": [(0, 3), (0.9, 1.1)],
}
# The second operand.
OTHERS = {"pow": [(-20, 20), (-300, 300), (-1000, 1000)], "xlogy": [(0, 3), (0.9, 1.1)],
          "rel_entr": [(0, 3), (0.9, 1.1)], "kl_div": [(0, 3), (0.9, 1.1)]}
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 2.5, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 1e-310,
         -1e-310, 1e-45, -1e-45, 1e-20, -1e-20, 1e300, -1e300, 1e38, -1e38, 1e10, -1e10, 88.7, -88.7, 709.8, -709.8,
         710.4, -745.2, -1000.0, 1000.0]


class Worst(NamedTuple):
    """The largest error found, in units in the last place, and where."""

    error: float
    at: tuple[float, ...]


def arity(name: str) -> int:
    """How many operands a function has."""
    return int(numpy_function(name).nin)


def numpy_function(name: str) -> np.ufunc:
    """NumPy's or SciPy's function of that (C) name."""
    f: np.ufunc | None = getattr(np, NUMPY.get(name, name), None)
    return f if isinstance(f, np.ufunc) else getattr(scipy.special, SPECIAL.get(name, name))


def label(name: str) -> str:
    """A function's name in the table of rules."""
    f = numpy_function(name)
    return f.__name__ if getattr(np, f.__name__, None) is f else f"scipy.special.{f.__name__}"


def evaluate(name: str, *operands: np.ndarray) -> np.ndarray:
    """The function as a kernel computes it, on one-dimensional arrays of one dtype and size."""
    xs = [np.ascontiguousarray(x) for x in operands]
    buffer = Buffer(xs[0].dtype, xs[0].size)
    rule, e = rule_of(label(name)), Expressions()
    assert rule is not None
    value = rule.build(e, *[e.load(Access(k, 0, (1,)), buffer.dtype) for k in range(len(xs))])
    kernel = Kernel((buffer.size,), (buffer,) * len(xs), (buffer,), tuple(e.nodes),
                    (Store(value, Access(0, 0, (1,))),), ())
    verify(kernel)
    made = compile_kernel(kernel)
    like = (buffer.dtype, xs[0].shape)
    return native.launcher(made.loops, made.join, made.work, [like] * len(xs), [like])(*xs)


def samples(name: str, dtype: np.dtype, count: int, seed: int = 0) -> list[np.ndarray]:
    """Operands to try, finite ones."""
    rng = np.random.default_rng(seed)
    share = count // 5

    def line(ranges: list[tuple[float, float]]) -> np.ndarray:
        bits = rng.integers(0, 2**(8 * dtype.itemsize), share, dtype=np.uint64).astype(f"u{dtype.itemsize}").view(dtype)
        parts = [bits, np.exp(rng.uniform(-40, 5, share)) * rng.choice([-1, 1], share)]
        parts += [rng.uniform(low, high, share) for low, high in ranges]
        if name in ("sin", "cos", "tan"):
            parts.append(rng.integers(-10**6, 10**6, share) * (np.pi / 2))
        with np.errstate(all="ignore"):
            return np.concatenate(parts).astype(dtype)

    xs = [line(RANGES.get(name, [(-2, 2)]))]
    if arity(name) == 2:
        other = line(OTHERS.get(name, [(-2, 2)]))
        n = max(len(xs[0]), len(other))
        xs = [rng.permutation(np.resize(x, n)) for x in (xs[0], other)]
        # Some operands that differ by little.
        xs[1][::4] = xs[0][::4] * (1 + rng.uniform(-1e-3, 1e-3, xs[0][::4].size)).astype(dtype)
    finite = np.logical_and.reduce([np.isfinite(x) for x in xs])
    return [x[finite] for x in xs]


def _units(y: float, exact: Any, dtype: np.dtype, terms: Any = 0) -> float:
    """The distance of a result from the exact value, in units in the last place of the latter or of its `terms`."""
    info = np.finfo(dtype)
    if np.isnan(y):
        return float("inf")
    # What lies beyond the largest number is compared as if there were a next one.
    top = mpf(2)**int(info.maxexp)
    value = mp.sign(y) * top if np.isinf(y) else mpf(float(y))
    exact = min(max(exact, -top), top)
    size = max(abs(exact), terms)
    exponent = min(max(mp.frexp(size)[1] if size else int(info.minexp), int(info.minexp) + 1), int(info.maxexp))
    return float(abs(value - exact) / mpf(2)**(exponent - int(info.nmant) - 1))


def exact_value(name: str, operands: tuple[Any, ...]) -> Any:
    """What mpmath says: NaN outside the domain, None where it raises."""
    exact = EXACT.get(name) or getattr(mp, name)
    try:
        value = exact(*[mpf(float(x)) for x in operands])
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return mp.nan if isinstance(value, mpmath.mpc) else value


def error(name: str, operands: tuple[Any, ...], y: Any) -> float:
    """The error of one result, in units in the last place."""
    dtype = np.asarray(y).dtype
    with mp.workprec(400):
        value = exact_value(name, operands)
        if value is None:
            return 0.0  # the edges are compared with NumPy
        if mp.isnan(value):
            return 0.0 if np.isnan(y) else float("inf")
        terms = TERMS[name](*[mpf(float(x)) for x in operands]) if name in TERMS else 0
        return _units(float(y), value, dtype, terms)


def _suspects(name: str, xs: list[np.ndarray], y: np.ndarray) -> np.ndarray:
    """Which points look worst in the widest float of the machine; none where there is no wider one."""
    wide = np.dtype("f8") if y.dtype.itemsize == 4 else np.dtype(np.longdouble)
    f = numpy_function(name)
    exists = f"{wide.char * f.nin}->{wide.char}" in f.types
    if not exists or np.finfo(wide).nmant <= np.finfo(y.dtype).nmant:
        return np.random.default_rng(2).integers(0, y.size, min(y.size // 400, 2000))
    with np.errstate(all="ignore"):
        reference = f(*[x.astype(wide) for x in xs])
        near = reference.astype(y.dtype)
        unit = np.maximum(np.spacing(np.minimum(np.abs(near), np.finfo(y.dtype).max)), 0).astype(wide)
        away = np.abs(y.astype(wide) - reference) / unit
    away[~np.isfinite(away)] = 0
    return np.argsort(away)[-60:]


@cache
def worst(name: str, dtype: np.dtype, count: int) -> Worst:
    """The largest error among `count` points."""
    xs = samples(name, dtype, count)
    y = evaluate(name, *xs)
    rng = np.random.default_rng(1)
    chosen = np.concatenate([_suspects(name, xs, y), rng.integers(0, y.size, min(count // 200, 1000))]).astype(int)
    found = [Worst(error(name, tuple(x[i] for x in xs), y[i]), tuple(float(x[i]) for x in xs)) for i in chosen]
    return max(found)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", choices=NAMES, help="measure these, and keep the page's other rows")
    args = parser.parse_args()
    known = {row.split("`")[1]: row for row in PAGE.read_text().splitlines() if row.startswith("| `")}
    lines = [
        "# Accuracy of the vector math", "",
        "In compiled code these functions are npdiff's own (`npdiff/kernels/vecmath/`). The table gives the largest",
        f"error found among about {args.count:,} points each, in units in the last place of the exact result, and the",
        "operands. It is written by `python tools/accuracy.py`, which says how points are chosen;",
        "`tests/kernels/test_vecmath.py` holds every function to 2.5 with fewer points.",
        "",
        "Zeros, infinities and NaN give what NumPy and SciPy give; no floating-point warning is emitted.",
        "`sin`, `cos` and `tan` of numbers beyond 2**32 (float32: 2**15) are the C library's.",
        "Near some zeros no relative bound is reached, and errors are counted in units in the last place of the",
        "terms that cancel there: `gammaln` and `psi` of negative numbers (of the reflection's parts, at least 1),",
        "`logaddexp`, `logaddexp2` and `kl_div` (of the larger operand).", "",
        "| function | float64 | at | float32 | at |", "|---|---|---|---|---|",
    ]
    for name in NAMES:
        if args.only and name not in args.only:
            lines.append(known[label(name)])
            continue
        cells = []
        for dtype in DTYPES:
            w = worst(name, dtype, args.count)
            cells += [f"{w.error:.2f}", ", ".join(f"{x:.9g}" for x in w.at)]
        lines.append(f"| `{label(name)}` | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
