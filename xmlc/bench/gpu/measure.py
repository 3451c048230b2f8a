"""Run compiled cases on a GPU, each answer checked against float64, beside peers measured in turn with it.

Times are of the device, between events, around calls that a user would make: the launch is part of them. Inputs are
random normal numbers. What fits in the device's cache is marked: its times say nothing about memory.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from xmlc.backends.cuda.artifact import CudaArtifact
from xmlc.backends.cuda.driver import NvidiaDriver, driver_of
from xmlc.bench.gpu.cases import COMPILERS, OPERATIONS, TORCH, WIDE, Case, cases
from xmlc.bench.gpu.cccl import cccl_call
from xmlc.bench.gpu.jax_peer import JaxCall, jax_call
from xmlc.bench.record import rounded
from xmlc.compiled_cuda import CudaModule

ROUNDS = 7
ROUND_SECONDS = 4e-3
MOST_CALLS = 50
CACHE_BYTES = 60 << 20
"""The second-level cache of an H100 or H200."""
CHECKED = 1 << 26
"""Elements that are compared at once: float64 takes memory."""
TOLERANCE = {"f32": 2e-6, "bf16": 6e-3, "f16": 8e-4}
"""The largest relative error, in the norm over all elements: rounding to the type once, and of sums in f32."""

Call = Callable[[], Any]


def measure(cases: Sequence[Case], folder: Path, budget: float | None, compiled: bool) -> dict[str, Any]:
    """A record of all cases whose files are in the folder, until the budget is used up."""
    torch = import_module("torch")
    driver = driver_of()
    until = time.monotonic() + budget if budget is not None else None
    cells: list[dict[str, Any]] = []
    left_out: list[str] = []
    for case in cases:
        if until is not None and time.monotonic() > until:
            left_out.append(case.name)
            continue
        cell = Measuring(case, folder / case.file, torch, driver, compiled).cell()
        cells.append(cell)
        print(line_of(cell), flush=True)
        torch.cuda.empty_cache()
    versions = {name: version_of(name) for name in ("torch", "triton", "cupy", "jax", "numpy")}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"date": date, "device": repr(driver.device), "versions": versions, "inputs": "random normal"}
    return {**about, "cells": cells, "left out": left_out}


def joined(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The records of parts of the grid as one, which is as old as the oldest."""
    cells = {cell["case"]: cell for record in records for cell in record["cells"]}
    left_out = [name for record in records for name in record["left out"]]
    oldest = min(records, key=lambda record: record["date"])
    return {**oldest, "cells": [cells[case.name] for case in cases() if case.name in cells], "left out": left_out}


def to_json(record: dict[str, Any]) -> str:
    """JSON with one cell a line, so that a diff of two records can be read."""
    head = json.dumps({key: value for key, value in record.items() if key != "cells"}, indent=1)
    lines = ",\n".join("  " + json.dumps(rounded(cell)) for cell in record["cells"])
    return f'{head[:-2]},\n "cells": [\n{lines}\n ]\n}}\n'


def version_of(name: str) -> str | None:
    try:
        return import_module(name).__version__
    except ImportError:
        return None


def line_of(cell: Mapping[str, Any]) -> str:
    """One line for a terminal."""
    wrong = "" if cell["right"] else f"  WRONG: {cell['error']}"
    shares = "  ".join(f"{name} {seconds * 1e6:8.1f} µs" for name, seconds in cell["seconds"].items())
    return f"{cell['case']:34} {cell['share of copy']:6.1%}  {shares}{'  cached' if cell['cached'] else ''}{wrong}"


