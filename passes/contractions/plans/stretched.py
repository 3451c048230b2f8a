"""Stretched: how many stretches of a long reduction stay in the second cache."""

from __future__ import annotations

from math import ceil, prod

from xmlc.passes.contractions.emitter import Emitter, bits_of
from xmlc.passes.contractions.plans.blocked import blocked
from xmlc.passes.contractions.plans.cost import Schedule, column_loop, lanes_for, size_of
from xmlc.passes.contractions.plans.direct import direct
from xmlc.passes.contractions.recognise import Contraction
from xmlc.passes.contractions.stretches import add_up, in_stretches, with_buffer
from xmlc.passes.machine import Machine


def stretched(found: Contraction, machine: Machine) -> list[Schedule]:
    """A reduction so long that the factors of few results do not fit the second cache: stretches of it that do."""
    column = column_loop(found)
    if column is None or len(found.reductions) != 1 or len(found.parallels) > 2:
        return []
    factors = size_of(found, found.lhs) + size_of(found, found.rhs)
    results = prod(found.extents[loop] for loop in found.parallels)
    count = stretches_of(found.extents[found.reductions[0]], ceil(factors / (machine.second_cache // 2)))
    if count is None or count * results * bits_of(found.element) // 8 > machine.second_cache:
        return []
    lanes = lanes_for(found, machine, found.extents[column])

    def best(parts: Contraction) -> Schedule | None:
        options = [*direct(parts, machine), *blocked(parts, machine)]
        return min(options, key=lambda schedule: schedule.cycles, default=None)

    placeholder = found.sums.value
    chosen = best(in_stretches(found, count, placeholder, placeholder))
    if chosen is None:
        return []

    def emit(emitter: Emitter) -> None:
        parts = with_buffer(emitter, found, count)
        again = best(parts)
        assert again is not None
        again.emit(emitter)
        add_up(emitter, found, parts, column, lanes)

    cycles = chosen.cycles + (count + 2) * results / lanes
    return [Schedule("stretches", cycles, emit, f"stretches, {count} of them, each {chosen.describe}")]


def stretches_of(depth: int, least: int) -> int | None:
    """How many stretches a reduction has, if there are at least two of whole steps: a number that threads share evenly,
    or else the least."""
    counts = [count for count in range(max(1, least), 2 * (least + SHARED_EVENLY)) if depth % count == 0]
    best = min(counts, key=lambda count: (count % SHARED_EVENLY != 0, count), default=1)
    return best if least > 1 and best > 1 else None


SHARED_EVENLY = 8
"""Stretches come in multiples of this many where they can."""
