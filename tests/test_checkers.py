"""The checkers fed with wrong rules: each must complain. A check that cannot fail proves nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from surroundings import clean_surroundings
from test_rules import assert_same, batched

import npdiff
from npdiff.core import VALUE, bind, own_primitive, services
from npdiff.dispatch.rules import batch_elementwise, elementwise_primitive, linear_primitive
from npdiff.errors import ArgumentError, GradientMismatch
from npdiff.testing import check_grads, numerical_jvp, pair
from npdiff.transforms.jvp import JvpTrace
from npdiff.transforms.reverse import ReverseTrace

X = np.array([0.4, 1.3, -0.7])


def cube(partial: Any) -> Any:
    """The cube with a partial derivative of your choice."""
    prim = elementwise_primitive("cube", None, (partial,), impl=lambda a: a**3)
    return lambda x: prim.call(x)


def test_a_right_partial_passes() -> None:
    check_grads(cube(lambda _y, a: 3 * a**2), (X,), order=3)


@pytest.mark.parametrize("modes", [("fwd",), ("rev",)])
@pytest.mark.parametrize("partial", [lambda _y, a: 3.01 * a**2, lambda _y, a: 2 * a**2, 0, lambda _y, a: a * np.nan],
                         ids=["a little", "wrong factor", "zero", "nan"])
def test_a_wrong_partial_fails(partial: Any, modes: Any) -> None:
    with pytest.raises(GradientMismatch, match=rf"{modes[0]} derivative is wrong at order 1"):
        check_grads(cube(partial), (X,), order=1, modes=modes)


@pytest.mark.parametrize("modes", [("fwd",), ("rev",)])
def test_a_partial_whose_own_derivative_is_wrong_fails_at_order_two(modes: Any) -> None:
    frozen = elementwise_primitive("frozen", None, (None,), impl=lambda a: 3 * a**2)
    f = cube(lambda _y, a: frozen.call(a))
    check_grads(f, (X,), order=1)
    with pytest.raises(GradientMismatch, match="at order 2"):
        check_grads(f, (X,), order=2, modes=modes)


def test_a_wrong_partial_of_one_operand_fails() -> None:
    prim = elementwise_primitive("product", None, (lambda _y, _a, b: b, lambda _y, _a, b: b),
                                 impl=lambda a, b: a * b)
    with pytest.raises(GradientMismatch):
        check_grads(lambda a, b: prim.call(a, b), (X, X + 1), order=1)


def test_a_wrong_transpose_fails_in_reverse_only() -> None:
    prim = linear_primitive("flip", None, lambda ct, a: ct, impl=lambda a: a[::-1])
    check_grads(lambda x: prim.call(x), (X,), order=1, modes=("fwd",))
    with pytest.raises(GradientMismatch, match="rev derivative is wrong"):
        check_grads(lambda x: prim.call(x), (X,), order=1, modes=("rev",))


def test_a_wrong_jvp_fails_in_both_modes() -> None:
    prim = own_primitive("sum_of_squares", lambda a: np.sum(a * a),
                         jvp=lambda out, primals, tangents: np.sum(primals[0] * tangents[0]))
    for mode in ("fwd", "rev"):
        with pytest.raises(GradientMismatch, match=f"{mode} derivative is wrong"):
            check_grads(lambda x: prim.call(x), (X,), order=1, modes=(mode,))


def test_a_wrong_convention_for_complex_fails() -> None:
    prim = own_primitive("square", lambda a: a * a, kind="elementwise", saves=(VALUE,),
                         jvp=lambda out, primals, tangents: 2 * primals[0] * tangents[0],
                         pull=lambda ct, out, args, needed, params: (np.conjugate(2 * args[0]) * ct,))
    with pytest.raises(GradientMismatch, match="rev derivative is wrong"):
        check_grads(lambda z: prim.call(z), (X + 1j,), order=1, modes=("rev",))


def test_single_precision_is_not_blind() -> None:
    x = X.astype(np.float32)
    check_grads(cube(lambda _y, a: 3 * a**2), (x,), order=2)
    with pytest.raises(GradientMismatch):
        check_grads(cube(lambda _y, a: 3.1 * a**2), (x,), order=1)


def test_a_wrong_batching_rule_is_seen() -> None:
    right = own_primitive("double", lambda a: 2 * a, batch=batch_elementwise(lambda: right))
    wrong = own_primitive("double", lambda a: 2 * a, batch=lambda size, args, batched, params: args[0])
    stacked = np.stack([X, X + 1, X + 2])
    assert_same(batched(lambda x: right.call(x), [stacked], [True]), 2 * stacked)
    with pytest.raises(AssertionError):
        assert_same(batched(lambda x: wrong.call(x), [stacked], [True]), 2 * stacked)


@pytest.mark.parametrize(("ours", "theirs"), [
    (X, X + 1e-9), (X, X.astype(np.float32)), (X, X[:, None]), (X[0], X[:1].reshape(())), (1.0, np.float64(1.0)),
    (1, 1.0), ((X,), [X]), (X, np.full(3, np.nan)),
], ids=["value", "dtype", "shape", "scalar for array", "Python number", "int", "container", "nan"])
def test_different_results_are_seen(ours: Any, theirs: Any) -> None:
    assert_same(theirs, theirs)
    with pytest.raises(AssertionError):
        assert_same(ours, theirs)


@pytest.mark.parametrize("kind", [ReverseTrace, JvpTrace])
def test_an_open_transform_is_seen(kind: Any) -> None:
    trace = None
    with pytest.raises(AssertionError, match="still open"), clean_surroundings():
        trace = kind()
    trace.close()


@pytest.mark.parametrize(("module", "name"), [(np, "zeros"), (np, "sin"), (np.random, "normal")])
def test_a_changed_namespace_is_seen(module: Any, name: str) -> None:
    before = getattr(module, name)
    with pytest.raises(AssertionError, match=rf"not put back: .*{name}"), clean_surroundings():
        setattr(module, name, lambda *args: None)
    setattr(module, name, before)


def test_a_capture_that_is_not_left_is_seen() -> None:
    with pytest.raises(AssertionError, match="not put back"), clean_surroundings():
        services["enter_capture"](None)
    services["exit_capture"]()


def test_the_message_gives_mode_order_and_both_numbers() -> None:
    with pytest.raises(GradientMismatch) as caught:
        check_grads(cube(lambda _y, a: 4 * a**2), (1.0,), order=1, modes=("fwd",))
    text = str(caught.value)
    assert text.startswith("check_grads: fwd derivative is wrong at order 1 (leaf 0)\n  npdiff:      ")
    assert "differences: " in text
    assert "at: test_checkers.py:" in text


@pytest.mark.parametrize(("args", "modes", "text"), [
    ((1,), ("fwd",), "no argument is floating point"), ((1.0,), ("forward",), "unknown mode"),
    (1.0, ("fwd",), "must be a sequence"),
])
def test_wrong_use(args: Any, modes: Any, text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        check_grads(lambda x: x, args, modes=modes)


def test_constants_and_containers() -> None:
    def f(p: Any, k: int, mask: Any) -> Any:
        y = np.where(mask, p["w"] ** k, p["b"][0])
        mask[:] = False
        return [y, {"loss": np.sum(y)}]

    check_grads(f, ({"w": X, "b": (2.0, 1)}, 3, np.array([True, False, True])), order=2)


def test_numerical_jvp_keeps_the_structure() -> None:
    out = numerical_jvp(lambda a, b: {"p": a * b, "k": 3}, [X, 2.0], [np.ones(3), 0.0])
    np.testing.assert_allclose(out["p"], 2.0)
    assert out["k"] == 0
    assert pair([1j], [2j]) == -2.0


def test_bind_without_evaluation_rule_complains() -> None:
    prim = own_primitive("nothing", lambda a: a)
    prim.call = prim
    with pytest.raises(npdiff.core.UnsupportedError, match="nothing: has no evaluation rule"):
        bind(prim, (1.0,), {})
