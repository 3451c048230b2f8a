"""Measure the errors of convolutions by transformed tiles, for docs/convolutions.md.

    python scripts/measure_winograd.py

The largest difference from the convolution in float64, relative to the largest element of the result, over images and
filters that are normally distributed; for sums taken directly, and for tiles of 2x2 and of 4x4 results.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from xdsl.context import Context

import xmlc
from xmlc import ml
from xmlc.passes.winograd import UseWinograd

CHANNELS = (16, 64, 256, 512, 1024)
OUTPUTS, SIZE = 32, 28

Array = np.ndarray[Any, np.dtype[Any]]


def error(x: Array, weight: Array, size: int) -> float:
    """The error of one convolution, by tiles of `size` results along each axis; 0 is without tiles."""
    builder = xmlc.Builder()
    image = xmlc.tensor("x".join(map(str, x.shape)) + "xf32")
    filters: Any = weight if size else xmlc.tensor("x".join(map(str, weight.shape)) + "xf32")
    with builder.function("main", x=image, w=filters) as f:
        f.returns(ml.conv(f["x"], f["w"]))
    if size:
        UseWinograd(size).apply(Context(), builder.module)
    (found,) = builder.compile()(*([x] if size else [x, weight]))  # filters of the caller's are not transformed
    windows = sliding_window_view(x.astype(np.float64), (3, 3), (2, 3))  # pyright: ignore
    wanted = np.einsum("nchwij,ocij->nohw", windows, weight.astype(np.float64), optimize=True)
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def main() -> None:
    print("| input channels | direct | 2x2 results | 4x4 results |")
    print("|---|---|---|---|")
    random = np.random.default_rng(0)
    for channels in CHANNELS:
        x = random.normal(size=(1, channels, SIZE, SIZE)).astype(np.float32)
        weight = random.normal(size=(OUTPUTS, channels, 3, 3)).astype(np.float32)
        errors = [f"{error(x, weight, size):.1e}" for size in (0, 2, 4)]
        print(f"| {channels} | {' | '.join(errors)} |")


if __name__ == "__main__":
    main()
