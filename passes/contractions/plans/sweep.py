"""Sweep: how many steps and columns at a time, where a few rows meet a matrix."""

from __future__ import annotations

from math import ceil, prod

from xmlc.passes.contractions.blocked import factors_of
from xmlc.passes.contractions.emitter import bits_of
from xmlc.passes.contractions.plans.cost import (
    FAR_BYTES,
    ROW_COPY,
    SECOND_CACHE_BYTES,
    SHORT_LOOP,
    Schedule,
    column_loop,
    even_part,
    lanes_for,
    moves_only,
    multiply_add_cycles,
    shared_columns,
    size_of,
)
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.sweep import Sweep, emit_sweep
from xmlc.passes.contractions.tile import Shape
from xmlc.passes.machine import Machine


def sweep(found: Contraction, machine: Machine) -> list[Schedule]:
    """A few rows times a matrix, which is read in the order in which it lies."""
    column = column_loop(found)
    if column is None or len(found.reductions) != 1:
        return []
    reduction = found.reductions[0]
    wide, other = factors_of(found, column)
    rows = moves_only(found, other)
    if len(rows) > 1 or other.strides[column] or wide.strides[column] != 1:
        return []
    if isinstance(found.start, Operand) and found.start.strides[column] not in (0, 1):
        return []
    row, high = (rows[0], found.extents[rows[0]]) if rows else (-1, 1)
    outer = tuple(loop for loop in found.parallels if loop not in (row, column))
    gathers = high > KEPT_ROWS
    if high > SWEPT_ROWS or (gathers and (outer or other.strides[reduction] != 1)):
        return []
    lanes = lanes_for(found, machine, found.extents[column])
    width, depth = found.extents[column], found.extents[reduction]
    tall = even_part(high, machine.vector_registers // 4, 1)
    steps = max(1, machine.vector_registers // 4 // high) if not gathers else STEPS
    unit = 2 * lanes
    most = max(unit, machine.first_cache // 2 * 8 // bits_of(found.element) // high // unit * unit)
    times = prod(found.extents[loop] for loop in outer)
    columns = shared_columns(width, most, unit, machine.threads if times == 1 else 1)
    block = machine.second_cache // 8 * 8 // bits_of(found.element) // high if gathers else depth
    shape = Shape(row, tall, column, min(unit, width), lanes)
    plan = Sweep(shape, reduction, steps, columns, even_part(depth, block, steps), outer, gathers)
    vectors = depth * -(-width // lanes)
    moved = size_of(found, wide)
    near = FAR_BYTES if gathers else SECOND_CACHE_BYTES
    rate = SWEPT_BYTES if moved > machine.second_cache // 2 else near
    # each vector is loaded and used by all rows; sums are loaded and stored once for some steps
    computed = times * vectors * (max(high * multiply_add_cycles(found), 0.5) + 1.5 * high / steps)
    tiles = ceil(width / unit) * ceil(high / tall) * ceil(depth / steps)
    gathered = tiles * SHORT_LOOP + high * (depth * ROW_COPY + 5 * ceil(width / lanes)) if gathers else 0.0
    note = f"sweep, tile {tall}x{min(unit, width)}, {steps} steps at a time in blocks of {columns} columns"
    cycles = max(computed, moved / rate) + gathered
    return [Schedule("sweep", cycles, lambda emitter: emit_sweep(emitter, found, plan), note)]


SWEPT_ROWS = 64
"""The most rows for which a matrix is swept: their sums of some vectors of columns fit the first cache."""
KEPT_ROWS = 4
"""Rows whose numbers of some steps are in registers; those of more rows are loaded for each tile of columns."""
STEPS = 8
"""Steps at a time where numbers are loaded: as many rows of the matrix as the first cache has ways, at most."""
SWEPT_BYTES = 12.0
"""Bytes a cycle from beyond the second cache, of a matrix that is read in order."""
