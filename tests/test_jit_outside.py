"""Whatever a jitted function reads outside is read at each call: nothing of it becomes a constant unseen."""

from __future__ import annotations

import argparse
import array
import collections
import configparser
import contextvars
import datetime as dates
import functools
import io
import itertools
import os
import pathlib
import queue
import secrets
import sys
import threading
import types
import warnings
import weakref
from datetime import datetime as Moment

import numpy as np
import pytest

import npdiff
from npdiff.errors import JitWarning

pytestmark = pytest.mark.filterwarnings("ignore::npdiff.errors.JitWarning")
X = np.arange(3.0)


def compare(f, reset, change):
    """Two calls, a change outside, and two more: plain, and jitted."""
    seen = []
    for g in (f, npdiff.jit(f)):
        reset()
        results = []
        for k in range(4):
            if k == 2:
                change()
            results.append(np.array(g(X.copy())))
        seen.append(results)
    np.testing.assert_array_equal(seen[1], seen[0])
    return seen[0]


class Slots:
    __slots__ = ("v",)


class Thing:
    v = 1.0


class Heir(Thing):
    pass


class MetaClass(type):
    w = 1.0


class Made(metaclass=MetaClass):
    pass


@functools.singledispatch
def by_type(_k):
    return 1.0


def hung(x):
    return x * hung.k


def hung_counter(x):
    hung_counter.n += 1
    return x * hung_counter.n


def first(x):
    return x * 1.0


def ninth(x):
    return x * 9.0


FIRST_CODE = first.__code__
settings = types.ModuleType("settings_of_a_test")
settings.part = types.ModuleType("settings_of_a_test.part")
local = threading.local()
context = contextvars.ContextVar("context", default=1.0)


def at(thing, key=0):
    return lambda v: thing.__setitem__(key, v)


def attribute(thing, name="v"):
    return lambda v: setattr(thing, name, v)


def other_name(x):
    s = settings
    return x * s.v


def handed_on(x):
    return x * (lambda m: m.v)(settings)


def imported(x):
    import settings_of_a_test as s
    return x * s.v


def imported_from(x):
    from settings_of_a_test import v
    return x * v


def outer():
    inside = settings
    return lambda x: x * inside.v


DEQUE, COUNTER, USER = collections.deque([1.0]), collections.Counter(), collections.UserDict()
CHAIN, BOOK, BYTES = collections.ChainMap({}), {0: 1.0}, bytearray(b"\1")
VALUES, PROXY, VIEW, NUMBERS = BOOK.values(), types.MappingProxyType(BOOK), memoryview(BYTES), array.array("d", [1.0])
SPACE, GIVEN, SLOTS, THING = types.SimpleNamespace(v=1.0), argparse.Namespace(v=1.0), Slots(), Thing()
WEAK = weakref.ref(THING)
MASKED, MATRIX = np.ma.array([1.0, 2.0]), np.rec.array([(1.0,)], dtype=[("v", float)])
POLYNOMIAL, OBJECTS = np.polynomial.Polynomial([1.0, 2.0]), np.array([1.0, None], dtype=object)
WORDS, RECORDS = np.array(["1.0", "2"]), np.zeros(2, [("v", float)])
PARSER = configparser.ConfigParser()
PARSER["part"] = {"v": "1"}

