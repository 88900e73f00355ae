"""Products of vectors, matrices and tensors, as code over matmul and multiply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.core import aval, services, shape_of
from npdiff.dispatch.common import in_c_order, scalar
from npdiff.dispatch.declare import composite, operand, static, write_out
from npdiff.dispatch.operands import phantom
from npdiff.dispatch.ufuncs import apply, composite_ufunc


def _strong(a: Any) -> Any:
    """A Python number as an array of its own dtype: products do not let it follow the other operand's."""
    return np.reshape(a, ())[()] if aval(a).weak else a


@composite(np.dot,
           cases=("A(3), A(3)", "A(2, 3), A(3)", "A(3), A(3, 2)", "A(2, 3), A(3, 4)", "A(2, 3), A(4, 3, 2)",
                          "A(4, 2, 3), A(3)", "A(), A(2, 3)", "A(2), A()", "C(2, 3), C(3)"))
def dot(a: Any, b: Any, out: Any = None) -> Any:
    a, b = operand(a), operand(b)
    na, nb = aval(a).ndim, aval(b).ndim
    if na == 0 or nb == 0:
        result = in_c_order(np.multiply(_strong(a), _strong(b)))
    else:
        if aval(a).shape[-1] != aval(b).shape[max(nb - 2, 0)]:
            np.dot(phantom(a), phantom(b))
        result = np.matmul(a, b) if nb <= 2 else np.tensordot(a, b, axes=(-1, -2))
    return write_out(result, out, "np.dot")


@composite(np.inner,
           cases=("A(3), A(3)", "A(2, 3), A(3)", "A(2, 3), A(4, 2, 3)", "A(), A(2)", "C(3), C(3)"))
def inner(a: Any, b: Any, /) -> Any:
    a, b = operand(a), operand(b)
    if aval(a).ndim == 0 or aval(b).ndim == 0:
        return np.multiply(_strong(a), _strong(b))
    if aval(a).shape[-1] != aval(b).shape[-1]:
        np.inner(phantom(a), phantom(b))
    return scalar(np.tensordot(a, b, axes=(-1, -1)))


@composite(np.outer, cases=("A(3), A(2)", "A(2, 2), A(3)", "A(), A(2)", "C(2), C(3)"))
def outer(a: Any, b: Any, out: Any = None) -> Any:
    a, b = np.ravel(operand(a)), np.ravel(operand(b))
    return write_out(np.multiply(np.expand_dims(a, 1), np.expand_dims(b, 0)), out, "np.outer", stretch=True)


@composite(np.vdot, cases=("A(3), A(3)", "A(2, 3), A(3, 2)", "C(3), C(3)"))
def vdot(a: Any, b: Any, /) -> Any:
    a, b = np.ravel(operand(a)), np.ravel(operand(b))
    if aval(a).size != aval(b).size:
        np.vdot(phantom(a), phantom(b))
    return np.matmul(np.conjugate(a) if aval(a).dtype.kind == "c" else a, b)


def _as_list(axes: Any) -> list[int]:
    return list(axes) if np.iterable(axes) else [int(axes)]


def _contracted(axes: Any, na: int) -> tuple[list[int], list[int]]:
    """The ``axes=`` of tensordot as two lists."""
    axes = static(axes)
    try:
        left, right = axes
    except TypeError:
        return list(range(na - axes, na)), list(range(axes))
    return _as_list(left), _as_list(right)


@composite(np.tensordot,
           cases=("A(2, 3), A(3, 4), axes=1", "A(2, 3), A(4, 5), axes=0", "A(2, 3, 4), A(3, 4, 2)",
                                "A(2, 3, 4), A(4, 2), axes=([0, 2], [1, 0])", "A(2, 3), A(2, 3), axes=(-1, 1)"))
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = operand(a), operand(b)
    sa, sb = aval(a).shape, aval(b).shape
    left, right = _contracted(axes, len(sa))
    fits = (len(left) == len(right) and all(-len(sa) <= k < len(sa) for k in left)
            and all(-len(sb) <= k < len(sb) for k in right)
            and all(sa[i] == sb[j] for i, j in zip(left, right, strict=True))
            and len({k % len(sa) for k in left}) == len(left) and len({k % len(sb) for k in right}) == len(right))
    if not fits:
        np.tensordot(phantom(a), phantom(b), axes=static(axes))
    left, right = [k % len(sa) for k in left], [k % len(sb) for k in right]
    keep_a = [k for k in range(len(sa)) if k not in left]
    keep_b = [k for k in range(len(sb)) if k not in right]
    n = int(np.prod([sa[k] for k in left], dtype=int))
    rows, cols = [sa[k] for k in keep_a], [sb[k] for k in keep_b]
    flat_a = np.reshape(np.transpose(a, (*keep_a, *left)), (int(np.prod(rows, dtype=int)), n))
    flat_b = np.reshape(np.transpose(b, (*right, *keep_b)), (n, int(np.prod(cols, dtype=int))))
    return np.reshape(np.matmul(flat_a, flat_b), (*rows, *cols))


