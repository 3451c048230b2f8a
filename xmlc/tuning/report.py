"""What tuning found: for each kernel its time by the cost model's schedule and by the fastest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xmlc.tuning.kernels import Schedules


@dataclass(frozen=True)
class KernelReport:
    """One kernel: how often a call launches it, seconds by the cost model and at best, and how many were tried."""

    name: str
    launches: int
    default: float | None
    tuned: float | None
    schedules: Schedules
    tried: int
    complete: bool
    """Whether all that may be fast was tried."""

    @property
    def gain(self) -> float:
        """How many times faster the best is."""
        return self.default / self.tuned if self.default and self.tuned else 1.0


@dataclass(frozen=True)
class TuningReport:
    """The kernels of a program on a device."""

    kernels: Sequence[KernelReport]
    device: str

    @property
    def complete(self) -> bool:
        return all(each.complete for each in self.kernels)

    def render(self) -> str:
        """A line for each kernel, the one that takes longest first."""
        lines = [f"{'default µs':>10}  {'tuned µs':>10}  {'gain':>5}  {'tried':>5}  kernel and schedule"]
        for each in sorted(self.kernels, key=lambda each: -(each.default or 0.0) * each.launches):
            times = f"{microseconds(each.default)}  {microseconds(each.tuned)}"
            tried = f"{each.tried}{'' if each.complete else '+'}"
            lines.append(f"{times}  {each.gain:5.2f}  {tried:>5}  {each.name}{schedule_text(each.schedules)}")
        if not self.complete:
            lines.append("+: more can be tried; tuning again goes on from here")
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """The same as data for JSON."""
        return {"device": self.device, "kernels": [{**asdict(each), "gain": each.gain} for each in self.kernels]}


def microseconds(seconds: float | None) -> str:
    return f"{'-':>10}" if seconds is None else f"{seconds * 1e6:10.1f}"


def schedule_text(schedules: Schedules) -> str:
    """`, rows: lanes=256 chunks=4`"""
    parts = [
        f"{kind}{number if number else ''}: " + " ".join(f"{name}={value}" for name, value in each)
        for kind, stated in schedules
        for number, each in enumerate(stated)
        if each
    ]
    return "".join(f", {part}" for part in parts)
