"""What a function reads besides its arguments, and a copy of that world for it to be recorded in.

A jitted function must see today's value of everything it reaches: closure cells, globals, defaults,
the object a method belongs to, and what hangs on these. Recording runs an *image* of the function,
whose cells, globals, containers and objects are copies: arrays in them are tracked stand-ins, so that
``W * 2`` is recorded even where it meets no argument, and whatever the function changes there, it
changes in the image. Nothing outside is touched, so a run that cannot be replayed is simply forgotten.

A tree of `Reading` remembers what was found. At a later call it walks the same way again: arrays are
collected as inputs of the graph, everything else must be what it was, or the recording does not apply.
"""

from __future__ import annotations

import enum
import functools
import importlib.util
import operator
import os
import random
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from npdiff.avals import PYTHON_NUMBERS, is_foreign, ndarray
from npdiff.bytecode import attribute_names, global_names, imported_names, outside_stores
from npdiff.core import Handle
from npdiff.dispatch.capture import original_of, stand_in_of
from npdiff.outside import data, inside, moving, stored, unseen

# Functions of these packages are not looked into: what they hold is their own affair.
_LIBRARIES = frozenset(["numpy", "scipy", "numba", "llvmlite", "sklearn", "matplotlib", "pandas", "jax", "builtins",
                        "functools", "collections", "operator", "math", "cmath", "itertools", "typing", "abc",
                        "contextlib", "threading", "logging", "re", "enum", "dataclasses", "copy", "warnings", "sys"])
_VALUES = (*PYTHON_NUMBERS, str, bytes, np.generic, range, slice, frozenset)
_MISSING = object()
# What runs tests and notebooks.
_TOOLS = frozenset(["pytest", "_pytest", "pluggy", "IPython", "ipykernel"])
# Where the functions live that have effects.
_EFFECTS = frozenset(["random", "time", "builtins", "posix", "nt", "_io", "io", "numpy.random", None])
# Packages whose objects have more in them than attributes.
_COMPARED = _LIBRARIES | (sys.stdlib_module_names - {"__main__", "types", "argparse"})
# A world with more things in it is not one that a function means to read.
_LARGEST = 20_000

_BASES: tuple[type[Any], ...] = (list, tuple, dict, set)
# Containers that recordings get copies of.
COPIED = (list, dict, OrderedDict, defaultdict, set, deque, Counter)


class Get(NamedTuple):
    """How to get from a thing to one that it holds: a function, and what the fast path (quick.py) knows of it.

    `kind` says where the part is held: "cell", "global", "state" (of an object), "class", "attribute", "item" (`key`
    says which), or "stable" (always the same for the same thing), or "" (anything else).
    """

    look: Callable[[Any], Any]
    kind: str = ""
    key: Any = None


class Reading:
    """One thing outside: what it was when recorded, and the things it holds.

    `sort` says what shows that it is unchanged: "identity" (that it is the same object), "object" and "class" (that,
    and the names of its attributes), or "same" (the function of this name, which is true for others, too).
    """

    __slots__ = ("parts", "same", "sort", "what")

    def __init__(self, what: str, same: Callable[[Any], bool], sort: str = "identity") -> None:
        self.what = what
        self.same = same
        self.sort = sort
        self.parts: list[tuple[Get, Reading]] = []

    def collect(self, now: Any, arrays: list[Any]) -> str:
        """Add the arrays there now to `arrays`; the name of the first thing that is no longer as recorded, or ""."""
        if not self.same(now):
            return self.what or "an argument"
        for get, reading in self.parts:
            changed = reading.collect(get.look(now), arrays)
            if changed:
                return changed
        return ""


class ArrayReading(Reading):
    """An array outside: an input of the graph, read at each call."""

    __slots__ = ()

    def collect(self, now: Any, arrays: list[Any]) -> str:
        if not self.same(now):
            return self.what or "an argument"
        arrays.append(now)
        return ""


def _layout_of(old: np.ndarray[Any, Any]) -> Callable[[Any], bool]:
    shape, dtype, strides, writeable = old.shape, old.dtype, old.strides, old.flags.writeable
    return lambda now: (type(now) is ndarray and now.shape == shape and now.dtype == dtype and now.strides == strides
                        and now.flags.writeable == writeable)


def _content_of(old: np.ndarray[Any, Any]) -> Callable[[Any], bool]:
    copy = old.copy()
    layout = _layout_of(old)
    nan = old.dtype.kind in "fc"
    return lambda now: layout(now) and bool(np.array_equal(now, copy, equal_nan=nan))


