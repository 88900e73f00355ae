"""SciPy: what has rows, what reaches them, and what is refused. The rules' derivatives are in test_rules.py."""

from __future__ import annotations

import inspect
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy")
import scipy.linalg
import scipy.special
from scipy.special import erf, gammaln, logsumexp

import npdiff
from npdiff.dispatch.declare import rows
from npdiff.dispatch.optional import load_seen
from npdiff.errors import NotDifferentiableError, TracedValueError, UnsupportedError
from npdiff.testing import check_grads

load_seen()
from npdiff.dispatch.scipy.declare import implementations  # noqa: E402

X = np.array([0.3, 0.7, 1.1])
NEWEST = tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 18)  # the signatures that npdiff follows
OURS = {name: row for name, row in rows.items() if name.startswith("scipy.")}


def public(module: Any) -> dict[str, Any]:
    """The functions of a SciPy namespace that are its own."""
    return {n: f for n in dir(module) if not n.startswith("_") and callable(f := getattr(module, n))
            and not isinstance(f, (type, types.ModuleType)) and type(f).__name__ != "fortran"
            and not hasattr(f, "typecode") and f is not getattr(np, n, None)}


# ---------------------------------------------------------------------- complete


def test_every_function_has_a_row_and_every_row_a_function() -> None:
    for module in (scipy.special, scipy.linalg):
        known = {id(f): n for n, f in public(module).items()}
        rowed = {id(r.func): n for n, r in OURS.items() if n.rpartition(".")[0] == module.__name__}
        assert sorted(n for i, n in known.items() if i not in rowed) == []
        assert sorted(n for i, n in rowed.items() if i not in known and not n.startswith("scipy.special._")) == []


def test_a_function_has_one_row() -> None:
    assert len({id(row.func) for row in OURS.values()}) == len(OURS)


def test_rows_without_cases_say_why() -> None:
    for name, row in OURS.items():
        assert row.cases or row.why or row.kind == "nondifferentiable" or name in (
            "scipy.special.softplus", "scipy.special.assoc_laguerre"), name


@pytest.mark.parametrize("name", sorted(implementations))
def test_signatures(name: str) -> None:
    module = scipy.special if name.startswith("scipy.special") else scipy.linalg
    theirs = inspect.signature(getattr(module, name.rpartition(".")[2])).parameters
    ours = inspect.signature(implementations[name]).parameters
    if NEWEST:
        assert list(ours) == list(theirs)
    shared = {p: known for p, known in theirs.items() if p in ours}
    assert [p for p in ours if p in shared] == list(shared)
    for parameter, known in shared.items():
        assert ours[parameter].kind is known.kind, parameter
        if parameter != "lwork":
            assert ours[parameter].default == known.default, parameter


# ---------------------------------------------------------------------- reached


def test_ufuncs_are_reached_by_any_name() -> None:
    check_grads(lambda x: np.sum(erf(x) * gammaln(x)), (X,), order=2)
    x = npdiff.track(X)
    np.sum(scipy.special.expit(x)).backward()
    s = 1 / (1 + np.exp(-X))
    np.testing.assert_allclose(x.grad, s * (1 - s), rtol=1e-14)


def test_importing_npdiff_does_not_import_scipy() -> None:
    code = "import sys, npdiff; assert not any(m.partition('.')[0] == 'scipy' for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_are_entered_when_scipy_is_imported_inside_a_transform() -> None:
    code = ("import numpy as np, npdiff\n"
            "def f(x):\n"
            "    import scipy.special\n"
            "    return np.sum(scipy.special.erf(x))\n"
            "g = npdiff.grad(f)(np.zeros(2))\n"
            "assert np.allclose(g, 2 / np.sqrt(np.pi)), g\n"
            "def h(x):\n"
            "    import scipy.special\n"
            "    return scipy.special.logsumexp(x)\n"
            "assert np.allclose(npdiff.grad(h)(np.zeros(2)), 0.5)\n")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_array_api_mode() -> None:
    code = ("import os; os.environ['SCIPY_ARRAY_API'] = '1'\n"
            "import numpy as np, scipy.special, npdiff\n"
            "assert not isinstance(scipy.special.erf, np.ufunc)\n"
            "g = npdiff.grad(lambda x: np.sum(scipy.special.erf(x)) + scipy.special.logsumexp(x))(np.zeros(2))\n"
            "assert np.allclose(g, 2 / np.sqrt(np.pi) + 0.5), g\n")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scipy_is_as_it_was_after_a_transform() -> None:
    before = dict(vars(scipy.special)), dict(vars(scipy.linalg))
    npdiff.grad(lambda x: scipy.special.logsumexp(x) + scipy.linalg.norm(x))(X)
    assert (dict(vars(scipy.special)), dict(vars(scipy.linalg))) == before


