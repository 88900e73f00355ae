"""A guarded kernel cut into boxes in which every condition is decided: plain loops, without masks.

Cuts are made at the edges of the conditions that still matter in a box, the outermost axis first, so
rows stay whole as long as they can. The interior, which is nearly everything, is one box.
"""

from __future__ import annotations

from dataclasses import replace
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


class _Box:
    """The nodes that a box needs, conditions decided where they can be."""

    def __init__(self, kernel: Kernel, box: Ranges) -> None:
        self.kernel = kernel
        self.box = box
        self.e = Expressions()
        self.cut: tuple[int, int] | None = None
        self._known: dict[int, int] = {}
        live = self._live()
        for n in range(len(kernel.nodes)):
            if n in live:
                self._known[n] = self._node(n)
        self.values = tuple(self._known[s.value] for s in kernel.stores)
        # Constants by their bytes: 0.0 and -0.0 are equal but not the same.
        self.text = [(n.op, n.dtype, n.args, n.data.tobytes() if n.op == "const" else n.data) for n in self.e.nodes]

    def _decide(self, part: Ranges) -> bool | None:
        found = _relation(self.box, part)
        if isinstance(found, bool):
            return found
        if self.cut is None or found[0] < self.cut[0]:
            self.cut = found
        return None

    def _live(self) -> set[int]:
        """Nodes that are not cut off by a decided condition."""
        nodes = self.kernel.nodes
        live = {s.value for s in self.kernel.stores}
        for n in range(len(nodes) - 1, -1, -1):
            if n not in live:
                continue
            args = nodes[n].args
            if nodes[n].op == "select" and nodes[args[0]].op == "inside":
                found = _relation(self.box, nodes[args[0]].data)
                if isinstance(found, bool):
                    live.add(args[1 if found else 2])
                    continue
            live.update(args)
        return live

    def _node(self, n: int) -> int:
        node, e = self.kernel.nodes[n], self.e
        if node.op == "inside":
            found = self._decide(node.data)
            return e.inside(node.data) if found is None else e.const(found, node.dtype)
        if node.op == "load" and node.data.within is not None:
            found = self._decide(node.data.within)
            if found is None:
                return e.load(node.data, node.dtype, *[self._known[a] for a in node.args])
            if not found:
                return e.const(0, node.dtype)
            return e.load(replace(node.data, within=None), node.dtype, *[self._known[a] for a in node.args])
        if node.op == "select":
            condition = self.kernel.nodes[node.args[0]]
            if condition.op == "inside":
                found = self._decide(condition.data)
                if found is not None:
                    return self._known[node.args[1 if found else 2]]
        if node.op == "const":
            return e.const(node.data, node.dtype)
        return e.add(Node(node.op, node.dtype, tuple(self._known[a] for a in node.args), node.data))


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
        return replace(a, offset=a.offset + corner, strides=tuple(a.strides[k] for k in axes))

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
        box = _Box(kernel, todo.pop())
        if box.cut is None:
            done.append(box)
            continue
        axis, at = box.cut
        low, high = box.box[axis]
        for part in ((at, high), (low, at)):
            todo.append((*box.box[:axis], part, *box.box[axis + 1:]))
    done = _merged(done)
    if len(done) > most:
        raise TooMany
    return [_piece(kernel, box) for box in done]


__all__ = ["Piece", "TooMany", "split"]
