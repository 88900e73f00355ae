"""Jitted functions: the same function, run from recorded graphs compiled to fused kernels."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.avals import is_foreign, ndarray
from npdiff.backend.contract import Backend
from npdiff.backend.cpu import CPU
from npdiff.core import Handle, aval, bind, innermost, services
from npdiff.errors import ArgumentError, BackendError, GuardFailed, JitWarning, NonFiniteError, message, warn_user
from npdiff.graph import Graph
from npdiff.program import Program, run_program_p
from npdiff.quick import MISSED, Quick, quick
from npdiff.replay import OVERLAP, NotRecorded, Recording, identities, record
from npdiff.transforms.jvp import JvpTrace
from npdiff.transforms.portable import by_name, packed, unpacked
from npdiff.transforms.reverse import ReverseTrace
from npdiff.transforms.watch import while_watching

# Recordings kept for one signature; past that the function's path is not predictable and it runs unjitted.
MAX_RECORDINGS = 16
# Signatures kept for one function; past that (an object made anew for each call, say) it runs unjitted.
MAX_SIGNATURES = 512

# Fast paths tried before a call is looked at in full, and how often one is written anew for a recording whose
# surroundings compare equal but are other objects.
MAX_QUICK = 8
MAX_QUICKENED = 4

_NUMBERS = (int, float, complex)


def _leaf_key(leaf: Any) -> tuple[Any, bool]:
    """What a compilation depends on for one leaf, and whether the leaf is fixed (no operand)."""
    kind = type(leaf)
    if kind is ndarray:
        if leaf.dtype.kind not in "biufc":
            return (kind, id(leaf)), True
        return (kind, leaf.dtype, leaf.shape, None if leaf.flags.c_contiguous else leaf.strides,
                leaf.flags.writeable), False
    if kind in _NUMBERS:
        return kind, False
    if isinstance(leaf, Handle):
        a = aval(leaf)
        return (ndarray if a.shape else kind, a.dtype, a.shape, None, a.weak), False
    if is_foreign(leaf):
        return (kind, id(leaf)), True
    if hasattr(leaf, "dtype") and getattr(leaf, "shape", None) == () and leaf.dtype.kind in "biufc":
        return (kind, leaf.dtype), False
    try:
        hash(leaf)
    except TypeError:
        return (kind, id(leaf)), True
    return (kind, leaf), True


class Entry:
    """All recordings for one signature."""

    __slots__ = ("keep", "recordings", "unjitted")

    def __init__(self, keep: Any) -> None:
        self.recordings: list[Recording] = []
        self.unjitted = ""
        self.keep = keep  # fixed arguments known by id must stay alive


@dataclass(frozen=True)
class _Call:
    """One call, taken apart."""

    args: Any
    kwargs: Any
    leaves: Sequence[Any]
    structure: Any
    static: Sequence[bool]
    operands: Sequence[Any]
    roots: Sequence[Any]

    def on(self, leaves: Sequence[Any]) -> _Call:
        """The same call with other leaves."""
        args, kwargs = tree.unflatten(self.structure, leaves)
        return replace(self, args=args, kwargs=kwargs, leaves=leaves)


class Jitted:
    """A function made by `npdiff.jit`."""

    def __init__(self, f: Callable[..., Any], backend: Backend = CPU) -> None:
        if not callable(f):
            raise ArgumentError(message("jit: the first argument must be a function", f,
                                        instead="write npdiff.jit(f)(x), not npdiff.jit(f(x))"))
        functools.update_wrapper(self, f)  # first: it copies attributes, which may be those of another jitted function
        self.function = f
        self.backend = backend
        self._entries: dict[Any, Entry] = {}
        self._quick: tuple[Quick, ...] = ()
        self._quickened: list[tuple[Recording, Quick]] = []
        self._lock = threading.RLock()
        self._said: set[str] = set()

    def __repr__(self) -> str:
        return f"npdiff.jit({getattr(self.function, '__name__', self.function)!s})"

    def __reduce__(self) -> Any:
        if by_name(self):
            return self.__qualname__  # type: ignore[attr-defined]
        return received, (packed(self.function), *self._options())

    def _options(self) -> tuple[Any, ...]:
        """What `npdiff.jit` was told besides the function."""
        return (self.backend.name,)

    def __get__(self, obj: Any, kind: Any = None) -> Any:
        return self if obj is None else functools.partial(self, obj)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for run in self._quick:
            out = run(args, kwargs)
            if out is not MISSED:
                return out
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        leaves, structure = tree.flatten((args, kwargs))
        keys = []
        static = []
        tracked = False
        for leaf in leaves:
            key, fixed = _leaf_key(leaf)
            keys.append(key)
            static.append(fixed)
            if isinstance(leaf, Handle):
                tracked = True
        if any(static) and (theirs := [leaf for leaf in leaves if is_foreign(leaf)]):
            library = type(theirs[0]).__module__.partition(".")[0]
            self._warn(f"an argument is an array of {library}, which may map the jitted function over NumPy's arrays")
            return self.function(*args, **kwargs)
        operands = [leaf for leaf, fixed in zip(leaves, static, strict=True) if not fixed]
        if tracked and not _differentiating(operands):
            return self.function(*args, **kwargs)  # inside vmap or another recording: part of that
        key = (structure, tuple(keys), identities(leaves))
        entry = self._entries.get(key)
        if entry is None:
            entry = self._new_entry(key, leaves if any(static) else None)
        if entry.unjitted:
            return self.function(*args, **kwargs)
        roots = [self.function, *[leaf for leaf, fixed in zip(leaves, static, strict=True) if fixed]]
        if tracked:
            return self._differentiate(entry, _Call(args, kwargs, leaves, structure, static, operands, roots))
        failure: Exception | None = None
        for made in tuple(entry.recordings):
            values = made.inputs(roots, operands)
            if values is None:
                continue
            try:
                outs = made.execute(values)
            except GuardFailed:
                continue
            except Exception as error:
                failure = error  # the function raises it too, or catches it, or we are at fault: recording will tell
                continue
            made.calls += 1
            if made is not entry.recordings[0]:
                self._to_front(entry, made)
            if made.quickened < MAX_QUICKENED:
                self._quicken(made, quick(made, structure, leaves, static, roots))
            return made.finish(outs, values)
        now, complete = self._record(entry, _Call(args, kwargs, leaves, structure, static, operands, roots))
        if failure is not None and now is not None and not now.catches(failure):
            self._blame(entry, failure)
        return self.function(*args, **kwargs) if complete is None else complete()

    def _new_entry(self, key: Any, keep: Any) -> Entry:
        entry = Entry(keep)
        if len(self._entries) >= MAX_SIGNATURES:
            entry.unjitted = f"it was called with more than {MAX_SIGNATURES} different signatures"
            self._warn(entry.unjitted)
            return entry
        return self._entries.setdefault(key, entry)

    def _quicken(self, made: Recording, path: Quick | None) -> None:
        """Try this fast path first from now on, in place of an older one of the recording."""
        with self._lock:
            made.quickened = MAX_QUICKENED if path is None else made.quickened + 1
            if path is not None:
                kept = [(m, p) for m, p in self._quickened if m is not made][: MAX_QUICK - 1]
                self._quickened = [(made, path), *kept]
                self._quick = tuple([p for _, p in self._quickened])

    def _forget(self, gone: Sequence[Recording]) -> None:
        """Drop the fast paths of recordings."""
        self._quickened = [(m, p) for m, p in self._quickened if m not in gone]
        self._quick = tuple([p for _, p in self._quickened])

    def _to_front(self, entry: Entry, made: Recording) -> None:
        with self._lock:
            if made in entry.recordings:
                entry.recordings.remove(made)
                entry.recordings.insert(0, made)

    def _record(self, entry: Entry, call: _Call) -> tuple[Recording | None, Callable[[], Any] | None]:
        """A new recording, and what completes the call it was made in; None where the function itself must run."""
        with self._lock:
            try:
                made, complete = record(self.function, call.roots, call.leaves, call.structure, call.static)
            except NotRecorded as failed:
                if isinstance(failed.__cause__, NonFiniteError):
                    raise failed.__cause__ from None
                why = f"recording it failed with {_named(failed.__cause__)}"
                return None, lambda: self._after_failure(entry, call, why)
            if made.environment.tracked:
                return None, None  # it closes over values of a running transform: part of that
            if made.blocked:
                why = "; ".join(dict.fromkeys(made.blocked))
                if why != OVERLAP:  # other arrays of these types may lie apart
                    entry.unjitted = why
                self._warn(why)
                return None, complete if made.done else None
            self._choose(made, call.args)
            if len(entry.recordings) >= MAX_RECORDINGS:
                entry.unjitted = (f"it took a new path on each of {MAX_RECORDINGS} calls, "
                                  + _parting([made, *entry.recordings]))
                self._forget(entry.recordings)
                entry.recordings.clear()
                self._warn(entry.unjitted)
            else:
                entry.recordings.insert(0, made)
            return made, complete

    def _choose(self, made: Recording, args: Sequence[Any]) -> None:
        """Say what compiles a recording made with these arguments."""

    def _after_failure(self, entry: Entry, call: _Call, why: str) -> Any:
        """The call as the function itself does it; if it gets through, recording was what failed."""
        result = self.function(*call.args, **call.kwargs)
        entry.unjitted = why
        self._warn(why)
        return result

    def _blame(self, entry: Entry, failure: Exception) -> None:
        """A replay raised what the function does not: nothing of this signature is replayed any more."""
        entry.unjitted = (f"a replay failed with {_named(failure)}, and the function does not (a defect in npdiff: "
                          "please report it)")
        self._forget(entry.recordings)
        entry.recordings.clear()
        self._warn(entry.unjitted)

    def _warn(self, why: str) -> None:
        if why not in self._said:
            self._said.add(why)
            warn_user(f"npdiff.jit: {getattr(self.function, '__name__', 'the function')} runs without compiled "
                      f"code: {why}", JitWarning)

    # ------------------------------------------------------------------ under grad, jvp and their nestings

    def _differentiate(self, entry: Entry, call: _Call) -> Any:
        plain = [innermost(o) for o in call.operands]
        failure: Exception | None = None
        for _ in range(2):
            for made in tuple(entry.recordings):
                values = made.inputs(call.roots, plain)
                if values is None or made.writes or made.draws or made.prints:
                    continue
                values[: len(plain)] = call.operands
                try:
                    outs = bind(run_program_p, values, {"program": _program(made, values)})
                except GuardFailed:
                    continue
                except BackendError:
                    raise
                except Exception as error:
                    failure = error
                    continue
                made.calls += 1
                return tree.unflatten(made.structure, made.leaves(outs, call.operands))
            state = np.random.get_state(legacy=False)  # noqa: NPY002 (the user's stream is NumPy's)
            made_now, _ = self._record(entry, call.on([_copied(innermost(leaf)) for leaf in call.leaves]))
            np.random.set_state(state)  # noqa: NPY002 (the recording is not this call: that comes now)
            if made_now is None or made_now.writes or made_now.draws or made_now.prints or entry.unjitted:
                break
            if failure is not None and not made_now.catches(failure):
                break
        # Writes and effects keep their order only when run as they stand.
        result = self.function(*call.args, **call.kwargs)
        if failure is not None and not any(made.catches(failure) for made in entry.recordings):
            self._blame(entry, failure)
        return result

    # ------------------------------------------------------------------ looking inside

    def lower(self, *args: Any, **kwargs: Any) -> Graph:
        """The graph that a call with these arguments runs (recorded now, on copies, if it has not been yet)."""
        return self._recorded(*args, **kwargs).graph

    def _recorded(self, *args: Any, **kwargs: Any) -> Recording:
        leaves, structure = tree.flatten((args, kwargs))
        static = [_leaf_key(leaf)[1] for leaf in leaves]
        copies = [_copied(innermost(leaf)) for leaf in leaves]
        roots = [self.function, *[leaf for leaf, fixed in zip(copies, static, strict=True) if fixed]]
        return record(self.function, roots, copies, structure, static)[0]

    @staticmethod
    def _is_operand(leaf: Any) -> bool:
        return not _leaf_key(leaf)[1]

    def explain(self, *args: Any, **kwargs: Any) -> str:
        """Say in words how a call with these arguments runs: graph, kernels, guards, recordings, compile times.

        Parameters
        ----------
        args, kwargs
            Arguments as for a call. The function is run on copies of them if it has no recording for them yet.

        Returns
        -------
        Text of several lines.

        Examples
        --------
        >>> import numpy as np, npdiff
        >>> f = npdiff.jit(lambda x: np.sum(np.sin(x) * x))
        >>> text = f.explain(np.ones(4))
        >>> "sin" in text
        True
        """
        leaves, structure = tree.flatten((args, kwargs))
        pairs = [_leaf_key(leaf) for leaf in leaves]
        key = (structure, tuple([k for k, _ in pairs]), identities(leaves))
        entry = self._entries.get(key)
        if entry is None or not (entry.recordings or entry.unjitted):
            copies = [_copied(leaf) for leaf in leaves]
            new_args, new_kwargs = tree.unflatten(structure, copies)
            self(*new_args, **new_kwargs)
            entry = self._entries.get(key) or Entry(None)
        lines = [f"{self!r}: {len(self._entries)} signature(s) seen",
                 f"this signature: {len(entry.recordings)} recording(s)"]
        if entry.unjitted:
            return "\n".join([*lines, f"runs without compiled code: {entry.unjitted}"])
        for k, made in enumerate(entry.recordings):
            text = made.compiled().explain()
            milliseconds = made.compiled().compile_seconds * 1e3
            lines += ["", f"recording {k}: {made.calls} replay(s), compiled in {milliseconds:.1f} ms"]
            lines += ["  " + line for line in repr(made.graph).splitlines()]
            if made.environment.labels:
                lines.append("  arrays read from outside: " + ", ".join(made.environment.labels))
            guards = [eq for eq in made.graph.equations if eq.prim.name.startswith("guard")]
            for eq in guards:
                where = f" at {eq.source[0]}:{eq.source[1]}" if eq.source else ""
                if "error" in eq.params:
                    lines.append(f"  guard: {eq.params['prim'].name}{where} raises {eq.params['error'].__name__}")
                else:
                    lines.append(f"  guard: the value asked for{where} is {eq.params['expected']!r}")
            if made.writes:
                lines.append(f"  writes into input(s) {made.writes}")
            lines += ["  " + line for line in text.splitlines()]
        return "\n".join(lines)


def _program(made: Recording, values: Sequence[Any]) -> Program:
    """The recording's program; one that keeps values for the way back if that is what the operands are tracked for."""
    traces = [v._trace if isinstance(v, Handle) else None for v in values]
    top = max((t for t in traces if t is not None), key=lambda t: t.level)
    program = made.compiled()
    if not isinstance(top, ReverseTrace):
        return program
    return program.keeping(tuple([t is top for t in traces]), values)


