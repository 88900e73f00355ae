"""A graph on a CUDA device: kernels, CuPy's functions between them, and calls on the host where there is no other way.

Everything is launched in CuPy's current stream, in order, and nothing waits for the device until a value is needed on
the host: a result, an operand of a host call, or the guards, which are looked at together when all is launched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.avals import PYTHON_NUMBERS, Aval, ndarray
from npdiff.backend.contract import own_arrays
from npdiff.backend.cuda_device import DTYPES, Device
from npdiff.backend.cuda_equations import Operation
from npdiff.backend.cuda_gathers import checked
from npdiff.backend.cuda_indexing import write
from npdiff.backend.cuda_schedule import way_of
from npdiff.errors import BackendError, GuardFailed
from npdiff.graph import Atom, Equation, Graph, Literal, Var, namer, show_equation
from npdiff.kernels import costs, cuda
from npdiff.kernels.executable import last_reads
from npdiff.kernels.loop_ir import show
from npdiff.kernels.promote import widen
from npdiff.kernels.reuse import readers_first, writes_in_place
from npdiff.kernels.schedule import HostStep, KernelStep, schedule
from npdiff.kernels.simplify import simplify
from npdiff.steps import Step as Shown
from npdiff.steps import nbytes


class _Call:
    """One call on its way: values by variable, on the device or on the host, and what is still to be checked."""

    __slots__ = ("borrowed", "checks", "env", "own")

    def __init__(self, env: dict[Var, Any], own: dict[int, Any] | None, borrowed: set[int]) -> None:
        self.env = env
        self.own = own
        self.borrowed = borrowed  # ids of arrays of the host that belong to the caller
        self.checks: list[Any] = []


Step = Callable[[_Call], None]


class CudaExecutable:
    """A graph compiled for a CUDA device."""

    def __init__(self, device: Device, graph: Graph) -> None:
        start = time.perf_counter()
        small = checked(simplify(widen(graph)))
        self._device, self._graph = device, small
        outputs = {a for a in small.outputs if isinstance(a, Var)}
        planned = schedule(small, matrices=False, gathers=True, renders=cuda.renders)
        self._plan, copied = readers_first(planned, outputs)
        dead = last_reads(self._plan, outputs)
        self._in_place = writes_in_place(self._plan, dead, copied)
        self._on_host: dict[int, str] = {}
        self._constants = {v: self._constant(value, v.aval) for v, value in small.constants.items()}
        steps: list[Step] = []
        for k, step in enumerate(self._plan):
            if isinstance(step, KernelStep):
                steps.append(self._kernel_step(step))
            elif k in self._in_place:
                steps.append(self._write_step(step.equation))
            else:
                steps.append(self._call_step(k, step.equation, [v for v in step.equation.outputs if v in copied]))
        self._steps = list(zip(steps, dead, strict=True))
        self._fresh = self._made_here()
        self._seconds = time.perf_counter() - start

    def _made_here(self) -> frozenset[Var]:
        """The outputs that kernels make: nobody else holds their memory."""
        made = {v for step in self._plan if isinstance(step, KernelStep) for v in step.outputs}
        return frozenset(made.intersection(a for a in self._graph.outputs if isinstance(a, Var)))

    def _constant(self, value: Any, a: Aval) -> Any:
        if a.weak or a.dtype not in DTYPES:
            return value
        try:
            return self._device.put(value, a, True)
        except self._device.out_of_memory as error:
            raise self._device.exhausted("a constant of the function", [a]) from error

    # ------------------------------------------------------------------ steps

    def _kernel_step(self, step: KernelStep) -> Step:
        device = self._device
        launch = device.kernel(step.kernel)
        made = [(v, v.aval.shape, v.aval.dtype) for v in step.outputs]

        def run(call: _Call) -> None:
            ins = [device.contiguous(self._on_device(call, v)) for v in step.inputs]
            try:
                outs = [device.xp.empty(shape, dtype) for _, shape, dtype in made]
                launch(ins, outs)
            except device.out_of_memory as error:
                raise device.exhausted("a kernel", [v.aval for v in step.outputs]) from error
            for (v, _, _), out in zip(made, outs, strict=True):
                call.env[v] = out

        return run

    def _operation(self, call: _Call, eq: Equation) -> Operation:
        return Operation(self._device, eq, call.checks, self._constants)

    def _operand(self, call: _Call, a: Atom) -> Any:
        """An operand of a rule: a device array, or a number."""
        if isinstance(a, Literal):
            return a.value
        value = call.env[a]
        if isinstance(value, self._device.xp.ndarray) or type(value) in PYTHON_NUMBERS:
            return value
        return value if isinstance(value, np.generic) else self._on_device(call, a)

    def _write_step(self, eq: Equation) -> Step:
        def run(call: _Call) -> None:
            target = self._on_device(call, eq.inputs[0])
            operand = self._operand(call, eq.inputs[1])
            call.env[eq.outputs[0]] = write(self._operation(call, eq), target, operand, **eq.params)

        return run

    def _call_step(self, number: int, eq: Equation, copied: Sequence[Var]) -> Step:
        device, way = self._device, way_of(eq)
        if way.rule is None:
            self._on_host[number] = way.why
        elif eq.prim.name.startswith("scipy."):
            device.special()
        rule = way.rule

        def run(call: _Call) -> None:
            if number in self._on_host or rule is None:
                self._host_call(call, eq)
                return
            operands = [self._operand(call, a) for a in eq.inputs]
            if not any(isinstance(x, device.xp.ndarray) for x in operands) and eq.prim.name.startswith("guard"):
                self._host_call(call, eq)  # what it looks at is here
                return
            count = len(call.checks)
            try:
                out = rule(self._operation(call, eq), *operands, **eq.params)
                results = tuple(out) if eq.prim.multiple else (out,)
                why = _unlike(results, eq)
            except device.out_of_memory as error:
                raise device.exhausted(eq.prim.name, [v.aval for v in eq.outputs], eq.source) from error
            except (GuardFailed, BackendError):
                raise
            except NotImplementedError as error:
                why = str(error)
            except (TypeError, ValueError, IndexError, AttributeError) as error:  # LinAlgError is a ValueError
                why = f"CuPy refuses: {type(error).__name__}: {str(error).partition('. ')[0][:100]}"
            if why:
                del call.checks[count:]
                self._host_call(call, eq)
                self._on_host[number] = why  # NumPy does not refuse: this is not the operands' fault
                return
            for v, value in zip(eq.outputs, results, strict=True):
                call.env[v] = value.copy() if v in copied else value

        return run

    def _host_call(self, call: _Call, eq: Equation) -> None:
        args = [a.value if isinstance(a, Literal) else self._value(call.env[a], a.aval) for a in eq.inputs]
        try:
            out = eq.prim.call(*args, **eq.params)
        except Exception as error:
            # Guards are looked at later than in recorded order: this may be what one of them forbids.
            raise GuardFailed from error
        results = out if eq.prim.multiple else (out,)
        for value, v in zip(results, eq.outputs, strict=True):
            if np.shape(value) != v.aval.shape or getattr(value, "dtype", v.aval.dtype) != v.aval.dtype:
                raise GuardFailed(f"{eq.prim.name}: recorded {v.aval!r}, found {np.shape(value)}")
            call.env[v] = value

    # ------------------------------------------------------------------ values

    def _on_device(self, call: _Call, a: Atom) -> Any:
        """A variable's value as a device array; it stays there, unless it is a Python number."""
        value = a.value if isinstance(a, Literal) else call.env[a]
        if isinstance(value, self._device.xp.ndarray):
            return value
        try:
            there = self._device.put(value, a.aval, call.own is not None and id(value) in call.borrowed)
        except self._device.out_of_memory as error:
            raise self._device.exhausted("an operand's way to the device", [a.aval]) from error
        if isinstance(a, Var) and not a.aval.weak:
            call.env[a] = there
        return there

    def _value(self, value: Any, a: Aval) -> Any:
        """A value as NumPy takes it: an array, a scalar, or a Python number where the recording had one."""
        if type(value) in PYTHON_NUMBERS:
            return value if a.weak else a.dtype.type(value)
        if isinstance(value, self._device.xp.ndarray):
            value = self._device.get(value)
        if a.weak:
            return value.item()
        return value if a.shape else value[()]

    def _result(self, call: _Call, a: Atom, given: set[int]) -> Any:
        """An output in memory of its own: on the device if the caller's arrays are there."""
        value = a.value if isinstance(a, Literal) else call.env[a]
        xp = self._device.xp
        if a.aval.weak or (call.own is None and isinstance(value, xp.ndarray)):
            return self._value(value, a.aval)
        if call.own is None or a.aval.dtype not in DTYPES:
            return np.array(value, a.aval.dtype, order="K", copy=True)[() if not a.aval.shape else ...]
        if not isinstance(value, xp.ndarray):
            return self._device.put(value, a.aval, False)
        if id(value) in given or (a not in self._fresh and value.base is not None):
            return value.copy()
        given.add(id(value))
        return value

    # ------------------------------------------------------------------ running

    def run(self, *arrays: Any) -> list[Any]:
        """Run the graph."""
        call = self._bound(arrays)
        given = {id(v) for v in call.env.values()}
        for step, dead in self._steps:
            step(call)
            for v in dead:
                call.env.pop(v, None)
        if not self._device.holds(call.checks):
            raise GuardFailed
        return [self._result(call, a, given) for a in self._graph.outputs]

    def timed(self, *arrays: Any) -> list[float]:
        """Run the graph, waiting for the device behind each step; the seconds that each took."""
        call = self._bound(arrays)
        seconds: list[float] = []
        for step, dead in self._steps:
            self._device.finish()
            start = time.perf_counter()
            step(call)
            self._device.finish()
            seconds.append(time.perf_counter() - start)
            for v in dead:
                call.env.pop(v, None)
        if not self._device.holds(call.checks):
            raise GuardFailed
        return seconds

    def _bound(self, arrays: Sequence[Any]) -> _Call:
        """A call with the graph's constants and inputs."""
        if len(arrays) != len(self._graph.inputs):
            raise TypeError(f"the graph takes {len(self._graph.inputs)} operands, received {len(arrays)}")
        self._device.stands()
        own = own_arrays.get()
        call = _Call(dict(self._constants), own, {id(a) for a in arrays})
        for v, value in zip(self._graph.inputs, arrays, strict=True):
            call.env[v] = _fit(value if own is None else own.get(id(value), value), v.aval)
        return call

    # ------------------------------------------------------------------ looking inside

    @property
    def graph(self) -> Graph:
        """The graph that the steps compute."""
        return self._graph

    def steps(self) -> list[Shown]:
        """The steps in order: kernels, calls of CuPy, writes in place, and calls on the host with the reason."""
        steps = []
        for k, s in enumerate(self._plan):
            if isinstance(s, KernelStep):
                steps.append(Shown("kernel", s.equations, s.inputs, s.outputs, s.kernel.sizes,
                                   costs.bytes_read(s.kernel), costs.bytes_written(s.kernel),
                                   costs.operations(s.kernel)))
                continue
            eq = s.equation
            inputs = [a for a in eq.inputs if isinstance(a, Var)]
            if k in self._in_place:
                moved = nbytes(eq.inputs[1].aval)
                steps.append(Shown("write", [eq], inputs, eq.outputs, read=moved, written=moved, operations=0))
            else:
                steps.append(Shown("call" if k in self._on_host else "CuPy", [eq], inputs, eq.outputs,
                                   read=sum(nbytes(v.aval) for v in inputs),
                                   written=sum(nbytes(v.aval) for v in eq.outputs), note=self._on_host.get(k, "")))
        return steps

    def explain(self) -> str:
        """The steps in order: kernels with their loop IR, CuPy's functions, host calls with the reason."""
        kernels = sum(isinstance(s, KernelStep) for s in self._plan)
        lines = [f"{kernels} kernels, {len(self._plan) - kernels - len(self._on_host)} calls of CuPy, "
                 f"{len(self._on_host)} host calls, compiled in {1e3 * self._seconds:.0f} ms for CUDA device "
                 f"{self._device.number} ({self._device.describe()})"]
        name = namer()
        for a in [*self._graph.inputs, *self._graph.constants]:
            name(a)
        for k, step in enumerate(self._plan):
            if isinstance(step, HostStep):
                left = ", ".join(name(v) for v in step.equation.outputs)
                verb = "call" if k in self._on_host else "write" if k in self._in_place else "CuPy"
                lines.append(f"{k}: {verb} {left + ' = ' if left else ''}{show_equation(step.equation, name)}")
                if k in self._on_host:
                    lines.append(f"   on the host: {self._on_host[k]}")
                continue
            lines.append(f"{k}: kernel {_named(step.outputs, name)} from {_named(step.inputs, name)}")
            lines.append(f"   fuses {', '.join([eq.prim.name for eq in step.equations])}")
            lines += ["   " + line for line in show(step.kernel).splitlines()]
        lines.append(f"return {', '.join(name(a) for a in self._graph.outputs)}")
        return "\n".join(lines)

    def text(self) -> str:
        """The source of each kernel, as Numba gets it."""
        return "\n".join(cuda.source(s.kernel) for s in self._plan if isinstance(s, KernelStep))


