"""Arrays made inside a transform take tracked values; outside, and afterwards, NumPy is untouched."""

from __future__ import annotations

import itertools
import sys
import threading
from typing import Any

import numpy as np
import pytest
from differential import differential, function
from surroundings import changed_names

import npdiff
from npdiff import tree
from npdiff.dispatch.declare import rows
from npdiff.errors import OutsideWriteError
from npdiff.samples import evaluate, is_float_array
from npdiff.testing import check_grads

X = np.array([0.31, -1.27, 0.83])
Y = np.array([1.13, 0.47, -1.91])

CREATIONS = {
    "zeros": "np.zeros(3)", "zeros 2d": "np.zeros((2, 3))", "zeros keyword": "np.zeros(shape=(3,), dtype=float)",
    "zeros of len": "np.zeros(len(x))", "zeros of shape": "np.zeros(x.shape)", "zeros of dtype": "np.zeros(3, x.dtype)",
    "ones": "np.ones(3)", "empty": "np.empty(3)", "full": "np.full(3, 2.0)", "full tracked": "np.full((2, 3), x[0])",
    "full row": "np.full((2, 3), x)", "eye": "np.eye(3)", "identity": "np.identity(3)", "arange": "np.arange(3.0)",
    "arange tracked": "np.arange(3) * x[0]", "arange start": "np.arange(x[0], x[0] + 3)",
    "linspace": "np.linspace(0, 1, 3)", "linspace tracked": "np.linspace(x[0], x[1], 4)",
    "zeros_like": "np.zeros_like(x)", "ones_like": "np.ones_like(x)", "empty_like": "np.empty_like(x)",
    "full_like": "np.full_like(x, 2.0)", "full_like tracked": "np.full_like(x, y[0])",
    "zeros_like plain": "np.zeros_like(np.ones(3))", "array": "np.array([1.0, 2.0, 3.0])",
    "array tracked": "np.array([x[0], 1.0, y[2]])", "array nested": "np.array([[x[0], y[0]], [1.0, 2], [x[2], 3]])",
    "array of arrays": "np.array([x, y])", "array mixed": "np.array([x, [1.0, 2.0, y[0]]])",
    "array of an array": "np.array(x)", "array ndmin": "np.array(x, ndmin=2)",
    "array dtype": "np.array([x, y], complex)",
    "array of a tuple": "np.array((x[0], y[0]))", "asarray": "np.asarray([x[0], x[1]])",
    "asarray itself": "np.asarray(x)",
    "asarray dtype": "np.asarray(x, dtype=complex)", "copy": "np.copy(x)", "copy plain": "np.copy(np.ones(3))",
    "ndarray": "np.ndarray((3,))", "r_": "np.r_[x, 1.0, y[0]]", "r_ slice": "np.r_[0:3, x]",
    "r_ 2d": "np.r_['0,2', x, y]",
    "c_": "np.c_[x, y]", "tile": "np.tile(x, 2)", "diag": "np.diag(x)", "diag plain": "np.diag(np.ones(3))",
    "meshgrid": "np.meshgrid(x, y)[0]", "tri": "np.tri(3)", "tril": "np.tril(np.ones((3, 3)))",
    "vander": "np.vander(x)", "fromfunction": "np.fromfunction(lambda i: i * 2.0, (3,))",
    "fromiter": "np.fromiter([1.0, 2.0, 3.0], float)", "indices": "np.indices((3,))[0] * 1.0",
    "stack": "np.stack([x, np.zeros(3)])", "concatenate": "np.concatenate([x, np.zeros(2)])",
    "block": "np.block([[np.eye(3), x[:, None]]])", "hstack": "np.hstack([x, y])", "append": "np.append(x, y[0])",
    "vectorize": "np.vectorize(lambda t, u: t * u if t > 0 else u)(x, y)",
    "vectorize pair": "np.vectorize(lambda t: (t * t, 2 * t))(x)[0]", "hanning": "np.hanning(3)",
    "asfortranarray": "np.asfortranarray(np.outer(x, y))", "outer": "np.outer(x, y)",
}


