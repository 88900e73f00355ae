"""Random NumPy programs: text that a person could have written, over all rows, valid on its arguments."""

from __future__ import annotations

import random as _random
import textwrap
import warnings
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from program_texts import BINARY, FULL_OPERATORS, OPERATORS, SCALARS, STATEMENTS, UNARY, WHOLE
from row_calls import Hole, Pattern, is_ufunc, patterns, takes_out

from npdiff import tree
from npdiff.samples import Maker

_NUMBERS = (np.ndarray, np.generic, bool, int, float, complex)
_SHAPES = ((3, 4), (3, 4), (4,), (3,), (2, 3), (3, 3), (2, 3, 2), (4, 1), (1, 3), (5,), (2, 2), ())
_BIG = 30.0


@dataclass
class Program:
    """The lines of a function body, its arguments, and arrays it closes over.

    `raises`: NumPy is expected to raise in the last line. `wild`: values may be infinite or not a number.
    """

    lines: list[str]
    args: dict[str, Any]
    closed: dict[str, Any] = field(default_factory=dict)
    wild: bool = False
    raises: bool = False

    def source(self) -> str:
        """The function as text; it returns every variable that ever had a name."""
        names = list(self.args)
        for line in "\n".join(self.lines).replace(";", "\n").split("\n"):
            head = line.split(" = ")[0].split(", ")[0].strip()
            if head.startswith("v") and head.isidentifier() and head not in names:
                names.append(head)
        body = "\n".join([*self.lines, f"return {', '.join(names)},"])
        return f"def program({', '.join(self.args)}):\n{textwrap.indent(body, '    ')}"

    def function(self) -> Any:
        """The function itself, in a module of its own, so that npdiff sees user code."""
        space: dict[str, Any] = {"np": np, "__name__": "program", **self.closed}
        exec(compile(self.source(), "program.py", "exec"), space)
        return space["program"]


def copied(v: Any) -> Any:
    """An argument with copies of its arrays."""
    return v.copy(order="K") if isinstance(v, np.ndarray) else (
        v if isinstance(v, _NUMBERS) else tree.map_leaves(copied, v))


