"""Jitted functions: the same function, run from recorded graphs compiled to fused kernels."""

from __future__ import annotations

import functools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.array import copy_layout
from npdiff.avals import is_foreign, ndarray
from npdiff.backend.contract import Backend, InSteps
from npdiff.backend.cpu import CPU
from npdiff.core import Handle, aval, bind, innermost, services
from npdiff.errors import ArgumentError, BackendError, GuardFailed, JitWarning, NonFiniteError, message, warn_user
from npdiff.explain import explain_recording
from npdiff.graph import Graph
from npdiff.log import log
from npdiff.picture import Picture, draw
from npdiff.profiling import Profile, measure
from npdiff.program import Program, run_program_p
from npdiff.quick import MISSED, Quick, quick
from npdiff.reasons import argument_names, new_path, new_signature, parted
from npdiff.replay import OVERLAP, NotRecorded, Recording, identities, record
from npdiff.steps import counted, show_seconds
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
            return (kind, leaf.dtype if leaf.dtype.isbuiltin == _STRANGE else id(leaf)), True
        return (kind, leaf.dtype, leaf.shape, None if leaf.flags.c_contiguous else leaf.strides,
                leaf.flags.writeable), False
    if kind in _NUMBERS:
        return kind, False
    if isinstance(leaf, Handle):
        a = aval(leaf)
        return (ndarray if a.shape else kind, a.dtype, a.shape, None, a.weak, "tracked"), False
    if is_foreign(leaf):
        return (kind, id(leaf)), True
    if hasattr(leaf, "dtype") and getattr(leaf, "shape", None) == () and leaf.dtype.kind in "biufc":
        return (kind, leaf.dtype), False
    try:
        hash(leaf)
    except TypeError:
        return (kind, id(leaf)), True
    return (kind, leaf), True


# What `dtype.isbuiltin` says of a dtype of another package, such as bfloat16 of ml_dtypes.
_STRANGE = 2


class Entry:
    """All recordings for one signature."""

    __slots__ = ("keep", "key", "recordings", "stopped", "unjitted", "waited")

    def __init__(self, keep: Any, key: Any = None) -> None:
        self.key = key
        self.recordings: list[Recording] = []
        self.unjitted = ""
        self.stopped = 0  # how often a replay could not go where the function goes on the recorded path
        self.waited = False  # a call went by so that the function could import what it does
        self.keep = keep  # fixed arguments known by id must stay alive


