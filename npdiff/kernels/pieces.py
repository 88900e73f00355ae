"""A guarded kernel cut into boxes in which every condition is decided: plain loops, without masks.

Cuts are made at the edges of the conditions that still matter in a box, the outermost axis first, so
rows stay whole as long as they can. The interior, which is nearly everything, is one box.
"""

from __future__ import annotations

from typing import NamedTuple

from npdiff.kernels.expressions import Expressions
from npdiff.kernels.loop_ir import Access, Kernel, Node, Ranges, Store, boxes, guarded


class Piece(NamedTuple):
    """A box of the space, and the kernel that fills it; its index counts from the box's corner."""

    box: Ranges
    kernel: Kernel


class TooMany(Exception):
    """A kernel falls into more pieces than allowed."""


def _relation(box: Ranges, part: Ranges) -> bool | tuple[int, int]:
    """Whether `box` lies in `part` (True) or apart from it (False); else the axis and place to cut `box` at."""
    cut: tuple[int, int] | None = None
    for axis, ((low, high), (begin, end)) in enumerate(zip(box, part, strict=True)):
        if end <= low or high <= begin:
            return False
        if cut is None and low < begin:
            cut = axis, begin
        elif cut is None and end < high:
            cut = axis, end
    return True if cut is None else cut


def _live(kernel: Kernel, box: Ranges) -> list[int]:
    """Nodes that no decided condition cuts off in a box, the last one first."""
    nodes = kernel.nodes
    live = bytearray(len(nodes))
    for s in kernel.stores:
        live[s.value] = True
    found = []
    for n in range(len(nodes) - 1, -1, -1):
        if not live[n]:
            continue
        found.append(n)
        op, _, args, _ = nodes[n]
        if op == "select" and nodes[args[0]].op == "inside":
            decided = _relation(box, nodes[args[0]].data)
            if isinstance(decided, bool):
                live[args[1 if decided else 2]] = True
                continue
        for a in args:
            live[a] = True
    return found


def _cut(kernel: Kernel, box: Ranges, live: list[int]) -> tuple[int, int] | None:
    """Where to cut a box so that one more condition is decided: the axis, the outermost possible, and the place."""
    cut: tuple[int, int] | None = None
    for n in reversed(live):
        op, _, _, data = kernel.nodes[n]
        part = data if op == "inside" else data.within if op == "load" else None
        found = True if part is None else _relation(box, part)
        if not isinstance(found, bool) and (cut is None or found[0] < cut[0]):
            cut = found
    return cut


class _Box:
    """The nodes that a box needs, in which every condition is decided."""

    def __init__(self, kernel: Kernel, box: Ranges, live: list[int]) -> None:
        self.kernel = kernel
        self.box = box
        self.e = Expressions()
        self._known: dict[int, int] = {}
        for n in reversed(live):
            self._known[n] = self._node(n)
        self.values = tuple(self._known[s.value] for s in kernel.stores)
        # Constants by their bytes: 0.0 and -0.0 are equal but not the same.
        self.text = [(n.op, n.dtype, n.args, n.data.tobytes() if n.op == "const" else n.data) for n in self.e.nodes]

    def _node(self, n: int) -> int:
        op, dtype, args, data = self.kernel.nodes[n]
        e, known = self.e, self._known
        if op == "const":
            return e.const(data, dtype)
        if op == "inside":
            return e.const(_relation(self.box, data), dtype)
        if op == "load" and data.within is not None:
            if not _relation(self.box, data.within):
                return e.const(0, dtype)
            data = data._replace(within=None)
        if op == "select" and (condition := self.kernel.nodes[args[0]]).op == "inside":
            return known[args[1 if _relation(self.box, condition.data) else 2]]
        return e.add(Node(op, dtype, tuple([known[a] for a in args]), data))


def _merged(boxes: list[_Box]) -> list[_Box]:
    """Neighbours that do the same become one."""
    found: list[_Box] = []
    for new in boxes:
        while True:
            for k, old in enumerate(found):
                apart = [a for a, (p, q) in enumerate(zip(old.box, new.box, strict=True)) if p != q]
                if len(apart) == 1 and old.values == new.values and old.text == new.text:
                    axis = apart[0]
                    first, second = sorted([old.box[axis], new.box[axis]])
                    if first[1] == second[0]:
                        new.box = (*new.box[:axis], (first[0], second[1]), *new.box[axis + 1:])
                        del found[k]
                        break
            else:
                break
        found.append(new)
    return found


def _piece(kernel: Kernel, box: _Box) -> Piece:
    """The kernel of a box, its index counted from the corner, without axes of one step (but the outermost)."""
    axes = [k for k, (low, high) in enumerate(box.box) if k == 0 or high - low > 1]

    def move(a: Access) -> Access:
        corner = sum(s * low for s, (low, _) in zip(a.strides, box.box, strict=True))
        return a._replace(offset=a.offset + corner, strides=tuple(a.strides[k] for k in axes))

    nodes = tuple(Node(n.op, n.dtype, n.args, move(n.data)) if n.op in ("load", "index") else n for n in box.e.nodes)
    stores = tuple(Store(v, move(s.access)) for v, s in zip(box.values, kernel.stores, strict=True))
    sizes = tuple(box.box[k][1] - box.box[k][0] for k in axes)
    return Piece(box.box, Kernel(sizes, kernel.inputs, kernel.outputs, nodes, stores, ()))


def split(kernel: Kernel, most: int = 1 << 30) -> list[Piece]:
    """Pieces that cover a kernel's space, in which nothing is guarded; at most `most`, or TooMany is raised.

    Each writes its box of the outputs. A kernel that is not guarded is one piece.
    """
    whole = tuple((0, n) for n in kernel.sizes)
    if not guarded(kernel):
        return [Piece(whole, kernel)]
    if len(set(boxes(kernel))) > 4 * most:
        raise TooMany
    done: list[_Box] = []
    todo = [whole]
    while todo:
        if len(done) + len(todo) > 4 * most:
            raise TooMany
        box = todo.pop()
        live = _live(kernel, box)
        cut = _cut(kernel, box, live)
        if cut is None:
            done.append(_Box(kernel, box, live))
            continue
        axis, at = cut
        low, high = box[axis]
        for part in ((at, high), (low, at)):
            todo.append((*box[:axis], part, *box[axis + 1:]))
    done = _merged(done)
    if len(done) > most:
        raise TooMany
    return [_piece(kernel, box) for box in done]


__all__ = ["Piece", "TooMany", "split"]
