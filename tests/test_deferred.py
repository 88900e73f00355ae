"""Large results of a recording: computed when somebody asks, in strips, and to the last bit what NumPy gives."""

from __future__ import annotations

import gc
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import npdiff
from npdiff.errors import JitWarning
from npdiff.transforms import deferred, strips

N = 300_000  # elements of a large array
F = Callable[..., Any]


@pytest.fixture(autouse=True)
def _warnings_are_warnings() -> Iterator[None]:
    # Where warnings are errors, all is computed at once.
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        yield


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many operations each evaluation had."""
    counts: list[int] = []
    original = strips.evaluate

    def evaluate(shape: Any, steps: Any, wanted: Any) -> Any:
        counts.append(len(steps))
        return original(shape, steps, wanted)

    monkeypatch.setattr(deferred, "evaluate", evaluate)
    return counts


def numbers(*shape: int, dtype: Any = float, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(-2, 2, shape or (N,)).astype(dtype)


def same(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    if isinstance(a, tuple):
        for x, y in zip(a, b, strict=True):
            same(x, y)
        return
    a, b = np.asarray(a), np.asarray(b)
    assert (a.dtype, a.shape, a.strides) == (b.dtype, b.shape, b.strides)
    assert a.tobytes() == b.tobytes()
    assert (a.flags.writeable, a.flags.owndata) == (True, b.flags.owndata)


def test_an_expression_is_one_pass(passes: list[int]) -> None:
    x = numbers()

    def f(x: Any) -> Any:
        y = np.exp(-0.5 * x * x) / (1.0 + x * x)
        return np.where(y > 0.1, y, 0.0)

    same(npdiff.jit(f)(x), f(x))
    assert passes == [8]


UNARY = (np.sin, np.exp, np.tanh, np.abs, np.sqrt, np.negative, np.floor, np.isnan, np.square, np.sign)
BINARY = (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.arctan2, np.less, np.logaddexp, np.copysign)


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_give_what_numpy_gives(seed: int, monkeypatch: pytest.MonkeyPatch, passes: list[int]) -> None:
    monkeypatch.setattr(deferred, "LARGE", 64)
    monkeypatch.setattr(strips, "_SHORTEST", 5)
    monkeypatch.setattr(strips, "_LONGEST", 5)
    operands = [numbers(4, 6), numbers(6, seed=1), numbers(4, 1, dtype=np.float32, seed=2),
                np.asfortranarray(numbers(4, 6, seed=3)), numbers(8, 6, seed=4)[::2],
                np.arange(24, dtype=np.int32).reshape(4, 6), numbers(6, 4, seed=5).T, numbers(4, 6, seed=6)[:, ::-1]]

    def f(*args: Any) -> Any:
        rng = np.random.default_rng(seed)
        values = list(args)
        for _ in range(14):
            a, b = [values[i] for i in rng.integers(len(values), size=2)]
            kind = rng.integers(6)
            if kind == 0 and a.dtype.kind == "f":
                new = UNARY[rng.integers(len(UNARY))](a)
            elif kind == 1:
                new = np.where(a > 0, a, b)
            elif kind == 2 and a.dtype.kind != "b":
                new = a.astype((np.float32, np.float64, np.complex128)[rng.integers(3)]).real
            elif kind == 3 and a.dtype.kind == "f":
                new = a * 3 - 1.5
            elif kind == 4:
                new = a[..., 1:] if a.shape[-1:] == (9,) else np.copy(a)
            elif a.dtype.kind == b.dtype.kind == "f":
                new = BINARY[rng.integers(len(BINARY))](a, b)
            else:
                new = a
            values.append(new)
        return tuple([v + np.zeros((), v.dtype) if v.dtype.kind != "b" else np.logical_not(v) for v in values[-6:]])

    with np.errstate(all="ignore"):
        same(npdiff.jit(f)(*operands), f(*operands))
    assert passes


@pytest.mark.parametrize("length", [1, 4, 5, 6, 7, 30, 31, 1000])
@pytest.mark.parametrize("shape", [(30,), (5, 6), (2, 3, 5), (30, 1), (1, 30)])
def test_cuts_leave_nothing_out(shape: tuple[int, ...], length: int) -> None:
    seen = np.zeros(shape, int)
    for cut in strips.cuts(shape, length):
        seen[cut] += 1
        assert len(cut) == len(shape)
        assert seen[cut].size <= max(length, 1)
    assert (seen == 1).all()


def test_a_plain_operand_may_be_written_into_later() -> None:
    x = numbers()

    def f(x: Any) -> Any:
        weights = np.ones(N)
        weights = np.asarray(weights.tolist())  # an array that npdiff does not follow
        y = x * weights
        weights[...] = 7.0
        return y

    same(npdiff.jit(f)(x), f(x))


def test_arguments_written_into_and_views() -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        part = y[: N // 2]
        x[...] = x + 1.0  # y was computed from what x held
        part += x[: N // 2]
        y[N // 2:] *= 3.0
        return y, part, x * y

    a, b = numbers(), numbers()
    same(npdiff.jit(f)(a), f(b))
    same(a, b)


def test_results_share_nothing() -> None:
    table = numbers(seed=3)

    def f(x: Any) -> Any:
        y = np.sin(x)
        return y, y + 0.0, x, x * 1.0, table

    x = numbers()
    kept = x.copy(), table.copy()
    y, z, same_x, w, t = npdiff.jit(f)(x)
    assert same_x is x
    assert t is table
    y[...] = z[...] = w[...] = 0
    same((x, table), kept)
    assert npdiff.jit(f)(x)[0].any()


def test_what_x_value_hands_out_is_not_the_callers_array() -> None:
    def f(x: Any) -> Any:
        if hasattr(x, "value"):
            assert x.value.flags.owndata
            assert not x.value.flags.writeable
        return x * 2.0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JitWarning)
        npdiff.jit(f)(numbers())
    x = numbers()
    y = npdiff.jit(lambda x: (x * 2.0, x.value if hasattr(x, "value") else x.copy()))(x)[1]
    assert not np.may_share_memory(x, y)


def test_guards_and_branches(passes: list[int]) -> None:
    def f(x: Any) -> Any:
        y = np.abs(x) * 3.0
        if y.max() > 1.0:
            y = y / y.max()
        return y, bool(np.all(y <= 1.0))

    g = npdiff.jit(f)
    for factor in (1.0, 1e-3, 1.0):
        same(g(numbers() * factor)[0].tobytes(), f(numbers() * factor)[0].tobytes())
    assert passes


def test_errors_are_raised_where_they_stand() -> None:
    x = numbers()

    def shapes(x: Any) -> Any:
        y = x * 2.0
        try:
            y + np.ones(3)
        except ValueError as error:
            return y, str(error)
        return y, "none"

    assert npdiff.jit(shapes)(x)[1] == shapes(x)[1] != "none"

    def raised(x: Any) -> Any:
        with np.errstate(divide="raise"):
            try:
                return 1.0 / (x * 0.0)
            except FloatingPointError:
                return x * 5.0

    same(npdiff.jit(raised)(x), raised(x))

    def whole(k: Any) -> Any:
        try:
            return k ** np.full(N, -1)
        except ValueError:
            return k * 2

    k = np.arange(N)
    same(npdiff.jit(whole)(k), whole(k))


def test_a_warning_names_the_line_and_comes_once() -> None:
    def f(x: Any) -> Any:
        y = np.log(x)
        with np.errstate(all="ignore"):
            z = np.sqrt(x)
        return np.sum(y), np.sum(np.where(y > 0, y, z)), y * 2.0

    with warnings.catch_warnings(record=True) as got:
        warnings.simplefilter("always")
        npdiff.jit(f)(numbers())
    assert [str(w.message) for w in got] == ["invalid value encountered in log"]
    assert (got[0].filename, got[0].lineno) == (__file__, f.__code__.co_firstlineno + 1)


def test_a_function_that_looks_after_warnings_sees_them() -> None:
    def f(x: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                return np.log(x)
            except RuntimeWarning:
                return x * 2.0

    same(npdiff.jit(f)(numbers()), f(numbers()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="invalid value"):
            npdiff.jit(lambda x: np.sum(np.log(x)) * 0.0)(numbers())


@pytest.mark.parametrize("transform", [
    lambda f: npdiff.grad(lambda x: np.sum(f(x))), lambda f: lambda x: npdiff.jvp(f, (x,), (np.cos(x),)),
    lambda f: npdiff.grad(lambda x: np.sum(npdiff.grad(lambda z: np.sum(f(z)))(x) ** 2)),
    lambda f: lambda x: npdiff.vmap(f)(np.reshape(x, (4, -1))),
    lambda f: lambda x: npdiff.grad(lambda z: np.sum(npdiff.vmap(f)(np.reshape(z, (4, -1)))))(x)],
    ids=["grad", "jvp", "grad of grad", "vmap", "grad of vmap"])
def test_transforms_inside(transform: Any, passes: list[int]) -> None:
    def f(x: Any) -> Any:
        y = np.tanh(x) * x + np.maximum(x, 0.5)
        return np.exp(-y * y)

    found, expected = npdiff.jit(transform(f))(numbers()), transform(f)(numbers())
    for a, b in zip(*[r if isinstance(r, tuple) else (r,) for r in (found, expected)], strict=True):
        assert (a.dtype, a.shape, a.strides) == (b.dtype, b.shape, b.strides)
        np.testing.assert_allclose(a, b, rtol=1e-14)  # under jit, no product looks at its operands first
    assert max(passes) > 5


def test_the_work_grows_with_the_loop(passes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "LARGE", 64)

    def f(x: Any, steps: int) -> Any:
        for _ in range(steps):
            step = 0.1 * np.sin(x) + 0.01 * x
            x = x - step
            if np.max(np.abs(step)) > 1e9:
                break
        return np.sum(x * x)

    work = []
    for steps in (20, 40, 80):
        passes.clear()
        npdiff.jit(lambda x, steps=steps: npdiff.grad(f)(x, steps))(numbers(100))
        work.append(sum(passes) / steps)
    assert work[2] < 1.5 * work[0]


def peak(f: F, *args: Any) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        f(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def chain(x: Any) -> Any:
    for _ in range(12):
        x = np.sin(x) * 0.9 + 0.1 * x
    return np.sum(x)


def test_a_gradient_needs_little_more_than_its_result() -> None:
    x = numbers(1_000_000)
    gradient = npdiff.jit(npdiff.value_and_grad(chain))
    gradient(numbers(7))
    gradient(numbers(7))
    assert peak(gradient, x) < 4 * x.nbytes


def test_what_an_expression_keeps_alive_is_bounded() -> None:
    m, v = numbers(100, 4, seed=1) / 10, numbers(4, 10_000, seed=2)

    def f(m: Any, v: Any) -> Any:
        total = np.zeros((100, 10_000))
        for _ in range(30):  # each product is an array that nobody else needs
            total = total + np.matmul(m, v)
        return total

    whole = 8 * 100 * 10_000
    assert peak(npdiff.jit(f), m, v) < 9 * whole
    same(npdiff.jit(f)(m, v), f(m, v))


def test_many_cotangents_come_in_one_pass(passes: list[int]) -> None:
    args = [numbers(seed=k) for k in range(4)]
    npdiff.jit(npdiff.grad(lambda a, b, c, d: np.sum(np.sin(a * b) + c * np.exp(d)), (0, 1, 2, 3)))(*args)
    assert len(passes) == 2  # for the sum, and for all gradients


def test_a_constant_partial_of_a_sum_takes_no_memory() -> None:
    a, b = numbers(1_000_000), numbers(1_000_000)
    f = npdiff.jit(npdiff.grad(lambda a, b: np.sum((a - b) * 0.5), (0, 1)))
    found = f(a, b)
    same(found, (np.full(a.shape, 0.5), np.full(a.shape, -0.5)))
    assert peak(npdiff.jit(lambda a, b: npdiff.grad(lambda a, b: np.sum(a - b * 0.5), (0, 1))(a, b)), a, b) < (
        5 * a.nbytes)


def test_layout_is_known_before_the_numbers(passes: list[int]) -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        assert isinstance(y, np.ndarray)
        assert (y.flags.c_contiguous, y.flags.writeable, y.flags.owndata) == (True, True, True)
        assert (y.strides, y.shape, y.dtype, len(y), y.size) == ((8,), (N,), float, N, N)
        return y

    npdiff.jit(f)(numbers())
    assert passes == [1]


