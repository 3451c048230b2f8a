"""What is known of kernels on a device: the time of each schedule that was tried, in the persistent cache.

An entry is of one kernel on one kind of device: by the digest of what the kernel computes, the device's name, its
driver's version and ours. It is written after each time that is taken.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ModuleOp

from xmlc.backends.cuda.driver import Device
from xmlc.cache import Cache
from xmlc.cache_key import compiler_digest
from xmlc.installed import version_of
from xmlc.options import CACHE
from xmlc.tuning.kernels import Kernel, Schedules, apply, kernels_of

DEFAULT: Schedules = ()
"""What the cost model chooses: nothing is stated."""


@dataclass
class Times:
    """Seconds by schedule; None where it was refused: it gave another result, or the device could not run it."""

    seconds: dict[Schedules, float | None] = field(default_factory=dict[Schedules, "float | None"])
    complete: bool = False
    """Whether every schedule that may be fast was tried."""

    @property
    def best(self) -> Schedules:
        """The fastest; the cost model's where none is known."""
        right = {schedules: each for schedules, each in self.seconds.items() if each is not None}
        return min(right, key=lambda schedules: right[schedules]) if right else DEFAULT


class Known:
    """The times of kernels on one device. Without a cache they last as long as this object."""

    def __init__(self, device: Device, cache: Cache | None = None):
        self.device = device
        self.cache = cache if cache is not None else Cache() if CACHE.get() else None
        self.found: dict[str, Times] = {}

    def key(self, kernel: Kernel) -> str:
        fields = {
            "tuned": kernel.identity,
            "device": f"{self.device.name}/{self.device.processor}".replace(" ", "_"),
            "driver": self.device.driver,
            "compiler": compiler_digest(),
            "llvmlite": version_of("llvmlite"),
        }
        return " ".join(f"{name}={value}" for name, value in fields.items())

    def times(self, kernel: Kernel) -> Times:
        """What is known of a kernel; to be changed only with `keep`."""
        if kernel.identity not in self.found:
            data = self.cache.get(self.key(kernel)) if self.cache else None
            self.found[kernel.identity] = Times() if data is None else read(data)
        return self.found[kernel.identity]

    def keep(self, kernel: Kernel) -> None:
        """Store what is known of a kernel."""
        if self.cache:
            self.cache.put(self.key(kernel), written(self.times(kernel)))

    def state_schedules(self, module: ModuleOp) -> None:
        """Have the kernels of a program at the level `linalg` state the fastest schedules that are known."""
        for kernel in kernels_of(module):
            apply(kernel.function, self.times(kernel).best)


def written(times: Times) -> bytes:
    rows = [[schedules, seconds] for schedules, seconds in times.seconds.items()]
    return json.dumps({"complete": times.complete, "times": rows}).encode()


def read(data: bytes) -> Times:
    found = json.loads(data)
    return Times({schedules_of(schedules): seconds for schedules, seconds in found["times"]}, found["complete"])


def schedules_of(made: object) -> Schedules:
    """What JSON has as lists, as the tuples that it was."""
    return tuple(schedules_of(each) for each in made) if isinstance(made, list) else made  # pyright: ignore
