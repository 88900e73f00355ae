"""DiffArray: a NumPy array that remembers.

A mutable handle on an immutable value. NumPy's face lives here (protocols, operators, methods,
attributes, in-place writes and views); what an operation means lives in the primitives.

A write never changes a value: it computes a new one and moves the handle. A view is a handle
with a *lens* on its base: how to get its value from the base's, and how to put a written value
back. Each write raises the base's version; a view whose base has moved on reads it again.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from npdiff import core, tree
from npdiff.avals import PYTHON_NUMBERS, is_differentiable, is_foreign, ndarray, python_type
from npdiff.bytecode import formats, stores_item
from npdiff.core import Handle, aval, bind, innermost, overrides, services, ufunc_primitives
from npdiff.errors import NpdiffError, TracedValueError, message
from npdiff.reveal import reveal

# Operands that need no second look.
PLAIN = frozenset([ndarray, *PYTHON_NUMBERS, *[np.dtype(c).type for c in np.typecodes["AllFloat"] + "?bBhHiIlLqQ"]])
_NUMBERS = frozenset(PYTHON_NUMBERS)
_ARRAY_LIBRARIES = frozenset(["dask", "distributed", "cupy", "sparse"])
_NO_PARAMS: dict[str, Any] = {}


class DiffArray(Handle):
    """An array or scalar whose operations npdiff records; made by transforms and by `npdiff.track`.

    It behaves as the ndarray or NumPy scalar it stands for: operators, methods, indexing, in-place writes and
    views. What would drop a derivative (``float(x)``, ``math.sin(x)``, ``np.asarray(x)``) raises TracedValueError.

    Examples
    --------
    >>> import numpy as np, npdiff
    >>> x = npdiff.track(np.array([1.0, 2.0]))
    >>> y = np.sum(x * x)
    >>> y.backward()
    >>> x.grad
    array([2., 4.])
    """

    __slots__ = ("_leaf", "_version")
    __array_priority__ = 1000.0
    _leaf: Any
    _version: int

    def __init__(self, trace: Any, value: Any, node: Any) -> None:
        self._trace = trace
        self._value = value
        self._node = node

    # ------------------------------------------------------------------ protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            prim = ufunc_primitives.get(ufunc)
            if prim is not None:
                trace = self._trace
                if trace is not None and type(self) is DiffArray:
                    if len(inputs) == 1:
                        return trace.unary(prim, self)
                    if len(inputs) == 2:
                        a, b = inputs
                        other = b if a is self else a
                        if type(other) in PLAIN or (type(other) is DiffArray and other._trace is trace):
                            return trace.binary(prim, a, b)
                for a in inputs:
                    if type(a) is not DiffArray and type(a) not in PLAIN:
                        inputs = tuple([services["operand"](a) for a in inputs])
                        break
                return bind(prim, inputs, _NO_PARAMS)
        return services["ufunc"](ufunc, method, inputs, kwargs)

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        row = overrides.get(func)
        if row is None:
            return services["unknown"](func, args, kwargs)
        return row(*args, **kwargs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        value = np.asarray(take(self, _purpose("np.asarray", sys._getframe(1))), dtype=dtype)
        if copy is True:
            return value.copy("K")
        # The handle's value must not change behind its back: hand out a read-only view of it.
        value = value.view()
        value.flags.writeable = False
        return value

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # type: ignore[override]
        # isinstance(x, ndarray) and isinstance(x, float) in unmodified code must answer as for the plain value; but a
        # library of arrays that took x for one would put it into a graph or a kernel of its own.
        if (sys._getframe(1).f_globals.get("__name__") or "").partition(".")[0] in _ARRAY_LIBRARIES:
            return type(self)
        value = innermost(self)
        if isinstance(value, ndarray):
            return ndarray if not is_scalar(self) else python_type(value.dtype) if is_weak(self) else value.dtype.type
        return type(value)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TracedValueError(message("pickle: a tracked array cannot be stored", self,
                                       instead="store x.value, the plain array"))

    def __dask_tokenize__(self) -> NoReturn:
        # dask asks this of whatever it puts into a graph, where a derivative would be lost.
        raise TracedValueError(message("dask: a function of its own was given a tracked value", self,
                                       instead="call NumPy's function of that name: np.concatenate, not "
                                       "da.concatenate; or take x.value if no derivative is wanted"))

    def _npdiff_describe(self) -> str:
        a = aval(self)
        shape = list(a.shape) if a.shape or not is_scalar(self) else ""
        return f"DiffArray {a.dtype}{shape}"

    # ------------------------------------------------------------------ what is inside

    @property
    def value(self) -> Any:
        """The plain array or scalar inside (a read-only view; a batch axis of vmap comes first)."""
        v = innermost(self)
        if isinstance(v, ndarray):
            v = v.view()
            v.flags.writeable = False
        return v

    @property
    def grad(self) -> Any:
        """What `backward` has summed up for an array made by `npdiff.track`; None before."""
        leaf = getattr(self, "_leaf", None)
        return None if leaf is None else leaf.grad

    @grad.setter
    def grad(self, value: Any) -> None:
        leaf = getattr(self, "_leaf", None)
        if leaf is None:
            raise TracedValueError(message("x.grad: only an array made by npdiff.track holds a gradient", self,
                                           instead="call npdiff.track(x) first"))
        leaf.grad = value

    def backward(self, cotangent: Any = None) -> None:
        """Add the derivative of this value to ``.grad`` of every tracked array it was made from.

        Parameters
        ----------
        cotangent
            What to multiply with, of this array's shape; needed unless this is a single number.

        Raises
        ------
        ArgumentError
            If the value is not a single number and no cotangent is given, or nothing tracked led to it.
        """
        services["backward"](self, cotangent)

    # ------------------------------------------------------------------ attributes

    @property
    def shape(self) -> tuple[int, ...]:
        t = self._trace
        if t is None or not t.batches:
            return core.shape_of(self._value)
        return core.shape_of(self._value)[1:]

    @shape.setter
    def shape(self, v: Any) -> None:
        raise core.unsupported("x.shape = ...", "a tracked array cannot change its shape in place", self,
                               instead="bind the name anew: x = x.reshape(...)")

    @property
    def dtype(self) -> np.dtype[Any]:
        v = self._value
        return v.dtype if not isinstance(v, PYTHON_NUMBERS) or isinstance(v, np.generic) else aval(v).dtype  # type: ignore[no-any-return]

    @dtype.setter
    def dtype(self, v: Any) -> None:
        raise core.unsupported("x.dtype = ...", "a tracked array cannot change its dtype in place", self,
                               instead="bind the name anew: x = x.astype(...)")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return aval(self).size

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def base(self) -> Any:
        """The array whose memory this one shares, None if it has its own."""
        return None

    @property
    def flags(self) -> Any:
        return np.asarray(layout(self)).flags

    @property
    def strides(self) -> tuple[int, ...]:
        return layout(self).strides  # type: ignore[no-any-return]

    @property
    def device(self) -> Any:
        return getattr(innermost(self), "device", "cpu")

    @property
    def T(self) -> Any:
        return np.transpose(self)

    @property
    def mT(self) -> Any:
        return np.matrix_transpose(self)

    @property
    def real(self) -> Any:
        return np.real(self)

    @real.setter
    def real(self, v: Any) -> None:
        _refuse_scalar(self, "real")
        self.real[...] = v

    @property
    def imag(self) -> Any:
        return np.imag(self)

    @imag.setter
    def imag(self, v: Any) -> None:
        _refuse_scalar(self, "imag")
        if self.dtype.kind != "c":
            np.zeros(1, self.dtype).imag = 1.0  # NumPy's own error
        self.imag[...] = v

    @property
    def flat(self) -> Any:
        return services["flat"](self)

    @flat.setter
    def flat(self, v: Any) -> None:
        _refuse_scalar(self, "flat")
        if not self._writable():
            raise ValueError("array is read-only")
        services["flat"](self)[...] = v

    def __getattr__(self, name: str) -> Any:
        kind = type(innermost(self))
        scalar = issubclass(kind, np.generic) and not hasattr(ndarray, name)
        if (kind in _NUMBERS or scalar) and hasattr(kind, name) and not name.startswith("_"):
            label = f"{'np.' if scalar else ''}{kind.__name__}.{name}"
            if not callable(getattr(kind, name)):
                return getattr(self._number(label), name)
            if name == "is_integer":
                return lambda: ask(self, label).is_integer()
            return lambda *args, **kwargs: getattr(self._number(label), name)(*args, **kwargs)
        theirs = hasattr(kind, name) and not hasattr(ndarray, name) and not name.startswith("_")
        if theirs and is_foreign(innermost(self)):
            raise core.unsupported(f"{kind.__module__}.{kind.__name__}.{name}", "belongs to this library alone, and is "
                                   "not recorded", self, instead="use NumPy's functions and methods; or take x.value, "
                                   "if no derivative is needed")
        if name.startswith("_") or not hasattr(ndarray, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise core.unsupported(f"ndarray.{name}", "is not supported on a tracked array", self,
                               instead="use x.value for the plain array, if no derivative is needed")

    # ------------------------------------------------------------------ Python asks for a value

    def __bool__(self) -> bool:
        return bool(ask(self, "bool"))

    def __index__(self) -> int:
        return operator.index(ask(self, "index"))

    def __int__(self) -> int:
        return int(self._number("int", sys._getframe(1)))

    def __float__(self) -> float:
        return float(self._number("float", sys._getframe(1)))

    def __complex__(self) -> complex:
        return complex(self._number("complex", sys._getframe(1)))

    def __round__(self, ndigits: int | None = None) -> Any:
        if ndigits is None:
            return round(self._number("round"))
        return bind(_round, (self,), {"ndigits": ndigits}) if is_weak(self) else np.round(self, ndigits)

    def __floor__(self) -> Any:
        return self._number("math.floor").__floor__()

    def __ceil__(self) -> Any:
        return self._number("math.ceil").__ceil__()

    def __trunc__(self) -> Any:
        return self._number("math.trunc").__trunc__()

    def _number(self, what: str, asking: FrameType | None = None) -> Any:
        if self.shape:
            float(np.zeros(self.shape))  # NumPy's own error for arrays that are no number
        if asking is not None:
            if formats(asking):
                return self._as_text(what)
            what = _purpose(what, asking)
        try:
            return ask(self, what) if not is_differentiable(self.dtype) else take(self, what)
        except NpdiffError:
            if asking is not None:
                reveal(asking)
            raise

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"object of type '{_type_name(self)}' has no len()" if is_scalar(self)
                            else "len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError(f"'{_type_name(self)}' object is not iterable" if is_scalar(self)
                            else "iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def __contains__(self, v: Any) -> bool:
        return bool(np.any(self == v))

    def __hash__(self) -> int:
        if not is_scalar(self):
            raise TypeError("unhashable type: 'numpy.ndarray'")
        return hash(self._number("hash"))

    def __repr__(self) -> str:
        v = shown(self)
        if self._trace is not None and self._trace.kind == "graph-recording" and not isinstance(self._value, Handle):
            return repr(v)  # under jit, code sees what NumPy would show
        if isinstance(v, ndarray):
            return "DiffArray" + repr(v).removeprefix("array").replace("\n     ", "\n         ")
        return f"DiffArray({v!r})"

    def __str__(self) -> str:
        return str(shown(self))

    def __format__(self, spec: str) -> str:
        return format(self._as_text("format") if spec and not self.shape else shown(self), spec)

    def _as_text(self, what: str) -> Any:
        """The number to write as text; under vmap there is no such one, which is an error."""
        v = shown(self)
        return take(self, what) if core.shape_of(v) else v

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __bytes__(self) -> bytes:
        return bytes(ask(self, "bytes") if not is_differentiable(self.dtype) else take(self, "bytes"))

    # ------------------------------------------------------------------ indexing

    def __getitem__(self, index: Any) -> Any:
        return services["getitem"](self, index)

    def __setitem__(self, index: Any, v: Any) -> None:
        if type(v) is View and not stores_item(sys._getframe(1)) and v.base is (
                self.base if type(self) is View else self):
            # Compiled code that exchanges rows as it would those of a list (Generator.shuffle): the second write would
            # read what the first has written.
            raise core.unsupported(
                "shuffle", "compiled code exchanges parts of a tracked array through views, which doubles some", self,
                instead="write x[...] = x[rng.permutation(x.shape[0])], or use np.random.shuffle in a transform")
        services["setitem"](self, index, v)

    def __delitem__(self, index: Any) -> NoReturn:
        raise ValueError("cannot delete array elements")

    def item(self, /, *args: Any) -> Any:
        index = args
        if not index:
            if self.size != 1:
                raise ValueError("can only convert an array of size 1 to a Python scalar")
            index = (0,)
        if len(index) == 1 and not isinstance(index[0], tuple):
            return services["number"](np.reshape(self, (-1,))[index[0]])
        return services["number"](self[index[0] if len(index) == 1 else index])

    def tolist(self, /) -> Any:
        return [v.tolist() for v in self] if self.shape else services["number"](self)

    # ------------------------------------------------------------------ methods that are not one NumPy function

    def copy(self, /, order: Any = "C") -> Any:
        if is_scalar(self):
            return snapshot(self)  # the copy of a NumPy scalar is a scalar, unlike np.copy of it
        return np.copy(self, order=order)

    def flatten(self, /, order: Any = "C") -> Any:
        return np.copy(np.ravel(self, order=order))

    def reshape(self, /, *shape: Any, order: Any = "C", copy: Any = None) -> Any:
        target = shape[0] if len(shape) == 1 else shape
        extra = {} if copy is None else {"copy": copy}
        return np.reshape(self, target, order=order, **extra)

    def transpose(self, /, *axes: Any) -> Any:
        if not axes or (len(axes) == 1 and axes[0] is None):
            return np.transpose(self)
        return np.transpose(self, axes[0] if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)) else axes)

    def astype(self, /, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True,
               copy: bool = True) -> Any:
        return services["astype"](self, dtype, casting, copy)

    def view(self, /, *args: Any, **kwargs: Any) -> Any:
        return services["view"](self, *args, **kwargs)

    def fill(self, /, value: Any) -> None:
        if isinstance(value, (list, tuple)) and not isinstance(value, Handle):
            np.empty(1, self.dtype).fill([innermost(v) for v in value])  # NumPy's own error
        if core.shape_of(value):
            np.empty(1, self.dtype).fill(np.empty(core.shape_of(value), aval(value).dtype))  # NumPy's own error
        if not is_scalar(self):
            self[...] = value

    def sort(self, /, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None,
             descending: Any = None) -> None:
        if not self._writable():
            read_only(self).sort()
        extra = {} if descending is None else {"descending": descending}
        self[...] = np.sort(self, axis=axis, kind=kind, order=order, stable=stable, **extra)

    def partition(self, kth: Any, /, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> None:
        if not self._writable():
            read_only(self).partition(0)
        self[...] = np.partition(self, kth, axis=axis, kind=kind, order=order)

    def put(self, indices: Any, values: Any, /, mode: Any = "raise") -> None:
        target: Any = self
        np.put(target, indices, values, mode=mode)

    def dot(self, other: Any, /, out: Any = None) -> Any:
        return np.dot(self, other) if out is None else np.dot(self, other, out=out)

    # ------------------------------------------------------------------ views and writes

    def _assign(self, new: Any) -> None:
        """Move the handle to a new value of the same shape and dtype."""
        if isinstance(new, Handle):
            new._sync()
            self._trace, self._value, self._node = new._trace, new._value, new._node
        else:
            self._trace, self._value, self._node = None, new, None
        self._version = getattr(self, "_version", 0) + 1

    def _writable(self) -> bool:
        return not is_scalar(self)


class View(DiffArray):
    """A handle that shares its base's memory, as NumPy's views do."""

    __slots__ = ("_base", "_get", "_put", "_seen")
    _base: DiffArray
    _get: Callable[[Any], Any]
    _put: Callable[[Any, Any], Any] | None
    _seen: int

    def __init__(self, base: DiffArray, get: Callable[[Any], Any], put: Callable[[Any, Any], Any] | None) -> None:
        self._base = base
        self._get = get
        self._put = put
        self._version = 0
        self._read()

    def _read(self) -> None:
        base = self._base
        now = get_value(self._get, base)
        self._trace, self._value, self._node = now._trace, now._value, now._node
        self._seen = getattr(base, "_version", 0)

    def _sync(self) -> None:
        base = self._base
        base._sync()
        if getattr(base, "_version", 0) != self._seen:
            self._read()
            self._version += 1

    def _current(self) -> Any:
        self._sync()
        return aval(self)

    shape = property(lambda self: self._current().shape, DiffArray.shape.fset)  # type: ignore[assignment, attr-defined]
    dtype = property(lambda self: self._current().dtype, DiffArray.dtype.fset)  # type: ignore[assignment, attr-defined]

    @property
    def base(self) -> Any:
        root = self._base
        while isinstance(root, Handle) and type(root) is View:
            root = root._base
        return root

    def _assign(self, new: Any) -> None:
        if self._put is None:
            raise ValueError("assignment destination is read-only")
        self._base._sync()
        self._base._assign(self._put(snapshot(self._base), new))
        self._read()
        self._version += 1

    def _writable(self) -> bool:
        return self._put is not None and self._base._writable()


def get_value(get: Callable[[Any], Any], base: DiffArray) -> Any:
    """The view's value as a handle of its own."""
    now = get(snapshot(base))
    return now if isinstance(now, Handle) else core.constant(now)


