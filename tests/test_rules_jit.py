"""Every row's sample calls under jit: recorded once, replayed on other values, compared with plain NumPy."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from jit_against_plain import assert_equal_values, differ, recordings

import npdiff
from npdiff import tree
from npdiff.dispatch.declare import rows
from npdiff.errors import JitWarning
from npdiff.samples import all_cases, evaluate, is_float_array

# Sample calls of rows that have none of their own: what writes in place, makes arrays, draws, or gives no number.
BITS = ("np.gcd", "np.lcm", "np.bitwise_and", "np.bitwise_or", "np.bitwise_xor", "np.left_shift", "np.right_shift")
COMPARED = ("np.heaviside", "np.logical_and", "np.logical_or", "np.logical_xor", "np.equal", "np.not_equal", "np.less",
            "np.less_equal", "np.greater", "np.greater_equal", "np.floor_divide", "np.divmod")
ROUNDED = ("np.floor", "np.ceil", "np.trunc", "np.rint", "np.signbit", "np.spacing", "np.isfinite",
           "np.isinf", "np.isnan", "np.logical_not", "np.modf", "np.frexp")
DESCRIBED = ("np.shape", "np.ndim", "np.size", "np.iscomplexobj", "np.isrealobj", "np.result_type", "np.common_type",
             "np.min_scalar_type", "np.array_repr", "np.array_str", "np.array2string")
MADE = ("np.array", "np.asarray", "np.asanyarray", "np.asarray_chkfinite", "np.ascontiguousarray",
        "np.asfortranarray")
DRAWS = {
    "beta": "1.0, 2.0, 3", "binomial": "5, 0.4, 3", "chisquare": "2.0, 3", "choice": "A(4), 2",
    "dirichlet": "P(3), 2", "exponential": "P(3)", "f": "2.0, 3.0, 3", "gamma": "2.0, P(3)", "geometric": "0.4, 3",
    "gumbel": "A(3), 1.0", "hypergeometric": "5, 4, 3, 2", "laplace": "A(3), 1.0", "logistic": "A(3)",
    "lognormal": "A(3), 0.5", "logseries": "0.4, 3", "multinomial": "5, [0.2, 0.8], 2",
    "multivariate_normal": "A(2), S(2), 3", "negative_binomial": "3, 0.4, 2", "noncentral_chisquare": "2.0, 1.0, 3",
    "noncentral_f": "2.0, 3.0, 1.0, 3", "normal": "A(3), 0.5", "pareto": "2.0, 3", "permutation": "A(4)",
    "poisson": "P(3)", "power": "2.0, 3", "rand": "2, 3", "randint": "0, 5, 3", "randn": "3", "random": "3",
    "random_sample": "3", "ranf": "3", "rayleigh": "P(3)", "sample": "3", "shuffle": "A(4)", "standard_cauchy": "3",
    "standard_exponential": "3", "standard_gamma": "P(3)", "standard_normal": "(2, 3)", "standard_t": "2.0, 3",
    "triangular": "-1.0, 0.0, 1.0, 3", "uniform": "A(3), 3.0", "vonmises": "0.0, 1.0, 3", "wald": "P(3), 1.0",
    "weibull": "2.0, 3", "zipf": "2.5, 3",
}
MORE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(BITS, ("I(3, high=5), I(3, high=5)", "6, I(3, high=5)", "I(2, 1), I(3)")),
    **dict.fromkeys(COMPARED, ("A(3), P(3)", "I(3), 2", "A(2, 1), P(3)", "0.5, P(3)")),
    **dict.fromkeys(ROUNDED, ("A(4)", "A(2, 3)", "A()[()]")),
    **dict.fromkeys(DESCRIBED, ("A(2, 3)",)),
    **dict.fromkeys(MADE, ("A(2, 3)", "[A(2), A(2)]", "[0.5, A()[()]]", "A(3), np.float32")),
    **{f"np.random.{name}": (text,) for name, text in DRAWS.items()},
    "np.invert": ("I(3, high=5)", "B(3)"), "np.bitwise_count": ("I(3, high=9)",),
    "np.real": ("C(3)", "A(3)"), "np.imag": ("C(3)", "A(3)"), "np.angle": ("C(3)", "C(2, 3), True", "A(3)"),
    "np.empty_like": ("A(0)",), "np.can_cast": ("np.int8, np.int16",), "np.shares_memory": ("A(3), A(3)",),
    "np.may_share_memory": ("A(3), A(3)",), "np.einsum_path": ("'ij,jk', A(2, 3), A(3, 2)",),
    "np.tril_indices_from": ("A(3, 3)",), "np.triu_indices_from": ("A(3, 3), 1",), "np.diag_indices_from": ("A(3, 3)",),
    "np.ix_": ("I(2), I(3)", "B(3), I(2)"),
    "np.copyto": ("A(3), A(3)", "A(2, 3), A(3)", "A(3), 0.5, where=B(3)", "I(3), I(3)"),
    "np.put": ("A(4), [0, 2], [5.0, 6.0]", "A(2, 3), I(3, high=6), A(3)", "A(4), [5, -9], 1.0, 'clip'",
               "A(4), I(2, high=9), A(2), mode='wrap'"),
    "np.putmask": ("A(4), B(4), A(4)", "A(2, 3), A(2, 3) > 0, A(2)", "I(4), B(4), 7"),
    "np.place": ("A(4), B(4), A(2)", "A(2, 3), A(2, 3) > 0, [0.5]", "I(4), B(4), [7, 8]"),
    "np.put_along_axis": ("A(2, 3), I(2, 1), A(2, 1), 1", "A(4), I(2), 0.5, 0", "A(2, 3), I(2), 0.5, None"),
    "np.fill_diagonal": ("A(3, 3), 0.5", "A(4, 2), A(2), True", "A(2, 3), A(2)", "I(2, 2), 5"),
    "np.arange": ("4", "0.5, 2.0, 0.5", "1, 4"), "np.zeros": ("3", "(2, 3)"), "np.ones": ("(2, 3), np.float32",),
    "np.empty": ("0",), "np.full": ("(2, 3), 1.5", "3, A(3)", "2, A()[()]"), "np.eye": ("3", "2, 3, 1"),
    "np.identity": ("3",), "np.tri": ("3", "2, 3, -1"), "np.indices": ("(2, 3),",), "np.kaiser": ("4, 2.0",),
    **dict.fromkeys(("np.bartlett", "np.blackman", "np.hamming", "np.hanning", "np.fft.fftfreq", "np.fft.rfftfreq",
                     "np.diag_indices", "np.tril_indices", "np.triu_indices"), ("4",)),
    "np.frombuffer": ("b'12345678', np.int8",), "np.fromfunction": ("lambda i, j: i + j, (2, 3)",),
    "np.fromiter": ("[1.0, 2.0], float",), "np.fromstring": ("'1 2', sep=' '",),
    "np.mask_indices": ("3, np.triu",), "np.isscalar": ("A()[()]", "0.5"),
    "np.iterable": ("A(3)",), "np.isfortran": ("A(2, 3)",),
}
# Rows of which no call is sampled here, and why.
UNSAMPLED = {
    "np.isnat": "takes dates only", "np.random.bytes": "gives no array, so the recording is blocked",
    "np.random.random_integers": "warns that it is deprecated", "np.fix": "warns that it is deprecated",
    "np.row_stack": "warns that it is deprecated",
    "scipy.special.softplus": "not in every SciPy", "scipy.special.assoc_laguerre": "SciPy's code over other rows",
}

CASES = [*all_cases(), *[(n, t) for n, texts in MORE.items() if n in rows for t in texts]]
each_case = pytest.mark.parametrize(("name", "text"), CASES, ids=[f"{n}({t})" for n, t in CASES])

# The second is a call like the first, with other values; the last repeats the first.
SEEDS = (0, 1, 2, 0)


def calls(name: str, text: str) -> tuple[int, tuple[str, ...], list[list[Any]]]:
    """How many arguments are positional, the names of the others, and all of them for each seed.

    Only arrays and NumPy scalars differ from call to call: what is no operand is part of the signature.
    """
    found = [evaluate(name, text, seed) for seed in SEEDS]
    first, structure = tree.flatten((found[0].args, found[0].kwargs))
    made = []
    for call in found:
        leaves = tree.leaves((call.args, call.kwargs))
        mixed = [a if isinstance(a, (np.ndarray, np.generic)) else b for a, b in zip(leaves, first, strict=True)]
        args, kwargs = tree.unflatten(structure, mixed)
        made.append([*args, *kwargs.values()])
    return len(found[0].args), tuple(found[0].kwargs), made


PROGRAM = """
def program(*values):
    args, kwargs = values[:{count}], dict(zip({names}, values[{count}:]))
    {body}
