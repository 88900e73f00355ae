"""What the source of a pass names, for a card: NumPy's types, libdevice, and a few instructions of CUDA."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

import numpy as np

from npdiff.kernels.cuda.toolchain import numba_cuda, part


@lru_cache(maxsize=1)
def _instructions() -> dict[str, Any]:
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

    def store(pointer: Any, at: Any, *values: Any) -> Any:
        lanes = len(values)

        def code(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            where, align = vector_at(context, builder, args[0], pointer.dtype, position(builder, args[1], at), lanes)
            vector = ir.Constant(ir.VectorType(context.get_data_type(pointer.dtype), lanes), ir.Undefined)
            for k in range(lanes):
                vector = builder.insert_element(vector, args[2 + k], ir.IntType(32)(k))
            builder.store(vector, where, align=align)
            return context.get_dummy_value()

        return types.void(pointer, at, *[pointer.dtype] * lanes), code

    def inlined(results: str, operands: str) -> Any:
        """Compile a function as a part of whatever calls it."""
        kinds = [getattr(types, k) for k in operands.split()]
        made = [getattr(types, k) for k in results.split()]
        signature = (made[0] if len(made) == 1 else types.BaseTuple.from_types(made))(*kinds)

        def wrap(function: Any) -> Any:
            def code(context: Any, builder: Any, typed: Any, args: Any) -> Any:
                return context.compile_internal(builder, function, typed, args)

            return intrinsic(_taking(len(kinds), lambda *_: (signature, code)))

        return wrap

    def select(_typing: Any, condition: Any, yes: Any, no: Any) -> Any:
        def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            return builder.select(*args)

        # Both are of one type; a literal's differs in name only.
        kind = types.unliteral(yes)
        return kind(types.boolean, kind, kind), code

    return {"inlined": inlined, "select": intrinsic(select), "load2": loader(2), "load4": loader(4),
            "store2": intrinsic(_taking(4, store)), "store4": intrinsic(_taking(6, store))}


def _taking(count: int, build: Any) -> Any:
    """A function of a typing context and a fixed number of types: Numba packs those of ``*args`` into a tuple."""
    names = ", ".join(f"a{k}" for k in range(count))
    scope = {"build": build}
    exec(f"def call(_typing, {names}):\n    return build({names})", scope)
    return scope["call"]


def names(wide: bool) -> dict[str, Any]:
    """The globals of a pass's function."""
    types = part("types")
    scope: dict[str, Any] = {"libdevice": part("libdevice"), "inf": np.inf,
                             "nan": np.nan, "index": np.int64 if wide else np.uint32, "warp": numba_cuda(),
                             **_instructions()}
    for code in "bhilqBHILQfd":
        kind = np.dtype(code)
        scope[kind.name] = kind.type
        scope[f"{kind.name}_type"] = getattr(types, kind.name)
    return scope
