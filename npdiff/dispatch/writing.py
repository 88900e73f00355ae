"""Functions that write into an array in place, and the views that go with them: ``x.flat`` and ``x.view(dtype)``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from npdiff.array import DiffArray, is_scalar, layout, read_only, snapshot, view_of
from npdiff.avals import ndarray
from npdiff.core import Handle, aval, innermost, services, unsupported
from npdiff.dispatch.common import pick
from npdiff.dispatch.declare import composite, operand, static
from npdiff.dispatch.operands import anywhere, is_tracked, numbered, outside_write, phantom
from npdiff.dispatch.selecting import along_index, in_range
from npdiff.dispatch.storing import converted, is_number, overwriting, stored


def _plainly(func: Callable[..., Any], target: Any, *values: Any, **kwargs: Any) -> None:
    """NumPy's own in-place function on a plain array, where no tracked value would be lost in it."""
    name = f"np.{func.__name__}"
    for v in values:
        if is_tracked(v):
            raise outside_write(name, target, v)
    func(target, *[innermost(v) for v in values], **{k: innermost(v) for k, v in kwargs.items()})


def _writable(name: str, target: Any, attempt: Callable[[Any], None]) -> Any:
    """The handle that is written to, if NumPy would let it be; else NumPy's own error for the same attempt."""
    a = aval(target)
    if is_scalar(target):
        attempt(a.dtype.type(0))
        raise TypeError(f"{name}: argument must be an array, not a NumPy scalar or a number")
    if not target._writable():
        attempt(read_only(target))
        raise ValueError("assignment destination is read-only")
    return target


def _cycled(values: Any, n: int) -> Any:
    """`n` values, taken from the start again when they run out."""
    flat = np.ravel(operand(values))
    size = aval(flat).size
    return flat if size == n else flat[np.arange(n) % size]


def _spots(target: Any, positions: Any) -> tuple[Any, ...]:
    """Positions in C order as an index."""
    shape = aval(target).shape
    return tuple(np.unravel_index(positions, shape)) if shape else ()


@composite(np.copyto, captured="")
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> Any:
    if not isinstance(dst, Handle):
        if is_tracked(where):
            raise outside_write("np.copyto", dst, where)
        return _plainly(np.copyto, dst, src, casting=casting, where=where)
    if dst is src and where is True:
        return None  # NumPy does not look further either
    target: Any = _writable("np.copyto", dst, lambda plain: np.copyto(plain, 0))
    src, where = operand(src), operand(where)
    a = aval(target)
    # NumPy checks shapes and casting, on an array that nobody sees.
    np.copyto(np.empty(a.shape, a.dtype), phantom(src), casting, where=phantom(where))
    new = overwriting(src, a.dtype) if isinstance(src, Handle) else src
    target[...] = new if where is True else np.where(where, new, snapshot(target))
    return None


@composite(np.put, captured="")
def put(a: Any, ind: Any, v: Any, mode: Any = "raise") -> Any:
    if not isinstance(a, Handle):
        return _plainly(np.put, a, ind, v, mode=mode)
    target: Any = _writable("np.put", a, lambda plain: np.put(plain, [0], 0))
    places = np.ravel(operand(ind))
    n = aval(target).size
    np.put(np.empty(1), np.zeros(1, aval(places).dtype), 0, mode)  # NumPy checks dtype and mode
    if not n and aval(places).size:
        np.put(np.empty(0), [0], 0, mode)  # NumPy's own error
    if not aval(places).size or not aval(operand(v)).size:
        return None
    if mode == "raise" and (not n or anywhere(np.logical_or(np.less(places, -n), np.greater_equal(places, n)))):
        np.put(np.empty(n), np.ravel(innermost(places)), 0)  # NumPy's own error
    places = in_range(places, n, mode)
    places = np.where(np.less(places, 0), np.add(places, n), places)
    values = _cycled(converted(v, target.dtype), aval(places).size)
    index = _spots(target, places)
    target[index] = values if index else values[-1]
    return None


def _safely(values: Any, dtype: np.dtype[Any]) -> Any:
    """Values for putmask and place: numbers are converted, arrays have to be of a dtype that can be cast safely."""
    if not isinstance(values, (list, tuple)) and not is_number(operand(values)):
        np.putmask(np.empty(1, dtype), True, phantom(operand(values)))  # NumPy checks the cast
    return converted(values, dtype)