@composite(np.kron, cases=("A(2), A(3)", "A(2, 2), A(2, 3)", "A(2), A(2, 2, 2)", "A(), A(2)"))
def kron(a: Any, b: Any) -> Any:
    a, b = operand(a), operand(b)
    sa, sb = aval(a).shape, aval(b).shape
    n = max(len(sa), len(sb))
    sa, sb = (1,) * (n - len(sa)) + sa, (1,) * (n - len(sb)) + sb
    a = np.reshape(a, [m for k in sa for m in (k, 1)])
    b = np.reshape(b, [m for k in sb for m in (1, k)])
    return np.reshape(np.multiply(a, b), [i * j for i, j in zip(sa, sb, strict=True)])


@composite(np.cross, cases=("A(3), A(3)", "A(2, 3), A(3)", "A(3, 2), A(3, 2), axis=0",
                            "A(3, 2), A(2, 3), axisa=0, axisb=1, axisc=0"))
def cross(a: Any, b: Any, axisa: Any = -1, axisb: Any = -1, axisc: Any = -1, axis: Any = None) -> Any:
    a, b = operand(a), operand(b)
    if axis is not None:
        axisa = axisb = axisc = axis
    axisa, axisb, axisc = static(axisa), static(axisb), static(axisc)
    if aval(a).ndim == 0 or aval(b).ndim == 0:
        np.cross(phantom(a), phantom(b))
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    m, n = aval(a).shape[-1], aval(b).shape[-1]
    if m != 3 or n != 3:
        np.cross(np.zeros(m), np.zeros(n))  # NumPy's own error or warning for vectors of other lengths
    a1, a2, b1, b2 = a[..., 0], a[..., 1], b[..., 0], b[..., 1]
    third = a1 * b2 - a2 * b1
    if m == 2 and n == 2:
        return third
    zero = np.zeros((), np.result_type(aval(a).dtype, aval(b).dtype))
    a3 = a[..., 2] if m == 3 else zero
    b3 = b[..., 2] if n == 3 else zero
    whole = in_c_order(np.stack([a2 * b3 - a3 * b2, a3 * b1 - a1 * b3, third], axis=-1))
    return np.moveaxis(whole, -1, axisc)


# ---------------------------------------------------------------------- the ufuncs beside matmul


@composite_ufunc(np.vecdot, cases=("A(3), A(3)", "A(2, 3), A(3)", "C(2, 3), C(3)", "A(3, 2), A(3, 2), axis=0",
                                         "A(2, 3), A(2, 3), keepdims=True"))
def vecdot(a: Any, b: Any) -> Any:
    if aval(a).shape[-1:] != aval(b).shape[-1:] or aval(a).ndim == 0:
        np.vecdot(phantom(a), phantom(b))
    a = np.conjugate(a) if aval(a).dtype.kind == "c" else a
    return scalar(np.matmul(np.expand_dims(a, -2), np.expand_dims(b, -1))[..., 0, 0])


@composite_ufunc("matvec", since="2.2", cases=("A(2, 3), A(3)", "A(4, 2, 3), A(4, 3)", "C(2, 3), C(3)"))
def matvec(a: Any, b: Any) -> Any:
    if aval(a).ndim < 2 or aval(a).shape[-1:] != aval(b).shape[-1:]:
        np.matvec(phantom(a), phantom(b))
    return np.matmul(a, np.expand_dims(b, -1))[..., 0]


@composite_ufunc("vecmat", since="2.2", cases=("A(3), A(3, 2)", "A(4, 3), A(4, 3, 2)", "C(3), C(3, 2)"))
def vecmat(a: Any, b: Any) -> Any:
    if aval(a).ndim == 0 or aval(b).ndim < 2 or aval(a).shape[-1] != aval(b).shape[-2]:
        np.vecmat(phantom(a), phantom(b))
    a = np.conjugate(a) if aval(a).dtype.kind == "c" else a
    return np.matmul(np.expand_dims(a, -2), b)[..., 0, :]


def gufunc(ufunc: np.ufunc, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A matrix ufunc with ``axes=``, ``axis=`` or ``keepdims=``: its axes are moved to the end and back."""
    plain = ufunc(*[phantom(a) for a in args], **kwargs)  # NumPy checks the arguments and tells the final shape
    sizes = [len([d for d in part.strip("()").split(",") if d]) for part in
             str(ufunc.signature).replace("->", ";").replace("),(", ");(").split(";")]
    axes = static(kwargs.get("axes"))
    if "axis" in kwargs:
        axis = static(kwargs["axis"])
        axes = [(axis,) if n else () for n in sizes]
    if axes is not None:
        entries = [(k,) if isinstance(k, int) else tuple(k) for k in axes]
        args = [np.moveaxis(a, k, tuple(range(-len(k), 0))) if k else a
                for a, k in zip(args, entries, strict=False)]
    result = apply(ufunc, *args)
    if kwargs.get("keepdims"):
        return np.reshape(result, shape_of(plain))  # only one core axis can be kept: the order of elements stays
    if axes is not None and len(entries) == len(sizes) and entries[-1]:
        result = np.moveaxis(result, tuple(range(-len(entries[-1]), 0)), entries[-1])
    return result


services["gufunc"] = gufunc
