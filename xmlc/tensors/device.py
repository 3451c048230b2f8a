"""Where tensors live and programs run: devices by their names, and a table of the kinds that there are.

A new kind is a backend (`backend.py` says what that is) and a row of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import current
from xmlc.options import DEVICE
from xmlc.tensors.backend import Backend
from xmlc.tensors.host import Processor, Reference


@dataclass(frozen=True)
class Kind:
    """A kind of device."""

    backend: Callable[[int], Backend]
    """The backend of one of them, by its number. Raises CompileError where it is not there."""
    target: str
    """What programs are compiled for: see `xmlc list targets`."""
    count: Callable[[], int] | None = None
    """How many there are; None where there is always one, which then has no number."""
    memory: int = 1
    """DLPack's number for its memory."""


def gpu(number: int) -> Backend:
    from xmlc.tensors.gpu import Gpu

    return Gpu(number)


def gpus() -> int:
    from xmlc.tensors.gpu import count

    return count()


KINDS: dict[str, Kind] = {
    "cpu": Kind(lambda _: Processor(), "cpu"),
    "cuda": Kind(gpu, "cuda", gpus, memory=2),
    "reference": Kind(lambda _: Reference(), "cpu"),
}
"""Name -> a kind of device; several of one kind are told apart by numbers, `cuda` being `cuda:0`."""


class Device:
    """A place that tensors live in and programs run on, by its name; those of one name are equal."""

    __slots__ = ("kind", "number")

    def __init__(self, name: str):
        self.kind, _, number = name.partition(":")
        kind = KINDS.get(self.kind)
        if kind is None or not (number.isdecimal() if kind.count and ":" in name else not number):
            raise CompileError(
                f"there is no device '{name}'",
                place=user_place(),
                hint=f"this machine has {', '.join(map(str, devices()))}",
            )
        self.number = int(number or 0)

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.number}" if KINDS[self.kind].count else self.kind

    @property
    def backend(self) -> Backend:
        """What does the work. Raises CompileError where the device is not there."""
        return backend_of(self.kind, self.number)

    def synchronize(self) -> None:
        """Wait until all that was asked of the device is done."""
        self.backend.synchronize()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and (self.kind, self.number) == (other.kind, other.number)

    def __hash__(self) -> int:
        return hash((self.kind, self.number))

    def __repr__(self) -> str:
        return f"Device({self.name!r})"

    def __str__(self) -> str:
        return self.name


@cache
def backend_of(kind: str, number: int) -> Backend:
    """The one backend of a device in this process."""
    return KINDS[kind].backend(number)


def devices() -> list[Device]:
    """The devices that this machine has."""
    return [
        Device(name if kind.count is None else f"{name}:{number}")
        for name, kind in KINDS.items()
        for number in range(1 if kind.count is None else kind.count())
    ]


CPU = Device("cpu")


def device_named(device: Device | str | None) -> Device:
    """The device that is meant; for None the one that XMLC_DEVICE names. Raises CompileError where there is none."""
    found = device if isinstance(device, Device) else Device(device or DEVICE.get())
    _ = found.backend  # what is not there is said now, not when the first value is needed
    return found


def device_of(value: Any) -> Device | None:
    """The device that a tensor is on, or that an array of another library is in the memory of; None for the host's."""
    if type(value) is np.ndarray:
        return None
    if isinstance(found := getattr(value, "device", None), Device):
        return found
    if not hasattr(value, "__dlpack_device__"):
        return Device("cuda") if hasattr(value, "__cuda_array_interface__") else None
    memory, number = value.__dlpack_device__()
    return device_with(int(memory), number)


@cache
def device_with(memory: int, number: int) -> Device | None:
    """The device that DLPack names so; None for the host."""
    found = [name for name, kind in KINDS.items() if kind.count is not None and kind.memory == memory]
    return Device(f"{found[0]}:{number}") if found else None


TRACED_FOR: ContextVar[Device | None] = ContextVar("xmlc device of the function being traced", default=None)
"""The device that the function being traced will run on."""


def expect_one(what: str, found: Sequence[Device], hint: str | None = None) -> Device:
    """The device of several tensors. Raises CompileError where they are on more than one."""
    for other in found[1:]:
        if other != found[0]:
            raise CompileError(
                f"device mismatch: {what} is given tensors on {found[0]} and {other}",
                place=user_place(),
                hint=hint or f"move one of them: x.to('{found[0]}')",
            )
    return found[0]


def expect_here(what: str, device: Device | str | None) -> None:
    """Raises CompileError where something in a function that is being traced is to be on another device than that."""
    here = TRACED_FOR.get()
    if device is None or here is None or current() is None:
        return
    found = device if isinstance(device, Device) else Device(device)
    if found != here:
        raise CompileError(
            f"device mismatch: {what} is on {found}, in a function that is compiled for {here}",
            place=user_place(),
            hint=f"move it, x.to('{here}'), or compile the function for {found}",
        )
