"""Which equations work on stacks of small matrices, and where the elements of these are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from npdiff import lapack
from npdiff.graph import Atom, Equation, Var
from npdiff.kernels.loop_ir import DType
from npdiff.kernels.views import View, whole

# The largest dimension of a small matrix, and the least of the product of larger ones.
LIMIT, NARROW = 16, 4
# Of more multiplications a product is NumPy's: its BLAS has blocks and threads that are tuned for large ones.
_LARGEST = 64**3


class Matrix(NamedTuple):
    """A stack of matrices in a C-contiguous block: element (i, j) of the first is at ``offset + i*down + j*across``.

    `batch` has one stride per axis of the stack, all counted in elements.
    """

    rows: int
    cols: int
    offset: int
    down: int
    across: int
    batch: tuple[int, ...]

    @property
    def turned(self) -> Matrix:
        """The transposed matrices."""
        return Matrix(self.cols, self.rows, self.offset, self.across, self.down, self.batch)

    @property
    def by_rows(self) -> bool:
        """True if the elements of a row lie side by side."""
        return self.across == 1 or self.cols == 1

    @property
    def dense(self) -> bool:
        """True if the elements of a matrix lie side by side, row after row."""
        return self.by_rows and (self.down == self.cols or self.rows == 1)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on every matrix of a stack whose axes have the sizes `batch`.

    A triangular matrix is in one `half` of the first input ("lower", "upper"), and its diagonal is one if `unit`.
    """

    op: str
    dtype: DType
    batch: tuple[int, ...]
    inputs: tuple[Matrix, ...]
    outputs: tuple[Matrix, ...]
    half: str = ""
    unit: bool = False

    @property
    def checked(self) -> bool:
        """True if a further result says whether NumPy has to do it: see `factors`."""
        return self.op not in ("matmul", "product", "vector")

    @property
    def count(self) -> int:
        """How many matrices there are."""
        return int(np.prod(self.batch))

    @property
    def operations(self) -> int | None:
        """How many additions and multiplications a product takes; None of all else."""
        if self.checked:
            return None
        return 2 * self.count * self.inputs[0].rows * self.inputs[0].cols * self.inputs[1].cols

    def show(self) -> list[str]:
        """What a reader wants to know, line by line."""
        kinds = [f"{'transposed ' * (m.across != 1 and m.down == 1 and m.cols > 1)}{m.rows}x{m.cols}"
                 for m in self.inputs]
        return [f"{self.op} of {self.count} {self.dtype.name} matrices, {' and '.join(kinds)}"]


Found = tuple[tuple[int, ...], list[Matrix | None]] | None


def _matrix(view: View, cores: int, batch: tuple[int, ...], column: bool = False) -> Matrix | None:
    """A view whose last `cores` axes are those of a matrix, row or column vector, or number, for a stack of a shape."""
    split = len(view.shape) - cores
    sizes, steps = view.shape[split:], view.strides[split:]
    if cores == 0:
        rows, cols, down, across = 1, 1, 0, 0
    elif cores == 2:
        (rows, cols), (down, across) = sizes, steps
    elif column:
        rows, cols, down, across = sizes[0], 1, steps[0], 0
    else:
        rows, cols, down, across = 1, sizes[0], 0, steps[0]
    lead = len(batch) - split
    if lead < 0:
        return None
    strides = (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(view.shape[:split], view.strides, strict=False))
    return Matrix(rows, cols, view.offset, down, across, strides)


def _collapsed(operation: Operation) -> Operation:
    """The same with as few axes of the stack as possible, none of them of length 1."""
    every = [*operation.inputs, *operation.outputs]
    groups: list[int] = []
    for axis, n in enumerate(operation.batch):
        if n == 1:
            continue
        if groups and all(m.batch[groups[-1]] == m.batch[axis] * n for m in every):
            groups[-1] = axis
        else:
            groups.append(axis)
    sizes = []
    start = 0
    for axis in groups:
        sizes.append(int(np.prod(operation.batch[start:axis + 1])))
        start = axis + 1

    def move(m: Matrix) -> Matrix:
        return m._replace(batch=tuple(m.batch[g] for g in groups))

    return replace(operation, batch=tuple(sizes), inputs=tuple(map(move, operation.inputs)),
                   outputs=tuple(map(move, operation.outputs)))


