"""The parent of the processes that measure: one for each number of threads, and a new one after a crash or a hang."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Any

from xmlc.bench.case import Case
from xmlc.bench.measure import Plan
from xmlc.bench.record import CRASH, TIMEOUT, Cell, Outcome, read_cell, read_roofs
from xmlc.bench.roofs import Roofs
from xmlc.bench.session import Orders

THREAD_SETTINGS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NPROC",  # XLA's
)
"""Variables that fix a library's threads when it is loaded; xmlc, onnxruntime, OpenVINO and torch are told by call."""
OTHER_SETTINGS = {"TORCHINDUCTOR_COMPILE_THREADS": "1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}

COMMAND = [sys.executable, "-m", "xmlc.bench.session"]

Progress = Callable[[str, str, Cell | None], None]
"""Called with (case, what is going on, the cell once it is there)."""


@dataclass
class Findings:
    """What the sessions of one number of threads gave."""

    roofs: Roofs | None = None
    cells: list[Cell] = field(default_factory=list[Cell])
    left_out: list[str] = field(default_factory=list[str])
    interrupted: bool = False
    """From the keyboard: what was measured until then is kept."""


def environment(threads: int) -> dict[str, str]:
    """The environment of a session."""
    return os.environ | dict.fromkeys(THREAD_SETTINGS, str(threads)) | OTHER_SETTINGS


def run_cases(
    cases: Sequence[Case],
    peers: Sequence[str],
    threads: int,
    plan: Plan,
    patience: float,
    progress: Progress,
    deadline: float | None = None,
) -> Findings:
    """Measure the cases with so many threads.

    A contestant that says nothing for `patience` seconds is given up for that case. After `deadline`, of
    `time.monotonic`, no new case is started.
    """
    orders = Orders(list(cases), list(peers), threads, plan)
    found = Findings()
    while orders.cases:
        if deadline is not None and time.monotonic() > deadline:
            break
        try:
            stopped = one_session(orders, found, patience, progress, deadline)
        except KeyboardInterrupt:
            stopped, found.interrupted = None, True
        done = {cell.case for cell in found.cells}
        left = [case for case in orders.cases if case.name not in done]
        skip = dict(orders.skip)
        if stopped is None:
            orders = replace(orders, cases=left)
            break
        case, contestant, status = stopped
        if contestant is None:  # it died outside of any contestant's turn: the whole case is lost
            lost = next((each for each in left if each.name == case), None)
            if lost is None:
                raise RuntimeError(f"the measuring process died before its first case: {status}")
            outcomes = {name: Outcome(status) for name in peers}
            found.cells.append(Cell(lost.name, lost.group, lost.dtype, threads, 0, 0, 0.0, "", outcomes))
            left.remove(lost)
        else:
            skip[case] = {**skip.get(case, {}), contestant: status}
        orders = replace(orders, cases=left, skip=skip)
    found.left_out = [f"{case.name} [{threads}]" for case in orders.cases]
    found.cells = under_roofs(found.cells, found.roofs, {case.name for case in cases if case.file is not None})
    return found


def under_roofs(cells: Sequence[Cell], roofs: Roofs | None, models: set[str]) -> list[Cell]:
    """The cells with the least times that the highest roofs seen allow; the work of a model is not counted."""
    if roofs is None:
        return list(cells)
    return [
        cell if cell.case in models else replace(cell, roof_s=roofs.seconds(cell.dtype, cell.flops, cell.bytes))
        for cell in cells
    ]


def one_session(
    orders: Orders, found: Findings, patience: float, progress: Progress, deadline: float | None
) -> tuple[str, str | None, str] | None:
    """Run a process until it is done or the budget is spent (None), or dead: the case, whose turn it was, and how."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(orders.threads),
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(orders.to_json())
            process.stdin.close()
            stopped = follow(process.stdout, orders.threads, found, patience, progress, deadline)
            if stopped is not None and not stopped[0]:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()
                raise RuntimeError(f"the measuring process {stopped[2]} before its first case:\n{said}")
            return stopped
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def follow(
    stream: IO[str], threads: int, found: Findings, patience: float, progress: Progress, deadline: float | None
) -> tuple[str, str | None, str] | None:
    """Take in what a session tells, until it is done (None) or silent."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        try:
            for line in stream:
                lines.put(line)
        except ValueError:
            pass  # closed by the parent, which no longer listens
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    case, contestant = "", None
    while True:
        try:
            line = lines.get(timeout=patience)
        except queue.Empty:
            return case, contestant, TIMEOUT
        if not line:
            return case, contestant, CRASH
        event: dict[str, Any] = json.loads(line)
        what = event["what"]
        match event["event"]:
            case "roofs":
                found.roofs = higher(found.roofs, read_roofs(what))
            case "case":
                case, contestant = what, None
                if deadline is not None and time.monotonic() > deadline:
                    return None
                progress(case, f"{threads} threads" if threads > 1 else "1 thread", None)
            case "trying":
                contestant = what
                progress(case, what, None)
            case "tried":
                contestant = None
            case "measuring":
                contestant = None
                progress(case, "timing", None)
            case "cell":
                cell = read_cell(what)
                found.cells.append(cell)
                progress(case, "", cell)
            case _:
                return None


def higher(a: Roofs | None, b: Roofs) -> Roofs:
    """The higher of two measurements of the same roofs: a roof is what was reached undisturbed."""
    if a is None:
        return b
    flops = {name: max(rate, a.flops[name]) for name, rate in b.flops.items()}
    bandwidth = {size: max(rate, a.bandwidth[size]) for size, rate in b.bandwidth.items()}
    return Roofs(flops, bandwidth, b.instructions)
