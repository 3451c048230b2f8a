"""Lower sorts: rows are sorted by networks that merge (Batcher, "Sorting networks", 1968), many of them side by side.

What they sort is in `passes/sorts/words.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import memref
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

import xmlc.dialects.arith  # noqa: F401  # pyright: ignore[reportUnusedImport]  # lets conversions take vectors
from xmlc.dialects.fused_sort import FusedSortOp
from xmlc.passes import remarks
from xmlc.passes.functions import defined_functions
from xmlc.passes.index_arithmetic import IndexConstants
from xmlc.passes.machine import Machine, machine_of
from xmlc.passes.sorts.across import Across
from xmlc.passes.sorts.along import Along

SCHEDULES = (Across, Along)
"""The first that fits is taken."""


@dataclass(frozen=True)
class LowerSorts(ModulePass):
    """Turn fused.sort into loops over vectors."""

    name = "lower-sorts"
    vector_bits: int = Machine.vector_bits
    vector_registers: int = Machine.vector_registers
    second_cache: int = Machine.second_cache

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = machine_of(self)
        for function in defined_functions(op):
            constants = IndexConstants(function.body.block)
            for sort in [each for each in function.walk() if isinstance(each, FusedSortOp)]:
                made = (schedule(sort, machine, constants) for schedule in SCHEDULES)
                chosen = next(each for each in made if each.fits())
                remarks.passed(sort, chosen.remark)
                chosen.emit()
                buffers = (sort.values, sort.indices)
                sort.detach()
                sort.erase()
                for buffer in buffers:
                    erase_unused(buffer)


def erase_unused(buffer: SSAValue) -> None:
    """Erase what makes a buffer that nothing uses any more."""
    if isinstance(buffer.owner, memref.AllocOp) and not buffer.uses:
        buffer.owner.detach()
        buffer.owner.erase()
