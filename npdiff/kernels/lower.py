"""A fusion group to loop IR: pull every value a kernel must write back to the arrays it loads.

A value is computed at *places*, an index per axis of its array (places.py). What other equations compute
is computed anew at the places where it is read, if it belongs to the group, was chosen to be computed by
its readers (absorb.py), or is a scalar; everything else is loaded. A placement is a case distinction: in
the domain of each case only, its operand has to be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from functools import lru_cache
from typing import Any

import numpy as np

from npdiff.avals import Aval, ndarray
from npdiff.graph import Atom, Equation, Literal, Var
from npdiff.kernels.classify import Build, FusedReduction, squeezed
from npdiff.kernels.expressions import Expressions
from npdiff.kernels.extrema import positions_p
from npdiff.kernels.gathers import Gather
from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Ranges, Reduction, Store, turned
from npdiff.kernels.placements import Part, Placement
from npdiff.kernels.places import Places, aligned, compose, identity, reach, unfold
from npdiff.kernels.rows import in_rows
from npdiff.kernels.views import View, contiguous, whole


class Positions(Literal):
    """Stands for an array in which each element is its own place: known wherever it is read."""

    __slots__ = ()


class Program:
    """What is known of a graph's equations before they are grouped.

    Attributes
    ----------
    builds, reductions, placements, gathers
        Equations that can be fused, by index.
    tables
        What gathers read at places that depend on values, by index: an array in memory.
    operands
        What equations read if they are fused: an array that has just been written into another is read there.
    views
        For a variable that is a view: the variable or literal below it, and the index map.
    producer
        The index of the equation that computes a variable.
    inlined
        Scalar equations that are computed wherever they are read.
    absorbed
        Equations of arrays that are computed wherever they are read, never stored.
    readings
        What `absorb.readings` has found; it holds until equations are left to NumPy.
    """

    def __init__(self, equations: Sequence[Equation], constants: dict[Var, Any]) -> None:
        self.equations = list(equations)
        self.operands: list[list[Atom]] = [eq.inputs for eq in equations]
        self.builds: dict[int, Build] = {}
        self.reductions: dict[int, FusedReduction] = {}
        self.placements: dict[int, Placement] = {}
        self.gathers: dict[int, Gather] = {}
        self.tables: dict[int, Var] = {}
        self.views: dict[Atom, tuple[Atom, View]] = {}
        self.producer: dict[Var, int] = {v: i for i, eq in enumerate(equations) for v in eq.outputs}
        self.inlined: frozenset[int] = frozenset()
        self.absorbed: frozenset[int] = frozenset()
        self.readings: dict[int, Any] = {}
        # One number spread over a shape: nobody can change what lies below.
        self._numbers: dict[Atom, Literal] = {v: Literal(c[(0,) * c.ndim]) for v, c in constants.items()
                                             if type(c) is ndarray and c.size and not any(c.strides)}
        self._numbers.update((eq.outputs[0], Positions(eq.params["dtype"].type(0))) for eq in equations
                             if eq.prim is positions_p)

    def pointwise(self, i: int) -> bool:
        """Whether an equation's result can be computed at any point by itself."""
        return i in self.builds or i in self.placements or i in self.gathers

    def fused(self, i: int) -> bool:
        """Whether an equation becomes part of a kernel."""
        return self.pointwise(i) or i in self.reductions

    def leave(self, equations: Iterable[int]) -> None:
        """Fuse these no more: they are calls of NumPy."""
        for i in equations:
            self.builds.pop(i, None)
            self.reductions.pop(i, None)
            self.placements.pop(i, None)
            self.gathers.pop(i, None)
        self.readings.clear()

    def below(self, a: Atom) -> tuple[Atom, View]:
        """The array that really holds an operand's elements, and where they are."""
        return self.views.get(a) or (a, whole(a.aval.shape))

    def root(self, a: Atom) -> Atom:
        """What `seen_from` finds below."""
        seen = self.views.get(a)
        root = a if seen is None else seen[0]
        return self._numbers.get(root, root) if self._numbers else root

    def seen_from(self, a: Atom) -> tuple[Atom, View]:
        """As `below`, for kernels: a number that fills an array stands for the array, and so do `Positions`."""
        root, view = self.below(a)
        return self._numbers.get(root, root) if self._numbers else root, view

    def read(self, a: Atom, shape: tuple[int, ...]) -> tuple[Atom, int, tuple[int, ...]]:
        """The array below, the offset, and one stride per axis of the squeezed space of `shape`."""
        root, view = self.seen_from(a)
        return root, view.offset, _walk(view, shape)

    def in_place(self, a: Atom, shape: tuple[int, ...]) -> bool:
        """Whether point i of the space reads element i of the array below: the two can share a loop."""
        if a not in self.views and a.aval.shape == shape and a not in self._numbers:
            return True
        root, offset, strides = self.read(a, shape)
        space = squeezed(shape)
        return offset == 0 and squeezed(root.aval.shape) == space and strides == contiguous(space)

    def shape(self, i: int) -> tuple[int, ...]:
        """The shape that a fused equation walks over."""
        eq = self.equations[i]
        return (eq.inputs[0] if i in self.reductions else eq.outputs[0]).aval.shape

    def same_point(self, i: int, k: int) -> bool:
        """Whether a fused equation reads, of its operand `k`, the element below at the point that it computes."""
        found, picked = self.placements.get(i), self.gathers.get(i)
        if picked is not None and picked.first + picked.count != len(self.shape(i)):
            return False
        return (found is None or k == found.base) and self.in_place(self.operands[i][k], self.shape(i))


