"""Run a function plain and jitted, and compare everything a caller can see."""

from __future__ import annotations

import contextlib
import copy
import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import npdiff
from npdiff import tree
from npdiff.errors import JitWarning


@dataclass
class Seen:
    """What one call shows: result or error, arguments afterwards, prints, the random stream, who shares memory."""

    kind: str
    value: Any
    error: str
    args: Any
    printed: str
    draw: float
    sharing: list[Any] = field(default_factory=list)


def _sharing(value: Any, args: Any) -> list[Any]:
    """Which leaves of the result are, or overlap with, which arrays among the arguments and the results before."""
    found: list[Any] = []
    inputs = [a for a in tree.leaves(args) if isinstance(a, np.ndarray)]
    outs = [v for v in tree.leaves(value) if isinstance(v, np.ndarray)]
    for k, v in enumerate(outs):
        for name, others in (("arg", inputs), ("out", outs[:k])):
            for i, other in enumerate(others):
                if v is other:
                    found.append((k, "is", name, i))
                elif np.shares_memory(v, other):
                    found.append((k, "overlaps", name, i))
    return found


def see(f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any] | None = None) -> Seen:
    """Call f and note what happened."""
    out = io.StringIO()
    kwargs = kwargs or {}
    value: Any = None
    kind, error = "value", ""
    with contextlib.redirect_stdout(out), np.errstate(all="ignore"):
        try:
            value = f(*args, **kwargs)
        except Exception as e:
            kind, error = type(e).__name__, str(e)
    state = np.random.get_state()
    draw = np.random.random()
    np.random.set_state(state)
    return Seen(kind, value, error, (list(args), kwargs), out.getvalue(), draw, _sharing(value, (args, kwargs)))


def assert_equal_values(ours: Any, theirs: Any, what: str) -> None:
    """Same containers, types, dtypes, shapes; numbers equal up to rounding."""
    a, structure_a = tree.flatten(ours)
    b, structure_b = tree.flatten(theirs)
    assert structure_a == structure_b, f"{what}: containers {structure_a} instead of {structure_b}"
    for x, y in zip(a, b, strict=True):
        assert type(x) is type(y), f"{what}: {type(x).__name__} instead of {type(y).__name__}: {x!r}, {y!r}"
        if not isinstance(y, (np.ndarray, np.generic, float, complex)):
            assert x == y, f"{what}: {x!r} instead of {y!r}"
            continue
        if isinstance(y, (np.ndarray, np.generic)):
            assert x.dtype == y.dtype, f"{what}: {x.dtype} instead of {y.dtype}"
            assert x.shape == y.shape, f"{what}: {x.shape} instead of {y.shape}"
            if y.dtype.kind not in "fc":
                np.testing.assert_array_equal(x, y, err_msg=what)
                continue
        small = np.dtype(getattr(y, "dtype", float)) in (np.dtype("f4"), np.dtype("c8"), np.dtype("f2"))
        np.testing.assert_allclose(x, y, rtol=1e-5 if small else 1e-11, atol=1e-6 if small else 1e-12, err_msg=what)


def compare(ours: Seen, theirs: Seen, what: str) -> None:
    """Raise AssertionError unless two calls showed the same."""
    assert (ours.kind, ours.error) == (theirs.kind, theirs.error), (
        f"{what}: {ours.kind} {ours.error!r} instead of {theirs.kind} {theirs.error!r}")
    assert_equal_values(ours.value, theirs.value, f"{what}, result")
    assert_equal_values(ours.args, theirs.args, f"{what}, arguments afterwards")
    assert ours.printed == theirs.printed, f"{what}: printed {ours.printed!r} instead of {theirs.printed!r}"
    assert ours.draw == theirs.draw, f"{what}: the random stream differs"
    assert ours.sharing == theirs.sharing, f"{what}: sharing {ours.sharing} instead of {theirs.sharing}"


def spoil(value: Any) -> None:
    """Write into every array of a result: nothing kept inside may share their memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # np.broadcast_arrays warns of writes into its results
        for leaf in tree.leaves(value):
            if isinstance(leaf, np.ndarray) and leaf.flags.writeable and leaf.size:
                leaf[...] = 77


def differ(make: Callable[[], Callable[..., Any]], calls: Sequence[Any], *, unjitted: str | None = None,
           between: Callable[[Any, int], None] | None = None, seed: int = 5) -> Any:
    """Call ``make()`` plain and ``npdiff.jit(make())`` with each of the arguments in turn (or with what a
    function makes: deep copies lose strides and overlaps), and compare.

    `unjitted` is what a JitWarning must say after "npdiff.jit: ", as a whole (LINE stands for the user's line); None:
    there must be none. `between(f, k)` runs before call k on each function, for changes outside. Returns the jitted
    function.
    """
    plain, inner = make(), make()
    jitted = npdiff.jit(inner)
    states: dict[int, Any] = {}
    for k, args in enumerate(calls):
        both = []
        for which, (f, raw) in enumerate(((plain, plain), (jitted, inner))):
            if k == 0:
                np.random.seed(seed)
            else:
                np.random.set_state(states[which])
            if between is not None:
                between(raw, k)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", JitWarning)
                seen = see(f, args() if callable(args) else copy.deepcopy(list(args)))
            texts = [str(w.message) for w in said]
            if which == 1:
                if unjitted is None:
                    assert not texts, f"call {k}: {texts}"
                elif k == 0:
                    assert len(texts) == 1, f"call {k}: {texts}"
                    pattern = re.escape("npdiff.jit: " + unjitted).replace("LINE", r"\S+?:\d+")
                    assert re.fullmatch(pattern, texts[0]), texts[0]
                else:
                    assert not texts, f"call {k}: {texts}"
            states[which] = np.random.get_state()
            both.append(seen)
        compare(both[1], both[0], f"call {k}")
        for seen in both:
            spoil(seen.value)
    return jitted


def recordings(jitted: Any) -> int:
    """How many recordings a jitted function holds, over all signatures."""
    return sum(len(entry.recordings) for entry in jitted._entries.values())
