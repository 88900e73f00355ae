"""Making arrays: np.array of tracked values, and filled arrays that take the shape of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.array import ask, layout
from npdiff.avals import python_type
from npdiff.core import Handle, aval, services
from npdiff.dispatch.declare import composite, operand, static
from npdiff.dispatch.manipulation import cast
from npdiff.dispatch.operands import phantom
from npdiff.dispatch.storing import overwriting, stored
from npdiff.errors import UnsupportedError, message
from npdiff.foreign import filled, foreign_in


def no_dtype(dtype: Any, *received: Any) -> UnsupportedError:
    """The error for dtypes that have no derivative and no meaning here (object, strings, dates)."""
    return UnsupportedError(message(f"np.array: dtype {dtype} cannot hold tracked values", *received,
                                    instead="keep tracked values in float or complex arrays, or in lists"))


services["no_dtype"] = no_dtype


def holds_handle(obj: Any) -> bool:
    """True if a tracked value stands anywhere in nested lists and tuples."""
    if isinstance(obj, (list, tuple)):
        return any(holds_handle(o) for o in obj)
    return isinstance(obj, Handle)


def _leaves(obj: Any, out: list[Any]) -> Any:
    """The nesting with each array or number replaced by its position in `out`."""
    if isinstance(obj, (list, tuple)) and not isinstance(obj, Handle):
        return [_leaves(o, out) for o in obj]
    if not isinstance(obj, (Handle, bool, int, float, complex)):
        plain = np.asarray(obj)[()]
        if plain is None or plain.dtype.kind not in "biufc":
            raise no_dtype(np.dtype(object) if plain is None else plain.dtype, obj)
        obj = plain
    out.append(obj)
    return len(out) - 1


def assemble(obj: Any, dtype: Any = None) -> Any:
    """``np.array(obj)`` for nested lists that hold tracked values."""
    if isinstance(obj, Handle):
        return obj if dtype is None else stored(obj, _numeric(dtype, obj))
    if not holds_handle(obj):
        return np.asarray(obj, dtype=dtype)
    parts: list[Any] = []
    _leaves(obj, parts)
    # NumPy itself finds shape and dtype, and raises for ragged nestings: it is given zeros of the parts' kinds.
    like = iter(parts)

    def blank(o: Any) -> Any:
        if isinstance(o, (list, tuple)) and not isinstance(o, Handle):
            return [blank(x) for x in o]
        p = next(like)
        a = aval(p)
        return python_type(a.dtype)(0) if a.weak else np.zeros(a.shape, a.dtype)[()]

    found = np.array(blank(obj))
    target = _numeric(found.dtype if dtype is None else dtype, obj)
    flat = [np.reshape(stored(p, target, listed=True), (-1,)) for p in parts]
    return np.reshape(np.concatenate(flat), found.shape)


def _numeric(dtype: Any, *received: Any) -> np.dtype[Any]:
    found: np.dtype[Any] = np.dtype(dtype)
    if found.kind not in "biufc":
        raise no_dtype(found, *received)
    return found


services["array"] = assemble


def _fresh(array: np.ndarray[Any, Any]) -> Any:
    """A new array made beside tracked ones: a handle, so that tracked values may be written into it."""
    return services["fresh"](array)


def _like(make: Any, one: bool = False) -> Any:
    """A rule for ``np.zeros_like`` and its kin: NumPy's own, on an array of the same layout."""

    def impl(a: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None, *,
             device: Any = None) -> Any:
        if foreign_in(a) is not None:
            return full_like(a, int(one), dtype or aval(a).dtype, shape=shape)
        return _fresh(make(layout(a), dtype, order, subok, static(shape)))

    return impl


zeros_like = composite(np.zeros_like, captured="made", cases=("A(2, 3)", "A(3), complex", "A(2, 3), shape=4",
    "I(3)"))(_like(np.zeros_like))
ones_like = composite(np.ones_like, captured="made",
                      cases=("A(2, 3)", "A(3), np.float32", "A(2, 3), shape=(2, 2)"))(_like(np.ones_like, True))
_empty_like = _like(np.empty_like)


@composite(np.empty_like, captured="made")
def empty_like(prototype: Any, /, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None, *,
               device: Any = None) -> Any:
    return _empty_like(prototype, dtype, order, subok, shape)


@composite(np.full_like, captured="made", cases=(
    "A(2, 3), 2.0", "A(3), 1, dtype=complex", "A(3), 1, shape=(2, 2)", "A(2, 3), [1, 2, 3]"))
def full_like(a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None, *,
              device: Any = None) -> Any:
    fill_value = operand(fill_value)
    if foreign_in(a) is not None and not isinstance(fill_value, Handle) and not np.ndim(fill_value):
        size = aval(a).shape if shape is None else np.broadcast_to(False, static(shape)).shape
        return filled(size, np.asarray(fill_value)[()], dtype or aval(a).dtype, a)
    like = np.empty_like(layout(a) if isinstance(a, Handle) else a, dtype, order, subok, static(shape))
    if not isinstance(fill_value, Handle):
        np.copyto(like, fill_value, casting="unsafe")
        return _fresh(like)
    return full(like.shape, fill_value, like.dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """``np.full`` for a fill value that may be tracked."""
    fill = operand(fill_value)
    if not isinstance(fill, Handle):
        return _fresh(np.full(shape, fill, dtype))
    if dtype is not None or aval(fill).weak:
        fill = overwriting(fill, np.dtype(aval(fill).dtype if dtype is None else dtype))
    made = np.empty(shape, aval(fill).dtype)
    np.copyto(made, phantom(fill))  # NumPy says which shapes fit
    extra = max(aval(fill).ndim - made.ndim, 0)
    return np.copy(np.broadcast_to(np.reshape(fill, aval(fill).shape[extra:]), made.shape), order="C")


def arange(*args: Any, dtype: Any = None) -> Any:
    """``np.arange`` for tracked start or step: ``start + step * k``."""
    start, stop, step = (0, args[0], 1) if len(args) == 1 else (*args, 1)[:3]
    # Only the number of elements and their dtype come from the values; they carry no derivative.
    plain = np.arange(*[ask(v, "np.arange") for v in (start, stop, step)], dtype=dtype)
    if plain.dtype.kind in "fc":
        start, step = cast(operand(start), plain.dtype, copy=False), cast(operand(step), plain.dtype, copy=False)
    return cast(start + step * np.arange(len(plain)), plain.dtype, copy=False)


def kaiser(count: int, beta: Any) -> Any:
    """``np.kaiser`` for a tracked beta."""
    if count == 1:
        return np.ones(1)
    middle = (count - 1) / 2
    rounded = np.sqrt(1 - ((np.arange(count) - middle) / middle) ** 2)
    return np.divide(np.i0(np.multiply(beta, rounded)), np.i0(beta))


__all__: Sequence[str] = ["arange", "assemble", "full", "holds_handle", "kaiser", "no_dtype"]
