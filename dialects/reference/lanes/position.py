"""Where a thread is: `gpu`'s ids and sizes, and the special registers of `nvvm`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.ir import Operation

from xmlc.dialects import gpu
from xmlc.dialects.gpu import WARP
from xmlc.dialects.nvvm import special_registers as registers
from xmlc.dialects.reference.interpreter import Evaluate
from xmlc.dialects.reference.lanes.frame import ThreadFrame, Threads, position

AXES = "XYZ"


def thread_id(threads: Threads, axis: int) -> Any:
    return position(threads.thread, threads.launch.block)[axis]


def block_id(threads: Threads, axis: int) -> Any:
    """One number where there is one block."""
    group = threads.group
    block = np.int64(group.first) if group.count == 1 else threads.block + group.first
    return position(block, threads.launch.grid)[axis]


def block_dim(threads: Threads, axis: int) -> Any:
    return np.int64(threads.launch.block[axis])


def grid_dim(threads: Threads, axis: int) -> Any:
    return np.int64(threads.launch.grid[axis])


def global_id(threads: Threads, axis: int) -> Any:
    return block_id(threads, axis) * block_dim(threads, axis) + thread_id(threads, axis)


def lane(threads: Threads) -> Any:
    return threads.thread % WARP


def warp(threads: Threads) -> Any:
    return threads.thread // WARP


def warps(threads: Threads) -> Any:
    return np.int64(-(-threads.launch.threads // WARP))


def lane_mask(bits: Callable[[Any], Any]) -> Callable[[Threads], Any]:
    """A register with a bit for each lane for which `bits` (lane as int64 -> bits) gives one."""
    return lambda threads: bits(lane(threads)) & 0xFFFFFFFF


def along(number: Callable[[Threads, int], Any]) -> Evaluate:
    """A row of an op that names a dimension."""

    def evaluate(frame: ThreadFrame, op: gpu.PositionOp) -> None:
        frame.set(op, number(frame.threads, AXES.index(op.dimension.data.name)))

    return evaluate  # pyright: ignore[reportReturnType]


def whole(number: Callable[[Threads], Any]) -> Evaluate:
    """A row of an op without a dimension, as an index."""

    def evaluate(frame: ThreadFrame, op: Operation) -> None:
        frame.set(op, number(frame.threads))

    return evaluate  # pyright: ignore[reportReturnType]


def register(number: Callable[[Threads], Any]) -> Evaluate:
    """A row of a special register, which has 32 bits."""

    def evaluate(frame: ThreadFrame, op: Operation) -> None:
        frame.set(op, np.asarray(number(frame.threads)).astype(np.uint32).view(np.int32)[()])

    return evaluate  # pyright: ignore[reportReturnType]


def axis_of(number: Callable[[Threads, int], Any], axis: int) -> Evaluate:
    return register(lambda threads: number(threads, axis))


EVALUATE: dict[type[Operation], Evaluate] = {
    gpu.ThreadIdOp: along(thread_id),
    gpu.BlockIdOp: along(block_id),
    gpu.BlockDimOp: along(block_dim),
    gpu.GridDimOp: along(grid_dim),
    gpu.GlobalIdOp: along(global_id),
    gpu.LaneIdOp: whole(lane),
    gpu.SubgroupIdOp: whole(warp),
    gpu.NumSubgroupsOp: whole(warps),
    gpu.SubgroupSizeOp: whole(lambda threads: np.int64(WARP)),
    registers.ThreadIdXOp: axis_of(thread_id, 0),
    registers.ThreadIdYOp: axis_of(thread_id, 1),
    registers.ThreadIdZOp: axis_of(thread_id, 2),
    registers.BlockIdXOp: axis_of(block_id, 0),
    registers.BlockIdYOp: axis_of(block_id, 1),
    registers.BlockIdZOp: axis_of(block_id, 2),
    registers.BlockDimXOp: axis_of(block_dim, 0),
    registers.BlockDimYOp: axis_of(block_dim, 1),
    registers.BlockDimZOp: axis_of(block_dim, 2),
    registers.GridDimXOp: axis_of(grid_dim, 0),
    registers.GridDimYOp: axis_of(grid_dim, 1),
    registers.GridDimZOp: axis_of(grid_dim, 2),
    registers.LaneIdOp: register(lane),
    registers.WarpIdOp: register(warp),
    registers.WarpSizeOp: register(lambda threads: np.int64(WARP)),
    registers.LaneMaskEqOp: register(lane_mask(lambda lane: 1 << lane)),
    registers.LaneMaskLtOp: register(lane_mask(lambda lane: (1 << lane) - 1)),
    registers.LaneMaskLeOp: register(lane_mask(lambda lane: (2 << lane) - 1)),
    registers.LaneMaskGtOp: register(lane_mask(lambda lane: -(2 << lane))),
    registers.LaneMaskGeOp: register(lane_mask(lambda lane: -(1 << lane))),
}
