"""What a function reads besides its arguments: closure cells and globals.

A jitted function must see today's value of everything it closes over. Arrays found there become
inputs of the graph: recording runs a *clone* of the function, whose cells and globals hold tracked
stand-ins, so that ``W * 2`` is recorded even where it meets no argument. Everything else found there
is watched: if it is another object (or another number) at a later call, the recording does not apply.
The original function, its cells and its modules are never touched.
"""

from __future__ import annotations

import builtins
import dis
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.avals import PYTHON_NUMBERS, ndarray
from npdiff.core import Handle

# Functions of these packages are not looked into: what they close over is their own affair.
_LIBRARIES = frozenset(["numpy", "scipy", "numba", "llvmlite", "sklearn", "matplotlib", "pandas", "jax", "builtins"])
# Modules whose functions give another answer at each call, unseen by the recording.
_IMPURE = frozenset(["random", "time", "datetime", "secrets", "uuid", "os", "io", "input", "open"])
# Assigning these of an array is recorded.
_ARRAY_ATTRIBUTES = frozenset(["shape", "dtype", "real", "imag", "flat"])
_MISSING = object()

Getter = Callable[[], Any]


class Place:
    """One thing outside that the function reads: how to read it, and what it was when recorded."""

    __slots__ = ("expected", "get", "label")

    def __init__(self, label: str, get: Getter, expected: Any) -> None:
        self.label = label
        self.get = get
        self.expected = expected

    def unchanged(self) -> bool:
        """True if it is still what was recorded."""
        return _same(self.get(), self.expected)


class ArrayPlace(Place):
    """An array outside (or a container of arrays): an input of the graph, read at each call."""

    __slots__ = ()

    def arrays(self) -> list[Any] | None:
        """The arrays there now, None if what is there has changed its kind, shapes or dtypes."""
        leaves, structure = tree.flatten(self.get())
        old_leaves, old_structure = tree.flatten(self.expected)
        if structure != old_structure:
            return None
        found = []
        for now, old in zip(leaves, old_leaves, strict=True):
            if type(old) is ndarray:
                if type(now) is not ndarray or now.shape != old.shape or now.dtype != old.dtype:
                    return None
                found.append(now)
            elif not _same(now, old):
                return None
        return found


class ContentPlace(Place):
    """An array reached through an attribute: its content is compared, since it cannot be replaced by a stand-in."""

    __slots__ = ("copy",)

    def __init__(self, label: str, get: Getter, expected: Any) -> None:
        super().__init__(label, get, expected)
        self.copy = expected.copy()

    def unchanged(self) -> bool:
        now = self.get()
        return (type(now) is ndarray and now.shape == self.copy.shape and now.dtype == self.copy.dtype
                and bool(np.array_equal(now, self.copy, equal_nan=now.dtype.kind in "fc")))


def _same(now: Any, old: Any) -> bool:
    if now is old:
        return True
    if type(now) is not type(old):
        return False
    if isinstance(old, (*PYTHON_NUMBERS, str, bytes, np.generic)):
        return bool(now == old) or bool(now != now and old != old)
    if isinstance(old, (tuple, list)):
        return len(now) == len(old) and all(_same(a, b) for a, b in zip(now, old, strict=True))
    if isinstance(old, dict):
        return now.keys() == old.keys() and all(_same(now[k], v) for k, v in old.items())
    return False


def _holds_arrays(value: Any) -> bool:
    if type(value) is ndarray:
        return value.dtype.kind in "biufc"
    if isinstance(value, (dict, list, tuple)) and not isinstance(value, Handle):
        return any(_holds_arrays(v) for v in tree.leaves(value) if v is not value)
    return False


def _package(f: Any) -> str:
    return (getattr(f, "__module__", None) or "").partition(".")[0]


