"""What a jitted function promises, on each backend; and what only some backends do."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
from machines import each_backend, needs_jax, replayed
from wording import assert_says

import npdiff
from npdiff.backend import cuda_rules, registry, tpu
from npdiff.backend.contract import Status
from npdiff.backend.jax_rules import HOST
from npdiff.backend.where import refreshed, table
from npdiff.errors import ArgumentError, BackendError, GuardFailed, JitWarning, NpdiffError

X = np.array([0.3, -1.2, 0.8, 2.5])


def same(ours: Any, theirs: Any, single: bool = False) -> None:
    assert type(ours) is type(theirs)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=2e-6 if single else 1e-12, atol=1e-13)


DTYPES = ("bool", "int8", "uint8", "int32", "int64", "uint64", "float16", "float32", "float64", "complex64",
          "complex128")


@each_backend
@pytest.mark.parametrize("dtype", DTYPES)
def test_promotion_is_numpys(dtype: str, backend: str) -> None:
    a = np.array([1, 0, 3]).astype(dtype)
    for other in (2, 1.5, np.float32(2), np.arange(3, dtype="i4"), np.ones(3, "u1"), True):
        for f in (lambda a, b: a + b, lambda a, b: a * b - a / 3, lambda a, b: np.where(a, a, b), np.true_divide):
            try:
                wanted = f(a, other)
            except TypeError:
                continue
            low = wanted.dtype.char in "efF"
            ours = replayed(f, backend, a, other)
            assert (ours.dtype, ours.shape) == (wanted.dtype, wanted.shape)
            np.testing.assert_allclose(ours, wanted, rtol=2e-3 if wanted.dtype.char == "e" else 1e-5 if low else 1e-12)


@each_backend
def test_bfloat16_is_numpys_own_business_and_says_so(backend: str) -> None:
    x = np.arange(5).astype(pytest.importorskip("ml_dtypes").bfloat16)
    f = lambda x: x * x + x[::-1]
    jitted = npdiff.jit(f, backend)
    with pytest.warns(JitWarning, match="an argument has dtype bfloat16"):
        out = jitted(x)
    assert out.dtype == x.dtype
    np.testing.assert_array_equal(out.astype(float), f(x).astype(float))
    with pytest.warns(JitWarning), pytest.raises(ArgumentError, match="has dtype bfloat16, and a derivative"):
        npdiff.jit(npdiff.grad(lambda x: np.sum(x.astype(float))), backend)(x)
    # On the way to and from it nothing is lost unseen.
    with pytest.raises(NpdiffError, match="dtype bfloat16 cannot hold tracked values"):
        npdiff.grad(lambda y: np.sum(y.astype(x.dtype).astype(float)))(np.ones(3))


@each_backend
def test_integers_divided_by_zero(backend: str) -> None:
    a, b = np.array([7, -7, 5, -9]), np.array([2, 2, 0, -4])
    for f in (np.floor_divide, np.remainder, np.fmod):
        same(replayed(f, backend, a, b), f(a, b))
        with np.errstate(all="ignore"):
            same(replayed(f, backend, a * 1.0, b * 1.0), f(a * 1.0, b * 1.0))


@each_backend
def test_writes_reach_the_argument(backend: str) -> None:
    def f(x: Any, where: Any) -> Any:
        x[where] = np.arange(4.0)
        x[1:3] += 10
        x[x > 11] = -1
        return x.sum()

    jitted = npdiff.jit(f, backend)
    for where in ([0, 1, 1, 3], [3, 3, 3, 3], [-1, 0, 2, 0]):
        ours, theirs = X.copy(), X.copy()
        assert jitted(ours, np.array(where)) == f(theirs, np.array(where))
        np.testing.assert_array_equal(ours, theirs)


@each_backend
def test_guards_lead_to_the_other_path(backend: str) -> None:
    def f(x: Any) -> Any:
        if np.sum(x) > 0:
            return np.sin(x)
        return x * len(x)

    jitted = npdiff.jit(f, backend)
    for x in (X, -X, X, -X):
        np.testing.assert_allclose(jitted(x), f(x), rtol=1e-12)
    [entry] = jitted._entries.values()
    assert [r.calls for r in entry.recordings] == [1, 1]


@each_backend
def test_draws_and_prints_stay_in_order(backend: str) -> None:
    def f(x: Any) -> Any:
        y = np.sin(x) + np.random.normal(size=4)
        print("first", np.round(y.sum(), 6))
        z = y * np.random.uniform(size=4)
        if np.sum(z) > 1e9:
            z = z + 1
        return np.cos(z)

    jitted = npdiff.jit(f, backend)
    results = []
    for run in (f, jitted):
        np.random.seed(3)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            values = [run(X) for _ in range(4)]
        results.append((values, np.random.random(), said.getvalue()))
    (ours, mine, said), (theirs, drawn, wanted) = results[1], results[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert (mine, said) == (drawn, wanted)


@each_backend
@pytest.mark.parametrize(("f", "good", "bad"), [
    (lambda x, k: x[k], np.array([0, 3]), np.array([0, 4])),
    (lambda x, k: np.linalg.inv(np.outer(x, x)[:2, :2] + k), np.eye(2), np.zeros((2, 2))),
    (lambda x, k: np.linalg.cholesky(k) * x[0], np.eye(2), -np.eye(2)),
    (lambda x, k: np.power(k, k), np.array([2, 3]), np.array([2, -3])),
])
def test_errors_are_numpys(f: Any, good: Any, bad: Any, backend: str) -> None:
    x = np.zeros(4)
    jitted = npdiff.jit(f, backend)
    for _ in range(2):
        np.testing.assert_allclose(jitted(x, good), f(x, good))
    try:
        f(x, bad)
    except (IndexError, ValueError) as error:
        theirs = error
    with pytest.raises(type(theirs)) as ours:
        jitted(x, bad)
    assert str(ours.value) == str(theirs)
    np.testing.assert_allclose(jitted(x, good), f(x, good))


@each_backend
def test_python_numbers_are_pythons(backend: str) -> None:
    jitted = npdiff.jit(lambda x, n: (x * (n ** 3), n * n), backend)
    for n in (2, 10**12, 3):
        ours = jitted(X.astype("f4"), n)
        assert (type(ours[1]), ours[1], ours[0].dtype) == (int, n * n, np.float32)
    divided = npdiff.jit(lambda x, n: x * (1 / n), backend)
    divided(X, 2.0)
    with pytest.raises(ZeroDivisionError):
        divided(X, 0.0)


@each_backend
def test_second_derivatives_and_forward_mode(backend: str) -> None:
    f = lambda x: np.sum(np.tanh(x) ** 2 * x[::-1])
    jitted = npdiff.jit(f, backend)
    np.testing.assert_allclose(npdiff.hessian(jitted)(X), npdiff.hessian(f)(X), rtol=1e-10)
    for a, b in zip(npdiff.jvp(jitted, (X,), (X,)), npdiff.jvp(f, (X,), (X,)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    np.testing.assert_allclose(npdiff.vmap(jitted)(np.stack([X, -X])), [f(X), f(-X)], rtol=1e-12)


# ---------------------------------------------------------------------- jax


@needs_jax
def test_jax_arrays_in_jax_arrays_out() -> None:
    import jax

    f = npdiff.jit(lambda x, y: {"a": np.sin(x) * y, "b": np.sum(x), "x": x, "n": 3}, "tpu")
    x = jax.numpy.asarray(X.astype("f4"))
    for _ in range(3):
        out = f(x, 2.0)
        assert isinstance(out["a"], jax.Array)
        assert isinstance(out["b"], jax.Array)
        assert out["x"] is x
        assert (out["a"].dtype, out["b"].shape, out["n"]) == (np.float32, (), 3)
        np.testing.assert_allclose(out["a"], np.sin(X.astype("f4")) * 2, rtol=1e-6)
    assert type(f(X, 2.0)["a"]) is np.ndarray
    slope = npdiff.jit(npdiff.grad(lambda x: np.sum(x ** 3)), "tpu")
    assert isinstance(slope(x), jax.Array)
    np.testing.assert_allclose(slope(x), 3 * X ** 2, rtol=1e-5)

    def write(x: Any) -> Any:
        x[0] = 1.0
        return x

    with pytest.raises(ValueError, match="read-only"):
        npdiff.jit(write, "tpu")(x)


@needs_jax
def test_explain_and_lower_say_what_runs_where() -> None:
    f = npdiff.jit(lambda x: np.cos(np.linalg.pinv(np.sin(x[:, None] * x))), "tpu")
    text = f.explain(X)
    assert "2 jax functions, 1 host calls" in text
    assert "   on the host: its tolerance is NumPy's own" in text
    stable = f.lower(X)
    assert stable.count("module @") == 2
    assert "stablehlo.sine" in stable
    assert "stablehlo.cosine" in stable
    assert "tensor<4x4xf64>" in stable


@needs_jax
def test_steps_are_shown_and_timed() -> None:
    import jax.numpy as jnp

    f = npdiff.jit(lambda x: np.cos(np.linalg.pinv(np.sin(x[:, None] * x))), "tpu")
    profile = f.profile(X)
    assert [s.step.kind for s in profile.steps] == ["jax function", "call", "jax function"]
    assert profile.backend == "tpu"
    assert min(s.seconds for s in profile.steps) > 0
    assert profile.steps[1].step.note == "its tolerance is NumPy's own"
    assert profile.steps[0].step.bytes == 8 * (4 + 16)
    lines = f.explain(X).splitlines()
    row = next(line for line in lines if line.startswith("  1  call"))
    assert row.split()[2:5] == ["linalg.pinv", "-", "128"]
    assert "linalg.pinv" in f.picture(X).dot
    text = f.explain(jnp.asarray(X))
    assert "1 recording(s)" in text
    assert "one run: " in text
    assert type(f(jnp.asarray(X))) is type(jnp.asarray(X))


@needs_jax
def test_a_numpy_call_that_fails_between_segments_is_named_at_once() -> None:
    def smooth(x: Any) -> Any:
        return np.sum(np.linalg.pinv(x[:, None] * x))

    f = npdiff.jit(smooth, "tpu")
    f(X)
    (entry,) = f._entries.values()
    program = entry.recordings[0].compiled()

    def fails(env: Any) -> None:
        raise GuardFailed from ZeroDivisionError("by zero")

    program.prepare()._steps[1] = fails
    with pytest.warns(JitWarning, match="a replay failed with ZeroDivisionError: by zero, and the function does not"):
        np.testing.assert_allclose(f(X), smooth(X))
    assert "a replay failed with ZeroDivisionError: by zero" in f.explain(X)


@needs_jax
def test_memory_that_runs_out_is_said_with_its_sizes() -> None:
    f = npdiff.jit(lambda x: np.sum(np.sin(x)[:, None] * x), "tpu")
    np.testing.assert_allclose(f(X), np.sum(np.sin(X)[:, None] * X))
    [entry] = f._entries.values()
    executable = entry.recordings[0].compiled().prepare()

    def full(*_: Any) -> Any:
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 128 bytes")

    [step] = executable._steps
    cells = dict(zip(step.__code__.co_freevars, step.__closure__, strict=True))
    cells["compiled"].cell_contents = full
    def run() -> Any: return f(X)
    with pytest.raises(BackendError) as caught:
        run()
    assert_says(caught.value, run, "jit: out of memory on a cpu of jax: a function reads 32 B and makes 8 B, and "
                "between float64[4,4] (128 B)", "", "free arrays you no longer need, compute in float32 or in parts, "
                "share the work between devices (mesh=), or use backend='cpu'")


@needs_jax
def test_the_configuration_of_jax_stays_as_it_is() -> None:
    code = """
        import sys, numpy as np, npdiff
        assert "jax" not in sys.modules, "importing npdiff imports jax"
        npdiff.jit(lambda x: x + 1)(np.ones(3))
        assert "jax" not in sys.modules, "jit on the CPU imports jax"
        import jax
        before = dict(jax.config.values)
        f = npdiff.jit(lambda x: np.linalg.inv(np.outer(x, x) + np.eye(3)) @ x, backend="tpu")
        f(np.ones(3)), f(np.ones(3)), f(jax.numpy.ones(3))
        assert dict(jax.config.values) == before
        assert jax.numpy.ones(3).dtype == np.float32
        assert f(np.ones(3)).dtype == np.float64
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_jax
def test_float64_where_the_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax

    monkeypatch.setattr(tpu, "NO_FLOAT64", (jax.default_backend(),))
    f = npdiff.jit(lambda x: np.sum(np.sin(x) * 2.0 + 1), "tpu")
    x = X.astype("f4")
    for _ in range(2):
        np.testing.assert_allclose(f(x), np.sum(np.sin(x) * 2.0 + 1), rtol=1e-6)
    assert "f64" not in f.lower(x)
    def run() -> Any: return f(X)
    with pytest.raises(BackendError) as caught:
        run()
    assert_says(caught.value, run, f"jit: an input is float64[4], and a {jax.default_backend()} has no float64", "",
                "write npdiff.jit(f, backend='tpu', dtype='float32'), which computes it in float32; give the function "
                "arrays of float32; or use backend='cpu'")


