"""What nothing refers to any more is freed at once, without the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import npdiff
from npdiff.core import innermost


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def program(x: Any) -> Any:
    y = np.zeros(4)
    for i in range(4):
        y[i] = np.sin(x[i]) * x[i - 1]
    v = y[1:]
    v *= 2
    y[y > 0] += 1
    a, b = np.modf(y)
    w = np.concatenate([y, v[1:], a, b]).reshape(-1, 2)
    return np.sum(w.T @ w) + np.max(y)


X = np.array([0.3, -1.2, 0.8, 1.7])
TRANSFORMS = {
    "grad": lambda f: npdiff.grad(f)(X),
    "value_and_grad": lambda f: npdiff.value_and_grad(f)(X),
    "vjp": lambda f: npdiff.vjp(f, X)[1](1.0),
    "jvp": lambda f: npdiff.jvp(f, (X,), (X,)),
    "jacfwd": lambda f: npdiff.jacfwd(f)(X),
    "jacrev": lambda f: npdiff.jacrev(f)(X),
    "hessian": lambda f: npdiff.hessian(f)(X),
    "grad of grad": lambda f: npdiff.grad(lambda x: np.sum(npdiff.grad(f)(x)))(X),
    "linearize": lambda f: npdiff.linearize(f, X)[1](X),
    "track": lambda f: f(npdiff.track(X)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_no_cycles(name: str) -> None:
    seen: list[Any] = []

    def f(x: Any) -> Any:
        y = x * 1.0
        view = y[:2]
        seen.extend([weakref.ref(x), weakref.ref(y), weakref.ref(view)])
        return program(y)

    run = TRANSFORMS[name]
    if name == "track":
        with npdiff.record():
            run(f)
    else:
        run(f)
    assert seen
    assert all(r() is None for r in seen)


def test_backward_frees_the_record() -> None:
    x = npdiff.track(X)
    y = np.sin(x) * x
    z = np.sum(y)
    ref = weakref.ref(y)
    del y
    z.backward()
    del z
    assert ref() is None
    np.testing.assert_allclose(x.grad, np.cos(X) * X + np.sin(X))


@pytest.mark.parametrize("name", [n for n in TRANSFORMS if n != "track"])
def test_the_number_of_objects_stays(name: str) -> None:
    run = TRANSFORMS[name]
    for _ in range(3):
        run(program)
    before = len(gc.get_objects())
    for _ in range(20):
        run(program)
    assert abs(len(gc.get_objects()) - before) < 20


def test_a_long_chain_is_freed_without_recursion() -> None:
    x = npdiff.track(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    assert x.grad == 1.0
    del y


def test_what_the_pullback_does_not_read_is_not_kept() -> None:
    x = npdiff.track(np.ones(1000))
    big = np.ones(1000)
    kept = weakref.ref(big)
    y = np.sum(x + big)
    del big
    assert kept() is None  # the derivative of a sum reads neither term
    y.backward()


@pytest.mark.parametrize("use", [lambda h: h * 0.5, lambda h: 2.0 * h, lambda h: h * np.full(X.shape, 3.0),
                                 lambda h: h / 3.0, lambda h: h / np.full(X.shape, 3.0)])
@pytest.mark.parametrize("nested", [False, True], ids=["grad", "grad of grad"])
def test_constants_have_no_derivative_for_which_operands_are_kept(use: Any, nested: bool) -> None:
    kept: list[bool] = []

    def f(x: Any) -> Any:
        h = x + 1.0
        y = use(h)
        values = [weakref.ref(innermost(h)), weakref.ref(innermost(y))]
        z = y + 1.0
        del h, y
        kept.extend([value() is not None for value in values])
        return np.sum(z * z)

    slope = npdiff.grad(f)
    npdiff.grad(lambda x: np.sum(slope(x)))(X) if nested else slope(X)
    assert kept == [False, False]
