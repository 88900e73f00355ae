"""Logistic regression on more data than a worker may hold: each worker differentiates the parts that it has.

The data are a dask array: cut along the observations, made (as if read from files) where it is needed, and never in
one place. npdiff records the loss over it as over NumPy's arrays, so the gradient is a dask array too: one term
for each part, added up by the workers. The client sees numbers, never an array of observations; what each worker held
at most is printed.

    pip install npdiff[dask]
    python examples/data_parallel.py
"""

import resource
import sys

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import npdiff


def observations(rows, features, rows_per_part, seed=0):
    """Points and their classes, as parts that workers make when they need them."""
    rng = da.random.default_rng(seed)
    points = rng.random((rows, features), chunks=(rows_per_part, features)) - 0.5
    truth = np.linspace(-1.0, 1.0, features)
    classes = (points @ truth + 0.3 * rng.random(rows, chunks=rows_per_part) > 0.15).astype(float)
    return points, classes


def loss(weights, points, classes):
    """The mean negative log-likelihood, as one writes it with NumPy."""
    score = points @ weights
    return np.mean(np.logaddexp(0.0, score) - classes * score) + 1e-3 * np.sum(weights**2)


def train(client, points, classes, steps, rate=2.0):
    """Gradient descent; weights, gradient and data stay with the workers, and each step's loss comes back."""
    step = npdiff.value_and_grad(loss)
    weights = da.zeros(points.shape[1])
    losses = []
    for _ in range(steps):
        value, gradient = step(weights, points, classes)
        value, weights = client.persist([value, weights - rate * gradient])
        losses.append(float(value.compute()))
    return weights, losses


def peak():
    """The most memory, in bytes, that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(rows=1_000_000, features=80, rows_per_part=20_000, memory_limit="500MB", steps=2):
    """Train on a cluster of two processes on this machine."""
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=memory_limit, dashboard_address=None,
                      scheduler_port=0) as cluster, Client(cluster) as client:
        points, classes = observations(rows, features, rows_per_part)
        print(f"{points.nbytes / 1e6:.0f} MB of data in {points.numblocks[0]} parts, {memory_limit} a worker")
        weights, losses = train(client, points, classes, steps)
        print("loss:", " ".join(f"{value:.4f}" for value in losses))
        print("the first weights:", np.round(weights[:3].compute(), 3))
        peaks = list(client.run(peak).values())
        print("held at most by a worker:", " ".join(f"{held / 1e6:.0f} MB" for held in peaks))
        limit = min(worker["memory_limit"] for worker in client.scheduler_info()["workers"].values())
        assert max(peaks) < limit < points.nbytes
        assert losses[-1] < losses[0]


if __name__ == "__main__":
    main()
