"""Sums of a product whose reduction goes in blocks: what each block adds to, and what the last makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import SSAValue

from xmlc.passes.contractions.emitter import CACHE_LINE, EQUAL, Emitter, View, bits_of
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.result import result_of
from xmlc.passes.contractions.tile import Tile
from xmlc.passes.index_arithmetic import Index


class BlocksOfSums:
    """Stores register tiles: unfinished where blocks of `depth` steps follow, through the epilogue after the last."""

    def __init__(self, emitter: Emitter, found: Contraction, column: int, reduction: int, depth: int):
        self.emitter, self.reduction, self.depth = emitter, reduction, depth
        self.blocks = -(-found.extents[reduction] // depth)
        self.result = result_of(emitter, found, column, keeps=self.blocks > 1)
        start = found.start
        self.start = emitter.view(start, found.extents, column) if isinstance(start, Operand) else start

    def ask(self, tile: Tile, at: Mapping[int, Index], left: Index) -> None:
        """Ask for the cache lines where the sums of a tile wait between blocks, if there are several."""
        if self.blocks == 1:
            return
        emitter, shape = self.emitter, tile.shape
        own = {shape.row_loop: shape.rows, shape.column_loop: left}
        sums = emitter.corner(self.result.unfinished, at, own)
        line = CACHE_LINE * 8 // bits_of(sums.element)
        for row in range(shape.rows):
            for column in range(0, shape.columns, line):
                emitter.prefetch(sums, {shape.row_loop: row, shape.column_loop: column})

    def store(self, tile: Tile, sums: Sequence[SSAValue], at: Mapping[int, Index], left: Index) -> None:
        """Add what the blocks before made, or what sums start from; finish them after the last block.

        `left` is the number of the tile's columns that there are.
        """
        emitter, step = self.emitter, at[self.reduction]
        own = {tile.shape.row_loop: tile.shape.rows, tile.shape.column_loop: left}
        result = self.result.corner(emitter, at, own)
        start = self.start
        here: SSAValue | View | None = emitter.corner(start, at, own) if isinstance(start, View) else start

        def first() -> Sequence[SSAValue]:
            return sums if here is None or is_zero(here) else added(emitter, tile.start(here), sums)

        def later() -> Sequence[SSAValue]:
            return added(emitter, tile.start(result.unfinished), sums)

        if here is None:
            total = later()
        elif self.blocks == 1:
            total = first()
        else:
            total = emitter.choose(emitter.compared(EQUAL, step, 0), first, later, [each.type for each in sums])
        if result.epilogue is None or self.blocks == 1:
            tile.store(total, result)
            return

        def finish() -> Sequence[SSAValue]:
            tile.store(total, result)
            return ()

        def keep() -> Sequence[SSAValue]:
            tile.put(total, result.unfinished)
            return ()

        emitter.choose(emitter.compared(EQUAL, step, (self.blocks - 1) * self.depth), finish, keep, [])


def is_zero(start: SSAValue | View) -> bool:
    """Whether a start is the constant zero."""
    owner = start.owner if isinstance(start, SSAValue) else None
    if not isinstance(owner, arith.ConstantOp):
        return False
    value = owner.value
    return isinstance(value, IntegerAttr | FloatAttr) and not value.value.data


def added(emitter: Emitter, before: Sequence[SSAValue], sums: Sequence[SSAValue]) -> list[SSAValue]:
    return [emitter.sum(x, y) for x, y in zip(before, sums, strict=True)]
