"""Few rows times a large matrix: the matrix is read once, from its first element to its last.

    for each block of columns: for every few steps of the reduction: for each vector of the columns:
      add the products of these steps to the sums of the vector, which stay in the first cache

A register tile reads a narrow strip of the matrix instead, a piece of every row of it: memory delivers that far slower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from xdsl.ir import SSAValue

from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.result import Result, result_of
from xmlc.passes.contractions.tile import Shape, Tile
from xmlc.passes.index_arithmetic import Index


@dataclass(frozen=True)
class Sweep:
    """All rows by vectors of columns, some steps at a time, in blocks of columns."""

    shape: Shape
    reduction: int
    steps: int
    columns: int
    outer: tuple[int, ...]


def emit_sweep(emitter: Emitter, found: Contraction, plan: Sweep) -> None:
    row, column = plan.shape.row_loop, plan.shape.column_loop
    extents = found.extents
    lhs, rhs = (emitter.view(operand, extents, column) for operand in (found.lhs, found.rhs))
    wide, other = (lhs, rhs) if column in lhs.loops else (rhs, lhs)
    result = result_of(emitter, found, column, keeps=True)
    start = found.start
    first = emitter.view(start, extents, column) if isinstance(start, Operand) else start

    def block(at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
        own = {row: plan.shape.rows, column: sizes[column], plan.reduction: extents[plan.reduction]}
        sums = Sums(emitter, found, plan, result.corner(emitter, at, own), sizes[column])
        scalars, vectors = emitter.corner(other, at, own), emitter.corner(wide, at, own)
        if first is not None:
            sums.begin(emitter.corner(first, at, own) if isinstance(first, View) else first)

        depth = extents[plan.reduction]
        whole = depth // plan.steps * plan.steps
        if whole:
            with emitter.loop(whole, plan.steps) as index:
                sums.add(scalars, vectors, index, plan.steps)
        if whole < depth:
            sums.add(scalars, vectors, whole, depth - whole)
        if found.epilogue is not None:
            sums.finish()

    steps = [*(Steps(loop, extents[loop]) for loop in plan.outer), Steps(column, extents[column], plan.columns)]
    around(emitter, steps, block)


class Sums:
    """The sums of a block of columns, in memory; what is done to them vector by vector."""

    def __init__(self, emitter: Emitter, found: Contraction, plan: Sweep, result: Result, width: int):
        self.emitter, self.found, self.plan, self.result, self.width = emitter, found, plan, result, width

    def each(self, body: Callable[[Tile, Mapping[int, Index], Mapping[int, int]], None]) -> None:
        """The body for every vector of columns, with a tile of all rows: where it is, its sizes."""
        shape = self.plan.shape

        def visit(at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
            tile = Tile(self.emitter, replace(shape, columns=sizes[shape.column_loop]), self.found.element)
            tile.make_masks(())
            body(tile, at, tile.shape.sizes)

        around(self.emitter, [Steps(shape.column_loop, self.width, shape.columns)], visit)

    def begin(self, start: SSAValue | View) -> None:
        """Every sum is what it starts from."""
        emitter = self.emitter

        def body(tile: Tile, at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
            values = tile.start(emitter.corner(start, at, sizes) if isinstance(start, View) else start)
            tile.put(values, emitter.corner(self.result.unfinished, at, sizes))

        self.each(body)

    def add(self, scalars: View, vectors: View, index: Index, count: int) -> None:
        """Every sum gains the products of `count` steps from `index` on."""
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
