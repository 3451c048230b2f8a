"""ONNX operators on quantized numbers: real = (whole - zero) * scale."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import f32, i32
from xdsl.ir import Attribute, SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import u8
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.frontend.onnx import tensors
from xmlc.frontend.onnx.operators.contraction import ConvInteger, MatMulInteger
from xmlc.frontend.onnx.operators.shaping import positive


def spread(values: SSAValue, x: SSAValue, axis: int, block: int) -> SSAValue:
    """Scales or zeros shaped to broadcast with x: one for all, one for each index of the axis, or one a block."""
    shape = shape_of(x)
    if not any(size != 1 for size in shape_of(values)):
        return F.reshape(values, ())
    (axis,) = positive((axis,), len(shape))
    if block:
        if rank_of(values) != len(shape):
            raise CompileError(f"blocked scales must have rank {len(shape)}, found {rank_of(values)}")
        return F.gather(values, F.constant(np.arange(shape[axis], dtype=np.int64) // block), axis)
    return F.reshape(values, [size if i == axis else 1 for i, size in enumerate(shape)])


def QuantizeLinear(
    x: SSAValue,
    scale: SSAValue,
    zero: SSAValue | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> SSAValue:
    """round(x / scale) + zero, halves to even, kept in the range of the result's type (that of zero, or uint8)."""
    result: Attribute = u8
    if zero is not None:
        result = element_of(zero)
    elif output_dtype:
        result = tensors.element_of(output_dtype)
    computed = tensors.element_of(precision) if precision else element_of(scale)
    divisor = spread(F.cast(scale, computed), x, axis, block_size)
    steps = F.cast(F.round_(F.div(F.cast(x, computed), divisor)), f32)
    if zero is not None:
        steps = F.add(steps, F.cast(spread(zero, x, axis, block_size), f32))
    return F.cast(steps, result)


def DequantizeLinear(
    x: SSAValue,
    scale: SSAValue,
    zero: SSAValue | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> SSAValue:
    """(x - zero) * scale, of the scale's type"""
    steps = F.cast(x, f32)
    if zero is not None:
        steps = F.sub(steps, F.cast(spread(zero, x, axis, block_size), f32))
    product = F.mul(steps, F.cast(spread(scale, x, axis, block_size), f32))
    return F.cast(product, tensors.element_of(output_dtype) if output_dtype else element_of(scale))


def requantized(whole: SSAValue, factor: SSAValue, zero: SSAValue) -> SSAValue:
    """A 32-bit sum times a real factor, as a quantized number of `zero`'s type."""
    steps = F.round_(F.mul(F.cast(whole, f32), factor))
    return F.cast(F.add(steps, F.cast(zero, f32)), element_of(zero))


def QLinearMatMul(
    a: SSAValue,
    a_scale: SSAValue,
    a_zero: SSAValue,
    b: SSAValue,
    b_scale: SSAValue,
    b_zero: SSAValue,
    y_scale: SSAValue,
    y_zero: SSAValue,
) -> SSAValue:
    """The product of two quantized matrices, quantized; a's scale holds for a row, b's for a column."""
    a_factor = F.cast(a_scale, f32)
    if rank_of(a_scale) == 1 and shape_of(a_scale) != (1,):
        a_factor = F.reshape(a_factor, (*shape_of(a_scale), 1))
    factor = F.div(F.mul(a_factor, F.cast(b_scale, f32)), F.cast(y_scale, f32))
    return requantized(MatMulInteger(a, b, a_zero, b_zero), factor, y_zero)


def QLinearConv(
    x: SSAValue,
    x_scale: SSAValue,
    x_zero: SSAValue,
    weight: SSAValue,
    weight_scale: SSAValue,
    weight_zero: SSAValue,
    y_scale: SSAValue,
    y_zero: SSAValue,
    bias: SSAValue | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> SSAValue:
    """The convolution of quantized images, quantized; the bias is in steps of x_scale * weight_scale."""
    whole = ConvInteger(
        x,
        weight,
        F.reshape(x_zero, ()),
        weight_zero,
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        pads=pads,
        strides=strides,
    )
    outputs = [1] * (rank_of(whole) - 1)
    if bias is not None:
        whole = F.add(whole, F.reshape(F.cast(bias, i32), (*shape_of(bias), *outputs[1:])))
    factor = F.div(F.mul(F.cast(x_scale, f32), F.cast(weight_scale, f32)), F.cast(y_scale, f32))
    if shape_of(factor) not in ((), (1,)):
        factor = F.reshape(factor, (*shape_of(factor), *outputs[1:]))
    return requantized(whole, factor, y_zero)
