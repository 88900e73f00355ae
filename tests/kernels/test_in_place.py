"""Writes happen in place exactly where nobody can see the old value any more."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from graphs import Literal, Recorder, expected, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from npdiff.core import Primitive
from npdiff.kernels import Executable
from npdiff.kernels.schedule import schedule
from npdiff.kernels.simplify import simplify

X = np.linspace(0.1, 2, 6000).reshape(60, 100)
ROW, REST, INNER = (0,), (slice(1, None),), (slice(1, -1), slice(1, -1))


def compile_graph(graph):
    """Every write by itself: none becomes part of a kernel."""
    small = simplify(graph)
    with patch("npdiff.kernels.schedule.placement", lambda eq: None):
        return Executable(small, schedule(small))


def writes(executable):
    """How many writes happen in place, how many into a copy."""
    lines = [line for line in executable.explain().splitlines() if " setitem " in line]
    return sum(": write " in line for line in lines), sum(": call " in line for line in lines)


def check(graph, in_place, copied, *args):
    """Same results as NumPy's, twice, from operands that stay as they are; results share memory with nothing."""
    executable = compile_graph(graph)
    assert writes(executable) == (in_place, copied), executable.explain()
    before = [a.copy() for a in [*args, *graph.constants.values()]]
    want = expected(graph, args)
    results = [executable(*args), executable(*args)]
    for got in results:
        same(got, want)
    np.testing.assert_equal([*args, *graph.constants.values()], before)
    arrays = [*results[0], *results[1], *args, *graph.constants.values()]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def made(r):
    """An array that the graph makes itself."""
    return r("exp", r("multiply", r.inputs[0], 0.5))


def test_a_dead_array_is_written_into():
    r = Recorder(X)
    a = r("setitem", made(r), 0.0, index=ROW)
    check(r.graph(r("setitem", a, 1.0, index=(slice(None), 3))), 2, 0, X)


def test_an_operand_of_the_graph_is_copied():
    r = Recorder(X)
    check(r.graph(r("setitem", r.inputs[0], 0.0, index=ROW)), 0, 1, X)


def test_a_constant_of_the_graph_is_copied_and_the_copy_written_into():
    r = Recorder(X)
    a = r("setitem", r.constant(np.zeros((60, 100))), r("getitem", r.inputs[0], index=ROW), index=ROW)
    check(r.graph(r("setitem", a, 1.0, index=(1,))), 1, 1, X)


def test_a_value_that_is_a_result_or_read_later_is_copied():
    r = Recorder(X)
    a = made(r)
    b = r("setitem", a, 0.0, index=ROW)
    c = r("setitem", b, 1.0, index=(1,))
    check(r.graph(a, r("matmul", r("transpose", b, axes=(1, 0)), c)), 0, 2, X)


def test_a_view_that_is_read_later_keeps_what_lies_below():
    r = Recorder(X)
    a = made(r)
    view = r("getitem", a, index=(slice(None), slice(0, 60)))
    b = r("setitem", a, 0.0, index=ROW)
    check(r.graph(b, r("matmul", view, b)), 0, 1, X)


def test_a_view_is_not_written_through():
    r = Recorder(X)
    a = made(r)
    turned = r("transpose", a, axes=(1, 0))
    b = r("setitem", turned, 0.0, index=ROW)
    check(r.graph(b), 0, 1, X)


def test_what_a_call_of_unknown_ways_hands_out_is_not_written_into():
    kept = np.ones((60, 100))
    lend = Primitive("lend", lambda _a: kept, kind="linear")
    r = Recorder(X)
    a = r(lend, made(r))
    check(r.graph(r("setitem", a, 0.0, index=ROW)), 0, 1, X)
    assert np.all(kept == 1)


def test_what_an_effect_has_seen_is_not_written_into():
    seen = []
    show = Primitive("show", lambda a: seen.append(a) or (), kind="nondifferentiable", multiple=True, ordered=True)
    r = Recorder(X)
    a = made(r)
    r(show, a, aval=[])
    check(r.graph(r("setitem", a, 0.0, index=ROW)), 0, 1, X)
    np.testing.assert_allclose(seen[-1], np.exp(X * 0.5))


def test_overlapping_slices_of_one_array():
    r = Recorder(X)
    a = made(r)
    a = r("setitem", a, r("getitem", a, index=(slice(None, -1),)), index=REST)
    a = r("setitem", a, r("getitem", a, index=(slice(None, 0, -1),)), index=(slice(None, -1),))
    a = r("setitem", a, r("getitem", a, index=(slice(None), slice(2, None))), index=(slice(None), slice(None, -2)))
    check(r.graph(a), 3, 0, X)


