"""Several worker processes: data-parallel training, and jitted kernels over the parts of an array."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import jitted_functions as functions
import numpy as np
import pytest

import npdiff

distributed: Any = pytest.importorskip("distributed", reason="dask is missing: install the dask extra")
da: Any = pytest.importorskip("dask.array")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cluster's own start and end
        with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, memory_limit=0,
                                      dashboard_address=None, scheduler_port=0) as cluster, \
                distributed.Client(cluster) as made:
            yield made


@pytest.fixture
def gathered(client: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of elements of every array that came to the client."""
    sizes: list[int] = []
    plain = distributed.Client.gather

    def gather(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = plain(self, *args, **kwargs)
        sizes.extend(np.size(x) for x in npdiff.tree.leaves(found) if hasattr(x, "shape"))
        return found

    monkeypatch.setattr(distributed.Client, "gather", gather)
    return sizes


def example() -> Any:
    path = Path(__file__).parents[2] / "examples" / "data_parallel.py"
    spec: Any = importlib.util.spec_from_file_location("data_parallel", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_training_equals_numpys_and_gathers_numbers_only(client: Any, gathered: list[int]) -> None:
    module = example()
    points, classes = module.observations(400, 6, 100)
    weights, losses = module.train(client, points, classes, 3)
    assert gathered == [1, 1, 1]
    x, y, w = points.compute(), classes.compute(), np.zeros(6)
    for value in losses:
        wanted, gradient = npdiff.value_and_grad(module.loss)(w, x, y)
        np.testing.assert_allclose(value, wanted, rtol=1e-12)
        w = w - 2.0 * gradient
    np.testing.assert_allclose(weights.compute(), w, rtol=1e-12)
    workers = {worker for where in client.who_has(weights).values() for worker in where}
    assert workers <= set(client.scheduler_info()["workers"])


def test_a_jitted_function_in_map_blocks(client: Any) -> None:
    a = np.linspace(-1.0, 1.0, 12).reshape(4, 3)
    x = da.from_array(a, chunks=(2, 3))
    np.testing.assert_allclose(x.map_blocks(functions.smooth, dtype=float).compute(), np.exp(-a * a) + a)
    np.testing.assert_allclose(x.map_blocks(functions.slope, dtype=float).compute(), functions.SCALE * np.cos(a))


def test_a_lambda_that_closes_over_an_array_in_map_blocks(client: Any) -> None:
    k = np.array([1.0, -2.0, 0.5])
    f = npdiff.jit(npdiff.grad(lambda x: np.sum(np.exp(x) * k)))
    a = np.linspace(-1.0, 1.0, 12).reshape(4, 3)
    found = da.from_array(a, chunks=(2, 3)).map_blocks(f, dtype=float).compute()
    np.testing.assert_allclose(found, np.exp(a) * k)


def calls_and_recordings(blocks: Any) -> tuple[int, int]:
    """How often a worker has called its one function, and how many recordings it has made."""
    module = sys.modules["jitted_functions"]
    entries = module.smooth._entries.values()
    return sum(r.calls for e in entries for r in e.recordings), sum(len(e.recordings) for e in entries)


def test_a_worker_records_once(client: Any) -> None:
    x = da.ones((16, 5), chunks=(1, 5))
    x.map_blocks(functions.smooth, dtype=float).sum().compute()
    found = client.run(lambda data: cloudpickle.loads(data)(None), cloudpickle.dumps(calls_and_recordings))
    shapes = {(1, 5), (2, 3)}
    assert all(recordings <= len(shapes) + 1 for _, recordings in found.values())
    assert sum(calls for calls, _ in found.values()) >= 14
