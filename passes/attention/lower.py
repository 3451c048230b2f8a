"""Lower attention: to loops that hold no more scores than a cache does."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from xmlc.dialects.fused_attention import FusedAttentionOp
from xmlc.passes.functions import defined_functions
from xmlc.passes.index_arithmetic import IndexConstants
from xmlc.passes.machine import Machine, machine_of


@dataclass(frozen=True)
class LowerAttention(ModulePass):
    """Turn fused.attention into loops: over blocks of queries and keys, or along the memory of keys for few queries."""

    name = "lower-attention"
    vector_bits: int = Machine.vector_bits
    vector_registers: int = Machine.vector_registers
    second_cache: int = Machine.second_cache
    schedule: str | None = None
    """A name of `schedules.SCHEDULES`, which is taken wherever it fits: for tests."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = machine_of(self)
        for function in defined_functions(op):
            found = [each for each in function.walk() if isinstance(each, FusedAttentionOp)]
            if not found:
                continue
            from xmlc.passes.attention.schedules import lower  # programs without attention start without them

            constants = IndexConstants(function.body.block)
            for inner in found:
                lower(inner, machine, constants, self.schedule)
