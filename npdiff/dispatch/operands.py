"""What rows ask of their operands: shapes without data, truth over a batch, whether a write would lose anything."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from npdiff.array import is_scalar
from npdiff.avals import ndarray, python_type
from npdiff.core import Handle, aval
from npdiff.dispatch.declare import operand
from npdiff.errors import OutsideWriteError, message
from npdiff.foreign import foreign_in


def phantom(a: Any) -> Any:
    """A plain array of a's shape and dtype without its data: NumPy finds shapes and raises its own errors with it."""
    if isinstance(a, Handle):
        v = aval(a)
        return python_type(v.dtype)(0) if v.weak else np.broadcast_to(np.zeros((), v.dtype), v.shape)
    if type(a) is list or type(a) is tuple:
        return type(a)([phantom(x) for x in a])
    return a


def blank(out: Any) -> Any:
    """A plain array of zeros to stand for ``out=``, as writable as it is; anything else as it came."""
    if isinstance(out, Handle):
        v = aval(out)
        if is_scalar(out):
            return python_type(v.dtype)(0) if v.weak else v.dtype.type(0)
        plain = np.zeros(v.shape, v.dtype)
        writable: Any = out
        plain.flags.writeable = writable._writable()
        return plain
    if isinstance(out, (tuple, list)):
        return type(out)([blank(o) for o in out])
    if not isinstance(out, ndarray):
        return out
    plain = np.zeros(out.shape, out.dtype)
    plain.flags.writeable = out.flags.writeable
    return plain


def check_out(func: Any, out: Any, *args: Any, **params: Any) -> None:
    """Let NumPy find what is wrong with ``out=``, on zeros in place of all arrays."""
    if out is not None:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            func(*[phantom(a) for a in args], out=blank(out), **params)


def mask_of(where: Any) -> Any:
    """``where=`` of a ufunc as a mask: arrays of other dtypes are errors, numbers are not."""
    where = operand(where)
    dtype = aval(where).dtype
    if dtype.kind == "b":
        return where
    if isinstance(where, ndarray) and not (isinstance(where, Handle) and is_scalar(where)):
        raise TypeError(f"Cannot cast array data from {dtype!r} to {np.dtype(bool)!r} according to the rule 'safe'")
    return np.not_equal(where, 0)


def numbered(a: Any) -> Any:
    """An array of a's shape that holds each element's position in C order."""
    shape = aval(a).shape
    return np.arange(aval(a).size).reshape(shape)


def picked(a: Any, spots: Any) -> Any:
    """The elements of `a` at these positions in C order, in the shape of `spots`."""
    flat = np.reshape(a, (-1,))
    return np.reshape(flat[np.ravel(spots)], np.shape(spots)) if np.ndim(spots) != 1 else flat[spots]


def anywhere(test: Any, warns: bool = False) -> bool:
    """True if `test` holds for any element, in any example of a batch: for errors that depend on values.

    Where it only `warns`, an array of another library is not asked.
    """
    if warns and foreign_in(test) is not None:
        return False
    test = np.any(test)
    while isinstance(test, Handle):
        t = test._trace
        test = test._value if t is None else np.any(test._value) if t.batches else t.ask(test, "bool")
    return bool(test)


def is_tracked(x: Any) -> bool:
    """True if a write of x into plain memory would lose something: a derivative, a batch axis, a recording."""
    if isinstance(x, (list, tuple)) and not isinstance(x, Handle):
        return any(is_tracked(e) for e in x)
    while isinstance(x, Handle):
        if x._trace is not None:
            return True
        x = x._value
    return False


def outside_write(name: str, target: Any, value: Any) -> OutsideWriteError:
    """The error for a tracked value that would have to go into a plain ndarray."""
    return OutsideWriteError(message(
        f"{name}: a tracked value cannot be written into a plain ndarray", target, value,
        instead="make the array inside the transform (np.zeros, np.copy), or track it first: a = npdiff.track(a)"))


def operands(items: Any) -> list[Any]:
    """A sequence of operands; an array stands for the sequence of its entries."""
    return [operand(a) for a in items]


__all__ = ["anywhere", "blank", "check_out", "is_tracked", "mask_of", "numbered", "operands",
           "outside_write", "phantom", "picked"]
