"""The register tile in groups of steps: each instruction multiplies and sums the elements of a group (`grouped.dot`).

A row's group is as many bits as one sum: it is loaded as a word and spread over all lanes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects import vector
from xdsl.dialects.builtin import IntegerType, VectorType
from xdsl.ir import SSAValue

from xmlc.passes.contractions.dots import Dots
from xmlc.passes.contractions.emitter import View, bits_of
from xmlc.passes.contractions.panels import cast_to, dot
from xmlc.passes.contractions.tile import Ahead, Tile
from xmlc.passes.index_arithmetic import Index


def products(
    tile: Tile,
    rows: View,
    columns: View,
    reduction: int,
    groups: Index,
    dots: Dots,
    sums: Sequence[SSAValue],
    ahead: Ahead | None = None,
) -> Sequence[SSAValue]:
    """The sums after all groups of a block, whose columns are packed."""
    emitter, shape = tile.emitter, tile.shape
    by_group = rows.loops[-1] == shape.row_loop
    lanes = shape.lanes * dots.size

    def step(group: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        if ahead is not None:
            tile.fetch(ahead, {reduction: group})
        found = [
            emitter.load_vector(
                columns,
                emitter.indices(columns, {reduction: group, shape.column_loop: number * lanes}),
                lanes,
            )
            for number in shape.groups
        ]
        results: list[SSAValue] = []
        for row in range(shape.rows):
            if by_group:
                place: Mapping[int, Index] = {reduction: group, shape.row_loop: row * dots.size}
            else:
                place = {reduction: emitter.times(group, dots.size), shape.row_loop: row}
            spread = spread_group(tile, rows, place, dots)
            for number, column in enumerate(found):
                x, y = (column, spread) if dots.unsigned_columns else (spread, column)
                results.append(dot(emitter, carried[row * len(found) + number], x, y, dots))
        return results

    return emitter.fold(groups, sums, step, unroll=1)


def spread_group(tile: Tile, rows: View, place: Mapping[int, Index], dots: Dots) -> SSAValue:
    """The elements of one row's group, again and again."""
    emitter, lanes = tile.emitter, tile.shape.lanes
    word = IntegerType(bits_of(dots.element) * dots.size)
    found = emitter.load_vector(rows, emitter.indices(rows, place), dots.size)
    one = cast_to(emitter, found, word, 1)
    spread = vector.BroadcastOp.create(operands=(one,), result_types=(VectorType(word, (lanes,)),))
    return cast_to(emitter, emitter.add(spread).results[0], dots.element, lanes * dots.size)
