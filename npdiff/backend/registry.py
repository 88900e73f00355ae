"""Backends by name, and the report of what can run here."""

from __future__ import annotations

import os

from npdiff.backend.contract import Backend, Status, names
from npdiff.backend.cpu import CPU
from npdiff.backend.cuda import CUDA
from npdiff.backend.tpu import TPU
from npdiff.errors import ArgumentError, BackendError, message

BACKENDS: dict[str, Backend] = {b.name: b for b in (CPU, CUDA, TPU)}
VARIABLE = "NPDIFF_BACKEND"


def find(name: str | None) -> Backend:
    """The backend of this name; None: what the environment variable says, or the CPU.

    Raises
    ------
    ArgumentError
        If there is no backend of this name.
    BackendError
        If it cannot run here: the error says what to install.
    """
    where = "backend="
    if name is None:
        name, where = os.environ.get(VARIABLE) or CPU.name, VARIABLE
    backend = BACKENDS.get(name) if isinstance(name, str) else None
    if backend is None:
        raise ArgumentError(message(f"jit: {where} names no backend", name,
                                    instead=f"the backends are {names(list(BACKENDS))}"))
    if backend is not CPU:
        status = backend.status()
        if not status.available:
            raise BackendError(message(f"jit: the backend {name!r} cannot run here: {status.why}",
                                       instead=status.install))
    return backend


class Report(tuple[Status, ...]):
    """One `Status` per backend, which prints as a table."""

    def __repr__(self) -> str:
        lines = []
        for s in self:
            lines.append(f"{s.name:<6}available: {s.devices}" if s.available else f"{s.name:<6}not available: {s.why}")
            if s.install:
                lines.append(f"{'':<6}{s.install}")
        return "\n".join(lines)


def backends() -> Report:
    """What ``npdiff.jit(f, backend=...)`` can be given here.

    Returns
    -------
    One entry per backend, with fields ``name``, ``available``, ``devices``, ``why`` (not) and ``install`` (what to
    do). It prints as a table.

    Examples
    --------
    >>> import npdiff
    >>> [b.name for b in npdiff.backends() if b.name == "cpu" and b.available]
    ['cpu']
    """
    return Report([b.status() for b in BACKENDS.values()])


__all__ = ["BACKENDS", "VARIABLE", "Report", "backends", "find"]
