"""Which operand of a call is tracked does not matter, nor what kind of number stands beside it.

Every sample call of every row with one tracked argument only, the others plain; parameters that NumPy does not take for
arrays; and the dtypes that follow from Python's numbers (NEP 50) in every transform.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import npdiff
from npdiff import tree
from npdiff.dispatch.declare import rows
from npdiff.samples import all_cases, evaluate, split

CASES = [(name, text) for name, text in all_cases() if name in rows and rows[name].kind != "nondifferentiable"]


def floats(out: Any) -> list[Any]:
    return [v for v in tree.leaves(out) if getattr(v, "dtype", np.dtype(int)).kind in "fc"]


@pytest.mark.parametrize(("name", "text"), CASES)
def test_one_tracked_operand(name: str, text: str) -> None:
    call = evaluate(name, text)
    f, leaves = split(call)
    if len(leaves) < 2 or not floats(f(*leaves)):
        pytest.skip("one operand, or no derivative")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for k, leaf in enumerate(leaves):
            t = np.cos(np.arange(leaf.size)).reshape(leaf.shape).astype(leaf.dtype)
            zeros = [np.zeros_like(v) for v in leaves]
            wanted = npdiff.jvp(lambda *xs: floats(f(*xs)), tuple(leaves), (*zeros[:k], t, *zeros[k + 1:]))[1]
            alone = npdiff.jvp(lambda x, k=k: floats(f(*leaves[:k], x, *leaves[k + 1:])), (leaf,), (t,))[1]
            for ours, theirs in zip(alone, wanted, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


X, P = np.array([0.3, -1.2, 2.5, 0.7]), np.array([np.nan, np.inf, -np.inf, 1.0])
PARAMETERS: dict[str, Callable[[Any], Any]] = {
    "sum initial": lambda s: np.sum(X, initial=s),
    "prod initial": lambda s: np.prod(X, initial=s),
    "max initial": lambda s: np.max(X, initial=4 * s),
    "nansum initial": lambda s: np.nansum(P[3:], initial=s),
    "nanmax initial": lambda s: np.nanmax(P[3:], initial=4 * s),
    "add.reduce initial": lambda s: np.add.reduce(X * s, initial=s),
    "pad constant_values": lambda s: np.pad(X, 1, constant_values=s),
    "pad pair": lambda s: np.pad(X, (1, 2), constant_values=(s, 2 * s)),
    "pad end_values": lambda s: np.pad(X, 2, mode="linear_ramp", end_values=s),
    "nan_to_num": lambda s: np.nan_to_num(P, nan=s, posinf=2 * s, neginf=3 * s),
    "select default": lambda s: np.select([X > 0.5], [X], s),
    "select choice": lambda s: np.select([X > 0.5], [s]),
    "interp": lambda s: np.interp([-1.0, 0.5, 9.0], [0.0, 1.0], [2.0, 3.0], left=s, right=2 * s),
    "interp period": lambda s: np.interp([-1.0, 0.5, 9.0], [0.0, 0.3], [2.0, 3.0], period=1 + s),
    "unwrap period": lambda s: np.unwrap(X * 9, period=5 + s),
    "trapezoid dx": lambda s: np.trapezoid(X, dx=s),
    "gradient spacing": lambda s: np.gradient(X, s),
    "histogram range": lambda s: np.histogram(X, 3, range=(-2.0, 3 + s))[1],
    "concatenate": lambda s: np.concatenate([X, [s]]),
    "hstack": lambda s: np.hstack([X, s]),
    "append": lambda s: np.append(X, s),
    "insert": lambda s: np.insert(X, 1, s),
    "choose": lambda s: np.choose([0, 1, 1, 0], [X, s]),
    "piecewise": lambda s: np.piecewise(X, [X > 0], [lambda v: v * s, s]),
    "apply_along_axis": lambda s: np.apply_along_axis(lambda v, w: v * w, 0, X, s),
    "block": lambda s: np.block([X, s]),
    "full_like": lambda s: np.full_like(X, s),
    "where": lambda s: np.where(X > 0, s, X),
    "clip": lambda s: np.clip(X, -s, s),
    "polyval": lambda s: np.polyval([s, 1.0], X),
    "linspace": lambda s: np.linspace(0.0, s, 3),
    "tile": lambda s: np.tile([s], 2),
    "average weights": lambda s: np.average(X, weights=[s, 1.0, 2.0, 3.0]),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_tracked_parameter(name: str) -> None:
    f = PARAMETERS[name]
    h = 1e-6
    wanted = (np.asarray(f(1.1 + h)) - np.asarray(f(1.1 - h))) / (2 * h)
    for at in (1.1, np.float64(1.1), np.array(1.1)):
        np.testing.assert_allclose(npdiff.jvp(f, (at,), (np.ones_like(at)[()],))[1], wanted, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(npdiff.jacrev(f)(at), wanted, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(npdiff.jit(f)(at), f(at), rtol=1e-12)
    np.testing.assert_allclose(npdiff.vmap(f)(np.array([1.1, 1.2])), np.stack([f(1.1), f(1.2)]), rtol=1e-12)


# ---------------------------------------------------------------------- NEP 50

DTYPES = [np.dtype(c) for c in "?bBhHiIlLefdFD"]
NUMBERS = [True, 2, -1, 3.5, 1 + 2j]
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    **{n: getattr(operator, n) for n in "add sub mul truediv floordiv mod pow and_ lshift lt".split()},
    **{n: getattr(np, n) for n in "maximum arctan2 hypot float_power heaviside fmod copysign append".split()},
    "where": lambda a, b: np.where(np.array(True), a, b), "clip": lambda a, b: np.clip(a, b, b),
    "full_like": lambda a, b: np.full_like(a, b), "array": lambda a, b: np.array([a, b]),
    "hstack": lambda a, b: np.hstack([a, b]), "initial": lambda a, b: np.sum(a, initial=b),
    "iadd": lambda a, b: operator.iadd(np.copy(np.ravel(a)), b), "dot": lambda a, b: np.dot(a, b),
    "einsum": lambda a, b: np.einsum("...,...->...", a, b), "linspace": lambda a, b: np.linspace(a, b, 3),
    "select": lambda a, b: np.select([a > 0], [a], b), "choose": lambda a, b: np.choose(0, [a, b]),
    "pad": lambda a, b: np.pad(np.ravel(a), 1, constant_values=b), "nan_to_num": lambda a, b: np.nan_to_num(a, nan=b),
    "outer": lambda a, b: np.outer(a, b), "kron": lambda a, b: np.kron(a, b),
    "polyval": lambda a, b: np.polyval([a, b], 2), "of a sum": lambda a, b: np.sum(a) * b,
}


def kind(run: Callable[[], Any]) -> Any:
    """Dtype and shape of the result, or that there is none."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            out = run()
        except (TypeError, ValueError, OverflowError):
            return "an error"
    return np.asarray(out).dtype, np.shape(out)


