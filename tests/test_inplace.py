"""In-place writes: programs that mutate arrays, compared with NumPy value by value and error by error."""

from __future__ import annotations

import numpy as np
import pytest
from differential import differential, function

X = np.array([0.31, -1.27, 0.83, 1.71, -0.62])
Y = np.array([1.13, 0.47, -1.91, 0.17, 0.66])

PROGRAMS = {
    "set one": "x[2] = y[0] * y[1]\nreturn x",
    "set all": "x[:] = y * y\nreturn x, y",
    "set twice": "x[0] = y[0]\nx[0] = y[1] * x[0]\nreturn x",
    "set from itself": "x[0] = x[0] * x[1]\nx[1] = x[0] * x[1]\nreturn x",
    "a value kept before the write": "a = x[1]\nb = x * 1.0\nx[1] = 5.0\nreturn a, b, x",
    "a view kept before the write": "a = x[1:3]\nx[1] = y[0]\nreturn a, x",
    "operand written later": "a = x * y\nx[...] = 0.0\ny += 1.0\nreturn a * x + y, a",
    "operand written later, in place": "a = np.exp(x)\nb = a * a\na *= y\nreturn a, b",
    "square then overwrite": "s = np.sum(x ** 2)\nx *= s\nreturn x, s",
    "loop": "for i in range(1, len(x)):\n    x[i] += x[i - 1] * y[i]\nreturn x",
    "loop backwards": "for i in range(len(x) - 2, -1, -1):\n    x[i] = x[i] - y[i] * x[i + 1]\nreturn x",
    "nested loops": "a = np.zeros((2, 3))\nfor i in range(2):\n    for j in range(3):\n        a[i, j] = x[i] * y[j]\n"
                    "        a[i, :j] += a[i, j]\nreturn a",
    "shift up": "x[1:] = x[:-1]\nreturn x",
    "shift down": "x[:-1] = x[1:]\nreturn x",
    "add the neighbour": "x[1:] += x[:-1]\nreturn x",
    "reverse": "x[::-1] = x\nreturn x",
    "reverse added": "x += x[::-1]\nreturn x",
    "overlap in a stencil": "x[1:-1] = x[:-2] - 2 * x[1:-1] + x[2:]\nreturn x",
    "overlap out": "np.add(x[:-1], x[1:], out=x[1:])\nreturn x",
    "overlap out 2": "np.multiply(x[1:], y[1:], out=x[:-1])\nreturn x",
    "swap": "x[0], x[1] = x[1], x[0]\nreturn x * y",
    "swap parts": "x[:2], x[2:4] = x[2:4].copy(), x[:2].copy()\nreturn x * y",
    "swap parts, wrong": "x[:2], x[2:4] = x[2:4], x[:2]\nreturn x * y",
    "swap fancy": "x[[0, 3]] = x[[3, 0]]\nreturn x * y",
    "swap names": "x, y = y, x\nx[0] = 3.0\ny *= x\nreturn x, y",
    "repeated index, last wins": "x[[1, 1, 2]] = y[[0, 3, 4]]\nreturn x",
    "repeated index, one value": "x[[1, 1, 2]] = y[0]\nreturn x",
    "repeated index added once": "x[[1, 1, 2]] += y[[0, 3, 4]]\nreturn x",
    "repeated index in two axes": "a = np.outer(x, y)\na[[0, 1, 0], [2, 2, 2]] = y[:3]\nreturn a",
    "add.at": "np.add.at(x, [1, 1, 2], y[:3])\nreturn x",
    "subtract.at": "np.subtract.at(x, [1, 1, 2], y[:3])\nreturn x",
    "multiply.at": "np.multiply.at(x, [1, 1, 2], y[:3])\nreturn x",
    "maximum.at": "np.maximum.at(x, [1, 1, 2], y[:3])\nreturn x",
    "add.at slice": "np.add.at(x, slice(1, 4), y[0])\nreturn x",
    "add.at mask": "np.add.at(x, x > 0, y[0])\nreturn x",
    "add.at 2d": "a = np.outer(x, y)\nnp.add.at(a, ([0, 1, 0], [2, 2, 2]), y[:3])\nreturn a",
    "add.at rows": "a = np.outer(x, y)\nnp.add.at(a, [0, 1, 0], y)\nreturn a",
    "negative.at": "np.negative.at(x, [0, 0, 1])\nreturn x * y",
    "mask": "x[x > 0] = y[x > 0]\nreturn x",
    "mask computed after": "m = x > 0\nx[m] *= 2\nx[~m] = y[~m] * x[~m]\nreturn x",
    "mask from list": "x[[True, False, True, False, False]] = [y[0], 3.0]\nreturn x",
    "mask 2d": "a = np.outer(x, y)\na[a > 0] = 0\na[:, y > 0] *= 2\nreturn a",
    "mask and slice": "a = np.outer(x, y)\na[x > 0, 1:3] = y[:2]\nreturn a",
    "mask nothing": "x[x > 100] = y[0]\nreturn x",
    "boolean scalar": "x[True] = y\nx[False] = 1.0\nreturn x",
    "np.ix_": "a = np.outer(x, y)\na[np.ix_([0, 2], [1, 3])] *= y[:2]\nreturn a",
    "fancy with newaxis": "a = np.outer(x, y)\na[[0, 1], None] = y\nreturn a",
    "fancy split by a slice": "a = x[:, None, None] * np.ones((5, 2, 3))\na[0, :, [0, 2]] = y[:2]\nreturn a",
    "negative fancy": "x[[-1, -2]] = y[:2]\nreturn x",
    "index arrays 2d": "x[np.array([[0, 1], [2, 3]])] = y[:4].reshape(2, 2)\nreturn x",
    "index from argsort": "x[np.argsort(x)] = np.sort(y)\nreturn x",
    "index from where": "x[np.where(x > 0)] = y[0]\nreturn x",
    "index from nonzero": "i, = np.nonzero(x > 0)\nx[i] = y[i] ** 2\nreturn x",
    "tracked integer index": "i = np.argmax(x)\nx[i] = y[i] * x[i]\nx[i - 1:i + 1] *= 3\nreturn x",
    "empty list index": "x[[]] = 3.0\nreturn x * y",
    "leading ones of the value": "x[1:3] = y[None, None, 1:3]\nreturn x",
    "value broadcast": "a = np.zeros((3, 5))\na[:] = x\na[:, 1] = y[:3]\na[1, :] += 2 * a[0]\nreturn a",
    "value a list": "x[:2] = [y[0], 3.0]\nreturn x",
    "value a tuple": "x[:2] = (y[0], 3.0)\nreturn x",
    "value an int": "x[1] = 3\nx[2] = True\nreturn x * y",
    "Ellipsis": "x[...] = y\nx[..., 0] = y[1]\nreturn x",
    "newaxis": "x[None, 1:] = y[:-1]\nx[1:, None] *= y[:4, None]\nreturn x",
    "newaxis twice": "x[:, None, None][2] = y[0]\nreturn x",
    "0-d array": "a = np.zeros(())\na[()] = x[0]\na += y[0]\na[...] = a * a\nreturn a",
    "0-d element view": "a = x[1, ...]\na[...] = y[0]\nreturn x, a",
    "augment all operators": "x += y\nx -= 2\nx *= y\nx /= 3.0\nx **= 2\nreturn x",
    "augment modulo": "x %= 1.1\nx //= 0.4\nreturn x + y",
    "augment matmul": "a = np.outer(x[:2], y[:2])\na @= np.array([[1.0, 2.0], [3.0, 4.0]])\nreturn a",
    "augment element": "x[0] += y[0]\nx[1] -= y[1]\nx[2] *= y[2]\nx[3] /= y[3]\nx[4] **= 2\nreturn x",
    "augment slices": "x[1:3] *= y[1:3]\nx[::2] -= y[::2]\nx[::-1] += y\nreturn x",
    "augment an alias": "a = x\na += y\nreturn a, x",
    "not an augment": "a = x\na = a + y\nreturn a, x",
    "augment a scalar": "s = x[0]\ns += y[0]\ns *= 2\nreturn s, x",
    "augment a sum": "s = 0\nfor v in x:\n    s += v * v\ns /= 2\nreturn s",
    "augment a plain array of one name": "a = np.ones(5)\na += x\na *= y\nreturn a",
    "augment with broadcast": "a = np.outer(x, y)\na += x\na *= y[:, None]\nreturn a",
    "augment a list element": "parts = [x, y]\nparts[0] += y\nparts[1] *= 2\nreturn parts, x, y",
    "augment a dict entry": "d = {'a': x}\nd['a'] += y\nd['b'] = d['a'][1:]\nd['b'] *= 2\nreturn d",
    "out of itself": "np.exp(x, out=x)\nnp.add(x, y, x)\nreturn x",
    "out into zeros": "a = np.zeros(5)\nr = np.multiply(x, y, out=a)\nr += 1\nreturn a",
    "out into a view": "a = np.zeros((2, 5))\nnp.sin(x, out=a[1])\nnp.cos(y, out=a[0, :])\nreturn a",
    "out tuple": "a, b = np.zeros(5), np.zeros(5)\nnp.modf(x, out=(a, b))\nreturn a, b",
    "out tuple of one": "a = np.zeros(5)\nnp.negative(x, out=(a,))\nreturn a",
    "out of a reduction": "a = np.zeros(())\nnp.sum(x * y, out=a)\nb = np.zeros(5)\nnp.outer(x, y).sum(axis=0, out=b)\n"
                          "return a, b",
    "out of dot": "a = np.zeros((5, 5))\nnp.dot(x[:, None], y[None], out=a)\nreturn a",
    "out of matmul": "a = np.zeros((5, 5))\nnp.matmul(x[:, None], y[None], out=a)\nreturn a",
    "out and where": "np.add(x, y, out=x, where=y > 0)\nreturn x",
    "where without out of zeros": "a = np.zeros(5)\nnp.divide(x, y, out=a, where=y > 0)\nreturn a",
    "where guards the domain": "a = np.ones(5)\nnp.log(x, out=a, where=x > 0)\nnp.sqrt(x, where=x > 0, out=x)\n"
                    "return a, x",
    "where broadcast": "a = np.outer(x, y)\nnp.multiply(a, 2, out=a, where=(y > 0))\nreturn a",
    "out of clip": "np.clip(x, -0.5, 0.9, out=x)\nreturn x * y",
    "out of cumsum": "np.cumsum(x, out=x)\nreturn x * y",
    "out of concatenate": "a = np.zeros(10)\nnp.concatenate([x, y], out=a)\nreturn a",
    "copyto": "np.copyto(x, y * 2)\nreturn x",
    "copyto itself": "v = np.diagonal(np.outer(x, y))\nnp.copyto(v, v)\nreturn v",
    "copyto where": "np.copyto(x, y, where=y > 0.2)\nreturn x",
    "copyto view": "a = np.zeros((2, 5))\nnp.copyto(a[:, 1:4], y[1:4])\nreturn a",
    "copyto broadcast": "a = np.zeros((2, 5))\nnp.copyto(a, x)\nreturn a",
    "put": "np.put(x, [0, -1, 0], y[:3])\nreturn x",
    "put repeats values": "np.put(x, [0, 1, 2, 3], y[:2])\nreturn x",
    "put method": "x.put([1, 2], y[0])\nreturn x",
    "put wrap": "np.put(x, [7, -8], y[:2], mode='wrap')\nreturn x",
    "put clip": "np.put(x, [7, -8], y[:2], mode='clip')\nreturn x",
    "place": "np.place(x, x > 0, y[:2])\nreturn x",
    "putmask": "np.putmask(x, x > 0, y * y)\nreturn x",
    "putmask repeats": "np.putmask(x, x > 0, y[:2])\nreturn x",
    "fill_diagonal": "a = np.outer(x, y)\nnp.fill_diagonal(a, y[0])\nreturn a",
    "fill_diagonal values": "a = np.outer(x, y)\nnp.fill_diagonal(a, x)\nreturn a",
    "fill_diagonal wrap": "a = np.zeros((7, 2)) + x[0]\nnp.fill_diagonal(a, y[:2], wrap=True)\nreturn a",
    "diag_indices": "a = np.outer(x, y)\na[np.diag_indices(5)] += y\nreturn a",
    "tril_indices": "a = np.zeros((3, 3))\na[np.tril_indices(3)] = np.concatenate([x, y[:1]])\nreturn a @ a.T",
    "put_along_axis": "a = np.outer(x, y)\nnp.put_along_axis(a, np.argmax(a, axis=1)[:, None], y[0], 1)\nreturn a",
    "sort": "x.sort()\nreturn x * y",
    "sort a row": "a = np.outer(x, y)\na[1].sort()\na[:, 2].sort()\na.sort(axis=0)\nreturn a",
    "sort reversed view": "x[::-1].sort()\nreturn x * y",
    "partition": "x.partition(2)\nreturn x[2] * y",
    "fill": "x.fill(y[0])\nreturn x",
    "fill a view": "x[1:3].fill(y[0] ** 2)\nreturn x",
    "flat": "a = np.outer(x, y)\na.flat[3] = y[0]\na.flat[::7] = x[:2]\na.flat[[0, 1]] *= 2\nreturn a",
    "flat all": "a = np.outer(x, y)\na.flat = y[:3]\nreturn a",
    "flat read": "a = np.outer(x, y).T\nreturn a.flat[3], a.flat[1:4], a.flat[[0, 7]], list(a.flat)[2], len(a.flat)",
    "flat loop": "a = np.outer(x, y)\nfor i, v in enumerate(a.flat):\n    if i % 3 == 0:\n"
                    "        a.flat[i] = v * v\nreturn a",
    "flat sum": "a = np.outer(x, y).T\nreturn np.sum(a.flat), np.exp(a[1:].flat), np.asarray(a.flat)",
    "ndenumerate": "a = np.outer(x, y)\nfor (i, j), v in np.ndenumerate(a):\n    if i > j:\n"
                    "        a[i, j] = 0\nreturn a",
    "real": "x.real = y\nx.real *= 2\nreturn x",
    "T": "a = np.outer(x, y)\na.T[0] = y * y\na[1:].T[1] += 1\nreturn a",
    "reshape": "a = x[:4].reshape(2, 2)\na[0] = y[:2]\na *= 2\nreturn x, a",
    "reshape of reshape": "a = np.outer(x, y).reshape(-1)\nb = a.reshape(5, 5)\nb[1] = 0\na[::6] = y\nreturn a, b",
    "chained views": "x[1:][1:][0] = y[0]\nx[::-1][1:3][::-1][0] = y[1]\nreturn x",
    "two overlapping views": "a, b = x[:3], x[2:]\na *= y[:3]\nb += y[2:]\na[2] = b[0] * 3\nreturn x, a, b",
    "view of a view after a write": "a = x[1:]\nb = a[1:]\na[1] = y[0]\nb *= 2\nx[2] += 1\nreturn x, a, b",
    "row views": "a = np.outer(x, y)\nfor row in a:\n    row *= row[0]\nreturn a",
    "row views enumerated": "a = np.outer(x, y)\nfor i, row in enumerate(a):\n    row[i] = x[i]\n"
                    "    row[:i] = 0\nreturn a",
    "diagonal view by stride": "a = np.outer(x, y)\na.reshape(-1)[::6] = x\nreturn a",
    "copy is no view": "a = x.copy()\na[0] = y[0]\nb = np.array(x)\nb *= 2\nreturn x, a, b",
    "flatten is no view": "a = np.outer(x, y)\na.flatten()[0] = 5.0\na.T.reshape(-1)[0] = 5.0\nreturn a",
    "fancy is no view": "x[[0, 1]][0] = 5.0\nx[x > 0][0] = 7.0\nreturn x",
    "write into a temporary": "(x * y)[0] = 5.0\nreturn x * y",
    "+= of a fancy result": "x[[0, 1]] += y[:2]\na = x[[0, 1]]\na += 1\nreturn x, a",
    "zeros then fill": "a = np.zeros(5)\nfor i in range(5):\n    a[i] = x[i] * y[-i]\nreturn a",
    "empty then fill": "a = np.empty((2, 5))\na[0] = x\na[1] = y\nreturn a",
    "zeros_like": "a = np.zeros_like(x)\na[1:] = x[1:] - x[:-1]\nreturn a",
    "empty_like": "a = np.empty_like(x)\na[:] = x * x\nreturn a",
    "full": "a = np.full((2, 2), x[0])\na[0, 1] = y[0]\nreturn a",
    "int array": "a = np.zeros(5, dtype=int)\na[0] = 3\na[1:] += 2\nreturn x * a",
    "int array takes floats": "a = np.zeros(5, dtype=int)\na[:] = x * 10\nreturn a + 0 * x",
    "bool array": "a = np.zeros(5, dtype=bool)\na[x > 0] = True\na |= y > 0\na &= ~(x > 1)\nreturn np.where(a, x, y)",
    "float32 array": "a = np.zeros(5, dtype=np.float32)\na[:] = x\na += y\na *= 2.0\nreturn a",
    "float32 out": "a = np.zeros(5, dtype=np.float32)\nnp.multiply(x, y, out=a)\nreturn a",
    "complex array": "a = np.zeros(5, dtype=complex)\na[:] = x\na.imag = y\na *= 1j\na[1:3].real += 2\n"
                     "return a, a.real, a.imag",
    "complex view": "a = x + 1j * y\nr, i = a.real, a.imag\nr[0] = 5.0\ni *= 2\na[1] = 3 + 4j\nreturn a, r, i",
    "complex as pairs": "a = x + 1j * y\nb = a.view(float)\nb[::2] *= 2\nb[1] = 7.0\na[2] = 0\nreturn a, b",
    "pairs as complex": "a = np.zeros(4)\na[:] = x[:4]\nb = a.view(complex)\nb *= 1j\nreturn a, b",
    "while with a break": "i = 0\nwhile True:\n    x[i] *= y[i]\n    i += 1\n    if x[i] > 0.5:\n        break\n"
                    "return x",
    "branch on a written value": "x[0] = y[0] * 3\nif x[0] > 1:\n    x[1] = x[0] ** 2\nelse:\n    x[1] = 0\nreturn x",
    "function that writes": "def scale(a, k):\n    a *= k\nscale(x[1:3], y[0])\nscale(x, 2)\nreturn x",
    "in a closure": "a = np.zeros(5)\ndef step(i):\n    a[i] = x[i] ** 2 + (a[i - 1] if i else 0)\nfor i in range(5):\n"
                    "    step(i)\nreturn a",
    "in an object": "class Box: pass\nb = Box()\nb.a = x.copy()\nb.a[0] = y[0]\nb.a += 1\nb.v = b.a[1:]\nb.v *= y[1:]\n"
                    "return b.a, b.v, x",
    "delete a name": "v = x[1:]\ndel x\nv[0] = y[0]\nreturn v",
    "cumulative product": "a = np.ones(6)\nfor i in range(5):\n    a[i + 1] = a[i] * x[i]\nreturn a",
    "Gauss-Seidel": "a = np.outer(x, y)\nfor _ in range(2):\n    for i in range(1, 4):\n        for j in range(1, 4):\n"
                    "            a[i, j] = (a[i - 1, j] + a[i + 1, j] + a[i, j - 1] + a[i, j + 1]) / 4\nreturn a",
    "Cholesky": "a = np.outer(x, x) + 3 * np.eye(5)\nfor i in range(5):\n    for j in range(i):\n"
                "        a[i, j] -= a[i, :j] @ a[j, :j]\n        a[i, j] /= a[j, j]\n"
                    "    a[i, i] -= a[i, :i] @ a[i, :i]\n"
                "    a[i, i] = np.sqrt(a[i, i])\nreturn a",
    "Runge-Kutta": "t = np.zeros((4, 5))\nt[0] = x\nfor i in range(3):\n    k = np.sin(t[i]) * y\n"
                   "    t[i + 1] = t[i] + 0.1 * np.cos(t[i] + 0.05 * k)\nreturn t",
    "base": "a = x[1:]\nreturn (a.base is x) + 0 * x[0], (x[1:][1:].base is x) + 0 * x[0]",
    "shares_memory": "return np.shares_memory(x, x[1:]) + 0 * x[0], np.may_share_memory(x, y) + 0 * x[0]",
    "del after views": "a = x * y\nb = a[1:]\ndel a\nb[0] = 3.0\nreturn b",
    "resize in place": "a = np.zeros(3)\na[0] = x[0]\nreturn np.resize(a, 5) * y",
    "np.nditer": "s = 0.0\nfor i in range(x.size):\n    s += x.item(i) * y.item(i)\nreturn s",
    "scalars are no arrays": "s = x[1]\ns.fill(5.0)\ns.flat[:3] = 7.0\nt = s\nt += 1\nreturn x, s, t",
    "itemset of tuple": "a = np.outer(x, y)\nreturn a.item(1, 2) * a.item((2, 1)) * a.item(7)",
}


