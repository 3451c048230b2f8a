"""Sweeps: one way through the columns of some rows, vector by vector, by the steps that belong to it.

What folds a row keeps several vectors of partial results; what later rows or sweeps read is fetched ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from xmlc.passes.contractions.recognise import Operand
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.rows.emitter import Partial, RowEmitter, Spot
from xmlc.passes.rows.plan import Scheduled

UNROLL = 4
LONG_ROW = 1 << 16
"""Elements of a row that is so long that the next one would be fetched too early."""
STEPS_AHEAD = 2048
"""Elements between what is read of a long row and what is fetched: some pages."""


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


@dataclass(frozen=True, eq=False)
class Track:
    """The sweep of this number over a row; other rows, maybe in other sweeps, go along with it."""

    number: int
    row: Spot
    ahead: Ahead | None = None
    """What is fetched meanwhile."""


def swept(rows: RowEmitter, tracks: Sequence[Track]) -> None:
    """Sweeps over some rows, vector by vector at once; what their folds come to is known at the rows then."""
    emitter, group, lanes = rows.emitter, rows.group, rows.lanes
    members = {number: rows.plan.sweep(number) for number in dict.fromkeys(track.number for track in tracks)}
    alike = sum(track.number == tracks[0].number for track in tracks)
    size = group.extents[rows.loop]
    unroll = max(1, min(*map(unroll_of, members.values()), size // lanes) // alike)
    begun: State = {
        (each, place): rows.begin(each.step.fold, unroll)
        for place, track in enumerate(tracks)
        for each in members[track.number]
        if each.step.fold
    }

    def vectors(inner: Mapping[int, Index], offsets: Sequence[Index], last: SSAValue | None, state: State) -> State:
        masks = [last if place == len(offsets) - 1 else None for place in range(len(offsets))]
        spots = [
            [
                Spot({**row.at, **inner, rows.loop: j}, lanes, mask, dict(row.known), row.local)
                for j, mask in zip(offsets, masks)
            ]
            for row in (track.row for track in tracks)
        ]
        state = dict(state)
        for track, row in zip(tracks, spots):
            if track.ahead is not None:
                for spot in row:
                    rows.fetch_ahead(track.ahead.operands, track.ahead.place(rows, spot.at))
        for number, steps in members.items():
            for each in steps:
                for place, row in enumerate(spots):
                    if tracks[place].number != number:
                        continue
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

    found = through(rows, [loop for loop in group.columns if loop != rows.loop], {}, begun, line)
    for (each, place), partial in found.items():
        fold = each.step.fold
        assert fold is not None
        rows.finished(each, rows.across_lanes(fold, partial), tracks[place].row)


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
