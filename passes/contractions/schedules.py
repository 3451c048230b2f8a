"""How one contraction is lowered: what it may be seen as, the schedules that fit, and the cheapest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from xdsl.dialects import linalg, memref
from xdsl.ir import SSAValue

from xmlc.passes import remarks
from xmlc.passes.contractions.choose import schedules
from xmlc.passes.contractions.emitter import Emitter
from xmlc.passes.contractions.epilogue import recognised, with_epilogue
from xmlc.passes.contractions.plans.cost import Schedule
from xmlc.passes.contractions.recognise import Recognised
from xmlc.passes.contractions.winograd import can_store, winograd, winograd_of
from xmlc.passes.index_arithmetic import IndexConstants
from xmlc.passes.machine import Machine


def lower(op: linalg.ops.GenericOp, machine: Machine, constants: IndexConstants, wanted: str | None) -> None:
    """Lower one op, if it is a contraction, with what is computed of its result where that costs less.

    The schedule `wanted` is taken wherever it fits.
    """
    options = schedules_of(op, machine)
    if options is None:
        return
    options = [option for option in options if option[1].name == wanted] or options
    if not options:
        remarks.missed(op, lambda: "a sum of products that no schedule fits: it becomes plain loops")
        return
    whole = any(each.consumer is not None for each, _ in options)
    options.sort(key=lambda option: option[1].cycles + own_loop(option[0]) * (whole and not option[0].consumer))
    chosen, schedule = options[0]
    remarks.passed(op, lambda: why([each for _, each in options]))
    schedule.emit(Emitter(chosen.consumer or op, constants))
    erase(op, chosen)


def own_loop(recognised: Recognised) -> float:
    """Cycles to store results and load them again in a loop of their own for what follows."""
    found = recognised.found
    return STORED_AND_LOADED * prod(found.extents[loop] for loop in found.parallels)


STORED_AND_LOADED = 0.25
"""Cycles for an element of a result that a loop of its own goes through."""


def schedules_of(op: linalg.ops.GenericOp, machine: Machine) -> list[tuple[Recognised, Schedule]] | None:
    """What fits a contraction, for each way to see it; None for other ops."""
    if (convolution := winograd_of(op)) is not None:
        given, plain = convolution
        whole = with_epilogue(op, plain)
        ways = [each for each in (whole, plain) if each is not None and can_store(given, each.found)]
        return [(each, winograd(replace(given, found=each.found), machine)) for each in ways]
    found = recognised(op)
    return [(each, schedule) for each in found for schedule in schedules(each.found, machine)] if found else None


def why(options: Sequence[Schedule]) -> str:
    """What was chosen, what it is taken to cost, and what came next."""
    best, *others = options
    following = next((each for each in others if each.describe != best.describe), None)
    than = f"; next is {following.describe}, {following.cycles:,.0f}" if following else "; nothing else fits"
    return f"{best.describe}: {best.cycles:,.0f} cycles by the cost model{than}"


def erase(op: linalg.ops.GenericOp, done: Recognised) -> None:
    """Erase the ops that a contraction was made of, and the buffers that nothing reads any more."""
    used = op.operands
    for each in (op, done.setter, done.consumer):
        if each is not None:
            each.detach()
            each.erase()
    erase_unread(used)


def erase_unread(buffers: Sequence[SSAValue]) -> None:
    """Erase buffers without uses: of sums that are stored elsewhere, or of an image that is padded part by part."""
    for value in dict.fromkeys(buffers):
        owner = value.owner
        if isinstance(owner, BUFFERS) and not value.uses:
            source = owner.operands
            owner.detach()
            owner.erase()
            erase_unread(source)


BUFFERS = (memref.AllocOp, memref.AllocaOp, memref.ExpandShapeOp, memref.CollapseShapeOp)
