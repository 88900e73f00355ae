"""One benchmark for each class of rows: a function of every kind in every chapter, from the row's own sample calls.

The same list is run once by tests/test_benchmarks.py, against NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import npdiff
from npdiff import tree
from npdiff.coverage import chapters, facts
from npdiff.dispatch.declare import Row
from npdiff.errors import NpdiffError
from npdiff.samples import cases, evaluate, split

SIZES = (1_000, 100_000)
_OUTSIDE = ("creation", "host call", "untracked", "unsupported")


class Sample(NamedTuple):
    """A function of float arrays; `differentiable` if a derivative reaches its result."""

    name: str
    text: str
    differentiable: bool

    def make(self, size: int) -> tuple[Callable[..., Any], list[Any]]:
        """The function, and arrays with about `size` elements in the largest of them."""
        _, small = split(evaluate(self.name, self.text))
        largest = max(small, key=np.size)
        axes = sum(n > 1 for n in largest.shape)
        return split(evaluate(self.name, self.text, grow=max(1, round((size / largest.size) ** (1 / axes)))))


def total(f: Callable[..., Any]) -> Callable[..., Any]:
    """The sum of all results, as a function to differentiate."""
    return lambda *xs: sum(np.sum(np.real(y)) for y in tree.leaves(f(*xs)) if y.dtype.kind in "fc")


def _grows(row: Row, text: str) -> bool:
    """True if a sample call may be made with longer arrays: it names no sizes itself, and the work stays in step."""
    try:
        grown = []
        for grow in (1, 3):
            f, xs = split(evaluate(row.name, text, grow=grow))
            if not any(x.ndim and x.size > 1 for x in xs):
                return False
            graph = npdiff.make_graph(f)(*xs)
            results = sum(v.aval.size for v in graph.outputs)
            grown.append((len(graph.equations), sum(x.size for x in xs), results))
    except (ValueError, IndexError, TypeError, NpdiffError):
        return False
    (steps, size, results), (more_steps, more_size, more_results) = grown
    return steps == more_steps and 2 * more_results * size <= 3 * results * more_size


def _samples() -> dict[str, Sample]:
    """The first row of each kind in each chapter that has a sample call of positional arguments which grows."""
    found: dict[str, Sample] = {}
    for chapter, members in chapters().items():
        for row in members:
            label = f"{chapter.rpartition('.')[2]}: {row.kind}"
            if row.kind in _OUTSIDE or label in found:
                continue
            text = next((t for t in cases(row) if "=" not in t and _grows(row, t)), None)
            if text is not None:
                found[label] = Sample(row.name, text, facts(row).reverse == "yes")
    return found


SAMPLES = _samples()


class Rows:
    """A representative of each kind in each chapter: recorded, differentiated, compiled."""

    params = (tuple(SAMPLES), SIZES)
    param_names = ("rows", "size")

    def setup(self, rows: str, size: int) -> None:
        sample = SAMPLES[rows]
        self.function, self.args = sample.make(size)
        self.tracked = [npdiff.track(x) for x in self.args]
        self.compiled = npdiff.jit(self.function)
        self.gradient = self.compiled_gradient = None
        if sample.differentiable:
            self.gradient = npdiff.grad(total(self.function))
            self.compiled_gradient = npdiff.jit(self.gradient)
        for _ in range(2):  # the first call records, the second compiles
            self.compiled(*self.args)
            if self.compiled_gradient is not None:
                self.compiled_gradient(*self.args)

    def time_numpy(self, rows: str, size: int) -> None:
        self.function(*self.args)

    def time_record(self, rows: str, size: int) -> None:
        self.function(*self.tracked)

    def time_gradient(self, rows: str, size: int) -> None:
        if self.gradient is not None:
            self.gradient(*self.args)

    def time_jit(self, rows: str, size: int) -> None:
        self.compiled(*self.args)

    def time_jit_gradient(self, rows: str, size: int) -> None:
        if self.compiled_gradient is not None:
            self.compiled_gradient(*self.args)
