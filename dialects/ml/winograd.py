"""Convolutions by 3x3 filters with fewer products: Winograd's minimal filtering of overlapping tiles.

    out = A^T [ sum over channels of (G w G^T) * (B^T x B) ] A

for each tile of m x m results, made of n x n inputs, n = m + 2 (Winograd, Arithmetic complexity of computations, 1980;
Lavin and Gray, Fast algorithms for convolutional neural networks, 2016). The matrices are Toom and Cook's: B^T x B
evaluates polynomials at n - 1 points and at infinity, A interpolates. Points of a pair p, -p share half their work.
For m = 4 the points 3/4 and 3/2 make errors a fourth of those of the usual 1 and 2, and are exact in binary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import UnitAttr, f32, f64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.ml.attributes import Integers, flag, integers
from xmlc.dialects.ml.channels_last import to_channels_first, to_channels_last
from xmlc.dialects.ml.contraction import expect_bias, expect_window, window_size
from xmlc.dialects.ml.types import (
    Tensor,
    TensorLike,
    expect_elements,
    expect_type,
    rank_of,
    shape_of,
    tensor,
)

FILTER = 3
"""The size of the filters."""

POINTS: dict[int, tuple[Fraction, ...]] = {
    2: (Fraction(0), Fraction(1), Fraction(-1)),
    4: (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2)),
}
"""Results of a tile along each axis -> the points of its polynomials: 0, then pairs."""

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]


@dataclass(frozen=True)
class Transforms:
    """The matrices for tiles of m results along an axis."""

    data: Matrix
    """B^T, (n, n): what is done to the inputs of a tile."""
    filters: Matrix
    """G, (n, 3): what is done to the filters, once."""
    result: Matrix
    """A^T, (m, n): what makes the results of a tile."""


def product(polynomials: Sequence[Sequence[Fraction]]) -> list[Fraction]:
    """The coefficients of a product of polynomials, from x^0 up."""
    total = [Fraction(1)]
    for each in polynomials:
        longer = [Fraction(0)] * (len(total) + len(each) - 1)
        for i, left in enumerate(total):
            for j, right in enumerate(each):
                longer[i + j] += left * right
        total = longer
    return total


@lru_cache
def transforms(size: int) -> Transforms:
    """The matrices for tiles of `size` results."""
    points = POINTS[size]
    taps = size + FILTER - 1
    roots = [(-point, Fraction(1)) for point in points]
    others = [[q for q in points if q != p] for p in points]
    scales = [product([(p - q,) for q in each])[0] for p, each in zip(points, others)]
    data = [[*product([(-q, Fraction(1)) for q in each]), Fraction(0)] for each in others]
    data.append(product(roots))
    filters = [[p**k / scale for k in range(FILTER)] for p, scale in zip(points, scales)]
    filters.append([Fraction(int(k == FILTER - 1)) for k in range(FILTER)])
    result = [[*(p**k for p in points), Fraction(int(k == size - 1))] for k in range(size)]
    made = [np.array(each, np.float64) for each in (data, filters, result)]
    assert made[0].shape == (taps, taps)
    return Transforms(*made)


def winograd_type(
    x: Attribute,
    weight: Attribute,
    bias: Attribute | None,
    low: Sequence[int],
    high: Sequence[int],
    channels_last: bool = False,
) -> TensorLike:
    """(n, c, h, w), (t, t, o / p, c, p), (o) -> (n, o, *windows), or both images with channels last"""
    expect_window(x, low, high)
    element = expect_elements(WinogradConvOp.ACCEPTS, x, weight, *([bias] if bias else []))
    if rank_of(x) != 4 or rank_of(weight) != 5:
        raise VerifyException(f"expected an image and transformed filters of rank 5, found {x} and {weight}")
    batch, channels, *sizes = to_channels_first(shape_of(x)) if channels_last else shape_of(x)
    rows, columns, panels, depth, width = shape_of(weight)
    if rows != columns or rows - FILTER + 1 not in POINTS:
        raise VerifyException(f"no tiles of {rows}x{columns} are known, expected one of {known_tiles()}")
    if depth != channels:
        raise VerifyException(f"input has {channels} channels, expected {depth} for filters {weight}")
    expect_bias(bias, panels * width)
    windows = [window_size(n, FILTER, 1, 1, before, after) for n, before, after in zip(sizes, low, high)]
    shape = (batch, panels * width, *windows)
    return tensor(to_channels_last(shape) if channels_last else shape, element)


def known_tiles() -> str:
    return ", ".join(f"{size + FILTER - 1}x{size + FILTER - 1}" for size in POINTS)


@irdl_op_definition
class WinogradConvOp(IRDLOperation):
    """`ml.conv` by 3x3 filters with strides of 1, given its filters transformed: G w G^T.

    weight[a, b, q, c, r] belongs to output channel q * p + r: panels of p channels, as the product reads them.
    Images are (n, c, h, w), or (n, h, w, c) where `channels_last` is set.
    """

    name = "ml.winograd_conv"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = (f32, f64)
    x = operand_def(Tensor)
    weight = operand_def(Tensor)
    bias = opt_operand_def(Tensor)
    low = prop_def(Integers)
    high = prop_def(Integers)
    channels_last = opt_prop_def(UnitAttr)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$x `,` $weight (`bias` $bias^ `:` type($bias))? `low` `=` $low `high` `=` $high "
        "(`channels_last` $channels_last^)? attr-dict `:` type($x) `,` type($weight) `->` type($out)"
    )

    def __init__(
        self,
        x: SSAValue,
        weight: SSAValue,
        bias: SSAValue | None = None,
        *,
        low: Sequence[int] = (0, 0),
        high: Sequence[int] = (0, 0),
        channels_last: bool = False,
    ):
        types = x.type, weight.type, bias.type if bias else None
        super().__init__(
            operands=(x, weight, bias),
            result_types=(winograd_type(*types, low, high, channels_last),),
            properties={"low": integers(low), "high": integers(high), "channels_last": flag(channels_last)},
        )

    def verify_(self) -> None:
        types = self.x.type, self.weight.type, self.bias.type if self.bias else None
        low, high = (tuple(each.get_values()) for each in (self.low, self.high))
        expect_type(self.out.type, winograd_type(*types, low, high, self.channels_last is not None))

    def result_sizes(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        shape = shape_of(self.out)
        _, _, height, width = shape if self.channels_last is None else to_channels_first(shape)
        return height, width

    @property
    def size(self) -> int:
        """Results of a tile along each axis."""
        return shape_of(self.weight)[0] - FILTER + 1

    def tiles(self) -> tuple[int, int]:
        """Tiles along each axis: enough to cover the result."""
        height, width = self.result_sizes()
        return -(-height // self.size), -(-width // self.size)

    def padding(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """What to add to the image, before and after, so that its last tiles are whole."""
        low, high = (tuple(each.get_values()) for each in (self.low, self.high))
        extra = [tiles * self.size - n for tiles, n in zip(self.tiles(), self.result_sizes())]
        return (low[0], low[1]), (high[0] + extra[0], high[1] + extra[1])


WINOGRAD = (WinogradConvOp,)
