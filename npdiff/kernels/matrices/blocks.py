"""Products of larger matrices: blocks of the left factor's rows stay in the second-level cache, strips of the right
factor's columns in the first, and tiles of the result in registers.

K. Goto and R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34 (2008); F. Van Zee and R.
van de Geijn, BLIS: A Framework for Rapidly Instantiating BLAS Functionality, ACM TOMS 41 (2015).
"""

from __future__ import annotations

from npdiff.kernels.llvm_text import Body
from npdiff.kernels.loop_ir import DType
from npdiff.kernels.matrices.forms import Operation
from npdiff.kernels.matrices.lanes import Index, Lanes
from npdiff.kernels.matrices.products import oriented

# Rows of a block at most, and how many products are added up before the tile goes back to memory.
ROWS, DEPTH = 96, 256
# Columns that a block is multiplied with before another thread may take over.
SPAN = 512
# Vectors of a row of a tile; a tile's rows are as many as the registers allow.
_ACROSS = 2


def tile_rows(registers: int) -> int:
    """Rows of a tile, of `_ACROSS` vectors each, that leave registers for what is added."""
    return 12 if registers >= 32 else 6


def block_rows(rows: int, tile: int) -> int:
    """Rows of a block: an even number of blocks of about one size, if there is more than one."""
    blocks = -(-rows // ROWS)
    blocks += blocks % 2 if blocks > 1 else 0
    return -(-rows // blocks // tile) * tile


class Tile(Lanes):
    """The function that makes one tile: ``tile(left, right, result, step, depth, first)``.

    `left` has the numbers of a tile's rows side by side for each of `depth` columns, `right` those of its columns. The
    products are stored (at the `first` depth) or added to what is there; rows of the result are `step` numbers apart.
    """

    def __init__(self, dtype: DType, width: int, fma: bool, rows: int) -> None:
        super().__init__(dtype, width, fma, unroll=False)
        self.rows = rows
        self.sums = [[self.body.allocate(self.many) for _ in range(_ACROSS)] for _ in range(rows)]

    def render(self) -> list[str]:
        """The function's text."""
        body = self.body
        every = [v for row in self.sums for v in row]
        for v in every:
            self.put(v, 0, self.number(0))
        whole = body.let("and i64 %depth, -4")
        with body.loop(0, whole, 4) as k:
            for s in range(4):
                self._column(self.add(k, s))
        with body.loop(whole, "%depth", 1) as k:
            self._column(k)
        with self.when("%first"):
            self._store(False)
            body.do("ret void")
            body.start(body.name("dead"))
        self._store(True)
        head = ("define internal void @tile(ptr noalias %left, ptr noalias %right, ptr noalias %result, i64 %step, "
                "i64 %depth, i1 %first) noinline nounwind {")
        return [head, "entry:", *body.allocations, *body.lines, "  ret void", "}"]

    def _column(self, k: Index) -> None:
        under = [self.get_piece("%right", self.add(self.times(k, self.width * _ACROSS), v * self.width), self.width)
                 for v in range(_ACROSS)]
        for r, row in enumerate(self.sums):
            x = self.everywhere(self.get_one("%left", self.add(self.times(k, self.rows), r)))
            for v, y in zip(row, under, strict=True):
                self.put(v, 0, self.call("fmuladd", x, y, self.get(v, 0)))

    def _store(self, more: bool) -> None:
        for r, row in enumerate(self.sums):
            base = self.address("%result", self.body.let(f"mul i64 %step, {r}"), self.one)
            for v, total in enumerate(row):
                value = self.get(total, 0)
                if more:
                    value = self.op("fadd", self.get_piece(base, v * self.width, self.width), value)
                self.put_piece(base, v * self.width, self.width, value)


# What a block's code reads of the shapes of its matrices, in this order; so all products of a dtype share their code.
_READ = ("rows", "cols", "inner", "block", "count", "span", "spans", "depth", "left_down", "left_across",
         "right_down", "right_across", "step")


class Blocks(Lanes):
    """Renders the product of a block of rows and a span of columns, of which each matrix of the stack has several."""

    def __init__(self, operation: Operation, width: int, fma: bool, registers: int) -> None:
        super().__init__(operation.dtype, width, fma, unroll=False)
        self.operation = operation
        self.left, self.right, self.result, self.turned = oriented(operation)
        self.tile = Tile(operation.dtype, width, fma, tile_rows(registers))
        self.tall, self.wide = self.tile.rows, _ACROSS * width
        most = -(-ROWS // self.tall) * self.tall
        block = block_rows(self.result.rows, self.tall)
        count = -(-self.result.rows // block)
        inner = self.left.cols
        cols = self.result.cols
        span = -(-cols // -(-cols // SPAN) // self.wide) * self.wide
        self.shapes = (self.result.rows, cols, inner, block, count, span, -(-cols // span),
                       -(-inner // -(-inner // DEPTH)), self.left.down, self.left.across, self.right.down,
                       self.right.across, self.result.down)
        self.extent, self.together = count * -(-cols // span) * operation.count, 1
        self.packed = self._scratch(most * DEPTH)
        self.strip = self._scratch(self.wide * DEPTH)
        self.edge = self._scratch(self.tall * self.wide)

    def _scratch(self, count: int) -> str:
        return self.body.allocate(f"[{count} x {self.one}], align 64")

    def start(self, names: list[str]) -> None:
        """Before the first block: read the shapes."""
        read: dict[str, Index] = {}
        for k, name in enumerate(_READ):
            read[name] = self.body.let(f"load i64, ptr {self.address(names[2], k, 'i64')}")
        for name, m in (("left", self.left), ("right", self.right)):
            for way in ("down", "across"):
                if getattr(m, way) == 1:
                    read[f"{name}_{way}"] = 1
        self.read = read

    def group(self, names: list[str], turn: Index) -> None:
        """One block and span; `names` are the addresses of factors, shapes and result."""
        read = self.read
        names = [names[1], names[0], names[3]] if self.turned else [names[0], names[1], names[3]]
        above = self.body.let(f"udiv i64 {turn}, {read['spans']}")
        number = self.body.let(f"udiv i64 {above}, {read['count']}")
        first = self.times(self.body.let(f"urem i64 {above}, {read['count']}"), read["block"])
        begin = self.times(self.body.let(f"urem i64 {turn}, {read['spans']}"), read["span"])
        end = self.least(self.add(begin, read["span"]), read["cols"])
        left, right, result = [self.base(n, m, self.operation.batch, number) for n, m in zip(
            names, (self.left, self.right, self.result), strict=True)]
        rows = self.least(self.less(read["rows"], first), read["block"])
        panels = self.body.let(f"udiv i64 {self.add(rows, self.tall - 1)}, {self.tall}")
        over = self.body.let(f"urem i64 {self.less(end, begin)}, {self.wide}")
        whole = self.less(end, over)

        def deep(k: Index) -> None:
            depth = self.least(self.less(read["inner"], k), read["depth"])
            start = self.body.let(f"icmp eq i64 {k}, 0")
            self._take_rows(left, first, panels, k, depth)

            def strip(j: Index) -> None:
                self._take_columns(right, k, depth, j)
                self._tiles(result, first, rows, panels, depth, j, start, self.wide)

            self.each(begin, whole, strip, self.wide)
            with self.when(self.body.let(f"icmp ne i64 {over}, 0")):
                self._take_some(right, k, depth, whole, over)
                self._tiles(result, first, rows, panels, depth, whole, start, over)

        self.each(0, read["inner"], deep, read["depth"])

    def _take_rows(self, left: str, first: Index, panels: Index, k: Index, depth: Index) -> None:
        """Copy the block's rows: those of a tile side by side, column after column."""
        down, across = self.read["left_down"], self.read["left_across"]
        last = self.less(self.read["rows"], 1)

        def panel(p: Index) -> None:
            top = self.add(first, self.times(p, self.tall))
            target = self.address(self.packed, self.times(p, self.tall * DEPTH), self.one)
            # Below the last row, it is copied again; nobody looks at the results.
            heads = [self.address(left, self.add(self.times(self.least(self.add(top, r), last), down),
                                                 self.times(k, across)), self.one) for r in range(self.tall)]

            def column(c: Index) -> None:
                for r, head in enumerate(heads):
                    x = self.get_one(head, self.times(c, across))
                    self.put_piece(target, self.add(self.times(c, self.tall), r), 1, x)

            def columns(c: Index) -> None:
                side = [self.transposed([self.get_piece(head, c, self.width) for head in heads[g:g + self.width]])
                        for g in range(0, self.tall - self.width + 1, self.width)]
                for s in range(self.width):
                    at = self.times(self.add(c, s), self.tall)
                    for g, vectors in enumerate(side):
                        self.put_piece(target, self.add(at, g * self.width), self.width, vectors[s])
                    for r in range(len(side) * self.width, self.tall):
                        self.put_piece(target, self.add(at, r), 1, self.get_one(heads[r], self.add(c, s)))

            begin: Index = 0
            if across == 1:
                begin = self.cut(depth, self.width)
                self.each(0, begin, columns, self.width)
            self.each(begin, depth, column)

        self.each(0, panels, panel)

    def _take_columns(self, right: str, k: Index, depth: Index, j: Index) -> None:
        """Copy a strip of columns side by side, row after row."""
        down, across, w = self.read["right_down"], self.read["right_across"], self.width
        base = self.address(right, self.add(self.times(k, down), self.times(j, across)), self.one)

        def row(r: Index) -> None:
            for begin in range(0, self.wide, w):
                v = self.get_piece(base, self.add(self.times(r, down), begin), w)
                self.put_piece(self.strip, self.add(self.times(r, self.wide), begin), w, v)

        def several(r: Index) -> None:
            for begin in range(0, self.wide, w):
                columns = [self.get_piece(base, self.add(r, self.times(across, begin + c)), w) for c in range(w)]
                for s, v in enumerate(self.transposed(columns)):
                    self.put_piece(self.strip, self.add(self.times(self.add(r, s), self.wide), begin), w, v)

        if across == 1:
            self.each(0, depth, row)
            return
        begin: Index = 0
        if down == 1:
            begin = self.cut(depth, w)
            self.each(0, begin, several, w)
        self.each(begin, depth, lambda r: self._take_row(base, r, self.wide))

    def _take_some(self, right: str, k: Index, depth: Index, j: Index, cols: Index) -> None:
        """Copy the last columns, which are fewer than a strip has; nobody looks at the rest of it."""
        read = self.read
        base = self.address(right, self.add(self.times(k, read["right_down"]), self.times(j, read["right_across"])),
                            self.one)
        self.each(0, depth, lambda r: self._take_row(base, r, cols))

    def _take_row(self, base: str, r: Index, cols: Index) -> None:
        def number(c: Index) -> None:
            at = self.add(self.times(r, self.read["right_down"]), self.times(c, self.read["right_across"]))
            self.put_piece(self.strip, self.add(self.times(r, self.wide), c), 1, self.get_one(base, at))

        self.each(0, cols, number)

    def _tiles(self, result: str, first: Index, rows: Index, panels: Index, depth: Index, j: Index, start: str,
               cols: Index) -> None:
        """The tiles of `cols` columns, from column j on."""
        step = self.read["step"]

        def panel(p: Index) -> None:
            row = self.times(p, self.tall)
            left = self.address(self.packed, self.times(row, DEPTH), self.one)
            place = self.address(result, self.add(self.times(self.add(first, row), step), j), self.one)
            inside = self.least(self.less(rows, row), self.tall)
            names = [self.body.name(s) for s in ("whole", "part", "done")]
            if cols == self.wide:
                fits = self.body.let(f"icmp eq i64 {inside}, {self.tall}")
                self.body.do(f"br i1 {fits}, label %{names[0]}, label %{names[1]}")
                self.body.start(names[0])
                self._call(left, place, step, depth, start)
                self.body.do(f"br label %{names[2]}")
                self.body.start(names[1])
            self._call(left, self.edge, self.wide, depth, "true")
            self.each(0, inside, lambda r: self.each(0, cols, lambda c: self._move(place, r, c, start)))
            if cols == self.wide:
                self.body.do(f"br label %{names[2]}")
                self.body.start(names[2])

        self.each(0, panels, panel)

    def _call(self, left: str, place: str, step: Index, depth: Index, start: str) -> None:
        self.body.do(f"call void @tile(ptr {left}, ptr {self.strip}, ptr {place}, i64 {step}, i64 {depth}, i1 {start})")

    def _move(self, place: str, r: Index, c: Index, start: str) -> None:
        """A number of a tile at the edge, from where it was made to where it belongs."""
        x = self.get_one(self.edge, self.add(self.times(r, self.wide), c))
        at = self.add(self.times(r, self.read["step"]), c)
        # What is there counts only from the second depth on: before, it is no number yet.
        total = self.body.let(f"fadd {self.one} {self.get_one(place, at)}, {x}")
        self.put_piece(place, at, 1, self.body.let(f"select i1 {start}, {self.one} {x}, {self.one} {total}"))

    def functions(self, marks: int) -> tuple[list[str], Body]:
        """The function that the block's code calls, after `marks` marks of loops, and what it declares."""
        self.tile.body.marks = marks
        return self.tile.render(), self.tile.body


__all__ = ["Blocks", "Tile", "block_rows", "tile_rows"]
