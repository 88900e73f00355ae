"""The compiled graph: one Python function that runs kernels and host calls in order.

The function is written as source, a line or two per step, with a local variable per variable of the
graph: looking up slots and looping over descriptions would cost more than a small kernel takes.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from npdiff.avals import PYTHON_NUMBERS, Aval, ndarray
from npdiff.errors import GuardFailed
from npdiff.graph import Atom, Equation, Graph, Literal, Var, namer, show_equation
from npdiff.kernels import costs, native, threads, views
from npdiff.kernels.chunks import LONG, Work, nanoseconds
from npdiff.kernels.compile_cpu import Compiled, compile_kernel
from npdiff.kernels.layouts import MOST_VARIANTS, Layout, for_layouts
from npdiff.kernels.loop_ir import DType, collapse, show
from npdiff.kernels.machine import vector_bits
from npdiff.kernels.matrices import compile_matrices, matrix_nanoseconds
from npdiff.kernels.order import ordered
from npdiff.kernels.pieces import split
from npdiff.kernels.reuse import readers_first, writes_in_place
from npdiff.kernels.schedule import HostStep, KernelStep, MatrixStep, Step, schedule
from npdiff.kernels.simplify import window
from npdiff.kernels.together import Run, runs, views_late
from npdiff.steps import Step as Shown
from npdiff.steps import nbytes

_FLAG = np.dtype(bool)
_KINDS: dict[type, str] = {bool: "b", int: "i", float: "f"}


def _fit(value: Any, shape: tuple[int, ...], dtype: DType) -> np.ndarray[Any, Any]:
    """An array of exactly this shape and dtype; a Python number takes a dtype of its kind."""
    if type(value) is not ndarray:
        try:
            value = np.asarray(value, dtype if _KINDS.get(type(value)) == dtype.kind else None)
        except OverflowError:
            raise GuardFailed("a Python integer beyond 64 bits, which no kernel can hold") from None
    if value.dtype != dtype or value.shape != shape:
        raise GuardFailed(f"expected {Aval(shape, dtype)!r}, received {Aval(value.shape, value.dtype)!r}")
    fitting: np.ndarray[Any, Any] = value if value.dtype is dtype else value.view(dtype)
    return fitting


class _Otherwise:
    """Runs a kernel on inputs that it does not take as they are: they are made to fit, or it is compiled for them."""

    def __init__(self, ready: _Ready) -> None:
        self._step = ready.step
        self._variants: dict[tuple[Layout, ...], tuple[Callable[..., Any], list[int]]] = {}
        self._variants[(None,) * len(ready.step.inputs)] = ready.launch, []

    def __call__(self, *values: Any) -> list[Any]:
        """The kernel's results, and the inputs for those that read them later: what had to be copied, as copied."""
        arrays = [_fit(value, v.aval.shape, v.aval.dtype) for value, v in zip(values, self._step.inputs, strict=False)]
        layouts = tuple([None if a.flags.c_contiguous else a.strides for a in arrays])
        launch, copied = self._variants.get(layouts) or self._variant(layouts)
        for k in copied:
            arrays[k] = arrays[k].copy("C")
        return [launch(*arrays, *values[len(arrays):]), *arrays]

    def _variant(self, layouts: tuple[Layout, ...]) -> tuple[Callable[..., Any], list[int]]:
        if isinstance(self._step, MatrixStep) or len(self._variants) > MOST_VARIANTS:
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
    inputs = [(v.aval.dtype, v.aval.shape, x) for v, x in zip(step.inputs, layouts, strict=True)]
    return native.launcher(compiled.loops, compiled.join, compiled.work, inputs,
                           [(v.aval.dtype, v.aval.shape) for v in step.outputs])


