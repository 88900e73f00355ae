"""Which writes happen in place: an array is copied only where its old value may still be seen.

A write may take over its first operand if that is an array which this graph made and which nothing
reads any more, neither by its own name nor through what may be a view of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from npdiff.graph import Equation, Var
from npdiff.kernels.schedule import KernelStep, Step
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


def writes_in_place(steps: Sequence[Step], dead: Sequence[Sequence[Var]]) -> frozenset[int]:
    """Positions of the steps that write into their first operand; `dead` says what each step is the last to touch."""
    memory: dict[Var, _Memory] = {}
    whole: set[Var] = set()
    found: set[int] = set()

    def hold(v: Var, m: _Memory) -> None:
        memory[v] = m
        m.alive.add(v)

    for k, (step, gone) in enumerate(zip(steps, dead, strict=True)):
        eq = None if isinstance(step, KernelStep) else step.equation
        outputs = step.outputs if isinstance(step, KernelStep) else step.equation.outputs
        if eq is None or _makes(eq):
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


__all__ = ["writes_in_place"]
