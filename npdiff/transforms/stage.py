"""Staging: run a function on real values and write down every primitive as an equation.

The recording is itself a valid run. Where Python asks for a value, a guard is recorded; where plain
code takes one out of our sight, the recording is marked as not replayable, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.array import DiffArray, ask, frozen, same_bytes, take
from npdiff.avals import ndarray
from npdiff.core import Handle, Primitive, Trace, aval, innermost, wrap
from npdiff.errors import GuardFailed, user_frame
from npdiff.graph import Atom, Equation, Graph, Literal, Var

# Bytes from which arrays of zeros are worth a look at all of their elements.
_LARGE = 1 << 20
_SCALARS = (bool, int, float, complex, np.generic)


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
    if not _same(ask(value, "jit"), expected):  # tracked where a derivative of the recording is made
        raise GuardFailed
    return ()


def _raises(*values: Any, error: type[Exception], prim: Primitive, params: dict[str, Any]) -> tuple[()]:
    try:
        prim.call(*values, **params)
    except error:
        return ()
    raise GuardFailed


guard_truth = Primitive("guard_truth", _truth, kind="nondifferentiable", multiple=True, ordered=True)
guard_equal = Primitive("guard_equal", _equal, kind="nondifferentiable", multiple=True, ordered=True)
# The user's code caught an error of this operation and went on: the recording holds while it is raised again.
guard_raises = Primitive("guard_raises", _raises, kind="nondifferentiable", multiple=True, ordered=True)


class _Operand:
    """Stands for a tracked argument of a host call."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


def is_value(value: Any) -> bool:
    """True for what a variable of a graph can hold: numeric arrays and numbers."""
    if isinstance(value, (ndarray, np.generic)):
        return value.dtype.kind in "biufc"
    return isinstance(value, (Handle, int, float, complex))


