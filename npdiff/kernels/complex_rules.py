"""The table of `ufunc_rules` for complex loops: what a ufunc does to real and imaginary parts, as NumPy does it.

Quotients follow R. L. Smith, Algorithm 116: Complex division, 1962, with NumPy's order of operations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from npdiff.kernels.expressions import BOOL, Expressions
from npdiff.kernels.ufunc_rules import Rule, constant

# A complex number as two nodes.
Pair = tuple[int, int]


def _rule(build: Callable[..., int], math: bool = False) -> Rule:
    """A rule whose `build` takes the builder and the parts of each operand."""
    return Rule("c", lambda e, *a: build(e, *[e.parts(x) for x in a]), math)


def _each(name: str) -> Rule:
    return _rule(lambda e, *a: e.complex(*[e.op(name, *part) for part in zip(*a, strict=True)]))


def product(e: Expressions, a: Pair, b: Pair) -> Pair:
    """a * b"""
    real = e.op("sub", e.op("mul", a[0], b[0]), e.op("mul", a[1], b[1]))
    return real, e.op("add", e.op("mul", a[0], b[1]), e.op("mul", a[1], b[0]))


def _quotient(e: Expressions, a: Pair, b: Pair) -> int:
    size = e.op("abs", b[0]), e.op("abs", b[1])
    wide = e.op("ge", *size)

    def chosen(yes: int, no: int) -> int:
        return e.select(wide, yes, no)

    large, small = chosen(b[0], b[1]), chosen(b[1], b[0])
    ratio = e.op("div", small, large)
    scale = e.op("div", constant(e, 1, large), e.op("add", large, e.op("mul", small, ratio)))
    main, other = chosen(a[0], a[1]), chosen(a[1], a[0])
    real = e.op("mul", e.op("add", main, e.op("mul", other, ratio)), scale)
    cross = e.op("mul", main, ratio)
    imag = e.op("mul", chosen(e.op("sub", other, cross), e.op("sub", cross, other)), scale)
    zero = constant(e, 0, large)
    none = e.op("and", e.op("eq", size[0], zero), e.op("eq", size[1], zero))
    return e.complex(e.select(none, e.op("div", a[0], size[0]), real), e.select(none, e.op("div", a[1], size[1]), imag))


def _reciprocal(e: Expressions, a: Pair) -> int:
    wide = e.op("le", e.op("abs", a[1]), e.op("abs", a[0]))
    large, small = e.select(wide, a[0], a[1]), e.select(wide, a[1], a[0])
    ratio = e.op("div", small, large)
    whole = e.op("add", large, e.op("mul", small, ratio))
    main, other = e.op("div", constant(e, 1, large), whole), e.op("div", ratio, whole)
    low = e.op("neg", e.select(wide, other, main))
    return e.complex(e.select(wide, main, other), low)


def _join(name: str, parts: Callable[[Expressions, int], int]) -> Rule:
    return _rule(lambda e, a: e.op(name, parts(e, a[0]), parts(e, a[1])))


def _truth(name: str) -> Rule:
    return Rule("c", lambda e, *a: e.op(name, *[e.cast(x, BOOL) for x in a]))


def _finite(e: Expressions, x: int) -> int:
    return e.op("lt", e.op("abs", x), constant(e, np.inf, x))


_multiply = _rule(lambda e, a, b: e.complex(*product(e, a, b)))
_conjugate = _rule(lambda e, a: e.complex(a[0], e.op("neg", a[1])))
_divide = _rule(_quotient)

COMPLEX: dict[str, Rule] = {
    "add": _each("add"),
    "subtract": _each("sub"),
    "negative": _each("neg"),
    "positive": Rule("c", lambda e, x: x),
    "conjugate": _conjugate,
    "conj": _conjugate,
    "multiply": _multiply,
    "square": _rule(lambda e, a: e.complex(*product(e, a, a))),
    "divide": _divide,
    "true_divide": _divide,
    "reciprocal": _rule(_reciprocal),
    "absolute": _rule(lambda e, a: e.call("hypot", *a), math=True),
    "equal": _rule(lambda e, a, b: e.op("and", e.op("eq", a[0], b[0]), e.op("eq", a[1], b[1]))),
    "not_equal": _rule(lambda e, a, b: e.op("or", e.op("ne", a[0], b[0]), e.op("ne", a[1], b[1]))),
    "logical_and": _truth("and"),
    "logical_or": _truth("or"),
    "logical_xor": _truth("xor"),
    "logical_not": _truth("not"),
    "isnan": _join("or", lambda e, x: e.op("ne", x, x)),
    "isinf": _join("or", lambda e, x: e.op("eq", e.op("abs", x), constant(e, np.inf, x))),
    "isfinite": _join("and", _finite),
}
