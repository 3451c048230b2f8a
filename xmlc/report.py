"""A report on a run: how long each kernel takes, what it does in that time, how near that is to the machine's roof.

The program measures its kernels itself (pass `time-kernels`); what each does is counted where it is made of linalg ops.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.dialects.func import CallOp, FuncOp

from xmlc.backends.signature import Signature, Tensor
from xmlc.compiled import Array, CompiledModule
from xmlc.dialects.diagnostics import CompileError, Place, place_of
from xmlc.passes.kernel_costs import Cost, kernel_costs
from xmlc.passes.time_kernels import TIMED

if TYPE_CHECKING:
    from xmlc.bench.roofs import Roofs

LEAST_CALLS, MOST_CALLS, SECONDS = 5, 200, 1.0
"""How long to measure: until the time is over, within these numbers of calls."""
TIMES = "kernel times"
"""The name of the output that a program gives its times in."""


class Profile:
    """What a compilation tells about kernels: their names in the order of the times, their costs, their places."""

    def __init__(self) -> None:
        self.kernels: list[str] = []
        self.costs: dict[str, Cost] = {}
        self.places: dict[str, list[Place]] = {}

    def look(self, stage: str, made: ModuleOp | str | bytes) -> None:
        """A stage watcher, for the levels where these can be seen."""
        if stage == "linalg" and isinstance(made, ModuleOp):
            self.costs = kernel_costs(made)
            for op in made.walk():
                if isinstance(op, CallOp) and (place := place_of(op.location)) is not None:
                    self.places.setdefault(op.callee.string_value(), []).append(place)

    def added_to(self, signature: Signature, entry: FuncOp) -> Signature:
        """The signature with the output that the times are in."""
        names = entry.attributes.get(TIMED)
        if not isinstance(names, ArrayAttr):
            raise CompileError(
                "the program is past the stage at which kernels are timed",
                place=place_of(entry.location),
                hint="start from an earlier stage: source, ml, kernels or linalg",
            )
        self.kernels = [each.data for each in names.data if isinstance(each, StringAttr)]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        times = Tensor(TIMES, "i64", (len(self.kernels), 2))
        return Signature(signature.entry, signature.inputs, signature.weights, (*signature.outputs, times))


@dataclass(frozen=True)
class Row:
    """One kernel in one call of the program: how often it ran, how long in all, what it did; None where not known."""

    kernel: str
    calls: int
    seconds: float
    share: float
    flops: int | None
    moved: int | None
    element: str | None
    roof_seconds: float | None
    """The least time that the machine's peaks allow for this."""
    places: tuple[str, ...]

    @property
    def flop_rate(self) -> float | None:
        return None if self.flops is None or not self.seconds else self.flops / self.seconds

    @property
    def byte_rate(self) -> float | None:
        return None if self.moved is None or not self.seconds else self.moved / self.seconds

    @property
    def share_of_roof(self) -> float | None:
        return None if self.roof_seconds is None or not self.seconds else self.roof_seconds / self.seconds


@dataclass(frozen=True)
class Report:
    """The kernels by time, the time of a whole call and of what is between kernels, and memory in bytes."""

    rows: list[Row]
    seconds: float
    between_seconds: float
    calls_measured: int
    threads: int
    arena_bytes: int
    weight_bytes: int
    peak_bytes: int
    """The most memory that this process has held so far, the compiler's own included."""

    def record(self) -> dict[str, Any]:
        """As data for JSON."""
        rows = [
            {
                **asdict(row),
                "flops_per_second": row.flop_rate,
                "bytes_per_second": row.byte_rate,
                "share_of_roof": row.share_of_roof,
            }
            for row in self.rows
        ]
        return {**asdict(self), "rows": rows}

    def render(self) -> str:
        """A table, the slowest kernel first."""
        heads = ("kernel", "calls", "ms", "share", "MFLOP", "MB", "GFLOP/s", "GB/s", "roof", "first of its places")
        lines: list[tuple[str, ...]] = [heads]
        for row in self.rows:
            lines.append(
                (
                    row.kernel,
                    str(row.calls),
                    f"{row.seconds * 1e3:.3f}",
                    f"{row.share:.1%}",
                    scaled(row.flops, 1e-6),
                    scaled(row.moved, 1e-6),
                    scaled(row.flop_rate, 1e-9),
                    scaled(row.byte_rate, 1e-9),
                    "-" if row.share_of_roof is None else f"{row.share_of_roof:.0%}",
                    row.places[0] if row.places else "",
                )
            )
        between = ("(between)", "", f"{self.between_seconds * 1e3:.3f}", f"{self.between_seconds / self.seconds:.1%}")
        lines.append((*between, *[""] * (len(heads) - len(between))))
        text = aligned(lines)
        text.append(
            f"one call takes {self.seconds * 1e3:.3f} ms with {self.threads} thread{'s' if self.threads > 1 else ''}: "
            f"the quickest of {self.calls_measured}"
        )
        text.append(
            f"memory: arena {mebibytes(self.arena_bytes)}, weights {mebibytes(self.weight_bytes)}, "
            f"most this process has held {mebibytes(self.peak_bytes)}"
        )
        return "\n".join(text)


def scaled(value: float | None, unit: float) -> str:
    return "-" if value is None else f"{value * unit:.3g}" if value * unit < 1000 else f"{value * unit:.0f}"


def mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they need be; the first and last to the left."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    ]


def measure(compiled: CompiledModule, profile: Profile, inputs: Sequence[Array], threads: int, roofs: Roofs) -> Report:
    """Run a program that times its kernels again and again, and report on the quickest call, whose parts add up."""
    whole, times, calls_measured = math.inf, np.zeros((len(profile.kernels), 2)), 0
    deadline = time.perf_counter() + SECONDS
    while calls_measured < LEAST_CALLS or (time.perf_counter() < deadline and calls_measured < MOST_CALLS):
        given = [array.copy() for array in inputs]  # a function on memrefs may write to them
        before = time.perf_counter_ns()
        *_, found = compiled(*given)
        took = (time.perf_counter_ns() - before) * 1e-9
        calls_measured += 1
        if took < whole:
            whole, times = took, np.array(found)
    rows = [
        row_of(name, int(calls), nanoseconds * 1e-9, whole, profile, roofs)
        for name, (nanoseconds, calls) in zip(profile.kernels, times)
    ]
    rows.sort(key=lambda row: -row.seconds)
    return Report(
        rows,
        whole,
        whole - sum(row.seconds for row in rows),
        calls_measured,
        threads,
        compiled.arena_bytes,
        sum(weight.nbytes for weight in compiled.weights),
        peak_memory(),
    )


def row_of(name: str, calls: int, seconds: float, whole: float, profile: Profile, roofs: Roofs) -> Row:
    cost = profile.costs.get(name)
    places = tuple(map(str, profile.places.get(name, ())))
    if cost is None:
        return Row(name, calls, seconds, seconds / whole, None, None, None, None, places)
    element = cost.element if cost.element in roofs.flops else "f32"
    roof = calls * roofs.seconds(element, cost.flops, cost.moved)
    return Row(
        name, calls, seconds, seconds / whole, calls * cost.flops, calls * cost.moved, cost.element, roof, places
    )


def peak_memory() -> int:
    """The most bytes of memory that this process has held at once."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
