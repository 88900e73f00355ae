"""Which results of a kernel are written past the caches.

An ordinary store reads the line that it writes into, and puts others out of the cache. Where a kernel's arrays are
more than caches hold, that is for nothing: the line is gone again before anybody reads it.
"""

from __future__ import annotations

from npdiff.kernels import costs
from npdiff.kernels.chunks import Work
from npdiff.kernels.loop_ir import Kernel, Store

# Bytes of a result from which its memory is recycled (native.py), and begins at a cache line.
POOLED = 1 << 16
# Bytes of all arrays of a kernel from which its results are streamed: measured, with a reader right behind it.
STREAMED = 1 << 25
LINE = 64


def streamed(kernel: Kernel, work: Work) -> frozenset[int]:
    """The output buffers whose whole vectors lie in whole lines, if the kernel's arrays are too large for caches."""
    if costs.bytes_read(kernel) + costs.bytes_written(kernel) < STREAMED:
        return frozenset()
    accumulated = {r.access.buffer for r in kernel.reductions}
    found = {s.access.buffer for s in kernel.stores} - accumulated
    return frozenset(found - {s.access.buffer for s in kernel.stores if not _in_lines(kernel, work, s)})


def _in_lines(kernel: Kernel, work: Work, store: Store) -> bool:
    """Whether a store begins every run along the innermost axis, and every chunk, at a line."""
    out, at = kernel.outputs[store.access.buffer], store.access
    if out.dtype.kind == "c" or out.size * out.dtype.itemsize < POOLED or not at.strides or at.strides[-1] != 1:
        return False
    begins = [at.offset, *at.strides[:-1], work.chunk if work.wide and len(at.strides) == 1 else 0]
    return all(n * out.dtype.itemsize % LINE == 0 for n in begins)


__all__ = ["LINE", "POOLED", "STREAMED", "streamed"]
