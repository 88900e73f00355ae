"""Which writes happen in place: an array is copied only where its old value may still be seen.

A write may take over its first operand if that is an array which this graph made and which nothing
reads any more, neither by its own name nor through what may be a view of it. So that this happens more
often, kernels that read the old value run before the write, and small parts of it are put aside.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from npdiff.graph import Equation, Var
from npdiff.kernels.schedule import HostStep, KernelStep, Step
from npdiff.kernels.simplify import window


@dataclass(slots=True, eq=False)
class _Memory:
    """Variables that may share memory, of those still to be read, and whether nobody else knows that memory."""

    ours: bool
    alive: set[Var] = field(default_factory=set)


def _makes(eq: Equation) -> bool:
    """Whether a host call's result is always an array of its own."""
    return len(eq.outputs) == 1 and (eq.prim.name == "copy" or eq.prim.call is eq.prim.ufunc or _writes(eq))


def _writes(eq: Equation) -> bool:
    return eq.prim.name == "setitem" and window(eq) is not None


def _reads(step: Step) -> list[Var]:
    if isinstance(step, KernelStep):
        return step.inputs
    return [a for a in step.equation.inputs if isinstance(a, Var)]


def _makes_all(step: Step) -> list[Var]:
    """The arrays of its own that a step makes."""
    if isinstance(step, KernelStep):
        return step.outputs
    return step.equation.outputs if _makes(step.equation) else []


def readers_first(steps: Sequence[Step], outputs: Set[Var]) -> tuple[list[Step], frozenset[Var]]:
    """The steps with those that read what is about to be written into before the write, and the parts to be copied."""
    readers: dict[Var, list[int]] = {}
    pending: set[Var] = set()
    for k, step in enumerate(steps):
        for v in dict.fromkeys(_reads(step)):
            readers.setdefault(v, []).append(k)
        pending.update(step.outputs if isinstance(step, KernelStep) else step.equation.outputs)
    order: list[Step] = []
    placed: set[int] = set()
    whole: set[Var] = set()
    copied: set[Var] = set()

    def place(k: int) -> None:
        step = steps[k]
        placed.add(k)
        order.append(step)
        whole.update(_makes_all(step))
        pending.difference_update(step.outputs if isinstance(step, KernelStep) else step.equation.outputs)

    for k, step in enumerate(steps):
        if k in placed:
            continue
        if isinstance(step, HostStep) and _writes(step.equation) and step.equation.inputs[0] in whole:
            base = step.equation.inputs[0]
            late = [j for j in readers[base] if j > k and j not in placed] if base not in outputs else []
            parts: list[Var] = []
            for j in late:
                reader = steps[j]
                if isinstance(reader, HostStep):
                    part = reader.equation.outputs[0] if reader.equation.outputs else None
                    if part is None or reader.equation.prim.name != "getitem" or window(reader.equation) is None:
                        break
                    parts.append(part)
                if any(v in pending for v in _reads(reader)):
                    break
            else:
                if 2 * sum(v.aval.size for v in parts) <= base.aval.size:
                    copied.update(parts)
                    for j in late:
                        place(j)
        place(k)
    return order, frozenset(copied)


def writes_in_place(steps: Sequence[Step], dead: Sequence[Sequence[Var]], copied: Set[Var]) -> frozenset[int]:
    """Positions of the steps that write into their first operand.

    `dead` says what each step is the last to touch, `copied` which parts are no views.
    """
    memory: dict[Var, _Memory] = {}
    whole: set[Var] = set()
    found: set[int] = set()

    def hold(v: Var, m: _Memory) -> None:
        memory[v] = m
        m.alive.add(v)

    for k, (step, gone) in enumerate(zip(steps, dead, strict=True)):
        eq = None if isinstance(step, KernelStep) else step.equation
        outputs = step.outputs if isinstance(step, KernelStep) else step.equation.outputs
        if eq is None or _makes(eq) or (outputs and all(v in copied for v in outputs)):
            taken = memory.get(eq.inputs[0]) if eq is not None and isinstance(eq.inputs[0], Var) else None
            if eq is not None and taken is not None and _writes(eq) and eq.inputs[0] in whole and taken.ours \
                    and taken.alive <= set(gone) and eq.outputs[0].aval.ndim:
                found.add(k)
                hold(eq.outputs[0], taken)
            else:
                for v in outputs:
                    hold(v, _Memory(True))
            whole.update(outputs)
        else:
            # Any other call may give out its operands again, or views of them; one with an effect may keep them.
            inputs = [memory[a] for a in eq.inputs if isinstance(a, Var) and a in memory]
            known = len(inputs) == sum(isinstance(a, Var) for a in eq.inputs)
            both = _Memory(known and not (eq.prim.ordered or eq.regions) and all(m.ours for m in inputs))
            for m in dict.fromkeys(inputs):
                for v in m.alive:
                    memory[v] = both
                both.alive |= m.alive
            for v in outputs:
                hold(v, both)
        for v in gone:
            if v in memory:
                memory[v].alive.discard(v)
    return frozenset(found)


__all__ = ["readers_first", "writes_in_place"]