@pytest.mark.parametrize("body", PROGRAMS.values(), ids=PROGRAMS)
def test_program(body: str) -> None:
    differential(function(body), X, Y, order=2)


COMPLEX = {
    "set": "z[0] = w[1] * z[1]\nz[1:] *= w[1:]\nreturn z",
    "real": "z.real = w.real * 2\nreturn z",
    "imag": "z.imag[1:] = z.real[1:] * w.imag[1:]\nreturn z",
    "real augmented": "z.real += w.imag\nz.imag *= z.real\nreturn z",
    "real of a view": "z[1:].real[::2] = 3.0\nz[::-1].imag[0] = w.real[0]\nreturn z",
    "conj out": "np.conj(z, out=z)\nreturn z * w",
    "at": "np.add.at(z, [0, 0, 1], w[:3])\nreturn z",
    "mask": "z[z.real > 0] = w[z.real > 0]\nreturn z",
    "real value": "z[1] = w[1].real\nz[2:] = np.abs(w[2:])\nreturn z",
    "into a float": "a = np.zeros(5)\na[0] = z[0]\nreturn a",
    "augment a float": "a = np.ones(5)\na += z\nreturn a",
    "T.imag": "a = np.outer(z, w)\na.T.imag[0] = 1.0\na[0].real = w.imag\nreturn a",
}


