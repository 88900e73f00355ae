"""Functions made by transforms, as pickle can take them: the transform's name and what it was applied to.

A closure has no name by which another process could find it. What `npdiff.grad` returns remembers how it was made,
so that a jitted gradient can be sent to the workers of a cluster and be made again there.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T", bound=Callable[..., Any])
_MARK = "__npdiff_made__"


class Made(NamedTuple):
    """A transform by its name in npdiff, the function it was applied to, and its other arguments."""

    transform: str
    function: Any
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]


def portable(transform: T) -> T:
    """Let what a transform returns remember how it was made."""

    @functools.wraps(transform)
    def making(f: Any, *args: Any, **kwargs: Any) -> Any:
        out = transform(f, *args, **kwargs)
        # With its code: functools.wraps copies marks to functions that are more than this one.
        setattr(out, _MARK, (out.__code__, Made(transform.__name__, f, args, tuple(sorted(kwargs.items())))))
        return out

    return making  # type: ignore[return-value]


def packed(f: Any) -> Any:
    """A function as pickle can take it; the function itself if no transform made it."""
    code, made = getattr(f, _MARK, (None, None))
    if made is None or getattr(f, "__code__", None) is not code:
        return f
    return made._replace(function=packed(made.function))


def unpacked(f: Any) -> Any:
    """The function again."""
    if not isinstance(f, Made):
        return f
    return getattr(sys.modules["npdiff"], f.transform)(unpacked(f.function), *f.args, **dict(f.kwargs))


def by_name(f: Any) -> bool:
    """True if another process finds this very object under its name in a module."""
    if isinstance(f, Made):
        return by_name(f.function)
    module, name = getattr(f, "__module__", None), getattr(f, "__qualname__", None)
    found: Any = sys.modules.get(module) if module not in (None, "__main__") else None
    for part in (name or "").split("."):
        found = getattr(found, part, None)
    return found is f and found is not None


__all__ = ["Made", "by_name", "packed", "portable", "unpacked"]
