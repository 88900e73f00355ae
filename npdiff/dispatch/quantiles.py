"""Medians and quantiles: an interpolation between two sorted values.

Definitions: R. Hyndman and Y. Fan, Sample quantiles in statistical packages, Am. Stat. 50 (1996).
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from npdiff.avals import ndarray
from npdiff.core import Handle, Primitive, aval, bind, own_primitive, shape_of
from npdiff.core import unsupported as refusal
from npdiff.dispatch.common import batch_axis, float_dtype, in_c_order, one_by_one, scalar, truth
from npdiff.dispatch.declare import _NO_VALUE, composite, operand, point, since, static, write_out
from npdiff.dispatch.manipulation import cast
from npdiff.dispatch.operands import anywhere, check_out, phantom
from npdiff.dispatch.reductions import axes_of
from npdiff.dispatch.rules import constant_primitive

# The continuous methods: where quantile q stands among n sorted values is n q + alpha + q (1 - alpha - beta) - 1.
_PLOTTING = {
    "interpolated_inverted_cdf": (0.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0), "linear": (1.0, 1.0),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
}
_STEPS = ("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "lower", "higher", "midpoint", "nearest")


def _positions(n: Any, q: Any, method: str) -> tuple[Any, Any, Any]:
    """The two neighbours of quantile q among n sorted values, and the weight of the upper one."""
    if method in _PLOTTING:
        alpha, beta = _PLOTTING[method]
        at = n * q + (alpha + q * (1 - alpha - beta)) - 1
        low = np.floor(at)
        weight = at - low
    elif method == "inverted_cdf":
        low = np.ceil(n * q) - 1
        weight = 0.0 * q
    elif method == "averaged_inverted_cdf":
        low = np.ceil(n * q) - 1
        weight = _half(np.equal(low + 1, n * q), q)
    elif method == "closest_observation":
        at = n * q - 1.5
        base = np.floor(at)
        odd = np.logical_and(np.equal(at, base), np.equal(np.remainder(base, 2), 1))
        low = np.where(odd, base, base + 1)
        weight = 0.0 * q
    else:
        at = (n - 1) * q
        low = np.floor(at)
        weight = {"lower": lambda: 0.0 * q, "higher": lambda: np.ceil(at) - low,
                  "midpoint": lambda: _half(np.not_equal(at, low), q),
                  "nearest": lambda: np.rint(at) - low}[method]()
    top = n - 1
    first, second = np.clip(low, 0, top), np.clip(low + 1, 0, top)
    return first, second, weight


def _chosen(a: Any, k: Any, *, axis: int) -> Any:
    return np.take_along_axis(a, np.expand_dims(k, axis), axis).squeeze(axis)


def _chosen_jvp(_out: Any, primals: Any, tangents: Any, *, axis: int) -> Any:
    return None if tangents[0] is None else chosen_p.call(tangents[0], primals[1], axis=axis)


def _chosen_pull(ct: Any, _out: Any, args: Any, _needed: Any, params: Any) -> Any:
    a, k = args
    axis = params["axis"]
    n = shape_of(a)[axis]
    here = np.equal(np.expand_dims(k, axis), np.reshape(np.arange(n), (n,) + (1,) * (len(shape_of(a)) - axis - 1)))
    return np.where(here, np.expand_dims(ct, axis), np.zeros((), aval(ct).dtype)), None


# One element along an axis, chosen by an index of its own in each row.
chosen_p: Primitive = own_primitive("choose_along", _chosen, kind="linear", jvp=_chosen_jvp, pull=_chosen_pull,
                         batch=batch_axis(lambda: chosen_p))


def _in_rows(a: Any, axes: tuple[int, ...]) -> Any:
    """`a` with the given axes as one, the last."""
    n = aval(a).ndim
    rest = [k for k in range(n) if k not in axes]
    return np.reshape(np.transpose(a, (*rest, *axes)), (*[aval(a).shape[k] for k in rest],
                                                       int(np.prod([aval(a).shape[k] for k in axes], dtype=int))))


def _ordered(a: Any, axes: tuple[int, ...]) -> Any:
    """`a` sorted along its last axis, which holds all the given ones."""
    return np.sort(_in_rows(a, axes), axis=-1)


@functools.cache
def _weak_weights() -> bool:
    """Whether NumPy reckons weights of quantiles that are Python numbers in double precision, whatever the array has.

    Asked when first needed: NumPy's quantile imports numpy.ma.
    """
    return bool(np.quantile(np.array([0, 0.8413, 0.8413], np.float16), 0.3) == np.float16(0.505))


def _blend(lower: Any, upper: Any, weight: Any, dtype: Any) -> Any:
    """Between two values, reckoned from the nearer one so that both ends are exact, with weights rounded to `dtype`."""
    near, rest = weight, np.subtract(1, weight)
    if dtype is not None:
        near, rest = cast(near, dtype), cast(rest, dtype)
    gap = np.subtract(upper, lower)
    return np.where(np.less(weight, 0.5), np.add(lower, np.multiply(gap, near)),
                    np.subtract(upper, np.multiply(gap, rest)))


def _half(test: Any, q: Any) -> Any:
    """One half where `test` holds, in q's dtype."""
    return np.multiply(cast(test, aval(q).dtype), 0.5)


