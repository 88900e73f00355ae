"""One sample call of every row on each backend: what a replay gives is what NumPy gives."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from machines import each_backend, needs_jax
from sample_calls import MORE, UNSAMPLED

import npdiff
from npdiff import tree
from npdiff.backend import jax_lowering
from npdiff.backend.tpu import settings
from npdiff.coverage import chapters, sampled
from npdiff.dispatch.declare import rows
from npdiff.dispatch.triangular import triangular_p
from npdiff.errors import JitWarning
from npdiff.kernels.simplify import simplify
from npdiff.samples import cases, evaluate, is_array, is_float_array, split

# Rows that write into an argument, or have neither samples nor a domain, as functions of one array.
OTHERS: dict[str, Any] = {
    "np.copyto": lambda x: np.copyto(x, x[::-1] * 2, where=x > 0),
    "np.put": lambda x: np.put(x, [0, 2, 2], [5.0, 6.0, 7.0]),
    "np.putmask": lambda x: np.putmask(x, x > 0, np.arange(3.0)),
    "np.place": lambda x: np.place(x, x > 0, [1.5, 2.5]),
    "np.put_along_axis": lambda x: np.put_along_axis(x, np.argsort(x)[:2], np.array([8.0, 9.0]), 0),
    "np.fill_diagonal": lambda x: np.fill_diagonal(np.reshape(x, (2, 2)), 3.0),
    "np.hamming": lambda x: x * np.hamming(4), "np.blackman": lambda x: x + np.blackman(4),
    "np.bartlett": lambda x: x - np.bartlett(4),
    "np.vectorize": lambda x: np.vectorize(lambda a, b: a * b + 1)(x, x[::-1]),
    "np.fromfunction": lambda x: np.fromfunction(lambda i, j: x[0] * i + j, (2, 3)),
    "np.ndenumerate": lambda x: sum([k[0] * v for k, v in np.ndenumerate(x)]),
    "np.random.normal": lambda x: x + np.random.normal(size=4),
}
FIRST = [(r.name, (cases(r) or MORE[r.name])[0]) for r in rows.values()
         if r.name not in OTHERS and (cases(r) or r.name in MORE)]
# Rows that never come to a backend, as the coverage table says of them.
APART = ("untracked", "unsupported")


def assert_close(ours: Any, theirs: Any) -> None:
    """The same containers, types, dtypes and shapes, and values up to rounding."""
    a, structure_a = tree.flatten(ours)
    b, structure_b = tree.flatten(theirs)
    assert structure_a == structure_b
    for x, y in zip(a, b, strict=True):
        assert type(x) is type(y), f"{type(x).__name__} instead of {type(y).__name__}"
        if isinstance(y, (np.ndarray, np.generic)):
            assert (x.dtype, x.shape) == (y.dtype, y.shape)
        if not isinstance(y, (np.ndarray, np.generic, int, float, complex)):  # a text, a dtype
            assert x == y
            continue
        single = getattr(y, "dtype", np.dtype(float)).char in "efF"
        np.testing.assert_allclose(x, y, rtol=2e-5 if single else 1e-9, atol=1e-5 if single else 1e-11)


def test_every_row_of_the_coverage_table_is_among_them() -> None:
    tested = {name for name, _ in FIRST} | OTHERS.keys()
    reached = {r.name for r in rows.values() if r.kind not in APART}
    assert reached == (tested | UNSAMPLED.keys()) & reached
    assert tested | {r.name for members in chapters().values() for r in members} <= rows.keys()


@each_backend
@pytest.mark.parametrize(("name", "text"), FIRST, ids=[n for n, _ in FIRST])
def test_values(name: str, text: str, backend: str) -> None:
    f, leaves = split(evaluate(name, text), is_array)

    def seeded(f: Any) -> Any:
        np.random.seed(4)
        return f(*leaves)

    try:
        wanted = seeded(f)
    except Exception as error:
        with pytest.raises(type(error)):
            seeded(npdiff.jit(f, backend))
        return
    jitted = npdiff.jit(f, backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JitWarning)  # what cannot be recorded runs as it stands on every backend
        seeded(jitted)
        ours = seeded(jitted)
    made = [r for entry in jitted._entries.values() for r in entry.recordings]
    assert all(r.calls == 1 for r in made), "the second call was no replay"
    assert len(made) <= 1
    assert_close(ours, wanted)


@needs_jax
def test_what_the_coverage_page_says_of_jax() -> None:
    """The page is made without jax: what it takes for compiled there has to be."""
    import jax

    for name in [n for n in rows if n.startswith("np.")]:
        for graph in sampled(rows[name])[:1]:
            small = simplify(graph)
            with settings(jax):
                left = jax_lowering.reasons(jax, small, "tpu", True)
            assert set(left) == {k for k, eq in enumerate(small.equations) if jax_lowering.stays(eq, "tpu")}, name


@each_backend
@pytest.mark.parametrize("name", [
    "np.sin", "np.arctan2", "np.sort", "np.cumprod", "np.linalg.inv", "np.linalg.det", "np.prod", "np.max", "np.matmul",
    "np.einsum", "np.fft.rfft", "np.where", "np.take", "np.interp", "np.convolve", "np.median"])
def test_gradients(name: str, backend: str) -> None:
    text = next(t for t in cases(rows[name]) if split(evaluate(name, t), is_float_array)[1])
    f, leaves = split(evaluate(name, text), is_float_array)
    total = lambda *xs: sum([np.sum(np.real(leaf)) for leaf in tree.leaves(f(*xs))])
    places = tuple(range(len(leaves)))
    wanted = npdiff.grad(total, places)(*leaves)
    for ours in (npdiff.jit(npdiff.grad(total, places), backend), npdiff.grad(npdiff.jit(total, backend), places)):
        for _ in range(2):
            assert_close(ours(*leaves), wanted)


@each_backend
@pytest.mark.parametrize("name", OTHERS)
def test_writers_and_others(name: str, backend: str) -> None:
    f = OTHERS[name]
    jitted = npdiff.jit(f, backend)
    for _ in range(3):
        mine, theirs = np.array([0.3, -1.2, 0.8, 2.5]), np.array([0.3, -1.2, 0.8, 2.5])
        np.random.seed(4)
        ours = jitted(mine)
        np.random.seed(4)
        wanted = f(theirs)
        assert (ours is None) == (wanted is None)
        np.testing.assert_array_equal(mine, theirs)
        if wanted is not None:
            np.testing.assert_allclose(ours, wanted, rtol=1e-12)
    assert [r.calls for entry in jitted._entries.values() for r in entry.recordings] == [2]


@each_backend
@pytest.mark.parametrize(("lower", "unit", "trans"), [(True, False, 0), (False, True, 1), (True, True, 1)])
def test_triangular_systems(lower: bool, unit: bool, trans: int, backend: str) -> None:
    a = np.arange(1.0, 33.0).reshape(2, 4, 4) % 7 + 1
    b = np.arange(12.0).reshape(4, 3)
    f = lambda a, b: triangular_p.call(a, b, trans=trans, lower=lower, unit=unit)
    ours = npdiff.jit(f, backend)
    for _ in range(2):
        assert_close(ours(a, b), f(a, b))
