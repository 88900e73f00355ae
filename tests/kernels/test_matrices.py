"""Stacks of small matrices in kernels of their own: values as NumPy's within rounding, errors as NumPy's."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from graphs import Recorder, expected, primitive
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import npdiff
from npdiff.core import ufunc_primitives
from npdiff.dispatch.decompositions import cholesky_p
from npdiff.dispatch.determinants import cofactor_p, det_p
from npdiff.dispatch.einsum import einsum_p
from npdiff.dispatch.linalg import inv_p, slogdet_p, solve_p
from npdiff.dispatch.triangular import triangular_p
from npdiff.kernels import compile_graph
from npdiff.kernels.matrices import forms

MATMUL = ufunc_primitives[np.matmul]
RNG = np.random.default_rng(3)


def steps(executable):
    """How many operations are kernels of small matrices, and how many are NumPy calls."""
    lines = [line.strip() for line in executable.explain().splitlines()]
    return sum(": matrices " in line for line in lines), sum(": call " in line for line in lines)


def graph_of(prim, *args, view=None, **params):
    """A graph of one operation; `view` makes of each input what the operation takes."""
    r = Recorder(*args)
    inputs = r.inputs if view is None else [view(r, v) for v in r.inputs]
    shapes = [np.empty(v.aval.shape, v.aval.dtype) for v in inputs]
    for a in shapes:
        a[...] = np.eye(*a.shape[-2:]) if a.ndim > 1 and prim is not einsum_p else 1
    out = prim.call(*shapes, **params)
    outs = list(out) if prim.multiple else [out]
    made = r(prim, *inputs, aval=[npdiff.avals.aval_of(o) for o in outs] if prim.multiple
             else npdiff.avals.aval_of(out), **params)
    return r.graph(*(made if prim.multiple else [made]))


def close(got, want, factor=1.0):
    """Equal shapes and dtypes, and values up to `factor` rounding errors of the largest of each matrix."""
    for a, b in zip(got, want, strict=True):
        b = np.asarray(b)
        assert (np.shape(a), a.dtype) == (b.shape, b.dtype)
        axes = tuple(range(max(b.ndim - 2, 0), b.ndim))
        size = np.max(np.abs(b), axis=axes, keepdims=True, initial=0)
        assert np.all(np.abs(a - b) <= factor * np.finfo(b.dtype).eps * size), np.max(np.abs(a - b) / size)


def check(graph, *args, small=1, factor=64.0):
    """The graph as compiled beside NumPy, in kernels of small matrices only."""
    executable = compile_graph(graph)
    assert steps(executable) == (small, 0), executable.explain()
    want = expected(graph, args)
    close(executable(*args), want, factor)
    return executable


def well_posed(count, n, dtype=np.float64):
    """Matrices whose inverses are of moderate size, with large and small numbers on and off the diagonal."""
    q, _ = np.linalg.qr(RNG.normal(size=(*count, n, n)))
    p, _ = np.linalg.qr(RNG.normal(size=(*count, n, n)))
    return ((q * np.linspace(1, 3, n)) @ p).astype(dtype)


def positive(count, n, dtype=np.float64):
    a = well_posed(count, n)
    return (a @ np.swapaxes(a, -1, -2)).astype(dtype)


def turned(r, v):
    """The transposed matrices, as a view."""
    axes = tuple(range(v.aval.ndim))
    return r(primitive("transpose"), v, axes=(*axes[:-2], axes[-1], axes[-2]))


# ---------------------------------------------------------------------- products

PRODUCTS = [((9, 3, 3), (9, 3, 3)), ((5, 2, 7), (5, 7, 3)), ((4, 16, 16), (16, 16)), ((6, 13, 9), (1, 9, 6)),
            ((5, 1, 4, 4), (3, 4, 5)), ((4,), (4,)), ((7, 6, 5), (5,)), ((5,), (7, 5, 6)), ((3, 3), (3, 1)),
            ((11, 16, 4), (11, 4, 1)), ((4, 1, 8), (4, 8, 1)), ((3, 4, 1), (3, 1, 9))]


@pytest.mark.parametrize("shapes", PRODUCTS, ids=str)
def test_products(shapes):
    args = [RNG.normal(size=s) for s in shapes]
    check(graph_of(MATMUL, *args), *args)
    if min(map(len, shapes)) > 1:
        flipped = [np.ascontiguousarray(np.swapaxes(a, -1, -2)) for a in args]
        check(graph_of(MATMUL, *flipped, view=turned), *flipped)


def test_products_in_single_precision():
    for shapes in PRODUCTS[:4]:
        args = [RNG.normal(size=s).astype(np.float32) for s in shapes]
        check(graph_of(MATMUL, *args), *args)
        flipped = [np.ascontiguousarray(np.swapaxes(a, -1, -2)) for a in args]
        check(graph_of(MATMUL, *flipped, view=turned), *flipped)


@pytest.mark.parametrize("subscripts", ["bij,bjk->bik", "bij,bkj->bki", "bi,bi->b", "ij,jb->bi", "bi,bj->bji",
                                        "abi,ib->ab"])
def test_einsum_of_two_factors(subscripts):
    sizes = {"a": 2, "b": 5, "i": 4, "j": 3, "k": 6}
    args = [RNG.normal(size=[sizes[c] for c in term]) for term in subscripts.partition("->")[0].split(",")]
    check(graph_of(einsum_p, *args, subscripts=subscripts), *args)


@pytest.mark.parametrize("subscripts", ["bij,bkj->ikb", "bij,cij->bc", "bii,bij->bj", "bij,b->b", "bij,bjk->bi"])
def test_other_einsums_are_numpys(subscripts):
    sizes = {"b": 5, "c": 4, "i": 3, "j": 3, "k": 6}
    args = [RNG.normal(size=[sizes[c] for c in term]) for term in subscripts.partition("->")[0].split(",")]
    executable = compile_graph(graph_of(einsum_p, *args, subscripts=subscripts))
    assert steps(executable) == (0, 1)


LARGER = [((17, 3), (3, 5)), ((97, 33), (33, 20)), ((200, 300), (300, 19)), ((5, 9), (9, 1100)),
          ((2, 18, 17), (2, 17, 30)), ((3, 1, 6, 40), (2, 40, 8))]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f8", "f4"])
@pytest.mark.parametrize("shapes", LARGER, ids=str)
def test_products_of_larger_matrices(shapes, dtype, monkeypatch):
    """Several blocks, depths and strips, and what is left over of each; every way the factors may lie."""
    monkeypatch.setattr(forms, "_LARGEST", np.inf)  # on every machine, so that all blocks take part
    args = [RNG.normal(size=s).astype(dtype) for s in shapes]
    flipped = [np.ascontiguousarray(np.swapaxes(a, -1, -2)) for a in args]
    if dtype == np.float64 or len(shapes[0]) > 2:
        check(graph_of(MATMUL, *args), *args)
    if dtype == np.float64 or len(shapes[0]) == 2:
        check(graph_of(MATMUL, *flipped, view=turned), *flipped)


def test_large_products_are_numpys():
    a, b = RNG.normal(size=(65, 64)), RNG.normal(size=(64, 64))
    assert steps(compile_graph(graph_of(MATMUL, a, b))) == (0, 1)
    assert steps(compile_graph(graph_of(MATMUL, b, b))) == (1, 0)


VECTORS = [((20, 20), (20,)), ((20,), (20, 20)), ((70,), (70, 43)), ((43, 70), (70,)), ((3, 5, 18), (18,)),
           ((3, 1, 18), (3, 18, 33)), ((4, 33), (33,))]


@pytest.mark.parametrize("shapes", VECTORS, ids=str)
def test_products_of_vectors_and_larger_matrices(shapes):
    args = [RNG.normal(size=s) for s in shapes]
    check(graph_of(MATMUL, *args), *args)
    if len(shapes[0]) < 3:
        single = [a.astype(np.float32) for a in args]
        check(graph_of(MATMUL, *single), *single)


@pytest.mark.parametrize("turn", [0, 1])
def test_products_of_vectors_and_transposed_matrices(turn):
    a, b = RNG.normal(size=(19, 47)), RNG.normal(size=47 if turn else 19)
    r = Recorder(a, b)
    flipped = turned(r, r.inputs[0])
    check(r.graph(r(MATMUL, r.inputs[1], flipped) if turn else r(MATMUL, flipped, r.inputs[1])), a, b)


def test_a_product_whose_result_is_transposed():
    a, b = RNG.normal(size=(2, 20, 30)), RNG.normal(size=(2, 40, 30))
    check(graph_of(einsum_p, a, b, subscripts="bij,bkj->bki"), a, b)


def test_a_product_of_a_window_and_a_matrix_turned_around():
    a, b = RNG.normal(size=(40, 50)), RNG.normal(size=(40, 50))
    r = Recorder(a, b)
    left = r("getitem", r.inputs[0], index=(slice(2, 32, 3), slice(None, None, -2)))
    right = r("getitem", r.inputs[1], index=(slice(None, 25), slice(10, 40)))
    check(r.graph(r(MATMUL, left, right)), a, b)


def test_threads_share_the_blocks_of_a_product():
    a, b = RNG.normal(size=(400, 120)), RNG.normal(size=(120, 90))
    product = compile_graph(graph_of(MATMUL, a, b))
    before = npdiff.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            npdiff.set_num_threads(count)
            results.append(product(a, b)[0])
    finally:
        npdiff.set_num_threads(before)
    close(results, [a @ b] * 3, 64.0)
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


def test_infinities_and_nan_pass_through_products():
    a, b = RNG.normal(size=(5, 3, 3)), RNG.normal(size=(5, 3, 3))
    a[0, 1, 1], b[1, 2, 0], a[2, 0, 0], b[2, 0, 0] = np.nan, np.inf, np.inf, 0
    g = graph_of(MATMUL, a, b)
    np.testing.assert_allclose(compile_graph(g)(a, b)[0], a @ b, rtol=1e-13)


@pytest.mark.parametrize("shapes", [((3, 17, 2), (3, 2, 3)), ((3, 1, 17), (3, 17, 2)), ((20,), (20,)),
                                    ((3, 0, 2), (3, 2, 2)), ((0, 2, 2), (2, 2)), ((3, 2, 0), (3, 0, 2))], ids=str)
def test_narrow_and_empty_products_are_numpys(shapes):
    args = [RNG.normal(size=s) for s in shapes]
    executable = compile_graph(graph_of(MATMUL, *args))
    assert steps(executable) == (0, 1)
    close(executable(*args), [args[0] @ args[1]])


@pytest.mark.parametrize("dtypes", [("c16", "c16"), ("i8", "i8"), (">f8", "f8")], ids=str)
def test_other_dtypes_are_numpys(dtypes):
    args = [RNG.integers(1, 9, size=(3, 2, 2)).astype(d) for d in dtypes]
    executable = compile_graph(graph_of(MATMUL, *args))
    assert steps(executable) == (0, 1)
    np.testing.assert_array_equal(executable(*args)[0], args[0] @ args[1])


# ---------------------------------------------------------------------- solve, inv, det, cholesky


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 16])
def test_factorisations(n):
    count = {2: (3, 2), 4: (1,), 7: ()}.get(n, (9,))
    a = well_posed(count, n)
    b = RNG.normal(size=(*count, n, 1 if n % 2 else n))
    check(graph_of(solve_p, a, b), a, b, factor=500.0)
    check(graph_of(inv_p, a, view=turned), a, factor=500.0)
    check(graph_of(det_p, a), a, factor=500.0)
    check(graph_of(cofactor_p, a), a, factor=500.0)
    check(graph_of(cholesky_p, positive(count, n)), positive(count, n), factor=500.0)


@pytest.mark.parametrize("columns", [3, 4, 5, 6, 7, 8, 9, 13])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 7])
def test_right_hand_sides_of_any_width(n, columns):
    for count in ((), (9,)):
        a, b = RNG.normal(size=(*count, n, n)) / n + np.eye(n), RNG.normal(size=(*count, n, columns))
        check(graph_of(solve_p, a, b), a, b, factor=500.0)
        lower = {"trans": 0, "lower": True, "unit": False}
        check(graph_of(triangular_p, a, b, **lower), a, b, factor=500.0)


def test_factorisations_in_single_precision():
    n = 5
    a = well_posed((19,), n, np.float32)
    b = RNG.normal(size=(n, 2)).astype(np.float32)
    check(graph_of(solve_p, a, b), a, b, factor=500.0)
    check(graph_of(inv_p, a), a, factor=500.0)
    check(graph_of(det_p, a), a, factor=500.0)
    check(graph_of(cholesky_p, positive((19,), n, np.float32)), positive((19,), n, np.float32), factor=500.0)


def test_the_upper_factor_and_the_logarithm_of_a_determinant():
    for n in (3, 6):
        a = positive((5,), n) + np.triu(RNG.normal(size=(n, n)) * 0.01, 1)  # reads one triangle
        executable = compile_graph(graph_of(cholesky_p, a, upper=True))
        close(executable(a), [np.linalg.cholesky(a, upper=True)], 500.0)
        x = well_posed((5,), n)
        sign, size = compile_graph(graph_of(slogdet_p, x))(x)
        np.testing.assert_array_equal(sign, np.linalg.slogdet(x)[0])
        np.testing.assert_allclose(size, np.linalg.slogdet(x)[1], rtol=1e-12, atol=1e-13)


def test_stacks_that_are_broadcast():
    a, b = well_posed((4, 1), 3), RNG.normal(size=(5, 3, 2))
    check(graph_of(solve_p, a, b), a, b, factor=500.0)
    check(graph_of(solve_p, a[0, 0], b), a[0, 0], b, factor=500.0)
    check(graph_of(solve_p, a, b[0]), a, b[0], factor=500.0)


PERMUTATIONS = np.array([np.eye(4)[list(p)] for p in ((1, 2, 3, 0), (3, 2, 1, 0), (0, 3, 1, 2), (2, 0, 3, 1))] * 3)


@pytest.mark.parametrize("n", [4, 8])
def test_rows_change_places(n):
    """Zeros and tiny numbers where an elimination without exchanges would divide by them, other ones in each matrix."""
    a = np.kron(PERMUTATIONS, np.eye(n // 4)) * RNG.uniform(1, 2, (12, n, 1))
    a[6:] += 1e-30 * RNG.normal(size=(6, n, n))
    b = RNG.normal(size=(12, n, 1))
    check(graph_of(solve_p, a, b), a, b, factor=20.0)
    check(graph_of(det_p, a), a, factor=20.0)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_matrices_of_any_size_of_numbers(scale):
    a = well_posed((7,), 5) * scale
    b = RNG.normal(size=(7, 5, 1))
    check(graph_of(solve_p, a, b), a, b, factor=500.0)
    columns = np.array([1e-200, 1e-50, 1, 1e50, 1e100])
    check(graph_of(inv_p, well_posed((7,), 5) * columns), well_posed((7,), 5) * columns, factor=1e4)


def test_a_determinant_that_leaves_the_range_on_the_way():
    a = np.array([np.diag([1e200, 1e200, 1e-300]), np.diag([1e-200, 1e-200, 1e300]), np.eye(3)])
    np.testing.assert_allclose(compile_graph(graph_of(det_p, a))(a)[0], [1e100, 1e-100, 1], rtol=1e-12)


SINGULAR = {"zero": np.zeros((3, 3)), "rank one": np.ones((3, 3)), "a zero row": np.diag([1.0, 0, 2]),
            "integers": np.array([[1.0, 2, 3], [2, 4, 6], [0, 1, 1]])}


@pytest.mark.parametrize("which", SINGULAR)
def test_singular_matrices_raise_as_in_numpy(which):
    a = well_posed((9,), 3)
    a[5] = SINGULAR[which]
    b = RNG.normal(size=(9, 3, 1))
    for prim, args in ((solve_p, (a, b)), (inv_p, (a,))):
        with pytest.raises(np.linalg.LinAlgError, match=r"^Singular matrix$"):
            compile_graph(graph_of(prim, *args))(*args)
    np.testing.assert_array_equal(compile_graph(graph_of(det_p, a))(a)[0], np.linalg.det(a))


def test_cofactors_of_singular_and_nearly_singular_matrices():
    a = well_posed((9,), 3)
    executable = compile_graph(graph_of(cofactor_p, a))
    for matrix in [*SINGULAR.values(), np.diag([1.0, 1, 1e-9])]:
        a[5] = matrix
        np.testing.assert_array_equal(executable(a)[0], cofactor_p.call(a))


def test_numpy_decides_where_a_pivot_is_no_larger_than_rounding_errors():
    """Nearly singular matrices get NumPy's own results, bit for bit."""
    n = 16
    a = np.array([1.0 / (1 + np.arange(n)[:, None] + np.arange(n)), np.eye(n)])
    b = np.ones((2, n, 1))
    np.testing.assert_array_equal(compile_graph(graph_of(solve_p, a, b))(a, b)[0], np.linalg.solve(a, b))
    a = np.arange(9.0).reshape(3, 3) + np.diag([0, 0, 1e-15])
    np.testing.assert_array_equal(compile_graph(graph_of(inv_p, a))(a)[0], np.linalg.inv(a))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_numpys(bad):
    a, b = well_posed((6,), 4), RNG.normal(size=(6, 4, 1))
    solve, inv = compile_graph(graph_of(solve_p, a, b)), compile_graph(graph_of(inv_p, a))
    x = a.copy()
    x[3, 1, 2] = bad
    y = b.copy()
    y[3, 1] = bad
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(solve(x, b)[0], np.linalg.solve(x, b))
        np.testing.assert_array_equal(solve(a, y)[0], np.linalg.solve(a, y))
        np.testing.assert_array_equal(inv(x)[0], np.linalg.inv(x))


