"""Shape, order, copies and casts: the primitives that move elements, and the rows they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from npdiff.array import is_scalar, is_weak, layout, snapshot, view_of
from npdiff.avals import ndarray
from npdiff.core import NOTHING, VALUE, Handle, Primitive, aval, bind, own_primitive, services, shape_of
from npdiff.dispatch.declare import composite, function, operand, point, since, static
from npdiff.dispatch.rules import batch_elementwise, linear_primitive
from npdiff.errors import warn_user

# ---------------------------------------------------------------------- primitives


def _reshape_impl(a: Any, *, shape: tuple[int, ...]) -> Any:
    return np.asarray(a).reshape(shape)


def _reshape_batch(size: int, args: Sequence[Any], _batched: Sequence[bool], params: dict[str, Any]) -> Any:
    return reshape_p.call(args[0], shape=(size, *params["shape"]))


def _transpose_batch(_size: int, args: Sequence[Any], _batched: Sequence[bool], params: dict[str, Any]) -> Any:
    return transpose_p.call(args[0], axes=(0, *[k + 1 for k in params["axes"]]))


def _broadcast_batch(size: int, args: Sequence[Any], _batched: Sequence[bool], params: dict[str, Any]) -> Any:
    (a,), shape = args, params["shape"]
    s = tuple(shape_of(a))
    a = np.reshape(a, (size,) + (1,) * (len(shape) - len(s) + 1) + s[1:])
    return broadcast_to_p.call(a, shape=(size, *shape))


def _broadcast_transpose(ct: Any, a: Any, *, shape: tuple[int, ...]) -> Any:
    extra = len(shape) - len(a.shape)
    axes = tuple(range(extra)) + tuple([k + extra for k, n in enumerate(a.shape) if n == 1 and shape[k + extra] != 1])
    return np.reshape(np.sum(ct, axis=axes), a.shape) if axes else ct


def _concatenate_transpose(ct: Any, *arrays: Any, axis: int) -> Any:
    parts, start = [], 0
    for a in arrays:
        stop = start + a.shape[axis]
        parts.append(ct[(slice(None),) * axis + (slice(start, stop),)])
        start = stop
    return tuple(parts)


def _one_after_another(a: Any, size: int, batched: bool) -> Any:
    """A batch of `a` in which each example has memory of its own, as it would lie alone: where a result that is made
    of several lies follows from it.
    """
    steps = [abs(s) for s in (layout(a) if isinstance(a, Handle) else a).strides]
    if batched and steps[0] == max(steps):
        return a
    own = steps[1:] if batched else steps
    order = np.argsort([-s for s in own], kind="stable").tolist()
    whole = np.transpose(a, [0, *[k + 1 for k in order]]) if batched else np.transpose(a, order)
    whole = np.copy(np.broadcast_to(whole, (size, *shape_of(whole)[batched:])), order="C")
    return np.transpose(whole, [0, *[1 + order.index(k) for k in range(len(own))]])


def _concatenate_batch(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    whole = [_one_after_another(a, size, b) for a, b in zip(args, batched, strict=True)]
    return concatenate_p.call(*whole, axis=params["axis"] + 1)


reshape_p: Primitive = linear_primitive("reshape", None, lambda ct, a, shape: np.reshape(ct, a.shape),
                                        impl=_reshape_impl, batch=_reshape_batch)
transpose_p: Primitive = linear_primitive(
    "transpose", None, lambda ct, a, axes: np.transpose(ct, tuple(np.argsort(axes).tolist())),
    impl=lambda a, *, axes: np.transpose(a, axes), batch=_transpose_batch)
broadcast_to_p: Primitive = linear_primitive("broadcast_to", None, _broadcast_transpose,
                                  impl=lambda a, *, shape: np.broadcast_to(a, shape), batch=_broadcast_batch)
concatenate_p: Primitive = linear_primitive("concatenate", None, _concatenate_transpose,
                                 impl=lambda *arrays, axis: np.concatenate(arrays, axis=axis),
                                 batch=_concatenate_batch)


def _where_jvp(_y: Any, primals: Any, tangents: Any) -> Any:
    (c, a, b), (_, ta, tb) = primals, tangents
    if ta is None and tb is None:
        return None
    ta, tb = (np.zeros((), aval(x).dtype) if t is None else t for x, t in ((a, ta), (b, tb)))
    return where_p.call(c, ta, tb)


# A selection, not a product with the mask: what is not taken may be infinite or NaN.
where_p: Primitive = own_primitive(
    "where", lambda c, a, b: np.where(c, a, b), kind="elementwise", jvp=_where_jvp, saves=(NOTHING, VALUE, NOTHING),
    terms=(None, lambda ct, _y, c, _a, _b: where_p.call(c, ct, 0.0),
           lambda ct, _y, c, _a, _b: where_p.call(c, 0.0, ct)),
    batch=batch_elementwise(lambda: where_p))
copy_p: Primitive = linear_primitive("copy", None, lambda ct, a, order="K": ct, kind="elementwise",
                          impl=lambda a, *, order="K": np.array(a, order=order),
                          batch=lambda _size, args, _batched, params: copy_p.call(*args, **params))


def _astype_transpose(ct: Any, a: Any, *, dtype: Any) -> Any:
    return ct  # reverse mode brings every cotangent to its operand's dtype


astype_p: Primitive = linear_primitive("astype", None, _astype_transpose, kind="elementwise",
                            impl=lambda a, *, dtype: np.asarray(a).astype(dtype)[()] if not isinstance(a, ndarray)
                            else a.astype(dtype),
                            batch=lambda _size, args, _batched, params: astype_p.call(*args, **params))

# ---------------------------------------------------------------------- shape


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    out = [0] * len(axes)
    for i, k in enumerate(axes):
        out[k] = i
    return tuple(out)


def permuted(a: Any, axes: tuple[int, ...]) -> Any:
    """A view of `a` with its axes in another order."""
    a = operand(a)
    if not isinstance(a, Handle):
        return np.transpose(a, axes)
    if axes == tuple(range(len(axes))) and is_scalar(a):
        return a
    return view_of(a, lambda base: bind(transpose_p, (base,), {"axes": axes}),
                   lambda _base, new: bind(transpose_p, (new,), {"axes": _inverse(axes)}))


def reshaped(a: Any, shape: tuple[int, ...]) -> Any:
    """`a` in a new shape that keeps C order: a view where NumPy gives one."""
    a = operand(a)
    if not isinstance(a, Handle):
        return np.reshape(a, shape)
    old = aval(a).shape
    if not shape and is_scalar(a) and not is_weak(a):
        return snapshot(a)  # a NumPy scalar stays one
    if is_scalar(a) or not _shares_memory(a, shape):
        return bind(reshape_p, (a,), {"shape": shape})
    return view_of(a, lambda base: bind(reshape_p, (base,), {"shape": shape}),
                   lambda _base, new: bind(reshape_p, (new,), {"shape": old}))


def _shares_memory(a: Any, shape: tuple[int, ...]) -> bool:
    """Whether NumPy's reshape of an array of this layout is a view."""
    plain = layout(a)
    return bool(np.may_share_memory(plain.reshape(shape), plain)) or plain.size == 0


