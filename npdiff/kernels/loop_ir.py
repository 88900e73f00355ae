"""Loop IR: one iteration space, a typed scalar expression DAG, stores and reductions.

A kernel is a perfect loop nest over `sizes`, outermost axis first. At every point it evaluates its
nodes in order; an `Access` says which element of a C-contiguous buffer a load or store touches, as
an offset plus one stride per axis, all counted in elements.

A kernel may have *rows*: the first `Kernel.rows` axes number them, the others their points. The value of a
`total` node is a reduction over all points of a row; it, and what is computed from it, can be read at the
points of the same row again. A renderer visits the points of a row as often as that takes (see `rows.plan`),
or says that it renders no totals.

A load whose place also moves with values takes these as its operands, integers that lie within the limits its access
gives (`Access.steps`); whoever builds one sees to that. Only a renderer that asks for them gets such loads
(``schedule(graph, gathers=True)``).

An `index` node is the place itself that its access names, as an integer: a load from an array of places, without it.

A kernel is *guarded* (see `guarded`) if it distinguishes cases by the index alone: by `inside` nodes,
or by loads that touch memory only inside of their `within`. It has no reductions. A renderer cuts it
into boxes in which every case is decided (`pieces.split`), or compares indices at each point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

DType = np.dtype[Any]

DTYPES = frozenset(np.dtype(c) for c in "?bhilqBHILQefdFD")
# operation -> number of operands; `call` takes any number and names a function of the math library.
ARITHMETIC = {
    "add": 2, "sub": 2, "mul": 2, "div": 2, "neg": 1, "abs": 1, "sqrt": 1, "floor": 1, "ceil": 1, "trunc": 1,
    "rint": 1, "copysign": 2, "maximum": 2, "minimum": 2, "fmax": 2, "fmin": 2, "and": 2, "or": 2, "xor": 2, "not": 1,
}
COMPARISONS = {"eq": 2, "ne": 2, "lt": 2, "le": 2, "gt": 2, "ge": 2, "signbit": 1}
FLOAT_ONLY = frozenset(["div", "sqrt", "floor", "ceil", "trunc", "rint", "copysign", "fmax", "fmin", "signbit", "call"])
BITWISE = frozenset(["and", "or", "xor", "not"])
REDUCTIONS = frozenset(["add", "mul", "maximum", "minimum", "and", "or"])


def part_of(dtype: DType) -> DType:
    """The dtype of a complex number's parts; any other dtype itself."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


class IRError(AssertionError):
    """A kernel breaks an invariant of the loop IR: a defect in npdiff."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """A block of `size` elements, `before` of which lie before its address.

    It is C-contiguous, and no element lies before; an input of another layout (`layouts.for_layouts`) is the block that
    its strides span, and may have gaps.
    """

    dtype: DType
    size: int
    before: int = 0


# Half-open ranges of the index, one per axis: a box in the iteration space.
Ranges = tuple[tuple[int, int], ...]


class Access(NamedTuple):
    """Element ``offset + sum(index * stride)`` of a buffer.

    A load with `within` touches memory only at points inside that box; at all others its value is zero. With `steps`,
    each operand of the load adds the first number as often as it says; it is below the second.
    """

    buffer: int
    offset: int
    strides: tuple[int, ...]
    within: Ranges | None = None
    steps: tuple[tuple[int, int], ...] = ()


class Node(NamedTuple):
    """One scalar value; `args` are positions of earlier nodes.

    `data` is the Access of a load or an index (whose buffer means nothing), the number of a const, the function name of
    a call, the operation of a total, the box of an `inside`, which has no operands and is true at the points in it.
    """

    op: str
    dtype: DType
    args: tuple[int, ...] = ()
    data: Any = None


@dataclass(frozen=True, slots=True)
class Store:
    """Write a node's value to an output buffer at every point; with `row`, once for every row."""

    value: int
    access: Access
    row: bool = False


