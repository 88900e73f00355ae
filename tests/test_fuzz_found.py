"""What random programs found: each was wrong, or an error, until the mechanism behind it was corrected."""

from __future__ import annotations

from typing import Any

import fuzz
import numpy as np
import pytest
from programs import Program
from shrinking import found

import npdiff


def arguments() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {
        "x": rng.uniform(-1.5, 1.5, (3, 4)), "y": rng.uniform(0.2, 1.5, 3), "s": np.float64(0.7), "p": 0.6,
        "z": np.array(0.8), "e": np.zeros((2, 0)), "c": rng.uniform(-1, 1, 3) + 1j * rng.uniform(-1, 1, 3),
        "f": rng.uniform(-1, 1, (2, 3)).astype(np.float32), "b": np.array([True, False, True]),
        "n": np.array([2, 0, 1]),
    }


def check(body: str, *, raises: bool = False, jit: bool = False) -> None:
    used = {k: v for k, v in arguments().items() if k in body or k == "y"}
    found(body, used, raises=raises, jit=jit)


METHODS = [
    "v0 = np.logical_xor.accumulate(x, axis=1)", "v0 = np.logical_and.reduceat(y, [0, 2, 1])",
    "v0 = np.logical_or.accumulate(y, out=y)", "v0 = np.add.reduce(z, axis=0)", "v0 = np.fmax.reduce(s, axis=-1)",
    "v0 = np.hypot.reduce(x, axis=None)", "v0 = np.hypot.reduce(s, axis=())", "v0 = np.subtract.reduce(z, axis=None)",
    "v0 = np.hypot.reduce(x, axis=1, where=x > 0)", "v0 = np.subtract.reduce(x, axis=0, where=x > 0, initial=2)",
    "v0 = np.logaddexp.reduce(x, axis=0, keepdims=True)", "v0 = np.subtract.reduce(e, axis=0)",
    "v0 = np.bitwise_xor.reduce(n, axis=None)", "v0 = np.floor_divide.accumulate(b, out=b)",
    "v0 = np.add.reduce(y, where=y > 0.5, initial=1)", "v0 = np.power.reduce(z, axis=-1, keepdims=True, initial=1)",
    "v0 = np.heaviside.accumulate(x, axis=1)", "v0 = np.logaddexp.outer(2, y, out=np.zeros(3), where=y > 0.5)",
    "np.subtract.at(y, 0, True)",
    "np.subtract.at(y, y > 0.5, np.pi)", "v0 = np.searchsorted([0.5], y)\nnp.multiply.at(v0, v0, 2)",
    "np.cumsum(b, out=b)", "v0 = np.cumsum(n.astype(np.int8), dtype=np.int8)",
    "np.sum(np.stack([b, b]), axis=0, out=b)",
    "v0 = np.max(n, initial=0.5)", "v0 = np.max(b, initial=0.5)", "v0 = np.ldexp.reduce(n, where=b, initial=1)",
    "v0 = np.sum(n, initial=0.7)",
]
METHODS_RAISE = [
    "np.bitwise_xor.reduce(y)", "np.greater.reduceat(c, [0, 2])", "np.equal.reduce(y)", "np.remainder.accumulate(s)",
    "np.fmin.reduce(x, axis=0, out=np.zeros((3, 4)))", "np.cumprod(y, out=(y,))", "np.argmin(x, out=np.zeros(2))",
    "np.add.reduce(y, where=y)", "np.fabs(y, out=y, where=y)", "np.multiply.reduce(y, initial=1j)",
    "np.add.at(n, 9, 1)", "np.bitwise_xor.outer(2, y, out=n)", "np.nanprod(x, out=np.zeros((2, 2)))",
]


@pytest.mark.parametrize("body", METHODS)
def test_methods_of_ufuncs(body: str) -> None:
    check(body)


@pytest.mark.parametrize("line", METHODS_RAISE)
def test_errors_of_methods(line: str) -> None:
    check(f"v0 = np.sin(y)\nv1 = {line}", raises=True)


