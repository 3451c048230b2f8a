"""Data races: accesses of different threads to one place, one of them a write, that nothing orders.

Time goes on at each barrier, fence and warp barrier. Two accesses are ordered by a barrier of their block, cluster or
warp that lies between them; those of different blocks by a fence of the first one's block followed by an atomic access
or a fence of the second one's: more is not looked at, so a protocol between blocks is believed to do what it seems to.
Accesses of different element sizes to the same bytes are not compared.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, NamedTuple

import numpy as np
from xdsl.ir import Operation

from xmlc.dialects.reference.interpreter import Array

NOBODY, MANY = -1, -2
"""Instead of a thread or a block: none, more than one."""
WARP = 32


class Order:
    """When the threads of a launch last met."""

    def __init__(self, blocks: int, threads: int):
        """For `blocks` blocks of `threads` threads."""
        self.threads = threads
        self.cluster = 1
        """Blocks of a cluster."""
        self.now = 0
        self.at_barrier = np.full(blocks * threads, -1, np.int64)
        """When each thread last came out of a barrier of its block."""
        self.at_warp_barrier = np.full(blocks * threads, -1, np.int64)
        self.at_cluster_barrier = np.full(blocks * threads, -1, np.int64)
        """When each thread last came out of a barrier of its cluster."""
        self.fences: dict[int, list[int]] = {}
        """Block -> times of the fences of its threads, ascending."""
        self.meetings: dict[int, list[int]] = {}
        """Block -> times of its atomic accesses and fences, ascending."""

    def barrier(self, threads: Array) -> None:
        self.now += 1
        self.at_barrier[threads] = self.now

    def warp_barrier(self, threads: Array) -> None:
        self.now += 1
        self.at_warp_barrier[threads] = self.now

    def cluster_barrier(self, threads: Array) -> None:
        self.now += 1
        self.at_barrier[threads] = self.at_cluster_barrier[threads] = self.now

    def fence(self, threads: Array) -> None:
        self.now += 1
        for block in np.unique(threads // self.threads).tolist():
            self.fences.setdefault(block, []).append(self.now)
            self.meetings.setdefault(block, []).append(self.now)

    def atomic(self, threads: Array) -> None:
        for block in np.unique(threads // self.threads).tolist():
            times = self.meetings.setdefault(block, [])
            if not times or times[-1] != self.now:
                times.append(self.now)

    def across(self, first_block: int, time: int, second_block: int) -> bool:
        """Whether an access of a block at a time comes before what another block does now."""
        fences = self.fences.get(first_block, [])
        after = bisect_left(fences, time + 1)
        if after == len(fences):
            return False
        return bool(self.meetings.get(second_block)) and self.meetings[second_block][-1] >= fences[after]


class Race(NamedTuple):
    """Two accesses that nothing orders; `other` is NOBODY or MANY where the other thread is not known."""

    place: int
    lane: int
    other: int
    other_writes: bool
    other_op: Operation | None


class Accesses:
    """Who last wrote and read each place of a memory."""

    def __init__(self, places: int, order: Order):
        self.order = order
        self.writer = np.full(places, NOBODY, np.int64)
        self.written = np.zeros(places, np.int64)
        self.atomic = np.zeros(places, np.bool_)
        self.write_op = np.zeros(places, np.int32)
        self.reader = np.full(places, NOBODY, np.int64)
        self.reader_block = np.full(places, NOBODY, np.int64)
        self.read = np.zeros(places, np.int64)
        self.ops: list[Operation] = []
        self.numbers: dict[Operation, int] = {}

    def number(self, op: Operation) -> int:
        if op not in self.numbers:
            self.numbers[op] = len(self.ops)
            self.ops.append(op)
        return self.numbers[op]

    def note_read(self, places: Array, threads: Array) -> Race | None:
        """Threads read places; returns a race with a write, if there is one."""
        race = self.after_write(places, threads, atomic=False)
        blocks = threads // self.order.threads
        reader, block = self.reader[places], self.reader_block[places]
        settled = (block == blocks) & (self.order.at_barrier[threads] > self.read[places])
        settled |= (reader >= 0) & self.ordered(np.maximum(reader, 0), self.read[places], threads)
        alone = (reader == NOBODY) | (reader == threads) | settled
        same_block = (block == NOBODY) | (block == blocks)
        new_reader, new_block = np.where(alone, threads, MANY), np.where(same_block, blocks, MANY)
        self.reader[places], self.reader_block[places] = new_reader, new_block
        # of several lanes at one place the last one is noted: where it is not this one, there are many
        places_shared = places[self.reader[places] != new_reader]
        self.reader[places_shared] = MANY
        blocks_shared = places[self.reader_block[places] != new_block]
        self.reader_block[blocks_shared] = MANY
        self.read[places] = self.order.now
        return race

    def note_write(
        self, op: Operation, places: Array, threads: Array, values: Array | None, *, atomic: bool
    ) -> Race | None:
        """Threads write `values` to places (None if atomically); returns a race, if there is one.

        Lanes that write the same value to one place in one op do not race.
        """
        race = self.after_write(places, threads, atomic=atomic) or self.after_read(places, threads)
        self.writer[places], self.written[places] = threads, self.order.now
        self.atomic[places], self.write_op[places] = atomic, self.number(op)
        if race is None and values is not None:
            lost = np.flatnonzero(self.writer[places] != threads)
            if lost.size:
                race = self.between_lanes(op, places, threads, values, lost)
        return race

    def between_lanes(self, op: Operation, places: Array, threads: Array, values: Array, lost: Array) -> Race | None:
        """A place to which lanes of one op write different values."""
        last = {int(place): lane for lane, place in enumerate(places)}
        for lane in lost.tolist():
            other = last[int(places[lane])]
            if not np.array_equal(values[lane], values[other], equal_nan=values.dtype.kind == "f"):
                return Race(int(places[lane]), lane, int(threads[other]), True, op)
        return None

    def after_write(self, places: Array, threads: Array, *, atomic: bool) -> Race | None:
        """A write that is not ordered before this access."""
        writer = self.writer[places]
        found = (writer != NOBODY) & (writer != threads)
        if atomic:
            found &= ~self.atomic[places]
        if not found.any():
            return None
        lanes = np.flatnonzero(found)
        when = self.written[places[lanes]]
        lanes = lanes[~self.ordered(writer[lanes], when, threads[lanes])]
        for lane in lanes.tolist():
            place = int(places[lane])
            first, second = (int(each) // self.order.threads for each in (writer[lane], threads[lane]))
            if first == second or not self.order.across(first, int(self.written[place]), second):
                return Race(place, lane, int(writer[lane]), True, self.ops[self.write_op[place]])
        return None

    def after_read(self, places: Array, threads: Array) -> Race | None:
        """A read that is not ordered before this write."""
        reader = self.reader[places]
        lanes = np.flatnonzero((reader != NOBODY) & (reader != threads))
        if not lanes.size:
            return None
        block, when = self.reader_block[places[lanes]], self.read[places[lanes]]
        own = threads[lanes] // self.order.threads
        ordered = (block == own) & (self.order.at_barrier[threads[lanes]] > when)
        warp = (reader[lanes] >= 0) & self.ordered(np.maximum(reader[lanes], 0), when, threads[lanes])
        for lane in lanes[~(ordered | warp)].tolist():
            place = int(places[lane])
            first, second = int(self.reader_block[place]), int(threads[lane]) // self.order.threads
            if first < 0 or first == second or not self.order.across(first, int(self.read[place]), second):
                return Race(place, lane, int(reader[lane]), False, None)
        return None

    def ordered(self, first: Array, when: Array, second: Array) -> Any:
        """Whether barriers of a block or of a warp order accesses of `first`, at `when`, before `second` now."""
        order = self.order
        same_block = first // order.threads == second // order.threads
        first_warp, second_warp = first % order.threads // WARP, second % order.threads // WARP
        by_warp = same_block & (first_warp == second_warp) & (order.at_warp_barrier[second] > when)
        size = order.threads * order.cluster
        by_cluster = (first // size == second // size) & (order.at_cluster_barrier[second] > when)
        return (same_block & (order.at_barrier[second] > when)) | by_warp | by_cluster