def _quantile(name: str, a: Any, q: Any, axis: Any, out: Any, method: str, keepdims: Any, weights: Any,
              skip_nan: bool) -> Any:
    a, q = operand(a), operand(q)
    v, dtype = aval(a), None
    if v.dtype.kind == "c":
        raise TypeError("a must be an array of real numbers")
    if method not in _PLOTTING and method not in _STEPS:
        unknown: Any = method
        np.quantile(np.zeros(1), 0.5, method=unknown)
    if aval(q).weak and v.dtype.kind == "f":
        q, dtype = (cast(q, float), v.dtype) if _weak_weights() else (cast(q, v.dtype), None)
    if aval(q).dtype.kind in "biu":
        q = cast(q, float)
    if aval(q).ndim > 2 or anywhere(np.logical_not(np.logical_and(np.greater_equal(q, 0), np.less_equal(q, 1)))):
        np.quantile(np.zeros(1), np.zeros((1,) * aval(q).ndim) + 2)
    axes = axes_of(axis, v.ndim)
    if v.size == 0:
        plain = getattr(np, name.removeprefix("np."))
        heavy = {} if weights is None else {"weights": np.ones(aval(operand(weights)).shape)}
        whole = plain(np.zeros(v.shape, v.dtype), np.zeros(aval(q).shape, aval(q).dtype), static(axis), method=method,
                      keepdims=truth(keepdims), **heavy)
        return write_out(np.add(whole, np.zeros((), v.dtype)), out, name)
    s = _ordered(a, axes)
    n = aval(s).shape[-1]
    if weights is not None:
        weights = _spread(operand(weights), v.shape, axis, method)
        result = _weighted(a, s, q, weights, axes, skip_nan)
    else:
        result = _over_nan(s, q, method, dtype) if skip_nan else _whole(s, q, n, method, dtype)
    shape = [m for k, m in enumerate(v.shape) if k not in axes]
    if truth(keepdims):
        shape = [1 if k in axes else m for k, m in enumerate(v.shape)]
    result = np.reshape(result, (*aval(q).shape, *shape))
    if skip_nan and v.ndim > 1:  # found line by line, with what q asks for beside each other in memory
        front = range(aval(q).ndim)
        back = range(-aval(q).ndim, 0)
        result = np.moveaxis(in_c_order(np.moveaxis(result, front, back)), back, front)
    return _stored(result if weights is not None and _WEIGHTED_IS_ARRAY else scalar(result), out, name)


def _stored(result: Any, out: Any, name: str) -> Any:
    if out is not None and shape_of(out) != shape_of(result):
        raise refusal(name, "into an out= of another shape is not recorded", out, result, instead="give an out= of the "
                      "result's shape")
    return write_out(result, out, name, "unsafe")


