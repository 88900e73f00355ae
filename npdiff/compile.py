"""npdiff.jit: a function compiled for this CPU, or for another backend and its arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.backend.contract import Backend, Compiler, OwnArrays, Placement, own_arrays
from npdiff.backend.cpu import CPU
from npdiff.backend.registry import find
from npdiff.backend.single import InSingle, narrow
from npdiff.core import services
from npdiff.errors import ArgumentError, message
from npdiff.jit import MAX_QUICKENED, Call, Entry, Jitted
from npdiff.replay import Recording


class JittedElsewhere(Jitted):
    """A function made by `npdiff.jit` for another backend than the CPU."""

    def __init__(self, f: Callable[..., Any], backend: Backend, mesh: Any = None, in_shardings: Any = None,
                 out_shardings: Any = None, single: bool = False) -> None:
        super().__init__(f, backend)
        self.single = single
        self.mesh = mesh
        self.in_shardings = in_shardings
        self.out_shardings = out_shardings

    def _options(self) -> tuple[Any, ...]:
        return (self.backend.name, self.mesh, self.in_shardings, self.out_shardings, self.single)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given, own = self._stand_ins((args, kwargs))
        if own is None:
            return super().__call__(*args, **kwargs)
        token = own_arrays.set(own)
        try:
            out = super().__call__(*given[0], **given[1])
        finally:
            own_arrays.reset(token)
            own.store()
        # Not all devices hold float64: results that stay there are as they were computed.
        single = self.single
        return tree.map_leaves(lambda x: own.result(narrow(x) if single and id(x) not in own else x), out)

    def _stand_ins(self, arguments: Any) -> tuple[Any, OwnArrays | None]:
        """The arguments with ndarrays for the backend's own arrays, if there are any."""
        leaves, structure = tree.flatten(arguments)
        places = [k for k, leaf in enumerate(leaves) if self.backend.is_array(leaf)]
        if not places:
            return arguments, None
        own = self.backend.own([leaves[k] for k in places])
        for k, stand_in in zip(places, own.stand_ins, strict=True):
            leaves[k] = stand_in
        return tree.unflatten(structure, leaves), own

    def _run(self, args: Any, kwargs: Any) -> Any:
        own = own_arrays.get()
        if own is not None:
            own.fill()
        return super()._run(args, kwargs)

    def _record(self, *what: Any) -> Any:
        own = own_arrays.get()
        if own is not None:
            own.fill()
        return super()._record(*what)

    def _filled(self, arguments: Any) -> Any:
        """The arguments with filled stand-ins, to look at."""
        given, own = self._stand_ins(arguments)
        if own is not None:
            own.fill()
        return given

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """The text given to the compiler for a call with these arguments; f is run on copies of them."""
        given = self._filled((args, kwargs))
        made = self._recorded(*given[0], **given[1])
        self._choose(made, given[0])
        return made.compiled().text()

    def _looked_at(self, args: Any, kwargs: Any) -> tuple[Entry, Call]:
        given = self._filled((args, kwargs))
        return super()._looked_at(*given)

    def _choose(self, made: Recording, args: Sequence[Any]) -> None:
        made.compiler = (InSingle if self.single else Compiler)(self.backend, self._placement(made, args))
        made.compiled().prepare()  # now: what the backend cannot do is an error of the first call, not of the second

    def _quicken(self, made: Recording, path: Any) -> None:
        made.quickened = MAX_QUICKENED  # fast paths are written for ndarrays

    def _placement(self, made: Recording, args: Sequence[Any]) -> Placement | None:
        if self.mesh is None:
            return None
        specs = _per_argument(self.in_shardings, len(args), "in_shardings", "arguments")
        inputs: list[Any] = []
        for arg, spec in zip(args, specs, strict=True):
            inputs += [spec] * sum(self._is_operand(leaf) for leaf in tree.leaves(arg))
        inputs += [None] * (len(made.graph.inputs) - len(inputs))
        if self.out_shardings is None:
            return Placement(self.mesh, tuple(inputs))
        leaves = _per_argument(self.out_shardings, len(made.outputs), "out_shardings", "results")
        outputs: list[Any] = [None] * len(made.graph.outputs)
        for spec, output in zip(leaves, made.outputs, strict=True):
            if output.how in ("array", "scalar", "number"):
                outputs[output.index] = spec
        return Placement(self.mesh, tuple(inputs), tuple(outputs))


