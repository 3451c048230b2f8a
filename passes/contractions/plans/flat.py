"""Flat: whether copying a factor, so that its loops become one, pays."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xmlc.passes.contractions.emitter import Emitter, bits_of
from xmlc.passes.contractions.flatten import copied_in, copied_out, flattened, flattens
from xmlc.passes.contractions.plans.blocked import blocked
from xmlc.passes.contractions.plans.cost import Schedule, moves_only
from xmlc.passes.contractions.plans.direct import direct
from xmlc.passes.contractions.recognise import Contraction, Operand, simplified
from xmlc.passes.machine import Machine


def flat(found: Contraction, machine: Machine) -> list[Schedule]:
    """Copy a factor so that its loops become one, then the best of the other schedules."""
    made: list[Schedule] = []
    for factor in (found.lhs, found.rhs):
        loops = sorted(moves_only(found, factor), key=lambda loop: -found.out.strides[loop])
        if not flattens(found, factor, loops) or found.out.strides[loops[-1]] != 1:
            continue
        inner, simple = flattened(found, factor, loops)
        copied = prod(found.extents[loop] for loop in range(len(found.extents)) if inner.lhs.strides[loop])
        if copied * bits_of(found.element) // 8 > 4 * machine.second_cache:
            continue
        rest = [*direct(simple, machine), *blocked(simple, machine)]
        if not rest:
            continue
        best = min(rest, key=lambda schedule: schedule.cycles)
        along = [loop for loop in loops if factor.strides[loop] == 1]
        row = found.extents[along[-1]] if along else 1
        cost = copied * (0.3 + min(3.0, 6.0 / row)) + best.cycles
        if inner.out is not found.out:
            cost += prod(found.extents[loop] for loop in found.parallels) * 1.0

        def emit(emitter: Emitter, factor: Operand = factor, loops: Sequence[int] = loops) -> None:
            copied = copied_in(emitter, found, factor, loops)
            simple = simplified(copied)
            options = [*direct(simple, machine), *blocked(simple, machine)]
            min(options, key=lambda schedule: schedule.cycles).emit(emitter)
            copied_out(emitter, found, copied)

        made.append(Schedule("flatten", cost, emit, f"flatten, then {best.describe}"))
    return made
