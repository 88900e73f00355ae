"""Check derivatives against differences: for the rules you write, and for the tests of npdiff itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.array import copy_layout
from npdiff.avals import PYTHON_NUMBERS, aval_of, is_differentiable, ndarray
from npdiff.errors import ArgumentError, GradientMismatch, message
from npdiff.transforms.derivatives import jvp, vjp

# By bits of the mantissa: step of the differences, and how far a right derivative may be off.
_STEP = {np.dtype(np.float16): 2e-1, np.dtype(np.float32): 1e-2}
_TOLERANCE = {np.dtype(np.float16): 2e-1, np.dtype(np.float32): 5e-3}
_MODES = ("fwd", "rev")
_NO_FLOAT = np.dtype(bool)

Function = Callable[..., Any]


def check_grads(f: Function, args: Sequence[Any], order: int = 2, modes: Sequence[str] = _MODES, *,
                atol: float | None = None, rtol: float | None = None, eps: float | None = None, seed: int = 0) -> None:
    """Compare npdiff's derivatives of a function with differences of its values.

    Along a random direction the forward derivative is compared with central differences (two steps, Richardson's
    extrapolation), and the reverse derivative with the same differences, both multiplied with a random cotangent.
    For ``order=2`` the same is done with the two derivatives in place of f, and so on.

    Parameters
    ----------
    f
        Any function of ``len(args)`` arguments, returning an array, a number, or a container of them.
    args
        Where to evaluate: a sequence of arguments, which may be containers. Floating-point and complex leaves are
        differentiated; integers, booleans and everything else stay as they are. f must be smooth at this point.
    order
        Highest order of derivative that is checked.
    modes
        Which modes: ``"fwd"`` (`jvp`), ``"rev"`` (`vjp`) or both; at higher orders all their combinations.
    atol, rtol
        Absolute and relative tolerance; by default 1e-6 in double precision and 5e-3 in single precision.
    eps
        Step of the differences; by default 1e-3 in double precision and 1e-2 in single precision.
    seed
        Of the random directions and cotangents.

    Raises
    ------
    GradientMismatch
        If a derivative is off; the message says which mode, at which order, and gives both numbers.
    ArgumentError
        If `modes` is wrong, no argument is floating point, or the function returns nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from npdiff.testing import check_grads
    >>> def f(x, k):
    ...     y = np.zeros(3)
    ...     y[k:] = np.sin(x)
    ...     return {"y": y, "norm": np.sqrt(np.sum(y * y))}
    >>> check_grads(f, (np.array([0.5, 1.0]), 1))
    """
    for mode in modes:
        if mode not in _MODES:
            raise ArgumentError(message("check_grads: unknown mode", mode, instead='use "fwd", "rev" or both'))
    if not isinstance(args, (tuple, list)):
        raise ArgumentError(message("check_grads: args must be a sequence of arguments", args,
                                    instead="write check_grads(f, (x,))"))
    g, leaves = flat_function(f, args)
    if not leaves:
        raise ArgumentError(message("check_grads: no argument is floating point", *args,
                                    instead="pass at least one float or complex array"))
    rng = np.random.default_rng(seed)
    _check(g, leaves, order, modes, _Limits(atol, rtol, eps), rng, ())


class _Limits:
    """Step and tolerances; those not given follow from the coarsest precision among inputs and outputs."""

    def __init__(self, atol: float | None, rtol: float | None, eps: float | None) -> None:
        self.atol, self.rtol, self.eps = atol, rtol, eps

    def step(self, values: Sequence[Any]) -> float:
        """Step of the differences."""
        return max(_STEP.get(_real_dtype(v), 1e-3) for v in values) if self.eps is None else self.eps

    def close(self, a: Any, b: Any, values: Sequence[Any]) -> bool:
        """True if two numbers or arrays agree."""
        tolerance = max(_TOLERANCE.get(_real_dtype(v), 1e-6) for v in values)
        return bool(np.allclose(a, b, rtol=tolerance if self.rtol is None else self.rtol,
                                atol=tolerance if self.atol is None else self.atol))


def _check(g: Function, leaves: Sequence[Any], order: int, modes: Sequence[str], limits: _Limits,
           rng: np.random.Generator, path: tuple[str, ...]) -> None:
    if order < 1:
        return
    direction = [random_like(x, rng) for x in leaves]
    outputs = g(*[copy_layout(x) if isinstance(x, ndarray) else x for x in leaves])  # f may write into them
    if not outputs:
        return  # indices, counts and truth values have no derivative that could be wrong
    cotangent = [random_like(y, rng) for y in outputs]
    values = [*leaves, *outputs]
    slopes = numerical_jvp(g, leaves, direction, limits.step(values))
    if "fwd" in modes:
        _, tangents = jvp(g, tuple(leaves), tuple(direction))
        for k, (t, s) in enumerate(zip(tangents, slopes, strict=True)):
            if np.shape(t) != np.shape(s) or not limits.close(t, s, values):
                raise _mismatch("fwd", path, k, t, s)
        _check(lambda *x: jvp(g, x, tuple(direction))[1], leaves, order - 1, modes, limits, rng, (*path, "fwd"))
    if "rev" in modes:
        # Both outputs and inputs pair by the real part of the plain product: the convention of JAX for complex.
        pulled = vjp(g, *leaves)[1](cotangent)
        ours, theirs = pair(pulled, direction), pair(cotangent, slopes)
        for k, (c, x) in enumerate(zip(pulled, leaves, strict=True)):
            if np.shape(c) != np.shape(x) or aval_of(c).dtype != aval_of(x).dtype:
                raise _mismatch("rev", path, k, c, x)
        if not limits.close(ours, theirs, values):
            raise _mismatch("rev", path, None, ours, theirs)

        def back(*x: Any) -> Any:
            return list(vjp(g, *x)[1](cotangent))

        _check(back, leaves, order - 1, modes, limits, rng, (*path, "rev"))


def _mismatch(mode: str, path: tuple[str, ...], output: int | None, ours: Any, theirs: Any) -> GradientMismatch:
    order = len(path) + 1
    of = f" of the {' of the '.join(reversed(path))} derivative" if path else ""
    where = "" if output is None else f" (leaf {output})"
    return GradientMismatch(message(
        f"check_grads: {mode} derivative{of} is wrong at order {order}{where}\n"
        f"  npdiff:      {_show(ours)}\n  differences: {_show(theirs)}",
        instead="correct the rule of the function that is differentiated; if the function has a kink or a jump at this "
                "point, check it at another point"))


def _show(x: Any) -> str:
    x = np.asarray(x)
    text = np.array2string(x, separator=", ", threshold=12).replace("\n", "")
    return f"{text} {x.dtype}{list(x.shape)}"


# ---------------------------------------------------------------------- differences


def numerical_jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any], eps: float = 1e-3) -> Any:
    """Directional derivative of f by central differences of two steps and Richardson's extrapolation.

    Parameters
    ----------
    f
        Function of the primals, returning arrays, numbers or a container of them.
    primals, tangents
        Where, and in which direction; one tangent for each primal.
    eps
        The larger of the two steps.

    Returns
    -------
    The derivative in f's output structure.

    Examples
    --------
    >>> import numpy as np
    >>> from npdiff.testing import numerical_jvp
    >>> round(float(numerical_jvp(np.sin, [0.0], [2.0])), 6)
    2.0
    """

    def slope(h: float) -> tuple[list[Any], tree.Structure]:
        ends = [tree.flatten(f(*[_step(p, t, s * h) for p, t in zip(primals, tangents, strict=True)])) for s in (1, -1)]
        (up, structure), (down, _) = ends
        with np.errstate(all="ignore"):
            return [(_wide(a) - _wide(b)) / (2 * h) for a, b in zip(up, down, strict=True)], structure

    coarse, structure = slope(eps)
    fine, _ = slope(eps / 2)
    return tree.unflatten(structure, [(4 * b - a) / 3 for a, b in zip(coarse, fine, strict=True)])


def _wide(y: Any) -> Any:
    # Differences of integers and truth values are zero, not an error.
    return np.asarray(y).astype(np.result_type(aval_of(y).dtype, np.float64))


def _step(p: Any, t: Any, h: float) -> Any:
    """A primal moved along its tangent, of the same type, dtype and memory layout."""
    moved = p + h * t
    if isinstance(p, ndarray):
        same = copy_layout(p)
        same[...] = moved
        return same
    return type(p)(moved)


def pair(cotangents: Any, tangents: Any) -> float:
    """Inner product of cotangents with tangents, a real number: the real part of the plain product."""
    return float(sum(np.real(np.sum(np.multiply(c, t)))
                     for c, t in zip(tree.leaves(cotangents), tree.leaves(tangents), strict=True)))


def random_like(x: Any, rng: np.random.Generator) -> Any:
    """A random direction of the shape and dtype of an array or number, with entries in (-1, 1)."""
    a = aval_of(x)
    values = rng.uniform(-1, 1, a.shape)
    if a.dtype.kind == "c":
        values = values + 1j * rng.uniform(-1, 1, a.shape)
    return np.asarray(values).astype(a.dtype)[()] if not isinstance(x, ndarray) else np.asarray(values).astype(a.dtype)


def _real_dtype(x: Any) -> np.dtype[Any]:
    dtype = aval_of(x).dtype
    return np.finfo(dtype).dtype


# ---------------------------------------------------------------------- one flat function


def _differentiated(leaf: Any) -> bool:
    return (isinstance(leaf, (ndarray, np.generic, *PYTHON_NUMBERS)) and is_differentiable(aval_of(leaf).dtype))


def flat_function(f: Function, args: Sequence[Any]) -> tuple[Function, list[Any]]:
    """The function from the differentiable leaves of the arguments to those of the result, and these leaves.

    Each call gets its own copies of all other arrays, so f may write into any of them.
    """
    leaves, structure = tree.flatten(tuple(args))
    chosen = [_differentiated(leaf) for leaf in leaves]

    def g(*xs: Any) -> list[Any]:
        new: Iterator[Any] = iter(xs)
        filled = [next(new) if d else copy_layout(leaf) if isinstance(leaf, ndarray) else leaf
                  for leaf, d in zip(leaves, chosen, strict=True)]
        out = tree.leaves(f(*tree.unflatten(structure, filled)))
        if all(y is None for y in out):
            raise ArgumentError(message("check_grads: the function returned nothing to differentiate", out,
                                        instead="return an array or a number (is a return statement missing?)"))
        return [y for y in out if isinstance(y, (float, complex)) or is_differentiable(getattr(y, "dtype", _NO_FLOAT))]

    return g, [leaf for leaf, d in zip(leaves, chosen, strict=True) if d]


__all__ = ["check_grads", "flat_function", "numerical_jvp", "pair", "random_like"]
