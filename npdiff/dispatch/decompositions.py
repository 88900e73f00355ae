"""Factorisations: Cholesky, QR, singular values, eigenvalues.

Formulas: M. Giles, An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation, Oxford 2008; S. Walter and L. Lehmann, Algorithmic differentiation of linear
algebra functions, 2010 (QR).

LAPACK reads one triangle of a symmetric matrix; so do the derivatives. Eigenvectors that belong to equal
eigenvalues (singular vectors to equal or zero singular values) are not functions of the matrix: asking for
their derivative is an error, unless the tangent or cotangent that arrives there is zero.

A complex vector is determined up to its phase. The derivatives follow LAPACK's choice of it where that is a smooth one,
which makes a certain component real. Where it jumps (that component is zero, or not the only largest one), the phase
is held, which is right for every function that does not depend on it; asking backwards for the gradient of another is
an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff.core import Primitive, aval, bind, own_primitive, services, shape_of
from npdiff.dispatch.common import adjoint, in_c_order, laid_out, with_batch
from npdiff.dispatch.declare import function, nonlinear, operand, point, static
from npdiff.dispatch.linalg import from_triangle
from npdiff.dispatch.rules import add_tangents, batch_elementwise, batch_leading
from npdiff.dispatch.triangular import solve_lower
from npdiff.errors import NotDifferentiableError, message

EigResult: Any = type(np.linalg.eig(np.eye(1)))
EighResult: Any = type(np.linalg.eigh(np.eye(1)))
QRResult: Any = type(np.linalg.qr(np.eye(1)))
SVDResult: Any = type(np.linalg.svd(np.eye(1)))

# ---------------------------------------------------------------------- where vectors have no derivative


def _refusal(what: str) -> NotDifferentiableError:
    return NotDifferentiableError(message(
        f"{what}: these vectors are not determined by the matrix (equal or zero eigenvalues or singular values, or "
        "the extra columns of a full factorisation), so they have no derivative",
        instead="differentiate the values only (np.linalg.eigvalsh, np.linalg.svdvals), or use full_matrices=False or "
                "mode='reduced'"))


def _over_gap(x: Any, gap: Any, *, what: str) -> Any:
    closed = np.equal(gap, 0)
    if np.any(closed & np.not_equal(x, 0)):
        raise _refusal(what)
    return np.where(closed, np.zeros((), np.result_type(x, gap)), x / np.where(closed, 1, gap))


def _over_gap_jvp(out: Any, primals: Any, tangents: Any, *, what: str) -> Any:
    (_, gap), (dx, dgap) = primals, tangents
    return add_tangents(
        None if dx is None else over_gap_p.call(dx, gap, what=what),
        None if dgap is None else np.negative(over_gap_p.call(np.multiply(out, dgap), gap, what=what)))


def _over_gap_pull(ct: Any, out: Any, args: Any, needed: Any, params: Any) -> Any:
    quotient = over_gap_p.call(ct, args[1], **params)
    return (None if needed[0] is None else quotient,
            None if needed[1] is None else np.negative(np.multiply(quotient, out)))


over_gap_p: Primitive = own_primitive("over_gap", _over_gap, kind="elementwise", jvp=_over_gap_jvp, pull=_over_gap_pull,
                           batch=batch_elementwise(lambda: over_gap_p), total=False)


def over_gap(x: Any, gap: Any, what: str) -> Any:
    """``x / gap``; where the gap is zero, zero if x is zero and an error if it is not."""
    return over_gap_p.call(x, gap, what=what)


def _undetermined(t: Any, *, shape: tuple[int, ...], what: str) -> Any:
    if np.any(np.not_equal(t, 0)):
        raise _refusal(what)
    return np.zeros((*t.shape[:-2], *shape), t.dtype)


def _undetermined_jvp(_out: Any, _primals: Any, tangents: Any, **params: Any) -> Any:
    (t,) = tangents
    return None if t is None else undetermined_p.call(t, **params)


def _undetermined_pull(ct: Any, _out: Any, args: Any, _needed: Any, params: Any) -> Any:
    shape = tuple(shape_of(args[0])[-2:])
    return (undetermined_p.call(ct, shape=shape, what=params["what"]),)


# The tangent of columns that the matrix does not determine: zero, or an error where a derivative would be lost.
undetermined_p: Primitive = own_primitive("undetermined", _undetermined, kind="linear", jvp=_undetermined_jvp,
                               pull=_undetermined_pull, batch=batch_leading(lambda: undetermined_p), total=False)


def _off_diagonal(a: Any) -> Any:
    n = shape_of(a)[-1]
    return np.where(np.eye(n, dtype=bool), np.zeros((), aval(a).dtype), a)


def _diagonal(a: Any) -> Any:
    return np.einsum("...ii->...i", a)


def _scaled(columns: Any, factors: Any) -> Any:
    """A matrix whose columns are multiplied by factors."""
    return np.multiply(columns, np.expand_dims(factors, -2))


def _largest(values: Any) -> Any:
    """The largest size among eigenvalues, shaped to stand beside a matrix."""
    return np.max(np.absolute(values), axis=-1, keepdims=True, initial=0)[..., None]


def _gaps(values: Any, scale: Any) -> Any:
    """``values[j] - values[i]``: zero for what is equal beside `scale`, and one on the diagonal, which is not asked."""
    gap = np.subtract(np.expand_dims(values, -2), np.expand_dims(values, -1))
    return np.where(np.eye(shape_of(values)[-1], dtype=bool), np.ones((), aval(values).dtype), closed(gap, scale))


def rotation(inner: Any, w: Any, what: str) -> Any:
    """How eigenvectors turn into each other: the matrix's change in their basis, over the gaps between eigenvalues."""
    return over_gap(_off_diagonal(inner), _gaps(w, _largest(w)), what)


