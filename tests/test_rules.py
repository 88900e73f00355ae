"""Every row's sample calls, against NumPy itself and against differences."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import npdiff
from npdiff import tree
from npdiff.array import layout as layout_of
from npdiff.core import Handle, constant
from npdiff.dispatch.declare import rows
from npdiff.errors import BranchError
from npdiff.samples import all_cases, evaluate, split
from npdiff.testing import check_grads
from npdiff.transforms.vmap import BatchTrace, batch_output

CASES = all_cases()


@pytest.fixture(autouse=True)
def deprecated_names_may_warn(request: pytest.FixtureRequest) -> Iterator[None]:
    """A function that some NumPy no longer has warns in those that have it."""
    name = request.node.callspec.params["name"] if hasattr(request.node, "callspec") else ""
    with warnings.catch_warnings():
        if name in rows and rows[name].until:
            warnings.simplefilter("ignore", DeprecationWarning)
        yield


each_case = pytest.mark.parametrize(("name", "text"), CASES, ids=[f"{n}({t})" for n, t in CASES])


def assert_same(ours: Any, theirs: Any) -> None:
    """The same value, dtype, shape, and kind of thing (array, NumPy scalar, Python number, container)."""
    a, structure_a = tree.flatten(ours)
    b, structure_b = tree.flatten(theirs)
    assert structure_a == structure_b
    for x, y in zip(a, b, strict=True):
        assert type(x) is type(y), f"{type(x).__name__} instead of {type(y).__name__}"
        if isinstance(y, (np.ndarray, np.generic)):
            assert x.dtype == y.dtype
            assert x.shape == y.shape
        single = getattr(y, "dtype", np.dtype(float)).char in "efF"
        np.testing.assert_allclose(x, y, rtol=2e-6 if single else 1e-12, atol=1e-6 if single else 1e-13)


def outcome(f: Any, *args: Any) -> tuple[str, Any]:
    """What a call gives: its result, or the type of its error."""
    try:
        with np.errstate(all="ignore"):
            return "value", f(*args)
    except Exception as error:
        return "error", error


def value_of(f: Any, leaves: list[Any]) -> Any:
    """The result of a call whose float arrays are tracked."""
    return npdiff.vjp(f, *leaves)[0]


def constant_value(name: str, text: str, **how: Any) -> Any:
    """The result of a call in which every array is a handle on a constant."""
    call = evaluate(name, text, **how)
    leaves, structure = tree.flatten((call.args, call.kwargs))
    wrapped = [constant(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
    out = call(*tree.unflatten(structure, wrapped))
    return tree.map_leaves(lambda o: o.value if type(o).__mro__[-2].__name__ == "Handle" else o, out)


@each_case
def test_values(name: str, text: str) -> None:
    f, leaves = split(evaluate(name, text))
    plain = f(*[x.copy() for x in leaves])
    assert_same(value_of(f, leaves), plain)


@each_case
def test_values_of_constants(name: str, text: str) -> None:
    f, leaves = split(evaluate(name, text))
    assert_same(constant_value(name, text), f(*leaves))


@each_case
def test_derivatives(name: str, text: str) -> None:
    f, leaves = split(evaluate(name, text))
    if leaves:
        check_grads(f, leaves, order=2)


def in_precision(name: str, text: str, dtype: Any) -> tuple[Any, list[Any]]:
    """The call in another dtype, or a skip where NumPy has no meaning for it."""
    f, leaves = split(evaluate(name, text, dtype=dtype))
    if not leaves:
        pytest.skip("no float operand")
    kind, theirs = outcome(f, *[x.copy() for x in leaves])
    if kind == "error":
        assert outcome(value_of, f, leaves)[0] == "error", f"NumPy raises {theirs!r}"
        pytest.skip(f"NumPy: {theirs}")
    return f, leaves


@each_case
def test_single_precision(name: str, text: str) -> None:
    if re.match(r"scipy\.special\.(pro|obl)_(ang1|rad1|rad2)", name):
        pytest.skip("SciPy's own series may not end in single precision")
    f, leaves = in_precision(name, text, np.float32)
    assert_same(value_of(f, leaves), f(*leaves))
    check_grads(f, leaves, order=1)


@each_case
def test_complex(name: str, text: str) -> None:
    f, leaves = in_precision(name, text, complex)
    assert_same(value_of(f, leaves), f(*leaves))
    check_grads(f, leaves, order=2)


# ---------------------------------------------------------------------- batches

SIZE = 3


def batched(f: Any, leaves: list[Any], which: list[bool]) -> Any:
    """f over stacked operands; the others are the same for all examples."""
    trace = BatchTrace(SIZE)
    try:
        with npdiff.record():
            out = f(*[npdiff.DiffArray(trace, x, None) if b else x for x, b in zip(leaves, which, strict=True)])
        return tree.map_leaves(lambda o: np.asarray(batch_output(trace, o, 0)), out)
    finally:
        trace.close()


def choices(n: int) -> list[list[bool]]:
    """All operands batched; and where there are several, each alone batched and each alone not."""
    alone = [[i == k for i in range(n)] for k in range(n)]
    return [[True] * n] + ([*alone, *[[not b for b in a] for a in alone]] if n > 1 else [])


@each_case
def test_batches(name: str, text: str) -> None:
    calls = [split(evaluate(name, text, seed=k)) for k in range(SIZE)]
    f, first = calls[0]
    if not first:
        pytest.skip("no float operand")
    seen = []
    for which in choices(len(first)):
        if which in seen:
            continue
        seen.append(which)
        examples = [[leaves[i] if b else first[i] for i, b in enumerate(which)] for _, leaves in calls]
        outs = [tree.flatten(f(*[np.copy(x) if isinstance(x, np.ndarray) else x for x in e])) for e in examples]
        stacked = [np.stack([e[i] for e in examples]) if b else first[i] for i, b in enumerate(which)]
        shapes = {tuple(np.shape(leaf) for leaf in leaves) for leaves, _ in outs}
        if len(shapes) > 1:
            with pytest.raises(BranchError):
                batched(f, stacked, which)
            continue
        if rows[name].prim is not None and rows[name].prim.dynamic:
            pytest.skip("the shape of the result depends on values")
        ours, structure = tree.flatten(batched(f, stacked, which))
        assert structure == outs[0][1]
        for k, mine in enumerate(ours):
            wanted = np.stack([leaves[k] for leaves, _ in outs])
            assert mine.shape == wanted.shape
            assert mine.dtype == wanted.dtype
            np.testing.assert_allclose(mine, wanted, rtol=1e-10, atol=1e-12, err_msg=f"batched: {which}")


@each_case
def test_derivatives_of_batches(name: str, text: str) -> None:
    calls = [split(evaluate(name, text, seed=k)) for k in range(SIZE)]
    f, first = calls[0]
    shapes = {tuple(np.shape(y) for y in tree.leaves(outcome(g, *xs)[1])) for g, xs in calls}
    if not first or len(shapes) > 1 or (rows[name].prim is not None and rows[name].prim.dynamic):
        pytest.skip("no float operand" if not first else "the shape of the result depends on values")
    which = [True] * len(first)
    stacked = [np.stack([leaves[i] for _, leaves in calls]) for i in range(len(first))]
    check_grads(lambda *xs: batched_inside(f, list(xs), which), stacked, order=1)


def batched_inside(f: Any, leaves: list[Any], which: list[bool]) -> Any:
    trace = BatchTrace(SIZE)
    try:
        inside = [npdiff.DiffArray(trace, x, None) if b else x for x, b in zip(leaves, which, strict=True)]
        with npdiff.record():
            return tree.map_leaves(lambda o: batch_output(trace, o, 0), f(*inside))
    finally:
        trace.close()


# ---------------------------------------------------------------------- nothing in them


@each_case
def test_empty(name: str, text: str) -> None:
    """The same call with the first axis of every array empty: NumPy's result, or an error of NumPy's type."""
    try:
        with np.errstate(all="ignore"):
            f, leaves = split(evaluate(name, text, empty=True))
    except Exception as error:
        pytest.skip(f"the case cannot be made empty: {error}")
    if not leaves:
        pytest.skip("no float operand")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        kind, theirs = outcome(f, *[x.copy() for x in leaves])
        if kind != "error" and not tree.leaves(theirs):
            pytest.skip("no result")  # np.unstack of an empty axis
        ours_kind, ours = outcome(value_of, f, leaves)
        assert ours_kind == kind, f"npdiff: {ours!r}, NumPy: {theirs!r}"
        if kind == "error":
            assert isinstance(ours, type(theirs))
            return
        assert_same(ours, theirs)
        value, pull = npdiff.vjp(f, *leaves)
        if all(np.asarray(v).dtype.kind in "fc" for v in tree.leaves(value)):
            for ct, x in zip(pull(value), leaves, strict=True):
                assert np.shape(ct) == np.shape(x)


def _order(a: Any) -> tuple[bool, bool, list[int]]:
    """How an array lies in memory, as far as views of it and copies follow from that."""
    axes = [k for k in range(a.ndim) if a.shape[k] > 1]
    return a.flags.c_contiguous, a.flags.f_contiguous, sorted(axes, key=lambda k: -abs(a.strides[k]))


def _stacked(a: Any) -> Any:
    """A batch of two, each lying in memory as the one does."""
    order = sorted(range(np.ndim(a)), key=lambda k: -abs(a.strides[k]))
    return np.transpose(np.stack([np.transpose(a, order)] * 2), [0, *[1 + order.index(k) for k in range(np.ndim(a))]])


# The windows of a batch have memory of their own.
_OTHERWISE_IN_A_BATCH = ("np.lib.stride_tricks.as_strided",)
_LAYOUTS: dict[str, Any] = {
    "C": lambda a: a, "F": np.asfortranarray, "backwards": lambda a: a[::-1].copy()[::-1],
    "moved": lambda a: np.moveaxis(np.moveaxis(a, 0, -1).copy(), -1, 0)}


@pytest.mark.parametrize(("name", "text"), [
    # (Where SciPy's results lie differs between its versions.)
    (n, t) for n, t in CASES if split(evaluate(n, t))[1] and not n.startswith("scipy.linalg.")])
def test_results_lie_in_memory_as_numpys_do(name: str, text: str) -> None:
    f, own = split(evaluate(name, text))
    for label, arranged in _LAYOUTS.items():
        leaves = [arranged(a) if np.ndim(a) else a for a in own]
        if label != "C" and all(np.asarray(a).flags.c_contiguous for a in leaves):
            continue
        if label != "C" and name == "np.lib.stride_tricks.as_strided":
            continue  # its strides are for this layout only
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind, theirs = outcome(f, *leaves)
            if kind == "error":
                continue
            seen: list[Any] = []

            def look(*xs: Any, seen: list[Any] = seen) -> Any:
                seen.append([layout_of(v) if isinstance(v, Handle) else v for v in tree.leaves(f(*xs))])
                return xs

            npdiff.vjp(look, *leaves)
            with contextlib.suppress(BranchError):
                if label in ("C", "F") and name not in _OTHERWISE_IN_A_BATCH:
                    npdiff.vmap(look)(*[_stacked(a) for a in leaves])
        for ours in seen:
            for mine, plain in zip(ours, tree.leaves(theirs), strict=True):
                if isinstance(plain, np.ndarray) and plain.size > 1:
                    assert _order(mine) == _order(plain), label


@pytest.mark.parametrize("name", ["np.trapz", "np.in1d", "np.row_stack", "np.fix"])
def test_functions_on_their_way_out_warn_as_numpy_does(name: str) -> None:
    if name not in rows:
        pytest.skip("this NumPy no longer has it")
    x = np.array([1.0, 2.0])
    args = ([x, x],) if name == "np.row_stack" else (x, x) if name == "np.in1d" else (x,)

    def said(f: Any) -> list[tuple[type[Warning], str, str]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            f(*args)
        return [(w.category, str(w.message), w.filename) for w in caught]

    f = eval(f"lambda *xs: {name}(*xs)", {"np": np})
    theirs = said(f)
    ours = said(lambda *xs: npdiff.vjp(f, *xs))
    assert [w[:2] for w in ours] == [w[:2] for w in theirs]
    if name not in ("np.trapz", "np.row_stack"):  # (NumPy's own code warns, and sees a stand-in as its caller)
        assert all(w[2] == "<string>" for w in ours)
