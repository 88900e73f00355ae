"""The runtime's own functions: what they accept, what they turn away, and what they leave behind."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys

import numpy as np
import pytest

from npdiff.graph import Graph
from npdiff.kernels import compile_graph, native

F8, I8 = np.dtype(float), np.dtype(np.int64)
A = np.arange(6.0).reshape(2, 3)


def test_specs_of_arrays():
    match = native.matcher([native.array(F8, (2, 3), None, True, 0)])
    assert match(A) is True
    for other in (A.T, A[:, ::-1], A.astype(np.float32), A.astype(">f8"), A.ravel(), A[None], A.view(np.recarray),
                  np.broadcast_to(A, (2, 3)), 1.0, None, [1.0]):
        assert match(other) is False
    assert match() is False
    assert match(A, A) is False


def test_specs_of_strided_arrays():
    t = A.T
    match = native.matcher([native.array(F8, t.shape, t.strides, True, 0)])
    assert match(t) is True
    assert match(np.ascontiguousarray(t)) is False


def test_arrays_that_are_the_same():
    different = native.matcher([native.array(F8, (2, 3), None, True, k) for k in range(3)])
    twice = native.matcher([native.array(F8, (2, 3), None, True, k) for k in (0, 0, 2)])
    b, c = A.copy(), A.copy()
    assert different(A, b, c) is True
    assert not any([different(A, A, c), different(A, b, b), different(A, b, A)])
    assert twice(A, A, c) is True
    assert not any([twice(A, b, c), twice(A, A, A)])


def test_specs_of_types_and_objects():
    thing = object()
    match = native.matcher([native.kind_of(float), native.kind_of(np.float64), native.exactly(thing)])
    assert match(1.0, np.float64(2.0), thing) is True
    assert match(np.float64(1.0), np.float64(2.0), thing) is False
    assert match(True, np.float64(2.0), thing) is False
    assert match(1.0, 2.0, thing) is False
    assert match(1.0, np.float64(2.0), object()) is False


def test_places():
    def f(x, k=1.5, *, m=None):
        return cell

    cell = object()
    book = {"a": 1, "b": "two"}
    same = native.unchanged([("cell", f.__closure__[0], None, cell), ("entry", book, "a", book["a"]),
                             ("__defaults__", f, None, f.__defaults__),
                             ("__kwdefaults__", f, None, f.__kwdefaults__), ("__code__", f, None, f.__code__)])
    before = sys.getrefcount(cell), sys.getrefcount(book["b"])
    assert all(same() is True for _ in range(1000))
    assert (sys.getrefcount(cell), sys.getrefcount(book["b"])) == before
    old = f.__defaults__
    f.__defaults__ = (2.5,)
    assert same() is False
    f.__defaults__ = None
    assert same() is False
    f.__defaults__ = old
    assert same() is True
    del book["a"]
    assert same() is False
    book["a"] = 1
    assert same() is True
    old, f.__kwdefaults__ = f.__kwdefaults__, None
    assert same() is False
    f.__kwdefaults__ = old
    code, f.__code__ = f.__code__, (lambda x, k=1.5, *, m=None: cell).__code__
    assert same() is False
    f.__code__ = code
    assert same() is True
    held = cell
    cell = 5
    assert same() is False
    del cell
    assert same() is False
    cell = held
    assert same() is True


def test_functions_without_defaults():
    def f():
        pass

    same = native.unchanged([("__defaults__", f, None, None), ("__kwdefaults__", f, None, None)])
    assert same() is True
    f.__defaults__ = ()
    assert same() is False


def test_numbers_stand_for_points():
    from graphs import Recorder

    r = Recorder(np.ones(4), 2.0, 3)
    x, a, n = r.inputs
    run = compile_graph(r.graph(r("add", r("multiply", x, a), n)))
    for number, count in [(2.5, 7), (np.float64(2.5), 7), (np.float64(2.5), np.int64(7)), (np.array(2.5), np.array(7)),
                          (np.inf, -1)]:
        (got,) = run(np.ones(4), number, count)
        np.testing.assert_array_equal(got, np.ones(4) * number + count)


def test_nothing_is_left_behind():
    from graphs import Recorder

    r = Recorder(np.ones((50, 50)))
    run = compile_graph(r.graph(r("multiply", r.inputs[0], 2.0), r("sum", r("add", r.inputs[0], 1.0), axis=(0, 1),
                                                                   keepdims=False)))
    x = np.ones((50, 50))
    float64 = np.dtype(float)
    run(x)
    gc.collect()
    before = sys.getrefcount(x), sys.getrefcount(float64), sys.getrefcount(np.ndarray)
    for _ in range(500):
        a, s = run(x)
    assert sys.getrefcount(a) == 2
    del a, s
    gc.collect()
    after = sys.getrefcount(x), sys.getrefcount(float64), sys.getrefcount(np.ndarray)
    assert all(abs(now - then) < 50 for now, then in zip(after, before, strict=True))


def test_a_kernel_too_large_for_memory():
    launch = native.launcher(0, 0, native.Work(1, 1), [], [(F8, (1 << 58,))])
    with pytest.raises((MemoryError, ValueError)):
        launch()


def test_another_layout_of_arrays_is_noticed(monkeypatch):
    code = {**native.runtime(), "npdiff_match": native.runtime()["npdiff_unchanged"]}
    monkeypatch.setattr(native, "_methods", [])
    with pytest.raises(RuntimeError, match="laid out in a way"):
        native._check(code)


def test_a_graph_without_equations():
    graph = Graph([], {}, [], [])
    assert compile_graph(graph)() == []


def test_what_the_c_library_keeps_goes_back():
    if not hasattr(ctypes.CDLL(None) if sys.platform == "linux" else None, "malloc_trim"):
        pytest.skip("this C library cannot be told to")
    code = """
import numpy as np
from npdiff.kernels import native

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

large = np.ones(3_000_000)
del large  # from now on smaller arrays come from the heap
many = [np.ones(500_000) for _ in range(21)]
most = held()
above = many.pop()  # the heap cannot end below it
del many
native.trim()
assert held() < most - 20 * 3_000_000, (most, held())
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr
