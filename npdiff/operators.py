"""DiffArray's operators, and the methods that are one NumPy function each: installed from tables."""

from __future__ import annotations

import contextlib
import inspect
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff import core
from npdiff.array import PLAIN, DiffArray, View, ask, cut_apart, is_scalar, is_weak, take
from npdiff.avals import ndarray
from npdiff.bytecode import puts_back
from npdiff.core import Handle, aval, bind, innermost, overrides, python_primitives, services, ufunc_primitives

_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "floordiv": np.floor_divide,
    "mod": np.remainder, "pow": np.power, "matmul": np.matmul, "divmod": np.divmod,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "lshift": np.left_shift, "rshift": np.right_shift,
}
_COMPARE = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}
_UNARY = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}


def _is_float(x: Any) -> bool:
    """True for np.float64, which is a Python float too: Python's complex computes with it and does not ask NumPy."""
    if isinstance(x, Handle):
        return aval(x).dtype == np.float64 and is_scalar(x)
    return isinstance(x, np.float64)


def _repeats(h: Any) -> bool:
    """True for an integer that is no array: beside a sequence, it counts."""
    return is_scalar(h) and not h.shape and h.dtype.kind in "biu"


_OPERATORS: dict[np.ufunc, Any] = {np.divmod: divmod} | {
    ufunc: getattr(operator, f"__{name}__") for name, ufunc in (_BINARY | _COMPARE).items() if name != "divmod"
}


def _beside_foreign(op: Callable[[Any, Any], Any], self: Any, other: Any, reflected: bool) -> Any:
    """What NumPy does with an array beside a string or None: its own error, or False for every ``==``."""
    plain = np.zeros(self.shape, self.dtype)[()]
    out = op(other, plain) if reflected else op(plain, other)
    return core.constant(out) if type(out) is ndarray else out


def _operate(ufunc: np.ufunc, self: Any, other: Any, reflected: bool) -> Any:
    """A binary operator where the operand beside `self` needs a second look."""
    kind = type(other)
    if kind not in PLAIN and not isinstance(other, Handle):
        if ufunc is np.multiply and isinstance(other, (str, bytes, list, tuple)) and _repeats(self):
            return other * operator.index(self)
        if ufunc is np.multiply and isinstance(other, (list, tuple)) and is_scalar(self) and not is_weak(self):
            return np.zeros((), self.dtype)[()] * other  # NumPy's own error
        if isinstance(other, (list, tuple)) and (is_weak(self) or (ufunc is np.matmul and is_scalar(self))):
            return NotImplemented
        if getattr(other, "__array_ufunc__", True) is None:
            return NotImplemented
        if isinstance(other, (str, bytes)) or other is None:
            return _beside_foreign(_OPERATORS[ufunc], self, other, reflected)
        other = services["operand"](other)
    if ufunc is np.matmul and is_scalar(self) and (is_scalar(other) if isinstance(other, Handle) else
                                                   type(other) is not ndarray):
        return NotImplemented  # numbers have no @
    operands = (other, self) if reflected else (self, other)
    if ufunc in python_primitives and is_weak(self) and is_weak(other):
        return bind(python_primitives[ufunc], operands, {})
    if not reflected and self.dtype.kind == "c" and is_weak(self) and ufunc in python_primitives and _is_float(other):
        return bind(python_primitives[ufunc], operands, {})
    prim = ufunc_primitives.get(ufunc)
    return services["ufunc"](ufunc, "__call__", operands, {}) if prim is None else bind(prim, operands, {})


def _forward(ufunc: np.ufunc) -> Callable[[Any, Any], Any]:
    prim: Any = None

    def op(self: Any, other: Any) -> Any:
        # The common case first: this is the hot path of eager recording.
        trace = self._trace
        if trace is not None and type(self) is DiffArray and type(self._value) is ndarray:
            nonlocal prim
            if prim is None:  # rows are declared after this class
                prim = ufunc_primitives.get(ufunc)
            kind = type(other)
            if prim is None:
                pass
            elif kind is float:
                return trace.with_number(prim, self, other)
            elif (other._trace is trace or other._trace is None) if kind is DiffArray else kind in PLAIN:
                return trace.binary(prim, self, other)
        return _operate(ufunc, self, other, False)

    return op


def _reflected(ufunc: np.ufunc) -> Callable[[Any, Any], Any]:
    def op(self: Any, other: Any) -> Any:
        if type(other) is complex and ufunc in python_primitives and _is_float(self):
            return bind(python_primitives[ufunc], (other, self), {})
        trace = self._trace
        if trace is not None and type(self) is DiffArray and type(self._value) is ndarray and type(other) in PLAIN:
            prim = ufunc_primitives.get(ufunc)
            if prim is not None:
                return trace.binary(prim, other, self)
        return _operate(ufunc, self, other, True)

    return op


def _in_place(ufunc: np.ufunc) -> Callable[[Any, Any], Any]:
    forward = _forward(ufunc)

    def op(self: Any, other: Any) -> Any:
        if is_scalar(self):  # NumPy scalars and Python numbers are immutable: the name is bound anew
            return forward(self, other)
        if type(self) is View and cut_apart(self) and puts_back(sys._getframe(1)):
            return forward(self, other)  # x[i] += v stores the result itself
        return services["ufunc"](ufunc, "__call__", (self, other), {"out": (self,)})

    return op


def _unary(ufunc: np.ufunc) -> Callable[[Any], Any]:
    def op(self: Any) -> Any:
        prim = ufunc_primitives.get(ufunc)
        if type(self._value) is not ndarray:
            if is_weak(self):
                return bind(python_primitives[ufunc], (self,), {})
        elif prim is not None and type(self) is DiffArray and self._trace is not None:
            return self._trace.unary(prim, self)
        return services["ufunc"](ufunc, "__call__", (self,), {}) if prim is None else bind(prim, (self,), {})

    return op


