"""What a ufunc call can carry beside its operands: out, where, dtype, axes, and the ufunc methods."""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.array import copy_layout, is_scalar, snapshot
from npdiff.avals import ndarray, python_type
from npdiff.core import (
    Handle,
    Trace,
    aval,
    bind,
    constant,
    innermost,
    services,
    ufunc_primitives,
    unsupported,
    wrap,
)
from npdiff.dispatch.declare import Point, Row, absent, add_row, found, numpy_name, operand, point, rows
from npdiff.dispatch.operands import blank, is_tracked, mask_of
from npdiff.dispatch.optional import load_seen
from npdiff.dispatch.rules import constant_primitive, elementwise_primitive
from npdiff.dispatch.storing import match_dtype
from npdiff.errors import OutsideWriteError, message, user_frame

# ufunc -> code over other functions, for ufuncs that are no primitives themselves.
composites: dict[np.ufunc, Callable[..., Any]] = {}


def composite_ufunc(ufunc: Any, notes: str = "", cases: tuple[str, ...] = (),
                    since: str = "", points: tuple[Point, ...] = ()) -> Callable[
                        [Callable[..., Any]], Callable[..., Any]]:
    """Row of a ufunc that is code over others; by its name if not every NumPy has it, as in `declare.function`."""

    def enter(impl: Callable[..., Any]) -> Callable[..., Any]:
        known = found(ufunc) if isinstance(ufunc, str) else ufunc
        name = f"np.{ufunc if isinstance(ufunc, str) else ufunc.__name__}"
        row = Row(name, "composite", known, notes=notes, cases=cases, since=since, points=points)
        if known is None:
            absent[name] = row
        else:
            composites[known] = impl
            add_row(row)
        return impl

    return enter


# ---------------------------------------------------------------------- writing into out=


def write_out(result: Any, out: Any, name: str, casting: Any = "same_kind", where: Any = True,
              stretch: bool = False) -> Any:
    """Store a result into ``out`` and return the array the caller's name should be bound to.

    Ufuncs `stretch` results over a larger ``out``; other functions want the very shape.
    """
    if not isinstance(out, (Handle, ndarray)):
        raise TypeError("output must be an array")
    if isinstance(out, Handle) and is_scalar(out):
        raise TypeError("return arrays must be of ArrayType")
    shape = aval(out).shape
    a = aval(result)
    if a.shape != shape and not stretch:
        raise ValueError(f"{name}: the output array has shape {shape}, the result {a.shape}")
    if np.broadcast_shapes(a.shape, shape) != shape:
        raise ValueError(f"non-broadcastable output operand with shape {shape} doesn't match the broadcast shape "
                         f"{np.broadcast_shapes(a.shape, shape)}")
    if not np.can_cast(a.dtype, aval(out).dtype, casting):  # type: ignore[arg-type]
        raise TypeError(
            f"Cannot cast {name} output from {a.dtype!r} to {aval(out).dtype!r} with casting rule '{casting}'")
    if isinstance(out, Handle):
        target: Any = out
        if not target._writable():
            raise ValueError("output array is read-only")
        new = match_dtype(result, a.dtype if a.weak else aval(out).dtype)
        if where is not True:
            new = np.where(where, new, snapshot(target))
        target[...] = new
        return target
    if not is_tracked(result) and not is_tracked(where):
        np.copyto(out, innermost(result), casting=casting, where=innermost(where))  # type: ignore[arg-type]
        return out
    if where is True and _only_name(out):
        # ``a += x`` on an array that only this name holds: the name is bound to the tracked result instead.
        fresh = constant(copy_layout(out))
        fresh[...] = match_dtype(result, out.dtype)
        return fresh
    raise OutsideWriteError(message(
        f"{name}: a tracked result cannot be written into a plain ndarray that other names share", out, result,
        instead="make the array inside the transform (np.zeros, np.copy), or track it first: a = npdiff.track(a)"))


_BINARY_OP = dis.opmap["BINARY_OP"]
_IN_PLACE = 13  # the first in-place argument of BINARY_OP (dis._nb_ops)


