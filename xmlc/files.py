"""The user's files: read with a clear error, written whole or not at all."""

from __future__ import annotations

import secrets
from pathlib import Path

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


def replace_file(path: Path, data: bytes) -> None:
    """Give `path` a new content in one step, keeping its permissions. Raises OSError, and leaves nothing behind."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        if path.exists():
            temporary.chmod(path.stat().st_mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
