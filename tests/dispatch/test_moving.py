"""Manipulation and indexing beyond the sample calls: views, memory, layouts, errors, batches of indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differential import differential, function

import npdiff
from npdiff.dispatch.declare import numpy_is
from npdiff.errors import BranchError, OutsideWriteError, TracedValueError, UnsupportedError

X = np.array([[0.31, -1.27, 0.83], [-0.62, 1.13, -1.91]])
Y = np.array([0.57, -0.83, 1.21])

PROGRAMS = {
    # views: a write into the result reaches x
    "split": "a, b = np.split(x, [1])\na *= y\nb[:, 1] = 3\nreturn x, a, b",
    "hsplit": "for k, part in enumerate(np.hsplit(x, 3)):\n    part *= k\nreturn x",
    "unstack": "for row in np.unstack(x):\n    row += y\nreturn x",
    "atleast": "a = np.atleast_3d(x)\na[0] = 2\nb = np.atleast_1d(y)\nb[0] = 5\nreturn x, y, a",
    "flip": "np.flip(x, 1)[0] = y\nnp.fliplr(x)[1] += 1\nnp.flipud(x)[:, 0] = 0\nreturn x",
    "rot90": "np.rot90(x)[0] *= 2\nnp.rot90(x, 2)[0] *= y\nnp.rot90(x, -1)[0] = 1\nreturn x",
    "rollaxis": "np.rollaxis(x, 1)[0] = 7\nreturn x",
    "trim_zeros": "a = np.zeros(6)\na[2:4] = y[:2]\nb = np.trim_zeros(a)\nb *= 3\nreturn a, b",
    "broadcast_arrays same shape": "a, b = np.broadcast_arrays(x, x * 2)\nreturn a + b",
    # copies: it does not
    "roll": "a = np.roll(x, 0)\na[0] = 0\nreturn x, a",
    "tile": "a = np.tile(y, 1)\na[0] = 0\nreturn y, a",
    "take": "a = np.take(x, 0, axis=0)\na[0] = 9\nreturn x, a",
    "meshgrid": "a, b = np.meshgrid(y, y)\na[0] = 1\nreturn y, a, b",
    "block": "a = np.block([y])\na[0] = 1\nreturn y, a",
    # read-only
    "diagonal is read-only": "np.diagonal(x)[0] = 1",
    "sliding windows are read-only": "np.lib.stride_tricks.sliding_window_view(y, 2)[0] = 1",
    # layouts
    "reshape in Fortran order": "return np.reshape(x.T, (2, 3), order='A'), np.ravel(x.T, 'K'), np.ravel(x.T, 'A')",
    "zeros_like keeps the layout": "a = np.zeros_like(x.T)\na[0] = y[0]\nb = a.ravel('K')\nb[0] = 7\nreturn a, b",
    # tracked parts that NumPy's dispatch does not look at
    "full_like": "return np.full_like(np.ones((2, 3)), y), np.full_like(x, y[0])",
    "lists": "return np.tile([y[0], y[1]], 2), np.diag([y[0], 2.0]), np.vander([y[0], y[2]])",
    "list repeated": "return np.repeat([y[0], 1.0], [2, 1])",
    "select default": "return np.select([x > 0], [x], default=y)",
    # arguments that are tracked integers
    "tracked counts": "k = np.argmax(y)\nreturn np.tile(y, k), np.roll(y, k), np.repeat(y, k), np.eye(k)",
    # the rest of the rows
    "ix_": "return x[np.ix_([0, 1], [2, 0])], x[np.ix_(x[:, 0] > -2, [1])]",
    "triangles": "return x[np.tril_indices_from(x)], x[np.triu_indices_from(x, 1)]",
    "diagonal places": "a = x @ x.T\nreturn a[np.diag_indices_from(a)]",
    "real_if_close": "return np.real_if_close(x + 1e-16j), np.real_if_close(x + 1j)",
    "nan_to_num in place": "x[0, 0] = np.nan\nr = np.nan_to_num(x, copy=False)\nr[0, 1] = 4\nreturn x",
    "pad by function": "def f(v, width, axis, kw):\n    v[:width[0]] = v[width[0]] * 2\n"
                       "    v[len(v) - width[1]:] = kw['w']\nreturn np.pad(x, ((1, 1), (2, 0)), f, w=5.0)",
    "pad with tracked values": "return np.pad(x, 1, constant_values=y[0])",
    "pad with a pair": "return np.pad(y, (1, 2), constant_values=(y[1], 3.0))",
    "pad integers": "return np.pad(np.argsort(x), 1, 'mean'), np.pad(np.argsort(y), 2, 'linear_ramp')",
    "take out": "out = np.zeros(2)\nr = np.take(y, [0, 2], out=out)\nreturn out, r is out",
    "trace out": "out = np.zeros(())\nnp.trace(x, out=out)\nreturn out",
    "concatenate out": "out = np.zeros((4, 3))\nnp.concatenate([x, x * 2], out=out)\nreturn out",
    "piecewise scalar": "return np.piecewise(y[0], [y[0] > 0, y[0] <= 0], [lambda v: v * v, 0.0])",
    "apply_along_axis": "return np.apply_along_axis(lambda v: v / np.sum(v * v), 1, x)",
    "shape questions": "return np.shape(x), np.ndim(x), np.size(x), np.size(x, 1), np.iscomplexobj(x), np.isrealobj(x)",
    "equal": "return np.array_equal(x, x.copy()), np.array_equiv(x, y), np.allclose(x, x + 1e-9), np.isclose(y, y[0])",
}
ERRORS = """
np.concatenate([x, y])
np.concatenate([x, x], axis=2)
np.concatenate([y[0], y[1]])
np.stack([x, y])
np.vstack([x, y[:2]])
np.block([[x, x], [x]])
np.split(y, 2)
np.array_split(y, 0)
np.hsplit(y[0], 2)
np.vsplit(y, 3)
np.dsplit(x, 1)
np.roll(x, 1, axis=2)
np.roll(x, 1, axis=(0, 3))
np.rollaxis(x, 2)
np.rot90(y)
np.rot90(x, 1, (0, 0))
np.flip(x, 2)
np.fliplr(y)
np.flipud(y[0])
np.repeat(x, [1, 2], axis=1)
np.repeat(y, -1)
np.delete(y, 5)
np.insert(y, 7, 1.0)
np.pad(y, -1)
np.pad(y, 1, 'nowhere')
np.pad(y, 1, 'edge', constant_values=1)
np.pad(y, 1.5)
np.pad(y[:0], 1, 'edge')
np.trim_zeros(y, 'x')
np.take(y, 3)
np.take(y[:0], 0)
np.take(y, y)
np.take(y, [0], mode='other')
np.take_along_axis(x, np.zeros(2, int), 0)
np.take_along_axis(x, np.zeros((2, 3)), 0)
np.take_along_axis(x, np.full((2, 3), 4), 1)
np.compress([[True]], y)
np.choose([0, 3], [y[:2], y[1:]])
np.choose([0, 1], [x, y])
np.select([x > 0], [x, x])
np.select([x], [x])
np.piecewise(y, [y > 0], [1, 2, 3])
np.diag(np.ones((2, 2, 2)) * y[0])
np.diagonal(y)
np.diagonal(x, 0, 0, 0)
np.trace(x, 0, 0, 5)
np.tril(y[0])
np.vander(x)
np.linspace(y[0], y[1], -1)
np.geomspace(y[0] * 0, 1.0)
np.meshgrid(x, y, indexing='no')
np.unravel_index(np.argmax(y) + 9, (2, 2))
np.ravel_multi_index((np.argmax(y) + 9, 0), (2, 2))
np.lib.stride_tricks.sliding_window_view(y, 4)
np.put(y, [5], 1.0)
np.put_along_axis(x, np.zeros(2, int), 1.0, 0)
np.putmask(y, [True], 1.0)
np.place(y, [True], [1.0])
np.fill_diagonal(y, 1.0)
np.copyto(y, x)
np.copyto(np.argsort(y), y)
np.argwhere(y)[9]
np.nonzero(y[0])
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    differential(function(PROGRAMS[name]), X, Y, grads="read-only" not in name)


