"""Primitive, bind and Trace: the few ideas on which everything else stands.

A *primitive* is a pure operation that has rules. Every application of one goes through `bind`,
which looks for the newest *trace* among the operands and lets it say what the operation means
now: evaluate, push a tangent forward, record for the way back, add a batch axis, or stage into
a graph. A trace computes its own part with the same primitives on the values one level below,
so transforms nest in any order.

A tracked array is a handle with three slots: ``_trace`` (None for a constant), ``_value`` (the
primal, never mutated: an ndarray, a NumPy or Python number, or a handle of an older trace) and
``_node`` (what the trace keeps beside it). Traces are ordered by age: an inner transform starts
later than the one around it, so its number is higher and perturbations cannot be confused.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from npdiff.avals import Aval, aval_of
from npdiff.errors import LeakError, UnsupportedError, message

_levels = itertools.count(1)
_CLOSED = 1 << 62
_open_traces: dict[int, Trace] = {}

# In the place of a batch trace's node: each example has a Python number, which follows other operands (NEP 50).
NUMBER = object()

# NumPy function -> what npdiff does instead; filled by the rows in dispatch/.
overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
# NumPy ufunc -> its primitive; filled by the rows in dispatch/.
ufunc_primitives: dict[np.ufunc, Primitive] = {}
# NumPy ufunc -> its primitive on Python numbers, which stay Python numbers (NEP 50).
python_primitives: dict[np.ufunc, Primitive] = {}
# What array.py needs and dispatch/ provides: "getitem", "setitem", "ufunc", "operand" ...
services: dict[str, Callable[..., Any]] = {}
# While npdiff.debug_nans is on: what stands for the evaluation of a primitive on constants alone.
watch_constants: Callable[[Primitive], Callable[..., Any]] | None = None


class Handle:
    """The three slots every tracked array has; `array.DiffArray` gives them NumPy's behaviour."""

    __slots__ = ("__weakref__", "_node", "_trace", "_value")
    _trace: Trace | None
    _value: Any
    _node: Any

    if TYPE_CHECKING:  # what array.DiffArray adds, for code that only knows the base class
        def __getattr__(self, name: str) -> Any: ...
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]: ...

    def _sync(self) -> None:
        """Bring a view up to date with its base; a no-op for an array that owns its value."""


# array.py puts the real class here; core builds results with it but knows nothing of NumPy's face.
_new: Callable[[Any, Any, Any], Any] = None  # type: ignore[assignment]
_array_type: type = Handle


def set_array_type(kind: type) -> None:
    """Tell core which class results are wrapped in (called once, by array.py)."""
    global _new, _array_type
    _new = kind
    _array_type = kind


NOTHING, AVAL, VALUE = 0, 1, 2


class Primitive:
    """A pure operation and its rules.

    Attributes
    ----------
    name
        The NumPy name, or a name of our own where NumPy has no such function.
    call
        Evaluates on plain arrays; dispatches again when an operand is tracked.
    kind
        elementwise, linear, bilinear, nonlinear or nondifferentiable.
    jvp
        ``jvp(out, primals, tangents, **params)``: tangent of the output; a tangent may be None (zero).
    pull
        ``pull(ct, out, args, needed, params)``: cotangents of the operands, None where not needed.
        Without one, reverse mode transposes the linearised `jvp`.
    terms
        For elementwise primitives, the pullback in parts: ``term(ct, out, *args)`` for each operand, None where no
        derivative passes, `unchanged` where the cotangent does.
    back
        For elementwise primitives of one or two operands, what the way back of eager recording lives on: the terms as
        plain products, which make NaN of zero times infinity, and behind them `terms`.
    batch
        ``batch(size, args, batched, params)``: operands carry the batch axis in front where `batched`.
    saves
        For the output and each operand, what `pull` reads of it: `NOTHING`, its `AVAL` or its `VALUE`; the last
        entry stands for all further operands.
    alone
        For elementwise primitives of one or two operands, `saves` for each operand where only that one carries a
        derivative.
    multiple
        True when the result is a tuple.
    dynamic
        True when the output's shape depends on the operands' values (``x[mask]``).
    ordered
        True for a host call with an effect (a random draw, a guard): never dropped, merged or moved past another.
    total
        True if it has a result whatever the values of operands whose shapes and dtypes it takes. An equation that
        nobody reads is dropped only then: ``np.linalg.cholesky`` and ``x[i]`` must still raise. May also be a
        function ``total(equation, fixed)``, where `fixed` says which operands are constants of the graph.
    plain
        True if `call` takes ndarrays and handles only, and no other library's arrays (see `own_primitive`).
    """

    __slots__ = ("alone", "back", "batch", "call", "dynamic", "jvp", "kind", "multiple", "name", "ordered", "plain",
                 "pull", "saves", "terms", "total", "ufunc")

    def __init__(
        self,
        name: str,
        call: Callable[..., Any] | None = None,
        *,
        kind: str = "nonlinear",
        jvp: Callable[..., Any] | None = None,
        pull: Callable[..., Any] | None = None,
        batch: Callable[..., Any] | None = None,
        saves: tuple[int, ...] = (VALUE,),
        multiple: bool = False,
        ufunc: np.ufunc | None = None,
        dynamic: bool = False,
        ordered: bool = False,
        terms: tuple[Callable[..., Any] | None, ...] | None = None,
        back: tuple[Callable[..., Any] | None, ...] | None = None,
        total: bool | Callable[..., bool] | None = None,
        alone: Sequence[tuple[int, ...]] = (),
    ) -> None:
        self.name = name
        self.kind = kind
        self.jvp = jvp
        self.pull = pull
        self.batch = batch
        self.saves = saves
        self.alone = alone
        self.multiple = multiple
        self.ufunc = ufunc
        self.dynamic = dynamic
        self.ordered = ordered
        self.terms = terms
        self.back = back
        # A map by its kind, or a ufunc: nothing in it looks at values; of all others a row has to say so.
        self.total = total if total is not None else kind in ("elementwise", "linear", "bilinear") or ufunc is not None
        self.call: Callable[..., Any] = call if call is not None else self
        self.plain = False

    def __call__(self, *args: Any, **params: Any) -> Any:
        return bind(self, args, params)

    def __repr__(self) -> str:
        return f"Primitive({self.name})"

    def __reduce__(self) -> Any:
        return found_again, place_of(self)


