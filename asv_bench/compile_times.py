"""CPU time to record, schedule and compile graphs of 10 to 10,000 operations, beside JAX's to trace and compile them.

Run it as ``python asv_bench/compile_times.py`` (``--help`` for a selection). Each figure is the least of the rounds;
each round is a process of its own, with the disk cache off, that has compiled another graph before. JAX is not asked
for graphs on which it would need minutes (``--jax``).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SIZES = (10, 50, 200, 1_000, 10_000)
LENGTH = 1_000
_PHASES = ("record", "schedule", "compile")


def elementwise(np: Any, x: Any, y: Any, size: int, seed: float) -> Any:
    """Additions and products of earlier values; every tenth operation is exp, tanh or sin."""
    values = [x, y]
    for k in range(size):
        a, b = values[-1], values[-1 - (k * 7) % 3 % len(values)]
        if k % 10 == 9:
            values.append((np.exp, np.tanh, np.sin)[k // 10 % 3](a * 0.1))
        else:
            values.append(a * (0.5 + seed) if k % 3 == 0 else a + b if k % 3 == 1 else a * b)
    return values[-1]


def mixed(np: Any, x: Any, y: Any, size: int, seed: float) -> Any:
    """A loop of ten operations a step: arithmetic, two slices that are joined, a sum that scales what follows."""
    for k in range(max(1, size // 10)):
        ahead = np.concatenate([x[1:], x[:1]])
        x = x + 0.1 * (ahead - x) * y
        x = x / (1.0 + seed + np.sum(x * x) / (LENGTH + k))
    return x


KINDS: dict[str, Callable[..., Any]] = {"elementwise": elementwise, "mixed": mixed}


def cpu(run: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of a call, and its result."""
    begin = time.process_time()
    made = run()
    return time.process_time() - begin, made


def with_npdiff(kind: str, size: int) -> dict[str, float]:
    """CPU seconds of each phase."""
    import numpy as np

    import npdiff
    from npdiff.kernels import Executable, schedule, simplify

    make = KINDS[kind]
    x, y = np.linspace(0.1, 0.9, LENGTH), np.linspace(0.2, 0.3, LENGTH)
    warm = npdiff.jit(lambda x, y: make(np, x, y, 10, 0.25))
    for _ in range(2):
        warm(x, y)
    fresh = npdiff.jit(lambda x, y: make(np, x, y, size, 0.125))
    record, graph = cpu(lambda: fresh.lower(x, y))
    shortly, (small, steps) = cpu(lambda: (small := simplify(graph), schedule(small)))
    compiling, executable = cpu(lambda: Executable(small, steps))
    np.testing.assert_allclose(executable(x, y)[0], make(np, x, y, size, 0.125), rtol=1e-6)
    shown = executable.steps()
    return {"record": record, "schedule": shortly, "compile": compiling, "equations": len(graph.equations),
            "kernels": sum(s.kind == "kernel" for s in shown)}


def with_jax(kind: str, size: int) -> dict[str, float]:
    """CPU seconds to trace, lower and compile."""
    import jax

    jax.config.update("jax_enable_x64", True)
    make = KINDS[kind]
    x, y = jax.numpy.linspace(0.1, 0.9, LENGTH), jax.numpy.linspace(0.2, 0.3, LENGTH)
    jax.jit(lambda x, y: make(jax.numpy, x, y, 10, 0.25))(x, y).block_until_ready()
    fresh = jax.jit(lambda x, y: make(jax.numpy, x, y, size, 0.125))
    return {"whole": cpu(lambda: fresh.lower(x, y).compile())[0]}


def measured(library: str, kind: str, size: int, rounds: int, patience: float) -> dict[str, float] | None:
    """The least of several rounds, phase by phase; None if it takes too long or is not installed."""
    best: dict[str, float] = {}
    command = [sys.executable, os.path.abspath(__file__), "--measure", library, kind, str(size)]
    for _ in range(rounds):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=patience,
                                  env={**os.environ, "NPDIFF_CACHE": "0"})
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            print(f"{library}, {kind} {size}: {error}", file=sys.stderr)
            return None
        for phase, seconds in json.loads(done.stdout).items():
            best[phase] = min(best.get(phase, seconds), seconds)
    return best


def main() -> None:
    """Measure and print the table."""
    if sys.argv[1:2] == ["--measure"]:
        library, kind, size = sys.argv[2:]
        print(json.dumps({"npdiff": with_npdiff, "jax": with_jax}[library](kind, int(size))))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    parser.add_argument("--jax", type=int, default=1_000, help="the largest graph JAX is asked for (default: 1000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patience", type=float, default=300.0, help="seconds after which a process is given up")
    parser.add_argument("--json", help="write the figures into this file, too")
    chosen = parser.parse_args()
    if set(chosen.kinds) - set(KINDS):
        parser.error(f"there are {', '.join(KINDS)}")
    print(f"CPU milliseconds, least of {chosen.rounds}\n")
    columns = ("equations", "kernels", *_PHASES, "whole", "us each", "jax", "ratio")
    print(f"{'':<20}" + "".join(f"{name:>11}" for name in columns))
    figures: list[dict[str, Any]] = []
    for kind in chosen.kinds or KINDS:
        for size in [s for s in SIZES if s <= chosen.largest]:
            ours = measured("npdiff", kind, size, chosen.rounds, chosen.patience)
            theirs = measured("jax", kind, size, chosen.rounds, chosen.patience) if size <= chosen.jax else None
            if ours is None:
                continue
            whole = sum(ours[p] for p in _PHASES)
            cells = [f"{ours['equations']:.0f}", f"{ours['kernels']:.0f}", *[f"{ours[p] * 1e3:.1f}" for p in _PHASES],
                     f"{whole * 1e3:.1f}", f"{whole / ours['equations'] * 1e6:.0f}",
                     *(["-", "-"] if theirs is None else [f"{theirs['whole'] * 1e3:.1f}",
                                                          f"{whole / theirs['whole']:.2f}"])]
            print(f"{kind + f' {size:,}':<20}" + "".join(f"{cell:>11}" for cell in cells), flush=True)
            figures.append({"kind": kind, "size": size, "npdiff": ours, "jax": theirs})
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
