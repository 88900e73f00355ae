"""Joining arrays, splitting them, and putting in or taking out parts along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from npdiff.avals import ndarray
from npdiff.core import Handle, aval, bind, services
from npdiff.dispatch.common import in_c_or_f_order, in_c_order
from npdiff.dispatch.declare import composite, function, operand, since, static, write_out
from npdiff.dispatch.manipulation import concatenate_p, ravel
from npdiff.dispatch.operands import numbered, operands, phantom, picked
from npdiff.dispatch.storing import converted

# ---------------------------------------------------------------------- joining


def _common(arrays: Sequence[Any], dtype: Any, casting: str) -> list[Any]:
    if dtype is None:
        return list(arrays)
    for a in arrays:
        if not np.can_cast(aval(a).dtype, dtype, casting):  # type: ignore[arg-type]
            raise TypeError(f"Cannot cast array data from {aval(a).dtype!r} to {np.dtype(dtype)!r} according to the "
                            f"rule '{casting}'")
    return [services["astype"](a, np.dtype(dtype), "unsafe", False) for a in arrays]


@function(np.concatenate, "linear", concatenate_p, cases=(
    "(A(2, 3), A(1, 3))", "[A(2, 1), A(2, 3)], 1", "(A(2), A(2, 2)), axis=None", "(A(2), C(3)), -1", "(A(2), I(3))",
    "(A(2), A(0))", "(A(2), A(1)), dtype=np.float32", "A(2, 3)"))
def concatenate(arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None,
                casting: Any = "same_kind") -> Any:
    parts = operands(arrays)
    if axis is None:
        parts, axis = [ravel(a) if isinstance(a, Handle) else np.ravel(a) for a in parts], 0
    if not parts:
        np.concatenate([])  # NumPy's own error
    if not all(aval(p).ndim for p in parts):
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    axis = normalize_axis_index(static(axis), aval(parts[0]).ndim)
    if len({(s[:axis], s[axis + 1:]) for s in [aval(p).shape for p in parts]}) != 1:
        np.concatenate([phantom(p) for p in parts], axis)  # NumPy's own error
    parts = _common(parts, dtype, casting)
    return write_out(bind(concatenate_p, parts, {"axis": axis}), out, "np.concatenate", casting)


@composite(np.stack, cases=(
    "(A(3), A(3))", "(A(2, 3), A(2, 3)), 1", "[A(3), A(3), A(3)], axis=-1", "(A(), A())", "A(2, 3)",
    "(A(2), 1.0 * I(2))"))
def stack(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    parts = operands(arrays)
    if len({aval(p).shape for p in parts}) != 1:
        np.stack([phantom(p) for p in parts])  # NumPy's own error
    axis = normalize_axis_index(static(axis), aval(parts[0]).ndim + 1)
    return np.concatenate([np.expand_dims(p, axis) for p in parts], axis=axis, out=out, dtype=dtype, casting=casting)


@composite(np.vstack,
           cases=("(A(3), A(3))", "(A(2, 3), A(3))", "[A(), A()]", "A(2, 3)", "(A(2), A(2)), dtype=complex"))
def vstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    return np.concatenate([np.atleast_2d(a) for a in operands(tup)], axis=0, dtype=dtype, casting=casting)


composite("row_stack", notes="an older name of np.vstack", until="2.5",
          warns="`row_stack` alias is deprecated. Use `np.vstack` directly.")(vstack)


@composite(np.hstack, cases=(
    "(A(3), A(2))", "(A(2, 1), A(2, 3))", "[A(), A()]", "A(2, 3)", "(A(2), A(2)), dtype=complex"))
def hstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    parts = [np.atleast_1d(a) for a in operands(tup)]
    axis = 0 if parts and aval(parts[0]).ndim == 1 else 1
    return np.concatenate(parts, axis=axis, dtype=dtype, casting=casting)


@composite(np.dstack,
           cases=("(A(3), A(3))", "(A(2, 3), A(2, 3))", "(A(2, 3, 1), A(2, 3, 2))", "A(2, 3)"))
def dstack(tup: Any) -> Any:
    return np.concatenate([np.atleast_3d(a) for a in operands(tup)], axis=2)


@composite(np.column_stack, cases=("(A(3), A(3))", "(A(3, 2), A(3))", "A(2, 3)", "[A(), A()]"))
def column_stack(tup: Any) -> Any:
    parts = [a if aval(a).ndim >= 2 else np.reshape(a, (-1, 1)) for a in operands(tup)]
    return np.concatenate(parts, axis=1)


@composite(np.block, cases=(
    "[[A(2, 2), A(2, 1)], [A(1, 2), A(1, 1)]]", "[A(2), A(3), 1.0]", "[A(2), A(2)]", "A(2, 3)", "[[A(2)], [A(2)]]",
    "[[[A(2, 1, 2)]], [[A(1, 1, 2)]]]"))
def block(arrays: Any) -> Any:
    np.block(phantom(_operand_leaves(arrays)))  # NumPy's own errors for nestings and shapes that do not fit
    deepest = _depth(arrays)
    ndim = max([deepest, *[aval(operand(a)).ndim for a in _flat(arrays)]])

    def joined(item: Any, depth: int) -> Any:
        if depth < deepest:
            return np.concatenate([joined(i, depth + 1) for i in item], axis=depth - deepest)
        a = operand(item)
        return np.expand_dims(a, tuple(range(ndim - aval(a).ndim)))

    return joined(arrays, 0) if deepest else np.copy(operand(arrays), order="C")


def _is_list(item: Any) -> bool:
    return type(item) is list


def _operand_leaves(item: Any) -> Any:
    return [_operand_leaves(i) for i in item] if _is_list(item) else operand(item)


def _depth(item: Any) -> int:
    return 1 + _depth(item[0]) if _is_list(item) else 0


def _flat(item: Any) -> list[Any]:
    return [leaf for i in item for leaf in _flat(i)] if _is_list(item) else [item]


@composite(np.append, cases=(
    "A(2, 3), A(2)", "A(2, 3), A(1, 3), axis=0", "A(2, 3), A(2, 2), -1", "A(2), 1.0", "A(), A()"))
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    arr, values = operand(arr), operand(values)
    if axis is None:
        arr, values, axis = np.ravel(arr), np.ravel(values), 0
    return np.concatenate((arr, values), axis=axis)


# ---------------------------------------------------------------------- splitting: views of the parts


def _parts(a: Any, cuts: Any, axis: int) -> list[Any]:
    """The pieces of `a` between positions along an axis, as views."""
    lead = (slice(None),) * axis
    return [a[(*lead, slice(start, stop))] for start, stop in pairwise([0, *cuts, aval(a).shape[axis]])]


def _split(numpy_split: Any, ary: Any, indices_or_sections: Any, axis: Any) -> list[Any]:
    a = operand(ary)
    sections = static(indices_or_sections)
    axis = static(axis)
    pieces = numpy_split(phantom(a), sections, axis)  # NumPy checks, and cuts an array without data
    axis = normalize_axis_index(axis, aval(a).ndim)
    if np.ndim(sections):
        return _parts(a, [int(i) for i in sections], axis)
    return _parts(a, np.cumsum([p.shape[axis] for p in pieces])[:-1].tolist(), axis)


@composite(np.array_split, cases=("A(7), 3", "A(2, 5), 2, axis=1", "A(5), [1, 3]", "A(5, 2), [2, 9], 0", "A(3), [-1]"))
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    return _split(np.array_split, ary, indices_or_sections, axis)


@composite(np.split, captured="", cases=("A(6), 3", "A(2, 4), 2, axis=-1", "A(5), [1, 3]", "A(5), (3, 1)"))
def split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    return _split(np.split, ary, indices_or_sections, axis)


def _split_rows(name: str, first: int) -> Any:
    """np.hsplit, np.vsplit and np.dsplit: a split along an axis that the name says."""
    numpy_split = getattr(np, name)

    def impl(ary: Any, indices_or_sections: Any) -> Any:
        axis = first if aval(operand(ary)).ndim > first else 0
        return _split(lambda a, sections, _axis: numpy_split(a, sections), ary, indices_or_sections, axis)

    impl.__name__ = name
    return impl


composite(np.hsplit, captured="", cases=("A(4), 2", "A(2, 4), 2", "A(2, 4), [1, 3]", "A(2, 4, 2), [1]"))(
    _split_rows("hsplit", 1))
composite(np.vsplit, captured="", cases=("A(4, 2), 2", "A(4, 2), [1, 3]", "A(2, 2, 2), 2"))(_split_rows("vsplit", 0))
composite(np.dsplit, captured="", cases=("A(2, 2, 4), 2", "A(1, 2, 4), [1, 3]"))(_split_rows("dsplit", 2))


@composite("unstack", captured="", since="2.1", cases=("A(2, 3)", "A(2, 3), axis=1", "A(2, 3, 2), axis=-1", "A(3)"))
def unstack(x: Any, /, *, axis: Any = 0) -> Any:
    x = operand(x)
    if not aval(x).ndim:
        raise ValueError("Input array must be at least 1-d.")
    moved = np.moveaxis(x, axis, 0)
    return tuple([moved[k] for k in range(moved.shape[0])])



# ---------------------------------------------------------------------- repeating


@composite(np.tile, captured="made", cases=(
    "A(3), 2", "A(2, 3), (2, 1)", "A(3), (2, 2)", "A(2, 3), 2", "A(), (2, 3)", "A(3), 0", "A(2, 2), ()"))
def tile(A: Any, reps: Any) -> Any:
    a = operand(A)
    reps = static(reps)
    reps = tuple([int(r) for r in reps]) if isinstance(reps, (tuple, list, ndarray)) else (int(reps),)
    shape = aval(a).shape
    ndim = max(len(reps), len(shape))
    reps = (1,) * (ndim - len(reps)) + reps
    shape = (1,) * (ndim - len(shape)) + shape
    if all(r == 1 for r in reps):
        return np.copy(np.reshape(a, shape))
    apart = np.reshape(a, tuple([n for s in shape for n in (1, s)]))
    spread = np.broadcast_to(apart, tuple([n for r, s in zip(reps, shape, strict=True) for n in (r, s)]))
    # A copy even where the broadcast needs none: NumPy's result has memory of its own.
    return np.copy(np.reshape(spread, tuple([r * s for r, s in zip(reps, shape, strict=True)])), order="C")


@composite(np.repeat, captured="made", cases=(
    "A(3), 2", "A(2, 3), 2", "A(2, 3), 2, axis=0", "A(2, 3), [1, 0, 2], axis=-1", "A(2, 3), [2], 1", "A(), 3",
    "A(3), 0", "A(3), [1, 2, 0]"))
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    a = operand(a)
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = normalize_axis_index(static(axis), aval(a).ndim)
    repeats = static(repeats)
    shape = aval(a).shape
    n = shape[axis]
    if np.size(repeats) == 1:
        count = np.repeat(np.empty(1, bool), repeats).size  # NumPy's own errors for what is no count
        spread = np.broadcast_to(np.expand_dims(a, axis + 1), (*shape[: axis + 1], count, *shape[axis + 1:]))
        return np.copy(np.reshape(spread, (*shape[:axis], n * count, *shape[axis + 1:])))
    return in_c_order(a[(slice(None),) * axis + (np.repeat(np.arange(n), repeats),)])


@composite(np.resize,
           cases=("A(3), (2, 4)", "A(2, 3), 4", "A(2, 2), (3, 3)", "A(0), 3", "A(3), (0, 2)", "A(), 2"))
def resize(a: Any, new_shape: Any) -> Any:
    a = operand(a)
    spots = np.resize(numbered(a), static(new_shape))
    return picked(a, spots) if aval(a).size else np.zeros_like(a, shape=spots.shape)


# ---------------------------------------------------------------------- putting in and taking out


@composite(np.delete, cases=(
    "A(4), 1", "A(2, 3), 0, axis=1", "A(4), [0, -1]", "A(2, 3), slice(0, 2), -1", "A(2, 3), 2", "A(4), B(4)",
    "A(3), []"))
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    a = operand(arr)
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = normalize_axis_index(static(axis), aval(a).ndim)
    n = aval(a).shape[axis]
    line = np.arange(n).reshape([n if k == axis else 1 for k in range(aval(a).ndim)])
    rest = a[(slice(None),) * axis + (np.delete(line, static(obj), axis).ravel(),)]
    # (Several places in a list or mask are left out by an index, which puts its axis outermost.)
    return in_c_or_f_order(rest, a) if isinstance(obj, slice) or np.ndim(static(obj)) == 0 else rest


@composite(np.insert, cases=(
    "A(3), 1, 5.0", "A(3), 1, A()", "A(2, 3), 1, A(2), axis=1", "A(2, 3), [0, 2], A(2, 2), axis=1",
    "A(3), [0, 0, 3], A(3)",
    "A(2, 3), 1, A(3), axis=0", "A(2, 3), slice(0, 2), A(2)", "A(2, 2), -1, 1.0, -1", *since("2.1", "A(3), B(3), 2.0")))
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    a = operand(arr)
    v = converted(values, aval(a).dtype)
    if axis is None:
        a, axis = np.ravel(a), 0
    # NumPy lays out numbered places, and the elements are put there.
    spots = np.insert(numbered(a), static(obj), numbered(v) + aval(a).size, static(axis))
    pool = np.concatenate([np.ravel(a), np.ravel(v)])
    return in_c_or_f_order(picked(pool, spots), a)
