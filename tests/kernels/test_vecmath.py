"""Vector math against mpmath and NumPy, at every width, and the machine code it becomes."""

from __future__ import annotations

import ctypes
import importlib
import itertools
import pathlib
import re
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest
from graphs import Recorder, expected, kernels_of, same

import npdiff
from npdiff.kernels import compile_graph
from npdiff.kernels.chunks import Work
from npdiff.kernels.compile_cpu import compile_kernel
from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Node, Store
from npdiff.kernels.pieces import split
from npdiff.kernels.render_cpu import FEW_CALLS, render
from npdiff.kernels.vecmath.coefficients import TABLES
from npdiff.kernels.vecmath.library import FUNCTIONS, definition

TOOLS = pathlib.Path(__file__).parent.parent.parent / "tools"
sys.path.insert(0, str(TOOLS))
try:
    accuracy = importlib.import_module("accuracy")
    generator = importlib.import_module("vector_math_coefficients")
finally:
    sys.path.remove(str(TOOLS))

DTYPES = accuracy.DTYPES


def text_of(kernel, bits, fma):
    return render(kernel, split(kernel), bits, Work(1000, 1000), fma)


def edges(name, dtype):
    with np.errstate(all="ignore"):
        values = np.unique(np.array(accuracy.EDGES).astype(dtype).view(f"u{dtype.itemsize}")).view(dtype)
    return [np.array(x) for x in zip(*itertools.product(values, repeat=accuracy.arity(name)), strict=True)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", accuracy.NAMES)
def test_errors_stay_below_two_and_a_half_units_in_the_last_place(name, dtype):
    found = accuracy.worst(name, dtype, 20_000)
    assert found.error <= 2.5, found


def test_the_measure_sees_errors():
    y = np.float64(np.exp(1.0))
    assert accuracy.error("exp", (1.0,), y) < 1
    assert 2.5 < accuracy.error("exp", (1.0,), y + 3 * np.spacing(y)) < 4
    assert accuracy.error("exp", (1000.0,), np.float64(np.inf)) == 0
    assert accuracy.error("exp", (1000.0,), np.finfo(float).max) == 1
    assert accuracy.error("log", (-1.0,), np.float64(0)) == np.inf
    assert accuracy.error("log", (1.5,), np.float64(np.nan)) == np.inf


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", accuracy.NAMES)
def test_edges_are_numpys(name, dtype):
    xs = edges(name, dtype)
    y = accuracy.evaluate(name, *xs)
    want = accuracy.numpy_function(name)(*xs)
    assert y.dtype == want.dtype
    for got, right, *at in zip(y, want, *xs, strict=True):
        # Both err, the C library by up to a few units; SciPy by far where something overflows on its way.
        if np.isfinite(right) and right and abs(got - right) <= 5 * np.spacing(abs(right)):
            continue
        if np.array_equal(got, right, equal_nan=True):
            assert np.isnan(right) or np.signbit(got) == np.signbit(right), (at, got, right)
            continue
        assert np.all(np.isfinite(at)), (at, got, right)
        assert accuracy.exact_value(name, tuple(at)) is not None, (at, got, right)
        assert accuracy.error(name, tuple(at), got) <= 2.5, (at, got, right)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted({*FUNCTIONS} & {*accuracy.NAMES}))
def test_every_width_gives_the_same_bits(name, dtype):
    xs = [x[:67] for x in accuracy.samples(name, dtype, 400, seed=3)]
    whole = accuracy.evaluate(name, *xs)
    for n in (1, 5, 17, 33):
        np.testing.assert_array_equal(accuracy.evaluate(name, *[x[:n] for x in xs]), whole[:n])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "log", "pow"])