def _in_place_operator() -> bool:
    """True if the user's code runs ``a op= x`` now (and will bind the name to what we return)."""
    frame = user_frame()
    if frame is None:
        return False
    code = frame.f_code.co_code
    at = frame.f_lasti
    return code[at] == _BINARY_OP and code[at + 1] >= _IN_PLACE


def _only_name(out: Any) -> bool:
    """True if no other name refers to the array's memory, so that nobody can miss the write."""
    if type(out) is not ndarray or out.base is not None or not _in_place_operator():
        return False
    if _counting:
        _counting[-1] = sys.getrefcount(out)
        return True
    return sys.getrefcount(out) <= _references_of_one_name()


class _Probe(Trace):
    """A trace of no transform: lets an array held by one name pass the same way as the user's."""

    def process(self, prim: Any, args: Any, params: Any) -> Any:
        return wrap(self, np.zeros(1), None)


@functools.cache
def _references_of_one_name() -> int:
    """How many references `_only_name` counts on an array that a single name holds (differs between Pythons)."""
    probe = _Probe()
    scope: dict[str, Any] = {"np": np, "x": wrap(probe, np.zeros(1), None), "__name__": "npdiff.probe"}
    _counting.append(0)
    try:
        exec(_PROBE_CODE, scope)
    finally:
        probe.close()
        count = _counting.pop()
    return count


_PROBE_CODE = compile("def f():\n    a = np.ones(1)\n    a += x\nf()\n", "<npdiff probe>", "exec")
_counting: list[int] = []


# ---------------------------------------------------------------------- calls