def _named(error: BaseException | None) -> str:
    """An error on one line."""
    return f"{type(error).__name__}: " + "; ".join(line.strip() for line in str(error).splitlines())


def _parting(recordings: Sequence[Recording]) -> str:
    """In words, what sets the paths of a function apart."""
    old, new = recordings[1], recordings[0]
    for (where, before), (_, now) in zip(old.decisions(), new.decisions(), strict=False):
        if before != now:
            return f"for the value asked for at {where}: {before}, then {now}"
    changed = old.environment.changed()
    return f"for {changed} has changed" if changed else "for the arguments are other arrays or overlap in other ways"


@while_watching(Jitted, "__call__")
def _by_operation(_original: Callable[..., Any]) -> Callable[..., Any]:
    # Under debug_nans, each call is recorded anew, so that every operation of it is seen.
    def call(self: Jitted, *args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree.flatten((args, kwargs))
        if any(isinstance(leaf, Handle) for leaf in leaves):
            return self.function(*args, **kwargs)
        static = [_leaf_key(leaf)[1] for leaf in leaves]
        operands = [leaf for leaf, fixed in zip(leaves, static, strict=True) if not fixed]
        roots = [self.function, *[leaf for leaf, fixed in zip(leaves, static, strict=True) if fixed]]
        now = _Call(args, kwargs, leaves, structure, static, operands, roots)
        complete = self._record(Entry(None), now)[1]
        return self.function(*args, **kwargs) if complete is None else complete()

    return call


def _copied(leaf: Any) -> Any:
    return leaf.copy() if type(leaf) is ndarray else leaf


def _differentiating(operands: Sequence[Any]) -> bool:
    """True if all tracked operands belong to forward or reverse mode (in any nesting) on plain values."""
    for o in operands:
        while isinstance(o, Handle):
            if o._trace is not None and not isinstance(o._trace, (ReverseTrace, JvpTrace)):
                return False
            o = o._value
    return True


# What came out of pickles: by the function, so that a worker records and loads kernels once for all of its tasks.
_received: OrderedDict[Any, Any] = OrderedDict()
MAX_RECEIVED = 64


def received(f: Any, *options: Any) -> Any:
    """A jitted function out of a pickle. Where the function is found by its name, it is the same at every call."""
    if not by_name(f):
        return services["jit"](unpacked(f), *options)
    try:
        made = _received.pop((f, options), None)
    except TypeError:  # options that cannot be keys
        return services["jit"](unpacked(f), *options)
    if made is None:
        made = services["jit"](unpacked(f), *options)
    _received[f, options] = made
    while len(_received) > MAX_RECEIVED:
        _received.popitem(last=False)
    return made


__all__ = ["MAX_RECORDINGS", "Jitted"]
