"""A kernel in loop IR to machine code."""

from __future__ import annotations

from typing import NamedTuple

from npdiff.kernels import machine
from npdiff.kernels.chunks import Work, work_of
from npdiff.kernels.loop_ir import Kernel
from npdiff.kernels.render_cpu import render


class Compiled(NamedTuple):
    """A kernel ready to run: the addresses of its loops and of what joins its parts, and how its work is cut."""

    loops: int
    join: int
    work: Work
    text: str
    seconds: float
    cached: bool


def compile_kernel(kernel: Kernel) -> Compiled:
    """Machine code for a kernel."""
    work = work_of(kernel)
    text = render(kernel, machine.vector_bits(), work, machine.has_fma())
    code = machine.load(text)
    return Compiled(code.addresses["npdiff_kernel"], code.addresses.get("npdiff_join", 0), work, text, code.seconds,
                    code.cached)


__all__ = ["Compiled", "compile_kernel"]
