"""The user's files: read with a clear error, written whole or not at all."""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from xmlc.dialects.diagnostics import CompileError, Place

WHY: dict[type[OSError], str] = {
    FileNotFoundError: "no such file",
    IsADirectoryError: "it is a folder",
    PermissionError: "permission denied",
    NotADirectoryError: "a part of the path is not a folder",
}


def reason(error: OSError) -> str:
    """Why the system refused, in the words of our messages."""
    return WHY.get(type(error), (error.strerror or str(error)).lower())


def read_bytes(path: Path) -> bytes:
    """The content of the user's file. Raises CompileError if it is missing or unreadable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CompileError(f"cannot read '{path}': {reason(error)}") from error


class MappedFile(mmap.mmap):
    """A read-only mapping of a file that is not empty, and which content of which file it is."""

    version: str
    """Device, number on it, size in bytes, and times of the last write and of the last change of anything, in
    nanoseconds: another content has another version."""


def mapped(path: Path) -> MappedFile:
    """The file, mapped. Raises OSError, and ValueError for an empty one."""
    with path.open("rb") as file:
        made = MappedFile(file.fileno(), 0, access=mmap.ACCESS_READ)
        status = os.fstat(file.fileno())
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    made.version = ":".join(map(str, numbers))
    return made


Content: TypeAlias = "bytes | mmap.mmap"
"""What is in a file: read, or a read-only mapping of it."""

MAPPED = 1 << 20
"""Bytes from which `content` maps a file rather than reads it."""


def content(path: Path) -> Content:
    """The content of the user's file; a large one is mapped. Raises CompileError as `read_bytes`."""
    try:
        return path.read_bytes() if path.stat().st_size < MAPPED else mapped(path)
    except OSError as error:
        raise CompileError(f"cannot read '{path}': {reason(error)}") from error


def version_of(path: Path) -> tuple[int, int, int] | None:
    """What tells one content of a file from another: its number on the disk, its size, its time; None without one."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def unchanged_since_now(paths: Iterable[Path]) -> Callable[[], None]:
    """What raises CompileError if one of the files was written since, by itself: a new file of its name is another."""
    versions = {path: version_of(path) for path in paths}

    def check() -> None:
        for path, before in versions.items():
            now = version_of(path)
            if now and before and now != before and now[0] == before[0]:
                raise CompileError(f"'{path}' was changed while it was in use", hint="load it again")

    return check


def decode_text(data: bytes, name: str) -> str:
    """`data` as UTF-8 text, with a BOM and Windows line ends removed. Raises CompileError at the first bad byte."""
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        found = f"byte 0x{data[error.start]:02x} is not UTF-8 text"
        raise CompileError(found, place=Place(name, line, column)) from error


def read_text(path: Path) -> str:
    """The user's file as text. Raises CompileError if it is missing, unreadable or not UTF-8."""
    return decode_text(read_bytes(path), str(path))


def write_whole(path: Path, content: str | bytes) -> None:
    """Write the file whole or not at all: a reader sees the old content or the new, never a part.

    The content goes to a new file in the same folder, which then takes the name. A device or a pipe is written
    directly. Raises CompileError if the folder is missing or not writable.
    """
    data = content.encode() if isinstance(content, str) else content
    path = path.resolve()  # a link keeps pointing at the file it names
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)
            return
        if path.is_dir():
            raise IsADirectoryError
        replace_file(path, data)
    except FileNotFoundError as error:
        hint = f"make the folder '{path.parent}' first"
        raise CompileError(f"cannot write '{path}': no such folder", hint=hint) from error
    except OSError as error:
        raise CompileError(f"cannot write '{path}': {reason(error)}") from error


def make_folder(path: Path) -> None:
    """Make the folder, and those it is in, unless it is there. Raises CompileError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "a file of that name is there" if isinstance(error, FileExistsError) else reason(error)
        raise CompileError(f"cannot make the folder '{path}': {why}") from error


def replace_file(path: Path, *parts: bytes | memoryview) -> None:
    """Give `path` a new content in one step, keeping its permissions. Raises OSError, and leaves nothing behind."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            file.writelines(parts)
        if path.exists():
            temporary.chmod(path.stat().st_mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
