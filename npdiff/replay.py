"""One recording of a jitted function: made by running it once, replayed by running its graph."""

from __future__ import annotations

import contextlib
import copy
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.array import DiffArray, View, copy_layout, is_scalar
from npdiff.avals import PYTHON_NUMBERS, ndarray
from npdiff.backend.contract import InSteps, own_arrays
from npdiff.backend.cpu import ON_CPU
from npdiff.core import Handle, Primitive, constant, innermost
from npdiff.dispatch.effects import held_prints, let_out
from npdiff.environment import COPIED, Environment, Image
from npdiff.graph import Graph, prune, verify
from npdiff.kernels.native import trim
from npdiff.program import Program
from npdiff.steps import nbytes
from npdiff.transforms.run import running
from npdiff.transforms.stage import StageTrace, guard_raises, is_value

# Bytes of all results of a recorded run from which it is worth a look at what the C library keeps of them afterwards.
_LARGE = 1 << 26


@dataclass(frozen=True)
class Output:
    """How to make one leaf of the result.

    `how` is "array", "scalar" or "number" (a graph output as ndarray, NumPy scalar, Python number), "input" (the
    caller's own array, or a view of it through `views`), "view" (a view of a graph output), "same" (the object that an
    earlier leaf is), "outside" (a container that the function closes over; `value` finds it) or "object".
    """

    how: str
    index: int = -1
    value: Any = None
    views: tuple[Callable[[Any], Any], ...] = ()

    def make(self, outs: Sequence[Any], values: Sequence[Any], before: Sequence[Any]) -> Any:
        """The leaf, given the graph's outputs and inputs and the leaves before it."""
        if self.how == "same":
            return before[self.index]
        if self.how == "outside":
            return self.value()
        if self.how == "object":
            return self.value.copy("K") if type(self.value) is ndarray else self.value
        v = values[self.index] if self.how == "input" else outs[self.index]
        if isinstance(v, Handle) and self.how in ("array", "scalar", "number"):
            return v  # under a transform
        if self.how == "array":
            return np.asarray(v) if isinstance(v, (*PYTHON_NUMBERS, np.generic)) else v
        if self.how == "scalar":
            return v[()] if type(v) is ndarray else v
        if self.how == "number":
            return v.item() if isinstance(v, (ndarray, np.generic)) else v
        if isinstance(v, np.generic):  # an executable gives scalars for what has no axes
            v = np.asarray(v)
        whole = v
        for get in self.views:
            v = get(v)
        return v.view() if self.views and v is whole else v


