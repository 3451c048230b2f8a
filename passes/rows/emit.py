"""Emission: the loops of a planned group, over vectors.

Along its columns a row is taken vector by vector, and what folds it keeps several vectors of partial results; or, where
memory runs along the rows, a vector holds the same column of as many rows. A row of few vectors is held in
registers from the first sweep to the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from xdsl.ir import SSAValue

from xmlc.passes.contractions.emitter import Emitter
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.machine import Machine
from xmlc.passes.rows.emitter import RowEmitter, Spot
from xmlc.passes.rows.plan import Plan, Scheduled
from xmlc.passes.rows.staggered import BATCH, batch, is_staggered
from xmlc.passes.rows.sweeps import UNROLL, Ahead, State, Track, computes, swept, through, unroll_of
from xmlc.passes.rows.totals import is_totals, totals

RESIDENT_VECTORS = 8
"""A row of this many vectors stays in registers."""
RESIDENT_OPS = 400
"""Operations that a row in registers may take, for there is no loop over its columns."""
TOGETHER = 2
"""Rows that are done together: while the lanes of one are combined, the other keeps the core busy."""
SHORT_ROW = 64
"""Vectors of a row, at most, that has company. Combining the lanes of a longer one hardly counts."""


def emit(emitter: Emitter, plan: Plan, machine: Machine, loop: int) -> None:
    """The loops of a plan, before the op of the emitter."""
    group = plan.group
    rows = RowEmitter(emitter, plan, machine, loop)
    visit = alone if group.is_column[loop] else totals if is_totals(plan) else across

    def nested(left: Sequence[int], at: Mapping[int, Index]) -> None:
        if not left:
            visit(rows, at)
        elif len(left) == 1 and group.is_column[loop]:
            each_row(rows, at, left[0])
        else:
            with emitter.loop(group.extents[left[0]], parallel=True) as index:
                nested(left[1:], {**at, left[0]: index})

    nested([row for row in group.rows if row != loop], {})


def alone(rows: RowEmitter, at: Mapping[int, Index]) -> None:
    """One row."""
    along(rows, [at])


def each_row(rows: RowEmitter, at: Mapping[int, Index], row: int) -> None:
    """All rows of a loop, some together: while one waits for what its vectors fold to, the others have work."""
    emitter, extent = rows.emitter, rows.group.extents[row]
    staggers = extent >= 2 * BATCH and not is_resident(rows) and is_staggered(rows)
    count = BATCH if staggers else min(together(rows), extent)
    whole = extent // count * count
    with emitter.loop(whole, count, parallel=True) as index:
        if staggers:
            batch(rows, at, row, index)
        else:
            along(rows, [{**at, row: emitter.plus(index, place)} for place in range(count)], row)
    if whole < extent:
        with emitter.loop(extent - whole) as index:
            along(rows, [{**at, row: emitter.plus(index, whole)}], row)


def together(rows: RowEmitter) -> int:
    """How many rows are done together: one where it computes functions, which keep the core busy, or is long."""
    group = rows.group
    vectors = vectors_of(rows) * prod(group.extents[loop] for loop in group.columns[:-1])
    full = [each for each in rows.plan.steps if each.step.is_full]
    folds = any(each.step.fold for each in full)
    return TOGETHER if folds and vectors <= SHORT_ROW and not computes(full) else 1


def along(rows: RowEmitter, places: Sequence[Mapping[int, Index]], loop: int | None = None) -> None:
    """Some rows, of one loop if there are several; their vectors along the innermost columns."""
    group, plan = rows.group, rows.plan
    if is_resident(rows):
        resident(rows, places)
        return
    rows.allocate(group.columns, loop, len(places))
    spots = [Spot(at, None, local={} if loop is None else {loop: place}) for place, at in enumerate(places)]
    ahead = [Ahead.of(rows, at, len(places)) for at in places]
    for number in range(plan.sweeps):
        for each in plan.between(number):
            for row in spots:
                rows.do(each, row)
        fetches = number == min(1, plan.sweeps - 1)
        swept(rows, [Track(number, row, each if fetches else None) for row, each in zip(spots, ahead)])
    for row in spots:
        for each in plan.between(plan.sweeps):
            rows.do(each, row)
        rows.store_rows(row)


def is_resident(rows: RowEmitter) -> bool:
    """Whether a row stays in registers."""
    count = vectors_of(rows)
    ops = sum(len(list(each.step.op.walk())) for each in rows.plan.steps if each.step.is_full)
    return len(rows.group.columns) == 1 and count <= RESIDENT_VECTORS and ops * count <= RESIDENT_OPS


def vectors_of(rows: RowEmitter) -> int:
    """The vectors of the innermost columns, the last one maybe in part."""
    return -(-rows.group.extents[rows.loop] // rows.lanes)


def across(rows: RowEmitter, at: Mapping[int, Index]) -> None:
    """All rows along which memory runs, some vectors of them at a time."""
    emitter, lanes = rows.emitter, rows.lanes
    size = rows.group.extents[rows.loop]
    unroll = UNROLL if rows.group.columns else unroll_of(rows.plan.sweep(0))
    wide = min(unroll, max(1, size // lanes))
    whole = size // (lanes * wide) * lanes * wide
    if whole:
        with emitter.loop(whole, lanes * wide, parallel=True) as index:
            rows_together(rows, at, [emitter.plus(index, place * lanes) for place in range(wide)], None)
    if offsets := list(range(whole, size, lanes)):
        mask = emitter.mask(size % lanes, lanes) if size % lanes else None
        rows_together(rows, at, offsets, mask)


def rows_together(rows: RowEmitter, at: Mapping[int, Index], offsets: Sequence[Index], last: SSAValue | None) -> None:
    """The rows of some vectors, the last of which may be masked."""
    group, plan, lanes = rows.group, rows.plan, rows.lanes
    rows.allocate(group.columns, rows.loop, lanes * len(offsets))
    spots = [
        Spot({**at, rows.loop: j}, lanes, last if place == len(offsets) - 1 else None, local={rows.loop: place * lanes})
        for place, j in enumerate(offsets)
    ]
    for number in range(plan.sweeps + 1):
        for each in plan.between(number):
            for spot in spots:
                rows.do(each, spot)
        if not (members := plan.sweep(number)):
            continue
        state: State = {
            (each, place): rows.begin(each.step.fold, 1)
            for each in members
            if each.step.fold
            for place in range(len(spots))
        }

        def visited(inner: Mapping[int, Index], state: State, members: Sequence[Scheduled] = members) -> State:
            state = dict(state)
            here = [
                Spot({**spot.at, **inner}, lanes, spot.mask, dict(spot.known), spot.local, dict(spot.loaded))
                for spot in spots
            ]
            for each in members:
                if each.step.fold is None:
                    for spot in here:
                        rows.do(each, spot)
                    continue
                for place, spot in enumerate(here):
                    value = rows.results(each, spot)
                    state[each, place] = rows.gathered(each.step.fold, state[each, place], value, [None])
            return state

        for (each, place), partial in through(rows, group.columns, {}, state, visited).items():
            (total,) = partial.vectors
            total = total if partial.invalid is None else rows.unless(partial.invalid, total)
            rows.finished(each, total, spots[place])
    for spot in spots:
        rows.store_rows(spot)


def resident(rows: RowEmitter, places: Sequence[Mapping[int, Index]]) -> None:
    """Some rows of few vectors, all in registers."""
    plan, lanes, count = rows.plan, rows.lanes, vectors_of(rows)
    size = rows.group.extents[rows.loop]
    mask = rows.emitter.mask(size % lanes, lanes) if size % lanes else None
    masks = [mask if place == count - 1 else None for place in range(count)]
    starts = [Spot(at, None) for at in places]
    spots = [[Spot({**at, rows.loop: k * lanes}, lanes, masks[k]) for k in range(count)] for at in places]
    for number in range(plan.sweeps + 1):
        for row, vectors in zip(starts, spots):
            for each in plan.between(number):
                rows.do(each, row)
            for spot in vectors:
                spot.known |= row.known
        for each in plan.sweep(number):
            for row, vectors in zip(starts, spots):
                if each.step.fold is None:
                    for spot in vectors:
                        rows.do(each, spot)
                else:
                    held(rows, each, row, vectors, masks)
    for row in starts:
        rows.store_rows(row)


def held(
    rows: RowEmitter, each: Scheduled, row: Spot, vectors: Sequence[Spot], masks: Sequence[SSAValue | None]
) -> None:
    """A fold of a row that is in registers."""
    fold = each.step.fold
    assert fold is not None
    values = [rows.results(each, spot)[0] for spot in vectors]
    partial = rows.begin(fold, min(len(vectors), UNROLL))
    for start in range(0, len(vectors), UNROLL):
        part = slice(start, start + UNROLL)
        partial = rows.gathered(fold, partial, values[part], masks[part])
    rows.finished(each, rows.across_lanes(fold, partial), row)
