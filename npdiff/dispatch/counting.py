"""Counts and histograms: counts carry no derivative, weights and edges do."""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.array import ask
from npdiff.avals import ndarray
from npdiff.core import Handle, Primitive, aval, bind
from npdiff.core import unsupported as refusal
from npdiff.dispatch.common import batch_by_size, one_by_one, truth
from npdiff.dispatch.declare import composite, function, numpy_is, operand, static
from npdiff.dispatch.indexing import Slot, index_add_p
from npdiff.dispatch.manipulation import cast, number
from npdiff.dispatch.operands import phantom
from npdiff.dispatch.rules import constant_primitive
from npdiff.foreign import foreign_in


@composite(np.count_nonzero,
           cases=("A(3) * [1, 0, 1]", "I(2, 4), axis=1", "B(2, 3), axis=0, keepdims=True", "A(2, 2)"))
def count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    count = np.sum(np.not_equal(operand(a), 0), axis=axis, dtype=np.intp, keepdims=truth(keepdims))
    # The count of all elements was a Python number before NumPy 2.3.
    as_array = numpy_is("2.3") or axis is not None or truth(keepdims) or foreign_in(count) is not None
    return count if as_array else number(count)


bincount_p: Primitive = constant_primitive("bincount", None, dynamic=True,
                                           batch=batch_by_size(lambda: bincount_p, "np.bincount"),
                                impl=lambda x, *, minlength=0: np.bincount(x, minlength=minlength))


@function(np.bincount, "composite", bincount_p, cases=("I(6, high=4)", "I(5), A(5)", "I(5), P(5), minlength=7"))
def bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> Any:
    x, minlength = operand(x), static(minlength)
    if weights is None:
        return bind(bincount_p, (x,), {"minlength": minlength})
    weights = operand(weights)
    if aval(x).ndim != 1 or aval(weights).shape != aval(x).shape or aval(
            x).dtype.kind not in "iub" or not np.can_cast(aval(weights).dtype, float, "safe"):
        np.bincount(phantom(x), phantom(weights))
    if aval(x).size == 0:
        return np.bincount(np.zeros(0, np.intp), minlength=minlength)
    plain = np.asarray(ask(x, "the size of np.bincount's result"))
    size = np.bincount(plain, minlength=minlength).shape[0]
    return index_add_p.call(np.zeros(size), cast(weights, float, copy=False), x, index=(Slot(0),))


# ---------------------------------------------------------------------- histograms

_histogram_p: Primitive = constant_primitive(
    "histogram_counts", None, impl=lambda a, edges: np.histogram(a, edges)[0],
    batch=lambda size, args, batched, params: one_by_one(_histogram_p, size, args, batched, params))
_bins_p: Primitive = constant_primitive(
    "histogram_bins", None, impl=lambda a, edges: _bins(a, edges),
    batch=lambda size, args, batched, params: one_by_one(_bins_p, size, args, batched, params))


def _bins(a: Any, edges: Any) -> Any:
    """The bin of each element; one past the last for those outside."""
    n = len(edges) - 1
    k = np.searchsorted(edges, a, side="right") - 1
    k = np.where(a == edges[-1], n - 1, k)
    return np.where((k < 0) | (k >= n), n, k)


def _edges(a: Any, bins: Any, limits: Any, weights: Any) -> Any:
    """The edges of the bins: NumPy's own number of bins, and a ramp that depends on the outermost values."""
    if not isinstance(bins, str) and aval(operand(bins)).ndim == 1:
        edges = operand(bins)
        if not isinstance(edges, Handle) and np.any(edges[:-1] > edges[1:]):
            raise ValueError("`bins` must increase monotonically, when an array")
        return edges
    if isinstance(bins, str):
        if weights is not None:
            raise TypeError("Automated estimation of the number of bins is not supported for weighted data")
        count = len(np.histogram_bin_edges(np.asarray(ask(a, "the number of bins")), bins, static(limits))) - 1
    else:
        count = static(bins)
        if aval(operand(bins)).ndim > 1 or int(count) != count or count < 1:
            np.histogram_bin_edges(np.zeros(1), count)
    if limits is not None and not any([isinstance(operand(v), Handle) for v in limits]):
        return np.histogram_bin_edges(np.zeros(1, aval(a).dtype), int(count), limits)
    low, high = _outermost(a, limits)
    dtype = np.result_type(aval(low).dtype, aval(high).dtype, aval(a).dtype)
    return np.linspace(low, high, int(count) + 1, dtype=dtype if dtype.kind in "fc" else float)


def _outermost(a: Any, limits: Any) -> tuple[Any, Any]:
    """The first and the last edge of equal bins: the limits, or the smallest and the largest value."""
    if limits is not None:
        low, high = (operand(v) for v in limits)
    elif aval(a).size == 0:
        return 0.0, 1.0
    else:
        low, high = np.min(a), np.max(a)
    level = np.equal(low, high)
    return np.where(level, low - 0.5, low), np.where(level, high + 0.5, high)


@composite(np.histogram_bin_edges,
           cases=("A(5)", "A(5), 3", "A(5), 3, range=(-2.0, 2.0)", "A(3), np.arange(4.0)"))
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    return _edges(np.ravel(operand(a)), bins, range, weights)


