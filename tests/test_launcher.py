"""The launcher: which arrays it passes on to a program, and which it leaves to the check that says what is wrong."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from xmlc.launcher import Row, Table, agrees, declined, launcher

SHAPES = ((2, 3), (), (4, 0))
ARRAYS = tuple(np.zeros(shape, np.float32) for shape in SHAPES)
STRIDED = np.zeros((2, 6), np.float32)[:, ::2]
UNALIGNED = np.zeros(25, np.uint8)[1:].view(np.float32).reshape(2, 3)


def launched(arrays: tuple[Any, ...]) -> list[int | None] | None:
    """The slots that a program was called with, for float32 arrays of SHAPES; None where it was not called."""
    seen: list[list[int | None]] = []
    slots = (ctypes.c_void_p * 3)()
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda place: seen.append(list(slots)))
    address = ctypes.cast(entry, ctypes.c_void_p).value or 0
    table = Table.of(address, slots, [Row(i, np.dtype(np.float32), shape) for i, shape in enumerate(SHAPES)])
    refused = launcher()(arrays, table.place)
    assert bool(refused) != bool(seen)
    return seen[0] if seen else None


def test_this_interpreter_and_numpy_are_read_directly() -> None:
    assert launcher() is not declined


def test_a_program_gets_the_addresses_of_arrays() -> None:
    assert launched(ARRAYS) == [array.ctypes.data for array in ARRAYS]


def test_a_read_only_array_is_passed_on() -> None:
    array = np.zeros((2, 3), np.float32)
    array.flags.writeable = False
    assert launched((array, *ARRAYS[1:])) is not None


@pytest.mark.parametrize(
    "first",
    [
        STRIDED,
        UNALIGNED,
        np.zeros((3, 2), np.float32),
        np.zeros((2, 3, 1), np.float32),
        np.zeros((2, 3)),
        np.zeros((2, 3), ">f4"),
        np.zeros((2, 3), np.float32).view(np.recarray),
        [[0.0] * 3] * 2,
        None,
    ],
    ids=["strided", "unaligned", "shape", "rank", "type", "byte order", "subclass", "list", "none"],
)
def test_what_a_program_does_not_take_is_not_passed_on(first: Any) -> None:
    assert launched((first, *ARRAYS[1:])) is None


@pytest.mark.parametrize("count", [0, 2, 4])
def test_another_number_of_arrays_is_not_passed_on(count: int) -> None:
    assert launched((*ARRAYS, ARRAYS[0])[:count]) is None


WHOLE = np.zeros(16, np.float32)
FIXED = np.zeros(4, np.float32)
FIXED.flags.writeable = False
FOUR, EMPTY = np.zeros(4, np.float32), np.zeros(0, np.float32)
DONATED: dict[str, tuple[tuple[Any, ...], tuple[bool, ...], bool]] = {
    "one beside others": ((WHOLE[:4], WHOLE[4:8], FOUR), (True, False, False), True),
    "all, in any order": ((WHOLE[12:], FOUR, WHOLE[4:8]), (True, True, True), True),
    "others share memory": ((FOUR, WHOLE, WHOLE), (True, False, False), True),
    "given twice": ((FOUR, WHOLE, FOUR), (True, False, False), False),
    "given away twice": ((WHOLE, FOUR, FOUR), (False, True, True), False),
    "the end of another": ((WHOLE[:8], WHOLE[7:10], FOUR), (True, False, False), False),
    "inside of another": ((WHOLE, FOUR, WHOLE[2:3]), (False, False, True), False),
    "around another": ((WHOLE[2:3], FOUR, WHOLE), (False, False, True), False),
    "read-only": ((FIXED, FOUR, WHOLE), (True, False, False), False),
    "empty, which Python judges": ((EMPTY, FOUR, WHOLE), (True, False, False), False),
}


@pytest.mark.parametrize("name", DONATED)
def test_a_donated_array_is_passed_on_if_it_is_its_own(name: str) -> None:
    arrays, donated, expected = DONATED[name]
    called: list[int] = []
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(called.append)
    slots = (ctypes.c_void_p * 3)()
    rows = [Row(i, each.dtype, each.shape, given) for i, (each, given) in enumerate(zip(arrays, donated))]
    table = Table.of(ctypes.cast(entry, ctypes.c_void_p).value or 0, slots, rows)
    assert (launcher()(arrays, table.place) == 0) == bool(called) == expected


def test_a_launcher_that_reads_other_addresses_is_found_out() -> None:
    assert not agrees(lambda arrays, table: 0)
    assert not agrees(declined)
