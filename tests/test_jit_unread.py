"""What nobody reads but still decides: errors, sizes, and what Python's own operators do on numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jit_against_plain import differ

X = np.array([1.0, -2.0, 3.0])
BIG = 2**40


def is_definite(a):
    try:
        np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return a * 0
    return a * 2


def is_regular(a):
    try:
        np.linalg.inv(a)
    except np.linalg.LinAlgError:
        return "singular"
    return "regular"


def has_entry(x, i):
    try:
        x[i]
    except IndexError:
        return False
    return True


def can_be_written(x, i):
    try:
        y = x * 1
        y[i] = 2
    except IndexError:
        return x * 0
    return x * 1


def can_be_drawn(s):
    try:
        np.random.normal(0.0, s)
    except ValueError:
        return 0.0
    return 1.0


def inverts(n):
    try:
        1 / n
    except ZeroDivisionError:
        return 0
    return 1


def powers(x, k):
    try:
        x**k
    except ValueError:
        return x * 0
    return x


def fits(x):
    try:
        x**300.0
    except OverflowError:
        return 0.0
    return 1.0


CALLS: list[tuple[Any, list[Any]]] = [
    (is_definite, [[np.eye(2)], [-np.eye(2)], [2 * np.eye(2)], [-np.eye(2)]]),
    (is_definite, [[-np.eye(2)], [np.eye(2)]]),
    (is_regular, [[np.eye(2)], [np.zeros((2, 2))], [np.eye(2)]]),
    (has_entry, [[X, np.array([0])], [X, np.array([7])], [X, np.array([2])]]),
    (has_entry, [[X, np.array([7])], [X, np.array([0])]]),
    (can_be_written, [[X, np.array([0])], [X, np.array([7])], [X, np.array([2])]]),
    (can_be_drawn, [[1.0], [-1.0], [2.0], [-2.0]]),
    (can_be_drawn, [[-1.0], [1.0]]),
    (inverts, [[1], [0], [2.0], [0.0]]),
    (powers, [[np.arange(1, 4), np.array([1, 2, 0])], [np.arange(1, 4), np.array([1, -2, 0])]]),
    (fits, [[2.0], [1e200], [3.0]]),
    (lambda x: 1.0 if x[x > 0].size else 0.0, [[X], [-abs(X)], [abs(X)]]),
    (lambda x: len(np.flatnonzero(x)), [[X], [0 * X], [X]]),
    (lambda x: np.unique(x).size, [[X], [0 * X], [X]]),
    (lambda n: np.bincount(n).shape, [[np.array([1, 2])], [np.array([5, 2])]]),
    (lambda x, i: (x[i], x * 2)[1], [[X, np.array([0])], [X, np.array([9])]]),
    (lambda x, m: np.piecewise(x, m, [np.sin, 0.0]), [[np.array(1.0), np.array(k)] for k in (False, True, False)]),
]


@pytest.mark.parametrize(("f", "calls"), CALLS, ids=range(len(CALLS)))
def test_what_is_not_read_still_decides(f, calls):
    differ(lambda: f, calls)


# Enough operations on numbers to be worth a kernel, whose arithmetic is not Python's.
NUMBERS: list[tuple[Any, list[Any]]] = [
    (lambda x, y: (x * 2.0 + 1) / (y * 1.0 + 0) * 3 + x * x - y * y, [[1.0, 2.0], [1.0, 0.0], [3.0, 4.0]]),
    (lambda n: (n * n + 1) * n * n - n * 3 + n * n, [[3], [BIG], [-5]]),
    (lambda n: n + n - n * 2 + n * n - 1 > n, [[3], [BIG], [-5]]),
    (lambda x: (x * x + 1) ** 30.0 * x * x - x * 3 + x * x, [[2.0], [1e20], [3.0]]),
    (lambda x, y: (x * 3 - 1) % (y * 2 - 2) + x * y - x + y, [[1.0, 2.0], [1.0, 1.0], [-2.0, 3.0]]),
    (lambda x, y: (x * 3 - 1) // (y * 2 - 2) + x * y - x + y, [[1.0, 2.0], [1.0, 1.0], [-2.0, 3.0]]),
    (lambda n, x: (n * n - n + 1 + n * 2) * x, [[2, X], [BIG, X], [3, X]]),
    (lambda n, m: (n & m) + (n | m) - (n ^ m) + ~n + n * m, [[6, 3], [2**70, 3], [7, 1]]),
    (lambda n, m: (n < m) + (n <= m) + (n == m) + (n > m) + (n != m), [[6, 3], [2**70, 2**70 + 1], [1, 1]]),
    (lambda n, x: (n < x) + (n <= x) + (n == x) + (n > x) + (n != x), [[6, 3.0], [2**53 + 1, 2.0**53], [1, 1.0]]),
    (lambda x: x / 2 + x // 2 + x % 2 + x * 2 - x, [[1.5], [-7.5], [1e300]]),
]


@pytest.mark.parametrize(("f", "calls"), NUMBERS, ids=range(len(NUMBERS)))
def test_python_numbers_keep_pythons_arithmetic(f, calls):
    differ(lambda: f, calls)
