"""The launcher: machine code that finds out where arrays are, and whether they are what a program takes, and calls it.

    i32 @xmlc.launch(ptr arrays, ptr table)     0 if it called the program, 1 if an array is not as the table says

`arrays` is a Python tuple of the inputs and the outputs of a call. Python would take a microsecond and more to ask each
for its type, shape and address; here that is a load each, from the structs of NumPy and CPython: what an array's holds
first is fixed by NumPy's ABI (PyArrayObject_fields), a tuple's items lie behind its `__basicsize__`. They are
tried once, before the first launch.

An array that is donated has to be writeable, and to share no memory with another. Each is compared with all: 200 arrays
take some microseconds as vectors, where sorting them in Python took a hundred.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmlc.addresses import HEAD
from xmlc.backends.cpu.jit import load_object
from xmlc.backends.cpu.target import host
from xmlc.kept_object import kept_object

Array = NDArray[Any]

Launch = Callable[[tuple[Any, ...], int], int]
"""(arrays, address of a table) -> 0 if the program was called"""

READY = 0x101
"""Flags of an array that is contiguous in row-major order (0x1) and aligned (0x100): NumPy's ABI numbers them so."""

WRITEABLE = 0x400
"""The flag of an array that can be written to."""

POINTER = ctypes.sizeof(ctypes.c_void_p)


