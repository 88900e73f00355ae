"""Whatever JAX runs on (TPU, GPU, CPU): graphs become functions of jax.numpy under `jax.jit`.

jax is imported when this backend is first asked for, and its global configuration is never changed: 64-bit types and
exact matrix products are set around each use, for the thread that uses it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from npdiff.avals import Aval
from npdiff.backend.contract import OwnArrays, Placement, Status
from npdiff.backend.jax_executable import JaxExecutable
from npdiff.errors import BackendError, message
from npdiff.graph import Graph

INSTALL = "python -m pip install 'npdiff[jax]' (CPU and GPU) or 'npdiff[tpu]' (on a TPU machine)"
# Platforms whose processors compute in 32 bits.
NO_FLOAT64 = ("tpu", "METAL")


@contextlib.contextmanager
def settings(jax: Any) -> Iterator[None]:
    """64-bit types, and matrix products in the precision of their operands."""
    wide = jax.enable_x64 if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental").enable_x64
    with wide(True), jax.default_matmul_precision("highest"):
        yield


class Tpu:
    """Compiles with JAX."""

    name = "tpu"
    shards = True

    def status(self) -> Status:
        """Available where jax can be imported and finds a device."""
        if importlib.util.find_spec("jax") is None:
            return Status(self.name, False, why="the package jax is not installed", install=INSTALL)
        try:
            found = importlib.import_module("jax").devices()
        except Exception as error:
            return Status(self.name, False, why=f"jax does not start: {type(error).__name__}: {error}",
                          install=INSTALL)
        kind = found[0]
        devices = f"{len(found)} {kind.platform} device{'s' if len(found) > 1 else ''} of jax ({kind.device_kind})"
        return Status(self.name, True, devices, install="" if kind.platform == "tpu" else f"for a TPU: {INSTALL}")

    def compile(self, graph: Graph, placement: Placement | None = None) -> JaxExecutable:
        """The graph as jax functions, with NumPy calls between them."""
        jax = importlib.import_module("jax")
        platform = jax.default_backend()
        if platform in NO_FLOAT64:
            self._refuse_float64(graph, platform)
        return JaxExecutable(jax, graph, lambda: settings(jax), platform not in NO_FLOAT64, placement)

    @staticmethod
    def _refuse_float64(graph: Graph, platform: str) -> None:
        def refuse(a: Aval, what: str, source: tuple[str, int] | None) -> None:
            if not a.weak and a.dtype.char in "dDgG":
                raise BackendError(message(
                    f"jit: {what} is {a!r}, and a {platform} has no {a.dtype.name}",
                    at=f"{source[0]}:{source[1]}" if source else "",
                    instead="write npdiff.jit(f, backend='tpu', dtype='float32'), which computes it in float32; give "
                            "the function arrays of float32; or use backend='cpu'"))

        for v in graph.inputs:
            refuse(v.aval, "an input", None)
        for eq in graph.equations:
            for v in eq.outputs:
                refuse(v.aval, f"the result of {eq.prim.name}", eq.source)

    def is_array(self, value: Any) -> bool:
        """True for jax arrays, if jax is loaded at all."""
        jax = sys.modules.get("jax")
        return jax is not None and isinstance(value, jax.Array)

    def to_array(self, value: Any) -> Any:
        """A jax array of the same dtype."""
        jax = importlib.import_module("jax")
        with settings(jax):
            return jax.numpy.asarray(value)

    def to_numpy(self, value: Any) -> Any:
        """A read-only copy."""
        return np.asarray(value)

    def own(self, arrays: Sequence[Any]) -> OwnArrays:
        """Read-only stand-ins, as jax arrays are."""
        return OwnArrays(self, arrays)


TPU = Tpu()

__all__ = ["TPU", "Tpu", "settings"]
