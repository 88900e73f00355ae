"""Graph to an ordered list of kernels and host calls.

Every equation gets a *level*. Going to a later level is what separates two equations that cannot
share a loop nest (another iteration space, a reduction's result, a host call's result); the
elementwise equations and reductions of one level and one iteration space form a group, which
becomes one kernel. Within a level kernels run first, then host calls, and host calls keep the
order they were recorded in, so no guard is overtaken by a call that might raise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from npdiff.graph import Equation, Graph, Literal, Var, droppable
from npdiff.kernels import classify, views
from npdiff.kernels.absorb import absorbed, fresh_share, readings, recomputed, share_of
from npdiff.kernels.gathers import gather
from npdiff.kernels.loop_ir import Kernel, Node, collapse, verify
from npdiff.kernels.lower import Group, Program
from npdiff.kernels.matrices import Operation, find
from npdiff.kernels.merge import Merger, levels
from npdiff.kernels.pieces import Piece, TooMany, split
from npdiff.kernels.placements import placement
from npdiff.kernels.simplify import window
from npdiff.kernels.views import View

# A scalar expression of at most this many equations is computed again in each kernel that reads it.
INLINE_LIMIT = 16
# Beyond these a kernel is cut in two: compilation is superlinear, and every array is an argument.
EQUATION_LIMIT = 256
ARRAY_LIMIT = 64
# Pieces of a guarded kernel, each of which is compiled.
PIECE_LIMIT = 48
# What a kernel with rows holds.
_TOTAL = Node("total", np.dtype("f8"), (0,), "add")


@dataclass(slots=True)
class HostStep:
    """Call an equation's primitive on plain arrays."""

    equation: Equation


@dataclass(slots=True)
class KernelStep:
    """Run a kernel, which computes `equations`: `inputs` fill its input buffers, `outputs` its output buffers.

    `loose` is the kernel before its axes were merged, `pieces` what `pieces.split` cuts it into.
    """

    kernel: Kernel
    inputs: list[Var]
    outputs: list[Var]
    equations: list[Equation]
    loose: Kernel
    pieces: list[Piece]


@dataclass(slots=True)
class MatrixStep(HostStep):
    """Run a kernel on matrices; NumPy does the same where that cannot.

    `equation` reads the arrays below the operands, of which these are `views`.
    """

    operation: Operation
    views: list[View]

    @property
    def inputs(self) -> list[Var]:
        """The arrays that are read."""
        return [a for a in self.equation.inputs if isinstance(a, Var)]

    @property
    def outputs(self) -> list[Var]:
        """The arrays that are made."""
        return self.equation.outputs


Step = HostStep | KernelStep
# Whether a renderer of kernels has a way to write a node.
Renders = Callable[[Node], bool]


