"""LLVM IR text to machine code in this process: the only file that talks to llvmlite.

llvmlite is imported when the first code is needed. Code stays for the life of the process, by its
text; between processes it is kept as object code by `npdiff.cache`.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from functools import lru_cache
from typing import Any, NamedTuple

from npdiff import cache

# Raised whenever the way from text to code changes.
_FORMAT = 5
# A function of vector math that is not copied to where it is used.
_SHARED = re.compile(r"^define internal ([^@\n]+) @(vecmath\.[\w.]+)\(([^\n]*)\) noinline( cold)? nounwind \{\n"
                     r".*?^\}\n", re.MULTILINE | re.DOTALL)
# Lines of a shared function up to which its values fit into the registers however these are chosen: 2 % slower than
# with more care, in half the time.
_SHORT = 64
# The first line of a function that may keep vectors on the stack.
_FUNCTION = re.compile(r"^(define [^\n]* nounwind) \{$", re.MULTILINE)
_USES = re.compile(r"@(vecmath\.[\w.]+)\(")


class Code(NamedTuple):
    """Loaded machine code: its functions' addresses and names, how long that took, whether it came from the cache."""

    addresses: dict[str, int]
    symbols: dict[str, str]
    seconds: float
    cached: bool


class Machine(NamedTuple):
    """The processor that code is made for."""

    cpu: str
    features: str
    bits: int
    versions: str


_lock = threading.RLock()
_loaded: dict[str, Code] = {}
_machine: Machine | None = None
_target: Any = None
_hasty: Any = None
_engine: Any = None


def _after_fork() -> None:
    """Whoever held the lock is in the other process."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def machine() -> Machine:
    """This computer's processor, as LLVM names it, and the width of its vector registers."""
    global _machine, _target, _hasty, _engine
    with _lock:
        if _machine is None:
            import llvmlite
            import llvmlite.binding as llvm

            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            found = llvm.get_host_cpu_features()
            bits = 512 if found.get("avx512f") else 256 if found.get("avx2") else 128
            cpu, features = llvm.get_host_cpu_name(), found.flatten()
            target = llvm.Target.from_default_triple()
            # (Elsewhere than on x86, level 0 selects instructions in a way of its own, which was not measured.)
            _target, _hasty = [target.create_target_machine(cpu=cpu, features=features, opt=opt, reloc="default",
                                                            codemodel="jitdefault", jit=True)
                               for opt in (2, 0 if "sse2" in found else 2)]
            _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target)
            version = ".".join(map(str, llvm.llvm_version_info))
            _machine = Machine(cpu, features, bits, f"{llvmlite.__version__} {version} {_target.triple}")
        return _machine


def vector_bits() -> int:
    """Width of the machine's vector registers."""
    return machine().bits


@lru_cache(maxsize=1)
def has_fma() -> bool:
    """Whether the machine has fused multiply-add instructions, and with them those for half precision.

    Only x86 has processors without.
    """
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return bool(features.get("fma", "sse2" not in features) and features.get("f16c", "sse2" not in features))


def load(text: str, quick: bool = False, plain: bool = False) -> Code:
    """The code for a module's text, in which ``@npdiff_...`` names what others may call, by these names.

    Each of the names is made unique by the text's digest, as all code of the process shares one name space. With
    `quick` the compiler takes less care: half the time, for code that hardly gains from more. `plain` text is not
    optimised at all before instructions are selected.
    """
    with _lock:
        known = _loaded.get(text)
        if known is None:
            host = machine()
            begin = time.perf_counter()
            # Code that others share is part of the key: by the names that it is called by.
            own = _apart(host, text)
            key = _key(host, own, quick, plain)
            names = dict.fromkeys(re.findall(r"^define (?!internal)[^@\n]*@(npdiff_\w+)\(", text, re.MULTILINE))
            symbols = {name: f"{name}_{key[:24]}" for name in names}
            found = cache.load(key)
            cached = found is not None
            if found is None:
                named = re.sub(r"@(npdiff_\w+)", lambda m: f"@{symbols.get(m[1], m[1])}", own)
                found = _compile(named, _hasty if quick else _target, plain)
                cache.save(key, found)
            addresses = _link(found, symbols)
            known = _loaded[text] = Code(addresses, symbols, time.perf_counter() - begin, cached)
        return known