def place_of(prim: Primitive) -> tuple[str, str, Any]:
    """Where npdiff holds a primitive: a module, a name in it, and the key if that is a table."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "npdiff":
            continue
        for attribute, held in vars(module).items():
            if held is prim:
                return name, attribute, None
            if isinstance(held, dict):
                for key, value in held.items():
                    if (value is prim or getattr(value, "prim", None) is prim) and isinstance(key, (str, np.ufunc)):
                        return name, attribute, key
    raise UnsupportedError(message(f"pickle: the operation {prim.name} belongs to this process (a rule or a graph of "
                                   "your own)", instead="pickle the function, and let the other process record it"))


def found_again(module: str, attribute: str, key: Any) -> Primitive:
    """The primitive that `place_of` described, in another process."""
    held: Any = getattr(importlib.import_module(module), attribute)
    if key is not None:
        held = held[key]
    return held if isinstance(held, Primitive) else held.prim  # type: ignore[no-any-return]


def own_primitive(name: str, impl: Callable[..., Any], **rules: Any) -> Primitive:
    """A primitive that NumPy has no name for: `impl` works on plain arrays only."""

    def call(*args: Any, **params: Any) -> Any:
        for a in args:
            if isinstance(a, Handle):
                return bind(prim, args, params)
        return impl(*args, **params)

    prim = Primitive(name, call, **rules)
    prim.plain = True
    return prim


class Trace:
    """What gives a primitive its meaning for the values that belong to one transform."""

    kind = "trace"
    batches = False
    foreign = False  # the values are arrays of another library (foreign.py)

    def __init__(self) -> None:
        self.level = next(_levels)
        _open_traces[self.level] = self

    def process(self, prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        """Apply `prim` where at least one operand belongs to this trace."""
        raise NotImplementedError

    def unary(self, prim: Primitive, a: Any) -> Any:
        """`process` of one operand without parameters: what plain ufunc calls come through."""
        return self.process(prim, (a,), {})

    def binary(self, prim: Primitive, a: Any, b: Any) -> Any:
        """`process` of two operands without parameters: what operators come through."""
        return self.process(prim, (a, b), {})

    def with_number(self, prim: Primitive, a: Any, b: float) -> Any:
        """`binary` of an array of this trace, on the left, and a Python float."""
        return self.binary(prim, a, b)

    def aval(self, value: Any) -> Aval:
        """The abstract value the user sees for a payload of this trace."""
        return aval_of(value)

    def ask(self, handle: Any, what: str) -> Any:
        """The payload to decide a branch or an index on; it carries no derivative."""
        raise NotImplementedError

    def take(self, handle: Any, what: str) -> Any:
        """The payload that plain Python will compute with, which may drop a derivative."""
        raise NotImplementedError

    def show(self, handle: Any) -> Any:
        """The payload to turn into text."""
        return handle._value

    def stay_open(self) -> None:
        """Live as long as the process, below every other trace (track-style recording)."""
        _open_traces.pop(self.level, None)
        self.level = 0

    def close(self) -> None:
        """The transform is over: any further use of its values is a leak."""
        _open_traces.pop(self.level, None)
        self.level = _CLOSED
        # Plain functions, not methods of self: a closed trace must not keep itself alive.
        self.process = _leaked  # type: ignore[method-assign]
        self.unary = self.binary = self.with_number = _leaked_operands  # type: ignore[method-assign, assignment]
        self.ask = self.take = _leaked_value  # type: ignore[method-assign]


_LEAK = "return the value from the transformed function (has_aux=True) instead of storing it outside"


def unchanged(ct: Any, *_: Any) -> Any:
    """The term of a partial derivative that is one: the cotangent itself."""
    return ct


def _leaked(prim: Primitive, args: Sequence[Any], params: Any = None) -> Any:
    gone = [a for a in args if isinstance(a, Handle) and a._trace is not None and a._trace.level == _CLOSED]
    kind = gone[0]._trace.kind if gone and gone[0]._trace is not None else "transform"
    raise LeakError(message(f"{prim.name}: an operand belongs to a {kind} transform that has already finished", *gone,
                            instead=_LEAK))


def _leaked_operands(prim: Primitive, *args: Any) -> Any:
    _leaked(prim, args)


def _leaked_value(handle: Any, what: str) -> Any:
    raise LeakError(message(f"{what}: the value belongs to a {handle._trace.kind} transform that has already finished",
                            handle, instead=_LEAK))


def open_traces() -> list[Trace]:
    """The transforms that are running now, oldest first (empty when npdiff is at rest)."""
    return [_open_traces[level] for level in sorted(_open_traces)]


def bind(prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
    """Apply a primitive: the newest trace among the operands decides what that means."""
    top = None
    level = -2
    tracked = False
    for a in args:
        if isinstance(a, Handle):
            tracked = True
            if type(a) is not _array_type:
                a._sync()
            t = a._trace
            if t is not None and t.level > level:
                top = t
                level = t.level
    if top is not None:
        return top.process(prim, args, params)
    call = prim.call if watch_constants is None else watch_constants(prim)
    if not tracked:
        if call is prim:
            raise UnsupportedError(message(f"{prim.name}: has no evaluation rule", *args, instead="report this"))
        return call(*args, **params)
    # Constants of a transform stay handles, so that tracked values can be written into them.
    out = call(*[a._value if isinstance(a, Handle) else a for a in args], **params)
    if prim.multiple:
        return tuple([_new(None, o, None) for o in out])
    return _new(None, out, None)


def wrap(trace: Trace | None, value: Any, node: Any) -> Any:
    """A new handle."""
    return _new(trace, value, node)


def constant(value: Any) -> Any:
    """A handle on a constant: recorded by nothing, but tracked values may be written into it."""
    return _new(None, value, None)


def lower(a: Any, trace: Trace) -> Any:
    """An operand as seen from below `trace`: its payload, a constant's array, or a snapshot of an older handle.

    A snapshot, because the user may write into the handle after it was recorded.
    """
    if isinstance(a, Handle):
        t = a._trace
        if t is trace or t is None:
            return a._value
        return _new(t, a._value, a._node)
    return a


def innermost(value: Any) -> Any:
    """The plain array below all traces (with the batch axes it has there)."""
    while isinstance(value, Handle):
        value._sync()
        value = value._value
    return value


def above_foreign(args: Sequence[Any]) -> bool:
    """True if a trace stands over an operand that does more than compute with arrays of another library."""
    return any([isinstance(a, Handle) and a._trace is not None and not a._trace.foreign for a in args])


def shape_of(value: Any) -> tuple[int, ...]:
    """Shape of an array, a handle or a Python number."""
    s = getattr(value, "shape", ())
    return s  # type: ignore[no-any-return]


def aval(value: Any) -> Aval:
    """The abstract value of anything a primitive accepts."""
    if isinstance(value, Handle):
        value._sync()
        t = value._trace
        inner = value._value
        below = aval(inner) if isinstance(inner, Handle) else aval_of(inner)
        return Aval(below.shape[1:], below.dtype, value._node is NUMBER) if t is not None and t.batches else below
    return aval_of(value)


def unsupported(name: str, why: str, *received: Any, instead: str) -> UnsupportedError:
    """The error for a NumPy function, or a use of one, that cannot be recorded."""
    return UnsupportedError(message(f"{name}: {why}", *received, instead=instead))


__all__ = [
    "AVAL", "NOTHING", "NUMBER", "VALUE", "Handle", "Primitive", "Trace", "above_foreign", "aval", "bind", "constant",
    "innermost", "lower", "open_traces", "overrides", "own_primitive", "python_primitives", "services",
    "set_array_type", "shape_of", "ufunc_primitives", "unchanged", "unsupported", "wrap",
]