def closed(gap: Any, scale: Any) -> Any:
    """A gap, or zero where it is rounding error beside `scale`."""
    tiny = np.finfo(aval(gap).dtype).eps * 8
    shut = np.less_equal(np.absolute(gap), np.multiply(tiny, scale))
    return np.where(shut, np.zeros((), aval(gap).dtype), gap)


def _phase(vectors: Any, change: Any, row: int) -> Any:
    """The turn of each complex vector that keeps its component in `row` real, where LAPACK made it real."""
    part, moved = vectors[..., row, :], np.imag(change[..., row, :])
    tiny = np.finfo(aval(part).dtype).eps * 16
    real = np.logical_and(np.less_equal(np.absolute(np.imag(part)), tiny), np.greater(np.absolute(part), 2 * tiny))
    return real, np.where(real, np.negative(np.divide(moved, np.where(real, np.real(part), 1))), 0)


def _turned(vectors: Any, phase: Any) -> Any:
    return np.multiply(_scaled(vectors, phase), 1j)


def by_phase(xp: Any, ct: Any, vectors: Any, free: Any) -> Any:
    """Which vectors are free to turn although a cotangent depends on it, by the functions of an array library."""
    turn = xp.abs(xp.sum(xp.imag(ct * vectors), axis=-2))
    size = xp.sum(xp.abs(ct) * xp.abs(vectors), axis=(-2, -1), keepdims=True)[..., 0]
    return free & (turn > np.sqrt(np.finfo(size.dtype).eps) * size)


def _held_check(ct: Any, vectors: Any, free: Any, *, what: str) -> Any:
    if np.any(by_phase(np, ct, vectors, free)):
        raise NotDifferentiableError(message(
            f"{what}: at this matrix the phase of complex vectors jumps, so what depends on it has no derivative",
            instead="make the result independent of the phase of each vector: np.abs(v), v[:, k] * "
                    "np.conj(v[0, k]), or products of v and its conjugate"))
    return ct


