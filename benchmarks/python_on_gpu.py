"""The tests of tensors, Python functions, derivatives and training, all on the GPU that is there: a record.

python benchmarks/python_on_gpu.py -o benchmarks/results/DATE-DEVICE-python.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from xmlc.backends.cuda.driver import driver_of
from xmlc.options import DEVICE

TESTS = (
    "test_tensors.py",
    "test_gpu_arrays.py",
    "test_tracing.py",
    "test_transformations.py",
    "test_gradients_like_torch.py",
    "training",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--tests", type=Path, default=Path(__file__).resolve().parents[1] / "tests")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    device = driver_of(0).device
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        files = [str(arguments.tests / each) for each in TESTS]
        command = [sys.executable, "-m", "pytest", "-n", str(arguments.processes), "--tb=short", f"--junitxml={report}"]
        done = subprocess.run([*command, *files], env=os.environ | {DEVICE.name: "cuda"}, check=False)
        suite = next(ElementTree.parse(report).iter("testsuite"))
        failed = [
            f"{case.get('classname')}::{case.get('name')}"
            for case in suite.iter("testcase")
            if case.find("failure") is not None or case.find("error") is not None
        ]
    record = {
        "device": device.name,
        "processor": device.processor,
        "date": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        "what": f"{', '.join(TESTS)} with {DEVICE.name}=cuda",
        "ran": int(suite.get("tests", 0)),
        "skipped": int(suite.get("skipped", 0)),
        "failed": failed,
    }
    arguments.o.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{record['ran']} tests ran on {device.name}, {len(failed)} failed")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
