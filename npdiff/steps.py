"""What an executable does, step by step, as people are shown it, and the words for sizes and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from npdiff.avals import Aval
from npdiff.graph import Equation, Var


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a compiled graph.

    Attributes
    ----------
    kind
        "kernel", "matrix kernel" (products and factorisations), "call" (of NumPy), "write" (in place), "view" (another
        look at an array), "jax function".
    equations
        Those of the compiled graph that the step computes.
    inputs, outputs
        Variables it reads from memory, and those it leaves there.
    space
        Sizes of a kernel's loops; empty if it has none.
    read, written
        Bytes that have to move at least, if nothing is in a cache.
    operations
        Elementary operations; exp and its kin count as one. None: not known.
    vector
        Lanes and type of the vectors, ``"8 x float64"``; "" if there are none, or they are not known.
    threads
        How many share the work at most. 0: not known.
    estimate
        Seconds that it was expected to take when the work was divided. None: not known.
    compile_seconds, cached
        How long it took to compile, or to load from the disk cache.
    note
        Why it is no kernel, where there is more to say.
    """

    kind: str
    equations: Sequence[Equation]
    inputs: Sequence[Var]
    outputs: Sequence[Var]
    space: tuple[int, ...] = ()
    read: int = 0
    written: int = 0
    operations: int | None = None
    vector: str = ""
    threads: int = 0
    estimate: float | None = None
    compile_seconds: float = 0.0
    cached: bool = False
    note: str = ""

    @property
    def compiled(self) -> bool:
        """True for machine code, false for what NumPy does."""
        return self.kind in ("kernel", "matrix kernel", "jax function")

    @property
    def bytes(self) -> int:
        """Bytes read and written."""
        return self.read + self.written

    @property
    def names(self) -> str:
        """The operations in order of first use, with how often each occurs: ``"3 multiply, exp, sum"``."""
        counts: dict[str, int] = {}
        for eq in self.equations:
            counts[eq.prim.name] = counts.get(eq.prim.name, 0) + 1
        return ", ".join([name if n == 1 else f"{n} {name}" for name, n in counts.items()])


def nbytes(a: Aval) -> int:
    """Bytes of a value."""
    return a.size * a.dtype.itemsize


def _scaled(value: float, units: Sequence[str], base: float = 1000.0) -> str:
    """Three digits and a unit."""
    k = 0
    while k + 1 < len(units) and value >= 0.9995 * base:
        value /= base
        k += 1
    digits = 0 if value >= 99.95 or (k == 0 and value == int(value)) else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {units[k]}".rstrip()


def show_bytes(count: float) -> str:
    """``8.00 MB``."""
    return _scaled(count, ("B", "kB", "MB", "GB", "TB"))


def show_count(count: float) -> str:
    """``14.0 M``."""
    return _scaled(count, ("", "k", "M", "G", "T"))


def show_seconds(seconds: float) -> str:
    """``1.20 ms``; never finer than nanoseconds."""
    return _scaled(round(seconds * 1e9), ("ns", "µs", "ms", "s"))


def counted(number: int, what: str) -> str:
    """``1 kernel``, ``2 kernels``."""
    return f"{number} {what}" + ("" if number == 1 else "s")


def shortened(text: str, width: int) -> str:
    """A list in words, cut at a comma."""
    if len(text) <= width:
        return text
    return text[:width - 3].rpartition(", ")[0] + ", ..."


def table(rows: Sequence[Sequence[str]], left: Sequence[int] = (), gap: str = "  ") -> list[str]:
    """Rows in columns that are as wide as they need to be, right-aligned but for the columns in `left`."""
    if not rows:
        return []
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [gap.join([cell.ljust(w) if k in left else cell.rjust(w)
                      for k, (cell, w) in enumerate(zip(row, widths, strict=True))]).rstrip() for row in rows]


__all__ = ["Step", "counted", "nbytes", "shortened", "show_bytes", "show_count", "show_seconds", "table"]
