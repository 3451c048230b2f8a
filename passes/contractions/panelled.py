"""Products by a factor that lies in panels already, as register tiles read it: weights that were packed once.

    for each panel: for each block of steps:
      for each tile of rows: register tile, added to the sums of the blocks before

The blocks of all panels lie one after the other. While the tiles of rows read one, from the second cache, they ask for
the next, each for its share: so memory is busy all the time, and not only while the first tile of rows computes. Rows
that would compete for places in the first cache are copied to where they do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from xdsl.dialects import arith

from xmlc.passes.contractions import grouped
from xmlc.passes.contractions.blocked import factors_of, part
from xmlc.passes.contractions.blocks_of_sums import BlocksOfSums
from xmlc.passes.contractions.dots import Dots
from xmlc.passes.contractions.emitter import CACHE_LINE, Emitter, View, bits_of
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.panels import Block, Layout, copy_rows
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.tile import Ahead, Reduction, Shape, Tile
from xmlc.passes.index_arithmetic import Index


@dataclass(frozen=True)
class Panelled:
    """The tile, the loop over panels, and the steps of the reduction that are a block."""

    shape: Shape
    panel: int
    reduction: int
    depth: int
    copies: bool
    """Whether rows are copied first."""
    dots: Dots | None = None
    """The instruction that takes steps in groups, if one does: the steps are such groups then."""

    @property
    def group(self) -> int:
        return self.dots.size if self.dots is not None else 1


class Product:
    """Emits a product by panels, from the outermost loop to the tile."""

    def __init__(self, emitter: Emitter, found: Contraction, plan: Panelled):
        self.emitter, self.found, self.plan = emitter, found, plan
        column, reduction = plan.shape.column_loop, plan.reduction
        wide, other = factors_of(found, column)
        self.panels = self.view(wide, column)
        rows = self.view(other, reduction)
        self.rows = self.copied(rows) if plan.copies else rows
        self.sums = BlocksOfSums(emitter, found, column, reduction, plan.depth)

    def view(self, factor: Operand, last: int) -> View:
        """A factor, the loop last along which it lies in one piece: that one moves by elements, others by groups."""
        found, plan = self.found, self.plan
        within = [loop for loop in found.reductions if loop != plan.reduction]
        moves = {**dict.fromkeys(within, 0), last: 1}
        strides = tuple(moves.get(loop, stride) for loop, stride in enumerate(factor.strides))
        extents = list(found.extents)
        extents[last] *= plan.group
        return self.emitter.view(replace(factor, strides=strides), extents, last)

    def copied(self, rows: View) -> View:
        """All rows, one beside the other at places that do not compete."""
        plan, extents = self.plan, self.found.extents
        row, depth = plan.shape.row_loop, extents[plan.reduction] * plan.group
        block = Block({row: 0, plan.reduction: 0}, row, plan.reduction, extents[row], depth, extents[row] - 1, depth)
        return copy_rows(self.emitter, rows, block, Layout(rows.element, 1, plan.shape.lanes, plan.group), depth)

    def emit(self) -> None:
        plan, extents = self.plan, self.found.extents
        loop = self.emitter.loop
        with loop(extents[plan.panel], parallel=True) as panel, loop(extents[plan.reduction], plan.depth) as step:
            self.block({plan.panel: panel, plan.reduction: step})

    def block(self, at: Mapping[int, Index]) -> None:
        """All rows of one block of steps."""
        emitter, plan, shape = self.emitter, self.plan, self.plan.shape
        extents = self.found.extents
        depth = part(emitter, extents[plan.reduction], at[plan.reduction], plan.depth)
        across = shape.columns * plan.group
        vectors = emitter.corner(self.panels, at, {plan.reduction: depth, shape.column_loop: across})
        first, steps = (emitter.times(each, plan.group) for each in (at[plan.reduction], depth))

        def rows(corner: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
            here = {**at, **corner}
            tile = Tile(emitter, replace(shape, rows=sizes[shape.row_loop]), self.found.element)
            own = {shape.row_loop: sizes[shape.row_loop], plan.reduction: steps}
            scalars = emitter.corner(self.rows, {**here, plan.reduction: first}, own)
            zero = [emitter.number(0, tile.type)] * (tile.shape.rows * len(tile.shape.groups))
            ahead = self.ahead(at, corner[shape.row_loop])
            if plan.dots is not None:
                sums = grouped.products(tile, scalars, vectors, plan.reduction, depth, plan.dots, zero, ahead)
            else:
                sums = tile.products((scalars, vectors), [Reduction(plan.reduction, depth, 1)], zero, ahead)
            self.sums.store(tile, sums, here, shape.columns)

        around(emitter, [Steps(shape.row_loop, extents[shape.row_loop], shape.rows)], rows)

    def ahead(self, at: Mapping[int, Index], row: Index) -> Ahead:
        """A tile's share of the next block: some cache lines of each step, by the number of the tile."""
        emitter, plan, shape = self.emitter, self.plan, self.plan.shape
        line = CACHE_LINE * 8 // bits_of(self.panels.element)
        tiles = -(-self.found.extents[shape.row_loop] // shape.rows)
        lines = -(-shape.columns * plan.group // (line * tiles))
        number = row // shape.rows if isinstance(row, int) else emitter.arithmetic(arith.DivUIOp, row, shape.rows)
        column = emitter.times(number, lines * line)
        first = {**at, plan.reduction: emitter.plus(at[plan.reduction], plan.depth), shape.column_loop: column}
        return Ahead(self.panels, first, lines, line)


def emit_panelled(emitter: Emitter, found: Contraction, plan: Panelled) -> None:
    Product(emitter, found, plan).emit()
