"""Views as index maps, broadcasting and inputs of any layout."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Recorder, expected, kernels_of, same

import npdiff
from npdiff.kernels import compile_graph, views

X = np.arange(24.0).reshape(4, 6) / 7


@pytest.mark.parametrize("index", [
    (1,), (-1,), (slice(None), 2), (slice(1, 3),), (slice(None, None, -1),), (slice(None), slice(4, 0, -2)),
    (None, slice(None), None, 3), (Ellipsis, 1), (slice(3, 1), Ellipsis), (1, 2), (slice(1, None, 2), slice(1, 5, 3)),
    (Ellipsis, None), (slice(-3, -1), slice(-1, None)), (),
])
def test_getitem(index):
    r = Recorder(X)
    v = r("getitem", r.inputs[0], index=index)
    g = r.graph(r("add", r("multiply", v, v), r("sin", v)), v, r("sum", r("exp", v), axis=None, keepdims=False))
    same(compile_graph(g)(X), expected(g, (X,)))


@pytest.mark.parametrize("step", [
    ("reshape", {"shape": (6, 4)}), ("reshape", {"shape": (24,)}), ("reshape", {"shape": (1, 4, 1, 6)}),
    ("reshape", {"shape": (2, 2, 3, 2)}), ("transpose", {"axes": (1, 0)}), ("transpose", {"axes": (0, 1)}),
    ("broadcast_to", {"shape": (3, 4, 6)}), ("getitem", {"index": (slice(None, None, 2),)}),
    ("getitem", {"index": (slice(None), slice(None, None, -1))}), ("getitem", {"index": (2,)}),
])
@pytest.mark.parametrize("before", [None, ("transpose", {"axes": (1, 0)}), ("reshape", {"shape": (4, 6)})])
def test_views_of_computed_values_and_of_views(step, before):
    y = np.ones((6, 4)) if before and before[0] == "transpose" else X
    if before and before[0] == "transpose" and step[0] == "broadcast_to":
        step = ("broadcast_to", {"shape": (3, 6, 4)})
    if before and before[0] == "transpose" and step == ("reshape", {"shape": (1, 4, 1, 6)}):
        step = ("reshape", {"shape": (1, 6, 1, 4)})
    assert y.size == 24
    r = Recorder(X)
    a = r.inputs[0]
    for source in (a, r("add", r("multiply", a, a), 1.0)):
        v = r(before[0], source, **before[1]) if before else source
        v = r(step[0], v, **step[1])
        out = r("add", r("multiply", v, 2.0), r("exp", v))
        total = r("sum", out, axis=None, keepdims=False)
        g = r.graph(out, v, total)
        same(compile_graph(g)(X), expected(g, (X,)))


@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
@pytest.mark.parametrize("offset", [0, 1, -2, 5, 6, -4])
def test_a_diagonal_is_a_view(offset, axes):
    assert np.shares_memory(np.diagonal(X), X)
    want = np.diagonal(X, offset, *axes)
    seen = views.apply("diagonal", views.whole(X.shape), {"offset": offset, "axes": axes})
    assert seen is not None
    np.testing.assert_array_equal(np.lib.stride_tricks.as_strided(
        X.ravel()[seen.offset:], seen.shape, [8 * s for s in seen.strides]), want)


def test_diagonals_are_read_where_they_lie():
    f = npdiff.jit(lambda x: np.sum(np.exp(np.diagonal(x * x)) * np.diagonal(x * x, 1)[:4]))
    g = npdiff.jit(npdiff.grad(lambda x: np.sum(np.exp(np.diagonal(x, 1)) + np.diagonal(x, -1)[0])))
    for _ in range(3):
        np.testing.assert_allclose(f(X), np.sum(np.exp(np.diagonal(X * X)) * np.diagonal(X * X, 1)[:4]), rtol=1e-12)
        want = np.zeros_like(X)
        want[range(4), range(1, 5)] = np.exp(np.diagonal(X, 1))
        want[1, 0] += 4
        np.testing.assert_allclose(g(X), want, rtol=1e-12)
    assert not any("diagonal" in t.step.names or "setitem" in t.step.names for h in (f, g) for t in h.profile(X).steps)


def test_reshape_of_a_strided_view_is_a_view_only_where_numpy_says_so():
    base = views.whole((4, 6))
    assert views.apply("reshape", base, {"shape": (2, 12)}) is not None
    turned = views.apply("transpose", base, {"axes": (1, 0)})
    assert turned is not None
    assert views.apply("reshape", turned, {"shape": (24,)}) is None
    assert views.apply("reshape", turned, {"shape": (2, 3, 2, 2)}) is not None
    assert views.apply("reshape", turned, {"shape": (3, 8)}) is None
    assert views.apply("reshape", base, {"shape": (5, 5)}) is None
    assert views.apply("reshape", base, {"shape": (4, 6), "order": "F"}) is None


def test_index_objects_that_are_not_understood_are_not_views():
    base = views.whole((4, 6))
    for index in [(object(),), ([0, 1],), (np.array([0]),), (True,), (0, 0, 0), (9,), (Ellipsis, Ellipsis)]:
        assert views.apply("getitem", base, {"index": index}) is None


@pytest.mark.parametrize("shapes", [
    ((4, 6), (6,)), ((4, 1), (1, 6)), ((4, 1, 6), (5, 1)), ((), (4, 6)), ((1,), (7,)), ((3, 1, 2), (1, 5, 1)),
])
def test_broadcasting(shapes):
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=s) for s in shapes]
    r = Recorder(*xs)
    a, b = r.inputs
    c = r("add", r("multiply", r("sin", a), b), r("exp", b))
    outs = [c, r("sum", c, axis=None, keepdims=False), r("multiply", a, 3.0), r("subtract", b, a)]
    g = r.graph(*outs)
    same(compile_graph(g)(*xs), expected(g, xs))


def layouts():
    base = np.arange(2 * 8 * 12, dtype=float).reshape(2, 8, 12) / 9
    unaligned = np.frombuffer(bytearray(8 * 24 + 3), np.uint8)[3:].view(float).reshape(4, 6)
    unaligned[...] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    return [
        X, np.asfortranarray(X), base[0, ::2, ::2], base[1, 3::-1, 5::-1], np.broadcast_to(X[0], (4, 6)),
        unaligned, frozen, X.reshape(6, 4).T,
    ]


@pytest.mark.parametrize("k", range(8))
def test_inputs_of_any_layout(k):
    x = layouts()[k]
    before = x.copy()
    r = Recorder(X)
    a = r.inputs[0]
    g = r.graph(r("add", r("multiply", a, a), r("sin", a)), r("sum", a, axis=(0,), keepdims=False))
    same(compile_graph(g)(x), expected(g, (x,)))
    np.testing.assert_array_equal(x, before)


def test_a_transposed_operand_is_read_in_place():
    r = Recorder(X, X.T.copy())
    a, b = r.inputs
    out = r("multiply", r("add", a, r("transpose", b, axes=(1, 0))), 0.5)
    k = compile_graph(r.graph(out, r("exp", out)))
    assert kernels_of(k) == 1
    assert "0 host calls" in k.explain()


def test_scalars_are_computed_inside_the_kernels_that_use_them():
    x = np.arange(5000.0)
    r = Recorder(x, np.float64(3.0))
    a, s = r.inputs
    w = r("exp", r("negative", r("multiply", s, s)))
    out = r("add", r("multiply", a, w), w)
    g = r.graph(out)
    k = compile_graph(g)
    assert kernels_of(k) == 1
    assert "0 host calls" in k.explain()
    same(k(x, np.float64(3.0)), expected(g, (x, np.float64(3.0))))
