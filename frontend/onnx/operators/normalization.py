"""ONNX operators that bring a tensor's values to a common scale."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.frontend.onnx import tensors
from xmlc.frontend.onnx.operator import Node
from xmlc.frontend.onnx.operators.shaping import positive
from xmlc.frontend.onnx.unsupported import Unsupported


def per_channel(x: SSAValue, values: SSAValue) -> SSAValue:
    """One value a channel (dimension 1), shaped to broadcast with x."""
    return F.reshape(values, (prod(shape_of(values)), *[1] * (rank_of(x) - 2)))


def BatchNormalization(
    x: SSAValue,
    scale: SSAValue,
    bias: SSAValue,
    mean: SSAValue,
    variance: SSAValue,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
    node: Node,
) -> SSAValue | tuple[SSAValue, SSAValue, SSAValue]:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, one of each a channel.

    Training takes mean and variance over x, and gives the running ones as results 2 and 3.
    """
    if not spatial:
        raise Unsupported("statistics for each element (spatial = 0) are not supported")
    element = element_of(x)
    scale, bias = F.cast(scale, element), F.cast(bias, element)
    if not training_mode:
        if len(node.outputs) > 1:
            raise Unsupported("training before opset 14 is not supported")
        return F.batch_norm(x, scale, bias, F.cast(mean, element), F.cast(variance, element), epsilon)
    axes = [axis for axis in range(rank_of(x)) if axis != 1]
    now = F.reduce_mean(x, axes, False)
    off = F.sub(x, per_channel(x, now))
    spread = F.reduce_mean(F.mul(off, off), axes, False)

    def running(before: SSAValue, current: SSAValue) -> SSAValue:
        current = F.cast(current, element_of(before))
        return F.add(F.mul(before, F.scalar(before, momentum)), F.mul(current, F.scalar(before, 1 - momentum)))

    out = F.batch_norm(x, scale, bias, now, spread, epsilon)
    return out, running(mean, now), running(variance, spread)


def InstanceNormalization(x: SSAValue, scale: SSAValue, bias: SSAValue, *, epsilon: float = 1e-5) -> SSAValue:
    return F.instance_norm(x, scale, bias, epsilon)


def GroupNormalization_18(
    x: SSAValue, scale: SSAValue, bias: SSAValue, *, epsilon: float = 1e-5, num_groups: int
) -> SSAValue:
    """Opset 18: one scale and bias a group."""
    group = np.arange(shape_of(x)[1]) // (shape_of(x)[1] // num_groups)
    each = F.constant(group.astype(np.int64))
    return F.group_norm(x, F.gather(scale, each, 0), F.gather(bias, each, 0), num_groups, epsilon)


def GroupNormalization_21(
    x: SSAValue, scale: SSAValue, bias: SSAValue, *, epsilon: float = 1e-5, num_groups: int, stash_type: int = 1
) -> SSAValue:
    return F.group_norm(x, scale, bias, num_groups, epsilon)


def LayerNormalization(
    x: SSAValue,
    scale: SSAValue,
    bias: SSAValue | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    node: Node,
) -> tuple[SSAValue | None, ...]:
    """Mean and inverse deviation are results 2 and 3, in float32 (`stash_type` 1)."""
    out = F.layer_norm(x, scale, bias, axis, epsilon)
    if not node.wants(1) and not node.wants(2):
        return out, None, None
    stashed = F.cast(x, tensors.element_of(stash_type))
    axes = range(positive((axis,), rank_of(x))[0], rank_of(x))
    mean = F.reduce_mean(stashed, axes, True)
    off = F.sub(stashed, mean)
    variance = F.reduce_mean(F.mul(off, off), axes, True)
    return out, mean, F.rsqrt(F.add(variance, F.scalar(variance, epsilon)))


def RMSNormalization(
    x: SSAValue, scale: SSAValue, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> SSAValue:
    """Computed in float32, which is `stash_type` 1; of the scale's type."""
    return F.rms_norm(F.cast(x, element_of(scale)), scale, axis, epsilon)


# --- softmax


def Softmax(x: SSAValue, *, axis: int = 1) -> SSAValue:
    """Before opset 13 the dimensions from `axis` on count as one."""
    return F.reshape(F.softmax(flattened(x, axis), 1), shape_of(x))


def Softmax_13(x: SSAValue, *, axis: int = -1) -> SSAValue:
    return F.softmax(x, axis)


def LogSoftmax(x: SSAValue, *, axis: int = 1) -> SSAValue:
    """Before opset 13 the dimensions from `axis` on count as one."""
    return F.reshape(F.log_softmax(flattened(x, axis), 1), shape_of(x))


def LogSoftmax_13(x: SSAValue, *, axis: int = -1) -> SSAValue:
    return F.log_softmax(x, axis)


def flattened(x: SSAValue, axis: int) -> SSAValue:
    """The dimensions before `axis` as one, those from it on as another."""
    shape = shape_of(x)
    axis = axis + len(shape) if axis < 0 else axis
    return F.reshape(x, (prod(shape[:axis]), prod(shape[axis:])))


# --- by a norm


def LpNormalization(x: SSAValue, *, axis: int = -1, p: int = 2) -> SSAValue:
    """x divided by its norm along the axis; 0 where the norm is 0"""
    axes = positive((axis,), rank_of(x))
    magnitude = F.abs_(x) if p == 1 else F.mul(x, x)
    norm = F.reduce_sum(magnitude, axes, True)
    norm = norm if p == 1 else F.sqrt(norm)
    zero = F.scalar(x, 0.0)
    return F.select(F.compare(norm, zero, "eq"), zero, F.div(x, norm))


def LRN(x: SSAValue, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> SSAValue:
    """x / (bias + alpha / size * sum of squares over `size` neighbouring channels)^beta"""
    shape = shape_of(x)
    before = (size - 1) // 2
    low, high = [0] * len(shape), [0] * len(shape)
    low[1], high[1] = before, size - 1 - before
    squares = F.pad(F.mul(x, x), low, high, "constant", F.scalar(x, 0.0))
    total = functools.reduce(F.add, [F.slice_(squares, at(1, k, len(shape)), shape) for k in range(size)])
    scaled = F.add(F.mul(total, F.scalar(x, alpha / size)), F.scalar(x, bias))
    return F.div(x, F.pow_(scaled, F.scalar(x, beta)))


def at(axis: int, position: int, rank: int) -> Sequence[int]:
    """The start of a slice that begins at `position` of one axis."""
    return [position if i == axis else 0 for i in range(rank)]
