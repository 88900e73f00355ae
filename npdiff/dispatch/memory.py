"""Other ways to look at an array's memory: x.flat and x.view()."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from npdiff.array import DiffArray, ask, is_scalar, layout, snapshot, view_of
from npdiff.avals import ndarray
from npdiff.core import Handle, services, shape_of, unsupported
from npdiff.dispatch.declare import operand


class Flat:
    """``x.flat``: the elements in C order, to read, write and loop over."""

    __slots__ = ("_array", "_next")

    def __init__(self, array: DiffArray) -> None:
        self._array = array
        self._next = 0

    @property
    def base(self) -> Any:
        """The array itself."""
        return self._array

    def copy(self) -> Any:
        """The elements as a new one-dimensional array."""
        return np.copy(np.reshape(snapshot(self._array), (-1,)))

    def _spots(self, index: Any) -> Any:
        """Positions in C order; NumPy's own errors for a wrong index."""
        index = tuple([_plain(i) for i in index]) if isinstance(index, tuple) else _plain(index)
        shape = self._array.shape
        return np.arange(int(np.prod(shape, dtype=int))).reshape(shape).flat[index]

    def __len__(self) -> int:
        return self._array.size

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._next >= self._array.size:
            raise StopIteration
        self._next += 1
        return self[self._next - 1]

    def __getitem__(self, index: Any) -> Any:
        spots = self._spots(index)
        return np.reshape(snapshot(self._array), (-1,))[spots if isinstance(spots, ndarray) else int(spots)]

    def __setitem__(self, index: Any, v: Any) -> None:
        array = self._array
        spots = np.ravel(self._spots(index))
        if is_scalar(array):
            return  # NumPy writes into a 0-d copy that nobody sees
        if not array._writable():
            raise ValueError("underlying array is read-only")
        values = np.ravel(operand(v))
        n = int(np.prod(shape_of(values), dtype=int))
        if n == 0:
            raise ValueError("Error setting single item of array.") if spots.size == 1 else ValueError(
                "cannot assign an empty sequence to flat indices")
        if n != spots.size:  # NumPy repeats values that are too few and drops those that are too many
            values = values[np.arange(spots.size) % n]
        new = np.copy(np.reshape(snapshot(array), (-1,)))
        new[spots] = values
        array[...] = np.reshape(new, array.shape)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*_elements(inputs), **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return func(*_elements(args), **kwargs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.copy(), dtype=dtype)


def _plain(i: Any) -> Any:
    return ask(i, "index") if isinstance(i, Handle) else i


def _elements(args: Any) -> list[Any]:
    return [a.copy() if isinstance(a, Flat) else a for a in args]


def view(x: DiffArray, dtype: Any = None, type: Any = None) -> Any:
    """``x.view()``: the same memory, also complex numbers as pairs of floats and back."""
    if isinstance(dtype, builtin_type) and issubclass(dtype, ndarray):
        dtype = None
    if dtype is None or np.dtype(dtype) == x.dtype:
        return view_of(x, lambda base: base, lambda _base, new: new)
    dtype, old = np.dtype(dtype), x.dtype
    shape = layout(x).view(dtype).shape  # NumPy's own errors where the last axis does not allow it
    if old.kind == "c" and dtype.kind == "f" and 2 * dtype.itemsize == old.itemsize:
        return view_of(x, lambda base: _as_pairs(base, shape), lambda _base, new: _from_pairs(new))
    if old.kind == "f" and dtype.kind == "c" and dtype.itemsize == 2 * old.itemsize:
        return view_of(x, _from_pairs, lambda base, new: _as_pairs(new, base.shape))
    raise unsupported("ndarray.view", f"cannot read {old} memory as {dtype} on a tracked array", x,
                      instead=f"convert the values with x.astype({dtype.name!r})")


builtin_type = type


def _as_pairs(z: Any, shape: Any) -> Any:
    return np.reshape(np.stack([np.real(z), np.imag(z)], axis=-1), shape)


def _from_pairs(a: Any) -> Any:
    return a[..., 0::2] + 1j * a[..., 1::2]


services["flat"] = Flat
services["view"] = view

__all__ = ["Flat", "view"]
