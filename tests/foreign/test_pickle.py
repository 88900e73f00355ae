"""Jitted functions and executables through pickle: the graph or the function travels, machine code does not."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import jitted_functions as functions
import numpy as np
import pytest

import npdiff
from npdiff.errors import UnsupportedError
from npdiff.jit import received

X = np.array([0.1, 0.2, 0.3])
HERE = str(Path(__file__).parent)


@pytest.mark.parametrize("tool", [pickle, cloudpickle])
def test_functions_by_their_names(tool: Any) -> None:
    assert pickle.loads(tool.dumps(functions.smooth)) is functions.smooth
    for f, x in ((functions.slope, X), (functions.doubled, np.stack([X, 2 * X]))):
        again = pickle.loads(tool.dumps(f))
        assert isinstance(again, npdiff.jit(len).__class__)
        assert again is pickle.loads(tool.dumps(f))  # so that it is recorded once
        np.testing.assert_array_equal(again(x), f(x))


def test_a_lambda_and_what_it_closes_over() -> None:
    k = np.array([2.0, 3.0, 4.0])
    f = npdiff.jit(npdiff.value_and_grad(lambda x: np.sum(x**2 * k)))
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(f)
    again = pickle.loads(cloudpickle.dumps(f))
    np.testing.assert_array_equal(again(X)[1], 2 * X * k)
    k *= 2  # the copy has its own
    np.testing.assert_array_equal(again(X)[1], X * k)
    np.testing.assert_array_equal(f(X)[1], 2 * X * k)


def test_a_wrapper_around_a_gradient_is_not_taken_for_it() -> None:
    import functools

    inner = npdiff.grad(functions.energy)

    @functools.wraps(inner)
    def outer(x: Any) -> Any:
        return 10 * inner(x)

    again = pickle.loads(cloudpickle.dumps(npdiff.jit(outer)))
    np.testing.assert_allclose(again(X), 10 * inner(X))


def test_options_travel() -> None:
    pytest.importorskip("jax", reason="jax is missing: install the jax extra")
    f = npdiff.jit(functions.energy, backend="tpu")
    again = pickle.loads(pickle.dumps(f))
    assert again.backend is f.backend
    assert again is not pickle.loads(pickle.dumps(npdiff.jit(functions.energy)))


def test_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["npdiff.jit"], "MAX_RECEIVED", 1)
    first = received(functions.energy, "cpu")
    assert received(functions.energy, "cpu") is first
    received(functions.helper, "cpu")
    assert received(functions.energy, "cpu") is not first


def test_executables() -> None:
    functions.slope(X)
    for f, values in ((functions.smooth, (X,)), (functions.slope, (X, functions.SCALE))):
        executable = f._recorded(X).compiled().prepare()
        again = pickle.loads(pickle.dumps(executable))
        for mine, theirs in zip(again.run(*values), executable.run(*values), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert again.llvm() == executable.llvm()


def test_graphs_keep_their_variables() -> None:
    graph = npdiff.make_graph(lambda x: np.sort(np.exp(x) + x)[1:] @ x[1:])(X)
    again = pickle.loads(pickle.dumps(graph))
    assert [eq.prim for eq in again.equations] == [eq.prim for eq in graph.equations]
    np.testing.assert_array_equal(again(X)[0], graph(X)[0])


def test_a_graph_with_a_rule_of_ones_own_says_why_not() -> None:
    rule = npdiff.custom_jvp(lambda x: 2 * x)
    graph = npdiff.make_graph(rule)(1.0)
    if all(eq.prim.name != "<lambda>" for eq in graph.equations):
        pytest.skip("the rule was recorded piece by piece")
    with pytest.raises(UnsupportedError, match="belongs to this process"):
        pickle.dumps(graph)


def test_in_another_process() -> None:
    data = pickle.dumps(functions.slope)
    code = (f"import sys, pickle; sys.path.insert(0, {HERE!r}); import numpy as np\n"
            f"f = pickle.loads({data!r}); x = np.array([0.1, 0.2, 0.3]); f(x); print(f(x).tolist())")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    np.testing.assert_array_equal(eval(done.stdout), functions.slope(X))
