"""npdiff: derivatives, vectorisation and compilation for unmodified NumPy code."""

from npdiff.array import DiffArray
from npdiff.dispatch import rows as _rows  # noqa: F401
from npdiff.dispatch.capture import record
from npdiff.transforms.derivatives import (
    elementwise_grad,
    grad,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    linearize,
    value_and_grad,
    vjp,
)
from npdiff.transforms.track import stop_gradient, track
from npdiff.tree import register_container

__version__ = "0.1.0"
__all__ = [
    "DiffArray",
    "elementwise_grad",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "linearize",
    "record",
    "register_container",
    "stop_gradient",
    "track",
    "value_and_grad",
    "vjp",
]
