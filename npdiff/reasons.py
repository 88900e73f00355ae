"""Why a jitted function is recorded once more, in words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.avals import ndarray
from npdiff.replay import Recording
from npdiff.steps import shortened

_MOST = 3


def argument_names(f: Callable[..., Any], structure: tree.Structure) -> list[str]:
    """For each leaf of the arguments of a call what the function calls it: ``x``, ``params['w']``."""
    args, kwargs = structure.children
    try:
        kinds = inspect.signature(f).parameters.values()
    except (ValueError, TypeError):
        kinds = {}.values()
    named = [p.name for p in kinds if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in kinds if p.kind is p.VAR_POSITIONAL), "args")
    found: list[str] = []
    for k, child in enumerate(args.children):
        found += tree.paths(child, named[k] if k < len(named) else f"{rest}[{k - len(named)}]")
    keys: Any = kwargs.aux
    for key, child in zip(keys, kwargs.children, strict=True):
        found += tree.paths(child, str(key))
    return found


def described(key: Any) -> str:
    """A leaf of a signature in words: ``float64[3], read-only``."""
    kind = key[0] if isinstance(key, tuple) else key
    if not isinstance(key, tuple):
        return f"Python {kind.__name__}"
    if len(key) >= 5:
        _, dtype, shape, strides, writeable, *tracked = key
        words = [f"{dtype.name}[{','.join(map(str, shape))}]"]
        if tracked:
            return f"tracked {words[0]}"
        if strides is not None:
            words.append(f"strides {strides}")
        if not writeable:
            words.append("read-only")
        return ", ".join(words)
    if len(key) == 2 and isinstance(key[1], np.dtype):
        return f"scalar {key[1].name}"
    if len(key) == 2 and kind is not ndarray:
        return shortened(repr(key[1]), 40) or f"{kind.__name__} object"
    return f"{getattr(kind, '__name__', kind)} object"


def new_signature(f: Callable[..., Any], key: Any, others: Sequence[Any]) -> str:
    """What sets a signature apart from the one among `others` (the latest last) that is most like it."""
    structure, leaves, same = key
    alikes = [other for other in others if other[0] == structure]
    if not alikes:
        return f"new signature: the arguments are {structure!r}, were {others[-1][0]!r}"
    # Of those that differ in as few leaves, the latest.
    nearest = min(reversed(alikes), key=lambda other: sum(a != b for a, b in zip(leaves, other[1], strict=True)))
    changes = [f"{name}: {described(old)} -> {described(new)}" for name, old, new in
               zip(argument_names(f, structure), nearest[1], leaves, strict=True) if old != new]
    if not changes:
        return "new signature: " + ("two arguments are no longer the same array" if len(set(same)) > len(
            set(nearest[2])) else "two arguments are now the same array")
    more = f" and {len(changes) - _MOST} more" if len(changes) > _MOST else ""
    return "new signature: " + "; ".join(changes[:_MOST]) + more


def new_path(made: Recording, others: Sequence[Recording]) -> str:
    """What sets a recording apart from the others of its signature, the latest first."""
    old = next((other for other in others if parted(other, made) is None), others[0])
    parting = parted(old, made)
    if parting is not None:
        where, before, now = parting
        return f"new path: the value asked for at {where} is {now}, was {before}"
    changed = old.environment.changed()
    return f"what it reads outside has changed: {changed}" if changed else (
        "its arguments are other arrays or overlap in other ways")


def parted(old: Recording, new: Recording) -> tuple[str, str, str] | None:
    """Where two recordings went different ways, and the answers there; None if they did not."""
    for (where, before), (_, now) in zip(old.decisions(), new.decisions(), strict=False):
        if before != now:
            return where, before, now
    return None


__all__ = ["argument_names", "described", "new_path", "new_signature", "parted"]
