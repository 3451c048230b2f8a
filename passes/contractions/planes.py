"""Padding part by part: what an outer loop reads of a padded image is padded inside that loop, and stays in cache.

    alloc, fill with 0, copy the image inside          for each channel:
    for each channel: sums of its padded plane    ->     copy its plane into a small padded buffer; sums of that

Depthwise convolutions read a plane once: padding the whole image first costs them as much as all their sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import cast

from xdsl.dialects import arith, linalg, memref
from xdsl.dialects.builtin import DYNAMIC_INDEX, FloatAttr, MemRefType, NoneAttr, VectorType
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.recognise import Contraction, Operand, root
from xmlc.passes.index_arithmetic import Index

PLANE, ROW, COLUMN = range(3)


@dataclass(frozen=True)
class Padding:
    """A buffer that holds an image with zeros around it, and the ops that fill it."""

    image: SSAValue
    shape: tuple[int, ...]
    """The sizes of the image."""
    low: tuple[int, ...]
    """How many zeros are before it in each dimension."""
    padded: tuple[int, ...]
    """The sizes of the buffer."""
    ops: tuple[Operation, ...]

    @property
    def dimensions(self) -> list[int]:
        """The dimensions that are padded."""
        return [axis for axis, (size, whole) in enumerate(zip(self.shape, self.padded)) if size != whole]

    def drop(self) -> None:
        """Erase the ops that fill the whole buffer."""
        for op in self.ops:
            op.detach()
            op.erase()


def padding_of(value: SSAValue) -> Padding | None:
    """How a buffer is filled, if that is with zeros and then with an image, and but one other op reads it."""
    reshape = value.owner
    if isinstance(reshape, memref.ExpandShapeOp | memref.CollapseShapeOp) and value.uses.get_length() == 1:
        value = reshape.operands[0]
    if not isinstance(value.owner, memref.AllocOp):
        return None
    users = [use.operation for use in value.uses]
    fills = [op for op in users if isinstance(op, linalg.ops.FillOp)]
    views = [op for op in users if isinstance(op, memref.SubviewOp)]
    if len(users) != 3 or len(fills) != 1 or len(views) != 1 or not is_zero(fills[0].inputs[0]):
        return None
    view = views[0]
    copies = [use.operation for use in view.results[0].uses]
    if len(copies) != 1 or not isinstance(copy := copies[0], memref.CopyOp) or copy.destination is not view.results[0]:
        return None
    image = cast(MemRefType[Attribute], copy.source.type)
    whole = tuple(cast(MemRefType[Attribute], value.type).get_shape())
    shape, low = tuple(image.get_shape()), tuple(view.static_offsets.get_values())
    plain = isinstance(image.layout, NoneAttr) and all(step == 1 for step in view.static_strides.get_values())
    if not plain or DYNAMIC_INDEX in (*shape, *low):
        return None
    return Padding(copy.source, shape, low, whole, (fills[0], copy, view))


def is_zero(value: SSAValue) -> bool:
    match value.owner:
        case arith.ConstantOp(value=FloatAttr(value=number)):
            return number.data == 0
        case _:
            return False


def padding_of_image(found: Contraction) -> Padding | None:
    """How the left factor is padded, where what it is made of is still there when sums are stored."""
    padding = padding_of(found.lhs.value)
    if padding is None or found.lhs.offset or found.lhs.element != found.element:
        return None
    return None if root(padding.image) in (root(found.out.value), root(found.sums.value)) else padding


def planes_of(found: Contraction, outermost: Steps, most: int) -> tuple[Padding, int] | None:
    """How the left factor is padded, and how many planes each iteration of the outermost loop reads, at most `most`
    elements; None where that is not a part of its own."""
    padding = padding_of_image(found)
    if padding is None or outermost.size != 1:
        return None
    rank = len(padding.shape)
    if rank < 3 or any(axis < rank - 2 for axis in padding.dimensions):
        return None
    part = found.lhs.strides[outermost.loop]
    others = [loop for loop in range(len(found.extents)) if loop != outermost.loop]
    reach = sum(abs(found.lhs.strides[loop]) * (found.extents[loop] - 1) for loop in others)
    count, rest = divmod(part, prod(padding.padded[-2:]))
    return (padding, count) if count and not rest and reach < part <= most else None


def padded_planes(
    emitter: Emitter, found: Contraction, padding: Padding, count: int, loop: int, index: Index, lanes: int
) -> Contraction:
    """Emit the copy of the planes of one iteration; the contraction that reads them there."""
    (height, width), (rows, columns) = padding.shape[-2:], padding.padded[-2:]
    size = count * rows * columns
    buffer = emitter.buffer(found.element, (-(-size // lanes) * lanes + lanes,))
    image = emitter.view(Operand(padding.image, (height * width, width, 1)), (prod(padding.shape[:-2]), height, width))
    flat = View(buffer, (COLUMN,), (1,))
    zeros = emitter.number(0.0, VectorType(found.element, (lanes,)))
    mask = emitter.mask(width, lanes) if width < lanes else None

    def clear(start: Index, extent: int) -> None:
        """Zeros from here on, `extent` of them or up to a vector more: what comes later is written later."""
        for first in range(0, extent, lanes):
            emitter.store_vector(zeros, flat, (emitter.index(emitter.plus(start, first)),))

    head, gap = padding.low[-2] * columns + padding.low[-1], columns - width
    with emitter.loop(count) as plane:
        start = emitter.times(plane, rows * columns)
        source = emitter.plus(emitter.times(index, count), plane)
        clear(start, head)
        with emitter.loop(height) as row:
            target = emitter.plus(emitter.plus(start, head), emitter.times(row, columns))

            def copy(at: Mapping[int, Index], _: Mapping[int, int], row: Index = row, target: Index = target) -> None:
                where = emitter.indices(image, {PLANE: source, ROW: row, **at})
                value = emitter.load_vector(image, where, lanes, mask)
                emitter.store_vector(value, flat, (emitter.index(emitter.plus(target, at[COLUMN])),))

            around(emitter, (Steps(COLUMN, width, lanes, overlaps=True),), copy)
            clear(emitter.plus(target, width), gap)
        tail = head + height * columns
        clear(emitter.plus(start, tail), rows * columns - tail)
    strides = tuple(0 if each == loop else stride for each, stride in enumerate(found.lhs.strides))
    return replace(found, lhs=Operand(buffer, strides))
