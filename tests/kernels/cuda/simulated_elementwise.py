"""Elementwise kernels in Numba's CUDA simulator against NumPy; run by test_simulator.py in a process of its own."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Recorder, expected, primitive, same
from simulator import kernels_of, run

from npdiff.kernels.ufunc_rules import RULES

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, np.inf, -np.inf, np.nan, 1e-310, 700.0, -700.0]


def operand(dtype, seed=0, n=37):
    """Numbers of a dtype, special ones among them."""
    kind = np.dtype(dtype)
    rng = np.random.default_rng(seed)
    if kind.kind == "f":
        # Rotated, so that two operands meet in many combinations.
        return np.roll(np.resize(np.array(SPECIAL + list(rng.normal(size=8)), dtype), n), seed * 5)
    if dtype == "?":
        return rng.integers(0, 2, n).astype(bool)
    info = np.iinfo(kind)
    corners = [0, 1, 2, info.max, info.min, info.max - 1]
    return np.roll(np.resize(np.array(corners + list(rng.integers(0, 100, 20)), kind), n), seed * 5)


@pytest.mark.parametrize("dtype", "? b h i q B H I Q f d".split())
def test_every_ufunc_of_the_table(dtype):
    xs = [operand(dtype, seed=k) for k in range(3)]
    r = Recorder(*xs)
    used = []
    for name in RULES:
        ufunc = primitive(name).ufunc
        try:
            with np.errstate(all="ignore"):
                ufunc(*xs[:ufunc.nin])
        except (TypeError, ValueError):
            continue
        used.append(r(name, *r.inputs[:ufunc.nin]))
    g = r.graph(*used)
    assert kernels_of(g)
    for eq, got, want in zip(g.equations, run(g, xs), expected(g, xs), strict=True):
        try:
            same([got], [want])
        except AssertionError as e:
            raise AssertionError(eq.prim.name) from e
