"""Sets: which elements are kept is decided on values; the kept values carry their derivatives."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.core import Primitive, aval, bind, shape_of
from npdiff.dispatch.common import batch_by_size, one_by_one, pick
from npdiff.dispatch.declare import composite, function, operand, point, static
from npdiff.dispatch.rules import constant_primitive

_NOTES = "equal elements: the derivative goes to the first of them"


def _unique_places(a: Any, *, axis: Any = None, equal_nan: bool = True, unsorted: bool = False) -> Any:
    """Where each distinct element first stands, which one each element is, and how many there are of each."""
    _, first, inverse, counts = np.unique(a, return_index=True, return_inverse=True, return_counts=True, axis=axis,
                                          equal_nan=equal_nan)
    if unsorted:  # NumPy may hash instead of sorting: keep the order it gives
        places = np.empty_like(first)
        places[np.argsort(np.unique(a, equal_nan=equal_nan, sorted=False), stable=True)] = first
        first = places
    return first, inverse, counts


unique_p: Primitive = constant_primitive("unique_places", None, impl=_unique_places, multiple=True, dynamic=True,
                              batch=batch_by_size(lambda: unique_p, "np.unique"))


_HASHES = "sorted" in inspect.signature(np.unique).parameters


def _distinct(a: Any, axis: Any = None, equal_nan: Any = True, unsorted: bool = False) -> tuple[Any, Any, Any, Any]:
    params: dict[str, Any] = {} if axis is None else {"axis": static(axis)}
    if unsorted and _HASHES and axis is None:
        params["unsorted"] = True
    if not static(equal_nan):
        params["equal_nan"] = False
    first, inverse, counts = bind(unique_p, (a,), params)
    if axis is None:
        return np.ravel(a)[first], first, inverse, counts
    axis = np.lib.array_utils.normalize_axis_index(static(axis), aval(a).ndim)
    return a[(slice(None),) * axis + (first,)], first, inverse, counts


@function(np.unique, "composite", unique_p, notes=_NOTES, points=(
    point("of equal elements the first", "f(x) * [1.0, 2.0]", [1.0, 0.0, 1.0], [2, 1, 0], 0),), cases=(
    "A(4)", "I(2, 5)", "A(4), return_index=True, return_inverse=True, return_counts=True", "A(2, 3), axis=0",
    "A(2, 2), return_inverse=True", "A(2, 3), True, True, True, axis=1"))
def unique(ar: Any, return_index: Any = False, return_inverse: Any = False, return_counts: Any = False,
           axis: Any = None, *, equal_nan: Any = True, sorted: Any = True) -> Any:
    only_values = not (return_index or return_inverse or return_counts)
    values, *rest = _distinct(operand(ar), axis, equal_nan, only_values and not static(sorted))
    chosen = [r for r, asked in zip(rest, (return_index, return_inverse, return_counts), strict=True) if asked]
    return (values, *chosen) if chosen else values


UniqueAllResult: Any = type(np.unique_all(np.zeros(1)))
UniqueCountsResult: Any = type(np.unique_counts(np.zeros(1)))
UniqueInverseResult: Any = type(np.unique_inverse(np.zeros(1)))


@function(np.unique_all, "composite", unique_p, notes=_NOTES, cases=("A(4)", "I(2, 3)"))
def unique_all(x: Any) -> Any:
    return UniqueAllResult(*_distinct(operand(x), None, False))


@function(np.unique_counts, "composite", unique_p, notes=_NOTES, cases=("A(4)", "I(2, 3)"))
def unique_counts(x: Any) -> Any:
    values, _, _, counts = _distinct(operand(x), None, False)
    return UniqueCountsResult(values, counts)


@function(np.unique_inverse, "composite", unique_p, notes=_NOTES, cases=("A(4)", "I(2, 3)"))
def unique_inverse(x: Any) -> Any:
    values, _, inverse, _ = _distinct(operand(x), None, False)
    return UniqueInverseResult(values, inverse)


@function(np.unique_values, "composite", unique_p, notes=_NOTES, cases=("I(5)",))
def unique_values(x: Any) -> Any:
    return _distinct(operand(x), None, False, unsorted=True)[0]


# ---------------------------------------------------------------------- membership


def _batch_isin(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    if not batched[1]:
        return isin_p.call(*args, **params)
    return one_by_one(isin_p, size, args, batched, params)


isin_p: Primitive = constant_primitive("isin", None, impl=lambda a, b, **how: np.isin(a, b, **how), batch=_batch_isin,
                                        total=True)


@function(np.isin, "nondifferentiable", isin_p, cases=("I(4), I(2)", "A(2, 3), A(3)", "I(4), I(2), invert=True"))
def isin(element: Any, test_elements: Any, assume_unique: Any = False, invert: Any = False, *,
         kind: Any = None) -> Any:
    how = {"assume_unique": static(assume_unique), "invert": static(invert), "kind": kind}
    return bind(isin_p, (operand(element), operand(test_elements)), {k: v for k, v in how.items() if v})


@composite("in1d", until="2.4", warns="`in1d` is deprecated. Use `np.isin` instead.", cases=("I(4), I(2)",))
def in1d(ar1: Any, ar2: Any, assume_unique: Any = False, invert: Any = False, *, kind: Any = None) -> Any:
    return isin(np.ravel(operand(ar1)), ar2, assume_unique, invert, kind=kind)


# ---------------------------------------------------------------------- operations on two sets

places_p: Primitive = constant_primitive("places", None, impl=lambda mask: np.flatnonzero(mask), dynamic=True,
                              batch=batch_by_size(lambda: places_p, "set operation"))

common_p: Primitive = constant_primitive(
    "common_places", None, multiple=True, dynamic=True, batch=batch_by_size(lambda: common_p, "np.intersect1d"),
    impl=lambda a, b, *, assume_unique=False: np.intersect1d(a, b, assume_unique, return_indices=True)[1:])


@function(np.intersect1d, "composite", common_p, notes="derivatives go to the first set",
          cases=("I(4), I(3)", "A(2), I(3, low=1)", "I(2, 3), I(4), return_indices=True"))
def intersect1d(ar1: Any, ar2: Any, assume_unique: Any = False, return_indices: Any = False) -> Any:
    a, b = np.ravel(operand(ar1)), np.ravel(operand(ar2))
    at_a, at_b = bind(common_p, (a, b), {"assume_unique": True} if assume_unique else {})
    values = a[at_a]
    common = np.result_type(aval(a).dtype, aval(b).dtype)
    values = values if aval(values).dtype == common else values.astype(common)
    return (values, at_a, at_b) if return_indices else values


@composite(np.setdiff1d, cases=("I(4), I(3)", "A(4), A(2) + 0.01"))
def setdiff1d(ar1: Any, ar2: Any, assume_unique: Any = False) -> Any:
    a = np.ravel(operand(ar1))
    if not assume_unique:
        a = np.unique(a)
        ar2 = np.unique(operand(ar2))
    kept = bind(places_p, (isin(a, ar2, assume_unique=True, invert=True),), {})
    return pick(a, kept)


@composite(np.union1d, cases=("I(4), I(3)", "A(2), A(3) + 0.01"))
def union1d(ar1: Any, ar2: Any) -> Any:
    return np.unique(np.concatenate([np.ravel(operand(ar1)), np.ravel(operand(ar2))]))


@composite(np.setxor1d, cases=("I(4), I(3)", "A(3), A(2) + 0.01"))
def setxor1d(ar1: Any, ar2: Any, assume_unique: Any = False) -> Any:
    a, b = np.ravel(operand(ar1)), np.ravel(operand(ar2))
    if not assume_unique:
        a, b = np.unique(a), np.unique(b)
    both = np.sort(np.concatenate([a, b]))
    if shape_of(both)[0] == 0:
        return both
    apart = np.not_equal(both[1:], both[:-1])
    edge = np.ones(1, bool)
    alone = np.logical_and(np.concatenate([edge, apart]), np.concatenate([apart, edge]))
    return both[bind(places_p, (alone,), {})]
