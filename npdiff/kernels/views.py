"""Views as index maps: which element of a C-contiguous array each element of a view is.

The rules are NumPy's own for views that need no copy. A rule answers None where there is no such
view, or where a parameter is not understood; the equation is then left to NumPy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple


class View(NamedTuple):
    """Element ``offset + sum(index * stride)`` of the array below, counted in elements."""

    shape: tuple[int, ...]
    offset: int
    strides: tuple[int, ...]


# A graph has many arrays but few shapes.
@lru_cache(maxsize=1024)
def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in elements, of a C-contiguous array."""
    strides = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


@lru_cache(maxsize=1024)
def whole(shape: tuple[int, ...]) -> View:
    """An array seen as itself."""
    return View(shape, 0, contiguous(shape))


def _broadcast_to(v: View, shape: tuple[int, ...]) -> View | None:
    new = len(shape) - len(v.shape)
    if new < 0 or any(a not in (1, b) for a, b in zip(v.shape, shape[new:], strict=True)):
        return None
    kept = [0 if a == 1 else s for a, s in zip(v.shape, v.strides, strict=True)]
    return View(shape, v.offset, (0,) * new + tuple(kept))


def _transpose(v: View, axes: tuple[int, ...]) -> View | None:
    if sorted(axes) != list(range(len(v.shape))):
        return None
    return View(tuple(v.shape[a] for a in axes), v.offset, tuple(v.strides[a] for a in axes))


def _reshape(v: View, shape: tuple[int, ...]) -> View | None:
    if 0 in v.shape:
        return None  # there is nothing to walk
    # Runs of axes that are walked as one are cut anew; a new axis may not straddle two runs.
    runs: list[list[int]] = []
    for n, s in zip(v.shape, v.strides, strict=True):
        if n == 1:
            continue
        if runs and runs[-1][1] == s * n:
            runs[-1] = [runs[-1][0] * n, s]
        else:
            runs.append([n, s])
    strides = []
    at = len(runs) - 1
    left, step = runs[at] if runs else (1, 1)
    for n in reversed(shape):
        if n == 1:
            strides.append(0)
            continue
        if left == 1:
            at -= 1
            if at < 0:
                return None
            left, step = runs[at]
        if left % n:
            return None
        strides.append(step)
        left //= n
        step *= n
    if left != 1 or at > 0:
        return None
    return View(shape, v.offset, tuple(reversed(strides)))


def _getitem(v: View, index: Any) -> View | None:
    items = index if isinstance(index, tuple) else (index,)
    if not all(i is None or i is Ellipsis or type(i) in (int, slice) for i in items):
        return None
    if sum(i is Ellipsis for i in items) > 1:
        return None
    rest = len(v.shape) - sum(type(i) in (int, slice) for i in items)
    if rest < 0:
        return None
    if Ellipsis not in items:
        items = (*items, Ellipsis)
    shape: list[int] = []
    strides: list[int] = []
    offset, axis = v.offset, 0
    for i in items:
        if i is None:
            shape.append(1)
            strides.append(0)
        elif i is Ellipsis:
            shape += v.shape[axis:axis + rest]
            strides += v.strides[axis:axis + rest]
            axis += rest
        elif isinstance(i, slice):
            n, s = v.shape[axis], v.strides[axis]
            points = range(*i.indices(n))
            offset += (points.start if len(points) else 0) * s
            shape.append(len(points))
            strides.append(s * points.step)
            axis += 1
        else:
            n = v.shape[axis]
            if not -n <= i < n:
                return None
            offset += (i % n) * v.strides[axis]
            axis += 1
    return View(tuple(shape), offset, tuple(strides))


def _diagonal(v: View, offset: int, i: int, j: int) -> View | None:
    n = len(v.shape)
    if i == j or not (0 <= i < n and 0 <= j < n):
        return None
    down, right = max(-offset, 0), max(offset, 0)
    length = max(0, min(v.shape[i] - down, v.shape[j] - right))
    kept = [k for k in range(n) if k not in (i, j)]
    start = v.offset + (down * v.strides[i] + right * v.strides[j] if length else 0)
    return View((*[v.shape[k] for k in kept], length), start,
                (*[v.strides[k] for k in kept], v.strides[i] + v.strides[j]))


def apply(name: str, v: View, params: dict[str, Any]) -> View | None:
    """The view that primitive `name` makes of `v`, or None."""
    match name, params:
        case "broadcast_to", {"shape": tuple(shape), **rest} if not rest:
            return _broadcast_to(v, shape)
        case "reshape", {"shape": tuple(shape), **rest} if not rest:
            return _reshape(v, shape)
        case "transpose", {"axes": tuple(axes), **rest} if not rest:
            return _transpose(v, axes)
        case "getitem", {"index": index, **rest} if not rest:
            return _getitem(v, index)
        case "diagonal", {"offset": int(offset), "axes": (int(i), int(j)), **rest} if not rest:
            return _diagonal(v, offset, i, j)
    return None
