"""npdiff.debug_nans: who is blamed, in which pass, by the whole text; and that it leaves nothing behind."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from wording import assert_says

import npdiff
from npdiff import core
from npdiff.errors import ArgumentError, NonFiniteError
from npdiff.transforms.watch import _swaps

FINITE = ("keep the operands where the function is finite (np.where on the operand, before the function), or call it "
          "outside npdiff.debug_nans() if the value is meant")
SMOOTH = ("keep the operands where the derivative is finite: np.where on the operand, before the function (on the "
          "result it comes too late)")
ZERO, F, F2, F3 = np.zeros(3), "DiffArray float64", "DiffArray float64[2]", "DiffArray float64[3]"


@npdiff.custom_jvp
def halved(x: Any) -> Any:
    return x / 2


@halved.defjvp
def halved_rule(primals: Any, tangents: Any) -> Any:
    return halved(*primals), tangents[0] / (primals[0] - primals[0])


def track_style(f: Any, x: Any) -> Any:
    handle = npdiff.track(x)
    y = f(handle)
    y.backward()
    return handle.grad


# The call, in which the function has a line of its own; what is said; operands; the pass; the way out.
CASES: dict[str, tuple[Any, Any, str, str, str, str]] = {
    "forward": (lambda f: npdiff.grad(f)(np.array([1.0, -1.0, 0.0])), lambda x: np.sum(np.log(x)),
                "np.log: nan in its result, first at index (1,)", F3, "", FINITE),
    "an operator": (lambda f: npdiff.grad(f)(ZERO), lambda x: np.sum(1 / x),
                    "np.divide: inf in its result, first at index (0,)", f"int 1, {F3}", "", FINITE),
    "a step of a function": (lambda f: npdiff.grad(f)(np.full(3, 1e300)), lambda x: np.var(x * [1.0, 2.0, 3.0]),
                             "np.var: inf in its result, in its step np.multiply, first at index (0,)", f"{F3}, {F3}",
                             "", FINITE),
    "backward": (lambda f: npdiff.grad(f)(ZERO), lambda x: np.sqrt(np.sum(x * x)),
                 "np.sqrt: inf in the cotangent of its operand", F, ", in the backward pass", SMOOTH),
    "tangents": (lambda f: npdiff.jvp(f, (ZERO,), (np.ones(3),)), lambda x: np.sqrt(x),
                 "np.sqrt: inf in the tangent of its result, first at index (0,)", F3, ", in the forward-mode pass",
                 SMOOTH),
    "the second of two operands": (
        lambda f: npdiff.grad(f)(0.0), lambda x: np.power(1.5, np.cbrt(x)) + x,
        "np.cbrt: inf in the cotangent of its operand", F, ", in the backward pass", SMOOTH),
    "reverse over reverse": (
        lambda f: npdiff.grad(npdiff.grad(f))(0.0), lambda x: x ** 1.5,
        "np.power: inf in the cotangent of operand 0", f"{F}, float 1.5",
        ", in the backward pass of the backward pass", SMOOTH),
    "forward over reverse": (
        lambda f: npdiff.hvp(f)(np.zeros(2), np.ones(2)), lambda x: np.sum(x ** 1.5),
        "np.power: inf in the cotangent of operand 0, first at index (0,)", f"{F2}, float 1.5",
        ", in the forward-mode pass of the backward pass", SMOOTH),
    "vmap": (lambda f: npdiff.vmap(f)(np.array([[1.0, 2.0], [1.0, -1.0]])), lambda x: np.log(x),
             "np.log: nan in its result, first at index (1,) of example 1", F2, "", FINITE),
    "vmap of a number": (lambda f: npdiff.vmap(f)(np.array([1.0, -1.0])), lambda x: np.log(x),
                         "np.log: nan in its result, first in example 1", F, "", FINITE),
    "grad in vmap": (lambda f: npdiff.vmap(npdiff.grad(f))(np.array([[1.0], [0.0]])), lambda x: np.sqrt(x[0]),
                     "np.sqrt: inf in the cotangent of its operand, first in example 1", F, ", in the backward pass",
                     SMOOTH),
    "vmap in grad": (lambda f: npdiff.grad(lambda x: np.sum(npdiff.vmap(f)(x)))(np.array([1.0, 0.0])),
                     lambda x: np.sqrt(x), "np.sqrt: inf in the cotangent of its operand, first at index (1,)", F,
                     ", in the backward pass", SMOOTH),
    "a jitted function": (lambda f: npdiff.jit(f)(ZERO), lambda x: np.mean(x) / np.std(x),
                          "np.divide: nan in its result", f"{F}, {F}", "", FINITE),
    "grad of a jitted function": (lambda f: npdiff.grad(npdiff.jit(f))(0.0), lambda x: np.sqrt(x * 1),
                                  "np.sqrt: inf in the cotangent of its operand", F, ", in the backward pass", SMOOTH),
    "jit of a gradient": (lambda f: npdiff.jit(npdiff.grad(f))(0.0), lambda x: np.sqrt(x * 1.0),
                          "np.sqrt: inf in the cotangent of its operand", F, ", in the backward pass", SMOOTH),
    "checkpoint": (lambda f: npdiff.grad(npdiff.checkpoint(f))(0.0), lambda x: np.sqrt(x * 1.0),
                   "np.sqrt: inf in the cotangent of its operand", F, ", in the backward pass", SMOOTH),
    "track": (lambda f: track_style(f, 0.0), lambda x: np.sqrt(x * 1.0),
              "np.sqrt: inf in the cotangent of its operand", F, ", in the backward pass", SMOOTH),
    "constants of a transform": (
        lambda f: npdiff.grad(f)(ZERO, np.array([1.0, 2.0, 0.0])), lambda x, data: np.sum(x * np.log(data)),
        "np.log: inf in its result, first at index (2,)", "ndarray float64[3]", "", FINITE),
    "a sum of cotangents": (
        lambda f: npdiff.grad(f)(1.0), lambda x: (lambda y: y * 1e308 - (-1e308 * y + 0.5e308))(x * 1e-300),
        "np.multiply: inf in the cotangent of its result, summed over its uses", f"{F}, float 1e-300",
        ", in the backward pass", SMOOTH),
    "a rule of the user's": (lambda f: npdiff.grad(f)(1.0), lambda x: halved(x),
                             "halved: inf in the cotangent of its operand", F, ", in the backward pass", SMOOTH),
}


def undisturbed() -> bool:
    """True if every function that debug_nans replaces is the original."""
    return core.watch_constants is None and all(vars(kind)[name] is original for kind, name, original, _ in _swaps)


@pytest.mark.parametrize("name", CASES)
def test_blame(name: str) -> None:
    run, f, what, received, where, instead = CASES[name]
    with pytest.raises(NonFiniteError) as caught, npdiff.debug_nans():
        run(f)
    line = f"test_debug_nans.py:{f.__code__.co_firstlineno}"
    assert str(caught.value).split("\n  ") == [what, f"received: {received}", f"at: {line}{where}",
                                               f"instead: {instead}"]
    assert isinstance(caught.value, FloatingPointError)
    assert undisturbed()


def test_what_was_not_finite_before_is_not_blamed() -> None:
    x = np.array([1.0, np.nan, np.inf])
    with npdiff.debug_nans():
        assert np.isnan(npdiff.jit(lambda x: np.sum(x * 2))(x))
        np.testing.assert_array_equal(npdiff.grad(lambda x: np.nansum(x[:2] * 3))(x), [3.0, 0.0, 0.0])
        value, _ = npdiff.jvp(lambda x: np.concatenate([x, x]) + 1, (x,), (np.ones(3),))
        np.testing.assert_array_equal(value, [2.0, np.nan, np.inf] * 2)
    # Beside a place that was NaN before, an elementwise operation is still blamed for the next.
    with pytest.raises(NonFiniteError, match=r"^np\.log: nan in its result, first at index \(2,\)\n"), \
            npdiff.debug_nans():
        npdiff.vjp(np.log, np.array([1.0, np.nan, -1.0]))


def test_infinities_may_be_meant() -> None:
    with npdiff.debug_nans(infs=False), np.errstate(divide="ignore"):
        assert npdiff.value_and_grad(lambda x: np.max(np.log(x)))(np.array([0.0, 1.0]))[0] == 0.0
        with pytest.raises(NonFiniteError, match=r"^np\.subtract: nan in its result\n"):
            npdiff.grad(lambda x: np.log(x) - np.log(x))(0.0)


def test_finite_code_gives_what_it_gives_without() -> None:
    def f(x: Any, w: Any) -> Any:
        y = np.zeros(3)
        y[:2] = np.sin(x) @ w
        values, vectors = np.linalg.eigh(np.outer(x, x) + np.diag([1.0, 2.0, 3.0]))
        return np.sum(y ** 3) + values @ np.cumsum(vectors ** 2, axis=1)[0] + np.split(x, [1])[0][0]

    rng = np.random.default_rng(3)
    x, w = rng.normal(size=3), rng.normal(size=(3, 2))
    for transform in (npdiff.grad, npdiff.hessian, npdiff.jacfwd, npdiff.jit, lambda f: npdiff.jit(npdiff.grad(f))):
        plain = transform(f)(x, w)
        with npdiff.debug_nans():
            np.testing.assert_allclose(transform(f)(x, w), plain, rtol=1e-12)
    assert undisturbed()


def test_jitted_functions_do_all_they_do() -> None:
    @npdiff.jit
    def step(state: Any, k: int) -> Any:
        state[0] += np.random.normal()  # noqa: NPY002
        return state * k

    a, b = np.zeros(2), np.zeros(2)
    np.random.seed(1)  # noqa: NPY002
    plain = [step(a, 2), step(a, 3)]
    np.random.seed(1)  # noqa: NPY002
    with npdiff.debug_nans():
        watched = [step(b, 2), step(b, 3)]
    np.testing.assert_array_equal(watched, plain)
    np.testing.assert_array_equal(a, b)


def test_a_decorated_function_is_watched_in_derivatives_taken_outside() -> None:
    @npdiff.debug_nans
    def norm(x: Any) -> Any:
        return np.sqrt(np.sum(x * x))

    @npdiff.debug_nans(infs=False)
    def halves(x: Any) -> Any:
        return np.sqrt(np.sum(x * x))

    with pytest.raises(NonFiniteError, match=r"^np\.sqrt: inf in the cotangent of its operand\n"):
        npdiff.grad(norm)(ZERO)
    assert undisturbed()
    with pytest.raises(NonFiniteError, match=r"^np\.multiply: nan in the cotangent of operand 0, first at index"):
        npdiff.grad(halves)(ZERO)


def test_what_was_recorded_before_cannot_be_checked() -> None:
    x = npdiff.track(ZERO)
    y = np.sum(x * x)
    _, pull = npdiff.vjp(np.sin, ZERO)
    for run in (lambda: y.backward(), lambda: pull(ZERO)):
        with pytest.raises(ArgumentError) as caught, npdiff.debug_nans():
            run()
        assert_says(caught.value, run,
                    "debug_nans: the value was computed before it was on, so its derivatives cannot be checked", "",
                    "compute the value inside `with npdiff.debug_nans():`, too")
    y.backward()
    np.testing.assert_array_equal(x.grad, 0.0)


def test_it_holds_for_its_thread_only_and_nests() -> None:
    found: list[Any] = []

    def elsewhere() -> None:
        with np.errstate(all="ignore"):
            found.append(npdiff.grad(lambda x: np.sum(np.log(x)))(ZERO))
            found.append(npdiff.jit(lambda x: np.log(x))(ZERO))

    with npdiff.debug_nans(infs=False):
        with npdiff.debug_nans(), pytest.raises(NonFiniteError):
            npdiff.grad(np.log)(0.0)
        with np.errstate(divide="ignore"):
            assert npdiff.value_and_grad(np.log)(0.0)[0] == -np.inf
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert not undisturbed()
    np.testing.assert_array_equal(found, [np.full(3, np.inf), np.full(3, -np.inf)])
    assert undisturbed()


def test_no_function() -> None:
    with pytest.raises(ArgumentError) as caught:
        npdiff.debug_nans(3)
    assert str(caught.value).split("\n  ")[0::3] == [
        "debug_nans: the argument must be a function",
        "instead: write `with npdiff.debug_nans():`, or decorate a function with it"]