def _value_of(old: Any) -> Callable[[Any], bool]:
    kind = type(old)
    return lambda now: now is old or (type(now) is kind and (bool(now == old) or bool(now != now and old != old)))


def _is_named(value: Any) -> bool:
    """True for named tuples, which are made from their items one by one."""
    return isinstance(value, tuple) and hasattr(type(value), "_fields")


def _is(old: Any) -> Callable[[Any], bool]:
    return lambda now: now is old


def _package(thing: Any) -> str:
    home = getattr(thing, "__module__", None)
    return home.partition(".")[0] if isinstance(home, str) else ""  # classes of classes may give a descriptor


def _outside_packages(value: Any) -> bool:
    """True for functions and modules of the interpreter, and for all of what runs tests and notebooks."""
    if isinstance(value, types.FunctionType):
        return _home(value) in _TOOLS | (sys.stdlib_module_names - {"__main__"})
    home = value.__name__ if isinstance(value, types.ModuleType) else type(value).__module__
    return str(home).partition(".")[0] in _TOOLS


def _home(f: types.FunctionType) -> str:
    """The package in which a function was written (functools.wraps changes its ``__module__``)."""
    return str(f.__globals__.get("__name__", "")).partition(".")[0]


def _slots(value: Any) -> list[str]:
    names: list[str] = []
    for c in type(value).__mro__:
        listed = c.__dict__.get("__slots__", ())
        names += [listed] if isinstance(listed, str) else listed
    return [n for n in names if n not in ("__dict__", "__weakref__")]


def _state(value: Any) -> dict[str, Any]:
    """Attributes that an object itself holds."""
    return {**getattr(value, "__dict__", {}), **{n: getattr(value, n) for n in _slots(value) if hasattr(value, n)}}


def _can_be_copied(value: Any) -> bool:
    """True for objects of the user's plain classes, whose attributes can be copied one by one."""
    kind = type(value)
    return _package(kind) not in _COMPARED and hasattr(value, "__dict__") and not _slots(value) and all(
        c is object or _package(c) not in _LIBRARIES - {"abc", "typing"} for c in kind.__mro__)


