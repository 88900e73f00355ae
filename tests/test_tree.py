"""Containers: taken apart and put together again."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

from npdiff import tree
from npdiff.errors import ArgumentError

Pair = namedtuple("Pair", ["a", "b"])


@dataclass
class Plain:
    """A container."""

    a: object
    b: object = 2


@dataclass(frozen=True, slots=True)
class Frozen:
    """A container that cannot be changed."""

    a: object
    b: object


class Mine:
    """Known by registration."""

    def __init__(self, *parts):
        self.parts = parts

    def __eq__(self, other):
        return self.parts == other.parts

    __hash__ = None


tree.register_container(Mine, lambda m: (m.parts, len(m.parts)), lambda n, c: Mine(*c))

CONTAINERS = [
    (1, [1], "*"), ([1, (2, 3)], [1, 2, 3], "list(*, tuple(*, *))"), ({"b": 1, "a": 2}, [2, 1], "dict(*, *)"),
    (None, [], "NoneType()"), ((), [], "tuple()"), ([None, 1], [1], "list(NoneType(), *)"),
    (Pair(1, [2]), [1, 2], "Pair(*, list(*))"), (Plain(1, {"k": 2}), [1, 2], "Plain(*, dict(*))"),
    (Frozen(1, 2), [1, 2], "Frozen(*, *)"), (Mine(1, (2,)), [1, 2], "Mine(*, tuple(*))"),
    (OrderedDict([("b", 1), ("a", 2)]), [1, 2], "OrderedDict(*, *)"), (defaultdict(list, b=1, a=2), [2, 1],
                                                                     "defaultdict(*, *)"),
    ("text", ["text"], "*"), ({2: 1, "a": 3}, [1, 3], "dict(*, *)"), ({1, 2}, [{1, 2}], "*"),
]


@pytest.mark.parametrize(("obj", "leaves", "text"), CONTAINERS, ids=[t for _, _, t in CONTAINERS])
def test_round_trip(obj, leaves, text):
    found, structure = tree.flatten(obj)
    assert found == leaves
    assert tree.leaves(obj) == leaves
    assert repr(structure) == text
    assert structure.size == len(leaves)
    hash(structure)
    back = tree.unflatten(structure, found)
    assert type(back) is type(obj)
    assert back == obj
    if isinstance(obj, dict):
        assert list(back) == list(obj)
    if isinstance(obj, defaultdict):
        assert back.default_factory is obj.default_factory


def test_dicts_filled_in_another_order_are_alike():
    a, b = {"x": 1, "y": 2}, {"y": 2, "x": 1}
    assert tree.flatten(a) == tree.flatten(b)
    assert tree.map_leaves(lambda p, q: p - q, a, b) == {"x": 0, "y": 0}


def test_map_leaves():
    assert tree.map_leaves(lambda v: v * 2, {"a": [1, (2,)], "b": None}) == {"a": [2, (4,)], "b": None}
    assert tree.map_leaves(lambda v: v + 1, 3) == 4
    with pytest.raises(ArgumentError) as caught:
        tree.map_leaves(lambda a, b: a, [1, 2], [1])
    assert str(caught.value).startswith("containers differ: list(*, *) and list(*)\n  at: ")
    assert str(caught.value).endswith("instead: give containers of the same structure")


def test_arrays_are_leaves():
    x = np.ones(2)
    assert tree.leaves({"a": x})[0] is x


def test_only_classes_are_registered():
    with pytest.raises(ArgumentError, match="register_container: the first argument must be a class"):
        tree.register_container(Mine(1), None, None)


def test_too_few_leaves():
    with pytest.raises(StopIteration):
        tree.unflatten(tree.flatten([1, 2])[1], [1])
