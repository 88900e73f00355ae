"""The methods of ufuncs: reduce, accumulate, reduceat, outer and at, of any ufunc.

Shapes, dtypes and errors are NumPy's: it is asked with arrays of ones in place of the operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.array import is_scalar, snapshot
from npdiff.avals import ndarray
from npdiff.core import Handle, aval, bind, constant, innermost, services, shape_of, unsupported
from npdiff.dispatch.common import scalar
from npdiff.dispatch.declare import _NO_VALUE, numpy_name, operand, static
from npdiff.dispatch.indexing import getitem_p, index_add_p, is_basic, parse_index, per_example
from npdiff.dispatch.manipulation import cast
from npdiff.dispatch.operands import blank, is_tracked, mask_of, numbered, outside_write
from npdiff.dispatch.reductions import axes_of, loop_dtypes, reduce, reducers, starting_value
from npdiff.dispatch.ufuncs import write_out


def call_method(ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
    """``ufunc.method(...)`` on tracked operands."""
    if isinstance(out, tuple):
        (out,) = out
    if method == "at":
        return _at(ufunc, *inputs, **kwargs)
    a = operand(inputs[0])
    if method == "outer":
        return _outer(ufunc, a, *inputs[1:], out=out, **kwargs)
    if method == "reduce" and ufunc in reducers:
        return reduce(ufunc, a, out=out, **kwargs)
    _ask_numpy(ufunc, method, a, inputs[1:], out, kwargs)
    result = _FOLDS[method](ufunc, a, out, *inputs[1:], **kwargs)
    if out is None:
        return result
    name = f"{numpy_name(ufunc)}.{method}"
    if shape_of(out) != shape_of(result):
        raise unsupported(name, "into an out= of another shape is not recorded", out, result,
                          instead="give an out= of the result's shape")
    return write_out(result, out, name, "unsafe")  # NumPy has been asked


def _ones(a: Any) -> Any:
    if not isinstance(a, (Handle, ndarray)):
        return a
    v = aval(a)
    return np.ones(v.shape, v.dtype)


def _ask_numpy(ufunc: np.ufunc, method: str, a: Any, rest: Sequence[Any], out: Any, kwargs: dict[str, Any]) -> None:
    """Let NumPy find every fault of the call on ones."""
    given = {k: _ones(v) if k in ("initial", "where") else static(v) for k, v in kwargs.items()}
    if isinstance(given.get("where"), ndarray):
        given["where"] = given["where"].astype(bool)
    shown = _ones(a) if isinstance(a, (Handle, ndarray)) else np.ones((), aval(a).dtype)
    if out is not None:
        given["out"] = _ones(out)
    with np.errstate(all="ignore"):
        getattr(ufunc, method)(shown, *[static(r) for r in rest], **given)


# ---------------------------------------------------------------------- folding


def _fold(ufunc: np.ufunc, parts: Sequence[Any], masks: Any = None) -> Any:
    """The parts joined from left to right; a part counts only where its mask says so."""
    total = parts[0]
    for k, p in enumerate(parts[1:]):
        joined = ufunc(total, p)
        total = joined if masks is None else np.where(masks[k], joined, total)
    return total


def _reduce(ufunc: np.ufunc, a: Any, out: Any, axis: Any = 0, dtype: Any = None, keepdims: Any = False,
            initial: Any = _NO_VALUE, where: Any = True) -> Any:
    v = aval(a)
    first, second = loop_dtypes(ufunc, v.dtype, out, dtype)
    axes = axes_of(axis, v.ndim) if v.ndim else ()
    rest = tuple([n for k, n in enumerate(v.shape) if k not in axes])

    def rows(x: Any) -> Any:
        return np.reshape(np.moveaxis(x, axes, range(len(axes))), (count, *rest))

    count = int(np.prod([v.shape[k] for k in axes], dtype=int))
    moved = rows(a)
    parts = [cast(moved[k], second) for k in range(count)]
    if initial is not _NO_VALUE:
        parts.insert(0, np.broadcast_to(starting_value(initial, first), rest))
    elif ufunc.identity is not None and (not parts or where is not True or abs(ufunc.identity) < np.inf):
        # An infinite identity changes no value, and has no derivative.
        parts.insert(0, np.full(rest, ufunc.identity, first))
    else:
        parts[0] = cast(parts[0], first)
    masks = None if where is True else rows(np.broadcast_to(mask_of(where), v.shape))
    total = _fold(ufunc, parts, masks)
    return np.expand_dims(total, axes) if keepdims and axes else scalar(total)


def _accumulate(ufunc: np.ufunc, a: Any, out: Any, axis: Any = 0, dtype: Any = None) -> Any:
    axis = int(static(axis))
    first, second = loop_dtypes(ufunc, aval(a).dtype, out, dtype)
    if ufunc is np.add:
        return np.cumsum(a, axis=axis, dtype=first)
    if ufunc is np.multiply:
        return np.cumprod(a, axis=axis, dtype=first)
    moved = np.moveaxis(a, axis, 0)
    steps: list[Any] = []
    for k in range(moved.shape[0]):
        steps.append(ufunc(steps[-1], cast(moved[k], second)) if steps else cast(moved[k], first))
    return np.stack(steps, axis=axis) if steps else cast(a, first)


def _reduceat(ufunc: np.ufunc, a: Any, out: Any, indices: Any, axis: Any = 0, dtype: Any = None) -> Any:
    axis = int(static(axis))
    first, second = loop_dtypes(ufunc, aval(a).dtype, out, dtype)
    moved = np.moveaxis(a, axis, 0)
    n = moved.shape[0]
    cuts = np.asarray(static(indices)).tolist()
    parts = []
    for start, stop in zip(cuts, [*cuts[1:], n], strict=True):
        rest = [cast(moved[k], second) for k in range(start + 1, stop)]
        parts.append(_fold(ufunc, [cast(moved[start], first), *rest]))
    return np.stack(parts, axis=axis) if parts else np.moveaxis(cast(moved[:0], first), 0, axis)


_FOLDS: dict[str, Callable[..., Any]] = {"reduce": _reduce, "accumulate": _accumulate, "reduceat": _reduceat}


def _outer(ufunc: np.ufunc, a: Any, b: Any, **kwargs: Any) -> Any:
    b = operand(b)
    if kwargs.get("out") is not None:  # NumPy finds every fault, on ones
        with np.errstate(all="ignore"):
            ufunc.outer(_ones(a), _ones(b), out=blank(kwargs["out"]))
    return ufunc(np.reshape(a, tuple(shape_of(a)) + (1,) * len(shape_of(b))), b, **kwargs)


# ---------------------------------------------------------------------- in place, at places that may repeat


def _at(ufunc: np.ufunc, a: Any, indices: Any, *values: Any) -> None:
    if not isinstance(a, Handle):
        for tracked in (*values, indices):
            if is_tracked(tracked):
                raise outside_write(f"{numpy_name(ufunc)}.at", a, tracked)
        a_plain: Any = a
        ufunc.at(a_plain, innermost(indices), *[innermost(b) for b in values])
        return
    target: Any = a
    target._sync()
    if is_scalar(target):
        raise TypeError("first operand must be array")
    if not target._writable():
        raise ValueError("array to perform in place operation on is read-only")
    template, arrays = parse_index(indices)
    values = tuple([operand(b) for b in values])
    # NumPy checks dtypes, and that the values fit their places.
    spots = bind(getitem_p, (numbered(target), *arrays), {"index": template})
    with np.errstate(all="ignore"):
        every: Any = ...
        ufunc.at(np.ones(shape_of(spots), target.dtype), every, *[_ones(b) for b in values])
    if ufunc in (np.add, np.subtract) and target.dtype.kind in "fc":
        v = cast(values[0], target.dtype)
        v = np.negative(v) if ufunc is np.subtract else v
        v = np.broadcast_to(v, shape_of(spots)) if is_basic(template) else v
        target._assign(bind(index_add_p, (snapshot(target), v, *arrays), {"index": template}))
        return
    # Any other ufunc: element after element, in the order NumPy takes them.
    spread = [np.ravel(np.broadcast_to(b, shape_of(spots))) for b in values]
    spots = np.ravel(spots)
    places: list[Any] = [spots[k] for k in range(spots.size)] if per_example(spots) else np.asarray(
        innermost(spots)).tolist()
    flat = np.ravel(snapshot(target))
    flat = constant(flat) if not isinstance(flat, Handle) else np.copy(flat)
    for k, spot in enumerate(places):
        flat[spot] = ufunc(flat[spot], *[b[k] for b in spread])
    target[...] = np.reshape(flat, target.shape)


services["ufunc_method"] = call_method

__all__ = ["call_method"]
