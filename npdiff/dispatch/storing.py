"""What a value becomes when it is stored into memory of another dtype.

NumPy has two ways. Arrays are cast: what is NaN or too large gives some number, with a warning. Python's numbers,
and NumPy's where they stand in a list or are written by an index, are converted as Python does it: NaN and what is
too large are errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.array import is_scalar
from npdiff.avals import ndarray
from npdiff.core import Handle, Primitive, aval, bind, services
from npdiff.dispatch.rules import batch_elementwise, constant_primitive


def is_number(v: Any) -> bool:
    """True for numbers of Python's and NumPy's, tracked or not, and no arrays of no dimensions."""
    return is_scalar(v) if isinstance(v, Handle) else not isinstance(v, ndarray)


def _whole(v: Any, *, dtype: np.dtype[Any]) -> Any:
    spots = np.zeros(np.shape(v), dtype)
    for place, number in np.ndenumerate(v) if isinstance(v, ndarray) else [((), v)]:
        spots[place] = number  # NumPy's own errors for NaN and what is too large
    return spots[()]


# A number as Python converts it to a whole one of this dtype.
whole_p: Primitive = constant_primitive("whole", None, impl=_whole, batch=batch_elementwise(lambda: whole_p))


def stored(v: Any, dtype: np.dtype[Any], listed: bool = False) -> Any:
    """A value as it is stored into an array of this dtype; `listed` where NumPy converts its own numbers as Python's.

    >>> stored(2.5, np.dtype(int))
    np.int64(2)
    """
    a = aval(v)
    if a.dtype == dtype and not a.weak:
        return v
    if a.weak or (listed and is_number(v)):
        if a.weak and a.dtype.kind == "c" and dtype.kind in "fiu":
            np.array(0j, dtype)  # NumPy's own error
        if dtype.kind in "iu" and (a.dtype.kind == "f" or (a.weak and a.dtype.kind == "i" and a.dtype != dtype)):
            return bind(whole_p, (v,), {"dtype": dtype})
    return services["astype"](v, dtype)


def overwriting(v: Any, dtype: np.dtype[Any]) -> Any:
    """A value as ``np.copyto`` and ``np.full`` store it: cast, but for Python's integers, which have to fit."""
    a = aval(v)
    return stored(v, dtype) if a.weak and a.dtype.kind == "i" else services["astype"](v, dtype)


def converted(values: Any, dtype: np.dtype[Any]) -> Any:
    """``np.asarray(values, dtype)`` of numbers, arrays and nested lists that may hold tracked values."""
    return services["array"](values, dtype)


def match_dtype(v: Any, dtype: np.dtype[Any]) -> Any:
    """A tracked value as it is stored into an array of this dtype; what is plain is left to NumPy."""
    return stored(v, dtype) if isinstance(v, Handle) else v


__all__: Sequence[str] = ["converted", "is_number", "match_dtype", "overwriting", "stored", "whole_p"]
