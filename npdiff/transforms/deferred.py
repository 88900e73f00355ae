"""Large arrays of a recording that are computed when somebody asks for them, and as often as somebody does.

A recording shows what an operation gives (its shape and dtype) long before anything needs the numbers. So the result
of a large elementwise operation is at first how to compute it. Where numbers are needed (a guard, a sum, a matrix
product, the result), the expression is evaluated in strips (strips.py), and nothing in between takes memory.
What has been computed is kept by those who use it; asked for again after that, it is computed again, and kept for
good from the `OFTEN`-th time on, so that the work grows with the length of the recording and no faster.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from npdiff.array import DiffArray
from npdiff.avals import Aval, ndarray
from npdiff.core import Handle, Primitive, shape_of
from npdiff.transforms.strips import Result, Step, evaluate

# Bytes from which a result is deferred.
LARGE = 1 << 20
# How often an expression is computed before it is kept for good (where it bounds what has to be computed again; any
# after twice as often).
OFTEN = 8
# How many times its own size the arrays may take that an expression keeps alive and nobody else may need.
AHEAD = 3

_QUIET = {"divide": "ignore", "over": "ignore", "under": "ignore", "invalid": "ignore"}
# The memory of arrays that nobody reads.
_NOTHING = bytes(64)
_KINDS = {"divide": "divide by zero", "over": "overflow", "under": "underflow", "invalid": "invalid value"}


class Deferred(DiffArray):
    """A constant below a recording: an ndarray in C order, computed when its `_value` is read."""

    __slots__ = ("_kept", "_promised", "_seen", "held", "operands", "params", "prim", "source", "times", "warned")

    _promised: Aval  # type: ignore[assignment]

    def __init__(self, prim: Primitive, operands: Sequence[Any], params: dict[str, Any], promised: Aval,
                 held: dict[int, Any], warned: frozenset[str], source: tuple[str, int] | None) -> None:
        self._trace = None
        self._node = None
        self.prim = prim
        self.operands: Sequence[Any] = operands
        self.params = params
        self._promised = promised
        self.held = held  # arrays that only recorded operations hold, by id
        self.warned = warned  # the floating-point errors that NumPy would warn of
        self.source = source
        self.times = 0
        self._kept: Any = None
        self._seen: Any = None

    @property
    def _value(self) -> Any:  # type: ignore[misc, override]
        found = self.found()
        return compute([self])[0] if found is None else found

    def found(self) -> Any:
        """The array, if it is in memory now."""
        return self._kept if self._kept is not None or self._seen is None else self._seen()

    def keep(self, array: Any) -> None:
        """Hold the array from now on, and not what it was made of."""
        self._kept = array
        self.operands = ()
        self.held = {}

    def _peek(self) -> Any:
        shape, dtype, _ = self._promised
        return ndarray(shape, dtype, _NOTHING, 0, (0,) * len(shape))

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # type: ignore[override]
        return ndarray

    size = property(lambda self: self._promised.size)  # type: ignore[assignment]
    shape = property(lambda self: self._promised.shape, DiffArray.shape.fset)  # type: ignore[assignment, attr-defined]
    dtype = property(lambda self: self._promised.dtype, DiffArray.dtype.fset)  # type: ignore[assignment, attr-defined]


class Deferring:
    """What one recording may put off.

    The function's own arguments and constants are there in any case; other arrays are alive for an expression alone.
    """

    def __init__(self) -> None:
        self._given: dict[int, Any] = {}
        self._filters = warnings.filters
        self._raising = _warnings_raise()

    def give(self, value: Any) -> None:
        """An argument or constant of the recording."""
        if type(value) is ndarray and value.nbytes >= LARGE:
            owner = _owner(value)
            self._given[id(owner)] = owner

    def defer(self, prim: Primitive, operands: Sequence[Any], params: dict[str, Any],
              source: tuple[str, int] | None) -> Any:
        """The deferred result of an operation on plain and deferred operands; None if it has to be computed now."""
        bound = 16  # bytes that a result can have at most
        for a in operands:
            if type(a) is ndarray or type(a) is Deferred:
                bound *= a.size
        if bound < LARGE or not _maps(prim, params):
            return None
        shapes = [shape_of(a) for a in operands]
        shape = max(shapes, key=len)
        if any([s != shape for s in shapes if s]):
            try:
                shape = np.broadcast_shapes(*shapes)
            except ValueError:
                return None  # NumPy's own error
        size = 1
        for n in shape:
            size *= n
        if size * 16 < LARGE:
            return None
        warned = self._warned()
        if warned is None:
            return None
        for a in operands:
            if type(a) is not Deferred and not _in_c_order(a, len(operands) == 1):
                return None
        dtype = _dtype(prim, operands, params)
        if dtype is None:
            return None
        if size * dtype.itemsize < LARGE and not any(type(a) is Deferred and a.shape == shape for a in operands):
            return None
        held = self._held(operands)
        return Deferred(prim, tuple(operands), params, Aval(shape, dtype), held, warned, source)

    def settle(self, out: Any) -> Any:
        """A new result; the array itself, if the expression would keep too many others alive."""
        if type(out) is Deferred and sum(a.nbytes for a in out.held.values()) > AHEAD * _nbytes(out):
            return out._value
        return out

    def _warned(self) -> frozenset[str] | None:
        """What NumPy warns of now; None if it does something else, or where the function looks after warnings."""
        now = np.geterr()
        if now == _QUIET:
            return frozenset()
        if self._raising or warnings.filters is not self._filters:
            return None
        if not {"warn", "ignore"}.issuperset(now.values()):
            return None
        return frozenset([_KINDS[kind] for kind, what in now.items() if what == "warn"])

    def _held(self, operands: Sequence[Any]) -> dict[int, Any]:
        held: dict[int, Any] = {}
        for a in operands:
            if type(a) is Deferred and a.found() is None:
                held.update(a.held)
            else:
                owner = _owner(a.found() if type(a) is Deferred else a)
                if type(owner) is ndarray and owner.nbytes >= LARGE and id(owner) not in self._given:
                    held[id(owner)] = owner
        return held


def _warnings_raise() -> bool:
    """True if a warning of NumPy's may be an error by the filters of now."""
    for action, text, category, module, line in warnings.filters:
        if issubclass(RuntimeWarning, category):
            if action == "error":
                return True
            if text is None and module is None and not line:
                return False  # it holds for all of them
    return False


