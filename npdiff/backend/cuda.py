"""NVIDIA cards: fused kernels compiled by Numba, CuPy's functions between them.

Neither package is imported before this backend is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from npdiff.backend.contract import OwnArrays, Placement, Status
from npdiff.backend.cuda_arrays import CudaArrays, on_device
from npdiff.backend.cuda_device import DTYPES, Device
from npdiff.backend.cuda_executable import CudaExecutable
from npdiff.graph import Graph
from npdiff.kernels import cuda

INSTALL = "python -m pip install 'npdiff[cuda13]' (NVIDIA driver 580 or newer) or 'npdiff[cuda12]' (525 or newer)"
DRIVER = "install NVIDIA's driver, and see that nvidia-smi lists the card; without one, use backend='cpu'"


class Cuda:
    """Compiles with Numba for CUDA."""

    name = "cuda"
    shards = False

    def status(self) -> Status:
        """Available where CuPy and numba-cuda can be imported and find a device, or in Numba's simulator."""
        if "cupy" not in sys.modules and importlib.util.find_spec("cupy") is None:
            return Status(self.name, False, why="the package cupy is not installed", install=INSTALL)
        # The simulator needs no compiler, only the package.
        ready = importlib.util.find_spec("numba_cuda") is not None and cuda.simulating()
        lacking = "" if ready else cuda.missing()
        if lacking:
            return Status(self.name, False, why=lacking, install=INSTALL)
        try:
            runtime = importlib.import_module("cupy").cuda.runtime
        except Exception as error:
            return Status(self.name, False, why=f"cupy does not start: {type(error).__name__}: {error}",
                          install=INSTALL)
        try:
            count = int(runtime.getDeviceCount())
        except Exception as error:
            return Status(self.name, False, why=f"CUDA finds no device: {error}", install=DRIVER)
        if not count:
            return Status(self.name, False, why="CUDA finds no device", install=DRIVER)
        devices = f"{count} CUDA device{'s' if count > 1 else ''} ({Device().describe()})"
        return Status(self.name, True, f"Numba's simulator, {devices}" if cuda.simulating() else devices)

    def compile(self, graph: Graph, placement: Placement | None = None) -> CudaExecutable:
        """The graph as kernels and calls of CuPy, for the current device."""
        return CudaExecutable(Device(), graph)

    def is_array(self, value: Any) -> bool:
        """True for arrays in CUDA memory: CuPy's, and others that say so by a protocol."""
        return on_device(value)

    def to_array(self, value: Any) -> Any:
        """A CuPy array of the same dtype; the value itself where CuPy has no such dtype."""
        return Device().xp.asarray(value) if value.dtype in DTYPES else value

    def to_numpy(self, value: Any) -> Any:
        """A copy on the host."""
        return Device().get(value)

    def own(self, arrays: Sequence[Any]) -> OwnArrays:
        """Stand-ins that show how the arrays lie in memory."""
        return CudaArrays(self, Device(), arrays)


CUDA = Cuda()

__all__ = ["CUDA", "DRIVER", "INSTALL", "Cuda"]
