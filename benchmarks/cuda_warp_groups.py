"""Run products of warp groups, whose factors come through tensor maps, on a GPU of sm_90a, beside NumPy.

    python benchmarks/cuda_warp_groups.py -o RESULT.json

The kernels are MLIR text, those that the interpreter's tests run; each is compiled here, by ptxas or by the driver.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

CASES = ((64, 256, "bf16"), (256, 1024, "bf16"), (8, 320, "f16"), (128, 640, "f16"), (16, 96, "tf32"), (24, 256, "s8"))
"""(columns, depth, elements)"""


def run(n: int, k: int, kind: str) -> dict[str, Any]:
    from launched_kernels import program
    from oracle import parse
    from warp_group_kernels import box, factors, product, shared_bytes

    from xmlc.backends.cuda.arrays import DeviceArray
    from xmlc.backends.cuda.compile import llvm_ir, ptx
    from xmlc.backends.cuda.driver import driver_of
    from xmlc.backends.cuda.target import parse_cuda
    from xmlc.dialects.nvvm.tensor_map import MAP_BYTES, TensorMap

    driver, target = driver_of(), parse_cuda("cuda:sm_90a")
    a, b, c, expected = factors(n, k, kind)
    nothing = np.zeros(MAP_BYTES, np.int8)
    module = parse(program(product(n, k, kind), [nothing, nothing, c], (1, 1, 1), (160, 1, 1), "", shared_bytes(n)))
    there = [DeviceArray.of(driver, each) for each in (a, b)]
    maps = [
        driver.tensor_map(TensorMap.of(each, size, 128, array.address))
        for each, array, size in zip((a, b), there, box(n, kind))
    ]
    given = [DeviceArray.of(driver, np.frombuffer(each, np.int8)) for each in maps]
    out = DeviceArray.of(driver, np.full_like(c, -1))
    cells = [ctypes.c_uint64(each.address) for each in (*given, out)]
    addresses = (ctypes.c_void_p * len(cells))(*(ctypes.addressof(each) for each in cells))
    loaded = driver.load(ptx(llvm_ir(module, target), target).encode())
    function = driver.function(loaded, "k", shared_bytes(n))
    call = driver.prepared(function, (1, 1, 1), (160, 1, 1), shared_bytes(n), 0, ctypes.addressof(addresses))
    errors: list[float] = []
    for _ in range(20):  # a race would show in some
        call()
        found = out.numpy()
        errors.append(float(np.linalg.norm(found - expected) / np.linalg.norm(expected)))
    return {"columns": n, "depth": k, "elements": kind, "relative error": max(errors), "right": max(errors) < 1e-5}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", type=Path, default=Path("cuda_warp_groups.json"))
    given = parser.parse_args()
    rows = [run(*case) for case in CASES]
    for row in rows:
        print(row, flush=True)
    given.o.write_text(json.dumps({"products of warp groups": rows}, indent=1) + "\n", encoding="utf-8")
    return int(not all(row["right"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
