"""The backward pass of a compiled function takes over what is dear to compute again."""

from __future__ import annotations

import numpy as np
import pytest

import npdiff
from npdiff.graph import verify
from npdiff.program import with_literals

W = np.random.default_rng(1).normal(size=(4, 4)) / 3
X = np.random.default_rng(2).normal(size=(4, 3))

FUNCTIONS = {
    "products and exp": lambda x: np.sum(np.exp(W @ x) * np.tanh(x) / (1 + x * x)),
    "a chain of products": lambda x: np.sum(W @ np.tanh(W @ np.tanh(W @ x))),
    "linear algebra": lambda x: np.sum(np.linalg.inv(x @ x.T + np.eye(4)) @ x),
    "a branch": lambda x: np.sum(np.sin(W @ x)) if np.sum(np.exp(W @ x)) > 0 else np.sum(x),
    "several results": lambda x: np.sum(np.exp(x) * x),
    "sorting": lambda x: np.sum(np.sort(np.exp(x), axis=0)[0] * x[1]),
    "cheap only": lambda x: np.sum(x * x + x),
    "squares": lambda x: np.sum((x**2) ** 3),
}
HEAVY = ("matmul", "exp", "tanh", "linalg.inv", "sort", "sin")


def programs(f):
    """The recording's program as it ran forward, and backward."""
    made = next(r for e in f._entries.values() for r in e.recordings if r.program._derived)
    forward = next(p for k, p in made.program._derived.items() if k[0] == "keeping")
    backward = next(p for k, p in forward._derived.items() if k[0] == "cotangents")
    return forward, backward


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_agree_with_the_plain_functions(name):
    f = FUNCTIONS[name]
    jitted = npdiff.jit(f)
    for _ in range(3):
        value, gradient = npdiff.value_and_grad(jitted)(X)
        expected_value, expected = npdiff.value_and_grad(f)(X)
        np.testing.assert_allclose(value, expected_value, rtol=1e-12)
        np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-13)
    v = W[:, :3]
    np.testing.assert_allclose(npdiff.hvp(jitted)(X, v), npdiff.hvp(f)(X, v), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(npdiff.hessian(jitted)(X), npdiff.hessian(f)(X), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(npdiff.jit(npdiff.grad(jitted))(X), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_dear_is_computed_twice(name):
    jitted = npdiff.jit(FUNCTIONS[name])
    npdiff.grad(jitted)(X)
    forward, backward = programs(jitted)
    first = len(forward.graph.inputs)
    verify(backward.graph)
    # What the backward pass computes from the forward pass's own inputs alone, and its names.
    known = set(backward.graph.inputs[:first]) | set(backward.graph.constants)
    again = []
    for eq in backward.graph.equations:
        if all(a in known for a in eq.inputs if hasattr(a, "id")):
            known.update(eq.outputs)
            again.append(eq.prim.name)
    assert not set(again) & set(HEAVY)
    assert len(backward.graph.inputs) == first + 1 + len(forward.kept)


def test_what_is_cheap_is_not_kept():
    jitted = npdiff.jit(FUNCTIONS["cheap only"])
    npdiff.grad(jitted)(X)
    forward, _ = programs(jitted)
    assert not forward.kept
    squares = npdiff.jit(FUNCTIONS["squares"])
    npdiff.grad(squares)(X)
    assert not programs(squares)[0].kept


def test_a_result_is_kept_as_it_is():
    jitted = npdiff.jit(lambda x: np.exp(x))
    _, pull = npdiff.vjp(jitted, X)
    np.testing.assert_allclose(pull(np.ones_like(X))[0], np.exp(X))
    forward, _ = programs(jitted)
    assert len(forward.graph.outputs) == 1
    assert list(forward.kept) == forward.graph.outputs


def test_results_without_a_cotangent():
    f = npdiff.jit(lambda x: (np.exp(W @ x), np.tanh(x), np.argmax(x)))
    g = npdiff.grad(lambda x: np.sum(f(x)[1]))
    np.testing.assert_allclose(g(X), 1 - np.tanh(X) ** 2, rtol=1e-12)
    np.testing.assert_allclose(npdiff.grad(lambda x: np.sum(f(x)[0] * 2))(X), 2 * W.T @ np.exp(W @ X), rtol=1e-12)


def test_kept_values_are_not_touched_by_later_writes():
    f = npdiff.jit(lambda x: np.exp(x))

    def loss(x):
        y = f(x)
        total = np.sum(y)
        y[...] = 0.0
        return total

    for _ in range(3):
        np.testing.assert_allclose(npdiff.grad(loss)(X), np.exp(X), rtol=1e-12)


def test_guards_are_not_passed_twice():
    jitted = npdiff.jit(FUNCTIONS["a branch"])
    npdiff.grad(jitted)(X)
    _, backward = programs(jitted)
    assert not [eq for eq in backward.graph.equations if eq.prim.name.startswith("guard")]
    low = npdiff.jit(lambda x: np.sum(np.sin(x)) if np.sum(x) > 0 else np.sum(np.cos(x)))
    for x in (np.ones(3), -np.ones(3), np.ones(3)):
        np.testing.assert_allclose(npdiff.grad(low)(x), np.cos(x) if x[0] > 0 else -np.sin(x), rtol=1e-12)


def test_a_cotangent_that_is_one_number_is_no_array_in_the_kernels():
    x = np.linspace(0.0, 1.0, 60 * 50).reshape(60, 50)

    def loss(a):
        return np.mean(np.var(a, axis=0))

    jitted = npdiff.jit(npdiff.grad(loss))
    np.testing.assert_allclose(jitted(x), npdiff.grad(loss)(x), rtol=1e-12)
    graph = with_literals(jitted.lower(x))
    assert not graph.constants
    held = [v for v, c in jitted.lower(x).constants.items() if c.shape == x.shape]
    assert held
