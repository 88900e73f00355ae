"""solve, inv, det, slogdet by elimination with partial pivoting, cholesky and triangular systems, several side by side.

Lane k of every vector belongs to matrix k of the group, so all matrices take the same steps; rows change places in
those lanes where they have to. A matrix is *unclear* where a pivot is not larger than the rounding errors that its
column may have, or a result is not finite: then the kernel's last result says so, and NumPy does the work.

G. Golub and C. Van Loan, Matrix Computations, 4th edition, sections 3.4 and 4.2; N. Higham, Accuracy and Stability of
Numerical Algorithms, 2nd edition, section 9.3 (errors of pivots).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from npdiff.kernels.matrices.forms import Operation
from npdiff.kernels.matrices.lanes import Index, Lanes
from npdiff.kernels.vecmath.library import call

# Cofactors are made of the inverse up to this condition (in the Frobenius norm); NumPy code does the others.
_CONDITION = 1e6
# A pivot up to this many times the size of the matrix times the rounding of its column's largest number is unclear.
_MARGIN = 8


class Factors(Lanes):
    """Renders the work on the matrices of one group."""

    def __init__(self, operation: Operation, width: int, fma: bool) -> None:
        a = operation.inputs[0]
        self.operation = operation
        self.n = a.rows
        wide = operation.inputs[-1].cols
        self.columns = {"solve": wide, "triangular": wide, "inv": self.n, "cofactor": self.n}.get(operation.op, 0)
        self.signed = operation.op in ("det", "slogdet", "cofactor")
        super().__init__(operation.dtype, width, fma, unroll=self.n * (self.n + self.columns) <= 32)
        self.extent, self.together = operation.count, width
        # Rows lie apart by a multiple of the steps in which they are walked.
        self.step = 1 if self.unroll else 4 if self.n > 6 else 2
        self.across = -(-self.n // self.step) * self.step
        self.a = self.room(self.n * self.across)
        self.b = self.room(self.n * self.columns) if self.columns else ""
        self.size = self.room(self.n)
        self.inverse = self.room(self.n)
        self.pivot = [self.body.allocate(self.many) for _ in range(3)]
        self.sign = self.body.allocate(self.many)
        self.unclear = self.body.allocate("i1")

    def at(self, i: Index, j: Index) -> Index:
        """Where element (i, j) of the matrix is."""
        return self.add(self.times(i, self.across), j)

    def beside(self, i: Index, j: Index) -> Index:
        """Where element (i, j) of the right-hand side is."""
        return self.add(self.times(i, self.columns), j)

    def start(self, _names: list[str]) -> None:
        """Before the first group."""
        self.body.do(f"store i1 false, ptr {self.unclear}")
        if self.step > 1:
            zero = self.number(0)
            self.each(0, self.n * self.across, lambda k: self.put(self.a, k, zero), unroll=False)

    def group(self, names: list[str], first: Index) -> None:
        """The matrices from number `first` on; `names` are the addresses of inputs and outputs."""
        operation = self.operation
        bases = [self.bases(name, m, operation.batch, first)
                 for name, m in zip(names, [*operation.inputs, *operation.outputs], strict=True)]
        self.gather(bases[0], operation.inputs[0], self.a, self.at)
        if operation.op in ("solve", "triangular"):
            self.gather(bases[1], operation.inputs[1], self.b, self.beside)
        elif self.columns:
            zero, one = self.number(0), self.number(1)
            self.each(0, self.n * self.n, lambda k: self.put(self.b, k, zero))
            self.each(0, self.n, lambda k: self.put(self.b, self.times(k, self.n + 1), one))
        outs = bases[len(operation.inputs):]
        if operation.op == "cholesky":
            self._cholesky()
            self.scatter(self.a, self.at, operation.outputs[0], outs[0])
            return
        if operation.op == "triangular":
            self._triangular()
            self.scatter(self.b, self.beside, operation.outputs[0], outs[0])
            return
        self._eliminate()
        if self.columns:
            self._substitute()
            if operation.op == "cofactor":
                self._scale(self._determinant())
            self.scatter(self.b, self.beside, operation.outputs[0], outs[0])
            return
        total = self._determinant()
        results = [total]
        if operation.op == "slogdet":
            size = self.call("fabs", total)
            results = [self.call("copysign", self.number(1), total),
                       call(self.body, "log", self.dtype, self.width, [size])]
        for m, places, value in zip(operation.outputs, outs, results, strict=True):
            self.put(self.size, 0, value)
            self.scatter(self.size, lambda _i, _j: 0, m, places)

    def finish(self, flag: str) -> None:
        """After the last group: whether a matrix was unclear."""
        bad = self.body.let(f"load i1, ptr {self.unclear}")
        self.body.do(f"store i8 {self.body.let(f'zext i1 {bad} to i8')}, ptr {flag}, align 1")

    # ------------------------------------------------------------------ elimination

    def _mark(self, unclear: str) -> None:
        before = self.body.let(f"load i1, ptr {self.unclear}")
        self.body.do(f"store i1 {self.body.let(f'or i1 {before}, {self.any(unclear)}')}, ptr {self.unclear}")

    def _margin(self) -> float:
        return float(_MARGIN * self.n * np.finfo(self.dtype).eps)

    def _lane_number(self, i: Index) -> str:
        """A row's number in every lane, as a float."""
        if isinstance(i, int):
            return self.number(i)
        return self.everywhere(self.body.let(f"uitofp i64 {i} to {self.one}"))

    def _column_sizes(self) -> None:
        """The largest number of each column, times the margin."""
        def column(j: Index) -> None:
            largest = self.pivot[0]
            self.put(largest, 0, self.number(0))

            def row(i: Index) -> None:
                x = self.call("fabs", self.get(self.a, self.at(i, j)))
                self.put(largest, 0, self.call("maxnum", self.get(largest, 0), x))

            self.each(0, self.n, row)
            self.put(self.size, j, self.op("fmul", self.get(largest, 0), self.number(self._margin())))

        self.each(0, self.n, column)

    def _eliminate(self) -> None:
        """Make the matrix upper triangular, and treat the right-hand side alike."""
        self._column_sizes()
        if self.signed:
            self.put(self.sign, 0, self.number(1))

        def column(k: Index) -> None:
            self._pivot(k)
            self._below(k)

        self.each(0, self.n, column)

    def _pivot(self, k: Index) -> None:
        """Bring the largest number of the rest of column k up into row k."""
        best, chosen, _ = self.pivot
        following = self.add(k, 1)
        self.put(best, 0, self.call("fabs", self.get(self.a, self.at(k, k))))
        self.put(chosen, 0, self._lane_number(k))

        def look(i: Index) -> None:
            x = self.call("fabs", self.get(self.a, self.at(i, k)))
            before = self.get(best, 0)
            larger = self.compare("ogt", x, before)
            self.put(best, 0, self.select(larger, x, before))
            self.put(chosen, 0, self.select(larger, self._lane_number(i), self.get(chosen, 0)))

        self.each(following, self.n, look)
        self._mark(self.compare("ule", self.get(best, 0), self.get(self.size, k)))

        def swap(i: Index) -> None:
            here = self.compare("oeq", self.get(chosen, 0), self._lane_number(i))
            if self.unroll:
                self._swap(here, k, i)
                return
            with self.when(self.any(here)):
                self._swap(here, k, i)

        self.each(following, self.n, swap)
        if self.signed:
            moved = self.compare("one", self.get(chosen, 0), self._lane_number(k))
            sign = self.get(self.sign, 0)
            self.put(self.sign, 0, self.select(moved, self.body.let(f"fneg {self.many} {sign}"), sign))
        self.put(self.inverse, k, self.op("fdiv", self.number(1), self.get(self.a, self.at(k, k))))

    def _swap(self, here: str, k: Index, i: Index) -> None:
        """Exchange rows k and i in the lanes `here`."""
        def exchange(room: str, p: Index, q: Index) -> None:
            x, y = self.get(room, p), self.get(room, q)
            self.put(room, p, self.select(here, y, x))
            self.put(room, q, self.select(here, x, y))

        self._along(self.cut(k, self.step), self.across, self.step,
                    lambda j: exchange(self.a, self.at(k, j), self.at(i, j)))
        self._beside(lambda c: exchange(self.b, self.beside(k, c), self.beside(i, c)))

    def _along(self, begin: Index, end: int, step: int, act: Callable[[Index], None]) -> None:
        """Act on each of the columns from `begin` on, several at each turn of the loop."""
        def several(j: Index) -> None:
            for s in range(step):
                act(self.add(j, s))

        self.each(begin, end, several, step)

    def _beside(self, act: Callable[[Index], None]) -> None:
        """Act on each column of the right-hand side."""
        step = 1 if self.unroll else min(self.columns, 4)
        whole = self.columns // step * step if step else 0
        if whole:
            self._along(0, whole, step, act)
        for c in range(whole, self.columns):
            act(c)

    def _below(self, k: Index) -> None:
        """Subtract multiples of row k from the rows below, so that column k becomes zero there."""
        inverse = self.get(self.inverse, k)

        def row(i: Index) -> None:
            factor = self.op("fmul", self.get(self.a, self.at(i, k)), inverse)

            def less(room: str, p: Index, q: Index) -> None:
                self.put(room, q, self.less_product(self.get(room, q), factor, self.get(room, p)))

            following = self.add(k, 1)
            self._along(self.cut(following, self.step), self.across, self.step,
                        lambda j: less(self.a, self.at(k, j), self.at(i, j)))
            self._beside(lambda c: less(self.b, self.beside(k, c), self.beside(i, c)))

        self.each(self.add(k, 1), self.n, row)

    def _substitute(self) -> None:
        """Solve with the upper triangle, from the last row up."""
        def row(k: Index) -> None:
            def above(j: Index) -> None:
                factor = self.get(self.a, self.at(k, j))

                def less(c: Index) -> None:
                    x, y = self.get(self.b, self.beside(k, c)), self.get(self.b, self.beside(j, c))
                    self.put(self.b, self.beside(k, c), self.less_product(x, factor, y))

                self._beside(less)

            self.each(self.add(k, 1), self.n, above)
            inverse = self.get(self.inverse, k)

            def last(c: Index) -> None:
                x = self.op("fmul", self.get(self.b, self.beside(k, c)), inverse)
                self.put(self.b, self.beside(k, c), x)
                # Stays zero as long as all are finite.
                self.put(finite, 0, self.call("fmuladd", x, self.number(0), self.get(finite, 0)))

            self._beside(last)

        finite = self.pivot[0]
        self.put(finite, 0, self.number(0))
        self.downward(self.n, row)
        zeros = self.get(finite, 0)
        self._mark(self.compare("uno", zeros, zeros))

    def _triangular(self) -> None:
        """Solve with one triangle; a zero on its diagonal is unclear."""
        lower, unit = self.operation.half == "lower", self.operation.unit

        def row(k: Index) -> None:
            def known(j: Index) -> None:
                factor = self.get(self.a, self.at(k, j))
                self._beside(lambda c: self.put(self.b, self.beside(k, c), self.less_product(
                    self.get(self.b, self.beside(k, c)), factor, self.get(self.b, self.beside(j, c)))))

            self.each(0 if lower else self.add(k, 1), k if lower else self.n, known)
            if not unit:
                pivot = self.get(self.a, self.at(k, k))
                self._mark(self.compare("oeq", pivot, self.number(0)))
                self._beside(lambda c: self.put(self.b, self.beside(k, c), self.op(
                    "fdiv", self.get(self.b, self.beside(k, c)), pivot)))

        if lower:
            self.each(0, self.n, row)
        else:
            self.downward(self.n, row)

    def _determinant(self) -> str:
        """The product of the pivots, with its sign."""
        product = self.pivot[0]
        self.put(product, 0, self.get(self.sign, 0))
        bound = float(np.sqrt(np.finfo(self.dtype).max))

        def factor(k: Index) -> None:
            x = self.op("fmul", self.get(product, 0), self.get(self.a, self.at(k, k)))
            self.put(product, 0, x)
            # A product that may leave the range of the dtype is NumPy's, which adds logarithms.
            size = self.call("fabs", x)
            self._mark(self.compare("uge", size, self.number(bound)))
            self._mark(self.compare("ule", size, self.number(1 / bound)))

        self.each(0, self.n, factor)
        return self.get(product, 0)

    def _scale(self, factor: str) -> None:
        """Multiply what was solved, unless its numbers are so large that their errors are."""
        largest, widest = self.pivot[1:]
        self.put(largest, 0, self.number(0))
        self.put(widest, 0, self.number(0))

        def element(k: Index) -> None:
            x = self.get(self.b, k)
            self.put(largest, 0, self.call("maxnum", self.get(largest, 0), self.call("fabs", x)))
            self.put(self.b, k, self.op("fmul", x, factor))

        def column(j: Index) -> None:
            self.put(widest, 0, self.call("maxnum", self.get(widest, 0), self.get(self.size, j)))

        self.each(0, self.n * self.n, element)
        self.each(0, self.n, column)
        both = self.op("fmul", self.get(largest, 0), self.get(widest, 0))
        self._mark(self.compare("uge", both, self.number(_CONDITION * self._margin() / self.n**2)))

    # ------------------------------------------------------------------ Cholesky

    def _cholesky(self) -> None:
        """Replace the lower triangle by its root, and the rest by zeros."""
        total = self.pivot[0]

        def column(j: Index) -> None:
            def row(i: Index) -> None:
                self.put(total, 0, self.get(self.a, self.at(i, j)))

                def before(k: Index) -> None:
                    x, y = self.get(self.a, self.at(i, k)), self.get(self.a, self.at(j, k))
                    self.put(total, 0, self.less_product(self.get(total, 0), x, y))

                self.each(0, j, before)

            diagonal = self.get(self.a, self.at(j, j))
            row(j)
            rest = self.get(total, 0)
            self._mark(self.compare("ule", rest, self.op("fmul", diagonal, self.number(self._margin()))))
            root = self.call("sqrt", rest)
            self.put(self.a, self.at(j, j), root)
            inverse = self.op("fdiv", self.number(1), root)

            def below(i: Index) -> None:
                row(i)
                self.put(self.a, self.at(i, j), self.op("fmul", self.get(total, 0), inverse))
                self.put(self.a, self.at(j, i), self.number(0))

            self.each(self.add(j, 1), self.n, below)

        self.each(0, self.n, column)


__all__ = ["Factors"]
