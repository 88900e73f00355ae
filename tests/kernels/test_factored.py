"""Matrices that several functions of np.linalg read are factored once, with NumPy's values and errors."""

from __future__ import annotations

import re

import numpy as np
import pytest

import npdiff
from npdiff import lapack
from npdiff.kernels import factored
from npdiff.testing import check_grads

pytestmark = pytest.mark.skipif(not lapack.address("getrf", np.dtype(float)), reason="NumPy's LAPACK is hidden")
N = factored.LEAST


def matrix(n=N, dtype=float, seed=0):
    return (np.random.default_rng(seed).normal(size=(n, n)) / np.sqrt(n) + np.eye(n)).astype(dtype)


def everything(a, b):
    return (np.linalg.solve(a, b), np.linalg.solve(a.T, b), np.linalg.inv(a), np.linalg.inv(a.T), np.linalg.det(a),
            np.linalg.det(a.T), *np.linalg.slogdet(a), *np.linalg.slogdet(a.T))


def factorings(jitted, *args):
    """How many of the steps of the compiled function factor a matrix for others."""
    return len(re.findall(r"\d +call +factor ", jitted.explain(*args)))


def jitted(f, *args):
    made = npdiff.jit(f)
    for _ in range(2):
        made(*args)
    return made


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [N, N + 1, 130])
@pytest.mark.parametrize("columns", [None, 1, 7])
def test_everything_that_is_asked_of_a_matrix(n, columns, dtype):
    whole, b = matrix(n, dtype), matrix(n, dtype, 1)[:, :columns] if columns else matrix(n, dtype, 1)[0]
    for a in (whole, whole[::-1], whole.T, np.asfortranarray(whole), matrix(2 * n, dtype)[::2, ::2]):
        made = jitted(everything, a, b)
        for got, want in zip(made(a, b), everything(a, b), strict=True):
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            assert not got.shape or got.flags.c_contiguous == want.flags.c_contiguous
            np.testing.assert_allclose(got, want, rtol=0, atol=2e3 * np.finfo(dtype).eps * np.max(np.abs(want)))
    assert factorings(made, a, b) == 1


def test_signs_follow_exchanges_of_rows():
    rng = np.random.default_rng(3)
    for _ in range(6):
        a = matrix()[rng.permutation(N)]
        got, want = jitted(everything, a, a)(a, a), everything(a, a)
        assert got[6] == want[6]
        assert np.sign(got[4]) == want[6]


@pytest.mark.parametrize("ask", [lambda a: np.linalg.solve(a, a), np.linalg.inv, lambda a: np.linalg.inv(a.T)])
def test_singular_matrices_are_numpys_error(ask):
    def f(a):
        sign, logarithm = np.linalg.slogdet(a)
        return sign, logarithm, np.linalg.det(a), ask(a)

    made = jitted(f, matrix())
    singular = matrix()
    singular[5] = 0
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        made(singular)
    made = jitted(lambda a: (*np.linalg.slogdet(a), np.linalg.det(a)), matrix())
    assert made(singular) == (0, -np.inf, 0)
    assert factorings(made, singular) == 1


def test_nan_is_handed_on():
    a = matrix()
    a[3, 4] = np.nan
    made = jitted(everything, matrix(), matrix())
    for got, want in zip(made(a, matrix()), everything(a, matrix()), strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))


def test_what_is_read_once_or_small_stays_numpys():
    assert not factorings(jitted(np.linalg.inv, matrix()), matrix())
    small, stack = matrix(N - 1), np.stack([matrix(), matrix(seed=1)])
    for a in (small, stack):
        made = jitted(lambda a: (np.linalg.inv(a), np.linalg.det(a)), a)
        assert not factorings(made, a)


def test_without_routines_numpy_does_it(monkeypatch):
    monkeypatch.setattr(lapack, "address", lambda name, dtype: 0)
    a = matrix()
    made = jitted(everything, a, a)
    assert not factorings(made, a, a)
    for got, want in zip(made(a, a), everything(a, a), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10)


def test_short_and_long_numbers_of_exchanges():
    long = np.array([3, 2, 3], np.int64)
    short = np.zeros(3, np.int64)
    short.view(np.int32)[:3] = long
    for numbers in (long, short):
        sign, _ = lapack.slogdet_factored(np.eye(3), numbers)
        assert sign == -1


def likelihood(scale, x, y):
    apart = (x[:, None] - x[None, :]) / scale
    k = np.exp(-0.5 * apart * apart) + 0.1 * np.eye(len(x))
    return 0.5 * y @ np.linalg.solve(k, y) + 0.5 * np.linalg.slogdet(k)[1]


def test_a_likelihood_and_its_gradient_factor_once():
    rng = np.random.default_rng(0)
    args = (1.3, np.sort(rng.uniform(0, 10, N)), rng.normal(size=N))
    both = jitted(npdiff.value_and_grad(likelihood), *args)
    assert factorings(both, *args) == 1
    want = npdiff.value_and_grad(likelihood)(*args)
    np.testing.assert_allclose(both(*args), want, rtol=1e-9)
    check_grads(npdiff.jit(lambda s: likelihood(s, *args[1:])), (1.3,), order=2)
