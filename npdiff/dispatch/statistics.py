"""Means, variances, quantiles, correlations."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from npdiff.core import Handle, aval, shape_of
from npdiff.dispatch.common import float_dtype, safe_sqrt, scalar, truth
from npdiff.dispatch.declare import _NO_VALUE, composite, operand, point, static, write_out
from npdiff.dispatch.manipulation import cast
from npdiff.dispatch.operands import anywhere, check_out
from npdiff.dispatch.reductions import axes_of

_WHERE = "A(2, 3), axis=1, where=np.array([[True, False, True], [True, True, True]])"


def counted(a: Any, axis: Any, keepdims: bool, where: Any) -> Any:
    """How many elements a mean is taken over: an integer, or an array of them under a mask."""
    shape = aval(a).shape
    axes = axes_of(axis, len(shape))
    if where is _NO_VALUE or where is True:
        return math.prod([shape[k] for k in axes])
    mask: Any = np.broadcast_to(operand(where), shape)
    keep: Any = keepdims
    return np.sum(mask, axis=axes, keepdims=keep, dtype=np.intp)


def _masked(where: Any) -> dict[str, Any]:
    return {} if where is _NO_VALUE else {"where": where}


def _any_below(count: Any, least: Any) -> bool:
    if type(count) is int:
        return bool(count <= least)
    # Under a mask that is tracked the warning is left out: a batch has no single truth to test.
    return not isinstance(count, Handle) and bool(np.any(np.less_equal(count, least)))


def divided(total: Any, count: Any) -> Any:
    """``total / count`` in total's dtype."""
    dtype = aval(total).dtype
    if type(count) is int and count > 0:
        return np.divide(total, count)
    if type(count) not in (int, float):
        count = cast(count, np.empty(0, dtype).real.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(total, count)


def _per_freedom(total: Any, free: Any) -> Any:
    """``total / free``; with no degree of freedom left a constant, which is infinite or NaN."""
    if type(free) in (int, float) and free > 0:
        return divided(total, free)
    with np.errstate(invalid="ignore"):
        lost = np.where(np.greater(total, 0), *np.array([np.inf, np.nan], aval(total).dtype))
    if type(free) in (int, float):
        return scalar(lost)
    none = np.less_equal(free, 0)
    return scalar(np.where(none, lost, divided(total, np.where(none, 1, free))))


@composite(np.mean,
           cases=("A(3)", "A(2, 3), axis=1, keepdims=True", "A(2, 3, 2), axis=(0, 2)", _WHERE, "I(4)",
                           "A(2, 3), dtype=complex", "C(3)"))
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _NO_VALUE, *,
         where: Any = _NO_VALUE) -> Any:
    a, keep = operand(a), truth(keepdims)
    count = counted(a, axis, keep, where)
    if _any_below(count, 0):
        np.mean(np.zeros(0))  # NumPy's own warnings, whose wording differs between its releases
    half = aval(a).dtype == np.float16 and dtype is None
    work = np.float32 if half else float_dtype(a) if dtype is None else np.dtype(dtype)
    result = divided(np.sum(a, axis=axis, dtype=work, keepdims=keep, **_masked(where)), count)
    if half:
        result = cast(result, np.float16)
    elif aval(result).dtype != work:
        result = cast(result, work)
    return write_out(result, out, "np.mean", "unsafe")


_NO_FREEDOM = point("0 where no degree of freedom is left", "f(x, ddof=1)", [1.0], 0, 0)


@composite(np.var, points=(_NO_FREEDOM,),
           cases=("A(3)", "A(2, 3), axis=1, keepdims=True, ddof=1", "A(2, 3), axis=0, correction=1", _WHERE,
                          "C(3)", "A(2, 3), axis=1, mean=np.zeros((2, 1))", "I(4)"))
def var(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = _NO_VALUE, *,
        where: Any = _NO_VALUE, mean: Any = _NO_VALUE, correction: Any = _NO_VALUE) -> Any:
    return write_out(_var(a, axis, dtype, ddof, keepdims, where, mean, correction), out, "np.var", "unsafe")


