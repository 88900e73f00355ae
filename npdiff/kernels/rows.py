"""Kernels that go over the points of a row several times, and what they do each time.

A total needs all points of its row before anything computed from it can be: that makes *phases*, each a
loop over the row's points. What an earlier phase has computed is put aside for a later one where computing
it again would cost more than reading it.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field, replace

from npdiff.kernels.loop_ir import Access, Kernel, Node, Reduction, Store, levels

# Rows of at most so many points are short: neighbouring rows are worked on together, one in each lane.
SHORT = 32
# What is put aside of a row, point by point, lies on the stack.
LONGEST = 4096
# A value is computed again if that takes at most so many operations.
_AGAIN = 3
_COSTS = {"const": 0, "load": 1, "total": 0, "call": 10, "div": 4, "sqrt": 4}


def in_rows(kernel: Kernel, rows: int) -> Kernel:
    """The kernel with its first axes numbering rows: what is reduced over all of a row becomes a total."""
    points = set(range(rows, len(kernel.sizes)))
    nodes = list(kernel.nodes)
    stores, reductions = list(kernel.stores), []
    known = {(n.data, n.args[0]): k for k, n in enumerate(nodes) if n.op == "total"}
    for r in kernel.reductions:
        if r.row or not points <= set(r.axes):
            reductions.append(r)
            continue
        total = known.setdefault((r.op, r.value), len(nodes))
        if total == len(nodes):
            nodes.append(Node("total", nodes[r.value].dtype, (r.value,), r.op))
        axes = tuple([a for a in r.axes if a < rows])
        if axes:
            reductions.append(Reduction(r.op, total, axes, r.access, row=True))
        else:
            stores.append(Store(total, r.access, row=True))
    return replace(kernel, nodes=tuple(nodes), stores=tuple(stores), reductions=tuple(reductions), rows=rows)


@dataclass(slots=True)
class Phase:
    """One loop over a row's points: values computed and values read that were put aside, then what becomes of them.

    `nodes` and `totals` are positions of nodes, `stores` and `reductions` of the kernel's.
    """

    nodes: list[int] = field(default_factory=list)
    aside: list[int] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)
    stores: list[int] = field(default_factory=list)
    reductions: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """The phases of a kernel; `rows[k]`, the values of a row that are computed before phase k; what is put aside."""

    phases: list[Phase]
    rows: list[list[int]]
    kept: set[int]


def live(kernel: Kernel) -> list[int]:
    """The nodes that something is written from, in order."""
    found = {s.value for s in kernel.stores} | {r.value for r in kernel.reductions}
    for n in range(len(kernel.nodes) - 1, -1, -1):
        if n in found:
            found.update(kernel.nodes[n].args)
    return sorted(found)


def plan(kernel: Kernel, ready: Set[Access] = frozenset()) -> Plan:
    """Which phase computes what; loads that are `ready` cost nothing, however often they are done."""
    nodes, rows = kernel.nodes, kernel.rows or 0
    level = levels(kernel)
    order = live(kernel)
    phase = [0] * len(nodes)
    cost = [0] * len(nodes)
    for n in order:
        args = nodes[n].args
        phase[n] = max((phase[a] for a in args), default=0) + (nodes[n].op == "total")
        if level[n] > rows and not (nodes[n].op == "load" and nodes[n].data in ready):
            cost[n] = _COSTS.get(nodes[n].op, 1) + sum(cost[a] for a in args)
    found = Plan([Phase() for _ in range(max((phase[n] for n in order), default=0) + 1)], [], set())
    found.rows = [[n for n in order if level[n] == rows and phase[n] == p and nodes[n].op not in ("const", "total")]
                  for p in range(len(found.phases))]
    for n in order:
        if nodes[n].op == "total":
            found.phases[phase[n] - 1].totals.append(n)
    for k, s in enumerate(kernel.stores):
        if not s.row:
            found.phases[phase[s.value]].stores.append(k)
    for k, r in enumerate(kernel.reductions):
        if not r.row:
            found.phases[phase[r.value]].reductions.append(k)
    done: set[int] = set()
    for here in found.phases:
        todo = [nodes[t].args[0] for t in here.totals]
        todo += [kernel.stores[k].value for k in here.stores] + [kernel.reductions[k].value for k in here.reductions]
        seen: set[int] = set()
        while todo:
            n = todo.pop()
            if n in seen or level[n] <= rows:
                continue
            seen.add(n)
            if n in done and cost[n] > _AGAIN:
                here.aside.append(n)
            else:
                here.nodes.append(n)
                todo += nodes[n].args
        here.nodes.sort()
        found.kept.update(here.aside)
        done.update(here.nodes)
    return found


__all__ = ["LONGEST", "SHORT", "Phase", "Plan", "in_rows", "live", "plan"]
