"""Lower contractions: linalg.generic ops that sum products become register-tiled nests of scf, memref and vector."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import linalg
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from xmlc.passes.functions import defined_functions
from xmlc.passes.index_arithmetic import IndexConstants
from xmlc.passes.machine import Machine, machine_of


@dataclass(frozen=True)
class LowerContractions(ModulePass):
    """Give each contraction the schedule that the cost model finds cheapest; leave everything else as it is."""

    name = "lower-contractions"
    schedule: str | None = None
    """Use this schedule wherever it fits: direct, sweep, panelled, blocked, tiles, dot, flatten, winograd."""
    vector_bits: int = Machine.vector_bits
    vector_registers: int = Machine.vector_registers
    first_cache: int = Machine.first_cache
    second_cache: int = Machine.second_cache
    third_cache: int = Machine.third_cache
    dots: tuple[str, ...] = Machine.dots
    """Element types with an instruction that multiplies and sums groups of them."""

    tiles: tuple[str, ...] = Machine.tiles
    """Element types whose tiles a matrix unit multiplies."""
    threads: int = Machine.threads
    """How many threads there are to share a loop; which sums are formed does not depend on it."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = machine_of(self)
        for function in defined_functions(op):
            found = [each for each in function.walk() if isinstance(each, linalg.ops.GenericOp) and accumulates(each)]
            if not found:
                continue
            from xmlc.passes.contractions.schedules import lower  # programs without sums start without them

            constants = IndexConstants(function.body.block)
            for inner in found:
                if inner.parent is not None:  # not yet taken as an epilogue
                    lower(inner, machine, constants, self.schedule)


def accumulates(op: linalg.ops.GenericOp) -> bool:
    """Whether an op reads what it writes, as every sum does."""
    return bool(op.body.block.args[-1].uses)
