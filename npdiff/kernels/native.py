"""Functions of the runtime as Python callables: checking arguments, running kernels, threads, recycled memory.

The runtime is LLVM IR (the files in runtime/) compiled like any kernel. Its functions are called by
Python directly, without a layer between, and read what they need from tables that are made here. They
look into NumPy's array objects by NumPy's C ABI, and call the C APIs of Python and NumPy by address.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import os
import sys
import threading
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npdiff.avals import ndarray
from npdiff.kernels import machine
from npdiff.kernels.chunks import Work, part_bytes
from npdiff.kernels.streaming import POOLED

DType = np.dtype[Any]

_FILES = ("arguments", "surroundings", "launch", "threads", "memory")

def _pool_limit() -> int:
    """How many bytes may rest: a sixteenth of the machine's memory, from 256 MB to 1 GB."""
    names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
    known = set(names) <= set(getattr(os, "sysconf_names", ()))
    memory = math.prod(map(os.sysconf, names)) if known else 0
    return min(max(memory >> 4, 1 << 28), 1 << 30)


POOL_LIMIT = _pool_limit()
# Rows of the worker table in threads.ll.
MOST_WORKERS = 255

_C_CONTIGUOUS, _WRITEABLE = 0x1, 0x400
_METH_FASTCALL = 0x80
# Kinds of places in surroundings.ll.
PLACES = {"cell": 0, "entry": 1, "__defaults__": 2, "__kwdefaults__": 3}
_HEAD = object.__basicsize__
_PYTHON = ("Py_IncRef Py_DecRef PyTuple_New PyTuple_SetItem PyFloat_AsDouble PyLong_AsLongLong PyErr_Occurred "
           "PyErr_Clear PyEval_SaveThread PyEval_RestoreThread PyThread_acquire_lock PyThread_release_lock "
           "PyMem_RawMalloc PyMem_RawFree PyMem_RawRealloc PyMem_RawCalloc").split()
_LOOKS = ("PyDict_GetItemWithError", "PyFunction_GetDefaults", "PyFunction_GetKwDefaults")
# Positions in NumPy's table of C functions, which its ABI fixes.
_SCALAR_AS_CTYPE, _NEW_FROM_DESCR, _SET_HANDLER = 62, 94, 304


class _Method(ctypes.Structure):
    """Python's PyMethodDef."""

    _fields_ = (("name", ctypes.c_char_p), ("entry", ctypes.c_void_p), ("flags", ctypes.c_int),
                ("doc", ctypes.c_char_p))


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = (("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p),
                ("malloc", ctypes.c_void_p), ("calloc", ctypes.c_void_p), ("realloc", ctypes.c_void_p),
                ("free", ctypes.c_void_p))


class Argument(NamedTuple):
    """What an argument of a call must be: ``kind`` 0 an array, 1 an object of a type, 2 one object.

    An array's `flags` are compared where `mask` has bits, its `strides` where given. `like` is the position of the
    first argument that is the same array.
    """

    kind: int
    wanted: Any
    dtype: DType | None = None
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] | None = None
    mask: int = 0
    flags: int = 0
    like: int = -1


def array(dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...] | None = None,
          writeable: bool | None = None, like: int = -1) -> Argument:
    """An array argument: contiguous or of these strides, and (if it matters) writeable or not."""
    mask = (0 if writeable is None else _WRITEABLE) | (_C_CONTIGUOUS if strides is None else 0)
    flags = (_WRITEABLE if writeable else 0) | (_C_CONTIGUOUS if strides is None else 0)
    return Argument(0, ndarray, dtype, shape, strides, mask, flags, like)


def kind_of(wanted: type) -> Argument:
    """An argument of exactly this type."""
    return Argument(1, wanted)


def exactly(wanted: Any) -> Argument:
    """An argument that is this object."""
    return Argument(2, wanted)


# What tables hold only by address.
_alive: dict[int, Any] = {}
_methods: list[_Method] = []
_lock = threading.Lock()
_runtime: dict[str, int] | None = None


def _kept(thing: Any) -> int:
    _alive[id(thing)] = thing
    return id(thing)


def _address(name: str) -> int:
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0


def _advice() -> int:
    """The address of what asks the system for large pages; 0 where it cannot, or where NumPy is told not to."""
    if sys.platform != "linux" or os.environ.get("NUMPY_MADVISE_HUGEPAGE") == "0":
        return 0
    return ctypes.cast(ctypes.CDLL(None).madvise, ctypes.c_void_p).value or 0


def _numpy_api() -> Any:
    """NumPy's table of C functions, as extension modules get it."""
    capsule = importlib.import_module("numpy._core._multiarray_umath")._ARRAY_API
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.cast(get(capsule, None), ctypes.POINTER(ctypes.c_void_p))


