"""Tiles: which blocks feed the matrix unit."""

from __future__ import annotations

from math import ceil, prod

from xmlc.passes.contractions.blocked import factors_of
from xmlc.passes.contractions.emitter import bits_of
from xmlc.passes.contractions.plans.cost import (
    ROW_COPY,
    TILE_START,
    TRANSPOSED_COPY,
    Schedule,
    column_loop,
    even_part,
    moves_only,
)
from xmlc.passes.contractions.recognise import Contraction
from xmlc.passes.contractions.tiles import EXTENT, Tiles, emit_tiles, fits, steps_of
from xmlc.passes.machine import Machine


def tiles(found: Contraction, machine: Machine) -> list[Schedule]:
    """The matrix unit, where the machine has one for these factors and the reduction is whole rows of tiles, or one."""
    column = column_loop(found)
    if column is None or len(found.reductions) != 1 or not fits(found, machine.tiles):
        return []
    reduction = found.reductions[0]
    wide, other = factors_of(found, column)
    candidates = moves_only(found, other)
    group = 32 // bits_of(wide.element)
    width, depth = found.extents[column], found.extents[reduction]
    steps = steps_of(wide.element, depth)
    if other.strides[column] or not candidates or other.strides[reduction] != 1 or depth % steps or steps % group:
        return []
    row = max(candidates, key=lambda loop: found.extents[loop])
    count = found.extents[row]
    outer = tuple(loop for loop in found.parallels if loop not in (row, column))
    size = bits_of(wide.element) // 8
    block = even_part(depth, TILED_STEPS // size, steps)
    columns = even_part(width, machine.second_cache // 2 // (block * size), EXTENT)
    plan = Tiles(row, column, reduction, outer, columns, block, machine.lanes(32))
    each = depth / steps * TILE_PRODUCTS + ceil(depth / block) * (TILE_START + EXTENT * 6)
    cycles = ceil(count / EXTENT) * ceil(width / EXTENT) * each
    cycles += depth * width * (ROW_COPY if wide.strides[column] == 1 else TRANSPOSED_COPY)
    cycles += ceil(width / columns) * ceil(count / EXTENT) * EXTENT * depth / (machine.lanes(32) * group)
    cycles *= prod(found.extents[loop] for loop in outer)
    note = f"tiles, blocks of {columns} columns and {block} steps"
    return [Schedule("tiles", cycles, lambda emitter: emit_tiles(emitter, found, plan), note)]


TILED_STEPS = 4096
"""Bytes of the reduction in a block of tiles: 32 rows of it and a panel do not fit the first cache but the second."""
TILE_PRODUCTS = 64.0
"""Cycles of four products of tiles."""
