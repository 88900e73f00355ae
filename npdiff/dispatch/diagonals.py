"""Diagonals, triangles and the index arrays that go with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from npdiff.array import view_of
from npdiff.core import Primitive, aval, bind
from npdiff.dispatch.declare import composite, function, operand, static
from npdiff.dispatch.indexing import Slot, setitem_p
from npdiff.dispatch.operands import phantom
from npdiff.dispatch.rules import linear_primitive
from npdiff.foreign import counting, filled, foreign_in


def _diagonal_index(rows: int, columns: int, k: int) -> tuple[Any, Any]:
    """Row and column numbers of the k-th diagonal."""
    steps = np.arange(max(0, min(rows + min(k, 0), columns - max(k, 0))))
    return steps - min(k, 0), steps + max(k, 0)


def _on_diagonal(a: Any, rows: int, columns: int, k: int) -> Any:
    """Matrices with `a` on the k-th diagonal, without writing at places of two dimensions, as few libraries can."""
    along, other = (rows, columns) if k >= 0 else (columns, rows)
    short = along - aval(a).shape[-1]
    if short:
        rest = filled((*aval(a).shape[:-1], short), 0, aval(a).dtype, a)
        a = np.concatenate([a, rest], axis=-1)
    here = np.equal(np.expand_dims(np.add(counting(along, a), abs(k)), -1), counting(other, a))
    spread = np.where(here, np.expand_dims(a, -1), np.zeros((), aval(a).dtype))
    return spread if k >= 0 else np.swapaxes(spread, -1, -2)


def _diagonal_transpose(ct: Any, a: Any, *, offset: int, axes: tuple[int, int]) -> Any:
    rows, columns = a.shape[axes[0]], a.shape[axes[1]]
    return np.moveaxis(_on_diagonal(ct, rows, columns, offset), (-2, -1), axes)


def _diagonal_batch(_size: int, args: Any, _batched: Any, params: dict[str, Any]) -> Any:
    i, j = params["axes"]
    return diagonal_p.call(args[0], offset=params["offset"], axes=(i + 1, j + 1))


diagonal_p: Primitive = linear_primitive(
    "diagonal", None, _diagonal_transpose, impl=lambda a, *, offset, axes: np.diagonal(a, offset, *axes),
    batch=_diagonal_batch)


@function(np.diagonal, "linear", diagonal_p, notes="a read-only view", cases=(
    "A(3, 3)", "A(2, 4), 1", "A(3, 2), -1", "A(2, 3, 4), 0, 1, 2", "A(2, 3, 4), 1, -1, 0", "A(2, 2), 5"))
def diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    a = operand(a)
    offset, axis1, axis2 = int(static(offset)), static(axis1), static(axis2)
    np.diagonal(phantom(a), offset, axis1, axis2)  # NumPy's own errors
    n = aval(a).ndim
    axes = normalize_axis_index(axis1, n), normalize_axis_index(axis2, n)
    return view_of(a, lambda base: bind(diagonal_p, (base,), {"offset": offset, "axes": axes}), None)


@composite(np.diag, captured="made", notes="of a matrix a read-only view", cases=(
    "A(3)", "A(3), 1", "A(2), -2", "A(3, 3)", "A(2, 3), 1", "A(3, 2), k=-1", "C(2)", "A(0)"))
def diag(v: Any, k: Any = 0) -> Any:
    v = operand(v)
    k = int(static(k))
    if aval(v).ndim != 1:
        np.diag(np.empty((1,) * aval(v).ndim), k)  # NumPy's own error
        return np.diagonal(v, k)
    n = aval(v).shape[0] + abs(k)
    if foreign_in(v) is not None:
        return _on_diagonal(v, n, n, k)
    rows, columns = _diagonal_index(n, n, k)
    return setitem_p.call(np.zeros((n, n), aval(v).dtype), v, rows, columns, index=(Slot(0), Slot(1)))


@composite(np.diagflat, captured="made", cases=("A(3)", "A(2, 2), 1", "A(), -1"))
def diagflat(v: Any, k: Any = 0) -> Any:
    return np.diag(np.ravel(operand(v)), k)


@composite(np.trace, cases=(
    "A(3, 3)", "A(2, 4), 1", "A(2, 3, 4), 0, 1, 2", "A(2, 3, 4), -1, axis1=-1, axis2=0", "A(2, 2), dtype=complex"))
def trace(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None, out: Any = None) -> Any:
    return np.sum(np.diagonal(operand(a), offset, axis1, axis2), axis=-1, dtype=dtype, out=out)


def _triangle(m: Any, k: Any, lower: bool) -> Any:
    m = operand(m)
    shape = aval(m).shape
    np.tril(np.empty((1,) * len(shape)))  # NumPy's own error
    rows, columns = shape[-2] if len(shape) > 1 else shape[0], shape[-1]
    offset = int(static(k)) - (not lower)
    if foreign_in(m) is None:
        keep: Any = np.tri(rows, columns, k=offset, dtype=bool)
    else:  # (no matrix of NumPy's beside a library's)
        keep = np.less_equal(counting(columns, m), np.expand_dims(np.add(counting(rows, m), offset), -1))
    zero = np.zeros((), aval(m).dtype)
    return np.where(keep, m, zero) if lower else np.where(keep, zero, m)


@composite(np.tril, captured="made", cases=("A(3, 3)", "A(2, 3), 1", "A(2, 3, 2), -1", "A(3)", "C(2, 2)"))
def tril(m: Any, k: Any = 0) -> Any:
    return _triangle(m, k, True)


@composite(np.triu, captured="made", cases=("A(3, 3)", "A(2, 3), 1", "A(2, 3, 2), -1", "A(3)", "C(2, 2)"))
def triu(m: Any, k: Any = 0) -> Any:
    return _triangle(m, k, False)


@composite(np.tril_indices_from, captured="", cases=("A(3, 3)",))
def tril_indices_from(arr: Any, k: Any = 0) -> Any:
    return np.tril_indices_from(phantom(arr), int(static(k)))


@composite(np.triu_indices_from, captured="", cases=("A(3, 3)",))
def triu_indices_from(arr: Any, k: Any = 0) -> Any:
    return np.triu_indices_from(phantom(arr), int(static(k)))


@composite(np.diag_indices_from, captured="", cases=("A(3, 3)",))
def diag_indices_from(arr: Any) -> Any:
    return np.diag_indices_from(phantom(arr))
