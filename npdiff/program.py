"""A compiled graph as one primitive: evaluated by its kernels, differentiated by compiling its derivatives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff import kernels
from npdiff.avals import is_differentiable, ndarray
from npdiff.backend.contract import Compiler, Executable, InSteps
from npdiff.backend.cpu import ON_CPU
from npdiff.core import Handle, Primitive, aval, bind, innermost
from npdiff.errors import BackendError, JitWarning, warn_user
from npdiff.graph import Equation, Graph, Literal, Var, evaluate, prune
from npdiff.log import log
from npdiff.residuals import keeping, residuals, taking
from npdiff.steps import counted, show_seconds
from npdiff.transforms.call import batch, pull, push
from npdiff.transforms.stage import StageTrace

# Numbers that are looked at to see whether all are the same.
_FEW = 1 << 16


class Program:
    """A graph, its executable, and the programs of its derivatives, made when first needed.

    Some of the outputs may be values for the backward pass; `kept` are their variables.
    """

    __slots__ = ("_derived", "_executable", "compile_seconds", "compiler", "failure", "graph", "kept",
                 "name")

    def __init__(self, graph: Graph, kept: Sequence[Var] = (), compiler: Compiler = ON_CPU, name: str = "") -> None:
        self.graph = graph
        self.name = name
        self.compiler = compiler
        self.kept = tuple(kept)
        self.compile_seconds = 0.0
        self.failure = ""
        self._executable: Executable | None = None
        self._derived: dict[Any, Program] = {}

    def prepare(self) -> Executable:
        """The executable, compiled now if it has not been."""
        if self._executable is None:
            start = time.perf_counter()
            try:
                self._executable = self.compiler(with_literals(self.graph))
            except BackendError:
                raise
            except Exception as error:
                self.failure = f"compiling it failed with {type(error).__name__}: {error}"
                self._executable = kernels.interpret_graph(self.graph)
                warn_user(f"npdiff.jit: a recording runs as NumPy calls one by one: {self.failure} "
                          "(a defect in npdiff: please report it)", JitWarning)
            self.compile_seconds = time.perf_counter() - start
            log(self._compiled)
        return self._executable

    def _compiled(self) -> str:
        """What was compiled and how long that took, for the log."""
        text = f"npdiff.jit: {self.name or 'a graph'} compiled in {show_seconds(self.compile_seconds)}"
        if self.failure:
            return f"{text}: {self.failure}"
        if not isinstance(self._executable, InSteps):
            return text
        steps = self._executable.steps()
        made, kept = sum(s.compiled for s in steps), sum(s.cached for s in steps)
        cached = f" ({kept} from the disk cache)" if kept else ""
        what = next((s.kind for s in steps if s.compiled), "kernel")
        calls = counted(sum(s.kind == "call" for s in steps), "NumPy call")
        return f"{text} for {self.compiler.backend.name}: {counted(made, what)}{cached}, {calls}"

    def __repr__(self) -> str:
        return f"program of {len(self.graph.equations)} equations"

    def run(self, values: Sequence[Any]) -> Sequence[Any]:
        """Outputs of the graph for plain inputs."""
        return self.prepare().run(*values)

    @property
    def function(self) -> Callable[..., Sequence[Any]]:
        """What `run` calls, with one argument per input."""
        return self.prepare().run

    def explain(self) -> str:
        """Kernels and host calls, as text; first of all why there are no kernels, if compiling failed."""
        text = self.prepare().explain()
        return "\n".join([*([self.failure] if self.failure else []), text])

    def text(self) -> str:
        """What was given to the compiler."""
        return self.prepare().text()

    def tangents(self, which: tuple[bool, ...], values: Sequence[Any]) -> Program:
        """The program of the outputs' tangents, given all inputs and the tangents of those in `which`."""

        def derivative(xs: Sequence[Any]) -> list[Any]:
            dots = iter(xs[len(which):])
            ts = [next(dots) if w else None for w in which]
            outs = push(self._evaluate, xs[: len(which)], ts)
            return [_zeros(o.aval) if t is None else t for t, o in zip(outs, self.graph.outputs, strict=True)]

        return self._derived_program(("tangents", which), lambda: _staged(values, len(which), derivative))

    def cotangents(self, needed: tuple[bool, ...], given: tuple[bool, ...], values: Sequence[Any]) -> Program:
        """The program of the inputs' cotangents (those in `needed`).

        Its operands: all inputs, the cotangents of the outputs in `given`, and the values that were kept.
        """

        def graph() -> Graph:
            return taking(self.graph, self._backward(needed, given, values), self.kept)

        return self._derived_program(("cotangents", needed, given), graph)

    def keeping(self, needed: tuple[bool, ...], values: Sequence[Any]) -> Program:
        """This program, also returning what is dear to compute again for the cotangents of the inputs in `needed`."""

        def program() -> Program:
            given = tuple([is_differentiable(o.aval.dtype) for o in self.graph.outputs])
            cts = [_zeros(o.aval) for o, g in zip(self.graph.outputs, given, strict=True) if g]
            kept = residuals(self.graph, self._backward(needed, given, [*values, *cts]))
            return Program(keeping(self.graph, kept), kept, self.compiler, self.name) if kept else self

        found = self._derived.get(("keeping", needed))
        if found is None:
            found = self._derived["keeping", needed] = program()
        return found

    def _backward(self, needed: tuple[bool, ...], given: tuple[bool, ...], values: Sequence[Any]) -> Graph:
        """The graph of the cotangents, in which the graph itself is computed once more."""

        def derivative(xs: Sequence[Any]) -> list[Any]:
            it = iter(xs[len(needed):])
            cts = [next(it) if g else None for g in given]
            out = pull(self._evaluate, xs[: len(needed)], cts, [n or None for n in needed])
            return [_zeros(v.aval) if c is None else c
                    for c, v, n in zip(out, self.graph.inputs, needed, strict=True) if n]

        return _staged(values, len(needed), derivative)

    def _evaluate(self, *xs: Any) -> list[Any]:
        return evaluate(self.graph, xs)

    def _derived_program(self, key: Any, graph: Callable[[], Graph]) -> Program:
        found = self._derived.get(key)
        if found is None:
            found = self._derived[key] = Program(graph(), compiler=self.compiler.derived(),
                                                       name=f"{key[0]} of {self.name or 'a graph'}")
        return found


