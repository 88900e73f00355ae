"""Kernels that pick elements by arrays of integers stay inside their arrays; whether NumPy would raise is checked.

The check is a part of the graph: comparisons and one reduction, fused into the kernel that picks, and a guard, which is
looked at with the others when the call is over.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.avals import Aval
from npdiff.core import Primitive
from npdiff.dispatch.declare import rows
from npdiff.dispatch.reductions import all_p
from npdiff.graph import Atom, Equation, Graph, Literal, Var
from npdiff.kernels.gathers import gather, limits
from npdiff.transforms.stage import guard_truth

_BOOL = np.dtype(bool)


def _prim(ufunc: str) -> Primitive:
    prim = rows[f"np.{ufunc}"].prim
    assert prim is not None, "a ufunc has a primitive"
    return prim


def checked(graph: Graph) -> Graph:
    """The graph, with guards at its end for whatever integers it picks elements by; known ones were right."""
    added: list[Equation] = []

    def made(prim: Primitive, shape: tuple[int, ...], *inputs: Atom, **params: Any) -> Var:
        out = Var(Aval(shape, _BOOL))
        added.append(Equation(prim, list(inputs), params, [out]))
        return out

    asked: set[tuple[Var, int]] = set()
    for eq in graph.equations:
        if gather(eq) is None:
            continue
        for k, n in limits(eq):
            if k in graph.constants or (k, n) in asked:
                continue
            asked.add((k, n))
            limit = np.iinfo(k.aval.dtype)  # beyond it, nothing can be
            tests = [made(_prim(name), k.aval.shape, k, Literal(edge))
                     for name, edge in (("less", n), ("greater_equal", -n)) if limit.min < edge <= limit.max]
            if not tests:
                continue
            inside = tests[0] if len(tests) == 1 else made(_prim("logical_and"), k.aval.shape, *tests)
            if k.aval.shape:
                inside = made(all_p, (), inside, axis=None, keepdims=False)
            added.append(Equation(guard_truth, [inside], {"expected": True}, []))
    return Graph(graph.inputs, graph.constants, [*graph.equations, *added], graph.outputs) if added else graph


__all__ = ["checked"]
