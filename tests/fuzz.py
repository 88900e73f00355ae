"""One random program against NumPy and against differences; `fuzz_many.py` runs as many as you like.

What is compared: values, dtypes, types, shapes, writes and exceptions under reverse and forward mode; reverse with
forward mode; both with differences; forward over reverse with reverse over forward; vmap with a loop; jit, and jit of
the derivative, with the plain function.

Kinks make no false alarms: a derivative must lie between the slopes to both sides, and what goes wrong must stay wrong
if the arguments move by a rounding error. Nor does what is ill-conditioned, such as the solution of a singular system
that rounding errors make regular: a derivative that changes if every operation of the program, not of its rules, is
off by a rounding error (`Rounding`) is not compared.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from programs import Program, copied

import npdiff
from npdiff import errors, tree
from npdiff.core import Primitive, Trace, aval, lower, wrap
from npdiff.testing import random_like

STEP = 1e-5
# An honest "I cannot": allowed where NumPy gives a value, and counted.
REFUSALS = (errors.UnsupportedError, errors.TracedValueError, errors.OutsideWriteError, errors.NotDifferentiableError)
UFuncTypeError = np._core._exceptions.UFuncTypeError


class Wrong(AssertionError):
    """npdiff and NumPy, or npdiff and the differences, do not agree."""


class Refused(Exception):
    """npdiff says that it cannot record the program."""


class Other(Exception):
    """Nothing to compare: values follow from rounding errors or from memory that was never written."""


def refuses(result: Any) -> bool:
    """True for an honest error: npdiff's, NumPy's of a singular derivative, NumPy's of a plain ``a.flat[i] = x``."""
    return isinstance(result, (*REFUSALS, np.linalg.LinAlgError)) or (
        isinstance(result, ValueError) and str(result) == "Error setting single item of array.")


def run(f: Callable[..., Any], *args: Any) -> Any:
    """The result, or the error."""
    try:
        return f(*args)
    except Exception as error:
        return error


# ---------------------------------------------------------------------- comparing


def is_single(values: Sequence[Any]) -> bool:
    return any(getattr(v, "dtype", np.dtype(float)).char in "efF" for v in values)


