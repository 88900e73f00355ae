"""checkpoint: the same derivatives, and nothing of what happens inside is kept."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import npdiff

X = np.linspace(0.1, 0.9, 5)


def block(x, w=2.0):
    y = np.zeros(5)
    y[:3] = np.sin(x[:3] * w)
    y[3:] = x[3:] ** 2
    if x.size > 3:
        y *= x
    return y


def nested(x):
    return npdiff.checkpoint(lambda v: npdiff.checkpoint(block)(v) * v)(x)


@pytest.mark.parametrize("way", [npdiff.grad, npdiff.jacfwd, npdiff.hessian, npdiff.jacrev,
                                 lambda f: npdiff.jit(npdiff.grad(f)), lambda f: npdiff.grad(npdiff.jit(f)),
                                 lambda f: lambda x: npdiff.vmap(npdiff.grad(f))(np.stack([x, x + 1]))], ids=range(7))
@pytest.mark.parametrize(("saved", "plain"), [
    (lambda x: np.sum(npdiff.checkpoint(block)(x) ** 2), lambda x: np.sum(block(x) ** 2)),
    (lambda x: np.sum(npdiff.checkpoint(block)(x, 3.0)), lambda x: np.sum(block(x, 3.0))),
    (lambda x: np.sum(nested(x)), lambda x: np.sum(block(x) * x)),
    (lambda x: np.sum(npdiff.checkpoint(lambda v: {"a": (v * x, 2.0)})(np.sin(x))["a"][0]),
     lambda x: np.sum(np.sin(x) * x)),
    (lambda x: sum(npdiff.checkpoint(lambda v, k=k: v * x[k])(x[0]) for k in range(3)),
     lambda x: x[0] * (x[0] + x[1] + x[2])),
], ids=["block", "argument", "nested", "closure", "loop"])
def test_the_same(way, saved, plain):
    np.testing.assert_allclose(way(saved)(X), way(plain)(X), rtol=1e-12)


def test_plain_arguments_run_as_they_are():
    f = npdiff.checkpoint(block)
    np.testing.assert_array_equal(f(X), block(X))
    assert type(f(X)) is np.ndarray
    assert f.__name__ == "block"


def test_nothing_inside_is_kept():
    def living(wrap):
        seen = []

        def layer(x):
            for _ in range(6):
                x = np.sin(x) * x
                seen.append(weakref.ref(x))
            return x

        _, pull = npdiff.vjp(wrap(layer), np.ones(1000))
        gc.collect()
        alive = sum(r() is not None for r in seen)
        gradient = pull(np.ones(1000))[0]
        return alive, gradient, pull

    # The handles are gone in both cases; what counts is the arrays that the record holds.
    _, plain, plain_pull = living(lambda f: f)
    _, saved, saved_pull = living(npdiff.checkpoint)
    np.testing.assert_allclose(saved, plain)
    assert arrays_held(saved_pull) < arrays_held(plain_pull) - 5


def arrays_held(root):
    """How many arrays of 1000 elements can be reached from an object."""
    seen, found, stack = set(), 0, [root]
    while stack:
        o = stack.pop()
        if id(o) in seen or isinstance(o, type) or type(o).__name__ in ("module", "frame"):
            continue
        seen.add(id(o))
        if type(o) is np.ndarray:
            found += o.size == 1000
        elif type(o).__name__ in ("tuple", "list", "dict", "cell", "DiffArray", "Equation", "Graph"):
            stack += gc.get_referents(o)
        elif type(o).__name__ == "function":
            stack += [c.cell_contents for c in o.__closure__ or ()]
    return found


def test_random_numbers_inside_are_drawn_once():
    """The way back runs the function again, with the numbers of the way forward; the stream moves on once."""
    def noisy(x):
        return x * np.random.normal(size=5) ** 2

    def run(wrap):
        np.random.seed(3)
        out = npdiff.grad(lambda x: np.sum(wrap(noisy)(x) ** 2))(X)
        return out, np.random.rand()

    (plain, after), (saved, after_saved) = run(lambda f: f), run(npdiff.checkpoint)
    np.testing.assert_allclose(saved, plain)
    assert after == after_saved


def test_linearize_draws_once():
    def noisy(x):
        return x * np.random.normal(size=5)

    np.random.seed(3)
    value, push = npdiff.linearize(noisy, X)
    state = np.random.get_state()[1].copy()
    np.testing.assert_allclose(push(X), value)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_exceptions_pass():
    def bad(x):
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        npdiff.grad(npdiff.checkpoint(bad))(X)


def test_branches_inside():
    f = npdiff.checkpoint(lambda x: x**2 if x > 0 else -x)
    assert npdiff.grad(f)(3.0) == 6.0
    assert npdiff.grad(f)(-3.0) == -1.0
    with pytest.raises(npdiff.errors.BranchError) as caught:
        npdiff.vmap(npdiff.grad(f))(X)
    assert str(caught.value).startswith(
        "bool: Python needs one value here, but under vmap each example has its own\n"
        "  received: DiffArray bool\n  at: ")
