"""Simulations: grids, particles, differential equations, in plain NumPy."""

import numpy as np


def spectral_step(u, viscosity, dt, steps):
    """Burgers' equation on a circle: derivatives by FFT, integrating factor for the viscous term; u is advanced."""
    n = len(u)
    k = 2 * np.pi * np.fft.rfftfreq(n, d=1 / n)
    decay = np.exp(-viscosity * k**2 * dt)
    for _ in range(steps):
        u_hat = np.fft.rfft(u)
        flux = 0.5j * k * np.fft.rfft(u * u)
        flux[n // 3:] = 0  # dealiasing
        u[:] = np.fft.irfft((u_hat - dt * flux) * decay, n)
    return 0.5 * np.mean(u**2)


def adaptive_ode(y, params, end, tolerance=1e-4):
    """The Lotka-Volterra equations by Bogacki and Shampine's pair, with a step that adapts in a while loop."""

    def f(y):
        a, b, c, d = params
        prey, predators = y
        return np.array([a * prey - b * prey * predators, d * prey * predators - c * predators])

    t, h = 0.0, 0.1
    while t < end:
        h = min(h, end - t)
        k1 = f(y)
        k2 = f(y + h / 2 * k1)
        k3 = f(y + 3 * h / 4 * k2)
        new = y + h * (2 * k1 + 3 * k2 + 4 * k3) / 9
        k4 = f(new)
        error = h * np.max(np.abs(-5 * k1 / 72 + k2 / 12 + k3 / 9 - k4 / 8))
        if error <= tolerance:
            t += h
            y = new
        if error < tolerance / 10:
            h *= 2
        elif error > tolerance:
            h /= 2
    return y


def ising_energy(field, spins, coupling):
    """Energy of soft spins on a torus, with neighbours by np.roll, and the local fields."""
    neighbours = sum(np.roll(spins, shift, axis) for shift in (1, -1) for axis in (0, 1))
    local = coupling * neighbours + field
    return -np.sum(spins * (0.5 * coupling * neighbours + field)), np.tanh(local)


def fluid_step(velocity, pressure, dt, viscosity):
    """One step of flow in a lid-driven cavity, with boundaries written in place; both arrays are advanced."""
    n = pressure.shape[0]
    h = 1.0 / (n - 1)
    u, v = velocity
    un, vn = u.copy(), v.copy()

    divergence = np.zeros((n, n))
    divergence[1:-1, 1:-1] = ((u[1:-1, 2:] - u[1:-1, :-2]) + (v[2:, 1:-1] - v[:-2, 1:-1])) / (2 * h * dt)
    for _ in range(2):
        p = pressure.copy()
        pressure[1:-1, 1:-1] = 0.25 * (p[1:-1, 2:] + p[1:-1, :-2] + p[2:, 1:-1] + p[:-2, 1:-1]
                                       - h * h * divergence[1:-1, 1:-1])
        pressure[:, -1] = pressure[:, -2]
        pressure[:, 0] = pressure[:, 1]
        pressure[0] = pressure[1]
        pressure[-1] = 0.0

    for w, wn, gradient in ((u, un, pressure[1:-1, 2:] - pressure[1:-1, :-2]),
                            (v, vn, pressure[2:, 1:-1] - pressure[:-2, 1:-1])):
        inner = wn[1:-1, 1:-1]
        w[1:-1, 1:-1] -= dt / h * (un[1:-1, 1:-1] * (inner - wn[1:-1, :-2]) + vn[1:-1, 1:-1] * (inner - wn[:-2, 1:-1]))
        w[1:-1, 1:-1] -= dt / (2 * h) * gradient
        w[1:-1, 1:-1] += viscosity * dt / h**2 * (
            wn[1:-1, 2:] + wn[1:-1, :-2] + wn[2:, 1:-1] + wn[:-2, 1:-1] - 4 * inner)
    u[0], u[:, 0], u[:, -1], u[-1] = 0.0, 0.0, 0.0, 1.0
    v[0], v[-1], v[:, 0], v[:, -1] = 0.0, 0.0, 0.0, 0.0
    return np.sum(u**2 + v**2)


def n_body(positions, velocities, masses, dt, steps):
    """Gravity between particles with plain loops and leapfrog; both arrays are advanced. The total energy."""

    def accelerations():
        out = np.zeros_like(positions)
        for i in range(len(masses)):
            for j in range(len(masses)):
                if i != j:
                    d = positions[j] - positions[i]
                    out[i] += masses[j] * d / (d @ d + 0.01) ** 1.5
        return out

    a = accelerations()
    for _ in range(steps):
        velocities += 0.5 * dt * a
        positions += dt * velocities
        a = accelerations()
        velocities += 0.5 * dt * a
    energy = 0.5 * np.sum(masses[:, None] * velocities**2)
    for i, j in zip(*np.triu_indices(len(masses), 1), strict=True):
        energy -= masses[i] * masses[j] / np.sqrt(np.sum((positions[i] - positions[j]) ** 2) + 0.01)
    return energy


def heat_rod(conductivity, source, steps):
    """Implicit heat conduction with an own tridiagonal solver (Thomas' algorithm), element by element."""
    n = len(source)
    temperature = np.zeros(n)
    lower, upper = -conductivity[:-1], -conductivity[1:]
    diagonal = 1.0 + conductivity[:-1] + conductivity[1:]
    for _ in range(steps):
        c, d = np.empty(n), np.empty(n)
        right = temperature + source
        c[0], d[0] = upper[0] / diagonal[0], right[0] / diagonal[0]
        for i in range(1, n):
            pivot = diagonal[i] - lower[i] * c[i - 1]
            c[i] = upper[i] / pivot
            d[i] = (right[i] - lower[i] * d[i - 1]) / pivot
        temperature[-1] = d[-1]
        for i in range(n - 2, -1, -1):
            temperature[i] = d[i] - c[i] * temperature[i + 1]
    return temperature