def ufunc_call(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``__array_ufunc__`` in full."""
    if ufunc not in ufunc_primitives and ufunc not in composites:
        load_seen()
    label = numpy_name(ufunc)
    name = label + ("" if method == "__call__" else f".{method}")
    if ufunc not in ufunc_primitives and ufunc not in composites:
        row = rows.get(label)
        why = row.why if row is not None else "is a ufunc that npdiff has no rule for"
        raise unsupported(label, why, *inputs,
                          instead="compute it on x.value, the plain array, or give it a rule with npdiff.custom_jvp")
    if method == "__call__":
        return _call(ufunc, name, inputs, **kwargs)
    return services["ufunc_method"](ufunc, method, *inputs, **kwargs)


def apply(ufunc: np.ufunc, *args: Any) -> Any:
    """The plain call, tracked."""
    prim = ufunc_primitives.get(ufunc)
    return composites[ufunc](*args) if prim is None else bind(prim, args, {})


def _call(ufunc: np.ufunc, name: str, inputs: tuple[Any, ...], out: Any = None, where: Any = True,
          casting: Any = "same_kind", order: str = "K", dtype: Any = None, subok: bool = True, signature: Any = None,
          **gufunc: Any) -> Any:
    args = [operand(a) for a in inputs]
    if gufunc:
        return write_all(name, services["gufunc"](ufunc, args, gufunc), out, casting)
    where = True if where is True else mask_of(where)
    if dtype is not None or signature is not None or casting != "same_kind" or where is not True:
        args = _cast_operands(ufunc, args, dtype, signature, casting)
    try:
        if where is not True:
            # Masked-out elements are not computed: a harmless 1 stands in, so that neither warnings nor NaN arise.
            args = [np.where(where, a, np.ones((), aval(a).dtype)) for a in args]
        result = apply(ufunc, *args)
    except ValueError:
        if out is not None:  # NumPy's words name the shape of out= too
            _raise_as_numpy(ufunc, args, out if isinstance(out, tuple) else (out,), casting)
        raise
    if out is None:
        if where is not True:
            result = tuple([_masked(where, r) for r in result]) if isinstance(result, tuple) else _masked(where, result)
        return result
    return write_all(name, result, out, casting, where, ufunc, args)


def _masked(where: Any, r: Any) -> Any:
    return np.where(where, r, np.zeros((), aval(r).dtype))


def write_all(name: str, result: Any, out: Any, casting: str, where: Any = True, ufunc: Any = None,
              args: Any = ()) -> Any:
    """Store one or several results into ``out``."""
    outs = out if isinstance(out, tuple) else (out,)
    results = result if isinstance(result, tuple) else (result,)
    if ufunc is not None and not all([o is None or _fits(r, o, casting) for r, o in zip(results, outs, strict=False)]):
        _raise_as_numpy(ufunc, args, outs, casting)
    written = [r if o is None else write_out(r, o, name, casting, where, True)
               for r, o in zip(results, outs, strict=True)]
    return tuple(written) if isinstance(result, tuple) else written[0]


def _fits(result: Any, out: Any, casting: str) -> bool:
    if not isinstance(out, (Handle, ndarray)):
        return False
    r, o = aval(result), aval(out)
    grown = (1,) * (len(o.shape) - len(r.shape)) + r.shape
    return len(grown) == len(o.shape) and all(n in (1, m) for n, m in zip(grown, o.shape, strict=True)) and np.can_cast(
        r.dtype, o.dtype, casting)  # type: ignore[arg-type]


def _raise_as_numpy(ufunc: np.ufunc, args: Any, outs: Any, casting: Any) -> None:
    """Let NumPy find the fault, on arrays of ones of the same shapes and dtypes."""

    def ones(a: Any) -> Any:
        v = aval(a)
        return python_type(v.dtype)(1) if v.weak else np.ones(v.shape, v.dtype)

    with np.errstate(all="ignore"):
        ufunc(*[ones(a) for a in args], out=tuple([blank(o) for o in outs]), casting=casting)


def _cast_operands(ufunc: np.ufunc, args: list[Any], dtype: Any, signature: Any, casting: Any) -> list[Any]:
    types = tuple([python_type(aval(a).dtype) if aval(a).weak and aval(a).dtype.kind != "b" else aval(a).dtype
                   for a in args]) + (None,) * ufunc.nout
    if dtype is not None:
        signature = (None,) * ufunc.nin + (np.dtype(dtype),) * ufunc.nout
    fixed = {} if signature is None else {"signature": signature}
    resolved = ufunc.resolve_dtypes(types, casting=casting, **fixed)
    return [a if aval(a).dtype == d and not aval(a).weak else services["astype"](a, d, "unsafe", False)
            for a, d in zip(args, resolved, strict=False)]


# ---------------------------------------------------------------------- ufuncs with two results


frexp_p = constant_primitive("frexp", np.frexp, multiple=True)


@composite_ufunc(np.divmod, cases=("A(2, 3), 0.99 + 0.01 * P(3)", "A(3), 0.9", "I(3, high=9), 2"), points=(
    point("at a jump as beside it", "f(x, 1.0)[1]", [0.0, 1.0, 0.5], 1, 0),))
def divmod_(a: Any, b: Any) -> Any:
    return np.floor_divide(a, b), np.remainder(a, b)


# NumPy gives a fraction of zero the sign of the whole, which must not turn the derivative around.
fraction_p = elementwise_primitive("fraction", None, (1,), impl=lambda a: np.modf(a)[0])


@composite_ufunc(np.modf, cases=("2 * A(2, 3)", "A()[()]"), points=(
    point("at a jump as beside it", "f(x)[0]", [0.0, 1.0, -1.0, 0.5], 1, 0),))
def modf(a: Any) -> Any:
    a = _cast_operands(np.modf, [operand(a)], None, None, "same_kind")[0]
    return bind(fraction_p, (a,), {}), np.trunc(a)


@composite_ufunc(np.frexp, cases=("A(2, 3)", "A()[()]"))
def frexp(a: Any) -> Any:
    a = _cast_operands(np.frexp, [operand(a)], None, None, "same_kind")[0]
    _, exponent = bind(frexp_p, (a,), {})
    return np.ldexp(a, np.negative(exponent)), exponent


services["ufunc"] = ufunc_call
services["operand"] = operand
services["write_out"] = write_out


def unknown(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A function of NumPy's (or built on its protocol) without a row."""
    if func.__module__.startswith("numpy.polynomial."):  # NumPy code, which is read as if the user had written it
        return func.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]
    raise unsupported(numpy_name(func), "is not supported on tracked arrays", *args[:3],
                      instead="compute it on x.value, the plain array, or write it with supported functions")


services["unknown"] = unknown
