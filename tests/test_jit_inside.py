"""A jitted function inside a transform, where what it closes over belongs to that transform."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import npdiff
from npdiff.errors import JitWarning

X = np.array([1.0, 2.0, 3.0])
weight = None


def derivative(w):
    return 2 * np.sum(X * np.cos(w * X))


def test_tracked_value_in_a_cell():
    def loss(w):
        inner = npdiff.jit(lambda x: np.sum(np.sin(x * w)))
        return inner(X) + inner(X)

    np.testing.assert_allclose(npdiff.grad(loss)(2.0), derivative(2.0))
    np.testing.assert_allclose(npdiff.vmap(loss)(np.arange(3.0)), [loss(w) for w in range(3)])
    outer = npdiff.jit(npdiff.grad(loss))
    for w in (2.0, 3.0, 4.0):
        np.testing.assert_allclose(outer(w), derivative(w))


def test_tracked_value_in_a_global_that_is_plain_at_other_times():
    @npdiff.jit
    def inner(x):
        return np.sum(np.sin(x * weight))

    def loss(w):
        global weight
        weight = w
        return inner(X) + inner(X)

    for w in (2.0, 3.0, 4.0):
        np.testing.assert_allclose(loss(w), 2 * np.sum(np.sin(X * w)))
        np.testing.assert_allclose(npdiff.grad(loss)(w), derivative(w))


def test_tracked_argument_and_tracked_cell():
    def loss(w):
        inner = npdiff.jit(lambda v: np.sum(np.sin(X * w) * v))
        return inner(w) + inner(2 * w)

    expected = npdiff.grad(lambda w: np.sum(np.sin(X * w)) * 3 * w)(1.5)
    np.testing.assert_allclose(npdiff.grad(loss)(1.5), expected)


def test_array_made_by_the_transform_is_read_at_each_call():
    def loss(w):
        c = np.ones(3)
        inner = npdiff.jit(lambda x: np.sum(x * c))
        first = inner(X) + inner(X)
        c[0] = 5.0
        return w * (first + inner(X))

    np.testing.assert_allclose(npdiff.grad(loss)(1.0), 2 * 6.0 + 10.0)


def test_modules_that_subclass_ndarray_can_be_imported_while_a_transform_runs():
    code = """
import sys, npdiff, numpy as np
def f(x):
    import numpy.ma
    return x * x
assert "numpy.ma" not in sys.modules
assert npdiff.grad(f)(3.0) == 6.0
import numpy.ma
assert numpy.ma.MaskedArray.__mro__[1] is np.ndarray
assert numpy.ma.masked_array([1.0, 2.0], mask=[0, 1]).sum() == 1.0
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_jit_of_a_transformed_jitted_function():
    f = npdiff.jit(lambda x: np.sum(x**3))
    x = np.arange(6.0).reshape(2, 3)
    for gradient in (npdiff.grad(f), npdiff.vmap(npdiff.grad(f)), npdiff.jit(npdiff.grad(f))):
        made = npdiff.jit(gradient)
        for _ in range(2):
            np.testing.assert_allclose(made(x), 3 * x**2)
    np.testing.assert_allclose(f(x), np.sum(x**3))


def test_custom_rule_of_a_transformed_custom_function():
    inner = npdiff.custom_jvp(lambda x: x**3)
    inner.defjvp(lambda primals, tangents: (inner(*primals), 3 * primals[0] ** 2 * tangents[0]))
    slope = npdiff.custom_jvp(npdiff.grad(inner))
    slope.defjvp(lambda primals, tangents: (slope(*primals), 6 * primals[0] * tangents[0]))
    np.testing.assert_allclose(slope(2.0), 12.0)
    np.testing.assert_allclose(npdiff.grad(slope)(2.0), 12.0)


def test_random_stream_under_grad():
    def f(x):
        return np.sum(x * np.random.normal(size=3))

    jitted = npdiff.jit(f)
    np.random.seed(0)
    expected = [npdiff.grad(f)(X) for _ in range(3)]
    np.random.seed(0)
    np.testing.assert_array_equal([npdiff.grad(jitted)(X) for _ in range(3)], expected)


def test_assignment_under_grad_happens_once():
    n = 0

    def f(x):
        nonlocal n
        n += 1
        return np.sum(x * x)

    jitted = npdiff.jit(f)
    with pytest.warns(JitWarning, match="^npdiff.jit: f runs without compiled code: f assigns the nonlocal name n$"):
        npdiff.grad(jitted)(X)
    npdiff.grad(jitted)(X)
    assert n == 2


def test_plain_results_share_memory_as_they_do():
    def f(a):
        other = np.atleast_2d(a, np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]).T.copy("F"))[1]
        return other, other[1:], other.T[0], a * 1

    jitted = npdiff.jit(f)
    for _ in range(3):
        ours, theirs = jitted(np.array(2.0)), f(np.array(2.0))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
        assert np.shares_memory(ours[0], ours[1])
        assert np.shares_memory(ours[0], ours[2])
        ours[0][...] = 9.0  # the next call is not to see this
