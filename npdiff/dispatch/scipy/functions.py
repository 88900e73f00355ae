"""scipy.special: Python functions over the ufuncs.

Most turn their arguments into plain arrays before they compute, so stand-ins take their places while a transform
runs; what is written here says the same with functions that have rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from npdiff.core import Handle, aval, services, shape_of, unsupported
from npdiff.dispatch.common import scalar
from npdiff.dispatch.declare import operand, static
from npdiff.dispatch.operands import anywhere, phantom
from npdiff.dispatch.scipy.declare import (
    S,
    composite,
    is_complex,
    refused,
    through,
    untracked,
)

_sp = scipy.special
_sp_logsumexp, _sp_multigammaln, _sp_factorial, _sp_diric = _sp.logsumexp, _sp.multigammaln, _sp.factorial, _sp.diric

# ---------------------------------------------------------------------- exponentials along an axis


def _array(a: Any) -> Any:
    """What SciPy makes of an argument: an array, whose dtype decides like any other's."""
    a = operand(a)
    return a if isinstance(a, Handle) else np.asarray(a)


def _floating(*operands: Any) -> Any:
    """Operands as floating-point arrays of one dtype."""
    arrays = [_array(a) for a in operands]
    dtype = np.result_type(*[aval(a).dtype for a in arrays])
    dtype = dtype if dtype.kind in "fc" else np.dtype(float)
    return [a if aval(a).dtype == dtype and not aval(a).weak else services["astype"](a, dtype, "unsafe", False)
            for a in arrays]


def _peak(a: Any, axis: Any) -> Any:
    """The largest real part along an axis, as a constant; 0 where it is infinite, which nothing can be shifted by."""
    top = np.max(np.real(a) if is_complex(a) else a, axis=axis, keepdims=True)
    return np.where(np.isfinite(top), top, np.zeros((), aval(top).dtype))


def _axis(a: Any, axis: Any) -> Any:
    axis = static(axis)
    return tuple(range(len(shape_of(a)))) if axis is None else axis


@composite(_sp, "logsumexp", cases=(
    "A(3)", "A(2, 3), axis=1", "A(2, 3), axis=0, keepdims=True", "A(2, 3), b=P(2, 3)", "A(3), b=np.array([1., 0, 2])",
    "A(2, 3), 1, P(3), return_sign=True", "C(3)", "0.7 * A()[()]", "np.array([-np.inf, 0.5, 1]) + 0 * A(3)"))
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: Any = False, return_sign: Any = False) -> Any:
    if b is None:
        (a,) = _floating(a)
    else:
        a, b = np.broadcast_arrays(*_floating(a, b))
    if aval(a).size == 0:
        return _sp_logsumexp(phantom(a), axis=axis, keepdims=keepdims, return_sign=return_sign)
    axes = _axis(a, axis)
    if b is None:
        top = _peak(a, axes)
        total = np.sum(np.exp(np.subtract(a, top)), axis=axes, keepdims=True)
    else:
        # What has no weight adds nothing, however large it is.
        weightless = np.equal(b, 0)
        top = _peak(np.where(weightless, np.array(-np.inf, aval(a).dtype), a), axes)
        less = np.subtract(a, top)
        most = np.array(np.log(np.finfo(aval(a).dtype).max), aval(a).dtype)
        less = np.where(np.logical_and(weightless, np.greater(np.real(less), np.real(most))), most, less)
        total = np.sum(np.multiply(b, np.exp(less)), axis=axes, keepdims=True)
    sign = np.sign(total) if return_sign else None
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.add(np.log(np.absolute(total) if return_sign else total), top)
    if not keepdims:
        out = np.squeeze(out, axis=axes)
        sign = None if sign is None else np.squeeze(sign, axis=axes)
    return scalar(out) if sign is None else (scalar(out), scalar(sign))


@composite(_sp, "softmax", cases=("A(3)", "A(2, 3), axis=1", "C(3)"))
def softmax(x: Any, axis: Any = None) -> Any:
    (x,) = _floating(x)
    share = np.exp(np.subtract(x, np.max(x, axis=static(axis), keepdims=True)))
    return np.divide(share, np.sum(share, axis=static(axis), keepdims=True))


@composite(_sp, "log_softmax", cases=("A(3)", "A(2, 3), axis=1"))
def log_softmax(x: Any, axis: Any = None) -> Any:
    (x,) = _floating(x)
    less = np.subtract(x, _peak(x, static(axis)))
    with np.errstate(divide="ignore"):
        return np.subtract(less, np.log(np.sum(np.exp(less), axis=static(axis), keepdims=True)))


# ---------------------------------------------------------------------- gamma functions


@composite(_sp, "polygamma", cases=("1, P(3)", "0, P(3)", "I(3), P(3)", "2, 1.3"))
def polygamma(n: Any, x: Any) -> Any:
    n, x = _array(n), _array(x)
    order = np.add(n, 1)
    higher = np.multiply(np.multiply(np.power(-1.0, order), S.gamma(np.add(n, 1.0))), S._zeta(order, x))
    return np.where(np.equal(n, 0), S.psi(x), higher)


