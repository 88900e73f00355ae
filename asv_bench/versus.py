"""npdiff.jit beside jax.jit and NumPy, workload by workload: one table, and JSON for whoever wants to plot it.

Run it as ``python asv_bench/versus.py`` (``--help`` for a selection). Both work in 64 bits unless ``--dtype float32``
says otherwise; the arrays lie where each wants them (NumPy's, or JAX's on its device) before the clock starts.
Contestants take turns; figures are medians of wall time. A ratio above one means that npdiff takes less time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from benchmarks.workloads import WORKLOADS, Workload, total, with_numpy
from compare import measure

import npdiff

Calls = dict[str, Callable[[], Any]]
_COLUMNS = ("numpy", "npdiff", "jax", "npdiff gradient", "jax gradient")


def contestants(workload: Workload, args: tuple[Any, ...]) -> Calls:
    """Value and gradient in each library, on the same numbers; they are compared once before they are timed."""
    function, numbers = workload.function, workload.argnums
    value = npdiff.jit(function)
    gradient = npdiff.jit(npdiff.value_and_grad(total(function), numbers))
    twin = workload.twin
    other = with_numpy(function, jax.numpy) if twin is None else lambda *a: twin(jax.numpy, *a)
    jax_value = jax.jit(other)
    jax_gradient = jax.jit(jax.value_and_grad(total(other, jax.numpy), numbers))
    there = [jax.numpy.asarray(a) for a in args]
    for _ in range(3):  # a recording, a compilation, a replay
        ours = (value(*args), gradient(*args))
    tolerance = 1e-8 if args[0].dtype == np.float64 else 2e-2
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves((jax_value(*there), jax_gradient(*there))), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * float(np.max(np.abs(b), initial=0.0)))
    return {
        "numpy": lambda: function(*args),
        "npdiff": lambda: value(*args),
        "jax": lambda: jax.block_until_ready(jax_value(*there)),
        "npdiff gradient": lambda: gradient(*args),
        "jax gradient": lambda: jax.block_until_ready(jax_gradient(*there)),
    }


def _in_dtype(args: tuple[Any, ...], dtype: str) -> tuple[Any, ...]:
    return tuple([a.astype(dtype) if a.dtype.kind == "f" else a for a in args])


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="workloads (default: all)")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--largest", type=int, default=1_000_000, help="leave out larger sizes (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.02, help="length of one turn")
    parser.add_argument("--json", help="write the figures into this file, too")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.names if name not in WORKLOADS]
    if unknown:
        parser.error(f"unknown workload {unknown[0]!r}; there are {', '.join(WORKLOADS)}")
    jax.config.update("jax_enable_x64", chosen.dtype == "float64")
    machine = (f"npdiff {npdiff.__version__}, NumPy {np.__version__}, JAX {jax.__version__}, Python "
               f"{platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}, {chosen.dtype}")
    print(f"{machine}; medians of {chosen.repeats} turns\n")
    print(f"{'':<28}" + "".join(f"{name:>17}" for name in _COLUMNS) + f"{'value ratio':>13}{'grad. ratio':>13}")
    figures: list[dict[str, Any]] = []
    for name, workload in WORKLOADS.items():
        if chosen.names and name not in chosen.names:
            continue
        made: list[tuple[Any, tuple[Any, ...]]] = [("", workload.arguments())]
        if workload.make is not None:
            made = [(size, workload.make(size)) for size in workload.sizes if size <= chosen.largest]
        for size, args in made:
            times = measure(contestants(workload, _in_dtype(args, chosen.dtype)), chosen.repeats, chosen.seconds)
            walls = {column: times[column].wall for column in _COLUMNS}
            ratios = (walls["jax"] / walls["npdiff"], walls["jax gradient"] / walls["npdiff gradient"])
            label = f"{name} {size:,}" if size else name
            print(f"{label:<28}" + "".join(f"{_time(walls[c]):>17}" for c in _COLUMNS)
                  + "".join(f"{ratio:>13.2f}" for ratio in ratios), flush=True)
            figures.append({"workload": name, "size": size or None, "seconds": walls, "value_ratio": ratios[0],
                            "gradient_ratio": ratios[1]})
    means = [float(np.exp(np.mean(np.log([f[key] for f in figures])))) for key in ("value_ratio", "gradient_ratio")]
    print(f"{'geometric mean':<28}" + " " * 17 * len(_COLUMNS) + "".join(f"{mean:>13.2f}" for mean in means))
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "figures": figures}, file, indent=1)


if __name__ == "__main__":
    main()
