"""What `explain`, `profile` and `picture` show of a jitted call, and that looking changes nothing."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from wording import assert_says

import npdiff
from npdiff.errors import ArgumentError
from npdiff.kernels import costs
from npdiff.kernels.loop_ir import Access, Buffer, Kernel, Node, Reduction, Store
from npdiff.steps import shortened, show_bytes, show_count, show_seconds, table

F8 = np.dtype(np.float64)
X = np.linspace(0.1, 1.0, 1600).reshape(40, 40) + 40 * np.eye(40)
W = np.linspace(-1.0, 1.0, 40)


def loss(x, w):
    z = np.tanh(np.linalg.inv(x) * w)
    return np.sum(np.exp(-z * z) * np.cos(3 * z))


@pytest.fixture(scope="module")
def jitted():
    f = npdiff.jit(loss)
    for _ in range(2):
        f(X, W)
    return f


def test_explain_shows_groups_steps_and_times(jitted):
    lines = jitted.explain(X, W).splitlines()
    head = next(line for line in lines if "estimated" in line)
    rows = [lines[lines.index(head) + k].split() for k in (1, 2)]
    assert rows[0][:3] == ["0", "call", "linalg.inv"]
    assert rows[1][:4] == ["1", "kernel", "4", "multiply,"]
    kernel = lines[lines.index(head) + 2]
    assert "1600" in kernel or "40x40" in kernel
    assert "13.1 kB" in kernel  # 40 x 40 and 40 float64 read, one number written
    assert " x float64" in kernel
    assert kernel.rstrip().endswith("%")
    assert head.index("computes") == lines[lines.index(head) + 1].index("linalg.inv") == kernel.index("4 multiply")
    grouped = lines[lines.index("  step by step (the same number: one kernel):") + 1:]
    assert grouped[0].split("=")[1].strip() == "input x"
    assert [line.split()[0] for line in grouped[2:9]] == ["0", "1", "1", "1", "1", "1", "1"]
    assert max(map(len, lines[lines.index(head):lines.index(head) + 4])) <= 150


def test_explain_says_when_another_path_was_not_measured():
    f = npdiff.jit(lambda x: np.sum(x * x) * 2 if x[0] > 0 else np.sum(x * x * x))
    for sign in (1.0, -1.0, 1.0):
        f(sign * np.ones(40))
    text = f.explain(np.ones(40))
    assert text.count("recording ") == 2
    assert text.count("not measured: these arguments take another path") == 1
    assert text.count("one run: ") == 1


def test_profile_is_a_table_of_numbers(jitted):
    p = jitted.profile(X, W)
    assert [s.step.kind for s in p.steps] == ["call", "kernel"]
    call, kernel = p.steps
    assert call.step.names == "linalg.inv"
    assert call.step.operations is None
    assert call.step.bytes == 8 * 2 * 40 * 40
    assert kernel.step.names == "4 multiply, tanh, negative, exp, cos, sum"
    assert (kernel.step.read, kernel.step.written) == (8 * (40 * 40 + 40), 8)
    assert kernel.step.operations > 1600 * 8
    assert kernel.step.threads >= 1
    assert kernel.step.estimate > 0
    for s in p.steps:
        assert s.seconds > 0
        assert s.bytes_per_second == s.step.bytes / s.seconds
        assert s.share == s.seconds / p.seconds
    assert p.runs >= 3
    assert p.between == pytest.approx(max(0.0, p.seconds - call.seconds - kernel.seconds))
    lines = repr(p).splitlines()
    assert lines[0].startswith("npdiff.jit(loss) on cpu: ")
    assert lines[2].split() == ["#", "step", "computes", "time", "share", "moved", "bytes/s", "ops/s"]
    assert [line.split()[0] for line in lines[3:]] == ["0", "1", "between"]


def test_looking_changes_nothing(capsys):
    def f(x):
        x += np.random.normal(size=3)  # noqa: NPY002
        print("seen")
        return x * 2

    g = npdiff.jit(f)
    x = np.zeros(3)
    np.random.seed(0)  # noqa: NPY002
    for look in (g.explain, g.profile, g.picture):
        look(x)
    np.testing.assert_array_equal(x, 0)
    drawn = np.random.normal()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    assert drawn == np.random.normal()  # noqa: NPY002
    assert capsys.readouterr().out == ""
    assert len(g._entries) == 1
    g(x)
    assert capsys.readouterr().out == "seen\n"


@pytest.mark.parametrize("make", [np.asfortranarray, lambda x: x[::2], lambda x: x.astype(object)],
                         ids=["fortran", "strided", "objects"])
def test_explain_records_for_the_layout_it_is_given(make):
    x = make(np.ones((4, 3)))
    x.flags.writeable = False
    f = npdiff.jit(lambda x: x * 1)
    assert "1 recording(s)" in f.explain(x)
    assert "1 signature(s)" in f.explain(x)


def test_the_same_array_twice_is_one_array():
    f = npdiff.jit(lambda x, y: x * 2 + y)
    x = np.ones(5)
    f.explain(x, x)
    (entry,) = f._entries.values()
    assert entry.recordings[0].identities == (0, 0)


def test_nothing_to_look_into():
    def f(x):
        import time

        return x * time.time()

    g = npdiff.jit(f)
    with pytest.warns(npdiff.errors.JitWarning):
        g(X)
    why = r"there is no compiled code of f to look into: time.time gives another answer or acts outside"
    for name in ("profile", "picture"):
        with pytest.raises(ArgumentError, match=f"^{name}: {why}"):
            getattr(g, name)(X)


def test_a_function_that_raises_does_so_when_looked_at():
    with pytest.raises(ZeroDivisionError):
        npdiff.jit(lambda x: 1 / 0).explain(X)


def test_picture_is_dot_text(jitted, tmp_path):
    picture = jitted.picture(X, W)
    dot = picture.dot
    assert str(picture) == dot
    assert dot.startswith("digraph fusion {")
    assert dot.count("{") == dot.count("}")
    for part in ("subgraph cluster1 {", "<b>kernel 1</b>", "<b>linalg.inv</b>", "<b>x</b>", "<b>w</b>", "<b>result</b>",
                 "float64[40,40]  12.8 kB", ">multiply 3<"):
        assert part in dot, part
    inside = dot.partition("subgraph cluster1")[2].partition("\n  }")[0]
    assert inside.count("label=") == 10  # its head, and nine equations that are fused
    # Memory is read once: one arrow for each of two arrays leads into the kernel.
    assert dot.count(" -> load1_") == 2
    jitted.picture(X, W, file=tmp_path / "a.dot")
    assert (tmp_path / "a.dot").read_text().startswith("digraph fusion {")


def test_large_kernels_are_one_box():
    def f(x):
        for k in range(60):
            x = x * 1.5 + k
        return x

    dot = npdiff.jit(f).picture(np.ones(100)).dot
    assert "subgraph" not in dot
    assert "60 multiply, 60 add" in dot


def test_pictures_need_graphviz_or_another_name(jitted, tmp_path, monkeypatch):
    run = lambda: jitted.picture(X, W, file="a.bmp")
    with pytest.raises(ArgumentError) as caught:
        run()
    assert_says(caught.value, run, "picture: a file cannot end in 'bmp'", "str 'a.bmp'",
                "give a name that ends in .dot, .gv, .svg, .pdf or .png")
    picture = jitted.picture(X, W)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ArgumentError, match=r"^picture: svg needs graphviz, whose program dot is not installed here"):
        picture.save(tmp_path / "a.svg")
    assert picture._repr_svg_() is None
    monkeypatch.setattr(shutil, "which", lambda name: "dot")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: subprocess.CompletedProcess([], 1, b"", b"no\nmore"))
    with pytest.raises(ArgumentError, match=r"^picture: graphviz failed, saying 'no'"):
        picture.svg()


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_draws_it(jitted, tmp_path):
    jitted.picture(X, W, file=tmp_path / "a.svg")
    assert "kernel 1" in (tmp_path / "a.svg").read_text()


def test_costs_are_counted_from_the_loop_ir():
    def load(buffer, strides, offset=0):
        return Node("load", F8, (), Access(buffer, offset, strides))

    # A stencil over rows, times a number per column, summed over rows.
    nodes = (load(0, (10, 1)), load(0, (10, 1), 10), load(1, (0, 1)), Node("const", F8, (), np.float64(2)),
             Node("add", F8, (0, 1)), Node("mul", F8, (2, 3)), Node("mul", F8, (4, 5)))
    kernel = Kernel((5, 10), (Buffer(F8, 60), Buffer(F8, 10)), (Buffer(F8, 50), Buffer(F8, 10)), nodes,
                    (Store(6, Access(0, 0, (10, 1))),), (Reduction("add", 6, (0,), Access(1, 0, (0, 1))),))
    assert costs.bytes_read(kernel) == 8 * (60 + 10)
    assert costs.bytes_written(kernel) == 8 * (50 + 10)
    assert costs.operations(kernel) == 50 + 50 + 50 + 50
    assert costs.vector("define @loops() {\n %a = <4 x double>\n %b = <4 x i1> %c <4 x double>\n}\n<8 x float>") \
        == "4 x float64"
    assert costs.vector("define @loops() {\n %a = double\n}") == ""


@pytest.mark.parametrize(("shown", "text"), [
    (show_bytes(0), "0 B"), (show_bytes(999), "999 B"), (show_bytes(1000), "1.00 kB"), (show_bytes(72_000), "72.0 kB"),
    (show_bytes(999_900), "1.00 MB"), (show_bytes(5e15), "5000 TB"), (show_count(18), "18"),
    (show_count(1_500_000), "1.50 M"), (show_seconds(0), "0 ns"), (show_seconds(3.2e-7), "320 ns"),
    (show_seconds(1.234e-3), "1.23 ms"), (show_seconds(100), "100 s"),
    (shortened("a, bcd, efgh", 12), "a, bcd, efgh"), (shortened("a, bcd, efgh", 11), "a, bcd, ..."),
    (table([("a", "1"), ("bb", "22")], left=(0,)), ["a    1", "bb  22"])])
def test_words_for_sizes(shown, text):
    assert shown == text
