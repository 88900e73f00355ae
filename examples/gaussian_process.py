"""Gaussian process regression: hyper-parameters by gradient descent through a Cholesky factorisation."""

import numpy as np

import npdiff


def kernel(log_params, a, b):
    """Squared exponential covariance; the parameters are logarithms of amplitude, length and noise."""
    amplitude, length, _ = np.exp(log_params)
    distance = (a[:, None] - b[None, :]) / length
    return amplitude**2 * np.exp(-0.5 * distance**2)


def negative_log_likelihood(log_params, x, y):
    noise = np.exp(log_params[2])
    covariance = kernel(log_params, x, x)
    covariance[np.diag_indices(len(x))] += noise**2
    factor = np.linalg.cholesky(covariance)
    whitened = np.linalg.solve(factor, y)
    return 0.5 * whitened @ whitened + np.sum(np.log(np.diagonal(factor))) + 0.5 * len(x) * np.log(2 * np.pi)


def main():
    rng = np.random.default_rng(5)
    x = np.sort(rng.uniform(-4.0, 4.0, 60))
    y = np.sin(1.5 * x) + 0.1 * rng.normal(size=x.size)

    log_params = np.zeros(3)
    step = npdiff.jit(npdiff.value_and_grad(negative_log_likelihood))
    for i in range(201):
        value, gradient = step(log_params, x, y)
        if i % 50 == 0:
            amplitude, length, noise = np.exp(log_params)
            print(f"step {i:3d}   -log likelihood {value:9.4f}   amplitude {amplitude:.3f}   "
                  f"length {length:.3f}   noise {noise:.3f}")
        log_params -= 0.01 * gradient / (1.0 + 0.02 * np.linalg.norm(gradient))
    assert np.linalg.norm(gradient) < 0.1
    assert 0.05 < np.exp(log_params[2]) < 0.2


if __name__ == "__main__":
    main()