@pytest.mark.parametrize("matrix", [-np.eye(3), np.diag([1.0, 0, 1]), np.array([[1.0, 2, 0], [2, 1, 0], [0, 0, 1]])])
def test_what_is_not_positive_definite_raises_as_in_numpy(matrix):
    a = positive((9,), 3)
    a[8] = matrix
    executable = compile_graph(graph_of(cholesky_p, a))
    with pytest.raises(np.linalg.LinAlgError, match=r"^Matrix is not positive definite$"):
        executable(a)
    a[8] = np.eye(3)
    close(executable(a), [np.linalg.cholesky(a)])


def test_operands_that_are_not_contiguous_or_read_only():
    a, b = well_posed((9,), 4), RNG.normal(size=(9, 4, 4))
    solve, product = compile_graph(graph_of(solve_p, a, b)), compile_graph(graph_of(MATMUL, a, b))
    strided = np.repeat(a, 2, axis=0)[::2]
    reversed_ = np.ascontiguousarray(b[::-1, :, ::-1])[::-1, :, ::-1]
    fortran = np.asfortranarray(a)
    odd = np.frombuffer(b"\0" + b.tobytes(), np.uint8)[1:].view(np.float64).reshape(b.shape)
    assert not odd.flags.aligned
    assert not odd.flags.writeable
    for x, y in ((strided, reversed_), (fortran, odd)):
        close(solve(x, y), [np.linalg.solve(a, b)], 500.0)
        close(product(x, y), [a @ b])


