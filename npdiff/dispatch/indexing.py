"""Reading and writing parts of arrays: x[i], x[i] = v, and the functions around them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.array import DiffArray, ask, copy_layout, is_scalar, snapshot, view_of
from npdiff.avals import ndarray
from npdiff.core import Handle, Primitive, aval, bind, services, shape_of
from npdiff.dispatch.declare import operand
from npdiff.dispatch.rules import linear_primitive
from npdiff.dispatch.storing import converted, stored
from npdiff.errors import BranchError, message
from npdiff.foreign import filled, foreign_in
from npdiff.graph import Slot


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
                if isinstance(array, Handle) and per_example(array):
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
                array = array.copy("K")  # the caller may change it before the way back
            template.append(Slot(len(arrays)))
            arrays.append(array)
    return tuple(template), arrays


def _position(s: Any) -> int:
    if isinstance(s, Handle):
        s = ask(s, "index")
    if not hasattr(s, "__index__"):
        raise TypeError("slice indices must be integers or None or have an __index__ method")
    return operator.index(s)


def per_example(h: Any) -> bool:
    """True for a value that differs between the examples of a batch."""
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
    new = copy_layout(np.asarray(a))  # (derivatives of 0-d arrays may be scalars)
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
    # One zero for all: a compiled program then knows what it adds to.
    zeros = np.broadcast_to(np.zeros((), aval(ct).dtype), a.shape) if foreign_in(ct) is None \
        else filled(a.shape, 0, aval(ct).dtype, ct)
    put = setitem_p if is_basic(index) else index_add_p
    return (put.call(zeros, ct, *arrays, index=index), *[None] * len(arrays))


def _setitem_transpose(ct: Any, a: Any, v: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    rest = setitem_p.call(ct, np.zeros((), aval(ct).dtype), *arrays, index=index)
    to_v = _written(ct, v, arrays, index)
    if any(aval(x).dtype.kind != "b" for x in arrays):
        # With repeated indices the last write wins: only that one's value reaches the result.
        spot = getitem_p.call(np.arange(a.size).reshape(a.shape), *arrays, index=index)
        order = np.arange(aval(spot).size).reshape(aval(spot).shape)
        last = setitem_p.call(np.zeros(a.size, np.intp), order, spot, index=(Slot(0),))
        to_v = np.where(np.equal(getitem_p.call(last, spot, index=(Slot(0),)), order), to_v, 0)
    extra = len(shape_of(v)) - len(shape_of(to_v))
    if extra > 0:  # NumPy lets a value have leading axes of length one
        to_v = np.reshape(to_v, (1,) * extra + tuple(shape_of(to_v)))
    return (rest, to_v, *[None] * len(arrays))


def _written(ct: Any, v: Any, arrays: Sequence[Any], index: tuple[Any, ...]) -> Any:
    """The cotangents of the places that were written to."""
    if index == (Slot(0),) and aval(arrays[0]).dtype.kind == "b" and not shape_of(v):
        # One number under a mask: its cotangent is a sum, so no selection of unknown size is made.
        rest = (1,) * (len(shape_of(ct)) - len(shape_of(arrays[0])))
        return np.sum(np.where(np.reshape(arrays[0], (*shape_of(arrays[0]), *rest)), ct, np.zeros((), aval(ct).dtype)))
    return getitem_p.call(ct, *arrays, index=index)


def _index_add_transpose(ct: Any, a: Any, v: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    return (ct, _written(ct, v, arrays, index), *[None] * len(arrays))


# ---------------------------------------------------------------------- batching


def _is_advanced(item: Any) -> bool:
    """True for an index item that NumPy broadcasts with the index arrays, if there are any."""
    return type(item) is Slot or type(item) is int


class _Selection:
    """Where the axes of an index's arrays stand in what it selects from one example."""

    def __init__(self, index: tuple[Any, ...], arrays: Sequence[Any], batched: Sequence[bool], ndim: int) -> None:
        kinds = [aval(x).dtype.kind for x in arrays]
        ranks = [len(shape_of(x)) - b for x, b in zip(arrays, batched, strict=True)]
        # Number of axes that the arrays make together (a mask makes one).
        self.count = max([1 if k == "b" else n for k, n in zip(kinds, ranks, strict=True)], default=0)
        taken = sum([(ranks[i.number] if kinds[i.number] == "b" else 1) if type(i) is Slot else
                     0 if i is None or i is Ellipsis else 1 for i in index])
        advanced = [k for k, i in enumerate(index) if _is_advanced(i)]
        # NumPy moves the arrays' axes to the front if something else stands between them.
        self.apart = bool(arrays) and advanced != list(range(advanced[0], advanced[-1] + 1))
        lead = index[: advanced[0]] if arrays and not self.apart else ()
        self.first = sum([ndim - taken if i is Ellipsis else 1 for i in lead])
        basic = [i for i in index if not _is_advanced(i)]
        made = len([i for i in basic if i is not Ellipsis])
        self.rank = self.count + made + (ndim - taken)
        if not arrays:
            self.count = 0


