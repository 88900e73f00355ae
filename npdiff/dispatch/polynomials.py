"""The polynomial functions of NumPy's main namespace, highest power first."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from npdiff.core import aval
from npdiff.dispatch.common import laid_out, scalar, shared
from npdiff.dispatch.declare import composite, operand, static, tolerance
from npdiff.dispatch.manipulation import cast
from npdiff.dispatch.operands import anywhere


def _coefficients(p: Any) -> Any:
    return np.atleast_1d(operand(p))


@composite(np.polyval,
           cases=("A(3), A(4)", "A(3), A(2, 2)", "[2.0, 1.0, 0.5], A(3)", "A(3), 0.7", "C(3), A(2)"))
def polyval(p: Any, x: Any) -> Any:
    p, x = operand(p), operand(x)
    y = np.zeros(aval(x).shape, aval(x).dtype)
    for k in range(aval(p).shape[0]):
        y = np.add(np.multiply(y, x), p[k])
    return scalar(y) if aval(p).shape[0] and not aval(x).ndim else laid_out(y, x)


def _lined_up(a1: Any, a2: Any) -> tuple[Any, Any]:
    """Two polynomials with as many coefficients each."""
    a1, a2 = _coefficients(a1), _coefficients(a2)
    n = max(aval(a1).shape[0], aval(a2).shape[0])

    def padded(a: Any) -> Any:
        short = n - aval(a).shape[0]
        return np.concatenate([np.zeros(short, aval(a).dtype), a]) if short else a

    return padded(a1), padded(a2)


@composite(np.polyadd, cases=("A(3), A(3)", "A(2), A(4)", "A(3), [1, 2]"))
def polyadd(a1: Any, a2: Any) -> Any:
    return np.add(*_lined_up(a1, a2))


@composite(np.polysub, cases=("A(3), A(3)", "A(4), A(2)"))
def polysub(a1: Any, a2: Any) -> Any:
    return np.subtract(*_lined_up(a1, a2))


def _trimmed(a: Any) -> Any:
    """A polynomial without zeros in front; the zero polynomial has one coefficient."""
    a = _coefficients(a)
    filled = np.flatnonzero(shared(np.not_equal(a, 0), "the degree of a polynomial"))
    return a[int(filled[0]):] if filled.size else np.zeros(1, aval(a).dtype)


@composite(np.polymul, cases=("A(3), A(2)", "A(2), A(3)", "A(2), 0.5"))
def polymul(a1: Any, a2: Any) -> Any:
    return np.convolve(_trimmed(a1), _trimmed(a2))


@composite(np.polyder, cases=("A(4)", "A(4), 2", "A(3), m=0", "A(1)"))
def polyder(p: Any, m: Any = 1) -> Any:
    m = int(static(m))
    if m < 0:
        raise ValueError("Order of derivative must be positive (see polyint)")
    p = operand(p)
    for _ in range(m):
        n = aval(p).shape[0] - 1
        p = np.multiply(p[:-1], np.arange(n, 0, -1))
    return p


@composite(np.polyint, cases=("A(3)", "A(3), 2", "A(3), 2, k=[0.5, 1.0]", "A(2), k=0.5"))
def polyint(p: Any, m: Any = 1, k: Any = None) -> Any:
    m = int(static(m))
    if m < 0:
        raise ValueError("Order of integral must be positive (see polyder)")
    constants = np.zeros(m) if k is None else _coefficients(k)
    if aval(constants).shape[0] == 1 and m > 1:
        constants = np.multiply(constants, np.ones(m))
    if aval(constants).shape[0] < m:
        raise ValueError("k must be a scalar or a rank-1 array of length 1 or >m.")
    p = operand(p)
    for step in range(m):
        p = np.concatenate([np.divide(p, np.arange(aval(p).shape[0], 0, -1)), constants[step:step + 1]])
    return p


@composite(np.poly, cases=("A(3)", "M(3)", "C(2)"))
def poly(seq_of_zeros: Any) -> Any:
    zeros = _coefficients(seq_of_zeros)
    shape = aval(zeros).shape
    if len(shape) == 2 and shape[0] == shape[1] and shape[0]:
        zeros = np.linalg.eigvals(zeros)
    elif len(shape) != 1:
        raise ValueError("input must be 1d or non-empty square 2d array.")
    if not aval(zeros).size:
        return 1.0
    dtype = np.dtype(np.mintypecode(aval(zeros).dtype.char))
    zeros = zeros if aval(zeros).dtype == dtype else cast(zeros, dtype)
    a: Any = np.ones(1, dtype)
    for k in range(aval(zeros).shape[0]):
        a = np.convolve(a, np.concatenate([np.ones(1, dtype), np.negative(zeros[k:k + 1])]))
    if dtype.kind == "c" and not anywhere(np.not_equal(np.sort(zeros), np.sort(np.conjugate(zeros)))):
        a = np.copy(np.real(a))
    return a


@composite(np.roots, notes="simple roots; at a zero coefficient in front or at the end as for the shorter polynomial",
           cases=("np.array([1.0, -7, 14, -8]) + 0.02 * A(4)", "A(2)", "np.array([1.0, 0.4, 2.0]) + 0.1 * A(3)"))
def roots(p: Any) -> Any:
    p = _coefficients(p)
    if aval(p).ndim != 1:
        raise ValueError("Input must be a rank-1 array.")
    filled = np.flatnonzero(shared(np.not_equal(p, 0), "the degree of a polynomial"))
    if not filled.size:
        return np.array([])
    trailing = aval(p).shape[0] - int(filled[-1]) - 1
    p = p[int(filled[0]):int(filled[-1]) + 1]
    p = p if aval(p).dtype.kind in "fc" else cast(p, float)
    n = aval(p).shape[0]
    if n == 1:
        return np.zeros(trailing, aval(p).dtype)
    first = np.expand_dims(np.divide(np.negative(p[1:]), p[0]), 0)
    found = np.linalg.eigvals(np.concatenate([first, np.eye(n - 1, dtype=aval(p).dtype)[:-1]], axis=0))
    if aval(p).dtype.kind != "c" and not anywhere(np.not_equal(np.imag(found), 0)):
        found = np.real(found)
    return np.concatenate([found, np.zeros(trailing, aval(found).dtype)])


@composite(np.polydiv, cases=("A(4), [1.0, 0.5]", "A(3), [2.0, 0.5, 0.25]", "A(2), P(3)"))
def polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    u, v = (np.add(_coefficients(a), 0.0) for a in (u, v))
    m, n = aval(u).shape[0] - 1, aval(v).shape[0] - 1
    if m < 0 or n < 0:
        np.polydiv(np.zeros(m + 1), np.zeros(n + 1))
    dtype = np.result_type(aval(u).dtype, aval(v).dtype)
    rest = cast(u, dtype)
    quotient: list[Any] = []
    for k in range(m - n + 1):
        d = np.divide(rest[k:k + 1], v[0])
        quotient.append(d)
        middle = np.subtract(rest[k:k + n + 1], np.multiply(d, v))
        rest = np.concatenate([rest[:k], middle, rest[k + n + 1:]])
    q = np.concatenate(quotient) if quotient else np.zeros(max(m - n + 1, 1), dtype)
    filled = np.flatnonzero(shared(np.greater(np.absolute(rest), 1e-8), "the degree of a remainder"))
    return q, rest[int(filled[0]) if filled.size else -1:]


@composite(np.polyfit,
           cases=("A(6), A(6), 2", "A(6), A(6, 2), 1", "A(6), A(6), 2, w=P(6)", "A(6), A(6), 1, full=True",
                              "A(6), A(6), 1, cov=True", "A(6), A(6), 1, cov='unscaled'"))
def polyfit(x: Any, y: Any, deg: Any, rcond: Any = None, full: Any = False, w: Any = None, cov: Any = False) -> Any:
    x, y = np.add(operand(x), 0.0), np.add(operand(y), 0.0)
    order = int(static(deg)) + 1
    if order < 1:
        raise ValueError("expected deg >= 0")
    if aval(x).ndim != 1:
        raise TypeError("expected 1D vector for x")
    if not aval(x).size:
        raise TypeError("expected non-empty vector for x")
    if aval(y).ndim not in (1, 2):
        raise TypeError("expected 1D or 2D array for y")
    if aval(x).shape[0] != aval(y).shape[0]:
        raise TypeError("expected x and y to have same length")
    rcond = aval(x).shape[0] * np.finfo(aval(x).dtype).eps if rcond is None else tolerance(rcond)
    left, right = np.vander(x, order), y
    if w is not None:
        w = np.add(operand(w), 0.0)
        if aval(w).ndim != 1:
            raise TypeError("expected a 1-d array for weights")
        if aval(w).shape[0] != aval(y).shape[0]:
            raise TypeError("expected w and y to have the same length")
        left = np.multiply(left, np.expand_dims(w, 1))
        right = np.multiply(right, np.expand_dims(w, 1) if aval(y).ndim == 2 else w)
    scale = np.sqrt(np.sum(np.multiply(left, left), axis=0))
    left = np.divide(left, scale)
    c, residuals, rank, s = np.linalg.lstsq(left, right, rcond)
    c = np.transpose(np.divide(np.transpose(c), scale))
    if not full and anywhere(np.not_equal(rank, order)):
        warnings.warn("Polyfit may be poorly conditioned", np.exceptions.RankWarning, stacklevel=2)
    if full:
        return c, residuals, rank, s, rcond
    if not cov:
        return c
    base = np.divide(np.linalg.inv(np.matmul(np.transpose(left), left)), np.outer(scale, scale))
    factor: Any = 1
    if not (isinstance(cov, str) and cov == "unscaled"):
        if aval(x).shape[0] <= order:
            raise ValueError("the number of data points must exceed order to scale the covariance matrix")
        factor = np.divide(residuals, aval(x).shape[0] - order)
    if aval(y).ndim == 1:
        return c, np.multiply(base, factor)
    return c, np.multiply(np.expand_dims(base, 2), factor)


