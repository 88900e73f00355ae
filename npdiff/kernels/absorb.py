"""Which arrays are never stored: everything that reads them computes the elements it needs.

A stencil reads an array at several places, and its gradient adds up several shifted arrays that are zero
outside of a window. Storing each of these costs far more than computing a product twice. So the equations
are walked from the results to the operands, counting how many points of each their readers ask for, and
then the other way, weighing the points computed twice against the memory written and read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Set
from typing import NamedTuple

from npdiff.graph import Literal, Var
from npdiff.kernels.classify import rule_of, squeezed
from npdiff.kernels.lower import Program
from npdiff.kernels.places import unfold
from npdiff.kernels.views import View

# Nanoseconds per point: a load that finds its line in the cache, an array written and read again, vector math, others.
_LOAD, _STORE, _MATH, _ARITHMETIC = 0.05, 0.15, 1.5, 0.05
# A write is not worth evaluating more often than its points, one more row or column aside.
_AGAIN = 1.25
# Nor is anything else worth more than so many evaluations of each point.
_MOST_EVALUATIONS = 8
# What one equation may pull into its kernel: equations in all, and cases among them.
_MOST_EQUATIONS = 48
_MOST_PLACEMENTS = 12
# Nanoseconds per byte of arrays that the nearest caches do not hold, and from how many bytes on that is.
_LOAD_BYTE, _STORE_BYTE, _LARGE = 0.04, 0.1, 1 << 20
# Points of an array that is small enough to be stored in any case.
_WORTH_STORING = 4096


class Reading(NamedTuple):
    """An operand of a fused equation that another one computes."""

    producer: int
    view: View
    shape: tuple[int, ...]
    share: float
    same_point: bool


def readings(program: Program, i: int) -> tuple[Reading, ...]:
    """What an equation reads of others that can be computed point by point; each view of an array once."""
    known: tuple[Reading, ...] | None = program.readings.get(i)
    if known is None:
        known = program.readings[i] = tuple(_readings(program, i))
    return known


def _readings(program: Program, i: int) -> Iterator[Reading]:
    found = program.placements.get(i)
    seen: set[tuple[Var, View, float]] = set()
    for k, a in enumerate(program.operands[i]):
        root, view = program.seen_from(a)
        if isinstance(root, Literal):
            continue
        j = program.producer.get(root)
        if j is None or not program.pointwise(j):
            continue
        share = share_of(program, i, k) if found is not None else 1.0
        if (root, view, share) in seen:
            continue
        seen.add((root, view, share))
        yield Reading(j, view, root.aval.shape, share, program.same_point(i, k))


def share_of(program: Program, i: int, k: int) -> float:
    """The share of a placement's points at which it reads operand `k`."""
    found = program.placements[i]
    shape = program.shape(i)
    if k == found.base:
        return max(0.0, 1.0 - sum(p.share(shape) for p in found.parts))
    return sum(p.share(shape) for p in found.parts if p.source == k)


def _cost(program: Program, i: int) -> float:
    """Nanoseconds of an equation by itself, at one point."""
    if i in program.placements:
        return 0.0
    if i in program.gathers:
        return _MATH  # elements from anywhere
    name = program.equations[i].prim.name
    if name == "copy":
        return 0.0
    eq = program.equations[i]
    rule = rule_of(name, eq.inputs[0].aval.dtype.kind) if eq.inputs else None
    return _MATH if rule is not None and rule.math else _ARITHMETIC


def absorbed(program: Program, running: Set[int], kept: Callable[[int], bool]) -> frozenset[int]:
    """The equations whose readers compute them; `kept` says which have to be in memory in any case."""
    points = {i: math.prod(program.shape(i)) for i in running if program.fused(i)}
    chosen, asked = _asked(program, points, kept)
    if not chosen:
        return frozenset()
    cost: dict[int, float] = {}
    cone: dict[int, frozenset[int]] = {}
    for i in sorted(points):
        pulled = {r.producer for r in readings(program, i)} & chosen
        for j in sorted(pulled, key=lambda j: len(cone[j])):
            inside = cone.get(i, frozenset([i])) | cone[j]
            cases = sum(k in program.placements for k in inside)
            if len(inside) > _MOST_EQUATIONS or cases > _MOST_PLACEMENTS or (cases and i in program.reductions):
                chosen.discard(j)
            else:
                cone[i] = inside
        cone.setdefault(i, frozenset([i]))
        loads = sum(not isinstance(program.seen_from(a)[0], Literal) for a in program.operands[i])
        cost[i] = _cost(program, i) + _LOAD * loads
        cost[i] += sum(r.share * (cost[r.producer] - _LOAD) for r in readings(program, i) if r.producer in chosen)
        if i in chosen and i in program.builds and \
                asked[i] * cost[i] > points[i] * (cost[i] + _STORE) + asked[i] * _LOAD:
            chosen.discard(i)
    return frozenset(chosen)


