"""The source of a launch to PTX, to code for a card, or to a function for the simulator."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from npdiff.kernels.cuda import device, simulated
from npdiff.kernels.cuda.plan import Config, Pass
from npdiff.kernels.cuda.render import numbers, render, wide
from npdiff.kernels.cuda.toolchain import core, numba_cuda, part
from npdiff.kernels.loop_ir import DType, part_of

# A compiled launch: called with its arrays.
Launch = Callable[[list[Any]], None]
_ENTRY = re.compile(r"\.visible \.entry (\w+)\(")


@dataclass(frozen=True, slots=True)
class Code:
    """The source of one launch, the types of what its arrays hold, whether indices have 64 bits, and its grid."""

    text: str
    kinds: tuple[str, ...]
    wide: bool
    grid: int
    block: int


def memory(dtype: DType) -> str:
    """The type of what an array holds: truth values are bytes, half precision is bits, complex numbers are pairs."""
    return "uint8" if dtype.kind == "b" else "int16" if dtype.char == "e" else part_of(dtype).name


def code(work: Pass, config: Config) -> Code:
    """The source of a pass."""
    kinds = tuple(memory(b.dtype) for b in (*work.kernel.inputs, *work.kernel.outputs))
    return Code(render(work, config), kinds, wide(work), work.grid(config), config.block)


def assemble(given: Code, cc: tuple[int, int]) -> str:
    """PTX for a compute capability."""
    return _assemble(given.text, given.kinds, given.wide, cc)


@lru_cache(maxsize=1024)
def _assemble(source: str, kinds: tuple[str, ...], far: bool, cc: tuple[int, int]) -> str:
    cuda = numba_cuda()
    types = part("types")
    scope = {"cuda": cuda, **device.names(far)}
    scope |= numbers(source, scope["index"])
    exec(source, scope)
    signature = types.void(*[types.CPointer(getattr(types, k)) for k in kinds])
    text, _ = cuda.compile(scope["kernel"], signature, device=False, cc=cc, output="ptx", abi="numba")
    return str(text)


def simulate(given: Code) -> Launch:
    """A function that runs a launch in the simulator, on NumPy arrays."""
    cuda = numba_cuda()
    scope = {"cuda": cuda, **simulated.names(), **numbers(given.text, int)}
    exec(given.text + simulated.CALL, scope)
    run = cuda.jit(scope["simulated"])[given.grid, given.block]

    def launch(arrays: list[Any]) -> None:
        run(*[a.reshape(-1).view(kind) for a, kind in zip(arrays, given.kinds, strict=True)])

    return launch


def load(given: Code) -> Launch:
    """A function that launches on the current device, in its current stream."""
    cuda = core()
    here = cuda.Device()
    here.set_current()
    kernel = _linked(given.text, given.kinds, given.wide, tuple(here.compute_capability), here.device_id)
    grid = cuda.LaunchConfig(grid=given.grid, block=given.block)

    def launch(arrays: list[Any]) -> None:
        cuda.launch(stream(), grid, kernel, *[address(a) for a in arrays])

    return launch


@lru_cache(maxsize=1024)
def _linked(source: str, kinds: tuple[str, ...], far: bool, cc: tuple[int, int], _device: int) -> Any:
    cuda = core()
    text = _assemble(source, kinds, far, cc)
    found = _ENTRY.search(text)
    assert found is not None, "a pass has an entry"
    options = cuda.LinkerOptions(arch=f"sm_{cc[0]}{cc[1]}")
    code = cuda.Linker(cuda.ObjectCode.from_ptx(text.encode()), options=options).link("cubin")
    return code.get_kernel(found[1])


def stream() -> Any:
    """The stream that CuPy uses here, if it is there, else the default one."""
    cuda = core()
    cupy = sys.modules.get("cupy")
    handle = cupy.cuda.get_current_stream().ptr if cupy is not None else 0
    return cuda.Stream.from_handle(handle) if handle else cuda.LEGACY_DEFAULT_STREAM


def address(array: Any) -> int:
    """Where an array's elements begin."""
    if isinstance(array, np.ndarray):
        return int(array.ctypes.data)
    return int(array.__cuda_array_interface__["data"][0])
