"""Triangular systems and LU factors, by the BLAS and LAPACK that NumPy itself is linked with; and where routines are.

NumPy solves systems by general factorisation only. Its extension module of linear algebra brings a BLAS and LAPACK
into the process all the same: their routines are looked up in it by the names that NumPy's builds give them. Where
there are none (a build that hides them), NumPy's general solution does it.

Routines take integers by address, and of 32 or 64 bits depending on the build: all those given here are small and
lie in 64 bits, which is either in the order of bytes that is asked for below.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

import numpy as np

_LETTERS = {"f4": "s", "f8": "d", "c8": "c", "c16": "z"}
# How builds name a routine: the wheels' OpenBLAS, OpenBLAS and netlib of distributions, Apple's Accelerate.
_NAMES = ("scipy_{}_64_", "{}_64_", "{}64_", "{}_", "{}$NEWLAPACK$ILP64", "{}$NEWLAPACK")
# Stacks of matrices smaller than this are NumPy's, whose loop over them is compiled.
_SMALL = 16

DType = np.dtype[Any]


@functools.cache
def _library() -> ctypes.CDLL | None:
    if sys.byteorder != "little":
        return None
    try:
        return ctypes.CDLL(np.linalg._umath_linalg.__file__)  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None


@functools.cache
def address(name: str, dtype: DType) -> int:
    """Where a routine is (``trsm``, ``potrf``, ...) for matrices of a dtype; 0 if there is none."""
    library, letter = _library(), _LETTERS.get(f"{dtype.kind}{dtype.itemsize}")
    if library is None or letter is None or not dtype.isnative:
        return 0
    for pattern in _NAMES:
        found = getattr(library, pattern.format(letter + name), None)
        if found is not None:
            return ctypes.cast(found, ctypes.c_void_p).value or 0
    return 0


@functools.cache
def _routine(name: str, dtype: DType, count: int) -> Any:
    at = address(name, dtype)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count)(at) if at else None


def _trsm(run: Any, a: Any, b: Any, trans: int, lower: bool, unit: bool) -> Any:
    # By columns, as BLAS reads it, an array in C order is its transpose: x.T a.T = b.T, and triangles change places.
    turned = not a.flags.c_contiguous
    if turned and not a.flags.f_contiguous:
        a, turned = np.ascontiguousarray(a), False
    x = np.array(b, a.dtype, order="C")
    rows, columns = x.shape
    one = np.ones((), a.dtype)
    letters = ("R", "L" if lower == turned else "U", "T" if bool(trans) != turned else "N", "U" if unit else "N")
    options = [ctypes.c_char(c.encode()) for c in letters]
    sizes = [ctypes.c_int64(n) for n in (columns, rows, rows, columns)]
    m, n, lda, ldb = map(ctypes.byref, sizes)
    run(*map(ctypes.byref, options), m, n, one.ctypes.data, a.ctypes.data, lda, x.ctypes.data, ldb)
    return x


def _general(a: Any, b: Any, trans: int, lower: bool, unit: bool) -> Any:
    a = np.tril(a, -unit) if lower else np.triu(a, unit)
    if unit:
        a = a + np.eye(a.shape[-1], dtype=a.dtype)
    return np.linalg.solve(np.swapaxes(a, -1, -2) if trans else a, b)


def solve_triangular(a: Any, b: Any, *, trans: int, lower: bool, unit: bool) -> Any:
    """``a x = b`` (``a.T x = b``, if `trans`) for stacks of triangular matrices a, of which the other half is not read.

    A matrix with a zero on its diagonal is an error only where NumPy's general solution does the work.
    """
    dtype = np.result_type(a, b)
    run = _routine("trsm", dtype, 11)
    if run is None or 0 in (*a.shape, *b.shape) or (a.shape[-1] < _SMALL and a.ndim > 2):
        return _general(a, b, trans, lower, unit)
    a = np.asarray(a, dtype)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if not lead:
        return _trsm(run, a, b, trans, lower, unit)
    x = np.empty((*lead, *b.shape[-2:]), dtype)
    matrices, sides = (np.broadcast_to(v, (*lead, *v.shape[-2:])) for v in (a, b))
    for k in np.ndindex(lead):
        x[k] = _trsm(run, matrices[k], sides[k], trans, lower, unit)
    return x


def factor(a: Any) -> tuple[Any, Any]:
    """The LU factors of a matrix, by columns, and the exchanges of rows, as routines number them."""
    columns = np.array(np.asarray(a).T, order="C")
    size, info = ctypes.c_int64(len(columns)), ctypes.c_int64()
    exchanges = np.zeros(len(columns), np.int64)
    n = ctypes.byref(size)
    _routine("getrf", columns.dtype, 6)(n, n, columns.ctypes.data, n, exchanges.ctypes.data, ctypes.byref(info))
    return columns, exchanges


def solve_factored(columns: Any, exchanges: Any, b: Any, *, trans: bool) -> Any:
    """``a x = b`` (``a.T x = b``, if `trans`) for a matrix of which the factors are given."""
    if not np.all(np.diagonal(columns)):
        raise np.linalg.LinAlgError("Singular matrix")
    x = np.array(np.asarray(b, columns.dtype).T, order="C")
    turn, info = ctypes.c_char(b"T" if trans else b"N"), ctypes.c_int64()
    size, count = ctypes.c_int64(len(columns)), ctypes.c_int64(len(x))
    n = ctypes.byref(size)
    _routine("getrs", columns.dtype, 9)(ctypes.byref(turn), n, ctypes.byref(count), columns.ctypes.data, n,
                                        exchanges.ctypes.data, x.ctypes.data, n, ctypes.byref(info))
    return np.ascontiguousarray(x.T)


def inv_factored(columns: Any, exchanges: Any, *, trans: bool) -> Any:
    """The inverse (transposed, if `trans`) of a matrix of which the factors are given."""
    return solve_factored(columns, exchanges, np.eye(len(columns), dtype=columns.dtype), trans=trans)


def slogdet_factored(columns: Any, exchanges: Any) -> tuple[Any, Any]:
    """Sign and logarithm of the determinant of a matrix of which the factors are given."""
    pivots = np.diagonal(columns)
    one = columns.dtype.type(1)
    if not np.all(pivots):
        return columns.dtype.type(0), columns.dtype.type(-np.inf)
    odd = (np.sum(_numbers(exchanges) != np.arange(1, len(columns) + 1)) + np.sum(pivots < 0)) % 2
    return -one if odd else one, np.sum(np.log(np.abs(pivots)))


def det_factored(columns: Any, exchanges: Any) -> Any:
    """The determinant of a matrix of which the factors are given."""
    sign, logarithm = slogdet_factored(columns, exchanges)
    return sign * np.exp(logarithm)


def _numbers(exchanges: Any) -> Any:
    """The numbers that a routine has written, which count from one, whether they have 32 bits or 64."""
    short = exchanges.view(np.int32)
    return short[:len(exchanges)] if short[1] else exchanges


__all__ = ["address", "det_factored", "factor", "inv_factored", "slogdet_factored", "solve_factored",
           "solve_triangular"]
