"""Direct: which register tile, and in which order of loops, where the operands stay where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from xmlc.passes.contractions.direct import Direct, emit_direct
from xmlc.passes.contractions.emitter import bits_of
from xmlc.passes.contractions.nest import Steps
from xmlc.passes.contractions.plans.cost import (
    FAR_BYTES,
    NARROW_BYTES,
    PAGE,
    SECOND_CACHE_BYTES,
    SHORT_LOOP,
    WIDENED,
    WIDEST,
    Schedule,
    Step,
    best_tile,
    column_loop,
    lanes_for,
    moves_only,
    multiply_add_cycles,
    rows_that_fit,
    size_of,
)
from xmlc.passes.contractions.plans.sweep import SWEPT_BYTES
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.tile import Reduction, Shape
from xmlc.passes.machine import Machine


def direct(found: Contraction, machine: Machine) -> list[Schedule]:
    """Register tiles over operands in place: the column loop is one along which `out` and a factor are in one piece."""
    column = column_loop(found)
    if column is None:
        return []
    factors = (found.lhs, found.rhs)
    if any(factor.strides[column] not in (0, 1, 2) for factor in factors):
        return []
    if isinstance(found.start, Operand) and found.start.strides[column] not in (0, 1):
        return []
    if not any(factor.strides[column] for factor in factors):
        return []
    made: list[Schedule] = []
    for row in row_loops(found, column):
        made.append(direct_with(found, machine, column, row))
    return made


def row_loops(found: Contraction, column: int) -> list[int]:
    """The loops that may be the rows of a tile: the longest that moves only the factor which columns do not move."""
    wide, other = (found.lhs, found.rhs) if found.lhs.strides[column] else (found.rhs, found.lhs)
    if not other.strides[column]:
        rows = moves_only(found, other)
        if rows:
            return [max(rows, key=lambda loop: found.extents[loop])]
    # no loop of that kind (depthwise): rows of the image, which share the scalars
    rest = [loop for loop in found.parallels if loop != column and wide.strides[loop] and not other.strides[loop]]
    return [max(rest, key=lambda loop: found.extents[loop])] if rest else [-1]


def direct_with(found: Contraction, machine: Machine, column: int, row: int) -> Schedule:
    lanes = lanes_for(found, machine, found.extents[column])
    extents = found.extents
    rows = extents[row] if row >= 0 else 1
    reductions = sorted(
        found.reductions, key=lambda loop: -max(abs(found.lhs.strides[loop]), abs(found.rhs.strides[loop]))
    )
    depth = prod(extents[loop] for loop in reductions)
    step = step_of(found, row, column, depth, lanes)
    around = [loop for loop in found.parallels if loop not in (row, column)]
    channelwise = bool(found.lhs.strides[column] and found.rhs.strides[column])
    # a window whose steps share what they load: all are unrolled
    shares = depth <= UNROLLED // 2 and step.both > 0 and not channelwise
    highest = rows_that_fit(found, row)
    first = machine.first_cache * 8 // (bits_of(found.element) * lanes)
    times = prod(extents[loop] for loop in around)
    moved = max(size_of(found, factor) for factor in (found.lhs, found.rhs) if factor.strides[column])
    near = moved < machine.second_cache // 2 or in_panels(found, column, lanes)
    waits = moved / SWEPT_BYTES if near and moved >= machine.second_cache // 2 else 0.0  # the first tile of rows
    far = 0.0 if near or step.both else moved / times / (NARROW_BYTES * lanes / 16)
    most = max(1, UNROLLED // depth) if shares else CHANNEL_ROWS if channelwise else machine.vector_registers
    widest = 1 if channelwise else WIDEST
    if shares:
        step = replace(step, both=step.both * 0.45)
    copied = machine.second_cache // 4
    inner = extents[reductions[-1]] if reductions else 1
    entries = depth / inner * SHORT_LOOP if len(reductions) > 1 else 0.0
    cycles, high, wide, rows_overlap, columns_overlap = best_tile(
        rows,
        extents[column],
        depth,
        entries,
        step,
        lanes,
        machine.vector_registers,
        found.restarts,
        highest,
        most,
        far,
        first,
        widest,
    )
    cycles *= times
    row_steps = Steps(row, rows, high, rows_overlap) if row >= 0 else None
    column_steps = Steps(column, extents[column], wide, columns_overlap)
    steps, traffic = ordered(found, machine, row_steps, column_steps, around)
    if channelwise and moved // extents[column] * wide <= copied:
        steps = [column_steps, *(step for step in steps if step is not column_steps)]
    unrolled = reductions if shares else reductions[-1:] if channelwise and inner <= UNROLLED else []
    unroll = 1 if high * wide >= 8 * lanes or len(reductions) > 1 else 4
    plan = Direct(
        Shape(row, high, column, wide, lanes),
        tuple(steps),
        tuple(Reduction(loop, extents[loop], extents[loop] if loop in unrolled else unroll) for loop in reductions),
        copied * 8 // bits_of(found.element),
    )
    return Schedule(
        "direct",
        max(cycles, traffic) + waits,
        lambda emitter: emit_direct(emitter, found, plan),
        f"direct, tile {high}x{wide}",
    )


def in_panels(found: Contraction, column: int, lanes: int) -> bool:
    """Whether the factor that columns move is read in one piece: no wider than a tile, and laid out as it is read."""
    columns = found.extents[column]
    wide = found.lhs if found.lhs.strides[column] else found.rhs
    return columns <= WIDEST * lanes and any(wide.strides[loop] == columns for loop in found.reductions)


def is_panel(found: Contraction, factor: Operand, column: int, lanes: int) -> bool:
    """Whether the steps of a tile read a factor from its first element to its last."""
    reached = found.extents[column]
    if reached > WIDEST * lanes or len(found.reductions) < 2:
        return False
    for loop in sorted(found.reductions, key=lambda loop: factor.strides[loop]):
        if factor.strides[loop] != reached:
            return False
        reached *= found.extents[loop]
    return True


UNROLLED = 64
"""How many multiply-adds the unrolled window of a tile may have."""
CHANNEL_ROWS = 14
"""Rows of a tile of one vector of channels with a filter for each: half of the registers hold what rows share."""


def step_of(found: Contraction, row: int, column: int, depth: int, lanes: int) -> Step:
    """What each step of the reduction loads."""
    rows = vectors = both = lines = 0.0
    for factor in (found.lhs, found.rhs):
        by_row, by_column = row >= 0 and factor.strides[row] != 0, factor.strides[column] != 0
        each = 1.0
        if by_column and factor.strides[column] == 2:
            each = 3.5
        if factor.element != found.element:
            each += WIDENED
        if by_row and by_column:
            both += each
        elif by_row:
            rows += each
        elif by_column:
            vectors += each
            if not is_panel(found, factor, column, lanes):
                apart = max((abs(factor.strides[loop]) for loop in found.reductions), default=1)
                lines += far_apart(apart * bits_of(factor.element) // 8, depth)
    second = bits_of(found.element) * lanes / 8 / SECOND_CACHE_BYTES
    return Step(rows, vectors, both, lines, second, multiply_add_cycles(found))


def far_apart(apart: int, depth: int) -> float:
    """Extra cycles for a vector of each step, if steps are `apart` bytes.

    They compete for places in the caches where that is a power of two, for page table entries where it is large.
    """
    pages = depth * min(apart, PAGE) // PAGE
    if depth > 64 and apart % (2 * PAGE) == 0:
        return 7.0
    if depth > 64 and apart % PAGE == 0:
        return 2.3
    new = min(1.0, NEXT_PAGE * apart / PAGE)
    return 0.0 if pages <= 160 else 0.3 * new if pages <= 320 else new


NEXT_PAGE = 4.0
"""A page costs something new where it holds fewer steps than this; more of them hide it."""


def ordered(
    found: Contraction, machine: Machine, rows: Steps | None, columns: Steps, around: Sequence[int]
) -> tuple[list[Steps], float]:
    """The loops around a tile, outermost first, and the cycles it takes to bring the factors from memory.

    The factor of the outer loops is read once and the other once for each of their steps: the smaller is the inner.
    """
    wide, other = (found.lhs, found.rhs) if found.lhs.strides[columns.loop] else (found.rhs, found.lhs)
    batch = [loop for loop in around if found.lhs.strides[loop] and found.rhs.strides[loop]]
    rest = [loop for loop in around if loop not in batch]
    batch.sort(key=lambda loop: -found.out.strides[loop])
    with_columns = sorted((loop for loop in rest if wide.strides[loop]), key=lambda loop: -found.out.strides[loop])
    with_rows = sorted((loop for loop in rest if loop not in with_columns), key=lambda loop: -found.out.strides[loop])
    column_steps = [*(Steps(loop, found.extents[loop]) for loop in with_columns), columns]
    row_steps = [*(Steps(loop, found.extents[loop]) for loop in with_rows)]
    if rows is not None:
        if wide.strides[rows.loop]:
            column_steps.insert(len(column_steps) - 1, rows)
            column_steps = [step for step in column_steps if step is not rows]
            column_steps.insert(-1, rows)
        else:
            row_steps.append(rows)
    times = prod(found.extents[loop] for loop in batch)
    wide_bytes, other_bytes = size_of(found, wide) / times, size_of(found, other) / times

    def passes(steps: Sequence[Steps]) -> int:
        return prod(-(-step.extent // step.size) for step in steps)

    def traffic(inner: float, outer: float, steps: Sequence[Steps]) -> float:
        rate = SECOND_CACHE_BYTES if inner < machine.second_cache * 0.7 else FAR_BYTES
        again = inner * passes(steps) / rate if inner > machine.first_cache * 0.7 else inner / FAR_BYTES
        return times * (again + outer / FAR_BYTES)

    rows_inside = traffic(other_bytes, wide_bytes, column_steps) + times * strips(found, machine, columns, times)
    columns_inside = traffic(wide_bytes, other_bytes, row_steps)
    outermost = [Steps(loop, found.extents[loop]) for loop in batch]
    if rows_inside <= columns_inside:
        return [*outermost, *column_steps, *row_steps], rows_inside
    return [*outermost, *row_steps, *column_steps], columns_inside


def strips(found: Contraction, machine: Machine, columns: Steps, times: int) -> float:
    """Extra cycles to store results strip by strip, a short piece of each row, where they do not stay in a cache."""
    stored = size_of(found, found.out) / times
    whole = columns.size >= columns.extent
    return 0.0 if whole or stored < machine.second_cache else stored / STRIP_BYTES


STRIP_BYTES = 8.0
"""Bytes a cycle of results stored in strips: 1024 x 1024 x 16 by strips of 32 columns takes 309 us, by rows 180."""
