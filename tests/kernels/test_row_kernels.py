"""Kernels with rows against NumPy: short rows in lanes, long ones along the row, over dtypes, sizes and layouts."""

from __future__ import annotations

import re

import numpy as np
import pytest
from graphs import Recorder, expected, kernels_of, same

import npdiff
from npdiff.kernels import compile_graph, llvm_memory, machine
from npdiff.kernels.chunks import work_of
from npdiff.kernels.llvm_text import Body
from npdiff.kernels.loop_ir import Access, Buffer, IRError, Kernel, Node, Reduction, Store, show, verify
from npdiff.kernels.merge import Unit, levels
from npdiff.kernels.render_rows import form, narrow
from npdiff.kernels.rows import in_rows, plan
from npdiff.kernels.schedule import KernelStep, schedule

F8 = np.dtype("f8")
TWO = (Buffer(F8, 2),)


def data(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.uniform(-1.5, 1.5, shape).astype(dtype)
    return rng.integers(0, 5, shape).astype(dtype)


def softmax(x, axis=1):
    """Softmax, logsumexp and the sum of all, as the graph that recording gives."""
    r = Recorder(x)
    a = r.inputs[0]
    top = r("max", a, axis=(axis,), keepdims=True)
    e = r("exp", r("subtract", a, top))
    total = r("sum", e, axis=(axis,), keepdims=True)
    y = r("divide", e, total)
    return r.graph(y, r("add", r("log", total), top), r("sum", r("multiply", y, a), axis=(0, 1), keepdims=False))


def wholes(x):
    """Integers: what a row adds up to, and how far each is from its largest."""
    r = Recorder(x)
    a = r.inputs[0]
    top = r("max", a, axis=(1,), keepdims=True)
    apart = r("subtract", top, a)
    return r.graph(apart, r("multiply", apart, r("min", apart, axis=(1,), keepdims=True)),
                   r("prod", r("add", apart, apart), axis=(1,), keepdims=False),
                   r("max", apart, axis=(0, 1), keepdims=False))


def forms(graph):
    """For each kernel: whether rows are lanes, and the lanes; None where it has no rows."""
    found = [form(s.kernel, 512) for s in schedule(graph) if isinstance(s, KernelStep)]
    return [f and (f.lanes, f.width) for f in found]


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 10, 15, 16, 17, 32, 33, 64, 100])
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 100])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_softmax_over_rows_of_every_length(dtype, rows, n):
    x = data(dtype, (rows, n))
    g = softmax(x)
    k = compile_graph(g)
    assert kernels_of(k) == 1 or rows == 1
    same(k(x), expected(g, (x,)))


@pytest.mark.parametrize("n", [2, 5, 8, 10, 16, 31, 50])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "i4", "i8"])
def test_integers(dtype, n):
    for rows in (3, 16, 203):
        x = data(dtype, (rows, n))
        g = wholes(x)
        same(compile_graph(g)(x), expected(g, (x,)))


@pytest.mark.parametrize("n", [2, 3, 10, 32, 40])
def test_truth_values(n):
    x = data("u1", (77, n)) > 1
    r = Recorder(x)
    a = r.inputs[0]
    every = r("all", a, axis=(1,), keepdims=True)
    some = r("any", r("logical_xor", a, every), axis=(1,), keepdims=True)
    g = r.graph(r("logical_and", a, some), every, r("any", r("logical_and", a, every), axis=(0,), keepdims=False))
    same(compile_graph(g)(x), expected(g, (x,)))


@pytest.mark.parametrize("rows", [5000, 40_003])
@pytest.mark.parametrize("n", [3, 10])
def test_chunks_of_rows(n, rows):
    x = data("f8", (rows, n))
    g = softmax(x)
    [step] = [s for s in schedule(g) if isinstance(s, KernelStep)]
    work = work_of(step.kernel)
    assert work.wide
    assert work.chunk % 16 == 0
    same(compile_graph(g)(x), expected(g, (x,)))