def test_plain_arrays_inside_a_transform_get_scipys_own_function() -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append(scipy.special.logsumexp(X))
        return np.sum(x)

    npdiff.grad(f)(X)
    assert type(seen[0]) is np.float64
    assert seen[0] == scipy.special.logsumexp(X)


@pytest.mark.parametrize("f", [
    lambda x: np.sum(scipy.special.erf(x) * np.exp(-x)),
    lambda x: scipy.special.logsumexp(np.outer(x, x)),
    lambda x: np.sum(scipy.special.ellipj(x, 0.4)[0]),
    lambda x: np.sum(scipy.linalg.expm(np.outer(x, x))),
    lambda x: np.sum(scipy.linalg.cho_solve(scipy.linalg.cho_factor(np.eye(3) + np.outer(x, x)), x)),
    lambda x: np.sum(scipy.linalg.lu_solve(scipy.linalg.lu_factor(np.eye(3) + np.outer(x, x)), x)),
], ids=["erf", "logsumexp", "ellipj", "expm", "cholesky", "lu"])
def test_jit_and_vmap(f: Any) -> None:
    fast = npdiff.jit(f)
    for scale in (1.0, 0.5):
        np.testing.assert_allclose(fast(scale * X), f(scale * X), rtol=1e-12)
        np.testing.assert_allclose(npdiff.grad(fast)(scale * X), npdiff.grad(f)(scale * X), rtol=1e-10)
    stack = np.stack([X, 0.5 * X])
    np.testing.assert_allclose(npdiff.vmap(f)(stack), [f(row) for row in stack], rtol=1e-12)


# ---------------------------------------------------------------------- refused


def test_an_unknown_partial_is_an_error_when_it_is_asked_for() -> None:
    assert npdiff.grad(lambda x: scipy.special.jv(1.5, x))(0.7) != 0
    for transform in (npdiff.grad, npdiff.jacfwd):
        with pytest.raises(NotDifferentiableError) as caught:
            transform(lambda v: scipy.special.jv(v, 0.7))(1.5)
        assert str(caught.value).split("\n")[0] == ("scipy.special.jv: its derivative with respect to v, the order has "
                                                    "no closed form that npdiff knows")
        assert str(caught.value).split("\n")[-1] == ("  instead: pass it as a constant (npdiff.stop_gradient), or give "
                                                     "the function a rule with npdiff.custom_jvp")



@pytest.mark.parametrize("name", [
    "bdtrik", "ncfdtr", "nctdtr", "pro_cv", "obl_cv", "btdtria", "zetac"])
def test_functions_without_any_derivative(name: str) -> None:
    row = OURS[f"scipy.special.{name}"]
    args = eval(f"({row.cases[0]},)")
    f = getattr(scipy.special, name)
    spot = len(args) - 1
    value, pull = npdiff.vjp(lambda x: f(*args[:spot], x), float(args[spot]))
    assert value == f(*args)
    with pytest.raises(NotDifferentiableError, match=f"scipy.special.{name}: its derivative with respect to"):
        pull(1.0)


def test_a_function_imported_by_itself_is_an_error_that_says_so() -> None:
    with pytest.raises(TracedValueError) as caught:
        npdiff.grad(lambda x: logsumexp(x))(X)
    what, received, where, instead = str(caught.value).split("\n  ")
    assert what == ("scipy.special.logsumexp: makes a plain array of a tracked value, which would drop its derivative")
    assert received == "received: DiffArray float64[3]"
    assert where.startswith("at: test_scipy.py:")
    assert instead == ("instead: write scipy.special.logsumexp(...) in full, inside a transform or npdiff.record(): a "
                       "function imported by itself is not seen; if it has no rule, give it one with npdiff.custom_jvp")


