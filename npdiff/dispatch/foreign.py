"""What npdiff evaluates itself on ndarrays, said again by NumPy's functions for arrays of other libraries.

A primitive that is a NumPy function needs no entry: the protocols take it to the library. One that has no entry
cannot be done on such arrays, and says so.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from npdiff.avals import is_foreign, ndarray
from npdiff.dispatch.arranging import strided_p, windows_p
from npdiff.dispatch.complex import imag_p, real_p
from npdiff.dispatch.counting import bincount_p
from npdiff.dispatch.cumulative import cumprod_p, cumsum_p
from npdiff.dispatch.declare import rows
from npdiff.dispatch.decompositions import (
    by_phase,
    cholesky_p,
    eig_p,
    eigh_p,
    held_check_p,
    held_p,
    over_gap_p,
    qr_p,
    svd_p,
    svdvals_p,
    undetermined_p,
)
from npdiff.dispatch.determinants import cofactor_change_of, cofactor_change_p, cofactor_of, cofactor_p
from npdiff.dispatch.diagonals import diagonal_p
from npdiff.dispatch.einsum import einsum_p
from npdiff.dispatch.elementary import convolve_p, i0_p, sinc_p
from npdiff.dispatch.fft import fft_p, ifft_p, irfft_p, rfft_p
from npdiff.dispatch.indexing import Slot, fill_slots, getitem_dynamic_p, getitem_p, index_add_p, is_basic, setitem_p
from npdiff.dispatch.linalg import lstsq_p, solve_p
from npdiff.dispatch.manipulation import (
    astype_p,
    broadcast_to_p,
    concatenate_p,
    copy_p,
    reshape_p,
    transpose_p,
    where_p,
)
from npdiff.dispatch.norms import unbounded_p
from npdiff.dispatch.quantiles import chosen_p
from npdiff.dispatch.reductions import all_p, any_p, fmax_p, fmin_p, max_p, min_p, prod_p, sum_p
from npdiff.dispatch.rules import Rule, strong_multiply_p, strong_product_p
from npdiff.dispatch.selecting import nonzero_p, ravel_multi_index_p, unravel_index_p
from npdiff.dispatch.sets import isin_p
from npdiff.dispatch.sorting import argpartition_p, argsort_p, lexsort_p, permute_p, searchsorted_p
from npdiff.dispatch.triangular import triangular_p
from npdiff.dispatch.ufuncs import fraction_p
from npdiff.foreign import copied, evaluations, full_beside, lifted, through


def _by(func: Any) -> Rule:
    """The function itself, with the operands and parameters of the primitive."""
    return lambda *args, **params: through(func, *args, **params)


def _reducing(func: Any) -> Rule:
    def rule(a: Any, *, axis: Any, keepdims: bool = False, dtype: Any = None) -> Any:
        return through(func, a, axis=axis, **({"keepdims": True} if keepdims else {}),
                       **({} if dtype is None else {"dtype": dtype}))

    return rule


def _unless(value: Any, default: Any, name: str) -> dict[str, Any]:
    """A parameter that is named only where it is not NumPy's default: not every library has it."""
    return {} if value == default else {name: value}


def _zeroed(zero: Any, product: Any) -> Any:
    return through(np.where, zero, product.dtype.type(0), product)


def _strong_multiply(ct: Any, p: Any) -> Any:
    with np.errstate(all="ignore"):
        return _zeroed(through(np.equal, ct, 0), through(np.multiply, ct, p))


def _strong_product(a: Any, b: Any) -> Any:
    with np.errstate(all="ignore"):
        zero = through(np.logical_or, through(np.equal, a, 0), through(np.equal, b, 0))
        return _zeroed(zero, through(np.multiply, a, b))


evaluations.update({
    strong_multiply_p: _strong_multiply, strong_product_p: _strong_product,
    sum_p: _reducing(np.sum), prod_p: _reducing(np.prod), max_p: _reducing(np.max), min_p: _reducing(np.min),
    fmax_p: _reducing(np.nanmax), fmin_p: _reducing(np.nanmin), all_p: _reducing(np.all), any_p: _reducing(np.any),
    cumsum_p: _by(np.cumsum), cumprod_p: _by(np.cumprod),
})

# ---------------------------------------------------------------------- parts of arrays


def _own_copy(a: Any, beside: Any) -> Any:
    """An array of the library that may be written into."""
    if is_foreign(a):
        return copied(a)
    return copied(np.asarray(a, like=beside)) if np.ndim(a) else full_beside(beside, (), a, np.asarray(a).dtype)


def _taken(a: Any, *arrays: Any, index: Any) -> Any:
    if not is_foreign(a):  # a table of NumPy's, looked up by indices of the library's
        a = np.asarray(a, like=next(x for x in arrays if is_foreign(x)))
    return a[fill_slots(index, arrays)]


