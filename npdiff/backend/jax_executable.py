"""A graph compiled by jax: functions of jax, and NumPy calls between them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from npdiff.avals import PYTHON_NUMBERS, Aval, ndarray
from npdiff.backend.contract import Placement, own_arrays
from npdiff.backend.jax_lowering import HostStep, Segment, apply, dtype_on_device, literal, reasons, schedule
from npdiff.errors import BackendError, GuardFailed, message
from npdiff.graph import Atom, Graph, Literal, Var, namer, show_equation
from npdiff.steps import Step, nbytes, show_bytes

Context = Callable[[], AbstractContextManager[Any]]
Env = dict[Var, Any]


class JaxExecutable:
    """A graph in segments, each one function under `jax.jit`, and the NumPy calls between them.

    `context` sets what jax needs (64 bit, exact matrix products) around each use of it, and nothing else.
    """

    def __init__(self, jax: Any, graph: Graph, context: Context, float64: bool,
                 placement: Placement | None = None) -> None:
        start = time.perf_counter()
        self._jax, self._graph, self._context, self._float64 = jax, graph, context, float64
        self._placement = placement
        with context():
            self._host = reasons(jax, graph, jax.default_backend(), float64)
            self._plan = schedule(graph, self._host)
            self._shardings = self._inputs_on(placement)
            self._constants = dict(graph.constants)
            self._lowered: list[Any] = []
            self._compile_seconds: list[float] = []
            self._steps = [self._host_step(s) if isinstance(s, HostStep) else self._segment_step(s)
                           for s in self._plan]
        self._seconds = time.perf_counter() - start

    # ------------------------------------------------------------------ many devices

    def _inputs_on(self, placement: Placement | None) -> dict[Var, Any]:
        if placement is None:
            return {}
        if any(isinstance(s, HostStep) for s in self._plan):
            step = next(s for s in self._plan if isinstance(s, HostStep))
            raise BackendError(message(
                f"jit: {step.equation.prim.name} cannot run on many devices: NumPy evaluates it ({step.why})",
                at=f"{step.equation.source[0]}:{step.equation.source[1]}" if step.equation.source else "",
                instead="leave mesh= away, or compute this outside of the function"))
        sharding, whole = self._jax.sharding.NamedSharding, self._jax.sharding.PartitionSpec()
        specs = [*placement.inputs, *[None] * len(self._graph.inputs)]
        placed = {v: sharding(placement.mesh, whole if s is None else s)
                  for v, s in zip(self._graph.inputs, specs, strict=False)}
        return placed | {v: sharding(placement.mesh, whole) for v in self._graph.constants}

    def _outputs_on(self, outputs: Sequence[Var]) -> list[Any]:
        """Where the outputs of the one segment go; None: as the compiler likes."""
        placement = self._placement
        if placement is None or placement.outputs is None:
            return [None] * len(outputs)
        sharding = self._jax.sharding.NamedSharding
        wanted = dict(zip(self._graph.outputs, placement.outputs, strict=False))
        return [None if wanted.get(v) is None else sharding(placement.mesh, wanted[v]) for v in outputs]

    # ------------------------------------------------------------------ steps

    def _segment_step(self, segment: Segment) -> Callable[[Env], None]:
        jax, float64 = self._jax, self._float64
        checked = False

        def function(*values: Any) -> Any:
            nonlocal checked
            env: dict[Var, Any] = dict(zip(segment.inputs, values, strict=True))
            checks: list[Any] = []
            for eq in segment.equations:
                args = [literal(jax, a, float64) if isinstance(a, Literal) else env[a] for a in eq.inputs]
                env.update(zip(eq.outputs, apply(jax, eq, args, checks, float64), strict=True))
            checked = bool(checks)
            good = [jax.numpy.all(jax.numpy.stack(checks))] if checks else []
            return [*good, *[env[v] for v in segment.outputs]]

        start = time.perf_counter()
        shapes = [jax.ShapeDtypeStruct(v.aval.shape, dtype_on_device(v.aval, float64),
                                       sharding=self._shardings.get(v)) for v in segment.inputs]
        how = self._outputs_on(segment.outputs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if any(s is not None for s in how):
                    count = len(jax.eval_shape(function, *shapes)) - len(how)
                    lowered = jax.jit(function, out_shardings=[None] * count + how).lower(*shapes)
                else:
                    lowered = jax.jit(function).lower(*shapes)
                compiled = lowered.compile()
            except Exception as error:
                names = ", ".join(dict.fromkeys(eq.prim.name for eq in segment.equations))
                raise BackendError(message(
                    f"jit: jax cannot compile one of {names}: {type(error).__name__}: {str(error)[:300]}",
                    instead="use backend='cpu' for this function")) from error
        self._lowered.append((lowered, compiled))
        self._compile_seconds.append(time.perf_counter() - start)
        constants = {v: self._on_device(self._constants[v], v) for v in segment.inputs if v in self._constants}

        def run(env: Env) -> None:
            args = [constants[v] if v in constants else self._on_device(env[v], v) for v in segment.inputs]
            try:
                outs = compiled(*args)
                holds = not checked or bool(outs[0])
            except RuntimeError as error:
                if _EXHAUSTED not in str(error):
                    raise
                raise self._exhausted(segment) from error
            if not holds:
                raise GuardFailed
            env.update(zip(segment.outputs, outs[1:] if checked else outs, strict=True))

        return run

    def _exhausted(self, segment: Segment) -> BackendError:
        """The error for memory that has run out: what was read and to be made."""
        read, made = _bytes(segment.inputs), _bytes(segment.outputs)
        largest = max([v for eq in segment.equations for v in eq.outputs], key=lambda v: nbytes(v.aval), default=None)
        inside = f", and between {largest.aval!r} ({show_bytes(nbytes(largest.aval))})" if largest is not None else ""
        return BackendError(message(
            f"jit: out of memory on a {self._jax.default_backend()} of jax: a function reads {show_bytes(read)} and "
            f"makes {show_bytes(made)}{inside}",
            instead="free arrays you no longer need, compute in float32 or in parts, share the work between devices "
                    "(mesh=), or use backend='cpu'"))

    def _on_device(self, value: Any, v: Var) -> Any:
        if isinstance(value, self._jax.Array) and v not in self._shardings:
            return value
        if not isinstance(value, self._jax.Array):
            try:
                value = np.asarray(value, dtype_on_device(v.aval, self._float64))
            except OverflowError:
                raise GuardFailed("a Python integer beyond 64 bits, which no jax array can hold") from None
        return self._jax.device_put(value, self._shardings.get(v))

    def _host_step(self, step: HostStep) -> Callable[[Env], None]:
        eq = step.equation
        call, params, multiple = eq.prim.call, eq.params, eq.prim.multiple

        def run(env: Env) -> None:
            args = [a.value if isinstance(a, Literal) else on_host(env[a], a.aval) for a in eq.inputs]
            try:
                out = call(*args, **params)
            except Exception as error:
                # Guards are looked at later than in recorded order: this may be what one of them forbids.
                raise GuardFailed from error
            results = out if multiple else (out,)
            for value, v in zip(results, eq.outputs, strict=True):
                if np.shape(value) != v.aval.shape:
                    raise GuardFailed(f"{eq.prim.name}: recorded shape {v.aval.shape}, found {np.shape(value)}")
                env[v] = value

        return run

    # ------------------------------------------------------------------ running

    def run(self, *arrays: Any) -> list[Any]:
        """Run the graph."""
        own = own_arrays.get()
        env = self._bound(arrays)
        with self._context():
            for run in self._steps:
                run(env)
            if own is None:
                return [_own(a, env) for a in self._graph.outputs]
            return [_own(a, env) if a.aval.weak else self._jax.numpy.asarray(_value(a, env))
                    for a in self._graph.outputs]

    def timed(self, *arrays: Any) -> list[float]:
        """Run the graph, and give the seconds that each step took, transfers to and from the device included."""
        env = self._bound(arrays)
        seconds: list[float] = []
        with self._context():
            for step, run in zip(self._plan, self._steps, strict=True):
                start = time.perf_counter()
                run(env)
                outputs = step.equation.outputs if isinstance(step, HostStep) else step.outputs
                self._jax.block_until_ready([env[v] for v in outputs])
                seconds.append(time.perf_counter() - start)
        return seconds

    def _bound(self, arrays: Sequence[Any]) -> Env:
        """The graph's constants and inputs."""
        if len(arrays) != len(self._graph.inputs):
            raise TypeError(f"the graph takes {len(self._graph.inputs)} operands, received {len(arrays)}")
        env: Env = dict(self._constants)
        own = own_arrays.get()
        for v, value in zip(self._graph.inputs, arrays, strict=True):
            env[v] = _fit(value if own is None else own.get(id(value), value), v.aval)
        return env

    # ------------------------------------------------------------------ looking inside

    @property
    def graph(self) -> Graph:
        """The graph that was given to jax."""
        return self._graph

    def steps(self) -> list[Step]:
        """The steps in order; what XLA makes of a jax function it does not say, but for its count of operations."""
        compiled = iter(zip(self._lowered, self._compile_seconds, strict=True))
        steps = []
        for s in self._plan:
            if isinstance(s, HostStep):
                eq = s.equation
                inputs = [a for a in eq.inputs if isinstance(a, Var)]
                steps.append(Step("call", [eq], inputs, eq.outputs, read=_bytes(inputs), written=_bytes(eq.outputs),
                                  note=s.why))
            else:
                (_, code), seconds = next(compiled)
                steps.append(Step("jax function", s.equations, s.inputs, s.outputs, read=_bytes(s.inputs),
                                  written=_bytes(s.outputs), operations=_flops(code), compile_seconds=seconds))
        return steps

    def explain(self) -> str:
        """The steps in order: jax functions with what they fuse, NumPy calls with the reason."""
        device = self._jax.devices()[0]
        segments = sum(isinstance(s, Segment) for s in self._plan)
        lines = [f"{segments} jax functions, {len(self._plan) - segments} host calls, compiled in "
                 f"{1e3 * self._seconds:.0f} ms for {device.platform} ({device.device_kind})"]
        if self._placement is not None:
            lines[0] += f", over a mesh {dict(self._placement.mesh.shape)}"
        name = namer()
        for a in [*self._graph.inputs, *self._graph.constants]:
            name(a)
        for k, step in enumerate(self._plan):
            if isinstance(step, HostStep):
                left = ", ".join(name(v) for v in step.equation.outputs)
                lines.append(f"{k}: call {left + ' = ' if left else ''}{show_equation(step.equation, name)}")
                lines.append(f"   on the host: {step.why}")
            else:
                lines.append(f"{k}: jax function {_named(step.outputs, name)} from {_named(step.inputs, name)}")
                lines.append(f"   of {', '.join(eq.prim.name for eq in step.equations)}")
        lines.append(f"return {', '.join(name(a) for a in self._graph.outputs)}")
        return "\n".join(lines)

    def text(self) -> str:
        """StableHLO of each jax function, in order."""
        return "\n".join(lowered.as_text() for lowered, _ in self._lowered)

    def compiled_text(self) -> str:
        """What XLA made of it: with a mesh, the program of one device and its collectives."""
        return "\n".join(compiled.as_text() for _, compiled in self._lowered)


