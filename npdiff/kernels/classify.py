"""What each equation can become: a view, a fused scalar expression, a fused reduction, or a host call.

An equation is only fused when everything about it is understood: its primitive, every parameter,
the dtypes and the shapes. Everything else is a host call.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from npdiff.avals import Aval, python_type
from npdiff.graph import Atom, Equation, Literal, droppable
from npdiff.kernels import machine
from npdiff.kernels.complex_rules import COMPLEX, product
from npdiff.kernels.expressions import BOOL, HALF, SINGLE, Expressions, can_cast
from npdiff.kernels.loop_ir import DTYPES, Access, DType, Node, part_of
from npdiff.kernels.special_rules import SPECIAL
from npdiff.kernels.ufunc_rules import RULES, Rule

# From this size on, a function of vector math alone makes up for the call of its kernel.
MATH_SIZE = 512
# What picks elements by arrays of integers, where kernels may do that; libraries take several passes for it.
GATHERS = frozenset(["getitem", "permute_along", "choose_along"])
# Given an expression builder and the nodes of the operands (in their own dtypes), the result's node.
Build = Callable[[Expressions, list[int]], int]


@lru_cache(maxsize=1024)
def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without its axes of length 1: the iteration space of an array."""
    return tuple(n for n in shape if n != 1)


def storable(a: Aval) -> bool:
    """Whether a kernel can hold the elements of such an array, and there are any."""
    # Without instructions for it, half precision would be converted by functions that are not everywhere.
    here = a.dtype in DTYPES and (a.dtype != HALF or machine.has_fma())
    return here and a.dtype.isnative and a.size > 0


def castable(a: Atom, dtype: DType) -> bool:
    """Whether an operand can be had in a dtype as NumPy has it; a number known now is rounded now."""
    known = isinstance(a, Literal) and dtype == HALF and a.aval.dtype.kind == "f"
    return (known or can_cast(a.aval.dtype, dtype)) and _fits(a, dtype)


def _as_numpy(eq: Equation) -> bool:
    """Whether an operator on Python numbers does what NumPy does: it raises nothing, and its integers stay small."""
    return droppable(eq, ()) and eq.outputs[0].aval.dtype.kind in "fb"


def loop_dtypes(eq: Equation) -> tuple[DType, ...] | None:
    """The dtypes of the ufunc loop NumPy would run (NEP 50), or None."""
    ufunc = eq.prim.ufunc
    if ufunc is None or ufunc.nout != 1 or ufunc.nin != len(eq.inputs):
        return None
    weak = [a.aval.weak and a.aval.dtype.kind != "b" for a in eq.inputs]
    if all(weak):
        weak = [False] * len(weak)
    given = [python_type(a.aval.dtype) if w else a.aval.dtype for a, w in zip(eq.inputs, weak, strict=True)]
    return _loop(ufunc, tuple(given))


# A graph has many equations but few kinds of them.
@lru_cache(maxsize=1024)
def _loop(ufunc: Any, given: tuple[Any, ...]) -> tuple[DType, ...] | None:
    try:
        loop = ufunc.resolve_dtypes((*given, None))
    except TypeError:
        return None
    return tuple(loop)


def _fits(a: Atom, dtype: DType) -> bool:
    """Whether a Python integer keeps its value in the loop; where it doesn't, NumPy has its own rules."""
    if not a.aval.weak or a.aval.dtype.kind != "i" or dtype.kind not in "iu":
        return True
    info = np.iinfo(dtype)
    return bool(info.min <= a.value <= info.max) if isinstance(a, Literal) else dtype == a.aval.dtype


def rule_of(name: str, kind: str = "f") -> Rule | None:
    """What a ufunc's loop for dtypes of a kind does at each point, by the name of its primitive; None if not known."""
    if kind == "c":
        return COMPLEX.get(name)
    return RULES.get(name) or SPECIAL.get(name)


