"""Determinants and their derivatives, which are there for singular matrices too: a determinant is a polynomial.

The first derivative is the matrix of cofactors. It and its change are computed with the inverse where that is accurate,
else with singular values: of a diagonal matrix, both are products of the other elements (G. W. Stewart, On the adjugate
matrix, Linear Algebra Appl. 283 (1998)).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.core import Primitive, own_primitive
from npdiff.dispatch.common import batch_stacks
from npdiff.dispatch.declare import nonlinear, point
from npdiff.dispatch.rules import add_tangents, batch_leading
from npdiff.errors import NotDifferentiableError, message

# Up to this condition number an inverse keeps enough digits for products of differences.
_ACCURATE = 1e6


def trace_of_product(a: Any, b: Any) -> Any:
    """The trace of ``a @ b`` without the product."""
    return np.sum(np.multiply(a, np.swapaxes(b, -1, -2)), axis=(-2, -1))


def _inverse(a: Any) -> tuple[Any, float]:
    """The inverses of a stack of matrices, and the largest of their condition numbers; infinite if there is none."""
    try:
        with np.errstate(all="ignore"):
            inverse = np.linalg.inv(a)
            size = np.linalg.norm(a, axis=(-2, -1)) * np.linalg.norm(inverse, axis=(-2, -1))
        return inverse, float(np.max(size, initial=0))
    except np.linalg.LinAlgError:
        return None, float("inf")


# ---------------------------------------------------------------------- by singular values, with any array library


def _turned(xp: Any, u: Any, inner: Any, vh: Any) -> Any:
    """The cofactors of ``u @ d @ vh``, given those of d."""
    turn = xp.linalg.det(u) * xp.linalg.det(vh)
    return turn[..., None, None] * xp.matmul(xp.matmul(xp.conj(u), inner), xp.conj(vh))


def cofactor_of(xp: Any, a: Any) -> Any:
    """The matrix of cofactors, ``det(a) * inv(a).T``, by the functions of an array library."""
    u, s, vh = xp.linalg.svd(a)
    eye = xp.eye(s.shape[-1], dtype=bool)
    others = xp.prod(xp.where(eye, 1, s[..., None, :]), axis=-1)
    return _turned(xp, u, xp.where(eye, others[..., None, :], 0), vh)


def cofactor_change_of(xp: Any, a: Any, t: Any) -> Any:
    """The derivative of the matrix of cofactors along t, by the functions of an array library."""
    u, s, vh = xp.linalg.svd(a)
    n = s.shape[-1]
    above = xp.triu(xp.ones((n, n), dtype=bool), 1)
    # Products of all but two: of those before the first, between the two, behind the second.
    ones = xp.ones_like(s[..., :1])
    before = xp.cumprod(xp.concatenate([ones, s[..., :-1]], axis=-1), axis=-1)
    behind = xp.flip(xp.cumprod(xp.concatenate([ones, xp.flip(s[..., 1:], -1)], axis=-1), axis=-1), -1)
    rows = xp.where(above, s[..., None, :], 1)
    between = xp.cumprod(xp.concatenate([xp.ones_like(rows[..., :1]), rows[..., :-1]], axis=-1), axis=-1)
    half = xp.where(above, before[..., :, None] * between * behind[..., None, :], 0)
    others = half + xp.swapaxes(half, -1, -2)
    inner = xp.matmul(xp.matmul(xp.conj(xp.swapaxes(u, -1, -2)), t), xp.conj(xp.swapaxes(vh, -1, -2)))
    diagonal = xp.einsum("...ij,...jj->...i", others.astype(inner.dtype), inner)
    change = xp.where(xp.eye(n, dtype=bool), diagonal[..., :, None], -others * xp.swapaxes(inner, -1, -2))
    return _turned(xp, u, change, vh)


# ---------------------------------------------------------------------- primitives


def _cofactor(a: Any) -> Any:
    if a.shape[-1] == 0:
        return np.zeros_like(a)
    inverse, size = _inverse(a)
    if size < _ACCURATE:
        return np.linalg.det(a)[..., None, None] * np.swapaxes(inverse, -1, -2)
    return cofactor_of(np, a)


def _product_rule(inverse: Any, cofactors: Any, t: Any) -> Any:
    """The change of the cofactors along t, of a matrix that has an inverse."""
    along = trace_of_product(inverse, t)[..., None, None]
    turned = np.swapaxes(np.matmul(t, inverse), -1, -2)
    return np.subtract(np.multiply(along, cofactors), np.matmul(turned, cofactors))


def _cofactor_change(a: Any, t: Any) -> Any:
    if a.shape[-1] == 0:
        return np.zeros_like(t)
    inverse, size = _inverse(a)
    if size < _ACCURATE:
        return _product_rule(inverse, np.linalg.det(a)[..., None, None] * np.swapaxes(inverse, -1, -2), t)
    return cofactor_change_of(np, a, t)


def _sure_inverse(a: Any) -> Any:
    inverse, size = _inverse(a)
    if not size < 1e-3 / np.finfo(a.dtype).eps:
        raise NotDifferentiableError(message(
            "np.linalg.det: derivatives above the second are not there for singular matrices",
            instead="differentiate twice at most, or write the determinant out as a polynomial"))
    return inverse


def _sure_inverse_jvp(out: Any, _primals: Any, tangents: Any) -> Any:
    (t,) = tangents
    return None if t is None else np.negative(np.matmul(out, np.matmul(t, out)))


sure_inverse_p: Primitive = own_primitive("sure_inverse", _sure_inverse, jvp=_sure_inverse_jvp,
                                          batch=batch_leading(lambda: sure_inverse_p))


def _second_change(a: Any, t: Any, s: Any) -> Any:
    """The change along s of the change along t; as all derivatives of a determinant, in which the order is free."""
    inverse = sure_inverse_p.call(a)
    cofactors = cofactor_p.call(a)
    change = _product_rule(inverse, cofactors, s)
    d_inverse = np.negative(np.matmul(inverse, np.matmul(s, inverse)))
    along, d_along = trace_of_product(inverse, t)[..., None, None], trace_of_product(d_inverse, t)[..., None, None]
    turned = np.swapaxes(np.matmul(t, inverse), -1, -2)
    d_turned = np.swapaxes(np.matmul(t, d_inverse), -1, -2)
    return np.subtract(np.add(np.multiply(d_along, cofactors), np.multiply(along, change)),
                       np.add(np.matmul(d_turned, cofactors), np.matmul(turned, change)))


def _cofactor_jvp(_out: Any, primals: Any, tangents: Any) -> Any:
    return None if tangents[0] is None else cofactor_change_p.call(primals[0], tangents[0])


def _cofactor_pull(ct: Any, _out: Any, args: Any, _needed: Any, _params: Any) -> Any:
    return (cofactor_change_p.call(args[0], ct),)  # second derivatives are symmetric


def _cofactor_change_jvp(_out: Any, primals: Any, tangents: Any) -> Any:
    (a, t), (da, dt) = primals, tangents
    return add_tangents(None if da is None else _second_change(a, t, da),
                        None if dt is None else cofactor_change_p.call(a, dt))


def _cofactor_change_pull(ct: Any, _out: Any, args: Any, needed: Any, _params: Any) -> Any:
    a, t = args
    return (None if needed[0] is None else _second_change(a, t, ct),
            None if needed[1] is None else cofactor_change_p.call(a, ct))


cofactor_p: Primitive = own_primitive("cofactor", _cofactor, jvp=_cofactor_jvp, pull=_cofactor_pull,
                                      batch=batch_leading(lambda: cofactor_p))
cofactor_change_p: Primitive = own_primitive("cofactor_change", _cofactor_change, jvp=_cofactor_change_jvp,
                                             pull=_cofactor_change_pull,
                                             batch=batch_stacks(lambda: cofactor_change_p, (2, 2)))


def _det_jvp(_out: Any, primals: Any, tangents: Any) -> Any:
    (a,), (t,) = primals, tangents
    return None if t is None else np.sum(np.multiply(cofactor_p.call(a), t), axis=(-2, -1))


_ONES = [[1.0, 1.0], [1.0, 1.0]]
det_p: Primitive = nonlinear(np.linalg.det, jvp=_det_jvp, batch=batch_leading(lambda: det_p),
                             total=True, cases=("M(3)", "M(2, 3, 3)", "C(2, 2)", "A(2, 2) * np.ones((2, 2))"), points=(
    point("first and second derivatives at singular matrices too, higher ones are an error", "f(x)", _ONES,
          [[1, -1], [-1, 1]], [[1, -1], [-1, 1]], NotDifferentiableError),
    point("first derivatives at singular matrices too", "f(x)", [[0.0, 0.0], [0.0, 0.0]], 0)))

__all__: Sequence[str] = ["cofactor_change_of", "cofactor_change_p", "cofactor_of", "cofactor_p", "det_p",
                          "trace_of_product"]
