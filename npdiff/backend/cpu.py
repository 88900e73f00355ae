"""The CPU of this machine: fused LLVM kernels, and NumPy for the rest."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

from npdiff import kernels
from npdiff.backend.contract import Compiler, OwnArrays, Placement, Status
from npdiff.graph import Graph


class Cpu:
    """Compiles for this machine's processor; always available."""

    name = "cpu"
    shards = False

    def status(self) -> Status:
        """Available wherever npdiff is."""
        return Status(self.name, True, f"this machine's processor ({platform.machine()})")

    def compile(self, graph: Graph, placement: Placement | None = None) -> kernels.Executable:
        """The graph as fused loops and NumPy calls."""
        return kernels.compile_graph(graph)

    def is_array(self, value: Any) -> bool:
        """Nothing besides NumPy's own arrays."""
        return False

    def to_array(self, value: Any) -> Any:
        """The value itself."""
        return value

    def to_numpy(self, value: Any) -> Any:
        """The value itself."""
        return value

    def own(self, arrays: Sequence[Any]) -> OwnArrays:
        """Nothing: there are no such arrays."""
        return OwnArrays(self, arrays)


CPU = Cpu()
ON_CPU = Compiler(CPU)

__all__ = ["CPU", "ON_CPU", "Cpu"]
