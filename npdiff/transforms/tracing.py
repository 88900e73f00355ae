"""Graphs for people: npdiff.make_graph and npdiff.print_trace."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from npdiff import tree
from npdiff.graph import Graph, Var, namer, prune, show_equation, show_value
from npdiff.transforms.run import is_array_like, own, running, strip
from npdiff.transforms.stage import StageTrace


def _record(f: Callable[..., Any], args: Any, kwargs: Any, keep_values: bool) -> tuple[Any, Graph, StageTrace]:
    leaves, structure = tree.flatten((args, kwargs))
    trace = StageTrace(keep_values, effects=True)
    with running(trace):
        staged = [trace.input(own(leaf)) if is_array_like(leaf) else None for leaf in leaves]
        call = [s if s is not None else leaf for s, leaf in zip(staged, leaves, strict=True)]
        new_args, new_kwargs = tree.unflatten(structure, call)
        out = f(*new_args, **new_kwargs)
        outputs = [leaf for leaf in tree.leaves(out) if is_array_like(leaf)]
        graph = trace.graph([s for s in staged if s is not None], outputs)
        return strip(trace, out), graph, trace


def make_graph(f: Callable[..., Any]) -> Callable[..., Graph]:
    """The graph of primitives that a call of f runs; printing it shows one typed equation per line.

    Parameters
    ----------
    f
        Any function of arrays and numbers (in containers if need be), also one made by grad, vmap or jvp.

    Returns
    -------
    A function of f's arguments returning a Graph. Python control flow is recorded as it went for these arguments,
    with a guard wherever a value decided it.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> graph = npdiff.make_graph(lambda x: np.sin(x) * 2)(1.0)
    >>> [eq.prim.name for eq in graph.equations]
    ['sin', 'multiply']
    """

    def wrapped(*args: Any, **kwargs: Any) -> Graph:
        return prune(_record(f, args, kwargs, False)[1])

    return wrapped


def print_trace(f: Callable[..., Any], file: TextIO | None = None) -> Callable[..., Any]:
    """Run f and print each operation on a line: what was computed, from what, its value and the user's line.

    Parameters
    ----------
    f
        Any function, also one made by grad, vmap or jvp.
    file
        Where to print; standard output if None.

    Returns
    -------
    A function of f's arguments that returns what f returns.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> _ = npdiff.print_trace(lambda x: np.sin(x) * 2)(0.5)  # doctest: +ELLIPSIS
    a = input 0               0.5
    b = sin a                 0.479426  ...
    c = multiply b, 2         0.958851  ...
    return c
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        out, graph, trace = _record(f, args, kwargs, True)
        print(_lines(graph), file=file or sys.stdout)
        trace.equations.clear()
        return out

    return wrapped


def _lines(graph: Graph) -> str:
    name = namer()
    rows: list[tuple[str, str, str]] = []
    for k, v in enumerate(graph.inputs):
        rows.append((f"{name(v)} = input {k}", show_value(v.value), ""))
    for v, c in graph.constants.items():
        rows.append((f"{name(v)} = constant", show_value(c), ""))
    for eq in graph.equations:
        left = ", ".join(name(v) for v in eq.outputs)
        text = f"{left} = {show_equation(eq, name)}" if left else show_equation(eq, name)
        value = ", ".join(show_value(v.value) for v in eq.outputs)
        where = f"{os.path.basename(eq.source[0])}:{eq.source[1]}" if eq.source else ""
        rows.append((text, value, where))
    wide = max(min(max((len(r[0]) for r in rows), default=0), 48), 24)
    wide_value = min(max((len(r[1]) for r in rows), default=0), 40)
    lines = []
    for text, value, where in rows:
        line = f"{text.ljust(wide)}  {value.ljust(wide_value)}" + (f"  {where}" if where else "")
        lines.append(line.rstrip())
    lines.append("return " + ", ".join(name(a) if isinstance(a, Var) else repr(a) for a in graph.outputs))
    return "\n".join(lines)


__all__ = ["make_graph", "print_trace"]
