"""npdiff.debug_nans: name the operation that first made a NaN or an infinity.

While it is on, the methods through which traces apply primitives are others: they hand on primitives whose rules
check what they give. While it is off, every method is the original, so nothing is paid for it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff import core
from npdiff.array import DiffArray
from npdiff.avals import ndarray
from npdiff.core import Handle, Primitive, Trace, services
from npdiff.errors import ArgumentError, NonFiniteError, describe, message, user_line
from npdiff.transforms import derivatives, track
from npdiff.transforms.jvp import JvpTrace
from npdiff.transforms.reverse import Node, ReverseTrace, cast_cotangent, parents_of, transposed_jvp, unbroadcast
from npdiff.transforms.stage import StageTrace
from npdiff.transforms.vmap import BatchTrace, one_by_one

_BACKWARD, _FORWARD = "backward pass", "forward-mode pass"


@dataclass(frozen=True)
class Origin:
    """An operation of the user's code: NumPy function, line, operands, and the passes that led on from there."""

    function: str
    line: str
    received: tuple[Any, ...]
    passes: tuple[str, ...] = ()

    def then(self, *passes: str) -> Origin:
        """The origin of what a rule of this operation does."""
        return Origin(self.function, self.line, self.received, (*passes, *self.passes))


# Whether infinities count, where debug_nans is on; the operation whose rule runs; the NumPy function that was called.
_infinities: ContextVar[bool | None] = ContextVar("npdiff_infinities", default=None)
_rule: ContextVar[Origin | None] = ContextVar("npdiff_rule", default=None)
_function: ContextVar[str] = ContextVar("npdiff_function", default="")


def watching() -> bool:
    """True where debug_nans is on."""
    return _infinities.get() is not None


# ---------------------------------------------------------------------- what is wrong with a value


@dataclass(frozen=True)
class Flaw:
    """The first place where a result holds what no operand held: its value there, and in which derivative of it."""

    value: str
    place: tuple[int, ...]
    passes: tuple[str, ...]


def _parts(value: Any, passes: tuple[str, ...] = ()) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The floating-point arrays below all traces: the value itself, and the tangents beside it."""
    if isinstance(value, Handle):
        value._sync()
        yield from _parts(value._value, passes)
        if isinstance(value._trace, JvpTrace):
            yield from _parts(value._node, (_FORWARD, *passes))
    elif isinstance(value, (ndarray, np.generic, float, complex)):
        plain = np.asarray(value)
        if plain.dtype.kind in "fc":
            yield plain, passes


def _flaw(out: Any, operands: Sequence[Any], by_place: bool, infs: bool) -> Flaw | None:
    """What an operation is to be blamed for; with `by_place`, operands of the result's shape explain its places."""
    for found, passes in _parts(out):
        if np.isfinite(found).all():
            continue
        before = [v for operand in operands for v, _ in _parts(operand)]

        def new(bad: Any, explains: Callable[[Any], Any], before: Any = before, shape: Any = found.shape) -> Any:
            for v in before:
                bad = bad & ~(explains(v) if by_place and v.shape in ((), shape) else explains(v).any())
            return bad

        # NaN is handed on from NaN, an infinity from anything that is not finite.
        bad = new(np.isnan(found), np.isnan)
        if infs:
            bad = bad | new(np.isinf(found), lambda v: ~np.isfinite(v))
        if bad.any():
            place = tuple([int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape)])
            return Flaw("nan" if np.isnan(found[place]) else "inf", place, passes)
    return None


def _batch_axes(value: Any) -> int:
    count = 0
    while isinstance(value, Handle):
        count += value._trace is not None and value._trace.batches
        value = value._value
    return count


def _at(flaw: Flaw, batch_axes: int) -> str:
    """``, first at index (2,) of example 0``."""
    inside = flaw.place[batch_axes:]
    words = [f"at index {inside}"] if inside else []
    words += [("of" if words or n else "in") + f" example {k}" for n, k in enumerate(flaw.place[:batch_axes][::-1])]
    return ", first " + " ".join(words) if words else ""


# ---------------------------------------------------------------------- primitives that check

_RESULT = ("keep the operands where the function is finite (np.where on the operand, before the function), or call it "
           "outside npdiff.debug_nans() if the value is meant")
_DERIVATIVE = ("keep the operands where the derivative is finite: np.where on the operand, before the function (on the "
               "result it comes too late)")


def _name(prim: Primitive) -> str:
    return f"np.{prim.name}" if prim.ufunc is not None or hasattr(np, prim.name.partition(".")[0]) else prim.name


