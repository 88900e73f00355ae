"""Memory of large results is used again once nobody looks at it; the arrays are NumPy's own."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import npdiff
from npdiff.kernels import native

SIZE = 200_003  # of float64: more than native.POOLED bytes, and no other test's size
X = np.linspace(0.0, 1.0, SIZE)


@pytest.fixture
def double():
    """A compiled function with a large result."""
    jitted = npdiff.jit(lambda x: x * 2 + x)
    for _ in range(3):
        jitted(X)
    gc.collect()
    return jitted


def address(a):
    return a.__array_interface__["data"][0]


def test_a_freed_result_is_the_next_ones_memory(double):
    first = double(X)
    place = address(first)
    del first
    assert native.at_rest() >= 8 * SIZE
    second = double(X)
    assert address(second) == place
    np.testing.assert_array_equal(second, X * 2 + X)


def test_results_in_use_are_left_alone(double):
    held = [double(X + k) for k in range(6)]
    assert len({address(a) for a in held}) == 6
    for k, a in enumerate(held):
        np.testing.assert_array_equal(a, (X + k) * 2 + (X + k))


@pytest.mark.parametrize("look", [lambda a: a[5:9], lambda a: a[::-2], lambda a: a.reshape(-1, 1), memoryview,
                                  lambda a: a.view(np.int64)], ids=["slice", "strided", "reshaped", "buffer", "dtype"])
def test_views_keep_the_memory(double, look):
    whole = double(X)
    seen = look(whole)
    before = np.array(seen)
    del whole
    others = [double(X * 7 + k) for k in range(3)]
    np.testing.assert_array_equal(np.array(seen), before)
    del others


def test_results_are_ordinary_arrays(double):
    y = double(X)
    assert type(y) is np.ndarray
    assert y.base is None
    assert y.flags.owndata
    assert y.flags.writeable
    assert y.flags.c_contiguous
    y.resize(SIZE + 1000, refcheck=False)
    assert y[-1] == 0.0
    np.testing.assert_array_equal(y[:SIZE], X * 2 + X)
    y.resize(10, refcheck=False)
    del y
    for k in range(4):
        np.testing.assert_array_equal(double(X + k), (X + k) * 2 + (X + k))


def test_what_rests_is_bounded(double):
    try:
        before = native.at_rest(0)
        held = [double(X) for _ in range(20)]
        del held
        assert native.at_rest(0) <= before
    finally:
        native.at_rest()
    assert native.at_rest() <= native.POOL_LIMIT


def test_small_results_are_numpys():
    jitted = npdiff.jit(lambda x: x * 2 + x)
    small = np.ones(100)
    before = native.at_rest()
    for _ in range(10):
        jitted(small)
    assert native.at_rest() == before


def test_several_large_results():
    jitted = npdiff.jit(lambda x: (x * 2 + x, x * 3 - x, np.sum(x * 2 + x)))
    for k in range(6):
        a, b, s = jitted(X + k)
        np.testing.assert_array_equal(a, (X + k) * 2 + (X + k))
        np.testing.assert_array_equal(b, (X + k) * 3 - (X + k))
        np.testing.assert_allclose(s, np.sum(a))


def test_threads(double):
    def work(k):
        y = double(X + k)
        part = y[::1000].copy()
        del y
        return np.array_equal(part, (X + k)[::1000] * 2 + (X + k)[::1000])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child():
    code = """
import os, numpy as np, npdiff
x = np.linspace(0, 1, 300_000)
f = npdiff.jit(lambda x: x * 2 + x)
for _ in range(4):
    y = f(x)
pid = os.fork()
if pid == 0:
    good = all(np.array_equal(f(x + k), (x + k) * 2 + (x + k)) for k in range(5))
    os._exit(0 if good and np.array_equal(y, x * 2 + x) else 1)
assert os.waitpid(pid, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr
