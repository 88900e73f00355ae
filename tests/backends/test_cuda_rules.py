"""Where CuPy's functions are not NumPy's, the cuda backend gives what NumPy gives, to the bit where NumPy is exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from machines import needs_cuda

import npdiff

pytestmark = needs_cuda
NUMBERS = np.array([0.0, -0.0, 1.0, -1.0, 0.1, -0.3, 2.5, -7.0, 1e300, np.inf, -np.inf, np.nan])
PAIRS = [np.array(p) for p in zip(*[(a, b) for a in NUMBERS for b in NUMBERS], strict=True)]
INTEGERS = np.array([0, 1, -1, 7, -7, 2**53 + 1, -(2**62) - 3, 2**63 - 1, -(2**63)])
WHOLE = [np.array(p) for p in zip(*[(a, b) for a in INTEGERS for b in INTEGERS], strict=True)]


def same(f: Any, *args: Any, rtol: float = 0.0) -> None:
    """A replay gives what NumPy gives."""
    jitted = npdiff.jit(f, "cuda")
    wanted = f(*args)
    jitted(*args)
    ours = jitted(*args)
    assert [r.calls for entry in jitted._entries.values() for r in entry.recordings] == [1]
    assert (ours.dtype, ours.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_allclose(ours, wanted, rtol=rtol, atol=0)
    if rtol == 0:
        np.testing.assert_array_equal(np.signbit(ours) if ours.dtype.kind == "f" else ours,
                                      np.signbit(wanted) if ours.dtype.kind == "f" else wanted)


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
def test_divisions(name: str) -> None:
    f = getattr(np, name)
    same(f, *PAIRS)
    same(f, *[p.astype("f4") for p in PAIRS], rtol=2e-6)
    same(f, *WHOLE)
    same(f, *[p.astype("u1") for p in WHOLE])


def test_integers() -> None:
    counts = np.array([0, 1, 31, 63, 64, 200, -1])
    for f in (np.left_shift, np.right_shift):
        same(lambda a, k, f=f: f(a[:, None], k), INTEGERS, counts)
        same(lambda a, k, f=f: f(a[:, None], k), INTEGERS.astype("u1"), np.arange(10).astype("u1"))
    same(np.power, INTEGERS[:5], np.array([0, 3, 2, 1, 4]))
    same(np.ldexp, NUMBERS, np.array([0, 1, -1, 4000, 2**40, -(2**40), 3, 2, -900, 1, 1, 1]))
    same(np.gcd, *WHOLE)


def test_half_precision() -> None:
    a, b = [p.astype("f2") for p in PAIRS]
    same(np.logaddexp, a, b, rtol=2e-3)
    same(np.logaddexp2, a, b, rtol=1e-2)
    same(np.maximum, a, b)
    same(lambda x: x * x + 1, np.array([0.5, -2, 3], "f2"))


@pytest.mark.parametrize("f", [np.argmax, np.argmin, np.fmax.reduce, np.fmin.reduce, np.max, np.min])
def test_nan_among_the_largest(f: Any) -> None:
    for a in (NUMBERS, NUMBERS[:-1], NUMBERS[::-1], np.full(3, np.nan), np.array([1.0, 3.0, 3.0, np.nan, np.nan])):
        same(lambda x: np.asarray(f(x)), a)


def test_orders_with_nan() -> None:
    bins = np.array([-1.0, 0.0, 2.0, np.nan, np.nan])
    for side in ("left", "right"):
        same(lambda b, v, side=side: np.searchsorted(b, v, side), bins, NUMBERS)
    same(lambda a: np.argsort(a, kind="stable"), NUMBERS)
    with pytest.raises(ValueError, match="All-NaN slice encountered"):
        npdiff.jit(np.nanargmax, "cuda")(np.full(3, np.nan))


def test_convolutions_keep_small_values() -> None:
    a, v = np.array([1e20, 1.0, 1e-20, 3.0, 0.0]), np.array([1.0, 1e-3])
    for mode in ("full", "same", "valid"):
        same(lambda a, v, mode=mode: np.convolve(a, v, mode), a, v, rtol=1e-14)
        same(lambda a, v, mode=mode: np.convolve(v, a, mode), a, v, rtol=1e-14)
    same(lambda a, v: np.convolve(a, v), np.arange(4), np.array([2, -1, 5]))


@pytest.mark.parametrize("n", [None, 3, 4, 5, 8])
def test_spectra_of_no_real_signal(n: Any) -> None:
    spectrum = np.array([1 + 2j, 3 - 1j, 0.5 + 4j])
    same(lambda a: np.fft.irfft(a, n), spectrum, rtol=1e-12)
    same(lambda a: np.fft.irfft(a, n, axis=0), np.stack([spectrum, spectrum[::-1]], 1), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["i1", "u1", "u4", "u8", "i8"])
def test_indices_of_any_integer_type(dtype: str) -> None:
    places = np.array([0, 3, 120, 2]).astype(dtype)
    same(lambda a, k: a[k] + a[k, None].sum(), np.arange(300.0), places)
    jitted = npdiff.jit(lambda a, k: a[k], "cuda")
    for _ in range(2):
        np.testing.assert_array_equal(jitted(np.arange(121.0), places), places)
    if dtype != "u8":
        with pytest.raises(IndexError, match="index 121 is out of bounds for axis 0 with size 121"):
            jitted(np.arange(121.0), np.array([0, 121, 1, 1]).astype(dtype))


def test_the_last_of_several_writes_wins() -> None:
    def f(x: Any, k: Any, v: Any) -> Any:
        y = np.zeros_like(x)
        y[k] = v
        y[:, k] += y[k]
        return y

    same(f, np.ones((4, 4)), np.array([0, 2, 2, -1]), np.arange(16.0).reshape(4, 4))
    for dtype in ("i4", "i8", "f2", "c16", "u1"):
        same(lambda x, k: np.add.at(x, k, x[k] + x.dtype.type(1)) or x, np.ones(5, dtype), np.array([1, 1, 1, -1, 0]))


@pytest.mark.parametrize("f", [
    lambda a, b: np.linalg.solve(a, b), lambda a, b: np.linalg.cholesky(a @ np.swapaxes(a, -1, -2)) @ b,
    lambda a, b: np.linalg.inv(a) * np.linalg.det(a)[..., None, None] + b[..., :1],
    lambda a, b: np.linalg.svd(a)[1] + np.linalg.eigvalsh(a + np.swapaxes(a, -1, -2)),
    lambda a, b: np.abs(np.linalg.qr(b)[1][..., 0]) + a[..., 0]])
def test_stacks_of_matrices(f: Any) -> None:
    rng = np.random.default_rng(0)
    same(f, rng.normal(size=(2, 1, 3, 3)), rng.normal(size=(4, 3, 3)), rtol=1e-9)


def test_complex_numbers() -> None:
    z = np.array([1 + 2j, -0.5j, 3 + 0j, -2 - 1j])
    same(lambda z: np.exp(z) * np.sqrt(z) / z.conj() + np.abs(z) ** 2 - z ** 2.5, z, rtol=1e-11)
    same(lambda z: np.sum(z) + np.prod(z) * z.real.max(), z, rtol=1e-11)
    same(lambda z: z != z[::-1], z)


def explained(f: Any, *args: Any) -> str:
    return str(npdiff.jit(f, "cuda").explain(*args))


def test_picked_elements_are_part_of_the_kernel_that_reads_them() -> None:
    x, k = np.arange(30.0).reshape(5, 6), np.array([4, 0, -1])
    f = lambda x, k: np.sum(np.sin(x[k, 2]) * x[:3, 1])
    text = explained(f, x, k)
    fused = [line for line in text.splitlines() if line.strip().startswith("fuses")]
    assert len(fused) == 1
    assert all(name in fused[0] for name in ("getitem", "sin", "less", "all", "sum"))
    assert "CuPy getitem" not in text
    same(f, x, k, rtol=1e-14)
    for order in ([3, 0, 2], [0, 1, 1]):
        same(lambda x, k: np.sort(x, axis=0)[k, 1:] + np.take_along_axis(x, np.argsort(x, 1), 1)[k, 1:], x[::-1] % 7,
             np.array(order))


def test_writes_into_windows_are_part_of_kernels() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        y[1:-1, 1:-1] = (x[2:, 1:-1] + x[:-2, 1:-1] + x[1:-1, 2:] + x[1:-1, :-2]) / 4
        return y - 1

    x = np.arange(5600.0).reshape(70, 80) % 7
    text = explained(f, x)
    assert "1 kernels, 0 calls of CuPy, 0 host calls" in text
    assert "setitem" in text
    same(f, x)
    slope = npdiff.grad(lambda x: np.sum(np.sin(f(x))))
    same(slope, x, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "f2", "f4", "f8", "c8", "c16"])
def test_sums_by_index(dtype: str) -> None:
    rng = np.random.default_rng(0)
    k, j = rng.integers(-5, 5, 90), rng.integers(0, 3, 90)
    v = rng.integers(0, 3, (90, 2)).astype(dtype)
    def add(x: Any, index: Any, v: Any) -> Any:
        y = x.copy()
        np.add.at(y, index, v)
        return y

    same(lambda x, k, v: add(x, k, v), np.ones((5, 2), dtype), k, v)
    same(lambda x, k, j, v: add(x, (k, j), v), np.ones((5, 3, 2), dtype), k, j, v)
    same(lambda x, k, v: add(x, (slice(None), k), v[:, 0]), np.ones((2, 5), dtype), k, v)
    same(lambda x, k, v: add(x, k, v[0, 0]), np.ones(5, dtype), k, v)


def test_sums_by_index_are_the_same_each_time() -> None:
    rng = np.random.default_rng(0)
    x, k, v = np.zeros(7), rng.integers(0, 7, 500), rng.normal(size=500)
    slope = npdiff.jit(npdiff.grad(lambda x, k, v: np.sum(x[k] * v)), "cuda")
    slope(x, k, v)
    first = slope(x, k, v)
    np.testing.assert_array_equal(slope(x, k, v), first)
    np.testing.assert_allclose(first, np.bincount(k, v), rtol=1e-12)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_running_sums_and_extrema_along_each_axis(axis: Any) -> None:
    x = np.random.default_rng(0).normal(size=(3, 40, 2))
    x[1, 7, 1] = np.nan
    same(lambda x: np.cumsum(x, axis), x, rtol=1e-11)
    same(lambda x: np.cumprod(x.T, axis), x, rtol=1e-11)
    same(lambda x: np.cumsum(x > 0, axis), x)
    same(lambda x: np.cumsum(x.astype("f2"), axis), x[:, :3], rtol=3e-3)
    for f in (np.argmax, np.argmin):
        same(lambda x, f=f: np.asarray(f(x, axis)), x)
        same(lambda x, f=f: np.asarray(f(x > 0, axis, keepdims=True)), x[:, ::-1])
    slope = npdiff.jit(npdiff.grad(lambda x: np.sum(np.cumsum(x, axis) * np.cumprod(x, axis))), "cuda")
    small = x[:, :6] + 2
    small[1] = 0.5
    for _ in range(2):
        np.testing.assert_allclose(slope(small), npdiff.grad(
            lambda x: np.sum(np.cumsum(x, axis) * np.cumprod(x, axis)))(small), rtol=1e-10)
