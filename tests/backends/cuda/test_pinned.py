"""Copies through pinned memory, on a driver whose copies end only when they are waited for."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from xmlc.backends.cuda.driver import CudaError, Device, NvidiaDriver
from xmlc.backends.cuda.pinned import AHEAD, CHUNK, LEAST_RESULT, ResultPool, StagingPool
from xmlc.dialects.diagnostics import CompileError


class LateDriver:
    """Pinned memory is the host's; what is copied from it is read as late as may be."""

    def __init__(self) -> None:
        self.blocks: dict[int, NDArray[np.uint8]] = {}
        self.waiting: list[tuple[int, int, int]] = []
        self.marked = 0

    def pin(self, size: int) -> int:
        block = np.zeros(size, np.uint8)
        self.blocks[block.ctypes.data] = block
        return block.ctypes.data

    def unpin(self, address: int) -> None:
        del self.blocks[address]

    def copy_from_pinned(self, target: int, source: int, size: int, stream: Any) -> None:
        self.waiting.append((target, source, size))

    def mark(self, stream: Any) -> int:
        self.marked += 1
        return self.marked

    def wait_for(self, mark: int) -> None:
        done = mark - (self.marked - len(self.waiting))
        for target, source, size in self.waiting[:done]:
            ctypes.memmove(target, source, size)
        del self.waiting[:done]


@pytest.mark.parametrize("size", [100, CHUNK, CHUNK + 1, (2 * AHEAD + 1) * CHUNK + 5])
def test_an_array_may_be_changed_once_it_is_on_its_way(size: int) -> None:
    driver = LateDriver()
    pool = StagingPool(driver)
    data = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    kept, found = data.copy(), np.zeros(size, np.uint8)
    pool.copy_in(found.ctypes.data, data, 0)
    data[:] = 0
    driver.wait_for(driver.marked)
    np.testing.assert_array_equal(found, kept)
    assert len(driver.blocks) <= AHEAD


def test_results_are_pinned_and_their_memory_is_used_again() -> None:
    driver = LateDriver()
    pool = ResultPool(driver)
    first = pool.array((LEAST_RESULT // 4, 2), np.dtype(np.float32))
    view, address = first[3:], first.ctypes.data
    assert address in driver.blocks and first.flags.writeable
    del first
    assert pool.array((LEAST_RESULT // 4, 2), np.dtype(np.float32)).ctypes.data != address, "a view still uses it"
    del view
    gc.collect()
    assert pool.array((LEAST_RESULT // 2,), np.dtype(np.float32)).ctypes.data in driver.blocks
    assert len(driver.blocks) == 2
    small = pool.array((3,), np.dtype(np.float32))
    assert small.ctypes.data not in driver.blocks


class Api:
    """As much of the driver's interface as a stream is looked up by: all streams are of the context 7."""

    CUstream = int

    def cuStreamGetCtx(self, stream: int) -> tuple[Any, int]:
        return type("Code", (), {"value": 0, "name": "CUDA_SUCCESS"}), 7


def driver_in(context: int) -> NvidiaDriver:
    driver = NvidiaDriver.__new__(NvidiaDriver)
    driver.api, driver.context, driver.streams = Api(), context, {}
    driver.device = Device(0, "A GPU", (9, 0), 1 << 30, 132)
    return driver


def test_a_stream_of_another_context_is_refused() -> None:
    assert driver_in(7).stream(4096) == 4096 and driver_in(8).stream(0) == 0
    with pytest.raises(CompileError, match="the stream 0x1000 belongs to another device") as caught:
        driver_in(8).stream(4096)
    assert not isinstance(caught.value, CudaError)
