"""An operation on small matrices to machine code: the module's text, and how its work is cut."""

from __future__ import annotations

from npdiff.kernels import machine
from npdiff.kernels.chunks import CHUNK, LONG, MOST_CHUNKS, Work
from npdiff.kernels.compile_cpu import Compiled
from npdiff.kernels.llvm_text import LOOP_HINTS, Body
from npdiff.kernels.matrices.blocks import Blocks
from npdiff.kernels.matrices.factors import Factors
from npdiff.kernels.matrices.forms import Operation
from npdiff.kernels.matrices.products import Products
from npdiff.kernels.matrices.routines import Routines
from npdiff.kernels.matrices.vectors import Vectors

# Nanoseconds of a product and a sum of two numbers among vectors in the cache, and of moving a number.
_STEP, _MOVE = 0.06, 0.15

Renderer = Products | Vectors | Blocks | Factors | Routines


def nanoseconds(operation: Operation) -> float:
    """A rough estimate of the time on one core."""
    a, last = operation.inputs[0], operation.inputs[-1]
    n, m = a.rows, last.cols
    of = {"solve": n + 3 * m, "inv": n + 3 * m, "cofactor": n + 3 * m, "triangular": m, "trsm": m, "trsv": 1}
    steps = n * n * of.get(operation.op, n) if operation.checked else n * a.cols * m
    moved = sum(x.rows * x.cols for x in (*operation.inputs, *operation.outputs))
    return operation.count * (steps * _STEP + moved * _MOVE)


def registers() -> int:
    """How many vector registers the machine has: sixteen on x86 without AVX-512."""
    return 16 if "x86" in machine.machine().versions and machine.vector_bits() < 512 else 32


def _renderer(operation: Operation) -> Renderer:
    width = machine.vector_bits() // (8 * operation.dtype.itemsize)
    if operation.op == "matmul":
        return Products(operation, width, machine.has_fma())
    if operation.op == "vector":
        return Vectors(operation, width, machine.has_fma())
    if operation.op == "product":
        return Blocks(operation, width, machine.has_fma(), registers())
    if operation.op in ("potrf", "trsm", "trsv"):
        return Routines(operation, width)
    # As many matrices lie side by side as a vector has room for, where there are so many.
    while width > operation.count:
        width //= 2
    return Factors(operation, width, machine.has_fma())


def _work(operation: Operation, renderer: Renderer) -> Work:
    extent, lanes = renderer.extent, renderer.together
    total = nanoseconds(operation)
    if total < LONG:
        return Work(extent, extent)
    if isinstance(renderer, Routines):  # these have threads of their own
        return Work(extent, extent, long=True)
    each = max(1, int(extent * CHUNK / total), -(-extent // MOST_CHUNKS))
    each = -(-each // lanes) * lanes
    if each >= extent:
        return Work(extent, extent, long=True)
    parted = frozenset([len(operation.outputs)]) if operation.checked else frozenset()
    return Work(extent, each, long=True, wide=True, parted=parted)


def compile_matrices(operation: Operation) -> tuple[Compiled, tuple[int, ...]]:
    """Machine code, and numbers that it takes as an array (int64) behind the operation's inputs, if there are any.

    Its results are those of the operation, and where that is `checked` whether NumPy has to do it (bool).
    """
    renderer = _renderer(operation)
    work = _work(operation, renderer)
    text = render(operation, renderer, work)
    code = machine.load(text)
    compiled = Compiled(code.addresses["npdiff_kernel"], code.addresses.get("npdiff_join", 0), work, text, code.seconds,
                        code.cached)
    return compiled, renderer.shapes


def render(operation: Operation, renderer: Renderer, work: Work) -> str:
    """The module's text, with the functions that `render_cpu.render` describes."""
    names = [f"%in{k}" for k in range(len(operation.inputs))] + [f"%out{k}" for k in range(len(operation.outputs))]
    if renderer.shapes:
        names.insert(len(operation.inputs), "%shapes")
    body = renderer.body
    renderer.start(names)
    with body.loop("%begin", "%end", renderer.together) as i:
        # The last group ends with the stack: some matrices are worked on twice, with the same result.
        last = renderer.extent - renderer.together
        even = renderer.extent % renderer.together == 0
        renderer.group(names, i if even else body.intrinsic("llvm.smin.i64", "i64", ["i64", "i64"], [i, str(last)]))
    flag = "%flag" if operation.checked else ""
    if isinstance(renderer, (Factors, Routines)):
        renderer.finish(flag)
    given = [*names, flag] if flag else names
    lines = ["define void @npdiff_kernel(ptr %addresses, i64 %begin, i64 %end) nounwind {", "entry:"]
    for k, name in enumerate(given):
        lines.append(f"  {name}.at = getelementptr ptr, ptr %addresses, i64 {k}")
        lines.append(f"  {name}{'.all' if name == flag and work.parted else '.data'} = load ptr, ptr {name}.at")
    if work.parted:
        lines += [f"  %chunk = udiv i64 %begin, {work.chunk}",
                  f"  {flag}.data = getelementptr i8, ptr {flag}.all, i64 %chunk"]
    lines += [f"  call void @loops({', '.join(f'ptr {name}.data' for name in given)}, i64 %begin, i64 %end)",
              "  ret void", "}"]
    parameters = ", ".join([f"ptr noalias {name}" for name in given])
    loops = [f"define internal void @loops({parameters}, i64 %begin, i64 %end) noinline nounwind {{", "entry:",
             *body.allocations, *body.lines, "  ret void", "}"]
    joining = _JOIN.format(out=len(given) - 1, flag=len(operation.outputs)).splitlines() if work.parted else []
    function, inner = renderer.functions(len(body.metadata)) if isinstance(renderer, Blocks) else ([], Body())
    return "\n".join([*sorted(body.declarations | inner.declarations), *body.definitions.values(), *function, *loops,
                      *lines, *joining, LOOP_HINTS, *body.metadata, *inner.metadata]) + "\n"


# The flag of the whole is set where that of any chunk is.
_JOIN = """define void @npdiff_join(ptr %addresses, ptr %whole, i64 %chunks) nounwind {{
entry:
  %parts.at = getelementptr ptr, ptr %addresses, i64 {out}
  %parts = load ptr, ptr %parts.at
  %final.at = getelementptr ptr, ptr %whole, i64 {flag}
  %final = load ptr, ptr %final.at
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %next, %loop ]
  %all = phi i8 [ 0, %entry ], [ %both, %loop ]
  %part.at = getelementptr i8, ptr %parts, i64 %k
  %part = load i8, ptr %part.at
  %both = or i8 %all, %part
  %next = add i64 %k, 1
  %more = icmp slt i64 %next, %chunks
  br i1 %more, label %loop, label %done
done:
  store i8 %both, ptr %final
  ret void
}}"""


__all__ = ["compile_matrices", "nanoseconds", "registers", "render"]