def _target_shape(name: str, a: Any, shape: Any) -> tuple[int, ...]:
    shape = static(shape)
    target = tuple([int(n) for n in shape]) if isinstance(shape, (tuple, list, ndarray)) else (int(shape),)
    if any(n < 0 for n in target) or int(np.prod(target, dtype=int)) != aval(a).size:
        phantom = np.broadcast_to(np.zeros((), bool), aval(a).shape)
        return phantom.reshape(target).shape  # NumPy fills in -1 and raises its own errors
    return target


@function(np.reshape, "linear", reshape_p, cases=(
    "A(2, 3), (3, 2)", "A(6), (2, -1)", "A(2, 3), -1, order='F'", "A(2, 3, 2), (4, 3), order='F'", "A(2, 3).T, 6",
    *since("2.1", "A(4), (2, 2), copy=True"), "C(2, 2), 4", "A(0, 3), (3, 0)",
    "A(), (1, 1)"), retired={"newshape": "shape"})
def reshape(a: Any, /, shape: Any, order: Any = "C", *, copy: Any = None) -> Any:
    a = operand(a)
    target = _target_shape("np.reshape", a, shape)
    if copy is False and isinstance(a, Handle):
        np.reshape(layout(a), target, order=order, copy=False)  # NumPy says whether it can be a view
    if order == "A":
        order = "F" if isinstance(a, Handle) and _fortran(a) else "C"
    if order == "F":
        turned = reshaped(np.transpose(a), target[::-1])
        result = np.transpose(turned)
    else:
        result = reshaped(a, target)
    if copy is True:
        return np.copy(result)
    return result


def _fortran(a: Any) -> bool:
    flags = layout(a).flags
    return bool(flags.f_contiguous and not flags.c_contiguous)


def _memory_order(strides: Sequence[int]) -> tuple[int, ...]:
    """Axes from the widest stride to the narrowest; axes of stride zero stay where they are, as in NumPy's loops."""
    order: list[int] = []
    for axis, stride in enumerate(strides):
        at = len(order)
        for k in reversed(range(len(order))):
            if stride and strides[order[k]]:
                if abs(strides[order[k]]) >= abs(stride):
                    break
                at = k
        order.insert(at, axis)
    return tuple(order)


