"""Kernels for inputs that are not contiguous: transposed, every other element, reversed, parts of larger arrays.

A kernel is compiled for C-contiguous inputs. Where one is laid out otherwise, either a copy of it is made
or the kernel is compiled once more with that layout's strides in its loads, whichever costs less: a copy
reads each element once, so it pays where elements are read several times with a stride. Layouts are those
of arrays of one shape, and a kernel has at most `MOST_VARIANTS` of them; further ones are copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from npdiff.kernels.chunks import points
from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Node, collapse, verify
from npdiff.kernels.places import unfold
from npdiff.kernels.views import View

MOST_VARIANTS = 8
# Nanoseconds per element: loaded in vectors, or one by one; stored; and of a call to copy an array.
_LOAD, _GATHER, _STORE, _CALL = 0.1, 0.5, 0.15, 500.0

# The strides of an array in bytes; None if it is C-contiguous.
Layout = tuple[int, ...] | None


def _moved(a: Access, sizes: tuple[int, ...], shape: tuple[int, ...], strides: tuple[int, ...]) -> Access | None:
    """A load from a C-contiguous array of `shape` as one from an array of these strides (in elements)."""
    box = tuple((0, n) for n in sizes) if a.within is None else a.within
    corner = a.offset + sum(s * low for s, (low, _) in zip(a.strides, box, strict=True))
    places = unfold(View(tuple(high - low for low, high in box), corner, a.strides), shape)
    if places is None:
        return None
    steps = [0] * len(sizes)
    offset = 0
    for (start, axis, step), stride in zip(places, strides, strict=True):
        offset += start * stride
        if axis >= 0:
            steps[axis] += step * stride
    offset -= sum(s * low for s, (low, _) in zip(steps, box, strict=True))
    return Access(a.buffer, offset, tuple(steps), a.within)


def _block(old: Buffer, shape: tuple[int, ...], strides: tuple[int, ...]) -> Buffer:
    ends = [s * (n - 1) for s, n in zip(strides, shape, strict=True)]
    before = -sum(min(0, e) for e in ends)
    return Buffer(old.dtype, before + sum(max(0, e) for e in ends) + 1, before)


def _count(a: Access, kernel: Kernel) -> int:
    if a.within is None:
        return points(kernel)
    count = 1
    for low, high in a.within:
        count *= high - low
    return count


def _each(a: Access) -> float:
    return _LOAD if not a.strides or a.strides[-1] in (0, 1, -1) else _GATHER


def for_layouts(kernel: Kernel, shapes: Sequence[tuple[int, ...]],
                layouts: Sequence[Layout]) -> tuple[Kernel, list[int]]:
    """The kernel that takes inputs of these layouts, and which of them it takes as copies.

    `kernel` is for C-contiguous inputs of `shapes`, its axes not merged.
    """
    buffers = list(kernel.inputs)
    nodes = list(kernel.nodes)
    copied: list[int] = []
    for b, (shape, layout) in enumerate(zip(shapes, layouts, strict=True)):
        if layout is None:
            continue
        size = kernel.inputs[b].dtype.itemsize
        strides = tuple(s // size for s in layout)
        loads = [k for k, n in enumerate(nodes) if n.op == "load" and n.data.buffer == b]
        moved = [_moved(nodes[k].data, kernel.sizes, shape, strides) for k in loads]
        direct = sum(_count(a, kernel) * _each(a) for a in moved if a is not None)
        inner = next((s for n, s in zip(shape[::-1], strides[::-1], strict=True) if n > 1), 1)
        copy = _CALL + kernel.inputs[b].size * ((_LOAD if abs(inner) < 2 else _GATHER) + _STORE)
        copy += sum(_count(nodes[k].data, kernel) * _each(nodes[k].data) for k in loads)
        if None in moved or any(s % size for s in layout) or direct > copy:
            copied.append(b)
            continue
        buffers[b] = _block(buffers[b], shape, strides)
        for k, a in zip(loads, moved, strict=True):
            nodes[k] = Node("load", nodes[k].dtype, (), a)
    made = collapse(replace(kernel, inputs=tuple(buffers), nodes=tuple(nodes)))
    verify(made)
    return made, copied


__all__ = ["MOST_VARIANTS", "Layout", "for_layouts"]
