"""Arrays of other libraries: whatever takes part in NumPy's two protocols, such as CuPy's arrays and dask's.

Such an array is the payload of one trace below all others, so the rules of rows meet a handle and every operation
on it comes through `ForeignTrace.process`. There it is done by NumPy's own functions, which the protocols hand to
the library; whatever would bring an array here to compute with it is an error instead.
"""

from __future__ import annotations

import functools
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import numpy as np

from npdiff.avals import PYTHON_NUMBERS, is_foreign, ndarray
from npdiff.core import Handle, Primitive, Trace, constant, innermost, services, unsupported, wrap
from npdiff.errors import NpdiffError, UnsupportedError, in_package

Rule = Callable[..., Any]

# Primitives that npdiff evaluates itself on ndarrays -> the same by NumPy's functions; filled by dispatch/.
evaluations: dict[Primitive, Rule] = {}

_HERE = "bring it here before the transform, as a NumPy array; or write it with functions that its library has"
_filters = threading.Lock()


class ForeignTrace(Trace):
    """Evaluates on arrays of other libraries; records nothing."""

    kind = "foreign"
    foreign = True

    def __init__(self) -> None:
        self.level = -1  # below track-style recording too; it is never closed

    def process(self, prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        rule = evaluations.get(prim)
        if rule is None and not prim.plain:
            if not _is_numpys(prim.call):
                return prim.call(*args, **params)  # a graph or a user's function, which comes here piece by piece
            rule = functools.partial(through, prim.call)
        values = [innermost(a) for a in args]
        try:
            if rule is None:
                raise TypeError(f"npdiff has {prim.name} for NumPy's arrays only")
            out = rule(*values, **params)
        except NpdiffError:
            raise
        except (TypeError, NotImplementedError, AttributeError) as error:
            raise _refused(_function(sys._getframe()) or _name(prim), values, error) from error
        except ValueError as error:
            # Of shapes and values the library speaks as NumPy does; how arrays are cut, NumPy does not know.
            if "chunk" not in str(error) or not any(hasattr(a, "rechunk") for a in _foreign_arrays(values)):
                raise
            raise _cut(_function(sys._getframe()) or _name(prim), values, error) from error
        if prim.multiple:
            return tuple([self._result(prim, o, values) for o in out])
        return self._result(prim, out, values)

    def _result(self, prim: Primitive, out: Any, values: Sequence[Any]) -> Any:
        if is_foreign(out):
            if any([n != n for n in out.shape]):
                raise unsupported(_function(sys._getframe()) or _name(prim), f"{_library(values)} does not know how "
                                  "large the result is before it computes", *values,
                                  instead="use np.where(mask, x, 0), which keeps the shape")
            return wrap(self, out, None)
        if isinstance(out, ndarray) and out.ndim:
            raise unsupported(_name(prim), f"{_library(values)} answered with a NumPy array, which brings it here",
                              *values, instead=_HERE)
        return constant(out)

    def ask(self, handle: Any, what: str) -> Any:
        # What Python asks of the user's own line, the library answers as it would without npdiff.
        frame = _asking(sys._getframe(1))
        if frame is None or not in_package(frame) or type(handle._value) in PYTHON_NUMBERS:
            return handle._value
        name = _function(frame)
        raise unsupported(name or what, f"looks at values ({what}), and those of {_library([handle._value])} are not "
                          "brought here for it", handle._value, instead=_HERE)

    def take(self, handle: Any, what: str) -> Any:
        if what.startswith(("np.asarray", "ndarray.", "setitem")):
            raise unsupported(_function(sys._getframe(1)) or what, f"needs the numbers here, and those of "
                              f"{_library([handle._value])} are not brought here for it", handle._value,
                              instead=_HERE)
        return self.ask(handle, what)


TRACE = ForeignTrace()


def adopt(array: Any) -> Any:
    """A handle on a copy of a library's array: what happens to the caller's later does not reach it."""
    return wrap(TRACE, copied(array), None)


def copied(array: Any) -> Any:
    """A library's array that shares nothing with this one."""
    return array.copy() if hasattr(array, "copy") else through(np.copy, array)


def released(value: Any) -> Any:
    """What code outside sees of a value: the library's array itself."""
    return value._value if isinstance(value, Handle) and value._trace is TRACE else value


def foreign_in(value: Any) -> Any:
    """The library's array inside a value, below all traces; None if there is none."""
    while isinstance(value, Handle):
        value = value._value
    return value if is_foreign(value) else None


def filled(shape: Any, value: Any, dtype: Any, beside: Any) -> Any:
    """An array of zeros or ones, of the library that `beside` is of: NumPy's, or another."""
    like = foreign_in(beside)
    if like is None:
        return np.ones(shape, dtype) if value else np.zeros(shape, dtype)
    return wrap(TRACE, full_beside(like, shape, value, dtype), None)


def counting(n: int, beside: Any) -> Any:
    """The numbers from 0 to n - 1, of the library that `beside` is of."""
    like = foreign_in(beside)
    return np.arange(n) if like is None else wrap(TRACE, np.arange(n, like=like), None)


def full_beside(like: Any, shape: Any, value: Any, dtype: Any) -> Any:
    """A library's array of one number throughout, beside another of its arrays."""
    return through(np.full_like, like, value, dtype=np.dtype(dtype), shape=shape)


# ---------------------------------------------------------------------- NumPy's functions on them


def through(func: Rule, *args: Any, **kwargs: Any) -> Any:
    """NumPy's function, done by the library; ndarrays beside its arrays become its own."""
    like = next(_foreign_arrays(args), None)
    if like is None:
        return func(*args, **kwargs)
    args = tuple([lifted(a, like) for a in args])
    kind: Any = type(like)
    if isinstance(func, np.ufunc) or _has(kind, func):
        return func(*args, **kwargs)
    # A library that answers for what it lacks by bringing the array here (dask does) warns before.
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        try:
            return func(*args, **kwargs)
        except FutureWarning as warning:
            raise TypeError(str(warning)) from warning


def _foreign_arrays(args: Sequence[Any]) -> Iterator[Any]:
    for a in args:
        if isinstance(a, (list, tuple)):
            yield from _foreign_arrays(a)
        elif is_foreign(a):
            yield a


def lifted(a: Any, like: Any) -> Any:
    """An operand as the library takes it: for an ndarray an array of its own, or a scalar."""
    if type(a) is list or type(a) is tuple:
        return type(a)([lifted(x, like) for x in a])
    if type(a) is not ndarray:
        return a
    if not a.ndim:
        return a[()]
    if a.size and not any(a.strides):
        return full_beside(like, a.shape, a[(0,) * a.ndim], a.dtype)
    return np.asarray(a, like=like)


@functools.cache
def _has(kind: type, func: Any) -> bool:
    """True if a package around the class has a function of its own by NumPy's name."""
    path = [*func.__module__.split(".")[1:], func.__name__]
    parts = kind.__module__.split(".")
    for k in range(len(parts), 0, -1):
        found: Any = sys.modules.get(".".join(parts[:k]))
        for name in path:
            found = getattr(found, name, None)
        if found is not None and found is not func:
            return True
    return False


def _is_numpys(call: Rule) -> bool:
    return isinstance(call, np.ufunc) or (getattr(call, "__module__", None) or "").partition(".")[0] == "numpy"


# ---------------------------------------------------------------------- errors


def _library(values: Sequence[Any]) -> str:
    return type(next(_foreign_arrays(values))).__module__.partition(".")[0]


def _name(prim: Primitive) -> str:
    if prim.ufunc is not None:
        return str(services["numpy_name"](prim.ufunc))
    found: Any = np
    for part in prim.name.split("."):
        found = getattr(found, part, None)
    return prim.name if found is None else f"np.{prim.name}"


def _refused(name: str, values: Sequence[Any], error: Exception) -> UnsupportedError:
    return unsupported(name, f"cannot be done with arrays of {_library(values)}: {_said(error)}", *values,
                       instead=_HERE)


def _cut(name: str, values: Sequence[Any], error: Exception) -> UnsupportedError:
    chunks = " and ".join([str(a.chunks) for a in _foreign_arrays(values) if hasattr(a, "rechunk")])
    return unsupported(name, f"cannot be done with arrays of {_library(values)} in chunks of {chunks}: "
                       f"{_said(error)}", *values,
                       instead="x.rechunk({axis: -1}) before the transform makes one chunk along an axis, "
                       "x.rechunk(-1) along all")


def _said(error: Exception) -> str:
    """The first line of an error."""
    return " ".join(str(error).strip().split("\n", 1)[0].split()) or type(error).__name__


def _asking(frame: FrameType | None) -> FrameType | None:
    """The frame that asked a handle for its value: the first outside the class of handles."""
    while frame is not None and frame.f_globals.get("__name__") in ("npdiff.array", __name__):
        frame = frame.f_back
    return frame


def _function(frame: FrameType | None) -> str:
    """NumPy's name of the function that the user's code called and whose rule runs now; "" if it is none."""
    name = ""
    while frame is not None:
        if frame.f_code.co_name == "__array_function__" and in_package(frame):
            name = str(services["numpy_name"](frame.f_locals["func"]))
        frame = frame.f_back
    return name


__all__ = ["TRACE", "ForeignTrace", "adopt", "copied", "counting", "evaluations", "filled", "foreign_in",
           "full_beside", "lifted", "released", "through"]
