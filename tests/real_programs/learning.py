"""Models, images and optimisers, in plain NumPy."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(params, inputs, targets):
    """Squared error of an LSTM that reads a sequence and predicts the next value."""
    hidden = params["out"].shape[0]
    h, c = np.zeros(hidden), np.zeros(hidden)
    loss = 0.0
    for x, target in zip(inputs, targets, strict=True):
        gates = params["W"] @ np.concatenate([x, h]) + params["b"]
        i, f, o, g = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        loss += (h @ params["out"] - target) ** 2
    return loss / len(targets)


def convolution(image, kernel, bias):
    """A layer on an image: convolution by sliding windows, rectifier, maximum over 2x2 blocks."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, 1, mode="edge"), kernel.shape)
    response = np.einsum("ijkl,kl->ij", windows, kernel) + bias
    active = np.maximum(response, 0.1 * response)
    h, w = active.shape
    return active.reshape(h // 2, 2, w // 2, 2).max(axis=(1, 3))


def rotation(r):
    """Rodrigues' formula: the rotation matrix of a rotation vector."""
    angle = np.sqrt(r @ r + 1e-12)
    x, y, z = r / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def bundle_adjustment(cameras, points, observations, pairs):
    """Reprojection residuals of cameras (rotation vector, translation, focal length, distortion)."""
    residuals = np.empty((len(pairs), 2))
    for k, (camera, point) in enumerate(pairs):
        r, t, focal, distortion = cameras[camera, :3], cameras[camera, 3:6], *cameras[camera, 6:]
        x, y, z = rotation(r) @ points[point] + t
        projected = np.array([x, y]) / z
        radius = np.sum(projected**2)
        residuals[k] = focal * (1 + distortion * radius) * projected - observations[k]
    return residuals.ravel()


def spline(knots, values, where):
    """A natural cubic spline: tridiagonal system for the second derivatives, pieces found by searchsorted."""
    h = np.diff(knots)
    system = np.diag(2 * (h[:-1] + h[1:])) + np.diag(h[1:-1], 1) + np.diag(h[1:-1], -1)
    bends = np.zeros(len(knots))
    bends[1:-1] = np.linalg.solve(system, 6 * np.diff(np.diff(values) / h))
    i = np.clip(np.searchsorted(knots, where) - 1, 0, len(h) - 1)
    a, b = knots[i + 1] - where, where - knots[i]
    return ((bends[i] * a**3 + bends[i + 1] * b**3) / (6 * h[i]) + (values[i] / h[i] - bends[i] * h[i] / 6) * a
            + (values[i + 1] / h[i] - bends[i + 1] * h[i] / 6) * b)


def lbfgs(matrix, target, memory, steps):
    """Limited-memory BFGS with backtracking on a convex function; the point where it stops."""

    def f(x):
        residual = matrix @ x - target
        return 0.5 * residual @ residual + 0.1 * np.sum(np.log(np.cosh(x)))

    def slope(x):
        return matrix.T @ (matrix @ x - target) + 0.1 * np.tanh(x)

    x = np.zeros(matrix.shape[1])
    g = slope(x)
    history = []
    for _ in range(steps):
        q, alphas = g.copy(), []
        for s, y in reversed(history):
            alphas.append(s @ q / (y @ s))
            q -= alphas[-1] * y
        if history:
            s, y = history[-1]
            q *= s @ y / (y @ y)
        for (s, y), alpha in zip(history, reversed(alphas), strict=True):
            q += s * (alpha - y @ q / (y @ s))
        step = 1.0
        while f(x - step * q) > f(x) - 1e-4 * step * (g @ q):
            step *= 0.5
        new = x - step * q
        new_g = slope(new)
        history = [*history, (new - x, new_g - g)][-memory:]
        x, g = new, new_g
    return x


def attention(params, tokens):
    """One causal self-attention layer with two heads and a residual, and its mean log probability of the next token."""
    x = params["embedding"][tokens]
    length, width = x.shape
    heads = 2
    q, k, v = (np.swapaxes((x @ params[name]).reshape(length, heads, -1), 0, 1) for name in ("q", "k", "v"))
    scores = q @ np.swapaxes(k, 1, 2) / np.sqrt(width / heads)
    scores = np.where(np.tri(length, dtype=bool), scores, -1e9)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    x = x + (weights @ v).swapaxes(0, 1).reshape(length, width) @ params["o"]
    logits = x @ params["embedding"].T
    logs = logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))
    return np.mean(np.take_along_axis(logs[:-1], tokens[1:, None], axis=1))


def adam(weights, inputs, labels, rate, steps):
    """Logistic regression trained by Adam with hand-written gradients; `weights` is trained in place. The last loss."""
    m, v = np.zeros_like(weights), np.zeros_like(weights)
    for t in range(1, steps + 1):
        p = sigmoid(inputs @ weights)
        g = inputs.T @ (p - labels) / len(labels)
        m *= 0.9
        m += 0.1 * g
        v *= 0.99
        v += 0.01 * g**2
        weights -= rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
    p = sigmoid(inputs @ weights)
    return -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p))
