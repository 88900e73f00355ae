"""CPU time to compile chains of 10, 50 and 200 operations, of this tree and of another one beside it.

    python tools/compile_time.py [--against PATH] [--rounds N]

Each round starts one fresh process per tree, in turn, and each process compiles every chain several times with other
constants; the smallest time of all rounds is printed, in milliseconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
SIZES = (10, 50, 200)
KINDS = ("plain", "mixed")


def chain(kind: str, size: int, seed: int) -> object:
    """A function of two arrays with `size` operations; in a mixed one every fifth is exp, tanh or sin."""
    import numpy as np

    rng = np.random.default_rng(seed)
    steps = [int(rng.integers(1, 4)) for _ in range(size)]
    factor = 0.5 + seed / 1000

    def f(x: object, y: object) -> object:
        values = [x, y]
        for k, step in enumerate(steps):
            a, b = values[-1], values[max(0, len(values) - 1 - step)]
            if kind == "mixed" and k % 5 == 4:
                values.append((np.exp, np.tanh, np.sin)[k // 5 % 3](a))
            elif k % 3 == 0:
                values.append(a * factor)
            else:
                values.append(a + b if k % 3 == 1 else a * b)
        return values[-1]

    return f


def measure() -> None:
    """Print the smallest CPU time of each chain, in the order of KINDS and SIZES."""
    import numpy as np

    import npdiff
    from npdiff.kernels import compile_cpu

    spent = 0.0
    compile_kernel = compile_cpu.compile_kernel

    def timed(kernel: object) -> object:
        nonlocal spent
        begin = time.process_time()
        done = compile_kernel(kernel)
        spent += time.process_time() - begin
        return done

    from npdiff.kernels import executable

    executable.compile_kernel = timed
    x, y = np.linspace(0.1, 0.9, 8000), np.linspace(0.2, 0.3, 8000)
    npdiff.jit(chain("plain", 3, 1000))(x, y)
    for kind in KINDS:
        for size in SIZES:
            best = float("inf")
            for seed in range(3):
                spent = 0.0
                compiled = npdiff.jit(chain(kind, size, seed))
                compiled(x, y)
                compiled(x, y)
                best = min(best, spent)
            print(f"{best * 1e3:.1f}")


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure()
        return
    trees = [HERE] + ([args.against] if args.against else [])
    best: dict[Path, list[float]] = {}
    for _ in range(args.rounds):
        for tree in trees:
            environment = {**os.environ, "PYTHONPATH": str(tree), "NPDIFF_CACHE": "0"}
            command = [sys.executable, str(Path(__file__).resolve()), "--measure"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            row = [float(line) for line in done.stdout.split()]
            best[tree] = [min(a, b) for a, b in zip(row, best.get(tree, row), strict=True)]
    print("tree".ljust(24), *[f"{kind} {size}".rjust(10) for kind in KINDS for size in SIZES])
    for tree, row in best.items():
        print(str(tree.name).ljust(24), *[f"{ms:10.1f}" for ms in row])


if __name__ == "__main__":
    main()
