"""A GPU of NVIDIA as a device of tensors: arrays stay in its memory, and every program is compiled for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from xmlc import driver_cuda
from xmlc.backends.cuda.arrays import CUDA, DeviceArray, Seen, seen
from xmlc.backends.cuda.driver import DEFAULT_STREAM
from xmlc.backends.cuda.driver import devices as gpus
from xmlc.compiled_cuda import CudaModule
from xmlc.dialects.diagnostics import CompileError
from xmlc.driver import Settings
from xmlc.tensors.backend import Buffer, HostArray, Runner


class Gpu:
    """One GPU, its memory pool, and its default stream, in whose order everything happens."""

    def __init__(self, number: int):
        """Raises CompileError where there is none of that number: nothing runs elsewhere instead."""
        self.driver = driver_cuda.driver_of(number)
        self.dlpack_device = (CUDA, number)

    def policy(self) -> str:
        return "compile"

    def put(self, array: HostArray) -> DeviceArray:
        return DeviceArray.of(self.driver, array)

    def fetch(self, buffer: Buffer) -> HostArray:
        return array_of(buffer).numpy()

    def adopt(self, value: Any) -> DeviceArray | None:
        """Raises CompileError for an array that is not contiguous."""
        if isinstance(value, DeviceArray):
            return value
        found = self.view(value)
        return None if found is None else DeviceArray.around(self.driver, found)

    def view(self, value: Any) -> Seen | None:
        found = seen(value, self.driver, DEFAULT_STREAM)
        return found if found is not None and found.device == self.driver.device.number else None

    def copied(self, buffer: Buffer) -> DeviceArray:
        source = array_of(buffer)
        made = DeviceArray(self.driver, source.shape, source.dtype)
        if source.nbytes:
            self.driver.copy(made.address, source.address, source.nbytes, DEFAULT_STREAM)
        return made

    def lend(self, buffer: Buffer, stream: Any, version: tuple[int, int] | None) -> Any:
        return array_of(buffer).__dlpack__(stream=stream)

    def compile(self, module: ModuleOp, weights: Mapping[str, HostArray], settings: Settings) -> Runner:
        return driver_cuda.compile_for_gpu(module, weights, settings, self.driver.device.number)

    def run(self, program: Runner, arrays: Sequence[Any]) -> Sequence[DeviceArray]:
        assert isinstance(program, CudaModule)
        return program.on_device(*arrays)

    def synchronize(self) -> None:
        self.driver.synchronize(DEFAULT_STREAM)


def array_of(buffer: Buffer) -> DeviceArray:
    """Raises CompileError for an array of another device."""
    if not isinstance(buffer, DeviceArray):
        raise CompileError(f"expected an array in a GPU's memory, found {type(buffer).__name__}")
    return buffer


def count() -> int:
    """How many GPUs there are; none where the driver or its bindings are not installed."""
    try:
        return len(gpus())
    except CompileError:
        return 0
