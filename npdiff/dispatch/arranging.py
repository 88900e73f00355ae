"""Turning, flipping, rolling and adding dimensions: views where NumPy gives views."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple
from numpy.lib.stride_tricks import as_strided as numpy_as_strided
from numpy.lib.stride_tricks import sliding_window_view as numpy_sliding_window_view

from npdiff.array import is_scalar, layout, view_of
from npdiff.avals import ndarray
from npdiff.core import Handle, Primitive, aval, bind, unsupported
from npdiff.dispatch.common import laid_out
from npdiff.dispatch.declare import composite, function, numpy_is, operand, static
from npdiff.dispatch.indexing import Slot, index_add_p, setitem_p
from npdiff.dispatch.manipulation import broadcast_to_p
from npdiff.dispatch.operands import operands, phantom, picked
from npdiff.dispatch.rules import linear_primitive
from npdiff.foreign import filled

# ---------------------------------------------------------------------- dimensions


def _each(one: Any, arys: Any) -> Any:
    """The result of one array, or a tuple of the results of several."""
    results = [one(a) for a in operands(arys)]
    return results[0] if len(results) == 1 else tuple(results)


def _one_dimension(a: Any) -> Any:
    return np.reshape(a, (1,)) if aval(a).ndim == 0 else a


def _two_dimensions(a: Any) -> Any:
    n = aval(a).ndim
    return np.reshape(a, (1, 1)) if n == 0 else a[np.newaxis, :] if n == 1 else a


def _three_dimensions(a: Any) -> Any:
    n = aval(a).ndim
    return (np.reshape(a, (1, 1, 1)) if n == 0 else a[np.newaxis, :, np.newaxis] if n == 1
            else a[:, :, np.newaxis] if n == 2 else a)


@composite(np.atleast_1d, cases=("A()", "A(3)", "A(2, 3), A()", "A(2), 1.0"))
def atleast_1d(*arys: Any) -> Any:
    return _each(_one_dimension, arys)


@composite(np.atleast_2d, cases=("A()", "A(3)", "A(2, 3)", "A(2), A(1, 1, 1)"))
def atleast_2d(*arys: Any) -> Any:
    return _each(_two_dimensions, arys)


@composite(np.atleast_3d, cases=("A()", "A(3)", "A(2, 3)", "A(2), A(1, 2, 1, 2)"))
def atleast_3d(*arys: Any) -> Any:
    return _each(_three_dimensions, arys)


@composite(np.broadcast_arrays, cases=("A(3), A(2, 1)", "A(2, 3), A(2, 3)", "A(), A(2)", "A(2, 1), 1.0", "A(3)"))
def broadcast_arrays(*args: Any, subok: Any = False) -> Any:
    arrays = [np.reshape(a, ()) if aval(a).weak else a for a in operands(args)]
    shapes = [aval(a).shape for a in arrays]
    shape = np.broadcast_shapes(*shapes)
    # NumPy 2.0 makes views of all of them if it makes one.
    kept = numpy_is("2.1") or len(set(shapes)) == 1
    return tuple([(a if kept else a[...]) if s == shape else _spread(a, shape)
                  for a, s in zip(arrays, shapes, strict=True)])


def _spread(a: Any, shape: tuple[int, ...]) -> Any:
    """`a` in a larger shape; writable where no element stands twice, as NumPy's is."""
    if aval(a).size == np.prod(shape, dtype=int):
        return np.reshape(a, shape)

    def put(base: Any, _new: Any) -> Any:
        raise unsupported("np.broadcast_arrays", "a write into arrays whose elements stand several times cannot be "
                          "recorded", base, instead="write into the array itself, or into np.copy of the result")

    if not isinstance(a, Handle):
        return np.broadcast_to(a, shape)
    a = np.reshape(a, ()) if is_scalar(a) else a
    return view_of(a, lambda base: bind(broadcast_to_p, (base,), {"shape": shape}), put)