@pytest.mark.parametrize("what", CREATIONS.values(), ids=CREATIONS)
def test_creation_takes_tracked_values(what: str) -> None:
    fill = "a[...] = 0.0\n" if "empty" in what or "ndarray" in what else ""
    differential(function(f"a = {what}\n{fill}a[0] = y[0] * x[1]\na[-1] *= y[1]\nreturn a, x"), X, Y, order=2)


@pytest.mark.parametrize("what", [c for c in CREATIONS.values() if "empty" not in c and "ndarray(" not in c])
def test_creation_alone(what: str) -> None:
    differential(function(f"a = {what}\nreturn a, a.sum() * x[0]"), X, Y)


def test_the_namespace_changes_only_inside() -> None:
    before, seen = np.zeros, []

    def f(x: Any) -> Any:
        seen.append(np.zeros is before)
        return np.sum(x)

    npdiff.grad(f)(X)
    assert seen == [False]
    assert np.zeros is before


def failing(x: Any) -> Any:
    raise KeyError("of the user")


@pytest.mark.parametrize("run", [
    lambda: npdiff.grad(failing)(X), lambda: npdiff.jvp(failing, (X,), (X,)), lambda: npdiff.vjp(failing, X),
    lambda: npdiff.jacfwd(failing)(X), lambda: npdiff.jacrev(failing)(X), lambda: npdiff.hessian(failing)(X),
    lambda: npdiff.vmap(failing)(X), lambda: npdiff.linearize(failing, X), lambda: npdiff.jit(failing)(X),
    lambda: npdiff.grad(npdiff.grad(failing))(X), lambda: npdiff.grad(lambda x: npdiff.grad(failing)(x))(X),
    lambda: npdiff.make_graph(failing)(X),
], ids=["grad", "jvp", "vjp", "jacfwd", "jacrev", "hessian", "vmap", "linearize", "jit", "grad of grad", "nested",
        "make_graph"])
def test_clean_after_an_exception(run: Any) -> None:
    with pytest.raises(KeyError, match="of the user"):
        run()
    assert not changed_names()
    np.testing.assert_allclose(npdiff.grad(lambda x: np.sum(x * x))(X), 2 * X)


def test_clean_after_a_generator_is_closed() -> None:
    def numbers() -> Any:
        with npdiff.record():
            yield np.zeros(2)
            yield np.ones(2)

    made = numbers()
    assert isinstance(next(made), np.ndarray)
    made.close()
    assert not changed_names()
    assert type(np.zeros(2)).__name__ == "ndarray"


def test_nested_transforms() -> None:
    def inner(t: Any, x: Any) -> Any:
        a = np.zeros(3)
        a[0] = t
        a[1:] = x[1:] * t
        return np.sum(a**2)

    def outer(x: Any) -> Any:
        a = np.zeros(2)
        a[0] = npdiff.grad(inner)(x[0], x)
        a[1] = npdiff.jvp(lambda t: inner(t, x), (x[1],), (1.0,))[1]
        return np.sum(a * np.ones(2))

    npdiff.testing.check_grads(outer, (X,), order=2)


def test_another_thread_sees_plain_numpy() -> None:
    inside, finish, seen = threading.Event(), threading.Event(), []

    def f(x: Any) -> Any:
        inside.set()
        assert finish.wait(10)
        return np.sum(np.array([x[0], x[1]]))

    worker = threading.Thread(target=lambda: npdiff.grad(f)(X))
    worker.start()
    assert inside.wait(10)
    a = np.zeros(3)
    a[0] = 1.0
    seen = [type(a) is type(X), type(np.array([1.0])) is type(X), isinstance(np.r_[a, 1.0], type(X)),
            type(np.random.rand(2)) is type(X)]  # noqa: NPY002
    finish.set()
    worker.join()
    assert seen == [True] * 4
    assert not changed_names()


