"""The compiled graph: one Python function that runs kernels and host calls in order.

The function is written as source, a line or two per step, with a local variable per variable of the
graph: looking up slots and looping over descriptions would cost more than a small kernel takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.avals import PYTHON_NUMBERS, Aval, ndarray
from npdiff.errors import GuardFailed
from npdiff.graph import Atom, Equation, Graph, Literal, Var, namer, show_equation
from npdiff.kernels import native, threads
from npdiff.kernels.compile_cpu import Compiled, compile_kernel
from npdiff.kernels.layouts import MOST_VARIANTS, Layout, for_layouts
from npdiff.kernels.loop_ir import DType, show
from npdiff.kernels.machine import vector_bits
from npdiff.kernels.reuse import readers_first, writes_in_place
from npdiff.kernels.schedule import HostStep, KernelStep, Step
from npdiff.kernels.simplify import window

_KINDS: dict[type, str] = {bool: "b", int: "i", float: "f"}


def _fit(value: Any, shape: tuple[int, ...], dtype: DType) -> np.ndarray[Any, Any]:
    """An array of exactly this shape and dtype; a Python number takes a dtype of its kind."""
    if type(value) is not ndarray:
        try:
            value = np.asarray(value, dtype if _KINDS.get(type(value)) == dtype.kind else None)
        except OverflowError as error:  # an int of Python's that no kernel can hold
            raise GuardFailed from error
    if value.dtype != dtype or value.shape != shape:
        raise GuardFailed(f"expected {Aval(shape, dtype)!r}, received {Aval(value.shape, value.dtype)!r}")
    fitting: np.ndarray[Any, Any] = value if value.dtype is dtype else value.view(dtype)
    return fitting


class _Otherwise:
    """Runs a kernel on inputs that it does not take as they are: they are made to fit, or it is compiled for them."""

    def __init__(self, step: KernelStep, launch: Callable[..., Any]) -> None:
        self._step = step
        self._variants: dict[tuple[Layout, ...], tuple[Callable[..., Any], list[int]]] = {}
        self._variants[(None,) * len(step.inputs)] = launch, []

    def __call__(self, *values: Any) -> list[Any]:
        """The kernel's results, and the inputs for those that read them later: what had to be copied, as copied."""
        arrays = [_fit(value, v.aval.shape, v.aval.dtype) for value, v in zip(values, self._step.inputs, strict=True)]
        layouts = tuple([None if a.flags.c_contiguous else a.strides for a in arrays])
        launch, copied = self._variants.get(layouts) or self._variant(layouts)
        for k in copied:
            arrays[k] = arrays[k].copy("C")
        return [launch(*arrays), *arrays]

    def _variant(self, layouts: tuple[Layout, ...]) -> tuple[Callable[..., Any], list[int]]:
        if len(self._variants) > MOST_VARIANTS:
            return self._variants[(None,) * len(layouts)][0], [k for k, x in enumerate(layouts) if x is not None]
        shapes = [v.aval.shape for v in self._step.inputs]
        kernel, copied = for_layouts(self._step.loose, shapes, layouts)
        taken = tuple([None if k in copied else x for k, x in enumerate(layouts)])
        known = self._variants.get(taken)
        launch = known[0] if known is not None else _launcher(self._step, compile_kernel(kernel), taken)
        self._variants[layouts] = launch, copied
        return launch, copied


def _launcher(step: KernelStep, compiled: Compiled, layouts: Sequence[Layout]) -> Callable[..., Any]:
    """The function that runs a step's kernel on inputs of these layouts."""
    if compiled.work.wide:
        threads.ready()
    inputs = [(v.aval.dtype, v.aval.shape, x) for v, x in zip(step.inputs, layouts, strict=True)]
    return native.launcher(compiled.loops, compiled.join, compiled.work, inputs,
                           [(v.aval.dtype, v.aval.shape) for v in step.outputs])