def _asked(program: Program, points: dict[int, int], kept: Callable[[int], bool]) -> tuple[set[int], dict[int, float]]:
    """Equations that might be absorbed, and at how many points their readers then ask for them."""
    chosen: set[int] = set()
    asked: dict[int, float] = {}
    here: dict[int, float] = {}
    elsewhere: dict[int, float] = {}
    stuck: set[int] = set()
    for i in sorted(points, reverse=True):
        size = points[i]
        wanted = here.get(i, 0.0) + elsewhere.get(i, 0.0)
        # What reads a placement and is read twice is better stored than the placement.
        cases = i in program.placements or any(r.producer in program.placements for r in readings(program, i))
        most = _AGAIN if cases else _MOST_EVALUATIONS
        if i in elsewhere and i not in stuck and wanted <= most * size and squeezed(program.shape(i)) and not kept(i):
            chosen.add(i)
            asked[i] = wanted
        evaluations = asked.get(i, float(size))
        for r in readings(program, i):
            j = r.producer
            if r.same_point and i not in chosen:
                here[j] = max(here.get(j, 0.0), evaluations * r.share)
                continue
            elsewhere[j] = elsewhere.get(j, 0.0) + evaluations * r.share
            if unfold(r.view, r.shape) is None:
                stuck.add(j)
    return chosen, asked


def recomputed(program: Program, unit: dict[int, int], roots: Callable[[int], list[tuple[Var, bool]]],
               kept: Callable[[int], bool]) -> frozenset[int]:
    """Equations that cost less computed again in every other kernel that reads them than stored for it.

    `unit` says which kernel computes an equation, `roots` what it reads from memory or of others at its own point.
    """
    loads: dict[int, set[Var]] = {}
    users: dict[int, set[int]] = {}
    apart: set[int] = set()
    for i, k in unit.items():
        for root, near in roots(i):
            j = program.producer.get(root)
            if j is None or unit.get(j) != k:
                loads.setdefault(k, set()).add(root)
                if j in unit and j is not None:
                    users.setdefault(j, set()).add(k)
                    if not near:
                        apart.add(j)
    chosen: set[int] = set()
    for j in sorted(users):
        points = math.prod(program.shape(j))
        if j not in program.builds or j in apart or points < _WORTH_STORING or kept(j):
            continue
        store, load = _traffic(program.equations[j].outputs[0])
        cost, found = 0.0, set()
        todo, seen = [j], {j}
        while todo and cost < store + load:
            i = todo.pop()
            cost += _cost(program, i)
            for root, _ in roots(i):
                p = program.producer.get(root)
                if p is not None and _inside(program, unit, p, j) and (p in chosen or not (p in users or kept(p))):
                    if p not in seen:
                        seen.add(p)
                        todo.append(p)
                    continue
                found.add(root)
        again = 0.0
        for k in users[j]:
            again += cost + sum(_traffic(v)[1] * min(1.0, v.aval.size / points) for v in found if v not in loads[k])
        new = [v for v in found if program.producer.get(v) in unit and program.producer[v] not in users]
        again += sum(_traffic(v)[0] * v.aval.size / points for v in new)
        if again < store + load * len(users[j]):
            chosen |= seen
    return frozenset(chosen)


def _inside(program: Program, unit: dict[int, int], p: int, j: int) -> bool:
    """Whether a kernel computes equation p where it computes equation j."""
    same = squeezed(program.shape(p)) == squeezed(program.shape(j))
    return p in program.builds and unit.get(p) == unit[j] and same


def _traffic(v: Var) -> tuple[float, float]:
    """Nanoseconds per element for storing an array and for reading it."""
    if v.aval.size * v.aval.dtype.itemsize < _LARGE:
        return _STORE, _LOAD
    return _STORE_BYTE * v.aval.dtype.itemsize, _LOAD_BYTE * v.aval.dtype.itemsize


def fresh_share(program: Program, i: int, together: Callable[[int, int], bool]) -> float:
    """The share of an equation's points that its kernel does not just copy; `together`: both are in one kernel."""
    share = 0.0
    while i in program.placements:
        found = program.placements[i]
        parts = sum(p.share(program.shape(i)) for p in found.parts)
        share += (1.0 - share) * parts
        if found.base is None:
            return 1.0
        root = program.seen_from(program.operands[i][found.base])[0]
        j = program.producer.get(root) if isinstance(root, Var) else None
        if j is None or not program.pointwise(j) or not together(i, j):
            return share
        i = j
    return 1.0


__all__ = ["Reading", "absorbed", "fresh_share", "readings", "recomputed", "share_of"]