# ---------------------------------------------------------------------- threads, and programs around them


def test_results_do_not_depend_on_threads():
    a, b = well_posed((4001,), 4), RNG.normal(size=(4001, 4, 1))
    solve = compile_graph(graph_of(solve_p, a, b))
    before = npdiff.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            npdiff.set_num_threads(count)
            results.append(solve(a, b)[0])
            a[4000] = 0
            with pytest.raises(np.linalg.LinAlgError, match=r"^Singular matrix$"):
                solve(a, b)
            a[4000] = np.eye(4)
    finally:
        npdiff.set_num_threads(before)
    first, *others = [x[:4000] for x in results]
    close([first], [np.linalg.solve(a[:4000], b[:4000])], 1e4)
    for x in others:
        np.testing.assert_array_equal(x, first)


def test_concurrent_calls():
    a, b = well_posed((300,), 4), RNG.normal(size=(300, 4, 1))
    solve = compile_graph(graph_of(solve_p, a, b))
    want = solve(a, b)[0]
    wrong = []

    def work():
        for _ in range(50):
            if not np.array_equal(solve(a, b)[0], want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_views_of_what_kernels_made_are_read_in_place():
    """Producers and consumers are fused loops; no transposed array is ever made."""
    a = RNG.normal(size=(9, 3, 3))
    r = Recorder(a)
    doubled = r("multiply", r("exp", r.inputs[0]), 2.0)
    product = r(MATMUL, turned(r, doubled), doubled)
    shifted = r("add", r("negative", product), 1.0)
    g = r.graph(shifted, product)
    executable = check(g, a)
    assert ": kernel " in executable.explain()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([2, 3, 4]), st.integers(0, 2**32 - 1))
