"""Outputs of calls: used again once the caller lets them go, never while anything refers to them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

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
