"""Graph to an ordered list of kernels and host calls.

Every equation gets a *level*. Going to a later level is what separates two equations that cannot
share a loop nest (another iteration space, a reduction's result, a host call's result); the
elementwise equations and reductions of one level and one iteration space form a group, which
becomes one kernel. Within a level kernels run first, then host calls, and host calls keep the
order they were recorded in, so no guard is overtaken by a call that might raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from npdiff.graph import Equation, Graph, Literal, Var, droppable
from npdiff.kernels import classify, views
from npdiff.kernels.loop_ir import Kernel, Node
from npdiff.kernels.lower import Group, Program
from npdiff.kernels.matrices import Operation, find
from npdiff.kernels.views import View

# A scalar expression of at most this many equations is computed again in each kernel that reads it.
INLINE_LIMIT = 16
# Beyond these a kernel is cut in two: compilation is superlinear, and every array is an argument.
EQUATION_LIMIT = 256
ARRAY_LIMIT = 64


@dataclass(slots=True)
class HostStep:
    """Call an equation's primitive on plain arrays."""

    equation: Equation


@dataclass(slots=True)
class KernelStep:
    """Run a kernel, which computes `equations`: `inputs` fill its input buffers, `outputs` its output buffers."""

    kernel: Kernel
    inputs: list[Var]
    outputs: list[Var]
    equations: list[Equation]


