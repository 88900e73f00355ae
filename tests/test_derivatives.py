"""Derivatives as people ask for them: what goes in, what comes out, and every nesting of the transforms."""

from __future__ import annotations

import copy
import functools
import itertools
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import npdiff
from npdiff.errors import NotDifferentiableError
from npdiff.testing import numerical_jvp

X = np.array([0.4, -0.7, 1.1])


def total(x):
    """Smooth, with writes, views and a constant array."""
    y = np.zeros(3)
    y[:2] = np.sin(x[:2]) * x[1:]
    y[2] = x[0] * np.exp(x[1])
    y *= x
    return np.sum(y * np.array([1.0, 2.0, 3.0])) + np.tanh(x[0])


def gradient_of(f: Any, x: Any) -> Any:
    """The gradient of a function of one array, by differences."""
    directions = np.eye(x.size).reshape(x.size, *x.shape)
    return np.array([numerical_jvp(f, [x], [d], eps=1e-2) for d in directions]).reshape(x.shape)


# ---------------------------------------------------------------------- nestings

# Each way makes the gradient of a scalar function, by another transform.
SLOPES: dict[str, Any] = {
    "grad": npdiff.grad,
    "value_and_grad": lambda f: lambda x: npdiff.value_and_grad(f)(x)[1],
    "jacrev": npdiff.jacrev,
    "jacfwd": npdiff.jacfwd,
    "jvp": lambda f: lambda x: np.stack([npdiff.jvp(f, (x,), (e,))[1] for e in np.eye(3)]),
    "vjp": lambda f: lambda x: npdiff.vjp(f, x)[1](1.0)[0],
    "linearize": lambda f: lambda x: np.stack([npdiff.linearize(f, x)[1](e) for e in np.eye(3)]),
    "vmap of jvp": lambda f: lambda x: npdiff.vmap(lambda e: npdiff.jvp(f, (x,), (e,))[1])(np.eye(3)),
    "vmap of linearize": lambda f: lambda x: npdiff.vmap(npdiff.linearize(f, x)[1])(np.eye(3)),
}
# Each way leaves a function as it is.
WRAPS: dict[str, Any] = {
    "plain": lambda f: f,
    "jit": npdiff.jit,
    "checkpoint": npdiff.checkpoint,
    "vmap": lambda f: lambda x: npdiff.vmap(f)(x[None])[0],
    "custom_jvp": lambda f: _with_jvp(f),
    "custom_vjp": lambda f: _with_vjp(f),
}


def _with_jvp(f):
    g = npdiff.custom_jvp(lambda x: f(x))
    g.defjvp(lambda primals, tangents: npdiff.jvp(f, primals, tangents))
    return g


def _with_vjp(f):
    g = npdiff.custom_vjp(lambda x: f(x))
    g.defvjp(lambda x: (f(x), x), lambda x, ct: npdiff.vjp(f, x)[1](ct))
    return g


@functools.cache
def wanted(order: int) -> Any:
    """Derivatives of `total` at X: npdiff's gradient once, then differences of it."""
    if order == 1:
        return gradient_of(total, X)
    return np.stack([numerical_jvp(npdiff.grad(total), [X], [e], eps=1e-2) for e in np.eye(3)])


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("wrap", WRAPS)
def test_first_derivatives(slope, wrap):
    if wrap == "custom_vjp" and slope not in ("grad", "value_and_grad", "jacrev", "vjp"):
        with pytest.raises(NotDifferentiableError) as caught:
            SLOPES[slope](WRAPS[wrap](total))(X)
        assert str(caught.value).split("\n  ")[::3] == [
            "custom_vjp: <lambda> has a reverse rule only", "instead: use npdiff.custom_jvp, which gives both modes"]
        return
    for f in (SLOPES[slope](WRAPS[wrap](total)), WRAPS[wrap](SLOPES[slope](total))):
        np.testing.assert_allclose(f(X), wanted(1), rtol=1e-6)


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product(SLOPES, SLOPES)))
@pytest.mark.parametrize("wrap", ["plain", "jit", "checkpoint"])
def test_second_derivatives(outer, inner, wrap):
    slope = WRAPS[wrap](SLOPES[inner](WRAPS[wrap](total)))
    if outer in ("grad", "value_and_grad", "vjp"):  # these want one number
        got = np.stack([SLOPES[outer](lambda x, k=k: slope(x)[k])(X) for k in range(3)])
    elif outer in ("jacrev", "jacfwd"):
        got = SLOPES[outer](slope)(X)
    else:
        got = SLOPES[outer](slope)(X)
        got = np.moveaxis(got, 0, -1)
    np.testing.assert_allclose(got, wanted(2), rtol=1e-6, atol=1e-8)


