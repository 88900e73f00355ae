"""The demo: ``python -m npdiff demo``.

Every function that is differentiated or compiled here is plain NumPy; npdiff appears only where a
gradient, a compiled function or a trace is asked for.
"""

from __future__ import annotations

import importlib.util
import inspect
import pathlib
import statistics
import textwrap
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import npdiff

Array = np.ndarray[Any, Any]
Params = dict[str, Array]

EXTRAS = ("sklearn", "matplotlib", "tqdm")
PICTURE = "npdiff-demo.png"
WIDTH = 80


class MissingExtraError(ImportError):
    """The digits part needs packages that are not installed."""


def heading(number: int, title: str) -> None:
    """Print the title of a part."""
    print(f"\n{number}. {title}\n{'-' * (len(title) + 3)}")


def show_source(f: Callable[..., Any]) -> None:
    """Print a function's code, indented."""
    print(textwrap.indent(inspect.getsource(f).rstrip(), "    ") + "\n")


# ---------------------------------------------------------------------- 1. linear regression


def regression_loss(weights: Array, inputs: Array, targets: Array) -> Any:
    return np.sum(np.square(np.matmul(inputs, weights) - targets)) / len(targets)


class Regression(NamedTuple):
    """What gradient descent found."""

    before: float
    after: float
    weights: Array
    true_weights: Array


def regression(steps: int = 200, rate: float = 0.1) -> Regression:
    """Fit a line through noisy points by gradient descent, updating the weights in place."""
    rng = np.random.default_rng(0)
    true_weights = np.array([2.0, -1.0, 0.5])
    inputs = rng.normal(size=(500, 3))
    targets = inputs @ true_weights + 0.01 * rng.normal(size=500)
    gradient_of = npdiff.grad(regression_loss)
    weights = np.zeros(3)
    before = float(regression_loss(weights, inputs, targets))
    for _ in range(steps):
        gradient = gradient_of(weights, inputs, targets)
        weights -= rate * gradient
    return Regression(before, float(regression_loss(weights, inputs, targets)), weights, true_weights)


# ---------------------------------------------------------------------- 2. a trace


def wave(x: Any) -> Any:
    return np.sin(x) * x


def traces() -> None:
    """Print what a function does, and what its gradient does."""
    print(">>> npdiff.print_trace(wave)(2.0)")
    npdiff.print_trace(wave)(2.0)
    print("\n>>> npdiff.print_trace(npdiff.grad(wave))(2.0)")
    npdiff.print_trace(npdiff.grad(wave))(2.0)


# ---------------------------------------------------------------------- 3. a network that reads digits


def scores_of(params: Params, images: Array) -> Any:
    hidden = np.tanh(images @ params["w1"] + params["b1"])
    return hidden @ params["w2"] + params["b2"]


def digits_loss(params: Params, images: Array, labels: Array) -> Any:
    scores = scores_of(params, images)
    scores = scores - np.max(scores, axis=1, keepdims=True)
    log_total = np.log(np.sum(np.exp(scores), axis=1))
    right = scores[np.arange(len(labels)), labels]
    return np.mean(log_total - right)


class Digits(NamedTuple):
    """Images as rows of 64 numbers in [0, 1], and the digit each shows; a part is held out for testing."""

    images: Array
    labels: Array
    test_images: Array
    test_labels: Array


class Training(NamedTuple):
    """What training gave."""

    params: Params
    losses: list[float]
    accuracy: float
    compiling: float
    plain_step: float
    jit_step: float


def require_extras() -> None:
    """Raise a message that says what to install, if a package of the ``demo`` extra is missing."""
    missing = [name for name in EXTRAS if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"the digits part needs {', '.join(missing).replace('sklearn', 'scikit-learn')}: "
            'python -m pip install "npdiff[demo]"')


def load_digits() -> Digits:
    """Scikit-learn's bundled handwritten digits, shuffled with a fixed seed; a fifth is held out."""
    require_extras()
    import sklearn.datasets

    data = sklearn.datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    images, labels = data.data[order] / 16.0, data.target[order]
    held = len(labels) // 5
    return Digits(images[held:], labels[held:], images[:held], labels[:held])


def first_params(rng: np.random.Generator, hidden: int = 64) -> Params:
    """Random weights, zero biases."""
    return {
        "w1": rng.normal(size=(64, hidden)) / 8.0,
        "b1": np.zeros(hidden),
        "w2": rng.normal(size=(hidden, 10)) / np.sqrt(hidden),
        "b2": np.zeros(10),
    }


def accuracy_of(params: Params, images: Array, labels: Array) -> float:
    """Share of images whose highest score is at their digit."""
    return float(np.mean(np.argmax(scores_of(params, images), axis=1) == labels))


