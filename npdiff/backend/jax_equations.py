"""What a rule of the jax backend is given: the equation, jax, and how to note what NumPy would have raised."""

from __future__ import annotations

from typing import Any

import numpy as np

from npdiff.graph import Equation

DType = np.dtype[Any]


class Lowering:
    """One equation on its way into a jax function.

    Attributes
    ----------
    jax, jnp
        The modules.
    equation
        The equation, with the types of its operands and results.
    checks
        Truth values that all must hold, or NumPy would have raised, gone another way, or is not ours to imitate.
    """

    def __init__(self, jax: Any, equation: Equation, checks: list[Any]) -> None:
        self.jax = jax
        self.jnp = jax.numpy
        self.equation = equation
        self.checks = checks

    @property
    def dtype(self) -> DType:
        """The dtype of the (first) result."""
        return self.equation.outputs[0].aval.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the (first) result."""
        return self.equation.outputs[0].aval.shape

    def check(self, holds: Any) -> None:
        """Where this is not true everywhere, the function runs on NumPy instead."""
        self.checks.append(self.jnp.all(holds))

    def finite(self, *arrays: Any) -> Any:
        """Whether every element of every array is finite."""
        jnp = self.jnp
        inexact = [jnp.all(jnp.isfinite(a)) for a in arrays if jnp.issubdtype(a.dtype, jnp.inexact)]
        return jnp.all(jnp.stack(inexact)) if inexact else jnp.asarray(True)

    def cast(self, x: Any, dtype: Any) -> Any:
        """The operand in another dtype, where C and XLA agree on the value; elsewhere a check fails."""
        jnp, dtype = self.jnp, np.dtype(dtype)
        held = np.dtype(x.dtype)
        if held == dtype:
            return x
        if dtype.kind == "b":
            return x != 0
        if held.kind == "c" and dtype.kind != "c":
            x, held = x.real, np.dtype(x.real.dtype)
        if held.kind == "f" and dtype.kind in "iu":
            # Beyond the range of the integer, C leaves the result open.
            info, whole = np.iinfo(dtype), jnp.trunc(x)
            self.check(jnp.logical_and(whole >= float(info.min), whole < float(info.max) + 1))
        return x.astype(dtype)

    def number(self, x: Any, dtype: Any, weak: bool) -> Any:
        """An operand of a ufunc in the dtype of its loop; a Python integer has to fit in."""
        dtype = np.dtype(dtype)
        if weak and dtype.kind in "iu" and np.dtype(x.dtype).kind == "i" and dtype != x.dtype:
            info = np.iinfo(dtype)
            low, high = max(info.min, -2**63), min(info.max, 2**63 - 1)
            self.check(self.jnp.logical_and(x >= low, x <= high))
        return self.cast(x, dtype)


__all__ = ["DType", "Lowering"]
