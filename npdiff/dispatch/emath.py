"""np.emath: functions whose results become complex where real numbers leave the domain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.core import Handle, aval
from npdiff.dispatch.declare import composite, operand
from npdiff.dispatch.manipulation import cast
from npdiff.dispatch.operands import anywhere

_NOTES = "whether the result is complex is asked of the values"
# Kinds and sizes that become single precision.
_SINGLE = frozenset(np.dtype(c) for c in "fFbBhH")


def _array(x: Any) -> Any:
    """An operand as an array, whose dtype decides like any other's."""
    x = operand(x)
    if not isinstance(x, Handle):
        return np.asarray(x)
    return cast(x, aval(x).dtype) if aval(x).weak else x


def _widened(x: Any, outside: Callable[[Any], Any]) -> Any:
    """The operand as complex numbers, if one of its real numbers lies outside the domain."""
    x = _array(x)
    if aval(x).dtype.kind == "c" or not anywhere(outside(x)):
        return x
    return cast(x, np.complex64 if aval(x).dtype in _SINGLE else np.complex128)


def _below_zero(x: Any) -> Any:
    return np.less(x, 0)


def _beyond_one(x: Any) -> Any:
    return np.greater(np.absolute(x), 1)


def _enter(name: str, outside: Callable[[Any], Any], *cases: str) -> None:
    ufunc = getattr(np, name)

    @composite(f"emath.{name}", notes=_NOTES, cases=(*cases, "C(3)"))
    def function(x: Any) -> Any:
        return ufunc(_widened(x, outside))


for _name in ("sqrt", "log", "log2", "log10"):
    _enter(_name, _below_zero, "P(3)", "A(2, 3) - 0.1", "P()[()]", "-1.3 * P()[()]")
for _name in ("arcsin", "arccos", "arctanh"):
    _enter(_name, _beyond_one, "U(3)", "1.2 + P(2, 3)", "U()[()]")


@composite("emath.logn", notes=_NOTES, cases=("1.3 + P(3), P(3)", "2, A(2, 3)", "-1.7, P(3)"))
def logn(n: Any, x: Any) -> Any:
    return np.divide(np.log(_widened(x, _below_zero)), np.log(_widened(n, _below_zero)))


@composite("emath.power", notes=_NOTES,
           cases=("P(3), A(3)", "A(2, 3) - 0.1, 0.5", "I(3), 2", "I(3, low=1), -I(3)", "2, A(3)"))
def power(x: Any, p: Any) -> Any:
    p = _array(p)
    if aval(p).dtype.kind in "biu" and anywhere(np.less(p, 0)):
        p = np.multiply(p, 1.0)
    return np.power(_widened(x, _below_zero), p)


__all__: list[str] = []
