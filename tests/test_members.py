"""Every public name of ndarray on a tracked array: it is there, takes what NumPy's takes, and means the same."""

from __future__ import annotations

import inspect
import io
import warnings
from typing import Any

import numpy as np
import pytest
from differential import differential, function

import npdiff
from npdiff.array import DiffArray
from npdiff.dispatch.declare import numpy_is
from npdiff.errors import TracedValueError, UnsupportedError
from npdiff.operators import _METHODS, _PLAIN, REFUSED

X = np.array([[0.31, -1.27, 0.83], [-0.62, 1.13, -1.91]])


def public_names() -> list[str]:
    """The names an ndarray has; some NumPys list names that they no longer have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [n for n in dir(np.ndarray) if not n.startswith("_") and hasattr(np.eye(1), n)]


NAMES = public_names()
CALLABLE = [n for n in NAMES if callable(getattr(np.ndarray, n))]


def test_every_name_is_there() -> None:
    assert [n for n in NAMES if n not in vars(DiffArray)] == []
    ours = {n for n in vars(DiffArray) if not n.startswith("_")}
    assert ours - set(NAMES) == {"value", "grad", "backward"}


def test_tables_do_not_overlap() -> None:
    listed = [*_METHODS, *_PLAIN, *REFUSED]
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("name", CALLABLE)
def test_signature(name: str) -> None:
    def parameters(method: Any) -> list[tuple[str, Any, Any]]:
        return [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]

    try:
        theirs = parameters(getattr(np.ndarray, name))
    except ValueError:
        pytest.skip("NumPy does not tell this signature")
    ours = parameters(getattr(DiffArray, name))
    if not numpy_is("2.5"):  # parameters that came later may be there
        ours = [p for p in ours if p in theirs or p[1] is not inspect.Parameter.KEYWORD_ONLY]
    assert ours == theirs


_MASK = "np.array([[True, False, True], [True, True, False]])"
# Calls that use each parameter, by position and by name.
CALLS: dict[str, tuple[str, ...]] = {
    "all": ("(x > 0).all(1)", "x.all(axis=0, keepdims=True)", f"x.all(where={_MASK})"),
    "any": ("(x > 0).any(1)", "x.any(axis=0, keepdims=True)", f"x.any(where={_MASK})"),
    "argmax": ("x.argmax()", "x.argmax(1)", "x.argmax(axis=0, keepdims=True)"),
    "argmin": ("x.argmin()", "x.argmin(1)", "x.argmin(axis=0, keepdims=True)"),
    "argpartition": ("x.argpartition(1)", "x.argpartition(1, 0, 'introselect')"),
    "argsort": ("x.argsort()", "x.argsort(0, 'stable')", "x.argsort(axis=None)", "x.argsort(stable=True)"),
    "astype": ("x.astype(np.float32)", "x.astype(complex, 'K', 'safe', True, False)", "x.astype(dtype=float)"),
    "choose": ("(x > 0).astype(int).choose([x, -x])", "(x > 0).astype(int).choose([x, -x], mode='clip')"),
    "clip": ("x.clip(-0.5)", "x.clip(-0.5, 0.7)", "x.clip(max=0.7)", "x.clip(min=-0.5, max=x * 2 + 0.01)",
             "x.clip(-0.5, 0.7, np.zeros((2, 3)))"),
    "compress": ("x.compress([True, False, True], 1)", "x.compress(condition=[True], axis=0)", "x.compress([0, 1])"),
    "conj": ("x.conj()", "(x + 1j * x[::-1]).conj()"),
    "conjugate": ("x.conjugate()", "(x + 1j * x[::-1]).conjugate()"),
    "copy": ("x.copy()", "x.copy('F')", "x.copy(order='K')"),
    "cumprod": ("x.cumprod()", "x.cumprod(1, complex)", "x.cumprod(axis=0, out=np.zeros((2, 3)))"),
    "cumsum": ("x.cumsum()", "x.cumsum(1, complex)", "x.cumsum(axis=0, out=np.zeros((2, 3)))"),
    "diagonal": ("x.diagonal()", "x.diagonal(1, 1, 0)", "x.diagonal(offset=-1, axis1=0, axis2=1)"),
    "dot": ("x.dot(x.T)", "x.dot(x[0], np.zeros(2))", "x.dot(2.0)"),
    "fill": ("y = x * 1\ny.fill(x[0, 0])\nreturn y", "y = x * 1\ny.fill(2)\nreturn y"),
    "flatten": ("x.flatten()", "x.flatten('F')"),
    "item": ("x.item(4)", "x.item(1, -1)", "x.item((0, 1))", "x[:1, :1].item()"),
    "max": ("x.max()", "x.max(1)", "x.max(axis=0, keepdims=True, initial=0.2)", f"x.max(where={_MASK}, initial=-9)"),
    "mean": ("x.mean()", "x.mean(1, complex)", "x.mean(axis=0, keepdims=True)", f"x.mean(where={_MASK})"),
    "min": ("x.min()", "x.min(1)", "x.min(axis=0, keepdims=True, initial=0.2)", f"x.min(where={_MASK}, initial=9)"),
    "nonzero": ("(x > 0).nonzero()",),
    "partition": ("y = x * 1\ny.partition(1)\nreturn y", "y = x * 1\ny.partition(1, 0, 'introselect')\nreturn y"),
    "prod": ("x.prod()", "x.prod(1, complex)", "x.prod(axis=0, keepdims=True, initial=2)", f"x.prod(where={_MASK})"),
    "put": ("y = x * 1\ny.put([1, 7], x[0, :2], 'wrap')\nreturn y", "y = x * 1\ny.put([1], 5, mode='raise')\nreturn y"),
    "ravel": ("x.ravel()", "x.ravel('F')", "x.ravel(order='K')"),
    "repeat": ("x.repeat(2)", "x.repeat([1, 0, 2], 1)", "x.repeat(repeats=2, axis=0)" if not numpy_is("2.5") else
               "x.repeat(2, axis=0)"),
    "reshape": ("x.reshape(3, 2)", "x.reshape((6,))", "x.reshape(-1, order='F')"),
    "round": ("x.round()", "x.round(1)", "x.round(decimals=1)"),
    "searchsorted": ("np.sort(x[0]).searchsorted(x)", "np.sort(x[0]).searchsorted(0.1, 'right')",
                     "x[0].searchsorted(0.1, sorter=np.argsort(x[0]))"),
    "sort": ("y = x * 1\ny.sort()\nreturn y", "y = x * 1\ny.sort(0, 'stable')\nreturn y",
             "y = x * 1\ny.sort(axis=1, stable=True)\nreturn y"),
    "squeeze": ("x[:1].squeeze()", "x[:1].squeeze(0)", "x[:1].squeeze(axis=0)"),
    "std": ("x.std()", "x.std(1, None, None, 1)", "x.std(axis=0, ddof=1, keepdims=True)", f"x.std(where={_MASK})"),
    "sum": ("x.sum()", "x.sum(1, complex)", "x.sum(axis=0, keepdims=True, initial=2)", f"x.sum(where={_MASK})",
            "x.sum(0, None, np.zeros(3))"),
    "swapaxes": ("x.swapaxes(0, 1)", "x.swapaxes(-1, 0)"),
    "take": ("x.take([0, 4])", "x.take([2, 0], 1)", "x.take([3, -1], axis=0, mode='wrap')"),
    "to_device": ("x.to_device('cpu')", "x.to_device('gpu')", "x.to_device('cpu', stream=1)"),
    "tolist": ("np.array(x.tolist())",),
    "trace": ("x.trace()", "x.trace(1, 1, 0)", "x.trace(offset=-1, dtype=complex)"),
    "transpose": ("x.transpose()", "x.transpose(1, 0)", "x.transpose((1, 0))", "x.transpose(None)"),
    "var": ("x.var()", "x.var(1, None, None, 1)", "x.var(axis=0, ddof=1, keepdims=True)", f"x.var(where={_MASK})"),
    "view": ("x.view()", "x.view(np.ndarray)", "x.view(np.float64)", "(x + 1j * x[::-1]).view(float)",
             "x[:, :2].copy().view(dtype=complex)"),
}


def test_every_method_is_called() -> None:
    assert sorted([*CALLS, *REFUSED, *_PLAIN]) == sorted(CALLABLE + ["ctypes", "data"])


@pytest.mark.parametrize(("name", "call"), [(n, c) for n, calls in CALLS.items() for c in calls])
def test_calls(name: str, call: str) -> None:
    differential(function(call if "return" in call else f"return {call}", "x"), X)


@pytest.mark.skipif(not numpy_is("2.5"), reason="NumPy before 2.5 does not sort backwards")
@pytest.mark.parametrize("call", ["y = x * 1\ny.sort(descending=True)\nreturn y", "return x.argsort(descending=True)"])
def test_descending(call: str) -> None:
    differential(function(call, "x"), X)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(name: str) -> None:
    why, instead = REFUSED[name]
    with pytest.raises(UnsupportedError) as caught:
        npdiff.grad(lambda x: getattr(x, name)())(X)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"ndarray.{name}: {why}"
    assert lines[1].strip() == "received: DiffArray float64[2, 3]"
    assert lines[-1].strip() == f"instead: {instead}"


@pytest.mark.parametrize("name", sorted(_PLAIN))
@pytest.mark.filterwarnings("ignore:tostring:DeprecationWarning")
def test_plain(name: str) -> None:
    arguments: list[Any] = [io.BytesIO()] if name == "dump" else ["/nowhere"] if name == "tofile" else []
    with pytest.raises(TracedValueError, match=rf"^ndarray\.{name}: would drop the derivative of a tracked value"):
        npdiff.grad(lambda x: getattr(x, name)(*arguments))(X)


def test_bytes_of_what_carries_no_derivative() -> None:
    seen: list[Any] = []
    npdiff.grad(lambda x: (seen.append(np.argsort(x, axis=1).tobytes()), np.sum(x))[1])(X)
    assert seen == [np.argsort(X, axis=1).tobytes()]


def test_attributes() -> None:
    def program(x: Any) -> Any:
        z = x + 1j * x[::-1]
        assert (z.shape, z.ndim, z.size, z.itemsize, z.nbytes, z.dtype) == ((2, 3), 2, 6, 16, 96, np.dtype(complex))
        assert (z.device, z.strides, z.flags.c_contiguous) == ("cpu", (48, 16), True)
        assert z[0].base is z
        assert z.base is None
        return z.T @ z.mT.conj().T, z.real, z.imag, z.flat[4]

    differential(program, X)


# ---------------------------------------------------------------------- what NumPy does behind the methods' back


@pytest.mark.filterwarnings("ignore:you are shuffling a 'DiffArray'")
@pytest.mark.parametrize("make", ["np.random.default_rng(3)", "np.random.RandomState(3)"])
def test_shuffle_of_rows_by_a_generator(make: str) -> None:
    f = function(f"y = x * 1\n{make}.shuffle(y)\nreturn np.sum(y * y)", "x")
    with pytest.raises(UnsupportedError) as caught:
        npdiff.grad(f)(X)
    lines = str(caught.value).splitlines()
    assert lines[0] == "shuffle: compiled code exchanges parts of a tracked array through views, which doubles some"
    assert lines[-1].strip() == (
        "instead: write x[...] = x[rng.permutation(x.shape[0])], or use np.random.shuffle in a transform")


@pytest.mark.filterwarnings("ignore:you are shuffling a 'DiffArray'")
@pytest.mark.parametrize("call", [
    "mix = rng.shuffle\nmix(y)", "rng.shuffle(x=y)", "list(map(rng.shuffle, [y]))",
    "import functools\nfunctools.partial(rng.shuffle, y)()", "[f(y) for f in (rng.shuffle,)]",
    "import operator\noperator.methodcaller('shuffle', y)(rng)",
])
def test_shuffle_in_other_words(call: str) -> None:
    f = function(f"y = x * 1\nrng = np.random.default_rng(3)\n{call}\nreturn np.sum(y * y)", "x")
    for transform in (npdiff.grad, lambda f: lambda x: npdiff.jvp(f, (x,), (x,)), lambda f: npdiff.grad(npdiff.jit(f))):
        with pytest.raises(UnsupportedError, match="shuffle: compiled code exchanges"):
            transform(f)(X)


def test_shuffle_as_the_error_says() -> None:
    body = "y = x * 1\nrng = np.random.default_rng(3)\ny[...] = y[rng.permutation(y.shape[0])]\nreturn y * x"
    differential(function(body, "x"), X)


@pytest.mark.filterwarnings("ignore:you are shuffling a 'DiffArray'")
def test_shuffle_of_elements_by_a_generator() -> None:
    differential(function("y = x * 1\nnp.random.default_rng(3).shuffle(y)\nreturn y * x", "x"), X[0])
