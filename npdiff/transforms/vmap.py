"""Batching: run code written for one example on a whole stack of them.

Inside, a batched payload carries its batch axis in front; operands that do not depend on the
batch stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from npdiff.array import ARRAY, DiffArray, is_scalar
from npdiff.avals import Aval, ndarray
from npdiff.core import Handle, Primitive, Trace, aval, constant, lower, shape_of
from npdiff.errors import ArgumentError, BranchError, TracedValueError, message, outside_write


class BatchTrace(Trace):
    """Applies each primitive's batching rule; a primitive without one runs example by example."""

    kind = "vmap"
    batches = True

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def process(self, prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        batched = [isinstance(a, Handle) and a._trace is self for a in args]
        vals = [lower(a, self) for a in args]
        rule = prim.batch or one_by_one(prim)
        out = rule(self.size, vals, batched, params)
        if prim.multiple:
            return tuple([DiffArray(self, o, None) for o in out])
        return DiffArray(self, out, ARRAY if len(shape_of(out)) == 1 and _gives_array(prim, args, params) else None)

    def aval(self, value: Any) -> Aval:
        a = aval(value)
        return Aval(a.shape[1:], a.dtype)

    def ask(self, handle: Any, what: str) -> NoReturn:
        raise BranchError(message(
            f"{what}: Python needs one value here, but under vmap each example has its own", handle,
            instead="use np.where for a branch, or loop over the examples instead of vmap"))

    def take(self, handle: Any, what: str) -> NoReturn:
        if what == "setitem":
            raise outside_write(handle)
        ways = {
            "np.asarray": "write np.copy(a)[i] where i indexes a plain array a, or use NumPy's function of the whole",
            "format": "write it without a format, which shows all examples",
        }
        raise TracedValueError(message(
            f"{what}: needs one plain value, but under vmap each example has its own", handle,
            instead=ways.get(what, "use NumPy's function (np.sin, not math.sin)")))


def _gives_array(prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> bool:
    """Whether the result for one example, without axes, is an array: NumPy's ufuncs give scalars, np.copy does not."""
    if prim.ufunc is not None or prim.ordered or any(aval(a).shape for a in args):
        return False
    one = [np.ones((), aval(a).dtype) if isinstance(a, Handle) else a for a in args]
    one = [o[()] if isinstance(a, Handle) and is_scalar(a) else o for a, o in zip(args, one, strict=True)]
    return type(prim.call(*one, **params)) is ndarray


def one_by_one(prim: Primitive) -> Any:
    """The batching rule that is always right: apply the primitive to each example, stack the results."""

    def rule(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        if size == 0:
            return _empty(prim, args, batched, params)
        rows = []
        for k in range(size):
            rows.append(prim.call(*[a[k] if b else a for a, b in zip(args, batched, strict=True)], **params))
        if prim.multiple:
            return tuple([np.stack(list(column)) for column in zip(*rows, strict=True)])
        return np.stack(rows)

    return rule


def _empty(prim: Primitive, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    # With no example there is nothing to run: one example of ones tells shapes and dtypes.
    example = [np.ones(aval(a).shape[1:], aval(a).dtype) if b else a for a, b in zip(args, batched, strict=True)]
    out = prim.call(*example, **params)
    if prim.multiple:
        return tuple([np.empty((0, *aval(o).shape), aval(o).dtype) for o in out])
    return np.empty((0, *aval(out).shape), aval(out).dtype)


def batch_input(trace: BatchTrace, value: Any, axis: int | None) -> Any:
    """An argument as the mapped function sees it."""
    if axis is None:
        return value if isinstance(value, Handle) else constant(value)
    moved = np.moveaxis(value, axis, 0) if axis != 0 else value
    return DiffArray(trace, lower(moved, trace), None)


def batch_output(trace: BatchTrace, value: Any, axis: int | None) -> Any:
    """A result of the mapped function, with the batch axis where the caller wants it."""
    if isinstance(value, Handle):
        value._sync()
    if isinstance(value, Handle) and value._trace is trace:
        payload = value._value
        if axis is None:
            raise ArgumentError(message("vmap: out_axes is None for a result that differs along the batch", value,
                                        instead="give it an axis in out_axes"))
        return np.moveaxis(payload, 0, axis) if axis else payload
    plain = lower(value, trace)
    if axis is None or not is_operand(plain):
        return plain
    whole = np.broadcast_to(plain, (trace.size, *aval(plain).shape))
    whole = whole.copy() if type(whole) is ndarray else whole
    return np.moveaxis(whole, 0, axis) if axis else whole


def is_operand(value: Any) -> bool:
    """True for what can be an array: strings and other results of a mapped function pass as they are."""
    return isinstance(value, (Handle, ndarray, np.generic, bool, int, float, complex))
