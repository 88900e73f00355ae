"""The loop IR: its verifier is fed broken kernels, its printer is read, axes collapse."""

from __future__ import annotations

import re

import numpy as np
import pytest
from graphs import Recorder

from npdiff.kernels import compile_graph
from npdiff.kernels.loop_ir import (
    Access,
    Buffer,
    IRError,
    Kernel,
    Node,
    Reduction,
    Store,
    collapse,
    identity,
    show,
    verify,
)

F8, B1, I8 = np.dtype("f8"), np.dtype("?"), np.dtype("i8")
SIX = Buffer(F8, 6)
LOAD = Node("load", F8, (), Access(0, 0, (3, 1)))


def kernel(nodes=(LOAD,), stores=None, reductions=(), sizes=(2, 3), outputs=(SIX,)):
    if stores is None:
        stores = (Store(len(nodes) - 1, Access(0, 0, (3, 1))),)
    return Kernel(sizes, (Buffer(F8, 6),), outputs, tuple(nodes), tuple(stores), tuple(reductions))


def folded(op, axis, strides, size):
    """What turns the kernel into a reduction."""
    reduction = Reduction(op, 0, (axis,), Access(0, 0, strides))
    return {"stores": (), "reductions": (reduction,), "outputs": (Buffer(F8, size),)}


def test_a_sound_kernel_passes():
    verify(kernel())
    verify(kernel(stores=(), reductions=(Reduction("add", 0, (1,), Access(0, 0, (1, 0))),), outputs=(Buffer(F8, 2),)))


@pytest.mark.parametrize(("broken", "says"), [
    ({"nodes": (LOAD, Node("add", F8, (0, 1)))}, "not before it"),
    ({"nodes": (LOAD, Node("add", F8, (0,)))}, "1 operands"),
    ({"nodes": (LOAD, Node("frobnicate", F8, (0,)))}, "not an operation"),
    ({"nodes": (LOAD, Node("add", I8, (0, 0)))}, "ill-typed"),
    ({"nodes": (LOAD, Node("and", F8, (0, 0)))}, "not defined for"),
    ({"nodes": (LOAD, Node("lt", F8, (0, 0)))}, "ill-typed"),
    ({"nodes": (LOAD, Node("select", F8, (0, 0, 0)))}, "ill-typed"),
    ({"nodes": (LOAD, Node("cast", I8, (0,)))}, "not defined for every value"),
    ({"nodes": (LOAD, Node("cast", F8, (0, 0)))}, "2 operands"),
    ({"nodes": (LOAD, Node("call", F8, ()))}, "malformed"),
    ({"nodes": (Node("const", F8, (), 1.0),)}, "holds"),
    ({"nodes": (Node("index", F8, (), Access(0, 0, (3, 1))),)}, "malformed"),
    ({"nodes": (Node("index", I8, (), Access(0, 0, (1,))),)}, "has 1 strides"),
    ({"nodes": (Node("const", np.dtype("f2"), (), np.float16(1)),)}, "dtype"),
    ({"nodes": (Node("load", F8, (), Access(0, 1, (3, 1))),)}, "touches"),
    ({"nodes": (Node("load", F8, (), Access(0, 0, (3, -1))),)}, "touches"),
    ({"nodes": (Node("load", F8, (), Access(7, 0, (3, 1))),)}, "buffer 7"),
    ({"nodes": (Node("load", F8, (), Access(0, 0, (1,))),)}, "strides"),
    ({"nodes": (Node("load", I8, (), Access(0, 0, (3, 1))),)}, "dtype"),
    ({"sizes": (0, 3)}, "positive"),
    ({"stores": ()}, "exactly one store"),
    ({"stores": (Store(9, Access(0, 0, (3, 1))),)}, "unknown node"),
    ({"stores": (Store(0, Access(0, 0, (3, 1))),), "outputs": (Buffer(I8, 6),)}, "dtype"),
    ({"stores": (Store(0, Access(0, 0, (3, 1))),), "outputs": (Buffer(F8, 9),)}, "writes 6 of 9"),
    (folded("sub", 1, (1, 0), 2), "sub"),
    (folded("or", 1, (1, 0), 2), "or"),
    (folded("add", 5, (1, 0), 2), "axes"),
    (folded("add", 1, (1, 1), 6), "along"),
    (folded("add", 1, (1, 0), 3), "of 3"),
])
def test_the_verifier_rejects(broken, says):
    with pytest.raises(IRError, match=says):
        verify(kernel(**broken))


def test_axes_walked_as_one_collapse():
    assert collapse(kernel()).sizes == (6,)
    turned = kernel(nodes=(Node("load", F8, (), Access(0, 0, (1, 2))),))
    assert collapse(turned).sizes == (2, 3)
    rows = kernel(stores=(), reductions=(Reduction("add", 0, (1,), Access(0, 0, (1, 0))),), outputs=(Buffer(F8, 2),))
    assert collapse(rows).sizes == (2, 3)
    verify(collapse(rows))


def test_the_printer_shows_loops_nodes_and_writes():
    text = show(kernel(nodes=(LOAD, Node("call", F8, (0,), "exp"))))
    assert text.splitlines() == [
        "kernel for i0 < 2, i1 < 3", "  %0:float64 = in0[3*i0 + i1]", "  %1:float64 = exp %0", "  out0[3*i0 + i1] = %1",
    ]


def test_identities():
    assert identity("maximum", I8) == np.iinfo(np.int64).min
    assert identity("minimum", F8) == np.inf
    assert identity("and", B1)


def test_a_hot_kernel_is_vector_code():
    x = np.ones(5000)
    r = Recorder(x)
    a = r.inputs[0]
    y = r("add", r("multiply", a, a), 1.0)
    [text] = compile_graph(r.graph(y, r("sum", y, axis=None, keepdims=False))).llvm()
    assert re.search(r"fmul <\d+ x double>", text)
    assert re.search(r"load <\d+ x double>", text)
    assert re.search(r"store <\d+ x double> %v\d+, ptr %v\d+, align 1", text)
