"""NumPy's creation functions while a transform runs.

``np.zeros(n)``, ``np.array([x, 1.0])``, ``ndarray(shape)``, ``np.r_`` and ``np.vectorize`` never
reach NumPy's dispatch protocols. While a transform runs, stand-ins for them sit in the numpy
namespace. A stand-in acts only in the context (thread, task) in which the transform was started and
is the original everywhere else; the last transform to end puts every original back.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from npdiff.array import DiffArray, View
from npdiff.avals import ndarray
from npdiff.bytecode import calls_another
from npdiff.core import Handle, Trace, constant, overrides, services
from npdiff.dispatch.creation import holds_handle
from npdiff.dispatch.declare import found, rows
from npdiff.dispatch.optional import load_seen
from npdiff.errors import behind

_lock = threading.Lock()
_users = 0
# The traces that run in this context, outermost first; empty: nothing is captured.
_running: ContextVar[tuple[Trace | None, ...]] = ContextVar("npdiff_running", default=())

_LIST_TYPES = frozenset([list, tuple])
_HANDLES = frozenset([DiffArray, View])


# Code of these packages gets plain arrays: it works on plain values, and hands them to compiled code.
_LIBRARIES = frozenset(
    ["npdiff", "numpy", "scipy", "numba", "numba_cuda", "llvmlite", "sklearn", "matplotlib", "pandas", "jax", "cupy",
     "cupyx", "cupy_backends", "dask", "distributed", "sparse", "toolz"])
# Parts of them that are NumPy code on whatever they are given: read as if the user had written them.
_AS_USERS = frozenset(["npdiff.demo"] + [f"numpy.polynomial.{name}" for name in (
    "_polybase", "chebyshev", "hermite", "hermite_e", "laguerre", "legendre", "polynomial", "polyutils")])


def active() -> bool:
    """True while a transform runs in this context."""
    return bool(_running.get())


def called_by_user(name: str = "") -> bool:
    """True if the user's code called the stand-in (of this name), and a transform runs in its context.

    Compiled code that the user's code called has no frame of its own, and cannot take a handle for an array.
    """
    if not _running.get():
        return False
    frame = sys._getframe(2)
    module = frame.f_globals.get("__name__") or ""
    if module.partition(".")[0] in _LIBRARIES and module not in _AS_USERS:
        return False
    return not (name and calls_another(frame, name))


def running_traces() -> tuple[Trace | None, ...]:
    """The traces that run in this context, outermost first."""
    return _running.get()


def fresh(value: Any) -> Any:
    """A new array as user code gets it: a handle while a transform runs, else the array itself."""
    return constant(value) if type(value) is ndarray and active() else value


def handled(value: Any) -> Any:
    """Arrays in a result of NumPy as handles, into which tracked values can be written."""
    if type(value) is ndarray and value.dtype.kind in "biufc":
        return constant(value)
    if isinstance(value, (tuple, list)):
        made = {id(v): handled(v) for v in value}  # np.diag_indices gives the same array for each axis
        return type(value)([made[id(v)] for v in value])
    return value


def replacing(original: Callable[..., Any], name: str, act: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is `original`, but ``act(original, ...)`` where the user's code calls it in a transform."""

    @functools.wraps(original)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        if not called_by_user(name):
            return original(*args, **kwargs)
        return act(original, *args, **kwargs)

    return stand_in


def _make_from(original: Any, *args: Any, **kwargs: Any) -> Any:
    """zeros_like, tile, diag ...: as their rows say, also for tracked values where NumPy's dispatch does not look."""
    made = overrides[original] if holds_handle([*args, *kwargs.values()]) else original
    return handled(made(*args, **kwargs))


def _of_tracked(original: Any, *args: Any, **kwargs: Any) -> Any:
    """as_strided: as its row says for tracked values, which NumPy's dispatch does not look for."""
    return (overrides[original] if holds_handle([*args, *kwargs.values()]) else original)(*args, **kwargs)