@pytest.mark.parametrize("body", COMPLEX.values(), ids=COMPLEX)
def test_complex_program(body: str) -> None:
    differential(function(body, "z, w"), X + 1j * Y, Y - 0.3j * X, order=1)


# NumPy's own errors: the same type and the same words.
ERRORS = """
x[5] = 1.0
x[-6] = y[0]
x[5]
x[[0, 9]]
x[[0, 9]] = y[0]
x[0, 0]
x[0, 0] = 1.0
x[..., ...]
x['a']
x['a'] = 1.0
x[1.0]
x[1.0] = 2.0
x[None, 1, 2]
x[:3] = y[:2]
x[:3] = np.ones((2, 3))
x[[0, 1]] = y[:3]
x[x > 0] = y
x[np.array([True, False])]
x[np.array([True, False])] = 1.0
x[0] = y
x[0][0] = 1.0
x[0][0]
x += np.ones(3)
x += np.ones((2, 5))
x[:2] += y
x[1:] += x
np.add(x, y, out=np.zeros(3))
np.add(x, y[:3])
np.add(x, y, out=np.zeros((2, 3)))
np.add(x, y, out=np.zeros(5, dtype=int))
np.add(x, y, out=(np.zeros(5), np.zeros(5)))
np.add(x, y, out=3)
np.sin(x, out=np.zeros(5, dtype=np.int32))
np.sin(x, y, y)
a = np.zeros(5, dtype=int); a += x
a = np.zeros(5, dtype=int); a /= 2
a = np.zeros(5, dtype=bool); a += x
np.broadcast_to(x, (2, 5))[0] = 1.0
x.diagonal()
np.outer(x, y).diagonal()[0] = 1.0
np.diagonal(np.outer(x, y))[:] += 1.0
x.reshape(2, 3)
x.reshape(-1, -1)
x.reshape(3, -1)
x.transpose(1, 0)
np.transpose(x, (0, 1))
np.swapaxes(x, 0, 1)
np.moveaxis(x, 2, 0)
np.squeeze(x, axis=0)
np.expand_dims(x, 3)
x.sum(axis=1)
np.sum(x, axis=(0, 0))
np.max(x[:0])
np.min(x[:0], axis=0)
np.concatenate([])
np.concatenate([x, y[None]])
np.concatenate([x[0], y[0]])
np.concatenate([x, y], axis=1)
np.stack([x, y[:2]])
np.stack([])
x @ y[:2]
x @ np.ones((2, 3))
x @ 2.0
np.dot(x, y[:2])
np.dot(np.ones((2, 2)), x)
len(x[0])
iter(x[0])
bool(x)
if x > 0: pass
while x: pass
not x
x and y
int(x)
float(x)
complex(x)
range(x)
[1, 2, 3][x]
x.item()
x.item(7)
hash(x)
{x: 1}
np.put(x, [7], y[0])
np.place(x, x > 0, [])
np.copyto(x, np.ones(3))
np.fill_diagonal(x, 1.0)
np.split(x, 2)
x.nothing
x.nothing = 1
x()
x < 'a'
x + 'a'
x + None
x @ None
x[slice('a')]
x[1:'b'] = 3
np.take(x, 9)
np.take(x, [0, 9])
np.linalg.inv(x)
np.linalg.inv(np.zeros((2, 2)) * x[0])
np.linalg.solve(np.outer(x, y), x[:2])
np.linalg.cholesky(-np.eye(2) * x[3])
np.matmul(x[:, None], y[:, None])
np.where(x > 0, x, y[:2])
np.where(x > 0, x)
np.sin()
np.sum()
np.sum(x, axes=1)
np.reshape(x)
x.astype('nonsense')
x.astype(int, casting='safe')
x.fill(y)
x.flat[9] = 1.0
x.flat['a']
x.real = np.ones(3)
x.imag = 1.0
del x[0]
np.add.at(x, [0, 9], y[0])
np.add.at(x, [0, 1], y[:3])
np.add.at(x[0], 0, 1.0)
np.add.reduce(x, axis=2)
np.subtract.reduce(np.outer(x, y), axis=(0, 1))
np.maximum.reduce(x[:0])
np.add.reduceat(x, [7])
np.divide.outer(x)
x.T[9]
x.reshape(5, 1)[:, 1]
divmod(x, 'a')
pow(x, 2, 3)
x << 2
~x
x | y
x & 1
-(x > 0)
(x > 0) - (y > 0)
np.logical_and(x)
np.bitwise_and(x, y)
np.gcd(x, y)
""".strip().splitlines()


@pytest.mark.parametrize("line", ERRORS)
def test_numpy_error(line: str) -> None:
    result = differential(function(line), X, Y, grads=False)
    assert isinstance(result, Exception), f"NumPy raises nothing: {line}"
