"""A loop-IR kernel cut into passes: one launch each, every reduced axis handled by one scheme.

A pass visits every point once. Its *items* are the places it writes to: points, or the outputs of its reductions, times
the *parts* into which a long reduction is cut. A group of threads works on one item: one thread, a warp, or a whole
block. Reductions over different axes are passes of their own; parts are joined by one more pass. Nothing depends on
the card or on timing, so results do not either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Node, Reduction, Store, collapse, guarded


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes of launches; the tests, whose cards are simulated, make them small.

    `block`: threads of a block. `warp`: threads that exchange values directly, 32 at most. `threads`: as many as fill a
    card with 132 processors of 2048 threads. `blocks`: the largest grid of a pass whose threads go on to further items.
    `run`: how many points one thread adds up at most before its sum is set aside. `lane_bytes`: what a thread reads or
    writes at once; 0 for one element. `thread_row`, `warp_row`: rows up to these lengths are reduced by one thread, and
    by one warp.
    """

    block: int = 256
    warp: int = 32
    threads: int = 1 << 18
    blocks: int = 1 << 16
    run: int = 1024
    lane_bytes: int = 16
    thread_row: int = 16
    warp_row: int = 2048


# Beyond so many nodes in all lanes registers run out and compilation takes long; a function counts as several.
LANE_NODES = 128
CALL_NODES = 8
# A part of a reduction has at least so many points for each thread.
LEAST_RUN = 16


