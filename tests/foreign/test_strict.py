"""Derivatives over arrays of another library: what holds of any, shown on arrays that never give their numbers away."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
from strict_arrays import Strict, Strided, moves, plain

import npdiff
from npdiff.errors import ArgumentError, JitWarning, TracedValueError, UnsupportedError

HERE = "instead: bring it here before the transform, as a NumPy array; or write it with functions that its library has"
A = np.array([[0.3, -1.2, 2.1], [0.7, 0.4, -0.9]])
W = np.array([0.5, -0.25, 1.5])


class Poor(Strict):
    """A library without some of NumPy's functions."""

    lacks = frozenset(["sort", "argsort", "cumsum"])


def words(error: Any) -> str:
    """A message without the line it points at."""
    return re.sub(r"\n  at: [^\n]*", "", str(error.value))


def loss(x: Any, w: Any) -> Any:
    y = np.tanh(x @ w)
    return np.mean(np.where(y > 0, y * y, np.exp(y))) + np.sum(np.maximum(x, 0.0), axis=1)[0]


@pytest.mark.parametrize("kind", [Strict, Strided])
def test_every_transform_keeps_the_kind(kind: Any) -> None:
    moves.clear()
    x, w = kind(A), kind(W)
    value, (gx, gw) = npdiff.value_and_grad(loss, (0, 1))(x, w)
    pulled = npdiff.vjp(loss, x, w)[1](kind(np.float64(2.0)))
    forward = npdiff.jvp(loss, (x, w), (x, w))
    second = npdiff.grad(lambda x: np.sum(npdiff.grad(loss)(x, w) ** 2))(x)
    mapped = npdiff.vmap(lambda row: np.sum(row * row))(x)
    _, push = npdiff.linearize(lambda x: np.sin(x) * x, x)
    rows = npdiff.jacobian(lambda w: x @ w)(w)
    found = [value, gx, gw, *pulled, *forward, second, mapped, push(x), rows]
    assert all(type(leaf) is kind for leaf in found)
    assert moves == [(2, 2, 1)]  # the basis that a jacobian starts from
    wanted = [*npdiff.value_and_grad(loss, (0, 1))(A, W)[1], *npdiff.vjp(loss, A, W)[1](2.0),
              *npdiff.jvp(loss, (A, W), (A, W)), npdiff.grad(lambda x: np.sum(npdiff.grad(loss)(x, W) ** 2))(A),
              np.sum(A * A, axis=1), npdiff.linearize(lambda x: np.sin(x) * x, A)[1](A), A]
    for mine, theirs in zip(plain(found)[1:], wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_one_side_may_be_numpys() -> None:
    x = Strict(A)
    found = npdiff.grad(lambda w: np.sum((x @ w) ** 2))(W)
    assert type(found) is Strict
    np.testing.assert_allclose(plain(found), 2 * A.T @ (A @ W))


def test_track() -> None:
    x = npdiff.track(Strict(A))
    with npdiff.record():
        y = np.sum(np.array([x[0, 0], x[1, 2]]) * np.ones(2)) + np.sum(x * x)
    y.backward()
    y.backward(Strict(np.array(1.0)))
    assert type(x.grad) is type(x.value) is Strict
    bump = np.zeros((2, 3))
    bump[0, 0] = bump[1, 2] = 1
    np.testing.assert_allclose(plain(x.grad), 2 * (2 * A + bump))


def test_a_zero_cotangent_stays_zero() -> None:
    x = Strict(np.array([0.0, 4.0]))
    with np.errstate(all="ignore"):
        found = npdiff.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0)))(x)
    np.testing.assert_array_equal(plain(found), [0, 0.25])


def test_arguments_are_left_alone() -> None:
    def f(x: Any, c: Any) -> Any:
        x[0] = 0.0
        c[0] = 5.0
        return np.sum(x * c)

    x, c = Strict(A), Strict(A)
    np.testing.assert_array_equal(plain(npdiff.grad(f)(x, c))[0], 0)
    np.testing.assert_array_equal(x._held, A)
    np.testing.assert_array_equal(c._held, A)


def test_what_happens_to_an_array_later_is_not_seen() -> None:
    c = Strict(W)

    def f(w: Any) -> Any:
        y = np.sum(w * c)
        c[0] = 100.0
        return y

    np.testing.assert_array_equal(plain(npdiff.grad(f)(Strict(W))), W)


