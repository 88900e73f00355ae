"""Which steps are launched together, and where what they hand on to each other lies.

Between two kernels that Python launches lie about two hundred nanoseconds: of arrays made and names bound. Small
kernels take less themselves, so those that follow each other are one call, with one piece of memory for all arrays
that nobody else reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from npdiff.graph import Var
from npdiff.kernels import views
from npdiff.kernels.schedule import HostStep, KernelStep, MatrixStep, Step
from npdiff.steps import nbytes

# Steps with larger results than this stay alone: what surrounds them is nothing beside them, and their memory is
# recycled. The next is how much arrays that are handed on may take together.
LARGEST, MEMORY = 1 << 18, 1 << 20
_EVEN = 64


@dataclass(frozen=True, slots=True)
class Run:
    """Steps `begin` to `end`, launched together: what they read from outside, what others read of theirs.

    `memory` bytes hold the rest: arrays at these `offsets`, and from `flags` on a byte for each step.
    """

    begin: int
    end: int
    inputs: tuple[Var, ...]
    outputs: tuple[Var, ...]
    offsets: dict[Var, int]
    memory: int

    @property
    def flags(self) -> int:
        """Where the bytes for the steps are."""
        return self.memory - (self.end - self.begin)


def _is_view(step: HostStep) -> bool:
    """Whether a step only looks at its operand in another way."""
    if isinstance(step, MatrixStep):
        return False
    eq = step.equation
    if len(eq.inputs) != 1 or len(eq.outputs) != 1 or eq.prim.multiple or eq.prim.ordered or eq.prim.dynamic:
        return False
    return views.apply(eq.prim.name, views.whole(eq.inputs[0].aval.shape), eq.params) is not None


def reads(step: Step) -> list[Var]:
    """The variables that a step reads."""
    if isinstance(step, KernelStep):
        return step.inputs
    return [a for a in step.equation.inputs if isinstance(a, Var)]


def makes(step: Step) -> list[Var]:
    """The variables that a step makes."""
    return step.outputs if isinstance(step, KernelStep) else step.equation.outputs


def views_late(steps: Sequence[Step]) -> list[Step]:
    """The same steps with views behind the kernels that do not read them, which may then run together.

    No view is moved past another call of NumPy's, which might write into what it looks at.
    """
    order: list[Step] = []
    waiting: dict[Var, HostStep] = {}

    def place(v: Var) -> None:
        step = waiting.pop(v, None)
        if step is not None:
            for a in reads(step):
                place(a)
            order.append(step)

    for step in steps:
        if isinstance(step, HostStep) and _is_view(step):
            waiting[makes(step)[0]] = step
            continue
        for v in reads(step) if isinstance(step, (KernelStep, MatrixStep)) else list(waiting):
            place(v)
        order.append(step)
    for v in list(waiting):
        place(v)
    return order


def runs(steps: Sequence[Step], dead: Sequence[Sequence[Var]], joins: Callable[[int], bool]) -> list[Run]:
    """The runs of at least two steps that `joins` holds of; `dead` are the variables each step is the last to touch."""
    found: list[Run] = []
    begin = 0
    while begin < len(steps):
        end = begin
        room = _Room()
        while end < len(steps) and joins(end) and all(nbytes(v.aval) <= LARGEST for v in makes(steps[end])):
            if not room.add(steps[end], dead[end]):
                break
            end += 1
        if end - begin > 1:
            found.append(_run(steps, dead, begin, end))
        begin = max(end, begin + 1)
    return found


def _run(steps: Sequence[Step], dead: Sequence[Sequence[Var]], begin: int, end: int) -> Run:
    made = dict.fromkeys(v for step in steps[begin:end] for v in makes(step))
    taken = dict.fromkeys(v for step in steps[begin:end] for v in reads(step) if v not in made)
    gone = {v for vs in dead[begin:end] for v in vs}
    room = _Room(gone)
    for step, last in zip(steps[begin:end], dead[begin:end], strict=True):
        room.add(step, last)
    outputs = tuple([v for v in made if v not in gone])
    return Run(begin, end, tuple(taken), outputs, room.offsets, room.size + end - begin)


class _Room:
    """Memory given to arrays from the step that makes them to the last that reads them.

    `inner` are the arrays that need any; None: all of them do.
    """

    def __init__(self, inner: set[Var] | None = None) -> None:
        self.offsets: dict[Var, int] = {}
        self.size = 0
        self._inner = inner
        self._taken: dict[Var, tuple[int, int]] = {}

    def add(self, step: Step, dead: Sequence[Var]) -> bool:
        """Find room for what a step makes, then give back that of arrays nobody reads any more; False if it is full."""
        for v in makes(step):
            if self._inner is None or v in self._inner:
                size = -(-nbytes(v.aval) // _EVEN) * _EVEN
                at = self._gap(size)
                self.offsets[v], self._taken[v] = at, (at, at + size)
                self.size = max(self.size, at + size)
        for v in dead:
            self._taken.pop(v, None)
        return self.size <= MEMORY

    def _gap(self, size: int) -> int:
        """The first place where `size` bytes are free."""
        at = 0
        for begin, end in sorted(self._taken.values()):
            if begin - at >= size:
                break
            at = max(at, end)
        return at


__all__ = ["Run", "makes", "reads", "runs", "views_late"]