def _check_dtype(name: str, value: Any, dtype: np.dtype[Any]) -> None:
    """Some dtypes follow from values: NumPy before 2.5 gives real eigenvalues as real numbers."""
    if getattr(value, "dtype", dtype) != dtype:
        raise GuardFailed(f"{name}: the result has dtype {value.dtype}, not {dtype}")


def _check_shape(name: str, value: Any, shape: tuple[int, ...]) -> None:
    if np.shape(value) != shape:
        raise GuardFailed(f"{name}: recorded shape {shape}, found {np.shape(value)}")


class _Source:
    """The text of the function, and what it names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {"numbers": PYTHON_NUMBERS, "check_shape": _check_shape,
                                      "check_dtype": _check_dtype, "own": _own, "GuardFailed": GuardFailed}
        self._names: dict[Var, str] = {}

    def name(self, v: Var) -> str:
        """The local variable of a variable."""
        return self._names.setdefault(v, f"v{len(self._names)}")

    def bind(self, value: Any, stem: str) -> str:
        """A name for a value that does not change from call to call."""
        name = f"{stem}{len(self.scope)}"
        self.scope[name] = value
        return name

    def operand(self, a: Atom) -> str:
        """An operand of a host call; kernels leave arrays where NumPy's promotion needs a Python number again."""
        if isinstance(a, Literal):
            return self.bind(a.value, "literal")
        v = self.name(a)
        return f"({v} if type({v}) in numbers else {v}.item())" if a.aval.weak else v

    def kernel(self, launch: Callable[..., Any], step: KernelStep) -> None:
        """Run a kernel; where it does not take the inputs as they are, in another way."""
        run = self.bind(launch, "kernel")
        ins = [self.name(v) for v in step.inputs]
        outs = [self.name(v) for v in step.outputs]
        first = outs[0] if len(outs) == 1 else "made"
        self.lines.append(f"{first} = {run}({', '.join(ins)})")
        otherwise = self.bind(_Otherwise(step, launch), "otherwise")
        self.lines.append(f"if {first} is None: {', '.join([first, *ins])}, = {otherwise}({', '.join(ins)})")
        if len(outs) > 1:
            self.lines.append(f"{', '.join(outs)} = made")
            self.lines.append("made = None")

    def call(self, eq: Equation) -> None:
        """Call an equation's primitive."""
        args = [self.operand(a) for a in eq.inputs]
        if eq.prim.name == "guard_truth":
            self.lines.append(f"if bool({args[0]}) is not {bool(eq.params['expected'])}: raise GuardFailed")
            return
        if eq.inputs and eq.inputs[0].aval.ndim and eq.prim.name == "getitem" and window(eq) is not None:
            self.lines.append(f"{self.name(eq.outputs[0])} = {args[0]}[{self.bind(eq.params['index'], 'index')}]")
            return
        args += [f"{key}={self.bind(value, 'parameter')}" for key, value in eq.params.items()]
        outs = [self.name(v) for v in eq.outputs]
        run = f"{self.bind(eq.prim.call, 'call')}({', '.join(args)})"
        left = "" if not outs else f"{', '.join(outs)}, = " if eq.prim.multiple else f"{outs[0]} = "
        self.lines.append(left + run)
        if eq.prim.kind == "nonlinear" and eq.prim.ufunc is None:
            for v, out in zip(eq.outputs, outs, strict=True):
                self.lines.append(f"check_dtype({eq.prim.name!r}, {out}, {self.bind(v.aval.dtype, 'dtype')})")
        if eq.prim.dynamic:
            for v, out in zip(eq.outputs, outs, strict=True):
                self.lines.append(f"check_shape({eq.prim.name!r}, {out}, {self.bind(v.aval.shape, 'shape')})")

    def write(self, eq: Equation) -> None:
        """Write into the first operand, which becomes the result."""
        target, value = [self.operand(a) for a in eq.inputs]
        self.lines.append(f"{target}[{self.bind(eq.params['index'], 'index')}] = {value}")
        self.lines.append(f"{self.name(eq.outputs[0])} = {target}")

    def copy(self, parts: Sequence[Var]) -> None:
        """Put parts of an array aside before it is written into."""
        self.lines += [f"{self.name(v)} = {self.name(v)}.copy()" for v in parts]

    def forget(self, dead: Sequence[Var]) -> None:
        """Let go of variables that nothing reads any more."""
        if dead:
            self.lines.append(" = ".join([*map(self.name, dead), "None"]))

    def function(self, inputs: Sequence[Var]) -> Callable[..., list[Any]]:
        """The compiled function."""
        names = ", ".join(map(self.name, inputs))
        exec("\n    ".join([f"def run({names}):", *self.lines]), self.scope)
        run: Callable[..., list[Any]] = self.scope["run"]
        return run


