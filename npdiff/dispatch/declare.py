"""The kinds of row: everything npdiff knows about a NumPy function is declared through these.

A row says which NumPy function it is about and gives it a meaning. Rules are plain NumPy code on
operands that may themselves be tracked, so they are recorded, batched and compiled like user code,
and derivatives of any order follow from the first.
"""

from __future__ import annotations

import functools
import inspect
import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npdiff import core
from npdiff.array import ask, is_weak, take
from npdiff.avals import is_differentiable, is_foreign, ndarray
from npdiff.core import (
    Handle,
    Primitive,
    aval,
    bind,
    overrides,
    ufunc_primitives,
)
from npdiff.dispatch.rules import Rule, batch_elementwise, constant_primitive, elementwise_primitive
from npdiff.errors import warn_user
from npdiff.foreign import adopt

_NO_VALUE = np._NoValue  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Point:
    """A point where a function has no ordinary derivative, and what npdiff answers there.

    `call` is an expression in ``x``, in which ``f`` stands for the row's function, and `at` is x. `slopes` are the
    first, second, ... derivatives of the sum of its real part, or the class of the error that is raised instead.
    """

    why: str
    call: str
    at: Any
    slopes: tuple[Any, ...]


def point(why: str, call: str, at: Any, *slopes: Any) -> Point:
    """The convention at one point, from which the page of conventions and its test are made.

    >>> point("0 at 0", "f(x)", 0.0, 0.0).slopes
    (0.0,)
    """
    return Point(why, call, at, slopes)