def _per_argument(specs: Any, count: int, name: str, what: str) -> Sequence[Any]:
    """One partition per argument or result: a tuple or list says each, anything else holds for all."""
    if type(specs) not in (tuple, list):
        return [specs] * count
    if len(specs) != count:
        raise ArgumentError(message(f"jit: {name} has {len(specs)} entries for {count} {what}", specs,
                                    instead="give one PartitionSpec (or None: whole on each device) for each"))
    return list(specs)


def jit(f: Callable[..., Any], backend: str | None = None, *, dtype: Any = None, mesh: Any = None,
        in_shardings: Any = None, out_shardings: Any = None) -> Jitted:
    """Make f run from compiled kernels: same results, same writes, same random stream, faster.

    The first call with arguments of new types and shapes runs f once and records what it does; further calls run
    the recording, fused into kernels. Where Python decided on a value (``if x > 0``), the recording holds a guard;
    another outcome is recorded as another path. Arrays that f closes over are read at each call.

    Parameters
    ----------
    f
        Any function written with NumPy. Arrays and Python or NumPy numbers are inputs (2 and 3 share a compilation,
        2 and 2.0 do not); any other argument is part of the signature by value.
    backend
        What runs it: ``"cpu"`` (fused kernels for this processor), ``"cuda"`` (an NVIDIA card: fused kernels, and
        CuPy; arrays in CUDA memory in, CuPy arrays out) or ``"tpu"`` (whatever JAX runs on: TPU, GPU or CPU; jax
        arrays in, jax arrays out). None: the environment variable NPDIFF_BACKEND, or the CPU. `npdiff.backends()`
        says what is available.
    dtype
        ``"float32"``: what NumPy computes in float64 and complex128 is computed in float32 and complex64, on processors
        without float64 (a TPU) or slow in it. NumPy's results keep their dtypes, arrays on the device stay in single
        precision; integers are as ever, and so is the first call, which NumPy computes. None: NumPy's own dtypes.
    mesh
        With ``"tpu"``: a `jax.sharding.Mesh` of devices to share the work between.
    in_shardings, out_shardings
        How arrays are cut over the mesh: a `jax.sharding.PartitionSpec` or None (whole on each device), or a tuple
        with one for each positional argument, or for each leaf of the result. Without ``out_shardings`` the compiler
        chooses.

    Returns
    -------
    A function with the same signature, and four methods: ``explain(*args)`` says what happens in a call,
    ``profile(*args)`` times its steps, ``picture(*args)`` draws what is fused, ``lower(*args)`` gives its graph (on
    ``"cuda"`` the source of its kernels, on ``"tpu"`` its StableHLO text). It can be differentiated, mapped and jitted
    again.

    Raises
    ------
    ArgumentError
        If f is not callable, there is no such backend or dtype, or shardings do not fit the arguments.
    BackendError
        If the backend cannot run here (the error says what to install), or cannot run this function.

    Otherwise nothing that f would not raise itself; what cannot be recorded runs unjitted, said once by a JitWarning.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> f = npdiff.jit(lambda x: np.sum(np.exp(-x ** 2)))
    >>> x = np.linspace(0.0, 1.0, 5)
    >>> bool(np.isclose(f(x), np.sum(np.exp(-x ** 2)))), bool(np.isclose(f(2 * x), np.sum(np.exp(-4 * x ** 2))))
    (True, True)
    """
    chosen = find(backend)
    if not chosen.shards and (mesh is not None or in_shardings is not None or out_shardings is not None):
        raise ArgumentError(message(f"jit: the backend {chosen.name!r} has no mesh of devices",
                                    instead="use backend='tpu', or leave mesh= and the shardings away"))
    if mesh is None and (in_shardings is not None or out_shardings is not None):
        raise ArgumentError(message("jit: shardings need the mesh that they cut arrays over",
                                    instead="give mesh=jax.sharding.Mesh(devices, names)"))
    single = dtype is not None and _single(dtype)
    return Jitted(f) if chosen is CPU and not single else JittedElsewhere(
        f, chosen, mesh, in_shardings, out_shardings, single)


def _single(dtype: Any) -> bool:
    try:
        if np.dtype(dtype) == np.float32:
            return True
    except TypeError:
        pass
    raise ArgumentError(message("jit: dtype= is no dtype to compute float64 in", dtype,
                                instead="give dtype='float32', or leave it away for NumPy's own"))


def _again(f: Callable[..., Any], backend: str, mesh: Any = None, ins: Any = None, outs: Any = None,
           single: bool = False) -> Jitted:
    return jit(f, backend, dtype="float32" if single else None, mesh=mesh, in_shardings=ins, out_shardings=outs)


services["jit"] = _again

__all__ = ["JittedElsewhere", "jit"]
