"""Graphs: what is recorded, how it prints, what the verifier refuses, what pruning keeps."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest

import npdiff
from npdiff.avals import Aval
from npdiff.core import ufunc_primitives
from npdiff.errors import GraphError
from npdiff.graph import Equation, Graph, Literal, Var, evaluate, last_uses, prune, show_value, verify
from npdiff.transforms.stage import guard_truth

F8 = np.dtype(float)
ADD, MULTIPLY = ufunc_primitives[np.add], ufunc_primitives[np.multiply]


def var(*shape: int) -> Var:
    return Var(Aval(shape, F8))


def without_lines(text: str) -> str:
    """The text with ``#`` for every mention of a line of this file."""
    return re.sub(r" *(# )?\S*test_graph\.py:\d+", "  #", text)


def example(p: Any, x: Any) -> Any:
    y = np.sin(x) * p["w"]
    y[0] = 2.0
    if np.sum(y) > 0:
        return {"out": y @ x, "n": 3}
    return {"out": y, "n": 3}


ARGS = ({"w": np.array([1.0, 2.0])}, np.array([0.5, 1.0]))

GRAPH = """\
graph(a:float64[2], b:float64[2])
  c:float64[2] = sin b  #
  d:float64[2] = multiply c, a  #
  e:float64[2] = setitem d, 2.0, index=(0,)  #
  f:float64[] = sum e, axis=(0,), keepdims=False  #
  g:bool[] = greater f, 0  #
  guard_truth g, expected=True  #
  h:float64[] = matmul e, b  #
  return 3, h"""

SLOPE = """\
graph(a:~float64[])
  b:float64[] = sin a  #
  c:float64[] = multiply 1.0:float64, a  #
  d:float64[] = multiply 1.0:float64, b  #
  e:float64[] = cos a  #
  f:float64[] = strong_multiply c, e  #
  g:float64[] = add d, f  #
  return g"""

TRACE = """\
a = input 0                           [1., 2.]
b = input 1                           [0.5, 1. ]
c = sin b                             [0.4794, 0.8415]  #
d = multiply c, a                     [0.4794, 1.6829]  #
e = setitem d, 2.0, index=(0,)        [2.    , 1.6829]  #
f = sum e, axis=(0,), keepdims=False  3.68294  #
g = greater f, 0                      True  #
guard_truth g, expected=True  #
h = matmul e, b                       2.68294  #
return 3, h
"""

SLOPE_TRACE = """\
a = input 0                  0.5
b = sin a                    0.479426  #
c = multiply b, a            0.239713  #
d = multiply 1.0:float64, a  0.5  #
e = multiply 1.0:float64, b  0.479426  #
f = cos a                    0.877583  #
g = strong_multiply d, f     0.438791  #
h = add e, g                 0.918217  #
return h
"""

EFFECTS = """\
graph(a:~float64[])
  print a  #
  b:~float64[] = random.rand  #
  c:~float64[] = multiply a, b  #
  return c"""


def slope(x: Any) -> Any:
    return npdiff.grad(lambda x: np.sin(x) * x)(x)


def effects(x: Any) -> Any:
    print(x)
    return x * np.random.rand()  # noqa: NPY002 (the stream that is recorded)


@pytest.mark.parametrize(("f", "args", "text"), [(example, ARGS, GRAPH), (slope, (0.5,), SLOPE),
                                                 (effects, (1.0,), EFFECTS)])
def test_make_graph(f, args, text, capsys):
    graph = npdiff.make_graph(f)(*args)
    verify(graph)
    ours = without_lines(repr(graph)).splitlines()
    if f is slope:  # the order in which cotangents meet is no promise
        assert sorted(re.sub(r"\b[a-h]\b", "v", line) for line in ours) == sorted(
            re.sub(r"\b[a-h]\b", "v", line) for line in text.splitlines())
    else:
        assert "\n".join(ours) == text


def test_graphs_run():
    graph = npdiff.make_graph(example)(*ARGS)
    got = graph(np.array([3.0, 4.0]), np.array([0.1, 0.2]))
    assert got[0] == 3
    assert got[1] == example({"w": np.array([3.0, 4.0])}, np.array([0.1, 0.2]))["out"]
    np.testing.assert_allclose(npdiff.grad(lambda x: graph(np.ones(2), x)[1])(np.array([0.5, 1.0])),
                               npdiff.grad(lambda x: example({"w": np.ones(2)}, x)["out"])(np.array([0.5, 1.0])))
    nothing = npdiff.make_graph(lambda x: None)(1.0)
    assert repr(nothing) == "graph(a:~float64[])\n  return "


