"""Sums, products, extrema and truth over axes: the primitives, and ufunc.reduce on top of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from npdiff.array import DiffArray
from npdiff.avals import ndarray
from npdiff.core import NOTHING, VALUE, Handle, Primitive, aval, bind, own_primitive, services, shape_of
from npdiff.dispatch.declare import _NO_VALUE, function, operand, point, static, write_out
from npdiff.dispatch.operands import check_out, mask_of, phantom
from npdiff.dispatch.rules import constant_primitive, linear_primitive, strong_multiply, strong_product
from npdiff.dispatch.storing import stored
from npdiff.foreign import filled


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """An ``axis=`` argument as a sorted tuple of non-negative axes; NumPy's own error where it is wrong."""
    if axis is None:
        return tuple(range(ndim))
    axis = static(axis)
    axes = normalize_axis_tuple(axis, ndim, allow_duplicate=True)
    if len(set(axes)) != len(axes):
        raise ValueError("duplicate value in 'axis'")
    return tuple(sorted(axes))


def expand(a: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """A reduced array with its reduced axes back as axes of length one."""
    return a if keepdims or not axis else np.expand_dims(a, axis)


def batch_reduction(prim_of: Callable[[], Primitive]) -> Any:
    """Batching rule of a primitive with parameter ``axis``, a tuple of axes."""

    def rule(_size: int, args: Sequence[Any], _batched: Sequence[bool], params: dict[str, Any]) -> Any:
        return prim_of().call(*args, **{**params, "axis": tuple([k + 1 for k in params["axis"]])})

    return rule


def _reducer(ufunc: np.ufunc) -> Any:
    def impl(a: Any, *, axis: tuple[int, ...], keepdims: bool = False, dtype: Any = None) -> Any:
        return ufunc.reduce(a, axis=axis, keepdims=keepdims, dtype=dtype)

    return impl


def _sum_transpose(ct: Any, a: Any, *, axis: tuple[int, ...], keepdims: bool = False, dtype: Any = None) -> Any:
    if not isinstance(ct, Handle) and isinstance(ct, np.generic) and a.size < 1024:
        spread: Any = ndarray(a.shape, ct.dtype)  # a sum over all of a small array: the fastest way to fill one
        spread.fill(ct)
        return spread
    return np.broadcast_to(expand(ct, axis, keepdims), a.shape)


sum_p: Primitive = linear_primitive("sum", None, _sum_transpose, impl=_reducer(np.add),
                                    batch=batch_reduction(lambda: sum_p))


def _sum(a: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    return sum_p.call(a, axis=axis, keepdims=keepdims)


def _others_product(a: Any, axis: tuple[int, ...]) -> Any:
    """For each element, the product of all others along `axis`: right with zeros, and itself differentiable."""
    if aval(a).size == 0:
        return a
    a = np.moveaxis(a, axis, range(-len(axis), 0)) if axis else a
    lead = a.shape[: a.ndim - len(axis)]
    n = int(np.prod(a.shape[a.ndim - len(axis):], dtype=int))
    flat = np.reshape(a, (*lead, n))
    ones = filled((*lead, 1), 1, aval(a).dtype, a)
    before = np.cumprod(np.concatenate([ones, flat[..., :-1]], axis=-1), axis=-1)
    after = np.flip(np.cumprod(np.concatenate([ones, np.flip(flat[..., 1:], axis=-1)], axis=-1), axis=-1), axis=-1)
    out = np.reshape(before * after, a.shape)
    return np.moveaxis(out, range(-len(axis), 0), axis) if axis else out


def _prod_jvp(out: Any, primals: Any, tangents: Any, *, axis: tuple[int, ...], keepdims: bool = False,
              dtype: Any = None) -> Any:
    (a,), (t,) = primals, tangents
    if t is None:
        return None
    return t if not axis else _sum(strong_product(t, _others_product(a, axis)), axis, keepdims)


def _prod_pull(ct: Any, _out: Any, args: Any, _needed: Any, params: Any) -> Any:
    (a,), axis = args, params["axis"]
    ct = np.broadcast_to(expand(ct, axis, params.get("keepdims", False)), aval(a).shape)
    return (ct if not axis else strong_multiply(ct, _others_product(a, axis)),)


prod_p: Primitive = own_primitive("prod", _reducer(np.multiply), jvp=_prod_jvp, pull=_prod_pull, saves=(NOTHING, VALUE),
                       batch=batch_reduction(lambda: prod_p), total=True)


def _shares(a: Any, out: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """How much each element counts in the extremum: 1 over the number of ties where it is one, else 0."""
    hit = np.equal(a, expand(out, axis, keepdims)).astype(aval(a).dtype)
    return hit / np.maximum(_sum(hit, axis, True), 1)


def _extremum_jvp(out: Any, primals: Any, tangents: Any, *, axis: tuple[int, ...], keepdims: bool = False,
                  dtype: Any = None) -> Any:
    (a,), (t,) = primals, tangents
    return None if t is None else _sum(strong_product(t, _shares(a, out, axis, keepdims)), axis, keepdims)


def _extremum_pull(ct: Any, out: Any, args: Any, _needed: Any, params: Any) -> Any:
    (a,), axis, keepdims = args, params["axis"], params.get("keepdims", False)
    return (strong_product(expand(ct, axis, keepdims), _shares(a, out, axis, keepdims)),)


max_p: Primitive = own_primitive("max", _reducer(np.maximum), jvp=_extremum_jvp, pull=_extremum_pull,
                      batch=batch_reduction(lambda: max_p), total=True)
min_p: Primitive = own_primitive("min", _reducer(np.minimum), jvp=_extremum_jvp, pull=_extremum_pull,
                      batch=batch_reduction(lambda: min_p), total=True)
fmax_p: Primitive = own_primitive("fmax_reduce", _reducer(np.fmax), jvp=_extremum_jvp, pull=_extremum_pull,
                       batch=batch_reduction(lambda: fmax_p), total=True)
fmin_p: Primitive = own_primitive("fmin_reduce", _reducer(np.fmin), jvp=_extremum_jvp, pull=_extremum_pull,
                       batch=batch_reduction(lambda: fmin_p), total=True)
all_p: Primitive = constant_primitive("all", None, impl=_reducer(np.logical_and), batch=batch_reduction(lambda: all_p),
                                       total=True)
any_p: Primitive = constant_primitive("any", None, impl=_reducer(np.logical_or), batch=batch_reduction(lambda: any_p),
                                       total=True)

reducers: dict[np.ufunc, Primitive] = {
    np.add: sum_p, np.multiply: prod_p, np.maximum: max_p, np.minimum: min_p, np.fmax: fmax_p, np.fmin: fmin_p,
    np.logical_and: all_p, np.logical_or: any_p,
}


def loop_dtypes(ufunc: np.ufunc, dtype: np.dtype[Any], out: Any, given: Any) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """The dtypes in which NumPy reduces an array of `dtype`, into `out` or with ``dtype=given``: of what has been
    joined so far, and of what is joined to it.
    """
    kinds = (None if out is None else aval(out).dtype, dtype, None)
    if given is None:
        first, second, _ = ufunc.resolve_dtypes(kinds, reduction=True, casting="unsafe")
    else:
        first, second, _ = ufunc.resolve_dtypes((None, dtype, None), signature=(np.dtype(given), None, None),
                                                reduction=True, casting="unsafe")
    return first, second


def starting_value(initial: Any, dtype: np.dtype[Any]) -> Any:
    """``initial=`` as NumPy stores it: in the dtype of the result."""
    if shape_of(initial):
        np.add.reduce(np.zeros(1), initial=phantom(initial))  # NumPy's own error
    if isinstance(initial, Handle):
        return stored(initial, dtype, listed=True)
    start = np.zeros((), dtype)
    start[()] = initial  # NumPy's own errors
    return start[()]


def reduce(ufunc: np.ufunc, a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False,
           initial: Any = _NO_VALUE, where: Any = True, name: str = "") -> Any:
    """``ufunc.reduce`` with NumPy's signature and defaults."""
    a = operand(a)
    v = aval(a)
    if not v.ndim and axis is not None and static(axis) in (0, -1):
        axis = ()  # as NumPy has it for reductions of 0-d arrays
    axis = axes_of(axis, v.ndim)
    keepdims = bool(keepdims)
    if out is not None:
        check_out(ufunc.reduce, out, a, axis=axis, dtype=dtype, keepdims=keepdims, **(
            {} if initial is _NO_VALUE else {"initial": 0}))
        dtype = loop_dtypes(ufunc, v.dtype, out, dtype)[0]
    if where is not True:
        where = mask_of(where)
        if aval(where).ndim > v.ndim or np.broadcast_shapes(aval(where).shape, v.shape) != v.shape:
            ufunc.reduce(np.zeros(v.shape), axis=axis, initial=0, where=np.ones(aval(where).shape, bool))
        fill = initial if ufunc.identity is None and initial is not _NO_VALUE else ufunc.identity
        if fill is None:
            raise ValueError(
                f"reduction operation '{ufunc.__name__}' does not have an identity, so to use a where mask one has to "
                "specify 'initial'")
        a = np.where(where, a, services["astype"](fill, v.dtype))
    if initial is not _NO_VALUE and ufunc.identity is None and any(v.shape[k] == 0 for k in axis):
        kept = [1 if k in axis else n for k, n in enumerate(v.shape)] if keepdims else [
            n for k, n in enumerate(v.shape) if k not in axis]
        result = np.broadcast_to(starting_value(initial, v.dtype), kept)[()]
        return write_out(result, out, name or f"np.{ufunc.__name__}.reduce")
    prim = reducers[ufunc]
    params: dict[str, Any] = {"axis": axis, "keepdims": keepdims}
    if dtype is not None:
        params["dtype"] = np.dtype(dtype)
        if prim.kind != "nondifferentiable" and np.dtype(dtype) != v.dtype:
            a = a.astype(params.pop("dtype"))
    result = bind(prim, (a,), params)
    if initial is not _NO_VALUE:
        result = ufunc(result, starting_value(initial, aval(result).dtype))
    return write_out(result, out, name or f"np.{ufunc.__name__}.reduce", "unsafe")


_MASK = "where=np.array([[True, False, True], [True, True, True]])"
_CASES: tuple[str, ...] = (
    "A(4)", "A(2, 3), axis=1", "A(2, 3), axis=0, keepdims=True", "A(2, 3, 2), axis=(0, -1)", "A(2, 3), axis=()", "C(3)",
    "I(2, 3), axis=1", "A(3), initial=0.5", "I(3), dtype=float", "B(4)", f"A(2, 3), axis=1, {_MASK}",
    f"A(2, 3), axis=1, initial=0.5, {_MASK}", f"I(2, 3), axis=1, dtype=float, initial=0.5, {_MASK}",
)


@function(np.sum, "linear", sum_p, cases=_CASES)
def sum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _NO_VALUE,
        initial: Any = _NO_VALUE, where: Any = _NO_VALUE) -> Any:
    return _reduce_all(np.add, "np.sum", a, axis, dtype, out, keepdims, initial, where)


@function(np.prod, "nonlinear", prod_p, cases=(
    *_CASES, "A(4) * [1, 0, 1, 1]", "A(4) * [1, 0, 1, 0]"), points=(
    point("exact where factors are 0", "f(x)", [0.0, 2.0, 3.0], [6, 0, 0], [5, 3, 2]),
    point("exact where factors are 0", "f(x)", [0.0, 0.0, 3.0], 0, [3, 3, 0])))
def prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _NO_VALUE,
         initial: Any = _NO_VALUE, where: Any = _NO_VALUE) -> Any:
    return _reduce_all(np.multiply, "np.prod", a, axis, dtype, out, keepdims, initial, where)


# They hold for the largest and for the smallest element.
EXTREMUM_POINTS = (
    point("ties share equally", "f(x)", [1.0, 1.0], 0.5, 0),
    point("ties share equally", "f(x, axis=0)", [[1.0, 2.0], [1.0, 2.0]], 0.5, 0),
)


def _extremum(ufunc: np.ufunc, name: str) -> Any:
    def impl(a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO_VALUE, initial: Any = _NO_VALUE,
             where: Any = _NO_VALUE) -> Any:
        return _reduce_all(ufunc, name, a, axis, None, out, keepdims, initial, where)

    return impl


for _func, _ufunc, _prim in (
    (np.max, np.maximum, max_p), (np.min, np.minimum, min_p), (np.amax, np.maximum, max_p), (np.amin, np.minimum, min_p)
):
    function(_func, "nonlinear", _prim, points=(*EXTREMUM_POINTS, point(
        "a result of NaN passes nothing", "f(x)", [np.nan, 1.0], 0, 0)), cases=(
        *_CASES[:4], "I(2, 3), axis=1", "A(3), initial=0.5", f"A(2, 3), axis=1, initial=0.5, {_MASK}"))(
            _extremum(_ufunc, f"np.{_func.__name__}"))


def _truth(ufunc: np.ufunc, name: str) -> Any:
    def impl(a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO_VALUE, *, where: Any = _NO_VALUE) -> Any:
        return _reduce_all(ufunc, name, a, axis, None, out, keepdims, _NO_VALUE, where)

    return impl


_CASES = ("B(4)", "B(2, 3), axis=1", "A(2, 3), axis=0, keepdims=True", "B(2, 3, 2), axis=(0, 2)",
          f"B(2, 3), axis=1, {_MASK}")
function(np.all, "nondifferentiable", all_p, cases=_CASES)(_truth(np.logical_and, "np.all"))
function(np.any, "nondifferentiable", any_p, cases=_CASES)(_truth(np.logical_or, "np.any"))


def _reduce_all(ufunc: np.ufunc, name: str, a: Any, axis: Any, dtype: Any, out: Any, keepdims: Any, initial: Any,
                where: Any) -> Any:
    if type(a) is DiffArray and (axis is dtype is out is None) and (keepdims is initial is where is _NO_VALUE):
        return bind(reducers[ufunc], (a,), {"axis": tuple(range(len(a.shape))), "keepdims": False})  # above all, fast
    keepdims = False if keepdims is _NO_VALUE else static(keepdims)
    where = True if where is _NO_VALUE else where
    return reduce(ufunc, a, axis, dtype, out, keepdims, initial, where, name)