class Environment:
    """Everything that `roots` (the function, and arguments that are objects) read, and an image of it.

    Attributes
    ----------
    blocked
        Why the function cannot be recorded at all; found before it is run.
    tracked
        True if a value of a running transform was found: the function is then part of that transform.
    absent
        Modules that the function imports while it runs, and that nobody has imported yet.
    arrays
        The arrays outside, in the order in which `collect` finds them.
    """

    def __init__(self, roots: Sequence[Any]) -> None:
        self.blocked: list[str] = []
        self.tracked = False
        self.absent: list[str] = []
        self._size = 0
        self.arrays: list[Any] = []
        self.labels: list[str] = []
        self._generators: list[tuple[str, Callable[[], Any], Callable[[Any], None], Any]] = []
        self._known: dict[int, Any] = {}
        self._contents: set[int] = set()
        self._readings = [self._read(root, "", False) for root in roots]
        self._roots = list(roots)

    # ------------------------------------------------------------------ reading

    def collect(self, roots: Sequence[Any]) -> list[Any] | None:
        """The arrays outside as they are now; None if anything else there has changed."""
        arrays: list[Any] = []
        for reading, root in zip(self._readings, roots, strict=True):
            if reading.collect(root, arrays):
                return None
        return arrays

    def walk(self, roots: Sequence[Any]) -> list[tuple[Reading, Any]]:
        """Each root's reading, beside the root."""
        return list(zip(self._readings, roots, strict=True))

    def way_to(self, value: Any) -> Callable[[], Any]:
        """How to find, at a later call, what stands where this container stood when it was read."""

        def search(reading: Reading, now: Any, way: tuple[Get, ...]) -> tuple[Get, ...] | None:
            if now is value:
                return way
            found = (search(part, get.look(now), (*way, get)) for get, part in reading.parts)
            return next((w for w in found if w is not None), None)

        for reading, root in zip(self._readings, self._roots, strict=True):
            way = search(reading, root, ())
            if way is not None:
                return functools.partial(functools.reduce, lambda at, get: get.look(at), way, root)
        return lambda: value

    def changed(self) -> str:
        """The name of the first thing outside that is no longer as it was; "" if there is none."""
        looked = (reading.collect(root, []) for reading, root in zip(self._readings, self._roots, strict=True))
        return next(filter(None, looked), "")

    def _read(self, value: Any, what: str, contents: bool) -> Reading:
        """Look at a value; with `contents` it cannot be copied, so that arrays in it are compared, not replaced."""
        kind = type(value)
        self._size += 1
        if self._size == _LARGEST:
            self.blocked.append(f"it reaches more than {_LARGEST} things from outside, the last of them {what}")
        if self._size >= _LARGEST:
            return Reading(what, _is(value))
        if isinstance(value, Handle):
            self.tracked = True
            return Reading(what, _is(value))
        if kind is ndarray and value.dtype.kind in "biufc":
            if contents:
                return Reading(what, _content_of(value), "same")
            self.arrays.append(value)
            self.labels.append(what)
            return ArrayReading(what, _layout_of(value))
        if isinstance(value, _VALUES) or value is None:
            return Reading(what, _value_of(value))
        made = Reading(what, _is(value))
        if is_foreign(value):
            self.blocked.append(f"it reads {what}, an array of {_package(kind)}")
            return made
        if stand_in_of(value) is not None:
            if contents and stand_in_of(value).__module__ in _EFFECTS:
                self.blocked.append(f"a method reads {what}, which a recording cannot watch there")
            return made
        why = moving(value, _can_be_copied(value))
        if why:
            self.blocked.append(f"it reads {what}, {why}")
            return made
        look = inside(value)
        if look is None and _outside_packages(value):
            return made
        seen = self._contents if contents else self._known
        if id(value) in seen:
            return made
        if contents:
            self._contents.add(id(value))
        self._known.setdefault(id(value), value)
        if look is not None:
            self._part(made, Get(look), look(value), what, True)
        elif isinstance(value, types.MethodType):
            function, obj = value.__func__, value.__self__
            made.same = lambda now: type(now) is types.MethodType and now.__func__ is function
            self._known.pop(id(value), None)  # made anew at each look
            self._part(made, Get(lambda now: now.__self__, "stable"), obj, what, contents)
            self._part(made, Get(lambda now: now.__func__, "stable"), function, what, contents)
        elif isinstance(value, functools.partial):
            for name in ("func", "args", "keywords"):
                get = Get(operator.attrgetter(name), "attribute", name)
                self._part(made, get, getattr(value, name), what, contents)
        elif kind in (tuple, *COPIED) or _is_named(value):
            self._read_container(made, value, what, contents)
        elif isinstance(value, types.FunctionType):
            self._read_function(made, value, what, contents)
        elif isinstance(value, types.ModuleType):
            self._read_module(made, lambda now: now, value, what, {()}, frozenset())
        elif isinstance(value, np.random.Generator):
            bits = value.bit_generator
            self._generators.append((what, lambda: bits.state, lambda old: setattr(bits, "state", old), bits.state))
        elif isinstance(value, np.random.RandomState):
            self._generators.append((what, value.get_state, value.set_state, value.get_state()))
        elif isinstance(value, random.SystemRandom):
            self.blocked.append(f"it reads {what}, a random generator without a state")
        elif isinstance(value, random.Random):
            self._generators.append((what, value.getstate, value.setstate, value.getstate()))
        elif isinstance(value, type):
            if _package(value) not in _LIBRARIES | {"npdiff"}:
                self._read_class(made, value)
        elif _inner_function(value) is not None:
            self._part(made, Get(_inner_function), _inner_function(value), what, contents)
        elif isinstance(value, enum.Enum):
            pass
        elif (hasattr(value, "__dict__") or _slots(value)) and _package(kind) not in _COMPARED:
            self._read_object(made, value, what, contents or not _can_be_copied(value))
        else:
            same = stored(value)
            if isinstance(same, str):
                self.blocked.append(f"it reads {what}, {same}")
            elif same is not None:
                return Reading(what, same, "same")
        return made

    def _part(self, whole: Reading, get: Get, value: Any, what: str, contents: bool) -> None:
        whole.parts.append((get, self._read(value, what, contents)))

    def _read_container(self, made: Reading, value: Any, what: str, contents: bool) -> None:
        kind = type(value)
        self._known.pop(id(value), None) if kind is tuple else None
        made.sort = "identity" if isinstance(value, tuple) else "same"
        if isinstance(value, dict):
            keys = list(value)
            made.same = lambda now: type(now) is kind and list(now) == keys
            for key in keys:
                self._part(made, Get(operator.itemgetter(key), "item", key), value[key], f"{what}[{key!r}]", contents)
            return
        if kind is set:
            old = set(value)
            made.same = lambda now: type(now) is set and now == old
            return
        size = len(value)
        made.same = lambda now: type(now) is kind and len(now) == size
        for k in range(size):
            get = Get(operator.itemgetter(k), "stable" if isinstance(value, tuple) else "item", k)
            self._part(made, get, value[k], f"{what}[{k}]", contents)

    def _read_function(self, made: Reading, f: types.FunctionType, what: str, contents: bool) -> None:
        if _home(f) in _LIBRARIES:
            return
        label = f"{what}." if what else ""
        reached: list[Any] = []
        for k, name in enumerate(f.__code__.co_freevars):
            get = Get(lambda now, k=k: _cell(now.__closure__[k]), "cell", k)  # type: ignore[misc]
            held = _cell((f.__closure__ or ())[k])
            self._part(made, get, held, label + name, contents)
            reached.append(held)
            if isinstance(held, types.ModuleType):
                self._read_module(made, get.look, held, name, {()}, attribute_names(f.__code__))
        for name in ("__code__", "__defaults__", "__kwdefaults__"):
            get = Get(operator.attrgetter(name), "attribute", name)
            self._part(made, get, getattr(f, name), label + name, contents)
        self._read_attributes(made, lambda now: now, f, attribute_names(f.__code__))
        if _home(f) == "npdiff":
            return  # transforms keep the user's function in a cell; their globals are npdiff's own
        self.blocked += [f"{f.__name__} assigns the {kind} name {name}" for kind, name in outside_stores(f.__code__)]
        for name, chains in global_names(f.__code__).items():
            value = f.__globals__.get(name, _MISSING)
            if value is _MISSING:
                continue
            reached.append(value)
            get = Get(lambda now, name=name: now.__globals__.get(name, _MISSING), "global", name)  # type: ignore[misc]
            if isinstance(value, types.ModuleType):
                made.parts.append((get, Reading(name, _is(value))))
                self._read_module(made, get.look, value, name, chains, attribute_names(f.__code__))
            else:
                self._part(made, get, value, name, contents)
            if isinstance(value, types.FunctionType):
                self._read_attributes(made, get.look, value, frozenset(c[0] for c in chains if c))
        for name in imported_names(f.__code__):
            self._read_imported(made, f, name)
            reached += [sys.modules[n] for n in (name, name.partition(".")[0]) if n in sys.modules]
        why = unseen(f, reached)
        if why:
            self.blocked.append(why)

    def _read_attributes(self, made: Reading, look: Callable[[Any], Any], f: types.FunctionType,
                         names: frozenset[str]) -> None:
        """What was hung on a function, as far as code mentions it."""
        for name in sorted(names & vars(f).keys()):
            get = Get(lambda now, name=name: getattr(look(now), name, _MISSING))  # type: ignore[misc]
            self._part(made, get, vars(f)[name], f"{f.__name__}.{name}", True)

    def _read_imported(self, made: Reading, f: types.FunctionType, name: str) -> None:
        """A module that a function imports while it runs: it, and the packages it is in."""
        full = importlib.util.resolve_name(name, f.__globals__.get("__package__") or "") if name[0] == "." else name
        if full.partition(".")[0] in _LIBRARIES | sys.stdlib_module_names | {"npdiff"} and full != "os":
            return
        if full not in sys.modules:
            self.absent.append(full)
            return
        parts = full.split(".")
        for k in range(1, len(parts) + 1):
            at = ".".join(parts[:k])
            look = lambda _now, at=at: sys.modules.get(at)
            self._read_module(made, look, sys.modules[at], at, {()}, attribute_names(f.__code__))

    def _read_module(self, made: Reading, look: Callable[[Any], Any], module: types.ModuleType, what: str,
                     chains: set[tuple[str, ...]], names: frozenset[str]) -> None:
        """What code reads from a module that `look` finds: what `chains` lead to, or all where the module is taken."""
        package = module.__name__.partition(".")[0]
        if package in _LIBRARIES | {"npdiff"}:
            return
        ways: dict[str, set[tuple[str, ...]]] = {}
        for chain in chains:
            if chain and chain[0] != "__dict__":
                ways.setdefault(chain[0], set()).add(chain[1:])
            elif package not in sys.stdlib_module_names:
                ways |= {key: {()} for key in data(module, names) if key not in ways}
            elif module is os:
                ways["environ"] = {()}
        for key in sorted(ways):
            held = getattr(module, key, _MISSING)
            if held is _MISSING:
                continue
            get = Get(lambda now, key=key: getattr(look(now), key, _MISSING))  # type: ignore[misc]
            if isinstance(held, types.ModuleType):
                made.parts.append((get, Reading(f"{what}.{key}", _is(held))))
                self._read_module(made, get.look, held, f"{what}.{key}", ways[key], names)
            else:
                self._part(made, get, held, f"{what}.{key}", True)

    def _read_object(self, made: Reading, value: Any, what: str, contents: bool) -> None:
        label = what or type(value).__name__
        state = _state(value)
        made.same = lambda now: now is value and _state(now).keys() == state.keys()
        made.sort = "object" if hasattr(value, "__dict__") and not _slots(value) else "same"
        for key, held in state.items():
            get = Get(lambda now, key=key: _state(now)[key], "state" if made.sort == "object" else "", key)  # type: ignore[misc]
            self._part(made, get, held, f"{label}.{key}", contents)
        kind = type(value)
        base = next((b for b in _BASES if isinstance(value, b)), None)
        if base is not None:  # a class made from a container: the items are compared
            self._part(made, Get(base), base(value), f"the items of {label}", True)
        for cls in kind.__mro__:
            if _package(cls) in _LIBRARIES | {"npdiff"}:
                continue
            self._part(made, Get(lambda now, cls=cls: cls, "stable"), cls, cls.__name__, True)  # type: ignore[misc]

    def _read_class(self, made: Reading, cls: type) -> None:
        keys = set(vars(cls))
        made.same = lambda now: now is cls and set(vars(now)) == keys
        made.sort = "class"
        for key, held in vars(cls).items():
            if key.startswith("__") and not callable(held):
                continue
            inner = _unbound(held)
            if isinstance(inner, (types.FunctionType, ndarray, list, dict, tuple, *_VALUES)):
                get = Get(lambda now, key=key: _unbound(vars(now)[key]), "class", key)  # type: ignore[misc]
                self._part(made, get, inner, f"{cls.__name__}.{key}", True)
        for above in (*cls.__bases__, type(cls)):
            self._part(made, Get(lambda now, above=above: above, "stable"), above, above.__name__, True)  # type: ignore[misc]

    # ------------------------------------------------------------------ the image

    def image(self, stand_ins: dict[int, Any]) -> Image:
        """A copy of the world in which arrays are `stand_ins` (by id)."""
        return Image(self._known, stand_ins)

    def put_back(self) -> list[str]:
        """Generators that advanced while recording, put back to where they were."""
        out = []
        for what, get, put, state in self._generators:
            if not _same_state(get(), state):
                put(state)
                out.append(f"the random generator {what} advanced, which a recording cannot repeat; np.random.normal "
                           "and the other functions of np.random can be recorded")
        return out

    def disturbed(self) -> list[str]:
        """What recording changed outside after all, in things that could not be copied."""
        out = []
        for reading, root in zip(self._readings, self._roots, strict=True):
            changed = reading.collect(root, [])
            if changed:
                out.append(f"it changes {changed}")
        return out


