"""Running sums, sums by key and positions of extrema in the simulator; run by test_simulator.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulator import SMALL

from npdiff.kernels import cuda

SHAPES = [(1, 1, 1), (1, 7, 1), (3, 5, 1), (1, 40, 1), (2, 150, 1), (1, 300, 1), (2, 9, 3), (1, 130, 2), (50, 6, 1)]


def numbers(dtype, shape):
    """Few different numbers, so that a missing or doubled one shows."""
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.uniform(0.9, 1.1, shape).astype(dtype) * rng.choice([-1, 1], shape).astype(dtype)
    return rng.integers(0, 4, shape).astype(dtype)


def along(name, x, config=SMALL, dtype=None):
    out = np.full(x.shape if dtype is None else (x.shape[0], x.shape[2]), 77, dtype or x.dtype)
    cuda.along(name, x.dtype, *x.shape, config)(x, out)
    return out


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("dtype", ["f", "q"])
def test_running(name, shape, dtype):
    x = numbers(dtype, shape)
    np.testing.assert_allclose(along(name, x), getattr(np, name)(x, axis=1, dtype=dtype), rtol=2e-4 if dtype == "f"
                               else 1e-12, atol=1e-5 if dtype == "f" else 1e-12)


@pytest.mark.parametrize("dtype", "bhilqBHILQ")
def test_running_sums_of_integers_wrap_around(dtype):
    x = numbers(dtype, (2, 90, 1)) * np.array(77).astype(dtype)
    np.testing.assert_array_equal(along("cumsum", x), np.cumsum(x, axis=1, dtype=dtype))


def test_lines_of_one_part_have_numpys_bits_and_signs_of_zero():
    x = numbers("d", (2, 9, 3)) / 3
    np.testing.assert_array_equal(along("cumsum", x), np.cumsum(x, axis=1))
    zero = np.array([-0.0, -0.0, 0.0]).reshape(1, 3, 1)
    np.testing.assert_array_equal(np.signbit(along("cumsum", zero)), np.signbit(np.cumsum(zero, axis=1)))
    x[0, 4, 1] = np.nan
    np.testing.assert_array_equal(along("cumprod", x), np.cumprod(x, axis=1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["?", "Q", "e"])
def test_extrema(shape, dtype):
    x = numbers(dtype, shape)
    for name in ("argmax", "argmin"):
        np.testing.assert_array_equal(along(name, x, dtype=np.int64), getattr(np, name)(x, axis=1))


@pytest.mark.parametrize("where", [(0,), (5, 6), (149,), (33, 148), (88,)])
def test_nan_comes_before_all(where):
    x = numbers("f", (2, 150, 1))
    x[1, where, 0] = np.nan
    x[0, :, 0] = [np.inf, -np.inf] * 75
    for name in ("argmax", "argmin"):
        np.testing.assert_array_equal(along(name, x, dtype=np.int64), getattr(np, name)(x, axis=1))


KEYS = {"apart": lambda n: np.random.default_rng(0).permutation(n), "all one": lambda n: np.full(n, 3),
        "few": lambda n: np.random.default_rng(1).integers(0, 4, n),
        "long runs": lambda n: np.repeat(np.arange(n // 37 + 1), 37)[:n]}


def by_key(keys, rows, table, config=SMALL):
    order = np.argsort(keys, kind="stable")
    out = table.copy()
    cuda.added(rows.dtype, len(keys), rows.shape[1], config)(rows, keys[order], order, out)
    return out


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize(("n", "inner"), [(5, 1), (300, 1), (120, 3)])
@pytest.mark.parametrize("dtype", ["f", "b"])
def test_sums_by_key(keys, n, inner, dtype):
    at = KEYS[keys](n).astype(np.int64)
    rows = numbers(dtype, (n, inner))
    table = numbers(dtype, (int(at.max()) + 2, inner))
    wanted = table.copy()
    np.add.at(wanted, at, rows)
    np.testing.assert_allclose(by_key(at, rows, table), wanted, rtol=1e-4 if dtype == "f" else 1e-12,
                               atol=1e-5 if dtype == "f" else 1e-12)


def test_results_do_not_depend_on_the_grid():
    rows, keys = numbers("f", (300, 1)), KEYS["few"](300)
    one = replace(SMALL, blocks=1)
    np.testing.assert_array_equal(by_key(keys, rows, np.zeros((5, 1), "f")),
                                  by_key(keys, rows, np.zeros((5, 1), "f"), one))
    x = numbers("f", (1, 130, 2))
    np.testing.assert_array_equal(along("cumsum", x), along("cumsum", x, one))


def test_warps_of_32_threads():
    config = cuda.Config(block=64, threads=128, run=8)
    x = numbers("f", (1, 1100, 1))
    np.testing.assert_allclose(along("cumsum", x, config), np.cumsum(x, axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(along("argmin", x, config, np.int64), np.argmin(x, axis=1))
    keys = KEYS["few"](1100)
    np.testing.assert_allclose(by_key(keys, x[0], np.zeros((5, 1), "f"), config)[:4, 0],
                               np.bincount(keys, x[0, :, 0]), rtol=1e-3)
