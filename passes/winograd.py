"""The pass `winograd`: 3x3 convolutions whose filters are weights take fewer products, of transformed tiles.

The filters are transformed by ordinary ops, which hoist-weights moves to where weights are prepared once. The cost
model compares cycles: of the products of each way, of transforming tiles, and of reading the filters, which grow from
9 to 16 or 36 numbers and are what a small image costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.contraction import ConvOp
from xmlc.dialects.ml.types import element_of, has_static_shape, shape_of
from xmlc.dialects.ml.winograd import FILTER, POINTS, transforms
from xmlc.passes import remarks
from xmlc.passes.building import building
from xmlc.passes.functions import defined_functions
from xmlc.passes.hoist_weights import sources_in_weights

PRODUCTS = 27.0
"""Multiply-adds a cycle, in a direct convolution and in the products of transformed tiles: of 32 there could be."""
TRANSFORM = 14.0
"""Cycles to transform a tile of one channel, there or back."""
FAR_BYTES = 12.0
"""Bytes a cycle at which filters come from beyond the second cache."""
PANELS = (32, 48, 16, 64, 24, 40, 56, 8)
"""Output channels that lie together, the best first: whole vectors, few enough for a register tile."""


def panel_of(outputs: int) -> int | None:
    """The width of panels that output channels divide into, if there is one."""
    return next((width for width in PANELS if outputs % width == 0), None)


def fits(op: ConvOp) -> bool:
    """Whether a convolution is one that tiles are known for."""
    shapes = (shape_of(op.x), shape_of(op.weight), shape_of(op.out))
    if (
        element_of(op.x) != f32
        or len(shapes[0]) != 4
        or not has_static_shape(op.x)
        or any(0 in shape for shape in shapes)
    ):
        return False
    strides, dilations, low, high = op.window_lists()
    plain = all(each == 1 for each in (*strides, *dilations)) and min(*low, *high) >= 0
    return (
        plain and op.groups.value.data == 1 and shapes[1][2:] == (FILTER, FILTER) and panel_of(shapes[1][0]) is not None
    )


def direct_cycles(op: ConvOp) -> float:
    return prod(shape_of(op.out)) * prod(shape_of(op.weight)[1:]) / PRODUCTS


def cycles(op: ConvOp, size: int) -> float:
    """What a convolution costs by tiles of `size` results along each axis."""
    batch, outputs, height, width = shape_of(op.out)
    channels = shape_of(op.x)[1]
    taps = (size + FILTER - 1) ** 2
    tiles = batch * ceil(height / size) * ceil(width / size)
    products = taps * tiles * channels * outputs / PRODUCTS
    filters = taps * channels * outputs * TO_NUMPY[element_of(op.weight)].itemsize / FAR_BYTES
    return max(products, filters) + tiles * (channels + outputs) * TRANSFORM * (size + FILTER - 1) / 6


def best_size(op: ConvOp) -> int | None:
    """The tiles that a convolution is quickest by, if it is quicker than without."""
    best = min(POINTS, key=lambda size: cycles(op, size))
    least = shape_of(op.x)[1] >= 16 and shape_of(op.out)[1] >= 16
    return best if least and cycles(op, best) < direct_cycles(op) else None


def transformed_filters(weight: SSAValue, size: int) -> SSAValue:
    """G w G^T, (o, c, 3, 3) -> (t, t, o / p, c, p) in panels of p output channels"""
    outputs, channels, *_ = shape_of(weight)
    width = panel_of(outputs)
    assert width is not None
    made = F.constant(transforms(size).filters.astype(TO_NUMPY[element_of(weight)]))
    panels = F.reshape(weight, (outputs // width, width, channels, FILTER, FILTER))
    rows = F.einsum([made, panels], "ai,qpcij->aqcpj")
    return F.einsum([rows, made], "aqcpj,bj->abqcp")


def rewrite(op: ConvOp, size: int) -> None:
    """conv(x, w) -> winograd_conv(x, G w G^T)"""
    _, _, low, high = op.window_lists()
    with building(InsertPoint.before(op), op.location):
        made = F.winograd_conv(op.x, transformed_filters(op.weight, size), op.bias, low=low, high=high)
    made.name_hint = op.out.name_hint
    op.out.replace_all_uses_with(made)
    Rewriter.erase_op(op)


@dataclass(frozen=True)
class UseWinograd(ModulePass):
    """Convolve by transformed tiles where filters are weights and the cost model finds it quicker."""

    name = "winograd"
    size: int | None = None
    """Results of a tile along each axis, wherever they fit: 2 or 4; 0 for no tiles anywhere."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in defined_functions(op):
            if self.size != 0:
                sources = sources_in_weights(function)
                for conv in [each for each in function.body.block.ops if isinstance(each, ConvOp)]:
                    if fits(conv) and sources.get(conv.weight):
                        self.visit(conv)

    def visit(self, conv: ConvOp) -> None:
        size = best_size(conv) if self.size is None else self.size
        if size is None:
            remarks.missed(conv, lambda: "winograd: transforming tiles would cost more than it saves")
            return
        remarks.passed(conv, lambda: why(conv, size))
        rewrite(conv, size)


def why(op: ConvOp, size: int) -> str:
    return f"winograd, tiles of {size}x{size}: {cycles(op, size):,.0f} cycles, direct {direct_cycles(op):,.0f}"
