"""Kernels for inputs that are not contiguous: transposed, every other element, reversed, parts of larger arrays.

A kernel is compiled for C-contiguous inputs. Where one is laid out otherwise, either a copy of it is made
or the kernel is compiled once more with that layout's strides in its loads, whichever costs less: a copy
reads each element once, so it pays where elements are read several times with a stride. Layouts are those
of arrays of one shape, and a kernel has at most `MOST_VARIANTS` of them; further ones are copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Node, collapse, verify
from npdiff.kernels.order import APART, IN_ROW, cost, ordered
from npdiff.kernels.places import unfold
from npdiff.kernels.views import View

MOST_VARIANTS = 8
# Nanoseconds of a copy: each element stored in new memory, and the call.
_STORE, _CALL = 0.15, 500.0

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


def for_layouts(kernel: Kernel, shapes: Sequence[tuple[int, ...]],
                layouts: Sequence[Layout]) -> tuple[Kernel, list[int]]:
    """The kernel that takes inputs of these layouts, and which of them it takes as copies.

    `kernel` is for C-contiguous inputs of `shapes`, its axes not merged.
    """
    copied: list[int] = []
    for b, (shape, layout) in enumerate(zip(shapes, layouts, strict=True)):
        if layout is None:
            continue
        direct = _direct(kernel, b, shape, layout)
        size = kernel.inputs[b].dtype.itemsize
        inner = next((s for n, s in zip(shape[::-1], layout[::-1], strict=True) if n > 1), size)
        each = (IN_ROW if abs(inner) <= size else APART) + _STORE
        if direct is None or cost(ordered(direct)) > cost(ordered(kernel)) + _CALL + kernel.inputs[b].size * each:
            copied.append(b)
        else:
            kernel = direct
    made = collapse(ordered(kernel))
    verify(made)
    return made, copied


def _direct(kernel: Kernel, b: int, shape: tuple[int, ...], layout: tuple[int, ...]) -> Kernel | None:
    """The kernel that reads input `b` where it lies; None if that is not possible."""
    size = kernel.inputs[b].dtype.itemsize
    if any(s % size for s in layout):
        return None
    strides = tuple(s // size for s in layout)
    nodes = list(kernel.nodes)
    for k, n in enumerate(nodes):
        if n.op == "load" and n.data.buffer == b:
            a = _moved(n.data, kernel.sizes, shape, strides)
            if a is None:
                return None
            nodes[k] = Node("load", n.dtype, (), a)
    inputs = (*kernel.inputs[:b], _block(kernel.inputs[b], shape, strides), *kernel.inputs[b + 1:])
    return replace(kernel, inputs=inputs, nodes=tuple(nodes))


__all__ = ["MOST_VARIANTS", "Layout", "for_layouts"]
