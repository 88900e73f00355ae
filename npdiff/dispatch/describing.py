"""Questions about arrays: shape, dtype, equality, shared memory, text."""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.array import DiffArray, View, ask, get_value, layout, shown
from npdiff.avals import ndarray
from npdiff.core import Handle, aval, bind, constant, innermost
from npdiff.dispatch.declare import composite, operand, static
from npdiff.dispatch.operands import phantom
from npdiff.dispatch.rules import constant_primitive

# ---------------------------------------------------------------------- shape and dtype


@composite(np.shape, cases=("A(2, 3)", "A(3)"))
def shape(a: Any) -> Any:
    return aval(operand(a)).shape


@composite(np.ndim, cases=("A(2, 3)", "2.0"))
def ndim(a: Any) -> Any:
    return aval(operand(a)).ndim


@composite(np.size, cases=("A(2, 3)", "A(2, 3), 1"))
def size(a: Any, axis: Any = None) -> Any:
    return np.size(phantom(operand(a)), static(axis))


@composite(np.iscomplexobj, cases=("A(2)", "C(2)"))
def iscomplexobj(x: Any) -> Any:
    return aval(operand(x)).dtype.kind == "c"


@composite(np.isrealobj, cases=("A(2)", "C(2)"))
def isrealobj(x: Any) -> Any:
    return aval(operand(x)).dtype.kind != "c"


@composite(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> Any:
    return np.result_type(*[phantom(a) for a in arrays_and_dtypes])


@composite(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> Any:
    return np.can_cast(phantom(from_), to, casting)


@composite(np.common_type)
def common_type(*arrays: Any) -> Any:
    return np.common_type(*[np.asarray(phantom(operand(a))) for a in arrays])


@composite(np.min_scalar_type)
def min_scalar_type(a: Any, /) -> Any:
    # The smallest type that holds a number depends on its value; that of an array, on its dtype alone.
    return np.min_scalar_type(ask(a, "np.min_scalar_type") if aval(a).ndim == 0 else phantom(a))


# ---------------------------------------------------------------------- equality


@composite(np.isclose, cases=(
    "A(3), A(3)", "A(2, 3), A(3), rtol=0.5", "np.array([np.nan, np.inf, 1.0]) * A(3), np.array([np.nan, np.inf, 1.0])",
    "A(3) * np.nan, A(3) * np.nan, equal_nan=True", "C(2), C(2)", "A(), 1"))
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: Any = False) -> Any:
    a, b = operand(a), operand(b)
    with np.errstate(invalid="ignore"):
        near = np.less_equal(np.abs(np.subtract(a, b)), np.add(atol, np.multiply(rtol, np.abs(b))))
        close = np.logical_or(np.logical_and(near, np.isfinite(b)), np.equal(a, b))
        return np.logical_or(close, np.logical_and(np.isnan(a), np.isnan(b))) if equal_nan else close


@composite(np.allclose,
           cases=("A(3), A(3)", "A(2, 3), A(3), 10.0", "A(2) * np.nan, A(2) * np.nan, equal_nan=True"))
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: Any = False) -> Any:
    return _as_truth(np.all(np.isclose(operand(a), operand(b), rtol=rtol, atol=atol, equal_nan=equal_nan)))


def _as_truth(a: Any) -> Any:
    """A Python bool, as the functions return that answer for whole arrays."""
    return bind(truth_p, (a,), {}) if isinstance(a, Handle) else bool(a)


truth_p = constant_primitive("bool", None, impl=bool, batch=lambda _size, args, _batched, _params: args[0])


def _all_equal(a: Any, b: Any, equal_nan: Any = False) -> Any:
    same = np.equal(a, b)
    same = np.logical_or(same, np.logical_and(np.isnan(a), np.isnan(b))) if equal_nan else same
    return _as_truth(np.all(same))


@composite(np.array_equal, cases=("A(3), A(3)", "A(3), A(2)", "A(2) * np.nan, A(2) * np.nan, equal_nan=True"))
def array_equal(a1: Any, a2: Any, equal_nan: Any = False) -> Any:
    a1, a2 = operand(a1), operand(a2)
    return aval(a1).shape == aval(a2).shape and _all_equal(a1, a2, equal_nan)


@composite(np.array_equiv, cases=("A(3), A(3)", "A(3), A(2)", "A(2, 3), A(3)", "0 * A(2, 3), 0.0"))
def array_equiv(a1: Any, a2: Any) -> Any:
    a1, a2 = operand(a1), operand(a2)
    try:
        np.broadcast_shapes(aval(a1).shape, aval(a2).shape)
    except ValueError:
        return False
    return _all_equal(a1, a2)


# ---------------------------------------------------------------------- memory


def _root(x: Any) -> Any:
    while type(x) is View:
        x = x._base
    return x


def _bytes_of(x: Any) -> Any:
    """Which places in its root's memory an array occupies, real and imaginary parts apart."""
    if type(x) is not View:
        plain = layout(x)
        spots = sum([np.arange(n).reshape([n if j == k else 1 for j in range(plain.ndim)]) * (s // plain.itemsize)
                     for k, (n, s) in enumerate(zip(plain.shape, plain.strides, strict=True))],
                    np.zeros(plain.shape, int))
        return spots * 2.0 + 1j * (spots * 2.0 + 1) if plain.dtype.kind == "c" else spots * 2.0
    base: Any = constant(_bytes_of(x._base))
    return innermost(get_value(x._get, base))


def _places(x: Any) -> Any:
    spots = _bytes_of(x).ravel()
    return np.concatenate([spots.real, spots.imag]) if spots.dtype.kind == "c" else spots


def _share(a: Any, b: Any) -> tuple[Any, Any] | None:
    """The places of two arrays with a common root; None without one, or where NumPy holds a scalar."""
    if not isinstance(a, DiffArray) or not isinstance(b, DiffArray) or _root(a) is not _root(b):
        return None
    if not aval(a).size or not aval(b).size or not isinstance(innermost(a), ndarray):
        return None
    return _places(a), _places(b)


@composite(np.shares_memory)
def shares_memory(a: Any, b: Any, /, max_work: Any = -1) -> Any:
    both = _share(a, b)
    return both is not None and bool(np.isin(*both).any())


@composite(np.may_share_memory)
def may_share_memory(a: Any, b: Any, /, max_work: Any = 0) -> Any:
    both = _share(a, b)
    return both is not None and bool(both[0].min() <= both[1].max() and both[1].min() <= both[0].max())


# ---------------------------------------------------------------------- text


@composite(np.array_repr)
def array_repr(arr: Any, max_line_width: Any = None, precision: Any = None, suppress_small: Any = None) -> Any:
    return np.array_repr(np.asarray(shown(arr)), max_line_width, precision, suppress_small)


@composite(np.array_str)
def array_str(a: Any, max_line_width: Any = None, precision: Any = None, suppress_small: Any = None) -> Any:
    return np.array_str(np.asarray(shown(a)), max_line_width, precision, suppress_small)


@composite(np.array2string, retired={"style": ""})
def array2string(a: Any, max_line_width: Any = None, precision: Any = None, suppress_small: Any = None,
                 separator: Any = " ", prefix: Any = "", *, formatter: Any = None, threshold: Any = None,
                 edgeitems: Any = None, sign: Any = None, floatmode: Any = None, suffix: Any = "",
                 legacy: Any = None) -> Any:
    return np.array2string(
        np.asarray(shown(a)), max_line_width, precision, suppress_small, separator, prefix, formatter=formatter,
        threshold=threshold, edgeitems=edgeitems, sign=sign, floatmode=floatmode, suffix=suffix, legacy=legacy)
