"""The examples run as scripts, with warnings as errors; each asserts what it claims."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def test_there_are_examples():
    assert len(SCRIPTS) >= 3


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs(script):
    if script.stem == "data_parallel":
        pytest.importorskip("dask", reason="dask is missing: install the dask extra")
    if script.stem == "many_devices":
        pytest.importorskip("jax", reason="jax is missing: install the jax extra")
    done = subprocess.run([sys.executable, "-W", "error", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout
