"""Loads and stores of several values at a stride, and squares of rows turned into columns, in LLVM text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from npdiff.kernels import llvm_complex
from npdiff.kernels.llvm_text import Body, memory_type, register, wide
from npdiff.kernels.loop_ir import DType
from npdiff.kernels.streaming import LINE

# The address of the element so many elements further on.
Address = Callable[[int], str]


def raw(body: Body, dtype: DType, width: int, value: str) -> str:
    """Values as memory holds them: NumPy's bool is a byte."""
    if dtype.kind != "b":
        return value
    return body.let(f"zext {register(dtype, width)} {value} to {wide('i8', width)}")


def cooked(body: Body, dtype: DType, width: int, value: str) -> str:
    """Values as registers hold them."""
    if dtype.kind != "b":
        return value
    return body.let(f"icmp ne {wide('i8', width)} {value}, {'0' if width == 1 else 'zeroinitializer'}")


def lane(body: Body, dtype: DType, width: int, x: str, k: int) -> str:
    """One value of several."""
    if dtype.kind == "c":
        return llvm_complex.lane(body, dtype, width, x, k)
    return body.let(f"extractelement {register(dtype, width)} {x}, i64 {k}")


def chosen(body: Body, dtype: DType, width: int, where: str, yes: str, no: str) -> str:
    """`yes` in the lanes of a vector where the truth values hold, else `no`."""
    count = width
    if dtype.kind == "c":
        count = 2 * width
        where = shuffle(body, "i1", width, where, "poison", [k // 2 for k in range(count)])
    kind = register(dtype, width)
    return body.let(f"select <{count} x i1> {where}, {kind} {yes}, {kind} {no}")


def load(body: Body, dtype: DType, width: int, stride: int, at: Address) -> str:
    """Values `stride` elements apart."""
    if dtype.kind == "c":
        return llvm_complex.load(body, dtype, width, stride, at)
    kind = memory_type(dtype)
    if width == 1 or stride == 1:
        value = body.let(f"load {wide(kind, width)}, ptr {at(0)}, align 1")
    elif stride == -1:
        value = body.let(f"load {wide(kind, width)}, ptr {at(1 - width)}, align 1")
        value = shuffle(body, kind, width, value, "poison", reversed(range(width)))
    else:
        p = at(0)
        value = "poison"
        for k in range(width):
            q = body.let(f"getelementptr {kind}, ptr {p}, i64 {k * stride}") if k else p
            x = body.let(f"load {kind}, ptr {q}, align 1")
            value = body.let(f"insertelement {wide(kind, width)} {value}, {kind} {x}, i64 {k}")
    return cooked(body, dtype, width, value)


def store(body: Body, dtype: DType, width: int, stride: int, at: Address, value: str, stream: bool = False) -> None:
    """Write values `stride` elements apart; with `stream` they begin where a line may, and go past the caches."""
    if dtype.kind == "c":
        llvm_complex.store(body, dtype, width, stride, at, value)
        return
    kind = memory_type(dtype)
    value = raw(body, dtype, width, value)
    p = at(0)
    if width == 1 or stride == 1:
        # Less than half a line at a time would be more writes than the processor can put together.
        size = width * dtype.itemsize
        how = f"align {min(size, LINE)}, !nontemporal !{{i32 1}}" if stream and 2 * size >= LINE else "align 1"
        body.do(f"store {wide(kind, width)} {value}, ptr {p}, {how}")
        return
    for k in range(width):
        q = body.let(f"getelementptr {kind}, ptr {p}, i64 {k * stride}") if k else p
        x = body.let(f"extractelement {wide(kind, width)} {value}, i64 {k}")
        body.do(f"store {kind} {x}, ptr {q}, align 1")


def shuffle(body: Body, kind: str, lanes: int, x: str, y: str, order: Iterable[int]) -> str:
    """Lanes of x and, counted on behind these, of y."""
    mask = [f"i32 {k}" for k in order]
    both = wide(kind, lanes)
    return body.let(f"shufflevector {both} {x}, {both} {y}, <{len(mask)} x i32> <{', '.join(mask)}>")


def columns(count: int, width: int) -> list[tuple[int, int]]:
    """How the columns of a matrix are taken in squares: first column and columns of each, powers of two.

    Squares may overlap: none reaches beyond the matrix.
    """
    found = []
    at = 0
    while at < count:
        square = max(2, min(width, 1 << (count - at - 1).bit_length(), 1 << count.bit_length() - 1))
        found.append((min(at, count - square), square))
        at += square
    return found


def turn(body: Body, kind: str, rows: Sequence[str], square: int) -> list[str]:
    """Columns of a matrix, given its rows of `square` values; both are powers of two, rows not fewer than columns.

    Pairs of rows far apart are interleaved, until one row is left that holds the columns one after the other. It is
    kept in registers of as many values as a column has.
    """
    width = len(rows)
    parts = [[row] for row in rows]
    lanes = square
    while len(parts) > 1:
        half = len(parts) // 2
        merged = []
        for upper, lower in zip(parts[:half], parts[half:], strict=True):
            if lanes < width:
                order = [k // 2 + k % 2 * lanes for k in range(2 * lanes)]
                merged.append([shuffle(body, kind, lanes, upper[0], lower[0], order)])
                continue
            both = []
            for x, y in zip(upper, lower, strict=True):
                for first in (0, width // 2):
                    order = [first + k // 2 + k % 2 * width for k in range(width)]
                    both.append(shuffle(body, kind, width, x, y, order))
            merged.append(both)
        parts = merged
        lanes = min(2 * lanes, width)
    return parts[0]


def turn_back(body: Body, kind: str, given: Sequence[str], width: int) -> list[str]:
    """Rows of a matrix, given its columns of `width` values: the steps of `turn` the other way."""
    parts = [list(given)]
    lanes = width
    while len(parts) < width:
        even: list[list[str]] = []
        odd: list[list[str]] = []
        for part in parts:
            if len(part) == 1:
                for target, first in ((even, 0), (odd, 1)):
                    target.append([shuffle(body, kind, lanes, part[0], "poison", range(first, lanes, 2))])
                continue
            for target, first in ((even, 0), (odd, 1)):
                target.append([shuffle(body, kind, width, x, y, range(first, 2 * width, 2))
                               for x, y in zip(part[::2], part[1::2], strict=True)])
        lanes = lanes // 2 if len(parts[0]) == 1 else width
        parts = even + odd
    return [part[0] for part in parts]


__all__ = ["Address", "columns", "cooked", "lane", "load", "raw", "shuffle", "store", "turn", "turn_back"]
