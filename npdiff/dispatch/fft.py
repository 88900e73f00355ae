"""Discrete Fourier transforms: linear maps, whose transposes are transforms again.

The matrix of a transform is symmetric, so `fft` and `ifft` are their own transposes; the real transforms
are transposed by the transform in the other direction, with the weights of the half spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from npdiff.core import Primitive, aval, bind, shape_of
from npdiff.dispatch.common import along, batch_axis
from npdiff.dispatch.declare import composite, function, operand, static, write_out
from npdiff.dispatch.rules import linear_primitive
from npdiff.foreign import filled

_TURNED = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


def fitted(a: Any, n: int, axis: int) -> Any:
    """`a` cut or padded with zeros to n elements along an axis."""
    have = shape_of(a)[axis]
    if have == n:
        return a
    if have > n:
        return a[along(axis, None, n)]
    shape = list(shape_of(a))
    shape[axis] = n - have
    return np.concatenate([a, filled(shape, 0, aval(a).dtype, a)], axis=axis)


def _transform(name: str, transpose: Any) -> Any:
    plain = getattr(np.fft, name)

    def impl(a: Any, *, n: int, axis: int, norm: Any) -> Any:
        return plain(a, n, axis, norm)

    prim = linear_primitive(f"fft.{name}", None, transpose, impl=impl, batch=batch_axis(lambda: prim))
    return prim


def _fft_transpose(ct: Any, a: Any, *, n: int, axis: int, norm: Any) -> Any:
    return fitted(fft_p.call(ct, n=n, axis=axis, norm=norm), a.shape[axis], axis)


def _ifft_transpose(ct: Any, a: Any, *, n: int, axis: int, norm: Any) -> Any:
    return fitted(ifft_p.call(ct, n=n, axis=axis, norm=norm), a.shape[axis], axis)


def _rfft_transpose(ct: Any, a: Any, *, n: int, axis: int, norm: Any) -> Any:
    whole = fft_p.call(ct, n=n, axis=axis, norm=norm)
    return fitted(np.real(whole), a.shape[axis], axis)


def _irfft_transpose(ct: Any, a: Any, *, n: int, axis: int, norm: Any) -> Any:
    half = np.conjugate(rfft_p.call(ct, n=n, axis=axis, norm=_TURNED[norm]))
    # Every frequency but the first, and the middle one of an even n, stands for itself and its mirror image.
    weights = np.full(n // 2 + 1, 2.0, aval(ct).dtype)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    weights = weights.reshape([-1 if k == axis else 1 for k in range(len(shape_of(half)))])
    return fitted(np.multiply(half, weights), a.shape[axis], axis)


fft_p: Primitive = _transform("fft", _fft_transpose)
ifft_p: Primitive = _transform("ifft", _ifft_transpose)
rfft_p: Primitive = _transform("rfft", _rfft_transpose)
irfft_p: Primitive = _transform("irfft", _irfft_transpose)


def _along_one(prim: Any, a: Any, n: Any, axis: Any, norm: Any, half: bool = False) -> Any:
    """One transform along one axis; `half`: the operand is half a spectrum."""
    if aval(a).ndim == 0 or norm not in _TURNED or (n is not None and static(n) < 1):
        getattr(np.fft, prim.name[4:])(np.zeros(aval(a).shape), n, axis, norm)
    axis = normalize_axis_index(static(axis), aval(a).ndim)
    size = aval(a).shape[axis]
    n = int(static(n)) if n is not None else 2 * (size - 1) if half else size
    if n < 1:
        raise ValueError(f"Invalid number of FFT data points ({n}) specified.")
    return bind(prim, (a,), {"n": n, "axis": axis, "norm": norm})


_CASES: tuple[str, ...] = ("{0}(4)", "{0}(2, 5)", "{0}(3, 4), n=3, axis=0", "{0}(4), 6, norm='ortho'",
                           "{0}(5), 3, norm='forward'", "{0}(3), norm='backward'")


def _cases(kind: str) -> tuple[str, ...]:
    return tuple([c.format(kind) for c in _CASES])


def _one_axis(func: Any, prim: Any, kind: str, half: bool = False) -> None:
    def impl(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
        return write_out(_along_one(prim, operand(a), n, axis, norm, half), out, f"np.fft.{func.__name__}")

    function(func, "linear", prim, cases=_cases(kind))(impl)


_one_axis(np.fft.fft, fft_p, "C")
_one_axis(np.fft.ifft, ifft_p, "C")
_one_axis(np.fft.rfft, rfft_p, "A")
_one_axis(np.fft.irfft, irfft_p, "C", half=True)


@composite(np.fft.hfft, cases=_cases("C"))
def hfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    a = operand(a)
    a = np.conjugate(a) if aval(a).dtype.kind == "c" else a
    return write_out(_along_one(irfft_p, a, n, axis, _TURNED.get(norm, norm), True), out, "np.fft.hfft")


@composite(np.fft.ihfft, cases=_cases("A"))
def ihfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    result = np.conjugate(_along_one(rfft_p, operand(a), n, axis, _TURNED.get(norm, norm)))
    return write_out(result, out, "np.fft.ihfft")


# ---------------------------------------------------------------------- several axes


def _plan(a: Any, s: Any, axes: Any) -> tuple[list[Any], list[int]]:
    """The sizes and axes of a transform over several axes."""
    s, axes = static(s), static(axes)
    if axes is None:
        axes = list(range(aval(a).ndim)) if s is None else list(range(-len(s), 0))
    sizes = [None] * len(axes) if s is None else list(s)
    if len(sizes) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    # -1 is the array's own size, also along the last axis of irfftn.
    sizes = [aval(a).shape[axis] if n == -1 else n for n, axis in zip(sizes, axes, strict=True)]
    return sizes, list(axes)


def _over(prim: Any, a: Any, sizes: Sequence[Any], axes: Sequence[int], norm: Any) -> Any:
    for n, axis in zip(reversed(sizes), reversed(axes), strict=True):
        a = _along_one(prim, a, n, axis, norm)
    return a


def _several(name: str, a: Any, s: Any, axes: Any, norm: Any) -> Any:
    a = operand(a)
    sizes, axes = _plan(a, s, axes)
    if name in ("fftn", "ifftn"):
        return _over(fft_p if name == "fftn" else ifft_p, a, sizes, axes, norm)
    if name == "rfftn":
        a = _along_one(rfft_p, a, sizes[-1], axes[-1], norm)
        return _over(fft_p, a, sizes[:-1], axes[:-1], norm)
    for n, axis in zip(sizes[:-1], axes[:-1], strict=True):
        a = _along_one(ifft_p, a, n, axis, norm)
    return _along_one(irfft_p, a, sizes[-1], axes[-1], norm, True)


def _many_axes(func: Any, name: str, default: Any, kind: str) -> None:
    def impl(a: Any, s: Any = None, axes: Any = default, norm: Any = None, out: Any = None) -> Any:
        return write_out(_several(name, a, s, axes, norm), out, f"np.fft.{func.__name__}")

    composite(func, cases=(f"{kind}(3, 4)", f"{kind}(2, 3, 4), axes=(0, 2)", f"{kind}(3, 4), s=(2, 5), axes=(0, 1)",
                           f"{kind}(3, 3), norm='ortho'", f"{kind}(3, 4), (4, 3), (1, 0), 'forward'",
                           f"{kind}(3, 4), (3, -1), (1, 0)"))(impl)


for _name, _kind in (("fftn", "C"), ("ifftn", "C"), ("rfftn", "A"), ("irfftn", "C")):
    _many_axes(getattr(np.fft, _name), _name, None, _kind)
    _many_axes(getattr(np.fft, _name.replace("n", "2")), _name, (-2, -1), _kind)


# ---------------------------------------------------------------------- shifts


def _shift(func: Any, ahead: bool) -> None:
    def impl(x: Any, axes: Any = None) -> Any:
        x = operand(x)
        axes_now = static(axes)
        axes_now = tuple(range(aval(x).ndim)) if axes_now is None else (
            (axes_now,) if isinstance(axes_now, (int, np.integer)) else tuple(axes_now))
        half = tuple([aval(x).shape[k] // 2 if ahead else -(aval(x).shape[k] // 2) for k in axes_now])
        return np.roll(x, half, axes_now)

    composite(func, cases=("A(5)", "A(3, 4)", "A(3, 4), axes=1", "C(4), axes=(0,)"))(impl)


_shift(np.fft.fftshift, True)
_shift(np.fft.ifftshift, False)
