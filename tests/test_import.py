"""What `import npdiff` does not import."""

from __future__ import annotations

import subprocess
import sys

_STEPS = """
import sys, numpy as np
import npdiff
heavy = lambda: {"numba", "llvmlite", "jax", "scipy", "sklearn", "matplotlib"} & set(sys.modules)
assert not heavy(), heavy()
x = np.ones(3)
npdiff.grad(lambda x: np.sum(np.sin(x) * x))(x)
f = npdiff.jit(lambda x: np.sum(np.sin(x) * x))
f(x)
assert not heavy(), heavy()
f(x)
assert heavy() == {"llvmlite"}, heavy()
"""


def test_compilers_are_imported_when_something_is_compiled() -> None:
    done = subprocess.run([sys.executable, "-c", _STEPS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