HIGH = {"grad": npdiff.grad, "jvp": lambda f: lambda x: npdiff.jvp(f, (x,), (1.0,))[1],
        "jacfwd": npdiff.jacfwd, "jacrev": npdiff.jacrev, "elementwise": npdiff.elementwise_grad}


@pytest.mark.parametrize("ways", [["grad"] * 5, ["jvp"] * 5, ["jacfwd"] * 5, ["jacrev"] * 5, ["elementwise"] * 5,
                                  ["grad", "jvp", "jacrev", "jvp", "grad"], ["jvp", "grad", "grad", "jacfwd", "jvp"]])
@pytest.mark.parametrize(("f", "fifth"), [
    (lambda x: np.sin(2 * x), lambda x: 32 * np.cos(2 * x)), (lambda x: x**7, lambda x: 2520 * x**2),
    (lambda x: np.exp(-x) / 2, lambda x: -np.exp(-x) / 2)], ids=["sin", "power", "exp"])
def test_fifth_derivatives(ways, f, fifth):
    for way in ways:
        f = HIGH[way](f)
    assert f(0.7) == pytest.approx(fifth(0.7), rel=1e-10)


# ---------------------------------------------------------------------- perturbations must not be confused

d = npdiff.grad


def forward(f):
    return lambda x: npdiff.jvp(f, (x,), (1.0,))[1]


@pytest.mark.parametrize("inner", [d, forward, npdiff.jacrev, npdiff.jacfwd])
@pytest.mark.parametrize("outer", [d, forward, npdiff.jacrev, npdiff.jacfwd])
@pytest.mark.parametrize("wrap", [lambda f: f, npdiff.jit, npdiff.checkpoint], ids=["plain", "jit", "checkpoint"])
def test_siskind_and_pearlmutter(outer, inner, wrap):
    """Siskind and Pearlmutter, Perturbation confusion and referential transparency, IFL 2005."""
    # d/dx (x * d/dy (x + y)) = 1, and not 2
    assert outer(wrap(lambda x: x * inner(wrap(lambda y: x + y))(2.0)))(1.0) == 1.0
    # d/dx (x * d/dy (x * y)) = 2 x
    assert outer(wrap(lambda x: x * inner(wrap(lambda y: x * y))(2.0)))(3.0) == 6.0
    # the inner function's argument is the outer's variable
    assert outer(wrap(lambda x: inner(wrap(lambda y: y * y * x))(x)))(3.0) == 12.0
    # curried: D (x -> D (y -> x y) ) as a function that is called later
    assert outer(wrap(lambda x: inner(wrap(lambda y: x * y**2))(x) * x))(2.0) == 24.0


def test_inner_values_stored_outside():
    kept = []

    def f(x):
        def g(y):
            kept.append(x * 2)  # of the outer transform: still alive when the inner one is over
            return y * x

        return npdiff.grad(g)(x) * kept[-1]

    assert npdiff.grad(f)(3.0) == 12.0
    with pytest.raises(npdiff.errors.LeakError):
        kept[0] * 2


def test_a_leaked_inner_value_is_an_error():
    kept = []

    def f(x):
        npdiff.grad(lambda y: kept.append(y * x) or y * x)(x)
        return kept[-1] * x

    with pytest.raises(npdiff.errors.LeakError) as caught:
        npdiff.grad(f)(3.0)
    assert str(caught.value).split("\n  ")[::3] == [
        "multiply: an operand belongs to a reverse-mode transform that has already finished",
        "instead: return the value from the transformed function (has_aux=True) instead of storing it outside"]


# ---------------------------------------------------------------------- Python as it is written


def recursive(x, n=5):
    return x if n == 0 else np.sin(recursive(x, n - 1)) + x


def by_loop(x):
    y = x
    while np.sum(y**2) > 0.1:
        y = y / 2
    return np.sum(y * x)


