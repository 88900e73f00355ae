"""The derivatives people ask for: grad, jvp, vjp, jacobian, hessian and their kin."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.array import DiffArray
from npdiff.avals import is_differentiable, is_foreign, ndarray
from npdiff.core import Handle, aval, shape_of
from npdiff.errors import ArgumentError, message
from npdiff.foreign import filled, foreign_in, released
from npdiff.graph import Graph, prune
from npdiff.transforms.jvp import JvpTrace
from npdiff.transforms.portable import portable
from npdiff.transforms.reverse import Node, ReverseTrace, cast_cotangent, cotangents, seed
from npdiff.transforms.run import (
    Inputs,
    called,
    check_input,
    check_output,
    is_array_like,
    own,
    result_of,
    running,
    split_aux,
    strip,
    without_derivative,
)
from npdiff.transforms.stage import StageTrace
from npdiff.transforms.vmap import BatchTrace

F = Callable[..., Any]


def _zeros(leaf: Any) -> Any:
    a = aval(leaf)
    return filled(a.shape, 0, a.dtype, leaf)[()]


def _ones(node: Node, out: Any) -> Any:
    """The cotangent that a way back starts from, where it is one for every element."""
    if not node[1] and (not isinstance(out._value, Handle) or foreign_in(out) is None):
        return node[2].type(1)
    return filled(node[1], 1, node[2], out)


def _pull(outputs: Sequence[tuple[Node, Any]], nodes: Sequence[Node], leaves: Sequence[Any]) -> list[Any]:
    cts = cotangents(outputs, nodes)
    return [_plain(_zeros(leaf) if ct is None else ct, leaf) for ct, leaf in zip(cts, leaves, strict=True)]


def _plain(ct: Any, like: Any = None) -> Any:
    """A cotangent as a result the caller owns: a scalar for a scalar."""
    if isinstance(ct, Handle):
        ct._sync()
        return released(ct) if ct._trace is not None else released(ct._value)
    if type(ct) is ndarray and not ct.shape and not isinstance(like, (Handle, ndarray)):
        return ct[()]
    if type(ct) is ndarray and (ct.base is not None or not ct.flags.writeable):
        return ct.copy()
    return ct


def _check_scalar(name: str, f: F, out: Any, holomorphic: bool) -> None:
    if type(out) is DiffArray and type(out._value) is np.float64:
        return
    if not is_array_like(out):
        raise ArgumentError(message(f"{name}: {called(f)} must return one number", out,
                                    instead="return a scalar; for other outputs use npdiff.vjp or npdiff.jacobian"))
    a = aval(out)
    if a.shape != ():
        raise ArgumentError(message(f"{name}: {called(f)} must return one number, not shape {a.shape}", out,
                                    instead="sum the result, or use npdiff.jacobian, npdiff.vjp or "
                                            "npdiff.elementwise_grad"))
    if a.dtype.kind not in "biufc":
        raise without_derivative(name, f, out)
    if a.dtype.kind == "c" and not holomorphic:
        raise ArgumentError(message(f"{name}: {called(f)} returned a complex number", out,
                                    instead="return a real number, or pass holomorphic=True if f is holomorphic"))


def _gradient(name: str, f: F, argnums: Any, has_aux: bool, holomorphic: bool, scalar: bool) -> F:
    if not callable(f):
        raise ArgumentError(message(f"{name}: the first argument must be a function", f,
                                    instead=f"write npdiff.{name}(f)(x), not npdiff.{name}(f(x))"))

    def run(*args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
        inputs = Inputs(name, argnums, args, kwargs, holomorphic)
        trace = ReverseTrace()
        with running(trace):
            pairs = [trace.input(leaf) for leaf in inputs.leaves]
            nodes = [n for _, n in pairs]
            out, aux = split_aux(name, inputs.call(f, [h for h, _ in pairs]), has_aux)
            if scalar:
                _check_scalar(name, f, out, holomorphic)
            else:
                check_output(name, f, out)
            if type(out) is DiffArray and out._trace is trace:  # one array or number, as a rule
                outputs, value = [(out._node, _ones(out._node, out))], released(out._value)
            else:
                found = [(node, leaf) for leaf in tree.leaves(out) for node, _ in seed(leaf, None, trace)]
                outputs = [(node, _ones(node, leaf)) for node, leaf in found]
                value = strip(trace, out)
            aux = strip(trace, aux) if has_aux else None
        return value, inputs.rebuild(_pull(outputs, nodes, inputs.leaves)), aux

    return run


@portable
def value_and_grad(f: F, argnums: int | Sequence[int] = 0, *, has_aux: bool = False, holomorphic: bool = False) -> F:
    """Turn f into a function that returns f's value and its gradient.

    Parameters
    ----------
    f
        Any function written with NumPy that returns one real number.
    argnums
        Position or positions to differentiate with respect to; arguments may be containers of arrays.
    has_aux
        f returns ``(value, aux)``; aux is passed through undifferentiated.
    holomorphic
        Allow a complex result of a holomorphic f.

    Returns
    -------
    A function of f's arguments returning ``(value, gradient)``, or ``((value, aux), gradient)``. The gradient has
    the shape and dtype of the argument (a tuple of gradients if argnums is a tuple). For complex arguments it is
    ``df/dx - i df/dy``, the convention of JAX and autograd.

    Raises
    ------
    ArgumentError
        For argnums out of range, arguments that are not floating point, or a result that is not one real number.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> value, gradient = npdiff.value_and_grad(lambda x: np.sum(x ** 3))(np.array([1.0, 2.0]))
    >>> float(value), gradient
    (9.0, array([ 3., 12.]))
    """
    run = _gradient("value_and_grad", f, argnums, has_aux, holomorphic, True)

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, grads, aux = run(*args, **kwargs)
        return ((value, aux) if has_aux else value), grads

    return wrapped


@portable
def grad(f: F, argnums: int | Sequence[int] = 0, *, has_aux: bool = False, holomorphic: bool = False) -> F:
    """Turn f into a function that returns its gradient; arguments and errors as `value_and_grad`.

    Returns
    -------
    A function of f's arguments returning the gradient, or ``(gradient, aux)`` with has_aux.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> def f(x):
    ...     y = np.zeros(3)
    ...     for i in range(3):
    ...         y[i] = x ** i
    ...     return np.sum(y)
    >>> float(npdiff.grad(f)(2.0)), float(npdiff.grad(npdiff.grad(f))(2.0))
    (5.0, 2.0)
    """
    run = _gradient("grad", f, argnums, has_aux, holomorphic, True)

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        _, grads, aux = run(*args, **kwargs)
        return (grads, aux) if has_aux else grads

    return wrapped


@portable
def elementwise_grad(f: F, argnums: int | Sequence[int] = 0) -> F:
    """Derivative of each output with respect to its own input, for a function that works element by element.

    For other functions it is the gradient of the sum of all outputs.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> npdiff.elementwise_grad(np.square)(np.array([1.0, 2.0, 3.0]))
    array([2., 4., 6.])
    """
    run = _gradient("elementwise_grad", f, argnums, False, False, False)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return run(*args, **kwargs)[1]

    # NumPy's ufuncs are functions too, but have not every attribute that wraps copies.
    wrapped.__name__ = wrapped.__qualname__ = getattr(f, "__name__", "f")
    return wrapped


# ---------------------------------------------------------------------- one tangent, one cotangent


def _tangents(name: str, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any], Any]:
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise ArgumentError(message(f"{name}: primals and tangents must be tuples", primals, tangents,
                                    instead=f"write npdiff.{name}(f, (x,), (v,))"))
    leaves, structure = tree.flatten(tuple(primals))
    dots, other = tree.flatten(tuple(tangents))
    if structure != other:
        raise ArgumentError(message(f"{name}: primals and tangents have different structures",
                                    list(primals), list(tangents), instead="give one tangent for every primal"))
    for k, (leaf, dot) in enumerate(zip(leaves, dots, strict=True)):
        check_input(name, leaf, f"primal {k}")
        if shape_of(leaf) != shape_of(dot):
            raise ArgumentError(message(f"{name}: tangent {k} has shape {shape_of(dot)}, its primal {shape_of(leaf)}",
                                        leaf, dot, instead="give a tangent of the primal's shape"))
    return [own(v) for v in leaves], [_as_tangent(own(t), v) for t, v in zip(dots, leaves, strict=True)], structure


def _as_tangent(t: Any, like: Any) -> Any:
    dtype = aval(like).dtype
    if isinstance(t, Handle):
        return t if t.dtype == dtype else t.astype(dtype)  # type: ignore[attr-defined]
    return np.asarray(t).astype(dtype)[()]


def jvp(f: F, primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False) -> Any:
    """Value of f and its directional derivative, in one forward pass.

    Parameters
    ----------
    f
        Function of ``len(primals)`` arguments.
    primals, tangents
        Tuples of the same structure: where to evaluate, and in which direction.
    has_aux
        f returns ``(value, aux)``.

    Returns
    -------
    ``(value, tangent)``, or ``(value, tangent, aux)``.

    Raises
    ------
    ArgumentError
        If primals and tangents do not match, or primals are not floating point.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> y, y_dot = npdiff.jvp(np.sin, (0.0,), (2.0,))
    >>> float(y), float(y_dot)
    (0.0, 2.0)
    """
    leaves, dots, structure = _tangents("jvp", primals, tangents)
    trace = JvpTrace()
    with running(trace):
        args = tree.unflatten(structure, [DiffArray(trace, v, t) for v, t in zip(leaves, dots, strict=True)])
        out, aux = split_aux("jvp", f(*args), has_aux)
        check_output("jvp", f, out)
        value, tangent = strip(trace, out), tree.map_leaves(lambda leaf: _tangent_of(trace, leaf), out)
        aux = strip(trace, aux)
    return (value, tangent, aux) if has_aux else (value, tangent)


def _tangent_of(trace: JvpTrace, leaf: Any) -> Any:
    if isinstance(leaf, Handle):
        leaf._sync()
        if leaf._trace is trace:
            return _plain(leaf._node, leaf._value)
    return released(_zeros(leaf))


def vjp(f: F, *primals: Any, has_aux: bool = False) -> Any:
    """Value of f and the function that pulls cotangents of the value back to cotangents of the arguments.

    Returns
    -------
    ``(value, pull)`` or ``(value, pull, aux)``; ``pull(ct)`` takes a cotangent of the value's structure and
    shapes and returns a tuple with one cotangent per argument. It may be called any number of times.

    Raises
    ------
    ArgumentError
        If an argument is not floating point, or a cotangent does not fit the value.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> y, pull = npdiff.vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> pull(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    leaves, structure = tree.flatten(primals)
    for k, leaf in enumerate(leaves):
        check_input("vjp", leaf, f"primal {k}")
    leaves = [own(leaf) for leaf in leaves]
    trace = ReverseTrace()
    with running(trace):
        pairs = [trace.input(leaf) for leaf in leaves]
        out, aux = split_aux("vjp", f(*tree.unflatten(structure, [h for h, _ in pairs])), has_aux)
        check_output("vjp", f, out)
        handles, out_structure = tree.flatten(out)
        outputs = [seed(h, None, trace)[:1] for h in handles]
        value, aux = strip(trace, out), strip(trace, aux)
    avals = [aval(v) for v in tree.leaves(value)]
    nodes = [n for _, n in pairs]

    def pull(ct: Any) -> Any:
        cts, ct_structure = tree.flatten(ct)
        if ct_structure != out_structure:
            raise ArgumentError(message(
                f"vjp: the cotangent has structure {ct_structure!r}, the value {out_structure!r}",
                instead="give one cotangent for every part of the value"))
        seeds = []
        for c, a, node in zip(cts, avals, outputs, strict=True):
            if shape_of(c) != a.shape:
                raise ArgumentError(message(f"vjp: a cotangent has shape {shape_of(c)}, its value {a.shape}", c,
                                            instead="give a cotangent of the value's shape"))
            if node:
                c = own(c) if isinstance(c, Handle) or is_foreign(c) else np.asarray(c)[()]
                seeds.append((node[0][0], cast_cotangent(c, a.dtype)))
        return tuple(tree.unflatten(structure, _pull(seeds, nodes, leaves)))

    return (value, pull, aux) if has_aux else (value, pull)


def linearize(f: F, *primals: Any) -> tuple[Any, F]:
    """Value of f and its derivative as a function of the tangents, which does not run f again.

    Returns
    -------
    ``(value, push)``; ``push(*tangents)`` equals the tangent that ``jvp(f, primals, tangents)`` gives.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> y, push = npdiff.linearize(np.sin, 0.0)
    >>> float(push(1.0)), float(push(3.0))
    (1.0, 3.0)
    """
    leaves, dots, structure = _tangents("linearize", primals, [tree.map_leaves(_zeros, p) for p in primals])
    stage = StageTrace()
    trace = JvpTrace()
    with running(stage), running(trace):
        staged = [stage.input(t) for t in dots]
        tracked = [DiffArray(trace, v, t) for v, t in zip(leaves, staged, strict=True)]
        out = f(*tree.unflatten(structure, tracked))
        check_output("linearize", f, out)
        value = strip(trace, out)
        out_dots, out_structure = tree.flatten(tree.map_leaves(lambda leaf: _tangent_of(trace, leaf), out))
        graph: Graph = prune(stage.graph(staged, out_dots))

    def push(*tangents: Any) -> Any:
        _, new, _ = _tangents("linearize", primals, tangents)
        return tree.unflatten(out_structure, [_plain(v, v) for v in graph(*new)])

    return strip(stage, value), push


# ---------------------------------------------------------------------- all tangents, all cotangents


def _basis(a: Any) -> Any:
    return np.eye(a.size, dtype=a.dtype).reshape((a.size, *a.shape))


def _mapped(run: F, a: Any) -> list[Any]:
    """Apply a function of one tangent or cotangent to a whole basis; results carry the basis axis in front."""
    trace = BatchTrace(a.size)
    try:
        out = run(DiffArray(trace, _basis(a), None))
        results = []
        for leaf in out:
            plain = result_of(trace, leaf)
            if not (isinstance(leaf, Handle) and leaf._trace is trace):
                plain = np.broadcast_to(plain, (a.size, *shape_of(plain)))
            results.append(plain)
        return results
    finally:
        trace.close()


@portable
def jacfwd(f: F, argnums: int | Sequence[int] = 0) -> F:
    """Jacobian by forward mode, one pass over all inputs together: best for few inputs.

    Returns
    -------
    A function returning, for every output of shape ``s`` and argument of shape ``t``, an array of shape
    ``s + t`` (containers of outputs on the outside, of arguments inside).

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> npdiff.jacfwd(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    return _forward_jacobian("jacfwd", f, argnums)


def _forward_jacobian(name: str, f: F, argnums: int | Sequence[int]) -> F:
    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        inputs = Inputs(name, argnums, args, kwargs)
        columns: list[list[Any]] = []
        structure: Any = None
        for k, leaf in enumerate(inputs.leaves):
            a = aval(leaf)

            def push(direction: Any, k: int = k) -> list[Any]:
                nonlocal structure
                trace = JvpTrace()
                with running(trace):
                    tracked = [DiffArray(trace, v, direction if j == k else np.zeros_like(v))
                               for j, v in enumerate(inputs.leaves)]
                    result = inputs.call(f, tracked)
                    check_output(name, f, result)
                    out, structure = tree.flatten(result)
                    return [_tangent_of(trace, o) for o in out]

            columns.append([
                _plain(np.reshape(np.moveaxis(d, 0, -1), shape_of(d)[1:] + a.shape), d) for d in _mapped(push, a)
            ])
        return tree.unflatten(structure, [inputs.rebuild(row) for row in zip(*columns, strict=True)])

    return wrapped


@portable
def jacrev(f: F, argnums: int | Sequence[int] = 0) -> F:
    """Jacobian by reverse mode, one pass over all outputs together: best for few outputs.

    Returns
    -------
    As `jacfwd`.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> npdiff.jacrev(lambda x: np.cumsum(x))(np.array([1.0, 2.0]))
    array([[1., 0.],
           [1., 1.]])
    """

    return _reverse_jacobian("jacrev", f, argnums)


def _reverse_jacobian(name: str, f: F, argnums: int | Sequence[int]) -> F:
    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        inputs = Inputs(name, argnums, args, kwargs)
        trace = ReverseTrace()
        with running(trace):
            pairs = [trace.input(leaf) for leaf in inputs.leaves]
            nodes = [n for _, n in pairs]
            result = inputs.call(f, [h for h, _ in pairs])
            check_output(name, f, result)
            out, structure = tree.flatten(result)
            found = [(aval(o), seed(o, None, trace)) for o in out]
        rows = []
        for a, hit in found:
            if not is_differentiable(a.dtype) or not hit:
                rows.append(inputs.rebuild([released(filled(a.shape + shape_of(v), 0, aval(v).dtype, v))
                                            for v in inputs.leaves]))
                continue

            def back(ct: Any, node: Node = hit[0][0]) -> list[Any]:
                return _pull([(node, ct)], nodes, inputs.leaves)

            rows.append(inputs.rebuild([
                _plain(np.reshape(d, a.shape + shape_of(v)), d)
                for d, v in zip(_mapped(back, a), inputs.leaves, strict=True)
            ]))
        return tree.unflatten(structure, rows)

    return wrapped


@portable
def jacobian(f: F, argnums: int | Sequence[int] = 0) -> F:
    """Jacobian of f; the same as `jacrev`."""
    return _reverse_jacobian("jacobian", f, argnums)


@portable
def hessian(f: F, argnums: int | Sequence[int] = 0) -> F:
    """Matrix of second derivatives of a function with one output, forward over reverse.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> npdiff.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return _forward_jacobian("hessian", _reverse_jacobian("hessian", f, argnums), argnums)


@portable
def hvp(f: F, argnums: int = 0) -> F:
    """Product of the Hessian with a vector, without forming the Hessian: ``hvp(f)(*args, v)``.

    Returns
    -------
    A function of f's arguments and a last one, the vector, of the shape of the differentiated argument.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> npdiff.hvp(lambda x: np.sum(x ** 3))(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        *rest, v = args
        (n,) = Inputs("hvp", argnums, rest, kwargs).numbers
        slope_of = _gradient("hvp", f, n, False, False, True)

        def slope(x: Any) -> Any:
            return slope_of(*rest[:n], x, *rest[n + 1:], **kwargs)[1]

        return jvp(slope, (rest[n],), (v,))[1]

    return wrapped
