"""The largest errors of the vector math functions against mpmath; writes docs/accuracy.md.

    python tools/accuracy.py [--count N]

For every function and dtype, N points are drawn: over all finite floats (random bits), over the ranges where the
function is steep, and around the points where an implementation changes its method. Where the machine has a wider float
than the dtype, NumPy's result in it says which points are the worst; mpmath decides about those, and about some taken
at random.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import mpmath
import numpy as np
from mpmath import mp, mpf

from npdiff.kernels import native
from npdiff.kernels.compile_cpu import compile_kernel
from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Node, Store, verify
from npdiff.kernels.vecmath.library import FUNCTIONS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "accuracy.md"
DTYPES = (np.dtype("f8"), np.dtype("f4"))
NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh",
         "acosh": "arccosh", "atanh": "arctanh", "pow": "power"}
EXACT: dict[str, Callable[..., Any]] = {
    "exp2": lambda x: mpf(2)**x, "log2": lambda x: mp.log(x, 2), "log10": mp.log10, "pow": mp.power,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
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
}
# The second operand of pow.
EXPONENTS = [(-20, 20), (-300, 300), (-1000, 1000)]
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
    """NumPy's function of that (C) name."""
    f: np.ufunc = getattr(np, NUMPY.get(name, name))
    return f


def evaluate(name: str, *operands: np.ndarray) -> np.ndarray:
    """The function as a kernel computes it, on one-dimensional arrays of one dtype and size."""
    xs = [np.ascontiguousarray(x) for x in operands]
    buffer = Buffer(xs[0].dtype, xs[0].size)
    nodes = [Node("load", buffer.dtype, (), Access(k, 0, (1,))) for k in range(len(xs))]
    nodes.append(Node("call", buffer.dtype, tuple(range(len(xs))), name))
    kernel = Kernel((buffer.size,), (buffer,) * len(xs), (buffer,), tuple(nodes),
                    (Store(len(xs), Access(0, 0, (1,))),), ())
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
        other = line(EXPONENTS if name == "pow" else [(-2, 2)])
        n = max(len(xs[0]), len(other))
        xs = [rng.permutation(np.resize(x, n)) for x in (xs[0], other)]
    finite = np.logical_and.reduce([np.isfinite(x) for x in xs])
    return [x[finite] for x in xs]


def _units(y: float, exact: Any, dtype: np.dtype) -> float:
    """The distance of a result from the exact value, in units in the last place of the latter."""
    info = np.finfo(dtype)
    if np.isnan(y):
        return float("inf")
    # What lies beyond the largest number is compared as if there were a next one.
    top = mpf(2)**int(info.maxexp)
    value = mp.sign(y) * top if np.isinf(y) else mpf(float(y))
    exact = min(max(exact, -top), top)
    exponent = min(max(mp.frexp(exact)[1] if exact else int(info.minexp), int(info.minexp) + 1), int(info.maxexp))
    return float(abs(value - exact) / mpf(2)**(exponent - int(info.nmant) - 1))


def error(name: str, operands: tuple[Any, ...], y: Any) -> float:
    """The error of one result, in units in the last place."""
    exact = EXACT.get(name) or getattr(mp, name)
    dtype = np.asarray(y).dtype
    with mp.workprec(400):
        try:
            value = exact(*[mpf(float(x)) for x in operands])
        except (ValueError, ZeroDivisionError, OverflowError):
            return 0.0  # a pole, or outside the domain: the edges are compared with NumPy
        if isinstance(value, mpmath.mpc) or mp.isnan(value):
            return 0.0 if np.isnan(y) else float("inf")
        return _units(float(y), value, dtype)


def _suspects(name: str, xs: list[np.ndarray], y: np.ndarray) -> np.ndarray:
    """Which points look worst in the widest float of the machine; none where there is no wider one."""
    wide = np.dtype("f8") if y.dtype.itemsize == 4 else np.dtype(np.longdouble)
    if np.finfo(wide).nmant <= np.finfo(y.dtype).nmant:
        return np.arange(0)
    with np.errstate(all="ignore"):
        reference = numpy_function(name)(*[x.astype(wide) for x in xs])
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
    parser.add_argument("--count", type=int, default=2_000_000)
    args = parser.parse_args()
    lines = [
        "# Accuracy of the vector math", "",
        "In compiled code these functions are npdiff's own (`npdiff/kernels/vecmath/`). The table gives the largest",
        f"error found among about {args.count:,} points each, in units in the last place of the exact result, and the",
        "operands. It is written by `python tools/accuracy.py`, which says how points are chosen;",
        "`tests/kernels/test_vecmath.py` holds every function to 2.5 with fewer points.",
        "",
        "Zeros, infinities and NaN give what NumPy gives; no floating-point warning is emitted.",
        "`sin`, `cos` and `tan` of numbers beyond 2**32 (float32: 2**15) are the C library's.", "",
        "| function | float64 | at | float32 | at |", "|---|---|---|---|---|",
    ]
    for name in FUNCTIONS:
        cells = []
        for dtype in DTYPES:
            w = worst(name, dtype, args.count)
            cells += [f"{w.error:.2f}", ", ".join(f"{x:.9g}" for x in w.at)]
        lines.append(f"| `{numpy_function(name).__name__}` | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
