"""scipy.linalg: functions of matrices.

The derivative of a matrix function f along E stands in a block of f at a larger matrix: f([[A, E], [0, A]]) has f's
derivative in its upper right corner (R. Mathias, A chain rule for matrix functions and applications, SIAM J. Matrix
Anal. Appl. 17 (1996); N. Higham, Functions of Matrices, SIAM 2008, section 3.1). Its transpose is the derivative at the
transposed matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from npdiff.core import Primitive, aval, bind, own_primitive, shape_of, unsupported
from npdiff.dispatch.common import in_f_order, one_by_one
from npdiff.dispatch.declare import operand, static
from npdiff.dispatch.scipy.declare import composite, is_complex
from npdiff.dispatch.scipy.matrix_operands import matrix

_sp = scipy.linalg


def _corner(prim: Primitive, a: Any, e: Any, params: dict[str, Any]) -> Any:
    """The derivative of the matrix function at `a` along `e`."""
    n = shape_of(a)[-1]
    above = np.concatenate([a, e], axis=-1)
    below = np.concatenate([np.zeros_like(a), a], axis=-1)
    return prim.call(np.concatenate([above, below], axis=-2), **params)[..., :n, n:]


def _fitting(change: Any, like: Any) -> Any:
    """The part of a derivative that a real function of a real matrix has."""
    return change if aval(like).dtype.kind == "c" or aval(change).dtype.kind != "c" else np.real(change)


def _matrix_function(name: str, original: Any) -> Primitive:
    def jvp(out: Any, primals: Any, tangents: Any, **params: Any) -> Any:
        (a,), (t,) = primals, tangents
        return None if t is None else _fitting(_corner(prim, a, t, params), out)

    def pull(ct: Any, _out: Any, args: Any, _needed: Any, params: Any) -> Any:
        return (_corner(prim, np.swapaxes(args[0], -1, -2), ct, params),)

    def batch(size: int, args: Any, batched: Any, params: Any) -> Any:
        return one_by_one(prim, size, args, batched, params)

    prim: Primitive = own_primitive(f"scipy.linalg.{name}", lambda a, **params: original(a, **params), jvp=jvp,
                                    pull=pull, batch=batch)
    return prim


def _square(name: str, a: Any) -> Any:
    a = operand(a)
    if aval(a).ndim != 2:
        raise unsupported(f"scipy.linalg.{name}", "is recorded for single matrices, not for stacks", a,
                          instead="use npdiff.vmap over the stack")
    return a if aval(a).dtype.kind in "fc" else np.multiply(1.0, a)


def _enter(name: str, notes: str = "") -> Primitive:
    prim = _matrix_function(name, getattr(_sp, name))

    @composite(_sp, name, kind="nonlinear", notes=notes, cases=("0.3 * M(2)",))
    def function(A: Any) -> Any:
        return bind(prim, (_square(name, A),), {})

    return prim


_expm_p = _enter("expm")
for _name in ("sqrtm", "logm"):
    _enter(_name, "no eigenvalue that is negative or zero")
_enter("signm", "no eigenvalue that is purely imaginary")


def _both(name: str, A: Any, turn: Any) -> tuple[Any, Any]:
    """``expm(turn A)`` and ``expm(-turn A)``."""
    a = np.multiply(turn, _square(name, A))
    return bind(_expm_p, (a,), {}), bind(_expm_p, (np.negative(a),), {})


@composite(_sp, "cosm", cases=("0.3 * M(2)",))
def cosm(A: Any) -> Any:
    return _fitting(np.multiply(0.5, np.add(*_both("cosm", A, 1j))), operand(A))


@composite(_sp, "sinm", cases=("0.3 * M(2)",))
def sinm(A: Any) -> Any:
    return _fitting(np.multiply(-0.5j, np.subtract(*_both("sinm", A, 1j))), operand(A))


@composite(_sp, "coshm", cases=("0.3 * M(2)",))
def coshm(A: Any) -> Any:
    return np.multiply(0.5, np.add(*_both("coshm", A, 1)))


@composite(_sp, "sinhm", cases=("0.3 * M(2)",))
def sinhm(A: Any) -> Any:
    return np.multiply(0.5, np.subtract(*_both("sinhm", A, 1)))


@composite(_sp, "tanm", cases=("0.3 * M(2)",))
def tanm(A: Any) -> Any:
    return np.linalg.solve(cosm(A), sinm(A))


@composite(_sp, "tanhm", cases=("0.3 * M(2)",))
def tanhm(A: Any) -> Any:
    return np.linalg.solve(coshm(A), sinhm(A))


@composite(_sp, "expm_frechet", cases=(
    "np.zeros(2) + 0.3 * M(2), np.zeros(2) + A(2, 2)",
    "np.zeros(2) + 0.3 * M(2), np.zeros(2) + A(2, 2), compute_expm=False"))
def expm_frechet(A: Any, E: Any, method: Any = None, compute_expm: Any = True, check_finite: Any = True) -> Any:
    a, e = matrix(A, check_finite), matrix(E, check_finite)
    wide = np.ones((), complex if is_complex(a, e) else float)  # SciPy computes this in double precision
    a, e = np.multiply(wide, a), np.multiply(wide, e)
    along = in_f_order(_corner(_expm_p, a, e, {}))
    return (in_f_order(bind(_expm_p, (a,), {})), along) if compute_expm else along


_power_p = _matrix_function("fractional_matrix_power", _sp.fractional_matrix_power)


@composite(_sp, "fractional_matrix_power", kind="nonlinear", notes="not along the exponent",
           cases=("M(2), 0.4", "S(2), -1.3"))
def fractional_matrix_power(A: Any, t: Any) -> Any:
    return bind(_power_p, (_square("fractional_matrix_power", A),), {"t": static(t)})


__all__: list[str] = []