class _Ready:
    """A kernel's step with its machine code, and `numbers` that it takes besides its inputs."""

    def __init__(self, step: KernelStep | MatrixStep) -> None:
        self.step = step
        self.numbers: np.ndarray[Any, Any] | None = None
        if isinstance(step, MatrixStep):
            self.compiled, shapes = compile_matrices(step.operation)
            self.numbers = np.array(shapes, np.int64) if shapes else None
        else:
            # The CPU's loops go along rows.
            loose = ordered(step.loose)
            if loose is not step.loose:
                step.kernel = collapse(loose)
                step.pieces = split(step.kernel)
            self.compiled = compile_kernel(step.kernel, step.pieces)
        if self.compiled.work.wide:
            threads.ready()

    @property
    def checked(self) -> bool:
        """True if a further result says whether NumPy has to do it."""
        return isinstance(self.step, MatrixStep) and self.step.operation.checked

    @property
    def nanoseconds(self) -> float:
        """What it is expected to take."""
        step = self.step
        return matrix_nanoseconds(step.operation) if isinstance(step, MatrixStep) else nanoseconds(step.kernel)

    @functools.cached_property
    def launch(self) -> Callable[..., Any]:
        """What runs it, on its inputs and numbers."""
        also = [] if self.numbers is None else [(self.numbers.dtype, self.numbers.shape)]
        more = [(_FLAG, ())] if self.checked else []
        compiled = self.compiled
        return native.launcher(compiled.loops, compiled.join, compiled.work, [*_specs(self.step.inputs), *also],
                               [*_specs(self.step.outputs), *more])


def _specs(variables: Sequence[Var]) -> list[tuple[DType, tuple[int, ...]]]:
    return [(v.aval.dtype, v.aval.shape) for v in variables]


def _launched(run: Run, members: Sequence[_Ready]) -> Callable[..., Any]:
    """What launches the kernels of a run together."""
    bases = {v: native.Place(k) for k, v in enumerate([*run.inputs, *run.outputs])}
    memory = len(bases)
    bases.update((v, native.Place(memory, at)) for v, at in run.offsets.items())
    sequence: list[native.Member] = []
    for k, ready in enumerate(members):
        places = [bases[v] for v in ready.step.inputs]
        if ready.numbers is not None:
            places.append(native.Place(memory + 1, ready.numbers.ctypes.data))
        places += [bases[v] for v in ready.step.outputs]
        flag = run.flags + k if ready.checked else -1
        if ready.checked:
            places.append(native.Place(memory, flag))
        work = ready.compiled.work
        sequence.append(native.Member(ready.compiled.loops, work.extent, tuple(places), flag))
    long = sum(ready.nanoseconds for ready in members) > LONG
    return native.sequence(sequence, run.memory, long, _specs(run.inputs), _specs(run.outputs))


def _check_dtype(name: str, value: Any, dtype: np.dtype[Any]) -> None:
    """Some dtypes follow from values: NumPy before 2.5 gives real eigenvalues as real numbers."""
    if getattr(value, "dtype", dtype) != dtype:
        raise GuardFailed(f"{name}: the result has dtype {value.dtype}, not {dtype}")


def _check_shape(name: str, value: Any, shape: tuple[int, ...]) -> None:
    if np.shape(value) != shape:
        raise GuardFailed(f"{name}: recorded shape {shape}, found {np.shape(value)}")


