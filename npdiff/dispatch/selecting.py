"""Picking elements by index, mask or condition; functions applied along axes; index arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from npdiff.array import is_scalar
from npdiff.avals import ndarray
from npdiff.core import Handle, Primitive, aval, bind, constant, innermost, services, shape_of
from npdiff.dispatch.common import in_c_order, laid_out
from npdiff.dispatch.declare import composite, function, operand, point, since, static, write_out
from npdiff.dispatch.operands import anywhere, check_out, operands, phantom
from npdiff.dispatch.rules import align, constant_primitive
from npdiff.errors import BranchError, message
from npdiff.foreign import filled

# ---------------------------------------------------------------------- where the nonzero elements are


def _nonzero_batch(_size: int, args: Sequence[Any], _batched: Sequence[bool], _params: dict[str, Any]) -> Any:
    raise BranchError(message(
        "np.nonzero: the number of nonzero elements differs along the vmapped axis", *args,
        instead="use np.where(condition, x, 0), or loop over the examples instead of vmap"))


nonzero_p = constant_primitive("nonzero", None, impl=np.nonzero, multiple=True, dynamic=True, batch=_nonzero_batch)


@function(np.nonzero, "nondifferentiable", nonzero_p, cases=("B(4)", "I(2, 3, high=2)", "A(3) > 0"))
def nonzero(a: Any) -> Any:
    a = operand(a)
    if not aval(a).ndim:
        np.nonzero(np.asarray(phantom(a)))  # NumPy's own error, or its warning before 2.1
        a = np.reshape(a, (1,))
    return bind(nonzero_p, (a,), {})


@composite(np.flatnonzero, cases=("B(2, 3)", "I(4, high=2)"))
def flatnonzero(a: Any) -> Any:
    return np.nonzero(np.ravel(operand(a)))[0]


@composite(np.argwhere, cases=("B(2, 3)", "I(4, high=2)", "B()"))
def argwhere(a: Any) -> Any:
    a = operand(a)
    if not aval(a).ndim:
        return np.argwhere(np.atleast_1d(a))[:, :0]
    return np.stack(np.nonzero(a), axis=-1)


# ---------------------------------------------------------------------- by index


def in_range(indices: Any, n: int, mode: str) -> Any:
    """Index arrays as np.take and its kin read them: wrapped, clipped or left to raise."""
    if mode == "wrap":
        return np.remainder(indices, n)
    if mode == "clip":
        return np.minimum(np.maximum(indices, 0), n - 1)
    return indices


@composite(np.take, cases=(
    "A(4), [0, 2, -1]", "A(2, 3), [0, 4]", "A(2, 3), [[0, 2], [1, 1]], axis=1", "A(2, 3), 1, axis=0", "A(4), 2",
    "A(4), [-7, 9], mode='wrap'", "A(2, 3), [-7, 9], 1, None, 'clip'", "A(2, 3, 2), I(2, 2, high=3), -2",
    "A(3), [True]"))
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: Any = "raise") -> Any:
    typed = isinstance(indices, (Handle, ndarray, np.generic))  # lists and Python numbers are cast without a check
    a, indices = operand(a), operand(indices)
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = normalize_axis_index(static(axis), aval(a).ndim)
    n = aval(a).shape[axis]
    # A single index of this kind lets NumPy check dtype and mode.
    kind = aval(indices)
    np.take(np.empty(1), np.zeros((1,) * kind.ndim, kind.dtype if typed and not kind.weak else int), mode=mode)
    shape = aval(a).shape
    shape = (*shape[:axis], *kind.shape, *shape[axis + 1:])
    if kind.size and not (n and np.prod(shape, dtype=int)):
        np.take(np.empty(aval(a).shape), innermost(indices), axis, mode=mode)  # whether NumPy looks at the indices
        return write_out(np.reshape(a, shape), out, "np.take")
    if aval(indices).dtype.kind not in "iu":
        indices = services["astype"](indices, np.intp)
    spots = np.reshape(in_range(indices, n, mode) if n else indices, (-1,))
    picked = in_c_order(a[(slice(None),) * axis + (spots,)])
    result = np.reshape(picked, shape)
    return write_out(result if shape_of(result) else result[()], out, "np.take")


def along_index(arr: Any, indices: Any, axis: int) -> tuple[Any, ...]:
    """The index that picks ``indices`` along `axis`, and the same place along all others."""
    ndim = aval(arr).ndim
    spread = [np.arange(n).reshape([n if j == k else 1 for j in range(ndim)]) for k, n in enumerate(aval(arr).shape)]
    return tuple([indices if k == axis else spread[k] for k in range(ndim)])


def _checked_along(arr: Any, indices: Any, axis: Any) -> tuple[Any, Any, int]:
    arr, indices = operand(arr), operand(indices)
    axis = static(axis)
    # Indices that are all zero let NumPy check everything but their range.
    np.take_along_axis(phantom(arr), np.zeros(aval(indices).shape, aval(indices).dtype), axis)
    if axis is None:
        return np.ravel(arr), indices, 0
    return arr, indices, normalize_axis_index(axis, aval(arr).ndim)


@composite(np.take_along_axis, captured="", cases=(
    *since("2.3", "A(3, 4), I(3, 2, high=4)"), "A(3, 4), I(2, 4, high=3), axis=0", "A(2, 3), I(2, high=6), None",
    "A(1, 3), I(2, 2, high=3), 1",
    "A(2, 3, 2), I(2, 1, 2, high=3), axis=1", "A(3), I(2, high=3), 0", "A(2, 3), np.argsort(A(2, 3), axis=-1), -1"))
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    arr, indices, axis = _checked_along(arr, indices, axis)
    return arr[along_index(arr, indices, axis)]


@composite(np.compress, cases=(
    "[True, False, True], A(3)", "[0, 1], A(2, 3), axis=0", "[False, True], A(2, 3), -1",
    "[True, False, True], A(2, 3)"))
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    condition = operand(condition)
    if aval(condition).ndim != 1:
        np.compress(phantom(condition), [0])  # NumPy's own error
    return np.take(a, np.nonzero(condition)[0], axis=axis, out=out)


@composite(np.extract, cases=("B(4), A(4)", "B(2, 3), A(2, 3)", "A(3) > 0, A(3)"))
def extract(condition: Any, arr: Any) -> Any:
    return np.take(np.ravel(operand(arr)), np.nonzero(np.ravel(operand(condition)))[0])


# ---------------------------------------------------------------------- by condition


@composite(np.choose, cases=(
    "I(3, high=2), [A(3), A(3)]", "I(2, 3, high=3), (A(3), A(2, 1), 1.0)", "I(3, high=4), A(2, 3), mode='wrap'",
    "I(3, high=4), [A(3), A(3)], mode='clip'", "1, [A(2), A(2)]"))
def choose(a: Any, choices: Any, out: Any = None, mode: Any = "raise") -> Any:
    a, parts = operand(a), operands(choices)
    np.choose(np.zeros((), aval(a).dtype), [0], mode=mode)  # NumPy checks dtype and mode
    n = len(parts)
    if mode == "raise" and anywhere(np.logical_or(np.less(a, 0), np.greater_equal(a, n))):
        raise ValueError("invalid entry in choice array")
    dtype = np.result_type(*[phantom(p) for p in parts])
    try:
        np.broadcast_shapes(*[aval(x).shape for x in (a, *parts)])
    except ValueError:
        np.choose(np.zeros(aval(a).shape, int), [phantom(p) for p in parts])  # NumPy's own error
    a, *parts = np.broadcast_arrays(in_range(a, n, mode), *[services["astype"](p, dtype) for p in parts])
    picked = np.take_along_axis(np.stack(parts), np.expand_dims(a, 0), axis=0)[0]
    picked = in_c_order(picked) if aval(picked).ndim else picked
    check_out(np.choose, out, np.zeros(aval(a).shape, int), [phantom(p) for p in parts])
    return write_out(picked, out, "np.choose", "unsafe")


@composite(np.select, points=(
    point("what is not taken passes nothing", "f([x > 0], [np.log(x)], 0)", [0.0, 1.0], [0, 1], [0, -1]),), cases=(
    "[B(3), B(3)], [A(3), A(3)]", "[B(2, 3)], [A(3)], 2.0", "[A(3) > 0, A(3) > -1], [2.0, A(3)], default=1",
    "[B(3)], [C(3)]", "[True, B(3)], [A(), A(3)]"))
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    conditions, choices, rest = operands(condlist), operands(choicelist), operand(default)
    like = np.select([phantom(c) for c in conditions], [phantom(c) for c in choices], phantom(rest))
    out, *choices = [services["astype"](v, like.dtype, "unsafe", False) for v in (rest, *choices)]
    for condition, choice in zip(conditions[::-1], choices[::-1], strict=True):
        out = np.where(condition, choice, out)
    return in_c_order(out)


@composite(np.piecewise, cases=(
    "A(4), [A(4) > 0], [2.0, 1.0]", "A(2, 3), [B(2, 3), B(2, 3)], [np.sin, lambda v: v * v]",
    "A(4), [B(4)], [lambda v, s: s * v, lambda v, s: s - v], 3.0", "A(), B(), [np.sin, 0.0]", "A(3), B(3), [np.exp]"))
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    x = operand(x)
    if not aval(x).ndim:  # one number, as an array of one
        one = is_scalar(condlist) if isinstance(condlist, Handle) else np.isscalar(condlist)
        if not one:
            condlist[0]  # NumPy's own error for an array of no dimensions
        conditions = [np.reshape(services["astype"](c, bool), (1,)) for c in operands([condlist] if one else condlist)]
        return np.reshape(np.piecewise(np.reshape(x, (1,)), conditions, funclist, *args, **kw), ())
    single = np.isscalar(condlist) or (not isinstance(condlist[0], (list, ndarray)) and aval(x).ndim != 0)
    conditions = [services["astype"](c, bool) for c in operands([condlist] if single else condlist)]
    if len(conditions) == len(funclist) - 1:
        conditions.append(np.logical_not(np.any(np.stack(conditions), axis=0)))
    elif len(conditions) != len(funclist):
        n = len(conditions)
        raise ValueError(f"with {n} condition(s), either {n} or {n + 1} functions are expected")
    out = filled(aval(x).shape, 0, aval(x).dtype, x)
    out = out if isinstance(out, Handle) else constant(out)
    for condition, func in zip(conditions, funclist, strict=True):
        if not callable(func):
            out[condition] = func
            continue
        part = x[condition]
        if part.size:
            out[condition] = func(part, *args, **kw)
    return laid_out(out, x)


# ---------------------------------------------------------------------- along axes


@composite(np.apply_along_axis, cases=(
    "np.sum, 0, A(2, 3)", "lambda v: v * v[0], 1, A(2, 3)", "lambda v: np.outer(v, v), -1, A(2, 3)",
    "lambda v, s: s * v[:2], 0, A(3, 2), 2.0"))
def apply_along_axis(func1d: Any, axis: Any, arr: Any, *args: Any, **kwargs: Any) -> Any:
    arr = operand(arr)
    n = aval(arr).ndim
    axis = normalize_axis_index(static(axis), n)
    lines = np.moveaxis(arr, axis, -1)
    rest = aval(lines).shape[:-1]
    if 0 in rest:
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    results = [operand(func1d(lines[(*at, ...)], *args, **kwargs)) for at in np.ndindex(rest)]
    inner = aval(results[0]).shape
    whole = np.reshape(services["array"](results), (*rest, *inner))
    return np.moveaxis(whole, range(len(rest), len(rest) + len(inner)), range(axis, axis + len(inner)))


@composite(np.apply_over_axes, cases=(
    "np.sum, A(2, 3, 2), [0, 2]", "np.sum, A(2, 3), -1", "lambda a, k: np.flip(a, k), A(2, 3), (0, 1)"))
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    value = operand(a)
    n = aval(value).ndim
    for axis in np.atleast_1d(static(axes)).tolist():
        k = axis + n if axis < 0 else axis
        result = operand(func(value, k))
        if aval(result).ndim != n:
            result = np.expand_dims(result, k)
            if aval(result).ndim != n:
                raise ValueError("function is not returning an array of the correct shape")
        value = result
    return value


# ---------------------------------------------------------------------- index arithmetic


@composite(np.ix_, cases=("I(3), B(2)", "[0, 2], [1]", "A(2)"))
def ix_(*args: Any) -> Any:
    out = []
    for k, sequence in enumerate(args):
        a = operand(sequence)
        if aval(a).ndim != 1:
            raise ValueError("Cross index must be 1 dimensional")
        a = np.nonzero(a)[0] if aval(a).dtype.kind == "b" else a
        a = np.astype(np.asarray(a), np.intp) if not aval(a).size and not isinstance(a, Handle) else a
        out.append(np.reshape(a, (1,) * k + (-1,) + (1,) * (len(args) - k - 1)))
    return tuple(out)


@composite(np.meshgrid, captured="made", cases=(
    "A(3), A(2)", "A(3), A(2), indexing='ij'", "A(3), A(2), sparse=True", "A(2), A(1), A(3)", "A(3), 1.0", "A(3)",
    "A(3), A(2), copy=False"))
def meshgrid(*xi: Any, copy: Any = True, sparse: Any = False, indexing: Any = "xy") -> Any:
    arrays = operands(xi)
    n = len(arrays)
    np.meshgrid(indexing=indexing)  # NumPy's own error
    order = [1, 0, *range(2, n)] if indexing == "xy" and n > 1 else list(range(n))
    grids = [np.reshape(a, [-1 if j == k else 1 for j in range(n)]) for a, k in zip(arrays, order, strict=False)]
    if not sparse:
        grids = list(np.broadcast_arrays(*grids))
    return tuple([np.copy(g, order="C") for g in grids] if copy else grids)


def _index_batch(prim_of: Any) -> Any:
    return lambda _size, args, batched, params: prim_of().call(*align(args, batched), **params)


unravel_index_p: Primitive = constant_primitive(
    "unravel_index", None, impl=lambda a, *, shape, order: np.unravel_index(a, shape, order), multiple=True,
    batch=_index_batch(lambda: unravel_index_p))
ravel_multi_index_p: Primitive = constant_primitive(
    "ravel_multi_index", None, impl=lambda *a, dims, mode, order: np.ravel_multi_index(a, dims, mode, order),
    batch=_index_batch(lambda: ravel_multi_index_p))


@function(np.unravel_index, "nondifferentiable", unravel_index_p, cases=(
    "I(3, high=6), (2, 3)", "np.argmax(A(2, 3)), (2, 3)", "I(2, 2, high=4), 4", "I(3, high=6), (2, 3), order='F'"))
def unravel_index(indices: Any, shape: Any, order: Any = "C") -> Any:
    return bind(unravel_index_p, (operand(indices),), {"shape": static(shape), "order": order})


@function(np.ravel_multi_index, "nondifferentiable", ravel_multi_index_p, cases=(
    "(I(3, high=2), I(3, high=3)), (2, 3)", "(I(3, high=5), 1), (2, 3), mode='wrap'",
    "(1, I(3, high=2)), (2, 3), 'clip', 'F'"))
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: Any = "C") -> Any:
    return bind(ravel_multi_index_p, operands(multi_index), {"dims": static(dims), "mode": mode, "order": order})