@dataclass(frozen=True)
class Call:
    """One call, taken apart."""

    args: Any
    kwargs: Any
    leaves: Sequence[Any]
    structure: Any
    static: Sequence[bool]
    operands: Sequence[Any]
    roots: Sequence[Any]

    def on(self, leaves: Sequence[Any]) -> Call:
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
            return self._run(args, kwargs)  # inside vmap or another recording: part of that
        key = (structure, tuple(keys), identities(leaves))
        entry = self._entries.get(key)
        if entry is None:
            entry = self._new_entry(key, leaves if any(static) else None)
        if entry.unjitted:
            return self._run(args, kwargs)
        roots = [self.function, *[leaf for leaf, fixed in zip(leaves, static, strict=True) if fixed]]
        if tracked:
            return self._differentiate(entry, Call(args, kwargs, leaves, structure, static, operands, roots))
        failure: Exception | None = None
        stopped: list[tuple[Recording, GuardFailed]] = []
        for made in tuple(entry.recordings):
            values = made.inputs(roots, operands)
            if values is None:
                continue
            try:
                outs = made.execute(values)
            except GuardFailed as guard:
                stopped.append((made, guard))
                continue
            except BackendError:
                raise
            except Exception as error:
                failure = error  # the function raises it too, or catches it, or we are at fault: recording will tell
                continue
            made.calls += 1
            if made is not entry.recordings[0]:
                self._to_front(entry, made)
            if made.quickened < MAX_QUICKENED:
                self._quicken(made, quick(made, structure, leaves, static, roots))
            return made.finish(outs, values)
        now, complete = self._record(entry, Call(args, kwargs, leaves, structure, static, operands, roots), stopped)
        if failure is not None and now is not None and not now.catches(failure):
            self._blame(entry, failure)
        return self._run(args, kwargs) if complete is None else complete()

    def _run(self, args: Any, kwargs: Any) -> Any:
        """The function itself."""
        return self.function(*args, **kwargs)

    def _new_entry(self, key: Any, keep: Any) -> Entry:
        entry = Entry(keep, key)
        if len(self._entries) >= MAX_SIGNATURES:
            entry.unjitted = f"it was called with more than {MAX_SIGNATURES} different signatures"
            self._warn(entry.unjitted)
            return entry
        strange = [leaf.dtype for leaf in keep or () if type(leaf) is ndarray and leaf.dtype.isbuiltin == _STRANGE]
        if strange:
            entry.keep = None
            entry.unjitted = (f"an argument has dtype {strange[0]}, which is not one of NumPy's own: kernels and "
                              "derivatives take x.astype(np.float32)")
            self._warn(entry.unjitted)
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

    def _record(self, entry: Entry, call: Call, stopped: Sequence[tuple[Recording, GuardFailed]] = (),
                ) -> tuple[Recording | None, Callable[[], Any] | None]:
        """A new recording, and what completes the call it was made in; None where the function itself must run.

        `stopped` are the recordings that were tried for the call, and what stopped each.
        """
        with self._lock:
            start = time.perf_counter()
            try:
                made, complete = record(self.function, call.roots, call.leaves, call.structure, call.static,
                                        not entry.waited)
            except NotRecorded as failed:
                if isinstance(failed.__cause__, NonFiniteError):
                    raise failed.__cause__ from None
                why = f"recording it failed with {_named(failed.__cause__)}"
                return None, lambda: self._after_failure(entry, call, why)
            if made.environment.tracked:
                return None, None  # it closes over values of a running transform: part of that
            if made.environment.absent and not entry.waited:
                entry.waited = True
                return None, None  # what it imports can be looked into at the next call
            if made.blocked:
                why = "; ".join(dict.fromkeys(made.blocked))
                if why != OVERLAP:  # other arrays of these types may lie apart
                    entry.unjitted = why
                self._warn(why)
                return None, complete if made.done else None
            made.name = self._name()
            made.record_seconds = time.perf_counter() - start
            log(lambda: self._recording(entry, made))
            for old, guard in stopped:
                if made.same_path(old):  # no other path: it would be stopped in the same way
                    self._stopped(entry, made, guard)
                    return made, complete
            self._choose(made, call.args)
            if len(entry.recordings) >= MAX_RECORDINGS:
                self._unjit(entry, f"it took a new path on each of {MAX_RECORDINGS} calls, "
                                   + _parting([made, *entry.recordings]))
            else:
                entry.recordings.insert(0, made)
            return made, complete

    def _stopped(self, entry: Entry, made: Recording, guard: GuardFailed) -> None:
        """A replay was stopped although Python goes the recorded way."""
        if isinstance(guard.__cause__, Exception):
            if not made.catches(guard.__cause__):
                self._blame(entry, guard.__cause__)
            return
        entry.stopped += 1
        if entry.stopped >= MAX_RECORDINGS:
            asked = ", ".join(dict.fromkeys([where for where, _ in made.decisions()]))
            why = str(guard) or f"compiled code and NumPy answer differently where Python asks for a value ({asked})"
            self._unjit(entry, f"{MAX_RECORDINGS} replays of one path were stopped: {why}")

    def _name(self) -> str:
        return str(getattr(self.function, "__name__", "the function"))

    def _recording(self, entry: Entry, made: Recording) -> str:
        """Why a recording was made, for the log."""
        if entry.recordings:
            why = new_path(made, entry.recordings)
        elif len(self._entries) > 1 and entry.key is not None:
            why = new_signature(self.function, entry.key, [k for k in self._entries if k != entry.key])
        else:
            why = "first call"
        return (f"npdiff.jit: {made.name} recorded in {show_seconds(made.record_seconds)} "
                f"({counted(len(made.graph.equations), 'operation')}): {why}")

    def _choose(self, made: Recording, args: Sequence[Any]) -> None:
        """Say what compiles a recording made with these arguments."""

    def _after_failure(self, entry: Entry, call: Call, why: str) -> Any:
        """The call as the function itself does it; if it gets through, recording was what failed."""
        result = self._run(call.args, call.kwargs)
        entry.unjitted = why
        self._warn(why)
        return result

    def _blame(self, entry: Entry, failure: Exception) -> None:
        """A replay raised what the function does not: nothing of this signature is replayed any more."""
        self._unjit(entry, f"a replay failed with {_named(failure)}, and the function does not (a defect in npdiff: "
                           "please report it)")

    def _unjit(self, entry: Entry, why: str) -> None:
        """Run the function itself for this signature from now on."""
        entry.unjitted = why
        self._forget(entry.recordings)
        entry.recordings.clear()
        self._warn(why)

    def _warn(self, why: str) -> None:
        if why not in self._said:
            self._said.add(why)
            warn_user(f"npdiff.jit: {self._name()} runs without compiled code: {why}", JitWarning)

    # ------------------------------------------------------------------ under grad, jvp and their nestings

    def _differentiate(self, entry: Entry, call: Call) -> Any:
        plain = [innermost(o) for o in call.operands]
        failure: Exception | None = None
        for _ in range(2):
            stopped: list[tuple[Recording, GuardFailed]] = []
            for made in tuple(entry.recordings):
                values = made.inputs(call.roots, plain)
                if values is None or made.writes or made.draws or made.prints:
                    continue
                values[: len(plain)] = call.operands
                try:
                    outs = bind(run_program_p, values, {"program": _program(made, values)})
                except GuardFailed as guard:
                    stopped.append((made, guard))
                    continue
                except BackendError:
                    raise
                except Exception as error:
                    failure = error
                    continue
                made.calls += 1
                return tree.unflatten(made.structure, made.leaves(outs, call.operands))
            state = np.random.get_state(legacy=False)  # noqa: NPY002 (the user's stream is NumPy's)
            made_now, _ = self._record(entry, call.on([_copied(innermost(leaf)) for leaf in call.leaves]), stopped)
            np.random.set_state(state)  # noqa: NPY002 (the recording is not this call: that comes now)
            if made_now not in entry.recordings or made_now.writes or made_now.draws or made_now.prints:
                break
            if failure is not None and not made_now.catches(failure):
                break
        # Writes and effects keep their order only when run as they stand.
        result = self._run(call.args, call.kwargs)
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
        """Say in words how a call with these arguments runs, and measure it.

        For each recording: its graph and guards; which equations share a kernel; for each step the bytes it moves,
        operations, vector width, threads, estimated and measured time; and what the kernels compute.

        Parameters
        ----------
        args, kwargs
            Arguments as for a call, which stay as they are. The function is run on copies of them if it has no
            recording for them yet, and the recording a few times to measure it.

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
        entry, call = self._looked_at(args, kwargs)
        lines = [f"{self!r}: {len(self._entries)} signature(s) seen",
                 f"this signature: {len(entry.recordings)} recording(s)"]
        if entry.unjitted:
            return "\n".join([*lines, f"runs without compiled code: {entry.unjitted}"])
        names = self._labels(call)
        for k, made in enumerate(entry.recordings):
            profile = self._measured(made, call, seconds=0.05, least=1)
            lines += ["", f"recording {k}: {made.calls} replay(s), compiled in "
                          f"{made.compiled().compile_seconds * 1e3:.1f} ms", *explain_recording(made, names, profile)]
        return "\n".join(lines)

    def profile(self, *args: Any, **kwargs: Any) -> Profile:
        """Measure each kernel and library call of a call with these arguments.

        Parameters
        ----------
        args, kwargs
            Arguments as for a call, which stay as they are. The function is run on copies of them if it has no
            recording for them yet.

        Returns
        -------
        A `Profile`, which prints as a table: ``steps`` with, for each, the median ``seconds``, its ``share`` of the
        whole, ``bytes_per_second`` and the ``step`` itself (``kind``, ``names``, ``bytes``, ``operations`` ...);
        ``seconds`` of a run of the graph, and the number of ``runs``.

        Raises
        ------
        ArgumentError
            If there is no compiled code for such a call, or its backend cannot time steps; the error says why.

        Examples
        --------
        >>> import numpy as np, npdiff
        >>> f = npdiff.jit(lambda x: np.sum(np.sin(x) * x))
        >>> profile = f.profile(np.ones(4))
        >>> [s.step.kind for s in profile.steps], profile.steps[0].seconds > 0
        (['kernel'], True)
        """
        entry, call = self._looked_at(args, kwargs)
        for made in entry.recordings:
            profile = self._measured(made, call)
            if profile is not None:
                return profile
        raise self._nothing_to_show("profile", entry)

    def picture(self, *args: Any, file: Any = None, **kwargs: Any) -> Picture:
        """Draw which equations of a call with these arguments share a kernel, and what moves through memory.

        Parameters
        ----------
        args, kwargs
            Arguments as for a call, which stay as they are. The function is run on copies of them if it has no
            recording for them yet.
        file
            Where to write the picture: a name that ends in ``.dot`` or ``.gv`` (text), or in ``.svg``, ``.pdf`` or
            ``.png``, which graphviz draws. None: nowhere. (A function with an argument ``file`` of its own: use
            ``picture(...).save(name)``, and give that argument by position.)

        Returns
        -------
        A `Picture`: its text is ``.dot``; ``.svg()`` draws it; a notebook shows it.

        Raises
        ------
        ArgumentError
            If there is no compiled code for such a call, the name ends in something else, or graphviz is needed and
            not installed.

        Examples
        --------
        >>> import numpy as np, npdiff
        >>> f = npdiff.jit(lambda x: np.sum(np.sin(x) * x))
        >>> f.picture(np.ones(4)).dot.startswith("digraph")
        True
        """
        entry, call = self._looked_at(args, kwargs)
        for made in entry.recordings:
            executable = made.compiled().prepare()
            profile = self._measured(made, call, seconds=0.05, least=1)
            if isinstance(executable, InSteps) and (profile is not None or made is entry.recordings[-1]):
                times = [s.seconds for s in profile.steps] if profile is not None else None
                names = [*self._labels(call), *made.environment.labels]
                results = [f"result {k}" if made.results > 1 else "result" for k in range(made.results)]
                results += [f"{names[k]}, written" for k in made.writes]
                picture = draw(f"{self!r} on {self.backend.name}", executable, names, results, times)
                if file is not None:
                    picture.save(file)
                return picture
        raise self._nothing_to_show("picture", entry)

    def _looked_at(self, args: Any, kwargs: Any) -> tuple[Entry, Call]:
        """The recordings for a call with these arguments; made now, on copies of them, if there are none."""
        given, structure = tree.flatten((args, kwargs))
        leaves = [innermost(leaf) for leaf in given]
        pairs = [_leaf_key(leaf) for leaf in leaves]
        static = [fixed for _, fixed in pairs]
        operands = [leaf for leaf, fixed in zip(leaves, static, strict=True) if not fixed]
        roots = [self.function, *[leaf for leaf, fixed in zip(leaves, static, strict=True) if fixed]]
        call = Call(args, kwargs, leaves, structure, static, operands, roots)
        key = (structure, tuple([k for k, _ in pairs]), identities(leaves))
        entry = self._entries.get(key)
        if entry is None:
            entry = self._new_entry(key, leaves if any(static) else None)
        if not entry.recordings and not entry.unjitted:
            copies: dict[int, Any] = {}  # the same array twice is one array
            for leaf, fixed in zip(leaves, static, strict=True):
                copies.setdefault(id(leaf), leaf if fixed else _like(leaf))
            state = np.random.get_state(legacy=False)  # noqa: NPY002
            made, complete = self._record(entry, call.on([copies[id(leaf)] for leaf in leaves]))
            if made is None and complete is not None and not entry.unjitted:
                complete()  # the function raises, too
            np.random.set_state(state)  # noqa: NPY002 (what was drawn is not drawn from the user's stream)
        return entry, call

    def _labels(self, call: Call) -> list[str]:
        """What the function calls the operands of a call."""
        names = argument_names(self.function, call.structure)
        return [name for name, fixed in zip(names, call.static, strict=True) if not fixed]

    def _measured(self, made: Recording, call: Call, **how: Any) -> Profile | None:
        """The times of a recording's steps for these arguments; None if they go another way, or it has no steps."""
        executable = made.compiled().prepare()
        values = made.inputs(call.roots, call.operands)
        if values is None or not isinstance(executable, InSteps):
            return None
        try:
            return measure(made.name, self.backend.name, executable.steps(), lambda: made.timed(executable, values),
                           **how)
        except GuardFailed:
            return None

    def _nothing_to_show(self, what: str, entry: Entry) -> ArgumentError:
        why = entry.unjitted or "its backend does not show its steps one by one"
        return ArgumentError(message(f"{what}: there is no compiled code of {self._name()} to look into: {why}",
                                     instead=f"{self._name()}.explain(...) says what is known"))


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
    parting = parted(old, new)
    if parting is not None:
        where, before, now = parting
        return f"for the value asked for at {where}: {before}, then {now}"
    changed = old.environment.changed()
    return f"for {changed} has changed" if changed else "for the arguments are other arrays or overlap in other ways"


