"""Random NumPy programs: text that a person could have written, valid on the sampled arrays."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

UNARY = (
    "np.sin({})", "np.cos({})", "np.tanh({})", "np.exp(-np.abs({}))", "np.sqrt(1 + {0} * {0})", "np.square({})",
    "-{}", "abs({})", "np.arctan({})", "np.log(2 + np.cos({}))", "{} ** 2", "{} / 3", "1 / (2 + {0} * {0})",
    "np.maximum({}, 0.1)", "np.sign({})", "np.floor({})", "+{}", "{}.copy()", "np.exp({}) * 0.1", "np.sinc({})",
    "np.real({})", "np.conj({})", "np.cbrt(3 + np.sin({}))", "np.float64(2) * {}", "{} * np.pi", "1j * {}",
    "{}.astype(np.float32)", "np.abs({})", "np.hypot({}, 1.5)", "np.clip({}, -0.6, 0.9)", "np.nan_to_num({})",
)
BINARY = (
    "{} + {}", "{} - {}", "{} * {}", "{} / (2 + np.cos({}))", "np.maximum({}, {})", "np.minimum({}, {})",
    "np.where({0} > 0, {0}, {1})", "np.where({1} > 0.2, {0}, 0)", "np.arctan2({}, 2 + np.cos({}))",
    "np.hypot({}, {})", "np.add({}, {})", "np.logaddexp({}, {})", "({0} > {1}) * {0}", "np.copysign({}, {})",
    "np.heaviside({0}, 0.5) * {1}", "np.multiply({0}, {1}, where={0} > 0, out=np.zeros_like({0} * {1}))",
)
WHOLE = (
    "np.sum({})", "np.mean({})", "{}.sum(axis=0)", "np.sum({}, axis=-1, keepdims=True)", "np.max({})",
    "np.min({}, axis=0)", "{}.mean(axis=-1)", "np.cumsum({}, axis=0)", "np.prod({}, axis=-1)",
    "np.sort({}, axis=-1)", "{}[::-1]", "{}.T", "{}.ravel()", "{}.reshape(-1)", "np.flip({})", "np.roll({}, 1)",
    "np.var({})", "np.std({}, axis=0)", "np.diff({}, axis=0)", "np.concatenate([{0}, {0}])",
    "np.stack([{0}, 2 * {0}])", "np.linalg.norm({})", "np.expand_dims({}, 0)", "np.squeeze({})", "{}.flatten()",
    "np.tril({})", "np.dot({0}, {0}.T)", "np.outer({0}, {0})", "np.einsum('i...,i...->...', {0}, {0})",
    "{}.swapaxes(0, -1)", "np.repeat({}, 2, axis=0)", "np.cumprod({}, axis=-1)", "np.pad({}, 1)", "np.diag({})",
    "{0}.argmax() * {0}", "np.ptp({})", "np.median({})", "{0}[np.argsort({0}.ravel())[0] % len({0})]",
    "np.array([{0}, {0}])", "np.trace({})", "np.broadcast_to({0}, (2,) + {0}.shape)", "np.atleast_2d({})",
    "np.tile({}, 2)", "np.moveaxis({}, 0, -1)", "np.split({}, [1])[1]", "np.inner({0}, {0})",
    "np.max({}, axis=-1, keepdims=True)", "np.meshgrid({0}, {0})[0]",
    "np.interp(0.3, np.arange({0}.size), {0}.ravel())", "np.triu({0})", "np.convolve({0}, {0})",
    "np.gradient({0}, axis=0)",
    "np.cross({0}[:3], {0}[:3])", "np.kron({0}, {0})", "np.average({0}, weights={0} * {0} + 1)", "np.nansum({0})",
    "np.trapezoid({0})", "np.vstack([{0}, {0}])", "np.linalg.det({0})", "np.percentile({0}, 30)", "np.ediff1d({0})",
    "np.polyval([1.0, 2.0], {0})",
)
OPERATORS = ("+=", "-=", "*=", "/=", "=", "=")
FULL_OPERATORS = ("+=", "-=", "*=")
SCALARS = ("0.5", "2", "-1.25", "3.0", "True", "np.float64(0.7)", "np.pi", "s")


class Writer:
    """Writes a program statement by statement, running each on plain arrays to keep only what NumPy accepts."""

    def __init__(self, random: Any, args: dict[str, Any]) -> None:
        self.random = random
        self.scope: dict[str, Any] = {"np": np, **{k: np.copy(v)[()] for k, v in args.items()}}
        self.names = list(args)
        self.lines: list[str] = []

    # ------------------------------------------------------------------ parts

    def pick(self, options: Any) -> Any:
        return self.random.choice(list(options))

    def some(self) -> str:
        """A variable, more often a recent one."""
        return str(self.pick(self.names + self.names[-3:]))

    def array(self) -> str | None:
        """A variable that is an array of at least one axis."""
        found = [n for n in self.names if isinstance(self.scope[n], np.ndarray) and self.scope[n].ndim]
        return self.pick(found + found[-2:]) if found else None

    def slice(self, n: int) -> str:
        return str(self.pick([":", "1:", ":-1", "::-1", "::2", ":2", "-2:", "1:-1", "::-2", f":{n}", "2:0:-1"]))

    def index(self, shape: tuple[int, ...]) -> str:
        """An index of any kind for an array of this shape."""
        n = shape[0]
        kind = self.random.randrange(12)
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
            return str(self.pick(["...", "None", "..., 0", "None, 1:", ":, None"]))
        if kind == 9:
            return str([self.random.random() < 0.5 for _ in range(n)])
        if kind == 10 and len(shape) > 1 and shape[1]:
            k = self.random.randrange(1, 3)
            first = [self.random.randrange(n) for _ in range(k)]
            return f"{first}, {[self.random.randrange(shape[1]) for _ in range(k)]}"
        return f"{self.random.randrange(n)}:"

    def expression(self, depth: int = 2) -> str:
        kind = self.random.randrange(10)
        if depth == 0 or kind < 2:
            return self.some()
        if kind == 2:
            return str(self.pick(SCALARS))
        if kind < 5:
            return str(self.pick(UNARY)).format(self.expression(depth - 1))
        if kind < 8:
            return str(self.pick(BINARY)).format(f"({self.expression(depth - 1)})", f"({self.expression(depth - 1)})")
        name = self.array()
        if name is None:
            return self.some()
        if kind == 8:
            return f"{name}[{self.index(self.scope[name].shape)}]"
        return str(self.pick(WHOLE)).format(name)

    # ------------------------------------------------------------------ statements

    def statement(self) -> str:
        kind = self.random.randrange(20)
        name, new = self.array(), f"v{len(self.lines)}"
        if name is None or kind < 4:
            return f"{new} = {self.expression()}"
        shape = self.scope[name].shape
        if kind == 4:
            return f"{new} = {name}[{self.index(shape)}]"
        if kind == 5:
            return f"{new} = {self.pick(WHOLE).format(name)}"
        if kind < 10:
            return f"{name}[{self.index(shape)}] {self.pick(OPERATORS)} {self.expression(1)}"
        if kind == 10:
            return f"{name} {self.pick(FULL_OPERATORS)} {self.expression(1)}"
        if kind == 11:
            bound = self.pick(["0", "0.3", "-0.4"])
            return f"{name}[{name} > {bound}] {self.pick(FULL_OPERATORS)} {self.pick(SCALARS)}"
        if kind == 12:
            other = self.some()
            return str(self.pick([
                f"np.sin({other}, out={name})", f"np.multiply({other}, {name}, out={name})",
                f"np.add({name}, 1, {name})",
                f"np.exp({name}, out={name}, where={name} < 0)", f"np.cumsum({name}, axis=0, out={name})",
                f"np.copyto({name}, {other})", f"np.clip({name}, -0.8, 0.8, out={name})"]))
        if kind == 13:
            return f"np.add.at({name}, [0, 0, -1], {self.expression(1)})"
        if kind == 14:
            body = self.pick([f"{name}[i] {self.pick(FULL_OPERATORS)} {self.expression(1)}",
                              f"{name}[i] = {name}[i - 1] * 0.5 + {self.expression(1)}",
                              f"{name}[i, i:] *= {self.expression(0)}", f"{name}[:i] += {name}[-1]"])
            return f"for i in range({self.pick(['1, ', ''])}len({name})):\n    {body}"
        if kind == 15:
            return (f"if np.sum({name}) > 0.1:\n    {name}[0] = {self.expression(1)}\n"
                    f"else:\n    {name} *= {self.expression(0)}")
        if kind == 16:
            return f"{new} = np.{self.pick(['zeros', 'ones'])}({(*shape[:1], *shape)[: self.random.randrange(1, 3)]})"
        if kind == 17:
            return str(self.pick([
                f"{name}.sort()", f"{name}.sort(axis=0)", f"{name}.fill({self.expression(1)})",
                f"{name}.flat[1] = {self.expression(1)}", f"{name}.flat[::2] = 0.5", f"np.fill_diagonal({name}, s)",
                f"{name}.real = {self.expression(1)}", f"{name}.T[0] = {self.expression(1)}",
                f"np.put({name}, [0, -1], {self.expression(1)})", f"{name}.reshape(-1)[0] = {self.expression(1)}",
                f"{name}.imag *= 0.5", f"np.putmask({name}, {name} < 0, 0.1)", f"{name}.ravel()[1:] += 1"]))
        if kind == 18:
            return f"{new} = {name}"
        return str(self.pick([f"{new} = np.zeros_like({name})", f"{new} = np.empty_like({name}); {new}[...] = {name}",
                              f"{new} = np.array([{self.some()}, {self.some()}])", f"{new} = [{name}, s][0]",
                              f"{new} = np.array({name}, dtype=complex)", f"{new} = {name}.astype(int) * s",
                              f"s = s * {self.pick(['0.5', 'abs(s)', name + '.sum()'])}",
                              f"{new} = {name}.view()", f"{new} = np.full({shape}, {self.some()})"]))

    # ------------------------------------------------------------------ running beside

    def accepts(self, line: str) -> bool:
        """Run the statement on copies; keep it if NumPy runs it and all values stay small."""
        memo: dict[int, Any] = {}
        trial = {k: _twin(v, memo) for k, v in self.scope.items()}
        with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
            warnings.simplefilter("error")
            try:
                exec(line, trial)
            except Exception:
                return False
        for k, v in trial.items():
            if k in ("np", "__builtins__"):
                continue
            if not isinstance(v, (np.ndarray, np.generic, bool, int, float, complex)):
                return False
            a = np.asarray(v)
            if a.dtype.kind not in "fcib" or a.size > 200 or a.size == 0 or a.ndim > 4 or not np.all(np.abs(a) < 30):
                return False
        self.lines.append(line)
        exec(line, self.scope)
        self.names = [k for k in self.scope if k not in ("np", "__builtins__", "i")]
        return True


def _twin(v: Any, memo: dict[int, Any]) -> Any:
    """A copy of an array that keeps its layout; a view becomes the same view of its base's copy."""
    if not isinstance(v, np.ndarray):
        return v
    if id(v) not in memo:
        base = v.base
        if isinstance(base, np.ndarray) and v.size and v.dtype == base.dtype:
            twin = _twin(base, memo)
            offset = v.__array_interface__["data"][0] - base.__array_interface__["data"][0]
            start = twin.__array_interface__["data"][0] + offset
            owner = _owner(twin)
            memo[id(v)] = np.ndarray(v.shape, v.dtype, owner, start - owner.__array_interface__["data"][0], v.strides)
        else:
            new = np.empty_like(v, order="K")
            new[...] = v
            memo[id(v)] = new
        memo[id(v)].flags.writeable = v.flags.writeable
    return memo[id(v)]


def _owner(a: Any) -> Any:
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


def random_program(random: Any, length: int = 8) -> tuple[list[str], dict[str, Any]]:
    """The lines of a random program over x (3, 4), y (4,) and s, and values for these."""
    numbers = np.random.default_rng(random.randrange(2**32))
    args = {"x": numbers.uniform(-1.5, 1.5, (3, 4)), "y": numbers.uniform(-1.5, 1.5, 4), "s": np.float64(
        numbers.uniform(0.3, 1.5))}
    writer = Writer(random, args)
    tries = 0
    while len(writer.lines) < length and tries < 12 * length:
        tries += 1
        writer.accepts(writer.statement())
    return writer.lines, args


def source(lines: list[str]) -> str:
    """The program as the body of a function; it returns every variable that ever had a name."""
    names = ["x", "y", "s"]
    for line in lines:
        head = line.split(" = ")[0]
        if head.startswith("v") and head.isidentifier() and head not in names:
            names.append(head)
    return "\n".join([*lines, f"return {', '.join(names)}"])
