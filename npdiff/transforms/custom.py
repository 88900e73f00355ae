"""Rules of one's own: npdiff.custom_jvp and npdiff.custom_vjp."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.core import Handle, Primitive, above_foreign, aval, bind
from npdiff.errors import ArgumentError, NotDifferentiableError, message
from npdiff.transforms.call import batch
from npdiff.transforms.reverse import cast_cotangent, unbroadcast
from npdiff.transforms.run import constants, is_array_like


class _Custom:
    """A function with a derivative rule given by the user."""

    def __init__(self, f: Callable[..., Any]) -> None:
        if not callable(f):
            raise ArgumentError(message("custom rule: a function is needed", f, instead="use it as a decorator"))
        # First, since f's attributes may have the names of ours.
        functools.update_wrapper(self, f)  # type: ignore[arg-type]
        self.f = f

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any], rules: Callable[..., dict[str, Any]]) -> Any:
        leaves, structure = tree.flatten((args, kwargs))
        at = [k for k, leaf in enumerate(leaves) if is_array_like(leaf)]
        operands = [leaves[k] for k in at]
        if not any(isinstance(o, Handle) for o in operands):
            return self.f(*args, **kwargs)
        out_structure: Any = None

        def rebuild(xs: Sequence[Any]) -> Any:
            full = list(leaves)
            for k, x in zip(at, xs, strict=True):
                full[k] = x
            return tree.unflatten(structure, full)

        def run(*xs: Any) -> tuple[Any, ...]:
            nonlocal out_structure
            new_args, new_kwargs = constants(rebuild(xs))
            out, out_structure = tree.flatten(self.f(*new_args, **new_kwargs))
            return tuple([_value(o) for o in out])

        prim = _primitive(getattr(self.f, "__name__", "custom"), run, **rules(rebuild, run))
        results = bind(prim, operands, {})
        return tree.unflatten(out_structure, results)


def _primitive(name: str, run: Callable[..., Any], jvp: Any, pull: Any = None) -> Primitive:
    """A primitive with the user's rules; for a whole batch it is another one, with the batched rules."""

    def call(*xs: Any) -> Any:
        return bind(prim, xs, {}) if above_foreign(xs) else run(*xs)

    def batched(size: int, xs: Sequence[Any], which: Sequence[bool], _params: Any) -> Any:
        def run_all(*ys: Any) -> Any:
            return batch(run, size, ys, which)

        def push_all(out: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
            given = [t is not None for t in tangents]

            def one(*ys: Any) -> Any:
                dots = iter(ys[len(primals):])
                return jvp(None, ys[: len(primals)], [next(dots) if g else None for g in given])

            flags = [*which, *[w for w, g in zip(which, given, strict=True) if g]]
            return batch(one, size, [*primals, *[t for t in tangents if t is not None]], flags)

        def pull_all(cts: Any, out: Any, ys: Sequence[Any], needed: Sequence[Any], params: Any) -> list[Any]:
            given = [c is not None for c in cts]
            present: list[bool] = []

            def one(*values: Any) -> Any:
                it = iter(values[len(ys) + len(out):])
                found = pull([next(it) if g else None for g in given], values[len(ys): len(ys) + len(out)],
                             values[: len(ys)], needed, params)
                present[:] = [c is not None for c in found]
                return [c for c in found if c is not None]

            whole = [True] * (len(out) + sum(given))
            found = iter(batch(one, size, [*ys, *out, *[c for c in cts if c is not None]], [*which, *whole]))
            # One operand for all examples gets the sum of what each gives it.
            return [None if not there else next(found) if w else np.sum(next(found), axis=0)
                    for there, w in zip(present, which, strict=True)]

        return bind(_primitive(name, run_all, push_all, pull and pull_all), xs, {})

    prim = Primitive(name, call, kind="nonlinear", multiple=True, batch=batched, jvp=jvp, pull=pull)
    return prim


def _value(o: Any) -> Any:
    return o._value if isinstance(o, Handle) and o._trace is None else o


class custom_jvp(_Custom):
    """Give a function a forward rule of its own; reverse mode follows by transposing it.

    Use as a decorator, then set the rule with ``defjvp``.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> @npdiff.custom_jvp
    ... def log1pexp(x):
    ...     return np.log(1 + np.exp(x))
    >>> @log1pexp.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), t * (1 - 1 / (1 + np.exp(x)))
    >>> float(npdiff.grad(log1pexp)(0.0))
    0.5
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        super().__init__(f)
        self.rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule: ``rule(primals, tangents) -> (value, tangent)``, linear in the tangents.

        `primals` and `tangents` are tuples of the positional arguments' structure; tangents of arguments that are
        not differentiated are zeros.
        """
        self.rule = rule
        return rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        def rules(rebuild: Callable[..., Any], _run: Any) -> dict[str, Any]:
            def jvp(_out: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
                if self.rule is None:
                    raise NotDifferentiableError(message(
                        f"custom_jvp: {self.__name__} has no rule", *args,  # type: ignore[attr-defined]
                        instead="set one with @f.defjvp"))
                dots = [np.zeros_like(p) if t is None else t for p, t in zip(primals, tangents, strict=True)]
                (xs, _), (ts, _) = rebuild(primals), rebuild(dots)
                answer = self.rule(xs, ts)
                if not isinstance(answer, tuple) or len(answer) != 2:
                    raise ArgumentError(message("custom_jvp: the rule must return (value, tangent)", answer,
                                                instead="return value, tangent"))
                return [_value(t) for t in tree.leaves(answer[1])]

            return {"jvp": jvp}

        return self._call(args, kwargs, rules)


class custom_vjp(_Custom):
    """Give a function a reverse rule of its own. Forward mode through it raises NotDifferentiableError.

    Use as a decorator, then set the rule with ``defvjp``.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> @npdiff.custom_vjp
    ... def clip_gradient(x):
    ...     return x
    >>> clip_gradient.defvjp(lambda x: (x, None), lambda residual, ct: (np.clip(ct, -1, 1),))
    >>> float(npdiff.grad(lambda x: 5 * clip_gradient(x))(2.0))
    1.0
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        super().__init__(f)
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Set the rule: ``fwd(*args) -> (value, residuals)`` and ``bwd(residuals, ct) -> cotangents``, a tuple."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        def rules(rebuild: Callable[..., Any], _run: Any) -> dict[str, Any]:
            def pull(cts: Any, out: Any, xs: Sequence[Any], needed: Sequence[Any], _params: Any) -> list[Any]:
                if self.fwd is None or self.bwd is None:
                    raise NotDifferentiableError(message(
                        f"custom_vjp: {self.__name__} has no rule", *args,  # type: ignore[attr-defined]
                        instead="set one with f.defvjp(fwd, bwd)"))
                new_args, new_kwargs = rebuild(xs)
                value, residuals = self.fwd(*new_args, **new_kwargs)
                _, structure = tree.flatten(value)
                filled = [np.zeros_like(o) if c is None else c for c, o in zip(cts, out, strict=True)]
                answer = self.bwd(residuals, tree.unflatten(structure, filled))
                return _fit(answer, xs, new_args, self.__name__)  # type: ignore[attr-defined]

            def jvp(*_args: Any) -> Any:
                raise NotDifferentiableError(message(
                    f"custom_vjp: {self.__name__} has a reverse rule only",  # type: ignore[attr-defined]
                    *args, instead="use npdiff.custom_jvp, which gives both modes"))

            return {"pull": pull, "jvp": jvp}

        return self._call(args, kwargs, rules)


def _fit(answer: Any, xs: Sequence[Any], args: Sequence[Any], name: str) -> list[Any]:
    """The user's cotangents, one per operand, in the operands' shapes."""
    if not isinstance(answer, tuple) or len(answer) != len(args):
        raise ArgumentError(message(
            f"custom_vjp: bwd of {name} must return a tuple with one cotangent per positional argument", answer,
            instead=f"return a tuple of {len(args)}, with None where there is none"))
    out: list[Any] = []
    for ct, arg in zip(answer, args, strict=True):
        leaves = [leaf for leaf in tree.leaves(arg) if is_array_like(leaf)]
        out += [None] * len(leaves) if ct is None else [_value(c) for c in tree.leaves(ct)]
    out += [None] * (len(xs) - len(out))
    fitted: list[Any] = []
    for ct, x in zip(out, xs, strict=True):
        if ct is None:
            fitted.append(None)
            continue
        a = aval(x)
        ct = ct if isinstance(ct, Handle) else np.asarray(ct)[()]
        fitted.append(cast_cotangent(unbroadcast(ct, a.shape), a.dtype))
    return fitted


__all__ = ["custom_jvp", "custom_vjp"]
