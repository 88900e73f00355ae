"""Reverse mode: record what led to a value, then pull cotangents back through it.

The record is a linked graph. Each tracked value points to a `Node`, each node to the nodes of its
operands; there is no tape, so what nothing refers to any more is freed at once. A node keeps only
the values that its primitive says its pullback reads.

Source of the method: Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, chapter 3.
"""

from __future__ import annotations

import heapq
import itertools
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff import core
from npdiff.array import DiffArray
from npdiff.avals import is_differentiable, ndarray
from npdiff.core import AVAL, VALUE, Handle, Primitive, Trace, aval, shape_of, wrap
from npdiff.errors import NotDifferentiableError, TracedValueError, message

_serial = itertools.count()


class Node:
    """One recorded operation: how to pull a cotangent of its output back to its operands."""

    __slots__ = ("args", "dtype", "grad", "out", "params", "parents", "prim", "serial", "shape")

    grad: Any

    def __init__(self, prim: Any, parents: Any, args: Any, out: Any, params: Any, shape: Any, dtype: Any) -> None:
        self.prim = prim
        self.parents = parents
        self.args = args
        self.out = out
        self.params = params
        self.shape = shape
        self.dtype = dtype
        self.serial = next(_serial)


class _Part:
    """Primitive stand-in for one output of an operation with several."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


def leaf_node(value: Any) -> Node:
    """A node without parents: an input of the differentiated function."""
    a = aval(value)
    node = Node(None, (), (), None, None, a.shape, a.dtype)
    node.grad = None
    return node


class ReverseTrace(Trace):
    """Evaluates on the values below and links a node to each result."""

    kind = "reverse-mode"

    def __init__(self) -> None:
        super().__init__()
        self._copies: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

    def input(self, value: Any) -> tuple[DiffArray, Node]:
        """A tracked input of this trace."""
        node = leaf_node(value)
        return DiffArray(self, value, node), node

    def process(self, prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        vals: list[Any] = []
        parents: list[Any] = []
        saves = prim.saves
        last = len(saves) - 1
        i = 0
        for a in args:
            i += 1
            if isinstance(a, Handle):
                t = a._trace
                if t is self:
                    vals.append(a._value)
                    parents.append(a._node)
                    continue
                vals.append(a._value if t is None else wrap(t, a._value, a._node))
            elif type(a) is ndarray and saves[i if i < last else last] == VALUE:
                # The caller's own array may be written into before the way back: keep what it holds now.
                vals.append(self._keep(a))
            else:
                vals.append(a)
            parents.append(None)
        out = prim.call(*vals, **params) if params else prim.call(*vals)
        if prim.kind == "nondifferentiable":
            return _below(out)
        if prim.multiple:
            return self._several(prim, vals, parents, out, params)
        dtype = out.dtype if hasattr(out, "dtype") else aval(out).dtype
        if dtype.kind not in "fc":
            return _below(out)
        node = Node(prim, parents, self._saved(prim, vals), out if saves[0] else None, params, shape_of(out), dtype)
        return DiffArray(self, out, node)

    def _saved(self, prim: Primitive, vals: list[Any]) -> list[Any]:
        saves = prim.saves
        if saves == (VALUE,):
            return vals
        last = len(saves) - 1
        kept: list[Any] = []
        for i, v in enumerate(vals, 1):
            how = saves[i if i < last else last]
            kept.append(v if how == VALUE else aval(v) if how == AVAL else None)
        return kept

    def _several(self, prim: Primitive, vals: Any, parents: Any, out: Any, params: Any) -> Any:
        if not any(is_differentiable(aval(o).dtype) for o in out):
            return _below(out)
        whole = Node(prim, parents, self._saved(prim, vals), out, params, [shape_of(o) for o in out], None)
        results = []
        for i, o in enumerate(out):
            a = aval(o)
            if is_differentiable(a.dtype):
                results.append(DiffArray(self, o, Node(_Part(i), (whole,), (), None, None, a.shape, a.dtype)))
            else:
                results.append(_below(o))
        return tuple(results)

    def _keep(self, a: np.ndarray[Any, Any]) -> Any:
        if a.nbytes < 4096:
            return a.copy()
        old = self._copies.get(id(a))
        if old is not None and old.dtype == a.dtype and old.strides == a.strides and _same_bytes(old, a):
            return old
        new = a.copy(order="K")
        self._copies[id(a)] = new
        return new

    def ask(self, handle: Any, what: str) -> Any:
        return handle._value

    def take(self, handle: Any, what: str) -> Any:
        raise dropped(handle, what)


def dropped(handle: Any, what: str) -> Exception:
    """The error for plain Python or NumPy computing with a number that carries a derivative."""
    ways = {
        "np.asarray": "keep the array as it is, store into an array made with np.zeros inside the transform (or under "
                      "npdiff.record()), or take npdiff.stop_gradient(x) or x.value if no derivative is wanted",
        "hash": "use x.value as the key",
    }
    return TracedValueError(message(
        f"{what}: would drop the derivative of a tracked value", handle,
        instead=ways.get(what, "use NumPy's function (np.sin, not math.sin), or x.value or npdiff.stop_gradient(x) "
                               "if no derivative is wanted")))


def _same_bytes(a: Any, b: Any) -> bool:
    if not (a.flags.c_contiguous and b.flags.c_contiguous):
        return False
    return bool(np.array_equal(a.reshape(-1).view(np.uint8), b.reshape(-1).view(np.uint8)))


def _below(out: Any) -> Any:
    """A result without a derivative: a constant of this trace, still a handle."""
    if isinstance(out, tuple):
        return tuple([_below(o) for o in out])
    return out if isinstance(out, Handle) else core.constant(out)


# ---------------------------------------------------------------------- the way back


def unbroadcast(ct: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes along which its operand was broadcast."""
    s = shape_of(ct)
    extra = len(s) - len(shape)
    axes = tuple(range(extra)) + tuple([i + extra for i, n in enumerate(shape) if n == 1 and s[i + extra] != 1])
    if extra < 0 or not axes:
        return np.broadcast_to(ct, shape)
    ct = np.sum(ct, axis=axes, keepdims=True)
    return np.reshape(ct, shape) if extra else ct