def test_two_threads_at_once() -> None:
    results: dict[int, Any] = {}
    gate = threading.Barrier(4)

    def work(k: int) -> None:
        def f(x: Any) -> Any:
            gate.wait(10)
            a = np.zeros(3)
            for i in range(3):
                a[i] = x[i] ** (k + 1)
            return np.sum(a)

        results[k] = npdiff.grad(f)(X)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k in range(4):
        np.testing.assert_allclose(results[k], (k + 1) * X**k)


def test_record_for_track_style() -> None:
    x = npdiff.track(X)
    with npdiff.record():
        a = np.zeros(3)
        a[:] = x * x
        b = np.array([a[0], x[1], 2.0])
    (np.sum(a) + np.sum(b)).backward()
    np.testing.assert_allclose(x.grad, 2 * X + [2 * X[0], 1.0, 0.0])


def test_isinstance_answers_as_for_plain_arrays() -> None:
    def f(x: Any) -> Any:
        assert isinstance(x, np.ndarray)
        assert isinstance(np.zeros(2), np.ndarray)
        assert isinstance(x[0], float)
        assert isinstance(x[0], np.floating)
        assert not isinstance(x, (list, float))
        assert issubclass(np.ndarray, np.ndarray)
        assert np.isscalar(x[0])
        assert not np.isscalar(x)
        assert np.iterable(x)
        assert np.ndim(x) == 1
        assert np.shape(x) == (3,)
        assert np.size(x) == 3
        assert np.issubdtype(x.dtype, np.floating)
        assert np.result_type(x, 1) == np.dtype(float)
        assert np.can_cast(x.dtype, complex)
        assert np.iscomplexobj(x) is False
        return np.sum(x)

    npdiff.grad(f)(X)


def test_names_imported_before_say_what_to_do() -> None:
    from numpy import zeros

    def f(x: Any) -> Any:
        a = zeros(3)
        a[0] = x[0]
        return np.sum(a)

    with pytest.raises(OutsideWriteError, match=r"np\.zeros"):
        npdiff.grad(f)(X)


def test_a_shared_plain_array_is_not_bound_anew() -> None:
    shared = np.ones(3)
    alias = shared

    def f(x: Any) -> Any:
        a = shared
        a += x
        return np.sum(a)

    with pytest.raises(OutsideWriteError, match="other names share"):
        npdiff.grad(f)(X)
    np.testing.assert_array_equal(alias, 1.0)


def test_a_plain_array_of_one_name_is_bound_anew() -> None:
    from numpy import ones

    def f(x: Any) -> Any:
        a = ones(3)
        a += x
        a *= x
        return np.sum(a)

    np.testing.assert_allclose(npdiff.grad(f)(X), 1 + 2 * X)


def test_vectorize_made_before() -> None:
    step = np.vectorize(lambda t: t * t if t > 0 else -t)
    np.testing.assert_array_equal(step(X), np.where(X > 0, X * X, -X))

    def f(x: Any) -> Any:
        return np.sum(step(x))

    with pytest.raises(npdiff.errors.NpdiffError):
        npdiff.grad(f)(X)


@pytest.mark.parametrize("draw", ["np.random.rand(3)", "np.random.normal(size=3)", "np.random.uniform(0, 1, 3)"])
def test_random_draws_take_tracked_values_and_keep_the_stream(draw: str) -> None:
    f = function(f"np.random.seed(3)\na = {draw}\na[0] = x[0]\na *= y\nreturn a, np.random.rand()")
    differential(f, X, Y)


LISTS = [
    "np.sum([x, y])", "np.mean([x, y * x, 3.0])", "np.max((x, y))", "np.min([[x, 1.0], [y, x]], axis=0).sum()",
    "np.std([x, y, 1.0])", "np.prod([x, y], axis=0)", "np.median([x, y, x * y])", "np.dot([x, y], [y, 2.0])",
    "np.cumsum([x, y])[-1]", "np.sort([x, y, 0.1])[1]", "np.average([x, y], weights=[1.0, 3.0])", "np.diff([x, y])[0]",
]