def _var(a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: Any, where: Any, average: Any, correction: Any) -> Any:
    a, keep = operand(a), truth(keepdims)
    if correction is not _NO_VALUE:
        if ddof != 0:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        ddof = correction
    half = aval(a).dtype == np.float16 and dtype is None
    work = np.float32 if half else float_dtype(a) if dtype is None else np.dtype(dtype)
    count = counted(a, axis, keep, where)
    if _any_below(count, ddof):
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=3)
    if average is _NO_VALUE:
        total = np.sum(a, axis=axis, dtype=work, keepdims=True, **_masked(where))
        average = divided(total, counted(a, axis, True, where))
    x = np.subtract(a if aval(a).dtype == work else cast(a, work), average)
    if aval(x).dtype.kind == "c":
        re, im = np.real(x), np.imag(x)
        square = np.add(np.multiply(re, re), np.multiply(im, im))
    else:
        square = np.multiply(x, x)
    result = _per_freedom(np.sum(square, axis=axis, keepdims=keep, **_masked(where)), count - ddof)
    return cast(result, np.float16) if half else result


@composite(np.std, points=(
    point("0 where all values are equal", "f(x)", [1.0, 1.0, 1.0], 0, 0),
    point("0 where all values are equal", "f(x)", [1j, 1j], 0, 0), _NO_FREEDOM), cases=(
    "A(3)", "A(2, 3), axis=1, keepdims=True, ddof=1", "A(2, 3), axis=0, correction=1", _WHERE, "C(3)", "I(4)"))
def std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = _NO_VALUE, *,
        where: Any = _NO_VALUE, mean: Any = _NO_VALUE, correction: Any = _NO_VALUE) -> Any:
    result = scalar(safe_sqrt(_var(a, axis, dtype, ddof, keepdims, where, mean, correction)))
    return write_out(result, out, "np.std", "unsafe")


@composite(np.average,
           cases=("A(3)", "A(2, 3), axis=0", "A(3), weights=P(3)", "A(2, 3), axis=1, weights=P(3)",
                              "A(2, 3), weights=P(2, 3), returned=True",
                              "A(2, 3), axis=1, weights=P(2, 3), keepdims=True",
                              "I(3), weights=P(3)"))
def average(a: Any, axis: Any = None, weights: Any = None, returned: Any = False, *, keepdims: Any = _NO_VALUE) -> Any:
    a = operand(a)
    keep: Any = truth(keepdims)
    axes = axes_of(axis, aval(a).ndim)
    result: Any
    total: Any
    if weights is None:
        result = np.mean(a, axis=axes, keepdims=keep)
        total = np.full((), counted(a, axes, keep, _NO_VALUE), aval(result).dtype)
    else:
        weights = operand(weights)
        dtype = np.result_type(aval(a).dtype, aval(weights).dtype)
        if aval(a).dtype.kind in "biu":
            dtype = np.result_type(dtype, float)
        if aval(weights).shape != aval(a).shape:
            shape = tuple([aval(a).shape[k] for k in axes])
            if axis is None:
                raise TypeError("Axis must be specified when shapes of a and weights differ.")
            if aval(weights).shape != shape:
                raise ValueError("Shape of weights must be consistent with shape of a along specified axis.")
            places = normalize_axis_tuple(static(axis), aval(a).ndim)
            weights = np.transpose(weights, np.argsort(places).tolist())
            weights = np.reshape(weights, [n if k in axes else 1 for k, n in enumerate(aval(a).shape)])
        spread = np.broadcast_to(weights, aval(a).shape)
        total = np.sum(spread, axis=axes, keepdims=keep, dtype=dtype)
        if anywhere(np.equal(total, 0.0), warns=True):
            raise ZeroDivisionError("Weights sum to zero, can't be normalized")
        result = np.divide(np.sum(np.multiply(a, weights), axis=axes, keepdims=keep, dtype=dtype), total)
    if not returned:
        return result
    if shape_of(total) != shape_of(result):
        total = np.copy(np.broadcast_to(total, shape_of(result)))
    return result, scalar(total) if not shape_of(result) else total


@composite(np.ptp, points=(
    point("ties share equally", "f(x)", [1.0, 1.0, 0.0, 0.0], [0.5, 0.5, -0.5, -0.5], 0),),
           cases=("A(4)", "A(2, 3), axis=1", "A(2, 3), axis=0, keepdims=True"))
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO_VALUE) -> Any:
    a, keep = operand(a), truth(keepdims)
    check_out(np.ptp, out, a, axis=axis, keepdims=keep)
    return write_out(np.subtract(np.max(a, axis=axis, keepdims=keep), np.min(a, axis=axis, keepdims=keep)), out,
                     "np.ptp", "unsafe")


# ---------------------------------------------------------------------- correlation


