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


class Blocks(Lanes):
    """Renders the product of one block of rows, one of `count` for each matrix of the stack."""

    def __init__(self, operation: Operation, width: int, fma: bool, registers: int) -> None:
        super().__init__(operation.dtype, width, fma, unroll=False)
        self.operation = operation
        self.left, self.right, self.result, self.turned = oriented(operation)
        self.tile = Tile(operation.dtype, width, fma, tile_rows(registers))
        self.tall, self.wide = self.tile.rows, _ACROSS * width
        self.block = block_rows(self.result.rows, self.tall)
        self.count = -(-self.result.rows // self.block)
        self.extent, self.together = self.count * operation.count, 1
        depth = self.left.cols
        self.depth = -(-depth // -(-depth // DEPTH))
        self.rows = self._scratch(self.block * self.depth)
        self.strip = self._scratch(self.wide * self.depth)
        self.edge = self._scratch(self.tall * self.wide)

    def _scratch(self, count: int) -> str:
        return self.body.allocate(f"[{count} x {self.one}], align 64")

    def _least(self, x: Index, y: Index) -> Index:
        if isinstance(x, int) and isinstance(y, int):
            return min(x, y)
        return self.body.intrinsic("llvm.smin.i64", "i64", ["i64", "i64"], [str(x), str(y)])

    def _divided(self, x: str, y: int) -> tuple[Index, Index]:
        """Quotient and remainder."""
        if y == 1:
            return x, 0
        return self.body.let(f"udiv i64 {x}, {y}"), self.body.let(f"urem i64 {x}, {y}")

    def start(self, _names: list[str]) -> None:
        """Before the first block."""

    def group(self, names: list[str], turn: Index) -> None:
        """One block of rows; `names` are the addresses of factors and results."""
        number, block = self._divided(str(turn), self.count)
        if self.turned:
            names = [names[1], names[0], names[2]]
        left, right, result = [self.base(n, m, self.operation.batch, number) for n, m in zip(
            names, (self.left, self.right, self.result), strict=True)]
        first = self.times(block, self.block)
        rows = self._least(self.add(self.result.rows, self.times(first, -1)), self.block)
        panels = self._over(rows, self.tall)

        def deep(k: Index) -> None:
            depth = self._least(self.add(self.left.cols, self.times(k, -1)), self.depth)
            self._take_rows(left, first, panels, k, depth)
            whole = self.result.cols // self.wide * self.wide
            self.each(0, whole, lambda j: self._strip(right, result, first, rows, panels, k, depth, j, self.wide),
                      self.wide)
            if whole < self.result.cols:
                self._strip(right, result, first, rows, panels, k, depth, whole, self.result.cols - whole)

        self.each(0, self.left.cols, deep, self.depth)

    def _over(self, x: Index, y: int) -> Index:
        """``ceil(x / y)``."""
        return -(-x // y) if isinstance(x, int) else self.body.let(f"udiv i64 {self.add(x, y - 1)}, {y}")

    def _take_rows(self, left: str, first: Index, panels: Index, k: Index, depth: Index) -> None:
        """Copy the block's rows: those of a tile side by side, column after column."""
        m = self.left

        def panel(p: Index) -> None:
            top = self.add(first, self.times(p, self.tall))
            target = self.address(self.rows, self.times(p, self.tall * self.depth), self.one)
            # Below the last row, it is copied again; nobody looks at the results.
            heads = [self.address(left, self.add(self.times(self._least(self.add(top, r), m.rows - 1), m.down),
                                                 self.times(k, m.across)), self.one) for r in range(self.tall)]

            def column(c: Index) -> None:
                for r, head in enumerate(heads):
                    x = self.get_one(head, self.times(c, m.across))
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
            if m.across == 1:
                begin = self.cut(depth, self.width)
                self.each(0, begin, columns, self.width)
            self.each(begin, depth, column)

        self.each(0, panels, panel)

    def _strip(self, right: str, result: str, first: Index, rows: Index, panels: Index, k: Index, depth: Index,
               j: Index, cols: int) -> None:
        """The tiles of `cols` columns, from column j on."""
        self._take_columns(right, k, depth, j, cols)
        start = "true" if isinstance(k, int) else self.body.let(f"icmp eq i64 {k}, 0")
        step = self.result.down

        def panel(p: Index) -> None:
            row = self.times(p, self.tall)
            left = self.address(self.rows, self.times(row, self.depth), self.one)
            place = self.address(result, self.add(self.times(self.add(first, row), step), j), self.one)
            inside = self._least(self.add(rows, self.times(row, -1)), self.tall)
            if cols == self.wide and isinstance(inside, int) and inside == self.tall:
                self._call(left, place, step, depth, start)
                return
            fits = "false" if cols < self.wide else self.body.let(f"icmp eq i64 {inside}, {self.tall}")
            names = [self.body.name(s) for s in ("whole", "part", "done")]
            self.body.do(f"br i1 {fits}, label %{names[0]}, label %{names[1]}")
            self.body.start(names[0])
            self._call(left, place, step, depth, start)
            self.body.do(f"br label %{names[2]}")
            self.body.start(names[1])
            self._call(left, self.edge, self.wide, depth, "true")
            self.each(0, inside, lambda r: self._add_row(place, r, cols, start))
            self.body.do(f"br label %{names[2]}")
            self.body.start(names[2])

        self.each(0, panels, panel)

    def _call(self, left: str, place: str, step: int, depth: Index, start: str) -> None:
        self.body.do(f"call void @tile(ptr {left}, ptr {self.strip}, ptr {place}, i64 {step}, i64 {depth}, i1 {start})")

    def _add_row(self, place: str, r: Index, cols: int, start: str) -> None:
        """A row of a tile at the edge, from where it was made to where it belongs."""
        for begin, n in self.pieces(cols):
            x = self.get_piece(self.edge, self.add(self.times(r, self.wide), begin), n)
            at = self.add(self.times(r, self.result.down), begin)
            if start != "true":
                body = self.body
                kind = f"<{n} x {self.one}>" if n > 1 else self.one
                # What is there counts only from the second depth on: before, it is no number yet.
                before = body.let(f"select i1 {start}, {kind} zeroinitializer, {kind} "
                                  f"{self.get_piece(place, at, n)}" if n > 1 else
                                  f"select i1 {start}, {kind} 0.0, {kind} {self.get_piece(place, at, n)}")
                x = body.let(f"fadd {kind} {before}, {x}")
            self.put_piece(place, at, n, x)

    def _take_columns(self, right: str, k: Index, depth: Index, j: Index, cols: int) -> None:
        """Copy `cols` columns: those of a tile side by side, row after row."""
        m, w = self.right, self.width
        base = self.address(right, self.add(self.times(k, m.down), self.times(j, m.across)), self.one)

        def row(r: Index) -> None:
            for begin, n in self.pieces(cols):
                at = self.add(self.times(r, m.down), begin * m.across)
                if m.across == 1:
                    v = self.widened(self.get_piece(base, at, n), n)
                    self.put_piece(self.strip, self.add(self.times(r, self.wide), begin), w, v)
                    continue
                for c in range(n):
                    x = self.get_one(base, self.add(at, c * m.across))
                    self.put_piece(self.strip, self.add(self.times(r, self.wide), begin + c), 1, x)

        def several(r: Index) -> None:
            for begin, n in self.pieces(cols):
                columns = [self.get_piece(base, self.add(r, (begin + c) * m.across), w) if c < n else "poison"
                           for c in range(w)]
                for s, v in enumerate(self.transposed(columns)):
                    self.put_piece(self.strip, self.add(self.times(self.add(r, s), self.wide), begin), w, v)

        begin: Index = 0
        if m.across != 1 and m.down == 1:
            begin = self.cut(depth, w)
            self.each(0, begin, several, w)
        self.each(begin, depth, row)

    def functions(self, marks: int) -> tuple[list[str], Body]:
        """The function that the block's code calls, after `marks` marks of loops, and what it declares."""
        self.tile.body.marks = marks
        return self.tile.render(), self.tile.body


__all__ = ["Blocks", "Tile", "block_rows", "tile_rows"]