def test_a_refused_function() -> None:
    with pytest.raises(UnsupportedError) as caught:
        npdiff.grad(lambda x: scipy.linalg.schur(np.outer(x, x))[0][0, 0])(X)
    lines = str(caught.value).split("\n  ")
    assert lines[0] == ("scipy.linalg.schur: hands plain matrices to compiled code, and npdiff has no rule for it")
    assert lines[1] == "received: DiffArray float64[3, 3]"


@pytest.mark.parametrize("f", [
    lambda a: scipy.linalg.qr(a, pivoting=True), lambda a: scipy.linalg.pinv(a, return_rank=True),
    lambda a: scipy.linalg.eig(a, np.eye(3)), lambda a: scipy.linalg.solve(a, a[0], assume_a="banded"),
    lambda a: scipy.linalg.inv(np.stack([a, a])), lambda a: scipy.linalg.expm(np.stack([a, a]))])
def test_options_that_are_not_recorded(f: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"scipy\.linalg"):
        npdiff.vjp(f, np.eye(3))


def test_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="array must not contain infs or NaNs"):
        npdiff.vjp(scipy_inv, np.full((2, 2), np.nan))


def scipy_inv(a: Any) -> Any:
    return scipy.linalg.inv(a)


def test_a_ufunc_of_another_package_without_a_row() -> None:
    with pytest.raises(UnsupportedError, match="ufunc _cospi: is a ufunc that npdiff has no rule for"):
        npdiff.grad(lambda x: scipy.special._ufuncs._cospi(x))(0.3)


@pytest.mark.parametrize(("f", "at"), [
    (lambda x: scipy.special.smirnov(5, x), [0.15, 0.45, 0.83]),
    (lambda p: scipy.special.smirnovi(7, p), [0.1, 0.4, 0.8]),
    (lambda q: scipy.special.mathieu_a(np.array([0, 2, 7]), q), [0.7, 5.0, 30.0]),
    (lambda q: scipy.special.mathieu_b(np.array([1, 2, 7]), q), [0.7, 5.0, 30.0])],
    ids=["smirnov", "smirnovi", "mathieu_a", "mathieu_b"])
def test_first_derivatives_only(f: Any, at: list[float]) -> None:
    x = np.array(at)
    check_grads(f, (x,), order=1)
    total = lambda x: np.sum(f(x))
    np.testing.assert_allclose(npdiff.jit(npdiff.grad(total))(x), npdiff.grad(total)(x), rtol=1e-12)
    with pytest.raises(NotDifferentiableError, match="its derivative with respect to"):
        npdiff.hessian(total)(x)


def test_kolmogorov_where_its_two_series_meet() -> None:
    x = np.array([0.0, 0.03, 0.2, 0.5, 0.79999999, 0.8, 1.0, 3.0])
    slope = npdiff.elementwise_grad(scipy.special.kolmogorov)
    np.testing.assert_allclose(slope(x), scipy.special._ufuncs._kolmogp(x), rtol=1e-11, atol=1e-300)
    bend = npdiff.elementwise_grad(slope)
    np.testing.assert_allclose(bend(x[4:5]), bend(x[5:6]), rtol=1e-6)


# ---------------------------------------------------------------------- points


def test_points_without_derivative() -> None:
    def sums(f: Any) -> Any:
        return npdiff.grad(lambda x: np.sum(np.where(x > 0, f(np.where(x > 0, x, 0.0)), 0.0)))

    x = np.array([0.0, 0.5])
    for f in (scipy.special.entr, scipy.special.gammaln, scipy.special.k0, lambda x: scipy.special.xlogy(x, x)):
        with np.errstate(all="ignore"):
            g = sums(f)(x)
        assert g[0] == 0
        assert np.isfinite(g[1])


