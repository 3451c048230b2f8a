"""Blocked: which blocks stay in which cache, where both factors are packed."""

from __future__ import annotations

from math import prod

from xmlc.passes.contractions.blocked import Blocked, emit_blocked, factors_of
from xmlc.passes.contractions.dots import dots_for
from xmlc.passes.contractions.emitter import bits_of
from xmlc.passes.contractions.plans.cost import (
    PAGE,
    ROW_COPY,
    TILE_START,
    TRANSPOSED_COPY,
    Schedule,
    Step,
    column_loop,
    even_part,
    moves_only,
    multiply_add_cycles,
    shared_columns,
)
from xmlc.passes.contractions.recognise import Contraction
from xmlc.passes.contractions.tile import Shape
from xmlc.passes.machine import Machine


def blocked(found: Contraction, machine: Machine) -> list[Schedule]:
    """Packed panels: one loop of rows, one of columns, one that reduces, and batches around them."""
    column = column_loop(found)
    if column is None or len(found.reductions) != 1:
        return []
    reduction = found.reductions[0]
    wide, other = factors_of(found, column)
    candidates = moves_only(found, other)
    if other.strides[column] or not candidates:
        return []
    row = max(candidates, key=lambda loop: found.extents[loop])
    outer = tuple(loop for loop in found.parallels if loop not in (row, column))
    lanes = machine.lanes(bits_of(found.element))
    vectors = 2 if machine.vector_registers >= 32 or machine.vector_bits >= 256 else 1
    high = (machine.vector_registers - vectors - 2) // vectors
    high = min(high, 12 if machine.vector_registers >= 32 else 6)
    count, width, depth = found.extents[row], found.extents[column], found.extents[reduction]
    if count < 4 or width < lanes or depth < 16:
        return []
    high = row_tile(count, high)
    tile_columns = vectors * lanes
    dots = dots_for(found, machine, other, wide)
    group = dots.size if dots is not None else 1
    packed_bytes = bits_of(found.element) // 8 / group
    unit = 8 * group
    steps = min(depth, even_part(depth, int(machine.first_cache * 3 / 4 / (high * packed_bytes)), unit))
    same = other.element == (dots.element if dots is not None else found.element)
    lies = other.strides[reduction] == 1 and same and depth % group == 0
    packs_rows = not lies or (dots is not None and dots.flips)
    slab = count * steps * packed_bytes  # the rows, which each block of columns reads again
    far = slab >= 4 * machine.second_cache
    if far and not packs_rows:
        steps = even_part(depth, int(PAGE / packed_bytes), unit)
    kept = machine.third_cache // 8 if far else machine.second_cache // 2
    times = prod(found.extents[loop] for loop in outer)
    shares_rows = far and times == 1 and machine.threads > 1
    most = int(kept / (steps * packed_bytes)) * (min(machine.threads, SHARERS) if shares_rows else 1)
    block_columns = shared_columns(width, most, tile_columns, 1 if shares_rows or times > 1 else machine.threads)
    shape = Shape(row, high, column, tile_columns, lanes)
    plan = Blocked(shape, reduction, outer, block_columns, steps, packs_rows, dots, shares_rows=shares_rows)
    tiles = -(-count // high) * -(-width // tile_columns)
    blocks = -(-depth // steps)
    multiply = 0.5 if dots is not None else multiply_add_cycles(found)
    each = steps / group * Step(1, 1, 0, 0.5, multiply=multiply).cycles(high, vectors) + TILE_START + 3 * high * vectors
    copies = {True: ROW_COPY, False: TRANSPOSED_COPY}
    cycles = tiles * blocks * each
    cycles += depth * width * copies[wide.strides[column] == 1]
    if packs_rows:
        cycles += depth * count * copies[other.strides[reduction] == 1] * -(-width // block_columns)
    cycles *= times
    kind = f", {group} steps of {dots.element} at a time" if dots is not None else ""
    note = f"blocked, tile {high}x{tile_columns}, blocks of {block_columns} columns and {steps} steps{kind}"
    return [Schedule("blocked", cycles, lambda emitter: emit_blocked(emitter, found, plan), note)]


SHARERS = 2
"""As many threads as share the rows of a block may have that much more of the third cache for it."""


def row_tile(count: int, most: int) -> int:
    """Rows of a tile: the most that divide the count, if that is not far from the most there can be."""
    if count <= most:
        return count
    if count > 32 * most:
        return most
    return next((high for high in range(most, most * 5 // 8, -1) if count % high == 0), most)
