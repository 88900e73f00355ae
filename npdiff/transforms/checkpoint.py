"""npdiff.checkpoint: trade recomputation for memory in reverse mode."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from npdiff import tree
from npdiff.core import Handle, bind
from npdiff.graph import prune
from npdiff.transforms.call import call_graph_p, closed
from npdiff.transforms.portable import portable
from npdiff.transforms.run import is_array_like, own, running
from npdiff.transforms.stage import StageTrace, result_value
from npdiff.transforms.watch import watching


@portable
def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """Make f forget its intermediate values: reverse mode computes them again from f's arguments.

    Parameters
    ----------
    f
        Any function of arrays (in containers if need be). It may close over tracked values.

    Returns
    -------
    A function with the same values and the same derivatives, in whose record only f's inputs are kept.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> layer = npdiff.checkpoint(lambda x: np.sin(np.exp(x)))
    >>> float(npdiff.grad(lambda x: layer(x) ** 2)(0.0)) == float(
    ...     npdiff.grad(lambda x: np.sin(np.exp(x)) ** 2)(0.0))
    True
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree.flatten((args, kwargs))
        if watching() or not any(isinstance(leaf, Handle) for leaf in leaves):
            return f(*args, **kwargs)
        trace = StageTrace()
        with running(trace):
            staged = [trace.input(own(leaf)) if is_array_like(leaf) else None for leaf in leaves]
            call = [leaf if s is None else s for s, leaf in zip(staged, leaves, strict=True)]
            new_args, new_kwargs = tree.unflatten(structure, call)
            out_leaves, out_structure = tree.flatten(f(*new_args, **new_kwargs))
            outputs = [o for o in out_leaves if is_array_like(o)]
            graph, more = closed(prune(trace.graph([s for s in staged if s is not None], outputs)))
            out_leaves = [o if is_array_like(o) else result_value(trace, o) for o in out_leaves]
        operands = [leaf for leaf in leaves if is_array_like(leaf)]
        results = iter(bind(call_graph_p, [*operands, *more], {"graph": graph}))
        return tree.unflatten(out_structure, [next(results) if is_array_like(o) else o for o in out_leaves])

    return wrapped
