"""einsum: one multilinear primitive, whose derivative along each operand is again an einsum."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from npdiff.array import view_of
from npdiff.core import NOTHING, VALUE, Handle, Primitive, aval, bind, own_primitive, services, shape_of
from npdiff.dispatch.declare import composite, function, operand, static, write_out
from npdiff.dispatch.operands import phantom
from npdiff.dispatch.rules import add_tangents

_LETTERS = string.ascii_letters

# ---------------------------------------------------------------------- the primitive


def _impl(*operands: Any, subscripts: str, optimize: Any = False) -> Any:
    return np.einsum(subscripts, *operands, optimize=optimize)


def _jvp(_out: Any, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
    terms = [einsum_p.call(*primals[:i], t, *primals[i + 1:], **params)
             for i, t in enumerate(tangents) if t is not None]
    return add_tangents(*terms)


def _place(g: Any, letters: str, term: str, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """`g`, whose axes are the distinct `letters` of a term, laid along the term's axes, and a mask: where it counts.

    A letter that is repeated in the term stands for a diagonal.
    """
    spot = {c: next((k for k, d in enumerate(term) if d == c and shape[k] != 1), term.index(c)) for c in letters}
    order = sorted(letters, key=lambda c: spot[c])
    g = np.transpose(g, [letters.index(c) for c in order])
    sizes = dict(zip(order, shape_of(g), strict=True))
    g = np.reshape(g, [sizes[c] if spot[c] == k else 1 for k, c in enumerate(term)])
    mask = None
    for k, c in enumerate(term):
        if k != spot[c] and shape[k] != 1:
            first = np.arange(shape[spot[c]]).reshape([-1 if j == spot[c] else 1 for j in range(len(term))])
            other = np.arange(shape[k]).reshape([-1 if j == k else 1 for j in range(len(term))])
            mask = first == other if mask is None else mask & (first == other)
    return g, mask


def _pull(ct: Any, _out: Any, args: Sequence[Any], needed: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    inputs, output = params["subscripts"].split("->")
    terms = inputs.split(",")
    return [None if n is None else _pull_one(i, ct, args, terms, output, params.get("optimize", False))
            for i, n in enumerate(needed)]


def _pull_one(i: int, ct: Any, args: Sequence[Any], terms: list[str], output: str, optimize: Any) -> Any:
    shape = aval(args[i]).shape
    letters = "".join(dict.fromkeys(terms[i]))
    others = [*terms[:i], *terms[i + 1:]]
    reached = "".join([c for c in letters if c in output or any(c in t for t in others)])
    subscripts = ",".join([output, *others]) + "->" + reached
    g = einsum_p.call(ct, *args[:i], *args[i + 1:], subscripts=subscripts, optimize=optimize)
    # Letters that no other factor has were summed over: every element counts alike.
    g = np.reshape(g, [shape_of(g)[reached.index(c)] if c in reached else 1 for c in letters])
    g, mask = _place(g, letters, terms[i], shape)
    surplus = tuple([k for k, (m, n) in enumerate(zip(shape_of(g), shape, strict=True)) if m > n])
    g = np.sum(g, axis=surplus, keepdims=True) if surplus else g
    g = np.broadcast_to(g, shape)
    return g if mask is None else np.where(mask, g, np.zeros((), aval(g).dtype))


def _batch(_size: int, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    inputs, output = params["subscripts"].split("->")
    new = next(c for c in _LETTERS if c not in inputs)
    terms = [new + t if b else t for t, b in zip(inputs.split(","), batched, strict=True)]
    return einsum_p.call(*args, **{**params, "subscripts": ",".join(terms) + "->" + new + output})


einsum_p: Primitive = own_primitive("einsum", _impl, kind="nonlinear", jvp=_jvp, pull=_pull, batch=_batch,
                                    saves=(NOTHING, VALUE), total=True)

# ---------------------------------------------------------------------- subscripts


def _from_sublists(operands: Sequence[Any]) -> tuple[str, list[Any]]:
    """The form ``einsum(a, [0, 1], b, [1, 2], [0, 2])`` as subscripts and operands."""
    def text(sublist: Any) -> str:
        return "".join(["..." if s is Ellipsis else _LETTERS[int(s)] for s in sublist])

    arrays = list(operands[0:2 * (len(operands) // 2):2])
    terms = [text(s) for s in operands[1:2 * (len(operands) // 2):2]]
    subscripts = ",".join(terms)
    if len(operands) % 2:
        subscripts += "->" + text(operands[-1])
    return subscripts, arrays


def canonical(subscripts: str, ndims: Sequence[int]) -> str:
    """Subscripts with an explicit output and letters in place of ellipses (NumPy's rules for the implicit ones)."""
    subscripts = subscripts.replace(" ", "")
    inputs, arrow, output = subscripts.partition("->")
    terms = inputs.split(",")
    free = [c for c in _LETTERS if c not in subscripts]
    spans = [n - len(t.replace("...", "")) if "..." in t else 0 for t, n in zip(terms, ndims, strict=True)]
    most = max(spans, default=0)
    dots = "".join(free[:most])
    terms = [t.replace("...", dots[most - n:]) for t, n in zip(terms, spans, strict=True)]
    if arrow:
        return ",".join(terms) + "->" + output.replace("...", dots)
    named = inputs.replace(",", "").replace("...", "")
    once = "".join(sorted([c for c in set(named) if named.count(c) == 1]))
    return ",".join(terms) + "->" + dots + once


@function(np.einsum, "nonlinear", einsum_p, cases=(
    "'ij,jk->ik', A(2, 3), A(3, 4)", "'ij,jk', A(2, 3), A(3, 4)", "'ii', M(3)", "'ii->i', M(3)",
    "'ij->', A(2, 3)", "'ij->ji', A(2, 3)", "'iij,jk->ik', A(2, 2, 3), A(3, 2)",
    "'...ij,...jk->...ik', A(4, 2, 3), A(3, 2)",
    "'i,i,i->i', A(3), A(3), A(3)", "'i,j', A(2), A(3)", "A(2, 3), [0, 1], A(3), [1], [0]",
    "A(2, 3), [0, 1], A(3), [1]",
    "'ij,jk,kl->il', A(2, 3), A(3, 2), A(2, 3), optimize=True", "'ij,ij->j', A(1, 3), A(2, 3)",
    "'ij,jk->ik', C(2, 3), C(3, 2)", "'ijj->i', A(2, 3, 3)", "'ij,jk,kl', A(2, 3), A(3, 2), A(2, 3), optimize='greedy'",
    "A(2, 3), [..., 0], A(3, 2), [0, 1], [..., 1]", "'i...->...', A(2, 3)", "'ii,ij->j', A(3, 3), A(3, 2)",
))
def einsum(*operands: Any, out: Any = None, optimize: Any = False, **kwargs: Any) -> Any:
    first, *rest = operands
    if isinstance(first, str):
        subscripts, arrays = first, rest
    else:
        subscripts, arrays = _from_sublists(operands)
    arrays = [operand(a) for a in arrays]
    dtype, casting = kwargs.get("dtype"), kwargs.get("casting", "safe")
    if _malformed(subscripts, arrays):
        np.einsum(subscripts, *[phantom(a) for a in arrays], **kwargs)
    if dtype is not None:
        for a in arrays:
            if not np.can_cast(aval(a).dtype, dtype, casting):
                np.einsum(subscripts, *[phantom(a) for a in arrays], **kwargs)
        arrays = [services["astype"](a, dtype, "unsafe", False) for a in arrays]
    params: dict[str, Any] = {"subscripts": canonical(subscripts, [aval(a).ndim for a in arrays])}
    if optimize is not False:
        params["optimize"] = static(optimize)
    if out is None and len(arrays) == 1 and isinstance(arrays[0], Handle):
        return _of_one(arrays[0], params)
    return write_out(bind(einsum_p, arrays, params), out, "np.einsum")


def _malformed(subscripts: str, arrays: Sequence[Any]) -> bool:
    """True for subscripts that NumPy refuses: it is then asked for its own error."""
    inputs, _, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(arrays) or set(subscripts) - set(_LETTERS + ".,-> "):
        return True
    bare = [t.replace("...", "") for t in (*terms, output)]
    if any("." in t for t in bare) or len(set(bare[-1])) != len(bare[-1]) or set(bare[-1]) - set(inputs):
        return True
    sizes: dict[str, int] = {}
    for t, a in zip(terms, arrays, strict=True):
        shape = aval(a).shape
        head, dots, tail = t.partition("...")
        if len(shape) < len(head + tail) or (not dots and len(shape) != len(t)):
            return True
        for c, n in [*zip(head, shape, strict=False), *zip(tail[::-1], shape[::-1], strict=False)]:
            if n != 1 and sizes.setdefault(c, n) != n:
                return True
    return False


def _of_one(a: Any, params: dict[str, Any]) -> Any:
    """einsum of one operand: a view on it where nothing is summed."""
    term, output = params["subscripts"].split("->")
    if set(term) != set(output):
        return bind(einsum_p, (a,), params)
    shape = aval(a).shape

    def put(base: Any, new: Any) -> Any:
        g, mask = _place(new, output, term, shape)
        return np.broadcast_to(g, shape) if mask is None else np.where(mask, g, base)

    return view_of(a, lambda base: bind(einsum_p, (base,), params), put)


@composite(np.einsum_path, notes="reads shapes only")
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: Any = False) -> Any:
    plain = [phantom(o) if isinstance(o, Handle) else o for o in operands]
    return np.einsum_path(*plain, optimize=optimize, einsum_call=einsum_call)