@dataclass(frozen=True, slots=True)
class Reduction:
    """Combine a node's values over `axes` into an output buffer (strides are zero there).

    With `row`, one value of every row is combined, and `axes` are among those that number the rows.
    """

    op: str
    value: int
    axes: tuple[int, ...]
    access: Access
    row: bool = False


@dataclass(frozen=True, slots=True)
class Kernel:
    """A loop nest; accesses of loads index `inputs`, those of stores and reductions `outputs`.

    `rows` is the number of axes that number the rows; None if there are none.
    """

    sizes: tuple[int, ...]
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    nodes: tuple[Node, ...]
    stores: tuple[Store, ...]
    reductions: tuple[Reduction, ...]
    rows: int | None = None


def identity(op: str, dtype: DType) -> Any:
    """The value that leaves a reduction unchanged."""
    if op in ("add", "or"):
        return dtype.type(0)
    if op in ("mul", "and"):
        return dtype.type(1)
    if dtype.kind == "f":
        return dtype.type(-np.inf if op == "maximum" else np.inf)
    info = np.iinfo(dtype)
    return dtype.type(info.min if op == "maximum" else info.max)


def accesses(kernel: Kernel) -> list[Access]:
    """Every access of the kernel to memory: loads, then stores, then reductions."""
    loads = [n.data for n in kernel.nodes if n.op == "load"]
    return loads + [s.access for s in kernel.stores] + [r.access for r in kernel.reductions]


def walks(kernel: Kernel) -> list[Access]:
    """Every access of the kernel, also those that only say where they are."""
    return accesses(kernel) + [n.data for n in kernel.nodes if n.op == "index"]


def boxes(kernel: Kernel) -> list[Ranges]:
    """The boxes that a kernel tells apart from the rest of its space."""
    within = [n.data.within for n in kernel.nodes if n.op == "load" and n.data.within is not None]
    return within + [n.data for n in kernel.nodes if n.op == "inside"]


def guarded(kernel: Kernel) -> bool:
    """Whether a kernel has conditions on the index; a renderer has to know of `inside` and of `within` for it."""
    return any(n.op == "inside" or (n.op == "load" and n.data.within is not None) for n in kernel.nodes)


def collapse(kernel: Kernel, first: int = 0) -> Kernel:
    """Merge adjacent axes that every access walks as one and every reduction and condition treats alike.

    Axes before `first` stay as they are.
    """
    sizes = kernel.sizes
    every = walks(kernel)
    whole = boxes(kernel)
    groups: list[list[int]] = []
    for axis in range(len(sizes)):
        if groups and axis > first and axis != kernel.rows:
            before = groups[-1][-1]
            as_one = all(a.strides[before] == a.strides[axis] * sizes[axis] for a in every)
            alike = all((before in r.axes) == (axis in r.axes) for r in kernel.reductions)
            if as_one and alike \
                    and all(box[axis] == (0, sizes[axis]) for box in whole):
                groups[-1].append(axis)
                continue
        groups.append([axis])

    def cut(box: Ranges) -> Ranges:
        ranges = []
        for g in groups:
            inner = int(np.prod([sizes[i] for i in g[1:]]))
            ranges.append((box[g[0]][0] * inner, box[g[0]][1] * inner))
        return tuple(ranges)

    def move(a: Access) -> Access:
        return a._replace(strides=tuple([a.strides[g[-1]] for g in groups]), within=a.within and cut(a.within))

    def moved(n: Node) -> Node:
        if n.op in ("load", "index"):
            return Node(n.op, n.dtype, n.args, move(n.data))
        return Node(n.op, n.dtype, n.args, cut(n.data)) if n.op == "inside" else n

    return Kernel(
        tuple(int(np.prod([sizes[i] for i in g])) for g in groups),
        kernel.inputs,
        kernel.outputs,
        tuple(moved(n) for n in kernel.nodes),
        tuple(Store(s.value, move(s.access), s.row) for s in kernel.stores),
        tuple(Reduction(r.op, r.value, tuple(k for k, g in enumerate(groups) if g[0] in r.axes), move(r.access), r.row)
              for r in kernel.reductions),
        None if kernel.rows is None else sum(g[0] < kernel.rows for g in groups),
    )


