"""Track-style differentiation: npdiff.track(x), existing code, y.backward()."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from npdiff.array import DiffArray
from npdiff.avals import is_foreign, ndarray
from npdiff.core import Handle, Primitive, aval, bind, innermost, services, shape_of
from npdiff.errors import ArgumentError, message
from npdiff.foreign import filled
from npdiff.transforms.reverse import Node, ReverseTrace, cast_cotangent, cotangents, parents_of
from npdiff.transforms.run import check_input, own

# One trace for all of track-style code; it is older than every transform, so transforms nest on it.
_tracking = ReverseTrace()
_tracking.stay_open()


def track(x: Any) -> Any:
    """Make an array whose operations are recorded, for ``y.backward()`` and ``x.grad`` in existing code.

    Parameters
    ----------
    x
        A floating-point array or number (lists become arrays). It is copied: writes into the result do not reach it.

    Returns
    -------
    DiffArray of the same shape and dtype; see its ``grad``, ``value`` and ``backward``.

    Raises
    ------
    ArgumentError
        If x is not floating point.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> x = npdiff.track([1.0, 2.0, 3.0])
    >>> np.sum(np.sin(x) ** 2).backward()
    >>> np.allclose(x.grad, np.sin(2 * x.value))
    True
    """
    if isinstance(x, (list, tuple)):
        x = services["array"](x)
    check_input("track", x, "the argument")
    if isinstance(x, Handle):
        x = innermost(x)
    handle, node = _tracking.input(own(x))
    handle._leaf = _leaves_by_serial[node[0]] = Leaf(node)
    return handle


class Leaf:
    """Where the gradient of a tracked array is summed up; lives as long as the array itself."""

    __slots__ = ("__weakref__", "grad", "node")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.grad: Any = None


# A node does not know its array (that would be a reference cycle); leaves are found by the node's number.
_leaves_by_serial: weakref.WeakValueDictionary[int, Leaf] = weakref.WeakValueDictionary()


def _leaves(node: Node) -> list[Leaf]:
    seen = {node[0]}
    stack, found = [node], []
    while stack:
        serial = (last := stack.pop())[0]
        if last[3] is None and serial in _leaves_by_serial:
            found.append(_leaves_by_serial[serial])
        for p in parents_of(last):
            if p is not None and p[0] not in seen:
                seen.add(p[0])
                stack.append(p)
    return found


def backward(y: DiffArray, cotangent: Any) -> None:
    """Add y's derivatives to the ``grad`` of the tracked arrays that led to it."""
    y._sync()
    if y._trace is not _tracking:
        raise ArgumentError(message("backward: nothing made by npdiff.track led to this value", y,
                                    instead="call npdiff.track on the inputs, or use npdiff.grad"))
    a = aval(y)
    if cotangent is None:
        if a.shape != ():
            raise ArgumentError(message(f"backward: the value has shape {a.shape}, and one number is needed", y,
                                        instead="sum it, or pass a cotangent: y.backward(np.ones_like(y.value))"))
        cotangent = filled((), 1, a.dtype, y)[()]
    cotangent = innermost(cotangent)
    cotangent = own(cotangent) if is_foreign(cotangent) else np.asarray(cotangent)
    if shape_of(cotangent) != a.shape:
        raise ArgumentError(message(f"backward: the cotangent has shape {shape_of(cotangent)}, the value {a.shape}",
                                    cotangent, y, instead="give a cotangent of the value's shape"))
    leaves = _leaves(y._node)
    cts = cotangents([(y._node, cast_cotangent(cotangent, a.dtype))], [leaf.node for leaf in leaves])
    for leaf, ct in zip(leaves, cts, strict=True):
        if ct is not None:
            ct = innermost(ct)
            ct = ct.copy()[()] if isinstance(ct, ndarray) else ct
            leaf.grad = ct if leaf.grad is None else leaf.grad + ct


services["backward"] = backward

_stop = Primitive("stop_gradient", lambda x: x, kind="nondifferentiable",
                  batch=lambda _size, args, _batched, _params: args[0])


def stop_gradient(x: Any) -> Any:
    """The same value as a constant: no derivative passes through it.

    Parameters
    ----------
    x
        Array, number or tracked value.

    Returns
    -------
    A value that all running transforms treat as constant; plain arrays are returned as they are.

    Examples
    --------
    >>> import npdiff
    >>> float(npdiff.grad(lambda x: x * npdiff.stop_gradient(x))(3.0))
    3.0
    """
    return bind(_stop, (x,), {}) if isinstance(x, Handle) else x


__all__ = ["backward", "stop_gradient", "track"]
