"""LLVM IR text to a callable, through Numba's public `intrinsic`.

Numba is imported when the first kernel is compiled. Kernels are kept for the life of the process,
by their text: two graphs that need the same loops share one compilation.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from npdiff.kernels.loop_ir import Kernel
from npdiff.kernels.render_cpu import render


class Compiled(NamedTuple):
    """A kernel ready to run: `entry(*addresses)` of the input and output arrays, without the GIL."""

    entry: Callable[..., None]
    text: str
    seconds: float


_cache: dict[str, Compiled] = {}
_lock = threading.Lock()
_bits: int | None = None

# Where a NumPy array object keeps its data pointer: right after the object header (NumPy's C ABI).
_HEAD = object.__basicsize__


def vector_bits() -> int:
    """Width of the machine's vector registers."""
    global _bits
    if _bits is None:
        import llvmlite.binding as llvm

        features = llvm.get_host_cpu_features()
        _bits = 512 if features.get("avx512f") else 256 if features.get("avx2") else 128
    return _bits


def compile_kernel(kernel: Kernel) -> Compiled:
    """Machine code for a kernel."""
    text = render(kernel, vector_bits(), _HEAD)
    with _lock:
        done = _cache.get(text)
        if done is None:
            # The first kernel of a process imports Numba; that is not its compile time.
            import numba  # noqa: F401

            begin = time.perf_counter()
            entry = _compile(text, len(kernel.inputs) + len(kernel.outputs))
            done = _cache[text] = Compiled(entry, text, time.perf_counter() - begin)
        return done


def _compile(text: str, arity: int) -> Callable[..., None]:
    import llvmlite.binding as llvm
    from llvmlite import ir
    from numba import njit, types
    from numba.extending import intrinsic

    symbol = f"npdiff_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    signature = types.void(*[types.int64] * arity)

    def generate(context: Any, builder: Any, _: Any, args: Any) -> Any:
        context.active_code_library.add_llvm_module(llvm.parse_assembly(text.replace("@kernel(", f"@{symbol}(")))
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * arity)
        builder.call(ir.Function(builder.module, kind, symbol), args)
        return context.get_dummy_value()

    # An intrinsic and the function around it need as many named parameters as there are arrays.
    names = ", ".join(f"a{k}" for k in range(arity))
    scope: dict[str, Any] = {"signature": signature, "generate": generate}
    exec(f"def loops(typing, {names}):\n    return signature, generate\n"
         f"def kernel({names}):\n    loops({names})\n", scope)
    scope["loops"] = intrinsic(scope["loops"])
    options: dict[str, Any] = {"nogil": True, "no_cfunc_wrapper": True}
    entry: Callable[..., None] = njit(signature, **options)(scope["kernel"])
    return entry
