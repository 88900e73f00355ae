"""The pages made from rows are what the rows say, and the command that shows a row."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from dataclasses import astuple

import numpy as np
import pytest

import npdiff
from npdiff import __main__ as command
from npdiff import coverage, pages
from npdiff.core import Primitive
from npdiff.dispatch.declare import Row, point, rows

DOCS = pathlib.Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", pages.PAGES)
def test_committed_page_is_what_the_rows_say(name):
    found = pages.differences((DOCS / name).read_text(encoding="utf-8"), pages.PAGES[name]())
    assert found == [], "run: python -m npdiff coverage --write docs"


@pytest.mark.parametrize("name", pages.PAGES)
def test_pages_written_elsewhere_are_the_same(name, tmp_path, capsys):
    assert command.main(["coverage", "--write", str(tmp_path)]) == 0
    assert str(tmp_path / name) in capsys.readouterr().out
    assert (tmp_path / name).read_text(encoding="utf-8") == pages.PAGES[name]()


NOW = ".".join(np.__version__.split(".")[:2])


@pytest.mark.parametrize(("page", "wanted"), [
    (f"NumPy {NOW}\n| `np.sin` | a |", []),
    (f"NumPy {NOW}\n| `np.sin` | b |", ["- | `np.sin` | b |", "+ | `np.sin` | a |"]),
    (f"NumPy {NOW}\n| `np.sin` | a |\nmore", ["- more"]),
    ("NumPy 99.0\n| `np.sin` | a |\n| `np.not_here` | a |", []),  # only a newer NumPy has it
    ("NumPy 99.0\n| `np.cos` | a |", ["- | `np.cos` | a |"]),  # NumPy has it, but no row
    ("NumPy 99.0\n| `np.sin(x)` | b |", ["+ | `np.sin` | a |", "- | `np.sin(x)` | b |"]),
    ("NumPy 1.0\n| `np.tan` | a |", ["- | `np.tan` | a |", "+ | `np.sin` | a |"]),
])
def test_differences(page, wanted):
    fresh = f"NumPy {NOW}\n| `np.sin` | a |"
    assert sorted(pages.differences(page, fresh)) == sorted(wanted)


@pytest.mark.parametrize(("name", "wanted"), [
    ("np.sin", ("yes", "yes", "yes", "kernel", "cpu, cuda, tpu")),
    ("np.linalg.inv", ("yes", "yes", "yes", "NumPy", "(cpu), cuda, tpu")),
    ("np.linalg.eig", ("yes", "yes", "yes", "NumPy", "(cpu), (cuda), (tpu)")),
    ("np.reshape", ("yes", "yes", "yes", "view", "cpu, cuda, tpu")),
    ("np.argsort", ("zero", "zero", "yes", "NumPy", "(cpu), cuda, tpu")),
    ("np.floor", ("zero", "zero", "yes", None, "cpu, cuda, tpu")),
    ("np.unique", ("yes", "yes", "where sizes agree", "NumPy", "(cpu), (cuda), (tpu)")),
    ("np.packbits", ("zero", "zero", "one by one", "NumPy", "(cpu), (cuda), tpu")),
    ("np.random.rand", ("-", "-", "-", "ordered call", "-")),
    ("np.save", ("-", "-", "-", "-", "-")),
    ("np.put", ("-", "-", "-", "-", "-")),
])
def test_facts(name, wanted):
    f = coverage.facts(rows[name])
    assert all(w is None or w == found for found, w in zip(astuple(f), wanted, strict=True))


def test_backends_of_the_page_are_backends():
    assert set(coverage.BY_NUMPY) == {b.name for b in npdiff.backends()}


def test_the_page_needs_no_jax():
    code = "import sys; from npdiff import pages; pages.coverage(); assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_facts_come_from_the_rules():
    bare = Primitive("bare", np.sin, kind="nonlinear")
    assert coverage.facts(Row("np.bare", "nonlinear", None, bare)) == coverage.Facts("no", "no", "one by one", "-", "-")
    one_way = Primitive("one_way", np.sin, pull=lambda *_: None)
    assert coverage.facts(Row("np.one_way", "nonlinear", None, one_way)).forward == "no"
    assert coverage.facts(Row("np.one_way", "nonlinear", None, one_way)).reverse == "yes"


@pytest.mark.parametrize(("name", "row"), [
    ("sin", "np.sin"), ("np.sin", "np.sin"), ("numpy.sin", "np.sin"), ("linalg.inv", "np.linalg.inv"),
    ("np.linalg.inv", "np.linalg.inv"), ("abs", "np.absolute"), ("ndarray.sum", "np.sum"), ("sum()", "np.sum"),
    ("true_divide", "np.divide"),
])
def test_names_a_user_may_write(name, row):
    assert coverage.find(name).name == row


def test_a_row_is_shown(capsys):
    assert command.main(["coverage", "maximum"]) == 0
    assert capsys.readouterr().out.startswith("""\
