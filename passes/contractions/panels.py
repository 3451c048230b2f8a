"""Packing: blocks of a factor copied into panels, in the order in which register tiles read them.

A panel is as wide as a register tile; for each step (or group of steps) it holds the elements of its rows or columns
side by side, and those of a group next to one another. Places after the end of a block hold zeros or copies of others:
nothing of them is stored. Where the source runs through memory along the reduction, squares of it are transposed in
registers; rows of such a source may also be copied as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from xdsl.dialects import arith, vector
from xdsl.dialects.builtin import DenseArrayBase, IntegerType, MemRefType, UnitAttr, VectorType, i64
from xdsl.ir import Attribute, SSAValue

from xmlc.dialects.grouped import DotOp
from xmlc.passes.contractions.dots import Dots
from xmlc.passes.contractions.emitter import Emitter, View, bits_of
from xmlc.passes.contractions.transpose import transposed
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.number import element_of

PANEL, STEP, PLACE = 0, 1, 2
"""The loops of a packed buffer: which panel, which step or group of steps, which element of the panel."""
NO_LOOP = -2


@dataclass(frozen=True)
class Layout:
    """How a factor is packed: panels `wide` places, in steps of `group` elements; `grouped` of the sums in a vector."""

    element: Attribute
    wide: int
    lanes: int
    group: int = 1
    flips: bool = False

    @property
    def width(self) -> int:
        """Places a panel has room for: a whole number of vectors, or of pieces of one if it is narrow."""
        return -(-self.wide // self.lanes) * self.lanes

    def buffer(self, emitter: Emitter, count: int, depth: int) -> View:
        """A buffer of `count` panels for `depth` steps."""
        steps = -(-depth // (self.group * self.lanes)) * self.lanes
        across = self.width * self.group
        value = emitter.buffer(self.element, (count, steps, across))
        return View(value, (PANEL, STEP, PLACE), (steps * across, across, 1))


@dataclass(frozen=True)
class Block:
    """A part of a factor: from these indices of its loops on, `extent` along `loop` and `depth` along `reduction`."""

    at: Mapping[int, Index]
    loop: int
    reduction: int
    extent: Index
    depth: Index
    last: int
    """The last index of `loop` that the factor has."""
    steps: int
    """How far the reduction of the factor runs."""


def pack(emitter: Emitter, source: View, target: View, block: Block, layout: Layout) -> None:
    """Copy a block into panels."""
    if source.loops[-1] == block.loop and source.strides[-1] == 1:
        interleave(emitter, source, target, block, layout)
        return
    with emitter.loop(emitter.rounded_up(block.extent, layout.wide), parallel=True) as panel:
        first = emitter.times(panel, layout.wide)
        start = emitter.plus(block.at[block.loop], first)
        at = {**block.at, block.loop: start}
        if source.loops[-1] == block.reduction and source.strides[-1] == 1:
            transpose(emitter, source, target, replace(block, at=at), panel, layout)
        else:
            scatter(emitter, source, target, replace(block, at=at), panel, layout)


IN_TURN = 8
"""Rows of panels, each of a group of steps, that are made before the next panel's: the source is read in order."""


def interleave(emitter: Emitter, source: View, target: View, block: Block, layout: Layout) -> None:
    """Places lie side by side in the source: the rows of a group are shuffled into one another."""
    groups = emitter.rounded_up(block.depth, layout.group)
    panels = emitter.rounded_up(block.extent, layout.wide)
    with emitter.loop(groups, IN_TURN, parallel=True) as first:
        even = isinstance(groups, int) and groups % IN_TURN == 0
        count = IN_TURN if even else emitter.least(emitter.less(groups, first), IN_TURN)
        with emitter.loop(panels, parallel=True) as panel:
            interleave_rows(emitter, source, target, block, layout, panel, first, count)