class Environment:
    """Everything a function reads from outside, and a clone of it that reads stand-ins instead."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.places: list[Place] = []
        self.array_places: list[ArrayPlace] = []
        self.blocked: list[str] = []
        self.generators: list[tuple[str, np.random.Generator, Any]] = []
        self._functions: dict[int, types.FunctionType] = {}
        self._globals: dict[int, dict[str, Any]] = {}
        self._stand_ins: dict[int, Any] = {}
        self._seen: set[tuple[int, str]] = set()
        self._scan(f, "")
        self.root = f

    # ------------------------------------------------------------------ scanning

    def _scan(self, f: Any, label: str) -> None:
        if isinstance(f, functools.partial):
            self._scan(f.func, label)
            self._note(f"{label}arguments of partial", lambda: (f.args, f.keywords), (f.args, f.keywords))
            return
        if isinstance(f, types.MethodType):
            self._scan(f.__func__, label)
            self._scan_object(f.__self__, f.__func__.__code__.co_varnames[:1], f.__func__.__code__, label)
            return
        if not isinstance(f, types.FunctionType):
            call = getattr(type(f), "__call__", None)  # noqa: B004 (the function itself is wanted)
            if isinstance(call, types.FunctionType) and _package(type(f)) not in _LIBRARIES:
                self._scan(types.MethodType(call, f), label)
            return
        if id(f) in self._functions or _package(f) in _LIBRARIES:
            return
        self._functions[id(f)] = f
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._note(f"{label}{name}", lambda cell=cell: _cell(cell), _cell(cell))  # type: ignore[misc]
        for k, default in enumerate(f.__defaults__ or ()):
            if type(default) is ndarray:
                self._note(f"{label}default {k}", lambda f=f, k=k: f.__defaults__[k], default)  # type: ignore[misc]
        if _package(f) == "npdiff":
            return  # transforms keep the user's function in a cell; their globals are npdiff's own
        for name, chains in _global_reads(f.__code__).items():
            value = f.__globals__.get(name, _MISSING)
            if value is _MISSING:
                if name in _IMPURE and hasattr(builtins, name):
                    self.blocked.append(f"{f.__name__} calls {name}()")
                continue
            self._note(name, lambda g=f.__globals__, n=name: g.get(n, _MISSING), value, chains)  # type: ignore[misc]
        for kind, name in _outside_stores(f.__code__):
            self.blocked.append(f"{f.__name__} assigns the {kind} {name}")

    def _scan_object(self, obj: Any, names: tuple[str, ...], code: types.CodeType, label: str) -> None:
        for chain in _attribute_chains(code, names[0] if names else "self"):
            self._chain(f"{label}{names[0] if names else 'self'}", lambda: obj, chain)

    def _note(self, label: str, get: Getter, value: Any, chains: set[tuple[str, ...]] = frozenset()) -> None:  # type: ignore[assignment]
        if (id(value), label) in self._seen:
            return
        self._seen.add((id(value), label))
        if isinstance(value, np.random.Generator):
            self.generators.append((label, value, value.bit_generator.state))
        if isinstance(value, types.ModuleType):
            if value.__name__ in _IMPURE:
                self.blocked.append(f"{label} is read, whose answers differ from call to call")
            if value.__name__.partition(".")[0] not in _LIBRARIES | {"npdiff", "math"}:
                for chain in chains:
                    self._chain(label, get, chain)
        elif _holds_arrays(value):
            self.array_places.append(ArrayPlace(label, get, value))
            return
        elif callable(value) and not isinstance(value, type):
            self._scan(value, f"{label}.")
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            for chain in chains:
                self._chain(label, get, chain)
        if callable(value) and getattr(value, "__module__", "") in _IMPURE:
            self.blocked.append(f"{label} is called, whose answers differ from call to call")
        self.places.append(Place(label, get, _frozen(value)))

    def _chain(self, label: str, get: Getter, chain: tuple[str, ...]) -> None:
        def read() -> Any:
            value = get()
            for name in chain:
                value = getattr(value, name, _MISSING)
            return value

        value = read()
        text = ".".join((label, *chain))
        if value is _MISSING or isinstance(value, (types.MethodType, types.BuiltinMethodType)):
            return
        if isinstance(value, np.random.Generator):
            self.generators.append((text, value, value.bit_generator.state))
        if type(value) is ndarray:
            if value.dtype.kind in "biufc":
                self.places.append(ContentPlace(text, read, value))
        elif isinstance(value, types.FunctionType):
            self._scan(value, text + ".")
            self.places.append(Place(text, read, value))
        elif not isinstance(value, type):
            for k, leaf in enumerate(tree.leaves(value) if isinstance(value, (dict, list, tuple)) else ()):
                if type(leaf) is ndarray:
                    self.places.append(ContentPlace(f"{text}[{k}]", lambda k=k: _leaf(read(), k), leaf))  # type: ignore[misc]
            self.places.append(Place(text, read, _frozen(value)))

    # ------------------------------------------------------------------ cloning

    def clone(self, stand_ins: dict[int, Any], extra_globals: dict[str, Any]) -> Callable[..., Any]:
        """The function reading `stand_ins` (by id of the original value) in place of what it closes over."""
        self._stand_ins = stand_ins
        self._extra = extra_globals
        self._clones: dict[int, Any] = {}
        self._globals = {}
        return self._copy(self.root)  # type: ignore[no-any-return]

    def _copy(self, value: Any) -> Any:
        if id(value) in self._stand_ins:
            return self._stand_ins[id(value)]
        if isinstance(value, functools.partial):
            return functools.partial(self._copy(value.func), *value.args, **value.keywords)
        if isinstance(value, types.MethodType) and id(value.__func__) in self._functions:
            return types.MethodType(self._copy(value.__func__), value.__self__)
        if id(value) not in self._functions:
            return value
        if id(value) in self._clones:
            return self._clones[id(value)]
        f = self._functions[id(value)]
        cells = tuple(types.CellType() for _ in f.__closure__ or ())
        new = types.FunctionType(f.__code__, self._copied_globals(f), f.__name__, f.__defaults__, cells or None)
        self._clones[id(value)] = new
        if f.__defaults__:
            new.__defaults__ = tuple([self._copy(d) for d in f.__defaults__])
        new.__kwdefaults__ = f.__kwdefaults__
        new.__module__, new.__qualname__ = f.__module__, f.__qualname__
        for old, cell in zip(f.__closure__ or (), cells, strict=True):
            held = _cell(old)
            if held is not _MISSING:
                cell.cell_contents = self._copy(held)
        return new

    def _copied_globals(self, f: types.FunctionType) -> dict[str, Any]:
        if _package(f) == "npdiff":
            return f.__globals__
        known = self._globals.get(id(f.__globals__))
        if known is None:
            known = self._globals[id(f.__globals__)] = {**f.__globals__, **{
                k: v for k, v in self._extra.items() if k not in f.__globals__}}
        for name in _global_reads(f.__code__):
            if name in f.__globals__ and known.get(name) is f.__globals__[name]:
                known[name] = self._copy(f.__globals__[name])
        return known

    # ------------------------------------------------------------------ afterwards

    def tracked(self) -> bool:
        """True if values of a running transform are among what the function reads: then it is a part of that."""
        return any(isinstance(leaf, Handle) for p in [*self.places, *self.array_places]
                   for leaf in tree.leaves(p.expected))

    def disturbed(self) -> list[str]:
        """What recording changed outside, which replaying would not change."""
        out = [f"{p.label} was changed by the function" for p in self.places if not p.unchanged()]
        out += [f"the random generator {label} advanced: pass it as an argument of a function that is not jitted, or "
                "use np.random" for label, g, state in self.generators if g.bit_generator.state != state]
        return out

    def unchanged(self) -> bool:
        """True if everything outside, arrays apart, is as it was when recorded."""
        return all(p.unchanged() for p in self.places)


def _frozen(value: Any) -> Any:
    """A container as it is now; later changes to it must show."""
    if isinstance(value, (list, tuple)) and not isinstance(value, Handle):
        return type(value)([_frozen(v) for v in value]) if type(value) in (list, tuple) else value
    return {k: _frozen(v) for k, v in value.items()} if type(value) is dict else value


def _leaf(value: Any, k: int) -> Any:
    leaves = tree.leaves(value) if isinstance(value, (dict, list, tuple)) else []
    return leaves[k] if k < len(leaves) else _MISSING


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _codes(const)


@functools.lru_cache(maxsize=512)
def _global_reads(code: types.CodeType) -> dict[str, set[tuple[str, ...]]]:
    """Global names that code reads, each with the attribute chains read from it."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for c in _codes(code):
        name: str | None = None
        chain: tuple[str, ...] = ()
        for ins in dis.get_instructions(c):
            if ins.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                name, chain = ins.argval, ()
                found.setdefault(ins.argval, set())
            elif ins.opname in ("LOAD_ATTR", "LOAD_METHOD") and name is not None:
                chain = (*chain, ins.argval)
                found[name].add(chain)
            elif ins.opname not in ("CACHE", "PUSH_NULL"):
                name = None
    return found


