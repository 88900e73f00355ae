"""The table of `ufunc_rules` for the ufuncs of scipy.special, by the names of their rows; SciPy is not imported.

Formulas: NIST Digital Library of Mathematical Functions, chapters 4 to 7; S. Boyd and L. Vandenberghe, Convex
Optimization, for the entropies; G. E. P. Box and D. R. Cox, An Analysis of Transformations, 1964.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from npdiff.kernels.expressions import Expressions
from npdiff.kernels.ufunc_rules import Rule, called, constant


def _zero(e: Expressions, like: int) -> int:
    return constant(e, 0, like)


def _expit(e: Expressions, x: int) -> int:
    # Without overflow on the way: exp(-|x|) is at most 1.
    small, one = e.call("exp", e.op("neg", e.op("abs", x))), constant(e, 1, x)
    return e.op("div", e.select(e.op("lt", x, _zero(e, x)), small, one), e.op("add", one, small))


def _log_expit(e: Expressions, x: int) -> int:
    rest = e.call("log1p_exp", e.op("neg", e.op("abs", x)))
    return e.op("neg", e.op("add", e.op("maximum", e.op("neg", x), _zero(e, x)), rest))


def _times_log(log: str) -> Rule:
    """x log(y), and 0 at x = 0 unless y is NaN."""
    def build(e: Expressions, x: int, y: int) -> int:
        none = e.op("and", e.op("eq", x, _zero(e, x)), e.op("eq", y, y))
        return e.select(none, _zero(e, x), e.op("mul", x, e.call(log, y)))

    return Rule("f", build, math=True)


def _entr(e: Expressions, x: int) -> int:
    value = e.op("neg", e.op("mul", x, e.call("log", x)))
    value = e.select(e.op("eq", x, _zero(e, x)), _zero(e, x), value)
    return e.select(e.op("lt", x, _zero(e, x)), constant(e, -np.inf, x), value)


def _relative(e: Expressions, x: int, y: int, value: int, at_zero: int) -> int:
    """`value` for positive operands, `at_zero` at x = 0 and y >= 0, NaN with NaN, else infinity."""
    zero = _zero(e, x)
    ends = e.op("and", e.op("eq", x, zero), e.op("ge", y, zero))
    positive = e.op("and", e.op("gt", x, zero), e.op("gt", y, zero))
    out = e.select(positive, value, e.select(ends, at_zero, constant(e, np.inf, x)))
    return e.select(e.op("or", e.op("ne", x, x), e.op("ne", y, y)), e.op("add", x, y), out)


def _rel_entr(e: Expressions, x: int, y: int) -> int:
    return _relative(e, x, y, e.op("mul", x, e.call("log_ratio", x, y)), _zero(e, x))


def _kl_div(e: Expressions, x: int, y: int) -> int:
    value = e.op("add", e.op("sub", e.op("mul", x, e.call("log_ratio", x, y)), x), y)
    return _relative(e, x, y, value, y)


def _huber(e: Expressions, d: int, r: int) -> int:
    size, half = e.op("abs", r), constant(e, 0.5, r)
    far = e.op("mul", d, e.op("sub", size, e.op("mul", half, d)))
    value = e.select(e.op("le", size, d), e.op("mul", half, e.op("mul", r, r)), far)
    return e.select(e.op("lt", d, _zero(e, d)), constant(e, np.inf, r), value)


def _loggamma(e: Expressions, x: int) -> int:
    return e.select(e.op("lt", x, _zero(e, x)), constant(e, np.nan, x), e.call("lgamma", x))


def _rules() -> dict[str, Rule]:
    same = "cbrt exp2 exp10 expm1 log1p erf erfc erfcx ndtr log_ndtr logit i0 i1 i0e i1e".split()
    composed: dict[str, Callable[..., int]] = {
        "expit": _expit, "log_expit": _log_expit, "entr": _entr, "rel_entr": _rel_entr, "kl_div": _kl_div,
        "loggamma": _loggamma}
    found = {name: called(name) for name in same}
    found |= {"gammaln": called("lgamma"), "psi": called("digamma"), "xlogy": _times_log("log"),
              "xlog1py": _times_log("log1p"), "huber": Rule("f", _huber)}
    found |= {name: Rule("f", build, math=True) for name, build in composed.items()}
    return {f"scipy.special.{name}": rule for name, rule in found.items()}


SPECIAL = _rules()
