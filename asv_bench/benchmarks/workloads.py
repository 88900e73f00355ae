"""The workloads: functions in plain NumPy, and how to make their arguments.

One list serves the benchmarks and a test that compares every one with NumPy. A function takes `np`
from its module, so autograd and JAX can run the same code through `with_numpy`.
"""

from __future__ import annotations

import math
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
    root = sigma * years**0.5  # Python's own number: np.sqrt's would make float64 of single precision
    d1 = (np.log(spot / strike) + (rate + 0.5 * sigma * sigma) * years) / root
    d2 = d1 - root
    first = 0.5 * (1.0 + np.tanh(0.7978845608 * (d1 + 0.044715 * d1 * d1 * d1)))
    second = 0.5 * (1.0 + np.tanh(0.7978845608 * (d2 + 0.044715 * d2 * d2 * d2)))
    return np.sum(spot * first - strike * math.exp(-rate * years) * second)


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


def _relax_twin(np: Any, grid: Any) -> Any:
    for _ in range(5):
        grid = grid.at[1:-1].set(0.25 * grid[:-2] + 0.5 * grid[1:-1] + 0.25 * grid[2:])
    return np.sum(grid * grid)


def option_prices(spot: Array, strike: Array, rate: Array, sigma: Array, years: Array) -> Any:
    """Prices of call options by Black and Scholes, every number an input; as `black_scholes`, without a sum."""
    root = sigma * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + 0.5 * sigma * sigma) * years) / root
    d2 = d1 - root
    first = 0.5 * (1.0 + np.tanh(0.7978845608 * (d1 + 0.044715 * d1 * d1 * d1)))
    second = 0.5 * (1.0 + np.tanh(0.7978845608 * (d2 + 0.044715 * d2 * d2 * d2)))
    return spot * first - strike * np.exp(-rate * years) * second


def transcendental(x: Array) -> Any:
    """Functions that scalar math libraries are slow at, one behind the other."""
    y = np.log(x) * np.sin(3.0 * x) + np.cos(x)
    y = np.arctan(y) + np.power(x, 1.7) * np.tanh(y)
    return np.sum(np.logaddexp(y, x))


def mixing(a: Array, b: Array, c: Array, d: Array) -> Any:
    """Cheap arithmetic with as many results as inputs: bound by memory."""
    return a * b + c, b * c - d, (a + d) * 0.5, a * d - b * c


def moments(x: Array) -> Any:
    """Reductions over a matrix: all of it, its columns, its rows."""
    return np.sum(x) + np.mean(np.var(x, axis=0)) + np.sum(np.max(x, axis=1) * np.mean(x, axis=1))


def reduce_all(x: Array) -> Any:
    """Each reduction over a whole matrix."""
    return np.sum(x) + np.mean(x) + np.var(x) + np.max(x), np.argmax(x)


def reduce_first(x: Array) -> Any:
    """Each reduction over the columns of a matrix."""
    return np.sum(x, axis=0), np.mean(x, axis=0), np.var(x, axis=0), np.max(x, axis=0), np.argmax(x, axis=0)


def reduce_last(x: Array) -> Any:
    """Each reduction over the rows of a matrix."""
    return np.sum(x, axis=1), np.mean(x, axis=1), np.var(x, axis=1), np.max(x, axis=1), np.argmax(x, axis=1)


def logsumexp(x: Array) -> Any:
    """The logarithm of a sum of exponentials along the last axis."""
    high = np.max(x, axis=-1, keepdims=True)
    return np.log(np.sum(np.exp(x - high), axis=-1)) + high[..., 0]


def softmax(x: Array) -> Any:
    """Softmax and logsumexp along the last axis."""
    high = np.max(x, axis=-1, keepdims=True)
    e = np.exp(x - high)
    total = np.sum(e, axis=-1, keepdims=True)
    return np.sum(e / total * x) + np.sum(np.log(total) + high)


