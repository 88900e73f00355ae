"""Index maps axis by axis: where along each axis of an array every point of an iteration space looks.

A flat map (`views.View`) says which element is read and is enough to load it. To compute the element
instead of loading it, one has to know its index along every axis: that is a `Place` per axis.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from npdiff.kernels.loop_ir import Ranges
from npdiff.kernels.views import View, contiguous


class Place(NamedTuple):
    """Index ``start + step * i`` along one axis, where i is the index of axis `axis` of the space; -1 for none."""

    start: int
    axis: int = -1
    step: int = 0


Places = tuple[Place, ...]

_FIRST = Place(0)


@lru_cache(maxsize=1024)
def identity(shape: tuple[int, ...]) -> Places:
    """Each point of the squeezed space of `shape` at its own element."""
    places = []
    axis = 0
    for n in shape:
        places.append(_FIRST if n == 1 else Place(0, axis, 1))
        axis += n != 1
    return tuple(places)


@lru_cache(maxsize=4096)
def unfold(view: View, shape: tuple[int, ...]) -> Places | None:
    """The places along the axes of an array of `shape` that a view of it looks at; None if a view's axis needs two.

    Axes of the space are those of the view.
    """
    steps = contiguous(shape)
    starts, rest = [], view.offset
    for step in steps:
        starts.append(rest // step)
        rest %= step
    places = [Place(s) for s in starts]
    for axis, (n, stride) in enumerate(zip(view.shape, view.strides, strict=True)):
        if n == 1 or stride == 0:
            continue
        k = next((k for k, step in enumerate(steps) if shape[k] > 1 and abs(stride) >= step), None)
        if k is None or stride % steps[k] or places[k].axis >= 0:
            return None
        step = stride // steps[k]
        if not 0 <= starts[k] + step * (n - 1) < shape[k]:
            return None
        places[k] = Place(starts[k], axis, step)
    return tuple(places)


def compose(outer: Places, inner: Places) -> Places:
    """`outer` seen through `inner`: its axes are those that `inner` has a place for."""
    made = []
    for start, axis, step in outer:
        if axis < 0:
            made.append(Place(start))
        else:
            below = inner[axis]
            at, both = start + step * below.start, step * below.step
            made.append(Place(at, below.axis, both) if both else Place(at))
    return tuple(made)


@lru_cache(maxsize=4096)
def aligned(places: Places, shape: tuple[int, ...]) -> Places:
    """The places along an operand's axes, which is broadcast to an array of which `places` are given."""
    return tuple([_FIRST if n == 1 else p for n, p in zip(shape, places[len(places) - len(shape):], strict=True)])


def reach(place: Place, low: int, high: int, domain: tuple[int, int]) -> tuple[int, int]:
    """Where along the place's axis, inside `domain`, its index lies in ``range(low, high)``."""
    start, _, step = place
    if step > 0:
        first, last = -((start - low) // step), -((start - high) // step)
    else:
        first, last = (start - high) // -step + 1, (start - low) // -step + 1
    first = max(domain[0], first)
    return first, max(first, min(domain[1], last))


__all__ = ["Place", "Places", "Ranges", "aligned", "compose", "identity", "reach", "unfold"]
