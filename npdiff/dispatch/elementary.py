"""Mathematical functions that are not ufuncs: clip, rounding, sinc, i0, interp, convolution, polynomials."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial
from typing import Any

import numpy as np

from npdiff.core import Primitive, aval, bind, own_primitive, services, shape_of
from npdiff.dispatch.common import backwards, in_c_order, pick, scalar
from npdiff.dispatch.declare import (
    _NO_VALUE,
    composite,
    found,
    function,
    numpy_is,
    operand,
    point,
    since,
    static,
    write_out,
)
from npdiff.dispatch.manipulation import cast, strong
from npdiff.dispatch.operands import anywhere, check_out, phantom
from npdiff.dispatch.rules import align, batch_elementwise, bilinear_primitive, constant_primitive
from npdiff.dispatch.ufuncs import composites

# ---------------------------------------------------------------------- clip and rounding


def _clipped(a: Any, low: Any, high: Any) -> Any:
    if low is not None:
        a = np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


@composite(np.clip, points=(
    point("at a bound, x and the bound share equally", "f(x, 0.0, 1.0)", [0.0, 1.0, -1.0, 2.0, 0.5],
          [0.5, 0.5, 0, 0, 1], 0),
), cases=(
    "A(5), -0.7, 0.6", "A(2, 3), A(3) - 1.01, 1.03", "A(4), None, 0.6", "A(4), -0.6, None",
    *since("2.1", "A(4), min=-0.6, max=0.6", "A(3)"), "I(4), 1, 2", "A(4), 0.6, -0.6"))
def clip(a: Any, a_min: Any = _NO_VALUE, a_max: Any = _NO_VALUE, out: Any = None, *, min: Any = _NO_VALUE,
         max: Any = _NO_VALUE, **kwargs: Any) -> Any:
    if a_min is _NO_VALUE and a_max is _NO_VALUE:
        a_min, a_max = (None if m is _NO_VALUE else m for m in (min, max))
    elif a_min is _NO_VALUE or a_max is _NO_VALUE:
        missing = "a_min" if a_min is _NO_VALUE else "a_max"
        raise TypeError(f"clip() missing 1 required positional argument: '{missing}'")
    elif not (min is _NO_VALUE and max is _NO_VALUE):
        raise ValueError("Passing `min` or `max` keyword argument when `a_min` and `a_max` are provided is forbidden.")
    a = strong(operand(a))
    low, high = (None if m is None else operand(m) for m in (a_min, a_max))
    if kwargs.get("dtype") is not None:
        a = cast(a, kwargs["dtype"])
    result = np.positive(a) if low is None and high is None else _clipped(a, low, high)
    check_out(np.clip, out, a, low, high, **{k: phantom(v) for k, v in kwargs.items()})
    return write_out(result, out, "np.clip", kwargs.get("casting", "same_kind"), kwargs.get("where", True), True)


# ndarray.clip reaches its ufunc, which has no public name.
_clip_ufunc = found("_core.umath.clip")
if _clip_ufunc is not None:
    composites[_clip_ufunc] = _clipped

_STEPS = point("0 everywhere, at the jumps too", "f(x)", [0.0, 0.5, 1.0], 0, 0)
_WHOLE = np.zeros(1, int)
# Before NumPy 2.3, whole numbers rounded are the array itself.
_AS_IT_IS = np.round(_WHOLE) is _WHOLE
round_p: Primitive = constant_primitive("round", np.round, batch=batch_elementwise(lambda: round_p), total=True)


def _rounded(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    a, decimals = operand(a), static(decimals)
    if _AS_IT_IS and out is None and aval(a).dtype.kind in "iu" and aval(a).shape and decimals >= 0:
        return a
    check_out(np.round, out, a, decimals=decimals)
    return write_out(bind(round_p, (a,), {"decimals": decimals} if decimals else {}), out, "np.round", stretch=True)


for _func in (np.round, np.around):
    function(_func, "nondifferentiable", round_p, points=(_STEPS,), cases=(
        "A(4)", "I(3)", "123.456 + A(2), -1", "I(3, high=99), decimals=-1"))(_rounded)


@function(np.fix, "nondifferentiable", cases=("2 * A(2, 3)", "A()[()]"), points=(_STEPS,),
          warns="numpy.fix is deprecated. Use numpy.trunc instead, which is faster and follows the Array API standard."
          if numpy_is("2.5") else "")
def fix(x: Any, out: Any = None) -> Any:
    return np.trunc(operand(x)) if out is None else np.trunc(operand(x), out=out)


# ---------------------------------------------------------------------- functions whose derivatives form a family


def _family(name: str, impl: Any) -> Primitive:
    """The derivatives of one function, numbered: the derivative of the n-th is the next one."""

    def jvp(_out: Any, primals: Any, tangents: Any, *, order: int) -> Any:
        (t,) = tangents
        return None if t is None else np.multiply(t, prim.call(primals[0], order=order + 1))

    def pull(ct: Any, _out: Any, args: Any, _needed: Any, params: Any) -> Any:
        return (np.multiply(ct, prim.call(args[0], order=params["order"] + 1)),)

    prim = own_primitive(name, impl, kind="elementwise", jvp=jvp, pull=pull, batch=batch_elementwise(lambda: prim))
    return prim


def _sinc(x: Any, *, order: int) -> Any:
    """The derivatives of sin(pi x) / (pi x): by recurrence, and near zero by their power series."""
    if order == 0:
        return np.sinc(x)
    x = np.asarray(x)
    y = np.pi * x
    near = np.abs(y) < 1 + order
    safe = np.where(near, 1, y)
    far = np.sin(safe) / safe
    for k in range(1, order + 1):
        far = (np.sin(safe + k * np.pi / 2) - k * far) / safe
    small = np.where(near, y, 0)
    series = np.zeros_like(small)
    for m in range((order + 1) // 2, (order + 1) // 2 + 14 + 2 * order):
        coefficient = (-1) ** m / (2 * m + 1) / factorial(2 * m - order)
        series = series + coefficient * small ** (2 * m - order)
    return (np.pi**order * np.where(near, series, far)).astype(np.sinc(x[..., None][:0]).dtype)[()]


sinc_p: Primitive = _family("sinc", _sinc)


@function(np.sinc, "nonlinear", sinc_p, points=(
    point("smooth at 0", "f(x)", 0.0, 0, -np.pi**2 / 3, 0, np.pi**4 / 5),), cases=(
        "A(4)", "3 * A(2, 2)", "A(2) * [0, 1]", "I(3)"))
def sinc(x: Any) -> Any:
    return bind(sinc_p, (operand(x),), {"order": 0})


def _i0(x: Any, *, order: int) -> Any:
    """The derivatives of I0(x), the mean of exp(x cos t) over a turn: the trapezoidal rule converges at once."""
    if order == 0:
        return np.i0(x)
    x = np.asarray(x)
    finite = x[np.isfinite(x)]
    largest = float(np.max(np.abs(finite), initial=0))
    count = 32 + 2 * order + int(9 * np.sqrt(largest))
    nodes = np.cos((np.arange(count) + 0.5) * np.pi / count)
    total = sum([c**order * np.exp(x * c) for c in nodes.tolist()], np.zeros_like(x))
    return np.asarray(total / count).astype(x.dtype)[()]


i0_p: Primitive = _family("i0", _i0)


@function(np.i0, "nonlinear", i0_p, points=(point("smooth at 0", "f(x)", 0.0, 0, 0.5, 0, 0.375),),
          cases=("A(4)", "3 * A(2, 2)", "I(3)"))
def i0(x: Any) -> Any:
    x = operand(x)
    if aval(x).dtype.kind == "c":
        np.i0(np.zeros(1, complex))
    if aval(x).dtype.kind != "f":
        x = cast(x, float)
    return bind(i0_p, (x,), {"order": 0})


# ---------------------------------------------------------------------- interpolation


@composite(np.interp, points=(
    point("at a knot the slope to its right, 0 at the last one", "f(x, [0.0, 1.0, 2.0], [0.0, 1.0, 3.0])",
          [-1.0, 0.0, 1.0, 2.0, 3.0], [0, 1, 2, 0, 0], 0),), cases=(
    "A(4), np.array([-1., 0.03, 1.2]), A(3)", "A(2, 2), P(3).cumsum() - 1, A(3), left=-1.0, right=2.0",
    "A(4), np.array([0.1, 0.75, 1.3]), A(3), period=1.7", "0.3, P(3).cumsum(), A(3)", "A(2), P(3).cumsum(), C(3)",
    "A(3), P(1), A(1)"))
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    x, xp, fp = operand(x), operand(xp), operand(fp)
    complex_places = aval(x).dtype.kind == "c" or aval(xp).dtype.kind == "c"
    if period is None and (complex_places or not aval(xp).size):
        return services["fresh"](np.interp(phantom(x), phantom(xp), phantom(fp), left, right, period))
    x, xp = cast(x, float, copy=False), cast(xp, float, copy=False)
    fp = cast(fp, np.result_type(aval(fp).dtype, float), copy=False)
    if period is not None:
        if anywhere(np.equal(period, 0)):
            raise ValueError("period must be a non-zero value")
        if aval(xp).ndim != 1 or aval(fp).ndim != 1:
            raise ValueError("Data points must be 1-D sequences")
        if aval(xp).shape != aval(fp).shape:
            raise ValueError("fp and xp are not of the same length")
        period, left, right = abs(period), None, None
        x, xp = np.remainder(x, period), np.remainder(xp, period)
        order = np.argsort(xp)
        xp, fp = pick(xp, order), pick(fp, order)
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    if aval(xp).ndim != 1 or aval(fp).ndim != 1 or aval(xp).shape != aval(fp).shape:
        np.interp(np.zeros(1), phantom(xp), phantom(fp))
    n = aval(xp).shape[0]
    first = fp[0] if left is None else left
    last = fp[-1] if right is None else right
    if n == 1:
        inside = fp[0]
    else:
        k = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, n - 2)
        x0, y0 = pick(xp, k), pick(fp, k)
        width = pick(xp, k + 1) - x0
        flat = np.equal(width, 0)
        slope = np.where(flat, 0.0, (pick(fp, k + 1) - y0) / np.where(flat, 1.0, width))
        inside = y0 + slope * (x - x0)
        inside = np.where(np.equal(x, xp[-1]), fp[-1], inside)
    result = np.where(np.less(x, xp[0]), first, np.where(np.greater(x, xp[-1]), last, inside))
    result = np.where(np.isnan(x), x, result)
    return scalar(result)


# ---------------------------------------------------------------------- convolution


def _convolve_left(ct: Any, a: Any, v: Any) -> Any:
    n, m = shape_of(a)[0], shape_of(v)[0]
    return convolve_p.call(ct, backwards(v, 0))[m - 1:m - 1 + n]


def _convolve_right(ct: Any, a: Any, v: Any) -> Any:
    return _convolve_left(ct, v, a)


def _convolve_batch(_size: int, args: Sequence[Any], batched: Sequence[bool], _params: dict[str, Any]) -> Any:
    """One shifted copy of the longer operand for each element of the shorter."""
    (a, v), (ba, bv) = args, batched
    if shape_of(a)[-1] < shape_of(v)[-1]:
        a, v, ba, bv = v, a, bv, ba
    m = shape_of(v)[-1]
    pad = np.zeros((*shape_of(a)[:-1], m - 1), aval(a).dtype)
    wide = np.concatenate([pad, a, pad], axis=-1)
    n = shape_of(a)[-1] + m - 1
    terms = [np.multiply(*align([wide[..., m - 1 - k:m - 1 - k + n], v[..., k:k + 1]], (ba, bv))) for k in range(m)]
    total = terms[0]
    for t in terms[1:]:
        total = np.add(total, t)
    return total


convolve_p: Primitive = bilinear_primitive("convolve", None, _convolve_left, _convolve_right, batch=_convolve_batch,
                                impl=lambda a, v: np.convolve(a, v))


def _one_row(a: Any, name: str) -> Any:
    a = operand(a)
    return np.reshape(a, (1,)) if aval(a).ndim == 0 else a


def _part(full: Any, n: int, m: int, mode: Any) -> Any:
    """The part of a full convolution of lengths ``n >= m`` that a mode keeps."""
    if mode in ("full", 2):
        return full
    if mode in ("valid", 0):
        return full[m - 1:n]
    start = (m - 1) // 2
    return full[start:start + n]


_MODES = ("full", "same", "valid", 0, 1, 2)


@function(np.convolve, "bilinear", convolve_p, cases=(
    "A(4), A(3)", "A(3), A(5)", "A(4), A(3), 'same'", "A(3), A(4), 'same'", "A(4), A(3), 'valid'",
    "A(2), A(5), 'valid'", "A(5), A(2), mode='same'", "C(3), C(2)", "I(3), A(2)"))
def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    a, v = _one_row(a, "a"), _one_row(v, "v")
    n, m = aval(a).size, aval(v).size
    if mode not in _MODES or aval(a).ndim != 1 or aval(v).ndim != 1 or not n or not m:
        np.convolve(phantom(a), phantom(v), mode)
    return _part(bind(convolve_p, (a, v), {}), max(n, m), min(n, m), mode)


@composite(np.correlate,
           cases=("A(4), A(3)", "A(3), A(5)", "A(4), A(3), 'same'", "A(3), A(4), 'same'",
                                "A(2), A(5), 'same'", "A(5), A(2), 'same'", "A(4), A(3), 'full'", "A(2), A(4), 'full'",
                                "C(3), C(2), 'full'"))
def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    a, v = operand(a), operand(v)
    n, m = aval(a).size, aval(v).size
    if mode not in _MODES or aval(a).ndim != 1 or aval(v).ndim != 1 or not n or not m:
        np.correlate(phantom(a), phantom(v), mode)
    v = np.conjugate(v) if aval(v).dtype.kind == "c" else v
    if n >= m:
        return _part(bind(convolve_p, (a, backwards(v, 0)), {}), n, m, mode)
    # NumPy slides the shorter operand and turns the result around.
    return in_c_order(backwards(_part(bind(convolve_p, (v, backwards(a, 0)), {}), m, n, mode), 0))


__all__ = ["convolve_p"]
