"""Totals side by side: one fold whose results lie next to one another in memory, as of the columns of a matrix.

Memory is read in order, some rows of it at a time: what they add to a vector of totals is gathered in registers, so
that the totals, which the first cache holds, are read and written once for all of those rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xmlc.passes.contractions.recognise import root
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.rows.emitter import RowEmitter, Spot
from xmlc.passes.rows.plan import Plan, Scheduled, Value

TOGETHER = 8
"""Rows of memory that are folded at a time: as many streams as processors follow."""
STRIP = 64
"""Vectors of totals that are made before the next ones."""


def is_totals(plan: Plan) -> bool:
    """Whether one step alone goes through all elements, and folds them; its totals wait where they end up.

    So nothing but the fold may ask what was there before.
    """
    full = [each for each in plan.steps if each.step.is_full]
    if len(full) != 1 or full[0].step.fold is None:
        return False
    buffer = root(full[0].outputs[0].operand.value)
    return not any(
        isinstance(value, Value) and value.producer is None and root(value.operand.value) is buffer
        for each in plan.between(0)
        for value in (*each.inputs, *each.befores)
    )


def totals(rows: RowEmitter, at: Mapping[int, Index]) -> None:
    """All totals along the loop that vectors run along."""
    emitter, lanes = rows.emitter, rows.lanes
    size = rows.group.extents[rows.loop]
    threads = rows.machine.threads
    share = size if threads == 1 else max(lanes, size // (threads * lanes) * lanes)
    strip = min(size, share, STRIP * lanes)
    whole = size // strip * strip
    with emitter.loop(whole, strip, parallel=True) as start:
        strip_of_totals(rows, at, start, strip)
    if whole < size:
        strip_of_totals(rows, at, whole, size - whole)


def strip_of_totals(rows: RowEmitter, at: Mapping[int, Index], start: Index, size: int) -> None:
    """The totals of some vectors, which stay in the first cache from the first element to the last."""
    emitter, group = rows.emitter, rows.group
    (folds,) = rows.plan.sweep(0)
    each_vector(rows, at, start, size, lambda spot: begin(rows, folds, spot))
    *outer, inner = group.columns
    count = group.extents[inner]

    def rest(left: Sequence[int], at: Mapping[int, Index]) -> None:
        if left:
            with emitter.loop(group.extents[left[0]]) as index:
                rest(left[1:], {**at, left[0]: index})
            return
        whole = count // TOGETHER * TOGETHER
        if whole:
            with emitter.loop(whole, TOGETHER) as first:
                block(at, [emitter.plus(first, place) for place in range(TOGETHER)])
        if whole < count:
            block(at, list(range(whole, count)))

    def block(at: Mapping[int, Index], places: Sequence[Index]) -> None:
        each_vector(rows, at, start, size, lambda spot: gather(rows, folds, spot, inner, places))

    rest(outer, at)
    each_vector(rows, at, start, size, lambda spot: finish(rows, folds, spot))


def each_vector(
    rows: RowEmitter, at: Mapping[int, Index], start: Index, size: int, visit: Callable[[Spot], None]
) -> None:
    """Visit the vectors of a strip; the last may be masked."""
    emitter, lanes = rows.emitter, rows.lanes
    whole = size // lanes * lanes
    if whole:
        with emitter.loop(whole, lanes) as index:
            visit(Spot({**at, rows.loop: emitter.plus(start, index)}, lanes))
    if whole < size:
        mask = emitter.mask(size - whole, lanes)
        visit(Spot({**at, rows.loop: emitter.plus(start, whole)}, lanes, mask))


def begin(rows: RowEmitter, folds: Scheduled, spot: Spot) -> None:
    """What totals start from."""
    for each in rows.plan.between(0):
        rows.do(each, spot)
    (before,) = folds.befores
    assert before is not None
    rows.put(rows.value_of(before, spot), folds.outputs[0].operand, spot, spot.at)


def gather(rows: RowEmitter, folds: Scheduled, spot: Spot, inner: int, places: Sequence[Index]) -> None:
    """Fold some elements of the loop `inner` into each of a vector of totals, and have those after them fetched."""
    fold = folds.step.fold
    assert fold is not None
    operand = folds.outputs[0].operand
    for each in rows.plan.between(0):  # what elements are computed from, besides
        rows.do(each, spot)
    partial = rows.begin(fold, 1)
    partial.vectors[0] = rows.fetched(operand, spot, spot.at)
    far = rows.read_next(inner)
    for place in places:
        if far:
            following = rows.emitter.plus(place, len(places))
            following = rows.emitter.least(following, rows.group.extents[inner] - 1)
            rows.fetch_ahead(far, {**spot.at, inner: following})
        values = rows.results(folds, Spot({**spot.at, inner: place}, spot.lanes, spot.mask, dict(spot.known)))
        partial = rows.gathered(fold, partial, values, [None])
    (total,) = partial.vectors
    rows.put(total if partial.invalid is None else rows.unless(partial.invalid, total), operand, spot, spot.at)


def finish(rows: RowEmitter, folds: Scheduled, spot: Spot) -> None:
    """What is made of totals, once they are complete, and what is made of rows besides."""
    after = rows.plan.between(1)
    if not after and not any(value.is_stored for each in rows.plan.between(0) for value in each.outputs):
        return
    for each in rows.plan.between(0):
        rows.do(each, spot)
    (total,) = folds.outputs
    spot.known[total] = rows.fetched(total.operand, spot, spot.at)
    for each in after:
        rows.do(each, spot)
    rows.store_rows(spot)
