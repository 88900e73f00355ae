"""Elements picked by arrays of integers in the simulator; run by test_simulator.py in a process of its own."""

from __future__ import annotations

import numpy as np
import pytest
from cut import kernels_of
from graphs import PRIMITIVES, Primitive, Recorder, expected, same
from simulator import run

from npdiff.graph import Slot


def _take(x, *arrays, index):
    return np.asarray(x)[tuple([arrays[i.number] if type(i) is Slot else i for i in index])]


def _choose(x, k, axis):
    return np.take_along_axis(x, np.expand_dims(k, axis), axis).squeeze(axis)


TAKE = Primitive("getitem", _take, kind="linear")
PRIMITIVES["permute_along"] = Primitive("permute_along", lambda x, k, axis: np.take_along_axis(x, k, axis),
                                        kind="linear")
PRIMITIVES["choose_along"] = Primitive("choose_along", _choose, kind="linear")
A, B = Slot(0), Slot(1)
K = np.array([3, 0, -1, -4, 2, 2])
L = np.array([[0], [2], [-3]])
X = np.arange(120, dtype="f4").reshape(4, 5, 6)


def one_kernel(r, out, args):
    """The graph of a result, which is one kernel, gives what NumPy gives."""
    g = r.graph(out)
    assert len(kernels_of(g)) == 1
    same(run(g, args), expected(g, args))


@pytest.mark.parametrize("index", [
    (A,), (A, 1), (A, slice(1, 4)), (slice(None), A), (Ellipsis, A), (A, Ellipsis, -2), (A, None), (1, A),
    (slice(None), slice(None, None, -1), A), (None, slice(1, 3), A), (A, slice(None), 2), (1, slice(None), A),
    (A, slice(None), None)], ids=str)
def test_one_array(index):
    r = Recorder(X, K % 4)
    out = r(TAKE, r.inputs[0], r.inputs[1], index=index)
    one_kernel(r, r("multiply", out, out), [X, K if index[0] is A else K % 4 - 4 * (K > 1)])


@pytest.mark.parametrize("index", [(A, B), (A, slice(None), B), (slice(None), A, B), (B, A, 1), (A, 0, B)], ids=str)
def test_two_arrays_are_broadcast(index):
    k, j = np.array([0, 3, -1, 1]), L
    if index[0] is B:
        index, k, j = (A, B, *index[2:]), j, k
    r = Recorder(X, k, j)
    one_kernel(r, r("add", r(TAKE, *r.inputs, index=index), np.float32(1)), [X, k, j])


@pytest.mark.parametrize("dtype", "? b H i q e f d F D".split())
@pytest.mark.parametrize("kind", ["b", "B", "i", "Q"])
def test_every_dtype(dtype, kind):
    x = (X[0] % 7).astype(dtype)
    k = np.array([4, 0, 2, 1], kind)
    r = Recorder(x, k)
    a = r(TAKE, *r.inputs, index=(A,))
    g = r.graph(r("where", a, a, a))
    assert len(kernels_of(g)) == 1
    got, want = run(g, [x, k])[0], expected(g, [x, k])[0]
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_along_an_axis(axis):
    rng = np.random.default_rng(0)
    order = np.argsort(rng.normal(size=X.shape), axis)
    r = Recorder(X, order)
    one_kernel(r, r("permute_along", *r.inputs, axis=axis), [X, order])
    few = np.take(order, 1, axis)
    r = Recorder(X, few)
    one_kernel(r, r("choose_along", *r.inputs, axis=axis), [X, few])


def test_chains_views_and_tables_that_the_graph_makes():
    r = Recorder(X, K)
    x, k = r.inputs
    table = r("exp", r("multiply", x, np.float32(0.01)))
    seen = r("transpose", r("getitem", table, index=(slice(None, None, -1), slice(1, 5))), axes=(2, 0, 1))
    first = r(TAKE, seen, r("getitem", k, index=(slice(None, None, -1),)), index=(slice(None), A))
    g = r.graph(r("sum", r("multiply", first, first), axis=(0, 2), keepdims=False), r("add", first, first))
    assert len(kernels_of(g)) == 2
    same(run(g, [X, K]), expected(g, [X, K]))


def test_integers_that_a_kernel_computes_and_a_gather_within_a_gather():
    x, k = np.arange(50.0), np.arange(40) % 13
    r = Recorder(x, k)
    twice = r("add", r.inputs[1], r.inputs[1])
    inner = r(TAKE, r.inputs[1], twice, index=(A,))
    one_kernel(r, r("sqrt", r(TAKE, r.inputs[0], inner, index=(A,))), [x, k])


def test_gathers_beside_cases():
    x, k = np.arange(48.0).reshape(8, 6), np.array([7, 0, -3])
    r = Recorder(x, k)
    rows = r(TAKE, r.inputs[0], r.inputs[1], index=(A,))
    g = r.graph(r("add", r("setitem", r("multiply", r.inputs[0], 2.0), rows, index=(slice(2, 5),)), 1.0),
                r("concatenate", r("exp", r.inputs[0]), r("negative", rows), axis=0))
    same(run(g, [x, k]), expected(g, [x, k]))


def test_whatever_the_integers_are_no_other_memory_is_read():
    x, k = np.arange(5.0), np.array([0, 4])
    r = Recorder(x, k)
    g = r.graph(r("add", r(TAKE, *r.inputs, index=(A,)), 0.5))
    np.testing.assert_array_equal(run(g, [x, np.array([99, -99])])[0], [4.5, 0.5])
