"""Graphs cut into kernels, for the tests of this folder."""

from __future__ import annotations

from npdiff.kernels.schedule import KernelStep, schedule
from npdiff.kernels.simplify import simplify


def kernels_of(graph):
    """The kernels that a graph is cut into."""
    return [s.kernel for s in schedule(simplify(graph)) if isinstance(s, KernelStep)]
