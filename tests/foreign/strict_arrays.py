"""An array class as strict as a device's: it joins NumPy's protocols, and never gives its numbers away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

import npdiff


class Brought(AssertionError):
    """Something asked a strict array for its numbers."""


def held(a: Any) -> Any:
    """The ndarray inside; ndarrays with axes beside strict arrays are refused, as a device's library does."""
    if isinstance(a, (list, tuple)):
        return type(a)([held(x) for x in a])
    if type(a) is np.ndarray:
        raise Brought("a NumPy array met a strict one")
    return a._held if isinstance(a, Strict) else a


def wrapped(kind: type, a: Any) -> Any:
    """Results as strict arrays, 0-d ones too."""
    if isinstance(a, (list, tuple)):
        return tuple([wrapped(kind, x) for x in a])
    return kind(np.asarray(a)) if isinstance(a, (np.ndarray, np.generic)) else a


class Strict(NDArrayOperatorsMixin):
    """Holds an ndarray and does by it what NumPy's functions ask."""

    lacks: frozenset[str] = frozenset()  # NumPy's functions that the library does not have

    def __init__(self, a: Any) -> None:
        self._held = np.array(a)

    shape = property(lambda self: self._held.shape)
    dtype = property(lambda self: self._held.dtype)
    ndim = property(lambda self: self._held.ndim)
    size = property(lambda self: self._held.size)

    def copy(self) -> Any:
        return type(self)(self._held)

    def astype(self, dtype: Any) -> Any:
        return type(self)(self._held.astype(dtype))

    def __getitem__(self, index: Any) -> Any:
        return type(self)(self._held[index_of(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._held[index_of(index)] = held(value)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(a, npdiff.DiffArray) for a in inputs):
            return NotImplemented
        if method == "at":
            target, index, values = inputs
            ufunc.at(target._held, index_of(index), held(values))
            return None
        if method != "__call__":
            return NotImplemented
        return wrapped(type(self), ufunc(*[held(a) for a in inputs], **kwargs))

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ in self.lacks or any(issubclass(t, npdiff.DiffArray) for t in types):
            return NotImplemented
        if func is np.asarray:
            moves.append(args[0].shape)
            return type(self)(args[0])
        if func in (np.take_along_axis, np.unravel_index, np.ravel_multi_index):
            args = [index_of(a) for a in args]
        else:
            args = held(args)
        return wrapped(type(self), func(*args, **{k: held(v) for k, v in kwargs.items()}))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise Brought("np.asarray of a strict array")

    def _refuse(self, *_args: Any) -> Any:
        raise Brought("a value of a strict array was looked at")

    __float__ = __int__ = __complex__ = __bool__ = __index__ = __len__ = __iter__ = _refuse


class Strided(Strict):
    """One whose arrays share memory as NumPy's do, and say how they lie in it."""

    strides = property(lambda self: self._held.strides)

    def __init__(self, a: Any) -> None:
        self._held = a if type(a) is np.ndarray else np.array(a)

    def copy(self) -> Any:
        return type(self)(self._held.copy(order="K"))


# The shapes of NumPy's arrays that were made strict ones on the way.
moves: list[tuple[int, ...]] = []


def index_of(index: Any) -> Any:
    """An index; NumPy's arrays may stand in it, as they may for devices."""
    if isinstance(index, tuple):
        return tuple([index_of(i) for i in index])
    return index._held if isinstance(index, Strict) else index


def plain(a: Any) -> Any:
    """What is inside, for comparing."""
    return npdiff.tree.map_leaves(lambda x: x._held if issubclass(type(x), Strict) else x, a)


__all__ = ["Brought", "Strict", "Strided", "held", "moves", "plain"]
