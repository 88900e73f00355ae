"""Loop IR to LLVM IR with explicit vectors.

Loops are nested in the order of the axes; a node is evaluated in the outermost loop that fixes
it, so what a row shares is computed once per row. The innermost axis is cut into vectors, the last
of which overlaps the one before it; what it reduces a second time counts for nothing. A
reduction over the innermost axis keeps several vector accumulators; sums of floats also start them
afresh every few hundred elements and add up the partial results, so rounding errors grow with the
number of blocks instead of the number of elements. A reduction that keeps the innermost axis
accumulates in its output. Large results are written past the caches (streaming.py). A guarded kernel is cut into boxes
without conditions (pieces.py), a function each; they have the outermost axis in common, so chunks are those of the
whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from npdiff.kernels import llvm_complex
from npdiff.kernels import llvm_memory as memory
from npdiff.kernels.chunks import Work, part_bytes
from npdiff.kernels.llvm_ops import combine, emit
from npdiff.kernels.llvm_text import (
    LOOP_HINTS,
    Body,
    constant,
    lanes_where,
    memory_type,
    places,
    register,
    scalar_type,
    splat,
)
from npdiff.kernels.loop_ir import Access, Buffer, DType, Kernel, Reduction, collapse, identity, levels, part_of
from npdiff.kernels.pieces import Piece
from npdiff.kernels.render_rows import Rows, form
from npdiff.kernels.rows import live
from npdiff.kernels.streaming import streamed
from npdiff.kernels.vecmath.library import FUNCTIONS

# Elements each accumulator lane adds up before its partial sum is set aside, and partial sums likewise.
BLOCK = 32
# Up to so many uses of vector math are copied into the loop; more wait for each other too long for two registers to
# fill the time, and on four of them copies would take too long to compile.
FEW_CALLS = 1
# The share of a kernel's points whose loops are compiled in half the time, at the price of slower ones.
EDGES = 1 / 16


@dataclass(slots=True)
class Accumulators:
    """Where a reduction keeps its partial results: `vectors[level][copy]`, or one scalar where there are no vectors."""

    reduction: Reduction
    dtype: DType
    vectors: list[list[str]] = field(default_factory=list)
    scalar: str = ""


class Renderer:
    """Renders one kernel for vectors of `bits` bits."""

    def __init__(self, kernel: Kernel, bits: int, work: Work, fma: bool, apart: bool = False) -> None:
        # A kernel of one point is a loop of one turn.
        self.kernel = kernel
        self.work = work
        # The outermost loop: all of it, or the chunk that the caller names.
        self.range: tuple[str, str] = ("%begin", "%end") if work.wide else ("0", str(work.extent))
        # One piece of several: its part of a chunk may begin and end anywhere.
        self.apart = apart
        self.streamed = frozenset() if apart else streamed(kernel, work)
        self.depth = len(kernel.sizes)
        self.order = live(kernel)
        self.level = levels(kernel)
        self.inner = kernel.sizes[-1] if kernel.sizes else 1
        inside = [n for n in self.order if self.level[n] == self.depth]
        sizes = [part_of(kernel.nodes[n].dtype).itemsize for n in inside] or [8]
        registers = [r for r in kernel.reductions if self._scope(r) < self.depth]
        calls = sum(n.op == "call" and n.data in FUNCTIONS for n in kernel.nodes) if fma else 0
        self.width = self._vectors(max(bits // 8 // max(sizes), 1), calls)
        self.copies = 4 if len(inside) * len(registers) <= 16 else 2
        if not registers or calls or len(inside) > 48 or self.width == 1:
            self.copies = 1
        self.body = Body(fma, self.width, calls <= FEW_CALLS)
        self.step = self.width * self.copies
        # Lanes that count for something; None: all.
        self.counts: str | None = None
        self.fixed: dict[int, str] = {}
        self.places: dict[tuple[int, ...], str] = {(): "0"}
        # The inner axis in blocks: how many elements there are between two settlements, innermost first.
        self.blocks: list[int] = []
        sums = any(r.op == "add" and kernel.nodes[r.value].dtype.kind in "fc" for r in registers)
        span = self.step * BLOCK
        while sums and self.width > 1 and span < (work.chunk if self.depth == 1 else self.inner):
            self.blocks.append(span)
            span *= BLOCK
        self.accumulators = [self._accumulate(r) for r in registers]

    def _vectors(self, native: int, calls: int) -> int:
        """Lanes of a vector: more than a register has, next to vector math, whose steps wait for each other."""
        if self.depth == 0 or self.inner < native:
            return 1
        for times in (4, 2) if calls > FEW_CALLS else (2,) if calls else ():
            width = native * times
            # The last vector overlaps the one before it: not for much of the axis, and there must be one before it.
            if width <= self.inner and -self.inner % width * 8 <= self.inner:
                return width
        return native

    def _scope(self, r: Reduction) -> int:
        """How many loops are around the point where a reduction begins and ends."""
        kept = [a for a in range(self.depth) if a not in r.axes]
        return kept[-1] + 1 if kept else 0

    def _carried(self, r: Reduction) -> bool:
        """Whether a reduction comes back to the same output: a reduced axis lies outside a kept one."""
        return any(a < self._scope(r) for a in r.axes)

    def _accumulate(self, r: Reduction) -> Accumulators:
        dtype = self.kernel.nodes[r.value].dtype
        acc = Accumulators(r, dtype)
        if self.width > 1:
            blocked = self._blocked(acc)
            for _ in range(1 + (len(self.blocks) if blocked else 0)):
                kind = register(dtype, self.width)
                acc.vectors.append([self.body.allocate(kind) for _ in range(self.copies)])
        else:
            acc.scalar = self.body.allocate(register(dtype, 1))
        return acc

    def _blocked(self, acc: Accumulators) -> bool:
        return acc.reduction.op == "add" and acc.dtype.kind in "fc"

    def render(self) -> None:
        """Fill the body."""
        self._fill_outputs()
        self._enter(0)
        self.body.do("ret void")

    def _fill_outputs(self) -> None:
        """Give the outputs that are accumulated in memory their first value; a chunk, those of its own turns."""
        for r in self.kernel.reductions:
            if self._carried(r):
                out = self.kernel.outputs[r.access.buffer]
                begin, end = "0", str(out.size)
                if self.work.wide and 0 not in r.axes:
                    begin, end = [self.body.let(f"mul i64 {i}, {r.access.strides[0]}") for i in self.range]
                with self.body.loop(begin, end, 1) as i:
                    first = constant(identity(r.op, out.dtype), out.dtype, 1)
                    p = self.body.let(f"getelementptr {memory_type(out.dtype)}, ptr %out{r.access.buffer}, i64 {i}")
                    self._put(p, out.dtype, first)

    def _put(self, p: str, dtype: DType, value: str) -> None:
        """Write one value to an address."""
        memory.store(self.body, dtype, 1, 0, lambda _: p, value)

    def _enter(self, d: int) -> None:
        """Everything inside the first `d` loops."""
        for acc in self.accumulators:
            if self._scope(acc.reduction) == d:
                self._reset(acc)
        if d < self.depth:
            for n in self.order:
                if self.level[n] == d:
                    self.fixed[n] = self._node(n, 1, None, self.fixed)
        if d >= self.depth - 1:
            self._innermost()
        else:
            begin, end = self.range if d == 0 else ("0", str(self.kernel.sizes[d]))
            with self.body.loop(begin, end, 1) as i:
                self._advance(d, i)
                self._enter(d + 1)
        for acc in self.accumulators:
            if self._scope(acc.reduction) == d:
                self._finish(acc)

    def _advance(self, d: int, i: str) -> None:
        """Where each access stands, now that the index of axis `d` is known."""
        every = [self.kernel.nodes[n].data for n in self.order if self.kernel.nodes[n].op in ("load", "index")]
        every += [s.access for s in self.kernel.stores] + [r.access for r in self.kernel.reductions]
        for key in dict.fromkeys(a.strides[:d + 1] for a in every):
            below = self.places[key[:-1]]
            if key[-1] == 0:
                self.places[key] = below
                continue
            moved = self.body.let(f"mul i64 {i}, {key[-1]}")
            self.places[key] = self.body.let(f"add i64 {below}, {moved}")

    def _innermost(self) -> None:
        if self.depth == 0:
            self._point(None, 1, 0)
            return
        begin, end = self.range if self.depth == 1 else ("0", str(self.inner))
        if self.width > 1 and not self.kernel.reductions:
            # The last vector begins where it ends with the axis or chunk: some points are computed and stored twice.
            even = self.inner % self.width == 0 and not self.apart
            if self.streamed and not even:
                whole = self._last(begin, end, self.width)
                with self.body.loop(begin, whole, self.width) as i:
                    self._point(i, self.width, 0)
                begin = whole
            with self.body.loop(begin, end, self.width) as i:
                at = i if even else self.body.intrinsic("llvm.smin.i64", "i64", ["i64", "i64"],
                                                        [i, str(self.inner - self.width)])
                self._point(at, self.width, 0, whole=even)
            return
        if self.width > 1 and self.inner >= self.step:
            whole = self._last(begin, end, self.step)
            self._blocks(len(self.blocks), begin, whole)
            begin = whole
        left = self.width if self.depth == 1 and self.work.wide else self.inner % self.step
        if self.width > 1 and self.copies > 1 and left >= self.width:
            rest = self._last(begin, end, self.width)
            with self.body.loop(begin, rest, self.width) as i:
                self._point(i, self.width, 0, top=True)
            begin = rest
        if begin == end:
            return
        with self.body.loop(begin, end, self.width) as i:
            if self.width == 1:
                self._point(i, 1, 0)
                return
            at = self.body.let(f"sub i64 {end}, {self.width}")
            self.counts = lanes_where(self.body, "sge", self.body.let(f"sub i64 {i}, {at}"), self.width)
            self._point(at, self.width, 0, top=True, whole=False)
            self.counts = None

    def _last(self, begin: str, end: str, step: int) -> str:
        """The last point from `begin` in steps that is not past `end`."""
        if not begin.startswith("%") and not end.startswith("%"):
            return str(int(begin) + (int(end) - int(begin)) // step * step)
        span = self.body.let(f"sub i64 {end}, {begin}")
        over = self.body.let(f"urem i64 {span}, {step}")
        return self.body.let(f"sub i64 {end}, {over}")

    def _blocks(self, level: int, begin: str, end: str) -> None:
        """Vectors from begin to end; sums of floats are settled after every block."""
        if level == 0:
            with self.body.loop(begin, end, self.step) as i:
                for copy in range(self.copies):
                    at = i if copy == 0 else self.body.let(f"add i64 {i}, {copy * self.width}")
                    self._point(at, self.width, copy)
            return
        span = self.blocks[level - 1]
        sums = [a for a in self.accumulators if self._blocked(a)]
        with self.body.loop(begin, end, span) as b:
            far = self.body.let(f"add i64 {b}, {span}")
            stop = self.body.intrinsic("llvm.smin.i64", "i64", ["i64", "i64"], [far, str(end)])
            for acc in sums:
                self._set(acc, level - 1)
            self._blocks(level - 1, b, stop)
            for acc in sums:
                for source, target in zip(acc.vectors[level - 1], acc.vectors[level], strict=True):
                    kind = register(acc.dtype, self.width)
                    part = self.body.let(f"load {kind}, ptr {source}")
                    self._add_to(target, acc, self.width, part)

    def _point(self, i: str | None, width: int, copy: int, top: bool = False, whole: bool = True) -> None:
        """Evaluate the nodes for `width` neighbouring points, and store or accumulate.

        `whole`: the points are a multiple of `width` away from where the row or chunk begins.
        """
        values: dict[int, str] = {}
        for n in self.order:
            if self.level[n] == self.depth:
                values[n] = self._node(n, width, i, values)
        for s in self.kernel.stores:
            value = self._operand(s.value, width, values)
            self._store(s.access, i, self.kernel.nodes[s.value].dtype, width, value,
                        whole and s.access.buffer in self.streamed)
        for r in self.kernel.reductions:
            if self._scope(r) == self.depth:
                dtype = self.kernel.nodes[r.value].dtype
                value = self._operand(r.value, width, values)
                if self._carried(r):
                    value = self._counted(r.op, dtype, width, value)
                    before = self._load("out", r.access, i, dtype, width)
                    value = combine(self.body, r.op, dtype, width, before, value)
                self._store(r.access, i, dtype, width, value)
        for acc in self.accumulators:
            value = self._operand(acc.reduction.value, width, values)
            value = self._counted(acc.reduction.op, acc.dtype, width, value)
            target = acc.scalar if width == 1 else acc.vectors[-1 if top else 0][copy]
            self._add_to(target, acc, width, value)

    def _counted(self, op: str, dtype: DType, width: int, value: str) -> str:
        """The value where a lane counts; elsewhere what leaves the reduction as it is."""
        if self.counts is None:
            return value
        nothing = constant(identity(op, dtype), dtype, width)
        return memory.chosen(self.body, dtype, width, self.counts, value, nothing)

    def _add_to(self, target: str, acc: Accumulators, width: int, value: str) -> None:
        kind = register(acc.dtype, width)
        before = self.body.let(f"load {kind}, ptr {target}")
        after = combine(self.body, acc.reduction.op, acc.dtype, width, before, value)
        self.body.do(f"store {kind} {after}, ptr {target}")

    def _set(self, acc: Accumulators, level: int) -> None:
        first = constant(identity(acc.reduction.op, acc.dtype), acc.dtype, self.width)
        for v in acc.vectors[level]:
            self.body.do(f"store {register(acc.dtype, self.width)} {first}, ptr {v}")

    def _reset(self, acc: Accumulators) -> None:
        if acc.vectors:
            self._set(acc, len(acc.vectors) - 1)
        else:
            first = constant(identity(acc.reduction.op, acc.dtype), acc.dtype, 1)
            self.body.do(f"store {register(acc.dtype, 1)} {first}, ptr {acc.scalar}")

    def _finish(self, acc: Accumulators) -> None:
        """Combine all partial results of a reduction and write it out."""
        op, dtype, body = acc.reduction.op, acc.dtype, self.body
        if acc.vectors:
            kind = register(dtype, self.width)
            whole = [body.let(f"load {kind}, ptr {v}") for v in acc.vectors[-1]]
            vector = self._tree(op, dtype, self.width, whole)
            parts = [memory.lane(body, dtype, self.width, vector, k) for k in range(self.width)]
            total = self._tree(op, dtype, 1, parts)
        else:
            total = body.let(f"load {register(dtype, 1)}, ptr {acc.scalar}")
        a = acc.reduction.access
        place = Access(a.buffer, a.offset, a.strides[:self._scope(acc.reduction)])
        if self._carried(acc.reduction):
            total = combine(body, op, dtype, 1, self._load("out", place, None, dtype, 1), total)
        self._store(place, None, dtype, 1, total)

    def _tree(self, op: str, dtype: DType, width: int, parts: list[str]) -> str:
        while len(parts) > 1:
            pairs = [combine(self.body, op, dtype, width, x, y) for x, y in zip(parts[::2], parts[1::2], strict=False)]
            parts = pairs + parts[len(pairs) * 2:]
        return parts[0]

    def _operand(self, n: int, width: int, values: dict[int, str]) -> str:
        """A node's value in `width` lanes."""
        node = self.kernel.nodes[n]
        if node.op == "const":
            return constant(node.data, node.dtype, width)
        if n in values:
            return values[n]
        if node.dtype.kind == "c":
            values[n] = llvm_complex.splat(self.body, node.dtype, width, self.fixed[n])
        else:
            values[n] = splat(self.body, self.fixed[n], scalar_type(node.dtype), width)
        return values[n]

    def _node(self, n: int, width: int, i: str | None, values: dict[int, str]) -> str:
        node = self.kernel.nodes[n]
        if node.op == "const":
            return constant(node.data, node.dtype, width)
        if node.op == "load":
            return self._load("in", node.data, i, node.dtype, width)
        if node.op == "index":
            apart = node.data.strides[-1] if i is not None else 0
            return places(self.body, self._place(node.data, i), apart, node.dtype, width)
        args = [self._operand(a, width, values) for a in node.args]
        return emit(self.body, node, self.kernel.nodes[node.args[0]].dtype, width, args)

    def _address(self, stem: str, a: Access, i: str | None, dtype: DType, shift: int = 0) -> str:
        """The address of an element; `i` is the innermost index, None outside the innermost loop."""
        at = self._place(a, i, shift)
        return self.body.let(f"getelementptr {memory_type(dtype)}, ptr %{stem}{a.buffer}, i64 {at}")

    def _place(self, a: Access, i: str | None, shift: int = 0) -> str:
        """How many elements after the first one it is."""
        outer = a.strides if i is None else a.strides[:-1]
        # A load outside the innermost loop does not move along the loops inside.
        while outer and outer[-1] == 0:
            outer = outer[:-1]
        at = self.places[outer]
        if i is not None and a.strides[-1]:
            step = i if a.strides[-1] == 1 else self.body.let(f"mul i64 {i}, {a.strides[-1]}")
            at = step if at == "0" else self.body.let(f"add i64 {at}, {step}")
        if a.offset + shift:
            at = self.body.let(f"add i64 {at}, {a.offset + shift}")
        return at

    def _load(self, stem: str, a: Access, i: str | None, dtype: DType, width: int) -> str:
        stride = a.strides[-1] if i is not None else 0
        return memory.load(self.body, dtype, width, stride, lambda k: self._address(stem, a, i, dtype, k))

    def _store(self, a: Access, i: str | None, dtype: DType, width: int, value: str, stream: bool = False) -> None:
        stride = a.strides[-1] if i is not None else 0
        memory.store(self.body, dtype, width, stride, lambda k: self._address("out", a, i, dtype, k), value, stream)


