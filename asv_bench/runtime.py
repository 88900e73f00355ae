"""What surrounds the kernels: calls, first calls, imports, threads, memory, values kept for the backward pass.

Run it as ``python asv_bench/runtime.py``; with JAX installed, jax.jit (in 64 bits) takes turns with npdiff.jit.
Figures are medians over the repeats. First calls and imports are measured in processes of their own.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from compare import measure, show

import npdiff

Calls = dict[str, Callable[[], Any]]

SMALL = {
    "x + 1": (lambda x, y: x + 1.0, lambda np, x, y: x + 1.0),
    "x * y + x": (lambda x, y: x * y + x, lambda np, x, y: x * y + x),
    "sum(exp(-x * x))": (lambda x, y: np.sum(np.exp(-x * x)), lambda np, x, y: np.sum(np.exp(-x * x))),
}


def jax_numpy() -> Any:
    """jax, set to 64 bits; None if it is not installed."""
    try:
        import jax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    return jax


def small(name: str) -> Calls:
    """Calls on ten numbers: NumPy arrays in, NumPy arrays out."""
    plain, general = SMALL[name]
    x, y = np.linspace(0.0, 1.0, 10), np.linspace(1.0, 2.0, 10)
    jitted = npdiff.jit(plain)
    calls: Calls = {"NumPy": lambda: plain(x, y), "npdiff.jit": lambda: jitted(x, y)}
    jax = jax_numpy()
    if jax is not None:
        other = jax.jit(lambda x, y: general(jax.numpy, x, y))
        np.testing.assert_allclose(jitted(x, y), other(x, y), rtol=1e-12)
        calls["jax.jit, NumPy arrays in"] = lambda: other(x, y)
        calls["jax.jit, NumPy arrays in and out"] = lambda: np.asarray(other(x, y))
    return calls


def large(size: int) -> Calls:
    """A rational expression with three large results, on one thread and on all."""

    def function(x: Any) -> Any:
        a = (x * x + 1.0) * x
        return a, a / (x + 2.0), a - x

    x = np.linspace(0.0, 1.0, size)
    jitted = npdiff.jit(function)

    def on(count: int) -> Any:
        npdiff.set_num_threads(count)
        return jitted(x)

    everyone = npdiff.get_num_threads()
    calls: Calls = {"NumPy": lambda: function(x), "npdiff.jit, one thread": lambda: on(1),
                    f"npdiff.jit, {everyone} threads": lambda: on(everyone)}
    jax = jax_numpy()
    if jax is not None:
        other = jax.jit(function)
        there = jax.numpy.asarray(x)
        calls["jax.jit"] = lambda: jax.block_until_ready(other(there))
    return calls


def gradient() -> Calls:
    """Value and gradient of a small network, around a jitted function and as one."""
    rng = np.random.default_rng(0)
    w, v, x = rng.normal(size=(300, 300)) / 20, rng.normal(size=(300, 300)) / 20, rng.normal(size=(300, 300))

    def loss(w: Any) -> Any:
        return np.sum(np.tanh(v @ np.tanh(w @ x)) ** 2)

    around, whole = npdiff.value_and_grad(npdiff.jit(loss)), npdiff.jit(npdiff.value_and_grad(loss))
    forward = npdiff.jit(loss)
    return {"npdiff.jit value": lambda: forward(w), "value_and_grad(jit(f))": lambda: around(w),
            "jit(value_and_grad(f))": lambda: whole(w)}


_IMPORT = "import time, numpy; a = time.perf_counter(); import npdiff; print(time.perf_counter() - a)"
_FIRST = """
import time, numpy as np, npdiff, llvmlite.binding
f = npdiff.jit(lambda x: np.sum(np.exp(-x * x) / (1.5 + x * x)))
x = np.linspace(0.0, 1.0, 100)
a = time.perf_counter(); f(x); f(x); print(time.perf_counter() - a)
"""
_FIRST_JAX = """
import time, numpy as np, jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
f = jax.jit(lambda x: jnp.sum(jnp.exp(-x * x) / (1.5 + x * x)))
x = np.linspace(0.0, 1.0, 100)
a = time.perf_counter(); np.asarray(f(x)); print(time.perf_counter() - a)
"""


def seconds(code: str, folder: str) -> float:
    """What a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "NPDIFF_CACHE_DIR": folder, "PYTHONDONTWRITEBYTECODE": ""})
    return float(done.stdout)


def processes(repeats: int) -> None:
    """Imports and first calls, each in a fresh process."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as warm:
        seconds(_FIRST, warm)
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as cold:
                times.setdefault("import npdiff, after NumPy", []).append(seconds(_IMPORT, warm))
                times.setdefault("first two calls, empty cache", []).append(seconds(_FIRST, cold))
                times.setdefault("first two calls, from the cache", []).append(seconds(_FIRST, warm))
                if jax_numpy() is not None:
                    times.setdefault("jax.jit, first call", []).append(seconds(_FIRST_JAX, cold))
    print(f"\nfresh processes, imports aside\n  {'':<32}{'median ms':>12}{'least ms':>12}")
    for name, each in times.items():
        print(f"  {name:<32}{statistics.median(each) * 1e3:>12.1f}{min(each) * 1e3:>12.1f}")


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.02, help="length of one turn")
    chosen = parser.parse_args()
    print(f"npdiff {npdiff.__version__}, NumPy {np.__version__}, Python {platform.python_version()}, "
          f"{platform.machine()}; medians of {chosen.repeats} turns")
    groups: list[tuple[str, Calls]] = [(f"{name}, ten numbers", small(name)) for name in SMALL]
    groups += [(f"three results, {size:,} numbers", large(size)) for size in (30_000, 300_000, 3_000_000)]
    groups.append(("a network of two layers, 300 x 300", gradient()))
    for title, calls in groups:
        show(title, measure(calls, chosen.repeats, chosen.seconds))
    processes(max(1, chosen.repeats // 3))


if __name__ == "__main__":
    main()
