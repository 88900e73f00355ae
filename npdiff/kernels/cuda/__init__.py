"""Loop IR on NVIDIA cards: kernels rendered as Python functions that Numba compiles for CUDA.

``compiled(kernel)`` gives a function that launches it, ``source(kernel)`` the Python text of its passes, ``ptx(kernel,
cc)`` their assembly for a compute capability, which needs no card. With NUMBA_ENABLE_CUDASIM=1 in the environment the
same text runs in Numba's simulator, on NumPy arrays.

``along(name, dtype, ...)`` and ``added(dtype, ...)`` launch what the loop IR does not know: running sums and products,
positions of extrema, and sums of what has one key.

The layers, each importing only from those before it: operations, plan, render, toolchain, device, simulated,
compile, lines, run.
"""

from __future__ import annotations

from npdiff.kernels.cuda.operations import renders
from npdiff.kernels.cuda.plan import Config
from npdiff.kernels.cuda.run import ALONG_DTYPES, added, along, compiled, ptx, source
from npdiff.kernels.cuda.toolchain import missing, simulating

__all__ = ["ALONG_DTYPES", "Config", "added", "along", "compiled", "missing", "ptx", "renders", "simulating", "source"]
