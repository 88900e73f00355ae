"""The fast path into a recording: one Python function that checks a call, runs it and builds its result.

It is written as source for one recording and the objects that were there when it was made. Arguments are
checked by the runtime (kernels/native.py). What the function reads outside is compared by identity
wherever the object found there cannot change in itself, so the check may be stricter than the
recording's own, never laxer: a call that it turns away goes the long way, which decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.avals import ndarray
from npdiff.environment import ArrayReading, Get, Reading
from npdiff.kernels import native
from npdiff.replay import Output, Recording, overlapping

# What the fast path answers if the call is not for it; no function returns this object.
MISSED = object()

Quick = Callable[[tuple[Any, ...], dict[str, Any]], Any]


_WRAPPERS = (staticmethod, classmethod, property)


class _NotQuick(Exception):
    """The call has something that the fast path has no source for."""


class _Writer:
    """The source of one fast path."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        # How many of the lines may fail, the call not having changed anything yet.
        self.checked = 0
        # Places where the same object has to be found as now: kind, holder, key, object.
        self.places: list[tuple[str, Any, Any, Any]] = []
        self.scope: dict[str, Any] = {"MISSED": MISSED}
        self._bound: dict[int, str] = {}
        self._count = 0

    def bind(self, value: Any) -> str:
        """A name for an object."""
        name = self._bound.get(id(value))
        if name is None:
            name = self._bound[id(value)] = f"k{len(self._bound)}"
            self.scope[name] = value
        return name

    def local(self) -> str:
        """A new local variable."""
        self._count += 1
        return f"v{self._count}"

    def do(self, line: str) -> None:
        """A line."""
        self.lines.append(line)

    def require(self, condition: str) -> None:
        """The call is not for this path unless the condition holds."""
        self.lines.append(f"if not ({condition}): return MISSED")

    # ------------------------------------------------------------------ arguments

    def take_apart(self, s: tree.Structure, value: str, leaves: list[str]) -> None:
        """Leaves of a container; `value` is an expression for it."""
        if s.kind is None:
            leaves.append(value)
        elif s.kind is type(None):
            self.require(f"{value} is None")
        elif s.kind is tuple or s.kind is list:
            self.require(f"type({value}) is {s.kind.__name__} and len({value}) == {len(s.children)}")
            self._children(s, value, leaves)
        elif s.kind is dict:
            order = getattr(s.aux, "order", None)
            if order is None or not all(type(k) is str for k in order):
                raise _NotQuick
            self.require(f"type({value}) is dict and tuple({value}) == {self.bind(tuple(order))}")
            for key, child in zip(s.aux, s.children, strict=True):  # type: ignore[call-overload]
                name = self.local()
                self.do(f"{name} = {value}[{key!r}]")
                self.take_apart(child, name, leaves)
        else:
            raise _NotQuick

    def _children(self, s: tree.Structure, value: str, leaves: list[str]) -> None:
        names = [self.local() for _ in s.children]
        if names:
            self.do(f"{', '.join(names)}, = {value}")
        for name, child in zip(names, s.children, strict=True):
            self.take_apart(child, name, leaves)

    def call(self, s: tree.Structure, leaves: list[str]) -> None:
        """Leaves of the arguments of a call."""
        args, kwargs = s.children
        self.require(f"len(args) == {len(args.children)}" + ("" if kwargs.children else " and not kwargs"))
        self._children(args, "args", leaves)
        if kwargs.children:
            self.take_apart(kwargs, "kwargs", leaves)

    # ------------------------------------------------------------------ environment

    def read(self, reading: Reading, now: Any, there: str, sure: bool, arrays: list[tuple[str, Any]]) -> None:
        """Check a thing outside, found by the expression `there`; `sure`: it can be no other than `now`."""
        if isinstance(reading, ArrayReading):
            name = self.local()
            self.do(f"{name} = {self.bind(now) if sure else there}")
            arrays.append((name, now))
            return
        if reading.sort == "same":
            name = self.local()
            self.do(f"{name} = {there}")
            self.require(f"{self.bind(reading.same)}({name})")
        else:
            name = self.bind(now)
            if not sure:
                self.require(f"{there} is {name}")
            if reading.sort in ("object", "class"):
                held = vars(now)
                inside = self.local()
                self.do(f"{inside} = {name}.__dict__")
                all_of = f"len({inside}) == {len(held)}"  # each is looked up below
                self.require(all_of if reading.sort == "object" else f"{inside}.keys() == {self.bind(frozenset(held))}")
        for get, part in reading.parts:
            part_now = get.look(now)
            if get.kind == "stable" and reading.sort != "same":
                self.read(part, part_now, self.bind(part_now), True, arrays)
            elif get.kind == "class" and type(held[get.key]) in _WRAPPERS:
                # What a wrapper holds cannot change.
                self.require(f"{inside}[{get.key!r}] is {self.bind(held[get.key])}")
                self.read(part, part_now, self.bind(part_now), True, arrays)
            else:
                same = part.sort != "same" and not isinstance(part, ArrayReading)
                place = self._place(get, now) if same and reading.sort != "same" else None
                if place is not None:
                    self.places.append((*place, part_now))
                    for thing in (*place, part_now):
                        self.bind(thing)
                    self.read(part, part_now, self.bind(part_now), True, arrays)
                    continue
                plain = get.kind == "state" or (get.kind == "class" and held[get.key] is part_now)
                at = f"{inside}[{get.key!r}]" if plain else self._expression(get, name, now)
                self.read(part, part_now, at, False, arrays)

    def _place(self, get: Get, now: Any) -> tuple[str, Any, Any] | None:
        """A place that the runtime can look at; None for others."""
        if get.kind == "cell":
            return "cell", now.__closure__[get.key], None
        if get.kind == "global":
            return "entry", now.__globals__, get.key
        return (get.key, now, None) if get.kind == "attribute" and get.key in native.PLACES else None

    def _expression(self, get: Get, name: str, now: Any) -> str:
        if get.kind == "cell":
            return f"{self.bind(now.__closure__[get.key])}.cell_contents"
        if get.kind == "global":
            return f"{self.bind(now.__globals__)}[{get.key!r}]"
        if get.kind == "attribute":
            return f"{name}.{get.key}"
        if get.kind == "item" and type(get.key) in (int, str):
            return f"{name}[{get.key!r}]"
        return f"{self.bind(get.look)}({name})"

    # ------------------------------------------------------------------ results

    def result(self, s: tree.Structure, leaves: list[str], made: Recording) -> str:
        """An expression that rebuilds a container from its leaves (taken from the front of the list)."""
        if s.kind is None:
            return leaves.pop(0)
        if s.kind is type(None):
            return "None"
        if s.kind is tuple or s.kind is list:
            inside = "".join([f"{self.result(c, leaves, made)}, " for c in s.children])
            return f"({inside})" if s.kind is tuple else f"[{inside}]"
        raise _NotQuick

    def output(self, o: Output, aval_shape: tuple[int, ...], outs: Sequence[str], values: Sequence[str],
               before: Sequence[str]) -> str:
        """An expression for one leaf of the result."""
        if o.how == "array":
            return outs[o.index] if aval_shape else f"{self.bind(np.asarray)}({outs[o.index]})"
        if o.how == "scalar":
            return outs[o.index]
        if o.how == "number":
            return f"{self.bind(_number)}({outs[o.index]})"
        if o.how == "same":
            return before[o.index]
        if o.how == "object" and type(o.value) is not ndarray:
            return self.bind(o.value)
        if o.how == "input" and not o.views:
            return values[o.index]
        return f"{self.bind(o.make)}([{', '.join(outs)}], [{', '.join(values)}], ())"


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value  # a large int is one already


