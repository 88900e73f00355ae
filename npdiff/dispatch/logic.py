"""Tests of elements that are not ufuncs, and bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.core import Primitive, aval
from npdiff.dispatch.declare import composite, direct, operand


@composite(np.iscomplex, cases=("C(3)", "A(3)", "C(2, 2) * [0, 1]"))
def iscomplex(x: Any) -> Any:
    x = operand(x)
    return np.not_equal(np.imag(x), 0) if aval(x).dtype.kind == "c" else np.zeros(aval(x).shape, bool)[()]


@composite(np.isreal, cases=("C(3)", "A(3)"))
def isreal(x: Any) -> Any:
    x = operand(x)
    return np.equal(np.imag(x), 0) if aval(x).dtype.kind == "c" else np.ones(aval(x).shape, bool)[()]


def _infinite(func: Any, negative: bool) -> None:
    def impl(x: Any, out: Any = None) -> Any:
        x = operand(x)
        if aval(x).dtype.kind == "c":
            func(np.zeros(1, complex))
        sign = np.signbit(x)
        return np.logical_and(np.isinf(x), sign if negative else np.logical_not(sign), **(
            {} if out is None else {"out": out}))

    composite(func, cases=("A(3)", "A(3) / [1, 1, np.inf] * [1, np.inf, 1]", "I(3)"))(impl)


_infinite(np.isposinf, False)
_infinite(np.isneginf, True)

for _func in (np.packbits, np.unpackbits):
    direct(_func, "nondifferentiable", Primitive(_func.__name__, _func, kind="nondifferentiable"), ("a",),
           cases=("B(9)", "B(2, 8), axis=1") if _func is np.packbits else ("I(4, high=200).astype(np.uint8)",))