KINDS = [
    "v0 = np.arctan2(np.array([200, 3], np.uint8), y[:2])", "v0 = np.power(np.array([200, 3], np.uint8), y[:2])",
    "v0 = (y[0] > 0).real", "v0 = np.inner(1, f)", "v0 = np.dot(f, 2)", "v0 = c.item(0) / np.cos(0.4)",
    "v0 = np.gradient(b, y.cumsum(), edge_order=2)",
    "v0 = p.imag", "v0 = s.imag", "v0 = np.floor(z).imag", "v0 = np.transpose(p)", "v0 = np.flip(p)",
    "v0 = np.modf(n)", "v0 = np.frexp(n)", "v0 = np.piecewise(p, p > 0, [np.sin, 0.0])",
    "v0 = np.piecewise(s, True, [np.sin, 0.0])", "v0 = np.median(np.array([True, True]))",
    "v0 = np.add(p > 0, y, dtype=complex)", "v0 = np.multiply(y, True, dtype=np.float32)",
    "v0 = np.logical_and.outer(2, y).conj()", "v0 = (y > 0.5) ** 2", "v0 = np.poly(np.sin(b))",
    "v0 = np.gradient(f, np.arange(3), axis=1)", "v0 = np.heaviside(y - y, y)",
    "v0 = np.nanvar([[0, np.nan, 0], [0, 0, 0]], axis=1, where=np.array(True))",
    "v0 = np.roots(1.0 + np.astype(np.sin(y), complex))", "v0 = np.full(3, y[None])",
    "v0 = np.max(x, out=np.zeros((), int))", "v0 = np.median(x, axis=1, out=np.zeros(3, bool))",
    "v0 = np.choose(n, [y, y, y], out=np.zeros(3, int))",
]


@pytest.mark.parametrize("body", KINDS)
def test_types_and_dtypes(body: str) -> None:
    check(body)


MEMORY = [
    "v0 = np.gradient(x.T, axis=0)\nv1 = v0.ravel()\nv1[1:] += 1",
    "v0 = y.conj()\nv0[0] = 2", "v0 = np.diag_indices(3)\nv0[1][:] = 2",
    "v0 = np.require(np.zeros(3), None, 'C')\nv0 += y",
    "v0 = np.tile(z, 2)\nv0[1] = s", "v0 = x.take([0, 1], axis=1)\nv0.ravel()[1] += 1",
    "v0 = np.repeat(x, [1, 0, 2, 1], axis=1)\nv0.ravel()[1] += 1", "v0 = np.ravel(np.broadcast_to(y, (2, 3)), 'K')",
    "v0 = np.meshgrid(y, 1, y)\nv1 = v0[2].ravel()\nv0[2][0] = 0", "x.flat = np.zeros(0)",
    "v0 = y > 0.5\nv0[1] = [0, 2]", "v0 = np.cross(x[:, :3].T, x[:, :3].T, axis=0) * 1\nv0.ravel()[1] += 1",
    "v0 = np.correlate(y, np.ones(5))\nv0.ravel()[1] += 1", "v0 = np.around(y, 1, out=np.zeros((1, 3)))",
    "v0 = np.stack(np.resize(s, (2, 3)))\nv0.ravel()[1] += 1", "v0 = np.vstack((np.ones(3), y))\nv0.ravel()[1] += 1",
    "v0 = np.round(y, out=np.zeros(3))", "v0 = np.round(n)\nv0[0] = 9",
    "v0 = np.gradient(x, 0.5, 2.0)\nv1 = v0[0].reshape(1, -1)\nnp.put(v1, 0, 1)",
]
MEMORY_RAISE = [
    "v0 = s * [0.5]", "np.broadcast_to(s, 3)[1] = 0", "np.broadcast_to(p, 3)[1] -= 1", "y.imag *= 0.5",
    "y.flat[1] = [1, 2]",
                "e.put(0, e)", "v0 = 2 @ s", "y.fill(c)"]


@pytest.mark.parametrize("body", MEMORY)
def test_memory(body: str) -> None:
    check(body)


@pytest.mark.parametrize("line", MEMORY_RAISE)
def test_errors_of_writes(line: str) -> None:
    check(f"v0 = np.sin(y)\n{line}", raises=True)


@pytest.mark.parametrize("body", [
    "try:\n    y[99] = x\nexcept IndexError:\n    y[0] = 1", "v0 = np.linalg.lstsq(x.astype(int), y)",
])
def test_batches(body: str) -> None:
    check(body)


def test_a_plain_array_in_a_batch() -> None:
    mask = np.array([True, False])

    def f(x: Any) -> Any:
        mask[0] = x
        return x

    with pytest.raises(npdiff.errors.BranchError):
        npdiff.vmap(f)(np.ones(2))


def test_columns_of_qr_that_depend_on_others() -> None:
    def f(x: Any) -> Any:
        return np.linalg.qr(np.broadcast_to(x, (2, 3)))[0]

    with pytest.raises(npdiff.errors.NotDifferentiableError, match=r"np\.linalg\.qr"):
        npdiff.jvp(f, (np.arange(3.0) + 1,), (np.ones(3),))
    whole = Program(["v0 = np.linalg.qr(x)"], {"x": arguments()["x"]})
    assert fuzz.check(whole, jit=True) == "all"