@composite(_sp, "zeta", notes="not along the exponent", cases=("2.5, P(3)",))
def zeta(x: Any, q: Any = None, out: Any = None) -> Any:
    extra = {} if out is None else {"out": out}
    return S._riemann_zeta(x, **extra) if q is None else S._zeta(x, q, **extra)


@composite(_sp, "multigammaln", cases=("3 + P(3), 2", "3 + P()[()], 3"))
def multigammaln(a: Any, d: Any) -> Any:
    a, d = _array(a), static(d)
    if is_complex(a):
        _sp_multigammaln(phantom(a), d)  # SciPy's own error
    if np.ndim(d) or np.floor(d) != d or anywhere(np.less_equal(a, 0.5 * (d - 1))):
        _sp_multigammaln(np.zeros(aval(a).shape), d)  # SciPy's own error
    steps = np.stack([np.subtract(a, 0.5 * k) for k in range(int(d))])
    return np.add(np.sum(S.gammaln(steps), axis=0), d * (d - 1) * 0.25 * np.log(np.pi))


def _whole(name: str, exact: Any, *args: Any) -> None:
    if static(exact):
        raise unsupported(f"scipy.special.{name}", "with exact=True computes whole numbers", *args,
                          instead="use exact=False")


@composite(_sp, "factorial", notes="with extend='complex' or exact=False", cases=("P(3), extend='complex'",))
def factorial(n: Any, exact: Any = False, extend: Any = "zero") -> Any:
    _whole("factorial", exact, n)
    n = operand(n)
    if extend == "complex":
        return S.gamma(np.add(n, 1))
    if is_complex(n):
        _sp_factorial(phantom(n), exact, extend)  # SciPy's own error
    value = S.gamma(np.add(n, 1.0))
    return np.where(np.less(n, 0), np.zeros((), aval(value).dtype), value)


@composite(_sp, "comb", cases=("3 + P(3), 2", "3 + P(2, 1), P(3)", "P(3), 2, repetition=True"))
def comb(N: Any, k: Any, *, exact: Any = False, repetition: Any = False) -> Any:
    _whole("comb", exact, N, k)
    N, k = _array(N), _array(k)
    if repetition:
        value = S.binom(np.subtract(np.add(N, k), 1), k)
        start = np.logical_and(np.equal(k, 0), np.greater_equal(N, 0))
        return scalar(np.where(start, np.ones((), aval(value).dtype), value))
    return _inside(N, k, S.binom(N, k))


@composite(_sp, "perm", cases=("3 + P(3), 2", "3 + P(2, 1), P(3)"))
def perm(N: Any, k: Any, exact: Any = False) -> Any:
    _whole("perm", exact, N, k)
    N, k = _array(N), _array(k)
    return _inside(N, k, S.poch(np.add(np.subtract(N, k), 1), k))


def _inside(N: Any, k: Any, value: Any) -> Any:
    """The value where ``0 <= k <= N``, and 0 elsewhere."""
    inside = np.logical_and(np.less_equal(k, N), np.logical_and(np.greater_equal(N, 0), np.greater_equal(k, 0)))
    return scalar(np.where(inside, value, np.zeros((), aval(value).dtype)))


# ---------------------------------------------------------------------- Bessel functions


def _spherical(name: str, even: int, cases: tuple[str, ...] = ()) -> None:
    """The sign `even` is that of f(-z) for even orders; 0 where f has no parity."""

    @composite(_sp, name, cases=("2, P(3)", "1, P(3), derivative=True", "1, C(3)", *cases))
    def spherical(n: Any, z: Any, derivative: Any = False) -> Any:
        n = np.asarray(static(n), dtype=np.dtype("long"))
        f, z = getattr(S, f"_{name}_d" if derivative else f"_{name}"), _array(z)
        if is_complex(z):
            return f(n, z)
        below = np.less(z, 0)
        if not even:
            if anywhere(below):
                raise unsupported(f"scipy.special.{name}", "of negative numbers is not recorded", n, z,
                                  instead="give it complex numbers, and take the real part")
            return f(n, z)
        sign = np.where(n % 2 == 0, even, -even) * (-1 if derivative else 1)
        return scalar(np.multiply(f(n, np.where(below, np.negative(z), z)), np.where(below, sign, 1)))


for _name, _even in (("spherical_jn", 1), ("spherical_yn", -1), ("spherical_in", 1)):
    _spherical(_name, _even, ("2, A(3)", "1, -P(3), derivative=True"))
_spherical("spherical_kn", 0)