class Recording:
    """The graph of one run, and everything needed to run it again as the function would.

    Attributes
    ----------
    graph
        Inputs: the call's operands, then the arrays of the environment. Outputs: results, then written arrays.
    writes
        Positions of the inputs whose arrays the function wrote into.
    blocked
        Why it must not be replayed; empty if it may.
    done
        True if it is blocked, but the run it was made in can stand for the call, and must not be done again.
    """

    def __init__(self, environment: Environment) -> None:
        self.graph: Graph = Graph([], {}, [], [])
        self.environment = environment
        self.outputs: list[Output] = []
        self.structure: Any = None
        self.writes: list[int] = []
        self.results = 0
        self.identities: tuple[int, ...] = ()
        self.blocked: list[str] = []
        self.draws = self.prints = self.done = False
        self.program: Program | None = None
        self.compiler = ON_CPU
        self.calls = 0
        self.quickened = 0  # how often a fast path was written for it
        self.name = ""
        self.record_seconds = 0.0

    # ------------------------------------------------------------------ replaying

    def inputs(self, roots: Sequence[Any], operands: Sequence[Any]) -> list[Any] | None:
        """Values of the graph's inputs for this call; None if the environment is no longer the recorded one."""
        arrays = self.environment.collect(roots)
        if arrays is None:
            return None
        values = [*operands, *arrays]
        if identities(values) != self.identities or (self.writes and overlapping(values)):
            return None
        return values

    def execute(self, values: Sequence[Any]) -> Sequence[Any]:
        """Outputs of the graph on plain values; where it cannot finish, it leaves no trace.

        Raises GuardFailed where Python would have gone another way, and whatever an operation of the graph raises.
        """
        program = self.compiled()
        if not self.draws and not self.prints:
            return program.run(values)
        state = np.random.get_state(legacy=False)  # noqa: NPY002 (the user's stream is NumPy's)
        token = held_prints.set([])
        try:
            outs = program.run(values)
            said = held_prints.get()
        except Exception:
            np.random.set_state(state)  # noqa: NPY002
            raise
        finally:
            held_prints.reset(token)
        let_out(said or [])
        return outs

    def catches(self, error: Exception) -> bool:
        """True if in the recorded run an operation raised such an error, and the function went on."""
        return any(eq.prim is guard_raises and isinstance(error, eq.params["error"]) for eq in self.graph.equations)

    def decisions(self) -> list[tuple[str, str]]:
        """Where Python asked for a value, or a size followed from values, and what it was."""
        made = []
        for eq in self.graph.equations:
            if eq.source and (eq.prim.name.startswith("guard") or eq.prim.dynamic):
                answer = eq.params.get("expected", eq.params.get("error", [v.aval.shape for v in eq.outputs]))
                made.append((f"{eq.source[0]}:{eq.source[1]}", repr(answer)))
        return made

    def same_path(self, other: Recording) -> bool:
        """True if both wrote down the same operations with the same answers: Python went the same way."""
        mine, theirs = self.graph.equations, other.graph.equations
        return len(mine) == len(theirs) and all(
            a.prim.name == b.prim.name and [v.aval for v in a.outputs] == [v.aval for v in b.outputs]
            and alike(a.params, b.params) for a, b in zip(mine, theirs, strict=True))

    def timed(self, executable: InSteps, values: Sequence[Any]) -> Sequence[float]:
        """Run the graph on plain values for its times alone: seconds of each step.

        Raises GuardFailed where Python would have gone another way. Random draws and prints leave no trace.
        """
        if not self.draws and not self.prints:
            return executable.timed(*values)
        with _undone():
            return executable.timed(*values)

    def compiled(self) -> Program:
        """The graph's program, compiled when first needed."""
        if self.program is None:
            self.program = Program(self.graph, compiler=self.compiler, name=self.name)
        return self.program

    def finish(self, outs: Sequence[Any], values: Sequence[Any]) -> Any:
        """Write into the caller's arrays what the function writes, and build its result."""
        own = own_arrays.get()
        write = _write if own is None else own.write
        if own is not None:  # views are cut out of ndarrays
            parts = {o.index for o in self.outputs if o.how == "view"}
            outs = [own.backend.to_numpy(v) if k in parts and own.backend.is_array(v) else v
                    for k, v in enumerate(outs)]
        for k, position in enumerate(self.writes):
            write(values[position], outs[self.results + k])
        return tree.unflatten(self.structure, self.leaves(outs, values))

    def leaves(self, outs: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """The leaves of the function's result."""
        leaves: list[Any] = []
        for o in self.outputs:
            leaves.append(o.make(outs, values, leaves))
        return leaves


@contextlib.contextmanager
def _undone() -> Iterator[None]:
    """What is drawn and printed meanwhile leaves no trace."""
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    token = held_prints.set([])
    try:
        yield
    finally:
        held_prints.reset(token)
        np.random.set_state(state)  # noqa: NPY002


def alike(a: Any, b: Any) -> bool:
    """True if two parameters of an equation say the same."""
    if type(a) is not type(b):
        return False
    if isinstance(a, ndarray):
        return a.dtype == b.dtype and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, Primitive):
        return bool(a.name == b.name)
    if callable(a) and not isinstance(a, type):
        return True  # made anew by each recording
    return a is b or bool(a == b) or bool(a != a and b != b)


def _write(target: Any, value: Any) -> None:
    target[...] = value


class NotRecorded(Exception):
    """Internal: the function did not run through on stand-ins, or cannot be recorded; nothing was changed."""


def record(f: Callable[..., Any], roots: Sequence[Any], leaves: Sequence[Any], structure: Any,
           static: Sequence[bool], wait: bool = False) -> tuple[Recording, Callable[[], Any]]:
    """Run f once on stand-ins for its arguments and for all it reads, writing everything down.

    `roots` are f and those arguments that are objects to look into; `static` marks leaves that are no operands. With
    `wait`, f is not run if it imports what nobody has imported yet.
    Returns the recording, and what completes the call: writes, prints and the result. Until then nothing outside
    has changed, except what the function does to files and the like; if the run cannot be used, NotRecorded is raised
    or `blocked` says why.
    """
    made = Recording(Environment(roots))
    made.blocked += made.environment.blocked
    if made.environment.tracked or (wait and made.environment.absent) or made.blocked:
        return made, _never
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    token = held_prints.set([])
    good = False
    try:
        complete = _run(made, f, roots, leaves, structure, static)
        if sum([nbytes(v.aval) for eq in made.graph.equations for v in eq.outputs]) >= _LARGE:
            trim()
        said = held_prints.get() or []
        good = made.done or not made.blocked
    except Exception as error:
        made.blocked += made.environment.put_back() + made.environment.disturbed()
        raise NotRecorded from error
    finally:
        held_prints.reset(token)
        if not good:
            np.random.set_state(state)  # noqa: NPY002

    def finish() -> Any:
        let_out(said)
        return complete()

    return made, finish


