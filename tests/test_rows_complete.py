"""Every public function of NumPy stands in exactly one row, with NumPy's own signature."""

from __future__ import annotations

import inspect
import types
import warnings
from typing import Any

import numpy as np
import pytest
from differential import differential, function

from npdiff.core import overrides, ufunc_primitives
from npdiff.dispatch import declare
from npdiff.dispatch.declare import absent, numpy_is, rows, since
from npdiff.dispatch.effects import _GENERATORS
from npdiff.dispatch.ufuncs import composites

NAMESPACES = (("np", np), ("np.linalg", np.linalg), ("np.fft", np.fft), ("np.emath", np.emath),
              ("np.random", np.random), ("np.random.Generator", np.random.Generator))


def public(prefix: str, module: Any) -> dict[str, Any]:
    """The functions and classes of a namespace; scalar types, errors, modules and constants are not counted."""
    found = {}
    for name in dir(module):
        if name.startswith("_"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                thing = getattr(module, name)
            except (AttributeError, DeprecationWarning, FutureWarning):
                continue  # on its way out: using the name warns already
        if isinstance(thing, type) and issubclass(thing, (np.generic, BaseException)):
            continue
        if callable(thing) and not isinstance(thing, (types.ModuleType, np.dtype)):
            found[f"{prefix}.{name}"] = thing
    return found


PUBLIC = {name: thing for prefix, module in NAMESPACES for name, thing in public(prefix, module).items()}


def test_every_function_has_a_row() -> None:
    covered = {id(row.func) for row in rows.values()}
    assert sorted(name for name, thing in PUBLIC.items() if id(thing) not in covered) == []


def test_every_row_is_a_public_function() -> None:
    known = {id(thing) for thing in PUBLIC.values()}
    # (np.lib has a few public functions, beside many that are not; SciPy's rows are asked in test_scipy.py)
    loose = [name for name, row in rows.items() if id(row.func) not in known
             and not name.startswith(("np.lib.", "scipy."))]
    assert sorted(loose) == []


def test_a_function_stands_in_one_row_only() -> None:
    seen: dict[int, str] = {}
    for name, row in rows.items():
        assert id(row.func) not in seen, f"{name} and {seen[id(row.func)]} are the same function"
        seen[id(row.func)] = name


def test_rows_that_refuse_say_why() -> None:
    for name, row in rows.items():
        if row.kind == "unsupported":
            assert row.why, name
            assert row.instead, name


def test_every_dispatched_function_is_overridden() -> None:
    dispatched = {n: f for n, f in PUBLIC.items() if hasattr(f, "_implementation") and n.split(".")[1] != "random"}
    quiet = ("creation", "untracked")
    loose = sorted(n for n, f in dispatched.items() if f not in overrides and rows_kind(f) not in quiet)
    assert loose == []


def rows_kind(func: Any) -> str:
    return next((row.kind for row in rows.values() if row.func is func), "")


def parameters(func: Any) -> dict[str, tuple[Any, Any]]:
    """Name -> kind and default, of what `inspect` can see."""
    return {p.name: (p.kind, p.default) for p in inspect.signature(func).parameters.values()}


def same_default(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and a == b)


# The newest NumPy whose signatures the rows are written after.
NEWEST = "2.5"

WRITTEN = [name for name, row in rows.items()
           if row.func in overrides and row.kind not in ("unsupported", "creation", "untracked")]


@pytest.mark.parametrize("name", WRITTEN)
def test_signatures(name: str) -> None:
    func = rows[name].func
    try:
        theirs = parameters(func)
    except ValueError:
        pytest.skip("NumPy does not tell this signature")
    ours = parameters(overrides[func])
    empty = inspect.Parameter.empty
    for parameter, (kind, default) in theirs.items():
        assert parameter in ours, parameter
        assert ours[parameter][0] is kind, parameter
        newly_optional = default is empty and ours[parameter][1] is not empty and not numpy_is(NEWEST)
        assert newly_optional or same_default(ours[parameter][1], default), parameter
    assert [p for p in ours if p in theirs] == list(theirs)
    if numpy_is(NEWEST):
        assert ours == theirs
    # A newer NumPy has more parameters than an older one: they come last, or are keywords, and have a default.
    assert all(ours[p][1] is not empty for p in set(ours) - set(theirs))


def test_rows_say_which_numpys_have_the_function() -> None:
    for name, row in (rows | absent).items():
        there = (not row.since or numpy_is(row.since)) and (not row.until or not numpy_is(row.until))
        assert there is (name in rows), name


def test_cases_of_a_newer_numpy() -> None:
    assert since("2.0", "A(3)") == ("A(3)",)
    assert since("99.0", "A(3)", "A(2)") == ()
    assert not numpy_is("2.99")
    assert numpy_is("2.0")


def test_retired_parameters() -> None:
    def older(a: Any, newshape: Any, order: Any = "C", *, style: Any = None) -> None:
        """The signature of an older NumPy."""

    def newer(a: Any, /, shape: Any, order: Any = "C") -> Any:
        return a, shape, order

    accepts = declare._as_before(older, newer, {"newshape": "shape", "style": ""})
    assert accepts("a", 3) == accepts(a="a", newshape=3) == ("a", 3, "C")
    assert accepts("a", 3, order="F") == ("a", 3, "F")
    with pytest.warns(DeprecationWarning, match="the parameter `style` is deprecated"):
        assert accepts("a", 3, "F", style=1) == ("a", 3, "F")
    assert inspect.signature(accepts) == inspect.signature(older)
    assert declare._as_before(newer, newer, {"newshape": "shape"}) is newer


@pytest.mark.parametrize(("call", "parameter"), [
    ("np.reshape(x, newshape=(3, 2))", "newshape"), ("np.quantile(x, 0.3, interpolation='lower')", "interpolation"),
    ("np.nanpercentile(x, 30, interpolation='higher')", "interpolation"), ("np.corrcoef(x, bias=1)", "bias"),
    ("np.array2string(x, style=repr) is None or x", "style"),
])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_parameters_of_older_numpys(call: str, parameter: str) -> None:
    if parameter not in inspect.signature(getattr(np, call[3:call.index("(")])).parameters:
        pytest.skip("this NumPy no longer has the parameter")
    differential(function(f"return {call}", "x"), np.array([[0.1, 0.5, 0.3], [0.2, 0.9, 0.4]]))


def test_legacy_generators_have_the_functions_of_np_random() -> None:
    methods = {n for n in dir(np.random.RandomState) if not n.startswith("_")}
    assert {n for n in methods if f"np.random.{n}" not in rows} == {"tomaxint"}


def test_every_bit_generator_is_noticed() -> None:
    kinds = {n for n, thing in vars(np.random).items() if isinstance(thing, type)
             and issubclass(thing, (np.random.BitGenerator, np.random.RandomState, np.random.SeedSequence))}
    assert kinds - {"BitGenerator"} == set(_GENERATORS) - {"default_rng"}


def test_every_ufunc_has_a_rule() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ufuncs = {u for n in dir(np) if isinstance(u := getattr(np, n), np.ufunc)}
    covered = {*ufunc_primitives, *composites, *[row.func for row in rows.values() if row.kind == "unsupported"]}
    assert {u.__name__ for u in ufuncs - covered} == set()


def test_composite_ufuncs_are_ufuncs() -> None:
    assert all(isinstance(u, np.ufunc) for u in composites)
