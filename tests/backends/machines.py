"""The backends as parameters of tests: those that cannot run here are skipped, with the reason."""

from __future__ import annotations

import os
from typing import Any

import pytest

import npdiff


def _parameter(status: npdiff.backend.contract.Status) -> object:
    marks = [] if status.available else [pytest.mark.skip(reason=f"backend {status.name!r}: {status.why}")]
    return pytest.param(status.name, marks=marks)


each_backend = pytest.mark.parametrize("backend", [_parameter(s) for s in npdiff.backends()])
STATUS = {s.name: s for s in npdiff.backends()}
needs_cuda = pytest.mark.skipif(not STATUS["cuda"].available, reason=f"backend 'cuda': {STATUS['cuda'].why}")
simulated = pytest.mark.skipif(os.environ.get("NUMBA_ENABLE_CUDASIM") != "1", reason="for the simulator only")
needs_jax = pytest.mark.skipif(not STATUS["tpu"].available, reason=f"backend 'tpu': {STATUS['tpu'].why}")


def replayed(f: Any, backend: str, *args: Any) -> Any:
    """The result of a replay."""
    jitted = npdiff.jit(f, backend)
    jitted(*args)
    out = jitted(*args)
    assert [r.calls for entry in jitted._entries.values() for r in entry.recordings] == [1]
    return out
