"""Graphs cut into kernels, for the tests of this folder."""

from __future__ import annotations

from npdiff.kernels import cuda
from npdiff.kernels.promote import widen
from npdiff.kernels.schedule import KernelStep, schedule
from npdiff.kernels.simplify import simplify

# Their functions are neither in libdevice nor composed of its own.
APART = frozenset(f"scipy.special.{name}" for name in ("psi", "i0", "i1", "i0e", "i1e"))


def kernels_of(graph):
    """The kernels that a graph is cut into."""
    steps = schedule(simplify(widen(graph)), matrices=False, gathers=True, renders=cuda.renders)
    return [s.kernel for s in steps if isinstance(s, KernelStep)]
