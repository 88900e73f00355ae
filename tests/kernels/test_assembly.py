"""Hot workloads are vector code: their assembly is read, loop by loop."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

import pytest

import npdiff
from npdiff.kernels import assembly, compile_graph, machine
from npdiff.program import with_literals

BENCH = Path(__file__).parent.parent.parent / "asv_bench"

X86 = """
\t.text
loops:                                  # @loops
\tvmovapd\t%zmm0, 64(%rsp)
.LBB0_1:                                # =>This Loop Header
\tvmovapd\t%zmm1, 128(%rsp)
.LBB0_2:                                #   Parent Loop
\tvaddpd\t(%rdi,%rax,8), %zmm1, %zmm1
\tvfmadd213pd\t%zmm1, %zmm2, %zmm3     # zmm3 = (zmm2 * zmm3) + zmm1
\tvaddsd\t%xmm4, %xmm5, %xmm5
\tvmovupd\t%zmm3, -64(%rsp)
\tvmovupd\t%zmm3, 192(%rsp,%rax)
\tvgatherqpd\t(%rdi,%zmm6,8), %zmm7 {%k1}
\tjne\t.LBB0_9
.LBB0_3:
\tcmpq\t$640, %rax
\tjne\t.LBB0_2
\tjmp\t.LBB0_1
.LBB0_9:
\tcallq\t*%rax
\tjmp\t.LBB0_3
.LBB0_10:
\taddq\t$8, %rcx
\tvaddsd\t(%rdi), %xmm0, %xmm0
\tjb\t.LBB0_10
\tretq
other:
.LBB1_1:
\tvmulps\t%ymm0, %ymm1, %ymm1
\tjne\t.LBB1_1
"""
ARM = """
loops:
.LBB0_1:
\tldr\tq1, [x8], #16
\tfmla\tv0.2d, v1.2d, v2.2d
\tstr\tq3, [sp, #16]
\tfadd\td4, d4, d5
\tbl\tother
\tb.ne\t.LBB0_1
\tret
"""


def test_loops_are_found_and_counted():
    hot, rest = assembly.loops(assembly.function(X86, "loops"))
    assert (hot.bits, hot.packed, hot.scalar, hot.gathers, hot.spills) == (512, 2, 1, 1, 1)
    assert len(hot.instructions) == 9
    assert (rest.bits, rest.packed, rest.scalar, rest.spills) == (0, 0, 1, 0)
    assert [loop.bits for loop in assembly.loops_of(X86)] == [512, 0, 256]


def test_loops_of_another_machine():
    [loop] = assembly.loops_of(ARM)
    assert (loop.bits, loop.packed, loop.scalar, loop.spills, loop.calls) == (128, 1, 1, 1, 1)


def _workloads():
    sys.path.insert(0, str(BENCH))
    try:
        from benchmarks.workloads import WORKLOADS, total
    finally:
        sys.path.remove(str(BENCH))
    return WORKLOADS, total


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize(("name", "size"), [
    ("softmax_short", 10_000), ("softmax_long", 20_000), ("logsumexp_short", 10_000), ("moments", 96),
    ("reduce_all", 96), ("reduce_first", 96), ("reduce_last", 96), ("option_prices", 1_024), ("mixing", 1_024),
    ("transcendental", 1_024), ("heat", 64)])
def test_hot_workloads_are_vector_code(name, size, gradient, dtype):
    workloads, total = _workloads()
    workload = workloads[name]
    args = tuple([a.astype(dtype) for a in workload.make(size)])
    function = workload.function
    if gradient:
        function = npdiff.value_and_grad(total(function), workload.argnums)
    kernels = compile_graph(with_literals(npdiff.jit(function).lower(*args))).llvm()
    widest = 0
    for text in kernels:
        code = machine.assembly(text)
        # A kernel of one piece has its loops in the function itself, one of several a function for each.
        # Edges of next to no points are compiled without care.
        edges = set(re.findall(r"@(loops\d*)\([^\n]* optnone ", text))
        assert "loops" not in edges or len(edges) < text.count("define internal void @loops")
        names = ["npdiff_kernel", *[name for k in range(48) if (name := f"loops{k or ''}") not in edges]]
        found = [loop for name in names for loop in assembly.loops(assembly.function(code, name))]
        widest = max([widest, *[loop.bits for loop in found]])
        assert not any(loop.gathers for loop in found), text
        for loop in found:
            # What one point of a row at a time is left for: the rest of a vector.
            assert loop.packed >= loop.scalar or len(loop.instructions) < 40, "\n".join(loop.instructions)
            assert loop.calls or loop.spills <= 4, "\n".join(loop.instructions)
    assert widest == machine.vector_bits()


def test_vectors_on_the_stack_lie_within_cache_lines():
    workload = _workloads()[0]["option_prices"]
    kernels = compile_graph(with_literals(npdiff.jit(workload.function).lower(*workload.make(1_024)))).llvm()
    stored = [x for text in kernels for x in assembly.function(machine.assembly(text), "npdiff_kernel")
              if re.match(r"^v?mov\w+ %[xyz]mm\d+, -?\d*\(%r[sb]p\)$", x)]
    # Instructions that move from anywhere are used where the compiler does not know of an alignment.
    assert not [x for x in stored if x.startswith(("vmovup", "movup"))]
    assert stored or platform.machine() not in ("x86_64", "AMD64")


@pytest.mark.parametrize("size", [1_001, 1_025, 1_087])
def test_what_is_left_of_a_vector_is_a_vector(size):
    workloads, total = _workloads()
    workload = workloads["option_prices"]
    gradient = npdiff.value_and_grad(total(workload.function), workload.argnums)
    kernels = compile_graph(with_literals(npdiff.jit(gradient).lower(*workload.make(size)))).llvm()
    found = [loop for text in kernels for loop in assembly.loops(
        assembly.function(machine.assembly(text), "npdiff_kernel"))]
    assert not any(loop.scalar for loop in found)
    assert all(loop.bits in (0, machine.vector_bits()) for loop in found)