def differentiable(v: Any) -> bool:
    return np.asarray(v).dtype.kind in "fc"


def ways(f: Callable[[Any, Any], Any], a: Any, b: Any) -> dict[str, Callable[[], Any]]:
    """Every transform of ``f(a, b)`` that tracks a, b or both."""
    def reverse(g: Any, v: Any) -> Any:
        return npdiff.vjp(lambda x: (0.0, g(x)), v, has_aux=True)[2]

    def forward(g: Any, v: Any) -> Any:
        t = np.ones_like(v) if isinstance(v, np.ndarray) else type(v)(1)
        return npdiff.jvp(lambda x: (0.0, g(x)), (v,), (t,), has_aux=True)[2]

    def batch(g: Any) -> Any:
        return npdiff.vmap(g)(np.stack([a, a]))[0]

    jitted = npdiff.jit(f)
    made: dict[str, Callable[[], Any]] = {
        "jit": lambda: jitted(a, b), "a replay": lambda: jitted(a, b), "vmap": lambda: batch(lambda x: f(x, b))}
    if differentiable(a):
        made |= {"reverse": lambda: reverse(lambda x: f(x, b), a), "forward": lambda: forward(lambda x: f(x, b), a),
                 "reverse in vmap": lambda: batch(lambda v: reverse(lambda x: f(x, b), v)),
                 "vmap in reverse": lambda: reverse(lambda v: npdiff.vmap(lambda x: f(x, b))(v), np.stack([a, a]))[0]}
    if differentiable(b):
        made |= {"reverse of a number": lambda: reverse(lambda y: f(a, y), b),
                 "forward of a number": lambda: forward(lambda y: f(a, y), b)}
    return made


@pytest.mark.parametrize("swapped", [False, True], ids=["number right", "number left"])
@pytest.mark.parametrize("name", BINARY)
def test_python_numbers_beside_every_dtype(name: str, swapped: bool) -> None:
    op = BINARY[name]
    f = (lambda a, b: op(b, a)) if swapped else op
    for dtype in DTYPES:
        for shape in ((2,), ()):
            a = np.ones(shape, dtype)[()]
            for b in NUMBERS:
                wanted = kind(lambda a=a, b=b: f(a, b))
                for way, run in ways(f, a, b).items():
                    assert kind(run) == wanted, (way, dtype, shape, b)