def near(a: Any, b: Any, rtol: float, atol: float) -> bool:
    """Equal, or close; faster than np.allclose."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind == "b" or b.dtype.kind == "b":
        return bool(np.all(a == b))
    same = a == b
    if same.all():
        return True
    off = np.abs(a - b) <= atol + rtol * np.abs(b)
    return bool(np.all(same | off | ((a != a) & (b != b))))


def difference(ours: Any, theirs: Any, rtol: float, atol: float, types: bool = True) -> str:
    """What tells two results apart; nothing if they are the same."""
    a, structure = tree.flatten(ours)
    b, wanted = tree.flatten(theirs)
    if structure != wanted:
        return f"containers {structure} instead of {wanted}"
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        if types and type(x) is not type(y):
            return f"value {k}: {type(x).__name__} {x!r} instead of {type(y).__name__} {y!r}"
        if isinstance(y, (np.ndarray, np.generic)) and (x.dtype != y.dtype or x.shape != y.shape):
            return f"value {k}: {x.dtype}{x.shape} instead of {y.dtype}{y.shape}"
        if not near(x, y, rtol, atol):
            return f"value {k}: {x!r} instead of {y!r}"
    return ""


def pairing(cts: Sequence[Any], tangents: Sequence[Any]) -> tuple[float, float]:
    """Inner product of cotangents and tangents, and the size of its terms."""
    terms = [np.multiply(c, t, dtype=complex) for c, t in zip(cts, tangents, strict=True)]
    return float(sum(np.sum(t.real) for t in terms)), float(sum(np.sum(np.abs(t)) for t in terms))


def finite(values: Sequence[Any]) -> bool:
    return all(bool(np.isfinite(v).all()) and (not np.size(v) or np.abs(v).max() < 1e8) for v in values)


# ---------------------------------------------------------------------- the program as a function of its numbers


def differentiable(v: Any) -> bool:
    return isinstance(v, (float, complex)) or (isinstance(v, (np.ndarray, np.generic)) and v.dtype.kind in "fc")


class Case:
    """A program as a function of the floating-point leaves of its arguments, and NumPy's result."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.f = program.function()
        self.values = list(program.args.values())
        self.all_leaves, self.structure = tree.flatten(self.values)
        self.spots = [k for k, v in enumerate(self.all_leaves) if differentiable(v)]
        self.leaves = [self.all_leaves[k] for k in self.spots]
        self.theirs = run(self.f, *[copied(v) for v in self.values])
        self.outputs = [] if isinstance(self.theirs, Exception) else [
            k for k, v in enumerate(tree.leaves(self.theirs)) if differentiable(v)]
        self.rng = np.random.default_rng(0)
        self.single = (is_single([*self.leaves, *program.closed.values(), *tree.leaves(self.theirs)])
                       or "32" in program.source() or "complex64" in program.source())
        # Relative and absolute tolerance for results of the program.
        self.close = (1e-4, 1e-4) if self.single else (1e-9, 1e-9)

    def call(self, *xs: Any) -> Any:
        """The program's result for other values of the leaves."""
        filled = [copied(v) for v in self.all_leaves]
        for k, x in zip(self.spots, xs, strict=True):
            filled[k] = x
        return self.f(*tree.unflatten(self.structure, filled))

    def pair(self, *xs: Any) -> tuple[list[Any], Any]:
        """The differentiable leaves of the result, and all of it."""
        out = self.call(*xs)
        leaves = tree.leaves(out)
        return [leaves[k] for k in self.outputs], out

    def numbers(self, *xs: Any) -> list[Any]:
        """The differentiable leaves of the result."""
        return self.pair(*xs)[0]

    def plain(self, xs: Sequence[Any]) -> list[Any]:
        """`numbers` on copies."""
        return self.numbers(*[copied(x) for x in xs])

    def moved(self, direction: Sequence[Any], h: float) -> list[Any]:
        """The leaves, a step along a direction, in their dtypes and layouts."""
        out = []
        for x, d in zip(self.leaves, direction, strict=True):
            y = copied(x)
            if isinstance(y, np.ndarray):
                y[...] = x + h * d
            else:
                y = type(x)(x + h * d)
            out.append(y)
        return out

    def directions(self, like: Sequence[Any]) -> list[Any]:
        return [random_like(v, self.rng) for v in like]


# ---------------------------------------------------------------------- checks