def three_layers(w1: Array, w2: Array, w3: Array, images: Array, labels: Array) -> Any:
    """Cross entropy of a network with two hidden layers."""
    scores = np.tanh(np.tanh(images @ w1) @ w2) @ w3
    scores = scores - np.max(scores, axis=1, keepdims=True)
    log_total = np.log(np.sum(np.exp(scores), axis=1))
    return np.mean(log_total - scores[np.arange(len(labels)), labels])


def small_matrices(a: Array, b: Array) -> Any:
    """Many products and solutions of small systems."""
    return np.sum(np.linalg.solve(a @ a + 8.0 * np.eye(a.shape[-1]), b) * (a @ b))


def heat(grid: Array) -> Any:
    """Ten steps of heat flow in two dimensions, written in place."""
    grid = grid.copy()
    for _ in range(10):
        flow = grid[:-2, 1:-1] + grid[2:, 1:-1] + grid[1:-1, :-2] + grid[1:-1, 2:] - 4.0 * grid[1:-1, 1:-1]
        grid[1:-1, 1:-1] += 0.2 * flow
    return np.sum(grid * grid)


def _heat_twin(np: Any, grid: Any) -> Any:
    for _ in range(10):
        flow = grid[:-2, 1:-1] + grid[2:, 1:-1] + grid[1:-1, :-2] + grid[1:-1, 2:] - 4.0 * grid[1:-1, 1:-1]
        grid = grid.at[1:-1, 1:-1].add(0.2 * flow)
    return np.sum(grid * grid)


def ocean(velocity: Array, depth: Array, drag: Array) -> Any:
    """Slices of three-dimensional fields written one after the other, with masks, limits and broadcasting."""
    u = velocity.copy()
    flux = np.zeros_like(u)
    wet = depth > 0.2
    for _ in range(4):
        flux[1:-1] = 0.5 * (u[2:] - u[:-2]) * depth
        flux[0] = flux[1]
        flux[-1] = flux[-2]
        u[:, 1:-1] += 0.1 * (flux[:, 2:] - flux[:, :-2]) * drag[1:-1, None]
        u[:, :, 0] = u[:, :, 1]
        u[:, :, -1] = u[:, :, -2]
        u[:, 0] = np.where(wet[0], u[:, 0], 0.0)
        u[:, -1] = np.where(wet[-1], u[:, -1], 0.0)
        u[...] = np.clip(u, -2.0, 2.0)
    return np.sum(u * u * wet)


def _ocean_twin(np: Any, velocity: Any, depth: Any, drag: Any) -> Any:
    u, flux = velocity, np.zeros_like(velocity)
    wet = depth > 0.2
    for _ in range(4):
        flux = flux.at[1:-1].set(0.5 * (u[2:] - u[:-2]) * depth)
        flux = flux.at[0].set(flux[1]).at[-1].set(flux[-2])
        u = u.at[:, 1:-1].add(0.1 * (flux[:, 2:] - flux[:, :-2]) * drag[1:-1, None])
        u = u.at[:, :, 0].set(u[:, :, 1])
        u = u.at[:, :, -1].set(u[:, :, -2])
        u = u.at[:, 0].set(np.where(wet[0], u[:, 0], 0.0))
        u = u.at[:, -1].set(np.where(wet[-1], u[:, -1], 0.0))
        u = np.clip(u, -2.0, 2.0)
    return np.sum(u * u * wet)


def mixture(means: Array, scales: Array, weights: Array, data: Array) -> Any:
    """Log-likelihood of a mixture of normal distributions."""
    z = (data[:, None] - means) / scales
    terms = -0.5 * z * z - np.log(scales) + weights - np.log(np.sum(np.exp(weights)))
    high = np.max(terms, axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(terms - high), axis=1)) + high[:, 0])


def bodies(positions: Array) -> Any:
    """Energy of bodies that attract each other."""
    apart = positions[:, None, :] - positions[None, :, :]
    return -np.sum(1.0 / np.sqrt(np.sum(apart * apart, axis=-1) + 0.01))


