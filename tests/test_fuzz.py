"""Random programs, a bounded number in each run; `tests/fuzz_many.py` runs as many as you like."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import fuzz
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import Program, random_program, seeded
from row_calls import patterns
from shrinking import TooLong, limited, report, runs, shrunk, verdict

from npdiff import core
from npdiff.dispatch.declare import rows


def passes(program: Program, name: Any, **how: Any) -> None:
    words = verdict(program, **how)
    if words:
        small = shrunk(program, words, **how)
        pytest.fail(report(small, name, words, **how), pytrace=False)


@settings(max_examples=60, deadline=None, derandomize=True, print_blob=True,
          suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_random_program(random: Any) -> None:
    passes(random_program(random), "of_hypothesis")


@pytest.mark.parametrize("block", range(5))
def test_fixed_programs(block: int) -> None:
    """The same programs in every run, some also jitted."""
    for seed in range(1000 * block, 1000 * block + 12):
        passes(seeded(seed), seed, jit=seed % 5 == 0)


def test_every_row_can_be_drawn() -> None:
    drawn = set(patterns())
    missing = {name for name, row in rows.items() if (row.cases or row.domain) and name not in drawn}
    assert not missing, f"no sample call can be made of {missing}"


def test_programs_follow_from_their_seed() -> None:
    for seed in range(20):
        one, other = seeded(seed), seeded(seed)
        assert one.source() == other.source()
        assert not fuzz.difference(one.args, other.args, 0, 0)


SINGULAR = Program(["v = np.linalg.solve(s + 1j * np.cos(np.broadcast_to(s, (2, 2))), np.broadcast_to(s, 2))"],
                   {"s": np.float64(-1.3)})
REGULAR = Program(["v = np.linalg.solve(s + 1j * np.cos(np.eye(2) * s), np.broadcast_to(s, 2))"],
                  {"s": np.float64(-1.3)})


def test_what_follows_from_rounding_errors_is_not_compared() -> None:
    """A matrix of equal elements, which a quotient of complex numbers makes regular."""
    assert fuzz.check(SINGULAR).endswith("follow from rounding errors")
    assert fuzz.check(REGULAR) == "all"
    for program, known in ((SINGULAR, False), (REGULAR, True)):
        case = fuzz.Case(program)
        assert fuzz.well_conditioned(case, case.directions(case.leaves)) is known


LINES = ["v0 = np.sin(x)", "v1 = y * 2", "v0[1] = v1"]


def program(*lines: str) -> Program:
    return Program(list(lines), {"x": np.linspace(-1.0, 1.2, 12).reshape(3, 4), "y": np.array([0.3, -0.4, 1.0, 0.7])})


def replace_rule(monkeypatch: pytest.MonkeyPatch, ufunc: np.ufunc, rule: str, wrong: Any) -> None:
    """Give a primitive a rule of another; `back` holds the terms a second time, for eager recording."""
    monkeypatch.setattr(core.ufunc_primitives[ufunc], rule, wrong)
    if rule == "terms":
        monkeypatch.setattr(core.ufunc_primitives[ufunc], "back", None)


WRONG = [
    ("jvp", lambda y, primals, tangents: tangents[0] * 0.99, "forward and reverse mode"),
    ("terms", (lambda ct, out, a: ct * np.cos(a) * 1.01,), "forward and reverse mode"),
    ("call", lambda a: np.sin(a) + 1e-6, "reverse mode, value"),
    ("call", lambda a: np.sin(a).astype(np.float32), "reverse mode, value"),
    ("batch", lambda size, args, batched, params: np.cos(args[0]), "vmap, value"),
]


@pytest.mark.parametrize(("rule", "wrong", "words"), WRONG, ids=[f"{w[0]}-{k}" for k, w in enumerate(WRONG)])
def test_a_wrong_rule_is_seen(monkeypatch: pytest.MonkeyPatch, rule: str, wrong: Any, words: str) -> None:
    assert fuzz.check(program(*LINES)) == "all"
    replace_rule(monkeypatch, np.sin, rule, wrong)
    with pytest.raises(fuzz.Wrong, match=words):
        fuzz.check(program(*LINES))
    small = shrunk(program(*LINES, "v3 = x + 1"), verdict(program(*LINES)))
    assert small.lines == ["v0 = np.sin(x)"]
    assert list(small.args) == ["x"]


def test_a_derivative_wrong_in_both_modes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_rule(monkeypatch, np.sin, "jvp", lambda y, primals, tangents: tangents[0] * 0.99)
    replace_rule(monkeypatch, np.sin, "terms", (lambda ct, out, a: ct * 0.99,))
    with pytest.raises(fuzz.Wrong, match="output 0: forward mode"):
        fuzz.check(program("x = np.sin(x)"))


def test_wrong_second_derivatives_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_rule(monkeypatch, np.cos, "terms", (lambda ct, out, a: ct * -0.99 * np.sin(a),))
    with pytest.raises(fuzz.Wrong, match="forward over reverse gives"):
        fuzz.check(program("x = np.sin(x)"))


def test_wrong_derivatives_of_batches_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.ufunc_primitives[np.cos], "batch", lambda size, args, batched, params: np.cos(*args) * 0.9)
    with pytest.raises(fuzz.Wrong, match="vmap of the derivative"):
        fuzz.check(program("x = np.sin(x)"))


@pytest.mark.parametrize(("lines", "said"), [
    (["v0 = np.abs(x + 1)"], "kink"),
    (["x = np.maximum(x, x.copy())"], "all"),
    (["v0 = np.floor(x * 3 + 0.1) * x"], "all"),
    (["v0 = np.random.rand()"], "values follow from rounding errors"),
    (["v0 = x.astype(np.float32)"], "single precision"),
    (["v0 = np.log(x - x)"], "not finite"),
])
def test_what_a_check_could_cover(lines: list[str], said: str) -> None:
    assert fuzz.check(program(*lines)) == said


def test_an_error_of_another_type_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = program("v0 = np.sin(x)", "v1 = v0[[9]]")
    bad.raises = True
    assert fuzz.check(bad) == "raises"

    def other(a: Any) -> Any:
        raise KeyError(a.shape)

    monkeypatch.setattr(core.ufunc_primitives[np.sin], "call", other)
    with pytest.raises(fuzz.Wrong, match="KeyError"):
        fuzz.check(bad)


def test_a_report_can_be_pasted() -> None:
    text = report(Program(["v0 = x * c"], {"x": np.array([[1.0, np.nan]], "f4"), "d": {"a": (np.zeros((0, 2)), 2)}},
                          {"c": np.float64(2.0)}), 7, "words", jit=True)
    seen: list[Any] = []
    space: dict[str, Any] = {"np": np, "found": lambda *args, **kwargs: seen.append((args, kwargs))}
    exec(text, space)
    space["test_found_7"]()
    (body, args), given_too = seen[0]
    assert body.strip() == "v0 = x * c"
    assert args["x"].dtype == np.float32
    assert args["d"]["a"][0].shape == (0, 2)
    assert given_too["jit"] is True
    assert given_too["closed"] == {"c": 2.0}


def test_a_batch_resumes(tmp_path: Path) -> None:
    def batch(count: int) -> dict[str, Any]:
        state = tmp_path / "state.json"
        subprocess.run([sys.executable, str(Path(__file__).with_name("fuzz_many.py")), "--programs", str(count),
                        "--seed", "3", "--jit-every", "0", "--state", str(state)], check=True, capture_output=True)
        found: dict[str, Any] = json.loads(state.read_text())
        return found

    assert batch(3)["next"] == 6
    again = batch(5)
    assert again["next"] == 8
    assert sum(again["outcomes"].values()) == 5


def test_smaller_programs_stay_in_their_memory() -> None:
    window = "v0 = np.lib.stride_tricks.as_strided(x, ({n},), (x.itemsize,))"
    size = program("x").args["x"].size
    assert runs(program(window.format(n=size)))
    assert not runs(program(window.format(n=size + 1)))


def test_a_program_without_end_is_stopped() -> None:
    def check(*_: Any) -> None:
        fuzz.run(lambda: exec("while True: pass"))

    with pytest.raises(TooLong), limited(0.1):
        check()