def render(kernel: Kernel, pieces: list[Piece], bits: int, work: Work, fma: bool) -> str:
    """The module's text, given what the kernel is cut into.

    ``@npdiff_kernel(addresses, begin, end)`` takes the addresses of the inputs' and outputs' elements and the turns of
    the outermost loop to do. ``@npdiff_join(addresses, whole, chunks)``, where chunks leave parts, puts these together
    into the outputs at `whole`.
    """
    stems = [f"in{k}" for k in range(len(kernel.inputs))] + [f"out{k}" for k in range(len(kernel.outputs))]
    names = [f"ptr noalias %{n}" for n in stems] + ["i64 %begin", "i64 %end"]
    lines = ["define void @npdiff_kernel(ptr %addresses, i64 %begin, i64 %end) nounwind {", "entry:"]
    if work.parted:
        lines.append(f"  %chunk = udiv i64 %begin, {work.chunk}")
    for k, n in enumerate(stems):
        lines.append(f"  %{n}.at = getelementptr ptr, ptr %addresses, i64 {k}")
        lines.append(f"  %{n}.{'all' if _parted(work, n) else 'data'} = load ptr, ptr %{n}.at")
        if _parted(work, n):
            out = kernel.outputs[int(n[3:])]
            lines.append(f"  %{n}.part = mul i64 %chunk, {_part(out)}")
            lines.append(f"  %{n}.data = getelementptr {memory_type(out.dtype)}, ptr %{n}.all, i64 %{n}.part")
    given = ", ".join(f"ptr %{n}.data" for n in stems)
    body: list[str] = []
    marks: list[str] = []
    declarations: set[str] = set()
    definitions: dict[str, str] = {}
    edges = _edges(pieces)
    for k, piece in enumerate(pieces):
        part = collapse(piece.kernel, int(work.wide)) if len(pieces) > 1 else piece.kernel
        extent = part.sizes[0] if part.sizes else 1
        in_rows = form(part, bits)
        r: Renderer | Rows
        if in_rows is not None and len(pieces) == 1:
            r = Rows(in_rows, work, fma)
        else:
            r = Renderer(part, bits, work if len(pieces) == 1 else replace(work, extent=extent), fma, len(pieces) > 1)
        r.body.marks = len(marks)
        r.render()
        loops = f"loops{k or ''}"
        # Copied into the caller, which knows no more that its addresses do not overlap: inlining hands that on.
        place = "alwaysinline" if len(pieces) == 1 else "noinline optnone" if k in edges else "noinline"
        define = f"define internal void @{loops}({', '.join(names)}) {place} nounwind {{"
        body += [define, "entry:", *r.body.allocations, *r.body.lines, "}"]
        marks += r.body.metadata
        declarations |= r.body.declarations
        definitions.update(r.body.definitions)
        begin, end = "%begin", "%end"
        if len(pieces) > 1 and work.wide:
            low, high = piece.box[0]
            declarations |= {f"declare i64 @llvm.{op}.i64(i64, i64)" for op in ("smax", "smin")}
            begin, end = [_shifted(lines, f"%{name}{k}", low, high) for name in ("begin", "end")]
        lines.append(f"  call void @{loops}({given}, i64 {begin}, i64 {end})")
        if isinstance(r, Renderer) and r.streamed:
            lines.append("  fence seq_cst")  # streamed stores are in no order with what tells others that they are done
    lines += ["  ret void", "}"]
    join = Body()
    for x in kernel.reductions if work.parted else ():
        if x.access.buffer in work.parted:
            _join(join, x.op, kernel.outputs[x.access.buffer], len(kernel.inputs) + x.access.buffer, x.access.buffer,
                  len(marks))
    if work.parted:
        lines += ["define void @npdiff_join(ptr %addresses, ptr %whole, i64 %chunks) nounwind {", "entry:",
                  *join.lines, "  ret void", "}"]
    marks = [LOOP_HINTS, *marks, *join.metadata]
    return "\n".join([*sorted(declarations | join.declarations), *definitions.values(), *body, *lines, *marks]) + "\n"


