"""The kinds of row that SciPy's functions have.

A ufunc of scipy.special reaches npdiff by itself. A Python function of SciPy's turns its arguments into plain
arrays first, so a stand-in takes its place in SciPy's namespace while a transform runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.special
from scipy.special import _ufuncs

from npdiff.core import Primitive, aval, ufunc_primitives, unsupported
from npdiff.dispatch.capture import also_capture
from npdiff.dispatch.creation import holds_handle
from npdiff.dispatch.declare import Row, add_row
from npdiff.dispatch.rules import (
    NoPartial,
    Rule,
    add_tangents,
    batch_elementwise,
    constant_primitive,
    elementwise_primitive,
    strong_product,
)

_CONSTANT = "pass it as a constant (npdiff.stop_gradient), or give the function a rule with npdiff.custom_jvp"


class _Ufuncs:
    """scipy.special's ufuncs by name; with SCIPY_ARRAY_API=1 the public names are Python functions around them."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_ufuncs, name)


S: Any = _Ufuncs()

# ---------------------------------------------------------------------- ufuncs


def _name(name: str) -> str:
    return f"scipy.special.{name}" if not name.startswith("_") else f"scipy.special._ufuncs.{name}"


def no_partial(name: str, operand: str) -> NoPartial:
    """What stands for the derivative of a ufunc with respect to an operand for which none is known."""
    return NoPartial(f"{_name(name)}: its derivative with respect to {operand} has no closed form that npdiff knows",
                     _CONSTANT)


def _partials(name: str, rules: Sequence[Any]) -> list[Any]:
    return [no_partial(name, r) if isinstance(r, str) else r for r in rules]


def _enter(name: str, kind: str, ufunc: Any, prim: Primitive, cases: Sequence[str], notes: str) -> None:
    ufunc_primitives[ufunc] = prim
    add_row(Row(_name(name), kind, ufunc, prim, cases=tuple(cases), notes=notes))


def special(name: str, *partials: Any, cases: Sequence[str] = ("A(3)",), notes: str = "") -> None:
    """Row of a ufunc with one result: a partial for each operand, given the output and the operands.

    Text instead of a rule names an operand with respect to which no derivative is known.
    """
    ufunc = getattr(_ufuncs, name, None)
    if ufunc is None:  # this SciPy does not have it
        return
    label = _name(name)
    prim = elementwise_primitive(label, ufunc, _partials(name, partials), ufunc=ufunc)
    _enter(name, "elementwise", ufunc, prim, cases, notes)


def special_jvp(name: str, jvp: Rule, *, cases: Sequence[str], notes: str = "") -> None:
    """Row of a ufunc whose derivative is linear over the reals only, or that has several results.

    ``jvp(out, operands, tangents)`` gives the tangent of each result; a tangent may be None (zero).
    """
    ufunc = getattr(_ufuncs, name, None)
    if ufunc is None:
        return
    prim: Primitive = Primitive(_name(name), ufunc, kind="nonlinear", jvp=jvp, ufunc=ufunc, multiple=ufunc.nout > 1,
                                batch=batch_elementwise(lambda: prim))
    _enter(name, "nonlinear", ufunc, prim, cases, notes)


def several(name: str, *partials: Any, cases: Sequence[str], notes: str = "") -> None:
    """Row of a ufunc with several results: for each operand a rule that gives the partials of all of them."""
    rules = _partials(name, partials)

    def jvp(out: Any, primals: Any, tangents: Any) -> Any:
        total: list[Any] = [None] * len(out)
        for rule, t in zip(rules, tangents, strict=True):
            if t is None:
                continue
            slopes = rule.refuse(None, None, *primals) if isinstance(rule, NoPartial) else rule(out, *primals)
            total = [add_tangents(old, strong_product(t, s)) for old, s in zip(total, slopes, strict=True)]
        return tuple(total)

    special_jvp(name, jvp, cases=cases, notes=notes)


def unknown(name: str, *operands: str, cases: Sequence[str]) -> None:
    """Row of a ufunc none of whose derivatives is known; its values can be computed under any transform."""
    ufunc = getattr(_ufuncs, name, None)
    if ufunc is None:
        return
    if ufunc.nout > 1:
        several(name, *operands, cases=cases)
    else:
        special(name, *operands, cases=cases)


