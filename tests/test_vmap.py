"""vmap against a loop over the examples."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from wording import assert_says

import npdiff
from npdiff.errors import ArgumentError, BranchError, TracedValueError

A = np.arange(6.0).reshape(2, 3) / 4 + 0.1
B = A[:, ::-1] * 2 - 1
T = np.arange(24.0).reshape(2, 3, 4) / 9
W = np.array([1.0, -2.0, 0.5])
Pair = namedtuple("Pair", ["a", "b"])


def writes(x):
    y = np.zeros(3)
    y[1:] = x[:2]
    y[0] += 2
    y *= x
    return y


def writes_argument(x):
    x[0] = x[1] * 2
    v = x[1:]
    v += 1
    return x


def unbatched_write(x):
    w = np.copy(W)
    w[1] = x[0]
    return w


def closes_and_writes(x):
    w = np.ones(2)
    for k in range(2):
        w[k] = w[k - 1] * x[k]
    return w


ONE: list[Any] = [
    np.sin, lambda x: x @ W, lambda x: W @ x, lambda x: x.sum(), lambda x: x[::-1], lambda x: x[[0, 2]],
    lambda x: x[1], lambda x: np.outer(x, x), lambda x: np.sort(x), lambda x: np.where(x > 0.5, x, -x),
    lambda x: np.concatenate([x, W]), lambda x: np.stack([x, W]), lambda x: x.reshape(3, 1) * x,
    lambda x: (x, x.T, x.size, x.shape, x.ndim), lambda x: np.linalg.norm(x), lambda x: np.copy(W)[np.argmax(x)],
    lambda x: x[np.argsort(x)], lambda x: np.array([x[0], 1.0, x[1]]), lambda x: [v * 2 for v in x],
    lambda x: np.cumsum(x)[-1], lambda x: np.var(x), lambda x: np.broadcast_to(x, (2, 3)), lambda x: x.astype("f4"),
    lambda x: np.linalg.solve(np.outer(x, x) + np.eye(3), x), lambda x: x * 1j, lambda x: (x > 0.5) & (x < 1),
    lambda x: np.full(2, x[0]), lambda x: np.einsum("i,j->ij", x, W), lambda x: np.maximum(x, W).max(),
    lambda x: x[None], lambda x: np.expand_dims(x, -1), lambda x: x.mean(keepdims=True), lambda x: np.fft.fft(x),
    lambda x: {"s": x.sum(), "p": Pair(x, W)}, lambda x: np.tile(x, 2), lambda x: np.roll(x, 1), lambda x: np.diff(x),
    lambda x: npdiff.grad(lambda y: np.sum(y**3))(x), lambda x: npdiff.jacfwd(np.sin)(x),
    lambda x: npdiff.jvp(np.sin, (x,), (W,))[1], lambda x: npdiff.vjp(np.sin, x)[1](W)[0],
    lambda x: npdiff.hessian(lambda y: np.prod(y))(x), lambda x: npdiff.vmap(lambda v: v * x)(W),
    lambda x: npdiff.vmap(lambda v: v * W)(x), lambda x: npdiff.grad(lambda w: np.sum(npdiff.vmap(np.sin)(w) * x))(W),
    writes, writes_argument, unbatched_write, closes_and_writes, npdiff.checkpoint(np.sin), lambda x: 2.0,
    lambda x: np.ones(2), lambda x: None, lambda x: x.copy(), lambda x: x.ravel(),
    lambda x: np.interp(x, [0, 1], [2, 3]),
]


def loop(f: Any, *columns: Any) -> Any:
    """f of each example, stacked leaf by leaf."""
    rows = [npdiff.tree.flatten(f(*[np.copy(c) for c in row])) for row in zip(*columns, strict=True)]
    return npdiff.tree.unflatten(rows[0][1], [np.stack(leaf) for leaf in zip(*[r[0] for r in rows], strict=True)])


def same(ours: Any, theirs: Any) -> None:
    a, structure = npdiff.tree.flatten(ours)
    b, wanted = npdiff.tree.flatten(theirs)
    assert structure == wanted
    for x, y in zip(a, b, strict=True):
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("f", ONE, ids=range(len(ONE)))
def test_one_argument(f):
    before = A.copy()
    same(npdiff.vmap(f)(A), loop(f, A))
    np.testing.assert_array_equal(A, before)


TWO: list[Any] = [
    np.add, np.dot, lambda x, y: x * y.sum() - y[0], lambda x, y: np.where(x > 0, x, y), np.outer, np.hypot,
    lambda x, y: np.concatenate([x, y]), lambda x, y: x[np.argsort(y)], lambda x, y: np.stack([x, y])[:, ::-1],
    lambda x, y: np.linalg.solve(np.outer(x, x) + 2 * np.eye(3), y), lambda x, y: np.einsum("i,i", x, y),
    lambda x, y: npdiff.grad(lambda v: np.sum(v * y**2))(x), lambda x, y: npdiff.jvp(np.sin, (x,), (y,)),
]


def add_into(x, y):
    x += y
    return x


def put_at(x, y):
    z = np.zeros(3)
    z[np.argmax(x)] = y[0]
    np.add.at(z, [0, 0], y[:2])
    return z


def scale_first(x, y):
    x[0] *= y[1]
    x[1:] = y[:2]
    return x


@pytest.mark.parametrize("f", [*TWO, add_into, put_at, scale_first], ids=range(len(TWO) + 3))
@pytest.mark.parametrize("in_axes", [(0, 0), (0, None), (None, 0), (-1, 1), (1, None)])
def test_two_arguments(f, in_axes):
    full = [A, B]
    given = [W.copy() if axis is None else np.moveaxis(v, 0, axis) for v, axis in zip(full, in_axes, strict=True)]
    columns = [np.stack([W, W]) if axis is None else v for v, axis in zip(full, in_axes, strict=True)]
    same(npdiff.vmap(f, in_axes)(*given), loop(f, *columns))


@pytest.mark.parametrize(("in_axes", "given"), [
    (({"a": 0, "b": None},), ({"a": A, "b": W},)), (({"a": 1, "b": -1},), ({"a": A.T, "b": np.moveaxis(A, 0, -1)},)),
    (0, ({"a": A, "b": A},)), ([0], ({"a": A, "b": A},)),
])
def test_axes_over_containers(in_axes, given):
    axes = {"a": 0, "b": 0} if in_axes in (0, [0]) else in_axes[0]
    got = npdiff.vmap(lambda d: d["a"] * d["b"], in_axes)(*given)
    b = np.stack([W, W]) if axes["b"] is None else A
    np.testing.assert_allclose(got, A * b)


@pytest.mark.parametrize(("out_axes", "shape"), [(0, (2, 3, 4)), (1, (3, 2, 4)), (2, (3, 4, 2)), (-1, (3, 4, 2)),
                                                 (-2, (3, 2, 4))])
def test_out_axes(out_axes, shape):
    got = npdiff.vmap(lambda x: x * 2, out_axes=out_axes)(T)
    assert got.shape == shape
    np.testing.assert_array_equal(np.moveaxis(got, out_axes, 0), T * 2)


def test_out_axes_over_containers():
    got = npdiff.vmap(lambda x: {"a": x, "b": (x * 2, W)}, out_axes={"a": 1, "b": (0, None)})(A)
    assert got["a"].shape == (3, 2)
    assert got["b"][0].shape == (2, 3)
    np.testing.assert_array_equal(got["b"][1], W)


def test_keywords_and_other_leaves():
    f = lambda x, mode=None, *, k, n=2: (x * k * n, "text", mode)
    got = npdiff.vmap(f, (0, None))(A, "sum", k=np.array([2.0, 3.0]))
    np.testing.assert_allclose(got[0], A * np.array([[2.0], [3.0]]) * 2)
    assert got[1:] == ("text", "sum")


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("f", [np.sin, np.sum, lambda x: x @ W, writes, lambda x: np.sort(x), lambda x: np.outer(x, W),
                               npdiff.grad(lambda x: np.sum(x**2)), lambda x: (x, np.linalg.norm(x)),
                               lambda x: np.linalg.inv(np.outer(x, x) + np.eye(3))],
                         ids=range(9))
def test_small_batches(size, f):
    got = npdiff.vmap(f)(A[:size])
    wanted = npdiff.tree.map_leaves(lambda leaf: leaf[:size], npdiff.vmap(f)(A))
    same(got, wanted)


@pytest.mark.parametrize(("f", "axes"), [
    (lambda x: npdiff.vmap(np.sin)(x), 0), (lambda x: npdiff.vmap(lambda v: v * x[0])(x), 0),
    (lambda x: npdiff.vmap(lambda v: v @ x, 1)(x), 0),
    (lambda x: npdiff.vmap(lambda v, w: v * w, (1, None))(x, x[:, 0]), 0),
    (lambda x: npdiff.vmap(lambda v: v.sum(), 0, 0)(x), 2), (lambda x: npdiff.vmap(npdiff.vmap(np.cos))(x[None]), 1),
])
def test_nested(f, axes):
    columns = np.moveaxis(T, axes, 0)
    try:
        wanted = loop(f, columns)
    except ValueError as error:
        with pytest.raises(type(error)):
            npdiff.vmap(f, axes)(T)
        return
    same(npdiff.vmap(f, axes)(T), wanted)


@pytest.mark.parametrize("order", ["vmap grad vmap", "grad vmap grad", "vmap vmap grad"])
def test_with_derivatives(order):
    x = T[:, :, :3]
    if order == "vmap grad vmap":
        got = npdiff.vmap(npdiff.grad(lambda m: np.sum(npdiff.vmap(lambda r: np.prod(r))(m))))(x)
        wanted = np.stack([npdiff.grad(lambda m: sum(np.prod(r) for r in m))(m) for m in x])
    elif order == "grad vmap grad":
        got = npdiff.grad(lambda m: np.sum(npdiff.vmap(npdiff.grad(np.prod))(m) ** 2))(A)
        wanted = npdiff.grad(lambda m: sum(np.sum(npdiff.grad(np.prod)(r) ** 2) for r in m))(A)
    else:
        got = npdiff.vmap(npdiff.vmap(npdiff.grad(np.prod)))(x)
        wanted = np.stack([np.stack([npdiff.grad(np.prod)(r) for r in m]) for m in x])
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_jacobian_by_vmap():
    f = lambda x: np.sin(x) * x[::-1]
    _, pull = npdiff.vjp(f, W)
    rows = npdiff.vmap(lambda ct: pull(ct)[0])(np.eye(3))
    np.testing.assert_allclose(rows, npdiff.jacfwd(f)(W))
    np.testing.assert_allclose(npdiff.vmap(lambda t: npdiff.jvp(f, (W,), (t,))[1])(np.eye(3)).T, npdiff.jacrev(f)(W))


@pytest.mark.parametrize("index", [np.array([[0, 1], [2, 0]]), np.array([[0], [5]])])
def test_batched_indices(index):
    if index.max() >= 3:
        with pytest.raises(IndexError, match=r"index 5 is out of bounds for axis . with size 3"):
            npdiff.vmap(lambda x, i: x[i])(A, index)
        return
    wanted = np.stack([x[i] for x, i in zip(A, index, strict=True)])
    np.testing.assert_array_equal(npdiff.vmap(lambda x, i: x[i])(A, index), wanted)
    np.testing.assert_array_equal(npdiff.vmap(lambda i: np.copy(W)[i])(index), W[index])

    def put(x, i):
        x[i] = 7
        return x

    wanted = np.stack([put(x.copy(), i) for x, i in zip(A, index, strict=True)])
    np.testing.assert_array_equal(npdiff.vmap(put)(A, index), wanted)


A23, FITS = "ndarray float64[2, 3]", "as an int, None, or containers of them shaped like the value"
HAS_AXES = "give it None in in_axes, or an axis it has"
BRANCH = "use np.where for a branch, or loop over the examples instead of vmap"
MESSAGES: list[tuple[Any, type[Exception], str, str, str]] = [
    (lambda: npdiff.vmap(3), ArgumentError, "vmap: the first argument must be a function", "int 3",
     "write npdiff.vmap(f)(x), not npdiff.vmap(f(x))"),
    (lambda: npdiff.vmap(np.add)(A, A[:1]), ArgumentError, "vmap: batch sizes differ: [2, 1]",
     f"{A23}, ndarray float64[1, 3]", "give all batched arguments the same size along their batch axis"),
    (lambda: npdiff.vmap(np.add, (0,))(A, A), ArgumentError, "vmap: in_axes has 1 entries for 2 positional arguments",
     "tuple of (int 0)", "give one entry per positional argument"),
    (lambda: npdiff.vmap(np.sin, None)(A), ArgumentError, "vmap: no argument is batched", A23,
     "give at least one argument an axis in in_axes"),
    (lambda: npdiff.vmap(np.sin, 2)(A), ArgumentError,
     "vmap: leaf 0 of the arguments has 2 axes, and in_axes asks for axis 2", A23, HAS_AXES),
    (lambda: npdiff.vmap(np.sin)(3.0), ArgumentError,
     "vmap: leaf 0 of the arguments has 0 axes, and in_axes asks for axis 0", "float 3.0", HAS_AXES),
    (lambda: npdiff.vmap(np.sin, ({"a": 0},))(A), ArgumentError, "vmap: in_axes does not fit the value it describes",
     f"dict, {A23}", f"give in_axes {FITS}"),
    (lambda: npdiff.vmap(np.sin, out_axes=(0, 0))(A), ArgumentError,
     "vmap: out_axes does not fit the value it describes", "tuple of (int 0, int 0), DiffArray float64[3]",
     f"give out_axes {FITS}"),
    (lambda: npdiff.vmap(np.sin, out_axes=None)(A), ArgumentError,
     "vmap: out_axes is None for a result that differs along the batch", "DiffArray float64[3]",
     "give it an axis in out_axes"),
    (lambda: npdiff.vmap(lambda x, m: x)(A, "text"), ArgumentError, "vmap: leaf 1 of the arguments is not an array",
     "str 'text'", "give it None in in_axes"),
    (lambda: npdiff.vmap(lambda x: 1 if x[0] > 0 else 2)(A), BranchError,
     "bool: Python needs one value here, but under vmap each example has its own", "DiffArray bool", BRANCH),
    (lambda: npdiff.vmap(lambda x: float(x[0]))(A), TracedValueError,
     "float: needs one plain value, but under vmap each example has its own", "DiffArray float64",
     "use NumPy's function (np.sin, not math.sin)"),
    (lambda: npdiff.vmap(lambda x: x[x > 0.5])(A), BranchError,
     "getitem: a mask that differs along the vmapped axis selects a different number of elements for each example",
     "ndarray bool[2, 3]", "use np.where(mask, x, 0)"),
    (lambda: npdiff.vmap(lambda x: W[np.argmax(x)])(A), TracedValueError,
     "np.asarray: needs one plain value, but under vmap each example has its own", "DiffArray int64",
     "write np.copy(a)[i] where i indexes a plain array a, or use NumPy's function of the whole"),
    (lambda: npdiff.vmap(lambda x: np.arange(np.argmax(x)))(A), BranchError,
     "int: Python needs one value here, but under vmap each example has its own", "DiffArray int64", BRANCH),
]


@pytest.mark.parametrize(("run", "kind", "what", "received", "instead"), MESSAGES, ids=range(len(MESSAGES)))
def test_errors(run, kind, what, received, instead):
    with pytest.raises(kind) as caught:
        run()
    assert_says(caught.value, run, what, received, instead)


def _added(total, value):
    total += value


def _accumulated(t):
    total = np.zeros(())
    for v in t:
        _added(total, v)
    return total * t[0]


def _of_a_number(t):
    a = np.array(t[0])
    b = a
    b += t[1]
    return a * b


def _of_a_result(t):
    a = np.asarray(t[0] * 2)
    _added(a, t[1])
    return a * t[0]


def _filled(t):
    a = np.empty_like(t[0])
    a[...] = t[1]
    _added(a, 1)
    return a * t[0]


def _into(t):
    a = np.zeros(())
    np.add(a, t[0], out=a)
    a[...] += t[1]
    return a * a


def _through_a_view(t):
    a = t[1:] * 1.0
    b = a.squeeze()
    b -= 0.4
    return np.sum(np.log2(a))


def _a_scalar(t):
    a = t[0].copy()
    b = a
    b += t[1]
    return a * b


@pytest.mark.parametrize("f", [_accumulated, _of_a_number, _of_a_result, _filled, _into, _through_a_view, _a_scalar])
def test_arrays_without_axes_are_written_into_and_scalars_are_not(f):
    x = np.array([[1.0, 2.0], [3.0, 4.0], [0.5, 0.75]])
    np.testing.assert_array_equal(npdiff.vmap(f)(x), [f(row) for row in x])
    both = npdiff.value_and_grad(f)
    values, gradients = npdiff.vmap(both)(x)
    np.testing.assert_array_equal(values, [f(row) for row in x])
    np.testing.assert_allclose(gradients, [both(row)[1] for row in x], rtol=1e-14)
    np.testing.assert_allclose(npdiff.vmap(npdiff.jacfwd(f))(x), gradients, rtol=1e-14)
    np.testing.assert_allclose(npdiff.jit(npdiff.vmap(both))(x)[1], gradients, rtol=1e-14)
    pairs = np.stack([x, x + 1])
    np.testing.assert_array_equal(npdiff.vmap(npdiff.vmap(f))(pairs), [[f(row) for row in rows] for rows in pairs])
