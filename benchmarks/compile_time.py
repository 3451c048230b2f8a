"""How long it takes to start and to compile: import, `xmlc --help`, a function of one line, models cold and cached.

    python benchmarks/compile_time.py [--model NAME=FILE.onnx:batch=1,sequence=16] [--dir FOLDER [--only NAME]]
                                      [--torch-compile] [-o FILE.json [--add]]

Each figure is wall time of a new process, files in the page cache; best, median and worst of several. A compilation
is timed inside the process that does it, from opening the file to a function that can be called. `--model` can be
repeated; `--dir` takes the networks that `python benchmarks/export_torch_models.py` writes, and with `--torch-compile`
torch.compile's time for each, from the loaded network to its first result, its caches off. `--only` picks some of them,
and `--add` puts them into a record made before on the same machine, whose other figures stay: each network then says
its own date. The record names hardware, versions and date; budgets are told, not enforced.
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

ONE_LINE = """
import json, time
import xmlc
from xmlc import ml
xmlc.compile_module
started = time.perf_counter()
builder = xmlc.Builder()
with builder.function(x=xmlc.tensor("1024xf32")) as f:
    f.returns(ml.exp(f["x"]))
function = xmlc.compile_module(builder.module)
print(json.dumps({"compile": time.perf_counter() - started}))
"""

TORCH_COMPILE = """
import json, sys, time
import torch
exported = torch.export.load(sys.argv[1])
inputs, network = exported.example_inputs[0], exported.module()
started = time.perf_counter()
with torch.inference_mode():
    torch.compile(network, dynamic=False)(*inputs)
print(json.dumps({"compile": time.perf_counter() - started}))
"""

BUDGETS = {
    "import xmlc": 0.35,
    "xmlc --help": 0.3,
    "one line cold": 0.15,
    "minilm cold": 6,
    "resnet50 cold": 8,
    "any network cold": "less than torch.compile",
    "any network cached": 0.5,
}
"""Seconds."""


INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""The environment of what is measured: modules are compiled to bytecode once, as those of an installed package are."""


def wall(command: list[str]) -> float:
    """Seconds that a command takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=INSTALLED)
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


def child(code: str, *arguments: str, **settings: str) -> dict[str, Any]:
    """What Python code prints as JSON, run in a new process."""
    command = [sys.executable, "-c", code, *arguments]
    environment = INSTALLED | settings
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def one_line_time(runs: int) -> dict[str, float]:
    """A function of one line, compiled first thing in a process, cache off."""
    return spread([child(ONE_LINE, XMLC_CACHE="0")["compile"] for _ in range(runs)])


def torch_compile_time(file: Path) -> dict[str, float]:
    """Of torch.compile for an exported network; once, since it takes so long."""
    settings = {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    return spread([child(TORCH_COMPILE, str(file), **settings)["compile"]])


def networks(folder: Path) -> dict[str, tuple[str, str]]:
    """Name -> file and sizes of each network in a folder."""
    from xmlc.bench.models import MODELS, models

    found: dict[str, tuple[str, str]] = {}
    for case in models(folder):
        assert case.file is not None
        name = Path(case.file).stem
        shapes = ("x".join(map(str, shape)) for shape in case.shapes)
        sizes = ",".join(f"{draw.name}={shape}" for draw, shape in zip(MODELS[name].draws, shapes))
        found[name] = (case.file, sizes)
    return found


def compile_times(file: str, sizes: str, runs: int) -> dict[str, Any]:
    """A model compiled cold, with an empty cache, then from the cache, `runs` times each."""
    cold: list[dict[str, Any]] = []
    cached: list[dict[str, Any]] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            for found in (cold, cached):
                found.append(child(COMPILE, file, sizes, XMLC_CACHE_DIR=folder))
    made: dict[str, Any] = {"sizes": sizes, "bytes": Path(file).stat().st_size}
    for name, found in (("cold", cold), ("cached", cached)):
        made[name] = {key: spread([each[key] for each in found]) for key in ("import", "compile", "first_call")}
        made[name]["parts_of_the_last_s"] = {key: round(value, 4) for key, value in found[-1]["parts"].items()}
    return made


def started_record(output: Path | None, runs: int, add: bool) -> dict[str, Any]:
    """A record without networks, or that of a file, which must be of this machine and these versions."""
    from xmlc.bench.machine import commit, machine
    from xmlc.pipeline import versions

    if add:
        assert output is not None, "--add wants -o"
        record = json.loads(output.read_text())
        same = record["hardware"]["processor"] == machine()["processor"] and record["versions"] == versions()
        assert same, f"{output} is of another machine or other versions"
        return record
    return {
        "what": "start and compile times",
        "date": today(),
        "commit": commit(),
        "versions": versions(),
        "hardware": machine(),
        "budgets_s": BUDGETS,
        "start": start_times(runs),
        "one_line_cold": one_line_time(runs),
        "models": {},
    }


def today() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE:SIZES", help="a model to compile")
    parser.add_argument("--dir", type=Path, metavar="FOLDER", help="networks that were exported from torch")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="of those, these")
    parser.add_argument("--add", action="store_true", help="put the networks into the record that is there")
    parser.add_argument("--torch-compile", action="store_true", help="measure torch.compile on them too: minutes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="FILE.json", help="write the record; else it is printed"
    )
    options = parser.parse_args()
    from xmlc.bench.machine import commit
    from xmlc.files import write_whole

    record = started_record(options.output, options.runs, options.add)
    for text in options.model:
        name, _, rest = text.partition("=")
        file, _, sizes = rest.partition(":")
        record["models"][name] = compile_times(str(Path(file).resolve()), sizes, options.runs)
    for name, (file, sizes) in networks(options.dir).items() if options.dir else ():
        if options.only and name not in options.only:
            continue
        record["models"][name] = compile_times(file, sizes, options.runs) | {"date": today(), "commit": commit()}
        exported = Path(file).with_suffix(".pt2")
        if options.torch_compile and exported.exists():
            record["models"][name]["torch.compile"] = torch_compile_time(exported)
    made = json.dumps(record, indent=2) + "\n"
    if options.output:
        write_whole(options.output, made)
    else:
        print(made, end="")


if __name__ == "__main__":
    main()
