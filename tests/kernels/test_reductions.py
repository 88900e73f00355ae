"""Fused reductions against NumPy, over every subset of axes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from graphs import Recorder, expected, kernels_of, same

from npdiff.kernels import compile_graph

SHAPE = (3, 4, 21)
SUBSETS = [s for n in range(4) for s in itertools.combinations(range(3), n)] + [None]


def data(dtype, shape=SHAPE):
    rng = np.random.default_rng(0)
    if dtype == "?":
        return rng.integers(0, 2, shape).astype(bool)
    if np.dtype(dtype).kind == "f":
        return rng.uniform(-1.5, 1.5, shape).astype(dtype)
    return rng.integers(0, 7, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["?", "i4", "i8", "u1", "f4", "f8"])
@pytest.mark.parametrize("axis", SUBSETS)
def test_every_reduction_over_every_axis(dtype, axis):
    x = data(dtype)
    r = Recorder(x)
    a = r.inputs[0]
    y = r("multiply", a, a)
    outs = [r(name, y, axis=axis, keepdims=keep)
            for name in ("sum", "prod", "max", "min", "any", "all") for keep in (False, True)]
    g = r.graph(*outs)
    k = compile_graph(g)
    assert kernels_of(k) == 1
    same(k(x), expected(g, (x,)))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 15, 16, 17, 63, 513, 1024, 2049, 40000, 70001])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_lengths_around_vectors_and_blocks(n, dtype):
    x = data(dtype, (n,))
    r = Recorder(x)
    y = r("add", r.inputs[0], r.inputs[0])
    outs = [r(f, y, axis=(0,), keepdims=False) for f in ("sum", "max", "min")]
    g = r.graph(*outs, r("subtract", y, 1))
    same(compile_graph(g)(x), expected(g, (x,)))


@pytest.mark.parametrize("where", [0, 5, 20, 500, 1009])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_nan_and_infinity_in_max_min_sum(where, dtype):
    for special in (np.nan, np.inf, -np.inf):
        x = data(dtype, (1010,))
        x[where] = special
        r = Recorder(x)
        y = r("multiply", r.inputs[0], 1.5)
        g = r.graph(*[r(f, y, axis=None, keepdims=False) for f in ("max", "min", "sum", "any", "all")])
        same(compile_graph(g)(x), expected(g, (x,)))


def test_a_long_sum_is_as_accurate_as_numpys():
    x = np.random.default_rng(0).uniform(0, 1, 3_000_017).astype(np.float32)
    r = Recorder(x)
    y = r("multiply", r.inputs[0], np.float32(1.1))
    k = compile_graph(r.graph(r("sum", y, axis=None, keepdims=False)))
    exact = np.sum(x * np.float32(1.1), dtype=np.float64)
    assert abs(float(k(x)[0]) - exact) <= 2e-7 * exact


def test_several_reductions_and_outputs_share_one_kernel():
    x = data("f8", (50, 60))
    r = Recorder(x)
    y = r("sin", r.inputs[0])
    outs = [y, r("sum", y, axis=(0,), keepdims=False), r("max", y, axis=(1,), keepdims=True),
            r("sum", r("multiply", y, y), axis=None, keepdims=False)]
    g = r.graph(*outs)
    k = compile_graph(g)
    assert kernels_of(k) == 1
    same(k(x), expected(g, (x,)))


@pytest.mark.parametrize(("length", "kernels"), [(300, 1), (10, 1), (5000, 2)])
def test_what_a_row_is_reduced_to_is_read_in_the_same_kernel(length, kernels):
    x = data("f8", (40, length))
    r = Recorder(x)
    a = r.inputs[0]
    top = r("max", r("multiply", a, 2.0), axis=(1,), keepdims=True)
    e = r("exp", r("subtract", r("multiply", a, 2.0), r("broadcast_to", top, shape=x.shape)))
    total = r("sum", e, axis=(1,), keepdims=True)
    g = r.graph(r("divide", e, total))
    k = compile_graph(g)
    assert kernels_of(k) == kernels
    same(k(x), expected(g, (x,)))


def test_reducing_nothing_and_empty_arrays():
    x = np.zeros((0, 3))
    r = Recorder(x)
    y = r("add", r.inputs[0], 1.0)
    g = r.graph(r("sum", y, axis=(0,), keepdims=False), r("prod", y, axis=(0,), keepdims=True),
                r("any", y, axis=None, keepdims=False))
    same(compile_graph(g)(x), expected(g, (x,)))
    r = Recorder(x)
    top = r("max", r.inputs[0], axis=(0,), keepdims=False, aval=r.inputs[0].aval._replace(shape=(3,)))
    with pytest.raises(ValueError, match="zero-size"):
        compile_graph(r.graph(top))(x)


def test_sum_runs_in_the_dtype_of_its_result():
    x = data("f4", (5000,))
    from npdiff.avals import Aval

    r = Recorder(x)
    y = r("add", r.inputs[0], r.inputs[0])
    k = compile_graph(r.graph(r("sum", y, axis=None, keepdims=False, aval=Aval((), np.dtype("f8"))),
                              r("max", y, axis=None, keepdims=False)))
    np.testing.assert_allclose(k(x)[0], np.sum(x + x, dtype="f8"), rtol=1e-13)


@pytest.mark.parametrize("n", [17, 31, 33, 129, 1025, 5001, 70001])
@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "i8", "f2", "f4", "f8", "c8", "c16"])
def test_what_is_left_of_a_vector_counts_once(n, dtype):
    x = data(dtype, (3, n)) if np.dtype(dtype).kind != "c" else data("f8", (3, n)) * np.array(1 - 2j, dtype)
    y = x.astype(dtype)
    kinds = {"b": ("any", "all"), "c": ("sum",)}.get(y.dtype.kind, ("sum", "max", "min"))
    for axis in ((1,), (0,), (0, 1)):
        r = Recorder(y)
        # Stored as well: lanes that count for nothing write what they wrote.
        twice = r("logical_not" if dtype == "?" else "add", *r.inputs * (1 if dtype == "?" else 2))
        g = r.graph(*[r(f, twice, axis=axis, keepdims=False) for f in kinds], twice)
        for got, want in zip(compile_graph(g)(y), expected(g, (y,)), strict=True):
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            if got.dtype.kind in "fc":
                error = np.max(np.abs(got.astype("c16") - want))
                assert error <= 40 * np.finfo(got.dtype).eps * np.max(np.abs(want), initial=1), (axis, error)
            else:
                np.testing.assert_array_equal(got, want)
