"""The whole text of an error, and that its line is the user's."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def assert_says(error: BaseException, run: Callable[..., Any], what: str, received: str, instead: str) -> None:
    """Raise AssertionError unless an error says just this, and names the line on which the function `run` begins."""
    code = run.__code__  # type: ignore[attr-defined]
    where = f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}"
    expected = [what, *([f"received: {received}"] if received else []), f"at: {where}", f"instead: {instead}"]
    assert str(error).split("\n  ") == expected
