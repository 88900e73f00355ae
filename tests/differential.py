"""One program, run on plain NumPy and under npdiff: the same values, mutations, errors; right derivatives.

A program is the text of a function body. It is executed as a module of its own, so that npdiff sees user code.
"""

from __future__ import annotations

import textwrap
import warnings
from typing import Any

import numpy as np
from test_rules import assert_same

import npdiff
from npdiff import tree
from npdiff.testing import check_grads


def function(body: str, names: str = "x, y", **scope: Any) -> Any:
    """The function with this body and these arguments; it sees numpy as np, and `scope`."""
    source = f"def program({names}):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ")
    space: dict[str, Any] = {"np": np, "__name__": "program", **scope}
    exec(compile(source, "program.py", "exec"), space)
    return space["program"]


def fresh(args: Any) -> Any:
    """Copies of the arrays among the arguments."""
    return tree.map_leaves(lambda a: a.copy(order="K") if isinstance(a, np.ndarray) else a, args)


def run(f: Any, *args: Any) -> Any:
    """The result, or the error, with NumPy's floating-point and cast warnings off."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return f(*args)
        except Exception as error:
            return error


def differential(f: Any, *args: Any, order: int = 1, grads: bool = True) -> Any:
    """Compare a program on plain arrays with the same program under vjp and jvp; return NumPy's result."""
    theirs = run(f, *fresh(args))
    mine = fresh(args)
    ours = run(lambda *a: npdiff.vjp(f, *a)[0], *mine)
    forward = run(lambda *a: npdiff.jvp(f, a, tree.map_leaves(np.zeros_like, a))[0], *fresh(args))
    assert_same(mine, args)  # transforms never write into the caller's arrays
    for result in (ours, forward):
        if isinstance(theirs, Exception):
            assert isinstance(result, Exception), f"npdiff gives {result!r}, NumPy raises {theirs!r}"
            assert isinstance(result, type(theirs)), f"{result!r} instead of {theirs!r}"
            if not isinstance(result, npdiff.errors.NpdiffError):
                said = str(result).replace("'DiffArray'", "'numpy.ndarray'")
                assert said == str(theirs), f"npdiff says {said!r}, NumPy {str(theirs)!r}"
            continue
        if isinstance(result, Exception):
            raise AssertionError(f"{result!r}\ninstead of {theirs!r}") from result
        assert_same(result, theirs)
    if grads and not isinstance(theirs, Exception):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_grads(f, args, order=order)
    return theirs
