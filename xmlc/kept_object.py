"""Small modules that every process needs, such as the pool of threads, in LLVM IR text: compiled once, kept on disk."""

from __future__ import annotations

from xmlc.backends.cpu.jit import compile_to_object
from xmlc.backends.cpu.target import host
from xmlc.cache import Cache
from xmlc.cache_key import cache_key
from xmlc.options import CACHE


def kept_object(llvm_ir: str, opt_level: int) -> bytes:
    """Machine code for this machine as an object file, from the cache where it is there."""
    kept = Cache() if CACHE.get() else None
    key = cache_key(llvm_ir, host(), opt_level) if kept else ""
    found = kept.get(key) if kept else None
    if found is None:
        found = compile_to_object(llvm_ir, host(), opt_level)
        if kept:
            kept.put(key, found)
    return found
