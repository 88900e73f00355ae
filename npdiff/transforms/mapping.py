"""npdiff.vmap: code for one example, applied to a stack."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.core import aval
from npdiff.errors import ArgumentError, message
from npdiff.foreign import released
from npdiff.transforms.portable import portable
from npdiff.transforms.run import constants, is_array_like, own, running
from npdiff.transforms.vmap import BatchTrace, batch_input, batch_output


def _is_axis(a: Any) -> bool:
    return a is None or (isinstance(a, (int, np.integer)) and not isinstance(a, bool))


def _spread(axes: Any, value: Any, what: str) -> list[int | None]:
    """One axis per leaf of `value`: `axes` is an axis or a container that is a prefix of value's."""
    if _is_axis(axes):
        return [None if axes is None else int(axes)] * len(tree.leaves(value))
    children, value_children = _children(axes), _children(value)
    if children is None or value_children is None or type(axes) is not type(value) or len(children) != len(
            value_children):
        raise ArgumentError(message(
            f"vmap: {what} does not fit the value it describes", axes, value,
            instead=f"give {what} as an int, None, or containers of them shaped like the value"))
    out: list[int | None] = []
    for a, v in zip(children, value_children, strict=True):
        out += _spread(a, v, what)
    return out


def _children(obj: Any) -> list[Any] | None:
    if isinstance(obj, dict):
        return [obj[k] for k in sorted(obj, key=str)]
    if isinstance(obj, (tuple, list)):
        return list(obj)
    return None


@portable
def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """Apply a function written for one example to a whole batch at once.

    Parameters
    ----------
    f
        Function of one example.
    in_axes
        The batch axis of each positional argument: an int for all, or a tuple with an int, None (not batched) or a
        container of these for each. Keyword arguments are batched along axis 0.
    out_axes
        Where the batch axis goes in the results; None returns a result that does not depend on the batch once.

    Returns
    -------
    A function of batched arguments that returns batched results.

    Raises
    ------
    ArgumentError
        If batch sizes differ, in_axes or out_axes do not fit, or nothing is batched.
    BranchError
        If Python control flow depends on a value that differs between examples.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> npdiff.vmap(np.dot)(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 1.0], [0.0, 1.0]]))
    array([3., 4.])
    """
    if not callable(f):
        raise ArgumentError(message("vmap: the first argument must be a function", f,
                                    instead="write npdiff.vmap(f)(x), not npdiff.vmap(f(x))"))

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        axes_of_args = tuple(in_axes) if isinstance(in_axes, list) else in_axes
        if isinstance(axes_of_args, tuple) and len(axes_of_args) != len(args):
            raise ArgumentError(message(
                f"vmap: in_axes has {len(axes_of_args)} entries for {len(args)} positional arguments", in_axes,
                instead="give one entry per positional argument"))
        axes = _spread(axes_of_args, args, "in_axes") + [0] * len(tree.leaves(kwargs))
        leaves, structure = tree.flatten((args, kwargs))
        sizes = []
        for k, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)):
            if axis is None:
                continue
            if not is_array_like(leaf):
                raise ArgumentError(message(f"vmap: leaf {k} of the arguments is not an array", leaf,
                                            instead="give it None in in_axes"))
            shape = aval(leaf).shape
            if not -len(shape) <= axis < len(shape):
                raise ArgumentError(message(
                    f"vmap: leaf {k} of the arguments has {len(shape)} axes, and in_axes asks for axis {axis}", leaf,
                    instead="give it None in in_axes, or an axis it has"))
            sizes.append(shape[axis])
        if not sizes:
            raise ArgumentError(message("vmap: no argument is batched", *args[:4],
                                        instead="give at least one argument an axis in in_axes"))
        if len(set(sizes)) > 1:
            raise ArgumentError(message(f"vmap: batch sizes differ: {sizes}", *leaves[:6],
                                        instead="give all batched arguments the same size along their batch axis"))
        trace = BatchTrace(sizes[0])
        with running(trace):
            batched = [
                batch_input(trace, own(leaf), axis) if axis is not None else constants(leaf)
                for leaf, axis in zip(leaves, axes, strict=True)
            ]
            new_args, new_kwargs = tree.unflatten(structure, batched)
            out = f(*new_args, **new_kwargs)
            out_leaves, out_structure = tree.flatten(out)
            places = _spread(out_axes, out, "out_axes")
            results = [
                released(batch_output(trace, leaf, axis)) for leaf, axis in zip(out_leaves, places, strict=True)
            ]
        return tree.unflatten(out_structure, results)

    return functools.wraps(f)(wrapped) if hasattr(f, "__qualname__") else wrapped
