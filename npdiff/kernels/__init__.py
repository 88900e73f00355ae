"""Graph to machine code for the CPU.

``compile_graph(graph)`` returns an `Executable`: chains of elementwise equations, the views
between them and the reductions behind them run as fused vector loops, products of matrices and what is
done to small ones as kernels of their own (`matrices`), everything else calls NumPy in the recorded order.
Values are NumPy's own, with five differences: sums are added up in another order, functions such as exp are
those of `vecmath`, matrices give NumPy's values within rounding, the sign of a zero may differ where maximum
or minimum meets two zeros, and a kernel emits no floating-point RuntimeWarning.
A multiplication and an addition of the graph are never contracted into one rounding.

The layers, each importing only from those before it: loop_ir, expressions, ufunc_rules, views, places, rows,
chunks, order, layouts, pieces, llvm_text, vecmath, llvm_ops, llvm_memory, render_rows, render_cpu, machine,
assembly, compile_cpu, matrices, triangles, classify, promote, extrema, simplify, factored, placements, gathers,
lower, absorb, merge, schedule, reuse, together, native, threads, executable.
runtime/ holds LLVM IR that is the same for every kernel.
"""

from __future__ import annotations

from npdiff.errors import GuardFailed
from npdiff.graph import Graph
from npdiff.kernels.executable import Executable
from npdiff.kernels.extrema import spelled_out
from npdiff.kernels.factored import factored_once
from npdiff.kernels.promote import promote, widen
from npdiff.kernels.schedule import HostStep, schedule
from npdiff.kernels.simplify import simplify
from npdiff.kernels.triangles import substitute


def compile_graph(graph: Graph) -> Executable:
    """Compile a graph for this CPU; its kernels are ready when this returns."""
    small = factored_once(simplify(spelled_out(promote(widen(substitute(graph))))))
    return Executable(small, schedule(small))


def interpret_graph(graph: Graph) -> Executable:
    """The graph as it stands, one NumPy call per equation: where compiling it failed."""
    return Executable(graph, [HostStep(eq) for eq in graph.equations])


__all__ = ["Executable", "GuardFailed", "compile_graph", "interpret_graph"]