class Writer:
    """Writes a program statement by statement, running each on plain arrays to keep only what NumPy accepts."""

    def __init__(self, random: Any) -> None:
        self.random = random
        self.dtype = self.pick([float] * 7 + [np.float32] + [complex] * 2)
        self.program = Program([], {}, wild=random.random() < 0.05)
        self.scope: dict[str, Any] = {"np": np}
        self.codes: list[Any] = []
        self.places: list[str] = []
        self.arrays: list[str] = []
        self.maker = Maker(random.randrange(2**32))
        for name in ("x", "y"):
            self.argument(name, self.uniform(self.pick(_SHAPES)))
        self.argument("s", self.pick([np.float64(0.7), 0.6, np.array(0.8), 1, np.float64(-1.3)]))
        kind = random.randrange(20)
        if kind < 2:
            self.argument("d", {"a": self.uniform((3,)), "b": (self.uniform((2, 2)), 0.5)})
        elif kind == 2:
            self.argument("d", [self.uniform((4,)), np.arange(3)])
        elif kind == 3:
            self.argument("n", self.pick([2, 3, np.array([2, 0, 1]), np.array([True, False, True])]))
        elif kind == 4:
            self.argument("z", self.uniform(self.pick([(0,), (0, 3), (2, 0)])))
        elif kind == 5:
            self.argument("w", self.uniform((4, 3)).T)
        if random.random() < 0.2:
            c = self.uniform(self.pick([(4,), (3, 4), (3,), (2, 3)]))
            c.flags.writeable = False  # a write would stay from one run to the next
            self.program.closed["c"] = self.scope["c"] = c
        self.look()

    # ------------------------------------------------------------------ arguments and variables

    def uniform(self, shape: tuple[int, ...]) -> Any:
        rng = self.maker.rng
        values = rng.uniform(-1.5, 1.5, shape)
        if np.dtype(self.dtype).kind == "c":
            values = values + 1j * rng.uniform(-1.5, 1.5, shape)
        return np.asarray(values).astype(self.dtype)

    def argument(self, name: str, value: Any) -> None:
        self.program.args[name] = value
        self.scope[name] = copied(value)

    def look(self) -> None:
        """Note every expression that names a number or an array now."""
        self.places, self.arrays = [], []
        for name, value in self.scope.items():
            if name not in ("np", "__builtins__", "i", "r", "t", "g"):
                self.note(name, value)

    def note(self, place: str, value: Any, depth: int = 0) -> None:
        if isinstance(value, _NUMBERS):
            self.places.append(place)
            if isinstance(value, np.ndarray) and value.ndim:
                self.arrays.append(place)
        elif depth < 3:
            inside = value.items() if isinstance(value, dict) else enumerate(value)
            for k, v in inside:
                self.note(f"{place}[{k!r}]", v, depth + 1)

    def value(self, place: str) -> Any:
        return self.scope[place] if place in self.scope else eval(place, self.scope)

    # ------------------------------------------------------------------ parts

    def pick(self, options: Any) -> Any:
        return options[int(self.random.random() * len(options))]

    def some(self) -> str:
        """A variable, more often a recent one."""
        return str(self.pick(self.places if self.random.random() < 0.6 else self.places[-4:]))

    def array(self) -> str | None:
        """A variable that is an array of at least one axis."""
        if not self.arrays:
            return None
        return str(self.pick(self.arrays if self.random.random() < 0.6 else self.arrays[-3:]))

    def slice(self, n: int) -> str:
        return str(self.pick([":", "1:", ":-1", "::-1", "::2", ":2", "-2:", "1:-1", "::-2", f":{n}", "2:0:-1", "3:1"]))

    def index(self, shape: tuple[int, ...]) -> str:
        """An index of any kind for an array of this shape."""
        n = shape[0]
        kind = self.random.randrange(15)
        if kind < 3 or not n:
            return self.slice(n)
        if kind < 5:
            return str(self.random.randrange(-n, n))
        if kind == 5:
            return str([self.random.randrange(-n, n) for _ in range(self.random.randrange(1, 4))])
        if kind == 6 and len(shape) > 1:
            return f"{self.slice(n)}, {self.slice(shape[1])}"
        if kind == 7 and len(shape) > 1:
            return f"{self.slice(n)}, {self.random.randrange(shape[1]) if shape[1] else ':'}"
        if kind == 8:
            return str(self.pick(["...", "None", "..., 0", "None, 1:", ":, None", "()", "..., None", "[]",
                                  "..., ::-1"]))
        if kind == 9:
            return str([self.random.random() < 0.5 for _ in range(n)])
        if kind == 10 and len(shape) > 1 and shape[1]:
            k = self.random.randrange(1, 3)
            first = [self.random.randrange(n) for _ in range(k)]
            return f"{first}, {[self.random.randrange(shape[1]) for _ in range(k)]}"
        if kind == 11:
            return f"np.array([{self.random.randrange(n)}, {self.random.randrange(-n, n)}])"
        if kind == 12 and len(shape) > 1:
            return f"[[0], [{self.random.randrange(-n, n)}]], {self.slice(shape[1])}"
        if kind == 13 and len(shape) > 1 and shape[1]:
            return f"{self.slice(n)}, [{self.random.randrange(shape[1])}, -1]"
        return f"{self.random.randrange(n)}:"

    def expression(self, depth: int = 2) -> str:
        kind = self.random.randrange(13)
        if depth == 0 or kind < 2:
            return self.some()
        if kind == 2:
            return str(self.pick(SCALARS))
        if kind < 5:
            return str(self.pick(UNARY)).format(f"({self.expression(depth - 1)})")
        if kind < 8:
            return str(self.pick(BINARY)).format(f"({self.expression(depth - 1)})", f"({self.expression(depth - 1)})")
        name = self.array()
        if kind < 11 or name is None:
            return self.row_call()
        if kind == 11:
            return f"{name}[{self.index(self.value(name).shape)}]"
        return str(self.pick(WHOLE)).format(name)

    # ------------------------------------------------------------------ calls of rows

    def row_call(self) -> str:
        """A call of any row, on variables where they fit."""
        table = patterns()
        name = self.pick(list(table))
        return self.filled(self.pick(table[name]))

    def filled(self, p: Pattern) -> str:
        text = "".join([part if isinstance(part, str) else self.operand(part) for part in p.parts])
        if text.endswith(")") and self.random.random() < 0.06 and takes_out(p.name) and self.arrays:
            target = self.array()
            ways = [f", out={target})", f", out=np.zeros_like({target}))"]
            if is_ufunc(p.name):
                ways += [f", out={target}, where={target} > 0)", f", out=({target},))"]
            text = text[:-1] + self.pick(ways)
        return text

    def operand(self, hole: Hole) -> str:
        """An expression for a hole: a variable of its shape, one made to fit, or a new argument."""
        plain = hole.maker if hole.maker in "IB" else "A"
        fresh = self.random.random() < (0.25 if plain == "A" else 0.5)
        v = None if fresh else (self.some() if hole.shape is None else self.fitting(hole.matrix_shape()))
        if v is None:
            return self.new_argument(hole)
        low, high = dict(hole.options).get("low", 0), dict(hole.options).get("high", 3)
        n = hole.matrix_shape()[-1] if hole.shape else 0
        return str(self.pick({
            "A": [v, v, v, f"np.sin({v})"], "P": [f"(0.3 + np.abs({v}))", f"np.exp(np.sin({v}))", f"(0.5 + {v} * {v})"],
            "U": [f"(0.9 * np.sin({v}))", f"(0.8 * np.tanh({v}))"], "C": [f"({v} + 1j * np.cos({v}))", f"(1j * {v})"],
            "I": [f"((np.abs({v}) * 3) % {max(high - low, 1)} + {low}).astype(int)"],
            "B": [f"({v} > 0.1)", f"(np.abs({v}) < 0.7)"],
            "S": [f"({v} @ np.swapaxes({v}, -1, -2) + np.diag(np.arange(1.0, {n + 1})))"],
            "M": [f"(0.3 * np.sin({v}) + np.eye({', '.join(map(str, hole.matrix_shape()[-2:]))}) * 2)"],
        }[hole.maker]))

    def fitting(self, shape: tuple[int, ...]) -> str | None:
        """An expression of this shape made from variables; None if there is none."""
        same = [p for p in self.places if np.shape(self.value(p)) == shape]
        if same and self.random.random() < 0.7:
            return str(self.pick(same))
        v = self.some()
        have = np.shape(self.value(v))
        size, wanted = int(np.prod(have)), int(np.prod(shape))
        if not size:
            return None
        if not shape:
            return str(self.pick([f"np.sum({v})", f"{v}.flat[0]" if have else v, f"np.mean({v})"]))
        fits = [f"np.resize({v}, {shape})"]
        if len(have) == len(shape) and all(h >= n for h, n in zip(have, shape, strict=True)):
            fits += [f"{v}[{', '.join(f':{n}' for n in shape)}]"] * 3
        if len(have) == len(shape) and all(h >= n for h, n in zip(have[::-1], shape, strict=True)):
            fits += [f"{v}.T[{', '.join(f':{n}' for n in shape)}]"]
        if len(have) > 1 and have[1:] == shape:
            fits += [f"{v}[0]", f"{v}.sum(axis=0)"]
        if size >= wanted and have:
            fits += [f"{v}.reshape(-1)[:{wanted}].reshape({shape})"] * 2
        if len(have) <= len(shape) and all(h in (1, n) for h, n in zip(have[::-1], shape[::-1], strict=False)):
            fits += [f"np.broadcast_to({v}, {shape})"] * 2
        return str(self.pick(fits))

    def new_argument(self, hole: Hole) -> str:
        shape = self.pick(_SHAPES) if hole.shape is None else hole.shape
        self.maker.dtype = self.dtype
        value = getattr(self.maker, hole.maker)(*shape, **dict(hole.options))
        if not shape and self.random.random() < 0.5:
            value = value[()]
        name = f"a{len(self.program.args)}"
        self.argument(name, value)
        return name

    # ------------------------------------------------------------------ statements

    def statement(self) -> str:
        kind = self.random.random()
        name, new = self.array(), f"v{len(self.program.lines)}"
        if kind < 0.4 or name is None:
            return f"{new} = {self.row_call()}"
        if kind < 0.52:
            return f"{new} = {self.expression()}"
        shape = self.value(name).shape
        if kind < 0.58:
            return f"{new} = {name}[{self.index(shape)}]"
        if kind < 0.66:
            return f"{new} = {self.pick(WHOLE).format(name)}"
        if kind < 0.78:
            return f"{name}[{self.index(shape)}] {self.pick(OPERATORS)} {self.expression(1)}"
        if kind < 0.81:
            return f"{name} {self.pick(FULL_OPERATORS)} {self.expression(1)}"
        text = str(self.pick(STATEMENTS))
        return text.format(a=name, b=self.some(), e=self.expression(1) if "{e}" in text else "", i=self.index(shape),
                           new=new, o=self.pick(FULL_OPERATORS), k=self.pick(SCALARS))

    # ------------------------------------------------------------------ running beside

    def accepts(self, line: str) -> Exception | None:
        """Run the statement; keep it if NumPy runs it and all values stay small, else take it back."""
        before = set(self.scope)
        try:
            code = compile(line, "program.py", "exec")
            exec(code, self.scope)
            self.check_values()
        except Exception as error:
            self.replay(before)
            return error
        self.program.lines.append(line)
        self.codes.append(code)
        self.look()
        return None

    def check_values(self) -> None:
        for name, value in self.scope.items():
            if name not in ("np", "__builtins__", "g", "i", "r", "t", "c"):
                self.check_value(value)

    def check_value(self, value: Any, depth: int = 0) -> None:
        if not isinstance(value, _NUMBERS):
            if depth > 3 or not isinstance(value, (list, tuple, dict)) or len(value) > 30:
                raise _NotKept
            for v in value.values() if isinstance(value, dict) else value:
                self.check_value(v, depth + 1)
            return
        a = np.asarray(value)
        if a.dtype.char not in "fdFD?bhilqBHILQ" or a.size > 200 or a.ndim > 4:
            raise _NotKept
        if not self.program.wild and a.dtype.kind in "fciu" and a.size and not np.abs(a).max() < _BIG:
            raise _NotKept

    def replay(self, before: set[str]) -> None:
        """Take a statement back: run the others again from the start."""
        for name in set(self.scope) - before:
            del self.scope[name]
        for name, value in self.program.args.items():
            self.scope[name] = copied(value)
        for k, code in enumerate(self.codes):
            try:
                exec(code, self.scope)
            except Exception:  # what the line read is no more: an outer name that a rejected line had set
                del self.codes[k:], self.program.lines[k:]
                self.look()
                return


class _NotKept(Exception):
    """A value that a program should not have: too large, too many, of another kind."""


_RAISED = (ValueError, IndexError, TypeError, np.linalg.LinAlgError, ZeroDivisionError)


def random_program(random: Any, length: int = 7) -> Program:
    """A random program with its arguments."""
    writer = Writer(random)
    program = writer.program
    ends_badly = random.random() < 0.12
    tries = 0
    with warnings.catch_warnings(), np.errstate(all="ignore" if program.wild else "raise", under="ignore"):
        warnings.simplefilter("ignore" if program.wild else "error")
        while len(program.lines) < length and tries < 5 * length:
            tries += 1
            line = writer.statement()
            error = writer.accepts(line)
            if ends_badly and isinstance(error, _RAISED) and len(program.lines) > 2:
                program.lines.append(line)
                program.raises = True
                break
    used = program.source().split(":\n", 1)[1]
    for name in list(program.args):  # arguments of statements that were taken back
        if name[0] == "a" and f"{name}" not in used.rsplit("return", 1)[0]:
            del program.args[name]
    return program


def seeded(seed: int) -> Program:
    """The program of a seed."""
    return random_program(_random.Random(zlib.crc32(b"%d" % seed) ^ seed))
