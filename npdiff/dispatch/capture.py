"""NumPy's creation functions while a transform runs.

``np.zeros(n)``, ``np.array([x, 1.0])``, ``ndarray(shape)``, ``np.r_`` and ``np.vectorize`` never
reach NumPy's dispatch protocols. While a transform runs, stand-ins for them sit in the numpy
namespace. A stand-in acts only in the context (thread, task) in which the transform was started and
is the original everywhere else; the last transform to end puts every original back.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from npdiff.array import is_scalar, layout
from npdiff.avals import ndarray
from npdiff.bytecode import calls_another
from npdiff.core import Handle, Trace, constant, overrides, services
from npdiff.dispatch.creation import arange, assemble, full, holds_handle, kaiser, no_dtype
from npdiff.dispatch.declare import found, rows
from npdiff.dispatch.optional import load_seen
from npdiff.errors import behind

_original: dict[str, Any] = {}
_lock = threading.Lock()
_users = 0
# The traces that run in this context, outermost first; empty: nothing is captured.
_running: ContextVar[tuple[Trace | None, ...]] = ContextVar("npdiff_running", default=())

_LIST_TYPES = frozenset([list, tuple])
_ndarray, _vectorize = ndarray, np.vectorize


# Code of these packages gets plain arrays: it works on plain values, and hands them to compiled code.
_LIBRARIES = frozenset(
    ["npdiff", "numpy", "scipy", "numba", "numba_cuda", "llvmlite", "sklearn", "matplotlib", "pandas", "jax", "cupy",
     "cupyx", "cupy_backends", "dask", "distributed", "sparse", "toolz"])


def active() -> bool:
    """True while a transform runs in this context."""
    return bool(_running.get())


def called_by_user(name: str = "") -> bool:
    """True if the user's code called the stand-in (of this name), and a transform runs in its context.

    Compiled code that the user's code called has no frame of its own, and cannot take a handle for an array.
    """
    if not _running.get():
        return False
    frame = sys._getframe(2)
    module = frame.f_globals.get("__name__") or ""
    if module.partition(".")[0] in _LIBRARIES and module != "npdiff.demo":
        return False
    return not (name and calls_another(frame, name))


def running_traces() -> tuple[Trace | None, ...]:
    """The traces that run in this context, outermost first."""
    return _running.get()


def fresh(value: Any) -> Any:
    """A new array as user code gets it: a handle while a transform runs, else the array itself."""
    return constant(value) if type(value) is _ndarray and active() else value


def handled(value: Any) -> Any:
    """Arrays in a result of NumPy as handles, into which tracked values can be written."""
    if type(value) is _ndarray and value.dtype.kind in "biufc":
        return constant(value)
    if isinstance(value, (tuple, list)):
        made = {id(v): handled(v) for v in value}  # np.diag_indices gives the same array for each axis
        return type(value)([made[id(v)] for v in value])
    return value


def replacing(original: Callable[..., Any], name: str, act: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is `original`, but ``act(original, ...)`` where the user's code calls it in a transform."""

    @functools.wraps(original)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        if not called_by_user(name):
            return original(*args, **kwargs)
        return act(original, *args, **kwargs)

    return stand_in


def _make(original: Any, *args: Any, **kwargs: Any) -> Any:
    """zeros, eye ...: sizes may be tracked integers; the result takes tracked values."""
    return handled(original(*[size(a) for a in args], **{k: size(v) for k, v in kwargs.items()}))


def _make_from(original: Any, *args: Any, **kwargs: Any) -> Any:
    """zeros_like, tile, diag ...: as their rows say, also for tracked values where NumPy's dispatch does not look."""
    made = overrides[original] if holds_handle([*args, *kwargs.values()]) else original
    return handled(made(*args, **kwargs))


def _of_tracked(original: Any, *args: Any, **kwargs: Any) -> Any:
    """as_strided: as its row says for tracked values, which NumPy's dispatch does not look for."""
    return (overrides[original] if holds_handle([*args, *kwargs.values()]) else original)(*args, **kwargs)


