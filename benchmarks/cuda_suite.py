"""Every op of `ml` on a GPU: compile the samples of the tests on any machine, run them on one that has a GPU.

    python benchmarks/cuda_suite.py build FOLDER [--seconds 300]    # needs no GPU
    python benchmarks/cuda_suite.py run FOLDER -o RESULT.json       # needs no LLVM

The results are compared with the NumPy reference, within the tolerance that the CPU's tests have for each type. Each
sample is run on random numbers; outputs are poisoned first. After an error of the driver, which spoils a process, the
next sample is run in a new one. `--command` is put before the program that runs samples, such as compute-sanitizer.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

OFTEN = ("bf16", "f16", "f32", "i64")
"""Element types that are compiled after each sample's first."""


def wanted() -> list[tuple[int, str]]:
    """(sample, element type): every sample with its first type, then with those that are common."""
    from ml_samples import SAMPLES

    first = [(number, str(sample.elements[0])) for number, sample in enumerate(SAMPLES)]
    more = [
        (number, name)
        for name in OFTEN
        for number, sample in enumerate(SAMPLES)
        if name in [str(each) for each in sample.elements[1:]]
    ]
    return first + more


def build(folder: Path, seconds: float) -> None:
    """Compile what can be compiled in the time; a sample that does not compile is an error."""
    from ml_samples import NAMED, SAMPLES

    from xmlc.driver import Settings, any_target
    from xmlc.driver_cuda import compile_artifact

    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + seconds
    for number, name in wanted():
        if time.monotonic() > until:
            break
        module = SAMPLES[number].module(NAMED[name])
        artifact = compile_artifact(module, Settings(target=any_target("cuda:sm_90a")))
        (folder / f"{slug(SAMPLES[number])}-{name}.artifact").write_bytes(artifact.to_bytes())


def slug(sample: Any) -> str:
    """A sample's name as that of a file: it stays the same when samples are added."""
    return "".join(letter if letter.isalnum() else "_" for letter in str(sample))


def poison(driver: Any, size: int) -> None:
    """Fill memory that the next allocations are likely to get with bytes that are no sensible number."""
    from xmlc.backends.cuda.arrays import DeviceArray

    with DeviceArray.of(driver, np.full(size, 0xFF, np.uint8)):
        pass
    driver.synchronize(0)


def work(files: list[str]) -> None:
    """Run artefacts one after the other; a line of JSON for each, before and after."""
    from ml_samples import NAMED, SAMPLES

    from xmlc.backends.cuda.artifact import CudaArtifact
    from xmlc.backends.cuda.driver import driver_of
    from xmlc.compiled_cuda import CudaModule
    from xmlc.dialects.diagnostics import CompileError
    from xmlc.dialects.reference.interpreter import interpret
    from xmlc.meaning import Outcome, differences

    driver = driver_of()
    samples = {slug(each): each for each in SAMPLES}
    for file in files:
        which, name = Path(file).stem.split("-")
        sample, element = samples[which], NAMED[name]
        print(json.dumps({"begin": file}), flush=True)
        made: dict[str, Any] = {"file": file, "sample": str(sample), "element": name}
        inputs = sample.inputs(element, seed=1)
        with np.errstate(all="ignore"):
            wanted = interpret(sample.module(element), "main", [each.copy() for each in inputs])
        try:
            poison(driver, 1 << 20)
            found = CudaModule(CudaArtifact.from_bytes(Path(file).read_bytes()), {}, driver)(*inputs)
        except CompileError as error:
            print(json.dumps(made | {"error": str(error)}), flush=True)
            return
        wrong = differences(Outcome(tuple(map(np.asarray, wanted)), ""), Outcome(found, ""))
        made["launches"] = len(CudaArtifact.from_bytes(Path(file).read_bytes()).main.program.launches())
        print(json.dumps(made | {"differences": [str(each) for each in wrong]}), flush=True)


def run(folder: Path, output: Path, command: str, limit: float) -> int:
    """Run all artefacts of a folder; write what came out. Returns how many are not right."""
    left = sorted(map(str, folder.glob("*.artifact")))
    results: list[dict[str, Any]] = []
    until = time.monotonic() + limit
    log = ""
    while left and time.monotonic() < until:
        program = [*shlex.split(command), sys.executable, __file__, "work", *left]
        done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=limit + 60)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        begun = [line["begin"] for line in lines if "begin" in line]
        ended = [line for line in lines if "file" in line]
        log += "\n".join(line for line in done.stdout.splitlines() if not line.startswith("{")) if command else ""
        for line in ended:
            results.append(line)
        if begun and begun[-1] not in [line["file"] for line in ended]:
            results.append({"file": begun[-1], "error": done.stderr[-2000:]})
        if not begun:
            raise RuntimeError(f"nothing was run: {done.stdout[-2000:]}{done.stderr[-3000:]}")
        left = [file for file in left if file not in {line["file"] for line in results}]
    wrong = [line for line in results if line.get("error") or line.get("differences")]
    summary = {"ran": len(results), "right": len(results) - len(wrong), "wrong": wrong, "not run": len(left)}
    record: dict[str, Any] = {"device": device(), **summary}
    if command:
        record |= {"command": command, "said": [line for line in log.splitlines() if "====" in line][-40:]}
    output.write_text(json.dumps(record | {"samples": results}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in record.items() if key != "wrong"}))
    for line in wrong[:40]:
        print(json.dumps(line)[:400])
    return len(wrong)


def device() -> dict[str, Any]:
    """What it ran on."""
    ask = "import xmlc.backends.cuda.driver as d; print(d.devices()[0])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return {"device": done.stdout.strip(), "python": sys.version.split()[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["build", "run", "work"])
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--command", default="")
    parser.add_argument("-o", type=Path, default=Path("cuda_suite.json"))
    given = parser.parse_args()
    match given.action:
        case "build":
            build(Path(given.paths[0]), given.seconds)
            return 0
        case "run":
            return int(run(Path(given.paths[0]), given.o, given.command, given.seconds) > 0)
        case _:
            work(given.paths)
            return 0


if __name__ == "__main__":
    sys.exit(main())