def interleave_rows(
    emitter: Emitter,
    source: View,
    target: View,
    block: Block,
    layout: Layout,
    panel: Index,
    first: Index,
    count: Index,
) -> None:
    """Some rows of one panel."""
    here = emitter.plus(block.at[block.loop], emitter.times(panel, layout.wide))
    whole = (block.last + 1) % layout.wide == 0 and layout.wide % layout.lanes == 0
    left: Index = layout.wide if whole else emitter.less(block.last + 1, here)
    starts = range(0, layout.width, layout.lanes)
    exact = isinstance(left, int) and left >= layout.width
    ragged = block.steps % layout.group != 0
    masks = [None if exact else emitter.mask(emitter.less(left, start), layout.lanes) for start in starts]
    with emitter.loop(count) as row:
        group = emitter.plus(first, row)
        step = emitter.plus(block.at[block.reduction], emitter.times(group, layout.group))
        for start, mask in zip(starts, masks):
            place = emitter.plus(here, start)
            rows: list[SSAValue] = []
            for number in range(layout.group):
                index = emitter.plus(step, number)
                where = {**block.at, block.loop: place, block.reduction: index}
                if ragged and number:  # no lanes of a row after the last
                    more = emitter.times(emitter.less(block.steps, index), layout.lanes)
                    lanes = emitter.least(layout.lanes if exact else emitter.less(left, start), more)
                    mask = emitter.mask(lanes, layout.lanes)
                found = emitter.load_vector(source, emitter.indices(source, where), layout.lanes, mask)
                rows.append(converted(emitter, found, layout, source.unsigned))
            at = {PANEL: panel, STEP: group, PLACE: start * layout.group}
            emitter.store_vector(interleaved(emitter, rows), target, emitter.indices(target, at))


def interleaved(emitter: Emitter, rows: Sequence[SSAValue]) -> SSAValue:
    """Lane 0 of each row, then lane 1 of each …; the rows are a power of two."""
    values, width = list(rows), 1
    while len(values) > 1:
        values = [zipped(emitter, x, y, width) for x, y in zip(values[::2], values[1::2])]
        width *= 2
    return values[0]