class Measuring:
    """One case: its operands, its contestants, and what is found."""

    def __init__(self, case: Case, path: Path, torch: Any, driver: NvidiaDriver, compiled: bool):
        self.case, self.torch, self.driver = case, torch, driver
        self.operation = OPERATIONS[case.operation]
        dtype = getattr(torch, TORCH[case.element])
        torch.manual_seed(1)
        self.operands = [random(torch, shape, dtype) for shape in case.shapes]
        self.module = CudaModule(CudaArtifact.from_bytes(path.read_bytes()), {}, driver)
        self.compiled = compiled

    def cell(self) -> dict[str, Any]:
        case, torch = self.case, self.torch
        call = self.module.bind(*self.operands)
        output, *self.places = map(torch.from_dlpack, call.outputs)
        output.fill_(-1 if self.operation.index else float("nan"))
        for each in self.places:
            each.fill_(-1)
        call()
        error = self.error(output)
        source = torch.empty(case.moved // 2, dtype=torch.uint8, device="cuda")
        target = torch.empty_like(source)
        calls: dict[str, Call] = {"xmlc": call, "copy": lambda: target.copy_(source)}
        kernels = len(self.module.artifact.main.program.launches())
        calls["torch"] = lambda: self.operation.peer(torch, self.operands)
        if self.compiled:
            calls |= self.by_compilers()
        if (peer := self.by_cub()) is not None:
            calls["cub"] = peer
        if (peer := cccl_call(case.operation, torch, self.operands[0])) is not None:
            calls["cccl"] = peer
        seconds = self.seconds(calls)
        ours = seconds["xmlc"]
        made: dict[str, Any] = {
            "case": case.name,
            "kernels": kernels,
            "right": error <= self.tolerance(),
            "error": error,
            "cached": case.moved < 2 * CACHE_BYTES,
            "seconds": {name: found for name, found in seconds.items() if name != "copy"},
            "copy seconds": seconds["copy"],
            "GB/s": case.moved / ours * 1e-9,
            "share of copy": seconds["copy"] / ours,
        }
        if case.operations:
            made["TFLOP/s"] = {name: case.operations / each * 1e-12 for name, each in seconds.items() if name != "copy"}
        return made

    def tolerance(self) -> float:
        exact = self.case.operation in ("argmax", "transpose", "sort", "topk")
        return 0.0 if exact else TOLERANCE[self.case.element] * (10 if self.case.operation == "cumsum" else 1)

    def by_compilers(self) -> dict[str, Call]:
        """Those of the peers that compile which the case asks for, and which are there."""
        found: dict[str, Call] = {}
        for name in self.case.compilers:
            mode = COMPILERS[name]
            call = self.by_inductor(mode) if mode else jax_call(self.case.operation, self.operands)
            found |= {name: call} if call is not None else {}
        return found

    def by_inductor(self, mode: str) -> Call:
        """torch.compile in a mode."""
        torch, peer = self.torch, self.operation.peer
        torch._dynamo.reset()

        def program(operands: Sequence[Any]) -> Any:
            return peer(torch, operands)

        compiled = torch.compile(program, mode=mode, dynamic=False)
        compiled(self.operands)
        return lambda: compiled(self.operands)

    def by_cub(self) -> Call | None:
        """CUB, through CuPy, where it has the operation for the element type."""
        if self.case.operation not in ("full_sum", "row_sum", "cumsum", "sort") or self.case.element == "bf16":
            return None
        try:
            cupy = import_module("cupy")
        except ImportError:
            return None
        (x,) = (cupy.from_dlpack(each) for each in self.operands)
        match self.case.operation:
            case "full_sum":
                return lambda: cupy.sum(x)
            case "row_sum":
                return lambda: cupy.sum(x, axis=1)
            case "sort":
                return (lambda: cupy.argsort(x[0])) if self.case.rows == 1 else None
            case _:
                return (lambda: cupy.cumsum(x)) if self.case.rows == 1 else None

    # Right

    def error(self, output: Any) -> float:
        """The relative error in the norm over all elements; of places, the share that is wrong."""
        torch, operation, case = self.torch, self.operation, self.case
        if not operation.by_rows or operation.index:
            return self.error_of_whole(output)
        rows = max(1, CHECKED // case.columns)
        wrong = size = 0.0
        for first in range(0, case.rows, rows):
            part = [
                each[first : first + rows] if kind == WIDE else each
                for kind, each in zip(operation.operands, self.operands)
            ]
            expected = self.rounded(operation.peer(torch, [each.double() for each in part]))
            wrong += float((output[first : first + rows].double() - expected).square().sum())
            size += float(expected.square().sum())
        return (wrong / size) ** 0.5 if wrong == wrong else float("inf")

    def rounded(self, expected: Any) -> Any:
        """What the element type holds of a result: it may be infinite there, or have few digits left."""
        return expected.to(self.operands[0].dtype).double()

    def error_of_whole(self, output: Any) -> float:
        torch, x = self.torch, self.operands[0]
        match self.case.operation:
            case "argmax":
                expected = x.argmax(1)  # equal maxima: PyTorch says nothing about which, so the values are compared
                return float((x.gather(1, output[:, None]) != x.gather(1, expected[:, None])).double().mean())
            case "transpose":
                return float((output != x.t()).double().mean()) if x.numel() < 2**31 else self.error_by_parts(output)
            case "sort" | "topk":
                whole = torch.sort(x, dim=1, stable=True, descending=self.case.operation == "topk")
                pairs = zip((output, *self.places), whole, strict=True)
                return max(float((ours != wanted[:, : ours.shape[1]]).double().mean()) for ours, wanted in pairs)
            case "full_sum" | "column_sum":
                axes = (0, 1) if self.case.operation == "full_sum" else (0,)
                expected = self.rounded(x.sum(axes, dtype=torch.float64))
                if bool((output.double() == expected).all()):
                    return 0.0  # infinities too
                scale = x.abs().sum(axes, dtype=torch.float64)  # sums of numbers of both signs are near zero
                return float((output.double() - expected).norm() / scale.norm())
            case _:
                expected = x.double() @ self.operands[1].double()
                return float((output.double() - expected).norm() / expected.norm())

    def error_by_parts(self, output: Any) -> float:
        x, step = self.operands[0], 4096
        wrong = [bool((output[:, i : i + step] != x[i : i + step].t()).any()) for i in range(0, len(x), step)]
        return sum(wrong) / len(wrong)

    # Fast

    def seconds(self, calls: Mapping[str, Call]) -> dict[str, float]:
        """The time of each, in turn, round by round: the median."""
        counts: dict[str, int] = {}
        for name, call in calls.items():
            call()
            counts[name] = max(1, min(MOST_CALLS, round(ROUND_SECONDS / self.timed(call, 2))))
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                times[name].append(self.timed(call, counts[name]))
        return {name: median(each) for name, each in times.items()}

    def timed(self, call: Call, count: int) -> float:
        if isinstance(call, JaxCall):
            return self.timed_by_the_host(call, count)
        first, second = self.driver.new_event(), self.driver.new_event()
        self.driver.record(first, 0)
        for _ in range(count):
            call()
        self.driver.record(second, 0)
        return self.driver.seconds_between(first, second) / count

    def timed_by_the_host(self, call: JaxCall, count: int) -> float:
        """The device works through the calls meanwhile; results go as soon as there are others."""
        self.driver.synchronize(0)
        started = time.perf_counter()
        made = call()
        for _ in range(count - 1):
            made = call()
        call.wait(made)
        return (time.perf_counter() - started) / count


def random(torch: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Normal numbers, drawn in the type itself: one of twice the width may not fit."""
    return torch.empty(shape, dtype=dtype, device="cuda").normal_()
