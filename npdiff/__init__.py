"""npdiff: derivatives, vectorisation and compilation for unmodified NumPy code."""

from npdiff import cache, config
from npdiff import operators as _operators  # noqa: F401
from npdiff.array import DiffArray
from npdiff.backend.registry import backends
from npdiff.compile import jit
from npdiff.dispatch import rows as _rows  # noqa: F401
from npdiff.dispatch.capture import record
from npdiff.kernels.threads import get_num_threads, set_num_threads
from npdiff.transforms.checkpoint import checkpoint
from npdiff.transforms.custom import custom_jvp, custom_vjp
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
from npdiff.transforms.mapping import vmap
from npdiff.transforms.tracing import make_graph, print_trace
from npdiff.transforms.track import stop_gradient, track
from npdiff.transforms.watch import debug_nans
from npdiff.tree import register_container

__version__ = "0.1.0"
__all__ = [
    "DiffArray",
    "backends",
    "cache",
    "checkpoint",
    "config",
    "custom_jvp",
    "custom_vjp",
    "debug_nans",
    "elementwise_grad",
    "get_num_threads",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "linearize",
    "make_graph",
    "print_trace",
    "record",
    "register_container",
    "set_num_threads",
    "stop_gradient",
    "track",
    "value_and_grad",
    "vjp",
    "vmap",
]
