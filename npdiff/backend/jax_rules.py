"""How jax evaluates a primitive: by NumPy's name, apart from the exceptions in `RULES` and `HOST`.

A rule is given a `Lowering` and the operands as jax arrays in the dtypes of the recording. Its result must have the
recorded shape and dtype; a rule that raises, or gives anything else, makes its equation a NumPy call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.backend.jax_equations import Lowering
from npdiff.dispatch.decompositions import by_phase
from npdiff.dispatch.determinants import cofactor_change_of, cofactor_of
from npdiff.dispatch.indexing import Slot, fill_slots
from npdiff.kernels.classify import loop_dtypes

Rule = Callable[..., Any]

# Left to NumPy although jax has something of this name, and why.
HOST: dict[str, str] = {
    "argpartition": "the order within the parts is NumPy's own",
    "digitize": "NumPy looks whether the bins are sorted",
    "linalg.lstsq": "its tolerance and its residuals are NumPy's own",
    "linalg.matrix_rank": "its tolerance is NumPy's own",
    "linalg.pinv": "its tolerance is NumPy's own",
    "ravel_multi_index": "jax does not say when an index is out of range",
    "unravel_index": "jax does not say when an index is out of range",
    "call_graph": "a graph that is run again for its derivatives",
    "run_program": "a program of its own",
    "guard_raises": "NumPy must say whether it raises",
    "sure_inverse": "whether there is an inverse depends on values",
    "whole": "NumPy raises for NaN and for what is too large",
}
# Which jax.numpy has under no name; SciPy's are not looked for there.
LACKING = frozenset("histogram_bins histogram_counts isnat unbounded_condition unwrap_turns weighted_rank".split())
# Whose answer depends on an order of complex numbers, which is NumPy's own.
ORDERED = frozenset(
    "max min fmax_reduce fmin_reduce maximum minimum fmax fmin argmax argmin argsort lexsort searchsorted sign "
    "greater greater_equal less less_equal nanargmax nanargmin".split())
# Which jax has for some processors only.
ONLY_ON: dict[str, tuple[str, ...]] = {"linalg.eig": ("cpu",), "linalg.eigvals": ("cpu",)}

# ---------------------------------------------------------------------- elementwise


def ufunc(m: Lowering, *args: Any) -> Any:
    """A ufunc in the dtypes of the loop that NumPy runs."""
    eq = m.equation
    loop = loop_dtypes(eq)
    name = eq.prim.name
    if loop is None or eq.params:
        raise NotImplementedError(f"no loop of np.{name} for these operands")
    operands = [m.number(x, d, a.aval.weak) for x, d, a in zip(args, loop[:-1], eq.inputs, strict=True)]
    rule = UFUNCS.get(name)
    return getattr(m.jnp, name)(*operands) if rule is None else rule(m, *operands)


def _by_zero(name: str, otherwise: Callable[[Any, Any, Any], Any]) -> Rule:
    """A division whose value for a divisor of zero is `otherwise`."""

    def rule(m: Lowering, a: Any, b: Any) -> Any:
        zero = b == 0
        if np.dtype(a.dtype).kind in "iu":
            return m.jnp.where(zero, m.jnp.zeros((), a.dtype), getattr(m.jnp, name)(a, m.jnp.where(zero, 1, b)))
        return m.jnp.where(zero, otherwise(m, a, b), getattr(m.jnp, name)(a, b))

    return rule


def _nan(m: Lowering, a: Any, _b: Any) -> Any:
    return m.jnp.full((), m.jnp.nan, a.dtype)


def _power(m: Lowering, a: Any, b: Any) -> Any:
    if np.dtype(b.dtype).kind == "i":
        m.check(b >= 0)  # NumPy refuses
    return m.jnp.power(a, b)


def _shift(name: str) -> Rule:
    def rule(m: Lowering, a: Any, b: Any) -> Any:
        if np.dtype(b.dtype).kind == "i":
            m.check(b >= 0)  # C leaves it open
        return getattr(m.jnp, name)(a, b)

    return rule


UFUNCS: dict[str, Rule] = {
    "floor_divide": _by_zero("floor_divide", lambda _m, a, b: a / b),
    "remainder": _by_zero("remainder", _nan),
    "fmod": _by_zero("fmod", _nan),
    "power": _power,
    "left_shift": _shift("left_shift"),
    "right_shift": _shift("right_shift"),
}


def _strong_multiply(m: Lowering, ct: Any, p: Any) -> Any:
    jnp, zero = m.jnp, m.jnp.zeros((), m.dtype)
    ct, p = m.cast(ct, m.dtype), m.cast(p, m.dtype)
    return jnp.where(ct == 0, zero, ct * p)


def _strong_product(m: Lowering, a: Any, b: Any) -> Any:
    jnp, zero = m.jnp, m.jnp.zeros((), m.dtype)
    a, b = m.cast(a, m.dtype), m.cast(b, m.dtype)
    return jnp.where(jnp.logical_or(a == 0, b == 0), zero, a * b)


def _over_gap(m: Lowering, x: Any, gap: Any, *, what: str) -> Any:
    closed = gap == 0
    m.check(m.jnp.logical_not(m.jnp.logical_and(closed, x != 0)))
    return m.jnp.where(closed, m.jnp.zeros((), m.dtype), m.cast(x, m.dtype) / m.jnp.where(closed, 1, gap))


def _undetermined(m: Lowering, t: Any, *, shape: tuple[int, ...], what: str) -> Any:
    m.check(t == 0)
    return m.jnp.zeros(m.shape, m.dtype)


def _held_check(m: Lowering, ct: Any, vectors: Any, free: Any, *, what: str) -> Any:
    m.check(~by_phase(m.jnp, ct, vectors, free))
    return ct


def _where(m: Lowering, c: Any, a: Any, b: Any) -> Any:
    return m.jnp.where(c != 0, m.cast(a, m.dtype), m.cast(b, m.dtype))


def _same(m: Lowering, x: Any, **_params: Any) -> Any:
    return x


def _first_of_family(name: str) -> Rule:
    def rule(m: Lowering, x: Any, *, order: int) -> Any:
        if order:
            raise NotImplementedError(f"a derivative of np.{name}")
        return getattr(m.jnp, name)(m.cast(x, m.dtype))

    return rule


# ---------------------------------------------------------------------- guards


def _guard(m: Lowering, x: Any, *, expected: Any) -> tuple[()]:
    wanted = np.asarray(expected)
    held = wanted.astype(x.dtype) if wanted.dtype.kind in "biufc" else None
    if held is None or not np.all((held == wanted) | (wanted != wanted)):
        raise NotImplementedError("a guard on a value that the array cannot hold")
    wanted = m.jnp.asarray(held)
    m.check(m.jnp.logical_or(x == wanted, m.jnp.logical_and(x != x, wanted != wanted)))
    return ()


def _guard_truth(m: Lowering, x: Any, *, expected: bool) -> tuple[()]:
    m.check((x != 0) == expected)
    return ()


# ---------------------------------------------------------------------- reductions and products


def _adding(name: str) -> Rule:
    def rule(m: Lowering, a: Any, *, axis: Any, keepdims: bool = False, dtype: Any = None) -> Any:
        return getattr(m.jnp, name)(m.cast(a, m.dtype), axis=axis, keepdims=keepdims)

    return rule


def _reducing(name: str) -> Rule:
    def rule(m: Lowering, a: Any, *, axis: Any, keepdims: bool = False, dtype: Any = None) -> Any:
        return getattr(m.jnp, name)(a, axis=axis, keepdims=keepdims)

    return rule


def _running(name: str) -> Rule:
    return lambda m, a, *, axis: getattr(m.jnp, name)(m.cast(a, m.dtype), axis=axis)


def _product(name: str) -> Rule:
    """A function of arrays that NumPy brings to the dtype of the result first."""

    def rule(m: Lowering, *arrays: Any, **params: Any) -> Any:
        return _named(m.jnp, name)(*[m.cast(a, m.dtype) for a in arrays], **params)

    return rule


def _argsort(m: Lowering, a: Any, *, axis: int, kind: Any = None, stable: Any = None) -> Any:
    return m.jnp.argsort(a, axis=axis, stable=True)  # where NumPy's default leaves the order of equals open, this too


def _searchsorted(m: Lowering, a: Any, v: Any, *sorter: Any, side: str = "left") -> Any:
    return m.jnp.searchsorted(a, v, side=side, sorter=sorter[0] if sorter else None).astype(m.dtype)


def _einsum(m: Lowering, *arrays: Any, subscripts: str, optimize: Any = False) -> Any:
    return m.jnp.einsum(subscripts, *[m.cast(a, m.dtype) for a in arrays])


def _concatenate(m: Lowering, *arrays: Any, axis: int) -> Any:
    return m.jnp.concatenate([m.cast(a, m.dtype) for a in arrays], axis=axis)


# ---------------------------------------------------------------------- indexing


def _checked(m: Lowering, shape: tuple[int, ...], index: tuple[Any, ...], arrays: Any) -> tuple[Any, ...]:
    """The index as jax takes it; a check that integers lie within the axes they index."""
    def axes(i: Any) -> int:
        if type(i) is Slot:
            return int(arrays[i.number].ndim) if arrays[i.number].dtype == bool else 1
        return 0 if i is None or i is Ellipsis else 1

    at = 0
    for i in index:
        if i is Ellipsis:
            at += len(shape) - sum(axes(other) for other in index)
            continue
        if type(i) is Slot and arrays[i.number].dtype != bool:
            n = shape[at]
            m.check(m.jnp.logical_and(arrays[i.number] >= -n, arrays[i.number] < n))
        at += axes(i)
    return fill_slots(index, arrays)


def _getitem(m: Lowering, a: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    return a[_checked(m, a.shape, index, arrays)]


def _fitted(m: Lowering, v: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """A value to write, in the shape of its place (NumPy lets it have leading axes of length one)."""
    extra = max(v.ndim - len(shape), 0)
    return m.jnp.broadcast_to(m.cast(v.reshape(v.shape[extra:]), dtype), shape)


def _setitem(m: Lowering, a: Any, v: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    jnp, at = m.jnp, _checked(m, a.shape, index, arrays)
    if v.size == 1:
        return a.at[at].set(m.cast(v.reshape(()), a.dtype))
    if len(arrays) == 1 and len(index) == 1 and arrays[0].dtype == bool and arrays[0].shape == a.shape:
        # The places of a mask, in order, take the values in order.
        m.check(jnp.sum(arrays[0]) == v.size)
        number = jnp.clip(jnp.cumsum(arrays[0]) - 1, 0, v.size - 1).reshape(a.shape)
        return jnp.where(arrays[0], m.cast(v, a.dtype).reshape(-1)[number], a)
    v = _fitted(m, v, a.dtype, a[at].shape)
    if not arrays:
        return a.at[at].set(v)
    # Of several writes into one place, the last wins.
    order = jnp.arange(v.size).reshape(v.shape)
    last = jnp.full(a.shape, -1, order.dtype).at[at].max(order)
    return jnp.where(last >= 0, v.reshape(-1)[jnp.maximum(last, 0)], a)


def _index_add(m: Lowering, a: Any, v: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    at = _checked(m, a.shape, index, arrays)
    return a.at[at].add(_fitted(m, v, a.dtype, a[at].shape))


def _take_along(m: Lowering, a: Any, order: Any, *, axis: int) -> Any:
    n = a.shape[axis]
    m.check(m.jnp.logical_and(order >= -n, order < n))
    return m.jnp.take_along_axis(a, order, axis)


def _choose_along(m: Lowering, a: Any, k: Any, *, axis: int) -> Any:
    return _take_along(m, a, m.jnp.expand_dims(k, axis), axis=axis).squeeze(axis)


def _windows(m: Lowering, a: Any, *, window: Any, axes: Any) -> Any:
    spots = np.lib.stride_tricks.sliding_window_view(np.arange(a.size).reshape(a.shape), window, axes)
    return a.reshape(-1)[m.jnp.asarray(np.ascontiguousarray(spots))]


# ---------------------------------------------------------------------- linear algebra


def _result_finite(m: Lowering, out: Any, *operands: Any) -> Any:
    """Where NumPy would raise (a singular matrix), jax gives NaN or infinity."""
    m.check(m.jnp.logical_or(m.finite(out), m.jnp.logical_not(m.finite(*operands))))
    return out


def _inv(m: Lowering, a: Any) -> Any:
    return _result_finite(m, m.jnp.linalg.inv(m.cast(a, m.dtype)), a)


def _solve(m: Lowering, a: Any, b: Any) -> Any:
    return _result_finite(m, m.jnp.linalg.solve(m.cast(a, m.dtype), m.cast(b, m.dtype)), a, b)


def _triangular(m: Lowering, a: Any, b: Any, *, trans: int, lower: bool, unit: bool) -> Any:
    jnp, lax = m.jnp, m.jax.lax
    a, b = m.cast(a, m.dtype), m.cast(b, m.dtype)
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    one, other = (jnp.broadcast_to(x, stack + x.shape[-2:]) for x in (a, b))
    return lax.linalg.triangular_solve(one, other, left_side=True, lower=lower, transpose_a=bool(trans),
                                       unit_diagonal=unit)


def _cholesky(m: Lowering, a: Any, upper: bool = False) -> Any:
    jnp, a = m.jnp, m.cast(a, m.dtype)
    # One triangle is read, as LAPACK does.
    low = jnp.linalg.cholesky(jnp.conj(jnp.swapaxes(a, -1, -2)) if upper else a, symmetrize_input=False)
    m.check(m.finite(low))
    return jnp.conj(jnp.swapaxes(low, -1, -2)) if upper else low


def _spectral(name: str, **how: Any) -> Rule:
    """A decomposition, for which NumPy refuses what is not finite."""

    def rule(m: Lowering, a: Any, *args: Any, **params: Any) -> Any:
        m.check(m.finite(a))
        if np.dtype(a.dtype).kind in "biu":
            a = a.astype(float)
        return _named(m.jnp, name)(a, *args, **how, **params)

    return rule


def _svdvals(m: Lowering, a: Any) -> Any:
    m.check(m.finite(a))
    return m.jnp.linalg.svd(a, compute_uv=False)


def _by_singular_values(rule: Any) -> Any:
    def lowering(m: Lowering, a: Any, *ts: Any) -> Any:
        return rule(m.jnp, a, *ts) if a.shape[-1] else m.jnp.zeros_like(ts[0] if ts else a)

    return lowering


def _named(module: Any, name: str) -> Any:
    """``linalg.inv`` of jax.numpy."""
    for part in name.split("."):
        module = getattr(module, part)
    return module


def by_name(m: Lowering, *args: Any, **params: Any) -> Any:
    """The function that has NumPy's name in jax."""
    try:
        function = _named(m.jnp, m.equation.prim.name)
    except AttributeError:
        raise NotImplementedError("jax has no such function") from None
    return function(*args, **params)


