"""Build a scalar expression DAG: every node exists once, casts appear only where dtypes differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.kernels.loop_ir import COMPARISONS, Access, DType, Node, Ranges, part_of

BOOL = np.dtype(bool)
HALF, SINGLE = np.dtype("f2"), np.dtype("f4")


def can_cast(source: DType, target: DType) -> bool:
    """True where a cast has one meaning on every machine: a float out of an integer's range has none.

    What drops an imaginary part warns in NumPy; half precision is rounded to from single precision only.
    """
    if source.kind == "c":
        return target.kind in "cb"
    if target == HALF:
        return source in (HALF, SINGLE) or source.kind in "biu"
    return not (source.kind == "f" and target.kind in "iu")


class Expressions:
    """A growing list of nodes; every method returns the position of a node."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[Any, int] = {}

    def add(self, node: Node, key: Any = None) -> int:
        """A node; one that is there already is not added again. `key` tells nodes apart that compare equal."""
        key = node if key is None else key
        at = self._known.get(key)
        if at is None:
            at = self._known[key] = len(self.nodes)
            self.nodes.append(node)
        return at

    def dtype(self, node: int) -> DType:
        """The dtype of a node."""
        return self.nodes[node].dtype

    def load(self, access: Access, dtype: DType, *places: int) -> int:
        """An element of an input buffer; `places` are what the access has steps for."""
        node = Node("load", dtype, places, access)
        return self.add(node)

    def index(self, offset: int, strides: tuple[int, ...], dtype: DType) -> int:
        """A place in the kernel's space, as an integer."""
        return self.add(Node("index", dtype, (), Access(0, offset, strides)))

    def inside(self, box: Ranges) -> int:
        """Whether the index lies in a box."""
        node = Node("inside", BOOL, (), box)
        return self.add(node)

    def const(self, value: Any, dtype: DType) -> int:
        """A number, in the given dtype."""
        scalar = dtype.type(value)
        if dtype.kind == "c":
            return self.complex(self.const(scalar.real, part_of(dtype)), self.const(scalar.imag, part_of(dtype)))
        # Keyed on its bytes: 0.0 and -0.0 are equal but not the same.
        return self.add(Node("const", dtype, (), scalar), ("const", dtype, scalar.tobytes()))

    def op(self, name: str, *args: int) -> int:
        """An operation on operands of one dtype."""
        if name == "abs" and self.nodes[args[0]].op == "neg" and self.dtype(args[0]).kind == "f":
            args = self.nodes[args[0]].args
        node = Node(name, BOOL if name in COMPARISONS else self.dtype(args[0]), args)
        return self.add(node)

    def total(self, op: str, value: int) -> int:
        """A value reduced over all points of a row."""
        return self.add(Node("total", self.dtype(value), (value,), op))

    def select(self, condition: int, yes: int, no: int) -> int:
        """`yes` where the condition holds, else `no`."""
        if self.dtype(yes).kind == "c":
            parts = zip(self.parts(yes), self.parts(no), strict=True)
            return self.complex(*[self.select(condition, *pair) for pair in parts])
        node = Node("select", self.dtype(yes), (condition, yes, no))
        return self.add(node)

    def complex(self, real: int, imag: int) -> int:
        """A complex number of two parts."""
        node = Node("complex", np.result_type(self.dtype(real), np.complex64), (real, imag))
        return self.add(node)

    def parts(self, node: int) -> tuple[int, int]:
        """Real and imaginary part of a complex number."""
        made = self.nodes[node]
        if made.op == "complex":
            return made.args[0], made.args[1]
        real, imag = (Node(name, part_of(made.dtype), (node,)) for name in ("real", "imag"))
        return self.add(real), self.add(imag)

    def call(self, name: str, *args: int) -> int:
        """A function of the math library."""
        node = Node("call", self.dtype(args[0]), args, name)
        return self.add(node)

    def cast(self, node: int, dtype: DType) -> int:
        """The value in another dtype; to bool means "is not zero"."""
        source = self.nodes[node]
        if source.dtype == dtype:
            return node
        if source.op == "const" and (can_cast(source.dtype, dtype) or dtype == HALF):
            return self.const(source.data.astype(dtype), dtype)
        if source.dtype.kind == "c":
            pair = [self.cast(x, part_of(dtype) if dtype.kind == "c" else dtype) for x in self.parts(node)]
            return self.complex(*pair) if dtype.kind == "c" else self.op("or", *pair)
        if dtype.kind == "c":
            part = part_of(dtype)
            return self.complex(self.cast(node, part), self.const(0, part))
        if source.dtype == HALF and dtype != SINGLE:
            return self.cast(self.cast(node, SINGLE), dtype)
        if dtype == HALF and source.dtype != SINGLE:
            return self.cast(self.cast(node, SINGLE), dtype)
        if dtype.kind == "b":
            return self.op("ne", node, self.const(0, source.dtype))
        cast = Node("cast", dtype, (node,))
        return self.add(cast)
