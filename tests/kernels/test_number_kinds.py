"""Half precision, complex, integer and bool arrays in kernels, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from graphs import Recorder, expected, kernels_of, primitive, same

from npdiff.avals import Aval
from npdiff.core import Primitive
from npdiff.kernels import compile_graph
from npdiff.kernels.complex_rules import COMPLEX
from npdiff.kernels.ufunc_rules import RULES

PARTS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, np.inf, -np.inf, np.nan, 1e-5, 1e4]
# NumPy multiplies in one rounding where it can, and takes the C library's hypot.
ROUNDED = {"multiply", "square", "absolute"}
REAL, IMAG = (Primitive(name, getattr(np, name), kind="elementwise") for name in ("real", "imag"))


def numbers(dtype, n, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "c":
        special = [complex(x, y) for x in PARTS for y in PARTS]
        return rng.permutation([*special, *(rng.normal(size=80) + 1j * rng.normal(size=80))])[:n].astype(dtype)
    edges = np.array([np.inf, -np.inf, np.nan, 6e-8, -6e-8, 65504, 1, 0.5, -0.0], dtype)
    return rng.permutation([*edges, *(20 * rng.normal(size=200)).astype(dtype)])[:n].astype(dtype)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_ufuncs_are_numpys(dtype):
    x, y = numbers(dtype, 197), numbers(dtype, 197, seed=1)
    r = Recorder(x, y)
    names = [name for name in COMPLEX if primitive(name).ufunc.__name__ == name]
    g = r.graph(*[r(name, *r.inputs[:primitive(name).ufunc.nin]) for name in names], r(REAL, r.inputs[0]),
                r(IMAG, r.inputs[1]))
    k = compile_graph(g)
    assert " 0 host calls" in k.explain(), k.explain()[:400]
    assert kernels_of(k) == 1
    for name, got, want in zip([*names, "real", "imag"], k(x, y), expected(g, (x, y)), strict=True):
        assert got.dtype == want.dtype, name
        if name in ROUNDED:
            np.testing.assert_allclose(got, want, rtol=2e-6 if dtype == "c8" else 1e-14, atol=1e-7, err_msg=name)
        else:
            np.testing.assert_array_equal(got, want, err_msg=name)


@pytest.mark.parametrize("size", [1, 3, 8, 33])
def test_complex_arrays_of_any_layout(size):
    x = numbers("c16", 160)[:4 * size]
    x = np.where(np.isfinite(x), x, 0.5 - 1j).reshape(4, size)
    r = Recorder(x)
    a = r.inputs[0]
    turned = r("transpose", r("getitem", a, index=(slice(None, None, -1), slice(None, None, -1))), axes=(1, 0))
    scaled = r("add", r("multiply", turned, 2), r("astype", r("getitem", r(REAL, a), index=(slice(0, 1), slice(0, 1))),
                                                  dtype=np.dtype("c16")))
    g = r.graph(r("add", a, r("getitem", a, index=(slice(1, 2), slice(None)))), scaled,
                r("where", r("isnan", a), r("conjugate", a), 1j))
    same(compile_graph(g)(x), expected(g, (x,)))


def test_half_precision_is_rounded_after_every_operation():
    x, y = numbers("f2", 150), numbers("f2", 150, seed=1)
    r = Recorder(x, y)
    a, b = r.inputs
    chain = r("divide", r("add", r("multiply", a, b), a), r("sqrt", r("absolute", b)))
    outs = {"chain": chain, "where": r("where", r("less", a, b), a, 0.25)}
    for name, rule in RULES.items():
        ufunc = primitive(name).ufunc
        if "f" in rule.kinds and not rule.math and ufunc.nin < 3 and ufunc.__name__ == name:
            outs[name] = r(name, *[a, b][:ufunc.nin])
    g = r.graph(*outs.values())
    k = compile_graph(g)
    assert " 0 host calls" in k.explain(), k.explain()
    for name, got, want in zip(outs, k(x, y), expected(g, (x, y)), strict=True):
        assert got.dtype == want.dtype, name
        # NumPy lets either of two equal zeros win.
        np.testing.assert_array_equal(got, want, err_msg=name)


@pytest.mark.parametrize("target", ["?", "i4", "f4", "f8", "c8"])
def test_half_precision_is_cast_as_in_numpy(target):
    x = np.abs(numbers("f2", 60))
    x = np.where(np.isfinite(x), x, 1)
    r = Recorder(x)
    up = r("astype", r.inputs[0], dtype=np.dtype(target))
    back = r("astype", r("astype", r("logical_not", r.inputs[0]), dtype=np.dtype("i8")), dtype=np.dtype("f2"))
    g = r.graph(up, back, r("add", back, r.inputs[0]))
    for got, want in zip(compile_graph(g)(x), expected(g, (x,)), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("shape", [(1,), (7,), (33,), (5000,), (3, 70000), (4, 3, 21), (400, 3)])
def test_complex_numbers_are_reduced(shape, dtype):
    x = np.exp(1j * np.random.default_rng(0).uniform(-3, 3, shape)).astype(dtype)
    some = np.where(x.real > -0.9, x, 0)
    for axis in [s for n in range(1, x.ndim + 1) for s in itertools.combinations(range(x.ndim), n)]:
        r = Recorder(x, some)
        a, b = r.inputs
        g = r.graph(*[r(name, y, axis=axis, keepdims=keep) for keep in (False, True)
                      for name, y in (("sum", r("multiply", a, b)), ("prod", a), ("any", b), ("all", b))])
        k = compile_graph(g)
        assert " 0 host calls" in k.explain(), k.explain()
        same(k(x, some), expected(g, (x, some)))


@pytest.mark.parametrize("shape", [(1,), (7,), (33,), (5000,), (3, 70000), (4, 3, 21), (400, 3)])
def test_half_precision_is_reduced_in_single(shape):
    x = np.random.default_rng(0).uniform(-1.5, 1.5, shape).astype("f2")
    names = ("sum", "prod", "max", "min", "any", "all")
    for axis in [s for n in range(1, x.ndim + 1) for s in itertools.combinations(range(x.ndim), n)]:
        r = Recorder(x)
        g = r.graph(*[r(name, r.inputs[0], axis=axis, keepdims=True) for name in names])
        k = compile_graph(g)
        assert kernels_of(k) == 2
        for name, got, want in zip(names, k(x), expected(g, (x,)), strict=True):
            exact = getattr(np, name)(x.astype("f8"), axis=axis, keepdims=True).astype(want.dtype)
            assert got.dtype == want.dtype
            np.testing.assert_allclose(got, exact, rtol=1e-3, atol=1e-3 if name == "sum" else 0)


def test_sums_of_half_precision_are_as_large_as_a_result_can_be():
    x = np.array([60000, 60000, -60000, -60000] * 20, "f2")
    r = Recorder(x)
    g = r.graph(r("sum", r.inputs[0], axis=(0,), keepdims=False))
    same(compile_graph(g)(x), (np.float16(0),))


def test_what_numpy_does_in_another_precision_is_left_to_it():
    x = np.linspace(0, 70000, 40)
    r = Recorder(x)
    narrow = r("astype", r.inputs[0], dtype=np.dtype("f2"))
    total = r("sum", narrow, axis=None, keepdims=False)
    z = r("astype", r.inputs[0], dtype=np.dtype("c16"))
    g = r.graph(total, r("sum", r("multiply", z, 2j), axis=None, keepdims=False),
                r("power", z, 2, aval=Aval((40,), np.dtype("c16"))))
    k = compile_graph(g)
    assert "call" in k.explain()
    same(k(x), expected(g, (x,)))