def _whole(s: Any, q: Any, n: int, method: str, dtype: Any) -> Any:
    """Quantiles along the last axis, the axes of q in front; NaN where a row holds one."""
    flat = np.reshape(q, (-1,))
    first, second, weight = _positions(n, flat, method)
    lead = len(shape_of(s)) - 1
    columns = np.moveaxis(s, -1, 0)
    lower, upper = (np.take(columns, np.astype(k, np.intp), axis=0) if isinstance(columns, Handle) else
                    np.moveaxis(_rows(s, k), -1, 0) for k in (first, second))
    weight = np.reshape(weight, (-1,) + (1,) * lead)
    if aval(s).dtype.kind in "biu" and method not in ("lower", "higher", "nearest", "inverted_cdf",
                                                      "closest_observation"):
        s = cast(s, float)
    keeps = method in ("lower", "higher", "nearest", "inverted_cdf", "closest_observation")
    result = np.where(np.greater(weight, 0), upper, lower) if keeps else _blend(lower, upper, weight, dtype)
    last = s[..., -1]
    return np.where(np.isnan(last), last, result) if aval(s).dtype.kind == "f" else result


def _rows(s: Any, k: Any) -> Any:
    """The k-th columns of a plain array, for positions that may be tracked."""
    count = shape_of(k)[0]
    spread = np.broadcast_to(np.expand_dims(s, -2), (*shape_of(s)[:-1], count, shape_of(s)[-1]))
    places = np.broadcast_to(np.astype(k, np.intp), (*shape_of(s)[:-1], count))
    return bind(chosen_p, (spread, places), {"axis": len(shape_of(s))})


def _over_nan(s: Any, q: Any, method: str, dtype: Any) -> Any:
    """As `_whole`, over the numbers of each row only: NaN is sorted behind them."""
    missing = np.isnan(s) if aval(s).dtype.kind in "fc" else np.zeros((1,), bool)
    count = np.sum(np.logical_not(np.broadcast_to(missing, shape_of(s))), axis=-1)
    none = np.equal(count, 0)
    if anywhere(none, warns=True):
        warnings.warn("All-NaN slice encountered", RuntimeWarning, stacklevel=5)
    lead = len(shape_of(s)) - 1
    flat = np.reshape(q, (-1,) + (1,) * lead)
    first, second, weight = _positions(np.maximum(cast(count, np.finfo(float_dtype(s)).dtype), 1), flat, method)
    wide = np.broadcast_to(s, (*shape_of(first)[:1], *shape_of(s)))
    lower, upper = (bind(chosen_p, (wide, np.broadcast_to(np.astype(k, np.intp), shape_of(wide)[:-1])),
                         {"axis": lead + 1}) for k in (first, second))
    keeps = method in ("lower", "higher", "nearest", "inverted_cdf", "closest_observation")
    result = np.where(np.greater(weight, 0), upper, lower) if keeps else _blend(lower, upper, weight, dtype)
    if aval(result).dtype.kind not in "fc":
        return result
    return np.where(none, np.full((), np.nan, aval(result).dtype), result)


# ---------------------------------------------------------------------- with weights

_WEIGHTED_IS_ARRAY = isinstance(np.quantile(np.ones(1), 0.5, method="inverted_cdf", weights=np.ones(1)), ndarray)


def _spread(weights: Any, shape: tuple[int, ...], axis: Any, method: str) -> Any:
    """The weights of all elements; NumPy's own errors for a method, a shape or a sign that it does not take."""
    whole: Any = np.quantile
    whole(np.zeros(shape), 0.5, static(axis), method=method, weights=np.ones(aval(weights).shape))
    if anywhere(np.less(weights, 0)):
        raise ValueError("Weights must be non-negative.")
    if aval(weights).shape != shape:
        axes = normalize_axis_tuple(static(axis), len(shape))
        weights = np.transpose(weights, np.argsort(axes).tolist())
        weights = np.reshape(weights, [n if k in axes else 1 for k, n in enumerate(shape)])
    return np.broadcast_to(weights, shape)


def _weighted_rank(a: Any, weights: Any, q: Any, *, skip_nan: bool) -> Any:
    """Which of the sorted elements of each row is quantile q under these weights, as NumPy finds it; -1 for none."""
    ranks = np.argsort(np.argsort(a, axis=-1, stable=True), axis=-1).astype(float)
    find: Any = np.quantile
    if skip_nan:
        ranks[np.isnan(a)] = np.nan
        find = np.nanquantile
    return np.nan_to_num(find(ranks, q, axis=-1, method="inverted_cdf", weights=weights), nan=-1).astype(np.intp)


