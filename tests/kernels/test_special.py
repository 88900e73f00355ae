"""scipy.special's ufuncs in kernels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import npdiff
from npdiff.kernels.special_rules import SPECIAL

special = pytest.importorskip("scipy.special")


def test_the_table_names_ufuncs_of_scipys():
    for name in SPECIAL:
        assert isinstance(getattr(special, name.removeprefix("scipy.special.")), np.ufunc)


def test_a_likelihood_and_its_gradient_are_one_kernel():
    def f(x, y):
        p = special.expit(x)
        return np.sum(special.xlogy(y, p) + special.erf(x) * special.log_expit(y) - special.gammaln(y + 1)
                      + special.huber(0.5, x) + special.rel_entr(p, y))

    x, y = np.linspace(-2, 2, 700), np.linspace(0.1, 5, 700)
    g = npdiff.jit(npdiff.value_and_grad(f, (0, 1)))
    for _ in range(2):
        value, slopes = g(x, y)
    assert "1 kernels, 0 host calls" in g.explain(x, y)
    want, wanted = npdiff.value_and_grad(f, (0, 1))(x, y)
    np.testing.assert_allclose(value, want, rtol=1e-13)
    for a, b in zip(slopes, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_what_accuracy_does_not_measure():
    def f(d, x, n):
        return special.huber(d, x), special.loggamma(x), special.erf(n)

    d = np.array([0.5, 0.0, -1.0, np.nan, np.inf] * 3)
    x = np.array([-2.0, 0.5, -0.25, 3.0, np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 2.0, 4.5, 60.0, 1e-3, 0.7])
    n = np.arange(-7, 8)
    jitted = npdiff.jit(f)
    for _ in range(2):
        got = jitted(d, x, n)
    assert " 0 host calls" in jitted.explain(d, x, n)
    for a, b in zip(got, f(d, x, n), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)


def test_kernels_know_them_without_scipy():
    code = "import sys, npdiff.kernels.classify as c; c.SPECIAL['scipy.special.erf']; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