def _start() -> dict[str, int]:
    """Compile the runtime, and tell it where everything is."""
    here = Path(__file__).parent / "runtime"
    text = "\n".join((here / f"{name}.ll").read_text() for name in _FILES)
    text = text.replace("HEAD", str(_HEAD)).replace("i64 TYPE", f"i64 {_HEAD - 8}")
    code = machine.load(text).addresses
    numpy = _numpy_api()
    lock = new_lock()
    handler = _Handler(b"npdiff", 1, None, *[code[f"npdiff_{n}"] for n in ("malloc", "calloc", "realloc", "free")])
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    label = b"mem_handler"
    capsule = new(ctypes.addressof(handler), label, None)
    _alive.update({id(x): x for x in (handler, label, capsule)})
    python = [_address(name) for name in _PYTHON]
    world = [*map(id, (ndarray, float, int, np.float64, True, False, None)), numpy[_NEW_FROM_DESCR], *python,
             numpy[_SET_HANDLER], _kept(np.dtype(np.float64)), _kept(np.dtype(np.int64)), id(capsule),
             _address("PyErr_NoMemory"), lock, *map(_address, _LOOKS), numpy[_SCALAR_AS_CTYPE], _advice()]
    values = np.array(world, np.uint64)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code["npdiff_begin"])(values.ctypes.data, len(world))
    _set_limit(code, POOL_LIMIT)
    _check(code)
    if hasattr(os, "register_at_fork"):
        forgets = [ctypes.PYFUNCTYPE(None)(code[f"npdiff_{n}"]) for n in ("forked", "memory_forked")]
        os.register_at_fork(after_in_child=lambda: [forget() for forget in forgets])
    return code


def _check(code: dict[str, int]) -> None:
    """Raise unless the runtime sees NumPy's arrays as they are: its layout of them is an agreement with NumPy's ABI."""
    a = np.zeros((3, 2), np.float32).T
    right = array(a.dtype, a.shape, a.strides, True, 0)
    wrong = [array(np.dtype(np.int32), a.shape, a.strides, True, 0), array(a.dtype, (3, 2), a.strides, True, 0),
             array(a.dtype, a.shape, (8, 4), True, 0), array(a.dtype, a.shape, a.strides, False, 0),
             array(a.dtype, a.shape, None, True, 0), array(a.dtype, (2, 3, 1), (*a.strides, 4), True, 0)]
    seen = [_callable("npdiff_match", _matching([spec]), code)(a) for spec in (right, *wrong)]
    if seen != [True] + [False] * len(wrong):
        raise RuntimeError("NumPy's array objects are laid out in a way that npdiff does not know")


def _set_limit(code: dict[str, int], count: int) -> int:
    return int(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code["npdiff_limit"])(count))


def at_rest(limit: int = POOL_LIMIT) -> int:
    """How many bytes of freed results rest for the next ones; from now on at most `limit`."""
    return _set_limit(runtime(), limit)


def trim() -> None:
    """Give the system back what the C library keeps of freed memory, where it can be told to."""
    free = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if free is not None:
        free(ctypes.c_size_t(0))


def runtime() -> dict[str, int]:
    """Addresses of the runtime's functions."""
    global _runtime
    if _runtime is None:
        with _lock:
            if _runtime is None:
                _runtime = _start()
    return _runtime


def new_lock() -> int:
    """The address of a lock of Python's, taken; it lives as long as the process."""
    make, take = ctypes.pythonapi.PyThread_allocate_lock, ctypes.pythonapi.PyThread_acquire_lock
    make.restype, take.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int]
    made: int = make()
    take(made, 1)
    return made


def _callable(name: str, table: np.ndarray[Any, Any], code: dict[str, int]) -> Callable[..., Any]:
    """A function of the runtime (at its address in `code`) as a Python callable, which always gets this table."""
    method = next((m for m in _methods if m.name == name.encode()), None)
    if method is None:
        method = _Method(name.encode(), code[name], _METH_FASTCALL, None)
        _methods.append(method)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]
    made: Callable[..., Any] = new(ctypes.addressof(method), table, None)
    return made


