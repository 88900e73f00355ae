"""One recording of a jitted function: made by running it once, replayed by running its graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.array import DiffArray, View, copy_layout, is_scalar
from npdiff.avals import PYTHON_NUMBERS, ndarray
from npdiff.core import Handle, innermost
from npdiff.environment import ArrayPlace, Environment
from npdiff.errors import GuardFailed
from npdiff.graph import Graph, prune, verify
from npdiff.program import Program
from npdiff.transforms.run import running
from npdiff.transforms.stage import StageTrace, is_value


@dataclass(frozen=True)
class Output:
    """How to make one leaf of the result.

    `how` is "array", "scalar" or "number" (a graph output as ndarray, NumPy scalar, Python number), "input" (the
    caller's own array, or a view of it through `views`), "same" (the object that an earlier leaf is) or "object".
    """

    how: str
    index: int = -1
    value: Any = None
    views: tuple[Callable[[Any], Any], ...] = ()


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
    """

    def __init__(self) -> None:
        self.graph: Graph = Graph([], {}, [], [])
        self.environment: Environment | None = None
        self.outputs: list[Output] = []
        self.structure: Any = None
        self.writes: list[int] = []
        self.results = 0
        self.operands = 0
        self.identities: tuple[int, ...] = ()
        self.blocked: list[str] = []
        self.draws = False
        self.program: Program | None = None
        self.calls = 0

    # ------------------------------------------------------------------ replaying

    def inputs(self, operands: Sequence[Any]) -> list[Any] | None:
        """Values of the graph's inputs for this call; None if the environment is no longer the recorded one."""
        environment = self.environment
        if environment is None or not environment.unchanged():
            return None
        values = list(operands)
        for place in environment.array_places:
            arrays = place.arrays()
            if arrays is None:
                return None
            values += arrays
        if identities(values) != self.identities or (self.writes and overlapping(values)):
            return None
        return values

    def execute(self, values: Sequence[Any]) -> Sequence[Any]:
        """Outputs of the graph on plain values; the random stream is put back if a guard fails."""
        if not self.draws:
            return self.compiled().run(values)
        state = np.random.get_state(legacy=False)  # noqa: NPY002 (the user's stream is NumPy's)
        try:
            return self.compiled().run(values)
        except GuardFailed:
            np.random.set_state(state)  # noqa: NPY002
            raise

    def compiled(self) -> Program:
        """The graph's program, compiled when first needed."""
        if self.program is None:
            self.program = Program(self.graph)
        return self.program

    def finish(self, outs: Sequence[Any], values: Sequence[Any]) -> Any:
        """Write into the caller's arrays what the function writes, and build its result."""
        for k, position in enumerate(self.writes):
            values[position][...] = outs[self.results + k]
        leaves: list[Any] = []
        for o in self.outputs:
            if o.how == "array":
                v = outs[o.index]
                leaves.append(v if type(v) is ndarray else np.asarray(v))
            elif o.how == "scalar":
                v = outs[o.index]
                leaves.append(v[()] if type(v) is ndarray else v)
            elif o.how == "number":
                v = outs[o.index]
                leaves.append(v.item() if isinstance(v, (ndarray, np.generic)) else v)
            elif o.how == "input":
                v = values[o.index]
                for get in o.views:
                    v = get(v)
                leaves.append(v)
            elif o.how == "same":
                leaves.append(leaves[o.index])
            else:
                leaves.append(o.value.copy() if type(o.value) is ndarray else o.value)
        return tree.unflatten(self.structure, leaves)


def record(f: Callable[..., Any], called: tuple[Any, Any], leaves: Sequence[Any], structure: Any,
           static: Sequence[bool]) -> tuple[Recording, Any]:
    """Run f on its arguments, writing everything down; returns the recording and f's result.

    `called` is ``(args, kwargs)``, `leaves` and `structure` the same flattened; `static` marks leaves that are no
    operands. The run has f's own effects: arguments and their containers are written into.
    """
    made = Recording()
    environment = made.environment = Environment(f)
    if environment.blocked:  # known before the run: f itself runs, not a clone that would keep its assignments
        made.blocked = environment.blocked
        args, kwargs = called
        return made, f(*args, **kwargs)
    trace = StageTrace()
    with running(trace):
        handles: dict[int, DiffArray] = {}
        staged: list[Any] = []
        operands: list[Any] = []
        inputs: list[DiffArray] = []
        stood_in: list[DiffArray] = []  # keeps the handles alive, so that their ids stay their own
        origins: dict[int, Any] = {}

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
            stood_in.append(handle)
            origins[id(handle)] = value
            return handle

        for leaf, fixed in zip(leaves, static, strict=True):
            staged.append(leaf if fixed else stage(leaf))
        made.operands = len(inputs)
        stand_ins: dict[int, Any] = {}
        for place in environment.array_places:
            stand_ins[id(place.expected)] = _stand_in(place, stage)
        clone = environment.clone(stand_ins, {"print": _printer(trace)})
        args, kwargs = tree.unflatten(structure, staged)
        out = clone(*args, **kwargs)
        out_leaves, made.structure = tree.flatten(out)
        made.outputs, results = _outputs(out_leaves, handles, operands, trace)
        made.results = len(results)
        written = []
        made.identities = identities(operands)
        for k, (value, first) in enumerate(zip(operands, inputs, strict=True)):
            if type(value) is not ndarray or made.identities[k] != k:
                continue
            if handles[id(value)]._node is not first._node:
                made.writes.append(k)
                written.append(handles[id(value)])
        made.blocked += trace.blocked + environment.disturbed()
        if _commit(called, (args, kwargs), origins):
            made.blocked.append("a container among the arguments was changed by the function")
        for place in environment.array_places:
            if _commit(place.expected, stand_ins[id(place.expected)], origins):
                made.blocked.append(f"the container {place.label} was changed by the function")
        for watched in environment.places:
            held = watched.get()
            _commit(held, held, origins)
        graph = Graph([h._node for h in inputs], {}, trace.equations, [trace.atom(r) for r in [*results, *written]])
        graph.constants.update(trace.constants)
        made.graph = prune(graph)
        verify(made.graph)
        made.draws = any(eq.prim.name.startswith("random.") for eq in made.graph.equations)
        outs = [innermost(h) if isinstance(h, Handle) else h for h in [*results, *written]]
    return made, made.finish([o.copy() if type(o) is ndarray else o for o in outs], operands)


def _stand_in(place: ArrayPlace, stage: Callable[[Any], Any]) -> Any:
    return tree.map_leaves(lambda leaf: stage(leaf) if type(leaf) is ndarray else leaf, place.expected)


def _commit(real: Any, stand_in: Any, origins: dict[int, Any]) -> bool:
    """Do to lists and dicts (also inside tuples) what f did to their stand-ins; True if that was anything.

    `origins` are the values that the handles of the stand-in stand for. A container that is its own stand-in only
    loses the handles that f put into it.
    """
    if isinstance(real, tuple):
        done = [_commit(r, s, origins) for r, s in zip(real, stand_in, strict=True)]
        return any(done)
    if not isinstance(real, (list, dict)):
        return False
    changed = False
    keys: Any = range(len(stand_in)) if isinstance(real, list) else list(stand_in)
    if isinstance(real, list):
        if len(real) != len(stand_in):
            changed = True
            del real[len(stand_in):]
            real += [None] * (len(stand_in) - len(real))
    else:
        for key in [k for k in real if k not in stand_in]:
            changed = True
            del real[key]
    for key in keys:
        new = stand_in[key]
        old = real[key] if isinstance(real, list) else real.get(key)
        if isinstance(new, (list, dict, tuple)) and type(old) is type(new) and (
                not isinstance(new, tuple) or len(old) == len(new)):
            changed |= _commit(old, new, origins)
        elif isinstance(new, Handle):
            if id(new) not in origins or origins[id(new)] is not old:
                changed = True
                real[key] = _settled(new, origins)
        elif new is not old:
            changed = True
            real[key] = tree.map_leaves(lambda leaf: _settled(leaf, origins), new)
    return changed


def _settled(leaf: Any, origins: dict[int, Any]) -> Any:
    """The plain value of a handle that outlives the recording."""
    if not isinstance(leaf, Handle):
        return leaf
    if id(leaf) in origins:
        return origins[id(leaf)]
    value = innermost(leaf)
    return value.copy() if type(value) is ndarray else value


def _printer(trace: StageTrace) -> Callable[..., Any]:
    def stand_in(*args: Any, **kwargs: Any) -> None:
        trace.host_call("print", print, args, kwargs)

    return stand_in


def _outputs(leaves: Sequence[Any], handles: dict[int, DiffArray], operands: Sequence[Any],
             trace: StageTrace) -> tuple[list[Output], list[Any]]:
    outputs: list[Output] = []
    results: list[Any] = []
    seen: dict[int, int] = {}
    own = {id(handles[id(v)]): k for k, v in reversed(list(enumerate(operands))) if id(v) in handles}
    for k, leaf in enumerate(leaves):
        if not isinstance(leaf, Handle):
            position = next((i for i, v in enumerate(operands) if v is leaf and type(v) is ndarray), None)
            outputs.append(Output("object", value=leaf) if position is None else Output("input", position))
            continue
        if id(leaf) in seen:
            outputs.append(Output("same", seen[id(leaf)]))
            continue
        seen[id(leaf)] = k
        leaf._sync()
        root: Any = leaf
        views: list[Callable[[Any], Any]] = []
        while type(root) is View:
            views.insert(0, _on_plain(root._get))
            root = root._base
        if id(root) in own and type(operands[own[id(root)]]) is ndarray:
            outputs.append(Output("input", own[id(root)], views=tuple(views)))
            continue
        value = innermost(leaf)
        if not is_value(value):
            outputs.append(Output("object", value=value))
            continue
        how = "number" if isinstance(value, PYTHON_NUMBERS) and not isinstance(value, np.generic) else (
            "scalar" if is_scalar(leaf) else "array")
        outputs.append(Output(how, len(results)))
        results.append(leaf)
    return outputs, results


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


__all__ = ["Output", "Recording", "identities", "overlapping", "record"]