def _chapter() -> str:
    """The module that is being imported now: rows are entered by the file they stand in."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return "" if frame is None else str(frame.f_globals["__name__"])


@dataclass
class Row:
    """One NumPy function: its name, its kind, what stands for it, and where it can be tested.

    `points` are the conventions where there is no derivative, `chapter` is the module the row stands in. `domain` says
    where a ufunc's operands may be drawn from. `cases` are sample calls of other functions, as text that the generated
    tests evaluate: ``A(2, 3)`` is a float array that is differentiated, ``I(4, high=3)`` an integer one, ``B(3)`` a
    mask (see samples.py). `since` is the first NumPy that has the function, `until` the first that no longer has it, ""
    for all that npdiff runs on; a function on its way out warns when it is called. `captured` says for which calls it
    has a stand-in while a transform runs, because NumPy's dispatch does not bring them here: those on "lists" that hold
    tracked values and with tracked values as parameters, all on "tracked" values, or those whose result is "made" new.
    """

    name: str
    kind: str
    func: Any
    prim: Primitive | None = None
    why: str = ""
    instead: str = ""
    notes: str = ""
    domain: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()
    since: str = ""
    until: str = ""
    captured: str = ""
    chapter: str = field(default_factory=_chapter)


# Every row by the NumPy name it is about ("np.linalg.inv").
rows: dict[str, Row] = {}
# Rows of functions that the NumPy that runs does not have.
absent: dict[str, Row] = {}
# The same names by ufunc: ufuncs of other packages may be called as NumPy's are.
_ufunc_names: dict[np.ufunc, str] = {}


def numpy_name(func: Any) -> str:
    """``np.linalg.inv`` for a NumPy function or ufunc."""
    if isinstance(func, np.ufunc):
        return _ufunc_names.get(func, f"ufunc {func.__name__}")
    module = getattr(func, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{getattr(func, '__name__', func)}"


core.services["numpy_name"] = numpy_name


def add_row(row: Row) -> None:
    """Enter a row; a function has exactly one."""
    if row.name in rows:
        raise ValueError(f"{row.name} already has a row")
    rows[row.name] = row
    if isinstance(row.func, np.ufunc):
        _ufunc_names[row.func] = row.name


# ---------------------------------------------------------------------- operands and parameters


def operand(a: Any) -> Any:
    """What a primitive accepts for what the user wrote: lists become arrays, tracked values in them survive."""
    if isinstance(a, (Handle, ndarray, np.generic, bool, int, float, complex)):
        return a
    if isinstance(a, (list, tuple)):
        return core.services["array"](a)
    if is_foreign(a):
        return adopt(a)
    if hasattr(a, "__array_function__"):
        return a
    return np.asarray(a)


def tolerance(v: Any) -> Any:
    """A number that values are compared with: a tracked one is asked for its value, as a comparison in an `if` asks."""
    return ask(v, "a tolerance") if isinstance(v, Handle) and not aval(v).ndim else static(v)


def static(v: Any) -> Any:
    """A parameter that decides shapes or modes: a tracked one is asked for its value."""
    if isinstance(v, Handle):
        return take(v, "a shape, axis or mode argument") if is_differentiable(aval(v).dtype) else ask(v, "index")
    if isinstance(v, tuple):
        return tuple([static(x) for x in v])
    if isinstance(v, list):
        return [static(x) for x in v]
    if isinstance(v, dict):
        return {static(k): static(x) for k, x in v.items()}
    return v


def write_out(result: Any, out: Any, name: str, casting: str = "same_kind", where: Any = True,
              stretch: bool = False) -> Any:
    """Write a result into ``out=`` as NumPy does and return the array that was written to."""
    if isinstance(out, tuple):
        (out,) = out
    if out is None:
        return result
    return core.services["write_out"](result, out, name, casting, where, stretch)


# ---------------------------------------------------------------------- ufuncs



# Operators of Python that raise nothing on numbers of one kind; of these, the second needs to be known.
_ALWAYS = frozenset([operator.add, operator.sub, operator.mul, operator.neg, operator.pos, operator.eq, operator.ne,
                     operator.lt, operator.le, operator.gt, operator.ge, operator.and_, operator.or_, operator.xor,
                     operator.invert])
_BY_A_NUMBER = frozenset([operator.truediv, operator.floordiv, operator.mod])


def _python_total(python: Rule) -> Any:
    """When an operator on Python numbers cannot raise: ``1 / x`` can, where NumPy would give inf."""

    def total(eq: Any, fixed: Sequence[bool]) -> bool:
        kinds = {a.aval.dtype.kind for a in eq.inputs} - {"b"}
        return (python in _ALWAYS and len(kinds) < 2) or (python in _BY_A_NUMBER and kinds == {"f"} and fixed[1])

    return total


def elementwise(
    ufunc: np.ufunc,
    *partials: Any,
    chooses: bool = False,
    domain: tuple[str, ...] = (),
    python: Rule | None = None,
    notes: str = "",
    points: Sequence[Point] = (),
    total: Any = None,
) -> None:
    """Row of a differentiable ufunc: its partial derivatives, given the output and the operands.

    `python` is the operator that Python applies to plain numbers, whose results stay plain numbers (NEP 50).
    """
    name = ufunc.__name__
    prim = elementwise_primitive(name, ufunc, partials, chooses=chooses, ufunc=ufunc, total=total)
    ufunc_primitives[ufunc] = prim
    if python is not None:
        core.python_primitives[ufunc] = elementwise_primitive(name, python, partials, chooses=chooses, ufunc=ufunc,
                                                              total=_python_total(python))
    add_row(Row(f"np.{name}", "elementwise", ufunc, prim, domain=domain, notes=notes, points=tuple(points)))


def elementwise_jvp(ufunc: np.ufunc, jvp: Rule, *, pull: Rule | None = None, domain: tuple[str, ...] = (),
                    python: Rule | None = None, notes: str = "", points: Sequence[Point] = ()) -> None:
    """Row of a ufunc whose derivative is linear over the reals only (``np.abs`` of complex numbers).

    A ufunc that stands in its own jvp (conjugate) needs a `pull` of its own: transposing the jvp would need it.
    """
    rules: dict[str, Any] = {"kind": "elementwise", "jvp": jvp, "pull": pull, "ufunc": ufunc}
    prim = Primitive(ufunc.__name__, ufunc, batch=batch_elementwise(lambda: prim), **rules)
    ufunc_primitives[ufunc] = prim
    if python is not None:
        other = Primitive(ufunc.__name__, python, batch=batch_elementwise(lambda: other), **rules,
                          total=_python_total(python))
        core.python_primitives[ufunc] = other
    add_row(Row(f"np.{ufunc.__name__}", "elementwise", ufunc, prim, domain=domain, notes=notes, points=tuple(points)))


# Sample operands of ufuncs without derivatives, of floats and of whole numbers; the second is for two operands.
_CONSTANT_CASES = {
    False: (("A(2, 3)", "A()[()]"), ("A(2, 3), A(3)", "A(3), 0.7", "A(2)[1], A(2)[0]")),
    True: (("I(2, 3)", "I()[()]"), ("I(2, 3, high=6), I(3, low=1, high=5)", "I(3, high=6), 2")),
}


def nondifferentiable_ufunc(*ufuncs: np.ufunc, python: Rule | None = None, cases: tuple[str, ...] | None = None,
                            points: Sequence[Point] = ()) -> None:
    """Rows of ufuncs whose derivative is zero wherever it exists (comparisons, rounding, bits)."""
    for ufunc in ufuncs:
        prim = _constant_ufunc(ufunc, ufunc)
        ufunc_primitives[ufunc] = prim
        if python is not None:
            core.python_primitives[ufunc] = _constant_ufunc(ufunc, python, _python_total(python))
        floats = any(t[0] == "d" for t in ufunc.types)
        own = _CONSTANT_CASES[not floats][ufunc.nin - 1] if cases is None else cases
        add_row(Row(f"np.{ufunc.__name__}", "nondifferentiable", ufunc, prim, cases=own, points=tuple(points)))


def _constant_ufunc(ufunc: np.ufunc, call: Rule, total: Any = None) -> Primitive:
    prim = Primitive(ufunc.__name__, call, kind="nondifferentiable", ufunc=ufunc, multiple=ufunc.nout > 1, total=total,
                     batch=batch_elementwise(lambda: prim))
    return prim


# ---------------------------------------------------------------------- rows for functions


def numpy_is(version: str) -> bool:
    """True if the NumPy that runs is this release ("2.1") or a later one."""
    return _release(np.__version__) >= _release(version)


def _release(version: str) -> tuple[int, ...]:
    return tuple([int(n) for n in version.split(".")[:2]])


def since(version: str, *cases: str) -> tuple[str, ...]:
    """Sample calls that NumPy takes from this release on; none of them where an older one runs."""
    return cases if numpy_is(version) else ()


def found(name: str) -> Any:
    """A function by its name below ``np`` ("linalg.vecdot"); None where this NumPy does not have it.

    A name that has been withdrawn, or goes with a warning, counts as missing.
    """
    at: Any = np
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            for part in name.split("."):
                at = getattr(at, part)
        except (AttributeError, DeprecationWarning, FutureWarning):
            return None
    return at


def function(func: Any, kind: str = "composite", prim: Primitive | None = None, notes: str = "",
             cases: Sequence[str] = (), since: str = "", until: str = "",
             retired: dict[str, str] | None = None, captured: str = "lists",
             points: Sequence[Point] = (), warns: str = "") -> Callable[[Rule], Rule]:
    """Row of a NumPy function written over primitives; the decorated code has the newest NumPy's own signature.

    A function that not every NumPy has goes by its name ("unstack"), with the release it came (`since`) or went with
    (`until`). `retired` names the parameters that only older NumPys have, and which parameter each has become ("" for
    one without effect). `warns` is what NumPy says when a function on its way out is called.
    """

    def enter(impl: Rule) -> Rule:
        known = found(func) if isinstance(func, str) else func
        name = f"np.{func}" if isinstance(func, str) else numpy_name(func)
        row = Row(name, kind, known, prim, notes=notes, cases=tuple(cases), points=tuple(points), since=since,
                  until=until, captured=captured)
        if known is None:
            absent[name] = row
            return impl
        overrides[known] = _as_before(known, impl, retired) if retired else _warning(impl, warns) if warns else impl
        add_row(row)
        return impl

    return enter


def _warning(impl: Rule, text: str) -> Rule:
    """`impl`, saying first that NumPy will lose the function."""

    @functools.wraps(impl)
    def leaving(*args: Any, **kwargs: Any) -> Any:
        warn_user(text, DeprecationWarning)
        return impl(*args, **kwargs)

    return leaving


def _as_before(func: Any, impl: Rule, retired: dict[str, str]) -> Rule:
    """`impl` behind the signature of an older NumPy; `impl` itself where the newest runs."""
    theirs = inspect.signature(func)
    if not set(retired) & set(theirs.parameters):
        return impl
    leading = [p.name for p in inspect.signature(impl).parameters.values() if p.kind is p.POSITIONAL_ONLY]

    def older(*args: Any, **kwargs: Any) -> Any:
        given = theirs.bind(*args, **kwargs).arguments
        for old, new in retired.items():
            value = given.pop(old, None)
            if value is None or value is _NO_VALUE:
                continue
            if theirs.parameters[old].default is not inspect.Parameter.empty:
                warn_user(f"{numpy_name(func)}: the parameter `{old}` is deprecated", DeprecationWarning)
            if new:
                given[new] = value
        return impl(*[given.pop(name) for name in leading if name in given], **given)

    older.__signature__ = theirs  # type: ignore[attr-defined]
    return older


def composite(func: Any, notes: str = "", cases: Sequence[str] = (), since: str = "", until: str = "",
              retired: dict[str, str] | None = None, captured: str = "lists",
              points: Sequence[Point] = (), warns: str = "") -> Callable[[Rule], Rule]:
    """Row of a NumPy function that is NumPy code over other functions."""
    return function(func, "composite", None, notes, cases, since, until, retired, captured, points, warns)


def direct(func: Any, kind: str, prim: Primitive, arrays: Sequence[str], notes: str = "",
           cases: Sequence[str] = (), captured: str = "lists", points: Sequence[Point] = (),
           stretch: bool = False) -> None:
    """Row of a function that is itself a primitive: `arrays` are its operands, all else are parameters."""
    parameters = inspect.signature(func).parameters
    names = list(parameters)
    defaults = {n: p.default for n, p in parameters.items()}

    def impl(*args: Any, **kwargs: Any) -> Any:
        bound = dict(zip(names, args, strict=False))
        bound.update(kwargs)
        out = bound.pop("out", None)
        operands = [operand(bound.pop(n)) for n in arrays if bound.get(n) is not None]
        params = {k: static(v) for k, v in bound.items()
                  if v is not _NO_VALUE and not (v is defaults[k] or (k in arrays and v is None))}
        result = bind(prim, operands, params)
        return result if out is None else write_out(result, out, numpy_name(func), stretch=stretch)

    impl.__signature__ = inspect.signature(func)  # type: ignore[attr-defined]
    overrides[func] = impl
    add_row(Row(numpy_name(func), kind, func, prim, notes=notes, cases=tuple(cases), points=tuple(points),
                captured=captured))


def nonlinear(func: Any, *, jvp: Rule, arrays: Sequence[str] = ("a",), batch: Rule | None = None,
              multiple: bool = False, notes: str = "", cases: Sequence[str] = (), captured: str = "lists",
              points: Sequence[Point] = (), total: bool | None = None) -> Primitive:
    """Row of a function with a hand-written jvp; reverse mode transposes the linearised jvp."""
    prim = Primitive(numpy_name(func)[3:], func, kind="nonlinear", jvp=jvp, batch=batch, multiple=multiple, total=total)
    direct(func, "nonlinear", prim, arrays, notes, cases, captured, points)
    return prim


def nondifferentiable(func: Any, *, arrays: Sequence[str] = ("a",), batch: Rule | None = None,
                      multiple: bool = False, dynamic: bool = False, notes: str = "",
                      cases: Sequence[str] = (), captured: str = "lists", points: Sequence[Point] = ()) -> Primitive:
    """Row of a function whose results are indices, counts or truth values."""
    prim = constant_primitive(numpy_name(func)[3:], func, batch=batch, multiple=multiple, dynamic=dynamic)
    direct(func, "nondifferentiable", prim, arrays, notes, cases, captured, points)
    return prim


def unsupported(func: Any, why: str, instead: str = "compute it on x.value, the plain array", name: str = "") -> None:
    """Row of a name that cannot be recorded, with the reason a user reads."""
    label = name or numpy_name(func)
    add_row(Row(label, "unsupported", func, why=why, instead=instead))

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise core.unsupported(label, why, *args, instead=instead)

    if callable(func) and not isinstance(func, (type, np.ufunc)):
        overrides[func] = refuse


__all__ = [
    "Point", "Row", "absent", "add_row", "composite", "direct", "elementwise", "elementwise_jvp", "found", "function",
    "is_weak", "nondifferentiable", "nondifferentiable_ufunc", "nonlinear", "numpy_is", "numpy_name", "operand",
    "point", "rows", "since", "static", "tolerance",
    "unsupported", "write_out",
]
