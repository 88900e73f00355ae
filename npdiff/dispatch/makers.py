"""Functions that make arrays, and what stands in for them in a transform: NumPy's dispatch never shows them to us.

What they make takes tracked values, and so do lists that they are given.
"""

from __future__ import annotations

import functools
import itertools
import operator
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.array import is_scalar, layout
from npdiff.avals import ndarray
from npdiff.core import Handle, constant, services
from npdiff.dispatch.capture import also_capture, called_by_user, handled, replacing, size
from npdiff.dispatch.creation import arange, assemble, full, holds_handle, kaiser, no_dtype
from npdiff.dispatch.declare import Row, add_row, found
from npdiff.dispatch.operands import phantom
from npdiff.dispatch.rules import Rule

_ndarray, _vectorize = ndarray, np.vectorize
_SIZES = "makes an array from sizes"
_CLASS = "is a class whose stand-in makes and takes tracked values"
_stand_ins: dict[str, Any] = {}


def creation(names: str, why: str = _SIZES) -> Callable[[Rule], Rule]:
    """Rows of functions that make arrays; the decorated code answers where the user's code calls them in a transform.

    It is given NumPy's function, and the arguments.
    """

    def enter(act: Rule) -> Rule:
        for name in names.split():
            func = found(name)
            add_row(Row(f"np.{name}", "creation" if why is _SIZES else "untracked", func, why=why))
            _stand_ins[name] = replacing(func, name, act)
        return act

    return enter


@creation("zeros ones empty eye identity tri indices frombuffer fromstring tril_indices triu_indices "
          "diag_indices hanning hamming blackman bartlett")
def _make(original: Any, *args: Any, **kwargs: Any) -> Any:
    """zeros, eye ...: sizes may be tracked integers; the result takes tracked values."""
    return handled(original(*[size(a) for a in args], **{k: size(v) for k, v in kwargs.items()}))


def _seen_as_array(obj: Any) -> Any:
    """An object of ours that NumPy would turn into an array (``x.flat``) as the tracked array it stands for."""
    return obj.__npdiff_array__() if hasattr(type(obj), "__npdiff_array__") else obj


@creation("array")
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


@creation("asarray asanyarray asarray_chkfinite")
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


@creation("require", why="asks about types")
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


creation("ascontiguousarray")(_as_contiguous("C"))
creation("asfortranarray")(_as_contiguous("F"))


@creation("full")
def _make_full(original: Any, shape: Any, fill_value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    if holds_handle(fill_value):
        return full(size(shape), fill_value, dtype)
    return handled(original(size(shape), fill_value, dtype, *args, **kwargs))


@creation("arange")
def _make_arange(original: Any, *args: Any, dtype: Any = None, **kwargs: Any) -> Any:
    args = tuple([size(a) for a in args])
    if any(isinstance(a, Handle) for a in args):
        return arange(*args, dtype=dtype)
    return handled(original(*args, dtype=dtype, **kwargs))


@creation("kaiser")
def _make_kaiser(original: Any, M: Any, beta: Any) -> Any:
    if not isinstance(beta, Handle):
        return handled(original(size(M), beta))
    return kaiser(int(size(M)), beta)


@creation("fromfunction")
def _from_function(_original: Any, function: Any, shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    return function(*[constant(places) for places in np.indices(size(shape), dtype=dtype)], **kwargs)


@creation("fromiter")
def _from_iterable(original: Any, iter: Any, dtype: Any, count: Any = -1, **kwargs: Any) -> Any:
    count = operator.index(count)
    items = list(iter if count < 0 else itertools.islice(iter, count))
    if not holds_handle(items):
        return handled(original(items, dtype, count, **kwargs))
    made = original([phantom(item) for item in items], dtype, count, **kwargs)  # NumPy's own errors
    return np.reshape(assemble(items, dtype), made.shape)


@creation("ndenumerate", why=_CLASS)
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


for _name, _class in (("ndarray", _NdarrayStandIn), ("vectorize", _Vectorize)):
    add_row(Row(f"np.{_name}", "untracked", found(_name), why=_CLASS))
    _stand_ins[_name] = _class
_stand_ins |= {"r_": _Joiner(np.r_), "c_": _Joiner(np.c_)}
also_capture(vars(np), _stand_ins)

__all__: list[str] = []
