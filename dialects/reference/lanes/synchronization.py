"""Barriers and fences: every thread that has to come to one must come, and what it wrote is seen after it."""

from __future__ import annotations

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
    GridDependencyOp,
    MemoryBarrierOp,
    SetMaxRegisterOp,
    WarpBarrierOp,
)
from xmlc.dialects.reference.lanes.frame import ThreadError, ThreadFrame
from xmlc.dialects.reference.lanes.warp import expect_lanes


def barrier(frame: ThreadFrame, op: Operation) -> None:
    """Every thread of each block that comes to it."""
    expect_threads(frame, op, frame.threads.launch.threads)
    frame.threads.launch.order.barrier(frame.threads.global_number)


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
    expect_threads(frame, op, frame.threads.launch.threads)
    order, threads = frame.threads.launch.order, frame.threads
    blocks = np.unique(threads.block) + threads.group.first
    alone = np.flatnonzero(np.bincount(blocks // order.cluster)[np.unique(blocks // order.cluster)] != order.cluster)
    if alone.size:
        raise ThreadError(op, f"{threads.name(0)}: not every block of its cluster comes to the barrier")
    order.cluster_barrier(threads.global_number)


def some_barrier(frame: ThreadFrame, op: BarrierOp) -> None:
    if op.number_of_threads is None:
        barrier(frame, op)
        return
    expect_threads(frame, op, int(frame.same(op, op.number_of_threads)))
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
    GridDependencyOp: nothing,
    SetMaxRegisterOp: nothing,
}
