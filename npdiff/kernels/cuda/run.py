"""Kernels ready to run: the passes of a plan, launched one after another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from npdiff.kernels.cuda.compile import Launch, address, assemble, load, simulate
from npdiff.kernels.cuda.plan import Config, Plan, plan
from npdiff.kernels.cuda.render import render
from npdiff.kernels.cuda.toolchain import numba_cuda, simulating
from npdiff.kernels.loop_ir import DType, Kernel

Run = Callable[[Sequence[Any], Sequence[Any]], None]
DEFAULT = Config()


def empty(size: int, dtype: DType) -> Any:
    """Scratch memory: from CuPy's pool if it is loaded, else from Numba."""
    if simulating():
        return np.empty(size, dtype)
    cupy = sys.modules.get("cupy")
    if cupy is not None:
        return cupy.empty(size, dtype)
    return numba_cuda().device_array(size, dtype)


class _Prepared:
    """The passes of one plan, ready to launch."""

    def __init__(self, whole: Plan, config: Config) -> None:
        make = simulate if simulating() else load
        self.scratch = whole.scratch
        self.steps: list[tuple[Launch, tuple[int, ...]]] = [(make(p, config), p.arrays) for p in whole.passes]

    def __call__(self, arrays: list[Any]) -> None:
        arrays = arrays + [empty(b.size, b.dtype) for b in self.scratch]
        for launch, which in self.steps:
            launch([arrays[k] for k in which])


def compiled(kernel: Kernel, config: Config = DEFAULT) -> Run:
    """A function that launches a kernel on its input arrays and its preallocated output arrays.

    Parameters
    ----------
    kernel
        A verified kernel of the loop IR.
    config
        Sizes of launches.

    Returns
    -------
    callable
        Takes the input arrays and the output arrays, C-contiguous, of the sizes and dtypes of the kernel's buffers:
        anything with ``__cuda_array_interface__``, or NumPy arrays in the simulator. It launches in CuPy's current
        stream (without CuPy, the default one) and returns without waiting. Outputs must not overlap inputs.
    """
    whole = plan(kernel, config)
    first = _Prepared(whole, config)
    aligned = [(k, p.lanes * b.dtype.itemsize) for p in whole.passes if p.lanes > 1
               for k, b in zip(p.arrays, (*p.kernel.inputs, *p.kernel.outputs), strict=True)
               if k < len(kernel.inputs) + len(kernel.outputs)]
    if not aligned:
        return lambda inputs, outputs: first([*inputs, *outputs])
    # Arrays that begin in the middle of a vector take another plan, made when the first such array comes.
    second: list[_Prepared] = []

    def run(inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        arrays = [*inputs, *outputs]
        if all(address(arrays[k]) % align == 0 for k, align in aligned):
            first(arrays)
            return
        if not second:
            single = replace(config, lane_bytes=0)
            second.append(_Prepared(plan(kernel, single), single))
        second[0](arrays)

    return run


def source(kernel: Kernel, config: Config = DEFAULT) -> str:
    """The Python text of a kernel's passes."""
    return "\n".join(render(p, config) for p in plan(kernel, config).passes)


def ptx(kernel: Kernel, cc: tuple[int, int], config: Config = DEFAULT) -> str:
    """The assembly of a kernel's passes for a compute capability such as ``(9, 0)``; needs no card."""
    return "\n".join(assemble(p, config, cc) for p in plan(kernel, config).passes)


__all__ = ["Run", "compiled", "empty", "ptx", "source"]
