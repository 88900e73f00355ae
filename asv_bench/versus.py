"""npdiff.jit beside jax.jit and NumPy, workload by workload: one table, and JSON for whoever wants to plot it.

Run it as ``python asv_bench/versus.py`` (``--help`` for a selection). Both work in 64 bits unless ``--dtype float32``
says otherwise; the arrays lie where each wants them (NumPy's, or JAX's on its device) before the clock starts.
With ``--backend cuda`` npdiff runs on the card, on CuPy arrays, and so do JAX and, in NumPy's place, CuPy itself; a
copy of a large array on the card says what its memory can do, and elementwise workloads go up to 1e8 elements if
--largest does. Contestants take turns; figures are medians of wall time. A ratio above one means that npdiff takes less
time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any

# (JAX would take most of a card's memory for itself.)
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
import jax
import numpy as np
from benchmarks.workloads import WORKLOADS, Workload, total, with_numpy
from compare import measure

import npdiff

Calls = dict[str, Callable[[], Any]]
_COLUMNS = ("numpy", "npdiff", "jax", "npdiff gradient", "jax gradient")
_LARGE = 100_000_000
_COPIED = 1 << 30  # bytes of the array that is copied to see how fast the card's memory is


class Machine:
    """Where npdiff runs, and where NumPy's own code does."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.xp: Any = importlib.import_module("cupy") if backend == "cuda" else np

    def put(self, array: Any) -> Any:
        """An array where npdiff wants it."""
        return self.xp.asarray(array)

    def done(self, result: Any) -> Any:
        """The result, once it is there."""
        if self.backend == "cuda":
            self.xp.cuda.get_current_stream().synchronize()
        return result

    def host(self, result: Any) -> Any:
        """The result as NumPy's."""
        return self.xp.asnumpy(result) if self.backend == "cuda" else result

    def describe(self) -> str:
        """What it is; a card with the bandwidth of a copy within its memory, reads and writes counted."""
        if self.backend != "cuda":
            return f"{os.cpu_count()} cores, {platform.machine()}"
        [status] = [b for b in npdiff.backends() if b.name == "cuda"]
        source = self.xp.zeros(_COPIED, np.uint8)
        target = self.xp.empty_like(source)
        seconds = []
        for _ in range(12):
            begin = time.perf_counter()
            target[...] = source
            self.done(target)
            seconds.append(time.perf_counter() - begin)
        return f"{status.devices}, CuPy {self.xp.__version__}, copies at {2 * _COPIED / min(seconds) / 1e9:.0f} GB/s"


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    return call(), time.perf_counter() - begin


def _bytes(*trees: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(trees) if hasattr(leaf, "nbytes"))


def contestants(workload: Workload, args: tuple[Any, ...], machine: Machine) -> tuple[Calls, dict[str, Any]]:
    """Value and gradient in each library, on the same numbers; they are compared once before they are timed.

    Also what the first call took (npdiff: the first two, a recording and a compilation), and how many bytes of
    arguments and results a call reads and writes.
    """
    function, numbers = workload.function, workload.argnums
    value = npdiff.jit(function, machine.backend)
    gradient = npdiff.jit(npdiff.value_and_grad(total(function), numbers), machine.backend)
    plain = function if machine.backend == "cpu" else with_numpy(function, machine.xp)
    twin = workload.twin
    other = with_numpy(function, jax.numpy) if twin is None else lambda *a: twin(jax.numpy, *a)
    jax_value = jax.jit(other)
    jax_gradient = jax.jit(jax.value_and_grad(total(other, jax.numpy), numbers))
    there = [jax.numpy.asarray(a) for a in args]
    here = [machine.put(a) for a in args]
    both = lambda: machine.done((value(*here), gradient(*here)))
    _, recording = _timed(both)
    _, compilation = _timed(both)
    ours = jax.tree.map(machine.host, both())
    theirs, first = _timed(lambda: jax.block_until_ready((jax_value(*there), jax_gradient(*there))))
    facts = {"first_seconds": {"npdiff": recording + compilation, "jax": first},
             "bytes": {"value": _bytes(args, ours[0]), "gradient": _bytes(args, ours[1])}}
    tolerance = 1e-8 if args[0].dtype == np.float64 else 2e-2
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * float(np.max(np.abs(b), initial=0.0)))
    calls = {
        "numpy": lambda: machine.done(plain(*here)),
        "npdiff": lambda: machine.done(value(*here)),
        "jax": lambda: jax.block_until_ready(jax_value(*there)),
        "npdiff gradient": lambda: machine.done(gradient(*here)),
        "jax gradient": lambda: jax.block_until_ready(jax_gradient(*there)),
    }
    if machine.backend == "cuda":
        try:
            plain(*here)
        except Exception:  # CuPy lacks something: this column stays empty
            del calls["numpy"]
    return calls, facts


