"""scipy.linalg: systems, factorisations and norms, as np.linalg's rows say where the two agree.

Formulas: M. Giles, An extended collection of matrix derivative results for forward and reverse mode algorithmic
differentiation, Oxford 2008; N. Higham, Functions of Matrices, SIAM 2008 (LU and Sylvester's equation there too).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from npdiff.avals import ndarray
from npdiff.core import Primitive, aval, bind, own_primitive, services, shape_of, unsupported
from npdiff.dispatch import decompositions
from npdiff.dispatch.common import adjoint, in_f_order, pick
from npdiff.dispatch.declare import operand, static
from npdiff.dispatch.indexing import per_example
from npdiff.dispatch.linalg import from_triangle
from npdiff.dispatch.operands import anywhere, phantom
from npdiff.dispatch.rules import add_tangents, constant_primitive
from npdiff.dispatch.scipy import matrix_functions, structured  # noqa: F401
from npdiff.dispatch.scipy.declare import capture_functions, composite, is_complex, refused, untracked
from npdiff.dispatch.scipy.matrix_operands import columns, matrix, only
from npdiff.dispatch.triangular import triangular_primitive

_sp = scipy.linalg


# ---------------------------------------------------------------------- triangular systems

_solve_triangular = _sp.solve_triangular


def _tri_call(a: Any, b: Any, *, trans: int, lower: bool, unit: bool) -> Any:
    return _solve_triangular(a, b, trans, lower, unit, check_finite=False)


tri_p = triangular_primitive("scipy.linalg.solve_triangular", _tri_call)


def _tri(a: Any, b: Any, lower: bool, trans: int = 0, unit: bool = False) -> Any:
    return bind(tri_p, (a, b), {"trans": trans, "lower": lower, "unit": unit})


@composite(_sp, "solve_triangular", kind="nonlinear", cases=(
    "M(3), A(3)", "M(3), A(3, 2), lower=True", "M(3), A(3), trans=1", "M(3), A(3), trans='C', unit_diagonal=True"))
def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: Any = False, unit_diagonal: Any = False,
                     overwrite_b: Any = False, check_finite: Any = True) -> Any:
    a, (b, vector) = matrix(a, check_finite), columns(matrix(b, check_finite, (1, 2)))
    trans = static(trans)
    code = {"N": 0, "T": 1, "C": 2}.get(trans, trans)
    if code == 2 and is_complex(a):
        a = np.conjugate(a)
    x = _tri(a, b, bool(lower), min(code, 1), bool(unit_diagonal))
    return x[:, 0] if vector else x


# ---------------------------------------------------------------------- systems and inverses


@composite(_sp, "inv", cases=("M(3)", "C(2, 2)"))
def inv(a: Any, overwrite_a: Any = False, check_finite: Any = True, *, assume_a: Any = None,
        lower: Any = False) -> Any:
    return np.linalg.inv(_structured("inv", matrix(a, check_finite), assume_a, lower))


@composite(_sp, "det", cases=("np.zeros(3) + M(3)", "np.zeros(2) + C(2, 2)"))
def det(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    a = matrix(a, check_finite)
    wide = np.dtype(complex if is_complex(a) else float)  # SciPy computes determinants in double precision
    return np.linalg.det(a if aval(a).dtype == wide else np.multiply(np.ones((), wide), a))


_GENERAL = (None, "gen", "general")
_SYMMETRIC = ("pos", "positive definite", "her", "hermitian", "sym", "symmetric")


def _structured(name: str, a: Any, assume_a: Any, lower: Any) -> Any:
    """The matrix that LAPACK sees: it reads one triangle of a symmetric one."""
    if assume_a in _GENERAL:
        return a
    only(name, a, **{f"assume_a={assume_a!r}": assume_a not in _SYMMETRIC or (
        assume_a in ("sym", "symmetric") and is_complex(a))})
    return from_triangle(a, "L" if lower else "U")


@composite(_sp, "solve", cases=("M(3), A(3)", "M(3), A(3, 2)", "S(3), A(3), assume_a='pos'",
                                "S(3), A(3), lower=True, assume_a='pos'", "M(3), A(3), transposed=True"))
def solve(a: Any, b: Any, lower: Any = False, overwrite_a: Any = False, overwrite_b: Any = False,
          check_finite: Any = True, assume_a: Any = None, transposed: Any = False) -> Any:
    a, b = matrix(a, check_finite), matrix(b, check_finite, (1, 2))
    if assume_a in ("upper triangular", "lower triangular"):
        return solve_triangular(a, b, int(transposed), assume_a.startswith("lower"), check_finite=False)
    if transposed and (is_complex(a) or is_complex(b)):
        raise NotImplementedError("scipy.linalg.solve can currently not solve a^T x = b or a^H x = b for complex "
                                  "matrices.")
    a = _structured("solve", a, assume_a, lower)
    return np.linalg.solve(np.transpose(a) if transposed else a, b)


def _cutoff(a: Any, rtol: Any) -> Any:
    return max(shape_of(a)) * np.finfo(aval(a).dtype).eps if rtol is None else static(rtol)


@composite(_sp, "pinv", notes="at constant rank", cases=("A(3, 2) + np.eye(3, 2)", "M(3)"))
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: Any = False, check_finite: Any = True) -> Any:
    a = matrix(a, check_finite)
    only("pinv", a, atol=atol is not None, return_rank=bool(return_rank))
    return np.linalg.pinv(a, rtol=_cutoff(a, rtol))


@composite(_sp, "pinvh", notes="at constant rank", cases=("S(3)", "S(3), lower=False"))
def pinvh(a: Any, atol: Any = None, rtol: Any = None, lower: Any = True, return_rank: Any = False,
          check_finite: Any = True) -> Any:
    a = matrix(a, check_finite)
    only("pinvh", a, atol=atol is not None, return_rank=bool(return_rank))
    return np.linalg.pinv(from_triangle(a, "L" if lower else "U"), rtol=_cutoff(a, rtol))


# How SciPy gives the residuals of complex numbers, and a rank: a Python number or one of NumPy's.
_, _RESIDUALS, _RANK, _ = _sp.lstsq(np.ones((2, 1), complex), np.ones(2))


@composite(_sp, "lstsq", notes="at constant rank", cases=("A(4, 2), A(4)", "A(4, 2), A(4, 3)", "A(2, 3), A(2)"))
def lstsq(a: Any, b: Any, cond: Any = None, overwrite_a: Any = False, overwrite_b: Any = False,
          check_finite: Any = True, lapack_driver: Any = None) -> Any:
    a, b = matrix(a, check_finite), matrix(b, check_finite, (1, 2))
    eps = np.finfo(np.result_type(aval(a).dtype, aval(b).dtype)).eps
    x, residuals, rank, s = np.linalg.lstsq(a, b, rcond=eps if cond is None else static(cond))
    if aval(b).ndim == 1 and aval(residuals).size:
        residuals = np.reshape(residuals, ())
        if not isinstance(_RESIDUALS, ndarray):
            residuals = residuals[()]  # as SciPy before 1.18
    none = not isinstance(_RESIDUALS, ndarray) and not aval(residuals).size
    if is_complex(x) and (none or _RESIDUALS.dtype.kind == "c"):
        residuals = services["astype"](residuals, aval(x).dtype, "unsafe", False)
    if type(_RANK) is int or 0 in shape_of(a):
        return x, residuals, np.astype(rank, np.int64) if per_example(rank) else int(rank), s
    return x, residuals, services["astype"](rank, _RANK.dtype, "unsafe", False), s


@composite(_sp, "norm", cases=("A(3), 3", "A(2, 3)", "A(2, 3), 'nuc'", "A(3), 1", "A(2, 3), axis=1"))
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: Any = False, check_finite: Any = True) -> Any:
    return np.linalg.norm(matrix(a, check_finite, tuple(range(33))), ord, axis, keepdims)


# ---------------------------------------------------------------------- Cholesky


@composite(_sp, "cholesky", notes="reads one triangle", cases=("S(3)", "S(3), lower=True"))
def cholesky(a: Any, lower: Any = False, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    return np.linalg.cholesky(matrix(a, check_finite), upper=not lower)


# Newer SciPy clears the other triangle, older leaves the matrix there.
_FACTOR = _sp.cho_factor(np.array([[2.0, 1.0], [1.0, 2.0]]))
_CLEARS = not _FACTOR[0][1, 0]


@composite(_sp, "cho_factor", notes="the other triangle is zero or that of the matrix, as SciPy has it",
           cases=("S(3)", "S(3), lower=True"))
def cho_factor(a: Any, lower: Any = False, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    a = matrix(a, check_finite)
    inside = np.tri(shape_of(a)[-1], dtype=bool)
    factor = np.linalg.cholesky(a, upper=not lower)
    other = np.zeros((), aval(a).dtype) if _CLEARS else a
    return np.where(inside if lower else np.transpose(inside), factor, other), np.asarray(lower) if isinstance(
        _FACTOR[1], ndarray) else lower


@composite(_sp, "cho_solve", cases=("(M(3), True), A(3)", "(M(3), False), A(3, 2)"))
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: Any = False, check_finite: Any = True) -> Any:
    c, lower = c_and_lower
    c, (b, vector) = matrix(c, check_finite), columns(matrix(b, check_finite, (1, 2)))
    turned, lower = adjoint(c), bool(static(lower))
    x = _tri(turned, _tri(c, b, True), False) if lower else _tri(c, _tri(turned, b, True), False)
    return x[:, 0] if vector else x


# ---------------------------------------------------------------------- LU

_lu_plain, _lu_factor, _lu_solve = _sp.lu, _sp.lu_factor, _sp.lu_solve


def _lu_change(lower: Any, upper: Any, rows: Any) -> tuple[Any, Any]:
    """The changes of L and U, given those of the rows of L U."""
    inner = np.swapaxes(_tri(upper, np.swapaxes(_tri(lower, rows, True, unit=True), -1, -2), False, 1), -1, -2)
    return np.matmul(lower, np.tril(inner, -1)), np.matmul(np.triu(inner), upper)


def _lu_jvp(out: Any, _primals: Any, tangents: Any) -> Any:
    (p, lower, upper), (t,) = out, tangents
    return (None, None, None) if t is None else (None, *_lu_change(lower, upper, np.matmul(np.transpose(p), t)))


lu_p: Primitive = own_primitive("scipy.linalg.lu", lambda a: tuple(_lu_plain(a, check_finite=False)), jvp=_lu_jvp,
                                multiple=True)


def _square(name: str, a: Any) -> Any:
    only(name, a, **{"a matrix that is not square": len(set(shape_of(a))) > 1})
    return a


@composite(_sp, "lu", kind="nonlinear", notes="square matrices", cases=("M(3)", "M(3), permute_l=True"))
def lu(a: Any, permute_l: Any = False, overwrite_a: Any = False, check_finite: Any = True,
       p_indices: Any = False) -> Any:
    a = _square("lu", matrix(a, check_finite))
    p, lower, upper = bind(lu_p, (a,), {})
    if permute_l:
        return np.matmul(p, lower), upper
    return (np.argmax(p, axis=1) if p_indices else p), lower, upper


def _order(piv: Any) -> Any:
    """The row order that LAPACK's interchanges make."""
    order = np.arange(len(piv))
    for k, other in enumerate(piv.tolist()):
        order[[k, other]] = order[[other, k]]
    return order


