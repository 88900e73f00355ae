"""Python numbers beside arrays of every dtype (NEP 50): each transform computes in the dtype that NumPy computes in."""

from __future__ import annotations

import itertools
import operator
import warnings
from typing import Any

import numpy as np
import pytest

import npdiff

DTYPES = "?bBHilefdFD"
OPERATORS: dict[str, Any] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "pow": operator.pow, "eq": operator.eq, "lt": operator.lt,
    "np.add": np.add, "logaddexp": np.logaddexp, "ldexp": np.ldexp, "where": lambda a, b: np.where(True, a, b),
    "stack": lambda a, b: np.stack([a, np.ravel(b)[0]]),
}
NUMBERS: dict[str, Any] = {
    "a.item()": lambda a: a.item(), "1j * a": lambda a: 1j * a, "-a.item()": lambda a: -a.item(),
    "a.item() + a.item()": lambda a: a.item() + a.item(), "(1j * a).real": lambda a: (1j * a).real,
    "round(a.item(), 1)": lambda a: round(a.item(), 1), "(1j * a).conjugate()": lambda a: (1j * a).conjugate(),
}


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def outcome(f, *args):
    """The result, or the type of the exception."""
    try:
        return np.asarray(f(*args))
    except Exception as e:
        return type(e)


def same(got, want):
    if isinstance(want, type) or isinstance(got, type):
        return got is want
    # (NumPy has short ways for some exponents, whose last digit is another)
    rtol = 4 * np.finfo(want.dtype).eps if want.dtype.kind in "fc" else 0
    return got.dtype == want.dtype and np.allclose(got, want, rtol, 0, equal_nan=True)


def examples(dtype, shape):
    return np.array([[1, 2], [2, 1], [1, 1]] if shape else [1, 2, 1]).astype(dtype)


def reflected(op):
    return lambda a, b: op(b, a)


def different_numbers(op, number, a, x):
    """What vmap gives for a Python number that each example makes of its own, and what Python gives."""
    def f(a, x):
        return op(number(a), x)

    each = [outcome(f, *one) for one in zip(a, x, strict=True)]
    return outcome(npdiff.vmap(f), a, x), each[0] if isinstance(each[0], type) else np.stack(each)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("shape", [(), (2,)])
def test_python_numbers_that_differ_between_examples(name, shape):
    wrong = []
    for (how, number), kind, dtype in itertools.product(NUMBERS.items(), "?iqfdFD", DTYPES):
        if name == "pow" and dtype == "?" and shape:
            continue  # NumPy's dtype depends on whether the exponent is 2
        for op in (OPERATORS[name], reflected(OPERATORS[name])):
            got, want = different_numbers(op, number, examples(kind, ()), examples(dtype, shape))
            if not same(got, want):
                wrong.append((how, kind, dtype, got, want))
    assert not wrong, wrong[:5]


def ways(op, k, xs):
    """The transforms of ``op(k, xs[0])``, by the name of the transform."""
    x = xs[0]
    found = {"vmap": lambda: npdiff.vmap(op, in_axes=(None, 0))(k, xs)[0]}
    if xs.dtype.kind in "fc":
        found["jvp"] = lambda: npdiff.jvp(lambda x: op(k, x), (x,), (x,))[0]
        found["vjp"] = lambda: npdiff.vjp(lambda x: op(k, x), x)[0]
    if isinstance(k, (float, complex)):
        found["jvp of the number"] = lambda: npdiff.jvp(lambda k: op(k, x), (k,), (k,))[0]
        found["vjp of the number"] = lambda: npdiff.vjp(lambda k: op(k, x), k)[0]
    return found


@pytest.mark.parametrize("name", OPERATORS)
def test_python_numbers_beside_every_dtype(name):
    op = OPERATORS[name]
    wrong = []
    for k, dtype, shape in itertools.product((True, 3, 0.5, 1j), DTYPES, ((), (2,))):
        xs = examples(dtype, shape)
        for f in (op, reflected(op), lambda k, x: op(1j * k, x)):
            want = outcome(f, k, xs[0])
            wrong += [(how, k, dtype, shape, want) for how, way in ways(f, k, xs).items()
                      if not same(outcome(way), want)]
    assert not wrong, wrong[:5]


@pytest.mark.parametrize("k", [True, 3, 0.5, 1j])
@pytest.mark.parametrize("dtype", list(DTYPES))
def test_python_numbers_in_compiled_code(k, dtype):
    def f(k, x):
        return 1j * k - x, x * k, np.logaddexp(x, 0.5), k + k

    x = examples(dtype, (2,))
    if dtype in "FD":
        f = lambda k, x: (1j * k - x, x * k, k + k)
    compiled = npdiff.jit(f)
    for _ in range(2):
        for got, want in zip(compiled(k, x), f(k, x), strict=True):
            assert type(got) is type(want)
            assert same(np.asarray(got), np.asarray(want))


def test_numbers_of_examples_under_derivatives_and_compiled():
    def f(a, x):
        return np.sum(np.abs((1j * a - x) * a.item()) ** 2)

    a, x = np.array([1.0, 2.0, 0.5]), np.arange(6, dtype=np.float32).reshape(3, 2)
    each = [f(*one) for one in zip(a, x, strict=True)]
    assert each[0].dtype == np.float32
    slopes = [npdiff.grad(f)(*one) for one in zip(a, x, strict=True)]
    for vmapped in (npdiff.vmap(f), npdiff.jit(npdiff.vmap(f)), npdiff.vmap(npdiff.jit(f))):
        got = vmapped(a, x)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, each, rtol=1e-6)
    for way in (npdiff.vmap(npdiff.grad(f)), npdiff.grad(lambda a, x: np.sum(npdiff.vmap(f)(a, x)))):
        got = way(a, x)
        assert got.dtype == np.asarray(slopes).dtype
        np.testing.assert_allclose(got, slopes, rtol=1e-6)


def test_a_number_of_an_example_that_does_not_fit():
    with pytest.raises(OverflowError, match="out of bounds for uint8"):
        npdiff.vmap(lambda a, x: x + a.item())(np.array([1, 300]), np.ones((2, 2), np.uint8))
