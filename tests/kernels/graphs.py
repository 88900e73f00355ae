"""Graphs built by hand, for the kernel tests."""

from __future__ import annotations

import numpy as np

from npdiff.avals import Aval, aval_of
from npdiff.core import Primitive
from npdiff.graph import Equation, Graph, Literal, Var, evaluate, verify


def _setitem(x, v, index):
    new = np.array(x, order="K")
    new[index] = v
    return new


STRUCTURAL = {
    "broadcast_to": lambda x, shape: np.broadcast_to(x, shape),
    "reshape": lambda x, shape: np.reshape(x, shape),
    "transpose": lambda x, axes: np.transpose(x, axes),
    "getitem": lambda x, *arrays, index: np.asarray(x)[index],
    "matmul": np.matmul,
    "setitem": _setitem,
    "concatenate": lambda *xs, axis: np.concatenate(xs, axis=axis),
}
REDUCING = {name: getattr(np, name) for name in ("sum", "prod", "max", "min", "any", "all")}


def _strong_multiply(ct, p):
    return np.where(np.equal(ct, 0), np.zeros((), np.result_type(ct, p)), np.multiply(ct, p))


def _strong_product(a, b):
    zero = np.equal(a, 0) | np.equal(b, 0)
    return np.where(zero, np.zeros((), np.result_type(a, b)), np.multiply(a, b))


OWN = {
    "where": np.where,
    "astype": lambda x, dtype: np.asarray(x).astype(dtype),
    "strong_multiply": _strong_multiply,
    "strong_product": _strong_product,
}


def _primitives():
    table = {n: Primitive(n, f, kind="linear") for n, f in {**STRUCTURAL, **REDUCING}.items()}
    table.update({n: Primitive(n, f, kind="elementwise") for n, f in OWN.items()})
    return table


PRIMITIVES = _primitives()


def primitive(name):
    """The primitive of this name; ufuncs are made on first use."""
    if name not in PRIMITIVES:
        ufunc = np._core.umath.clip if name == "clip" else getattr(np, name)
        PRIMITIVES[name] = Primitive(name, ufunc, kind="elementwise", ufunc=ufunc)
    return PRIMITIVES[name]


class Recorder:
    """Records equations; avals are found by running each one on ones."""

    def __init__(self, *examples):
        self.inputs = [Var(aval_of(x)) for x in examples]
        self.constants = {}
        self.equations = []

    def constant(self, value):
        v = Var(aval_of(value))
        self.constants[v] = value
        return v

    def __call__(self, prim, *args, aval=None, **params):
        if isinstance(prim, str):
            prim = primitive(prim)
        args = [a if isinstance(a, (Var, Literal)) else Literal(a) for a in args]
        if aval is None:
            with np.errstate(all="ignore"):
                out = prim.call(*[_stand_in(a) for a in args], **params)
            aval = aval_of(out) if not prim.multiple else [aval_of(o) for o in out]
        outputs = [Var(a) for a in aval] if isinstance(aval, list) else [Var(aval)]
        self.equations.append(Equation(prim, args, params, outputs))
        return outputs if prim.multiple or not outputs else outputs[0]

    def graph(self, *outputs):
        g = Graph(self.inputs, self.constants, self.equations, outputs)
        verify(g)
        return g


def _stand_in(a):
    if isinstance(a, Literal):
        return a.value
    if a.aval.weak:
        return {"b": True, "i": 1, "f": 1.0}[a.aval.dtype.kind]
    one = np.ones(a.aval.shape, a.aval.dtype)
    return one if a.aval.shape else one[()]


def expected(graph, args):
    """What NumPy computes, one equation after another."""
    with np.errstate(all="ignore"):
        return evaluate(graph, args)


def same(got, want, rtol=1e-12):
    """Assert equal shapes, dtypes and values (floats up to rounding)."""
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        b = np.asarray(b)
        assert isinstance(a, (np.ndarray, np.generic))
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if b.dtype.kind in "fc":
            tolerance = 2e-5 if b.real.itemsize == 4 else rtol
            scale = np.max(np.abs(b[np.isfinite(b)]), initial=0)
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)
        else:
            np.testing.assert_array_equal(a, b)


def kernels_of(executable):
    """How many kernels an executable has."""
    return int(executable.explain().split()[0])


__all__ = ["OWN", "PRIMITIVES", "Aval", "Literal", "Recorder", "Var", "expected", "kernels_of", "primitive", "same"]