def _edges(pieces: list[Piece]) -> set[int]:
    """The pieces that have next to nothing of the points, and whose code is not worth any care."""
    points = [math.prod(piece.kernel.sizes) for piece in pieces]
    found: set[int] = set()
    left = sum(points) * EDGES
    for k in sorted(range(len(pieces)), key=points.__getitem__):
        left -= points[k]
        if left < 0:
            break
        found.add(k)
    return found


def _shifted(lines: list[str], name: str, low: int, high: int) -> str:
    """One end of a chunk, as the outermost index of a piece that reaches from `low` to `high`."""
    which = name[1:].rstrip("0123456789")
    for step, op, x, y in (("a", "smax", f"%{which}", low), ("b", "smin", f"{name}.a", high)):
        lines.append(f"  {name}.{step} = call i64 @llvm.{op}.i64(i64 {x}, i64 {y})")
    lines.append(f"  {name} = sub i64 {name}.b, {low}")
    return name


def _parted(work: Work, name: str) -> bool:
    return name.startswith("out") and int(name[3:]) in work.parted


def _part(out: Buffer) -> int:
    """Elements from one chunk's part of an output to the next."""
    return part_bytes(out.size * out.dtype.itemsize) // out.dtype.itemsize


def _join(body: Body, op: str, out: Buffer, address: int, whole: int, marks: int) -> None:
    """Combine the parts of one output, chunk by chunk."""
    kind = memory_type(out.dtype)
    body.marks = marks
    parts = body.let(f"load ptr, ptr {body.let(f'getelementptr ptr, ptr %addresses, i64 {address}')}")
    final = body.let(f"load ptr, ptr {body.let(f'getelementptr ptr, ptr %whole, i64 {whole}')}")

    def element(base: str, at: str) -> str:
        return body.let(f"getelementptr {kind}, ptr {base}, i64 {at}")

    def value(p: str) -> str:
        return memory.load(body, out.dtype, 1, 0, lambda _: p)

    def write(p: str, x: str) -> None:
        memory.store(body, out.dtype, 1, 0, lambda _: p, x)

    with body.loop(0, out.size, 1) as i:
        total = element(final, i)
        write(total, value(element(parts, i)))
        with body.loop(1, "%chunks", 1) as c:
            at = body.let(f"add i64 {body.let(f'mul i64 {c}, {_part(out)}')}, {i}")
            write(total, combine(body, op, out.dtype, 1, value(total), value(element(parts, at))))
