"""What every transform does around the user's function: capture, copies of the arguments, clean exit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from npdiff import core, tree
from npdiff.array import PLAIN, copy_layout
from npdiff.avals import is_differentiable, is_foreign, ndarray
from npdiff.core import Handle, Trace, aval, constant, wrap
from npdiff.errors import ArgumentError, LeakError, behind, message
from npdiff.foreign import adopt, released


class running:
    """While it lasts, a trace is open and NumPy's creation functions are captured."""

    __slots__ = ("trace",)

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def __enter__(self) -> None:
        core.services["enter_capture"](self.trace)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        core.services["exit_capture"]()
        self.trace.close()
        if error is not None:
            hidden = behind(error)
            if hidden is not None:
                raise hidden from error


def own(value: Any) -> Any:
    """The caller's value as a payload: arrays are copied, since transforms never change their arguments."""
    if isinstance(value, Handle):
        value._sync()
        return value._value if value._trace is None else wrap(value._trace, value._value, value._node)
    if type(value) is ndarray:
        return copy_layout(value)
    return adopt(value) if type(value) not in PLAIN and is_foreign(value) else value


def is_array_like(value: Any) -> bool:
    """True for leaves that can be operands: arrays, NumPy scalars, Python numbers, tracked values."""
    return isinstance(value, (Handle, ndarray, np.generic, bool, int, float, complex)) or hasattr(
        value, "__array_function__")


def constants(tree_: Any) -> Any:
    """Arguments that are not differentiated, as handles on copies: the function may write into them."""
    shared: dict[int, Any] = {}

    def one(leaf: Any) -> Any:
        if type(leaf) is not ndarray and not isinstance(leaf, Handle):
            # A library's array stays one, with all that its library can do to it.
            return released(adopt(leaf)) if is_foreign(leaf) else leaf
        if id(leaf) not in shared:
            payload = own(leaf)
            shared[id(leaf)] = payload if isinstance(payload, Handle) else constant(payload)
        return shared[id(leaf)]

    return tree.map_leaves(one, tree_)


def check_argnums(name: str, argnums: Any, count: int) -> tuple[int, ...]:
    """`argnums` as a tuple of valid positions."""
    if type(argnums) is int and 0 <= argnums < count:
        return (argnums,)
    several = isinstance(argnums, (tuple, list))
    numbers = tuple(argnums) if several else (argnums,)
    if not numbers:
        raise ArgumentError(message(f"{name}: argnums is empty", argnums, instead="name at least one position"))
    out = []
    for n in numbers:
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool):
            raise ArgumentError(message(f"{name}: argnums must be an int or a tuple of ints", argnums,
                                        instead="give positions of arguments, counted from 0"))
        if not -count <= n < count:
            raise ArgumentError(message(
                f"{name}: argnums {int(n)} is out of range for a call with {count} positional argument"
                + ("" if count == 1 else "s"),
                instead="pass the argument by position, and count from 0"))
        out.append(int(n) % count)
    if len(set(out)) != len(out):
        raise ArgumentError(message(f"{name}: argnums names an argument twice", argnums,
                                    instead="name each position once"))
    return tuple(out)


def check_input(name: str, leaf: Any, where: str, holomorphic: bool = False) -> None:
    """Raise unless a derivative with respect to this leaf makes sense."""
    if not is_array_like(leaf):
        raise ArgumentError(message(f"{name}: {where} is not an array or a number", leaf,
                                    instead="pass arrays, or register the class with npdiff.register_container"))
    dtype = aval(leaf).dtype
    if dtype.kind == "O":
        raise ArgumentError(message(f"{name}: {where} is an object array, which npdiff cannot record", leaf,
                                    instead="convert it with .astype(float)"))
    if not is_differentiable(dtype):
        raise ArgumentError(message(f"{name}: {where} has dtype {dtype}, and a derivative needs floating point", leaf,
                                    instead="pass floats, such as 3.0 or x.astype(float)"))
    if holomorphic and dtype.kind != "c":
        raise ArgumentError(message(f"{name}: with holomorphic=True {where} must be complex", leaf,
                                    instead="pass x.astype(complex), or leave holomorphic out"))


