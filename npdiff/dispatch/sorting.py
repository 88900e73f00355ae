"""Sorting and searching: the order is an index and carries no derivative, the sorted values do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.core import Primitive, aval, bind, services
from npdiff.dispatch.common import batch_axis, flattened, laid_out, one_by_one, truth
from npdiff.dispatch.declare import _NO_VALUE, composite, function, operand, point, static, write_out
from npdiff.dispatch.operands import check_out, phantom
from npdiff.dispatch.rules import constant_primitive, linear_primitive

# ---------------------------------------------------------------------- the order


def _argsort(a: Any, *, axis: int, **how: Any) -> Any:
    return np.argsort(a, axis=axis, **how)


def _argpartition(a: Any, *, axis: int, **how: Any) -> Any:
    return np.argpartition(a, axis=axis, **how)


argsort_p: Primitive = constant_primitive("argsort", None, impl=_argsort, batch=batch_axis(lambda: argsort_p),
                                           total=True)
argpartition_p: Primitive = constant_primitive("argpartition", None, impl=_argpartition,
                                    batch=batch_axis(lambda: argpartition_p))


def _permute_transpose(ct: Any, a: Any, order: Any, *, axis: int) -> Any:
    return permute_p.call(ct, argsort_p.call(order, axis=axis), axis=axis), None


# a[order] along one axis, where order is a permutation: its transpose is the inverse permutation.
permute_p: Primitive = linear_primitive("permute_along", None, _permute_transpose, operands=(0,),
                             impl=lambda a, order, *, axis: np.take_along_axis(a, order, axis),
                             batch=batch_axis(lambda: permute_p))


def permute(a: Any, order: Any, axis: int) -> Any:
    """The elements of `a` in another order along one axis."""
    return bind(permute_p, (a, order), {"axis": axis})


def _how(a: Any, kind: Any, order: Any, **flags: Any) -> dict[str, Any]:
    """The parameters that were given; NumPy refuses ``order=`` for arrays without fields itself."""
    if order is not None:
        np.sort(phantom(a).copy(), order=order)
    how = {"kind": kind} if kind is not None else {}
    return how | {k: static(v) for k, v in flags.items() if v is not None and v is not _NO_VALUE}


_CASES: tuple[str, ...] = ("A(5)", "A(2, 3)", "A(2, 3), axis=0", "A(2, 3), axis=None", "A(4), kind='stable'", "I(6)",
          "A(4), stable=True", "C(4)")


@composite(np.argsort, cases=_CASES)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None,
            descending: Any = _NO_VALUE) -> Any:
    a = operand(a)
    if aval(a).ndim == 0:
        a = np.reshape(a, (1,))
    a, axis = flattened(a, axis)
    return bind(argsort_p, (a,), {"axis": axis, **_how(a, kind, order, stable=stable, descending=descending)})


@function(np.sort, "linear", permute_p, cases=_CASES, points=(
    point("equal elements keep their order", "f(x) * [1.0, 2.0, 3.0]", [1.0, 1.0, 0.0], [2, 3, 1], 0),))
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None,
         descending: Any = _NO_VALUE) -> Any:
    a = operand(a)
    if aval(a).ndim == 0 and axis is not None:
        np.sort(phantom(a), axis=static(axis))
    a, axis = flattened(a, axis)
    how = _how(a, kind, order, stable=stable, descending=descending)
    if "kind" not in how:
        how["stable"] = True
    return laid_out(permute(a, bind(argsort_p, (a,), {"axis": axis, **how}), axis), a)


_CASES = ("A(5), 2", "A(2, 4), 1, axis=0", "A(2, 3), [1, 2], axis=1", "A(2, 3), 2, axis=None", "A(5), -1")


@composite(np.argpartition, cases=_CASES)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    a, axis = flattened(operand(a), axis)
    return bind(argpartition_p, (a,), {"axis": axis, "kth": static(kth), **_how(a, None, order)})


@function(np.partition, "linear", permute_p, cases=_CASES)
def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    a, axis = flattened(operand(a), axis)
    where = bind(argpartition_p, (a,), {"axis": axis, "kth": static(kth), **_how(a, None, order)})
    return laid_out(permute(a, where, axis), a)


@composite(np.sort_complex, cases=("A(4)", "C(4)", "A(2, 3)", "I(4)"))
def sort_complex(a: Any) -> Any:
    a = np.sort(operand(a))
    d = aval(a).dtype
    if d.kind == "c":
        return a
    return services["astype"](a, np.dtype("F" if d.char in "bhBH" else "G" if d.char == "g" else "D"), "unsafe", False)


def _lexsort(*keys: Any, axis: int) -> Any:
    return np.lexsort(keys, axis=axis)


lexsort_p: Primitive = constant_primitive("lexsort", None, impl=_lexsort, batch=batch_axis(lambda: lexsort_p),
                                           total=True)


@function(np.lexsort, "nondifferentiable", lexsort_p, cases=("(A(4), I(4))", "A(2, 4)", "(A(2, 3), I(2, 3)), axis=0"))
def lexsort(keys: Any, axis: Any = -1) -> Any:
    parts = [operand(k) for k in keys]
    if not parts:
        np.lexsort(())
    n = aval(parts[0]).ndim
    return bind(lexsort_p, parts, {"axis": np.lib.array_utils.normalize_axis_index(static(axis), max(n, 1))})


# ---------------------------------------------------------------------- the largest and the smallest


def _arg(plain: Any, name: str) -> Any:
    prim: Primitive = constant_primitive(name, None, impl=lambda a, *, axis: plain(a, axis=axis),
                                         batch=batch_axis(lambda: prim), total=not name.startswith("nan"))

    def impl(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = _NO_VALUE) -> Any:
        a = operand(a)
        shape = aval(a).shape
        check_out(plain, out, a, axis=axis, keepdims=truth(keepdims))
        row, k = flattened(a, axis)
        result = bind(prim, (row if aval(row).ndim else np.reshape(row, (1,)),), {"axis": k})
        if truth(keepdims):
            result = np.reshape(result, [1 if axis is None or j == k else n for j, n in enumerate(shape)])
        return write_out(result, out, f"np.{name}")

    function(plain, "nondifferentiable", prim, cases=(
        "A(4)", "A(2, 3)", "A(2, 3), axis=0", "A(2, 3), axis=-1, keepdims=True", "A(2, 3), keepdims=True"))(impl)
    return impl


for _func in (np.argmax, np.argmin, np.nanargmax, np.nanargmin):
    _arg(_func, _func.__name__)

# ---------------------------------------------------------------------- searching


def _batch_searchsorted(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    if not batched[0] and not any(batched[2:]):
        return searchsorted_p.call(*args, **params)  # one table for all examples
    return one_by_one(searchsorted_p, size, args, batched, params)


def _searchsorted(a: Any, v: Any, sorter: Any = None, *, side: Any = "left") -> Any:
    return np.searchsorted(a, v, side, sorter)


searchsorted_p: Primitive = constant_primitive("searchsorted", None, impl=_searchsorted, batch=_batch_searchsorted,
                                                total=True)


@function(np.searchsorted, "nondifferentiable", searchsorted_p, cases=(
    "P(5).cumsum(), P(3)", "P(5).cumsum(), P(2, 3), side='right'", "A(4), A(3), sorter=np.array([0, 1, 2, 3])",
    "P(5).cumsum(), 1.5"))
def searchsorted(a: Any, v: Any, side: Any = "left", sorter: Any = None) -> Any:
    operands = [operand(x) for x in (a, v, sorter) if x is not None]
    return bind(searchsorted_p, operands, {"side": static(side)})


def _batch_digitize(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    if not batched[1]:
        return digitize_p.call(*args, **params)
    return one_by_one(digitize_p, size, args, batched, params)


digitize_p: Primitive = constant_primitive("digitize", None, impl=lambda x, bins, *,
                                           right=False: np.digitize(x, bins, right),
                                batch=_batch_digitize)


@function(np.digitize, "nondifferentiable", digitize_p, cases=(
    "P(4), P(3).cumsum()", "P(2, 2), -P(3).cumsum(), right=True", "1.5, P(3).cumsum()"))
def digitize(x: Any, bins: Any, right: Any = False) -> Any:
    return bind(digitize_p, (operand(x), operand(bins)), {"right": bool(static(right))})


__all__ = ["argsort_p", "permute", "searchsorted_p", "sort"]
