"""Gathers and scatters through CuPy, whose indices wrap around and whose repeated writes race."""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.backend.cuda_equations import Operation
from npdiff.dispatch.indexing import Slot, fill_slots
from npdiff.graph import Var

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


def index_add(m: Operation, a: Any, v: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    """A copy of `a` with `v` added at the index, repeatedly where that repeats (in no fixed order)."""
    given = m.arrays(arrays)
    out = m.array(a, m.dtype).copy()
    at = _filled(m, out, index, given)
    v = _fitted(m, v, out.dtype, out[at].shape)
    if all(k.dtype == bool for k in given):
        out[at] = out[at] + v
    elif out.dtype.kind == "c":
        m.extra.scatter_add(out.real, at, v.real)
        m.extra.scatter_add(out.imag, at, v.imag)
    elif out.dtype == np.int64:  # the card adds unsigned ones; modulo 2**64 that is the same
        m.extra.scatter_add(out.view(np.uint64), at, v.astype(np.uint64))
    elif out.dtype.char in "efdiI" or out.dtype == np.uint64:
        m.extra.scatter_add(out, at, v)
    else:
        raise NotImplementedError(f"the card has no atomic addition of {out.dtype}")
    return out


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
