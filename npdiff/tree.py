"""Containers: take nested dicts, lists, tuples, namedtuples and dataclasses apart and rebuild them."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from npdiff.errors import ArgumentError, message

ndarray = np.ndarray  # not the stand-in that the numpy namespace holds while a transform runs


class Structure(NamedTuple):
    """The shape of a container, hashable: a node type, what the node needs, its children.

    A leaf is ``Structure(None, None, ())``.
    """

    kind: type | None
    aux: Hashable
    children: tuple[Structure, ...]

    @property
    def size(self) -> int:
        """Number of leaves below this node."""
        if self.kind is None:
            return 1
        return sum(child.size for child in self.children)

    def __repr__(self) -> str:
        if self.kind is None:
            return "*"
        inside = ", ".join(map(repr, self.children))
        return f"{self.kind.__name__}({inside})"


LEAF = Structure(None, None, ())

# The usual leaves, told from containers by one look; modules below add their own.
leaf_types: set[type] = {bool, int, float, complex, str, ndarray, np.float64, np.float32, np.int64, np.bool_}

Flatten = Callable[[Any], tuple[Iterable[Any], Hashable]]
Unflatten = Callable[[Hashable, list[Any]], Any]
_registry: dict[type, tuple[Flatten, Unflatten]] = {}


def register_container(kind: type, flatten: Flatten, unflatten: Unflatten) -> None:
    """Teach npdiff to look inside a container type of your own.

    Parameters
    ----------
    kind
        The class; subclasses register on their own.
    flatten
        ``flatten(obj) -> (children, aux)``: the parts that may hold arrays, and a hashable rest.
    unflatten
        ``unflatten(aux, children) -> obj``: the inverse.

    Raises
    ------
    ArgumentError
        If `kind` is not a class.

    Examples
    --------
    >>> import npdiff
    >>> class Layer:
    ...     def __init__(self, w, b): self.w, self.b = w, b
    >>> npdiff.register_container(Layer, lambda l: ((l.w, l.b), None), lambda _, c: Layer(*c))
    >>> g = npdiff.grad(lambda l: l.w * l.w + 3 * l.b)(Layer(2.0, 1.0))
    >>> float(g.w), float(g.b)
    (4.0, 3.0)
    """
    if not isinstance(kind, type):
        raise ArgumentError(message("register_container: the first argument must be a class", kind,
                                    instead="pass the class itself, not an object of it"))
    _registry[kind] = (flatten, unflatten)


class _Keys(tuple[Any, ...]):
    """Keys of a dict, sorted, so that dicts filled in another order compare equal; rebuilt in the order they had."""

    order: tuple[Any, ...]


def _sorted_keys(d: dict[Any, Any]) -> tuple[Any, ...]:
    try:
        keys = _Keys(sorted(d))
    except TypeError:
        keys = _Keys(d)
    keys.order = tuple(d)
    return keys


def _in_order(keys: tuple[Any, ...], children: list[Any]) -> list[tuple[Any, Any]]:
    found = dict(zip(keys, children, strict=True))
    return [(k, found[k]) for k in getattr(keys, "order", keys)]


def _node(obj: Any) -> tuple[Iterable[Any], Hashable] | None:
    """Children and aux of a container, or None for a leaf."""
    kind = type(obj)
    if kind in _registry:
        return _registry[kind][0](obj)
    if kind is tuple or kind is list:
        return obj, len(obj)
    if kind in (dict, OrderedDict):
        keys = _sorted_keys(obj) if kind is dict else tuple(obj)
        return [obj[k] for k in keys], keys
    if kind is defaultdict:
        keys = _sorted_keys(obj)
        return [obj[k] for k in keys], (obj.default_factory, keys)
    if obj is None:
        return (), None
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return obj, len(obj)
    if dataclasses.is_dataclass(kind):
        names = tuple(f.name for f in dataclasses.fields(kind))
        return [getattr(obj, n) for n in names], names
    return None


def flatten(obj: Any) -> tuple[list[Any], Structure]:
    """Leaves of a nested container, in a fixed order, and the structure to rebuild it."""
    if type(obj) in leaf_types:
        return [obj], LEAF
    leaves: list[Any] = []
    return leaves, _take_apart(obj, leaves)


# Plain functions, not closures that call themselves: such a closure is a reference cycle and keeps the arrays alive.
def _take_apart(obj: Any, leaves: list[Any]) -> Structure:
    node = None if type(obj) in leaf_types else _node(obj)
    if node is None:
        leaves.append(obj)
        return LEAF
    children, aux = node
    return Structure(type(obj), aux, tuple([_take_apart(c, leaves) for c in children]))


def _rebuild(kind: type, aux: Any, children: list[Any]) -> Any:
    if kind in _registry:
        return _registry[kind][1](aux, children)
    if kind is tuple or kind is list:
        return kind(children)
    if kind in (dict, OrderedDict):
        return kind(_in_order(aux, children))
    if kind is defaultdict:
        return defaultdict(aux[0], _in_order(aux[1], children))
    if kind is type(None):
        return None
    if issubclass(kind, tuple):
        return kind(*children)
    new = object.__new__(kind)
    for name, child in zip(aux, children, strict=True):
        object.__setattr__(new, name, child)
    return new


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Any:
    """Rebuild the container that `structure` describes from its leaves."""
    return _put_together(structure, iter(leaves))


def _put_together(s: Structure, leaves: Iterator[Any]) -> Any:
    if s.kind is None:
        return next(leaves)
    return _rebuild(s.kind, s.aux, [_put_together(c, leaves) for c in s.children])


def leaves(obj: Any) -> list[Any]:
    """Only the leaves of a nested container."""
    return flatten(obj)[0]


def map_leaves(f: Callable[..., Any], obj: Any, *rest: Any) -> Any:
    """Apply `f` to every leaf of `obj` (and to the leaves of containers of the same structure)."""
    if not rest and type(obj) in leaf_types:
        return f(obj)
    first, structure = flatten(obj)
    others = []
    for r in rest:
        more, s = flatten(r)
        if s != structure:
            raise ArgumentError(message(f"containers differ: {structure!r} and {s!r}",
                                        instead="give containers of the same structure"))
        others.append(more)
    return unflatten(structure, [f(*xs) for xs in zip(first, *others, strict=True)])


def paths(structure: Structure, root: str = "") -> list[str]:
    """For each leaf, the expression that reaches it from the container called `root`: ``params['w'][0]``."""
    if structure.kind is None:
        return [root]
    found: list[str] = []
    for k, child in enumerate(structure.children):
        found += paths(child, root + _step_to(structure, k))
    return found


def _step_to(structure: Structure, k: int) -> str:
    kind, aux = structure.kind, structure.aux
    if kind is None or kind in (tuple, list):
        return f"[{k}]"
    if kind in (dict, OrderedDict, defaultdict):
        keys: Any = aux[1] if kind is defaultdict else aux  # type: ignore[index]
        return f"[{keys[k]!r}]"
    names: Any = getattr(kind, "_fields", None) or (aux if dataclasses.is_dataclass(kind) else None)
    return f".{names[k]}" if names else f"[{k}]"
