"""Reductions in Numba's CUDA simulator against NumPy; run by test_simulator.py in a process of its own."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from cut import kernels_of
from graphs import Recorder, expected, same
from simulator import SMALL, run

from npdiff.kernels.cuda import Config
from npdiff.kernels.cuda.plan import plan

NAMES = ("sum", "prod", "max", "min", "any", "all")


def data(dtype, shape):
    """Few different numbers, so that a missing or doubled one shows."""
    rng = np.random.default_rng(0)
    if dtype == "?":
        return rng.integers(0, 8, shape) > 0
    if np.dtype(dtype).kind == "f":
        return rng.uniform(-1.5, 1.5, shape).astype(dtype)
    return rng.integers(0 if np.dtype(dtype).kind == "u" else -3, 7, shape).astype(dtype)


def folded(x, axis, names=NAMES):
    """A graph of several reductions of x + x."""
    r = Recorder(x)
    y = r("add", r.inputs[0], r.inputs[0])
    return r.graph(*[r(name, y, axis=axis, keepdims=False) for name in names])


@pytest.mark.parametrize("dtype", "? b h i q B H I Q f d".split())
@pytest.mark.parametrize("axis", [(0,), (1,), (0, 1)])
def test_every_reduction_of_every_dtype(dtype, axis):
    x = data(dtype, (5, 44))
    g = folded(x, axis)
    same(run(g, [x]), expected(g, [x]))


@pytest.mark.parametrize("dtype", ["F", "D"])
@pytest.mark.parametrize(("shape", "axis"), [
    ((5, 44), (0,)), ((5, 44), (1,)), ((5, 44), (0, 1)), ((6, 3), (1,)), ((3, 130), (1,)), ((1000,), (0,)),
    ((40, 33), (0,))])
def test_complex_numbers(dtype, shape, axis):
    unit = np.exp(1j * np.random.default_rng(0).uniform(-3, 3, shape)).astype(dtype)
    x = [unit, unit * (np.arange(shape[-1]) % 7 > 0)]
    r = Recorder(*x)
    g = r.graph(*[r(name, r.inputs[name in ("any", "all")], axis=axis, keepdims=False)
                  for name in ("sum", "prod", "any", "all")])
    assert len(kernels_of(g)) == 1
    same(run(g, x), expected(g, x))


@pytest.mark.parametrize(("shape", "axis"), [((5, 44), (0,)), ((5, 44), (1,)), ((3000,), (0,))])
def test_half_precision_is_added_up_in_single(shape, axis):
    x = data("e", shape)
    g = folded(x, axis)
    assert {b.dtype.char for b in kernels_of(g)[0].outputs} == {"f", "?"}
    for name, got, want in zip(NAMES, run(g, [x]), expected(g, [x]), strict=True):
        assert got.dtype == want.dtype
        exact = getattr(np, name)((x + x).astype(float), axis=axis) if name in ("sum", "prod") else want
        np.testing.assert_allclose(got, exact.astype(want.dtype), rtol=1e-3)


@pytest.mark.parametrize("axis", [s for n in range(4) for s in itertools.combinations(range(3), n)])
@pytest.mark.parametrize("shape", [(3, 4, 20), (2, 5, 36)])
def test_every_subset_of_axes(axis, shape):
    x = data("f", shape)
    g = folded(x, axis, ("sum", "max"))
    same(run(g, [x]), expected(g, [x]))


# One thread, one warp and one block for an item, and several parts; around the edges of each.
@pytest.mark.parametrize("n", [1, 2, 4, 5, 24, 25, 47, 48, 96, 97, 130, 512, 513, 1000])
def test_lengths_around_warps_and_blocks(n):
    x = data("f", (n,))
    g = folded(x, (0,), ("sum", "max", "any"))
    same(run(g, [x]), expected(g, [x]))


@pytest.mark.parametrize(("shape", "axis", "group", "lanes"), [
    ((30, 4), (1,), 1, 4), ((30, 3), (1,), 1, 1), ((7, 60), (1,), 4, 4), ((7, 11), (1,), 4, 1), ((2, 160), (1,), 8, 4),
    ((50, 8), (0,), 1, 4), ((50, 5), (0,), 1, 1), ((23, 3), (0,), 4, 1), ((24, 2), (0,), 4, 2), ((70, 2), (0,), 8, 2),
])
@pytest.mark.parametrize("dtype", ["f", "?"])
def test_each_way_to_share_the_work(shape, axis, group, lanes, dtype):
    x = data(dtype, shape)
    g = folded(x, axis, ("max", "min", "any"))
    first = plan(*kernels_of(g), SMALL).passes[0]
    assert (first.group, first.lanes) == (group, lanes)
    same(run(g, [x]), expected(g, [x]))


def test_parts_are_joined():
    x = data("d", (40, 33))
    g = folded(x, (0,), ("sum", "prod", "max"))
    passes = plan(*kernels_of(g), SMALL).passes
    assert len(passes) == 2
    assert passes[0].parts > 1
    same(run(g, [x]), expected(g, [x]))


@pytest.mark.parametrize("where", [0, 33, 130, 209])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity(where, special):
    x = data("f", (210,))
    x[where] = special
    g = folded(x, (0,), ("max", "min", "sum", "any", "all"))
    same(run(g, [x]), expected(g, [x]))


def test_results_do_not_depend_on_where_they_are_computed():
    x = data("f", (60, 90))
    g = folded(x, (0,), ("sum",))
    np.testing.assert_array_equal(run(g, [x])[0], run(g, [x], replace(SMALL, blocks=1))[0])


@pytest.mark.parametrize("config", [Config(block=64), Config(block=64, threads=64, run=8)])
def test_warps_of_32_threads(config):
    x = data("f", (2, 2100))
    g = folded(x, (1,), ("sum", "max"))
    same(run(g, [x], config), expected(g, [x]))


def test_stores_and_reductions_over_different_axes_share_a_kernel():
    x = data("f", (9, 40))
    r = Recorder(x)
    y = r("multiply", r("exp", r.inputs[0]), np.float32(0.5))
    outs = [y, r("sum", y, axis=(0,), keepdims=False), r("max", y, axis=(1,), keepdims=True),
            r("sum", r("multiply", y, y), axis=None, keepdims=False), r("greater", y, np.float32(1))]
    g = r.graph(*outs)
    assert len(kernels_of(g)) == 1
    same(run(g, [x]), expected(g, [x]))
