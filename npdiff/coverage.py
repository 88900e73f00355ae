"""What npdiff does with each NumPy function, read off its row and off graphs recorded from its sample calls."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff.array import DiffArray
from npdiff.avals import is_differentiable
from npdiff.backend.cuda_schedule import way_of
from npdiff.backend.jax_lowering import stays
from npdiff.core import Primitive
from npdiff.dispatch.declare import Row, found, rows
from npdiff.dispatch.optional import load_seen
from npdiff.errors import ArgumentError, NpdiffError, message
from npdiff.graph import Equation, Graph, Var
from npdiff.kernels.classify import elementwise, reduction
from npdiff.kernels.simplify import simplify
from npdiff.kernels.views import apply, whole
from npdiff.samples import cases, evaluate, is_array, is_float_array, split
from npdiff.transforms.tracing import make_graph

NONE = "-"
# Kinds of rows that never meet a tracked array, or refuse it.
_OUTSIDE = ("creation", "host call", "untracked", "unsupported")
_SAMPLES = 4


def expression(row: Row, call: str) -> str:
    """The expression of a point, with the function's name in the place of ``f``."""
    return re.sub(r"\bf\(", lambda _: f"{row.name}(", call)


@dataclass(frozen=True)
class Facts:
    """What is known of one function: each entry a word or two for a reader."""

    forward: str
    reverse: str
    vmap: str
    jit: str
    backends: str


# ---------------------------------------------------------------------- graphs of the sample calls


def _equations(graph: Graph) -> Iterator[Any]:
    for eq in graph.equations:
        yield eq
        for region in eq.regions:
            yield from _equations(region)


def _texts(row: Row) -> list[str]:
    """Sample calls of a row; plain operands for a ufunc that has none."""
    if isinstance(row.func, np.ufunc) and not cases(row):
        return [", ".join([maker] * row.func.nin) for maker in ("A(3)", "I(3)", "B(3)")]
    return cases(row)


def sampled(row: Row) -> list[Graph]:
    """Graphs of the first sample calls that take arrays: of float operands, else of any."""
    made: list[Graph] = []
    for chosen in (is_float_array, is_array):
        for text in _texts(row):
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    f, leaves = split(evaluate(row.name, text), chosen)
                    if leaves and all(leaf.size for leaf in leaves):
                        made.append(make_graph(f)(*leaves))
                except (NpdiffError, TypeError):  # (a ufunc that does not take such operands)
                    continue
            if len(made) == _SAMPLES:
                return made
        if made:
            return made
    return made


def _passes(graph: Graph) -> bool:
    """True if a derivative can pass from an input to an output."""
    active = {v for v in graph.inputs if is_differentiable(v.aval.dtype)}
    for eq in graph.equations:
        if eq.prim.kind != "nondifferentiable" and any(a in active for a in eq.inputs if isinstance(a, Var)):
            active |= {v for v in eq.outputs if is_differentiable(v.aval.dtype)}
    return any(a in active for a in graph.outputs if isinstance(a, Var))


def _place(eq: Equation) -> str:
    """What compiled code on the CPU does with an equation: fuse it, leave it to NumPy, or only look anew ("view")."""
    if elementwise(eq) is not None or reduction(eq) is not None:
        return "kernel"
    # A number of NumPy's as one of Python's is the same number.
    if eq.prim.name == "item" or (
            len(eq.inputs) == 1 and apply(eq.prim.name, whole(eq.inputs[0].aval.shape), eq.params) is not None):
        return "view"
    return "NumPy"


# For each backend, whether an equation is left to NumPy there, as far as that is known without the device.
BY_NUMPY: dict[str, Callable[[Equation], bool]] = {
    "cpu": lambda eq: _place(eq) == "NumPy",
    "cuda": lambda eq: _place(eq) == "NumPy" and way_of(eq).rule is None,
    "tpu": lambda eq: stays(eq, "tpu") != "",
}


def compiled(graph: Graph) -> list[Equation]:
    """The equations of a graph that compiled code has to do something about."""
    return [eq for eq in simplify(graph).equations if all(a.aval.size for a in eq.inputs)]


def _on_backends(equations: list[Equation]) -> str:
    """The backends on which these run compiled, in brackets where NumPy is called between."""
    return ", ".join([f"({name})" if any(map(left, equations)) else name for name, left in BY_NUMPY.items()])