def _ufunc(eq: Equation) -> Build | None:
    loop = loop_dtypes(eq)
    if loop is None or eq.params or eq.prim.ufunc is None:
        return None
    rule = rule_of(eq.prim.name, loop[0].kind)
    if rule is None or eq.prim.ufunc.__name__ != eq.prim.name.rpartition(".")[2]:
        return None
    if eq.prim.call is not eq.prim.ufunc and not _as_numpy(eq):
        return None
    operands, result = loop[:-1], loop[-1]
    if len(set(operands)) != 1 or operands[0].kind not in rule.kinds or operands[0] not in DTYPES:
        return None
    dtype = operands[0]
    if result != eq.outputs[0].aval.dtype or (dtype == HALF and not machine.has_fma()):
        return None
    if not all(castable(a, dtype) for a in eq.inputs):
        return None
    return _computed(rule, dtype, len(operands), result)


@lru_cache(maxsize=1024)
def _computed(rule: Rule, dtype: DType, count: int, result: DType) -> Build | None:
    """How a rule computes a result from `count` operands of a dtype, or None."""
    # As NumPy's loops for half precision: computed in single precision, and rounded.
    inside = SINGLE if dtype == HALF else dtype
    computed = SINGLE if result == HALF else result
    trial = Expressions()
    if trial.dtype(rule.build(trial, *[trial.const(1, inside) for _ in range(count)])) != computed:
        return None

    def build(e: Expressions, nodes: list[int]) -> int:
        return e.cast(rule.build(e, *[e.cast(e.cast(n, dtype), inside) for n in nodes]), result)

    return build


def _where(eq: Equation) -> Build | None:
    out = eq.outputs[0].aval.dtype
    if len(eq.inputs) != 3 or eq.params:
        return None
    if not all(castable(a, out) for a in eq.inputs[1:]):
        return None
    return lambda e, n: e.select(e.cast(n[0], BOOL), e.cast(n[1], out), e.cast(n[2], out))


def _astype(eq: Equation) -> Build | None:
    out = eq.outputs[0].aval.dtype
    if len(eq.inputs) != 1 or set(eq.params) != {"dtype"} or eq.params["dtype"] != out:
        return None
    if not castable(eq.inputs[0], out):
        return None
    return lambda e, n: e.cast(n[0], out)


def _strong(eq: Equation) -> Build | None:
    out = eq.outputs[0].aval.dtype
    if len(eq.inputs) != 2 or eq.params or out.kind not in "iufc":
        return None
    if not all(castable(a, out) for a in eq.inputs):
        return None
    inside = SINGLE if out == HALF else out

    def build(e: Expressions, n: list[int]) -> int:
        ct, p = e.cast(e.cast(n[0], out), inside), e.cast(e.cast(n[1], out), inside)
        zero = e.const(0, inside)
        if out.kind == "c":
            value = e.complex(*product(e, e.parts(ct), e.parts(p)))
        else:
            value = e.op("mul", ct, p)
        if eq.prim.name == "strong_product":
            value = e.select(e.cast(p, BOOL), value, zero)
        return e.cast(e.select(e.cast(ct, BOOL), value, zero), out)

    return build


def _copy(eq: Equation) -> Build | None:
    # Kernels write in C order.
    if len(eq.inputs) != 1 or eq.params != {"order": "C"} or eq.inputs[0].aval != eq.outputs[0].aval:
        return None
    return lambda _, n: n[0]


def _part(eq: Equation) -> Build | None:
    a, out = eq.inputs[0].aval, eq.outputs[0].aval
    if len(eq.inputs) != 1 or eq.params or a.dtype.kind != "c" or part_of(a.dtype) != out.dtype:
        return None
    return lambda e, n: e.parts(n[0])[eq.prim.name == "imag"]


def _marked(eq: Equation) -> Build | None:
    x, extremum, places = (a.aval.dtype for a in eq.inputs)
    if x != extremum or places != eq.outputs[0].aval.dtype:
        return None

    def build(e: Expressions, n: list[int]) -> int:
        hit = e.op("eq", n[0], n[1])
        if x.kind == "f":
            hit = e.op("or", hit, e.op("ne", n[0], n[0]))
        return e.select(hit, n[2], e.const(eq.params["beyond"], places))

    return build


_OWN: dict[str, Callable[[Equation], Build | None]] = {
    "where": _where, "astype": _astype, "strong_multiply": _strong, "strong_product": _strong,
    "real": _part, "imag": _part, "copy": _copy, "marked": _marked,
}


# Python's own ints have no bound, and its division and power raise; on Python floats these do as in a kernel.
_NEVER_RAISES = frozenset(["add", "subtract", "multiply", "negative", "positive", "absolute"])


