"""Every op of `ml` on a GPU: compile the samples of the tests on any machine, run them on one that has a GPU.

    python benchmarks/cuda_suite.py build FOLDER [--seconds 300]    # needs no GPU
    python benchmarks/cuda_suite.py run FOLDER [--sanitize memcheck racecheck] [--jobs 4] -o RESULT.json # needs no LLVM

The results are compared with the NumPy reference, within the tolerance that the CPU's tests have for each type. Each
sample is run on random numbers; outputs are poisoned first. After an error of the driver, which spoils a process, the
next sample is run in a new one. `--sanitize memcheck racecheck` runs all again under those tools of compute-sanitizer.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
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


def run(files: Sequence[str], command: str, limit: float, jobs: int) -> dict[str, Any]:
    """Run artefacts in several processes at a time; what came out. `command` is put before each process."""
    parts = [part for part in (files[i::jobs] for i in range(jobs)) if part]
    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(lambda part: run_part(part, command, limit), parts))
    results = sorted((line for lines, _ in found for line in lines), key=lambda line: line["file"])
    wrong = [line for line in results if line.get("error") or line.get("differences")]
    made: dict[str, Any] = {
        "ran": len(results),
        "right": len(results) - len(wrong),
        "wrong": wrong,
        "not run": len(files) - len(results),
    }
    if command:
        said = Counter(line for _, lines in found for line in lines)
        clean = any("SUMMARY" in line for line in said) and all("SUMMARY: 0" in x for x in said if "SUMMARY" in x)
        made |= {"command": command, "clean": clean, "said": dict(said)}
    return made


def run_part(files: Sequence[str], command: str, limit: float) -> tuple[list[dict[str, Any]], list[str]]:
    """Run artefacts one after the other: a result for each, and the lines that the command said of its own."""
    left, until = list(files), time.monotonic() + limit
    results: list[dict[str, Any]] = []
    said: list[str] = []
    while left and time.monotonic() < until:
        program = [*shlex.split(command), sys.executable, __file__, "work", *left]
        done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=limit + 60)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        begun = [line["begin"] for line in lines if "begin" in line]
        ended = [line for line in lines if "file" in line]
        said += [line for line in done.stdout.splitlines() if line.startswith("=====")]
        results += ended
        if begun and begun[-1] not in [line["file"] for line in ended]:
            results.append({"file": begun[-1], "error": done.stderr[-2000:]})
        if not begun:
            raise RuntimeError(f"nothing was run: {done.stdout[-2000:]}{done.stderr[-3000:]}")
        left = [file for file in left if file not in {line["file"] for line in results}]
    return results, said


def record(folder: Path, output: Path, tools: Sequence[str], limit: float, jobs: int) -> int:
    """Run all artefacts of a folder, then under each tool of compute-sanitizer; 0 if all are right and clean."""
    files = sorted(map(str, folder.glob("*.artifact")))
    made: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "device": device()}
    for tool in ("", *tools):
        started = time.monotonic()
        found = run(files, f"compute-sanitizer --tool {tool}" if tool else "", limit, jobs)
        found["seconds"] = round(time.monotonic() - started)
        made |= {tool: found} if tool else found
        output.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        print(tool or "plain", json.dumps({key: value for key, value in found.items() if key != "wrong"}), flush=True)
        for line in found["wrong"][:40]:
            print(json.dumps(line)[:400])
    runs = [made, *(made[tool] for tool in tools)]
    return int(any(found["wrong"] or found["not run"] or not found.get("clean", True) for found in runs))


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
    parser.add_argument("--sanitize", nargs="*", default=[], metavar="TOOL", help="memcheck, racecheck, ...")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("-o", type=Path, default=Path("cuda_suite.json"))
    given = parser.parse_args()
    match given.action:
        case "build":
            build(Path(given.paths[0]), given.seconds)
            return 0
        case "run":
            return record(Path(given.paths[0]), given.o, given.sanitize, given.seconds, given.jobs)
        case _:
            work(given.paths)
            return 0


if __name__ == "__main__":
    sys.exit(main())
