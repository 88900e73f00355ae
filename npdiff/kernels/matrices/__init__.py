"""Products of matrices, and factorisations of small ones, as kernels of their own.

`forms` recognises equations. `products` renders products of stacks of small matrices (each dimension up to
`forms.LIMIT`), `blocks` those of larger ones, `vectors` those of a vector and a matrix, and `factors` solve, inv, det,
slogdet, cholesky and triangular systems of small matrices; `routines` calls LAPACK for the last two of larger ones.
`lanes` is what these share. `compile_matrices` gives machine code for any.

Results agree with NumPy's within rounding: sums are added in another order, and products and sums are rounded
together where the machine can. Where it is not clear by a margin of rounding errors that a pivot is not zero, or a
result is not finite, a factorisation says so in a further result, and NumPy does the work: so errors are NumPy's.
"""

from __future__ import annotations

from npdiff.kernels.matrices.compile_matrices import compile_matrices
from npdiff.kernels.matrices.compile_matrices import nanoseconds as matrix_nanoseconds
from npdiff.kernels.matrices.forms import LIMIT, Matrix, Operation, find

__all__ = ["LIMIT", "Matrix", "Operation", "compile_matrices", "find", "matrix_nanoseconds"]
