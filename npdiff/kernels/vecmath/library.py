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
    "erfcx": error.erfcx, "ndtr": error.ndtr, "log_ndtr": error.log_ndtr, "digamma": gamma.digamma,
    "i0": bessel.i0, "i1": bessel.i1, "i0e": bessel.i0e, "i1e": bessel.i1e,
}
# Those that the C library does not have.
_OWN = frozenset(["exp10", "logit", "log_ratio", "erfcx", "ndtr", "log_ndtr", "digamma", "i0", "i1", "i0e", "i1e"])
# Functions that are left to the C library where an operand is at least this large.
_LIMITED = {"sin": trigonometric.limit, "cos": trigonometric.limit, "tan": trigonometric.limit}


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
    head = f"{kind} @{{}}({', '.join(f'{kind} {n}' for n in names)})"
    body = Body()
    v = Lanes(body, dtype, width)
    y = build(v, *names)
    far = ""
    if name in _LIMITED:
        far = _far(body, v, name, symbol, y)
        y = "%y"
    attribute = "alwaysinline" if inline else "noinline"
    text = "\n".join([f"define internal {head.format(symbol)} {attribute} nounwind {{", "entry:", *body.lines,
                      f"  ret {kind} {y}", "}", ""])
    return Definition(symbol, far + text, frozenset(body.declarations))


def _far(body: Body, v: Lanes, name: str, symbol: str, y: Value) -> str:
    """End `body` with %y: `y`, but where the operand is huge the C library's value; returns the function for that.

    A lane's value does not depend on its neighbours, only the time it takes does.
    """
    dtype, width, kind = v.dtype, v.width, register(v.dtype, v.width)
    far = Body()
    inside = Lanes(far, dtype, width)
    limit = inside.const(_LIMITED[name](inside))
    other = from_c(far, name, dtype, width, ["%x0"])
    chosen = inside.select(inside.compare("oge", inside.abs("%x0"), limit), other, "%near")
    some = huge = v.compare("oge", v.abs("%x0"), limit)
    if width > 1:
        some = body.intrinsic(f"llvm.vector.reduce.or.v{width}i1", "i1", [f"<{width} x i1>"], [huge])
    body.do(f"br i1 {some}, label %far, label %end, !prof !{{!\"branch_weights\", i32 1, i32 1000}}")
    body.start("far")
    other = body.let(f"call {kind} @{symbol}.far({kind} %x0, {kind} {y})")
    body.do("br label %end")
    body.start("end")
    body.do(f"%y = phi {kind} [ {y}, %entry ], [ {other}, %far ]")
    body.declarations |= far.declarations
    return "\n".join([f"define internal {kind} @{symbol}.far({kind} %x0, {kind} %near) noinline cold nounwind {{",
                      *far.lines, f"  ret {kind} {chosen}", "}", ""])


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
