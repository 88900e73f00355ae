"""The real programs on each backend: results, writes, prints and the random stream, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from machines import each_backend
from real_programs import PROGRAMS, Program

import npdiff
from npdiff import tree

each = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)


def assert_close(ours: Any, theirs: Any, rtol: float) -> None:
    a, structure_a = tree.flatten(ours)
    b, structure_b = tree.flatten(theirs)
    assert structure_a == structure_b
    for x, y in zip(a, b, strict=True):
        assert type(x) is type(y)
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-11)


@each_backend
@each
def test_values_and_writes(program: Program, backend: str) -> None:
    jitted = npdiff.jit(program.function, backend)
    for seed in (0, 1):
        ours, theirs = program.args(seed), program.args(seed)
        assert_close(jitted(*ours), program.function(*theirs), 1e-9)
        assert_close(ours, theirs, 1e-9)


@each_backend
@pytest.mark.parametrize("order", ["jit of grad", "grad of jit"])
@pytest.mark.parametrize("name", list(PROGRAMS)[::3])
def test_gradients(name: str, order: str, backend: str) -> None:
    program = PROGRAMS[name]

    def total(*args: Any) -> Any:
        return sum([np.sum(np.sin(leaf)) for leaf in tree.leaves(program.function(*args))])

    is_float = lambda leaf: isinstance(leaf, float) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f")
    places = tuple([k for k, a in enumerate(program.args()) if all(is_float(leaf) for leaf in tree.leaves(a))])
    wanted = npdiff.grad(total, places)(*program.args())
    ours = (npdiff.jit(npdiff.grad(total, places), backend) if order == "jit of grad"
            else npdiff.grad(npdiff.jit(total, backend), places))
    for _ in range(2):
        for a, b in zip(tree.leaves(ours(*program.args())), tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11)
