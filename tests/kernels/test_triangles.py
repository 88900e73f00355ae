"""Cholesky factors and triangular systems: small ones in kernels, larger ones by LAPACK's routines, all as NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Recorder, primitive

import npdiff
from npdiff import lapack
from npdiff.dispatch.decompositions import cholesky_p
from npdiff.dispatch.triangular import triangular_p
from npdiff.kernels import compile_graph
from npdiff.testing import check_grads

RNG = np.random.default_rng(8)
SHAPES = [((), 1, 1), ((), 3, 2), ((3,), 7, 1), ((5,), 16, 4), ((), 17, 1), ((2, 3), 20, 4), ((), 40, 33)]
NO_ROUTINES = pytest.mark.skipif(not lapack.address("trsm", np.dtype(float)), reason="NumPy's LAPACK is hidden")


def turned(a):
    """The transposed matrices."""
    return np.swapaxes(a, -1, -2)


def regular(lead, n, dtype=np.float64):
    """Matrices both halves of which make regular triangular ones of moderate condition."""
    return (RNG.normal(size=(*lead, n, n)) / n + np.eye(n)).astype(dtype)


def positive(lead, n, dtype=np.float64):
    a = RNG.normal(size=(*lead, n, n)) / np.sqrt(n)
    return (a @ turned(a) + np.eye(n)).astype(dtype)


def close(got, want):
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(got, want, rtol=0, atol=200 * np.finfo(want.dtype).eps * np.max(np.abs(want), initial=1))


def calls(executable):
    return sum(": call " in line for line in executable.explain().splitlines())


def half_of(a, lower, unit):
    half = (np.tril if lower else np.triu)(a)
    return half - half * np.eye(a.shape[-1]) + np.eye(a.shape[-1]) if unit else half


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_triangular_systems(shape, trans, lower, dtype):
    (lead, n, m), unit = shape, shape[1] == 7
    a, b = regular(lead, n, dtype), RNG.normal(size=(*lead, n, m)).astype(dtype)
    params = {"trans": trans, "lower": lower, "unit": unit}
    half = half_of(a.astype(float), lower, unit)
    want = np.linalg.solve(turned(half) if trans else half, b.astype(float)).astype(dtype)
    close(np.asarray(triangular_p.call(a, b, **params)), want)
    axes = (*range(len(lead)), len(lead) + 1, len(lead))
    for flip in ((False, False), (True, False), (False, True), (True, True)):
        given = [np.ascontiguousarray(turned(x)) if f else x for x, f in zip((a, b), flip, strict=True)]
        r = Recorder(*given)
        views = [r(primitive("transpose"), v, axes=axes) if f else v for v, f in zip(r.inputs, flip, strict=True)]
        executable = compile_graph(r.graph(r(triangular_p, *views, aval=npdiff.avals.aval_of(b), **params)))
        if n <= 16 or lapack.address("trsm", np.dtype(float)):
            assert not calls(executable)
        close(executable(*given)[0], want)


def test_a_matrix_for_a_stack_of_sides_and_the_other_way_round():
    for n in (5, 20):
        a, b = regular((), n), RNG.normal(size=(3, n, 2))
        params = {"trans": 0, "lower": True, "unit": False}
        for left, right in ((a, b), (regular((3,), n), b[0])):
            r = Recorder(left, right)
            graph = r.graph(r(triangular_p, *r.inputs, aval=npdiff.avals.aval_of(b), **params))
            close(compile_graph(graph)(left, right)[0], np.linalg.solve(np.tril(left), right))
            close(np.asarray(triangular_p.call(left, right, **params)), np.linalg.solve(np.tril(left), right))


def test_where_numpys_library_is_hidden_general_solution_does_it(monkeypatch):
    monkeypatch.setattr(lapack, "_routine", lambda *_: None)
    monkeypatch.setattr(lapack, "address", lambda *_: 0)
    a, b = regular((), 20), RNG.normal(size=(20, 2))
    for trans in (0, 1):
        for unit in (False, True):
            half = half_of(a, False, unit)
            params = {"trans": trans, "lower": False, "unit": unit}
            want = np.linalg.solve(half.T if trans else half, b)
            close(np.asarray(triangular_p.call(a, b, **params)), want)
            r = Recorder(a, b)
            executable = compile_graph(r.graph(r(triangular_p, *r.inputs, aval=npdiff.avals.aval_of(b), **params)))
            assert calls(executable) == 1
            close(executable(a, b)[0], want)
    executable = compile_graph(factor_graph(positive((), 20)))
    assert calls(executable) == 1


def test_complex_systems():
    a = regular((), 9) + 1j * RNG.normal(size=(9, 9)) / 9
    b = RNG.normal(size=(9, 2))
    for trans in (0, 1):
        half = np.tril(a)
        close(np.asarray(triangular_p.call(a, b, trans=trans, lower=True, unit=False)),
              np.linalg.solve(half.T if trans else half, b))


# ---------------------------------------------------------------------- Cholesky


def factor_graph(a, upper=False, view=None):
    r = Recorder(a)
    v = r.inputs[0] if view is None else view(r, r.inputs[0])
    params = {"upper": True} if upper else {}
    return r.graph(r(cholesky_p, v, aval=npdiff.avals.aval_of(a), **params))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("shape", [((), 17), ((3,), 20), ((), 64), ((), 70)], ids=str)
def test_factors(shape, upper, dtype):
    a = positive(*shape, dtype)
    # What lies in the other half is not read.
    a += 5 * (np.tril if upper else np.triu)(np.ones(a.shape[-2:], dtype), -1 if upper else 1)
    axes = (*range(a.ndim - 2), a.ndim - 1, a.ndim - 2)
    want = np.linalg.cholesky(a, upper=upper)
    executable = compile_graph(factor_graph(a, upper))
    close(executable(a)[0], want)
    assert not np.any(np.where(np.tri(a.shape[-1], k=-1).T if not upper else np.tri(a.shape[-1], k=-1), executable(
        a)[0], 0))
    if lapack.address("potrf", np.dtype(float)):
        assert not calls(executable)
    flipped = np.ascontiguousarray(turned(a))
    close(compile_graph(factor_graph(a, upper, lambda r, v: r(primitive("transpose"), v, axes=axes)))(flipped)[0], want)


@pytest.mark.parametrize("n", [5, 20])
def test_what_is_not_positive_definite_is_numpys_error(n):
    f = npdiff.jit(np.linalg.cholesky)
    good = positive((), n)
    for _ in range(3):
        f(good)
    bad = [np.zeros((n, n)), -good, good - 100 * np.eye(n), np.full((n, n), np.nan), np.ones((n, n))]
    for a in bad:
        try:
            want = np.linalg.cholesky(a)
        except np.linalg.LinAlgError as error:
            with pytest.raises(np.linalg.LinAlgError, match=str(error)):
                f(a)
        else:
            np.testing.assert_array_equal(f(a), want)
    nan = good.copy()
    nan[0, -1] = np.nan  # nobody reads it
    close(f(nan), np.linalg.cholesky(good))


def test_matrices_on_the_edge_are_numpys_own_to_judge():
    # Of rank one, and a diagonal that rounding errors decide about: values and errors are NumPy's, bit for bit.
    f = npdiff.jit(np.linalg.cholesky)
    for _ in range(3):
        f(positive((), 30))
    x = RNG.normal(size=30)
    for jitter in (0.0, 1e-18, 1e-16, 3e-16):
        a = np.outer(x, x) + jitter * np.eye(30)
        try:
            want = np.linalg.cholesky(a)
        except np.linalg.LinAlgError:
            with pytest.raises(np.linalg.LinAlgError):
                f(a)
        else:
            np.testing.assert_array_equal(f(a), want)


# ---------------------------------------------------------------------- systems of Cholesky factors


def likelihood(a, y):
    root = np.linalg.cholesky(a)
    z = np.linalg.solve(root, y)
    return np.sum(z * z) + np.sum(np.log(np.diagonal(root))) + np.sum(np.linalg.solve(root.T, z) ** 2)


@NO_ROUTINES
@pytest.mark.parametrize("n", [3, 30])
def test_systems_of_cholesky_factors_are_solved_by_substitution(n):
    a, y = positive((), n), RNG.normal(size=n)
    f, g = npdiff.jit(likelihood), npdiff.jit(npdiff.grad(likelihood, (0, 1)))
    plain = npdiff.grad(likelihood, (0, 1))(a, y)
    for _ in range(3):
        np.testing.assert_allclose(f(a, y), likelihood(a, y), rtol=1e-12)
        for got, want in zip(g(a, y), plain, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
    assert sum("solve_triangular" in t.step.names for t in g.profile(a, y).steps) == 6
    for h in (f, g):
        names = [t.step.names for t in h.profile(a, y).steps]
        assert not any("solve" in name.split() or "inv" in name for name in names), names
        assert any("solve_triangular" in name for name in names)


def test_other_systems_are_not():
    def general(a, y):
        root = np.linalg.cholesky(a)
        return np.linalg.solve(root + root.T, y)

    a, y = positive((), 20), RNG.normal(size=20)
    f = npdiff.jit(general)
    for _ in range(3):
        np.testing.assert_allclose(f(a, y), general(a, y), rtol=1e-10)
    assert not any("solve_triangular" in t.step.names for t in f.profile(a, y).steps)


def test_no_matrix_at_all():
    f = npdiff.jit(likelihood)
    g = npdiff.jit(npdiff.grad(likelihood))
    for _ in range(3):
        assert f(np.zeros((0, 0)), np.zeros(0)) == 0
        assert g(np.zeros((0, 0)), np.zeros(0)).shape == (0, 0)


def test_derivatives_of_cholesky_of_any_order_and_kind():
    a = positive((), 4)
    for upper in (False, True):
        f = lambda a: np.sum(np.sin(np.linalg.cholesky(a, upper=upper)))  # noqa: B023
        check_grads(f, (a,), order=2)
    h = a + 1j * (lambda s: s - s.T)(RNG.normal(size=(4, 4)) / 9)
    for upper in (False, True):
        k = lambda b: np.sum(np.abs(np.linalg.cholesky(h * b, upper=upper)) ** 1.5)  # noqa: B023
        check_grads(k, (np.array(1.3),), order=2)


def test_batches():
    stack, y = positive((3,), 18), RNG.normal(size=(3, 18))
    want = np.stack([npdiff.grad(likelihood)(a, v) for a, v in zip(stack, y, strict=True)])
    np.testing.assert_allclose(npdiff.vmap(npdiff.grad(likelihood))(stack, y), want, rtol=1e-9, atol=1e-9)
    f = npdiff.jit(npdiff.vmap(npdiff.grad(likelihood)))
    for _ in range(3):
        np.testing.assert_allclose(f(stack, y), want, rtol=1e-9, atol=1e-9)
