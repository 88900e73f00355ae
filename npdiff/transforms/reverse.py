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
from npdiff.errors import NotDifferentiableError, TracedValueError, message, scipy_call

# Counts down, so that the newest node is the smallest: a heap of nodes hands out users before what they used.
_serial = itertools.count(0, -1)

# One recorded operation: how to pull a cotangent of its output back to its operands. A plain tuple, because making
# one is the larger part of what recording costs; its first entry is unique and orders it.
#     (serial, shape, dtype, prim, parents, args, out, params)
Node = tuple[int, Any, Any, Any, Any, Any, Any, Any]


class _Part:
    """Primitive stand-in for one output of an operation with several."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


def leaf_node(value: Any) -> Node:
    """A node without parents: an input of the differentiated function."""
    a = aval(value)
    return (next(_serial), a.shape, a.dtype, None, (), (), None, None)


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
        for i, a in enumerate(args, 1):
            v, node = self._operand(a, saves[i if i < last else last])
            vals.append(v)
            parents.append(node)
        out = prim.call(*vals, **params)
        if prim.kind == "nondifferentiable":
            return _below(out)
        if prim.multiple:
            return self._several(prim, vals, parents, out, params)
        dtype = out.dtype if hasattr(out, "dtype") else aval(out).dtype
        if dtype.kind not in "fc":
            return _below(out)
        node = (next(_serial), shape_of(out), dtype, prim, parents, self._saved(prim, vals),
                out if saves[0] else None, params)
        return DiffArray(self, out, node)

    def apply(self, prim: Primitive, args: Sequence[Any]) -> Any:
        # The hot path of eager recording: an elementwise primitive of one or two operands.
        if prim.terms is None or len(args) > 2:
            return self.process(prim, args, {})
        saves = prim.saves
        a = args[0]
        if type(a) is DiffArray and a._trace is self:
            va, na = a._value, a._node
        else:
            va, na = self._operand(a, saves[1])
        parents: Any
        kept: Any
        if len(args) == 1:
            out = prim.call(va)
            parents = (na,)
            kept = (va if saves[1] else None,)
        else:
            b = args[1]
            if type(b) is not DiffArray:
                vb, nb = self._operand(b, saves[2]) if type(b) is not float else (b, None)
            elif b._trace is self:
                vb, nb = b._value, b._node
            elif b._trace is None:
                vb = b._value
                nb = None
            else:
                vb, nb = self._operand(b, saves[2])
            out = prim.call(va, vb)
            parents = (na, nb)
            kept = (va if saves[1] else None, vb if saves[2] else None)
        try:
            dtype = out.dtype
            shape = out.shape
        except AttributeError:  # a Python number
            dtype = aval(out).dtype
            shape = ()
        if dtype.kind not in "fc":
            return _below(out)
        return DiffArray(self, out, (next(_serial), shape, dtype, prim, parents, kept, out if saves[0] else None, None))

    def _operand(self, a: Any, save: int) -> tuple[Any, Any]:
        """An operand as seen from below, and its node if it belongs to this trace."""
        if isinstance(a, Handle):
            t = a._trace
            if t is self:
                return a._value, a._node
            return (a._value if t is None else wrap(t, a._value, a._node)), None
        if save == VALUE and type(a) is ndarray:
            # The caller's own array may be written into before the way back: keep what it holds now.
            return self._keep(a), None
        return a, None

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
        whole = (next(_serial), (), None, prim, parents, self._saved(prim, vals), out, params)
        results = []
        for i, o in enumerate(out):
            a = aval(o)
            if is_differentiable(a.dtype):
                node = (next(_serial), a.shape, a.dtype, _Part(i), (whole,), (), None, None)
                results.append(DiffArray(self, o, node))
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
        "np.asarray": "keep the array as it is; write np.array([x, y]) where a list of tracked values is handed on; "
                      "store into arrays made with np.zeros inside the transform (or under npdiff.record()); or take "
                      "npdiff.stop_gradient(x) or x.value if no derivative is wanted",
        "hash": "use x.value as the key",
    }
    inside = scipy_call() if what == "np.asarray" else ""
    if inside:
        return TracedValueError(message(
            f"{inside}: makes a plain array of a tracked value, which would drop its derivative", handle,
            instead=f"write {inside}(...) in full, inside a transform or npdiff.record(): a function imported by "
                    "itself is not seen; if it has no rule, give it one with npdiff.custom_jvp"))
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
    cts: dict[int, Any] = {}
    parts: set[int] = set()
    keep = {node[0] for node in wanted}
    queue: list[Node] = []
    push, pop = heapq.heappush, heapq.heappop
    for out_node, ct in outputs:
        old = cts.get(out_node[0])
        if old is None:
            push(queue, out_node)
        cts[out_node[0]] = ct if old is None else np.add(old, ct)
    results: dict[int, Any] = {}
    node: Node | None = None
    while queue or node is not None:
        if node is None:
            node = pop(queue)
        serial, _, _, prim, parents, args, out, params = node
        node = None
        ct = cts.pop(serial)
        if serial in keep:
            results[serial] = ct
        if prim is None:
            continue
        if type(prim) is _Part:
            whole = parents[0]
            if whole[0] not in parts:
                parts.add(whole[0])
                cts[whole[0]] = [None] * len(whole[6])
                push(queue, whole)
            cts[whole[0]][prim.index] = ct
            continue
        terms = prim.terms
        pulled: Sequence[Any]
        if terms is not None and len(parents) == 1:
            term = terms[0]
            pulled = (None if term is None else term(ct, out, *args),)
        elif terms is not None:
            pulled = [
                None if p is None or term is None else term(ct, out, *args)
                for p, term in zip(parents, terms)  # noqa: B905 (one per operand; the check would be felt here)
            ]
        else:
            pulled = (prim.pull or _transposed_jvp(prim))(ct, out, args, parents, params)
        for p, c in zip(parents, pulled):  # noqa: B905
            if p is None or c is None:
                continue
            at, shape, dtype = p[:3]
            if c.shape != shape:
                c = unbroadcast(c, shape)
            found = c.dtype
            if found is not dtype and found != dtype:
                c = cast_cotangent(c, dtype)
            old = cts.get(at)
            if old is not None:
                cts[at] = np.add(old, c)
                continue
            cts[at] = c
            if node is None and not queue:
                node = p  # a chain: no need to queue up alone
            else:
                if node is not None:
                    push(queue, node)
                    node = None
                push(queue, p)
    return [results.get(node[0]) for node in wanted]


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
