"""Calls of every row, as text with holes that a random program fills with its own variables."""

from __future__ import annotations

import ast
import functools
import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff.dispatch.declare import found, rows
from npdiff.samples import cases

_MAKERS = frozenset("APUCSMIB")
_DOMAINS = {"real": "A", "positive": "P", "unit": "U", "nonzero": "A", "distinct": "A", "above one": "1.2 + P",
            "small integer": "I"}


@dataclass(frozen=True)
class Hole:
    """Where an operand goes: what kind of values it has (a maker of sampling.py) and its shape, None for any."""

    maker: str
    shape: tuple[int, ...] | None
    options: tuple[tuple[str, int], ...] = ()

    def matrix_shape(self) -> tuple[int, ...]:
        """The shape of the value: ``M(3)`` is a square matrix, ``S(3, 2)`` a stack of two."""
        shape = self.shape or ()
        if self.maker == "S":
            return (*shape[1:], shape[0], shape[0])
        return shape * 2 if self.maker == "M" and len(shape) == 1 else shape


@dataclass(frozen=True)
class Pattern:
    """The text of a call: pieces of source and holes."""

    name: str
    parts: tuple[str | Hole, ...]


# Sample calls of rows that have neither cases nor a domain, in the language of Row.cases.
MORE: dict[str, tuple[str, ...]] = {
    "np.real": ("A(2, 3)", "C(3)"), "np.imag": ("A(3)", "C(2, 2)"), "np.angle": ("C(3)", "P(2), deg=True"),
    "np.shape": ("A(2, 3)",), "np.ndim": ("A(2, 3)",), "np.size": ("A(2, 3), 1",), "np.iscomplexobj": ("A(3)",),
    "np.isrealobj": ("C(3)",), "np.tril_indices_from": ("A(3, 3)",),
    "np.triu_indices_from": ("A(2, 3), 1",), "np.diag_indices_from": ("A(3, 3)",), "np.divmod": ("A(3), P(3)",),
    "np.modf": ("A(2, 3)", "3 * A(3)"), "np.frexp": ("A(3)",), "np.ix_": ("I(2), I(3)", "[0, 1], B(3)"),
    "np.arange": ("4", "0.5, 3", "I()", "1, 3, 0.5"), "np.array": ("[A(2), A(2)]", "[[A(), 1], [2, A()]]", "A(2, 3)",
                                                                "[A(), A()], dtype=complex", "A(3), ndmin=2"),
    "np.asarray": ("[A(), 1.0]", "A(2, 3)", "[A(3), A(3)]"), "np.asanyarray": ("A(3)", "[A(2), [1, 2]]"),
    "np.ascontiguousarray": ("A(2, 3)", "A(3, 2).T"), "np.asfortranarray": ("A(2, 3)",),
    "np.asarray_chkfinite": ("A(3)",), "np.eye": ("3", "2, 3, 1"), "np.identity": ("3",), "np.ones": ("(2, 3)",),
    "np.zeros": ("3", "(2, 3), dtype=np.float32", "2, int"), "np.full": ("(2, 3), A()", "3, A(3)", "2, 7"),
    "np.fromfunction": ("lambda i, j: A() * i + j, (2, 3)",), "np.fromiter": ("[1.0, 2.0, 0.5], float",),
    "np.indices": ("(2, 3)",), "np.tri": ("3, 4, 1",), "np.tril_indices": ("3",), "np.triu_indices": ("3, 1",),
    "np.diag_indices": ("3",), "np.mask_indices": ("3, np.triu",), "np.hanning": ("4",), "np.kaiser": ("4, 2.0",),
    "np.fft.fftfreq": ("5, 0.1",), "np.fft.rfftfreq": ("5",), "np.broadcast_shapes": ("(2, 1), (3,)",),
    "np.require": ("A(2, 3), requirements='C'",), "np.isscalar": ("A()",), "np.iterable": ("A(3)",),
}
# Rows whose results a program cannot compare: memory that nothing was written into, texts, settings of NumPy.
_NOT_DRAWN = frozenset(f"np.{n}" for n in (
    "empty_like", "empty", "array_repr", "array_str", "array2string", "einsum_path", "result_type", "can_cast",
    "common_type", "min_scalar_type", "shares_memory", "may_share_memory", "isnat"))
