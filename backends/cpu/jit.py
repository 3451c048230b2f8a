"""LLVM IR text to machine code, and machine code into this process; the two know nothing of each other.

LLVM is imported by what needs it: a program for a GPU that the cache has starts without.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import repeat
from typing import Any

from xmlc.backends.cpu.elf import ElfSymbols, elf_symbols
from xmlc.backends.cpu.pool import NEEDS, RESET, SHARE, pool_text
from xmlc.backends.cpu.target import Target, host
from xmlc.dialects.diagnostics import CompileError

Packed = Callable[[Any], None]
"""A compiled function: takes the address of its 8-byte slots (int, ctypes array or pointer)."""

PACKED = ctypes.CFUNCTYPE(None, ctypes.c_void_p)  # ctypes releases the GIL around the call


# Compiling


def compile_to_object(llvm_ir: str, target: Target, opt_level: int = 3) -> bytes:
    """Machine code for `target` as a relocatable object file."""
    return generated(llvm_ir, target, opt_level, as_text=False)


def compile_to_objects(units: Sequence[str], target: Target, opt_level: int = 3) -> tuple[bytes, ...]:
    """The same for the units of a module, as many at once as there are cores."""
    if len(units) == 1:
        return (compile_to_object(units[0], target, opt_level),)
    with ThreadPoolExecutor(min(len(units), host().cores)) as threads:
        return tuple(threads.map(compile_to_object, units, repeat(target), repeat(opt_level)))


def assembly(llvm_ir: str, target: Target, opt_level: int = 3) -> str:
    """The same machine code as text."""
    return generated(llvm_ir, target, opt_level, as_text=True).decode()


def generated(llvm_ir: str, target: Target, opt_level: int, *, as_text: bool) -> bytes:
    """An object file, or assembly text."""
    from xmlc.backends.cpu.llvm import machine_code, optimized, target_machine

    machine = target_machine(target, opt_level)
    return machine_code(optimized(llvm_ir, machine, opt_level), machine, as_text=as_text)


# Loading

# What LLVM may call without being asked: copies and fills that it recognises in loops, and float functions
# that the processor lacks. Taken from the C library; nothing else of the process is visible to loaded code.
RUNTIME: tuple[str, ...] = (
    "memcpy", "memmove", "memset", "bcmp", "memcmp", "aligned_alloc", "free", "clock_gettime",
    "fmod", "fmodf", "fma", "fmaf",
    "floor", "floorf", "ceil", "ceilf", "trunc", "truncf", "round", "roundf", "roundeven", "roundevenf",
    "rint", "rintf", "nearbyint", "nearbyintf", "sqrt", "sqrtf", "fmax", "fmaxf", "fmin", "fminf",
)  # fmt: skip


@cache
def runtime() -> dict[str, int]:
    """Addresses of the functions of RUNTIME, and of those that the pool needs, that this system has."""
    found = addresses_in(ctypes.CDLL(None), (*RUNTIME, *NEEDS))
    missing = [name for name in RUNTIME if name not in found]  # none where Python itself is linked with libm
    if missing and (maths := ctypes.util.find_library("m")) is not None:
        found |= addresses_in(ctypes.CDLL(maths), missing)
    return found


def addresses_in(library: ctypes.CDLL, names: Iterable[str]) -> dict[str, int]:
    """Where those functions of a library are that it has."""
    return {name: address_of(found) for name in names if (found := getattr(library, name, None)) is not None}


def address_of(callback: Any) -> int:
    """The address of a ctypes function, or the address itself."""
    if isinstance(callback, int):
        return callback
    address = ctypes.cast(callback, ctypes.c_void_p).value
    assert address is not None, "a ctypes function has an address"
    return address


@dataclass(frozen=True)
class LoadedModule:
    """Machine code in this process: it stays while the module or a function taken from it is referenced."""

    engine: Any
    addresses: Mapping[str, int]
    callbacks: tuple[Any, ...]

    def address(self, name: str) -> int:
        """Where the exported function `name` starts. CompileError where there is none."""
        if name not in self.addresses:
            close = get_close_matches(name, self.addresses, n=1)
            known = ", ".join(sorted(self.addresses)) or "nothing"
            raise CompileError(
                f"the compiled module has no function '{name}'",
                hint=f"did you mean {close[0]}?" if close else f"it exports {known}",
            )
        return self.addresses[name]

    def function(self, name: str) -> Packed:
        """The packed entry of the public function `name`, as a ctypes callable that takes one pointer."""
        function = PACKED(self.address(f"{name}.packed"))
        function.module = self  # pyright: ignore[reportAttributeAccessIssue]  # code lives as long as a caller
        return function


POOL_LEVEL = 3
"""How hard LLVM works on the pool."""


def pool_code() -> bytes:
    """The pool's machine code, made anew: 50 ms."""
    return compile_to_object(pool_text(host()), host(), POOL_LEVEL)


