"""Biases, scales and batch norms that go into the weights of a product or a convolution."""

from __future__ import annotations

from math import prod
from typing import TypeAlias

from xdsl.dialects.builtin import f32, f64
from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.composite import BatchNormOp
from xmlc.dialects.ml.contraction import ConvOp, ConvTransposeOp, MatmulOp
from xmlc.dialects.ml.elementwise import AddOp, MulOp, SubOp
from xmlc.dialects.ml.shaping import ReshapeOp
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.passes.constants import has_known_sizes
from xmlc.passes.fuse_patterns.matching import along_axis, as_vector, is_weight
from xmlc.passes.laws import Holds, law

Convolution: TypeAlias = ConvOp | ConvTransposeOp
WIDE = (f32, f64)
"""Element types in which weights may be rounded once more; f16 and bf16 have no digits to spare."""


def convolution(value: SSAValue) -> Convolution | None:
    """The convolution that makes a value, if nothing else uses it."""
    owner = value.owner
    known = isinstance(owner, ConvOp | ConvTransposeOp) and value.has_one_use() and has_known_sizes(value)
    return owner if known and isinstance(owner, ConvOp | ConvTransposeOp) else None


def remade(op: Convolution, x: SSAValue, weight: SSAValue, bias: SSAValue | None) -> SSAValue:
    """The same convolution of other operands."""
    strides, dilations, low, high = op.window_lists()
    make = F.conv if isinstance(op, ConvOp) else F.conv_transpose
    return make(x, weight, bias, strides=strides, dilations=dilations, low=low, high=high, groups=op.groups.value.data)


# --- biases


@law(holds=Holds.ON_REALS)
def bias_of_matmul(op: AddOp) -> SSAValue | None:
    """a @ b + c -> a @ b with the bias c, for a c that varies along the rows or the columns alone

    Where there is a bias already, and both are known at load, the sum of them.
    """
    for made, bias in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        match made.owner:
            case MatmulOp(lhs=lhs, rhs=rhs, bias=old) if made.has_one_use() and made.type == op.out.type:
                shape, rank = shape_of(made), rank_of(made)
                if not any(along_axis(bias, rank, axis, shape[axis]) for axis in (rank - 1, rank - 2)):
                    continue
                if old is None:
                    return F.matmul(lhs, rhs, bias)
                if is_weight(old) and is_weight(bias):
                    return F.matmul(lhs, rhs, F.add(old, bias))
            case _:
                pass
    return None


@law(holds=Holds.ON_REALS)
def bias_of_convolution(op: AddOp) -> SSAValue | None:
    """conv(x, w) + c -> conv(x, w) with the bias c, for a c that varies with the channel alone"""
    for made, bias in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        if (conv := convolution(made)) is None or made.type != op.out.type:
            continue
        channels = shape_of(made)[1]
        if not along_axis(bias, rank_of(made), 1, channels):
            continue
        vector = as_vector(bias, channels)
        if conv.bias is not None:
            vector = F.add(conv.bias, vector)
        return remade(conv, conv.x, conv.weight, vector)
    return None


@law(holds=Holds.ON_REALS)
def bias_of_reshaped_convolution(op: AddOp) -> SSAValue | None:
    """reshape(conv(x, w)) + c -> reshape(conv(x, w) with the bias c), where batch and channel stay dimensions 0, 1"""
    for made, bias in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        match made.owner:
            case ReshapeOp(x=inner) if made.has_one_use() and (conv := convolution(inner)) is not None:
                if made.type != op.out.type or shape_of(made)[:2] != shape_of(inner)[:2] or conv.bias is not None:
                    continue
                if not along_axis(bias, rank_of(made), 1, shape_of(made)[1]):
                    continue
                vector = as_vector(bias, shape_of(made)[1])
                return F.reshape(remade(conv, conv.x, conv.weight, vector), shape_of(made))
            case _:
                pass
    return None


# --- scales


