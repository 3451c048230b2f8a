"""A device that is not there: memory of the host, and kernels run by the GPU interpreter.

What the runtime gives the driver (addresses, packed arguments, sizes) is used as a driver would use it.
"""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import MemRefType, ModuleOp

from xmlc import driver_cuda
from xmlc.backends.cuda.driver import Array, CudaError, Device
from xmlc.backends.cuda.execute import cell_of
from xmlc.backends.cuda.host_arithmetic import DTYPES
from xmlc.backends.cuda.host_steps import element_of
from xmlc.dialects import gpu
from xmlc.dialects.reference.gpu import run_kernel
from xmlc.dialects.reference.interpreter import dtype_of
from xmlc.dialects.reference.lanes.frame import KernelProgram, Launch
from xmlc.dialects.reference.lanes.memory import Memory, View, contiguous
from xmlc.tensors import gpu as tensors_of_gpu
from xmlc.tensors.device import backend_of
from xmlc.tensors.evaluate import program_of

ALIGNMENT = 256


class InterpretedDriver:
    """The driver of a device whose kernels are those of a module at the level `gpu`."""

    device = Device(0, "interpreter", (9, 0), 1 << 30, 1)

    def __init__(self, module: ModuleOp, memory: int = 1 << 30):
        """`memory` is how many bytes can be allocated."""
        kernels = next((op for op in module.ops if isinstance(op, gpu.ModuleOp)), gpu.ModuleOp("kernels"))
        self.program = KernelProgram(kernels)
        self.memory = memory
        self.blocks: dict[int, Array] = {}
        self.launched: list[str] = []
        self.recorded: list[Callable[[], None]] | None = None
        self.synchronized = 0
        self.most_blocks = 1 << 10
        """Blocks that it runs at the same time."""

    def load(self, code: bytes) -> Any:
        return self.program

    def use(self) -> None:
        pass

    def function(self, module: Any, name: str, shared: int) -> Any:
        return module, module.symbols[name]

    def allocate(self, size: int, stream: Any) -> int:
        if size > self.memory:
            raise CudaError("CUDA_ERROR_OUT_OF_MEMORY", f"allocating {size} B")
        self.memory -= size
        block = np.full(size + ALIGNMENT, 0xA5, np.uint8)
        block = block[-block.ctypes.data % ALIGNMENT :][: max(size, 1)]
        self.blocks[block.ctypes.data] = block
        return block.ctypes.data

    def free(self, address: int, stream: Any) -> None:
        self.memory += self.blocks.pop(address).nbytes

    def bytes(self, address: int, size: int) -> Array:
        start, block = self.block(address)
        assert address + size <= start + block.nbytes, "a copy reaches out of its block"
        return block[address - start :][:size]

    def block(self, address: int) -> tuple[int, Array]:
        starts = sorted(self.blocks)
        start = starts[bisect_right(starts, address) - 1]
        return start, self.blocks[start]

    def host_array(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return np.empty(shape, dtype)

    def copy_in(self, address: int, array: Array, stream: Any) -> None:
        self.bytes(address, array.nbytes)[...] = array.reshape(-1).view(np.uint8)

    def copy_out(self, array: Array, address: int, stream: Any) -> None:
        array.reshape(-1).view(np.uint8)[...] = self.bytes(address, array.nbytes)

    def copy(self, target: int, source: int, size: int, stream: Any) -> None:
        def act() -> None:
            self.bytes(target, size)[...] = self.bytes(source, size)

        self.act_or_record(act)

    def act_or_record(self, action: Callable[[], None]) -> None:
        if self.recorded is None:
            action()
        else:
            self.recorded.append(action)

    def launch(
        self, function: Any, grid: Sequence[int], block: Sequence[int], shared: int, stream: Any, arguments: int
    ) -> None:
        program, function = function
        self.launched.append(function.sym_name.data)
        launch = Launch(tuple(grid), tuple(block), shared)  # pyright: ignore[reportArgumentType]
        kinds = function.function_type.inputs.data
        addresses = (ctypes.c_void_p * len(kinds)).from_address(arguments) if kinds else ()
        memories: dict[int, Memory] = {}
        given = [self.argument(kind, address, launch, memories) for kind, address in zip(kinds, addresses)]
        launch.global_memories = memories
        with np.errstate(all="ignore"):
            run_kernel(program, function, launch, given)

    def argument(self, kind: Any, address: int, launch: Launch, memories: dict[int, Memory]) -> Any:
        """What a kernel is given, read from where the driver is told that it is."""
        if not isinstance(kind, MemRefType):
            element = element_of(kind)
            cell = type(cell_of(element)).from_address(address)
            return np.frombuffer(bytes(cell), DTYPES[element])[0]
        where = ctypes.c_uint64.from_address(address).value
        start, block = self.block(where)
        if start not in memories:
            memories[start] = Memory("global memory", gpu.AddressSpace.Global, block[np.newaxis], launch.order)
        sizes: tuple[int, ...] = kind.get_shape()
        return View(memories[start], dtype_of(kind), where - start, sizes, contiguous(sizes))

    def blocks_at_once(self, function: Any, threads: int, shared: int) -> int:
        return self.most_blocks

    def prepared(
        self,
        function: Any,
        grid: Sequence[int],
        block: Sequence[int],
        shared: int,
        stream: Any,
        arguments: int,
        *,
        together: bool = False,
    ) -> Callable[[], None]:
        assert not together or prod(grid) <= self.most_blocks

        return lambda: self.act_or_record(lambda: self.launch(function, grid, block, shared, stream, arguments))

    def synchronize(self, stream: Any) -> None:
        self.synchronized += 1

    def owner(self, address: int) -> int | None:
        return 0

    def captured(self, run: Callable[[Any], None]) -> Any:
        self.recorded = []
        run(7)
        made, self.recorded = self.recorded, None
        return made

    def replaying(self, graph: Any, stream: Any, doing: str) -> Callable[[], None]:
        def replay() -> None:
            for action in graph:
                action()

        return replay

    def free_graph(self, graph: Any) -> None:
        graph.clear()


def in_place_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> InterpretedDriver:
    """Make `cuda` an interpreted device, which knows the kernels of everything that is compiled for it."""
    made = InterpretedDriver(ModuleOp([]))

    def code(module: ModuleOp, *_: Any) -> bytes:
        kernels = next((op for op in module.clone().ops if isinstance(op, gpu.ModuleOp)), gpu.ModuleOp("kernels"))
        made.program = KernelProgram(kernels)
        return b"kernels"

    monkeypatch.setattr(driver_cuda, "driver_of", lambda number: made)
    monkeypatch.setattr(driver_cuda, "device_code", code)
    monkeypatch.setattr(tensors_of_gpu, "gpus", lambda: [made.device])
    monkeypatch.setenv("XMLC_CACHE", "0")
    backend_of.cache_clear()
    program_of.cache_clear()
    return made