# A function, and what puts a number where it reads it.
READS = {
    "deque": (lambda x: x * DEQUE[0], at(DEQUE)),
    "Counter": (lambda x: x * COUNTER[0], at(COUNTER)),
    "UserDict": (lambda x: x * USER[0], at(USER)),
    "ChainMap": (lambda x: x * CHAIN[0], at(CHAIN)),
    "view of a dict": (lambda x: x * sum(VALUES), at(BOOK)),
    "proxy of a dict": (lambda x: x * PROXY[0], at(BOOK)),
    "bytearray": (lambda x: x * BYTES[0], lambda v: at(BYTES)(int(v))),
    "memoryview": (lambda x: x * VIEW[0], lambda v: at(BYTES)(int(v))),
    "array.array": (lambda x: x * NUMBERS[0], at(NUMBERS)),
    "SimpleNamespace": (lambda x: x * SPACE.v, attribute(SPACE)),
    "argparse.Namespace": (lambda x: x * GIVEN.v, attribute(GIVEN)),
    "configparser": (lambda x: x * PARSER.getfloat("part", "v"), lambda v: PARSER.set("part", "v", str(v))),
    "slots": (lambda x: x * SLOTS.v, attribute(SLOTS)),
    "weakref": (lambda x: x * WEAK().v, attribute(THING)),
    "class above": (lambda x: x * Heir.v, attribute(Thing)),
    "class of a class": (lambda x: x * Made.w, attribute(MetaClass, "w")),
    "single dispatch": (lambda x: x * by_type(3), lambda v: by_type.register(int, lambda _k: v)),
    "masked array": (lambda x: x * float(MASKED[0]), at(MASKED)),
    "record array": (lambda x: x * MATRIX.v[0], lambda v: at(MATRIX.v)(v)),
    "polynomial": (lambda x: x * POLYNOMIAL.coef[0], at(POLYNOMIAL.coef)),
    "array of objects": (lambda x: x * OBJECTS[0], at(OBJECTS)),
    "array of strings": (lambda x: x * float(WORDS[0]), lambda v: at(WORDS)(str(v))),
    "structured array": (lambda x: x * RECORDS["v"][0], lambda v: at(RECORDS["v"])(v)),
    "attribute of a function": (hung, attribute(hung, "k")),
    "code of a function": (first, lambda v: setattr(first, "__code__", FIRST_CODE if v == 1.0 else ninth.__code__)),
    "module": (lambda x: x * settings.v, attribute(settings)),
    "module in a module": (lambda x: x * settings.part.v, attribute(settings.part)),
    "module by another name": (other_name, attribute(settings)),
    "module handed on": (handed_on, attribute(settings)),
    "module in a cell": (outer(), attribute(settings)),
    "module in a list": (lambda x, found=[settings]: x * found[0].v, attribute(settings)),
    "module imported inside": (imported, attribute(settings)),
    "name imported inside": (imported_from, attribute(settings)),
    "getattr of a module": (lambda x: x * getattr(settings, "".join("v")), attribute(settings)),
    "sys.modules": (lambda x: x * sys.modules["settings_of_a_test"].v, attribute(settings)),
    "globals": (lambda x: x * globals()["SPACE"].v, attribute(SPACE)),
    "eval": (lambda x: eval("x * SPACE.v"), attribute(SPACE)),
    "environ": (lambda x: x * float(os.environ["NPDIFF_TEST_V"]), lambda v: at(os.environ, "NPDIFF_TEST_V")(str(v))),
    "getenv": (lambda x: x * float(os.getenv("NPDIFF_TEST_V")), lambda v: at(os.environ, "NPDIFF_TEST_V")(str(v))),
    "context variable": (lambda x: x * context.get(), context.set),
    "thread's own": (lambda x: x * local.v, attribute(local)),
    "error state": (lambda x: x * len(np.geterr()["divide"]),
                    lambda v: np.seterr(divide="warn" if v > 1 else "ignore")),
}


@pytest.fixture(autouse=True)
def _restored(monkeypatch):
    monkeypatch.setenv("NPDIFF_TEST_V", "1")
    monkeypatch.setitem(sys.modules, "settings_of_a_test", settings)
    old = np.geterr()
    yield
    np.seterr(**old)
    Thing.v = MetaClass.w = 1.0


@pytest.mark.parametrize("name", READS)
def test_what_changes_is_seen(name):
    f, put = READS[name]
    results = compare(f, lambda: put(1.0), lambda: put(9.0))
    assert results[0][1] != results[3][1]


@pytest.mark.parametrize("name", ["deque", "Counter", "argparse.Namespace", "module in a module", "environ", "slots",
                                  "context variable", "attribute of a function", "array of strings"])
def test_what_does_not_change_stays_compiled(name):
    f, put = READS[name]
    put(1.0)
    jitted = npdiff.jit(f)
    for _ in range(4):
        jitted(X)
    assert "3 replay(s)" in jitted.explain(X)


def closing(thing, f):
    """The function, with a thing of its own."""
    return lambda x: f(x, thing)


# Functions that go on in something at each call: all results differ.
STREAMS = {
    "iterator": lambda: closing(iter(range(1, 9)), lambda x, it: x * next(it)),
    "count": lambda: closing(itertools.count(1), lambda x, it: x * next(it)),
    "generator": lambda: closing((k for k in range(1, 9)), lambda x, it: x * next(it)),
    "file": lambda: closing(io.StringIO("1\n2\n3\n4\n5"), lambda x, it: x * float(it.readline())),
    "popped": lambda: closing(collections.deque(range(1, 9)), lambda x, it: x * it.popleft()),
    "queue": lambda: closing(_queue(), lambda x, it: x * it.get()),
    "secrets": lambda: (lambda x: x * secrets.randbelow(10**9)),
    "module by another name": lambda: (lambda x: x * dates.datetime.now().timestamp()),
    "class by another name": lambda: (lambda x: x * Moment.now().timestamp()),
    "hung": lambda: setattr(hung_counter, "n", 0) or hung_counter,
    "clock imported inside": lambda: _clock,
}


def _queue():
    q = queue.Queue()
    for k in range(1, 9):
        q.put(k)
    return q


def _clock(x):
    import time
    return x * time.perf_counter()


