"""What the composites of `ml` mean, straight from their formulas, in float64 and rounded once at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import composite as ml
from xmlc.dialects.ml.types import element_of
from xmlc.dialects.reference.elementwise import wide

Array = NDArray[Any]


def rounded(value: Array, op: Operation) -> Array:
    return np.asarray(value).astype(TO_NUMPY[element_of(op.results[0])])


def normalized_exponentials(x: Array, axis: int) -> Array:
    """e^x / sum of e^x along an axis; x is shifted by its largest element, which changes nothing but the range."""
    powers = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return powers / np.sum(powers, axis=axis, keepdims=True)


def softmax(op: ml.SoftmaxOp, x: Array) -> Array:
    return rounded(normalized_exponentials(wide(x), op.axis.value.data), op)


def log_softmax(op: ml.LogSoftmaxOp, x: Array) -> Array:
    axis = op.axis.value.data
    shifted = wide(x) - np.max(wide(x), axis=axis, keepdims=True, initial=-np.inf)
    return rounded(shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)), op)


def standardized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """x with mean 0 and variance 1 over `axes`"""
    mean, variance = np.mean(x, axis=axes, keepdims=True), np.var(x, axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def by_channel(parameter: Array, rank: int) -> Array:
    """A parameter of shape (c,) as (c, 1, …), to go with dimension 1 of a tensor."""
    return wide(parameter).reshape(-1, *[1] * (rank - 2))


def layer_norm(op: ml.LayerNormOp, x: Array, scale: Array, bias: Array | None = None) -> Array:
    axes = tuple(range(op.axis.value.data, x.ndim))
    result = standardized(wide(x), axes, op.epsilon.value.data) * wide(scale)
    return rounded(result if bias is None else result + wide(bias), op)


def rms_norm(op: ml.RmsNormOp, x: Array, scale: Array) -> Array:
    axes = tuple(range(op.axis.value.data, x.ndim))
    square = np.mean(wide(x) ** 2, axis=axes, keepdims=True)
    return rounded(wide(x) / np.sqrt(square + op.epsilon.value.data) * wide(scale), op)


def batch_norm(op: ml.BatchNormOp, x: Array, scale: Array, bias: Array, mean: Array, variance: Array) -> Array:
    scale, bias, mean, variance = (by_channel(each, x.ndim) for each in (scale, bias, mean, variance))
    return rounded((wide(x) - mean) / np.sqrt(variance + op.epsilon.value.data) * scale + bias, op)


def group_norm(op: ml.GroupNormOp, x: Array, scale: Array, bias: Array) -> Array:
    groups, channels = op.groups.value.data, x.shape[1]
    split = wide(x).reshape(x.shape[0], groups, channels // groups, *x.shape[2:])
    result = standardized(split, tuple(range(2, split.ndim)), op.epsilon.value.data).reshape(x.shape)
    return rounded(result * by_channel(scale, x.ndim) + by_channel(bias, x.ndim), op)


def instance_norm(op: ml.InstanceNormOp, x: Array, scale: Array, bias: Array) -> Array:
    result = standardized(wide(x), tuple(range(2, x.ndim)), op.epsilon.value.data)
    return rounded(result * by_channel(scale, x.ndim) + by_channel(bias, x.ndim), op)


def seen_columns(shape: tuple[int, ...], mask: Array | None, offset: int | None) -> Array:
    """Which columns each row of scores (b, h, m, n) sees; an offset makes it causal."""
    rows, columns = shape[2:]
    seen: Array = np.ones(shape, bool) if mask is None or mask.dtype != np.bool_ else np.broadcast_to(mask, shape)
    return seen if offset is None else seen & (np.arange(columns) <= np.arange(rows)[:, None] + offset)


def attention_of(
    query: Array, key: Array, value: Array, mask: Array | None, factor: float, offset: int | None
) -> Array:
    """Attention in float64, row by row, over the columns that the row sees."""
    batch, heads, rows, _ = query.shape
    groups, columns = key.shape[1:3]
    q, k, v = wide(query), wide(key), wide(value)
    seen = seen_columns((batch, heads, rows, columns), mask, offset)
    bias = np.zeros(seen.shape)
    if mask is not None and mask.dtype != np.bool_:
        bias = bias + wide(mask)
    result = np.zeros((batch, heads, rows, v.shape[3]))
    for b, h, i in np.ndindex(batch, heads, rows):
        group, columns_seen = h // (heads // groups), seen[b, h, i]
        scores = factor * (k[b, group, columns_seen] @ q[b, h, i]) + bias[b, h, i, columns_seen]
        if scores.size and np.max(scores) != -np.inf:
            result[b, h, i] = normalized_exponentials(scores, 0) @ v[b, group, columns_seen]
    return result


def attention(op: ml.AttentionOp, query: Array, key: Array, value: Array, mask: Array | None = None) -> Array:
    offset = None if op.causal is None else op.offset.value.data if op.offset else 0
    return rounded(attention_of(query, key, value, mask, op.factor(), offset), op)


REFERENCE: dict[type[Operation], Callable[..., Any]] = {
    ml.SoftmaxOp: softmax,
    ml.LogSoftmaxOp: log_softmax,
    ml.LayerNormOp: layer_norm,
    ml.RmsNormOp: rms_norm,
    ml.BatchNormOp: batch_norm,
    ml.GroupNormOp: group_norm,
    ml.InstanceNormOp: instance_norm,
    ml.AttentionOp: attention,
}
