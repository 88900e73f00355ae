"""Every public name that has no derivative to give: what cannot be recorded, and what needs no recording.

`REFUSED` are functions that raise on tracked arrays, by their reason. `UNTRACKED` are functions that never
see one: they draw random numbers (effects.py stands in for them inside a transform), or ask about types and
settings.
"""

from __future__ import annotations

from npdiff.dispatch.declare import Row, add_row, found, rows, unsupported

REFUSED: dict[str, str] = {
    "writes a file": "save savetxt savez savez_compressed",
    "works on strings": "datetime_as_string",
    "works on dates": "busday_count busday_offset is_busday",
    "makes a matrix object, which has other operators": "asmatrix bmat",
    "iterates in C over plain memory": "nested_iters",
    "formats one plain number": "format_float_positional format_float_scientific",
}
_INSTEAD = {
    "makes a matrix object, which has other operators": "keep the array, and use @ for the product",
    "iterates in C over plain memory": "loop over the array itself",
}
UNTRACKED: dict[str, str] = {
    "makes an array from sizes": "mask_indices fft.fftfreq fft.rfftfreq",
    "reads a file or another library's memory": "fromfile fromregex genfromtxt load loadtxt from_dlpack",
    "makes a ufunc of a Python function": "frompyfunc",
    "works on shapes or on plain integers": "base_repr binary_repr broadcast_shapes",
    "asks about types": "datetime_data isdtype isfortran isscalar issubdtype iterable mintypecode promote_types "
                        "typename",
    "reads or changes NumPy's settings": "get_include get_printoptions getbufsize geterr geterrcall info printoptions "
                                         "set_printoptions setbufsize seterr seterrcall show_config show_runtime test "
                                         "linalg.test fft.test random.test",
    "draws random numbers": " ".join([f"random.{n}" for n in (
        "beta", "binomial", "bytes", "chisquare", "choice", "dirichlet", "exponential", "f", "gamma", "geometric",
        "gumbel", "hypergeometric", "laplace", "logistic", "lognormal", "logseries", "multinomial",
        "multivariate_normal", "negative_binomial", "noncentral_chisquare", "noncentral_f", "normal", "pareto",
        "permutation", "poisson", "power", "rand", "randint", "randn", "random", "random_integers", "random_sample",
        "ranf", "rayleigh", "sample", "shuffle", "standard_cauchy", "standard_exponential", "standard_gamma",
        "standard_normal", "standard_t", "triangular", "uniform", "vonmises", "wald", "weibull", "zipf")]),
    "draws random numbers from a generator of its own, whose draws jit does not repeat": " ".join(
        [f"random.Generator.{n}" for n in (
            "beta", "binomial", "bytes", "chisquare", "choice", "dirichlet", "exponential", "f", "gamma", "geometric",
            "gumbel", "hypergeometric", "integers", "laplace", "logistic", "lognormal", "logseries", "multinomial",
            "multivariate_hypergeometric", "multivariate_normal", "negative_binomial", "noncentral_chisquare",
            "noncentral_f", "normal", "pareto", "permutation", "permuted", "poisson", "power", "random", "rayleigh",
            "shuffle", "spawn", "standard_cauchy", "standard_exponential", "standard_gamma", "standard_normal",
            "standard_t", "triangular", "uniform", "vonmises", "wald", "weibull", "zipf")]),
    "makes a generator of random numbers": "random.Generator random.RandomState random.SeedSequence "
                                           "random.BitGenerator random.MT19937 random.PCG64 random.PCG64DXSM "
                                           "random.Philox random.SFC64",
    "is a class that works on shapes and types": "busdaycalendar dtype errstate finfo iinfo ndindex ufunc",
    "is a class that reads plain memory in C; a tracked value in it is an error": "broadcast flatiter matrix "
                                                                                  "memmap nditer recarray",
    "is a class over functions that have rows": "poly1d",
    "reads or sets the state of the random generators": "random.default_rng random.get_bit_generator random.get_state "
                                                        "random.seed random.set_bit_generator random.set_state",
}
_KINDS = {"draws random numbers": "host call", "makes an array from sizes": "creation"}


def _enter() -> None:
    for why, names in REFUSED.items():
        for name in names.split():
            func = found(name)
            unsupported(func, why, _INSTEAD.get(why, "compute it on x.value, the plain array"), f"np.{name}")
    for why, names in UNTRACKED.items():
        for name in names.split():
            func = found(name)
            if f"np.{name}" not in rows:
                add_row(Row(f"np.{name}", _KINDS.get(why, "untracked"), func, why=why))


_enter()


__all__ = ["REFUSED", "UNTRACKED"]
