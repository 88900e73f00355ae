"""Loop IR with rows to LLVM IR: the points of a row are visited once per phase (rows.plan).

Two ways. Where rows are short, or neighbouring rows lie next to each other in memory, *lanes* are rows:
a vector holds one value of each of them, and nothing has to be combined across lanes. What lies in memory row
by row is loaded in squares that are turned in registers. Otherwise vectors go along the row, as in
render_cpu, and what an earlier phase has put aside lies in a row on the stack.

The last vector begins where it ends with the axis or chunk: a lane that was there before counts for
nothing in what is added up, and writes what it wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from math import prod

from npdiff.kernels import llvm_memory as memory
from npdiff.kernels.chunks import Work
from npdiff.kernels.llvm_ops import combine, emit
from npdiff.kernels.llvm_text import (
    Body,
    constant,
    lanes_where,
    memory_type,
    places,
    register,
    scalar_type,
    splat,
    wide,
)
from npdiff.kernels.loop_ir import Access, DType, Kernel, Reduction, guarded, identity, levels
from npdiff.kernels.order import cost
from npdiff.kernels.rows import LONGEST, SHORT, Phase, in_rows, live, plan
from npdiff.kernels.vecmath.library import FUNCTIONS

# Values that a lane adds up before the sum is set aside.
BLOCK = 128
# A row of so few points and operations is written out instead of being a loop.
UNROLLED = 64
# What vector math counts as among these operations, and how often it is copied into a loop (see render_cpu).
_CALL, _FEW_CALLS = 20, 3
_MOST_LANES = 16
# Fewer points than this leave a vector along a row half empty.
FILLED = 8


@dataclass(slots=True)
class Form:
    """How a kernel with rows is rendered: with rows as lanes or not, and how many lanes a vector has."""

    kernel: Kernel
    lanes: bool
    width: int


def form(kernel: Kernel, bits: int) -> Form | None:
    """How to render a kernel in rows; None if plain loops serve as well."""
    depth = len(kernel.sizes)
    if guarded(kernel) or not _plain(kernel):
        return None
    if kernel.rows is None and (depth < 2 or kernel.sizes[-1] > SHORT):
        return None
    made = in_rows(kernel, depth - 1 if kernel.rows is None else kernel.rows)
    native = max(1, min(_MOST_LANES, bits // 8 // _itemsize(made)))
    rows = made.rows or 0
    points = prod(made.sizes[rows:])
    if kernel.rows is None and not kernel.reductions and points >= native:
        return None
    if rows and all(_in_lanes(made, r) for r in made.reductions):
        width = min(native, _power(made.sizes[rows - 1]))
        short = points <= SHORT and (width == native or points < native)
        if width > 1 and (short or (width == native and points <= LONGEST and cost(made, rows - 1) < cost(made))):
            return Form(made, True, width)
    if kernel.rows is None or not renderable(kernel):
        return None
    return Form(made, False, min(native, _power(made.sizes[-1])))


def renderable(kernel: Kernel) -> bool:
    """Whether a kernel with rows can be rendered, whatever the vectors."""
    last = len(kernel.sizes) - 1
    made = in_rows(kernel, kernel.rows or 0)
    kept = all(r.row or last not in r.axes for r in made.reductions)
    return kept and prod(made.sizes[made.rows:]) <= LONGEST and _plain(kernel)


def narrow(kernel: Kernel) -> bool:
    """Whether rows are too short to fill a vector along them, and something keeps them out of its lanes."""
    made = in_rows(kernel, kernel.rows or 0)
    return prod(made.sizes[made.rows:]) < FILLED and not all(_in_lanes(made, r) for r in made.reductions)


def _plain(kernel: Kernel) -> bool:
    """Whether no value is complex or of half precision."""
    return not any(n.dtype.kind == "c" or (n.dtype.kind == "f" and n.dtype.itemsize == 2) for n in kernel.nodes)


def _in_lanes(kernel: Kernel, r: Reduction) -> bool:
    rows = kernel.rows or 0
    return r.row or (rows - 1 in r.axes and max(r.axes) < rows)


def _itemsize(kernel: Kernel) -> int:
    """Bytes of the largest value at each point; if nothing is computed there, of each row."""
    level, rows = levels(kernel), kernel.rows or 0
    found = [(at > rows, n.dtype.itemsize) for n, at in zip(kernel.nodes, level, strict=True)
             if at >= rows and n.op != "const"]
    return max([size for inside, size in found if inside] or [size for _, size in found], default=8)


def _power(n: int) -> int:
    return 1 << n.bit_length() - 1


@dataclass(slots=True)
class Accumulator:
    """Where a reduction keeps what it has so far: `inner` between two settlements, then `outer`.

    `scope` loops are around its beginning and end. One that keeps the points of a row has a vector for each.
    """

    reduction: Reduction
    dtype: DType
    scope: int
    inner: str
    outer: str = ""


class Rows:
    """Renders one kernel."""

    def __init__(self, chosen: Form, work: Work, fma: bool) -> None:
        self.kernel = kernel = chosen.kernel
        self.lanes, self.width = chosen.lanes, chosen.width
        self.work = work
        self.range: tuple[str, str] = ("%begin", "%end") if work.wide else ("0", str(kernel.sizes[0]))
        self.depth, self.rows = len(kernel.sizes), kernel.rows or 0
        self.points = prod(kernel.sizes[self.rows:])
        self.level, self.order = levels(kernel), live(kernel)
        # Values of a row come in as many lanes as there are rows at a time.
        self.across = self.width if self.lanes else 1
        turned = {n.data for n in kernel.nodes if n.op == "load" and self._turned(n.data)}
        self.plan = plan(kernel, turned)
        calls = sum(n.op == "call" and n.data in FUNCTIONS for n in kernel.nodes) if fma else 0
        self.body = Body(fma, self.width, calls <= _FEW_CALLS)
        work_of_row = sum(_CALL if kernel.nodes[n].op == "call" else 1 for p in self.plan.phases for n in p.nodes)
        self.unrolled = self.lanes and self.points * work_of_row <= UNROLLED
        self.fixed: dict[int, str] = {}
        self.row: dict[int, str] = {}
        self.places: dict[tuple[int, ...], str] = {(): "0"}
        # Lanes that count for something; None: all.
        self.counts: str | None = None
        self.tiles = {a: self._aside(kernel.inputs[a.buffer].dtype) for a in sorted(turned, key=repr)}
        self.kept = {n: self._aside(kernel.nodes[n].dtype) for n in sorted(self.plan.kept)}
        self.results = {k: self._aside(kernel.nodes[s.value].dtype) for k, s in enumerate(kernel.stores)
                        if not s.row and self._turned(s.access)}
        self.accumulators = [acc for r in kernel.reductions if (acc := self._accumulate(r)) is not None]

    # ------------------------------------------------------------------ places

    def _turned(self, a: Access) -> bool:
        """Whether an access goes along the row in memory, so that lanes have to be turned."""
        return self.lanes and a.strides[-1] == 1 and abs(a.strides[self.rows - 1]) > 1

    def _aside(self, dtype: DType) -> str:
        """Room for one value of each point that is worked on."""
        return self.body.allocate(f"[{self.points * self.across} x {memory_type(dtype)}]")

    def _advance(self, d: int, i: str) -> None:
        """Where each access stands, now that the index of axis `d` is known."""
        every = [self.kernel.nodes[n].data for n in self.order if self.kernel.nodes[n].op in ("load", "index")]
        every += [s.access for s in self.kernel.stores] + [r.access for r in self.kernel.reductions]
        for key in dict.fromkeys(a.strides[:d + 1] for a in every):
            self.places[key] = self._plus(self.places[key[:-1]], self._times(i, key[-1]))

    def _times(self, i: str, k: int) -> str:
        if i.isdecimal() or not k:
            return str(int(i) * k) if k else "0"
        return i if k == 1 else self.body.let(f"mul i64 {i}, {k}")

    def _plus(self, x: str, y: str) -> str:
        if x == "0" or y == "0":
            return y if x == "0" else x
        if x.lstrip("-").isdecimal() and y.lstrip("-").isdecimal():
            return str(int(x) + int(y))
        return self.body.let(f"add i64 {x}, {y}")

    def _at(self, stem: str, a: Access, d: int, dtype: DType) -> memory.Address:
        """The address of an access inside of the first `d` loops."""
        place = self.places[a.strides[:d]]

        def address(k: int) -> str:
            at = self._plus(place, str(a.offset + k))
            return self.body.let(f"getelementptr {memory_type(dtype)}, ptr %{stem}{a.buffer}, i64 {at}")

        return address

    def _spot(self, room: str, dtype: DType, flat: str) -> str:
        """Where a point's value is put aside; in lanes, one of each row."""
        at = self._times(flat, self.across)
        return self.body.let(f"getelementptr {memory_type(dtype)}, ptr {room}, i64 {at}")

    def _put(self, room: str, dtype: DType, flat: str, value: str) -> None:
        value, kind = memory.raw(self.body, dtype, self.width, value), wide(memory_type(dtype), self.width)
        self.body.do(f"store {kind} {value}, ptr {self._spot(room, dtype, flat)}, align 1")

    def _get(self, room: str, dtype: DType, flat: str) -> str:
        kind = wide(memory_type(dtype), self.width)
        value = self.body.let(f"load {kind}, ptr {self._spot(room, dtype, flat)}, align 1")
        return memory.cooked(self.body, dtype, self.width, value)

    # ------------------------------------------------------------------ loops

    def render(self) -> None:
        """Fill the body."""
        self._fill_outputs()
        self._enter(0)
        self.body.do("ret void")

    def _scope(self, r: Reduction) -> int:
        kept = [a for a in range(self.rows if r.row else self.depth) if a not in r.axes]
        return kept[-1] + 1 if kept else 0

    def _carried(self, r: Reduction) -> bool:
        """Whether a reduction comes back to the same output: a reduced axis lies outside a kept one."""
        return any(a < self._scope(r) for a in r.axes)

    def _fill_outputs(self) -> None:
        """Give the outputs that are accumulated in memory their first value; a chunk, those of its own turns."""
        for r in self.kernel.reductions:
            if self._carried(r):
                out = self.kernel.outputs[r.access.buffer]
                begin, end = "0", str(out.size)
                if self.work.wide and 0 not in r.axes:
                    begin, end = [self.body.let(f"mul i64 {i}, {r.access.strides[0]}") for i in self.range]
                with self.body.loop(begin, end, 1) as i:
                    first = memory.raw(self.body, out.dtype, 1, constant(identity(r.op, out.dtype), out.dtype, 1))
                    p = self.body.let(f"getelementptr {memory_type(out.dtype)}, ptr %out{r.access.buffer}, i64 {i}")
                    self.body.do(f"store {memory_type(out.dtype)} {first}, ptr {p}, align 1")

    def _enter(self, d: int) -> None:
        """Everything inside the first `d` loops."""
        own = [acc for acc in self.accumulators if acc.scope == d]
        for acc in own:
            self._reset(acc)
        if d == self.rows:
            self._row()
        else:
            for n in self.order:
                if self.level[n] == d and self.kernel.nodes[n].op != "const":
                    self.fixed[n] = self._node(n, 1, d, self.fixed)
            begin, end = self.range if d == 0 else ("0", str(self.kernel.sizes[d]))
            if self.lanes and d == self.rows - 1:
                self._side_by_side(begin, end)
            else:
                with self.body.loop(begin, end, 1) as i:
                    self._advance(d, i)
                    self._enter(d + 1)
        for acc in own:
            self._finish(acc)

    def _side_by_side(self, begin: str, end: str) -> None:
        """The loop whose neighbouring turns are lanes."""
        d = self.rows - 1
        cut = d == 0 and self.work.wide and self.work.chunk % self.width > 0
        even = self.kernel.sizes[d] % self.width == 0 and not cut
        settled = [acc for acc in self.accumulators if acc.outer]
        span = self.width * BLOCK
        with self.body.loop(begin, end, span) if settled else _once(begin) as first:
            stop = end
            if settled:
                stop = self._least(self.body.let(f"add i64 {first}, {span}"), end)
                for acc in settled:
                    self._set(acc.inner, acc)
            with self.body.loop(first, stop, self.width) as i:
                at = i
                if not even:
                    at = self._least(i, str(self.kernel.sizes[d] - self.width))
                    self.counts = self._within(at, i, end if cut else None)
                self._advance(d, at)
                self._row()
            self.counts = None
            for acc in settled:
                kind = register(acc.dtype, self.width)
                self._add(acc.outer, acc, self.body.let(f"load {kind}, ptr {acc.inner}"))

    def _least(self, x: str, y: str) -> str:
        return self.body.intrinsic("llvm.smin.i64", "i64", ["i64", "i64"], [x, y])

    def _within(self, at: str, first: str, end: str | None = None) -> str:
        """Of the lanes from `at` on, those that are not before `first`, nor at `end`."""
        found = lanes_where(self.body, "sge", self.body.let(f"sub i64 {first}, {at}"), self.width)
        if end is not None:
            before = lanes_where(self.body, "slt", self.body.let(f"sub i64 {end}, {at}"), self.width)
            found = self.body.let(f"and <{self.width} x i1> {found}, {before}")
        return found

    def _row(self) -> None:
        """A row, or as many as there are lanes."""
        self.row = {}
        for k, phase in enumerate(self.plan.phases):
            for n in self.plan.rows[k]:
                self.row[n] = self._node(n, self.across, self.rows, self.row)
            if k == 0:
                for a, room in self.tiles.items():
                    self._turn(a, room)
            self._phase(phase)
        for s in self.kernel.stores:
            if s.row:
                dtype = self.kernel.nodes[s.value].dtype
                memory.store(self.body, dtype, self.across, self._apart(s.access),
                             self._at("out", s.access, self.rows, dtype), self._of_row(s.value))
        for r in self.kernel.reductions:
            if r.row and self._scope(r) == self.rows:
                self._add_in_memory(r, self.rows, self.across, self._of_row(r.value))
        for acc in self.accumulators:
            if acc.reduction.row:
                value = self._counted(acc.reduction, acc.dtype, self.across, self._of_row(acc.reduction.value))
                self._add(acc.inner, acc, value)

    def _apart(self, a: Access) -> int:
        """How far apart the elements of two neighbouring lanes are."""
        return (a.strides[self.rows - 1] if self.lanes else a.strides[-1]) if self.width > 1 else 0

    def _turn(self, a: Access, room: str) -> None:
        """Load what lies row by row, and put it aside point by point."""
        dtype = self.kernel.inputs[a.buffer].dtype
        with self._but_last() as flat:
            for first, square in memory.columns(self.kernel.sizes[-1], self.width):
                kind = memory_type(dtype)
                at = self._at("in", a, self.depth - 1, dtype)
                step = a.strides[self.rows - 1]
                rows = [self.body.let(f"load <{square} x {kind}>, ptr {at(k * step + first)}, align 1")
                        for k in range(self.width)]
                for k, column in enumerate(memory.turn(self.body, kind, rows, square)):
                    spot = self._spot(room, dtype, self._plus(flat, str(first + k)))
                    self.body.do(f"store <{self.width} x {kind}> {column}, ptr {spot}, align 1")

    def _turn_back(self, a: Access, room: str) -> None:
        """Write row by row what was put aside point by point."""
        dtype = self.kernel.outputs[a.buffer].dtype
        with self._but_last() as flat:
            for first, square in memory.columns(self.kernel.sizes[-1], self.width):
                kind = memory_type(dtype)
                given = []
                for k in range(square):
                    spot = self._spot(room, dtype, self._plus(flat, str(first + k)))
                    given.append(self.body.let(f"load <{self.width} x {kind}>, ptr {spot}, align 1"))
                at = self._at("out", a, self.depth - 1, dtype)
                for k, row in enumerate(memory.turn_back(self.body, kind, given, self.width)):
                    p = at(k * a.strides[self.rows - 1] + first)
                    self.body.do(f"store <{square} x {kind}> {row}, ptr {p}, align 1")

    @contextmanager
    def _but_last(self) -> Iterator[str]:
        """Loops over the axes of a row's points but the last; yields how many points were before."""
        with self._nest(self.rows, self.depth - 1, "0") as flat:
            yield self._times(flat, self.kernel.sizes[-1])

    @contextmanager
    def _nest(self, d: int, end: int, flat: str) -> Iterator[str]:
        if d == end:
            yield flat
            return
        with self.body.loop(0, self.kernel.sizes[d], 1) as i:
            self._advance(d, i)
            with self._nest(d + 1, end, self._plus(self._times(flat, self.kernel.sizes[d]), i)) as inner:
                yield inner

    # ------------------------------------------------------------------ phases

    def _phase(self, phase: Phase) -> None:
        """One loop over the points of a row, and the totals that it leaves."""
        if not (phase.totals or phase.stores or phase.reductions):
            return
        nodes = self.kernel.nodes
        long = len(phase.nodes) > 24 or any(nodes[n].op == "call" for n in phase.nodes)
        copies = 1 if self.lanes or long or self.kernel.sizes[-1] < 4 * self.width else 4
        held = {t: [self.body.allocate(register(nodes[t].dtype, self.width)) for _ in range(copies)]
                for t in phase.totals}
        for t, rooms in held.items():
            first = constant(identity(nodes[t].data, nodes[t].dtype), nodes[t].dtype, self.width)
            for room in rooms:
                self.body.do(f"store {register(nodes[t].dtype, self.width)} {first}, ptr {room}")
        if self.unrolled:
            for index in product(*map(range, self.kernel.sizes[self.rows:])):
                point = 0
                for d, i in enumerate(index, self.rows):
                    self._advance(d, str(i))
                    point = point * self.kernel.sizes[d] + i
                self._point(phase, str(point), held, 0)
        elif self.lanes:
            with self._nest(self.rows, self.depth, "0") as flat:
                self._point(phase, flat, held, 0)
        else:
            with self._but_last() as flat:
                self._along(phase, flat, held, copies)
        for t, rooms in held.items():
            dtype, kind = nodes[t].dtype, register(nodes[t].dtype, self.width)
            parts = [self.body.let(f"load {kind}, ptr {room}") for room in rooms]
            while len(parts) > 1:
                parts = [combine(self.body, nodes[t].data, dtype, self.width, x, y)
                         for x, y in zip(parts[::2], parts[1::2], strict=True)]
            self.row[t] = parts[0] if self.lanes else self._across(nodes[t].data, dtype, parts[0])
        for k in phase.stores:
            if k in self.results:
                self._turn_back(self.kernel.stores[k].access, self.results[k])

    def _along(self, phase: Phase, flat: str, held: dict[int, list[str]], copies: int) -> None:
        """The last axis, in vectors."""
        n, d = self.kernel.sizes[-1], self.depth - 1
        step = self.width * copies
        whole = n // step * step if copies > 1 else 0
        if whole:
            with self.body.loop(0, whole, step) as i:
                for copy in range(copies):
                    at = self._plus(i, str(copy * self.width))
                    self._advance(d, at)
                    self._point(phase, self._plus(flat, at), held, copy)
        if whole < n:
            with self.body.loop(whole, n, self.width) as i:
                at = i
                if n % self.width:
                    at = self._least(i, str(n - self.width))
                    self.counts = self._within(at, i)
                self._advance(d, at)
                self._point(phase, self._plus(flat, at), held, 0)
                self.counts = None

    def _point(self, phase: Phase, flat: str, held: dict[int, list[str]], copy: int) -> None:
        """Points side by side: evaluate, put aside, store and accumulate."""
        nodes = self.kernel.nodes
        values = {n: self._get(self.kept[n], nodes[n].dtype, flat) for n in phase.aside}
        for n in phase.nodes:
            node = nodes[n]
            if node.op == "load" and node.data in self.tiles:
                values[n] = self._get(self.tiles[node.data], node.dtype, flat)
            else:
                values[n] = self._node(n, self.width, self.depth, values)
            if n in self.kept:
                self._put(self.kept[n], node.dtype, flat, values[n])
        for k in phase.stores:
            s = self.kernel.stores[k]
            dtype, value = nodes[s.value].dtype, self._operand(s.value, self.width, values)
            if k in self.results:
                self._put(self.results[k], dtype, flat, value)
            else:
                memory.store(self.body, dtype, self.width, self._apart(s.access),
                             self._at("out", s.access, self.depth, dtype), value)
        for k in phase.reductions:
            r = self.kernel.reductions[k]
            dtype, value = nodes[r.value].dtype, self._operand(r.value, self.width, values)
            if not self.lanes:
                self._add_in_memory(r, self.depth, self.width, value)
                continue
            [acc] = [acc for acc in self.accumulators if acc.reduction is r]
            before = self._get(acc.inner, dtype, flat)
            value = combine(self.body, r.op, dtype, self.width, before, self._counted(r, dtype, self.width, value))
            self._put(acc.inner, dtype, flat, value)
        for t in phase.totals:
            dtype, value = nodes[t].dtype, self._operand(nodes[t].args[0], self.width, values)
            if not self.lanes:
                value = self._masked(nodes[t].data, dtype, value)
            kind = register(dtype, self.width)
            before = self.body.let(f"load {kind}, ptr {held[t][copy]}")
            after = combine(self.body, nodes[t].data, dtype, self.width, before, value)
            self.body.do(f"store {kind} {after}, ptr {held[t][copy]}")

    # ------------------------------------------------------------------ values

    def _node(self, n: int, width: int, d: int, values: dict[int, str]) -> str:
        """A node's value inside of the first `d` loops."""
        node = self.kernel.nodes[n]
        if node.op in ("load", "index"):
            a = node.data
            apart = 0
            if width > 1:
                apart = a.strides[self.rows - 1] if self.lanes else a.strides[-1]
            if node.op == "index":
                at = self._plus(self.places[a.strides[:d]], str(a.offset))
                return places(self.body, at, apart, node.dtype, width)
            address = self._at("in", a, d, node.dtype)
            if apart or width == 1:
                return memory.load(self.body, node.dtype, width, apart, address)
            one = memory.load(self.body, node.dtype, 1, 0, address)
            return splat(self.body, one, scalar_type(node.dtype), width)
        args = [self._operand(a, width, values) for a in node.args]
        return emit(self.body, node, self.kernel.nodes[node.args[0]].dtype, width, args)

    def _operand(self, n: int, width: int, values: dict[int, str]) -> str:
        """A node's value in `width` lanes."""
        node = self.kernel.nodes[n]
        if node.op == "const":
            return constant(node.data, node.dtype, width)
        if n in values:
            return values[n]
        value = self.row.get(n) or self.fixed[n]
        if n not in self.row or self.across < width:
            value = splat(self.body, value, scalar_type(node.dtype), width)
        values[n] = value
        return value

    def _of_row(self, n: int) -> str:
        return self._operand(n, self.across, {})

    def _masked(self, op: str, dtype: DType, value: str) -> str:
        """The value where a lane counts; elsewhere what leaves the reduction as it is."""
        if self.counts is None:
            return value
        nothing = constant(identity(op, dtype), dtype, self.width)
        return memory.chosen(self.body, dtype, self.width, self.counts, value, nothing)

    def _counted(self, r: Reduction, dtype: DType, width: int, value: str) -> str:
        return value if width == 1 else self._masked(r.op, dtype, value)

    def _across(self, op: str, dtype: DType, value: str) -> str:
        """All lanes of a vector combined."""
        lanes, kind = self.width, scalar_type(dtype)
        if lanes == 1:
            return value
        while lanes > 2:
            low, high = (memory.shuffle(self.body, kind, lanes, value, "poison", range(k, k + lanes // 2))
                         for k in (0, lanes // 2))
            lanes //= 2
            value = combine(self.body, op, dtype, lanes, low, high)
        x, y = (self.body.let(f"extractelement {wide(kind, 2)} {value}, i64 {k}") for k in (0, 1))
        return combine(self.body, op, dtype, 1, x, y)

    # ------------------------------------------------------------------ reductions over rows

    def _accumulate(self, r: Reduction) -> Accumulator | None:
        """Where a reduction over rows is kept; None if that is its output."""
        dtype = self.kernel.nodes[r.value].dtype
        if not r.row:
            return Accumulator(r, dtype, self._outer_scope(r), self._aside(dtype)) if self.lanes else None
        if self._scope(r) == self.rows:
            return None
        kind = register(dtype, self.across)
        many = self.lanes and self.kernel.sizes[self.rows - 1] > 2 * BLOCK * self.width
        sums = r.op == "add" and dtype.kind == "f"
        return Accumulator(r, dtype, self._scope(r), self.body.allocate(kind),
                           self.body.allocate(kind) if many and sums else "")

    def _outer_scope(self, r: Reduction) -> int:
        kept = [a for a in range(self.rows) if a not in r.axes]
        return kept[-1] + 1 if kept else 0

    def _set(self, room: str, acc: Accumulator) -> None:
        first = constant(identity(acc.reduction.op, acc.dtype), acc.dtype, self.across)
        self.body.do(f"store {register(acc.dtype, self.across)} {first}, ptr {room}")

    def _reset(self, acc: Accumulator) -> None:
        if acc.reduction.row:
            self._set(acc.outer or acc.inner, acc)
            return
        first = constant(identity(acc.reduction.op, acc.dtype), acc.dtype, self.width)
        with self.body.loop(0, self.points, 1) as flat:
            self._put(acc.inner, acc.dtype, flat, first)

    def _add(self, room: str, acc: Accumulator, value: str) -> None:
        kind = register(acc.dtype, self.across)
        before = self.body.let(f"load {kind}, ptr {room}")
        after = combine(self.body, acc.reduction.op, acc.dtype, self.across, before, value)
        self.body.do(f"store {kind} {after}, ptr {room}")

    def _add_in_memory(self, r: Reduction, d: int, width: int, value: str) -> None:
        """Combine with what the output holds."""
        dtype = self.kernel.nodes[r.value].dtype
        apart = self._apart(r.access) if width > 1 else 0
        at = self._at("out", r.access, d, dtype)
        before = memory.load(self.body, dtype, width, apart, at)
        value = combine(self.body, r.op, dtype, width, before, self._counted(r, dtype, width, value))
        memory.store(self.body, dtype, width, apart, at, value)

    def _finish(self, acc: Accumulator) -> None:
        """Write a reduction out."""
        r = acc.reduction
        if r.row:
            kind = register(acc.dtype, self.across)
            total = self.body.let(f"load {kind}, ptr {acc.outer or acc.inner}")
            self._write(acc, acc.scope, self._across(r.op, acc.dtype, total) if self.lanes else total)
            return
        for d in range(acc.scope, self.rows):
            self._advance(d, "0")
        with self._nest(self.rows, self.depth, "0") as flat:
            total = self._across(r.op, acc.dtype, self._get(acc.inner, acc.dtype, flat))
            self._write(acc, self.depth, total)

    def _write(self, acc: Accumulator, d: int, total: str) -> None:
        r = acc.reduction
        at = self._at("out", r.access, d, acc.dtype)
        if self._carried(r):
            total = combine(self.body, r.op, acc.dtype, 1, memory.load(self.body, acc.dtype, 1, 0, at), total)
        memory.store(self.body, acc.dtype, 1, 0, at, total)


@contextmanager
def _once(begin: str) -> Iterator[str]:
    yield begin


__all__ = ["Form", "Rows", "form", "narrow", "renderable"]
