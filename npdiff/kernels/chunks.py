"""How a kernel's outermost loop is cut: into chunks that threads share, the same whatever their number.

A chunk is a run of turns of the outermost loop. Stores and reductions that keep its axis write to places
of their own; a reduction over it leaves one part per chunk, and the parts are joined in order. So results
do not depend on how many threads there are, or on which of them did what.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from npdiff.kernels.loop_ir import Kernel, Ranges, levels
from npdiff.kernels.rows import SHORT

# Estimated nanoseconds: below the first a kernel runs in one go, without letting other threads in; the second is
# what one chunk should take. To wake another thread and to wait for it took 15 microseconds.
LONG = 30_000.0
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
# Nanoseconds per point, of vectors of float64 in the cache; whatever is not listed is an arithmetic operation.
_COSTS = {"call": 1.5, "div": 0.3, "sqrt": 0.4, "load": 0.1, "const": 0.0}
_ARITHMETIC, _STORE = 0.04, 0.1
_WIDE = 8


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
    depth = len(kernel.sizes)
    level = [depth if node.op == "total" else at for node, at in zip(kernel.nodes, levels(kernel), strict=True)]
    inside = [node.dtype.itemsize for node, at in zip(kernel.nodes, level, strict=True) if at == depth]
    # More numbers of fewer bytes fit into a vector; outside of the innermost loop there is one.
    narrow = max(inside, default=_WIDE) / _WIDE
    total = points(kernel) * narrow * (_STORE * len(kernel.stores) + _ARITHMETIC * len(kernel.reductions))
    for node, at, share in zip(kernel.nodes, level, _shares(kernel), strict=True):
        cost = _COSTS.get(node.op, _ARITHMETIC) * (narrow if at == depth else 1)
        total += share * cost * prod(kernel.sizes[:at])
    return total


def _shares(kernel: Kernel) -> list[float]:
    """For each node the share of the points that need it; boxes of a guarded kernel need different ones."""
    every = points(kernel)
    shares = [0.0] * len(kernel.nodes)

    def needed(n: int, share: float) -> None:
        shares[n] = max(shares[n], share)

    for n in [s.value for s in kernel.stores] + [r.value for r in kernel.reductions]:
        needed(n, 1.0)
    for n in range(len(kernel.nodes) - 1, -1, -1):
        node, share = kernel.nodes[n], shares[n]
        if node.op == "load" and node.data.within is not None:
            shares[n] = min(share, _volume(node.data.within) / every)
        condition = kernel.nodes[node.args[0]] if node.op == "select" else None
        if condition is not None and condition.op == "inside":
            part = _volume(condition.data) / every
            needed(node.args[1], share * part)
            needed(node.args[2], share * (1 - part))
            continue
        for a in node.args:
            needed(a, share)
    return shares


def _volume(box: Ranges) -> int:
    return prod([high - low for low, high in box])


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
