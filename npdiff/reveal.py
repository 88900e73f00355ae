"""Our own error where NumPy puts a vague one of its own in its place.

``plain[0] = x`` asks x for its float. NumPy answers our refusal with "setting an array element with a sequence". Inside
a transform its end looks behind that; outside of all there is no end, and only a trace function sees the exception
before the user does.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from npdiff.errors import behind


def reveal(frame: FrameType) -> None:
    """If the exception that now leaves C code for a frame hides an error of ours, let that frame see ours instead.

    Nothing is done while a debugger or a coverage tool is tracing: NumPy's error then has ours as its cause.
    """
    if sys.gettrace() is not None or frame.f_trace is not None:
        return

    def next_event(frame: FrameType, event: str, told: Any) -> None:
        sys.settrace(None)
        frame.f_trace = None
        hidden = behind(told[1]) if event == "exception" else None
        if hidden is not None:
            raise hidden.with_traceback(told[2]) from told[1]

    frame.f_trace = next_event
    sys.settrace(_calls)


def _calls(_frame: FrameType, _event: str, _told: Any) -> None:
    """Do not trace what is called meanwhile."""


__all__ = ["reveal"]
