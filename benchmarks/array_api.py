"""The public tests of the Python array API standard, run on `xmlc.numpy`: how many pass, and why the others do not.

    git clone --recurse-submodules https://github.com/data-apis/array-api-tests
    pip install pytest-json-report pytest-timeout ndindex hypothesis
    python benchmarks/array_api.py array-api-tests [--examples N] [--policy compile] [--only TEXT] [-o FILE.json]
    python benchmarks/array_api.py array-api-tests --device cuda --examples 2 --processes 16

Tests that are known not to pass stand in `array_api_xfails.txt` beside this file, each under its reason; one of
them that passes is reported, and one that fails and is not there makes the command end with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from xmlc.bench.machine import circumstances
from xmlc.tensors.device import Device

EXPECTED = Path(__file__).parent / "array_api_xfails.txt"

NO_SHRINKING = """
import pytest
from hypothesis import Phase, settings

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    settings.register_profile("once", parent=settings(), phases=(Phase.explicit, Phase.generate))
    settings.load_profile("once")
"""
"""A plugin of pytest: a failing test is reported as it is, not made smaller, which takes most of the time."""


def run(checkout: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The report of pytest on the checkout's tests, those whose name holds `only`."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "no_shrinking.py").write_text(NO_SHRINKING, encoding="utf-8")
        report = Path(folder) / "report.json"
        settings = {
            "ARRAY_API_TESTS_MODULE": "xmlc.numpy",
            "XMLC_TENSORS": arguments.policy,
            "XMLC_DEVICE": arguments.device,
            "PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")]),
        }
        command = [
            *[sys.executable, "-m", "pytest", "array_api_tests", "-q", "--tb=no", "--disable-warnings"],
            *["-p", "no:cacheprovider", "-p", "no_shrinking", "--timeout=600", f"--xfails-file={EXPECTED.resolve()}"],
            *[f"--max-examples={arguments.examples}", f"--hypothesis-seed={arguments.seed}", "--disable-deadline"],
            *["--json-report", f"--json-report-file={report}", *(["-k", arguments.only] if arguments.only else [])],
            *(["-n", str(arguments.processes)] if arguments.processes > 1 else []),
        ]
        done = subprocess.run(command, cwd=checkout, env=os.environ | settings, check=False)
        if not report.exists():
            sys.exit(done.returncode or 1)
        return json.loads(report.read_text(encoding="utf-8"))


def device_text(device: Device) -> str:
    """A device's name, and what it is if it is a GPU."""
    if device.kind != "cuda":
        return device.name
    from xmlc.backends.cuda.driver import driver_of

    return f"{device.name}, {driver_of(device.number).device.name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder of array-api-tests")
    parser.add_argument("--examples", type=int, default=100, help="how many inputs each test is tried with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--policy", choices=("auto", "compile", "interpret"), default="auto", help="see XMLC_TENSORS")
    parser.add_argument("--device", default="cpu", help="where tensors are made: see XMLC_DEVICE")
    parser.add_argument("--processes", type=int, default=1, help="how many run tests at once")
    parser.add_argument("--only", default="", metavar="TEXT", help="names of the tests to run, as pytest's -k")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where the record goes")
    arguments = parser.parse_args()
    report = run(arguments.checkout, arguments)
    counts: Counter[str] = Counter()
    others: dict[str, list[str]] = defaultdict(list)
    for test in report["tests"]:
        counts[test["outcome"]] += 1
        if test["outcome"] != "passed":
            others[test["outcome"]].append(test["nodeid"])
    revision = subprocess.run(
        ["git", "-C", str(arguments.checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    record = {
        "what": "array-api-tests",
        "revision": revision.stdout.strip(),
        **circumstances(),
        "examples": arguments.examples,
        "seed": arguments.seed,
        "policy": arguments.policy,
        "device": device_text(Device(arguments.device)),
        "seconds": round(report["duration"]),
        "tests": len(report["tests"]),
        "outcomes": dict(counts.most_common()),
        "not_passed": dict(others),
    }
    if arguments.output:
        arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{len(report['tests'])} tests: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    sys.exit(1 if others["failed"] or others["error"] else 0)


if __name__ == "__main__":
    main()
