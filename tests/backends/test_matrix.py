"""Every kind of kernel and every real program on each backend: results, writes, prints, the random stream, gradients.

A backend that cannot run here is skipped, and the summary says why. The cuda backend runs on a card, or where there is
none in the session that test_cuda.py starts in Numba's simulator.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from machines import each_backend, replayed
from real_programs import PROGRAMS, Program

import npdiff
from npdiff import tree

X = np.array([0.3, -1.2, 0.8, 2.5])
FAMILIES = {
    "elementwise": lambda x: np.sin(x) * np.exp(-x ** 2) + np.abs(x) / (1 + x * x),
    "views": lambda x: (x.reshape(2, 2).T[::-1, None] * x[1:3]).ravel(),
    "reductions": lambda x: np.array([x.sum(), x.max(), np.mean(x), np.var(x), np.prod(x), np.any(x > 1)]),
    "rows and columns": lambda x: np.outer(x, x).sum(0) + np.outer(x, x).max(1) * np.tri(4, 3).mean(1) - x.min(),
    "choices": lambda x: np.where(x > 0.5, x, np.clip(-x, 0.1, 1)) + np.maximum(x, x[::-1]) * (x < 1),
    "integers": lambda x: (np.floor(x).astype(int) % 3 + np.arange(4, dtype="u1") * 200 // 7) ^ (x > 0),
    "single precision": lambda x: np.tanh(x.astype("f4") * np.float32(2)) + np.sum(x.astype("f2")).astype("f4"),
    "complex": lambda x: np.abs(np.exp(1j * x) * (x + 2j) ** 2) + np.real(np.vdot(x, x * 1j)),
    "running": lambda x: np.cumsum(x) + np.cumprod(x),
    "products": lambda x: np.einsum("i,j->j", x, x) + np.outer(x, x) @ x + np.convolve(x, x[:2], "same"),
    "linear algebra": lambda x: np.linalg.solve(np.outer(x, x) + np.eye(4), x) + np.linalg.eigvalsh(np.outer(x, x)),
    "sorting": lambda x: np.sort(x) + np.argsort(x) + np.searchsorted(np.sort(x), x),
    "fft": lambda x: np.abs(np.fft.rfft(x))[:2].sum() + np.real(np.fft.ifft(x)),
    "gather": lambda x: x[np.argsort(x)] + np.take(x, [3, 0, -1, 0]),
    "mixed": lambda x: np.linalg.pinv(np.outer(x, x)) @ np.sin(x),
}


def added(x: Any) -> Any:
    """Sums by index, of which the slope of a gather is one, and the running sums' own slope."""
    y = np.zeros(3)
    np.add.at(y, np.array([2, 0, -1, 0]), x)
    return npdiff.grad(lambda x: np.sum(x[np.argsort(x)][1:] * np.cumprod(x)[[0, 2, 2]]))(x) * y[[0, 1, 2, 2]]


def written(x: Any) -> Any:
    """In-place updates of windows and elements."""
    y = np.outer(x, x)
    y[1:-1, 1:] += y[:2, :3] * x[0]
    y[:, 0] = x[::-1]
    y[-1] *= 2
    return y.sum(0) + np.concatenate([y[1, :2], y[2:, 3]])


FAMILIES |= {"sums by index": added, "in place": written,
             "positions": lambda x: np.argmax(np.outer(x, x), 1) + np.argmin(x) * x}


@each_backend
@pytest.mark.parametrize("family", FAMILIES)
def test_families(family: str, backend: str) -> None:
    f = FAMILIES[family]
    single = family == "single precision"
    np.testing.assert_allclose(replayed(f, backend, X), f(X), rtol=1e-3 if single else 1e-10, atol=1e-12)
    assert np.asarray(replayed(f, backend, X)).flags.writeable


each = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)


def assert_close(ours: Any, theirs: Any, rtol: float) -> None:
    a, structure_a = tree.flatten(ours)
    b, structure_b = tree.flatten(theirs)
    assert structure_a == structure_b
    for x, y in zip(a, b, strict=True):
        assert type(x) is type(y)
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-11)


@each_backend
@each
def test_values_and_writes(program: Program, backend: str) -> None:
    jitted = npdiff.jit(program.function, backend)
    for seed in (0, 1):
        ours, theirs = program.args(seed), program.args(seed)
        assert_close(jitted(*ours), program.function(*theirs), 1e-9)
        assert_close(ours, theirs, 1e-9)


@each_backend
@pytest.mark.parametrize("order", ["jit of grad", "grad of jit"], ids=["jit_of_grad", "grad_of_jit"])
@pytest.mark.parametrize("name", list(PROGRAMS)[::3])
def test_gradients(name: str, order: str, backend: str) -> None:
    program = PROGRAMS[name]

    def total(*args: Any) -> Any:
        return sum([np.sum(np.sin(leaf)) for leaf in tree.leaves(program.function(*args))])

    is_float = lambda leaf: isinstance(leaf, float) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f")
    places = tuple([k for k, a in enumerate(program.args()) if all(is_float(leaf) for leaf in tree.leaves(a))])
    wanted = npdiff.grad(total, places)(*program.args())
    ours = (npdiff.jit(npdiff.grad(total, places), backend) if order == "jit of grad"
            else npdiff.grad(npdiff.jit(total, backend), places))
    for _ in range(2):
        for a, b in zip(tree.leaves(ours(*program.args())), tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11)