def _sizes(workload: Workload, machine: Machine, largest: int) -> list[int]:
    sizes = list(workload.sizes)
    if machine.backend == "cuda" and 1_000_000 in sizes and workload.sizes[0] == 1_000:
        sizes.append(_LARGE)
    return [size for size in sizes if size <= largest]


def _in_dtype(args: tuple[Any, ...], dtype: str) -> tuple[Any, ...]:
    return tuple([a.astype(dtype) if a.dtype.kind == "f" else a for a in args])


def _time(seconds: float) -> str:
    if seconds != seconds:
        return "-"
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="workloads (default: all)")
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cpu", help="where npdiff runs (default: cpu)")
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
    place = Machine(chosen.backend)
    machine = (f"npdiff {npdiff.__version__}, NumPy {np.__version__}, JAX {jax.__version__}, Python "
               f"{platform.python_version()}, {place.describe()}, {chosen.dtype}")
    print(f"{machine}; medians of {chosen.repeats} turns\n")
    card = place.backend == "cuda"
    heads = [f"{'cupy' if name == 'numpy' and card else name:>17}" for name in _COLUMNS]
    heads += [f"{name:>13}" for name in ("value ratio", "grad. ratio", *(("value GB/s", "grad. GB/s") if card else ()))]
    print(f"{'':<28}" + "".join(heads))
    failed: list[str] = []
    figures: list[dict[str, Any]] = []
    for name, workload in WORKLOADS.items():
        if chosen.names and name not in chosen.names:
            continue
        made: list[tuple[Any, tuple[Any, ...]]] = [("", workload.arguments())]
        if workload.make is not None:
            made = [(size, workload.make(size)) for size in _sizes(workload, place, chosen.largest)]
        for size, args in made:
            label = f"{name} {size:,}" if size else name
            try:
                calls, facts = contestants(workload, _in_dtype(args, chosen.dtype), place)
            except Exception as error:  # the other workloads are worth their figures
                failed.append(f"{label}: {type(error).__name__}: {error}")
                continue
            times = measure(calls, chosen.repeats, chosen.seconds)
            walls = {column: times[column].wall if column in times else float("nan") for column in _COLUMNS}
            ratios = (walls["jax"] / walls["npdiff"], walls["jax gradient"] / walls["npdiff gradient"])
            rates = [facts["bytes"]["value"] / walls["npdiff"] / 1e9,
                     facts["bytes"]["gradient"] / walls["npdiff gradient"] / 1e9] if card else []
            print(f"{label:<28}" + "".join(f"{_time(walls[c]):>17}" for c in _COLUMNS)
                  + "".join(f"{ratio:>13.2f}" for ratio in ratios)
                  + "".join(f"{moved:>13.0f}" for moved in rates), flush=True)
            figures.append({"workload": name, "size": size or None, "seconds": walls, "value_ratio": ratios[0],
                            "gradient_ratio": ratios[1], **facts})
    means = [float(np.exp(np.mean(np.log([f[key] for f in figures])))) for key in ("value_ratio", "gradient_ratio")]
    print(f"{'geometric mean':<28}" + " " * 17 * len(_COLUMNS) + "".join(f"{mean:>13.2f}" for mean in means))
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "figures": figures, "failed": failed}, file, indent=1)
    if failed:
        raise SystemExit("\n".join(["failed:", *failed]))


if __name__ == "__main__":
    main()
