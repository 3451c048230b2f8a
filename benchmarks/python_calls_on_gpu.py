"""What calls of compiled functions and operations on tensors cost the host on a GPU, and cuBLASLt beside our products.

    python benchmarks/python_calls_on_gpu.py -o benchmarks/results/DATE-DEVICE-python-calls.json

The function multiplies and adds four arrays of 64 × 64, given one by one or as a tree; times are of the host, medians
of rounds of calls, the device keeping up. Products are whole calls with the device's part, tensors in and out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import xmlc
from xmlc import numpy as xp
from xmlc.backends.cuda.driver import driver_of

ROUNDS, CALLS = 9, 1000
PRODUCTS = (("float32", 256), ("float32", 4096), ("bfloat16", 4096), ("float64", 2048))


def microseconds(call: Callable[[], Any]) -> float:
    call()
    rounds: list[float] = []
    for _ in range(ROUNDS):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        rounds.append((time.perf_counter() - started) / CALLS * 1e6)
    return round(median(rounds), 1)


def calls() -> dict[str, float]:
    """What is called with what -> microseconds."""

    def flat(a: Any, b: Any, c: Any, d: Any) -> Any:
        return a * b + c * d

    def tree(t: Any) -> Any:
        return flat(t["a"], t["b"], *t["c"])

    torchs = [torch.randn(64, 64, device="cuda") for _ in range(4)]
    tensors = [xp.from_dlpack(each) for each in torchs]
    arrays = [each.buffer for each in tensors]
    on_gpu, of_tree = xmlc.compile(device="cuda")(flat), xmlc.compile(device="cuda")(tree)
    as_given = xmlc.compile(device="cuda", returns="caller")(flat)
    found: dict[str, float] = {}
    for name, each in (("PyTorch's arrays", torchs), ("tensors", tensors), ("arrays that calls gave", arrays)):
        found[f"four of {name}"] = microseconds(lambda each=each: on_gpu(*each))
        arranged = {"a": each[0], "b": each[1], "c": each[2:]}
        found[f"a tree of {name}"] = microseconds(lambda arranged=arranged: of_tree(arranged))
    found["four of PyTorch's arrays, giving such"] = microseconds(lambda: as_given(*torchs))
    bound = next(iter(on_gpu.entries.values())).call.bind(*arrays)
    found["bound"] = microseconds(bound)
    found["PyTorch, eager"] = microseconds(lambda: flat(*torchs))
    found["tensors: a * b + c * d, recorded and run"] = microseconds(lambda: flat(*tensors).buffer)
    return found


def products() -> list[dict[str, Any]]:
    """Each kernel's time for square matrices."""
    rows: list[dict[str, Any]] = []
    (kernel,) = xmlc.use_library("cublaslt")
    for dtype, size in PRODUCTS:
        generators = [np.random.default_rng(seed) for seed in (0, 1)]
        a, b = (
            xp.astype(xmlc.Tensor(each.normal(size=(size, size)).astype(np.float32), device="cuda"), dtype)
            for each in generators
        )
        for each in xmlc.compare_kernels(xp.matmul, a, b, seconds=0.1).measured:
            rate = 2 * size**3 / each.seconds * 1e-12
            rows.append(
                {
                    "dtype": dtype,
                    "size": size,
                    "kernel": each.name,
                    "us": round(each.seconds * 1e6, 1),
                    "teraflops": round(rate, 1),
                    "differs_by": each.difference,
                }
            )
    kernel.remove()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    device = driver_of(0).device
    made = {
        "device": device.name,
        "processor": device.processor,
        "date": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        "call_us": calls(),
        "products": products(),
    }
    for name, value in made["call_us"].items():
        print(f"{value:8.1f} µs  {name}")
    for row in made["products"]:
        print(f"{row['dtype']} {row['size']}  {row['kernel']}: {row['us']} µs, {row['teraflops']} TFLOP/s")
    if arguments.output:
        arguments.output.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
