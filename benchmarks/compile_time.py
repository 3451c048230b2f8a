"""How long it takes to start and to compile: import, `xmlc --help`, a model compiled and the same from the cache.

    python benchmarks/compile_time.py --model minilm=FILE.onnx:batch=1,sequence=16 [-o FILE.json]

Each figure is wall time of a new process, files in the page cache; best, median and worst of several. A compilation
is timed inside the process that does it, from opening the file to a function that can be called. `--model` can be
repeated. `python benchmarks/fetch_models.py` fetches the models. The record names hardware, versions and date; budgets
are told, not enforced.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

COMPILE = """
import json, sys, time
started = time.perf_counter()
from xmlc.driver import Settings
from xmlc.inputs import random_arrays, read_sizes
from xmlc.running import compile_source
from xmlc.sources import open_source
imported = time.perf_counter()
settings = Settings()
source = open_source(sys.argv[1])
sizes = read_sizes(sys.argv[2])
arrays = random_arrays(source.inputs, {}, sizes, 0)
function = compile_source(source, sizes, arrays, settings)
ready = time.perf_counter()
function(*[arrays[each.name] for each in function.signature.inputs])
called = time.perf_counter()
parts = {name: seconds for depth, name, seconds in settings.timer.rows if depth == 0}
print(json.dumps({"import": imported - started, "compile": ready - imported, "first_call": called - ready,
                  "parts": parts}))
"""


def wall(command: list[str]) -> float:
    """Seconds that a command takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - started


def spread(seconds: list[float]) -> dict[str, float]:
    return {
        "best_s": round(min(seconds), 4),
        "median_s": round(statistics.median(seconds), 4),
        "worst_s": round(max(seconds), 4),
        "runs": len(seconds),
    }


def start_times(runs: int) -> dict[str, Any]:
    """Import and `--help`, less nothing; the bare interpreter beside them, to compare with."""
    python = sys.executable
    commands = {
        "python (nothing imported)": [python, "-c", "pass"],
        "import xmlc": [python, "-c", "import xmlc"],
        "import xmlc, use compile_module": [python, "-c", "import xmlc; xmlc.compile_module"],
        "xmlc --help": [python, "-c", "import sys; from xmlc.cli import main; sys.exit(main(['--help']))"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):  # interleaved, so that a busy moment falls on all
        for name, command in commands.items():
            times[name].append(wall(command))
    return {name: spread(each) for name, each in times.items()}


def compile_times(file: str, sizes: str, runs: int) -> dict[str, Any]:
    """A model compiled cold, with an empty cache, then from the cache, `runs` times each."""
    cold: list[dict[str, Any]] = []
    cached: list[dict[str, Any]] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"XMLC_CACHE_DIR": folder}
            for found in (cold, cached):
                command = [sys.executable, "-c", COMPILE, file, sizes]
                done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment)
                found.append(json.loads(done.stdout))
    made: dict[str, Any] = {"sizes": sizes, "bytes": Path(file).stat().st_size}
    for name, found in (("cold", cold), ("cached", cached)):
        made[name] = {key: spread([each[key] for each in found]) for key in ("import", "compile", "first_call")}
        made[name]["parts_of_the_last_s"] = {key: round(value, 4) for key, value in found[-1]["parts"].items()}
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE:SIZES", help="a model to compile")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("-o", dest="output", metavar="FILE.json", help="write the record; else it is printed")
    options = parser.parse_args()
    from xmlc.bench.machine import commit, machine
    from xmlc.files import write_whole
    from xmlc.pipeline import versions

    record: dict[str, Any] = {
        "what": "start and compile times",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions(),
        "hardware": machine(),
        "budgets_s": {"import xmlc": 0.35, "xmlc --help": 0.3, "minilm cold": 20, "minilm cached": 1},
        "start": start_times(options.runs),
        "models": {},
    }
    for text in options.model:
        name, _, rest = text.partition("=")
        file, _, sizes = rest.partition(":")
        record["models"][name] = compile_times(str(Path(file).resolve()), sizes, options.runs)
    made = json.dumps(record, indent=2) + "\n"
    if options.output:
        write_whole(Path(options.output), made)
    else:
        print(made, end="")


if __name__ == "__main__":
    main()
