"""Cache blocks and packed panels, after GotoBLAS (Goto and van de Geijn, Anatomy of high-performance matrix
multiplication, 2008).

    for jc: for pc: pack columns jc.. of the vector factor, steps pc.., into panels as wide as the register tile
      for each tile of rows: pack its rows of the scalar factor, unless they run through memory along the reduction
        for each panel of columns: register tile, added to the sums of the blocks before

The panels of a block stay in the second cache, the rows of a tile in the first. Sums go to memory between blocks, as
they are; those of the last block go through the epilogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from xdsl.dialects.builtin import VectorType
from xdsl.ir import Attribute, SSAValue

from xmlc.passes.contractions import grouped
from xmlc.passes.contractions.blocks_of_sums import BlocksOfSums
from xmlc.passes.contractions.dots import Dots
from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.panels import (
    NO_LOOP,
    PANEL,
    PLACE,
    STEP,
    Block,
    Layout,
    copy_rows,
    pack,
    sums_of_panels,
)
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.tile import Reduction, Shape, Tile
from xmlc.passes.index_arithmetic import Index


@dataclass(frozen=True)
class Blocked:
    """A matrix product: its loops, register tile, and blocks in columns and steps of the reduction."""

    shape: Shape
    reduction: int
    outer: tuple[int, ...]
    """Loops around the product."""
    columns: int
    depth: int
    packs_rows: bool
    dots: Dots | None = None
    """The instruction that takes steps in groups, if one does."""
    unroll: int = 1
    shares_rows: bool = False
    """Whether threads share the rows of a block, whose panels all of them read; else each has blocks of its own."""

    @property
    def group(self) -> int:
        return self.dots.size if self.dots is not None else 1

    def layout(self, element: Attribute, wide: int, flips: bool = False) -> Layout:
        packed = self.dots.element if self.dots is not None else element
        return Layout(packed, wide, self.shape.lanes, self.group, flips)


def factors_of(found: Contraction, column: int) -> tuple[Operand, Operand]:
    """The factor that moves along the columns, and the other."""
    return (found.lhs, found.rhs) if found.lhs.strides[column] else (found.rhs, found.lhs)


class Product:
    """Emits one product of matrices: the parts of its nest, from the outermost to the tile."""

    def __init__(self, emitter: Emitter, found: Contraction, plan: Blocked):
        self.emitter, self.found, self.plan = emitter, found, plan
        shape = plan.shape
        wide, high = factors_of(found, shape.column_loop)
        self.columns = self.view(wide, shape.column_loop)
        self.rows = self.view(high, shape.row_loop)
        self.sums = BlocksOfSums(emitter, found, shape.column_loop, plan.reduction, plan.depth)

    def view(self, factor: Operand, loop: int) -> View:
        """A factor, the loop last along which it lies in one piece."""
        last = loop if factor.strides[loop] == 1 else self.plan.reduction
        return self.emitter.view(factor, self.found.extents, last)

    def emit(self, batch: Mapping[int, Index], _: Mapping[int, int]) -> None:
        emitter, plan, extents = self.emitter, self.plan, self.found.extents
        layout = plan.layout(self.found.element, plan.shape.columns)
        with emitter.loop(extents[plan.shape.column_loop], plan.columns, parallel=not plan.shares_rows) as jc:
            # buffers are made in the loops that fill them: each thread gets its own
            panels = layout.buffer(emitter, -(-plan.columns // layout.wide), plan.depth)
            with emitter.loop(extents[plan.reduction], plan.depth) as pc:
                self.block({**batch, plan.shape.column_loop: jc, plan.reduction: pc}, panels, layout)

    def block(self, at: Mapping[int, Index], panels: View, layout: Layout) -> None:
        """One block of columns and steps: pack it, then all rows."""
        emitter, plan, extents = self.emitter, self.plan, self.found.extents
        row, column, reduction = plan.shape.row_loop, plan.shape.column_loop, plan.reduction
        width = part(emitter, extents[column], at[column], plan.columns)
        depth = part(emitter, extents[reduction], at[reduction], plan.depth)
        block = Block(at, column, reduction, width, depth, extents[column] - 1, extents[reduction])
        pack(emitter, self.columns, panels, block, layout)
        count = emitter.rounded_up(width, layout.wide)
        steps = emitter.rounded_up(depth, plan.group)
        starts: View | None = None
        if plan.dots is not None and plan.dots.flips:
            starts = sums_of_panels(emitter, panels, count, steps, layout, plan.dots)

        def rows(corner: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
            here = {**at, **corner}
            scalars = self.packed_rows(here, sizes[row], depth)
            with emitter.loop(count, parallel=True) as panel:
                vectors = self.panel(panels, panel, column)
                tile = Tile(emitter, replace(plan.shape, rows=sizes[row]), self.found.element)
                j = emitter.times(panel, layout.wide)
                left: Index = layout.wide
                if extents[column] % layout.wide:
                    left = emitter.least(emitter.less(width, j), layout.wide)
                    tile.limit(left)
                self.sums.ask(tile, {**here, column: emitter.plus(at[column], j)}, left)
                sums = self.initial(tile, starts, panel)
                if plan.dots is not None:
                    sums = grouped.products(tile, scalars, vectors, reduction, steps, plan.dots, sums)
                else:
                    sums = tile.products((scalars, vectors), [Reduction(reduction, steps, plan.unroll)], sums)
                self.sums.store(tile, sums, {**here, column: emitter.plus(at[column], j)}, left)

        around(emitter, [Steps(row, extents[row], plan.shape.rows)], rows)

    def packed_rows(self, at: Mapping[int, Index], count: int, depth: Index) -> View:
        """The rows of a tile, where they lie or packed."""
        emitter, plan = self.emitter, self.plan
        row, reduction = plan.shape.row_loop, plan.reduction
        if not plan.packs_rows:
            return emitter.corner(self.rows, at, {row: count, reduction: depth})
        layout = plan.layout(self.found.element, count, plan.dots is not None and plan.dots.flips)
        extents = self.found.extents
        block = Block(at, row, reduction, count, depth, extents[row] - 1, extents[reduction])
        if self.rows.loops[-1] == reduction and self.rows.strides[-1] == 1:
            return copy_rows(emitter, self.rows, block, layout, plan.depth)
        target = layout.buffer(emitter, 1, plan.depth)
        pack(emitter, self.rows, target, block, layout)
        return self.panel(target, 0, row)

    def panel(self, buffer: View, number: Index, loop: int) -> View:
        """One panel of a packed buffer, as the loops of the product see it."""
        sizes = {PANEL: 1, STEP: buffer.strides[0] // buffer.strides[1], PLACE: buffer.strides[1]}
        part = self.emitter.corner(buffer, {PANEL: number}, sizes)
        names = {STEP: self.plan.reduction, PLACE: loop}
        return replace(part, loops=tuple(names.get(each, NO_LOOP) for each in part.loops))

    def initial(self, tile: Tile, starts: View | None, panel: Index) -> list[SSAValue]:
        """What the sums of a block start from: zero, or what makes up for rows that are moved."""
        emitter, shape = self.emitter, tile.shape
        kind = VectorType(self.found.element, (shape.lanes,))
        if starts is None:
            return [emitter.number(0, kind)] * (shape.rows * len(shape.groups))
        row = [
            emitter.load_vector(
                starts, emitter.indices(starts, {PANEL: panel, PLACE: group * shape.lanes}), shape.lanes
            )
            for group in shape.groups
        ]
        return row * shape.rows


def part(emitter: Emitter, whole: int, start: Index, block: int) -> Index:
    """How much of `whole` the block that begins at `start` holds."""
    if whole % block == 0 or isinstance(start, int):
        return min(block, whole)
    return emitter.least(emitter.less(whole, start), block)


def emit_blocked(emitter: Emitter, found: Contraction, plan: Blocked) -> None:
    product = Product(emitter, found, plan)
    around(emitter, [Steps(loop, found.extents[loop]) for loop in plan.outer], product.emit)
