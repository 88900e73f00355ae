"""What runs where, as the table of docs/backends.md, read off the backends' own tables."""

from __future__ import annotations

from collections.abc import Iterable

from npdiff.backend import cuda_rules, jax_rules
from npdiff.kernels.classify import GATHERS
from npdiff.kernels.complex_rules import COMPLEX
from npdiff.kernels.special_rules import SPECIAL
from npdiff.kernels.ufunc_rules import RULES as FUSED

START = "<!-- Made by `python -m npdiff coverage --write docs`; a test compares it with the backends. -->\n"
END = "<!-- end -->\n"
REDUCED = ("all", "any", "max", "min", "prod", "sum")
PLACED = ("concatenate", "setitem")  # cases by the index
ALONG = ("cumprod", "cumsum", "index_add")
PLACES = ("argmax", "argmin")
SIZED = ("bincount", "nonzero")  # the size of their result depends on values
_SIZE = "the size of its result depends on values"
_UNSEEN = frozenset(["guard_truth", "guard_equal", "guard_raises", "call_graph", "run_program"])


def _listed(names: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in sorted(names))


def _jax(name: str) -> str:
    if name in jax_rules.HOST:
        return f"NumPy: {jax_rules.HOST[name]}"
    if cuda_rules.HOST.get(name) == _SIZE:
        return f"NumPy: {_SIZE}"
    return "NumPy: jax has no such function" if name in jax_rules.LACKING else "XLA"


def table() -> str:
    """The table: a line for each kind of operation, then one for each reason why a backend leaves some to NumPy."""
    rows = [
        (f"{len(FUSED)} ufuncs of floats, half precision, integers; {_listed(REDUCED)}", "kernel", "kernel", "XLA"),
        (f"{len(COMPLEX)} ufuncs of complex numbers", "kernel", "kernel or CuPy", "XLA"),
        (f"windows and joined arrays: {_listed(PLACED)}", "kernel or NumPy", "kernel or CuPy", "XLA"),
        (f"arrays of integers as an index: {_listed(GATHERS)}", "NumPy", "kernel", "XLA"),
        (_listed(PLACES), "kernel", "kernel; CuPy for some dtypes", "XLA"),
        (f"along an axis, and sums by index: {_listed(ALONG)}", "NumPy", "kernel; CuPy for some dtypes", "XLA"),
        ("shapes, sorting, products, linear algebra, FFT, other ufuncs", "NumPy; kernels for some matrices", "CuPy",
         "XLA"),
        (f"masks as an index, {_listed(SIZED)}", "NumPy", "CuPy", f"NumPy: {_SIZE}"),
        (f"{len(SPECIAL)} functions of scipy.special", "kernel", "kernel, CuPy or SciPy", "SciPy"),
        (f"{_listed(cuda_rules.SPECIAL - SPECIAL.keys())}", "SciPy", "CuPy", "SciPy"),
        ("the rest of SciPy; draws, prints, Python numbers, dates, long doubles", "NumPy, SciPy", "NumPy, SciPy",
         "NumPy, SciPy"),
        ("order, extrema and comparison of complex numbers", *["NumPy"] * 3),
    ]
    alike: dict[tuple[str, str], list[str]] = {}
    for name in sorted({*cuda_rules.HOST, *jax_rules.HOST} - _UNSEEN):
        card = f"NumPy: {cuda_rules.HOST[name]}" if name in cuda_rules.HOST else "CuPy"
        alike.setdefault((card, _jax(name)), []).append(name)
    rows += [(_listed(names), "NumPy", card, "as on cuda" if jax == card else jax)
             for (card, jax), names in alike.items()]
    lines = ["| operation | cpu | cuda | tpu |", "|---|---|---|---|", *[f"| {' | '.join(row)} |" for row in rows]]
    return "\n".join(lines) + "\n"


def refreshed(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(START)
    return before + START + "\n" + table() + "\n" + END + rest.partition(END)[2]


__all__ = ["END", "START", "refreshed", "table"]
