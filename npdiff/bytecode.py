"""What compiled Python code names: the globals it reads, the outer names it assigns, the functions it calls."""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterator
from typing import Any


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _codes(const)


@functools.lru_cache(maxsize=512)
def global_names(code: types.CodeType) -> dict[str, set[tuple[str, ...]]]:
    """Global names that code reads, each with the attribute chains read from it; () where the thing itself is taken."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for c in _codes(code):
        name: str | None = None
        chain: tuple[str, ...] = ()
        for ins in dis.get_instructions(c):
            if ins.opname in ("LOAD_ATTR", "LOAD_METHOD") and name is not None:
                chain = (*chain, ins.argval)
            elif ins.opname not in ("CACHE", "PUSH_NULL"):
                if name is not None:
                    found[name].add(chain)
                    name = None
                if ins.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                    name, chain = ins.argval, ()
                    found.setdefault(ins.argval, set())
    return found


@functools.lru_cache(maxsize=512)
def attribute_names(code: types.CodeType) -> frozenset[str]:
    """Attributes that code reads, of whatever, and names that it imports."""
    return frozenset(ins.argval for c in _codes(code) for ins in dis.get_instructions(c)
                     if ins.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"))


@functools.lru_cache(maxsize=512)
def imported_names(code: types.CodeType) -> tuple[str, ...]:
    """Modules that code imports while it runs, with a dot for each level up."""
    found = []
    for c in _codes(code):
        level = 0
        before: list[Any] = [None, None]
        for ins in dis.get_instructions(c):
            if ins.opname == "IMPORT_NAME":
                level = before[0] if isinstance(before[0], int) else 0
                found.append("." * level + ins.argval)
            if ins.opname != "CACHE":
                before = [before[1], ins.argval]
    return tuple(dict.fromkeys(found))


@functools.lru_cache(maxsize=512)
def outside_stores(code: types.CodeType) -> tuple[tuple[str, str], ...]:
    """Global and nonlocal names that code assigns."""
    found = set()
    for c in _codes(code):
        for ins in dis.get_instructions(c):
            if ins.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                found.add(("global", ins.argval))
            elif ins.opname in ("STORE_DEREF", "DELETE_DEREF") and ins.argval in code.co_freevars:
                found.add(("nonlocal", ins.argval))
    return tuple(sorted(found))


_LOADS = {"LOAD_ATTR": "attribute", "LOAD_METHOD": "attribute", "LOAD_GLOBAL": "global", "LOAD_NAME": "global",
          "LOAD_FAST": "local", "LOAD_FAST_CHECK": "local", "LOAD_FAST_BORROW": "local", "LOAD_DEREF": "local",
          "LOAD_CLASSDEREF": "local"}


_Label = tuple[str, str]
_UNKNOWN: _Label = ("", "")


@functools.lru_cache(maxsize=2048)
def _callees(code: types.CodeType) -> dict[int, _Label]:
    """For each call in code, how what it calls was loaded: kind of load and name.

    Follows what each slot of the stack was last loaded by; where that is not clear, the kind is empty.
    """
    found: dict[int, _Label] = {}
    arriving: dict[int, list[_Label]] = {}
    stack: list[_Label] | None = []
    prepared: _Label | None = None
    call = None
    for ins in dis.get_instructions(code):
        if call is not None:  # the interpreter may stand on the caches behind a call, too
            found.update((offset, found[call]) for offset in range(call, ins.offset, 2))
            call = None
        stack = arriving.get(ins.offset, stack)
        if stack is None or ins.opname == "CACHE":
            continue  # a handler of exceptions
        if ins.opname == "CALL" and prepared is not None:
            call = ins.offset
            found[call], prepared = prepared, None
        elif ins.opname.startswith(("CALL", "PRECALL")) and not ins.opname.startswith("CALL_INTRINSIC"):
            if ins.opname == "CALL_FUNCTION_EX":
                above = 1 + ((ins.arg or 0) & 1)
            else:
                above = (ins.arg or 0) + (ins.opname == "CALL_KW")
            slots = stack[max(len(stack) - above - 2, 0): len(stack) - above]
            call = ins.offset
            found[call] = next((slot for slot in slots if slot != _UNKNOWN), _UNKNOWN)
            prepared = found[call] if ins.opname == "PRECALL" else None  # Python 3.11 takes two steps
        label = (_LOADS[ins.opname], str(ins.argval)) if ins.opname in _LOADS else _UNKNOWN
        only_takes = ins.opname.startswith(("POP_", "STORE_", "DELETE_"))
        if ins.opcode in dis.hasjrel or ins.opcode in dis.hasjabs:
            arriving[ins.argval] = _after(stack, dis.stack_effect(ins.opcode, ins.arg, jump=True), None)
        ends = ins.opname.startswith(("JUMP_FORWARD", "JUMP_BACKWARD", "RETURN", "RAISE", "RERAISE"))
        argument = ins.arg if ins.opcode >= dis.HAVE_ARGUMENT else None
        effect = dis.stack_effect(ins.opcode, argument, jump=False)
        stack = None if ends else _after(stack, effect, None if only_takes else label)
        if stack and ins.argrepr.startswith("NULL + "):
            stack[-2] = _UNKNOWN
        elif stack and ins.argrepr.endswith(" + NULL"):
            stack[-1] = _UNKNOWN
    return found


def _after(stack: list[_Label], effect: int, label: _Label | None) -> list[_Label]:
    """The stack after an instruction that leaves `label` on top; None: it only takes values."""
    if effect > 0:
        label = label or _UNKNOWN
        below, count = (stack[:-1], effect + 1) if label[0] == "attribute" else (stack, effect)
        return [*below, *[label] * count]
    kept = stack[: max(len(stack) + effect, 0)]
    return kept if label is None or not kept else [*kept[:-1], label]


def calls_another(frame: types.FrameType, name: str) -> bool:
    """True if a frame is calling something else than the function of this name, which compiled code in turn calls."""
    kind, called = _callees(frame.f_code).get(frame.f_lasti, _UNKNOWN)
    if kind == "local":
        return not isinstance(frame.f_locals.get(called), (types.FunctionType, type))
    return called != name if kind else name not in frame.f_code.co_names


def _binary(statement: str) -> tuple[int, int]:
    """The BINARY_OP instruction that a statement compiles to."""
    return next((ins.opcode, ins.arg or 0) for ins in dis.get_instructions(compile(statement, "", "exec"))
                if ins.opname == "BINARY_OP")


_STORES = frozenset(dis.opmap[name] for name in ("STORE_SUBSCR", "STORE_SLICE") if name in dis.opmap)
_REMAINDERS = frozenset([_binary("a % b"), _binary("a %= b")])


def stores_item(frame: types.FrameType) -> bool:
    """True if a frame is in the middle of ``a[i] = x``."""
    return frame.f_code.co_code[frame.f_lasti] in _STORES


def puts_back(frame: types.FrameType) -> bool:
    """True if a frame is in the middle of ``a[i] += x`` (or ``a.b += x``), which stores what the operator returns."""
    code, at = frame.f_code.co_code, frame.f_lasti
    if code[at] != dis.opmap["BINARY_OP"]:
        return False
    at += 2
    while code[at] == dis.opmap["CACHE"]:
        at += 2
    return code[at] == dis.opmap["SWAP"]


def formats(frame: types.FrameType) -> bool:
    """True if a frame is in the middle of ``a % b``, which asks no operand for its float but to write it as text."""
    return tuple(frame.f_code.co_code[frame.f_lasti: frame.f_lasti + 2]) in _REMAINDERS


__all__ = ["attribute_names", "calls_another", "formats", "global_names", "imported_names", "outside_stores",
           "puts_back", "stores_item"]