def _written(a: Any, v: Any, *arrays: Any, index: Any) -> Any:
    new = _own_copy(a, a if is_foreign(a) else next(x for x in (v, *arrays) if is_foreign(x)))
    v = lifted(v, new)
    if is_basic(index):
        whole = np.broadcast_to(False, new.shape)
        if not whole[index].size:
            return new
        if None in index:  # not every library writes along an axis that is not there
            there = tuple([i for i in index if i is not None])
            v = through(np.reshape, through(np.broadcast_to, v, whole[index].shape), whole[there].shape) if is_foreign(
                v) else v
            index = there
    new[fill_slots(index, arrays)] = v
    return new


def _added(a: Any, v: Any, *arrays: Any, index: Any) -> Any:
    if is_basic(index):
        return _written(a, through(np.add, _taken(a, index=index), v), index=index)
    new = _own_copy(a, a if is_foreign(a) else next(x for x in (v, *arrays) if is_foreign(x)))
    try:
        np.add.at(new, fill_slots(index, arrays), lifted(v, new))
        return new
    except TypeError:
        if len(arrays) != 1 or type(arrays[0]) is not ndarray or arrays[0].ndim != 1 or not is_foreign(v):
            raise
    return _added_in_rounds(new, v, arrays[0], index)


def _added_in_rounds(a: Any, v: Any, places: Any, index: Any) -> Any:
    """Additions at places that NumPy knows, by plain writes: in each round, every place gets one of its terms."""
    if places.dtype.kind == "b":
        places = np.flatnonzero(places)
    spot = index.index(Slot(0))
    n = np.broadcast_to(False, a.shape)[tuple([slice(None) if type(i) is Slot else i for i in index])]
    axis = sum([1 for i in index[:spot] if i is not Ellipsis]) + (n.ndim - len(index) + 1) * (Ellipsis in index[:spot])
    places = np.where(places < 0, places + n.shape[axis], places)
    order = np.argsort(places, stable=True)
    first = np.searchsorted(places[order], places[order])
    turns = np.arange(len(places)) - first
    v = through(np.broadcast_to, v, (*n.shape[:axis], len(places), *n.shape[axis + 1:]))
    for turn in range(max(turns, default=-1) + 1):
        chosen = np.sort(order[turns == turn])
        chosen = chosen[np.argsort(places[chosen])]
        there = tuple([places[chosen] if type(i) is Slot else i for i in index])
        a[there] = through(np.add, a[there], v[(slice(None),) * axis + (chosen,)])
    return a


def _along(a: Any, order: Any, *, axis: int) -> Any:
    return through(np.take_along_axis, a, order, axis=axis)


def _one_along(a: Any, k: Any, *, axis: int) -> Any:
    return through(np.squeeze, _along(a, through(np.expand_dims, k, axis=axis), axis=axis), axis=axis)


def _copy(a: Any, *, order: Any = "K") -> Any:
    # Nothing writes into a payload; only another order of its elements is another array.
    return through(np.copy, a, order=order) if order in ("C", "F") and hasattr(a, "strides") else a


evaluations.update({
    getitem_p: _taken, getitem_dynamic_p: _taken, setitem_p: _written, index_add_p: _added,
    permute_p: _along, chosen_p: _one_along, copy_p: _copy,
    where_p: _by(np.where),
    reshape_p: lambda a, *, shape: through(np.reshape, a, shape),
    transpose_p: lambda a, *, axes: through(np.transpose, a, axes),
    broadcast_to_p: lambda a, *, shape: through(np.broadcast_to, a, shape),
    concatenate_p: lambda *arrays, axis: through(np.concatenate, arrays, axis=axis),
    astype_p: lambda a, *, dtype: a.astype(dtype),
    real_p: _by(np.real), imag_p: _by(np.imag), fraction_p: lambda a: through(np.modf, a)[0],
    diagonal_p: lambda a, *, offset, axes: through(
        np.diagonal, a, offset=offset, axis1=axes[0], axis2=axes[1]),
    windows_p: lambda a, *, window, axes: through(sliding_window_view, a, window, axis=axes),
})

# ---------------------------------------------------------------------- order, places, counts


def _searchsorted(a: Any, v: Any, sorter: Any = None, *, side: str = "left") -> Any:
    return through(np.searchsorted, a, v, side=side, **({} if sorter is None else {"sorter": lifted(sorter, a)}))


evaluations.update({
    argsort_p: _by(np.argsort), argpartition_p: _by(np.argpartition), searchsorted_p: _searchsorted,
    lexsort_p: lambda *keys, axis: through(np.lexsort, keys, axis=axis),
    bincount_p: _by(np.bincount), nonzero_p: _by(np.nonzero), isin_p: _by(np.isin),
    unravel_index_p: lambda a, *, shape, order: through(np.unravel_index, a, shape, **_unless(order, "C", "order")),
    ravel_multi_index_p: lambda *a, dims, mode, order: through(
        np.ravel_multi_index, a, dims, mode=mode, order=order),
})
for _name in ("argmax", "argmin", "nanargmax", "nanargmin"):
    _prim: Any = rows[f"np.{_name}"].prim
    evaluations[_prim] = _by(rows[f"np.{_name}"].func)

