"""Functions of vector math are compiled once for all kernels that call them; between processes they are found again."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from graphs import Recorder, expected, same

from npdiff.kernels import compile_cpu, compile_graph, machine

X = np.linspace(0.2, 1.2, 700)


def made(factor):
    """A kernel with more functions than are copied into it."""
    r = Recorder(X)
    y = r.inputs[0]
    for name in ("exp", "tanh", "sin", "log", "arctan"):
        y = r(name, r("multiply", y, factor))
    return r.graph(y)


def test_the_second_kernel_compiles_no_function_again():
    first, second = made(0.9), made(0.8)
    compile_graph(first)
    before = len(machine._loaded)
    same(compile_graph(second)(X), expected(second, (X,)))
    assert len(machine._loaded) == before + 1
    text = compile_graph(second).text()
    own = machine._apart(machine.machine(), text)
    assert "define internal" in text
    assert "@vecmath." in text
    assert "@vecmath." not in own
    assert own.count("@npdiff_shared_") >= 10  # declared and called
    assert machine._apart(machine.machine(), "define void @f() {\n}\n") == "define void @f() {\n}\n"


def test_another_process_finds_them_on_disk(tmp_path):
    code = """
import numpy as np, npdiff
x = np.linspace(0.2, 1.2, 701)
f = npdiff.jit(lambda x: np.tanh(np.exp(np.sin(np.log(np.arctan(x))))))
for _ in range(2): y = f(x + 0.9)
assert abs(y - np.tanh(np.exp(np.sin(np.log(np.arctan(x + 0.9)))))).max() < 1e-14
info = npdiff.cache.info()
print(info.hits, info.misses)
"""
    environment = {**os.environ, "NPDIFF_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
            for _ in range(2)]
    (hits, misses), (found, missing) = [map(int, run.stdout.split()) for run in runs]
    assert hits == missing == 0
    assert found == misses > 5


def test_code_calls_the_functions_it_was_compiled_with(monkeypatch, tmp_path):
    # Another version may put the same functions into modules of other texts, whose names its code calls.
    monkeypatch.setenv("NPDIFF_CACHE_DIR", str(tmp_path))
    graph = made(0.7)
    keys = []
    key = machine._key
    monkeypatch.setattr(machine, "_key", lambda host, *what: keys.append(key(host, *what)) or keys[-1])
    for longest in (machine._SHORT, 0):
        machine._loaded.clear()
        monkeypatch.setattr(machine, "_SHORT", longest)
        same(compile_graph(graph)(X), expected(graph, (X,)))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", ["exp", "log", "sin", "cos", "tan", "power"])
def test_a_rare_lane_among_many_has_the_bits_it_has_alone(name, dtype):
    # Four uses: functions of their own, on several registers, whose rare lanes are seen to in groups.
    x = np.linspace(0.1, 3, 203).astype(dtype)
    x[7::11] = np.resize(np.array([1e-40, -2.0, np.inf, np.nan, 89.5, 1e-310, 3e12, -750.0, 0.0]), x[7::11].size)

    def values(count):
        r = Recorder(x)
        ys = [r("multiply", r.inputs[0], x.dtype.type(k)) for k in range(1, count + 1)]
        more = [x.dtype.type(1.7)] * (name == "power")
        return compile_graph(r.graph(*[r(name, y, *more) for y in ys]))(x)

    alone = values(1)[0]
    assert np.array_equal(values(5)[0], alone, equal_nan=True)
    assert not np.isfinite(alone).all()


def test_code_made_with_less_care_has_the_same_bits(monkeypatch):
    def results(factor):
        r = Recorder(X)
        y = r.inputs[0]
        for k in range(60):
            y = r("add", r("multiply", y, factor), r(("sin", "tanh", "cos")[k % 3], y))
        return r.graph(y)

    asked = []
    load = machine.load

    def asking(text, quick=False, plain=False):
        asked.extend([quick] * ("@npdiff_kernel(" in text))
        return load(text, quick, plain)

    monkeypatch.setattr(machine, "load", asking)
    monkeypatch.setattr(compile_cpu, "LONG", 100)
    [quick] = compile_graph(results(0.5))(X)
    assert asked == [True]
    machine._loaded.clear()
    monkeypatch.setattr(compile_cpu, "LONG", 1 << 30)
    monkeypatch.setattr(machine, "_FORMAT", "another")  # names of its own
    [careful] = compile_graph(results(0.5))(X)
    assert asked == [True, False]
    assert np.isfinite(quick).all()
    assert np.array_equal(quick, careful)
