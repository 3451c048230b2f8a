"""Emission: the loops of a planned group, over vectors.

Along its columns a row is taken vector by vector, and what folds it keeps several vectors of partial results; or, where
memory runs along the rows, a vector holds the same column of as many rows. A row of few vectors is held in
registers from the first sweep to the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.ir import SSAValue

from xmlc.passes.contractions.emitter import Emitter
from xmlc.passes.contractions.recognise import Operand
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.machine import Machine
from xmlc.passes.rows.emitter import Partial, RowEmitter, Spot
from xmlc.passes.rows.plan import Plan, Scheduled
from xmlc.passes.rows.totals import is_totals, totals

RESIDENT_VECTORS = 8
"""A row of this many vectors stays in registers."""
RESIDENT_OPS = 400
"""Operations that a row in registers may take, for there is no loop over its columns."""
UNROLL = 4
TOGETHER = 2
"""Rows that are done together: while the lanes of one are combined, the other keeps the core busy."""
LONG_ROW = 1 << 16
"""Elements of a row that is so long that the next one would be fetched too early."""
STEPS_AHEAD = 2048
"""Elements between what is read of a long row and what is fetched: some pages."""
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
    count = min(together(rows), extent)
    whole = extent // count * count
    with emitter.loop(whole, count, parallel=True) as index:
        along(rows, [{**at, row: emitter.plus(index, place)} for place in range(count)], row)
    if whole < extent:
        with emitter.loop(extent - whole) as index:
            along(rows, [{**at, row: emitter.plus(index, whole)}], row)


def together(rows: RowEmitter) -> int:
    """How many rows are done together: one where it computes functions, which keep the core busy, or is long."""
    group = rows.group
    vectors = -(-group.extents[rows.loop] // rows.lanes) * prod(group.extents[loop] for loop in group.columns[:-1])
    full = [each for each in rows.plan.steps if each.step.is_full]
    folds = any(each.step.fold for each in full)
    return TOGETHER if folds and vectors <= SHORT_ROW and not computes(full) else 1


def along(rows: RowEmitter, places: Sequence[Mapping[int, Index]], loop: int | None = None) -> None:
    """Some rows, of one loop if there are several; their vectors along the innermost columns."""
    group, plan = rows.group, rows.plan
    count = -(-group.extents[rows.loop] // rows.lanes)
    ops = sum(len(list(each.step.op.walk())) for each in plan.steps if each.step.is_full)
    if len(group.columns) == 1 and count <= RESIDENT_VECTORS and ops * count <= RESIDENT_OPS:
        resident(rows, places, count)
        return
    rows.allocate(group.columns, loop, len(places))
    spots = [Spot(at, None, local={} if loop is None else {loop: place}) for place, at in enumerate(places)]
    ahead = [Ahead.of(rows, at, len(places)) for at in places]
    for number in range(plan.sweeps):
        for each in plan.between(number):
            for row in spots:
                rows.do(each, row)
        fetched = ahead if number == min(1, plan.sweeps - 1) else None
        for (each, place), partial in swept(rows, number, spots, fetched).items():
            fold = each.step.fold
            assert fold is not None
            rows.finished(each, rows.across_lanes(fold, partial), spots[place])
    for row in spots:
        for each in plan.between(plan.sweeps):
            rows.do(each, row)
        rows.store_rows(row)


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


@dataclass(frozen=True)
class Ahead:
    """What is fetched while a row is read: of a long one what follows in it, else the next row.

    The second sweep over a row fetches the next: the first is bound by memory, the others are not. A single sweep does
    it itself, over rows that lie in memory: the processor's own prefetching ends with each page.
    """

    operands: Sequence[Operand]
    row: Mapping[int, Index]
    steps: int = 0
    """Elements of the row between what is read and what is fetched."""

    @staticmethod
    def of(rows: RowEmitter, at: Mapping[int, Index], distance: int) -> Ahead | None:
        """None where there is no next row, or where all rows are near; the last row counts as its own next."""
        group, emitter = rows.group, rows.emitter
        if rows.plan.sweeps == 1 and group.extents[rows.loop] >= LONG_ROW:
            operands = rows.read_next()
            return Ahead(operands, {}, STEPS_AHEAD) if operands else None
        if not group.rows or not (operands := rows.read_next(group.rows[-1])):
            return None
        row = group.rows[-1]
        return Ahead(operands, {row: emitter.least(emitter.plus(at[row], distance), group.extents[row] - 1)})

    def place(self, rows: RowEmitter, at: Mapping[int, Index]) -> Mapping[int, Index]:
        """Where what is fetched is, while what is there is read."""
        if not self.steps:
            return {**at, **self.row}
        emitter, loop = rows.emitter, rows.loop
        return {**at, loop: emitter.least(emitter.plus(at[loop], self.steps), rows.group.extents[loop] - 1)}


def swept(rows: RowEmitter, number: int, starts: Sequence[Spot], ahead: Sequence[Ahead | None] | None = None) -> State:
    """One sweep over some rows; what its folds have gathered."""
    emitter, group, lanes = rows.emitter, rows.group, rows.lanes
    members = rows.plan.sweep(number)
    size = group.extents[rows.loop]
    unroll = max(1, min(unroll_of(members), size // lanes) // len(starts))
    begun: State = {
        (each, place): rows.begin(each.step.fold, unroll)
        for each in members
        if each.step.fold
        for place in range(len(starts))
    }

    def vectors(inner: Mapping[int, Index], offsets: Sequence[Index], last: SSAValue | None, state: State) -> State:
        masks = [last if place == len(offsets) - 1 else None for place in range(len(offsets))]
        spots = [
            [
                Spot({**start.at, **inner, rows.loop: j}, lanes, mask, dict(start.known), start.local)
                for j, mask in zip(offsets, masks)
            ]
            for start in starts
        ]
        state = dict(state)
        for row, next_row in zip(spots, ahead or ()):
            if next_row is not None:
                for spot in row:
                    rows.fetch_ahead(next_row.operands, next_row.place(rows, spot.at))
        for each in members:
            for place, row in enumerate(spots):
                if each.step.fold is None:
                    for spot in row:
                        rows.do(each, spot)
                else:
                    values = [rows.results(each, spot)[0] for spot in row]
                    state[each, place] = rows.gathered(each.step.fold, state[each, place], values, masks)
        return state

    def line(inner: Mapping[int, Index], state: State) -> State:
        whole = size // (lanes * unroll) * unroll * lanes

        def body(index: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            offsets = [emitter.plus(index, place * lanes) for place in range(unroll)]
            return flat(vectors(inner, offsets, None, unflat(state, carried)))

        state = unflat(state, emitter.fold(whole, flat(state), body, step=unroll * lanes))
        offsets = list(range(whole, size, lanes))
        if offsets:
            mask = emitter.mask(size % lanes, lanes) if size % lanes else None
            state = vectors(inner, offsets, mask, state)
        return state

    return through(rows, [loop for loop in group.columns if loop != rows.loop], {}, begun, line)


State = dict[tuple[Scheduled, int], Partial]
"""What the folds of a sweep have gathered so far, those along rows for each vector of rows."""


def through(
    rows: RowEmitter,
    loops: Sequence[int],
    at: Mapping[int, Index],
    state: State,
    visit: Callable[[Mapping[int, Index], State], State],
) -> State:
    """Visit every point of some loops, the first outermost, carrying the state."""
    if not loops:
        return visit(at, state)

    def body(index: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        return flat(through(rows, loops[1:], {**at, loops[0]: index}, unflat(state, carried), visit))

    return unflat(state, rows.emitter.fold(rows.group.extents[loops[0]], flat(state), body))


def flat(state: State) -> list[SSAValue]:
    return [value for partial in state.values() for value in partial.values]


def unflat(state: State, values: Sequence[SSAValue]) -> State:
    found: State = {}
    place = 0
    for each, partial in state.items():
        count = len(partial.values)
        found[each] = partial.with_values(values[place : place + count])
        place += count
    return found


def unroll_of(members: Sequence[Scheduled]) -> int:
    """Vectors of a sweep's iteration: half as many where a function is computed, which keeps the core busy."""
    return UNROLL // 2 if computes(members) else UNROLL


def computes(members: Sequence[Scheduled]) -> bool:
    """Whether a function is computed of every element."""
    return any(op.name.startswith("math.") for each in members for op in each.step.op.walk())


def resident(rows: RowEmitter, places: Sequence[Mapping[int, Index]], count: int) -> None:
    """Some rows of few vectors, all in registers."""
    plan, lanes = rows.plan, rows.lanes
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
