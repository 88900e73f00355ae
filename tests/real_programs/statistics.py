"""Likelihoods and pipelines of statistics, in plain NumPy."""

import math

import numpy as np


def gaussian_process(log_params, x, y):
    """Negative log marginal likelihood of Gaussian process regression with a squared exponential kernel."""
    amplitude, length, noise = np.exp(log_params)
    distance = (x[:, None] - x[None, :]) / length
    covariance = amplitude**2 * np.exp(-0.5 * distance**2) + (noise**2 + 1e-6) * np.eye(len(x))
    factor = np.linalg.cholesky(covariance)
    half = np.linalg.solve(factor, y)
    sign, logdet = np.linalg.slogdet(covariance)
    assert sign > 0
    return 0.5 * np.dot(half, half) + 0.5 * logdet + 0.5 * len(x) * np.log(2 * np.pi)


class KalmanFilter:
    """A filter that keeps state, covariance and log likelihood in its attributes."""

    def __init__(self, transition, observation, process_noise, noise):
        self.F, self.H, self.Q, self.R = transition, observation, process_noise, noise
        self.x = np.zeros(len(transition))
        self.P = np.eye(len(transition))
        self.log_likelihood = 0.0

    def predict(self):
        self.x = self.F @ self.x
        self.P = self.F @ self.P @ self.F.T + self.Q

    def update(self, z):
        innovation = z - self.H @ self.x
        S = self.H @ self.P @ self.H.T + self.R
        gain = np.linalg.solve(S, self.H @ self.P).T
        self.x = self.x + gain @ innovation
        self.P = (np.eye(len(self.x)) - gain @ self.H) @ self.P
        self.log_likelihood -= 0.5 * innovation @ np.linalg.solve(S, innovation)
        self.log_likelihood -= 0.5 * np.log(np.linalg.det(2 * np.pi * S))


def kalman(log_noise, dt, measurements):
    """Negative log likelihood of positions seen by a constant-velocity Kalman filter, and the last state."""
    q, r = np.exp(log_noise)
    transition = np.array([[1.0, dt], [0.0, 1.0]])
    process_noise = q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    tracker = KalmanFilter(transition, np.array([[1.0, 0.0]]), process_noise, r * np.eye(1))
    for z in measurements:
        tracker.predict()
        tracker.update(np.atleast_1d(z))
    return -tracker.log_likelihood, tracker.x


def gaussian_mixture(logits, means, log_scales, data):
    """Negative log likelihood of a mixture of Gaussians with diagonal covariances."""
    weights = logits - np.log(np.sum(np.exp(logits)))
    scaled = (data[:, None, :] - means) * np.exp(-log_scales)
    constant = 0.5 * data.shape[1] * np.log(2 * np.pi)
    logs = weights - 0.5 * np.sum(scaled**2, axis=2) - np.sum(log_scales, axis=1) - constant
    top = logs.max(axis=1, keepdims=True)
    return -np.sum(top[:, 0] + np.log(np.exp(logs - top).sum(axis=1)))


def hidden_markov(transition_logits, emission_logits, observations):
    """Log probability of a sequence of symbols, by the forward algorithm in log space."""
    log_a = transition_logits - np.log(np.sum(np.exp(transition_logits), axis=1, keepdims=True))
    log_b = emission_logits - np.logaddexp.reduce(emission_logits, axis=1, keepdims=True)
    states = len(log_a)
    alpha = np.full(states, -np.log(states)) + log_b[:, observations[0]]
    for symbol in observations[1:]:
        alpha = np.logaddexp.reduce(alpha[:, None] + log_a, axis=0) + log_b[:, symbol]
    return np.logaddexp.reduce(alpha)


def histogram_likelihood(yields, templates, counts):
    """Poisson likelihood of binned counts under a sum of templates (normalised histograms) with free yields."""
    expected = np.zeros(len(counts))
    for k, template in enumerate(templates):
        expected += yields[k] * template / template.sum()
    expected = np.clip(expected, 1e-9, None)
    log_factorials = np.array([math.lgamma(n + 1) for n in counts])
    return np.sum(expected - counts * np.log(expected) + log_factorials)