def check(program: Program, *, jit: bool = False, second: bool = True, batch: bool = True) -> str:
    """Compare values, mutations, first and second derivatives; a word for what the comparison could cover."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return _check(program, jit, second, batch)
        except Refused as error:
            return f"refused: {error}"
        except Other as error:
            return str(error)


def _check(program: Program, jit: bool, second: bool, batch: bool) -> str:
    case = Case(program)
    if isinstance(case.theirs, Exception):
        check_error(case)
        return "raises"
    if not case.leaves:
        return "nothing to differentiate"
    pulled, cts, direction, tangents = check_values(case)
    if jit:
        check_jit(case)
    if batch:
        check_batch(case)
    if not finite([*tree.leaves(case.theirs), *tangents, *pulled]):
        return "not finite"
    a, size = pairing(cts, tangents)
    b, other = pairing(pulled, direction)
    if abs(a - b) > (1e-3 if case.single else 1e-8) * (1 + size + other) and steady(case, direction):
        raise Wrong(f"forward and reverse mode: {a} and {b}")
    if case.single:
        return "single precision"
    smooth = check_slopes(case, direction, tangents)
    if batch:
        check_batch_of_derivatives(case, cts)
    if second:
        check_second(case, cts, direction)
    return smooth


def check_error(case: Case) -> None:
    """NumPy raises: so does npdiff, with an error of the same type or one of its own."""
    wanted = type(case.theirs)
    for mode, result in (("reverse", run(lambda: npdiff.vjp(case.call, *case.leaves))), (
            "forward", run(lambda: npdiff.jvp(case.call, tuple(case.leaves), tuple(case.directions(case.leaves)))))):
        if "setting an array element with a sequence" in str(case.theirs):
            allowed: tuple[type, ...] = (ValueError, TypeError)  # which of the two NumPy says depends on the dtypes
        else:
            allowed = (wanted,)
        if case.leaves and not isinstance(result, (*allowed, errors.NpdiffError)):
            raise Wrong(f"{mode} mode: {result!r} instead of {case.theirs!r}")


def check_values(case: Case) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """Values, types and writes in both modes; cotangents and tangents."""
    outputs = [tree.leaves(case.theirs)[k] for k in case.outputs]
    direction = case.directions(case.leaves)
    kept = [copied(x) for x in case.leaves]
    reverse = run(lambda: npdiff.vjp(case.pair, *case.leaves, has_aux=True))
    if not isinstance(reverse, Exception):
        same_values(case, reverse[2], "reverse")
    forward = run(lambda: npdiff.jvp(case.pair, tuple(case.leaves), tuple(direction), has_aux=True))
    if not isinstance(forward, Exception):
        same_values(case, forward[2], "forward")
    for mode, result in (("reverse", reverse), ("forward", forward)):
        if refuses(result):
            raise Refused(str(result).split("\n")[0])
        if isinstance(result, Exception):
            raise Wrong(f"{mode} mode raises {result!r}") from result
    if difference(case.leaves, kept, 0, 0):
        raise Wrong("the caller's arrays were written into")
    cts = case.directions(outputs)
    pulled = run(reverse[1], cts)
    if refuses(pulled):
        raise Refused(str(pulled).split("\n")[0])
    if isinstance(pulled, Exception):
        raise Wrong(f"the way back raises {pulled!r}") from pulled
    tangents = forward[1]
    for what, got, like in (("tangent", tangents, outputs), ("cotangent", pulled, case.leaves)):
        for k, (g, v) in enumerate(zip(got, like, strict=True)):
            if np.shape(g) != np.shape(v) or np.asarray(g).dtype != np.asarray(v).dtype:
                raise Wrong(f"{what} {k}: {np.asarray(g).dtype}{np.shape(g)} instead of "
                            f"{np.asarray(v).dtype}{np.shape(v)}")
    return list(pulled), cts, direction, list(tangents)


def same_values(case: Case, ours: Any, mode: str) -> None:
    said = difference(ours, case.theirs, *case.close)
    if said and settled(case):
        raise Wrong(f"{mode} mode, {said}")
    if said:
        raise Other("values follow from rounding errors")


def settled(case: Case) -> bool:
    """True if NumPy's result is the same again, and if the arguments move by a rounding error."""
    if isinstance(case.theirs, Exception):
        return False
    rtol, atol = case.close
    noise = [np.ones_like(x) if k % 2 else random_like(x, case.rng) * x for k, x in enumerate(case.leaves)]
    size = 1e-7 if rtol > 1e-5 else 1e-15
    for h in (0.0, size, -size, 4 * size):
        again = run(lambda h=h: case.call(*case.moved(noise, h)))
        if isinstance(again, Exception) or difference(again, case.theirs, rtol / 2, atol / 2):
            return False
    return True


