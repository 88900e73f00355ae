"""Operands in the dtype in which an operation computes, as equations.

NumPy casts inside its calls; kernels of matrices take operands of one dtype, and half precision is added up in single.
"""

from __future__ import annotations

import numpy as np

from npdiff.avals import Aval
from npdiff.core import Primitive
from npdiff.graph import Atom, Equation, Graph, Var
from npdiff.kernels import views
from npdiff.kernels.classify import storable
from npdiff.kernels.expressions import HALF, SINGLE
from npdiff.kernels.matrices import find

# Reductions whose result may be of half precision.
REDUCED = frozenset(["sum", "prod", "max", "min"])

cast_p = Primitive("astype", lambda a, *, dtype: np.asarray(a).astype(dtype), kind="elementwise")


def _whole(a: Atom) -> tuple[Atom, views.View]:
    return a, views.whole(a.aval.shape)


def promote(graph: Graph) -> Graph:
    """The same graph, with operands cast where a kernel does the operation then."""
    equations: list[Equation] = []
    for eq in graph.equations:
        if len(eq.inputs) == 2 and len(eq.outputs) == 1:
            eq = _promoted(eq, equations)
        equations.append(eq)
    return Graph(graph.inputs, graph.constants, equations, graph.outputs)


def _promoted(eq: Equation, before: list[Equation]) -> Equation:
    dtype = eq.outputs[0].aval.dtype
    odd = {a: Var(Aval(a.aval.shape, dtype)) for a in eq.inputs
           if isinstance(a, Var) and a.aval.dtype != dtype and a.aval.dtype.kind in "iuf" and a.aval.dtype.isnative}
    if not odd or np.result_type(*[a.aval.dtype for a in eq.inputs]) != dtype:
        return eq
    inputs: list[Atom] = [odd.get(a, a) if isinstance(a, Var) else a for a in eq.inputs]
    uniform = Equation(eq.prim, inputs, eq.params, eq.outputs, eq.source, eq.regions)
    if find(uniform, _whole) is None:
        return eq
    before += [Equation(cast_p, [a], {"dtype": dtype}, [v], eq.source) for a, v in odd.items()]
    return uniform


def widen(graph: Graph) -> Graph:
    """The same graph, with reductions of half precision done in single precision and rounded once."""
    equations: list[Equation] = []
    for eq in graph.equations:
        if eq.prim.name in REDUCED and len(eq.outputs) == 1 and eq.outputs[0].aval.dtype == HALF and storable(
                eq.inputs[0].aval):
            a, out = eq.inputs[0], eq.outputs[0]
            wide, found = Var(Aval(a.aval.shape, SINGLE)), Var(Aval(out.aval.shape, SINGLE))
            params = {**eq.params, "dtype": SINGLE} if "dtype" in eq.params else eq.params
            equations += [Equation(cast_p, [a], {"dtype": SINGLE}, [wide], eq.source),
                          Equation(eq.prim, [wide], params, [found], eq.source)]
            eq = Equation(cast_p, [found], {"dtype": HALF}, [out], eq.source)
        equations.append(eq)
    return Graph(graph.inputs, graph.constants, equations, graph.outputs)


__all__ = ["cast_p", "promote", "widen"]
