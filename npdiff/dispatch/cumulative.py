"""Running sums and products, differences, and what is built on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from npdiff.core import Handle, Primitive, aval, bind, innermost, own_primitive, shape_of
from npdiff.dispatch.common import along, backwards, batch_axis, flattened, laid_out
from npdiff.dispatch.declare import _NO_VALUE, composite, function, operand, point, static, write_out
from npdiff.dispatch.manipulation import cast
from npdiff.dispatch.operands import check_out, is_tracked, phantom
from npdiff.dispatch.reductions import loop_dtypes
from npdiff.dispatch.rules import constant_primitive, linear_primitive, strong_multiply

# ---------------------------------------------------------------------- running sums and products


def _cumsum_transpose(ct: Any, a: Any, *, axis: int) -> Any:
    return backwards(cumsum_p.call(backwards(ct, axis), axis=axis), axis)


cumsum_p: Primitive = linear_primitive("cumsum", None, _cumsum_transpose, impl=lambda a, *,
                                       axis: np.cumsum(a, axis=axis),
                            batch=batch_axis(lambda: cumsum_p))


def _cumprod_jvp(_out: Any, primals: Any, tangents: Any, *, axis: int) -> Any:
    """The product rule, for windows of doubling length: exact where elements are zero, in log2(n) rounds."""
    (a,), (t,) = primals, tangents
    if t is None:
        return None
    n, step = shape_of(a)[axis], 1
    while step < n:
        head, tail = along(axis, None, step), along(axis, step, None)
        lag = along(axis, None, n - step)
        late_t = np.add(strong_multiply(t[tail], a[lag]), strong_multiply(t[lag], a[tail]))
        t = np.concatenate([t[head], late_t], axis=axis)
        a = np.concatenate([a[head], np.multiply(a[tail], a[lag])], axis=axis)
        step *= 2
    return t


cumprod_p: Primitive = own_primitive("cumprod", lambda a, *, axis: np.cumprod(a, axis=axis), jvp=_cumprod_jvp,
                          batch=batch_axis(lambda: cumprod_p), total=True)


def _running(prim: Any, ufunc: np.ufunc) -> Any:
    name = f"np.{prim.name}"

    def impl(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        a, axis = flattened(operand(a), axis)
        a = a if aval(a).ndim else np.reshape(a, (1,))
        check_out(getattr(np, prim.name), out, a, axis=axis, dtype=dtype)
        to = loop_dtypes(ufunc, aval(a).dtype, out, dtype)[0]
        result = bind(prim, (a if to == aval(a).dtype else cast(a, to),), {"axis": axis})
        # NumPy widens small integers, unless it is told not to.
        return write_out(result if aval(result).dtype == to else cast(result, to), out, name, "unsafe")

    return impl


_CASES: tuple[str, ...] = ("A(4)", "A(2, 3)", "A(2, 3), axis=0", "A(2, 3), axis=-1", "I(2, 3), axis=1",
                           "I(3), dtype=float",
          "A(3), dtype=complex",
          "C(3)")
cumsum = function(np.cumsum, "linear", cumsum_p, cases=_CASES)(_running(cumsum_p, np.add))
cumprod = function(np.cumprod, "nonlinear", cumprod_p, cases=(
    *_CASES, "A(5) * [1, 0, 1, 0, 1]"), points=(
    point("exact where factors are 0", "f(x)", [2.0, 0.0, 3.0], [1, 8, 0], [4, 6, 2]),
    point("exact where factors are 0", "f(x)", [0.0, 0.0, 3.0], [1, 0, 0], [4, 4, 0])))(
    _running(cumprod_p, np.multiply))


def _cumulative(name: str, running: Any, start: int) -> Any:
    def impl(x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: Any = False) -> Any:
        x = operand(x)
        if aval(x).ndim == 0 or (axis is None and aval(x).ndim > 1):
            getattr(np, name)(phantom(x), axis=axis)
        axis = normalize_axis_index(0 if axis is None else static(axis), aval(x).ndim)
        result = running(x, axis=axis, dtype=dtype)
        if static(include_initial):
            shape = list(aval(result).shape)
            shape[axis] = 1
            result = np.concatenate([np.full(shape, start, aval(result).dtype), result], axis=axis)
        return write_out(result, out, f"np.{name}", "unsafe")

    return impl


_CASES = ("A(3)", "A(2, 3), axis=0", "A(2, 3), axis=1, include_initial=True")
function("cumulative_sum", "linear", cumsum_p, since="2.1", cases=_CASES)(_cumulative("cumulative_sum", cumsum, 0))
function("cumulative_prod", "nonlinear", cumprod_p, since="2.1", cases=_CASES)(
    _cumulative("cumulative_prod", cumprod, 1))

# ---------------------------------------------------------------------- differences


def _end(value: Any, a: Any, axis: int) -> Any:
    """A ``prepend=`` or ``append=`` value as an array that can be joined."""
    value = operand(value)
    if aval(value).ndim:
        return value
    shape = list(aval(a).shape)
    shape[axis] = 1
    return np.broadcast_to(value, shape)


@composite(np.diff,
           cases=("A(4)", "A(4), 2", "A(2, 3), axis=0", "A(2, 3), prepend=A(2, 1), append=0.5", "A(4), n=0",
                           "B(4)", "A(2), n=3"))
def diff(a: Any, n: Any = 1, axis: Any = -1, prepend: Any = _NO_VALUE, append: Any = _NO_VALUE) -> Any:
    n, a = int(static(n)), operand(a)
    if n == 0:
        return a
    if n < 0 or aval(a).ndim == 0:
        np.diff(phantom(a), n)
    axis = normalize_axis_index(static(axis), aval(a).ndim)
    parts = [None if p is _NO_VALUE else _end(p, a, axis) for p in (prepend, append)]
    joined = [p for p in (parts[0], a, parts[1]) if p is not None]
    if len(joined) > 1:
        a = np.concatenate(joined, axis=axis)
    apart = np.not_equal if aval(a).dtype.kind == "b" else np.subtract
    for _ in range(n):
        a = apart(a[along(axis, 1, None)], a[along(axis, None, -1)])
    return a


@composite(np.ediff1d, cases=("A(4)", "A(2, 3)", "A(3), to_begin=A(2), to_end=0.5", "A(1)"))
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    ary = np.ravel(operand(ary))
    parts = [np.subtract(ary[1:], ary[:-1])]
    for extra, at in ((to_begin, 0), (to_end, len(parts))):
        if extra is not None:
            extra = np.ravel(operand(extra))
            if not np.can_cast(aval(extra).dtype, aval(ary).dtype, "same_kind"):
                np.ediff1d(phantom(ary), to_end=phantom(extra))
            parts.insert(0 if at == 0 else len(parts), cast(extra, aval(ary).dtype, copy=False))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _spacings(f: Any, steps: Sequence[Any], axes: Sequence[int]) -> list[Any]:
    """The step along each axis: a number, or the differences of the coordinates."""
    if not steps:
        return [1.0] * len(axes)
    if len(steps) == 1 and aval(operand(steps[0])).ndim == 0:
        return [operand(steps[0])] * len(axes)
    if len(steps) != len(axes):
        raise TypeError("invalid number of arguments")
    found_steps = []
    for step, axis in zip(steps, axes, strict=True):
        step = operand(step)
        if aval(step).ndim > 1:
            raise ValueError("distances must be either scalars or 1d")
        if aval(step).ndim == 1:
            if aval(step).shape[0] != aval(f).shape[axis]:
                raise ValueError("when 1d, distances must match the length of the corresponding dimension")
            if aval(step).size == 0:
                np.gradient(np.zeros(0), np.zeros(0))
            step = np.diff(cast(step, float) if aval(step).dtype.kind in "iu" else step)
            known = None if is_tracked(step) else innermost(step)
            if known is not None and np.all(known == known[0]):
                step = known[0]  # as NumPy does; for steps of zero, another result
        found_steps.append(step)
    return found_steps


def _even(h: Any) -> bool:
    """Whether NumPy takes its formula for equal steps: it does so where all differences are equal."""
    return not aval(h).ndim


def _slopes(f: Any, h: Any, axis: int, edge_order: int) -> Any:
    """Second-order differences inside, first or second order at the two ends."""
    f = np.moveaxis(f, axis, -1)
    n = shape_of(f)[-1]
    if _even(h):
        inside = (f[..., 2:] - f[..., :-2]) / (2.0 * h)
        first = (f[..., 1:2] - f[..., 0:1]) / h
        last = (f[..., n - 1:] - f[..., n - 2:n - 1]) / h
        if edge_order == 2:
            first = (-1.5 * f[..., 0:1] + 2.0 * f[..., 1:2] - 0.5 * f[..., 2:3]) / h
            last = (1.5 * f[..., n - 1:] - 2.0 * f[..., n - 2:n - 1] + 0.5 * f[..., n - 3:n - 2]) / h
    else:
        left, right = h[:-1], h[1:]
        inside = (f[..., :-2] * (-right / (left * (left + right))) + f[..., 1:-1] * ((right - left) / (left * right))
                  + f[..., 2:] * (left / (right * (left + right))))
        if edge_order == 2:
            p, q = h[0], h[1]
            first = (f[..., 0:1] * (-(2.0 * p + q) / (p * (p + q))) + f[..., 1:2] * ((p + q) / (p * q))
                     - f[..., 2:3] * (p / (q * (p + q))))
            p, q = h[-2], h[-1]
            last = (f[..., n - 3:n - 2] * (q / (p * (p + q))) - f[..., n - 2:n - 1] * ((q + p) / (p * q))
                    + f[..., n - 1:] * ((2.0 * q + p) / (q * (p + q))))
        else:
            first = (f[..., 1:2] - f[..., 0:1]) / h[0]
            last = (f[..., n - 1:] - f[..., n - 2:n - 1]) / h[-1]
    return np.moveaxis(np.concatenate([first, inside, last], axis=-1), -1, axis)


@composite(np.gradient,
           cases=("A(5)", "A(5), 0.5", "A(5), P(5).cumsum()", "A(3, 4)", "A(3, 4), 0.5, 2.0, edge_order=2",
                               "A(3, 4), axis=0", "A(5), P(5).cumsum(), edge_order=2", "A(3, 4), P(4).cumsum(), axis=1",
                               "I(5)"))
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: Any = 1) -> Any:
    f = operand(f)
    n = aval(f).ndim
    axes = tuple(range(n)) if axis is None else normalize_axis_tuple(static(axis), n)
    steps = _spacings(f, varargs, axes)
    if edge_order > 2:
        raise ValueError("'edge_order' greater than 2 not supported")
    if aval(f).dtype.kind == "b" and (edge_order == 1 or any([_even(h) for h in steps])):
        np.subtract(phantom(f), phantom(f))  # NumPy's own error
    if aval(f).dtype.kind not in "fc":
        f = cast(f, float)
    results = []
    for k, h in zip(axes, steps, strict=True):
        if aval(f).shape[k] < edge_order + 1:
            raise ValueError("Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) "
                             "elements are required.")
        results.append(laid_out(cast(_slopes(f, h, k, edge_order), aval(f).dtype, copy=False), f))
    return results[0] if len(results) == 1 else tuple(results)


def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    y = operand(y)
    axis = normalize_axis_index(static(axis), aval(y).ndim)
    if x is None:
        widths = operand(dx)
    else:
        x = operand(x)
        if aval(x).ndim == 1:
            widths = np.reshape(np.diff(x), [-1 if k == axis else 1 for k in range(aval(y).ndim)])
        else:
            widths = np.diff(x, axis=axis)
    late, early = y[along(axis, 1, None)], y[along(axis, None, -1)]
    return np.sum(widths * (late + early) / 2.0, axis=axis)


for _name, _until, _warns in (("trapezoid", "", ""), (
        "trapz", "2.4", "`trapz` is deprecated. Use `trapezoid` instead, or one of the numerical integration functions "
        "in `scipy.integrate`.")):
    composite(_name, until=_until, warns=_warns, cases=(
        "A(4)", "A(4), A(4)", "A(2, 3), dx=0.5", "A(3, 2), A(3), axis=0", "A(2, 3), A(2, 3)", "C(3), A(3)"))(_trapezoid)

# ---------------------------------------------------------------------- unwrap


def _turns(p: Any, *, axis: int, discont: Any = None, period: Any = 2 * np.pi) -> Any:
    return np.subtract(np.unwrap(p, discont, axis, period=period), p)


turns_p: Primitive = constant_primitive("unwrap_turns", None, impl=_turns, batch=batch_axis(lambda: turns_p),
                                         total=True)


@composite(np.unwrap, points=(
    point("whole periods are added, which are constant", "f(x)", [0.0, np.pi, 2 * np.pi], 1, 0),),
           cases=("3 * A(5)", "3 * A(2, 4), axis=0", "3 * A(5), period=4.0", "I(4, high=9), period=4",
                  "3 * A(5), discont=3.5"))
def unwrap(p: Any, discont: Any = None, axis: Any = -1, *, period: Any = 2 * np.pi) -> Any:
    p = operand(p)
    axis = normalize_axis_index(static(axis), aval(p).ndim)
    if any(isinstance(x, Handle) and aval(x).dtype.kind == "f" for x in (period, discont)):
        return _unwrapped(p, np.divide(period, 2) if discont is None else discont, axis, period)
    params: dict[str, Any] = {"axis": axis, "period": static(period)}
    if discont is not None:
        params["discont"] = static(discont)
    turns = bind(turns_p, (p,), params)
    return np.add(p, turns) if isinstance(p, Handle) else np.asarray(p) + turns


def _unwrapped(p: Any, discont: Any, axis: int, period: Any) -> Any:
    """`p` with multiples of a period that may be tracked; only how many they are is constant."""
    steps, half = np.diff(p, axis=axis), np.divide(period, 2)
    within = np.remainder(np.add(steps, half), period) - half
    within = np.where(np.logical_and(np.equal(within, -half), np.greater(steps, 0)), half, within)
    turns = np.where(np.less(np.absolute(steps), discont), 0, np.rint(np.divide(within - steps, period)))
    # None are added to the first; there may be no step at all.
    none = np.zeros([1 if k == axis else n for k, n in enumerate(aval(p).shape)]) if aval(p).shape[axis] else turns
    return np.add(p, np.multiply(period, np.concatenate([none, np.cumsum(turns, axis=axis)], axis=axis)))