def catching(x):
    try:
        np.linalg.inv(np.zeros((2, 2)) * x[0])
    except np.linalg.LinAlgError:
        x = x * 2
    try:
        x[7]
    except IndexError:
        x = x + x**2
    return np.sum(x)


def inner_error(x):
    def g(y):
        raise KeyError("inside")

    try:
        npdiff.grad(g)(x[0])
    except KeyError:
        return np.sum(x**3)
    return x[0]


def generating(x):
    def squares():
        for v in x:
            yield v * v

    return sum(squares())


def deciding(x):
    return np.sum(x**2) if x[0] > 0 and not x[1] > 0 else np.sum(x)


def closing(x):
    terms = [lambda y, k=k: y**k for k in range(1, 4)]
    return functools.reduce(lambda a, t: a + np.sum(t(x)), terms, 0.0)


def comprehending(x):
    table = {k: v * k for k, v in enumerate(x)}
    return sum(table.values()) + sum([a * b for a, b in zip(x, x[::-1], strict=True)])


def unpacking(x):
    a, *rest = x
    return a * rest[0] + rest[1] ** 2


def with_class(x):
    class Point:
        def __init__(self, a, b):
            self.a, self.b = a, b

        def __mul__(self, other):
            return self.a * other.a - self.b * other.b

    return Point(x[0], x[1]) * Point(x[1], x[2])


@pytest.mark.parametrize("f", [recursive, by_loop, catching, inner_error, generating, deciding, closing, comprehending,
                               unpacking, with_class], ids=lambda f: f.__name__)
