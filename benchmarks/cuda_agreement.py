"""Ops whose kernels work otherwise at real sizes, run on a GPU and compared with the NumPy reference: times too.

    python benchmarks/cuda_agreement.py build FOLDER            # needs no GPU
    python benchmarks/cuda_agreement.py run FOLDER -o RESULT.json # needs no LLVM

Scatters that add, whose threads add atomically unless XMLC_DETERMINISTIC asks for an order; sorts and topk of 64 bits,
which take one half of the keys after the other; random numbers, whose bits are to be the processor's. Each program runs
several times on the same inputs: `same in every run` says whether its results did not differ in a bit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

Array = NDArray[Any]
RUNS = 9


@dataclass(frozen=True)
class Sample:
    """A program of `ml`, its inputs, and how far from the reference it may be, relative to the largest result."""

    types: tuple[str, ...]
    build: Callable[..., Any]
    inputs: Callable[[np.random.Generator], list[Array]]
    tolerance: float = 0.0
    deterministic: bool = False

    def module(self) -> ModuleOp:
        import xmlc

        builder = xmlc.Builder()
        kinds: dict[str, Any] = {f"x{i}": xmlc.tensor(each) for i, each in enumerate(self.types)}
        with builder.function(**kinds) as f:
            made = self.build(*(f[name] for name in kinds))
            f.returns(*(made if isinstance(made, tuple) else (made,)))
        return builder.module


def scattered(element: str, rows: int, columns: int, updates: int, *, deterministic: bool = False) -> Sample:
    """Rows of updates are added to rows of a table: the gradient of an embedding."""

    def build(x: Any, places: Any, values: Any) -> Any:
        from xmlc.dialects.ml import functions as F

        return F.scatter_nd(x, places, values, "add")

    def inputs(rng: np.random.Generator) -> list[Array]:
        dtype = {"f32": np.float32, "f64": np.float64, "i64": np.int64}[element]
        table, values = (rng.normal(0, 100, (size, columns)).astype(dtype) for size in (rows, updates))
        return [table, rng.integers(0, rows, (updates, 1)), values]

    types = (f"{rows}x{columns}x{element}", f"{updates}x1xi64", f"{updates}x{columns}x{element}")
    tolerance = 0.0 if deterministic else {"f32": 1e-5, "f64": 1e-14, "i64": 0.0}[element]
    return Sample(types, build, inputs, tolerance, deterministic)


def sorted_rows(element: str, rows: int, columns: int) -> Sample:
    """Values and places, ascending, and the 64 largest."""

    def build(x: Any) -> Any:
        from xmlc.dialects.ml import functions as F

        return (*F.sort(x, 1), *F.topk(x, 64, 1))

    def inputs(rng: np.random.Generator) -> list[Array]:
        high, low = rng.integers(-1000, 1000, (2, rows, columns))
        whole = (high << 40) + (low << 31)  # halves that repeat, and some equal keys
        whole[:, 1::7] = whole[:, ::7][:, : whole[:, 1::7].shape[1]]
        return [whole if element == "i64" else whole.astype(np.float64) * 1e-9]

    return Sample((f"{rows}x{columns}x{element}",), build, inputs)


def drawn(name: str, element: str, tolerance: float) -> Sample:
    """Random numbers from a key."""

    def build(key: Any) -> Any:
        from xmlc.dialects.dtypes import FROM_NUMPY
        from xmlc.dialects.ml import functions as F

        dtype = FROM_NUMPY[np.dtype({"f32": np.float32, "f64": np.float64}[element])]
        return getattr(F, name)(key, (256, 512), dtype, -1.5, 2.5)

    return Sample(("2xui32",), build, lambda rng: [rng.integers(0, 2**32, 2, dtype=np.uint32)], tolerance)


SAMPLES: Mapping[str, Sample] = {
    "scatter_add f32 8192x256, 65536 rows": scattered("f32", 8192, 256, 65536),
    "scatter_add f32 8192x256, 65536 rows, in order": scattered("f32", 8192, 256, 65536, deterministic=True),
    "scatter_add f32 16x256, 65536 rows": scattered("f32", 16, 256, 65536),
    "scatter_add f32 16x256, 65536 rows, in order": scattered("f32", 16, 256, 65536, deterministic=True),
    "scatter_add f64 8192x256, 65536 rows": scattered("f64", 8192, 256, 65536),
    "scatter_add i64 8192x256, 65536 rows": scattered("i64", 8192, 256, 65536),
    "sort and topk i64 1x1048576": sorted_rows("i64", 1, 1 << 20),
    "sort and topk i64 1024x2048": sorted_rows("i64", 1024, 2048),
    "sort and topk f64 16x65536": sorted_rows("f64", 16, 1 << 16),
    "uniform f32": drawn("random_uniform", "f32", 0.0),
    "uniform f64": drawn("random_uniform", "f64", 0.0),
    "normal f32": drawn("random_normal", "f32", 1e-6),
    "normal f64": drawn("random_normal", "f64", 1e-14),
}


def file_of(name: str) -> str:
    return name.replace(" ", "_").replace(",", "") + ".program"


def build(folder: Path) -> None:
    from xmlc.driver import Settings, any_target
    from xmlc.driver_cuda import compile_artifact

    folder.mkdir(parents=True, exist_ok=True)
    for name, sample in SAMPLES.items():
        settings = Settings(target=any_target("cuda:sm_90a"), deterministic=sample.deterministic)
        (folder / file_of(name)).write_bytes(compile_artifact(sample.module(), settings).to_bytes())


def run(folder: Path) -> list[dict[str, Any]]:
    from xmlc.backends.cuda.artifact import CudaArtifact
    from xmlc.backends.cuda.driver import driver_of
    from xmlc.compiled_cuda import CudaModule
    from xmlc.dialects.reference.interpreter import interpret

    driver = driver_of()
    rows: list[dict[str, Any]] = []
    for name, sample in SAMPLES.items():
        inputs = sample.inputs(np.random.default_rng(7))
        wanted = [np.asarray(each) for each in interpret(sample.module(), "main", [each.copy() for each in inputs])]
        module = CudaModule(CudaArtifact.from_bytes((folder / file_of(name)).read_bytes()), {}, driver)
        call = module.bind(*inputs)
        begin, end = driver.new_event(), driver.new_event()
        seconds: list[float] = []
        results: list[list[Array]] = []
        for _ in range(RUNS):
            for each in call.outputs:
                driver.fill(each.address, each.nbytes, 0)
            driver.record(begin, 0)
            call()
            driver.record(end, 0)
            seconds.append(driver.seconds_between(begin, end))
            results.append([each.numpy().copy() for each in call.outputs])
        differs = max(difference(found, expected) for each in results for found, expected in zip(each, wanted))
        same = all(a.tobytes() == b.tobytes() for each in results for a, b in zip(each, results[0]))
        row = {
            "program": name,
            "right": differs <= sample.tolerance,
            "differs by": differs,
            "same in every run": same,
            "us": round(median(seconds) * 1e6, 1),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def difference(found: Array, expected: Array) -> float:
    """The largest difference, relative to the largest number that was expected; 0 only where all bits are the same."""
    if found.tobytes() == expected.tobytes():
        return 0.0
    a, b = found.astype(np.float64), expected.astype(np.float64)
    return float(np.abs(a - b).max() / np.abs(b).max()) or sys.float_info.min


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["build", "run"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", type=Path, default=Path("cuda_agreement.json"))
    given = parser.parse_args()
    if given.action == "build":
        build(given.folder)
        return 0
    from xmlc.backends.cuda.driver import driver_of

    date = datetime.now(UTC).isoformat(timespec="seconds")
    rows = run(given.folder)
    made = {"date": date, "device": repr(driver_of().device), "runs of each": RUNS, "programs": rows}
    given.o.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return int(not all(row["right"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
