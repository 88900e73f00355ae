"""The cuda backend where there is no card: a session in Numba's simulator, and what is said of what is missing."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cupy_interface
import pytest
from machines import STATUS
from wording import assert_says

import npdiff
from npdiff.backend import cuda_rules
from npdiff.backend.cuda import CUDA, DRIVER, INSTALL
from npdiff.core import Primitive
from npdiff.errors import BackendError
from npdiff.kernels import cuda, extrema, factored

HERE = Path(__file__).parent
# Of SciPy's rows, nearly all are calls on the host: a few that are not stand for them.
CHOSEN = "cuda and not grad_of_jit and not (scipy and not (erf or gammaln or expit or ndtr or logsumexp or softmax))"


@pytest.mark.skipif(importlib.util.find_spec("numba_cuda") is None, reason="the package numba-cuda is not installed")
@pytest.mark.skipif(STATUS["cuda"].available, reason="the backend 'cuda' runs here: its tests are not simulated")
def test_the_backend_in_the_simulator() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", CHOSEN,
               "--ignore", __file__, str(HERE)]
    done = subprocess.run(command, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}, cwd=HERE.parents[1],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout, done.stdout


def test_every_primitive_stands_in_one_table() -> None:
    primitives = {p.name: p for p in gc.get_objects() if isinstance(p, Primitive)}
    # What only the CPU's kernels and steps are written with.
    own = {extrema.marked_p, extrema.positions_p, factored.factor_p, *factored.READERS.values()}
    for name, p in primitives.items():
        if p in own:
            continue
        if name.startswith(("scipy.", "random.")) or (p.ordered and not name.startswith("guard")):
            continue
        tables = [t for t in (cuda_rules.HOST, cuda_rules.RULES, cuda_rules.NAMED) if name in t]
        assert len(tables) == (0 if p.ufunc is not None and name not in cuda_rules.HOST else 1), name
    known = {*primitives, "call_graph", "run_program"}
    assert {*cuda_rules.HOST, *cuda_rules.RULES, *cuda_rules.NAMED, *cuda_rules.UFUNCS} <= known


def test_the_stand_in_offers_what_cupy_has() -> None:
    cupy = pytest.importorskip("cupy", exc_type=ImportError)
    written = json.loads(cupy_interface.FILE.read_text(encoding="utf-8"))
    if cupy.__version__ != written["version"]:
        pytest.skip(f"this is CuPy {cupy.__version__}, the stand-in keeps to {written['version']}")
    assert cupy_interface.interface() == written


# ---------------------------------------------------------------------- what is said


def _without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in packages else find(name))
    for name in packages:
        monkeypatch.delitem(sys.modules, name, raising=False)


def _with_cupy(monkeypatch: pytest.MonkeyPatch, count: Any, lacking: str | None = "") -> None:
    if lacking is not None:
        monkeypatch.setattr(cuda, "missing", lambda: lacking)
    runtime = SimpleNamespace(getDeviceCount=count)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))


def _raises() -> int:
    raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")


@pytest.mark.parametrize(("prepare", "why", "install"), [
    (lambda m: _without(m, "cupy"), "the package cupy is not installed", INSTALL),
    (lambda m: (_with_cupy(m, lambda: 1, None), _without(m, "numba_cuda")), "the package numba-cuda is not installed",
     INSTALL),
    (lambda m: _with_cupy(m, lambda: 1, "the library nvvm of NVIDIA's compiler is not found"),
     "the library nvvm of NVIDIA's compiler is not found", INSTALL),
    (lambda m: _with_cupy(m, lambda: 0), "CUDA finds no device", DRIVER),
    (lambda m: _with_cupy(m, _raises), "CUDA finds no device: cudaErrorInsufficientDriver: CUDA driver version is "
                                       "insufficient for CUDA runtime version", DRIVER),
])
def test_what_is_missing(prepare: Any, why: str, install: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "simulating", lambda: False)
    prepare(monkeypatch)
    assert CUDA.status()[1:] == (False, "", why, install)
    def run() -> Any: return npdiff.jit(abs, "cuda")
    with pytest.raises(BackendError) as caught:
        run()
    assert_says(caught.value, run, f"jit: the backend 'cuda' cannot run here: {why}", "", install)
    assert f"cuda  not available: {why}\n      {install}" in repr(npdiff.backends())


def test_importing_npdiff_imports_neither_package() -> None:
    code = "import sys, npdiff; npdiff.jit(abs)(2.0); print({'cupy', 'numba'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