def weighted_histogram(shift, edges, data):
    """A histogram whose weights depend on a parameter, and the mean it implies."""
    weights = np.exp(-0.5 * (data - shift) ** 2)
    heights, edges = np.histogram(data, bins=edges, weights=weights)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return np.average(centres, weights=heights), heights / heights.sum()


def masked_pipeline(readings, gain, offset):
    """Calibrate, drop outliers by the median, fill gaps by interpolation, and summarise."""
    calibrated = readings * gain + offset
    centre = np.median(calibrated)
    spread = np.median(np.abs(calibrated - centre))
    good = np.abs(calibrated - centre) < 3 * spread
    times = np.arange(len(readings))
    filled = calibrated.copy()
    filled[~good] = np.interp(times[~good], times[good], calibrated[good])
    return {"mean": filled.mean(), "std": calibrated[good].std(ddof=1), "range": np.ptp(filled),
            "quartiles": np.percentile(filled, [25, 75]), "dropped": int(np.count_nonzero(~good))}


def principal_components(data, k):
    """Variance explained by the first k principal components, and the data seen through them."""
    centred = data - data.mean(axis=0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    explained = s[:k] ** 2 / np.sum(s**2)
    return explained, (u[:, :k] * s[:k]) @ vt[:k] + data.mean(axis=0)


def erf(x):
    """The error function by Abramowitz and Stegun's formula 7.1.26."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - poly * np.exp(-x * x))


def black_scholes(spot, strike, volatility, rate, years, is_call):
    """Prices of European options; calls and puts in one array."""
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility**2) * years) / (volatility * np.sqrt(years))
    d2 = d1 - volatility * np.sqrt(years)
    cdf = lambda d: 0.5 * (1 + erf(d / np.sqrt(2)))
    call = spot * cdf(d1) - strike * np.exp(-rate * years) * cdf(d2)
    put = call - spot + strike * np.exp(-rate * years)
    return np.where(is_call, call, put)


def k_means(points, centres, rounds):
    """Lloyd's algorithm: assign by argmin, move centres by fancy indexing; the sum of squared distances."""
    centres = centres.copy()
    for _ in range(rounds):
        distances = ((points[:, None] - centres[None]) ** 2).sum(-1)
        nearest = distances.argmin(axis=1)
        for k in range(len(centres)):
            members = points[nearest == k]
            if len(members):
                centres[k] = members.mean(axis=0)
    return np.sum((points - centres[nearest]) ** 2), centres


class Sensor:
    """Readings of several channels, and how they depend on known targets and drift with time."""

    def __init__(self, readings, times):
        self.readings, self.times = readings, times
        self.response = self.drift = None

    def calibrate(self, targets):
        """Least squares by orthogonal columns, all targets at once; what is left of the first one is drift."""
        design = self.readings - self.readings.mean(axis=0)
        q, r = np.linalg.qr(design)
        self.response = np.linalg.solve(r, q.T @ (targets - targets.mean(axis=0)))
        rest = targets[:, 0] - design @ self.response[:, 0]
        self.drift = np.polynomial.Chebyshev.fit(self.times, rest, 2)
        return self

    def read(self, raw, time):
        return self.drift(time) + raw @ self.response


def calibration(readings, targets, raw, cutoff):
    """What calibrated channels say, their drift's slope, and a solution without the weak directions of the readings."""
    times = np.linspace(0, 2, len(readings))
    sensor = Sensor(readings, times).calibrate(targets)
    strong = np.linalg.pinv(readings * [1.0, 0.5, 0.02], rcond=cutoff) @ targets
    assert 0 < len(sensor.drift.coef) <= 3
    return {"values": sensor.read(raw, 1.3), "slope": sensor.drift.deriv()(0.5), "strong": strong}
