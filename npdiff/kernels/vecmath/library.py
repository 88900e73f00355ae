"""The functions by name, and a use of one as a call of its definition in LLVM text."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from npdiff.kernels.llvm_text import Body, register, scalar_type, splat, suffix
from npdiff.kernels.loop_ir import DType
from npdiff.kernels.vecmath import (
    bessel,
    error,
    exponential,
    gamma,
    hyperbolic,
    inverse,
    logarithm,
    power,
    trigonometric,
)
from npdiff.kernels.vecmath.lanes import Lanes, Value

# By the C library's name: the loop IR's calls know functions by these.
FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exponential.exp, "exp2": exponential.exp2, "expm1": exponential.expm1,
    "log": logarithm.log, "log2": logarithm.log2, "log10": logarithm.log10, "log1p": logarithm.log1p,
    "sin": trigonometric.sin, "cos": trigonometric.cos, "tan": trigonometric.tan,
    "asin": inverse.arcsin, "acos": inverse.arccos, "atan": inverse.arctan, "atan2": inverse.arctan2,
    "sinh": hyperbolic.sinh, "cosh": hyperbolic.cosh, "tanh": hyperbolic.tanh,
    "asinh": hyperbolic.arcsinh, "acosh": hyperbolic.arccosh, "atanh": hyperbolic.arctanh,
    "pow": power.power, "cbrt": power.cbrt, "hypot": power.hypot,
    "erf": error.erf, "erfc": error.erfc, "lgamma": gamma.lgamma,
    "exp10": exponential.exp10, "logit": logarithm.logit, "log_ratio": logarithm.log_ratio,
    "log1p_exp": logarithm.log1p_exp,
    "erfcx": error.erfcx, "ndtr": error.ndtr, "log_ndtr": error.log_ndtr, "digamma": gamma.digamma,
    "i0": bessel.i0, "i1": bessel.i1, "i0e": bessel.i0e, "i1e": bessel.i1e,
}
# Those that the C library does not have.
_OWN = frozenset(["exp10", "logit", "log_ratio", "log1p_exp", "erfcx", "ndtr", "log_ndtr", "digamma", "i0", "i1", "i0e",
                  "i1e"])
# Functions that are left to the C library where an operand is at least this large.
_LIMITED = {"sin": trigonometric.limit, "cos": trigonometric.limit, "tan": trigonometric.limit}
# Shorter ways to the same bits, and where they do not hold: if one lane is there, all of them go the long way.
_QUICK: dict[str, Callable[..., tuple[Value, Value]]] = {
    "exp": exponential.quick_exp, "log": logarithm.quick_log, "pow": power.quick_power,
}
# Bytes of a group of lanes: the widest registers there are.
_GROUP = 64


class Definition(NamedTuple):
    """A function of the library for one dtype and width."""

    symbol: str
    text: str
    declarations: frozenset[str]


def from_c(body: Body, name: str, dtype: DType, width: int, args: list[str]) -> str:
    """A function of the C math library, lane by lane."""
    kind = scalar_type(dtype)
    symbol = name if dtype.itemsize == 8 else f"{name}f"
    if width == 1:
        return body.intrinsic(symbol, kind, [kind] * len(args), args)
    vector = register(dtype, width)
    out = "poison"
    for lane in range(width):
        one = [body.let(f"extractelement {vector} {a}, i64 {lane}") for a in args]
        y = body.intrinsic(symbol, kind, [kind] * len(args), one)
        out = body.let(f"insertelement {vector} {out}, {kind} {y}, i64 {lane}")
    return out


@lru_cache(maxsize=512)
def definition(name: str, dtype: DType, width: int, inline: bool) -> Definition:
    """The text of a function."""
    build = FUNCTIONS[name]
    kind = register(dtype, width)
    symbol = f"vecmath.{name}.{suffix(dtype, width)}"
    names = [f"%x{k}" for k in range(build.__code__.co_argcount - 1)]
    body = Body()
    v = Lanes(body, dtype, width)
    far = ""
    if name in _QUICK:
        y, rare = _QUICK[name](v, *names)
        far = _rarely(f"{symbol}.far", names, build, dtype, width, min(width, _GROUP // dtype.itemsize), body)
        y = _unless(body, width, kind, rare, y, f"@{symbol}.far({', '.join(f'{kind} {n}' for n in names)})")
    elif name in _LIMITED:
        y = build(v, *names)
        rare = v.compare("oge", v.abs("%x0"), v.const(_LIMITED[name](v)))
        far = _rarely(f"{symbol}.far", ["%x0", "%near"], _to_c(name), dtype, width, 1, body)
        y = _unless(body, width, kind, rare, y, f"@{symbol}.far({kind} %x0, {kind} {y})")
    else:
        y = build(v, *names)
    attribute = "alwaysinline" if inline else "noinline"
    return Definition(symbol, far + _text(symbol, names, kind, attribute, body, y), frozenset(body.declarations))


def _text(symbol: str, names: list[str], kind: str, attribute: str, body: Body, y: Value) -> str:
    head = f"define internal {kind} @{symbol}({', '.join(f'{kind} {n}' for n in names)}) {attribute} nounwind {{"
    return "\n".join([head, "entry:", *body.lines, f"  ret {kind} {y}", "}", ""])


def _rarely(symbol: str, names: list[str], build: Callable[..., Value], dtype: DType, width: int, group: int,
            user: Body) -> str:
    """The text of a function that `user` seldom calls: short, as it goes through the lanes by groups of `group`."""
    body = Body()
    kind, some, one = register(dtype, width), register(dtype, group), scalar_type(dtype)
    for n in names:
        body.do(f"{n}.all = alloca {kind}, align {dtype.itemsize}")
        body.do(f"store {kind} {n}, ptr {n}.all, align {dtype.itemsize}")
    body.do("br label %group")
    body.start("group")
    body.do("%i = phi i64 [ 0, %entry ], [ %next, %group ]")
    places = [body.let(f"getelementptr {one}, ptr {n}.all, i64 %i") for n in names]
    y = build(Lanes(body, dtype, group), *[body.let(f"load {some}, ptr {p}, align {dtype.itemsize}") for p in places])
    body.do(f"store {some} {y}, ptr {places[0]}, align {dtype.itemsize}")
    body.do(f"%next = add nuw nsw i64 %i, {group}")
    body.do(f"br i1 {body.let(f'icmp ult i64 %next, {width}')}, label %group, label %done")
    body.start("done")
    y = body.let(f"load {kind}, ptr {names[0]}.all, align {dtype.itemsize}")
    user.declarations |= body.declarations
    return _text(symbol, names, kind, "noinline cold", body, y)


def _unless(body: Body, width: int, kind: str, rare: Value, y: Value, other: str) -> Value:
    """`y`, unless something rare holds in a lane: then what `other` returns."""
    some = rare
    if width > 1:
        some = body.intrinsic(f"llvm.vector.reduce.or.v{width}i1", "i1", [f"<{width} x i1>"], [rare])
    body.do(f"br i1 {some}, label %far, label %end, !prof !{{!\"branch_weights\", i32 1, i32 1000}}")
    body.start("far")
    value = body.let(f"call {kind} {other}")
    body.do("br label %end")
    body.start("end")
    body.do(f"%y = phi {kind} [ {y}, %entry ], [ {value}, %far ]")
    return "%y"


def _to_c(name: str) -> Callable[..., Value]:
    """The C library's value where an operand is huge, else the one given.

    A lane's value does not depend on its neighbours, only the time it takes does.
    """
    def build(v: Lanes, x: Value, near: Value) -> Value:
        other = from_c(v.body, name, v.dtype, v.width, [x])
        return v.select(v.compare("oge", v.abs(x), v.const(_LIMITED[name](v))), other, near)

    return build


def call(body: Body, name: str, dtype: DType, width: int, args: list[str]) -> str:
    """A use of a function; its definition joins the module."""
    if name not in FUNCTIONS or not (body.fma or name in _OWN):
        return from_c(body, name, dtype, width, args)
    lanes = max(width, body.lanes)
    known = definition(name, dtype, lanes, body.inline)
    body.definitions[known.symbol] = known.text
    body.declarations |= known.declarations
    kind = register(dtype, lanes)
    if width < lanes:
        args = [splat(body, a, scalar_type(dtype), lanes) for a in args]
    y = body.let(f"call {kind} @{known.symbol}({', '.join(f'{kind} {a}' for a in args)})")
    return y if width == lanes else body.let(f"extractelement {kind} {y}, i64 0")
