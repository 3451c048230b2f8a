"""How fast one compilation for all sizes is beside compilations for single shapes, and beside onnxruntime.

    python benchmarks/free_sizes.py MODELS -o benchmarks/results/free_sizes.json

MODELS is the folder of `fetch_models.py`. For each model and shape all three are run in turn in one process, in one
thread; what is written is the fastest run of each, their ratios, and how often there was something to compile.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import xmlc
from xmlc.bench.machine import circumstances
from xmlc.files import write_whole
from xmlc.inputs import Port
from xmlc.sources import open_source
from xmlc.versions import Versions

Array = NDArray[Any]

SHAPES: dict[str, list[dict[str, int]]] = {
    "minilm_int8.onnx": [
        {"batch": batch, "sequence": length} for batch, length in ((1, 16), (1, 128), (4, 37), (8, 64))
    ],
    "ppocr_cls.onnx": [{"x.0": batch, "x.2": 48, "x.3": width} for batch, width in ((1, 192), (4, 192))],
    "ppocr4_det.onnx": [
        {"p2o.DynamicDimension.0": 1, "p2o.DynamicDimension.1": height, "p2o.DynamicDimension.2": width}
        for height, width in ((320, 320), (224, 352))
    ],
    "surrogate_mlp.onnx": [{"input.0": batch} for batch in (1, 64, 1000)],
}
"""Model -> its free sizes: by name, or by input and dimension where they have none."""

SECONDS = 1.0
"""How long both are run in turn."""


def shape_of(port: Port, sizes: dict[str, int]) -> tuple[int, ...]:
    stated = port.sizes or ()
    return tuple(
        size if isinstance(size, int) else sizes[f"{port.name}.{axis}" if size is None else size]
        for axis, size in enumerate(stated)
    )


def inputs_of(ports: tuple[Port, ...], sizes: dict[str, int]) -> list[Array]:
    random = np.random.default_rng(0)
    drawn: list[Array] = []
    for port in ports:
        shape = shape_of(port, sizes)
        integers = random.integers(0, 2, shape).astype(port.dtype)
        drawn.append(integers if port.dtype.kind in "iub" else random.standard_normal(shape).astype(port.dtype))
    return drawn


def fastest(functions: list[Any], inputs: list[Array]) -> list[float]:
    """Seconds of the fastest run of each, run in turn."""
    best = [float("inf")] * len(functions)
    for function in functions:
        function(*inputs)
    end = perf_counter() + SECONDS
    while perf_counter() < end:
        for index, function in enumerate(functions):
            started = perf_counter()
            function(*inputs)
            best[index] = min(best[index], perf_counter() - started)
    return best


def measured(path: Path, all_sizes: list[dict[str, int]]) -> dict[str, Any]:
    ports = open_source(str(path)).inputs
    free = xmlc.load(path)
    assert isinstance(free, Versions)
    settings: Any = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    session: Any = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    names = [port.name for port in ports]
    rows: list[dict[str, Any]] = []
    for sizes in all_sizes:
        inputs = inputs_of(ports, sizes)
        fixed = xmlc.load(path, {port.name: shape_of(port, sizes) for port in ports})
        run = [free, fixed, lambda *arrays: session.run(None, dict(zip(names, arrays)))]
        free_s, fixed_s, peer_s = fastest(run, inputs)
        row: dict[str, Any] = {
            "sizes": sizes,
            "free_ms": free_s * 1e3,
            "fixed_ms": fixed_s * 1e3,
            "onnxruntime_ms": peer_s * 1e3,
        }
        row |= {"free_over_fixed": free_s / fixed_s, "onnxruntime_over_free": peer_s / free_s}
        rows.append({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})
        print(path.name, rows[-1])
    return {"shapes": rows, "compilations": [str(each) for each in free.compilations]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    made: dict[str, Any] = {
        "what": "one compilation for all sizes, compilations for single shapes, and onnxruntime; one thread",
        **circumstances(),
        "models": {name: measured(arguments.models / name, sizes) for name, sizes in SHAPES.items()},
    }
    write_whole(arguments.output, json.dumps(made, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