def scaled_weight(op: Convolution, scale: SSAValue) -> SSAValue | None:
    """The weight times one number (o) for each output channel; None where groups make that impossible."""
    ones = [1] * (rank_of(op.weight) - 2)
    outputs = shape_of(scale)[0]
    if isinstance(op, ConvOp):
        return F.mul(op.weight, F.reshape(scale, (outputs, 1, *ones)))
    return F.mul(op.weight, F.reshape(scale, (1, outputs, *ones)))


def may_scale(op: Convolution) -> bool:
    """Whether a convolution's weight is known at load, and can take a scale for each output channel."""
    grouped = isinstance(op, ConvTransposeOp) and op.groups.value.data != 1
    return is_weight(op.weight) and not grouped and element_of(op.weight) in WIDE


@law(holds=Holds.ON_REALS)
def scale_of_convolution(op: MulOp) -> SSAValue | None:
    """conv(x, w, b) * s -> conv(x, w * s, b * s), for weights w and an s that varies with the channel alone"""
    for made, scale in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        conv = convolution(made)
        if conv is None or made.type != op.out.type or not may_scale(conv) or not is_weight(scale):
            continue
        channels = shape_of(made)[1]
        if not along_axis(scale, rank_of(made), 1, channels) or (conv.bias is not None and not is_weight(conv.bias)):
            continue
        vector = as_vector(scale, channels)
        weight = scaled_weight(conv, vector)
        assert weight is not None
        return remade(conv, conv.x, weight, None if conv.bias is None else F.mul(conv.bias, vector))
    return None


@law(holds=Holds.ON_REALS)
def convolution_of_scaled(op: ConvOp) -> SSAValue | None:
    """conv(x * s, w) -> conv(x, w * s), for weights w and a number s, or with one group one a channel"""
    match op.x.owner:
        case MulOp(lhs=x, rhs=scale) if op.x.has_one_use() and x.type == op.x.type and may_scale(op):
            channels = shape_of(x)[1]
            if not is_weight(scale) or not has_known_sizes(x) or not along_axis(scale, rank_of(x), 1, channels):
                return None
            count = prod(shape_of(scale))
            if count != 1 and op.groups.value.data != 1:
                return None
            vector = F.reshape(scale, (1, count, *[1] * (rank_of(x) - 2)))
            return remade(op, x, F.mul(op.weight, vector), op.bias)
        case _:
            return None


@law(holds=Holds.ON_REALS)
def convolution_of_shifted(op: ConvOp) -> SSAValue | None:
    """conv(x + c, w, b) -> conv(x, w, b + c * sum(w)), without padding, for weights w and a number or channels c"""
    _, _, low, high = op.window_lists()
    if any((*low, *high)) or (op.bias is not None and not is_weight(op.bias)):
        return None
    match op.x.owner:
        case AddOp(lhs=x, rhs=shift) if op.x.has_one_use() and x.type == op.x.type and may_scale(op):
            channels = shape_of(x)[1]
            if not is_weight(shift) or not has_known_sizes(x) or not along_axis(shift, rank_of(x), 1, channels):
                return None
            count = prod(shape_of(shift))
            if count != 1 and op.groups.value.data != 1:
                return None
            vector = F.reshape(shift, (1, count, *[1] * (rank_of(x) - 2)))
            total = F.reduce_sum(F.mul(op.weight, vector), range(1, rank_of(op.weight)))
            return remade(op, x, op.weight, total if op.bias is None else F.add(op.bias, total))
        case _:
            return None


# --- batch norm


def scale_and_shift(op: BatchNormOp) -> tuple[SSAValue, SSAValue]:
    """s = scale / sqrt(variance + epsilon) and bias - mean * s, both (c)."""
    root = F.sqrt(F.add(op.variance, F.scalar(op.variance, op.epsilon.value.data)))
    factor = F.div(op.scale, root)
    return factor, F.sub(op.bias, F.mul(op.mean, factor))


