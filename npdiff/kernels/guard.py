"""The exception that says a recorded program no longer fits its operands."""

from __future__ import annotations


class GuardFailed(Exception):
    """A value differs from what was recorded: the function has to be recorded again for this path."""
