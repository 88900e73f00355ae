"""A stand-in for CuPy, whose device is host memory: what the cuda backend does with a card, tested without one.

It offers CuPy's names and signatures (cupy_interface.json, read off CuPy itself) on an array class that refuses what
CuPy's refuses, above all to become a NumPy array unasked. Where CuPy differs from NumPy, so does this: indices wrap
around, the order of repeated writes is another, what is singular gives infinities, loops of ufuncs are CuPy's.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import inspect
import json
import pathlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__name__ = "cupy.standin"  # as one of CuPy's own modules: a library, which npdiff gives plain arrays
INTERFACE = json.loads(pathlib.Path(__file__).with_name("cupy_interface.json").read_text(encoding="utf-8"))
SUPPORTED = frozenset("?bBhHiIlLqQefdFD")
NUMBERS = (bool, int, float, complex, np.generic)
# Functions whose results are views.
VIEWS = frozenset(["broadcast_to", "diagonal", "expand_dims", "moveaxis", "swapaxes", "transpose",
                   "lib.stride_tricks.sliding_window_view"])


class OutOfMemoryError(MemoryError):
    """The device's memory is spent."""


class Device:
    """What the stand-in does and has: counted transfers to the host, and a limit to its memory."""

    def __init__(self, number: int | None = None) -> None:
        self.id = STATE.number if number is None else number
        self.compute_capability = "90"


class _State:
    """One for the process."""

    def __init__(self) -> None:
        self.number = 0
        self.count = 1
        self.to_host = 0
        self.to_device = 0
        self.limit = 1 << 40
        self.linalg = "ignore"


STATE = _State()


class _Pointer:
    """The address of an array's first element."""

    def __init__(self, owner: np.ndarray[Any, Any], ptr: int) -> None:
        self.owner = owner
        self.ptr = ptr

    def __add__(self, offset: int) -> _Pointer:
        return _Pointer(self.owner, self.ptr + offset)


class _Described:
    """An address as NumPy's array interface has it."""

    def __init__(self, pointer: _Pointer, shape: Any, dtype: Any, strides: Any) -> None:
        self.owner = pointer.owner
        self.__array_interface__ = {"version": 3, "shape": tuple(shape), "typestr": np.dtype(dtype).str,
                                    "data": (pointer.ptr, False), "strides": strides}


def _plain(x: Any) -> Any:
    """An operand as NumPy's: device arrays and numbers pass, arrays of the host do not."""
    if isinstance(x, DeviceArray):
        return x.simulated
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    return x


def _made(x: Any, view: bool = False) -> Any:
    """NumPy's result as the device's."""
    if isinstance(x, tuple):
        return tuple([_made(v, view) for v in x])
    array = np.asarray(x)
    if array.dtype.char not in SUPPORTED:
        raise TypeError(f"Unsupported dtype {array.dtype}")
    if not view and array.nbytes > STATE.limit:
        raise OutOfMemoryError(f"Out of memory allocating {array.nbytes:,} bytes")
    return DeviceArray._of(array if view else array.copy("K") if array.base is not None else array)


def _masked(function: Any) -> Callable[..., Any]:
    return lambda a, k: function(a, k & (8 * a.dtype.itemsize - 1))


def _truncated_remainder(a: Any, b: Any) -> Any:
    wide = np.fmod(a.astype(float), b.astype(float)) if a.dtype.kind in "iu" else np.fmod(a, b)
    return np.where(b == 0, 0, wide).astype(a.dtype) if a.dtype.kind in "iu" else wide


def _quotient(a: Any, b: Any) -> Any:
    return np.floor_divide(a, b) if a.dtype.kind in "iu" else np.floor(a / b)


# Where CuPy's kernels compute something else than NumPy's loops.
FORMULAS: dict[str, Callable[..., Any]] = {
    "floor_divide": _quotient,
    "remainder": lambda a, b: np.remainder(a, b) if a.dtype.kind in "iu" else a - np.floor(a / b) * b,
    "fmod": _truncated_remainder,
    "logaddexp": lambda a, b: np.fmax(a, b) + np.log1p(np.exp(-np.abs(a - b))),
    "logaddexp2": lambda a, b: np.fmax(a, b) + np.log2(1 + np.exp2(-np.abs(a - b))),
    "left_shift": _masked(np.left_shift), "right_shift": _masked(np.right_shift),
    "ldexp": lambda a, k: np.ldexp(a, k.astype(np.int32)),
    "reciprocal": lambda a: np.where(a == 0, 0, np.reciprocal(a)) if a.dtype.kind in "iu" else np.reciprocal(a),
    "power": lambda a, b: np.power(a, np.abs(b)) if a.dtype.kind in "iu" else np.power(a, b),
}


