"""Programs as people write them, importing NumPy alone, and arguments to call them with.

`PROGRAMS` names each with what the tests vary; every call of `Program.args` makes new arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import learning, loops, physics, statistics


@dataclass(frozen=True)
class Program:
    """A program and its arguments.

    Attributes
    ----------
    function
        Returns numbers or arrays, in containers or not.
    make
        ``make(rng)``: the arguments, different at each call.
    vmap
        Position of an argument that may be batched; None where Python's branches depend on all of them.
    order
        Highest order of derivative that is compared with differences.
    """

    function: Callable[..., Any]
    make: Callable[[np.random.Generator], tuple[Any, ...]]
    vmap: int | None = None
    order: int = 1

    def args(self, seed: int = 0) -> list[Any]:
        """Arguments for one call."""
        return list(self.make(np.random.default_rng(seed)))


def _gaussian_process(rng: Any) -> tuple[Any, ...]:
    x = np.sort(rng.uniform(-2, 2, 8))
    return rng.uniform(-0.5, 0.2, 3), x, np.sin(2 * x) + 0.1 * rng.normal(size=8)


def _readings(rng: Any) -> Any:
    readings = np.sin(np.arange(12) / 3) + 0.1 * rng.normal(size=12)
    readings[[3, 8]] = [25.0, -30.0]
    return readings


def _points(rng: Any) -> tuple[Any, ...]:
    points = np.concatenate([rng.normal(size=(6, 2)) * 0.3 + centre for centre in ([0, 0], [3, 1], [-2, 3])])
    return points, points[[0, 7, 14]] + 0.1, 3


def _cameras(rng: Any) -> tuple[Any, ...]:
    cameras = rng.uniform(-0.2, 0.2, (2, 8))
    cameras[:, 5] += 4
    cameras[:, 6] += 1.5
    pairs = [(0, 0), (1, 1), (0, 2)]
    return cameras, rng.uniform(-1, 1, (3, 3)), rng.uniform(-0.5, 0.5, (3, 2)), pairs


def _lstm(rng: Any) -> tuple[Any, ...]:
    params = {"W": rng.normal(size=(12, 5)) * 0.5, "b": rng.normal(size=12) * 0.1, "out": rng.normal(size=3)}
    return params, rng.normal(size=(3, 2)), rng.normal(size=3)


def _attention(rng: Any) -> tuple[Any, ...]:
    params = {name: rng.normal(size=(4, 4)) * 0.7 for name in "qkvo"} | {"embedding": rng.normal(size=(6, 4)) * 0.7}
    return params, rng.integers(0, 6, 5)


def _options(rng: Any) -> tuple[Any, ...]:
    return (rng.uniform(80, 120, 5), 100.0, rng.uniform(0.1, 0.4, 5), 0.03, rng.uniform(0.5, 2, 5),
            np.array([True, False, True, False, True]))


def _classes(rng: Any) -> tuple[Any, ...]:
    inputs = rng.normal(size=(10, 3))
    return rng.normal(size=3) * 0.1, inputs, (inputs[:, 0] + 0.3 * rng.normal(size=10) > 0).astype(float), 0.05, 2


def _definite(rng: Any, n: int = 5) -> Any:
    root = rng.normal(size=(n, n))
    return root @ root.T + n * np.eye(n)


def _grid(rng: Any, *shape: int) -> Any:
    return rng.uniform(0.5, 1.5, shape)


def _sparse(rng: Any) -> tuple[Any, ...]:
    return np.array([0, 2, 2, 5, 7]), rng.integers(0, 4, 7), rng.normal(size=7), rng.normal(size=4)


def _images(rng: Any) -> tuple[Any, ...]:
    return rng.normal(size=(2, 5, 5, 2)), rng.normal(size=(2, 2, 2, 3)), rng.normal(size=3), rng.normal(size=(12, 4))


def _atoms(rng: Any) -> tuple[Any, ...]:
    return rng.normal(size=(2, 3, 2, 2)), rng.normal(size=(3, 2, 2, 2)), np.array([[1, 2], [2, 0], [0, 0]])


PROGRAMS: dict[str, Program] = {
    "gaussian process": Program(statistics.gaussian_process, _gaussian_process, vmap=2, order=2),
    "Kalman filter": Program(
        statistics.kalman, lambda rng: (rng.uniform(-1, 0, 2), 0.3, np.cumsum(rng.normal(size=4))), vmap=0, order=2),
    "Gaussian mixture": Program(
        statistics.gaussian_mixture,
        lambda rng: (rng.normal(size=3), rng.normal(size=(3, 2)), rng.uniform(-0.5, 0.5, (3, 2)),
                     rng.normal(size=(7, 2))), vmap=1, order=2),
    "hidden Markov model": Program(
        statistics.hidden_markov,
        lambda rng: (rng.normal(size=(3, 3)), rng.normal(size=(3, 4)), rng.integers(0, 4, 5)), vmap=0, order=2),
    "histogram likelihood": Program(
        statistics.histogram_likelihood,
        lambda rng: (rng.uniform(20, 40, 2), rng.uniform(0.2, 1, (2, 6)), rng.poisson(10, 6)), vmap=0, order=2),
    "weighted histogram": Program(
        statistics.weighted_histogram,
        lambda rng: (float(rng.uniform(-0.3, 0.3)), np.linspace(-3, 3, 7), np.clip(rng.normal(size=20), -2.9, 2.9)),
        vmap=0),
    "masked statistics": Program(
        statistics.masked_pipeline, lambda rng: (_readings(rng), float(rng.uniform(1, 2)), float(rng.uniform(0, 1)))),
    "principal components": Program(
        statistics.principal_components, lambda rng: (rng.normal(size=(6, 3)) * [3.0, 2.0, 1.0], 2), vmap=0, order=2),
    "Black-Scholes": Program(statistics.black_scholes, _options, vmap=2, order=2),
    "k-means": Program(statistics.k_means, _points),
    "sensor calibration": Program(
        statistics.calibration,
        lambda rng: (rng.normal(size=(7, 3)), rng.normal(size=(7, 5)), rng.normal(size=3), 0.1), order=2),
    "spectral PDE": Program(
        physics.spectral_step,
        lambda rng: (np.sin(np.arange(16) * np.pi / 8) + 0.1 * rng.normal(size=16), float(rng.uniform(0.01, 0.03)),
                     0.01, 3), vmap=0, order=2),
    "adaptive ODE": Program(
        physics.adaptive_ode,
        lambda rng: (rng.uniform(0.8, 1.2, 2), np.array([1.1, 0.4, 0.4, 0.1]) + rng.uniform(0, 0.05, 4), 0.5)),
    "Ising energy": Program(
        physics.ising_energy,
        lambda rng: (float(rng.normal()), rng.uniform(-1, 1, (4, 5)), float(rng.normal())), vmap=1, order=2),
    "fluid in a cavity": Program(
        physics.fluid_step,
        lambda rng: (rng.uniform(-0.1, 0.1, (2, 6, 6)), rng.uniform(-0.1, 0.1, (6, 6)), 0.01,
                     float(rng.uniform(0.05, 0.1))), vmap=0, order=2),
    "n bodies": Program(
        physics.n_body,
        lambda rng: (rng.uniform(-1, 1, (3, 2)), rng.uniform(-0.3, 0.3, (3, 2)), rng.uniform(0.5, 1.5, 3), 0.02, 1),
        vmap=1, order=2),
    "heat in a rod": Program(
        physics.heat_rod, lambda rng: (rng.uniform(0.2, 1, 5), rng.uniform(0, 1, 4), 2), vmap=0, order=2),
    "LSTM": Program(learning.lstm, _lstm, vmap=1, order=2),
    "convolution": Program(
        learning.convolution,
        lambda rng: (rng.normal(size=(6, 4)), rng.normal(size=(3, 3)), float(rng.normal())), vmap=0),
    "bundle adjustment": Program(learning.bundle_adjustment, _cameras, vmap=1, order=2),
    "spline": Program(
        learning.spline,
        lambda rng: (np.arange(6.0) + rng.uniform(-0.2, 0.2, 6), rng.normal(size=6), rng.uniform(0.5, 4.5, 7)), vmap=1,
        order=2),
    "L-BFGS": Program(learning.lbfgs, lambda rng: (rng.normal(size=(5, 3)), rng.normal(size=5), 2, 2)),
    "attention": Program(learning.attention, _attention, vmap=1, order=2),
    "Adam": Program(learning.adam, _classes, vmap=1),
    "Cholesky in place": Program(loops.cholesky_in_place, lambda rng: (_definite(rng),), vmap=0, order=2),
    "elimination": Program(loops.eliminate, lambda rng: (_definite(rng), rng.normal(size=5)), vmap=1, order=2),
    "Gram-Schmidt": Program(loops.orthogonalise, lambda rng: (rng.normal(size=(5, 3)),), vmap=0, order=2),
    "Levinson": Program(loops.levinson, lambda rng: (0.3 ** np.arange(1, 6) * _grid(rng, 5),), vmap=0, order=2),
    "smoothing in order": Program(loops.smooth_in_order, lambda rng: (_grid(rng, 5, 6), 2), vmap=0, order=2),
    "two grids": Program(
        lambda a, b: (loops.relax_two_grids(a, b, 2), a, b)[1:],
        lambda rng: (_grid(rng, 5, 6), _grid(rng, 5, 6)), vmap=0),
    "waves": Program(
        loops.waves, lambda rng: (_grid(rng, 5, 6), _grid(rng, 5, 6), _grid(rng, 5, 6), _grid(rng, 3)), vmap=3),
    "implicit sweeps": Program(loops.implicit_sweeps, lambda rng: (_grid(rng, 5, 5), 0.3), vmap=0, order=2),
    "recursive filter": Program(loops.recursive_filter, lambda rng: (_grid(rng, 4, 6), 0.25), vmap=1, order=2),
    "shortest paths": Program(loops.shortest_paths, lambda rng: (rng.uniform(0.1, 3, (5, 5)),), vmap=0),
    "triangular products": Program(
        loops.triangular_products,
        lambda rng: (1.5, 1.2, rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), _definite(rng, 4)), vmap=0, order=2),
    "correlations": Program(loops.correlations, lambda rng: (rng.normal(size=(7, 4)),), order=2),
    "vertical advection": Program(
        loops.vertical_advection, lambda rng: (rng.normal(size=(2, 3, 5)), _grid(rng, 2, 3, 5), 0.2), vmap=2, order=2),
    "limited diffusion": Program(loops.limited_diffusion, lambda rng: (rng.normal(size=(8, 7)), 0.3), vmap=0),
    "escape times": Program(
        loops.escape_times, lambda rng: (rng.uniform(-2, 0.5, 4), rng.uniform(-1, 1, 3), 2.0, 4)),
    "radix transform": Program(loops.radix_transform, lambda rng: (rng.normal(size=9), 3), vmap=0, order=2),
    "radial profile": Program(
        loops.radial_profile, lambda rng: (rng.normal(size=20), rng.integers(0, 30, 20), 4), vmap=0, order=2),
    "sparse product": Program(loops.sparse_product, _sparse, vmap=3, order=2),
    "pooled network": Program(loops.pooled_network, _images, vmap=2),
    "scattered energies": Program(loops.scatter_energies, _atoms, vmap=0, order=2),
    "great circles": Program(
        loops.great_circles, lambda rng: (rng.uniform(-1, 1, 5), rng.uniform(-2, 2, 5)), vmap=0, order=2),
    "contour moments": Program(
        loops.contour_moments, lambda rng: (rng.normal(size=(3, 3)), 4 * np.exp(2j * np.pi * np.arange(4) / 4)),
        vmap=0, order=2),
}

__all__ = ["PROGRAMS", "Program"]
