"""Staging: run a function on real values and write down every primitive as an equation.

The recording is itself a valid run. Where Python asks for a value, a guard is recorded; where plain
code takes one out of our sight, the recording is marked as not replayable, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.array import DiffArray
from npdiff.core import Handle, Primitive, Trace, aval, constant, innermost, wrap
from npdiff.errors import user_frame
from npdiff.graph import Atom, Equation, Graph, Literal, Var

_SCALARS = (bool, int, float, complex, np.generic)


class GuardFailed(Exception):
    """A replayed graph met a value for which Python would have gone another way."""


def _same(value: Any, expected: Any) -> bool:
    if type(value) is not type(expected):
        value, expected = np.asarray(value), np.asarray(expected)
    same = value == expected
    return bool(np.all(same)) or bool(np.all((value != value) & (expected != expected) | same))


def _truth(value: Any, *, expected: bool) -> tuple[()]:
    if bool(value) is not expected:
        raise GuardFailed
    return ()


def _equal(value: Any, *, expected: Any) -> tuple[()]:
    if not _same(value, expected):
        raise GuardFailed
    return ()


guard_truth = Primitive("guard_truth", _truth, kind="nondifferentiable", multiple=True, ordered=True)
guard_equal = Primitive("guard_equal", _equal, kind="nondifferentiable", multiple=True, ordered=True)


class StageTrace(Trace):
    """Evaluates and records.

    Attributes
    ----------
    equations
        What was recorded so far.
    constants
        Variables for arrays that were not made from the inputs.
    blocked
        Why the recording cannot be replayed; empty if it can.
    """

    kind = "graph-recording"

    def __init__(self, keep_values: bool = False) -> None:
        super().__init__()
        self.keep_values = keep_values
        self.equations: list[Equation] = []
        self.constants: dict[Var, Any] = {}
        self.blocked: list[str] = []
        self._known: dict[int, tuple[Any, Var]] = {}
        # Resolves a plain array that f closes over to an input of the graph; set by jit.
        self.resolve: Callable[[Any], Var | None] = lambda array: None

    def input(self, value: Any) -> DiffArray:
        """A new input of the graph."""
        return DiffArray(self, value, self.var(value))

    def var(self, value: Any) -> Var:
        """A new variable for a value."""
        return Var(aval(value), value if self.keep_values else None)

    def atom(self, a: Any) -> Atom:
        """The variable or literal that stands for an operand."""
        if isinstance(a, Handle):
            a._sync()
            if a._trace is self:
                return a._node  # type: ignore[no-any-return]
            a = a._value if a._trace is None else wrap(a._trace, a._value, a._node)
        if isinstance(a, _SCALARS) and not isinstance(a, Handle):
            return Literal(a)
        known = self._known.get(id(a))
        if known is not None:
            return known[1]
        v = self.resolve(a)
        if v is None:
            v = self.var(a)
            self.constants[v] = a
        self._known[id(a)] = (a, v)  # keeps `a` alive, so that its id stays its own
        return v

    def process(self, prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        inputs = [self.atom(a) for a in args]
        out = prim.call(*[self._payload(a) for a in args], **params)
        frame = user_frame()
        source = (frame.f_code.co_filename, frame.f_lineno) if frame is not None else None
        if prim.multiple:
            results = [DiffArray(self, o, self.var(o)) for o in out]
            self.equations.append(Equation(prim, inputs, params, [r._node for r in results], source))
            return tuple(results)
        result = DiffArray(self, out, self.var(out))
        self.equations.append(Equation(prim, inputs, params, [result._node], source))
        return result

    def _payload(self, a: Any) -> Any:
        if isinstance(a, Handle):
            return a._value if a._trace is self or a._trace is None else wrap(a._trace, a._value, a._node)
        return a

    def ask(self, handle: Any, what: str) -> Any:
        value = handle._value
        plain = innermost(value)
        if what == "bool":
            self._guard(guard_truth, handle, bool(plain))
        else:
            self._guard(guard_equal, handle, plain)
        return value

    def take(self, handle: Any, what: str) -> Any:
        value = handle._value
        if what == "np.asarray":
            self.block(what)
        else:
            self._guard(guard_equal, handle, innermost(value))
        return value

    def _guard(self, prim: Primitive, handle: Any, expected: Any) -> None:
        last = self.equations[-1] if self.equations else None
        if last is not None and last.prim is prim and last.inputs == [handle._node]:
            return
        frame = user_frame()
        source = (frame.f_code.co_filename, frame.f_lineno) if frame is not None else None
        self.equations.append(Equation(prim, [handle._node], {"expected": expected}, [], source))

    def block(self, what: str) -> None:
        """Note why replaying this recording would not do what the function does."""
        frame = user_frame()
        where = f" at {frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
        self.blocked.append(f"{what} took a plain value out of the recording{where}")

    def graph(self, inputs: Sequence[DiffArray], outputs: Sequence[Any]) -> Graph:
        """The finished graph."""
        outs = [self.atom(o) for o in outputs]
        return Graph([i._node for i in inputs], dict(self.constants), self.equations, outs)


def result_value(trace: Trace, value: Any) -> Any:
    """A result of a transformed function as the code around the transform sees it."""
    if isinstance(value, Handle):
        value._sync()
        if value._trace is trace or value._trace is None:
            return value._value
        return wrap(value._trace, value._value, value._node)
    return value


__all__ = ["GuardFailed", "StageTrace", "constant", "guard_equal", "guard_truth", "result_value"]