def _never() -> Any:
    raise AssertionError("a blocked recording was used")


def _run(made: Recording, f: Callable[..., Any], roots: Sequence[Any], leaves: Sequence[Any], structure: Any,
         static: Sequence[bool]) -> Callable[[], Any]:
    environment = made.environment
    trace = StageTrace(effects=True)
    with running(trace):
        handles: dict[int, DiffArray] = {}
        operands: list[Any] = []
        inputs: list[DiffArray] = []

        def stage(value: Any) -> DiffArray:
            handle = handles.get(id(value)) if type(value) is ndarray else None
            # The same array passed twice is one array: a write through one name shows in the other.
            fresh = trace.input(copy_layout(value) if type(value) is ndarray else value)
            inputs.append(fresh)
            operands.append(value)
            if handle is None:
                handle = DiffArray(trace, fresh._value, fresh._node)
                if type(value) is ndarray:
                    handles[id(value)] = handle
            return handle

        staged = [leaf if fixed else stage(leaf) for leaf, fixed in zip(leaves, static, strict=True)]
        for array in environment.arrays:
            stage(array)
        image = environment.image(handles)
        staged = [image.of(leaf) if fixed else leaf for leaf, fixed in zip(staged, static, strict=True)]
        given = tree.unflatten(structure, staged)
        out = image.of(f)(*given[0], **given[1])
        out_leaves, made.structure = tree.flatten(_with_originals(out, image))
        made.structure = _plain_keys(made.structure)
        made.identities = identities(operands)
        made.outputs, results = _outputs(
            [image.original(leaf) for leaf in out_leaves], handles, operands, environment)
        made.results = len(results)
        written = []
        for k, (value, first) in enumerate(zip(operands, inputs, strict=True)):
            if type(value) is ndarray and made.identities[k] == k and handles[id(value)]._node is not first._node:
                if not value.flags.writeable:
                    raise ValueError("a read-only array was written into")
                made.writes.append(k)
                written.append(handles[id(value)])
        undone = image.changed() + environment.put_back()
        if not _unmoved(given, staged, structure):
            undone.append("it changes a container among its arguments")
        if made.writes and overlapping(operands):
            undone.append(OVERLAP)
        disturbed = environment.disturbed()
        made.done = (trace.acted or bool(disturbed)) and not undone  # what was done outside must not be done twice
        made.blocked += trace.blocked + undone + disturbed
        graph = Graph([h._node for h in inputs], {}, trace.equations, [trace.atom(r) for r in [*results, *written]])
        graph.constants.update(trace.constants)
        made.graph = prune(graph)
        verify(made.graph)
        called = [eq.params.get("prim", eq.prim).name for eq in made.graph.equations]
        made.draws = any(name.startswith("random.") for name in called)
        made.prints = "print" in called
        outs = [innermost(h) if isinstance(h, Handle) else h for h in [*results, *written]]
    copies = [o.copy("K") if type(o) is ndarray else o for o in outs]
    return lambda: made.finish(copies, operands)


OVERLAP = "two arguments share memory, so their writes would have to reach each other"


def _unmoved(given: Any, staged: Sequence[Any], structure: Any) -> bool:
    now, shape = tree.flatten(given)
    return shape == structure and all(a is b for a, b in zip(now, staged, strict=True))


def _plain_keys(structure: tree.Structure) -> tree.Structure:
    """The structure with values for tracked numbers that became keys of a dict (hashing them left a guard)."""
    aux = structure.aux
    if isinstance(aux, tuple) and any(isinstance(k, Handle) for k in aux):
        aux = tuple([innermost(k) for k in aux])
    children = tuple([_plain_keys(c) for c in structure.children])
    return structure if structure.kind is None else tree.Structure(structure.kind, aux, children)


class _Outside:
    """Stands in a result for a container of the world outside, which is returned itself."""

    def __init__(self, container: Any) -> None:
        self.container = container