@pytest.mark.parametrize("chunk", [16, 24, 1003])
def test_chunks_that_cut_vectors_count_every_row_once(chunk):
    x = data("f8", (1003, 4))
    r = Recorder(x)
    y = r("multiply", r.inputs[0], 2.0)
    g = r.graph(r("sum", y, axis=(0, 1), keepdims=False), r("sum", y, axis=(1,), keepdims=False))
    [step] = [s for s in schedule(g) if isinstance(s, KernelStep)]
    from npdiff.kernels import compile_cpu
    from npdiff.kernels.chunks import Work
    from npdiff.kernels.executable import Executable

    cut = Work(1003, chunk, long=True, wide=chunk < 1003, parted=frozenset([0]) if chunk < 1003 else frozenset())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compile_cpu, "work_of", lambda kernel: cut)
        same(Executable(g, [step])(x), expected(g, (x,)))


@pytest.mark.parametrize("n", [3, 10, 40])
@pytest.mark.parametrize("layout", ["transposed", "reversed", "every other", "cut out"])
def test_inputs_that_are_not_contiguous(layout, n):
    x = {"transposed": data("f8", (n, 50)).T, "reversed": data("f8", (50, n))[::-1, ::-1],
         "every other": data("f8", (50, 2 * n))[:, ::2], "cut out": data("f8", (60, n + 5))[4:54, 2:-3]}[layout]
    g = softmax(x)
    same(compile_graph(g)(x), expected(g, (x,)))


