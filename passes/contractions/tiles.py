"""Products in tiles of the processor's matrix unit (dialect `amx`): blocks and panels as in `blocked`, and a register
tile of two tiles by two.

    for each 32 rows: for each panel of 32 columns:
      four tiles of sums = 0
      for each 64 bytes of the reduction: load two tiles of rows and two of columns, multiply each by each at once
      store the sums, then add what they start from and go through the epilogue, row by row

Panels hold the steps of a group next to one another, as the unit takes them. Rows are copied to where they begin at
different places of the first cache, and where there is room for 32, of which only results that exist are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from xdsl.dialects.builtin import UnitAttr, bf16, f32, i8, i32
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.amx import (
    ROW_BYTES,
    ROWS,
    WORD_BYTES,
    TileLoadOp,
    TileMulFOp,
    TileMulIOp,
    TileStoreOp,
    TileType,
    TileZeroOp,
)
from xmlc.passes.contractions.blocked import factors_of, part
from xmlc.passes.contractions.blocks_of_sums import BlocksOfSums
from xmlc.passes.contractions.emitter import Emitter, View, bits_of
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.panels import PANEL, PLACE, STEP, Block, Layout, copy_rows, pack
from xmlc.passes.contractions.recognise import Contraction
from xmlc.passes.contractions.tile import Shape, Tile
from xmlc.passes.index_arithmetic import Index

SIDE = 2
"""Tiles of sums along rows and along columns: with two of each factor they are all eight registers."""
EXTENT = SIDE * ROWS
"""Rows, and columns, of a register tile."""
ELEMENTS: dict[str, Attribute] = {"bf16": bf16, "i8": i8}
"""What a machine may have tiles of, by the name that it is stated by."""


@dataclass(frozen=True)
class Tiles:
    """The loops of a product, and its blocks in columns and in steps of the reduction."""

    row: int
    column: int
    reduction: int
    outer: tuple[int, ...]
    columns: int
    depth: int
    lanes: int


def steps_of(element: Attribute, depth: int) -> int:
    """Steps of the reduction in a row of a tile: a short reduction does not fill it."""
    return min(ROW_BYTES * 8 // bits_of(element), depth)


def fits(found: Contraction, kinds: Sequence[str]) -> bool:
    """Whether a machine with tiles of these kinds multiplies the factors' elements and sums them as the op does."""
    element = found.lhs.element
    known = any(element == ELEMENTS[kind] for kind in kinds)
    return known and found.rhs.element == element and found.element == (f32 if element == bf16 else i32)


