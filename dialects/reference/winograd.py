"""What `ml.winograd_conv` means: transform tiles, multiply, transform back, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from xmlc.dialects.ml import winograd as ml
from xmlc.dialects.ml.types import shape_of
from xmlc.dialects.reference.contraction import padded, rounded, windows
from xmlc.dialects.reference.elementwise import wide

Array = NDArray[Any]


def winograd_conv(op: ml.WinogradConvOp, x: Array, weight: Array, bias: Array | None = None) -> Array:
    size, taps = op.size, op.size + ml.FILTER - 1
    made = ml.transforms(size)
    tiles = windows(padded(wide(x), *op.padding(), 0), (taps, taps), (size, size), (1, 1))  # n, c, y, x, i, j
    data = np.einsum("ai,ncyxij,bj->abncyx", made.data, tiles, made.data, optimize=True)
    product = np.einsum("abqcr,abncyx->abnqryx", wide(weight), data, optimize=True)
    result = np.einsum("pa,abnqryx,sb->nqrypxs", made.result, product, made.result, optimize=True)
    batch, outputs, height, width = shape_of(op.out)
    rows, columns = op.tiles()
    total = result.reshape(batch, outputs, rows * size, columns * size)[:, :, :height, :width]
    return rounded(total if bias is None else total + wide(bias).reshape(-1, 1, 1), op)


REFERENCE: dict[type[Operation], Callable[..., Array]] = {ml.WinogradConvOp: winograd_conv}
