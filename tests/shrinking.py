"""Make a failing program small, and print it ready to paste as a test."""

from __future__ import annotations

import ast
import builtins
import contextlib
import re
import signal
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import fuzz
import numpy as np
from programs import Program, copied

Options = dict[str, Any]
SECONDS = 30  # for one program
_as_strided = np.lib.stride_tricks.as_strided


class TooLong(BaseException):
    """A program did not end in time; nothing in it, and no check of it, may catch this."""


def _alarm(*_: Any) -> None:
    raise TooLong


@contextlib.contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Raise TooLong in what takes more processor time: a smaller program may loop for ever."""
    before = signal.signal(signal.SIGPROF, _alarm)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def verdict(program: Program, **how: Any) -> str:
    """What goes wrong with a program, without its numbers; nothing if all is well."""
    try:
        fuzz.check(program, **how)
    except fuzz.Wrong as error:
        return kind_of(error)
    except Exception as error:
        return f"{type(error).__name__} {kind_of(error)}"
    return ""


def kind_of(error: BaseException) -> str:
    """The words of an error before its first number, and the type of an error inside it."""
    raised = re.search(r"raises (\w+)\(['\"](.{0,30})", str(error))
    words = re.split(r"[\d(\[{]", str(error), maxsplit=1)[0].strip(" :-")
    return words if raised is None else f"{words} {raised[2]}"


def _within(x: Any, shape: Any = None, strides: Any = None, **kwargs: Any) -> Any:
    """as_strided, of the array's own memory only: a smaller program may reach beyond, and take the process with it."""
    window = _as_strided(x, shape, strides, **kwargs)
    (low, high), (first, last) = (np.lib.array_utils.byte_bounds(a) for a in (np.asarray(x), window))
    if window.size and (first < low or last > high):
        raise ValueError("outside the array")
    return window


def runs(program: Program) -> bool:
    """True if NumPy runs the program, or raises where it shall."""
    np.lib.stride_tricks.as_strided = _within
    try:
        return _runs_inside(program)
    finally:
        np.lib.stride_tricks.as_strided = _as_strided


def _runs_inside(program: Program) -> bool:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            program.function()(*[copied(v) for v in program.args.values()])
        except Exception:
            return program.raises
    return not program.raises


def shrunk(program: Program, wanted: str, tries: int = 250, **how: Any) -> Program:
    """The smallest program found that fails with the same words."""
    progress = True
    while progress and tries > 0:
        progress = False
        for smaller in _smaller(program):
            tries -= 1
            if tries < 0:
                break
            try:
                with limited():
                    good = runs(smaller) and verdict(smaller, **how) == wanted
            except (Exception, TooLong):
                good = False
            if good:
                program, progress = smaller, True
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    lines = program.lines
    n = len(lines)
    if n > 3:
        yield replace(program, lines=lines[n // 2:])
        yield replace(program, lines=lines[: n // 2])
    for k in reversed(range(n)):  # what a line makes is used further down: begin there
        yield replace(program, lines=lines[:k] + lines[k + 1:])
    for name in program.args:
        rest = {k: v for k, v in program.args.items() if k != name}
        if not re.search(rf"\b{name}\b", "\n".join(lines)) and rest:
            yield replace(program, args=rest)
    for k in reversed(range(n)):
        for line in _simpler(lines[k]):
            yield replace(program, lines=[*lines[:k], line, *lines[k + 1:]])


def _simpler(line: str) -> Iterator[str]:
    """The line with one expression replaced by a part of it, or one statement of a block alone."""
    try:
        module = ast.parse(line)
    except SyntaxError:
        return
    for node in module.body:
        inner = getattr(node, "body", None)
        if isinstance(inner, list):
            yield "\n".join(map(ast.unparse, inner))
        if len(module.body) > 1:
            yield "\n".join([ast.unparse(m) for m in module.body if m is not node])
    spots = [n for n in ast.walk(module) if isinstance(n, ast.expr)]
    for k, spot in enumerate(spots):
        if isinstance(getattr(spot, "ctx", None), ast.Store):
            continue
        parts = [p for p in ast.walk(spot) if isinstance(p, ast.expr) and p is not spot and not (
            ast.unparse(p) in dir(builtins) or isinstance(p, ast.Attribute))]
        for part in parts[:6]:
            text = ast.unparse(part)
            if len(text) < len(ast.unparse(spot)):
                yield ast.unparse(_swap(line, k, part))


def _swap(line: str, k: int, part: ast.expr) -> ast.Module:
    """The module of a line with its k-th expression replaced."""
    module = ast.parse(line)
    spot = [n for n in ast.walk(module) if isinstance(n, ast.expr)][k]
    for node in ast.walk(module):
        for name, value in ast.iter_fields(node):
            if value is spot:
                setattr(node, name, part)
            elif isinstance(value, list):
                setattr(node, name, [part if v is spot else v for v in value])
    return module


def text_of(value: Any) -> str:
    """An argument as source."""
    if isinstance(value, np.ndarray):
        text = np.array2string(value, separator=", ", threshold=10**6, max_line_width=100, precision=17)
        text = re.sub(r"\bnan\b", "np.nan", re.sub(r"\binf\b", "np.inf", text))
        made = f"np.array({text}, dtype={value.dtype.name!r})".replace("\n", "\n    ")
        if 0 in value.shape:
            return f"np.zeros({value.shape}, dtype={value.dtype.name!r})"
        if value.ndim > 1 and value.flags.f_contiguous and not value.flags.c_contiguous:
            return f"np.asfortranarray({made})"
        return made
    if isinstance(value, dict):
        return "{" + ", ".join([f"{k!r}: {text_of(v)}" for k, v in value.items()]) + "}"
    if isinstance(value, (tuple, list)):
        inside = ", ".join(map(text_of, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside},)"
    return f"np.{value!r}" if isinstance(value, np.generic) and not repr(value).startswith("np.") else repr(value)


def report(program: Program, seed: Any, error: str, **how: Any) -> str:
    """A failing program as a test to paste, and what went wrong."""
    lines = textwrap.indent("\n".join(program.lines), "        ")
    args = ", ".join(f"{k}={text_of(v)}" for k, v in program.args.items())
    parts = [f'    found("""\n{lines}\n    """, dict({args})']
    if program.closed:
        parts.append(", closed=dict(" + ", ".join(f"{k}={text_of(v)}" for k, v in program.closed.items()) + ")")
    if program.raises:
        parts.append(", raises=True")
    if how.get("jit"):
        parts.append(", jit=True")
    return f"# seed {seed}: {error}\ndef test_found_{seed}() -> None:\n{''.join(parts)})\n"


def found(body: str, args: dict[str, Any], *, closed: dict[str, Any] | None = None, raises: bool = False,
          jit: bool = False) -> None:
    """Check a program that a report printed: NumPy raises or not, as said, and npdiff does not refuse."""
    outcome = fuzz.check(Program(textwrap.dedent(body).strip().split("\n"), args, closed or {}, raises=raises), jit=jit)
    assert (outcome == "raises") == raises
    assert not outcome.startswith("refused"), outcome
