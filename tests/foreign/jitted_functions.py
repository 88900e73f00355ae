"""Functions that another process finds by their names."""

from __future__ import annotations

from typing import Any

import numpy as np

import npdiff

SCALE = np.array([1.0, 2.0, 3.0])


def energy(x: Any) -> Any:
    return np.sum(np.sin(x) * SCALE)


def helper(x: Any) -> Any:
    return x


slope = npdiff.jit(npdiff.grad(energy))
doubled = npdiff.jit(npdiff.vmap(energy, in_axes=0))


@npdiff.jit
def smooth(x: Any) -> Any:
    return np.exp(-x * x) + x
