"""Least squares with its uncertainty: Newton's method from a Hessian, and per-sample gradients by vmap."""

import numpy as np

import npdiff


def model(params, t):
    """A damped oscillation: amplitude, decay and frequency."""
    return params[0] * np.exp(-params[1] * t) * np.cos(params[2] * t)


def sample_loss(params, t, y):
    return 0.5 * (model(params, t) - y) ** 2


def total_loss(params, t, y):
    return np.sum(sample_loss(params, t, y))


def main():
    rng = np.random.default_rng(3)
    true = np.array([2.0, 0.3, 1.7])
    t = np.linspace(0.0, 8.0, 200)
    noise = 0.05
    y = model(true, t) + noise * rng.normal(size=t.size)

    params = np.array([1.6, 0.2, 1.6])
    gradient, curvature = npdiff.grad(total_loss), npdiff.hessian(total_loss)
    for _ in range(8):
        params -= np.linalg.solve(curvature(params, t, y), gradient(params, t, y))

    # One gradient per sample, in a single call: their outer products estimate the noise in the fit.
    per_sample = npdiff.vmap(npdiff.grad(sample_loss), in_axes=(None, 0, 0))(params, t, y)
    inverse = np.linalg.inv(curvature(params, t, y))
    deviation = np.sqrt(np.diag(inverse @ (per_sample.T @ per_sample) @ inverse))

    for name, p, d, q in zip(["amplitude", "decay", "frequency"], params, deviation, true, strict=True):
        print(f"{name:10s} {p:8.4f} +- {d:.4f}   (true {q})")
    assert np.all(np.abs(params - true) < 5 * deviation)
    assert np.allclose(np.sum(per_sample, axis=0), gradient(params, t, y))


if __name__ == "__main__":
    main()
