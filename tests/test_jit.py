"""jit: the same results, writes, exceptions, prints and random stream as the function itself, call after call."""

from __future__ import annotations

import functools
import math
import re
import threading
import warnings
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from jit_against_plain import assert_equal_values, differ, recordings

import npdiff
from npdiff.errors import JitWarning, describe
from npdiff.replay import OVERLAP

X = np.array([1.0, -2.0, 3.0])
Y = np.array([0.5, 4.0, -1.0])
M = np.arange(6.0).reshape(2, 3)
Z = np.array([1 + 2j, -0.5j, 3.0])


def check(f: Callable[..., Any], *calls: Any, **how: Any) -> Any:
    """`differ` for a function without state of its own."""
    return differ(lambda: f, calls, **how)


# ---------------------------------------------------------------------- values, dtypes, containers

Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Model:
    """A container."""

    w: Any
    b: Any


def polynomial(x):
    return 3 * x**2 - x / 2 + 1


def reduce_all(x):
    return np.sum(x), np.mean(x, axis=0), np.max(x), np.argmax(x), np.any(x > 1), np.cumsum(x)


def containers(p):
    return {"a": p["a"] * 2, "rest": [p["b"][0] + 1, (p["b"][1], None)], "text": "done"}


def named(p):
    return Pair(p.second * 2, p.first + p.second)


def model(m, x):
    return Model(m.w @ x, m.b + 1)


def scalars(x):
    return x[0], x[0] * 2, float(x[0]), np.array(x[0]), x.sum(), x.sum(keepdims=True), x.shape, x.ndim


def same_leaf_twice(x):
    y = x * 2
    return y, y, [y]


def views_of_result(x):
    y = x * 2
    return y, y[1:], y.T


VALUES: list[tuple[Any, list[Any]]] = [
    (polynomial, [[X], [Y], [X]]),
    (polynomial, [[2], [3], [2.5], [np.float32(1.5)], [np.int8(3)], [1 + 2j], [True]]),
    (polynomial, [[np.array(2.0)], [np.array(3.0)]]),
    (polynomial, [[X.astype("f4")], [Y.astype("f4")]]),
    (polynomial, [[Z], [2 * Z]]),
    (polynomial, [[np.array([1, 2, 3])], [np.array([5, 6, 7])]]),
    (polynomial, [[np.zeros(0)], [np.zeros((0, 3))], [np.zeros(0)]]),
    (lambda x: ~x | (x & True), [[np.array([True, False])], [np.array([False, False])]]),
    (lambda x: x ^ 5, [[np.arange(4)], [np.arange(4) * 3]]),
    (reduce_all, [[X], [Y], [M], [M + 1]]),
    (containers, [[{"a": X, "b": [Y, 2.0]}], [{"a": Y, "b": [X, 3.0]}]]),
    (named, [[Pair(X, Y)], [Pair(Y, X)]]),
    (model, [[Model(M, 1.0), X], [Model(2 * M, 2.0), Y]]),
    (scalars, [[X], [Y]]),
    (same_leaf_twice, [[X], [Y]]),
    (views_of_result, [[X], [M], [Y]]),
    (lambda: np.arange(3.0), [[], [], []]),
    (lambda: np.zeros(3), [[], []]),
    (lambda x: x, [[X], [2], [Y], [3]]),
    (lambda x: None, [[X], [Y]]),
    (lambda x: "text", [[X], [Y]]),
    (lambda x: (), [[X], [Y]]),
    (lambda x: 3, [[X], [Y]]),
    (lambda x: np.ones(2), [[X], [Y]]),
    (lambda x: [x + 1, np.pi, 7, "s", None, True, np.float32(2)], [[X], [Y]]),
    (lambda x, *rest, k=1, **more: x * k + sum(rest) + more.get("z", 0), [[X], [X, 1.0, 2.0], [Y, 3.0, 4.0]]),
    (lambda x, mode: x * 2 if mode == "double" else x * 3, [[X, "double"], [X, "triple"], [Y, "double"]]),
    (lambda x, flag: x * 2 if flag else x, [[X, True], [X, False], [Y, True], [X, None]]),
    (lambda x, dtype: x.astype(dtype) + 1, [[X, np.float32], [X, int], [Y, np.float32]]),
    (lambda x, axis: np.sum(x, axis=axis), [[M, 0], [M, 1], [M, None], [M, (0, 1)], [M + 1, 0]]),
    (lambda x, s: x[s], [[X, slice(1, None)], [Y, slice(1, None)], [X, slice(0, 1)], [X, Ellipsis]]),
    (lambda x, i: x[i], [[X, 0], [X, 1], [X, -1], [Y, 0], [X, 7]]),
    (lambda x, i: x[i], [[X, np.array([0, 2])], [Y, np.array([1, 1])], [X, np.array([0, 9])]]),
    (lambda x, m: x[m], [[X, X > 0], [Y, Y > 0], [X, X > 5], [X, X > 0]]),
    (lambda x: np.nonzero(x > 0), [[X], [Y], [-X], [X]]),
    (lambda x: np.unique(x), [[X], [np.array([1.0, 1.0, 2.0])], [Y]]),
    (lambda x: x[x > 0].sum() * np.flatnonzero(x).size, [[X], [Y], [0 * X], [2 * X]]),
    (lambda x: x.real + x.imag * 2, [[Z], [2 * Z], [X]]),
    (lambda x: np.linalg.solve(x, np.ones(2)), [[np.array([[2.0, 1], [1, 3]])], [np.eye(2)]]),
    (lambda x, y: x @ y, [[M, X], [M + 1, Y]]),
    (lambda x: np.sort(x)[::-1], [[X], [Y]]),
    (lambda x: (x > 0) * x + np.where(x < 0, 1.0, x), [[X], [Y]]),
    (lambda x: np.concatenate([x, x[:1], [5.0]]), [[X], [Y]]),
    (lambda x: np.array([x[0], 1.0, x[1] * x[2]]), [[X], [Y]]),
    (lambda x: x.astype(int), [[X], [Y]]),
    (lambda x: np.float32(2) * x, [[X.astype("f4")], [Y.astype("f4")]]),
    (lambda x: np.broadcast_to(x, (2, 3)), [[X], [Y]]),
    (lambda x: np.full((2, 2), x), [[2.0], [3.0], [2], [np.float32(2)]]),
    (lambda x: list(x), [[X], [Y]]),
    (lambda x: x.tolist(), [[X], [Y]]),
    (lambda x: x[0].item(), [[X], [Y]]),
    (lambda x: max(x[0], x[1]), [[X], [Y]]),
    (lambda x: sorted(x), [[X], [Y], [X * 2]]),
    (lambda x: f"{x}", [[X], [Y], [2.0], [3.0]]),
    (lambda x: str(x.sum()), [[X], [Y]]),
    (lambda x: repr(x), [[X], [Y]]),
    (lambda x: math.sin(x), [[1.0], [2.0], [1.0]]),
    (lambda x: math.floor(x) + math.ceil(x) + math.trunc(x) + round(x), [[1.5], [2.5], [1.2]]),
    (lambda x: int(x) + x, [[1.5], [2.5], [1.2]]),
    (lambda x: {x: 1}, [[1.5], [2.5], [1.5]]),
    (lambda x: isinstance(x, float), [[1.5], [2], [np.float64(2)]]),
    (lambda x: np.isscalar(x), [[1.5], [np.float64(2)], [X]]),
]