def is_known(op: BatchNormOp) -> bool:
    """Whether a batch norm's parameters are known at load."""
    parameters = (op.scale, op.bias, op.mean, op.variance)
    return element_of(op.x) in WIDE and has_known_sizes(op.x) and all(map(is_weight, parameters))


@law(holds=Holds.ON_REALS)
def batch_norm_of_convolution(op: BatchNormOp) -> SSAValue | None:
    """batch_norm(conv(x, w, b)) -> conv(x, w * s, b * s + t), s and t the norm's scale and shift, for weights"""
    conv = convolution(op.x)
    if conv is None or not is_known(op) or not may_scale(conv) or (conv.bias is not None and not is_weight(conv.bias)):
        return None
    factor, shift = scale_and_shift(op)
    weight = scaled_weight(conv, factor)
    assert weight is not None
    bias = shift if conv.bias is None else F.add(F.mul(conv.bias, factor), shift)
    return remade(conv, conv.x, weight, bias)


@law(holds=Holds.ON_REALS)
def batch_norm_of_matmul(op: BatchNormOp) -> SSAValue | None:
    """batch_norm(x @ w) -> x @ (w * s) with the bias t, s and t the norm's scale and shift, for weights"""
    match op.x.owner:
        case MatmulOp(lhs=lhs, rhs=rhs, bias=bias) if op.x.has_one_use() and rank_of(op.x) == 2:
            if not is_known(op) or not is_weight(rhs) or (bias is not None and not is_weight(bias)):
                return None
            factor, shift = scale_and_shift(op)
            return F.matmul(lhs, F.mul(rhs, factor), shift if bias is None else F.add(F.mul(bias, factor), shift))
        case _:
            return None


@law(holds=Holds.ON_REALS)
def batch_norm_alone(op: BatchNormOp) -> SSAValue | None:
    """batch_norm(x) -> x * s + t, s and t the norm's scale and shift by channel, for parameters known at load"""
    if not is_known(op):
        return None
    shape = (shape_of(op.scale)[0], *[1] * (rank_of(op.x) - 2))
    factor, shift = (F.reshape(each, shape) for each in scale_and_shift(op))
    return F.add(F.mul(op.x, factor), shift)


@law(holds=Holds.ON_REALS)
def scale_of_matmul(op: MulOp) -> SSAValue | None:
    """(x @ w) * s -> x @ (w * s), for weights w and an s that varies with the column alone"""
    for made, scale in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        match made.owner:
            case MatmulOp(lhs=lhs, rhs=rhs, bias=bias) if made.has_one_use() and made.type == op.out.type:
                columns, rank = shape_of(made)[-1], rank_of(made)
                known = is_weight(rhs) and is_weight(scale) and (bias is None or is_weight(bias))
                if not known or element_of(rhs) not in WIDE or not along_axis(scale, rank, rank - 1, columns):
                    continue
                vector = F.reshape(scale, (prod(shape_of(scale)),))
                return F.matmul(lhs, F.mul(rhs, vector), None if bias is None else F.mul(bias, vector))
            case _:
                pass
    return None


@law(holds=Holds.ON_REALS)
def difference_of_weight(op: SubOp) -> SSAValue | None:
    """x - c -> x + -c, for a c known at load and the result of a product or convolution x, so that c is its bias"""
    if not is_weight(op.rhs) or not isinstance(op.lhs.owner, MatmulOp | ConvOp | ConvTransposeOp):
        return None
    return F.add(op.lhs, F.neg(op.rhs)) if op.lhs.has_one_use() else None


AFFINE = (
    bias_of_matmul, bias_of_convolution, bias_of_reshaped_convolution, scale_of_convolution, convolution_of_scaled,
    convolution_of_shifted, batch_norm_of_convolution, batch_norm_of_matmul, batch_norm_alone, scale_of_matmul,
    difference_of_weight,
)  # fmt: skip