def _observations(m: Any, y: Any, rowvar: Any, dtype: Any) -> Any:
    m = operand(m)
    if aval(m).ndim > 2:
        raise ValueError("m has more than 2 dimensions")
    y = None if y is None else operand(y)
    if y is not None and aval(y).ndim > 2:
        raise ValueError("y has more than 2 dimensions")
    if dtype is None:
        dtype = np.result_type(aval(m).dtype, np.float64, *([] if y is None else [aval(y).dtype]))

    def rows(x: Any) -> Any:
        x = cast(x, dtype, copy=False)
        x = np.reshape(x, (1, -1)) if aval(x).ndim < 2 else x
        return np.transpose(x) if not rowvar and aval(x).shape[0] != 1 else x

    return rows(m) if y is None else np.concatenate([rows(m), rows(y)], axis=0)


@composite(np.cov,
           cases=("A(2, 4)", "A(4)", "A(4), A(4)", "A(4, 2), rowvar=False", "A(2, 4), bias=True",
                          "A(2, 4), ddof=0", "A(2, 3), fweights=np.array([1, 2, 1])", "A(2, 3), aweights=P(3)",
                          "C(2, 4)"))
def cov(m: Any, y: Any = None, rowvar: Any = True, bias: Any = False, ddof: Any = None, fweights: Any = None,
        aweights: Any = None, *, dtype: Any = None) -> Any:
    if ddof is not None and ddof != int(ddof):
        raise ValueError("ddof must be integer")
    x = _observations(m, y, rowvar, dtype)
    if aval(x).shape[0] == 0:
        return np.zeros((0, 0))
    if ddof is None:
        ddof = 0 if bias else 1
    weights = _weights(x, fweights, aweights)
    if weights is None:
        total: Any = aval(x).shape[1]
        centre = np.mean(x, axis=1, keepdims=True)
        fact = total - ddof
    else:
        total = np.sum(weights)
        centre = np.divide(np.sum(np.multiply(x, weights), axis=1, keepdims=True), total)
        if aweights is None or ddof == 0:
            fact = total - ddof
        else:
            fact = total - ddof * np.sum(np.multiply(weights, operand(aweights))) / total
    if not isinstance(fact, Handle) and fact <= 0:
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=2)
        fact = 0.0
    x = cast(np.subtract(x, centre), aval(x).dtype, copy=False)  # NumPy subtracts and scales in place
    right = np.transpose(x if weights is None else np.multiply(x, weights))
    right = np.conjugate(right) if aval(right).dtype.kind == "c" else right
    product = np.matmul(x, right)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.squeeze(cast(np.multiply(product, np.true_divide(1, fact)), aval(product).dtype, copy=False))


def _weights(x: Any, fweights: Any, aweights: Any) -> Any:
    """The two kinds of weights as one, after NumPy's checks of them."""
    weights = None
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        w = cast(operand(w), float, copy=False)
        if name == "fweights" and not isinstance(w, Handle) and not np.all(w == np.around(w)):
            raise TypeError("fweights must be integer")
        if aval(w).ndim > 1:
            raise RuntimeError(f"cannot handle multidimensional {name}")
        if aval(w).shape[0] != aval(x).shape[1]:
            raise RuntimeError(f"incompatible numbers of samples and {name}")
        if not isinstance(w, Handle) and np.any(w < 0):
            raise ValueError(f"{name} cannot be negative")
        weights = w if weights is None else np.multiply(weights, w)
    return weights


@composite(np.corrcoef, cases=("A(2, 4)", "A(4), A(4)", "A(4, 2), rowvar=False", "A(4)"),
           retired={"bias": "", "ddof": ""})
def corrcoef(x: Any, y: Any = None, rowvar: Any = True, *, dtype: Any = None) -> Any:
    c = np.cov(x, y, rowvar, dtype=dtype) if isinstance(x, Handle) or isinstance(y, Handle) else cov(
        x, y, rowvar, dtype=dtype)
    if aval(c).ndim == 0:
        return np.divide(c, c)
    deviations = np.sqrt(np.real(np.einsum("ii->i", c)))
    c = np.divide(np.divide(c, np.expand_dims(deviations, 1)), np.expand_dims(deviations, 0))
    if aval(c).dtype.kind == "c":
        return np.add(np.clip(np.real(c), -1, 1), np.multiply(np.clip(np.imag(c), -1, 1), 1j))
    return np.clip(c, -1, 1)


__all__ = ["counted", "divided"]