def zipped(emitter: Emitter, x: SSAValue, y: SSAValue, width: int) -> SSAValue:
    """Pieces of `width` lanes, from one and the other in turn."""
    lanes = lanes_of(x)
    order = [
        source * lanes + piece * width + lane
        for piece in range(lanes // width)
        for source in (0, 1)
        for lane in range(width)
    ]
    return shuffled(emitter, x, y, order)


def lanes_of(value: SSAValue) -> int:
    return cast("VectorType[Attribute]", value.type).get_shape()[0]


def shuffled(emitter: Emitter, x: SSAValue, y: SSAValue, order: Sequence[int]) -> SSAValue:
    element = element_of(x.type)
    return emitter.add(
        vector.ShuffleOp.create(
            operands=(x, y),
            result_types=(VectorType(element, (len(order),)),),
            properties={"mask": DenseArrayBase.from_list(i64, order)},
        )
    ).results[0]


def transpose(emitter: Emitter, source: View, target: View, block: Block, panel: Index, layout: Layout) -> None:
    """Steps lie side by side in the source: squares of words, each a group of steps, are transposed in registers."""
    lanes = layout.lanes
    across = lanes * layout.group
    word = IntegerType(bits_of(layout.element) * layout.group)
    with emitter.loop(emitter.rounded_up(block.depth, across)) as square:
        first = emitter.times(square, across)
        step = emitter.plus(block.at[block.reduction], first)
        left = emitter.less(block.depth, first)
        exact = isinstance(block.depth, int) and block.depth % across == 0
        mask = None if exact else emitter.mask(left, across)
        for start in range(0, layout.width, lanes):
            rows: list[SSAValue] = []
            for lane in range(lanes):
                # rows after the end are read as copies of the last one, and never stored
                row = emitter.least(emitter.plus(block.at[block.loop], start + lane), block.last)
                where = {**block.at, block.loop: row, block.reduction: step}
                found = emitter.load_vector(source, emitter.indices(source, where), across, mask)
                rows.append(cast_to(emitter, converted(emitter, found, layout, source.unsigned), word, lanes))
            for lane, column in enumerate(transposed(emitter, rows)):
                at = {PANEL: panel, STEP: emitter.plus(emitter.times(square, lanes), lane), PLACE: start * layout.group}
                value = cast_to(emitter, column, layout.element, across)
                emitter.store_vector(value, target, emitter.indices(target, at))


def scatter(emitter: Emitter, source: View, target: View, block: Block, panel: Index, layout: Layout) -> None:
    """Neither lies side by side: element by element."""
    with emitter.loop(layout.width) as place, emitter.loop(emitter.rounded_up(block.depth, layout.group)) as group:
        row = emitter.least(emitter.plus(block.at[block.loop], place), block.last)
        for number in range(layout.group):
            step = emitter.plus(emitter.times(group, layout.group), number)
            index = emitter.least(emitter.plus(block.at[block.reduction], step), block.steps - 1)
            where = {**block.at, block.loop: row, block.reduction: index}
            value = converted(emitter, emitter.load(source, where), layout, source.unsigned)
            if block.steps % layout.group and number:
                value = emitter.unless_after(emitter.plus(block.at[block.reduction], step), block.steps, value)
            at = {PANEL: panel, STEP: group, PLACE: emitter.plus(emitter.times(place, layout.group), number)}
            emitter.store(value, target, at)


def copy_rows(
    emitter: Emitter, source: View, block: Block, layout: Layout, depth: int, room: int | None = None
) -> View:
    """The rows of a block, which lie along the reduction, side by side in a buffer; zeros after the last step.

    `depth` is the most steps a block has; there is `room` for more rows, if it is stated, which hold anything. Rows
    begin at different places of a page, where caches keep them all.
    """
    chunk = layout.lanes * layout.group
    across = -(-depth // chunk) * chunk + chunk
    assert isinstance(block.extent, int)
    value = emitter.buffer(layout.element, (room or block.extent, across))
    target = View(value, (block.loop, block.reduction), (across, 1))
    exact = isinstance(block.depth, int) and block.depth % chunk == 0
    with emitter.loop(block.extent) as row, emitter.loop(block.depth, chunk) as step:
        mask = None if exact else emitter.mask(emitter.less(block.depth, step), chunk)
        where = {
            **block.at,
            block.loop: emitter.plus(block.at[block.loop], row),
            block.reduction: emitter.plus(block.at[block.reduction], step),
        }
        found = emitter.load_vector(source, emitter.indices(source, where), chunk, mask)
        found = converted(emitter, found, layout, source.unsigned)
        emitter.store_vector(found, target, emitter.indices(target, {block.loop: row, block.reduction: step}))
    return target


def converted(emitter: Emitter, value: SSAValue, layout: Layout, unsigned: bool) -> SSAValue:
    """Elements as panels hold them."""
    wide = emitter.widened(value, layout.element, unsigned)
    if not layout.flips:
        return wide
    highest = emitter.number(-128, wide.type)
    return emitter.add(arith.XOrIOp.create(operands=(wide, highest), result_types=(wide.type,))).results[0]


def cast_to(emitter: Emitter, value: SSAValue, element: Attribute, lanes: int) -> SSAValue:
    """The bits of a vector as this many lanes of another type."""
    kind = VectorType(element, (lanes,))
    if value.type == kind:
        return value
    return emitter.add(vector.BitcastOp.create(operands=(value,), result_types=(kind,))).results[0]


def sums_of_panels(emitter: Emitter, packed: View, count: Index, groups: Index, layout: Layout, dots: Dots) -> View:
    """For each place of each panel what moving the rows by 128 adds to its sums, to start from minus that."""
    sums = IntegerType(32)
    kind = VectorType(sums, (layout.lanes,))
    panels = cast(MemRefType[Attribute], packed.value.type).get_shape()[0]
    value = emitter.buffer(sums, (panels, layout.width))
    target = View(value, (PANEL, PLACE), (layout.width, 1))
    ones = emitter.number(1, VectorType(layout.element, (layout.lanes * layout.group,)))
    with emitter.loop(count, parallel=True) as panel:
        for start in range(0, layout.width, layout.lanes):

            def step(group: Index, carried: Sequence[SSAValue], start: int = start) -> Sequence[SSAValue]:
                at = {PANEL: panel, STEP: group, PLACE: start * layout.group}
                lanes = layout.lanes * layout.group
                found = emitter.load_vector(packed, emitter.indices(packed, at), lanes)
                factors = (found, ones) if dots.unsigned_columns else (ones, found)
                return [dot(emitter, carried[0], *factors, dots)]

            total = emitter.fold(groups, [emitter.number(0, kind)], step)[0]
            factor = emitter.number(-dots.added, kind)
            product = arith.MuliOp.create(
                operands=(total, factor),
                result_types=(kind,),
                properties={"overflowFlags": arith.IntegerOverflowAttr("none")},
            )
            at = emitter.indices(target, {PANEL: panel, PLACE: start})
            emitter.store_vector(emitter.add(product).results[0], target, at)
    return target


def dot(emitter: Emitter, sums: SSAValue, x: SSAValue, y: SSAValue, dots: Dots) -> SSAValue:
    """sums + the products of neighbours; x is the unsigned factor where there is one"""
    properties = {"unsigned_x": UnitAttr()} if dots.has_unsigned else {}
    return emitter.add(DotOp.create(operands=(sums, x, y), result_types=(sums.type,), properties=properties)).results[0]
