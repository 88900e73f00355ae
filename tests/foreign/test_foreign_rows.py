"""Every row's sample calls on arrays that never give their numbers away: the same derivatives, or an error."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from strict_arrays import Strict, Strided, moves, plain

import npdiff
from npdiff import tree
from npdiff.dispatch.declare import rows
from npdiff.errors import NpdiffError, UnsupportedError
from npdiff.samples import cases, evaluate, split

# Rows that look at values, have a size that depends on them, or that npdiff evaluates itself, in at least one sample.
REFUSED = frozenset(f"np.{n}" for n in (
    "allclose array_equal array_equiv digitize geomspace histogram histogram2d histogramdd i0 "
    "intersect1d nanpercentile nanquantile percentile poly polydiv polyfit polymul quantile real_if_close roots "
    "setdiff1d setxor1d sinc emath.sqrt emath.log emath.log2 emath.log10 emath.logn emath.power emath.arcsin "
    "emath.arccos emath.arctanh trim_zeros union1d unique unique_all unique_counts unique_inverse unwrap pad").split())
# Rows whose rules put small arrays of NumPy's beside the library's: masks of triangles, weights, positions.
MOVING = frozenset(f"np.{n}" for n in (
    "append block choose convolve corrcoef cov cumulative_prod cumulative_sum diff ediff1d einsum fft.hfft fft.irfft "
    "fft.irfft2 fft.irfftn insert ldexp lexsort linalg.cholesky linalg.cond linalg.det linalg.eig linalg.eigh "
    "linalg.eigvals linalg.eigvalsh linalg.lstsq linalg.matrix_norm linalg.norm linalg.pinv linalg.qr linalg.svd "
    "linspace logspace nanmedian nanpercentile nanquantile pad percentile poly polyadd polyder polyint polysub polyval "
    "quantile select vander histogram_bin_edges polyfit lib.stride_tricks.as_strided").split())

# What stands in a sample for an array of NumPy's that is no operand of the derivative.
OWN = re.compile(r"[BI]\(|\[")


def calls(name: str) -> Iterator[tuple[str, Any, list[Any]]]:
    """The sample calls that NumPy's arrays have a derivative of, or a value."""
    for text in cases(rows[name]):
        f, leaves = split(evaluate(name, text))
        if any(isinstance(x, np.ndarray) for x in leaves):
            yield text, f, leaves


def names() -> list[str]:
    return [n for n, row in rows.items() if n.startswith("np.") and row.kind != "unsupported" and any(
        True for _ in calls(n))]


def both_modes(f: Any, leaves: list[Any], kind: Any) -> Any:
    """Value, cotangents and tangents, with ones to start from, in arrays of this kind."""
    mine = [kind(x) for x in leaves]
    value, pull = npdiff.vjp(f, *mine)
    pulled = pull(tree.map_leaves(lambda v: np.ones_like(v) if getattr(v, "dtype", np.dtype(int)).kind in "fc" else v,
                                  value))
    return value, pulled, npdiff.jvp(f, tuple(mine), tuple(mine))[1]


@pytest.mark.parametrize("kind", [Strict, Strided])
@pytest.mark.parametrize("name", names())
def test_nothing_is_brought_here(name: str, kind: Any) -> None:
    refused = 0
    for text, f, leaves in list(calls(name))[: None if name in REFUSED else 3 if kind is Strict else 1]:
        moves.clear()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                wanted = both_modes(f, leaves, np.asarray)
            except (NpdiffError, np.linalg.LinAlgError):
                continue  # NumPy's arrays have no derivative here either
            try:
                found = both_modes(f, leaves, kind)
            except UnsupportedError as error:
                if name not in REFUSED:
                    pytest.fail(f"{text}: {error}")
                refused += 1
                continue
        assert not moves or name in MOVING or OWN.search(text), f"{text}: {moves}"
        for mine, theirs in zip(tree.leaves(plain(found)), tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12, err_msg=text)
            assert np.asarray(mine).dtype == np.asarray(theirs).dtype
    assert bool(refused) == (name in REFUSED) or kind is Strided