def _hearing(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    """sum, max, sort ...: as their rows say for lists that hold tracked values; looked for before anything else."""

    @functools.wraps(original)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        for a in args:
            if type(a) in _LIST_TYPES and called_by_user(name) and holds_handle(a):
                return overrides[original](*args, **kwargs)
        return original(*args, **kwargs)

    return stand_in


def size(a: Any) -> Any:
    """Tracked integers in a size or shape as plain ones."""
    if isinstance(a, Handle) and not a.shape and a.dtype.kind in "iu":  # type: ignore[attr-defined]
        return int(a)  # type: ignore[call-overload]
    return tuple([size(x) for x in a]) if type(a) is tuple else [size(x) for x in a] if type(a) is list else a


def _seen_as_array(obj: Any) -> Any:
    """An object of ours that NumPy would turn into an array (``x.flat``) as the tracked array it stands for."""
    return obj.__npdiff_array__() if hasattr(type(obj), "__npdiff_array__") else obj


def _make_array(original: Any, obj: Any, dtype: Any = None, **kwargs: Any) -> Any:
    obj = _seen_as_array(obj)
    if not isinstance(obj, Handle) and not holds_handle(obj):
        return handled(original(obj, dtype, **kwargs))
    if dtype is not None and np.dtype(dtype).kind not in "biufc":
        raise no_dtype(np.dtype(dtype), obj)
    ndmin = kwargs.get("ndmin", 0)
    made = assemble(obj, dtype)
    if isinstance(obj, Handle) and kwargs.get("copy", True):
        made = np.copy(made)
    while len(made.shape) < ndmin:
        made = np.expand_dims(made, 0)
    return made


def _as_array(original: Any, obj: Any, dtype: Any = None, order: Any = None, **kwargs: Any) -> Any:
    obj = _seen_as_array(obj)
    if isinstance(obj, Handle):
        made: Any = obj if dtype is None or np.dtype(dtype) == obj.dtype else assemble(obj, dtype)
        if is_scalar(made):
            made = np.copy(made)  # of a scalar, a 0-d array
        if kwargs.get("copy") is True:
            return np.copy(made, order=order or "K")
        return made if order not in ("C", "F") else _in_order(made, order)
    if holds_handle(obj):
        return assemble(obj, dtype)
    result = original(obj, dtype, order, **kwargs)
    return result if result is obj else handled(result)


def _in_order(made: Any, order: Any) -> Any:
    """The array itself if its memory is in this order, else a copy that is."""
    flags = layout(made).flags
    return made if (flags.c_contiguous if order == "C" else flags.f_contiguous) else np.copy(made, order=order)


def _require(original: Any, a: Any, dtype: Any = None, requirements: Any = None, **kwargs: Any) -> Any:
    if not isinstance(a, Handle) and not holds_handle(a):
        result = original(a, dtype, requirements, **kwargs)
        return result if result is a else handled(result)
    asked = {str(r)[0].upper() for r in requirements or ()}
    original(np.zeros(0), None, requirements, **kwargs)  # NumPy's own errors
    made: Any = _as_array(np.asarray, a, dtype, "F" if "F" in asked else "C" if "C" in asked else None)
    owned = made.base is None
    return np.copy(made) if ("W" in asked and not made._writable()) or ("O" in asked and not owned) else made


def _as_contiguous(order: str) -> Callable[..., Any]:
    def act(original: Any, obj: Any, dtype: Any = None, **kwargs: Any) -> Any:
        if not isinstance(obj, Handle) and not holds_handle(obj):
            result = original(obj, dtype, **kwargs)
            return result if result is obj else handled(result)
        made = _as_array(np.asarray, obj, dtype, order)
        return made if made.shape else np.reshape(made, (1,))

    return act


def _make_full(original: Any, shape: Any, fill_value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    if holds_handle(fill_value):
        return full(size(shape), fill_value, dtype)
    return handled(original(size(shape), fill_value, dtype, *args, **kwargs))


def _make_arange(original: Any, *args: Any, dtype: Any = None, **kwargs: Any) -> Any:
    args = tuple([size(a) for a in args])
    if any(isinstance(a, Handle) for a in args):
        return arange(*args, dtype=dtype)
    return handled(original(*args, dtype=dtype, **kwargs))


def _make_kaiser(original: Any, M: Any, beta: Any) -> Any:
    if not isinstance(beta, Handle):
        return handled(original(size(M), beta))
    return kaiser(int(size(M)), beta)


def _from_function(_original: Any, function: Any, shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    return function(*[constant(places) for places in np.indices(size(shape), dtype=dtype)], **kwargs)


def _from_iterable(original: Any, iter: Any, dtype: Any, count: Any = -1, **kwargs: Any) -> Any:
    count = operator.index(count)
    items = list(iter if count < 0 else itertools.islice(iter, count))
    if not holds_handle(items):
        return handled(original(items, dtype, count, **kwargs))
    original([0.0] * len(items), dtype, count, **kwargs)  # NumPy's own errors
    return assemble(items, dtype)


def _nd_enumerate(original: Any, arr: Any) -> Any:
    if not isinstance(arr, Handle) and not holds_handle(arr):
        return original(arr)
    array: Any = assemble(arr)
    return ((place, array[place]) for place in np.ndindex(array.shape))


# ---------------------------------------------------------------------- classes and index objects


class _NdarrayMeta(type):
    def __new__(mcs, name: str, bases: tuple[type, ...], members: dict[str, Any], **kwargs: Any) -> Any:
        if not bases:
            return super().__new__(mcs, name, bases, members)
        # A module imported while a transform runs subclasses ndarray (numpy.ma does): the real one.
        return types.new_class(name, tuple([_ndarray if type(b) is mcs else b for b in bases]), kwargs,
                               lambda space: space.update(members))

    def __instancecheck__(cls, obj: Any) -> bool:
        return isinstance(obj, _ndarray)

    def __subclasscheck__(cls, kind: Any) -> bool:
        return kind is cls or issubclass(kind, _ndarray)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if not called_by_user("ndarray"):
            return _ndarray(*args, **kwargs)
        made = _ndarray(*[size(a) for a in args], **kwargs)
        return constant(made) if made.base is None else made

    def __getattr__(cls, name: str) -> Any:
        attribute = getattr(_ndarray, name)
        if isinstance(attribute, type(_ndarray.sum)):
            # np.ndarray.sum(x), also of what only looks like one
            return lambda x, *args, **kwargs: (getattr(x, name) if isinstance(x, Handle) else functools.partial(
                attribute, x))(*args, **kwargs)
        return attribute

    def __eq__(cls, other: Any) -> bool:
        return other is cls or other is _ndarray

    def __hash__(cls) -> int:
        return hash(_ndarray)


class _NdarrayStandIn(metaclass=_NdarrayMeta):
    """``np.ndarray`` while a transform runs: makes handles, and is ndarray to isinstance and attributes."""


class _Joiner:
    """``np.r_`` and ``np.c_``: NumPy lays out numbered places, and the tracked values are put there."""

    def __init__(self, original: Any) -> None:
        self._joiner = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._joiner, name)

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: Any) -> Any:
        if not called_by_user():
            return self._joiner[key]
        items = key if isinstance(key, tuple) else (key,)
        if not holds_handle(list(items)):
            return handled(self._joiner[key])
        parts: list[Any] = []
        count = 0
        places: list[Any] = []
        for item in items:
            if isinstance(item, str):
                places.append(item)
                continue
            part = np.r_[item] if isinstance(item, slice) else assemble(item)
            shape = np.shape(part)
            size = int(np.prod(shape, dtype=int))
            numbers = count + np.arange(size).reshape(shape)
            places.append(_plain(numbers) if shape else count)
            parts.append(np.reshape(part, (-1,)))
            count += size
        laid = np.asarray(_plain(self._joiner[tuple(places)]))
        return np.concatenate(parts)[laid.astype(np.intp)]


def _plain(x: Any) -> Any:
    return x._value if isinstance(x, Handle) else x


class _Vectorize(_vectorize):  # type: ignore[valid-type, misc]
    """``np.vectorize`` that calls the function on tracked elements too."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not holds_handle([*args, *kwargs.values()]):
            return super().__call__(*args, **kwargs)
        if self.signature is not None:
            raise services["unsupported"]("np.vectorize", "with signature= cannot be recorded", *args,
                                          instead="use npdiff.vmap")
        names = list(kwargs)
        skip = {i for i in self.excluded if isinstance(i, int)}
        values = [assemble(a) if i not in skip else a for i, a in enumerate([*args, *kwargs.values()])]
        mapped = [i for i in range(len(values)) if i not in skip and (i < len(args) or names[i - len(args)]
                                                                      not in self.excluded)]
        spread = np.broadcast_arrays(*[values[i] for i in mapped])
        shape = spread[0].shape
        flat = [np.reshape(s, (-1,)) for s in spread]
        results = []
        for k in range(int(np.prod(shape, dtype=int))):
            now = list(values)
            for i, f in zip(mapped, flat, strict=True):
                now[i] = f[k]
            results.append(self.pyfunc(*now[: len(args)], **dict(zip(names, now[len(args):], strict=True))))
        if not results:
            raise ValueError("cannot call `vectorize` on size 0 inputs unless `otypes` is set")
        if isinstance(results[0], tuple):
            return tuple([np.reshape(assemble(list(column)), shape) for column in zip(*results, strict=True)])
        return np.reshape(assemble(results), shape)


# ---------------------------------------------------------------------- in and out

_MAKERS = ["zeros", "ones", "empty", "eye", "identity", "tri", "indices", "frombuffer", "fromstring",
           "tril_indices", "triu_indices", "diag_indices", "hanning", "hamming", "blackman", "bartlett"]
_SPECIAL: dict[str, Callable[..., Any]] = {
    "array": _make_array, "asarray": _as_array, "asanyarray": _as_array, "ascontiguousarray": _as_contiguous("C"),
    "asfortranarray": _as_contiguous("F"), "asarray_chkfinite": _as_array, "full": _make_full, "arange": _make_arange,
    "fromfunction": _from_function, "require": _require, "fromiter": _from_iterable, "ndenumerate": _nd_enumerate,
    "kaiser": _make_kaiser,
}
_stand_ins: dict[str, Any] = {}
# Namespaces in which names are replaced, with the originals and the stand-ins.
_namespaces: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [(vars(np), _original, _stand_ins)]


_by_original: dict[int, Any] = {}
_by_stand_in: dict[int, Any] = {}


def _know(originals: dict[str, Any], stand_ins: dict[str, Any]) -> None:
    _by_original.update((id(originals[name]), stand_in) for name, stand_in in stand_ins.items())
    _by_stand_in.update((id(stand_in), originals[name]) for name, stand_in in stand_ins.items())


def also_capture(namespace: dict[str, Any], stand_ins: dict[str, Any]) -> None:
    """Let these stand in for the names of another module while a transform runs."""
    with _lock:
        originals = {name: namespace[name] for name in stand_ins}
        _namespaces.append((namespace, originals, stand_ins))
        _know(originals, stand_ins)
        if _users:  # the module was imported by the function that is transformed
            namespace.update(stand_ins)


def stand_in_of(original: Any) -> Any:
    """What stands in for a function while a transform runs, for code that holds it by a name of its own; or None."""
    return _by_original.get(id(original))


def original_of(value: Any) -> Any:
    """What a value stands in for; the value itself if it is no stand-in."""
    return _by_stand_in.get(id(value), value)


def _prepare() -> None:
    acts = {**dict.fromkeys(_MAKERS, _make), **_SPECIAL}
    for name, act in acts.items():
        if hasattr(np, name):
            _original[name] = getattr(np, name)
            _stand_ins[name] = replacing(_original[name], name, act)
    for name, stand_in in (("ndarray", _NdarrayStandIn), ("r_", _Joiner(np.r_)), ("c_", _Joiner(np.c_)),
                           ("vectorize", _Vectorize)):
        _original[name] = getattr(np, name)
        _stand_ins[name] = stand_in
    _know(_original, _stand_ins)


_prepare()


def capture_rows() -> None:
    """Stand-ins for the functions whose rows ask for them; called once, when all rows are entered."""
    made: dict[str, dict[str, Any]] = {}
    for row in rows.values():
        if row.captured:
            module, _, name = row.name.rpartition(".")
            stand_in = _hearing(row.func, name) if row.captured == "lists" else replacing(
                row.func, name, _make_from if row.captured == "made" else _of_tracked)
            made.setdefault(module, {})[name] = stand_in
    for module, stand_ins in made.items():
        also_capture(vars(np if module == "np" else found(module[3:])), stand_ins)


def _install(stand_ins: bool) -> None:
    for namespace, originals, replacements in _namespaces:
        # One step each: other threads see all of the originals or all of the stand-ins.
        namespace.update(replacements if stand_ins else originals)


def enter(trace: Trace | None) -> None:
    """A transform starts in this context."""
    global _users
    load_seen()
    with _lock:
        _users += 1
        if _users == 1:
            _install(True)
    _running.set((*_running.get(), trace))


def leave() -> None:
    """The transform that started last in this context is over."""
    global _users
    _running.set(_running.get()[:-1])
    with _lock:
        _users -= 1
        if _users == 0:
            _install(False)


@contextlib.contextmanager
def record() -> Iterator[None]:
    """Let track-style code create arrays too: within, np.zeros, np.array and their kin hold tracked values.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> x = npdiff.track(3.0)
    >>> with npdiff.record():
    ...     y = np.array([x, x * x])
    >>> np.sum(y).backward()
    >>> float(x.grad)
    7.0
    """
    enter(None)
    try:
        yield
    except ValueError as error:
        hidden = behind(error)
        if hidden is None:
            raise
        raise hidden from error
    finally:
        leave()


services["enter_capture"] = enter
services["exit_capture"] = leave
services["fresh"] = fresh
