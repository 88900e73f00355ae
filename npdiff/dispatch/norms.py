"""Norms of vectors and matrices, whose subgradient at zero is zero, and condition numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from npdiff.core import Primitive, aval, bind, own_primitive, services
from npdiff.dispatch.common import safe_sqrt, scalar, truth
from npdiff.dispatch.declare import composite, numpy_is, operand, point, static
from npdiff.dispatch.operands import phantom
from npdiff.dispatch.rules import batch_leading


def _real_square(x: Any) -> Any:
    if aval(x).dtype.kind != "c":
        return np.multiply(x, x)
    re, im = np.real(x), np.imag(x)
    return np.add(np.multiply(re, re), np.multiply(im, im))


def _two(x: Any, axis: Any, keepdims: Any) -> Any:
    return safe_sqrt(np.sum(_real_square(x), axis=axis, keepdims=keepdims))


def _power_sum(x: Any, p: Any, axis: Any, keepdims: Any) -> Any:
    """The p-norm, without a derivative through elements that are zero."""
    size: Any = np.absolute(x)
    dtype = aval(size).dtype
    zero = np.equal(size, 0)
    one = np.ones((), dtype)
    at_zero = np.array(np.inf if p < 0 else 0, dtype=dtype)
    powers: Any = np.where(zero, at_zero, np.power(np.where(zero, one, size), p))
    total = np.sum(powers, axis=axis, keepdims=keepdims)
    flat = np.logical_or(np.equal(total, 0), np.isinf(total))
    ends = np.array([0, np.inf] if p > 0 else [np.inf, 0], dtype=dtype)
    at_end = np.where(np.equal(total, 0), ends[0], ends[1])
    return np.where(flat, at_end, np.power(np.where(flat, one, total), np.reciprocal(p, dtype=dtype)))


def _vector(x: Any, p: Any, axis: Any, keepdims: Any) -> Any:
    if p is None or p == 2:
        return _two(x, axis, keepdims)
    if p == np.inf:
        return np.max(np.absolute(x), axis=axis, keepdims=keepdims)
    if p == -np.inf:
        return np.min(np.absolute(x), axis=axis, keepdims=keepdims)
    if p == 0:
        return np.sum(np.not_equal(x, 0).astype(np.absolute(x).dtype), axis=axis, keepdims=keepdims)
    if p == 1:
        return np.sum(np.absolute(x), axis=axis, keepdims=keepdims)
    return _power_sum(x, p, axis, keepdims)


def _matrix(x: Any, p: Any, axis: tuple[int, int], keepdims: Any) -> Any:
    row, column = axis
    if p is None or p in ("fro", "f"):
        return _two(x, axis, keepdims)
    if p in (2, -2, "nuc"):
        of: dict[Any, Any] = {2: np.max, -2: np.min, "nuc": np.sum}
        x = np.moveaxis(x, axis, (-2, -1))
        zero = np.logical_not(np.any(np.not_equal(x, 0), axis=(-2, -1), keepdims=True))
        s = np.linalg.svd(np.where(zero, np.eye(*aval(x).shape[-2:], dtype=aval(x).dtype), x), compute_uv=False)
        result = of[p](np.where(zero[..., 0], 0, s), axis=-1)
        return np.expand_dims(result, axis) if keepdims else result
    inner, outer = (row, column) if abs(p) == 1 else (column, row)
    sums = np.sum(np.absolute(x), axis=inner, keepdims=True)
    extreme: Any = np.max if p > 0 else np.min
    result = extreme(sums, axis=outer, keepdims=True)
    return result if keepdims else np.squeeze(result, axis=axis)


_ZERO = "0 at 0"


@composite(np.linalg.norm, points=(
    *[point(_ZERO, f"f(x, {p})", [0.0, 0.0], 0, 0)
      for p in ("None", "1", "2", "3", "0.5", "0", "-1", "np.inf", "-np.inf")],
    *[point(_ZERO, f"f(x, {p})", [[0.0, 0.0], [0.0, 0.0]], 0, 0)
      for p in ("'fro'", "'nuc'", "1", "-1", "2", "-2", "np.inf", "-np.inf")],
    point(_ZERO, "f(x)", [0j, 0j], 0, 0),
    point("elements that are 0 pass nothing", "f(x, 3)", [0.0, 2.0], [0, 1], 0),
    point("ties of the largest element share equally", "f(x, np.inf)", [2.0, -2.0], [0.5, -0.5], 0),
), cases=(
    "A(3)", "A(2, 3)", "A(2, 3, 2)", "C(3)", "A(3), 1", "A(3), np.inf", "A(3), -np.inf", "A(3), 0", "A(3), 3",
    "A(3), -1", "A(3), 2.5", "A(3), -2.5", "A(2, 3), axis=1", "A(2, 3), axis=0, keepdims=True", "A(2, 3), 3, axis=-1",
    "M(3), 'fro'",
    "M(3), 'nuc'", "A(3, 2), 2", "A(3, 2), -2", "P(3, 2) - 1, 1", "P(3, 2) - 1, -1", "P(3, 2) - 1, np.inf",
    "P(3, 2), -np.inf", "A(2, 3, 2), 2, axis=(0, 2), keepdims=True", "A(2, 3, 2), 'nuc', axis=(2, 1)",
    "P(2, 3, 2), 1, axis=(0, 1)",
    "A(3), keepdims=True"))
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    x = operand(x)
    ord, axis, keepdims = static(ord), static(axis), truth(keepdims)
    if aval(x).dtype.kind not in "fc":
        x = np.astype(np.asarray(x), float) if not hasattr(x, "_npdiff_describe") else x.astype(float)
    n = aval(x).ndim
    if aval(x).size == 0:
        return services["fresh"](np.linalg.norm(phantom(x), ord, axis, keepdims))
    if axis is None:
        if ord is None or (ord in ("f", "fro") and n == 2) or (ord == 2 and n == 1):
            return scalar(_two(x, tuple(range(n)), keepdims))
        axes = tuple(range(n))
    else:
        axes = tuple(axis) if isinstance(axis, (tuple, list)) else (int(axis),)
        axes = normalize_axis_tuple(axes, n) if len(set(axes)) == len(axes) else axes
    known = ([None, "fro", "f", "nuc", 1, -1, 2, -2, np.inf, -np.inf] if len(axes) == 2 else None)
    if len(axes) not in (1, 2) or (known is None and isinstance(ord, str)) or (known is not None and ord not in known):
        np.linalg.norm(phantom(x), ord, axis, keepdims)
    result = _vector(x, ord, axes[0], keepdims) if len(axes) == 1 else _matrix(x, ord, (axes[0], axes[1]), keepdims)
    return scalar(result)


@composite(np.linalg.matrix_norm, points=(point(_ZERO, "f(x)", [[0.0, 0.0], [0.0, 0.0]], 0, 0),), cases=(
    "A(3, 2)", "A(2, 3, 2), ord='nuc'", "P(2, 3, 2), ord=1, keepdims=True"))
def matrix_norm(x: Any, /, *, keepdims: Any = False, ord: Any = "fro") -> Any:
    return np.linalg.norm(operand(x), ord, axis=(-2, -1), keepdims=keepdims)


@composite(np.linalg.vector_norm, points=(point(_ZERO, "f(x)", [0.0, 0.0], 0, 0),), cases=(
    "A(3)", "A(2, 3)", "A(2, 3), ord=1, keepdims=True", "A(2, 3), axis=0, ord=3", "A(2, 3, 2), axis=(0, 2)"))
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Any:
    x = operand(x)
    axis, keepdims = static(axis), truth(keepdims)
    n = aval(x).ndim
    axes = tuple(range(n)) if axis is None else normalize_axis_tuple(axis, n)
    rest = tuple([k for k in range(n) if k not in axes])
    shape = aval(x).shape
    flat = np.reshape(np.transpose(x, (*rest, *axes)), (*[shape[k] for k in rest], -1))
    result = np.linalg.norm(flat, static(ord), axis=-1)
    if keepdims:
        result = np.reshape(result, [1 if k in axes else m for k, m in enumerate(shape)])
    return result


# ---------------------------------------------------------------------- condition number


def _unbounded(x: Any, p: Any = None) -> Any:
    return np.isinf(np.linalg.cond(x, p))


unbounded_p: Primitive = own_primitive("unbounded_condition", _unbounded, kind="nondifferentiable",
                            batch=batch_leading(lambda: unbounded_p))


@composite(np.linalg.cond,
           cases=("M(3)", "A(3, 2)", "M(2, 3, 3)", "M(3), 1", "M(3), 'fro'", "M(3), np.inf", "M(3), -np.inf",
                                 "M(3), -1", "M(3), 'nuc'",
                                 "M(3), -2"))
def cond(x: Any, p: Any = None) -> Any:
    x, p = operand(x), static(p)
    if aval(x).size == 0 or aval(x).ndim < 2:
        np.linalg.cond(np.zeros(aval(x).shape), p)
    bad = bind(unbounded_p, (x,), {} if p is None else {"p": p})
    dtype = aval(x).dtype if aval(x).dtype.kind in "fc" else np.dtype(float)
    sound = np.where(np.expand_dims(bad, (-1, -2)), np.eye(*aval(x).shape[-2:], dtype=dtype), x)
    if p is None or p in (2, -2):
        s = np.linalg.svd(sound, compute_uv=False)
        ends = s[..., 0], s[..., -1]
        ratio = np.divide(*(ends if p != -2 else ends[::-1]))
    else:
        ratio = np.multiply(np.linalg.norm(sound, p, axis=(-2, -1)),
                            np.linalg.norm(np.linalg.inv(sound), p, axis=(-2, -1)))
    if not numpy_is("2.3") and p not in (None, 2, -2):  # older NumPys multiply norms of the matrix's own dtype
        ratio = np.astype(ratio, dtype)
    return scalar(np.where(bad, np.array(np.inf, dtype=aval(ratio).dtype), ratio))