class _Lowering:
    """The expressions of one kernel as they grow."""

    def __init__(self, program: Program, members: Sequence[int], space: tuple[int, ...],
                 kept: tuple[int, ...] | None) -> None:
        self.program = program
        self.members = frozenset(members)
        self.space = space
        # The axes of the space that number rows.
        self.kept = kept
        self.domain: Ranges = tuple((0, n) for n in space)
        self.e = Expressions()
        self.buffers: dict[Var, int] = {}
        self.specs: list[Buffer] = []
        self._values: dict[tuple[int, Places, Ranges], int] = {}
        # For each shape of a member, where its points lie: see `here` and `steps`.
        self._own: dict[tuple[int, ...], tuple[Places, tuple[int, ...]]] = {}

    def value(self, i: int, places: Places, domain: Ranges) -> int:
        """The result of an equation at places of its shape."""
        key = i, places, domain
        known = self._values.get(key)
        if known is None:
            found = self.program.placements.get(i)
            if i in self.program.gathers:
                known = self._gathered(i, places, domain)
            elif found is None:
                operands = [self.operand(a, places, domain) for a in self.program.operands[i]]
                known = self.program.builds[i](self.e, operands)
            else:
                known = self._placed(i, found, places, domain)
            self._values[key] = known
        return known

    def operand(self, a: Atom, places: Places, domain: Ranges) -> int:
        """An operand that is broadcast to an array of which `places` are given."""
        return self.at(a, aligned(places, a.aval.shape), domain)

    def at(self, a: Atom, places: Places, domain: Ranges) -> int:
        """An operand at places along its own axes."""
        program, e = self.program, self.e
        root, view = program.seen_from(a)
        if isinstance(root, Positions):
            return e.index(*self._flat(view, places), root.aval.dtype)
        if isinstance(root, Literal):
            return e.const(root.value, root.aval.dtype)
        i = program.producer.get(root)
        if i is not None and program.pointwise(i):
            if i in program.inlined and i not in self.members:
                return self.value(i, identity(root.aval.shape), self.domain)
            if i in program.absorbed:
                below = unfold(view, root.aval.shape)
                assert below is not None, "what is absorbed is read axis by axis"
                return self.value(i, compose(below, places), domain)
            # A member reads another one where it stands itself; anything else would be a load.
            if i in self.members and self._itself(root, view, places):
                # (There it can be computed everywhere: known already, and not one call deeper for each equation.)
                return self.value(i, self.here(root.aval.shape), self.domain)
        if i is not None and i in self.members and self.totals(i) and self._itself(root, view, places):
            return self.total(i)
        return self._load(root, *self._flat(view, places), domain)

    def axes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The axes of the kernel's space that an array of a member's shape walks: all of them, or those of the rows."""
        every = tuple(range(len(self.space)))
        return every if self.kept is None or squeezed(shape) == self.space else self.kept

    def here(self, shape: tuple[int, ...]) -> Places:
        """Each point of an array of a member's shape at its own element."""
        return self._points(shape)[0]

    def steps(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The strides along the kernel's space of an array of a member's shape."""
        return self._points(shape)[1]

    def _points(self, shape: tuple[int, ...]) -> tuple[Places, tuple[int, ...]]:
        known = self._own.get(shape)
        if known is None:
            axes, strides = self.axes(shape), [0] * len(self.space)
            for axis, step in zip(axes, contiguous(squeezed(shape)), strict=True):
                strides[axis] = step
            places = tuple([p if p.axis < 0 else p._replace(axis=axes[p.axis]) for p in identity(shape)])
            known = self._own[shape] = places, tuple(strides)
        return known

    def _itself(self, root: Atom, view: View, places: Places) -> bool:
        """Whether a view read at places is each element of the member below at that element's own point."""
        here, steps = self._points(root.aval.shape)
        return (places == here and view is whole(root.aval.shape)) or self._flat(view, places) == (0, steps)

    def totals(self, i: int) -> bool:
        """Whether an equation reduces just the rows."""
        what = self.program.reductions.get(i)
        if what is None or self.kept is None or squeezed(self.program.shape(i)) != self.space:
            return False
        axes, _ = _reduced(self.program.equations[i].inputs[0].aval, what)
        return set(axes) == set(range(len(self.space))) - set(self.kept)

    def total(self, i: int) -> int:
        """The result of such an equation."""
        return self.e.total(self.program.reductions[i].op, self.reduced(i))

    def reduced(self, i: int) -> int:
        """What a reduction reduces, in the dtype in which it does."""
        shape = self.program.shape(i)
        operand = self.operand(self.program.operands[i][0], self.here(shape), self.domain)
        return self.e.cast(operand, self.program.reductions[i].dtype)

    def _flat(self, view: View, places: Places) -> tuple[int, tuple[int, ...]]:
        """Offset and strides, over the kernel's space, of a view read at places."""
        offset, strides = view.offset, [0] * len(self.space)
        for stride, (start, axis, step) in zip(view.strides, places, strict=True):
            offset += stride * start
            if axis >= 0:
                strides[axis] += stride * step
        return offset, tuple(strides)

    def _gathered(self, i: int, places: Places, domain: Ranges) -> int:
        """An element whose place depends on integers; whatever these are, it lies in the array."""
        found, e, int64 = self.program.gathers[i], self.e, np.dtype(np.int64)
        block = places[found.first:found.first + found.count]
        at = []
        for a, (_, n) in zip(self.program.operands[i], found.steps, strict=True):
            k = e.cast(self.at(a, aligned(block, a.aval.shape), domain), int64)
            zero = e.const(0, int64)
            k = e.select(e.op("lt", k, zero), e.op("add", k, e.const(n, int64)), k)
            at.append(e.op("maximum", e.op("minimum", k, e.const(n - 1, int64)), zero))
        offset, strides = self._flat(found.view, places)
        return self._load(self.program.tables[i], offset, strides, domain, found.steps, at)

    def _load(self, root: Var, offset: int, strides: tuple[int, ...], domain: Ranges,
              steps: tuple[tuple[int, int], ...] = (), at: Sequence[int] = ()) -> int:
        if root not in self.buffers:
            self.buffers[root] = len(self.specs)
            self.specs.append(Buffer(root.aval.dtype, root.aval.size))
        ends = [s * (n - 1) for s, n in zip(strides, self.space, strict=True)] + [s * (n - 1) for s, n in steps]
        low, high = offset + sum(min(0, x) for x in ends), offset + sum(max(0, x) for x in ends)
        within = None if low >= 0 and high < root.aval.size else domain
        return self.e.load(Access(self.buffers[root], offset, strides, within, steps), root.aval.dtype, *at)

    def _placed(self, i: int, found: Placement, places: Places, domain: Ranges) -> int:
        """The part that stands at the places, by cases where that depends on the point."""
        operands = self.program.operands[i]
        dtype = self.program.equations[i].outputs[0].aval.dtype
        cases: list[tuple[Ranges, int]] = []

        def part(p: Part, box: Ranges) -> int:
            a = operands[p.source]
            return self.e.cast(self.at(a, p.places(places, a.aval.shape), box), dtype)

        last: int | None = None
        for p in found.parts:
            box = list(domain)
            missed = False  # (a domain of one point has no axis along which it could be empty)
            for place, (low, high) in zip(places, p.ranges, strict=True):
                if place.axis >= 0:
                    box[place.axis] = reach(place, low, high, box[place.axis])
                elif not low <= place.start < high:
                    missed = True
            if missed or any(low == high for low, high in box):
                continue
            if tuple(box) == domain:
                last = part(p, domain)
                break
            cases.append((tuple(box), part(p, tuple(box))))
            domain = _without(domain, cases[-1][0])
        if last is None:
            if found.base is None:
                raise AssertionError("the parts cover the result")
            a = operands[found.base]
            last = self.e.cast(self.at(a, aligned(places, a.aval.shape), domain), dtype)
        for where, value in reversed(cases):
            last = self.e.select(self.e.inside(where), value, last)
        return last


def _without(domain: Ranges, box: Ranges) -> Ranges:
    """A domain less a box at one of its ends; as it is where that is no box."""
    apart = [k for k, (p, q) in enumerate(zip(domain, box, strict=True)) if p != q]
    if len(apart) == 1:
        k = apart[0]
        (low, high), (begin, end) = domain[k], box[k]
        if low == begin or high == end:
            rest = (end, high) if low == begin else (low, begin)
            return (*domain[:k], rest, *domain[k + 1:])
    return domain


# A graph has many operands but few shapes.
@lru_cache(maxsize=1024)
def _walk(view: View, shape: tuple[int, ...]) -> tuple[int, ...]:
    """One stride of a view per axis of the squeezed space of `shape`."""
    new = len(shape) - len(view.shape)
    strides = (0,) * new + tuple(0 if n == 1 else s for n, s in zip(view.shape, view.strides, strict=True))
    return tuple(s for s, n in zip(strides, shape, strict=True) if n != 1)


class Group:
    """Equations that share one loop nest, and which of their variables others need.

    With `rows`, the axes of the largest member's space that number rows: other members may have the space of these axes
    only, and read what is reduced over the rest.
    """

    def __init__(self, program: Program, members: list[int], wanted: Set[Var],
                 rows: tuple[int, ...] | None = None) -> None:
        self.program = program
        self.members = members
        self.rows = rows
        self.stored = [v for i in members for v in program.equations[i].outputs if v in wanted]

    def lower(self) -> tuple[Kernel, list[Var]]:
        """The kernel, its axes not merged, and the variables its input buffers hold, in order."""
        program = self.program
        space = max([squeezed(program.shape(i)) for i in self.members], key=len)
        low = _Lowering(program, self.members, space, self.rows)
        stores: list[Store] = []
        reductions: list[Reduction] = []
        for i in self.members:
            shape, out = program.shape(i), program.equations[i].outputs[0]
            row = self.rows is not None and squeezed(shape) != space
            if program.pointwise(i):
                value = low.value(i, low.here(shape), low.domain)
                if out in self.stored:
                    stores.append(Store(value, Access(self.stored.index(out), 0, low.steps(shape)), row))
                continue
            if low.totals(i):
                value = low.total(i)
                if out in self.stored:
                    stores.append(Store(value, Access(self.stored.index(out), 0, low.steps(out.aval.shape)), row=True))
                continue
            what = program.reductions[i]
            axes, steps = _reduced(program.equations[i].inputs[0].aval, what)
            own = low.axes(shape)
            strides = [0] * len(space)
            for axis, step in zip(own, steps, strict=True):
                strides[axis] = step
            place = Access(self.stored.index(out), 0, tuple(strides))
            if axes or self.rows is None:
                reductions.append(Reduction(what.op, low.reduced(i), tuple([own[a] for a in axes]), place, row))
            else:
                stores.append(Store(low.reduced(i), place, row))
        outputs = tuple(Buffer(v.aval.dtype, v.aval.size) for v in self.stored)
        kernel = Kernel(space, tuple(low.specs), outputs, tuple(low.e.nodes), tuple(stores), tuple(reductions))
        if self.rows is not None:
            points = [axis for axis in range(len(space)) if axis not in self.rows]
            kernel = in_rows(turned(kernel, [*self.rows, *points]), len(self.rows))
        return kernel, list(low.buffers)


def _reduced(x: Aval, what: FusedReduction) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The reduced axes of the squeezed space and the output's strides along it."""
    space = [(n, a in what.axes) for a, n in enumerate(x.shape) if n != 1]
    kept = iter(contiguous(tuple(n for n, gone in space if not gone)))
    axes = tuple(k for k, (_, gone) in enumerate(space) if gone)
    return axes, tuple(0 if gone else next(kept) for _, gone in space)
