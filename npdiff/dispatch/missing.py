"""The functions that leave NaN out."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from npdiff.core import aval
from npdiff.dispatch.common import float_dtype, safe_sqrt, scalar, truth
from npdiff.dispatch.declare import _NO_VALUE, composite, operand, point, write_out
from npdiff.dispatch.manipulation import cast
from npdiff.dispatch.operands import anywhere, check_out
from npdiff.dispatch.reductions import EXTREMUM_POINTS, reduce
from npdiff.dispatch.statistics import divided

_NONE_LEFT = point("0 where all are NaN", "f(x)", [np.nan, np.nan], 0, 0)
_GAP = "A(2, 3) + [[0, np.nan, 0], [0, 0, 0]]"
_CASES: tuple[str, ...] = ("A(4)", f"{_GAP}", f"{_GAP}, axis=1", f"{_GAP}, axis=0, keepdims=True", "I(4)",
          f"{_GAP}, axis=1, where=np.array([[True, True, True], [False, True, True]])")


def filled(a: Any, value: float) -> Any:
    """`a` with a number in place of NaN."""
    if aval(a).dtype.kind not in "fc":
        return a
    return np.where(np.isnan(a), np.full((), value, aval(a).dtype), a)


def _given(**parameters: Any) -> dict[str, Any]:
    return {k: v for k, v in parameters.items() if v is not _NO_VALUE}


@composite(np.nansum,
           points=(point("NaN passes nothing", "f(x)", [np.nan, 1.0], [0, 1], 0), _NONE_LEFT), cases=_CASES)
def nansum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _NO_VALUE,
           initial: Any = _NO_VALUE, where: Any = _NO_VALUE) -> Any:
    return np.sum(filled(operand(a), 0), axis=axis, dtype=dtype, out=out,
                  **_given(keepdims=keepdims, initial=initial, where=where))


@composite(np.nanprod,
           points=(point("exact where factors are 0", "f(x)", [np.nan, 0.0, 2.0], [0, 2, 0], [0, 1, 1]),
                               _NONE_LEFT), cases=_CASES)
def nanprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _NO_VALUE,
            initial: Any = _NO_VALUE, where: Any = _NO_VALUE) -> Any:
    return np.prod(filled(operand(a), 1), axis=axis, dtype=dtype, out=out,
                   **_given(keepdims=keepdims, initial=initial, where=where))


@composite(np.nancumsum, cases=("A(4)", f"{_GAP}", f"{_GAP}, axis=1"))
def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return np.cumsum(filled(operand(a), 0), axis=axis, dtype=dtype, out=out)


@composite(np.nancumprod, cases=("A(4)", f"{_GAP}", f"{_GAP}, axis=1"))
def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return np.cumprod(filled(operand(a), 1), axis=axis, dtype=dtype, out=out)


def _extremum(func: Any, ufunc: np.ufunc) -> None:
    name = f"np.{func.__name__}"

    def impl(a: Any, axis: Any = None, out: Any = None, keepdims: Any = _NO_VALUE, initial: Any = _NO_VALUE,
             where: Any = _NO_VALUE) -> Any:
        result = reduce(ufunc, operand(a), axis, None, None, truth(keepdims), initial,
                        True if where is _NO_VALUE else where, name)
        if aval(result).dtype.kind in "fc" and anywhere(np.isnan(result), warns=True):
            warnings.warn("All-NaN slice encountered" if aval(result).ndim else "All-NaN axis encountered",
                          RuntimeWarning, stacklevel=3)
        check_out(ufunc.reduce, out, a, axis=axis, keepdims=truth(keepdims))
        return write_out(result, out, name, "unsafe")

    composite(func, points=(*EXTREMUM_POINTS, _NONE_LEFT), cases=_CASES[:5])(impl)


_extremum(np.nanmax, np.fmax)
_extremum(np.nanmin, np.fmin)


def _present(a: Any, axis: Any, keepdims: Any, where: Any) -> tuple[Any, Any]:
    """The mask of what is there, and how many that are."""
    mask = np.logical_not(np.isnan(a))
    if where is not _NO_VALUE:
        mask = np.logical_and(mask, where)
    return mask, np.sum(mask, axis=axis, dtype=np.intp, keepdims=truth(keepdims))


@composite(np.nanmean, points=(_NONE_LEFT,), cases=(*_CASES, "C(3) + [0, np.nan, 0]"))
def nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _NO_VALUE, *,
            where: Any = _NO_VALUE) -> Any:
    a = operand(a)
    if aval(a).dtype.kind not in "fc":
        return np.mean(a, axis=axis, dtype=dtype, out=out, **_given(keepdims=keepdims, where=where))
    _, count = _present(a, axis, keepdims, where)
    if anywhere(np.equal(count, 0), warns=True):
        warnings.warn("Mean of empty slice", RuntimeWarning, stacklevel=2)
    total = np.nansum(a, axis=axis, dtype=dtype, **_given(keepdims=keepdims, where=where))
    return write_out(divided(total, count), out, "np.nanmean", "unsafe")


def _nanvar(a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: Any, where: Any, mean: Any, correction: Any) -> Any:
    if correction is not _NO_VALUE:
        if ddof != 0:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        ddof = correction
    mask, count = _present(a, axis, keepdims, where)
    if mean is _NO_VALUE:
        _, each = _present(a, axis, True, where)
        total = np.nansum(a, axis=axis, dtype=dtype, keepdims=True, **_given(where=where))
        mean = divided(total, each)
    square: Any
    gap = np.where(mask, np.subtract(filled(a, 0), mean), np.zeros((), float_dtype(a)))
    if aval(gap).dtype.kind == "c":
        square = np.add(np.square(np.real(gap)), np.square(np.imag(gap)))
    else:
        square = np.multiply(gap, gap)
    if dtype is not None:
        square = cast(square, np.empty(0, dtype).real.dtype)
    free = np.subtract(count, ddof)
    short = np.less_equal(free, 0)
    if anywhere(short, warns=True):
        warnings.warn("Degrees of freedom <= 0 for slice.", RuntimeWarning, stacklevel=3)
    total = np.sum(square, axis=axis, keepdims=truth(keepdims))
    result = divided(total, np.where(short, 1, free))
    return scalar(np.where(short, np.full((), np.nan, aval(result).dtype), result))


@composite(np.nanvar,
           points=(_NONE_LEFT,), cases=(*_CASES, f"{_GAP}, axis=1, ddof=1", f"{_GAP}, axis=0, correction=0"))
def nanvar(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = _NO_VALUE, *,
           where: Any = _NO_VALUE, mean: Any = _NO_VALUE, correction: Any = _NO_VALUE) -> Any:
    a = operand(a)
    if aval(a).dtype.kind not in "fc":
        return np.var(a, axis=axis, dtype=dtype, out=out, ddof=ddof,
                      **_given(keepdims=keepdims, where=where, mean=mean, correction=correction))
    return write_out(_nanvar(a, axis, dtype, ddof, keepdims, where, mean, correction), out, "np.nanvar", "unsafe")


@composite(np.nanstd, points=(
    point("0 where all values are equal", "f(x)", [1.0, np.nan, 1.0], 0, 0), _NONE_LEFT),
           cases=(*_CASES, f"{_GAP}, axis=1, ddof=1"))
def nanstd(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = _NO_VALUE, *,
           where: Any = _NO_VALUE, mean: Any = _NO_VALUE, correction: Any = _NO_VALUE) -> Any:
    a = operand(a)
    if aval(a).dtype.kind not in "fc":
        return np.std(a, axis=axis, dtype=dtype, out=out, ddof=ddof,
                      **_given(keepdims=keepdims, where=where, mean=mean, correction=correction))
    result = _nanvar(a, axis, dtype, ddof, keepdims, where, mean, correction)
    return write_out(scalar(safe_sqrt(result)), out, "np.nanstd", "unsafe")