@pytest.mark.parametrize(("f", "args", "text"), [(example, ARGS, TRACE), (slope, (0.5,), SLOPE_TRACE)])
def test_print_trace(f, args, text):
    out = io.StringIO()
    result = npdiff.print_trace(f, out)(*args)
    for a, b in zip(npdiff.tree.leaves(result), npdiff.tree.leaves(f(*args)), strict=True):
        assert type(a) is type(b)
        np.testing.assert_array_equal(a, b)
    assert without_lines(out.getvalue()) == text


def test_print_trace_goes_to_standard_output(capsys):
    npdiff.print_trace(lambda x: x)(1.0)
    assert capsys.readouterr().out == "a = input 0               1\nreturn a\n"


def broken(what: str) -> Graph:
    a, b, c = var(3), var(3), var(3)
    add = Equation(ADD, [a, a], {}, [b])
    double = Equation(MULTIPLY, [b, Literal(2.0)], {}, [c])
    graphs = {
        "order": Graph([a], {}, [double, add], [c]),
        "twice": Graph([a], {}, [add, Equation(ADD, [a, a], {}, [b])], [b]),
        "output": Graph([a], {}, [add], [c]),
        "inputs": Graph([a, a], {}, [], [a]),
        "constant": Graph([a], {b: np.zeros(4)}, [], [b]),
        "region": Graph([a], {}, [Equation(ADD, [a, a], {}, [b], regions=(Graph([], {}, [], [c]),))], [b]),
    }
    return graphs[what]


@pytest.mark.parametrize(("what", "text"), [
    ("order", r"graph: multiply reads v\d+:float64\[3\] before it is defined"),
    ("twice", r"graph: v\d+:float64\[3\] is defined twice \(by add\)"),
    ("output", r"graph: output v\d+:float64\[3\] is never defined"),
    ("inputs", r"graph: v\d+:float64\[3\] is defined twice \(as an input\)"),
    ("constant", r"graph: constant v\d+:float64\[3\] holds float64\[4\]"),
    ("region", r"graph: output v\d+:float64\[3\] is never defined"),
])
def test_verify(what, text):
    with pytest.raises(GraphError) as caught:
        verify(broken(what))
    assert re.fullmatch(text, str(caught.value))


def test_prune():
    a, b, c, g = var(3), var(3), var(3), Var(Aval((), np.dtype(bool)))
    used, unused = var(3), var(3)
    graph = Graph([a], {used: np.ones(3), unused: np.ones(3)}, [
        Equation(ADD, [a, used], {}, [b]), Equation(ADD, [a, unused], {}, [c]),
        Equation(ufunc_primitives[np.greater], [a, Literal(0.0)], {}, [g]),
        Equation(guard_truth, [g], {"expected": True}, []),
    ], [b])
    small = prune(graph)
    verify(small)
    assert [eq.prim.name for eq in small.equations] == ["add", "greater", "guard_truth"]
    assert list(small.constants) == [used]


def test_values_are_let_go_after_their_last_use():
    a, b, c = var(3), var(3), var(3)
    graph = Graph([a], {}, [Equation(ADD, [a, a], {}, [b]), Equation(MULTIPLY, [b, b], {}, [c])], [c])
    assert last_uses(graph) == {0: [a], 1: [b]}
    np.testing.assert_array_equal(evaluate(graph, [np.ones(3)])[0], np.full(3, 4.0))


@pytest.mark.parametrize(("value", "text"), [
    (1.0, "1"), (np.float32(0.1), "0.1"), (3, "3"), (True, "True"), (np.arange(3), "[0, 1, 2]"),
    (np.arange(8.0), "float64[8] in [0, 7]"), (np.zeros((3, 3), bool), "bool[3, 3]"), (1 + 2j, "(1+2j)"),
    (np.zeros((0, 2)), "[]"),
])
def test_show_value(value, text):
    assert show_value(value) == text


def test_nested_regions_print():
    a, b, i, o = var(3), var(3), var(3), var(3)
    inner = Graph([i], {}, [Equation(ADD, [i, i], {}, [o])], [o])
    graph = Graph([a], {}, [Equation(ADD, [a, a], {"axis": (0, slice(1, None), None, ...), "how": np.dtype("f4")}, [b],
                                     ("file.py", 3), (inner,))], [b])
    assert repr(graph) == """\
graph(a:float64[3])
  b:float64[3] = add a, a, axis=(0, 1:, None, ...), how=float32  # file.py:3
    graph(a:float64[3])
      b:float64[3] = add a, a
      return b
  return b"""
