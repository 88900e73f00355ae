"""What the renderers of small matrices share: loops that may be unrolled, addresses, transposed loads and stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from npdiff.kernels.llvm_text import Body, constant, scalar_type, splat, suffix, wide
from npdiff.kernels.loop_ir import DType
from npdiff.kernels.matrices.forms import Matrix

# A number known now, or a value of the function.
Index = int | str


class Lanes:
    """Code of one function that works on `width` numbers of a dtype at a time.

    `shapes` are numbers that it takes at run time, as an array behind its inputs.
    """

    shapes: tuple[int, ...] = ()

    def __init__(self, dtype: DType, width: int, fma: bool, unroll: bool) -> None:
        self.body = Body(fma, width)
        self.dtype = dtype
        self.width = width
        self.unroll = unroll
        self.one = scalar_type(dtype)
        self.many = wide(self.one, width)
        self.truth = wide("i1", width)

    # ------------------------------------------------------------------ whole numbers

    def add(self, x: Index, y: Index) -> Index:
        """``x + y``."""
        if isinstance(x, int) and isinstance(y, int):
            return x + y
        if x == 0 or y == 0:
            return y if x == 0 else x
        return self.body.let(f"add nsw i64 {x}, {y}")

    def times(self, x: Index, y: Index) -> Index:
        """``x * y``."""
        if isinstance(x, int) and isinstance(y, int):
            return x * y
        if x == 0 or y == 0:
            return 0
        return y if x == 1 else x if y == 1 else self.body.let(f"mul nsw i64 {x}, {y}")

    def less(self, x: Index, y: Index) -> Index:
        """``x - y``."""
        if isinstance(x, int) and isinstance(y, int):
            return x - y
        return x if y == 0 else self.body.let(f"sub nsw i64 {x}, {y}")

    def least(self, x: Index, y: Index) -> Index:
        """``min(x, y)``."""
        if isinstance(x, int) and isinstance(y, int):
            return min(x, y)
        return self.body.intrinsic("llvm.smin.i64", "i64", ["i64", "i64"], [str(x), str(y)])

    def cut(self, x: Index, step: int) -> Index:
        """The largest multiple of a power of two up to `x`."""
        return x & -step if isinstance(x, int) else self.body.let(f"and i64 {x}, {-step}")

    def each(self, begin: Index, end: Index, act: Callable[[Index], None], step: Index = 1,
             unroll: bool | None = None) -> None:
        """``for i in range(begin, end, step): act(i)``, written out where that is short."""
        written = self.unroll if unroll is None else unroll
        if isinstance(begin, int) and isinstance(end, int) and isinstance(step, int) and (
                written or end - begin <= step):
            for k in range(begin, end, step):
                act(k)
            return
        with self.body.loop(begin, end, step) as i:
            act(i)

    def downward(self, count: int, act: Callable[[Index], None]) -> None:
        """``for i in reversed(range(count)): act(i)``."""
        def turned(i: Index) -> None:
            act(count - 1 - i if isinstance(i, int) else self.body.let(f"sub nsw i64 {count - 1}, {i}"))

        self.each(0, count, turned)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """What is done only if a truth value holds."""
        yes, done = self.body.name("yes"), self.body.name("done")
        self.body.do(f"br i1 {condition}, label %{yes}, label %{done}")
        self.body.start(yes)
        yield
        self.body.do(f"br label %{done}")
        self.body.start(done)

    # ------------------------------------------------------------------ numbers

    def number(self, value: float) -> str:
        """A constant in every lane."""
        return constant(self.dtype.type(value), self.dtype, self.width)

    def op(self, name: str, x: str, y: str) -> str:
        """An instruction on two values: fadd, fsub, fmul, fdiv."""
        return self.body.let(f"{name} {self.many} {x}, {y}")

    def compare(self, name: str, x: str, y: str) -> str:
        """A truth value in every lane: ogt, oeq, uno, ..."""
        return self.body.let(f"fcmp {name} {self.many} {x}, {y}")

    def select(self, condition: str, x: str, y: str) -> str:
        """``x if condition else y``, lane by lane."""
        return self.body.let(f"select {self.truth} {condition}, {self.many} {x}, {self.many} {y}")

    def call(self, name: str, *args: str) -> str:
        """An intrinsic function: fabs, sqrt, maxnum, fmuladd."""
        return self.body.intrinsic(f"llvm.{name}.{suffix(self.dtype, self.width)}", self.many,
                                   [self.many] * len(args), list(args))

    def less_product(self, s: str, x: str, y: str) -> str:
        """``s - x * y``, rounded once where the machine can."""
        return self.call("fmuladd", self.body.let(f"fneg {self.many} {x}"), y, s)

    def any(self, condition: str) -> str:
        """Whether something holds in any lane."""
        if self.width == 1:
            return condition
        bits = self.body.let(f"bitcast {self.truth} {condition} to i{self.width}")
        return self.body.let(f"icmp ne i{self.width} {bits}, 0")

    # ------------------------------------------------------------------ memory

    def room(self, count: int) -> str:
        """Memory of the function for `count` vectors."""
        return self.body.allocate(f"[{count} x {self.many}]")

    def address(self, base: str, at: Index, kind: str) -> str:
        """The address of a vector or number, counted in those."""
        return base if at == 0 else self.body.let(f"getelementptr {kind}, ptr {base}, i64 {at}")

    def get(self, room: str, at: Index) -> str:
        """A vector of a room."""
        return self.body.let(f"load {self.many}, ptr {self.address(room, at, self.many)}")

    def put(self, room: str, at: Index, value: str) -> None:
        """Set a vector of a room."""
        self.body.do(f"store {self.many} {value}, ptr {self.address(room, at, self.many)}")

    def get_one(self, base: str, at: Index) -> str:
        """A number of an array."""
        return self.body.let(f"load {self.one}, ptr {self.address(base, at, self.one)}, align 1")

    def pieces(self, count: int) -> Iterator[tuple[int, int]]:
        """Begin and length of the vectors that `count` numbers are cut into."""
        for begin in range(0, count, self.width):
            yield begin, min(self.width, count - begin)

    def get_piece(self, base: str, at: Index, count: int) -> str:
        """`count` adjacent numbers of an array."""
        p = self.address(base, at, self.one)
        return self.body.let(f"load {wide(self.one, count)}, ptr {p}, align 1")

    def put_piece(self, base: str, at: Index, count: int, value: str) -> None:
        """Set `count` adjacent numbers of an array."""
        p = self.address(base, at, self.one)
        self.body.do(f"store {wide(self.one, count)} {value}, ptr {p}, align 1")

    def shuffle(self, x: str, y: str, lanes: Sequence[int]) -> str:
        """Lanes of two vectors."""
        chosen = ", ".join(f"i32 {k}" for k in lanes)
        return self.body.let(f"shufflevector {self.many} {x}, {self.many} {y}, <{len(lanes)} x i32> <{chosen}>")

    def widened(self, x: str, count: int) -> str:
        """`count` numbers in the first lanes of a vector; nobody reads the others."""
        if count == self.width:
            return x
        if count == 1:
            return self.body.let(f"insertelement {self.many} poison, {self.one} {x}, i64 0")
        kind = wide(self.one, count)
        chosen = ", ".join(f"i32 {k}" if k < count else "i32 poison" for k in range(self.width))
        return self.body.let(f"shufflevector {kind} {x}, {kind} poison, <{self.width} x i32> <{chosen}>")

    def narrowed(self, x: str, count: int) -> str:
        """The first lanes of a vector."""
        if count == self.width:
            return x
        return (self.body.let(f"extractelement {self.many} {x}, i64 0") if count == 1
                else self.shuffle(x, "poison", range(count)))

    def everywhere(self, x: str) -> str:
        """A number in every lane."""
        return splat(self.body, x, self.one, self.width)

    def transposed(self, rows: Sequence[str]) -> list[str]:
        """Vector k of the result has the k-th lanes of all rows; there are as many rows as lanes."""
        rows, w = list(rows), self.width
        step = 1
        while step < w:
            for i in range(w):
                if not i & step:
                    x, y = rows[i], rows[i + step]
                    rows[i] = self.shuffle(x, y, [w + k - step if k & step else k for k in range(w)])
                    rows[i + step] = self.shuffle(x, y, [w + k if k & step else k + step for k in range(w)])
            step *= 2
        return rows

    # ------------------------------------------------------------------ stacks

    def bases(self, name: str, m: Matrix, batch: Sequence[int], first: Index) -> list[str]:
        """Addresses of `width` matrices of a stack, from number `first` on."""
        return [self.base(name, m, batch, self.add(first, k)) for k in range(self.width)]

    def base(self, name: str, m: Matrix, batch: Sequence[int], number: Index) -> str:
        """The address of one matrix of a stack."""
        at: Index = m.offset
        for axis in reversed(range(len(batch))):
            here = number
            if axis:
                here = self.body.let(f"urem i64 {number}, {batch[axis]}")
                number = self.body.let(f"udiv i64 {number}, {batch[axis]}")
            at = self.add(at, self.times(here, m.batch[axis]))
        return self.address(name, at, self.one)

    def _runs(self, m: Matrix) -> tuple[Matrix, bool, bool] | None:
        """The matrix by rows, whether it was turned for that, and whether to take all of it as one row."""
        for turned in (False, True):
            seen = m.turned if turned else m
            if seen.dense and seen.rows * seen.cols >= self.width and (
                    seen.rows * seen.cols <= 64 or seen.cols < self.width):
                return seen, turned, True
            if seen.by_rows and seen.cols >= self.width:
                return seen, turned, False
        return None

    def _in_runs(self, m: Matrix, act: Callable[[Index, list[tuple[Index, Index]]], None]) -> bool:
        """For each run of `width` adjacent numbers, its place and the (i, j) of each; False if there are none."""
        found = self._runs(m)
        if found is None:
            return False
        seen, turned, flat = found
        w = self.width
        count = seen.rows * seen.cols if flat else seen.cols
        # The last run ends where the row ends: some numbers are moved twice.
        starts = [min(s, count - w) for s in range(0, count, w)]

        def row(i: Index) -> None:
            for s in starts:
                places: list[tuple[Index, Index]] = [divmod(s + k, seen.cols) if flat else (i, s + k)
                                                     for k in range(w)]
                act(self.add(self.times(i, seen.down), s), [(q, p) if turned else (p, q) for p, q in places])

        self.each(0, 1 if flat else seen.rows, row)
        return True

    def gather(self, bases: Sequence[str], m: Matrix, room: str, place: Callable[[Index, Index], Index]) -> None:
        """Put element (i, j) of `width` matrices side by side into a room at ``place(i, j)``."""
        def run(at: Index, places: list[tuple[Index, Index]]) -> None:
            vectors = self.transposed([self.get_piece(p, at, self.width) for p in bases])
            for (i, j), v in zip(places, vectors, strict=True):
                self.put(room, place(i, j), v)

        def element(i: Index, j: Index) -> None:
            at = self.add(self.times(i, m.down), self.times(j, m.across))
            values = [self.get_one(p, at) for p in bases]
            vector = values[0]
            if self.width > 1:
                vector = "poison"
                for k, x in enumerate(values):
                    vector = self.body.let(f"insertelement {self.many} {vector}, {self.one} {x}, i64 {k}")
            self.put(room, place(i, j), vector)

        if self.width == 1 or not self._in_runs(m, run):
            self.each(0, m.rows, lambda i: self.each(0, m.cols, lambda j: element(i, j)))

    def scatter(self, room: str, place: Callable[[Index, Index], Index], m: Matrix, bases: Sequence[str]) -> None:
        """The other way round."""
        def run(at: Index, places: list[tuple[Index, Index]]) -> None:
            vectors = self.transposed([self.get(room, place(i, j)) for i, j in places])
            for p, v in zip(bases, vectors, strict=True):
                self.put_piece(p, at, self.width, v)

        def element(i: Index, j: Index) -> None:
            at = self.add(self.times(i, m.down), self.times(j, m.across))
            vector = self.get(room, place(i, j))
            for k, p in enumerate(bases):
                x = self.body.let(f"extractelement {self.many} {vector}, i64 {k}") if self.width > 1 else vector
                self.put_piece(p, at, 1, x)

        if self.width == 1 or not self._in_runs(m, run):
            self.each(0, m.rows, lambda i: self.each(0, m.cols, lambda j: element(i, j)))


__all__ = ["Index", "Lanes"]
