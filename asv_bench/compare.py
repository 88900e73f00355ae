"""One table, one run: npdiff's recording beside autograd and NumPy, npdiff.jit beside NumPy and no jit.

Run it as ``python asv_bench/compare.py``. All contestants of a group take turns, so that a busy
machine is busy for all of them. Each figure is a median over the repeats: wall time, and CPU time of
the whole process (which counts every thread). Ratios are against the first row of a group.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from benchmarks.workloads import FUSED, WORKLOADS, with_numpy

import npdiff


class Times(NamedTuple):
    """Median seconds per call."""

    wall: float
    cpu: float


def measure(contestants: dict[str, Callable[[], Any]], repeats: int, target: float) -> dict[str, Times]:
    """Time all contestants in turn; one turn is as many calls as fit into about `target` seconds."""
    counts = {}
    for name, call in contestants.items():
        for _ in range(3):  # recordings, compilations and caches are not what is measured here
            call()
        begin = time.perf_counter()
        call()
        counts[name] = max(1, int(target / max(time.perf_counter() - begin, 1e-7)))
    walls: dict[str, list[float]] = {name: [] for name in contestants}
    cpus: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, call in contestants.items():
            count = counts[name]
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(count):
                call()
            walls[name].append((time.perf_counter() - wall) / count)
            cpus[name].append((time.process_time() - cpu) / count)
    return {name: Times(statistics.median(walls[name]), statistics.median(cpus[name])) for name in contestants}


def chain() -> dict[str, Callable[[], Any]]:
    """Fifty operations on ten numbers, without jit."""
    function, arguments, *_ = WORKLOADS["chain"]
    (x,) = arguments()
    tracked = npdiff.track(x)
    gradient = npdiff.grad(function)
    contestants: dict[str, Callable[[], Any]] = {
        "NumPy value": lambda: function(x),
        "npdiff record": lambda: function(tracked),
        "npdiff gradient": lambda: gradient(x),
    }
    try:
        import autograd
        import autograd.numpy as autograd_numpy
    except ImportError:
        print("autograd is not installed: its row is left out", file=sys.stderr)
    else:
        other = autograd.grad(with_numpy(function, autograd_numpy))
        np.testing.assert_allclose(gradient(x), other(x))
        contestants["autograd gradient"] = lambda: other(x)
    return contestants


def fused(name: str) -> dict[str, Callable[[], Any]]:
    """A fused expression on a million numbers."""
    function, arguments, *_ = WORKLOADS[name]
    (x,) = arguments()
    value, eager = npdiff.jit(function), npdiff.value_and_grad(function)
    gradient = npdiff.jit(eager)
    return {
        "NumPy value": lambda: function(x),
        "npdiff.jit value": lambda: value(x),
        "npdiff value+gradient, no jit": lambda: eager(x),
        "npdiff.jit value+gradient": lambda: gradient(x),
    }


def call() -> dict[str, Callable[[], Any]]:
    """The cost of a call."""
    x = np.linspace(0.0, 1.0, 10)
    add = npdiff.jit(lambda x: x + 1.0)
    return {"NumPy": lambda: x + 1.0, "npdiff.jit": lambda: add(x)}


def show(title: str, times: dict[str, Times]) -> None:
    """Print one group."""
    base = next(iter(times.values()))
    print(f"\n{title}\n  {'':<32}{'wall us':>12}{'CPU us':>12}{'wall ratio':>12}{'CPU ratio':>12}")
    for name, t in times.items():
        print(f"  {name:<32}{t.wall * 1e6:>12.1f}{t.cpu * 1e6:>12.1f}"
              f"{t.wall / base.wall:>12.2f}{t.cpu / base.cpu:>12.2f}")


def main() -> None:
    """Measure all groups and print them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.02, help="length of one turn")
    chosen = parser.parse_args()
    print(f"npdiff {npdiff.__version__}, NumPy {np.__version__}, Python {platform.python_version()}, "
          f"{platform.machine()}; medians of {chosen.repeats} turns")
    groups = [("50 operations on 10 numbers, no jit", chain()), ("one addition on 10 numbers", call())]
    groups += [(f"{name}, 1,000,000 numbers", fused(name)) for name in FUSED]
    for title, contestants in groups:
        show(title, measure(contestants, chosen.repeats, chosen.seconds))


if __name__ == "__main__":
    main()
