"""Lower contractions with free sizes: tiles of sums in registers, for every size (`free_sizes`)."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import linalg
from xdsl.dialects.builtin import DYNAMIC_INDEX, MemRefType, ModuleOp
from xdsl.passes import ModulePass

from xmlc.passes.contractions.lower import accumulates
from xmlc.passes.functions import defined_functions
from xmlc.passes.index_arithmetic import IndexConstants
from xmlc.passes.machine import Machine, machine_of


@dataclass(frozen=True)
class LowerFreeContractions(ModulePass):
    """Tile the contractions that have free sizes; those without are left to `lower-contractions`."""

    name = "lower-free-contractions"
    vector_bits: int = Machine.vector_bits
    vector_registers: int = Machine.vector_registers

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = machine_of(self)
        for function in defined_functions(op):
            found = [each for each in function.walk() if isinstance(each, linalg.ops.GenericOp) and is_free_sum(each)]
            if not found:
                continue
            from xmlc.passes.contractions.free_sizes import lower  # programs without free sizes start without them

            constants = IndexConstants(function.body.block)
            for inner in found:
                lower(inner, machine, constants)


def is_free_sum(op: linalg.ops.GenericOp) -> bool:
    """Whether an op may be a contraction with a free size."""
    types = [value.type for value in op.operands]
    return accumulates(op) and any(isinstance(type, MemRefType) and DYNAMIC_INDEX in type.get_shape() for type in types)