weighted_rank_p: Primitive = constant_primitive(
    "weighted_rank", None, impl=_weighted_rank,
    batch=lambda size, args, batched, params: one_by_one(weighted_rank_p, size, args, batched, params))


def _weighted(a: Any, s: Any, q: Any, weights: Any, axes: tuple[int, ...], skip_nan: bool) -> Any:
    """Weighted quantiles along the last axis, the axes of q in front: elements, so constant in q and the weights."""
    skip_nan = skip_nan and aval(a).dtype.kind == "f"
    rank = bind(weighted_rank_p, (_in_rows(a, axes), _in_rows(weights, axes), np.reshape(q, (-1,))),
                {"skip_nan": skip_nan})
    wide = np.broadcast_to(s, (*shape_of(rank)[:1], *shape_of(s)))
    result = bind(chosen_p, (wide, rank), {"axis": len(shape_of(s))})
    if aval(s).dtype.kind != "f":
        return result
    last = s[..., -1]
    missing = np.less(rank, 0) if skip_nan else np.isnan(last)
    return np.where(missing, np.full((), np.nan, aval(result).dtype), result)


_CASES: tuple[str, ...] = ("A(5), 0.3", "A(5), [0.25, 0.6]", "A(2, 4), 0.4, axis=1",
                           "A(2, 4), [0.1, 0.8], axis=0, keepdims=True",
          "A(2, 3, 2), 0.37, axis=(0, 2)", "A(5), 0.3, method='hazen'", "A(5), 0.3, method='lower'",
          "A(5), 0.3, method='higher'", "A(5), 0.3, method='midpoint'", "A(5), 0.3, method='nearest'",
          "A(5), 0.3, method='weibull'", "A(5), 0.3, method='median_unbiased'", "A(5), 0.3, method='normal_unbiased'",
          "A(5), 0.3, method='inverted_cdf'", "A(4), 0.5, method='averaged_inverted_cdf'",
          "A(5), 0.3, method='closest_observation'", "A(5), 0.3, method='interpolated_inverted_cdf'", "I(6), 0.3",
          "A(5), np.array(0.31)")
_STABLE = "of equal elements the one that a stable sort puts in this place"
_MIDDLE = (point(_STABLE, "f(x)", [1.0, 1.0, 1.0], [0, 1, 0], 0),
           point(_STABLE, "f(x)", [1.0, 1.0, 1.0, 1.0], [0, 0.5, 0.5, 0], 0))
_NONE_LEFT = "0 where all are NaN"
_PERCENT = ("A(5), 30", "A(5), [25, 60.5]", "A(2, 4), 40, axis=1", "A(2, 4), 41.0, axis=0, keepdims=True", "I(6), 30")
_GAPS = ("A(5) + [0, np.nan, 0, 0, 0], 0.3", "A(2, 4) + [0, np.nan, 0, 0], [0.2, 0.7], axis=1")


_W = "method='inverted_cdf', weights="
# (NumPy before 2.4 confuses the weights of several axes.)
_WEIGHTED = (f"A(5), 0.3, {_W}P(5)", f"A(2, 4), [0.2, 0.7], axis=1, {_W}P(4)", f"I(6), 0.3, {_W}P(6)",
             *since("2.4", f"A(2, 3, 2), 0.6, axis=(2, 0), {_W}P(2, 2), keepdims=True"),
             f"A(2, 4), 0.4, axis=0, {_W}P(2, 4)")


@composite(np.quantile, notes="with weights, constant in them", points=(
    point(_STABLE, "f(x, 0.5)", [1.0, 1.0, 1.0], [0, 1, 0], 0),
    point("along q, at a data point the slope to its right", "f([1.0, 2.0, 4.0], x)", 0.5, 4, 0)),
           cases=(*_CASES, *_WEIGHTED), retired={"interpolation": "method"})
def quantile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, method: Any = "linear",
             keepdims: Any = False, *, weights: Any = None) -> Any:
    return _quantile("np.quantile", a, q, axis, out, static(method), keepdims, weights, False)


@composite(np.nanquantile, points=(
    point(_STABLE, "f(x, 0.5)", [1.0, 1.0, 1.0], [0, 1, 0], 0),
    point(_NONE_LEFT, "f(x, 0.5)", [np.nan, np.nan], 0, 0)), cases=(
    *_CASES[:5], *_GAPS, _WEIGHTED[0], f"A(2, 3) + [0, np.nan, 0], [0.2, 0.7], {_W}P(2, 3)", f"{_GAPS[0]}, {_W}P(5)"),
           retired={"interpolation": "method"})
