"""Convolutions of images whose channels come last: batch, 1 to 3 spatial dimensions, channel.

The pass `assign-layouts` makes them of `ml.conv`. Their filters are laid out as the product reads them, in panels of
output channels, which is done once where filters are weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, TypeVar

from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.ml.attributes import integers
from xmlc.dialects.ml.contraction import WINDOW_FORMAT, ConvOp, WindowedOp
from xmlc.dialects.ml.types import Tensor, TensorLike, element_of, expect_type, rank_of, shape_of, tensor

Item = TypeVar("Item")


def to_channels_last(items: Sequence[Item]) -> tuple[Item, ...]:
    """(n, c, *s) -> (n, *s, c)"""
    batch, channels, *sizes = items
    return (batch, *sizes, channels)


def to_channels_first(items: Sequence[Item]) -> tuple[Item, ...]:
    """(n, *s, c) -> (n, c, *s)"""
    batch, *sizes, channels = items
    return (batch, channels, *sizes)


class ChannelsLastConvolutionOp(WindowedOp, ABC):
    """What `ml.conv` computes, of images with channels last, given its filters in another order."""

    ACCEPTS: ClassVar[tuple[Attribute, ...]] = ConvOp.ACCEPTS
    x = operand_def(Tensor)
    weight = operand_def(Tensor)
    bias = opt_operand_def(Tensor)
    assembly_format = (
        "$x `,` $weight (`bias` $bias^ `:` type($bias))? "
        + WINDOW_FORMAT
        + "attr-dict `:` type($x) `,` type($weight) `->` type($out)"
    )

    @classmethod
    @abstractmethod
    def filters(cls, weight: Attribute, spatial: int) -> tuple[tuple[int, ...], int]:
        """The shape of the weight as `ml.conv` takes it, and the groups. Raises VerifyException for other ranks."""

    @classmethod
    def result_type(
        cls,
        x: Attribute,
        weight: Attribute,
        bias: Attribute | None,
        strides: Sequence[int],
        dilations: Sequence[int],
        low: Sequence[int],
        high: Sequence[int],
    ) -> TensorLike:
        """The type of the result. Raises VerifyException where the operands do not fit."""
        if not 3 <= rank_of(x) <= 5:
            raise VerifyException(f"expected a batch, 1 to 3 spatial dimensions and a channel, found {x}")
        shape, groups = cls.filters(weight, rank_of(x) - 2)
        given = tensor(to_channels_first(shape_of(x)), element_of(x))
        made = ConvOp.result_type(given, tensor(shape, element_of(weight)), bias, strides, dilations, low, high, groups)
        return tensor(to_channels_last(shape_of(made)), element_of(made))

    def __init__(
        self,
        x: SSAValue,
        weight: SSAValue,
        bias: SSAValue | None = None,
        *,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        low: Sequence[int] | None = None,
        high: Sequence[int] | None = None,
    ):
        """Strides and dilations default to 1, padding to 0."""
        spatial = max(rank_of(x) - 2, 0)
        strides, dilations = strides or (1,) * spatial, dilations or (1,) * spatial
        low, high = low or (0,) * spatial, high or (0,) * spatial
        types = x.type, weight.type, bias.type if bias else None
        super().__init__(
            operands=(x, weight, bias),
            result_types=(self.result_type(*types, strides, dilations, low, high),),
            properties={
                "strides": integers(strides),
                "dilations": integers(dilations),
                "low": integers(low),
                "high": integers(high),
            },
        )

    def verify_(self) -> None:
        types = self.x.type, self.weight.type, self.bias.type if self.bias else None
        expect_type(self.out.type, self.result_type(*types, *self.window_lists()))


@irdl_op_definition
class ChannelsLastConvOp(ChannelsLastConvolutionOp):
    """out[n, p, q * r + i] = bias[q * r + i] + sum over c, k of x[n, p * strides + k * dilations - low, c]
    * weight[q, k, c, i].

    Output channels are in panels of r; x is 0 outside.
    """

    name = "ml.channels_last_conv"

    @classmethod
    def filters(cls, weight: Attribute, spatial: int) -> tuple[tuple[int, ...], int]:
        """(o / r, *k, c, r) -> (o, c, *k)"""
        if rank_of(weight) != spatial + 3:
            raise VerifyException(f"expected panels of filters, of rank {spatial + 3}, found {weight}")
        panels, *kernel, channels, width = shape_of(weight)
        return (panels * width, channels, *kernel), 1


@irdl_op_definition
class ChannelsLastDepthwiseConvOp(ChannelsLastConvolutionOp):
    """out[n, p, c] = bias[c] + sum over k of x[n, p * strides + k * dilations - low, c] * weight[k, c].

    x is 0 outside.
    """

    name = "ml.channels_last_depthwise_conv"

    @classmethod
    def filters(cls, weight: Attribute, spatial: int) -> tuple[tuple[int, ...], int]:
        """(*k, c) -> (c, 1, *k) in c groups"""
        if rank_of(weight) != spatial + 1:
            raise VerifyException(f"expected a filter for each channel, of rank {spatial + 1}, found {weight}")
        *kernel, channels = shape_of(weight)
        return (channels, 1, *kernel), channels


CHANNELS_LAST = (ChannelsLastConvOp, ChannelsLastDepthwiseConvOp)
