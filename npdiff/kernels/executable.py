"""The compiled graph: a flat list of steps over numbered slots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.avals import PYTHON_NUMBERS, Aval, ndarray
from npdiff.errors import GuardFailed
from npdiff.graph import Atom, Equation, Graph, Literal, Var, namer, show_equation
from npdiff.kernels.compile_cpu import Compiled, compile_kernel, vector_bits
from npdiff.kernels.loop_ir import DType, show
from npdiff.kernels.schedule import HostStep, KernelStep, Step

_empty = np.empty  # a stand-in takes its place in the numpy namespace while a transform runs

Slots = list[Any]
Run = Callable[[Slots], None]
_KINDS: dict[type, str] = {bool: "b", int: "i", float: "f"}


def _fit(value: Any, shape: tuple[int, ...], dtype: DType) -> np.ndarray[Any, Any]:
    """A C-contiguous array of exactly this shape and dtype; a Python number takes a dtype of its kind."""
    if type(value) is not ndarray:
        value = np.asarray(value, dtype if _KINDS.get(type(value)) == dtype.kind else None)
    if value.dtype != dtype or value.shape != shape:
        raise GuardFailed(f"expected {Aval(shape, dtype)!r}, received {Aval(value.shape, value.dtype)!r}")
    out: np.ndarray[Any, Any] = value if value.flags.c_contiguous else value.copy("C")
    return out


def _kernel_step(
    entry: Callable[..., None],
    inputs: Sequence[tuple[int, tuple[int, ...], DType]],
    outputs: Sequence[tuple[int, tuple[int, ...], DType]],
    dead: Sequence[int],
) -> Run:
    """Check the inputs, allocate the outputs, run the loops, let go of the `dead` slots.

    Written out as source, one line per array: loops over descriptions double the cost of a small call.
    """
    scope: dict[str, Any] = {"entry": entry, "ndarray": ndarray, "empty": _empty, "fit": _fit}
    lines = ["def run(slots):"]
    # The arrays stay in local variables while the kernel works on their memory.
    for k, (slot, shape, dtype) in enumerate(inputs):
        scope[f"is{k}"], scope[f"id{k}"] = shape, dtype
        lines.append(f"    i{k} = slots[{slot}]")
        lines.append(f"    if type(i{k}) is not ndarray or i{k}.dtype is not id{k} or i{k}.shape != is{k} "
                     f"or not i{k}.flags.c_contiguous: i{k} = fit(i{k}, is{k}, id{k})")
    for k, (slot, shape, dtype) in enumerate(outputs):
        scope[f"os{k}"], scope[f"od{k}"] = shape, dtype
        lines.append(f"    o{k} = slots[{slot}] = empty(os{k}, od{k})")
    arrays = [f"i{k}" for k in range(len(inputs))] + [f"o{k}" for k in range(len(outputs))]
    lines.append(f"    entry({', '.join(f'id({a})' for a in arrays)})")
    lines += [f"    slots[{slot}] = None" for slot in dead]
    exec("\n".join(lines), scope)
    run: Run = scope["run"]
    return run


def _host_step(
    eq: Equation, inputs: Sequence[tuple[int | None, Any]], outputs: Sequence[int], dead: Sequence[int]
) -> Run:
    """Call the primitive, let go of the `dead` slots; an input is a slot, or None and a literal's value."""
    call, params, multiple = eq.prim.call, eq.params, eq.prim.multiple
    recorded = [v.aval for v in eq.outputs] if eq.prim.dynamic else None
    # Kernels leave arrays; where the recording had a Python number, NumPy's promotion needs one again.
    numbers = [k for k, a in enumerate(eq.inputs) if a.aval.weak and isinstance(a, Var)]

    def run(slots: Slots) -> None:
        args = [value if slot is None else slots[slot] for slot, value in inputs]
        for k in numbers:
            if type(args[k]) not in PYTHON_NUMBERS:
                args[k] = args[k].item()
        out = call(*args, **params)
        results = out if multiple else (out,)
        if recorded is not None:
            for value, aval in zip(results, recorded, strict=True):
                if np.shape(value) != aval.shape:
                    raise GuardFailed(f"{eq.prim.name}: recorded shape {aval.shape}, found {np.shape(value)}")
        if outputs:
            for slot, value in zip(outputs, results, strict=True):
                slots[slot] = value
        for slot in dead:
            slots[slot] = None

    return run


