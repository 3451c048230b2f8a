"""What a call of a compiled function costs beyond the work, and what tracing and compiling cost, cold and cached.

    python benchmarks/python_calls.py -o benchmarks/results/python_calls.json

The call adds two arrays of 16 numbers, beside NumPy's own `add`; the function that is compiled has ten operations.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import xmlc
from xmlc import numpy as xnp
from xmlc.bench.machine import circumstances
from xmlc.files import write_whole

CALLS, SAMPLES, COMPILATIONS = 20_000, 7, 9


def microseconds(functions: list[Callable[[], Any]]) -> list[float]:
    """The least time of a call of each, measured in turn."""
    best = [float("inf")] * len(functions)
    for _ in range(SAMPLES):
        for index, function in enumerate(functions):
            started = perf_counter()
            for _ in range(CALLS):
                function()
            best[index] = min(best[index], (perf_counter() - started) / CALLS * 1e6)
    return best


def ten(x: Any, y: Any) -> Any:
    for _ in range(3):
        x = xnp.tanh(x * y + 1)
    return (x - y).sum()


def compiling(x: Any, y: Any) -> float:
    """The median milliseconds from a Python function to its first result."""
    samples: list[float] = []
    for _ in range(COMPILATIONS):
        function = xmlc.compile(ten)
        started = perf_counter()
        function(x, y)
        samples.append((perf_counter() - started) * 1e3)
    return statistics.median(samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    x = y = np.ones(16, np.float32)
    add = xmlc.compile(lambda x, y: x + y)
    add(x, y)
    mine, theirs = microseconds([lambda: add(x, y), lambda: np.add(x, y)])
    os.environ["XMLC_CACHE_DIR"] = tempfile.mkdtemp()
    os.environ["XMLC_CACHE"] = "0"
    compiling(x, y)  # imports
    cold = compiling(x, y)
    os.environ["XMLC_CACHE"] = "1"
    compiling(x, y)
    cached = compiling(x, y)
    made = {"call_us": mine, "numpy_us": theirs, "beyond_us": mine - theirs, "cold_ms": cold, "cached_ms": cached}
    print(", ".join(f"{name} {value:.2f}" for name, value in made.items()))
    if arguments.output:
        record = {"what": "calls and compilations from Python", **circumstances(), **made}
        write_whole(arguments.output, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
