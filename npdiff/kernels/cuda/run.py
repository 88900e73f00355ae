"""Kernels ready to run: the passes of a plan, launched one after another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from npdiff.kernels.cuda.compile import Code, Launch, address, assemble, code, load, simulate
from npdiff.kernels.cuda.lines import Launches, extreme, keyed, running
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
    """Launches of a plan, ready to run."""

    def __init__(self, whole: Launches) -> None:
        make: Callable[[Code], Launch] = simulate if simulating() else load
        self.scratch = whole.scratch
        self.steps = [(make(c), arrays) for c, arrays in whole.codes]

    def __call__(self, arrays: list[Any]) -> None:
        arrays = arrays + [empty(size, dtype) for size, dtype in self.scratch]
        for launch, which in self.steps:
            launch([arrays[k] for k in which])


def _launches(whole: Plan, config: Config) -> Launches:
    return Launches(tuple((code(p, config), p.arrays) for p in whole.passes),
                    tuple((b.size, b.dtype) for b in whole.scratch))


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
    first = _Prepared(_launches(whole, config))
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
            second.append(_Prepared(_launches(plan(kernel, single), single)))
        second[0](arrays)

    return run


def source(kernel: Kernel, config: Config = DEFAULT) -> str:
    """The Python text of a kernel's passes."""
    return "\n".join(render(p, config) for p in plan(kernel, config).passes)


def ptx(kernel: Kernel, cc: tuple[int, int], config: Config = DEFAULT) -> str:
    """The assembly of a kernel's passes for a compute capability such as ``(9, 0)``; needs no card."""
    return "\n".join(assemble(code(p, config), cc) for p in plan(kernel, config).passes)


# ---------------------------------------------------------------------- along one axis

# What is there besides kernels of the loop IR: see `lines`.
ALONG = {"cumsum": partial(running, "add"), "cumprod": partial(running, "mul"),
         "argmax": partial(extreme, "argmax"), "argmin": partial(extreme, "argmin")}
# What their lines may hold.
ALONG_DTYPES = {"cumsum": "bhilqBHILQfd", "cumprod": "bhilqBHILQfd", "argmax": "?bhilqBHILQefd",
                "argmin": "?bhilqBHILQefd"}


def along(name: str, dtype: DType, outer: int, length: int, inner: int,
          config: Config = DEFAULT) -> Callable[..., None]:
    """A function that launches one of `ALONG` on lines of an array.

    Takes the operand, of shape ``(outer, length, inner)``, and the result: of the same shape and dtype for what runs
    along a line, positions of shape ``(outer, inner)`` for an extremum.
    """
    run = _Prepared(ALONG[name](dtype, outer, length, inner, config))
    return lambda operand, out: run([operand, out])


def added(dtype: DType, length: int, inner: int, config: Config = DEFAULT) -> Callable[..., None]:
    """A function that adds rows to those of a table that their keys name.

    Takes the rows ``(length, inner)``, the keys in ascending order, which row has each of them (both int64), and the
    table, which is written into. What has one key is added up before it is added to the table, in an order that
    depends on the sizes alone.
    """
    run = _Prepared(keyed(dtype, length, inner, config))
    return lambda rows, keys, order, table: run([rows, keys, order, table])


def launches_ptx(whole: Launches, cc: tuple[int, int]) -> str:
    """The assembly of launches for a compute capability; needs no card."""
    return "\n".join(assemble(c, cc) for c, _ in whole.codes)


__all__ = ["ALONG", "ALONG_DTYPES", "Run", "added", "along", "compiled", "empty", "ptx", "source"]
