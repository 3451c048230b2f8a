"""Every setting that xmlc reads from the environment: its name, default, meaning, and how to set it in Python.

A setting is read from its environment variable each time it is asked for, unless a `with` has set it:

    from xmlc import options

    options.CACHE.get()               # True, or what XMLC_CACHE says
    with options.CACHE.set(False):    # for this thread (and tasks started from it), until the block ends
        ...
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Value = TypeVar("Value")

SIZE_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
POLICIES = ("auto", "compile", "interpret")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Option(Generic[Value]):
    """One setting. `read` turns the environment's text into a value; a ValueError of its own says what it wants."""

    name: str
    default: Callable[[], Value]
    read: Callable[[str], Value]
    help: str
    override: ContextVar[Value]

    def get(self) -> Value:
        """The value set by the innermost `with`, else the environment's, else the default.

        Raises CompileError if the environment's text is not a value of this setting.
        """
        try:
            return self.override.get()
        except LookupError:
            pass
        text = os.environ.get(self.name)
        if text is None or text == "":
            return self.default()
        try:
            return self.read(text)
        except ValueError as error:
            from xmlc.dialects.diagnostics import CompileError  # costs 0.1 s, and is seldom needed

            raise CompileError(f"the environment variable {self.name} is {text!r}", hint=f"give {error}") from error

    @contextmanager
    def set(self, value: Value) -> Generator[None]:
        """Use `value` inside the `with` block."""
        token = self.override.set(value)
        try:
            yield
        finally:
            self.override.reset(token)


OPTIONS: dict[str, Option[object]] = {}
"""Name -> setting, in the order of this file; `xmlc list options` and the documentation read it."""


def option(name: str, default: Callable[[], Value], read: Callable[[str], Value], help: str) -> Option[Value]:
    """Declare a setting and enter it in OPTIONS."""
    made = Option(name, default, read, help, ContextVar[Value](name))
    OPTIONS[name] = made  # pyright: ignore[reportArgumentType]  # only read through: covariant in effect
    return made


def read_truth(text: str) -> bool:
    """1/true/yes/on or 0/false/no/off, in any case."""
    if text.lower() not in TRUTH:
        raise ValueError("1 or 0")
    return TRUTH[text.lower()]


def read_size(text: str) -> int:
    """A number of bytes; the suffixes K, M, G, T stand for powers of 1024."""
    number, unit = (text[:-1], SIZE_UNITS[text[-1].upper()]) if text[-1].upper() in SIZE_UNITS else (text, 1)
    if not number.isdecimal():
        raise ValueError("a number of bytes such as 500M or 2G")
    return int(number) * unit


def read_count(text: str) -> int:
    """A whole number of at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number such as 4")
    return int(text)


def read_level(text: str) -> str:
    """The name of a logging level."""
    if text.lower() not in LOG_LEVELS:
        raise ValueError(f"one of {', '.join(LOG_LEVELS)}")
    return text.lower()


def read_policy(text: str) -> str:
    """How tensors are evaluated."""
    if text.lower() not in POLICIES:
        raise ValueError(f"one of {', '.join(POLICIES)}")
    return text.lower()


def default_cache_dir() -> Path:
    """`xmlc` in the user's cache folder, as the XDG base directory specification says."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "xmlc"


CACHE = option("XMLC_CACHE", lambda: True, read_truth, "keep compiled code on disk and reuse it: 1 or 0")
CACHE_DIR = option("XMLC_CACHE_DIR", default_cache_dir, Path, "folder of compiled code and packed weights")
CACHE_LIMIT = option(
    "XMLC_CACHE_LIMIT",
    lambda: 4 * 2**30,
    read_size,
    "size that the cache stays under, such as 500M; oldest use goes first",
)
CUDA_SYNC = option(
    "XMLC_CUDA_SYNC",
    lambda: False,
    read_truth,
    "wait for each kernel, so that an error names the one that failed: 1 or 0",
)
DETERMINISTIC = option(
    "XMLC_DETERMINISTIC",
    lambda: False,
    read_truth,
    "have GPUs add floats in an order that is the same in every run, where that is slower too: 1 or 0",
)
DEVICE = option(
    "XMLC_DEVICE", lambda: "cpu", str, "where tensors are made and compiled functions run by themselves: cpu, cuda"
)
DUMP: Option[Path | None] = option(
    "XMLC_DUMP", lambda: None, Path, "folder that receives the program after every stage"
)
EXACT_CONVOLUTIONS = option(
    "XMLC_EXACT_CONVOLUTIONS",
    lambda: False,
    read_truth,
    "compute convolutions as the sums that they are, without transforms that round more: 1 or 0",
)
EXPLAIN = option("XMLC_EXPLAIN", lambda: False, read_truth, "say why a Python function is traced again: 1 or 0")
LOG = option("XMLC_LOG", lambda: "warning", read_level, f"least level that is logged: {', '.join(LOG_LEVELS)}")
NUM_THREADS: Option[int | None] = option(
    "XMLC_NUM_THREADS", lambda: None, read_count, "threads that compiled code uses; else what OMP_NUM_THREADS says"
)
REPRODUCER_DIR = option(
    "XMLC_REPRODUCER_DIR",
    lambda: Path(tempfile.gettempdir()),
    Path,
    "folder that receives a reproducer when a pass fails for a reason that is our bug",
)
TENSORS = option(
    "XMLC_TENSORS",
    lambda: "auto",
    read_policy,
    "run what is recorded of tensors interpreted until compiling is worth while, always compiled, or never: "
    "auto, compile, interpret",
)
VERIFY = option("XMLC_VERIFY", lambda: False, read_truth, "verify the program after every pass: 1 or 0")