@pytest.mark.parametrize("line", LISTS)
def test_functions_of_lists(line: str) -> None:
    f = eval(f"lambda x, y: {line}", {"np": np})
    assert npdiff.value_and_grad(f)(0.7, 1.9)[0] == f(0.7, 1.9)
    check_grads(f, (0.7, 1.9))


@pytest.mark.parametrize("f", [
    lambda x: np.fromiter((v * v for v in x), float),
    lambda x: np.fromiter((v * v for v in x), dtype=np.float32, count=2) * 2,
    lambda x: np.fromiter(iter=x, dtype=float) * np.fromiter(itertools.count(), int, count=3),
    lambda x: np.fromiter([], float) + x[:0],
    lambda x: np.ndarray.cumsum(x) * np.ndarray.sum(np.arange(3.0)),
    lambda x: np.ndarray.dot(x, x) + np.ndarray.max(x, axis=0),
])
def test_iterators_and_unbound_methods(f: Any) -> None:
    single = f(X).dtype == np.float32
    np.testing.assert_allclose(npdiff.vjp(f, X)[0], f(X), rtol=1e-6)
    check_grads(lambda x: f(x), (X,), order=2, eps=0.1 if single else None, atol=1e-3 if single else None)


def test_an_iterator_that_is_too_short() -> None:
    f = lambda x: np.fromiter((v for v in x), float, count=5)
    for run in (lambda: f(X), lambda: npdiff.jacobian(f)(X)):
        with pytest.raises(ValueError, match=r"^iterator too short: Expected 5 but iterator had only 3 items\.$"):
            run()


def nested(a: Any) -> Any:
    return [nested(row) for row in a] if np.ndim(a) else a


def on_an_array(name: str) -> str:
    """The first sample call on a float array, "" if there is none."""
    def first(text: str) -> Any:
        return next(iter(evaluate(name, text).args), None)

    return next((t for t in rows[name].cases if is_float_array(first(t)) and first(t).ndim and first(t).size > 1), "")


HEARING = {name: text for name, row in rows.items() if row.captured == "lists" and (text := on_an_array(name))}