def _held_batch(prim_of: Callable[[], Primitive]) -> Any:
    def rule(size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        return prim_of().call(*[with_batch(a, b, size) for a, b in zip(args, batched, strict=True)], **params)

    return rule


def _held_pull(ct: Any, _out: Any, args: Any, _needed: Any, params: Any) -> Any:
    return held_check_p.call(ct, *args[1:], **params), None, None


# The change of vectors whose phase is held where it is `free`; on the way back, it must not matter there. (The change
# of a cotangent is not looked at: it may depend on the phase while the cotangent itself does not.)
held_check_p: Primitive = own_primitive("held_check", _held_check, total=False,
                                        jvp=lambda _out, _primals, tangents, what: tangents[0],
                                        pull=lambda ct, _out, _args, _needed, _params: (ct, None, None),
                                        batch=_held_batch(lambda: held_check_p))
held_p: Primitive = own_primitive("held", lambda change, vectors, free, *, what: change, pull=_held_pull,
                                  jvp=lambda _out, primals, tangents, what: None if tangents[0] is None else
                                  held_p.call(tangents[0], *primals[1:], what=what),
                                  batch=_held_batch(lambda: held_p))


# ---------------------------------------------------------------------- Cholesky


def _lower_half(a: Any) -> Any:
    """The lower triangle, with half of the diagonal."""
    n = shape_of(a)[-1]
    return np.multiply(a, (np.tri(n, k=-1) + 0.5 * np.eye(n)).astype(aval(a).dtype))


def _cholesky_jvp(out: Any, _primals: Any, tangents: Any, upper: bool = False) -> Any:
    (t,) = tangents
    if t is None:
        return None
    low = adjoint(out) if upper else out
    # L^-1 t L^-H is Hermitian, as t is: what stands on its right is solved for on the left of the adjoint.
    once = solve_lower(low, from_triangle(t, "U" if upper else "L"))
    change = np.matmul(low, _lower_half(solve_lower(low, adjoint(once))))
    return adjoint(change) if upper else change


def _cholesky_call(a: Any, upper: bool = False) -> Any:
    return np.linalg.cholesky(a, upper=upper)


cholesky_p: Primitive = own_primitive("linalg.cholesky", _cholesky_call, jvp=_cholesky_jvp,
                                      batch=batch_leading(lambda: cholesky_p))


@function(np.linalg.cholesky, "nonlinear", cholesky_p, notes="reads one triangle, as LAPACK does",
          cases=("S(3)", "S(3, 2)", "S(3), upper=True", "S(3, 2), upper=True",
                 "S(2) + 0.3j * np.array([[0, 1], [-1, 0]])"))
def cholesky(a: Any, /, *, upper: Any = False) -> Any:
    return bind(cholesky_p, (operand(a),), {"upper": True} if upper else {})


# ---------------------------------------------------------------------- symmetric eigenvalues

_ONE = [[1.0, 0.0], [0.0, 1.0]]
_EQUAL = point("exact at distinct eigenvalues", "f(x)[0][0]", [[1.0, 0.0], [0.0, 2.0]], [[1, 0], [0, 0]])


def _eigh_jvp(out: Any, _primals: Any, tangents: Any, UPLO: str = "L") -> Any:
    (w, v), (t,) = out, tangents
    if t is None:
        return None, None
    inner = np.matmul(adjoint(v), np.matmul(from_triangle(t, UPLO.upper()), v))
    turn = rotation(inner, w, "np.linalg.eigh")
    # The exact result is anti-Hermitian; saying so makes what cancels cancel before it is divided, on the way back.
    turn = np.multiply(0.5, np.subtract(turn, adjoint(turn)))
    dv = np.matmul(v, turn)
    if aval(v).dtype.kind == "c":
        settled, phase = _phase(v, dv, 0 if UPLO.upper() == "L" else -1)
        dv = held_p.call(np.add(dv, _turned(v, phase)), v, np.logical_not(settled), what="np.linalg.eigh")
    return np.real(_diagonal(inner)), dv


def _eigh_call(a: Any, UPLO: Any = "L") -> Any:
    return tuple(np.linalg.eigh(a, UPLO))


eigh_p: Primitive = own_primitive("linalg.eigh", _eigh_call, jvp=_eigh_jvp, multiple=True,
                                  batch=batch_leading(lambda: eigh_p))


@function(np.linalg.eigh, "nonlinear", eigh_p, notes="reads one triangle",
          points=(_EQUAL, point("an error at equal eigenvalues", "f(x)[1][0, 1]", _ONE, NotDifferentiableError),
                  point("where the phase of complex vectors jumps (a first component of zero), it is held; what "
                        "depends on it is an error in reverse mode", "np.abs(f(x + 0j)[1])",
                        [[1.0, 0.0], [0.0, 2.0]], 0)),
          cases=("S(3)", "S(3, 2)", "S(3), UPLO='U'", "S(3) + 0.3j * np.array([[0, 1, 2], [-1, 0, 1], [-2, -1, 0]])"))
def eigh(a: Any, UPLO: Any = "L") -> Any:
    return EighResult(*bind(eigh_p, (operand(a),), {} if UPLO == "L" else {"UPLO": static(UPLO)}))


def _eigvalsh_jvp(_out: Any, primals: Any, tangents: Any, UPLO: Any = "L") -> Any:
    (a,), (t,) = primals, tangents
    if t is None:
        return None
    _, v = np.linalg.eigh(a, UPLO)
    return np.real(_diagonal(np.matmul(adjoint(v), np.matmul(from_triangle(t, UPLO.upper()), v))))


eigvalsh_p: Primitive = nonlinear(np.linalg.eigvalsh,
                                  jvp=_eigvalsh_jvp, batch=batch_leading(lambda: eigvalsh_p),
                       notes="reads one triangle", points=(
                           point("at equal eigenvalues right for functions symmetric in them", "f(x) ** 2",
                                 [[2.0, 0.0], [0.0, 2.0]], [[4, 0], [0, 4]]),),
                       cases=("S(3)", "S(3, 2)", "S(3), UPLO='U'"))

# ---------------------------------------------------------------------- general eigenvalues


def _in_basis(v: Any, t: Any, what: str) -> Any:
    """The matrix's change in the basis of its eigenvectors; an error if they are none, as at a defective matrix."""
    smallest = np.linalg.svd(v, compute_uv=False)[..., -1, None, None]
    dependent = np.equal(closed(smallest, 1), 0)
    inner = np.linalg.solve(np.where(dependent, np.eye(shape_of(v)[-1]), v), np.matmul(t, v))
    return over_gap(inner, np.where(dependent, 0.0, 1.0).astype(aval(smallest).dtype), what)


def _eig_jvp(out: Any, _primals: Any, tangents: Any) -> Any:
    (w, v), (t,) = out, tangents
    if t is None or aval(w).size == 0:
        return None, None
    inner = _in_basis(v, t, "np.linalg.eig")
    turn = rotation(inner, w, "np.linalg.eig")
    dv = np.matmul(v, turn)
    # LAPACK scales each vector to length one and makes its largest component real.
    along = np.sum(np.multiply(np.conjugate(v), dv), axis=-2, keepdims=True)
    if aval(v).dtype.kind != "c":
        return _diagonal(inner), np.subtract(dv, np.multiply(v, along))
    sizes = np.absolute(v)
    spot = np.expand_dims(np.argmax(np.where(np.equal(np.imag(v), 0), sizes, -1), axis=-2), -2)
    peak = np.equal(np.expand_dims(np.arange(shape_of(v)[-1]), -1), spot)
    phase = np.sum(np.divide(np.where(peak, np.imag(dv), 0), np.where(peak, np.real(v), 1)), axis=-2, keepdims=True)
    shift = np.add(np.real(along), np.multiply(1j, phase))
    largest = np.max(sizes, axis=-2, keepdims=True)
    nearly = np.greater(sizes, np.multiply(largest, 1 - np.finfo(aval(sizes).dtype).eps * 64))
    several = np.greater(np.sum(nearly, axis=-2), 1)
    return _diagonal(inner), held_p.call(np.subtract(dv, np.multiply(v, shift)), v, several, what="np.linalg.eig")


eig_p: Primitive = own_primitive("linalg.eig", lambda a: tuple(np.linalg.eig(a)), jvp=_eig_jvp, multiple=True,
                      batch=batch_leading(lambda: eig_p))


@function(np.linalg.eig, "nonlinear", eig_p,
          points=(_EQUAL, point("an error at equal eigenvalues", "f(x)[1][0, 1]", _ONE, NotDifferentiableError),
                  point("where the phase of complex vectors jumps (two largest components), it is held; what "
                        "depends on it is an error in reverse mode", "f(x)[1] * np.conj(f(x)[1])",
                        [[1.0, 1.0], [-1.0, 1.0]], 0)),
          cases=("S(3)", "M(3) + np.diag([0., 1, 2])", "np.array([[1., 2], [-2, 1.5]]) + 0.1 * A(2, 2)"))
def eig(a: Any) -> Any:
    return EigResult(*bind(eig_p, (operand(a),), {}))


def _eigvals_jvp(_out: Any, primals: Any, tangents: Any) -> Any:
    (a,), (t,) = primals, tangents
    if t is None:
        return None
    w, v = np.linalg.eig(a)
    return _diagonal(_in_basis(v, t, "np.linalg.eigvals")) if aval(w).size else np.zeros_like(w)


eigvals_p: Primitive = nonlinear(np.linalg.eigvals,
                                 jvp=_eigvals_jvp, batch=batch_leading(lambda: eigvals_p),
                      points=(point("at equal eigenvalues right for functions symmetric in them", "f(x) ** 2",
                                    [[2.0, 0.0], [0.0, 2.0]], [[4, 0], [0, 4]]),
                              point("an error at a defective matrix", "f(x)", [[1.0, 1.0], [0.0, 1.0]],
                                    NotDifferentiableError)),
                      cases=("S(3)", "M(3) + np.diag([0., 1, 2])", "np.array([[1., 2], [-2, 1.5]]) + 0.1 * A(2, 2)"))

# ---------------------------------------------------------------------- singular values


def _svd_jvp(out: Any, _primals: Any, tangents: Any, full_matrices: bool = True) -> Any:
    (u, s, vh), (t,) = out, tangents
    if t is None:
        return None, None, None
    what = "np.linalg.svd"
    m, n, k = shape_of(u)[-2], shape_of(vh)[-1], shape_of(s)[-1]
    u, vh = u[..., :, :k], vh[..., :k, :]
    v = adjoint(vh)
    inner = np.matmul(adjoint(u), np.matmul(t, v))
    top = _largest(s)
    column, row = np.expand_dims(s, -2), np.expand_dims(s, -1)
    gap = np.multiply(_gaps(s, top), np.where(np.eye(k, dtype=bool), 1, closed(np.add(column, row), top)))
    off = _off_diagonal(inner)
    other = adjoint(off)
    du_in = over_gap(np.add(np.multiply(off, column), np.multiply(row, other)), gap, what)
    dv_in = over_gap(np.add(np.multiply(row, off), np.multiply(other, column)), gap, what)
    du_in = np.multiply(0.5, np.subtract(du_in, adjoint(du_in)))
    dv_in = np.multiply(0.5, np.subtract(dv_in, adjoint(dv_in)))
    if aval(u).dtype.kind == "c":
        # The phase that both vectors of a pair share is free; _phase settles it below.
        angle = over_gap(np.imag(_diagonal(inner)), closed(s, top[..., 0]), what)
        du_in = np.add(du_in, np.multiply(np.multiply(np.expand_dims(angle, -2), np.eye(k)), 1j))
    du, dv = np.matmul(u, du_in), np.matmul(v, dv_in)
    if m > k:
        rest = np.matmul(t, v)
        rest = np.subtract(rest, np.matmul(u, np.matmul(adjoint(u), rest)))
        du = np.add(du, over_gap(rest, closed(column, top), what))
    if n > k:
        rest = np.matmul(adjoint(t), u)
        rest = np.subtract(rest, np.matmul(v, np.matmul(vh, rest)))
        dv = np.add(dv, over_gap(rest, closed(column, top), what))
    if aval(u).dtype.kind == "c":
        pairs = [(u, du), (v, dv)] if m < n else [(v, dv), (u, du)]
        settled, first = _phase(*pairs[0], 0)
        other, second = _phase(*pairs[1], 0)
        phase = np.where(settled, first, second)
        # Both vectors of a pair have one phase.
        both = held_p.call(np.concatenate([np.add(du, _turned(u, phase)), np.add(dv, _turned(v, phase))], axis=-2),
                           np.concatenate([u, v], axis=-2), np.logical_not(np.logical_or(settled, other)), what=what)
        du, dv = both[..., :m, :], both[..., m:, :]
    if full_matrices and m > k:
        du = np.concatenate([du, undetermined_p.call(t, shape=(m, m - k), what=what)], axis=-1)
    if full_matrices and n > k:
        dv = np.concatenate([dv, undetermined_p.call(t, shape=(n, n - k), what=what)], axis=-1)
    return du, np.real(_diagonal(inner)), adjoint(dv)


svd_p: Primitive = own_primitive("linalg.svd", lambda a, full_matrices=True: tuple(np.linalg.svd(a, full_matrices)),
                      jvp=_svd_jvp, multiple=True, batch=batch_leading(lambda: svd_p))


@function(np.linalg.svd, "nonlinear", svd_p,
          notes="the extra vectors of full_matrices=True have none", points=(
    point("vectors: an error at equal singular values", "f(x)[0][0, 1]", _ONE, NotDifferentiableError),
    point("values: at equal ones right for functions symmetric in them", "f(x, compute_uv=False) ** 2",
          [[2.0, 0.0], [0.0, 2.0]], [[4, 0], [0, 4]])), cases=("M(3) + np.diag([0., 1, 2]), False",
                                       "A(4, 2), full_matrices=False", "A(2, 4), full_matrices=False",
                                       "A(2, 3, 2), full_matrices=False", "A(3, 2), compute_uv=False",
                                       "S(3), compute_uv=False, hermitian=True"))
def svd(a: Any, full_matrices: Any = True, compute_uv: Any = True, hermitian: Any = False) -> Any:
    a = operand(a)
    if hermitian:
        a = from_triangle(a, "L")
    if not static(compute_uv):
        values = bind(svdvals_p, (a,), {})
        # (NumPy turns eigenvalues around, a view.)
        return np.flip(in_c_order(np.flip(values, -1)), -1) if hermitian else values
    return SVDResult(*bind(svd_p, (a,), {"full_matrices": bool(static(full_matrices))}))


def _svdvals_jvp(_out: Any, primals: Any, tangents: Any) -> Any:
    (a,), (t,) = primals, tangents
    if t is None:
        return None
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return np.real(np.sum(np.multiply(np.matmul(adjoint(u), t), np.conjugate(vh)), axis=-1))


svdvals_p: Primitive = own_primitive("linalg.svdvals", lambda a: np.linalg.svd(a, compute_uv=False), jvp=_svdvals_jvp,
                          batch=batch_leading(lambda: svdvals_p))


@function(np.linalg.svdvals, "nonlinear", svdvals_p, cases=("A(3, 2)", "A(2, 2, 3)", "M(3)"))
def svdvals(x: Any, /) -> Any:
    return bind(svdvals_p, (operand(x),), {})


# ---------------------------------------------------------------------- QR


def _qr_jvp(out: Any, _primals: Any, tangents: Any, mode: str = "reduced") -> Any:
    (q, r), (t,) = out, tangents
    if t is None:
        return None, None
    m, n = shape_of(t)[-2:]
    k = min(m, n)
    thin, square = q[..., :, :k], r[..., :k, :k]
    # A column that depends on those before it determines no direction of its own.
    sizes = np.absolute(_diagonal(square))
    full = np.not_equal(closed(sizes, _largest(sizes)[..., 0]), 0)
    square = np.add(np.where(np.expand_dims(full, -2), square, np.zeros((), aval(square).dtype)),
                    np.multiply(np.logical_not(np.expand_dims(full, -2)), np.eye(k, dtype=aval(square).dtype)))
    x = np.swapaxes(np.linalg.solve(np.swapaxes(square, -1, -2), np.swapaxes(t[..., :, :k], -1, -2)), -1, -2)
    x = over_gap(x, np.expand_dims(np.astype(full, sizes.dtype), -2), "np.linalg.qr")
    inner = np.matmul(adjoint(thin), x)
    below = np.where(np.tri(k, k=-1, dtype=bool), inner, np.zeros((), aval(inner).dtype))
    turn = np.subtract(below, adjoint(below))
    if aval(inner).dtype.kind == "c":  # LAPACK keeps the diagonal of r real
        turn = np.add(turn, np.multiply(np.multiply(np.imag(inner), np.eye(k)), 1j))
    dq = np.add(np.matmul(thin, turn), np.subtract(x, np.matmul(thin, inner)))
    dr = np.subtract(np.matmul(adjoint(thin), t), np.matmul(turn, r[..., :k, :]))
    dr = np.where(np.tri(k, n, k=-1, dtype=bool), np.zeros((), aval(dr).dtype), dr)
    if mode == "complete" and m > k:
        dq = np.concatenate([dq, undetermined_p.call(t, shape=(m, m - k), what="np.linalg.qr")], axis=-1)
        dr = np.concatenate([dr, np.zeros((*shape_of(dr)[:-2], m - k, n), aval(dr).dtype)], axis=-2)
    return dq, dr


qr_p: Primitive = own_primitive("linalg.qr", lambda a, mode="reduced": tuple(np.linalg.qr(a, mode)), jvp=_qr_jvp,
                                multiple=True,
                     batch=batch_leading(lambda: qr_p))


@function(np.linalg.qr, "nonlinear", qr_p,
          notes="full rank of the leading columns; the extra columns of "
          "mode='complete' have no derivative", cases=("M(3)", "A(4, 2)", "A(2, 3)", "A(2, 3, 2)", "A(4, 2), mode='r'",
                                                       "M(3), mode='complete'", "C(3, 2)",
                                                       "A(4, 2), 'raw'", "A(2, 3), 'raw'", "M(2, 3, 3), 'raw'",
                                                       "C(3, 2), 'raw'"))
def qr(a: Any, mode: Any = "reduced") -> Any:
    a = operand(a)
    if mode not in ("reduced", "complete"):
        if mode != "r":
            return _other_mode(a, mode)
        return bind(qr_p, (a,), {})[1]
    return QRResult(*bind(qr_p, (a,), {} if mode == "reduced" else {"mode": mode}))


def _other_mode(a: Any, mode: Any) -> Any:
    if mode == "raw" and aval(a).ndim > 1:
        return _reflectors(a)
    v = aval(a)
    return np.linalg.qr(np.zeros(v.shape, v.dtype), mode)


def _reflectors(a: Any) -> tuple[Any, Any]:
    """Householder's reflections and their factors, as LAPACK's geqrf leaves them, transposed (LAPACK's larfg)."""
    kind: Any = np.linalg.qr(np.zeros((1, 1), aval(a).dtype), "r")
    given = a
    a = services["astype"](a, kind.dtype)
    edges, factors = [], []
    for _ in range(min(shape_of(a)[-2:])):
        head, rest, others = a[..., :1, :1], a[..., 1:, :1], a[..., :, 1:]
        # With nothing below the head to reflect, the factor is zero and the column stays.
        idle = np.logical_and(np.equal(np.linalg.norm(rest, axis=-2, keepdims=True), 0), np.equal(np.imag(head), 0))
        size = np.where(idle, 1, np.linalg.norm(a[..., :, :1], axis=-2, keepdims=True))
        beta = np.where(np.less(np.real(head), 0), size, np.negative(size))
        factor = np.where(idle, 0, np.divide(np.subtract(beta, head), beta))
        v = np.where(idle, 0, np.divide(rest, np.where(idle, 1, np.subtract(head, beta))))
        whole = np.concatenate([np.ones_like(head), v], axis=-2)
        turned = np.matmul(np.multiply(whole, np.conjugate(factor)), np.matmul(adjoint(whole), others))
        others = np.subtract(others, turned)
        edges.append((np.where(idle, head, beta), v, others[..., :1, :]))
        factors.append(factor[..., 0, 0])
        a = others[..., 1:, :]
    for corner, column, row in edges[::-1]:
        a = np.concatenate([np.concatenate([corner, row], axis=-1), np.concatenate([column, a], axis=-1)], axis=-2)
    lead = shape_of(a)[:-2]
    factor = np.stack(factors, axis=-1) if factors else np.zeros((*lead, 0), aval(a).dtype)
    return np.swapaxes(laid_out(a, given), -1, -2), factor


__all__: Sequence[str] = ["EigResult", "EighResult", "QRResult", "SVDResult", "by_phase", "rotation"]