def _staged(values: Sequence[Any], primals: int, f: Callable[[Sequence[Any]], list[Any]]) -> Graph:
    """The graph of f on values like these, of which the first are primals."""
    trace = StageTrace()
    try:
        # Guards need the real primals; tangents and cotangents enter linearly, so zeros record the same graph.
        plain = [innermost(v) if k < primals else _zeros(aval(v)) for k, v in enumerate(values)]
        staged = [trace.input(v) for v in plain]
        with np.errstate(all="ignore"):
            return prune(trace.graph(staged, f(staged)))
    finally:
        trace.close()


def _zeros(a: Any) -> Any:
    return np.zeros(a.shape, a.dtype)[()]


def with_literals(graph: Graph) -> Graph:
    """The graph with constants that hold one number throughout (cotangents of sums, say) written as literals.

    Only where the operand's shape is not needed for the result's, so broadcasting brings it back.
    """
    numbers: dict[Var, Literal] = {}
    for v, c in graph.constants.items():
        if type(c) is not ndarray or not c.size:
            continue
        if not any(c.strides) or any(n > 1 and not step for n, step in zip(c.shape, c.strides, strict=True)):
            # What a rule has spread over a shape; along its other axes it may hold the same number, too.
            few = c[tuple([slice(None) if step else slice(1) for step in c.strides])]
            first = few[(0,) * few.ndim]
            if few.size <= _FEW and few.tobytes() == first.tobytes() * few.size:
                numbers[v] = Literal(first)
    if not numbers:
        return graph
    equations = []
    for eq in graph.equations:
        if eq.prim.kind == "elementwise" and len(eq.outputs) == 1:
            kept = [a.aval.shape for a in eq.inputs if a not in numbers]
            if kept and np.broadcast_shapes(*kept) == eq.outputs[0].aval.shape:
                inputs = [numbers.get(a, a) if isinstance(a, Var) else a for a in eq.inputs]
                eq = Equation(eq.prim, inputs, eq.params, eq.outputs, eq.source, eq.regions)
        equations.append(eq)
    return prune(Graph(graph.inputs, graph.constants, equations, graph.outputs))


# ---------------------------------------------------------------------- the primitive


def _call(*args: Any, program: Program) -> Any:
    for a in args:
        if isinstance(a, Handle):
            return bind(run_program_p, args, {"program": program})
    return tuple(program.run(args))


def _jvp(_out: Any, primals: Sequence[Any], tangents: Sequence[Any], *, program: Program) -> Any:
    which = tuple([t is not None for t in tangents])
    values = [*primals, *[t for t in tangents if t is not None]]
    return run_program_p.call(*values, program=program.tangents(which, values))


def _pull(cts: Any, out: Any, args: Sequence[Any], needed: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    wanted = tuple([n is not None for n in needed])
    given = tuple([c is not None for c in cts])
    values = [*args, *[c for c in cts if c is not None]]
    forward = params["program"]
    kept = [out[forward.graph.outputs.index(v)] for v in forward.kept]
    found = iter(run_program_p.call(*values, *kept, program=forward.cotangents(wanted, given, values)))
    return [next(found) if w else None for w in wanted]


def _batch(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    return batch(lambda *xs: evaluate(params["program"].graph, xs), size, args, batched)


run_program_p = Primitive("run_program", _call, kind="nonlinear", jvp=_jvp, pull=_pull, batch=_batch, multiple=True)

__all__ = ["Program", "run_program_p", "with_literals"]
