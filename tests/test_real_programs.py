"""Programs as people write them: every transform against NumPy, against differences, and against each other."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from jit_against_plain import assert_equal_values, differ, recordings
from real_programs import PROGRAMS, Program

import npdiff
from npdiff import tree
from npdiff.testing import check_grads, flat_function, pair, random_like

pytestmark = pytest.mark.filterwarnings("error")
each = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)


def smooth(program: Program, seed: int = 0) -> tuple[Any, list[Any]]:
    """The function of its floating-point leaves, giving those of its results."""
    return flat_function(program.function, program.args(seed))


def is_float(leaf: Any) -> bool:
    return isinstance(leaf, float) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f")


@each
def test_derivatives_against_differences(program: Program) -> None:
    check_grads(program.function, program.args(), order=program.order, atol=2e-5, rtol=2e-5)


@each
def test_forward_against_reverse(program: Program) -> None:
    rng = np.random.default_rng(1)
    f, xs = smooth(program)
    tangents = [random_like(x, rng) for x in xs]
    value, out = npdiff.jvp(f, xs, tangents)
    same, pull = npdiff.vjp(f, *xs)
    assert_equal_values(value, same, "value")
    assert_equal_values(value, f(*copy.deepcopy(xs)), "value")
    cotangents = [random_like(v, rng) for v in value]
    np.testing.assert_allclose(pair(cotangents, out), pair(pull(cotangents), tangents), rtol=1e-9, atol=1e-12)


@each
def test_tracked_arguments_are_written_as_numpy_writes_them(program: Program) -> None:
    plain = program.args()
    wanted = program.function(*plain)
    args = program.args()
    with npdiff.record():
        tracked = tree.map_leaves(lambda leaf: npdiff.track(leaf) if is_float(leaf) else leaf, args)
        out = program.function(*tracked)
    bare = lambda t: tree.map_leaves(lambda leaf: leaf.value if isinstance(leaf, npdiff.DiffArray) else leaf, t)
    assert_equal_values(bare(out), wanted, "result")
    assert_equal_values(bare(tracked), plain, "arguments afterwards")


@each
def test_jit_against_plain(program: Program) -> None:
    jitted = differ(lambda: program.function, [program.args(seed) for seed in (0, 1, 2, 0)])
    assert recordings(jitted)


def total_of(program: Program) -> tuple[Any, tuple[int, ...]]:
    """The program with one number for its result, and the positions of its floating-point arguments."""

    def total(*args: Any) -> Any:
        return sum([np.sum(np.sin(leaf)) for leaf in tree.leaves(program.function(*args))])

    return total, tuple([k for k, a in enumerate(program.args()) if all(is_float(leaf) for leaf in tree.leaves(a))])


@each
def test_gradients_of_and_in_jit(program: Program) -> None:
    total, numbers = total_of(program)
    plain = npdiff.grad(total, numbers)
    for compiled in (npdiff.jit(npdiff.grad(total, numbers)), npdiff.grad(npdiff.jit(total), numbers)):
        for seed in (0, 1):
            ours, theirs = compiled(*program.args(seed)), plain(*program.args(seed))
            for a, b in zip(tree.leaves(ours), tree.leaves(theirs), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@each
def test_debug_nans_finds_nothing_in_finite_programs(program: Program) -> None:
    total, numbers = total_of(program)
    slope, plain = npdiff.grad(total, numbers), npdiff.grad(total, numbers)(*program.args())
    with npdiff.debug_nans():
        assert_equal_values(slope(*program.args()), plain, "gradient")
        value = npdiff.jit(program.function)(*program.args())
    assert_equal_values(value, program.function(*program.args()), "value")


BATCHED = {name: program for name, program in PROGRAMS.items() if program.vmap is not None}


@pytest.mark.parametrize("program", BATCHED.values(), ids=BATCHED)
def test_vmap_against_a_loop(program: Program) -> None:
    at = program.vmap
    args = program.args()
    variants = [program.args(seed)[at] for seed in (0, 3, 4)]
    stacked = np.stack(variants)
    axes = tuple([0 if k == at else None for k in range(len(args))])
    ours = npdiff.vmap(program.function, axes)(*args[:at], stacked, *args[at + 1:])
    others = lambda v: [*copy.deepcopy(args[:at]), v, *copy.deepcopy(args[at + 1:])]
    rows = [tree.leaves(program.function(*others(copy.deepcopy(v)))) for v in variants]
    for got, column in zip(tree.leaves(ours), zip(*rows, strict=True), strict=True):
        np.testing.assert_allclose(got, np.stack(column), rtol=1e-9, atol=1e-12)

    total, numbers = total_of(program)
    if at in numbers:
        slope = npdiff.grad(total, at)
        slopes = npdiff.vmap(slope, axes)(*args[:at], stacked, *args[at + 1:])
        np.testing.assert_allclose(slopes, [slope(*others(v)) for v in variants], rtol=1e-8, atol=1e-10)
