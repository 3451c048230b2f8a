"""How a contraction may be scheduled: the table of schedules, and those that fit, the cheapest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xmlc.passes.contractions.plans.blocked import blocked
from xmlc.passes.contractions.plans.cost import Schedule
from xmlc.passes.contractions.plans.direct import direct
from xmlc.passes.contractions.plans.dot import dot
from xmlc.passes.contractions.plans.flat import flat
from xmlc.passes.contractions.plans.panelled import panelled
from xmlc.passes.contractions.plans.stretched import stretched
from xmlc.passes.contractions.plans.sweep import sweep
from xmlc.passes.contractions.plans.tiles import tiles
from xmlc.passes.contractions.recognise import Contraction
from xmlc.passes.machine import Machine

PLANS: Sequence[Callable[[Contraction, Machine], list[Schedule]]] = (
    direct,
    sweep,
    panelled,
    blocked,
    tiles,
    dot,
    flat,
    stretched,
)


def schedules(found: Contraction, machine: Machine) -> list[Schedule]:
    """Every schedule that fits, the cheapest first."""
    made = [schedule for plan in PLANS for schedule in plan(found, machine)]
    return sorted(made, key=lambda schedule: schedule.cycles)
