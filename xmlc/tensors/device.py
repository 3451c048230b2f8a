"""Where tensors live and programs run."""

from __future__ import annotations

from dataclasses import dataclass

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python.places import user_place

NAMES = ("cpu",)


@dataclass(frozen=True)
class Device:
    """A place that tensors live in and programs run on, by its name."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise CompileError(
                f"there is no device '{self.name}'", place=user_place(), hint=f"the devices are {', '.join(NAMES)}"
            )

    def __str__(self) -> str:
        return self.name


CPU = Device("cpu")


def device_named(device: Device | str | None) -> Device:
    """The device that is meant; the default one for None. Raises CompileError where there is none of that name."""
    return CPU if device is None else Device(device) if isinstance(device, str) else device