@composite(np.putmask, captured="")
def putmask(a: Any, /, mask: Any, values: Any) -> Any:
    if not isinstance(a, Handle):
        return _plainly(np.putmask, a, mask, values)
    target: Any = _writable("np.putmask", a, lambda plain: np.putmask(plain, True, 0))
    mask, values = operand(mask), _safely(values, target.dtype)
    shape = aval(target).shape
    if aval(mask).size != aval(target).size:
        np.putmask(np.empty(shape), np.empty(aval(mask).shape, bool), 0)  # NumPy's own error
    if aval(values).size:
        spread = np.reshape(_cycled(values, aval(target).size), shape)
        target[...] = np.where(np.reshape(mask, shape), spread, snapshot(target))
    return None


@composite(np.place, captured="")
def place(arr: Any, mask: Any, vals: Any) -> Any:
    if not isinstance(arr, Handle):
        return _plainly(np.place, arr, mask, vals)
    target: Any = _writable("np.place", arr, lambda plain: np.place(plain, plain == 0, [0]))
    mask, values = np.ravel(operand(mask)), np.ravel(_safely(vals, target.dtype))
    shape = aval(target).shape
    if aval(mask).size != aval(target).size:
        np.place(np.empty(shape), np.empty(aval(mask).size, bool), [0])  # NumPy's own error
    count = aval(values).size
    mask = np.not_equal(mask, 0)
    if not count:
        if anywhere(mask):
            np.place(np.empty(1), [True], [])  # NumPy's own error
        return None
    # The k-th element that the mask takes gets the k-th value, so no selection of unknown size is made.
    turn = np.remainder(np.subtract(np.cumsum(mask), 1), count)
    target[...] = np.where(np.reshape(mask, shape), np.reshape(pick(values, turn), shape), snapshot(target))
    return None


@composite(np.put_along_axis, captured="")
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> Any:
    if not isinstance(arr, Handle):
        return _plainly(np.put_along_axis, arr, indices, values, axis=static(axis))
    target: Any = _writable("np.put_along_axis", arr, lambda plain: None)
    indices, axis = operand(indices), static(axis)
    a = aval(target)
    # Indices that are all zero let NumPy check everything but their range.
    np.put_along_axis(np.empty(a.shape, a.dtype), np.zeros(aval(indices).shape, aval(indices).dtype),
                      np.zeros(aval(operand(values)).shape, a.dtype), axis)
    if axis is None:
        target[_spots(target, np.where(np.less(indices, 0), np.add(indices, a.size), indices))] = values
    else:
        target[along_index(target, indices, axis % a.ndim)] = values
    return None


@composite(np.fill_diagonal, captured="")
def fill_diagonal(a: Any, val: Any, wrap: Any = False) -> Any:
    if not isinstance(a, Handle):
        return _plainly(np.fill_diagonal, a, val, wrap=wrap)
    target: Any = _writable("np.fill_diagonal", a, lambda plain: np.fill_diagonal(plain, 0))
    mark = np.zeros(aval(target).shape, bool)
    np.fill_diagonal(mark, True, static(wrap))  # NumPy says where the diagonal runs
    places = np.flatnonzero(mark)
    if places.size:
        target[_spots(target, places)] = _cycled(converted(val, target.dtype), places.size)
    return None


# ---------------------------------------------------------------------- x.flat


