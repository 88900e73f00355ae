"""Reading and writing parts of arrays: x[i], x[i] = v, and the functions around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.avals import ndarray
from npdiff.array import DiffArray, ask, copy_layout, is_scalar, snapshot, view_of
from npdiff.core import Handle, Primitive, aval, bind, services, shape_of
from npdiff.dispatch.declare import linear_primitive, operand
from npdiff.errors import BranchError, message


class Slot:
    """Stands in an index for an array that is an operand of the primitive."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"#{self.number}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slot) and other.number == self.number

    def __hash__(self) -> int:
        return hash(self.number)


def fill_slots(index: tuple[Any, ...], arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The index as NumPy takes it."""
    return tuple([arrays[i.number] if type(i) is Slot else i for i in index])


def parse_index(index: Any) -> tuple[tuple[Any, ...], list[Any]]:
    """An index as a tuple of ints, slices, None, Ellipsis and slots, and the arrays of the slots."""
    items = index if type(index) is tuple else (index,)
    template: list[Any] = []
    arrays: list[Any] = []
    for item in items:
        if item is None or item is Ellipsis or type(item) is int:
            template.append(item)
        elif isinstance(item, slice):
            template.append(slice(*[None if s is None else _position(s) for s in (item.start, item.stop, item.step)]))
        else:
            array = operand(item)
            a = aval(array)
            if a.ndim == 0 and a.dtype.kind in "iu":
                if isinstance(array, Handle) and _per_example(array):
                    template.append(Slot(len(arrays)))
                    arrays.append(array)
                else:
                    template.append(int(ask(array, "index")))
                continue
            if a.size == 0 and a.ndim == 1 and not isinstance(array, Handle) and a.dtype.kind == "f":
                array = np.asarray(array, dtype=np.intp)  # x[[]] selects nothing
            elif a.dtype.kind not in "iub":
                raise IndexError(
                    "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean "
                    "arrays are valid indices")
            elif type(array) is ndarray:
                array = array.copy()  # the caller may change it before the way back
            template.append(Slot(len(arrays)))
            arrays.append(array)
    return tuple(template), arrays


def _position(s: Any) -> int:
    return s if type(s) is int else int(ask(s, "index") if isinstance(s, Handle) else s.__index__())


def _per_example(h: Handle) -> bool:
    while isinstance(h, Handle):
        t = h._trace
        if t is not None and t.batches:
            return True
        h = h._value
    return False


def is_basic(index: tuple[Any, ...]) -> bool:
    """True for an index that gives a view."""
    return not any(type(i) is Slot for i in index)


def _integers(index: tuple[Any, ...]) -> bool:
    return all(type(i) is int for i in index)


# ---------------------------------------------------------------------- primitives


def _getitem(a: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    return a[fill_slots(index, arrays)]


def _setitem(a: Any, v: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    new = copy_layout(np.asarray(a))
    new[fill_slots(index, arrays)] = v
    return new


def _index_add(a: Any, v: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    new = copy_layout(np.asarray(a))
    if is_basic(index):
        new[index] += v
    else:
        np.add.at(new, fill_slots(index, arrays), v)
    return new


def _getitem_transpose(ct: Any, a: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    zeros = np.zeros(a.shape, aval(ct).dtype)
    put = setitem_p if is_basic(index) else index_add_p
    return (put.call(zeros, ct, *arrays, index=index), *[None] * len(arrays))


def _setitem_transpose(ct: Any, a: Any, v: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    rest = setitem_p.call(ct, np.zeros((), aval(ct).dtype), *arrays, index=index)
    if is_basic(index):
        to_v = getitem_p.call(ct, index=index)
    else:
        # With repeated indices the last write wins: only that one's value reaches the result.
        numbers = np.arange(a.size).reshape(a.shape)
        spot = numbers[fill_slots(index, [_plain_index(x) for x in arrays])]
        last = np.zeros(a.size, dtype=np.intp)
        order = np.arange(spot.size).reshape(spot.shape)
        last[spot] = order
        to_v = np.where(last[spot] == order, getitem_p.call(ct, *arrays, index=index), 0)
    extra = len(shape_of(v)) - len(shape_of(to_v))
    if extra > 0:  # NumPy lets a value have leading axes of length one
        to_v = np.reshape(to_v, (1,) * extra + tuple(shape_of(to_v)))
    return (rest, to_v, *[None] * len(arrays))


def _plain_index(x: Any) -> Any:
    return np.asarray(ask(x, "index")) if isinstance(x, Handle) else np.asarray(x)


def _index_add_transpose(ct: Any, a: Any, v: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    return (ct, getitem_p.call(ct, *arrays, index=index), *[None] * len(arrays))


def _batched_index(index: tuple[Any, ...], arrays: Sequence[Any], batched: Sequence[bool], size: int,
                   ndim: int) -> tuple[tuple[Any, ...], list[Any]]:
    """The index of one example as an index into the whole batch."""
    if not any(batched):
        if not arrays or not _leading_advanced(index):
            return (slice(None), *index), list(arrays)
    for a, b in zip(arrays, batched, strict=True):
        if b and aval(a).dtype.kind == "b":
            raise BranchError(message(
                "getitem: a mask that differs along the vmapped axis selects a different number of elements for each "
                "example", a, instead="use np.where(mask, x, 0)"))
    raise _OneByOne


class _OneByOne(Exception):
    """This index has to be applied example by example."""


def _leading_advanced(index: tuple[Any, ...]) -> bool:
    """True if NumPy moves the axes of the advanced index to the front, where the batch axis must stay."""
    spots = [i for i, item in enumerate(index) if type(item) is Slot or type(item) is int]
    return bool(spots) and spots != list(range(spots[0], spots[-1] + 1))


def _with_batch(x: Any, batched: bool, size: int) -> Any:
    return x if batched else np.broadcast_to(x, (size, *shape_of(x)))


def _getitem_batch(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    a, *arrays = args
    index = params["index"]
    if not batched[0] and arrays:
        # One table, an index per example: the table stays, the index grows.
        if len(arrays) == 1 and aval(arrays[0]).dtype.kind != "b" and type(index[0]) is Slot and all(
            isinstance(i, slice) for i in index[1:]
        ):
            return getitem_p.call(a, *arrays, index=index)
    try:
        whole, arrays = _batched_index(index, arrays, batched[1:], size, len(shape_of(a)))
    except _OneByOne:
        return _stack(getitem_p, size, args, batched, params)
    return getitem_p.call(_with_batch(a, batched[0], size), *arrays, index=whole)


def _write_batch(prim_name: str) -> Any:
    def rule(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        prim = setitem_p if prim_name == "setitem" else index_add_p
        a, v, *arrays = args
        try:
            whole, arrays = _batched_index(params["index"], arrays, batched[2:], size, len(shape_of(a)))
        except _OneByOne:
            return _stack(prim, size, args, batched, params)
        a = _with_batch(a, batched[0], size)
        if batched[1]:
            target = len(shape_of(layout_like(a, whole, arrays))) - 1
            s = shape_of(v)
            if len(s) - 1 < target:
                v = np.reshape(v, (s[0],) + (1,) * (target - len(s) + 1) + tuple(s[1:]))
        return prim.call(a, v, *arrays, index=whole)

    return rule


def layout_like(a: Any, index: tuple[Any, ...], arrays: Sequence[Any]) -> Any:
    """What the index selects from an array of a's shape, without touching data."""
    phantom = np.broadcast_to(np.zeros((), bool), shape_of(a))
    return phantom[fill_slots(index, [_plain_index(x) for x in arrays])]


def _stack(prim: Primitive, size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    rows = [prim.call(*[x[k] if b else x for x, b in zip(args, batched, strict=True)], **params) for k in range(size)]
    return np.stack(rows)


getitem_p = linear_primitive("getitem", None, _getitem_transpose, impl=_getitem, operands=(0,), batch=_getitem_batch)
setitem_p = linear_primitive("setitem", None, _setitem_transpose, impl=_setitem, operands=(0, 1),
                             batch=_write_batch("setitem"))
index_add_p = linear_primitive("index_add", None, _index_add_transpose, impl=_index_add, operands=(0, 1),
                               batch=_write_batch("index_add"))
getitem_dynamic_p = linear_primitive("getitem", None, _getitem_transpose, impl=_getitem, operands=(0,),
                                     batch=_getitem_batch)
getitem_dynamic_p.dynamic = True


# ---------------------------------------------------------------------- x[index]


def getitem(x: DiffArray, index: Any) -> Any:
    """``x[index]``: a view where NumPy gives one."""
    x._sync()
    template, arrays = parse_index(index)
    if not is_basic(template):
        prim = getitem_dynamic_p if any(aval(a).dtype.kind == "b" for a in arrays) else getitem_p
        return bind(prim, (x, *arrays), {"index": template})
    if _integers(template) and len(template) == x.ndim:
        return bind(getitem_p, (x,), {"index": template})  # a scalar, not a view
    return view_of(
        x,
        lambda base: bind(getitem_p, (base,), {"index": template}),
        lambda base, new: setitem_p.call(base, new, index=template),
    )


# ---------------------------------------------------------------------- x[index] = v


def setitem(x: DiffArray, index: Any, v: Any) -> None:
    """``x[index] = v``: x and all that shares its memory see the new value."""
    x._sync()
    if is_scalar(x):
        raise TypeError(f"'numpy.{x.dtype.name}' object does not support item assignment")
    if not x._writable():
        raise ValueError("assignment destination is read-only")
    template, arrays = parse_index(index)
    v = operand(v)
    if isinstance(v, Handle):
        v = snapshot(v)
    elif type(v) is ndarray:
        v = v.copy()
    v = match_dtype(v, x.dtype)
    x._assign(bind(setitem_p, (x if type(x) is DiffArray else snapshot(x), v, *arrays), {"index": template}))


def match_dtype(v: Any, dtype: np.dtype[Any]) -> Any:
    """A value cast as NumPy casts it when it is stored into an array of this dtype."""
    if isinstance(v, Handle) and v.dtype != dtype:
        if v.dtype.kind == "c" and dtype.kind != "c":
            raise TypeError(f"float() argument must be a string or a real number, not '{v.dtype.type.__name__}'")
        return np.astype(v, dtype)
    return v


services["getitem"] = getitem
services["setitem"] = setitem

__all__ = ["Slot", "fill_slots", "getitem", "getitem_p", "index_add_p", "is_basic", "match_dtype", "parse_index",
           "setitem", "setitem_p"]
