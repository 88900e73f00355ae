"""matmul, the bilinear primitive under every product of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff import core
from npdiff.core import Primitive, aval, shape_of
from npdiff.dispatch.declare import Row, add_row
from npdiff.dispatch.rules import bilinear_primitive


def _sum_to(ct: Any, a: Any) -> Any:
    """Sum a stack of matrices over the stacking axes along which its operand was broadcast."""
    lead = len(shape_of(ct)) - aval(a).ndim
    return np.sum(ct, axis=tuple(range(lead))) if lead > 0 else ct


def _matmul_left(ct: Any, a: Any, b: Any) -> Any:
    na, nb = aval(a).ndim, aval(b).ndim
    if nb == 1:
        return np.multiply(np.expand_dims(ct, -1), b) if na > 1 else np.multiply(ct, b)
    if na == 1:
        return _sum_to(np.matmul(np.expand_dims(ct, -2), np.swapaxes(b, -1, -2))[..., 0, :], a)
    return np.matmul(ct, np.swapaxes(b, -1, -2))


def _matmul_right(ct: Any, a: Any, b: Any) -> Any:
    na, nb = aval(a).ndim, aval(b).ndim
    if na == 1:
        return np.multiply(np.expand_dims(ct, -2), np.expand_dims(a, -1)) if nb > 1 else np.multiply(ct, a)
    if nb == 1:
        return _sum_to(np.matmul(np.swapaxes(a, -1, -2), np.expand_dims(ct, -1))[..., 0], b)
    return np.matmul(np.swapaxes(a, -1, -2), ct)


def _matmul_batch(_size: int, args: Sequence[Any], batched: Sequence[bool], _params: dict[str, Any]) -> Any:
    a, b = args
    na, nb = (len(shape_of(x)) - k for x, k in zip(args, batched, strict=True))
    # Vectors become one-row or one-column matrices, and stacking axes are lined up behind the batch axis.
    if na == 1:
        a = np.expand_dims(a, -2)
    if nb == 1:
        b = np.expand_dims(b, -1)
    most = max(na, nb, 2) - 2
    if batched[0]:
        s = tuple(shape_of(a))
        a = np.reshape(a, s[:1] + (1,) * (most - len(s) + 3) + s[1:])
    if batched[1]:
        s = tuple(shape_of(b))
        b = np.reshape(b, s[:1] + (1,) * (most - len(s) + 3) + s[1:])
    out = np.matmul(a, b)
    if na == 1:
        out = out[..., 0, :]
    if nb == 1:
        out = out[..., 0]
    return out


matmul_p: Primitive = bilinear_primitive("matmul", np.matmul, _matmul_left, _matmul_right, batch=_matmul_batch)
core.ufunc_primitives[np.matmul] = matmul_p
add_row(Row("np.matmul", "bilinear", np.matmul, matmul_p, cases=(
    "A(3), A(3)", "A(2, 3), A(3)", "A(3), A(3, 2)", "A(2, 3), A(3, 4)", "A(5, 2, 3), A(3, 4)", "A(2, 3), A(5, 3, 4)",
    "A(5, 1, 2, 3), A(4, 3, 2)", "A(3), A(4, 3, 2)", "C(2, 3), C(3, 2)",
    "A(3, 2), A(3, 4), axes=[(1, 0), (0, 1), (0, 1)]",
)))