def load_object(
    objects: bytes | Sequence[bytes],
    symbols: Mapping[str, Any] | None = None,
    pool_code: Callable[[], bytes] = pool_code,
) -> LoadedModule:
    """Link object files together and load them into this process.

    `symbols` gives external functions by name, as ctypes callbacks or addresses; `pool_code` the machine code of the
    pool, should these be the first that need it. CompileError where code needs a function that nobody provides, and
    where the bytes are no object file for this machine.
    """
    from xmlc.backends.cpu.llvm import binding, initialize

    initialize(host().triple)
    images = [objects] if isinstance(objects, bytes) else list(objects)
    tables = [elf_symbols(image) for image in images]
    for table in tables:
        if table.architecture != host().architecture:
            raise CompileError(
                f"code for {table.architecture} does not run on this machine", hint=f"this is {host().architecture}"
            )
    provided = {name: address_of(callback) for name, callback in (symbols or {}).items()}
    exports = sorted({name for table in tables for name in table.defined})
    needed = {name for table in tables for name in table.undefined}
    imports = runtime() | (pool(pool_code) if SHARE in needed else {}) | provided
    refuse_missing(tables, imports)
    library: Any = binding.JITLibraryBuilder()
    for image in images:
        library.add_object_img(image)
    for name in sorted(needed & imports.keys()):
        library.import_symbol(name, imports[name])
    for name in exports:
        library.export_symbol(name)
    # JITLink places all of an object in one piece of memory, so that its near relocations always reach.
    engine: Any = binding.create_lljit_compiler(use_jit_link=True, suppress_errors=True)
    try:
        tracker: Any = library.link(engine, "module")
    except RuntimeError as error:
        raise CompileError(f"the object cannot be loaded: {error}", hint="compile it again") from error
    # The tracker must go before the engine: the tuple is cleared in order.
    keep = Engine(engine, tracker)
    if SHARE in exports:
        keep.keep()
    return LoadedModule(keep, {name: int(tracker[name]) for name in exports}, tuple((symbols or {}).values()))


class Engine:
    """An LLVM engine and the code in it, released in the right order."""

    def __init__(self, engine: Any, tracker: Any):
        self.engine = engine
        self.tracker = tracker
        # runs at exit too, before Python takes llvmlite apart, which a __del__ would find half gone
        self.end = weakref.finalize(self, release, engine, tracker)

    def keep(self) -> None:
        """Never release the code, not even at exit: threads of its own may be in it."""
        self.end.detach()
        for each in (self.engine, self.tracker):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))


def release(engine: Any, tracker: Any) -> None:
    """Free the code, then the engine it belongs to."""
    tracker.close()
    engine.close()


POOL: dict[str, int] = {}
"""Addresses of the pool's functions, in this process once for all modules, when the first of them has been loaded.

It stays to the end of the process: its threads never return.
"""


def pool(code: Callable[[], bytes] = pool_code) -> dict[str, int]:
    """The pool's functions; `code` gives its machine code where it is not loaded yet."""
    if not POOL:
        loaded = load_object(code())
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=ctypes.CFUNCTYPE(None)(loaded.address(RESET)))
        POOL[SHARE] = loaded.address(SHARE)
    return POOL


def refuse_missing(tables: Iterable[ElfSymbols], imports: Mapping[str, int]) -> None:
    """CompileError naming every function that the objects call and nobody provides."""
    tables = list(tables)
    defined = {name for table in tables for name in table.defined}
    missing = sorted({name for table in tables for name in table.undefined} - defined - imports.keys())
    if missing:
        raise CompileError(
            "the compiled code calls functions that are not provided: " + ", ".join(missing),
            hint="pass them as `symbols`, or define them in the module",
        )
