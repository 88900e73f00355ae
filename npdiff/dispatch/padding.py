"""np.pad in all its modes, and its opposite, trim_zeros."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from npdiff.array import ask
from npdiff.core import Handle, aval, constant
from npdiff.dispatch.common import in_c_or_f_order
from npdiff.dispatch.creation import full
from npdiff.dispatch.declare import composite, function, operand, since, static
from npdiff.dispatch.indexing import getitem_dynamic_p, setitem_p
from npdiff.dispatch.operands import numbered, picked
from npdiff.foreign import foreign_in

_STATISTICS: dict[str, Any] = {"maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median}
Pairs = list[tuple[Any, Any]]


@composite(np.pad, notes="mode 'empty' gives zeros", cases=(
    "A(3), 2", "A(2, 3), ((1, 0), (0, 2))", "A(2, 3), 1, constant_values=2.0",
    "A(2, 2), 1, constant_values=((1, 2), (3, 4))",
    "A(3), (1, 2), 'edge'", "A(2, 3), ((0, 1), (2, 2)), 'edge'", "A(4), 2, 'reflect'", "A(3), 7, 'reflect'",
    "A(4), 2, 'reflect', reflect_type='odd'", "A(3), (8, 7), 'reflect', reflect_type='odd'", "A(2, 3), 1, 'symmetric'",
    "A(3), (7, 2), 'symmetric', reflect_type='odd'", "A(1, 2), 1, 'reflect', reflect_type='odd'",
    "A(3), (1, 4), 'wrap'",
    "A(2, 3), (1, 2), 'wrap'", "A(3), 2, 'linear_ramp', end_values=(1.0, 2.0)", "A(2, 2), (1, 2), 'linear_ramp'",
    "A(4), 2, 'mean'", "A(2, 3), 1, 'mean', stat_length=2", "A(2, 3), (1, 2), 'maximum'",
    "A(4), 1, 'minimum', stat_length=3",
    "A(5), 1, 'median'", *since("2.4", "A(2, 3), {1: (1, 2)}"), "A(3), 0, 'edge'",
    "A(2, 2), 1, lambda v, width, axis, kw: v.__setitem__(slice(0, width[0]), 2 * v[width[0]])"))
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    a = operand(array)
    shape = aval(a).shape
    pad_width = static(pad_width)
    if "stat_length" in kwargs:
        kwargs["stat_length"] = static(kwargs["stat_length"])
    # One element along each axis lets NumPy check the arguments.
    np.pad(np.zeros([min(n, 1) for n in shape], aval(a).dtype), pad_width,
           "constant" if callable(mode) else mode, **({} if callable(mode) else phantom_values(kwargs)))
    if not shape:
        return np.copy(np.reshape(a, ()))  # one number has no sides
    return in_c_or_f_order(_padded(a, _widths(pad_width, len(shape)), mode, kwargs), a)


def _padded(a: Any, widths: Sequence[tuple[int, int]], mode: Any, kwargs: dict[str, Any]) -> Any:
    shape = aval(a).shape
    if callable(mode):
        return _by_function(mode, _constant(a, widths, [(0, 0)] * len(shape)), widths, kwargs)
    if mode in ("constant", "empty"):
        return _constant(a, widths, _pairs(kwargs.get("constant_values", 0), len(shape)))
    odd = kwargs.get("reflect_type", "even") == "odd"
    if mode in ("edge", "wrap") or (mode in ("reflect", "symmetric") and not odd):
        return picked(a, np.pad(numbered(a), widths, mode))
    if mode == "linear_ramp":
        ends = _pairs(kwargs.get("end_values", 0), len(shape))
        return _axis_by_axis(a, widths, lambda x, axis, side, width: _ramp(x, axis, side, width, ends[axis][side]))
    if mode in _STATISTICS:
        lengths = _pairs(kwargs.get("stat_length"), len(shape))
        return _axis_by_axis(
            a, widths, lambda x, axis, side, width: _statistic(mode, x, axis, side, width, lengths[axis][side]))
    return _axis_by_axis(a, widths, lambda x, axis, side, width: _odd(mode, x, axis, side, width))


def phantom_values(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments with tracked values replaced by zeros, for NumPy's own checks."""
    return {k: np.zeros(np.shape(np.empty(aval(operand(v)).shape))) if k in ("constant_values", "end_values") else v
            for k, v in kwargs.items()}


def _widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    if isinstance(pad_width, dict):
        full_width: list[Any] = [(0, 0)] * ndim
        for axis, width in pad_width.items():
            full_width[axis] = (width, width) if isinstance(width, int) else width
        pad_width = full_width
    return [(int(before), int(after)) for before, after in np.broadcast_to(np.asarray(pad_width), (ndim, 2))]


def _pairs(values: Any, ndim: int) -> Pairs:
    """A keyword of np.pad as one pair for each axis."""
    if values is None:
        return [(None, None)] * ndim
    spread = np.broadcast_to(operand(values), (ndim, 2))
    return [(spread[k, 0], spread[k, 1]) for k in range(ndim)]


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, part)


