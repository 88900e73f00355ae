"""The fast path of a jitted call: it is taken, and it notices every change that the long way would."""

from __future__ import annotations

import functools
import sys
import types

import numpy as np
import pytest

import npdiff
from npdiff.quick import MISSED

X = np.linspace(-1.0, 2.0, 6)
Y = np.linspace(0.5, 1.0, 6)
OUTSIDE = 2.0
ARRAY = np.ones(6)


def warmed(f, *args, **kwargs):
    """The jitted function with its fast path written, and seen to answer this call."""
    jitted = npdiff.jit(f)
    for _ in range(3):
        result = jitted(*args, **kwargs)
    np.testing.assert_allclose(result, f(*args, **kwargs))
    assert answered(jitted, *args, **kwargs)
    return jitted


def answered(jitted, *args, **kwargs):
    """Whether a fast path takes this call."""
    return any(path(args, kwargs) is not MISSED for path in jitted._quick)


class Model:
    """Plain attributes, a method, an attribute of the class."""

    power = 2

    def __init__(self):
        self.w = np.linspace(1.0, 2.0, 6)
        self.scale = 1.5
        self.layers = [np.ones(6)]

    def __call__(self, x):
        return self.scaled(x * self.w) ** self.power + self.layers[0]

    def scaled(self, x):
        return x * self.scale


def helper(x):
    return x * OUTSIDE


def reads_global(x):
    return helper(x) + ARRAY


def reads_settings(x):
    return x * SETTINGS["scale"] + SETTINGS["parts"][0]  # noqa: F821 (given by the test)


def with_defaults(x, k=2.0, *, m=3.0):
    return x * k + m


def closing_over(value):
    def f(x):
        return x * value + x

    return f


CALLS = {
    "one array": (lambda x: x * 2 + x, (X,), {}),
    "two arrays": (lambda x, y: x * y - x, (X, Y), {}),
    "a keyword": (lambda x, y: x * y - x, (X,), {"y": Y}),
    "a tuple": (lambda p: p[0] * p[1] + 1, ((X, Y),), {}),
    "a dict in a list": (lambda p: p[0]["a"] * p[0]["b"] + 1, ([{"b": X, "a": Y}],), {}),
    "None": (lambda x, y: x * 2 if y is None else y, (X, None), {}),
    "numbers": (lambda x, k, z: x * k + z, (X, 3, 0.5), {}),
    "a NumPy scalar": (lambda x, k: x * k + x, (X, np.float32(1.5)), {}),
    "a flag and a string": (lambda x, s, b: x * 2 if b and s == "yes" else x, (X, "yes", True), {}),
    "strided": (lambda x: x * 2 + x, (np.arange(12.0)[::2],), {}),
    "read-only": (lambda x: x * 2 + x, (np.broadcast_to(X, (3, 6)),), {}),
    "same array twice": (lambda x, y: x * y + x, (X, X), {}),
    "an empty array": (lambda x: x * 2 + x, (np.zeros((0, 3)),), {}),
    "no arguments": (lambda: ARRAY * 2 + ARRAY, (), {}),
    "a sum": (lambda x: np.sum(x * x + x), (X,), {}),
    "several results": (lambda x: (x * 2 + x, [x + 1 - x, None], 3.0), (X,), {}),
    "an object": (lambda m, x: m(x), (Model(), X), {}),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_fast_path_answers(name):
    f, args, kwargs = CALLS[name]
    jitted = npdiff.jit(f)
    for _ in range(4):
        got = jitted(*args, **kwargs)
    assert answered(jitted, *args, **kwargs)
    expected = f(*args, **kwargs)
    for a, b in zip(npdiff.tree.leaves(got), npdiff.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)
        assert type(a) is type(b)
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape, a.flags.writeable) == (b.dtype, b.shape, b.flags.writeable)


