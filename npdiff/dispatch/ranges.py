"""Evenly spaced numbers between ends that may be tracked, and the matrix of their powers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from npdiff.core import Handle, aval
from npdiff.dispatch.declare import composite, operand, static
from npdiff.dispatch.manipulation import cast
from npdiff.dispatch.operands import anywhere, phantom
from npdiff.foreign import foreign_in


def _placed(out: Any, axis: Any, dtype: Any) -> Any:
    """The finished range in the dtype and with the axis the caller asked for."""
    if axis != 0:
        out = np.moveaxis(out, 0, normalize_axis_index(axis, aval(out).ndim))
    dtype = np.dtype(dtype)
    if dtype.kind in "iu" and aval(out).dtype.kind == "f":
        out = np.floor(out)
    return out if aval(out).dtype == dtype else cast(out, dtype)


def _ramp(start: Any, stop: Any, num: int, endpoint: Any, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The range along a new first axis, and its step."""
    start, stop = cast(start, dtype), cast(stop, dtype)
    rise = np.subtract(stop, start)
    gaps = num - 1 if endpoint else num
    counts = np.arange(num).reshape((num,) + (1,) * aval(rise).ndim).astype(dtype)
    if gaps < 1:
        return np.add(np.multiply(counts, rise), start), np.multiply(rise, np.nan)
    step = np.divide(rise, gaps)
    if foreign_in(step) is not None:
        out = np.add(np.where(np.equal(step, 0), np.multiply(np.divide(counts, gaps), rise),
                              np.multiply(counts, step)), start)
    elif not isinstance(step, Handle) or not anywhere(np.equal(step, 0)):
        out = np.add(np.multiply(counts, step), start)
    else:  # the step may have vanished in rounding
        out = np.add(np.multiply(np.divide(counts, gaps), rise), start)
    if endpoint:
        out = np.concatenate([out[:-1], np.expand_dims(np.broadcast_to(stop, aval(rise).shape), 0)])
    return out, step


@composite(np.linspace, captured="made", cases=(
    "A(), A(), 5", "A(), 2.0, 4, False", "A(3), A(3), 4", "A(2, 1), A(3), num=3, axis=-1", "A(), A(), 1", "A(), A(), 0",
    "A(), A(), 3, retstep=True", "C(), A(), 3", "A(), A(), 4, dtype=complex", "A(2), A(2), 3, endpoint=False, axis=1"))
def linspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, retstep: Any = False, dtype: Any = None,
             axis: Any = 0, *, device: Any = None) -> Any:
    start, stop, num = operand(start), operand(stop), static(num)
    np.linspace(0, 1, min(num, 1))  # NumPy's own errors
    num = int(num)
    working = np.result_type(phantom(start), phantom(stop), float(num))
    out, step = _ramp(start, stop, num, endpoint, working)
    out = _placed(out, axis, dtype or working)
    return (out, step) if retstep else out


@composite(np.logspace, captured="made", cases=(
    "A(), A(), 4", "A(), 2.0, 3, False", "A(3), A(3), 3, base=2.0", "A(), 1.0, 3, base=P()", "A(2), A(2), 3, axis=1",
    "A(), A(), 3, base=P(2)"))
def logspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, base: Any = 10.0, dtype: Any = None,
             axis: Any = 0) -> Any:
    start, stop, base = operand(start), operand(stop), operand(base)
    if aval(base).ndim:
        most = max(aval(x).ndim for x in (start, stop, base))
        start, stop, base = [np.expand_dims(x, tuple(range(most - aval(x).ndim))) for x in (start, stop, base)]
        base = np.expand_dims(base, axis)
    out = np.power(base, np.linspace(start, stop, num=num, endpoint=endpoint, axis=axis))
    return out if dtype is None else _placed(out, 0, dtype)


@composite(np.geomspace, captured="made", cases=(
    "P(), P(), 4", "P(), 2.0, 3, False", "P(3), P(3), 3", "-P(), -P(), 3", "P(2), P(2), 3, axis=-1", "P(), P(), 1",
    "1j * P(), 2j * P(), 3"))
def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, dtype: Any = None, axis: Any = 0) -> Any:
    start, stop, num = operand(start), operand(stop), int(static(num))
    if anywhere(np.equal(start, 0)) or anywhere(np.equal(stop, 0)):
        raise ValueError("Geometric sequence cannot include zero")
    working = np.result_type(phantom(start), phantom(stop), float(num), np.zeros((), dtype))
    start, stop = cast(start, working), cast(stop, working)
    # Turned so that the start is a positive number, and turned back at the end.
    turn = np.sign(start) if working.kind != "c" else np.divide(start, np.abs(start))
    first, last = np.divide(start, turn), np.divide(stop, turn)
    out = np.logspace(np.log10(first), np.log10(last), num=num, endpoint=endpoint, base=10.0)
    shape = aval(out).shape[1:]
    parts = [np.expand_dims(np.broadcast_to(first, shape), 0)] if num > 0 else []
    ends = [np.expand_dims(np.broadcast_to(last, shape), 0)] if num > 1 and endpoint else []
    out = np.concatenate([*parts, out[len(parts): num - len(ends)], *ends]) if num > 0 else out
    return _placed(np.multiply(out, turn), axis, dtype or working)


@composite(np.vander, captured="made",
           cases=("A(3)", "A(3), 4", "A(3), N=2, increasing=True", "A(2), 0", "C(2), 3", "A(2), 1"))
def vander(x: Any, N: Any = None, increasing: Any = False) -> Any:
    x = operand(x)
    if aval(x).ndim != 1:
        np.vander(phantom(x))  # NumPy's own error
    n = aval(x).shape[0] if N is None else int(static(N))
    dtype = np.promote_types(aval(x).dtype, int)
    if not n:
        return np.zeros((aval(x).shape[0], 0), dtype)
    columns = [np.ones(aval(x).shape, dtype)]
    for _ in range(n - 1):
        columns.append(np.multiply(columns[-1], x))
    return np.stack(columns if increasing else columns[::-1], axis=-1)
