"""Kernels along one axis whose results follow an order: running sums, sums of what has one key, first extrema.

An array is seen as lines of `length` elements, `inner` apart, `outer` groups of `inner` of them. A line is cut into
parts by sizes alone; a thread, or a warp where neighbours of a line are neighbours in memory, goes through one part
from its beginning. What the parts gave is a shorter problem of the same kind, and its results are where the parts go on
from. So results depend neither on scheduling nor on the card, and lines of one part are added up in NumPy's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from npdiff.kernels.cuda.compile import Code, memory
from npdiff.kernels.cuda.operations import combine, constant, register
from npdiff.kernels.cuda.plan import LEAST_RUN, Config
from npdiff.kernels.cuda.render import WIDE
from npdiff.kernels.loop_ir import DType, identity

INT64 = np.dtype(np.int64)
_MASK = "0xFFFFFFFF"


@dataclass(frozen=True, slots=True)
class Line:
    """Lines of an array, and how threads share them: `group` of them for each of the `parts`, `chunk` elements long."""

    outer: int
    length: int
    inner: int
    group: int = 1
    parts: int = 1
    chunk: int = 0

    @property
    def items(self) -> int:
        """How many groups of threads have work."""
        return self.outer * self.parts * self.inner

    def shorter(self) -> Line:
        """The lines that the parts' results make."""
        return Line(self.outer, self.parts, self.inner)

    def cut(self, config: Config) -> Line:
        """The lines with their parts."""
        rows = self.outer * self.inner
        group = config.warp if self.inner == 1 and self.length > config.thread_row else 1
        fill = -(-config.threads // (rows * group))
        parts = max(1, min(fill, self.length // (group * min(LEAST_RUN, config.run))))
        chunk = -(-self.length // parts)
        return replace(self, group=group, parts=-(-self.length // chunk), chunk=chunk)


def shuffled(how: str, dtype: DType, value: str, by: str) -> str:
    """A value of another thread of the warp; shuffles know four types."""
    if dtype.kind == "f":
        return f"warp.{how}({_MASK}, {value}, {by})"
    wide = "int64" if dtype.itemsize == 8 else "int32"
    return f"{dtype.name}(warp.{how}({_MASK}, {wide}({value}), {by}))"


class Text:
    """The source of one pass as it grows."""

    def __init__(self, line: Line, config: Config) -> None:
        self.line = line
        self.config = config
        self.lines: list[str] = []
        self.depth = 1

    def put(self, *lines: str) -> None:
        """More lines; one that ends with a colon opens a block, which `close` ends."""
        for text in lines:
            self.lines.append("    " * self.depth + text)
            self.depth += text.endswith(":")

    def close(self) -> None:
        """End a block."""
        self.depth -= 1

    def begin(self) -> None:
        """Where this thread begins and its part ends. Threads without a part go along for the exchanges."""
        at, group = self.line, self.line.group
        if group == 1:
            self.put("item = index(cuda.grid(1))", f"while item < n{at.items}:", "lane = n0")
        else:
            each = self.config.block // group
            self.put(f"item = index(cuda.blockIdx.x * {each} + cuda.threadIdx.x // {group})",
                     f"lane = index(cuda.threadIdx.x % {group})")
        self.put(f"column = item % n{at.inner}", f"rest = item // n{at.inner}",
                 f"part = rest % n{at.parts}", f"row = rest // n{at.parts}",
                 f"stop = index(min(n{at.length}, index(part * n{at.chunk} + n{at.chunk})))",
                 f"unit = index(part * n{at.chunk} + lane)")

    def loop(self) -> None:
        """Go through the part: every thread of a block as often, so that all meet at the exchanges."""
        steps = -(-self.line.chunk // self.line.group)
        self.put("done = n0", f"while done < n{steps}:",
                 f"holds = (unit < stop) & (item < n{self.line.items})",
                 "at = select(holds, unit, index(stop - n1))",
                 f"place = select(item < n{self.line.items}, "
                 f"index((row * n{self.line.length} + at) * n{self.line.inner} + column), n0)")

    def next(self) -> None:
        """The end of the loop."""
        self.put(f"unit = index(unit + n{self.line.group})", "done = index(done + n1)")
        self.close()

    def end(self) -> None:
        """Go on with further items, where the grid is smaller."""
        if self.line.group == 1:
            self.put(f"item = index(item + n{self.grid() * self.config.block})")
            self.close()

    def grid(self) -> int:
        """Blocks to launch."""
        blocks = -(-self.line.items * self.line.group // self.config.block)
        return min(blocks, self.config.blocks) if self.line.group == 1 else blocks

    def code(self, inputs: Sequence[DType], outputs: Sequence[DType]) -> Code:
        """All of it, for arrays of these dtypes."""
        names = [f"in{k}" for k in range(len(inputs))] + [f"out{k}" for k in range(len(outputs))]
        size = max(self.line.outer * self.line.length * self.line.inner, self.line.items * self.line.group)
        text = "\n".join([f"def kernel({', '.join(names)}):", *self.lines]) + "\n"
        return Code(text, tuple(memory(d) for d in (*inputs, *outputs)), size >= WIDE, self.grid(), self.config.block)


@dataclass(frozen=True, slots=True)
class Launches:
    """Codes in order, each with its arrays: inputs, outputs, then `scratch` of these sizes and dtypes."""

    codes: tuple[tuple[Code, tuple[int, ...]], ...]
    scratch: tuple[tuple[int, DType], ...]


class Plans:
    """Launches as they are planned; arrays are numbered."""

    def __init__(self, arrays: int) -> None:
        self.arrays = arrays
        self.codes: list[tuple[Code, tuple[int, ...]]] = []
        self.scratch: list[tuple[int, DType]] = []

    def empty(self, size: int, dtype: DType) -> int:
        """The number of a scratch array."""
        self.scratch.append((size, dtype))
        return self.arrays + len(self.scratch) - 1

    def launches(self) -> Launches:
        """All that was planned."""
        return Launches(tuple(self.codes), tuple(self.scratch))


# ---------------------------------------------------------------------- running sums and products


def neutral(op: str, dtype: DType) -> str:
    """What changes no value: of sums, a negative zero keeps the sign of another."""
    return constant(-0.0 if op == "add" and dtype.kind == "f" else identity(op, dtype), dtype)


def _running(line: Line, op: str, dtype: DType, config: Config, carried: bool, totals: bool) -> Code:
    text = Text(line, config)
    text.begin()
    text.put(f"carry = {neutral(op, dtype)}")
    if carried:
        text.put(f"if (part > n0) & (item < n{line.items}):", f"carry = in1[item - n{line.inner}]")
        text.close()
    text.loop()
    text.put(f"value = select(holds, in0[place], {neutral(op, dtype)})")
    if line.group > 1:
        text.put("step = 1", f"while step < {line.group}:",
                 f"other = {shuffled('shfl_up_sync', dtype, 'value', 'step')}",
                 f"value = select(lane >= index(step), {combine(op, dtype, 'other', 'value')}, value)",
                 "step = step << 1")
        text.close()
    text.put(f"value = {combine(op, dtype, 'carry', 'value')}")
    if not totals:
        text.put("if holds:", "out0[place] = value")
        text.close()
    text.put(f"carry = {_last(line, dtype, 'value')}")
    text.next()
    if totals:
        text.put(f"if (lane == n0) & (item < n{line.items}):", "out0[item] = carry")
        text.close()
    text.end()
    return text.code([dtype, *[dtype] * carried], [dtype])


def _last(line: Line, dtype: DType, value: str) -> str:
    """The value of the last thread of a group."""
    if line.group == 1:
        return value
    last = f"cuda.threadIdx.x // {line.group} * {line.group} + {line.group - 1}"
    return shuffled("shfl_sync", dtype, value, f"({last}) & 31")


def running(op: str, dtype: DType, outer: int, length: int, inner: int, config: Config) -> Launches:
    """The running sum or product of an array's lines: arrays are the operand and the result."""
    plans = Plans(2)

    def scan(line: Line, given: int, out: int) -> None:
        line = line.cut(config)
        if line.parts == 1:
            plans.codes.append((_running(line, op, dtype, config, False, False), (given, out)))
            return
        ends = plans.empty(line.items, dtype)
        before = plans.empty(line.items, dtype)
        plans.codes.append((_running(line, op, dtype, config, False, True), (given, ends)))
        scan(line.shorter(), ends, before)
        plans.codes.append((_running(line, op, dtype, config, True, False), (given, before, out)))

    scan(Line(outer, length, inner), 0, 1)
    return plans.launches()


# ---------------------------------------------------------------------- sums of what has one key


def _keyed(line: Line, dtype: DType, config: Config, ordered: bool, carried: bool, how: str) -> Code:
    """`how`: "into" adds sums to a table, "ends" gives what each part ends with, "all" every running sum."""
    names = ["keys", *["order"] * ordered, *["before", "held_keys"] * carried]
    place = {name: f"in{1 + k}" for k, name in enumerate(names)}
    text = Text(line, config)
    text.begin()
    text.put(f"carry = {neutral('add', dtype)}", "held = int64(-1)")
    if carried:
        text.put(f"if (part > n0) & (item < n{line.items}):", f"carry = {place['before']}[item - n{line.inner}]",
                 f"held = {place['held_keys']}[part - n1]")
        text.close()
    text.loop()
    text.put(f"key = {place['keys']}[at]")
    where = f"index({place['order']}[at]) * n{line.inner} + column" if ordered else "place"
    text.put(f"value = select(holds, in0[{where}], {neutral('add', dtype)})")
    if line.group > 1:
        text.put("step = 1", f"while step < {line.group}:",
                 f"other = {shuffled('shfl_up_sync', dtype, 'value', 'step')}",
                 f"its = {shuffled('shfl_up_sync', INT64, 'key', 'step')}",
                 f"value = select((lane >= index(step)) & (its == key), {combine('add', dtype, 'other', 'value')}, "
                 "value)", "step = step << 1")
        text.close()
    text.put(f"value = select(held == key, {combine('add', dtype, 'carry', 'value')}, value)")
    if how == "into":
        # (The element behind the last is never asked for its key.)
        text.put(f"after = index(min(n{line.length - 1}, index(at + n1)))",
                 f"if holds & ((at == n{line.length - 1}) | ({place['keys']}[after] != key)):",
                 f"spot = index(key) * n{line.inner} + column",
                 f"out0[spot] = {combine('add', dtype, 'out0[spot]', 'value')}")
        text.close()
    elif how == "all":
        text.put("if holds:", "out0[place] = value")
        text.close()
    text.put(f"carry = {_last(line, dtype, 'value')}", f"held = {_last(line, INT64, 'key')}")
    text.next()
    if how == "ends":
        text.put(f"if (lane == n0) & (item < n{line.items}):", "out0[item] = carry",
                 "if column == n0:", "out1[part] = held")
        text.close()
        text.close()
    text.end()
    inputs = [dtype, INT64, *[INT64] * ordered, *[dtype, INT64] * carried]
    return text.code(inputs, [dtype, *[INT64] * (how == "ends")])


def keyed(dtype: DType, length: int, inner: int, config: Config) -> Launches:
    """Rows of an array added to those of a table that their keys name.

    Arrays are the rows, the keys in ascending order, which row has each, and the table, which is written into.
    """
    plans = Plans(4)

    def add(line: Line, given: tuple[int, ...], out: int, how: str) -> None:
        line = line.cut(config)
        ordered = len(given) == 3
        if line.parts == 1:
            plans.codes.append((_keyed(line, dtype, config, ordered, False, how), (*given, out)))
            return
        ends, before = plans.empty(line.items, dtype), plans.empty(line.items, dtype)
        keys = plans.empty(line.parts, INT64)
        plans.codes.append((_keyed(line, dtype, config, ordered, False, "ends"), (*given, ends, keys)))
        add(line.shorter(), (ends, keys), before, "all")
        plans.codes.append((_keyed(line, dtype, config, ordered, True, how), (*given, before, keys, out)))

    add(Line(1, length, inner), (0, 1, 2), 3, "into")
    return plans.launches()


# ---------------------------------------------------------------------- first extrema


def _extreme(line: Line, op: str, dtype: DType, config: Config, given: bool, more: bool) -> Code:
    """`given`: positions come with the values; `more`: the values are given out, too."""
    kind = register(np.dtype(np.uint8) if dtype.kind == "b" else dtype)
    sign = ">" if op == "argmax" else "<"

    def better(value: str, at: str) -> None:
        """Take a value that comes before the best: NaN before all, and the first of several."""
        beyond, same = f"({value} {sign} best)", f"({value} == best)"
        if kind.kind == "f":
            beyond = f"({beyond} | (({value} != {value}) & (best == best)))"
            same = f"({same} | (({value} != {value}) & (best != best)))"
        text.put(f"takes = {beyond} | ({same} & ({at} < where))",
                 f"best = select(takes, {value}, best)", f"where = select(takes, {at}, where)")

    def element(place: str) -> str:
        return f"libdevice.half2float(in0[{place}])" if dtype.char == "e" and not given else f"in0[{place}]"

    text = Text(line, config)
    text.begin()
    # Every group has at least its part's first element, which any of its threads may begin with.
    first = "index(min(unit, index(stop - n1)))" if line.group > 1 else "unit"
    text.put(f"start = select(item < n{line.items}, "
             f"index((row * n{line.length} + {first}) * n{line.inner} + column), n0)",
             f"best = {element('start')}", f"where = {'in1[start]' if given else f'int64({first})'}")
    text.loop()
    text.put(f"value = {element('place')}", f"its = {'in1[place]' if given else 'int64(at)'}")
    better("value", "its")
    text.next()
    if line.group > 1:
        text.put(f"step = {line.group // 2}", "while step > 0:",
                 f"value = {shuffled('shfl_down_sync', kind, 'best', 'step')}",
                 f"its = {shuffled('shfl_down_sync', INT64, 'where', 'step')}",
                 f"if lane < index({line.group} - step):")
        better("value", "its")
        text.close()
        text.put("step = step >> 1")
        text.close()
    text.put(f"if (lane == n0) & (item < n{line.items}):", "out0[item] = where", *["out1[item] = best"] * more)
    text.close()
    text.end()
    held = kind if given else dtype
    return text.code([held, *[INT64] * given], [INT64, *[kind] * more])


def extreme(op: str, dtype: DType, outer: int, length: int, inner: int, config: Config) -> Launches:
    """Where the first largest or smallest element of each line is; arrays are the operand and the result."""
    plans = Plans(2)
    kind = register(np.dtype(np.uint8) if dtype.kind == "b" else dtype)
    line = Line(outer, length, inner).cut(config)
    given: tuple[int, ...] = (0,)
    while line.parts > 1:
        where, best = plans.empty(line.items, INT64), plans.empty(line.items, kind)
        plans.codes.append((_extreme(line, op, dtype, config, len(given) > 1, True), (*given, where, best)))
        line, given = line.shorter().cut(config), (best, where)
    plans.codes.append((_extreme(line, op, dtype, config, len(given) > 1, False), (*given, 1)))
    return plans.launches()


__all__ = ["Launches", "Line", "extreme", "keyed", "running"]
