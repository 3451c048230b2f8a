"""Runs a `LaunchProgram`: packs the arguments of launches once, then launches, copies, reads and decides.

What is the same in every call is made when the program is loaded; a call only writes the addresses that it was given
into the packed arguments, where the launches look for them.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xmlc.backends.cuda.driver import DEFAULT_STREAM, CudaError, Driver, Handle
from xmlc.backends.cuda.host_arithmetic import DTYPES, Number, compute
from xmlc.backends.cuda.program import (
    Address,
    Allocated,
    Argument,
    Call,
    Compute,
    Constant,
    Copy,
    For,
    Given,
    If,
    Launch,
    LaunchProgram,
    Move,
    Read,
    Register,
    Scalar,
    Step,
    While,
    Write,
)
from xmlc.dialects.diagnostics import CompileError

CTYPES: dict[str, Any] = {
    "pointer": ctypes.c_uint64,
    "index": ctypes.c_int64,
    "i64": ctypes.c_int64,
    "i32": ctypes.c_int32,
    "i16": ctypes.c_int16,
    "i8": ctypes.c_int8,
    "i1": ctypes.c_uint8,
    "f64": ctypes.c_double,
    "f32": ctypes.c_float,
}
"""Element type of an argument -> how it is packed; bf16 and f16 are packed as their bits."""


@dataclass
class PackedLaunch:
    """A launch ready to go: where its arguments are, and which of them the call, or a loop, has yet to say."""

    step: Launch
    function: Handle
    cells: list[Any]
    """The arguments as the kernel reads them."""
    addresses: Any
    """Where the cells are: what the driver is given."""
    where: int
    late: list[tuple[Any, Argument]]
    """Cells whose values only the run knows: an offset or a number is in a register."""
    sizes: tuple[tuple[int, ...], tuple[int, ...], int] | None
    """Grid, block and dynamic shared memory, where they are known."""


class Execution:
    """A program on a device: its kernels, its own buffers, its launches."""

    def __init__(
        self,
        program: LaunchProgram,
        code: bytes,
        driver: Driver,
        functions: Mapping[str, Callable[..., None]] | None = None,
        *,
        wait: bool = False,
    ):
        """Load the kernels in `code`. `functions` are those of the host that the program calls.

        With `wait` the host waits for each launch, so that an error is that launch's.
        """
        self.program = program
        self.driver = driver
        self.wait = wait
        self.host_functions = functions or {}
        self.module = driver.load(code) if program.launches() else None
        self.kernels = {name: driver.function(self.module, name, size) for name, size in shared_sizes(program).items()}
        self.bases: list[int] = [0] * len(program.buffers)
        """Where each buffer is."""
        self.given: list[list[int]] = []
        """For each argument of the entry point the buffers that it is."""
        self.users: list[list[tuple[Any, int]]] = [[] for _ in program.buffers]
        """For each buffer the cells that hold an address in it, and the bytes from its start."""
        self.packed: dict[int, PackedLaunch] = {}
        """By the identity of the step, which the program keeps alive."""
        for step in program.launches():
            self.pack(step)
        for number, buffer in enumerate(program.buffers):
            match buffer:
                case Given(position):
                    while len(self.given) <= position:
                        self.given.append([])
                    self.given[position].append(number)
                case Allocated(size):
                    self.place(number, driver.allocate(size, DEFAULT_STREAM))
                case Constant():
                    data = np.frombuffer(buffer.bytes, np.uint8)
                    self.place(number, driver.allocate(data.nbytes, DEFAULT_STREAM))
                    driver.copy_in(self.bases[number], data, DEFAULT_STREAM)
        self.straight = program.steps if program.is_straight else None
        self.ready: dict[Handle, Callable[[], None]] = {}
        """By stream: what `run` does on it."""

    def pack(self, step: Launch) -> None:
        """Make the arguments of a launch."""
        cells: list[Any] = []
        late: list[tuple[Any, Argument]] = []
        for argument in step.arguments:
            cell = cell_of(argument.element)
            cells.append(cell)
            match argument.value:
                case Address(buffer, int(offset)):
                    self.users[buffer].append((cell, offset))
                case Address() | Register():
                    late.append((cell, argument))
                case number:
                    fill(cell, number, argument.element)
        addresses = (ctypes.c_void_p * max(len(cells), 1))(*(ctypes.addressof(cell) for cell in cells))
        known = all(isinstance(each, int) for each in (*step.grid, *step.block, step.shared))
        sizes: Any = (self.grid_of(step), step.block, step.shared) if known else None
        self.packed[id(step)] = PackedLaunch(
            step, self.kernels[step.kernel], cells, addresses, ctypes.addressof(addresses), late, sizes
        )

    def grid_of(self, step: Launch) -> tuple[Any, ...]:
        """The grid, cut to what the device runs at once where blocks wait for each other. Raises CompileError."""
        if not step.together:
            return step.grid
        (blocks, _, _), (threads, _, _) = step.grid, step.block
        assert isinstance(blocks, int) and isinstance(threads, int) and isinstance(step.shared, int)
        most = self.driver.blocks_at_once(self.kernels[step.kernel], threads, step.shared)
        if most < step.together:
            raise CompileError(
                f"the kernel @{step.kernel} needs {step.together} blocks at once, but this device runs {most} of it",
                hint="compile for a device without clusters: --target=cuda:sm_80",
            )
        return (min(blocks, most // step.together * step.together), 1, 1)

    def place(self, buffer: int, address: int) -> None:
        """Say where a buffer is."""
        if self.bases[buffer] != address:
            self.bases[buffer] = address
            for cell, offset in self.users[buffer]:
                cell.value = address + offset

    def give(self, addresses: Sequence[int]) -> None:
        """Say where the arguments of the entry point are."""
        for buffers, address in zip(self.given, addresses):
            for buffer in buffers:
                self.place(buffer, address)

    def run(self, stream: Handle) -> None:
        """Do everything once, in the order of a stream. Launches have not ended when this returns."""
        self.ready_on(stream)()

    def ready_on(self, stream: Handle) -> Callable[[], None]:
        """What `run` does on a stream, as a function with as little as can be beside the driver's launches."""
        if stream not in self.ready:
            self.ready[stream] = self.made_ready(stream)
        return self.ready[stream]

    def made_ready(self, stream: Handle) -> Callable[[], None]:
        if self.straight is None:
            return lambda: self.steps(self.program.steps, {}, stream)
        return self.in_turn([(step, self.action(step, stream)) for step in self.straight], stream)

    def in_turn(self, actions: Sequence[tuple[Step, Callable[[], None]]], stream: Handle) -> Callable[[], None]:
        """The actions of steps one after the other; the error of a launch says which one it was."""
        if self.wait:
            actions = [each for step, action in actions for each in ((step, action), (step, self.waiting(stream)))]

        def run() -> None:
            step: Step | None = None
            try:
                for step, action in actions:  # noqa: B007  # the one that fails is the last that was begun
                    action()
            except CudaError as error:
                raise told(error, step) if isinstance(step, Launch) else error from error

        return run

    def waiting(self, stream: Handle) -> Callable[[], None]:
        return lambda: self.driver.synchronize(stream)

    def action(self, step: Step, stream: Handle) -> Callable[[], None]:
        packed = self.packed.get(id(step))
        if packed is None or packed.sizes is None or packed.late:
            return lambda: self.step(step, {}, stream)
        return self.driver.prepared(
            packed.function, *packed.sizes, stream, packed.where, together=bool(packed.step.together)
        )

    def steps(self, steps: Sequence[Step], registers: dict[int, Number], stream: Handle) -> None:
        for step in steps:
            self.step(step, registers, stream)

    def step(self, step: Step, registers: dict[int, Number], stream: Handle) -> None:
        def number(value: Scalar) -> Any:
            return registers[value.number] if isinstance(value, Register) else value

        def address(where: Address) -> int:
            return self.bases[where.buffer] + int(number(where.offset))

        match step:
            case Launch():
                self.launch(step, number, address, stream)
            case Copy():
                self.driver.copy(address(step.target), address(step.source), step.size, stream)
            case Read():
                cell = np.empty(1, DTYPES[step.element])
                self.driver.copy_out(cell, address(step.address), stream)
                self.driver.synchronize(stream)
                registers[step.register.number] = cell[0].item() if cell.dtype.kind in "iub" else float(cell[0])
            case Write():
                value = np.array([number(step.value)]).astype(DTYPES[step.element])
                self.driver.copy_in(address(step.address), value, stream)
            case Compute():
                operands = [number(each) for each in step.operands]
                registers[step.register.number] = compute(step.op, step.predicate, operands, step.given, step.result)
            case Call():
                self.host_functions[step.function](*map(number, step.operands))
            case Move():
                values = [number(each) for each in step.values]
                registers.update({register.number: value for register, value in zip(step.registers, values)})
            case If():
                self.steps(step.then if number(step.condition) else step.otherwise, registers, stream)
            case For():
                for index in range(*(int(number(each)) for each in (step.low, step.high, step.step))):
                    registers[step.register.number] = index
                    self.steps(step.body, registers, stream)
            case While():
                self.steps(step.before, registers, stream)
                while number(step.condition):
                    self.steps(step.body, registers, stream)
                    self.steps(step.before, registers, stream)

    def launch(
        self, step: Launch, number: Callable[[Scalar], Any], address: Callable[[Address], int], stream: Handle
    ) -> None:
        """A launch whose offsets, numbers or sizes may be in registers."""
        packed = self.packed[id(step)]
        for cell, argument in packed.late:
            value = argument.value
            fill(cell, address(value) if isinstance(value, Address) else number(value), argument.element)
        grid, block, shared = packed.sizes or (
            tuple(int(number(each)) for each in step.grid),
            tuple(int(number(each)) for each in step.block),
            int(number(step.shared)),
        )
        together = bool(step.together)
        try:
            self.driver.prepared(packed.function, grid, block, shared, stream, packed.where, together=together)()
            if self.wait:
                self.driver.synchronize(stream)
        except CudaError as error:
            raise told(error, step) from error

    def bound(self, stream: Handle) -> Callable[[], None]:
        """What `run` does, for the present addresses, which have to stay.

        It is one CUDA graph, unless the host must decide on the way or waits for each launch: a graph of one kernel
        costs the host half of what launching the kernel does.
        """
        if self.straight is None or self.wait:
            return self.ready_on(stream)
        graph = self.driver.captured(lambda capturing: self.made_ready(capturing)())
        weakref.finalize(self, self.driver.free_graph, graph).atexit = False
        return self.driver.replaying(graph, stream, f"running one of the kernels {kernel_names(self.program)}")

    def release(self, stream: Handle) -> None:
        """Free the program's own buffers."""
        for number, buffer in enumerate(self.program.buffers):
            if not isinstance(buffer, Given) and self.bases[number]:
                self.driver.free(self.bases[number], stream)
                self.bases[number] = 0