def process_likelihood(scale: Array, x: Array, y: Array) -> Any:
    """Marginal likelihood of a Gaussian process."""
    apart = (x[:, None] - x[None, :]) / scale
    root = np.linalg.cholesky(np.exp(-0.5 * apart * apart) + 0.1 * np.eye(len(x)))
    solved = np.linalg.solve(root, y)
    return 0.5 * np.sum(solved * solved) + np.sum(np.log(np.diagonal(root)))


def runge_kutta(state: Array, couplings: Array) -> Any:
    """Five steps of fourth order for twenty coupled equations."""
    def slope(y: Any) -> Any:
        return np.tanh(couplings @ y) - 0.1 * y * y * y

    for _ in range(5):
        k1 = slope(state)
        k2 = slope(state + 0.05 * k1)
        k3 = slope(state + 0.05 * k2)
        k4 = slope(state + 0.1 * k3)
        state = state + 0.1 / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return np.sum(state * state)


def products(a: Array, b: Array) -> Any:
    """Bound by matrix products."""
    return np.sum(np.tanh(a @ b) @ a)


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


def _option_args(n: int) -> tuple[Any, ...]:
    bounds = ((80, 120), (80, 120), (0.01, 0.05), (0.1, 0.4), (0.2, 2.0))
    rng = _rng()
    return tuple([rng.uniform(low, high, n) for low, high in bounds])


def _normals(*shapes: Callable[[int], tuple[int, ...]]) -> Callable[[int], tuple[Any, ...]]:
    def make(n: int) -> tuple[Any, ...]:
        rng = _rng()
        return tuple([rng.normal(size=shape(n)) for shape in shapes])

    return make


def _stacks(k: int) -> Callable[[int], tuple[Any, ...]]:
    return _normals(*[lambda n: (n, k, k)] * 2)


def _layers_args(n: int) -> tuple[Any, ...]:
    rng = _rng()
    return (*[rng.normal(size=shape) / 8 for shape in ((64, n), (n, n), (n, 10))], rng.uniform(size=(256, 64)),
            rng.integers(10, size=256))


def _ocean_args(n: int) -> tuple[Any, ...]:
    rng = _rng()
    return rng.normal(size=(8, n, n)), rng.uniform(size=(n, n)), rng.uniform(0.5, 1.0, n)


def _mixture_args(n: int) -> tuple[Any, ...]:
    rng = _rng()
    return rng.normal(size=8), rng.uniform(0.5, 2.0, 8), rng.normal(size=8), rng.normal(size=n)


def _process_args(n: int) -> tuple[Any, ...]:
    rng = _rng()
    return np.array(1.3), np.sort(rng.uniform(0, 10, n)), rng.normal(size=n)


class Workload(NamedTuple):
    """A function, its arguments in full and in small, and what a comparison with others needs.

    It is differentiated with respect to its arguments `argnums`. `make` gives arguments of any size, and `sizes` are
    those to compare at. `twin(np, *args)` is the same for jax.numpy where the function itself does not run there.
    """

    function: Callable[..., Any]
    arguments: Callable[[], tuple[Any, ...]]
    small: Callable[[], tuple[Any, ...]]
    make: Callable[[int], tuple[Any, ...]] | None = None
    sizes: tuple[int, ...] = ()
    argnums: tuple[int, ...] = (0,)
    twin: Callable[..., Any] | None = None


def _sized(function: Callable[..., Any], make: Callable[[int], tuple[Any, ...]], sizes: tuple[int, ...], small: int,
           argnums: tuple[int, ...] = (0,), twin: Callable[..., Any] | None = None) -> Workload:
    return Workload(function, lambda: make(sizes[0]), lambda: make(small), make, sizes, argnums, twin)


