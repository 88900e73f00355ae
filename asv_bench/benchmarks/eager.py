"""Recording without jit: fifty operations on ten numbers, plain, recorded and differentiated."""

from __future__ import annotations

from typing import Any

import npdiff

from .workloads import WORKLOADS, total, with_numpy


class Chain:
    """The chain of fifty operations in NumPy and npdiff."""

    def setup(self) -> None:
        self.function, arguments, *_ = WORKLOADS["chain"]
        (self.x,) = arguments()
        self.tracked = npdiff.track(self.x)
        self.gradient = npdiff.grad(self.function)
        self.gradient(self.x)

    def time_numpy(self) -> None:
        self.function(self.x)

    def time_record(self) -> None:
        self.function(self.tracked)

    def time_gradient(self) -> None:
        self.gradient(self.x)

    def time_forward_derivative(self) -> None:
        npdiff.jvp(self.function, (self.x,), (self.x,))


class ChainAutograd:
    """The same in autograd."""

    def setup(self) -> None:
        try:
            import autograd
            import autograd.numpy as autograd_numpy
        except ImportError as error:
            raise NotImplementedError("autograd is not installed") from error
        function, arguments, *_ = WORKLOADS["chain"]
        (self.x,) = arguments()
        self.gradient = autograd.grad(with_numpy(function, autograd_numpy))
        self.gradient(self.x)

    def time_gradient(self) -> None:
        self.gradient(self.x)


class Gradient:
    """Gradients of the workloads without jit."""

    params = (tuple(WORKLOADS),)
    param_names = ("workload",)

    def setup(self, workload: str) -> None:
        function, arguments, *_ = WORKLOADS[workload]
        self.args: tuple[Any, ...] = arguments()
        self.function = function
        self.gradient = npdiff.grad(total(function))
        self.gradient(*self.args)

    def time_numpy_value(self, workload: str) -> None:
        self.function(*self.args)

    def time_gradient(self, workload: str) -> None:
        self.gradient(*self.args)