def _by_numpy(step: MatrixStep) -> Callable[..., Any]:
    """What a kernel of small matrices could not do: the NumPy call, with its errors, on the arrays the kernel took."""
    prim, params = step.equation.prim, step.equation.params

    def redo(*arrays: np.ndarray[Any, Any]) -> Any:
        size = step.operation.dtype.itemsize
        operands = [ndarray(v.shape, a.dtype, a, v.offset * size, [s * size for s in v.strides])
                    for v, a in zip(step.views, arrays, strict=True)]
        return prim.call(*operands, **params)

    return redo


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

    def kernel(self, ready: _Ready) -> None:
        """Run a kernel; inputs that it does not take as they are are made to fit, and what it cannot do is NumPy's."""
        step = ready.step
        numbers = [] if ready.numbers is None else [self.bind(ready.numbers, "numbers")]
        run = self.bind(ready.launch, "kernel")
        given = [self.name(v) for v in step.inputs]
        ins = [*given, *numbers]
        outs = [*map(self.name, step.outputs), *(["unclear"] if ready.checked else [])]
        first = outs[0] if len(outs) == 1 else "made"
        self.lines.append(f"{first} = {run}({', '.join(ins)})")
        otherwise = self.bind(_Otherwise(ready), "otherwise")
        self.lines.append(f"if {first} is None: {', '.join([first, *given])}, = {otherwise}({', '.join(ins)})")
        if len(outs) > 1:
            self.lines.append(f"{', '.join(outs)} = made")
            self.lines.append("made = None")
        if isinstance(step, MatrixStep) and ready.checked:
            redo = self.bind(_by_numpy(step), "redo")
            self.lines.append(f"if unclear: {', '.join(outs[:-1])} = {redo}({', '.join(given)})")

    def together(self, run: Run, launch: Callable[..., Any], one_by_one: Callable[..., Any],
                 constants: Mapping[Var, Any]) -> None:
        """Launch the kernels of a run; where that cannot be, they run one by one."""
        launched, otherwise = self.bind(launch, "together"), self.bind(one_by_one, "one_by_one")
        ins = ", ".join([self.bind(np.ascontiguousarray(constants[v]), "constant") if v in constants else self.name(v)
                         for v in run.inputs])
        outs = [*map(self.name, run.outputs)]
        first = outs[0] if len(outs) == 1 else "made"
        self.lines.append(f"{first} = {launched}({ins})")
        self.lines.append(f"if {first} is None: {first} = {otherwise}({ins})")
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
        return self._compiled([*map(self.name, inputs)], self.lines)

    def timed(self, inputs: Sequence[Var], marks: Sequence[int]) -> Callable[..., list[Any]]:
        """The same function with one more argument in front, which is called at each of these lines."""
        lines = self.lines[:marks[0]]
        for begin, end in zip(marks, [*marks[1:], len(self.lines)], strict=True):
            lines += ["tick()", *self.lines[begin:end]]
        return self._compiled(["tick", *map(self.name, inputs)], lines)

    def _compiled(self, names: Sequence[str], lines: Sequence[str]) -> Callable[..., list[Any]]:
        scope = dict(self.scope)
        exec("\n    ".join([f"def run({', '.join(names)}):", *lines]), scope)
        run: Callable[..., list[Any]] = scope["run"]
        return run


class _OneByOne:
    """Runs the kernels of a run one by one; how is written when it is first needed."""

    def __init__(self, executable: Executable, run: Run) -> None:
        self._executable = executable
        self._run = run
        self._function: Callable[..., Any] | None = None

    def __call__(self, *values: Any) -> Any:
        if self._function is None:
            self._function = self._executable.one_by_one(self._run)
        return self._function(*values)


