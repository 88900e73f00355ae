"""Writes into windows and concatenations inside kernels: cases by the index, cut into boxes without conditions."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from graphs import Recorder, expected, kernels_of, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_in_place import programs

import npdiff
from npdiff.kernels import Executable, compile_graph
from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Node, Store, collapse, guarded, show, verify
from npdiff.kernels.pieces import TooMany, split
from npdiff.kernels.schedule import KernelStep, Scheduler, schedule
from npdiff.kernels.simplify import simplify

F8, B1 = np.dtype("f8"), np.dtype("?")
QUICK = {"deadline": None, "suppress_health_check": list(HealthCheck)}


# ---------------------------------------------------------------------- the loop IR


def interpret(kernel, inputs, outputs):
    """What a kernel without reductions writes, one point after another."""
    for index in np.ndindex(*kernel.sizes):
        def inside(box, index=index):
            return box is None or all(low <= i < high for i, (low, high) in zip(index, box, strict=True))

        def element(a, index=index):
            return a.offset + sum(i * s for i, s in zip(index, a.strides, strict=True))

        values = []
        for n in kernel.nodes:
            args = [values[k] for k in n.args]
            if n.op == "load":
                values.append(inputs[n.data.buffer][element(n.data)] if inside(n.data.within) else n.dtype.type(0))
            elif n.op == "inside":
                values.append(inside(n.data))
            elif n.op == "const":
                values.append(n.data)
            else:
                values.append(args[1] if n.op == "select" and args[0] else args[2] if n.op == "select"
                              else args[0] + args[1])
        for s in kernel.stores:
            outputs[s.access.buffer][element(s.access)] = values[s.value]


@st.composite
def guarded_kernels(draw):
    sizes = draw(st.sampled_from([(7,), (4, 5), (1, 6), (3, 4, 2)]))
    strides = tuple(int(np.prod(sizes[k + 1:])) for k in range(len(sizes)))
    size = int(np.prod(sizes))

    def box():
        ends = [sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in sizes]
        return tuple((low, high) for low, high in ends)

    zero = F8.type(draw(st.sampled_from([0.0, -0.0])))
    nodes = [Node("load", F8, (), Access(0, 0, strides)), Node("const", F8, (), zero)]
    floats = [0, 1]
    for _ in range(draw(st.integers(1, 6))):
        at = len(nodes)
        match draw(st.integers(0, 3)):
            case 0:
                nodes.append(Node("load", F8, (), Access(1, 0, strides, box())))
                floats.append(at)
            case 1:
                nodes.append(Node("add", F8, (draw(st.sampled_from(floats)), draw(st.sampled_from(floats)))))
                floats.append(at)
            case _:
                nodes.append(Node("inside", B1, (), box()))
                pair = draw(st.sampled_from(floats)), draw(st.sampled_from(floats))
                nodes.append(Node("select", F8, (at, *pair)))
                floats.append(at + 1)
    stores = tuple(Store(n, Access(k, 0, strides)) for k, n in enumerate(floats[-2:]))
    buffer = Buffer(F8, size)
    return Kernel(sizes, (buffer, buffer), (buffer,) * len(stores), tuple(nodes), stores, ())


@given(guarded_kernels())
@settings(max_examples=60, **QUICK)
def test_pieces_and_merged_axes_do_what_the_kernel_does(kernel):
    verify(kernel)
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=b.size) for b in kernel.inputs]

    def run(*parts):
        outputs = [np.full(b.size, np.nan) for b in kernel.outputs]
        for k in parts:
            interpret(k, inputs, outputs)
        return [o.tobytes() for o in outputs]

    want = run(kernel)
    merged = collapse(kernel)
    verify(merged)
    assert run(merged) == want
    pieces = split(kernel)
    assert not any(guarded(p.kernel) for p in pieces)
    assert run(*[p.kernel for p in pieces]) == want
    assert run(*[collapse(p.kernel, first=1) for p in pieces]) == want
    covered = np.zeros(kernel.sizes, int)
    for p in pieces:
        covered[tuple(slice(low, high) for low, high in p.box)] += 1
    assert np.all(covered == 1)


def test_a_box_shows_as_a_condition_and_the_interior_is_one_piece():
    inner = ((1, 7), (0, 9))
    nodes = (Node("load", F8, (), Access(0, -9, (9, 1), inner)), Node("const", F8, (), F8.type(0)),
             Node("inside", B1, (), inner), Node("select", F8, (2, 0, 1)))
    kernel = Kernel((8, 9), (Buffer(F8, 60),), (Buffer(F8, 72),), nodes, (Store(3, Access(0, 0, (9, 1))),), ())
    verify(kernel)
    text = show(kernel)
    assert "in0[-9 + 9*i0 + i1] where 1 <= i0 < 7, else 0" in text
    assert "%2:bool = 1 <= i0 < 7" in text
    assert [p.box for p in split(kernel)] == [((0, 1), (0, 9)), ((1, 7), (0, 9)), ((7, 8), (0, 9))]
    with pytest.raises(TooMany):
        split(kernel, most=2)


# ---------------------------------------------------------------------- graphs


def check(graph, xs):
    small = simplify(graph)
    steps = schedule(small)
    for s in steps:
        if isinstance(s, KernelStep):
            verify(s.kernel)
    with np.errstate(all="ignore"):
        want = expected(graph, xs)
        got = Executable(small, steps)(*xs)
    # A sum in single precision stays as inexact when it is cast to double.
    single = any(v.aval.dtype == np.float32 for e in graph.equations for v in e.outputs)
    same(got, want, rtol=2e-5 if single else 1e-12)


@given(programs())
@settings(max_examples=60, **QUICK)
def test_random_writes_in_kernels(program):
    with patch.object(Scheduler, "_worthwhile", lambda self, group: True), \
            patch.object(Scheduler, "_only_copied", lambda self: set()):
        check(*program)


@st.composite
def joins(draw):
    """Writes, concatenations, views and arithmetic, in several dtypes."""
    shape = draw(st.sampled_from([(9,), (4, 7), (3, 4, 5), (33, 3)]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    dtypes = st.sampled_from(["?", "i4", "u1", "f4", "f8"])
    xs = [rng.uniform(0, 3, shape).astype(draw(dtypes)) for _ in range(2)]
    r = Recorder(*xs)
    values = [*r.inputs, r.constant(np.broadcast_to(np.float64(0), shape))]

    def pick():
        return values[draw(st.integers(0, len(values) - 1))]

    def window(v):
        ends = [sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in v.aval.shape]
        kinds = [[slice(*e), e[0], *([slice(e[0], None), Ellipsis] if k == 0 else [])] for k, e in enumerate(ends)]
        return tuple(draw(st.sampled_from(kind)) for kind in kinds)

    for _ in range(draw(st.integers(3, 12))):
        v = pick()
        try:
            match draw(st.integers(0, 6)):
                case 0:
                    values.append(r("concatenate", v, pick(), axis=draw(st.integers(0, max(v.aval.ndim - 1, 0)))))
                case 1:
                    values.append(r("getitem", v, index=window(v)))
                case 2:
                    values.append(r("transpose", v, axes=tuple(draw(st.permutations(range(v.aval.ndim))))))
                case 3:
                    values.append(r(draw(st.sampled_from(["add", "multiply", "maximum"])), v, pick()))
                case 4:
                    values.append(r("sum", v, axis=(0,) if v.aval.ndim else None, keepdims=draw(st.booleans())))
                case _:
                    index = window(v)
                    value = draw(st.sampled_from([1, 0.5, pick(), r("getitem", v, index=index)]))
                    values.append(r("setitem", v, value, index=index))
        except (TypeError, ValueError, OverflowError):
            continue
    return r.graph(*values[3:][-draw(st.integers(1, 3)):]), xs


@given(joins())
@settings(max_examples=60, **QUICK)
def test_random_joins(program):
    check(*program)


@given(joins())
@settings(max_examples=40, **QUICK)
def test_random_joins_with_a_kernel_for_every_group(program):
    with patch.object(Scheduler, "_worthwhile", lambda self, group: True), \
            patch.object(Scheduler, "_only_copied", lambda self: set()):
        check(*program)


def test_many_small_writes_into_an_operand_stay_writes():
    x = np.linspace(0, 1, 5000)
    r = Recorder(x)
    v = r.inputs[0]
    for k in range(2, 400):
        v = r("setitem", v, r("multiply", r("getitem", v, index=(k - 2,)), 0.5), index=(k,))
    g = r.graph(v)
    k = compile_graph(g)
    assert kernels_of(k) == 0
    assert k.explain().count(": write ") == 397
    same(k(x), expected(g, (x,)))


def test_many_writes_next_to_arithmetic_compile():
    x = np.linspace(0, 1, 5000)
    r = Recorder(x)
    v = r.inputs[0]
    for k in range(1, 200):
        v = r("setitem", r("add", v, 1.0), r("multiply", r("getitem", v, index=(k - 1,)), 0.5), index=(k,))
    for k in range(1, 200):
        v = r("setitem", v, 0.0, index=(k,))
    g = r.graph(r("multiply", v, v))
    same(compile_graph(g)(x), expected(g, (x,)))


def test_the_gradient_of_a_long_loop_over_elements_compiles():
    def f(x):
        x = x.copy()
        for k in range(1, 60):
            x[k] = x[k - 1] * 0.5 + x[k]
        return np.sum(x * x)

    x = np.linspace(0, 1, 100)
    jitted = npdiff.jit(npdiff.grad(f))
    for _ in range(2):
        np.testing.assert_allclose(jitted(x), npdiff.grad(f)(x), rtol=1e-12)


def test_a_few_writes_next_to_arithmetic_are_part_of_it():
    x = np.linspace(0, 1, 5000)
    r = Recorder(x)
    v = r("multiply", r.inputs[0], 2.0)
    for k in range(3):
        v = r("setitem", v, r("getitem", v, index=(k + 1,)), index=(k,))
    g = r.graph(r("add", v, 1.0))
    k = compile_graph(g)
    assert k.explain().startswith("1 kernels, 0 host calls")
    same(k(x), expected(g, (x,)))


@pytest.mark.parametrize("shape", [(300_001,), (700, 433), (3, 200, 333)])
def test_chunks_of_pieces(shape):
    x = np.random.default_rng(0).normal(size=shape)
    r = Recorder(x)
    a = r.inputs[0]
    z = r.constant(np.broadcast_to(np.float64(0), shape))
    lead, trail = (slice(1, None),) * len(shape), (slice(None, -1),) * len(shape)
    p = r("setitem", z, r("exp", r("getitem", a, index=trail)), index=lead)
    q = r("setitem", z, r("exp", r("getitem", a, index=lead)), index=trail)
    g = r.graph(r("add", r("add", p, q), a))
    k = compile_graph(g)
    assert kernels_of(k) == 1
    before = npdiff.get_num_threads()
    for threads in (1, 3):
        npdiff.set_num_threads(threads)
        same(k(x), expected(g, (x,)))
    npdiff.set_num_threads(before)


# ---------------------------------------------------------------------- programs


def stencil(x):
    y = x.copy()
    for _ in range(3):
        y[1:-1, 1:-1] += 0.2 * (y[:-2, 1:-1] + y[2:, 1:-1] - 2.0 * y[1:-1, 1:-1] * y[1:-1, 2:])
        y[0] = y[1]
        y[:, -1] = 0.5 * y[:, -2]
    return np.sum(y * y)


def padded(x):
    return np.sum(np.square(np.diff(np.pad(np.sin(x), 1), axis=0)) * np.concatenate([x, x[:, ::-1]], axis=1)[0, 1])


@pytest.mark.parametrize("f", [stencil, padded])
def test_gradients_of_slices(f):
    x = np.random.default_rng(0).normal(size=(17, 23))
    jitted = npdiff.jit(npdiff.value_and_grad(f))
    value, gradient = npdiff.value_and_grad(f)(x)
    for _ in range(2):
        got = jitted(x)
        np.testing.assert_allclose(got[0], value, rtol=1e-12)
        np.testing.assert_allclose(got[1], gradient, rtol=1e-11, atol=1e-12 * np.max(np.abs(gradient)))
    if f is stencil:
        assert " setitem " not in "".join(line for line in jitted.explain(x).splitlines() if ": call" in line)


def test_the_second_derivative_of_a_stencil():
    x = np.random.default_rng(0).normal(size=(6, 7))
    along = np.random.default_rng(1).normal(size=(6, 7))

    def slope(x):
        return np.sum(npdiff.grad(stencil)(x) * along)

    np.testing.assert_allclose(npdiff.jit(npdiff.grad(slope))(x), npdiff.grad(slope)(x), rtol=1e-10, atol=1e-10)
