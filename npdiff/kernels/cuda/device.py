"""What the source of a pass names, for a card: NumPy's types, libdevice, and a few instructions of CUDA."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

import numpy as np

from npdiff.kernels.cuda.toolchain import numba_cuda, part

_FULL_WARP = 0xFFFFFFFF


@lru_cache(maxsize=1)
def _instructions() -> dict[str, Any]:
    cuda = numba_cuda()
    types = part("types")
    intrinsic = part("extending").intrinsic
    ir = importlib.import_module("llvmlite.ir")

    def vector_at(context: Any, builder: Any, pointer: Any, dtype: Any, at: Any, lanes: int) -> tuple[Any, int]:
        """The address of a vector, and its alignment."""
        element = builder.gep(pointer, [at])
        kind = ir.VectorType(context.get_data_type(dtype), lanes)
        return builder.bitcast(element, kind.as_pointer()), lanes * dtype.bitwidth // 8

    def position(builder: Any, at: Any, kind: Any) -> Any:
        """An index of 64 bits."""
        return at if kind.bitwidth == 64 else builder.zext(at, ir.IntType(64))

    def loader(lanes: int) -> Any:
        def load(_typing: Any, pointer: Any, at: Any) -> Any:
            def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                where, align = vector_at(context, builder, args[0], pointer.dtype, position(builder, args[1], at),
                                         lanes)
                vector = builder.load(where, align=align)
                parts = [builder.extract_element(vector, ir.IntType(32)(k)) for k in range(lanes)]
                return context.make_tuple(builder, signature.return_type, parts)

            return types.UniTuple(pointer.dtype, lanes)(pointer, at), code

        return intrinsic(load)

    def writer(lanes: int) -> Any:
        def code_for(pointer: Any, at: Any) -> Any:
            def code(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
                where, align = vector_at(context, builder, args[0], pointer.dtype, position(builder, args[1], at),
                                         lanes)
                vector = ir.Constant(ir.VectorType(context.get_data_type(pointer.dtype), lanes), ir.Undefined)
                for k in range(lanes):
                    vector = builder.insert_element(vector, args[2 + k], ir.IntType(32)(k))
                builder.store(vector, where, align=align)
                return context.get_dummy_value()

            return types.void(pointer, at, *[pointer.dtype] * lanes), code

        if lanes == 2:
            def store2(_typing: Any, pointer: Any, at: Any, _a: Any, _b: Any) -> Any:
                return code_for(pointer, at)

            return intrinsic(store2)

        def store4(_typing: Any, pointer: Any, at: Any, _a: Any, _b: Any, _c: Any, _d: Any) -> Any:
            return code_for(pointer, at)

        return intrinsic(store4)

    def shuffle(value: Any, step: Any) -> Any:
        return cuda.shfl_down_sync(_FULL_WARP, value, step)

    scope: dict[str, Any] = {"shuffle": cuda.jit(device=True)(shuffle)}
    for lanes in (2, 4):
        scope[f"load{lanes}"], scope[f"store{lanes}"] = loader(lanes), writer(lanes)
    return scope


def names(wide: bool) -> dict[str, Any]:
    """The globals of a pass's function."""
    types = part("types")
    scope: dict[str, Any] = {"libdevice": part("libdevice"), "inf": np.inf,
                             "nan": np.nan, "index": np.int64 if wide else np.uint32, **_instructions()}
    for code in "bhilqBHILQfd":
        kind = np.dtype(code)
        scope[kind.name] = kind.type
        scope[f"{kind.name}_type"] = getattr(types, kind.name)
    return scope
