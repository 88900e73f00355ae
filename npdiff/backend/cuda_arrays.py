"""Device arrays among the arguments of a call, and the ndarrays that stand for them without a copy of their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from npdiff.avals import ndarray
from npdiff.backend.contract import Backend, OwnArrays
from npdiff.backend.cuda_device import DTYPES, Device
from npdiff.core import Handle
from npdiff.errors import BackendError, message

# DLPack's numbers for CUDA memory: a device's own, and managed.
CUDA_MEMORY = (2, 13)


def interface(value: Any) -> Any:
    """The ``__cuda_array_interface__`` of an object, or None."""
    try:
        return getattr(value, "__cuda_array_interface__", None)
    except (RuntimeError, TypeError):  # (PyTorch has one that raises where the tensor is tracked)
        return None


def on_device(value: Any) -> bool:
    """True for arrays in CUDA memory, whoever's they are."""
    if isinstance(value, (Handle, ndarray, np.generic, int, float, complex, str)) or value is None:
        return False
    if interface(value) is not None:
        return True
    ask = getattr(type(value), "__dlpack_device__", None)
    return ask is not None and int(ask(value)[0]) in CUDA_MEMORY


class _Extent(NamedTuple):
    """Where an array's elements lie in memory."""

    low: int
    high: int
    start: int


def _extent(a: Any) -> _Extent:
    start = int(a.__cuda_array_interface__["data"][0])
    reach = [s * (n - 1) for s, n in zip(a.strides, a.shape, strict=True)]
    if a.size == 0:
        return _Extent(start, start, start)
    return _Extent(start + sum(min(r, 0) for r in reach), start + sum(max(r, 0) for r in reach) + a.itemsize, start)


class _Memory(NamedTuple):
    """A piece of host memory laid out like one on the device, where `array` starts at `address` of the host."""

    array: Any
    address: int


class CudaArrays(OwnArrays):
    """CuPy's arrays, or others seen through their protocols, and stand-ins laid out as they are.

    What overlaps on the device overlaps among the stand-ins, so recordings see it, and a result that is a view of
    a stand-in becomes the same view of the array. Values come to the host only where the function itself must run.
    """

    def __init__(self, backend: Backend, device: Device, arrays: Sequence[Any]) -> None:
        self._device = device
        self._given: dict[int, Any] = {}
        self._memory: dict[int, _Memory] = {}
        self._before: list[tuple[Any, Any, Any]] = []
        self._filled = False
        super().__init__(backend, arrays)

    # ------------------------------------------------------------------ stand-ins

    def _there(self, a: Any) -> Any:
        """The array as CuPy's, without a copy."""
        xp = self._device.xp
        there = a if isinstance(a, xp.ndarray) else xp.from_dlpack(a) if interface(a) is None else xp.asarray(a)
        number = int(there.device.id)
        if number != self._device.number:
            raise BackendError(message(
                f"jit: an argument lies on CUDA device {number}, and device {self._device.number} is current",
                instead=f"call the function inside `with cupy.cuda.Device({number}):`"))
        return there

    @staticmethod
    def _read_only(a: Any) -> bool:
        described = interface(a)
        return described is None or bool(described["data"][1])

    def _stand_for(self, arrays: Sequence[Any]) -> list[Any]:
        distinct = {id(a): a for a in arrays}
        placed = sorted([(_extent(there), k, there) for k, there in
                         enumerate([self._there(a) for a in distinct.values()])], key=lambda p: p[:2])
        groups: list[list[tuple[_Extent, int, Any]]] = []
        reached = -1
        for p in placed:
            if groups and p[0].low < reached:
                groups[-1].append(p)
            else:
                groups.append([p])
            reached = max(reached, p[0].high)
        made: list[Any] = [None] * len(distinct)
        for group in groups:
            for (_, k, there), stand_in in zip(group, self._images(group), strict=True):
                made[k] = stand_in
                self[id(stand_in)] = there
        by_id = dict(zip(distinct, made, strict=True))
        for key, a in distinct.items():
            self._given[id(by_id[key])] = a
            if self._read_only(a):
                by_id[key].flags.writeable = False
        return [by_id[id(a)] for a in arrays]

    def _images(self, group: Sequence[tuple[_Extent, int, Any]]) -> list[Any]:
        """Arrays in host memory that lie to each other as those of a group do."""
        first = group[0][2]
        if len(group) == 1 and first.flags.c_contiguous:
            alone = np.empty(first.shape, first.dtype)
            self._memory[id(alone)] = _Memory(first, alone.ctypes.data)
            return [alone]
        low = min(e.low for e, _, _ in group)
        memory = np.empty(max(e.high for e, _, _ in group) - low, np.uint8)
        self._memory[id(memory)] = _Memory(first, memory.ctypes.data + group[0][0].start - low)
        return [ndarray(there.shape, there.dtype, memory.data, e.start - low, there.strides)
                for e, _, there in group]

    # ------------------------------------------------------------------ values

    def fill(self) -> None:
        """Bring the arrays' values into the stand-ins."""
        if self._filled:
            return
        self._filled = True
        for stand_in in {id(s): s for s in self.stand_ins}.values():
            there, may_write = self[id(stand_in)], stand_in.flags.writeable
            stand_in.flags.writeable = True
            stand_in[...] = self._device.get(there)
            stand_in.flags.writeable = may_write
            self._before.append((stand_in, stand_in.copy(), there))

    def store(self) -> None:
        """Bring back what the function itself has written."""
        for stand_in, before, there in self._before:
            if stand_in.tobytes() != before.tobytes():
                there[...] = self._device.xp.asarray(np.ascontiguousarray(stand_in))
        self._before.clear()

    def write(self, target: Any, value: Any) -> None:
        """Write an output into an argument on the device, or an array of the host."""
        there = self.get(id(target))
        if there is None:
            super().write(target, value)
        else:
            there[...] = value if self._device.is_array(value) else self._device.xp.asarray(value)

    def result(self, leaf: Any) -> Any:
        """A leaf of the result: an argument itself, a view of one, or an array of CuPy's."""
        if id(leaf) in self._given:
            return self._given[id(leaf)]
        root: Any = leaf
        if not isinstance(root, (ndarray, np.generic)) or root.dtype not in DTYPES:
            return leaf
        while isinstance(root, ndarray) and root.base is not None:
            root = root.base.obj if isinstance(root.base, memoryview) else root.base
        found = self._memory.get(id(root))
        if found is None:
            return self.backend.to_array(leaf)
        return self._device.xp.ndarray(leaf.shape, leaf.dtype, found.array.data + (leaf.ctypes.data - found.address),
                                       leaf.strides)


__all__ = ["CudaArrays", "interface", "on_device"]
