"""One LU factorisation for all that is asked of a matrix: systems with it or its transpose, inverse, determinant.

NumPy factors anew in each of its functions. A matrix that one of them alone reads stays NumPy's, and so do stacks.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from npdiff import lapack
from npdiff.avals import Aval
from npdiff.core import Primitive
from npdiff.graph import Atom, Equation, Graph, Var

# Smaller matrices are factored in less time than it takes to call a routine twice.
LEAST = 64
factor_p = Primitive("factor", lapack.factor, multiple=True, total=True)
# For each primitive that factors a matrix, the one that is handed the factors.
READERS = {
    "solve": Primitive("solve_factored", lapack.solve_factored),
    "linalg.inv": Primitive("inv_factored", lapack.inv_factored),
    "linalg.det": Primitive("det_factored", lapack.det_factored, total=True),
    "linalg.slogdet": Primitive("slogdet_factored", lapack.slogdet_factored, multiple=True, total=True),
}


def factored_once(graph: Graph) -> Graph:
    """The same graph, with each matrix factored once that several equations would factor."""
    # For each equation that factors a matrix, which one, and whether it is the transposed one.
    found: dict[int, tuple[Var, bool]] = {}
    turned: dict[Atom, Var] = {}
    for i, eq in enumerate(graph.equations):
        a = eq.inputs[0] if eq.inputs else None
        if not isinstance(a, Var):
            continue
        if eq.prim.name == "transpose" and eq.params.get("axes") == (1, 0):
            turned[eq.outputs[0]] = a
        elif _factors(eq, a.aval):
            found[i] = (turned[a], True) if a in turned else (a, False)
    count = Counter(a for a, _ in found.values())
    factors: dict[Var, list[Var]] = {}
    equations: list[Equation] = []
    for i, eq in enumerate(graph.equations):
        a, trans = found.get(i, (None, False))
        if a is None or count[a] < 2:
            equations.append(eq)
            continue
        if a not in factors:
            n = a.aval.shape[0]
            factors[a] = [Var(Aval((n, n), a.aval.dtype)), Var(Aval((n,), np.dtype(np.int64)))]
            equations.append(Equation(factor_p, [a], {}, factors[a], eq.source))
        params = {"trans": trans} if eq.prim.name in ("solve", "linalg.inv") else {}
        equations.append(Equation(READERS[eq.prim.name], [*factors[a], *eq.inputs[1:]], params, eq.outputs, eq.source))
    return Graph(graph.inputs, graph.constants, equations, graph.outputs)


def _factors(eq: Equation, a: Aval) -> bool:
    """Whether an equation factors its first operand, one matrix that is not small, with NumPy's LAPACK."""
    if eq.prim.name not in READERS or eq.params or eq.regions or a.ndim != 2 or a.shape[0] < LEAST:
        return False
    if a.weak or a.dtype.kind != "f" or not all(lapack.address(name, a.dtype) for name in ("getrf", "getrs")):
        return False
    return all(out.aval.dtype == a.dtype for out in eq.outputs) and all(b.aval.ndim == 2 for b in eq.inputs)


__all__ = ["READERS", "factor_p", "factored_once"]