def nanquantile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False,
                method: Any = "linear", keepdims: Any = _NO_VALUE, *, weights: Any = None) -> Any:
    return _quantile("np.nanquantile", a, q, axis, out, static(method), keepdims, weights, True)


def _hundredth(a: Any, q: Any) -> Any:
    q = operand(q)
    if anywhere(np.logical_not(np.logical_and(np.greater_equal(q, 0), np.less_equal(q, 100)))):
        np.percentile(np.zeros(1), 200)
    if _weak_weights() and aval(q).weak:
        return q / 100
    hundred = aval(operand(a)).dtype.type(100) if aval(operand(a)).dtype.kind == "f" else 100
    return np.divide(q, hundred)


@composite(np.percentile, points=(point(_STABLE, "f(x, 50)", [1.0, 1.0, 1.0], [0, 1, 0], 0),),
           cases=(*_PERCENT, f"A(5), 30, {_W}P(5)"), retired={"interpolation": "method"})
def percentile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False,
               method: Any = "linear", keepdims: Any = False, *, weights: Any = None) -> Any:
    return _quantile("np.percentile", a, _hundredth(a, q), axis, out, static(method), keepdims, weights, False)


@composite(np.nanpercentile, points=(point(_STABLE, "f(x, 50)", [1.0, 1.0, 1.0], [0, 1, 0], 0),), cases=(
    *_PERCENT[:4], "A(4) + [0, 0, np.nan, 0], 30", f"A(4) + [0, 0, np.nan, 0], 30, {_W}P(4)"),
           retired={"interpolation": "method"})
def nanpercentile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False,
                  method: Any = "linear", keepdims: Any = _NO_VALUE, *, weights: Any = None) -> Any:
    return _quantile("np.nanpercentile", a, _hundredth(a, q), axis, out, static(method), keepdims, weights, True)


def _middle(name: str, a: Any, axis: Any, out: Any, keepdims: Any, skip_nan: bool) -> Any:
    a = operand(a)
    v = aval(a)
    axes = axes_of(axis, v.ndim)
    check_out(getattr(np, name.removeprefix("np.")), out, a, axis=axis, keepdims=truth(keepdims))
    if v.size == 0:
        whole = getattr(np, name.removeprefix("np."))(phantom(a), axes, keepdims=truth(keepdims))
        return write_out(np.add(whole, np.zeros((), v.dtype)), out, name)
    s = _ordered(a, axes)
    n = aval(s).shape[-1]
    if skip_nan and v.dtype.kind in "fc":
        result = _over_nan(s, np.full((), 0.5, np.finfo(v.dtype).dtype), "linear", None)
    elif n % 2:
        result = np.divide(s[..., n // 2], 1) if v.dtype.kind != "f" else s[..., n // 2]
    else:
        result = np.divide(np.sum(s[..., n // 2 - 1: n // 2 + 1], axis=-1), 2)
    if v.dtype.kind in "fc" and not skip_nan:
        last = s[..., -1]
        result = np.where(np.isnan(last), last, result)
    shape = [1 if k in axes else m for k, m in enumerate(v.shape) if truth(keepdims) or k not in axes]
    return _stored(scalar(np.reshape(result, shape)), out, name)


_CASES = ("A(5)", "A(4)", "A(2, 3), axis=0", "A(2, 3), axis=1, keepdims=True", "A(2, 3, 2), axis=(0, 2)", "I(5)")


@composite(np.median, points=_MIDDLE, cases=_CASES)
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, keepdims: Any = False) -> Any:
    return _middle("np.median", a, axis, out, keepdims, False)


@composite(np.nanmedian, points=(*_MIDDLE, point(_NONE_LEFT, "f(x)", [np.nan, np.nan], 0, 0)),
           cases=(*_CASES, "A(2, 4) + [0, np.nan, 0, 0], axis=1"))
def nanmedian(a: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False,
              keepdims: Any = _NO_VALUE) -> Any:
    return _middle("np.nanmedian", a, axis, out, keepdims, True)
