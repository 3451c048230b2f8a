"""mbarriers, in the order in which threads come to them; what waits for a phase finds it ended, or is reported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from xdsl.ir import Operation, SSAValue

from xmlc.dialects.nvvm import mbarrier
from xmlc.dialects.nvvm.async_copy import CpAsyncArriveOp
from xmlc.dialects.reference.lanes.async_copy import ALL, copies_of
from xmlc.dialects.reference.lanes.bulk_copy import engine_of
from xmlc.dialects.reference.lanes.frame import ThreadError, ThreadFrame
from xmlc.dialects.reference.lanes.races import Order
from xmlc.dialects.reference.lanes.strands import wait

BYTES = 8
"""The size of an mbarrier, and what its address is a multiple of."""

Place = tuple[int, int]
"""The block in the group, and the pointer."""


@dataclass
class Phases:
    """The state of an mbarrier."""

    order: Order
    expected: int
    missing: int
    bytes: int = 0
    """Bytes that copies of the phase still have to write; arrivals may say so after copies have begun."""
    number: int = 0
    """How many phases have ended."""
    ended_at: int = -1
    """When the last of them did: what was done before that comes before what is done by who waited for it."""

    def arrive(self, count: int = 1) -> None:
        self.missing -= count
        self.end()

    def end(self) -> None:
        """Begin the next phase if nothing is missing."""
        if self.missing == 0 and self.bytes == 0:
            self.number += 1
            self.missing = self.expected
            self.order.now += 1
            self.ended_at = self.order.now


def places(frame: ThreadFrame, op: Operation, pointer: SSAValue) -> Iterator[tuple[int, Place]]:
    """Each lane with the mbarrier it points to. Raises ThreadError for an address that cannot be one."""
    for lane, address in enumerate(frame.spread(pointer).tolist()):
        if address % BYTES:
            raise ThreadError(op, f"{frame.threads.name(lane)}: the mbarrier is not aligned to {BYTES} bytes")
        yield lane, (int(frame.threads.block[lane]), address)


def known(frame: ThreadFrame) -> dict[Place, Phases]:
    return frame.threads.group.state.setdefault("mbarriers", {})


def barriers(frame: ThreadFrame, op: Operation, pointer: SSAValue) -> Iterator[tuple[int, Phases]]:
    """Each lane with its mbarrier. Raises ThreadError for one that has not been made."""
    found = known(frame)
    for lane, place in places(frame, op, pointer):
        if place not in found:
            raise ThreadError(op, f"{frame.threads.name(lane)}: there is no mbarrier here: it has not been made")
        yield lane, found[place]


def make(frame: ThreadFrame, op: mbarrier.InitOp) -> None:
    counts = frame.spread(op.count)
    for lane, place in places(frame, op, op.addr):
        count = int(counts[lane])
        if count < 1:
            raise ThreadError(op, f"{frame.threads.name(lane)}: an mbarrier waits for at least 1 arrival, not {count}")
        known(frame)[place] = Phases(frame.threads.launch.order, count, count)


def invalidate(frame: ThreadFrame, op: mbarrier.InvalidateOp) -> None:
    for _, place in places(frame, op, op.addr):
        known(frame).pop(place, None)


def too_many(frame: ThreadFrame, op: Operation, lane: int) -> ThreadError:
    return ThreadError(op, f"{frame.threads.name(lane)}: more arrivals than the phase of the mbarrier waits for")


def arrive(frame: ThreadFrame, op: mbarrier.ArriveOp) -> None:
    states = np.zeros(frame.threads.count, np.int64)
    for lane, phases in barriers(frame, op, op.addr):
        states[lane] = phases.number
        arrive_once(frame, op, lane, phases)
    frame.set(op, states)


def arrive_once(frame: ThreadFrame, op: Operation, lane: int, phases: Phases) -> None:
    if not phases.missing:  # the phase waits for bytes only
        raise too_many(frame, op, lane)
    phases.arrive()


def arrive_many(frame: ThreadFrame, op: mbarrier.ArriveManyOp) -> None:
    states, counts = np.zeros(frame.threads.count, np.int64), frame.spread(op.count)
    for lane, phases in barriers(frame, op, op.addr):
        if counts[lane] >= phases.missing:
            raise too_many(frame, op, lane)
        states[lane] = phases.number
        phases.arrive(int(counts[lane]))
    frame.set(op, states)


def arrive_expect_bytes(frame: ThreadFrame, op: mbarrier.ArriveExpectBytesOp) -> None:
    counts = frame.spread(op.txcount)
    for lane, phases in barriers(frame, op, op.addr):
        phases.bytes += int(counts[lane])
        arrive_once(frame, op, lane, phases)


def copies_arrive(frame: ThreadFrame, op: CpAsyncArriveOp) -> None:
    """The thread's copies end now; without `noinc` the phase waits for one arrival more, which is this one."""
    copies_of(frame.threads.group).end(frame, np.full(frame.threads.count, ALL, np.int64))
    counts = op.noinc is not None and bool(op.noinc.value.data)
    for _, phases in barriers(frame, op, op.addr):
        if counts:
            phases.arrive()


def test_wait(frame: ThreadFrame, op: mbarrier.TestWaitOp) -> None:
    states, ended = frame.spread(op.state), np.zeros(frame.threads.count, np.bool_)
    for _, place in places(frame, op, op.addr):
        while engine_of(frame.threads.group).load_for(place):
            pass
    for lane, phases in barriers(frame, op, op.addr):
        ended[lane] = phases.number > states[lane]
        if ended[lane]:
            come_after(frame, lane, phases)
    frame.set(op, ended)


def wait_parity(frame: ThreadFrame, op: mbarrier.WaitParityOp) -> None:
    """Other warps run on meanwhile, and copies that end at the mbarrier are made."""
    parities = frame.spread(op.phase).tolist()
    where = list(places(frame, op, op.addr))
    engine = engine_of(frame.threads.group)
    waiting = [(lane, phases, where[lane][1]) for lane, phases in barriers(frame, op, op.addr)]

    def unended() -> tuple[int, Phases] | None:
        for lane, phases, place in waiting:
            while phases.number % 2 == parities[lane] & 1:
                if not engine.load_for(place):
                    return lane, phases
        return None

    def stuck() -> ThreadError:
        found = unended()
        assert found is not None
        lane, phases = found
        missing = f"{phases.missing} arrivals and {phases.bytes} bytes are missing"
        return ThreadError(op, f"{frame.threads.name(lane)} waits for a phase that does not end: {missing}")

    wait(frame, lambda: unended() is None, stuck)
    for lane, phases, _ in waiting:
        come_after(frame, lane, phases)


def come_after(frame: ThreadFrame, lane: int, phases: Phases) -> None:
    """A thread that saw a phase end comes after what was done before the arrivals."""
    number = frame.threads.global_number[lane]
    phases.order.at_barrier[number] = max(phases.order.at_barrier[number], phases.ended_at)


EVALUATE = {
    mbarrier.InitOp: make,
    mbarrier.InvalidateOp: invalidate,
    mbarrier.ArriveOp: arrive,
    mbarrier.ArriveManyOp: arrive_many,
    mbarrier.ArriveExpectBytesOp: arrive_expect_bytes,
    mbarrier.TestWaitOp: test_wait,
    mbarrier.WaitParityOp: wait_parity,
    CpAsyncArriveOp: copies_arrive,
}