class Fields(ctypes.Structure):
    """What a NumPy array is in memory."""

    _fields_ = (
        ("head", ctypes.c_char * (HEAD - POINTER)),
        ("type", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("rank", ctypes.c_int),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("base", ctypes.c_void_p),
        ("dtype", ctypes.c_void_p),
        ("flags", ctypes.c_int),
    )


# A table: the program's entry, its slots, how many arrays, how many are donated, room for where each starts and for
# where each ends, and for each its row.
TEXT = """
%table = type {{ ptr, ptr, i64, i64, ptr, ptr }}
%row = type {{ ptr, ptr, i64, ptr, i64, i32, i32 }} ; where the address goes, dtype, rank, shape, bytes, flags, donated
@numpy.ndarray = external global i8

define i32 @xmlc.launch(ptr %arrays, ptr %table) {{
  %entry = load ptr, ptr %table
  %at.slots = getelementptr %table, ptr %table, i64 0, i32 1
  %slots = load ptr, ptr %at.slots
  %at.count = getelementptr %table, ptr %table, i64 0, i32 2
  %count = load i64, ptr %at.count
  %at.donated = getelementptr %table, ptr %table, i64 0, i32 3
  %donated = load i64, ptr %at.donated
  %at.starts = getelementptr %table, ptr %table, i64 0, i32 4
  %starts = load ptr, ptr %at.starts
  %at.ends = getelementptr %table, ptr %table, i64 0, i32 5
  %ends = load ptr, ptr %at.ends
  %rows = getelementptr %table, ptr %table, i64 1
  %at.size = getelementptr i8, ptr %arrays, i64 {head}
  %size = load i64, ptr %at.size
  %as.many = icmp eq i64 %size, %count
  br i1 %as.many, label %next, label %unfit
next:
  %i = phi i64 [ 0, %0 ], [ %i.next, %fits ]
  %rest = icmp ult i64 %i, %count
  br i1 %rest, label %examine, label %overlaps
examine:
  %items = getelementptr i8, ptr %arrays, i64 {items}
  %item = getelementptr ptr, ptr %items, i64 %i
  %array = load ptr, ptr %item
  %at.type = getelementptr i8, ptr %array, i64 {type}
  %type = load ptr, ptr %at.type
  %is.array = icmp eq ptr %type, @numpy.ndarray
  br i1 %is.array, label %fields, label %unfit
fields:
  %row = getelementptr %row, ptr %rows, i64 %i
  %at.flags = getelementptr i8, ptr %array, i64 {flags}
  %flags = load i32, ptr %at.flags
  %at.wanted.flags = getelementptr %row, ptr %row, i64 0, i32 5
  %wanted.flags = load i32, ptr %at.wanted.flags
  %found.flags = and i32 %flags, %wanted.flags
  %is.ready = icmp eq i32 %found.flags, %wanted.flags
  %at.dtype = getelementptr i8, ptr %array, i64 {dtype}
  %dtype = load ptr, ptr %at.dtype
  %at.wanted.dtype = getelementptr %row, ptr %row, i64 0, i32 1
  %wanted.dtype = load ptr, ptr %at.wanted.dtype
  %same.dtype = icmp eq ptr %dtype, %wanted.dtype
  %at.rank = getelementptr i8, ptr %array, i64 {rank}
  %rank.32 = load i32, ptr %at.rank
  %rank = sext i32 %rank.32 to i64
  %at.wanted.rank = getelementptr %row, ptr %row, i64 0, i32 2
  %wanted.rank = load i64, ptr %at.wanted.rank
  %same.rank = icmp eq i64 %rank, %wanted.rank
  %ready.dtype = and i1 %is.ready, %same.dtype
  %all = and i1 %ready.dtype, %same.rank
  %at.shape = getelementptr i8, ptr %array, i64 {shape}
  %shape = load ptr, ptr %at.shape
  %at.wanted.shape = getelementptr %row, ptr %row, i64 0, i32 3
  %wanted.shape = load ptr, ptr %at.wanted.shape
  br i1 %all, label %sizes, label %unfit
sizes:
  %axis = phi i64 [ 0, %fields ], [ %axis.next, %size.fits ]
  %more = icmp ult i64 %axis, %rank
  br i1 %more, label %size.of, label %fits
size.of:
  %at.extent = getelementptr i64, ptr %shape, i64 %axis
  %extent = load i64, ptr %at.extent
  %at.wanted.extent = getelementptr i64, ptr %wanted.shape, i64 %axis
  %wanted.extent = load i64, ptr %at.wanted.extent
  %same.extent = icmp eq i64 %extent, %wanted.extent
  br i1 %same.extent, label %size.fits, label %unfit
size.fits:
  %axis.next = add i64 %axis, 1
  br label %sizes
fits:
  %at.data = getelementptr i8, ptr %array, i64 {data}
  %data = load ptr, ptr %at.data
  %slot = load ptr, ptr %row
  store ptr %data, ptr %slot
  %at.bytes = getelementptr %row, ptr %row, i64 0, i32 4
  %bytes = load i64, ptr %at.bytes
  %first = ptrtoint ptr %data to i64
  %last = add i64 %first, %bytes
  %at.start = getelementptr i64, ptr %starts, i64 %i
  store i64 %first, ptr %at.start
  %at.end = getelementptr i64, ptr %ends, i64 %i
  store i64 %last, ptr %at.end
  %i.next = add i64 %i, 1
  br label %next
overlaps: ; every donated array is to meet one, itself
  %some.donated = icmp ne i64 %donated, 0
  br i1 %some.donated, label %giver, label %call
giver:
  %g = phi i64 [ 0, %overlaps ], [ %g.next, %giver.seen ]
  %before = phi i64 [ 0, %overlaps ], [ %meetings, %giver.seen ]
  %giver.row = getelementptr %row, ptr %rows, i64 %g
  %at.given = getelementptr %row, ptr %giver.row, i64 0, i32 6
  %given.32 = load i32, ptr %at.given
  %given = icmp ne i32 %given.32, 0
  %at.giver.start = getelementptr i64, ptr %starts, i64 %g
  %giver.start = load i64, ptr %at.giver.start
  %at.giver.end = getelementptr i64, ptr %ends, i64 %g
  %giver.end = load i64, ptr %at.giver.end
  br i1 %given, label %other, label %giver.seen
other:
  %o = phi i64 [ 0, %giver ], [ %o.next, %other ]
  %met = phi i64 [ %before, %giver ], [ %met.next, %other ]
  %at.other.start = getelementptr i64, ptr %starts, i64 %o
  %other.start = load i64, ptr %at.other.start
  %at.other.end = getelementptr i64, ptr %ends, i64 %o
  %other.end = load i64, ptr %at.other.end
  %starts.inside = icmp ult i64 %other.start, %giver.end
  %ends.inside = icmp ugt i64 %other.end, %giver.start
  %meets = and i1 %starts.inside, %ends.inside
  %meets.64 = zext i1 %meets to i64
  %met.next = add i64 %met, %meets.64
  %o.next = add i64 %o, 1
  %more.others = icmp ult i64 %o.next, %count
  br i1 %more.others, label %other, label %giver.seen
giver.seen:
  %meetings = phi i64 [ %before, %giver ], [ %met.next, %other ]
  %g.next = add i64 %g, 1
  %more.givers = icmp ult i64 %g.next, %count
  br i1 %more.givers, label %giver, label %judge
judge:
  %none.shared = icmp eq i64 %meetings, %donated
  br i1 %none.shared, label %call, label %unfit
call:
  call void %entry(ptr %slots)
  ret i32 0
unfit:
  ret i32 1
}}
"""


def launcher_text() -> str:
    """The launcher for the structs of this process, as a module in LLVM IR text."""
    names = ("type", "data", "rank", "shape", "dtype", "flags")
    offsets = {name: getattr(Fields, name).offset for name in names}
    text = TEXT.format(head=HEAD, items=tuple.__basicsize__, **offsets)
    return f'target datalayout = "{host().data_layout}"\ntarget triple = "{host().triple}"\n{text}'


@cache
def launcher() -> Launch:
    """The launcher of this process; where structs are not as it expects, one that never calls the program.

    To compile it takes 7 ms, and 10 MB that stay.
    """
    loaded = load_object(kept_object(launcher_text(), opt_level=2), {"numpy.ndarray": id(np.ndarray)})
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p)(loaded.address("xmlc.launch"))
    function.module = loaded  # pyright: ignore[reportAttributeAccessIssue]  # code lives as long as a caller
    return function if agrees(function) else declined


