"""Every error by its whole text, and that the next call works as if nothing had been."""

from __future__ import annotations

import contextlib
import copy
import math
import pickle
import sys
from typing import Any

import numpy as np
import pytest
import surroundings
from numpy import asarray as plain_asarray
from surroundings import changed_names
from wording import assert_says

import npdiff
from npdiff import errors
from npdiff.core import open_traces

X = np.array([0.3, -1.2, 0.8])
PLAIN, COUNTS = np.zeros(3), np.zeros(3, int)
BOX: list[Any] = []


def grad(f: Any) -> Any:
    """Run f under grad; the line of the error is the line of f."""
    return npdiff.grad(f)(X)


def leak(x: Any) -> Any:
    BOX.append(x)
    return np.sum(x)


def write(a: Any, index: Any, value: Any) -> None: a[index] = value


def nothing(x: Any) -> None:
    """What a function with a forgotten return gives."""


OUTSIDE = "setitem: a tracked value cannot be written into a plain ndarray"
NUMBERS = "return an array of floating point: .astype(float), if it holds numbers"
FORGOTTEN = "return an array or a number (is a return statement missing?)"
F64, F3 = "DiffArray float64", "DiffArray float64[3]"
USE_NUMPY = ("use NumPy's function (np.sin, not math.sin), or x.value or npdiff.stop_gradient(x) if no derivative is "
             "wanted")
KEEP = ("keep the array as it is; write np.array([x, y]) where a list of tracked values is handed on; store into "
        "arrays made with np.zeros inside the transform (or under npdiff.record()); or take npdiff.stop_gradient(x) or "
        "x.value if no derivative is wanted")
MAKE = "make the array inside the transform (np.zeros, np.copy), or track it first: a = npdiff.track(a)"
MAKE_BY_NAME = ("make the array inside the transform (or `with npdiff.record():`) with np.zeros, np.empty or "
                "np.copy(a), called by these names: neither a.copy() nor a function imported with `from numpy import "
                "zeros` is seen; or track it first: a = npdiff.track(a)")
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
    "no argnums": (lambda: npdiff.grad(np.sum, ())(X), errors.ArgumentError, "grad: argnums is empty", "tuple of ()",
                   "name at least one position"),
    "primals and tangents without a tuple": (
        lambda: npdiff.jvp(np.sin, X, X), errors.ArgumentError, "jvp: primals and tangents must be tuples",
        "ndarray float64[3], ndarray float64[3]", "write npdiff.jvp(f, (x,), (v,))"),
    "more tangents than primals": (
        lambda: npdiff.jvp(np.sin, (X,), (X, X)), errors.ArgumentError,
        "jvp: primals and tangents have different structures",
        "list of (ndarray float64[3]), list of (ndarray float64[3], ndarray float64[3])",
        "give one tangent for every primal"),
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
    "objects returned": (
        lambda: npdiff.grad(lambda x: np.array(None))(X), errors.ArgumentError,
        "grad: the function returned an array of dtype object, which has no derivative", "ndarray object[]", NUMBERS),
    "a string returned": (
        lambda: npdiff.grad(lambda x: "text")(X), errors.ArgumentError, "grad: the function must return one number",
        "str 'text'", "return a scalar; for other outputs use npdiff.vjp or npdiff.jacobian"),
    "nothing returned": (
        lambda: npdiff.value_and_grad(nothing)(X), errors.ArgumentError,
        "value_and_grad: nothing must return one number", "NoneType None",
        "return a scalar; for other outputs use npdiff.vjp or npdiff.jacobian"),
    **{f"nothing returned to {name}": (
        run, errors.ArgumentError, f"{name}: nothing returned nothing to differentiate", "NoneType None", FORGOTTEN)
        for name, run in {
            "jvp": lambda: npdiff.jvp(nothing, (X,), (X,)), "vjp": lambda: npdiff.vjp(nothing, X),
            "linearize": lambda: npdiff.linearize(nothing, X), "jacfwd": lambda: npdiff.jacfwd(nothing)(X),
            "jacrev": lambda: npdiff.jacrev(nothing)(X), "jacobian": lambda: npdiff.jacobian(nothing)(X),
            "hessian": lambda: npdiff.hessian(nothing)(X),
            "elementwise_grad": lambda: npdiff.elementwise_grad(nothing)(X)}.items()},
    **{f"a string returned to {name}": (
        run, errors.ArgumentError, f"{name}: the function must return arrays or numbers, and returned what is neither",
        f"tuple of ({F3}, str 'a')",
        "return other values with has_aux=True" if name in ("jvp", "vjp") else "leave it out")
        for name, run in {
            "jvp": lambda: npdiff.jvp(lambda x: (x, "a"), (X,), (X,)), "vjp": lambda: npdiff.vjp(lambda x: (x, "a"), X),
            "linearize": lambda: npdiff.linearize(lambda x: (x, "a"), X),
            "jacfwd": lambda: npdiff.jacfwd(lambda x: (x, "a"))(X),
            "jacrev": lambda: npdiff.jacrev(lambda x: (x, "a"))(X),
            "elementwise_grad": lambda: npdiff.elementwise_grad(lambda x: (x, "a"))(X)}.items()},
    "text returned to vjp": (
        lambda: npdiff.vjp(lambda x: np.array(["a"]), X), errors.ArgumentError,
        "vjp: the function returned an array of dtype <U1, which has no derivative", "ndarray <U1[1]", NUMBERS),
    "a vector returned to hvp": (
        lambda: npdiff.hvp(np.sin)(X, X), errors.ArgumentError, "hvp: sin must return one number, not shape (3,)", F3,
        "sum the result, or use npdiff.jacobian, npdiff.vjp or npdiff.elementwise_grad"),
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
    "a leak written outside": (
        lambda: (npdiff.grad(leak)(X[0]), npdiff.grad(lambda x: PLAIN.fill(BOX[-1]))(X)), errors.LeakError,
        "float: the value belongs to a reverse-mode transform that has already finished", F64, RETURN),
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
    "bytes": (lambda: grad(lambda x: bytes(x)), errors.TracedValueError,
              "bytes: would drop the derivative of a tracked value", F3, USE_NUMPY),
    "the ratio of a float": (
        lambda: grad(lambda x: x[0].as_integer_ratio()), errors.TracedValueError,
        "np.float64.as_integer_ratio: would drop the derivative of a tracked value", F64, USE_NUMPY),
    "a format under vmap": (
        lambda: npdiff.vmap(lambda x: f"{x:.2f}")(X), errors.TracedValueError,
        "format: needs one plain value, but under vmap each example has its own", F64,
        "write it without a format, which shows all examples"),
    "an unsupported function": (
        lambda: grad(lambda x: np.save("name", x)), errors.UnsupportedError,
        "np.save: writes a file", f"str 'name', {F3}", "compute it on x.value, the plain array"),
    "an unsupported method": (
        lambda: grad(lambda x: x.byteswap()), errors.UnsupportedError,
        "ndarray.byteswap: takes an array's bytes for another dtype, which has no derivative", F3,
        "use x.value, the plain array"),
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
    assert_says(caught.value, run, what, received, instead)
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