def _hearing(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    """sum, max, sort ...: as their rows say for tracked values where NumPy's dispatch does not look for them.

    That is in lists, and as parameters that are no arrays to it (``initial=``, ``constant_values=``).
    """

    @functools.wraps(original)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        for a in (*args, *kwargs.values()) if kwargs else args:
            kind = type(a)
            if kind in _HANDLES or (kind in _LIST_TYPES and called_by_user(name) and holds_handle(a)):
                return overrides[original](*args, **kwargs)
        return original(*args, **kwargs)

    return stand_in


def size(a: Any) -> Any:
    """Tracked integers in a size or shape as plain ones."""
    if isinstance(a, Handle) and not a.shape and a.dtype.kind in "iu":  # type: ignore[attr-defined]
        return int(a)  # type: ignore[call-overload]
    return tuple([size(x) for x in a]) if type(a) is tuple else [size(x) for x in a] if type(a) is list else a


# ---------------------------------------------------------------------- in and out

# Namespaces in which names are replaced, with the originals and the stand-ins.
_namespaces: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = []


_by_original: dict[int, Any] = {}
_by_stand_in: dict[int, Any] = {}


def _know(originals: dict[str, Any], stand_ins: dict[str, Any]) -> None:
    _by_original.update((id(originals[name]), stand_in) for name, stand_in in stand_ins.items())
    _by_stand_in.update((id(stand_in), originals[name]) for name, stand_in in stand_ins.items())


def also_capture(namespace: dict[str, Any], stand_ins: dict[str, Any]) -> None:
    """Let these stand in for the names of another module while a transform runs."""
    with _lock:
        originals = {name: namespace[name] for name in stand_ins}
        _namespaces.append((namespace, originals, stand_ins))
        _know(originals, stand_ins)
        if _users:  # the module was imported by the function that is transformed
            namespace.update(stand_ins)


def stand_in_of(original: Any) -> Any:
    """What stands in for a function while a transform runs, for code that holds it by a name of its own; or None."""
    return _by_original.get(id(original))


def original_of(value: Any) -> Any:
    """What a value stands in for; the value itself if it is no stand-in."""
    return _by_stand_in.get(id(value), value)


def capture_rows() -> None:
    """Stand-ins for the functions whose rows ask for them; called once, when all rows are entered."""
    made: dict[str, dict[str, Any]] = {}
    for row in rows.values():
        if row.captured:
            module, _, name = row.name.rpartition(".")
            stand_in = _hearing(row.func, name) if row.captured == "lists" else replacing(
                row.func, name, _make_from if row.captured == "made" else _of_tracked)
            made.setdefault(module, {})[name] = stand_in
    for module, stand_ins in made.items():
        also_capture(vars(np if module == "np" else found(module[3:])), stand_ins)


def _install(stand_ins: bool) -> None:
    for namespace, originals, replacements in _namespaces:
        # One step each: other threads see all of the originals or all of the stand-ins.
        namespace.update(replacements if stand_ins else originals)


def enter(trace: Trace | None) -> None:
    """A transform starts in this context."""
    global _users
    load_seen()
    with _lock:
        _users += 1
        if _users == 1:
            _install(True)
    _running.set((*_running.get(), trace))


def leave() -> None:
    """The transform that started last in this context is over."""
    global _users
    _running.set(_running.get()[:-1])
    with _lock:
        _users -= 1
        if _users == 0:
            _install(False)


@contextlib.contextmanager
def record() -> Iterator[None]:
    """Let track-style code create arrays too: within, np.zeros, np.array and their kin hold tracked values.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> x = npdiff.track(3.0)
    >>> with npdiff.record():
    ...     y = np.array([x, x * x])
    >>> np.sum(y).backward()
    >>> float(x.grad)
    7.0
    """
    enter(None)
    try:
        yield
    except ValueError as error:
        hidden = behind(error)
        if hidden is None:
            raise
        raise hidden from error
    finally:
        leave()


services["enter_capture"] = enter
services["exit_capture"] = leave
services["fresh"] = fresh
