"""Functions of vector math are compiled once for all kernels that call them; between processes they are found again."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from graphs import Recorder, expected, same

from npdiff.kernels import compile_graph, machine

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