def _aligned(arrays: Sequence[Any], batched: Sequence[bool], count: int) -> list[Any]:
    """Index arrays with the batch axis in front of the `count` axes they make together."""
    return [
        np.reshape(x, (shape_of(x)[0],) + (1,) * (count - len(shape_of(x)) + 1) + tuple(shape_of(x)[1:])) if b else x
        for x, b in zip(arrays, batched, strict=True)]


def _check_masks(arrays: Sequence[Any], batched: Sequence[bool]) -> None:
    for a, b in zip(arrays, batched, strict=True):
        if b and aval(a).dtype.kind == "b":
            raise BranchError(message(
                "getitem: a mask that differs along the vmapped axis selects a different number of elements for each "
                "example", a, instead="use np.where(mask, x, 0)"))


def _whole_index(size: int, index: tuple[Any, ...], arrays: Sequence[Any], batched: Sequence[bool],
                 count: int) -> tuple[tuple[Any, ...], list[Any]]:
    """The index of one example, led by an index array that walks through the batch."""
    walk = np.arange(size).reshape((size,) + (1,) * count)
    return (Slot(len(arrays)), *index), [*_aligned(arrays, batched, count), walk]


def _with_batch(x: Any, batched: bool, size: int) -> Any:
    return x if batched else np.broadcast_to(x, (size, *shape_of(x)))


