"""Small kernels that are launched together: as if each were launched alone, whatever comes in."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from graphs import Recorder, expected, primitive, same

import npdiff
from npdiff.dispatch.linalg import solve_p
from npdiff.graph import Var
from npdiff.kernels import compile_graph
from npdiff.kernels.executable import last_reads
from npdiff.kernels.schedule import HostStep, schedule
from npdiff.kernels.simplify import simplify
from npdiff.kernels.together import LARGEST, MEMORY, Run, runs, views_late

RNG = np.random.default_rng(4)
MATMUL = primitive("matmul")
X, A = RNG.normal(size=20), RNG.normal(size=(20, 20)) / 5


def steps_of(x, a, count=4):
    """Products of a matrix and elementwise functions in turns, which cannot be one kernel."""
    r = Recorder(x, a)
    v, m = r.inputs
    kept = []
    for _ in range(count):
        v = r("tanh", r("multiply", r(MATMUL, m, v), 0.5))
        kept.append(v)
    return r.graph(kept[1], v, r("sum", v, axis=None, keepdims=False))


def together(executable):
    return [(run.begin, run.end) for run in executable._runs.values()]


def test_kernels_that_follow_each_other_are_one_launch():
    graph = steps_of(X, A)
    executable = compile_graph(graph)
    assert together(executable) == [(0, len(executable.steps()))]
    same(executable(X, A), expected(graph, (X, A)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_of_any_layout(dtype):
    x, a = X.astype(dtype), A.astype(dtype)
    graph = steps_of(x, a)
    executable = compile_graph(graph)
    want = expected(graph, (x, a))
    twice = np.repeat(x, 2)[::2]
    bare = np.empty(a.nbytes + 1, np.uint8)[1:].view(dtype).reshape(a.shape)
    bare[...] = a
    frozen = a.copy()
    frozen.flags.writeable = False
    for xs, m in ((x, a), (twice, a), (x[::-1].copy()[::-1], np.asfortranarray(a)), (x, bare), (x, frozen)):
        for _ in range(2):
            got = executable(xs, m)
            for g, w in zip(got, want, strict=True):
                np.testing.assert_allclose(g, w, rtol=100 * np.finfo(dtype).eps, atol=10 * np.finfo(dtype).eps)


def test_inputs_that_do_not_fit_at_all():
    executable = compile_graph(steps_of(X, A))
    with pytest.raises(npdiff.errors.GuardFailed, match="float32"):
        executable(X.astype(np.float32), A)
    with pytest.raises(npdiff.errors.GuardFailed, match="float64\\[3\\]"):
        executable(X[:3], A)


def scaled(x, a, number):
    r = Recorder(x, a, number)
    v, m, n = r.inputs
    for _ in range(3):
        v = r("multiply", r(MATMUL, m, v), n)
    return r.graph(v)


@pytest.mark.parametrize("kind", [float, np.float64, np.array, np.float32, np.int16])
def test_numbers_of_every_kind_are_taken_as_they_are(kind, monkeypatch):
    dtype = np.float64 if kind in (float, np.array) else np.dtype(kind)
    x, a = (X, A) if dtype != np.float32 else (X.astype(dtype), A.astype(dtype))
    number = kind(3) if kind is not np.array else np.array(3.0)
    graph = scaled(x, a, np.asarray(number)[()])
    executable = compile_graph(graph)
    assert together(executable) == [(0, 6)]
    monkeypatch.setattr(executable, "one_by_one", None)  # not needed for any of them
    got, want = executable(x, a, number)[0], expected(graph, (x, a, number))[0]
    np.testing.assert_allclose(got, want, rtol=1e-5 if want.dtype == np.float32 else 1e-12)


def test_complex_numbers_have_room():
    r = Recorder(np.array([1 + 2j, 3.0]), np.complex128(2 - 1j))
    v = r("multiply", *r.inputs)
    total = r("sum", r("absolute", v), axis=None, keepdims=False)
    graph = r.graph(r("multiply", r("add", v, v), total))
    args = np.array([1 + 2j, 3.0]), np.complex128(2 - 1j)
    same(compile_graph(graph)(*args), expected(graph, args))


def test_what_a_kernel_leaves_to_numpy_is_done_by_it():
    args = A[:4, :4].copy(), X[:4].copy()
    r = Recorder(*args)
    a, b = r.inputs
    x = r(solve_p, r("multiply", r("add", a, a), a), r("reshape", b, shape=(4, 1)),
          aval=npdiff.avals.aval_of(X[:4, None]))
    graph = r.graph(r("exp", r("multiply", x, x)), x)
    executable = compile_graph(graph)
    assert together(executable) == [(0, 3)]
    for got, want in zip(executable(*args), expected(graph, args), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9)
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        executable(np.zeros((4, 4)), args[1])
    doubtful = np.eye(4)
    doubtful[3] = np.sqrt([1, 0, 0, 1e-16])
    doubtful[0, 3] = 1e-20
    with np.errstate(all="ignore"):
        same(executable(doubtful, args[1]), expected(graph, (doubtful, args[1])))


def test_results_are_new_arrays_each_time():
    executable = compile_graph(steps_of(X, A))
    first, second = executable(X, A), executable(X, A)
    arrays = [v for v in [*first, *second] if v.ndim]
    assert all(v.base is None and v.flags.owndata and v.flags.writeable for v in arrays)
    assert not any(np.shares_memory(a, b) for k, a in enumerate(arrays) for b in arrays[:k])


def test_many_threads_at_once():
    graph = steps_of(X, A, 8)
    executable = compile_graph(graph)
    inputs = [RNG.normal(size=20) for _ in range(8)]
    wants = [executable(x, A)[1] for x in inputs]
    wrong = []

    def work(k):
        for _ in range(300):
            if not np.array_equal(executable(inputs[k], A)[1], wants[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_what_is_long_lets_other_threads_run():
    # Each kernel is short, all together are not.
    graph = steps_of(X, A, 400)
    executable = compile_graph(graph)
    ran, stop = [], threading.Event()
    other = threading.Thread(target=lambda: [ran.append(1) for _ in iter(stop.is_set, True)])
    other.start()
    for _ in range(20):
        got = executable(X, A)
    stop.set()
    other.join()
    for g, w in zip(got, expected(graph, (X, A)), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-300)


def test_a_pickled_one_and_its_times():
    graph = steps_of(X, A)
    executable = compile_graph(graph)
    same(executable(X, A), expected(graph, (X, A)))
    assert len(executable.timed(X, A)) == len(executable.steps())
    f = npdiff.jit(lambda x: np.sum(np.tanh(A @ np.tanh(A @ x))))
    for _ in range(3):
        f(X)
    assert len(f.profile(X).steps) >= 3
    assert pickle.loads(pickle.dumps(npdiff.jit(np.sin)))(X)[0] == np.sin(X)[0]


# ---------------------------------------------------------------------- the plan


def plan_of(graph):
    small = simplify(graph)
    steps = views_late(schedule(small))
    outputs = {a for a in small.outputs if isinstance(a, Var)}
    return steps, last_reads(steps, outputs)


def test_memory_is_used_again_and_never_by_two_at_once():
    steps, dead = plan_of(steps_of(X, A, 12))
    [run] = runs(steps, dead, lambda k: not isinstance(steps[k], HostStep) or hasattr(steps[k], "operation"))
    assert isinstance(run, Run)
    assert (run.begin, run.end) == (0, len(steps))
    assert set(run.offsets).isdisjoint(run.outputs)
    assert run.flags < 4 * 192  # three arrays of 160 bytes at a time, not twenty
    alive = {}
    for k in range(run.begin, run.end):
        made = steps[k].outputs
        for v in made:
            if v in run.offsets:
                begin = run.offsets[v]
                end = begin + v.aval.size * 8
                assert begin % 64 == 0
                assert end <= run.flags
                assert all(end <= b or e <= begin for b, e in alive.values())
                alive[v] = begin, end
        for v in dead[k]:
            alive.pop(v, None)


def test_large_arrays_and_too_many_of_them_are_apart():
    assert not runs(*plan_of(steps_of(X, A)), lambda k: False)
    for count, whole in ((LARGEST // 128 + 1, False), (10, True)):
        steps, dead = plan_of(steps_of(np.ones((count, 4, 4)), np.ones((4, 4))))
        found = runs(steps, dead, lambda k: hasattr(steps[k], "outputs"))  # noqa: B023
        assert (sum(run.end - run.begin for run in found) == len(steps)) == whole
    assert MEMORY >= 2 * LARGEST


def test_views_move_behind_kernels_but_not_past_other_calls():
    r = Recorder(X, A)
    x, a = r.inputs
    v = r("exp", r("multiply", r(MATMUL, a, x), 2.0))
    seen = r("reshape", v, shape=(4, 5))
    w = r("exp", r("multiply", r(MATMUL, a, v), 2.0))
    steps = schedule(simplify(r.graph(seen, w)))
    names = [s.equation.prim.name if isinstance(s, HostStep) else "kernel" for s in steps]
    assert names.index("reshape") < len(names) - 1
    late = [s.equation.prim.name if isinstance(s, HostStep) else "kernel" for s in views_late(steps)]
    assert late.index("reshape") == len(late) - 1
    call = HostStep(steps[0].equation)
    mixed = [*steps[:names.index("reshape") + 1], call, *steps[names.index("reshape") + 1:]]
    order = views_late(mixed)
    assert order.index(steps[names.index("reshape")]) < order.index(call)
