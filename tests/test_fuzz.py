"""Random programs, a bounded number in each run; `tests/fuzz.py` runs as many as you like."""

from __future__ import annotations

from typing import Any

import fuzz
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import random_program, source


@settings(max_examples=150, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_random_program(random: Any) -> None:
    lines, args = random_program(random)
    try:
        fuzz.check(lines, args, jit=False)
    except Exception as error:
        pytest.fail(fuzz.report("of hypothesis", lines, args, error, jit=False), pytrace=False)


@pytest.mark.parametrize("block", range(10))
def test_fixed_programs(block: int) -> None:
    """The same programs in every run, also jitted."""
    assert fuzz.main(15, 1000 * block) == 0


def test_a_wrong_value_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["v0 = np.sin(x)", "v1 = y * 2", "v0[1] = v1"]
    args = random_program(__import__("random").Random(0))[1]
    assert fuzz.check(lines, args) == "all"
    from npdiff import core

    prim = core.ufunc_primitives[__import__("numpy").sin]
    monkeypatch.setattr(prim, "jvp", lambda y, primals, tangents: tangents[0] * 0.99)
    with pytest.raises(fuzz.Wrong, match="forward mode gives"):
        fuzz.check(lines, args)
    assert fuzz.shortened([*lines, "v3 = x + 1"], args, "forward mode gives") == ["v0 = np.sin(x)"]
    assert source(["v0 = np.sin(x)"]).endswith("return x, y, s, v0")