def declined(arrays: tuple[Any, ...], table: int) -> int:
    """A launcher for arrays whose structs are not known."""
    return 1


def nothing(slots: int) -> None:
    """A program that does nothing."""


NOTHING = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(nothing)


def agrees(launch: Launch) -> bool:
    """Whether the launcher finds the addresses of two arrays, and refuses arrays that are not as they should be."""
    arrays = np.zeros((2, 3), np.float32), np.zeros(5, np.int64)
    slots = (ctypes.c_void_p * 2)()
    entry = ctypes.cast(NOTHING, ctypes.c_void_p).value or 0
    table = Table.of(entry, slots, [Row(i, array.dtype, array.shape) for i, array in enumerate(arrays)])
    others = (
        (),
        (arrays[0], [1]),
        (arrays[0], arrays[1][:4]),
        (arrays[0], np.zeros(5)),
        (arrays[0], np.zeros(10, np.int64)[::2]),
        (arrays[0].reshape(6), arrays[1]),
    )
    if any(launch(other, table.place) == 0 for other in others) or launch(arrays, table.place) != 0:
        return False
    return list(slots) == [array.ctypes.data for array in arrays]


@dataclass(frozen=True)
class Row:
    """What a program takes for one array: where among its slots the address goes, and what the array has to be."""

    position: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    donated: bool = False
    """Whether the program may write to it, so that no other array may share its memory."""


@dataclass(frozen=True)
class Table:
    """What one launch needs to know, and what has to live as long as it."""

    place: int
    parts: tuple[Any, ...]

    @classmethod
    def of(cls, entry: int, slots: Any, rows: Sequence[Row]) -> Table:
        """For a program that takes its slots, a ctypes array, and an array for each row.

        The dtypes have to live as long as the table.
        """
        shapes = [numbers(row.shape) for row in rows]
        starts, ends = numbers([0] * len(rows)), numbers([0] * len(rows))
        donated = sum(row.donated for row in rows)
        words = [entry, ctypes.addressof(slots), len(rows), donated, ctypes.addressof(starts), ctypes.addressof(ends)]
        for row, shape in zip(rows, shapes):
            slot = ctypes.addressof(slots) + row.position * POINTER
            flags = READY | WRITEABLE if row.donated else READY
            size = row.dtype.itemsize * prod(row.shape)
            words += [slot, id(row.dtype), len(row.shape), ctypes.addressof(shape), size, flags | row.donated << 32]
        made = numbers(words)
        return cls(ctypes.addressof(made), (made, starts, ends, *shapes))


def numbers(values: Sequence[int]) -> ctypes.Array[ctypes.c_int64]:
    """Numbers where machine code can read them."""
    return (ctypes.c_int64 * len(values))(*values)