def train(data: Digits, steps: int = 1000, batch: int = 128, rate: float = 0.2, momentum: float = 0.9) -> Training:
    """Stochastic gradient descent with momentum; parameters are updated in place."""
    import tqdm

    rng = np.random.default_rng(1)
    params = first_params(rng)
    velocity = {name: np.zeros_like(p) for name, p in params.items()}
    step = npdiff.jit(npdiff.value_and_grad(digits_loss))
    start = time.perf_counter()
    for _ in range(2):  # the first call records, the second compiles what was recorded
        step(params, data.images[:batch], data.labels[:batch])
    compiling = time.perf_counter() - start
    losses = []
    bar = tqdm.trange(steps, desc="   training", ncols=WIDTH, mininterval=0.2, unit=" steps")
    for _ in bar:
        rows = rng.integers(len(data.labels), size=batch)
        loss, gradient = step(params, data.images[rows], data.labels[rows])
        for name, p in params.items():
            velocity[name] *= momentum
            velocity[name] -= rate * gradient[name]
            p += velocity[name]
        losses.append(float(loss))
        bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    plain_step, jit_step = median_times(
        [npdiff.value_and_grad(digits_loss), step], (params, data.images[:batch], data.labels[:batch]))
    accuracy = accuracy_of(params, data.test_images, data.test_labels)
    return Training(params, losses, accuracy, compiling, plain_step, jit_step)


def median_times(functions: list[Callable[..., Any]], args: tuple[Any, ...], repeats: int = 100) -> list[float]:
    """Median seconds of a call of each function, taking turns so that all meet the same machine."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for f, mine in zip(functions, times, strict=True):
            start = time.perf_counter()
            f(*args)
            mine.append(time.perf_counter() - start)
    return [statistics.median(mine) for mine in times]


def draw(data: Digits, trained: Training, path: pathlib.Path) -> None:
    """Write a picture: the loss curve, and held-out digits with what the network reads in them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ink, accent, wrong, faint = "#222222", "#1f6f8b", "#c0392b", "#b9cdd6"
    figure = Figure(figsize=(10, 4.4), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1, 2, width_ratios=(1.15, 1))
    left, right = figure.add_subfigure(grid[0, 0]), figure.add_subfigure(grid[0, 1])

    losses = np.array(trained.losses)
    axes = left.subplots()
    axes.plot(np.arange(1, len(losses) + 1), losses, color=faint, linewidth=0.8, label="each batch")
    window = max(1, len(losses) // 40)
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    axes.plot(np.arange(window, len(losses) + 1), smooth, color=accent, linewidth=2,
              label=f"mean of {window}" if window > 1 else "loss")
    axes.set_yscale("log")
    axes.set_xlabel("step", color=ink)
    axes.set_ylabel("cross entropy", color=ink)
    axes.set_title("Training loss", color=ink, loc="left", fontweight="bold")
    axes.grid(visible=True, color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)

    guesses = np.argmax(scores_of(trained.params, data.test_images), axis=1)
    good = guesses == data.test_labels
    read = [k for digit in range(10) for k in np.flatnonzero(good & (guesses == digit))[:2]]
    misread = np.flatnonzero(~good)[:4]
    right.suptitle(f"Held-out digits: {trained.accuracy:.1%} read correctly", color=ink, fontweight="bold",
                   fontsize="large")
    cells = list(right.subplots(4, 6).flat)
    for cell in cells:
        cell.set_axis_off()
    for cell, k in zip(cells, [*read, *misread], strict=False):
        cell.imshow(data.test_images[k].reshape(8, 8), cmap="gray_r", interpolation="nearest")
        cell.set_title(f"{guesses[k]}" if good[k] else f"{guesses[k]}, is {data.test_labels[k]}",
                       color=accent if good[k] else wrong, fontsize=9, pad=3)
    figure.savefig(path, dpi=130)


# ---------------------------------------------------------------------- all of it


def print_regression() -> None:
    """Part 1, with its report."""
    heading(1, "Gradient descent on a loss written in plain NumPy")
    show_source(regression_loss)
    fit = regression()
    print(f"   loss before      {fit.before:.6f}")
    print(f"   loss after       {fit.after:.6f}")
    print("   true weights    " + "".join(f"{w:9.4f}" for w in fit.true_weights))
    print("   found weights   " + "".join(f"{w:9.4f}" for w in fit.weights))


def print_digits(steps: int, out: pathlib.Path) -> None:
    """Part 3, with its report."""
    heading(3, "A neural network that reads handwritten digits")
    show_source(digits_loss)
    data = load_digits()
    print("   step = npdiff.jit(npdiff.value_and_grad(digits_loss))")
    print(f"   {len(data.labels)} images to learn from, {len(data.test_labels)} held out", flush=True)
    trained = train(data, steps)
    out.mkdir(parents=True, exist_ok=True)
    path = out / PICTURE
    draw(data, trained, path)
    print(f"   loss               {trained.losses[0]:.4f} -> {np.mean(trained.losses[-20:]):.4f}")
    print(f"   held-out accuracy  {trained.accuracy:.2%}")
    print(f"   median step        {trained.plain_step * 1e3:.3f} ms without jit, "
          f"{trained.jit_step * 1e3:.3f} ms with jit ({trained.plain_step / trained.jit_step:.1f}x)")
    print(f"   compilation        {trained.compiling:.2f} s, once")
    print(f"   picture            {path.resolve()}")


def main(steps: int = 1000, out: pathlib.Path = pathlib.Path(".")) -> int:
    """Run all parts; returns the exit status."""
    print(f"npdiff {npdiff.__version__}")
    print_regression()
    heading(2, "What a function does, line by line, and what its gradient does")
    show_source(wave)
    traces()
    try:
        print_digits(steps, out)
    except MissingExtraError as error:
        print(f"   skipped: {error}")
        return 1
    return 0