# ---------------------------------------------------------------------- choosing


def test_an_unknown_backend() -> None:
    def run() -> Any: return npdiff.jit(np.sin, "gpu")
    with pytest.raises(ArgumentError) as caught:
        run()
    assert_says(caught.value, run, "jit: backend= names no backend", "str 'gpu'",
                "the backends are 'cpu', 'cuda' and 'tpu'")


def test_the_environment_variable_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert npdiff.jit(np.sin).backend.name == "cpu"
    monkeypatch.setenv("NPDIFF_BACKEND", "nothing")
    def run() -> Any: return npdiff.jit(np.sin)
    with pytest.raises(ArgumentError) as caught:
        run()
    assert_says(caught.value, run, "jit: NPDIFF_BACKEND names no backend", "str 'nothing'",
                "the backends are 'cpu', 'cuda' and 'tpu'")
    assert npdiff.jit(np.sin, "cpu").backend.name == "cpu"


@needs_jax
def test_the_environment_variable_chooses_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPDIFF_BACKEND", "tpu")
    assert npdiff.jit(np.sin).backend.name == "tpu"


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpu.importlib.util, "find_spec", lambda name: None)
    status = tpu.TPU.status()
    assert (status.available, status.why) == (False, "the package jax is not installed")
    assert "not available: the package jax is not installed" in repr(npdiff.backends())
    def run() -> Any: return npdiff.jit(np.sin, "tpu")
    with pytest.raises(BackendError) as caught:
        run()
    assert_says(caught.value, run, "jit: the backend 'tpu' cannot run here: the package jax is not installed", "",
                "python -m pip install 'npdiff[jax]' (CPU and GPU) or 'npdiff[tpu]' (on a TPU machine)")