@pytest.mark.parametrize("call", ERRORS.strip().splitlines())
def test_numpy_errors(call: str) -> None:
    since = {"np.trim_zeros(y, 'x')": "2.2", "np.nonzero(y[0])": "2.1"}.get(call, "2.0")
    assert isinstance(differential(function(f"return {call}"), X, Y), Exception) is numpy_is(since)


# ---------------------------------------------------------------------- memory


def test_shares_memory() -> None:
    f = function("""
        z = x + 1j
        pairs = [(x, x[0]), (x[0], x[1]), (x[:, ::2], x[:, 1::2]), (x.T, x), (x, x.copy()), (z.real, z.imag),
                 (z.real, z),
                 (y, x), (x.reshape(-1)[::2], x[0, 1:2]), (np.diagonal(x), x[1]), (x[:0], x), (x[0, 0], x)]
        return [np.shares_memory(a, b) for a, b in pairs], [np.may_share_memory(a, b) for a, b in pairs]
        """)
    differential(f, X, Y, grads=False)


def test_dtypes_and_text() -> None:
    f = function("""
        return (np.result_type(x, np.float32), np.result_type(2.0, x.astype(np.float32)), np.common_type(x, 1j * x),
                np.can_cast(x.dtype, complex), np.min_scalar_type(x), np.min_scalar_type(y[0]),
                np.array_repr(y), np.array_str(y), np.array2string(y, precision=1))
        """)
    assert f(npdiff.track(X), npdiff.track(Y)) == f(X, Y)


