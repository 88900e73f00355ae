"""Equations that pick elements by arrays of integers: loads whose place moves with values.

Such a load stays inside its buffer whatever the integers are. That they lie within the axes they index is for the
backend to check, as NumPy would raise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from npdiff.graph import Equation, Literal, Slot, Var
from npdiff.kernels.classify import storable
from npdiff.kernels.views import View, whole


@dataclass(frozen=True, slots=True)
class Gather:
    """Which element of the array below an operand each element of a result is.

    `view`: what does not depend on the integers, over the result's axes. The arrays of integers are broadcast to the
    `count` axes of the result from `first` on; `steps` says for each what one more is in the array below, and how long
    the axis is that it indexes.
    """

    view: View
    first: int
    count: int
    steps: tuple[tuple[int, int], ...]


def gather(eq: Equation, below: View | None = None) -> Gather | None:
    """What an equation gathers, if it does nothing else; `below` is its first operand as a view of an array."""
    prim = eq.prim
    if prim.ordered or prim.multiple or prim.dynamic or eq.regions or len(eq.outputs) != 1 or len(eq.inputs) < 2:
        return None
    if isinstance(eq.inputs[0], Literal) or not all(storable(a.aval) for a in [*eq.inputs, *eq.outputs]):
        return None
    if any(a.aval.dtype.kind not in "iu" or a.aval.weak for a in eq.inputs[1:]):
        return None
    if eq.inputs[0].aval.dtype != eq.outputs[0].aval.dtype:
        return None
    table = whole(eq.inputs[0].aval.shape) if below is None else below
    if prim.name == "getitem":
        return _picked(eq, table)
    return _along(eq, table) if prim.name in ("permute_along", "choose_along") else None


def limits(eq: Equation) -> list[tuple[Var, int]]:
    """The integers of a gather, and the length of the axis that each indexes."""
    found = gather(eq)
    assert found is not None, "the equation is a gather"
    return [(a, n) for a, (_, n) in zip(eq.inputs[1:], found.steps, strict=True) if isinstance(a, Var)]


def _along(eq: Equation, table: View) -> Gather | None:
    axis: Any = eq.params.get("axis")
    rank = len(table.shape)
    if eq.params.keys() != {"axis"} or type(axis) is not int or not -rank <= axis < rank or len(eq.inputs) != 2:
        return None
    axis %= rank
    out = eq.outputs[0].aval.shape
    step = (table.strides[axis], table.shape[axis])
    strides = list(table.strides)
    if eq.prim.name == "choose_along":
        del strides[axis]
    else:
        strides[axis] = 0
    if len(out) != len(strides) or eq.inputs[1].aval.shape != out:
        return None
    return Gather(View(out, table.offset, tuple(strides)), 0, len(out), (step,))


def _picked(eq: Equation, table: View) -> Gather | None:
    """NumPy's index: numbers count as arrays beside arrays, whose axes go first if others stand between them."""
    index: Any = eq.params.get("index")
    if eq.params.keys() != {"index"} or type(index) is not tuple:
        return None
    if not all(i is None or i is Ellipsis or type(i) in (int, slice, Slot) for i in index):
        return None
    if [i.number for i in index if type(i) is Slot] != list(range(len(eq.inputs) - 1)) or index.count(Ellipsis) > 1:
        return None
    rest = len(table.shape) - sum(type(i) in (int, slice, Slot) for i in index)
    if rest < 0:
        return None
    advanced = [k for k, i in enumerate(index) if type(i) in (int, Slot)]
    apart = advanced != list(range(advanced[0], advanced[-1] + 1))
    count = max(len(a.aval.shape) for a in eq.inputs[1:])
    shape: list[int] = []
    strides: list[int] = []
    steps: list[tuple[int, int]] = []
    offset, axis, first = table.offset, 0, 0
    for k, i in enumerate(index if Ellipsis in index else (*index, Ellipsis)):
        if not apart and advanced[0] == k:
            first = len(shape)
        if i is None:
            shape.append(1)
            strides.append(0)
            continue
        if i is Ellipsis:
            shape += table.shape[axis:axis + rest]
            strides += table.strides[axis:axis + rest]
            axis += rest
            continue
        n, s = table.shape[axis], table.strides[axis]
        axis += 1
        if isinstance(i, slice):
            points = range(*i.indices(n))
            offset += (points.start if len(points) else 0) * s
            shape.append(len(points))
            strides.append(s * points.step)
        elif type(i) is int:
            if not -n <= i < n:
                return None
            offset += (i % n) * s
        else:
            steps.append((s, n))
    out = eq.outputs[0].aval.shape
    view = View(out, offset, (*strides[:first], *[0] * count, *strides[first:]))
    if len(view.strides) != len(out) or (*out[:first], *out[first + count:]) != tuple(shape):
        return None
    return Gather(view, first, count, tuple(steps))


__all__ = ["Gather", "gather", "limits"]
