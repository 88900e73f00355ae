"""Complex numbers, half precision and SciPy's functions in the simulator; run by test_simulator.py."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.special
from cut import APART, kernels_of
from graphs import Primitive, Recorder, expected
from simulator import run

from npdiff.kernels.complex_rules import COMPLEX
from npdiff.kernels.cuda.operations import CALLS
from npdiff.kernels.expressions import Expressions
from npdiff.kernels.special_rules import SPECIAL
from npdiff.kernels.ufunc_rules import RULES


def near(got, want, kind):
    """Equal up to the last places of `kind`."""
    np.testing.assert_allclose(got, want, rtol=8 * np.finfo(kind).eps, atol=8 * np.finfo(kind).eps)
    assert got.dtype == want.dtype


@pytest.mark.parametrize("dtype", ["F", "D"])
def test_every_ufunc_of_complex_numbers(dtype):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 100, 2)).view(complex)[..., 0].astype(dtype)
    values[0, :3], values[1, 1:4] = 0, [1j, 0, -2]
    x, y = values
    r = Recorder(x, y)
    names = [n for n in COMPLEX if hasattr(np, n)]
    used = [r(n, *r.inputs[:getattr(np, n).nin]) for n in names]
    used += [r("where", r("isnan", r.inputs[0]), *r.inputs), r("astype", r.inputs[0], dtype=np.dtype(complex))]
    g = r.graph(*used)
    assert kernels_of(g)
    for got, want in zip(run(g, [x, y]), expected(g, [x, y]), strict=True):
        if want.dtype == bool:
            np.testing.assert_array_equal(got, want)
        else:
            near(got, want, want.real.dtype)


def test_slices_of_complex_numbers():
    x = (np.arange(60) + 1j * np.arange(60)[::-1]).reshape(6, 10)
    r = Recorder(x)
    v = r("getitem", r.inputs[0], index=np.s_[::-1, 1::2])
    g = r.graph(r("multiply", r("add", v, 1.5), v))
    np.testing.assert_array_equal(run(g, [x])[0], expected(g, [x])[0])


@pytest.mark.parametrize("n", [5, 96, 97])
def test_half_precision_has_numpys_bits(n):
    x = np.resize(np.array([0.1, -2.5, 65504, np.inf, np.nan, 6e-8, -0.0, 3.14], "e"), n)
    y = np.roll(x, 3)
    r = Recorder(x, y)
    a, b = r.inputs
    names = ["add", "subtract", "multiply", "divide", "maximum", "minimum", "less", "logical_and"]
    g = r.graph(*[r(name, a, b) for name in names], r("sqrt", a), r("where", r("less", a, b), a, b),
                r("astype", a, dtype=np.dtype("f")))
    assert kernels_of(g)
    for got, want in zip(run(g, [x, y]), expected(g, [x, y]), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["f", "d"])
def test_scipys_functions(dtype):
    x = np.array([0.01, 0.2, 0.26, 0.49, 0.5, 0.51, 0.74, 0.9, 0.99, 0.999] * 5, dtype)
    y = np.roll(x, 3)
    names = [n for n in SPECIAL if n not in APART]
    r = Recorder(x, y)
    for name in names:
        ufunc = getattr(scipy.special, name.rpartition(".")[2])
        r(Primitive(name, ufunc, kind="elementwise", ufunc=ufunc), *r.inputs[:ufunc.nin])
    g = r.graph(*[eq.outputs[0] for eq in r.equations])
    assert sum(n.op == "call" for k in kernels_of(g) for n in k.nodes) > 10
    for name, got, want in zip(names, run(g, [x, y]), expected(g, [x, y]), strict=True):
        np.testing.assert_allclose(got, want, rtol=64 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps, err_msg=name)


@pytest.mark.parametrize("rules", [RULES, COMPLEX, SPECIAL])
def test_every_function_of_a_rule_is_there(rules):
    for name, rule in rules.items():
        e = Expressions()
        dtype = np.dtype(complex if rules is COMPLEX else float)
        build = partial(rule.build, e)
        operands = [e.const(k + 0.25, dtype) for k in range(3)] if "f" in rule.kinds or rules is COMPLEX else []
        for count in range(1, 4) if operands else ():
            try:
                build(*operands[:count])
            except TypeError:
                continue
        called = {n.data for n in e.nodes if n.op == "call"}
        assert (called <= CALLS) == (name not in APART), name
