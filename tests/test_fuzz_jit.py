"""Random programs, jitted and plain, called three times with other data: results, dtypes, writes, who shares memory."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from differential import function
from fuzz import Case, nudged, settled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jit_against_plain import compare, see, spoil
from programs import Program, copied, random_program

import npdiff
from npdiff import tree


def moved(program: Program, k: int) -> list[Any]:
    """The arguments with other values in them, of the same types, shapes and layouts."""
    return [tree.map_leaves(lambda a: nudged(a, 1.5 * k), copied(v)) for v in program.args.values()]


def check(program: Program) -> None:
    f = program.function()
    jitted = npdiff.jit(f)
    for k in (0, 1, 2, 0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs, ours = see(f, moved(program, k)), see(jitted, moved(program, k))
        compare(ours, theirs, f"call {k} of\n{program.source()}")
        spoil(ours.value)


@settings(max_examples=30, deadline=None, print_blob=True, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_random_program(random: Any) -> None:
    program = random_program(random)
    if settled(Case(program)):
        check(program)


STATEMENTS = [
    "y = x * {a} + s", "y = np.sin(x) / (1 + s * s)", "x[{i}:] += {a}", "x[{i}] = s", "y = x[::-1] + x[{i}]",
    "z = np.zeros(4)", "z[:] = x * z + {a}", "z[{i}] = np.sum(x)", "s = s + np.max(x)", "s = x[{i}]", "s = {a} * s",
    "x = np.where(x > {a}, x, s)", "if np.sum(x) > {a}:\n    x = x + 1\nelse:\n    x *= 2", "n = n + 1", "s = s * n",
    "x *= n", "v = x[{i}:]\nv *= 2", "v = x.T\nv[{i}] = n", "for k in range(n % 3):\n    x[k] = x[k + 1] * {a}",
    "if n > 2:\n    s = -s", "x[x > {a}] = s", "y = np.cumsum(x)[::-1]", "y, z = z, y", "x = x.copy()",
    "s = float(s) + n",
    "s = abs(s) ** 0.5", "n = int(s) + n", "y[{i}] += x[{i}]", "z = np.concatenate([x[:2], y[2:]])",
    "x[[0, {i}]] = z[:2]", "t = t + (n > 2) + (s > 0)", "print(round(float(s), 3), n)", "s = s + np.random.rand()",
]


@settings(max_examples=60, deadline=None, print_blob=True, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(STATEMENTS), st.integers(0, 2), st.sampled_from([-1.5, 0.25, 0.5, 2.0])),
                min_size=2, max_size=9),
       st.sampled_from(["f8", "f4"]))
def test_branches_loops_and_numbers(program: list[tuple[str, int, float]], dtype: str) -> None:
    body = "\n".join(line.format(i=i, a=a) for line, i, a in program)
    f = function(f"y = x * 2\nz = np.ones(4, x.dtype)\nt = 0\n{body}\nreturn x, y, z, s, n, t", "x, s, n")
    jitted = npdiff.jit(f)
    rng = np.random.default_rng(3)
    for k in range(4):
        x, s, n = rng.normal(size=4).astype(dtype), float(rng.normal()), int(rng.integers(1, 5))
        np.random.seed(k)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = see(f, [x.copy(), s, n])
            np.random.seed(k)
            ours = see(jitted, [x.copy(), s, n])
        compare(ours, theirs, f"call {k} of\n{body}")
        spoil(ours.value)


@pytest.mark.parametrize("body", [
    "s = 2.0 * s\ns = abs(s) ** 0.5\nreturn x * 1.5 + s",  # a Python number that went through a kernel
    "return np.squeeze(x)", "return x.view()", "return x[...]",
])
def test_programs_found(body: str) -> None:
    f = function(body, "x, s")
    jitted = npdiff.jit(f)
    for k in range(3):
        x = np.arange(3, dtype="f4") + k
        compare(see(jitted, [x.copy(), 0.5 + k]), see(f, [x.copy(), 0.5 + k]), body)


@pytest.mark.parametrize("body", ["return x * 1.000001", "x[0] += 1e-6\nreturn x", "return x.astype('f4')"])
def test_a_wrong_result_is_seen(body: str) -> None:
    plain, other = function("return x * 1", "x"), function(body, "x")
    with pytest.raises(AssertionError):
        compare(see(npdiff.jit(other), [np.ones(3)]), see(plain, [np.ones(3)]), "call")