def test_solutions_of_any_matrices_are_as_good_as_numpys(n, seed):
    """The residual is of the size of rounding errors, however badly scaled the rows are."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(17, n, n)) * 10.0 ** rng.integers(-8, 8, size=(17, n, 1))
    b = rng.normal(size=(17, n, 2))
    x = compile_graph(graph_of(solve_p, a, b))(a, b)[0]
    size = np.abs(a) @ np.abs(x) + np.abs(b)
    bound = 16 * n * np.finfo(float).eps * np.maximum(size, np.max(np.abs(a), axis=(1, 2), keepdims=True) * np.max(
        np.abs(x), axis=(1, 2), keepdims=True))
    assert np.all(np.abs(a @ x - b) <= bound)


# ---------------------------------------------------------------------- jitted functions


def likelihood(a, b):
    """Every operation, one behind the other, as filters and processes use them."""
    spread = a @ np.swapaxes(a, -1, -2) + 2.0 * np.eye(3)
    root = np.linalg.cholesky(spread)
    solved = np.linalg.solve(root, b)
    gain = np.linalg.inv(spread) @ b
    return np.sum(solved * gain) + np.sum(np.linalg.slogdet(spread)[1]) + np.sum(np.sin(np.linalg.det(a)))


@pytest.mark.parametrize("batch", [(), (7,)])
def test_values_and_derivatives_in_jitted_functions(batch):
    a, b = RNG.normal(size=(*batch, 3, 3)), RNG.normal(size=(*batch, 3, 1))
    compiled, gradient = npdiff.jit(likelihood), npdiff.jit(npdiff.grad(likelihood, (0, 1)))
    for _ in range(2):
        got, slopes = compiled(a, b), gradient(a, b)
    np.testing.assert_allclose(got, likelihood(a, b), rtol=1e-12)
    np.testing.assert_allclose(slopes[0], npdiff.grad(likelihood)(a, b), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(slopes[1], npdiff.grad(likelihood, 1)(a, b), rtol=1e-9, atol=1e-11)
    assert ": call " not in gradient.explain(a, b)


def test_a_jitted_function_raises_and_catches_as_it_stands():
    @npdiff.jit
    def solve(a, b):
        return np.linalg.solve(a, b) + 1.0

    @npdiff.jit
    def careful(a):
        try:
            return np.linalg.inv(a)
        except np.linalg.LinAlgError:
            return np.zeros_like(a)

    good, bad, b = np.eye(3), np.ones((3, 3)), np.ones(3)
    for _ in range(3):
        np.testing.assert_array_equal(solve(good, b), 2 * b)
        with pytest.raises(np.linalg.LinAlgError, match=r"^Singular matrix$"):
            solve(bad, b)
        np.testing.assert_array_equal(careful(good), good)
        np.testing.assert_array_equal(careful(bad), 0 * bad)


def test_an_error_on_the_way_back_is_numpys():
    size = npdiff.grad(npdiff.jit(lambda a: np.linalg.slogdet(a)[1]))
    for _ in range(2):
        np.testing.assert_allclose(size(2 * np.eye(3)), np.eye(3) / 2)
        with pytest.raises(np.linalg.LinAlgError, match=r"^Singular matrix$"), np.errstate(all="ignore"):
            size(np.ones((3, 3)))


# ---------------------------------------------------------------------- operands of several dtypes


@pytest.mark.parametrize("dtypes", [(np.float64, np.float32), (np.float32, np.float64), (np.int64, np.float64),
                                    (np.float16, np.float32)], ids=str)
def test_operands_are_cast_to_the_results_dtype(dtypes):
    a, b = [(4 * well_posed((20,), 4)).astype(d) for d in dtypes]
    check(graph_of(MATMUL, a, b), a, b)


def test_solutions_of_mixed_precision():
    a, b = well_posed((20,), 4), RNG.normal(size=(20, 4, 2)).astype(np.float32)
    check(graph_of(solve_p, a, b), a, b)
    check(graph_of(solve_p, a.astype(np.float32), b.astype(np.float64)), a.astype(np.float32), b.astype(np.float64))


def test_one_cast_serves_all_who_read_it():
    a, b = well_posed((20,), 4), RNG.normal(size=(20, 4, 2)).astype(np.float32)
    r = Recorder(a, b)
    x = r(solve_p, *r.inputs, aval=npdiff.avals.aval_of(np.empty((20, 4, 2))))
    graph = r.graph(r(MATMUL, *r.inputs, aval=npdiff.avals.aval_of(np.empty((20, 4, 2)))), x)
    executable = check(graph, a, b, small=2)
    assert [eq.prim.name for eq in executable.graph.equations].count("astype") == 1


def test_integers_that_linalg_takes_in_double_precision():
    # np.linalg takes int16 beside float32 in double precision, promotion elsewhere does not.
    a, b = well_posed((20,), 4).astype(np.float32), np.ones((20, 4, 1), np.int16)
    graph = graph_of(solve_p, a, b)
    executable = compile_graph(graph)
    close(executable(a, b), expected(graph, (a, b)), 64.0)