def snapshot(h: Any) -> Any:
    """The handle's value of this moment, under a handle nobody else writes into."""
    h._sync()
    return DiffArray(h._trace, h._value, h._node)


def view_of(base: Any, get: Callable[[Any], Any], put: Callable[[Any, Any], Any] | None) -> Any:
    """A view on `base` where NumPy would give one; a plain result for scalars, which have no memory to share."""
    if is_scalar(base):
        return get(snapshot(base))
    return View(base, get, put if put is None or not cut_apart(base) else _refuse_put)


def _refuse_put(base: Any, _new: Any) -> NoReturn:
    raise core.unsupported("setitem", "a write into a part of an array reaches the array in NumPy, and not in the "
                           "library that this one is of", base, instead="write into the array itself: x[i, j] = v, not "
                           "x[i][j] = v")


def cut_apart(h: Any) -> bool:
    """True for arrays of a library in which no array shares memory with another: those without strides."""
    v = h._value
    while isinstance(v, Handle):
        v = v._value
    return type(v) is not ndarray and is_foreign(v) and not hasattr(v, "strides")


# In the place of a node: examples of a batch that have no axes and are arrays all the same, not scalars.
ARRAY = object()


def is_scalar(h: Any, view: bool = False) -> bool:
    """True where NumPy would hold a scalar, which is immutable, and not a 0-d array; `view`: h is what a view holds."""
    h._sync()
    v = h._value
    t = h._trace
    view = view or type(h) is View
    if t is not None:
        if t.batches:
            return len(core.shape_of(v)) == 1 and not view and h._node is not ARRAY
        if t.foreign:
            return False
    return is_scalar(v, view) if isinstance(v, Handle) else type(v) is not ndarray


