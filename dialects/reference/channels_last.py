"""What convolutions with channels last mean: those of `dialects/reference/contraction.py`, on permuted operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from xmlc.dialects.ml import channels_last as ml
from xmlc.dialects.reference.contraction import convolution, rounded

Array = NDArray[Any]


def channels_last_conv(op: ml.ChannelsLastConvOp, x: Array, weight: Array, bias: Array | None = None) -> Array:
    shape, groups = op.filters(op.weight.type, x.ndim - 2)
    filters = np.moveaxis(weight, (-1, -2), (1, 2)).reshape(shape)
    return rounded(np.moveaxis(convolution(op, np.moveaxis(x, -1, 1), filters, bias, groups), 1, -1), op)


def channels_last_depthwise_conv(
    op: ml.ChannelsLastDepthwiseConvOp, x: Array, weight: Array, bias: Array | None = None
) -> Array:
    shape, groups = op.filters(op.weight.type, x.ndim - 2)
    filters = np.moveaxis(weight, -1, 0).reshape(shape)
    return rounded(np.moveaxis(convolution(op, np.moveaxis(x, -1, 1), filters, bias, groups), 1, -1), op)


REFERENCE: dict[type[Operation], Callable[..., Array]] = {
    ml.ChannelsLastConvOp: channels_last_conv,
    ml.ChannelsLastDepthwiseConvOp: channels_last_depthwise_conv,
}
