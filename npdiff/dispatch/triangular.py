"""Systems of triangular matrices: what derivatives of factorisations are made of, and SciPy's solve_triangular.

Parameters: `trans` (solve with the transposed matrix), `lower` (which half holds the matrix; the other is not read),
`unit` (its diagonal is one, and not read either).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff import lapack
from npdiff.core import Primitive, own_primitive
from npdiff.dispatch.common import batch_stacks
from npdiff.dispatch.rules import add_tangents


def _half(a: Any, lower: bool, k: int) -> Any:
    return np.tril(a, -k) if lower else np.triu(a, k)


def triangular_primitive(name: str, impl: Callable[..., Any], total: bool = False) -> Primitive:
    """The primitive of a function ``impl(a, b, *, trans, lower, unit)``; `total` if that never raises."""

    def jvp(x: Any, primals: Any, tangents: Any, *, trans: int, lower: bool, unit: bool) -> Any:
        (a, _), (da, db) = primals, tangents
        moved = None
        if da is not None:
            part = _half(da, lower, int(unit))
            moved = np.negative(np.matmul(np.swapaxes(part, -1, -2) if trans else part, x))
        change = add_tangents(db, moved)
        return None if change is None else prim.call(a, change, trans=trans, lower=lower, unit=unit)

    def pull(ct: Any, x: Any, args: Any, needed: Any, params: Any) -> Any:
        ct_b = prim.call(args[0], ct, **{**params, "trans": 1 - params["trans"]})
        ct_a = None
        if needed[0] is not None:
            pair = (x, ct_b) if params["trans"] else (ct_b, x)
            whole = np.negative(np.matmul(pair[0], np.swapaxes(pair[1], -1, -2)))
            ct_a = _half(whole, params["lower"], int(params["unit"]))
        return ct_a, None if needed[1] is None else ct_b

    prim: Primitive = own_primitive(name, impl, jvp=jvp, pull=pull, total=total,
                                    batch=batch_stacks(lambda: prim, (2, 2)))
    return prim


# Whoever uses it knows that the matrix is regular.
triangular_p = triangular_primitive("solve_triangular", lapack.solve_triangular, total=True)


def solve_lower(a: Any, b: Any, trans: int = 0) -> Any:
    """``a x = b``, or ``a.T x = b``, for a regular lower triangular matrix."""
    return triangular_p.call(a, b, trans=trans, lower=True, unit=False)


__all__ = ["solve_lower", "triangular_p", "triangular_primitive"]
