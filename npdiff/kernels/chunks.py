"""How a kernel's outermost loop is cut: into chunks that threads share, the same whatever their number.

A chunk is a run of turns of the outermost loop. Stores and reductions that keep its axis write to places
of their own; a reduction over it leaves one part per chunk, and the parts are joined in order. So results
do not depend on how many threads there are, or on which of them did what.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from npdiff.kernels.loop_ir import Kernel, levels
from npdiff.kernels.rows import SHORT

# Estimated nanoseconds: below the first a kernel runs in one go, without letting other threads in; the second is
# what one chunk should take.
LONG = 20_000.0
CHUNK = 10_000.0
# Chunks begin at multiples of this many elements of a row, so that vectors are not cut.
GRANULE = 1024
# The same for rows that are worked on together.
LANES = 16
MOST_CHUNKS = 256
# An element of a part costs memory and joining: a chunk has at least so many points for each.
POINTS_PER_PART = 8
# Bytes of a cache line.
_LINE = 64
# Nanoseconds per point, of vectors in the cache; whatever is not listed is an arithmetic operation.
_COSTS = {"call": 1.5, "div": 0.3, "sqrt": 0.4, "load": 0.1, "const": 0.0}
_ARITHMETIC, _STORE = 0.04, 0.1


@dataclass(frozen=True, slots=True)
class Work:
    """The outermost loop has `extent` turns, of which a chunk has `chunk`; a short kernel is not cut.

    `long`: let other Python threads run meanwhile. `wide`: several threads share the chunks. `parted`: output
    buffers of which every chunk leaves a part.
    """

    extent: int
    chunk: int
    long: bool = False
    wide: bool = False
    parted: frozenset[int] = frozenset()


def nanoseconds(kernel: Kernel) -> float:
    """A rough estimate of a kernel's time on one core."""
    each = _STORE * len(kernel.stores) + _ARITHMETIC * len(kernel.reductions)
    if kernel.rows is None:
        return points(kernel) * (each + sum(_COSTS.get(node.op, _ARITHMETIC) for node in kernel.nodes))
    level = levels(kernel)
    apart = [0.0, each]
    for n, node in enumerate(kernel.nodes):
        apart[node.op == "total" or level[n] > kernel.rows] += _COSTS.get(node.op, _ARITHMETIC)
    return points(kernel) * apart[1] + prod(kernel.sizes[:kernel.rows]) * apart[0]


def points(kernel: Kernel) -> int:
    """How often the kernel's nodes are evaluated."""
    return prod(kernel.sizes)


def part_bytes(size: int) -> int:
    """Bytes from one chunk's part of a result of this size to the next: no cache line is written by two threads."""
    return (-(-size // _LINE) + 1) * _LINE


def work_of(kernel: Kernel) -> Work:
    """How to cut a kernel."""
    extent = kernel.sizes[0] if kernel.sizes else 1
    total = nanoseconds(kernel)
    if total < LONG or not kernel.sizes or kernel.rows == 0:
        return Work(extent, extent)
    turns = max(1, int(extent * CHUNK / total), -(-extent // MOST_CHUNKS))
    if len(kernel.sizes) == 1:
        turns = -(-turns // GRANULE) * GRANULE
    elif kernel.rows == 1 or kernel.sizes[-1] <= SHORT:
        turns = -(-turns // LANES) * LANES
    parted = frozenset(r.access.buffer for r in kernel.reductions if 0 in r.axes)
    each = points(kernel) // extent
    for b in parted:
        turns = max(turns, -(-kernel.outputs[b].size * POINTS_PER_PART // each))
    if turns >= extent:
        return Work(extent, extent, long=True)
    return Work(extent, turns, long=True, wide=True, parted=parted)


__all__ = ["Work", "nanoseconds", "part_bytes", "points", "work_of"]