class Flat:
    """``x.flat``: the elements of a tracked array in C order, to iterate over, read and write."""

    def __init__(self, array: DiffArray) -> None:
        self._array: Any = array
        self.index = 0

    @property
    def base(self) -> Any:
        """The array whose elements these are."""
        return self._array

    @property
    def coords(self) -> tuple[int, ...]:
        """Where in the array the next element stands."""
        shape = self._array.shape
        return tuple([int(i) for i in np.unravel_index(self.index, shape)]) if shape else ()

    def copy(self) -> Any:
        """The elements as a new one-dimensional array."""
        return self._array.flatten()

    def __len__(self) -> int:
        return int(self._array.size)

    def __iter__(self) -> Iterator[Any]:
        self.index = 0
        return self

    def __next__(self) -> Any:
        if self.index >= len(self):
            raise StopIteration
        item = self[self.index]
        self.index += 1
        return item

    def __getitem__(self, key: Any) -> Any:
        found = np.reshape(snapshot(self._array), (-1,))[self._key(key)]
        return np.copy(found) if found.shape else found

    def __setitem__(self, key: Any, value: Any) -> None:
        if not aval(operand(value)).size:
            if not isinstance(key, Handle):
                np.zeros(self._array.shape, bool).flat[key] = []  # NumPy's own errors, of which few keys have one
            return
        positions = numbered(self._array).ravel()
        try:
            key = self._key(key)
        except IndexError:
            np.zeros(self._array.shape, bool).flat[key] = True  # NumPy may word it otherwise where it writes
            raise
        array = _writable("flat", self._array, lambda plain: plain.flat.__setitem__(0, 0))
        if isinstance(key, Handle):
            key = np.nonzero(key)[0] if aval(key).dtype.kind == "b" else key
            places: Any = np.where(np.less(key, 0), np.add(key, len(self)), key)
        else:
            places = np.atleast_1d(positions[key])
        places = np.ravel(places)
        if not aval(places).size:
            return
        value = operand(value)
        if isinstance(key, (int, np.integer)):
            np.zeros(1, array.dtype).flat[0] = phantom(value)  # NumPy's own error for more than one number
            try:
                value = stored(value, array.dtype, listed=True)
            except (ValueError, OverflowError, TypeError):
                np.zeros(1, int).flat[0] = np.nan  # as NumPy words it
        index = _spots(array, places)
        values = _cycled(stored(value, array.dtype), aval(places).size)
        array[index] = values if index else values[-1]

    def _key(self, key: Any) -> Any:
        if type(key) is tuple and len(key) == 1:
            (key,) = key
        if isinstance(key, list):
            key = operand(key)
        if not isinstance(key, Handle):
            np.broadcast_to(np.zeros((), bool), self._array.shape).flat[key]  # NumPy's own errors
        return key

    def __npdiff_array__(self) -> Any:
        """What np.array and np.asarray make of it."""
        return self.copy()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.copy().__array__(dtype, copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*[_unflat(a) for a in inputs], **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return func(*[_unflat(a) for a in args], **{k: _unflat(v) for k, v in kwargs.items()})


def _unflat(a: Any) -> Any:
    if type(a) in (list, tuple):
        return type(a)([_unflat(x) for x in a])
    return a.copy() if isinstance(a, Flat) else a


def flat(x: DiffArray) -> Any:
    """``x.flat``."""
    array: Any = np.reshape(x, (1,)) if is_scalar(x) else x
    return Flat(array)


# ---------------------------------------------------------------------- x.view(dtype)


def _as_pairs(z: Any) -> Any:
    """Complex numbers as twice as many reals."""
    shape = aval(z).shape
    return np.reshape(np.stack([np.real(z), np.imag(z)], axis=-1), (*shape[:-1], 2 * shape[-1]))


def _as_complex(r: Any) -> Any:
    """Pairs of reals as complex numbers."""
    dtype = np.result_type(aval(r).dtype, np.complex64)
    return np.astype(np.add(r[..., 0::2], np.multiply(r[..., 1::2], 1j)), dtype)


def view(x: DiffArray, dtype: Any = None, type: Any = None) -> Any:
    """``x.view(dtype)``: the same memory; complex numbers and pairs of reals can be seen as each other."""
    if inspect.isclass(dtype) and (dtype == ndarray or issubclass(dtype, ndarray)):
        dtype = None  # a kind of array, not of number
    old = aval(x).dtype
    new = old if dtype is None else np.dtype(dtype)
    if new == old:
        return view_of(x, lambda base: base, lambda _base, value: value)
    if (old.kind, new.kind) not in (("c", "f"), ("f", "c")) or max(old.itemsize, new.itemsize) != 2 * min(
            old.itemsize, new.itemsize):
        raise unsupported("ndarray.view", f"from {old} to {new} reads the bits of a number, which has no derivative", x,
                          instead="use astype, or x.value.view(...) on the plain array")
    layout(x).view(new)  # NumPy's own errors
    if old.kind == "c":
        return view_of(x, _as_pairs, lambda _base, value: _as_complex(value))
    return view_of(x, _as_complex, lambda _base, value: _as_pairs(value))


services["flat"] = flat
services["view"] = view

__all__ = ["Flat", "flat", "view"]
