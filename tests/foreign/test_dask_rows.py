"""Every row's first sample call over dask's arrays: the same value and derivatives, lazily, or an error of npdiff's."""

from __future__ import annotations

import warnings
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from test_foreign_rows import both_modes, calls, names

from npdiff import tree
from npdiff.errors import NpdiffError, UnsupportedError

# Rows whose first sample dask or npdiff cannot do lazily, or whose result has a size that depends on values.
REFUSED = frozenset(f"np.{n}" for n in """
    allclose argpartition argsort array_equal array_equiv choose convolve correlate digitize emath.arccos
    emath.arcsin emath.arctanh emath.log emath.log10 emath.log2 emath.logn emath.power emath.sqrt geomspace
    histogram histogram2d histogramdd i0 interp intersect1d lexsort lib.stride_tricks.as_strided
    lib.stride_tricks.sliding_window_view
    linalg.cond linalg.det linalg.eig linalg.eigh linalg.eigvals linalg.eigvalsh linalg.lstsq linalg.matrix_rank
    linalg.pinv linalg.qr linalg.slogdet linalg.svd linalg.svdvals median nanmedian nanpercentile nanquantile
    partition percentile poly polydiv polyfit polymul quantile reshape roots setdiff1d setxor1d sinc sort
    sort_complex take_along_axis trim_zeros union1d unique unique_all unique_counts unique_inverse unwrap""".split())
# Rows for which dask asks for other chunks, which npdiff's error says with the way out.
CHUNKED = frozenset(f"np.{n}" for n in """
    fft.fft fft.fft2 fft.fftn fft.hfft fft.ifft fft.ifft2 fft.ifftn fft.ihfft fft.irfft fft.irfft2 fft.irfftn fft.rfft
    fft.rfft2 fft.rfftn linalg.tensorinv linalg.tensorsolve""".split())


def refuse(*_args: Any, **_kwargs: Any) -> Any:
    """Stands for every scheduler while npdiff is at work: nothing is computed, so nothing comes to the client."""
    raise AssertionError("something was computed")


def parts(a: Any) -> Any:
    """Several parts along every axis, all of one size, as dask's decompositions ask for."""
    return da.from_array(np.asarray(a), chunks=tuple(max(1, n // 2) for n in np.shape(a)))


def computed(a: Any) -> Any:
    return tree.map_leaves(lambda x: x.compute(scheduler="sync") if isinstance(x, da.Array) else x, a)


@pytest.mark.parametrize("name", names())
def test_lazy_and_the_same_or_an_error(name: str) -> None:
    text, f, leaves = next(iter(calls(name)))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            wanted = both_modes(f, leaves, np.asarray)
        except (NpdiffError, np.linalg.LinAlgError):
            pytest.skip("NumPy's arrays have no derivative here either")
        with dask.config.set(scheduler=refuse):
            if name in CHUNKED:
                with pytest.raises(UnsupportedError, match=r"in chunks of \(\(") as caught:
                    both_modes(f, leaves, parts)
                assert name in str(caught.value)
                assert "received: " in str(caught.value)
                assert "instead: x.rechunk({axis: -1}) before the transform" in str(caught.value)
                whole = both_modes(f, leaves, lambda a: parts(a).rechunk(-1))
                for mine, theirs in zip(tree.leaves(computed(whole)), tree.leaves(wanted), strict=True):
                    np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12, err_msg=text)
                return
            if name in REFUSED:
                with pytest.raises(NpdiffError):
                    both_modes(f, leaves, parts)
                return
            found = both_modes(f, leaves, parts)
        for mine, theirs in zip(tree.leaves(computed(found)), tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12, err_msg=text)
            assert np.asarray(mine).dtype == np.asarray(theirs).dtype