def _unlike(results: Sequence[Any], eq: Equation) -> str:
    """In which way results differ in type from the recorded ones; empty if in none."""
    if len(results) != len(eq.outputs):
        return f"CuPy gives {len(results)} results, NumPy {len(eq.outputs)}"
    for r, v in zip(results, eq.outputs, strict=True):
        if r.shape != v.aval.shape or r.dtype != v.aval.dtype:
            return f"CuPy gives {Aval(r.shape, r.dtype)!r}, NumPy {Aval(v.aval.shape, v.aval.dtype)!r}"
    return ""


def _named(variables: Sequence[Var], name: Callable[[Atom], str]) -> str:
    return ", ".join(f"{name(v)}:{v.aval!r}" for v in variables) or "nothing"


def _fit(value: Any, a: Aval) -> Any:
    """A value of exactly this shape and dtype; a Python number stays one."""
    if type(value) in PYTHON_NUMBERS:
        if a.weak and np.asarray(value).dtype == a.dtype:
            return value
        value = np.asarray(value, a.dtype if np.asarray(value).dtype.kind == a.dtype.kind else None)
    if value.shape != a.shape or value.dtype != a.dtype:
        raise GuardFailed(f"expected {a!r}, received {Aval(value.shape, value.dtype)!r}")
    return value[()] if isinstance(value, ndarray) and not a.shape else value


__all__ = ["CudaExecutable"]
