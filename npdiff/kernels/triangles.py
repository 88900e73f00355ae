"""Systems whose matrix is triangular because it is a Cholesky factor: solved by substitution.

NumPy has no function for them, so code that has factored a matrix solves with np.linalg.solve, which factors again.
Cholesky factors have a positive diagonal: neither way is there an error.
"""

from __future__ import annotations

from npdiff import lapack
from npdiff.core import Primitive
from npdiff.graph import Atom, Equation, Graph, Var

solve_p = Primitive("solve_triangular", lapack.solve_triangular, total=True)
# What keeps the last two axes of a matrix where they are.
_KEEPING = frozenset(["astype", "copy", "broadcast_to"])


def _half_of(eq: Equation, lower: dict[Var, bool]) -> bool | None:
    """Whether the result is lower (upper) triangular; None if that is not known."""
    if eq.prim.name == "linalg.cholesky":
        return not eq.params.get("upper", False)
    a = eq.inputs[0] if len(eq.inputs) == 1 else None
    known = lower.get(a) if isinstance(a, Var) else None
    if known is None or a is None:
        return None
    n = a.aval.ndim
    if eq.prim.name == "transpose" and eq.params.get("axes", ())[-2:] == (n - 1, n - 2):
        return not known
    square = eq.outputs[0].aval.shape[-2:] == a.aval.shape[-2:]
    return known if eq.prim.name in _KEEPING and square else None


def substitute(graph: Graph) -> Graph:
    """The same graph, with systems of Cholesky factors solved by substitution."""
    lower: dict[Var, bool] = {}
    equations: list[Equation] = []
    for eq in graph.equations:
        if len(eq.outputs) == 1:
            half = _half_of(eq, lower)
            if half is not None:
                lower[eq.outputs[0]] = half
            elif eq.prim.name == "solve" and eq.inputs[0] in lower:
                inputs: list[Atom] = [*eq.inputs]
                params = {"trans": 0, "lower": lower[eq.inputs[0]], "unit": False}  # type: ignore[index]
                eq = Equation(solve_p, inputs, params, eq.outputs, eq.source)
        equations.append(eq)
    return Graph(graph.inputs, graph.constants, equations, graph.outputs)


__all__ = ["solve_p", "substitute"]
