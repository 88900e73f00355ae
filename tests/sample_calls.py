"""Calls of the rows that have no samples of their own, in the language of Row.cases; and which rows have none."""

from __future__ import annotations

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
    "np.empty_like": ("A(0)", "A(2, 3), shape=(0, 2)"),
    "np.can_cast": ("np.int8, np.int16",), "np.shares_memory": ("A(3), A(3)",),
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
}
