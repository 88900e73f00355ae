"""Functions that write into slices, compiled: NumPy's own results, through views and overlaps, and no more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import npdiff

BOUNDS = st.sampled_from([None, 0, 1, 2, -1, -2])
SLICES = st.builds(slice, BOUNDS, BOUNDS, st.sampled_from([None, 1, 2, -1]))
INDICES = st.tuples(SLICES, st.one_of(SLICES, st.integers(-3, 2)))
WORK = ["set", "set", "add", "scale", "move", "view", "write view", "new", "copy"]
STEPS = st.lists(st.tuples(st.sampled_from(WORK), st.integers(0, 7), st.integers(0, 7), INDICES, INDICES), min_size=3,
                 max_size=12)


def run(steps, x, y):
    """The steps on a growing list of arrays and views; x is only read, y is written into, too."""
    arrays = [x.copy(), np.zeros_like(x), y]
    for what, first, second, here, there in steps:
        target, source = arrays[first % len(arrays)], arrays[second % len(arrays)]
        if target.ndim != 2 or source.ndim != 2:
            continue
        try:
            if what == "set":
                target[here] = source[there]
            elif what == "add":
                target[here] += 0.5 * source[there] + 1.0
            elif what == "scale":
                target *= 1.5
            elif what == "move":
                target[1:, :-1] = 0.25 * (target[:-1, 1:] + target[1:, 1:] + target[:-1, :-1])
            elif what == "view":
                arrays.append(target[here])
            elif what == "write view":
                arrays[-1][...] = 0.5 * arrays[-1] + 2.0
            elif what == "new":
                arrays.append(np.exp(-0.5 * target * target) + x[0, 0])
            else:
                arrays.append(source.copy())
        except (ValueError, IndexError):  # shapes that do not fit
            continue
    return [np.sum(a) for a in arrays], arrays[0] + 0.0, arrays[-1] * 1.0


@given(STEPS, st.integers(0, 100))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_writes(steps, seed):
    rng = np.random.default_rng(seed)
    jitted = npdiff.jit(lambda x, y: run(steps, x, y))
    for _ in range(3):
        x, y = rng.uniform(-1, 1, (2, 5, 6))
        plain_x, plain_y = x.copy(), y.copy()
        want = run(steps, plain_x, plain_y)
        got = jitted(x, y)
        for a, b in zip(got[0], want[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
        for a, b in zip([*got[1:], x, y], [*want[1:], plain_x, plain_y], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
        found = [*got[1:], x, y]
        assert not any(np.shares_memory(a, b) for i, a in enumerate(found) for b in found[:i])


def diffuse(grid):
    """A few steps of heat flow."""
    grid = grid.copy()
    for _ in range(3):
        grid[1:-1] += 0.2 * (grid[:-2] - 2.0 * grid[1:-1] + grid[2:])
    return grid


def test_every_step_of_a_stencil_is_one_kernel():
    x = np.linspace(0, 1, 600).reshape(30, 20) ** 2
    jitted = npdiff.jit(diffuse)
    first, second, third = jitted(x), jitted(x), jitted(x)
    np.testing.assert_allclose([first, second, third], [diffuse(x)] * 3, rtol=1e-13)
    assert not np.shares_memory(second, third)
    assert "3 kernels, 0 host calls" in jitted.explain(x)


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_a_state_that_is_kept_stays_as_it_was(keep):
    def states(grid):
        grid, seen = grid.copy(), []
        for k in range(3):
            grid[k] = 2.0 * grid[k + 1]
            if k == keep:
                seen.append(grid.copy())
                seen.append(grid[k:].T)
        return *[s + 0.0 for s in seen], grid

    x = np.arange(20.0).reshape(5, 4)
    jitted = npdiff.jit(states)
    for _ in range(3):
        np.testing.assert_equal(jitted(x), states(x))
    np.testing.assert_equal(x, np.arange(20.0).reshape(5, 4))


def test_comparisons_are_fused_as_any_arithmetic():
    def masked(x):
        return np.sum(np.where(np.logical_or(np.isnan(x), x > 0.2), np.floor(x), x * 2))

    x = np.linspace(-1, 1, 2500).reshape(50, 50)
    jitted = npdiff.jit(masked)
    for _ in range(3):
        np.testing.assert_allclose(jitted(x), masked(x), rtol=1e-13)
    assert "1 kernels, 0 host calls" in jitted.explain(x)


def made_by_numpy(x):
    c = np.histogram2d(x, x, 2, [(0.0, 1.0), (0.0, 2.0)])[1]
    first = np.searchsorted(c, x)
    c[1] = 9.0
    return first, np.sum(x) * c


def drawn(x):
    c = np.random.default_rng(0).random(3)
    first = c * x
    c *= 2.0
    return first, c * x, c


@pytest.mark.parametrize("f", [made_by_numpy, drawn])
def test_plain_arrays_that_are_written_into_after_they_were_read(f):
    x = np.array([0.3, 0.6, 1.5])
    want, jitted = f(x), npdiff.jit(f)
    for _ in range(3):
        got = jitted(x)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        got[-1][...] = 7.0  # a result is the caller's
