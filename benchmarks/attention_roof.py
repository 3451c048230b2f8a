"""How near attention comes to the multiply-adds that it is made of: xmlc, its peers and the processor's peak, in turn.

    python benchmarks/attention_roof.py -o benchmarks/results/attention_roof.json

The roof of `xmlc bench` is the best of short trials. Here the peak takes turns with the contestants, as long as theirs,
so that a share is of what the processor does at that time. The order of turns is drawn anew in each round; before each,
everything rests, and what comes next runs once. The least of all rounds counts: what else the machine does only adds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xmlc.backends.cpu.target import host
from xmlc.bench.case import Case, random_inputs
from xmlc.bench.machine import circumstances
from xmlc.bench.micro import micro
from xmlc.bench.peers import OURS, PEERS, absent_peers
from xmlc.bench.roofs import PeakLoop, peaks, together
from xmlc.files import write_whole

PEAK = "peak"
RIVALS = ("openvino", "onnxruntime", "torch")
TURN_S, REST_S = 0.02, 0.02


def peak_of(threads: int) -> tuple[Callable[[], object], int]:
    """What multiplies and adds for about a turn, and how many operations that is."""
    loop = PeakLoop(peaks(host())[0], host(), threads)
    count = 1000
    while True:
        run = partial(together, loop.works(count))
        if min(run() for _ in range(3)) >= TURN_S / 2:
            return run, count * loop.operations
        count *= 2


def seconds_of(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least of each over the rounds, of as many calls as a turn has time for."""
    calls: dict[str, int] = {}
    for name, run in runs.items():
        run()
        start = time.perf_counter()
        run()
        calls[name] = max(1, round(TURN_S / (time.perf_counter() - start)))
    found: dict[str, list[float]] = {name: [] for name in runs}
    generator = np.random.default_rng(0)
    for _ in range(rounds):
        for name in generator.permutation(list(runs)):
            time.sleep(REST_S)
            runs[name]()
            start = time.perf_counter()
            for _ in range(calls[name]):
                runs[name]()
            found[name].append((time.perf_counter() - start) / calls[name])
    return {name: min(each) for name, each in found.items()}


def measured(case: Case, threads: int, rivals: list[str], rounds: int) -> dict[str, Any]:
    """Seconds of each contestant, operations a second of the peak, and the operations of the two products."""
    inputs = random_inputs(case)
    contestants = {name: PEERS[name].prepare(case, inputs, threads) for name in (OURS, *rivals)}
    runs = {name: each.run for name, each in contestants.items()}
    run_peak, operations = peak_of(threads)
    seconds = seconds_of({**runs, PEAK: run_peak}, rounds)
    batch, heads, rows, depth = case.shapes[0]
    products = 4 * batch * heads * rows * case.shapes[1][2] * depth
    about = {"case": case.name, "threads": threads, "flops": products}
    return {**about, PEAK: operations / seconds.pop(PEAK), "seconds": seconds}


def line(found: dict[str, Any]) -> str:
    least = found["flops"] / found[PEAK]
    shares = (f"{who} {1e6 * took:.1f} µs {least / took:.0%}" for who, took in found["seconds"].items())
    about = f"{found['case']}, {found['threads']} threads: peak {found[PEAK] / 1e9:.0f} GFLOP/s"
    return f"{about}, {', '.join(shares)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json")
    arguments = parser.parse_args()
    missing = absent_peers(RIVALS)
    rivals = [name for name in RIVALS if name not in missing]
    cells: list[dict[str, Any]] = []
    for threads in arguments.threads:
        for case in micro():
            if case.kind == "attention" and case.shapes[0][2] > 1:
                cells.append(measured(case, threads, rivals, arguments.rounds))
                print(line(cells[-1]), flush=True)
    if arguments.output:
        record = {"what": "attention beside the peak of multiply-adds", **circumstances(), "cells": cells}
        write_whole(arguments.output, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