class _Ufunc:
    """A ufunc with the loops CuPy has, chosen as CuPy chooses them."""

    def __init__(self, name: str, loops: str) -> None:
        self.name = name
        self.loops = [tuple(t.split("->")) for t in loops.split() if "E" not in t and "V" not in t]
        self.compute = FORMULAS.get(name) or getattr(np, name)

    def __call__(self, *args: Any) -> Any:
        given = [_plain(a) for a in args]
        if not any(isinstance(a, DeviceArray) for a in args):
            raise TypeError(f"{self.name}: no device array among the operands")
        if len(given) == 2:
            weak = [type(g) in (int, float, complex) for g in given]
            kinds = [np.result_type(*given).char if w else np.asarray(g).dtype.char
                     for g, w in zip(given, weak, strict=True)]
        else:
            kinds = [np.asarray(g).dtype.char for g in given]
        for ins, outs in self.loops:
            if len(ins) == len(kinds) and all(np.can_cast(k, c) for k, c in zip(kinds, ins, strict=True)):
                with np.errstate(all="ignore"):
                    made = self.compute(*[np.asarray(g).astype(c) for g, c in zip(given, ins, strict=True)])
                made = made if isinstance(made, tuple) else (made,)
                results = tuple([_made(np.asarray(m).astype(c)) for m, c in zip(made, outs, strict=True)])
                return results if len(results) > 1 else results[0]
        raise TypeError(f"Wrong type ({kinds}) of arguments for cupy_{self.name}")


UFUNCS = {name: _Ufunc(name, loops) for name, loops in INTERFACE["ufuncs"].items() if hasattr(np, name)}


def _wrapped(index: Any, shape: tuple[int, ...]) -> Any:
    """An index as CuPy understands it: arrays of integers wrap around."""
    items = [_plain(i) for i in (index if isinstance(index, tuple) else (index,))]
    taken = sum(i.ndim if isinstance(i, np.ndarray) and i.dtype == bool else 1
                for i in items if i is not None and i is not Ellipsis)
    out: list[Any] = []
    at = 0
    for i in items:
        if i is Ellipsis:
            at += len(shape) - taken
        elif isinstance(i, np.ndarray) and i.dtype != bool:
            i = i % shape[at] if shape[at] else i
            at += 1
        elif i is not None:
            at += i.ndim if isinstance(i, np.ndarray) else 1
        out.append(i)
    return tuple(out)


class DeviceArray:
    """An array in the device's memory, which is `simulated`."""

    simulated: np.ndarray[Any, Any]
    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None

    def __init__(self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None) -> None:
        if memptr is None:
            self.simulated = np.empty(shape, dtype)
        else:
            self.simulated = np.asarray(_Described(memptr, shape, dtype, strides))

    @classmethod
    def _of(cls, array: np.ndarray[Any, Any]) -> DeviceArray:
        made = cls.__new__(cls)
        made.simulated = array
        return made

    shape = property(lambda self: self.simulated.shape)
    dtype = property(lambda self: self.simulated.dtype)
    ndim = property(lambda self: self.simulated.ndim)
    size = property(lambda self: self.simulated.size)
    itemsize = property(lambda self: self.simulated.itemsize)
    nbytes = property(lambda self: self.simulated.nbytes)
    strides = property(lambda self: self.simulated.strides)
    flags = property(lambda self: self.simulated.flags)
    base = property(lambda self: self.simulated.base)
    device = property(lambda self: Device())
    T = property(lambda self: _made(self.simulated.T, True))
    real = property(lambda self: _made(self.simulated.real, True))
    imag = property(lambda self: _made(self.simulated.imag, True))
    data = property(lambda self: _Pointer(self.simulated, self.simulated.__array_interface__["data"][0]))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        described = self.simulated.__array_interface__
        return {"shape": described["shape"], "typestr": described["typestr"], "data": (described["data"][0], False),
                "strides": described["strides"], "version": 3, "stream": 1}

    def __dlpack__(self) -> DeviceArray:
        return self

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, STATE.number

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy "
                        "array explicitly.")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(f"np.{function.__name__} was called with a device array")

    def get(self) -> np.ndarray[Any, Any]:
        """A copy on the host."""
        STATE.to_host += 1
        return self.simulated.copy()

    def item(self) -> Any:
        return self.get().item()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __len__(self) -> int:
        return len(self.simulated)

    def copy(self, order: str = "C") -> DeviceArray:
        return _made(self.simulated.copy(order))

    def astype(self, dtype: Any) -> DeviceArray:
        with np.errstate(all="ignore"):
            return _made(self.simulated.astype(dtype))

    def reshape(self, *shape: Any) -> DeviceArray:
        return _made(self.simulated.reshape(*shape), True)

    def view(self, dtype: Any) -> DeviceArray:
        return _made(self.simulated.view(dtype), True)

    def squeeze(self, axis: Any = None) -> DeviceArray:
        return _made(self.simulated.squeeze(axis), True)

    def __getitem__(self, index: Any) -> DeviceArray:
        out = self.simulated[_wrapped(index, self.shape)]
        if not isinstance(out, np.ndarray):
            out = np.asarray(out)
            return _made(out)
        return _made(out, out.base is not None and np.may_share_memory(out, self.simulated))

    def __setitem__(self, index: Any, value: Any) -> None:
        at, value = _wrapped(index, self.shape), _plain(value)
        if isinstance(value, np.ndarray) and value.ndim and any(
                isinstance(i, np.ndarray) and i.dtype != bool for i in at):
            # Of several writes into one place, here the first wins: on a card it may be any.
            spots = np.arange(self.size).reshape(self.shape)[at]
            flat = np.broadcast_to(value, spots.shape).reshape(-1)
            where = np.unravel_index(spots.reshape(-1)[::-1], self.shape)
            self.simulated[where] = flat[::-1]
        else:
            self.simulated[at] = value


