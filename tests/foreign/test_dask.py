"""Derivatives over dask's arrays: lazy throughout, and nothing is computed or gathered on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import npdiff
from npdiff.errors import NpdiffError, TracedValueError, UnsupportedError

dask: Any = pytest.importorskip("dask", reason="dask is missing: install the dask extra")
da: Any = pytest.importorskip("dask.array")

A = np.linspace(-1.3, 1.7, 24).reshape(6, 4)
W = np.linspace(0.3, -0.8, 4)


@pytest.fixture(autouse=True)
def nothing_is_computed() -> Iterator[None]:
    """Any computation that a test does not ask for in words is an error."""

    def refuse(*_args: Any, **_kwargs: Any) -> Any:
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=refuse):
        yield


def parts(a: Any) -> Any:
    return da.from_array(a, chunks=(2,) * np.ndim(a))


def computed(a: Any) -> Any:
    return npdiff.tree.map_leaves(lambda x: x.compute(scheduler="sync") if isinstance(x, da.Array) else x, a)


def same(lazy: Any, plain: Any) -> None:
    leaves = npdiff.tree.leaves(lazy)
    assert all(type(x) is da.Array for x in leaves)
    for mine, theirs in zip(npdiff.tree.leaves(computed(lazy)), npdiff.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-14)


def loss(w: Any, x: Any) -> Any:
    h = np.tanh(x @ w["in"] + w["b"])
    h = h - np.max(h, axis=1, keepdims=True)
    p = np.exp(h) / np.sum(np.exp(h), axis=1, keepdims=True)
    return -np.mean(np.log(p[:, 0])) + np.linalg.norm(w["in"]) + np.sum(np.where(x > 0, x, 0.0)[1:-1] ** 2)


def weights(kind: Any) -> Any:
    return {"in": kind(np.outer(W, [1.0, -0.5, 0.25])), "b": kind(np.array([0.1, 0.2, 0.3]))}


def test_every_transform() -> None:
    w, x, plain = weights(parts), parts(A), weights(np.asarray)
    same(npdiff.value_and_grad(loss, (0, 1))(w, x), npdiff.value_and_grad(loss, (0, 1))(plain, A))
    same(npdiff.grad(loss)(plain, x), npdiff.grad(loss)(plain, A))
    same(npdiff.jvp(loss, (w, x), (w, x)), npdiff.jvp(loss, (plain, A), (plain, A)))
    value, pull = npdiff.vjp(lambda x: np.cumsum(np.sin(x), axis=0), x)
    wanted, pull_plain = npdiff.vjp(lambda x: np.cumsum(np.sin(x), axis=0), A)
    same((value, pull(x)), (wanted, pull_plain(A)))

    def twice(w: Any, x: Any) -> Any:
        return np.sum(npdiff.grad(lambda w: np.sum(np.tanh(x @ w) ** 2))(w) ** 2)

    same(npdiff.grad(twice)(parts(W), x), npdiff.grad(twice)(W, A))
    same(npdiff.vmap(lambda r: np.dot(r, r))(x), np.sum(A * A, axis=1))


def test_track() -> None:
    x = npdiff.track(parts(A))
    np.mean(np.exp(x) * A).backward()
    same(x.grad, np.exp(A) * A / A.size)


def test_chunks_are_kept() -> None:
    assert npdiff.grad(lambda x: np.sum(np.sin(x) * x))(parts(A)).chunks == parts(A).chunks


def test_parts_and_writes() -> None:
    def f(x: Any) -> Any:
        y = np.zeros_like(x)
        y[1:] = x[:-1] * 2
        y[0] += x[3]
        return np.sum(y[[0, 2, 2, 5]] ** 2) + np.trace(np.diag(x[:, 1])) + x[::2, 1][-1]

    same(npdiff.grad(f)(parts(A)), npdiff.grad(f)(A))


def test_arguments_and_constants_are_left_alone() -> None:
    x, c = parts(A), parts(A)

    def f(x: Any, c: Any) -> Any:
        c[0] = 1.0
        x[1] = 0.0
        return np.sum(x * c)

    found = npdiff.grad(f)(x, c)
    wanted = A.copy()
    wanted[0], wanted[1] = 1, 0
    same(found, wanted)
    same((x, c), (A, A))


def test_a_matrix_that_dask_turns() -> None:
    spd = A.T @ A + np.eye(4)
    f = lambda a: np.sum(np.linalg.cholesky(a) * A[:4])
    same(npdiff.value_and_grad(f)(da.from_array(spd, chunks=2)), npdiff.value_and_grad(f)(spd))


REFUSED = {
    "np.sort": lambda x: np.sort(x, axis=0)[0, 0], "np.median": lambda x: np.median(x),
    "np.linalg.det": lambda x: np.linalg.det(x[:4]), "np.digitize": lambda x: np.sum(np.digitize(x, W[::-1]) * x),
    "np.unique": lambda x: np.sum(np.unique(x)), "np.allclose": lambda x: np.sum(x) * np.allclose(x, 0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_dask_cannot_do_lazily_is_an_error(name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"^{re.escape(name)}: cannot be done with arrays of dask: "):
        npdiff.grad(REFUSED[name])(parts(A))


def test_a_result_of_unknown_size_is_an_error() -> None:
    with pytest.raises(UnsupportedError, match=r"^getitem: dask does not know how large the result is before"):
        npdiff.grad(lambda x: np.sum(x[x > 0]))(parts(A))


OUTSIDE = parts(A)


def written(x: Any) -> Any:
    OUTSIDE[0, 0] = x[0, 0]
    return np.sum(OUTSIDE)


@pytest.mark.parametrize("kind", [parts, np.asarray])
@pytest.mark.parametrize("f", [
    written, lambda x: np.sum(da.sum(x)), lambda x: np.sum(da.concatenate([x, OUTSIDE])),
    lambda x: np.sum(da.where(OUTSIDE > 0, x, OUTSIDE)), lambda x: np.sum(OUTSIDE.dot(x.T)),
    lambda x: np.sum(da.map_blocks(np.add, OUTSIDE, x, dtype=float)),
    lambda x: np.sum(OUTSIDE.map_blocks(lambda b, c: b * c, x, dtype=float))])
def test_a_tracked_value_never_gets_into_a_graph_of_dasks(f: Any, kind: Any) -> None:
    with pytest.raises(NpdiffError):
        npdiff.grad(f)(kind(A))


def test_the_error_of_dasks_own_functions() -> None:
    with pytest.raises(TracedValueError) as error:
        npdiff.grad(lambda x: np.sum(da.concatenate([x, OUTSIDE])))(A)
    assert re.sub(r"\n  at: test_dask.py:\d+", "", str(error.value)) == (
        "dask: a function of its own was given a tracked value\n  received: DiffArray float64[6, 4]\n"
        "  instead: call NumPy's function of that name: np.concatenate, not da.concatenate; or take x.value if no "
        "derivative is wanted")


def test_dasks_operators_leave_it_to_the_tracked_side() -> None:
    same(npdiff.grad(lambda x: np.sum(OUTSIDE * x + (OUTSIDE - x) ** 2 + np.add(OUTSIDE, x)))(A),
         A - 2 * (A - A) + 1)
    same(npdiff.grad(lambda w: np.sum((OUTSIDE @ w) ** 2))(W), 2 * A.T @ (A @ W))
