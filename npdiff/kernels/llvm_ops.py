"""Loop IR operations as LLVM instructions, for any vector width."""

from __future__ import annotations

from npdiff.kernels import llvm_complex
from npdiff.kernels.llvm_text import Body, constant, register, scalar_type, suffix
from npdiff.kernels.loop_ir import COMPARISONS, DType, Node
from npdiff.kernels.vecmath.library import call

_FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INTEGER = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
# maximum and minimum hand on NaN as NumPy's do; maxnum and minnum pass over it, as fmax and fmin do.
_INTRINSICS = {
    "abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint",
    "copysign": "copysign", "maximum": "maximum", "minimum": "minimum", "fmax": "maxnum", "fmin": "minnum",
}
_PREDICATES = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}


def _compare(body: Body, op: str, dtype: DType, width: int, x: str, y: str) -> str:
    kind = register(dtype, width)
    if dtype.kind == "f":
        # Ordered, except that NaN is not equal to anything.
        return body.let(f"fcmp {'une' if op == 'ne' else 'o' + op} {kind} {x}, {y}")
    sign = "" if op in ("eq", "ne") else "s" if dtype.kind == "i" else "u"
    return body.let(f"icmp {sign}{_PREDICATES[op]} {kind} {x}, {y}")


def _signbit(body: Body, dtype: DType, width: int, x: str) -> str:
    bits = scalar_type(dtype).replace("double", "i64").replace("float", "i32")
    kind = bits if width == 1 else f"<{width} x {bits}>"
    raw = body.let(f"bitcast {register(dtype, width)} {x} to {kind}")
    return body.let(f"icmp slt {kind} {raw}, {'0' if width == 1 else 'zeroinitializer'}")


def cast(body: Body, source: DType, target: DType, width: int, x: str) -> str:
    """A value in another dtype."""
    if source == target:
        return x
    if source.kind == "f":
        op = "fpext" if target.itemsize > source.itemsize else "fptrunc"
    elif target.kind == "f":
        op = "sitofp" if source.kind == "i" else "uitofp"
    elif source.kind != "b" and target.itemsize <= source.itemsize:
        if target.itemsize == source.itemsize:
            return x
        op = "trunc"
    else:
        op = "sext" if source.kind == "i" else "zext"
    return body.let(f"{op} {register(source, width)} {x} to {register(target, width)}")


def combine(body: Body, op: str, dtype: DType, width: int, x: str, y: str) -> str:
    """A binary operation on two values of one dtype; of complex ones, what reductions do."""
    kind = register(dtype, width)
    if dtype.kind == "c" and op == "mul":
        return llvm_complex.product(body, dtype, width, x, y)
    if dtype.kind in "fc" and op in _FLOAT:
        return body.let(f"{_FLOAT[op]} {kind} {x}, {y}")
    if op in _INTEGER:
        return body.let(f"{_INTEGER[op]} {kind} {x}, {y}")
    if dtype.kind == "f":
        # Of two zeros either may come out: minding their signs takes half of the instructions.
        flags = "nsz " if op in ("maximum", "minimum") else ""
        return body.intrinsic(f"llvm.{_INTRINSICS[op]}.{suffix(dtype, width)}", kind, [kind, kind], [x, y], flags)
    # Integers of our own compare and select: maximum and minimum.
    return body.intrinsic(f"llvm.{'s' if dtype.kind == 'i' else 'u'}{op[:3]}.{suffix(dtype, width)}", kind,
                          [kind, kind], [x, y])


def emit(body: Body, node: Node, operand: DType, width: int, args: list[str]) -> str:
    """The value of any node but loads and constants; `operand` is the dtype of its first operand."""
    op, dtype = node.op, node.dtype
    kind = register(dtype, width)
    if op in ("real", "imag"):
        return llvm_complex.part(body, operand, width, args[0], int(op == "imag"))
    if op == "complex":
        return llvm_complex.join(body, dtype, width, args[0], args[1])
    if op == "signbit":
        return _signbit(body, operand, width, args[0])
    if op in COMPARISONS:
        return _compare(body, op, operand, width, args[0], args[1])
    if op == "cast":
        return cast(body, operand, dtype, width, args[0])
    if op == "select":
        condition = "i1" if width == 1 else f"<{width} x i1>"
        return body.let(f"select {condition} {args[0]}, {kind} {args[1]}, {kind} {args[2]}")
    if op == "call":
        return call(body, node.data, dtype, width, args)
    if op == "neg":
        zero = constant(0, dtype, width)
        return body.let(f"fneg {kind} {args[0]}" if dtype.kind == "f" else f"sub {kind} {zero}, {args[0]}")
    if op == "not":
        ones = constant(True, dtype, width) if dtype.kind == "b" else constant(-1, dtype, width)
        return body.let(f"xor {kind} {args[0]}, {ones}")
    if len(args) == 2:
        return combine(body, op, dtype, width, args[0], args[1])
    if dtype.kind == "f":
        return body.intrinsic(f"llvm.{_INTRINSICS[op]}.{suffix(dtype, width)}", kind, [kind], args)
    # The integer abs: the smallest number stays itself, as in NumPy.
    return body.intrinsic(f"llvm.abs.{suffix(dtype, width)}", kind, [kind, "i1"], [args[0], "false"])
