"""How much memory models take: xmlc beside onnxruntime, and the plan of the arena beside the least that any plan needs.

    python benchmarks/memory.py --dir FOLDER [--threads 1] [-o FILE.json]

Each runtime loads a model and calls it three times in a new process. What is told is the most memory that the process
held from then on, less what it held before it opened the file, when the runtime's library (LLVM or onnxruntime's) was
there: code, weights, what was made of them at load, arena, inputs' copies and outputs. xmlc's programs come from its
cache, compiled and called by a process before: a server starts so. The arena is what `plan-memory` gives to
intermediate results; `live` is what they take at the worst moment, which no plan can beat. Linux only.
`python benchmarks/fetch_models.py` fetches the models.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from xmlc.bench.machine import circumstances
from xmlc.bench.models import models
from xmlc.bench.summary import geometric_mean

BEGIN = """
import json, re, sys
from pathlib import Path
from xmlc.bench.models import model_inputs, models
from xmlc.driver import Settings, entry_of, run_stages, stage_of
from xmlc.running import compile_source
from xmlc.sources import open_source

folder, name, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
case = next(each for each in models(folder) if each.name == name)
inputs = model_inputs(case)
source = open_source(case.file)
ports = [each.name for each in source.inputs if not each.weight]
arrays = dict(zip(ports, inputs))
sizes = {name: array.shape for name, array in arrays.items()}


def status(what):
    "Bytes that /proc tells of this process"
    return int(re.search(what + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


def measured(load):
    "What loading and calling takes, over what was held before"
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status("VmRSS")
    function = load()
    for _ in range(3):
        function()
    print(json.dumps(status("VmHWM") - before))
"""
PLAN = """
program = source.make(sizes, arrays)
run_stages(program.module, stage_of(program.module), "structured", Settings(threads=threads))
main = entry_of(program.module).attributes
print(json.dumps({key: main["xmlc." + key + "_bytes"].value.data for key in ("arena", "live", "buffer")}))
compile_source(source, sizes, arrays, Settings(threads=threads))(*inputs)  # a call fills the cache too
"""
OURS = """
import xmlc.backends.cpu.llvm


def load():
    function = compile_source(open_source(case.file), sizes, arrays, Settings(threads=threads))
    return lambda: function(*inputs)


measured(load)
"""
THEIRS = """
import onnxruntime


def load():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(case.file, options, providers=["CPUExecutionProvider"])
    feed = {each.name: array for each, array in zip(session.get_inputs(), inputs)}
    return lambda: session.run(None, feed)


measured(load)
"""


def told(code: str, *arguments: str) -> Any:
    """What code, run after BEGIN in a new process, prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BEGIN + code, *arguments], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def mebibytes(size: float) -> str:
    return f"{size / 2**20:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dir", type=Path, required=True, metavar="FOLDER", help="ONNX files")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json")
    given = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    print(f"{'MiB':36} {'xmlc':>8} {'onnxruntime':>12} {'ratio':>6}   {'arena':>8} {'live':>8} {'unshared':>8}")
    for case in models(given.dir):
        arguments = (str(given.dir), case.name, str(given.threads))
        plan = told(PLAN, *arguments)
        ours, theirs = told(OURS, *arguments), told(THEIRS, *arguments)
        rows[case.name] = {"xmlc": ours, "onnxruntime": theirs, **plan}
        columns = [mebibytes(plan[key]) for key in ("arena", "live", "buffer")]
        print(f"{case.name:36} {mebibytes(ours):>8} {mebibytes(theirs):>12} {ours / theirs:6.2f}   "
              f"{columns[0]:>8} {columns[1]:>8} {columns[2]:>8}", flush=True)  # fmt: skip
    ratio = geometric_mean(row["xmlc"] / row["onnxruntime"] for row in rows.values())
    spare = geometric_mean(row["arena"] / row["live"] for row in rows.values() if row["live"])
    print(f"geometric means: xmlc over onnxruntime {ratio:.2f}, arena over the least possible {spare:.3f}")
    if given.output is not None:
        record = {"what": "most memory of models, bytes", "threads": given.threads, **circumstances(), "models": rows}
        given.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