def _getitem_batch(prim_of: Callable[[], Primitive]) -> Any:
    def rule(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        a, *arrays = args
        index = params["index"]
        _check_masks(arrays, batched[1:])
        at = _Selection(index, arrays, batched[1:], len(shape_of(a)) - batched[0])
        if not any(batched[1:]):
            out = prim_of().call(a, *arrays, index=(slice(None), *index))
            return np.moveaxis(out, at.count, 0) if at.apart else out
        if not batched[0]:
            # One table, an index per example: the table stays, the index grows.
            out = prim_of().call(a, *_aligned(arrays, batched[1:], at.count), index=index)
            return np.moveaxis(out, at.first, 0) if at.first else out
        whole, arrays = _whole_index(size, index, arrays, batched[1:], at.count)
        out = prim_of().call(a, *arrays, index=whole)
        made = range(at.count)
        return np.moveaxis(out, [k + 1 for k in made], [k + 1 + at.first for k in made]) if at.first else out

    return rule


def _write_batch(prim_of: Callable[[], Primitive]) -> Any:
    def rule(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        a, v, *arrays = args
        index = params["index"]
        a = _with_batch(a, batched[0], size)
        if batched[2:] == [True] and index == (Slot(0),) and aval(arrays[0]).dtype.kind == "b" and (
                len(shape_of(v)) == batched[1]):
            return _write_masked(prim_of(), a, v, arrays[0])
        _check_masks(arrays, batched[2:])
        at = _Selection(index, arrays, batched[2:], len(shape_of(a)) - 1)
        own = tuple(shape_of(v))[int(batched[1]):]
        if any(n != 1 for n in own[:max(len(own) - at.rank, 0)]) or (own and _integers(index)):
            # NumPy's own error, for one example
            _setitem(np.zeros(shape_of(a)[1:], aval(a).dtype), np.zeros(own), *[
                np.zeros(tuple(shape_of(x))[int(b):], aval(x).dtype) for x, b in zip(arrays, batched[2:], strict=True)],
                     index=index)
        v = _value_like(v, batched[1], at.rank)
        if not any(batched[2:]) and not at.apart:
            return prim_of().call(a, v, *arrays, index=(slice(None), *index))
        lead = int(batched[1])
        if at.first:
            v = np.moveaxis(v, [lead + at.first + k for k in range(at.count)], [lead + k for k in range(at.count)])
        whole, arrays = _whole_index(size, index, arrays, batched[2:], at.count)
        return prim_of().call(a, v, *arrays, index=whole)

    return rule


def _value_like(v: Any, batched: bool, rank: int) -> Any:
    """A written value with as many axes as the selection has, behind its batch axis."""
    shape = tuple(shape_of(v))
    lead, rest = shape[: int(batched)], shape[int(batched):]
    rest = rest[len(rest) - rank:] if len(rest) > rank else (1,) * (rank - len(rest)) + rest
    return np.reshape(v, lead + rest)


def _write_masked(prim: Primitive, a: Any, v: Any, mask: Any) -> Any:
    """``a[mask] = v`` for one number per example and a mask of its own for each: no selection is needed."""
    mask, v = [np.reshape(x, tuple(shape_of(x)) + (1,) * (len(shape_of(a)) - len(shape_of(x)))) for x in (mask, v)]
    return np.where(mask, np.astype(v, aval(a).dtype) if prim is setitem_p else np.add(a, v), a)


def _in_range(count: int) -> Callable[..., bool]:
    """Indices are known to be in range if they were there when it was recorded: the first `count` operands are none."""
    return lambda _eq, fixed: all(fixed[count:])


getitem_p: Primitive = linear_primitive("getitem", None, _getitem_transpose, impl=_getitem, operands=(0,),
                            batch=_getitem_batch(lambda: getitem_p), total=_in_range(1))
setitem_p: Primitive = linear_primitive("setitem", None, _setitem_transpose, impl=_setitem, operands=(0, 1),
                             batch=_write_batch(lambda: setitem_p), total=_in_range(2))
index_add_p: Primitive = linear_primitive("index_add", None, _index_add_transpose, impl=_index_add, operands=(0, 1),
                               batch=_write_batch(lambda: index_add_p), total=_in_range(2))
getitem_dynamic_p: Primitive = linear_primitive("getitem", None, _getitem_transpose, impl=_getitem, operands=(0,),
                                     batch=_getitem_batch(lambda: getitem_dynamic_p))
getitem_dynamic_p.dynamic = True


# ---------------------------------------------------------------------- x[index]


def getitem(x: DiffArray, index: Any) -> Any:
    """``x[index]``: a view where NumPy gives one."""
    x._sync()
    template, arrays = parse_index(index)
    if not is_basic(template):
        if all(aval(a).ndim == 0 and aval(a).dtype.kind in "iu" for a in arrays):
            return _at_its_own_place(x, template, arrays)
        prim = getitem_dynamic_p if any(aval(a).dtype.kind == "b" for a in arrays) else getitem_p
        return bind(prim, (x, *arrays), {"index": template})
    if _integers(template) and len(template) == x.ndim:
        return bind(getitem_p, (x,), {"index": template})  # a scalar, not a view
    return view_of(
        x,
        lambda base: bind(getitem_p, (base,), {"index": template}),
        lambda base, new: setitem_p.call(base, new, index=template),
    )


def _at_its_own_place(x: DiffArray, template: tuple[Any, ...], arrays: list[Any]) -> Any:
    """``x[i]`` where i is an integer that differs between the examples of a batch: a view in each."""

    def get(base: Any) -> Any:
        return bind(getitem_p, (base, *arrays), {"index": template})

    if len(template) == x.ndim and all(type(i) in (int, Slot) for i in template):
        return get(x)
    return view_of(x, get, lambda base, new: setitem_p.call(base, new, *arrays, index=template))


# ---------------------------------------------------------------------- x[index] = v


def setitem(x: DiffArray, index: Any, v: Any) -> None:
    """``x[index] = v``: x and all that shares its memory see the new value."""
    x._sync()
    if is_scalar(x):
        raise TypeError(f"'numpy.{x.dtype.name}' object does not support item assignment")
    if not x._writable():
        raise ValueError("assignment destination is read-only")
    template, arrays = parse_index(index)
    if type(v) in (list, tuple) and x.dtype.kind == "b" and _integers(template) and len(template) == x.ndim:
        v = bool(v)  # one truth value: NumPy asks the sequence for its own
    v = converted(v, x.dtype) if type(v) in (list, tuple) else operand(v)
    if isinstance(v, Handle):
        v = stored(snapshot(v), x.dtype, listed=is_basic(template))
    elif type(v) is ndarray:
        v = v.copy()
    elif x.dtype.kind in "iu" and aval(v).dtype.kind == "f" and (aval(v).weak or is_basic(template)):
        v = stored(v, x.dtype, listed=True)
    x._assign(bind(setitem_p, (x if type(x) is DiffArray else snapshot(x), v, *arrays), {"index": template}))


services["getitem"] = getitem
services["setitem"] = setitem

__all__ = ["Slot", "fill_slots", "getitem", "getitem_p", "index_add_p", "is_basic", "parse_index",
           "per_example", "setitem", "setitem_p"]