def _key(host: Machine, *what: str | bool) -> str:
    return hashlib.sha256("\0".join(map(str, [_FORMAT, *host, *what])).encode()).hexdigest()


def _apart(host: Machine, text: str) -> str:
    """The text with its shared functions declared instead of defined; these are loaded, each as a module of its own.

    Many kernels use the same few functions, and compiling one takes longer than a small kernel does.
    """
    found = {m[2]: m for m in _SHARED.finditer(text)}
    if not found:
        return text
    declarations = re.findall(r"^declare [^\n]*@([\w.]+)\([^\n]*$", text, re.MULTILINE)
    lines = dict(zip(declarations, re.findall(r"^declare [^\n]*$", text, re.MULTILINE), strict=True))
    symbols: dict[str, str] = {}

    def declared(body: str, *but: str) -> str:
        """A text that uses the functions by their symbols, after their declarations."""
        used = [name for name in dict.fromkeys(_USES.findall(body)) if name in found and name not in but]
        for name in used:
            if name not in symbols:
                quick = found[name][0].count("\n") <= _SHORT
                # (Nothing in a function of vector math is computed twice or known beforehand.)
                code = load(module(name, quick), quick=quick or bool(found[name][4]), plain=True)
                symbols[name] = code.symbols["npdiff_shared"]
        body = _USES.sub(lambda m: f"@{symbols.get(m[1], m[1])}(", body)
        return "\n".join([*[_declaration(found[name], symbols[name]) for name in used], body])

    def module(name: str, quick: bool) -> str:
        whole = found[name][0].replace("define internal", "define", 1).replace(f"@{name}(", "@npdiff_shared(", 1)
        if quick and f"{name}.far" in found:
            # What it does in rare cases is compiled with it, not shared: each module has its price.
            whole = found[f"{name}.far"][0].replace(" noinline cold ", " cold ", 1) + whole
        needed = [line for known, line in lines.items() if f"@{known}(" in whole]
        return "\n".join([*needed, declared(whole, name, f"{name}.far" if quick else "")])

    return declared(_SHARED.sub("", text))


def _declaration(function: re.Match[str], symbol: str) -> str:
    kinds = re.sub(r" %\w+", "", function[3])
    return f"declare {function[1]} @{symbol}({kinds}){function[4] or ''} nounwind"


def assembly(text: str) -> str:
    """The assembly that a module's text becomes; functions shared between modules are called, not shown."""
    with _lock:
        own = _apart(machine(), text)
        code: str = _target.emit_assembly(_optimised(own, _target))
        return code


def _compile(text: str, target: Any, plain: bool = False) -> bytes:
    """Object code for a module's text."""
    code: bytes = target.emit_object(_optimised(text, target, plain))
    return code


def _optimised(text: str, target: Any, plain: bool = False) -> Any:
    """A module's text as LLVM's module; `plain`: as it stands.

    The text has explicit vectors and computes nothing twice, so of LLVM's optimisations it needs only a few: variables
    become registers, loops test at their end, and what neighbouring instructions have in common is combined.
    """
    import llvmlite.binding as llvm

    # LLVM learns too late for it that there are not enough registers: vectors put on the stack would lie across two
    # cache lines each, which makes kernels that call vector math a fifth slower.
    module = llvm.parse_assembly(_FUNCTION.sub(r'\1 "stackrealign" {', text))
    module.triple, module.data_layout = target.triple, str(target.target_data)
    module.verify()
    if plain:
        return module
    # One run for each builder: llvmlite leaves it with references to what lived during the run.
    builder = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options())
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_loop_rotate_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)
    return module


def _link(code: bytes, symbols: dict[str, str]) -> dict[str, int]:
    """Load object code; the addresses of its functions."""
    import llvmlite.binding as llvm

    _engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    _engine.finalize_object()
    return {name: _engine.get_function_address(symbol) for name, symbol in symbols.items()}


__all__ = ["Code", "Machine", "assembly", "has_fma", "load", "machine", "vector_bits"]
