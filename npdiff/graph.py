"""Recorded programs: typed variables, single-assignment equations, and graphs of them.

A graph is a value: nothing in it has side effects except equations of *ordered* primitives
(random draws, guards), which keep their order among each other. An equation may hold *regions*,
graphs of its own, which is where loops and branches live.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any

import numpy as np

from npdiff.avals import Aval, aval_of, ndarray
from npdiff.core import Handle, Primitive, aval, innermost
from npdiff.errors import GraphError

_ids = itertools.count()


class Var:
    """A value computed once; two variables are the same only if they are the same object."""

    __slots__ = ("aval", "id", "value")

    def __init__(self, aval: Aval, value: Any = None) -> None:
        self.id = next(_ids)
        self.aval = aval
        self.value = value  # kept only for printing traces

    def __repr__(self) -> str:
        return f"v{self.id}:{self.aval!r}"

    def __reduce__(self) -> Any:
        return Var, (self.aval,)  # with a number of its own where it arrives


class Literal:
    """A Python or NumPy scalar written into an equation."""

    __slots__ = ("aval", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.aval = aval_of(value)

    def __repr__(self) -> str:
        return repr(self.value) if self.aval.weak else f"{self.value!s}:{self.aval.dtype.name}"


Atom = Var | Literal


class Slot:
    """Stands in an index for an array that is an operand of the primitive."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"#{self.number}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slot) and other.number == self.number

    def __hash__(self) -> int:
        return hash(self.number)


class Equation:
    """``outputs = prim(*inputs, **params)``; `source` is the user's (file, line)."""

    __slots__ = ("inputs", "outputs", "params", "prim", "regions", "source")

    def __init__(
        self,
        prim: Primitive,
        inputs: Sequence[Atom],
        params: dict[str, Any],
        outputs: Sequence[Var],
        source: tuple[str, int] | None = None,
        regions: tuple[Graph, ...] = (),
    ) -> None:
        self.prim = prim
        self.inputs = list(inputs)
        self.params = params
        self.outputs = list(outputs)
        self.source = source
        self.regions = regions


class Graph:
    """A function as data.

    Attributes
    ----------
    inputs
        Variables bound by the caller.
    constants
        Variables bound to fixed arrays, read when the graph runs.
    equations
        In an order in which every variable is defined before it is used.
    outputs
        Variables or literals.
    """

    __slots__ = ("constants", "equations", "inputs", "outputs")

    def __init__(
        self,
        inputs: Sequence[Var],
        constants: dict[Var, Any],
        equations: Sequence[Equation],
        outputs: Sequence[Atom],
    ) -> None:
        self.inputs = list(inputs)
        self.constants = constants
        self.equations = list(equations)
        self.outputs = list(outputs)

    def __repr__(self) -> str:
        return pretty(self)

    def __call__(self, *args: Any) -> list[Any]:
        """Evaluate with the operands' own meaning: plain arrays compute, tracked ones are recorded again."""
        return evaluate(self, args)


def evaluate(graph: Graph, args: Sequence[Any]) -> list[Any]:
    """Run a graph one equation after another, on whatever the primitives accept."""
    env: dict[Var, Any] = dict(graph.constants)
    env.update(zip(graph.inputs, args, strict=True))

    def read(a: Atom) -> Any:
        return a.value if type(a) is Literal else env[a]  # type: ignore[index]

    last = last_uses(graph)
    for i, eq in enumerate(graph.equations):
        out = eq.prim.call(*[read(a) for a in eq.inputs], **eq.params)
        if eq.prim.multiple:
            env.update(zip(eq.outputs, out, strict=True))
        elif eq.outputs:
            env[eq.outputs[0]] = out
        for v in last.get(i, ()):
            env.pop(v, None)
    return [read(a) for a in graph.outputs]


def last_uses(graph: Graph) -> dict[int, list[Var]]:
    """For each equation index, the variables no later equation (nor the output) reads."""
    seen: set[Var] = {a for a in graph.outputs if isinstance(a, Var)}
    out: dict[int, list[Var]] = {}
    for i in range(len(graph.equations) - 1, -1, -1):
        eq = graph.equations[i]
        for a in [*eq.inputs, *eq.outputs]:
            if isinstance(a, Var) and a not in seen:
                seen.add(a)
                out.setdefault(i, []).append(a)
    return out


def droppable(eq: Equation, constants: Container[Var]) -> bool:
    """True if an equation does nothing but make its results: no effect, no error or shape that depends on values."""
    prim = eq.prim
    if prim.ordered or prim.dynamic:
        return False
    if isinstance(prim.total, bool):
        return prim.total
    return prim.total(eq, [isinstance(a, Literal) or a in constants for a in eq.inputs])