def steps(*names: str) -> None:
    """Rows of ufuncs whose derivative is zero wherever it exists."""
    for name in names:
        ufunc = getattr(_ufuncs, name)
        prim = constant_primitive(_name(name), ufunc, batch=batch_elementwise(functools.partial(
            ufunc_primitives.__getitem__, ufunc)))
        _enter(name, "nondifferentiable", ufunc, prim, ("A(3)",), "")


# ---------------------------------------------------------------------- functions

_waiting: dict[int, tuple[Any, dict[str, Any]]] = {}


def _stand_in(module: Any, name: str, impl: Rule) -> None:
    """Let `impl` answer for a function of SciPy's where an argument is tracked, whoever calls it."""
    original = getattr(module, name)

    @functools.wraps(original)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        return (impl if holds_handle([*args, *kwargs.values()]) else original)(*args, **kwargs)

    _waiting.setdefault(id(module), (module, {}))[1][name] = stand_in


_rowed: set[int] = set()


def _function_row(module: Any, name: str, kind: str, **about: Any) -> str:
    """Enter a row, unless the function is another name of one that has a row; the full name."""
    label, original = f"{module.__name__}.{name}", getattr(module, name)
    if id(original) not in _rowed:
        _rowed.add(id(original))
        add_row(Row(label, kind, original, **about))
    return label


def composite(module: Any, name: str, *, kind: str = "composite", cases: Sequence[str] = (),
              notes: str = "") -> Callable[[Rule], Rule]:
    """Row of a Python function of SciPy's; the decorated code has its signature and is code over other functions."""

    def enter(impl: Rule) -> Rule:
        if hasattr(module, name):
            implementations[_function_row(module, name, kind, cases=tuple(cases), notes=notes)] = impl
            _stand_in(module, name, impl)
        return impl

    return enter


# What answers for a function of SciPy's, by the row's name.
implementations: dict[str, Rule] = {}


def through(module: Any, *names: str, cases: Sequence[str] = ()) -> None:
    """Rows of Python functions that reach npdiff by themselves, because they only call what has rows."""
    for name in names:
        if hasattr(module, name):
            _function_row(module, name, "composite", cases=tuple(cases))


def untracked(module: Any, why: str, names: str) -> None:
    """Rows of functions that never see a tracked array."""
    for name in names.split():
        if hasattr(module, name):
            _function_row(module, name, "untracked", why=why)


def refused(module: Any, why: str, names: str, instead: str) -> None:
    """Rows of functions that cannot be recorded, with the reason a user reads."""
    for name in names.split():
        if not hasattr(module, name):
            continue
        label = _function_row(module, name, "unsupported", why=why, instead=instead)

        def refuse(*args: Any, label: str = label, **kwargs: Any) -> Any:
            raise unsupported(label, why, *args, *kwargs.values(), instead=instead)

        _stand_in(module, name, refuse)


def capture_functions(module: Any) -> None:
    """Hand the stand-ins of a module's functions to the capture mechanism (once, after its last row)."""
    _, stand_ins = _waiting.pop(id(module))
    also_capture(vars(module), stand_ins)


def capture_ufuncs() -> None:
    """With SCIPY_ARRAY_API=1, let the ufuncs stand in for the Python functions around them."""
    for name in dir(scipy.special):
        ufunc, public = getattr(_ufuncs, name, None), getattr(scipy.special, name)
        if isinstance(ufunc, np.ufunc) and public is not ufunc and callable(public):
            _stand_in(scipy.special, name, lambda *args, ufunc=ufunc, **kwargs: ufunc(*args, **kwargs))


def is_complex(*operands: Any) -> bool:
    """True if an operand is complex."""
    return any([aval(a).dtype.kind == "c" for a in operands])


def over(a: Any, b: Any, at_zero: Any) -> Any:
    """``a / b``, with the limit `at_zero` where b is zero."""
    zero = np.equal(b, 0)
    return np.where(zero, at_zero, np.divide(a, np.where(zero, 1, b)))


__all__ = ["S", "capture_functions", "capture_ufuncs", "composite", "implementations", "is_complex", "no_partial",
           "over", "refused", "several", "special", "special_jvp", "steps", "through", "unknown", "untracked"]
