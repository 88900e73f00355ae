"""Equations that put arrays side by side or one into another: writes into windows, and concatenation.

Their result is a case distinction by the index alone, so a kernel can compute it point by point, and
what reads it can compute it anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from npdiff.graph import Atom, Equation
from npdiff.kernels.classify import castable, squeezed, storable
from npdiff.kernels.places import Place, Places, Ranges


@dataclass(frozen=True, slots=True)
class Part:
    """Operand `source` stands where the index lies in `ranges`, along the result's axes `kept` of its own."""

    source: int
    ranges: Ranges
    kept: tuple[int, ...]

    def places(self, places: Places, shape: tuple[int, ...]) -> Places:
        """Where the operand, of `shape`, is read for the result at `places`."""
        made = []
        for n, k in zip(shape, self.kept[len(self.kept) - len(shape):], strict=True):
            start, axis, step = places[k]
            made.append(Place(0) if n == 1 else Place(start - self.ranges[k][0], axis, step))
        return tuple(made)

    def share(self, shape: tuple[int, ...]) -> float:
        """The part's share of the result's elements."""
        share = 1.0
        for n, (low, high) in zip(shape, self.ranges, strict=True):
            share *= (high - low) / n
        return share


@dataclass(frozen=True, slots=True)
class Placement:
    """The result of an equation: its parts, and operand `base` where there is none of them.

    Without a base, the last part stands wherever the others do not.
    """

    parts: tuple[Part, ...]
    base: int | None


def placement(eq: Equation) -> Placement | None:
    """What an equation places where, if it does nothing else; None for all others."""
    prim = eq.prim
    if prim.ordered or prim.multiple or prim.dynamic or eq.regions or len(eq.outputs) != 1:
        return None
    out = eq.outputs[0].aval
    if out.weak or not squeezed(out.shape) or not all(storable(a.aval) for a in [*eq.inputs, *eq.outputs]):
        return None
    if not all(castable(a, out.dtype) for a in eq.inputs):
        return None
    if prim.name == "setitem":
        return _write(eq)
    return _joined(eq.inputs, out.shape, eq.params) if prim.name == "concatenate" else None


def _write(eq: Equation) -> Placement | None:
    shape = eq.outputs[0].aval.shape
    if len(eq.inputs) != 2 or eq.inputs[0].aval.shape != shape or eq.params.keys() != {"index"}:
        return None
    index = eq.params["index"]
    items = index if isinstance(index, tuple) else (index,)
    given = [i for i in items if i is not Ellipsis]
    if not all(type(i) in (int, slice) for i in given) or len(given) < len(items) - 1 or len(given) > len(shape):
        return None
    at = next((k for k, i in enumerate(items) if i is Ellipsis), len(given))
    items = (*given[:at], *[slice(None)] * (len(shape) - len(given)), *given[at:])
    ranges: list[tuple[int, int]] = []
    kept: list[int] = []
    for axis, (n, i) in enumerate(zip(shape, items, strict=True)):
        if isinstance(i, slice):
            points = range(*i.indices(n))
            if points.step != 1 or not points:
                return None
            ranges.append((points.start, points.stop))
            kept.append(axis)
        elif -n <= i < n:
            ranges.append((i % n, i % n + 1))
        else:
            return None
    value = eq.inputs[1].aval.shape
    window = [ranges[k][1] - ranges[k][0] for k in kept]
    if len(value) > len(window) or any(n not in (1, w) for n, w in zip(value[::-1], window[::-1], strict=False)):
        return None
    return Placement((Part(1, tuple(ranges), tuple(kept)),), 0)


def _joined(inputs: list[Atom], shape: tuple[int, ...], params: dict[str, object]) -> Placement | None:
    axis = params.get("axis")
    if params.keys() != {"axis"} or type(axis) is not int or not 0 <= axis < len(shape) or len(inputs) < 2:
        return None
    parts = []
    low = 0
    for k, a in enumerate(inputs):
        n = a.aval.shape[axis]
        ranges = [(0, m) for m in shape]
        ranges[axis] = (low, low + n)
        parts.append(Part(k, tuple(ranges), tuple(range(len(shape)))))
        low += n
    return Placement(tuple(parts), None)


__all__ = ["Part", "Placement", "placement"]
