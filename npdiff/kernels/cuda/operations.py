"""Loop IR operations as expressions of Python that Numba compiles for CUDA: one table.

Every expression gives a value of exactly its node's dtype. Integers are cast back after each step, because Numba widens
them; sums of floats are rounded by a function of their own, so that no product before them is contracted with them, and
so are quotients, which Python would check. Choices call `select`: branches take Numba long.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npdiff.kernels.loop_ir import COMPARISONS, DType, Node

_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_INFIX = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^"}
# Functions of libdevice for float64, of one and of two operands; those for float32 end in f.
FUNCTIONS = frozenset([
    "sqrt", "floor", "ceil", "trunc", "rint", "copysign", "fabs",
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "cbrt", "pow", "hypot", "fmod", "sin", "cos", "tan",
    "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "erfcx", "exp10",
    "lgamma", "normcdf",
])
# Functions of the loop IR that libdevice has by another name, or that are composed of its own. `{c}` ends a name for
# the dtype, `{d}` begins that of a rounded quotient.
_COMPOSED = {
    "ndtr": "libdevice.normcdf{c}({x})",
    "log1p_exp": "libdevice.log1p{c}(libdevice.exp{c}({x}))",
    # Near 1 the logarithm of a quotient is that of 1 and a rest; where the quotient leaves the range, a difference.
    "log_ratio": "select(({x} - {y} <= {y} * {t}(0.5)) & ({y} - {x} <= {y} * {t}(0.5)), "
                 "libdevice.log1p{c}(libdevice.{d}div_rn({x} - {y}, {y})), "
                 "select(({q} > {low}) & ({q} < {high}), libdevice.log{c}({q}), "
                 "libdevice.log{c}({x}) - libdevice.log{c}({y})))",
    "logit": "select(({x} > {t}(0.25)) & ({x} < {t}(0.75)), "
             "libdevice.log1p{c}(libdevice.{d}div_rn({x} - ({t}(1.0) - {x}), {t}(1.0) - {x})), "
             "libdevice.log{c}(libdevice.{d}div_rn({x}, {t}(1.0) - {x})))",
    # NIST Digital Library of Mathematical Functions, 7.17: by the scaled complement where the value is tiny.
    "log_ndtr": "select({x} < {t}(-1.0), "
                "libdevice.log{c}(libdevice.erfcx{c}(-{x} * {h}) * {t}(0.5)) - {x} * {x} * {t}(0.5), "
                "libdevice.log1p{c}(-libdevice.erfc{c}({x} * {h}) * {t}(0.5)))",
}
CALLS = FUNCTIONS | _COMPOSED.keys()


def renders(node: Node) -> bool:
    """Whether a kernel for CUDA can hold a node: libdevice has no digamma, for one."""
    return node.op != "total" and (node.op != "call" or node.data in CALLS)


# As NumPy defines them: maximum and minimum hand on NaN, fmax and fmin pass over it.
_CHOICES = {
    "maximum": "select(({x} >= {y}) | ({x} != {x}), {x}, {y})",
    "minimum": "select(({x} <= {y}) | ({x} != {x}), {x}, {y})",
    "fmax": "select(({x} >= {y}) | ({y} != {y}), {x}, {y})",
    "fmin": "select(({x} <= {y}) | ({y} != {y}), {x}, {y})",
}


def register(dtype: DType) -> DType:
    """The dtype that values are computed in: half precision is only loaded, cast and stored."""
    return np.dtype(np.float32) if dtype.char == "e" else dtype


def constant(value: Any, dtype: DType) -> str:
    """A number as an expression of its dtype."""
    dtype = register(dtype)
    if dtype.kind == "b":
        return repr(bool(value))
    if dtype.kind != "f":
        return f"{dtype.name}({int(value)})"
    number = float(value)
    # repr writes -inf and nan too, as names that the source knows.
    return f"{dtype.name}({'nan' if math.isnan(number) else repr(number)})"


def function(name: str, dtype: DType, *args: str) -> str:
    """A call of libdevice, or an expression of several."""
    if name in _COMPOSED:
        small = dtype.itemsize == 4
        d, t = "f" if small else "d", dtype.name
        low, high = (f"{t}(1e-37)", f"{t}(1e37)") if small else (f"{t}(1e-300)", f"{t}(1e300)")
        q = f"libdevice.{d}div_rn({', '.join(args)})"
        return _COMPOSED[name].format(x=args[0], y=args[-1], q=q, c="f" if small else "", d=d, t=t, low=low, high=high,
                                      h=f"{t}({math.sqrt(0.5)!r})")
    return f"libdevice.{name}{'f' if dtype.itemsize == 4 else ''}({', '.join(args)})"


def cast(source: DType, target: DType, x: str) -> str:
    """A value in another dtype."""
    if source == target:
        return x
    if target.char == "e":
        return f"libdevice.half2float(libdevice.float2half_rn({x}))"
    if source.char == "e":
        return x
    if source.kind == "b":
        return f"select({x}, {target.name}(1), {target.name}(0))"
    return f"{target.name}({x})"


def combine(op: str, dtype: DType, x: str, y: str) -> str:
    """An operation on two values of one dtype, which is also the dtype of the result."""
    if op in _CHOICES:
        if dtype.kind == "f":
            return _CHOICES[op].format(x=x, y=y)
        return f"select({x} {'>=' if op == 'maximum' else '<='} {y}, {x}, {y})"
    if op in ("add", "sub", "div") and dtype.kind == "f":
        name = f"{'f' if dtype.itemsize == 4 else 'd'}{'div' if op == 'div' else 'add'}_rn"
        return f"libdevice.{name}({x}, {'-' if op == 'sub' else ''}{y})"
    if op == "copysign":
        return function(op, dtype, x, y)
    text = f"{x} {_INFIX[op]} {y}"
    return text if dtype.kind in "fb" else f"{dtype.name}({text})"


def expression(node: Node, operand: DType, args: list[str]) -> str:
    """The value of any node but loads and constants; `operand` is the dtype of its last operand."""
    op, dtype = node.op, node.dtype
    if op == "signbit":
        return f"libdevice.signbit{'f' if operand.itemsize == 4 else 'd'}({args[0]}) != 0"
    if op in COMPARISONS:
        return f"{args[0]} {_SIGNS[op]} {args[1]}"
    if op == "cast":
        return cast(operand, dtype, args[0])
    if op == "select":
        return f"select({', '.join(args)})"
    if op == "call":
        return function(node.data, dtype, *args)
    if op == "neg":
        return f"-{args[0]}" if dtype.kind == "f" else f"{dtype.name}({constant(0, dtype)} - {args[0]})"
    if op == "not":
        return f"not {args[0]}" if dtype.kind == "b" else f"{dtype.name}(~{args[0]})"
    if len(args) == 2:
        return combine(op, dtype, *args)
    if dtype.kind == "f":
        return function("fabs" if op == "abs" else op, dtype, *args)
    # The integer abs: the smallest number stays itself, as in NumPy.
    zero = constant(0, dtype)
    return f"select({args[0]} >= {zero}, {args[0]}, {dtype.name}({zero} - {args[0]}))"
