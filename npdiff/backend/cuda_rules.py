"""How CuPy evaluates what is between kernels: by NumPy's name where CuPy's function is NumPy's, apart from `RULES`.

Every primitive stands in exactly one of the tables here (a test looks). CuPy's sources were read for each: where its
function of the name differs from NumPy's in some case, a rule composes what NumPy gives, or the host computes it. A
rule is given an `Operation` and the operands. Its result must have the recorded shape and dtype; where it raises
or gives anything else, the equation becomes a call on the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.backend import cuda_indexing as indexing
from npdiff.backend import cuda_linalg as linalg
from npdiff.backend.cuda_equations import Operation
from npdiff.dispatch.decompositions import by_phase
from npdiff.dispatch.determinants import cofactor_change_of, cofactor_of
from npdiff.kernels.classify import loop_dtypes
from npdiff.kernels.cuda import ALONG_DTYPES

Rule = Callable[..., Any]

# Left to NumPy, and why.
HOST: dict[str, str] = {
    "argpartition": "the order within the parts is NumPy's own",
    "call_graph": "a graph that is run again for its derivatives",
    "common_places": "the size of its result depends on values",
    "digitize": "NumPy looks whether the bins are sorted",
    "frexp": "CUDA leaves the exponent of infinities and NaN open",
    "guard_raises": "NumPy must say whether it raises",
    "histogram_bins": "its edges are NumPy's own",
    "histogram_counts": "its edges are NumPy's own",
    "isin": "CuPy has no kind= of searching",
    "isnat": "CuPy has no dates",
    "linalg.eig": "whether its result is real depends on values",
    "linalg.eigvals": "whether its result is real depends on values",
    "linalg.lstsq": "its tolerance and its residuals are NumPy's own",
    "linalg.matrix_rank": "its tolerance is NumPy's own",
    "linalg.pinv": "its tolerance is NumPy's own",
    "nextafter": "CuPy's kernels count subnormal numbers as zero",
    "packbits": "CuPy has no axis= for it",
    "places": "the size of its result depends on values",
    "ravel_multi_index": "CuPy does not say when an index is out of range",
    "run_program": "a program of its own",
    "spacing": "CuPy has no such function",
    "unbounded_condition": "its tolerance is NumPy's own",
    "unique_places": "the size of its result depends on values",
    "unpackbits": "CuPy has no count= for it",
    "unravel_index": "CuPy does not say when an index is out of range",
    "unwrap_turns": "its steps are NumPy's own",
    "weighted_rank": "its steps are NumPy's own",
    "sure_inverse": "whether there is an inverse depends on values",
    "whole": "NumPy raises for NaN and for what is too large",
}
# Whose answer depends on an order of complex numbers, which is NumPy's own.
ORDERED = frozenset(
    "max min fmax_reduce fmin_reduce maximum minimum fmax fmin argmax argmin argsort lexsort searchsorted sign "
    "greater greater_equal less less_equal nanargmax nanargmin".split())
# Functions of SciPy's that the CUDA library has, too.
SPECIAL = frozenset(f"scipy.special.{name}" for name in "erf erfc erfcx erfinv erfcinv gammaln expit ndtr".split())

# ---------------------------------------------------------------------- elementwise


def ufunc(m: Operation, *args: Any) -> Any:
    """A ufunc in the dtypes of the loop that NumPy runs."""
    eq = m.equation
    loop = loop_dtypes(eq)
    name = eq.prim.name
    if loop is None or eq.params:
        raise NotImplementedError(f"no loop of np.{name} for these operands")
    operands = [m.operand(x, d, a.aval.weak) for x, d, a in zip(args, loop[:-1], eq.inputs, strict=True)]
    if not any(isinstance(x, m.xp.ndarray) for x in operands):
        operands[0] = m.array(operands[0])
    rule = UFUNCS.get(name)
    return getattr(m.xp, name)(*operands) if rule is None else rule(m, *operands)


def special(m: Operation, *args: Any) -> Any:
    """A function of scipy.special, from the CUDA library."""
    loop = loop_dtypes(m.equation)
    if loop is None or m.equation.params:
        raise NotImplementedError("no loop for these operands")
    return getattr(m.extra.scipy.special, m.equation.prim.name.rpartition(".")[2])(*m.arrays(args, loop[0]))


def _floor_divide(m: Operation, a: Any, b: Any) -> Any:
    xp = m.xp
    if m.dtype.kind in "iu":
        return xp.floor_divide(a, b)  # zero where b is zero, as NumPy
    # CuPy rounds the quotient; NumPy takes the remainder off first.
    rest = xp.fmod(a, b)
    whole = (a - rest) / b
    whole = xp.where((rest != 0) & ((b < 0) != (rest < 0)), whole - 1, whole)
    low = xp.floor(whole)
    low = xp.where(whole - low > 0.5, low + 1, low)
    plain = xp.divide(a, b)
    return xp.where(b == 0, plain, xp.where(whole != 0, low, xp.copysign(xp.zeros((), m.dtype), plain)))


def _remainder(m: Operation, a: Any, b: Any) -> Any:
    xp = m.xp
    if m.dtype.kind in "iu":
        return xp.remainder(a, b)
    rest = xp.fmod(a, b)
    turned = xp.where((b < 0) != (rest < 0), rest + b, rest)
    return xp.where(b == 0, rest, xp.where(rest != 0, turned, xp.copysign(xp.zeros((), m.dtype), b)))


def _fmod(m: Operation, a: Any, b: Any) -> Any:
    xp = m.xp
    if m.dtype.kind not in "iu":
        return xp.fmod(a, b)
    # CuPy goes through float64, which does not hold every integer.
    rest = xp.remainder(a, b)
    return xp.where((rest != 0) & ((a < 0) != (b < 0)), rest - b, rest)


def _power(m: Operation, a: Any, b: Any) -> Any:
    if m.dtype.kind in "iu":
        m.check(b >= 0)  # NumPy refuses
    elif m.dtype.kind == "c":
        m.check(a != 0)  # powers of a complex zero are NumPy's own
    return m.xp.power(a, b)


def _shift(name: str) -> Rule:
    def rule(m: Operation, a: Any, b: Any) -> Any:
        xp = m.xp
        # Beyond the width, and for negative counts, C leaves the result open.
        far = (b < 0) | (b >= 8 * m.dtype.itemsize)
        out = getattr(xp, name)(a, xp.where(far, xp.zeros((), m.dtype), b))
        gone = xp.zeros((), m.dtype)
        if name == "right_shift" and m.dtype.kind == "i":
            gone = xp.where(m.array(a) < 0, m.dtype.type(-1), m.dtype.type(0))
        return xp.where(far, gone, out)

    return rule


def _reciprocal(m: Operation, a: Any) -> Any:
    if m.dtype.kind in "iu":
        m.check(a != 0)  # C leaves it open
    return m.xp.reciprocal(a)


def _logical(name: str) -> Rule:
    return lambda m, *xs: getattr(m.xp, name)(*[x != 0 for x in xs])


def _logaddexp(name: str) -> Rule:
    def rule(m: Operation, a: Any, b: Any) -> Any:
        # Of two equal infinities, CuPy makes NaN.
        one = m.dtype.type(np.log(2.0) if name == "logaddexp" else 1.0)
        return m.xp.where(a == b, a + one, getattr(m.xp, name)(a, b))

    return rule


def _ldexp(m: Operation, a: Any, k: Any) -> Any:
    # CUDA's exponent has 32 bits; beyond these limits the result is the same.
    return m.xp.ldexp(a, m.xp.clip(m.array(k), -10_000, 10_000).astype(np.int32))


UFUNCS: dict[str, Rule] = {
    "floor_divide": _floor_divide, "remainder": _remainder, "fmod": _fmod, "power": _power, "reciprocal": _reciprocal,
    "left_shift": _shift("left_shift"), "right_shift": _shift("right_shift"), "ldexp": _ldexp,
    "logaddexp": _logaddexp("logaddexp"), "logaddexp2": _logaddexp("logaddexp2"),
    "logical_and": _logical("logical_and"), "logical_or": _logical("logical_or"),
    "logical_xor": _logical("logical_xor"), "logical_not": _logical("logical_not"),
}


def _strong_multiply(m: Operation, ct: Any, p: Any) -> Any:
    ct, p = m.arrays((ct, p), m.dtype)
    return m.xp.where(ct == 0, m.xp.zeros((), m.dtype), ct * p)


def _strong_product(m: Operation, a: Any, b: Any) -> Any:
    a, b = m.arrays((a, b), m.dtype)
    return m.xp.where((a == 0) | (b == 0), m.xp.zeros((), m.dtype), a * b)


def _over_gap(m: Operation, x: Any, gap: Any, *, what: str) -> Any:
    x, gap = m.arrays((x, gap))
    closed = gap == 0
    m.check(~(closed & (x != 0)))
    return m.xp.where(closed, m.xp.zeros((), m.dtype), m.cast(x, m.dtype) / m.xp.where(closed, 1, gap))


def _undetermined(m: Operation, t: Any, *, shape: tuple[int, ...], what: str) -> Any:
    m.check(t == 0)
    return m.xp.zeros(m.shape, m.dtype)


def _held_check(m: Operation, ct: Any, vectors: Any, free: Any, *, what: str) -> Any:
    ct, vectors = m.arrays((ct, vectors), m.dtype)
    m.check(~by_phase(m.xp, ct, vectors, m.array(free)))
    return ct.copy()


def _where(m: Operation, c: Any, a: Any, b: Any) -> Any:
    return m.xp.where(m.array(c) != 0, *m.arrays((a, b), m.dtype))


def _first_of_family(name: str) -> Rule:
    def rule(m: Operation, x: Any, *, order: int) -> Any:
        if order:
            raise NotImplementedError(f"a derivative of np.{name}")
        return getattr(m.xp, name)(m.array(x, m.dtype))

    return rule


# ---------------------------------------------------------------------- guards


def _guard(m: Operation, x: Any, *, expected: Any) -> tuple[()]:
    wanted = np.asarray(expected)
    held = wanted.astype(x.dtype) if wanted.dtype.kind in "biufc" else None
    if held is None or not np.all((held == wanted) | (wanted != wanted)):
        raise NotImplementedError("a guard on a value that the array cannot hold")
    there = m.xp.asarray(held) if held.ndim else held[()]
    m.check((x == there) | ((x != x) & (there != there)))
    return ()


def _guard_truth(m: Operation, x: Any, *, expected: bool) -> tuple[()]:
    m.check((x != 0) == expected)
    return ()


# ---------------------------------------------------------------------- reductions, orders and products


def _adding(name: str) -> Rule:
    def rule(m: Operation, a: Any, *, axis: Any, keepdims: bool = False, dtype: Any = None) -> Any:
        a = m.array(a, m.dtype)
        return a.copy() if axis == () else getattr(m.xp, name)(a, axis=axis, keepdims=keepdims)

    return rule


def _reducing(name: str) -> Rule:
    def rule(m: Operation, a: Any, *, axis: Any, keepdims: bool = False, dtype: Any = None) -> Any:
        a = m.array(a)
        return m.cast(a.copy(), m.dtype) if axis == () else getattr(m.xp, name)(a, axis=axis, keepdims=keepdims)

    return rule


def _past_nan(name: str, worst: float) -> Rule:
    """The extremum of what is not NaN; NaN where all is."""

    def rule(m: Operation, a: Any, *, axis: Any, keepdims: bool = False) -> Any:
        xp, a = m.xp, m.array(a)
        if a.dtype.kind != "f":
            return getattr(xp, name)(a, axis=axis, keepdims=keepdims)
        lacks = xp.isnan(a)
        out = getattr(xp, name)(xp.where(lacks, a.dtype.type(worst), a), axis=axis, keepdims=keepdims)
        return xp.where(xp.all(lacks, axis=axis, keepdims=keepdims), a.dtype.type(np.nan), out)

    return rule


def _lines(shape: tuple[int, ...], axis: int | None) -> tuple[int, int, int]:
    """How many lines there are along an axis, how long they are, and how far apart their elements."""
    if axis is None:
        return 1, math.prod(shape), 1
    axis %= len(shape)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:])


def _arg(name: str) -> Rule:
    """Where the extremum is; NaN, and of several the first, comes before all."""

    def rule(m: Operation, a: Any, *, axis: Any) -> Any:
        xp, a = m.xp, m.array(a)
        out = xp.empty(m.shape, np.int64)
        if out.size:
            run = m.card.along(name, a.dtype, *_lines(a.shape, axis))
            run(xp.ascontiguousarray(a), out)
        return out.astype(m.dtype)

    return rule


def _nan_arg(name: str, worst: float) -> Rule:
    def rule(m: Operation, a: Any, *, axis: Any) -> Any:
        xp, a = m.xp, m.array(a)
        if a.dtype.kind == "f":
            lacks = xp.isnan(a)
            m.check(~xp.all(lacks, axis=axis))  # NumPy refuses
            a = xp.where(lacks, a.dtype.type(worst), a)
        return getattr(xp, name)(a, axis=axis).astype(m.dtype)

    return rule


def _argsort(m: Operation, a: Any, *, axis: int, kind: Any = None, stable: Any = None) -> Any:
    # CuPy's only order is the stable one; where NumPy leaves the order of equals open, that too.
    return m.xp.argsort(m.array(a), axis=axis).astype(m.dtype)


def _lexsort(m: Operation, *keys: Any, axis: int) -> Any:
    arrays = m.arrays(keys)
    if any(k.ndim != 1 for k in arrays):
        raise NotImplementedError("CuPy sorts by keys of one axis only")
    dtype = np.result_type(*[k.dtype for k in arrays])
    return m.xp.lexsort(m.xp.stack([m.cast(k, dtype) for k in arrays])).astype(m.dtype)


def _searchsorted(m: Operation, a: Any, v: Any, *sorter: Any, side: str = "left") -> Any:
    a, v = m.arrays((a, v))
    dtype = np.result_type(a.dtype, v.dtype)
    a = m.cast(a, dtype)
    if sorter:
        a = indexing.getitem(m, a, m.array(sorter[0]), index=(indexing.FIRST,))
    return m.xp.searchsorted(a, m.cast(v, dtype), side=side).astype(m.dtype)


def _running(name: str) -> Rule:
    def rule(m: Operation, a: Any, *, axis: Any) -> Any:
        xp, a = m.xp, m.array(a, m.dtype)
        if m.dtype.char not in ALONG_DTYPES[name] or not a.size:
            return getattr(xp, name)(a, axis=axis)
        out = xp.empty(m.shape, m.dtype)
        m.card.along(name, m.dtype, *_lines(a.shape, axis))(xp.ascontiguousarray(a), out)
        return out

    return rule


def _convolve(m: Operation, a: Any, v: Any, *, mode: str = "full") -> Any:
    """The sum of products itself: CuPy's goes through the FFT, which loses what is small beside the largest."""
    xp = m.xp
    a, v = m.arrays((a, v), m.dtype)
    if v.size > a.size:
        a, v = v, a
    n, k = a.size, v.size
    if (n + k) * k > 2**27:
        raise NotImplementedError("too large to be added up directly, and CuPy's FFT loses small values")
    edge = xp.zeros(k - 1, m.dtype)
    windows = xp.lib.stride_tricks.sliding_window_view(xp.concatenate([edge, a, edge]), k)
    full = xp.sum(windows * v[::-1], axis=-1)
    start, count = {"full": (0, n + k - 1), "same": ((k - 1) // 2, n), "valid": (k - 1, n - k + 1)}[mode]
    return full[start:start + count]


def _matmul(m: Operation, a: Any, b: Any) -> Any:
    a, b = m.arrays((a, b), m.dtype)
    if m.dtype.kind == "b":
        raise NotImplementedError("CuPy multiplies no matrices of bool")
    if a.size == 0 or b.size == 0:
        return m.xp.zeros(m.shape, m.dtype)
    return m.xp.matmul(a, b)


def _einsum(m: Operation, *arrays: Any, subscripts: str, optimize: Any = False) -> Any:
    return m.xp.einsum(subscripts, *m.arrays(arrays, m.dtype))


def _fft(name: str) -> Rule:
    def rule(m: Operation, a: Any, **params: Any) -> Any:
        real = name == "rfft"
        single = m.dtype.char == "F"
        given = np.dtype("f4" if real else "c8") if single else np.dtype("f8" if real else "c16")
        return getattr(m.xp.fft, name)(m.array(a, given), **params)

    return rule


def _irfft(m: Operation, a: Any, *, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    """NumPy does not read the imaginary parts of the first and, of an even length, the last coefficient."""
    a = m.array(a, "c8" if m.dtype.char == "f" else "c16").copy()
    count = 2 * (a.shape[axis] - 1) if n is None else n
    parts = m.xp.moveaxis(a.imag, axis, -1)
    parts[..., 0] = 0
    if count % 2 == 0 and a.shape[axis] > count // 2:
        parts[..., count // 2] = 0
    return m.xp.fft.irfft(a, n=count, axis=axis, norm=norm)


def by_name(m: Operation, *args: Any, **params: Any) -> Any:
    """The function that has NumPy's name in CuPy."""
    function: Any = m.xp
    for part in m.equation.prim.name.split("."):
        function = getattr(function, part)
    return function(*m.arrays(args), **params)


NAMED = frozenset("bincount broadcast_to linalg.det linalg.slogdet nonzero round".split())

RULES: dict[str, Rule] = {
    "guard_truth": _guard_truth, "guard_equal": _guard,
    "strong_multiply": _strong_multiply, "strong_product": _strong_product, "over_gap": _over_gap,
    "undetermined": _undetermined, "held": lambda m, change, *_, what: m.array(change).copy(),
    "held_check": _held_check, "where": _where,
    "copy": lambda m, a, **_: m.array(a).copy(), "stop_gradient": lambda m, a: m.array(a),
    "real": lambda m, a: m.array(a).real, "imag": lambda m, a: m.array(a).imag,
    "astype": lambda m, a, *, dtype: m.cast(m.array(a), dtype),
    "bool": lambda m, a: m.array(a).reshape(()) != 0, "item": lambda m, a: m.array(a).reshape(()),
    "fraction": lambda m, a: m.xp.modf(m.array(a))[0],
    "sinc": _first_of_family("sinc"), "i0": _first_of_family("i0"),
    "sum": _adding("sum"), "prod": _adding("prod"),
    "max": _reducing("max"), "min": _reducing("min"), "any": _reducing("any"), "all": _reducing("all"),
    "fmax_reduce": _past_nan("max", -np.inf), "fmin_reduce": _past_nan("min", np.inf),
    "argmax": _arg("argmax"), "argmin": _arg("argmin"),
    "nanargmax": _nan_arg("argmax", -np.inf), "nanargmin": _nan_arg("argmin", np.inf),
    "argsort": _argsort, "lexsort": _lexsort, "searchsorted": _searchsorted,
    "cumsum": _running("cumsum"), "cumprod": _running("cumprod"),
    "matmul": _matmul, "convolve": _convolve, "einsum": _einsum,
    "concatenate": lambda m, *arrays, axis: m.xp.concatenate(m.arrays(arrays, m.dtype), axis=axis),
    "reshape": lambda m, a, *, shape: m.array(a).reshape(shape),
    "transpose": lambda m, a, *, axes: m.xp.transpose(m.array(a), axes),
    "diagonal": lambda m, a, *, offset, axes: m.xp.diagonal(a, offset, *axes),
    "getitem": indexing.getitem, "setitem": indexing.setitem, "index_add": indexing.index_add,
    "permute_along": indexing.take_along, "choose_along": indexing.choose_along,
    "as_strided": lambda m, a, *, spots, of, strides: m.xp.ravel(m.array(a))[m.xp.asarray(spots)],
    "sliding_window_view": lambda m, a, *, window, axes: m.xp.lib.stride_tricks.sliding_window_view(a, window, axes),
    "fft.fft": _fft("fft"), "fft.ifft": _fft("ifft"), "fft.rfft": _fft("rfft"), "fft.irfft": _irfft,
    "linalg.inv": linalg.inv, "solve": linalg.solve, "solve_triangular": linalg.triangular,
    "linalg.cholesky": linalg.cholesky, "cofactor": linalg.by_singular_values(cofactor_of),
    "cofactor_change": linalg.by_singular_values(cofactor_change_of),
    "linalg.eigh": linalg.spectral("eigh"), "linalg.eigvalsh": linalg.spectral("eigvalsh"),
    "linalg.svd": linalg.spectral("svd"), "linalg.svdvals": linalg.spectral("svd", compute_uv=False),
    "linalg.qr": linalg.spectral("qr"),
}

__all__ = ["HOST", "NAMED", "ORDERED", "RULES", "SPECIAL", "UFUNCS", "by_name", "special", "ufunc"]