def elementwise(eq: Equation) -> Build | None:
    """How to build the result of a fusable elementwise equation, or None."""
    prim = eq.prim
    # A ufunc without a derivative (a comparison, floor) is of another kind, and elementwise all the same.
    if prim.ufunc is None and prim.kind != "elementwise":
        return None
    if prim.ordered or prim.multiple or prim.dynamic or eq.regions:
        return None
    if len(eq.outputs) != 1 or not eq.inputs or not all(storable(a.aval) for a in [*eq.inputs, *eq.outputs]):
        return None
    if np.broadcast_shapes(*[a.aval.shape for a in eq.inputs]) != eq.outputs[0].aval.shape:
        return None
    if eq.outputs[0].aval.weak and not (eq.outputs[0].aval.dtype.kind == "f" and prim.name in _NEVER_RAISES):
        return None
    if prim.ufunc is not None:
        return _ufunc(eq)
    own = _OWN.get(prim.name)
    return own(eq) if own is not None else None


def nodes(eq: Equation, build: Build) -> list[Node]:
    """What the result is built of."""
    trial = Expressions()
    build(trial, [trial.load(Access(k, 0, ()), a.aval.dtype) for k, a in enumerate(eq.inputs)])
    return trial.nodes


def weight(eq: Equation, size: int) -> int:
    """How many of NumPy's calls the one for an equation counts as, when `size` points are computed."""
    if eq.prim.name.startswith("strong_") or eq.prim.name in GATHERS:
        return 3
    if eq.prim.name == "copy":
        return 0
    # NumPy's reductions run in one thread, and slowly over short axes; any and all stop at the first that decides.
    if eq.prim.name in ("sum", "prod", "max", "min"):
        return 2
    kind = eq.inputs[0].aval.dtype.kind if eq.inputs else ""
    rule = rule_of(eq.prim.name, kind)
    return 3 if rule is not None and rule.math and size >= MATH_SIZE else 1


class FusedReduction:
    """A reduction understood in full: the operation, the axes of the operand, the dtype it runs in."""

    __slots__ = ("axes", "dtype", "op")

    def __init__(self, op: str, axes: tuple[int, ...], dtype: DType) -> None:
        self.op = op
        self.axes = axes
        self.dtype = dtype


def reduction(eq: Equation) -> FusedReduction | None:
    """What a fusable reduction does, or None."""
    prim, name = eq.prim, eq.prim.name
    if name not in ("sum", "prod", "max", "min", "any", "all") or prim.ordered or prim.multiple or prim.dynamic:
        return None
    if len(eq.inputs) != 1 or len(eq.outputs) != 1 or eq.regions:
        return None
    x, out = eq.inputs[0].aval, eq.outputs[0].aval
    if not eq.params.keys() <= {"axis", "keepdims", "dtype"} or eq.params.get("dtype", out.dtype) != out.dtype:
        return None
    axis: Any = eq.params.get("axis")
    keep: Any = eq.params.get("keepdims", False)
    axes = tuple(range(x.ndim)) if axis is None else axis
    # Half precision is reduced in single precision, see `promote.widen`.
    if not storable(x) or not storable(out) or out.dtype == HALF or type(keep) is not bool or type(axes) is not tuple:
        return None
    if not all(type(a) is int and 0 <= a < x.ndim for a in axes) or len(set(axes)) != len(axes):
        return None
    kept = [1 if a in axes else n for a, n in enumerate(x.shape) if keep or a not in axes]
    if tuple(kept) != out.shape:
        return None
    if name in ("any", "all"):
        return FusedReduction("or" if name == "any" else "and", axes, BOOL) if out.dtype == BOOL else None
    if name in ("max", "min"):
        if x.dtype != out.dtype or x.dtype.kind == "c":
            return None
        if x.dtype == BOOL:
            return FusedReduction("or" if name == "max" else "and", axes, BOOL)
        return FusedReduction("maximum" if name == "max" else "minimum", axes, x.dtype)
    if out.dtype.kind not in "iufc" or not can_cast(x.dtype, out.dtype):
        return None
    return FusedReduction("add" if name == "sum" else "mul", axes, out.dtype)