@pytest.mark.parametrize(("f", "calls"), VALUES, ids=range(len(VALUES)))
def test_values(f, calls):
    check(f, *calls)


# ---------------------------------------------------------------------- Python numbers

BIG = 2**70
U1 = np.arange(3, dtype="u1")
NUMBERS: list[tuple[Any, list[Any]]] = [
    (lambda n: n + 1, [[1], [2], [2**63 - 1], [BIG], [-BIG]]),
    (lambda n: n * n, [[3], [2**40], [2**32], [-5]]),
    (lambda n: n**2, [[3], [2**40], [-5]]),
    (lambda n: n**n, [[3], [20], [30]]),
    (lambda n, m: n**m, [[2, 3], [2, -1], [0, -1], [10, 30], [-8, 2]]),
    (lambda x, y: x**y, [[2.0, 0.5], [-8.0, 0.5], [-8.0, 2.0], [0.0, -1.0], [1e200, 2.0]]),
    (lambda x: x**0.5, [[4.0], [-4.0], [9.0]]),
    (lambda n, m: n / m, [[1, 2], [1, 0], [3, 2], [BIG, 2]]),
    (lambda n, m: (n // m, n % m), [[7, 2], [7, 0], [-7, 2], [7, -2], [BIG, 3]]),
    (lambda n, m: divmod(n, m), [[7, 2], [-7, 2], [7, 0]]),
    (lambda x, y: x / y, [[1.0, 2.0], [1.0, 0.0], [3.0, 2.0]]),
    (lambda x, y: (x // y, x % y), [[7.5, 2.0], [7.5, 0.0], [-7.5, 2.0]]),
    (lambda n, m: n << m, [[1, 3], [1, 70], [1, -1], [5, 2]]),
    (lambda n, m: (n & m, n | m, n ^ m, ~n, n >> 1), [[6, 3], [7, 8], [BIG, 3], [-1, 5]]),
    (lambda n: (-n, +n, abs(n)), [[3], [-4], [-(2**63)], [BIG]]),
    (lambda b: (-b, b + b, b & True, ~(b + 0), not b), [[True], [False]]),
    (lambda n: (n > 3, n == 4, n != 4, n <= 2), [[3], [4], [BIG]]),
    (lambda x: (x > 3, x == x, x < math.inf), [[3.0], [math.nan], [5.0]]),
    (lambda n: n if n > 3 else -n, [[2], [5], [3]]),
    (lambda n: [k * n for k in range(n)], [[2], [3], [0], [2]]),
    (lambda z: (z * z, z.real, z.imag, z.conjugate(), abs(z)), [[1 + 2j], [3j]]),
    (lambda x: (x.is_integer(), x.as_integer_ratio()), [[1.5], [2.0], [1.5]]),
    (lambda n: (n.bit_length(), n.real, n.conjugate()), [[5], [9], [5]]),
    (lambda n: "abc"[n], [[0], [1], [5], [0]]),
    (lambda n: "ab" * n, [[0], [2]]),
    (lambda n, x: x * n, [[2, X], [3, X], [2**53, X], [BIG, X]]),
    (lambda n, x: x + n, [[2, np.arange(3, dtype="i1")], [3, np.arange(3, dtype="i1")],
                          [300, np.arange(3, dtype="i1")], [4, np.arange(3, dtype="i1")]]),
    (lambda n, x: x + n, [[2, U1], [-3, U1], [4, U1]]),
    (lambda n, x: x > n, [[2, U1], [300, U1], [-4, U1]]),
    (lambda n, x: x**n, [[2, np.arange(3)], [-1, np.arange(1, 3)], [3, np.arange(3)], [-2, np.arange(1, 4)]]),
    (lambda x, y: x * y, [[2.0, X.astype("f4")], [1e300, X.astype("f4")], [3.0, Y.astype("f4")]]),
    (lambda n: np.sqrt(n), [[4], [9], [4.0], [True], [-1.0], [1j]]),
    (lambda n: np.add(n, 1), [[4], [2**62], [BIG], [4]]),
    (lambda n: np.zeros(n), [[2], [3], [0], [-1]]),
    (lambda n: np.arange(n) * n, [[2], [3], [0], [2.5]]),
    (lambda n: np.linspace(0, 1, n), [[2], [3]]),
    (lambda x, n: x.reshape(n, -1), [[M, 2], [M, 3], [M, 4]]),
    (lambda n: np.float64(n) * 2, [[2], [3], [2.5]]),
    (lambda n: float(n) * 2, [[2], [3], [2.5]]),
    (lambda x: round(x, 1) + round(x), [[2.345], [3.456]]),
    (lambda x: np.maximum(x, 0), [[2.5], [-3.5], [2], [-3]]),
    (lambda n: sum(range(n)) * n, [[3], [4]]),
    (lambda a, b: a < b < 10, [[1, 2], [2, 1], [1, 11], [5, 6]]),
    (lambda a: (a and 5) or 3, [[0], [1], [2]]),
    (lambda a: a in (1, 2, 3), [[0], [1], [2], [5]]),
    (lambda a: {1: "x", 2: "y"}.get(a), [[0], [1], [2], [1]]),
    (lambda a: [10, 20, 30][a:], [[0], [1], [2], [1]]),
]


@pytest.mark.parametrize(("f", "calls"), NUMBERS, ids=range(len(NUMBERS)))
def test_python_numbers(f, calls):
    check(f, *calls)


# ---------------------------------------------------------------------- writes, aliasing, layouts


def write_slice(x):
    x[1:] *= 2
    return x


def write_view(x):
    v = x[::2]
    v += 1
    return v


def write_then_raise(x):
    x[0] = 99
    return x.reshape(7)


def swap(x, y):
    x[...], y[...] = y.copy(), x.copy()
    return x, y


def gauss_seidel(x):
    for i in range(1, x.size - 1):
        x[i] = (x[i - 1] + x[i + 1]) / 2


def write_if(x):
    if x[0] > 0:
        x *= 2


def flip(x):
    x[:] = x[::-1]
    return x


def out_argument(x, y):
    return np.add(x, 1, out=y)


def two_names(x, y):
    x += 1
    return x * y


def returned_views(x):
    return x, x[1:], x.T, x.reshape(-1), x[::-1]


def written_view_twice(x):
    a, b = x[:2], x[1:]
    a += 1
    b *= 2
    return a, b


def sort_in_place(x):
    x.sort()


def fill(x):
    x.fill(3)
    return x.sum()


def mask_write(x):
    x[x > 0] = 0


def fancy_write(x, i):
    x[i] += 1
    return x


def rebind(x):
    x = x + 1
    x += 1
    return x


def nested_write(d):
    d["a"][0] += 1
    d["b"][1] *= 2
    return d["a"]


def one(a):
    return lambda: [a.copy()]


def shared(*arrays):
    return lambda: [arrays[0].copy()] * 2


def overlapping(x):
    def make():
        a = x.copy()
        return [a[:-1], a[1:]]

    return make


def strided(x):
    return lambda: [np.repeat(x, 2)[::2]]


def fortran(x):
    return lambda: [np.asfortranarray(x)]


def frozen(x):
    def make():
        a = x.copy()
        a.flags.writeable = False
        return [a]

    return make


def broadcasted():
    return [np.broadcast_to(np.float64(2.0), (3,))]


WRITES: list[tuple[Any, list[Any]]] = [
    (write_slice, [[X], [Y], strided(X), frozen(X), strided(Y), [X], frozen(Y), [np.arange(3)]]),
    (write_view, [[X], [Y], strided(X), frozen(X)]),
    (write_then_raise, [[X], [Y]]),
    (swap, [[X, Y], [Y, X], shared(X), [X, Y]]),
    (gauss_seidel, [[np.arange(5.0)], [np.arange(5.0) ** 2]]),
    (write_if, [[X], [-X], [Y], [-Y]]),
    (flip, [[X], [Y], strided(X)]),
    (out_argument, [[X, Y], [Y, X], shared(X)]),
    (two_names, [[X, Y], shared(X), shared(Y), [Y, X]]),
    (returned_views, [[M], [M + 1], fortran(M), fortran(M + 1)]),
    (written_view_twice, [[X], [Y]]),
    (sort_in_place, [[X], [Y]]),
    (fill, [[X], [Y]]),
    (mask_write, [[X], [Y]]),
    (fancy_write, [[X, [0, 1]], [X, [0, 0]], [X, np.array([2, 1])], [X, np.array([0, 0])], [X, np.array([0, 5])]]),
    (rebind, [[X], [2.0], [Y], [np.array(2.0)], [np.float64(2)]]),
    (nested_write, [[{"a": X, "b": Y}], [{"a": Y, "b": X}]]),
    (lambda x: x.copy(order="K"), [fortran(M), fortran(M + 1)]),
    (lambda x: x * 2 + x.T.T, [fortran(M), [M], fortran(M + 1)]),
    (lambda x: x.strides, [fortran(M), [M]]),
    (lambda x: x + 1, [broadcasted, broadcasted]),
    (lambda x: np.ascontiguousarray(x), [[M], fortran(M), [M + 1]]),
    (lambda x: np.asarray(x), [[M], [M + 1], [2.0], [3.0]]),
    (lambda x: x[...], [[M], [M + 1]]),
    (lambda x: (x[0], x[0][1]), [[M], [M + 1]]),
    (lambda x: x.real, [[X], [Y]]),
    (lambda x: x.imag, [[Z], [2 * Z]]),
    (lambda x: x.T, [[M], [M + 1]]),
    (lambda x, y: x - y, [[X, Y], shared(X), overlapping(X), [Y, X]]),
    (lambda x: [x, {"k": x}], [[X], [Y]]),
    (lambda x: np.reshape(x, -1), [[M], fortran(M), [M + 1]]),
    (lambda x: np.squeeze(x[None]), [[X], [Y]]),
]


def run_WRITES(f, calls):
    check(f, *calls)


@pytest.mark.parametrize(("f", "calls"), WRITES, ids=range(len(WRITES)))
def test_writes(f, calls):
    run_WRITES(f, calls)


def test_overlapping_arguments_that_are_written():
    differ(lambda: two_names, [overlapping(X), overlapping(Y)], unjitted="two_names" + SAYS + OVERLAP)


# ---------------------------------------------------------------------- guards


def branch(x):
    if x > 0:
        return x * 2
    return -x


def loop(x):
    n = 0
    while x > 1:
        x = x / 2
        n += 1
    return x, n


def newton(x):
    y = 1.0
    while abs(y * y - x) > 1e-9:
        y = (y + x / y) / 2
    return y


def chained(x):
    return 1 if 0 < x < 2 else 2 if x <= 0 else 3


def lengths(xs):
    return len(xs) * xs[0]


def try_except(x):
    try:
        return 1 / x
    except ZeroDivisionError:
        return 7


def try_array(x, i):
    try:
        return x[i]
    except IndexError:
        return x.sum()


def generator(x):
    return sum(v for v in (x * k for k in range(3)) if v > 0)


def assert_positive(x):
    assert x > 0, f"not positive: {x:.2f}"
    return x


def raise_value(x):
    if x.sum() > 2:
        raise ValueError(f"too large: {x.sum()}")
    return x


def matched(x):
    match x:
        case 1:
            return "one"
        case 2:
            return "two"
        case _:
            return x


def bisect(f_lo, f_hi):
    lo, hi = f_lo, f_hi
    for _ in range(20):
        mid = (lo + hi) / 2
        if mid**3 - 2 > 0:
            hi = mid
        else:
            lo = mid
    return lo


def recursive(n):
    return 1 if n <= 1 else n * recursive(n - 1)


def recursive_array(x):
    return x if x.size <= 1 else recursive_array(x[:-1]) + x[-1]


def count_positive(x):
    total = 0
    for v in x:
        if v > 0:
            total += 1
    return total


GUARDS: list[tuple[Any, list[Any]]] = [
    (branch, [[1.0], [-1.0], [2.0], [-3.0], [np.float64(2)], [np.array(2.0)], [np.array(-2.0)]]),
    (branch, [[X]]),
    (loop, [[10.0], [3.0], [10.0], [100.0], [0.5]]),
    (newton, [[2.0], [2.0], [3.0], [100.0], [5.0]]),
    (chained, [[1.0], [-1.0], [3.0], [1.5]]),
    (lengths, [[[X]], [[X, Y]], [[Y, X]]]),
    (try_except, [[2], [0], [4], [2.0], [0.0]]),
    (try_array, [[X, 1], [X, 5], [X, 2]]),
    (generator, [[1.0], [-1.0], [2]]),
    (assert_positive, [[1.0], [-1.0], [-2.5], [2.0]]),
    (raise_value, [[X], [10 + X], [20 + X], [Y - 3]]),
    (matched, [[1], [2], [3], [4]]),
    (bisect, [[0.0, 2.0], [0.0, 3.0], [1.0, 2.0]]),
    (recursive, [[3], [4], [3], [1]]),
    (recursive_array, [[X], [Y]]),
    (count_positive, [[X], [Y], [-X]]),
    (lambda x: int(x) * 2, [[1.5], [2.5], [1.7]]),
    (lambda x: float(x) * 2, [[1.5], [2.5], [np.float64(3)]]),
    (lambda x: bool(x), [[1.5], [0.0], [2.5]]),
    (lambda x: [0, 1, 2][int(x)], [[1.5], [2.5], [9.5]]),
    (lambda x: [10, 20][np.argmax(x)] if x.size == 2 else 0, [[X[:2]], [Y[:2]]]),
    (lambda x: np.arange(int(x[0])), [[X], [X + 2]]),
    (lambda x: x[int(x[0])], [[X], [X + 1], [X + 10]]),
    (lambda x: [k for k in range(len(x)) if x[k] > 0], [[X], [Y], [-X]]),
    (lambda x: any(v > 2 for v in x), [[X], [Y], [-X]]),
    (lambda x: all(x > -5), [[X], [Y], [-9 + X]]),
    (lambda x: 2.0 in x, [[X], [Y], [X - 1]]),
    (lambda x: np.allclose(x, x) and 1, [[X], [Y]]),
    (lambda x: x.sum() > 0 or x, [[X], [-X], [Y]]),
    (lambda x: x if np.all(x > 0) else -x, [[X], [Y], [abs(X)]]),
    (lambda x: math.sqrt(x), [[4.0], [9.0], [-1.0]]),
    (lambda x: x.size * x.ndim + x.nbytes + len(x.shape), [[X], [M]]),
    (lambda x: np.linalg.inv(x), [[np.eye(2) * 2], [np.zeros((2, 2))], [np.eye(2)]]),
    (lambda x, y: x + y, [[X, Y], [X, np.ones(2)], [X, np.ones(1)]]),
]


def run_GUARDS(f, calls):
    check(f, *calls)


@pytest.mark.parametrize(("f", "calls"), GUARDS, ids=range(len(GUARDS)))
def test_guards(f, calls):
    run_GUARDS(f, calls)


# ---------------------------------------------------------------------- what the function closes over


def closure_array(w=None):
    w = np.array([1.0, 2.0, 3.0])

    def f(x):
        return w * x

    f.rebind = lambda v: f.__closure__[0].__setattr__("cell_contents", v)
    f.change = lambda v: w.__setitem__(0, v)
    return f


def closure_number():
    k = 2

    def f(x):
        return k * x

    f.rebind = lambda v: f.__closure__[0].__setattr__("cell_contents", v)
    return f


def closure_container():
    p = {"w": np.array([1.0, 2.0, 3.0]), "n": 2, "more": [np.ones(3), (np.zeros(3), "s")]}

    def f(x):
        return p["w"] * x * p["n"] + p["more"][0] + p["more"][1][0]

    f.p = p
    return f


class Layer:
    """An object with state."""

    scale = 2.0

    def __init__(self):
        self.w = np.array([1.0, 2.0, 3.0])
        self.k = 1.0
        self.calls = 0
        self.inner = None

    def method(self, x):
        return self.w * x * self.k * self.scale

    def deep(self, x):
        return self.inner.method(x) + self.helper(x)

    def helper(self, x):
        return self.k * x

    def counting(self, x):
        self.calls += 1
        return x * self.calls

    def update(self, x):
        self.w -= x
        return self.w.sum()

    def replace(self, x):
        self.w = self.w - x
        return self.w.sum()

    def __call__(self, x):
        return self.w + x

    @staticmethod
    def static(x):
        return x * 3

    @classmethod
    def by_class(cls, x):
        return x * cls.scale

    @property
    def twice(self):
        return self.w * 2

    def use_property(self, x):
        return self.twice + x


def method():
    layer = Layer()

    def f(x):
        return layer.method(x)

    f.layer = layer
    return f


def passed_to_helper():
    layer = Layer()

    def apply(thing, x):
        return thing.w * x

    def f(x):
        return apply(layer, x)

    f.layer = layer
    return f


def deep_object():
    layer = Layer()
    layer.inner = Layer()

    def f(x):
        return layer.deep(x) + layer.inner.w

    f.layer = layer.inner
    return f


def through_property():
    layer = Layer()

    def f(x):
        return layer.use_property(x)

    f.layer = layer
    return f


def in_list_of_objects():
    layers = [Layer(), Layer()]

    def f(x):
        for layer in layers:
            x = layer(x)
        return x

    f.layer = layers[1]
    f.layers = layers
    return f


def getattr_by_name():
    layer = Layer()

    def f(x):
        return getattr(layer, "w") * x  # noqa: B009

    f.layer = layer
    return f


W_GLOBAL = np.array([1.0, 2.0, 3.0])
K_GLOBAL = 2.0


def helper_global(x):
    return W_GLOBAL * x * K_GLOBAL


def uses_global():
    def f(x):
        return helper_global(x) + 1

    def rebind(v):
        globals()["W_GLOBAL"] = np.array([v, v, v])
        globals()["K_GLOBAL"] = float(v)

    f.rebind = rebind
    return f


def defaults():
    def f(x, w=np.ones(3), k=2.0, *, v=np.array([1.0, 2.0, 3.0])):  # noqa: B008
        return x * w * k + v

    return f


def partial_arguments():
    w = np.ones(3)
    f = functools.partial(lambda w, x, k=1: w * x * k, w, k=2)
    return f


def nested_closure():
    w = np.ones(3)

    def outer():
        def inner(x):
            return w * x

        return inner

    g = outer()

    def f(x):
        return g(x) + outer()(x)

    f.change = lambda v: w.__setitem__(0, v)
    return f


def made_inside():
    def f(x):
        w = x * 2

        def inner(y):
            return w + y

        return inner(x) + next(inner(v) for v in x)

    return f


def set_w(f, k):
    f.layer.w[0] = k


def rebind_w(f, k):
    f.layer.w = np.full(3, float(k))


def set_k(f, k):
    f.layer.k = k / 2


def reshape_w(f, k):
    f.layer.w = np.ones((k + 1, 3))


def set_class(f, k):
    f.layer.scale = float(k)


CALLS = [[X], [Y], [X], [Y]]
OUTSIDE: list[tuple[Any, Any]] = [
    (closure_array, lambda f, k: f.change(k)),
    (closure_array, lambda f, k: f.rebind(np.full(3, float(k)))),
    (closure_array, lambda f, k: f.rebind(np.ones((k, 1)))),
    (closure_array, lambda f, k: f.rebind(2.0 * k)),
    (closure_array, lambda f, k: f.rebind(np.ones(3, "f4"))),
    (closure_number, lambda f, k: f.rebind(k)),
    (closure_number, lambda f, k: f.rebind(float(k))),
    (closure_number, lambda f, k: f.rebind(np.ones(3) * k)),
    (closure_container, lambda f, k: f.p["w"].__setitem__(0, k)),
    (closure_container, lambda f, k: f.p.__setitem__("w", np.full(3, float(k)))),
    (closure_container, lambda f, k: f.p.__setitem__("n", k)),
    (closure_container, lambda f, k: f.p["more"].__setitem__(0, np.full(3, float(k)))),
    (closure_container, lambda f, k: f.p.__setitem__("extra", k)),
    *[(make, how) for make in (method, passed_to_helper, deep_object, through_property, in_list_of_objects,
                               getattr_by_name) for how in (set_w, rebind_w, set_k, reshape_w, set_class)],
    (in_list_of_objects, lambda f, k: f.layers.append(Layer())),
    (uses_global, lambda f, k: f.rebind(k)),
    (defaults, lambda f, k: f.__defaults__[0].__setitem__(0, k)),
    (defaults, lambda f, k: setattr(f, "__defaults__", (np.full(3, float(k)), k))),
    (defaults, lambda f, k: f.__kwdefaults__["v"].__setitem__(0, k)),
    (partial_arguments, lambda f, k: f.args[0].__setitem__(0, k)),
    (nested_closure, lambda f, k: f.change(k)),
    (made_inside, lambda f, k: None),
    (lambda: Layer().method, lambda f, k: f.__self__.w.__setitem__(0, k)),
    (lambda: Layer().method, lambda f, k: setattr(f.__self__, "w", np.full(3, float(k)))),
    (lambda: Layer().method, lambda f, k: setattr(f.__self__, "k", k)),
    (lambda: Layer(), lambda f, k: f.w.__setitem__(0, k)),
    (lambda: Layer(), lambda f, k: setattr(f, "w", np.full(3, float(k)))),
    (lambda: Layer.static, lambda f, k: None),
    (lambda: Layer.by_class, lambda f, k: None),
    (lambda: np.sin, lambda f, k: None),
    (lambda: np.sum, lambda f, k: None),
]


def run_OUTSIDE(make, between):
    calls = [[X], [Y], [X + 1], [Y]] if make is not getattr_by_name else CALLS
    differ(make, calls, between=lambda f, k: between(f, k) if k else None)


@pytest.mark.parametrize(("make", "between"), OUTSIDE, ids=range(len(OUTSIDE)))
def test_outside(make, between):
    run_OUTSIDE(make, between)


@pytest.mark.parametrize("pick", [lambda p: p, lambda p: p["rest"], lambda p: (p, [p["rest"]]), lambda p: {"p": p}],
                         ids=range(4))
def test_a_container_outside_is_returned_itself(pick):
    held = {"w": np.ones(3), "rest": [np.zeros(2), "s"], "n": 2}

    def f(x):
        held["w"][0] += x[0]
        return pick(held), x * held["n"]

    jitted = npdiff.jit(f)
    for k in range(4):
        if k == 2:
            held["rest"] = [np.full(2, 5.0), "s"]
        ours, wanted = jitted(X)[0], pick(held)
        if isinstance(wanted, tuple):
            assert ours[0] is wanted[0]
            assert ours[1][0] is wanted[1][0]
        else:
            assert ours is wanted or ours["p"] is wanted["p"]
        assert held["w"][0] == 2 + k
    assert recordings(jitted) == 1


# ---------------------------------------------------------------------- effects outside


def appends():
    seen = []

    def f(x):
        seen.append(x.sum())
        return list(seen), x * 2

    return f


def stores_in_dict():
    seen = {}

    def f(x):
        seen["last"] = x * 2
        return seen["last"], dict(seen)

    return f


def counts():
    n = 0

    def f(x):
        nonlocal n
        n += 1
        return x * n

    return f


def writes_closed_array():
    w = np.ones(3)

    def f(x):
        w[0] += x[0]
        return w * x, w

    return f


def appends_to_argument():
    def f(xs, x):
        xs.append(x * 2)
        return len(xs)

    return f


def changes_dict_argument():
    def f(d):
        d["y"] = d["x"] * 2
        return d

    return f


def object_argument():
    def f(layer, x):
        return layer.w * x

    return f


CONTAINER = "f runs without compiled code: it changes a container among its arguments"
EFFECTS: list[tuple[Any, list[Any], str | None]] = [
    (appends, [[X], [Y], [X]], "f runs without compiled code: it changes a list"),
    (stores_in_dict, [[X], [Y], [X]], "f runs without compiled code: it changes a dict"),
    (counts, [[X], [Y], [X]], "f runs without compiled code: f assigns the nonlocal name n"),
    (writes_closed_array, [[X], [Y], [X]], None),
    (appends_to_argument, [[[X], Y], [[Y], X]], CONTAINER),
    (changes_dict_argument, [[{"x": X}], [{"x": Y}]], CONTAINER),
    (lambda: Layer().counting, [[X], [Y]], "counting runs without compiled code: it changes an object of class Layer"),
    (lambda: Layer().update, [[X], [Y]], None),
    (lambda: Layer().replace, [[X], [Y]], "replace runs without compiled code: it changes an object of class Layer"),
]


def run_EFFECTS(make, calls, why):
    differ(make, calls, unjitted=why)


@pytest.mark.parametrize(("make", "calls", "why"), EFFECTS, ids=range(len(EFFECTS)))
def test_effects(make, calls, why):
    run_EFFECTS(make, calls, why)


# ---------------------------------------------------------------------- prints and random draws


def prints(x):
    print("sum", x.sum(), sep="=", end=";\n")
    y = x * 2
    print(y)
    return y


def prints_and_branches(x):
    print("before", x)
    if x[0] > 0:
        print("positive")
    return x


def draws(x):
    return x + np.random.normal(size=3) * np.random.uniform(0, 1) + np.random.rand()


def draws_then_branches(x):
    u = np.random.rand()
    if u > 0.5:
        return x + np.random.randn(3)
    return x


def seeds(x):
    np.random.seed(3)
    return x + np.random.rand(3)


def seeds_with_argument(x, s):
    np.random.seed(s)
    return x + np.random.rand(3)


def shuffles(x):
    np.random.shuffle(x)
    return x


def shuffles_fresh(x):
    i = np.arange(5)
    np.random.shuffle(i)
    return i, x


def permutes(x):
    return np.random.permutation(x), np.random.permutation(4), x[np.random.permutation(3)]


def chooses(x):
    return np.random.choice(x), np.random.choice(x, 2), np.random.choice(5, 2, replace=False)


def state_back(x):
    state = np.random.get_state()
    a = np.random.rand()
    np.random.set_state(state)
    b = np.random.rand()
    return x + a, a, b


def random_state_inside(x):
    rng = np.random.RandomState(3)
    return x + rng.rand(3)


def seeded_generator_inside(x):
    rng = np.random.default_rng(3)
    return x + rng.random(3)


def draws_by_value(x, scale):
    return np.random.normal(x[0], scale, size=2)


def integers(n):
    return np.random.randint(n), np.random.randint(0, n, 3)


def metropolis(x):
    for _ in range(4):
        y = x + np.random.randn()
        if np.random.rand() < np.exp(x * x - y * y):
            x = y
    return x


def seedless(x):
    return x + np.random.default_rng().random() * 0


def seedless_state(x):
    return x + np.random.RandomState().rand() * 0


def numpy_rng():
    rng = np.random.default_rng(3)

    def f(x):
        return x + rng.random(3)

    return f


def numpy_rng_on_array():
    rng = np.random.default_rng(3)

    def f(x):
        rng.shuffle(x)
        return x + rng.normal(x)

    return f


def legacy_rng():
    rng = np.random.RandomState(3)

    def f(x):
        return x + rng.rand(3)

    return f


def library_random():
    import random

    state = random.Random(3)
    random.seed(3)

    def f(x):
        return x * 0 + (random.random() < 2)

    f.state = state
    return f


def imports_time(x):
    import time

    return x * (time.time() > 0)


def imported_draw():
    from numpy.random import rand

    return lambda x: x * rand(3)


def imported_maker():
    from numpy import zeros as z

    def f(x):
        y = z(3)
        y[0] = x[1]
        return y

    return f


def compiled_code_makes_arrays(x):
    """Generators are compiled code that calls np.empty itself; it must not see a stand-in."""
    e = np.empty(3)
    draw = np.random.default_rng(2).random
    e[:] = np.random.RandomState(3).rand(3) + np.random.default_rng(1).normal(0, 1 if len(x) > 2 else 2, 3) + draw(3)
    return x + e, np.random.RandomState(3).permutation(3)


def bytes_drawn(x):
    return x, len(np.random.bytes(4))


SAYS = " runs without compiled code: "
GENERATOR = (" advanced, which a recording cannot repeat; np.random.normal and the other functions of np.random can be "
             "recorded")
UNSEEDED = (" without a seed gives other numbers at each call, and its draws are not recorded; the functions of "
            "np.random are at LINE")
BLOCKED: list[tuple[Any, str]] = [
    (lambda: seedless, "seedless" + SAYS + "np.random.default_rng" + UNSEEDED),
    (lambda: seedless_state, "seedless_state" + SAYS + "np.random.RandomState" + UNSEEDED),
    (lambda: state_back, "state_back" + SAYS + "np.random.get_state handles the state as a whole at LINE; "
     "np.random.set_state handles the state as a whole at LINE"),
    (lambda: bytes_drawn, "bytes_drawn" + SAYS + "random.bytes gives bytes, which a graph cannot hold, at LINE"),
    (numpy_rng, "f" + SAYS + "the random generator rng" + GENERATOR),
    (legacy_rng, "f" + SAYS + "the random generator rng" + GENERATOR),
    (numpy_rng_on_array, "f" + SAYS + "recording it failed with UserWarning: you are shuffling a 'DiffArray' object "
     "which is not a subclass of 'Sequence'; `shuffle` is not guaranteed to behave correctly. E.g., non-numpy "
     "array/tensor objects with view semantics may contain duplicates after shuffling."),
    (library_random, "f" + SAYS + "random.random gives another answer or acts outside at each call at LINE"),
    (lambda: imports_time, "imports_time" + SAYS + "time.time gives another answer or acts outside at each call at "
     "LINE"),
]


def run_BLOCKED(make, why):
    differ(make, [[X], [Y], [X]], unjitted=why)


@pytest.mark.parametrize(("make", "why"), BLOCKED, ids=range(len(BLOCKED)))
def test_what_cannot_be_recorded_runs_as_it_is(make, why):
    run_BLOCKED(make, why)


STREAM: list[tuple[Any, list[Any]]] = [
    (prints, [[X], [Y], [X]]),
    (prints_and_branches, [[X], [-X], [Y], [-Y]]),
    (draws, [[X], [Y], [X]]),
    (draws_then_branches, [[X], [Y], [X], [Y], [X], [X]]),
    (seeds, [[X], [Y]]),
    (seeds_with_argument, [[X, 1], [X, 2], [Y, 1]]),
    (shuffles, [[X], [Y], [M], [M + 1]]),
    (shuffles_fresh, [[X], [Y]]),
    (permutes, [[X], [Y]]),
    (chooses, [[X], [Y]]),
    (random_state_inside, [[X], [Y]]),
    (compiled_code_makes_arrays, [[X], [Y]]),
    (seeded_generator_inside, [[X], [Y]]),
    (draws_by_value, [[X, 1.0], [X + 1, 2.0], [X, -1.0], [Y, 2.0]]),
    (integers, [[5], [7], [0], [5]]),
    (metropolis, [[0.5], [0.1], [0.5], [0.2]]),
]


def run_STREAM(f, calls):
    check(f, *calls)


@pytest.mark.parametrize("make", [imported_draw, imported_maker])
def test_functions_known_by_other_names(make):
    differ(make, [[X], [Y], [X]])


@pytest.mark.parametrize(("f", "calls"), STREAM, ids=range(len(STREAM)))
def test_stream(f, calls):
    run_STREAM(f, calls)


# ---------------------------------------------------------------------- with the other transforms


def smooth(x):
    y = np.zeros(3)
    y[:2] = np.sin(x[:2]) * x[1:]
    y[2] = x[0] * x[1]
    y *= 2
    return np.sum(y * x)


def vector(x):
    return np.sin(x) * x[::-1]


def closed_smooth():
    w = np.array([1.0, 2.0, 3.0])
    return lambda x: np.sum(np.tanh(w * x))


def forked(x):
    if x[0] > 0:
        return np.sum(x**3)
    return np.sum(np.cos(x))


def curvature(f):
    return npdiff.hessian(f)


SCALAR_WAYS: dict[str, Any] = {
    "grad of jit": (lambda f: npdiff.grad(npdiff.jit(f)), npdiff.grad),
    "jit of grad": (lambda f: npdiff.jit(npdiff.grad(f)), npdiff.grad),
    "jit of jit": (lambda f: npdiff.jit(npdiff.jit(f)), lambda f: f),
    "jit of value_and_grad": (lambda f: npdiff.jit(npdiff.value_and_grad(f)), npdiff.value_and_grad),
    "jit of grad of jit": (lambda f: npdiff.jit(npdiff.grad(npdiff.jit(f))), npdiff.grad),
    "grad of jit of jit": (lambda f: npdiff.grad(npdiff.jit(npdiff.jit(f))), npdiff.grad),
    "hessian of jit": (lambda f: npdiff.hessian(npdiff.jit(f)), npdiff.hessian),
    "jit of hessian": (lambda f: npdiff.jit(npdiff.hessian(f)), npdiff.hessian),
    "jit of jacfwd of jacfwd": (lambda f: npdiff.jit(npdiff.jacfwd(npdiff.jacfwd(f))), npdiff.hessian),
    "jacrev of jacrev of jit": (lambda f: npdiff.jacrev(npdiff.jacrev(npdiff.jit(f))), npdiff.hessian),
    "jvp of jit": (lambda f: lambda x: npdiff.jvp(npdiff.jit(f), (x,), (np.ones(3),)),
                   lambda f: lambda x: npdiff.jvp(f, (x,), (np.ones(3),))),
    "jit of jvp": (lambda f: npdiff.jit(lambda x: npdiff.jvp(f, (x,), (np.ones(3),))),
                   lambda f: lambda x: npdiff.jvp(f, (x,), (np.ones(3),))),
    "jvp of grad of jit": (lambda f: lambda x: npdiff.jvp(npdiff.grad(npdiff.jit(f)), (x,), (np.ones(3),)),
                           lambda f: lambda x: npdiff.jvp(npdiff.grad(f), (x,), (np.ones(3),))),
    "linearize of jit": (lambda f: lambda x: npdiff.linearize(npdiff.jit(f), x)[1](np.ones(3)),
                         lambda f: lambda x: npdiff.linearize(f, x)[1](np.ones(3))),
    "vjp of jit": (lambda f: lambda x: npdiff.vjp(npdiff.jit(f), x)[1](2.0),
                   lambda f: lambda x: npdiff.vjp(f, x)[1](2.0)),
    "checkpoint of jit": (lambda f: npdiff.grad(npdiff.checkpoint(npdiff.jit(f))), npdiff.grad),
    "jit of checkpoint": (lambda f: npdiff.jit(npdiff.grad(npdiff.checkpoint(f))), npdiff.grad),
    "third derivative": (lambda f: npdiff.jacfwd(npdiff.hessian(npdiff.jit(f))),
                         lambda f: npdiff.jacfwd(npdiff.hessian(f))),
}
POINTS = [np.array([0.3, -0.7, 0.9]), np.array([0.5, 0.2, -0.4]), np.array([-0.5, 0.2, -0.4])]


@pytest.mark.parametrize("way", SCALAR_WAYS)
@pytest.mark.parametrize("make", [lambda: smooth, closed_smooth, lambda: forked], ids=["smooth", "closed", "forked"])
def test_derivatives_and_jit(way, make):
    run_WAYS(way, make)


def run_WAYS(way, make):
    ours, theirs = SCALAR_WAYS[way]
    f, g = ours(make()), theirs(make())
    for x in (*POINTS, *POINTS):
        assert_equal_values(f(x.copy()), g(x.copy()), way)


WAYS = [(w, m) for w in SCALAR_WAYS for m in (lambda: smooth, closed_smooth, lambda: forked)]


@pytest.mark.parametrize(("way", "axes"), [
    (lambda f: npdiff.jit(npdiff.vmap(f)), 1), (lambda f: npdiff.vmap(npdiff.jit(f)), 1),
    (lambda f: npdiff.jit(npdiff.vmap(npdiff.jit(f))), 1), (lambda f: npdiff.jit(npdiff.vmap(npdiff.vmap(f))), 2),
    (lambda f: npdiff.vmap(npdiff.vmap(npdiff.jit(f))), 2),
], ids=["jit of vmap", "vmap of jit", "jit of vmap of jit", "jit of vmap of vmap", "vmap of vmap of jit"])
@pytest.mark.parametrize("f", [vector, smooth], ids=["vector", "smooth"])
def test_vmap_and_jit(way, axes, f):
    mapped = way(f)
    for k in range(3):
        x = np.random.default_rng(k).normal(size=(2, 3) if axes == 1 else (2, 2, 3))
        rows = [f(row) for row in x.reshape(-1, 3)]
        assert_equal_values(mapped(x), np.array(rows).reshape(x.shape[:-1] + np.shape(rows[0])), "vmap")


def test_closures_under_grad_of_jit():
    """A jitted function made inside a differentiated one closes over its tracked values."""
    outer = npdiff.grad(lambda w: npdiff.jit(lambda x: np.sum(w * x))(np.ones(3)) * w)
    assert outer(2.0) == 12.0
    shared = npdiff.jit(lambda w, x: np.sum(np.sin(w * x)))
    for w in (2.0, 3.0):
        assert npdiff.grad(lambda v: shared(v, np.ones(3)))(w) == pytest.approx(3 * np.cos(w))


def test_a_closed_tracked_value_and_then_none():
    cell = {"w": 2.0}
    g = npdiff.jit(lambda x: cell["w"] * x)

    def through(w):
        cell["w"] = w
        return g(3.0)

    assert g(3.0) == 6.0
    assert npdiff.grad(through)(5.0) == 3.0
    cell["w"] = 4.0
    assert g(3.0) == 12.0


# ---------------------------------------------------------------------- bounds, threads, words


def test_cache_keys():
    f = npdiff.jit(lambda x: x * 2)
    for args, signatures in [((2,), 1), ((3,), 1), ((2.0,), 2), ((True,), 3), ((False,), 4), ((X,), 5), ((Y,), 5),
                             ((X[:2],), 6), ((X.astype("f4"),), 7), ((np.repeat(X, 2)[::2],), 8), ((1j,), 9),
                             ((np.float64(2),), 10), ((np.float64(3),), 10)]:
        f(*args)
        assert len(f._entries) == signatures, args
    assert recordings(f) == len(f._entries)


def test_unpredictable_paths_are_bounded():
    f = npdiff.jit(lambda x: int(x * 10))
    said = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(40):
            assert f(float(k)) == k * 10
        said = [str(w.message) for w in caught]
    line = f.function.__code__.co_firstlineno
    assert said == ["npdiff.jit: <lambda> runs without compiled code: it took a new path on each of 16 calls, for the "
                    f"value asked for at {__file__}:{line}: 150.0, then 160.0"]


def test_threads():
    f = npdiff.jit(lambda x, k: np.sum(np.sin(x) * k) if k > 1 else np.sum(x) * W_GLOBAL[0])
    xs = [np.arange(n, dtype=float) for n in (3, 4, 5)]
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(40):
            x, k = xs[rng.integers(3)], float(rng.integers(4))
            wanted = np.sum(np.sin(x) * k) if k > 1 else np.sum(x) * W_GLOBAL[0]
            if not np.isclose(f(x, k), wanted):
                wrong.append((x, k))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_explain():
    w = np.ones(3)
    f = npdiff.jit(lambda x: np.sum(np.sin(x) * w) if x[0] > 0 else x[0])
    f(X)
    f(X)
    f(-X)
    text = f.explain(X)
    lines = text.splitlines()
    assert lines[0] == "npdiff.jit(<lambda>): 1 signature(s) seen"
    assert lines[1] == "this signature: 2 recording(s)"
    for part in ("1 replay(s), compiled in ", "graph(a:float64[3], b:float64[3])", "sin a",
                 "arrays read from outside: w", ": the value asked for", "is True", "is False", "kernel"):
        assert part in text, part
    blocked = npdiff.jit(counts())
    with pytest.warns(JitWarning):
        blocked(X)
    assert blocked.explain(X).splitlines()[2] == "runs without compiled code: f assigns the nonlocal name n"
    assert repr(f.lower(X)).startswith("graph(a:float64[3], b:float64[3])")


@pytest.mark.parametrize("f", [3, "text", None, X])
def test_only_functions(f):
    with pytest.raises(ValueError, match="jit") as caught:
        npdiff.jit(f)
    assert re.fullmatch(
        f"jit: the first argument must be a function\n  received: {re.escape(describe(f))}\n  at: test_jit.py:\\d+\n  "
        r"instead: write npdiff.jit\(f\)\(x\), not npdiff.jit\(f\(x\)\)", str(caught.value))


def test_as_decorators_of_methods():
    class Thing:
        def __init__(self, k):
            self.k = k

        @npdiff.jit
        def scaled(self, x):
            return self.k * x

        @staticmethod
        @npdiff.jit
        def doubled(x):
            return 2 * x

        @classmethod
        @npdiff.jit
        def named(cls, x):
            return x * len(cls.__name__)

    a, b = Thing(2.0), Thing(np.ones(3))
    for _ in range(2):
        assert_equal_values([a.scaled(X), b.scaled(X), a.doubled(X), Thing.doubled(X), Thing.named(X),
                             Thing.scaled(a, X)],
                            [2 * X, X, 2 * X, 2 * X, 5 * X, 2 * X], "methods")
    a.k, b.k = 5.0, 2 * np.ones(3)
    assert_equal_values([a.scaled(X), b.scaled(X)], [5 * X, 2 * X], "methods")


def test_results_are_the_callers():
    """Writing into a result must not reach later results, the arguments, or what the function closes over."""
    w = np.ones(3)
    f = npdiff.jit(lambda x: (w, x * 1, np.zeros(2), np.array([1.0, 2.0]), w * 1))
    for _ in range(3):
        first, *rest = f(X)
        assert first is w
        for r, wanted in zip(rest, [X, np.zeros(2), np.array([1.0, 2.0]), np.ones(3)], strict=True):
            np.testing.assert_array_equal(r, wanted)
            r[...] = 99


@pytest.mark.parametrize(("size", "times"), [(2_000_000, 1), (100, 0)])
def test_what_a_large_recording_leaves_goes_back_to_the_system(monkeypatch, size, times):
    calls = []
    monkeypatch.setattr(npdiff.replay, "trim", lambda: calls.append(1))
    jitted = npdiff.jit(lambda x: np.sum(np.tanh(x) * x - x) + np.sum(x * 2.0 + 1.0))
    for _ in range(3):
        jitted(np.ones(size))
    assert len(calls) == times
