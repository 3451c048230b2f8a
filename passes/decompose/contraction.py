"""Transposed convolutions: products whose results are laid side by side where windows do not overlap, else convolutions
of an input spread apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir import SSAValue

from xmlc.dialects.ml import contraction as ml
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import shape_of
from xmlc.passes.decompose.operands import insert_ones, known_shape


def spread(x: SSAValue, strides: Sequence[int]) -> SSAValue:
    """x (n, c, *s) with strides - 1 zeros between neighbours: (n, c, *((s - 1) * strides + 1)), no s being 0"""
    if all(stride == 1 for stride in strides):
        return x
    batch, channels, *sizes = shape_of(x)
    apart = F.reshape(x, (batch, channels, *(n for size in sizes for n in (size, 1))))
    high = [0, 0, *(n for stride in strides for n in (0, stride - 1))]
    padded = F.pad(apart, [0] * len(high), high, value=F.scalar(x, 0))
    joined = F.reshape(padded, (batch, channels, *(size * stride for size, stride in zip(sizes, strides))))
    ends = [(size - 1) * stride + 1 for size, stride in zip(sizes, strides)]
    return F.slice_(joined, [0] * len(shape_of(x)), (batch, channels, *ends))


def turned(weight: SSAValue, groups: int) -> SSAValue:
    """(c, o / groups, *k) as the weight of the transposed map, (o, c / groups, *k), its windows reversed"""
    channels, outputs, *kernel = shape_of(weight)
    depth, spatial = channels // groups, range(len(kernel))
    grouped = F.reshape(weight, (groups, depth, outputs, *kernel))
    swapped = F.transpose(grouped, (0, 2, 1, *(3 + axis for axis in spatial)))
    return F.reverse(F.reshape(swapped, (groups * outputs, depth, *kernel)), [2 + axis for axis in spatial])


def is_tiling(op: ml.ConvTransposeOp) -> bool:
    """Whether each element of the result belongs to one window: windows as large as strides, in one group."""
    strides, dilations, low, high = op.window_lists()
    whole = not any((*low, *high)) and all(each == 1 for each in dilations)
    return whole and strides == shape_of(op.weight)[2:] and op.groups.value.data == 1


def tiled(op: ml.ConvTransposeOp) -> SSAValue:
    """out[n, o, s * k + i] = bias[o] + sum over c of x[n, c, s] * weight[c, o, i]: a product, interleaved"""
    channels, outputs, *kernel = shape_of(op.weight)
    batch, _, *sizes = shape_of(op.x)
    rows, points = outputs * prod(kernel), prod(sizes)
    weight = F.transpose(F.reshape(op.weight, (channels, rows)), (1, 0))
    bias = None
    if op.bias is not None:
        repeated = F.broadcast(F.reshape(op.bias, (outputs, 1)), (outputs, prod(kernel)))
        bias = F.reshape(repeated, (rows, 1))
    flat = (channels, points) if batch == 1 else (batch, channels, points)
    product = F.matmul(weight, F.reshape(op.x, flat), bias)
    apart = F.reshape(product, (batch, outputs, *kernel, *sizes))
    spatial = len(kernel)
    order = [0, 1, *(axis for i in range(spatial) for axis in (2 + spatial + i, 2 + i))]
    return F.reshape(F.transpose(apart, order), shape_of(op.out))


def conv_transpose(op: ml.ConvTransposeOp) -> SSAValue:
    """conv(spread(x), turned(weight)), padded by what a window overlaps less what `low` and `high` crop

    Where they crop more than that, the rest is cut off the result.
    """
    x, kernel, result = op.x, known_shape(op, op.weight)[2:], known_shape(op, op.out)
    strides, dilations, low, high = op.window_lists()
    known_shape(op, x)
    if 0 in shape_of(x):
        nothing = F.scalar(x, 0) if op.bias is None else insert_ones(op.bias, 1, len(kernel))
        return F.broadcast(nothing, result)
    if is_tiling(op):
        return tiled(op)
    overlap = [(k - 1) * dilation for k, dilation in zip(kernel, dilations)]
    before = [extent - cropped for extent, cropped in zip(overlap, low)]
    after = [extent - cropped for extent, cropped in zip(overlap, high)]
    groups = op.groups.value.data
    full = F.conv(
        spread(x, strides),
        turned(op.weight, groups),
        op.bias,
        dilations=dilations,
        low=[max(n, 0) for n in before],
        high=[max(n, 0) for n in after],
        groups=groups,
    )
    if shape_of(full) == result:
        return full
    return F.slice_(full, (0, 0, *(max(-n, 0) for n in before)), result)


DECOMPOSITIONS = {ml.ConvTransposeOp: conv_transpose}
