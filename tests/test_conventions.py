"""Points without a derivative: what each row says of them, in both modes, under jit and vmap, and at higher order."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import npdiff
from npdiff.coverage import expression
from npdiff.dispatch.declare import Point, Row, point, rows
from npdiff.errors import JitWarning, NonFiniteError, NotDifferentiableError

POINTS = [(row, p) for row in rows.values() for p in row.points]
each_point = pytest.mark.parametrize(("row", "p"), POINTS, ids=[f"{p.call} {r.name} {p.at}" for r, p in POINTS])


def place(at: Any) -> Any:
    """x of a point: an array, or a NumPy number."""
    x = np.array(at)
    return (x if x.dtype.kind == "c" else x.astype(float))[()]


def total(f: Any) -> Any:
    return lambda x: np.sum(np.real(f(x)))


def function(row: Row, p: Point) -> Any:
    """The expression as a function of x, summed."""
    return total(eval(f"lambda x: {expression(row, p.call)}", {"np": np, "inf": np.inf, "nan": np.nan}))


def reverse(f: Any) -> Any:
    return npdiff.grad(f)


def forward(f: Any) -> Any:
    """The gradient from one forward pass for each element (two for a complex one)."""

    def gradient(x: Any) -> Any:
        shape, slopes = np.shape(x), []
        for k in range(int(np.prod(shape, dtype=int))):
            step = np.zeros(shape, x.dtype)
            step.flat[k] = 1
            slope = npdiff.jvp(f, (x,), (step[()],))[1]
            if x.dtype.kind == "c":
                slope = slope - 1j * npdiff.jvp(f, (x,), (1j * step[()],))[1]
            slopes.append(slope)
        return np.reshape(np.stack(slopes), shape)

    return gradient


MODES = {"reverse": reverse, "forward": forward}


def derivative(f: Any, modes: tuple[str, ...]) -> Any:
    """The derivative of as many orders as modes are named, the innermost first; sums in between."""
    for k, mode in enumerate(modes):
        f = MODES[mode](total(f) if k else f)
    return f


def paths(order: int) -> list[tuple[str, ...]]:
    """Every way to nest the modes up to second order, and each mode with itself above."""
    return list(itertools.product(MODES, repeat=order)) if order <= 2 else [(m,) * order for m in MODES]


def check(row: Row, p: Point) -> None:
    """Every derivative of a point, every way to compute it."""
    x = place(p.at)
    for order, wanted in enumerate(p.slopes, start=1):
        for modes in paths(order):
            d = derivative(function(row, p), modes)
            if isinstance(wanted, type):
                with pytest.raises(wanted):
                    d(x)
                continue
            found = d(x)
            wide = np.broadcast_to(wanted, np.shape(x))
            np.testing.assert_allclose(found, wide, rtol=1e-9, atol=1e-12, err_msg=f"order {order}: {modes}")
            if order > 2:
                continue
            compiled = npdiff.jit(d)
            for _ in range(2):  # recorded, then replayed
                np.testing.assert_allclose(compiled(x), found, rtol=1e-9, atol=1e-12, err_msg=f"jit: {modes}")


@each_point
def test_point(row: Row, p: Point) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's own, about empty and all-NaN slices
        warnings.simplefilter("error", JitWarning)
        check(row, p)


@each_point
def test_point_in_a_batch(row: Row, p: Point) -> None:
    if isinstance(p.slopes[0], type):
        pytest.skip("an error")
    x = place(p.at)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        both = npdiff.vmap(npdiff.grad(function(row, p)))(np.stack([x, x]))
    np.testing.assert_allclose(both, np.stack([np.broadcast_to(p.slopes[0], np.shape(x))] * 2), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("transform", [lambda f: f, npdiff.jit], ids=["eager", "jit"])
def test_an_infinite_slope_behind_a_slope_of_zero(transform: Any) -> None:
    def distance(x: Any) -> Any:
        return np.sqrt(np.sum(x * x))

    x = np.zeros(3)
    with np.errstate(all="ignore"):
        assert np.isnan(transform(npdiff.grad(distance))(x)).all()
        np.testing.assert_array_equal(transform(npdiff.jacfwd(distance))(x), 0.0)
        for derivative in (npdiff.grad, npdiff.jacfwd):
            np.testing.assert_array_equal(transform(derivative(np.linalg.norm))(x), 0.0)
        with npdiff.debug_nans(), pytest.raises(NonFiniteError, match=r"np\.sqrt: inf in the cotangent"):
            npdiff.grad(distance)(x)


def test_rows_that_promise_a_point_are_found() -> None:
    named = {row.name for row, _ in POINTS}
    assert {"np.linalg.norm", "np.sqrt", "np.where", "np.maximum", "np.sort", "np.linalg.eigh"} <= named
    assert all(p.why and p.slopes for _, p in POINTS)


def test_the_checker_sees_a_wrong_slope() -> None:
    row = rows["np.absolute"]
    check(row, point("right", "f(x)", [0.0, -2.0], [0, -1], 0))
    with pytest.raises(AssertionError, match="order 1"):
        check(row, point("wrong first", "f(x)", 0.0, 1))
    with pytest.raises(AssertionError, match="order 2"):
        check(row, point("wrong second", "f(x)", 2.0, 1, 1))
    with pytest.raises(pytest.fail.Exception):
        check(row, point("no error", "f(x)", 2.0, NotDifferentiableError))