class Executable:
    """A graph compiled for this CPU.

    Call it with one array, NumPy scalar or Python number per graph input; it returns the graph's
    outputs in fresh memory that nobody else holds. May be called from several threads at once.
    """

    def __init__(self, graph: Graph, steps: Sequence[Step]) -> None:
        self._graph = graph
        self._count = len(graph.inputs)
        outputs = {a for a in graph.outputs if isinstance(a, Var)}
        steps, self._copied = readers_first(views_late(steps), outputs)
        self._plan = steps
        self._dead = last_reads(steps, outputs)
        self._in_place = writes_in_place(steps, self._dead, self._copied)
        self._ready = [_Ready(step) if isinstance(step, (KernelStep, MatrixStep)) else None for step in steps]
        self._kernels: list[Compiled] = [ready.compiled for ready in self._ready if ready is not None]
        self._runs = {run.begin: run for run in runs(steps, self._dead, self._joins)}
        self.run = self._source(self._runs)[0].function(graph.inputs)

    def _joins(self, k: int) -> bool:
        """Whether a step may be launched together with others: a kernel that threads do not share."""
        ready = self._ready[k]
        return ready is not None and not ready.compiled.work.wide

    def _source(self, together: Mapping[int, Run]) -> tuple[_Source, list[int]]:
        """The function's text, and the lines at which the steps begin that are not launched together."""
        source = _Source()
        for v, value in self._graph.constants.items():
            source.lines.append(f"{source.name(v)} = {source.bind(value, 'constant')}")
        marks: list[int] = []
        k = 0
        while k < len(self._plan):
            marks.append(len(source.lines))
            run = together.get(k)
            if run is None:
                self._add(source, k)
                k += 1
                continue
            members = [ready for ready in self._ready[run.begin:run.end] if ready is not None]
            source.together(run, _launched(run, members), _OneByOne(self, run), self._graph.constants)
            gone = {v for vs in self._dead[run.begin:run.end] for v in vs}
            source.forget([v for v in run.inputs if v in gone])
            k = run.end
        marks.append(len(source.lines))
        self._return(source)
        return source, marks

    def _add(self, source: _Source, k: int) -> None:
        """Write one step."""
        step, ready = self._plan[k], self._ready[k]
        if ready is not None:
            source.kernel(ready)
        elif isinstance(step, HostStep) and k in self._in_place:
            source.write(step.equation)
        elif isinstance(step, HostStep):
            source.call(step.equation)
            source.copy([v for v in step.equation.outputs if v in self._copied])
        source.forget(self._dead[k])

    def one_by_one(self, run: Run) -> Callable[..., Any]:
        """A function that runs the kernels of a run one by one."""
        source = _Source()
        for k in range(run.begin, run.end):
            self._add(source, k)
        outs = ", ".join(map(source.name, run.outputs))
        source.lines.append(f"return {outs}" if outs else "return ()")
        return source.function(run.inputs)

    def __reduce__(self) -> Any:
        # Machine code stays here: elsewhere the graph is scheduled again, and kernels come from the cache on disk.
        return Executable.of, (self._graph, any([not isinstance(step, HostStep) for step in self._plan]))

    @staticmethod
    def of(graph: Graph, compiled: bool) -> Executable:
        """A simplified graph with its kernels, or as it stands."""
        return Executable(graph, schedule(graph) if compiled else [HostStep(eq) for eq in graph.equations])

    def _return(self, source: _Source) -> None:
        """Results are scalars, arrays that a kernel just made, or made our own."""
        graph = self._graph
        fresh = {v for ready in self._ready if ready is not None for v in ready.step.outputs}
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

    @property
    def graph(self) -> Graph:
        """The graph as it was compiled: simplified."""
        return self._graph

    def timed(self, *arrays: Any) -> list[float]:
        """Run the graph step by step, kernels launched one by one, and give the seconds that each step took."""
        ticks: list[int] = []
        clock = time.perf_counter_ns
        self._timed(lambda: ticks.append(clock()), *arrays)
        return [(end - begin) * 1e-9 for begin, end in itertools.pairwise(ticks)]

    @functools.cached_property
    def _timed(self) -> Callable[..., list[Any]]:
        source, marks = self._source({})
        return source.timed(self._graph.inputs, marks)

    def steps(self) -> list[Shown]:
        """The steps in order, as people are shown them."""
        kernels = iter(self._kernels)
        own = {eq.outputs[0]: eq for eq in self._graph.equations if eq.outputs}
        shown: list[Shown] = []
        for k, step in enumerate(self._plan):
            if isinstance(step, KernelStep):
                shown.append(_shown_kernel(step, next(kernels)))
            elif isinstance(step, MatrixStep):
                shown.append(_shown_matrices(step, own[step.outputs[0]], next(kernels)))
            else:
                shown.append(_shown_call(step.equation, k in self._in_place))
        return shown

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
            if isinstance(step, MatrixStep):
                compiled = next(kernels)
                lines.append(f"{k}: matrices {', '.join(_typed(v, name) for v in step.outputs)} = "
                             f"{show_equation(step.equation, name)} ({1e3 * compiled.seconds:.0f} ms)")
                lines += ["   " + line for line in step.operation.show()]
                continue
            if isinstance(step, HostStep):
                left = ", ".join(name(v) for v in step.equation.outputs)
                verb = "write" if k in self._in_place else "call"
                lines.append(f"{k}: {verb} {left + ' = ' if left else ''}{show_equation(step.equation, name)}")
                continue
            compiled = next(kernels)
            lines.append(f"{k}: kernel {', '.join(_typed(v, name) for v in step.outputs)} "
                         f"from {', '.join(_typed(v, name) for v in step.inputs) or 'nothing'} "
                         f"({1e3 * compiled.seconds:.0f} ms)")
            lines.append(f"   fuses {', '.join([eq.prim.name for eq in step.equations])}")
            lines += ["   " + line for line in show(step.kernel).splitlines()]
        lines.append(f"return {', '.join(name(a) for a in self._graph.outputs)}")
        return "\n".join(lines)

    def llvm(self) -> list[str]:
        """The LLVM IR of each kernel, as rendered."""
        return [c.text for c in self._kernels]

    def text(self) -> str:
        """The LLVM IR of all kernels, one after another."""
        return "\n".join(self.llvm())


