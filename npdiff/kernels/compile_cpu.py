"""A kernel in loop IR to machine code."""

from __future__ import annotations

import re
from typing import NamedTuple

from npdiff.kernels import machine
from npdiff.kernels.chunks import Work, work_of
from npdiff.kernels.loop_ir import Kernel
from npdiff.kernels.pieces import Piece, split
from npdiff.kernels.render_cpu import render

# Instructions in a row from which a kernel is compiled with less care: most of them wait for the ones before them, not
# for the registers and addresses that more care would save, and the time it takes grows with them.
LONG = 200
_LABEL = re.compile(r"^\w+:$", re.MULTILINE)


class Compiled(NamedTuple):
    """A kernel ready to run: the addresses of its loops and of what joins its parts, and how its work is cut."""

    loops: int
    join: int
    work: Work
    text: str
    seconds: float
    cached: bool


def compile_kernel(kernel: Kernel, pieces: list[Piece] | None = None) -> Compiled:
    """Machine code for a kernel; for a guarded one, what it was cut into, if that is known."""
    work = work_of(kernel)
    text = render(kernel, pieces or split(kernel), machine.vector_bits(), work, machine.has_fma())
    quick = text.count("\n") > LONG and max(block.count("\n") for block in _LABEL.split(text)) > LONG
    code = machine.load(text, quick)
    return Compiled(code.addresses["npdiff_kernel"], code.addresses.get("npdiff_join", 0), work, text, code.seconds,
                    code.cached)


__all__ = ["Compiled", "compile_kernel"]
