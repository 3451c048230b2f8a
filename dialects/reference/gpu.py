"""What `gpu` means on the host: a launch runs its kernel by every thread of every block (see `lanes`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
from xdsl.dialects import llvm, memref, scf
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Operation, SSAValue

from xmlc.dialects import gpu
from xmlc.dialects.nvvm.mbarrier import WaitParityOp
from xmlc.dialects.reference.interpreter import Array, Frame, InterpreterError
from xmlc.dialects.reference.lanes.bulk_copy import engine_of
from xmlc.dialects.reference.lanes.frame import Group, KernelProgram, Launch, Size, ThreadFrame, Threads, all_threads
from xmlc.dialects.reference.lanes.memory import Memory, global_view
from xmlc.dialects.reference.lanes.strands import Strands
from xmlc.dialects.reference.memref import address

LANES = 1 << 15
"""Blocks are run together while they have no more threads than this."""
MOST_THREADS = 1024
"""Threads that a block can have."""
MOST_SHARED = 232_448
"""Bytes of shared memory that a block can have: 227 KiB, as on an H100."""


def launch_func(frame: Frame, op: gpu.LaunchFuncOp) -> None:
    program, kernel = kernel_of(frame, op)
    grid, block = size_of(frame, op, op.grid, "grid"), size_of(frame, op, op.block, "block")
    dynamic = 0 if op.dynamic is None else int(frame[op.dynamic])
    launch = Launch(grid, block, dynamic)
    check(op, kernel, launch)
    memories: dict[int, Memory] = {}
    launch.global_memories = memories
    run_kernel(program, kernel, launch, [argument(frame, launch, value, memories) for value in op.arguments])


def run_kernel(program: KernelProgram, kernel: gpu.FuncOp, launch: Launch, arguments: Sequence[Any]) -> None:
    """Run a kernel by all threads of a launch; arrays are given as `View`s."""
    size = kernel.known_cluster_size
    cluster = launch.order.cluster = 1 if size is None else int(prod(size.get_values()))
    together = (
        cluster if waits(kernel) or waits_for_phases(kernel) else max(1, LANES // launch.threads // cluster) * cluster
    )
    if gpu.TOGETHER in kernel.attributes:
        together = launch.blocks
    for first in range(0, launch.blocks, together):
        group = Group(launch, first, min(together, launch.blocks - first))
        run_group(program, kernel, group, arguments)


def run_group(program: KernelProgram, kernel: gpu.FuncOp, group: Group, arguments: Sequence[Any]) -> None:
    """Run a kernel by all threads of some blocks: together, or warp by warp where warps wait for each other."""
    threads = group.count * group.launch.threads
    if waits_for_phases(kernel) and threads > gpu.WARP:
        runs = [
            partial(ThreadFrame(program, Threads(group, warp)).run, kernel.body, *arguments)
            for block in range(group.count)
            for warp in np.array_split(
                np.arange(group.launch.threads) + block * group.launch.threads,
                range(gpu.WARP, group.launch.threads, gpu.WARP),
            )
        ]
        strands = group.state["strands"] = Strands(runs)
        strands.run()
    else:
        ThreadFrame(program, all_threads(group)).run(kernel.body, *arguments)
    engine_of(group).finish()


def waits_for_phases(kernel: gpu.FuncOp) -> bool:
    """Whether threads wait for mbarriers, which other warps may have to arrive at meanwhile."""
    return any(isinstance(op, WaitParityOp) for op in kernel.walk())


def kernel_of(frame: Frame, op: gpu.LaunchFuncOp) -> tuple[KernelProgram, gpu.FuncOp]:
    """The kernel that a launch names, and the program that it is part of."""
    name, inner = op.kernel.root_reference.data, op.kernel.nested_references.data[0].data
    module = frame.program.symbols.get(name)
    if not isinstance(module, gpu.ModuleOp):
        raise InterpreterError(op, f"there is no gpu.module @{name}")
    known = frame.program.constants
    if module not in known:
        known[module] = KernelProgram(module)
    kernel = known[module].symbols.get(inner)
    if not isinstance(kernel, gpu.FuncOp) or kernel.kernel is None:
        raise InterpreterError(op, f"there is no kernel @{inner} in @{name}")
    return known[module], kernel


def size_of(frame: Frame, op: Operation, sizes: tuple[SSAValue, SSAValue, SSAValue], what: str) -> Size:
    x, y, z = (int(each) for each in frame.get(sizes))
    if min(x, y, z) < 1:
        raise InterpreterError(op, f"the {what} is {(x, y, z)}, expected positive sizes")
    return x, y, z


def check(op: gpu.LaunchFuncOp, kernel: gpu.FuncOp, launch: Launch) -> None:
    """Raise InterpreterError if the device or the kernel does not allow such a launch."""
    if launch.threads > MOST_THREADS or launch.block[2] > 64:
        raise InterpreterError(op, f"a block of {launch.block} threads is more than {MOST_THREADS}, or than 64 along z")
    if launch.grid[1] > 65535 or launch.grid[2] > 65535:
        raise InterpreterError(op, f"the grid is {launch.grid}, more than 65535 blocks along y or z")
    if not 0 <= launch.dynamic <= MOST_SHARED:
        raise InterpreterError(op, f"a block cannot have {launch.dynamic} bytes of shared memory, only {MOST_SHARED}")
    for what, known, found in (
        ("block", kernel.known_block_size, launch.block),
        ("grid", kernel.known_grid_size, launch.grid),
    ):
        if known is not None and tuple(known.get_values()) != found:
            raise InterpreterError(op, f"the {what} is {found}, the kernel says {tuple(known.get_values())}")
    cluster = kernel.known_cluster_size
    if cluster is not None and any(size % each for size, each in zip(launch.grid, cluster.get_values())):
        raise InterpreterError(op, f"a grid of {launch.grid} blocks is not made of clusters of {cluster.get_values()}")
    if kernel.function_type.inputs.data != tuple(each.type for each in op.arguments):
        wanted = ", ".join(map(str, kernel.function_type.inputs.data))
        raise InterpreterError(op, f"the kernel takes ({wanted}), not ({', '.join(str(x.type) for x in op.arguments)})")


def argument(frame: Frame, launch: Launch, value: SSAValue, memories: dict[int, Memory]) -> Any:
    """A value of the host as the kernel gets it; arrays that share memory share their `Memory`."""
    found = frame[value]
    if not isinstance(value.type, MemRefType):
        return found
    owner: Array = found
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    start = address(owner)
    if start not in memories:
        whole = owner.ravel("K").view(np.uint8)
        memories[start] = Memory(name_of(value), gpu.AddressSpace.Global, whole[np.newaxis], launch.order)
    return global_view(found, memories[start], owner)


def name_of(value: SSAValue) -> str:
    """What a buffer is called in a message."""
    if isinstance(value.owner, memref.GetGlobalOp):
        return f"@{value.owner.name_.root_reference.data}"
    return f"%{value.name_hint}" if value.name_hint else "global memory"


def waits(kernel: gpu.FuncOp) -> bool:
    """Whether threads may wait for a block before theirs: a `while` that reads memory."""
    reads = (memref.LoadOp, memref.AtomicRMWOp, llvm.LoadOp)
    return any(isinstance(inner, reads) for op in kernel.walk() if isinstance(op, scf.WhileOp) for inner in op.walk())


EVALUATE = {gpu.LaunchFuncOp: launch_func}
