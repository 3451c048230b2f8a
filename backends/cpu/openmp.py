"""LLVM's OpenMP runtime, found and loaded when code for several threads is: from the package `cmeel-libomp`, or as the
process already has it (two of them in one process do not get on)."""

from __future__ import annotations

import ctypes
import os
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from xmlc.dialects.diagnostics import CompileError

PACKAGE = "cmeel-libomp"
FUNCTIONS = ("__kmpc_fork_call", "__kmpc_global_thread_num", "__kmpc_push_num_threads", "omp_get_num_threads")
"""What generated code calls."""
RUNTIMES = re.compile(r"/lib(omp|iomp5)(-\w+)?\.so[.\d]*$")
"""Files that hold this runtime: LLVM's own and Intel's, which is built from the same source."""
MAPPED = Path("/proc/self/maps")

SPIN = "2"
"""Milliseconds that a thread waits for work before it sleeps, unless KMP_BLOCKTIME or OMP_WAIT_POLICY says: longer than
any pause within a program. The runtime's own 200 would keep cores from whoever else wants them between calls."""


def library() -> Path | None:
    """The file of the runtime: one this process has loaded, else the package's; None where there is neither."""
    return loaded() or packaged()


def loaded() -> Path | None:
    """A runtime that something else in this process uses."""
    try:
        lines = MAPPED.read_text().splitlines()
    except OSError:
        return None  # not Linux
    paths = {line[line.index("/") :] for line in lines if "/" in line}
    return next((Path(path) for path in sorted(paths) if RUNTIMES.search(path)), None)


@cache
def packaged() -> Path | None:
    """The runtime in the package, if that is installed."""
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.name in ("libomp.so", "libomp.dylib"))
    return next((path for path in found if path.exists()), None)


def require() -> Path:
    """The runtime's file. CompileError where there is none."""
    found = library()
    if found is None:
        raise CompileError(
            "code for several threads needs LLVM's OpenMP runtime, which is not installed",
            hint=f"pip install {PACKAGE}, or ask for one thread (XMLC_NUM_THREADS=1)",
        )
    return found


@cache
def addresses() -> dict[str, int]:
    """Where the functions of the runtime are. CompileError where it is not installed or cannot be loaded.

    It stays loaded: its threads live as long as the process.
    """
    path = require()
    first = loaded() is None
    try:
        runtime: Any = ctypes.CDLL(os.fspath(path))
        if first:
            start(runtime)
        found = {name: ctypes.cast(getattr(runtime, name), ctypes.c_void_p).value for name in FUNCTIONS}
    except (OSError, AttributeError) as error:
        raise CompileError(
            f"the OpenMP runtime cannot be used: {error}", hint=f"pip install --force-reinstall {PACKAGE}"
        ) from error
    return {name: where for name, where in found.items() if where is not None}


def start(runtime: Any) -> None:
    """Let the runtime read its settings, which it does once, with our own default for how long threads spin."""
    stated = "KMP_BLOCKTIME" in os.environ or "OMP_WAIT_POLICY" in os.environ
    if not stated:
        os.environ["KMP_BLOCKTIME"] = SPIN
    try:
        runtime.omp_get_max_threads()
    finally:
        if not stated:
            del os.environ["KMP_BLOCKTIME"]
