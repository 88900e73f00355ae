"""Which groups become one kernel with rows: those that read what an earlier one has reduced, in the same row.

A softmax is three groups, each of which waits for a reduction of the one before. As one kernel it reads
every row once, and nothing between is stored. A group joins an earlier one if it finds all that it reads of
it at the same row, which lowering both together tells, and if nothing that has to run between the two waits
for the earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod

from npdiff.graph import Var
from npdiff.kernels.classify import squeezed
from npdiff.kernels.loop_ir import Node, collapse
from npdiff.kernels.lower import Group, Program
from npdiff.kernels.render_rows import narrow, renderable
from npdiff.kernels.rows import LONGEST, SHORT

# Points up to which a matrix stays in the cache while its columns are walked.
_CACHED = 1 << 16

Rows = tuple[int, ...] | None


@dataclass(slots=True)
class Unit:
    """Equations of one kernel, or one host call; `reads` are the units it waits for. `rows`: see `lower.Group`.

    Its equations have levels from `level` to `last`.
    """

    members: list[int]
    fused: bool
    level: int
    last: int
    space: tuple[int, ...]
    reads: set[int]
    rows: Rows = None


class Merger:
    """Finds the units of a schedule, given groups of fused equations and the host calls in their order.

    `needs` says what an equation reads from memory, `level` when it runs, `cone` what a group computes, `renders`
    whether there is a way to write a node, `most` how many equations and arrays a kernel may have.
    """

    def __init__(self, program: Program, groups: list[list[int]], calls: Iterable[int],
                 needs: Callable[[int], Iterator[Var]], level: dict[int, int], cone: Callable[[list[int]], set[int]],
                 renders: Callable[[Node], bool] | None, most: tuple[int, int]) -> None:
        self.program = program
        self.cone = cone
        self.renders = renders
        self.most_equations, self.most_arrays = most
        self.units: dict[int, Unit] = {}
        for group in groups:
            space = squeezed(program.shape(group[0]))
            self.units[len(self.units)] = Unit(group, True, level[group[0]], level[group[0]], space, set())
        for i in calls:
            self.units[len(self.units)] = Unit([i], False, level[i], level[i], (), set())
        of = {i: k for k, unit in self.units.items() for i in unit.members}
        before: int | None = None
        for k, unit in self.units.items():
            for i in unit.members:
                unit.reads.update(of[j] for v in needs(i) if (j := program.producer.get(v)) in of and of[j] != k)
            if not unit.fused:
                unit.reads |= set() if before is None else {before}
                before = k

    def merge(self) -> None:
        """Join units as long as any can be."""
        for k in sorted(self.units, key=lambda k: (self.units[k].level, not self.units[k].fused)):
            while k in self.units and self.units[k].fused and (found := self._partner(k)) is not None:
                k = self._join(*found, k)

    def _partner(self, k: int) -> tuple[int, Rows] | None:
        unit = self.units[k]
        for j in sorted(unit.reads, key=lambda j: -self.units[j].level):
            if self.units[j].fused:
                for rows in self._rows(self.units[j], unit):
                    if not self._between(j, k) and self._together(self.units[j], unit, rows):
                        return j, rows
        return None

    def _rows(self, first: Unit, second: Unit) -> list[tuple[int, ...]]:
        """The axes that might number the rows of both."""
        space = first.space
        known = {u.rows for u in (first, second) if u.rows is not None}
        if len(known) > 1 or (second.rows is not None and second.space != space):
            return []
        if not known:
            for i in first.members:
                what = self.program.reductions.get(i)
                if what is not None:
                    lengths = enumerate(self.program.shape(i))
                    kept = [a not in what.axes for a, n in lengths if n != 1]
                    known.add(tuple([k for k, keep in enumerate(kept) if keep]))
        found = []
        for rows in sorted(known):
            count = prod([n for k, n in enumerate(space) if k not in rows])
            trailing = rows == tuple(range(len(rows)))
            if second.space in (space, tuple([space[k] for k in rows])) and 1 < count <= LONGEST \
                    and (trailing or count <= SHORT or prod(space) <= _CACHED):
                found.append(rows)
        return found

    def _together(self, first: Unit, second: Unit, rows: Rows) -> bool:
        """Whether the equations of both can be lowered together and rendered."""
        members = sorted(first.members + second.members)
        cone = self.cone(members)
        if len(cone) > self.most_equations or any(i in self.program.placements for i in cone):
            return False
        outputs = {v for i in members for v in self.program.equations[i].outputs}
        kernel, inputs = Group(self.program, members, outputs, rows).lower()
        if outputs & set(inputs) or len(inputs) + len(outputs) > self.most_arrays:
            return False
        kernel = collapse(kernel)
        if not renderable(kernel) or narrow(kernel):
            return False
        return self.renders is None or all(map(self.renders, kernel.nodes))

    def _between(self, first: int, last: int) -> bool:
        """Whether something reads the first and is read by the last, by whatever way but the direct one."""
        floor = self.units[first].level
        todo = [k for k in self.units[last].reads if k != first]
        seen = set(todo)
        while todo:
            k = todo.pop()
            if k == first:
                return True
            if self.units[k].last < floor:
                continue
            todo += self.units[k].reads - seen
            seen |= self.units[k].reads
        return False

    def _join(self, first: int, rows: Rows, second: int) -> int:
        one, other = self.units[first], self.units.pop(second)
        one.members = sorted(one.members + other.members)
        one.reads = (one.reads | other.reads) - {first, second}
        one.level, one.last = min(one.level, other.level), max(one.last, other.last)
        one.rows = rows
        for unit in self.units.values():
            if second in unit.reads:
                unit.reads = (unit.reads - {second}) | ({first} if unit is not one else set())
        return first


def levels(units: dict[int, Unit]) -> dict[int, int]:
    """When each unit runs: a kernel after all that it reads; a host call in turn, after the kernels of its level."""
    found: dict[int, int] = {}
    # Every unit waits for each one at most once.
    most = len(units) + sum(len(unit.reads) for unit in units.values())
    for start in units:
        todo = [start]
        while todo:
            k = todo[-1]
            if len(todo) > most:
                raise AssertionError("units wait for each other")
            waiting = [j for j in units[k].reads if j not in found]
            if k in found or not waiting:
                todo.pop()
                found[k] = max([found[j] + units[k].fused for j in units[k].reads], default=0)
            todo += waiting
    return found


__all__ = ["Merger", "Unit", "levels"]
