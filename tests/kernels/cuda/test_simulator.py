"""Runs the simulated tests in a process of its own: Numba reads NUMBA_ENABLE_CUDASIM when it is imported."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("simulated_*.py"))


@pytest.mark.skipif(importlib.util.find_spec("numba_cuda") is None, reason="the package numba-cuda is not installed")
def test_the_simulated_tests_pass():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *map(str, FILES)]
    done = subprocess.run(command, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}, cwd=HERE.parents[2],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