@pytest.mark.parametrize("name", STREAMS)
def test_what_goes_on_goes_on_once_a_call(name):
    jitted = npdiff.jit(STREAMS[name]())
    seen = [float(jitted(X)[1]) for _ in range(4)]
    assert len(set(seen)) == 4
    if seen[0] < 9:
        assert seen == [1.0, 2.0, 3.0, 4.0]


def test_an_iterator_as_an_argument():
    jitted = npdiff.jit(lambda x, it: x * next(it))
    it = iter([1.0, 2.0, 3.0])
    assert [float(jitted(X, it)[1]) for _ in range(3)] == [1.0, 2.0, 3.0]


ARGUMENTS = {
    "dates": lambda: np.array([1, 2, 3]).astype("M8[s]"), "texts": lambda: np.array(["1", "2", "3"]),
    "objects": lambda: np.array([1, 2, 3], object), "fields": lambda: np.array([(1.0,), (2.0,)], [("a", "f8")]),
    "bfloat16": lambda: np.arange(3).astype(pytest.importorskip("ml_dtypes").bfloat16),
    "a set": lambda: {1, 2, 3},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_are_no_operands_are_read_at_each_call(name):
    results = []
    for make in (lambda f: f, npdiff.jit):
        a, seen = ARGUMENTS[name](), []
        read = make(lambda a, x: (np.copy(a).tolist() if name != "a set" else sorted(a), x * 2))
        for k in range(6):
            seen.append(read(a, 1.0))
            if k % 3 == 2 and name == "a set":
                a.add(10 + k)
            elif k % 3 == 2:
                a[:] = a[::-1].copy()
        results.append(seen)
    assert results[0] == results[1]


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if name != "a set"])
def test_arguments_that_are_no_operands_are_written_at_each_call(name):
    def write(a):
        a[0] = a[-1]

    jitted = npdiff.jit(write)
    for _ in range(3):
        a = ARGUMENTS[name]()
        jitted(a)
        assert a[0] == a[-1]
        a = ARGUMENTS[name]()
        for _ in range(2):
            a[0] = a[1]
            jitted(a)
            assert a[0] == a[-1]


@pytest.mark.parametrize("a", [np.array([1, 2, 3]).astype("M8[s]"), np.array([1, 2], object),
                               np.ma.masked_array(X, X > 1)], ids=["dates", "objects", "masked"])
def test_what_stays_as_it_is_stays_compiled(a):
    f = npdiff.jit(lambda a, x: np.sin(x) * len(a))
    for _ in range(4):
        f(a, X)
    assert [r.calls for e in f._entries.values() for r in e.recordings] == [3]


def test_a_dtype_of_another_package_is_named():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    f = npdiff.jit(lambda x: x + x)
    with pytest.warns(JitWarning, match=r"an argument has dtype bfloat16, .* take x.astype\(np.float32\)"):
        np.testing.assert_array_equal(f(np.arange(3).astype(bfloat16)).astype(float), [0, 2, 4])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(600):  # one signature, whichever array it is
            f(np.arange(3).astype(bfloat16))
    assert "runs without compiled code: an argument has dtype bfloat16" in f.explain(np.zeros(3, bfloat16))


def test_files_are_read_at_each_call(tmp_path):
    text, numbers = tmp_path / "text", tmp_path / "numbers.npy"

    def put(v):
        text.write_text(str(v))
        np.save(numbers, v)

    for f in (lambda x: x * float(text.read_text()), lambda x: x * np.load(numbers),
              lambda x: x * os.stat(text).st_size, lambda x: x * len(pathlib.Path(text).read_bytes())):
        results = compare(f, lambda: put(1.0), lambda: put(19.0))
        assert results[0][1] != results[3][1]


def test_warnings_are_given_at_each_call():
    def f(x):
        warnings.warn("careful", UserWarning, stacklevel=2)
        return x * 2

    jitted = npdiff.jit(f)
    said = r"warnings\.warn gives another answer or acts outside at each call"
    with pytest.warns(JitWarning, match=said), pytest.warns(UserWarning, match="careful"):
        jitted(X)
    for _ in range(3):
        with pytest.warns(UserWarning, match="careful"):
            jitted(X)


def test_a_module_that_the_function_imports_first(tmp_path, monkeypatch):
    (tmp_path / "npdiff_test_late.py").write_text("v = 2.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def f(x):
        import npdiff_test_late as late
        return x * late.v

    jitted = npdiff.jit(f)
    try:
        assert [jitted(X)[1] for _ in range(4)] == [2.0] * 4
        assert "2 replay(s)" in jitted.explain(X)
        sys.modules["npdiff_test_late"].v = 3.0
        assert jitted(X)[1] == 3.0
    finally:
        sys.modules.pop("npdiff_test_late", None)