@dataclass(frozen=True, slots=True)
class Pass:
    """One launch: a kernel, and which arrays of the plan its inputs and outputs are.

    `axes`: the reduced axes. `group`: threads for each item. `parts`: how often a reduction is cut; its outputs then
    hold one result per part. `lanes`: neighbouring points along the innermost axis that a thread takes together.
    """

    kernel: Kernel
    arrays: tuple[int, ...]
    axes: tuple[int, ...]
    group: int
    parts: int
    lanes: int

    @property
    def kept(self) -> tuple[int, ...]:
        """The axes that are not reduced."""
        return tuple(a for a in range(len(self.kernel.sizes)) if a not in self.axes)

    def units(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Sizes of axes, the innermost counted in groups of lanes."""
        last = len(self.kernel.sizes) - 1
        return tuple(self.kernel.sizes[a] // (self.lanes if a == last else 1) for a in axes)

    @property
    def items(self) -> int:
        """How many groups of threads have work."""
        return prod(self.units(self.kept)) * self.parts

    @property
    def chunk(self) -> int:
        """How many units of the reduced axes a part has; the last part may have fewer."""
        return -(-prod(self.units(self.axes)) // self.parts)

    def grid(self, config: Config) -> int:
        """Blocks to launch."""
        blocks = -(-self.items * self.group // config.block)
        return min(blocks, config.blocks) if self.group == 1 else blocks


@dataclass(frozen=True, slots=True)
class Plan:
    """Passes in order; their arrays are the kernel's inputs, its outputs, then `scratch`."""

    passes: tuple[Pass, ...]
    scratch: tuple[Buffer, ...]


def restrict(kernel: Kernel, stores: tuple[Store, ...], reductions: tuple[Reduction, ...]) -> tuple[
        Kernel, tuple[int, ...]]:
    """The part of a kernel that some of its outputs need, and which inputs and outputs those are."""
    writes: list[Store | Reduction] = [*stores, *reductions]
    live = {w.value for w in writes}
    for n in range(len(kernel.nodes) - 1, -1, -1):
        if n in live:
            live.update(kernel.nodes[n].args)
    order = {n: k for k, n in enumerate(sorted(live))}
    loaded = sorted({kernel.nodes[n].data.buffer for n in live if kernel.nodes[n].op == "load"})
    written = sorted(w.access.buffer for w in writes)

    def node(n: Node) -> Node:
        data = n.data._replace(buffer=loaded.index(n.data.buffer)) if n.op == "load" else n.data
        return Node(n.op, n.dtype, tuple(order[a] for a in n.args), data)

    def access(a: Access) -> Access:
        return a._replace(buffer=written.index(a.buffer))

    small = Kernel(
        kernel.sizes,
        tuple(kernel.inputs[b] for b in loaded),
        tuple(kernel.outputs[b] for b in written),
        tuple(node(kernel.nodes[n]) for n in order),
        tuple(Store(order[s.value], access(s.access)) for s in stores),
        tuple(Reduction(r.op, order[r.value], r.axes, access(r.access)) for r in reductions),
    )
    return collapse(small), (*loaded, *(len(kernel.inputs) + b for b in written))


def vectorisable(a: Access, size: int, lanes: int) -> bool:
    """Whether `lanes` neighbouring points are neighbours in memory, beginning at a multiple of `lanes`."""
    return (not a.steps and a.strides[-1:] == (1,) and size % lanes == 0 and a.offset % lanes == 0
            and all(s % lanes == 0 for s in a.strides[:-1]))


def _lanes(kernel: Kernel, config: Config) -> int:
    if not kernel.sizes or prod(kernel.sizes) < config.threads:
        return 1
    if guarded(kernel) or any(n.op == "load" and n.args for n in kernel.nodes):
        return 1
    if any(b.dtype.kind == "c" for b in (*kernel.inputs, *kernel.outputs)):
        return 1
    last = kernel.sizes[-1]
    moving = [(n.data, n.dtype) for n in kernel.nodes if n.op == "load"]
    writes: list[Store | Reduction] = [*kernel.stores, *kernel.reductions]
    moving += [(w.access, kernel.nodes[w.value].dtype) for w in writes]
    widths = [d.itemsize for a, d in moving if a.strides[-1] == 1]
    nodes = sum(CALL_NODES if n.op == "call" else 1 for n in kernel.nodes)
    for lanes in (4, 2):
        if last % lanes == 0 and widths and lanes * max(widths) <= config.lane_bytes:
            whole = any(vectorisable(a, last, lanes) for a, _ in moving)
            if whole and nodes * lanes <= LANE_NODES:
                return lanes
    return 1


def _pass(kernel: Kernel, arrays: tuple[int, ...], config: Config, cut: bool) -> Pass:
    """How the threads share one pass."""
    lanes = _lanes(kernel, config)
    axes = kernel.reductions[0].axes if kernel.reductions else ()
    one = Pass(kernel, arrays, axes, 1, 1, lanes)
    if not axes:
        return one
    length = prod(one.units(axes))
    last = len(kernel.sizes) - 1
    # Threads that sum neighbouring columns read neighbouring elements.
    columns = last not in axes and kernel.sizes[last] >= config.warp
    group = config.block
    if columns or length <= config.thread_row:
        group = 1
    elif length <= config.warp_row:
        group = config.warp
    parts = 1
    if cut:
        fill = -(-config.threads // (one.items * group))
        most = max(1, length // (group * min(LEAST_RUN, config.run)))
        parts = max(min(fill, most), -(-length // (group * config.run)))
        parts = -(-length // -(-length // parts))
    return replace(one, group=group, parts=parts)


def plan(kernel: Kernel, config: Config) -> Plan:
    """The passes of a kernel."""
    whole = [r for r in kernel.reductions if not r.axes]
    stores = kernel.stores + tuple(Store(r.value, r.access) for r in whole)
    groups: dict[tuple[int, ...], list[Reduction]] = {}
    for r in kernel.reductions:
        if r.axes:
            groups.setdefault(tuple(sorted(r.axes)), []).append(r)
    passes: list[Pass] = []
    scratch: list[Buffer] = []
    first = len(kernel.inputs) + len(kernel.outputs)
    if not groups:
        return Plan((_pass(*restrict(kernel, stores, ()), config, False),), ())
    for reductions in groups.values():
        small, arrays = restrict(kernel, stores, tuple(reductions))
        stores = ()
        main = _pass(small, arrays, config, True)
        if main.parts == 1:
            passes.append(main)
            continue
        # What the reductions wrote goes to scratch memory, one result per part, and is joined from there.
        inputs, held = len(small.inputs), list(arrays)
        joined: list[tuple[int, str, Buffer]] = []
        for r in small.reductions:
            out = small.outputs[r.access.buffer]
            joined.append((held[inputs + r.access.buffer], r.op, out))
            held[inputs + r.access.buffer] = first + len(scratch)
            scratch.append(Buffer(out.dtype, out.size * main.parts))
        passes.append(replace(main, arrays=tuple(held)))
        at = [held[inputs + r.access.buffer] for r in small.reductions]
        passes.append(_pass(_join(main.parts, [(op, b) for _, op, b in joined]),
                            (*at, *(k for k, _, _ in joined)), config, False))
    return Plan(tuple(passes), tuple(scratch))


def _join(parts: int, outputs: list[tuple[str, Buffer]]) -> Kernel:
    """Reduce the leading axis of arrays of parts."""
    size = outputs[0][1].size
    return collapse(Kernel(
        (parts, size) if size > 1 else (parts,),
        tuple(Buffer(b.dtype, b.size * parts) for _, b in outputs),
        tuple(b for _, b in outputs),
        tuple(Node("load", b.dtype, (), Access(k, 0, (size, 1) if size > 1 else (1,)))
              for k, (_, b) in enumerate(outputs)),
        (),
        tuple(Reduction(op, k, (0,), Access(k, 0, (0, 1) if size > 1 else (0,)))
              for k, (op, _) in enumerate(outputs)),
    ))


__all__ = ["Config", "Pass", "Plan", "plan", "restrict", "vectorisable"]