def _along_z(name: str, of: str, phase: int, sign: int) -> None:
    """The n-th derivative of a Bessel function: binomial sums of neighbouring orders (Abramowitz and Stegun 9.1.31)."""
    original = getattr(_sp, name)

    @composite(_sp, name, cases=("1, P(3)", "2, P(3), 2", "I(3), P(3), 0"))
    def derivative(v: Any, z: Any, n: Any = 1) -> Any:
        f, n, v = getattr(S, of), static(n), _array(v)
        if type(n) is not int or n < 0:
            original(0.0, 1.0, n)  # SciPy's own error
        if n == 0:
            return f(v, z)
        weight, total = 1.0, f(np.subtract(v, n), z)
        for k in range(1, n + 1):
            weight = phase * weight * (n - k + 1) / k
            total = np.add(total, np.multiply(weight, f(np.add(v, 2 * k - n), z)))
        return np.multiply(float(sign) ** n / 2.0**n, total)


for _name, _of, _phase, _sign in (("jvp", "jv", -1, 1), ("yvp", "yv", -1, 1), ("ivp", "iv", 1, 1), ("kvp", "kv", 1, -1),
                                  ("h1vp", "hankel1", -1, 1), ("h2vp", "hankel2", -1, 1)):
    _along_z(_name, _of, _phase, _sign)


@composite(_sp, "lambertw", cases=("C(3)", "P(3)", "C(3), 1"))
def lambertw(z: Any, k: Any = 0, tol: Any = 1e-8) -> Any:
    return S._lambertw(z, np.asarray(static(k), dtype=np.dtype("long")), static(tol))


@composite(_sp, "diric", cases=("P(3), 3", "P(3), 4", "np.array([0.0, 1, 0.3]) + 0 * P(3), 3"))
def diric(x: Any, n: Any) -> Any:
    x, n = _floating(x, static(n))
    if is_complex(x):
        _sp_diric(phantom(x), n)  # SciPy's own error
    whole = np.logical_and(np.greater(n, 0), np.equal(n, np.floor(n)))
    half = np.multiply(0.5, x)
    below = np.sin(half)
    eps = np.finfo(aval(x).dtype).eps
    tiny = 1e-11 if eps < 1e-18 else 1e-7 if eps < 1e-15 else 1e-3
    near = np.less(np.absolute(below), tiny)
    turns = np.round(np.divide(half, np.pi))
    # Beside a multiple of 2 pi: the limit, with the curvature that the second derivative reads.
    gap = np.subtract(half, np.multiply(np.pi, turns))
    bend = np.subtract(1, np.multiply((n * n - 1) / 6, np.multiply(gap, gap)))
    limit = np.multiply(np.power(-1.0, np.multiply(turns, n - 1)), bend)
    ratio = np.divide(np.sin(np.multiply(n, half)), np.multiply(n, np.where(near, 1, below)))
    value: Any = np.where(whole, np.where(near, limit, ratio), np.nan)
    return services["astype"](value, aval(x).dtype, "unsafe", False)


through(_sp, "softplus", cases=("A(3)", "A(2, 3)"))
through(_sp, "assoc_laguerre", cases=("P(3), 2", "A(2, 3), 3, 0.5"))

# ---------------------------------------------------------------------- what has no rule, and what needs none

refused(_sp, "hands plain numbers to compiled code, and npdiff has no rule for it",
        "assoc_legendre_p assoc_legendre_p_all legendre_p legendre_p_all sph_legendre_p sph_legendre_p_all sph_harm_y "
        "sph_harm_y_all ellip_harm ellip_harm_2 ellip_normal factorial2 factorialk lmbda lqmn lqn mathieu_even_coef "
        "mathieu_odd_coef obl_cv_seq pro_cv_seq pbdn_seq pbdv_seq pbvv_seq riccati_jn riccati_yn stirling2",
        "compute it on x.value, the plain array, or give it a rule with npdiff.custom_jvp")
refused(_sp, "makes a polynomial or its roots from plain parameters",
        "chebyc chebys chebyt chebyu gegenbauer genlaguerre hermite hermitenorm jacobi laguerre legendre sh_chebyt "
        "sh_chebyu sh_jacobi sh_legendre c_roots cg_roots h_roots he_roots j_roots js_roots l_roots la_roots p_roots "
        "ps_roots s_roots t_roots ts_roots u_roots us_roots roots_chebyc roots_chebys roots_chebyt roots_chebyu "
        "roots_gegenbauer roots_genlaguerre roots_hermite roots_hermitenorm roots_jacobi roots_laguerre roots_legendre "
        "roots_sh_chebyt roots_sh_chebyu roots_sh_jacobi roots_sh_legendre",
        "make it from x.value, the plain number; evaluating it (or scipy.special.eval_legendre and its kin) at tracked "
        "points is recorded")
untracked(_sp, "counts zeros or numbers",
          "ai_zeros bei_zeros beip_zeros ber_zeros berp_zeros bi_zeros erf_zeros fresnel_zeros fresnelc_zeros "
          "fresnels_zeros jn_zeros jnjnp_zeros jnp_zeros jnyn_zeros kei_zeros keip_zeros kelvin_zeros ker_zeros "
          "kerp_zeros y0_zeros y1_zeros y1p_zeros yn_zeros ynp_zeros bernoulli euler")
untracked(_sp, "reads or changes SciPy's settings", "geterr seterr test")

__all__: list[str] = []