@function(np.ravel, "linear", reshape_p, cases=(
    "A(2, 3)", "A(2, 3), 'F'", "A(2, 3), 'K'", "A(2, 3), order='A'", "A()", "A(0, 2)", "C(2, 2)"))
def ravel(a: Any, order: Any = "C") -> Any:
    a = operand(a)
    if order == "K":
        strides = layout(a).strides if isinstance(a, Handle) and not is_scalar(a) else ()
        axes = _memory_order(strides)
        flat = reshape(permuted(a, axes) if axes else a, (-1,))
    else:
        flat = reshape(a, (-1,), order=order)
    if isinstance(flat, Handle) and not is_scalar(flat) and not layout(flat).flags.c_contiguous:
        return np.copy(flat)  # unlike reshape, ravel never gives a view with gaps
    return flat


@function(np.transpose, "linear", transpose_p, cases=(
    "A(2, 3)", "A(2, 3, 4), (1, 2, 0)", "A(2, 3, 4), (-1, 0, 1)", "A(3)", "C(2, 2)", "A()"))
def transpose(a: Any, axes: Any = None) -> Any:
    a = operand(a)
    if aval(a).weak:
        a = reshape(a, ())  # NumPy makes an array of a Python number, though not of a NumPy scalar
    n = aval(a).ndim
    if axes is None:
        order: tuple[int, ...] = tuple(range(n))[::-1]
    else:
        axes = static(axes)
        order = tuple(axes) if isinstance(axes, (tuple, list, ndarray)) else (axes,)
        if len(order) != n:
            raise ValueError("axes don't match array")
        order = normalize_axis_tuple(order, n)
    return permuted(a, order)


@composite(np.matrix_transpose, cases=("A(2, 3)", "A(2, 3, 4)", "C(2, 3)"))
def matrix_transpose(x: Any, /) -> Any:
    x = operand(x)
    if aval(x).ndim < 2:
        raise ValueError(f"Input array must be at least 2-dimensional, but it is {aval(x).ndim}")
    return np.swapaxes(x, -1, -2)


@composite(np.swapaxes, cases=("A(2, 3), 0, 1", "A(2, 3, 4), -1, 0", "A(2, 3), 1, 1"))
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    a = operand(a)
    n = aval(a).ndim
    i, j = normalize_axis_index(static(axis1), n, "axis1"), normalize_axis_index(static(axis2), n, "axis2")
    order = list(range(n))
    order[i], order[j] = j, i
    return permuted(a, tuple(order))


@composite(np.moveaxis, cases=("A(2, 3, 4), 0, -1", "A(2, 3, 4), (0, 1), (-1, -2)", "A(2, 3), [1], [0]"))
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    a = operand(a)
    n = aval(a).ndim
    source = normalize_axis_tuple(static(source), n, "source")
    destination = normalize_axis_tuple(static(destination), n, "destination")
    if len(source) != len(destination):
        raise ValueError("`source` and `destination` arguments must have the same number of elements")
    order = [k for k in range(n) if k not in source]
    for d, s in sorted(zip(destination, source, strict=True)):
        order.insert(d, s)
    return permuted(a, tuple(order))


@composite(np.expand_dims, cases=("A(3), 0", "A(2, 3), -1", "A(2, 3), (0, 2)", "A(), 0"))
def expand_dims(a: Any, axis: Any) -> Any:
    a = operand(a)
    axis = static(axis)
    axis = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    n = aval(a).ndim + len(axis)
    axes = normalize_axis_tuple(axis, n)
    sizes = iter(aval(a).shape)
    return reshaped(a, tuple([1 if k in axes else next(sizes) for k in range(n)]))


@composite(np.squeeze, cases=("A(1, 3, 1)", "A(1, 3, 1), 0", "A(1, 3, 1), axis=(0, -1)", "A(2, 3)"))
def squeeze(a: Any, axis: Any = None) -> Any:
    a = operand(a)
    shape = aval(a).shape
    if axis is None:
        axes = tuple([k for k, n in enumerate(shape) if n == 1])
    else:
        axis = static(axis)
        axes = normalize_axis_tuple(axis, len(shape))
        if any(shape[k] != 1 for k in axes):
            raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    if not axes and shape:
        return a  # as NumPy does, the array itself
    return reshaped(a, tuple([n for k, n in enumerate(shape) if k not in axes]))