def turned(kernel: Kernel, order: Sequence[int]) -> Kernel:
    """The kernel with its axes in another order, which keeps those of the rows in front."""
    def box(ranges: Ranges) -> Ranges:
        return tuple([ranges[axis] for axis in order])

    def move(a: Access) -> Access:
        return a._replace(strides=tuple([a.strides[axis] for axis in order]), within=a.within and box(a.within))

    def moved(n: Node) -> Node:
        if n.op in ("load", "index"):
            return n._replace(data=move(n.data))
        return n._replace(data=box(n.data)) if n.op == "inside" else n

    return replace(
        kernel,
        sizes=tuple([kernel.sizes[axis] for axis in order]),
        nodes=tuple([moved(n) for n in kernel.nodes]),
        stores=tuple([replace(s, access=move(s.access)) for s in kernel.stores]),
        reductions=tuple([replace(r, access=move(r.access), axes=tuple(sorted(order.index(a) for a in r.axes)))
                          for r in kernel.reductions]),
    )


def levels(kernel: Kernel) -> list[int]:
    """For each node, how many loops fix its value."""
    found: list[int] = []
    for n in kernel.nodes:
        if n.op in ("load", "index"):
            found.append(max((k + 1 for k, s in enumerate(n.data.strides) if s), default=0))
        elif n.op == "total":
            found.append(kernel.rows or 0)
        else:
            found.append(max((found[a] for a in n.args), default=0))
    return found


def _check(condition: bool, what: str, *more: Any) -> None:
    if not condition:
        raise IRError(f"loop IR: {what}{''.join(map(str, more))}")


def _verify_box(box: Ranges, sizes: tuple[int, ...], what: str) -> None:
    _check(len(box) == len(sizes), f"{what} has a box of {len(box)} axes for {len(sizes)}")
    _check(all(0 <= i < j <= n for (i, j), n in zip(box, sizes, strict=True)), f"{what} has the box {box} in {sizes}")


def _verify_access(a: Access, buffers: tuple[Buffer, ...], sizes: tuple[int, ...], what: str) -> None:
    _check(0 <= a.buffer < len(buffers), f"{what} names buffer {a.buffer} of {len(buffers)}")
    _check(len(a.strides) == len(sizes), f"{what} has {len(a.strides)} strides for {len(sizes)} axes")
    box = tuple((0, n) for n in sizes) if a.within is None else a.within
    _verify_box(box, sizes, what)
    ends = [(s * i, s * (j - 1)) for s, (i, j) in zip(a.strides, box, strict=True)]
    ends += [(0, s * (n - 1)) for s, n in a.steps]
    low, high = a.offset + sum(map(min, ends)), a.offset + sum(map(max, ends))
    size, before = buffers[a.buffer].size, buffers[a.buffer].before
    _check(low >= -before and high < size - before, f"{what} touches [{low}, {high}] of {size} elements")


def _verify_reduced(op: str, dtype: DType) -> None:
    fits = (op in BITWISE) == (dtype.kind == "b") and (dtype.kind != "c" or op in ("add", "mul"))
    _check(fits and dtype != np.float16, f"{op} does not reduce ", dtype)