order_p = constant_primitive("scipy.linalg.row_order", None, impl=_order)


def _lu_factor_jvp(out: Any, _primals: Any, tangents: Any) -> Any:
    (packed, piv), (t,) = out, tangents
    if t is None:
        return None, None
    n = shape_of(packed)[-1]
    lower = np.add(np.tril(packed, -1), np.eye(n, dtype=aval(packed).dtype))
    return np.add(*_lu_change(lower, np.triu(packed), pick(t, order_p.call(piv)))), None


lu_factor_p: Primitive = own_primitive("scipy.linalg.lu_factor", lambda a: tuple(_lu_factor(a, check_finite=False)),
                                       jvp=_lu_factor_jvp, multiple=True)


@composite(_sp, "lu_factor", kind="nonlinear", notes="square matrices", cases=("M(3)",))
def lu_factor(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    return bind(lu_factor_p, (_square("lu_factor", matrix(a, check_finite)),), {})


@composite(_sp, "lu_solve", cases=("(M(3), np.array([1, 1, 2])), A(3)", "(M(3), np.array([0, 2, 2])), A(3, 2), 1"))
def lu_solve(lu_and_piv: Any, b: Any, trans: Any = 0, overwrite_b: Any = False, check_finite: Any = True) -> Any:
    packed, piv = lu_and_piv
    packed, (b, vector) = matrix(packed, check_finite), columns(matrix(b, check_finite, (1, 2)))
    if 0 in shape_of(packed):
        return _lu_solve((phantom(packed), phantom(piv)), phantom(b)[:, 0] if vector else phantom(b), trans)
    order = bind(order_p, (operand(piv),), {})
    if trans:
        a = np.conjugate(packed) if trans == 2 else packed
        x = in_f_order(pick(_tri(a, _tri(a, b, False, 1), True, 1, unit=True), np.argsort(order)))
    else:
        x = _tri(packed, _tri(packed, pick(b, order), True, unit=True), False)
    return x[:, 0] if vector else x


# ---------------------------------------------------------------------- orthogonal factorisations, eigenvalues


@composite(_sp, "qr", notes="full rank of the leading columns; not with pivoting", cases=(
    "M(3)", "A(4, 2), mode='economic'", "A(2, 3)", "M(3), mode='r'"))
def qr(a: Any, overwrite_a: Any = False, lwork: Any = None, mode: Any = "full", pivoting: Any = False,
       check_finite: Any = True) -> Any:
    a = matrix(a, check_finite)
    only("qr", a, pivoting=bool(pivoting), **{"mode='raw'": mode == "raw"})
    q, r = np.linalg.qr(a, "reduced" if mode == "economic" else "complete")
    return (r,) if mode == "r" else (q, r)


@composite(_sp, "svd", notes="distinct singular values", cases=(
    "M(3) + np.diag([0., 1, 2]), False", "A(4, 2), full_matrices=False", "A(3, 2), compute_uv=False"))
def svd(a: Any, full_matrices: Any = True, compute_uv: Any = True, overwrite_a: Any = False,
        check_finite: Any = True, lapack_driver: Any = "gesdd") -> Any:
    a = matrix(a, check_finite)
    return tuple(np.linalg.svd(a, full_matrices)) if compute_uv else np.linalg.svd(a, compute_uv=False)


@composite(_sp, "svdvals", cases=("A(3, 2)", "M(3)"))
def svdvals(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    return np.linalg.svd(matrix(a, check_finite), compute_uv=False)


_eigh_plain = _sp.eigh
eigh_p: Primitive = own_primitive(
    "scipy.linalg.eigh", lambda a, UPLO="L": tuple(_eigh_plain(a, lower=UPLO == "L", check_finite=False)),
    jvp=decompositions.eigh_p.jvp, multiple=True)




def _eigh_general_jvp(out: Any, _primals: Any, tangents: Any, UPLO: str = "L") -> Any:
    """Of ``a v = w b v`` with ``v^T b v = 1`` (J. de Leeuw, Derivatives of generalized eigensystems, 2007)."""
    (w, v), (da, db) = out, tangents
    if da is None and db is None:
        return None, None
    change: Any = None if da is None else np.matmul(from_triangle(da, UPLO), v)
    scaled = None
    if db is not None:
        moved = np.matmul(from_triangle(db, UPLO), v)
        change = add_tangents(change, np.negative(np.multiply(moved, w)))
        scaled = np.multiply(-0.5, np.sum(np.multiply(np.conjugate(v), moved), axis=-2))
    inner = np.matmul(adjoint(v), change)
    dv = np.matmul(v, decompositions.rotation(inner, w, "scipy.linalg.eigh"))
    return np.real(np.einsum("ii->i", inner)), dv if scaled is None else np.add(dv, np.multiply(v, scaled))


eigh_general_p: Primitive = own_primitive(
    "scipy.linalg.eigh_general",
    lambda a, b, UPLO="L": tuple(_eigh_plain(a, b, lower=UPLO == "L", check_finite=False)),
    jvp=_eigh_general_jvp, multiple=True)


@composite(_sp, "eigh", kind="nonlinear", notes="reads one triangle; an error at equal eigenvalues", cases=(
    "S(3), eigvals_only=True", "S(3), lower=False, eigvals_only=True", "S(3), 3 * np.eye(3) + S(3), eigvals_only=True"))
def eigh(a: Any, b: Any = None, *, lower: Any = True, eigvals_only: Any = False, overwrite_a: Any = False,
         overwrite_b: Any = False, type: Any = 1, check_finite: Any = True, subset_by_index: Any = None,
         subset_by_value: Any = None, driver: Any = None) -> Any:
    a = matrix(a, check_finite)
    b = None if b is None else matrix(b, check_finite)
    only("eigh", a, subset_by_index=subset_by_index is not None,
          subset_by_value=subset_by_value is not None, driver=driver is not None,
          **{"the vectors of complex matrices and b": b is not None and not eigvals_only and is_complex(a, b),
            f"type={type}": b is not None and type != 1})
    uplo: Any = "L" if lower else "U"
    if b is not None:
        w, v = bind(eigh_general_p, (a, b), {"UPLO": uplo})
        return w if eigvals_only else (w, v)
    return np.linalg.eigvalsh(a, uplo) if eigvals_only else bind(eigh_p, (a,), {"UPLO": uplo})


@composite(_sp, "eigvalsh", notes="reads one triangle", cases=("S(3)", "S(3), lower=False"))
def eigvalsh(a: Any, b: Any = None, *, lower: Any = True, overwrite_a: Any = False, overwrite_b: Any = False,
             type: Any = 1, check_finite: Any = True, subset_by_index: Any = None, subset_by_value: Any = None,
             driver: Any = None) -> Any:
    return eigh(a, b, lower=lower, eigvals_only=True, check_finite=check_finite, subset_by_index=subset_by_index,
                subset_by_value=subset_by_value, driver=driver)


@composite(_sp, "eigvals", notes="distinct eigenvalues", cases=("S(3)", "M(3) + np.diag([0., 1, 2])"))
def eigvals(a: Any, b: Any = None, overwrite_a: Any = False, overwrite_b: Any = False, check_finite: Any = True,
            homogeneous_eigvals: Any = False) -> Any:
    a = matrix(a, check_finite)
    only("eigvals", a, b=b is not None, homogeneous_eigvals=bool(homogeneous_eigvals))
    return np.add(np.linalg.eigvals(a), np.zeros((), np.result_type(aval(a).dtype, np.complex64)))


@composite(_sp, "eig", notes="distinct eigenvalues; right vectors", cases=("M(3) + np.diag([0., 1, 2])",))
def eig(a: Any, b: Any = None, left: Any = False, right: Any = True, overwrite_a: Any = False,
        overwrite_b: Any = False, check_finite: Any = True, homogeneous_eigvals: Any = False) -> Any:
    a = matrix(a, check_finite)
    only("eig", a, b=b is not None, left=bool(left), homogeneous_eigvals=bool(homogeneous_eigvals))
    if not right:
        return eigvals(a, check_finite=False)
    w, v = np.linalg.eig(a)
    if not is_complex(a) and not anywhere(np.not_equal(np.imag(w), 0)):
        v = np.real(v)
    return np.add(w, np.zeros((), np.result_type(aval(a).dtype, np.complex64))), v


# ---------------------------------------------------------------------- what is made of vectors


@composite(_sp, "block_diag", cases=("A(2, 3), A(2), 1.5", "A(2, 2), C(1, 2)"))
def block_diag(*arrs: Any) -> Any:
    parts = [np.atleast_2d(operand(a)) for a in arrs] or [np.zeros((1, 0))]
    if any([aval(p).ndim != 2 for p in parts]):
        raise unsupported("scipy.linalg.block_diag", "is recorded for single matrices, not for stacks", *parts,
                          instead="use npdiff.vmap over the stack")
    dtype = np.result_type(*[aval(p).dtype for p in parts])
    width, before = sum([shape_of(p)[1] for p in parts]), 0
    rows = []
    for p in parts:
        high, wide = shape_of(p)
        rows.append(np.concatenate([np.zeros((high, before), dtype), p,
                                    np.zeros((high, width - before - wide), dtype)], axis=1))
        before += wide
    return np.concatenate(rows)


@composite(_sp, "khatri_rao", cases=("A(2, 3), A(4, 3)",))
def khatri_rao(a: Any, b: Any) -> Any:
    a, b = operand(a), operand(b)
    if aval(a).ndim != 2 or aval(b).ndim != 2 or shape_of(a)[1] != shape_of(b)[1]:
        _khatri_rao(phantom(a), phantom(b))  # SciPy's own error
    return np.reshape(np.multiply(np.expand_dims(a, 1), np.expand_dims(b, 0)), (-1, shape_of(a)[1]))


# ---------------------------------------------------------------------- Sylvester's equation

_sylvester, _khatri_rao, _lyapunov = _sp.solve_sylvester, _sp.khatri_rao, _sp.solve_continuous_lyapunov


def _sylvester_jvp(x: Any, primals: Any, tangents: Any) -> Any:
    (a, b, _), (da, db, dq) = primals, tangents
    change = add_tangents(dq, None if da is None else np.negative(np.matmul(da, x)),
                          None if db is None else np.negative(np.matmul(x, db)))
    return None if change is None else sylvester_p.call(a, b, change)


def _sylvester_pull(ct: Any, x: Any, args: Any, needed: Any, _params: Any) -> Any:
    ct_q = sylvester_p.call(np.transpose(args[0]), np.transpose(args[1]), ct)
    return (None if needed[0] is None else np.negative(np.matmul(ct_q, np.transpose(x))),
            None if needed[1] is None else np.negative(np.matmul(np.transpose(x), ct_q)),
            None if needed[2] is None else ct_q)


sylvester_p: Primitive = own_primitive("scipy.linalg.solve_sylvester", lambda a, b, q: _sylvester(a, b, q),
                                       jvp=_sylvester_jvp, pull=_sylvester_pull)


@composite(_sp, "solve_sylvester", kind="nonlinear", cases=("M(3), M(2), np.ones((3, 2)) + A(3, 2)",))
def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    return bind(sylvester_p, tuple([matrix(m, True) for m in (a, b, q)]), {})


@composite(_sp, "solve_lyapunov")
@composite(_sp, "solve_continuous_lyapunov", cases=("M(3), A(3, 3)",))
def solve_continuous_lyapunov(a: Any, q: Any) -> Any:
    a, q = matrix(a, True), matrix(q, True)
    if len({*shape_of(a), *shape_of(q)}) > 1:
        _lyapunov(phantom(a), phantom(q))  # SciPy's own error
    return bind(sylvester_p, (a, adjoint(a), q), {})


@composite(_sp, "polar", notes="distinct singular values", cases=("M(3) + np.diag([0., 1, 2])",
                                                                  "A(3, 2), side='left'"))
def polar(a: Any, side: Any = "right") -> Any:
    a = matrix(a, False)
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    if side not in ("right", "left"):
        raise ValueError("`side` must be either 'right' or 'left'")
    v = adjoint(vh)
    p = np.matmul(np.multiply(v, s), vh) if side == "right" else np.matmul(np.multiply(u, s), adjoint(u))
    return np.matmul(u, vh), p


# ---------------------------------------------------------------------- what has no rule, and what needs none

refused(_sp, "hands plain matrices to compiled code, and npdiff has no rule for it",
        "bandwidth cdf2rdf cho_solve_banded cholesky_banded clarkson_woodruff_transform companion convolution_matrix "
        "cossin diagsvd eig_banded eigh_tridiagonal eigvals_banded expm_cond "
        "fiedler fiedler_companion funm hessenberg ishermitian issymmetric ldl leslie matrix_balance "
        "null_space ordqz orth orthogonal_procrustes qr_delete qr_insert qr_multiply qr_update qz rq rsf2csf schur "
        "solve_continuous_are solve_discrete_are "
        "subspace_angles",
        "write it with np.linalg, compute it on x.value, the plain array, or give it a rule with npdiff.custom_jvp")
untracked(_sp, "makes a matrix from sizes", "dft hadamard helmert hilbert invhilbert invpascal pascal")
untracked(_sp, "looks up compiled code", "find_best_blas_type get_blas_funcs get_lapack_funcs test")

capture_functions(_sp)

__all__: list[str] = []
