"""The language vector math is written in: operations on all lanes of a vector, as LLVM text.

A function is written once, for an unknown float type of `precision` bits and any number of lanes.
Integers are as wide as the floats and hold their bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from npdiff.kernels.llvm_text import Body, number, register, scalar_type, suffix, wide
from npdiff.kernels.loop_ir import DType
from npdiff.kernels.vecmath.coefficients import TABLES

# The name of a value: floats, integers and truth values of all lanes.
Value = str


class Lanes:
    """Writes one function's instructions for `width` lanes of `dtype`.

    Attributes
    ----------
    precision, bias
        Bits of a significand with its hidden one; what is added to exponents.
    fraction
        How far the exponent field is shifted.
    magic
        A float whose last place is 1: adding it rounds to an integer, kept in its last bits.
    """

    def __init__(self, body: Body, dtype: DType, width: int) -> None:
        self.body = body
        self.dtype = dtype
        self.width = width
        self.precision = 53 if dtype.itemsize == 8 else 24
        self.fraction = self.precision - 1
        self.bias = 1023 if dtype.itemsize == 8 else 127
        self.magic = 1.5 * 2.0**self.fraction
        self._float = register(dtype, width)
        self._integer = wide(f"i{8 * dtype.itemsize}", width)
        self._truth = wide("i1", width)
        self._suffix = suffix(dtype, width)

    # ------------------------------------------------------------------ constants

    def _all(self, kind: str, text: str) -> Value:
        return text if self.width == 1 else f"splat ({kind} {text})"

    def const(self, x: float) -> Value:
        """A float."""
        return self._all(scalar_type(self.dtype), number(self.dtype.type(x), self.dtype))

    def integer(self, x: int) -> Value:
        """An integer."""
        return self._all(f"i{8 * self.dtype.itemsize}", str(x))

    def pick(self, double: float, single: float) -> float:
        """A number that depends on the float type."""
        return double if self.dtype.itemsize == 8 else single

    def table(self, name: str) -> tuple[float, ...]:
        """The constants of that name, for this float type."""
        return TABLES[name][self.dtype.itemsize]

    def pattern(self, x: float) -> int:
        """The bits of a float, as an integer."""
        kind = np.int64 if self.dtype.itemsize == 8 else np.int32
        return int(self.dtype.type(x).view(kind))

    # ------------------------------------------------------------------ floats

    def _two(self, op: str, a: Value, b: Value) -> Value:
        return self.body.let(f"{op} {self._float} {a}, {b}")

    def _intrinsic(self, name: str, *args: Value) -> Value:
        return self.body.intrinsic(f"llvm.{name}.{self._suffix}", self._float, [self._float] * len(args), list(args))

    def add(self, a: Value, b: Value) -> Value:
        """a + b"""
        return self._two("fadd", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        """a - b"""
        return self._two("fsub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        """a * b"""
        return self._two("fmul", a, b)

    def div(self, a: Value, b: Value) -> Value:
        """a / b"""
        return self._two("fdiv", a, b)

    def neg(self, a: Value) -> Value:
        """-a"""
        return self.body.let(f"fneg {self._float} {a}")

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c, rounded once."""
        return self._intrinsic("fma", a, b, c)

    def sqrt(self, a: Value) -> Value:
        """The square root."""
        return self._intrinsic("sqrt", a)

    def abs(self, a: Value) -> Value:
        """The absolute value."""
        return self._intrinsic("fabs", a)

    def rint(self, a: Value) -> Value:
        """The nearest integer."""
        return self._intrinsic("rint", a)

    def floor(self, a: Value) -> Value:
        """The integer below."""
        return self._intrinsic("floor", a)

    def copysign(self, a: Value, sign: Value) -> Value:
        """The size of one with the sign of the other."""
        return self._intrinsic("copysign", a, sign)

    def poly(self, z: Value, coefficients: Sequence[float]) -> Value:
        """A polynomial; a long one as its even and its odd half, which do not wait for each other."""
        if len(coefficients) < 5:
            return self._horner(z, coefficients)
        square = self.mul(z, z)
        return self.fma(z, self._horner(square, coefficients[1::2]), self._horner(square, coefficients[::2]))

    def _horner(self, z: Value, coefficients: Sequence[float]) -> Value:
        total = self.const(coefficients[-1])
        for c in coefficients[-2::-1]:
            total = self.fma(total, z, self.const(c))
        return total

    def long_poly(self, z: Value, name: str) -> tuple[Value, Value]:
        """The polynomial of that name in two words; its first coefficient is the largest term, and has two itself."""
        first, *rest = self.table(name)
        total, low = self.two_sum(self.const(first), self.mul(z, self.poly(z, rest)))
        return total, self.add(low, self.const(self.table(f"{name}_REST")[0]))

    def two_sum(self, a: Value, b: Value) -> tuple[Value, Value]:
        """a + b and its rounding error, where ``|a| >= |b|`` or ``a == 0`` (T. J. Dekker, 1971)."""
        total = self.add(a, b)
        return total, self.add(self.sub(a, total), b)

    def any_sum(self, a: Value, b: Value) -> tuple[Value, Value]:
        """a + b and its rounding error, whichever is larger (D. E. Knuth, 1969)."""
        total = self.add(a, b)
        part = self.sub(total, a)
        return total, self.add(self.sub(a, self.sub(total, part)), self.sub(b, part))

    def two_product(self, a: Value, b: Value) -> tuple[Value, Value]:
        """a * b and its rounding error."""
        product = self.mul(a, b)
        return product, self.fma(a, b, self.neg(product))

    # ------------------------------------------------------------------ truth values

    def compare(self, predicate: str, a: Value, b: Value) -> Value:
        """Compare floats, with a predicate of LLVM: ``o..`` is false and ``u..`` true for NaN."""
        return self.body.let(f"fcmp {predicate} {self._float} {a}, {b}")

    def unusual(self, x: Value) -> Value:
        """Whether a float is anything but a positive normal number."""
        least = self.pattern(float(np.finfo(self.dtype).tiny))
        above = self.isub(self.bits(x), self.integer(least))
        return self.body.let(f"icmp uge {self._integer} {above}, {self.integer(self.pattern(np.inf) - least)}")

    def both(self, p: Value, q: Value) -> Value:
        """p and q"""
        return self.body.let(f"and {self._truth} {p}, {q}")

    def either(self, p: Value, q: Value) -> Value:
        """p or q"""
        return self.body.let(f"or {self._truth} {p}, {q}")

    def select(self, condition: Value, yes: Value, no: Value) -> Value:
        """`yes` in the lanes where the condition holds, else `no`."""
        return self.body.let(f"select {self._truth} {condition}, {self._float} {yes}, {self._float} {no}")

    def is_set(self, a: Value, bit: int) -> Value:
        """Whether a bit of an integer is set."""
        return self.body.let(f"icmp ne {self._integer} {self.iand(a, self.integer(1 << bit))}, {self._zero()}")

    def negative(self, a: Value) -> Value:
        """Whether a float's sign bit is set."""
        return self.body.let(f"icmp slt {self._integer} {self.bits(a)}, {self._zero()}")

    def _zero(self) -> str:
        return "0" if self.width == 1 else "zeroinitializer"

    # ------------------------------------------------------------------ integers

    def bits(self, a: Value) -> Value:
        """A float's bits."""
        return self.body.let(f"bitcast {self._float} {a} to {self._integer}")

    def from_bits(self, a: Value) -> Value:
        """The float that has these bits."""
        return self.body.let(f"bitcast {self._integer} {a} to {self._float}")

    def _integers(self, op: str, a: Value, b: Value) -> Value:
        return self.body.let(f"{op} {self._integer} {a}, {b}")

    def iadd(self, a: Value, b: Value) -> Value:
        """a + b"""
        return self._integers("add", a, b)

    def isub(self, a: Value, b: Value) -> Value:
        """a - b"""
        return self._integers("sub", a, b)

    def iand(self, a: Value, b: Value) -> Value:
        """The bits set in both."""
        return self._integers("and", a, b)

    def ior(self, a: Value, b: Value) -> Value:
        """The bits set in either."""
        return self._integers("or", a, b)

    def ixor(self, a: Value, b: Value) -> Value:
        """The bits set in one of them."""
        return self._integers("xor", a, b)

    def left(self, a: Value, count: int) -> Value:
        """Bits moved up."""
        return self._integers("shl", a, self.integer(count))

    def right(self, a: Value, count: int) -> Value:
        """Bits moved down; zeros follow."""
        return self._integers("lshr", a, self.integer(count))

    # ------------------------------------------------------------------ roundings and powers of two

    def nearest(self, x: Value) -> tuple[Value, Value]:
        """The nearest integer to ``x``, ``|x| < 2**(precision - 2)``: as a float, and `magic`'s bits plus it."""
        t = self.add(x, self.const(self.magic))
        return self.sub(t, self.const(self.magic)), self.bits(t)

    def nearest_multiple(self, x: Value, factor: float) -> tuple[Value, Value]:
        """The nearest integer to ``x * factor``, as `nearest` gives it."""
        t = self.fma(x, self.const(factor), self.const(self.magic))
        return self.sub(t, self.const(self.magic)), self.bits(t)

    def power_of_two(self, n: Value, plus: int = 0) -> Value:
        """2**(n + plus), given the bits from `nearest`; the exponent has to be that of a normal number."""
        field = self.iadd(n, self.integer(self.bias + plus - self.pattern(self.magic)))
        return self.from_bits(self.left(field, self.fraction))

    def shift(self, x: Value, n: Value) -> Value:
        """x * 2**n, given the bits from `nearest`; x and the result have to be normal numbers."""
        return self.from_bits(self.iadd(self.bits(x), self.left(n, self.fraction)))

    def scale(self, x: Value, n: Value) -> Value:
        """x * 2**n, given the bits from `nearest`; n may lie outside the exponents of normal numbers."""
        offset = 2 << (9 if self.precision == 53 else 6)
        k = self.iadd(n, self.integer(offset - self.pattern(self.magic)))
        half = self.right(k, 1)
        rest = self.isub(k, half)
        one = self.from_bits(self.left(self.iadd(half, self.integer(self.bias - offset // 2)), self.fraction))
        other = self.from_bits(self.left(self.iadd(rest, self.integer(self.bias - offset // 2)), self.fraction))
        return self.mul(self.mul(x, one), other)