def _owner(a: Any) -> Any:
    while type(a) is ndarray and type(a.base) is ndarray:
        a = a.base
    return a


def _nbytes(d: Deferred) -> int:
    return d._promised.size * d._promised.dtype.itemsize


def _maps(prim: Primitive, params: dict[str, Any]) -> bool:
    """True for what computes each element of a new array from the elements at its place."""
    if prim.multiple or prim.kind not in ("elementwise", "nondifferentiable"):
        return False
    if prim.ufunc is not None:
        return prim.call is prim.ufunc and not params and prim.ufunc.signature is None
    return prim.kind == "elementwise" and prim.plain and params.keys() <= {"dtype"}


def _in_c_order(a: Any, strictly: bool) -> bool:
    """True if NumPy lays a result of this operand out in C order; False also for what is no number."""
    if type(a) is not ndarray:
        return not isinstance(a, Handle) and isinstance(a, (bool, int, float, complex, np.generic))
    if a.dtype.kind not in "biufc":
        return False
    if a.flags.c_contiguous:
        return True
    if strictly:
        return False
    steps = [step for step, n in zip(a.strides, a.shape, strict=True) if n != 1 and step]
    return all(step > 0 for step in steps) and steps == sorted(steps, reverse=True)


def _dtype(prim: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """The dtype of a result, found on one element; None if that raises an error, which the real call shall raise."""
    few = [np.ones((1,) * len(a.shape), a.dtype) if type(a) in (ndarray, Deferred) else a for a in operands]
    if any(a.dtype.kind == "c" for a in few if type(a) is ndarray) and np.dtype(params.get("dtype", "c16")).kind != "c":
        return None  # NumPy warns of what is lost
    try:
        with np.errstate(all="ignore"):
            out = prim.call(*few, **params)
    except Exception:
        return None
    # (np.real gives a view)
    fresh = type(out) is ndarray and not any(np.may_share_memory(out, a) for a in few if type(a) is ndarray)
    return out.dtype if fresh and out.dtype.kind in "biufc" else None


# ---------------------------------------------------------------------- evaluation


def compute(wanted: Iterable[Deferred]) -> list[Any]:
    """The arrays; those of one shape in one pass."""
    roots = list(wanted)
    arrays: dict[int, Any] = {}
    for root in roots:
        found = root.found()
        if found is not None:
            arrays[id(root)] = found
    for root in roots:
        if id(root) not in arrays:
            alike = [r for r in roots if r.shape == root.shape and id(r) not in arrays]
            arrays.update(_pass(list({id(r): r for r in alike}.values())))
    return [arrays[id(root)] for root in roots]


def now(values: Sequence[Any]) -> Sequence[Any]:
    """The values, with arrays in the places of deferred ones."""
    found = [v for v in values if type(v) is Deferred]
    if not found:
        return values
    arrays = iter(compute(found))
    return [next(arrays) if type(v) is Deferred else v for v in values]


def hold(values: Iterable[Any]) -> None:
    """Compute all deferred ones among these values (or below them) together: they are needed, and soon."""
    found = [v for v in map(_deferred_in, values) if v is not None]
    for d, array in zip(found, compute(found), strict=True):
        d.keep(array)


def _deferred_in(value: Any) -> Deferred | None:
    while isinstance(value, Handle) and type(value) is not Deferred:
        value._sync()
        value = value._peek()
    return value if type(value) is Deferred else None


def _pass(roots: Sequence[Deferred]) -> dict[int, Any]:
    """Arrays of deferred ones of one shape, by id."""
    shape = roots[0].shape
    order, operands = _pending(roots)
    number = {id(d): k for k, d in enumerate(order)}
    again = [d.times for d in order]
    for d in order:
        d.times += 1
    wanted = {id(d) for d in roots}
    lasting = set()
    for d, given in zip(reversed(order), reversed(operands), strict=True):
        for a in given:
            if type(a) is Deferred and a.times >= OFTEN and (d.times < OFTEN or a.times >= 2 * OFTEN):
                lasting.add(id(a))
        if d.times >= OFTEN and id(d) in wanted:
            lasting.add(id(d))
    steps = [Step(d.prim.call, [Result(number[id(a)]) if type(a) is Deferred else a for a in given], d.params,
                  d._promised) for d, given in zip(order, operands, strict=True)]
    chosen = [k for k, d in enumerate(order) if id(d) in wanted or id(d) in lasting]
    arrays, met = evaluate(shape, steps, chosen)
    for k, array in zip(chosen, arrays, strict=True):
        d = order[k]
        d._seen = weakref.ref(array)
        if id(d) in lasting:
            d.keep(array)
    for k, kind in sorted(met):
        if not again[k] and kind in order[k].warned:
            _warn(order[k], kind)
    return {id(order[k]): array for k, array in zip(chosen, arrays, strict=True)}


def _pending(roots: Sequence[Deferred]) -> tuple[list[Deferred], list[list[Any]]]:
    """What has to be computed for the roots, operands first, and the operands of each: arrays if they are there."""
    shape = roots[0].shape
    order: list[Deferred] = []
    operands: list[list[Any]] = []
    ready: dict[int, list[Any]] = {}
    done: set[int] = set()
    there: dict[int, Any] = {}
    waiting = list(reversed(roots))
    while waiting:
        d = waiting[-1]
        if id(d) in done:
            waiting.pop()
            continue
        given = ready.get(id(d))
        if given is None:
            given = []
            for a in d.operands:
                if type(a) is Deferred:
                    array = there.get(id(a))
                    if array is None:
                        array = a.found() if a.shape == shape else a._value
                    if array is not None:
                        there[id(a)] = a = array
                given.append(a)
            ready[id(d)] = given
            before = [a for a in given if type(a) is Deferred and id(a) not in done]
            if before:
                waiting += before
                continue
        waiting.pop()
        done.add(id(d))
        order.append(d)
        operands.append(given)
    return order, operands


def _warn(d: Deferred, kind: str) -> None:
    """NumPy's warning, where the operation stands."""
    name = d.prim.ufunc.__name__ if d.prim.ufunc is not None else "cast" if "dtype" in d.params else "multiply"
    file, line = d.source or (__file__, 1)
    warnings.warn_explicit(f"{kind} encountered in {name}", RuntimeWarning, file, line, registry=_said)


_said: dict[Any, Any] = {}

__all__ = ["Deferred", "Deferring", "compute", "hold", "now"]