class Product:
    """Emits one product, from the outermost loop to the tiles."""

    def __init__(self, emitter: Emitter, found: Contraction, plan: Tiles):
        self.emitter, self.found, self.plan = emitter, found, plan
        self.wide, self.other = factors_of(found, plan.column)
        element = self.wide.element
        self.layout = Layout(element, EXTENT, plan.lanes, 32 // bits_of(element))
        last = plan.column if self.wide.strides[plan.column] == 1 else plan.reduction
        self.columns = emitter.view(self.wide, found.extents, last)
        self.rows = emitter.view(self.other, found.extents, plan.reduction)
        self.sums = BlocksOfSums(emitter, found, plan.column, plan.reduction, plan.depth)
        self.steps = steps_of(element, found.extents[plan.reduction])
        self.left = TileType.of(ROWS, self.steps, element)
        self.right = TileType.of(self.steps // self.layout.group, ROW_BYTES * 8 // bits_of(element), element)
        self.total = TileType.of(ROWS, ROW_BYTES // WORD_BYTES, found.element)

    def emit(self, batch: Mapping[int, Index], _: Mapping[int, int]) -> None:
        emitter, plan, extents = self.emitter, self.plan, self.found.extents
        with emitter.loop(extents[plan.column], plan.columns, parallel=True) as jc:
            panels = self.layout.buffer(emitter, -(-plan.columns // EXTENT), plan.depth)
            with emitter.loop(extents[plan.reduction], plan.depth) as pc:
                self.block({**batch, plan.column: jc, plan.reduction: pc}, panels)

    def block(self, at: Mapping[int, Index], panels: View) -> None:
        """One block of columns and steps: pack it, then all rows."""
        emitter, plan, extents = self.emitter, self.plan, self.found.extents
        width = part(emitter, extents[plan.column], at[plan.column], plan.columns)
        depth = part(emitter, extents[plan.reduction], at[plan.reduction], plan.depth)
        last, steps = extents[plan.column] - 1, extents[plan.reduction]
        pack(
            emitter,
            self.columns,
            panels,
            Block(at, plan.column, plan.reduction, width, depth, last, steps),
            self.layout,
        )

        def rows(corner: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
            count = sizes[plan.row]
            here = {**at, **corner}
            scalars = self.copied(here, count, depth)
            number = emitter.rounded_up(width, EXTENT)
            with emitter.loop(number, parallel=True) as panel:
                start = emitter.times(panel, EXTENT)
                left = emitter.least(emitter.less(width, start), EXTENT)
                totals = self.products(scalars, panels, panel, depth)
                self.finish(totals, {**here, plan.column: emitter.plus(at[plan.column], start)}, count, left)

        around(emitter, [Steps(plan.row, extents[plan.row], EXTENT)], rows)

    def copied(self, at: Mapping[int, Index], count: int, depth: Index) -> View:
        """The rows of a register tile over a block, with room for a whole tile of them."""
        plan, extents = self.plan, self.found.extents
        block = Block(at, plan.row, plan.reduction, count, depth, extents[plan.row] - 1, extents[plan.reduction])
        return copy_rows(self.emitter, self.rows, block, self.layout, plan.depth, EXTENT)

    def products(self, scalars: View, panels: View, panel: Index, depth: Index) -> Sequence[SSAValue]:
        """The four tiles of sums over a block. Each product follows the loads that it needs and no others."""
        emitter, plan = self.emitter, self.plan
        zeros = [self.made(TileZeroOp, (), self.total) for _ in range(SIDE * SIDE)]

        def step(index: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            row = emitter.times(index, self.right.rows)
            across = ROWS * self.layout.group
            lhs: list[SSAValue] = []
            rhs: list[SSAValue] = []
            made: list[SSAValue] = []
            for number, (i, j) in enumerate(product(range(SIDE), range(SIDE))):
                if j == len(rhs):
                    rhs.append(self.loaded(panels, {PANEL: panel, STEP: row, PLACE: across * j}, self.right))
                if i == len(lhs):
                    first = {plan.row: ROWS * i, plan.reduction: emitter.times(index, self.steps)}
                    lhs.append(self.loaded(scalars, first, self.left))
                made.append(self.added(carried[number], lhs[i], rhs[j]))
            return made

        return emitter.fold(emitter.rounded_up(depth, self.steps), zeros, step, unroll=1)

    def made(
        self, kind: type[Operation], operands: Sequence[SSAValue], result: Attribute, **properties: Attribute
    ) -> SSAValue:
        return self.emitter.add(kind.create(operands=operands, result_types=(result,), properties=properties)).results[
            0
        ]

    def loaded(self, view: View, at: Mapping[int, Index], kind: TileType) -> SSAValue:
        return self.made(TileLoadOp, (view.value, *self.emitter.indices(view, at)), kind)

    def added(self, total: SSAValue, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
        if self.wide.element == bf16:
            return self.made(TileMulFOp, (lhs, rhs, total), self.total)
        marks = {"isZextLhs": self.other, "isZextRhs": self.wide}
        unsigned = {name: UnitAttr() for name, factor in marks.items() if factor.unsigned}
        return self.made(TileMulIOp, (lhs, rhs, total), self.total, **unsigned)

    def finish(self, totals: Sequence[SSAValue], at: Mapping[int, Index], count: int, left: Index) -> None:
        """Store the sums of a register tile in the first cache, then what becomes of each row that there is."""
        emitter, plan = self.emitter, self.plan
        view = View(emitter.buffer(self.found.element, (EXTENT, EXTENT)), (plan.row, plan.column), (EXTENT, 1))
        for number, total in enumerate(totals):
            i, j = divmod(number, SIDE)
            where = emitter.indices(view, {plan.row: ROWS * i, plan.column: ROWS * j})
            emitter.add(TileStoreOp.create(operands=(view.value, *where, total)))
        with emitter.loop(count) as row:
            tile = Tile(emitter, Shape(plan.row, 1, plan.column, EXTENT, plan.lanes), self.found.element)
            if self.found.extents[plan.column] % EXTENT:
                tile.limit(left)
            sums = [
                emitter.load_vector(
                    view, emitter.indices(view, {plan.row: row, plan.column: group * plan.lanes}), plan.lanes
                )
                for group in tile.shape.groups
            ]
            self.sums.store(tile, sums, {**at, plan.row: emitter.plus(at[plan.row], row)}, left)


def emit_tiles(emitter: Emitter, found: Contraction, plan: Tiles) -> None:
    around(emitter, [Steps(loop, found.extents[loop]) for loop in plan.outer], Product(emitter, found, plan).emit)
