"""What compiled code is found by: the program, the target, the options, and the compiler itself.

A key is readable text, such as `program=1f0c… target=… opt=3 …`, so that a miss can be explained field by field.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import cache

from xmlc.backends.cpu.target import Target
from xmlc.backends.cuda.target import CudaTarget
from xmlc.cache import Cache
from xmlc.installed import version_of

PARTS = ("xmlc", "xmlc.dialects", "xmlc.passes", "xmlc.backends", "xmlc.frontend")
MEANING = {
    "target": "target",
    "opt": "optimisation level",
    "threads": "number of threads",
    "convolutions": "exactness of convolutions",
    "sums": "order of sums",
    "compiler": "xmlc",
    "xdsl": "version of xdsl",
    "llvmlite": "version of llvmlite",
}
"""Field of a key -> how a message names it."""


def cache_key(
    program: str,
    target: Target | CudaTarget,
    opt_level: int,
    threads: int = 1,
    exact_convolutions: bool = False,
    deterministic: bool = False,
) -> str:
    """The key of a program, given as the text of its module."""
    fields = {
        "program": digest(program),
        "target": digest(repr(target)),
        "opt": str(opt_level),
        "threads": str(threads),
        "convolutions": "exact" if exact_convolutions else "quick",
        "sums": "ordered" if deterministic else "any",
        "compiler": compiler_digest(),
        **{name: version_of(name) for name in ("xdsl", "llvmlite")},
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def compiler_digest() -> str:
    """A hash of the names, sizes and times of our source files: whoever edits a pass gets new code."""
    from importlib import import_module

    lines: list[str] = []
    for part in PARTS:
        folder = next(iter(import_module(part).__path__))
        for file in source_files(folder):
            status = file.stat()
            lines.append(f"{part} {file.path.removeprefix(folder)} {status.st_size} {status.st_mtime_ns}")
    return digest("\n".join([version_of("xmlc"), *sorted(lines)]))


def source_files(folder: str) -> Iterator[os.DirEntry[str]]:
    """The Python files in a folder and those below it, in no order; at half the cost of `Path.rglob`."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and entry.name != "__pycache__":
                yield from source_files(entry.path)
            elif entry.name.endswith(".py"):
                yield entry


def fields_of(key: str) -> dict[str, str]:
    return {name: value for name, _, value in (field.partition("=") for field in key.split(" "))}


def explain_miss(key: str, cache: Cache) -> str:
    """Why nothing is stored under `key`: what differs from the entry that is most like it."""
    wanted = fields_of(key)
    same_program = [
        found for entry in cache.entries() if (found := fields_of(entry.key)).get("program") == wanted["program"]
    ]
    if not same_program:
        return "not in the cache: this program was not compiled before, or its code was dropped since"
    differences = [[name for name in MEANING if found.get(name) != wanted[name]] for found in same_program]
    fewest = min(differences, key=len)
    if not fewest:
        return "it is in the cache"
    return "not in the cache: it was compiled before, but with " + " and ".join(f"another {MEANING[n]}" for n in fewest)
