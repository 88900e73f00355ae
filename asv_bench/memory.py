"""Peak memory of jitted gradients beside jax.jit's, above a million elements, each in a process of its own.

Run it as ``python asv_bench/memory.py`` (``--help`` for a selection). A process imports the library, makes the
arguments, compiles the function on small ones, and then calls it: a first time, for which npdiff records (on the real
arrays, with NumPy) and JAX compiles, and three times more. The figures are by how much the peak of its resident set
then stands above what the process held with the arguments in place: of the first call, and of the later ones (where the
system lets a process begin its peak anew, as Linux does; elsewhere both are the peak of all).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from benchmarks.workloads import WORKLOADS, total, with_numpy

# Sizes at which the largest array has a million elements or more.
SIZES = {"normal_density": 4_000_000, "rational": 4_000_000, "black_scholes": 4_000_000, "option_prices": 4_000_000,
         "transcendental": 4_000_000, "mixing": 4_000_000, "moments": 2_000, "softmax_long": 4_000_000,
         "softmax_short": 4_000_000, "heat": 1_500, "ocean": 500, "mixture": 400_000, "bodies": 800,
         "process_likelihood": 1_200, "products": 1_200}
LIBRARIES = ("npdiff", "jax")
CALLS = 3
MEGABYTE = 1 << 20


def arguments(name: str, size: int) -> tuple[Any, ...]:
    """The arguments of a workload at a size."""
    workload = WORKLOADS[name]
    if workload.make is not None:
        return workload.make(size)
    low, high = (80, 120) if name == "black_scholes" else (-2, 2)
    return (np.random.default_rng(0).uniform(low, high, size),)


def gradient(library: str, name: str) -> Callable[..., Any]:
    """The jitted value and gradient of a workload."""
    workload = WORKLOADS[name]
    if library == "npdiff":
        import npdiff

        return npdiff.jit(npdiff.value_and_grad(total(workload.function), workload.argnums))
    import jax

    jax.config.update("jax_enable_x64", True)
    twin = workload.twin
    other = with_numpy(workload.function, jax.numpy) if twin is None else lambda *a: twin(jax.numpy, *a)
    compiled = jax.jit(jax.value_and_grad(total(other, jax.numpy), workload.argnums))
    return lambda *a: jax.block_until_ready(compiled(*a))


def _status(key: str) -> int | None:
    """A figure in bytes that Linux tells of this process."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))
    except (OSError, StopIteration):
        return None


def anew() -> None:
    """Let the peak begin again from what is held now, where that can be."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def peak() -> int:
    """Bytes of the largest resident set so far."""
    found = _status("VmHWM:")
    if found is not None:
        return found
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def resident() -> int:
    """Bytes of the resident set now; the peak where the system does not tell."""
    found = _status("VmRSS:")
    return peak() if found is None else found


def measure(library: str, name: str, size: int) -> dict[str, int]:
    """Bytes at the peak above those before, of the first call and of later ones; bytes of arguments and results."""
    args: tuple[Any, ...] = arguments(name, size)
    compiled = gradient(library, name)
    if library == "jax":
        import jax

        args = tuple([jax.numpy.asarray(a) for a in args])
        jax.block_until_ready(args)
    for _ in range(2):  # npdiff compiles in the second call, and LLVM is loaded for that
        compiled(*WORKLOADS[name].small())
    before = resident()
    anew()
    _, slopes = compiled(*args)
    first = peak() - before
    results = sum(np.asarray(s).nbytes for s in (slopes if isinstance(slopes, tuple) else (slopes,)))
    del slopes
    compiled(*args)  # npdiff compiles
    anew()
    for _ in range(CALLS):
        compiled(*args)
    return {"first": first, "later": peak() - before, "arguments": sum(a.nbytes for a in args), "results": results}


def in_process(library: str, name: str, size: int) -> dict[str, int]:
    """`measure` in a fresh process."""
    command = [sys.executable, os.path.abspath(__file__), "--measure", library, name, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print the table."""
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="workloads (default: all)")
    parser.add_argument("--size", type=int, help="another size for all of them")
    parser.add_argument("--libraries", nargs="*", choices=LIBRARIES, default=LIBRARIES)
    parser.add_argument("--json", help="write the figures into this file, too")
    chosen = parser.parse_args()
    if set(chosen.names) - set(SIZES):
        parser.error(f"there are {', '.join(SIZES)}")
    print("megabytes above what the process holds before the call\n")
    columns = [f"{library} {when}" for when in ("first", "later") for library in chosen.libraries]
    both = len(chosen.libraries) == 2
    print(f"{'':<30}{'arguments':>11}{'results':>11}" + "".join(f"{c:>15}" for c in columns)
          + (f"{'ratio first':>13}{'ratio later':>13}" if both else ""))
    figures: list[dict[str, Any]] = []
    for name in chosen.names or SIZES:
        size = chosen.size or SIZES[name]
        found = {library: in_process(library, name, size) for library in chosen.libraries}
        first = next(iter(found.values()))
        peaks = [f[when] for when in ("first", "later") for f in found.values()]
        ratio = f"{peaks[0] / max(peaks[1], 1):>13.2f}{peaks[2] / max(peaks[3], 1):>13.2f}" if both else ""
        print(f"{f'{name} {size:,}':<30}{first['arguments'] / MEGABYTE:>11.1f}{first['results'] / MEGABYTE:>11.1f}"
              + "".join(f"{p / MEGABYTE:>15.1f}" for p in peaks) + ratio, flush=True)
        figures.append({"workload": name, "size": size, **found})
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
