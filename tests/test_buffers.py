"""Outputs of calls: used again once the caller lets them go, never while anything refers to them."""

from __future__ import annotations

import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from xmlc.buffers import ALIGNMENT, HUGE, KEPT, Outputs, aligned, allocate, together

LARGE = ((KEPT // 4,), np.dtype(np.float32), KEPT)


def test_an_output_that_was_let_go_is_used_again() -> None:
    outputs = Outputs()
    first = outputs.take(*LARGE)
    place = first.ctypes.data
    del first
    assert outputs.take(*LARGE).ctypes.data == place


def test_nobody_waits_for_a_thread_that_takes_an_output_and_may_be_gone() -> None:
    outputs = Outputs()
    with outputs.lock:
        assert outputs.take(*LARGE).shape == LARGE[0]


@pytest.mark.parametrize("hold", [lambda x: x, lambda x: x[1:], lambda x: x.reshape(2, -1).T[:, 0], memoryview])
def test_an_output_that_anything_refers_to_is_left_alone(hold: object) -> None:
    outputs = Outputs()
    first = outputs.take(*LARGE)
    place = first.ctypes.data
    held = hold(first)  # pyright: ignore
    del first
    assert outputs.take(*LARGE).ctypes.data != place
    del held
    assert outputs.take(*LARGE).ctypes.data == place


def test_arrays_made_together_are_apart_and_aligned() -> None:
    kinds = [
        ((3, 5), np.dtype(np.float32)),
        ((0, 2), np.dtype(np.int8)),
        ((7,), np.dtype(np.bool_)),
        ((), np.dtype(np.float64)),
    ]
    arrays = together(kinds)
    for number, array in enumerate(arrays):
        array[...] = number
    assert [(array.shape, array.dtype) for array in arrays] == kinds
    assert all(array.ctypes.data % ALIGNMENT == 0 for array in arrays)
    assert [array.flat[0] for array in arrays if array.size] == [0, True, 3]


def test_outputs_of_one_call_are_apart() -> None:
    outputs = Outputs()
    arrays = [outputs.take(*LARGE) for _ in range(2 * Outputs.LIMIT)]
    for number, array in enumerate(arrays):
        array[...] = number
    assert [array[0] for array in arrays] == list(range(2 * Outputs.LIMIT))


def test_threads_never_share_an_output() -> None:
    outputs = Outputs()

    def use(number: int) -> bool:
        array = outputs.take(*LARGE)
        array[...] = number
        return bool((array == number).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(300)))


@pytest.mark.parametrize("size", [1, 1000, HUGE, HUGE + 1])
def test_memory_starts_at_a_cache_line(size: int) -> None:
    memory = aligned(allocate(size), size)
    assert memory.size == size and memory.ctypes.data % ALIGNMENT == 0
    memory[...] = np.uint8(1)
    assert memory.all()


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="a system without huge pages on demand")
def test_large_memory_is_of_a_kind_that_may_have_huge_pages() -> None:
    block = allocate(HUGE)
    block[...] = 1
    ranges = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    place = block.ctypes.data
    (found,) = [line for line in ranges if in_range(place, line[0])]
    assert found[1] == "rw-p"
    assert found[4] == "0", "no file is behind it"


def in_range(place: int, text: str) -> bool:
    first, last = (int(each, 16) for each in text.split("-"))
    return first <= place < last


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # there are threads while it forks: the child touches no lock
def test_a_forked_process_does_not_write_to_the_memory_of_its_parent() -> None:
    block = allocate(HUGE)
    block[0] = 1
    child = os.fork()
    if child == 0:
        block[0] = 2
        os._exit(0)
    os.waitpid(child, 0)
    assert block[0] == 1