@pytest.mark.parametrize("n", [4, 10, 50])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_one_row_is_not_touched_by_another(special, n):
    x = data("f8", (19, n))
    x[3, n // 2] = special
    x[18, 0] = special
    g = softmax(x)
    got, want = compile_graph(g)(x), expected(g, (x,))
    same(got[:2], want[:2])
    assert np.isnan(got[2]) == np.isnan(want[2])
    assert np.all(np.isfinite(got[0][4:18]))


@pytest.mark.parametrize("shape", [(6, 200), (200, 6), (40, 40), (3, 5, 7), (300, 4, 3)])
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_along_any_axis(axis, shape):
    x = data("f8", shape)
    r = Recorder(x)
    a = r.inputs[0]
    mean = r("divide", r("sum", a, axis=(axis,), keepdims=True), float(shape[axis]))
    apart = r("subtract", a, mean)
    g = r.graph(r("sum", r("multiply", apart, apart), axis=(axis,), keepdims=False), apart)
    k = compile_graph(g)
    assert kernels_of(k) == 1
    same(k(x), expected(g, (x,)))


@pytest.mark.parametrize("n", [3, 10, 32])
def test_columns_of_short_rows(n):
    x = data("f8", (1001, n))
    r = Recorder(x, data("f8", (n,)))
    y = r("multiply", *r.inputs)
    g = r.graph(r("sum", y, axis=(0,), keepdims=False), r("max", y, axis=(0,), keepdims=True),
                r("sum", y, axis=(1,), keepdims=False), y)
    assert forms(g) == [(True, 8)]
    args = (x, data("f8", (n,)))
    same(compile_graph(g)(*args), expected(g, args))


def test_a_batch_of_short_rows():
    x = data("f8", (5, 30, 3))
    r = Recorder(x, x[:, :, :1], x[:1, :1])
    a, b, c = r.inputs
    y = r("multiply", r("add", a, b), c)
    g = r.graph(r("sum", y, axis=(2,), keepdims=False), r("sum", y, axis=(0, 2), keepdims=False),
                r("sum", y, axis=(0, 1, 2), keepdims=False), r("max", y, axis=(1, 2), keepdims=False))
    same(compile_graph(g)(x, x[:, :, :1], x[:1, :1]), expected(g, (x, x[:, :, :1], x[:1, :1])))


def test_differences_of_few_coordinates():
    x = data("f8", (70, 3))
    r = Recorder(x[:, None], x[None])
    apart = r("subtract", *r.inputs)
    g = r.graph(r("sqrt", r("sum", r("multiply", apart, apart), axis=(2,), keepdims=False)))
    assert forms(g) == [(True, 8)]
    same(compile_graph(g)(x[:, None], x[None]), expected(g, (x[:, None], x[None])))


def test_empty_arrays_have_no_rows():
    for shape in ((0, 4), (4, 0)):
        x = np.zeros(shape)
        r = Recorder(x)
        g = r.graph(r("sum", r("add", r.inputs[0], 1.0), axis=(1,), keepdims=True))
        same(compile_graph(g)(x), expected(g, (x,)))


def test_a_long_sum_over_short_rows_is_accurate():
    x = np.random.default_rng(0).uniform(0, 1, (300_001, 3)).astype(np.float32)
    r = Recorder(x)
    k = compile_graph(r.graph(r("sum", r("multiply", r.inputs[0], np.float32(1.1)), axis=(0, 1), keepdims=False)))
    exact = np.sum(x * np.float32(1.1), dtype=np.float64)
    assert abs(float(k(x)[0]) - exact) <= 4e-7 * exact


def test_a_host_call_between_keeps_kernels_apart():
    # The second kernel reads both the first and what the host made of it: as one they would wait for themselves.
    x = data("f8", (50, 6))
    r = Recorder(x)
    a = r.inputs[0]
    e = r("exp", a)
    total = r("sum", e, axis=(1,), keepdims=True)
    other = r("matmul", r("transpose", total, axes=(1, 0)), e)
    g = r.graph(r("add", r("divide", e, total), other))
    k = compile_graph(g)
    assert kernels_of(k) == 2
    same(k(x), expected(g, (x,)))


def test_a_total_read_across_rows_is_another_kernel():
    # As many rows as points: the totals lie along the other axis.
    x = data("f8", (10, 10))
    r = Recorder(x)
    a = r.inputs[0]
    g = r.graph(r("exp", r("subtract", a, r("sum", a, axis=(1,), keepdims=False))))
    k = compile_graph(g)
    assert kernels_of(k) == 2
    same(k(x), expected(g, (x,)))


@pytest.mark.parametrize(("count", "width"), [(n, w) for w in (2, 4, 8, 16) for n in range(2, 34)])
def test_squares_cover_every_column(count, width):
    found = memory = llvm_memory.columns(count, width)
    assert {first + k for first, square in found for k in range(square)} == set(range(count))
    assert all(first >= 0 and first + square <= count and square <= width for first, square in memory)


def _lanes(text, kind):
    return [int(v) for v in re.findall(kind + r" (\d+)", text)]


@pytest.mark.parametrize(("width", "square"), [(w, s) for w in (2, 4, 8, 16) for s in (2, 4, 8, 16) if s <= w])
def test_rows_become_columns_and_back(width, square):
    body = Body()
    rows = {f"%r{k}": [(k, c) for c in range(square)] for k in range(width)}
    columns = llvm_memory.turn(body, "double", list(rows), square)
    back = llvm_memory.turn_back(body, "double", columns, width)
    values = dict(rows)
    for line in body.lines:
        name, x, y, mask = re.fullmatch(
            r"  (%\w+) = shufflevector <\d+ x double> (%\w+), <\d+ x double> (\S+), <\d+ x i32> <(.*)>", line).groups()
        both = values[x] + (values[y] if y != "poison" else [])
        values[name] = [both[k] for k in _lanes(mask, "i32")]
    assert [values[c] for c in columns] == [[(k, c) for k in range(width)] for c in range(square)]
    assert [values[r] for r in back] == list(rows.values())


LOAD = Node("load", F8, (), Access(0, 0, (3, 1)))


def kernel(nodes, stores=(), reductions=(), outputs=TWO, rows=1):
    return Kernel((2, 3), (Buffer(F8, 6),), outputs, nodes, stores, reductions, rows)


TOTAL = Node("total", F8, (0,), "add")
ONCE = Store(1, Access(0, 0, (1, 0)), row=True)


def test_a_kernel_with_rows_is_verified_and_shown():
    sound = kernel((LOAD, TOTAL), (ONCE,))
    verify(sound)
    assert "rows along i1" in show(sound)
    assert "total add %0" in show(sound)
    assert "once a row" in show(sound)


@pytest.mark.parametrize(("broken", "says"), [
    (kernel((LOAD, TOTAL), (ONCE,), rows=None), "malformed"),
    (kernel((LOAD, TOTAL), (ONCE,), rows=2), "number the rows"),
    (kernel((LOAD, Node("total", F8, (0,), "sub")), (ONCE,)), "not a reduction"),
    (kernel((LOAD, Node("total", F8, (0,), "or")), (ONCE,)), "does not reduce"),
    (kernel((LOAD, TOTAL), (Store(0, Access(0, 0, (1, 0)), row=True),)), "of its points"),
    (kernel((LOAD, TOTAL), (Store(1, Access(0, 0, (1, 1)), row=True),), (), (Buffer(F8, 4),)), "moves along"),
    (kernel((LOAD, TOTAL), (Store(1, Access(0, 0, (1, 0))),)), "writes 6 of 2"),
    (kernel((LOAD, TOTAL), (), (Reduction("add", 1, (0, 1), Access(0, 0, (0, 0)), row=True),), (Buffer(F8, 1),)),
     "axes"),
])
def test_the_verifier_rejects(broken, says):
    with pytest.raises(IRError, match=says):
        verify(broken)


def test_reductions_over_whole_rows_become_totals():
    made = in_rows(kernel((LOAD,), (), (Reduction("add", 0, (0, 1), Access(0, 0, (0, 0))),), (Buffer(F8, 1),)), 1)
    assert made.nodes[1] == TOTAL
    assert made.reductions == (Reduction("add", 1, (0,), Access(0, 0, (0, 0)), row=True),)
    verify(made)


def test_costly_values_are_put_aside_and_cheap_ones_computed_again():
    for op, kept in (("call", {1}), ("neg", set())):
        nodes = (LOAD, Node(op, F8, (0,), "exp" if op == "call" else None), Node("total", F8, (1,), "add"),
                 Node("div", F8, (1, 2)))
        assert plan(kernel(nodes, (Store(3, Access(0, 0, (3, 1))),), (), (Buffer(F8, 6),))).kept == kept


def test_kernels_that_would_wait_for_each_other_are_not_merged():
    # One kernel begins early and ends late: it reads the sums of another, which must not take in what reads it.
    x, a, b = data("f8", (50, 6)), data("f8", (50, 50)), data("f8", (50, 9))
    r = Recorder(x, a, b)
    x_, a_, b_ = r.inputs
    e = r("exp", r("matmul", a_, b_))
    s = r("sum", e, axis=(1,), keepdims=True)
    early = r("subtract", x_, r("sum", x_, axis=(1,), keepdims=True))
    late = r("sum", r("multiply", early, s), axis=(1,), keepdims=True)
    g = r.graph(r("add", r("divide", e, s), late))
    k = compile_graph(g)
    same(k(x, a, b), expected(g, (x, a, b)))


def test_units_that_wait_for_each_other_are_an_error():
    with pytest.raises(AssertionError, match="wait for each other"):
        levels({0: Unit([0], True, 0, 0, (), {1}), 1: Unit([1], True, 0, 0, (), {0})})


@pytest.mark.parametrize(("points", "axis", "expected"), [(3, 0, True), (3, 1, False), (8, 0, False)])
def test_short_rows_that_cannot_lie_in_lanes_are_narrow(points, axis, expected):
    sizes, steps = (4, 5, points), (5 * points, points, 1)
    kept = [s for k, s in enumerate(sizes) if k != axis]
    strides = [0, 0, 1]
    strides[1 - axis] = points
    summed = Reduction("add", 0, (axis,), Access(0, 0, tuple(strides)))
    made = Kernel(sizes, (Buffer(F8, 20 * points),), (Buffer(F8, kept[0] * kept[1]),),
                  (Node("load", F8, (), Access(0, 0, steps)),), (), (summed,), 2)
    assert narrow(made) is expected


def test_sums_over_both_ends_of_short_rows_stay_in_vectors():
    def energy(x):
        apart = x[:, None, :] - x[None, :, :]
        return -np.sum(1.0 / np.sqrt(np.sum(apart * apart, axis=-1) + 0.01))

    x = np.random.default_rng(0).normal(size=(40, 3))
    jitted = npdiff.jit(npdiff.value_and_grad(energy))
    value, slope = jitted(x)
    expected, other = npdiff.value_and_grad(energy)(x)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(slope, other, rtol=1e-9, atol=1e-12)
    assert machine.vector_bits() <= 128 or "2 x float64" not in jitted.explain(x)