# ---------------------------------------------------------------------- facts


def _rules(prims: list[Primitive], passes: bool) -> tuple[str, str]:
    differentiated = [p for p in prims if p.kind != "nondifferentiable"]
    if not passes or not differentiated:
        return "zero", "zero"
    forward = all(p.jvp is not None for p in differentiated)
    reverse = all(p.jvp is not None or p.pull is not None or p.terms is not None for p in differentiated)
    return "yes" if forward else "no", "yes" if reverse else "no"


def _mapped(prims: list[Primitive]) -> str:
    if any(p.dynamic for p in prims):
        return "where sizes agree"
    return "yes" if all(p.batch is not None for p in prims) else "one by one"


def facts(row: Row) -> Facts:
    """Forward, reverse, vmap and jit of a row, computed from the primitives that its sample calls run.

    Parameters
    ----------
    row
        A row of `npdiff.dispatch.declare.rows`.

    Returns
    -------
    Facts, whose entries are "yes", "no", "zero" (the result carries no derivative), or "-" where the question has no
    meaning; under `jit` stands what compiled code is made of: "kernel" where it can be fused, "NumPy" where it is a
    call, or both; "view" where nothing is left to do. `backends` names those that compile it, in brackets where NumPy
    is called for a part.

    Examples
    --------
    >>> import npdiff
    >>> from npdiff.coverage import facts
    >>> from npdiff.dispatch.declare import rows
    >>> facts(rows["np.linalg.inv"])
    Facts(forward='yes', reverse='yes', vmap='yes', jit='NumPy', backends='(cpu), cuda, tpu')
    """
    if row.kind in _OUTSIDE:
        return Facts(NONE, NONE, NONE, "ordered call" if row.kind == "host call" else NONE, NONE)
    graphs = sampled(row)
    if not graphs and row.prim is None:
        return Facts(NONE, NONE, NONE, NONE, NONE)
    prims = {id(eq.prim): eq.prim for g in graphs for eq in _equations(g) if not eq.prim.name.startswith("guard")}
    if row.prim is not None and not graphs:
        prims = {id(row.prim): row.prim}
    listed = list(prims.values())
    forward, reverse = _rules(listed, any(map(_passes, graphs)) if graphs else True)
    if not graphs:
        return Facts(forward, reverse, _mapped(listed), NONE, NONE)
    equations = [eq for g in graphs for eq in compiled(g)]
    jit = ", ".join(sorted({_place(eq) for eq in equations} - {"view"}, key=len)[::-1]) or "view"
    return Facts(forward, reverse, _mapped(listed), jit, _on_backends(equations))


def remarks(row: Row) -> str:
    """Notes of a row, and its conventions in words."""
    words = [row.why, row.notes, *dict.fromkeys(p.why for p in row.points)]
    return "; ".join(w for w in words if w)


# ---------------------------------------------------------------------- the command line


def find(name: str) -> Row:
    """The row a user means: ``sin``, ``np.linalg.inv``, ``linalg.inv``, ``abs`` or ``ndarray.sum``.

    Raises
    ------
    ArgumentError
        If there is none; the message names what comes near.
    """
    bare = name.strip().removesuffix("()")
    if bare.startswith("scipy."):
        return _of_scipy(bare)
    for prefix in ("numpy.", "np.", "ndarray."):
        bare = bare.removeprefix(prefix)
    row = rows.get(f"np.{bare}")
    thing = found(bare) if bare else None
    if row is None and thing is not None:
        row = next((r for r in _numpy_rows().values() if r.func is thing), None)
    if row is not None:
        return row
    way = _near(bare, "np.")
    if bare in dir(DiffArray):
        way = f"ndarray.{bare} is a method of npdiff.DiffArray and has no row of its own"
    raise ArgumentError(message(f"coverage: no NumPy function {name!r}", instead=way))


def _of_scipy(name: str) -> Row:
    try:
        importlib.import_module("scipy.special")
        importlib.import_module("scipy.linalg")
    except ImportError:
        raise ArgumentError(message(f"coverage: SciPy is not installed, so there is no {name}",
                                    instead='python -m pip install "npdiff[scipy]"')) from None
    load_seen()
    if name not in rows:
        raise ArgumentError(message(f"coverage: no SciPy function {name!r} has a row", instead=_near(name, "scipy.")))
    return rows[name]


