"""Abstract values: what is known of an array without its data (shape, dtype, weak type)."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

# The class itself: in the numpy namespace a stand-in takes its place while a transform runs.
ndarray = np.ndarray

PYTHON_NUMBERS = (bool, int, float, complex)
_PYTHON_DTYPES: dict[type, np.dtype[Any]] = {
    bool: np.dtype(bool),
    int: np.dtype(int),
    float: np.dtype(float),
    complex: np.dtype(complex),
}


class Aval(NamedTuple):
    """Shape and dtype; `weak` marks a Python number, which follows the other operand's dtype (NEP 50)."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    weak: bool = False

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        n = 1
        for k in self.shape:
            n *= k
        return n

    def __repr__(self) -> str:
        mark = "~" if self.weak else ""
        return f"{mark}{self.dtype.name}[{','.join(map(str, self.shape))}]"


_new: Any = tuple.__new__  # half the price of the constructor


def aval_of(value: Any) -> Aval:
    """The abstract value of an array, a NumPy scalar or a Python number."""
    kind = type(value)
    if kind in _PYTHON_DTYPES:
        return Aval((), _PYTHON_DTYPES[kind], True)
    return _new(Aval, (value.shape, value.dtype, False))  # type: ignore[no-any-return]


def is_foreign(value: Any) -> bool:
    """True for an array of another library that takes part in NumPy's protocols (CuPy's, dask's)."""
    kind: Any = type(value)
    return _joins_protocols(kind) and hasattr(value, "shape") and hasattr(value, "dtype")


@functools.cache
def _joins_protocols(kind: type) -> bool:
    return (not issubclass(kind, ndarray) and not hasattr(kind, "_npdiff_describe")
            and hasattr(kind, "__array_ufunc__") and hasattr(kind, "__array_function__"))


def is_differentiable(dtype: np.dtype[Any]) -> bool:
    """True for the dtypes that carry tangents: real and complex floating point."""
    return dtype.kind in "fc"


def python_type(dtype: np.dtype[Any]) -> type:
    """The Python number type that a weak value of this dtype has."""
    return {"b": bool, "i": int, "u": int, "f": float, "c": complex}[dtype.kind]
