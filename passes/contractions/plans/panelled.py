"""Panelled: which rows and blocks of steps, where a factor lies in panels already."""

from __future__ import annotations

from math import ceil

from xmlc.passes.contractions.blocked import factors_of
from xmlc.passes.contractions.dots import Dots, dots_for
from xmlc.passes.contractions.emitter import bits_of
from xmlc.passes.contractions.panelled import Panelled, emit_panelled
from xmlc.passes.contractions.plans.cost import (
    ROW_COPY,
    TILE_START,
    Schedule,
    Step,
    column_loop,
    even_part,
    moves_only,
    rows_that_fit,
    size_of,
)
from xmlc.passes.contractions.plans.sweep import SWEPT_BYTES
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.tile import Shape
from xmlc.passes.machine import Machine


def panelled(found: Contraction, machine: Machine) -> list[Schedule]:
    """Rows times panels that lie one after the other: see `pack-weights`."""
    column = column_loop(found)
    if column is None:
        return []
    wide, other = factors_of(found, column)
    steps = steps_in_panels(found, machine, wide, other)
    if steps is None:
        return []
    reduction, dots = steps
    group = dots.size if dots is not None else 1
    width, depth = found.extents[column], found.extents[reduction]
    panels, rows = moves_only(found, wide), moves_only(found, other)
    lanes = machine.lanes(bits_of(found.element))
    if len(panels) != 2 or len(rows) != 1 or len(found.parallels) != 3 or width % lanes:
        return []
    panel = panels[0] if panels[1] == column else panels[1]
    lies = {column: group, reduction: group * width, panel: group * width * depth}
    if any(wide.strides[loop] != stride for loop, stride in lies.items()) or other.strides[reduction] != group:
        return []
    count, vectors = found.extents[rows[0]], width // lanes
    most = min((machine.vector_registers - vectors - 2) // vectors, SHARED_LINES)
    if most < 1:
        return []
    each = Step(1, 1, 0, 0)

    def steps_of(high: int) -> float:
        whole, left = divmod(count, high)
        return whole * each.cycles(high, vectors) + (each.cycles(left, vectors) if left else 0)

    high = min(range(min(count, most), 0, -1), key=steps_of)
    tiles = ceil(count / high)
    size = bits_of(wide.element) // 8 * group
    block = even_part(depth, machine.second_cache // 8 // (width * size), lanes)
    copies = rows_that_fit(found, rows[0]) < high
    plan = Panelled(Shape(rows[0], high, column, width, lanes), panel, reduction, block, copies, dots)
    blocks = ceil(depth / block)
    starts = tiles * blocks * (TILE_START + 2 * high * vectors)
    computed = found.extents[panel] * (depth * steps_of(high) + starts)
    moved = size_of(found, wide) / SWEPT_BYTES
    cycles = max(computed, moved) + (count * depth * ROW_COPY / lanes if copies else 0)
    kind = f", {group} steps of {dots.element} at a time" if dots is not None else ""
    note = f"panelled, tile {high}x{width}, blocks of {block} steps{kind}{', rows copied' if copies else ''}"
    return [Schedule("panelled", cycles, lambda emitter: emit_panelled(emitter, found, plan), note)]


def steps_in_panels(
    found: Contraction, machine: Machine, wide: Operand, other: Operand
) -> tuple[int, Dots | None] | None:
    """The loop over the steps of panels, or over groups of them with the instruction that takes a group at once."""
    match found.reductions:
        case [reduction] if wide.element == other.element == found.element:
            return reduction, None
        case [first, second]:
            reduction, within = (first, second) if wide.strides[second] == 1 else (second, first)
            dots = dots_for(found, machine, other, wide)
            if dots is None or dots.flips or dots.size != found.extents[within]:
                return None
            lies = wide.strides[within] == other.strides[within] == 1
            return (reduction, dots) if lies and wide.element == other.element == dots.element else None
        case _:
            return None


SHARED_LINES = 12
"""The most rows of a tile: the ways of the first cache, which their scalars share with the panel."""