# What XLA begins its error with where memory has run out.
_EXHAUSTED = "RESOURCE_EXHAUSTED"


def _bytes(variables: Sequence[Var]) -> int:
    return sum(nbytes(v.aval) for v in variables)


def _flops(compiled: Any) -> int | None:
    """XLA's own count of floating-point operations; None where it has none."""
    try:
        found = compiled.cost_analysis()
    except Exception:
        return None
    first = found[0] if isinstance(found, (list, tuple)) and found else found
    count = first.get("flops") if isinstance(first, dict) else None
    return None if count is None or count < 0 else int(count)


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
    return value


def on_host(value: Any, a: Aval) -> Any:
    """A value as NumPy takes it: an array, a scalar, or a Python number where the recording had one."""
    if type(value) in PYTHON_NUMBERS:
        return value if a.weak else a.dtype.type(value)
    if a.weak:
        return value.item()
    return np.asarray(value) if a.shape else np.asarray(value)[()]


def _value(a: Atom, env: Env) -> Any:
    return a.value if isinstance(a, Literal) else env[a]


def _own(a: Atom, env: Env) -> Any:
    """An output in memory of its own."""
    value = _value(a, env)
    if a.aval.weak:
        return on_host(value, a.aval)
    if type(value) in PYTHON_NUMBERS or not a.aval.shape:
        return np.asarray(value, a.aval.dtype)[()]
    return np.array(value, order="K") if type(value) is ndarray else np.array(value)


__all__ = ["JaxExecutable"]
