"""Training on many devices: one NumPy function, its data cut over a mesh, its gradients added up by XLA.

Run it with `pip install "npdiff[jax]"`. On a machine with one processor JAX makes eight devices of it.
"""

from __future__ import annotations

import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

import npdiff


def loss(w, x, y):
    """How far a small network is from y, over all examples."""
    return np.mean((np.tanh(x @ w["in"] + w["b"]) @ w["out"] - y) ** 2)


def descent(w, x, y):
    """One step of gradient descent."""
    value, slope = npdiff.value_and_grad(loss)(w, x, y)
    return value, {name: w[name] - 0.1 * slope[name] for name in w}


rng = np.random.default_rng(0)
x = rng.normal(size=(4096, 3))
y = np.sin(x[:, 0]) * x[:, 1]
start = {"in": rng.normal(size=(3, 16)) / 2, "b": np.zeros(16), "out": rng.normal(size=16) / 4}

mesh = Mesh(np.array(jax.devices()), ("data",))
data = PartitionSpec("data")
# Weights are whole on each device; each has its share of the examples.
step = npdiff.jit(descent, backend="tpu", mesh=mesh, in_shardings=(None, data, data))

w = plain = start
for _ in range(100):
    value, w = step(w, x, y)
    wanted, plain = descent(plain, x, y)
np.testing.assert_allclose(value, wanted, rtol=1e-9)
print(f"{mesh.size} devices: the loss falls from {loss(start, x, y):.3f} to {value:.3f}, as on one")