# ---------------------------------------------------------------------- products, transforms, matrices


def _order_zero(func: Any) -> Rule:
    """A function of a family: its own, but not its derivatives, which npdiff has for ndarrays only."""

    def rule(x: Any, *, order: int) -> Any:
        if order:
            raise NotImplementedError("its derivatives are there for NumPy's arrays only")
        return through(func, x)

    return rule


def _transform(func: Any) -> Rule:
    return lambda a, *, n, axis, norm: through(func, a, n=n, axis=axis, **_unless(norm, None, "norm"))


class _Through:
    """NumPy's functions, done by the library of their arrays."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        return functools.partial(through, found) if callable(found) else _Through(found)


def _by_singular_values(rule: Rule) -> Rule:
    # Right for singular matrices too, and asks for no value.
    return functools.partial(rule, _Through(np))


def _over_gap(x: Any, gap: Any, *, what: str) -> Any:
    # NaN where ndarrays give an error: whether there is such a place is not asked.
    closed = through(np.equal, gap, 0)
    quotient = through(np.divide, x, through(np.where, closed, 1, gap))
    lost = through(np.where, through(np.equal, x, 0), quotient.dtype.type(0), quotient.dtype.type(np.nan))
    return through(np.where, closed, lost, quotient)


def _undetermined(t: Any, *, shape: tuple[int, ...], what: str) -> Any:
    lost = through(np.any, through(np.not_equal, t, 0), axis=(-2, -1), keepdims=True)
    nothing = through(np.where, lost, t.dtype.type(np.nan), t.dtype.type(0))
    return through(np.broadcast_to, nothing, (*t.shape[:-2], *shape))


def _held_check(ct: Any, vectors: Any, free: Any, *, what: str) -> Any:
    lost = by_phase(_Through(np), ct, vectors, free)
    return through(np.where, lost[..., None, :], ct.dtype.type(np.nan), ct)


def _cholesky(a: Any, upper: bool = False) -> Any:
    found = through(np.linalg.cholesky, a)
    # Some libraries give the other triangle (dask does): the strict part that is there goes where NumPy has it.
    turned = through(np.conjugate, through(np.swapaxes, found, -1, -2))
    low, high = (found, turned) if not upper else (turned, found)
    n = a.shape[-1]
    row = np.arange(n)
    below, on = row[:, None] > row, row[:, None] == row
    keep = below if not upper else below.T
    zero = found.dtype.type(0)
    return through(np.add, through(np.where, keep | on, low, zero), through(np.where, keep, high, zero))


def _solve_triangular(a: Any, b: Any, *, trans: int, lower: bool, unit: bool) -> Any:
    row = np.arange(a.shape[-1])
    on, half = row[:, None] == row, row[:, None] > row if lower else row[:, None] < row
    whole = through(np.where, half if unit else half | on, a, a.dtype.type(0))
    if unit:
        whole = through(np.where, on, a.dtype.type(1), whole)
    return through(np.linalg.solve, through(np.swapaxes, whole, -1, -2) if trans else whole, b)


def _strided(a: Any, *, spots: Any, of: Any, strides: Any) -> Any:
    flat = through(np.take, through(np.reshape, a, (-1,)), spots.reshape(-1))
    return through(np.reshape, flat, spots.shape)


evaluations.update({
    over_gap_p: _over_gap, undetermined_p: _undetermined,
    held_p: lambda change, *_, what: change, held_check_p: _held_check,
    unbounded_p: lambda x, p=None: through(np.isinf, through(np.linalg.cond, x, p)),
    lstsq_p: lambda a, b, rcond=None: through(np.linalg.lstsq, a, b, **_unless(rcond, None, "rcond")),
    convolve_p: _by(np.convolve), sinc_p: _order_zero(np.sinc), i0_p: _order_zero(np.i0),
    einsum_p: lambda *a, subscripts, optimize=False: through(
        np.einsum, subscripts, *a, **({"optimize": optimize} if optimize else {})),
    fft_p: _transform(np.fft.fft), ifft_p: _transform(np.fft.ifft), rfft_p: _transform(np.fft.rfft),
    irfft_p: _transform(np.fft.irfft),
    solve_p: _by(np.linalg.solve), triangular_p: _solve_triangular, cofactor_p: _by_singular_values(cofactor_of),
    cofactor_change_p: _by_singular_values(cofactor_change_of), strided_p: _strided,
    cholesky_p: _cholesky, eigh_p: lambda a, UPLO="L": through(np.linalg.eigh, a, **_unless(UPLO, "L", "UPLO")),
    eig_p: _by(np.linalg.eig),
    # The flag is always given: a library that has another default must not go by it.
    svd_p: lambda a, full_matrices=True: through(np.linalg.svd, a, full_matrices=full_matrices),
    svdvals_p: lambda a: through(np.linalg.svd, a, compute_uv=False),
    qr_p: lambda a, mode="reduced": through(np.linalg.qr, a, **_unless(mode, "reduced", "mode")),
})

__all__ = ["evaluations"]