def test_the_report() -> None:
    report = npdiff.backends()
    assert [s.name for s in report] == list(registry.BACKENDS)
    assert report[0].available
    text = repr(registry.Report([Status("x", False, why="no y", install="get y"), Status("z", True, "a z")]))
    assert text == "x     not available: no y\n      get y\nz     available: a z"


def test_the_page_says_what_runs_where() -> None:
    page = pathlib.Path(npdiff.__file__).parents[1].joinpath("docs", "backends.md").read_text(encoding="utf-8")
    assert refreshed(page) == page, "run: python -m npdiff coverage --write docs"
    for name, why in {**HOST, **cuda_rules.HOST}.items():
        if f"`{name}`" in table():
            assert f"NumPy: {why} |" in page
    assert len([word for word in page.split() if word != "|"]) < 1350  # two pages


@pytest.mark.parametrize(("how", "what", "instead"), [
    ({"backend": "cpu", "mesh": object()}, "jit: the backend 'cpu' has no mesh of devices",
     "use backend='tpu', or leave mesh= and the shardings away"),
    pytest.param({"backend": "tpu", "in_shardings": (None,)}, "jit: shardings need the mesh that they cut arrays over",
                 "give mesh=jax.sharding.Mesh(devices, names)", marks=needs_jax),
])
def test_shardings_without_their_mesh(how: Any, what: str, instead: str) -> None:
    def run() -> Any: return npdiff.jit(np.sin, **how)
    with pytest.raises(ArgumentError) as caught:
        run()
    assert_says(caught.value, run, what, "", instead)


