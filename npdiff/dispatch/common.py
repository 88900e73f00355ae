"""Small tools that several chapters of rows share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.array import is_scalar, layout
from npdiff.avals import ndarray
from npdiff.core import Handle, Primitive, aval, bind, shape_of
from npdiff.dispatch.declare import _NO_VALUE, static
from npdiff.dispatch.indexing import Slot, getitem_p
from npdiff.errors import BranchError, message


def given(value: Any, default: Any) -> Any:
    """A parameter, or its default where the caller left it out."""
    return default if value is _NO_VALUE else value


def truth(value: Any) -> Any:
    """A ``keepdims=`` or similar flag."""
    return False if value is _NO_VALUE else bool(static(value))


def scalar(a: Any) -> Any:
    """`a`, but a scalar instead of a 0-d array, as most functions of NumPy's return."""
    array: Any = a
    return array[()] if isinstance(a, (Handle, ndarray)) and aval(a).ndim == 0 else a


def in_c_order(a: Any) -> Any:
    """`a` if its elements lie in C order in memory of their own, else a copy in which they do."""
    if not isinstance(a, Handle):
        return np.ascontiguousarray(a) if a.flags.writeable else a.copy()
    target: Any = a
    return a if is_scalar(a) or (target._writable() and layout(a).flags.c_contiguous) else np.copy(a, order="C")


def in_f_order(a: Any) -> Any:
    """`a` with its elements in Fortran's order in memory of its own, as LAPACK leaves them."""
    return np.transpose(in_c_order(np.transpose(a)))


def laid_out(a: Any, like: Any) -> Any:
    """`a` in memory of its own, with its axes in the order in which `like`'s lie there (NumPy's order="K")."""
    if aval(a).ndim < 2:
        return a
    strides = (layout(like) if isinstance(like, Handle) else like).strides
    order = np.argsort([-abs(s) for s in strides], kind="stable").tolist()
    if order == list(range(len(order))):
        return in_c_order(a)
    return np.transpose(in_c_order(np.transpose(a, order)), np.argsort(order).tolist())


def in_c_or_f_order(a: Any, like: Any) -> Any:
    """`a` in memory of its own: in Fortran's order if `like` is so and not in C's, else in C's."""
    if aval(a).ndim < 2:
        return in_c_order(a)
    flags = (layout(like) if isinstance(like, Handle) else like).flags
    return in_f_order(a) if flags.fnc else in_c_order(a)


def pick(a: Any, index: Any) -> Any:
    """``a[index]`` along the first axis, where either may be tracked."""
    return bind(getitem_p, (a, index), {"index": (Slot(0),)})


def safe_sqrt(a: Any) -> Any:
    """The square root whose derivative at 0 is taken as 0."""
    zero = np.equal(a, 0)
    return np.where(zero, np.zeros((), aval(a).dtype), np.sqrt(np.where(zero, np.ones((), aval(a).dtype), a)))


def backwards(a: Any, axis: int) -> Any:
    """`a` with its elements along `axis` in the opposite order."""
    return a[(slice(None),) * axis + (slice(None, None, -1),)]


def along(axis: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    """The index that takes ``start:stop`` along one axis."""
    return (slice(None),) * axis + (slice(start, stop),)


def adjoint(a: Any) -> Any:
    """The conjugate transpose of a stack of matrices."""
    turned = np.swapaxes(a, -1, -2)
    return np.conjugate(turned) if aval(a).dtype.kind == "c" else turned


def float_dtype(a: Any) -> np.dtype[Any]:
    """The floating dtype that NumPy computes means and the like in."""
    d = aval(a).dtype
    return d if d.kind in "fc" else np.dtype(float)


def flattened(a: Any, axis: Any) -> tuple[Any, int]:
    """`a` and a non-negative axis to work along; ``axis=None`` means all elements in a row."""
    axis = static(axis)
    if axis is None:
        return np.reshape(a, (-1,)), 0
    return a, np.lib.array_utils.normalize_axis_index(axis, aval(a).ndim)


def shared(a: Any, what: str) -> Any:
    """The plain value of something that decides a size: under vmap it has to be the same for every example."""
    axes = len(aval(a).shape)
    start = a
    while isinstance(a, Handle):
        t = a._trace
        a = a._value if t is None or t.batches else t.ask(a, what)
    a = np.asarray(a)
    examples = a.reshape(-1, *a.shape[a.ndim - axes:]) if a.ndim > axes else a[None]
    if not np.all(examples == examples[:1]):
        raise BranchError(message(f"{what} differs along the vmapped axis", start,
                                  instead="loop over the examples instead of vmap"))
    return examples[0]


def with_batch(a: Any, batched: bool, size: int) -> Any:
    """An operand with the batch axis in front, whether or not it had one."""
    return a if batched else np.broadcast_to(a, (size, *shape_of(a)))


def batch_axis(prim_of: Callable[[], Primitive]) -> Any:
    """Batching rule of a primitive whose parameter ``axis`` is a non-negative integer."""

    def rule(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        whole = [with_batch(a, b, size) for a, b in zip(args, batched, strict=True)]
        return prim_of().call(*whole, **{**params, "axis": params["axis"] + 1})

    return rule


def batch_stacks(prim_of: Callable[[], Primitive], core: Sequence[int]) -> Any:
    """Batching rule of a function on stacks, whose operands have `core` axes behind the stacking ones."""

    def rule(_size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        leads = [len(shape_of(a)) - b - n for a, b, n in zip(args, batched, core, strict=True)]
        most = max(leads)
        ready = []
        for a, b, lead in zip(args, batched, leads, strict=True):
            if b and lead < most:
                s = tuple(shape_of(a))
                a = np.reshape(a, s[:1] + (1,) * (most - lead) + s[1:])
            ready.append(a)
        return prim_of().call(*ready, **params)

    return rule


def one_by_one(prim: Primitive, size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    """Apply a primitive to each example and stack the results."""
    return np.stack([prim.call(*[a[k] if b else a for a, b in zip(args, batched, strict=True)], **params)
                     for k in range(size)])


def batch_by_size(prim_of: Callable[[], Primitive], name: str) -> Any:
    """Batching rule of a function whose number of results depends on values: right if it is the same for all."""

    def rule(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        prim = prim_of()
        rows = [prim.call(*[a[k] if b else a for a, b in zip(args, batched, strict=True)], **params)
                for k in range(size)]
        if not prim.multiple:
            rows = [(r,) for r in rows]
        if len({tuple([tuple(shape_of(o)) for o in r]) for r in rows}) != 1:
            raise BranchError(message(
                f"{name}: the size of the result depends on the values, and differs along the vmapped axis",
                *[a for a in args if isinstance(a, Handle)], instead="loop over the examples instead of vmap"))
        columns = tuple([np.stack(list(c)) for c in zip(*rows, strict=True)])
        return columns if prim.multiple else columns[0]

    return rule


__all__ = [
    "adjoint", "along", "backwards", "batch_axis", "batch_by_size", "batch_stacks", "flattened", "float_dtype",
    "given", "in_c_or_f_order", "in_c_order", "in_f_order", "laid_out", "one_by_one", "pick", "safe_sqrt", "scalar",
    "shared", "truth", "with_batch",
]
