"""The README's code runs and prints what the README says."""

from __future__ import annotations

import contextlib
import io
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def test_the_tour_prints_what_it_says():
    namespace: dict[str, object] = {"__name__": "tour"}
    ran = 0
    for (language, code), (following, expected) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        if language != "python":
            continue
        ran += 1
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(compile(code, "tour.py", "exec"), namespace)
        assert following == "text", f"no output follows:\n{code}"
        assert shown.getvalue() == expected
    assert ran >= 6


def test_set_up_is_two_commands():
    commands = [code.strip() for language, code in BLOCKS if language == "bash"]
    assert len(commands) == 2
    assert commands[0].endswith("python -m npdiff demo")
    assert "python -m pytest" in commands[1]


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()
