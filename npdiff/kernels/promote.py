"""Operands of products and solutions in the dtype of the result, as equations.

NumPy casts them inside its call; kernels of matrices take operands of one dtype.
"""

from __future__ import annotations

import numpy as np

from npdiff.avals import Aval
from npdiff.core import Primitive
from npdiff.graph import Atom, Equation, Graph, Var
from npdiff.kernels import views
from npdiff.kernels.matrices import find

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


__all__ = ["cast_p", "promote"]
