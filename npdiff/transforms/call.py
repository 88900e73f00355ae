"""call_graph: a whole recorded graph as one primitive, differentiated and batched by running it again.

Its pullback runs the graph once more under reverse mode from the saved inputs, so nothing inside the
graph is kept in memory between the way forward and the way back: that is checkpointing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from npdiff.array import DiffArray
from npdiff.core import Handle, Primitive, above_foreign, aval, bind
from npdiff.graph import Graph, Var, evaluate
from npdiff.transforms.jvp import JvpTrace
from npdiff.transforms.reverse import ReverseTrace, cast_cotangent, pullback, seed
from npdiff.transforms.vmap import BatchTrace, batch_output


def _run(*args: Any, graph: Graph) -> Any:
    if above_foreign(args):
        return bind(call_graph_p, args, {"graph": graph})
    return tuple(evaluate(graph, args))


def push(run: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """Tangents of the outputs of ``run(*primals)``."""
    trace = JvpTrace()
    try:
        inputs = [p if t is None else DiffArray(trace, p, t) for p, t in zip(primals, tangents, strict=True)]
        return [
            o._node if isinstance(o, Handle) and o._trace is trace else None for o in run(*inputs)
        ]
    finally:
        trace.close()


def pull(run: Callable[..., Any], args: Sequence[Any], cts: Sequence[Any], needed: Sequence[Any]) -> list[Any]:
    """Cotangents of the arguments of ``run(*args)``, which is run again for it."""
    trace = ReverseTrace()
    try:
        pairs = [trace.input(a) if n is not None else (a, None) for a, n in zip(args, needed, strict=True)]
        seeds = []
        for o, ct in zip(run(*[h for h, _ in pairs]), cts, strict=True):
            if ct is not None:
                seeds += seed(o, cast_cotangent(ct, aval(o).dtype), trace)
    finally:
        trace.close()
    found = iter(pullback(seeds, [n for _, n in pairs if n is not None]))
    return [None if n is None else next(found) for _, n in pairs]


def batch(run: Callable[..., Any], size: int, args: Sequence[Any], batched: Sequence[bool]) -> tuple[Any, ...]:
    """Outputs of ``run`` for a whole batch, batch axis in front."""
    trace = BatchTrace(size)
    try:
        inputs = [DiffArray(trace, a, None) if b else a for a, b in zip(args, batched, strict=True)]
        return tuple([batch_output(trace, o, 0) for o in run(*inputs)])
    finally:
        trace.close()


def _runner(graph: Graph) -> Callable[..., list[Any]]:
    return lambda *xs: evaluate(graph, xs)


def _jvp(_out: Any, primals: Sequence[Any], tangents: Sequence[Any], *, graph: Graph) -> Any:
    return push(_runner(graph), primals, tangents)


def _pull(cts: Any, _out: Any, args: Sequence[Any], needed: Sequence[Any], params: dict[str, Any]) -> Any:
    return pull(_runner(params["graph"]), args, cts, needed)


def _batch(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    return batch(_runner(params["graph"]), size, args, batched)


call_graph_p = Primitive("call_graph", _run, kind="nonlinear", jvp=_jvp, pull=_pull, batch=_batch, multiple=True)


def closed(graph: Graph) -> tuple[Graph, list[Any]]:
    """The graph with its tracked constants as further inputs, and those constants: derivatives pass through them."""
    tracked = [(v, c) for v, c in graph.constants.items() if isinstance(c, Handle)]
    constants = {v: c for v, c in graph.constants.items() if not isinstance(c, Handle)}
    more: list[Var] = [v for v, _ in tracked]
    return Graph([*graph.inputs, *more], constants, graph.equations, graph.outputs), [c for _, c in tracked]


__all__ = ["batch", "call_graph_p", "closed", "pull", "push"]