def _type_name(h: Any) -> str:
    kind = type(innermost(h))
    return f"numpy.{kind.__name__}" if issubclass(kind, np.generic) else kind.__name__


def read_only(h: Any) -> np.ndarray[Any, Any]:
    """A plain read-only array of the same shape: NumPy's own error for a write that it does not allow."""
    plain = np.zeros(h.shape, h.dtype)
    plain.flags.writeable = False
    return plain


def _refuse_scalar(h: Any, name: str) -> None:
    if is_scalar(h):
        raise AttributeError(f"attribute '{name}' of 'numpy.generic' objects is not writable")


def copy_layout(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy with the same strides, so that what is a view of the original is a view of the copy."""
    new = a.copy(order="K")
    if new.strides == a.strides or a.size == 0:
        return new
    if 0 in a.strides:
        return a.copy("K")  # elements of a broadcast array share memory, which a copy must not
    low = sum(min(0, s * (n - 1)) for s, n in zip(a.strides, a.shape, strict=True))
    high = sum(max(0, s * (n - 1)) for s, n in zip(a.strides, a.shape, strict=True)) + a.itemsize
    same: np.ndarray[Any, Any] = ndarray(a.shape, a.dtype, np.empty(high - low, np.uint8), -low, a.strides)
    same[...] = a
    return same


def frozen(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A plain array that nobody can write into: a copy, unless it is one already. What is broadcast stays so."""
    owner: Any = a
    while type(owner) is ndarray and not owner.flags.writeable:
        owner = owner.base
    if owner is None:
        return a
    once = a[(*[slice(None) if step else slice(1) for step in a.strides], ...)].copy("K")
    once.flags.writeable = False
    return np.broadcast_to(once, a.shape) if once.shape != a.shape else once


def same_bytes(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """True if two plain arrays of one shape and dtype hold the same bits, so NaN and the signs of zeros too."""
    mine, theirs = [np.ascontiguousarray(v).reshape(-1).view(np.uint8) for v in (a, b)]
    return bool(np.array_equal(mine, theirs))


def layout(h: Any) -> Any:
    """A plain array with the memory layout the user's array has (one example of it under vmap)."""
    h._sync()
    v = h._value
    if isinstance(v, Handle):
        v = layout(v)
    t = h._trace
    if t is not None and t.foreign:
        # Strides without the memory: nobody reads an element of it.
        strides = getattr(v, "strides", None) or np.cumprod([v.dtype.itemsize, *v.shape[:0:-1]])[::-1].tolist()
        return np.lib.stride_tricks.as_strided(np.empty(1, v.dtype), v.shape, strides[: len(v.shape)], writeable=False)
    if t is None or not t.batches:
        return v
    if v.shape[0] == 0:
        return np.empty(v.shape[1:], v.dtype)
    step = abs(v.strides[0])
    if not step or v.size == 0 or all(abs(s) <= step for s in v.strides):
        return v[0]
    # The batch axis lies inside the others: without it they are that much closer.
    strides = [s // v.shape[0] if abs(s) > step else s for s in v.strides[1:]]
    return np.lib.stride_tricks.as_strided(v[0], v.shape[1:], strides, writeable=False)


def _purpose(what: str, asking: FrameType) -> str:
    """"setitem" where NumPy asks for a value because the frame writes it into a plain array."""
    return "setitem" if stores_item(asking) else what


def _descend(x: Any, what: str, how: str) -> Any:
    while isinstance(x, Handle):
        x._sync()
        x = x._value if x._trace is None else getattr(x._trace, how)(x, what)
    return x


def ask(x: Any, what: str) -> Any:
    """The plain value to decide a branch, an index or a size on: no derivative is lost by it."""
    return _descend(x, what, "ask")


def take(x: Any, what: str) -> Any:
    """The plain value that code outside npdiff will compute with; an error where that drops a derivative."""
    return _descend(x, what, "take")


def shown(x: Any) -> Any:
    """The plain value for text; a recording notes that the text holds for this value only."""
    while isinstance(x, Handle):
        x._sync()
        x = x._value if x._trace is None else x._trace.show(x)
    return x


# Python rounds decimals exactly, NumPy by scaling.
_round = core.own_primitive("round", lambda x, *, ndigits: round(x, ndigits), kind="nondifferentiable")


def is_weak(x: Any) -> bool:
    """True for a Python number, tracked or not."""
    while isinstance(x, Handle):
        if x._node is core.NUMBER:
            return True
        x = x._value
    return type(x) in _NUMBERS


core.set_array_type(DiffArray)
tree.leaf_types.update((DiffArray, View))

__all__ = [
    "PLAIN", "DiffArray", "View", "ask", "copy_layout", "cut_apart", "frozen", "is_scalar", "is_weak", "layout",
    "same_bytes", "shown", "snapshot", "take", "view_of",
]
