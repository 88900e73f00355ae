"""Which steps of the CPU's schedule run where: kernels and CuPy on the card, the rest on the host, and why."""

from __future__ import annotations

from dataclasses import dataclass

from npdiff.avals import Aval
from npdiff.backend.cuda_device import DTYPES
from npdiff.backend.cuda_rules import HOST, NAMED, ORDERED, RULES, SPECIAL, Rule, by_name, special, ufunc
from npdiff.graph import Equation

_GUARDS = ("guard_truth", "guard_equal")


@dataclass(frozen=True)
class Way:
    """How one equation between kernels is evaluated: by a rule on the card, or on the host, and why."""

    rule: Rule | None
    why: str = ""


def _holds(a: Aval) -> bool:
    return a.dtype in DTYPES and a.dtype.isnative


def way_of(eq: Equation) -> Way:
    """Where an equation is evaluated."""
    name = eq.prim.name
    if name in HOST:
        return Way(None, HOST[name])
    if eq.prim.ordered and name not in _GUARDS:
        return Way(None, "it has an effect, and happens in order")
    if not all(_holds(a.aval) for a in [*eq.inputs, *eq.outputs]):
        return Way(None, "CuPy has no such dtype")
    if all(a.aval.weak for a in [*eq.inputs, *eq.outputs]) and eq.outputs:
        return Way(None, "Python computes with Python numbers")
    if name in ORDERED and any(a.aval.dtype.kind == "c" for a in eq.inputs):
        return Way(None, "complex numbers have an order in NumPy only")
    if name in RULES:
        return Way(RULES[name])
    if name in NAMED:
        return Way(by_name)
    if name in SPECIAL:
        return Way(special)
    if name.startswith("scipy."):
        return Way(None, "SciPy computes it")
    if eq.prim.ufunc is not None:
        return Way(ufunc)
    return Way(None, "nobody has looked whether CuPy's is NumPy's")


__all__ = ["Way", "way_of"]
