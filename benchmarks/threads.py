"""What a second thread gains: xmlc's pool beside LLVM's OpenMP, on a machine that is idle or has something else to do.

    pip install cmeel-libomp
    python benchmarks/threads.py --dir FOLDER [--openmp libomp.so] [--rounds 3] [--only MODEL,MODEL] [-o FILE.json]

Each model of the folder is compiled for one thread and for two, and both programs are called in turns, in a new process
for each runtime and round, so that what the machine does in the meantime meets all alike. With OpenMP the same machine
code shares its loops by `__kmpc_fork_call`. What else runs is nothing, a process of the lowest priority that is always
busy, or one of the same priority. A figure is the time of one thread over that of two: the median over the rounds, then
the least and the most. `python benchmarks/fetch_models.py` fetches the models.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

from xmlc import options
from xmlc.backends.cpu import jit
from xmlc.backends.cpu.pool import SHARE
from xmlc.backends.cpu.target import host
from xmlc.bench.case import Case
from xmlc.bench.machine import circumstances
from xmlc.bench.measure import Plan, measure
from xmlc.bench.models import model_inputs, models
from xmlc.onnx_backend import prepare

RUNTIMES = ("pool", "OpenMP")
OTHERS = {"nothing": None, "something of the lowest priority": 19, "something of the same priority": 0}
"""What else runs -> its priority."""
PLAN = Plan(rounds=15, seconds=1.0, sample_s=0.01, warm_s=0.05)
USED = (
    "__kmpc_fork_call",
    "__kmpc_global_thread_num",
    "__kmpc_push_num_threads",
    "omp_get_num_threads",
    "omp_get_thread_num",
)

FORK = """
@place = private unnamed_addr constant [23 x i8] c";unknown;unknown;0;0;;\\00"
@here = private constant {{ i32, i32, i32, i32, ptr }} {{ i32 0, i32 2, i32 0, i32 22, ptr @place }}

declare void @__kmpc_fork_call(ptr, i32, ptr, ...)
declare i32 @__kmpc_global_thread_num(ptr)
declare void @__kmpc_push_num_threads(ptr, i32, i32)
declare i32 @omp_get_num_threads()
declare i32 @omp_get_thread_num()

define void @{share}(ptr %task, ptr %captured, i64 %count, i32 %threads) nounwind {{
  %caller = call i32 @__kmpc_global_thread_num(ptr @here)
  call void @__kmpc_push_num_threads(ptr @here, i32 %caller, i32 %threads)
  call void (ptr, i32, ptr, ...) @__kmpc_fork_call(ptr @here, i32 3, ptr @body, ptr %task, ptr %captured, i64 %count)
  ret void
}}

define internal void @body(ptr %caller, ptr %team, ptr %task, ptr %captured, i64 %count) nounwind {{
entry:
  %thread = call i32 @omp_get_thread_num()
  %threads = call i32 @omp_get_num_threads()
  %first = sext i32 %thread to i64
  %step = sext i32 %threads to i64
  br label %check
check:
  %index = phi i64 [ %first, %entry ], [ %next, %run ]
  %more = icmp slt i64 %index, %count
  br i1 %more, label %run, label %done
run:
  call void %task(ptr %captured, i64 %index)
  %next = add i64 %index, %step
  br label %check
done:
  ret void
}}
"""
"""Sharing by OpenMP: iterations are dealt out in turn."""


def openmp_pool(library: Path) -> Callable[..., dict[str, int]]:
    """What gives the address of OpenMP's sharing, in place of `jit.pool`."""
    runtime = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    target = host()
    text = f'target datalayout = "{target.data_layout}"\ntarget triple = "{target.triple}"\n' + FORK.format(share=SHARE)
    loaded = jit.load_object(jit.compile_to_object(text, target), {name: getattr(runtime, name) for name in USED})
    return lambda code: {SHARE: loaded.address(SHARE)}


def called(case: Case, threads: int) -> Callable[[], object]:
    """The model as a function without arguments."""
    assert case.file is not None
    inputs = model_inputs(case)
    with options.NUM_THREADS.set(threads):
        prepared = prepare(case.file)
        prepared.run(inputs)
    return lambda: prepared.run(inputs)


def gains(cases: list[Case]) -> dict[str, float]:
    """Model -> time of one thread over that of two, in this process."""
    found: dict[str, float] = {}
    for case in cases:
        timings = measure({"one": called(case, 1), "two": called(case, 2)}, PLAN)
        found[case.name] = timings["one"].median / timings["two"].median
    return found


def in_another_process(runtime: str, priority: int | None, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--dir", str(arguments.dir), "--runtime", runtime]
    if arguments.only:
        command += ["--only", arguments.only]
    if arguments.openmp:
        command += ["--openmp", str(arguments.openmp)]
    busy = [] if priority is None else [subprocess.Popen(["nice", "-n", str(priority), sys.executable, "-c", SPIN])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    finally:
        for each in busy:
            each.kill()
            each.wait()
    return json.loads(done.stdout)


SPIN = "while True: pass"


def libomp() -> Path | None:
    """Where cmeel-libomp has put the library."""
    found = find_spec("cmeel")
    folders = [] if found is None else list(found.submodule_search_locations or ())
    files = (Path(folder).parent / "cmeel.prefix" / "lib" / "libomp.so" for folder in folders)
    return next((file for file in files if file.exists()), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True, help="folder of ONNX files")
    parser.add_argument("--openmp", type=Path, default=libomp(), help="LLVM's OpenMP library")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="files without their suffix, separated by commas")
    parser.add_argument("-o", type=Path, help="write the figures as JSON")
    parser.add_argument("--runtime", choices=RUNTIMES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    wanted = set(arguments.only.split(",")) if arguments.only else None
    cases = [case for case in models(arguments.dir) if wanted is None or Path(case.file or "").stem in wanted]
    if arguments.runtime:
        pool = openmp_pool(arguments.openmp) if arguments.runtime == "OpenMP" else jit.pool
        with patch.object(jit, "pool", pool):
            print(json.dumps(gains(cases)), flush=True)
        os._exit(0)  # OpenMP's threads outlive the interpreter badly
    runtimes = [each for each in RUNTIMES if each == "pool" or arguments.openmp is not None]
    record: dict[str, Any] = {"what": "speed-up of two threads", **circumstances(), "gains": {}}
    for what, priority in OTHERS.items():
        rounds: dict[str, list[dict[str, float]]] = {runtime: [] for runtime in runtimes}
        for _ in range(arguments.rounds):
            for runtime in runtimes:
                rounds[runtime].append(in_another_process(runtime, priority, arguments))
        print(f"beside {what}:")
        for case in cases:
            row = {runtime: sorted(each[case.name] for each in rounds[runtime]) for runtime in runtimes}
            record["gains"].setdefault(what, {})[case.name] = row
            shown = (f"{runtime} {statistics.median(g):.2f} ({g[0]:.2f}-{g[-1]:.2f})" for runtime, g in row.items())
            print(f"  {case.name:32s}", *shown, flush=True)
    if arguments.o:
        arguments.o.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