class Image:
    """Copies of functions, containers and objects, made when asked for, each once."""

    def __init__(self, known: dict[int, Any], stand_ins: dict[int, Any]) -> None:
        self._known = known
        self._done: dict[int, Any] = dict(stand_ins)
        self._cells: dict[int, types.CellType] = {}
        self._globals: dict[int, dict[str, Any]] = {}
        # Copies that the function may change, and what each held: (what it is, how to look, what was seen)
        self._watched: list[tuple[str, Callable[[], Any], Any]] = []

    def of(self, value: Any) -> Any:
        """The image of a value: the value itself where there is nothing to copy."""
        found = self._done.get(id(value), _MISSING)
        if found is not _MISSING:
            return found
        kind = type(value)
        if stand_in_of(value) is not None:
            return stand_in_of(value)
        if isinstance(value, types.MethodType):
            obj = self.of(value.__self__)
            return types.MethodType(self.of(value.__func__), obj)
        if kind is tuple:
            return tuple([self.of(v) for v in value])
        if id(value) not in self._known:
            return value
        if isinstance(value, functools.partial):
            return functools.partial(self.of(value.func), *[self.of(a) for a in value.args],
                                     **{k: self.of(v) for k, v in value.keywords.items()})
        if _is_named(value):
            return kind(*[self.of(v) for v in value])
        if kind in COPIED:
            return self._container(value)
        if isinstance(value, types.FunctionType):
            return self._function(value) if _home(value) not in _LIBRARIES else value
        if _inner_function(value) is not None:
            return self.of(_inner_function(value))
        if isinstance(value, (enum.Enum, type)) or _package(kind) in _LIBRARIES:
            return value
        if _can_be_copied(value):
            return self._object(value)
        return value

    def original(self, value: Any) -> Any:
        """What a value is the image of; the value itself if it is none."""
        found = next((self._known[k] for k, v in self._done.items() if v is value and k in self._known), value)
        return original_of(found)

    def changed(self) -> list[str]:
        """What the function changed in its world."""
        return [f"it changes {what}" for what, look, old in self._watched if not _identical(look(), old)]

    def _watch(self, what: str, look: Callable[[], Any]) -> None:
        self._watched.append((what, look, look()))

    def _container(self, value: Any) -> Any:
        kind = type(value)
        new: Any
        if isinstance(value, dict):
            new = self._done[id(value)] = kind(value.default_factory) if isinstance(value, defaultdict) else kind()
            dict.update(new, ((k, self.of(v)) for k, v in value.items()))
            self._watch(f"a {kind.__name__}", lambda: list(new.items()))
        elif kind in (list, deque):
            new = self._done[id(value)] = deque(maxlen=value.maxlen) if kind is deque else []
            new.extend(self.of(v) for v in value)
            self._watch(f"a {kind.__name__}", lambda: list(new))
        else:
            new = self._done[id(value)] = set(value)
            self._watch("a set", lambda: sorted(map(id, new)))
        return new

    def _object(self, value: Any) -> Any:
        kind = type(value)
        new = self._done[id(value)] = object.__new__(kind)
        vars(new).update((k, self.of(v)) for k, v in vars(value).items())
        self._watch(f"an object of class {kind.__name__}", lambda: list(vars(new).items()))
        return new

    def _function(self, f: types.FunctionType) -> Any:
        cells = tuple([self._cells.setdefault(id(c), types.CellType()) for c in f.__closure__ or ()])
        known = f.__globals__
        if _home(f) != "npdiff":
            known = self._globals.setdefault(id(f.__globals__), dict(f.__globals__))
        new = types.FunctionType(f.__code__, known, f.__name__, None, cells or None)
        self._done[id(f)] = new
        new.__defaults__ = self.of(f.__defaults__)
        new.__kwdefaults__ = self.of(f.__kwdefaults__)
        new.__module__, new.__qualname__ = f.__module__, f.__qualname__
        vars(new).update(vars(f))
        self._watch(f"attributes of {f.__name__}", lambda: list(vars(new).items()))
        for old, cell in zip(f.__closure__ or (), cells, strict=True):
            held = _cell(old)
            if held is not _MISSING and _cell(cell) is _MISSING:
                cell.cell_contents = self.of(held)
        if known is not f.__globals__:
            for name in global_names(f.__code__):
                if name in f.__globals__:
                    known[name] = self.of(f.__globals__[name])
        return new