class Executable:
    """A graph compiled for this CPU.

    Call it with one array, NumPy scalar or Python number per graph input; it returns the graph's
    outputs in fresh memory that nobody else holds. May be called from several threads at once.
    """

    def __init__(self, graph: Graph, steps: Sequence[Step]) -> None:
        self._graph = graph
        self._plan = list(steps)
        self._kernels: list[Compiled] = []
        slots: dict[Var, int] = {}
        for v in [*graph.inputs, *graph.constants]:
            slots[v] = len(slots)
        for step in steps:
            for v in step.equation.outputs if isinstance(step, HostStep) else step.outputs:
                slots[v] = len(slots)
        self._count = len(graph.inputs)
        self._template: Slots = [None] * len(slots)
        for v, value in graph.constants.items():
            self._template[slots[v]] = value
        dead = _last_reads(steps, {a for a in graph.outputs if isinstance(a, Var)})
        self._steps: list[Run] = []
        fresh: set[Var] = set()
        for k, step in enumerate(steps):
            gone = [slots[v] for v in dead[k]]
            if isinstance(step, KernelStep):
                compiled = compile_kernel(step.kernel)
                self._kernels.append(compiled)
                fresh.update(step.outputs)
                self._steps.append(_kernel_step(
                    compiled.entry,
                    [(slots[v], v.aval.shape, v.aval.dtype) for v in step.inputs],
                    [(slots[v], v.aval.shape, v.aval.dtype) for v in step.outputs],
                    gone))
            else:
                eq = step.equation
                inputs = [(None, a.value) if isinstance(a, Literal) else (slots[a], None) for a in eq.inputs]
                self._steps.append(_host_step(eq, inputs, [slots[v] for v in eq.outputs], gone))
        # Per output: its slot, and whether it is a kernel's array that nobody else holds.
        self._outputs: list[tuple[int, bool]] = []
        for a in graph.outputs:
            if isinstance(a, Literal):
                self._outputs.append((len(self._template), False))
                self._template.append(a.aval.dtype.type(a.value))
            else:
                self._outputs.append((slots[a], a in fresh and a.aval.shape != ()))
                fresh.discard(a)
        self._plain = all(ours for _, ours in self._outputs)
        # What lives longer than a call: constants, and arrays that primitives carry along.
        carried = [v for eq in graph.equations for v in eq.params.values()]
        self._held = {id(v) for v in [*graph.constants.values(), *carried]}

    def __call__(self, *arrays: Any) -> list[Any]:
        """Run the graph."""
        if len(arrays) != self._count:
            raise TypeError(f"the graph takes {self._count} operands, received {len(arrays)}")
        slots = self._template.copy()
        slots[:self._count] = arrays
        for run in self._steps:
            run(slots)
        if self._plain:
            return [slots[slot] for slot, _ in self._outputs]
        held = self._held | {id(a) for a in arrays} | {id(slots[slot]) for slot, ours in self._outputs if ours}
        return [slots[slot] if ours else _own(slots[slot], held) for slot, ours in self._outputs]

    def explain(self) -> str:
        """The steps in order: kernels with their loop IR, host calls, compile times, vector width."""
        kernels = iter(self._kernels)
        total = sum(c.seconds for c in self._kernels)
        lines = [f"{len(self._kernels)} kernels, {len(self._plan) - len(self._kernels)} host calls, "
                 f"compiled in {1e3 * total:.0f} ms"]
        if self._kernels:
            lines[0] += f", vectors of {vector_bits()} bits"
        name = namer()
        for a in [*self._graph.inputs, *self._graph.constants]:
            name(a)
        for k, step in enumerate(self._plan):
            if isinstance(step, HostStep):
                left = ", ".join(name(v) for v in step.equation.outputs)
                lines.append(f"{k}: call {left + ' = ' if left else ''}{show_equation(step.equation, name)}")
                continue
            compiled = next(kernels)
            lines.append(f"{k}: kernel {', '.join(_typed(v, name) for v in step.outputs)} "
                         f"from {', '.join(_typed(v, name) for v in step.inputs) or 'nothing'} "
                         f"({1e3 * compiled.seconds:.0f} ms)")
            lines.append(f"   fuses {', '.join(step.names)}")
            lines += ["   " + line for line in show(step.kernel).splitlines()]
        lines.append(f"return {', '.join(name(a) for a in self._graph.outputs)}")
        return "\n".join(lines)

    def llvm(self) -> list[str]:
        """The LLVM IR of each kernel, as rendered."""
        return [c.text for c in self._kernels]

    def text(self) -> str:
        """The LLVM IR of all kernels, one after another."""
        return "\n".join(self.llvm())


def _own(value: Any, held: set[int]) -> Any:
    """A NumPy scalar, or an array that shares memory with nothing: a copy of what is held or a view."""
    if type(value) is not ndarray or value.ndim == 0:
        return np.asarray(value)[()]
    if value.base is not None or not value.flags.owndata or id(value) in held:
        return value.copy("K")
    held.add(id(value))
    return value


def _typed(v: Var, name: Callable[[Atom], str]) -> str:
    return f"{name(v)}:{v.aval!r}"


def _last_reads(steps: Sequence[Step], outputs: set[Var]) -> list[list[Var]]:
    """For each step, the variables it is the last to touch."""
    seen = set(outputs)
    dead: list[list[Var]] = []
    for step in reversed(steps):
        if isinstance(step, HostStep):
            touched = [*step.equation.inputs, *step.equation.outputs]
        else:
            touched = [*step.inputs, *step.outputs]
        gone = [a for a in dict.fromkeys(touched) if isinstance(a, Var) and a not in seen]
        seen.update(gone)
        dead.append(gone)
    return dead[::-1]