class _Watch:
    """One operation of the user's code, and what its error says."""

    __slots__ = ("infs", "origin", "prim")

    def __init__(self, prim: Primitive, operands: Sequence[Any]) -> None:
        self.prim = prim
        self.infs = bool(_infinities.get())
        self.origin = _rule.get() or Origin(_function.get() or _name(prim), user_line(),
                                            tuple([_Text(describe(a)) for a in operands]))

    def check(self, what: str, value: Any, given: Sequence[Any], by_place: bool, passes: tuple[str, ...],
              instead: str, batch_axes: int = 0) -> None:
        """Raise NonFiniteError if this operation made a value from `given` that is not finite."""
        if _rule.get() is not None:
            return  # a step inside a rule may be infinite on the way: what the rule gives is checked
        flaw = _flaw(value, given, by_place, self.infs)
        if flaw is None:
            return
        origin = self.origin.then(*flaw.passes, *passes)
        step = "" if _name(self.prim) == origin.function else f", in its step {_name(self.prim)}"
        where = origin.line + (", in the " + " of the ".join(origin.passes) if origin.passes else "")
        raise NonFiniteError(message(
            f"{origin.function}: {flaw.value} in {what}{step}{_at(flaw, batch_axes + _batch_axes(value))}",
            *origin.received, at=where, instead=instead))

    def result(self, out: Any, operands: Sequence[Any], params: dict[str, Any], batch_axes: int = 0) -> Any:
        """Check what the primitive evaluated to."""
        for o in out if self.prim.multiple else (out,):
            self.check("its result", o, [*operands, *params.values()], self.prim.kind == "elementwise", (), _RESULT,
                       batch_axes)
        return out

    def quietly(self) -> Any:
        """What raises here needs no warning of NumPy's beforehand."""
        return np.errstate(all="ignore") if self.infs else np.errstate(invalid="ignore")

    @contextlib.contextmanager
    def rule(self, *passes: str) -> Iterator[None]:
        """While a rule of the operation runs, what it does belongs to the operation."""
        token = _rule.set(self.origin.then(*passes))
        try:
            yield
        finally:
            _rule.reset(token)


