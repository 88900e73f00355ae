"""Primitives and their rules: how one is made of partial derivatives, of a transpose or of two.

Rules are plain NumPy code on operands that may themselves be tracked. Arguments of a rule whose names start with
an underscore are not needed by it, and not kept for it.
"""

from __future__ import annotations

import cmath
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.avals import ndarray
from npdiff.core import (
    AVAL,
    NOTHING,
    VALUE,
    Handle,
    Primitive,
    bind,
    own_primitive,
    shape_of,
    unchanged,
)
from npdiff.errors import NotDifferentiableError, message

Rule = Callable[..., Any]
_NUMBERS = (int, float, complex, np.float64, np.complex128)


# ---------------------------------------------------------------------- rules that several kinds share


def _finite(p: Any) -> bool:
    # One pass, no temporary array, no warning; what overflows in it is only looked at more closely.
    return type(p) is ndarray and cmath.isfinite(np.vdot(p, p))


def _zeroed(zero: Any, product: Any) -> Any:
    return np.where(zero, np.zeros((), product.dtype), product)[()]


def _strong_multiply_arrays(ct: Any, p: Any) -> Any:
    if _finite(p):
        return np.multiply(ct, p)
    with np.errstate(all="ignore"):
        return _zeroed(np.equal(ct, 0), np.multiply(ct, p))


def _strong_product_arrays(a: Any, b: Any) -> Any:
    if _finite(a) and _finite(b):
        return np.multiply(a, b)
    with np.errstate(all="ignore"):
        return _zeroed(np.logical_or(np.equal(a, 0), np.equal(b, 0)), np.multiply(a, b))


def _product_rules(left: Rule, right: Rule) -> tuple[Rule, Rule]:
    """jvp and pull of a product of a and b: ``left(da, b)`` and ``right(a, db)`` are its two parts."""

    def jvp(_out: Any, primals: Any, tangents: Any) -> Any:
        (a, b), (da, db) = primals, tangents
        return add_tangents(None if da is None else left(da, b), None if db is None else right(a, db))

    def pull(g: Any, _out: Any, args: Any, needed: Any, _params: Any) -> Any:
        a, b = args
        return None if needed[0] is None else left(g, b), None if needed[1] is None else right(a, g)

    return jvp, pull


def add_tangents(*terms: Any) -> Any:
    """Sum of tangents, where None stands for zero."""
    total = None
    for t in terms:
        if t is not None:
            total = t if total is None else np.add(total, t)
    return total


