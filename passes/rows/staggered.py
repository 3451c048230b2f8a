"""Staggered rows: the first sweep over a row goes along with the second over the one before it.

    first sweep of row 0;  for each row: second sweep of it and first of the next, the other sweeps of it

What a first sweep finds (of a softmax, the largest element) waits for memory and for its own last steps, while the
second computes functions: together they take little longer than the second alone. Rows are done so by the batch, whose
last row has its first sweep twice; nothing comes of the second one, and it writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.ir import SSAValue

from xmlc.passes.contractions.emitter import bits_of
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.rows.emitter import RowEmitter, Spot
from xmlc.passes.rows.sweeps import Ahead, Track, computes, swept

BATCH = 16
"""Rows that one after another are done so."""
ROWS_AT_HAND = 4
"""Rows that must fit the first cache: those that are read, what is made of one, what is fetched beside the other."""


def is_staggered(rows: RowEmitter) -> bool:
    """Whether the first of several sweeps only folds, the second computes, and the first cache holds rows enough."""
    group, plan = rows.group, rows.plan
    if plan.sweeps == 1 or len(group.columns) != 1:
        return False
    first, second = plan.sweep(0), plan.sweep(1)
    if any(each.step.fold is None for each in first) or computes(first) or not computes(second):
        return False
    bits = max(bits_of(operand.element) for each in plan.steps for operand in each.step.operands)
    return ROWS_AT_HAND * group.extents[rows.loop] * bits <= 8 * rows.machine.first_cache


def batch(rows: RowEmitter, at: Mapping[int, Index], loop: int, start: Index) -> None:
    """BATCH rows of a loop, from one on."""
    emitter, plan = rows.emitter, rows.plan
    rows.allocate(rows.group.columns, loop, 1)
    found = [value for each in plan.sweep(0) for value in each.outputs]

    def row_at(place: Index) -> Spot:
        row = Spot({**at, loop: emitter.plus(start, place)}, None, local={loop: 0})
        for each in plan.between(0):
            rows.do(each, row)
        return row

    first = row_at(0)
    swept(rows, [Track(0, first)])

    def body(place: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        row, following = row_at(place), row_at(emitter.least(emitter.plus(place, 1), BATCH - 1))
        row.known |= dict(zip(found, carried))
        for number in range(1, plan.sweeps):
            for each in plan.between(number):
                rows.do(each, row)
            others = [Track(0, following, Ahead.of(rows, following.at, 1))] if number == 1 else []
            swept(rows, [Track(number, row), *others])
        for each in plan.between(plan.sweeps):
            rows.do(each, row)
        rows.store_rows(row)
        return [following.known[value] for value in found]

    emitter.fold(BATCH, [first.known[value] for value in found], body)
