"""`npdiff.config.log_compiles` says what is recorded and compiled, and why; and what stops replays has a name."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

import npdiff
from npdiff import kernels
from npdiff.errors import GuardFailed, JitWarning
from npdiff.program import Program

TIME = r"[\d.]+ (ns|µs|ms|s)"


@pytest.fixture
def said(caplog, monkeypatch):
    """What was logged since the last look, without times."""
    monkeypatch.setattr(npdiff.config, "log_compiles", True)
    caplog.set_level(logging.WARNING, "npdiff")

    def look():
        texts = [re.sub(TIME, "T", r.getMessage()) for r in caplog.records if r.name == "npdiff"]
        caplog.clear()
        return texts

    return look


def recorded(name, why, count=2):
    return f"npdiff.jit: {name} recorded in T ({count} operation{'s' if count > 1 else ''}): {why}"


def why(texts):
    return [t.partition("): ")[2] for t in texts if " recorded in " in t]


def test_first_calls_and_what_is_compiled(said):
    def double(x):
        return np.sum(x * 2)

    f = npdiff.jit(double)
    x = np.ones(7)
    f(x)
    assert said() == [recorded("double", "first call")]
    f(x)
    (text,) = said()
    assert text.startswith("npdiff.jit: double compiled in T for cpu: 1 kernel")
    assert text.endswith(", 0 NumPy calls")
    f(x)
    assert said() == []
    npdiff.grad(f)(x)
    assert [t.partition(" in ")[0] for t in said()] == [
        "npdiff.jit: double recorded", "npdiff.jit: double compiled", "npdiff.jit: cotangents of double compiled"]


def test_new_signatures_name_the_argument(said):
    def step(params, x, *more, rate=1):
        return params["w"] * x * rate + sum(more)

    f = npdiff.jit(step)
    w, x = np.ones(3), np.ones(3)
    changed = np.ones(3)
    changed.flags.writeable = False
    f({"w": w}, x)
    f({"w": np.ones(4)}, np.ones(4))
    f({"w": w}, x.astype("f4"))
    f({"w": changed}, np.ones((6, 3))[::2, 0])
    f({"w": w}, x, rate=2.0)
    f({"w": w}, x, rate=2)
    f({"w": w}, x, 1.0, x)
    f({"w": w}, x, 1.0, np.float32(1))
    f({"w": w}, w)
    assert why(said()) == [
        "first call",
        "new signature: params['w']: float64[3] -> float64[4]; x: float64[3] -> float64[4]",
        "new signature: x: float64[3] -> float32[3]",
        "new signature: params['w']: float64[3] -> float64[3], read-only; "
        "x: float32[3] -> float64[3], strides (48,)",
        "new signature: the arguments are tuple(tuple(dict(*), *), dict(*)), were tuple(tuple(dict(*), *), dict())",
        "new signature: rate: Python float -> Python int",
        "new signature: the arguments are tuple(tuple(dict(*), *, *, *), dict()), were "
        "tuple(tuple(dict(*), *), dict(*))",
        "new signature: more[1]: float64[3] -> scalar float32",
        "new signature: two arguments are now the same array",
    ]


def test_fixed_arguments_are_shown_by_value(said):
    f = npdiff.jit(lambda x, how: x * 2 if how == "twice" else x)
    x = np.ones(3)
    f(x, "twice")
    f(x, "once")
    assert why(said()) == ["first call", "new signature: how: 'twice' -> 'once'"]


def test_new_paths_name_the_branch(said):
    scale = 2.0

    def signed(x):
        if x[0] > 0:
            return x * scale
        return x - 1

    f = npdiff.jit(signed)
    f(np.ones(3))
    f(-np.ones(3))
    scale = 3.0
    f(np.ones(3))
    line = signed.__code__.co_firstlineno + 1
    assert why(said()) == [
        "first call",
        f"new path: the value asked for at {__file__}:{line} is False, was True",
        "what it reads outside has changed: scale"]


def test_nothing_is_said_unless_asked_for(caplog):
    npdiff.jit(lambda x: x * 2)(np.ones(3))
    assert not [r for r in caplog.records if r.name == "npdiff"]


def test_the_environment_variable_shows_without_further_ado():
    code = "import numpy as np, npdiff; npdiff.jit(lambda x: x * 2)(np.ones(3))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={"NPDIFF_LOG_COMPILES": "1", "PYTHONPATH": ":".join(sys.path)})
    assert done.stderr.startswith("npdiff.jit: <lambda> recorded in ")


def test_a_compiler_that_fails_is_logged(said, monkeypatch):
    def broken(graph):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(kernels, "compile_graph", broken)
    f = npdiff.jit(lambda x: x * 2)
    f(np.ones(3))
    with pytest.warns(JitWarning, match="compiling it failed with ZeroDivisionError: by zero"):
        f(np.ones(3))
    assert said()[1] == "npdiff.jit: <lambda> compiled in T: compiling it failed with ZeroDivisionError: by zero"


# ---------------------------------------------------------------------- stopped replays


def smooth(x):
    return np.sum(x * 2 + x) if x[0] > -9 else x[0]


def stopped_by(guard, monkeypatch, calls, under=lambda f: f):
    """Warnings of calls whose replays are all stopped by this guard; the number of recordings after each."""
    f = npdiff.jit(smooth)
    x = np.ones(5)
    f(x)

    def run(self, values):
        raise guard()

    monkeypatch.setattr(Program, "run", run)
    texts, counts = [], []
    for _ in range(calls):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            np.testing.assert_allclose(under(f)(x), under(smooth)(x))
        texts += [str(w.message) for w in caught if w.category is JitWarning]
        *_, entry = f._entries.values()  # the last: under grad, arrays have a signature of their own
        counts.append(len(entry.recordings))
    return texts, counts


def caused():
    guard = GuardFailed()
    guard.__cause__ = IndexError("out of reach")
    return guard


@pytest.mark.parametrize("under", [lambda f: f, npdiff.grad], ids=["call", "grad"])
def test_a_defect_behind_a_guard_is_named_at_once(monkeypatch, under):
    texts, counts = stopped_by(caused, monkeypatch, 3, under)
    assert texts == ["npdiff.jit: smooth runs without compiled code: a replay failed with IndexError: out of reach, "
                     "and the function does not (a defect in npdiff: please report it)"]
    assert counts == [0, 0, 0]


def test_the_same_path_is_recorded_once(monkeypatch):
    texts, counts = stopped_by(GuardFailed, monkeypatch, 17)
    line = smooth.__code__.co_firstlineno + 1
    assert counts == [1] * 15 + [0] * 2
    assert texts == ["npdiff.jit: smooth runs without compiled code: 16 replays of one path were stopped: compiled "
                     f"code and NumPy answer differently where Python asks for a value ({__file__}:{line})"]


def test_what_a_guard_says_is_handed_on(monkeypatch):
    texts, _ = stopped_by(lambda: GuardFailed("svd: recorded shape (2,), found (3,)"), monkeypatch, 16)
    assert texts[0].endswith("16 replays of one path were stopped: svd: recorded shape (2,), found (3,)")


def test_integers_beyond_64_bits_are_no_reason_to_record_again():
    f = npdiff.jit(lambda x, n: x * (n % 7) + x)
    x = np.ones(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error", JitWarning)
        for n in (5, 2**70, 6, 2**80, 7):
            np.testing.assert_array_equal(f(x, n), x * (n % 7) + x)
    (entry,) = f._entries.values()
    assert len(entry.recordings) == 1