def check_output(name: str, f: Any, out: Any) -> None:
    """Raise unless a derivative of what the function returned makes sense: arrays and numbers, in containers or not."""
    leaves = tree.leaves(out)
    for leaf in leaves:
        if not is_array_like(leaf):
            raise ArgumentError(message(
                f"{name}: {called(f)} must return arrays or numbers, and returned what is neither", out,
                instead="return other values with has_aux=True" if name in ("jvp", "vjp") else "leave it out"))
        if aval(leaf).dtype.kind not in "biufc":
            raise without_derivative(name, f, leaf)
    if not leaves:
        raise ArgumentError(message(f"{name}: {called(f)} returned nothing to differentiate", out,
                                    instead="return an array or a number (is a return statement missing?)"))


def without_derivative(name: str, f: Any, leaf: Any) -> ArgumentError:
    """The error for a result that holds no numbers."""
    return ArgumentError(message(
        f"{name}: {called(f)} returned an array of dtype {aval(leaf).dtype}, which has no derivative", leaf,
        instead="return an array of floating point: .astype(float), if it holds numbers"))


def called(f: Any) -> str:
    """A function's name, for errors."""
    name = getattr(f, "__name__", "<lambda>")
    return "the function" if name == "<lambda>" else str(name)


class Inputs:
    """The differentiated arguments of one call, flattened, and the call with them replaced."""

    def __init__(self, name: str, argnums: Any, args: Sequence[Any], kwargs: dict[str, Any],
                 holomorphic: bool = False) -> None:
        self.single = not isinstance(argnums, (tuple, list))
        self.numbers = check_argnums(name, argnums, len(args))
        chosen = [args[n] for n in self.numbers]
        self.flat = all([type(a) in tree.leaf_types for a in chosen])  # no containers: nothing to take apart
        self.leaves: list[Any] = chosen
        if not self.flat:
            self.leaves, self.structure = tree.flatten(chosen)
        for k, leaf in enumerate(self.leaves):
            if type(leaf) is ndarray and leaf.dtype.kind == "f" and not holomorphic:
                continue
            where = f"argument {self.numbers[0]}" if len(self.leaves) == 1 else f"leaf {k} of the chosen arguments"
            check_input(name, leaf, where, holomorphic)
        self.leaves = [own(leaf) for leaf in self.leaves]
        others = [] if len(chosen) == len(args) else [a for i, a in enumerate(args) if i not in self.numbers]
        self._others: list[Any] = others
        self._kwargs: dict[str, Any] = kwargs
        if others or kwargs:
            self._others, self._kwargs = constants((others, kwargs))

    def call(self, f: Callable[..., Any], tracked: Sequence[Any]) -> Any:
        """Run the function with the tracked leaves in their places."""
        if not self.flat:
            tracked = tree.unflatten(self.structure, tracked)
        if len(tracked) == 1 and not self._others:
            return f(tracked[0], **self._kwargs)
        chosen = dict(zip(self.numbers, tracked, strict=True))
        rest = iter(self._others)
        count = len(self.numbers) + len(self._others)
        return f(*[chosen[i] if i in chosen else next(rest) for i in range(count)], **self._kwargs)

    def rebuild(self, results: Sequence[Any]) -> Any:
        """One result per leaf, in the containers of the arguments."""
        out = results if self.flat else tree.unflatten(self.structure, results)
        return out[0] if self.single else tuple(out)


def result_of(trace: Trace, value: Any) -> Any:
    """A leaf of the function's result, as the code around the transform sees it."""
    if not isinstance(value, Handle):
        return value
    value._sync()
    t = value._trace
    if t is trace or t is None:
        inside = value._value
        return released(inside) if isinstance(inside, Handle) else inside
    if t.foreign:
        return value._value
    if t.level > trace.level:
        raise LeakError(message("the function returned a value of a transform that has already finished", value,
                                instead="return it from the inner transformed function (has_aux=True)"))
    return wrap(t, value._value, value._node)


def split_aux(name: str, out: Any, has_aux: bool) -> tuple[Any, Any]:
    """The result and the extra value of a function with has_aux=True."""
    if not has_aux:
        return out, None
    if not isinstance(out, tuple) or len(out) != 2:
        raise ArgumentError(message(f"{name}: with has_aux=True the function must return a pair (value, aux)", out,
                                    instead="return value, aux"))
    return out


def strip(trace: Trace, tree_: Any) -> Any:
    """Every leaf of a result as the code around the transform sees it."""
    return tree.map_leaves(lambda leaf: result_of(trace, leaf), tree_)


__all__ = ["Inputs", "called", "check_argnums", "check_input", "check_output", "constants", "is_array_like", "own",
           "result_of", "running", "split_aux", "strip", "without_derivative"]
