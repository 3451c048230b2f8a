"""Weights as a program takes them, packed, in a file of the cache: a later process maps them and packs nothing.

Fresh memory is what loading large weights costs: a virtual machine that gives free memory back to its host may wait
milliseconds for a huge page. Pages of the file are in memory already, and every process that maps it shares them. Linux
keeps a file that was written at once in huge pages, where its file system can (ext4 from version 6.16, XFS before), and
maps them as such; elsewhere the weights are copied from the file to huge pages.

What the file holds depends on the code that packs and reads it, and on the weights. Those in a file that is mapped are
known by where they lie in which version of it; a few others by their content.
"""

from __future__ import annotations

import hashlib
import mmap
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from xmlc.addresses import address
from xmlc.buffers import aligned, allocate
from xmlc.cache import Cache
from xmlc.files import MappedFile
from xmlc.weights import copy

Array = NDArray[Any]

WORTH = 32 << 20
"""Bytes of weights from which they are kept: fewer are packed in 20 ms."""

HASHED = 4 << 20
"""Bytes of weights, of those that lie in no mapped file, up to which their content is hashed."""

HUGE_PAGE = 2 << 20
"""Bytes: no processor's huge pages are smaller."""

SMAPS = Path("/proc/self/smaps")
"""Linux: for each mapping a line that starts with its addresses, `7f00-7f10`, then others: `FilePmdMapped: 0 kB`."""


@dataclass(frozen=True)
class KeptWeights:
    """The place in the cache for what a program takes in the place of certain weights."""

    cache: Cache
    key: str

    def get(self) -> Array | None:
        """What is there, as read-only bytes from the start of a cache line on; large pieces of it are on huge pages."""
        data = self.cache.mapped(self.key)
        if data is None:
            return None
        whole = np.frombuffer(data, np.uint8)
        if is_on_huge_pages(whole, data.obj):
            return whole
        ours = aligned(allocate(whole.size), whole.size)
        copy([whole], [ours])
        return ours

    def put(self, whole: Array) -> None:
        """Keep those bytes. What goes wrong is logged."""
        self.cache.put(self.key, whole.data)


def kept_weights(code: bytes, weights: Mapping[str, Array]) -> KeptWeights | None:
    """Where a program's weights are kept; None where they are few, or it would take long to tell which they are."""
    if sum(array.nbytes for array in weights.values()) < WORTH:
        return None
    if sum(array.nbytes for array in weights.values() if file_of(array) is None) > HASHED:
        return None
    told = hashlib.sha256(code)
    for name, array in weights.items():
        told.update(f"\n{name} {identity(array)}".encode())
    return KeptWeights(Cache(), f"weights={told.hexdigest()}")


def identity(array: Array) -> str:
    """What tells an array from all others: where it lies in a file, or else its content."""
    file = file_of(array)
    if file is None:
        content = hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).hexdigest()
        return f"{array.dtype.name} {array.shape} {content}"
    start = address(array) - address(np.frombuffer(file, np.uint8))
    return f"{array.dtype.name} {array.shape} {array.strides} {start} {file.version}"


def file_of(array: Array) -> MappedFile | None:
    """The mapping that an array's memory is a part of."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = cast(Any, owner.base)  # pyright: ignore[reportUnknownMemberType]  # an array, or what it is a view of
    found = owner.obj if isinstance(owner, memoryview) else None
    return found if isinstance(found, MappedFile) else None


def is_on_huge_pages(whole: Array, mapping: Any) -> bool:
    """Have a part of a mapped file on huge pages, if the system can, and tell whether nearly all of it is."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return False
    mapping.madvise(mmap.MADV_HUGEPAGE)
    whole[::HUGE_PAGE].max(initial=0)  # a page is mapped when it is used first
    return bytes_on_huge_pages(address(whole)) >= whole.size - 4 * HUGE_PAGE


def bytes_on_huge_pages(place: int) -> int:
    """Of the mapping of a file at an address, how much is mapped by huge pages; 0 where the system does not tell."""
    if not SMAPS.exists():
        return 0
    here = False
    for line in SMAPS.read_text().splitlines():
        if (found := re.match("([0-9a-f]+)-([0-9a-f]+) ", line)) is not None:
            here = int(found[1], 16) <= place < int(found[2], 16)
        elif here and line.startswith("FilePmdMapped:"):
            return int(line.split()[1]) << 10
    return 0
