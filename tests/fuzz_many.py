"""Run big batches of random programs: ``python tests/fuzz_many.py --programs 100000 --seed 0 --state fuzz.json``.

Every program has a seed of its own. Failures are printed small and ready to paste as tests, each kind a few times; the
state file says how far a run came, so that the same command goes on there, also after the process died.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fuzz
from programs import Program, seeded
from shrinking import SECONDS, TooLong, limited, report, shrunk, verdict


class State:
    """How far a run came, and what it saw; written so that a process that dies in a program can go on behind it."""

    def __init__(self, path: Path | None, first: int) -> None:
        self.path = path
        self.next = first
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.failures: collections.Counter[str] = collections.Counter()
        self.seconds = 0.0
        self.died: list[int] = []
        if path is not None and path.exists():
            kept = json.loads(path.read_text())
            self.next, self.seconds, self.died = kept["next"], kept["seconds"], kept["died"]
            self.outcomes.update(kept["outcomes"])
            self.failures.update(kept["failures"])
        self.crumb = open(f"{path}.running", "a+") if path is not None else None  # noqa: SIM115 (open all the time)
        if self.crumb is not None:
            self.crumb.seek(0)
            last = self.crumb.read().strip()
            if last and int(last) >= self.next:
                self.died.append(int(last))
                print(f"# seed {last}: the process died in this program\n", flush=True)

    def begin(self, seed: int) -> None:
        if self.crumb is not None:
            self.crumb.seek(0)
            self.crumb.truncate()
            self.crumb.write(str(seed))
            self.crumb.flush()

    def save(self) -> None:
        if self.path is not None:
            text = json.dumps({"next": self.next, "seconds": round(self.seconds, 1), "died": self.died,
                               "outcomes": self.outcomes, "failures": self.failures}, indent=1)
            new = self.path.with_suffix(".new")
            new.write_text(text)
            new.replace(self.path)


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


def label(program: Program, words: str) -> str:
    """Failures with the same label are one fault, as far as one can tell."""
    names = sorted(set(re.findall(r"np\.[a-z_0-9.]+", "\n".join(program.lines))))
    return f"{words} | {' '.join(names)}"[:160]


def one(seed: int, state: State, how: dict[str, Any], few: int) -> None:
    """Check the program of a seed; print it if it fails."""
    program = seeded(seed)
    try:
        with limited():
            outcome = fuzz.check(program, **how)
    except TooLong:
        outcome = "FAILED"
        state.failures["too long"] += 1
        print(report(program, seed, f"more than {SECONDS} s", **how), flush=True)
    except Exception as error:
        outcome = "FAILED"
        _failed(program, seed, error, state, how, few)
    state.outcomes[outcome] += 1


def _failed(program: Program, seed: int, error: BaseException, state: State, how: dict[str, Any], few: int) -> None:
    words = verdict(program, **how)
    small = shrunk(program, words, **how) if words else program
    name = label(small, words or "not again")
    state.failures[name] += 1
    if state.failures[name] <= few:
        try:
            fuzz.check(small, **how)
        except Exception as again:
            error = again
        print(report(small, seed, " ".join(str(error).split())[:400], **how), flush=True)


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first program")
    parser.add_argument("--jit-every", type=int, default=100, help="also compile one program in so many (0: none)")
    parser.add_argument("--second-every", type=int, default=3, help="second derivatives of one program in so many")
    parser.add_argument("--batch-every", type=int, default=2, help="vmap of one program in so many")
    parser.add_argument("--few", type=int, default=2, help="how often a failure of one kind is printed")
    parser.add_argument("--state", type=Path, help="file to resume from")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    state = State(given.state, given.seed)
    end = given.seed + given.programs
    began = time.perf_counter()
    for seed in range(state.next, end):
        if seed in state.died:
            continue
        state.begin(seed)
        how = {"jit": given.jit_every > 0 and seed % given.jit_every == 0,
               "second": seed % given.second_every == 0, "batch": seed % given.batch_every == 0}
        try:
            one(seed, state, how, given.few)
        except KeyboardInterrupt:  # stopped from outside, not by the program
            state.next = seed
            state.save()
            state.begin(-1)
            raise
        if (seed + 1) % 200 == 0 or seed + 1 == end:
            state.next = seed + 1
            now = time.perf_counter()
            state.seconds += now - began
            began = now
            state.save()
    ran = sum(state.outcomes.values())
    print(f"# {ran} programs, {1e3 * state.seconds / max(ran, 1):.1f} ms each")
    for outcome, count in state.outcomes.most_common():
        print(f"# {count:7d} {outcome}")
    return int(state.outcomes["FAILED"] > 0 or bool(state.died))


if __name__ == "__main__":
    sys.exit(main())
