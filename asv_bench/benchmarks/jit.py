"""Compiled functions: fused expressions on a million numbers, the cost of a call, the first call."""

from __future__ import annotations

import numpy as np

import npdiff

from .workloads import FUSED, WORKLOADS


class Fused:
    """Value and gradient of fused expressions."""

    params = (FUSED,)
    param_names = ("workload",)

    def setup(self, workload: str) -> None:
        self.function, arguments, *_ = WORKLOADS[workload]
        (self.x,) = arguments()
        self.eager = npdiff.value_and_grad(self.function)
        self.value = npdiff.jit(self.function)
        self.gradient = npdiff.jit(npdiff.value_and_grad(self.function))
        for _ in range(2):  # the first call records, the second compiles
            self.value(self.x)
            self.gradient(self.x)

    def time_numpy_value(self, workload: str) -> None:
        self.function(self.x)

    def time_jit_value(self, workload: str) -> None:
        self.value(self.x)

    def time_eager_gradient(self, workload: str) -> None:
        self.eager(self.x)

    def time_jit_gradient(self, workload: str) -> None:
        self.gradient(self.x)


class Call:
    """What a call of a compiled function costs beside the work: ten numbers, one operation."""

    def setup(self) -> None:
        self.x = np.linspace(0.0, 1.0, 10)
        self.add = npdiff.jit(lambda x: x + 1.0)
        for _ in range(2):
            self.add(self.x)

    def time_numpy(self) -> None:
        self.x + 1.0

    def time_jit(self) -> None:
        self.add(self.x)


class FirstCalls:
    """Recording, compiling and the first replay, where other functions have been compiled before."""

    number = 1
    repeat = 3
    warmup_time = 0.0

    def setup(self) -> None:
        x = np.linspace(0.0, 1.0, 100)
        warm = npdiff.jit(lambda x: np.sum(x * 2.0))
        for _ in range(2):
            warm(x)
        self.x = x
        # Kernels are kept by what they compute: another constant is another kernel.
        constant = float(np.random.default_rng().uniform(1, 2))
        self.fresh = npdiff.jit(npdiff.value_and_grad(lambda x: np.sum(np.exp(-x * x) / (constant + x * x))))

    def time_two_calls(self) -> None:
        self.fresh(self.x)
        self.fresh(self.x)