# ---------------------------------------------------------------------- writes that would be lost


@pytest.mark.parametrize("write", [
    "np.copyto(OUT, y)", "np.copyto(OUT, 1.0, where=y > 0)", "np.put(OUT, [0], y[0])",
    "np.putmask(OUT, [True, False, True], y)",
    "np.place(OUT, [True, False, True], y)", "np.put_along_axis(OUT, np.array([0]), y[0], 0)",
    "np.fill_diagonal(OUT2, y[0])", "np.take(y, [0, 1, 2], out=OUT)"])
def test_no_tracked_value_goes_into_a_plain_array(write: str) -> None:
    plain, square = np.zeros(3), np.zeros((2, 2))
    f = function(f"{write}\nreturn y", "y", OUT=plain, OUT2=square)
    if "where" in write:
        f(Y)  # a mask carries no derivative: NumPy's own write
        plain[:] = 0
        npdiff.vjp(f, Y)
        return
    with pytest.raises((OutsideWriteError, TracedValueError), match=r"np\."):
        npdiff.vjp(f, Y)
    assert not plain.any()
    assert not square.any()


def test_writeable_windows_are_refused() -> None:
    f = function("return np.lib.stride_tricks.sliding_window_view(y, 2, writeable=True)", "y")
    with pytest.raises(UnsupportedError, match="writeable"):
        npdiff.vjp(f, Y)


# ---------------------------------------------------------------------- index arrays under vmap

A = np.arange(60.0).reshape(3, 4, 5) ** 1.1
INDEX = """
x[i]
x[:, i]
x[..., i]
x[i, i]
x[i, :2]
x[i, 1]
x[0, i]
x[1:, i]
x[None, :, i]
x[:, None, i]
x[i[:, None], i]
x[i, None, i]
x[[0, 2]]
x[..., [0, 1], None]
x[:, [0, 1]]
x[[0, 1], :, None][i % 2]
x[i[0]]
x[:, i[0]]
x[i[0], i[1]]
x[i[0], 1:]
"""


@pytest.mark.parametrize("where", ["both", "array", "index"])
@pytest.mark.parametrize("index", INDEX.strip().splitlines())
def test_reading(index: str, where: str) -> None:
    rng = np.random.default_rng(3)
    x, i = rng.normal(size=(6, 4, 5)), rng.integers(0, 4, (6, 3))
    axes = {"both": (0, 0), "array": (0, None), "index": (None, 0)}[where]
    args = (x if axes[0] == 0 else x[0], i if axes[1] == 0 else i[0])
    example = [(x[k] if axes[0] == 0 else x[0], i[k] if axes[1] == 0 else i[0]) for k in range(6)]
    f = function(f"return {index}", "x, i")
    np.testing.assert_array_equal(npdiff.vmap(f, axes)(*args), np.stack([f(*e) for e in example]))
    g = npdiff.grad(function(f"return np.sum(np.sin({index}))", "x, i"))
    np.testing.assert_allclose(npdiff.vmap(g, axes)(*args), np.stack([g(*e) for e in example]))