class Rounding(Trace):
    """Computes as the trace below does, with an error of one unit in the last place in every operation that rounds."""

    kind = "rounding"

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self.rng = rng

    def off(self, v: Any) -> Any:
        a = aval(v)
        if a.dtype.kind not in "fc":
            return v
        factor = 1 + np.finfo(a.dtype).eps * self.rng.uniform(-1, 1, a.shape)
        return v * (float(factor) if a.weak else factor.astype(a.dtype.type(0).real.dtype)[()])

    def process(self, prim: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        out = prim.call(*[lower(a, self) for a in args], **params)
        if prim.multiple:
            return tuple([wrap(self, self.off(o), None) for o in out])
        return wrap(self, out if prim.kind in ("linear", "nondifferentiable") else self.off(out), None)

    def ask(self, handle: Any, what: str) -> Any:
        return handle._value

    take = ask


def well_conditioned(case: Case, direction: Sequence[Any]) -> bool:
    """True if the forward derivative stays the same where each operation of the program is off by a rounding error."""

    def rounded(*xs: Any) -> list[Any]:
        trace = Rounding(case.rng)
        try:
            outs = case.numbers(*[wrap(trace, x, None) for x in xs])
            return [lower(o, trace) for o in outs]
        finally:
            trace.close()

    exact = npdiff.jvp(case.numbers, tuple(case.leaves), tuple(direction))[1]
    scale = 1 + max([float(np.abs(v).max()) for v in exact if np.size(v)], default=0.0)
    close = (1e-3, 1e-3) if case.single else (1e-7, 1e-7)
    for _ in range(2):
        off = run(lambda: npdiff.jvp(rounded, tuple(case.leaves), tuple(direction))[1])
        if isinstance(off, Exception) or not all(
                near(a, b, close[0], close[1] * scale) for a, b in zip(off, exact, strict=True)):
            return False
    return True


def steady(case: Case, direction: Sequence[Any]) -> bool:
    """True if the forward derivative stays the same where arguments and operations are off by very little."""
    outs = []
    for h in (0.0, 1e-9, -1e-9):
        at = case.moved(case.directions(case.leaves), h)
        out = run(lambda at=at: npdiff.jvp(case.numbers, tuple(at), tuple(direction))[1])
        if isinstance(out, Exception):
            return False
        outs.append(out)
    return all(near(a, b, 1e-4, 1e-4) for other in outs[1:] for a, b in zip(other, outs[0], strict=True)) and (
        well_conditioned(case, direction))


def check_slopes(case: Case, direction: Sequence[Any], tangents: Sequence[Any]) -> str:
    """A tangent lies between the slopes to both sides."""
    wide = None
    for h in (STEP, STEP / 16, STEP * 8, STEP / 256):
        ends = [run(case.plain, case.moved(direction, s * h)) for s in (h and 1, 0, -1)]
        if any(isinstance(e, Exception) for e in ends):
            return "edge of the domain"
        worst = ""
        kink = False
        for k, (up, here, down, t) in enumerate(zip(*ends, tangents, strict=True)):
            if not np.shape(up) == np.shape(down) == np.shape(here) == np.shape(t):
                return "sizes follow from values"
            right, left = (np.asarray(up) - here) / h, (np.asarray(here) - down) / h
            gap = np.abs(right - left)
            kink = kink or bool(np.any(gap > 1e-2))
            off = np.abs(t - (right + left) / 2) - 1.01 * gap - 1e-9 / h * 1e-2 * (1 + np.abs(here))
            if np.any(off > 1e-4 * (1 + np.abs(t))):
                worst = worst or f"output {k}: forward mode {t!r}, differences {(right + left) / 2!r}"
        if not worst:
            return "kink" if kink else "all"
        wide = wide or worst
    if not steady(case, direction):
        raise Other("derivatives follow from rounding errors")
    raise Wrong(str(wide))


def check_second(case: Case, cts: Sequence[Any], direction: Sequence[Any]) -> None:
    """Forward over reverse mode gives what reverse over forward mode gives."""
    leaves = tuple(case.leaves)

    def back(*xs: Any) -> list[Any]:
        return list(npdiff.vjp(case.numbers, *xs)[1](list(cts)))

    def push(*xs: Any) -> list[Any]:
        return list(npdiff.jvp(case.numbers, xs, tuple(direction))[1])

    def both(at: tuple[Any, ...]) -> Any:
        over = run(lambda: npdiff.jvp(back, at, tuple(direction))[1])
        under = run(lambda: list(npdiff.vjp(push, *at)[1](list(cts))))
        return over, under

    over, under = both(leaves)
    for name, result in (("forward over reverse", over), ("reverse over forward", under)):
        if refuses(result):
            raise Refused(f"second order: {str(result).splitlines()[0]}")
        if isinstance(result, Exception):
            raise Wrong(f"{name} raises {result!r}") from result
    if not finite([*over, *under]):
        return
    scale = 1 + max([float(np.abs(v).max()) for v in [*over, *under] if np.size(v)], default=0.0)
    if all(near(a, b, 1e-7, 1e-7 * scale) for a, b in zip(over, under, strict=True)):
        return
    again = both(tuple(case.moved(case.directions(case.leaves), 1e-8)))  # is it a kink of the derivative?
    if isinstance(again[0], Exception) or not all(
            near(a, b, 1e-4, 1e-4 * scale) for a, b in zip(again[0], over, strict=True)):
        raise Other("second derivatives follow from rounding errors")
    raise Wrong(f"forward over reverse gives {over}, reverse over forward {under}")


# ---------------------------------------------------------------------- transforms that are compared with a loop


def check_jit(case: Case) -> None:
    """jit gives the same results, and jit of the derivative the same derivative, for three sets of arguments."""
    fast, slow = npdiff.jit(case.f), case.f
    moves = [case.values, *[_other_values(case, k) for k in (1, 2)], case.values]
    for k, values in enumerate(moves):
        mine, plain = [copied(v) for v in values], [copied(v) for v in values]
        theirs, ours = run(slow, *plain), run(fast, *mine)
        if isinstance(theirs, Exception):
            if type(ours) is not type(theirs):
                raise Wrong(f"jit, call {k}: {ours!r} instead of {theirs!r}")
            continue
        if isinstance(ours, Exception):
            raise Wrong(f"jit, call {k}, raises {ours!r}") from ours
        said = difference((ours, mine), (theirs, plain), *case.close)
        if said and settled(case):
            raise Wrong(f"jit, call {k}, {said}")
    weights = [random_like(v, case.rng) for v in case.plain(case.leaves)]

    def derivative(*xs: Any) -> Any:
        return list(npdiff.vjp(case.numbers, *xs)[1](weights))

    faster = npdiff.jit(derivative)
    theirs = run(derivative, *[copied(x) for x in case.leaves])
    for k in range(2):
        ours = run(faster, *[copied(x) for x in case.leaves])
        if isinstance(theirs, Exception) and isinstance(ours, Exception):
            return
        if isinstance(ours, Exception) or isinstance(theirs, Exception):
            raise Wrong(f"jit of the derivative, call {k}: {ours!r} instead of {theirs!r}")
        rtol, atol = case.close
        scale = 1 + max([float(np.nanmax(np.abs(v))) for v in theirs if np.size(v)], default=0.0)
        said = difference(ours, theirs, rtol * 10, atol * scale, types=False)
        if said and finite(theirs) and steady(case, weights_like(case)):
            raise Wrong(f"jit of the derivative, call {k}, {said}")


def weights_like(case: Case) -> list[Any]:
    return case.directions(case.leaves)


def _other_values(case: Case, k: int) -> list[Any]:
    """The arguments with other numbers in them, of the same types, shapes and layouts."""
    return list(tree.map_leaves(lambda v: nudged(v, k), case.values))


def nudged(v: Any, k: float) -> Any:
    """A number or array with other values, of the same type, dtype and layout."""
    if not differentiable(v):
        return v
    if not isinstance(v, np.ndarray):
        return type(v)(v * (1 - 0.2 * k))
    v = copied(v)
    v[...] = v * (1 - 0.2 * k) + 0.03 * k
    return v


def _examples(case: Case) -> tuple[list[list[Any]], list[Any]]:
    """Two sets of arguments, and the same as a batch."""
    # One number of a batch is a scalar, not a 0-d array: nobody can tell from the batch.
    first = [np.float64(x) if type(x) is float else x[()] if isinstance(x, np.ndarray) else x for x in case.leaves]
    examples = [first, [nudged(x, 0.4) for x in first]]
    return examples, [np.stack(pair) for pair in zip(*examples, strict=True)]


def _unbatchable(result: Any) -> bool:
    """True for errors that a batch may raise where one example does not."""
    # (Python's truth values become NumPy's in a batch, and those have no arithmetic.)
    return refuses(result) or isinstance(result, (errors.BranchError, UFuncTypeError)) or (
        isinstance(result, Exception) and "numpy boolean" in str(result))


def check_batch_of_derivatives(case: Case, cts: Sequence[Any]) -> None:
    """vmap of a derivative, and the derivative of a vmap, give what a loop over derivatives gives."""
    examples, stacked = _examples(case)

    def back(*xs: Any) -> list[Any]:
        return list(npdiff.vjp(case.numbers, *xs)[1](list(cts)))

    theirs = [run(lambda e=e: back(*[copied(x) for x in e])) for e in examples]
    if any(isinstance(t, Exception) or not finite(t) for t in theirs):
        return
    wanted = [np.stack(pair) for pair in zip(*theirs, strict=True)]
    outside = run(lambda: npdiff.vmap(back)(*stacked))
    inside = run(lambda: list(npdiff.vjp(npdiff.vmap(case.numbers), *stacked)[1]([np.stack([c, c]) for c in cts])))
    scale = 1 + max([float(np.abs(v).max()) for v in wanted if np.size(v)], default=0.0)
    for name, got in (("vmap of the derivative", outside), ("the derivative of vmap", inside)):
        if _unbatchable(got):
            continue
        if isinstance(got, Exception):
            raise Wrong(f"{name} raises {got!r}") from got
        for k, (m, w) in enumerate(zip(got, wanted, strict=True)):
            if np.shape(m) != np.shape(w) or not near(m, w, 1e-7, 1e-7 * scale):
                if not steady(case, case.directions(case.leaves)):
                    raise Other("derivatives follow from rounding errors")
                raise Wrong(f"{name}, cotangent {k}: {m!r} instead of {w!r}")


def check_batch(case: Case) -> None:
    """vmap over two examples gives what a loop gives, unless the program asks for one value of both."""
    examples, stacked = _examples(case)
    theirs = [run(lambda e=e: case.call(*[copied(x) for x in e])) for e in examples]
    ours = run(lambda: npdiff.vmap(case.call)(*stacked))
    if _unbatchable(ours):
        return
    if any(isinstance(t, Exception) for t in theirs):
        return
    if isinstance(ours, Exception):
        raise Wrong(f"vmap raises {ours!r}") from ours
    outs = [tree.leaves(t) for t in theirs]
    mine = tree.leaves(ours)
    if not len(mine) == len(outs[0]) == len(outs[1]):
        raise Wrong("vmap gives other containers")
    for k, (m, a, b) in enumerate(zip(mine, *outs, strict=True)):
        if np.shape(a) != np.shape(b):
            raise Wrong(f"vmap, value {k}: the shapes differ, {np.shape(a)} and {np.shape(b)}, and no error says so")
        wanted = np.stack([a, b])
        booleans = np.asarray(m).dtype.kind == "b" and wanted.dtype.kind == "i"
        if booleans or ".item(" in case.program.source() or "tolist" in case.program.source():
            wanted = wanted.astype(np.asarray(m).dtype)  # a batch of Python numbers is an array of NumPy's
        if np.shape(m) != wanted.shape or np.asarray(m).dtype != wanted.dtype:
            raise Wrong(f"vmap, value {k}: {np.asarray(m).dtype}{np.shape(m)} instead of {wanted.dtype}{wanted.shape}")
        if not near(m, wanted, *case.close) and settled(case):
            raise Wrong(f"vmap, value {k}: {m!r} instead of {wanted!r}")