def _source() -> tuple[str, int] | None:
    frame = user_frame()
    return (frame.f_code.co_filename, frame.f_lineno) if frame is not None else None


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
    acted
        True if the run did something outside that a second run would do once more.
    effects
        True if random draws and prints belong to the graph; False where it runs any number of times for one call.
    """

    kind = "graph-recording"

    def __init__(self, keep_values: bool = False, effects: bool = False) -> None:
        super().__init__()
        self.keep_values = keep_values
        self.effects = effects
        self.equations: list[Equation] = []
        self.constants: dict[Var, Any] = {}
        self.blocked: list[str] = []
        self.acted = False
        self._known: dict[int, tuple[Any, Var]] = {}
        self._zeros: dict[tuple[tuple[int, ...], np.dtype[Any]], Var] = {}

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
        if known is not None and (type(a) is not ndarray or self._holds(known[1], a)):
            return known[1]
        if (type(a) is ndarray and a.nbytes >= _LARGE and a.dtype.kind in "biufc" and a.flags.c_contiguous
                and not a.view(np.uint8).any()):
            return self._zeros_like(a)
        v = self.var(a)
        # Plain arrays belong to the function: what it writes into one later is no part of what was read now.
        self.constants[v] = frozen(a) if type(a) is ndarray else a
        self._known[id(a)] = (a, v)  # keeps `a` alive, so that its id stays its own
        return v

    def _holds(self, v: Var, a: np.ndarray[Any, Any]) -> bool:
        """True if an array still is what it was when the constant was made of it."""
        kept = self.constants[v]
        return kept is a or (kept.shape == a.shape and kept.dtype == a.dtype and same_bytes(kept, a))

    def _zeros_like(self, a: np.ndarray[Any, Any]) -> Var:
        """One variable for all large arrays of zeros alike: gradients of slices begin with one each."""
        key = (a.shape, a.dtype)
        v = self._zeros.get(key)
        if v is None:
            v = self._zeros[key] = self.var(a)
            self.constants[v] = np.zeros(a.shape, a.dtype)
        return v

    def process(self, prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        inputs = [self.atom(a) for a in args]
        source = _source()
        try:
            out = prim.call(*[self._payload(a) for a in args], **params)
        except Exception as error:
            self._raised(error, prim, inputs, params, source)
            raise
        if prim.multiple:
            results = [DiffArray(self, o, self.var(o)) for o in out]
            self.equations.append(Equation(prim, inputs, params, [r._node for r in results], source))
            return tuple(results)
        result = DiffArray(self, out, self.var(out))
        self.equations.append(Equation(prim, inputs, params, [result._node], source))
        return result

    def _raised(self, error: Exception, prim: Primitive, inputs: Sequence[Atom], params: dict[str, Any],
                source: tuple[str, int] | None) -> None:
        """Note that an operation raised: if the code goes on from there, a replay holds while it raises again."""
        told = {"error": type(error), "prim": prim, "params": params}
        self.equations.append(Equation(guard_raises, inputs, told, [], source))

    def _payload(self, a: Any) -> Any:
        if isinstance(a, Handle):
            return a._value if a._trace is self or a._trace is None else wrap(a._trace, a._value, a._node)
        return a

    def ask(self, handle: Any, what: str) -> Any:
        value = handle._value
        plain = ask(value, what)  # a transform below may have no one value
        if what == "bool":
            self._guard(guard_truth, handle, bool(plain))
        else:
            self._guard(guard_equal, handle, plain)
        return value

    def take(self, handle: Any, what: str) -> Any:
        value = handle._value
        if what == "np.asarray":
            self.block(f"{what} took a plain array out of the recording")
        elif what == "setitem":
            self.block("it writes into an array that the recording does not see")
        else:
            self._guard(guard_equal, handle, take(value, what))
        return value

    def host_call(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a function with an effect (a random draw, a print) now, and at this point of every replay.

        Tracked arguments become operands; the result, if it is an array or a number, is a value of the graph.
        """
        operands: list[Any] = []

        def place(a: Any) -> Any:
            while isinstance(a, Handle) and a._trace is not None and a._trace is not self:
                a = a._value  # of a transform inside this recording
            if isinstance(a, Handle):
                operands.append(a)
                return _Operand(len(operands) - 1)
            return a

        leaves, structure = tree.flatten((tuple(args), kwargs))
        placed = [place(leaf) for leaf in leaves]

        def run(*values: Any) -> Any:
            filled = [values[a.number] if type(a) is _Operand else a for a in placed]
            new_args, new_kwargs = tree.unflatten(structure, filled)
            return function(*new_args, **new_kwargs)

        inputs = [self.atom(a) for a in operands]
        source = _source()
        try:
            out = run(*[innermost(self._payload(a)) for a in operands])
        except Exception as error:
            self._raised(error, Primitive(name, run, multiple=True), inputs, {}, source)
            raise
        if out is not None and not is_value(out):
            self.block(f"{name} gives {type(out).__name__}, which a graph cannot hold,")
        results = [DiffArray(self, out, self.var(out))] if is_value(out) else []
        # Another shape at a later call (a size that was an argument) is another recording.
        prim = Primitive(name, lambda *values: (run(*values),) if results else run(*values) or (), multiple=True,
                         kind="nondifferentiable", ordered=True, dynamic=True)
        self.equations.append(Equation(prim, inputs, {}, [r._node for r in results], source))
        return results[0] if results else out

    def show(self, handle: Any) -> Any:
        """The payload to turn into text, which then holds for this value only."""
        self._guard(guard_equal, handle, innermost(handle._value))
        return handle._value

    def _guard(self, prim: Primitive, handle: Any, expected: Any) -> None:
        last = self.equations[-1] if self.equations else None
        if last is not None and last.prim is prim and last.inputs == [handle._node]:
            return
        self.equations.append(Equation(prim, [handle._node], {"expected": expected}, [], _source()))

    def block(self, what: str) -> None:
        """Note why replaying this recording would not do what the function does."""
        source = _source()
        self.blocked.append(f"{what}" + (f" at {source[0]}:{source[1]}" if source else ""))

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


__all__ = ["StageTrace", "guard_equal", "guard_raises", "guard_truth", "result_value"]
