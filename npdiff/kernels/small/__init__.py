"""Products and factorisations of many small matrices, each dimension up to `forms.LIMIT`, as kernels of their own.

`forms` recognises equations, `lanes` is what the two renderers share, `products` renders matrix products and
`factors` solve, inv, det, slogdet and cholesky; `compile_small` gives machine code for either.

Results agree with NumPy's within rounding: sums are added in another order, and products and sums are rounded
together where the machine can. Where it is not clear by a margin of rounding errors that a pivot is not zero, or a
result is not finite, a factorisation says so in a second result, and NumPy does the work: so errors are NumPy's.
"""

from __future__ import annotations

from npdiff.kernels.small.compile_small import compile_small
from npdiff.kernels.small.forms import LIMIT, Matrix, Small, find

__all__ = ["LIMIT", "Matrix", "Small", "compile_small", "find"]
