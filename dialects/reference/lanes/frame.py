"""A launch of a kernel, the threads that go through it together, and the values that they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import MemRefType, VectorType
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects import gpu
from xmlc.dialects.reference.interpreter import Array, Evaluate, Frame, InterpreterError, Program, row_of
from xmlc.dialects.reference.lanes.races import Order

Size = tuple[int, int, int]
"""x, y, z"""

FILES = (
    "async_copy",
    "bulk_copy",
    "control",
    "matrix",
    "mbarrier",
    "memory",
    "pointers",
    "position",
    "synchronization",
    "vector",
    "warp",
    "wgmma",
)
"""The files of this folder with rows: op -> f(frame, op). They come before those of the host's interpreter."""


@cache
def rows() -> Mapping[type[Operation], Evaluate]:
    """What differs in a kernel from what an op means on one thread."""
    found: dict[type[Operation], Evaluate] = {}
    for file in FILES:
        found |= import_module(f"{__package__}.{file}").EVALUATE
    return found


class KernelProgram(Program):
    """The functions and the shared memory of a gpu.module."""

    def __init__(self, module: gpu.ModuleOp):
        super().__init__(module, {})

    def row(self, op: type[Operation]) -> Evaluate | None:
        return rows().get(op) or row_of(op)


def position(number: Any, size: Size) -> tuple[Any, Any, Any]:
    """(x, y, z) of what is counted with x fastest."""
    return number % size[0], number // size[0] % size[1], number // (size[0] * size[1])


class Launch:
    """One launch: its sizes, and what its threads have done that others must not get in the way of."""

    def __init__(self, grid: Size, block: Size, dynamic: int = 0):
        self.grid = grid
        self.block = block
        self.dynamic = dynamic
        """Bytes of dynamic shared memory."""
        self.blocks = grid[0] * grid[1] * grid[2]
        self.threads = block[0] * block[1] * block[2]
        """Threads of a block."""
        self.order = Order(self.blocks, self.threads)
        self.global_memories: Mapping[int, Any] = {}
        """The arrays that the kernel was given, by their addresses on the host."""

    def name(self, thread: int) -> str:
        """A thread, counted over the whole grid, for a message."""
        block, inside = divmod(int(thread), self.threads)
        return f"thread {position(inside, self.block)} of block {position(block, self.grid)}"


class Group:
    """Blocks that are run together: `count` of them from block `first` on, with the shared memory of each."""

    def __init__(self, launch: Launch, first: int, count: int):
        self.launch = launch
        self.first = first
        self.count = count
        self.memories: dict[Operation | None, Any] = {}
        """Shared memory by the op that names it, None for the dynamic one."""
        self.pointed: list[Any] = []
        """The memories into which pointers have been made."""
        self.windows: dict[int, int] = {}
        """Where each of them that is shared memory begins, for pointers: by its number in `pointed`."""
        self.state: dict[str, Any] = {}
        """What rows keep of the group's copies and mbarriers from one op to the next."""


class Threads:
    """The threads that a frame evaluates: for each lane its number in the group, ascending."""

    def __init__(self, group: Group, number: Array):
        self.group = group
        self.number = number
        self.count = len(number)
        self.thread = number % group.launch.threads
        """The number in the block, for each lane."""
        self.block = number // group.launch.threads
        """The number of the block in the group, for each lane."""

    @property
    def launch(self) -> Launch:
        return self.group.launch

    @property
    def global_number(self) -> Array:
        """The number in the grid, for each lane."""
        return self.number + self.group.first * self.launch.threads

    def pick(self, mask: Array) -> Threads:
        return Threads(self.group, self.number[mask])

    def name(self, lane: Any) -> str:
        """One of them, by its lane, for a message."""
        return self.launch.name(self.global_number[int(lane)])


def all_threads(group: Group) -> Threads:
    return Threads(group, np.arange(group.count * group.launch.threads))


class ThreadError(InterpreterError):
    """A kernel does what has no meaning: the message names the op, the kernel and a thread."""


def lane_shape(type: Attribute) -> tuple[int, ...]:
    """The shape of one lane's value: a scalar has none."""
    return type.get_shape() if isinstance(type, VectorType) else ()


def rank(type: Attribute) -> int:
    """How many axes one lane's value has."""
    return len(lane_shape(type))


def varies(value: Any, type: Attribute) -> bool:
    """Whether there is a value for each lane."""
    return np.ndim(value) > rank(type)


def pick(value: Any, type: Attribute, mask: Array) -> Any:
    """The values of some lanes."""
    if isinstance(type, MemRefType):
        return value.pick(mask)
    return value[mask] if varies(value, type) else value


def spread(value: Any, type: Attribute, count: int) -> Array:
    """A value for each of `count` lanes."""
    found = np.asarray(value)
    return found if varies(value, type) else np.broadcast_to(found, (count, *found.shape))


class PickedValues(dict[SSAValue, Any]):
    """The values that some lanes of a frame see, picked when they are first asked for."""

    def __init__(self, frame: ThreadFrame, mask: Array):
        super().__init__()
        self.frame = frame
        self.mask = mask

    def __missing__(self, value: SSAValue) -> Any:
        found = self[value] = pick(self.frame.values[value], value.type, self.mask)
        return found


class ThreadFrame(Frame):
    """The values of the threads that go through a kernel together."""

    def __init__(self, program: KernelProgram, threads: Threads, values: dict[SSAValue, Any] | None = None):
        super().__init__(program, values)
        self.threads = threads

    def set(self, op: Operation, *values: Any) -> None:
        assert len(values) == len(op.results)
        for result, value in zip(op.results, values):
            self.values[result] = value

    def picked(self, mask: Array) -> ThreadFrame:
        """The frame of some of the lanes: those of a mask, or of a list, where one may come more than once."""
        assert isinstance(self.program, KernelProgram)
        return ThreadFrame(self.program, self.threads.pick(mask), PickedValues(self, mask))

    def spread(self, value: SSAValue) -> Array:
        """A value for each lane."""
        return spread(self.values[value], value.type, self.threads.count)

    def same(self, op: Operation, value: SSAValue) -> Any:
        """The one value that all lanes have. Raises ThreadError where they differ."""
        found = self.values[value]
        if not varies(found, value.type):
            return found
        if not np.all(found == found[0]):
            other = int(np.flatnonzero(found != found[0])[0])
            raise ThreadError(
                op,
                f"threads differ in what must be one number: {found[0]} in {self.threads.name(0)}, "
                f"{found[other]} in {self.threads.name(other)}",
            )
        return found[0]

    def call(self, op: Operation, name: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
        function = self.program.symbols.get(name)
        if not isinstance(function, gpu.FuncOp | func.FuncOp) or not function.body.blocks:
            raise InterpreterError(op, f"there is no function @{name} on the device")
        assert isinstance(self.program, KernelProgram)
        return ThreadFrame(self.program, self.threads).run(function.body, *arguments)