OTHERS = {
    "shape": X[:5].copy(),
    "dtype": X.astype(np.float32),
    "byte order": X.astype(">f8"),
    "layout": np.repeat(X, 2)[::2],
    "rank": X.reshape(2, 3),
    "read-only": np.frombuffer(X.tobytes()),
    "subclass": X.view(np.recarray),
    "number": 1.5,
    "NumPy number": np.float64(1.5),
    "int": 3,
    "masked": np.ma.masked_array(X, X > 0),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_argument_goes_another_way(name):
    def f(x):
        return np.multiply(x, 2) + np.sum(x)

    jitted = warmed(f, X)
    assert not answered(jitted, OTHERS[name])
    np.testing.assert_array_equal(jitted(OTHERS[name]), f(OTHERS[name]))
    assert answered(jitted, X)


def test_other_numbers_of_arguments_raise_as_the_function_does():
    jitted = warmed(lambda x: x * 2 + x, X)
    with pytest.raises(TypeError, match="missing 1 required"):
        jitted()
    with pytest.raises(TypeError, match="takes 1 positional"):
        jitted(X, X)
    with pytest.raises(TypeError, match="unexpected keyword"):
        jitted(X, k=1)


def test_arrays_that_become_the_same_are_recorded_anew():
    def f(x, y):
        x[0] = 5.0
        return x + y * 1.0

    jitted = npdiff.jit(f)
    for _ in range(4):
        jitted(X.copy(), Y.copy())
    z = X.copy()
    np.testing.assert_array_equal(jitted(z, z), f(X.copy(), X.copy()) - X + np.where(np.arange(6) == 0, 5.0, X))


def test_an_argument_that_is_the_array_outside():
    w = Y.copy()

    def f(x):
        x[0] = 7.0
        return x + w

    jitted = npdiff.jit(f)
    for _ in range(4):
        jitted(X.copy())
    assert answered(jitted, X.copy())
    assert not answered(jitted, w)
    got = jitted(w)
    assert got[0] == 14.0
    assert w[0] == 7.0


def test_arrays_that_come_to_overlap():
    def f(x, y):
        x[...] = x + 1.0
        return y * 2.0 + x

    jitted = npdiff.jit(f)
    for _ in range(4):
        jitted(X.copy(), Y.copy())
    ours, theirs = np.arange(8.0), np.arange(8.0)
    with pytest.warns(npdiff.errors.JitWarning, match="share memory"):
        got = jitted(ours[:6], ours[2:])
    np.testing.assert_array_equal(got, f(theirs[:6], theirs[2:]))
    np.testing.assert_array_equal(ours, theirs)


def test_a_cell_holds_another_value():
    f = closing_over(3.0)
    jitted = warmed(f, X)
    f.__closure__[0].cell_contents = 4.0
    assert not answered(jitted, X)
    np.testing.assert_array_equal(jitted(X), X * 4.0 + X)


def test_a_cell_holds_an_equal_value():
    f = closing_over(3.5)
    jitted = warmed(f, X)
    f.__closure__[0].cell_contents = float("3.5")
    for _ in range(3):
        np.testing.assert_array_equal(jitted(X), X * 3.5 + X)
    assert answered(jitted, X)
    assert sum(len(e.recordings) for e in jitted._entries.values()) == 1


@pytest.mark.parametrize("other", [np.full(6, 9.0), np.full(6, 9.0, np.float32), np.float64(9.0), [9.0] * 6,
                                   np.full((2, 6), 9.0), np.full(12, 9.0)[::2]], ids=repr)
def test_a_cell_holds_another_array(other):
    f = closing_over(np.full(6, 2.0))
    jitted = warmed(f, X)
    f.__closure__[0].cell_contents = other
    np.testing.assert_array_equal(jitted(X), f(X))


def test_an_array_outside_is_read_at_each_call():
    w = np.ones(6)
    f = closing_over(w)
    jitted = warmed(f, X)
    w[:] = 3.0
    assert answered(jitted, X)
    np.testing.assert_array_equal(jitted(X), X * 3.0 + X)


def test_globals(monkeypatch):
    jitted = warmed(reads_global, X)
    for name, value in [("OUTSIDE", 5.0), ("ARRAY", np.full(6, 2.0)), ("ARRAY", np.float64(1.0)),
                        ("helper", lambda x: x - OUTSIDE)]:
        monkeypatch.setitem(globals(), name, value)
        np.testing.assert_array_equal(jitted(X), reads_global(X))
    monkeypatch.delitem(globals(), "ARRAY")
    with pytest.raises(NameError, match="ARRAY"):
        jitted(X)


def test_containers_outside():
    settings = {"scale": 3.0, "parts": [1.0, 2.0]}
    f = types.FunctionType(reads_settings.__code__, {"SETTINGS": settings, "np": np, "__name__": "user"}, "f")
    jitted = warmed(f, X)

    def now():
        np.testing.assert_array_equal(jitted(X), f(X))

    settings["scale"] = 4.0
    now()
    settings["parts"][0] = 9.0
    now()
    settings["parts"] = [8.0]
    now()
    settings["more"] = 1.0
    now()
    del settings["more"]
    now()
    f.__globals__["SETTINGS"] = {"parts": [0.0], "scale": 1.0}
    now()


def test_defaults():
    f = types.FunctionType(with_defaults.__code__, {"__name__": "user"}, "f", (2.0,))
    f.__kwdefaults__ = {"m": 3.0}
    jitted = warmed(f, X)
    f.__defaults__ = (4.0,)
    np.testing.assert_array_equal(jitted(X), X * 4.0 + 3.0)
    f.__kwdefaults__ = {"m": 5.0}
    np.testing.assert_array_equal(jitted(X), X * 4.0 + 5.0)
    f.__kwdefaults__["m"] = 6.0
    np.testing.assert_array_equal(jitted(X), X * 4.0 + 6.0)
    f.__defaults__ = None
    with pytest.raises(TypeError, match="missing 1 required"):
        jitted(X)


@pytest.mark.parametrize("way", ["closure", "method", "argument", "partial"])
def test_objects(way):
    class Own(Model):
        offset = 0.0

        @property
        def twice(self):
            return 2.0

        @staticmethod
        def shifted(x):
            return x + 1.0

        def __call__(self, x):
            return self.shifted(super().__call__(x)) * self.twice + self.offset

    model = Own()
    f = {"closure": lambda x: model(x), "method": model.__call__, "argument": lambda x: model(x),
         "partial": functools.partial(lambda m, x: m(x), model)}[way]
    jitted = npdiff.jit(lambda m, x: m(x)) if way == "argument" else npdiff.jit(f)
    args = (model, X) if way == "argument" else (X,)

    def now():
        for _ in range(4):
            np.testing.assert_allclose(jitted(*args), f(X))
        assert answered(jitted, *args)

    now()
    model.scale = 2.5
    now()
    model.w = np.full(6, 3.0)
    now()
    model.w[0] = 100.0
    now()
    model.layers[0] = np.full(6, 5.0)
    now()
    model.layers.append(1.0)
    now()
    model.extra = 1.0
    now()
    model.power = 3  # hides the class's
    now()
    Own.offset = 4.0
    now()
    Own.scaled = lambda self, x: x - self.scale
    now()
    Own.shifted = staticmethod(lambda x: x - 1.0)
    now()
    Own.twice = property(lambda self: 7.0)
    now()
    del model.power
    now()
    model.__dict__ = {**vars(model), "scale": 9.0}
    now()


def test_a_guard_that_fails_is_another_path():
    def f(x):
        return x * 2 if np.sum(x) > 0 else x - 1

    jitted = warmed(f, X)
    np.testing.assert_array_equal(jitted(-X), -X - 1)
    for _ in range(4):
        np.testing.assert_array_equal(jitted(-X), -X - 1)
        np.testing.assert_array_equal(jitted(X), X * 2)
    assert answered(jitted, X)
    assert answered(jitted, -X)


def test_writes_happen_once():
    def f(x, y):
        x += y
        return x

    jitted = npdiff.jit(f)
    x = X.copy()
    for k in range(5):
        assert jitted(x, Y) is x
        np.testing.assert_allclose(x, X + (k + 1) * Y)


def test_errors_are_the_functions():
    def f(x, i):
        return np.linalg.inv(x) * 2.0

    jitted = warmed(f, np.eye(2), 0)
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        jitted(np.zeros((2, 2)), 0)


def test_python_numbers_keep_their_own_arithmetic():
    f = warmed(lambda a, b: a * b / (b * b) + a * a - a / b, 2.0, 3.0)
    with pytest.raises(ZeroDivisionError):
        f(2.0, 0.0)
    g = warmed(lambda a, b: a * b + a - b + a * a * b, 2, 3)
    assert g(2**40, 2**30) == 2**70 + 2**40 - 2**30 + 2**110


def test_what_cannot_be_compiled_runs_as_it_stands(monkeypatch):
    def broken(*_):
        raise RuntimeError("LLVM says no")

    ready = npdiff.jit(lambda x: x + 1.0)  # the runtime is compiled, whatever test comes first
    ready(X), ready(X)
    monkeypatch.setattr(npdiff.kernels.machine, "_compile", broken)
    monkeypatch.setattr(npdiff.cache, "load", lambda key: None)
    jitted = npdiff.jit(lambda x: x * 1.234567 + x / 7.654321)
    jitted(X)
    with pytest.warns(npdiff.errors.JitWarning, match="compiling it failed with RuntimeError: LLVM says no"):
        got = jitted(X)
    np.testing.assert_array_equal(got, X * 1.234567 + X / 7.654321)
    np.testing.assert_array_equal(jitted(X), got)


def test_effects_go_the_long_way():
    jitted = npdiff.jit(lambda x: x + np.random.normal(size=6))  # noqa: NPY002
    for _ in range(4):
        jitted(X)
    assert not jitted._quick


def test_paths_are_bounded():
    jitted = npdiff.jit(lambda x: x * 2 + x)
    for n in range(1, 40):
        for _ in range(3):
            jitted(np.ones(n))
    assert 0 < len(jitted._quick) <= sys.modules["npdiff.jit"].MAX_QUICK


def test_under_transforms():
    jitted = warmed(lambda x: np.sum(x * x * 3.0), X)
    np.testing.assert_allclose(npdiff.grad(jitted)(X), 6 * X)
    np.testing.assert_allclose(npdiff.vmap(jitted)(np.stack([X, 2 * X])), [np.sum(3 * X * X), np.sum(12 * X * X)])
    np.testing.assert_allclose(npdiff.jit(lambda x: jitted(x) + 1.0)(X), np.sum(3 * X * X) + 1)