def _with_originals(value: Any, image: Image) -> Any:
    """A result in which images of containers are marked as what they are images of."""
    kind = type(value)
    if kind not in (*COPIED, tuple):
        return value
    original = image.original(value)
    if original is not value:
        return _Outside(original)
    if kind in (set, deque, Counter):
        return value
    if kind in (list, tuple):
        return kind([_with_originals(v, image) for v in value])
    same = copy.copy(value)
    same.update((k, _with_originals(v, image)) for k, v in value.items())
    return same


def _outputs(leaves: Sequence[Any], handles: dict[int, DiffArray], operands: Sequence[Any],
             environment: Environment) -> tuple[list[Output], list[Any]]:
    outputs: list[Output] = []
    results: list[Any] = []
    seen: dict[int, int] = {}
    roots: dict[int, int] = {}  # arrays of which results are views, by id: their number among the results
    own = {id(handles[id(v)]): k for k, v in reversed(list(enumerate(operands))) if id(v) in handles}
    paths = [_path(leaf) for leaf in leaves]
    for k, (leaf, (root, views)) in enumerate(zip(leaves, paths, strict=True)):
        if id(leaf) in seen and (isinstance(leaf, Handle) or type(leaf) is ndarray):
            outputs.append(Output("same", seen[id(leaf)]))
        elif isinstance(leaf, _Outside):
            outputs.append(Output("outside", value=environment.way_to(leaf.container)))
        elif type(leaf) is ndarray and sum(_memory(other) is _memory(leaf) for other in leaves) > 1:
            # Plain arrays that share memory shall share it in the result, too.
            memory = _memory(leaf)
            if id(memory) not in roots:
                roots[id(memory)] = len(results)
                results.append(constant(memory))
            outputs.append(Output("array", roots[id(memory)]) if leaf is memory else
                           Output("view", roots[id(memory)], views=(_window(leaf, memory),)))
        elif not isinstance(leaf, Handle):
            outputs.append(Output("object", value=leaf))
        elif id(root) in own and type(operands[own[id(root)]]) is ndarray:
            outputs.append(Output("input", own[id(root)], views=views))
        elif views and sum(other is root for other, _ in paths) > 1:
            # Several results share an array that is no argument: they shall share one in the result, too.
            if id(root) not in roots:
                roots[id(root)] = len(results)
                results.append(root)
            outputs.append(Output("view", roots[id(root)], views=views))
        else:
            value = innermost(leaf)
            how = "number" if isinstance(value, PYTHON_NUMBERS) and not isinstance(value, np.generic) else (
                "scalar" if is_scalar(leaf) else "array")
            if not is_value(value):
                outputs.append(Output("object", value=value))
            else:
                if id(leaf) not in roots:
                    roots[id(leaf)] = len(results)
                    results.append(leaf)
                outputs.append(Output(how, roots[id(leaf)]))
        seen.setdefault(id(leaf), k)
    return outputs, results


def _memory(array: Any) -> Any:
    """The array that owns the memory of a plain one; anything else itself."""
    while type(array) is ndarray and type(array.base) is ndarray:
        array = array.base
    return array


def _window(part: Any, whole: Any) -> Callable[[Any], Any]:
    """Cut out of an array laid out as `whole` is what `part` is of it."""
    offset = part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    shape, dtype, strides = part.shape, part.dtype, part.strides
    return lambda v: ndarray(shape, dtype, v if v.flags.c_contiguous else v.T, offset, strides)


def _path(leaf: Any) -> tuple[Any, tuple[Callable[[Any], Any], ...]]:
    """The handle whose memory a view shares, and the way from there."""
    views: list[Callable[[Any], Any]] = []
    while type(leaf) is View:
        leaf._sync()
        views.insert(0, _on_plain(leaf._get))
        leaf = leaf._base
    if isinstance(leaf, Handle):
        leaf._sync()
    return leaf, tuple(views)


def _on_plain(get: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def view(a: Any) -> Any:
        out = get(a)
        return out._value if isinstance(out, Handle) else out

    return view


def identities(values: Sequence[Any]) -> tuple[int, ...]:
    """For each array the position of the first that is the same object."""
    first: dict[int, int] = {}
    return tuple([first.setdefault(id(v), k) if type(v) is ndarray else k for k, v in enumerate(values)])


def overlapping(values: Sequence[Any]) -> bool:
    """True if two different arrays share memory."""
    arrays = list({id(v): v for v in values if type(v) is ndarray}.values())
    return any(np.may_share_memory(a, b) for k, a in enumerate(arrays) for b in arrays[k + 1:])


__all__ = ["OVERLAP", "NotRecorded", "Output", "Recording", "identities", "overlapping", "record"]