@pytest.mark.parametrize("way", ["grad", "jacfwd"])
def test_python(f, way):
    g = f if f is not recursive else lambda x: np.sum(recursive(x))
    np.testing.assert_allclose(getattr(npdiff, way)(g)(X), gradient_of(g, X), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("way", [npdiff.grad, npdiff.jacrev, npdiff.jacfwd, npdiff.elementwise_grad,
                                 lambda f: lambda x: npdiff.value_and_grad(f)(x)[1],
                                 lambda f: lambda x: npdiff.vjp(f, x)[1](1.0)[0]])
@pytest.mark.parametrize("f", [lambda x: 3.0, lambda x: np.float64(2), lambda x: np.floor(x[0]),
                               lambda x: npdiff.stop_gradient(x)[0]], ids=["float", "scalar", "floor", "stopped"])
def test_constants(way, f):
    got = way(f)(X)
    assert type(got) is np.ndarray
    np.testing.assert_array_equal(got, np.zeros(3))


# ---------------------------------------------------------------------- arguments and results

Pair = namedtuple("Pair", ["a", "b"])


@dataclass
class Weights:
    """A container."""

    w: Any
    b: Any


class Registered:
    """A container known by registration."""

    def __init__(self, p, q):
        self.p, self.q = p, q


npdiff.register_container(Registered, lambda r: ((r.p, r.q), None), lambda _, c: Registered(*c))


@pytest.mark.parametrize(("make", "parts"), [
    (lambda a, b: {"a": a, "b": b}, lambda c: (c["a"], c["b"])),
    (lambda a, b: [a, [b]], lambda c: (c[0], c[1][0])),
    (lambda a, b: (a, {"x": (b, None)}), lambda c: (c[0], c[1]["x"][0])),
    (lambda a, b: Pair(a, b), lambda c: (c.a, c.b)),
    (lambda a, b: Weights(a, b), lambda c: (c.w, c.b)),
    (lambda a, b: Registered(a, b), lambda c: (c.p, c.q)),
    (lambda a, b: OrderedDict([("z", a), ("y", b)]), lambda c: (c["z"], c["y"])),
    (lambda a, b: defaultdict(list, z=a, y=b), lambda c: (c["z"], c["y"])),
], ids=["dict", "list", "tuple", "namedtuple", "dataclass", "registered", "OrderedDict", "defaultdict"])
def test_containers(make, parts):
    def f(c):
        a, b = parts(c)
        return np.sum(a * b**2)

    c = make(X, 2.0)
    for got in (npdiff.grad(f)(c), npdiff.value_and_grad(f)(c)[1], npdiff.vjp(f, c)[1](1.0)[0], npdiff.jacfwd(f)(c),
                npdiff.jacrev(f)(c)):
        assert type(got) is type(c)
        a, b = parts(got)
        np.testing.assert_allclose(a, np.full(3, 4.0))
        assert b == pytest.approx(4 * X.sum())
    value, tangent = npdiff.jvp(lambda c: make(*[v * 2 for v in parts(c)]), (c,), (make(np.ones(3), 1.0),))
    assert type(value) is type(tangent) is type(c)
    np.testing.assert_array_equal(parts(tangent)[0], 2 * np.ones(3))


def three(x, y, z=2.0, *, k=1.0):
    return np.sum(x * y**2 * z * k)


@pytest.mark.parametrize(("argnums", "which"), [(0, 0), (1, 1), (-1, 2), ((0, 1), (0, 1)), ([2], (2,)),
                                                ((1, -1), (1, 2)),
                                                (np.int64(1), 1)])
def test_argnums(argnums, which):
    args = (X, X + 1, 3.0)
    partials = (args[1] ** 2 * 6.0, 2 * X * args[1] * 6.0, np.sum(X * args[1] ** 2) * 2)
    for got in (npdiff.grad(three, argnums)(*args, k=2.0), npdiff.value_and_grad(three, argnums)(*args, k=2.0)[1],
                npdiff.jacrev(three, argnums)(*args, k=2.0), npdiff.jacfwd(three, argnums)(*args, k=2.0),
                npdiff.elementwise_grad(three, argnums)(*args, k=2.0)):
        expected = partials[which] if isinstance(which, int) else tuple(partials[w] for w in which)
        assert isinstance(got, tuple) == isinstance(expected, tuple)
        for g, e in zip(got if isinstance(got, tuple) else [got], expected if isinstance(which, tuple) else [expected],
                        strict=True):
            np.testing.assert_allclose(g, e)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_dtypes_are_kept(dtype):
    x = X.astype(dtype)
    f = lambda x: np.sum(np.abs(x * 2) ** 2)
    assert npdiff.grad(f)(x).dtype == dtype
    assert npdiff.jacrev(lambda x: x * 2)(x).dtype == dtype
    assert npdiff.jacfwd(lambda x: x * 2)(x).dtype == dtype
    value, tangent = npdiff.jvp(lambda x: x * 2, (x,), (x,))
    assert value.dtype == tangent.dtype == dtype
    assert npdiff.vjp(lambda x: x * 2, x)[1](x)[0].dtype == dtype
    assert npdiff.linearize(lambda x: x * 2, x)[1](x).dtype == dtype


def test_complex():
    z = np.array([1 + 2j, 0.5 - 1j])
    np.testing.assert_allclose(npdiff.grad(lambda z: np.sum(np.abs(z) ** 2))(z), 2 * np.conj(z))
    np.testing.assert_allclose(npdiff.grad(lambda z: np.sum(z**3), holomorphic=True)(z), 3 * z**2)
    np.testing.assert_allclose(npdiff.grad(lambda x: np.sum((x * (1 + 1j)).imag))(X), np.ones(3))


@pytest.mark.parametrize("f", [lambda x: x.sum(), lambda x: np.sum(x[::-1]), lambda x: np.sum(x.reshape(3, 1) * 1),
                               lambda x: np.sum(x * x), lambda x: x[0], lambda x: np.broadcast_to(x[0], (3,)).sum()])
def test_results_belong_to_the_caller(f):
    x = X.copy()
    _, pull = npdiff.vjp(f, x)
    answers = [npdiff.grad(f)(x), npdiff.jacrev(f)(x), npdiff.jacfwd(f)(x), pull(1.0)[0], pull(1.0)[0],
               npdiff.jvp(lambda x: x, (x,), (x,))[0], npdiff.jvp(lambda x: x, (x,), (x,))[1],
               npdiff.vjp(lambda x: x, x)[0], npdiff.vjp(lambda x: x, x)[1](x)[0], npdiff.linearize(lambda x: x, x)[0],
               npdiff.linearize(lambda x: x, x)[1](x), npdiff.vmap(lambda x: x)(x),
               npdiff.value_and_grad(lambda x: (np.sum(x), x), has_aux=True)(x)[0][1]]
    before = copy.deepcopy(answers)
    for k, a in enumerate(answers):
        assert type(a) is np.ndarray
        assert a.flags.writeable, k
        assert not np.shares_memory(a, x), k
        a[...] = 77
        for other, old in list(zip(answers, before, strict=True))[k + 1:]:
            np.testing.assert_array_equal(other, old)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(pull(1.0)[0], before[0])


def test_arguments_are_not_changed():
    def f(x, y):
        x *= 2
        y["a"][0] = 5
        x[0] += y["a"][1]
        return np.sum(x)

    x, y = X.copy(), {"a": X.copy()}
    for run in (lambda: npdiff.grad(f)(x, y), lambda: npdiff.jvp(f, (x, y), (x, y)),
                lambda: npdiff.vjp(f, x, y)[1](1.0),
                lambda: npdiff.jacfwd(f, 1)(x, y), lambda: npdiff.linearize(f, x, y),
                lambda: npdiff.vmap(f)(x[None], {"a": y["a"][None]})):
        run()
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y["a"], X)


