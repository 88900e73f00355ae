"""The card as the cuda backend sees it: CuPy's memory, transfers, and what is said when memory runs out."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from npdiff.avals import Aval, ndarray
from npdiff.errors import BackendError, GuardFailed, message
from npdiff.kernels import cuda
from npdiff.kernels.loop_ir import Kernel
from npdiff.steps import nbytes, show_bytes

# What a device array can hold.
DTYPES = frozenset(np.dtype(c) for c in "?bBhHiIlLqQefdFD")


class Device:
    """CuPy and its current device.

    Attributes
    ----------
    xp, extra
        The modules cupy and cupyx.
    number
        Which device of the machine; executables are bound to it.
    """

    def __init__(self) -> None:
        self.xp = importlib.import_module("cupy")
        self.extra = importlib.import_module("cupyx")
        self.number = int(self.xp.cuda.Device().id)
        self.out_of_memory: type[Exception] = self.xp.cuda.memory.OutOfMemoryError
        self._simulating = cuda.simulating()
        # (Of one device: what they give is loaded there.)
        self.along = lru_cache(maxsize=256)(self._along)
        self.added = lru_cache(maxsize=256)(self._added)

    def describe(self) -> str:
        """``NVIDIA H100, compute capability 9.0``."""
        name = self.xp.cuda.runtime.getDeviceProperties(self.number)["name"]
        text = name.decode() if isinstance(name, bytes) else str(name)
        cc = str(self.xp.cuda.Device(self.number).compute_capability)
        return f"{text}, compute capability {cc[:-1]}.{cc[-1]}"

    def special(self) -> None:
        """Load CuPy's part for scipy.special, which is not loaded with the rest."""
        importlib.import_module("cupyx.scipy.special")

    def is_array(self, value: Any) -> bool:
        """True for CuPy's arrays."""
        return isinstance(value, self.xp.ndarray)

    def stands(self) -> None:
        """Raise where another device is current than the one that this was compiled for."""
        now = int(self.xp.cuda.Device().id)
        if now != self.number:
            raise BackendError(message(
                f"jit: this call was compiled for CUDA device {self.number}, and device {now} is current",
                instead=f"call it inside `with cupy.cuda.Device({self.number}):`, or jit the function anew on the "
                        "other device"))

    # ------------------------------------------------------------------ values

    def put(self, value: Any, a: Aval, wait: bool) -> Any:
        """A value of the host as a device array; `wait` until it has been read if its owner may change it."""
        if isinstance(value, ndarray) and value.ndim:
            return self.xp.asarray(value, blocking=wait)
        # A number goes along with the launch of a kernel, which costs no transfer.
        try:
            return self.xp.full(np.shape(value), np.asarray(value, a.dtype)[()], a.dtype)
        except OverflowError:
            raise GuardFailed("a Python integer beyond 64 bits, which no device array can hold") from None

    def get(self, value: Any) -> Any:
        """A device array as an ndarray of its own; waits for the device."""
        return self.xp.asnumpy(value)

    def holds(self, checks: Sequence[Any]) -> bool:
        """Whether all of these truth values on the device are true; waits for it once."""
        if not checks:
            return True
        flags = self.xp.stack([c.reshape(()) for c in checks]) if len(checks) > 1 else checks[0]
        return bool(self.get(self.xp.all(flags)))

    def finish(self) -> None:
        """Wait until all that was launched is done."""
        self.xp.cuda.get_current_stream().synchronize()

    # ------------------------------------------------------------------ kernels

    def kernel(self, kernel: Kernel) -> Callable[[Sequence[Any], Sequence[Any]], None]:
        """A function that launches the kernel in the current stream, on contiguous arrays."""
        run = cuda.compiled(kernel)
        if not self._simulating:
            return run
        return lambda ins, outs: run(_simulated(ins), _simulated(outs))

    def _along(self, *what: Any) -> Callable[..., None]:
        return self._on_arrays(cuda.along(*what))

    def _added(self, *what: Any) -> Callable[..., None]:
        return self._on_arrays(cuda.added(*what))

    def _on_arrays(self, run: Callable[..., None]) -> Callable[..., None]:
        return (lambda *arrays: run(*_simulated(arrays))) if self._simulating else run

    def contiguous(self, value: Any) -> Any:
        """The array as kernels read it."""
        return value if value.flags.c_contiguous else self.xp.ascontiguousarray(value)

    # ------------------------------------------------------------------ memory

    def exhausted(self, what: str, needed: Sequence[Aval], source: tuple[str, int] | None = None) -> BackendError:
        """The error for memory that has run out: what was to be made, and who holds how much."""
        free, total = self.xp.cuda.runtime.memGetInfo()
        pool = self.xp.get_default_memory_pool()
        sizes = ", ".join(f"{a!r} ({show_bytes(nbytes(a))})" for a in needed)
        return BackendError(message(
            f"jit: out of memory on CUDA device {self.number}: {what} makes {sizes or 'nothing itself'}; "
            f"{show_bytes(free)} of {show_bytes(total)} are free, CuPy's pool has "
            f"{show_bytes(pool.total_bytes())}, of which {show_bytes(pool.used_bytes())} are in use",
            at=f"{source[0]}:{source[1]}" if source else "",
            instead="free arrays you no longer need (then cupy.get_default_memory_pool().free_all_blocks()), compute "
                    "in float32 or in parts, or use backend='cpu'"))


def _simulated(arrays: Sequence[Any]) -> list[Any]:
    """The NumPy arrays that CuPy's stand-in keeps: Numba's simulator takes these."""
    return [a.simulated for a in arrays]


__all__ = ["DTYPES", "Device"]
