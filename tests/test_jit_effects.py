"""A jitted function does to the world outside what the function does, from the first call on."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest

import npdiff
from npdiff.errors import JitWarning

counter = 0
settings: dict[str, object] = {}


class Model:
    def __init__(self):
        self.calls = 0
        self.last = None
        self.weights = np.ones(2)

    def step(self, x):
        self.calls += 1
        self.last = x * 2
        self.weights -= 0.1 * x
        return np.sum(self.weights)


def global_name():
    def f(x):
        global counter
        counter += 1
        return x * counter

    def state():
        return counter

    globals()["counter"] = 0
    return f, state


def nonlocal_name():
    n = 0

    def f(x):
        nonlocal n
        n += 1
        return x * 2

    return f, lambda: n


def nonlocal_name_in_an_inner_function():
    n = 0

    def f(x):
        def count():
            nonlocal n
            n += 1

        count()
        return x * 2

    return f, lambda: n


def list_of_results():
    seen = []

    def f(x):
        y = x * 2
        seen.append(y)
        return y

    return f, lambda: seen


def attributes():
    model = Model()
    return model.step, lambda: [model.calls, model.last, model.weights]


def dict_entry_that_is_replaced():
    params = {"w": np.ones(2), "rest": [np.zeros(1), "name"]}

    def f(x):
        params["w"] = params["w"] - 0.1 * x
        return np.sum(params["w"])

    return f, lambda: [params["w"], *params["rest"]]


def dict_entry_that_is_written_into():
    params = {"w": np.ones(2)}

    def f(x):
        params["w"] -= 0.1 * x
        return np.sum(params["w"])

    return f, lambda: [params["w"]]


def dict_entries_that_come_and_go():
    settings.clear()
    settings.update(old=np.ones(2))

    def f(x):
        settings["new"] = {"x": x + 1, "pair": (x, 1.0)}
        settings.pop("old", None)
        return x

    return f, lambda: [sorted(settings), settings["new"]["x"], settings["new"]["pair"][1]]


WORLDS = [global_name, nonlocal_name, nonlocal_name_in_an_inner_function, list_of_results, attributes,
          dict_entry_that_is_replaced, dict_entry_that_is_written_into, dict_entries_that_come_and_go]


def plain(value):
    """Lists of numbers, which also shows that no tracked array got out."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    assert value is None or type(value) in (int, float, str, np.ndarray, np.float64)
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: w.__name__)
def test_effects_outside(world):
    f, state = world()
    expected = [(plain(f(np.full(2, float(k)))), plain(state())) for k in range(3)]
    f, state = world()
    jitted = npdiff.jit(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JitWarning)
        assert [(plain(jitted(np.full(2, float(k)))), plain(state())) for k in range(3)] == expected


def replaced(params, x):
    params["w"] = params["w"] - 0.1 * x
    return np.sum(params["w"])


def appended(params, x):
    params["list"].append(x + 1)
    return x


def removed(params, x):
    return params.pop("w") + x


def written(params, x):
    params["w"] += x
    params["list"][0] *= 2
    return np.sum(params["w"])


@pytest.mark.parametrize("f", [replaced, appended, removed, written])
def test_effects_on_containers_among_the_arguments(f):
    def params():
        return {"w": np.ones(2), "list": [np.ones(1)]}

    jitted = npdiff.jit(f)
    for k in range(3):
        mine, theirs = params(), params()
        x = np.full(2, float(k))
        expected = f(theirs, x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", JitWarning)
            result = jitted(mine, x)
        assert plain(result) == plain(expected)
        assert sorted(mine) == sorted(theirs)
        assert plain([mine.get("w"), mine["list"]]) == plain([theirs.get("w"), theirs["list"]])
        assert result is not mine.get("w")


def test_writing_into_an_array_is_no_reason_to_run_without_compiled_code():
    params = {"w": np.ones(2), "list": [np.ones(1)]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", JitWarning)
        jitted = npdiff.jit(written)
        jitted(params, np.ones(2))
    assert "1 recording(s)" in jitted.explain(params, np.ones(2))


def asks(x):
    return x * float(input("factor? "))


def rolls(x):
    import random

    x += random.random()
    print("rolled")
    return x


def test_what_was_asked_while_recording_is_not_asked_again(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("2.5\n7\n"))
    f = npdiff.jit(asks)
    with pytest.warns(JitWarning, match="builtins.input gives another answer or acts outside at each call"):
        np.testing.assert_array_equal(f(np.ones(2)), [2.5, 2.5])
    np.testing.assert_array_equal(f(np.ones(2)), [7.0, 7.0])
    assert capsys.readouterr().out == "factor? " * 2


def test_the_stream_of_pythons_random_moves_once_a_call(capsys):
    import random

    results = []
    for f in (rolls, npdiff.jit(rolls)):
        random.seed(3)
        xs = [np.zeros(2) for _ in range(3)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", JitWarning)
            outs = [f(x) for x in xs]
        assert all(out is x for out, x in zip(outs, xs, strict=True))
        results.append([plain(x) for x in xs])
    assert results[0] == results[1]
    assert capsys.readouterr().out == "rolled\n" * 6
