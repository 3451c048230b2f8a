"""Dot: which tile of results, where vectors run along the reduction."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xmlc.passes.contractions.dot import Dot, emit_dot
from xmlc.passes.contractions.dots import Dots, dots_for
from xmlc.passes.contractions.emitter import bits_of
from xmlc.passes.contractions.nest import Steps
from xmlc.passes.contractions.plans.cost import (
    FAR_BYTES,
    LATENCY,
    TILE_START,
    WIDENED,
    Schedule,
    lanes_for,
    moves_only,
    multiply_add_cycles,
    size_of,
)
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.machine import Machine

ADDED_UP = 13.0
"""Cycles to add up the partial sums of one result and store it."""


def apart(found: Contraction, factor: Operand) -> int:
    """Bytes between the rows that vectors run along; 1 where there is one row."""
    strides = [abs(factor.strides[loop]) for loop in moves_only(found, factor)]
    return min(strides) * bits_of(factor.element) // 8 if strides else 1


def dot(found: Contraction, machine: Machine) -> list[Schedule]:
    """Vectors along a reduction that runs through memory in both factors."""
    along = [loop for loop in found.reductions if found.lhs.strides[loop] == found.rhs.strides[loop] == 1]
    if not along:
        return []
    reduction = max(along, key=lambda loop: found.extents[loop])
    lanes = lanes_for(found, machine, found.extents[reduction])
    mine, theirs = moves_only(found, found.lhs), moves_only(found, found.rhs)

    def longest(loops: Sequence[int]) -> int:
        return max(loops, key=lambda loop: found.extents[loop], default=-1)

    row, column = longest(mine), longest(theirs)
    rows, columns = (found.extents[loop] if loop >= 0 else 1 for loop in (row, column))
    limit = machine.vector_registers - 4
    others = tuple(loop for loop in found.reductions if loop != reduction)
    dots = dots_in_place(found, machine, reduction, lanes)
    steps_along = -(-found.extents[reduction] // (lanes * dots.size if dots is not None else lanes))
    depth = steps_along * prod(found.extents[loop] for loop in others)
    conflict = 2.0 if any(apart(found, factor) % 2048 == 0 for factor in (found.lhs, found.rhs)) else 1.0
    best: tuple[float, int, int] | None = None
    factors = (found.lhs, found.rhs)
    loads_of = [1 + WIDENED * (dots is None and factor.element != found.element) for factor in factors]
    multiply = multiply_add_cycles(found) if dots is None else 0.5
    for high in range(1, min(rows, 8) + 1):
        for wide in range(1, min(columns, 8) + 1):
            if high * wide + min(high, wide) + 1 > limit or high * wide > 16:
                continue
            loads = high * loads_of[0] + wide * loads_of[1]
            each = (
                depth * max(high * wide * multiply, loads / 2, LATENCY) * conflict + TILE_START + ADDED_UP * high * wide
            )
            total = each * -(-rows // high) * -(-columns // wide)
            if best is None or total < best[0]:
                best = (total, high, wide)
    assert best is not None
    cycles, high, wide = best
    around = [loop for loop in found.parallels if loop not in (row, column)]
    around.sort(key=lambda loop: -found.out.strides[loop])
    cycles *= prod(found.extents[loop] for loop in around)
    tiles = [
        Steps(loop, found.extents[loop], size, found.restarts)
        for loop, size in ((row, high), (column, wide))
        if loop >= 0
    ]
    sizes = [size_of(found, found.lhs), size_of(found, found.rhs)]
    if len(tiles) == 2 and sizes[0] < sizes[1]:
        tiles.reverse()  # the larger factor is read once
    inner = min(sizes)
    traffic = max(sizes) / FAR_BYTES
    if inner > machine.second_cache // 2 and len(tiles) == 2:
        traffic += inner * (tiles[0].extent // tiles[0].size) / FAR_BYTES
    steps = (*(Steps(loop, found.extents[loop]) for loop in around), *tiles)
    plan = Dot(row, column, reduction, others, steps, lanes, dots)
    kind = f", {dots.size} steps of {dots.element} at a time" if dots is not None else ""
    note = f"dot, tile {high}x{wide}{kind}"
    return [Schedule("dot", max(cycles, traffic), lambda emitter: emit_dot(emitter, found, plan), note)]


def dots_in_place(found: Contraction, machine: Machine, reduction: int, lanes: int) -> Dots | None:
    """The instruction for groups of neighbours that takes vectors of both factors as they lie, if there is one."""
    dots = dots_for(found, machine, found.lhs, found.rhs)
    if dots is None or dots.flips or {found.lhs.element, found.rhs.element} != {dots.element}:
        return None
    fits = lanes == machine.lanes(bits_of(found.element)) and found.extents[reduction] >= lanes * dots.size
    return dots if fits else None
