"""What a rule of the cuda backend is given: the equation, CuPy, and how to note what NumPy would have raised."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, Protocol

import numpy as np

from npdiff.errors import GuardFailed
from npdiff.graph import Equation, Var

DType = np.dtype[Any]
# CuPy's kernels count the elements they gather and scatter in 32 bits.
INDEXED_SIZE = 2**31


class Card(Protocol):
    """What a rule sees of a device.

    Attributes
    ----------
    xp, extra
        CuPy, and its second module, cupyx.
    """

    xp: Any
    extra: Any

    def along(self, name: str, dtype: DType, outer: int, length: int, inner: int) -> Callable[[Any, Any], None]:
        """See `npdiff.kernels.cuda.along`."""

    def added(self, dtype: DType, length: int, inner: int) -> Callable[[Any, Any, Any, Any], None]:
        """See `npdiff.kernels.cuda.added`."""


class Operation:
    """One equation on its way through CuPy.

    Operands are device arrays, or NumPy and Python scalars where a number was written into the graph or is a Python
    number: CuPy takes these along with the launch, which costs no transfer.

    Attributes
    ----------
    card, xp, extra
        The device; CuPy, and its second module, cupyx.
    equation
        The equation, with the types of its operands and results.
    checks
        Truth values on the device that all must hold, or NumPy would have raised or gone another way. They are looked
        at once, at the end of the call, so that nothing waits for the device in between.
    constants
        The graph's constants.
    """

    def __init__(self, card: Card, equation: Equation, checks: list[Any], constants: Container[Var] = ()) -> None:
        self.card = card
        self.xp = card.xp
        self.extra = card.extra
        self.constants = constants
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
        if isinstance(holds, (bool, np.bool_)):
            if not holds:
                raise GuardFailed
            return
        self.checks.append(self.xp.all(holds))

    def check_finite(self, *arrays: Any) -> None:
        """Check that every element of every array is finite."""
        for a in arrays:
            if a.dtype.kind in "fc":
                self.check(self.xp.isfinite(a))

    def array(self, x: Any, dtype: Any = None) -> Any:
        """The operand as a device array, in this dtype if one is given."""
        if isinstance(x, self.xp.ndarray):
            return x if dtype is None else self.cast(x, dtype)
        dtype = np.asarray(x).dtype if dtype is None else np.dtype(dtype)
        return self.xp.full((), self.cast(x, dtype), dtype)

    def arrays(self, xs: Sequence[Any], dtype: Any = None) -> list[Any]:
        """All operands as device arrays."""
        return [self.array(x, dtype) for x in xs]

    def cast(self, x: Any, dtype: Any) -> Any:
        """The operand in another dtype, where C and CUDA agree on the value; elsewhere a check fails."""
        dtype = np.dtype(dtype)
        if not isinstance(x, self.xp.ndarray):
            return self._scalar(x, dtype)
        held = x.dtype
        if held == dtype:
            return x
        if dtype.kind == "b":
            return x != 0
        if held.kind == "c" and dtype.kind != "c":
            x, held = x.real, x.real.dtype
        if held.kind == "f" and dtype.kind in "iu":
            # Beyond the range of the integer, C leaves the result open.
            info, whole = np.iinfo(dtype), self.xp.trunc(x)
            self.check((whole >= float(info.min)) & (whole < float(info.max) + 1))
        return x.astype(dtype)

    def _scalar(self, x: Any, dtype: DType) -> Any:
        if type(x) is int and dtype.kind in "iu":
            info = np.iinfo(dtype)
            self.check(info.min <= x <= info.max)
        number = np.asarray(x)
        if number.dtype.kind == "f" and dtype.kind in "iu":
            info = np.iinfo(dtype)
            self.check(bool(float(info.min) <= np.trunc(number) < float(info.max) + 1))
        return (number.real if number.dtype.kind == "c" and dtype.kind != "c" else number).astype(dtype)[()]

    def operand(self, x: Any, dtype: DType, weak: bool) -> Any:
        """An operand of a ufunc in the dtype of its loop; a Python integer has to fit in."""
        if weak and dtype.kind in "iu" and isinstance(x, self.xp.ndarray) and x.dtype.kind == "i" and dtype != x.dtype:
            info = np.iinfo(dtype)
            self.check((x >= max(info.min, -2**63)) & (x <= min(info.max, 2**63 - 1)))
        return self.cast(x, dtype)

    def indexable(self, *arrays: Any) -> None:
        """Refuse arrays too large for CuPy's gathers and scatters."""
        if any(a.size >= INDEXED_SIZE for a in arrays if isinstance(a, self.xp.ndarray)):
            raise NotImplementedError("CuPy counts what it gathers in 32 bits")


__all__ = ["INDEXED_SIZE", "DType", "Operation"]
