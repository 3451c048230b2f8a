"""All of ONNX's own node tests, run by xmlc: how many pass, and what the others lack.

    python benchmarks/onnx_conformance.py [-o FILE.json] [--only REGEX]

Each case is a model with inputs and outputs from the `onnx` wheel. It `passes` within the case's own tolerance, is
`unsupported` where xmlc says so before it runs anything, `wrong` where the numbers differ, an `error` where it is
refused otherwise, and a `crash` where the process ends. The record names versions, hardware and date.
"""

from __future__ import annotations

import argparse
import json
import re
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from xmlc import onnx_backend
from xmlc.bench.machine import circumstances
from xmlc.dialects.diagnostics import CompileError
from xmlc.options import CACHE


@cache
def cases() -> dict[str, TestCase]:
    """The node tests by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name: case for case in load_model_tests(kind="node")}


def outcome(name: str) -> tuple[str, str]:
    """How a case ends, and the message where it does not pass."""
    case: Any = cases()[name]
    if case.model is None or case.data_sets is None:
        return "unsupported", "the case has no model of its own"
    try:
        with CACHE.set(False):
            prepared = onnx_backend.prepare(case.model)
            for inputs, expected in case.data_sets:
                found = list(prepared.run([array_of(each) for each in inputs]))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    Runner.assert_similar_outputs([array_of(each) for each in expected], found, case.rtol, case.atol)
    except NotImplementedError as error:
        return "unsupported", first_line(error)
    except AssertionError as error:
        return "wrong", first_line(error)
    except CompileError as error:
        return "error", first_line(error)
    return "pass", ""


def array_of(value: Any) -> Any:
    """A value of a case as an array: some are NumPy scalars or protocol buffers."""
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def run(names: list[str]) -> dict[str, tuple[str, str]]:
    """The outcome of each case, in processes of their own so that a crash costs one case."""
    found: dict[str, tuple[str, str]] = {}
    while waiting := [name for name in names if name not in found]:
        with ProcessPoolExecutor(1) as pool:
            try:
                for name, ended in zip(waiting, pool.map(outcome, waiting)):
                    found[name] = ended
            except BrokenProcessPool:
                found[waiting[len([name for name in waiting if name in found])]] = "crash", "the process ended"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where the record goes")
    parser.add_argument("--only", default="", metavar="REGEX", help="names of the cases to run")
    arguments = parser.parse_args()
    found = run([name for name in sorted(cases()) if re.search(arguments.only, name)])
    counts = Counter(status for status, _ in found.values())
    record = {
        "what": "ONNX node tests",
        **circumstances(),
        "cases": len(found),
        "outcomes": dict(counts.most_common()),
        "not_passed": {name: list(ended) for name, ended in found.items() if ended[0] != "pass"},
    }
    if arguments.output:
        arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{len(found)} cases: " + ", ".join(f"{count} {status}" for status, count in counts.most_common()))


if __name__ == "__main__":
    main()
