"""What a test must leave as it found it: no transform open, the numpy namespace as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from npdiff.core import open_traces

SCRATCH = np.zeros(3)  # an array that functions reach as the attribute of a module only
_HERE: dict[str, Any] = dict(vars(np))
_RANDOM: dict[str, Any] = dict(vars(np.random))


def changed_names() -> list[str]:
    """Names of numpy and numpy.random that are no longer what they were when the tests started."""
    out = []
    for label, before, now in (("np", _HERE, vars(np)), ("np.random", _RANDOM, vars(np.random))):
        # Submodules that are imported late add names; none may change or go.
        out += [f"{label}.{k}" for k, v in before.items() if k not in now or now[k] is not v]
    return out


@contextlib.contextmanager
def clean_surroundings() -> Iterator[None]:
    """Raise AssertionError if the code inside leaves a transform open or changes the numpy namespace."""
    yield
    left = open_traces()
    assert not left, f"a transform is still open: {left}"
    changed = changed_names()
    assert not changed, f"changed and not put back: {changed}"
