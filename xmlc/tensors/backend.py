"""What tensors ask of a device: memory, copies to and from it, DLPack, programs. A row of `device.KINDS` offers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

from xmlc.driver import Settings

HostArray = NDArray[Any]


class Buffer(Protocol):
    """An array in the memory of a device: NumPy's where that is the host's, else the backend's own."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...


Runner = Callable[..., Sequence[Any]]
"""A program as a function of arrays of the host or of the device. Results are where the arrays are."""


class Backend(Protocol):
    """One device of a kind. Arrays that it gives are contiguous; nobody writes to one that has been given."""

    @property
    def dlpack_device(self) -> tuple[int, int]:
        """The device as DLPack names it: the kind of memory, and which of them."""
        ...

    def policy(self) -> str:
        """How programs of tensors run: `compile`, `interpret`, or `auto`, first the one and then the other."""
        ...

    def put(self, array: HostArray) -> Buffer:
        """An array of the host, to which nobody writes from now on, in the memory of the device."""
        ...

    def fetch(self, buffer: Buffer) -> HostArray:
        """The elements in the host's memory, which may be the device's: they are not to be written to."""
        ...

    def adopt(self, value: Any) -> Buffer | None:
        """An array of another library that is in the device's memory, without a copy; None for one that is not."""
        ...

    def view(self, value: Any) -> Buffer | None:
        """The same for as long as a call takes: what `compile` gives takes it as an argument."""
        ...

    def copied(self, buffer: Buffer) -> Buffer:
        """Another array of the same elements, in memory of its own."""
        ...

    def lend(self, buffer: Buffer, stream: Any, version: tuple[int, int] | None) -> Any:
        """A DLPack capsule of the same memory."""
        ...

    def compile(self, module: ModuleOp, weights: Mapping[str, HostArray], settings: Settings) -> Runner:
        """The entry function of a module, which is consumed, as a function. Raises CompileError."""
        ...

    def run(self, program: Runner, arrays: Sequence[Any]) -> Sequence[Buffer]:
        """The results of a program that `compile` gave, in the memory of the device wherever the arrays are."""
        ...

    def synchronize(self) -> None:
        """Wait until all that was asked of the device is done."""
        ...