def _windows_transpose(ct: Any, a: Any, *, window: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    spots = numpy_sliding_window_view(np.arange(a.size).reshape(a.shape), window, axes)
    total = index_add_p.call(filled(a.size, 0, aval(ct).dtype, ct), ct, spots, index=(Slot(0),))
    return np.reshape(total, a.shape)


def _windows_batch(_size: int, args: Any, _batched: Any, params: dict[str, Any]) -> Any:
    return windows_p.call(args[0], window=params["window"], axes=tuple([k + 1 for k in params["axes"]]))


windows_p: Primitive = linear_primitive(
    "sliding_window_view", None, _windows_transpose, batch=_windows_batch,
    impl=lambda a, *, window, axes: numpy_sliding_window_view(a, window, axes))


@function(numpy_sliding_window_view, "linear", windows_p, notes="read-only", cases=(
    "A(5), 3", "A(3, 4), (2, 2)", "A(3, 4), 2, axis=1", "A(4), (2, 2), (0, 0)", "A(3), 1", "A(3, 2), 3, -2"))
def sliding_window_view(x: Any, window_shape: Any, axis: Any = None, *, subok: Any = False,
                        writeable: Any = False) -> Any:
    x = operand(x)
    window, axis = static(window_shape), static(axis)
    if writeable:
        raise unsupported("np.lib.stride_tricks.sliding_window_view", "with writeable=True shares single elements "
                          "between windows, and writes into it cannot be recorded", x,
                          instead="write into the array itself")
    numpy_sliding_window_view(phantom(x), window, axis)  # NumPy's own errors
    n = aval(x).ndim
    axes = tuple(range(n)) if axis is None else normalize_axis_tuple(axis, n, allow_duplicate=True)
    window = tuple([int(k) for k in window]) if np.iterable(window) else (int(window),)
    return view_of(x, lambda base: bind(windows_p, (base,), {"window": window, "axes": axes}), None)


def _strided(a: Any, *, spots: Any, of: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """A window on a plain array that lies in memory as the recorded one did, else its elements in C order."""
    if a.strides == of:
        return numpy_as_strided(a, spots.shape, strides, writeable=False)
    return picked(a, spots)


def _strided_transpose(ct: Any, a: Any, *, spots: Any, of: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    total = index_add_p.call(filled(a.size, 0, aval(ct).dtype, ct), ct, spots, index=(Slot(0),))
    return np.reshape(total, a.shape)


def _strided_batch(size: int, args: Any, _batched: Any, params: dict[str, Any]) -> Any:
    return np.reshape(args[0], (size, -1))[:, params["spots"]]


strided_p: Primitive = linear_primitive("as_strided", None, _strided_transpose, impl=_strided, batch=_strided_batch)


@function(numpy_as_strided, "linear", strided_p, notes="stays inside the array; no writes where elements are shared",
          captured="tracked", cases=(
    "a := A(5), (3, 2), (a.nbytes // a.size, a.nbytes // a.size)", "a := A(2, 3), (3,), (2 * a.nbytes // a.size,)",
    "a := A(2, 3), (2, 2), (a.nbytes // a.size, a.strides[0])",
    "a := A(2, 3), strides=(a.nbytes // a.size,), shape=(4,)", "a := A(3), (2, 3), (0, a.nbytes // a.size)"))
def as_strided(x: Any, shape: Any = None, strides: Any = None, subok: Any = False, writeable: Any = True,
               *, check_bounds: Any = None) -> Any:
    x = operand(x)
    plain = layout(x)
    shape = plain.shape if shape is None else static(shape)
    strides = plain.strides if strides is None else static(strides)
    spots = _strided_spots(plain, shape, strides)

    def get(base: Any) -> Any:
        if type(base) is ndarray and base.strides == plain.strides:
            return numpy_as_strided(base, shape, strides)  # the caller's own array, behind a compiled call
        return bind(strided_p, (base,), {"spots": spots, "of": plain.strides, "strides": tuple(strides)})

    shared = np.unique(spots).size != spots.size

    def put(base: Any, new: Any) -> Any:
        if shared:
            raise unsupported("np.lib.stride_tricks.as_strided", "a write into windows that share elements cannot be "
                              "recorded", base, instead="write into the array itself")
        flat = setitem_p.call(np.reshape(base, (-1,)), np.reshape(new, (-1,)), spots.ravel(), index=(Slot(0),))
        return np.reshape(flat, plain.shape)

    return view_of(x, get, put if static(writeable) else None)


def _strided_spots(plain: Any, shape: Any, strides: Any) -> Any:
    """The position in C order of each element that a window of these strides (in bytes) reaches."""
    numbers = np.arange(plain.size).reshape(plain.shape)
    low = sum(min(0, s * (n - 1)) for s, n in zip(plain.strides, plain.shape, strict=True))
    high = sum(max(0, s * (n - 1)) for s, n in zip(plain.strides, plain.shape, strict=True))
    memory = np.full((high - low) // plain.itemsize + 1, -1)
    places = [np.arange(n).reshape([-1 if j == k else 1 for j in range(plain.ndim)]) * s
              for k, (n, s) in enumerate(zip(plain.shape, plain.strides, strict=True))]
    memory[(sum(places, np.zeros(plain.shape, int)) - low) // plain.itemsize] = numbers
    window = numpy_as_strided(np.zeros(1, np.int8), shape, [0] * len(strides)).shape  # NumPy's own errors
    reach = sum([np.arange(n).reshape([-1 if j == k else 1 for j in range(len(window))]) * s
                 for k, (n, s) in enumerate(zip(window, strides, strict=True))], np.zeros(window, int)) - low
    inside = (reach % plain.itemsize == 0) & (reach >= 0) & (reach <= high - low)
    spots = memory[np.where(inside, reach, 0) // plain.itemsize]
    if not plain.size or not np.all(inside & (spots >= 0)):
        raise unsupported("np.lib.stride_tricks.as_strided", "reaches memory between or beyond the array's elements",
                          plain, instead="choose a shape and strides that stay on the elements of the array")
    return spots


# ---------------------------------------------------------------------- order of axes and elements


@composite(np.flip,
           cases=("A(3)", "A(2, 3)", "A(2, 3), 0", "A(2, 3, 2), axis=(0, -1)", "A()", "C(2)"))
def flip(m: Any, axis: Any = None) -> Any:
    m = operand(m)
    if aval(m).weak:
        m = np.reshape(m, ())[()]  # NumPy makes an array of a Python number
    n = aval(m).ndim
    axes = range(n) if axis is None else normalize_axis_tuple(static(axis), n)
    return m[tuple([slice(None, None, -1) if k in axes else slice(None) for k in range(n)])]


@composite(np.fliplr, cases=("A(2, 3)", "A(2, 3, 2)"))
def fliplr(m: Any) -> Any:
    m = operand(m)
    if aval(m).ndim < 2:
        np.fliplr(phantom(m))  # NumPy's own error
    return m[:, ::-1]


@composite(np.flipud, cases=("A(3)", "A(2, 3)"))
def flipud(m: Any) -> Any:
    m = operand(m)
    if aval(m).ndim < 1:
        np.flipud(phantom(m))  # NumPy's own error
    return m[::-1, ...]


@composite(np.rot90, cases=(
    "A(2, 3)", "A(2, 3), 2", "A(2, 3), -1", "A(2, 3, 2), 1, (1, 2)", "A(2, 2), 4", "A(2, 3), 3, (1, 0)"))
def rot90(m: Any, k: Any = 1, axes: Any = (0, 1)) -> Any:
    m = operand(m)
    k, axes = int(static(k)) % 4, tuple(static(axes))
    np.rot90(phantom(m), k, axes)  # NumPy's own errors
    if k % 2 == 0:
        return np.flip(m, axes) if k else m[...]
    # A quarter turn is a flip and a transposition; the direction says which comes first.
    return np.swapaxes(np.flip(m, axes[1]), *axes) if k == 1 else np.flip(np.swapaxes(m, *axes), axes[1])


@composite(np.rollaxis, captured="", cases=("A(2, 3, 4), 2", "A(2, 3, 4), 0, 3", "A(2, 3, 4), -1, 1", "A(2, 3), 1, 1"))
def rollaxis(a: Any, axis: Any, start: Any = 0) -> Any:
    a = operand(a)
    axis, start = static(axis), static(start)
    np.rollaxis(phantom(a), axis, start)  # NumPy's own errors
    n = aval(a).ndim
    axis = normalize_axis_index(axis, n)
    start = start + n if start < 0 else start
    return np.moveaxis(a, axis, start - 1 if axis < start else start)


@composite(np.roll, cases=(
    "A(4), 1", "A(2, 3), -1", "A(2, 3), 1, axis=0", "A(2, 3), (1, 2), (0, 1)", "A(2, 3), 1, (0, 1)", "A(4), 9",
    "A(2, 3), (1, 1), 1", "A(0), 1", "A(), 1"))
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    a = operand(a)
    shift, axis = static(shift), static(axis)
    shape = aval(a).shape
    np.roll(np.empty([min(n, 1) for n in shape], bool), shift, axis)  # NumPy's own errors
    if axis is None:
        total = int(np.sum(shift))
        return np.reshape(_rolled(np.ravel(a), total, 0), shape)
    totals: dict[int, int] = {}
    for s, k in np.broadcast(shift, normalize_axis_tuple(axis, len(shape), allow_duplicate=True)):
        totals[int(k)] = totals.get(int(k), 0) + int(s)
    moved = a
    for k, total in totals.items():
        moved = _rolled(moved, total, k)
    return np.copy(a) if moved is a else laid_out(moved, a)


def _rolled(a: Any, shift: int, axis: int) -> Any:
    n = aval(a).shape[axis]
    shift = shift % n if n else 0
    if not shift:
        return np.copy(a)
    lead = (slice(None),) * axis
    return np.concatenate([a[(*lead, slice(n - shift, None))], a[(*lead, slice(0, n - shift))]], axis=axis)


