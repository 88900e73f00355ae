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
ALONG = ("argmax", "argmin", "cumprod", "cumsum", "index_add")
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
    return "XLA" if name in jax_rules.RULES else "XLA, where jax.numpy has the name"


def table() -> str:
    """The table, with a line for what is fused, for what lies between kernels, and for each kind of exception."""
    between = {*cuda_rules.RULES, *cuda_rules.NAMED} - _UNSEEN
    same = {name for name in between if name not in jax_rules.HOST}
    same -= {*REDUCED, *SIZED, *PLACED, *ALONG, *GATHERS}
    rows = [
        (f"on floats or integers: {_listed(FUSED)}", "kernel", "kernel", "XLA"),
        (_listed(REDUCED), "kernel", "kernel", "XLA"),
        (f"on complex numbers: {_listed(COMPLEX)}; the former on float16", "kernel", "kernel or CuPy", "XLA"),
        (f"windows and joined arrays: {_listed(PLACED)}", "kernel or NumPy", "kernel or CuPy", "XLA"),
        (f"arrays of integers as an index: {_listed(GATHERS)}", "NumPy", "kernel", "XLA"),
        (f"along an axis, and sums by index: {_listed(ALONG)}", "NumPy", "kernel; CuPy for some dtypes", "XLA"),
        ("other ufuncs", "NumPy", "CuPy", "XLA"),
        (_listed(same), "NumPy; kernels for some matrices", "CuPy", "XLA"),
        (f"masks as an index, {_listed(SIZED)}", "NumPy", "CuPy", f"NumPy: {_SIZE}"),
        (_listed(SPECIAL.keys() & cuda_rules.SPECIAL), "kernel", "kernel or CuPy", "SciPy"),
        (_listed(SPECIAL.keys() - cuda_rules.SPECIAL), "kernel", "kernel or SciPy", "SciPy"),
        (_listed(cuda_rules.SPECIAL - SPECIAL.keys()), "SciPy", "CuPy", "SciPy"),
        ("the rest of SciPy", "SciPy", "SciPy", "SciPy"),
        ("draws, prints, Python numbers, dates, long doubles, bfloat16", "NumPy", "NumPy", "NumPy"),
        (f"where the order of complex numbers matters: {_listed(cuda_rules.ORDERED)}", "NumPy", "NumPy", "NumPy"),
    ]
    alike: dict[tuple[str, str], list[str]] = {}
    for name in sorted({*cuda_rules.HOST, *jax_rules.HOST} - _UNSEEN):
        card = f"NumPy: {cuda_rules.HOST[name]}" if name in cuda_rules.HOST else "CuPy"
        alike.setdefault((card, _jax(name)), []).append(name)
    rows += [(_listed(names), "NumPy", card, jax) for (card, jax), names in alike.items()]
    lines = ["| operation | cpu | cuda | tpu |", "|---|---|---|---|", *[f"| {' | '.join(row)} |" for row in rows]]
    return "\n".join(lines) + "\n"


def refreshed(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(START)
    return before + START + "\n" + table() + "\n" + END + rest.partition(END)[2]


__all__ = ["END", "START", "refreshed", "table"]
