"""Every row's sample calls under npdiff.vmap, with the batch axis in any place, against a loop over the examples."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from test_rules_jit import CASES, calls, program

import npdiff
from npdiff import tree
from npdiff.errors import BranchError

SIZE = 3
# The size of their result, or of one on the way, follows from values: nothing but an error is right for a batch.
BY_VALUE = frozenset(f"np.{name}" for name in (
    "nonzero flatnonzero argwhere where extract delete insert trim_zeros piecewise bincount unique_values intersect1d "
    "setdiff1d setxor1d ix_").split())
# A draw is one for the whole batch.
CASES = [(name, text) for name, text in CASES if not name.startswith("np.random.")]
each_case = pytest.mark.parametrize(("name", "text"), CASES, ids=[f"{n}({t})" for n, t in CASES])


def is_array(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc"


def looped(f: Any, examples: Sequence[Sequence[Any]]) -> tuple[list[list[Any]], Any]:
    """Results and arguments afterwards of each example, and the structure they all have."""
    found = []
    for values in examples:
        own = [tree.map_leaves(lambda a: np.copy(a) if isinstance(a, np.ndarray) else a, v) for v in values]
        found.append(tree.flatten((f(*own), own)))
    return [leaves for leaves, _ in found], found[0][1]


def batched(f: Any, examples: Sequence[Sequence[Any]], which: Sequence[bool], axis: int) -> tuple[list[Any], Any]:
    """The same from one call of vmap: leaves that are not batched are those of the first example."""
    columns = [tree.leaves(list(values)) for values in examples]
    structure = tree.flatten(list(examples[0]))[1]
    given = [np.stack(column, axis) if b else column[0] for column, b in zip(zip(*columns, strict=True), which,
                                                                             strict=True)]

    def whole(*leaves: Any) -> Any:
        own = tree.unflatten(structure, leaves)
        return f(*own), own

    return tree.flatten(npdiff.vmap(whole, tuple([axis if b else None for b in which]), axis)(*given))


def choices(leaves: Sequence[Any]) -> list[tuple[list[bool], int]]:
    """Which arguments are batched, and where: all floats last, the first array alone, all arrays."""
    arrays = [is_array(leaf) for leaf in leaves]
    floats = [a and leaf.dtype.kind in "fc" for a, leaf in zip(arrays, leaves, strict=True)]
    alone = [a and k == arrays.index(True) for k, a in enumerate(arrays)]
    found: list[tuple[list[bool], int]] = []
    for which, axis in ((floats, -1), (alone, 0), (arrays, 0)):
        if any(which) and all(which != w for w, _ in found):
            found.append((which, axis))
    return found


@each_case
def test_against_a_loop(name: str, text: str) -> None:
    count, names, given = calls(name, text)
    f = program("alone", name, count, names)
    first = tree.leaves(given[0])
    structure = tree.flatten(list(given[0]))[1]
    if not any(is_array(leaf) for leaf in first):
        pytest.skip("no array to batch")
    for which, axis in choices(first):
        examples = []
        for values in given[:SIZE]:
            mixed = [a if b else c for a, b, c in zip(tree.leaves(values), which, first, strict=True)]
            examples.append(tree.unflatten(structure, mixed))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            theirs, shape = looped(f, examples)
            try:
                ours, ours_shape = batched(f, examples, which, axis)
            except BranchError:
                if name not in BY_VALUE:
                    raise
                continue
        assert ours_shape == shape
        for k, mine in enumerate(ours):
            column = [leaves[k] for leaves in theirs]
            if not isinstance(column[0], (np.ndarray, np.generic, bool, int, float, complex)):
                continue
            wanted = np.stack(column, axis)
            assert mine.shape == wanted.shape
            assert mine.dtype == wanted.dtype
            np.testing.assert_allclose(mine, wanted, rtol=1e-10, atol=1e-12, err_msg=f"batched: {which}")