# ---------------------------------------------------------------------- many devices


@needs_jax
def test_eight_devices() -> None:
    code = """
        import jax, numpy as np, npdiff
        from jax.sharding import Mesh, PartitionSpec as P
        mesh = Mesh(np.array(jax.devices()), ("data",))
        assert mesh.size == 8

        def loss(w, x, y):
            return np.mean((np.tanh(x @ w) - y) ** 2)

        rng = np.random.default_rng(0)
        w, x, y = rng.normal(size=(5,)), rng.normal(size=(64, 5)), rng.normal(size=64)
        split = (None, P("data"), P("data"))
        for f in (loss, npdiff.value_and_grad(loss)):
            one = npdiff.jit(f, backend="tpu")
            many = npdiff.jit(f, backend="tpu", mesh=mesh, in_shardings=split)
            for _ in range(2):
                for a, b in zip(jax.tree.leaves(many(w, x, y)), jax.tree.leaves(one(w, x, y)), strict=True):
                    np.testing.assert_allclose(a, b, rtol=1e-12)
            [entry] = many._entries.values()
            text = entry.recordings[0].compiled()._executable.compiled_text()
            assert "all-reduce" in text, text
            assert "f64[8,5]" in text, "no device holds an eighth of x"
        slope = npdiff.grad(npdiff.jit(loss, backend="tpu", mesh=mesh, in_shardings=split))
        np.testing.assert_allclose(slope(w, x, y), npdiff.grad(loss)(w, x, y), rtol=1e-12)

        double = npdiff.jit(lambda a: np.sin(a) * 2, "tpu", mesh=mesh, in_shardings=P("data"), out_shardings=P("data"))
        a = jax.numpy.arange(16.0)
        double(a)
        out = double(a)
        assert len(out.addressable_shards) == 8 and out.addressable_shards[0].data.shape == (2,)
        np.testing.assert_allclose(out, 2 * np.sin(np.arange(16.0)), rtol=1e-6)
        try:
            npdiff.jit(lambda a: np.unique(a), "tpu", mesh=mesh, in_shardings=P("data"))(np.arange(16.0))
        except npdiff.errors.BackendError as error:
            assert "cannot run on many devices: NumPy evaluates it" in str(error)
        else:
            raise AssertionError("no error")
        try:
            npdiff.jit(np.sin, "tpu", mesh=mesh, in_shardings=(None, None))(np.arange(16.0))
        except npdiff.errors.ArgumentError as error:
            assert "in_shardings has 2 entries for 1 arguments" in str(error)
        else:
            raise AssertionError("no error")
    """
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False,
                          env=environment)
    assert done.returncode == 0, done.stderr
