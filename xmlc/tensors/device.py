"""Where tensors live and programs run."""

from __future__ import annotations

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python.places import user_place

NAMES = ("cpu",)


class Device:
    """A place that tensors live in and programs run on, by its name; those of one name are equal."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        if name not in NAMES:
            raise CompileError(
                f"there is no device '{name}'", place=user_place(), hint=f"the devices are {', '.join(NAMES)}"
            )
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Device({self.name!r})"

    def __str__(self) -> str:
        return self.name


CPU = Device("cpu")


def device_named(device: Device | str | None) -> Device:
    """The device that is meant; the default one for None. Raises CompileError where there is none of that name."""
    return CPU if device is None else Device(device) if isinstance(device, str) else device
