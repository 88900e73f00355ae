"""Results of kernels whose arrays are larger than caches are written past these; so they must lie in whole lines."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import npdiff
from npdiff.kernels import machine, streaming

# What is rendered for vectors of half a line or more; narrower ones are left to ordinary stores.
WIDE = machine.vector_bits() >= 256


@pytest.fixture(autouse=True)
def _streams_early(monkeypatch):
    monkeypatch.setattr(streaming, "STREAMED", 1 << 17)


def compiled(f, *args):
    """The function, with its kernels, and their text."""
    jitted = npdiff.jit(f)
    for _ in range(2):
        got = jitted(*args)
    expected = f(*args)
    for a, b in zip(npdiff.tree.leaves(got), npdiff.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    [entry] = jitted._entries.values()
    return jitted, entry.recordings[0].compiled()._executable.text()


def streams(text):
    return text.count("!nontemporal")


@pytest.mark.skipif(not WIDE, reason="narrow vectors")
@pytest.mark.parametrize("size", [1 << 16, (1 << 16) + 1, (1 << 16) + 7, (1 << 16) + 8, 100_003])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "i4"])
def test_every_element_is_written(size, dtype):
    x = np.arange(size).astype(dtype)
    _, text = compiled(lambda x: (x * 2, x + 1), x)
    assert streams(text) == 2
    assert "fence seq_cst" in text


@pytest.mark.skipif(not WIDE, reason="narrow vectors")
def test_beside_a_reduction_and_vector_math():
    x = np.linspace(0.0, 1.0, 70_001)
    _, text = compiled(lambda x: (np.exp(x) + np.sin(x), np.sum(np.exp(x))), x)
    assert streams(text)


@pytest.mark.skipif(not WIDE, reason="narrow vectors")
@pytest.mark.parametrize(("shape", "streamed"), [((300, 304), True), ((300, 301), False)])
def test_rows_in_whole_lines(shape, streamed):
    a, b = np.ones((shape[0], 1)), np.linspace(0.0, 1.0, shape[1])
    _, text = compiled(lambda a, b: a * b + np.broadcast_to(b, shape), a, b)
    assert bool(streams(text)) is streamed


@pytest.mark.parametrize("f", [lambda x: x > 0.5, lambda x: x * 1j, lambda x: x.astype(np.float16)],
                         ids=["bool", "complex", "half"])
def test_other_kinds_of_elements(f):
    compiled(f, np.linspace(0.0, 1.0, 200_003))


def test_small_kernels_store_as_ever():
    _, text = compiled(lambda x: x * 2, np.ones(1000))
    assert not streams(text)
    assert "fence" not in text


@pytest.mark.parametrize("offset", [1, 3, 8])
def test_operands_that_lie_askew(offset):
    whole = np.linspace(0.0, 1.0, 100_020)
    jitted, _ = compiled(lambda x, y: x * y + 1, whole[:100_000], whole[:100_000])
    for step in (1, -1):
        x, y = whole[offset:offset + 100_000], whole[:100_000][::step]
        np.testing.assert_array_equal(jitted(x, y), x * y + 1)
    raw = np.zeros(8 * 100_000 + 3, np.uint8)
    x = raw[3:].view("f8")
    x[...] = whole[:100_000]
    np.testing.assert_array_equal(jitted(x, x), x * x + 1)


def test_read_only_operands_and_results_that_are_operands():
    x = np.linspace(0.0, 1.0, 100_000)
    x.flags.writeable = False
    jitted, _ = compiled(lambda x: x * 3 + 1, x)
    y = jitted(x)
    np.testing.assert_array_equal(jitted(y), (x * 3 + 1) * 3 + 1)


def test_many_threads_read_each_others_results():
    x = np.linspace(0.0, 1.0, 300_007)
    jitted, _ = compiled(lambda x: (x * 2 + 1, x - 1), x)
    expected = x * 2 + 1, x - 1

    def work(_):
        return all(np.array_equal(a, b) for a, b in zip(jitted(x), expected, strict=True))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(100)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child():
    code = """
import os, numpy as np, npdiff
from npdiff.kernels import streaming
streaming.STREAMED = 1 << 17
x = np.linspace(0, 1, 300_001)
f = npdiff.jit(lambda x: x * 2 + x)
for _ in range(4):
    f(x)
pid = os.fork()
if pid == 0:
    os._exit(0 if all(np.array_equal(f(x + k), (x + k) * 2 + (x + k)) for k in range(5)) else 1)
assert os.waitpid(pid, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr
