"""Compiled code and packed weights on disk: found by the hash of what they were made from.

One file an entry, named by the SHA-256 of its key and written whole (a reader never sees a part of one). It holds a
line of JSON (key, size, hash, time), with spaces up to a cache line, and then the data. Code is believed only if its
own hash is right; weights are mapped, not read, and only their size is looked at. Using an entry renews its file time,
and the entries used longest ago go first when the folder grows over its limit. The cache is a convenience: whatever
goes wrong with it is logged, and the program is compiled again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from xmlc.buffers import ALIGNMENT
from xmlc.files import mapped, replace_file
from xmlc.options import CACHE_DIR, CACHE_LIMIT

LOG = logging.getLogger(__name__)
FORMAT = "v1"
SUFFIX = ".xmlc"

Data = TypeVar("Data", bytes, memoryview)


class BadEntry(Exception):
    """An entry whose content is not what was stored; its message says in what way."""


@dataclass(frozen=True)
class Entry:
    """One stored result: its key, the size of its data in bytes, when it was last used (seconds since 1970)."""

    key: str
    size: int
    used: float
    path: Path


class Cache:
    """The entries of one folder. Several processes may use it at once."""

    def __init__(self, folder: Path | None = None, limit: int | None = None):
        self.folder = (CACHE_DIR.get() if folder is None else folder) / FORMAT
        self.limit = CACHE_LIMIT.get() if limit is None else limit

    def path(self, key: str) -> Path:
        """Where the entry of `key` is kept."""
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / (name + SUFFIX)

    def get(self, key: str) -> bytes | None:
        """The data stored under `key`, or None. A damaged entry is dropped with a warning and counts as none."""
        return self.found(key, read_entry)

    def mapped(self, key: str) -> memoryview | None:
        """The same, in a mapping of its file, at the start of a cache line; its hash is not looked at."""
        return self.found(key, map_entry)

    def found(self, key: str, read: Callable[[Path], tuple[dict[str, object], Data]]) -> Data | None:
        path = self.path(key)
        try:
            if not self.is_ours():
                return None
            header, data = read(path)
            if header["key"] != key:
                raise BadEntry("it was stored under another key")
            os.utime(path)
        except FileNotFoundError:
            return None
        except BadEntry as error:
            LOG.warning("dropped the damaged cache entry %s: %s", path, error)
            self.drop(path)
            return None
        except OSError as error:
            LOG.warning("cannot read the cache entry %s: %s", path, error.strerror)
            return None
        return data

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Store `data` under `key`, then drop what was used longest ago until the folder is within its limit.

        Data larger than the limit is not stored.
        """
        if len(data) > self.limit:
            LOG.info("not cached: %d bytes are more than the limit of %d", len(data), self.limit)
            return
        header: dict[str, object] = {
            "key": key,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "made": time.time(),
        }
        path = self.path(key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.is_ours():
                return
            path.parent.mkdir(exist_ok=True)
            replace_file(path, header_line(header), data)
        except OSError as error:
            LOG.warning("cannot write the cache folder %s: %s", self.folder, error.strerror)
            return
        self.evict(keep=path)

    def entries(self) -> list[Entry]:
        """Every entry, most recently used first. Damaged ones are left out; `verify` finds them."""
        found: list[Entry] = []
        for path in self.files():
            try:
                header, used = read_header(path), path.stat().st_mtime
            except (OSError, BadEntry):
                continue
            found.append(Entry(str(header["key"]), cast(int, header["size"]), used, path))
        return sorted(found, key=lambda entry: -entry.used)

    def clear(self) -> int:
        """Drop every entry and return their number."""
        return sum(self.drop(path) for path in self.files())

    def verify(self) -> list[tuple[Path, str]]:
        """Read every entry whole; drop the damaged ones with a warning and return each with what was wrong."""
        damaged: list[tuple[Path, str]] = []
        for path in self.files():
            try:
                header, _ = read_entry(path)
                if self.path(str(header["key"])) != path:
                    raise BadEntry("its name is not the hash of its key")
            except BadEntry as error:
                LOG.warning("dropped the damaged cache entry %s: %s", path, error)
                damaged.append((path, str(error)))
                self.drop(path)
            except FileNotFoundError:  # another process dropped it
                continue
        return damaged

    def files(self) -> Iterator[Path]:
        """The files of all entries, in the order of their names."""
        yield from sorted(self.folder.glob(f"??/*{SUFFIX}"))

    def drop(self, path: Path) -> bool:
        """Remove an entry. False if it was gone, or cannot be removed."""
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            LOG.warning("cannot remove the cache entry %s: %s", path, error.strerror)
            return False
        return True

    def evict(self, keep: Path) -> None:
        """Drop entries, the one used longest ago first and `keep` never, until the folder is within its limit."""
        sizes: list[tuple[float, int, Path]] = []
        for path in self.files():
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            sizes.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in sizes)
        for _, size, path in sorted(sizes):
            if total <= self.limit:
                return
            if path != keep and self.drop(path):
                total -= size

    def is_ours(self) -> bool:
        """Whether nobody else can write to the folder: machine code is run from it."""
        if os.name != "posix":
            return True
        status = self.folder.stat()
        if status.st_uid == os.getuid() and not status.st_mode & stat.S_IWOTH:
            return True
        LOG.warning("not using the cache folder %s: another user can write to it", self.folder)
        return False


def read_header(path: Path) -> dict[str, object]:
    """The line of JSON at the start of an entry. Raises BadEntry, or OSError."""
    with path.open("rb") as file:
        return parse_header(file.readline())


def header_line(header: dict[str, object]) -> bytes:
    """A header as it stands in a file: what follows it starts at a cache line, where the file is mapped."""
    line = json.dumps(header).encode()
    return line + b" " * (-(len(line) + 1) % ALIGNMENT) + b"\n"


def parse_header(line: bytes) -> dict[str, object]:
    try:
        header = json.loads(line)
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError both are
        raise BadEntry("its header is not JSON") from error
    if not isinstance(header, dict) or not {"key", "size", "sha256"} <= header.keys():
        raise BadEntry("its header lacks a field")
    return cast(dict[str, object], header)


def read_entry(path: Path) -> tuple[dict[str, object], bytes]:
    """Header and data of an entry whose hash is right. Raises BadEntry, or OSError."""
    line, _, data = path.read_bytes().partition(b"\n")
    header = sized_header(line, len(data))
    if header["sha256"] != hashlib.sha256(data).hexdigest():
        raise BadEntry("its hash is wrong")
    return header, data


def map_entry(path: Path) -> tuple[dict[str, object], memoryview]:
    """Header and data of an entry of the right size; the data is not read. Raises BadEntry, or OSError."""
    try:
        whole = mapped(path)
    except ValueError as error:
        raise BadEntry("it is empty") from error
    line = whole.readline()
    return sized_header(line, len(whole) - len(line)), memoryview(whole)[len(line) :]


def sized_header(line: bytes, size: int) -> dict[str, object]:
    """The header of an entry that holds so many bytes of data. Raises BadEntry where they should be others."""
    header = parse_header(line)
    if header["size"] != size:
        raise BadEntry(f"it holds {size} bytes and should hold {header['size']}")
    return header
