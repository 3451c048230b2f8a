"""Pointers in a kernel: 40 bits say the byte of a memory, the bits above which memory of the group it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects import llvm, memref
from xdsl.dialects.builtin import MemRefType, NoneAttr
from xdsl.ir import Operation, SSAValue

from xmlc.dialects.reference.interpreter import Array, InterpreterError, dtype_of
from xmlc.dialects.reference.lanes.frame import ThreadError, ThreadFrame
from xmlc.dialects.reference.lanes.memory import View, fetch, located

OFFSET_BITS = 40


def pointer_of(frame: ThreadFrame, op: memref.ExtractAlignedPointerAsIndexOp) -> None:
    view = frame[op.source]
    source = op.source.type
    assert isinstance(source, MemRefType)
    if not isinstance(source.layout, NoneAttr):
        raise InterpreterError(op, "a part of a buffer has the pointer of the whole: ask for that of the whole")
    memories = frame.threads.group.pointed
    if view.memory not in memories:
        memories.append(view.memory)
    frame.set(op, np.int64(memories.index(view.memory) << OFFSET_BITS) + np.asarray(view.offset, np.int64))


def pointed_at(frame: ThreadFrame, op: Operation, pointer: SSAValue, dtype: Any, count: int) -> View:
    """`count` elements of a type from a pointer on. Raises ThreadError where lanes point into different memories."""
    address = frame.spread(pointer)
    memories = np.unique(address >> OFFSET_BITS)
    if len(memories) > 1:
        raise ThreadError(op, f"{frame.threads.name(0)}: other threads' pointers are into other memories")
    offset = address & ((1 << OFFSET_BITS) - 1)
    return View(frame.threads.group.pointed[int(memories[0])], np.dtype(dtype), offset, (count,), (1,))


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
