"""Numerical recipes as they are written with loops over rows, elements and slices, updating arrays in place."""

import numpy as np


def cholesky_in_place(a):
    """The lower factor, written over the matrix it is of."""
    n = len(a)
    for i in range(n):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[j, :j]
            a[i, j] /= a[j, j]
        a[i, i] -= np.dot(a[i, :i], a[i, :i])
        a[i, i] = np.sqrt(a[i, i])
    return np.tril(a)


def eliminate(a, b):
    """Factor in place without pivots, then solve forwards and backwards."""
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            a[i, j] = (a[i, j] - a[i, :j] @ a[:j, j]) / a[j, j]
        for j in range(i, n):
            a[i, j] -= a[i, :i] @ a[:i, j]
    y = np.zeros_like(b)
    for i in range(n):
        y[i] = b[i] - a[i, :i] @ y[:i]
    x = np.zeros_like(b)
    for i in range(n - 1, -1, -1):
        x[i] = (y[i] - a[i, i + 1:] @ x[i + 1:]) / a[i, i]
    return x


def orthogonalise(a):
    """Gram and Schmidt, column after column."""
    q, r = np.zeros_like(a), np.zeros((a.shape[1], a.shape[1]), dtype=a.dtype)
    for k in range(a.shape[1]):
        r[k, k] = np.sqrt(np.dot(a[:, k], a[:, k]))
        q[:, k] = a[:, k] / r[k, k]
        for j in range(k + 1, a.shape[1]):
            r[k, j] = np.dot(q[:, k], a[:, j])
            a[:, j] -= q[:, k] * r[k, j]
    return q, r


def levinson(r):
    """The Yule-Walker equations by recursion, with a reversed slice in each step."""
    y = np.empty_like(r)
    alpha, beta = -r[0], 1.0
    y[0] = -r[0]
    for k in range(1, r.shape[0]):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] + np.dot(np.flip(r[:k]), y[:k])) / beta
        y[:k] += alpha * np.flip(y[:k])
        y[k] = alpha
    return y


def smooth_in_order(a, sweeps):
    """Averages of nine neighbours, each seeing those already replaced."""
    for _ in range(sweeps):
        for i in range(1, a.shape[0] - 1):
            a[i, 1:-1] += a[i - 1, :-2] + a[i - 1, 1:-1] + a[i - 1, 2:] + a[i, 2:] + a[i + 1, :-2] + a[i + 1, 1:-1]
            a[i, 1:-1] += a[i + 1, 2:]
            for j in range(1, a.shape[1] - 1):
                a[i, j] = (a[i, j] + a[i, j - 1]) / 9.0
    return np.sum(a * a)


def relax_two_grids(a, b, steps):
    """Two arrays that take turns at being the old one."""
    for _ in range(steps):
        b[1:-1, 1:-1] = 0.2 * (a[1:-1, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] + a[2:, 1:-1] + a[:-2, 1:-1])
        a[1:-1, 1:-1] = 0.2 * (b[1:-1, 1:-1] + b[1:-1, :-2] + b[1:-1, 2:] + b[2:, 1:-1] + b[:-2, 1:-1])


def waves(ex, ey, hz, source):
    """Maxwell's equations in a plane, on staggered grids."""
    for pulse in source:
        ey[0, :] = pulse
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return hz


def implicit_sweeps(u, rate):
    """Alternating directions: a tridiagonal system along each row, then along each column."""
    n = u.shape[0]
    v, p, q = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
    for grid in (u, u.T):
        v[:, 0] = 1.0
        p[:, 0], q[:, 0] = 0.0, v[:, 0]
        for j in range(1, n - 1):
            p[1:-1, j] = rate / (1.0 + 2.0 * rate - rate * p[1:-1, j - 1])
            inner = rate * grid[:-2, j] + (1.0 - 2.0 * rate) * grid[1:-1, j] + rate * grid[2:, j]
            q[1:-1, j] = (inner + rate * q[1:-1, j - 1]) * p[1:-1, j] / rate
        v[:, -1] = 1.0
        for j in range(n - 2, -1, -1):
            v[1:-1, j] = p[1:-1, j] * v[1:-1, j + 1] + q[1:-1, j]
        grid[1:-1, 1:-1] = v[1:-1, 1:-1]
    return u