@pytest.mark.parametrize(("f", "at"), [
    (scipy.special.ellipk, 0.0), (scipy.special.ellipe, 0.0), (scipy.special.exprel, 0.0),
    (lambda m: scipy.special.ellipkinc(0.8, m), 0.0), (lambda m: scipy.special.ellipeinc(4.0, m), 0.0),
    (lambda p: scipy.special.boxcox(1.7, p), 0.0), (lambda p: scipy.special.inv_boxcox(0.7, p), 0.0),
    (lambda p: scipy.special.tklmbda(0.7, p), 0.0), (scipy.special.spence, 1.0),
    (lambda x: scipy.special.elliprf(x, x * x, x), 1.0), (lambda p: scipy.special.elliprj(1.0, 2.0, 3.0, p), 2.0),
    (lambda x: scipy.special.elliprj(x, 2.0, 2.0, 2.0), 2.0),
    (lambda x: scipy.special.elliprd(x, 3.0, 2.0), 2.0),
    (lambda b: scipy.special.agm(b, 1.0), 1.0)],
    ids=["ellipk", "ellipe", "exprel", "ellipkinc", "ellipeinc", "boxcox", "inv_boxcox", "tklmbda", "spence",
         "elliprf", "elliprj p", "elliprj x", "elliprd", "agm"])
def test_limits(f: Any, at: float) -> None:
    check_grads(f, (np.array([at]),), order=1)


def test_logsumexp_ignores_what_has_no_weight() -> None:
    g = npdiff.grad(lambda a: scipy.special.logsumexp(a, b=np.array([0.0, 1.0, 2.0])))(np.array([1e4, 0.0, 1.0]))
    share = np.array([0.0, 1.0, 2 * np.e])
    np.testing.assert_allclose(g, share / share.sum(), rtol=1e-14)


@pytest.mark.parametrize("lower", [True, False])
def test_eigenvectors(lower: bool) -> None:
    def rebuilt(a: Any) -> Any:  # does not depend on the signs of the vectors, which LAPACK chooses
        w, v = scipy.linalg.eigh(a, lower=lower)
        return v @ np.diag(np.exp(w)) @ v.T

    check_grads(rebuilt, (np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 3.0]]),), order=2)


@pytest.mark.parametrize("lower", [True, False])
def test_generalised_eigenvectors(lower: bool) -> None:
    def rebuilt(a: Any, b: Any) -> Any:
        w, v = scipy.linalg.eigh(a, b, lower=lower)
        return v @ np.diag(np.exp(w)) @ v.T

    a = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 3.0]])
    b = np.array([[1.5, 0.2, 0.4], [0.2, 2.5, 0.1], [0.4, 0.1, 1.0]])
    check_grads(rebuilt, (a, b), order=2)
    w = npdiff.vjp(lambda a, b: scipy.linalg.eigvalsh(a, b), a, b)[0]
    np.testing.assert_array_equal(w, scipy.linalg.eigh(a, b)[0])
    with pytest.raises(UnsupportedError, match="is not recorded with type=2"):
        npdiff.vjp(lambda a: scipy.linalg.eigh(a, b, type=2), a)


@pytest.mark.parametrize("lower", [True, False])
def test_eigenvectors_of_a_complex_matrix(lower: bool) -> None:
    a = np.array([[2.0, 0.3 + 0.5j, 0.1j], [0.3 - 0.5j, 1.0, 0.2], [-0.1j, 0.2, 3.0]])

    def invariant(a: Any) -> Any:  # does not depend on the phases of the vectors, which LAPACK chooses
        w, v = scipy.linalg.eigh(a, lower=lower)
        return w, v / v[1]

    check_grads(invariant, (a,), order=1)


def test_banded_systems_say_what_does_not_fit() -> None:
    for call in (lambda x: scipy.linalg.solve_banded((1, 1), x, np.ones(3)),
                 lambda x: scipy.linalg.solveh_banded(x, np.ones(3))):
        with pytest.raises(ValueError, match="shapes of ab and b are not compatible"):
            npdiff.vjp(call, np.ones((3, 4)))
    with pytest.raises(ValueError, match="solve_banded: 4 diagonals are announced, 3 given"):
        npdiff.vjp(lambda x: scipy.linalg.solve_banded((1, 2), x, np.ones(4)), np.ones((3, 4)))
