"""The machine code of a workload's kernels: vectors, instructions and spills of every innermost loop.

    python tools/kernel_code.py softmax_short [--size 100000] [--dtype float32] [--gradient] [--assembly]

Workloads are those of asv_bench. For each kernel it prints what the kernel fuses and, loop by loop, the width of the
vectors it computes with, how many instructions it has, how many of them compute with all lanes or with one number, and
how many put a register on the stack.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import npdiff
from npdiff.kernels import assembly, compile_graph, machine
from npdiff.program import with_literals

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "asv_bench"))

from benchmarks.workloads import WORKLOADS, total


def describe(text: str, whole: bool = False) -> list[str]:
    """A line for each innermost loop of a kernel's module; `whole`: the assembly instead."""
    code = machine.assembly(text)
    if whole:
        return code.splitlines()
    lines = []
    for loop in assembly.loops_of(code):
        vectors = f"{loop.bits} bits" if loop.bits else "-"
        lines.append(f"{vectors:>10}{len(loop.instructions):>14}{loop.packed:>9}{loop.scalar:>8}{loop.gathers:>9}"
                     f"{loop.calls:>7}{loop.spills:>8}")
    return lines


def main() -> None:
    """Compile a workload and print its loops."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=sorted(WORKLOADS), metavar="workload", help=", ".join(WORKLOADS))
    parser.add_argument("--size", type=int, help="its size (default: the first that is compared)")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--gradient", action="store_true", help="of value and gradient instead of the value")
    parser.add_argument("--assembly", action="store_true", help="print the code itself")
    chosen = parser.parse_args()
    workload = WORKLOADS[chosen.name]
    args = workload.arguments() if workload.make is None or chosen.size is None else workload.make(chosen.size)
    args = tuple([a.astype(chosen.dtype) if a.dtype.kind == "f" else a for a in args])
    function = workload.function
    if chosen.gradient:
        function = npdiff.value_and_grad(total(function), workload.argnums)
    kernels = compile_graph(with_literals(npdiff.jit(function).lower(*args))).llvm()
    print(f"{'vectors':>14}{'instructions':>14}{'packed':>9}{'scalar':>8}{'gathers':>9}{'calls':>7}{'spills':>8}")
    for k, text in enumerate(kernels):
        print(f"kernel {k}")
        for line in describe(text, chosen.assembly):
            print(f"    {line}")


if __name__ == "__main__":
    main()
