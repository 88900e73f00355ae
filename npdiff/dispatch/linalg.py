"""Inverses, solutions of linear systems.

Formulas: M. Giles, An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation, Oxford 2008. G. Golub and V. Pereyra, The differentiation of pseudo-inverses
and nonlinear least squares problems, SIAM J. Numer. Anal. 10 (1973).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.core import Handle, Primitive, aval, bind, own_primitive, shape_of
from npdiff.dispatch.common import adjoint, batch_by_size, batch_stacks, laid_out, one_by_one, scalar
from npdiff.dispatch.declare import (
    _NO_VALUE,
    composite,
    function,
    nonlinear,
    operand,
    point,
    static,
    tolerance,
    write_out,
)
from npdiff.dispatch.determinants import trace_of_product
from npdiff.dispatch.operands import phantom
from npdiff.dispatch.rules import add_tangents, batch_leading, constant_primitive

SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))


# ---------------------------------------------------------------------- inverse and logarithm of the determinant


def _inv_jvp(out: Any, _primals: Any, tangents: Any) -> Any:
    (t,) = tangents
    return None if t is None else np.negative(np.matmul(out, np.matmul(t, out)))


inv_p: Primitive = nonlinear(np.linalg.inv, jvp=_inv_jvp, batch=batch_leading(lambda: inv_p),
                  cases=("M(3)", "M(2, 3, 3)", "S(3)", "C(2, 2)"))


def _slogdet_jvp(out: Any, primals: Any, tangents: Any) -> Any:
    (a,), (t,) = primals, tangents
    if t is None:
        return None, None
    change = trace_of_product(np.linalg.inv(a), t)
    if aval(a).dtype.kind != "c":
        return None, change
    return np.multiply(out[0], np.multiply(np.imag(change), 1j)), np.real(change)


slogdet_p: Primitive = Primitive("linalg.slogdet", np.linalg.slogdet, jvp=_slogdet_jvp, multiple=True,
                      batch=batch_leading(lambda: slogdet_p), total=True)


@function(np.linalg.slogdet, "nonlinear", slogdet_p, points=(
    point("an error at singular matrices", "f(x)[1]", [[1.0, 1.0], [1.0, 1.0]], np.linalg.LinAlgError),),
          cases=("M(3)", "M(2, 3, 3)", "C(2, 2)"))
def slogdet(a: Any) -> Any:
    return SlogdetResult(*bind(slogdet_p, (operand(a),), {}))


# ---------------------------------------------------------------------- solving


def _solve(a: Any, b: Any) -> Any:
    """``a x = b`` for stacks of matrices b."""
    return np.linalg.solve(a, b)


def _solve_jvp(out: Any, primals: Any, tangents: Any) -> Any:
    (a, _), (da, db) = primals, tangents
    return add_tangents(None if db is None else solve_p.call(a, db),
                        None if da is None else np.negative(solve_p.call(a, np.matmul(da, out))))


def _solve_pull(ct: Any, out: Any, args: Any, needed: Any, _params: Any) -> Any:
    # The transpose of a solution is a solution with the transposed matrix.
    ct_b = solve_p.call(np.swapaxes(args[0], -1, -2), ct)
    ct_a = None if needed[0] is None else np.negative(np.matmul(ct_b, np.swapaxes(out, -1, -2)))
    return ct_a, None if needed[1] is None else ct_b


solve_p: Primitive = own_primitive("solve", _solve, jvp=_solve_jvp, pull=_solve_pull,
                                   batch=batch_stacks(lambda: solve_p, (2, 2)))




@function(np.linalg.solve, "nonlinear", solve_p, cases=(
    "M(3), A(3)", "M(3), A(3, 2)", "M(2, 3, 3), A(3)", "M(2, 3, 3), A(2, 3, 1)", "M(3), A(2, 3, 1)", "C(2, 2), C(2)"))
def solve(a: Any, b: Any) -> Any:
    a, b = operand(a), operand(b)
    sa, sb = aval(a).shape, aval(b).shape
    vector = len(sb) == 1
    if len(sa) < 2 or sa[-1] != sa[-2] or not sb or sb[-1 if vector else -2] != sa[-1]:
        np.linalg.solve(phantom(a), phantom(b))
    x = bind(solve_p, (a, np.expand_dims(b, -1) if vector else b), {})
    return x[..., 0] if vector else x


@composite(np.linalg.tensorsolve, cases=("A(2, 3, 6) + np.eye(6).reshape(2, 3, 6), A(2, 3)",
                                         "A(6, 2, 3) + np.eye(6).reshape(6, 2, 3), A(2, 3), axes=(0,)"))
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    a, b = operand(a), operand(b)
    if axes is not None:
        axes = static(axes)
        n = aval(a).ndim
        order = [k for k in range(n) if k not in {x % n for x in axes}] + [x % n for x in axes]
        a = np.transpose(a, order)
    shape = aval(a).shape[aval(b).ndim:]
    n = int(np.prod(shape, dtype=int))
    if aval(a).size != n * n:
        np.linalg.tensorsolve(phantom(a), phantom(b))
    return np.reshape(np.linalg.solve(np.reshape(a, (n, n)), np.ravel(b)), shape)


@composite(np.linalg.tensorinv, cases=("A(2, 3, 6) + np.eye(6).reshape(2, 3, 6)", "M(4), ind=1"))
def tensorinv(a: Any, ind: Any = 2) -> Any:
    a, ind = operand(a), int(static(ind))
    if ind <= 0:
        np.linalg.tensorinv(phantom(a), ind)
    shape = aval(a).shape
    n = int(np.prod(shape[ind:], dtype=int))
    return np.reshape(np.linalg.inv(np.reshape(a, (n, -1))), shape[ind:] + shape[:ind])


def _pinv_change(inverse: Any, a: Any, t: Any) -> tuple[Any, Any, Any]:
    """The three terms of the derivative of the pseudo-inverse (Golub and Pereyra 1973, at constant rank)."""
    th = adjoint(t)
    ph = adjoint(inverse)
    left = np.subtract(np.eye(shape_of(a)[-2]), np.matmul(a, inverse))
    right = np.subtract(np.eye(shape_of(a)[-1]), np.matmul(inverse, a))
    return (np.negative(np.matmul(inverse, np.matmul(t, inverse))),
            np.matmul(np.matmul(inverse, ph), np.matmul(th, left)),
            np.matmul(np.matmul(right, th), np.matmul(ph, inverse)))


def _kept_change(a: Any, t: Any, cutoff: Any) -> Any:
    """The change of what is left of a matrix without its singular values up to `cutoff` times the largest.

    Its block between singular vectors that are left out is arbitrary: `_pinv_change` does not read it.
    """
    values = np.linalg.svd(a, compute_uv=False)
    largest = np.max(values, axis=-1, keepdims=True, initial=0)
    kept = np.greater(values, np.multiply(np.expand_dims(cutoff, -1), largest))
    noise = np.multiply(np.finfo(aval(values).dtype).eps * max(shape_of(a)), largest)
    lost = np.any(np.logical_and(np.logical_not(kept), np.greater(values, noise)), axis=-1)
    # Where nothing is lost nothing is corrected: vectors of equal singular values are not asked for then.
    apart = np.eye(*shape_of(a)[-2:], dtype=aval(a).dtype) * np.arange(1, shape_of(a)[-1] + 1)
    u, s, vh = np.linalg.svd(np.where(lost[..., None, None], a, apart), full_matrices=False)
    mixed = np.logical_and(np.not_equal(kept[..., :, None], kept[..., None, :]), lost[..., None, None])
    one, other = s[..., :, None], s[..., None, :]
    less = np.minimum(one, other)
    gap = np.where(mixed, np.absolute(np.subtract(np.square(one), np.square(other))), 1)
    inner = np.matmul(adjoint(u), np.matmul(t, adjoint(vh)))
    turned = np.add(np.multiply(np.square(less), inner), np.multiply(np.multiply(one, other), adjoint(inner)))
    return np.add(t, np.matmul(u, np.matmul(np.where(mixed, np.divide(turned, gap), 0), vh)))


def _pinv_jvp(out: Any, primals: Any, tangents: Any, **params: Any) -> Any:
    (a,), (t,) = primals, tangents
    if t is None:
        return None
    cutoff = params.get("rtol", params.get("rcond"))
    return add_tangents(*_pinv_change(out, a, t if cutoff is None else _kept_change(a, t, cutoff)))


pinv_p: Primitive = Primitive("linalg.pinv", np.linalg.pinv, jvp=_pinv_jvp, batch=batch_leading(lambda: pinv_p))


@function(np.linalg.pinv, "nonlinear", pinv_p, notes="at constant rank",
          cases=("M(3)", "A(3, 2) + np.eye(3, 2)", "M(2, 2, 3)", "S(3), hermitian=True", "M(3), rcond=1e-10",
                 "M(3), rtol=1e-9", "A(2, 4, 3), rcond=0.6"))
def pinv(a: Any, rcond: Any = None, hermitian: Any = False, *, rtol: Any = _NO_VALUE) -> Any:
    a = operand(a)
    params = {"rcond": tolerance(rcond)} if rcond is not None else {}
    if rtol is not _NO_VALUE:
        params["rtol"] = tolerance(rtol)
    if hermitian:
        a = from_triangle(a, "L")
        params["hermitian"] = True
    return bind(pinv_p, (a,), params)


def from_triangle(a: Any, uplo: str) -> Any:
    """The Hermitian matrix of which LAPACK reads one triangle of `a` only."""
    n = shape_of(a)[-1]
    inside = np.tri(n, k=-1, dtype=bool)
    inside = inside.T if uplo == "U" else inside
    half = np.where(inside, a, np.zeros((), aval(a).dtype))
    diagonal = np.where(np.eye(n, dtype=bool), np.real(a) if aval(a).dtype.kind == "c" else a,
                        np.zeros((), aval(a).dtype))
    return np.add(np.add(half, adjoint(half)), diagonal)


def _lstsq_call(a: Any, b: Any, rcond: Any = None) -> Any:
    if isinstance(a, Handle) or isinstance(b, Handle):
        return bind(lstsq_p, (a, b), {} if rcond is None else {"rcond": rcond})
    return tuple(np.linalg.lstsq(a, b, rcond=rcond))


def _lstsq_jvp(out: Any, primals: Any, tangents: Any, rcond: Any = None) -> Any:
    (a, b), (da, db), (x, residuals, _, _) = primals, tangents, out
    inverse = np.linalg.pinv(a, rcond) if rcond is not None else np.linalg.pinv(
        a, np.finfo(aval(x).dtype).eps * max(shape_of(a)))
    dx = None if db is None else np.matmul(inverse, db)
    change = None if db is None else db
    dr = ds = None
    if da is not None:
        kept = da if rcond is None else _kept_change(a, da, rcond)
        terms = [np.matmul(t, b) for t in _pinv_change(inverse, a, kept)]
        dx = add_tangents(dx, *terms)
        change = add_tangents(change, np.negative(np.matmul(da, x)))
        ds = _singular_value_change(a, da)
    if shape_of(residuals) != (0,) and change is not None:
        rest = np.subtract(b, np.matmul(a, x))
        rest = np.conjugate(rest) if aval(rest).dtype.kind == "c" else rest
        dr = np.reshape(np.multiply(2, np.real(np.sum(np.multiply(rest, change), axis=0))), (-1,))
    return dx, dr, None, ds


def _singular_value_change(a: Any, t: Any) -> Any:
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return np.real(np.sum(np.multiply(np.matmul(adjoint(u), t), np.conjugate(vh)), axis=-1))


lstsq_p: Primitive = Primitive("linalg.lstsq", _lstsq_call, jvp=_lstsq_jvp, multiple=True,
                    batch=batch_by_size(lambda: lstsq_p, "np.linalg.lstsq"))


@function(np.linalg.lstsq, "nonlinear", lstsq_p, notes="at constant rank",
          cases=("A(4, 2), A(4)", "A(4, 2), A(4, 3)", "A(2, 3), A(2)", "M(3), A(3), rcond=1e-8",
                 "A(4, 3), A(4), rcond=0.6"))
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    a, b = operand(a), operand(b)
    x, residuals, rank, s = bind(lstsq_p, (a, b), {} if rcond is None else {"rcond": tolerance(rcond)})
    return x, residuals, rank, s


# ---------------------------------------------------------------------- powers and chains


@composite(np.linalg.matrix_power, cases=("M(3), 3", "M(3), 0", "M(3), -2", "M(2, 3, 3), 5"))
def matrix_power(a: Any, n: Any) -> Any:
    a, n = operand(a), static(n)
    shape = aval(a).shape
    if len(shape) < 2 or shape[-1] != shape[-2] or not isinstance(n, (int, np.integer)):
        np.linalg.matrix_power(phantom(a), n)
    if n == 0:
        return laid_out(np.broadcast_to(np.eye(shape[-1], dtype=aval(a).dtype), shape), a)
    if n < 0:
        a, n = np.linalg.inv(a), -n
    result = None
    while n:
        if n & 1:
            result = a if result is None else np.matmul(result, a)
        n >>= 1
        if n:
            a = np.matmul(a, a)
    return result


def _cheapest(sizes: Sequence[int], i: int, j: int, known: dict[tuple[int, int], tuple[int, int]]) -> tuple[int, int]:
    """Cost of the product of matrices i to j, and where to split it."""
    if i == j:
        return 0, i
    if (i, j) not in known:
        known[i, j] = min((_cheapest(sizes, i, k, known)[0] + _cheapest(sizes, k + 1, j, known)[0]
                           + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j))
    return known[i, j]


@composite(np.linalg.multi_dot, cases=("[A(2, 3), A(3, 4), A(4, 2)]", "[A(3), A(3, 2), A(2)]", "[A(2, 3), A(3)]",
                                       "[A(5, 2), A(2, 4), A(4, 1), A(1, 3)]"))
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    arrays = [operand(a) for a in arrays]
    ndims = [aval(a).ndim for a in arrays]
    if len(arrays) < 2 or any(n != 2 for n in ndims[1:-1]) or ndims[0] not in (1, 2) or ndims[-1] not in (1, 2):
        np.linalg.multi_dot([phantom(a) for a in arrays])
    first, last = ndims[0] == 1, ndims[-1] == 1
    if first:
        arrays[0] = np.expand_dims(arrays[0], 0)
    if last:
        arrays[-1] = np.expand_dims(arrays[-1], 1)
    sizes = [aval(a).shape[0] for a in arrays] + [aval(arrays[-1]).shape[1]]
    known: dict[tuple[int, int], tuple[int, int]] = {}

    def product(i: int, j: int) -> Any:
        if i == j:
            return arrays[i]
        k = _cheapest(sizes, i, j, known)[1]
        return np.dot(product(i, k), product(k + 1, j))

    result = product(0, len(arrays) - 1)
    if first:
        result = result[0]
    if last:
        result = result[..., 0]
    return write_out(scalar(result), out, "np.linalg.multi_dot")


# ---------------------------------------------------------------------- rank


def _batch_rank(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    if len(shape_of(args[0])) < 3 or any(np.ndim(v) for v in params.values()):
        return one_by_one(rank_p, size, args, batched, params)
    return rank_p.call(*args, **params)


rank_p: Primitive = constant_primitive("linalg.matrix_rank", np.linalg.matrix_rank, batch=_batch_rank)


@function(np.linalg.matrix_rank, "nondifferentiable", rank_p, cases=("M(3)", "A(2, 3, 2)", "A(3)", "M(3), tol=1e-3"))
def matrix_rank(A: Any, tol: Any = None, hermitian: Any = False, *, rtol: Any = None) -> Any:
    params = {k: tolerance(v) for k, v in (("tol", tol), ("rtol", rtol)) if v is not None}
    if hermitian:
        params["hermitian"] = True
    return bind(rank_p, (operand(A),), params)


# ---------------------------------------------------------------------- np.linalg's own names for functions of np


@composite(np.linalg.matmul, cases=("A(2, 3), A(3, 2)", "A(3), A(3)"))
def matmul(x1: Any, x2: Any, /) -> Any:
    return np.matmul(operand(x1), operand(x2))


@composite(np.linalg.vecdot, cases=("A(3), A(3)", "A(3, 2), A(3, 2), axis=0"))
def vecdot(x1: Any, x2: Any, /, *, axis: Any = -1) -> Any:
    product: Any = np.vecdot
    return product(operand(x1), operand(x2), axis=axis)


@composite(np.linalg.outer, cases=("A(3), A(2)",))
def outer(x1: Any, x2: Any, /) -> Any:
    x1, x2 = operand(x1), operand(x2)
    if aval(x1).ndim != 1 or aval(x2).ndim != 1:
        np.linalg.outer(phantom(x1), phantom(x2))
    return np.outer(x1, x2)


@composite(np.linalg.tensordot, cases=("A(2, 3), A(3, 4), axes=1",))
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    return np.tensordot(operand(x1), operand(x2), axes=axes)


@composite(np.linalg.cross, cases=("A(2, 3), A(2, 3)", "A(3, 2), A(3, 2), axis=0"))
def cross(x1: Any, x2: Any, /, *, axis: Any = -1) -> Any:
    x1, x2 = operand(x1), operand(x2)
    axis = static(axis)
    if aval(x1).shape[axis] != 3 or aval(x2).shape[axis] != 3:
        np.linalg.cross(phantom(x1), phantom(x2), axis=axis)
    return np.cross(x1, x2, axis=axis)


@composite(np.linalg.matrix_transpose, cases=("A(2, 3)",))
def matrix_transpose(x: Any, /) -> Any:
    return np.matrix_transpose(operand(x))


@composite(np.linalg.diagonal, cases=("A(3, 3)", "A(2, 3, 4), offset=1"))
def diagonal(x: Any, /, *, offset: Any = 0) -> Any:
    return np.diagonal(operand(x), offset, axis1=-2, axis2=-1)


@composite(np.linalg.trace, cases=("A(3, 3)", "A(2, 3, 4), offset=-1"))
def trace(x: Any, /, *, offset: Any = 0, dtype: Any = None) -> Any:
    return np.trace(operand(x), offset, axis1=-2, axis2=-1, dtype=dtype)


__all__ = ["SlogdetResult", "from_triangle"]
