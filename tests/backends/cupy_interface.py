"""What CuPy offers: writes cupy_interface.json from an installed CuPy (no card is needed), for its stand-in to keep to.

Run it as ``python tests/backends/cupy_interface.py`` where CuPy is installed.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pathlib
from typing import Any

FILE = pathlib.Path(__file__).with_suffix(".json")
FUNCTIONS = """
    all any arange argmax argmin argsort around asarray ascontiguousarray asnumpy bincount broadcast_to clip
    concatenate cumprod cumsum diagonal einsum empty expand_dims eye full lexsort matmul max min moveaxis nonzero
    prod round searchsorted stack sum swapaxes take_along_axis transpose where zeros zeros_like linalg.cholesky
    linalg.det linalg.eigh linalg.eigvalsh linalg.inv linalg.qr linalg.slogdet linalg.solve linalg.svd fft.fft
    fft.ifft fft.irfft fft.rfft lib.stride_tricks.sliding_window_view""".split()


def _plain(function: Any) -> str:
    """The signature without annotations."""
    signature = inspect.signature(function)
    bare = [p.replace(annotation=inspect.Parameter.empty,
                      default="float" if p.default is float else p.default) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def interface() -> dict[str, Any]:
    """Signatures of the functions, loops of all ufuncs, and the attributes of an array."""
    cupy = importlib.import_module("cupy")
    importlib.import_module("cupy.lib.stride_tricks")
    functions = {}
    for name in FUNCTIONS:
        function: Any = cupy
        for part in name.split("."):
            function = getattr(function, part)
        functions[name] = _plain(function)
    ufuncs = {name: " ".join(f.types) for name, f in sorted(vars(cupy).items()) if isinstance(f, cupy.ufunc)}
    return {"version": cupy.__version__, "functions": functions, "ufuncs": ufuncs,
            "array": " ".join(sorted(name for name in dir(cupy.ndarray) if not name.startswith("_")))}


if __name__ == "__main__":
    FILE.write_text(json.dumps(interface(), indent=1) + "\n", encoding="utf-8")
