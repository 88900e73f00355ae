"""Batching: run code written for one example on a whole stack of them.

Inside, a batched payload carries its batch axis in front; operands that do not depend on the
batch stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from npdiff.array import ARRAY, DiffArray, is_scalar
from npdiff.avals import PYTHON_NUMBERS, Aval, ndarray, python_type
from npdiff.core import NUMBER, Handle, Primitive, Trace, aval, constant, lower, python_primitives, shape_of
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
        vals = [_payload(a, self) for a in args]
        rule = prim.batch or one_by_one(prim)
        if prim.kind in ("elementwise", "nondifferentiable") and any(
                [b and a._node is NUMBER for a, b in zip(args, batched, strict=True)]):
            out = _with_numbers(prim, rule, self.size, args, vals, batched, params)
        else:
            out = rule(self.size, vals, batched, params)
        if prim.multiple:
            return tuple([DiffArray(self, o, None) for o in out])
        kind = _kind(prim, args, params) if len(shape_of(out)) == 1 else None
        # (in a constant: operators take the short way with payloads that are plain arrays)
        return DiffArray(self, constant(out) if kind is NUMBER and type(out) is ndarray else out, kind)

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


def _payload(a: Any, trace: Trace) -> Any:
    value = lower(a, trace)
    return value._value if isinstance(value, Handle) and value._trace is None else value


def _one(a: Any) -> Any:
    """One example of an operand, of ones."""
    if not isinstance(a, Handle):
        return a
    v = aval(a)
    return python_type(v.dtype)(1) if v.weak else np.ones(v.shape, v.dtype)[() if is_scalar(a) else ...]


def _kind(prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
    """What one example of a result without axes is: ARRAY (np.copy), NUMBER (x.item()), or None (a ufunc's scalar)."""
    if prim.ufunc is not None:
        return NUMBER if python_primitives.get(prim.ufunc) is prim else None
    if prim.ordered or any(aval(a).shape for a in args):
        return None
    one = prim.call(*[_one(a) for a in args], **params)
    return ARRAY if type(one) is ndarray else NUMBER if type(one) in PYTHON_NUMBERS else None


def _with_numbers(prim: Primitive, rule: Any, size: int, args: Sequence[Any], vals: Sequence[Any],
                  batched: Sequence[bool], params: dict[str, Any]) -> Any:
    """A primitive of operands among which each example has Python numbers (NEP 50).

    Whole numbers may be too large, have no fixed size, and True + True is 2: they are left to Python, one by one.
    """
    numbers = [b and a._node is NUMBER for a, b in zip(args, batched, strict=True)]
    if any(n and aval(a).dtype.kind in "bi" for n, a in zip(numbers, args, strict=True)):
        return one_by_one(prim, numbers)(size, vals, batched, params)
    if not all(numbers) and (prim.ufunc is None or python_primitives.get(prim.ufunc) is not prim):
        kinds = [python_type(v.dtype) if v.weak and v.dtype.kind != "b" else v.dtype for v in map(aval, args)]
        if prim.ufunc is not None:
            dtypes = prim.ufunc.resolve_dtypes((*kinds, *[None] * prim.ufunc.nout))
        else:
            dtypes = (np.result_type(*[k(1) if isinstance(k, type) else k for k in kinds]),) * len(kinds)
        vals = [np.astype(x, d) if n else x for x, d, n in zip(vals, dtypes, numbers, strict=False)]
    return rule(size, vals, batched, params)


def one_by_one(prim: Primitive, numbers: Sequence[bool] = ()) -> Any:
    """The batching rule that is always right: apply the primitive to each example, stack the results.

    `numbers` says which operands have a Python number in each example.
    """
    python = [k for k, n in enumerate(numbers) if n]

    def rule(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        if size == 0:
            return _empty(prim, args, batched, params)
        rows = []
        for k in range(size):
            example = [a[k] if b else a for a, b in zip(args, batched, strict=True)]
            for i in python:
                example[i] = example[i].item()
            rows.append(prim.call(*example, **params))
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
        payload = _payload(value, trace)
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
