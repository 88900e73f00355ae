"""Rules of one's own: both kinds, under every transform, and what they say when they are wrong."""

from __future__ import annotations

import numpy as np
import pytest

import npdiff
from npdiff.errors import ArgumentError, NotDifferentiableError

X = np.array([0.5, -1.0, 2.0])


def jvp_rule(factor=3.0):
    """The sine with a derivative that is `factor` times the true one, to be seen."""
    f = npdiff.custom_jvp(lambda x: np.sin(x))
    f.defjvp(lambda primals, tangents: (f(primals[0]), factor * np.cos(primals[0]) * tangents[0]))
    return f


def vjp_rule(factor=3.0):
    f = npdiff.custom_vjp(lambda x: np.sin(x))
    f.defvjp(lambda x: (f(x), x), lambda x, ct: (factor * np.cos(x) * ct,))
    return f


@pytest.mark.parametrize("make", [jvp_rule, vjp_rule])
def test_rules_are_used(make):
    f = make()
    slope = 3 * np.cos(X)
    np.testing.assert_array_equal(f(X), np.sin(X))
    assert type(f(X)) is np.ndarray
    np.testing.assert_allclose(npdiff.elementwise_grad(f)(X), slope)
    np.testing.assert_allclose(npdiff.jacrev(f)(X), np.diag(slope))
    np.testing.assert_allclose(npdiff.vjp(f, X)[1](X)[0], slope * X)
    np.testing.assert_allclose(npdiff.vmap(npdiff.grad(f))(X), slope)
    np.testing.assert_allclose(npdiff.elementwise_grad(npdiff.vmap(f))(X), slope)
    np.testing.assert_allclose(npdiff.elementwise_grad(npdiff.jit(f))(X), slope)
    jitted = npdiff.jit(npdiff.elementwise_grad(f))
    for x in (X, X + 1, X):
        np.testing.assert_allclose(jitted(x), 3 * np.cos(x))
    np.testing.assert_allclose(npdiff.elementwise_grad(npdiff.checkpoint(f))(X), slope)
    np.testing.assert_allclose(npdiff.elementwise_grad(npdiff.elementwise_grad(f))(X), -3 * np.sin(X))


def test_forward_mode():
    f = jvp_rule()
    np.testing.assert_allclose(npdiff.jacfwd(f)(X), np.diag(3 * np.cos(X)))
    np.testing.assert_allclose(npdiff.hessian(lambda x: np.sum(f(x)))(X), np.diag(-3 * np.sin(X)))
    np.testing.assert_allclose(npdiff.linearize(f, X)[1](X), 3 * np.cos(X) * X)
    with pytest.raises(NotDifferentiableError) as caught:
        npdiff.jacfwd(vjp_rule())(X)
    lines = str(caught.value).splitlines()
    assert lines[0] == "custom_vjp: <lambda> has a reverse rule only"
    assert lines[-1] == "  instead: use npdiff.custom_jvp, which gives both modes"


def test_containers_keywords_and_several_results():
    @npdiff.custom_vjp
    def f(p, n, *, scale=1.0):
        return {"y": p["a"] * p["b"] * n}, p["a"].sum() * scale

    def fwd(p, n, *, scale=1.0):
        return f(p, n, scale=scale), (p, n)

    def bwd(residuals, ct):
        p, n = residuals
        out, total = ct
        return {"a": 10 * out["y"] * p["b"] * n + total, "b": out["y"] * p["a"] * n}, None

    f.defvjp(fwd, bwd)
    p = {"a": X, "b": X + 1}
    got = npdiff.grad(lambda p: np.sum(f(p, 2, scale=1.0)[0]["y"]) + f(p, 2)[1])(p)
    np.testing.assert_allclose(got["a"], 20 * p["b"] + 1)
    np.testing.assert_allclose(got["b"], 2 * p["a"])
    assert f.__name__ == "f"


def test_writes_inside_do_not_reach_the_argument():
    @npdiff.custom_jvp
    def f(x):
        x *= 2
        return x

    f.defjvp(lambda primals, tangents: (primals[0] * 2, tangents[0] * 2))
    np.testing.assert_array_equal(npdiff.elementwise_grad(lambda x: f(x) * x)(X), 4 * X)


def test_closing_over_tracked_values():
    """What the function closes over is part of its value; its rule decides what derivative there is."""
    def through(w):
        f = npdiff.custom_jvp(lambda x: x * w)
        f.defjvp(lambda primals, tangents: (primals[0] * w, tangents[0] * w))
        return npdiff.grad(f)(2.0) * w

    assert npdiff.grad(through)(3.0) == 6.0


def nothing(kind):
    return kind(lambda x: x * 2)


def bad_pair():
    f = npdiff.custom_jvp(lambda x: x)
    f.defjvp(lambda primals, tangents: tangents[0])
    return f


def bad_count():
    f = npdiff.custom_vjp(lambda x: x)
    f.defvjp(lambda x: (x, None), lambda r, ct: (ct, ct))
    return f


@pytest.mark.parametrize(("make", "kind", "first", "last"), [
    (lambda: nothing(npdiff.custom_jvp), NotDifferentiableError, "custom_jvp: <lambda> has no rule",
     "set one with @f.defjvp"),
    (lambda: nothing(npdiff.custom_vjp), NotDifferentiableError, "custom_vjp: <lambda> has no rule",
     "set one with f.defvjp(fwd, bwd)"),
    (bad_pair, ArgumentError, "custom_jvp: the rule must return (value, tangent)", "return value, tangent"),
    (bad_count, ArgumentError,
     "custom_vjp: bwd of <lambda> must return a tuple with one cotangent per positional argument",
     "return a tuple of 1, with None where there is none"),
    (lambda: npdiff.custom_jvp(3), ArgumentError, "custom rule: a function is needed", "use it as a decorator"),
])
def test_errors(make, kind, first, last):
    with pytest.raises(kind) as caught:
        npdiff.grad(make())(2.0)
    lines = str(caught.value).splitlines()
    assert lines[0] == first
    assert lines[-1] == f"  instead: {last}"
