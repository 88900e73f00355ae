"""Products of small matrices, one after another: rows of the result are sums of multiples of the right factor's rows.

Vectors lie along the rows of the result. Where the rows of the right factor do not lie in adjacent memory, it is
copied to where they do first.
"""

from __future__ import annotations

from npdiff.kernels.llvm_text import splat, suffix, wide
from npdiff.kernels.matrices.forms import Matrix, Operation
from npdiff.kernels.matrices.lanes import Index, Lanes

# Vectors of the result that are added up at the same time.
_SUMS = 8
# Up to so many products of vectors are written out without a loop.
_WRITTEN = 64


def oriented(operation: Operation) -> tuple[Matrix, Matrix, Matrix, bool]:
    """Left factor, right factor, result, and whether all are transposed and the factors have changed places."""
    (a, b), (c,) = operation.inputs, operation.outputs
    turned = not c.by_rows or (c.cols == 1 and c.rows > 1 and c.down == 1)
    return (b.turned, a.turned, c.turned, True) if turned else (a, b, c, False)


class Products(Lanes):
    """Renders the product of the matrices of one number."""

    def __init__(self, operation: Operation, width: int, fma: bool) -> None:
        self.left, self.right, self.result, self.turned = oriented(operation)
        self.operation = operation
        super().__init__(operation.dtype, width, fma, unroll=False)
        self.extent, self.together = operation.count, 1
        self.cuts = list(self.pieces(self.result.cols))
        self.copied = not self.right.by_rows
        self.across = len(self.cuts) * width if self.copied else self.right.down
        room = f"[{self.left.cols * self.across} x {self.one}], align 64"
        self.copy = self.body.allocate(room) if self.copied else ""

    def _names(self, names: list[str]) -> list[str]:
        return [names[1], names[0], names[2]] if self.turned else names

    def start(self, names: list[str]) -> None:
        """Before the first: a right factor that is the same for all is copied once."""
        if self.copied and not any(self.right.batch):
            self._copy(self.base(self._names(names)[1], self.right, self.operation.batch, 0))

    def group(self, names: list[str], number: Index) -> None:
        """The product of this number; `names` are the addresses of factors and results."""
        batch = self.operation.batch
        left, right, result = [self.base(n, m, batch, number) for n, m in zip(
            self._names(names), (self.left, self.right, self.result), strict=True)]
        if self.copied and any(self.right.batch):
            self._copy(right)
        if self.copied:
            right = self.copy
        rows = self.result.rows
        together = min(rows, max(1, _SUMS // len(self.cuts)))
        whole = rows // together * together
        self.each(0, whole, lambda i: self._rows(left, right, result, i, together), together)
        if whole < rows:
            self._rows(left, right, result, whole, rows - whole)

    def _rows(self, left: str, right: str, result: str, first: Index, count: int) -> None:
        """`count` rows of the result."""
        kinds = [wide(self.one, self._length(n)) for _, n in self.cuts]
        depth = self.left.cols
        written = depth * count * len(self.cuts) <= _WRITTEN
        places = [self.times(self.add(first, r), self.left.down) for r in range(count)]
        sums = [[self.body.allocate(kind) for kind in kinds] for _ in range(count)]
        for row in sums:
            for v, kind in zip(row, kinds, strict=True):
                self.body.do(f"store {kind} zeroinitializer, ptr {v}")

        def step(k: Index) -> None:
            under = [self.get_piece(right, self.add(self.times(k, self.across), begin), self._length(n))
                     for begin, n in self.cuts]
            for place, row in zip(places, sums, strict=True):
                x = self.get_one(left, self.add(place, self.times(k, self.left.across)))
                for v, y, kind, (_, n) in zip(row, under, kinds, self.cuts, strict=True):
                    length = self._length(n)
                    total = self.body.let(f"load {kind}, ptr {v}")
                    total = self.body.intrinsic(f"llvm.fmuladd.{suffix(self.dtype, length)}", kind, [kind] * 3,
                                                [splat(self.body, x, self.one, length), y, total])
                    self.body.do(f"store {kind} {total}, ptr {v}")

        self.each(0, depth, step, unroll=written)
        for r, row in enumerate(sums):
            at = self.times(self.add(first, r), self.result.down)
            for v, kind, (begin, n) in zip(row, kinds, self.cuts, strict=True):
                total = self.body.let(f"load {kind}, ptr {v}")
                if self.copied:
                    total = self.narrowed(total, n)
                self.put_piece(result, self.add(at, begin), n, total)

    def _length(self, n: int) -> int:
        """Lanes of a vector for a piece of `n` numbers: rows of the copy have room for whole ones."""
        return self.width if self.copied else n

    def _copy(self, source: str) -> None:
        """Put the rows of the right factor next to each other, in whole vectors."""
        m = self.right
        if m.down != 1:
            self.each(0, m.rows, lambda k: self.each(0, m.cols, lambda j: self.put_piece(
                self.copy, self.add(self.times(k, self.across), j), 1,
                self.get_one(source, self.add(self.times(k, m.down), self.times(j, m.across))))))
            return
        w = self.width
        for k, rows in self.pieces(m.rows):
            for j, cols in self.pieces(m.cols):
                columns = [self.widened(self.get_piece(source, k + (j + c) * m.across, rows), rows)
                           if c < cols else "poison" for c in range(w)]
                for r, v in enumerate(self.transposed(columns)[:rows]):
                    self.put_piece(self.copy, (k + r) * self.across + j, w, v)


__all__ = ["Products", "oriented"]
