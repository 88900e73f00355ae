"""What the loops of a kernel are made of, read from its assembly: vectors, instructions, registers put on the stack.

Assembly is that of x86 (as AT&T writes it) or of 64-bit ARM.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABEL = re.compile(r"^\"?([\w.$]+)\"?:")
_JUMP = re.compile(r"^(?:j[a-z]+|b(?:\.\w+)?|cbn?z\s+\w+,|tbn?z\s+\w+,\s*#\d+,)\s+(\.L\w+)$")
# Arithmetic on one number, and on all lanes of a vector.
_SCALAR = re.compile(r"^(?:v?(?:add|sub|mul|div|sqrt|max|min|fn?m(?:add|sub)\d+)s[sd]\b"
                     r"|f(?:add|sub|mul|div|sqrt|maxn?m?|minn?m?|n?m(?:add|sub))\s+[sd]\d)")
_PACKED = re.compile(r"^(?:v?(?:add|sub|mul|div|sqrt|max|min|and|or|xor|fn?m(?:add|sub)\d+)p[sd]\b"
                     r"|v?p(?:add|sub|mul|max|min|and|or|xor|cmp)\w*\b"
                     r"|[fsu]?(?:add|sub|mul|div|sqrt|max|min|ml[as])\w*\s+v\d)")
_GATHER = re.compile(r"^(?:vp?gather|ld1d?\s+\{z)")
# A register written to a fixed place of the stack; the memory of a kernel's own variables is walked by an index.
_SPILL = re.compile(r"^(?:v?mov\w*\s+%\w+, -?\d*\(%r[sb]p\)|st[rp]\s+.*\[sp(?:, #\d+)?\])$")
_WIDTHS = (("%zmm", 512), ("%ymm", 256), ("%xmm", 128))


@dataclass(frozen=True, slots=True)
class Loop:
    """The instructions of an innermost loop."""

    instructions: list[str]

    @property
    def bits(self) -> int:
        """Width of the widest vector it computes with; 0 if there is none."""
        packed = [x for x in self.instructions if _PACKED.match(x)]
        widths = [bits for x in packed for mark, bits in _WIDTHS if mark in x]
        return max(widths, default=128 if any(re.search(r"\bv\d+\.", x) for x in packed) else 0)

    @property
    def packed(self) -> int:
        """Instructions that compute with all lanes of a vector."""
        return sum(_PACKED.match(x) is not None for x in self.instructions)

    @property
    def scalar(self) -> int:
        """Floating-point instructions that compute with one number."""
        return sum(_SCALAR.match(x) is not None for x in self.instructions)

    @property
    def gathers(self) -> int:
        """Loads of lanes from anywhere."""
        return sum(_GATHER.match(x) is not None for x in self.instructions)

    @property
    def calls(self) -> int:
        """Calls of functions, around which registers have to be put on the stack."""
        return sum(re.match(r"^(?:callq?|blr?)\b", x) is not None for x in self.instructions)

    @property
    def spills(self) -> int:
        """Registers that are written to the stack because there are too few."""
        return sum(_SPILL.match(x) is not None for x in self.instructions)


def function(code: str, name: str) -> list[str]:
    """The lines of a function: labels and instructions."""
    found: list[str] = []
    inside = False
    for line in code.splitlines():
        line = re.sub(r"\s*(?:##|#|//)\s.*$", "", line).strip()
        label = _LABEL.match(line)
        if label and not label[1].startswith(".L"):
            inside = label[1] == name
        elif inside and line and (label or not line.startswith(".")):
            found.append(re.sub(r"\s+", " ", line))
    return found


def loops(lines: list[str]) -> list[Loop]:
    """The innermost loops of a function, in order: from a label to the last jump back to it."""
    at = {label[1]: k for k, line in enumerate(lines) if (label := _LABEL.match(line))}
    last: dict[int, int] = {}
    for k, line in enumerate(lines):
        jump = _JUMP.match(line)
        if jump and at.get(jump[1], k) < k:
            last[at[jump[1]]] = k
    found = []
    for begin, end in sorted(last.items()):
        # A jump back into the middle of another loop comes from what was moved out of it: a rare case.
        rare = any(i < begin <= j < end for i, j in last.items())
        if not rare and not any(begin <= i and j <= end and (i, j) != (begin, end) for i, j in last.items()):
            found.append(Loop([line for line in lines[begin:end + 1] if not _LABEL.match(line)]))
    return found


def loops_of(code: str) -> list[Loop]:
    """The innermost loops of all functions of a kernel's module."""
    names = dict.fromkeys(re.findall(r"^\"?(\w[\w.$]*)\"?:", code, re.MULTILINE))
    return [loop for name in names for loop in loops(function(code, name))]


__all__ = ["Loop", "function", "loops", "loops_of"]
