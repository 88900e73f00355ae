"""argmax and argmin in kernels against NumPy: places, ties, NaN, every kind of number."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Recorder, expected, kernels_of, same

import npdiff
from npdiff.core import Primitive
from npdiff.kernels import compile_graph
from npdiff.kernels.extrema import marked_p, positions_p, spelled_out

FIRST = [Primitive("argmax", lambda a, *, axis: np.argmax(a, axis)),
         Primitive("argmin", lambda a, *, axis: np.argmin(a, axis))]
SHAPES = [(2,), (33,), (1000,), (5, 3), (3, 40), (40, 3), (17, 130), (1, 9), (9, 1), (4, 5, 6), (3, 5000), (5000, 3)]
SPECIAL = ([0.0, -0.0, -1.5], [-1.0, 1.0, np.inf, -np.inf], [1.0, 2.0, np.nan, -np.inf], [np.nan],
           [2.0**-149, -(2.0**-149), 0.0])


def arrays(dtype, shape):
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        yield from [rng.choice(values, shape).astype(dtype) for values in SPECIAL]
    elif np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        yield rng.integers(max(info.min, -3), 4, shape).astype(dtype)
        yield rng.choice([info.min, info.max, 0], shape).astype(dtype)
    else:
        yield from [rng.integers(low, high, shape).astype(bool) for low, high in ((0, 2), (0, 1), (1, 2))]


def recorded(x, axes):
    r = Recorder(x)
    return r.graph(*[r(prim, r.inputs[0], axis=axis) for prim in FIRST for axis in axes])


@pytest.mark.parametrize("dtype", "?bBhHiIlLqefd")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_first_extremum_along_every_axis(shape, dtype):
    compiled = None
    for x in arrays(dtype, shape):
        g = recorded(x, range(len(shape)))
        compiled = compiled or compile_graph(g)
        same(compiled(x), expected(g, (x,)))
    assert kernels_of(compiled)
    assert "0 host calls" in compiled.explain()


@pytest.mark.parametrize("where", [0, 1, 7, 8, 500, 1008, 1009])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_the_first_nan_is_the_extremum(where, dtype):
    x = np.random.default_rng(0).normal(size=(3, 1010)).astype(dtype)
    x[:, where] = np.nan
    x[1, -1] = np.nan
    g = recorded(x, (0, 1))
    same(compile_graph(g)(x), expected(g, (x,)))


@pytest.mark.parametrize("take", [
    lambda x: x[::2, ::3], lambda x: x[::-1, ::-1], lambda x: x.T, lambda x: np.broadcast_to(x[:1], x.shape),
    lambda x: x[:, None][..., ::2]], ids=["steps", "backwards", "transposed", "broadcast", "inserted"])
def test_arrays_of_any_layout(take):
    x = take(np.random.default_rng(0).integers(0, 9, (40, 70)).astype("f8"))
    g = recorded(x, range(x.ndim))
    same(compile_graph(g)(x), expected(g, (x,)))


@pytest.mark.parametrize("shape", [(700_001,), (3, 300_001), (300_001, 3), (900, 1100)], ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
def test_large_arrays_that_threads_share(shape, dtype):
    x = np.random.default_rng(0).integers(-500, 500, shape).astype(dtype)
    g = recorded(x, range(len(shape)))
    same(compile_graph(g)(x), expected(g, (x,)))


def test_what_is_computed_is_not_stored():
    x = np.random.default_rng(0).normal(size=(50, 60))
    r = Recorder(x)
    y = r("multiply", r("sin", r.inputs[0]), 2.0)
    g = r.graph(r("sum", y, axis=(1,), keepdims=False), r("max", y, axis=(1,), keepdims=False), r(FIRST[0], y, axis=1))
    compiled = compile_graph(g)
    assert kernels_of(compiled) == 1
    same(compiled(x), expected(g, (x,)))


def test_arrays_that_are_put_together():
    x, y = np.random.default_rng(0).integers(0, 99, (2, 30, 40)).astype("f8")
    r = Recorder(x, y)
    whole = r("concatenate", *r.inputs, axis=1)
    g = r.graph(r(FIRST[0], whole, axis=1), r(FIRST[1], r("setitem", whole, 7.0, index=(slice(3, 9), slice(None))),
                                              axis=0))
    same(compile_graph(g)(x, y), expected(g, (x, y)))


@pytest.mark.parametrize("placed", [False, True])
def test_places_stand_for_themselves_in_any_view(placed):
    x = np.random.default_rng(0).integers(0, 3, (6, 8)).astype("f8")
    r = Recorder(x)
    where = r(positions_p, shape=(8, 6), dtype=np.dtype("i4"))
    turned = r("transpose", where, axes=(1, 0))
    out = r(marked_p, r.inputs[0], r("multiply", r.inputs[0], 1.0), turned, beyond=99)
    if placed:
        # Cases by the index, in the same kernel.
        out = r("setitem", out, r("getitem", out, index=(slice(0, 2),)), index=(slice(3, 5),))
    g = r.graph(r("add", out, out))
    compiled = compile_graph(g)
    assert "0 host calls" in compiled.explain()
    same(compiled(x), expected(g, (x,)))
    assert "place 0[" in compiled.explain()


def test_only_what_is_understood_is_spelled_out():
    def names(x, axis):
        return [eq.prim.name for eq in spelled_out(recorded(x, (axis,))).equations]

    assert "argmax" not in names(np.ones(3), 0)
    assert names(np.ones(1), 0) == names(np.ones(3, complex), 0) == names(np.ones(3, ">f8"), 0) == ["argmax", "argmin"]
    assert names(np.ones(3, np.longdouble), 0) == ["argmax", "argmin"]


@pytest.mark.parametrize("f", [np.argmax, np.argmin])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_numpys_function_as_it_is_called(f, keep, axis):
    x = np.random.default_rng(0).integers(0, 5, (20, 30)).astype("f4")
    jitted = npdiff.jit(lambda x: f(x, axis=axis, keepdims=keep))
    for _ in range(3):
        got, want = jitted(x), f(x, axis=axis, keepdims=keep)
        assert type(got) is type(want)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
