"""Copies that go on while a thread does other work: what they write is there once the thread has waited for them.

They are made as late as PTX allows, when they are waited for, so that a kernel that does not wait reads old bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.ir import Operation

from xmlc.dialects.nvvm.async_copy import CpAsyncCommitGroupOp, CpAsyncOp, CpAsyncWaitGroupOp
from xmlc.dialects.reference.interpreter import Array
from xmlc.dialects.reference.lanes.frame import Group, KernelProgram, ThreadFrame, Threads
from xmlc.dialects.reference.lanes.memory import View, fetch, located, put
from xmlc.dialects.reference.lanes.pointers import each_element, pointed_at

WORD = 4
"""Bytes: copies are of whole words."""
ALL = np.iinfo(np.int64).max
"""Instead of the number of a group: behind all of them."""
OPEN = ALL - 1
"""Instead of the number of a group: none yet."""


@dataclass
class Copy:
    """What some threads have asked for with one op; arrays have an entry for each of them."""

    op: Operation
    threads: Array
    target: View
    values: Array
    group: Array


class Copies:
    """The copies of a group of blocks that have not ended, in the order in which they were asked for."""

    def __init__(self, threads: int):
        self.waiting: list[Copy] = []
        self.groups = np.zeros(threads, np.int64)
        """How many groups each thread has made."""

    def end(self, frame: ThreadFrame, until: Array) -> None:
        """Make the copies of the frame's threads, of each those of its groups before `until`, and forget them."""
        limit = np.full(len(self.groups), -1, np.int64)
        limit[frame.threads.number] = until
        for copy in self.waiting:
            due = copy.group < limit[copy.threads]
            if due.any():
                written(frame, copy, due)
            left = ~due
            copy.threads, copy.values, copy.group = copy.threads[left], copy.values[left], copy.group[left]
            copy.target = copy.target.pick(left)
        self.waiting = [copy for copy in self.waiting if copy.threads.size]


def copies_of(group: Group) -> Copies:
    return group.state.setdefault("copies", Copies(group.count * group.launch.threads))


def written(frame: ThreadFrame, copy: Copy, due: Array) -> None:
    assert isinstance(frame.program, KernelProgram)
    inner = ThreadFrame(frame.program, Threads(frame.threads.group, copy.threads[due]))
    target = copy.target.pick(due)
    place = located(inner, copy.op, target, [each_element(inner, copy.values.shape[1])])
    put(inner, copy.op, target, place, copy.values[due])


def copy(frame: ThreadFrame, op: CpAsyncOp) -> None:
    """The source is read now; bytes behind `cp_size` are zero."""
    count = op.size.value.data // WORD
    target, source = (pointed_at(frame, op, each, np.int32, count) for each in (op.dst, op.src))
    values = np.zeros((frame.threads.count, count), np.int32)
    wanted: Any = count if op.cp_size is None else frame.spread(op.cp_size)[:, None] // WORD
    reads = np.broadcast_to(each_element(frame, count) < wanted, values.shape)
    for column in range(count):
        lanes = reads[:, column]
        if lanes.any():
            inner = frame.picked(lanes)
            view = source.pick(lanes)
            index = np.full(inner.threads.count, column)
            values[lanes, column] = fetch(inner, op, view, located(inner, op, view, [index]))
    opened = np.full(frame.threads.count, OPEN, np.int64)
    copies_of(frame.threads.group).waiting.append(Copy(op, frame.threads.number, target, values, opened))


def commit(frame: ThreadFrame, op: CpAsyncCommitGroupOp) -> None:
    copies = copies_of(frame.threads.group)
    for each in copies.waiting:
        mine = np.isin(each.threads, frame.threads.number) & (each.group == OPEN)
        each.group[mine] = copies.groups[each.threads[mine]]
    copies.groups[frame.threads.number] += 1


def wait(frame: ThreadFrame, op: CpAsyncWaitGroupOp) -> None:
    copies = copies_of(frame.threads.group)
    copies.end(frame, copies.groups[frame.threads.number] - op.n.value.data)


EVALUATE = {
    CpAsyncOp: copy,
    CpAsyncCommitGroupOp: commit,
    CpAsyncWaitGroupOp: wait,
}
