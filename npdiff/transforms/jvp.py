"""Forward mode: push a tangent along with every value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.array import DiffArray
from npdiff.avals import is_differentiable
from npdiff.core import Handle, Primitive, Trace, aval, constant, lower, shape_of
from npdiff.errors import NotDifferentiableError, message
from npdiff.transforms.reverse import dropped


class JvpTrace(Trace):
    """Evaluates on the values below and computes each result's tangent beside it."""

    kind = "forward-mode"

    def process(self, prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        primals = [lower(a, self) for a in args]
        tangents = [a._node if isinstance(a, Handle) and a._trace is self else None for a in args]
        out = prim.call(*primals, **params)
        if prim.kind == "nondifferentiable":
            return _below(out)
        if prim.jvp is None:
            raise NotDifferentiableError(message(f"{prim.name}: has no derivative rule", *args,
                                                 instead="use npdiff.stop_gradient if it is meant as a constant"))
        if not prim.multiple and not is_differentiable(aval(out).dtype):
            return _below(out)
        with np.errstate(all="ignore"):
            out_dot = prim.jvp(out, primals, tangents, **params)
        if not prim.multiple:
            return self._pair(out, out_dot)
        return tuple([self._pair(o, t) for o, t in zip(out, out_dot, strict=True)])

    def _pair(self, out: Any, tangent: Any) -> Any:
        a = aval(out)
        if tangent is None or not is_differentiable(a.dtype):
            return _below(out)
        if shape_of(tangent) != a.shape:
            tangent = np.broadcast_to(tangent, a.shape)
        if tangent.dtype != a.dtype:
            tangent = tangent.astype(a.dtype)
        return DiffArray(self, out, tangent)

    def ask(self, handle: Any, what: str) -> Any:
        return handle._value

    def take(self, handle: Any, what: str) -> Any:
        raise dropped(handle, what)


def _below(out: Any) -> Any:
    if isinstance(out, tuple):
        return tuple([_below(o) for o in out])
    return out if isinstance(out, Handle) else constant(out)
