"""Statistics, sorting and elementary functions at ties, kinks and gaps."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from differential import function

import npdiff
from npdiff.errors import BranchError
from npdiff.testing import check_grads


def test_sort_of_equal_elements_keeps_their_order() -> None:
    x = np.array([2.0, 1.0, 2.0, 1.0])
    g = npdiff.grad(lambda x: np.sum(np.sort(x) * np.arange(1.0, 5.0)))(x)
    np.testing.assert_array_equal(g, [3.0, 1.0, 4.0, 2.0])


def test_sort_with_nan() -> None:
    x = np.array([2.0, np.nan, 1.0])
    g = npdiff.grad(lambda x: np.sum(np.sort(x)[:2] * np.array([10.0, 1.0])))(x)
    np.testing.assert_array_equal(g, [1.0, 0.0, 10.0])


def test_unique_sends_derivatives_to_the_first() -> None:
    g = npdiff.grad(lambda x: np.sum(np.unique(x) * np.array([1.0, 10.0])))(np.array([3.0, 2.0, 3.0]))
    np.testing.assert_array_equal(g, [10.0, 1.0, 0.0])
    with pytest.raises(BranchError, match=r"np\.unique"):
        npdiff.vmap(np.unique)(np.array([[1.0, 1.0], [1.0, 2.0]]))


def test_std_of_equal_values() -> None:
    assert np.all(npdiff.grad(np.std)(np.ones(3)) == 0)
    assert np.all(npdiff.grad(lambda x: np.nanstd(x))(np.array([1.0, np.nan, 1.0])) == 0)


@pytest.mark.parametrize("name", ["nansum", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanmedian", "nanprod"])
def test_nan_takes_no_derivative(name: str) -> None:
    g = npdiff.grad(getattr(np, name))(np.array([0.5, np.nan, 2.0, 1.0]))
    assert g[1] == 0
    assert np.all(np.isfinite(g))


@pytest.mark.parametrize("name", ["mean", "nanmean", "nanvar", "var"])
def test_warnings_of_empty_means(name: str) -> None:
    x = np.zeros(0) if name in ("mean", "var") else np.array([np.nan])
    with pytest.warns(RuntimeWarning) as theirs:
        getattr(np, name)(x)
    with pytest.warns(RuntimeWarning) as ours:
        npdiff.vjp(getattr(np, name), x)
    assert str(ours[0].message) == str(theirs[0].message)


def test_clip_at_its_bounds() -> None:
    g = npdiff.elementwise_grad(lambda x: np.clip(x, 0.0, 1.0))(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
    np.testing.assert_array_equal(g, [0.0, 0.5, 1.0, 0.5, 0.0])
    # a plain array's own method, with a tracked bound
    g = npdiff.grad(lambda c: np.sum(np.array([0.5, 3.0]).clip(0.0, c)))(1.0)
    assert g == 1.0


@pytest.mark.parametrize("x", [0.0, 1e-8, 0.3, 1.0, 2.5, -7.25])
def test_sinc_and_its_derivatives(x: float) -> None:
    check_grads(np.sinc, (x,), order=3)


def test_sinc_curvature_at_zero() -> None:
    second = npdiff.grad(npdiff.grad(np.sinc))(0.0)
    np.testing.assert_allclose(second, -np.pi**2 / 3, rtol=1e-14)


@pytest.mark.parametrize("x", [0.0, 0.5, 8.0, 50.0, 300.0])
def test_i0(x: float) -> None:
    f = npdiff.grad(lambda x: np.log(np.i0(x)))
    h = 1e-4 * max(1.0, x)
    slope = (np.log(np.i0(x + h)) - np.log(np.i0(x - h))) / (2 * h)
    np.testing.assert_allclose(f(x), slope, rtol=1e-6, atol=1e-9)


def test_cumprod_through_zeros() -> None:
    check_grads(np.cumprod, (np.array([2.0, 0.0, 3.0, 0.0, 5.0]),), order=2)


def test_interp_outside_and_at_knots() -> None:
    xp, fp = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 5.0])
    slopes = npdiff.elementwise_grad(lambda x: np.interp(x, xp, fp))(np.array([-1.0, 0.5, 1.0, 3.0]))
    np.testing.assert_array_equal(slopes, [0.0, 1.0, 4.0, 0.0])


def test_quantile_with_respect_to_q() -> None:
    a = np.array([3.0, 1.0, 2.0, 7.0])
    np.testing.assert_allclose(npdiff.grad(lambda q: np.quantile(a, q))(0.5), 3.0)


def test_median_with_nan_is_nan() -> None:
    value, _ = npdiff.vjp(np.median, np.array([1.0, np.nan, 2.0]))
    assert np.isnan(value)


def test_histogram_weights() -> None:
    a = np.array([0.1, 0.2, 0.9])

    def f(w: Any) -> Any:
        counts, _ = np.histogram(a, bins=2, range=(0.0, 1.0), weights=w)
        return counts @ np.array([1.0, 10.0])

    np.testing.assert_array_equal(npdiff.grad(f)(np.ones(3)), [1.0, 1.0, 10.0])


def test_bincount_weights() -> None:
    g = npdiff.grad(lambda w: np.bincount(np.array([0, 2, 2]), w) @ np.array([1.0, 2.0, 3.0]))(np.ones(3))
    np.testing.assert_array_equal(g, [1.0, 3.0, 3.0])


def test_ufuncs_of_matrices_take_axes() -> None:
    a, b = np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(3, 2) + 1

    def f(a: Any) -> Any:
        out = np.zeros((2, 2))
        np.matmul(a, b, axes=[(1, 0), (0, 1), (0, 1)], out=out)
        return out

    value, _ = npdiff.vjp(f, a)
    np.testing.assert_allclose(value, a.T @ b)
    check_grads(f, (a,), order=1)


def test_out_and_errors_of_statistics() -> None:
    out = np.zeros(2)
    npdiff.jvp(lambda x: np.mean(x, axis=0) * 1.0, (np.ones((3, 2)),), (np.ones((3, 2)),))
    with pytest.raises(ValueError, match="provided simultaneously"):
        npdiff.grad(lambda x: np.var(x, ddof=1, correction=1))(np.ones(3))
    with pytest.raises(ZeroDivisionError):
        npdiff.grad(lambda x: np.average(x, weights=np.zeros(3)))(np.ones(3))
    with pytest.raises(ValueError, match=r"range \[0, 1\]"):
        npdiff.grad(lambda x: np.quantile(x, 2.0))(np.ones(3))
    assert np.all(out == 0)


def test_no_warning_where_numpy_gives_none() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        npdiff.value_and_grad(lambda x: np.linalg.norm(x) + np.std(x) + np.sinc(x[0]))(np.zeros(3))


@pytest.mark.parametrize("f", [np.arcsin, np.arccos, np.arccosh, np.arcsinh, np.arctanh, np.arctan, np.log, np.sqrt])
@pytest.mark.parametrize("along", [1.0, 1j])
def test_derivatives_on_both_sides_of_a_branch_cut(f: Any, along: complex) -> None:
    for size in (2.0, -2.0):
        for zero in (0.0, -0.0):  # the sign of a zero says on which side of the cut
            at = lambda s, zero=zero: np.complex128(complex(s, zero) if along == 1 else complex(zero, s))
            slope = (f(at(size + 1e-6)) - f(at(size - 1e-6))) / (2e-6 * along)
            np.testing.assert_allclose(npdiff.jvp(f, (at(size),), (np.complex128(1),))[1], slope, rtol=1e-6, atol=1e-9)


def test_emath_of_numbers_and_lists() -> None:
    check_grads(lambda x: np.emath.sqrt([x, -x]) * np.emath.log(-2.0 * x) + np.emath.power(-x, 0.5), (0.7,), order=2)
    both = npdiff.vmap(np.emath.sqrt)(np.array([4.0, -4.0]))
    np.testing.assert_array_equal(both, [2, 2j])
    fast = npdiff.jit(np.emath.sqrt)
    for x in (4.0, -4.0, 9.0, -9.0):  # two recordings: the values decide on the dtype
        assert fast(np.array(x)) == np.emath.sqrt(x)
    assert sum(len(entry.recordings) for entry in fast._entries.values()) == 2


@pytest.mark.parametrize("power", [np.power, np.float_power, lambda a, b: a**b])
def test_the_slope_along_the_base_is_differentiated_along_an_exponent_of_zero(power: Any) -> None:
    a, b = np.array([2.0, 3.0, 0.5]), np.array([0.0, 0.0, 1.0])
    check_grads(power, (a, b), order=3, rtol=1e-5)
    mixed = npdiff.grad(npdiff.grad(power, 0), 1)
    np.testing.assert_allclose(mixed(2.0, 0.0), 0.5)
    np.testing.assert_array_equal(mixed(0.0, 0.0), 0.0)


def test_unwrap_of_a_tracked_period() -> None:
    x = np.array([0.0, 1.53, 3.2, 0.1, -2.0, 4.07])
    for f in (lambda x, p: np.unwrap(x, period=p), lambda x, p: np.unwrap(x, discont=1.4, period=p)):
        for period in (2.0, 1.3, 4.0):
            np.testing.assert_allclose(npdiff.vjp(f, x, period)[0], f(x, period), rtol=1e-14)
            check_grads(f, (x, period), eps=1e-5)


@pytest.mark.parametrize("body", [
    "np.arange(x[0])", "np.arange(x[0], 3)", "np.cov(np.stack([x, x * x]), dtype=np.float32)",
    "np.cov(np.stack([x, x * x]), aweights=x, dtype=np.float32)", "np.corrcoef(np.stack([x, x * x]), dtype=np.float32)",
])
def test_dtypes_are_numpys(body: str) -> None:
    f = function(f"return {body}", "x")
    x = np.array([1.7, 0.3, 2.0])
    for got in (npdiff.vjp(f, x)[0], npdiff.jit(f)(x)):
        assert got.dtype == f(x).dtype
        np.testing.assert_allclose(got, f(x), rtol=1e-6)


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="this NumPy's reshape has no copy")
def test_a_reshape_that_may_not_copy() -> None:
    for call in (lambda x: np.reshape(x.T, -1, copy=False), lambda x: x.T.reshape(6, copy=False)):
        with pytest.raises(ValueError, match="Unable to avoid creating a copy"):
            npdiff.vjp(call, np.ones((2, 3)))
    assert npdiff.vjp(lambda x: np.reshape(x.T, -1, order="F", copy=False), np.ones((2, 3)))[0].shape == (6,)