def _product(eq: Equation, views: Sequence[View]) -> Found:
    if eq.params or eq.prim.call is not np.matmul:
        return None
    out = whole(eq.outputs[0].aval.shape)
    a, b = (min(len(v.shape), 2) for v in views)
    cores = a + b - 2
    if not a or not b:
        return None
    batch = out.shape[:len(out.shape) - cores]
    return batch, [_matrix(views[0], a, batch), _matrix(views[1], b, batch, column=True),
                   _matrix(out, cores, batch, column=b == 1)]


def _einsum(eq: Equation, views: Sequence[View]) -> Found:
    """Products of two factors whose letters are those of the stack, and at most one each of rows, columns and a sum."""
    text = eq.params.get("subscripts")
    if type(text) is not str or not eq.params.keys() <= {"subscripts", "optimize"}:
        return None
    inputs, _, output = text.partition("->")
    left, right = inputs.split(",")
    if any(len(set(t)) != len(t) for t in (left, right, output)):
        return None
    stack = [c for c in output if c in left and c in right]
    rows = [c for c in left if c not in right]
    cols = [c for c in right if c not in left]
    summed = [c for c in left if c in right and c not in output]
    if max(len(rows), len(cols), len(summed)) > 1 or any(c not in output for c in (*rows, *cols)):
        return None
    sizes: dict[str, int] = {}
    places = list(zip((left, right, output), (*views, whole(eq.outputs[0].aval.shape)), strict=True))
    for term, v in places:
        if any(sizes.setdefault(c, n) != n for c, n in zip(term, v.shape, strict=True)):
            return None  # an axis of length 1 that is stretched

    def matrix(term: str, v: View, down: list[str], across: list[str]) -> Matrix | None:
        step = dict(zip(term, v.strides, strict=True))
        n, m = (sizes[c[0]] if c else 1 for c in (down, across))
        i, j = (step[c[0]] if c else 0 for c in (down, across))
        return Matrix(n, m, v.offset, i, j, tuple(step[c] for c in stack))

    cores = ((rows, summed), (summed, cols), (rows, cols))
    return tuple(sizes[c] for c in stack), [matrix(*place, *core) for place, core in zip(places, cores, strict=True)]


def _solve(eq: Equation, views: Sequence[View]) -> Found:
    out = whole(eq.outputs[0].aval.shape)
    if eq.params or any(len(v.shape) < 2 for v in views):
        return None
    return out.shape[:-2], [_matrix(v, 2, out.shape[:-2]) for v in (*views, out)]


def _inv(eq: Equation, views: Sequence[View]) -> Found:
    out = whole(eq.outputs[0].aval.shape)
    return None if eq.params else (out.shape[:-2], [_matrix(v, 2, out.shape[:-2]) for v in (*views, out)])


def _cofactor(eq: Equation, views: Sequence[View]) -> Found:
    found = _inv(eq, views)
    # The inverse, transposed, times the determinant.
    return found and (found[0], [found[1][0], found[1][1] and found[1][1].turned])


def _det(eq: Equation, views: Sequence[View]) -> Found:
    batch = views[0].shape[:-2]
    if eq.params:
        return None
    return batch, [_matrix(views[0], 2, batch), *[_matrix(whole(v.aval.shape), 0, batch) for v in eq.outputs]]


def _cholesky(eq: Equation, views: Sequence[View]) -> Found:
    upper = eq.params.get("upper", False)
    if not eq.params.keys() <= {"upper"} or type(upper) is not bool:
        return None
    out = whole(eq.outputs[0].aval.shape)
    batch = out.shape[:-2]
    found = [_matrix(v, 2, batch) for v in (*views, out)]
    # The upper factor is the transposed lower one of the transposed matrix.
    return batch, [m.turned if m is not None and upper else m for m in found]


