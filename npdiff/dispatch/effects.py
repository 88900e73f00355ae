"""Effects: draws from NumPy's global random stream, prints, and what a recording cannot repeat.

While a transform runs, stand-ins for ``np.random.normal`` and its kin sit in the numpy namespace. Under
jit a draw becomes a host call of the graph, so each replay takes the next numbers of the stream. What
moves array elements about (shuffle, permutation, choice) draws positions and gathers by them, so that
derivatives pass through.
"""

from __future__ import annotations

import builtins
import functools
import io
import os
import random
import secrets
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from npdiff.core import Handle, aval
from npdiff.dispatch.capture import also_capture, called_by_user, handled, replacing, running_traces, size
from npdiff.dispatch.creation import assemble, holds_handle
from npdiff.dispatch.unsupported import UNTRACKED

_DRAWS = (
    "beta binomial bytes chisquare dirichlet exponential f gamma geometric gumbel hypergeometric laplace "
    "logistic lognormal logseries multinomial multivariate_normal negative_binomial noncentral_chisquare "
    "noncentral_f normal pareto poisson power rand randint randn random random_integers random_sample ranf "
    "rayleigh sample seed standard_cauchy standard_exponential standard_gamma standard_normal standard_t "
    "triangular uniform vonmises wald weibull zipf "
).split()
# Made without a seed, these give other numbers at each call; what they draw is not seen.
_GENERATORS = ["default_rng", "RandomState", "SeedSequence", "MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"]