def kernel_names(program: LaunchProgram) -> str:
    """The kernels of a program, for a message."""
    return ", ".join(dict.fromkeys(f"@{step.kernel}" for step in program.launches()))


def shared_sizes(program: LaunchProgram) -> dict[str, int]:
    """The most dynamic shared memory that each kernel is launched with."""
    sizes: dict[str, int] = {}
    for step in program.launches():
        size = step.shared if isinstance(step.shared, int) else 0
        sizes[step.kernel] = max(sizes.get(step.kernel, 0), size)
    return sizes


def cell_of(element: str) -> Any:
    """A place for an argument of a type."""
    return CTYPES.get(element, ctypes.c_uint16)()


def fill(cell: Any, number: Number, element: str) -> None:
    """Put a number in its place."""
    if element in CTYPES:
        cell.value = number if isinstance(number, float) or not element.startswith("f") else float(number)
    else:
        cell.value = int(np.array(number).astype(DTYPES[element]).view(np.uint16))


def told(error: CudaError, step: Launch) -> CudaError:
    """The error of a launch with the kernel's name and where the user wrote what it computes."""
    written = f", which is for {step.place}" if step.place else ""
    sizes = f"{step.grid} blocks of {step.block} threads"
    return CudaError(error.code, f"running the kernel @{step.kernel}{written}, with {sizes}")