class _Text:
    """Stands for an operand in an error: its description, and nothing that would keep it in memory."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def _npdiff_describe(self) -> str:
        return self.text


class _Checked(Primitive):
    """A primitive made by `_checked`."""

    __slots__ = ()


def _fitted(ct: Any, node: Node) -> Any:
    """A cotangent as its operand gets it: its sum over broadcast axes and its cast belong to the operation, too."""
    return cast_cotangent(ct if ct.shape == node[1] else unbroadcast(ct, node[1]), node[2])


def _checked(prim: Primitive, operands: Sequence[Any]) -> Primitive:
    """The same primitive, with rules that check what they give."""
    watch = _Watch(prim, operands)

    def call(*args: Any, **params: Any) -> Any:
        with watch.quietly():
            out = prim.call(*args, **params)
        return watch.result(out, args, params)

    def jvp(out: Any, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        rule: Any = prim.jvp
        with watch.rule(_FORWARD):
            dots = rule(out, primals, tangents, **params)
        for t in dots if prim.multiple else (dots,):
            watch.check("the tangent of its result", t, tangents, False, (_FORWARD,), _DERIVATIVE)
        return dots

    def pull(ct: Any, out: Any, args: Sequence[Any], parents: Sequence[Node | None], params: dict[str, Any]) -> Any:
        given = ct if prim.multiple else (ct,)
        for c in given:
            watch.check("the cotangent of its result, summed over its uses", c, (), False, (_BACKWARD,), _DERIVATIVE)
        with watch.rule(_BACKWARD):
            if prim.terms is None:
                found = (prim.pull or transposed_jvp(prim))(ct, out, args, parents, params)
            else:
                found = [term(ct, out, *args) if p and term else None
                         for p, term in zip(parents, prim.terms, strict=True)]
            found = [None if p is None or c is None else _fitted(c, p) for p, c in zip(parents, found, strict=False)]
        for k, c in enumerate(found):
            watch.check(f"the cotangent of operand {k}" if len(found) > 1 else "the cotangent of its operand", c, given,
                        False, (_BACKWARD,), _DERIVATIVE)
        return found

    def batch(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        with watch.rule(), watch.quietly():
            out = (prim.batch or one_by_one(prim))(size, args, batched, params)
        return watch.result(out, args, params, 1)

    return _Checked(prim.name, call, kind=prim.kind, jvp=prim.jvp and jvp, pull=pull, batch=batch, saves=prim.saves,
                     multiple=prim.multiple, ufunc=prim.ufunc, dynamic=prim.dynamic, ordered=prim.ordered)


# ---------------------------------------------------------------------- while it is on

Method = Callable[..., Any]
# Functions that are others while debug_nans is on: class or module, name, original, what stands in.
_swaps: list[tuple[Any, str, Method, Method]] = []
_lock = threading.Lock()
_users = 0


def while_watching(kind: Any, name: str) -> Callable[[Callable[[Method], Method]], Callable[[Method], Method]]:
    """Give a class or module another function while debug_nans is on: the decorated one makes it from the original.

    Where debug_nans is off (in another thread), the other method still has to do what the original does.
    """

    def enter(make: Callable[[Method], Method]) -> Callable[[Method], Method]:
        original = kind.__dict__[name]
        instead = make(original)

        def method(*args: Any, **kwargs: Any) -> Any:
            return (instead if watching() else original)(*args, **kwargs)

        _swaps.append((kind, name, original, method))
        return make

    return enter


@while_watching(ReverseTrace, "process")
@while_watching(JvpTrace, "process")
@while_watching(BatchTrace, "process")
def _process_checked(original: Method) -> Method:
    def process(self: Trace, prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        return original(self, _checked(prim, args), args, params)

    return process


@while_watching(ReverseTrace, "unary")
@while_watching(ReverseTrace, "binary")
@while_watching(ReverseTrace, "with_number")
def _by_process(_original: Method) -> Method:
    def method(self: Trace, prim: Primitive, *operands: Any) -> Any:
        return self.process(prim, operands, {})

    return method


@while_watching(StageTrace, "process")
def _stage_then_check(original: Method) -> Method:
    # A graph holds the primitives themselves.
    def process(self: Trace, prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        watch = _Watch(prim, args)
        with watch.quietly():
            out = original(self, prim, args, params)
        return watch.result(out, args, params)

    return process


@while_watching(derivatives, "cotangents")
@while_watching(track, "cotangents")
def _only_what_was_seen(original: Method) -> Method:
    def cotangents(outputs: Sequence[tuple[Node, Any]], wanted: Sequence[Node]) -> Any:
        stack = [node for node, _ in outputs]
        seen: set[int] = set()
        while stack:
            node = stack.pop()
            rule = node[3]
            if type(rule) is tuple or (isinstance(rule, Primitive) and not isinstance(rule, _Checked)):
                raise ArgumentError(message(
                    "debug_nans: the value was computed before it was on, so its derivatives cannot be checked",
                    instead="compute the value inside `with npdiff.debug_nans():`, too"))
            seen.add(node[0])
            stack += [p for p in parents_of(node) if p is not None and p[0] not in seen]
        return original(outputs, wanted)

    return cotangents


@while_watching(DiffArray, "__array_function__")
def _note_function(original: Method) -> Method:
    def array_function(self: Any, func: Any, *rest: Any) -> Any:
        if _function.get():
            return original(self, func, *rest)
        token = _function.set(services["numpy_name"](func))
        try:
            return original(self, func, *rest)
        finally:
            _function.reset(token)

    return array_function


def _constants(prim: Primitive) -> Method:
    if prim.call is prim or not watching():
        return prim.call

    def call(*args: Any, **params: Any) -> Any:
        return _checked(prim, args).call(*args, **params)

    return call


def _swap(on: bool) -> None:
    for kind, name, original, instead in _swaps:
        setattr(kind, name, instead if on else original)
    core.watch_constants = _constants if on else None


@contextlib.contextmanager
def _watching(infs: bool) -> Iterator[None]:
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _swap(True)
    token = _infinities.set(infs)
    try:
        yield
    finally:
        _infinities.reset(token)
        with _lock:
            _users -= 1
            if _users == 0:
                _swap(False)


def debug_nans(f: Any = None, *, infs: bool = True) -> Any:
    """While it is on, the first operation that makes a NaN or an infinity raises, in any pass of any transform.

    What an operation is handed on does not count: only what its operands did not hold. Jitted and checkpointed
    functions run operation by operation. Code on arrays that no transform tracks is plain NumPy, which has
    ``np.errstate(all="raise")`` for this.

    Parameters
    ----------
    f
        A function, when used as a decorator (``@npdiff.debug_nans`` or ``@npdiff.debug_nans(infs=False)``).
    infs
        Whether infinities count too; False where they are meant, as in ``np.log(0.0)`` of a probability.

    Returns
    -------
    A context manager, or the decorated function. It holds for the thread or task it is used in, and for derivatives
    of what was computed inside, whenever they are taken.

    Raises
    ------
    NonFiniteError
        Inside: the NumPy function, its operands, the first index, and the line of your code that called it; for a
        derivative, the line of the operation whose derivative it is, and the pass.
    ArgumentError
        If `f` is not a function.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> def norm(x):
    ...     return np.sqrt(np.sum(x * x))
    >>> with npdiff.debug_nans():
    ...     npdiff.grad(norm)(np.zeros(3))  # doctest: +ELLIPSIS, +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    npdiff.errors.NonFiniteError: np.sqrt: inf in the cotangent of its operand
      received: DiffArray float64
      at: <doctest ...>:2, in the backward pass
      ...
    """
    if f is None:
        return _watching(infs)
    if not callable(f):
        raise ArgumentError(message("debug_nans: the argument must be a function", f,
                                    instead="write `with npdiff.debug_nans():`, or decorate a function with it"))
    return _watching(infs)(f)


__all__ = ["debug_nans", "watching", "while_watching"]