_conjugate_complex = _unary(np.conjugate)


def _conjugate(self: Any, /) -> Any:
    # The method, unlike the ufunc, gives real arrays themselves.
    return _conjugate_complex(self) if self.dtype.kind == "c" or is_weak(self) else self


def _divmod(self: Any, other: Any, reflected: bool = False) -> Any:
    if is_weak(self) and is_weak(other):
        return (other // self, other % self) if reflected else (self // other, self % other)
    return _operate(np.divmod, self, other, reflected)


def _power(self: Any, other: Any, mod: Any = None) -> Any:
    if mod is not None:
        raise core.unsupported("pow", "the three-argument form works on Python integers only", self,
                               instead="write (x ** y) % m")
    if self.dtype.kind == "b" and not is_scalar(self) and type(innermost(other)) is int and other == 2:
        return np.square(self)  # NumPy takes this way for arrays, and it shows in the dtype
    return _forward(np.power)(self, other)


# ---------------------------------------------------------------------- methods

# Methods that are one NumPy function each, of this array and the same parameters.
_METHODS = (
    "all any argmax argmin argpartition argsort choose cumprod cumsum diagonal max mean min nonzero prod "
    "ravel repeat round searchsorted squeeze std sum swapaxes take trace var"
).split()
# Methods that hand the plain numbers on, as Python's float() does: an error where that would drop a derivative.
_PLAIN = [n for n in ("dump", "dumps", "tobytes", "tofile", "tostring") if hasattr(ndarray, n)]
# What ndarray has and a tracked array cannot have, with the reason and the way out a user reads.
_AT_ITS_ADDRESS = ("reads the memory of an array; a tracked array is more than its memory",
                   "use x.value, the plain array")
_FIELDS = ("takes an array's bytes for another dtype, which has no derivative", "use x.value, the plain array")
REFUSED = {
    "byteswap": _FIELDS, "getfield": _FIELDS, "setfield": _FIELDS, "ctypes": _AT_ITS_ADDRESS, "data": _AT_ITS_ADDRESS,
    "resize": ("cannot change the size of a tracked array in place", "bind the name anew: x = np.resize(x, shape)"),
    "setflags": ("cannot change the flags of a tracked array", "leave it out, or use x.value, which is read-only"),
}


def _named(name: str, method: Callable[..., Any], doc: str) -> Callable[..., Any]:
    """A method with the name and, where NumPy tells it, the signature of ndarray's."""
    method.__name__ = name
    method.__doc__ = doc
    with contextlib.suppress(ValueError):
        method.__signature__ = inspect.signature(getattr(ndarray, name))  # type: ignore[attr-defined]
    return method


def _method(name: str) -> Callable[..., Any]:
    func = getattr(np, name)
    return _named(name, lambda self, *args, **kwargs: func(self, *args, **kwargs), f"As ``np.{name}`` of this array.")


def _plain_method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        value = (take if self.dtype.kind in "fc" else ask)(self, f"ndarray.{name}")
        return getattr(np.asarray(value), name)(*args, **kwargs)

    return _named(name, method, f"As ndarray.{name}, where no derivative is dropped by it.")


def _refusal(name: str) -> Any:
    why, instead = REFUSED[name]

    def refuse(self: Any, *_args: Any, **_kwargs: Any) -> Any:
        raise core.unsupported(f"ndarray.{name}", why, self, instead=instead)

    if not callable(getattr(ndarray, name)):
        return property(refuse, doc=why)
    return _named(name, refuse, why)


_numpy_clip = np.clip  # (a stand-in has the name while a transform runs)


def _clip(self: Any, /, min: Any = None, max: Any = None, out: Any = None, **kwargs: Any) -> Any:
    return overrides[_numpy_clip](self, min, max, out, **kwargs)


def _compress(self: Any, /, condition: Any, axis: Any = None, out: Any = None) -> Any:
    return np.compress(condition, self, axis=axis, out=out)


def _to_device(self: Any, device: Any, /, *, stream: Any = None) -> Any:
    np.empty(0).to_device(device, stream=stream)  # NumPy's own errors
    return self


def _install() -> None:
    for name, ufunc in _BINARY.items():
        setattr(DiffArray, f"__{name}__", _forward(ufunc))
        setattr(DiffArray, f"__r{name}__", _reflected(ufunc))
        if name != "divmod":
            setattr(DiffArray, f"__i{name}__", _in_place(ufunc))
    setattr(DiffArray, "__divmod__", _divmod)  # noqa: B010
    setattr(DiffArray, "__rdivmod__", lambda self, other: _divmod(self, other, True))  # noqa: B010
    setattr(DiffArray, "__pow__", _power)  # noqa: B010 (mypy reads the attribute as a use of the operator)
    for name, ufunc in _COMPARE.items():
        setattr(DiffArray, f"__{name}__", _forward(ufunc))
    for name, ufunc in _UNARY.items():
        setattr(DiffArray, f"__{name}__", _unary(ufunc))
    for name in _METHODS:
        setattr(DiffArray, name, _method(name))
    for name in _PLAIN:
        setattr(DiffArray, name, _plain_method(name))
    for name in REFUSED:
        setattr(DiffArray, name, _refusal(name))
    for name, method in (("clip", _clip), ("compress", _compress), ("conj", _conjugate), ("conjugate", _conjugate),
                         ("to_device", _to_device)):
        setattr(DiffArray, name, method)


_install()
