"""Few rows times a large matrix: the matrix is read once, from its first element to its last.

    for each block of columns: for every few steps of the reduction: for each tile of columns and rows:
      add the products of these steps to the sums of the tile, which stay in the first cache

A register tile that takes all steps reads a narrow strip of the matrix instead, a piece of every row of it: memory
delivers that far slower. And nothing is packed, which for few rows takes longer than to multiply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from xdsl.ir import SSAValue

from xmlc.passes.contractions.blocked import factors_of
from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.panels import Block, Layout, copy_rows
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.result import Result, result_of
from xmlc.passes.contractions.tile import Reduction, Shape, Tile
from xmlc.passes.index_arithmetic import Index

UNROLL = 4
"""How many steps of a tile follow one another without a jump; all of them at once would push sums out of registers."""


@dataclass(frozen=True)
class Sweep:
    """A tile of rows by vectors of columns, some steps at a time, in blocks of columns and steps."""

    shape: Shape
    reduction: int
    steps: int
    columns: int
    depth: int
    outer: tuple[int, ...]
    gathers: bool
    """Whether sums are kept in a buffer of their own, and the rows of a block of steps copied into one: rows that are a
    multiple of a page apart push one another out of the first cache."""


def emit_sweep(emitter: Emitter, found: Contraction, plan: Sweep) -> None:
    row, column, reduction = plan.shape.row_loop, plan.shape.column_loop, plan.reduction
    extents = found.extents
    wide, other = factors_of(found, column)
    vectors = emitter.view(wide, extents, column)
    scalars = emitter.view(other, extents, reduction if plan.gathers else None)
    result = result_of(emitter, found, column, keeps=not plan.gathers)
    start = found.start
    first = emitter.view(start, extents, column) if isinstance(start, Operand) else start

    def block(at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
        own = {row: extents[row] if row >= 0 else 1, column: sizes[column]}
        here = result.corner(emitter, at, own)
        begin = emitter.corner(first, at, own) if isinstance(first, View) else first
        if plan.gathers:
            begin = here.unfinished if begin is None else begin
            here = replace(here, sums=buffer_of_sums(emitter, found, plan, own))
        sums = Sums(emitter, found, plan, here, own)
        if begin is not None:
            sums.begin(begin)
        for step, depth in parts(emitter, extents[reduction], plan.depth):
            place, whole = {**at, reduction: step}, {**own, reduction: depth}
            numbers = (
                rows_of(emitter, found, scalars, plan, place, whole)
                if plan.gathers
                else emitter.corner(scalars, place, whole)
            )
            columns = emitter.corner(vectors, place, whole)
            for index, count in parts(emitter, depth, plan.steps):
                (sums.add if plan.gathers else sums.add_kept)(numbers, columns, index, count)
        if plan.gathers or found.epilogue is not None:
            sums.finish()

    steps = [*(Steps(loop, extents[loop]) for loop in plan.outer), Steps(column, extents[column], plan.columns)]
    around(emitter, steps, block)


def parts(emitter: Emitter, extent: int, size: int) -> Iterator[tuple[Index, int]]:
    """Where each part of an extent begins, in a loop that is open meanwhile, and its size; the last may be smaller."""
    whole = extent // size * size
    if whole:
        with emitter.loop(whole, size) as index:
            yield index, size
    if whole < extent:
        yield whole, extent - whole


def buffer_of_sums(emitter: Emitter, found: Contraction, plan: Sweep, sizes: Mapping[int, int]) -> View:
    """Memory for the sums of a block, whose rows follow one another."""
    row, column, lanes = plan.shape.row_loop, plan.shape.column_loop, plan.shape.lanes
    across = -(-sizes[column] // lanes) * lanes
    return View(emitter.buffer(found.element, (sizes[row], across)), (row, column), (across, 1))


def rows_of(
    emitter: Emitter, found: Contraction, rows: View, plan: Sweep, at: Mapping[int, Index], sizes: Mapping[int, int]
) -> View:
    """The rows of a block of steps, widened, where they do not compete for places in a cache."""
    row, reduction = plan.shape.row_loop, plan.reduction
    count, depth = sizes[row], sizes[reduction]
    here = emitter.corner(rows, at, sizes)
    block = Block({row: 0, reduction: 0}, row, reduction, count, depth, count - 1, depth)
    return copy_rows(emitter, here, block, Layout(found.element, 1, plan.shape.lanes), depth)


class Sums:
    """The sums of a block, in memory; what is done to them tile by tile."""

    def __init__(self, emitter: Emitter, found: Contraction, plan: Sweep, result: Result, sizes: Mapping[int, int]):
        self.emitter, self.found, self.plan, self.result, self.sizes = emitter, found, plan, result, sizes

    def each(self, body: Callable[[Tile, Mapping[int, Index], Mapping[int, int]], None]) -> None:
        """The body for every tile: where it is, its sizes."""
        shape = self.plan.shape
        row, column = shape.row_loop, shape.column_loop

        def visit(at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
            own = replace(shape, rows=sizes[row], columns=sizes[column])
            tile = Tile(self.emitter, own, self.found.element)
            tile.make_masks(())
            body(tile, at, tile.shape.sizes)

        steps = [Steps(column, self.sizes[column], shape.columns), Steps(row, self.sizes[row], shape.rows)]
        around(self.emitter, steps, visit)

    def begin(self, start: SSAValue | View) -> None:
        """Every sum is what it starts from."""
        emitter = self.emitter

        def body(tile: Tile, at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
            values = tile.start(emitter.corner(start, at, sizes) if isinstance(start, View) else start)
            tile.put(values, emitter.corner(self.result.unfinished, at, sizes))

        self.each(body)

    def add(self, scalars: View, vectors: View, index: Index, count: int) -> None:
        """Every sum gains the products of `count` steps from `index` on, whose numbers are loaded for each tile."""
        emitter, reduction = self.emitter, self.plan.reduction

        def body(tile: Tile, at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
            here, whole = {**at, reduction: index}, {**sizes, reduction: count}
            out = emitter.corner(self.result.unfinished, at, sizes)
            factors = (emitter.corner(scalars, here, whole), emitter.corner(vectors, here, whole))
            tile.put(tile.products(factors, [Reduction(reduction, count, UNROLL)], tile.start(out)), out)

        self.each(body)

    def add_kept(self, scalars: View, vectors: View, index: Index, count: int) -> None:
        """The same where the numbers of all rows for these steps are kept in registers."""
        emitter, shape, reduction = self.emitter, self.plan.shape, self.plan.reduction
        element = self.found.element
        places = [emitter.plus(index, step) for step in range(count)]
        spread = [
            emitter.splat(
                emitter.widened(
                    emitter.load(scalars, {reduction: place, shape.row_loop: row}), element, scalars.unsigned
                ),
                shape.lanes,
            )
            for place in places
            for row in range(shape.rows)
        ]

        def body(tile: Tile, at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
            out = emitter.corner(self.result.unfinished, at, sizes)
            sums = tile.start(out)
            groups = len(tile.shape.groups)
            for step, place in enumerate(places):
                for group in tile.shape.groups:
                    where = {
                        reduction: place,
                        shape.column_loop: emitter.plus(at[shape.column_loop], group * shape.lanes),
                    }
                    found = emitter.load_vector(vectors, emitter.indices(vectors, where), shape.lanes, tile.mask(group))
                    found = emitter.widened(found, element, vectors.unsigned)
                    for row in range(shape.rows):
                        number = row * groups + group
                        sums[number] = emitter.multiply_add(spread[step * shape.rows + row], found, sums[number])
            tile.put(sums, out)

        self.each(body)

    def finish(self) -> None:
        """The epilogue of every sum."""

        def body(tile: Tile, at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
            here = self.result.corner(self.emitter, at, sizes)
            tile.store(tile.start(here.unfinished), here)

        self.each(body)