WRITES = """
x[i] = v
x[:, i] = v
x[i, i] = v
x[i, 1] = v
x[1:, i] = v
x[i[0]] = v
x[i[0], i[1]] = v[0]
x[:, i] = v[:3]
x[i, 1:4] = v[:3]
x[[0, 2]] = v
x[i, i] += v[:3]
x[x > 0] = v[0]
x[x > 0] *= 2
np.add.at(x, i, v)
np.add.at(x, (slice(None), i), v[0])
np.put(x, i, v[:3])
np.put_along_axis(x, i[None] + 0 * np.arange(4)[:, None], v[:3], 1)
np.place(x, x > 0, v)
np.putmask(x, x > 0, v)
np.fill_diagonal(x, v[0])
x.flat[i] = v[:3]
"""


@pytest.mark.parametrize("where", [
    (0, 0, 0), (0, None, 0), (0, 0, None), (None, 0, None), (None, None, 0), (None, 0, 0)])
@pytest.mark.parametrize("write", WRITES.strip().splitlines())
def test_writing(write: str, where: Any) -> None:
    rng = np.random.default_rng(4)
    stacks = rng.normal(size=(6, 4, 5)), rng.integers(0, 4, (6, 3)), rng.normal(size=(6, 5))
    if "v\n" in write + "\n" and "i" in write and ("x[:, i]" in write or "x[i, i]" in write or "x[1:, i]" in write
                                                   or "x[i, 1]" in write):
        stacks = (*stacks[:2], stacks[2][:, :3])
    if where == (None, 0, None) and write == "x[x > 0] *= 2":
        pytest.skip("nothing is batched")
    args = [s if a == 0 else s[0] for s, a in zip(stacks, where, strict=True)]
    examples = [[s[k] if a == 0 else s[0] for s, a in zip(stacks, where, strict=True)] for k in range(6)]
    f = function(f"x = x.copy()\n{write}\nreturn x", "x, i, v")
    if write == "x[x > 0] *= 2" and where[0] == 0:
        with pytest.raises(BranchError, match="mask"):
            npdiff.vmap(f, where)(*args)
        return
    ours = npdiff.vmap(f, where)(*args)
    np.testing.assert_allclose(ours, np.stack([f(*[np.copy(a) for a in e]) for e in examples]))
    g = npdiff.grad(function(f"x = x * 1.0\n{write}\nreturn np.sum(np.sin(x))", "x, i, v"), (0, 2))
    for mine, theirs in zip(npdiff.vmap(g, where)(*args), zip(*[g(*e) for e in examples], strict=True), strict=True):
        np.testing.assert_allclose(mine, np.stack(theirs))


def test_a_mask_of_its_own_for_each_example() -> None:
    f = function("return x[x > 0]", "x")
    with pytest.raises(BranchError, match="mask"):
        npdiff.vmap(f)(np.array([[1.0, -1.0], [2.0, 3.0]]))
    with pytest.raises(BranchError, match="nonzero"):
        npdiff.vmap(function("return np.nonzero(x)[0]", "x"))(np.array([[1.0, 0.0], [2.0, 3.0]]))


def test_no_loop_over_the_examples() -> None:
    """Reading and writing with an index array per example is one equation each, whatever the batch."""
    f = npdiff.vmap(function("x[i] = 2 * x[i + 1]\nreturn x", "x, i"))
    sizes = []
    for n in (2, 7):
        graph = npdiff.make_graph(lambda x, i: f(x, i))(np.ones((n, 5)), np.zeros((n, 2), int))
        sizes.append(len(graph.equations))
    assert sizes[0] == sizes[1]


def test_a_subclass_of_ndarray_defined_inside_a_transform() -> None:
    f = function("""
        class Mine(np.ndarray):
            def twice(self):
                return super().__mul__(2)
        made.append(Mine)
        return x
        """, "x", made=(made := []))
    npdiff.vjp(f, X)
    assert made[0].__mro__[1] is np.ndarray
    assert made[0](3).twice().shape == (3,)