_LINE = (1_000, 100_000, 1_000_000)
WORKLOADS: dict[str, Workload] = {
    "chain": Workload(chain, _uniform(0, 1, 10), _uniform(0, 1, 10)),
    "normal_density": Workload(normal_density, _uniform(-2, 2, 1_000_000), _uniform(-2, 2, 50)),
    "rational": Workload(rational, _uniform(-2, 2, 1_000_000), _uniform(-2, 2, 50)),
    "black_scholes": Workload(black_scholes, _uniform(80, 120, 1_000_000), _uniform(80, 120, 50)),
    "regression": Workload(regression, _regression_args, _regression_args),
    "network": Workload(network, _network_args, _network_args),
    "relax": Workload(relax, _uniform(0, 1, 10_000), _uniform(0, 1, 30), twin=_relax_twin),
    "option_prices": _sized(option_prices, _option_args, (*_LINE, 10_000_000), 30, (0, 1, 2, 3, 4)),
    "transcendental": _sized(transcendental, lambda n: (_rng().uniform(0.5, 3.0, n),), _LINE, 30),
    "mixing": _sized(mixing, _normals(*[lambda n: (n,)] * 4), (*_LINE, 10_000_000), 30, (0, 1, 2, 3)),
    "moments": _sized(moments, _normals(lambda n: (n, n)), (100, 1_000), 5),
    "softmax_long": _sized(softmax, _normals(lambda n: (n // 1000, 1000)), (100_000, 1_000_000), 2_000),
    "softmax_short": _sized(softmax, _normals(lambda n: (n // 10, 10)), (100_000, 1_000_000), 50),
    "logsumexp_long": _sized(logsumexp, _normals(lambda n: (n // 1000, 1000)), (100_000, 1_000_000), 2_000),
    "logsumexp_short": _sized(logsumexp, _normals(lambda n: (n // 10, 10)), (100_000, 1_000_000), 50),
    **{f.__name__: _sized(f, _normals(lambda n: (n, n)), (100, 1_000), 5)
       for f in (reduce_all, reduce_first, reduce_last)},
    "three_layers": _sized(three_layers, _layers_args, (128,), 6, (0, 1, 2)),
    "small_matrices": _sized(small_matrices, _normals(*[lambda n: (n, 4, 4)] * 2), (10_000, 1), 3),
    **{f"small_matrices_{k}": _sized(small_matrices, _stacks(k), (10_000,), 3) for k in (3, 8, 16)},
    "heat": _sized(heat, _normals(lambda n: (n, n)), (64, 512), 6, (0,), _heat_twin),
    "ocean": _sized(ocean, _ocean_args, (64,), 5, (0,), _ocean_twin),
    "mixture": _sized(mixture, _mixture_args, (1_000, 100_000), 9, (0, 1, 2)),
    "bodies": _sized(bodies, _normals(lambda n: (n, 3)), (30, 300), 4),
    "process_likelihood": _sized(process_likelihood, _process_args, (30, 300), 8),
    "runge_kutta": _sized(runge_kutta, _normals(lambda n: (n,), lambda n: (n, n)), (20,), 3, (0, 1)),
    "products": _sized(products, lambda n: tuple([a / n for a in _normals(*[lambda n: (n, n)] * 2)(n)]), (512,), 4,
                       (0, 1)),
}
FUSED = ("normal_density", "rational", "black_scholes")


def total(function: Callable[..., Any], module: Any = np) -> Callable[..., Any]:
    """A function with one number as its result, to be differentiated: the sum of all that `function` returns."""
    def summed(*args: Any) -> Any:
        out = function(*args)
        return sum([module.sum(o) for o in out]) if isinstance(out, tuple) else module.sum(out)

    return summed


def with_numpy(function: Callable[..., Any], module: Any) -> Callable[..., Any]:
    """The same function, with another module in the place of `np`."""
    code: Any = function
    return types.FunctionType(code.__code__, {**code.__globals__, "np": module}, code.__name__, code.__defaults__)


__all__ = ["FUSED", "WORKLOADS", "Workload", "total", "with_numpy"]