RULES: dict[str, Rule] = {
    "guard_truth": _guard_truth, "guard_equal": _guard,
    "strong_multiply": _strong_multiply, "strong_product": _strong_product, "over_gap": _over_gap,
    "undetermined": _undetermined, "held": lambda m, change, *_, what: change, "held_check": _held_check,
    "where": _where,
    "copy": _same, "stop_gradient": _same, "real": lambda m, a: m.jnp.real(a), "imag": lambda m, a: m.jnp.imag(a),
    "astype": lambda m, a, *, dtype: m.cast(a, dtype),
    "bool": lambda m, a: a.reshape(()) != 0, "item": lambda m, a: a.reshape(()),
    "fraction": lambda m, a: a - m.jnp.trunc(a),
    "sinc": _first_of_family("sinc"), "i0": _first_of_family("i0"),
    "sum": _adding("sum"), "prod": _adding("prod"),
    "max": _reducing("max"), "min": _reducing("min"), "any": _reducing("any"), "all": _reducing("all"),
    "fmax_reduce": _reducing("nanmax"), "fmin_reduce": _reducing("nanmin"),
    "lexsort": lambda m, *keys, axis: m.jnp.lexsort(keys, axis=axis).astype(m.dtype),
    "argsort": _argsort, "searchsorted": _searchsorted,
    "cumsum": _running("cumsum"), "cumprod": _running("cumprod"),
    "matmul": _product("matmul"), "convolve": _product("convolve"), "einsum": _einsum, "concatenate": _concatenate,
    "reshape": lambda m, a, *, shape: a.reshape(shape),
    "transpose": lambda m, a, *, axes: m.jnp.transpose(a, axes),
    "diagonal": lambda m, a, *, offset, axes: m.jnp.diagonal(a, offset, *axes),
    "getitem": _getitem, "setitem": _setitem, "index_add": _index_add, "permute_along": _take_along,
    "choose_along": _choose_along, "sliding_window_view": _windows,
    "as_strided": lambda m, a, *, spots, of, strides: m.jnp.reshape(a, (-1,))[spots],
    "linalg.inv": _inv, "solve": _solve, "solve_triangular": _triangular,
    "linalg.cholesky": _cholesky, "cofactor": _by_singular_values(cofactor_of),
    "cofactor_change": _by_singular_values(cofactor_change_of),
    "linalg.eigh": _spectral("linalg.eigh", symmetrize_input=False),
    "linalg.eigvalsh": _spectral("linalg.eigvalsh", symmetrize_input=False),
    "linalg.eig": _spectral("linalg.eig"), "linalg.eigvals": _spectral("linalg.eigvals"),
    "linalg.svd": _spectral("linalg.svd"), "linalg.svdvals": _svdvals, "linalg.qr": _spectral("linalg.qr"),
}

__all__ = ["HOST", "LACKING", "ONLY_ON", "ORDERED", "RULES", "UFUNCS", "by_name", "ufunc"]
