"""Build a scalar expression DAG: every node exists once, casts appear only where dtypes differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.kernels.loop_ir import COMPARISONS, Access, DType, Node, Ranges

BOOL = np.dtype(bool)


def can_cast(source: DType, target: DType) -> bool:
    """True where a cast has one meaning on every machine: a float out of an integer's range has none."""
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

    def load(self, access: Access, dtype: DType) -> int:
        """An element of an input buffer."""
        node = Node("load", dtype, (), access)
        return self.add(node)

    def inside(self, box: Ranges) -> int:
        """Whether the index lies in a box."""
        node = Node("inside", BOOL, (), box)
        return self.add(node)

    def const(self, value: Any, dtype: DType) -> int:
        """A number, in the given dtype."""
        scalar = dtype.type(value)
        # Keyed on its bytes: 0.0 and -0.0 are equal but not the same.
        return self.add(Node("const", dtype, (), scalar), ("const", dtype, scalar.tobytes()))

    def op(self, name: str, *args: int) -> int:
        """An operation on operands of one dtype."""
        node = Node(name, BOOL if name in COMPARISONS else self.dtype(args[0]), args)
        return self.add(node)

    def select(self, condition: int, yes: int, no: int) -> int:
        """`yes` where the condition holds, else `no`."""
        node = Node("select", self.dtype(yes), (condition, yes, no))
        return self.add(node)

    def call(self, name: str, *args: int) -> int:
        """A function of the math library."""
        node = Node("call", self.dtype(args[0]), args, name)
        return self.add(node)

    def cast(self, node: int, dtype: DType) -> int:
        """The value in another dtype; to bool means "is not zero"."""
        source = self.nodes[node]
        if source.dtype == dtype:
            return node
        if source.op == "const" and can_cast(source.dtype, dtype):
            return self.const(source.data.astype(dtype), dtype)
        if dtype.kind == "b":
            return self.op("ne", node, self.const(0, source.dtype))
        cast = Node("cast", dtype, (node,))
        return self.add(cast)