def prune(graph: Graph) -> Graph:
    """Drop equations whose results nobody reads, where nothing else would be missed."""
    live: set[Var] = {a for a in graph.outputs if isinstance(a, Var)}
    kept: list[Equation] = []
    for eq in reversed(graph.equations):
        if any(v in live for v in eq.outputs) or not droppable(eq, graph.constants):
            kept.append(eq)
            live.update(a for a in eq.inputs if isinstance(a, Var))
    constants = {v: c for v, c in graph.constants.items() if v in live}
    return Graph(graph.inputs, constants, kept[::-1], graph.outputs)


def verify(graph: Graph) -> None:
    """Raise GraphError unless every variable is defined exactly once and before its use."""
    defined: set[Var] = set()

    def define(v: Var, where: str) -> None:
        if v in defined:
            raise GraphError(f"graph: {v!r} is defined twice ({where})")
        defined.add(v)

    for v in graph.inputs:
        define(v, "as an input")
    for v, c in graph.constants.items():
        define(v, "as a constant")
        if aval(c)[:2] != v.aval[:2]:
            raise GraphError(f"graph: constant {v!r} holds {aval(c)!r}")
    for eq in graph.equations:
        for a in eq.inputs:
            if isinstance(a, Var) and a not in defined:
                raise GraphError(f"graph: {eq.prim.name} reads {a!r} before it is defined")
        for v in eq.outputs:
            define(v, f"by {eq.prim.name}")
        for region in eq.regions:
            verify(region)
    for a in graph.outputs:
        if isinstance(a, Var) and a not in defined:
            raise GraphError(f"graph: output {a!r} is never defined")


def letters() -> Iterator[str]:
    """a, b, ..., z, aa, ab, ..."""
    for n in itertools.count(1):
        for t in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=n):
            yield "".join(t)


def namer() -> Callable[[Atom], str]:
    """A function that gives each variable a short name, in order of first use."""
    names: dict[Var, str] = {}
    fresh = letters()

    def name(a: Atom) -> str:
        if isinstance(a, Literal):
            return repr(a)
        if a not in names:
            names[a] = next(fresh)
        return names[a]

    return name


def show_param(value: Any) -> str:
    """A parameter as a reader wants to see it."""
    if isinstance(value, ndarray):
        return f"ndarray {value.dtype}{list(value.shape)}"
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, slice):
        text = ":".join("" if v is None else str(v) for v in (value.start, value.stop))
        return text if value.step is None else f"{text}:{value.step}"
    if isinstance(value, tuple):
        inside = ", ".join(show_param(v) for v in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if value is Ellipsis:
        return "..."
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return repr(value)


def show_equation(eq: Equation, name: Callable[[Atom], str]) -> str:
    """One line without the outputs: ``sum a, axis=0``."""
    args = [name(a) for a in eq.inputs]
    args += [f"{k}={show_param(v)}" for k, v in eq.params.items()]
    return f"{eq.prim.name} {', '.join(args)}".rstrip()


def _typed(a: Atom, name: Callable[[Atom], str]) -> str:
    return f"{name(a)}:{a.aval!r}" if isinstance(a, Var) else name(a)


def pretty(graph: Graph, indent: str = "") -> str:
    """The graph as text, one equation per line, with types and the user's line."""
    name = namer()
    head = ", ".join(_typed(v, name) for v in graph.inputs)
    lines = [f"{indent}graph({head})"]
    lines += [f"{indent}  {_typed(v, name)} = constant" for v in graph.constants]
    rows = []
    for eq in graph.equations:
        left = ", ".join(_typed(v, name) for v in eq.outputs)
        text = f"{left} = {show_equation(eq, name)}" if left else show_equation(eq, name)
        rows.append((text, f"{eq.source[0]}:{eq.source[1]}" if eq.source else "", eq.regions))
    width = min(max((len(r[0]) for r in rows), default=0), 60)
    for text, where, regions in rows:
        lines.append(f"{indent}  {text.ljust(width)}  # {where}" if where else f"{indent}  {text}")
        lines += [pretty(r, indent + "    ") for r in regions]
    lines.append(f"{indent}  return {', '.join(name(a) for a in graph.outputs)}")
    return "\n".join(lines)


def show_value(value: Any) -> str:
    """A value on one line, short enough to read."""
    v = innermost(value) if isinstance(value, Handle) else value
    if isinstance(v, ndarray):
        if v.size > 6:
            span = f" in [{v.min():.4g}, {v.max():.4g}]" if v.dtype.kind in "iuf" else ""
            return f"{v.dtype}{list(v.shape)}{span}"
        return np.array2string(v, precision=4, separator=", ").replace("\n", "")
    if isinstance(v, (np.floating, float)):
        return f"{float(v):.6g}"
    return str(v)
