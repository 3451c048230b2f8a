"""Lower contractions: linalg.generic ops that sum products become register-tiled nests of scf, memref and vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import func, linalg
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from xmlc.passes import remarks
from xmlc.passes.contractions.choose import Schedule, schedules
from xmlc.passes.contractions.emitter import Emitter
from xmlc.passes.contractions.recognise import contraction_of
from xmlc.passes.contractions.winograd import winograd, winograd_of
from xmlc.passes.index_arithmetic import IndexConstants
from xmlc.passes.machine import Machine


@dataclass(frozen=True)
class LowerContractions(ModulePass):
    """Give each contraction the schedule that the cost model finds cheapest; leave everything else as it is."""

    name = "lower-contractions"
    schedule: str | None = None
    """Use this schedule wherever it fits: direct, blocked, dot, flatten."""
    vector_bits: int = Machine.vector_bits
    vector_registers: int = Machine.vector_registers
    first_cache: int = Machine.first_cache
    second_cache: int = Machine.second_cache

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = Machine(self.vector_bits, self.vector_registers, self.first_cache, self.second_cache)
        for function in op.body.block.ops:
            if isinstance(function, func.FuncOp) and not function.is_declaration:
                constants = IndexConstants(function.body.block)
                for inner in [each for each in function.walk() if isinstance(each, linalg.ops.GenericOp)]:
                    self.lower(inner, machine, constants)

    def lower(self, op: linalg.ops.GenericOp, machine: Machine, constants: IndexConstants) -> None:
        recognised = schedules_of(op, machine)
        if recognised is None:
            return
        options, setter = recognised
        options = [each for each in options if each.name == self.schedule] or options
        if not options:
            remarks.missed(op, lambda: "a sum of products that no schedule fits: it becomes plain loops")
            return
        best = options[0]
        remarks.passed(op, lambda: why(options))
        best.emit(Emitter(op, constants))
        for done in (op, setter) if setter is not None else (op,):
            done.detach()
            done.erase()


def schedules_of(op: linalg.ops.GenericOp, machine: Machine) -> tuple[list[Schedule], Operation | None] | None:
    """What fits a contraction, cheapest first, and the op before it that is not needed any more; None for other ops."""
    if (convolution := winograd_of(op)) is not None:
        given, setter = convolution
        return [winograd(given, machine)], setter
    if (recognised := contraction_of(op)) is not None:
        found, setter = recognised
        return schedules(found, machine), setter
    return None


def why(options: Sequence[Schedule]) -> str:
    """What was chosen, what it is taken to cost, and what came next."""
    best, *others = options
    following = next((each for each in others if each.describe != best.describe), None)
    than = f"; next is {following.describe}, {following.cycles:,.0f}" if following else "; nothing else fits"
    return f"{best.describe}: {best.cycles:,.0f} cycles by the cost model{than}"
