"""A graph taken apart for jax: which equations jax evaluates, which NumPy does and why, and in which steps."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff.avals import Aval
from npdiff.backend.jax_equations import Lowering
from npdiff.backend.jax_rules import HOST, LACKING, ONLY_ON, ORDERED, RULES, by_name, ufunc
from npdiff.graph import Atom, Equation, Graph, Literal, Var

# What a jax array can hold, apart from what the processor lacks.
DTYPES = frozenset(np.dtype(c) for c in "?bBhHiIlLqQefdFD")
_GUARDS = ("guard_truth", "guard_equal")


@dataclass(frozen=True)
class HostStep:
    """An equation that NumPy evaluates, and why."""

    equation: Equation
    why: str


@dataclass(frozen=True)
class Segment:
    """Equations that become one jax function."""

    equations: list[Equation]
    inputs: list[Var]
    outputs: list[Var]


Step = HostStep | Segment


def dtype_on_device(a: Aval, float64: bool) -> Any:
    """The dtype in which a value lies on the device; a Python number makes do with what there is."""
    if float64 or not a.weak:
        return a.dtype
    return {"f": np.dtype(np.float32), "c": np.dtype(np.complex64)}.get(a.dtype.kind, a.dtype)


def _holds(a: Aval) -> bool:
    return a.dtype in DTYPES and a.dtype.isnative


def stays(eq: Equation, platform: str) -> str:
    """Why an equation is NumPy's from the outset; empty if jax may try. Known without jax."""
    prim, name = eq.prim, eq.prim.name
    if name in HOST:
        return HOST[name]
    if name in LACKING or name.startswith("scipy."):
        return "jax has no such function"
    if prim.ordered and name not in _GUARDS:
        return "it has an effect, and happens in order"
    if prim.dynamic:
        return "the size of its result depends on values"
    if not all(_holds(a.aval) for a in [*eq.inputs, *eq.outputs]):
        return "jax has no such dtype"
    if eq.outputs and all(a.aval.weak for a in [*eq.inputs, *eq.outputs]):
        return "Python computes with Python numbers"
    if name in ORDERED and any(a.aval.dtype.kind == "c" for a in eq.inputs):
        return "complex numbers have an order in NumPy only"
    if platform not in ONLY_ON.get(name, (platform,)):
        return f"jax has it on {', '.join(ONLY_ON[name])} only"
    return ""


def literal(jax: Any, a: Literal, float64: bool) -> Any:
    """A literal as a jax array; OverflowError where its dtype cannot hold it."""
    return jax.numpy.asarray(np.asarray(a.value, dtype_on_device(a.aval, float64)))


def apply(jax: Any, eq: Equation, args: Sequence[Any], checks: list[Any], float64: bool) -> Sequence[Any]:
    """The results of one equation on jax arrays; an exception if jax cannot give what NumPy would."""
    m = Lowering(jax, eq, checks)
    rule = RULES.get(eq.prim.name) or (ufunc if eq.prim.ufunc is not None else by_name)
    out = rule(m, *args, **eq.params)
    results = tuple(out) if eq.prim.multiple else (out,)
    if len(results) != len(eq.outputs):
        raise NotImplementedError(f"{len(results)} results instead of {len(eq.outputs)}")
    for r, v in zip(results, eq.outputs, strict=True):
        wanted = dtype_on_device(v.aval, float64)
        if r.shape != v.aval.shape or r.dtype != wanted:
            raise NotImplementedError(f"jax gives {r.dtype.name}{list(r.shape)}, NumPy {wanted.name}"
                                      f"{list(v.aval.shape)}")
    return results


def reasons(jax: Any, graph: Graph, platform: str, float64: bool) -> dict[int, str]:
    """The equations (by number) that NumPy evaluates, and why: found by evaluating the graph on shapes alone."""
    found = {k: why for k, eq in enumerate(graph.equations) if (why := stays(eq, platform))}
    sources = [v for v in [*graph.inputs, *graph.constants] if _holds(v.aval)]

    def shape_of(a: Aval) -> Any:
        return jax.ShapeDtypeStruct(a.shape, dtype_on_device(a, float64))

    def trial(*values: Any) -> Any:
        env: dict[Var, Any] = dict(zip(sources, values, strict=True))
        for k, eq in enumerate(graph.equations):
            checks: list[Any] = []
            if k not in found:
                try:
                    args = [literal(jax, a, float64) if isinstance(a, Literal) else env[a] for a in eq.inputs]
                    env.update(zip(eq.outputs, apply(jax, eq, args, checks, float64), strict=True))
                    continue
                except NotImplementedError as error:
                    found[k] = str(error)
                except Exception as error:
                    found[k] = f"jax refuses: {type(error).__name__}: {str(error).partition('. ')[0][:100]}"
            for v in eq.outputs:
                if _holds(v.aval):
                    env[v] = jax.numpy.zeros(v.aval.shape, dtype_on_device(v.aval, float64))
        return ()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jax.eval_shape(trial, *[shape_of(v.aval) for v in sources])
    return found


def schedule(graph: Graph, host: dict[int, str]) -> list[Step]:
    """As few segments as there can be: whatever is ready runs, by turns on the host and on the device.

    What is ordered keeps its order.
    """
    known: set[Atom] = {*graph.inputs, *graph.constants}
    left = list(range(len(graph.equations)))
    phases: list[tuple[bool, list[int]]] = []
    on_host = True
    while left:
        taken: list[int] = []
        held = False  # an ordered equation has to wait, and so does whatever is ordered behind it
        for k in left:
            eq = graph.equations[k]
            effect = k in host and eq.prim.ordered
            ready = all(isinstance(a, Literal) or a in known for a in eq.inputs)
            if (k in host) == on_host and ready and not (effect and held):
                taken.append(k)
                known.update(eq.outputs)
            elif effect:
                held = True
        if taken:
            phases.append((on_host, taken))
            gone = set(taken)
            left = [k for k in left if k not in gone]
        on_host = not on_host
    return _steps(graph, host, phases)


def _steps(graph: Graph, host: dict[int, str], phases: Sequence[tuple[bool, list[int]]]) -> list[Step]:
    last: dict[Atom, int] = dict.fromkeys(graph.outputs, len(phases))
    for n, (_, numbers) in enumerate(phases):
        for k in numbers:
            for a in graph.equations[k].inputs:
                last[a] = max(n, last.get(a, 0))
    steps: list[Step] = []
    for n, (on_host, numbers) in enumerate(phases):
        equations = [graph.equations[k] for k in numbers]
        if on_host:
            steps += [HostStep(eq, host[k]) for k, eq in zip(numbers, equations, strict=True)]
            continue
        made = dict.fromkeys(v for eq in equations for v in eq.outputs)
        read = dict.fromkeys(a for eq in equations for a in eq.inputs if isinstance(a, Var) and a not in made)
        steps.append(Segment(equations, list(read), [v for v in made if last.get(v, -1) > n]))
    return steps


__all__ = ["DTYPES", "HostStep", "Segment", "Step", "apply", "dtype_on_device", "literal", "reasons", "schedule",
           "stays"]
