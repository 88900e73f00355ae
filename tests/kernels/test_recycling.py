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

SIZE = 200_003  # of float64: large enough for its memory to be recycled, and no other test's size
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
        native.at_rest(0)
        held = [double(X) for _ in range(20)]
        del held
        assert native.at_rest(0) == 0
    finally:
        native.at_rest()
    assert native.at_rest() <= native.POOL_LIMIT


def test_what_has_rested_longest_goes_first(double):
    native.at_rest(0)
    assert native.at_rest(20 * SIZE) == 0
    try:
        small = npdiff.jit(lambda x: x[:SIZE // 2] * 3 + 1)
        small(X)
        held = [double(X), double(X)]
        del held
        assert native.at_rest(20 * SIZE) == 16 * SIZE
        y = small(X)
        place = address(y)
        del y
        assert address(small(X)) == place
        assert native.at_rest(20 * SIZE) <= 20 * SIZE
    finally:
        native.at_rest()


def test_at_most_so_many_blocks_rest():
    jitted = npdiff.jit(lambda a, b: a * b + a)
    row = np.ones((1, 100))
    native.at_rest(0)
    native.at_rest()
    for n in range(100, 180):
        column = np.ones((n, 1))
        for _ in range(2):
            assert jitted(column, row).shape == (n, 100)
    assert native.at_rest() <= 64 * 8 * 180 * 100
    np.testing.assert_array_equal(jitted(column, row), column * row + column)


@pytest.mark.parametrize("size", [10_000, 10_001, 200_003, 600_001])
@pytest.mark.parametrize("dtype", ["f8", "f4", "?"])
def test_large_results_begin_at_a_cache_line(size, dtype):
    jitted = npdiff.jit(lambda x: (x == x) ^ x if x.dtype == bool else x * 2 + x)
    x = np.ones(size * 8 // np.dtype(dtype).itemsize, dtype)
    jitted(x)
    for _ in range(3):
        kept = [jitted(x), jitted(x)]
        assert all(address(a) % 64 == 0 for a in kept)


@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory are the system's")
def test_what_rests_makes_way_when_memory_runs_out():
    code = """
import resource, numpy as np, npdiff
from npdiff.kernels import native
f = npdiff.jit(lambda a, b: a * b + a)
large, small = [(np.ones((n, 1)), np.ones((1, n))) for n in (5000, 4300)]
for args in (small, large, small, large):
    f(*args)
native.at_rest(0)
native.at_rest(1 << 30)
f(*large)
assert native.at_rest(1 << 30) == 8 * 5000 * 5000
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (40 << 20),) * 2)
np.testing.assert_array_equal(f(*small)[::100], 2.0)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr


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
