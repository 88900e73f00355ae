"""argmax and argmin as reductions that kernels have: the least place at which the extremum stands.

The two take part in fusion then, and along any axis. NaN is the extremum of what holds one, as for NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.avals import Aval
from npdiff.core import Primitive
from npdiff.graph import Atom, Equation, Graph, Var
from npdiff.kernels.promote import cast_p


def _positions(*, shape: tuple[int, ...], dtype: Any) -> Any:
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


def _marked(x: Any, extremum: Any, positions: Any, *, beyond: int) -> Any:
    return np.where((x == extremum) | (x != x), positions, np.array(beyond, positions.dtype))


# An array in which each element is its own place; `marked`, these places where x is the extremum or NaN, else `beyond`.
positions_p = Primitive("positions", _positions, total=True)
marked_p = Primitive("marked", _marked, kind="elementwise", total=True)
_REDUCED = {name: Primitive(name, getattr(np, name), total=True) for name in ("max", "min")}


def spelled_out(graph: Graph) -> Graph:
    """The same graph, with first extrema as reductions."""
    equations: list[Equation] = []
    for eq in graph.equations:
        name = {"argmax": "max", "argmin": "min"}.get(eq.prim.name)
        if name is not None and _understood(eq):
            equations += _spelled_out(eq, name)
        else:
            equations.append(eq)
    return Graph(graph.inputs, graph.constants, equations, graph.outputs)


def _understood(eq: Equation) -> bool:
    if len(eq.inputs) != 1 or len(eq.outputs) != 1 or eq.params.keys() != {"axis"} or eq.regions:
        return False
    x, axis = eq.inputs[0].aval, eq.params["axis"]
    if type(axis) is not int or not 0 <= axis < x.ndim or x.weak or not isinstance(eq.inputs[0], Var):
        return False
    # One element is NumPy's: it takes less than the calls of kernels.
    return x.size > 1 and x.dtype.kind in "biuf" and x.dtype.itemsize <= 8 and x.dtype.isnative \
        and eq.outputs[0].aval.dtype == np.dtype(np.intp)


def _spelled_out(eq: Equation, name: str) -> list[Equation]:
    x: Atom = eq.inputs[0]
    axis: int = eq.params["axis"]
    made: list[Equation] = []

    def put(prim: Primitive, inputs: list[Atom], params: dict[str, Any], aval: Aval) -> Var:
        made.append(Equation(prim, inputs, params, [Var(aval)], eq.source))
        return made[-1].outputs[0]

    shape, dtype = x.aval.shape, x.aval.dtype
    # Types that kernels do not reduce, in others that hold their values.
    wider = np.dtype({"?": np.uint8, "e": np.float32}.get(dtype.char, dtype))
    if wider != dtype:
        x = put(cast_p, [x], {"dtype": wider}, Aval(shape, wider))
    n = shape[axis]
    # Places as wide as the numbers where they fit, so that a vector holds as many of both.
    places = np.dtype(np.int32 if n < np.iinfo(np.int32).max else np.int64)
    kept = (*shape[:axis], 1, *shape[axis + 1:])
    along = tuple([size if k == axis else 1 for k, size in enumerate(shape)])
    extremum = put(_REDUCED[name], [x], {"axis": (axis,), "keepdims": True}, Aval(kept, x.aval.dtype))
    where = put(positions_p, [], {"shape": along, "dtype": places}, Aval(along, places))
    marked = put(marked_p, [x, extremum, where], {"beyond": n}, Aval(shape, places))
    first = put(_REDUCED["min"], [marked], {"axis": (axis,), "keepdims": False}, Aval(eq.outputs[0].aval.shape, places))
    made.append(Equation(cast_p, [first], {"dtype": eq.outputs[0].aval.dtype}, eq.outputs, eq.source))
    return made


__all__ = ["marked_p", "positions_p", "spelled_out"]
