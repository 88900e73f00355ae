"""Writes into windows and joined arrays in the simulator: cases by the index; run by test_simulator.py."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from cut import kernels_of
from graphs import Recorder, expected, same
from hypothesis import HealthCheck, given, settings
from simulator import run
from test_placements import joins

from npdiff.kernels.loop_ir import guarded
from npdiff.kernels.schedule import Scheduler


def stencil(x):
    """Two steps of a stencil written into its inner part, and what is beside it."""
    r = Recorder(x)
    a = r("multiply", r.inputs[0], x.dtype.type(2))
    for _ in range(2):
        sides = [r("getitem", a, index=np.s_[lo:lo - 2 or None, 1:-1]) for lo in (0, 2)]
        sides += [r("getitem", a, index=np.s_[1:-1, lo:lo - 2 or None]) for lo in (0, 2)]
        total = r("add", r("add", *sides[:2]), r("add", *sides[2:]))
        a = r("setitem", a, total, index=np.s_[1:-1, 1:-1])
    return r.graph(r("concatenate", a, r("add", r.inputs[0], x.dtype.type(1)), axis=1))


@pytest.mark.parametrize("dtype", "? h i f d e F D".split())
def test_stencils(dtype):
    x = (np.arange(56).reshape(7, 8) % 5).astype(dtype)
    if dtype in "FD":
        x = x + np.array(1j, dtype) * x[::-1]
    with patch.object(Scheduler, "_worthwhile", lambda self, group: True):
        g = stencil(x)
        assert any(guarded(k) for k in kernels_of(g))
        for got, want in zip(run(g, [x]), expected(g, [x]), strict=True):
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)


@given(joins())
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_random_joins(program):
    graph, xs = program
    with patch.object(Scheduler, "_worthwhile", lambda self, group: True), \
            patch.object(Scheduler, "_only_copied", lambda self: set()):
        same(run(graph, xs), expected(graph, xs))
