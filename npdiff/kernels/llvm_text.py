"""LLVM IR as text: types, constants and a function body that grows line by line."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from npdiff.kernels.loop_ir import DType, part_of


def scalar_type(dtype: DType) -> str:
    """The type of one value in a register."""
    if dtype.kind == "b":
        return "i1"
    if dtype.kind == "f":
        return {8: "double", 4: "float", 2: "half"}[dtype.itemsize]
    return f"i{8 * dtype.itemsize}"


def memory_type(dtype: DType) -> str:
    """The type of one value in memory: NumPy's bool is a byte, its complex number two floats."""
    if dtype.kind == "c":
        return f"[2 x {scalar_type(part_of(dtype))}]"
    return "i8" if dtype.kind == "b" else scalar_type(dtype)


def wide(kind: str, width: int) -> str:
    """`width` values side by side."""
    return kind if width == 1 else f"<{width} x {kind}>"


def register(dtype: DType, width: int) -> str:
    """The register type of `width` values; of complex ones, the parts in turn."""
    if dtype.kind == "c":
        return wide(scalar_type(part_of(dtype)), 2 * width)
    return wide(scalar_type(dtype), width)


def suffix(dtype: DType, width: int) -> str:
    """How overloaded intrinsics spell a type: v4f64, i32."""
    kind = f"{'f' if dtype.kind == 'f' else 'i'}{1 if dtype.kind == 'b' else 8 * dtype.itemsize}"
    return kind if width == 1 else f"v{width}{kind}"


def number(value: Any, dtype: DType) -> str:
    """A scalar constant."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind == "f" and dtype.itemsize == 2:
        return f"0xH{struct.unpack('<H', struct.pack('<e', float(value)))[0]:04X}"
    if dtype.kind == "f":
        # LLVM spells a float as the double of the same value.
        return f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"
    return str(int(value))


def constant(value: Any, dtype: DType, width: int) -> str:
    """A constant, repeated over all lanes."""
    if dtype.kind == "c":
        part = part_of(dtype)
        both = [f"{scalar_type(part)} {number(x, part)}" for x in (value.real, value.imag)]
        return f"<{', '.join(both * width)}>"
    text = number(value, dtype)
    if width == 1:
        return text
    return f"splat ({scalar_type(dtype)} {text})"


class Body:
    """The blocks of one function, with loops; values are named %0-like and never reused.

    `fma` says whether the machine multiplies and adds in one rounding: the functions of `vecmath` need it.
    `lanes` is the width they are defined for: a single value goes through all lanes, so that each is compiled once.
    `inline` says whether they are copied to where they are used.
    """

    def __init__(self, fma: bool = True, lanes: int = 1, inline: bool = True) -> None:
        self.fma = fma
        self.lanes = lanes
        self.inline = inline
        self.lines: list[str] = []
        self.allocations: list[str] = []
        self.declarations: set[str] = set()
        self.definitions: dict[str, str] = {}
        self.metadata: list[str] = []
        # Loop marks that another function of the module has used.
        self.marks = 0
        self._count = 0
        self.label = "entry"

    def name(self, stem: str = "v") -> str:
        """A fresh name, without its sigil."""
        self._count += 1
        return f"{stem}{self._count}"

    def let(self, right: str) -> str:
        """Assign to a fresh value."""
        v = f"%{self.name()}"
        self.lines.append(f"  {v} = {right}")
        return v

    def do(self, text: str) -> None:
        """An instruction without a value."""
        self.lines.append(f"  {text}")

    def allocate(self, kind: str) -> str:
        """A variable of the function; promoted to registers by the optimiser."""
        v = f"%{self.name('acc')}"
        self.allocations.append(f"  {v} = alloca {kind}")
        return v

    def start(self, label: str) -> None:
        """Begin a block."""
        self.lines.append(f"{label}:")
        self.label = label

    def intrinsic(self, name: str, result: str, kinds: list[str], args: list[str], flags: str = "") -> str:
        """Call a function, declaring it."""
        self.declarations.add(f"declare {result} @{name}({', '.join(kinds)})")
        given = ", ".join(f"{k} {a}" for k, a in zip(kinds, args, strict=True))
        return self.let(f"call {flags}{result} @{name}({given})")

    @contextmanager
    def loop(self, begin: str | int, end: str | int, step: str | int) -> Iterator[str]:
        """``for i in range(begin, end, step)``; yields i."""
        head, body, latch, done = (self.name(s) for s in ("head", "body", "latch", "done"))
        i, following = f"%{self.name('i')}", f"%{self.name('n')}"
        self.do(f"br label %{head}")
        before = self.label
        self.start(head)
        self.do(f"{i} = phi i64 [ {begin}, %{before} ], [ {following}, %{latch} ]")
        more = self.let(f"icmp slt i64 {i}, {end}")
        self.do(f"br i1 {more}, label %{body}, label %{done}")
        self.start(body)
        yield i
        self.do(f"br label %{latch}")
        self.start(latch)
        self.do(f"{following} = add nuw nsw i64 {i}, {step}")
        # The loops are vector code already: the optimiser would only spend time on them.
        mark = 2 + self.marks + len(self.metadata)
        self.metadata.append(f"!{mark} = distinct !{{!{mark}, !0, !1}}")
        self.do(f"br label %{head}, !llvm.loop !{mark}")
        self.start(done)


def splat(body: Body, x: str, kind: str, width: int) -> str:
    """A value repeated over all lanes."""
    if width == 1:
        return x
    first = body.let(f"insertelement {wide(kind, width)} poison, {kind} {x}, i64 0")
    return body.let(
        f"shufflevector {wide(kind, width)} {first}, {wide(kind, width)} poison, <{width} x i32> zeroinitializer")


def lanes_where(body: Body, how: str, bound: str, width: int) -> str:
    """Truth values: of the lanes of a vector, those whose number compares (``sge``, ``slt``) so with an i64."""
    kind = wide("i32", width)
    numbers = f"<{', '.join(f'i32 {k}' for k in range(width))}>"
    return body.let(f"icmp {how} {kind} {numbers}, {splat(body, body.let(f'trunc i64 {bound} to i32'), 'i32', width)}")


def places(body: Body, first: str, apart: int, dtype: DType, width: int) -> str:
    """The integer `first` (of 64 bits) in the first lane of a dtype, and one more by `apart` in each further lane."""
    kind = scalar_type(dtype)
    one = first if dtype.itemsize == 8 else body.let(f"trunc i64 {first} to {kind}")
    if width == 1:
        return one
    further = f"<{', '.join(f'{kind} {apart * k}' for k in range(width))}>"
    return body.let(f"add {wide(kind, width)} {splat(body, one, kind, width)}, {further}")


LOOP_HINTS = '!0 = !{!"llvm.loop.vectorize.enable", i1 false}\n!1 = !{!"llvm.loop.unroll.disable"}'