@composite(np.histogram, notes="counts are constant; weights and edges are differentiated", cases=(
    "A(6), 3", "A(6), 4, range=(-1.4, 1.6)", "A(6), np.array([-2.0, -0.47, 0.71, 2.0])",
    "np.array([0.1, 0.7, 1.2, 0.3]), 3, weights=A(4)", "P(5), 3, density=True", "I(6), 3"))
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    a = np.ravel(operand(a))
    if aval(a).dtype.kind == "c" and (isinstance(bins, str) or aval(operand(bins)).ndim == 0):
        raise refusal("np.histogram", "of complex numbers is not recorded", a,
                      instead="choose np.real or np.abs of them")
    edges = _edges(a, bins, range, weights)
    if weights is None:
        counts = bind(_histogram_p, (a, edges), {})
    else:
        weights = operand(weights)
        if aval(weights).size != aval(a).size:
            raise ValueError("weights should have the same shape as a.")
        weights = np.ravel(weights)
        n = aval(edges).shape[0] - 1
        places = bind(_bins_p, (a, edges), {})
        dtype = aval(weights).dtype
        counts = index_add_p.call(np.zeros(n + 1, dtype), weights, places, index=(Slot(0),))[:n]
    if density:
        counts = np.divide(np.divide(counts, np.astype(np.diff(edges), float)), np.sum(counts))
    return counts, edges


_EDGES: Any = type(np.histogramdd(np.zeros((1, 1)), 1)[1])


def _columns(sample: Any) -> list[Any]:
    """The coordinates of the points: an (N, D) array holds them in columns, a sequence one after another."""
    if isinstance(sample, (Handle, ndarray)) and aval(sample).ndim == 2:
        points: Any = sample
        return [points[:, k] for k in range(aval(points).shape[1])]
    rows = np.atleast_2d(operand(sample))
    return [rows[k] for k in range(aval(rows).shape[0])]


@composite(np.histogramdd, notes="counts are constant; weights and edges are differentiated", cases=(
    "A(6, 2) ** 3, 2", "A(5, 2), (2, 3), [(-1.43, 1.61), None]", "A(6) ** 3, 3",
    "(A(5), A(5), A(5)), 2, [(-2.1, 1.9), (-2, 2.3), (-2, 2.03)], weights=A(5)",
    "A(5, 2), [np.array([-2.0, -0.47, 0.71, 2.0]), 2], [None, (-1.9, 2)], density=True",
    "P(5, 2) ** 2, 2, density=True, weights=P(5)", "I(5, 2), 2"))
def histogramdd(sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    columns = _columns(sample)
    dimensions = len(columns)
    bins = type(bins)(map(_count, bins)) if isinstance(bins, (tuple, list)) else _count(bins)
    # Points at zero let NumPy check the arguments.
    like = [phantom(b) for b in bins] if isinstance(bins, (tuple, list)) else phantom(bins)
    np.histogramdd([np.zeros(aval(c).shape) for c in columns], like, phantom(range), None,
                   None if weights is None else phantom(operand(weights)))
    each: Any = bins if isinstance(bins, (tuple, list)) or aval(operand(bins)).ndim else [bins] * dimensions
    limits = range if range is not None else [None] * dimensions
    edges = [_edges_of_one(c, b, r) for c, b, r in zip(columns, each, limits, strict=True)]
    # One more bin in each direction takes what lies outside.
    sizes = [aval(e).shape[0] for e in edges]
    spots = _ravelled([bind(_bins_p, (c, e), {}) for c, e in zip(columns, edges, strict=True)], sizes)
    points = np.ones(aval(columns[0]).shape) if weights is None else cast(operand(weights), float, copy=False)
    counts = index_add_p.call(np.zeros(int(np.prod(sizes))), points, spots, index=(Slot(0),))
    counts = np.reshape(counts, sizes)[tuple([slice(0, n - 1) for n in sizes])]
    if density:
        total = np.sum(counts)
        for k, e in enumerate(edges):
            counts = np.divide(counts, np.reshape(np.diff(e), [-1 if j == k else 1 for j in np.arange(dimensions)]))
        counts = np.divide(counts, total)
    return counts, _EDGES(edges)


def _count(bins: Any) -> Any:
    """A number of bins as Python's; edges as they are."""
    return static(bins) if isinstance(bins, Handle) and not aval(bins).ndim else bins


def _edges_of_one(a: Any, bins: Any, limits: Any) -> Any:
    """The edges in one direction of several: between the limits, in their dtype."""
    edges = operand(bins)
    if aval(edges).ndim:
        return edges
    low, high = _outermost(a, limits)
    return np.linspace(low, high, int(static(bins)) + 1)


def _ravelled(places: Any, sizes: Any) -> Any:
    """Positions in C order in an array of these sizes."""
    spots = places[0]
    for k, n in zip(places[1:], sizes[1:], strict=True):
        spots = np.add(np.multiply(spots, n), k)
    return spots


@composite(np.histogram2d, notes="counts are constant; weights and edges are differentiated", cases=(
    "A(6) ** 3, A(6) ** 3, 3", "A(5), A(5), (2, 3), [(-1.43, 1.61), (-2.0, 2.1)]",
    "A(5), A(5), 2, [(-1.43, 1.61), (-2.0, 2.1)], weights=A(5)",
    "A(5), A(5), np.array([-2.0, -0.47, 0.71, 2.0]), density=True",
    "P(4), P(4), 2, [(0, 2.2), (0, 2.1)], True, P(4)"))
def histogram2d(x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    x, y = operand(x), operand(y)
    if aval(x).shape[:1] != aval(y).shape[:1]:
        np.histogram2d(phantom(x), phantom(y))
    if np.ndim(phantom(bins)) and len(bins) not in (1, 2):  # one array of edges for both directions
        bins = [bins, bins]
    counts, (rows, columns) = histogramdd([x, y], bins, range, density, weights)
    return counts, rows, columns
