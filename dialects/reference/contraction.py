"""What the ops of `ml` mean that multiply and sum, or slide a window.

Floating-point sums are accumulated in float64 and rounded once; integers wrap around.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from xdsl.ir import Operation

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import contraction as ml
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.dialects.reference.elementwise import wide
from xmlc.dialects.reference.reduction import lowest

Array = NDArray[Any]


def rounded(value: Array, op: Operation) -> Array:
    return np.asarray(value).astype(TO_NUMPY[element_of(op.results[0])])


def matmul(op: ml.MatmulOp, lhs: Array, rhs: Array, bias: Array | None = None) -> Array:
    product = np.matmul(wide(lhs), wide(rhs))
    return rounded(product if bias is None else product + wide(bias), op)


def einsum(op: ml.EinsumOp, *inputs: Array) -> Array:
    return rounded(np.einsum(op.equation.data.replace(" ", ""), *map(wide, inputs)), op)


def windows(x: Array, window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Array:
    """A view (n, c, *positions, *window) of x (n, c, *spatial)."""
    spatial = len(window)
    axes = tuple(range(2, 2 + spatial))
    extents = [(w - 1) * d + 1 for w, d in zip(window, dilations)]
    positions = [max((n - m) // stride + 1, 0) for n, m, stride in zip(x.shape[2:], extents, strides)]
    if 0 in positions:
        return np.zeros((*x.shape[:2], *positions, *window), x.dtype)
    view = sliding_window_view(x, extents, axes)  # pyright: ignore
    steps = [slice(None, None, stride) for stride in strides]
    taps = [slice(None, None, dilation) for dilation in dilations]
    return view[(slice(None), slice(None), *steps, *taps)]


def padded(x: Array, low: Sequence[int], high: Sequence[int], value: Any) -> Array:
    widths = [(0, 0), (0, 0), *zip(low, high)]
    grown = np.pad(x, [(max(a, 0), max(b, 0)) for a, b in widths], constant_values=value)
    return grown[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(widths, grown.shape))]


def convolution(op: ml.WindowedOp, x: Array, weight: Array, bias: Array | None, groups: int) -> Array:
    """x (n, c, *s) with a weight (o, c / groups, *k) that slides over it, not rounded yet"""
    strides, dilations, low, high = op.window_lists()
    spatial = len(strides)
    x, weight = padded(wide(x), low, high, 0), wide(weight)
    result: list[Array] = []
    for part, filters in zip(np.split(x, groups, 1), np.split(weight, groups, 0)):
        view = windows(part, weight.shape[2:], strides, dilations)
        taps = tuple(range(2 + spatial, 2 + 2 * spatial))
        product = np.tensordot(view, filters, ((1, *taps), (1, *range(2, 2 + spatial))))
        result.append(np.moveaxis(product, -1, 1))
    total = np.concatenate(result, 1)
    return total if bias is None else total + wide(bias).reshape(-1, *[1] * spatial)


def conv(op: ml.ConvOp, x: Array, weight: Array, bias: Array | None = None) -> Array:
    return rounded(convolution(op, x, weight, bias, op.groups.value.data), op)


def conv_transpose(op: ml.ConvTransposeOp, x: Array, weight: Array, bias: Array | None = None) -> Array:
    strides, dilations, low, high = op.window_lists()
    groups, x, weight = op.groups.value.data, wide(x), wide(weight)
    kernel = weight.shape[2:]
    full = [(s - 1) * t + (k - 1) * d + 1 for s, t, k, d in zip(x.shape[2:], strides, kernel, dilations)]
    total = np.zeros((x.shape[0], weight.shape[1] * groups, *[max(n, 0) for n in full]), x.dtype)
    if x.size:
        for tap in np.ndindex(*kernel):
            parts = zip(np.split(x, groups, 1), np.split(weight[(..., *tap)], groups, 0))
            product = np.concatenate([np.einsum("nc...,co->no...", part, taps) for part, taps in parts], 1)
            steps = [
                slice(k * d, k * d + (s - 1) * t + 1, t) for k, d, s, t in zip(tap, dilations, x.shape[2:], strides)
            ]
            total[(slice(None), slice(None), *steps)] += product
    total = padded(total, [-a for a in low], [-b for b in high], 0)
    return rounded(total if bias is None else total + wide(bias).reshape(-1, *[1] * len(strides)), op)


def pooled(op: ml.PoolOp, x: Array, outside: Any) -> Array:
    """(n, c, *positions, everything in the window)"""
    strides, dilations, low, high = op.window_lists()
    view = windows(padded(x, low, high, outside), tuple(op.window.get_values()), strides, dilations)
    return view.reshape(*view.shape[: x.ndim], int(np.prod(view.shape[x.ndim :])))


def max_pool(op: ml.MaxPoolOp, x: Array) -> Array:
    return rounded(pooled(op, wide(x), lowest(wide(x).dtype)).max(-1), op)


def avg_pool(op: ml.AvgPoolOp, x: Array) -> Array:
    total = pooled(op, wide(x), 0).sum(-1)
    inside = pooled(op, np.ones(x.shape), 1 if op.include_pad else 0).sum(-1)
    return rounded(total / inside, op)


def source_coordinates(kind: ml.Coordinates, result: int, size: int, scale: float) -> NDArray[np.float64]:
    """Where in a dimension of length `size` each of `result` elements lies."""
    i = np.arange(result, dtype=np.float64)
    match kind:
        case ml.Coordinates.ASYMMETRIC:
            return i / scale
        case ml.Coordinates.ALIGN_CORNERS:
            return i * (size - 1) / (result - 1) if result > 1 else np.zeros(result)
        case ml.Coordinates.PYTORCH_HALF_PIXEL if result <= 1:
            return np.zeros(result)
        case ml.Coordinates.HALF_PIXEL | ml.Coordinates.PYTORCH_HALF_PIXEL:
            return (i + 0.5) / scale - 0.5
        case ml.Coordinates.HALF_PIXEL_SYMMETRIC:
            adjustment = result / (scale * size)
            return size / 2 * (1 - adjustment) + (i + 0.5) / scale - 0.5


ROUND: dict[ml.Rounding, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    ml.Rounding.FLOOR: np.floor,
    ml.Rounding.CEIL: np.ceil,
    ml.Rounding.ROUND_PREFER_FLOOR: lambda x: np.ceil(x - 0.5),
    ml.Rounding.ROUND_PREFER_CEIL: lambda x: np.floor(x + 0.5),
}


def resize(op: ml.ResizeOp, x: Array) -> Array:
    result = x if op.interpolation.data is ml.Interpolation.NEAREST else wide(x)
    for axis, (after, scale) in enumerate(zip(shape_of(op.out), op.scales.get_values())):
        size = result.shape[axis]
        if after == size and scale == 1:
            continue
        at = source_coordinates(op.coordinates.data, after, size, scale)
        if op.interpolation.data is ml.Interpolation.NEAREST:
            nearest = np.clip(ROUND[op.rounding.data](at), 0, size - 1).astype(np.int64)
            result = np.take(result, nearest, axis)
            continue
        at = np.clip(at, 0, size - 1)
        left = np.floor(at).astype(np.int64)
        part = (at - left).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        right = np.minimum(left + 1, size - 1)
        result = np.take(result, left, axis) * (1 - part) + np.take(result, right, axis) * part
    return rounded(result, op)


REFERENCE: dict[type[Operation], Callable[..., Array]] = {
    ml.MatmulOp: matmul,
    ml.EinsumOp: einsum,
    ml.ConvOp: conv,
    ml.ConvTransposeOp: conv_transpose,
    ml.MaxPoolOp: max_pool,
    ml.AvgPoolOp: avg_pool,
    ml.ResizeOp: resize,
}