class _Table:
    """64-bit fields; some point to further tables, which are laid out behind them in one array."""

    def __init__(self, *fields: int) -> None:
        self._fields: list[int | _Table] = list(fields)

    def add(self, *fields: int | _Table) -> None:
        """Append fields."""
        self._fields += fields

    def made(self) -> np.ndarray[Any, Any]:
        """The array."""
        out: list[int] = []
        links: list[tuple[int, int]] = []
        self._place(out, links)
        made = np.array(out, np.int64)
        for field, place in links:
            made[field] = made.ctypes.data + 8 * place
        return made

    def _place(self, out: list[int], links: list[tuple[int, int]]) -> None:
        start = len(out)
        out += [0 if isinstance(f, _Table) else f for f in self._fields]
        for k, f in enumerate(self._fields):
            if isinstance(f, _Table):
                links.append((start + k, len(out)))
                f._place(out, links)


def _add_specs(table: _Table, arguments: Sequence[Argument]) -> None:
    for a in arguments:
        table.add(a.kind, id(a.wanted), 0 if a.dtype is None else _kept(a.dtype), len(a.shape), a.mask, a.flags,
                  _Table(*a.shape), 0 if a.strides is None else _Table(*a.strides), a.like)


def matcher(arguments: Sequence[Argument]) -> Callable[..., bool]:
    """A function that says whether its arguments are as described, and the same arrays where they were.

    Types and objects that it looks for must stay alive as long as it does.
    """
    return _callable("npdiff_match", _matching(arguments), runtime())


def _matching(arguments: Sequence[Argument]) -> np.ndarray[Any, Any]:
    table = _Table(len(arguments))
    _add_specs(table, arguments)
    return table.made()


def unchanged(places: Sequence[tuple[str, Any, Any, Any]]) -> Callable[[], bool]:
    """A function that says whether each place (kind, holder, key) still holds its object, all of which stay alive.

    Kinds: a cell, an entry of a dict (with a key), or a function's ``__defaults__`` or ``__kwdefaults__``.
    """
    table = _Table(len(places))
    for kind, holder, key, found in places:
        absent = found is None and kind.startswith("__")
        table.add(PLACES[kind], id(holder), id(key), 0 if absent else id(found))
    return _callable("npdiff_unchanged", table.made(), runtime())


def launcher(loops: int, join: int, work: Work, inputs: Sequence[tuple[Any, ...]],
             results: Sequence[tuple[DType, tuple[int, ...]]]) -> Callable[..., Any]:
    """A function that runs a kernel: inputs in, new array out (a tuple of several); None if an input does not fit.

    Inputs are arrays of exactly these dtypes and shapes, contiguous or of the strides that may follow; a scalar of
    NumPy's, a Python float or int stands for a number.
    """
    plan = _Table(loops, join, work.extent, work.chunk, len(inputs), len(results), work.long, work.wide)
    plan.add(*_described(inputs, results, work.parted))
    return _callable("npdiff_launch", plan.made(), runtime())


def _described(inputs: Sequence[tuple[Any, ...]], results: Sequence[tuple[DType, tuple[int, ...]]],
               parted: Set[int] = frozenset()) -> tuple[_Table, _Table]:
    """Tables of what inputs must be and results are."""
    specs, described = _Table(), _Table()
    _add_specs(specs, [array(*spec) for spec in inputs])
    for k, (dtype, shape) in enumerate(results):
        size = dtype.itemsize * math.prod(shape)
        described.add(_kept(dtype), len(shape), _Table(*shape), part_bytes(size), k in parted, size >= POOLED)
    return specs, described


class Place(NamedTuple):
    """Where a kernel of a sequence finds an array: input or result number `base`, or one of the two behind these.

    The first of the two is the memory for what the kernels hand on, the second is address zero.
    """

    base: int
    offset: int = 0


class Member(NamedTuple):
    """A kernel of a sequence: its loops, their extent, the places of its arrays, and its flag in memory (or -1)."""

    loops: int
    extent: int
    places: tuple[Place, ...]
    flag: int = -1


def sequence(members: Sequence[Member], memory: int, long: bool, inputs: Sequence[tuple[Any, ...]],
             results: Sequence[tuple[DType, tuple[int, ...]]]) -> Callable[..., Any]:
    """A function that runs kernels one after another, as `launcher` does one.

    `memory` is in bytes. Where a kernel sets its flag, the rest is not run, and the result is None.
    """
    steps = _Table()
    for m in members:
        steps.add(m.loops, m.extent, len(m.places), m.flag, _Table(*[n for place in m.places for n in place]))
    plan = _Table(len(inputs), len(results), memory, len(members), max(len(m.places) for m in members), long)
    plan.add(*_described(inputs, results), steps)
    return _callable("npdiff_sequence", plan.made(), runtime())


__all__ = [
    "POOLED", "POOL_LIMIT", "Argument", "Member", "Place", "array", "at_rest", "exactly", "kind_of", "launcher",
    "matcher", "new_lock", "runtime", "sequence", "trim", "unchanged",
]