"""
BODIES = {
    "alone": "return {name}(*args, **kwargs)",
    # Loops in machine code before and behind it; what it writes into is what they made.
    "between kernels": "args, kwargs = before(args), before(kwargs); out = {name}(*args, **kwargs)\n"
                       "    return behind(out), behind(args)",
}
HELPERS = """
def settled(a):
    if isinstance(a, (np.ndarray, np.inexact)) and a.dtype.kind == "f":
        return (a + 1.5) * 0.5 + a * 0.5 - 0.75
    return a

def stretched(a):
    if isinstance(a, (np.ndarray, np.inexact)) and a.dtype.kind == "f":
        return (a + 1.5) * 3 - a * 0.5
    return a

def before(values):
    return map_leaves(settled, values)

def behind(values):
    return map_leaves(stretched, values)
"""


def program(body: str, name: str, count: int, names: Sequence[str]) -> Callable[..., Any]:
    """A user's function that calls the row's function by its name."""
    space: dict[str, Any] = {"np": np, "__name__": "program", "map_leaves": tree.map_leaves}
    text = PROGRAM.format(count=count, names=tuple(names), body=BODIES[body].format(name=name))
    if name.startswith("scipy."):
        importlib.import_module(name.rpartition(".")[0])
        space["scipy"] = importlib.import_module("scipy")
    exec(compile(HELPERS + text, "program.py", "exec"), space)
    found: Callable[..., Any] = space["program"]
    return found


def copied(values: Sequence[Any]) -> Callable[[], list[Any]]:
    return lambda: [tree.map_leaves(lambda a: a.copy("K") if isinstance(a, np.ndarray) else a, v) for v in values]


@pytest.mark.parametrize("body", BODIES)
@each_case
def test_values(name: str, text: str, body: str) -> None:
    if rows[name].kind == "elementwise" and body != "alone":
        pytest.skip("it is a kernel itself")
    count, names, given = calls(name, text)
    f = program(body, name, count, names)
    jitted = differ(lambda: f, [copied(values) for values in given])
    # Where the size of a result depends on values there may be a recording for each call but the last.
    assert recordings(jitted) < len(SEEDS)
    assert sum(made.calls for entry in jitted._entries.values() for made in entry.recordings) >= 1


# ---------------------------------------------------------------------- derivatives


def loss(f: Callable[..., Any], values: Sequence[Any]) -> Callable[..., Any]:
    """One number from all that f gives and leaves behind, as a function of the float arrays."""
    leaves, structure = tree.flatten(list(values))

    def total(*xs: Any) -> Any:
        floats = iter(xs)
        given = tree.unflatten(structure, [next(floats) if is_float_array(v) else np.copy(v) if isinstance(
            v, np.ndarray) else v for v in leaves])
        outs = [y for y in tree.leaves((f(*given), given)) if isinstance(y, (np.ndarray, np.inexact))]
        return sum([np.sum(np.cos(0.3 + k) * np.real(y * y)) for k, y in enumerate(outs) if y.dtype.kind in "fc"])

    return total


WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "grad of jit": lambda f, numbers: npdiff.grad(npdiff.jit(f), numbers),
    "jit of grad": lambda f, numbers: npdiff.jit(npdiff.grad(f, numbers)),
}


def gradient(g: Callable[..., Any], xs: Sequence[Any]) -> Any:
    """The gradient, or the error."""
    np.random.seed(3)
    try:
        return g(*[np.copy(x) if isinstance(x, np.ndarray) else x for x in xs])
    except Exception as error:
        return error


@each_case
def test_gradients(name: str, text: str) -> None:
    count, names, given = calls(name, text)
    points = [[v for v in tree.leaves(values) if is_float_array(v)] for values in (*given[:2], given[0])]
    if not points[0]:
        pytest.skip("no float operand")
    numbers = tuple(range(len(points[0])))
    total = loss(program("alone", name, count, names), given[0])
    wanted = [gradient(npdiff.grad(total, numbers), xs) for xs in points]
    for label, way in WAYS.items():
        g = way(total, numbers)
        with warnings.catch_warnings():
            warnings.simplefilter("error", JitWarning)
            for k, xs in enumerate(points):
                got = gradient(g, xs)
                if isinstance(wanted[k], Exception) or isinstance(got, Exception):
                    assert type(got) is type(wanted[k]), f"{label}, call {k}: {got!r} instead of {wanted[k]!r}"
                else:
                    assert_equal_values(got, wanted[k], f"{label}, call {k}")


def test_every_row_has_a_call() -> None:
    sampled = {name for name, _ in CASES} | UNSAMPLED.keys()
    assert [n for n, row in rows.items() if row.kind not in ("unsupported", "untracked") and n not in sampled] == []
