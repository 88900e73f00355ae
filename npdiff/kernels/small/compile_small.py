"""An operation on small matrices to machine code: the module's text, and how its work is cut."""

from __future__ import annotations

from npdiff.kernels import machine
from npdiff.kernels.chunks import CHUNK, LONG, MOST_CHUNKS, Work
from npdiff.kernels.compile_cpu import Compiled
from npdiff.kernels.llvm_text import LOOP_HINTS
from npdiff.kernels.small.factors import Factors
from npdiff.kernels.small.forms import Small
from npdiff.kernels.small.products import Products

# Nanoseconds of a product and a sum of two numbers among vectors in the cache, and of moving a number.
_STEP, _MOVE = 0.06, 0.15


def nanoseconds(small: Small) -> float:
    """A rough estimate of the time on one core."""
    a, last = small.inputs[0], small.inputs[-1]
    n, m = a.rows, last.cols
    steps = n * a.cols * m if small.op == "matmul" else n * n * (n + 3 * m if small.op in ("solve", "inv") else n)
    moved = sum(x.rows * x.cols for x in (*small.inputs, *small.outputs))
    return small.count * (steps * _STEP + moved * _MOVE)


def _lanes(small: Small, native: int) -> int:
    """How many matrices lie side by side: as many as a vector has room for, where there are so many."""
    width = native
    while width > small.count:
        width //= 2
    return width


def _work(small: Small, lanes: int) -> Work:
    total = nanoseconds(small)
    if total < LONG:
        return Work(small.count, small.count)
    each = max(1, int(small.count * CHUNK / total), -(-small.count // MOST_CHUNKS))
    each = -(-each // lanes) * lanes
    if each >= small.count:
        return Work(small.count, small.count, long=True)
    parted = frozenset([len(small.outputs)]) if small.checked else frozenset()
    return Work(small.count, each, long=True, wide=True, parted=parted)


def compile_small(small: Small) -> Compiled:
    """Machine code; its results are those of the operation, and where `checked` whether NumPy has to do it (bool)."""
    native = machine.vector_bits() // (8 * small.dtype.itemsize)
    lanes = _lanes(small, native) if small.checked else 1
    work = _work(small, lanes)
    text = render(small, native if small.op == "matmul" else lanes, lanes, work)
    code = machine.load(text)
    return Compiled(code.addresses["npdiff_kernel"], code.addresses.get("npdiff_join", 0), work, text, code.seconds,
                    code.cached)


def render(small: Small, width: int, lanes: int, work: Work) -> str:
    """The module's text, with the functions that `render_cpu.render` describes."""
    names = [f"%in{k}" for k in range(len(small.inputs))] + [f"%out{k}" for k in range(len(small.outputs))]
    fma = machine.has_fma()
    renderer = Products(small, width, fma) if small.op == "matmul" else Factors(small, width, fma)
    body = renderer.body
    renderer.start(names)
    with body.loop("%begin", "%end", lanes) as i:
        # The last group ends with the stack: some matrices are worked on twice, with the same result.
        whole = small.count % lanes == 0
        first = i if whole else body.intrinsic("llvm.smin.i64", "i64", ["i64", "i64"], [i, str(small.count - lanes)])
        renderer.group(names, first)
    flag = "%flag" if small.checked else ""
    if isinstance(renderer, Factors):
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
    joining = _JOIN.format(out=len(given) - 1, flag=len(small.outputs)).splitlines() if work.parted else []
    return "\n".join([*sorted(body.declarations), *body.definitions.values(), *loops, *lines, *joining, LOOP_HINTS,
                      *body.metadata]) + "\n"


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


__all__ = ["compile_small", "nanoseconds", "render"]
