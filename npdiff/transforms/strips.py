"""Elementwise expressions evaluated strip by strip: what lies between operands and results stays in the cache.

NumPy's own functions are called on parts of the arrays, so each number has the bits it would have in the whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from npdiff.avals import Aval, ndarray

# Bytes that the parts of all values alive at one time take together, and bounds for the elements of one: BLAS starts
# threads for a dot product of more than ten thousand, which costs more than the product.
_CACHE = 1 << 20
_SHORTEST, _LONGEST = 1 << 11, 1 << 13

Cut = tuple[slice, ...]


class Step(NamedTuple):
    """One operation: `operands` are numbers of earlier steps (as `Result`), arrays and scalars."""

    call: Callable[..., Any]
    operands: Sequence[Any]
    params: dict[str, Any]
    aval: Aval


class Result(NamedTuple):
    """Stands among operands for what an earlier step gives."""

    step: int


def evaluate(shape: tuple[int, ...], steps: Sequence[Step], wanted: Sequence[int],
             ) -> tuple[list[Any], set[tuple[int, str]]]:
    """Arrays of the wanted steps, all of this shape, and which steps met which floating-point error, as NumPy says."""
    met: set[tuple[int, str]] = set()
    if len(steps) == 1:
        with np.errstate(all="call", call=lambda kind, _: met.add((0, kind))):
            return [steps[0].call(*steps[0].operands, **steps[0].params)], met
    outs = {k: np.empty(shape, steps[k].aval.dtype) for k in wanted}
    sources: dict[int, Any] = {}
    for step in steps:
        for a in step.operands:
            if type(a) is ndarray and a.ndim:
                sources[id(a)] = a
    space = shape
    if all(a.shape == shape and a.flags.c_contiguous for a in sources.values()):
        space = (int(np.prod(shape, dtype=int)),)
        sources = {key: a.reshape(space) for key, a in sources.items()}
    targets = {k: out.reshape(space) for k, out in outs.items()}
    last = _last_uses(steps)
    live = _most_alive(steps, last)
    length = min(max(_CACHE // live, _SHORTEST), _LONGEST)
    now = 0

    def note(kind: str, _flag: int) -> None:
        met.add((now, kind))

    with np.errstate(all="call", call=note):
        for cut in cuts(space, length):
            parts = {key: _part(a, cut) for key, a in sources.items()}
            values: list[Any] = [None] * len(steps)
            for k, step in enumerate(steps):
                now = k
                args = [values[a.step] if type(a) is Result else parts.get(id(a), a) for a in step.operands]
                target = targets.get(k)
                if target is None:
                    values[k] = step.call(*args, **step.params)
                elif isinstance(step.call, np.ufunc):
                    values[k] = step.call(*args, out=target[cut])
                else:
                    values[k] = part = target[cut]
                    part[...] = step.call(*args, **step.params)
                for gone in last.get(k, ()):
                    values[gone] = None
    return [outs[k] for k in wanted], met


def _last_uses(steps: Sequence[Step]) -> dict[int, list[int]]:
    """For each step, the earlier ones whose results nothing after it reads."""
    last = {a.step: k for k, step in enumerate(steps) for a in step.operands if type(a) is Result}
    gone: dict[int, list[int]] = {}
    for step, k in last.items():
        gone.setdefault(k, []).append(step)
    return gone


def _most_alive(steps: Sequence[Step], last: dict[int, list[int]]) -> int:
    """Bytes that one element of all results takes at the time when there are most."""
    now = most = 0
    for k, step in enumerate(steps):
        now += step.aval.dtype.itemsize
        most = max(most, now)
        now -= sum([steps[gone].aval.dtype.itemsize for gone in last.get(k, ())])
    return most


def cuts(shape: tuple[int, ...], length: int) -> Iterator[Cut]:
    """Slices that divide an array in C order into parts of about `length` elements, none left out."""
    axis, inside = len(shape) - 1, 1
    while axis and inside * shape[axis] <= length:
        inside *= shape[axis]
        axis -= 1
    step = max(1, length // inside)
    whole = (slice(None),) * (len(shape) - axis - 1)
    for at in itertools.product(*[range(n) for n in shape[:axis]]):
        outer = [slice(i, i + 1) for i in at]
        for start in range(0, shape[axis], step):
            yield (*outer, slice(start, start + step), *whole)


def _part(a: Any, cut: Cut) -> Any:
    """What a cut through the whole takes of an array that is broadcast to it."""
    return a[tuple([slice(None) if n == 1 else c for n, c in zip(a.shape, cut[len(cut) - a.ndim:], strict=True)])]


__all__ = ["Result", "Step", "cuts", "evaluate"]
