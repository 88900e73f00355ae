"""Which axis of a kernel is the innermost loop: the one along which most of its accesses lie in a row.

Vectors are loaded and stored along the innermost axis; an access that moves there with a stride goes
element by element.
"""

from __future__ import annotations

from npdiff.kernels.loop_ir import Access, Kernel, accesses, turned

# Nanoseconds per element that is read or written in vectors, and one by one.
IN_ROW, APART = 0.1, 0.5
# Another order has to be better by this factor: rows are what caches and pages like.
_BETTER = 0.75


def count(a: Access, kernel: Kernel) -> int:
    """At how many points of a kernel an access touches memory."""
    points = 1
    for low, high in a.within or [(0, n) for n in kernel.sizes]:
        points *= high - low
    return points


def cost(kernel: Kernel, axis: int = -1) -> float:
    """Nanoseconds that a kernel's accesses take with this axis innermost."""
    return sum(count(a, kernel) * (IN_ROW if not a.strides or abs(a.strides[axis]) < 2 else APART)
               for a in accesses(kernel))


def ordered(kernel: Kernel) -> Kernel:
    """The kernel with the best axis innermost; reductions that keep an axis stay as they are."""
    depth = len(kernel.sizes)
    if depth < 2 or kernel.rows is not None or any(len(r.axes) < depth for r in kernel.reductions):
        return kernel
    best = min(range(depth - 1, -1, -1), key=lambda axis: cost(kernel, axis))
    if best == depth - 1 or cost(kernel, best) > _BETTER * cost(kernel):
        return kernel
    return turned(kernel, [axis for axis in range(depth) if axis != best] + [best])


__all__ = ["APART", "IN_ROW", "cost", "count", "ordered"]
