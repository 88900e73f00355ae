"""The demo's parts with few steps, and the command line."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from npdiff import __main__ as command
from npdiff import demo, info


def needs_extras() -> None:
    for name in demo.EXTRAS:
        pytest.importorskip(name, reason=f"{name} is missing: install the demo extra")


def test_regression_recovers_the_weights():
    fit = demo.regression(steps=100)
    assert fit.after < 1e-3 < fit.before
    np.testing.assert_allclose(fit.weights, fit.true_weights, atol=5e-3)


def test_traces_name_the_users_line(capsys):
    demo.traces()
    shown = capsys.readouterr().out
    assert "sin a" in shown
    assert "cos a" in shown
    assert "demo.py:" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_network_reads_held_out_digits(tmp_path):
    needs_extras()
    data = demo.load_digits()
    trained = demo.train(data, steps=200)
    assert trained.losses[-1] < 0.2 * trained.losses[0]
    assert trained.accuracy > 0.95
    path = tmp_path / demo.PICTURE
    demo.draw(data, trained, path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n")


def test_the_whole_demo(tmp_path, capsys):
    needs_extras()
    assert command.main(["demo", "--steps", "60", "--out", str(tmp_path / "new")]) == 0
    shown = capsys.readouterr().out
    assert (tmp_path / "new" / demo.PICTURE).exists()
    assert demo.PICTURE in shown
    assert "held-out accuracy" in shown


def test_without_the_extra_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "EXTRAS", ("no_such_package",))
    assert command.main(["demo", "--out", str(tmp_path)]) == 1
    assert 'no_such_package: python -m pip install "npdiff[demo]"' in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["dance"], ["demo", "--steps", "0"]])
def test_wrong_arguments_end_with_a_usage_line(argv, capsys):
    with pytest.raises(SystemExit) as end:
        command.main(argv)
    assert end.value.code == 2
    assert "usage: python -m npdiff" in capsys.readouterr().err


def test_info_runs_as_a_command():
    done = subprocess.run([sys.executable, "-m", "npdiff", "info"], capture_output=True, text=True, check=True)
    labels = [line.split()[0] for line in done.stdout.splitlines()]
    assert {"npdiff", "numpy", "cpu", "vectors", "blas", "hint"} <= set(labels)


@pytest.mark.parametrize(
    ("core", "features", "word"),
    [
        ("Haswell", {"avx2", "avx512f"}, "AVX-512"),
        ("Prescott", {"avx2"}, "AVX2"),
        ("Haswell", {"avx2"}, ""),
        ("SkylakeX", {"avx2", "avx512f"}, ""),
        ("", {"avx2", "avx512f"}, ""),
    ],
)
def test_hint_about_blas_kernels(core, features, word):
    text = info.hint(info.Blas("openblas", "0", core), frozenset(features))
    assert (word in text) if word else text == ""


def test_hint_about_a_missing_blas():
    assert "OpenBLAS" in info.hint(info.Blas("none", "", ""), frozenset())
