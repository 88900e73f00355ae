"""What a kernel moves and computes, counted from its loop IR, and the vectors in its code."""

from __future__ import annotations

import re
from collections import Counter
from math import prod

from npdiff.kernels.loop_ir import Access, Kernel

_NAMES = {"double": "float64", "float": "float32", "half": "float16"}


def bytes_read(kernel: Kernel) -> int:
    """Bytes of the elements that are loaded, each counted once."""
    touched: dict[int, set[Access]] = {}
    for node in kernel.nodes:
        if node.op == "load":
            touched.setdefault(node.data.buffer, set()).add(node.data)
    total = 0
    for k, accesses in touched.items():
        buffer = kernel.inputs[k]
        count = sum(prod(n for n, s in zip(kernel.sizes, a.strides, strict=True) if s or a.steps) for a in accesses)
        total += min(count, buffer.size) * buffer.dtype.itemsize
    return total


def bytes_written(kernel: Kernel) -> int:
    """Bytes of the outputs."""
    return sum(out.size * out.dtype.itemsize for out in kernel.outputs)


def operations(kernel: Kernel) -> int:
    """Elementary operations: one for each node and each point of the loops that it depends on."""
    depth: list[int] = []
    total = 0
    for node in kernel.nodes:
        if node.op == "load":
            depth.append(max((k + 1 for k, s in enumerate(node.data.strides) if s), default=0))
            continue
        depth.append(max((depth[a] for a in node.args), default=0))
        if node.op != "const":
            total += prod(kernel.sizes[:depth[-1]])
    return total + len(kernel.reductions) * prod(kernel.sizes)


def vector(text: str) -> str:
    """Lanes and type of the vectors that the loops of a module work with: ``8 x float64``; "" if there are none."""
    loops = text[text.find("@loops("):].partition("\n}")[0]
    found = Counter(re.findall(r"<(\d+) x (double|float|half|i(?:8|16|32|64))>", loops))
    if not found:
        return ""
    (lanes, kind), _ = found.most_common(1)[0]
    return f"{lanes} x {_NAMES.get(kind) or kind.replace('i', 'int')}"


__all__ = ["bytes_read", "bytes_written", "operations", "vector"]