# What else gives another answer at each call, or acts outside.
_CLOCKS = ["time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "sleep"]

# The system's answers, which differ from call to call.
_FILES = "urandom stat lstat listdir scandir getcwd access chdir remove rename mkdir makedirs system popen".split()
# Functions of NumPy that read or write files, or its settings; a context of np.errstate is part of the recording.
_NUMPYS_OWN = [name for why, names in UNTRACKED.items() if why.startswith(("reads a file", "reads or changes NumPy's"))
               for name in names.split() if "." not in name and name not in ("printoptions", "from_dlpack")]

# Prints of a jitted call, kept back until the call is known to be good; None: they go out at once.
held_prints: ContextVar[list[tuple[str, Any, bool]] | None] = ContextVar("npdiff_held_prints", default=None)


def _host() -> Any:
    """The recording to which effects belong, if there is one."""
    for trace in reversed(running_traces()):
        if getattr(trace, "effects", False):
            return trace
    return None


def _perform(name: str, original: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Draw now, or at this place of every replay."""
    host = _host()
    args = [_parameter(name, a, host) for a in args]
    kwargs = {k: _parameter(name, v, host) for k, v in kwargs.items()}
    if host is not None:
        return host.host_call(f"random.{name}", original, args, kwargs)
    return handled(original(*args, **kwargs))


def _parameter(name: str, a: Any, host: Any) -> Any:
    """A parameter of a distribution as the draw takes it: a plain value, or an operand of the host call."""
    if isinstance(a, (list, tuple)) and not isinstance(a, Handle):
        if not holds_handle(a):
            return a
        whole = all(aval(v).dtype.kind in "iu" and not aval(v).shape for v in a if isinstance(v, Handle))
        a = size(a) if whole else assemble(a)
    while isinstance(a, Handle):
        a._sync()
        trace = a._trace
        if trace is host and host is not None:
            return a
        if trace is None:
            a = a._value
        elif aval(a).dtype.kind in "fc":
            a = trace.take(a, f"np.random.{name}")
        else:
            a = trace.ask(a, f"np.random.{name}")
    return a


def _replacing(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
    return replacing(getattr(np.random, name), name, act)


def _draw(name: str) -> Callable[..., Any]:
    return lambda original, *args, **kwargs: _perform(name, original, args, kwargs)


# ---------------------------------------------------------------------- what moves elements about

_permutation, _choice = np.random.permutation, np.random.choice


def _operand(x: Any) -> Any:
    """An array to take elements from, as a handle; None for what NumPy's function treats alone."""
    if isinstance(x, (list, tuple)) and not isinstance(x, Handle) and holds_handle(x):
        x = assemble(x)
    return x if isinstance(x, Handle) and x.shape else None


def _permute(original: Any, x: Any) -> Any:
    array = _operand(x)
    if array is None:
        return _perform("permutation", original, [x], {})
    return array[_perform("permutation", _permutation, [array.shape[0]], {})]


def _shuffle(original: Any, x: Any) -> None:
    if isinstance(x, Handle) and x.shape:
        x[...] = _permute(_permutation, x)
    elif _host() is None:
        original(x)
    elif type(x) is list:
        order = _perform("permutation", _permutation, [len(x)], {})
        x[:] = [x[int(k)] for k in order]
    else:
        _host().block("np.random.shuffle of something else than an array")
        original(x)


def _choose(original: Any, a: Any, size: Any = None, replace: Any = True, p: Any = None) -> Any:
    array = _operand(a)
    if array is None or aval(array).ndim != 1:
        return _perform("choice", original, [a, size, replace, p], {})
    return array[_perform("choice", _choice, [array.shape[0], size, replace, p], {})]


# ---------------------------------------------------------------------- what cannot be repeated


def _unrepeatable(name: str, why: str, when: Callable[..., bool]) -> Callable[..., Any]:
    def act(original: Any, *args: Any, **kwargs: Any) -> Any:
        host = _host()
        if host is not None and when(*args, **kwargs):
            host.block(f"np.random.{name}{why}")
        return original(*args, **kwargs)

    return act


def _seedless(*args: Any, **kwargs: Any) -> bool:
    return all(v is None for v in [*args, *kwargs.values()])


class _GeneratorMeta(type):
    original: Any

    def __instancecheck__(cls, obj: Any) -> bool:
        return isinstance(obj, cls.original)

    def __subclasscheck__(cls, kind: Any) -> bool:
        return issubclass(kind, cls.original)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.original, name)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _unseeded(cls.__name__)(cls.original, *args, **kwargs)


def _unseeded(name: str) -> Callable[..., Any]:
    return _unrepeatable(name, " without a seed gives other numbers at each call, and its draws are not recorded; "
                               "the functions of np.random are", _seedless)


def _blocking(module: Any, names: Sequence[str]) -> dict[str, Any]:
    """Stand-ins that call the original, and note that a recording cannot."""

    def make(name: str) -> Callable[..., Any]:
        original = getattr(module, name)

        @functools.wraps(original)
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            host = _host()
            if host is not None and called_by_user() and sys._getframe(1).f_globals.get("__name__") != "linecache":
                host.block(f"{module.__name__}.{name} gives another answer or acts outside at each call")
                host.acted = True
            return original(*args, **kwargs)

        return stand_in

    return {name: make(name) for name in names}


def _make_stand_ins() -> dict[str, Any]:
    made: dict[str, Any] = {name: _replacing(name, _draw(name)) for name in _DRAWS if hasattr(np.random, name)}
    made |= {"permutation": _replacing("permutation", _permute), "shuffle": _replacing("shuffle", _shuffle),
             "choice": _replacing("choice", _choose)}
    for name in ("get_state", "set_state"):
        made[name] = _replacing(name, _unrepeatable(name, " handles the state as a whole", lambda *a, **k: True))
    for name in _GENERATORS:
        original = getattr(np.random, name)
        made[name] = (_GeneratorMeta(name, (), {"original": original}) if isinstance(original, type)
                      else _replacing(name, _unseeded(name)))
    return made


# ---------------------------------------------------------------------- print

_print = print


@functools.wraps(_print)
def _printed(*args: Any, **kwargs: Any) -> None:
    host = _host()
    if host is None:
        _print(*args, **kwargs)
    else:
        host.host_call("print", _say, args, kwargs)


def _say(*values: Any, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False) -> None:
    held = held_prints.get()
    if held is None:
        _print(*values, sep=sep, end=end, file=file, flush=flush)
        return
    # The text is made now: the values may change before it goes out.
    held.append(((" " if sep is None else sep).join([str(v) for v in values]) + ("\n" if end is None else end), file,
                 flush))


def let_out(held: list[tuple[str, Any, bool]]) -> None:
    """Print what was kept back."""
    for text, file, flush in held:
        _print(text, end="", file=file, flush=flush)


also_capture(vars(np.random), _make_stand_ins())
also_capture(vars(builtins), {"print": _printed, **_blocking(builtins, ["input", "open"])})
also_capture(vars(time), _blocking(time, _CLOCKS))
also_capture(vars(io), _blocking(io, ["open"]))
also_capture(vars(os), _blocking(os, [n for n in _FILES if hasattr(os, n)]))
also_capture(vars(warnings), _blocking(warnings, ["warn", "warn_explicit"]))
also_capture(vars(np), _blocking(np, [n for n in _NUMPYS_OWN if hasattr(np, n)]))
also_capture(vars(random), _blocking(random, [
    n for n in random.__all__ if not isinstance(getattr(random, n), type)]))
also_capture(vars(secrets), _blocking(secrets, [
    n for n in secrets.__all__ if not isinstance(getattr(secrets, n), type)]))

__all__ = ["held_prints", "let_out"]