def _verify_node(kernel: Kernel, i: int) -> None:
    node = kernel.nodes[i]
    what = f"node {i} ({node.op})"
    _check(node.dtype in DTYPES and node.dtype.isnative, what, " has dtype ", node.dtype)
    _check(all(0 <= a < i for a in node.args), f"{what} reads a node that is not before it")
    kinds = [kernel.nodes[a].dtype for a in node.args]
    if node.op == "load":
        _check(isinstance(node.data, Access) and len(node.args) == len(node.data.steps), f"{what} is malformed")
        _check(all(k == np.int64 for k in kinds), f"{what} has a place of another type than int64")
        _verify_access(node.data, kernel.inputs, kernel.sizes, what)
        _check(kernel.inputs[node.data.buffer].dtype == node.dtype, f"{what} has another dtype than its buffer")
    elif node.op == "index":
        _check(isinstance(node.data, Access) and node.dtype.kind == "i" and not node.args, f"{what} is malformed")
        _check(len(node.data.strides) == len(kernel.sizes), f"{what} has {len(node.data.strides)} strides")
    elif node.op == "inside":
        _check(node.dtype.kind == "b" and not node.args, f"{what} is malformed")
        _verify_box(node.data, kernel.sizes, what)
    elif node.op == "const":
        _check(isinstance(node.data, np.generic) and node.data.dtype == node.dtype, f"{what} holds {node.data!r}")
    elif node.op == "complex":
        _check(len(kinds) == 2 and kinds[0] == kinds[1] == part_of(node.dtype) != node.dtype, f"{what} is ill-typed")
    elif node.op in ("real", "imag"):
        _check(len(kinds) == 1 and kinds[0].kind == "c" and part_of(kinds[0]) == node.dtype, f"{what} is ill-typed")
    elif node.op == "cast":
        _check(len(kinds) == 1, f"{what} has {len(kinds)} operands")
        to_int = node.dtype.kind in "iu" and kinds[0].kind == "f"
        _check("c" not in (node.dtype.kind, kinds[0].kind), f"{what} is of a complex number")
        _check(not to_int, f"{what} from {kinds[0]} to {node.dtype} is not defined for every value")
    elif node.op == "select":
        _check(len(kinds) == 3 and kinds[0].kind == "b" and kinds[1] == kinds[2] == node.dtype, f"{what} is ill-typed")
    elif node.op == "total":
        _check(kernel.rows is not None and kinds == [node.dtype], f"{what} is malformed")
        _check(node.data in REDUCTIONS, f"{node.data} is not a reduction")
        _verify_reduced(node.data, node.dtype)
    elif node.op == "call":
        _check(isinstance(node.data, str) and bool(kinds), f"{what} is malformed")
        _check(all(k == node.dtype for k in kinds) and node.dtype.kind == "f", f"{what} is ill-typed")
    elif node.op in COMPARISONS:
        _check(len(kinds) == COMPARISONS[node.op], f"{what} has {len(kinds)} operands")
        _check(node.dtype.kind == "b" and len(set(kinds)) == 1, f"{what} is ill-typed")
        _check(node.op not in FLOAT_ONLY or kinds[0].kind == "f", f"{what} needs floats")
    else:
        _check(node.op in ARITHMETIC, f"{what} is not an operation")
        _check(len(kinds) == ARITHMETIC[node.op], f"{what} has {len(kinds)} operands")
        _check(all(k == node.dtype for k in kinds), f"{what} is ill-typed")
        _check(node.op not in FLOAT_ONLY or node.dtype.kind == "f", f"{what} needs floats")
        _check(node.dtype.kind in ("biu" if node.op in BITWISE else "iuf"), what, " is not defined for ",
               node.dtype)