def _triangular(eq: Equation, views: Sequence[View]) -> Found:
    found = _solve(Equation(eq.prim, eq.inputs, {}, eq.outputs), views)
    # With the transposed matrix, or as it is.
    return found and (found[0], [found[1][0] and found[1][0].turned if eq.params["trans"] else found[1][0],
                                 *found[1][1:]])


_FORMS: dict[str, tuple[str, int, Callable[[Equation, Sequence[View]], Found]]] = {
    "matmul": ("matmul", 2, _product),
    "einsum": ("matmul", 2, _einsum),
    "solve": ("solve", 2, _solve),
    "linalg.inv": ("inv", 1, _inv),
    "linalg.det": ("det", 1, _det),
    "cofactor": ("cofactor", 1, _cofactor),
    "linalg.slogdet": ("slogdet", 1, _det),
    "linalg.cholesky": ("cholesky", 1, _cholesky),
    "solve_triangular": ("triangular", 2, _triangular),
    "scipy.linalg.solve_triangular": ("triangular", 2, _triangular),
}


def _larger(matrices: Sequence[Matrix]) -> str:
    """What is made of a product of matrices that are not small; nothing where it is NumPy's."""
    a, b, c = matrices
    if min(c.rows, c.cols) >= NARROW:
        return "product" if c.rows * c.cols * a.cols <= _LARGEST else ""
    if min(c.rows, c.cols) > 1 or max(c.rows, c.cols) < NARROW or a.cols < NARROW:
        return ""
    # A vector times a matrix, or the other way round: rows or columns of the matrix lie in adjacent memory.
    vector, matrix = (a, b) if c.rows == 1 else (b.turned, a.turned)
    rows = matrix.across == 1 and matrix.cols >= LIMIT
    return "vector" if rows or (matrix.down == 1 and vector.across == 1) else ""


def _routine(op: str, dtype: DType, matrices: Sequence[Matrix]) -> str:
    """The routine of LAPACK or BLAS that does what is not small; nothing where there is none, or it cannot."""
    if op == "cholesky":
        name = "potrf"
    else:
        a = matrices[0]
        name = "trsv" if matrices[-1].cols == 1 else "trsm"
        if not ((a.across == 1 and a.down >= a.rows) or (a.down == 1 and a.across >= a.rows)):
            return ""
    return name if lapack.address(name, dtype) else ""


def find(eq: Equation, seen_from: Callable[[Atom], tuple[Atom, View]]
         ) -> tuple[Operation, list[Var], list[View]] | None:
    """What an equation does to matrices, and the arrays and views of them that are its operands; None if it does not.

    `seen_from` gives the array below an operand, and the view of it that the operand is.
    """
    op, count, shaped = _FORMS.get(eq.prim.name, ("", -1, _inv))
    if len(eq.inputs) != count or eq.prim.ordered or eq.prim.dynamic or eq.regions:
        return None
    dtype = eq.outputs[0].aval.dtype
    if dtype.kind != "f" or dtype.itemsize not in (4, 8) or not dtype.isnative:
        return None
    if any(a.aval.dtype != dtype or a.aval.weak or not a.aval.size for a in [*eq.inputs, *eq.outputs]):
        return None
    seen = [seen_from(a) for a in eq.inputs]
    roots = [root for root, _ in seen if isinstance(root, Var) and root.aval.dtype == dtype]
    found = shaped(eq, [view for _, view in seen]) if len(roots) == count else None
    if found is None:
        return None
    batch, matrices = found
    fit = tuple([m for m in matrices if m is not None])
    if len(fit) != len(matrices) or not (fit[-1].by_rows or fit[-1].turned.by_rows):
        return None
    if max(max(m.rows, m.cols) for m in fit) > LIMIT:
        op = _larger(fit) if op == "matmul" else _routine(op, dtype, fit) if op in ("cholesky", "triangular") else ""
        if not op:
            return None
    half, unit = "", False
    if "lower" in eq.params:
        half = "lower" if eq.params["lower"] is not bool(eq.params["trans"]) else "upper"
        unit = eq.params["unit"]
    operation = Operation(op, dtype, batch, fit[:count], fit[count:], half, unit)
    return _collapsed(operation), roots, [view for _, view in seen]


__all__ = ["LIMIT", "Matrix", "Operation", "find"]
