"""What share of the multiply-adds that the cores do at that moment a product of matrices reaches.

    python benchmarks/multiply_adds.py --threads 2 -o benchmarks/results/multiply_adds_2_threads.json

The peak that `xmlc bench` measures is the best of many trials of 2 ms. A product takes up to half a second, in which
cores are interrupted and shared. Here it takes turns with a loop of at least as many multiply-adds on registers alone,
a part of them in each thread at once: the share is the product's rate over the loop's, and next to it stands what of
the best of such trials of 2 ms both reach.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xmlc.backends.cpu.target import host
from xmlc.bench.case import random_inputs
from xmlc.bench.machine import circumstances
from xmlc.bench.micro import micro
from xmlc.bench.peers import PEERS
from xmlc.bench.roofs import PeakLoop, peak_rate, peaks, together
from xmlc.files import write_whole

SIZES = (512, 1024, 2048, 4096)
LOOP_S = 0.1
"""Seconds of the loop, at least: what it takes to start threads is little beside it."""


def seconds(run: Callable[[], object], warm: float, least: float) -> float:
    """Of one call, after calls for some time, in calls that take as long as stated at least."""
    end = time.perf_counter() + warm
    run()
    while time.perf_counter() < end:
        run()
    start, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - start < least:
        run()
        calls += 1
    return (time.perf_counter() - start) / calls


def shares(size: int, threads: int, duration: float, best: float) -> dict[str, Any]:
    """Medians and quartiles of what the product of two squares reaches, by turns with the loop."""
    case = next(each for each in micro() if each.name == f"gemm/f32/{size}x{size}x{size}")
    product = PEERS["xmlc"].prepare(case, random_inputs(case), threads)
    peak = next(each for each in peaks(host()) if each.dtype == "f32")
    loop = PeakLoop(peak, host(), threads)
    operations = 2 * size**3
    count = operations // loop.operations
    rates: dict[str, list[float]] = {"product": [], "loop": []}
    end = time.perf_counter() + duration
    while time.perf_counter() < end:
        rates["product"].append(operations / seconds(product.run, 0.05 if threads > 1 else 0.0, 0.01))
        repeats = max(1, int(LOOP_S * best / operations))
        rates["loop"].append(operations * repeats / together(loop.works(count * repeats)))
    ratios = [x / y for x, y in zip(rates["product"], rates["loop"], strict=True)]
    return {
        "of the loop": quartiles(ratios),
        "of the best trial": quartiles([each / best for each in rates["product"]]),
        "loop, of the best trial": quartiles([each / best for each in rates["loop"]]),
        "turns": len(ratios),
    }


def quartiles(values: Sequence[float]) -> list[float]:
    return [round(each, 4) for each in statistics.quantiles(values, n=4)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="how many, of the product and of the loop")
    parser.add_argument("--seconds", type=float, default=10, help="how long to measure each size")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json")
    arguments = parser.parse_args()
    peak = next(each for each in peaks(host()) if each.dtype == "f32")
    best = peak_rate(peak, host(), arguments.threads)
    found: dict[int, dict[str, Any]] = {}
    for size in SIZES:
        found[size] = shares(size, arguments.threads, arguments.seconds, best)
        print(size, "; ".join(f"{name}: {value}" for name, value in found[size].items()), flush=True)
    if arguments.output:
        record = {"threads": arguments.threads, "best": best, **circumstances(), "sizes": found}
        write_whole(arguments.output, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