def verify(kernel: Kernel) -> None:
    """Raise IRError unless the kernel is well-formed, well-typed and stays inside its buffers."""
    _check(all(n > 0 for n in kernel.sizes), f"sizes {kernel.sizes} are not all positive")
    _check(kernel.rows is None or 0 <= kernel.rows < len(kernel.sizes), f"{kernel.rows} axes number the rows")
    for i in range(len(kernel.nodes)):
        _verify_node(kernel, i)
    level = levels(kernel)
    _check(not ((kernel.reductions or kernel.rows is not None) and guarded(kernel)), "a guarded kernel has reductions")
    written = [s.access.buffer for s in kernel.stores] + [r.access.buffer for r in kernel.reductions]
    _check(sorted(written) == list(range(len(kernel.outputs))), "every output is written by exactly one store")
    for kind, write in [("store", s) for s in kernel.stores] + [("reduction", r) for r in kernel.reductions]:
        _check(0 <= write.value < len(kernel.nodes), f"{kind} of an unknown node")
        _verify_access(write.access, kernel.outputs, kernel.sizes, kind)
        _check(write.access.within is None, f"{kind} has a condition")
        _check(not write.access.steps, f"{kind} has a place that moves with values")
        out = kernel.outputs[write.access.buffer]
        _check(out.dtype == kernel.nodes[write.value].dtype, f"{kind} has another dtype than its buffer")
        kept = set(range(len(kernel.sizes)))
        if write.row:
            _check(kernel.rows is not None, f"{kind} of rows where there are none")
            _check(level[write.value] <= (kernel.rows or 0), f"{kind} of a row has a value of its points")
            kept = set(range(kernel.rows or 0))
            _check(not any(write.access.strides[len(kept):]), f"{kind} of a row moves along its points")
        if isinstance(write, Reduction):
            _check(write.op in REDUCTIONS, f"{write.op} is not a reduction")
            _verify_reduced(write.op, out.dtype)
            _check(all(a in kept for a in write.axes), f"reduction over axes {write.axes}")
            _check(all(write.access.strides[a] == 0 for a in write.axes), "a reduction moves along a reduced axis")
            kept -= set(write.axes)
        count = int(np.prod([kernel.sizes[a] for a in kept])) if kept else 1
        _check(count == out.size, f"{kind} writes {count} of {out.size} elements")


def _place(a: Access, name: str) -> str:
    parts = [f"{s}*i{k}" if s != 1 else f"i{k}" for k, s in enumerate(a.strides) if s]
    if a.offset or not parts:
        parts.insert(0, str(a.offset))
    return f"{name}{a.buffer}[{' + '.join(parts)}]"


def _conditions(box: Ranges, sizes: tuple[int, ...]) -> str:
    parts = []
    for k, ((low, high), n) in enumerate(zip(box, sizes, strict=True)):
        if high - low == 1 < n:
            parts.append(f"i{k} == {low}")
        elif (low, high) != (0, n):
            parts.append(f"{low} <= i{k} < {high}")
    return " and ".join(parts) or "true"


def show(kernel: Kernel) -> str:
    """The kernel as text: loops, one line per node, then what is written."""
    lines = [f"kernel for {', '.join(f'i{k} < {n}' for k, n in enumerate(kernel.sizes)) or 'one point'}"]
    if kernel.rows is not None:
        lines[0] += f"; rows along {', '.join(f'i{k}' for k in range(kernel.rows, len(kernel.sizes)))}"
    for i, n in enumerate(kernel.nodes):
        if n.op == "load":
            text = _place(n.data, "in")
            for arg, (step, _) in zip(n.args, n.data.steps, strict=True):
                text = f"{text[:-1]} + {f'{step}*' if step != 1 else ''}%{arg}]"
            if n.data.within is not None:
                text += f" where {_conditions(n.data.within, kernel.sizes)}, else 0"
        elif n.op == "index":
            text = _place(n.data, "place ")
        elif n.op == "inside":
            text = _conditions(n.data, kernel.sizes)
        elif n.op == "const":
            text = str(n.data)
        else:
            name = f"total {n.data}" if n.op == "total" else n.data if n.op == "call" else n.op
            text = f"{name} {', '.join(f'%{a}' for a in n.args)}"
        lines.append(f"  %{i}:{n.dtype.name} = {text}")
    once = {False: "", True: ", once a row"}
    lines += [f"  {_place(s.access, 'out')} = %{s.value}{once[s.row]}" for s in kernel.stores]
    for r in kernel.reductions:
        axes = ", ".join(f"i{a}" for a in r.axes) or "nothing"
        lines.append(f"  {_place(r.access, 'out')} = {r.op} over {axes} of %{r.value}{once[r.row]}")
    return "\n".join(lines)