np.maximum
  kind      elementwise
  forward   yes
  reverse   yes
  vmap      yes
  jit       kernel
  backends  cpu, cuda, tpu

  ties share equally
    np.maximum(x[0], x[1])       x = [1.0, 1.0]  derivative 0.5, second 0
    np.maximum(x, 0.0)           x = 0.0         derivative 0.5, second 0

  what is not chosen passes nothing
    np.maximum(np.log(x), -5.0)  x = [0.0, 1.0]  derivative [0, 1], second [0, -1]
""")


def test_what_is_unsupported_says_why(capsys):
    assert command.main(["coverage", "save"]) == 0
    assert capsys.readouterr().out == """\
np.save
  kind      unsupported
  why       writes a file
  instead   compute it on x.value, the plain array
"""


@pytest.mark.parametrize(("name", "way"), [
    ("inv", "did you mean np.linalg.inv, np.linalg.pinv"),
    ("sni", "np.sin"),
    ("linalg.sovle", "np.linalg.solve"),
    ("ndarray.fill", "ndarray.fill is a method of npdiff.DiffArray and has no row of its own"),
    ("qqqq", "python -m npdiff coverage lists what there is"),
    ("", "python -m npdiff coverage lists what there is"),
])
def test_unknown_names(name, way, capsys):
    assert command.main(["coverage", name]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"python -m npdiff coverage: no NumPy function {name!r}\n  ")
    assert way in shown.err


def test_names_of_scipy(capsys):
    pytest.importorskip("scipy", reason="SciPy is not installed")
    assert command.main(["coverage", "scipy.special.erf"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["scipy.special.erf", "  kind      elementwise"]
    assert command.main(["coverage", "scipy.linalg.sovle"]) == 2
    what, way = capsys.readouterr().err.splitlines()
    assert what == "python -m npdiff coverage: no SciPy function 'scipy.linalg.sovle' has a row"
    assert way.startswith("  did you mean scipy.linalg.solve")


def test_the_summary_counts_every_row():
    done = subprocess.run([sys.executable, "-m", "npdiff", "coverage"], capture_output=True, text=True, check=True)
    first, _, rest = done.stdout.partition("\n\n")
    counts = [int(line.split()[1]) for line in rest.partition("\n\n")[0].splitlines()]
    known = [name for name in rows if name.startswith("np.")]
    assert sum(counts) == len(known)
    assert f"{len(known)} functions" in first
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_every_row_stands_in_a_chapter_with_a_title():
    assert all(chapter.startswith("npdiff.dispatch.") for chapter in coverage.chapters())
    titles = [coverage.title(chapter) for chapter in coverage.chapters()]
    assert len(set(titles)) == len(titles)
    assert all(titles)


def test_slopes_in_words():
    p = point("why", "f(x)", 0.0, 0, [0.5, -np.inf], NotImplementedError)
    assert coverage.slopes_text(p.slopes) == "derivative 0, second [0.5, -inf], third NotImplementedError"
