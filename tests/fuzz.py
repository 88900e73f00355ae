"""Run random programs for as long as you like: ``python tests/fuzz.py 1000 [first seed]``."""

from __future__ import annotations

import random
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from differential import differential, fresh, function, run
from programs import random_program, source

import npdiff
from npdiff import tree
from npdiff.testing import flat_function, pair, random_like

STEP = 1e-5


class Wrong(AssertionError):
    """npdiff and NumPy, or npdiff and the differences, do not agree."""


def smooth_slopes(g: Any, leaves: list[Any], direction: list[Any]) -> list[Any] | None:
    """Central differences, or None where the two sides do not agree: there is a kink or a jump."""

    def at(h: float) -> Any:
        return g(*[p + h * t for p, t in zip(leaves, direction, strict=True)])

    up, here, down = at(STEP), at(0.0), at(-STEP)
    slopes = []
    for a, b, c in zip(up, here, down, strict=True):
        right, left = (np.asarray(a) - b) / STEP, (np.asarray(b) - c) / STEP
        if not np.allclose(right, left, rtol=1e-2, atol=1e-2):
            return None
        slopes.append((right + left) / 2)
    return slopes


def check(lines: list[str], args: dict[str, Any], *, jit: bool = True) -> str:
    """Compare values, mutations, first and second derivatives; what the comparison could cover."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return _check(lines, args, jit)


def _check(lines: list[str], args: dict[str, Any], jit: bool) -> str:
    f = function(source(lines), "x, y, s")
    values = list(args.values())
    theirs = differential(f, *values, grads=False)
    if isinstance(theirs, Exception):
        return "error"
    if jit:
        check_jit(f, values)
    check_batch(f, values)
    single = any("float32" in line for line in lines)
    rng = np.random.default_rng(0)
    g, leaves = flat_function(f, values)
    direction = [random_like(v, rng) for v in leaves]
    plain = g(*fresh(leaves))
    tangents = npdiff.jvp(g, tuple(leaves), tuple(direction))[1]
    cts = [random_like(y, rng) for y in plain]
    pulled = npdiff.vjp(g, *leaves)[1](cts)
    forward, reverse = pair(cts, tangents), pair(pulled, direction)
    tolerance = 1e-3 if single else 1e-8
    if not np.isclose(forward, reverse, rtol=tolerance, atol=tolerance):
        raise Wrong(f"forward mode gives {forward}, reverse mode {reverse}")
    if single:
        return "single precision"
    slopes = smooth_slopes(g, leaves, direction)
    if slopes is None:
        return "kink"
    for k, (t, s) in enumerate(zip(tangents, slopes, strict=True)):
        if not np.allclose(t, s, rtol=1e-4, atol=1e-4):
            raise Wrong(f"output {k}: forward mode gives {t}, differences {s}")

    def back(*x: Any) -> Any:
        return list(npdiff.vjp(g, *x)[1](cts))

    second = npdiff.jvp(back, tuple(leaves), tuple(direction))[1]
    slopes = smooth_slopes(back, leaves, direction)
    if slopes is None:
        return "kink of the derivative"
    for k, (t, s) in enumerate(zip(second, slopes, strict=True)):
        if not np.allclose(t, s, rtol=1e-3, atol=1e-3):
            raise Wrong(f"second derivative, argument {k}: forward over reverse gives {t}, differences {s}")
    return "all"


def check_jit(f: Any, values: list[Any]) -> None:
    """jit gives the same result and writes the same into its arguments, at both the first and the second call."""
    if not hasattr(npdiff, "jit"):
        return
    fast = npdiff.jit(f)
    for _ in range(2):
        plain_args, fast_args = fresh(values), fresh(values)
        theirs, ours = run(f, *plain_args), run(fast, *fast_args)
        if isinstance(ours, Exception):
            raise Wrong(f"jit raises {ours!r}") from ours
        for a, b in zip(tree.leaves((ours, fast_args)), tree.leaves((theirs, plain_args)), strict=True):
            if np.shape(a) != np.shape(b) or np.asarray(a).dtype != np.asarray(b).dtype:
                raise Wrong(f"jit gives {a!r}, NumPy {b!r}")
            rtol = 1e-5 if np.asarray(b).dtype.itemsize < 8 else 1e-10
            if not np.allclose(a, b, rtol=rtol, atol=1e-6, equal_nan=True):
                raise Wrong(f"jit gives {a!r}, NumPy {b!r}")


def check_batch(f: Any, values: list[Any]) -> None:
    """vmap over two examples gives what a loop gives, unless the program asks for one value of both."""
    others = [v * 0.9 + 0.03 for v in values]
    theirs = [run(f, *fresh(values)), run(f, *fresh(others))]
    if any(isinstance(t, Exception) for t in theirs):
        return
    try:
        ours = npdiff.vmap(f)(*[np.stack(pair) for pair in zip(values, others, strict=True)])
    except (npdiff.errors.BranchError, npdiff.errors.TracedValueError):
        return
    for k, (mine, a, b) in enumerate(zip(ours, *theirs, strict=True)):
        if np.shape(a) != np.shape(b):
            raise Wrong(f"vmap, output {k}: the shapes differ, {np.shape(a)} and {np.shape(b)}, and no error says so")
        wanted = np.stack([a, b])
        if mine.shape != wanted.shape or mine.dtype != wanted.dtype or not np.allclose(
                mine, wanted, rtol=1e-5 if wanted.dtype.itemsize < 8 else 1e-9, atol=1e-6):
            raise Wrong(f"vmap, output {k}: {mine!r} instead of {wanted!r}")


def shortened(lines: list[str], args: dict[str, Any], words: str, **how: Any) -> list[str]:
    """The failing program with every line left out that the failure does not need."""

    def fails_the_same(fewer: list[str]) -> bool:
        if isinstance(run(function(source(fewer), "x, y, s"), *fresh(list(args.values()))), Exception):
            return False
        try:
            check(fewer, args, **how)
        except Exception as error:
            return str(error)[:16] == words[:16]
        return False

    for k in reversed(range(len(lines))):  # what a line makes is used further down: begin there
        fewer = lines[:k] + lines[k + 1:]
        if fails_the_same(fewer):
            lines = fewer
    return lines


def report(seed: Any, lines: list[str], args: dict[str, Any], error: BaseException, **how: Any) -> str:
    """The failing program as source to paste, and what went wrong."""
    lines = shortened(lines, args, str(error), **how)
    try:
        check(lines, args, **how)
    except Exception as again:
        error = again
    body = textwrap.indent(source(lines), "    ")
    values = "\n".join(f"{k} = np.{np.asarray(v)!r}" for k, v in args.items())
    return f"seed {seed}\ndef program(x, y, s):\n{body}\n{values}\n{type(error).__name__}: {error}"


def main(count: int, first: int, **how: Any) -> int:
    """Run programs of consecutive seeds and print those that fail."""
    covered: dict[str, int] = {}
    failures = 0
    for seed in range(first, first + count):
        lines, args = random_program(random.Random(seed))
        try:
            kind = check(lines, args, **how)
        except Exception as error:
            kind = "FAILED"
            failures += 1
            print(report(seed, lines, args, error, **how), end="\n\n", flush=True)
        covered[kind] = covered.get(kind, 0) + 1
    print(covered)
    return failures


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    first = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**31)
    sys.exit(bool(main(count, first, jit="--no-jit" not in sys.argv)))