# Where the classes of jitted functions live.
_JITTED = ("npdiff.jit", "npdiff.compile")


def _inner_function(value: Any) -> Any:
    """The function inside a wrapper that adds no meaning of its own: a jitted or memoised function, a static method."""
    if isinstance(value, (functools._lru_cache_wrapper, staticmethod)):
        return value.__wrapped__
    return value.function if type(value).__module__ in _JITTED and hasattr(value, "function") else None


def _unbound(held: Any) -> Any:
    if isinstance(held, (staticmethod, classmethod)):
        return held.__func__
    if isinstance(held, property):
        return held.fget
    return held.func if isinstance(held, functools.cached_property) else held


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _identical(now: Any, old: Any) -> bool:
    if isinstance(now, list):
        return len(now) == len(old) and all(map(_identical, now, old))
    if type(now) is tuple and type(old) is tuple and len(now) == len(old):
        return all(a is b or (isinstance(a, (*PYTHON_NUMBERS, str)) and type(a) is type(b) and a == b)
                   for a, b in zip(now, old, strict=True))
    return now is old or (isinstance(now, int) and now == old)


def _same_state(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return all(_same_state(a[k], b[k]) for k in a)
    if isinstance(a, tuple):
        return all(map(_same_state, a, b))
    return bool(np.array_equal(a, b))


__all__ = ["COPIED", "ArrayReading", "Environment", "Get", "Image", "Reading"]