WRITES = ["x[1:] = 2 * y[1:]", "x[::2, 1] = 0", "x += y", "x[0] += y[0]", "x[:, 1] *= 3", "x.fill(0)", "x.sort()",
          "np.copyto(x, y)", "np.add(x, y, out=x)", "np.put(x, [0, 2], y[0])", "np.add.at(x, ([0, 0], [1, 1]), 1.0)",
          "x.flat[1] = y[0, 0]", "x[[0, 1], [1, 1]] = y[0, :2]", "np.fill_diagonal(x, y[0, 0])", "x[None, 0] = y[1]"]
INTO_PARTS = ["x[0][1] = y[0, 0]", "x.T[0] = y[0, 0]", "x.reshape(-1)[1:3] = 0", "np.multiply(x, 2, out=x[:])",
              "r = x[0]; r += 1"]


def after(text: str, kind: Any) -> Any:
    def f(x: Any, y: Any) -> Any:
        x = np.copy(x) * 1.0
        exec(text, {"np": np, "x": x, "y": y, "__name__": "user"})
        return x

    value, pull = npdiff.vjp(f, kind(A), kind(A + 3))
    return plain((value, *pull(kind(A))))


@pytest.mark.parametrize("kind", [Strict, Strided])
@pytest.mark.parametrize("text", WRITES)
def test_writes(text: str, kind: Any) -> None:
    for mine, theirs in zip(after(text, kind), after(text, np.asarray), strict=True):
        np.testing.assert_allclose(mine, theirs)


@pytest.mark.parametrize("text", INTO_PARTS)
def test_writes_into_parts(text: str) -> None:
    for mine, theirs in zip(after(text, Strided), after(text, np.asarray), strict=True):
        np.testing.assert_allclose(mine, theirs)
    with pytest.raises(UnsupportedError) as error:
        after(text, Strict)
    assert words(error) == (
        "setitem: a write into a part of an array reaches the array in NumPy, and not in the library that this one is "
        "of\n  received: DiffArray float64[2, 3]\n  instead: write into the array itself: x[i, j] = v, not x[i][j] = v")


def test_what_the_users_line_asks_is_answered_by_the_library() -> None:
    class Willing(Strict):
        def __bool__(self) -> bool:
            return bool(self._held)

    def f(x: Any, c: Any) -> Any:
        return np.sum(x * c) if x[0] > 0 and not c[0] < 0 else np.sum(x)

    assert plain(npdiff.grad(f)(Willing(W), Willing(W)))[1] == W[1]
    assert plain(npdiff.grad(f)(Willing(-W), Willing(W)))[1] == 1.0


def test_rules_of_ones_own_and_checkpoints() -> None:
    @npdiff.custom_jvp
    def twice(x: Any) -> Any:
        return 2 * x

    @twice.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        return twice(*primals), 3 * tangents[0]

    found = npdiff.grad(lambda x: np.sum(npdiff.checkpoint(np.sin)(twice(x))))(Strict(W))
    np.testing.assert_allclose(plain(found), 3 * np.cos(2 * W))


def test_matrices_whose_vectors_have_no_derivative_give_nan() -> None:
    found = npdiff.grad(lambda a: np.linalg.eigh(a)[1][0, 1])(Strict(np.eye(2)))
    assert np.isnan(plain(found)).any()


# ---------------------------------------------------------------------- refusals


def test_a_function_that_the_library_lacks() -> None:
    with pytest.raises(UnsupportedError) as error:
        npdiff.grad(lambda x: np.sort(x)[0])(Poor(W))
    said = str(error.value.__cause__).splitlines()[0]
    assert words(error) == (f"np.sort: cannot be done with arrays of test_strict: {said}\n"
                            f"  received: Poor float64[3]\n  {HERE}")
    with pytest.raises(UnsupportedError, match=re.escape("cumsum: cannot be done with arrays of test_strict: ")):
        npdiff.jvp(lambda x: x[::-1].cumsum(), (Poor(W),), (Poor(W),))


