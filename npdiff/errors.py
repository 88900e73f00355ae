"""Every exception npdiff raises and the one way its message is worded.

A message always has the same four parts: what happened (naming the NumPy function), what was
received, the user's line, and what to do instead.
"""

from __future__ import annotations

import os
import sys
import warnings
from types import FrameType
from typing import Any

import numpy as np

_ndarray = np.ndarray  # a stand-in takes its place in the numpy namespace while a transform runs
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_DEMO = _PACKAGE + "demo.py"  # shipped with the package, but written as a user would
_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep


class NpdiffError(Exception):
    """Base class of all errors that npdiff raises of its own accord."""


class ArgumentError(NpdiffError, ValueError):
    """A transform was called with arguments it cannot work on (argnums, dtypes, shapes)."""


class UnsupportedError(NpdiffError, TypeError):
    """A NumPy function, or a use of it, that cannot be recorded."""


class TracedValueError(NpdiffError):
    """Plain Python or plain NumPy asked for the number inside a tracked array.

    Not a TypeError: NumPy turns a TypeError out of ``float(x)`` into an error of its own that says nothing.
    """


class OutsideWriteError(NpdiffError, TypeError):
    """A tracked value was about to be written into a plain ndarray that other names share."""


class LeakError(NpdiffError, RuntimeError):
    """A tracked array outlived the transform that made it."""


class NotDifferentiableError(NpdiffError, TypeError):
    """A derivative was asked of an operation that has none."""


class BranchError(NpdiffError, TypeError):
    """Python control flow depends on a value that differs along a vmapped axis."""


class NonFiniteError(NpdiffError, FloatingPointError):
    """Under `npdiff.debug_nans`, an operation made a NaN or an infinity that its operands did not hold."""


class GraphError(NpdiffError, AssertionError):
    """A recorded graph breaks one of its own invariants: a defect in npdiff."""


class BackendError(NpdiffError, RuntimeError):
    """A backend cannot run here, or cannot run this program: its package or hardware is missing, or lacks something."""


class GradientMismatch(NpdiffError, AssertionError):
    """`npdiff.testing.check_grads` found a derivative that differs from the numerical one."""


class GuardFailed(Exception):
    """Internal: a replayed graph met a value for which Python would have gone another way."""


class JitWarning(UserWarning):
    """Why a jitted function runs without compiled code; for each function, every reason is said once."""


def outside_write(*received: Any) -> OutsideWriteError:
    """The error for a tracked value that plain NumPy is about to write into one of its arrays."""
    return OutsideWriteError(message(
        "setitem: a tracked value cannot be written into a plain ndarray", *received,
        instead="make the array inside the transform (or `with npdiff.record():`) with np.zeros, np.empty or "
                "np.copy(a), called by these names: neither a.copy() nor a function imported with `from numpy import "
                "zeros` is seen; or track it first: a = npdiff.track(a)"))


def behind(error: BaseException | None) -> NpdiffError | None:
    """What NumPy's "setting an array element with a sequence" hides, if npdiff caused it.

    NumPy asked a tracked value for its float, and reports our refusal in words that say nothing.
    """
    cause = error.__cause__ if isinstance(error, ValueError) else None
    if type(cause) is TracedValueError:  # plain Python calls such as a.fill(x), where no line shows a write
        parts, whole = str(cause).split("\n  "), str(outside_write()).split("\n  ")
        return OutsideWriteError("\n  ".join([whole[0], *parts[1:-1], whole[-1]]))
    return type(cause)(str(cause)) if isinstance(cause, NpdiffError) else None


def describe(value: Any) -> str:
    """One short phrase for a received value: its kind, dtype and shape, never its data."""
    if hasattr(type(value), "_npdiff_describe"):
        return str(value._npdiff_describe())
    if isinstance(value, _ndarray):
        return f"ndarray {value.dtype}{list(value.shape)}"
    if isinstance(value, np.generic):
        return f"{type(value).__name__} scalar"
    if isinstance(value, (bool, int, float, complex, str)) or value is None:
        return f"{type(value).__name__} {value!r}"
    if hasattr(type(value), "__array_function__") and hasattr(value, "dtype"):
        return f"{type(value).__name__} {value.dtype}{list(value.shape)}"
    if isinstance(value, (list, tuple)):
        inside = ", ".join(describe(v) for v in value[:4]) + (", ..." if len(value) > 4 else "")
        return f"{type(value).__name__} of ({inside})"
    return type(value).__name__


def in_package(frame: FrameType) -> bool:
    """True for a frame of npdiff's own code."""
    name = frame.f_code.co_filename
    return name.startswith(_PACKAGE) and name != _DEMO


def user_frame() -> FrameType | None:
    """The innermost frame that belongs to neither npdiff nor NumPy."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_PACKAGE, _NUMPY)) or name == _DEMO:
            return frame
        frame = frame.f_back
    return None


def _in_scipy(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("scipy.")


def scipy_call() -> str:
    """``scipy.linalg.expm``: the function of SciPy's that the user's code called and that led here; "" if none did."""
    frame = user_frame()
    name = ""
    while frame is not None and _in_scipy(frame):
        public = [part for part in frame.f_globals["__name__"].split(".") if not part.startswith("_")]
        if len(public) > 1 and frame.f_code.co_name != "wrapper":  # decorators live in scipy._lib
            name = ".".join([*public, frame.f_code.co_name])
        frame = frame.f_back
    return name


def user_line() -> str:
    """``file.py:12`` of the user's code that led here."""
    frame = user_frame()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith(("scipy.", "dask.")):
        frame = frame.f_back
    if frame is None:
        return "unknown"
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def warn_user(text: str, category: type[Warning]) -> None:
    """A warning that points at the user's line."""
    frame = user_frame()
    if frame is None:
        warnings.warn(text, category, stacklevel=2)
    else:
        where = frame.f_globals
        warnings.warn_explicit(text, category, frame.f_code.co_filename, frame.f_lineno,
                               where.get("__name__") or "<unknown>",  # code run by exec; None would lose the warning
                               where.setdefault("__warningregistry__", {}))


def message(what: str, *received: Any, instead: str, at: str = "") -> str:
    """Word an error: what happened, what was received, where (`at`, or the user's line now), and the way out."""
    parts = [what]
    if received:
        parts.append("received: " + ", ".join(describe(v) for v in received))
    parts.append("at: " + (at or user_line()))
    parts.append("instead: " + instead)
    return "\n  ".join(parts)
