"""Linear algebra through CuPy (cuSOLVER), which gives NaN or nothing at all where NumPy raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.backend.cuda_equations import Operation


def _result_finite(m: Operation, out: Any, *operands: Any) -> Any:
    """Where NumPy would raise (a singular matrix), CuPy gives NaN or infinity."""
    good = m.xp.all(m.xp.isfinite(out))
    for a in operands:
        good = good | ~m.xp.all(m.xp.isfinite(a))
    m.check(good)
    return out


def inv(m: Operation, a: Any) -> Any:
    """The inverse."""
    a = m.array(a, m.dtype)
    return _result_finite(m, m.xp.linalg.inv(a), a)


def solve(m: Operation, a: Any, b: Any) -> Any:
    """Linear equations, for stacks of matrices on both sides; CuPy does not broadcast these."""
    a, b = m.arrays((a, b), m.dtype)
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    one = m.xp.broadcast_to(a, stack + a.shape[-2:])
    other = m.xp.broadcast_to(b, stack + b.shape[-2:])
    if a.size == 0 or b.size == 0:
        return m.xp.zeros(m.shape, m.dtype)
    return _result_finite(m, m.xp.linalg.solve(one, other), a, b)


def triangular(m: Operation, a: Any, b: Any, *, trans: int, lower: bool, unit: bool) -> Any:
    """Equations of triangular matrices, of which the other half is not read; nothing is checked, as in LAPACK's."""
    xp = m.xp
    a, b = m.arrays((a, b), m.dtype)
    if a.size == 0 or b.size == 0:
        return xp.zeros(m.shape, m.dtype)
    k = xp.arange(a.shape[-1])
    row, column = k[:, None], k[None, :]
    a = xp.where(row >= column if lower else row <= column, a, xp.zeros((), m.dtype))
    if unit:
        a = xp.where(row == column, m.dtype.type(1), a)
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    one = xp.broadcast_to(xp.swapaxes(a, -1, -2) if trans else a, stack + a.shape[-2:])
    return xp.linalg.solve(one, xp.broadcast_to(b, stack + b.shape[-2:]))


def cholesky(m: Operation, a: Any, upper: bool = False) -> Any:
    """The Cholesky factor; here CuPy is asked to look whether there is one, which waits for the device."""
    xp, a = m.xp, m.array(a, m.dtype)
    with m.extra.errstate(linalg="raise"):
        # One triangle is read, as LAPACK does.
        low = xp.linalg.cholesky(xp.conj(xp.swapaxes(a, -1, -2)) if upper else a)
    m.check_finite(low)
    return xp.conj(xp.swapaxes(low, -1, -2)) if upper else low


def spectral(name: str, **how: Any) -> Callable[..., Any]:
    """A decomposition, for which NumPy refuses what is not finite."""

    def rule(m: Operation, a: Any, **params: Any) -> Any:
        a = m.array(a)
        a = m.array(a, float) if a.dtype.kind in "biu" else a
        m.check_finite(a)
        out = getattr(m.xp.linalg, name)(a, **params, **how)
        m.check_finite(*(out if isinstance(out, tuple) else (out,)))
        return out

    return rule


def by_singular_values(rule: Callable[..., Any]) -> Callable[..., Any]:
    """The cofactors of a matrix or their change, by a rule of npdiff.dispatch.determinants."""

    def done(m: Operation, a: Any, *ts: Any) -> Any:
        arrays = m.arrays((a, *ts), m.dtype)
        return rule(m.xp, *arrays) if a.shape[-1] else m.xp.zeros_like(arrays[-1])

    return done


__all__ = ["by_singular_values", "cholesky", "inv", "solve", "spectral", "triangular"]