def test_histogram_of_complex_numbers() -> None:
    with pytest.raises(npdiff.errors.UnsupportedError, match=r"np\.histogram: of complex numbers is not recorded"):
        npdiff.vjp(lambda z: np.histogram(z, 3)[1], np.array([1j, 2.0]))


@pytest.mark.parametrize("line", [
    "v0 = np.histogram2d(y, y, 2, weights=1j * y)", "v0 = np.histogramdd((y, y), 2, weights=1j * y)",
    "np.clip(np.diagflat(y, 1), 0.8, 0.8, out=np.zeros((4, 4), int))", "v0 = [0.5] @ np.median(y)",
    "v0 = np.median(y) @ [0.5]", "v0 = np.take(y[:0], [0])",
    "v0 = np.take(e[:0], [0], axis=0)", "v0 = np.take(e, 9, axis=0)", "y.fill(np.nonzero(n))",
    "np.zeros(3, int)[1] = s * np.nan", "np.zeros(3, int)[1:] = p * 1e300", "np.zeros(3, int).fill(s / 0)",
    "y.fill([1.0, s])", "v0 = np.outer(z, y, out=np.sum(y))",
])
def test_more_errors(line: str) -> None:
    check(line, raises=True)


def test_a_number_that_does_not_fit_is_an_error_in_a_replay() -> None:
    def f(s: Any) -> Any:
        v = np.zeros(2, int)
        v[1] = 2 / s
        return v * s

    jitted = npdiff.jit(f)
    for s in (np.float64(0.5), np.float64(0.25)):
        np.testing.assert_array_equal(jitted(s), f(s))
    with pytest.raises(OverflowError), np.errstate(all="ignore"):
        jitted(np.float64(0.0))


@pytest.mark.parametrize("body", [
    "np.broadcast_arrays(y, np.ones((2, 1)))[0][0] = 1", "np.meshgrid(y, np.ones(2), copy=False)[0][0] += 1"])
def test_writes_into_broadcast_arrays_say_so(body: str) -> None:
    with pytest.raises(AssertionError, match=r"refused: np\.broadcast_arrays: a write into arrays"):
        check(body)


@pytest.mark.parametrize("body", [
    "np.broadcast_arrays(y, np.ones((1, 3)))[0][0, 1] = 1",
    "v0 = np.multiply(np.uint64(3), 1, where=np.uint64(1), out=np.zeros_like(np.uint64(1)))",
    "v0 = np.interp(c, [0.1, 0.75, 1.3], y, period=1.7)", "v0 = np.gradient(y, np.zeros(3))",
    "v0 = np.take(e[:0], 0, axis=1)", "v0 = np.take(x[:0], 9, axis=1)",
    "v0 = np.pad(p, 8, 'reflect', reflect_type='odd')",
    "v0 = np.pad(s, 2, 'edge')",
])
def test_more_values(body: str) -> None:
    check(body)


def test_writes_into_windows_that_share_elements_say_so() -> None:
    def f(x: Any) -> Any:
        w = np.lib.stride_tricks.as_strided(x, (2, 2), (8, 8))
        w[0] = 1.0
        return np.sum(x)

    with pytest.raises(npdiff.errors.UnsupportedError, match="share elements") as caught:
        npdiff.grad(f)(np.arange(3.0))
    assert "write into the array itself" in str(caught.value)


def test_found_3006368() -> None:
    found("""
        v4 = np.transpose(s)
        v6 = v4
    """, {"s": 1}, jit=True)


def test_found_3006764() -> None:
    found("""
        v2 = np.greater_equal(np.sin(a4), 0.7)
        x[2] = np.percentile(np.sin(v2), 30)
    """, {"x": np.ones(3), "a4": np.array([1.9, 0.6, 1.2])}, jit=True)


def test_found_3009618() -> None:
    found("""
        v3 = dict(a=z, b=[])
        v3['b'].append(z)
        v3['b'][0].flat[1] = v3['a']
    """, {"z": np.zeros(0)}, raises=True, jit=True)


def test_found_2026364() -> None:
    found("""
        v1 = np.take_along_axis(x, np.array([0, 1]), None)[1:]
        v2 = v1.squeeze()
        v2 -= 0.4
        v6 = np.log2(v1)
    """, {"x": np.array([0.7, 0.9])}, jit=True)