def recursive_filter(image, alpha):
    """Two passes of a second-order filter over each row, one from either side."""
    gain = (1.0 - np.exp(-alpha)) ** 2 / (1.0 + 2.0 * alpha * np.exp(-alpha) - np.exp(2.0 * alpha))
    b1, b2 = 2.0 ** (-alpha), -np.exp(-2.0 * alpha)
    left, right = np.empty_like(image), np.empty_like(image)
    left[:, 0] = gain * image[:, 0]
    left[:, 1] = gain * image[:, 1] + b1 * left[:, 0]
    for j in range(2, image.shape[1]):
        left[:, j] = gain * image[:, j] + b1 * left[:, j - 1] + b2 * left[:, j - 2]
    right[:, -1] = 0.0
    right[:, -2] = gain * image[:, -1]
    for j in range(image.shape[1] - 3, -1, -1):
        right[:, j] = gain * image[:, j + 1] + b1 * right[:, j + 1] + b2 * right[:, j + 2]
    return left + right


def shortest_paths(lengths):
    """All pairs, by letting paths pass through one more place at a time."""
    for k in range(lengths.shape[0]):
        lengths[:] = np.minimum(lengths, np.add.outer(lengths[:, k], lengths[k, :]))
    return np.sum(lengths)


def triangular_products(alpha, beta, a, b, c):
    """Rank-k updates of one triangle, and products with the other."""
    for i in range(a.shape[0]):
        c[i, : i + 1] *= beta
        for k in range(a.shape[1]):
            c[i, : i + 1] += a[: i + 1, k] * alpha * b[i, k] + b[: i + 1, k] * alpha * a[i, k]
    for i in range(b.shape[0]):
        for j in range(b.shape[1]):
            b[i, j] += np.dot(c[i + 1:, i], b[i + 1:, j])
    b *= alpha
    return c


def correlations(data):
    """Standardise in place, then fill both halves of a matrix."""
    deviation = np.std(data, axis=0)
    deviation[deviation <= 0.1] = 1.0
    data -= np.mean(data, axis=0)
    data /= np.sqrt(data.shape[0]) * deviation
    out = np.eye(data.shape[1], dtype=data.dtype)
    for i in range(data.shape[1] - 1):
        out[i + 1:, i] = out[i, i + 1:] = data[:, i] @ data[:, i + 1:]
    return out


def vertical_advection(velocity, field, dt):
    """A tridiagonal solver along the last axis, its coefficients made level by level."""
    levels = field.shape[-1]
    upper, right = np.zeros_like(field), np.zeros_like(field)
    for k in range(levels):
        above = -0.25 * velocity[..., k + 1] if k + 1 < levels else 0.0
        below = 0.25 * velocity[..., k] if k else 0.0
        middle = 1.0 / dt - above - below
        rhs = field[..., k] / dt
        if k:
            middle = middle - below * upper[..., k - 1]
            rhs = rhs - below * right[..., k - 1]
        upper[..., k] = above / middle
        right[..., k] = rhs / middle
    out = np.empty_like(field)
    out[..., -1] = right[..., -1]
    for k in range(levels - 2, -1, -1):
        out[..., k] = right[..., k] - upper[..., k] * out[..., k + 1]
    return out


def limited_diffusion(field, coefficient):
    """Fluxes of a Laplacian, cut to zero where they go uphill."""
    lap = 4.0 * field[1:-1, 1:-1] - field[2:, 1:-1] - field[:-2, 1:-1] - field[1:-1, 2:] - field[1:-1, :-2]
    flux = lap[1:, 1:-1] - lap[:-1, 1:-1]
    flux = np.where(flux * (field[2:-1, 2:-2] - field[1:-2, 2:-2]) > 0, 0, flux)
    return field[2:-2, 2:-2] - coefficient * (flux[1:] - flux[:-1])


