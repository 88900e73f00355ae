"""scipy.linalg: matrices made of vectors, and systems whose matrix is given by its diagonals.

SciPy solves these in fewer steps than a full matrix takes; what is recorded is the full matrix, so a derivative
costs as much as that of `solve`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from npdiff.core import aval, shape_of
from npdiff.dispatch.common import in_f_order, pick
from npdiff.dispatch.declare import operand, static
from npdiff.dispatch.linalg import from_triangle
from npdiff.dispatch.operands import anywhere, phantom
from npdiff.dispatch.scipy.declare import composite, is_complex
from npdiff.dispatch.scipy.matrix_operands import matrix, only

_sp = scipy.linalg
_solve_circulant, _matmul_toeplitz = _sp.solve_circulant, _sp.matmul_toeplitz
_eigvalsh_tridiagonal = _sp.eigvalsh_tridiagonal

# ---------------------------------------------------------------------- what is made of vectors


def _vector(name: str, a: Any) -> Any:
    a = operand(a)
    only(name, a, **{"anything but vectors": aval(a).ndim != 1})
    return a


@composite(_sp, "toeplitz", cases=("A(3)", "A(3), A(4)", "C(3)"))
def toeplitz(c: Any, r: Any = None) -> Any:
    c = _vector("toeplitz", c)
    r = np.conjugate(c) if r is None else _vector("toeplitz", r)
    n, m = shape_of(c)[0], shape_of(r)[0]
    return pick(np.concatenate([c[::-1], r[1:]]), n - 1 - np.arange(n)[:, None] + np.arange(m))


@composite(_sp, "hankel", cases=("A(3)", "A(3), A(4)"))
def hankel(c: Any, r: Any = None) -> Any:
    c = _vector("hankel", c)
    r = np.zeros_like(c) if r is None else _vector("hankel", r)
    return pick(np.concatenate([c, r[1:]]), np.arange(shape_of(c)[0])[:, None] + np.arange(shape_of(r)[0]))


@composite(_sp, "circulant", cases=("A(3)",))
def circulant(c: Any) -> Any:
    c = _vector("circulant", c)
    n = shape_of(c)[0]
    return pick(c, (np.arange(n)[:, None] - np.arange(n)) % max(n, 1))


# ---------------------------------------------------------------------- Toeplitz and circulant systems


def _double(a: Any) -> Any:
    """An operand in double precision, in which SciPy solves these."""
    return np.multiply(np.ones((), complex if is_complex(a) else float), a)


def _of_toeplitz(c_or_cr: Any, check_finite: Any) -> Any:
    c, r = c_or_cr if isinstance(c_or_cr, tuple) else (c_or_cr, None)
    return toeplitz(matrix(c, check_finite, (1,)), None if r is None else matrix(r, check_finite, (1,)))


@composite(_sp, "solve_toeplitz", cases=("np.array([4.0, 1, 0.5]) + A(3), A(3)",
                                         "(np.array([4.0, 1, 0.5]) + A(3), A(3)), A(3, 2)"))
def solve_toeplitz(c_or_cr: Any, b: Any, check_finite: Any = True) -> Any:
    return np.linalg.solve(_double(_of_toeplitz(c_or_cr, check_finite)), matrix(b, check_finite, (1, 2)))


@composite(_sp, "matmul_toeplitz", cases=("A(3), A(3)", "(A(3), A(4)), A(4, 2)"))
def matmul_toeplitz(c_or_cr: Any, x: Any, check_finite: Any = False, workers: Any = None) -> Any:
    t, x = _double(_of_toeplitz(c_or_cr, check_finite)), matrix(x, check_finite, (1, 2))
    return _matmul_toeplitz(phantom(c_or_cr), phantom(x)) if aval(x).size == 0 else np.matmul(t, x)


@composite(_sp, "solve_circulant", cases=("np.array([4.0, 1, 0.5]) + A(3), A(3)",
                                          "np.array([4.0, 1, 0.5]) + A(3), A(3, 2)"))
def solve_circulant(c: Any, b: Any, singular: Any = "raise", tol: Any = None, caxis: Any = -1, baxis: Any = 0,
                    outaxis: Any = 0) -> Any:
    c, b = matrix(c, False, (1,)), matrix(b, False, (1, 2))
    if 0 in (*shape_of(c), *shape_of(b)):
        return _solve_circulant(phantom(c), phantom(b))
    only("solve_circulant", c, b, singular=singular != "raise", tol=tol is not None,
         **{"axes of its own": (caxis, baxis, outaxis) != (-1, 0, 0)})
    if shape_of(c)[0] != shape_of(b)[0]:
        _solve_circulant(phantom(c), phantom(b))  # SciPy's own error
    spectrum = np.fft.fft(c)
    sizes = np.absolute(spectrum)
    if anywhere(np.less_equal(sizes, np.multiply(np.max(sizes), shape_of(c)[0] * np.finfo(aval(sizes).dtype).eps))):
        raise np.linalg.LinAlgError("near singular circulant matrix.")
    rates = spectrum if aval(b).ndim == 1 else np.expand_dims(spectrum, 1)
    x = np.fft.ifft(np.divide(np.fft.fft(b, axis=0), rates), axis=0)
    return x if is_complex(c, b) else np.real(x)


# ---------------------------------------------------------------------- banded systems


def _bands(ab: Any, above: int, below: int) -> Any:
    """The matrix whose diagonals are the rows of `ab`, the uppermost first."""
    n = shape_of(ab)[1]
    row, column = np.arange(n)[:, None], np.arange(n)
    line = above + row - column
    inside = np.logical_and(line >= 0, line <= above + below)
    flat = np.where(inside, line * n + column, 0)
    return np.where(inside, pick(np.reshape(ab, (-1,)), flat), np.zeros((), aval(ab).dtype))


def _rows_agree(name: str, wanted: int, ab: Any, b: Any) -> None:
    if shape_of(ab)[-1] != shape_of(b)[0]:
        raise ValueError("shapes of ab and b are not compatible.")
    if shape_of(ab)[0] != wanted:
        raise ValueError(f"scipy.linalg.{name}: {wanted} diagonals are announced, {shape_of(ab)[0]} given")


@composite(_sp, "solve_banded", cases=("(1, 1), np.array([[0.0], [4], [0]]) + A(3, 4), A(4)",
                                       "(2, 0), np.array([[4.0], [0], [0]]) + A(3, 4), A(4, 2)"))
def solve_banded(l_and_u: Any, ab: Any, b: Any, overwrite_ab: Any = False, overwrite_b: Any = False,
                 check_finite: Any = True) -> Any:
    ab, b = matrix(ab, check_finite), matrix(b, check_finite, (1, 2))
    below, above = static(tuple(l_and_u))
    _rows_agree("solve_banded", below + above + 1, ab, b)
    return in_f_order(np.linalg.solve(_bands(ab, above, below), b))


@composite(_sp, "solveh_banded", cases=("np.array([[0.0], [4]]) + A(2, 4), A(4)",
                                        "np.array([[4.0], [0]]) + A(2, 4), A(4, 2), lower=True"))
def solveh_banded(ab: Any, b: Any, overwrite_ab: Any = False, overwrite_b: Any = False, lower: Any = False,
                  check_finite: Any = True) -> Any:
    ab, b = matrix(ab, check_finite), matrix(b, check_finite, (1, 2))
    count = shape_of(ab)[0] - 1
    _rows_agree("solveh_banded", count + 1, ab, b)
    half = _bands(ab, 0, count) if lower else _bands(ab, count, 0)
    return in_f_order(np.linalg.solve(from_triangle(half, "L" if lower else "U"), b))


@composite(_sp, "eigvalsh_tridiagonal", cases=("np.arange(4.0) + A(4), A(3)",))
def eigvalsh_tridiagonal(d: Any, e: Any, select: Any = "a", select_range: Any = None, check_finite: Any = True,
                         tol: Any = 0.0, lapack_driver: Any = "auto") -> Any:
    d, e = matrix(d, check_finite, (1,)), matrix(e, check_finite, (1,))
    only("eigvalsh_tridiagonal", d, e, select_range=select_range is not None, **{f"select={select!r}": select != "a"})
    if is_complex(d, e):
        _eigvalsh_tridiagonal(phantom(d), phantom(e))  # SciPy's own error
    return np.linalg.eigvalsh(np.add(np.diag(d), np.diag(e, -1)))


@composite(_sp, "solve_discrete_lyapunov", cases=("0.3 * M(2), A(2, 2)",))
def solve_discrete_lyapunov(a: Any, q: Any, method: Any = None) -> Any:
    a, q = matrix(a, False), matrix(q, False)
    n = shape_of(a)[0]
    lhs = np.subtract(np.eye(n * n), np.kron(a, np.conjugate(a)))
    return np.reshape(np.linalg.solve(lhs, np.reshape(q, (-1,))), shape_of(q))


__all__: list[str] = []
