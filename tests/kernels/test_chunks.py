"""Large kernels in chunks: the same results whatever the number of threads, and who else is calling."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import npdiff
from npdiff.kernels import chunks
from npdiff.kernels.chunks import nanoseconds, part_bytes
from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Node, Reduction, Store

F8 = np.dtype(float)


@pytest.fixture(autouse=True)
def _threads():
    before = npdiff.get_num_threads()
    yield
    npdiff.set_num_threads(before)


def matrix(rows, columns, dtype=float):
    return np.random.default_rng(rows).uniform(-1, 1, (rows, columns)).astype(dtype)


TIMES = np.array([1.0, 2.0, 4.0])
FUNCTIONS = {
    "elementwise": lambda x: (x * x + 1) * x - 2,
    "whole sum": lambda x: np.sum(x * x + 1),
    "sum of rows": lambda x: np.sum(x * x + 1, axis=1),
    "sum of columns": lambda x: np.sum(x * x + 1, axis=0),
    "product": lambda x: np.prod(1 + x * 1e-9),
    "largest": lambda x: np.max(x * x, axis=0),
    "smallest of all": lambda x: np.min(x * x - x),
    "any": lambda x: np.any(x * x > 0.999999, axis=0),
    "all": lambda x: np.all(x * x < 2),
    "values and sums": lambda x: (x * 2 + 1, np.sum(x * 2 + 1, axis=0), np.max(x * 2 + 1)),
    "transposed": lambda x: np.sum(x.T * 2 + 1, axis=0),
    "sums of a middle and an outer axis": lambda x: [np.sum(x[:, :, None] * TIMES + 1, axis=k) for k in (1, 0)],
    "integers": lambda x: np.sum((x > 0) * 3 + 1),
}


@pytest.mark.parametrize("shape", [(700, 701), (1, 500_003), (300_001, 1), (100_000, 3)], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_do_not_depend_on_the_number_of_threads(name, shape):
    x = matrix(*shape)
    f = FUNCTIONS[name]
    jitted = npdiff.jit(f)
    jitted(x)
    seen = []
    for count in (1, 2, 5):
        npdiff.set_num_threads(count)
        seen.append(npdiff.tree.leaves(jitted(x)))
    assert "kernel" in jitted.explain(x)
    for got in seen[1:]:
        for a, b in zip(got, seen[0], strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(seen[0], npdiff.tree.leaves(f(x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_sums_in_chunks_stay_accurate():
    x = np.full(5_000_000, 0.1)
    jitted = npdiff.jit(lambda x: np.sum(x * 1.0))
    for _ in range(2):
        got = jitted(x)
    assert abs(got - 5_000_000 * 0.1) < 1e-8


def kernel(size, reduced=True):
    nodes = (Node("load", F8, (), Access(0, 0, (1,))), Node("mul", F8, (0, 0), None))
    reductions = (Reduction("add", 1, (0,), Access(0, 0, (0,))),) if reduced else ()
    return Kernel((size,), (Buffer(F8, size),), (Buffer(F8, 1),), nodes, (), reductions)


def test_short_kernels_are_not_cut():
    work = chunks.work_of(kernel(1000))
    assert work == chunks.Work(1000, 1000)


def test_long_kernels_are_cut_at_vectors_and_not_too_often():
    work = chunks.work_of(kernel(10_000_000))
    assert work.long
    assert work.wide
    assert work.parted == {0}
    assert work.chunk % chunks.GRANULE == 0
    assert 2 <= -(-work.extent // work.chunk) <= chunks.MOST_CHUNKS


def test_concurrent_calls():
    x = matrix(600, 601)
    jitted = npdiff.jit(lambda x: (np.exp(x) * x + 1, np.sum(np.exp(x) * x + 1)))
    jitted(x)
    npdiff.set_num_threads(3)
    expected = jitted(x)
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: jitted(x), range(80)):
            np.testing.assert_array_equal(got[0], expected[0])
            assert got[1] == expected[1]


def test_other_threads_run_during_a_long_kernel():
    x = matrix(700, 700)
    jitted = npdiff.jit(lambda x: np.exp(np.exp(np.sin(x) * x) * x) * x)
    for _ in range(3):
        jitted(x)
    npdiff.set_num_threads(1)
    go, ran = threading.Event(), []
    other = threading.Thread(target=lambda: (go.wait(60), ran.append(True)), daemon=True)
    other.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)  # from now on this thread keeps the GIL, unless it lets go of it
    try:
        go.set()
        for _ in range(50):
            jitted(x)
            if ran:
                break
        seen = list(ran)
    finally:
        sys.setswitchinterval(interval)
        other.join(60)
    assert seen


def test_more_threads_can_be_asked_for_after_one():
    code = """