def _near(name: str, package: str) -> str:
    """What to ask for instead of a name that no row of a package has."""
    names = [full for full in rows if full.startswith(package)]
    ends = {full.rpartition(".")[2]: full for full in names}
    end = name.rpartition(".")[2]
    near = [full for full in names if full.rpartition(".")[2] == end]
    near += [ends[other] for other in difflib.get_close_matches(end, ends, n=4, cutoff=0.6)]
    if near:
        return "did you mean " + ", ".join(dict.fromkeys(near)) + "?"
    return "python -m npdiff coverage lists what there is"


def title(chapter: str) -> str:
    """The heading of a chapter: what its module says of itself."""
    return (sys.modules[chapter].__doc__ or chapter).partition("\n")[0].rstrip(".")


def _numpy_rows() -> dict[str, Row]:
    """The rows that are counted and shown; those of other packages, entered once they are seen, are not."""
    return {name: row for name, row in rows.items() if name.startswith("np.")}


def chapters() -> dict[str, list[Row]]:
    """NumPy's rows by chapter, in alphabetical order."""
    found_rows: dict[str, list[Row]] = {}
    for row in sorted(_numpy_rows().values(), key=lambda r: (r.chapter, r.name)):
        found_rows.setdefault(row.chapter, []).append(row)
    return found_rows


def describe(row: Row) -> str:
    """One row for a reader."""
    f = facts(row)
    lines = [("kind", row.kind), ("forward", f.forward), ("reverse", f.reverse), ("vmap", f.vmap), ("jit", f.jit),
             ("backends", f.backends)]
    lines = [(label, text) for label, text in lines if text != NONE]
    if row.why:
        lines.append(("why", row.why))
    if row.instead:
        lines.append(("instead", row.instead))
    if row.notes:
        lines.append(("notes", row.notes))
    text = [row.name, *[f"  {label:<10}{words}" for label, words in lines]]
    shown = [(p.why, expression(row, p.call), f"x = {p.at!r}", slopes_text(p.slopes)) for p in row.points]
    wide = [max((len(s[k]) for s in shown), default=0) for k in (1, 2)]
    for why in dict.fromkeys(p.why for p in row.points):
        text += ["", f"  {why}"]
        text += [f"    {call:<{wide[0]}}  {at:<{wide[1]}}  {slopes}" for w, call, at, slopes in shown if w == why]
    return "\n".join(text)


def slopes_text(slopes: tuple[Any, ...]) -> str:
    """Derivatives of a point in words: ``derivative 0, second 1``."""
    names = ("derivative", "second", "third", "fourth")
    return ", ".join(f"{name} {slope_text(s)}" for name, s in zip(names, slopes, strict=False))


def slope_text(slope: Any) -> str:
    """One derivative: a number to six digits, a list of them, or the name of an error."""
    if isinstance(slope, type):
        return slope.__name__
    if isinstance(slope, (list, tuple)):
        return "[" + ", ".join(map(slope_text, slope)) + "]"
    return f"{slope:.6g}"


def summary() -> str:
    """The whole table in brief: how many functions of each kind, by chapter."""
    lines = []
    for chapter, members in chapters().items():
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(r.kind for r in members).items()))
        lines.append(f"{chapter.rpartition('.')[2]:<16}{len(members):>4}  {kinds}")
    known = [row for members in chapters().values() for row in members]
    points = sum(len(r.points) for r in known)
    return "\n".join([
        f"NumPy {np.__version__}: {len(known)} functions have a row, {points} points without a derivative are settled",
        "", *lines, "", "python -m npdiff coverage NAME tells what holds for one of them"])


def main(name: str | None) -> int:
    """Print one row, or the summary; returns the exit status."""
    if name is None:
        print(summary())
        return 0
    try:
        print(describe(find(name)))
    except ArgumentError as error:
        what, _, instead = str(error).partition("\n")
        print(f"python -m npdiff {what}\n  {instead.rpartition('instead: ')[2]}", file=sys.stderr)
        return 2
    return 0


__all__ = ["BY_NUMPY", "Facts", "chapters", "compiled", "describe", "expression", "facts", "find", "main", "remarks",
           "sampled", "slope_text", "slopes_text", "summary", "title"]
