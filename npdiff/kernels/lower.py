"""A fusion group to loop IR: pull every value a kernel must write back to the arrays it loads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from npdiff.avals import Aval
from npdiff.graph import Atom, Equation, Literal, Var
from npdiff.kernels.classify import Build, FusedReduction, squeezed
from npdiff.kernels.expressions import Expressions
from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Reduction, Store, collapse, verify
from npdiff.kernels.views import View, contiguous, whole


class Program:
    """What is known of a graph's equations before they are grouped.

    Attributes
    ----------
    builds, reductions
        Equations that can be fused, by index.
    views
        For a variable that is a view: the variable or literal below it, and the index map.
    producer
        The index of the equation that computes a variable.
    """

    def __init__(self, equations: Sequence[Equation]) -> None:
        self.equations = list(equations)
        self.builds: dict[int, Build] = {}
        self.reductions: dict[int, FusedReduction] = {}
        self.views: dict[Var, tuple[Atom, View]] = {}
        self.producer: dict[Var, int] = {v: i for i, eq in enumerate(equations) for v in eq.outputs}

    def seen_from(self, a: Atom) -> tuple[Atom, View]:
        """The array that really holds an operand's elements, and where they are."""
        if isinstance(a, Var) and a in self.views:
            return self.views[a]
        return a, whole(a.aval.shape)

    def read(self, a: Atom, shape: tuple[int, ...]) -> tuple[Atom, int, tuple[int, ...]]:
        """The array below, the offset, and one stride per axis of the squeezed space of `shape`."""
        root, view = self.seen_from(a)
        return root, view.offset, _walk(view, shape)

    def in_place(self, a: Atom, shape: tuple[int, ...]) -> bool:
        """Whether point i of the space reads element i of the array below: the two can share a loop."""
        root, offset, strides = self.read(a, shape)
        space = squeezed(shape)
        return offset == 0 and squeezed(root.aval.shape) == space and strides == contiguous(space)


# A graph has many operands but few shapes.
@lru_cache(maxsize=1024)
def _walk(view: View, shape: tuple[int, ...]) -> tuple[int, ...]:
    """One stride of a view per axis of the squeezed space of `shape`."""
    new = len(shape) - len(view.shape)
    strides = (0,) * new + tuple(0 if n == 1 else s for n, s in zip(view.shape, view.strides, strict=True))
    return tuple(s for s, n in zip(strides, shape, strict=True) if n != 1)


class Group:
    """Equations that share one loop nest, and which of their variables others need."""

    def __init__(self, program: Program, members: list[int], inlined: frozenset[int], wanted: set[Var]) -> None:
        self.program = program
        self.members = members
        self.inlined = inlined
        self.stored = [v for i in members for v in program.equations[i].outputs if v in wanted]

    def lower(self) -> tuple[Kernel, list[Var]]:
        """The kernel, and the variables its input buffers hold, in order."""
        program = self.program
        first = self.members[0]
        eq = program.equations[first]
        space = squeezed((eq.inputs[0] if first in program.reductions else eq.outputs[0]).aval.shape)
        e = Expressions()
        nodes: dict[Var, int] = {}
        members = set(self.members)
        buffers: dict[Var, int] = {}
        specs: list[Buffer] = []

        def operand(a: Atom, shape: tuple[int, ...]) -> int:
            root, offset, strides = program.read(a, shape)
            if isinstance(root, Literal):
                return e.const(root.value, root.aval.dtype)
            index = program.producer.get(root)
            if index is not None and index in program.builds:
                if index in self.inlined and index not in members:
                    return compute(index)
                if index in members and program.in_place(a, shape):
                    return compute(index)
            if root not in buffers:
                buffers[root] = len(specs)
                specs.append(Buffer(root.aval.dtype, root.aval.size))
            # An inlined scalar expression has no axes of its own.
            strides = (0,) * (len(space) - len(strides)) + strides
            return e.load(Access(buffers[root], offset, strides), root.aval.dtype)

        def compute(index: int) -> int:
            eq = program.equations[index]
            out = eq.outputs[0]
            if out not in nodes:
                nodes[out] = program.builds[index](e, [operand(a, out.aval.shape) for a in eq.inputs])
            return nodes[out]

        stores: list[Store] = []
        reductions: list[Reduction] = []
        for i in self.members:
            eq = program.equations[i]
            out = eq.outputs[0]
            if i in program.builds:
                value = compute(i)
                if out in self.stored:
                    stores.append(Store(value, Access(self.stored.index(out), 0, contiguous(space))))
                continue
            x = eq.inputs[0]
            what = program.reductions[i]
            value = e.cast(operand(x, x.aval.shape), what.dtype)
            axes, strides = _reduced(x.aval, what)
            reductions.append(Reduction(what.op, value, axes, Access(self.stored.index(out), 0, strides)))
        outputs = tuple(Buffer(v.aval.dtype, v.aval.size) for v in self.stored)
        kernel = Kernel(space, tuple(specs), outputs, tuple(e.nodes), tuple(stores), tuple(reductions))
        kernel = collapse(kernel)
        verify(kernel)
        return kernel, list(buffers)


def _reduced(x: Aval, what: FusedReduction) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The reduced axes of the squeezed space and the output's strides along it."""
    space = [(n, a in what.axes) for a, n in enumerate(x.shape) if n != 1]
    kept = iter(contiguous(tuple(n for n, gone in space if not gone)))
    axes = tuple(k for k, (_, gone) in enumerate(space) if gone)
    return axes, tuple(0 if gone else next(kept) for _, gone in space)
