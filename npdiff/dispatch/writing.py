"""Functions that write into an array in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.array import is_scalar, snapshot
from npdiff.core import Handle, aval, innermost
from npdiff.dispatch.declare import composite, operand, static
from npdiff.dispatch.operands import anywhere, is_tracked, outside_write, phantom
from npdiff.dispatch.selecting import along_index, in_range


def _plainly(func: Callable[..., Any], target: Any, *values: Any, **kwargs: Any) -> None:
    """NumPy's own in-place function on a plain array, where no tracked value would be lost in it."""
    name = f"np.{func.__name__}"
    for v in values:
        if is_tracked(v):
            raise outside_write(name, target, v)
    func(target, *[innermost(v) for v in values], **{k: innermost(v) for k, v in kwargs.items()})


def _writable(name: str, target: Any) -> Any:
    """The handle that is written to, if NumPy would let it be."""
    if is_scalar(target):
        raise TypeError(f"{name}: argument must be an array, not a NumPy scalar or a number")
    if not target._writable():
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


@composite(np.copyto)
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> Any:
    if not isinstance(dst, Handle):
        if is_tracked(where):
            raise outside_write("np.copyto", dst, where)
        return _plainly(np.copyto, dst, src, casting=casting, where=where)
    target: Any = _writable("np.copyto", dst)
    src, where = operand(src), operand(where)
    a = aval(target)
    # NumPy checks shapes and casting, on an array that nobody sees.
    np.copyto(np.empty(a.shape, a.dtype), phantom(src), casting, where=phantom(where))
    new = np.astype(src, a.dtype) if aval(src).dtype != a.dtype and not aval(src).weak else src
    target[...] = new if where is True else np.where(where, new, snapshot(target))
    return None


@composite(np.put)
def put(a: Any, ind: Any, v: Any, mode: Any = "raise") -> Any:
    if not isinstance(a, Handle):
        return _plainly(np.put, a, ind, v, mode=mode)
    target: Any = _writable("np.put", a)
    places = np.ravel(operand(ind))
    n = aval(target).size
    np.put(np.empty(1), np.zeros(1, aval(places).dtype), 0, mode)  # NumPy checks dtype and mode
    if not aval(places).size or not aval(operand(v)).size:
        return None
    if mode == "raise" and (not n or anywhere(np.logical_or(np.less(places, -n), np.greater_equal(places, n)))):
        np.put(np.empty(n), np.ravel(innermost(places)), 0)  # NumPy's own error
    places = in_range(places, n, mode)
    places = np.where(np.less(places, 0), np.add(places, n), places)
    values = _cycled(v, aval(places).size)
    index = _spots(target, places)
    target[index] = values if index else values[-1]
    return None


@composite(np.putmask)
def putmask(a: Any, /, mask: Any, values: Any) -> Any:
    if not isinstance(a, Handle):
        return _plainly(np.putmask, a, mask, values)
    target: Any = _writable("np.putmask", a)
    mask, values = operand(mask), operand(values)
    shape = aval(target).shape
    if aval(mask).size != aval(target).size:
        np.putmask(np.empty(shape), np.empty(aval(mask).shape, bool), 0)  # NumPy's own error
    if aval(values).size:
        spread = np.reshape(_cycled(values, aval(target).size), shape)
        target[...] = np.where(np.reshape(mask, shape), spread, snapshot(target))
    return None


@composite(np.place)
def place(arr: Any, mask: Any, vals: Any) -> Any:
    if not isinstance(arr, Handle):
        return _plainly(np.place, arr, mask, vals)
    target: Any = _writable("np.place", arr)
    mask, values = np.ravel(operand(mask)), np.ravel(operand(vals))
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
    target[...] = np.where(np.reshape(mask, shape), np.reshape(values[turn], shape), snapshot(target))
    return None


@composite(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> Any:
    if not isinstance(arr, Handle):
        return _plainly(np.put_along_axis, arr, indices, values, axis=static(axis))
    target: Any = _writable("np.put_along_axis", arr)
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


@composite(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: Any = False) -> Any:
    if not isinstance(a, Handle):
        return _plainly(np.fill_diagonal, a, val, wrap=wrap)
    target: Any = _writable("np.fill_diagonal", a)
    mark = np.zeros(aval(target).shape, bool)
    np.fill_diagonal(mark, True, static(wrap))  # NumPy says where the diagonal runs
    places = np.flatnonzero(mark)
    if places.size:
        target[_spots(target, places)] = _cycled(val, places.size)
    return None
