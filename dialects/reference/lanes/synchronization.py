"""Barriers and fences: every thread that has to come to one must come, and what it wrote is seen after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Operation

from xmlc.dialects import gpu
from xmlc.dialects.nvvm.attributes import MemoryScope
from xmlc.dialects.nvvm.synchronization import (
    Barrier0Op,
    BarrierOp,
    ClusterArriveOp,
    ClusterArriveRelaxedOp,
    ClusterWaitOp,
    FenceBarrierInitOp,
    FenceClusterOp,
    GridDependencyOp,
    MemoryBarrierOp,
    SetMaxRegisterOp,
    WarpBarrierOp,
)
from xmlc.dialects.reference.interpreter import Array
from xmlc.dialects.reference.lanes.frame import ThreadError, ThreadFrame
from xmlc.dialects.reference.lanes.strands import meet, strands_of
from xmlc.dialects.reference.lanes.warp import expect_lanes


def barrier(frame: ThreadFrame, op: Operation) -> None:
    """Every thread of each block that comes to it."""
    expected = frame.threads.launch.threads
    if strands_of(frame.threads.group) is None:
        expect_threads(frame, op, expected)
        frame.threads.launch.order.barrier(frame.threads.global_number)
    else:
        meet_at(frame, op, "barrier 0", expected)


def meet_at(frame: ThreadFrame, op: Operation, barrier: str, expected: int) -> None:
    """Wait for the other warps of the block at one of its barriers."""
    threads = frame.threads
    first = threads.global_number[0] - threads.number[0]

    def do(numbers: Array, brought: Sequence[Array]) -> Sequence[Array]:
        threads.launch.order.barrier(numbers + first)
        return ()

    meet(frame, op, (barrier, int(threads.block[0])), expected, (), do)


def expect_threads(frame: ThreadFrame, op: Operation, expected: int) -> None:
    """Raise ThreadError if fewer threads, or more, of a block are here."""
    threads = frame.threads
    counts = np.bincount(threads.block, minlength=threads.group.count)
    wrong = np.flatnonzero((counts != 0) & (counts != expected))
    if wrong.size:
        block = int(wrong[0])
        came = threads.name(np.flatnonzero(threads.block == block)[0])
        raise ThreadError(op, f"{counts[block]} threads come to the barrier, {expected} must: {came} is one of them")


def cluster_wait(frame: ThreadFrame, op: ClusterWaitOp) -> None:
    """Every thread of each cluster that comes to it."""
    if strands_of(frame.threads.group) is not None:
        cluster_wait_of_strand(frame, op)
        return
    expect_threads(frame, op, frame.threads.launch.threads)
    order, threads = frame.threads.launch.order, frame.threads
    blocks = np.unique(threads.block) + threads.group.first
    alone = np.flatnonzero(np.bincount(blocks // order.cluster)[np.unique(blocks // order.cluster)] != order.cluster)
    if alone.size:
        raise ThreadError(op, f"{threads.name(0)}: not every block of its cluster comes to the barrier")
    order.cluster_barrier(threads.global_number)


def cluster_wait_of_strand(frame: ThreadFrame, op: ClusterWaitOp) -> None:
    threads, order = frame.threads, frame.threads.launch.order
    first = threads.global_number[0] - threads.number[0]

    def do(numbers: Array, brought: Sequence[Array]) -> Sequence[Array]:
        order.cluster_barrier(numbers + first)
        return ()

    place = ("cluster", int(threads.block[0]) // order.cluster)
    meet(frame, op, place, threads.launch.threads * order.cluster, (), do)


def some_barrier(frame: ThreadFrame, op: BarrierOp) -> None:
    if op.number_of_threads is None:
        barrier(frame, op)
        return
    expected = int(frame.same(op, op.number_of_threads))
    if strands_of(frame.threads.group) is not None:
        number = 0 if op.barrier_id is None else int(frame.same(op, op.barrier_id))
        meet_at(frame, op, f"barrier {number}", expected)
        return
    expect_threads(frame, op, expected)
    # those that come are all that wait: they are in order among themselves, as a warp is
    frame.threads.launch.order.barrier(frame.threads.global_number)


def warp_barrier(frame: ThreadFrame, op: WarpBarrierOp) -> None:
    expect_lanes(frame, op, frame.spread(op.mask))
    frame.threads.launch.order.warp_barrier(frame.threads.global_number)


def memory_barrier(frame: ThreadFrame, op: MemoryBarrierOp) -> None:
    if op.scope.data is not MemoryScope.CTA:
        frame.threads.launch.order.fence(frame.threads.global_number)


def nothing(frame: ThreadFrame, op: Operation) -> None:
    """Launches are run one after the other, registers do not run out, and threads meet where they wait."""


EVALUATE = {
    gpu.BarrierOp: barrier,
    Barrier0Op: barrier,
    BarrierOp: some_barrier,
    WarpBarrierOp: warp_barrier,
    MemoryBarrierOp: memory_barrier,
    ClusterArriveOp: nothing,
    ClusterArriveRelaxedOp: nothing,
    ClusterWaitOp: cluster_wait,
    FenceBarrierInitOp: nothing,
    FenceClusterOp: nothing,
    GridDependencyOp: nothing,
    SetMaxRegisterOp: nothing,
}