class Executable:
    """A graph compiled for this CPU.

    Call it with one array, NumPy scalar or Python number per graph input; it returns the graph's
    outputs in fresh memory that nobody else holds. May be called from several threads at once.
    """

    def __init__(self, graph: Graph, steps: Sequence[Step]) -> None:
        self._graph = graph
        self._kernels: list[Compiled] = []
        self._count = len(graph.inputs)
        source = _Source()
        for v, value in graph.constants.items():
            source.lines.append(f"{source.name(v)} = {source.bind(value, 'constant')}")
        outputs = {a for a in graph.outputs if isinstance(a, Var)}
        steps, copied = readers_first(steps, outputs)
        self._plan = steps
        dead = _last_reads(steps, outputs)
        fresh: set[Var] = set()
        self._in_place = writes_in_place(steps, dead, copied)
        for k, (step, gone) in enumerate(zip(steps, dead, strict=True)):
            if isinstance(step, KernelStep):
                compiled = compile_kernel(step.kernel)
                self._kernels.append(compiled)
                fresh.update(step.outputs)
                source.kernel(_launcher(step, compiled, [None] * len(step.inputs)), step)
            elif k in self._in_place:
                source.write(step.equation)
            else:
                source.call(step.equation)
                source.copy([v for v in step.equation.outputs if v in copied])
            source.forget(gone)
        self._return(source, fresh)
        self.run = source.function(graph.inputs)

    def _return(self, source: _Source, fresh: set[Var]) -> None:
        """Results are scalars, arrays that a kernel just made, or made our own."""
        graph = self._graph
        # What lives longer than a call: constants, and arrays that primitives carry along.
        carried = [v for eq in graph.equations for v in eq.params.values()]
        held = {id(v) for v in [*graph.constants.values(), *carried]}
        results: list[str] = []
        ours: list[str] = []
        for a in graph.outputs:
            if isinstance(a, Literal):
                results.append(source.bind(a.aval.dtype.type(a.value), "literal"))
            elif a in fresh:
                fresh.discard(a)
                results.append(source.name(a) + ("" if a.aval.shape else "[()]"))
                ours += [source.name(a)] if a.aval.shape else []
            else:
                results.append(f"own({source.name(a)}, held)")
        if any(r.startswith("own(") for r in results):
            known = [source.name(v) for v in graph.inputs] + ours
            source.lines.append(f"held = {{*{source.bind(held, 'held')}, {', '.join(f'id({n})' for n in known)}}}")
        source.lines.append(f"return [{', '.join(results)}]")

    def __call__(self, *arrays: Any) -> list[Any]:
        """Run the graph."""
        if len(arrays) != self._count:
            raise TypeError(f"the graph takes {self._count} operands, received {len(arrays)}")
        return self.run(*arrays)

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
                verb = "write" if k in self._in_place else "call"
                lines.append(f"{k}: {verb} {left + ' = ' if left else ''}{show_equation(step.equation, name)}")
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


