"""The kinds of row: everything npdiff knows about a NumPy function is declared through these.

A row says which NumPy function it is about and gives it a meaning. Rules are plain NumPy code on
operands that may themselves be tracked, so they are recorded, batched and compiled like user code,
and derivatives of any order follow from the first.

Arguments of a rule whose names start with an underscore are not needed by it, and not kept for it.
"""

from __future__ import annotations

import cmath
import inspect
import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npdiff import core
from npdiff.array import ask, is_weak, take
from npdiff.avals import is_differentiable, ndarray
from npdiff.core import (
    AVAL,
    NOTHING,
    VALUE,
    Handle,
    Primitive,
    aval,
    bind,
    overrides,
    own_primitive,
    shape_of,
    ufunc_primitives,
    unchanged,
)
from npdiff.errors import NotDifferentiableError, message, warn_user

Rule = Callable[..., Any]
_NO_VALUE = np._NoValue  # type: ignore[attr-defined]
_NUMBERS = (int, float, complex, np.float64, np.complex128)


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
    tracked values, all on "tracked" values, or those whose result is "made" new.
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
    if hasattr(a, "__array_function__"):
        return a
    return np.asarray(a)


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


# ---------------------------------------------------------------------- rules that several kinds share


def _finite(p: Any) -> bool:
    # One pass, no temporary array, no warning; what overflows in it is only looked at more closely.
    return type(p) is ndarray and cmath.isfinite(np.vdot(p, p))


def _zeroed(zero: Any, product: Any) -> Any:
    return np.where(zero, np.zeros((), product.dtype), product)[()]


def _strong_multiply_arrays(ct: Any, p: Any) -> Any:
    if _finite(p):
        return np.multiply(ct, p)
    with np.errstate(all="ignore"):
        return _zeroed(np.equal(ct, 0), np.multiply(ct, p))


def _strong_product_arrays(a: Any, b: Any) -> Any:
    if _finite(a) and _finite(b):
        return np.multiply(a, b)
    with np.errstate(all="ignore"):
        return _zeroed(np.logical_or(np.equal(a, 0), np.equal(b, 0)), np.multiply(a, b))


def _product_rules(left: Rule, right: Rule) -> tuple[Rule, Rule]:
    """jvp and pull of a product of a and b: ``left(da, b)`` and ``right(a, db)`` are its two parts."""

    def jvp(_out: Any, primals: Any, tangents: Any) -> Any:
        (a, b), (da, db) = primals, tangents
        return add_tangents(None if da is None else left(da, b), None if db is None else right(a, db))

    def pull(g: Any, _out: Any, args: Any, needed: Any, _params: Any) -> Any:
        a, b = args
        return None if needed[0] is None else left(g, b), None if needed[1] is None else right(a, g)

    return jvp, pull


def add_tangents(*terms: Any) -> Any:
    """Sum of tangents, where None stands for zero."""
    total = None
    for t in terms:
        if t is not None:
            total = t if total is None else np.add(total, t)
    return total