_METHODS = ("{}.reduce({A}, axis=0)", "{}.reduce({A}, axis=None)", "{}.accumulate({A}, axis=-1)", "{}.outer({B}, {C})",
            "{}.reduce({A}, axis=-1, keepdims=True, where={A} > 0, initial=1)", "{}.reduceat({A}, [0, 2, 1])",
            "{}.accumulate({A})")


# Folds that NumPy's vectors for AVX-512 do not do from left to right.
_FOLDED_OTHERWISE = ("np.power", "np.arctan2")


@functools.cache
def pattern(name: str, text: str) -> Pattern:
    """A sample call, with its operands cut out."""
    call = f"{name}({text})"
    holes = []
    for node in ast.walk(ast.parse(call, mode="eval")):
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _MAKERS
                and all(isinstance(a, ast.Constant) for a in node.args)):
            options = tuple((str(k.arg), ast.literal_eval(k.value)) for k in node.keywords)
            shape = tuple(ast.literal_eval(a) for a in node.args)
            holes.append((node.col_offset, node.end_col_offset, Hole(node.func.id, shape, options)))
    parts: list[str | Hole] = []
    at = 0
    for start, stop, hole in sorted(holes, key=lambda h: h[0]):
        parts += [call[at:start], hole]
        at = stop or 0
    return Pattern(name, (*parts, call[at:]))


def _anywhere(name: str, domain: tuple[str, ...]) -> Pattern:
    """A ufunc on operands of any shape."""
    parts: list[str | Hole] = [f"{name}("]
    for k, d in enumerate(domain):
        *before, maker = _DOMAINS[d].rsplit(" ", 1)
        parts += [(", " if k else "") + "".join(f"{b} " for b in before), Hole(maker, None)]
    return Pattern(name, (*parts, ")"))


def _of_ufunc(name: str, ufunc: np.ufunc, domain: tuple[str, ...]) -> list[Pattern]:
    kinds = domain or ("real",) * ufunc.nin
    if not domain and not any(t[0] in "dD" for t in ufunc.types):
        kinds = ("small integer",) * ufunc.nin
    out = [_anywhere(name, kinds)] * 2
    if ufunc.nin == 2 and ufunc.nout == 1 and ufunc.signature is None:
        for method in _METHODS:
            if name in _FOLDED_OTHERWISE and ".reduce" in method:
                continue
            text = method.replace("{}", name)
            maker = {"A": Hole("A", None), "B": Hole("A", (2,)), "C": Hole("A", (3,))}
            parts: list[str | Hole] = []
            for piece in text.replace("{", "\0").replace("}", "\0").split("\0"):
                parts.append(maker.get(piece, piece))
            out.append(Pattern(name, tuple(parts)))
    return out


@functools.cache
def patterns() -> dict[str, list[Pattern]]:
    """All patterns of every row that can be drawn, by the row's name."""
    out: dict[str, list[Pattern]] = {}
    for row in rows.values():
        if row.kind in ("unsupported", "host call") or row.name in _NOT_DRAWN:
            continue
        # (The reflections of a matrix without full rank follow from rounding errors.)
        texts = [t for t in (cases(row) or MORE.get(row.name, ())) if "empty" not in t and "'raw'" not in t]
        made = [pattern(row.name, t) for t in texts]
        if isinstance(row.func, np.ufunc) and not row.cases:
            made += _of_ufunc(row.name, row.func, row.domain)
        if made and (row.func is not None or found(row.name[3:]) is not None):
            out[row.name] = made
    return out


@functools.cache
def takes_out(name: str) -> bool:
    """True if the function has a parameter ``out``."""
    func: Any = rows[name].func
    if name.startswith("np.fft."):
        return False  # NumPy takes the length of the transform from it
    if isinstance(func, np.ufunc):
        return True
    try:
        return "out" in inspect.signature(func).parameters
    except (TypeError, ValueError):
        return False


def is_ufunc(name: str) -> bool:
    return isinstance(rows[name].func, np.ufunc)
