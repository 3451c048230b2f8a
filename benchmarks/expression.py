"""Formulas over arrays: xmlc.expr beside NumPy, numexpr and numba, in one process, interleaved, one thread each.

    pip install numexpr numba
    python benchmarks/expression.py [-o FILE.json]

Inputs are normally distributed. Each result is held against NumPy's in float64; the figure is the median over rounds,
in each of which every contestant runs once. Numba's functions are made by `numba.vectorize` with given types.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import numexpr
import numpy as np

import xmlc
from xmlc.bench.machine import circumstances
from xmlc.driver import Settings

FORMULAS: dict[str, tuple[str, Callable[..., Any]]] = {
    "polynomial": ("a*x**2 + 3.0*x*y - y", lambda a, x, y, m: a * x**2 + 3 * x * y - y),
    "sines": ("a*x**2 + sin(y)", lambda a, x, y, m: a * x**2 + m.sin(y)),
    "gaussian": ("exp(-(x*x + y*y)/2)*a", lambda a, x, y, m: m.exp(-(x * x + y * y) / 2) * a),
    "tanh": ("tanh(a*x + y)", lambda a, x, y, m: m.tanh(a * x + y)),
    "distance": ("sqrt((x-a)**2 + (y-a)**2)", lambda a, x, y, m: m.sqrt((x - a) ** 2 + (y - a) ** 2)),
}
SIZES = (1_000, 100_000, 4_000_000)
ROUNDS = 15


def contestants(name: str, arrays: tuple[Any, ...]) -> dict[str, Callable[[], Any]]:
    """What computes a formula of three arrays, as functions of nothing."""
    import math

    text, function = FORMULAS[name]
    a, x, y = arrays
    compiled = xmlc.expr(text)
    assert compiled.names and Settings().threads == 1
    ordered = [dict(zip("axy", arrays))[each] for each in compiled.names]
    kind = numba.from_dtype(x.dtype)
    source = {"polynomial": "a*x*x + 3*x*y - y", "sines": "a*x*x + m.sin(y)", "gaussian": "m.exp(-(x*x + y*y)/2)*a",
              "tanh": "m.tanh(a*x + y)", "distance": "m.sqrt((x-a)**2 + (y-a)**2)"}[name]  # fmt: skip
    element = numba.vectorize([kind(kind, kind, kind)])(eval(f"lambda a, x, y: {source}", {"m": math}))
    return {
        "xmlc": lambda: compiled(*ordered),
        "numpy": lambda: function(a, x, y, np),
        "numexpr": lambda: numexpr.evaluate(text, local_dict={"a": a, "x": x, "y": y}),
        "numba": lambda: element(a, x, y),
    }


def measured(name: str, size: int, dtype: str) -> dict[str, Any]:
    """The median seconds of each contestant, and its largest error relative to NumPy's result in float64."""
    random = np.random.default_rng(0)
    arrays = tuple(random.normal(size=size).astype(dtype) for _ in "axy")
    exact = FORMULAS[name][1](*[each.astype(np.float64) for each in arrays], np)
    calls = contestants(name, arrays)
    scale = np.abs(exact) + np.mean(np.abs(exact))
    errors = {who: float(np.max(np.abs(call() - exact) / scale)) for who, call in calls.items()}
    repeats = max(1, 20_000 // size)
    times: dict[str, list[float]] = {who: [] for who in calls}
    for _ in range(ROUNDS):
        for who, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            times[who].append((time.perf_counter() - start) / repeats)
    medians = {who: statistics.median(each) for who, each in times.items()}
    return {"formula": FORMULAS[name][0], "size": size, "dtype": dtype, "seconds": medians, "errors": errors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where the record goes")
    arguments = parser.parse_args()
    numexpr.set_num_threads(1)
    rows = [measured(name, size, dtype) for name in FORMULAS for size in SIZES for dtype in ("float32", "float64")]
    for row in rows:
        ratios = "  ".join(f"{who} {each / row['seconds']['xmlc']:6.2f}x" for who, each in row["seconds"].items())
        print(f"{row['formula']:28} {row['size']:8} {row['dtype']}  {row['seconds']['xmlc'] * 1e6:9.1f} us  {ratios}")
    peers = {name: version(name) for name in ("numexpr", "numba")}
    record = {
        "what": "formulas over arrays",
        **circumstances(),
        "peers": peers,
        "threads": 1,
        "rows": rows,
    }
    if arguments.output:
        arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
