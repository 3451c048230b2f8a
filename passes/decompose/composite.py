"""Softmax, normalisations and attention as elementwise ops, reductions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import f32, i1, i64
from xdsl.ir import SSAValue

from xmlc.dialects.dtypes import computing_type
from xmlc.dialects.ml import composite as ml
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, has_static_shape, rank_of, shape_of
from xmlc.passes.below_zero import marked
from xmlc.passes.decompose.operands import insert_ones, known_shape, narrow, wide


def softmax(op: ml.SoftmaxOp) -> SSAValue:
    """e^(x - m) * (1 / sum of e^(x - m)), m the largest x: no power exceeds 1, and one division serves a row"""
    x, axes = wide(op.x), (op.axis.value.data,)
    powers = marked(F.exp(F.sub(x, F.reduce_max(x, axes, keep_dims=True))))
    total = F.reduce_sum(powers, axes, keep_dims=True)
    return narrow(F.mul(powers, F.div(F.scalar(total, 1), total)), op.out)


def log_softmax(op: ml.LogSoftmaxOp) -> SSAValue:
    """x - m - log(sum of e^(x - m)), m the largest x"""
    x, axes = wide(op.x), (op.axis.value.data,)
    shifted = F.sub(x, F.reduce_max(x, axes, keep_dims=True))
    total = F.reduce_sum(marked(F.exp(shifted)), axes, keep_dims=True)
    return narrow(F.sub(shifted, F.log(total)), op.out)


def inverse_root(square: SSAValue, epsilon: float) -> SSAValue:
    """1 / sqrt(square + epsilon)"""
    return F.rsqrt(F.add(square, F.scalar(square, epsilon)))


def standardized(x: SSAValue, axes: Sequence[int], epsilon: float) -> SSAValue:
    """(x - mean) / sqrt(variance + epsilon); the variance in a second pass, which cancels nothing"""
    centred = F.sub(x, F.reduce_mean(x, axes, keep_dims=True))
    variance = F.reduce_mean(F.mul(centred, centred), axes, keep_dims=True)
    return F.mul(centred, inverse_root(variance, epsilon))


def layer_norm(op: ml.LayerNormOp) -> SSAValue:
    """standardized(x) * scale + bias"""
    x = wide(op.x)
    result = standardized(x, range(op.axis.value.data, rank_of(x)), op.epsilon.value.data)
    result = F.mul(result, wide(op.scale))
    return narrow(result if op.bias is None else F.add(result, wide(op.bias)), op.out)


def rms_norm(op: ml.RmsNormOp) -> SSAValue:
    """x / sqrt(mean of x^2 + epsilon) * scale"""
    x = wide(op.x)
    square = F.reduce_mean(F.mul(x, x), range(op.axis.value.data, rank_of(x)), keep_dims=True)
    return narrow(F.mul(F.mul(x, inverse_root(square, op.epsilon.value.data)), wide(op.scale)), op.out)


def by_channel(parameter: SSAValue, rank: int) -> SSAValue:
    """A parameter (c) as (c, 1, …), to go with dimension 1 of a tensor."""
    return insert_ones(wide(parameter), 1, rank - 2)


def batch_norm(op: ml.BatchNormOp) -> SSAValue:
    """(x - mean) * (scale / sqrt(variance + epsilon)) + bias: what depends on the channel alone is computed once"""
    rank = rank_of(op.x)
    factor = F.mul(wide(op.scale), inverse_root(wide(op.variance), op.epsilon.value.data))
    centred = F.sub(wide(op.x), by_channel(op.mean, rank))
    return narrow(F.add(F.mul(centred, by_channel(factor, rank)), by_channel(op.bias, rank)), op.out)


def group_norm(op: ml.GroupNormOp) -> SSAValue:
    """standardized over each group, (n, g, c / g, *s), times scale plus bias by channel"""
    shape, groups = known_shape(op, op.x), op.groups.value.data
    grouped = F.reshape(wide(op.x), (shape[0], groups, shape[1] // groups, *shape[2:]))
    result = standardized(grouped, range(2, len(shape) + 1), op.epsilon.value.data)
    result = F.mul(F.reshape(result, shape), by_channel(op.scale, len(shape)))
    return narrow(F.add(result, by_channel(op.bias, len(shape))), op.out)


def instance_norm(op: ml.InstanceNormOp) -> SSAValue:
    """standardized over everything but batch and channel, times scale plus bias by channel"""
    rank = rank_of(op.x)
    result = standardized(wide(op.x), range(2, rank), op.epsilon.value.data)
    return narrow(F.add(F.mul(result, by_channel(op.scale, rank)), by_channel(op.bias, rank)), op.out)


def attention(op: ml.AttentionOp) -> SSAValue:
    """powers @ value / sum of powers, powers = e^(scores - m), m the largest score of a row

    The heads that share a key are stacked, (b, g, h / g * m, d), so that each key is read by one product. The
    division comes after the product with value, on fewer elements. A row without a finite score gets m = 0 and
    powers 0, and its sum, 0, is replaced by 1; any other sum has a power e^0 in it and is at least 1 already.
    """
    batch, heads, rows, depth = known_shape(op, op.query)
    groups, columns = known_shape(op, op.key)[1:3]
    stacked = (batch, groups, heads // groups * rows)
    query, key, value = wide(op.query), wide(op.key), wide(op.value)
    query = F.reshape(F.mul(query, F.scalar(query, op.factor())), (*stacked, depth))
    product = F.matmul(query, F.transpose(key, (0, 1, 3, 2)))
    scores = masked(op, F.reshape(product, (batch, heads, rows, columns)))
    highest = F.reduce_max(scores, (3,), keep_dims=True)
    hidden = F.compare(highest, F.scalar(highest, -np.inf), "eq")
    powers = F.exp(F.sub(scores, F.select(hidden, F.scalar(highest, 0), highest)))
    total = F.reduce_sum(powers, (3,), keep_dims=True)
    mixed = F.matmul(F.reshape(powers, (*stacked, columns)), value)
    mixed = F.reshape(mixed, known_shape(op, op.out))
    return narrow(F.div(mixed, F.max_(total, F.scalar(total, 1))), op.out)


def attention_in_f32(op: ml.AttentionOp) -> SSAValue:
    """attention of the operands in f32, rounded once"""
    mask = wide(op.mask) if op.mask is not None and element_of(op.mask) != i1 else op.mask
    offset = op.offset.value.data if op.offset else 0
    operands = (wide(op.query), wide(op.key), wide(op.value), mask)
    attended = F.attention(*operands, scale=op.factor(), causal=op.causal is not None, offset=offset)
    return narrow(attended, op.out)


def is_fusible(op: ml.AttentionOp) -> bool:
    """Whether `lower-attention` has loops for an attention: computed in f32, sizes known, no mask that differs by row
    only."""
    operands = (op.query, op.key, op.value, *((op.mask,) if op.mask else ()))
    if not all(has_static_shape(each) and 0 not in shape_of(each) for each in operands):
        return False
    if computing_type(element_of(op.out)) != f32:
        return False
    if op.mask is None:
        return True
    spread = rank_of(op.mask) < 2 or shape_of(op.mask)[-2] == 1
    return spread or shape_of(op.mask)[-1] != 1


def masked(op: ml.AttentionOp, scores: SSAValue) -> SSAValue:
    """The scores with a float mask added, and -inf where an i1 mask or causality hides a column."""
    hidden = F.scalar(scores, -np.inf)
    if op.mask is not None and element_of(op.mask) == i1:
        scores = F.select(op.mask, scores, hidden)
    elif op.mask is not None:
        scores = F.add(scores, wide(op.mask))
    if op.causal is not None:
        rows, columns = known_shape(op, scores)[2:]
        last = F.add(F.iota((rows, 1), 0, i64), F.constant(np.int64(op.offset.value.data if op.offset else 0)))
        scores = F.select(F.compare(F.iota((1, columns), 1, i64), last, "le"), scores, hidden)
    return scores


DECOMPOSITIONS = {
    ml.SoftmaxOp: softmax,
    ml.LogSoftmaxOp: log_softmax,
    ml.LayerNormOp: layer_norm,
    ml.RmsNormOp: rms_norm,
    ml.BatchNormOp: batch_norm,
    ml.GroupNormOp: group_norm,
    ml.InstanceNormOp: instance_norm,
    ml.AttentionOp: attention,
}
