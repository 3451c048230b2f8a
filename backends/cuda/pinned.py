"""Copies between the host and a device through pinned memory, which the device reads and writes by itself.

Pages of ordinary memory may move, so that the driver copies them through buffers of its own, and waits. Here a copy
to the device goes through pinned blocks of a pool: it has left the caller's array when the call returns, and goes on
in the order of the stream. A result comes straight into pinned memory, which is the array that the caller gets, and
is used again when nobody refers to it any more.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import defaultdict, deque
from concurrent.futures import Future, ThreadPoolExecutor
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CHUNK = 2 << 20
"""Bytes of a block that a copy to the device goes through."""
WORKERS = 8
"""Threads that fill blocks: one does not keep up with the bus."""
AHEAD = 16
"""Blocks of a copy that may be full, or on their way, at once."""
LEAST_RESULT, MOST_RESULT = 1 << 16, 1 << 30
"""Bytes of results that are pinned: pinning less, or so much, costs more than it saves."""
MOST_KEPT = 1 << 31
"""Bytes of pinned memory of results that are kept for the next ones."""


class Pinning(Protocol):
    """What pinned memory takes of the driver."""

    def pin(self, size: int) -> int: ...
    def unpin(self, address: int) -> None: ...
    def copy_from_pinned(self, target: int, source: int, size: int, stream: Any) -> None: ...
    def mark(self, stream: Any) -> Any: ...
    def wait_for(self, mark: Any) -> None: ...


class StagingPool:
    """Blocks of pinned memory that copies to the device go through; each is used again when it has been read."""

    def __init__(self, driver: Pinning):
        self.driver = driver
        self.free: deque[int] = deque()
        self.busy: deque[tuple[int, Any]] = deque()
        """Blocks that are being read, with what to wait for, the first to end first."""
        self.blocks = 0
        self.lock = threading.RLock()
        self.workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="xmlc-staging")

    def copy_in(self, address: int, array: Array, stream: Any) -> None:
        """Copy a contiguous array to the device; the array may be changed once this returns."""
        data = array.reshape(-1).view(np.uint8)
        filling: deque[tuple[int, int, Future[int]]] = deque()
        with self.lock:
            for first in range(0, data.nbytes, CHUNK):
                part = data[first : first + CHUNK]
                if data.nbytes <= CHUNK:
                    self.send(address, fill(self.block(), part), part.nbytes, stream)
                    return
                while len(filling) >= WORKERS:
                    self.send_first(address, filling, stream)
                filling.append((first, part.nbytes, self.workers.submit(fill, self.block(), part)))
            while filling:
                self.send_first(address, filling, stream)

    def send_first(self, address: int, filling: deque[tuple[int, int, Future[int]]], stream: Any) -> None:
        first, size, filled = filling.popleft()
        self.send(address + first, filled.result(), size, stream)

    def send(self, target: int, block: int, size: int, stream: Any) -> None:
        self.driver.copy_from_pinned(target, block, size, stream)
        self.busy.append((block, self.driver.mark(stream)))

    def block(self) -> int:
        """A block that nobody reads: a new one as long as there are few."""
        if self.free:
            return self.free.popleft()
        if self.blocks < AHEAD:
            self.blocks += 1
            return self.driver.pin(CHUNK)
        block, mark = self.busy.popleft()
        self.driver.wait_for(mark)
        return block


def fill(block: int, part: Array) -> int:
    """Copy to a block, and return it; other threads run meanwhile."""
    ctypes.memmove(block, part.ctypes.data, part.nbytes)
    return block


class ResultPool:
    """Arrays in pinned memory, which goes back to the pool when nobody refers to the array, or to a view of it."""

    def __init__(self, driver: Pinning):
        self.driver = driver
        self.free: defaultdict[int, list[int]] = defaultdict(list)
        """Size -> addresses."""
        self.kept = 0

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An uninitialised array, pinned where that pays."""
        size = prod(shape) * dtype.itemsize
        if not LEAST_RESULT <= size <= MOST_RESULT:
            return np.empty(shape, dtype)
        if self.free[size]:
            address = self.free[size].pop()
            self.kept -= size
        else:
            address = self.driver.pin(size)
        memory = (ctypes.c_uint8 * size).from_address(address)
        weakref.finalize(memory, self.give_back, address, size).atexit = False
        return np.frombuffer(memoryview(memory), dtype).reshape(shape)

    def give_back(self, address: int, size: int) -> None:
        if self.kept + size > MOST_KEPT:
            self.driver.unpin(address)
            return
        self.free[size].append(address)
        self.kept += size
