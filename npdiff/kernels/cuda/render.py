"""A pass as the source of one Python function, which Numba compiles for CUDA or its simulator runs.

Each thread evaluates the nodes at the points of its items in order. What does not move along the reduced axes is
evaluated once per item. A reduction keeps one accumulator per lane. Lanes, then the threads of a warp by shuffles, then
the warps of a block through shared memory are combined, in a fixed order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

from npdiff.kernels.cuda.operations import combine, constant, expression, register
from npdiff.kernels.cuda.plan import Config, Pass, vectorisable
from npdiff.kernels.loop_ir import Access, DType, Ranges, accesses, identity, part_of

# From so many points or elements on, indices have 64 bits: room for the largest step is left below 2**32.
WIDE = 1 << 31
# Up to so many nodes are written out for each lane.
FEW = 6
_NUMBER = re.compile(r"\bn(\d+)\b")
_SHUFFLE = "warp.shfl_down_sync(0xFFFFFFFF"


def halves(name: str, dtype: DType) -> list[str]:
    """The variables that hold a value: two for a complex one."""
    return [f"{name}_real", f"{name}_imag"] if dtype.kind == "c" else [name]


class Renderer:
    """Writes the function for one pass."""

    def __init__(self, work: Pass, config: Config) -> None:
        self.work = work
        self.kernel = work.kernel
        self.config = config
        self.lines: list[str] = []
        self.functions: list[str] = []
        self.depth = 1
        self.lanes = work.lanes
        self.last = len(self.kernel.sizes) - 1
        # Along which axes a node's value changes.
        self.moves: list[frozenset[int]] = []
        for n in self.kernel.nodes:
            if n.op == "load":
                own = frozenset(k for k, s in enumerate(n.data.strides) if s) | self.cut(n.data.within)
                self.moves.append(own.union(*[self.moves[a] for a in n.args]))
            elif n.op == "inside":
                self.moves.append(self.cut(n.data))
            else:
                self.moves.append(frozenset().union(*[self.moves[a] for a in n.args]))

    def cut(self, box: Ranges | None) -> frozenset[int]:
        """The axes along which a box ends inside the space."""
        pairs = zip(box or (), self.kernel.sizes, strict=False)
        return frozenset(k for k, (ends, n) in enumerate(pairs) if ends != (0, n))

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
                value = f"{rest} % n{size}"
                self.put(f"r{axis} = {rest} // n{size}")
                rest = f"r{axis}"
            if axis == self.last and self.lanes > 1:
                value = f"({value}) * n{self.lanes}"
            self.put(f"i{axis} = {value}")

    def place(self, a: Access, lane: int = 0) -> str:
        """The position of an element in its buffer."""
        offset = a.offset + (lane * a.strides[-1] if lane else 0)
        text = f"n{offset}" if offset > 0 else ""
        for k, s in enumerate(a.strides):
            if s:
                term = f"i{k}" if abs(s) == 1 else f"i{k} * n{abs(s)}"
                text = f"{text} {'+' if s > 0 else '-'} {term}" if text or s < 0 else term
        return f"{text} - n{-offset}" if offset < 0 else text or "n0"

    def picked(self, n: int, lane: int = 0) -> str:
        """The position of the element that a load reads."""
        node = self.kernel.nodes[n]
        text = self.place(node.data, lane)
        for arg, (step, _) in zip(node.args, node.data.steps, strict=True):
            text += f" {'-' if step < 0 else '+'} index({self.value(arg, lane)}) * n{abs(step)}"
        return text

    def condition(self, box: Ranges) -> str:
        """Whether the point lies in a box."""
        tests = []
        for k in sorted(self.cut(box)):
            low, high = box[k]
            tests += [f"(i{k} >= n{low})"] * (low > 0) + [f"(i{k} < n{high})"] * (high < self.kernel.sizes[k])
        return " & ".join(tests) or "True"

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
        if a.within is not None:
            self.load_inside(n, a.within)
            return
        if node.dtype.kind == "c":
            self.put(f"v{n}_real = {name}[({self.picked(n)}) * n2]")
            self.put(f"v{n}_imag = {name}[({self.picked(n)}) * n2 + n1]")
            return
        test = " != 0" if node.dtype.kind == "b" else ""
        half = node.dtype.char == "e"
        if self.spread(n) and self.vector(a):
            names = [f"v{n}_{k}" for k in range(self.lanes)]
            raw = [f"raw_{v}" for v in names] if half or test else names
            self.put(f"{', '.join(raw)} = load{self.lanes}({name}, {self.place(a)})")
            for v, r in zip(names, raw, strict=True) if half or test else ():
                self.put(f"{v} = {f'libdevice.half2float({r})' if half else r + test}")
            return
        for k in range(self.lanes if self.spread(n) else 1):
            value = f"{name}[{self.picked(n, k)}]"
            self.put(f"{self.value(n, k)} = {f'libdevice.half2float({value})' if half else value + test}")

    def load_inside(self, n: int, box: Ranges) -> None:
        """Read an element where the point lies in a box; elsewhere the buffer's first is read, and zero taken."""
        node = self.kernel.nodes[n]
        name = f"in{node.data.buffer}"
        self.put(f"h{n} = {self.condition(box)}")
        self.put(f"p{n} = select(h{n}, index({self.picked(n)}), n0)")
        zero = constant(0, part_of(node.dtype))
        if node.dtype.kind == "c":
            for k, part in enumerate(("real", "imag")):
                self.put(f"v{n}_{part} = select(h{n}, {name}[p{n} * n2 + n{k}], {zero})")
            return
        value = f"{name}[p{n}]"
        if node.dtype.kind == "b":
            value += " != 0"
        elif node.dtype.char == "e":
            value = f"libdevice.half2float({value})"
        self.put(f"v{n} = select(h{n}, {value}, {zero})")

    def evaluate(self, fixed: frozenset[int] | None, inside: bool) -> None:
        """The nodes that move along other axes than `fixed` (`inside`), or do not (not `inside`)."""
        spread: list[int] = []
        for n, node in enumerate(self.kernel.nodes):
            if node.op == "const" or (fixed is not None and bool(self.moves[n] - fixed) != inside):
                continue
            if node.op == "load":
                self.load(n)
            elif node.op == "inside":
                self.put(f"v{n} = {self.condition(node.data)}")
            elif node.op == "complex":
                for part, x in zip(("real", "imag"), node.args, strict=True):
                    self.put(f"v{n}_{part} = {self.value(x, 0)}")
            elif node.op in ("real", "imag"):
                self.put(f"v{n} = v{node.args[0]}_{node.op}")
            elif self.spread(n):
                spread.append(n)
            else:
                self.put(f"{self.value(n, 0)} = {self.compute(n, 0)}")
        if len(spread) > FEW:
            self.share(spread)
            return
        for n in spread:
            for k in range(self.lanes):
                self.put(f"{self.value(n, k)} = {self.compute(n, k)}")

    def compute(self, n: int, lane: int) -> str:
        """The expression of a node."""
        node = self.kernel.nodes[n]
        return expression(node, self.kernel.nodes[node.args[-1]].dtype, [self.value(a, lane) for a in node.args])

    def share(self, batch: list[int]) -> None:
        """A function for many nodes, called for every lane: it is compiled once, and inlined."""
        kernel, inside = self.kernel, set(batch)
        used = {a for n in batch for a in kernel.nodes[n].args if a not in inside and kernel.nodes[a].op != "const"}
        needed = {s.value for s in kernel.stores} | {r.value for r in kernel.reductions}
        needed |= {a for n, node in enumerate(kernel.nodes) if n not in inside for a in node.args}
        made = [n for n in batch if n in needed]
        name = f"point{len(self.functions)}"
        kinds = [" ".join("boolean" if (d := register(kernel.nodes[n].dtype)).kind == "b" else d.name for n in ns)
                 for ns in (made, sorted(used))]
        given = ", ".join(self.value(a, 0) for a in sorted(used))
        lines = [f"@inlined({kinds[0]!r}, {kinds[1]!r})", f"def {name}({given}):"]
        lines += [f"    {self.value(n, 0)} = {self.compute(n, 0)}" for n in batch]
        lines.append(f"    return {', '.join(self.value(n, 0) for n in made)}")
        self.functions.append("\n".join(lines))
        for k in range(self.lanes):
            args = ", ".join(self.value(a, k) for a in sorted(used))
            self.put(f"{', '.join(self.value(n, k) for n in made)} = {name}({args})")

    def write(self, a: Access, dtype: DType, values: list[str], shift: str = "") -> None:
        """Write one value, or one for each lane."""
        if dtype.kind == "c":
            place = self._shifted(self.place(a), shift)
            for at, x in zip((f"({place}) * n2", f"({place}) * n2 + n1"), halves(values[0], dtype), strict=True):
                self.put(f"out{a.buffer}[{at}] = {x}")
            return
        if dtype.kind == "b":
            values = [f"select({v}, uint8(1), uint8(0))" for v in values]
        if dtype.char == "e":
            values = [f"libdevice.float2half_rn({v})" for v in values]
        if len(values) > 1 and self.vector(a):
            self.put(f"store{self.lanes}(out{a.buffer}, {self._shifted(self.place(a), shift)}, "
                     f"{', '.join(values)})")
            return
        for k, v in enumerate(values):
            self.put(f"out{a.buffer}[{self._shifted(self.place(a, k), shift)}] = {v}")

    def _shifted(self, place: str, shift: str) -> str:
        return f"{place} + {shift}" if shift else place

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
        return "\n".join([*self.functions, f"def kernel({', '.join(names)}):", *self.lines]) + "\n"

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
        with self.inside(f"while item < n{self.work.items}:"):
            yield
            self.put(f"item = index(item + n{self.work.grid(self.config) * self.config.block})")

    def accumulators(self, r: int) -> list[str]:
        """The names of a reduction's partial results."""
        return [f"a{r}_{k}" for k in range(self.lanes)]

    def accumulate(self, lane: str, step: int) -> None:
        """One item: its parts of the reduced axes, every `step`-th unit from `lane` on."""
        work, kernel = self.work, self.kernel
        outer = prod(work.units(work.kept))
        if work.parts > 1:
            self.put(f"part = item // n{outer}")
            self.put(f"kept = item % n{outer}")
        self.coordinates("kept" if work.parts > 1 else "item", work.kept)
        fixed = frozenset(work.kept)
        self.evaluate(fixed, False)
        length = prod(work.units(work.axes))
        if work.parts > 1:
            self.put(f"unit = index(part * n{work.chunk} + {lane})")
            self.put(f"stop = index(min(n{length}, index(part * n{work.chunk} + n{work.chunk})))")
        else:
            self.put(f"unit = {lane}")
        with self.inside(f"while unit < {'stop' if work.parts > 1 else f'n{length}'}:"):
            self.coordinates("unit", work.axes)
            self.evaluate(fixed, True)
            self.stores()
            for k, r in enumerate(kernel.reductions):
                for at, a in enumerate(self.accumulators(k)):
                    self.join(r.op, kernel.nodes[r.value].dtype, a, self.value(r.value, at))
            self.put(f"unit = index(unit + n{step})")

    def begin(self) -> None:
        """Reset the accumulators."""
        for k, r in enumerate(self.kernel.reductions):
            dtype = self.kernel.nodes[r.value].dtype
            first = identity(r.op, dtype)
            for a in self.accumulators(k):
                for name, x in zip(halves(a, dtype), (first.real, first.imag), strict=False):
                    self.put(f"{name} = {constant(x, part_of(dtype))}")

    def join(self, op: str, dtype: DType, a: str, b: str) -> None:
        """Combine the value `b` into the accumulator `a`."""
        if dtype.kind != "c" or op == "add":
            for x, y in zip(halves(a, dtype), halves(b, dtype), strict=True):
                self.put(f"{x} = {combine(op, part_of(dtype), x, y)}")
            return
        part, (x, y), (u, v) = part_of(dtype), halves(a, dtype), halves(b, dtype)
        self.put(f"{x}, {y} = {combine('sub', part, f'{x} * {u}', f'({y} * {v})')}, "
                 f"{combine('add', part, f'{x} * {v}', f'{y} * {u}')}")

    def join_lanes(self) -> None:
        """Combine the accumulators of the lanes, if they belong to one output."""
        if self.lanes == 1 or self.last not in self.work.axes:
            return
        for k, r in enumerate(self.kernel.reductions):
            names = self.accumulators(k)
            while len(names) > 1:
                half = len(names) // 2
                for a, b in zip(names[:half], names[half:], strict=True):
                    self.join(r.op, self.kernel.nodes[r.value].dtype, a, b)
                names = names[:half]

    def results(self) -> None:
        """Write what the reductions gave."""
        shared = self.last in self.work.axes
        for k, r in enumerate(self.kernel.reductions):
            size = self.kernel.outputs[r.access.buffer].size
            names = self.accumulators(k)[:1] if shared else self.accumulators(k)
            shift = f"part * n{size}" if self.work.parts > 1 else ""
            self.write(r.access, self.kernel.nodes[r.value].dtype, names, shift)

    def alone(self) -> None:
        """One thread for each item."""
        with self.striding():
            self.begin()
            self.accumulate("n0", 1)
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
        with self.inside(f"if item < n{work.items}:"):
            self.accumulate("lane", work.group)
            self.join_lanes()
        self.exchange(self.config.warp)
        if work.group > self.config.warp:
            self.across()
        with self.inside(f"if lane == n0 and item < n{work.items}:"):
            if work.parts > 1:
                outer = prod(work.units(work.kept))
                self.put(f"part = item // n{outer}")
                self.put(f"kept = item % n{outer}")
            self.coordinates("kept" if work.parts > 1 else "item", work.kept)
            self.results()

    def partial(self) -> list[tuple[str, str, DType, str]]:
        """What threads hold of each output: the accumulator, its place in shared memory, its dtype, the operation."""
        own = 1 if self.last in self.work.axes else self.lanes
        return [(a, f"s{k}_{at}", self.kernel.nodes[r.value].dtype, r.op)
                for k, r in enumerate(self.kernel.reductions) for at, a in enumerate(self.accumulators(k)[:own])]

    def exchange(self, width: int) -> None:
        """Combine the accumulators of neighbouring threads, halving the distance from `width`."""
        self.put(f"step = {width // 2}")
        with self.inside("while step > 0:"):
            for a, _, dtype, op in self.partial():
                other = f"b_{dtype.name}"
                for x, y in zip(halves(a, dtype), halves(other, dtype), strict=True):
                    self.put(f"{y} = {self.shifted(part_of(dtype), x, 'step')}")
                self.join(op, dtype, a, other)
            self.put("step = step >> 1")

    def shifted(self, dtype: DType, a: str, step: str) -> str:
        """The value of `a` in the thread `step` further on; shuffles know four types."""
        if dtype.kind == "f":
            return f"{_SHUFFLE}, {a}, {step})"
        wide = "int64" if dtype.itemsize == 8 else "int32"
        if dtype.kind == "b":
            return f"{_SHUFFLE}, select({a}, int32(1), int32(0)), {step}) != 0"
        return f"{dtype.name}({_SHUFFLE}, {wide}({a}), {step}))"

    def across(self) -> None:
        """Combine the results of a block's warps."""
        warps = self.work.group // self.config.warp
        for _, s, dtype, _ in self.partial():
            kind = "uint8" if dtype.kind == "b" else part_of(dtype).name
            for name in halves(s, dtype):
                self.put(f"{name} = warp.shared.array({warps}, {kind}_type)")
        with self.inside(f"if lane % n{self.config.warp} == n0:"):
            for a, s, dtype, _ in self.partial():
                for x, name in zip(halves(a, dtype), halves(s, dtype), strict=True):
                    value = f"select({x}, uint8(1), uint8(0))" if dtype.kind == "b" else x
                    self.put(f"{name}[lane // n{self.config.warp}] = {value}")
        self.put("cuda.syncthreads()")
        with self.inside("if lane == n0:"):
            self.put("other = 1")
            with self.inside(f"while other < {warps}:"):
                for a, s, dtype, op in self.partial():
                    for y, name in zip(halves(f"b_{dtype.name}", dtype), halves(s, dtype), strict=True):
                        self.put(f"{y} = {name}[other]{' != 0' if dtype.kind == 'b' else ''}")
                    self.join(op, dtype, a, f"b_{dtype.name}")
                self.put("other = other + 1")


def wide(work: Pass) -> bool:
    """Whether indices need 64 bits."""
    kernel = work.kernel
    most = max([prod(kernel.sizes), work.items * work.group, *[b.size for b in (*kernel.inputs, *kernel.outputs)]])
    reach = max([sum(abs(s) * (n - 1) for s, n in [*zip(a.strides, kernel.sizes, strict=True), *a.steps])
                 + abs(a.offset) for a in accesses(kernel)], default=0)
    return max(most, reach) >= WIDE


def numbers(source: str, kind: Callable[[int], Any]) -> dict[str, Any]:
    """The numbers that a source counts and places with: ``n8`` is 8, of the type of indices."""
    return {f"n{n}": kind(int(n)) for n in set(_NUMBER.findall(source))}


def render(work: Pass, config: Config) -> str:
    """The source of a pass's function."""
    return Renderer(work, config).render()
