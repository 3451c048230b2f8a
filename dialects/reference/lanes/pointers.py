"""Pointers in a kernel: 40 bits say the byte of a memory, the bits above which memory of the group it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects import llvm, memref
from xdsl.dialects.builtin import MemRefType, NoneAttr
from xdsl.ir import Operation, SSAValue

from xmlc.dialects import gpu
from xmlc.dialects.reference.interpreter import Array, InterpreterError, dtype_of
from xmlc.dialects.reference.lanes.frame import Group, ThreadError, ThreadFrame
from xmlc.dialects.reference.lanes.memory import Memory, View, fetch, located

OFFSET_BITS = 40
WINDOW = (1 << OFFSET_BITS) - 1
"""The bits of a pointer that say the byte."""
SWIZZLE_PERIOD = 1024
"""Bytes after which swizzles repeat: shared memory begins at a multiple."""


def pointer_of(frame: ThreadFrame, op: memref.ExtractAlignedPointerAsIndexOp) -> None:
    view = frame[op.source]
    source = op.source.type
    assert isinstance(source, MemRefType)
    if not isinstance(source.layout, NoneAttr):
        raise InterpreterError(op, "a part of a buffer has the pointer of the whole: ask for that of the whole")
    memories = frame.threads.group.pointed
    if view.memory not in memories:
        memories.append(view.memory)
    number = memories.index(view.memory)
    start = (number << OFFSET_BITS) + window(frame.threads.group, number)
    frame.set(op, np.int64(start) + np.asarray(view.offset, np.int64))


def window(group: Group, number: int) -> int:
    """Where a memory begins for pointers: shared memories lie one behind the other, as descriptors want it."""
    memory: Memory = group.pointed[number]
    if memory.space is not gpu.AddressSpace.Workgroup:
        return 0
    if number not in group.windows:
        ends = [start + group.pointed[each].copies.shape[1] for each, start in group.windows.items()]
        group.windows[number] = -(-max(ends, default=1) // SWIZZLE_PERIOD) * SWIZZLE_PERIOD
    return group.windows[number]


def shared_at(frame: ThreadFrame, op: Operation, low: int, high: int) -> tuple[Memory, int]:
    """The shared memory that bytes of the window lie in, and where it begins. ThreadError where there is none."""
    group = frame.threads.group
    for number, start in group.windows.items():
        memory: Memory = group.pointed[number]
        if start <= low and high < start + memory.copies.shape[1]:
            return memory, start
    raise ThreadError(op, f"{frame.threads.name(0)}: bytes {low} to {high} are out of every shared memory")


def pointed_at(frame: ThreadFrame, op: Operation, pointer: SSAValue, dtype: Any, count: int) -> View:
    """`count` elements of a type from a pointer on. Raises ThreadError where lanes point into different memories."""
    address = frame.spread(pointer)
    memories = np.unique(address >> OFFSET_BITS)
    if len(memories) > 1:
        raise ThreadError(op, f"{frame.threads.name(0)}: other threads' pointers are into other memories")
    number = int(memories[0])
    offset = (address & WINDOW) - window(frame.threads.group, number)
    return View(frame.threads.group.pointed[number], np.dtype(dtype), offset, (count,), (1,))


def each_element(frame: ThreadFrame, count: int) -> Array:
    """The indices of `count` elements, for each lane."""
    return np.broadcast_to(np.arange(count), (frame.threads.count, count))


def same(frame: ThreadFrame, op: llvm.IntToPtrOp) -> None:
    frame.set(op, frame[op.input])


def load(frame: ThreadFrame, op: llvm.LoadOp) -> None:
    """One number from where a pointer points: atomic, so never part of a race."""
    result = op.dereferenced_value
    view = pointed_at(frame, op, op.ptr, dtype_of(result.type), 1)
    place = located(frame, op, view, [np.zeros(frame.threads.count, np.int64)])
    found = fetch(frame, op, view, place, "atomic")
    frame.threads.launch.order.atomic(frame.threads.global_number)
    frame.set(op, found)


EVALUATE = {
    llvm.LoadOp: load,
    memref.ExtractAlignedPointerAsIndexOp: pointer_of,
    llvm.IntToPtrOp: same,
}
