"""A number that is stored into an array of another dtype: NumPy's value, warning or error, in every way to store it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import npdiff

NAN = float("nan")
NUMBERS = [NAN, float("inf"), 1e300, 3e9, 300.0, -1.0, 1 + 2j, np.float64(NAN), np.float32(NAN), np.float64(1e300),
           np.float64(300), np.float64(-1), np.complex128(1 + 2j), np.array(NAN), np.array(300.0), np.array(1 + 2j),
           np.array([NAN]), np.array([300.0])]
DTYPES = [np.dtype(t) for t in (int, np.uint8, np.int32, bool, np.float32, float)]


def into(write: Callable[[Any, Any], None], shape: Any = 2) -> Callable[[Any, Any], Any]:
    def way(v: Any, dtype: Any) -> Any:
        a = np.zeros(shape, dtype)
        write(a, v)
        return a

    return way


def store(index: Any) -> Callable[[Any, Any], Any]:
    return into(lambda a, v: a.__setitem__(index, v))


WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "np.array of a list": lambda v, dtype: np.array([v], dtype),
    "np.array of a longer list": lambda v, dtype: np.array([v, 1], dtype),
    "np.array": lambda v, dtype: np.array(v, dtype),
    "np.asarray": lambda v, dtype: np.asarray(v, dtype),
    "np.asarray of a list": lambda v, dtype: np.asarray([v], dtype),
    "np.ascontiguousarray": lambda v, dtype: np.ascontiguousarray(v, dtype),
    "np.fromiter": lambda v, dtype: np.fromiter([v], dtype),
    "np.full": lambda v, dtype: np.full(2, v, dtype),
    "np.full_like": lambda v, dtype: np.full_like(np.zeros(1, dtype), v),
    "np.insert": lambda v, dtype: np.insert(np.zeros(2, dtype), 0, v),
    "a[0]": store(0), "a[:]": store(slice(None)), "a[mask]": store(np.array([True, False])), "a[[0, 1]]": store([0, 1]),
    "a[:] of a list": into(lambda a, v: a.__setitem__(slice(None), [v, v])),
    "a.fill": into(lambda a, v: a.fill(v)),
    "a.flat[0]": into(lambda a, v: a.flat.__setitem__(0, v)), "a.flat": into(lambda a, v: setattr(a, "flat", v)),
    "np.copyto": into(lambda a, v: np.copyto(a, v, casting="unsafe")),
    "np.put": into(lambda a, v: np.put(a, [0], v)),
    "np.place": into(lambda a, v: np.place(a, np.array([True, False]), v)),
    "np.putmask": into(lambda a, v: np.putmask(a, np.array([True, False]), v)),
    "np.fill_diagonal": into(lambda a, v: np.fill_diagonal(a, v), (2, 2)),
}


def seen(run: Callable[[], Any]) -> Any:
    """The result with its warnings, or the error."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            x = run()
        except Exception as error:
            return type(error).__name__, str(error).split(". ")[0]
    return repr(x), sorted({str(w.message) for w in said})


MODES: dict[str, Callable[[Any, Any], Any]] = {
    "reverse": lambda f, v: npdiff.vjp(lambda x: (0.0, f(x)), v, has_aux=True)[2],
    "forward": lambda f, v: npdiff.jvp(lambda x: (0.0, f(x)), (v,), (np.ones_like(v) if isinstance(
        v, np.ndarray) else type(v)(1),), has_aux=True)[2],
    "jit": lambda f, v: npdiff.jit(f)(v),
    "vmap": lambda f, v: npdiff.vmap(f)(np.array([v]))[0, ...],
}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_stored_as_by_numpy(name: str, mode: str) -> None:
    way = WAYS[name]
    for v in NUMBERS:
        # One number of a batch is a scalar of NumPy's. What does not fit is told by the shape, with other words.
        if mode == "vmap" and not (isinstance(v, np.generic) or np.ndim(v)):
            continue
        for dtype in DTYPES:
            wanted = seen(lambda v=v, dtype=dtype: way(v, dtype))
            ours = seen(lambda v=v, dtype=dtype: MODES[mode](lambda x: way(x, dtype), v))
            if isinstance(wanted[1], str) and "sequence" in wanted[1]:
                assert ours[0] == wanted[0], (v, dtype)
            else:
                assert ours == wanted, (v, dtype)


def test_a_replay_stores_as_numpy_does() -> None:
    @npdiff.jit
    def f(x: Any) -> Any:
        return np.array([x, 2 * x], int)

    f(1.5)
    np.testing.assert_array_equal(f(2.5), [2, 5])
    with pytest.raises(ValueError, match="cannot convert float NaN to integer"):
        f(NAN)


def test_python_integers_have_to_fit() -> None:
    @npdiff.jit
    def f(n: Any) -> Any:
        a = np.zeros(2, np.uint8)
        a[0] = n
        return a, np.full(2, n, np.uint8)

    f(3)
    with pytest.raises(OverflowError, match="out of bounds for uint8"):
        f(300)
