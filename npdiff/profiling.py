"""How long each step of a compiled call takes: the steps of its graph, run and timed one by one."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from npdiff.steps import Step, counted, shortened, show_bytes, show_count, show_seconds, table

# Runs that are timed, and how long they may take together.
MOST_RUNS, LEAST_RUNS = 200, 3
SECONDS = 0.3
_NAMES_WIDTH = 44


@dataclass(frozen=True)
class StepTime:
    """One step of a compiled graph and the time it takes.

    Attributes
    ----------
    step
        What it does: a `Step`, with ``kind``, ``names``, ``bytes``, ``operations`` and more.
    seconds
        Median over the runs.
    share
        Part of the whole run, from 0 to 1.
    """

    step: Step
    seconds: float
    share: float

    @property
    def bytes_per_second(self) -> float:
        """Bytes it has to move, by its time."""
        return self.step.bytes / self.seconds if self.seconds > 0 else 0.0

    @property
    def operations_per_second(self) -> float:
        """Elementary operations by time; 0 where they are not known."""
        return (self.step.operations or 0) / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, repr=False)
class Profile:
    """What `jitted.profile(...)` measured; prints as a table.

    Attributes
    ----------
    name, backend
        Of the jitted function.
    steps
        A `StepTime` for each kernel, NumPy call and write, in the order in which they run.
    seconds
        Of a run of the whole graph, step by step: median. What is not in the steps is spent between them. In a call,
        small kernels are launched together, so that it takes less.
    runs
        How many were timed.
    """

    name: str
    backend: str
    steps: tuple[StepTime, ...]
    seconds: float
    runs: int

    @property
    def between(self) -> float:
        """Seconds between the steps: checks, and handing on results."""
        return max(0.0, self.seconds - sum(s.seconds for s in self.steps))

    def __repr__(self) -> str:
        rows = [("#", "step", "computes", "time", "share", "moved", "bytes/s", "ops/s")]
        for k, t in enumerate(self.steps):
            moved = t.step.bytes
            rows.append((str(k), t.step.kind, shortened(t.step.names, _NAMES_WIDTH), _microseconds(t.seconds),
                         f"{100 * t.share:.1f} %", show_bytes(moved) if moved else "-",
                         f"{show_bytes(t.bytes_per_second)}/s" if moved else "-",
                         f"{show_count(t.operations_per_second)}/s" if t.step.operations else "-"))
        if self.seconds:
            rows.append(("", "between", "", _microseconds(self.between),
                         f"{100 * self.between / self.seconds:.1f} %", "", "", ""))
        head = (f"npdiff.jit({self.name}) on {self.backend}: {show_seconds(self.seconds)} a call, median of "
                f"{counted(self.runs, 'run')}")
        return "\n".join([head, "", *["  " + line for line in table(rows, left=(1, 2))]])


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} µs"


def measure(name: str, backend: str, steps: Sequence[Step], timed: Callable[[], Sequence[float]],
            seconds: float = SECONDS, least: int = LEAST_RUNS) -> Profile:
    """Time the runs of `timed`, which gives the seconds of each step, for about so many seconds in all."""
    timed()  # memory is fetched and caches are filled
    each: list[Sequence[float]] = []
    whole: list[float] = []
    begin = time.perf_counter()
    while len(each) < MOST_RUNS and (len(each) < least or time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        each.append(timed())
        whole.append(time.perf_counter() - start)
    total = _median(whole)
    clock = _clock()
    medians = [max(0.0, _median(times) - clock) for times in zip(*each, strict=True)]
    shares = [m / total if total > 0 else 0.0 for m in medians]
    found = [StepTime(step, m, share) for step, m, share in zip(steps, medians, shares, strict=True)]
    return Profile(name, backend, tuple(found), total, len(each))


def _clock() -> float:
    """Seconds that looking at the clock adds to a step."""
    ticks: list[int] = []
    for _ in range(200):
        ticks.append(time.perf_counter_ns())
    return _median([b - a for a, b in itertools.pairwise(ticks)]) * 1e-9


def _median(values: Sequence[float]) -> float:
    middle = len(values) // 2
    ordered = sorted(values)
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


__all__ = ["LEAST_RUNS", "MOST_RUNS", "Profile", "StepTime", "measure"]
