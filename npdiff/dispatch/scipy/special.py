"""Every row of scipy.special."""

from __future__ import annotations

import scipy.special

from npdiff.dispatch.scipy import (  # noqa: F401
    bessel,
    distributions,
    elementary,
    elliptic,
    functions,
    gamma,
    polynomials,
)
from npdiff.dispatch.scipy.declare import capture_functions, capture_ufuncs

capture_ufuncs()
capture_functions(scipy.special)
