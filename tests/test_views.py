"""Writes through every kind of view, seen from every alias: each view crossed with each write."""

from __future__ import annotations

import numpy as np
import pytest
from differential import differential, function

import npdiff

X = np.array([[0.31, -1.27, 0.83, 1.71], [-0.62, 1.13, -1.91, 0.17], [1.42, -0.45, 0.58, -0.94]])

VIEWS = """
x
x[()]
x[...]
x[1]
x[-1]
x[1:]
x[:, 1]
x[::-1]
x[:, ::-2]
x[2:0:-1, 1:3]
x[..., 0]
x[None]
x[1:, None, :2]
x[0:0]
x[5:]
x[1][::2]
x[1:][::-1]
x.T
x.mT
x.T[1:]
x.T[::-1].T
x.reshape(4, 3)
x.reshape(-1)
x.reshape((2, 2, 3))
x.reshape(4, 3).T
x.reshape(4, 3)[1:, ::2]
x.reshape(-1)[::3]
x.reshape(4, 3, order='F')
x.T.reshape(3, 4, order='F')
x.T.reshape(-1)
x[:, 1:3].reshape(-1)
x[::2].reshape(2, 2, 2)
x[:, :2].reshape(3, 2, 1)
x.ravel()
x.ravel('F')
x.ravel('K')
x.T.ravel()
x.T.ravel('F')
x.T.ravel('K')
x[::2].ravel()
np.ravel(x)[2:7]
x.swapaxes(0, 1)
x.transpose()
x.transpose(1, 0)
np.transpose(x, (1, 0))
np.permute_dims(x, (1, 0))
np.moveaxis(x, 0, 1)
np.rollaxis(x, 1)
np.expand_dims(x, 1)
np.expand_dims(x[0], (0, 2))
x[:1].squeeze()
np.squeeze(x[:, 1:2], axis=1)
np.flip(x)
np.flipud(x)
np.fliplr(x)
np.rot90(x)
np.rot90(x, 2)
np.split(x, 2, axis=1)[1]
np.array_split(x, 2)[0]
np.hsplit(x, 2)[0]
np.vsplit(x, 3)[2]
np.unstack(x, axis=1)[2]
np.atleast_1d(x[0])
np.atleast_2d(x[0])
np.atleast_3d(x)
x.diagonal()
np.diagonal(x, 1)
np.diag(x)
np.broadcast_to(x, (2, 3, 4))
np.broadcast_to(x[0], (2, 4))[1]
np.broadcast_to(x, (3, 4))
x.real
x.view()
x.view()[1:]
np.asarray(x)
np.asarray(x)[1]
np.asanyarray(x)
np.ascontiguousarray(x)
np.ascontiguousarray(x.T)
np.asarray(x, dtype=float)
np.array(x)
np.array(x, copy=False)
np.array(x[1], copy=None)
np.copy(x)
x.copy()
x.copy()[1]
x.flatten()
x.astype(float)
x.astype(float, copy=False)
x.astype(np.float32)
x[[0, 2]]
x[[0, 2], 1:]
x[:, [0, 2]]
x[[2, 0], [1, 1]]
x[x > 0]
x[np.array([True, False, True])]
x[np.ix_([0, 2], [1, 3])]
x.take([0, 1], axis=0)
x + 0.0
+x
np.positive(x)
np.squeeze(x)
np.sort(x)
np.tril(x)
np.roll(x, 1)
np.concatenate([x, x])
np.real(x)
np.nan_to_num(x, copy=False)
next(iter(x))
list(x)[2]
x.base if x.base is not None else x
""".strip().splitlines()

