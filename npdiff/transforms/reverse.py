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
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from npdiff import core
from npdiff.array import DiffArray, same_bytes
from npdiff.avals import is_differentiable, ndarray
from npdiff.core import AVAL, VALUE, Handle, Primitive, Trace, aval, shape_of, unchanged, wrap
from npdiff.errors import NotDifferentiableError, TracedValueError, message, outside_write, scipy_call
from npdiff.foreign import filled

# Counts down, so that the newest node is the smallest: a heap of nodes hands out users before what they used.
_serial = itertools.count(0, -1)

# One recorded operation: how to pull a cotangent of its output back to its operands. A plain tuple, because making
# one is the larger part of what recording costs; its first entry is unique and orders it.
#     (serial, shape, dtype, prim, parents, params, out, args, None)
# and, for elementwise operations of one or two operands, without the inner tuples (see Primitive.back):
#     (serial, shape, dtype, back, parent, parent, out, operand, operand)
Node = tuple[int, Any, Any, Any, Any, Any, Any, Any, Any]
_FLOAT64 = np.dtype(np.float64)
_new = object.__new__  # where microseconds count: without the call of __init__


class _Part:
    """Primitive stand-in for one output of an operation with several."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


def leaf_node(value: Any) -> Node:
    """A node without parents: an input of the differentiated function."""
    a = value if type(value) is ndarray else aval(value)
    return (next(_serial), a.shape, a.dtype, None, (), None, None, (), None)


def parents_of(node: Node) -> Sequence[Node | None]:
    """The nodes of the operands; None for constants."""
    return node[4:6] if type(node[3]) is tuple else node[4]  # type: ignore[no-any-return]


# 0-d arrays of recent Python floats: NumPy turns a float into one at every call, at the price of the operation.
_numbers: dict[float, Any] = {}


def _number_array(number: float) -> Any:
    """A float as a read-only float64 array; not for zeros, which are equal and yet differ in sign."""
    array = np.asarray(number)
    array.flags.writeable = False
    if len(_numbers) < 1024 and number == number:
        _numbers[number] = array
    return array


class ReverseTrace(Trace):
    """Evaluates on the values below and links a node to each result."""

    kind = "reverse-mode"

    _copies: weakref.WeakValueDictionary[int, Any] | None = None

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
            if type(a) is DiffArray and a._trace is self:
                vals.append(a._value)
                parents.append(a._node)
            else:
                v, node = self._operand(a, saves[i if i < last else last])
                vals.append(v)
                parents.append(node)
        out = prim.call(*vals, **params)
        if prim.kind == "nondifferentiable":
            return _below(out)
        if prim.multiple:
            return self._several(prim, vals, parents, out, params)
        shape, dtype, _ = aval(out)
        if dtype.kind not in "fc":
            return _below(out)
        kept = _kept(prim, parents)
        return DiffArray(self, out, (next(_serial), shape, dtype, prim, parents, params, out if kept[0] else None,
                                     self._saved(kept, vals), None))

    # The three below are `process` once more, for what eager recording spends its time on: elementwise operations.

    def unary(self, prim: Primitive, a: Any) -> Any:
        back = prim.back
        if back is None:
            return self.process(prim, (a,), {})
        keeps_out, keeps_a = prim.saves
        va = a._value
        out = prim.call(va)
        if type(out) is not ndarray:
            return self._scalar(prim, out, a._node, None, va, None)
        dtype = out.dtype
        if dtype is not _FLOAT64 and dtype.kind not in "fc":
            return core.constant(out)
        result = _new(DiffArray)
        result._trace = self
        result._value = out
        na = a._node
        result._node = (next(_serial), na[1], dtype, back, na, None, out if keeps_out else None,
                        va if keeps_a else None, None)
        return result

    def binary(self, prim: Primitive, a: Any, b: Any) -> Any:
        back = prim.back
        if back is None:
            return self.process(prim, (a, b), {})
        keeps_out, keeps_a, keeps_b = prim.saves
        if type(a) is DiffArray and a._trace is self:
            va = a._value
            na = a._node
        else:
            va, na = self._operand(a, keeps_a)
        if type(b) is DiffArray and b._trace is self:
            vb = b._value
            nb = b._node
        else:
            vb, nb = self._operand(b, keeps_b)
        out = prim.call(va, vb)
        if type(out) is not ndarray:
            return self._scalar(prim, out, na, nb, va, vb)
        dtype = out.dtype
        if dtype is not _FLOAT64 and dtype.kind not in "fc":
            return core.constant(out)
        # One tuple for one shape, where that is easy: the way back compares them by identity first.
        if na is not None and nb is not None and na[1] is nb[1]:
            shape = na[1]
        else:
            if na is None or nb is None:
                keeps_out, keeps_a, keeps_b = prim.alone[na is None]
            shape = out.shape
            if na is not None and na[1] == shape:
                shape = na[1]
            elif nb is not None and nb[1] == shape:
                shape = nb[1]
        result = _new(DiffArray)
        result._trace = self
        result._value = out
        result._node = (next(_serial), shape, dtype, back, na, nb, out if keeps_out else None,
                        va if keeps_a else None, vb if keeps_b else None)
        return result

    def with_number(self, prim: Primitive, a: Any, b: float) -> Any:
        back = prim.back
        if back is None:
            return self.process(prim, (a, b), {})
        keeps_out, keeps_a, keeps_b = prim.alone[0]
        va = a._value
        na = a._node
        vb: Any = b
        if b and va.dtype is _FLOAT64:
            vb = _numbers.get(b)
            if vb is None:
                vb = _number_array(b)
        out = prim.call(va, vb)
        if type(out) is not ndarray:
            return self._scalar(prim, out, na, None, va, vb)
        dtype = out.dtype
        if dtype is not _FLOAT64 and dtype.kind not in "fc":
            return core.constant(out)
        result = _new(DiffArray)
        result._trace = self
        result._value = out
        result._node = (next(_serial), na[1], dtype, back, na, None, out if keeps_out else None,
                        va if keeps_a else None, vb if keeps_b else None)
        return result

    def _scalar(self, prim: Primitive, out: Any, na: Any, nb: Any, va: Any, vb: Any) -> Any:
        """The end of `unary` and `binary` where the result is no array: a number, or a handle of an outer trace."""
        a = aval(out)
        if a.dtype.kind not in "fc":
            return _below(out)
        keeps_out, keeps_a, *rest = _kept(prim, (na, nb))
        return DiffArray(self, out, (next(_serial), a.shape, a.dtype, prim.back, na, nb, out if keeps_out else None,
                                     va if keeps_a else None, vb if rest and rest[0] else None))

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

    def _saved(self, saves: Sequence[int], vals: list[Any]) -> list[Any]:
        last = len(saves) - 1
        if last == 0:
            return vals  # all of them, as a rule
        kept: list[Any] = []
        for i, v in enumerate(vals, 1):
            how = saves[i if i < last else last]
            kept.append(v if how == VALUE else aval(v) if how == AVAL else None)
        return kept

    def _several(self, prim: Primitive, vals: Any, parents: Any, out: Any, params: Any) -> Any:
        if not any(is_differentiable(aval(o).dtype) for o in out):
            return _below(out)
        whole = (next(_serial), (), None, prim, parents, params, out, self._saved(prim.saves, vals), None)
        results = []
        for i, o in enumerate(out):
            a = aval(o)
            if is_differentiable(a.dtype):
                node = (next(_serial), a.shape, a.dtype, _Part(i), (whole,), None, None, (), None)
                results.append(DiffArray(self, o, node))
            else:
                results.append(_below(o))
        return tuple(results)

    def _keep(self, a: np.ndarray[Any, Any]) -> Any:
        if a.nbytes < 4096:
            return a.copy("K")
        if self._copies is None:
            self._copies = weakref.WeakValueDictionary()
        old = self._copies.get(id(a))
        if old is not None and old.dtype == a.dtype and old.strides == a.strides and same_bytes(old, a):
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
    if what == "setitem":
        return outside_write(handle)
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


def _kept(prim: Primitive, parents: Sequence[Any]) -> Sequence[int]:
    """What the way back reads of an operation whose operands have these nodes."""
    if len(prim.alone) == 2 and None in parents:
        return prim.alone[parents[0] is None]
    return prim.saves


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


def cotangents(outputs: Sequence[tuple[Node, Any]], wanted: Sequence[Node]) -> list[Any]:
    """`pullback`, at first with plain products: only if a NaN arrives can zero have met infinity on the way.

    Every step is linear, so a NaN that could change what arrives arrives itself.
    """
    # Partials may be infinite where the cotangent is zero; NumPy's warnings belong to the user's own forward code.
    with np.errstate(all="ignore"):
        cts = pullback(outputs, wanted, strong=False)
        for ct in cts:
            found: Any = core.innermost(ct)
            kind: type = type(found)
            if issubclass(kind, (ndarray, np.generic)):  # (only these were multiplied plainly)
                total = found.dot(found) if found.ndim == 1 else np.vdot(found, found)
                if total != total:
                    return pullback(outputs, wanted)
    return cts


def pullback(outputs: Sequence[tuple[Node, Any]], wanted: Sequence[Node], strong: bool = True) -> list[Any]:
    """Cotangents of `wanted` nodes, given those of the output nodes; None where nothing arrives.

    With `strong`, a zero cotangent stays zero whatever partial it meets.
    """
    cts: dict[int, Any] = {}  # of the nodes in the queue
    parts: set[int] = set()
    keep = {node[0] for node in wanted}
    queue: list[Node] = []
    push, pop, pushpop, add = heapq.heappush, heapq.heappop, heapq.heappushpop, np.add
    for out_node, ct in outputs:
        old = cts.get(out_node[0])
        if old is None:
            push(queue, out_node)
        cts[out_node[0]] = ct if old is None else np.add(old, ct)
    results: dict[int, Any] = {}
    # A node that is not in the queue, and its cotangent: in a chain of operations there is never another.
    node: Node | None = None
    near: Any = None
    while queue or node is not None:
        if node is None:
            node = pop(queue)
            ct = cts.pop(node[0])
        elif queue and queue[0] < node:
            cts[node[0]] = near
            node = pushpop(queue, node)
            ct = cts.pop(node[0])
        else:
            ct = near
        serial, of_shape, of_dtype, rule, parents, more, out, args, other = node
        node = None
        arriving: Iterable[tuple[Any, Any]]  # parents, and what arrives at them
        p: Any
        c: Any
        if type(rule) is tuple:
            # elementwise, with operands `args` and `other`, whose nodes are `parents` and `more`
            if strong:
                rule = rule[len(rule) // 2:]
            if parents is not None:
                p = parents
                term = rule[0]
            else:
                p = more
                term = rule[1]
            c = ct if term is unchanged else term and term(ct, out, args, other)
            if parents is not None and more is not None:
                term = rule[1]
                d = ct if term is unchanged else term and term(ct, out, args, other)
                arriving = ((p, c), (more, d))
            elif c is not None and p[1] is of_shape and p[2] is of_dtype is _FLOAT64:
                # The one operand has the very shape and dtype of the result: as below, without a look at c. (In other
                # dtypes a partial with a float64 constant in it changes the dtype.)
                old = cts.get(p[0])
                if old is None:
                    node = p
                    near = c
                else:
                    cts[p[0]] = add(old, c)
                continue
            else:
                arriving = ((p, c),)
        elif rule is None:
            if serial in keep:
                results[serial] = ct
            continue
        elif type(rule) is _Part:
            whole = parents[0]
            if whole[0] not in parts:
                parts.add(whole[0])
                cts[whole[0]] = [None] * len(whole[6])
                push(queue, whole)
            cts[whole[0]][rule.index] = ct
            continue
        else:
            of_shape = None
            if rule.terms is not None:
                pulled = [p and term and term(ct, out, *args) for p, term in zip(parents, rule.terms, strict=True)]
            else:
                pulled = (rule.pull or transposed_jvp(rule))(ct, out, args, parents, more)
            arriving = zip(parents, pulled, strict=False)
        for p, c in arriving:
            if p is None or c is None:
                continue
            shape = p[1]
            dtype = p[2]
            if shape is not of_shape or dtype is not of_dtype or dtype is not _FLOAT64:
                if c.shape != shape:
                    c = unbroadcast(c, shape)
                found = c.dtype
                if found is not dtype and found != dtype:
                    c = cast_cotangent(c, dtype)
            if p is node:
                near = add(near, c)
                continue
            old = cts.get(p[0])
            if old is not None:
                cts[p[0]] = add(old, c)
            elif node is None:
                node = p
                near = c
            else:
                cts[p[0]] = c
                push(queue, p)
    return [results.get(node[0]) for node in wanted]


def transposed_jvp(prim: Primitive) -> Any:
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
                    tangents[i], nodes[i] = trace.input(filled(v.shape, 0, v.dtype, a))
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


__all__ = [
    "Node", "ReverseTrace", "cast_cotangent", "cotangents", "dropped", "parents_of", "pullback", "seed",
    "transposed_jvp", "unbroadcast",
]
