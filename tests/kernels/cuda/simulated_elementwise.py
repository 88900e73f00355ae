"""Elementwise kernels in Numba's CUDA simulator against NumPy; run by test_simulator.py in a process of its own."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from cut import kernels_of
from graphs import Recorder, expected, primitive, same
from hypothesis import HealthCheck, given, settings
from simulator import SMALL, run
from test_random_graphs import programs

from npdiff.kernels import cuda
from npdiff.kernels.schedule import Scheduler
from npdiff.kernels.ufunc_rules import RULES

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, np.inf, -np.inf, np.nan, 1e-310, 700.0, -700.0]


def operand(dtype, seed=0, n=37):
    """Numbers of a dtype, special ones among them."""
    kind = np.dtype(dtype)
    rng = np.random.default_rng(seed)
    if kind.kind == "f":
        # Rotated, so that two operands meet in many combinations.
        return np.roll(np.resize(np.array(SPECIAL + list(rng.normal(size=8)), dtype), n), seed * 5)
    if dtype == "?":
        return rng.integers(0, 2, n).astype(bool)
    info = np.iinfo(kind)
    corners = [0, 1, 2, info.max, info.min, info.max - 1]
    return np.roll(np.resize(np.array(corners + list(rng.integers(0, 100, 20)), kind), n), seed * 5)


@pytest.mark.parametrize("dtype", "? b h i q B H I Q f d".split())
def test_every_ufunc_of_the_table(dtype):
    xs = [operand(dtype, seed=k) for k in range(3)]
    r = Recorder(*xs)
    used = []
    for name in RULES:
        ufunc = primitive(name).ufunc
        try:
            with np.errstate(all="ignore"):
                ufunc(*xs[:ufunc.nin])
        except (TypeError, ValueError):
            continue
        used.append(r(name, *r.inputs[:ufunc.nin]))
    g = r.graph(*used)
    assert kernels_of(g)
    for eq, got, want in zip(g.equations, run(g, xs), expected(g, xs), strict=True):
        try:
            same([got], [want])
        except AssertionError as e:
            raise AssertionError(eq.prim.name) from e


@pytest.mark.parametrize("left", ["?", "i", "q", "B", "f", "d"])
def test_mixed_dtypes(left):
    xs = [operand(left)] + [operand(c, seed=1) for c in "? b i q B Q f d".split()]
    r = Recorder(*xs)
    a = r.inputs[0]
    outs = []
    for b in r.inputs[1:]:
        outs += [r("add", a, b), r("multiply", a, b), r("less", a, b), r("where", a, a, b), r("maximum", a, b)]
    g = r.graph(*outs)
    same(run(g, xs), expected(g, xs))


@pytest.mark.parametrize("source", "? b i Q f d".split())
def test_astype(source):
    x = np.nan_to_num(operand(source), posinf=3, neginf=2)
    r = Recorder(x)
    targets = [t for t in "? b h i q B H I Q f d".split() if np.dtype(source).kind != "f" or t in "?fd"]
    outs = [r("astype", r.inputs[0], dtype=np.dtype(t)) for t in targets]
    g = r.graph(*outs, *[r("add", y, y) for y in outs])
    same(run(g, [x]), expected(g, [x]))


# Around the edges of vectors, of blocks, and of the grid, whose threads then go on to further items.
@pytest.mark.parametrize("shape", [(), (1,), (7,), (8,), (9,), (23,), (24,), (25,), (48,), (50,), (51,), (96,), (97,),
                                   (3, 1, 4), (1, 1), (6, 10), (5, 3, 2, 2)])
def test_shapes(shape):
    x = np.arange(np.prod(shape, dtype=int), dtype="f").reshape(shape)
    r = Recorder(x)
    a = r.inputs[0]
    y = r("add", r("multiply", a, np.float32(0.5)), np.float32(1))
    g = r.graph(y, r("greater", y, np.float32(2)), r("sqrt", y))
    same(run(g, [x]), expected(g, [x]))


@pytest.mark.parametrize(("left", "right"), [
    ((6, 8), (8,)), ((6, 8), (6, 1)), ((6, 8), ()), ((6, 1), (1, 8)), ((4, 1, 12), (3, 1)), ((48,), (1,)),
    ((6, 9), (9,)),
])
def test_broadcasting(left, right):
    x, y = operand("f", n=int(np.prod(left))).reshape(left), operand("d", 1, int(np.prod(right))).reshape(right)
    r = Recorder(x, y)
    a, b = r.inputs
    g = r.graph(r("add", a, b), r("where", r("less", a, b), a, b), r("exp", r("multiply", b, a)))
    same(run(g, [x, y]), expected(g, [x, y]))


@pytest.mark.parametrize("index", [
    np.s_[2:, 4:], np.s_[:, ::2], np.s_[::-1, ::-1], np.s_[1:, ::-3], np.s_[3], np.s_[:, 5], np.s_[:, 1:9],
    np.s_[::3, :],
])
@pytest.mark.parametrize("dtype", ["f", "?", "h"])
def test_slices(index, dtype):
    x = operand(dtype, n=120).reshape(10, 12)
    r = Recorder(x)
    v = r("getitem", r.inputs[0], index=index)
    y = r("where", v, v, v)
    g = r.graph(y, r("equal", y, v), r("logical_not", v))
    same(run(g, [x]), expected(g, [x]))


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0)])
def test_transposed_operands(axes):
    x = operand("f", n=96).reshape(4, 6, 4)
    r = Recorder(x, np.transpose(x, axes).copy())
    g = r.graph(r("maximum", r("transpose", r.inputs[0], axes=axes), r.inputs[1]))
    same(run(g, [x, np.transpose(x, axes) * 2]), expected(g, [x, np.transpose(x, axes) * 2]))


def test_arrays_that_begin_within_a_vector():
    base = operand("f", n=97)
    x, out = base[1:], np.zeros(97, "f")[1:]
    r = Recorder(x)
    kernel, = kernels_of(r.graph(r("multiply", r("add", r.inputs[0], r.inputs[0]), r.inputs[0])))
    assert "load4" in cuda.source(kernel, SMALL)
    launch = cuda.compiled(kernel, SMALL)
    with np.errstate(all="ignore"):
        want = (x + x) * x
    for array, target in [(x, out), (x.copy(), np.zeros(96, "f")), (x.copy(), out * 0)]:
        launch([array], [target])
        np.testing.assert_array_equal(target, want)


def test_elementwise_results_have_numpys_bits():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 103))
    r = Recorder(x, y)
    a, b = r.inputs
    t = r("subtract", r("multiply", a, b), r("multiply", r("add", a, b), b))
    g = r.graph(r("divide", t, r("sqrt", r("absolute", a))))
    np.testing.assert_array_equal(run(g, [x, y])[0], expected(g, [x, y])[0])


@pytest.mark.parametrize(("name", "last"), [("strong_multiply", np.nan), ("strong_product", 0)])
def test_strong_products_keep_zero_at_infinity(name, last):
    ct, p = np.array([0.0, 1.0, -0.0, 2.0, np.nan]), np.array([np.inf, np.inf, np.nan, 3.0, 0.0])
    r = Recorder(ct, p)
    np.testing.assert_array_equal(run(r.graph(r(name, *r.inputs)), [ct, p])[0], [0, np.inf, 0, 6, last])


def test_constants_keep_their_bits():
    values = [np.float32(0.1), np.float64(-0.0), np.float32(np.inf), -np.inf, np.nan, np.int64(-2**63),
              np.uint64(2**64 - 1), np.int8(-128), True, 5e-324]
    zero = np.zeros(3)
    r = Recorder(zero)
    test = r("equal", r.inputs[0], 0.0)
    g = r.graph(*[r("where", test, v, v) for v in values])
    for got, want in zip(run(g, [zero]), expected(g, [zero]), strict=True):
        assert got.tobytes() == want.tobytes() or np.isnan(want).all()
        assert got.dtype == want.dtype


@given(programs())
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_random_graphs(program):
    graph, xs = program
    with patch.object(Scheduler, "_worthwhile", lambda self, group: True):
        same(run(graph, xs), expected(graph, xs))