def cast_cotangent(ct: Any, dtype: np.dtype[Any]) -> Any:
    """A cotangent in its operand's dtype; the real part, where a real operand met complex ones."""
    if ct.dtype.kind == "c" and dtype.kind != "c":
        ct = np.real(ct)
    return ct if ct.dtype == dtype else ct.astype(dtype)


def pullback(outputs: Sequence[tuple[Node, Any]], wanted: Sequence[Node]) -> list[Any]:
    """Cotangents of `wanted` nodes, given those of the output nodes; None where nothing arrives."""
    cts: dict[Node, Any] = {}
    parts: dict[Node, list[Any]] = {}
    keep = set(wanted)
    queue: list[tuple[int, Node]] = []  # newest first: a node is reached after all its users
    for node, ct in outputs:
        if node in cts:
            cts[node] = np.add(cts[node], ct)
        else:
            cts[node] = ct
            queue.append((-node.serial, node))
    heapq.heapify(queue)
    push, pop = heapq.heappush, heapq.heappop
    results: dict[Node, Any] = {}
    while queue:
        node = pop(queue)[1]
        prim = node.prim
        if node in keep:
            results[node] = cts[node]
        if prim is None:
            del cts[node]
            continue
        if type(prim) is _Part:
            whole = node.parents[0]
            slots = parts.get(whole)
            if slots is None:
                slots = parts[whole] = [None] * len(whole.out)
                push(queue, (-whole.serial, whole))
                cts[whole] = slots
            slots[prim.index] = cts.pop(node)
            continue
        parents = node.parents
        pull = prim.pull or _transposed_jvp(prim)
        pulled = pull(cts.pop(node), node.out, node.args, parents, node.params)
        for p, c in zip(parents, pulled, strict=True):
            if p is None or c is None:
                continue
            if c.shape != p.shape:
                c = unbroadcast(c, p.shape)
            if c.dtype != p.dtype:
                c = cast_cotangent(c, p.dtype)
            old = cts.get(p)
            if old is None:
                cts[p] = c
                push(queue, (-p.serial, p))
            else:
                cts[p] = np.add(old, c)
    return [results.get(n) for n in wanted]


def _transposed_jvp(prim: Primitive) -> Any:
    """The pullback that follows from a jvp: it is linear in the tangents, so its reverse is its transpose."""
    if prim.jvp is None:
        raise NotDifferentiableError(message(f"{prim.name}: has no derivative rule",
                                             instead="use npdiff.stop_gradient if it is meant as a constant"))
    jvp = prim.jvp

    def pull(ct: Any, out: Any, args: Sequence[Any], needed: Sequence[Any], params: dict[str, Any]) -> Any:
        trace = ReverseTrace()
        try:
            tangents: list[Any] = [None] * len(args)
            nodes: list[Any] = [None] * len(args)
            for i, (a, n) in enumerate(zip(args, needed, strict=True)):
                if n is not None:
                    v = aval(a)
                    tangents[i], nodes[i] = trace.input(np.zeros(v.shape, v.dtype))
            result = jvp(out, args, tangents, **params)
            pairs = zip(result, ct, strict=True) if prim.multiple else [(result, ct)]
            seeds = [
                (r._node, cast_cotangent(unbroadcast(c, shape_of(r)), aval(r).dtype))
                for r, c in pairs if isinstance(r, Handle) and r._trace is trace and c is not None
            ]
            found = iter(pullback(seeds, [n for n in nodes if n is not None]))
            return [None if n is None else next(found) for n in nodes]
        finally:
            trace.close()

    return pull


def seed(value: Any, ct: Any, trace: ReverseTrace) -> list[tuple[Node, Any]]:
    """Output cotangents for `pullback`, if the value depends on this trace's inputs at all."""
    if isinstance(value, Handle):
        value._sync()
        if value._trace is trace:
            return [(value._node, ct)]
    return []


__all__ = ["Node", "ReverseTrace", "cast_cotangent", "dropped", "pullback", "seed", "unbroadcast"]
