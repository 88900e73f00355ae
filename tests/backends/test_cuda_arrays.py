"""The cuda backend and arrays on the device: what stays there, what is written where, and what is said.

On a machine without a card these run in the session that test_cuda.py starts, on a stand-in for CuPy.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from machines import STATUS, needs_cuda, simulated
from wording import assert_says

import npdiff
from npdiff.errors import BackendError, JitWarning

pytestmark = needs_cuda
X = np.array([0.3, -1.2, 0.8, 2.5])
if STATUS["cuda"].available:
    import cupy


class Described:
    """An array that shows itself by the CUDA array interface alone."""

    def __init__(self, array: Any, read_only: bool = False) -> None:
        self.array, self.read_only = array, read_only

    @property
    def __cuda_array_interface__(self) -> Any:
        described = dict(self.array.__cuda_array_interface__)
        described["data"] = (described["data"][0], self.read_only)
        return described


class Packed:
    """An array that shows itself by DLPack alone."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **how: Any) -> Any:
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def there(a: Any) -> Any:
    return cupy.asarray(a)


def back(a: Any) -> Any:
    assert isinstance(a, cupy.ndarray)
    return cupy.asnumpy(a)


@pytest.fixture
def state() -> Iterator[Any]:
    """The stand-in's device, as it was afterwards."""
    found = sys.modules["cupy_standin"].STATE
    before = dict(vars(found))
    yield found
    vars(found).update(before)


# ---------------------------------------------------------------------- values and writes


def test_device_arrays_in_device_arrays_out() -> None:
    f = npdiff.jit(lambda x, y: {"a": np.sin(x) * y, "b": np.sum(x), "x": x, "n": 3, "sorted": np.sort(x)}, "cuda")
    x = there(X.astype("f4"))
    for _ in range(3):
        out = f(x, 2.0)
        np.testing.assert_allclose(back(out["a"]), np.sin(X.astype("f4")) * 2, rtol=1e-6)
        np.testing.assert_allclose(back(out["b"]), X.sum(), rtol=1e-6)
        np.testing.assert_array_equal(back(out["sorted"]), np.sort(X.astype("f4")))
        assert out["x"] is x
        assert (out["a"].dtype, out["b"].shape, out["n"]) == (np.float32, (), 3)
    assert type(f(X, 2.0)["a"]) is np.ndarray
    assert type(f(X, 2.0)["b"]) is np.float64


def test_gradients_stay_on_the_device() -> None:
    slope = npdiff.jit(npdiff.grad(lambda x: np.sum(x ** 3 * np.linalg.norm(x))), "cuda")
    wanted = npdiff.grad(lambda x: np.sum(x ** 3 * np.linalg.norm(x)))(X)
    for _ in range(3):
        np.testing.assert_allclose(back(slope(there(X))), wanted, rtol=1e-12)


def test_both_paths_of_a_guard() -> None:
    def f(x: Any) -> Any:
        return np.sin(x) if np.sum(x) > 0 else x * len(x)

    jitted = npdiff.jit(f, "cuda")
    for x in (X, -X, X, -X):
        np.testing.assert_allclose(back(jitted(there(x))), f(x), rtol=1e-12)
    [entry] = jitted._entries.values()
    assert [r.calls for r in entry.recordings] == [1, 1]


@pytest.mark.parametrize("lay", [lambda a: a, lambda a: a.T, lambda a: a[::-1, 1:], lambda a: a.reshape(2, 3, 2)[:, 1]])
def test_writes_reach_the_argument(lay: Any) -> None:
    def f(x: Any, y: Any) -> Any:
        x[0] += 10 * y[0]
        y[1] = x[0, 1]
        return x.sum(0)

    jitted = npdiff.jit(f, "cuda")
    for seed in range(3):
        a = np.arange(12.0).reshape(3, 4) + seed
        on_device, y = there(a), X.copy()
        theirs, their_y = a.copy(), X.copy()
        np.testing.assert_allclose(back(jitted(lay(on_device), y)), f(lay(theirs), their_y))
        np.testing.assert_array_equal(back(on_device), theirs)
        np.testing.assert_array_equal(y, their_y)
    [entry] = jitted._entries.values()
    assert [r.calls for r in entry.recordings] == [2]


def test_a_view_of_an_argument_is_one() -> None:
    f = npdiff.jit(lambda x: (x[1:3], x.reshape(2, 2).T), "cuda")
    for _ in range(3):
        x = there(X)
        part, turned = f(x)
        part[0] = 7.0
        turned[1, 1] = 9.0
        np.testing.assert_array_equal(back(x), [X[0], 7.0, X[2], 9.0])
        assert turned.shape == (2, 2)


def test_arguments_that_share_memory() -> None:
    def f(x: Any, y: Any) -> Any:
        x[:] = x * 2
        return y.sum()

    jitted = npdiff.jit(f, "cuda")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JitWarning)
        for _ in range(2):
            ours, theirs = there(X), X.copy()
            np.testing.assert_allclose(back(jitted(ours, ours[1:])), f(theirs, theirs[1:]))
            np.testing.assert_array_equal(back(ours), theirs)


def test_a_function_that_runs_as_it_stands() -> None:
    def f(x: Any) -> Any:
        x[0] = time.time() > 0
        return x * 2, x[1:]

    jitted = npdiff.jit(f, "cuda")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JitWarning)
        for _ in range(2):
            x = there(X)
            double, rest = jitted(x)
            np.testing.assert_array_equal(back(double), [2.0, *2 * X[1:]])
            np.testing.assert_array_equal(back(x), [1.0, *X[1:]])
            rest[0] = 5.0
            assert float(back(x)[1]) == 5.0


