"""Every error by its whole text, and that the next call works as if nothing had been."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from numpy import asarray as plain_asarray
from surroundings import changed_names

import npdiff
from npdiff import errors
from npdiff.core import open_traces

X = np.array([0.3, -1.2, 0.8])
PLAIN = np.zeros(3)
BOX: list[Any] = []


def grad(f: Any) -> Any:
    """Run f under grad; the line of the error is the line of f."""
    return npdiff.grad(f)(X)


def leak(x: Any) -> Any:
    BOX.append(x)
    return np.sum(x)


F64, F3 = "DiffArray float64", "DiffArray float64[3]"
USE_NUMPY = ("use NumPy's function (np.sin, not math.sin), or x.value or npdiff.stop_gradient(x) if no derivative is "
             "wanted")
KEEP = ("keep the array as it is; write np.array([x, y]) where a list of tracked values is handed on; store into "
        "arrays made with np.zeros inside the transform (or under npdiff.record()); or take npdiff.stop_gradient(x) or "
        "x.value if no derivative is wanted")
MAKE = "make the array inside the transform (np.zeros, np.copy), or track it first: a = npdiff.track(a)"
MAKE_BY_NAME = ("make the array inside the transform with np.zeros, np.empty or np.copy (called by that name: a "
                "function imported with `from numpy import zeros` is not seen), or track it first: a = npdiff.track(a)")
RETURN = "return the value from the transformed function (has_aux=True) instead of storing it outside"
FLOATS = "pass floats, such as 3.0 or x.astype(float)"

# What is done; the class; what happened; what was received; what to do instead.
CASES: dict[str, tuple[Any, type, str, str, str]] = {
    "argnums out of range": (
        lambda: npdiff.grad(np.sum, 1)(X), errors.ArgumentError,
        "grad: argnums 1 is out of range for a call with 1 positional argument", "",
        "pass the argument by position, and count from 0"),
    "argnums of another type": (
        lambda: npdiff.grad(np.sum, "x")(X), errors.ArgumentError,
        "grad: argnums must be an int or a tuple of ints", "str 'x'", "give positions of arguments, counted from 0"),
    "argnums twice": (
        lambda: npdiff.grad(np.add, (0, 0))(1.0, 2.0), errors.ArgumentError,
        "grad: argnums names an argument twice", "tuple of (int 0, int 0)", "name each position once"),
    "not a function": (
        lambda: npdiff.grad(3.0), errors.ArgumentError,
        "grad: the first argument must be a function", "float 3.0",
        "write npdiff.grad(f)(x), not npdiff.grad(f(x))"),
    "integers": (
        lambda: npdiff.grad(np.sum)(np.arange(3)), errors.ArgumentError,
        "grad: argument 0 has dtype int64, and a derivative needs floating point", "ndarray int64[3]", FLOATS),
    "an integer": (
        lambda: npdiff.grad(np.square)(3), errors.ArgumentError,
        "grad: argument 0 has dtype int64, and a derivative needs floating point", "int 3", FLOATS),
    "a string": (
        lambda: npdiff.grad(np.square)("a"), errors.ArgumentError,
        "grad: argument 0 is not an array or a number", "str 'a'",
        "pass arrays, or register the class with npdiff.register_container"),
    "objects": (
        lambda: npdiff.grad(np.sum)(np.array([1.0, None])), errors.ArgumentError,
        "grad: argument 0 is an object array, which npdiff cannot record", "ndarray object[2]",
        "convert it with .astype(float)"),
    "several numbers": (
        lambda: npdiff.grad(lambda x: x * 2)(X), errors.ArgumentError,
        "grad: the function must return one number, not shape (3,)", F3,
        "sum the result, or use npdiff.jacobian, npdiff.vjp or npdiff.elementwise_grad"),
    "a list": (
        lambda: npdiff.grad(lambda x: [x])(X), errors.ArgumentError, "grad: the function must return one number",
        f"list of ({F3})", "return a scalar; for other outputs use npdiff.vjp or npdiff.jacobian"),
    "a complex number": (
        lambda: npdiff.grad(lambda x: np.sum(x * 1j))(X), errors.ArgumentError,
        "grad: the function returned a complex number",
        "DiffArray complex128", "return a real number, or pass holomorphic=True if f is holomorphic"),
    "holomorphic with reals": (
        lambda: npdiff.grad(np.square, holomorphic=True)(1.0), errors.ArgumentError,
        "grad: with holomorphic=True argument 0 must be complex", "float 1.0",
        "pass x.astype(complex), or leave holomorphic out"),
    "no pair with has_aux": (
        lambda: npdiff.grad(np.sum, has_aux=True)(X), errors.ArgumentError,
        "grad: with has_aux=True the function must return a pair (value, aux)", F64, "return value, aux"),
    "tangent of another shape": (
        lambda: npdiff.jvp(np.sin, (X,), (X[:2],)), errors.ArgumentError,
        "jvp: tangent 0 has shape (2,), its primal (3,)", "ndarray float64[3], ndarray float64[2]",
        "give a tangent of the primal's shape"),
    "cotangent of another shape": (
        lambda: npdiff.vjp(np.sin, X)[1](X[:2]), errors.ArgumentError,
        "vjp: a cotangent has shape (2,), its value (3,)", "ndarray float64[2]",
        "give a cotangent of the value's shape"),
    "cotangent of another structure": (
        lambda: npdiff.vjp(np.sin, X)[1]((X,)), errors.ArgumentError,
        "vjp: the cotangent has structure tuple(*), the value *", "",
        "give one cotangent for every part of the value"),
    "float": (lambda: grad(lambda x: float(x[0])), errors.TracedValueError,
              "float: would drop the derivative of a tracked value", F64, USE_NUMPY),
    "int": (lambda: grad(lambda x: int(x[0])), errors.TracedValueError,
            "int: would drop the derivative of a tracked value", F64, USE_NUMPY),
    "math.sin": (lambda: grad(lambda x: math.sin(x[0])), errors.TracedValueError,
                 "float: would drop the derivative of a tracked value", F64, USE_NUMPY),
    "hash": (lambda: grad(lambda x: {x[0]: 1}), errors.TracedValueError,
             "hash: would drop the derivative of a tracked value", F64, "use x.value as the key"),
    "asarray that is not seen": (
        lambda: grad(lambda x: plain_asarray(x)), errors.TracedValueError,
        "np.asarray: would drop the derivative of a tracked value", F3, KEEP),
    "a list in a ufunc": (
        lambda: grad(lambda x: np.sin([x[0], x[1]])), errors.TracedValueError,
        "np.asarray: would drop the derivative of a tracked value", F64, KEEP),
    "pickle": (lambda: grad(lambda x: pickle.dumps(x)), errors.TracedValueError,
               "pickle: a tracked array cannot be stored", F3, "store x.value, the plain array"),
    "a random draw": (
        lambda: grad(lambda x: np.random.normal(x[0])), errors.TracedValueError,  # noqa: NPY002
        "np.random.normal: would drop the derivative of a tracked value", F64, USE_NUMPY),
    "an element of a plain array": (
        lambda: grad(lambda x: PLAIN.__setitem__(0, x[0])), errors.OutsideWriteError,
        "setitem: a tracked value cannot be written into a plain ndarray", F64, MAKE_BY_NAME),
    "a plain array filled": (
        lambda: grad(lambda x: PLAIN.fill(x[0])), errors.OutsideWriteError,
        "setitem: a tracked value cannot be written into a plain ndarray", F64, MAKE_BY_NAME),
    "a slice of a plain array": (
        lambda: grad(lambda x: PLAIN.__setitem__(slice(None), x)), errors.TracedValueError,
        "np.asarray: would drop the derivative of a tracked value", F3, KEEP),
    "out= a plain array": (
        lambda: grad(lambda x: np.add(PLAIN, x, out=PLAIN)), errors.OutsideWriteError,
        "np.add: a tracked result cannot be written into a plain ndarray that other names share",
        f"ndarray float64[3], {F3}", MAKE),
    "add.at a plain array": (
        lambda: grad(lambda x: np.add.at(PLAIN, [0], x[0])), errors.OutsideWriteError,
        "np.add.at: a tracked value cannot be written into a plain ndarray", f"ndarray float64[3], {F64}", MAKE),
    "copyto a plain array": (
        lambda: grad(lambda x: np.copyto(PLAIN, x)), errors.OutsideWriteError,
        "np.copyto: a tracked value cannot be written into a plain ndarray", f"ndarray float64[3], {F3}", MAKE),
    "an unsupported function": (
        lambda: grad(lambda x: np.save("name", x)), errors.UnsupportedError,
        "np.save: writes a file", f"str 'name', {F3}", "compute it on x.value, the plain array"),
    "an unsupported method": (
        lambda: grad(lambda x: x.tobytes()), errors.UnsupportedError,
        "ndarray.tobytes: is not supported on a tracked array", F3,
        "use x.value for the plain array, if no derivative is needed"),
    "x.shape =": (
        lambda: grad(lambda x: setattr(x, "shape", (3, 1))), errors.UnsupportedError,
        "x.shape = ...: a tracked array cannot change its shape in place", F3,
        "bind the name anew: x = x.reshape(...)"),
    "x.dtype = of a view": (
        lambda: grad(lambda x: setattr(x[1:], "dtype", int)), errors.UnsupportedError,
        "x.dtype = ...: a tracked array cannot change its dtype in place", "DiffArray float64[2]",
        "bind the name anew: x = x.astype(...)"),
    "an object dtype": (
        lambda: grad(lambda x: x.astype(object)), errors.UnsupportedError,
        "np.array: dtype object cannot hold tracked values", F3,
        "keep tracked values in float or complex arrays, or in lists"),
    "objects beside tracked values": (
        lambda: grad(lambda x: np.array([x[0], None])), errors.UnsupportedError,
        "np.array: dtype object cannot hold tracked values", "NoneType None",
        "keep tracked values in float or complex arrays, or in lists"),
    "a ufunc without a rule": (
        lambda: grad(lambda x: np.frompyfunc(abs, 1, 1)(x)), errors.UnsupportedError,
        "ufunc abs (vectorized): is a ufunc that npdiff has no rule for", F3,
        "compute it on x.value, the plain array, or give it a rule with npdiff.custom_jvp"),
    "pow with three arguments": (
        lambda: grad(lambda x: pow(x[0], 2, 3)), errors.UnsupportedError,
        "pow: the three-argument form works on Python integers only", F64, "write (x ** y) % m"),
    "a leak": (
        lambda: (npdiff.grad(leak)(X), BOX[-1] + 1), errors.LeakError,
        "add: an operand belongs to a reverse-mode transform that has already finished", F3, RETURN),
    "a leaked tangent": (
        lambda: (npdiff.jvp(leak, (X,), (X,)), np.sin(BOX[-1])), errors.LeakError,
        "sin: an operand belongs to a forward-mode transform that has already finished", F3, RETURN),
    "a leak asked for its value": (
        lambda: (npdiff.grad(leak)(X), plain_asarray(BOX[-1])), errors.LeakError,
        "np.asarray: the value belongs to a reverse-mode transform that has already finished", F3, RETURN),
    "a branch under vmap": (
        lambda: npdiff.vmap(lambda x: x if x > 0 else -x)(X), errors.BranchError,
        "bool: Python needs one value here, but under vmap each example has its own", "DiffArray bool",
        "use np.where for a branch, or loop over the examples instead of vmap"),
    "float under vmap": (
        lambda: npdiff.vmap(lambda x: float(x))(X), errors.TracedValueError,
        "float: needs one plain value, but under vmap each example has its own", F64,
        "use NumPy's function (np.sin, not math.sin)"),
    "sizes under vmap": (
        lambda: npdiff.vmap(lambda x, y: x)(X, X[:2]), errors.ArgumentError,
        "vmap: batch sizes differ: [3, 2]", "ndarray float64[3], ndarray float64[2]",
        "give all batched arguments the same size along their batch axis"),
    "backward of several numbers": (
        lambda: (npdiff.track(X) * 2).backward(), errors.ArgumentError,
        "backward: the value has shape (3,), and one number is needed", F3,
        "sum it, or pass a cotangent: y.backward(np.ones_like(y.value))"),
    "grad of what is not tracked": (
        lambda: setattr(npdiff.track(X) * 2, "grad", 1.0), errors.TracedValueError,
        "x.grad: only an array made by npdiff.track holds a gradient", F3, "call npdiff.track(x) first"),
    "a container that is no class": (
        lambda: npdiff.register_container(3, None, None), errors.ArgumentError,
        "register_container: the first argument must be a class", "int 3",
        "pass the class itself, not an object of it"),
}


@pytest.mark.parametrize("name", CASES)
def test_error(name: str) -> None:
    run, kind, what, received, instead = CASES[name]
    with pytest.raises(kind) as caught:
        run()
    assert type(caught.value) is kind
    where = f"test_errors.py:{run.__code__.co_firstlineno}"
    expected = [what, *([f"received: {received}"] if received else []), f"at: {where}", f"instead: {instead}"]
    assert str(caught.value).split("\n  ") == expected
    # Nothing is left behind, and the next call works.
    assert not open_traces()
    assert not changed_names()
    np.testing.assert_allclose(npdiff.grad(lambda x: np.sum(x * x))(X), 2 * X)
    np.testing.assert_array_equal(PLAIN, 0.0)
    BOX.clear()


def test_all_errors_have_one_base() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)
               and c.__module__ == "npdiff.errors" and not issubclass(c, Warning) and c is not errors.GuardFailed]
    assert all(issubclass(c, errors.NpdiffError) for c in classes)
    assert all(c.__doc__ for c in classes)


def test_an_error_in_an_inner_transform_closes_both() -> None:
    def outer(x: Any) -> Any:
        return npdiff.grad(lambda t: float(t))(x[0]) + np.sum(x)

    with pytest.raises(errors.TracedValueError, match="float: would drop"):
        npdiff.grad(outer)(X)
    assert not open_traces()
    assert not changed_names()


def test_the_error_is_caught_inside_and_the_transform_goes_on() -> None:
    def f(x: Any) -> Any:
        try:
            return float(x[0])
        except errors.TracedValueError:
            return np.sum(x) * 3

    np.testing.assert_array_equal(npdiff.grad(f)(X), 3.0)


def test_values_may_be_looked_at() -> None:
    def f(x: Any) -> Any:
        seen = [repr(x), str(x), f"{x[0]:.2f}", x.shape, x.dtype, len(x), x.ndim, x.size, x.value.tolist()]
        assert seen[0] == "DiffArray([ 0.3, -1.2,  0.8])"
        assert seen[1:3] == ["[ 0.3 -1.2  0.8]", "0.30"]
        assert seen[3:] == [(3,), np.dtype(float), 3, 1, 3, [0.3, -1.2, 0.8]]
        with pytest.raises(ValueError, match="read-only"):
            x.value[0] = 1.0
        return x[1] if x[0] > 0 and x.any() else x[2]

    np.testing.assert_array_equal(npdiff.grad(f)(X), [0.0, 1.0, 0.0])


def test_writing_outside_in_track_style_names_the_cause() -> None:
    with pytest.raises(ValueError, match="setting an array element") as caught:
        PLAIN[0] = npdiff.track(X)[0]
    assert isinstance(caught.value.__cause__, errors.TracedValueError)
