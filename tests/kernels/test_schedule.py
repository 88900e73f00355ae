"""Simplification, order of host calls, guards, aliasing, threads."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from graphs import Literal, Recorder, expected, kernels_of, same

from npdiff.avals import Aval
from npdiff.core import Primitive
from npdiff.kernels import GuardFailed, compile_graph
from npdiff.kernels.schedule import HostStep, KernelStep, schedule
from npdiff.kernels.simplify import simplify

X = np.linspace(0.1, 2, 5000)
F8 = np.dtype("f8")


def test_equal_equations_run_once_and_dead_ones_never():
    r = Recorder(X)
    a = r.inputs[0]
    one, two = r("exp", r("multiply", a, 2.0)), r("exp", r("multiply", a, 2.0))
    r("log", a)
    g = r.graph(r("add", one, two))
    assert [e.prim.name for e in simplify(g).equations] == ["multiply", "exp", "add"]
    same(compile_graph(g)(X), expected(g, (X,)))


def test_literals_that_differ_only_in_sign_or_type_stay_apart():
    r = Recorder(X)
    a = r.inputs[0]
    outs = [r("copysign", a, v) for v in (0.0, -0.0, np.float64(0.0), 1, True)]
    g = r.graph(*outs)
    assert len(simplify(g).equations) == 5
    same(compile_graph(g)(X), expected(g, (X,)))


def test_constants_are_folded_where_nothing_is_raised():
    r = Recorder(X)
    a = r.inputs[0]
    two = r("sqrt", np.float64(4.0))
    bad = r("log", np.float64(0.0))
    g = r.graph(r("multiply", a, two), r("multiply", a, bad), r("multiply", r("divide", a, 1.0), 1.0))
    names = [e.prim.name for e in simplify(g).equations]
    assert names == ["log", "multiply", "multiply"]
    same(compile_graph(g)(X), expected(g, (X,)))


def test_parameters_keep_equations_apart():
    r = Recorder(np.ones((3, 4)))
    a = r.inputs[0]
    outs = [r("sum", a, axis=(0,), keepdims=k) for k in (False, True)]
    outs += [r("getitem", a, index=i) for i in ((1,), (slice(1, 2),), (True,))]
    assert len(simplify(r.graph(*outs)).equations) == 5


def ordered(name, log, result=None, fails=False):
    def call(*args):
        log.append(name)
        if fails:
            raise GuardFailed(name)
        return result

    return Primitive(name, call, ordered=True)


def test_ordered_equations_all_run_in_order():
    log = []
    r = Recorder(X)
    a = r.inputs[0]
    first = r(ordered("first", log, X), aval=Aval(X.shape, F8))
    y = r("exp", r("multiply", first, a))
    r(ordered("second", log, X), y, aval=Aval(X.shape, F8))
    last = r(ordered("first", log, X), aval=Aval(X.shape, F8))
    k = compile_graph(r.graph(r("add", r("multiply", last, a), y)))
    k(X)
    assert log == ["first", "second", "first"]


def test_a_call_that_may_raise_does_not_overtake_a_guard():
    log = []
    r = Recorder(X)
    a = r.inputs[0]
    size = r("sum", r("multiply", a, a), axis=None, keepdims=False)
    r(ordered("guard", log, None, fails=True), size, aval=[])
    invert = Primitive("inv", lambda x: log.append("inv"), kind="nonlinear")
    k = compile_graph(r.graph(r(invert, a, aval=Aval((), F8))))
    with pytest.raises(GuardFailed):
        k(X)
    assert log == ["guard"]


def test_primitives_with_no_or_many_outputs():
    r = Recorder(X)
    a = r.inputs[0]
    two = Primitive("modf", np.modf, multiple=True)
    frac, whole = r(two, a)
    g = r.graph(r("multiply", r("exp", frac), whole), frac)
    same(compile_graph(g)(X), expected(g, (X,)))


def test_a_dynamic_shape_that_changed_is_a_failed_guard():
    keep = Primitive("positive_part", lambda x: x[x > 1], dynamic=True)
    r = Recorder(X)
    part = r(keep, r.inputs[0], aval=Aval((int(np.sum(X > 1)),), F8))
    k = compile_graph(r.graph(r("sum", r("exp", r("multiply", part, 2.0)), axis=None, keepdims=False)))
    np.testing.assert_allclose(k(X)[0], np.exp(X[X > 1] * 2).sum())
    with pytest.raises(GuardFailed, match="recorded shape"):
        k(X + 1)


@pytest.mark.parametrize("wrong", [X[:-1], X.astype("f4"), X.reshape(50, 100), 3.0, X.astype(">f8")])
def test_operands_that_do_not_fit_never_reach_a_kernel(wrong):
    r = Recorder(X)
    a = r.inputs[0]
    k = compile_graph(r.graph(r("exp", r("multiply", a, a))))
    with pytest.raises(GuardFailed):
        k(wrong)
    with pytest.raises(TypeError, match="takes 1"):
        k(X, X)


def test_a_python_number_of_another_type_is_refused():
    r = Recorder(X, 2)
    a, n = r.inputs
    k = compile_graph(r.graph(r("multiply", r("multiply", a, n), n)))
    np.testing.assert_array_equal(k(X, 3)[0], X * 3 * 3)
    with pytest.raises(GuardFailed):
        k(X, 2.5)


def test_outputs_share_memory_with_nothing():
    c = np.ones(5000)
    r = Recorder(X)
    a = r.inputs[0]
    held = r.constant(c)
    y = r("exp", r("multiply", a, held))
    view = r("getitem", y, index=(slice(1, None),))
    hosted = r(Primitive("self", lambda x: x), y)
    g = r.graph(a, a, held, y, y, view, r("reshape", y, shape=(50, 100)), hosted,
                r("broadcast_to", r("sum", y, axis=None, keepdims=False), shape=(3,)), Literal(2.0))
    k = compile_graph(g)
    out, again = k(X), k(X)
    same(out, expected(g, (X,)))
    arrays = [o for o in out + again if isinstance(o, np.ndarray)]
    for i, one in enumerate(arrays):
        assert one.flags.writeable
        for other in [*arrays[i + 1:], X, c]:
            assert not np.shares_memory(one, other)


def test_a_fresh_result_of_a_call_is_not_copied():
    made = []
    r = Recorder(X)
    fresh = Primitive("fresh", lambda x: made.append(x + 1) or made[-1])
    [out, again] = compile_graph(r.graph(*[r(fresh, r.inputs[0])] * 2))(X)
    assert out is made[-1]
    assert not np.shares_memory(out, again)


def test_constants_are_read_at_each_call():
    c = np.ones(5000)
    r = Recorder(X)
    held = r.constant(c)
    k = compile_graph(r.graph(r("add", r("multiply", r.inputs[0], held), held)))
    k(X)
    c[:] = 3
    np.testing.assert_array_equal(k(X)[0], X * 3 + 3)


def test_one_equation_alone_is_numpys():
    r = Recorder(X)
    k = compile_graph(r.graph(r("add", r.inputs[0], r.inputs[0])))
    assert kernels_of(k) == 0


@pytest.mark.parametrize(("name", "size", "kernels"), [("exp", 5000, 1), ("exp", 100, 1), ("floor", 5000, 0)])
def test_a_function_alone_is_a_kernel_where_that_pays(name, size, kernels):
    r = Recorder(X[:size])
    k = compile_graph(r.graph(r(name, r.inputs[0])))
    assert kernels_of(k) == kernels
    np.testing.assert_allclose(k(X[:size])[0], getattr(np, name)(X[:size]), rtol=1e-15)


def test_what_only_a_later_kernel_reads_is_computed_there():
    r = Recorder(X, X)
    a, b = r.inputs
    product = r("multiply", a, b)
    total = r("sum", r("exp", r("multiply", a, 2.0)), axis=None, keepdims=False)
    k = compile_graph(r.graph(r("divide", r("exp", product), total)))
    assert kernels_of(k) == 2
    assert "float64[5000]" not in k.explain().splitlines()[1].split(" from ")[0]


def test_an_element_of_what_is_computed_is_read_from_memory():
    r = Recorder(X)
    y = r("add", r("multiply", r.inputs[0], 2.0), 1.0)
    first = r("multiply", r("getitem", y, index=(0,)), 3.0)
    g = r.graph(r("multiply", r("add", y, first), y))
    same(compile_graph(g)(X), expected(g, (X,)))


def test_a_large_graph_is_cut_into_several_kernels():
    r = Recorder(X)
    v = r.inputs[0]
    for n in range(600):
        v = r("add", r("multiply", v, 0.5), float(n % 3))
    g = r.graph(v)
    k = compile_graph(g)
    assert kernels_of(k) > 1
    same(k(X), expected(g, (X,)))


def test_many_arrays_are_cut_into_several_kernels():
    xs = [X + n for n in range(150)]
    r = Recorder(*xs)
    v = r.inputs[0]
    for a in r.inputs[1:]:
        v = r("add", r("multiply", v, 0.5), a)
    g = r.graph(v)
    k = compile_graph(g)
    assert kernels_of(k) > 1
    same(k(*xs), expected(g, xs))


def test_equal_kernels_are_compiled_once():
    from npdiff.kernels import machine

    def graph():
        r = Recorder(X)
        a = r.inputs[0]
        return r.graph(r("multiply", r("add", a, 0.123), a))

    compile_graph(graph())
    known = len(machine._loaded)
    compile_graph(graph())
    assert len(machine._loaded) == known


def test_concurrent_calls():
    r = Recorder(X)
    a = r.inputs[0]
    y = r("exp", r("multiply", a, a))
    g = r.graph(y, r("sum", y, axis=None, keepdims=False))
    k = compile_graph(g)
    xs = [X + n / 100 for n in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for x, got in zip(xs, pool.map(k, xs), strict=True):
            same(got, expected(g, (x,)))


def test_explain_lists_kernels_calls_and_times():
    r = Recorder(np.ones((60, 60), int))
    a = r.inputs[0]
    m = r("matmul", a, a)
    k = compile_graph(r.graph(r("exp", r("add", m, 1.0))))
    text = k.explain()
    assert "call b = matmul a, a" in text
    assert "fuses add, exp" in text or kernels_of(k) == 0
    assert " ms" in text
    if kernels_of(k):
        assert "bits" in text


def test_importing_the_package_does_not_import_numba():
    code = "import npdiff.kernels, sys; sys.exit('numba' in sys.modules or 'llvmlite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_cannot_be_rendered_is_in_no_kernel():
    r = Recorder(np.linspace(0.0, 1.0, 100))
    g = simplify(r.graph(r("add", r("exp", r("sin", *r.inputs)), *r.inputs)))
    nodes = lambda steps: [n for s in steps if isinstance(s, KernelStep) for n in s.kernel.nodes]
    called = lambda steps: [n.data for n in nodes(steps) if n.op == "call"]
    assert sorted(called(schedule(g))) == ["exp", "sin"]
    some = schedule(g, renders=lambda node: node.op != "call" or node.data == "sin")
    assert called(some) == ["sin"]
    assert [s.equation.prim.name for s in some if isinstance(s, HostStep)] == ["exp"]


def test_a_large_array_that_is_cheap_is_computed_again_instead_of_stored():
    x = np.linspace(0.0, 1.0, 400 * 400).reshape(400, 400)
    r = Recorder(x)
    a = r.inputs[0]
    mean = r("divide", r("sum", a, axis=(0,), keepdims=True), 400.0)
    apart = r("subtract", a, mean)
    spread = r("sum", r("multiply", apart, apart), axis=(0,), keepdims=True)
    g = r.graph(r("divide", apart, spread))
    steps = [s for s in schedule(g) if isinstance(s, KernelStep)]
    assert [max(b.size for b in s.kernel.outputs) for s in steps] == [400, 400, 400, 400 * 400]
    same(compile_graph(g)(x), expected(g, (x,)))


def test_what_is_costly_is_stored():
    x = np.linspace(0.0, 1.0, 400 * 400).reshape(400, 400)
    r = Recorder(x)
    e = r("exp", r.inputs[0])
    g = r.graph(r("divide", e, r("sum", e, axis=(0,), keepdims=True)))
    first, *_ = [s for s in schedule(g) if isinstance(s, KernelStep)]
    assert max(b.size for b in first.kernel.outputs) == 400 * 400
    same(compile_graph(g)(x), expected(g, (x,)))