def test_others_arrays() -> None:
    def f(x: Any) -> Any:
        x[1] = 4.0
        return np.cos(x), x

    jitted = npdiff.jit(f, "cuda")
    for _ in range(3):
        x = there(X)
        given = Described(x)
        out, same = jitted(given)
        np.testing.assert_allclose(back(out), np.cos([X[0], 4.0, *X[2:]]))
        assert same is given
        np.testing.assert_array_equal(back(x), [X[0], 4.0, *X[2:]])
    for given in (Described(there(X), read_only=True), Packed(there(X))):
        for _ in range(2):
            np.testing.assert_allclose(back(npdiff.jit(np.sin, "cuda")(given)), np.sin(X))
        with pytest.raises(ValueError, match="read-only"):
            jitted(given)


def test_threads_of_values_that_cupy_has_no_dtype_for() -> None:
    f = npdiff.jit(lambda x: np.sin(x.astype(np.longdouble)), "cuda")
    for _ in range(2):
        out = f(there(X))
        assert (type(out), out.dtype) == (np.ndarray, np.dtype(np.longdouble))
        np.testing.assert_allclose(out, np.sin(X))


# ---------------------------------------------------------------------- what waits for the device


@simulated
def test_nothing_comes_to_the_host_in_between(state: Any) -> None:
    def f(x: Any) -> Any:
        y = np.sort(np.sin(x)) @ np.outer(x, x)
        y[1:3] = np.cumsum(y)[:2]
        return np.fft.irfft(np.fft.rfft(y)) + y[np.argsort(x)], np.sum(y)

    jitted = npdiff.jit(f, "cuda")
    x = there(X)
    jitted(x), jitted(x)
    state.to_host = state.to_device = 0
    jitted(x)
    # One look at the checks that all indices were in range.
    assert (state.to_host, state.to_device) == (1, 0)
    for a, b in zip(jitted(X), f(X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    state.to_host = state.to_device = 0
    jitted(X)
    assert (state.to_host, state.to_device) == (3, 1)
    plain = npdiff.jit(lambda x, n: np.sum(np.tanh(x) * n), "cuda")
    plain(x, 2.0), plain(x, 2.0)
    state.to_host = state.to_device = 0
    plain(x, 3.0)
    assert (state.to_host, state.to_device) == (0, 0)


def test_explain_says_what_runs_where() -> None:
    f = npdiff.jit(lambda x: np.cos(np.linalg.pinv(np.sin(x[:, None] * x))), "cuda")
    profile = f.profile(there(X))
    assert profile.backend == "cuda"
    assert [s.step.kind for s in profile.steps if s.step.kind != "CuPy"] == ["kernel", "call", "kernel"]
    [call] = [s.step for s in profile.steps if s.step.kind == "call"]
    assert (call.names, call.note) == ("linalg.pinv", "its tolerance is NumPy's own")
    text = f.explain(there(X))
    assert "its tolerance is NumPy's own" in text
    assert "one run: " in text
    [entry] = f._entries.values()
    assert "1 host calls, compiled in " in entry.recordings[0].compiled().explain()
    assert f.lower(X).count("def kernel") == 2
    assert "linalg.pinv" in f.picture(X).dot


def test_what_cupy_refuses_moves_to_the_host() -> None:
    keys = np.array([[3, 1, 2], [1, 1, 0]])
    f = npdiff.jit(lambda k: np.lexsort((k, k[::-1]), axis=0), "cuda")
    for _ in range(3):
        np.testing.assert_array_equal(f(keys), np.lexsort((keys, keys[::-1]), axis=0))
    assert "CuPy sorts by keys of one axis only" in f.explain(keys)


# ---------------------------------------------------------------------- errors


@simulated
def test_out_of_memory(state: Any) -> None:
    f = npdiff.jit(lambda x: np.sum(np.sin(x[:, None] + x) @ np.ones(400)), "cuda")
    x = there(np.ones(400))
    first = f(x)
    state.limit = 1_000_000
    def run() -> Any: return f(x)
    with pytest.raises(BackendError) as caught:
        run()
    assert_says(caught.value, run, "jit: out of memory on CUDA device 0: a kernel makes float64[400,400] (1.28 MB); "
                "500 MB of 8.00 GB are free, CuPy's pool has 3.00 GB, of which 2.50 GB are in use", "",
                "free arrays you no longer need (then cupy.get_default_memory_pool().free_all_blocks()), compute in "
                "float32 or in parts, or use backend='cpu'")
    state.limit = 1 << 30
    np.testing.assert_allclose(back(f(x)), back(first))


@simulated
def test_another_device(state: Any) -> None:
    f = npdiff.jit(np.sin, "cuda")
    for _ in range(2):
        f(X)
    state.number = 1
    def run() -> Any: return f(X)
    with pytest.raises(BackendError) as caught:
        run()
    assert_says(caught.value, run, "jit: this call was compiled for CUDA device 0, and device 1 is current", "",
                "call it inside `with cupy.cuda.Device(0):`, or jit the function anew on the other device")
    x = there(X)
    state.number = 0
    elsewhere = type("Elsewhere", (type(x),), {"device": property(lambda self: cupy.cuda.Device(1))})._of(x.simulated)
    def call() -> Any: return f(elsewhere)
    with pytest.raises(BackendError) as caught:
        call()
    assert_says(caught.value, call, "jit: an argument lies on CUDA device 1, and device 0 is current", "",
                "call the function inside `with cupy.cuda.Device(1):`")
