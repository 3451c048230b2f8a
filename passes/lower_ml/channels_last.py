"""Convolutions with channels last as one loop nest each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from xmlc.dialects.dtypes import computing_type, storage_type
from xmlc.dialects.ml import channels_last as ml
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.dialects.sizes import UnknownSize, is_symbolic
from xmlc.passes.lower_ml.contraction import start_of_sums, sum_of_products
from xmlc.passes.lower_ml.reduction import rounded
from xmlc.passes.lower_ml.shaping import padded
from xmlc.passes.lower_ml.structured import PARALLEL, REDUCTION, Map, dim, number


def summed(
    op: ml.ChannelsLastConvolutionOp,
    x: SSAValue,
    weight: tuple[SSAValue, Map],
    bias: SSAValue | None,
    places: Sequence[AffineExpr],
    taps: Sequence[AffineExpr],
    channels: tuple[AffineExpr, AffineExpr],
    iterators: Sequence[Attribute],
) -> SSAValue:
    """The sums over taps, given the loops of places and taps, and where the channels of x and of the result stand."""
    strides, dilations, low, high = op.window_lists()
    element = storage_type(element_of(op.out))
    x = padded(x, (0, *low, 0), (0, *high, 0), number(0, element_of(x)))
    reads = [p * stride + k * dilation for p, stride, k, dilation in zip(places, strides, taps, dilations)]
    read, written = channels
    shape = shape_of(op.out)
    sums = start_of_sums(shape, computing_type(element), bias, (dim(len(shape) - 1),))
    total = sum_of_products([(x, (dim(0), *reads, read)), weight], sums, (dim(0), *places, written), iterators)
    return rounded(total, element)


def channels_last_conv(
    op: ml.ChannelsLastConvOp, x: SSAValue, weight: SSAValue, bias: SSAValue | None = None
) -> SSAValue:
    """out[n, p, q * r + i] = bias + sum over k, c of x[n, p * strides + k * dilations, c] * weight[q, k, c, i]"""
    width = shape_of(op.weight)[-1]
    if is_symbolic((width,)):
        raise UnknownSize(f"panels of {width} channels, known only at run time")
    spatial = len(op.strides.get_values())
    places = [dim(1 + axis) for axis in range(spatial)]
    panel, lane = dim(1 + spatial), dim(2 + spatial)
    taps = [dim(3 + spatial + axis) for axis in range(spatial)]
    channel = dim(3 + 2 * spatial)
    filters = (weight, (panel, *taps, channel, lane))
    iterators = [PARALLEL] * (3 + spatial) + [REDUCTION] * (spatial + 1)
    return summed(op, x, filters, bias, places, taps, (channel, panel * width + lane), iterators)


def channels_last_depthwise_conv(
    op: ml.ChannelsLastDepthwiseConvOp, x: SSAValue, weight: SSAValue, bias: SSAValue | None = None
) -> SSAValue:
    """out[n, p, c] = bias + sum over k of x[n, p * strides + k * dilations, c] * weight[k, c]"""
    spatial = len(op.strides.get_values())
    places = [dim(1 + axis) for axis in range(spatial)]
    channel = dim(1 + spatial)
    taps = [dim(2 + spatial + axis) for axis in range(spatial)]
    iterators = [PARALLEL] * (2 + spatial) + [REDUCTION] * spatial
    return summed(op, x, (weight, (*taps, channel)), bias, places, taps, (channel, channel), iterators)


LOWER: dict[type[Operation], Callable[..., SSAValue]] = {
    ml.ChannelsLastConvOp: channels_last_conv,
    ml.ChannelsLastDepthwiseConvOp: channels_last_depthwise_conv,
}
