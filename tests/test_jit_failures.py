"""Replays that fail: where the function fails too, nothing is said; where it does not, the cause is named once."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import npdiff
from npdiff import kernels
from npdiff.errors import JitWarning
from npdiff.program import Program

X = np.array([1.0, -2.0, 3.0])
CAUSE = "ZeroDivisionError: integer modulo by zero"
DEFECT = f"a replay failed with {CAUSE}, and the function does not (a defect in npdiff: please report it)"
COMPILING = f"compiling it failed with {CAUSE}"


def smooth(x):
    return np.sum(np.sin(x) * x + 2 * x - x * x)


def broken(*args: Any) -> Any:
    raise ZeroDivisionError("integer modulo by zero")


def said(f: Any, *args: Any) -> tuple[Any, list[str]]:
    """The result of a call, and the warnings of npdiff.jit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = f(*args)
    return result, [str(w.message) for w in caught if w.category is JitWarning]


def test_a_defect_in_a_replay_is_named_once_and_ends_it(monkeypatch):
    f = npdiff.jit(smooth)
    assert said(f, X) == (smooth(X), [])
    tried = []
    monkeypatch.setattr(Program, "run", lambda self, values: tried.append(1) or broken())
    assert said(f, 2 * X) == (smooth(2 * X), ["npdiff.jit: smooth runs without compiled code: " + DEFECT])
    assert [said(f, k * X) for k in (1.0, 2.0)] == [(smooth(X), []), (smooth(2 * X), [])]
    assert len(tried) == 1
    assert f.explain(X).splitlines() == [
        "npdiff.jit(smooth): 1 signature(s) seen", "this signature: 0 recording(s)",
        "runs without compiled code: " + DEFECT]


def test_a_defect_under_grad(monkeypatch):
    f = npdiff.jit(smooth)
    f(X)
    monkeypatch.setattr(Program, "run", lambda self, values: broken())
    gradient, texts = said(npdiff.grad(f), X)
    np.testing.assert_array_equal(gradient, npdiff.grad(smooth)(X))
    assert texts == ["npdiff.jit: smooth runs without compiled code: " + DEFECT]


@pytest.mark.parametrize(("make", "plain"), [
    (npdiff.jit, smooth), (lambda f: npdiff.grad(npdiff.jit(f)), npdiff.grad(smooth)),
    (lambda f: npdiff.jit(npdiff.grad(f)), npdiff.grad(smooth))])
def test_a_defect_in_compiling_leaves_the_recording(monkeypatch, make, plain):
    g = make(smooth)
    monkeypatch.setattr(kernels, "compile_graph", broken)
    texts = []
    for k in (1.0, 2.0, 3.0):
        result, new = said(g, k * X)
        np.testing.assert_allclose(result, plain(k * X), rtol=1e-14)
        texts += new
    # (two graphs under grad of jit: the function's and its derivative's)
    assert set(texts) == {f"npdiff.jit: a recording runs as NumPy calls one by one: {COMPILING} (a defect in npdiff: "
                          "please report it)"}
    assert len(texts) <= 2


def test_explain_names_what_compiling_failed_with(monkeypatch):
    f = npdiff.jit(smooth)
    monkeypatch.setattr(kernels, "compile_graph", broken)
    f(X)
    text, texts = said(f.explain, X)
    assert len(texts) == 1
    assert "  " + COMPILING in text.splitlines()
    assert "0 kernels" in text


def test_sizes_are_watched_without_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "compile_graph", broken)
    f = npdiff.jit(lambda x: x[x > 0].size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [f(x) for x in (X, X, -X, X, 0 * X)] == [2, 2, 1, 2, 0]


def test_an_error_of_the_function_itself_is_no_defect():
    f = npdiff.jit(lambda a: np.linalg.inv(a) * 2)
    for _ in range(3):
        assert said(f, np.eye(2))[1] == []
        with pytest.raises(np.linalg.LinAlgError, match=r"^Singular matrix$"):
            f(np.zeros((2, 2)))
        with pytest.raises(np.linalg.LinAlgError, match=r"^Singular matrix$"):
            npdiff.grad(lambda a: np.sum(f(a)))(np.zeros((2, 2)))
    assert f.explain(np.eye(2)).splitlines()[1] == "this signature: 1 recording(s)"


def test_an_error_that_the_function_catches_is_another_path():
    def safe(a):
        try:
            return np.sum(np.linalg.inv(a))
        except np.linalg.LinAlgError:
            return np.sum(a * a)

    f = npdiff.jit(safe)
    for a in (np.eye(2), np.zeros((2, 2)), 2 * np.eye(2), np.zeros((2, 2))):
        assert said(f, a) == (safe(a), [])
        gradient, texts = said(npdiff.grad(f), a)
        np.testing.assert_array_equal(gradient, npdiff.grad(safe)(a))
        assert texts == []
    lines = f.explain(np.eye(2)).splitlines()
    assert lines[1] == "this signature: 2 recording(s)"
    line = safe.__code__.co_firstlineno + 2
    assert [text for text in lines if "guard:" in text] == [
        f"  guard: linalg.inv at {__file__}:{line} raises LinAlgError"]


def test_too_many_paths_say_what_sets_them_apart():
    def sizes(x):
        return x[x > 0].size

    def outside(x):
        return x * held["k"]

    held = {"k": 0}
    f, g = npdiff.jit(sizes), npdiff.jit(outside)
    texts = []
    for k in range(18):
        held["k"] = k
        texts.append((said(f, np.arange(40.0) - k)[1], said(g, X)[1]))
    line = sizes.__code__.co_firstlineno + 1
    start = " runs without compiled code: it took a new path on each of 16 calls, for "
    assert [t for t, _ in texts if t] == [
        [f"npdiff.jit: sizes{start}the value asked for at {__file__}:{line}: [(24,)], then [(23,)]"]]
    assert [t for _, t in texts if t] == [[f"npdiff.jit: outside{start}held['k'] has changed"]]


def test_each_reason_is_said_once():
    def f(x, kind):
        if kind == "clock":
            import time

            return x * (time.time() > 0)
        np.random.get_state()
        return x

    g = npdiff.jit(f)
    texts = [t for kind in ("clock", "state", "clock", "state") for t in said(g, X, kind)[1]]
    assert [t.partition(": ")[2].partition(" at ")[0] for t in texts] == [
        "f runs without compiled code: time.time gives another answer or acts outside",
        "f runs without compiled code: np.random.get_state handles the state as a whole"]


def test_a_recording_that_fails_names_the_error(monkeypatch):
    import npdiff.replay

    monkeypatch.setattr(npdiff.replay, "_outputs", broken)
    assert said(npdiff.jit(smooth), X) == (smooth(X), [
        f"npdiff.jit: smooth runs without compiled code: recording it failed with {CAUSE}"])