def _operator(name: str, swapped: bool = False) -> Callable[..., Any]:
    def apply(self: DeviceArray, other: Any) -> Any:
        return UFUNCS[name](other, self) if swapped else UFUNCS[name](self, other)

    return apply


for _name, _ufunc in {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "and": "bitwise_and",
                      "or": "bitwise_or", "xor": "bitwise_xor"}.items():
    setattr(DeviceArray, f"__{_name}__", _operator(_ufunc))
    setattr(DeviceArray, f"__r{_name}__", _operator(_ufunc, swapped=True))
for _name, _ufunc in {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
                      "ge": "greater_equal"}.items():
    setattr(DeviceArray, f"__{_name}__", _operator(_ufunc))
DeviceArray.__invert__ = lambda self: UFUNCS["invert"](self)  # type: ignore[attr-defined]
DeviceArray.__neg__ = lambda self: UFUNCS["negative"](self)  # type: ignore[attr-defined]
missing = [n for n in vars(DeviceArray) if not n.startswith("_") and n != "simulated"
           and n not in INTERFACE["array"].split()]
assert not missing, f"CuPy's arrays have no {missing}"


# ---------------------------------------------------------------------- functions


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> DeviceArray:
    """An array on the device; nothing is copied that is there."""
    if isinstance(a, DeviceArray):
        return a
    described = getattr(a, "__cuda_array_interface__", None)
    if described is not None:
        pointer = _Pointer(a, described["data"][0])
        return DeviceArray(described["shape"], described["typestr"], pointer, described.get("strides"))
    STATE.to_device += 1
    return _made(np.array(a, dtype))


def from_dlpack(a: Any) -> DeviceArray:
    """An array seen through DLPack (whose capsule is the stand-in itself)."""
    return DeviceArray._of(a.__dlpack__().simulated)


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    """An array of the host."""
    assert isinstance(a, DeviceArray)
    return a.get()


def _full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> DeviceArray:
    assert isinstance(fill_value, NUMBERS)
    return _made(np.full(shape, fill_value, dtype))


def _empty(shape: Any, dtype: Any = float, order: str = "C") -> DeviceArray:
    made = _made(np.empty(shape, dtype, order))
    made.simulated.view(np.uint8).fill(0xA5) if made.ndim and made.size else None  # what was there before
    return made


def _cholesky(a: Any) -> Any:
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        if STATE.linalg == "raise":
            raise
        return np.tril(a)


