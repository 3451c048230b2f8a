"""What ops cost with channels first and with channels last, and what it costs to go from one to the other, in cycles.

The shares are of the multiply-adds that a core can do, as measured (docs/convolutions.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

from xdsl.ir import Operation, SSAValue

from xmlc.dialects.ml import contraction, winograd
from xmlc.dialects.ml.types import shape_of
from xmlc.passes.assign_layouts.rules import PANELS, is_depthwise, panel_of

MOVED = 1.0
"""Cycles to move an element of an image to where it lies with channels last, or back."""


@dataclass(frozen=True)
class Costs:
    """Cycles of an op with channels first, and with channels last."""

    first: float
    last: float


def full(extent: int, lanes: int) -> float:
    """The share of vectors along an extent that holds something."""
    return extent / (ceil(extent / lanes) * lanes)


def conv(op: contraction.ConvOp, lanes: int) -> Costs:
    """Channels first, vectors hold pixels, which lie apart where there are strides; channels last, output channels."""
    if is_depthwise(op):
        return depthwise(op, lanes)
    outputs, *kernel = shape_of(op.weight)[0], *shape_of(op.weight)[2:]
    batch, _, *sizes = shape_of(op.out)
    steps = prod(shape_of(op.out)) * prod(shape_of(op.weight)[1:]) / (2 * lanes)
    strides, *_ = op.window_lists()
    slides = any(extent > 1 for extent in kernel)
    pixels = sizes[-1] if slides else prod(sizes)
    share = FIRST * max(full(pixels, lanes), FLAT * full(batch * prod(sizes), lanes))
    if any(stride > 1 for stride in strides) and pixels < LONG_ROW * lanes:
        share *= STRIDED_WINDOW if slides else STRIDED
    last = LAST if panel_of(outputs) < outputs or outputs in PANELS else LAST_UNPACKED
    return Costs(steps / share, steps / (last * full(outputs, lanes)))


LAST_UNPACKED = 0.75
"""The share with channels last where output channels do not divide into panels."""
FLAT = 0.93
"""What is left of the share where windows are copied such that short rows make long ones."""
FIRST, LAST = 0.82, 0.90
"""Shares of convolutions with channels first, where vectors are full, and with channels last."""
STRIDED, STRIDED_WINDOW = 0.85, 0.75
"""What is left of it with strides, of windows of one pixel and of others."""
LONG_ROW = 4
"""Vectors of pixels that are taken apart as quickly as products are made of them."""


def depthwise(op: contraction.ConvOp, lanes: int) -> Costs:
    """Channels last, the pixels of a vector of channels are copied to lie side by side where they are not too many."""
    _, outputs, *sizes = shape_of(op.out)
    steps = prod(shape_of(op.out)) * prod(shape_of(op.weight)[1:]) / (2 * lanes)
    strides, *_ = op.window_lists()
    strided = any(stride > 1 for stride in strides)
    first = FIRST_STRIDED_CHANNELS if strided else FIRST_CHANNELS * full(sizes[-1], lanes)
    last = LAST_STRIDED_CHANNELS if strided else LAST_CHANNELS
    if prod(shape_of(op.x)[2:]) > COPIED_PIXELS:
        last *= NOT_COPIED
    return Costs(steps / first, steps / (last * full(outputs, lanes)))


FIRST_CHANNELS, FIRST_STRIDED_CHANNELS = 0.45, 0.16
LAST_CHANNELS, LAST_STRIDED_CHANNELS = 0.48, 0.20
"""Shares of convolutions by a filter for each channel, without strides and with."""
NOT_COPIED, COPIED_PIXELS = 0.55, 4096
"""What is left of it for images of more pixels than this."""


def winograd_conv(op: winograd.WinogradConvOp, lanes: int) -> Costs:
    """The products are the same; channels first, pixels are transposed in registers before and after."""
    tiles = prod(op.tiles()) * shape_of(op.x)[0]
    channels = shape_of(op.x)[1] + shape_of(op.out)[1]
    return Costs(tiles * channels / lanes * TRANSPOSED_TILE, 0.0)


TRANSPOSED_TILE = 70.0
"""Cycles to transpose the pixels of a tile, of a vector of channels, there or back."""


def pool(op: contraction.PoolOp, lanes: int) -> Costs:
    """Channels first, windows beside one another share pixels of a vector, which must be taken apart."""
    steps = prod(shape_of(op.out)) * prod(op.window.get_values()) / lanes
    channels = shape_of(op.x)[1]
    return Costs(steps * POOLED, steps / full(channels, lanes))


POOLED = 5.0
"""Cycles for a vector of a pooled window, of which one with channels last takes 1."""


COSTS: dict[type[Operation], Callable[[Any, int], Costs]] = {
    contraction.ConvOp: conv,
    winograd.WinogradConvOp: winograd_conv,
    contraction.MaxPoolOp: pool,
    contraction.AvgPoolOp: pool,
}
"""Ops that are not as quick either way; all others are taken to be."""


def move_cost(value: SSAValue) -> float:
    """What it costs to bring an image from one layout to the other: nothing where that is a reshape."""
    shape = shape_of(value)
    if len(shape) < 3 or shape[1] == 1 or prod(shape[2:]) == 1:
        return 0.0
    return MOVED * prod(shape)
