"""Every row's sample calls under jit: recorded once, replayed on other values, compared with plain NumPy."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from jit_against_plain import assert_equal_values, differ, recordings
from sample_calls import MORE, UNSAMPLED

import npdiff
from npdiff import tree
from npdiff.dispatch.declare import rows
from npdiff.errors import JitWarning
from npdiff.samples import all_cases, evaluate, is_float_array

CASES = [*all_cases(), *[(n, t) for n, texts in MORE.items() if n in rows for t in texts]]
each_case = pytest.mark.parametrize(("name", "text"), CASES, ids=[f"{n}({t})" for n, t in CASES])

# The second is a call like the first, with other values; the last repeats the first.
SEEDS = (0, 1, 2, 0)


def calls(name: str, text: str) -> tuple[int, tuple[str, ...], list[list[Any]]]:
    """How many arguments are positional, the names of the others, and all of them for each seed.

    Only arrays and NumPy scalars differ from call to call: what is no operand is part of the signature.
    """
    found = [evaluate(name, text, seed) for seed in SEEDS]
    first, structure = tree.flatten((found[0].args, found[0].kwargs))
    made = []
    for call in found:
        leaves = tree.leaves((call.args, call.kwargs))
        mixed = [a if isinstance(a, (np.ndarray, np.generic)) else b for a, b in zip(leaves, first, strict=True)]
        args, kwargs = tree.unflatten(structure, mixed)
        made.append([*args, *kwargs.values()])
    return len(found[0].args), tuple(found[0].kwargs), made


PROGRAM = """
def program(*values):
    args, kwargs = values[:{count}], dict(zip({names}, values[{count}:]))
    {body}
"""
BODIES = {
    "alone": "return {name}(*args, **kwargs)",
    # Loops in machine code before and behind it; what it writes into is what they made.
    "between kernels": "args, kwargs = before(args), before(kwargs); out = {name}(*args, **kwargs)\n"
                       "    return behind(out), behind(args)",
}
HELPERS = """
def settled(a):
    if isinstance(a, (np.ndarray, np.inexact)) and a.dtype.kind == "f":
        return (a + 1.5) * 0.5 + a * 0.5 - 0.75
    return a

def stretched(a):
    if isinstance(a, (np.ndarray, np.inexact)) and a.dtype.kind == "f":
        return (a + 1.5) * 3 - a * 0.5
    return a

def before(values):
    return map_leaves(settled, values)

def behind(values):
    return map_leaves(stretched, values)
"""


def program(body: str, name: str, count: int, names: Sequence[str]) -> Callable[..., Any]:
    """A user's function that calls the row's function by its name."""
    space: dict[str, Any] = {"np": np, "__name__": "program", "map_leaves": tree.map_leaves}
    text = PROGRAM.format(count=count, names=tuple(names), body=BODIES[body].format(name=name))
    if name.startswith("scipy."):
        importlib.import_module(name.rpartition(".")[0])
        space["scipy"] = importlib.import_module("scipy")
    exec(compile(HELPERS + text, "program.py", "exec"), space)
    found: Callable[..., Any] = space["program"]
    return found


def copied(values: Sequence[Any]) -> Callable[[], list[Any]]:
    return lambda: [tree.map_leaves(lambda a: a.copy("K") if isinstance(a, np.ndarray) else a, v) for v in values]


@pytest.mark.parametrize("body", BODIES)
@each_case
def test_values(name: str, text: str, body: str) -> None:
    if rows[name].kind == "elementwise" and body != "alone":
        pytest.skip("it is a kernel itself")
    count, names, given = calls(name, text)
    f = program(body, name, count, names)
    jitted = differ(lambda: f, [copied(values) for values in given])
    # Where the size of a result depends on values there may be a recording for each call but the last.
    assert recordings(jitted) < len(SEEDS)
    assert sum(made.calls for entry in jitted._entries.values() for made in entry.recordings) >= 1


# ---------------------------------------------------------------------- derivatives


def loss(f: Callable[..., Any], values: Sequence[Any]) -> Callable[..., Any]:
    """One number from all that f gives and leaves behind, as a function of the float arrays."""
    leaves, structure = tree.flatten(list(values))

    def total(*xs: Any) -> Any:
        floats = iter(xs)
        given = tree.unflatten(structure, [next(floats) if is_float_array(v) else np.copy(v) if isinstance(
            v, np.ndarray) else v for v in leaves])
        outs = [y for y in tree.leaves((f(*given), given)) if isinstance(y, (np.ndarray, np.inexact))]
        return sum([np.sum(np.cos(0.3 + k) * np.real(y * y)) for k, y in enumerate(outs) if y.dtype.kind in "fc"])

    return total


WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "grad of jit": lambda f, numbers: npdiff.grad(npdiff.jit(f), numbers),
    "jit of grad": lambda f, numbers: npdiff.jit(npdiff.grad(f, numbers)),
}


def gradient(g: Callable[..., Any], xs: Sequence[Any]) -> Any:
    """The gradient, or the error."""
    np.random.seed(3)
    try:
        return g(*[np.copy(x) if isinstance(x, np.ndarray) else x for x in xs])
    except Exception as error:
        return error


@each_case
def test_gradients(name: str, text: str) -> None:
    count, names, given = calls(name, text)
    points = [[v for v in tree.leaves(values) if is_float_array(v)] for values in (*given[:2], given[0])]
    if not points[0]:
        pytest.skip("no float operand")
    numbers = tuple(range(len(points[0])))
    total = loss(program("alone", name, count, names), given[0])
    wanted = [gradient(npdiff.grad(total, numbers), xs) for xs in points]
    for label, way in WAYS.items():
        g = way(total, numbers)
        with warnings.catch_warnings():
            warnings.simplefilter("error", JitWarning)
            for k, xs in enumerate(points):
                got = gradient(g, xs)
                if isinstance(wanted[k], Exception) or isinstance(got, Exception):
                    assert type(got) is type(wanted[k]), f"{label}, call {k}: {got!r} instead of {wanted[k]!r}"
                else:
                    assert_equal_values(got, wanted[k], f"{label}, call {k}")


def test_every_row_has_a_call() -> None:
    sampled = {name for name, _ in CASES} | UNSAMPLED.keys()
    assert [n for n, row in rows.items() if row.kind not in ("unsupported", "untracked") and n not in sampled] == []
