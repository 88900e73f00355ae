"""The same work in NumPy, npdiff, JAX and autograd, side by side: imports, single operations, recording, compilation,
calls, kernels, gradients and their peak memory.

A library that cannot do something, or is not installed, is left out (``NotImplementedError`` in `setup`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .workloads import FUSED, WORKLOADS, Workload, total, with_numpy

LIBRARIES = ("numpy", "npdiff", "jax", "autograd")
OPERATIONS = (10, 50, 200)
MEMORY = ("normal_density", "mixing", "softmax_long", "heat")
# What workloads are made with: as listed, or (for a quick look whether all runs) in small.
SMALL = False


def arguments(workload: Workload) -> tuple[Any, ...]:
    """Its arguments."""
    return workload.small() if SMALL else workload.arguments()


def module(library: str) -> Any:
    """A library; NotImplementedError where it is missing."""
    try:
        found = importlib.import_module(library)
    except ImportError as error:
        raise NotImplementedError(f"{library} is not installed") from error
    if library == "jax":
        found.config.update("jax_enable_x64", True)
    return found


def only(library: str, *able: str) -> Any:
    """The library; NotImplementedError unless it is one of those that can."""
    if library not in able:
        raise NotImplementedError(f"{library} has nothing of the kind")
    return module(library)


def own(workload: Workload, library: str) -> Callable[..., Any]:
    """A workload's function with the library's NumPy."""
    if library in ("numpy", "npdiff"):
        return workload.function
    twin, numpy = workload.twin, module(f"{library}.numpy")
    return with_numpy(workload.function, numpy) if twin is None else lambda *args: twin(numpy, *args)


def ready(library: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """A call that ends when its result is there."""
    block = module("jax").block_until_ready if library == "jax" else None
    return f if block is None else lambda *args: block(f(*args))


def value(workload: Workload, library: str) -> Callable[..., Any]:
    """Its value: compiled where the library compiles."""
    f = own(workload, library)
    return f if library == "numpy" else ready(library, only(library, "npdiff", "jax").jit(f))


def gradient(workload: Workload, library: str) -> Callable[..., Any]:
    """Its gradient: compiled where the library compiles."""
    found = only(library, "npdiff", "jax", "autograd")
    numpy = np if library == "npdiff" else module(f"{library}.numpy")
    summed = total(own(workload, library), numpy)
    if library == "autograd":
        if workload.twin is not None:
            raise NotImplementedError("autograd writes in no array")
        made: Callable[..., Any] = found.grad(summed, workload.argnums)
        return made
    return ready(library, found.jit(found.grad(summed, workload.argnums)))


class Import:
    """Importing the library in a fresh process, NumPy included."""

    params = (LIBRARIES,)
    param_names = ("library",)

    def setup(self, library: str) -> None:
        module(library)

    def timeraw_import(self, library: str) -> str:
        return f"import {library}"


class Operation:
    """One operation on ten numbers, without compilation."""

    params = (LIBRARIES,)
    param_names = ("library",)

    def setup(self, library: str) -> None:
        found = module(library)
        x = np.linspace(0.0, 1.0, 10)
        self.x: Any = {"npdiff": lambda: found.track(x), "jax": lambda: found.numpy.asarray(x)}.get(
            library, lambda: x)()
        self.sin = np.sin if library in ("numpy", "npdiff") else module(f"{library}.numpy").sin

    def time_add(self, library: str) -> None:
        self.x + self.x

    def time_sin(self, library: str) -> None:
        self.sin(self.x)


class Recording:
    """Fifty operations on ten numbers, written down: as a graph (npdiff, JAX) or for the way back (autograd)."""

    params = (("npdiff", "jax", "autograd"),)
    param_names = ("library",)

    def setup(self, library: str) -> None:
        found, workload = module(library), WORKLOADS["chain"]
        (self.x,) = workload.arguments()
        f = own(workload, library)
        self.record: Callable[[Any], Any] = {
            "npdiff": lambda x: found.make_graph(f)(x), "jax": lambda x: found.make_jaxpr(f)(x),
            "autograd": lambda x: found.make_vjp(f)(x)}[library]

    def time_record(self, library: str) -> None:
        self.record(self.x)


class Compile:
    """Recording and compiling an elementwise chain that no cache knows: CPU time is what counts here."""

    params = (("npdiff", "jax"), OPERATIONS)
    param_names = ("library", "operations")
    number = 1
    repeat = 3
    warmup_time = 0.0

    def setup(self, library: str, operations: int) -> None:
        found = module(library)
        numpy = np if library == "npdiff" else module("jax.numpy")
        constant = float(np.random.default_rng().uniform(1, 2))  # kernels are kept by what they compute

        def chain(x: Any) -> Any:
            for k in range(operations // 2):
                x = x * constant + float(k)
            return numpy.sum(x)

        self.x = np.linspace(0.0, 1.0, 1000)
        warm = found.jit(lambda x: x * 2.0)
        for _ in range(2):
            warm(self.x)
        self.fresh = ready(library, found.jit(chain))

    def time_compile(self, library: str, operations: int) -> None:
        for _ in range(2):  # npdiff records in the first call and compiles in the second
            self.fresh(self.x)


class SmallCall:
    """A call of a compiled function on ten numbers: NumPy arrays in and out."""

    params = (("numpy", "npdiff", "jax"),)
    param_names = ("library",)

    def setup(self, library: str) -> None:
        self.x = np.linspace(0.0, 1.0, 10)
        f: Callable[[Any], Any] = lambda x: x * x + x
        compiled = f if library == "numpy" else module(library).jit(f)
        self.call = (lambda x: np.asarray(compiled(x))) if library == "jax" else compiled
        for _ in range(3):
            self.call(self.x)

    def time_call(self, library: str) -> None:
        self.call(self.x)


class Kernel:
    """Values of expressions that fuse, on a million numbers."""

    params = (FUSED, ("numpy", "npdiff", "jax"))
    param_names = ("workload", "library")

    def setup(self, workload: str, library: str) -> None:
        self.args = arguments(WORKLOADS[workload])
        self.run = value(WORKLOADS[workload], library)
        for _ in range(3):
            self.run(*self.args)

    def time_value(self, workload: str, library: str) -> None:
        self.run(*self.args)


class Slope:
    """Gradients of the workloads: compiled in npdiff and JAX."""

    params = (tuple(WORKLOADS), ("npdiff", "jax", "autograd"))
    param_names = ("workload", "library")

    def setup(self, workload: str, library: str) -> None:
        self.args = arguments(WORKLOADS[workload])
        self.run = gradient(WORKLOADS[workload], library)
        for _ in range(3):
            self.run(*self.args)

    def time_gradient(self, workload: str, library: str) -> None:
        self.run(*self.args)


class Memory:
    """The largest resident set of a process that computes a gradient of a million elements and more."""

    params = (MEMORY, ("npdiff", "jax", "autograd"))
    param_names = ("workload", "library")

    def setup(self, workload: str, library: str) -> None:
        only(library, "npdiff", "jax", "autograd")
        given = WORKLOADS[workload]
        self.args = arguments(given) if SMALL or given.make is None else given.make(given.sizes[-1])
        self.run = gradient(given, library)

    def peakmem_gradient(self, workload: str, library: str) -> None:
        for _ in range(3):
            self.run(*self.args)
