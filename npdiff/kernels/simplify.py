"""Graph to smaller graph: dead code, common subexpressions, constants computed ahead of time.

Only exact steps are taken: the simplified graph gives the same bits. Equations of ordered
primitives are never dropped or merged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.avals import Aval
from npdiff.graph import Atom, Equation, Graph, Literal, Var, prune
from npdiff.kernels import views


def _literal_key(a: Literal) -> Any:
    value = a.value
    if isinstance(value, np.generic):
        return (value.dtype, value.tobytes())
    if isinstance(value, (float, complex)):
        return (type(value), np.asarray(value).tobytes())
    return (type(value), value)


def _param_key(value: Any) -> Any:
    """A hashable stand-in; what is not understood stands only for itself."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return (type(value), repr(value))
    if isinstance(value, tuple):
        return ("tuple", *[_param_key(v) for v in value])
    if isinstance(value, slice):
        return ("slice", _param_key(value.start), _param_key(value.stop), _param_key(value.step))
    if isinstance(value, np.dtype):
        return ("dtype", value)
    return ("object", id(value))


def _fold(eq: Equation) -> Literal | None:
    """The value of an elementwise equation over literals, where computing it raises no flag."""
    if eq.prim.kind != "elementwise" or eq.prim.ufunc is None or eq.params or len(eq.outputs) != 1:
        return None
    values = [a.value for a in eq.inputs if isinstance(a, Literal)]
    if len(values) != len(eq.inputs):
        return None
    try:
        with np.errstate(all="raise"):
            out = eq.prim.ufunc(*values)
    except (ArithmeticError, ValueError, TypeError):
        return None
    if not isinstance(out, np.generic):
        return None
    literal = Literal(out)
    return literal if literal.aval == eq.outputs[0].aval else None


def _same_as(eq: Equation) -> Atom | None:
    """The operand that the equation's result is equal to, bit for bit."""
    out: Aval = eq.outputs[0].aval
    if eq.params or len(eq.inputs) != 2 or len(eq.outputs) != 1 or out.dtype.kind not in "iuf":
        return None
    left, right = eq.inputs

    def unit(a: Atom) -> bool:
        return isinstance(a, Literal) and a.aval.dtype.kind in "iuf" and bool(a.value == 1)

    if eq.prim.ufunc is np.multiply and left.aval == out and unit(right):
        return left
    if eq.prim.ufunc is np.multiply and right.aval == out and unit(left):
        return right
    if eq.prim.ufunc is np.divide and left.aval == out and unit(right):
        return left
    return None


def window(eq: Equation) -> views.View | None:
    """What a `getitem` reads, or a `setitem` writes, of its first operand, if that is a view of it."""
    if eq.prim.name not in ("getitem", "setitem") or eq.prim.multiple or eq.prim.dynamic or eq.regions:
        return None
    if len(eq.inputs) != 1 + (eq.prim.name == "setitem") or len(eq.outputs) != 1:
        return None
    return views.apply("getitem", views.whole(eq.inputs[0].aval.shape), eq.params)


def _moved(eq: Equation, made: dict[Var, Equation]) -> Atom | None:
    """What the result of a write or of a read of what was written is already called."""
    at = window(eq)
    if at is None:
        return None
    out = eq.outputs[0].aval
    x = eq.inputs[0]
    before = made.get(x) if isinstance(x, Var) else None
    written = before.inputs[1] if before and before.prim.name == "setitem" and window(before) == at else None
    if eq.prim.name == "getitem":
        return written if written is not None and written.aval == out else None
    value = eq.inputs[1]
    if value.aval == out and at == views.whole(out.shape):
        return value
    read = made.get(value) if isinstance(value, Var) else None
    same = read is not None and read.prim.name == "getitem" and read.inputs[0] is x and window(read) == at
    return x if (same or written is value) and x.aval == out else None


def simplify(graph: Graph) -> Graph:
    """The same function with no equation computed twice or in vain."""
    became: dict[Var, Atom] = {}
    made: dict[Var, Equation] = {}
    known: dict[Any, Equation] = {}
    kept: list[Equation] = []

    def current(a: Atom) -> Atom:
        return became.get(a, a) if isinstance(a, Var) else a

    def key(a: Atom) -> Any:
        return a if isinstance(a, Var) else _literal_key(a)

    for old in prune(graph).equations:
        eq = Equation(old.prim, [current(a) for a in old.inputs], old.params, old.outputs, old.source, old.regions)
        if not eq.prim.ordered and not eq.regions and eq.outputs:
            value = _fold(eq) or _same_as(eq) or _moved(eq, made)
            if value is not None:
                became[eq.outputs[0]] = value
                continue
            params = tuple((k, _param_key(v)) for k, v in sorted(eq.params.items()))
            same = known.setdefault((id(eq.prim), tuple(key(a) for a in eq.inputs), params), eq)
            if same is not eq and [v.aval for v in same.outputs] == [v.aval for v in eq.outputs]:
                became.update(zip(eq.outputs, same.outputs, strict=True))
                continue
        kept.append(eq)
        made.update(dict.fromkeys(eq.outputs, eq))
    return prune(Graph(graph.inputs, graph.constants, kept, [current(a) for a in graph.outputs]))
