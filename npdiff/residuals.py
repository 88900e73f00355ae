"""Which values of a forward pass its backward pass takes over instead of computing them again.

The program of a graph's cotangents begins by computing the graph once more. What is cheap there is fused into
the backward kernels and costs less than keeping it; what is dear (a matrix product, a decomposition, exp
over a large array) is kept: the forward program returns it too, and the backward program has it as an input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from npdiff.graph import Atom, Equation, Graph, Literal, Var, droppable
from npdiff.kernels.classify import rule_of

# Everything else is dear, except what only looks at its operand in another way, or moves it once.
_LOOKS = frozenset("reshape transpose swapaxes moveaxis expand_dims squeeze broadcast_to ravel getitem astype flip "
                   "real imag diagonal constant copy".split())


def _dear(eq: Equation) -> bool:
    if eq.prim.kind == "elementwise":
        small = any(isinstance(a, Literal) and a.value in (-1, 2, 3) for a in eq.inputs)
        rule = rule_of(eq.prim.name, eq.inputs[0].aval.dtype.kind)
        # Vector math takes longer than writing the result and reading it again; what kernels do not know, far longer.
        return (rule.math if rule else eq.prim.ufunc is not None) and not (small and eq.prim.name == "power")
    return eq.prim.name not in _LOOKS


def _key(eq: Equation, known: dict[Var, Any]) -> Any:
    """What an equation computes, given what its operands are; None if that is not known of them all."""
    inputs: list[Any] = []
    for a in eq.inputs:
        if isinstance(a, Literal):
            inputs.append((type(a.value), repr(a.value)))
        elif a in known:
            inputs.append(known[a])
        else:
            return None
    # Parameters are compared as objects: evaluating a graph hands them on.
    return eq.prim, tuple(inputs), tuple([(name, id(value)) for name, value in sorted(eq.params.items())])


def matched(graph: Graph, derived: Graph) -> dict[Var, Var]:
    """For variables of the derived graph that repeat the graph: the graph's own.

    The derived graph's first inputs are the graph's.
    """
    held = {id(c): v for v, c in graph.constants.items()}
    known: dict[Var, Any] = {v: v for v in graph.inputs}
    table: dict[Any, Equation] = {}
    for v in graph.constants:
        known[v] = v
    for eq in graph.equations:
        known.update((v, v) for v in eq.outputs)
    for eq in graph.equations:
        if not eq.prim.ordered:
            table.setdefault(_key(eq, known), eq)
    pairs: dict[Var, Var] = dict(zip(derived.inputs, graph.inputs, strict=False))
    pairs.update((v, held[id(c)]) for v, c in derived.constants.items() if id(c) in held)
    for eq in derived.equations:
        same = table.get(_key(eq, pairs)) if not eq.prim.ordered else None
        if same is not None:
            pairs.update(zip(eq.outputs, same.outputs, strict=True))
    return pairs


def _walk(graph: Graph, derived: Graph, available: Sequence[Var] | None) -> tuple[list[Var], dict[Var, Var]]:
    """Variables of the graph that the derived one shall take over, and where: derived variable -> the graph's.

    Of those in `available`, if given; else of all that are dear.
    """
    pairs = matched(graph, derived)
    makes = {v: eq for eq in derived.equations for v in eq.outputs}
    taken: dict[Var, Var] = {}
    order: dict[Var, None] = {}
    seen: set[Var] = set()
    waiting: list[Atom] = [*derived.outputs]
    for eq in derived.equations:
        if not droppable(eq, derived.constants) and not _passed(eq, pairs):
            waiting += eq.inputs
    while waiting:
        v = waiting.pop()
        if not isinstance(v, Var) or v in seen or v not in makes:
            continue
        seen.add(v)
        eq = makes[v]
        own = pairs.get(v)
        if own is not None and _dear(eq) and (available is None or own in available):
            taken[v] = own
            order[own] = None
        else:
            waiting += eq.inputs
    return list(order), taken


def _passed(eq: Equation, pairs: dict[Var, Var]) -> bool:
    """Whether the forward pass has done this already on the same values: a guard, what may raise."""
    if eq.prim.ordered:
        return eq.prim.name.startswith("guard") and all(a in pairs for a in eq.inputs if isinstance(a, Var))
    return bool(eq.outputs) and all(v in pairs for v in eq.outputs)


def residuals(graph: Graph, derived: Graph) -> list[Var]:
    """Variables of the graph to keep for the derived one."""
    return _walk(graph, derived, None)[0]


def keeping(graph: Graph, kept: Sequence[Var]) -> Graph:
    """The graph with these among its outputs, behind those it has."""
    more = [v for v in kept if v not in graph.outputs]
    return Graph(graph.inputs, graph.constants, graph.equations, [*graph.outputs, *more])


def taking(graph: Graph, derived: Graph, kept: Sequence[Var]) -> Graph:
    """The derived graph with the values of `kept` as further inputs, in this order."""
    if not kept:
        return derived
    _, taken = _walk(graph, derived, kept)
    pairs = matched(graph, derived)
    new = {own: Var(own.aval) for own in kept}

    def read(a: Atom) -> Atom:
        return new[taken[a]] if isinstance(a, Var) and a in taken else a

    outputs = [read(a) for a in derived.outputs]
    live = {a for a in outputs if isinstance(a, Var)}
    equations: list[Equation] = []
    for old in reversed(derived.equations):
        wanted = any(v in live for v in old.outputs)
        if wanted or not (droppable(old, derived.constants) or _passed(old, pairs)):
            eq = Equation(old.prim, [read(a) for a in old.inputs], old.params, old.outputs, old.source, old.regions)
            live.update(a for a in eq.inputs if isinstance(a, Var))
            equations.append(eq)
    constants = {v: c for v, c in derived.constants.items() if v in live}
    return Graph([*derived.inputs, *new.values()], constants, equations[::-1], outputs)


__all__ = ["keeping", "matched", "residuals", "taking"]
