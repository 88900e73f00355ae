"""Random elementwise, view and reduction graphs: compiled, they are what NumPy computes."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from graphs import Recorder, expected, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from npdiff.kernels import compile_graph
from npdiff.kernels.schedule import Scheduler

UNARY = ["negative", "square", "absolute", "sin", "tanh", "sign", "isnan", "logical_not"]
BINARY = ["add", "multiply", "maximum", "minimum", "less", "equal", "fmax", "logical_or"]
SHAPES = [(), (5,), (3, 5), (3, 1), (1, 5), (2, 3, 5), (17,)]
DTYPES = ["?", "i4", "i8", "u1", "f4", "f8"]


@st.composite
def programs(draw):
    count = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    xs = [np.asarray(rng.uniform(0, 3, draw(st.sampled_from(SHAPES))).astype(draw(st.sampled_from(DTYPES))))
          for _ in range(count)]
    r = Recorder(*xs)
    values = list(r.inputs)

    def pick():
        return values[draw(st.integers(0, len(values) - 1))]

    def attempt(name, *args, **params):
        try:
            values.append(r(name, *args, **params))
        except (TypeError, ValueError, OverflowError):
            return

    for _ in range(draw(st.integers(6, 30))):
        v = pick()
        match draw(st.integers(0, 7)):
            case 0:
                attempt(draw(st.sampled_from(UNARY)), v)
            case 1 | 2:
                attempt(draw(st.sampled_from(BINARY)), v, pick())
            case 3:
                attempt(draw(st.sampled_from(["add", "multiply", "maximum"])), v, draw(st.sampled_from([2, 0.5, 1])))
            case 4:
                axes = draw(st.sets(st.integers(0, max(len(v.aval.shape) - 1, 0)))) if v.aval.shape else set()
                attempt(draw(st.sampled_from(["sum", "max", "min", "any", "all"])), v,
                        axis=draw(st.sampled_from([None, tuple(sorted(axes))])), keepdims=draw(st.booleans()))
            case 5:
                attempt("transpose", v, axes=tuple(draw(st.permutations(range(len(v.aval.shape))))))
            case 6:
                shape = v.aval.shape
                target = draw(st.sampled_from([(v.aval.size,), (1, *shape), (*shape, 1), shape[::-1]]))
                attempt("reshape", v, shape=target)
            case 7:
                index = tuple(slice(None, None, draw(st.sampled_from([1, -1, 2]))) for _ in v.aval.shape)
                attempt("getitem", v, index=index)
    outputs = [values[k] for k in draw(st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=6))]
    return r.graph(*outputs), xs


def check(program):
    graph, xs = program
    with np.errstate(all="ignore"):
        single = any(v.aval.dtype.char in "eF" or v.aval.dtype == np.float32
                     for v in [*graph.inputs, *[o for eq in graph.equations for o in eq.outputs]])
        same(compile_graph(graph)(*xs), expected(graph, xs), rtol=2e-5 if single else 1e-12)


@given(programs())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_graphs(program):
    check(program)


@given(programs())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_graphs_with_a_kernel_for_every_group(program):
    with patch.object(Scheduler, "_worthwhile", lambda self, group: True):
        check(program)
