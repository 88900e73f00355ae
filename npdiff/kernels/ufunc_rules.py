"""The one table from a ufunc's name to its scalar expression.

A rule holds the dtype kinds of the loop it can stand in for and a function that builds the
expression from operands already cast to the loop's dtypes. What has no rule here, or a loop of
another kind, is left to NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from npdiff.kernels.expressions import BOOL, Expressions


class Rule(NamedTuple):
    """What a ufunc does at each point.

    `kinds`: loop kinds covered (b, i, u, f); `build(e, *operands)` gives the result's node; `math` says whether it
    uses vector math, which by itself is faster than NumPy's loop.
    """

    kinds: str
    build: Callable[..., int]
    math: bool = False


def _op(kinds: str, name: str) -> Rule:
    return Rule(kinds, lambda e, *a: e.op(name, *a))


def called(name: str) -> Rule:
    """A function of vector math."""
    return Rule("f", lambda e, *a: e.call(name, *a), math=True)


def _arithmetic(name: str, on_bool: str) -> Rule:
    return Rule("biuf", lambda e, x, y: e.op(on_bool if e.dtype(x).kind == "b" else name, x, y))


def _logical(name: str) -> Rule:
    return Rule("biuf", lambda e, *a: e.op(name, *[e.cast(v, BOOL) for v in a]))


def constant(e: Expressions, value: float, like: int) -> int:
    """A number of the dtype of a node."""
    return e.const(value, e.dtype(like))


def _compare(name: str) -> Rule:
    def build(e: Expressions, x: int, y: int) -> int:
        if e.dtype(x).kind == "b":
            byte = np.dtype(np.uint8)
            x, y = e.cast(x, byte), e.cast(y, byte)
        return e.op(name, x, y)

    return Rule("biuf", build)


def _sign(e: Expressions, x: int) -> int:
    zero = constant(e, 0, x)
    if e.dtype(x).kind == "u":
        return e.select(e.op("eq", x, zero), zero, constant(e, 1, x))
    below = e.select(e.op("lt", x, zero), constant(e, -1, x), e.select(e.op("eq", x, zero), zero, x))
    return e.select(e.op("gt", x, zero), constant(e, 1, x), below)


def _power(e: Expressions, x: int, y: int) -> int:
    exponent = e.nodes[y]
    if exponent.op == "const":
        if exponent.data == 1:
            return x
        if exponent.data == 2:
            return e.op("mul", x, x)
        if exponent.data == 3:
            return e.op("mul", e.op("mul", x, x), x)
        if exponent.data == 0.5:
            return e.op("sqrt", x)
        if exponent.data == -1:
            return e.op("div", constant(e, 1, x), x)
    return e.call("pow", x, y)


def _heaviside(e: Expressions, x: int, at_zero: int) -> int:
    zero = constant(e, 0, x)
    above = e.select(e.op("gt", x, zero), constant(e, 1, x), e.select(e.op("eq", x, zero), at_zero, x))
    return e.select(e.op("lt", x, zero), zero, above)


def _logaddexp(rest: Callable[[Expressions, int], int], step: float) -> Rule:
    """The larger operand, plus `rest` of the difference, which is not positive."""
    def build(e: Expressions, x: int, y: int) -> int:
        grown = e.op("add", e.op("maximum", x, y), rest(e, e.op("neg", e.op("abs", e.op("sub", x, y)))))
        # Equal operands, infinities among them, have no difference to take.
        return e.select(e.op("eq", x, y), e.op("add", x, constant(e, step, x)), grown)

    return Rule("f", build, math=True)


def _log2_1p_exp2(e: Expressions, x: int) -> int:
    return e.op("mul", e.call("log1p", e.call("exp2", x)), constant(e, 1 / np.log(2.0), x))


def _isinf(e: Expressions, x: int) -> int:
    return e.op("eq", e.op("abs", x), constant(e, np.inf, x))


def _isfinite(e: Expressions, x: int) -> int:
    return e.op("lt", e.op("abs", x), constant(e, np.inf, x))


def _scaled(factor: float) -> Rule:
    return Rule("f", lambda e, x: e.op("mul", x, constant(e, factor, x)))


def _clip(e: Expressions, x: int, low: int, high: int) -> int:
    return e.op("minimum", e.op("maximum", x, low), high)


_same = Rule("iuf", lambda e, x: x)
_multiply = _arithmetic("mul", "and")
_divide = _op("f", "div")
_to_radians = _scaled(np.pi / 180.0)
_to_degrees = _scaled(180.0 / np.pi)

RULES: dict[str, Rule] = {
    "add": _arithmetic("add", "or"),
    "subtract": _op("iuf", "sub"),
    "multiply": _multiply,
    "divide": _divide,
    "true_divide": _divide,
    "negative": _op("iuf", "neg"),
    "positive": _same,
    "conjugate": _same,
    "conj": _same,
    "absolute": Rule("iuf", lambda e, x: x if e.dtype(x).kind == "u" else e.op("abs", x)),
    "fabs": _op("f", "abs"),
    "sign": Rule("iuf", _sign),
    "sqrt": _op("f", "sqrt"),
    "square": Rule("iuf", lambda e, x: e.op("mul", x, x)),
    "reciprocal": Rule("f", lambda e, x: e.op("div", constant(e, 1, x), x)),
    "power": Rule("f", _power, math=True),
    "float_power": Rule("f", _power, math=True),
    "floor": _op("f", "floor"),
    "ceil": _op("f", "ceil"),
    "trunc": _op("f", "trunc"),
    "rint": _op("f", "rint"),
    "copysign": _op("f", "copysign"),
    "heaviside": Rule("f", _heaviside),
    "maximum": _arithmetic("maximum", "or"),
    "minimum": _arithmetic("minimum", "and"),
    "fmax": Rule("iuf", lambda e, x, y: e.op("fmax" if e.dtype(x).kind == "f" else "maximum", x, y)),
    "fmin": Rule("iuf", lambda e, x, y: e.op("fmin" if e.dtype(x).kind == "f" else "minimum", x, y)),
    "clip": Rule("iuf", _clip),
    "equal": _compare("eq"),
    "not_equal": _compare("ne"),
    "less": _compare("lt"),
    "less_equal": _compare("le"),
    "greater": _compare("gt"),
    "greater_equal": _compare("ge"),
    "logical_and": _logical("and"),
    "logical_or": _logical("or"),
    "logical_xor": _logical("xor"),
    "logical_not": _logical("not"),
    "bitwise_and": _op("biu", "and"),
    "bitwise_or": _op("biu", "or"),
    "bitwise_xor": _op("biu", "xor"),
    "invert": _op("biu", "not"),
    "isnan": Rule("f", lambda e, x: e.op("ne", x, x)),
    "isinf": Rule("f", _isinf),
    "isfinite": Rule("f", _isfinite),
    "signbit": _op("f", "signbit"),
    "deg2rad": _to_radians,
    "radians": _to_radians,
    "rad2deg": _to_degrees,
    "degrees": _to_degrees,
    "logaddexp": _logaddexp(lambda e, x: e.call("log1p_exp", x), float(np.log(2.0))),
    "logaddexp2": _logaddexp(_log2_1p_exp2, 1.0),
    "exp": called("exp"),
    "exp2": called("exp2"),
    "expm1": called("expm1"),
    "log": called("log"),
    "log2": called("log2"),
    "log10": called("log10"),
    "log1p": called("log1p"),
    "cbrt": called("cbrt"),
    "sin": called("sin"),
    "cos": called("cos"),
    "tan": called("tan"),
    "arcsin": called("asin"),
    "arccos": called("acos"),
    "arctan": called("atan"),
    "arctan2": called("atan2"),
    "sinh": called("sinh"),
    "cosh": called("cosh"),
    "tanh": called("tanh"),
    "arcsinh": called("asinh"),
    "arccosh": called("acosh"),
    "arctanh": called("atanh"),
    "hypot": called("hypot"),
    "fmod": Rule("f", lambda e, x, y: e.call("fmod", x, y)),
}