def test_aux_and_odd_arguments():
    def f(x, n, mode, table):
        y = x**n if mode == "power" else x
        return np.sum(y) * table["k"], {"y": y, "mode": mode, "n": n, "none": None}

    (value, aux), slope = npdiff.value_and_grad(f, has_aux=True)(X, 2, "power", {"k": 3})
    assert value == pytest.approx(3 * np.sum(X**2))
    np.testing.assert_allclose(slope, 6 * X)
    assert type(aux["y"]) is np.ndarray
    assert aux["mode"] == "power"
    assert aux["n"] == 2
    slope, aux = npdiff.grad(f, has_aux=True)(X, 2, "power", {"k": 3})
    assert aux["none"] is None
    g = lambda x: f(x, 2, "power", {"k": 1})
    _, tangent, aux = npdiff.jvp(g, (X,), (np.ones(3),), has_aux=True)
    assert tangent == pytest.approx(2 * X.sum())
    _, pull, _ = npdiff.vjp(g, X, has_aux=True)
    np.testing.assert_allclose(pull(2.0)[0], 4 * X)


def test_unused_arguments():
    got = npdiff.grad(lambda x, y: np.sum(x), (0, 1))(X, np.ones((2, 2)))
    np.testing.assert_array_equal(got[1], np.zeros((2, 2)))
    assert npdiff.jacfwd(lambda x, y: x, 1)(X, np.ones((2, 2))).shape == (3, 2, 2)


def test_hessians():
    f = lambda x: x[0] ** 2 * x[1] + np.sin(x[2])
    h = np.array([[2 * X[1], 2 * X[0], 0], [2 * X[0], 0, 0], [0, 0, -np.sin(X[2])]])
    np.testing.assert_allclose(npdiff.hessian(f)(X), h)
    np.testing.assert_allclose(npdiff.hvp(f)(X, np.array([1.0, 2.0, 3.0])), h @ [1, 2, 3])
    np.testing.assert_allclose(npdiff.jacobian(npdiff.grad(f))(X), h)


def test_derivatives_of_numbers_are_numbers():
    spread = lambda x: np.sum(np.array([1.0, 2.0]) * x)
    for x, kind in ((2.0, np.float64), (np.float64(2.0), np.float64), (np.float32(2.0), np.float32)):
        assert type(npdiff.grad(spread)(x)) is kind
        assert type(npdiff.grad(lambda d: spread(d["a"]))({"a": x})["a"]) is kind
    for g in (npdiff.jvp(lambda x: np.sqrt(np.sum(x * x)), (np.zeros(3),), (np.ones(3),))[1],
              npdiff.linearize(spread, 2.0)[1](1.0), npdiff.vjp(spread, 2.0)[1](1.0)[0]):
        assert type(g) is np.float64
    x = npdiff.track(2.0)
    spread(x).backward()
    assert type(x.grad) is np.float64
    assert npdiff.grad(spread)(np.array(2.0)).shape == ()


@pytest.mark.parametrize("f", [lambda x: np.power(3.0, x), lambda x: x * np.float64(2.0), lambda x: np.hypot(x, 1.5)])
def test_a_cotangent_has_its_operands_dtype_whatever_the_partial_is(f):
    x = np.array([0.1, 0.2, 0.3], np.float32)
    value, pull = npdiff.vjp(f, x)
    assert pull(np.ones_like(value))[0].dtype == np.float32
    assert npdiff.grad(lambda x: np.sum(f(x)))(x).dtype == np.float32
