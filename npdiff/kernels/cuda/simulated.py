"""What the source of a pass names, for Numba's CUDA simulator: it runs the source as Python on NumPy's scalars.

The simulator knows neither libdevice nor shuffles nor vectors in memory, so these are stood in for here; the source is
the same as on a card.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from npdiff.kernels.cuda.operations import FUNCTIONS

_NUMPY = {"pow": "power", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2",
          "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"}
# Threads of the simulator start with NumPy's warnings on; a card has none.
CALL = """
def simulated(*arrays):
    with errstate(all="ignore"):
        kernel(*arrays)
def exchange(value, lane):
    # By turns in two places: whoever comes round to the first again knows that all have read it.
    at = cuda.threadIdx.x
    turn[at] ^= 1
    exchanged = places[turn[at]]
    exchanged[at] = value
    cuda.syncthreads()
    other = at // 32 * 32 + lane
    return exchanged[other] if 0 <= lane < 32 and other < cuda.blockDim.x else value
warp.shfl_down_sync = lambda _mask, value, step: exchange(value, cuda.threadIdx.x % 32 + step)
warp.shfl_up_sync = lambda _mask, value, step: exchange(value, cuda.threadIdx.x % 32 - step)
warp.shfl_sync = lambda _mask, value, lane: exchange(value, lane)
"""


def _scipys(name: str) -> Callable[[Any], Any]:
    """A function of scipy.special, which is there where a program uses one."""
    known = {"lgamma": "gammaln", "normcdf": "ndtr"}.get(name, name)
    return lambda x: getattr(importlib.import_module("scipy.special"), known)(x)


def _shared() -> Callable[[int, Any], Any]:
    """Shared memory by the line that asks for it; the simulator's own may give two threads at once an array each."""
    held: dict[int, Any] = {}
    return lambda size, dtype: held.setdefault(sys._getframe(1).f_lineno, np.empty(size, dtype))


def _integer(kind: Any) -> Callable[[Any], Any]:
    return lambda v: v.astype(kind) if isinstance(v, np.generic) else kind(v)


def _load(lanes: int) -> Callable[..., Any]:
    return lambda buffer, at: tuple(buffer[at + k] for k in range(lanes))


def _select(condition: Any, yes: Any, no: Any) -> Any:
    return yes if condition else no


def _store(buffer: Any, at: int, *values: Any) -> None:
    for k, v in enumerate(values):
        buffer[at + k] = v


def names() -> dict[str, Any]:
    """The globals of a pass's function."""
    functions: dict[str, Any] = {"fadd_rn": np.add, "dadd_rn": np.add, "fdiv_rn": np.divide,
                                 "ddiv_rn": np.divide, "signbitf": np.signbit, "signbitd": np.signbit}
    for name in FUNCTIONS:
        functions[name] = functions[f"{name}f"] = getattr(np, _NUMPY.get(name, name), _scipys(name))
    functions["half2float"] = lambda v: np.float32(v.view(np.float16))
    functions["float2half_rn"] = lambda v: np.float16(v).view(np.int16)
    scope: dict[str, Any] = {"libdevice": SimpleNamespace(**functions), "index": int, "inf": np.inf, "nan": np.nan,
                             "errstate": np.errstate, "inlined": lambda *_: lambda f: f,
                             "select": _select, "warp": SimpleNamespace(shared=SimpleNamespace(array=_shared())),
                             "turn": [0] * 1024, "places": ([None] * 1024, [None] * 1024)}
    for code in "bhilqBHILQfd":
        kind = np.dtype(code)
        scope[kind.name] = kind.type if kind.kind == "f" else _integer(kind.type)
        scope[f"{kind.name}_type"] = kind
    for lanes in (2, 4):
        scope[f"load{lanes}"], scope[f"store{lanes}"] = _load(lanes), _store
    return scope
