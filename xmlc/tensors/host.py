"""The processor as a device of tensors, and the reference beside it, which only ever interprets. Arrays are NumPy's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import Settings, compile_module
from xmlc.options import TENSORS
from xmlc.tensors.backend import Buffer, HostArray, Runner

HOST_MEMORY = (1, 0)
"""DLPack's name for the memory of the host."""


class Processor:
    """Machine code of the processor; programs that are run seldom are interpreted."""

    dlpack_device = HOST_MEMORY

    def policy(self) -> str:
        return TENSORS.get()

    def put(self, array: HostArray) -> HostArray:
        return array

    def fetch(self, buffer: Buffer) -> HostArray:
        return array_of(buffer)

    def adopt(self, value: Any) -> HostArray | None:
        if isinstance(value, np.ndarray | np.generic):
            return np.asarray(value)  # pyright: ignore
        on_host = hasattr(value, "__dlpack__") and tuple(map(int, value.__dlpack_device__())) == HOST_MEMORY
        return np.from_dlpack(value) if on_host else None

    def view(self, value: Any) -> HostArray | None:
        return self.adopt(value)

    def copied(self, buffer: Buffer) -> HostArray:
        return array_of(buffer).copy()

    def lend(self, buffer: Buffer, stream: Any, version: tuple[int, int] | None) -> Any:
        array = array_of(buffer)
        array = array if array.flags.writeable else array.copy()  # a read-only one is a view with strides of 0
        return array.__dlpack__(stream=stream, max_version=version)

    def compile(self, module: ModuleOp, weights: Mapping[str, HostArray], settings: Settings) -> Runner:
        return compile_module(module, weights, settings)

    def run(self, program: Runner, arrays: Sequence[Any]) -> Sequence[HostArray]:
        return program(*arrays)

    def synchronize(self) -> None:
        """Programs have ended when their results are there."""


class Reference(Processor):
    """The definition of `ml` in NumPy: slow, and what every other device is to agree with."""

    def policy(self) -> str:
        return "interpret"

    def compile(self, module: ModuleOp, weights: Mapping[str, HostArray], settings: Settings) -> Runner:
        return Interpreted(module, weights)


class Interpreted:
    """The entry function of a module, interpreted in every call."""

    def __init__(self, module: ModuleOp, weights: Mapping[str, HostArray]):
        self.module, self.weights = module, tuple(weights.values())

    def __call__(self, *arrays: HostArray) -> tuple[HostArray, ...]:
        return interpret(self.module, "main", (*arrays, *self.weights))


def array_of(buffer: Buffer) -> HostArray:
    """What is in the host's memory is NumPy's. Raises CompileError for an array of another device."""
    if not isinstance(buffer, np.ndarray):
        raise CompileError(f"expected an array in the host's memory, found {type(buffer).__name__}")
    return buffer  # pyright: ignore[reportUnknownVariableType]
