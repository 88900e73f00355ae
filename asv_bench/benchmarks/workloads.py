"""The workloads: functions in plain NumPy, and how to make their arguments.

One list serves the benchmarks and a test that compares every one with NumPy. A function takes `np`
from its module, so autograd can run the same code through `with_numpy`.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


def chain(x: Array) -> Any:
    """Fifty operations on a small array: what recording itself costs."""
    for _ in range(10):
        x = np.sin(x) * 1.01 + x * 0.5
        x = x - 0.1
    return np.sum(x)


def normal_density(x: Array) -> Any:
    """An expression that fuses into one loop, and one sum."""
    z = (x - 0.5) / 1.5
    return np.sum(np.exp(-0.5 * z * z) / (1.0 + z * z))


def rational(x: Array) -> Any:
    """Only additions, products and a quotient: bound by memory where it is not fused."""
    return np.sum((1.0 + x * (0.5 + x * (0.25 + x * 0.125))) / (1.0 + x * x))


def black_scholes(spot: Array) -> Any:
    """Prices of call options, with a rational approximation of the normal distribution."""
    strike, rate, sigma, years = 100.0, 0.05, 0.2, 1.0
    d1 = (np.log(spot / strike) + (rate + 0.5 * sigma * sigma) * years) / (sigma * np.sqrt(years))
    d2 = d1 - sigma * np.sqrt(years)
    first = 0.5 * (1.0 + np.tanh(0.7978845608 * (d1 + 0.044715 * d1 * d1 * d1)))
    second = 0.5 * (1.0 + np.tanh(0.7978845608 * (d2 + 0.044715 * d2 * d2 * d2)))
    return np.sum(spot * first - strike * np.exp(-rate * years) * second)


def regression(weights: Array, inputs: Array, targets: Array) -> Any:
    """The loss of linear regression."""
    return np.sum(np.square(np.matmul(inputs, weights) - targets)) / len(targets)


def network(w1: Array, w2: Array, images: Array, labels: Array) -> Any:
    """Cross entropy of a network with one hidden layer."""
    scores = np.tanh(images @ w1) @ w2
    scores = scores - np.max(scores, axis=1, keepdims=True)
    log_total = np.log(np.sum(np.exp(scores), axis=1))
    return np.sum(log_total - scores[np.arange(len(labels)), labels]) / len(labels)


def relax(grid: Array) -> Any:
    """A loop that writes in place through slices."""
    grid = grid.copy()
    for _ in range(5):
        grid[1:-1] = 0.25 * grid[:-2] + 0.5 * grid[1:-1] + 0.25 * grid[2:]
    return np.sum(grid * grid)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _uniform(low: float, high: float, *shape: int) -> Callable[[], tuple[Any, ...]]:
    return lambda: (_rng().uniform(low, high, shape),)


def _regression_args() -> tuple[Any, ...]:
    rng = _rng()
    return rng.normal(size=10), rng.normal(size=(1000, 10)), rng.normal(size=1000)


def _network_args() -> tuple[Any, ...]:
    rng = _rng()
    return (rng.normal(size=(64, 64)) / 8, rng.normal(size=(64, 10)) / 8, rng.uniform(size=(128, 64)),
            rng.integers(10, size=128))


class Workload(NamedTuple):
    """A function differentiated with respect to its first argument, and its arguments at two sizes."""

    function: Callable[..., Any]
    arguments: Callable[[], tuple[Any, ...]]
    small: Callable[[], tuple[Any, ...]]


WORKLOADS: dict[str, Workload] = {
    "chain": Workload(chain, _uniform(0, 1, 10), _uniform(0, 1, 10)),
    "normal_density": Workload(normal_density, _uniform(-2, 2, 1_000_000), _uniform(-2, 2, 50)),
    "rational": Workload(rational, _uniform(-2, 2, 1_000_000), _uniform(-2, 2, 50)),
    "black_scholes": Workload(black_scholes, _uniform(80, 120, 1_000_000), _uniform(80, 120, 50)),
    "regression": Workload(regression, _regression_args, _regression_args),
    "network": Workload(network, _network_args, _network_args),
    "relax": Workload(relax, _uniform(0, 1, 10_000), _uniform(0, 1, 30)),
}
FUSED = ("normal_density", "rational", "black_scholes")


def with_numpy(function: Callable[..., Any], module: Any) -> Callable[..., Any]:
    """The same function, with another module in the place of `np`."""
    code: Any = function
    return types.FunctionType(code.__code__, {**code.__globals__, "np": module}, code.__name__, code.__defaults__)


__all__ = ["FUSED", "WORKLOADS", "Workload", "with_numpy"]
