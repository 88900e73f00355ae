"""Gathers and scatters through CuPy, whose indices wrap around and whose repeated writes race."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npdiff.backend.cuda_equations import Operation
from npdiff.dispatch.indexing import Slot, fill_slots
from npdiff.graph import Var
from npdiff.kernels.loop_ir import part_of

FIRST = Slot(0)


def _filled(m: Operation, a: Any, index: tuple[Any, ...], arrays: list[Any]) -> tuple[Any, ...]:
    """The index as CuPy takes it; a check that integers lie within the axes they index.

    Constant indices need none: the recorded run has used them.
    """
    m.indexable(a, *arrays)
    # Limits may not fit in a narrow or unsigned dtype.
    arrays = [k if k.dtype == bool else m.cast(k, np.int64) for k in arrays]

    def axes(i: Any) -> int:
        if type(i) is Slot:
            return int(arrays[i.number].ndim) if arrays[i.number].dtype == bool else 1
        return 0 if i is None or i is Ellipsis else 1

    slots = m.equation.inputs[len(m.equation.inputs) - len(arrays):]
    at = 0
    for i in index:
        if i is Ellipsis:
            at += a.ndim - sum(axes(other) for other in index)
            continue
        if type(i) is Slot and arrays[i.number].dtype != bool:
            n, k, slot = a.shape[at], arrays[i.number], slots[i.number]
            if not (isinstance(slot, Var) and slot in m.constants):
                m.check((k >= -n) & (k < n))
        at += axes(i)
    return fill_slots(index, arrays)


def getitem(m: Operation, a: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    """``a[index]``."""
    a = m.array(a)
    out = a[_filled(m, a, index, m.arrays(arrays))]
    m.indexable(out)
    return out


def _fitted(m: Operation, v: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """A value to write, in the shape of its place (NumPy lets it have leading axes of length one)."""
    v = m.array(v, dtype)
    extra = max(v.ndim - len(shape), 0)
    return m.xp.broadcast_to(v.reshape(v.shape[extra:]), shape)


def setitem(m: Operation, a: Any, v: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    """A copy of `a` with `v` written at the index; of several writes into one place, the last wins."""
    xp = m.xp
    given = m.arrays(arrays)
    out = m.array(a, m.dtype).copy()
    at = _filled(m, out, index, given)
    v = m.array(v, out.dtype)
    if all(k.dtype == bool for k in given):
        out[at] = v
    elif v.size == 1:
        out[at] = v.reshape(())
    else:
        spots = xp.arange(out.size, dtype=np.int64).reshape(out.shape)[at]
        m.indexable(spots)
        # Whoever writes into a place writes the value of the last that does, so it does not matter who is last.
        order = xp.arange(1, spots.size + 1, dtype=np.uint64)
        last = xp.zeros(out.size, np.uint64)
        m.extra.scatter_max(last, spots.reshape(-1), order)
        winner = last[spots].astype(np.int64) - 1
        out[at] = _fitted(m, v, out.dtype, spots.shape).reshape(-1)[winner]
    return out


def write(m: Operation, a: Any, v: Any, *, index: Any) -> Any:
    """Write into `a` itself, at a basic index."""
    a[index] = m.array(v, a.dtype)
    return a


def _keys(m: Operation, out: Any, index: tuple[Any, ...], at: tuple[Any, ...], arrays: list[Any]) -> Any:
    """Which row each row of a value is added to: rows are the axes behind the index, if that is in front of them."""
    rest = index[:-1] if index[-1] is Ellipsis else index
    if rest != tuple(Slot(k) for k in range(len(arrays))) or any(k.dtype == bool for k in arrays):
        spots = m.xp.arange(out.size, dtype=np.int64).reshape(out.shape)[at]
        m.indexable(spots)
        return spots.reshape(-1)
    key = None
    for k, n in zip(at, out.shape, strict=False):
        k = m.xp.where(k < 0, k + n, k)
        key = k if key is None else key * n + k
    # (Integers that are out of range fail a check, and must do no harm until that is looked at.)
    return m.xp.clip(key, 0, max(math.prod(out.shape[:len(arrays)]) - 1, 0)).reshape(-1)


def index_add(m: Operation, a: Any, v: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    """A copy of `a` with `v` added at the index, repeatedly where that repeats.

    What is added to one place is added up first, in an order that the sizes alone decide, after a stable sort.
    """
    xp, given = m.xp, m.arrays(arrays)
    # Half precision is added up in single precision.
    dtype = np.dtype(np.float32) if m.dtype.char == "e" else m.dtype
    out = m.array(a, m.dtype).astype(dtype)
    at = _filled(m, out, index, given)
    picked = out[at].shape
    v = _fitted(m, m.array(v, m.dtype), dtype, picked)
    if all(k.dtype == bool for k in given):
        out[at] = out[at] + v
    elif dtype.kind == "b":
        raise NotImplementedError("truth values are not added on the card")
    elif v.size:
        out, v = xp.ascontiguousarray(out), xp.ascontiguousarray(v)
        keys = _keys(m, out, index, at, given)
        order = xp.argsort(keys).astype(np.int64)
        # A complex number is a row of two.
        rows, table = [x.view(part_of(dtype)) if x.ndim else x for x in (v, out)]
        m.card.added(part_of(dtype), keys.size, rows.size // keys.size)(rows, keys[order], order, table)
    return out.astype(m.dtype)


def take_along(m: Operation, a: Any, order: Any, *, axis: int) -> Any:
    """``np.take_along_axis``."""
    a, order = m.arrays((a, order))
    m.indexable(a, order)
    order = m.cast(order, np.int64)
    n = a.shape[axis]
    m.check((order >= -n) & (order < n))
    return m.xp.take_along_axis(a, order, axis)


def choose_along(m: Operation, a: Any, k: Any, *, axis: int) -> Any:
    """One element along an axis, chosen by an index of its own in each row."""
    return take_along(m, a, m.xp.expand_dims(m.array(k), axis), axis=axis).squeeze(axis)


__all__ = ["FIRST", "choose_along", "getitem", "index_add", "setitem", "take_along", "write"]