def test_writing_outside_in_track_style() -> None:
    def put(x: Any) -> None: PLAIN[0] = x[0]

    def fill(x: Any) -> None: PLAIN.fill(x[0])

    x = npdiff.track(X)
    traced = sys.gettrace()
    sys.settrace(None)  # as it is without a coverage tool
    try:
        for write in (put, fill, put):
            with pytest.raises(errors.OutsideWriteError) as alone:
                write(x)
            assert_says(alone.value, write, OUTSIDE, F64, MAKE_BY_NAME)
            assert type(alone.value.__cause__) is ValueError
            assert sys.gettrace() is None
    finally:
        sys.settrace(traced)
    with pytest.raises(errors.OutsideWriteError) as ours, npdiff.record():
        put(x)
    assert_says(ours.value, put, OUTSIDE, F64, MAKE_BY_NAME)


def test_a_refused_number_leaves_no_trace_function() -> None:
    def ask(x: Any) -> int:
        with contextlib.suppress(errors.TracedValueError):
            float(x[0])
        assert sys.gettrace() is None
        return 1

    traced = sys.gettrace()
    sys.settrace(None)
    try:
        assert ask(npdiff.track(X)) == 1
        assert sys.gettrace() is None
    finally:
        sys.settrace(traced)


def test_writing_outside_under_a_debugger_names_the_cause() -> None:
    # Its trace function stays where it is, so NumPy's error does too.
    def put(x: Any) -> None: PLAIN[0] = x[0]

    x = npdiff.track(X)
    traced, mine = sys.gettrace(), lambda *_: None
    sys.settrace(mine)
    try:
        with pytest.raises(ValueError, match=r"^setting an array element with a sequence\.$") as caught:
            put(x)
        assert sys.gettrace() is mine
    finally:
        sys.settrace(traced)
    assert type(caught.value.__cause__) is errors.OutsideWriteError
    assert_says(caught.value.__cause__, put, OUTSIDE, F64, MAKE_BY_NAME)


