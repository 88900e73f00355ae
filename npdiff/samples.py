"""Sample calls for tests, pages and benchmarks: `Row.cases` texts evaluated, and operands for `Row.domain`."""

from __future__ import annotations

import importlib
import itertools
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.dispatch.capture import stand_in_of
from npdiff.dispatch.declare import Row, rows
from npdiff.dispatch.optional import load_seen


def _scipy() -> Any:
    """SciPy with the modules that have rows; None where it is not installed, and its rows have no samples."""
    try:
        importlib.import_module("scipy.linalg")
        importlib.import_module("scipy.special")
    except ImportError:
        return None
    load_seen()
    return sys.modules["scipy"]


scipy = _scipy()


class Maker:
    """The names a case text may use; every value follows from the seed. Axes are `grow` times as long as written."""

    def __init__(self, seed: int, empty: bool = False, dtype: Any = float, grow: int = 1) -> None:
        self.grow = grow
        self.rng = np.random.default_rng(seed)
        self.empty = empty
        self.dtype = dtype

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(0 if self.empty and k == 0 else n if n == 1 else n * self.grow for k, n in enumerate(shape))

    def spread(self, shape: tuple[int, ...], low: float, high: float) -> Any:
        """Distinct values between low and high in random order, none closer than a third of the mean gap."""
        n = int(np.prod(shape, dtype=int))
        places = (np.arange(n) + self.rng.uniform(0.33, 0.67, n)) / max(n, 1)
        return self.cast(low + (high - low) * self.rng.permutation(places).reshape(shape))

    def cast(self, a: Any) -> Any:
        if np.dtype(self.dtype).kind == "c" and a.dtype.kind == "f":
            return (a + 1j * self.rng.uniform(0.2, 0.9, a.shape)).astype(self.dtype)
        return np.asarray(a).astype(np.result_type(self.dtype, np.complex64) if a.dtype.kind == "c" else self.dtype)

    def A(self, *shape: int) -> Any:
        """Floats in general position: distinct, away from integers, halves and each other's negatives."""
        shape = self.shape(shape)
        n = int(np.prod(shape, dtype=int))
        # A grid of distinct sizes that stay clear of 0, 1/2, 1 and 3/2, with random signs.
        free = np.concatenate([np.linspace(a + 0.08, a + 0.42, max(1, -(-n // 4))) for a in (0.0, 0.5, 1.0, 1.5)])
        values = self.rng.permutation(free)[:n] * self.rng.choice([-1.0, 1.0], n)
        return self.cast(values.reshape(shape))

    def P(self, *shape: int) -> Any:
        """Positive floats."""
        return self.spread(self.shape(shape), 0.3, 2.3)

    def U(self, *shape: int) -> Any:
        """Floats inside (-1, 1), away from 0."""
        a = self.spread(self.shape(shape), 0.1, 0.85)
        return a * self.rng.choice([-1.0, 1.0], a.shape).astype(a.real.dtype)

    def C(self, *shape: int) -> Any:
        """Complex numbers."""
        a, b = self.A(*shape), self.A(*shape)
        return a + 1j * b

    def S(self, n: int, *stack: int) -> Any:
        """A symmetric positive definite matrix with well separated eigenvalues."""
        n = 0 if self.empty else n * self.grow
        q, _ = np.linalg.qr(self.rng.normal(size=(*stack, n, n)))
        values = np.linspace(1.0, 3.0, n)
        return self.cast((q * values) @ np.swapaxes(q, -1, -2))

    def M(self, *shape: int) -> Any:
        """Well-conditioned matrices; ``M(3)`` is square, ``M(2, 3, 3)`` a stack of two."""
        shape = (shape[0], shape[0]) if len(shape) == 1 else shape
        n, m = (0, 0) if self.empty else (shape[-2] * self.grow, shape[-1] * self.grow)
        shape = (*shape[:-2], n, m)
        return self.cast(2 * np.eye(n, m) + 0.5 * self.rng.uniform(-1, 1, shape))

    def I(self, *shape: int, high: int = 3, low: int = 0) -> Any:  # noqa: E743
        """Integers from low to high - 1."""
        return self.rng.integers(low, high, self.shape(shape))

    def B(self, *shape: int) -> Any:
        """A mask with both values in it where it has room for them."""
        mask = self.rng.random(self.shape(shape)) < 0.5
        if mask.size > 1:
            mask.flat[0], mask.flat[1] = True, False
        return mask


_MAKERS = ("A", "P", "U", "C", "S", "M", "I", "B")


# Sample calls stand for the user's code: stand-ins do not act on calls from npdiff's own.
_called = eval("lambda func, args, kwargs: func(*args, **kwargs)", {"__name__": "sample"})


@dataclass
class Call:
    """One sample call of a NumPy function: the arguments, found again by name when it is made."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __call__(self, args: Any, kwargs: Any) -> Any:
        """Call the function that stands under this name in the numpy namespace now."""
        return _called(lookup(self.name), args, kwargs)


def lookup(name: str) -> Any:
    """The object that ``np.linalg.inv`` or ``scipy.special.erf`` names at this moment."""
    package, *parts = name.split(".")
    found: Any = np if package == "np" else scipy
    for part in parts:
        found = getattr(found, part)
    # What SciPy's Python functions are while a transform runs; a bare trace does not put them in place.
    return (stand_in_of(found) or found) if package == "scipy" else found


def evaluate(name: str, text: str, seed: int = 0, *, empty: bool = False, dtype: Any = float, grow: int = 1) -> Call:
    """The call that a case text describes."""
    maker = Maker(zlib.crc32(text.encode()) + seed, empty, dtype, grow)
    scope = {"np": np, "scipy": scipy, "call": lambda *args, **kwargs: Call(name, args, kwargs)}
    scope |= {m: getattr(maker, m) for m in _MAKERS}
    made: Call = eval(f"call({text})", scope)
    return made


_DOMAINS = {
    "real": "A", "positive": "P", "unit": "U", "nonzero": "A", "distinct": "A", "above one": "1.2 + P",
    "small integer": "I",
}
_SHAPES: dict[int, tuple[tuple[tuple[int, ...], ...], ...]] = {
    1: (((3,),), ((2, 3),), ((),), ((0,),)),
    2: (((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (3,)), ((), ()), ((0,), (1,))),
}


def cases(row: Row) -> list[str]:
    """Texts of the sample calls of a row: written by hand, or made from the domain of a ufunc's operands."""
    if row.cases or not row.domain:
        return list(row.cases)
    texts = []
    for shapes in _SHAPES[len(row.domain)]:
        operands = [f"{_DOMAINS[d]}({', '.join(map(str, s))})" for d, s in zip(row.domain, shapes, strict=True)]
        if row.domain == ("distinct", "distinct"):
            operands[1] += " + 0.031"  # moved off the places where the first operand can be
        if row.domain == ("real", "positive"):
            operands[1] = f"0.99 + 0.01 * {operands[1]}"  # remainders jump at multiples of it, where A has a gap
        texts.append(", ".join(operands))
    numbers = {"real": "0.7", "positive": "1.3", "unit": "0.4", "nonzero": "0.7", "distinct": "0.7",
               "above one": "1.6", "small integer": "2"}
    if len(row.domain) == 2:  # Python numbers and NumPy scalars beside arrays
        texts.append(f"{_DOMAINS[row.domain[0]]}(2), {numbers[row.domain[1]]}")
        texts.append(f"{numbers[row.domain[0]]}, {_DOMAINS[row.domain[1]]}(2)")
        texts.append(f"{_DOMAINS[row.domain[0]]}(2)[1], {_DOMAINS[row.domain[1]]}(2)[0]")
    else:
        texts.append(f"{_DOMAINS[row.domain[0]]}()[()]")
    return texts


def all_cases() -> list[tuple[str, str]]:
    """``(name, text)`` of every sample call of every row."""
    return list(itertools.chain.from_iterable([(r.name, t) for t in cases(r)] for r in rows.values()))


def is_float_array(leaf: Any) -> bool:
    """True for the arrays and NumPy scalars of a call that are differentiated."""
    return isinstance(leaf, (np.ndarray, np.inexact)) and leaf.dtype.kind in "fc"


def is_array(leaf: Any) -> bool:
    """True for every array of a call."""
    return isinstance(leaf, np.ndarray)


def split(call: Call, chosen: Callable[[Any], bool] = is_float_array) -> tuple[Any, list[Any]]:
    """A function of some arrays of a call (by default the differentiated ones), and these arrays."""
    leaves, structure = tree.flatten((call.args, call.kwargs))
    spots = [k for k, leaf in enumerate(leaves) if chosen(leaf)]

    def f(*xs: Any) -> Any:
        filled = list(leaves)
        for k, x in zip(spots, xs, strict=True):
            filled[k] = x
        args, kwargs = tree.unflatten(structure, filled)
        return call(args, kwargs)

    return f, [leaves[k] for k in spots]