def align(args: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Give operands with a leading batch axis the size-1 axes that broadcasting needs behind it."""
    ndims = [len(shape_of(a)) - b for a, b in zip(args, batched, strict=True)]
    most = max(ndims, default=0)
    out = []
    for a, b, n in zip(args, batched, ndims, strict=True):
        if b and n < most:
            s = shape_of(a)
            a = np.reshape(a, (s[0],) + (1,) * (most - n) + tuple(s[1:]))
        out.append(a)
    return out


def batch_elementwise(prim_of: Callable[[], Primitive]) -> Rule:
    """Batching rule of an elementwise primitive."""

    def rule(_size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        return prim_of().call(*align(args, batched), **params)

    return rule


def _product_primitive(name: str, impl: Rule, left: Rule) -> Primitive:
    jvp, pull = _product_rules(left, lambda a, b: strong_product(a, b))
    prim: Primitive = own_primitive(name, impl, kind="elementwise", jvp=jvp, pull=pull, saves=(NOTHING, VALUE),
                                    batch=batch_elementwise(lambda: prim))
    return prim


strong_multiply_p = _product_primitive("strong_multiply", _strong_multiply_arrays, lambda a, b: strong_multiply(a, b))
strong_product_p = _product_primitive("strong_product", _strong_product_arrays, lambda a, b: strong_product(a, b))


def strong_multiply(ct: Any, p: Any) -> Any:
    """``ct * p``, but zero where `ct` is zero, even if `p` is infinite or NaN there."""
    if type(p) is ndarray and isinstance(ct, (ndarray, np.generic)) and not isinstance(ct, Handle):
        if cmath.isfinite(np.vdot(p, p)):
            return ct * p
        return _strong_multiply_arrays(ct, p)
    if type(ct) in _NUMBERS and ct:  # above all the 1.0 that every gradient starts from
        return ct * p
    if isinstance(ct, Handle) or isinstance(p, Handle):
        return bind(strong_multiply_p, (ct, p), {})
    if type(p) in _NUMBERS and cmath.isfinite(p):  # one product, and no primitive where p is a constant
        return ct * p
    return _strong_multiply_arrays(ct, p)


def strong_product(a: Any, b: Any) -> Any:
    """``a * b``, but zero where either is zero, even if the other is infinite or NaN there."""
    if isinstance(a, Handle) or isinstance(b, Handle):
        return bind(strong_product_p, (a, b), {})
    if type(a) in _NUMBERS and type(b) in _NUMBERS and cmath.isfinite(a) and cmath.isfinite(b):
        return a * b
    return _strong_product_arrays(a, b)


def wants(rule: Rule) -> list[bool]:
    """Which positional arguments of a rule are read: those whose names do not start with an underscore."""
    return [not p.name.startswith("_") for p in inspect.signature(rule).parameters.values()]


# ---------------------------------------------------------------------- elementwise


class NoPartial:
    """Stands for a partial derivative that is not known: asking for it is an error."""

    def __init__(self, text: str, instead: str) -> None:
        self.text, self.instead = text, instead

    def refuse(self, _x: Any, _y: Any, *args: Any) -> Any:
        """Where the partial would be multiplied with a tangent or cotangent."""
        raise NotDifferentiableError(message(self.text, *[a for a in args if a is not None], instead=self.instead))


def first(_y: Any, a: Any, _b: Any) -> Any:
    """A partial derivative that is the first operand."""
    return a


def second(_y: Any, _a: Any, b: Any) -> Any:
    """A partial derivative that is the second operand."""
    return b


def _term(rule: Any, product: Rule, operands: int) -> Rule | None:
    """``(x, y, *operands) -> x * partial``, for a tangent or cotangent x."""
    if rule is None:
        return None
    if isinstance(rule, NoPartial):
        return rule.refuse
    if callable(rule):
        if operands == 1:  # the way back gives a term of one operand two
            return lambda x, y, a, _b=None: product(x, rule(y, a))
        if operands == 2:
            if rule is first:
                return lambda x, _y, a, _b: product(x, a)
            return (lambda x, _y, _a, b: product(x, b)) if rule is second else (
                lambda x, y, a, b: product(x, rule(y, a, b)))
        return lambda x, y, *args: product(x, rule(y, *args))
    if rule == 1:
        return unchanged
    return (lambda x, _y, *_args: -x) if rule == -1 else (lambda x, _y, *_args: x * rule)


def _plain_term(rule: Any, product: Rule, operands: int) -> Rule | None:
    """`_term` for plain arrays without a look at zeros and infinities."""
    if not callable(rule):
        return _term(rule, product, operands)
    multiply = np.multiply  # faster than the operator
    if operands == 1:
        return lambda x, y, a, _b=None: (
            multiply(x, p) if type(p := rule(y, a)) is ndarray and type(x) is ndarray else product(x, p))
    if rule is first:
        return lambda x, _y, a, _b: multiply(x, a) if type(a) is ndarray and type(x) is ndarray else product(x, a)
    if rule is second:
        return lambda x, _y, _a, b: multiply(x, b) if type(b) is ndarray and type(x) is ndarray else product(x, b)
    return lambda x, y, a, b: (
        multiply(x, p) if type(p := rule(y, a, b)) is ndarray and type(x) is ndarray else product(x, p))


def elementwise_primitive(
    name: str,
    call: Rule | None,
    partials: Sequence[Any],
    *,
    chooses: bool = False,
    ufunc: np.ufunc | None = None,
    impl: Rule | None = None,
    total: Any = None,
) -> Primitive:
    """A primitive with one partial derivative per operand.

    A partial is a rule ``(y, *operands) -> dy/doperand``, a number (a constant partial), a `NoPartial`, or None: no
    derivative passes through that operand. A zero cotangent or tangent stays zero, even where the partial is infinite
    or NaN; where the function `chooses` among its operands, a partial of zero passes nothing, whatever arrives.
    """
    product = strong_product if chooses else strong_multiply
    count = len(partials)
    alone = [tuple([VALUE if w else NOTHING for w in wants(rule)]) if callable(rule) else (NOTHING,) * (count + 1)
             for rule in partials]
    saves = tuple([max(each) for each in zip(*alone, strict=True)])
    terms = tuple([_term(rule, product, count) for rule in partials])
    # What a zero cotangent does on the way back to the partials before it, a zero partial does on the way forward.
    onward = terms if chooses else tuple([_term(rule, strong_product, count) for rule in partials])
    back = None if count > 2 else tuple([_plain_term(rule, product, count) for rule in partials]) + terms

    def jvp(y: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        return add_tangents(*[
            term(t, y, *primals) for t, term in zip(tangents, onward, strict=True) if t is not None and term is not None
        ])

    rules: dict[str, Any] = {
        "kind": "elementwise", "jvp": jvp, "terms": terms, "back": back, "saves": saves, "ufunc": ufunc,
        "total": total, "alone": alone,
    }
    rules["batch"] = batch_elementwise(lambda: prim)
    prim = own_primitive(name, impl, **rules) if impl is not None else Primitive(name, call, **rules)
    return prim


# ---------------------------------------------------------------------- linear, bilinear, nonlinear primitives


def linear_primitive(
    name: str, call: Rule | None, transpose: Rule, *, batch: Rule | None = None, impl: Rule | None = None,
    operands: tuple[int, ...] | None = None, kind: str = "linear", total: Any = None,
) -> Primitive:
    """A primitive linear in its operands together: its jvp is itself, its pullback its transpose.

    ``transpose(ct, *operands, **params)`` gives the operands' cotangents (a tuple if there are several); it may
    read only shape, ndim, size and dtype of the operands. `operands` names the positions the map is linear in
    (default: all); the others are constants, and their values may be read.
    """

    def linear_in(i: int) -> bool:
        return operands is None or i in operands

    def jvp(out: Any, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        filled = [
            p if not linear_in(i) else np.zeros_like(p) if t is None else t
            for i, (p, t) in enumerate(zip(primals, tangents, strict=True))
        ]
        if all(t is None for i, t in enumerate(tangents) if linear_in(i)):
            return None
        return prim.call(*filled, **params)

    def pull(ct: Any, _out: Any, args: Sequence[Any], needed: Sequence[Any], params: dict[str, Any]) -> Any:
        cts = transpose(ct, *args, **params)
        return cts if isinstance(cts, (tuple, list)) else (cts,)

    saves: tuple[int, ...] = (NOTHING, AVAL)
    if operands is not None:
        saves = (NOTHING, *[AVAL if linear_in(i) else VALUE for i in range(max(operands) + 1)], VALUE)
    rules: dict[str, Any] = {"kind": kind, "jvp": jvp, "pull": pull, "batch": batch, "saves": saves, "total": total}
    prim = own_primitive(name, impl, **rules) if impl is not None else Primitive(name, call, **rules)
    return prim


def bilinear_primitive(
    name: str, call: Rule | None, left: Rule, right: Rule, *, batch: Rule | None = None, impl: Rule | None = None,
) -> Primitive:
    """A product: linear in each of two operands; ``left(ct, a, b, **params)`` gives the cotangent of `a`."""

    def jvp(out: Any, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        (a, b), (da, db) = primals, tangents
        return add_tangents(
            None if da is None else prim.call(da, b, **params), None if db is None else prim.call(a, db, **params)
        )

    def pull(ct: Any, _out: Any, args: Sequence[Any], needed: Sequence[Any], params: dict[str, Any]) -> Any:
        a, b = args
        return (
            None if needed[0] is None else left(ct, a, b, **params),
            None if needed[1] is None else right(ct, a, b, **params),
        )

    rules: dict[str, Any] = {"kind": "bilinear", "jvp": jvp, "pull": pull, "batch": batch, "saves": (NOTHING, VALUE)}
    prim = own_primitive(name, impl, **rules) if impl is not None else Primitive(name, call, **rules)
    return prim


def constant_primitive(name: str, call: Rule | None, *, batch: Rule | None = None, impl: Rule | None = None,
                       multiple: bool = False, dynamic: bool = False, total: bool | None = None) -> Primitive:
    """A primitive whose result carries no derivative (indices, counts, tests)."""
    rules: dict[str, Any] = {"kind": "nondifferentiable", "batch": batch, "multiple": multiple, "dynamic": dynamic,
                             "total": total}
    return own_primitive(name, impl, **rules) if impl is not None else Primitive(name, call, **rules)


# ---------------------------------------------------------------------- batching rules to choose from


def shift_axis(axis: Any, ndim: int) -> Any:
    """An axis of one example, as an axis of the batch: counted from the front, one further."""
    if isinstance(axis, (tuple, list)):
        return tuple([shift_axis(a, ndim) for a in axis])
    axis = int(axis)
    return axis + 1 if axis >= 0 else axis + ndim + 1


def batch_leading(prim_of: Callable[[], Primitive]) -> Rule:
    """For functions that work on the last axes and treat leading ones as a stack (np.linalg)."""

    def rule(_size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        return prim_of().call(*args, **params)

    return rule


__all__ = [
    "NoPartial", "Rule", "add_tangents", "align", "batch_elementwise", "batch_leading", "bilinear_primitive",
    "constant_primitive", "elementwise_primitive", "first", "linear_primitive", "second", "shift_axis",
    "strong_multiply", "strong_multiply_p", "strong_product", "strong_product_p", "wants",
]
