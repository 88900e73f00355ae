"""The `dtype` policy: what a graph has in float64 and complex128 is computed in float32 and complex64.

The graph is written anew for any backend; NumPy's results come back in the dtypes that were recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from npdiff.avals import PYTHON_NUMBERS, Aval, ndarray
from npdiff.backend.contract import Compiler, Executable, own_arrays
from npdiff.core import Primitive
from npdiff.errors import BackendError, message
from npdiff.graph import Atom, Equation, Graph, Literal, Var
from npdiff.kernels.classify import loop_dtypes
from npdiff.kernels.promote import cast_p
from npdiff.steps import Step

_NARROWER = {np.dtype(np.float64): np.dtype(np.float32), np.dtype(np.complex128): np.dtype(np.complex64)}


def narrower(dtype: Any) -> Any:
    """The dtype that this policy computes in."""
    return _NARROWER.get(dtype, dtype)


def narrow(value: Any) -> Any:
    """An array or NumPy scalar in that dtype; any other value itself."""
    held = getattr(value, "dtype", None)
    return value.astype(_NARROWER[held]) if isinstance(held, np.dtype) and held in _NARROWER else value


@lru_cache(maxsize=1024)
def _casting(prim: Primitive) -> Primitive:
    """The primitive with results that NumPy gives in double precision cast: draws, and what integers give."""
    made, call = object.__new__(type(prim)), prim.call
    for name in Primitive.__slots__:
        setattr(made, name, getattr(prim, name))
    if prim.multiple:
        made.call = lambda *args, **params: tuple([narrow(r) for r in call(*args, **params)])
    else:
        made.call = lambda *args, **params: narrow(call(*args, **params))
    return made


class _Writer:
    """A graph as it is written anew."""

    def __init__(self) -> None:
        self.known: dict[Var, Var] = {}
        self.equations: list[Equation] = []

    def variable(self, v: Var) -> Var:
        a = v.aval
        if not a.weak and v not in self.known and a.dtype in _NARROWER:
            self.known[v] = Var(Aval(a.shape, _NARROWER[a.dtype]))
        return self.known.get(v, v)

    def atom(self, a: Atom) -> Atom:
        return self.variable(a) if isinstance(a, Var) else a if a.aval.weak else Literal(narrow(a.value))

    def add(self, eq: Equation) -> None:
        if eq.regions or any(hasattr(p, "graph") for p in eq.params.values()):
            raise BackendError(message(
                f"jit: {eq.prim.name} runs a program of its own, which dtype='float32' does not reach",
                at=f"{eq.source[0]}:{eq.source[1]}" if eq.source else "",
                instead="give the function arrays of float32, or leave dtype= away"))
        inputs = [self.atom(a) for a in eq.inputs]
        prim, params = eq.prim, eq.params
        if prim.ufunc is not None:
            loop = loop_dtypes(eq) or ()
            inputs = [self._cast(a, narrower(d), eq) if d in _NARROWER else a
                      for a, d in zip(inputs, (*loop, *[None] * len(inputs)), strict=False)]
        else:
            prim = _casting(prim)
        if not prim.ordered:  # the parameters of a draw say which numbers are drawn
            params = {k: narrower(p) if isinstance(p, np.dtype) else narrowed(p) if isinstance(p, Graph) else p
                      for k, p in params.items()}
        elif prim.name.startswith("guard") and "expected" in params and not eq.inputs[0].aval.weak:
            params = {**params, "expected": narrow(np.asarray(params["expected"]))[()]}
        self.equations.append(Equation(prim, inputs, params, [self.variable(v) for v in eq.outputs], eq.source))

    def _cast(self, a: Atom, dtype: Any, eq: Equation) -> Atom:
        """An integer where NumPy would compute in double precision."""
        if a.aval.weak or a.aval.dtype.kind in "fc":
            return a
        if isinstance(a, Literal):
            return Literal(dtype.type(a.value))
        v = Var(Aval(a.aval.shape, dtype))
        self.equations.append(Equation(cast_p, [a], {"dtype": dtype}, [v], eq.source))
        return v


def narrowed(graph: Graph) -> Graph:
    """The same graph without float64 and complex128; Python's numbers stay what they are."""
    w = _Writer()
    inputs = [w.variable(v) for v in graph.inputs]
    constants = {w.variable(v): value if v.aval.weak else narrow(value) for v, value in graph.constants.items()}
    for eq in graph.equations:
        w.add(eq)
    return Graph(inputs, constants, w.equations, [w.atom(a) for a in graph.outputs])


class _Narrowed:
    """An executable of the narrowed graph, which takes and gives NumPy's values in the dtypes of the graph."""

    def __init__(self, inner: Any, outputs: Sequence[Aval]) -> None:
        self._inner = inner
        self._outputs = outputs

    def _given(self, arrays: Sequence[Any]) -> list[Any]:
        own: dict[int, Any] = own_arrays.get() or {}
        return [a if type(a) in PYTHON_NUMBERS else narrow(own.get(id(a), a)) for a in arrays]

    def run(self, *arrays: Any) -> list[Any]:
        """Run the graph."""
        outs = self._inner.run(*self._given(arrays))
        return [out.astype(a.dtype) if isinstance(out, (ndarray, np.generic)) and out.dtype != a.dtype else out
                for out, a in zip(outs, self._outputs, strict=True)]

    def timed(self, *arrays: Any) -> Sequence[float]:
        """The seconds of each step."""
        seconds: Sequence[float] = self._inner.timed(*self._given(arrays))
        return seconds

    @property
    def graph(self) -> Graph:
        """The narrowed graph."""
        graph: Graph = self._inner.graph
        return graph

    def steps(self) -> Sequence[Step]:
        """The steps, in order."""
        steps: Sequence[Step] = self._inner.steps()
        return steps

    def explain(self) -> str:
        """The steps in words."""
        return f"float64 in float32, complex128 in complex64:\n{self._inner.explain()}"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self._inner, name)  # what else the backend shows of its executables
        return found


@dataclass(frozen=True)
class InSingle(Compiler):
    """A compiler of graphs for a backend, in single precision."""

    def __call__(self, graph: Graph) -> Executable:
        """The graph, compiled."""
        return _Narrowed(super().__call__(narrowed(graph)), [a.aval for a in graph.outputs])


__all__ = ["InSingle", "narrow", "narrowed"]
