"""What compiling a softmax for a GPU takes, by what the process has done before: imports are a part of it.

    python benchmarks/cuda_compile.py -o RESULT.json               # kernels end on the GPU that is there
    python benchmarks/cuda_compile.py --pretend -o RESULT.json     # a device that takes all code and does nothing

Counted apart: `import` is from the first line of a new process to a builder and an open device; `first` is the first
softmax that the process compiles, which imports what compiling needs; `second` is another one, when all is imported;
`known` is the first again, in the same process. Each is measured with an empty cache and with a filled one. Python's
bytecode is there, as it is where a package was installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from xmlc.bench.machine import machine

PROCESSES = 7
STEPS = ("import", "first", "second", "known")

ONE_PROCESS = """
import json, sys, time
began = time.perf_counter()
import xmlc
ml, tensor, builder_of = xmlc.ml, xmlc.tensor, xmlc.Builder
from xmlc.driver import Settings, any_target
from xmlc.importing import imported
compile_for_gpu = imported("xmlc.driver_cuda", "compile_for_gpu")
if sys.argv[1] == "pretend":
    from xmlc import driver_cuda
    from xmlc.backends.cuda.driver import Device
    class Pretended:
        device = Device(0, "none", (9, 0), 1 << 37, 132)
        def load(self, code): return code
        def function(self, module, name, shared): return name
        def allocate(self, size, stream): return 256
        def free(self, address, stream): pass
        def blocks_at_once(self, *_): return 132
    driver_cuda.driver_of = lambda number: Pretended()
driver_of = sys.modules["xmlc.driver_cuda"].driver_of
device = driver_of(0).device.name
times = [time.perf_counter() - began]
for rows in (2048, 1024, 2048):
    builder = builder_of()
    with builder.function(x=tensor(f"{rows}x4096xf32")) as f:
        f.returns(ml.softmax(f["x"], axis=-1))
    started = time.perf_counter()
    compile_for_gpu(builder.module, {}, Settings(target=any_target("cuda")))
    times.append(time.perf_counter() - started)
print(json.dumps({"times": times, "device": device}))
"""


def one_process(device: str, folder: Path, cache: Path) -> dict[str, Any]:
    """The times of a new process, in seconds, and the name of the device."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "XMLC_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", ONE_PROCESS, device]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def compiling(device: str = "there") -> dict[str, Any]:
    """Milliseconds by state of the cache and step, in the median of several processes."""
    found: dict[str, list[list[float]]] = {"empty cache": [], "filled cache": []}
    with tempfile.TemporaryDirectory() as folder:
        name = one_process(device, Path(folder), Path(folder, "before"))["device"]  # leaves the bytecode
        for number in range(PROCESSES):
            cache = Path(folder, str(number))
            for state in found:
                found[state].append(one_process(device, Path(folder), cache)["times"])
    made: dict[str, Any] = {
        "what": "milliseconds to compile a softmax for a GPU, imports included",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "device": name,
    }
    for state, processes in found.items():
        steps = [median(each) * 1e3 for each in zip(*processes)]
        whole = median(process[0] + process[1] for process in processes) * 1e3
        made[state] = {**dict(zip(STEPS, steps)), "import and first": whole}
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretend", action="store_true")
    parser.add_argument("-o", type=Path)
    given = parser.parse_args()
    made = compiling("pretend" if given.pretend else "there")
    if given.o:
        given.o.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    for state in ("empty cache", "filled cache"):
        print(f"{state:13} ", "   ".join(f"{step} {value:.1f} ms" for step, value in made[state].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