def _constant(a: Any, widths: Sequence[tuple[int, int]], values: Pairs) -> Any:
    shape = aval(a).shape
    dtype = aval(a).dtype
    if all(v is values[0][0] or _same(v, values[0][0]) for pair in values for v in pair):
        grown = tuple([n + sum(w) for n, w in zip(shape, widths, strict=True)])
        value = values[0][0] if values else 0
        whole = full(grown, value, dtype) if foreign_in(a) is None else np.full_like(a, value, shape=grown)
        inner = tuple([slice(w[0], w[0] + n) for n, w in zip(shape, widths, strict=True)])
        return setitem_p.call(whole, a, index=inner) if shape else np.copy(a)
    return _axis_by_axis(a, widths, lambda x, axis, side, width: full(
        _sized(x, axis, width), values[axis][side], dtype))


def _same(a: Any, b: Any) -> bool:
    return not isinstance(a, Handle) and not isinstance(b, Handle) and bool(a == b)


def _sized(a: Any, axis: int, n: int) -> tuple[int, ...]:
    shape = aval(a).shape
    return (*shape[:axis], n, *shape[axis + 1:])


def _axis_by_axis(a: Any, widths: Sequence[tuple[int, int]], border: Callable[[Any, int, int, int], Any]) -> Any:
    """Put a border before and after along each axis in turn; later axes see the borders of earlier ones."""
    for axis, (before, after) in enumerate(widths):
        parts = [border(a, axis, 0, before)] if before else []
        parts.append(a)
        if after:
            parts.append(border(a, axis, 1, after))
        a = np.concatenate(parts, axis=axis)
    return a


def _edge(a: Any, axis: int, side: int) -> Any:
    return a[_along(axis, slice(-1, None) if side else slice(0, 1))]


def _stored(x: Any, dtype: np.dtype[Any]) -> Any:
    """A border value as it is stored into the padded array: integers are rounded."""
    return np.astype(np.round(x) if dtype.kind in "iu" and aval(x).dtype.kind == "f" else x, dtype)


def _ramp(a: Any, axis: int, side: int, width: int, end: Any) -> Any:
    edge = np.squeeze(_edge(a, axis, side), axis)
    ramp = np.linspace(end, edge, width, endpoint=False, axis=axis)
    return np.astype(np.flip(ramp, axis) if side else ramp, aval(a).dtype)


def _statistic(mode: str, a: Any, axis: int, side: int, width: int, length: Any) -> Any:
    n = aval(a).shape[axis]
    length = n if length is None else min(int(length), n)
    chunk = a[_along(axis, slice(n - length, n) if side else slice(0, length))]
    value = _stored(_STATISTICS[mode](chunk, axis=axis, keepdims=True), aval(a).dtype)
    return np.broadcast_to(value, _sized(a, axis, width))


def _odd(mode: str, a: Any, axis: int, side: int, width: int) -> Any:
    """The continuation of `a` that is odd about both of its ends.

    It repeats itself after two lengths but for the rise from the first element to the last, so each element is
    one of the array plus or minus whole multiples of the two ends.
    """
    n = aval(a).shape[axis]
    if n == 1:
        return np.broadcast_to(a, _sized(a, axis, width))
    places = np.arange(n, n + width) if side else np.arange(-width, 0)
    include = mode == "symmetric"
    period = n if include else n - 1
    rounds, rest = np.divmod(places, 2 * period)
    turned = rest > period - include
    spots = np.where(turned, 2 * period - include - rest, rest)
    signs = np.where(turned, -1, 1)
    column = tuple([width if k == axis else 1 for k in range(aval(a).ndim)])
    out = a[_along(axis, slice(None))[:-1] + (spots,)] * signs.reshape(column).astype(aval(a).dtype)
    for end, times in ((1, 2 * turned + 2 * rounds), (0, -2 * rounds)):
        if np.any(times):
            out = out + _edge(a, axis, end) * times.reshape(column).astype(aval(a).dtype)
    return out


def _by_function(mode: Any, padded: Any, widths: Sequence[tuple[int, int]], kwargs: dict[str, Any]) -> Any:
    """np.pad with a function that fills in the border of each line in place."""
    padded = padded if isinstance(padded, Handle) else constant(padded)
    for axis in range(aval(padded).ndim):
        lines = np.moveaxis(padded, axis, -1)
        for at in np.ndindex(aval(lines).shape[:-1]):
            mode(lines[(*at, ...)], widths[axis], axis, kwargs)
    return padded


@function(np.trim_zeros, captured="", prim=getitem_dynamic_p,
          notes="which elements are zero is asked of the values", cases=(
    "A(4)", "A(3), 'f'", *since("2.2", "A(2, 3)", "A(2, 3), 'b', 1")))
def trim_zeros(filt: Any, trim: Any = "fb", axis: Any = None) -> Any:
    a = operand(filt)
    np.trim_zeros(np.ones((2,) * aval(a).ndim), trim, *([] if axis is None else [axis]))  # NumPy's own errors
    filled = np.argwhere(np.asarray(ask(np.not_equal(a, 0), "np.trim_zeros")))
    n = aval(a).ndim
    axes = tuple(range(n)) if axis is None else normalize_axis_tuple(static(axis), n)
    if not axes:
        return a
    low, high = (filled.min(0), filled.max(0) + 1) if len(filled) else (np.zeros(n, int), np.zeros(n, int))
    front, back = ("f" in trim.lower(), "b" in trim.lower()) if len(filled) else (True, True)
    return a[tuple([
        slice(int(low[k]) if front else None, int(high[k]) if back else None) if k in axes else slice(None)
        for k in range(n)])]


