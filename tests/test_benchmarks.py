"""Every benchmark workload once, against NumPy; nothing here looks at a clock."""

from __future__ import annotations

import importlib
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import npdiff
from npdiff import tree

FOLDER = pathlib.Path(__file__).parent.parent / "asv_bench"
sys.path.insert(0, str(FOLDER))
try:
    eager = importlib.import_module("benchmarks.eager")
    jit = importlib.import_module("benchmarks.jit")
    libraries = importlib.import_module("benchmarks.libraries")
    rows = importlib.import_module("benchmarks.rows")
    workloads = importlib.import_module("benchmarks.workloads")
finally:
    sys.path.remove(str(FOLDER))


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_workload_agrees_with_numpy(name):
    given = workloads.WORKLOADS[name]
    function, args = workloads.total(given.function), given.small()
    before = [a.copy() for a in args]
    expected = function(*args)
    value, gradient = npdiff.value_and_grad(function)(*args)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    compiled, compiled_gradient = npdiff.jit(function), npdiff.jit(npdiff.value_and_grad(function))
    for _ in range(2):
        np.testing.assert_allclose(compiled(*args), expected, rtol=1e-12)
        jit_value, jit_gradient = compiled_gradient(*args)
        np.testing.assert_allclose(jit_value, expected, rtol=1e-12)
        np.testing.assert_allclose(jit_gradient, gradient, rtol=1e-9, atol=1e-12)
    direction = np.random.default_rng(1).normal(size=args[0].shape)
    ahead, behind = [function(args[0] + step * direction, *args[1:]) for step in (1e-6, -1e-6)]
    np.testing.assert_allclose(np.sum(gradient * direction), (ahead - behind) / 2e-6, rtol=1e-5)
    for a, b in zip(args, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_numpy_takes_the_place_of_np():
    numpy = pytest.importorskip("autograd.numpy", reason="autograd is missing: install the bench extra")
    autograd = pytest.importorskip("autograd")
    function, _, small, *_ = workloads.WORKLOADS["chain"]
    other = autograd.grad(workloads.with_numpy(function, numpy))
    np.testing.assert_allclose(npdiff.grad(function)(*small()), other(*small()), rtol=1e-12)


CLASSES = [cls for module in (eager, jit, rows) for cls in vars(module).values()
           if isinstance(cls, type) and any(name.startswith("time_") for name in vars(cls))]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_benchmark_runs(cls):
    parameters = [values[0] for values in getattr(cls, "params", ())]
    bench = cls()
    try:
        bench.setup(*parameters)
    except NotImplementedError as why:
        pytest.skip(str(why))
    for name in dir(bench):
        if name.startswith("time_"):
            getattr(bench, name)(*parameters)


BESIDE = [cls for cls in vars(libraries).values() if isinstance(cls, type) and hasattr(cls, "param_names")]
# The first combination of each library with JAX left to where it costs little: compiling takes seconds.
COSTLY = {(cls.__name__, "jax") for cls in (libraries.Compile, libraries.Kernel, libraries.Slope, libraries.Memory)}


@pytest.mark.parametrize(("cls", "library"), [
    pytest.param(cls, library, id=f"{cls.__name__}-{library}") for cls in BESIDE
    for library in cls.params[cls.param_names.index("library")] if (cls.__name__, library) not in COSTLY])
def test_libraries_side_by_side(cls, library, monkeypatch):
    where = cls.param_names.index("library")
    monkeypatch.setattr(libraries, "SMALL", True)
    parameters = [library if k == where else values[0] for k, values in enumerate(cls.params)]
    bench = cls()
    try:
        bench.setup(*parameters)
    except NotImplementedError as why:
        pytest.skip(str(why))
    names = [name for name in dir(bench) if name.startswith(("time_", "timeraw_", "peakmem_"))]
    assert names
    for name in names:
        getattr(bench, name)(*parameters)


def test_every_kind_of_cost_has_a_benchmark_beside_the_others():
    assert {cls.__name__ for cls in BESIDE} == {
        "Import", "Operation", "Recording", "Compile", "SmallCall", "Kernel", "Slope", "Memory"}


def test_memory_prints_one_table(tmp_path):
    kept = tmp_path / "figures.json"
    run = [sys.executable, str(FOLDER / "memory.py"), "rational", "--size", "1000", "--libraries", "npdiff", "--json",
           str(kept)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[3].startswith("rational 1,000 ")
    (figure,) = json.loads(kept.read_text())
    assert figure["npdiff"]["arguments"] == figure["npdiff"]["results"] == 8000


def test_compile_times_prints_one_table(tmp_path):
    kept = tmp_path / "figures.json"
    run = [sys.executable, str(FOLDER / "compile_times.py"), "mixed", "--largest", "10", "--jax", "0", "--rounds", "1",
           "--json", str(kept)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[3].startswith("mixed 10 ")
    (figure,) = json.loads(kept.read_text())
    assert figure["npdiff"]["equations"] == 12
    assert figure["jax"] is None


@pytest.mark.parametrize("name", rows.SAMPLES)
def test_rows_agree_with_numpy(name):
    sample = rows.SAMPLES[name]
    function, args = sample.make(60)
    with np.errstate(all="ignore"):
        expected = tree.leaves(function(*args))
        compiled = npdiff.jit(function)
        for call in (lambda *xs: npdiff.vjp(function, *xs)[0], compiled, compiled):
            for ours, theirs in zip(tree.leaves(call(*args)), expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
        if sample.differentiable:
            gradient = npdiff.grad(rows.total(function))
            compiled = npdiff.jit(gradient)
            slope = gradient(*args)
            for _ in range(2):
                np.testing.assert_allclose(compiled(*args), slope, rtol=1e-9, atol=1e-11)


def test_row_samples_grow_to_the_size_asked_for():
    for sample in rows.SAMPLES.values():
        for size in (60, *rows.SIZES[:1]):
            assert size / 2 < max(x.size for x in sample.make(size)[1]) < 2 * size, sample
    assert {name.partition(": ")[2] for name in rows.SAMPLES} == {
        "elementwise", "linear", "bilinear", "nonlinear", "composite", "nondifferentiable"}


def test_asv_configuration_names_folders_that_exist():
    configuration = json.loads((FOLDER / "asv.conf.json").read_text())
    assert (FOLDER / configuration["benchmark_dir"] / "__init__.py").exists()
    assert (FOLDER / configuration["repo"] / "pyproject.toml").exists()


def test_compare_prints_one_table():
    run = [sys.executable, str(FOLDER / "compare.py"), "--repeats", "1", "--seconds", "0"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert "50 operations on 10 numbers" in done.stdout
    assert done.stdout.count("npdiff.jit value+gradient") == len(workloads.FUSED)
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_versus_prints_one_table(tmp_path):
    pytest.importorskip("jax", reason="the table stands npdiff beside JAX, which is not installed")
    kept = tmp_path / "figures.json"
    run = [sys.executable, str(FOLDER / "versus.py"), "relax", "mixing", "--largest", "1000", "--repeats", "1",
           "--seconds", "0", "--json", str(kept)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()[3:]] == ["relax", "mixing", "geometric"]
    assert [f["workload"] for f in json.loads(kept.read_text())["figures"]] == ["relax", "mixing"]


def test_runtime_prints_its_tables():
    run = [sys.executable, str(FOLDER / "runtime.py"), "--repeats", "1", "--seconds", "0"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert "x * y + x, ten numbers" in done.stdout
    assert "first two calls, from the cache" in done.stdout