def test_unusual_numbers_leave_their_neighbours_as_they_were(name, dtype):
    xs = [np.linspace(0.5, 3, 64).astype(dtype) for _ in range(accuracy.arity(name))]
    near = accuracy.evaluate(name, *xs)
    for k, odd in enumerate((np.nan, -np.inf, 0.0, np.finfo(dtype).tiny / 4, 1e4)):
        xs[0][7 * k] = odd
    mixed = accuracy.evaluate(name, *xs)
    usual = np.arange(64)[[i % 7 > 0 or i > 28 for i in range(64)]]
    np.testing.assert_array_equal(mixed[usual], near[usual])
    want = accuracy.numpy_function(name)(*xs)
    np.testing.assert_allclose(mixed, want, rtol=1e-14 if dtype.itemsize == 8 else 1e-6)


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_one_huge_angle_leaves_its_neighbours_as_they_were(name):
    x = np.linspace(-3, 3, 16)
    near = accuracy.evaluate(name, x)
    x[5] = 1e22
    mixed = accuracy.evaluate(name, x)
    assert abs(mixed[5] - getattr(np, name)(1e22)) <= 2 * np.spacing(abs(mixed[5]))
    np.testing.assert_allclose(np.delete(mixed, 5), np.delete(near, 5), rtol=1e-15)


