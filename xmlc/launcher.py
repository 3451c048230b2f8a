"""The launcher: machine code that finds out where arrays are, and whether they are what a program takes, and calls it.

    i32 @xmlc.launch(ptr arrays, ptr table)     0 if it called the program, 1 if an array is not as the table says

`arrays` is a Python tuple of the inputs and the outputs of a call. Python would take a microsecond and more to ask each
for its type, shape and address; here that is a load each, from the structs of NumPy and CPython: what an array's holds
first is fixed by NumPy's ABI (PyArrayObject_fields), a tuple's items lie behind its `__basicsize__`. They are
tried once, before the first launch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmlc.addresses import HEAD
from xmlc.backends.cpu.jit import compile_to_object, load_object
from xmlc.backends.cpu.target import host
from xmlc.cache import Cache
from xmlc.cache_key import cache_key
from xmlc.options import CACHE

Array = NDArray[Any]

Launch = Callable[[tuple[Any, ...], int], int]
"""(arrays, address of a table) -> 0 if the program was called"""

READY = 0x101
"""Flags of an array that is contiguous in row-major order (0x1) and aligned (0x100): NumPy's ABI numbers them so."""

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


# A table: the program's entry, its slots, how many arrays, and for each its row.
TEXT = """
%table = type {{ ptr, ptr, i64 }}
%row = type {{ ptr, ptr, i64, ptr }} ; the slot that takes the address, the dtype, the rank, the shape
@numpy.ndarray = external global i8

define i32 @xmlc.launch(ptr %arrays, ptr %table) {{
  %entry = load ptr, ptr %table
  %at.slots = getelementptr %table, ptr %table, i64 0, i32 1
  %slots = load ptr, ptr %at.slots
  %at.count = getelementptr %table, ptr %table, i64 0, i32 2
  %count = load i64, ptr %at.count
  %rows = getelementptr %table, ptr %table, i64 1
  %at.size = getelementptr i8, ptr %arrays, i64 {head}
  %size = load i64, ptr %at.size
  %as.many = icmp eq i64 %size, %count
  br i1 %as.many, label %next, label %unfit
next:
  %i = phi i64 [ 0, %0 ], [ %i.next, %fits ]
  %rest = icmp ult i64 %i, %count
  br i1 %rest, label %examine, label %call
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
  %ready.flags = and i32 %flags, {ready}
  %is.ready = icmp eq i32 %ready.flags, {ready}
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
  %i.next = add i64 %i, 1
  br label %next
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
    text = TEXT.format(head=HEAD, items=tuple.__basicsize__, ready=READY, **offsets)
    return f'target datalayout = "{host().data_layout}"\ntarget triple = "{host().triple}"\n{text}'


def code() -> bytes:
    """The launcher as an object file, from the cache where it is there: making it takes 10 MB that stay, and 7 ms."""
    text = launcher_text()
    kept = Cache() if CACHE.get() else None
    key = cache_key(text, host(), 0) if kept else ""
    found = kept.get(key) if kept else None
    if found is None:
        found = compile_to_object(text, host(), opt_level=0)
        if kept:
            kept.put(key, found)
    return found


@cache
def launcher() -> Launch:
    """The launcher of this process; where structs are not as it expects, one that never calls the program."""
    loaded = load_object(code(), {"numpy.ndarray": id(np.ndarray)})
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
    table = Table.of(entry, slots, [(i, array.dtype, array.shape) for i, array in enumerate(arrays)])
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
class Table:
    """What one launch needs to know, and what has to live as long as it."""

    place: int
    words: Any
    shapes: Any

    @staticmethod
    def of(entry: int, slots: Any, rows: Sequence[tuple[int, np.dtype[Any], tuple[int, ...]]]) -> Table:
        """For a program that takes its slots, a ctypes array, and for each array its position there, dtype and shape.

        The dtypes have to live as long as the table.
        """
        start = ctypes.addressof(slots)
        sizes = [size for _, _, shape in rows for size in shape]
        shapes = (ctypes.c_int64 * len(sizes))(*sizes)
        words = [entry, start, len(rows)]
        at = ctypes.addressof(shapes)
        for position, dtype, shape in rows:
            words += [start + position * POINTER, id(dtype), len(shape), at]
            at += ctypes.sizeof(ctypes.c_int64) * len(shape)
        made = (ctypes.c_int64 * len(words))(*words)
        return Table(ctypes.addressof(made), made, shapes)