@functools.lru_cache(maxsize=512)
def _attribute_chains(code: types.CodeType, first: str) -> frozenset[tuple[str, ...]]:
    """Attribute chains read from a local name (``self.weights``)."""
    found: set[tuple[str, ...]] = set()
    for c in _codes(code):
        chain: tuple[str, ...] | None = None
        for ins in dis.get_instructions(c):
            if ins.opname.startswith("LOAD_FAST") or ins.opname == "LOAD_DEREF":
                argval = ins.argval if isinstance(ins.argval, tuple) else (ins.argval,)
                chain = () if argval[-1] == first else None
            elif ins.opname in ("LOAD_ATTR", "LOAD_METHOD") and chain is not None:
                chain = (*chain, ins.argval)
                found.add(chain)
            elif ins.opname not in ("CACHE", "PUSH_NULL"):
                chain = None
    return frozenset(found)


@functools.lru_cache(maxsize=512)
def _outside_stores(code: types.CodeType) -> tuple[tuple[str, str], ...]:
    """Global and nonlocal names and attributes that code assigns."""
    found = set()
    for c in _codes(code):
        for ins in dis.get_instructions(c):
            if ins.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                found.add(("global", ins.argval))
            elif (ins.opname in ("STORE_DEREF", "DELETE_DEREF") and ins.argval in c.co_freevars
                  and ins.argval in code.co_freevars):
                found.add(("nonlocal", ins.argval))
            elif ins.opname in ("STORE_ATTR", "DELETE_ATTR") and ins.argval not in _ARRAY_ATTRIBUTES:
                found.add(("attribute", ins.argval))
    return tuple(sorted(found))