import threading, numpy as np, npdiff
x = np.linspace(0, 1, 400_000)
workers = lambda: sum(t.name.startswith("npdiff-") for t in threading.enumerate())
npdiff.set_num_threads(1)
before = workers()
f = npdiff.jit(lambda x: np.sum(x * x + 1))
expected = [f(x) for _ in range(3)][-1]
alone = workers()
npdiff.set_num_threads(3)
assert (before, alone, workers()) == (0, 0, 2), (before, alone, workers())
assert f(x) == expected
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_runs_alone():
    code = """
import os, sys, numpy as np, npdiff
x = np.linspace(0, 1, 400_000)
f = npdiff.jit(lambda x: np.sum(x * x + 1))
npdiff.set_num_threads(4)
expected = [f(x) for _ in range(3)][-1]
pid = os.fork()
if pid == 0:
    npdiff.set_num_threads(4)
    good = f(x) == expected and npdiff.jit(lambda x: np.sum(x * x + 3))(x) > 0 and npdiff.get_num_threads() == 1
    os._exit(0 if good else 1)
assert os.waitpid(pid, 0)[1] == 0
assert f(x) == expected
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("count", [0, -1, 2.0, True, 1000, None])
def test_a_number_of_threads_that_is_none(count):
    with pytest.raises(npdiff.errors.ArgumentError, match="must be an int from 1 to 256"):
        npdiff.set_num_threads(count)


@pytest.mark.parametrize(("said", "expected"), [("3", 3), ("x", None), ("0", None), ("", None)])
def test_the_environment_says_how_many(said, expected):
    code = "import npdiff; print(npdiff.get_num_threads())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "NPDIFF_NUM_THREADS": said})
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert int(done.stdout) == (expected or usable)


@pytest.mark.parametrize("size", [0, 1, 8, 32, 63, 64, 65, 200])
def test_no_two_parts_lie_in_one_cache_line(size):
    step = part_bytes(size)
    assert step % 16 == 0
    for start in range(0, 64, 8):
        last, following = (start + size - 1) // 64, (start + step) // 64
        assert last < following


def estimate(*nodes, sizes=(100, 100), dtype=F8, rows=None):
    store = Store(len(nodes) - 1, Access(0, 0, (100, 1)))
    return nanoseconds(Kernel(sizes, (Buffer(dtype, 10_000),), (Buffer(dtype, 10_000),), nodes, (store,), (), rows))


def test_estimates_count_what_is_done_at_each_point():
    load, row = (Node("load", F8, (), Access(0, 0, strides)) for strides in ((100, 1), (100, 0)))
    root = Node("call", F8, (0,), "log")
    short = [Node(n.op, np.dtype("f4"), n.args, n.data) for n in (load, root)]
    assert estimate(*short, dtype=np.dtype("f4")) == pytest.approx(estimate(load, root) / 2)
    # Once a row, or at every point.
    outside = estimate(row, root, Node("load", F8, (), load.data), Node("add", F8, (1, 2)))
    assert outside < estimate(load, root, Node("load", F8, (), load.data), Node("add", F8, (1, 2))) / 4
    # In one column of a hundred, or in all but that.
    inside = Node("inside", np.dtype(bool), (), ((0, 100), (0, 1)))
    rare, often = (estimate(load, root, inside, Node("select", F8, (2, *pair))) for pair in ((1, 0), (0, 1)))
    assert rare < often / 4
    guarded = Node("load", F8, (), Access(0, 0, (100, 1), ((0, 100), (0, 1))))
    assert estimate(guarded) < estimate(load)
