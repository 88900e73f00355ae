"""Complex values in LLVM text: `width` of them are one vector, in which the parts take turns as in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from npdiff.kernels.llvm_text import Body, register, scalar_type, wide
from npdiff.kernels.loop_ir import DType, part_of


def _shuffle(body: Body, kind: str, x: str, y: str, lanes: Iterable[int]) -> str:
    """Lanes of x and, counted on behind these, of y."""
    mask = [f"i32 {k}" for k in lanes]
    return body.let(f"shufflevector {kind} {x}, {kind} {y}, <{len(mask)} x i32> <{', '.join(mask)}>")


def part(body: Body, dtype: DType, width: int, x: str, which: int) -> str:
    """The real (0) or imaginary (1) parts of complex values."""
    if width == 1:
        return body.let(f"extractelement {register(dtype, 1)} {x}, i64 {which}")
    return _shuffle(body, register(dtype, width), x, "poison", range(which, 2 * width, 2))


def join(body: Body, dtype: DType, width: int, real: str, imag: str) -> str:
    """Complex values from their parts."""
    kind = scalar_type(part_of(dtype))
    if width == 1:
        first = body.let(f"insertelement {register(dtype, 1)} poison, {kind} {real}, i64 0")
        return body.let(f"insertelement {register(dtype, 1)} {first}, {kind} {imag}, i64 1")
    return _shuffle(body, wide(kind, width), real, imag, [k // 2 + k % 2 * width for k in range(2 * width)])


def splat(body: Body, dtype: DType, width: int, x: str) -> str:
    """A complex value repeated over all lanes."""
    return x if width == 1 else _shuffle(body, register(dtype, 1), x, "poison", [k % 2 for k in range(2 * width)])


def lane(body: Body, dtype: DType, width: int, x: str, k: int) -> str:
    """One complex value of several."""
    return x if width == 1 else _shuffle(body, register(dtype, width), x, "poison", (2 * k, 2 * k + 1))


def product(body: Body, dtype: DType, width: int, x: str, y: str) -> str:
    """Products of complex values, as complex_rules has them."""
    kind = wide(scalar_type(part_of(dtype)), width)
    (a, b), (c, d) = [[part(body, dtype, width, v, k) for k in (0, 1)] for v in (x, y)]
    ac, bd, ad, bc = [body.let(f"fmul {kind} {p}, {q}") for p, q in ((a, c), (b, d), (a, d), (b, c))]
    return join(body, dtype, width, body.let(f"fsub {kind} {ac}, {bd}"), body.let(f"fadd {kind} {ad}, {bc}"))


def load(body: Body, dtype: DType, width: int, stride: int, at: Callable[[int], str]) -> str:
    """Complex values `stride` apart; `at(k)` is the address k values further on."""
    kind = register(dtype, width)
    if width == 1 or stride == 1:
        return body.let(f"load {kind}, ptr {at(0)}, align 1")
    if stride == -1:
        value = body.let(f"load {kind}, ptr {at(1 - width)}, align 1")
        return _shuffle(body, kind, value, "poison", [2 * k + i for k in reversed(range(width)) for i in (0, 1)])
    real, imag = "poison", "poison"
    one = scalar_type(part_of(dtype))
    for k in range(width):
        value = body.let(f"load {register(dtype, 1)}, ptr {at(k * stride)}, align 1")
        real = body.let(f"insertelement {wide(one, width)} {real}, {one} {part(body, dtype, 1, value, 0)}, i64 {k}")
        imag = body.let(f"insertelement {wide(one, width)} {imag}, {one} {part(body, dtype, 1, value, 1)}, i64 {k}")
    return join(body, dtype, width, real, imag)


def store(body: Body, dtype: DType, width: int, stride: int, at: Callable[[int], str], value: str) -> None:
    """Write complex values `stride` apart."""
    if width == 1 or stride == 1:
        body.do(f"store {register(dtype, width)} {value}, ptr {at(0)}, align 1")
        return
    for k in range(width):
        one = _shuffle(body, register(dtype, width), value, "poison", (2 * k, 2 * k + 1))
        body.do(f"store {register(dtype, 1)} {one}, ptr {at(k * stride)}, align 1")
