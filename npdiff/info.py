"""The report of ``python -m npdiff info``: what npdiff meets on this machine."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import pathlib
import platform
from typing import Any, NamedTuple

import numpy as np

import npdiff

PACKAGES = ("numpy", "numba", "llvmlite", "scikit-learn", "matplotlib")
# Features that matter for kernels, widest vectors first.
FEATURES = ("avx512f", "avx512bw", "avx512vl", "avx2", "fma", "avx", "sse4.2", "sve", "neon")
# What OpenBLAS calls its kernels (openblas_get_corename), by the vector width they use.
WIDE_CORES = frozenset(["SkylakeX", "Cooperlake", "SapphireRapids"])
NARROW_CORES = frozenset(["Prescott", "Core2", "Penryn", "Dunnington", "Atom", "Nehalem", "Athlon", "Opteron",
                          "Opteron_SSE3", "Barcelona", "Bobcat", "Katmai", "Coppermine", "Northwood", "Banias", "Nano"])


class Blas(NamedTuple):
    """The BLAS that NumPy calls: how it was built, and which kernels it chose here ("" if it does not say)."""

    name: str
    version: str
    core: str


def cpu() -> tuple[str, frozenset[str]]:
    """LLVM's name for this CPU, and the features it found."""
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), frozenset(k for k, v in llvm.get_host_cpu_features().items() if v)


def vector_bits(features: frozenset[str]) -> int:
    """Width of the vector registers."""
    return 512 if "avx512f" in features else 256 if "avx2" in features else 128


def openblas_core() -> str:
    """The kernels that the OpenBLAS shipped inside NumPy chose for this CPU; "" if it is another library."""
    package = pathlib.Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")) if folder.is_dir() else ():
            with contextlib.suppress(OSError):
                library = ctypes.CDLL(str(path))
                for prefix in ("scipy_openblas", "openblas"):
                    for suffix in ("64_", ""):
                        ask: Any = getattr(library, f"{prefix}_get_corename{suffix}", None)
                        if ask is not None:
                            ask.restype = ctypes.c_char_p
                            return str(ask().decode())
    return ""


def blas() -> Blas:
    """The BLAS that NumPy calls."""
    config: Any = np.show_config(mode="dicts")
    built = config.get("Build Dependencies", {}).get("blas", {})
    return Blas(built.get("name") or "none", built.get("version") or "", openblas_core())


def hint(library: Blas, features: frozenset[str]) -> str:
    """What to do if NumPy's BLAS is slower than this CPU allows; "" if nothing."""
    if library.name in ("none", "blas", "lapack_lite"):
        return "NumPy was built without an optimised BLAS: install NumPy's wheel, or one built with OpenBLAS or MKL"
    if "avx512f" in features and library.core and library.core not in WIDE_CORES:
        return (f"this CPU has AVX-512, but OpenBLAS chose its {library.core} kernels: "
                "try OPENBLAS_CORETYPE=SkylakeX in the environment and time a large matrix product")
    if "avx2" in features and library.core in NARROW_CORES:
        return (f"this CPU has AVX2, but OpenBLAS chose its {library.core} kernels: "
                "try OPENBLAS_CORETYPE=Haswell in the environment and time a large matrix product")
    return ""


def version_of(package: str) -> str:
    """The installed version."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def main() -> int:
    """Print the report; returns the exit status."""
    name, features = cpu()
    library = blas()
    no_hint = "none: NumPy's BLAS suits this CPU" if library.core else "none: this BLAS names no kernels"
    rows = [("npdiff", npdiff.__version__), ("python", f"{platform.python_version()} on {platform.platform()}")]
    rows += [(package, version_of(package)) for package in PACKAGES]
    rows += [
        ("cpu", f"{name}, {os.cpu_count()} cores"),
        ("features", " ".join(f for f in FEATURES if f in features) or "none of those npdiff looks for"),
        ("vectors", f"{vector_bits(features)} bits"),
        ("blas", " ".join(filter(None, [library.name, library.version]))),
        ("blas kernels", library.core or "unknown"),
        ("hint", hint(library, features) or no_hint),
    ]
    for label, text in rows:
        print(f"{label:<14}{text}")
    return 0
