"""What a backend has to provide. Whoever writes a further one implements the two protocols of this file.

A *backend* turns a recorded graph into an *executable*. The graph is the whole description: typed variables, one
equation per NumPy operation, in recorded order (npdiff/graph.py). Derivatives reach a backend as graphs like any
other, so it needs no rules for them. Recording, signatures, guards, writes and the random stream belong to the layers
above; they rely on the following.

1. **Values.** An executable takes one value per graph input: an ndarray, NumPy scalar or Python number whose shape and
   dtype are those of the variable (else it raises `GuardFailed`). It returns one value per graph output, in NumPy's
   dtype and shape, in memory that nobody else holds: arrays as ndarray, 0-d ones as array or NumPy scalar. It leaves
   its inputs unchanged, also where the function writes into them: written arrays are outputs.
2. **Python numbers.** A variable whose aval is `weak` is a Python number: it takes the dtype of the other operand
   (NEP 50), and host calls must be given a Python number for it; as an output it is given as one, of any size.
3. **Guards.** The primitives `guard_truth` and `guard_equal` hold while their operand is what ``expected`` says;
   otherwise `GuardFailed` must leave the call. Everything that was computed until then is thrown away, so a guard may
   be evaluated later than it was recorded, but then nothing that comes after it may raise anything else.
4. **Order.** Equations of `ordered` primitives (random draws, prints, ``guard_raises``) run once per call, on the
   host, in recorded order. All others are pure.
5. **Errors.** Where NumPy would raise (an index out of range, a singular matrix), a backend that cannot raise it
   detects the case and raises `GuardFailed`: the function then runs on NumPy, and raises as it does.
6. **What it lacks** it may hand to NumPy: ``equation.prim.call(*arrays, **equation.params)`` evaluates any equation.
   `explain` must show which, and why. What a user asked for and cannot have is a `BackendError` from `compile`.
7. **Threads.** An executable may be called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from npdiff.avals import ndarray
from npdiff.graph import Graph
from npdiff.steps import Step


class OwnArrays(dict[int, Any]):
    """Arrays of the backend's own kind that a call was given, by the id of the ndarray that stands for each.

    Signatures, recordings and the function itself see the stand-ins; an executable takes the arrays instead, and gives
    arrays of their kind. Here stand-ins are read-only copies, for arrays that cannot be written into.

    Attributes
    ----------
    stand_ins
        One for each array, in order; the same for the same array.
    """

    def __init__(self, backend: Backend, arrays: Sequence[Any]) -> None:
        super().__init__()
        self.backend = backend
        self.stand_ins = self._stand_for(arrays)

    def _stand_for(self, arrays: Sequence[Any]) -> list[Any]:
        made: dict[int, Any] = {}
        for a in arrays:
            if id(a) not in made:
                made[id(a)] = self.backend.to_numpy(a)
                self[id(made[id(a)])] = a
        return [made[id(a)] for a in arrays]

    def fill(self) -> None:
        """Before the function itself runs on the stand-ins: they hold the arrays' values from now on."""

    def store(self) -> None:
        """When the call is over: what the function itself wrote into stand-ins reaches the arrays."""

    def write(self, target: Any, value: Any) -> None:
        """Write an output of an executable into an argument or an array outside."""
        target[...] = self.backend.to_numpy(value) if self.backend.is_array(value) else value

    def result(self, leaf: Any) -> Any:
        """A leaf of the function's result, in arrays of the backend's kind."""
        if id(leaf) in self:
            return self[id(leaf)]
        return self.backend.to_array(leaf) if isinstance(leaf, (ndarray, np.generic)) else leaf


# While a call runs that was given arrays of the backend's own kind.
own_arrays: ContextVar[OwnArrays | None] = ContextVar("npdiff_own_arrays", default=None)


class Executable(Protocol):
    """A graph that is ready to run."""

    def run(self, *arrays: Any) -> Sequence[Any]:
        """One value per output of the graph, given one per input."""

    def explain(self) -> str:
        """The steps in order, in words: what is compiled, what calls NumPy, and why."""

    def text(self) -> str:
        """What was given to the compiler (LLVM IR, StableHLO)."""


@runtime_checkable
class InSteps(Executable, Protocol):
    """An executable that can show and time its steps one by one; one that cannot is shown by `explain` alone."""

    @property
    def graph(self) -> Graph:
        """The graph that the steps compute."""

    def steps(self) -> Sequence[Step]:
        """The steps, in order."""

    def timed(self, *arrays: Any) -> Sequence[float]:
        """Run the graph as `run` does; the seconds that each step took."""


class Status(NamedTuple):
    """Whether a backend can run here.

    `devices` says on what; where it cannot, `why` says why not and `install` what to do.
    """

    name: str
    available: bool
    devices: str = ""
    why: str = ""
    install: str = ""


@dataclass(frozen=True)
class Placement:
    """How arrays lie on many devices: the mesh, and a partition (None: whole on each device) per input and output.

    `outputs` is None where the compiler may choose.
    """

    mesh: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...] | None = None


class Backend(Protocol):
    """A way to run graphs.

    Attributes
    ----------
    name
        What a user writes as ``backend=``.
    shards
        True if `compile` accepts a placement.
    """

    name: str
    shards: bool

    def status(self) -> Status:
        """Whether it can run here; must neither raise nor change anything outside."""

    def compile(self, graph: Graph, placement: Placement | None = None) -> Executable:
        """The graph, compiled; BackendError where that cannot be."""

    def is_array(self, value: Any) -> bool:
        """True for arrays of the backend's own kind; a call with one gives results of that kind."""

    def to_array(self, value: Any) -> Any:
        """An ndarray or NumPy scalar as an array of the backend's own kind."""

    def to_numpy(self, value: Any) -> Any:
        """An array of the backend's own kind as an ndarray."""

    def own(self, arrays: Sequence[Any]) -> OwnArrays:
        """What stands for these arrays of the backend's own kind during a call."""


@dataclass(frozen=True)
class Compiler:
    """A backend, and how arrays shall lie on its devices."""

    backend: Backend
    placement: Placement | None = None

    def __call__(self, graph: Graph) -> Executable:
        """The graph, compiled."""
        return self.backend.compile(graph, self.placement)

    def derived(self) -> Compiler:
        """For the graph of a derivative: its first inputs are the function's, the rest lies as the compiler likes."""
        if self.placement is None:
            return self
        return replace(self, placement=Placement(self.placement.mesh, self.placement.inputs))


def names(values: Sequence[str]) -> str:
    """``'cpu', 'cuda' and 'tpu'``."""
    quoted = [repr(v) for v in values]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]])


__all__ = [
    "Backend", "Compiler", "Executable", "InSteps", "OwnArrays", "Placement", "Status", "names", "own_arrays",
]
