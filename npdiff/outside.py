"""Things outside a function that cannot be copied: how to see whether they changed, or why nobody can.

What a recording reads becomes part of it. So each thing found outside is copied (environment.py), compared at each
call by what is in it, or a reason to run the function as it stands.
"""

from __future__ import annotations

import array
import collections
import contextvars
import datetime
import functools
import importlib
import inspect
import io
import operator
import os
import pickle
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.avals import ndarray
from npdiff.bytecode import attribute_names, global_names
from npdiff.dispatch.capture import stand_in_of

_UNSET = object()

# What is in things of these classes, as plain things that can be compared.
_INSIDE: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (bytearray, bytes),
    (memoryview, memoryview.tobytes),
    (array.array, lambda a: (a.typecode, a.tobytes())),
    (types.MappingProxyType, dict),
    ((type({}.keys()), type({}.values()), type({}.items())), list),
    (weakref.ref, lambda r: r()),
    (contextvars.ContextVar, lambda v: v.get(_UNSET)),
    (threading.local, lambda v: dict(vars(v))),
    (type(os.environ), dict),
    (np.vectorize, operator.attrgetter("pyfunc")),
    ((collections.UserDict, collections.UserList, collections.UserString), operator.attrgetter("data")),
    (collections.ChainMap, operator.attrgetter("maps")),
)
# Instances of the interpreter's own classes that never change, or whose state is no input of anybody's function.
_STEADY = frozenset("re datetime zoneinfo decimal _decimal _pydecimal fractions uuid pathlib pathlib._local operator "
                    "logging _thread inspect abc enum typing string unittest unittest.case unittest.mock".split())
# Packages whose objects are compared as they would be stored.
_STORED = frozenset(["numpy", "scipy", "pandas", "sklearn"])
_FIXED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.CodeType,
          types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType, types.GenericAlias,
          types.GetSetDescriptorType, types.MemberDescriptorType, property, staticmethod, classmethod, np.ufunc,
          np.dtype, type(Ellipsis), type(NotImplemented))
_CLOCKS = frozenset(["now", "today", "utcnow"])
_DATES = (datetime, datetime.datetime, datetime.date)
# Functions that find names which no code mentions; and attributes of modules that lead to such.
_LOOKUPS = frozenset(["eval", "exec", "globals", "__import__"])
_WAYS: tuple[tuple[Any, frozenset[str]], ...] = (
    (sys, frozenset(["modules", "_getframe"])), (importlib, frozenset(["import_module"])),
    (inspect, frozenset(["stack", "currentframe", "getmembers"])))


def inside(value: Any) -> Callable[[Any], Any] | None:
    """What shows the inside of a thing of a class that has no attributes to look at; None for all others."""
    if value is os.getenv:
        return lambda _: dict(os.environ)
    if isinstance(value, types.FunctionType) and hasattr(value, "registry") and hasattr(value, "dispatch"):
        return lambda f: dict(f.registry)  # functools.singledispatch
    return next((look for kinds, look in _INSIDE if isinstance(value, kinds)), None)


def moving(value: Any, copied: bool) -> str:
    """Why a thing gives something else each time it is asked; "" if it does not. `copied`: recordings use a copy."""
    if isinstance(value, io.IOBase):
        return "a stream, which goes on at each read"
    if hasattr(type(value), "__next__") and not copied:
        return f"an iterator ({type(value).__name__}), which goes on at each step"
    return ""


def stored(value: Any) -> Callable[[Any], bool] | str | None:
    """How to see that a thing is as it was, by what pickle would store of it.

    A text says why that cannot be seen; None: the thing is not compared by that.
    """
    kind = type(value)
    home = str(kind.__module__)
    package = home.partition(".")[0]
    if isinstance(value, _FIXED) or home in _STEADY:
        return None
    interpreters = package in sys.stdlib_module_names and kind is not object
    if not (isinstance(value, ndarray) or package in _STORED or interpreters):
        return None
    try:
        old = _pickled(value)
    except Exception:
        return None if callable(value) else f"a {kind.__name__}, whose state cannot be compared"
    return lambda now: type(now) is kind and _stored(now) == old


class _Pickler(pickle.Pickler):
    """What stands in for np.ndarray and others while a transform runs has their names: they are stored by these."""

    def reducer_override(self, obj: Any) -> Any:
        return (str, (obj.__name__,)) if stand_in_of(obj) is not None else NotImplemented


def _pickled(value: Any) -> bytes:
    into = io.BytesIO()
    _Pickler(into, 5).dump(value)
    return into.getvalue()


def _stored(value: Any) -> bytes:
    try:
        return _pickled(value)
    except Exception:
        return b""


def unseen(f: types.FunctionType, reached: list[Any]) -> str:
    """Why what a function reads cannot be known before it runs, `reached` being what it names; "" if it can."""
    names = attribute_names(f.__code__)
    found = sorted(_LOOKUPS.intersection(global_names(f.__code__)) - f.__globals__.keys())
    if found:
        return f"{f.__name__} calls {found[0]}, which reaches names that its code does not show"
    for value in reached:
        if any(value is d for d in _DATES) and _CLOCKS & names:
            return f"{f.__name__} asks {value.__name__} for the present time, which differs from call to call"
        ways = [w for module, attributes in _WAYS if value is module for w in sorted(attributes & names)]
        if ways or value is importlib.import_module:
            used = ".".join([value.__name__, *ways[:1]])
            return f"{f.__name__} uses {used}, which reaches what its code does not name"
    return ""


def data(module: types.ModuleType, names: frozenset[str]) -> dict[str, Any]:
    """What code that holds a module may read from it: its data, and functions and classes of these names."""
    return {key: held for key, held in vars(module).items() if not key.startswith("__")
            and not isinstance(held, types.ModuleType) and not (isinstance(held, dict) and "__builtins__" in held)
            and (key in names or not isinstance(held, (types.FunctionType, types.BuiltinFunctionType, type,
                                                       functools._lru_cache_wrapper)))}


__all__ = ["data", "inside", "moving", "stored", "unseen"]
