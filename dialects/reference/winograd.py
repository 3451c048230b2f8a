"""What `ml.winograd_conv` means: transform tiles, multiply, transform back, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from xmlc.dialects.ml import winograd as ml
from xmlc.dialects.reference.contraction import padded, rounded, windows
from xmlc.dialects.reference.elementwise import wide

Array = NDArray[Any]


def winograd_conv(op: ml.WinogradConvOp, x: Array, weight: Array, bias: Array | None = None) -> Array:
    size, taps = op.size, op.size + ml.FILTER - 1
    made = ml.transforms(size)
    image = wide(x) if op.channels_last is None else np.moveaxis(wide(x), -1, 1)
    tiles = windows(padded(image, *op.padding(), 0), (taps, taps), (size, size), (1, 1))  # n, c, y, x, i, j
    data = np.einsum("ai,ncyxij,bj->abncyx", made.data, tiles, made.data, optimize=True)
    product = np.einsum("abqcr,abncyx->abnqryx", wide(weight), data, optimize=True)
    result = np.einsum("pa,abnqryx,sb->nqrypxs", made.result, product, made.result, optimize=True)
    height, width = op.result_sizes()
    rows, columns = op.tiles()
    total = result.reshape(x.shape[0], -1, rows * size, columns * size)[:, :, :height, :width]
    total = total if bias is None else total + wide(bias).reshape(-1, 1, 1)
    return rounded(total if op.channels_last is None else np.moveaxis(total, 1, -1), op)


REFERENCE: dict[type[Operation], Callable[..., Array]] = {ml.WinogradConvOp: winograd_conv}