@dataclass(slots=True)
class MatrixStep(HostStep):
    """Run a kernel on stacks of small matrices; NumPy does the same where that cannot.

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

    Without `matrices`, there are no kernels for products and factorisations. `renders` says of a node whether
    kernels may hold it; None: all of them.
    """

    def __init__(self, graph: Graph, matrices: bool = True, renders: Renders | None = None) -> None:
        self.graph = graph
        self.outputs = {a for a in graph.outputs if isinstance(a, Var)}
        self.program = Program(graph.equations)
        # What needs no view made, by index: see `MatrixStep`.
        self.matrices: dict[int, MatrixStep] = {}
        self._matrices = matrices
        self._renders = renders
        for i, eq in enumerate(graph.equations):
            self._classify(i, eq)
        self._settle()

    def _classify(self, i: int, eq: Equation) -> None:
        program = self.program
        if len(eq.inputs) == 1 and len(eq.outputs) == 1 and not (eq.prim.ordered or eq.prim.dynamic or eq.regions):
            out = eq.outputs[0]
            root, below = program.seen_from(eq.inputs[0])
            view = views.apply(eq.prim.name, below, eq.params) if not eq.prim.multiple else None
            if view is not None and view.shape == out.aval.shape and root.aval.dtype == out.aval.dtype:
                program.views[out] = (root, view)
                return
        build = classify.elementwise(eq)
        if build is not None and self._renders is not None and not all(map(self._renders, classify.nodes(eq, build))):
            return
        reduction = classify.reduction(eq) if build is None else None
        if build is not None:
            program.builds[i] = build
        elif reduction is not None:
            program.reductions[i] = reduction
        elif self._matrices and (found := find(eq, program.seen_from)) is not None:
            operation, roots, seen = found
            self.matrices[i] = MatrixStep(Equation(eq.prim, roots, eq.params, eq.outputs, eq.source), operation, seen)

    def _unfused(self, i: int) -> HostStep:
        """The step of an equation that is no part of a fused kernel."""
        return self.matrices.get(i) or HostStep(self.program.equations[i])

    def _fused(self, i: int) -> bool:
        return i in self.program.builds or i in self.program.reductions

    def _space(self, i: int) -> tuple[int, ...]:
        """The iteration space of a fused equation."""
        return classify.squeezed(self._shape(i))

    def _shape(self, i: int) -> tuple[int, ...]:
        eq = self.program.equations[i]
        return (eq.inputs[0] if i in self.program.reductions else eq.outputs[0]).aval.shape

    def _roots(self, i: int) -> list[tuple[Var, bool]]:
        """Variables a fused equation reads, and whether each can be read in the same loop nest."""
        found = self._known_roots.get(i)
        if found is None:
            found = self._known_roots[i] = list(self._find_roots(i))
        return found

    def _find_roots(self, i: int) -> Iterator[tuple[Var, bool]]:
        shape = self._shape(i)
        for a in self.program.equations[i].inputs:
            root = self.program.seen_from(a)[0]
            if isinstance(root, Literal):
                continue
            j = self.program.producer.get(root)
            computed = j is not None and j in self.program.builds
            near = computed and (j in self.inlined or self.program.in_place(a, shape))
            yield root, near

    def _settle(self) -> None:
        """Group; where a group is too small to be worth a kernel, leave it to NumPy and group again."""
        while True:
            self._find_inlined()
            self._find_needed()
            self._find_levels()
            self._sink()
            self.groups = self._group()
            small = [g for g in self.groups if not self._worthwhile(g)]
            if not small:
                return
            for i in [i for g in small for i in g]:
                self.program.builds.pop(i, None)
                self.program.reductions.pop(i, None)

    def _find_inlined(self) -> None:
        cone: dict[int, int] = {}
        for i in self.program.builds:
            if self._space(i):
                continue
            inputs = [self.program.producer.get(a) for a in self.program.equations[i].inputs if isinstance(a, Var)]
            cone[i] = 1 + sum(cone.get(j, 0) for j in inputs if j is not None)
        self.inlined = frozenset(i for i, n in cone.items() if n <= INLINE_LIMIT)
        self._known_roots: dict[int, list[tuple[Var, bool]]] = {}

    def _find_needed(self) -> None:
        """Which equations have to run, and which variables have to be in memory."""
        needed = set(self.outputs)
        running: set[int] = set()
        wanted = set(self.outputs)
        for i in range(len(self.program.equations) - 1, -1, -1):
            eq = self.program.equations[i]
            if not any(v in needed for v in eq.outputs) and droppable(eq, self.graph.constants):
                continue
            running.add(i)
            if not self._fused(i):
                inputs = [a for a in self._unfused(i).equation.inputs if isinstance(a, Var)]
                needed.update(inputs)
                wanted.update(inputs)
                continue
            for root, _ in self._roots(i):
                j = self.program.producer.get(root)
                # A scalar that is computed again wherever it is read need not run by itself.
                if j is None or j not in self.inlined or not self._space(i):
                    needed.add(root)
                elif j in self.inlined:
                    needed.update(self._leaves(j))
        self.running = running
        self.wanted = wanted

    def _leaves(self, i: int) -> Iterator[Var]:
        """What an inlined scalar expression reads from memory."""
        for root, _ in self._roots(i):
            j = self.program.producer.get(root)
            if j is not None and j in self.inlined:
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
            if i not in self.program.builds or i not in self.running or i in pinned or i in self.inlined:
                continue
            reads = readers.get(i, [])
            if reads and all(near for _, near in reads):
                self.level[i] = max(self.level[i], min(self.level[r] for r, _ in reads))

    def _group(self) -> list[list[int]]:
        groups: dict[tuple[int, tuple[int, ...]], list[list[int]]] = {}
        arrays: dict[tuple[int, tuple[int, ...]], set[Var]] = {}
        for i in sorted(self.running):
            if not self._fused(i):
                continue
            where = self.level[i], self._space(i)
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

    def _worthwhile(self, group: list[int]) -> bool:
        """Whether one kernel beats NumPy's calls, which cost more than ours but run single operations as fast."""
        size = int(np.prod(self._shape(group[0])))
        cost = sum(classify.weight(self.program.equations[i], size) for i in group)
        return cost >= (2 if size > 4096 else 1 if size > 1 else 3)

    def steps(self) -> list[Step]:
        """The schedule."""
        program = self.program
        of = {i: k for k, group in enumerate(self.groups) for i in group}
        wanted = set(self.wanted)
        for i in sorted(self.running):
            if not self._fused(i):
                continue
            for root, near in self._roots(i):
                j = program.producer.get(root)
                inside = j is not None and (of.get(j) == of[i] or (j in self.inlined))
                if not (near and inside):
                    wanted.add(root)
                if near and j in self.inlined and of.get(j) != of[i]:
                    wanted.update(self._leaves(j))
        timed: list[tuple[int, int, int, Step]] = []
        for members in self.groups:
            group = Group(program, members, self.inlined, wanted)
            if not group.stored:
                continue
            kernel, inputs = group.lower()
            step = KernelStep(kernel, inputs, group.stored, [program.equations[i] for i in members])
            timed.append((self.level[members[0]], 0, members[0], step))
        for i in sorted(self.running):
            if not self._fused(i):
                timed.append((self.level[i], 1, i, self._unfused(i)))
        timed.sort(key=lambda t: t[:3])
        return [t[3] for t in timed]


def schedule(graph: Graph, matrices: bool = True, renders: Renders | None = None) -> list[Step]:
    """Order the work of a simplified graph: kernels, for matrices too if wanted, and host calls between them.

    What holds a node that `renders` refuses is not put into a kernel.
    """
    return Scheduler(graph, matrices, renders).steps()
