"""Cholesky factors and triangular systems of matrices that are not small, by routines of NumPy's own LAPACK and BLAS.

The code calls them by address: machine code is kept on disk, so addresses come with the shapes, in an array. Routines
read matrices by columns, so they see a matrix in C order transposed; operations are chosen so that nothing has to be
transposed for them.
"""

from __future__ import annotations

import numpy as np

from npdiff import lapack
from npdiff.kernels.llvm_text import number
from npdiff.kernels.matrices.forms import Matrix, Operation
from npdiff.kernels.matrices.lanes import Index, Lanes

# A pivot of Cholesky's factorisation up to this many times the size of the matrix times the rounding of what it is
# made of is unclear: see `factors`.
_MARGIN = 8


class Routines(Lanes):
    """Renders the work on one matrix of a stack."""

    def __init__(self, operation: Operation, width: int) -> None:
        super().__init__(operation.dtype, width, False, unroll=False)
        self.operation = operation
        self.extent, self.together = operation.count, 1
        self.shapes = (lapack.address(operation.op, operation.dtype),)
        self.unclear = self.body.allocate("i1")
        self.routine = ""

    def start(self, names: list[str]) -> None:
        """Before the first matrix."""
        self.body.do(f"store i1 false, ptr {self.unclear}")
        at = self.body.let(f"load i64, ptr {names[len(self.operation.inputs)]}")
        self.routine = self.body.let(f"inttoptr i64 {at} to ptr")

    def group(self, names: list[str], turn: Index) -> None:
        """The matrix of this number; `names` are the addresses of inputs, shapes and result."""
        operation = self.operation
        count = len(operation.inputs)
        *bases, out = [self.base(n, m, operation.batch, turn) for n, m in zip(
            [*names[:count], names[-1]], [*operation.inputs, *operation.outputs], strict=True)]
        if operation.op == "potrf":
            self._factor(bases[0], out)
        else:
            self._solve(bases[0], bases[1], out)

    def finish(self, flag: str) -> None:
        """After the last matrix: whether one was unclear."""
        bad = self.body.let(f"load i1, ptr {self.unclear}")
        self.body.do(f"store i8 {self.body.let(f'zext i1 {bad} to i8')}, ptr {flag}, align 1")

    def _mark(self, unclear: str) -> None:
        before = self.body.let(f"load i1, ptr {self.unclear}")
        self.body.do(f"store i1 {self.body.let(f'or i1 {before}, {unclear}')}, ptr {self.unclear}")

    # ------------------------------------------------------------------ calls

    def _letter(self, letter: str) -> str:
        room = self.body.allocate("i8")
        self.body.do(f"store i8 {ord(letter)}, ptr {room}")
        return room

    def _whole(self, n: int) -> str:
        room = self.body.allocate("i64")
        self.body.do(f"store i64 {n}, ptr {room}")
        return room

    def _call(self, *args: str) -> None:
        self.body.do(f"call void {self.routine}({', '.join(f'ptr {a}' for a in args)})")

    # ------------------------------------------------------------------ operations

    def _factor(self, source: str, out: str) -> None:
        [a], [root] = self.operation.inputs, self.operation.outputs
        n = a.rows
        # By rows, the result's rows are copied up to the diagonal; turned, from there on.
        turned = root.across != 1
        size = self.dtype.itemsize
        seen = a.turned if turned else a

        def row(i: Index) -> None:
            here = self.address(out, self.times(i, n), self.one)
            before = i if turned else self.add(i, 1)
            begin, end = (i, n) if turned else (0, before)
            if seen.across == 1:
                p = self.address(source, self.add(self.times(i, seen.down), begin), self.one)
                q = self.address(here, begin, self.one)
                self._move(q, p, self.times(self.less(end, begin), size))
            else:
                self.each(begin, end, lambda j: self.put_piece(here, j, 1, self.get_one(
                    source, self.add(self.times(i, seen.down), self.times(j, seen.across)))))
            zeros, count = (here, i) if turned else (self.address(here, before, self.one), self.less(n, before))
            self._clear(zeros, self.times(count, size))

        self.each(0, n, row)
        info = self._whole(0)
        self._call(self._letter("L" if turned else "U"), self._whole(n), out, self._whole(n), info)
        failed = self.body.let(f"load i32, ptr {info}")
        self._mark(self.body.let(f"icmp ne i32 {failed}, 0"))
        margin = float(_MARGIN * n * np.finfo(self.dtype).eps)

        def pivot(i: Index) -> None:
            x = self.get_one(out, self.times(i, n + 1))
            whole = self.get_one(source, self.times(i, self.add(a.down, a.across)))
            bound = self.body.let(f"fmul {self.one} {whole}, {number(self.dtype.type(margin), self.dtype)}")
            rest = self.body.let(f"fmul {self.one} {x}, {x}")
            self._mark(self.body.let(f"fcmp ule {self.one} {rest}, {bound}"))

        self.each(0, n, pivot)

    def _solve(self, matrix: str, sides: str, out: str) -> None:
        operation = self.operation
        (a, b), n = operation.inputs, operation.inputs[0].rows
        lower = operation.half == "lower"
        by_rows = a.across == 1
        if not operation.unit:
            def diagonal(i: Index) -> None:
                x = self.get_one(matrix, self.times(i, a.down + a.across))
                self._mark(self.body.let(f"fcmp oeq {self.one} {x}, {number(self.dtype.type(0), self.dtype)}"))

            self.each(0, n, diagonal)
        self._copy(sides, b, out)
        triangle = self._letter("U" if lower == by_rows else "L")
        unit = self._letter("U" if operation.unit else "N")
        step = self._whole(max(1, n, a.down if by_rows else a.across))
        if operation.op == "trsv":
            turn = self._letter("T" if by_rows else "N")
            self._call(triangle, turn, unit, self._whole(n), matrix, step, out, self._whole(1))
            return
        # The result in C order is the transposed one by columns: x.T a.T = b.T.
        one = self.body.allocate(self.one)
        self.body.do(f"store {self.one} {number(self.dtype.type(1), self.dtype)}, ptr {one}")
        self._call(self._letter("R"), triangle, self._letter("N" if by_rows else "T"), unit, self._whole(b.cols),
                   self._whole(n), one, matrix, step, out, self._whole(b.cols))

    # ------------------------------------------------------------------ memory

    def _move(self, target: str, source: str, size: Index) -> None:
        self.body.declarations.add("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
        self.body.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)")

    def _clear(self, target: str, size: Index) -> None:
        self.body.declarations.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        self.body.do(f"call void @llvm.memset.p0.i64(ptr {target}, i8 0, i64 {size}, i1 false)")

    def _copy(self, source: str, m: Matrix, out: str) -> None:
        """Copy a matrix to where its rows lie one behind the other."""
        rows, cols, w = m.rows, m.cols, self.width
        if m.dense:
            self._move(out, source, rows * cols * self.dtype.itemsize)
            return

        def element(i: Index, j: Index) -> None:
            x = self.get_one(source, self.add(self.times(i, m.down), self.times(j, m.across)))
            self.put_piece(out, self.add(self.times(i, cols), j), 1, x)

        def tile(i: Index, j: Index) -> None:
            columns = [self.get_piece(source, self.add(i, self.times(self.add(j, k), m.across)), w) for k in range(w)]
            for k, v in enumerate(self.transposed(columns)):
                self.put_piece(out, self.add(self.times(self.add(i, k), cols), j), w, v)

        down, right = (rows // w * w, cols // w * w) if m.down == 1 else (0, 0)
        self.each(0, down, lambda i: self.each(0, right, lambda j: tile(i, j), w), w)
        self.each(0, down, lambda i: self.each(right, cols, lambda j: element(i, j)))
        self.each(down, rows, lambda i: self.each(0, cols, lambda j: element(i, j)))


__all__ = ["Routines"]
