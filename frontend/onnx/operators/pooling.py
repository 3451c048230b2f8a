"""ONNX operators that slide a window without weights."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from xmlc.dialects.dtypes import is_float
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.frontend.onnx.operator import Node
from xmlc.frontend.onnx.operators.contraction import padding
from xmlc.frontend.onnx.operators.shaping import padded


def ceiled(
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
) -> list[int]:
    """Padding after each dimension that makes room for a last window which begins inside but does not fit."""
    result: list[int] = []
    for size, extent, stride, dilation, before, after in zip(sizes, window, strides, dilations, low, high, strict=True):
        reach = (extent - 1) * dilation + 1
        count = -(-(size + before + after - reach) // stride) + 1
        if (count - 1) * stride >= size + before:
            count -= 1
        result.append(max((count - 1) * stride + reach - size - before, after))
    return result


def MaxPool(
    x: SSAValue,
    *,
    kernel_shape: tuple[int, ...],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    storage_order: int = 0,
    strides: tuple[int, ...] | None = None,
    node: Node,
) -> tuple[SSAValue, SSAValue | None]:
    spatial, sizes = len(kernel_shape), shape_of(x)[2:]
    strides, dilations = strides or (1,) * spatial, dilations or (1,) * spatial
    low, high = padding(sizes, kernel_shape, strides, dilations, auto_pad, pads)
    if ceil_mode:
        high = ceiled(sizes, kernel_shape, strides, dilations, low, high)
    pooled = F.max_pool(x, kernel_shape, strides=strides, dilations=dilations, low=low, high=high)
    if not node.wants(1):
        return pooled, None
    return pooled, max_indices(x, pooled, kernel_shape, strides, dilations, low, high, bool(storage_order))


def max_indices(
    x: SSAValue,
    pooled: SSAValue,
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    column_major: bool,
) -> SSAValue:
    """Where in the flattened x each window's first largest element lies."""
    shape, out = shape_of(x), shape_of(pooled)
    spatial = shape[2:]
    rank = len(spatial)
    steps = [prod(spatial[:axis] if column_major else spatial[axis + 1 :]) for axis in range(rank)]
    position = F.add(
        F.mul(F.iota(shape, 0, i64), F.constant(np.array(prod(shape[1:]), np.int64))),
        F.mul(F.iota(shape, 1, i64), F.constant(np.array(prod(spatial), np.int64))),
    )
    for axis, step in enumerate(steps):
        position = F.add(position, F.mul(F.iota(shape, axis + 2, i64), F.constant(np.array(step, np.int64))))
    widths = [0, 0, *low, 0, 0, *high]
    values = padded(x, widths, "constant", lowest(x))
    places = padded(position, widths, "constant", F.constant(np.array(0, np.int64)))
    candidates: list[SSAValue] = []
    origins: list[SSAValue] = []
    for offset in np.ndindex(*window):
        starts = [0, 0, *(k * dilation for k, dilation in zip(offset, dilations, strict=True))]
        taken = [1, 1, *strides]
        candidates.append(F.reshape(F.slice_(values, starts, out, taken), (1, *out)))
        origins.append(F.reshape(F.slice_(places, starts, out, taken), (1, *out)))
    best = F.argmax(F.concat(candidates, 0), 0, True)
    return F.reshape(F.gather_elements(F.concat(origins, 0), best, 0), out)


def lowest(x: SSAValue) -> SSAValue:
    """The smallest number of x's element type."""
    if is_float(element_of(x)):
        return F.scalar(x, -np.inf)
    return F.reduce_max(F.slice_(x, [0] * rank_of(x), [0] * rank_of(x)))


def AveragePool(
    x: SSAValue,
    *,
    kernel_shape: tuple[int, ...],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> SSAValue:
    spatial, sizes = len(kernel_shape), shape_of(x)[2:]
    strides, dilations = strides or (1,) * spatial, dilations or (1,) * spatial
    low, high = padding(sizes, kernel_shape, strides, dilations, auto_pad, pads)
    longer = ceiled(sizes, kernel_shape, strides, dilations, low, high) if ceil_mode else high
    if count_include_pad and longer != high:
        # the padding counts, what a last window reaches beyond it does not
        x = padded(x, [0, 0, *low, 0, 0, *high], "constant", F.scalar(x, 0.0))
        longer = [after - given for after, given in zip(longer, high, strict=True)]
        low, count_include_pad = [0] * spatial, 0
    return F.avg_pool(
        x,
        kernel_shape,
        strides=strides,
        dilations=dilations,
        low=low,
        high=longer,
        include_pad=bool(count_include_pad),
    )


def LpPool(
    x: SSAValue,
    *,
    kernel_shape: tuple[int, ...],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: tuple[int, ...] | None = None,
    p: int = 2,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> SSAValue:
    """(sum |x|^p)^(1/p) over each window"""
    powers = F.pow_(F.abs_(x), F.scalar(x, float(p)))
    spatial, sizes = len(kernel_shape), shape_of(x)[2:]
    strides, dilations = strides or (1,) * spatial, dilations or (1,) * spatial
    low, high = padding(sizes, kernel_shape, strides, dilations, auto_pad, pads)
    if ceil_mode:
        high = ceiled(sizes, kernel_shape, strides, dilations, low, high)
    mean = F.avg_pool(powers, kernel_shape, strides=strides, dilations=dilations, low=low, high=high, include_pad=True)
    return F.pow_(F.mul(mean, F.scalar(x, float(prod(kernel_shape)))), F.scalar(x, 1.0 / p))


def spatial_axes(x: SSAValue) -> range:
    return range(2, rank_of(x))


def GlobalAveragePool(x: SSAValue) -> SSAValue:
    return F.reduce_mean(x, spatial_axes(x), True)


def GlobalMaxPool(x: SSAValue) -> SSAValue:
    return F.reduce_max(x, spatial_axes(x), True)


def GlobalLpPool(x: SSAValue, *, p: int = 2) -> SSAValue:
    total = F.reduce_sum(F.pow_(F.abs_(x), F.scalar(x, float(p))), spatial_axes(x), True)
    return F.pow_(total, F.scalar(x, 1.0 / p))
