"""Inputs that are not contiguous: read where they lie, or copied, with the same results either way."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from graphs import Recorder, expected, same

from npdiff.kernels import GuardFailed, compile_graph, executable, layouts
from npdiff.kernels.layouts import MOST_VARIANTS, for_layouts
from npdiff.kernels.loop_ir import verify
from npdiff.kernels.schedule import schedule

real = executable.compile_kernel
SHAPE = (7, 13)


def _large(dtype):
    return np.random.default_rng(0).uniform(0, 3, (40, 40)).astype(dtype)


def _misaligned(dtype):
    a = _large(dtype)[:7, :13].copy()
    return np.frombuffer(b"\1" + a.tobytes(), np.uint8)[1:].view(dtype).reshape(SHAPE)


def _field(dtype):
    a = np.zeros(SHAPE, [("odd", "u1"), ("it", dtype)])
    a["it"] = _large(dtype)[:7, :13]
    return a["it"]


LAYOUTS = {
    "transposed": lambda t: _large(t)[:13, :7].copy().T,
    "part": lambda t: _large(t)[3:10, 5:18],
    "every other": lambda t: _large(t)[:14:2, 1:27:2],
    "reversed": lambda t: _large(t)[6::-1, 12::-1],
    "rows reversed": lambda t: _large(t)[6::-1, :13].copy()[::-1],
    "one row": lambda t: np.broadcast_to(_large(t)[0, :13], SHAPE),
    "one column": lambda t: np.broadcast_to(_large(t)[:7, :1], SHAPE),
    "one number": lambda t: np.broadcast_to(_large(t)[1, 1], SHAPE),
    "misaligned": _misaligned,
    "field of records": _field,
    "transposed part, reversed": lambda t: _large(t)[13:0:-1, 8:1:-1].T,
}


def graph_of(x, y):
    """Arithmetic, shifted views, a reduction over each axis, padding."""
    r = Recorder(x, y)
    a, b = r.inputs
    z = r.constant(np.broadcast_to(x.dtype.type(0), SHAPE))
    up, down = (slice(1, None),), (slice(None, -1),)
    shifted = r("setitem", z, r("getitem", a, index=up), index=down)
    turned = r("getitem", a, index=(slice(None), slice(None, None, -1)))
    mixed = r("add", r("multiply", r("add", a, b), turned), shifted)
    return r.graph(mixed, r("sum", r("multiply", a, b), axis=(0,)), r("sum", r("multiply", a, a), axis=(1,)),
                   r("transpose", r("add", r("add", a, a), b), axes=(1, 0)))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2"])
def test_results_do_not_depend_on_the_layout(dtype):
    dtype = np.dtype(dtype)
    y = _large(dtype)[20:27, :13].copy()
    g = graph_of(y, y)
    compiled = compile_graph(g)
    taken = set()

    def watched(kernel, shapes, given):
        made = for_layouts(kernel, shapes, given)
        verify(made[0])
        taken.add(len(made[1]))
        return made

    with patch.object(executable, "for_layouts", watched), patch.object(layouts, "_CALL", 0.0):
        for name, make in LAYOUTS.items():
            x = make(dtype)
            assert x.shape == SHAPE, name
            x.flags.writeable = False
            for pair in ((x, y), (x, x[...])):
                before = [a.tobytes() for a in pair]
                want = expected(g, pair)
                for _ in range(2):
                    same(compiled(*pair), want)
                assert [a.tobytes() for a in pair] == before
    assert taken >= {0, 1}


def loads_and_copies(build, x):
    """The strides of the loads from a layout, and the inputs that are copied."""
    r = Recorder(x)
    g = r.graph(build(r, r.inputs[0]))
    (step,) = schedule(g)
    kernel, copied = for_layouts(step.loose, [x.shape], [x.strides])
    verify(kernel)
    same(compile_graph(g)(x), expected(g, (x,)))
    return [n.data.strides for n in kernel.nodes if n.op == "load"], copied


def test_an_array_read_once_is_not_copied():
    x = _large("f8")
    for view in (x.T, x[::2, ::2], x[:, ::-1], x[3:9, 2:7]):
        strides, copied = loads_and_copies(lambda r, a: r("add", r("multiply", a, 2.0), 1.0), view)
        assert not copied
        assert strides == [tuple(s // 8 for s in view.strides)]


def test_the_innermost_loop_goes_along_what_lies_in_a_row():
    def total(r, a):
        return r("sum", r("multiply", r("exp", a), a), axis=None)

    def turned(r, a):
        return r("add", r("multiply", r("transpose", a, axes=(1, 0)), 2.0), 1.0)

    def both(r, a):
        return r("add", r("multiply", r("transpose", a, axes=(1, 0)), 2.0), r("getitem", a, index=(slice(23),)))

    x = np.random.default_rng(0).normal(size=(37, 23))
    # Nothing has to be written in the order of the operand.
    assert loads_and_copies(total, x.T)[0] == [(1,)]
    assert loads_and_copies(total, x[:, ::2].T)[0] == [(2, 23)]
    # A result is written in rows; only where more is read along them than written, it is written across.
    assert loads_and_copies(turned, x)[0] == [(1, 23)]
    assert loads_and_copies(turned, x.T)[0] == [(1,)]
    assert loads_and_copies(both, np.ones((23, 23)))[0] == [(1, 23), (23, 1)]


def test_an_array_read_often_with_a_stride_is_copied_and_one_in_a_row_is_not():
    def build(r, a):
        parts = [r("getitem", a, index=(slice(None), slice(k, k + 70))) for k in range(4)]
        return r("add", r("add", parts[0], parts[1]), r("add", parts[2], parts[3]))

    x = np.random.default_rng(0).normal(size=(90, 80))
    assert loads_and_copies(build, np.ones((90, 160))[:, ::2])[1] == [0]
    assert loads_and_copies(build, x[::2])[1] == []
    # The result alone is written with a stride instead.
    assert loads_and_copies(build, np.ones((80, 90)).T)[1] == []


def test_layouts_beyond_the_limit_are_copied():
    r = Recorder(np.zeros((4, 5)))
    a = r.inputs[0]
    g = r.graph(r("add", r("multiply", a, 2.0), 1.0))
    compiled = compile_graph(g)
    base = np.random.default_rng(0).normal(size=2000)
    kernels = []
    with patch.object(executable, "compile_kernel", lambda k: kernels.append(k) or real(k)):
        for k in range(1, 30):
            x = np.lib.stride_tricks.as_strided(base, (4, 5), (8 * k * 7, 8 * k))
            same(compiled(x), expected(g, (x,)))
    assert len(kernels) == MOST_VARIANTS


def test_an_array_that_does_not_fit_is_refused_in_any_layout():
    r = Recorder(np.zeros((4, 5)))
    compiled = compile_graph(r.graph(r("add", r("multiply", r.inputs[0], 2.0), 1.0)))
    with pytest.raises(GuardFailed):
        compiled(np.zeros((5, 4)))
    with pytest.raises(GuardFailed):
        compiled(np.zeros((5, 4), np.float32).T)