@function(np.broadcast_to, "linear", broadcast_to_p, cases=(
    "A(3), (2, 3)", "A(2, 1), (2, 3)", "A(), (2, 2)", "A(1), 3", "A(1, 2, 1), (2, 2, 3)", "A(1, 3), (0, 3)"))
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    array = operand(array)
    if isinstance(array, Handle) and is_scalar(array):
        array = bind(reshape_p, (array,), {"shape": ()})  # the result is a read-only array in any case
    shape = static(shape)
    shape = tuple([int(n) for n in shape]) if isinstance(shape, (tuple, list)) else (int(shape),)
    if aval(array).shape != shape:
        np.broadcast_to(np.broadcast_to(np.zeros((), bool), aval(array).shape), shape)  # NumPy's own error
    return view_of(array, lambda base: bind(broadcast_to_p, (base,), {"shape": shape}), None)


# ---------------------------------------------------------------------- choosing, copying, casting


def where_three(condition: Any, x: Any, y: Any) -> Any:
    """``np.where`` with three arguments."""
    condition, x, y = operand(condition), operand(x), operand(y)
    if aval(condition).dtype.kind != "b":
        condition = np.not_equal(condition, 0)
    return bind(where_p, (condition, x, y), {})


@function(np.where, "elementwise", where_p, points=(
    point("what is not taken passes nothing, NaN and infinities included", "f(x > 0, x * np.sqrt(x) / x, 0)",
          [0.0, 4.0], [0, 0.25], [0, -0.03125]),
    point("what is not taken passes nothing: missing data",
          "f(np.isnan([np.nan, 1.0]), 0, (x - np.array([np.nan, 1.0])) ** 2)", [1.0, 3.0], [0, 4], [0, 2]),
), cases=(
    "B(2, 3), A(2, 3), A(3)", "B(3), A(), 1.0", "I(3), A(2, 3), C(3)", "B(3), 2, A(3)", "B(3)"))
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    if x is None and y is None:
        return np.nonzero(condition)
    if x is None or y is None:
        raise ValueError("either both or neither of x and y should be given")
    return where_three(condition, x, y)


@function(np.copy, "linear", copy_p, captured="made", cases=("A(2, 3)", "A(2, 3), 'F'", "A()", "C(2)"))
def copy(a: Any, order: Any = "K", subok: bool = False) -> Any:
    return bind(copy_p, (operand(a),), {"order": order} if order != "K" else {})


def cast(a: Any, dtype: Any, casting: Any = "unsafe", copy: bool = True) -> Any:
    """``a.astype(dtype)``."""
    dtype = np.dtype(dtype)
    a = operand(a)
    v = aval(a)
    if dtype.kind not in "biufc":
        raise services["no_dtype"](dtype, a)
    if not np.can_cast(v.dtype, dtype, casting):
        raise TypeError(f"Cannot cast array data from {v.dtype!r} to {dtype!r} according to the rule '{casting}'")
    if v.dtype == dtype and not v.weak:
        return (np.copy(a) if not is_scalar(a) else a) if copy and isinstance(a, Handle) else a
    if v.dtype.kind == "c" and dtype.kind not in "cb":
        warn_user("Casting complex values to real discards the imaginary part", np.exceptions.ComplexWarning)
        a = np.real(a)
    return bind(astype_p, (a,), {"dtype": dtype}) if isinstance(a, Handle) else np.asarray(a).astype(dtype)


def strong(a: Any) -> Any:
    """`a` with a dtype of its own: what NumPy makes an array of is a Python number no more."""
    return cast(a, aval(a).dtype)[()] if is_weak(a) else a


@function(np.astype, "linear", astype_p, captured="", cases=(
    "A(2, 3), np.float32", "A(3), complex", "A(3), float, copy=False"))
def astype(x: Any, dtype: Any, /, *, copy: Any = True, device: Any = None) -> Any:
    return cast(x, dtype, "unsafe", copy)


def _python_number(a: Any) -> Any:
    return np.asarray(a).item()


def _number_batch(_size: int, args: Sequence[Any], _batched: Sequence[bool], _params: dict[str, Any]) -> Any:
    (a,) = args  # a Python number per example: an array of the dtype Python computes in
    return np.astype(a, {"b": bool, "i": int, "u": int, "f": float, "c": complex}[aval(a).dtype.kind])


number_p = linear_primitive("item", None, lambda ct, a: ct, impl=_python_number, kind="elementwise",
                            batch=_number_batch)
number_p.jvp = lambda _out, _primals, tangents: tangents[0]


def number(a: Any) -> Any:
    """A scalar as the Python number that ``.item()`` gives."""
    return bind(number_p, (a,), {}) if isinstance(a, Handle) else np.asarray(a).item()


services["astype"] = cast
services["number"] = number
