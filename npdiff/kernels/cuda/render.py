"""A pass as the source of one Python function, which Numba compiles for CUDA or its simulator runs.

Each thread evaluates the nodes at the points of its items in order. What does not move along the reduced axes is
evaluated once per item. A reduction keeps one accumulator per lane. Lanes, then the threads of a warp by shuffles, then
the warps of a block through shared memory are combined, in a fixed order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

from npdiff.kernels.cuda.operations import combine, constant, expression
from npdiff.kernels.cuda.plan import Config, Pass, vectorisable
from npdiff.kernels.loop_ir import Access, DType, accesses, identity

# From so many points or elements on, indices have 64 bits: room for the largest step is left below 2**32.
WIDE = 1 << 31


class Renderer:
    """Writes the function for one pass."""

    def __init__(self, work: Pass, config: Config) -> None:
        self.work = work
        self.kernel = work.kernel
        self.config = config
        self.lines: list[str] = []
        self.depth = 1
        self.lanes = work.lanes
        self.last = len(self.kernel.sizes) - 1
        # Along which axes a node's value changes.
        self.moves: list[frozenset[int]] = []
        for n in self.kernel.nodes:
            if n.op == "load":
                self.moves.append(frozenset(k for k, s in enumerate(n.data.strides) if s))
            else:
                self.moves.append(frozenset().union(*[self.moves[a] for a in n.args]))

    def put(self, line: str) -> None:
        """One more line."""
        self.lines.append("    " * self.depth + line)

    @contextmanager
    def inside(self, head: str) -> Iterator[None]:
        """An indented block."""
        self.put(head)
        self.depth += 1
        yield
        self.depth -= 1

    def coordinates(self, flat: str, axes: tuple[int, ...]) -> None:
        """Indices along axes from the position in their space."""
        sizes = self.work.units(axes)
        rest = flat
        for k in reversed(range(len(axes))):
            axis, size = axes[k], sizes[k]
            value = rest
            if k:
                value = f"index({rest} % index({size}))"
                self.put(f"r{axis} = index({rest} // index({size}))")
                rest = f"r{axis}"
            if axis == self.last and self.lanes > 1:
                value = f"index({value} * index({self.lanes}))"
            self.put(f"i{axis} = {value}")

    def place(self, a: Access, lane: int = 0) -> str:
        """The position of an element in its buffer."""
        offset = a.offset + (lane * a.strides[-1] if lane else 0)
        text = str(offset) if offset else ""
        for k, s in enumerate(a.strides):
            if s:
                term = f"i{k}" if abs(s) == 1 else f"i{k} * index({abs(s)})"
                text = f"{text} {'+' if s > 0 else '-'} {term}" if text or s < 0 else term
        return f"index({text or '0'})"

    def spread(self, n: int) -> bool:
        """Whether a node differs from lane to lane."""
        return self.lanes > 1 and self.last in self.moves[n]

    def value(self, n: int, lane: int) -> str:
        """A node's value in a lane."""
        node = self.kernel.nodes[n]
        if node.op == "const":
            return constant(node.data, node.dtype)
        return f"v{n}_{lane}" if self.spread(n) else f"v{n}"

    def vector(self, a: Access) -> bool:
        """Whether the lanes of an access are read or written at once."""
        return self.lanes > 1 and vectorisable(a, self.kernel.sizes[-1], self.lanes)

    def load(self, n: int) -> None:
        """Read an element, or one for each lane."""
        node = self.kernel.nodes[n]
        a: Access = node.data
        name = f"in{a.buffer}"
        test = " != 0" if node.dtype.kind == "b" else ""
        if self.spread(n) and self.vector(a):
            names = [f"v{n}_{k}" for k in range(self.lanes)]
            self.put(f"{', '.join(names)} = load{self.lanes}({name}, {self.place(a)})")
            for v in names if test else []:
                self.put(f"{v} = {v}{test}")
            return
        for k in range(self.lanes if self.spread(n) else 1):
            self.put(f"{self.value(n, k)} = {name}[{self.place(a, k)}]{test}")

    def evaluate(self, fixed: frozenset[int] | None, inside: bool) -> None:
        """The nodes that move along other axes than `fixed` (`inside`), or do not (not `inside`)."""
        for n, node in enumerate(self.kernel.nodes):
            if node.op == "const" or (fixed is not None and bool(self.moves[n] - fixed) != inside):
                continue
            if node.op == "load":
                self.load(n)
                continue
            operand = self.kernel.nodes[node.args[-1]].dtype
            for k in range(self.lanes if self.spread(n) else 1):
                args = [self.value(a, k) for a in node.args]
                self.put(f"{self.value(n, k)} = {expression(node, operand, args)}")

    def write(self, a: Access, dtype: DType, values: list[str], shift: str = "") -> None:
        """Write one value, or one for each lane."""
        if dtype.kind == "b":
            values = [f"uint8(1) if {v} else uint8(0)" for v in values]
        if len(values) > 1 and self.vector(a):
            self.put(f"store{self.lanes}(out{a.buffer}, {self._shifted(self.place(a), shift)}, "
                     f"{', '.join(f'({v})' if ' ' in v else v for v in values)})")
            return
        for k, v in enumerate(values):
            self.put(f"out{a.buffer}[{self._shifted(self.place(a, k), shift)}] = {v}")

    def _shifted(self, place: str, shift: str) -> str:
        return f"index({place} + {shift})" if shift else place

    def stores(self) -> None:
        """Write the points of this thread."""
        for s in self.kernel.stores:
            dtype = self.kernel.nodes[s.value].dtype
            # A place that does not move with the lanes has a value that does not either.
            lanes = range(self.lanes) if self.lanes > 1 and s.access.strides[-1] else range(1)
            self.write(s.access, dtype, [self.value(s.value, k) for k in lanes])

    def render(self) -> str:
        """The source."""
        work, kernel = self.work, self.kernel
        names = [f"in{k}" for k in range(len(kernel.inputs))] + [f"out{k}" for k in range(len(kernel.outputs))]
        if not work.axes:
            self.elementwise()
        elif work.group == 1:
            self.alone()
        else:
            self.together()
        return "\n".join([f"def kernel({', '.join(names)}):", *self.lines]) + "\n"

    def elementwise(self) -> None:
        """Threads take points, and go on with further ones where the grid is smaller."""
        if not self.kernel.sizes:
            with self.inside("if cuda.grid(1) == 0:"):
                self.evaluate(None, True)
                self.stores()
            return
        self.evaluate(frozenset(), False)
        with self.striding():
            self.coordinates("item", self.work.kept)
            self.evaluate(frozenset(), True)
            self.stores()

    @contextmanager
    def striding(self) -> Iterator[None]:
        """A loop over the items of one thread."""
        self.put("item = index(cuda.grid(1))")
        with self.inside(f"while item < index({self.work.items}):"):
            yield
            self.put(f"item = index(item + index({self.work.grid(self.config) * self.config.block}))")

    def accumulators(self, r: int) -> list[str]:
        """The names of a reduction's partial results."""
        return [f"a{r}_{k}" for k in range(self.lanes)]

    def accumulate(self, lane: str, step: int) -> None:
        """One item: its parts of the reduced axes, every `step`-th unit from `lane` on."""
        work, kernel = self.work, self.kernel
        outer = prod(work.units(work.kept))
        if work.parts > 1:
            self.put(f"part = index(item // index({outer}))")
            self.put(f"kept = index(item % index({outer}))")
        self.coordinates("kept" if work.parts > 1 else "item", work.kept)
        fixed = frozenset(work.kept)
        self.evaluate(fixed, False)
        length = prod(work.units(work.axes))
        if work.parts > 1:
            self.put(f"unit = index(part * index({work.chunk}) + {lane})")
            self.put(f"stop = index(min(index({length}), index(part * index({work.chunk}) + index({work.chunk}))))")
        else:
            self.put(f"unit = {lane}")
        with self.inside(f"while unit < {'stop' if work.parts > 1 else f'index({length})'}:"):
            self.coordinates("unit", work.axes)
            self.evaluate(fixed, True)
            self.stores()
            for k, r in enumerate(kernel.reductions):
                dtype = kernel.nodes[r.value].dtype
                for at, a in enumerate(self.accumulators(k)):
                    self.put(f"{a} = {combine(r.op, dtype, a, self.value(r.value, at))}")
            self.put(f"unit = index(unit + index({step}))")

    def begin(self) -> None:
        """Reset the accumulators."""
        for k, r in enumerate(self.kernel.reductions):
            dtype = self.kernel.nodes[r.value].dtype
            for a in self.accumulators(k):
                self.put(f"{a} = {constant(identity(r.op, dtype), dtype)}")

    def join_lanes(self) -> None:
        """Combine the accumulators of the lanes, if they belong to one output."""
        if self.lanes == 1 or self.last not in self.work.axes:
            return
        for k, r in enumerate(self.kernel.reductions):
            dtype = self.kernel.nodes[r.value].dtype
            names = self.accumulators(k)
            while len(names) > 1:
                half = len(names) // 2
                for a, b in zip(names[:half], names[half:], strict=True):
                    self.put(f"{a} = {combine(r.op, dtype, a, b)}")
                names = names[:half]

    def results(self) -> None:
        """Write what the reductions gave."""
        shared = self.last in self.work.axes
        for k, r in enumerate(self.kernel.reductions):
            size = self.kernel.outputs[r.access.buffer].size
            names = self.accumulators(k)[:1] if shared else self.accumulators(k)
            shift = f"part * index({size})" if self.work.parts > 1 else ""
            self.write(r.access, self.kernel.nodes[r.value].dtype, names, shift)

    def alone(self) -> None:
        """One thread for each item."""
        with self.striding():
            self.begin()
            self.accumulate("index(0)", 1)
            self.join_lanes()
            self.results()

    def together(self) -> None:
        """A warp or a block for each item; threads without one take part in the exchanges all the same."""
        work, block = self.work, self.config.block
        each = block // work.group
        item = "cuda.blockIdx.x"
        if each > 1:
            item = f"cuda.blockIdx.x * {each} + cuda.threadIdx.x // {work.group}"
        self.put(f"item = index({item})")
        self.put(f"lane = index(cuda.threadIdx.x{f' % {work.group}' if each > 1 else ''})")
        self.begin()
        with self.inside(f"if item < index({work.items}):"):
            self.accumulate("lane", work.group)
            self.join_lanes()
        self.exchange(self.config.warp)
        if work.group > self.config.warp:
            self.across()
        with self.inside(f"if lane == index(0) and item < index({work.items}):"):
            if work.parts > 1:
                outer = prod(work.units(work.kept))
                self.put(f"part = index(item // index({outer}))")
                self.put(f"kept = index(item % index({outer}))")
            self.coordinates("kept" if work.parts > 1 else "item", work.kept)
            self.results()

    def exchange(self, width: int) -> None:
        """Combine the accumulators of neighbouring threads, halving the distance from `width`."""
        for k, r in enumerate(self.kernel.reductions):
            dtype = self.kernel.nodes[r.value].dtype
            own = range(1) if self.last in self.work.axes else range(self.lanes)
            for a in (self.accumulators(k)[at] for at in own):
                step = width // 2
                while step:
                    other = f"b_{dtype.name}"
                    self.put(f"{other} = {self.shifted(dtype, a, step)}")
                    self.put(f"{a} = {combine(r.op, dtype, a, other)}")
                    step //= 2

    def shifted(self, dtype: DType, a: str, step: int) -> str:
        """The value of `a` in the thread `step` further on; shuffles know four types."""
        if dtype.kind == "f":
            return f"shuffle({a}, {step})"
        wide = "int64" if dtype.itemsize == 8 else "int32"
        if dtype.kind == "b":
            return f"shuffle(int32(1) if {a} else int32(0), {step}) != 0"
        return f"{dtype.name}(shuffle({wide}({a}), {step}))"

    def across(self) -> None:
        """Combine the results of a block's warps."""
        warps = self.work.group // self.config.warp
        stored: list[tuple[str, str, DType, str]] = []
        for k, r in enumerate(self.kernel.reductions):
            dtype = self.kernel.nodes[r.value].dtype
            own = range(1) if self.last in self.work.axes else range(self.lanes)
            stored += [(a, f"s{k}_{at}", dtype, r.op) for at in own for a in self.accumulators(k)[at:at + 1]]
        for _, s, dtype, _ in stored:
            self.put(f"{s} = cuda.shared.array({warps}, {'uint8' if dtype.kind == 'b' else dtype.name}_type)")
        with self.inside(f"if lane % index({self.config.warp}) == index(0):"):
            for a, s, dtype, _ in stored:
                value = f"uint8(1) if {a} else uint8(0)" if dtype.kind == "b" else a
                self.put(f"{s}[lane // index({self.config.warp})] = {value}")
        self.put("cuda.syncthreads()")
        with self.inside("if lane == index(0):"):
            for a, s, dtype, op in stored:
                test = " != 0" if dtype.kind == "b" else ""
                other = f"b_{dtype.name}"
                for w in range(1, warps):
                    self.put(f"{other} = {s}[{w}]{test}")
                    self.put(f"{a} = {combine(op, dtype, a, other)}")


def wide(work: Pass, config: Config) -> bool:
    """Whether indices need 64 bits."""
    kernel = work.kernel
    most = max([prod(kernel.sizes), work.items * work.group, *[b.size for b in (*kernel.inputs, *kernel.outputs)]])
    reach = max([sum(abs(s) * (n - 1) for s, n in zip(a.strides, kernel.sizes, strict=True)) + abs(a.offset)
                 for a in accesses(kernel)], default=0)
    return max(most, reach) >= WIDE


def render(work: Pass, config: Config) -> str:
    """The source of a pass's function."""
    return Renderer(work, config).render()
