"""How ops of `ml` are built for images whose channels come last: for each kind of op one row of RULES.

A row says for which ops it holds, which operands are images (or broadcast to one), and builds the op from those with
channels last. Images are (n, c, *s) with 1 to 3 spatial dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.ml import composite, contraction, elementwise, reduction, shaping, winograd
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.attributes import integer, integers
from xmlc.dialects.ml.channels_last import to_channels_last
from xmlc.dialects.ml.types import element_of, rank_of, shape_of, tensor

Build = Callable[[Any, Sequence[SSAValue]], SSAValue]


def always(_: Operation) -> bool:
    return True


def all_operands(op: Operation) -> Sequence[SSAValue]:
    return op.operands


def first_operand(op: Operation) -> Sequence[SSAValue]:
    return op.operands[:1]


@dataclass(frozen=True)
class Rule:
    """How a kind of op is built with channels last, for which ops of the kind that is known, and from which images."""

    build: Build
    holds: Callable[[Any], bool] = always
    images: Callable[[Operation], Sequence[SSAValue]] = all_operands


def last_axis(axis: int, rank: int) -> int:
    """Where a dimension of an image is when channels come last."""
    return to_channels_last(range(rank)).index(axis)


def last_type(value: SSAValue) -> Attribute:
    return tensor(to_channels_last(shape_of(value)), element_of(value))


def with_properties(op: Operation, operands: Sequence[SSAValue], **changed: Attribute) -> SSAValue:
    """The same op on other operands, some of its properties changed; its result is an image with channels last."""
    made = type(op).create(
        operands=operands, result_types=(last_type(op.results[0]),), properties={**op.properties, **changed}
    )
    return made.results[0]


# Convolutions

PANELS = (32, 48, 64, 16)
"""Output channels that lie together, the best first: whole vectors, few enough for a register tile."""


def panel_of(outputs: int) -> int:
    """The width of panels that output channels divide into; one of all of them if none does."""
    return next((width for width in PANELS if outputs % width == 0), outputs)


def is_depthwise(op: contraction.ConvOp) -> bool:
    """Whether each channel has one filter of its own."""
    groups = op.groups.value.data
    return groups > 1 and groups == shape_of(op.weight)[0] == shape_of(op.x)[1]


def is_conv(op: contraction.ConvOp) -> bool:
    return op.groups.value.data == 1 or is_depthwise(op)


def conv(op: contraction.ConvOp, images: Sequence[SSAValue]) -> SSAValue:
    """conv(x, w (o, c, *k)) -> channels_last_conv(x, w (o / p, *k, c, p)), or the depthwise one with w (*k, c)"""
    (x,) = images
    outputs, channels, *kernel = shape_of(op.weight)
    strides, dilations, low, high = op.window_lists()
    window: dict[str, Sequence[int]] = {"strides": strides, "dilations": dilations, "low": low, "high": high}
    if is_depthwise(op):
        weight = F.transpose(F.reshape(op.weight, (outputs, *kernel)), (*range(1, 1 + len(kernel)), 0))
        return F.channels_last_depthwise_conv(x, weight, op.bias, **window)
    width = panel_of(outputs)
    panels = F.reshape(op.weight, (outputs // width, width, channels, *kernel))
    weight = F.transpose(panels, (0, *range(3, 3 + len(kernel)), 2, 1))
    return F.channels_last_conv(x, weight, op.bias, **window)


def is_channels_first(op: winograd.WinogradConvOp) -> bool:
    return op.channels_last is None


def winograd_conv(op: winograd.WinogradConvOp, images: Sequence[SSAValue]) -> SSAValue:
    (x,) = images
    low, high = (tuple(each.get_values()) for each in (op.low, op.high))
    return F.winograd_conv(x, op.weight, op.bias, low=low, high=high, channels_last=True)


# Pooling and resizing


def has_room(op: contraction.PoolOp) -> bool:
    """Whether channels may be taken for one more spatial dimension: there are three at most."""
    return rank_of(op.x) < 5


def pool(op: contraction.PoolOp, images: Sequence[SSAValue]) -> SSAValue:
    """pool(x (n, c, *s)) -> pool(x (n, 1, *s, c)), of windows that are 1 wide along c"""
    (x,) = images
    batch, *rest = shape_of(x)
    strides, dilations, low, high = op.window_lists()
    window: dict[str, Any] = {
        "window": (*op.window.get_values(), 1),
        "strides": (*strides, 1),
        "dilations": (*dilations, 1),
        "low": (*low, 0),
        "high": (*high, 0),
    }
    alone = F.reshape(x, (batch, 1, *rest))
    if isinstance(op, contraction.AvgPoolOp):
        made = F.avg_pool(alone, **window, include_pad=op.include_pad is not None)
    else:
        made = F.max_pool(alone, **window)
    return F.reshape(made, to_channels_last(shape_of(op.out)))


def resize(op: contraction.ResizeOp, images: Sequence[SSAValue]) -> SSAValue:
    scales = to_channels_last(op.scales.get_values())
    (x,) = images
    return F.resize(
        x,
        to_channels_last(shape_of(op.out)),
        op.interpolation.data,
        op.coordinates.data,
        op.rounding.data,
        scales,
    )


# Ops that work element by element, or along dimensions that they name


def elementwise_op(op: Operation, images: Sequence[SSAValue]) -> SSAValue:
    return with_properties(op, images)


def broadcast(op: shaping.BroadcastOp, images: Sequence[SSAValue]) -> SSAValue:
    return with_properties(op, images)


def concat(op: shaping.ConcatOp, images: Sequence[SSAValue]) -> SSAValue:
    return F.concat(images, last_axis(op.axis.value.data, rank_of(op.out)))


def softmax(op: composite.AxisOp, images: Sequence[SSAValue]) -> SSAValue:
    return with_properties(op, images, axis=integer(last_axis(op.axis.value.data, rank_of(op.out))))


def slice_(op: shaping.SliceOp, images: Sequence[SSAValue]) -> SSAValue:
    lists = {"starts": op.starts, "sizes": op.sizes, "strides": op.strides}
    changed = {name: integers(to_channels_last(each.get_values())) for name, each in lists.items()}
    return with_properties(op, images, **changed)


def pad(op: shaping.PadOp, images: Sequence[SSAValue]) -> SSAValue:
    lists = {"low": op.low, "high": op.high}
    changed = {name: integers(to_channels_last(each.get_values())) for name, each in lists.items()}
    return with_properties(op, [*images, *([op.value] if op.value is not None else [])], **changed)


def keeps_order(op: reduction.ReduceOp) -> bool:
    """Whether what a reduction leaves is an image, or in the same order with channels last."""
    rank = rank_of(op.x)
    left = [axis for axis in range(rank) if axis not in op.axes.get_values()]
    return op.keep_dims is not None or left == sorted(left, key=lambda axis: last_axis(axis, rank))


def reduce(op: reduction.ReduceOp, images: Sequence[SSAValue]) -> SSAValue:
    (x,) = images
    axes = sorted(last_axis(axis, rank_of(x)) for axis in op.axes.get_values())
    return type(op)(x, axes, op.keep_dims is not None).out


RULES: dict[type[Operation], Rule] = {
    **dict.fromkeys(elementwise.ELEMENTWISE, Rule(elementwise_op)),
    **dict.fromkeys((composite.SoftmaxOp, composite.LogSoftmaxOp), Rule(softmax)),
    **{
        op: Rule(reduce, keeps_order)
        for op in (
            reduction.ReduceSumOp,
            reduction.ReduceProdOp,
            reduction.ReduceMaxOp,
            reduction.ReduceMinOp,
            reduction.ReduceMeanOp,
        )
    },
    **dict.fromkeys((contraction.MaxPoolOp, contraction.AvgPoolOp), Rule(pool, has_room)),
    contraction.ConvOp: Rule(conv, is_conv, first_operand),
    contraction.ResizeOp: Rule(resize),
    winograd.WinogradConvOp: Rule(winograd_conv, is_channels_first, first_operand),
    shaping.BroadcastOp: Rule(broadcast),
    shaping.ConcatOp: Rule(concat),
    shaping.PadOp: Rule(pad, images=first_operand),
    shaping.SliceOp: Rule(slice_),
}