@pytest.mark.parametrize(("run", "received"), [
    (lambda: npdiff.grad(lambda x: write(PLAIN, 0, x[0]))(X), F64),
    (lambda: npdiff.grad(lambda x: write(PLAIN, slice(None), x))(X), F3),
    (lambda: npdiff.grad(lambda x: write(PLAIN, [0, 1], x[0]))(X), F64),
    (lambda: npdiff.jvp(lambda x: write(COUNTS, 0, x[0]), (X,), (X,)), F64),
    (lambda: npdiff.vmap(lambda x: write(PLAIN, 0, x))(X), F64),
    (lambda: npdiff.vmap(lambda x: write(PLAIN.copy(), slice(1, 2), x))(X), F64),
])
def test_a_line_that_writes_into_a_plain_array(run: Any, received: str) -> None:
    with pytest.raises(errors.OutsideWriteError) as caught:
        run()
    assert_says(caught.value, write, OUTSIDE, received, MAKE_BY_NAME)
    np.testing.assert_array_equal(PLAIN, 0.0)


def test_other_errors_pass_through_record() -> None:
    with pytest.raises(ValueError, match=r"^mine$") as caught, npdiff.record():
        raise ValueError("mine")
    assert caught.value.__cause__ is None


def test_text_shows_the_value_in_every_way_to_write_it() -> None:
    def f(x: Any) -> Any:
        s = x[0] * 1
        assert f"{s:.3f} {s:>7} {s!s} {x}" == "0.300     0.3 0.3 [ 0.3 -1.2  0.8]"
        assert "%.3f %5.1e %s %d" % (s, s, s, s) == "0.300 3.0e-01 0.3 0"  # noqa: UP031
        assert b"%.1f" % s == b"0.3"
        text = "%g"
        text %= s
        assert text == "0.3"
        assert "{:.2f} {}".format(s, x.shape) == "0.30 (3,)"  # noqa: UP032
        return s * s

    def g(x: float) -> Any:
        assert "%.1f %d" % (x * 2, x * 2) == "1.0 1"  # noqa: UP031
        return x * x

    np.testing.assert_allclose(npdiff.grad(f)(X), [0.6, 0.0, 0.0])
    assert npdiff.jvp(f, (X,), (np.ones(3),))[1] == 0.6
    assert npdiff.grad(g)(0.5) == 1.0
    shown = npdiff.jit(lambda x: (x * 2, "%.2f" % x))  # noqa: UP031
    assert [shown(0.25), shown(0.5), shown(0.25)] == [(0.5, "0.25"), (1.0, "0.50"), (0.5, "0.25")]


def test_copies_of_numbers_are_numbers() -> None:
    kinds: list[Any] = []

    def f(x: Any, k: float) -> Any:
        for v in (x, x[0], k, np.reshape(x[0], ())):
            for w in (copy.copy(v), copy.deepcopy([v])[0]):
                kinds.append((isinstance(w, np.ndarray), isinstance(w, float)))
        return np.sum(copy.deepcopy({"x": x})["x"] * copy.copy(k))

    f(X, 2.0)
    plain = list(kinds)
    kinds.clear()
    gx, gk = npdiff.grad(f, (0, 1))(X, 2.0)
    assert kinds == plain
    np.testing.assert_allclose(gx, 2.0)
    np.testing.assert_allclose(gk, X.sum())


def test_a_copy_is_written_without_the_original() -> None:
    def f(x: Any) -> Any:
        y = copy.deepcopy(x)
        y[0] = 5.0
        return np.sum(x * y)

    np.testing.assert_allclose(npdiff.grad(f)(X), [5 + 0.0, 2 * X[1], 2 * X[2]])


def test_questions_about_a_number_are_answered() -> None:
    def f(x: Any) -> Any:
        assert hasattr(x[0], "as_integer_ratio")
        assert not hasattr(x, "as_integer_ratio")
        return x[0] if x[1].is_integer() else x[2]

    np.testing.assert_array_equal(npdiff.grad(f)(X), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(npdiff.grad(f)(np.round(X)), [1.0, 0.0, 0.0])
    jitted = npdiff.jit(lambda x: x * 2 if x.is_integer() else -x)
    assert [jitted(v) for v in (2.0, 2.5, 3.0, 3.5)] == [4.0, -2.5, 6.0, -3.5]


def test_a_jitted_function_writes_into_arrays_it_does_not_see() -> None:
    def f(x: Any) -> Any:
        surroundings.SCRATCH[1] = x
        surroundings.SCRATCH[2:] = x * np.ones(1)
        return x + 1

    jitted = npdiff.jit(f)
    with pytest.warns(errors.JitWarning, match="it writes into an array that the recording does not see at"):
        assert jitted(3.0) == 4.0
    for x in (5.0, 7.0):
        assert jitted(x) == x + 1
        np.testing.assert_array_equal(surroundings.SCRATCH, [0.0, x, x])