WRITES = """
v[...] = y
v[0] = y
v[0] += y
v[-1] *= y
v[...] = v[::-1]
v[1:] = v[:-1]
v[:-1] = v[1:]
v[1:] += v[:-1]
v[::-1] -= v
v += y
v -= y * y
v *= v
v /= 2 + y
v **= 2
v %= 1.3
v //= 2.0
v[v > 0] = y
v[v > 0] *= y
v[v > 5] = y
v[[0, 0, -1]] = y
v[[0, 0, -1]] += v[0]
v[[0, 1]] = v[[1, 0]]
v[..., 0] = y
v[..., :1] = y
v[0], v[-1] = v[-1], v[0]
np.add(v, y, out=v)
np.sin(v, out=v)
np.negative(v, v)
np.multiply(v, y, out=v, where=v > 0)
np.maximum(v, y, v)
np.add.at(v, [0, 0, -1], y)
np.multiply.at(v, [0, 0], y)
np.cumsum(v, axis=0, out=v)
np.clip(v, -1, 1.0, out=v)
np.copyto(v, y)
np.copyto(v, y, where=v > 0)
np.put(v, [0, 2, 0], [y, y * y, 3.0])
np.place(v, v > 0, [y, 2.0])
np.putmask(v, v > 0, v * y)
np.fill_diagonal(v, y)
v.fill(y)
v.sort()
v.sort(axis=0)
v.partition(1)
v.flat[1] = y
v.flat[:3] = [y, 2.0, 3.0]
v.flat = y
v.put([0, 1], y)
v.real = y
v.T[0] = y
v.reshape(-1)[0] = y
v.ravel()[-1:] *= y
v.itemset if False else v.fill(y * v.sum())
x[0] = y
x[...] = x[::-1] * y; v += x.flat[0]
v *= 2; x += 1; v[0] = x[0, 0]
x.T[1:] *= y; v[...] = v * y
w = v[1:]; w *= y; v[0] = w[-1]; x[-1] = 3 * y
w = v[0]; v[...] = y; v[0] = w
for i in range(len(v)): v[i] = v[i - 1] * y
np.put_along_axis(v, v.argsort(-1)[..., :1], y, -1)
""".strip().splitlines()


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("view", VIEWS)
def test_write_through_view(view: str, write: str) -> None:
    read_only = "diag" in view or "broadcast_to" in view
    if read_only and ".at(" in write and np.lib.NumpyVersion(np.__version__) < "2.5.0":
        pytest.skip("NumPy before 2.5 lets ufunc.at write through a read-only view; here it raises, as in 2.5")
    f = function(f"v = {view}\nw = v\n{write}\nreturn x, v, w")
    if read_only and "cumsum" in write and np.lib.NumpyVersion(np.__version__) < "2.5.0":
        for way in (f, lambda *a: npdiff.vjp(f, *a)):  # older NumPys word it by how the operands lie in memory
            with pytest.raises(ValueError, match="read-only"):
                way(X.copy(), np.float64(0.7))
        return
    differential(f, X.copy(), np.float64(0.7))


# Which write reaches whom must not depend on the order of the base's own memory.
BASES = ["x = np.asfortranarray(x)", "x = x[::-1]", "x = x.T[:3]", "x = np.zeros((3, 4)) + x", "x = x.copy()[:, ::-1]"]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("view", [v for v in VIEWS if "reshape" in v or "ravel" in v or "x.T" in v or "flat" in v])
def test_memory_order(base: str, view: str) -> None:
    f = function(f"{base}\nv = {view}\nv[0] = y\nx[1] *= y\nreturn x, v")
    differential(f, X.copy(), np.float64(0.7))


def test_the_arguments_own_order_counts() -> None:
    f = function("v = x.reshape(-1)\nv[1] = y\nw = x.ravel('K')\nw[2] = 2 * y\nreturn x, v, w")
    for x in (X, np.asfortranarray(X), X[::-1], X[:, ::2], np.broadcast_to(X[0], (2, 4)).copy("K")):
        differential(f, x, np.float64(0.7))




@pytest.mark.parametrize("view", VIEWS)
def test_reading_after_every_write(view: str) -> None:
    """Values read at different times stay what they were; only aliases move."""
    f = function(f"""
        v = {view}
        before, copy = v * 1.0, v.copy()
        x[...] = x * y
        between = v + 0.0
        x[0] += 1.0
        return x, v, before, copy, between
    """)
    differential(f, X.copy(), np.float64(0.7), order=2)
