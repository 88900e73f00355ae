"""dtype="float32": what NumPy has in double precision is computed in single, and results keep NumPy's dtypes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from machines import each_backend, needs_jax

import npdiff
from npdiff.avals import aval_of
from npdiff.backend import tpu
from npdiff.backend.registry import BACKENDS
from npdiff.backend.single import InSingle, narrowed
from npdiff.errors import ArgumentError, BackendError
from npdiff.graph import Equation, Graph, Var
from npdiff.program import run_program_p

X = np.array([0.3, -1.2, 0.8, 2.5])
K = np.arange(4)


def many(x: Any, k: Any) -> Any:
    y = np.sin(x) * k + np.arange(4) / 3
    if np.sum(y) > 0:
        y = y * 2.0
    z = np.fft.fft(x)
    spread = np.linalg.inv(np.outer(x, x) + np.eye(4)) @ np.concatenate([k[:1], x[1:]])
    return {"chain": y, "mean": np.mean(y), "whole": k.sum() // 2, "complex": z * 1j, "solved": spread, "half": k / 2,
            "sorted": np.sort(x)[::-1], "truth": x > 0.5, "halves": x.astype("f2"), "roots": np.sqrt(k), "max": x.max(),
            "inverse": np.linalg.inv(np.array([[1, 2], [3, 4]]) * k[1])}


@each_backend
def test_values_in_numpys_dtypes(backend: str) -> None:
    jitted, wanted = npdiff.jit(many, backend, dtype="float32"), many(X, K)
    for _ in range(2):
        ours = jitted(X, K)
    for name, theirs in wanted.items():
        assert type(ours[name]) is type(theirs), name
        assert ours[name].dtype == theirs.dtype, name
        np.testing.assert_allclose(ours[name], theirs, rtol=1e-5, atol=1e-6, err_msg=name)
    # (Nothing was computed in double precision, or these would be equal.)
    assert np.any(ours["chain"] != wanted["chain"])
    assert [r.calls for e in jitted._entries.values() for r in e.recordings] == [1]
    assert "float64 in float32, complex128 in complex64" in jitted.explain(X, K)


@each_backend
def test_nothing_of_the_graph_is_left_in_double_precision(backend: str) -> None:
    graph = npdiff.jit(many, "cpu").lower(X, K)
    left = [v for eq in narrowed(graph).equations for v in eq.outputs if not v.aval.weak and v.aval.dtype.char in "dD"]
    assert not left
    text = npdiff.jit(lambda x, k: many(x, k)["chain"], backend, dtype=np.float32).lower(X, K)
    assert not any(word in repr(text) for word in ("f64", "c128")) or backend != "tpu"


@each_backend
def test_derivatives(backend: str) -> None:
    def loss(x: Any) -> Any:
        return np.mean(np.tanh(np.outer(x, x) @ x) ** 2)

    wanted = npdiff.grad(loss)(X)
    single = lambda f: npdiff.jit(f, backend, dtype="f4")
    for slope in (single(npdiff.grad(loss)), npdiff.grad(single(loss))):
        for _ in range(3):
            found = slope(X)
            assert found.dtype == np.float64
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    bent = lambda s: np.sin(s) * s ** 3
    np.testing.assert_allclose(npdiff.grad(npdiff.grad(single(bent)))(np.float64(1.5)),
                               npdiff.grad(npdiff.grad(bent))(1.5), rtol=1e-5)


@each_backend
def test_writes_draws_and_paths(backend: str) -> None:
    def f(x: Any) -> Any:
        x[1:] *= 2.5
        x += np.random.normal(size=4)  # noqa: NPY002
        return x * 2 if x[0] > 0 else x.sum()

    jitted = npdiff.jit(f, backend, dtype="float32")
    for seed in (1, 1, 4, 4, 1, 4):
        ours, theirs = X.copy(), X.copy()
        np.random.seed(seed)  # noqa: NPY002
        a = jitted(ours)
        np.random.seed(seed)  # noqa: NPY002
        b = f(theirs)
        assert (ours.dtype, a.dtype, a.shape) == (np.float64, b.dtype, b.shape)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@needs_jax
def test_arrays_on_the_device_stay_single() -> None:
    import jax

    f = npdiff.jit(lambda x: (np.sin(x), x, np.argsort(x)), "tpu", dtype="float32")
    with jax.enable_x64(True):
        x = jax.numpy.asarray(X)
    for _ in range(2):
        slope, same, order = f(x)
        assert same is x or same.dtype == np.float64
        assert (slope.dtype, order.dtype) == (np.float32, np.int64)


@needs_jax
def test_a_processor_without_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpu, "NO_FLOAT64", ("cpu",))
    f = npdiff.jit(lambda x: np.sum(np.sin(x) * 2.0), "tpu", dtype="float32")
    for _ in range(2):
        out = f(X)
        assert out.dtype == np.float64
        np.testing.assert_allclose(out, np.sum(np.sin(X) * 2), rtol=1e-5)
    with pytest.raises(BackendError, match="dtype='float32'"):
        npdiff.jit(lambda x: x * 2, "tpu")(X)


@each_backend
def test_it_pickles(backend: str) -> None:
    made = pickle.loads(pickle.dumps(npdiff.jit(many, backend, dtype="float32")))
    assert made.single
    assert made.backend.name == backend


@pytest.mark.parametrize("dtype", ["float16", "int32", "nope", 3.5])
def test_other_dtypes_are_refused(dtype: Any) -> None:
    def run() -> Any: return npdiff.jit(abs, dtype=dtype)
    with pytest.raises(ArgumentError) as caught:
        run()
    assert "jit: dtype= is no dtype to compute float64 in" in str(caught.value)
    assert "give dtype='float32'" in str(caught.value)


@each_backend
def test_what_is_run_again_for_its_derivatives(backend: str) -> None:
    step = npdiff.checkpoint(lambda x: np.sin(x) * x)
    for f in (lambda x: np.sum(step(x)), npdiff.grad(lambda x: np.sum(step(x)))):
        jitted = npdiff.jit(f, backend, dtype="float32")
        for _ in range(2):
            np.testing.assert_allclose(jitted(X), f(X), rtol=1e-5)
        assert "float64 in float32" in jitted.explain(X)


@each_backend
def test_a_program_that_it_does_not_reach_is_named(backend: str) -> None:
    inner = npdiff.jit(lambda x: np.sin(x) * x)
    program = next(iter(recorded(inner)))
    v = Var(aval_of(X))
    out = Var(aval_of(X))
    graph = Graph([v], {}, [Equation(run_program_p, [v], {"program": program}, [out])], [out])
    with pytest.raises(BackendError, match="run_program runs a program of its own, which dtype='float32' does not"):
        InSingle(BACKENDS[backend])(graph)


def recorded(f: Any) -> list[Any]:
    f(X)
    return [r.compiled() for e in f._entries.values() for r in e.recordings]
