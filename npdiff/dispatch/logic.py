"""Tests of elements that are not ufuncs, and bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.core import Primitive, aval, bind
from npdiff.dispatch.declare import composite, function, operand, static


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

packbits_p = Primitive("packbits", np.packbits, kind="nondifferentiable")
unpackbits_p = Primitive("unpackbits", np.unpackbits, kind="nondifferentiable")


@function(np.packbits, "nondifferentiable", packbits_p, cases=("B(9)", "B(2, 8), axis=1"))
def packbits(a: Any, /, axis: Any = None, bitorder: Any = "big") -> Any:
    return bind(packbits_p, (operand(a),), {"axis": static(axis), "bitorder": bitorder})


@function(np.unpackbits, "nondifferentiable", unpackbits_p, cases=("I(4, high=200).astype(np.uint8)",))
def unpackbits(a: Any, /, axis: Any = None, count: Any = None, bitorder: Any = "big") -> Any:
    return bind(unpackbits_p, (operand(a),), {"axis": static(axis), "count": static(count), "bitorder": bitorder})