def escape_times(real, imaginary, bound, steps):
    """Points drop out of the arrays once they are too far away."""
    c = real[:, None] + 1j * imaginary
    z, rows, columns = np.zeros_like(c), *np.indices(c.shape)
    distance = np.zeros(c.shape)
    z, c, rows, columns = (a.reshape(-1) for a in (z, c, rows, columns))
    for _ in range(steps):
        z = z * z + c
        stays = np.abs(z) <= bound
        gone = ~stays
        distance[rows[gone], columns[gone]] = np.log(np.abs(z[gone]))
        z, c, rows, columns = z[stays], c[stays], rows[stays], columns[stays]
    return distance


def radix_transform(x, radix):
    """A Fourier transform by reshapes and transpositions, digit by digit."""
    n = x.shape[0]
    digits = round(np.log(n) / np.log(radix))
    i, j = np.mgrid[0:radix, 0:radix]
    small = np.exp(-2j * np.pi * i * j / radix)
    y = x + 0j
    for k in range(digits):
        y = y.reshape(radix**k, radix, radix ** (digits - k - 1)).transpose(1, 0, 2).copy()
        turn = np.exp(-2j * np.pi * i[:, :1] * np.arange(radix**k) / radix ** (k + 1))
        y *= turn[:, :, None]
        y = np.einsum("ab,bcd->acd", small, y).reshape(n)
    return np.abs(y) ** 2


def radial_profile(image, radius, bins):
    """Means over rings, by two histograms of which one is weighted."""
    edges = np.histogram(radius, bins)[1]
    counts = np.histogram(radius, bins=edges)[0]
    sums = np.histogram(radius, bins=edges, weights=image)[0]
    return sums / np.maximum(counts, 1)


def sparse_product(pointers, columns, values, x):
    """A matrix in compressed rows."""
    out = np.empty(pointers.size - 1, dtype=values.dtype)
    for i in range(out.size):
        at = slice(pointers[i], pointers[i + 1])
        out[i] = values[at] @ x[columns[at]]
    return out


def pooled_network(images, kernel, bias, weights):
    """Convolution by shifted windows, rectified, pooled, and a softmax."""
    batch, height, width, _ = images.shape
    size = kernel.shape[0]
    out = np.empty((batch, height - size + 1, width - size + 1, kernel.shape[3]), dtype=images.dtype)
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            window = images[:, i: i + size, j: j + size, :, np.newaxis]
            out[:, i, j, :] = np.sum(window * kernel[np.newaxis], axis=(1, 2, 3))
    out = np.maximum(out + bias, 0)
    pooled = np.empty((batch, out.shape[1] // 2, out.shape[2] // 2, out.shape[3]), dtype=out.dtype)
    for i in range(pooled.shape[1]):
        for j in range(pooled.shape[2]):
            pooled[:, i, j] = np.max(out[:, 2 * i: 2 * i + 2, 2 * j: 2 * j + 2], axis=(1, 2))
    scores = pooled.reshape(batch, -1) @ weights
    shifted = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return shifted / np.sum(shifted, axis=-1, keepdims=True)


def scatter_energies(green, gradient, neighbours):
    """Small matrix products summed into slots that an index array names."""
    out = np.zeros(green.shape, dtype=green.dtype)
    for a in range(neighbours.shape[0]):
        for b in range(neighbours.shape[1]):
            other = neighbours[a, b]
            product = green[:, other] @ gradient[a, b]
            out[:, a] += product @ gradient[a, b].T
    return out


def great_circles(latitude, longitude):
    """Distances on a sphere between neighbours of a track."""
    there = np.stack([latitude, longitude])
    step = there[:, 1:] - there[:, :-1]
    a = np.sin(step[0] / 2) ** 2 + np.cos(latitude[:-1]) * np.cos(latitude[1:]) * np.sin(step[1] / 2) ** 2
    return 2 * np.arctan2(np.sqrt(a), np.sqrt(1 - a))


def contour_moments(matrix, points):
    """Projections on an eigenspace by a sum of resolvents around it."""
    n = matrix.shape[0]
    zeroth, first = np.zeros((n, n), dtype=complex), np.zeros((n, n), dtype=complex)
    for z in points:
        resolvent = np.linalg.inv(z * np.eye(n) - matrix)
        zeroth += resolvent * z
        first += resolvent * z * z
    return zeroth.real / len(points), first.imag / len(points)