def align(args: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Give operands with a leading batch axis the size-1 axes that broadcasting needs behind it."""
    ndims = [len(shape_of(a)) - b for a, b in zip(args, batched, strict=True)]
    most = max(ndims, default=0)
    out = []
    for a, b, n in zip(args, batched, ndims, strict=True):
        if b and n < most:
            s = shape_of(a)
            a = np.reshape(a, (s[0],) + (1,) * (most - n) + tuple(s[1:]))
        out.append(a)
    return out


def batch_elementwise(prim_of: Callable[[], Primitive]) -> Rule:
    """Batching rule of an elementwise primitive."""

    def rule(_size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        return prim_of().call(*align(args, batched), **params)

    return rule


def _product_primitive(name: str, impl: Rule, left: Rule) -> Primitive:
    jvp, pull = _product_rules(left, lambda a, b: strong_product(a, b))
    prim: Primitive = own_primitive(name, impl, kind="elementwise", jvp=jvp, pull=pull, saves=(NOTHING, VALUE),
                                    batch=batch_elementwise(lambda: prim))
    return prim


_strong_multiply_p = _product_primitive("strong_multiply", _strong_multiply_arrays, lambda a, b: strong_multiply(a, b))
_strong_product_p = _product_primitive("strong_product", _strong_product_arrays, lambda a, b: strong_product(a, b))


def strong_multiply(ct: Any, p: Any) -> Any:
    """``ct * p``, but zero where `ct` is zero, even if `p` is infinite or NaN there."""
    if type(p) is ndarray and isinstance(ct, (ndarray, np.generic)) and not isinstance(ct, Handle):
        if cmath.isfinite(np.vdot(p, p)):
            return ct * p
        return _strong_multiply_arrays(ct, p)
    if type(ct) in _NUMBERS and ct:  # above all the 1.0 that every gradient starts from
        return ct * p
    if isinstance(ct, Handle) or isinstance(p, Handle):
        return bind(_strong_multiply_p, (ct, p), {})
    if type(p) in _NUMBERS and cmath.isfinite(p):  # one product, and no primitive where p is a constant
        return ct * p
    return _strong_multiply_arrays(ct, p)


def strong_product(a: Any, b: Any) -> Any:
    """``a * b``, but zero where either is zero, even if the other is infinite or NaN there."""
    return _strong_product_p.call(a, b)


def wants(rule: Rule) -> list[bool]:
    """Which positional arguments of a rule are read: those whose names do not start with an underscore."""
    return [not p.name.startswith("_") for p in inspect.signature(rule).parameters.values()]


# ---------------------------------------------------------------------- elementwise


class NoPartial:
    """Stands for a partial derivative that is not known: asking for it is an error."""

    def __init__(self, text: str, instead: str) -> None:
        self.text, self.instead = text, instead

    def refuse(self, _x: Any, _y: Any, *args: Any) -> Any:
        """Where the partial would be multiplied with a tangent or cotangent."""
        raise NotDifferentiableError(message(self.text, *[a for a in args if a is not None], instead=self.instead))


def first(_y: Any, a: Any, _b: Any) -> Any:
    """A partial derivative that is the first operand."""
    return a


def second(_y: Any, _a: Any, b: Any) -> Any:
    """A partial derivative that is the second operand."""
    return b


def _term(rule: Any, product: Rule, operands: int) -> Rule | None:
    """``(x, y, *operands) -> x * partial``, for a tangent or cotangent x."""
    if rule is None:
        return None
    if isinstance(rule, NoPartial):
        return rule.refuse
    if callable(rule):
        if operands == 1:  # the way back gives a term of one operand two
            return lambda x, y, a, _b=None: product(x, rule(y, a))
        if operands == 2:
            if rule is first:
                return lambda x, _y, a, _b: product(x, a)
            return (lambda x, _y, _a, b: product(x, b)) if rule is second else (
                lambda x, y, a, b: product(x, rule(y, a, b)))
        return lambda x, y, *args: product(x, rule(y, *args))
    if rule == 1:
        return unchanged
    return (lambda x, _y, *_args: -x) if rule == -1 else (lambda x, _y, *_args: x * rule)


def _plain_term(rule: Any, product: Rule, operands: int) -> Rule | None:
    """`_term` for plain arrays without a look at zeros and infinities."""
    if not callable(rule):
        return _term(rule, product, operands)
    if operands == 1:
        return lambda x, y, a, _b=None: (
            x * p if type(p := rule(y, a)) is ndarray and type(x) is ndarray else product(x, p))
    if rule is first:
        return lambda x, _y, a, _b: x * a if type(a) is ndarray and type(x) is ndarray else product(x, a)
    if rule is second:
        return lambda x, _y, _a, b: x * b if type(b) is ndarray and type(x) is ndarray else product(x, b)
    return lambda x, y, a, b: (
        x * p if type(p := rule(y, a, b)) is ndarray and type(x) is ndarray else product(x, p))


def elementwise_primitive(
    name: str,
    call: Rule | None,
    partials: Sequence[Any],
    *,
    chooses: bool = False,
    ufunc: np.ufunc | None = None,
    impl: Rule | None = None,
    total: Any = None,
) -> Primitive:
    """A primitive with one partial derivative per operand.

    A partial is a rule ``(y, *operands) -> dy/doperand``, a number (a constant partial), a `NoPartial`, or None: no
    derivative passes through that operand. A zero cotangent or tangent stays zero, even where the partial is infinite
    or NaN; where the function `chooses` among its operands, a partial of zero passes nothing, whatever arrives.
    """
    product = strong_product if chooses else strong_multiply
    saves = [NOTHING] * (len(partials) + 1)
    for rule in partials:
        if callable(rule):
            saves = [VALUE if w else s for s, w in zip(saves, wants(rule), strict=True)]

    count = len(partials)
    terms = tuple([_term(rule, product, count) for rule in partials])
    back = None if count > 2 else tuple([_plain_term(rule, product, count) for rule in partials]) + terms

    def jvp(y: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        return add_tangents(*[
            term(t, y, *primals) for t, term in zip(tangents, terms, strict=True) if t is not None and term is not None
        ])

    rules: dict[str, Any] = {
        "kind": "elementwise", "jvp": jvp, "terms": terms, "back": back, "saves": tuple(saves), "ufunc": ufunc,
        "total": total,
    }
    rules["batch"] = batch_elementwise(lambda: prim)
    prim = own_primitive(name, impl, **rules) if impl is not None else Primitive(name, call, **rules)
    return prim


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


def nondifferentiable_ufunc(*ufuncs: np.ufunc, python: Rule | None = None, cases: tuple[str, ...] = (),
                            points: Sequence[Point] = ()) -> None:
    """Rows of ufuncs whose derivative is zero wherever it exists (comparisons, rounding, bits)."""
    for ufunc in ufuncs:
        prim = _constant_ufunc(ufunc, ufunc)
        ufunc_primitives[ufunc] = prim
        if python is not None:
            core.python_primitives[ufunc] = _constant_ufunc(ufunc, python, _python_total(python))
        floats = any(t[0] == "d" for t in ufunc.types)
        # (np.isnat takes dates only)
        own = cases or (() if ufunc is np.isnat else _CONSTANT_CASES[not floats][ufunc.nin - 1])
        add_row(Row(f"np.{ufunc.__name__}", "nondifferentiable", ufunc, prim, cases=own, points=tuple(points)))


def _constant_ufunc(ufunc: np.ufunc, call: Rule, total: Any = None) -> Primitive:
    prim = Primitive(ufunc.__name__, call, kind="nondifferentiable", ufunc=ufunc, multiple=ufunc.nout > 1, total=total,
                     batch=batch_elementwise(lambda: prim))
    return prim


# ---------------------------------------------------------------------- linear, bilinear, nonlinear primitives


def linear_primitive(
    name: str, call: Rule | None, transpose: Rule, *, batch: Rule | None = None, impl: Rule | None = None,
    operands: tuple[int, ...] | None = None, kind: str = "linear", total: Any = None,
) -> Primitive:
    """A primitive linear in its operands together: its jvp is itself, its pullback its transpose.

    ``transpose(ct, *operands, **params)`` gives the operands' cotangents (a tuple if there are several); it may
    read only shape, ndim, size and dtype of the operands. `operands` names the positions the map is linear in
    (default: all); the others are constants, and their values may be read.
    """

    def linear_in(i: int) -> bool:
        return operands is None or i in operands

    def jvp(out: Any, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        filled = [
            p if not linear_in(i) else np.zeros_like(p) if t is None else t
            for i, (p, t) in enumerate(zip(primals, tangents, strict=True))
        ]
        if all(t is None for i, t in enumerate(tangents) if linear_in(i)):
            return None
        return prim.call(*filled, **params)

    def pull(ct: Any, _out: Any, args: Sequence[Any], needed: Sequence[Any], params: dict[str, Any]) -> Any:
        cts = transpose(ct, *args, **params)
        return cts if isinstance(cts, (tuple, list)) else (cts,)

    saves: tuple[int, ...] = (NOTHING, AVAL)
    if operands is not None:
        saves = (NOTHING, *[AVAL if linear_in(i) else VALUE for i in range(max(operands) + 1)], VALUE)
    rules: dict[str, Any] = {"kind": kind, "jvp": jvp, "pull": pull, "batch": batch, "saves": saves, "total": total}
    prim = own_primitive(name, impl, **rules) if impl is not None else Primitive(name, call, **rules)
    return prim


def bilinear_primitive(
    name: str, call: Rule | None, left: Rule, right: Rule, *, batch: Rule | None = None, impl: Rule | None = None,
) -> Primitive:
    """A product: linear in each of two operands; ``left(ct, a, b, **params)`` gives the cotangent of `a`."""

    def jvp(out: Any, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        (a, b), (da, db) = primals, tangents
        return add_tangents(
            None if da is None else prim.call(da, b, **params), None if db is None else prim.call(a, db, **params)
        )

    def pull(ct: Any, _out: Any, args: Sequence[Any], needed: Sequence[Any], params: dict[str, Any]) -> Any:
        a, b = args
        return (
            None if needed[0] is None else left(ct, a, b, **params),
            None if needed[1] is None else right(ct, a, b, **params),
        )

    rules: dict[str, Any] = {"kind": "bilinear", "jvp": jvp, "pull": pull, "batch": batch, "saves": (NOTHING, VALUE)}
    prim = own_primitive(name, impl, **rules) if impl is not None else Primitive(name, call, **rules)
    return prim


def constant_primitive(name: str, call: Rule | None, *, batch: Rule | None = None, impl: Rule | None = None,
                       multiple: bool = False, dynamic: bool = False, total: bool | None = None) -> Primitive:
    """A primitive whose result carries no derivative (indices, counts, tests)."""
    rules: dict[str, Any] = {"kind": "nondifferentiable", "batch": batch, "multiple": multiple, "dynamic": dynamic,
                             "total": total}
    return own_primitive(name, impl, **rules) if impl is not None else Primitive(name, call, **rules)


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
             retired: dict[str, str] | None = None, captured: str = "",
             points: Sequence[Point] = ()) -> Callable[[Rule], Rule]:
    """Row of a NumPy function written over primitives; the decorated code has the newest NumPy's own signature.

    A function that not every NumPy has goes by its name ("unstack"), with the release it came (`since`) or went with
    (`until`). `retired` names the parameters that only older NumPys have, and which parameter each has become ("" for
    one without effect).
    """

    def enter(impl: Rule) -> Rule:
        known = found(func) if isinstance(func, str) else func
        name = f"np.{func}" if isinstance(func, str) else numpy_name(func)
        row = Row(name, kind, known, prim, notes=notes, cases=tuple(cases), points=tuple(points), since=since,
                  until=until, captured=captured)
        if known is None:
            absent[name] = row
            return impl
        overrides[known] = _as_before(known, impl, retired) if retired else impl
        add_row(row)
        return impl

    return enter


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
              retired: dict[str, str] | None = None, captured: str = "",
              points: Sequence[Point] = ()) -> Callable[[Rule], Rule]:
    """Row of a NumPy function that is NumPy code over other functions."""
    return function(func, "composite", None, notes, cases, since, until, retired, captured, points)


def direct(func: Any, kind: str, prim: Primitive, arrays: Sequence[str], notes: str = "",
           cases: Sequence[str] = (), captured: str = "", points: Sequence[Point] = (), stretch: bool = False) -> None:
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
              multiple: bool = False, notes: str = "", cases: Sequence[str] = (), captured: str = "",
              points: Sequence[Point] = (), total: bool | None = None) -> Primitive:
    """Row of a function with a hand-written jvp; reverse mode transposes the linearised jvp."""
    prim = Primitive(numpy_name(func)[3:], func, kind="nonlinear", jvp=jvp, batch=batch, multiple=multiple, total=total)
    direct(func, "nonlinear", prim, arrays, notes, cases, captured, points)
    return prim


def nondifferentiable(func: Any, *, arrays: Sequence[str] = ("a",), batch: Rule | None = None,
                      multiple: bool = False, dynamic: bool = False, notes: str = "",
                      cases: Sequence[str] = (), points: Sequence[Point] = ()) -> Primitive:
    """Row of a function whose results are indices, counts or truth values."""
    prim = constant_primitive(numpy_name(func)[3:], func, batch=batch, multiple=multiple, dynamic=dynamic)
    direct(func, "nondifferentiable", prim, arrays, notes, cases, points=points)
    return prim


def unsupported(func: Any, why: str, instead: str = "compute it on x.value, the plain array", name: str = "") -> None:
    """Row of a name that cannot be recorded, with the reason a user reads."""
    label = name or numpy_name(func)
    add_row(Row(label, "unsupported", func, why=why, instead=instead))

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise core.unsupported(label, why, *args, instead=instead)

    if callable(func) and not isinstance(func, (type, np.ufunc)):
        overrides[func] = refuse


# ---------------------------------------------------------------------- batching rules to choose from


def shift_axis(axis: Any, ndim: int) -> Any:
    """An axis of one example, as an axis of the batch: counted from the front, one further."""
    if isinstance(axis, (tuple, list)):
        return tuple([shift_axis(a, ndim) for a in axis])
    axis = int(axis)
    return axis + 1 if axis >= 0 else axis + ndim + 1


def batch_leading(prim_of: Callable[[], Primitive]) -> Rule:
    """For functions that work on the last axes and treat leading ones as a stack (np.linalg)."""

    def rule(_size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        return prim_of().call(*args, **params)

    return rule


__all__ = [
    "NoPartial", "Point", "Row", "absent", "add_row", "add_tangents", "align", "batch_elementwise", "batch_leading",
    "bilinear_primitive", "composite", "constant_primitive", "direct", "elementwise", "elementwise_jvp",
    "elementwise_primitive", "found", "function", "is_weak", "linear_primitive", "nondifferentiable",
    "nondifferentiable_ufunc", "nonlinear", "numpy_is", "numpy_name", "operand", "point", "rows", "shift_axis", "since",
    "static", "strong_multiply", "strong_product", "unsupported", "write_out",
]
