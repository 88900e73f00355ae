"""Every kernel family becomes PTX, which needs no card: a type error of Numba's shows here."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.special
from cut import APART, kernels_of
from graphs import Primitive, Recorder, primitive

from npdiff.graph import Slot
from npdiff.kernels import cuda
from npdiff.kernels.complex_rules import COMPLEX
from npdiff.kernels.cuda import run
from npdiff.kernels.cuda.lines import keyed
from npdiff.kernels.cuda.plan import plan
from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Node, Reduction, Store, guarded, verify
from npdiff.kernels.special_rules import SPECIAL
from npdiff.kernels.ufunc_rules import RULES

ARCHITECTURES = [(8, 0), (9, 0)]


pytestmark = pytest.mark.skipif(bool(cuda.missing()), reason=f"{cuda.missing()}: install npdiff[ptx]")


def lines(ptx):
    """Its instructions, counted by name."""
    found = re.findall(r"^\s+(?:@!?%p\d+ )?([a-z][\w.]+)\s", ptx, re.M)
    return {name: found.count(name) for name in found}


def chain(shape, dtype="f"):
    """x * y + x and x < y as one kernel."""
    r = Recorder(np.ones(shape, dtype), np.ones(shape, dtype))
    a, b = r.inputs
    kernel, = kernels_of(r.graph(r("add", r("multiply", a, b), a), r("less", a, b)))
    return kernel


@pytest.mark.parametrize("dtype", "? b i Q f d".split())
def test_every_ufunc_of_the_table(dtype):
    xs = [np.ones(40, dtype) for _ in range(3)]
    r = Recorder(*xs)
    used = []
    for name, rule in RULES.items():
        ufunc = primitive(name).ufunc
        if np.dtype(dtype).kind in rule.kinds and not (dtype == "?" and name in ("subtract", "negative")):
            used.append(r(name, *r.inputs[:ufunc.nin]))
    for target in "? i d".split():
        used.append(r("astype", r.inputs[0], dtype=np.dtype(target if np.dtype(dtype).kind != "f" else "?")))
    kernel, = kernels_of(r.graph(*used))
    assert ".target sm_90" in cuda.ptx(kernel, (9, 0))


@pytest.mark.parametrize(("dtype", "cc"), [("F", (8, 0)), ("D", (9, 0))])
def test_every_ufunc_of_complex_numbers(dtype, cc):
    r = Recorder(np.ones(40, dtype), np.ones(40, dtype))
    names = [n for n in COMPLEX if hasattr(np, n)]
    kernel, = kernels_of(r.graph(*[r(n, *r.inputs[:getattr(np, n).nin]) for n in names]))
    assert "complex" in {n.op for n in kernel.nodes}
    assert f".target sm_{cc[0]}{cc[1]}" in cuda.ptx(kernel, cc)


@pytest.mark.parametrize(("dtype", "cc"), [("f", (8, 0)), ("d", (9, 0))])
def test_scipys_functions(dtype, cc):
    r = Recorder(np.ones(40, dtype), np.ones(40, dtype))
    for name in set(SPECIAL) - APART:
        ufunc = getattr(scipy.special, name.rpartition(".")[2])
        r(Primitive(name, ufunc, kind="elementwise", ufunc=ufunc), *r.inputs[:ufunc.nin])
    kernel, = kernels_of(r.graph(*[eq.outputs[0] for eq in r.equations]))
    assert f".target sm_{cc[0]}{cc[1]}" in cuda.ptx(kernel, cc)


@pytest.mark.parametrize("cc", ARCHITECTURES)
@pytest.mark.parametrize(("dtype", "load", "count"), [("f", "ld.global.v4.f32", 2), ("d", "ld.global.v2.f64", 2),
                                                      ("e", "ld.global.v4.u16", 2),
                                                      ("b", "ld.global.v4.u8", 2), ("?", "ld.global.v4.u8", 2)])
def test_vectors_in_memory(cc, dtype, load, count):
    ptx = cuda.ptx(chain(1 << 20, dtype), cc)
    assert f".target sm_{cc[0]}{cc[1]}" in ptx
    assert lines(ptx)[load] == count
    assert any(name.startswith("st.global.v") for name in lines(ptx))


def test_a_product_and_a_sum_are_not_contracted():
    for shape in ((50,), (1 << 20,)):
        found = lines(cuda.ptx(chain(shape), (9, 0)))
        assert not any(name.startswith("fma") for name in found)
        assert found["mul.f32"] == found["add.rn.f32"]


def folded(dtype, shape, axis):
    """The sum (or any) and the maximum (or all, or product) along an axis; no array of this shape is made."""
    kind, size = np.dtype(dtype), int(np.prod(shape))
    out = Buffer(kind, size // shape[axis])
    strides = [int(np.prod(shape[k + 1:])) for k in range(len(shape))]
    kept = tuple(0 if k == axis else s if k > axis else s // shape[axis] for k, s in enumerate(strides))
    ops = ("or", "and") if dtype == "?" else ("add", "mul") if kind.kind == "c" else ("add", "maximum")
    load = Node("load", kind, (), Access(0, 0, tuple(strides)))
    kernel = Kernel(shape, (Buffer(kind, size),), (out, out), (load,), (),
                    tuple(Reduction(op, 0, (axis,), Access(k, 0, kept)) for k, op in enumerate(ops)))
    verify(kernel)
    return kernel


# One thread, a warp and a block for an output; one block, and one thread, for each of its parts.
FAMILIES = {"thread": ((1 << 18, 4), 1, [1], 1), "warp": ((5000, 100), 1, [32], 1),
            "block": ((3000, 20000), 1, [256], 1), "blocks": ((1 << 24,), 0, [256, 32], 1024),
            "columns": ((1 << 14, 64), 0, [1, 1], 1024)}


@pytest.mark.parametrize(("cc", "dtype", "family"), [
    *[((8, 0), "f", family) for family in FAMILIES], *[((9, 0), "d", family) for family in FAMILIES],
    *[((9, 0), dtype, "blocks") for dtype in "?bqFD"], ((8, 0), "D", "thread"), ((8, 0), "F", "columns"),
])
def test_reductions(cc, dtype, family):
    shape, axis, groups, parts = FAMILIES[family]
    kernel = folded(dtype, shape, axis)
    passes = plan(kernel, cuda.Config()).passes
    assert [p.group for p in passes] == groups
    assert passes[0].parts == parts
    found = lines(cuda.ptx(kernel, cc))
    assert ("shfl.sync.down.b32" in found) == any(g > 1 for g in groups)
    assert ("bar.sync" in found) == (256 in groups)


@pytest.mark.parametrize(("rows", "bits"), [(1 << 15, "32"), (1 << 16, "64")])
def test_long_arrays_have_indices_of_64_bits(rows, bits):
    i1, size = np.dtype("b"), rows << 15
    nodes = (Node("load", i1, (), Access(0, 0, (1 << 15, 1))), Node("load", i1, (), Access(1, 0, (1, 0))),
             Node("add", i1, (0, 1)))
    kernel = Kernel((rows, 1 << 15), (Buffer(i1, size), Buffer(i1, rows)), (Buffer(i1, size),), nodes,
                    (Store(2, Access(0, 0, (1 << 15, 1))),), ())
    verify(kernel)
    compared = {n[-2:] for n in lines(cuda.ptx(kernel, (9, 0))) if n.startswith("setp.")}
    assert compared == {bits}


@pytest.mark.parametrize(("dtype", "cc"), [("f", (8, 0)), ("e", (9, 0)), ("?", (9, 0)), ("D", (9, 0))])
def test_cases_by_the_index(dtype, cc):
    r = Recorder(np.ones((40, 30), dtype))
    a = r("setitem", r.inputs[0], r("getitem", r.inputs[0], index=np.s_[2:, 2:]), index=np.s_[1:-1, :-2])
    kernel, = kernels_of(r.graph(r("where", a, r("setitem", a, 1, index=np.s_[:, 3]), a)))
    assert guarded(kernel)
    assert "selp" in cuda.ptx(kernel, cc)


@pytest.mark.parametrize(("dtype", "cc"), [("f", (8, 0)), ("e", (9, 0)), ("?", (9, 0)), ("D", (9, 0))])
def test_gathers(dtype, cc):
    take = Primitive("getitem", lambda x, k, index: np.asarray(x)[:, k], kind="linear")
    for n in (40, 1 << 20):
        r = Recorder(np.ones((3, n), dtype), np.ones(n, "i4"))
        a = r(take, *r.inputs, index=(slice(None), Slot(0)))
        kernel, = kernels_of(r.graph(r("where", a, a, a)))
        assert "select" in cuda.source(kernel)
        assert f".target sm_{cc[0]}{cc[1]}" in cuda.ptx(kernel, cc)


@pytest.mark.parametrize(("name", "dtype", "cc"), [
    *[("cumsum", d, (8, 0)) for d in "bf"], ("cumprod", "d", (9, 0)), ("argmax", "?", (9, 0)), ("argmax", "e", (9, 0)),
    ("argmin", "d", (8, 0))])
def test_lines(name, dtype, cc):
    for shape in ((1, 1 << 18, 1), (3, 5, 2)):
        whole = run.ALONG[name](np.dtype(dtype), *shape, cuda.Config())
        assert f".target sm_{cc[0]}{cc[1]}" in run.launches_ptx(whole, cc)
        assert (len(whole.codes) > 1) == (shape[1] > 5)


@pytest.mark.parametrize(("dtype", "inner", "cc"), [("f", 1, (8, 0)), ("d", 3, (9, 0)), ("b", 1, (9, 0))])
def test_sums_by_key(dtype, inner, cc):
    ptx = run.launches_ptx(keyed(np.dtype(dtype), 1 << 16, inner, cuda.Config()), cc)
    assert f".target sm_{cc[0]}{cc[1]}" in ptx
    assert "atom" not in ptx
    assert "red." not in ptx
