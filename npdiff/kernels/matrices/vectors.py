"""Products of a vector and a matrix: several elements of the result at each turn, from rows or columns of that."""

from __future__ import annotations

from collections.abc import Sequence

from npdiff.kernels.llvm_text import suffix, wide
from npdiff.kernels.matrices.forms import Operation
from npdiff.kernels.matrices.lanes import Index, Lanes
from npdiff.kernels.matrices.products import oriented

# Vectors that are added up at the same time: of the result, or of products for each of so many of its elements.
_SUMS = 8
_ELEMENTS = 4


class Vectors(Lanes):
    """Renders some elements of a row times a matrix; `by_rows` or by columns, whichever lie in adjacent memory."""

    def __init__(self, operation: Operation, width: int, fma: bool) -> None:
        super().__init__(operation.dtype, width, fma, unroll=False)
        self.operation = operation
        self.left, self.right, self.result, self.turned = oriented(operation)
        self.by_rows = self.right.across == 1
        self.block = min(self.result.cols, _SUMS * width if self.by_rows else _ELEMENTS)
        self.count = -(-self.result.cols // self.block)
        self.extent, self.together = self.count * operation.count, 1

    def start(self, _names: list[str]) -> None:
        """Before the first."""

    def group(self, names: list[str], turn: Index) -> None:
        """The elements of one turn; `names` are the addresses of factors and result."""
        number = self.body.let(f"udiv i64 {turn}, {self.count}")
        block = self.times(self.body.let(f"urem i64 {turn}, {self.count}"), self.block)
        # The last elements end with the row: some are computed twice, with the same result.
        first = self.least(block, self.result.cols - self.block)
        names = [names[1], names[0], names[2]] if self.turned else names
        left, right, result = [self.base(n, m, self.operation.batch, number) for n, m in zip(
            names, (self.left, self.right, self.result), strict=True)]
        right = self.address(right, self.times(first, self.right.across), self.one)
        result = self.address(result, first, self.one)
        if self.by_rows:
            self._rows(left, right, result)
        else:
            self._columns(left, right, result)

    def _zeros(self, lengths: Sequence[int]) -> list[str]:
        sums = []
        for n in lengths:
            v = self.body.allocate(wide(self.one, n))
            zero = "zeroinitializer" if n > 1 else "0.0"
            self.body.do(f"store {wide(self.one, n)} {zero}, ptr {v}")
            sums.append(v)
        return sums

    def _add(self, total: str, x: str, y: str, n: int) -> None:
        """``total += x * y``, of `n` numbers."""
        kind = wide(self.one, n)
        before = self.body.let(f"load {kind}, ptr {total}")
        after = self.body.intrinsic(f"llvm.fmuladd.{suffix(self.dtype, n)}", kind, [kind] * 3, [x, y, before])
        self.body.do(f"store {kind} {after}, ptr {total}")

    def _rows(self, left: str, right: str, result: str) -> None:
        """The sum of multiples of parts of rows."""
        cuts = list(self.pieces(self.block))
        sums = self._zeros([n for _, n in cuts])

        def row(k: Index) -> None:
            one = self.get_one(left, self.times(k, self.left.across))
            every = self.everywhere(one)
            for v, (begin, n) in zip(sums, cuts, strict=True):
                x = one if n == 1 else self.narrowed(every, n)
                self._add(v, x, self.get_piece(right, self.add(self.times(k, self.right.down), begin), n), n)

        self.each(0, self.left.cols, row)
        for v, (begin, n) in zip(sums, cuts, strict=True):
            self.put_piece(result, begin, n, self.body.let(f"load {wide(self.one, n)}, ptr {v}"))

    def _columns(self, left: str, right: str, result: str) -> None:
        """The sum of products of two vectors, for each element."""
        inner, w = self.left.cols, self.width
        whole = inner // w * w
        sums, rest = self._zeros([w] * self.block), self._zeros([1] * self.block)

        def take(k: Index, n: int, totals: list[str]) -> None:
            x = self.get_piece(left, k, n)
            for j, v in enumerate(totals):
                self._add(v, x, self.get_piece(right, self.add(k, j * self.right.across), n), n)

        self.each(0, whole, lambda k: take(k, w, sums), w)
        self.each(whole, inner, lambda k: take(k, 1, rest))
        for j, (v, r) in enumerate(zip(sums, rest, strict=True)):
            lanes = self.get(v, 0)
            parts = [self.body.let(f"extractelement {self.many} {lanes}, i64 {k}") if w > 1 else lanes
                     for k in range(w)]
            parts.append(self.get_one(r, 0))
            while len(parts) > 1:
                pairs = [self.body.let(f"fadd {self.one} {a}, {b}")
                         for a, b in zip(parts[::2], parts[1::2], strict=False)]
                parts = pairs + parts[len(pairs) * 2:]
            self.put_piece(result, j, 1, parts[0])


__all__ = ["Vectors"]
