"""Every public function of NumPy stands in exactly one row, with NumPy's own signature."""

from __future__ import annotations

import inspect
import types
import warnings
from typing import Any

import numpy as np
import pytest

from npdiff.core import overrides
from npdiff.dispatch.declare import rows
from npdiff.dispatch.ufuncs import composites

NAMESPACES = (("np", np), ("np.linalg", np.linalg), ("np.fft", np.fft), ("np.random", np.random))


def public(prefix: str, module: Any) -> dict[str, Any]:
    """The functions of a namespace; classes, dtypes, modules and constants are not functions."""
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
        if callable(thing) and not isinstance(thing, (type, types.ModuleType, np.dtype)):
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
    for parameter, (kind, default) in theirs.items():
        assert parameter in ours, parameter
        assert ours[parameter][0] is kind, parameter
        assert same_default(ours[parameter][1], default), parameter
    # A newer NumPy may have more parameters than the one that runs: they come last, or are keywords with a default.
    for parameter in set(ours) - set(theirs):
        assert ours[parameter][1] is not inspect.Parameter.empty, parameter
    assert [p for p in ours if p in theirs] == list(theirs)


def test_composite_ufuncs_are_ufuncs() -> None:
    assert all(isinstance(u, np.ufunc) for u in composites)