@while_watching(Jitted, "__call__")
def _by_operation(_original: Callable[..., Any]) -> Callable[..., Any]:
    # Under debug_nans, each call is recorded anew, so that every operation of it is seen.
    def call(self: Jitted, *args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree.flatten((args, kwargs))
        if any(isinstance(leaf, Handle) for leaf in leaves):
            return self._run(args, kwargs)
        static = [_leaf_key(leaf)[1] for leaf in leaves]
        operands = [leaf for leaf, fixed in zip(leaves, static, strict=True) if not fixed]
        roots = [self.function, *[leaf for leaf, fixed in zip(leaves, static, strict=True) if fixed]]
        now = Call(args, kwargs, leaves, structure, static, operands, roots)
        complete = self._record(Entry(None), now)[1]
        return self._run(args, kwargs) if complete is None else complete()

    return call


def _copied(leaf: Any) -> Any:
    return leaf.copy("K") if type(leaf) is ndarray else leaf


def _like(leaf: Any) -> Any:
    """A copy with the same layout, read-only if it is."""
    if type(leaf) is not ndarray:
        return leaf
    copy = copy_layout(leaf)
    copy.flags.writeable = leaf.flags.writeable
    return copy


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


__all__ = ["MAX_RECORDINGS", "Call", "Entry", "Jitted"]