@pytest.mark.parametrize("name", HEARING)
@pytest.mark.filterwarnings("ignore:`trapz` is deprecated:DeprecationWarning")
def test_rows_that_hear_lists(name: str) -> None:
    """The first sample call on an array, with that array as nested lists of its elements."""
    def first(text: str) -> Any:
        return next(iter(evaluate(name, text).args), None)

    texts = [t for t in rows[name].cases if is_float_array(first(t)) and first(t).ndim and first(t).size > 1]
    if not texts:
        pytest.skip("its first argument is no array")
    text = texts[0]
    call = evaluate(name, text)

    def f(a: Any) -> Any:
        return call((nested(a), *call.args[1:]), call.kwargs)

    def shapes(out: Any) -> list[Any]:
        return [np.shape(v) for v in tree.leaves(out)]

    if shapes(f(call.args[0])) != shapes(call(call.args, call.kwargs)):
        pytest.skip("a list means something else to NumPy (np.histogramdd takes its columns)")
    at = ((call.args[0],), (np.ones_like(call.args[0]),))
    outcome, tangents = npdiff.jvp(f, *at)
    wanted = npdiff.jvp(lambda a: call((a, *call.args[1:]), call.kwargs), *at)
    for ours, theirs in zip(tree.leaves((outcome, tangents)), tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    for ours, theirs in zip(tree.leaves(outcome), tree.leaves(f(call.args[0])), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_as_strided_writes_through() -> None:
    differential(function("""
        y = np.zeros((3, 3))
        y[:, 0] = x
        np.lib.stride_tricks.as_strided(y, (3,), (32,))[...] += x * x
        w = np.lib.stride_tricks.as_strided(y[::2, ::2], (2, 2), (16, 48))
        w[0] = x[:2]
        return y, w
    """, "x"), X)


@pytest.mark.parametrize("window", ["(4,), (8,)", "(2,), (12,)", "(2, 2), (8, -8)"])
def test_as_strided_beyond_the_array(window: str) -> None:
    f = function(f"return np.sum(np.lib.stride_tricks.as_strided(x, {window}))", "x")
    with pytest.raises(npdiff.errors.UnsupportedError) as caught:
        npdiff.grad(f)(X)
    lines = str(caught.value).splitlines()
    assert lines[0] == "np.lib.stride_tricks.as_strided: reaches memory between or beyond the array's elements"
    assert lines[-1].strip() == "instead: choose a shape and strides that stay on the elements of the array"


def test_as_strided_of_a_plain_array_is_a_view_of_it() -> None:
    plain = np.array([1.0, 2.0])

    def f(x: Any) -> Any:
        np.lib.stride_tricks.as_strided(plain, (2,), (8,))[0] = 5.0
        return np.sum(x * plain)

    np.testing.assert_array_equal(npdiff.grad(f)(np.ones(2)), [5.0, 2.0])


POLYNOMIALS = {
    "Polynomial": "poly", "Chebyshev": "cheb", "Legendre": "leg", "Hermite": "herm", "HermiteE": "herme",
    "Laguerre": "lag",
}


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials_are_read_as_user_code(name: str) -> None:
    series = getattr(np.polynomial, name)
    module = sys.modules[series.__module__]
    evaluated, fitted = getattr(module, f"{POLYNOMIALS[name]}val"), getattr(module, f"{POLYNOMIALS[name]}fit")

    def of_objects(c: Any, x: Any) -> Any:
        p = series(c, domain=[0, 2])
        return [p(x), p.deriv()(x), (p * p + p.integ()).coef, series([1.0, c[0]])(x), series([1.0, 2.0])(x[0])]

    def of_functions(c: Any, x: Any) -> Any:
        return [evaluated(x, c), evaluated(0.5, [1.0, x[0]]), fitted(np.arange(4.0), c, 2)]

    at = (np.array([0.5, -1.0, 2.0, 0.3]), np.array([0.2, 0.7]))
    for f in (of_objects, of_functions):
        check_grads(f, at, rtol=1e-5)
        for got, wanted in zip(npdiff.jit(f)(*at), f(*at), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


def test_polynomials_of_two_variables() -> None:
    c = np.arange(6.0).reshape(2, 3)
    check_grads(lambda x, y: np.polynomial.polynomial.polyval2d(x, y, c), (X, Y))
    check_grads(lambda x, y: np.polynomial.chebyshev.chebgrid2d(x, y, c), (X, Y))
    check_grads(lambda c: np.polynomial.polynomial.polygrid2d(X, Y, c), (c,))


@pytest.mark.parametrize("body", [
    "np.interp([0.5, -3, 9], [0, 1.0], [2, 3.0], left=x[0], right=x[1])",
    "np.pad(np.arange(3), 1, constant_values=x[0])",
    "np.trapezoid([1.0, 2, 3], x=[0, x[0], 3.0])", "np.unwrap(np.array([0, 3, 7.0]), period=x[0])",
    "np.polyint([1.0, 2.0], k=x[0])", "np.polyfit(np.arange(3.0), [1.0, 2, 4], 1, w=[x[0], 1, 2])",
])
def test_rows_that_hear_keywords(body: str) -> None:
    f = function(f"return {body}", "x")
    x = np.array([0.7, 1.2])
    for got in (npdiff.vjp(f, x)[0], npdiff.jit(f)(x)):
        np.testing.assert_allclose(got, f(x), rtol=1e-12)
    check_grads(f, (x,), order=2)
