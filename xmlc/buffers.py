"""Memory for outputs and arenas: large blocks on huge pages, and outputs used again once the caller lets them go.

Fresh memory costs a page fault for every 4 KiB: for work bound by memory that is most of its time.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from math import prod
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmlc.addresses import address

Array = NDArray[Any]

ALIGNMENT = 64
"""Bytes: a block starts at a cache line."""

HUGE = 4 << 20
"""Bytes from which a block is a mapping of its own, on huge pages where the system has them."""

KEPT = 256 << 10
"""Bytes from which an output's block is kept for the next call; smaller ones NumPy's allocator recycles itself."""


def allocate(size: int) -> Array:
    """An array that owns `size` uninitialised bytes and enough to align them: see `aligned`."""
    if size < HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.empty(size + ALIGNMENT, np.uint8)
    # Not shared, as is mmap's default: Linux gives shared memory no huge pages, and a fork would write to the parent's.
    mapping = mmap.mmap(-1, size + ALIGNMENT, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    mapping.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(mapping, np.uint8)


def aligned(owner: Array, size: int) -> Array:
    """The `size` bytes of an allocation that start at a cache line."""
    start = -address(owner) % ALIGNMENT
    return owner[start : start + size]


Kind = tuple[tuple[int, ...], np.dtype[Any]]
"""Shape and element type of an array."""


def room(kind: Kind) -> int:
    """The bytes of an array, and those after it up to a cache line."""
    shape, dtype = kind
    return -(-prod(shape) * dtype.itemsize // ALIGNMENT) * ALIGNMENT


def block(kinds: Sequence[Kind]) -> Array:
    """Uninitialised bytes for arrays of these kinds, in one allocation: small ones too are on huge pages."""
    size = sum(map(room, kinds))
    return aligned(allocate(size), size)


def arrays_in(whole: Array, kinds: Sequence[Kind]) -> list[Array]:
    """The arrays of these kinds that a block holds, one after the other, each from the start of a cache line."""
    starts = accumulate(map(room, kinds), initial=0)
    return [
        whole[start : start + prod(shape) * dtype.itemsize].view(dtype).reshape(shape)
        for start, (shape, dtype) in zip(starts, kinds)
    ]


def together(kinds: Sequence[Kind]) -> list[Array]:
    """Uninitialised arrays of these kinds, in one allocation."""
    return arrays_in(block(kinds), kinds)


def references(arrays: Sequence[Array], position: int) -> int:
    """How many references an array of a list has, this call's own among them."""
    return sys.getrefcount(arrays[position])


UNUSED = references([np.empty(1)], 0)
"""What `references` says of an array that only its list holds."""


def placed(owner: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array at the first cache line of an allocation."""
    return np.ndarray(shape, dtype, owner, -address(owner) % ALIGNMENT)


class Outputs:
    """The arrays that calls give their results in.

    A large output is a view of an allocation that stays here. NumPy makes every view of it, and every view of a view,
    refer to the allocation itself: it is free again when nothing but the list of them does.
    """

    LIMIT = 4
    """Allocations of one size that are kept; a caller that holds more outputs gets memory that is used once."""

    def __init__(self) -> None:
        self.kept: dict[int, list[Array]] = {}
        self.lock = Lock()

    def maker(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Callable[[], Array]:
        """What makes the uninitialised array for one output of each call."""
        size = dtype.itemsize * prod(shape)
        return partial(np.empty, shape, dtype) if size < KEPT else partial(self.take, shape, dtype, size)

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> Array:
        """An uninitialised array for an output of `size` bytes, of memory that calls share."""
        # A thread that held the lock when its process forked never gives it back in the child: new memory then.
        if not self.lock.acquire(blocking=False):
            return placed(allocate(size), shape, dtype)
        try:
            return placed(self.free(size), shape, dtype)
        finally:
            self.lock.release()

    def free(self, size: int) -> Array:
        """An allocation that nobody outside refers to."""
        kept = self.kept.setdefault(size, [])
        for position in range(len(kept)):
            if references(kept, position) == UNUSED:
                return kept[position]
        made = allocate(size)
        if len(kept) < self.LIMIT:
            kept.append(made)
        return made