def _argument(leaf: Any, fixed: bool, like: int) -> native.Argument:
    kind = type(leaf)
    if fixed:
        return native.exactly(leaf)
    if kind is ndarray:
        flags = leaf.flags
        return native.array(leaf.dtype, leaf.shape, None if flags.c_contiguous else leaf.strides, flags.writeable, like)
    if kind in (int, float, complex) or (isinstance(leaf, np.generic) and leaf.dtype == np.dtype(kind)):
        return native.kind_of(kind)
    raise _NotQuick


def quick(made: Recording, structure: tree.Structure, leaves: Sequence[Any], static: Sequence[bool],
          roots: Sequence[Any]) -> Quick | None:
    """The fast path of a recording, for calls like this one, which it has just answered; None if there is none."""
    if made.draws or made.prints or made.blocked:
        return None
    try:
        return _quick(made, structure, leaves, static, roots)
    except _NotQuick:
        return None


def _quick(made: Recording, structure: tree.Structure, leaves: Sequence[Any], static: Sequence[bool],
           roots: Sequence[Any]) -> Quick:
    w = _Writer()
    names: list[str] = []
    w.call(structure, names)
    arrays: list[tuple[str, Any]] = []
    for reading, root in made.environment.walk(roots):
        w.read(reading, root, w.bind(root), True, arrays)
    if w.places:
        w.lines.insert(0, f"if not {w.bind(native.unchanged(w.places))}(): return MISSED")
    operands = [(n, leaf) for n, leaf, fixed in zip(names, leaves, static, strict=True) if not fixed]
    constants = [(n, leaf) for n, leaf, fixed in zip(names, leaves, static, strict=True) if fixed]
    values = [n for n, _ in operands] + [n for n, _ in arrays]
    specs = [_argument(leaf, False, made.identities[k]) for k, (_, leaf) in enumerate(operands)]
    for k, (_, a) in enumerate(arrays):
        specs.append(native.array(a.dtype, a.shape, a.strides, a.flags.writeable, made.identities[len(operands) + k]))
    specs += [_argument(leaf, True, -1) for _, leaf in constants]
    for _, leaf in constants:
        w.bind(leaf)
    if specs:
        match = w.bind(native.matcher(specs))
        w.require(f"{match}({', '.join(values + [n for n, _ in constants])})")
    if made.writes and len(values) > 1:
        w.require(f"not {w.bind(overlapping)}([{', '.join(values)}])")
    outs = [w.local() for _ in made.graph.outputs]
    run = w.bind(made.compiled().function)
    w.do((f"{', '.join(outs)}, = " if outs else "") + f"{run}({', '.join(values)})")
    built: list[str] = []
    for o in made.outputs:
        shape = made.graph.outputs[o.index].aval.shape if o.how in ("array", "scalar", "number") else ()
        name = w.local()
        w.do(f"{name} = {w.output(o, shape, outs, values, built)}")
        built.append(name)
    result = w.local()
    w.do(f"{result} = {w.result(made.structure, list(built), made)}")
    # Where anything goes wrong up to here, the long way takes over; behind it, arrays may have been written.
    w.checked = len(w.lines)
    for k, position in enumerate(made.writes):
        w.do(f"{values[position]}[...] = {outs[made.results + k]}")
    w.do(f"{w.bind(made)}.calls += 1")
    w.do(f"return {result}")
    return _compiled(w)


def _compiled(w: _Writer) -> Quick:
    text = ["def quick(args, kwargs):", "    try:", *["        " + line for line in w.lines[: w.checked]],
            "    except Exception: return MISSED", *["    " + line for line in w.lines[w.checked:]]]
    exec("\n".join(text), w.scope)
    found: Quick = w.scope["quick"]
    return found


__all__ = ["MISSED", "Quick", "quick"]