def _sharing(work: Work) -> int:
    """How many threads share a kernel's work."""
    return min(threads.get_num_threads(), -(-work.extent // work.chunk)) if work.wide else 1


def _shown_matrices(step: MatrixStep, own: Equation, compiled: Compiled) -> Shown:
    operation, shared = step.operation, _sharing(compiled.work)
    return Shown("matrix kernel", [own], step.inputs, step.outputs, operation.batch,
                 sum(nbytes(v.aval) for v in step.inputs), sum(nbytes(v.aval) for v in step.outputs),
                 operation.operations, costs.vector(compiled.text), shared,
                 matrix_nanoseconds(operation) * 1e-9 / shared, compiled.seconds, compiled.cached)


def _shown_kernel(step: KernelStep, compiled: Compiled) -> Shown:
    kernel, shared = step.kernel, _sharing(compiled.work)
    return Shown("kernel", step.equations, step.inputs, step.outputs, kernel.sizes, costs.bytes_read(kernel),
                 costs.bytes_written(kernel), costs.operations(kernel), costs.vector(compiled.text), shared,
                 nanoseconds(kernel) * 1e-9 / shared, compiled.seconds, compiled.cached)


def _shown_call(eq: Equation, in_place: bool) -> Shown:
    inputs = [a for a in eq.inputs if isinstance(a, Var)]
    whole = views.whole(eq.inputs[0].aval.shape) if eq.inputs else None
    if whole is not None and len(eq.inputs) == 1 and views.apply(eq.prim.name, whole, eq.params) is not None:
        return Shown("view", [eq], inputs, eq.outputs, operations=0)
    if in_place:
        moved = nbytes(eq.inputs[1].aval)
        return Shown("write", [eq], inputs, eq.outputs, read=moved, written=moved, operations=0)
    return Shown("call", [eq], inputs, eq.outputs, read=sum(nbytes(v.aval) for v in inputs),
                 written=sum(nbytes(v.aval) for v in eq.outputs), operations=_products(eq))


def _products(eq: Equation) -> int | None:
    """Multiplications and additions of a matrix product; None for what else NumPy does."""
    return 2 * eq.outputs[0].aval.size * eq.inputs[0].aval.shape[-1] if eq.prim.name == "matmul" else None


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


def last_reads(steps: Sequence[Step], outputs: set[Var]) -> list[list[Var]]:
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