@pytest.mark.parametrize("size", [1, 3, 4, 7, 16, 31, 64, 1000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_next_to_reductions(size, dtype):
    x = np.linspace(0.1, 2, size).astype(dtype)
    r = Recorder(x)
    a = r.inputs[0]
    y = r("multiply", r("exp", a), r("sin", a))
    z = r("add", r("log", a), r("tanh", y))
    g = r.graph(r("sum", y, axis=None, keepdims=False), r("max", z, axis=None, keepdims=False), z)
    k = compile_graph(g)
    same(k(x), expected(g, (x,)), rtol=1e-5 if dtype.itemsize == 4 else 1e-13)


@pytest.mark.parametrize("size", [2, 5, 100, 1001])
def test_many_uses_in_one_kernel(size):
    x = np.linspace(0.1, 2, size)
    r = Recorder(x)
    y = r.inputs[0]
    for name in ["exp", "log1p", "sin", "arctan", "sqrt", "tanh", "cosh", "log", "cbrt"]:
        y = r(name, r("multiply", y, 0.9))
    g = r.graph(y)
    k = compile_graph(g)
    assert kernels_of(k) == 1
    same(k(x), expected(g, (x,)), rtol=1e-13)


def test_a_value_and_its_gradient_leave_nothing_to_numpy():
    def f(x):
        return np.sum(np.tanh(x) * np.exp(-x) + np.log1p(x) * np.arctan(x) + np.sin(x) * np.power(x, 1.5))

    x = np.linspace(0.1, 2, 5000)
    text = npdiff.jit(npdiff.value_and_grad(f)).explain(x)
    assert "1 kernels, 0 host calls" in text


def kernel_of(names, dtype, size=1000):
    """Functions of one operand applied in turn."""
    nodes = [Node("load", dtype, (), Access(0, 0, (1,)))]
    nodes += [Node("call", dtype, (k,), name) for k, name in enumerate(names)]
    buffer = (Buffer(dtype, size),)
    return Kernel((size,), buffer, buffer, tuple(nodes), (Store(len(names), Access(0, 0, (1,))),), ())


def machine_code(text, triple, cpu):
    """The assembly for another machine."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
    module = llvm.parse_assembly(text)
    module.triple = triple
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(module, builder)
    return machine.emit_assembly(module)


MACHINES = {
    "haswell": ("x86_64-unknown-linux-gnu", "haswell", 256, r"vfn?m(add|sub)\d+p[sd]\s.*%ymm"),
    "avx512": ("x86_64-unknown-linux-gnu", "skylake-avx512", 512, r"vfn?m(add|sub)\d+p[sd]\s.*%zmm"),
    "neon": ("aarch64-unknown-linux-gnu", "neoverse-n1", 128, r"\bfml[as]\s+v\d+\.(2d|4s)"),
}


def functions_of(code):
    """The instructions of each function."""
    parts = re.split(r"^(?:\"([\w.]+)\"|([\w.]+)):", code, flags=re.M)
    found, name = {}, ""
    for quoted, plain, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        label = quoted or plain
        if not label.startswith(".L"):
            name = label
        found[name] = found.get(name, "") + body
    return found


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_become_vector_code(name, dtype, machine):
    triple, cpu, bits, pattern = MACHINES[machine]
    known = definition(name, dtype, bits // 8 // dtype.itemsize, False)
    text = "\n".join([*known.declarations, known.text]).replace("define internal", "define")
    code = functions_of(machine_code(text, triple, cpu))
    hot = code[known.symbol]
    assert re.search(pattern, hot), hot
    assert not re.search(r"^\s+(callq?|bl)\s+(?!.*vecmath)", hot, re.M), hot
    # Nothing is worked out lane by lane; loads of constants into all lanes are no work.
    assert not re.search(r"\bv?(mul|add|sub|div|sqrt|fn?m(add|sub)\d+)s[sd]\b", hot), hot


@pytest.mark.parametrize("names", [["exp"], ["exp", "sin", "tanh", "log", "atan", "cbrt"]], ids=["few", "many"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_become_vector_code(dtype, names):
    code = functions_of(machine_code(text_of(kernel_of(names, dtype), 256, fma=True), *MACHINES["haswell"][:2]))
    inside = [name for name in code if name.startswith("vecmath") and not name.endswith("far")]
    assert len(inside) == (0 if len(names) <= FEW_CALLS else len(names))
    called = set(re.findall(r"\b(?:callq?|jmp)\s+\"?([a-z][\w.]*)", code["npdiff_kernel"]))
    assert called <= set(code)
    assert "ymm" in code["npdiff_kernel"]


@pytest.mark.parametrize("names", [["exp"], ["sin", "exp", "tanh", "sin", "atan"]], ids=["few", "many"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_stay_inside_their_arrays(dtype, names):
    for size in range(1, 40 if dtype.itemsize == 8 else 72):
        code = compile_kernel(kernel_of(names, dtype, size))
        around = np.full(size + 128, 7, dtype)
        operand, result = np.ones(size, dtype), around[64:64 + size]
        addresses = (ctypes.c_void_p * 2)(operand.ctypes.data, result.ctypes.data)
        ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(code.loops)(
            ctypes.addressof(addresses), 0, size)
        assert np.flatnonzero(around != 7).tolist() == list(range(64, 64 + size)), size


def test_without_fused_multiply_add_the_c_library_is_called():
    text = text_of(kernel_of(["exp"], DTYPES[0]), 128, fma=False)
    assert text.count("call double @exp(double") == 2
    assert "vecmath" not in text
    assert "llvm.fma" not in text


def test_constants_are_those_of_the_tool():
    # Those found by exchange take long to find again: what they promise is looked at instead.
    short = generator.tables(long=False)
    assert {name: TABLES[name] for name in short} == short
    with generator.mp.workdps(80):
        fits = generator.exchanged()
        for name, (f, weight, by_size) in fits.items():
            for size, (low, high, degree) in by_size.items():
                c = TABLES[name][size]
                assert len(c) == degree + 1
                xs = [low + (high - low) * generator.mpf(k) / 8 for k in range(9)]
                # Rounded coefficients are off by up to half a unit in the last place.
                slack = [sum(abs(q * x**k) for k, q in enumerate(c)) * 2.0**(-53 if size == 8 else -24) for x in xs]
                errors = [abs(generator.value_of(c, x) - f(x)) for x in xs]
                goal = generator.mpf(2)**generator.GOAL[size]
                assert all(e <= s + goal / abs(weight(x)) for e, s, x in zip(errors, slack, xs, strict=True)), name
    assert set(TABLES) == {*short, *fits, *[f"{name}_REST" for name in generator.LONG]}


def test_the_page_lists_every_function():
    page = (TOOLS.parent / "docs" / "accuracy.md").read_text()
    rows = {line.split("`")[1]: line.split("|") for line in page.splitlines() if line.startswith("| `")}
    assert set(rows) == set(map(accuracy.label, accuracy.NAMES))
    assert all(0 < float(row[k]) <= 2.5 for row in rows.values() for k in (2, 4))