class Scheduler:
    """Decides, for one simplified graph, which equations share kernels and when each step runs.

    Without `matrices`, there are no kernels for products and factorisations; with `gathers`, kernels pick elements by
    arrays of integers. `renders` says of a node whether kernels may hold it; None: all of them.
    """

    def __init__(self, graph: Graph, matrices: bool = True, gathers: bool = False,
                 renders: Renders | None = None) -> None:
        self.graph = graph
        self.outputs = {a for a in graph.outputs if isinstance(a, Var)}
        self.program = Program(graph.equations, graph.constants)
        # What needs no view made, by index: see `MatrixStep`.
        self.matrices: dict[int, MatrixStep] = {}
        self._matrices = matrices
        self._gathers = gathers
        self._renders = renders
        # Reductions that read their operand from memory: what computes it has cases, which reductions do not go with.
        self._late: set[int] = set()
        moved: dict[Var, Var] = {}
        for i, eq in enumerate(graph.equations):
            self.program.operands[i] = [moved.get(a, a) if isinstance(a, Var) else a for a in eq.inputs]
            self._classify(i, eq)
            self._move(i, moved)
        self._settle()

    def _move(self, i: int, moved: dict[Var, Var]) -> None:
        """Whatever has become most of another array is read from there, so that it need not be stored itself."""
        program = self.program
        found = program.placements.get(i)
        if found is None or found.base is None or share_of(program, i, found.parts[0].source) < 0.5:
            return
        if isinstance(program.seen_from(program.operands[i][found.base])[0], Literal):
            return  # an array between zeros, which its readers do without
        out, v = program.equations[i].outputs[0], program.equations[i].inputs[found.parts[0].source]
        at = window(program.equations[i])
        if isinstance(v, Var) and v not in self.outputs and at is not None and v.aval.shape == at.shape \
                and v.aval.dtype == out.aval.dtype:
            moved[v] = Var(v.aval)
            program.views[moved[v]] = (out, at)

    def _classify(self, i: int, eq: Equation) -> None:
        program = self.program
        if len(eq.inputs) == 1 and len(eq.outputs) == 1 and not (eq.prim.ordered or eq.prim.dynamic or eq.regions):
            out = eq.outputs[0]
            root, below = program.below(program.operands[i][0])
            view = views.apply(eq.prim.name, below, eq.params) if not eq.prim.multiple else None
            if view is not None and view.shape == out.aval.shape and root.aval.dtype == out.aval.dtype:
                program.views[out] = (root, view)
                return
        if self._gathers and self._gathered(i, eq):
            return
        build = classify.elementwise(eq)
        if build is not None and self._renders is not None and not all(map(self._renders, classify.nodes(eq, build))):
            return
        reduction = classify.reduction(eq) if build is None else None
        if build is not None:
            program.builds[i] = build
        elif reduction is not None:
            program.reductions[i] = reduction
        elif (placed := placement(eq)) is not None:
            program.placements[i] = placed
        elif self._matrices and (found := find(eq, program.below)) is not None:
            operation, roots, seen = found
            self.matrices[i] = MatrixStep(Equation(eq.prim, roots, eq.params, eq.outputs, eq.source), operation, seen)

    def _gathered(self, i: int, eq: Equation) -> bool:
        root, below = self.program.below(self.program.operands[i][0]) if eq.inputs else (None, None)
        found = gather(eq, below) if isinstance(root, Var) else None
        if found is None or not isinstance(root, Var):
            return False
        self.program.gathers[i], self.program.tables[i] = found, root
        del self.program.operands[i][0]
        return True

    def _unfused(self, i: int) -> HostStep:
        """The step of an equation that is no part of a fused kernel."""
        return self.matrices.get(i) or HostStep(self.program.equations[i])

    def _fused(self, i: int) -> bool:
        return self.program.fused(i)

    def _space(self, i: int) -> tuple[int, ...]:
        """The iteration space of a fused equation."""
        return classify.squeezed(self.program.shape(i))

    def _roots(self, i: int) -> list[tuple[Var, bool]]:
        """Variables a fused equation reads, and whether each can be read in the same loop nest.

        A scalar that is computed wherever it is read need not run by itself: what it reads is read instead.
        """
        known = self._known_roots.get(i)
        if known is not None:
            return known
        program = self.program
        found: list[tuple[Var, bool]] = []
        for k, a in enumerate(program.operands[i]):
            root = program.root(a)
            if isinstance(root, Literal):
                continue
            j = program.producer.get(root)
            if j is None or not program.pointwise(j):
                found.append((root, False))
            elif j in program.absorbed:
                here = i not in self._late and program.same_point(i, k)
                found += [(v, near and here) for v, near in self._roots(j)]
            elif j in program.inlined and self._space(i):
                found += [(v, False) for v in self._leaves(j)]
            else:
                found.append((root, i not in self._late and program.same_point(i, k)))
        if i in program.tables:
            found.append((program.tables[i], False))
        if len(found) > 1:
            found = list(dict.fromkeys(found))
        self._known_roots[i] = found
        return found

    def _settle(self) -> None:
        """Group; what is not worth a kernel, or has too many cases, is left to NumPy, and all is grouped again."""
        program = self.program
        while True:
            self._known_roots: dict[int, list[tuple[Var, bool]]] = {}
            self._find_inlined()
            program.absorbed = frozenset()
            self._find_needed()
            program.absorbed = absorbed(program, self.running, self._kept())
            self._arrange(anew=bool(program.absorbed))
            again = self._recomputed()
            if again:
                program.absorbed |= again
                self._arrange(anew=True)
            given_up = {i for g in self.groups if not self._worthwhile(g) for i in g}
            given_up |= self._only_copied()
            if not given_up and not self._part():
                given_up = self._lower()
                if not given_up:
                    return
            program.leave(given_up)

    def _arrange(self, anew: bool) -> None:
        """Put what runs into kernels and in order; `anew`: what is absorbed has changed."""
        if anew:
            self._known_roots = {}
            self._find_needed()
        self._find_levels()
        self._sink()
        self._merge()

    def _recomputed(self) -> frozenset[int]:
        """What is better computed in every kernel that reads it than stored by one of them."""
        unit = {i: k for k, u in self.units.items() if u.fused for i in u.members}
        return recomputed(self.program, unit, self._roots, self._kept())

    def _kept(self) -> Callable[[int], bool]:
        """Whether an equation's result has to be in memory: a result, or read by a host call or for a scalar.

        A scalar is computed wherever it is read, which would compute what it reads as often.
        """
        program = self.program
        pinned = {program.producer[v] for v in self.outputs if v in program.producer}
        for i in self.running:
            if not self._fused(i):
                pinned.update(program.producer[a] for a in self._unfused(i).equation.inputs if a in program.producer)
        for i in program.inlined:
            pinned.update(r.producer for r in readings(program, i))
        pinned.update(program.producer[v] for v in program.tables.values() if v in program.producer)
        return lambda i: i in pinned or i in program.inlined \
            or not droppable(program.equations[i], self.graph.constants)

    def _cone(self, group: list[int]) -> set[int]:
        """All equations that a group computes."""
        found = set(group)
        todo = list(group)
        while todo:
            for r in readings(self.program, todo.pop()):
                if r.producer in self.program.absorbed and r.producer not in found:
                    found.add(r.producer)
                    todo.append(r.producer)
        return found

    def _only_copied(self) -> set[int]:
        """The writes of groups that would copy most of an array for the sake of small parts of it."""
        program = self.program
        if not program.placements:
            return set()
        of = {i: k for k, group in enumerate(self.groups) for i in group}
        given_up: set[int] = set()

        def together(i: int, j: int) -> bool:
            return j in program.absorbed or of.get(i, -1) == of.get(j)

        for group in self.groups:
            if all(i in program.placements for i in group) \
                    and max(fresh_share(program, i, together) for i in group) < 0.5:
                given_up |= {i for i in self._cone(group) if i in program.placements}
        return given_up

    def _part(self) -> bool:
        """Move reductions out of kernels that have cases; True if there were any."""
        program = self.program
        late = set()
        for group in self.groups:
            reductions = [i for i in group if i in program.reductions]
            if reductions and any(i in program.placements for i in self._cone(group)):
                late.update(reductions)
        self._late |= late
        return bool(late)

    def _find_inlined(self) -> None:
        self.program.inlined = frozenset()
        cone: dict[int, int] = {}
        for i in self.program.builds:
            if self._space(i):
                continue
            inputs = [self.program.producer.get(a) for a in self.program.equations[i].inputs if isinstance(a, Var)]
            cone[i] = 1 + sum(cone.get(j, 0) for j in inputs if j is not None)
        self.program.inlined = frozenset(i for i, n in cone.items() if n <= INLINE_LIMIT)

    def _find_needed(self) -> None:
        """Which equations have to run, and which variables have to be in memory."""
        needed = set(self.outputs)
        running: set[int] = set()
        wanted = set(self.outputs)
        for i in range(len(self.program.equations) - 1, -1, -1):
            eq = self.program.equations[i]
            if needed.isdisjoint(eq.outputs) and droppable(eq, self.graph.constants):
                continue
            running.add(i)
            if not self._fused(i):
                inputs = [a for a in self._unfused(i).equation.inputs if isinstance(a, Var)]
                needed.update(inputs)
                wanted.update(inputs)
                continue
            needed.update([root for root, _ in self._roots(i)])
        self.running = running
        self.wanted = wanted

    def _leaves(self, i: int) -> Iterator[Var]:
        """What an inlined scalar expression reads from memory."""
        for root, _ in self._roots(i):
            j = self.program.producer.get(root)
            if j is not None and j in self.program.inlined:
                yield from self._leaves(j)
            else:
                yield root

    def _find_levels(self) -> None:
        level: dict[int, int] = {}
        producer = self.program.producer
        last = 0
        for i in range(len(self.program.equations)):
            if self._fused(i):
                at = 0
                for root, near in self._roots(i):
                    j = producer.get(root)
                    if j is not None:
                        at = max(at, level[j] + (0 if near else 1))
                level[i] = at
            elif i in self.running:
                for a in self._unfused(i).equation.inputs:
                    if isinstance(a, Var) and a in producer:
                        last = max(last, level[producer[a]])
                level[i] = last
            else:
                # A view nobody runs: whoever reads it reads what lies below.
                level[i] = 0
        self.level = level

    def _sink(self) -> None:
        """Move an elementwise equation to the kernel that alone reads it, so it need not be stored."""
        readers: dict[int, list[tuple[int, bool]]] = {}
        pinned: set[int] = set()
        for i in range(len(self.program.equations)):
            if i not in self.running:
                continue
            if self._fused(i):
                for root, near in self._roots(i):
                    if root in self.program.producer:
                        readers.setdefault(self.program.producer[root], []).append((i, near))
            else:
                pinned.update(self.program.producer[a] for a in self._unfused(i).equation.inputs
                              if a in self.program.producer)
        pinned.update(self.program.producer[v] for v in self.outputs if v in self.program.producer)
        for i in range(len(self.program.equations) - 1, -1, -1):
            if not self.program.pointwise(i) or i not in self.running or i in pinned or i in self.program.inlined:
                continue
            reads = readers.get(i, [])
            if reads and all(near for _, near in reads):
                self.level[i] = max(self.level[i], min(self.level[r] for r, _ in reads))

    def _group(self) -> list[list[int]]:
        groups: dict[tuple[int, tuple[int, ...], bool], list[list[int]]] = {}
        arrays: dict[tuple[int, tuple[int, ...], bool], set[Var]] = {}
        for i in sorted(self.running):
            if not self._fused(i):
                continue
            where = self.level[i], self._space(i), i in self._late
            touched = {root for root, near in self._roots(i) if not near}
            if i in self.program.reductions:
                touched.update(self.program.equations[i].outputs)
            parts = groups.setdefault(where, [[]])
            seen = arrays.get(where, set()) | touched
            if parts[-1] and (len(parts[-1]) >= EQUATION_LIMIT or len(seen) > ARRAY_LIMIT):
                parts.append([])
                seen = touched
            parts[-1].append(i)
            arrays[where] = seen
        return [p for parts in groups.values() for p in parts]

    def _needs(self, i: int) -> Iterator[Var]:
        """What a running equation reads from memory, if it runs by itself."""
        if not self._fused(i):
            yield from [a for a in self._unfused(i).equation.inputs if isinstance(a, Var)]
            return
        for root, _ in self._roots(i):
            j = self.program.producer.get(root)
            yield root
            if j is not None and j in self.program.inlined:
                yield from self._leaves(j)

    def _merge(self) -> None:
        """Put equations that share a loop nest together."""
        calls = [i for i in sorted(self.running) if not self._fused(i)]
        merger = Merger(self.program, self._group(), calls, self._needs, self.level, self._cone, self._renders,
                        (EQUATION_LIMIT, ARRAY_LIMIT))
        if self._renders is None or self._renders(_TOTAL):
            merger.merge()
        self.units = merger.units
        self.groups = [unit.members for unit in self.units.values() if unit.fused]

    def _worthwhile(self, group: list[int]) -> bool:
        """Whether one kernel beats NumPy's calls, which cost more than ours but run single operations as fast."""
        size = max([math.prod(self.program.shape(i)) for i in group])
        cone = self._cone(group)
        cost = sum(classify.weight(self.program.equations[i], size) for i in cone)
        moves = all(i in self.program.placements for i in cone)
        return cost >= (2 if size > 4096 or moves else 1 if size > 1 else 3)

    def _lower(self) -> set[int]:
        """Lower all groups to kernels; the equations of those that have too many cases."""
        program = self.program
        of = {i: k for k, unit in self.units.items() for i in unit.members}
        wanted = set(self.wanted)
        for i in sorted(self.running):
            if not self._fused(i):
                continue
            for root, near in self._roots(i):
                j = program.producer.get(root)
                if j is not None and of.get(j) == of[i]:
                    continue
                if not (near and j in program.inlined):
                    wanted.add(root)
                if near and j in program.inlined:
                    wanted.update(v for v in self._leaves(j) if of.get(program.producer.get(v, -1)) != of[i])
        self._kernels: dict[int, KernelStep] = {}
        for k, unit in self.units.items():
            if not unit.fused:
                continue
            group = Group(program, unit.members, wanted, unit.rows)
            if not group.stored:
                continue
            loose, inputs = group.lower()
            kernel = collapse(loose)
            verify(kernel)
            try:
                pieces = split(kernel, PIECE_LIMIT)
            except TooMany:
                return {i for i in self._cone(unit.members) if i in program.placements}
            equations = [program.equations[i] for i in sorted(self._cone(unit.members))]
            self._kernels[k] = KernelStep(kernel, inputs, group.stored, equations, loose, pieces)
        return set()

    def steps(self) -> list[Step]:
        """The schedule."""
        level = levels(self.units)
        timed: list[tuple[int, bool, int, Step]] = []
        for k, unit in self.units.items():
            if not unit.fused or k in self._kernels:
                step = self._kernels[k] if unit.fused else self._unfused(unit.members[0])
                timed.append((level[k], not unit.fused, unit.members[0], step))
        timed.sort(key=lambda t: t[:3])
        return [t[3] for t in timed]


def schedule(graph: Graph, matrices: bool = True, gathers: bool = False, renders: Renders | None = None) -> list[Step]:
    """Order the work of a simplified graph: kernels, and host calls between them.

    Without `matrices`, products and factorisations are host calls, without `gathers` so are indices that are arrays.
    What holds a node that `renders` refuses is not put into a kernel.
    """
    return Scheduler(graph, matrices, gathers, renders).steps()
