"""How many threads share the chunks of a kernel.

Workers are daemon threads of Python's that sleep inside the runtime, without the GIL; they are started
when a kernel that is worth sharing is compiled. A forked child has none and runs every kernel alone.
"""

from __future__ import annotations

import ctypes
import os
import threading

from npdiff.errors import ArgumentError, message
from npdiff.kernels import native

_lock = threading.Lock()
_chosen: int | None = None
_needed = False  # there is a kernel that workers can share
_hired = 0
_forked = False


def _default() -> int:
    """As many as NPDIFF_NUM_THREADS says; else as many as this process may use processors."""
    said = os.environ.get("NPDIFF_NUM_THREADS", "")
    if said.isdecimal() and int(said) > 0:
        return min(int(said), native.MOST_WORKERS + 1)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, native.MOST_WORKERS + 1)


def get_num_threads() -> int:
    """How many threads a compiled function may use.

    Returns
    -------
    The number set by `set_num_threads`, or by the environment variable ``NPDIFF_NUM_THREADS``, or the number of
    processors this process may use; 1 in a forked child.

    Examples
    --------
    >>> import npdiff
    >>> npdiff.get_num_threads() >= 1
    True
    """
    if _forked:
        return 1
    return _default() if _chosen is None else _chosen


def set_num_threads(count: int) -> None:
    """Let compiled functions use at most this many threads; results do not depend on it.

    Threads share the work of large kernels only. NumPy's own threads (of its BLAS) are another matter.

    Parameters
    ----------
    count
        A positive int; 1 runs every kernel in the thread that calls it.

    Raises
    ------
    ArgumentError
        If `count` is not a positive int.

    Examples
    --------
    >>> import npdiff
    >>> before = npdiff.get_num_threads()
    >>> npdiff.set_num_threads(1)
    >>> npdiff.get_num_threads()
    1
    >>> npdiff.set_num_threads(before)
    """
    global _chosen
    if type(count) is not int or not 0 < count <= native.MOST_WORKERS + 1:
        raise ArgumentError(message("set_num_threads: the number of threads must be an int from 1 to "
                                    f"{native.MOST_WORKERS + 1}", count, instead="pass 1 to use no threads"))
    with _lock:
        _chosen = count
        if _needed:
            _engage(count - 1)


def ready() -> None:
    """See to it that there are workers; called before a kernel that can use them runs."""
    global _needed
    with _lock:
        _needed = True
        _engage(get_num_threads() - 1)


def _engage(wanted: int) -> None:
    """Start workers up to this number, and let as many take part."""
    global _hired
    if _forked:
        return
    code = native.runtime()
    # Without the GIL, and for good: the function does not return.
    live = ctypes.CFUNCTYPE(None, ctypes.c_int64)(code["npdiff_worker"])
    hire = ctypes.PYFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(code["npdiff_hire"])
    while _hired < wanted:
        hire(_hired, native.new_lock())
        worker = threading.Thread(target=live, args=(_hired,), name=f"npdiff-{_hired}", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # the system has no thread left, or the interpreter is ending
            break
        _hired += 1
    ctypes.PYFUNCTYPE(None, ctypes.c_int64)(code["npdiff_crew"])(min(wanted, _hired))


def _after_fork() -> None:
    global _forked, _hired, _lock
    _forked, _hired, _lock = True, 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

__all__ = ["get_num_threads", "ready", "set_num_threads"]