def test_a_function_that_npdiff_evaluates_itself() -> None:
    with pytest.raises(UnsupportedError) as error:
        npdiff.grad(lambda x: np.unique(x)[0])(Strict(W))
    assert words(error) == ("np.unique: cannot be done with arrays of strict_arrays: npdiff has unique_places for "
                            f"NumPy's arrays only\n  received: Strict float64[3]\n  {HERE}")


def test_a_function_that_looks_at_values() -> None:
    with pytest.raises(UnsupportedError) as error:
        npdiff.grad(lambda x: np.sum(np.trim_zeros(x)))(Strict(W))
    assert words(error) == ("np.trim_zeros: looks at values (np.trim_zeros), and those of strict_arrays are not "
                            f"brought here for it\n  received: Strict bool[3]\n  {HERE}")


def test_a_function_that_answers_with_numpys_arrays() -> None:
    class Sly(Strict):
        def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
            return np.zeros(3) if func is np.cumsum else super().__array_function__(func, types, args, kwargs)

    with pytest.raises(UnsupportedError) as error:
        npdiff.grad(lambda x: np.cumsum(x)[0])(Sly(W))
    assert words(error) == ("np.cumsum: test_strict answered with a NumPy array, which brings it here\n"
                            f"  received: Sly float64[3]\n  {HERE}")


def test_a_warning_before_it_is_brought_here_is_an_error() -> None:
    class Warns(Strict):
        def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
            if func is np.cumsum:
                warnings.warn("it will be computed", FutureWarning, stacklevel=2)
                raise AssertionError("it was brought here")
            return super().__array_function__(func, types, args, kwargs)

    with pytest.raises(UnsupportedError) as error:
        npdiff.grad(lambda x: np.cumsum(x)[0])(Warns(W))
    assert words(error) == ("np.cumsum: cannot be done with arrays of test_strict: it will be computed\n"
                            f"  received: Warns float64[3]\n  {HERE}")


def test_a_size_that_the_library_does_not_know() -> None:
    class Unsized(Strict):
        shape = property(lambda self: (np.nan,) if self._held.ndim == 1 else self._held.shape)

    with pytest.raises(UnsupportedError) as error:
        npdiff.grad(lambda x: np.sum(x[x > 0]))(Unsized(A))
    assert words(error) == ("getitem: strict_arrays does not know how large the result is before it computes\n"
                            "  received: Unsized float64[2, 3], Unsized bool[2, 3]\n"
                            "  instead: use np.where(mask, x, 0), which keeps the shape").replace(
                                "strict_arrays", "test_strict")


def test_a_member_of_the_library_alone() -> None:
    class Rich(Strict):
        def rechunk(self) -> None: ...

    def f(x: Any) -> Any:
        return x.rechunk()

    with pytest.raises(UnsupportedError) as error:
        npdiff.grad(f)(Rich(W))
    assert words(error) == (
        "test_strict.Rich.rechunk: belongs to this library alone, and is not recorded\n  received: DiffArray float64[3]"
        "\n  instead: use NumPy's functions and methods; or take x.value, if no derivative is needed")
    with pytest.raises(AttributeError):
        npdiff.grad(lambda x: x.nowhere)(Rich(W))


def test_plain_python_is_refused_as_ever() -> None:
    with pytest.raises(TracedValueError, match="float: would drop the derivative of a tracked value"):
        npdiff.grad(lambda x: float(x[0]))(Strict(W))
    with pytest.raises(ArgumentError, match="argument 0 has dtype int64, and a derivative needs floating point"):
        npdiff.grad(np.sum)(Strict(np.arange(3)))


# ---------------------------------------------------------------------- beside jit


def test_a_jitted_function_runs_as_it_stands() -> None:
    @npdiff.jit
    def f(x: Any) -> Any:
        return np.sum(x * x)

    with pytest.warns(JitWarning, match="f runs without compiled code: an argument is an array of strict_arrays, which "
                                        "may map the jitted function over NumPy's arrays"):
        assert type(f(Strict(W))) is Strict
    assert type(npdiff.grad(f)(Strict(W))) is Strict
    assert f(W) == np.sum(W * W)


def test_a_jitted_function_that_reads_one() -> None:
    c = Strict(W)
    f = npdiff.jit(lambda x: np.sum(x * c))
    with pytest.warns(JitWarning, match="it reads c, an array of strict_arrays"):
        assert type(f(Strict(W)._held[0])) is Strict
