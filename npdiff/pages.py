"""The pages of docs/ that are made from rows: coverage.md and conventions.md, and the table in backends.md.

They are written with the newest NumPy, which has most functions. With any other the lines of the functions
that both have must agree, so that the check works everywhere.
"""

from __future__ import annotations

import pathlib
import re

import numpy as np

from npdiff.backend.where import refreshed
from npdiff.coverage import Facts, chapters, expression, facts, remarks, slope_text, title
from npdiff.dispatch.declare import Point, Row, found

_MADE = "Made from the rows by `python -m npdiff coverage --write docs`; a test compares the two."
_SERIES = re.compile(r"NumPy (\d+)\.(\d+)")


def _series() -> tuple[int, int]:
    major, minor = np.__version__.split(".")[:2]
    return int(major), int(minor)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _coverage_line(row: Row, f: Facts) -> str:
    cells = (f"`{row.name}`", row.kind, f.forward, f.reverse, f.vmap, f.jit, f.backends, _cell(remarks(row)))
    return f"| {' | '.join(cells)} |"


def coverage() -> str:
    """Text of docs/coverage.md."""
    lines = [
        "# Coverage", "",
        f"Every function of NumPy {'.'.join(map(str, _series()))}, by the file its row stands in. {_MADE}", "",
        "- **kind**: elementwise, linear, bilinear and nonlinear functions have a rule of their own; a composite is "
        "NumPy code over other functions; a nondifferentiable one has results without a derivative (indices, truth "
        "values, steps); creation and untracked functions never meet a tracked array; a host call is recorded in "
        "order; unsupported ones raise an error that says why.",
        "- **forward**, **reverse**: whether every primitive that the row's sample calls run has the rule; zero where "
        "no derivative reaches the result.",
        "- **vmap**: yes if all these primitives have a batching rule; one by one if an example is computed after the "
        "other; where sizes agree if the size of the result depends on values.",
        "- **jit**: what compiled code of the sample calls, on float64, is made of: operations that fuse into CPU "
        "kernels, calls of NumPy between them, or nothing (a view).",
        "- **backends**: where these sample calls run as compiled code (kernels, CuPy, XLA); in brackets where NumPy "
        "is called for a part. It is read off the backends' tables: cuda and tpu may leave more to NumPy for other "
        "dtypes and parameters, and `explain` of a jitted function shows what and why.",
        "- A dash stands where the question has no meaning, or where the row has no sample call to measure (functions "
        "that write into their argument, or tell of shapes and types). What holds at ties, kinks and edges is in "
        "[conventions](conventions.md).",
    ]
    for chapter, members in chapters().items():
        lines += ["", f"## {title(chapter)}", "",
                  "| function | kind | forward | reverse | vmap | jit | backends | notes |",
                  "|---|---|---|---|---|---|---|---|"]
        lines += [_coverage_line(row, facts(row)) for row in members]
    return "\n".join(lines) + "\n"


def _point_line(row: Row, p: Point) -> str:
    second = [slope_text(s) for s in p.slopes[1:]] or ["-"]
    cells = (f"`{expression(row, p.call)}`", f"`{p.at!r}`", slope_text(p.slopes[0]), ", ".join(second), _cell(p.why))
    return f"| {' | '.join(cells)} |"


def conventions() -> str:
    """Text of docs/conventions.md."""
    lines = [
        "# Conventions", "",
        f"What npdiff answers where a function has no ordinary derivative. {_MADE} Each line is also a test: in "
        "forward and reverse mode, with and without jit, and for a batch.", "",
        "Three rules stand behind the lines. A zero cotangent or tangent stays zero, even where a partial derivative "
        "is infinite or NaN; so a branch of `np.where` that is not taken never spoils a derivative. (It follows that "
        "an infinite slope passes nothing through a later slope of zero, and forward mode does the same: the "
        "derivative of `np.sqrt(x) ** 2` at 0 is 0, not 1.) Ties share equally. At a kink the derivative is the "
        "subgradient of least size.", "",
        "In one place the modes differ: where an infinite slope stands behind a slope of zero. Reverse mode has an "
        "infinite cotangent to multiply with zero, and gives NaN; forward mode has a zero tangent, and gives 0. So it "
        "is for `np.sqrt(np.sum(x * x))` at 0; `np.linalg.norm(x)` is 0 there in both. `npdiff.debug_nans` names the "
        "line.", "",
        "The derivative is that of the sum of the expression (of its real part); further ones follow in order, each of "
        "the sum of the one before. The name of an error means that it is raised.",
    ]
    for chapter, members in chapters().items():
        shown = [row for row in members if row.points]
        if shown:
            lines += ["", f"## {title(chapter)}", "", "| expression | x | derivative | further | rule |",
                      "|---|---|---|---|---|"]
            lines += [_point_line(row, p) for row in shown for p in row.points]
    return "\n".join(lines) + "\n"


PAGES = {"coverage.md": coverage, "conventions.md": conventions}


def write(folder: pathlib.Path) -> None:
    """Write all pages into a folder."""
    for name, make in PAGES.items():
        (folder / name).write_text(make(), encoding="utf-8")
        print(folder / name)
    page = folder / "backends.md"
    if page.exists():
        page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")
        print(page)


def _by_function(text: str) -> dict[str, list[str]]:
    """The table lines of a page by the function they begin with."""
    lines: dict[str, list[str]] = {}
    for line in text.splitlines():
        start = re.match(r"\| `[^`]*?(np\.[\w.]+)", line)
        if start:
            lines.setdefault(start[1], []).append(line)
    return lines


def differences(page: str, fresh: str) -> list[str]:
    """Lines in which a committed page is not what the rows say; functions only one NumPy has do not count."""
    made = _SERIES.search(page)
    if made is None or (int(made[1]), int(made[2])) == _series():
        pairs = (page.splitlines(), fresh.splitlines())
        return [f"- {a}" for a in pairs[0] if a not in pairs[1]] + [f"+ {b}" for b in pairs[1] if b not in pairs[0]]
    old, new = _by_function(page), _by_function(fresh)
    gone = [line for name, lines in old.items() if name not in new and found(name[3:]) is not None for line in lines]
    # A function that has sample calls on one of the two only cannot be compared.
    both = [name for name in old.keys() & new.keys()
            if any("| - |" in line for line in old[name]) == any("| - |" in line for line in new[name])]
    changed = [f"- {line}" for name in both for line in old[name] if line not in new[name]]
    changed += [f"+ {line}" for name in both for line in new[name] if line not in old[name]]
    older = (int(made[1]), int(made[2])) > _series()
    added = [] if older else [f"+ {line}" for name, lines in new.items() if name not in old for line in lines]
    return sorted([f"- {line}" for line in gone] + changed + added)


__all__ = ["PAGES", "conventions", "coverage", "differences", "write"]
