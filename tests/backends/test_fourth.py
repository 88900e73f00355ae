"""A fourth backend, written from the docstring of the contract alone: NumPy, one equation after another.

It is not the package's: what a jitted function promises on each backend holds on it too, so the contract says enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import test_backends
import test_matrix

import npdiff
from npdiff.backend import registry
from npdiff.backend.contract import Backend, Executable, OwnArrays, Placement, Status
from npdiff.errors import BackendError, GuardFailed
from npdiff.graph import Graph, Literal


class OneByOne:
    """A graph that is ready to run: every equation is handed to NumPy (rule 6), in recorded order (rules 3 and 4)."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, *arrays: Any) -> Sequence[Any]:
        values = dict(self.graph.constants)
        for v, x in zip(self.graph.inputs, arrays, strict=True):
            if np.shape(x) != v.aval.shape or np.asarray(x).dtype != v.aval.dtype:
                raise GuardFailed
            values[v] = x
        read = lambda a: a.value if isinstance(a, Literal) else values[a]
        for eq in self.graph.equations:
            out = eq.prim.call(*[read(a) for a in eq.inputs], **eq.params)
            for v, x in zip(eq.outputs, out if eq.prim.multiple else [out], strict=True):
                if np.shape(x) != v.aval.shape:
                    raise GuardFailed
                values[v] = x
        return [read(a) if a.aval.weak else np.array(read(a), a.aval.dtype, copy=True) for a in self.graph.outputs]

    def explain(self) -> str:
        return f"{len(self.graph.equations)} calls of NumPy, because this backend has nothing else"

    def text(self) -> str:
        return str(self.graph)


class Plain:
    """The backend."""

    name = "plain"
    shards = False

    def status(self) -> Status:
        return Status(self.name, True, "NumPy")

    def compile(self, graph: Graph, placement: Placement | None = None) -> Executable:
        if any(eq.prim.name == "bincount" for eq in graph.equations):
            raise BackendError("jit: this backend does not count")
        return OneByOne(graph)

    def is_array(self, value: Any) -> bool:
        return False

    def to_array(self, value: Any) -> Any:
        return value

    def to_numpy(self, value: Any) -> Any:
        return value

    def own(self, arrays: Sequence[Any]) -> OwnArrays:
        return OwnArrays(self, arrays)


@pytest.fixture(autouse=True)
def entered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend stands in the registry, as its docstring asks."""
    backend: Backend = Plain()
    monkeypatch.setitem(registry.BACKENDS, backend.name, backend)


@pytest.mark.parametrize("family", test_matrix.FAMILIES)
def test_families(family: str) -> None:
    test_matrix.test_families(family, "plain")


@pytest.mark.parametrize("name", list(test_matrix.PROGRAMS)[::4])
def test_programs(name: str) -> None:
    test_matrix.test_values_and_writes(test_matrix.PROGRAMS[name], "plain")


@pytest.mark.parametrize("order", ["jit of grad", "grad of jit"])
@pytest.mark.parametrize("name", list(test_matrix.PROGRAMS)[1::8])
def test_gradients(name: str, order: str) -> None:
    test_matrix.test_gradients(name, order, "plain")


@pytest.mark.parametrize("promise", [
    test_backends.test_writes_reach_the_argument, test_backends.test_guards_lead_to_the_other_path,
    test_backends.test_draws_and_prints_stay_in_order, test_backends.test_python_numbers_are_pythons,
    test_backends.test_integers_divided_by_zero, test_backends.test_second_derivatives_and_forward_mode])
def test_promises(promise: Any) -> None:
    promise("plain")


@pytest.mark.parametrize("dtype", test_backends.DTYPES)
def test_promotion(dtype: str) -> None:
    test_backends.test_promotion_is_numpys(dtype, "plain")


def test_it_is_listed_and_looked_into() -> None:
    assert "plain available: NumPy" in repr(npdiff.backends())
    f = npdiff.jit(lambda x: np.sin(x) * 2, "plain")
    assert "2 calls of NumPy, because this backend has nothing else" in f.explain(np.ones(3))
    assert "sin" in f.lower(np.ones(3))


def test_what_it_cannot_do_is_its_error() -> None:
    with pytest.raises(BackendError, match="this backend does not count"):
        npdiff.jit(np.bincount, "plain")(np.arange(3))


def test_it_has_what_the_protocols_ask_for() -> None:
    wanted = {name for p in (Backend, Executable) for name in vars(p) if not name.startswith("_")} - {"name", "shards"}
    assert wanted <= {*vars(Plain), *vars(OneByOne)}
