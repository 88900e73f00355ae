"""Linear algebra where a derivative does not exist, or where NumPy has several results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import npdiff
from npdiff.errors import NotDifferentiableError, UnsupportedError
from npdiff.testing import check_grads


@pytest.mark.parametrize("order", [None, 1, 2, 3, np.inf, 0.5])
def test_norm_has_subgradient_zero_at_zero(order: Any) -> None:
    g = npdiff.grad(lambda x: np.linalg.norm(x, order))(np.zeros(3))
    assert np.all(np.isfinite(g))
    assert np.sum(g) == 0


def test_norms_of_rows_one_of_which_is_zero() -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    g = npdiff.grad(lambda x: np.sum(np.linalg.norm(x, axis=1)))(x)
    np.testing.assert_allclose(g, [[0.6, 0.8], [0.0, 0.0]])
    h = npdiff.jacobian(npdiff.grad(lambda x: np.linalg.norm(x)))(np.zeros(2))
    assert np.all(h == 0)


def test_norm_with_a_zero_element() -> None:
    g = npdiff.grad(lambda x: np.linalg.norm(x, 1.5))(np.array([0.0, 2.0]))
    np.testing.assert_allclose(g, [0.0, 1.0])


def test_fro_norm_of_the_zero_matrix() -> None:
    assert np.all(npdiff.grad(np.linalg.norm)(np.zeros((2, 3))) == 0)


@pytest.mark.parametrize("matrix", [
    np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]), np.diag([1.0, 2.0, 0.0]), np.zeros((3, 3)),
    np.outer([1.0, 2, 3], [1.0, -1, 2]),
])
def test_det_of_a_singular_matrix(matrix: Any) -> None:
    check_grads(np.linalg.det, (matrix,), order=1)


def test_inverse_of_a_singular_matrix_raises_as_numpy() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        npdiff.grad(lambda a: np.sum(np.linalg.inv(a)))(np.zeros((2, 2)))


def test_eigenvectors_of_equal_eigenvalues_have_no_derivative() -> None:
    with pytest.raises(NotDifferentiableError, match=r"np\.linalg\.eigh"):
        npdiff.grad(lambda a: np.linalg.eigh(a).eigenvectors[0, 1])(np.eye(3))
    with pytest.raises(NotDifferentiableError, match=r"np\.linalg\.svd"):
        npdiff.grad(lambda a: np.linalg.svd(a).U[0, 1])(np.eye(3))


def test_eigenvalues_beside_equal_ones_have_one() -> None:
    g = npdiff.grad(lambda a: np.sum(np.linalg.eigh(a).eigenvalues))(np.eye(3))
    np.testing.assert_allclose(g, np.eye(3), atol=1e-14)
    g = npdiff.grad(lambda a: np.sum(np.linalg.eigvalsh(a) ** 2))(2 * np.eye(3))
    np.testing.assert_allclose(g, 4 * np.eye(3), atol=1e-14)
    g = npdiff.grad(lambda a: np.sum(np.linalg.svd(a)[1]))(np.eye(3))
    np.testing.assert_allclose(g, np.eye(3), atol=1e-14)


def test_extra_vectors_of_a_full_factorisation() -> None:
    a = np.array([[1.0, 0.2], [0.3, 2.0], [0.5, 0.1]])
    check_grads(lambda a: np.linalg.svd(a)[1], (a,), order=1, modes=("rev",))
    with pytest.raises(NotDifferentiableError, match="full_matrices=False"):
        npdiff.grad(lambda a: np.linalg.svd(a).U[0, 2])(a)
    with pytest.raises(NotDifferentiableError, match="mode='reduced'"):
        npdiff.grad(lambda a: np.linalg.qr(a, mode="complete").Q[0, 2])(a)
    check_grads(lambda a: np.linalg.qr(a, mode="complete").R, (a,), order=1, modes=("rev",))


def test_results_are_numpys_named_tuples() -> None:
    seen: list[Any] = []

    def f(a: Any) -> Any:
        seen.extend([np.linalg.eigh(a), np.linalg.svd(a), np.linalg.qr(a), np.linalg.slogdet(a), np.linalg.eig(a)])
        return np.sum(a)

    npdiff.grad(f)(np.diag([1.0, 2.0]))
    assert [type(r).__name__ for r in seen] == ["EighResult", "SVDResult", "QRResult", "SlogdetResult", "EigResult"]
    assert seen[3].logabsdet is seen[3][1]


def test_cholesky_reads_one_triangle() -> None:
    a = np.array([[2.0, 99.0], [0.5, 3.0]])
    g = npdiff.grad(lambda a: np.sum(np.linalg.cholesky(a)))(a)
    assert g[0, 1] == 0
    check_grads(np.linalg.cholesky, (a,), order=1)
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        npdiff.grad(lambda a: np.sum(np.linalg.cholesky(a)))(-np.eye(2))


def test_cond_of_a_singular_matrix() -> None:
    value, g = npdiff.value_and_grad(np.linalg.cond)(np.ones((2, 2)))
    assert value == np.linalg.cond(np.ones((2, 2)))
    assert np.all(np.isfinite(g)) or value > 1e15
    assert npdiff.value_and_grad(lambda a: np.linalg.cond(a, 1))(np.zeros((2, 2)))[0] == np.inf


@pytest.mark.parametrize("call", [
    lambda a: np.linalg.solve(a, np.ones(4)), lambda a: np.linalg.norm(a, 7), lambda a: np.linalg.norm(a, axis=5),
    lambda a: np.dot(a, np.ones(4)), lambda a: np.einsum("ij,jk", a, a[:2]), lambda a: np.einsum("ii->j", a),
    lambda a: np.linalg.matrix_power(a, 0.5), lambda a: np.tensordot(a, np.ones(4), 1),
    lambda a: np.linalg.multi_dot([a]), lambda a: np.linalg.tensorinv(a, ind=0),
])
def test_errors_are_numpys_own(call: Any) -> None:
    a = np.eye(3)
    with pytest.raises(Exception) as plain:  # noqa: PT011
        call(a)
    with pytest.raises(type(plain.value)) as tracked:
        npdiff.grad(lambda a: np.sum(call(a)))(a)
    assert str(tracked.value) == str(plain.value)


def test_diagonal_by_einsum_is_a_view() -> None:
    def f(x: Any) -> Any:
        a = np.zeros((3, 3))
        np.einsum("ii->i", a)[...] = x
        return np.sum(a * np.arange(9.0).reshape(3, 3))

    np.testing.assert_allclose(npdiff.grad(f)(np.ones(3)), [0.0, 4.0, 8.0])


def test_what_is_unsupported_says_so() -> None:
    with pytest.raises(UnsupportedError, match=r"np\.save: writes a file"):
        npdiff.grad(lambda x: np.save("nowhere.npy", x))(1.0)


@pytest.mark.parametrize("cutoff", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3), (2, 4, 3)])
def test_a_pseudo_inverse_without_small_singular_values(shape: tuple[int, ...], cutoff: float) -> None:
    rng = np.random.default_rng(1)
    u, _ = np.linalg.qr(rng.normal(size=(*shape[:-1], shape[-2])))
    v, _ = np.linalg.qr(rng.normal(size=(*shape[:-2], shape[-1], shape[-1])))
    a = (u[..., :3] * [2.0, 1.3, 0.6]) @ v[..., :3, :]
    check_grads(lambda a: np.linalg.pinv(a, cutoff), (a,))
    if len(shape) == 2:
        check_grads(lambda a, b: np.linalg.lstsq(a, b, cutoff)[0], (a, rng.normal(size=shape[0])))
    # Nothing is left out here, and singular values are equal.
    check_grads(lambda a: np.linalg.pinv(a, cutoff), (np.eye(*shape[-2:]),))


NEARLY = [np.array([[1.0, 2.0], [2.0, 4.0]]) * 1.1 / 3, np.outer([0.1, 0.2, 0.3], [1.1, -0.7, 0.9]),
          np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]), np.zeros((3, 3)),
          np.full((2, 2), -1.08 + 1j * np.cos(-1.08))]


def polynomial(a):
    """The determinant written out."""
    if a.shape[-1] == 1:
        return a[..., 0, 0]
    return sum((-1) ** j * a[0, j] * polynomial(np.delete(a[1:], j, axis=1)) for j in range(a.shape[-1]))


@pytest.mark.parametrize("a", NEARLY, ids=["2", "outer", "123456789", "zero", "complex"])
def test_second_derivatives_of_determinants_of_nearly_singular_matrices(a):
    t = np.cos(np.arange(a.size)).reshape(a.shape).astype(a.dtype)

    def over(f):
        return npdiff.jvp(npdiff.grad(lambda x: np.real(f(x))), (a,), (t,))[1]

    def under(f):
        return npdiff.grad(lambda x: npdiff.jvp(lambda y: np.real(f(y)), (x,), (t,))[1])(a)

    wanted = over(polynomial)
    for way in (over, under):
        np.testing.assert_allclose(way(np.linalg.det), wanted, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(npdiff.jit(way)(np.linalg.det), wanted, rtol=1e-12, atol=1e-13)
    both = npdiff.vmap(npdiff.grad(lambda x: np.sum(np.real(npdiff.grad(lambda y: np.real(np.linalg.det(y)))(x)))))(
        np.stack([a, a + np.eye(len(a))]))
    alone = npdiff.grad(lambda x: np.sum(np.real(npdiff.grad(lambda y: np.real(polynomial(y)))(x))))(a)
    np.testing.assert_allclose(both[0], alone, rtol=1e-12, atol=1e-13)


def test_third_derivatives_of_determinants():
    a = np.random.default_rng(0).normal(size=(3, 3))
    third = npdiff.jacfwd(npdiff.jacrev(npdiff.jacrev(np.linalg.det)))
    np.testing.assert_allclose(third(a), npdiff.jacfwd(npdiff.jacrev(npdiff.jacrev(polynomial)))(a), atol=1e-13)
    with pytest.raises(NotDifferentiableError, match="derivatives above the second"):
        third(NEARLY[0])


BLOCK = np.array([[1, 0, 0], [0, 2, 1 - 1j], [0, 1 + 1j, 4]])
ROTATION = np.array([[1.0, 2.0], [-2.0, 1.0]])
VECTORS = {
    "eigh": (lambda x: np.linalg.eigh((x + np.conj(x.T)) / 2)[1], BLOCK),
    "svd": (lambda x: np.linalg.svd(x)[0], BLOCK),
    "eig": (lambda x: np.linalg.eig(x)[1], ROTATION),
}


@pytest.mark.parametrize("name", VECTORS)
def test_what_depends_on_a_phase_that_jumps_has_no_gradient(name):
    vectors, at = VECTORS[name]
    weights = np.arange(at.size).reshape(at.shape)

    def dependent(x):
        return np.sum(np.real(vectors(x)) * weights)

    for transform in (npdiff.grad, lambda f: npdiff.jit(npdiff.grad(f)), lambda f: npdiff.grad(npdiff.jit(f))):
        with pytest.raises(NotDifferentiableError, match=f"{name}: at this matrix the phase"):
            transform(dependent)(at)
    with pytest.raises(NotDifferentiableError, match="phase"):
        npdiff.vmap(npdiff.grad(dependent))(np.stack([at + 1e-3 * weights, at]))


@pytest.mark.parametrize("name", VECTORS)
def test_what_does_not_depend_on_a_phase_that_jumps_has_derivatives(name):
    vectors, at = VECTORS[name]
    k = len(at) // 2

    def independent(x):
        v = vectors(x)[:, k]
        return np.sum(np.real(np.outer(v, np.conj(v))) * np.arange(at.size).reshape(at.shape))

    check_grads(independent, (at,), order=2)
    check_grads(npdiff.jit(independent), (at,), order=1)
    check_grads(npdiff.vmap(independent), (np.stack([at, at]),), order=1)


def test_the_phase_that_singular_vectors_share():
    def f(x):
        u, _, vh = np.linalg.svd(x)
        return np.sum(np.real(u[:, :1] @ vh[:1]) * np.arange(9).reshape(3, 3))

    check_grads(f, (BLOCK,), order=2)  # each vector's part depends on the phase, both together do not


def test_vectors_that_one_cotangent_meets_in_a_batch():
    at = np.random.default_rng(0).normal(size=(2, 3, 3)) + 0.3j

    def gradient(x):
        return npdiff.vjp(lambda y: np.linalg.eigh(y)[1], x)[1](np.eye(3) + 0j)[0]

    np.testing.assert_allclose(npdiff.vmap(gradient)(at), np.stack([gradient(x) for x in at]), rtol=1e-10)
