"""Tune single kernels on a GPU, and record what that gains over the cost model.

    python benchmarks/cuda_tuning.py -o RESULT.json [--seconds 20] [--only REGEX]

Each kernel is tuned with an empty cache for so many seconds, and then measured again in turn with the cost model's
choice, both in programs of their own: the gain is that of the second measurement.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS = 9


def programs() -> dict[str, tuple[tuple[str, ...], Callable[..., Any]]]:
    """Name -> the types of the inputs, and what is computed."""
    from xmlc import ml

    return {
        "softmax f32 16384x8192": (("16384x8192xf32",), lambda x: ml.softmax(x, axis=-1)),
        "softmax f32 2048x65536": (("2048x65536xf32",), lambda x: ml.softmax(x, axis=-1)),
        "softmax bf16 1024x1024": (("1024x1024xbf16",), lambda x: ml.softmax(x, axis=-1)),
        "row_sum f32 64x1048576": (("64x1048576xf32",), lambda x: ml.reduce_sum(x, axes=[1])),
        "column_sum bf16 2048x65536": (("2048x65536xbf16",), lambda x: ml.reduce_sum(x, axes=[0])),
        "exp f32 4096x4096": (("4096x4096xf32",), ml.exp),
        "cumsum f32 4096x4096": (("4096x4096xf32",), lambda x: ml.cumulative_sum(x, axis=1)),
        "matmul f32 4096": (("4096x4096xf32",) * 2, ml.matmul),
        "matmul f32 512x1024x768": (("512x1024xf32", "1024x768xf32"), ml.matmul),
        "matmul f32 64x4096x4096": (("64x4096xf32", "4096x4096xf32"), ml.matmul),
    }


def module_of(types: tuple[str, ...], build: Callable[..., Any]) -> Any:
    import xmlc

    builder = xmlc.Builder()
    named = {f"x{number}": xmlc.tensor(each) for number, each in enumerate(types)}
    with builder.function(**named) as f:
        f.returns(build(*(f[name] for name in named)))
    return builder.module


def tuned(types: tuple[str, ...], build: Callable[..., Any], seconds: float) -> dict[str, Any]:
    from xmlc.backends.cuda.driver import driver_of
    from xmlc.cache import Cache
    from xmlc.driver import Settings, any_target
    from xmlc.driver_cuda import compile_artifact, for_device
    from xmlc.tuning.known import Known
    from xmlc.tuning.search import Tuner
    from xmlc.tuning.stopwatch import DeviceStopwatch, agrees

    driver = driver_of()
    settings = for_device(Settings(target=any_target("cuda")), driver.device)
    stopwatch = DeviceStopwatch(driver)
    with tempfile.TemporaryDirectory() as folder:
        known = Known(driver.device, Cache(Path(folder)))
        started = time.perf_counter()
        report = Tuner(settings, stopwatch, known, seconds).tune(module_of(types, build))
        took = time.perf_counter() - started
        again = Tuner(settings, stopwatch, Known(driver.device, Cache(Path(folder))), 0.0).tune(module_of(types, build))
    default = compile_artifact(module_of(types, build), settings)
    stating = replace(settings, state_schedules=known.state_schedules)
    best = compile_artifact(module_of(types, build), stating)
    times: dict[str, list[float]] = {"default": [], "tuned": []}
    right = True
    for _ in range(ROUNDS):
        first, second = stopwatch.timed(default), stopwatch.timed(best)
        right = right and agrees(first.samples, second.samples)
        times["default"].append(first.seconds)
        times["tuned"].append(second.seconds)
    found = {name: median(each) for name, each in times.items()}
    return {
        **{f"{name} us": each * 1e6 for name, each in found.items()},
        "gain": found["default"] / found["tuned"],
        "agrees": right,
        "tuning s": took,
        "kept": [each.tried for each in report.kernels] == [each.tried for each in again.kernels],
        **report.record(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", type=Path, default=Path("cuda_tuning.json"))
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    record: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": given.seconds}
    for name, (types, build) in programs().items():
        if re.search(given.only, name):
            record[name] = tuned(types, build, given.seconds)
            row = record[name]
            print(f"{name:28} {row['default us']:9.1f} {row['tuned us']:9.1f} µs  {row['gain']:.2f}x", flush=True)
            given.o.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