def test_writes_and_reads_of_what_was_just_written_cancel():
    r = Recorder(X)
    a = r.inputs[0]
    part = r("getitem", a, index=INNER)
    new = r("multiply", part, 2.0)
    b = r("setitem", a, r("setitem", part, new, index=(Ellipsis,)), index=INNER)
    again = r("getitem", b, index=(slice(1, 59), slice(1, 99)))
    c = r("setitem", r("setitem", b, again, index=INNER), new, index=INNER)
    d = r("setitem", c, r("getitem", c, index=ROW), index=ROW)
    g = r.graph(d, again)
    assert [e.prim.name for e in simplify(g).equations] == ["getitem", "multiply", "setitem"]
    same(compile_graph(g)(X), expected(g, (X,)))


@pytest.mark.parametrize(("value", "index", "names"), [
    (np.float32(1.5), ROW, ["setitem", "getitem"]),  # the value is broadcast
    (2.5, (Ellipsis,), ["setitem", "getitem"]),
    (np.ones((1, 100)), ROW, ["setitem", "getitem"]),  # and here it loses an axis
])
def test_a_value_that_changes_on_its_way_is_read_back(value, index, names):
    r = Recorder(X)
    v = Literal(value) if np.ndim(value) == 0 else r.constant(value)
    a = r("setitem", r.inputs[0], v, index=index)
    g = r.graph(a, r("getitem", a, index=index))
    assert [e.prim.name for e in simplify(g).equations] == names
    same(compile_graph(g)(X), expected(g, (X,)))


def test_another_window_is_not_what_was_written():
    r = Recorder(X)
    a = r("setitem", r.inputs[0], 0.0, index=(slice(0, 2),))
    b = r("setitem", a, r("getitem", a, index=(slice(2, 4),)), index=(slice(1, 3),))
    g = r.graph(b, r("getitem", b, index=(slice(0, 2),)))
    assert [e.prim.name for e in simplify(g).equations] == ["setitem", "getitem", "setitem", "getitem"]
    same(compile_graph(g)(X), expected(g, (X,)))


BOUNDS = [None, 0, 1, 2, -1, -2]
SLICES = st.builds(slice, st.sampled_from(BOUNDS), st.sampled_from(BOUNDS), st.sampled_from([None, 1, 2, -1, -2]))


@st.composite
def programs(draw):
    shape = draw(st.sampled_from([(7,), (4, 5), (1, 6), (3, 4, 2)]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    xs = [rng.uniform(1, 2, shape) for _ in range(2)]
    r = Recorder(*xs)
    wholes = [*r.inputs, r.constant(rng.uniform(1, 2, shape))]
    parts = [*wholes]

    def pick(values):
        return values[draw(st.integers(0, len(values) - 1))]

    for _ in range(draw(st.integers(4, 16))):
        index = tuple(draw(st.lists(SLICES, min_size=1, max_size=len(shape))))
        match draw(st.integers(0, 6)):
            case 0:
                wholes.append(r(draw(st.sampled_from(["exp", "negative"])), pick(wholes)))
            case 1:
                wholes.append(r("add", pick(wholes), pick(wholes)))
            case 2:
                parts.append(r("getitem", pick(wholes), index=index))
            case 3:
                parts.append(r(draw(st.sampled_from(["add", "multiply"])), pick(parts), 0.5))
            case _:
                target = pick(wholes[-3:])
                value = pick(parts) if draw(st.booleans()) else r("getitem", pick(wholes[-3:]), index=index)
                try:
                    wholes.append(r("setitem", target, value, index=index))
                except ValueError:  # it does not fit there
                    continue
        parts.extend(wholes[-1:])
    outputs = [pick(wholes + parts) for _ in range(draw(st.integers(1, 3)))] + wholes[-1:]
    return r.graph(*outputs), xs


@given(programs())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_writes_are_those_of_numpy(program):
    graph, xs = program
    before = [x.copy() for x in [*xs, *graph.constants.values()]]
    want = expected(graph, xs)
    executable = compile_graph(graph)
    for _ in range(2):
        got = executable(*xs)
        same(got, want)
        np.testing.assert_equal([*xs, *graph.constants.values()], before)
        arrays = [*[a for a in got if a.ndim], *xs, *graph.constants.values()]
        assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