def _singular(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(a: Any, *rest: Any) -> Any:
        if rest and a.shape[:-1] != rest[0].shape[:-1]:
            raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")
        try:
            return function(a, *rest)
        except np.linalg.LinAlgError:
            return np.full((rest or (a,))[0].shape, np.inf, np.result_type(a, *rest))

    return run


def _lexsort(keys: Any) -> Any:
    if keys.ndim > 2:
        raise NotImplementedError("Keys with the rank of three or more is not supported in lexsort")
    return np.lexsort(keys)


def _argsort(a: Any, axis: int = -1, kind: Any = None) -> Any:
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    return np.argsort(a, axis, kind="stable")


def _c2r(a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
    if np.any(np.take(a, 0, axis).imag):
        return np.full(a.shape[:axis] + (n,) + a.shape[axis:][1:], np.nan)  # the library leaves it open
    return np.fft.irfft(a, n, axis, norm)


OWN: dict[str, Callable[..., Any]] = {
    "linalg.cholesky": _cholesky, "linalg.inv": _singular(np.linalg.inv), "linalg.solve": _singular(np.linalg.solve),
    "lexsort": _lexsort, "argsort": _argsort, "fft.irfft": _c2r,
    "where": lambda condition, x=None, y=None: np.where(condition, x, y),
}


def _numpys(name: str, signature: str) -> Callable[..., Any]:
    """NumPy's function on device arrays, with CuPy's signature."""
    function: Any = OWN.get(name)
    if function is None:
        function = np
        for part in name.split("."):
            function = getattr(function, part)
    scope: dict[str, Any] = {}
    exec(f"def model{signature.replace(chr(39) + 'float' + chr(39), 'float')}: pass", scope)
    model = inspect.signature(scope["model"])

    def run(*args: Any, **params: Any) -> Any:
        model.bind(*args, **params)
        plain = [[_plain(v) for v in a] if isinstance(a, list) else _plain(a) for a in args]
        with np.errstate(all="ignore"):
            out = function(*plain, **params)
        out = tuple(out) if isinstance(out, tuple) else out
        return _made(out, name in VIEWS)

    return run


def _scatter(combine: str, dtypes: str) -> Callable[..., None]:
    def run(a: DeviceArray, slices: Any, value: Any) -> None:
        if a.dtype.char not in dtypes:
            raise TypeError(f"scatter_{combine} does not support {a.dtype}")
        getattr(np, combine).at(a.simulated, _wrapped(slices, a.shape), _plain(value))

    return run


@contextlib.contextmanager
def _errstate(*, linalg: str) -> Iterator[None]:
    before, STATE.linalg = STATE.linalg, linalg
    try:
        yield
    finally:
        STATE.linalg = before


def _special(function: Any) -> Callable[..., Any]:
    return lambda x: _made(function(_plain(x)))


class _Pool:
    def total_bytes(self) -> int:
        return 3_000_000_000

    def used_bytes(self) -> int:
        return 2_500_000_000


def _module(name: str, **contents: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(contents)
    sys.modules[name] = module
    return module


def install() -> types.ModuleType:
    """Put the stand-in where ``import cupy`` finds it."""
    whole = _module("cupy", ndarray=DeviceArray, **UFUNCS)
    parts = {"": whole, "linalg": _module("cupy.linalg"), "fft": _module("cupy.fft"), "lib": _module("cupy.lib"),
             "lib.stride_tricks": _module("cupy.lib.stride_tricks")}
    whole.linalg, whole.fft, whole.lib = parts["linalg"], parts["fft"], parts["lib"]  # type: ignore[attr-defined]
    whole.lib.stride_tricks = parts["lib.stride_tricks"]  # type: ignore[attr-defined]
    for name, signature in INTERFACE["functions"].items():
        if hasattr(np, name.partition(".")[0]):
            place, _, last = name.rpartition(".")
            setattr(parts[place], last, _numpys(name, signature))
    vars(whole).update(asarray=asarray, from_dlpack=from_dlpack, asnumpy=asnumpy, full=_full, empty=_empty,
                       get_default_memory_pool=_Pool)
    stream = types.SimpleNamespace(ptr=0, synchronize=lambda: None)
    runtime = types.SimpleNamespace(
        getDeviceCount=lambda: STATE.count, memGetInfo=lambda: (500_000_000, 8_000_000_000),
        getDeviceProperties=lambda number: {"name": b"stand-in for CuPy in host memory"})
    whole.cuda = types.SimpleNamespace(  # type: ignore[attr-defined]
        Device=Device, runtime=runtime, get_current_stream=lambda: stream,
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError))
    special = _module("cupyx.scipy.special")
    with contextlib.suppress(ImportError):
        import scipy.special

        for name in "erf erfc erfcx erfinv erfcinv gammaln expit ndtr".split():
            setattr(special, name, _special(getattr(scipy.special, name)))
    extra = _module("cupyx", errstate=_errstate, scatter_add=_scatter("add", "efdiILQ"),
                    scatter_max=_scatter("maximum", "fdiILQ"), scipy=_module("cupyx.scipy", special=special))
    whole.cupyx = extra  # type: ignore[attr-defined]
    return whole
