"""Fused elementwise chains against NumPy: every ufunc of the table, dtypes, shapes, special values."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Recorder, expected, kernels_of, primitive, same

from npdiff.kernels import compile_graph
from npdiff.kernels.ufunc_rules import RULES

DTYPES = ["?", "i4", "i8", "u1", "f4", "f8"]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, np.inf, -np.inf, np.nan, 1e-310, 700.0, -700.0]


def operand(dtype, n=37, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        # Rotated, so that two operands meet in many combinations.
        return np.roll(np.resize(np.array(SPECIAL + list(rng.normal(size=8)), dtype), n), seed * 5)
    if dtype == "?":
        return rng.integers(0, 2, n).astype(bool)
    return rng.integers(0 if dtype == "u1" else -100, 100, n).astype(dtype)


def ufunc_of(name):
    return primitive(name).ufunc


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_ufunc_of_the_table(dtype, count):
    names = [n for n in RULES if ufunc_of(n).nin == count]
    xs = [operand(dtype, seed=k) for k in range(count)]
    r = Recorder(*xs)
    used = []
    for name in names:
        try:
            with np.errstate(all="ignore"):
                ufunc_of(name)(*xs)
        except (TypeError, ValueError):
            continue
        used.append(r(name, *r.inputs))
    g = r.graph(*used)
    k = compile_graph(g)
    for name, got, want in zip([e.prim.name for e in g.equations], k(*xs), expected(g, xs), strict=True):
        try:
            same([got], [want])
        except AssertionError as e:
            raise AssertionError(name) from e


@pytest.mark.parametrize("left", DTYPES)
@pytest.mark.parametrize("right", DTYPES)
def test_mixed_dtypes_promote_as_in_numpy(left, right):
    x, y = operand(left), operand(right, seed=1)
    r = Recorder(x, y)
    a, b = r.inputs
    outs = [r("add", a, b), r("multiply", a, b), r("less", a, b), r("where", a, a, b), r("maximum", a, b)]
    g = r.graph(*outs)
    same(compile_graph(g)(x, y), expected(g, (x, y)))


@pytest.mark.parametrize("dtype", ["i4", "u1", "f4", "f8"])
@pytest.mark.parametrize("number", [2, 0.25, True, np.float32(0.5), np.int8(3)])
def test_python_numbers_are_weak(dtype, number):
    x = operand(dtype)
    r = Recorder(x, number)
    a, n = r.inputs
    outs = [r("add", a, number), r("multiply", r("add", a, a), number), r("add", a, n), r("where", a, n, a)]
    g = r.graph(*outs)
    same(compile_graph(g)(x, number), expected(g, (x, number)))


def test_power_by_a_literal():
    # (-inf) ** 0.5 and (-0.0) ** 0.5 are pow's in NumPy before 2.3 and sqrt's since then, and in `**` always.
    corners = [-0.0, -np.inf] if np.lib.NumpyVersion(np.__version__) >= "2.3.0" else [-1.0, -7.0]
    x = np.array([0.0, *corners, 2.0, -3.0, np.inf, np.nan, 1e200] * 3)
    r = Recorder(x)
    outs = [r("power", r.inputs[0], p) for p in (2, 2.0, 3, 0.5, -1, 1, 0, 1.7, -2)]
    g = r.graph(*outs)
    k = compile_graph(g)
    assert kernels_of(k) == 1
    same(k(x), expected(g, (x,)))


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_astype(source, target):
    x = np.nan_to_num(operand(source), posinf=3, neginf=2)
    if np.dtype(source).kind == "f" and target == "u1":
        x = np.abs(x) % 100
    r = Recorder(x)
    y = r("astype", r.inputs[0], dtype=np.dtype(target))
    g = r.graph(y, r("add", y, y), r("logical_not", y))
    same(compile_graph(g)(x), expected(g, (x,)))


@pytest.mark.parametrize(("name", "last"), [("strong_multiply", np.nan), ("strong_product", 0)])
def test_strong_products_keep_zero_at_infinity(name, last):
    ct = np.array([0.0, 1.0, -0.0, 2.0, np.nan])
    p = np.array([np.inf, np.inf, np.nan, 3.0, 0.0])
    r = Recorder(ct, p)
    k = compile_graph(r.graph(r(name, *r.inputs)))
    assert kernels_of(k) == 1
    np.testing.assert_array_equal(k(ct, p)[0], [0, np.inf, 0, 6, last])


def test_elementwise_results_have_numpys_bits():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 1003))
    r = Recorder(x, y)
    a, b = r.inputs
    t = r("subtract", r("multiply", a, b), r("multiply", r("add", a, b), b))
    g = r.graph(r("divide", t, r("sqrt", r("absolute", a))))
    np.testing.assert_array_equal(compile_graph(g)(x, y)[0], expected(g, (x, y))[0])


@pytest.mark.parametrize("shape", [(), (1,), (3,), (0,), (0, 3), (4, 5), (1, 1), (2, 1, 7), (33,)])
def test_shapes(shape):
    x = np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape)
    r = Recorder(x)
    v = r.inputs[0]
    outs = [v]
    for _ in range(6):
        v = r("add", r("multiply", v, 0.5), r.inputs[0])
        outs.append(v)
    g = r.graph(*outs)
    same(compile_graph(g)(x), expected(g, (x,)))


def test_floating_point_errors_are_silent_in_a_kernel():
    x = np.zeros(10)
    r = Recorder(x)
    a = r.inputs[0]
    k = compile_graph(r.graph(r("divide", r("add", a, 1.0), r("log", a))))
    assert kernels_of(k) == 1
    with np.errstate(all="raise"):
        assert k(x)[0][0] == 0


@pytest.mark.parametrize("dtype", [">f8", ">i4", ">c16"])
def test_other_dtypes_are_left_to_numpy(dtype):
    x = np.arange(9).astype(dtype)
    r = Recorder(x)
    a = r.inputs[0]
    b = r("add", a, a)
    g = r.graph(r("multiply", b, b), r("sum", b, axis=None, keepdims=False))
    k = compile_graph(g)
    assert kernels_of(k) == 0 or dtype.startswith(">")
    same(k(x), expected(g, (x,)), rtol=1e-2)


def test_unknown_parameters_are_left_to_numpy():
    x = np.arange(9.0)
    r = Recorder(x)
    a = r.inputs[0]
    b = r("add", a, a, dtype=np.dtype("f8"))
    k = compile_graph(r.graph(b, r("multiply", b, b), r("add", b, b)))
    assert "call" in k.explain()
    np.testing.assert_array_equal(k(x)[0], x + x)


def test_an_int_that_does_not_fit_raises_as_in_numpy():
    x = np.arange(9, dtype="u1")
    r = Recorder(x)
    a = r.inputs[0]
    from npdiff.avals import Aval

    b = r("add", a, 300, aval=Aval((9,), np.dtype("u1")))
    k = compile_graph(r.graph(r("multiply", b, a), r("add", b, a)))
    with pytest.raises(OverflowError):
        k(x)
