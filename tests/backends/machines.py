"""The backends as parameters of tests: those that cannot run here are skipped, with the reason."""

from __future__ import annotations

import pytest

import npdiff


def _parameter(status: npdiff.backend.contract.Status) -> object:
    marks = [] if status.available else [pytest.mark.skip(reason=f"backend {status.name!r}: {status.why}")]
    return pytest.param(status.name, marks=marks)


each_backend = pytest.mark.parametrize("backend", [_parameter(s) for s in npdiff.backends()])
STATUS = {s.name: s for s in npdiff.backends()}
needs_jax = pytest.mark.skipif(not STATUS["tpu"].available, reason=f"backend 'tpu': {STATUS['tpu'].why}")
