"""`ml.resize` as loop nests: where each element of the result lies in the input, by tables where the sizes are known.

Places along a dimension of a free size are computed in the loop, in f64 as the reference computes them; whole factors
need only a division of the index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import f32, f64, i64
from xdsl.ir import Attribute, SSAValue

from xmlc.dialects.dtypes import TO_NUMPY, computing_type
from xmlc.dialects.ml import contraction as ml
from xmlc.dialects.ml.types import element_of, rank_of, shape_of, tensor
from xmlc.dialects.reference.contraction import ROUND, source_coordinates
from xmlc.dialects.sizes import is_symbolic
from xmlc.passes.lower_ml.reduction import rounded, widened
from xmlc.passes.lower_ml.structured import (
    INDEX,
    as_index,
    build_index,
    clamped,
    dim,
    extract,
    identity,
    index,
    loop_index,
    parallel,
    table,
)
from xmlc.passes.number import FORMATS, Integer, Real, build, select

HALF = (ml.Rounding.ROUND_PREFER_FLOOR, ml.Rounding.ROUND_PREFER_CEIL)


@dataclass(frozen=True)
class Axis:
    """How one dimension is sampled: its lengths in the input and in the result, and the factor between them."""

    position: int
    before: int
    after: int
    scale: float
    coordinates: ml.Coordinates
    rounding: ml.Rounding

    @property
    def is_unchanged(self) -> bool:
        return self.after == self.before and self.scale == 1

    @property
    def is_free(self) -> bool:
        return is_symbolic((self.before, self.after))

    @property
    def repeats(self) -> bool:
        """Whether the nearest element of each index is the index divided by the factor, rounded down.

        (i + 1/2) / s - 1/2 is less than half an element away from i // s for every whole factor s.
        """
        if not self.scale.is_integer() or self.after != self.before * int(self.scale):
            return False
        at_start = self.coordinates is ml.Coordinates.ASYMMETRIC and self.rounding is ml.Rounding.FLOOR
        return at_start or (self.coordinates is ml.Coordinates.HALF_PIXEL and self.rounding in HALF)

    def known_places(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return source_coordinates(self.coordinates, self.after, self.before, self.scale)

    def place(self) -> Real:
        """Where the element that a loop body makes lies in the input, in f64: `source_coordinates` of its index."""
        i, before, after = (real(each) for each in (loop_index(self.position), index(self.before), index(self.after)))
        match self.coordinates:
            case ml.Coordinates.ASYMMETRIC:
                return i / self.scale
            case ml.Coordinates.ALIGN_CORNERS:
                return i * (before - 1.0) / (after - 1.0).at_least(1.0)
            case ml.Coordinates.PYTORCH_HALF_PIXEL:
                return ((i + 0.5) / self.scale - 0.5) * (after - 1.0).at_most(1.0)  # 0 where there is one element
            case ml.Coordinates.HALF_PIXEL:
                return (i + 0.5) / self.scale - 0.5
            case ml.Coordinates.HALF_PIXEL_SYMMETRIC:
                return before / 2.0 * (1.0 - after / (before * self.scale)) + (i + 0.5) / self.scale - 0.5


def real(value: SSAValue) -> Real:
    """An index in f64."""
    return Integer(build(arith.IndexCastOp, (value,), i64)).to_real(FORMATS[f64])


ROUND_REAL: dict[ml.Rounding, Callable[[Real], Real]] = {
    ml.Rounding.FLOOR: lambda x: x.floor(),
    ml.Rounding.CEIL: lambda x: x.ceil(),
    ml.Rounding.ROUND_PREFER_FLOOR: lambda x: (x - 0.5).ceil(),
    ml.Rounding.ROUND_PREFER_CEIL: lambda x: (x + 0.5).floor(),
}
"""As `ROUND` of the reference."""


def whole(x: Real) -> SSAValue:
    """A whole number as an index."""
    return build(arith.IndexCastOp, (build(arith.FPToSIOp, (x.value,), i64),), INDEX)


def resize(op: ml.ResizeOp, x: SSAValue) -> SSAValue:
    """Nearest in all dimensions at once; linear in one dimension after the other."""
    scales = op.scales.get_values()
    axes = [
        Axis(position, before, after, scale, op.coordinates.data, op.rounding.data)
        for position, (before, after, scale) in enumerate(zip(shape_of(op.x), shape_of(op.out), scales))
    ]
    moved = [axis for axis in axes if not axis.is_unchanged]
    if op.interpolation.data is ml.Interpolation.NEAREST:
        return nearest(x, moved, shape_of(op.out))
    element = element_of(x)
    x = parallel([(x, identity(rank_of(x)))], tensor(shape_of(x), computing_type(element)), widened)
    for axis in moved:
        x = interpolated(x, axis)
    return rounded(x, element)


def nearest(x: SSAValue, moved: list[Axis], shape: tuple[int, ...]) -> SSAValue:
    """out[…, i, …] = x[…, the place nearest to i's, …]"""
    tabled = [axis for axis in moved if not axis.is_free]
    tables = [(table(nearest_places(axis)), (dim(axis.position),)) for axis in tabled]

    def body(*places: SSAValue) -> SSAValue:
        at = [loop_index(i) for i in range(len(shape))]
        for axis, place in zip(tabled, places):
            at[axis.position] = as_index(place)
        for axis in moved:
            if axis.is_free:
                at[axis.position] = nearest_place(axis)
        return extract(x, at)

    return parallel(tables, tensor(shape, element_of(x)), body)


def nearest_places(axis: Axis) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.clip(ROUND[axis.rounding](axis.known_places()), 0, axis.before - 1).astype(np.int64)


def nearest_place(axis: Axis) -> SSAValue:
    """The same for the element that a loop body makes, in a dimension of a free size."""
    if axis.repeats:
        return build(arith.DivUIOp, (loop_index(axis.position), index(int(axis.scale))), INDEX)
    return clamped(whole(ROUND_REAL[axis.rounding](axis.place())), axis.before)


def interpolated(x: SSAValue, axis: Axis) -> SSAValue:
    """x sampled between its elements along one axis"""
    element = element_of(x)
    shape = [axis.after if i == axis.position else n for i, n in enumerate(shape_of(x))]
    tables = [] if axis.is_free else [(table(each), (dim(axis.position),)) for each in neighbours(axis, element)]

    def body(*values: SSAValue) -> SSAValue:
        before, after, part = computed_neighbours(axis, element) if axis.is_free else values
        where = [loop_index(i) for i in range(len(shape))]
        where[axis.position] = as_index(before)
        low = Real(extract(x, where))
        where[axis.position] = as_index(after)
        high = Real(extract(x, where))
        return (low * (1.0 - Real(part)) + high * Real(part)).value

    return parallel(tables, tensor(shape, element), body)


def neighbours(axis: Axis, element: Attribute) -> Sequence[np.ndarray[tuple[int], np.dtype[Any]]]:
    """For each index, the elements before and after its place, and what part of the way to the second it lies."""
    at = np.clip(axis.known_places(), 0, axis.before - 1)
    left = np.floor(at).astype(np.int64)
    return left, np.minimum(left + 1, axis.before - 1), (at - left).astype(TO_NUMPY[element])


def computed_neighbours(axis: Axis, element: Attribute) -> Sequence[SSAValue]:
    """The same for the element that a loop body makes, in a dimension of a free size."""
    place, last = axis.place().at_least(0.0), real(index(axis.before)) - 1.0
    at = select(last < place, last, place)
    left = at.floor()
    share = at - left
    before = whole(left)
    after = build_index(arith.AddiOp, before, index(1))
    return before, clamped(after, axis.before), (share.narrowed() if element == f32 else share).value
