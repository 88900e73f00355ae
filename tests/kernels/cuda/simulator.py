"""Runs graphs with their kernels in Numba's CUDA simulator, and everything else in NumPy."""

from __future__ import annotations

import sys

import numpy as np

from npdiff.graph import Literal
from npdiff.kernels import cuda
from npdiff.kernels.promote import widen
from npdiff.kernels.schedule import KernelStep, schedule
from npdiff.kernels.simplify import simplify

# Warps of four threads, two to a block, and a card that a hundred elements fill: several blocks, parts of reductions,
# vectors and rows of every kind occur in small arrays. The simulator needs milliseconds for each thread.
SMALL = cuda.Config(block=8, warp=4, threads=48, blocks=3, run=8, thread_row=4, warp_row=24)

# The simulator's threads wait for each other at every exchange, and each would hold the interpreter for 5 ms.
sys.setswitchinterval(1e-4)


def run(graph, args, config=SMALL):
    """The outputs of a graph."""
    assert cuda.simulating()
    graph = simplify(widen(graph))
    values = dict(zip(graph.inputs, args, strict=True)) | dict(graph.constants)

    def read(a):
        return a.value if isinstance(a, Literal) else values[a]

    for step in schedule(graph, matrices=False, gathers=True, renders=cuda.renders):
        if isinstance(step, KernelStep):
            outs = [np.empty(v.aval.shape, v.aval.dtype) for v in step.outputs]
            cuda.compiled(step.kernel, config)(
                [np.ascontiguousarray(np.asarray(values[v], v.aval.dtype)) for v in step.inputs], outs)
            values.update(zip(step.outputs, outs, strict=True))
            continue
        eq = step.equation
        made = eq.prim.call(*[read(a) for a in eq.inputs], **eq.params)
        values.update(zip(eq.outputs, made if eq.prim.multiple else [made], strict=True))
    return [np.asarray(read(a)) for a in graph.outputs]
