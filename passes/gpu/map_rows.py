"""Map rows: elementwise chains and reductions of rows become kernels that read and write each element once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block
from xdsl.passes import ModulePass

from xmlc.dialects.diagnostics import CompileError
from xmlc.passes.functions import defined_functions
from xmlc.passes.gpu.device_buffers import on_the_heap
from xmlc.passes.gpu.outline import Kernels
from xmlc.passes.gpu.rows.candidates import candidates
from xmlc.passes.gpu.rows.launch import emit_program
from xmlc.passes.gpu.rows.program import programs
from xmlc.passes.gpu.rows.schedule import EXCHANGES, NAIVE, SHUFFLE, choose
from xmlc.passes.gpu.stated import Schedules


@dataclass(frozen=True)
class MapRows(ModulePass):
    """Make one kernel of each run of elementwise ops and reductions over the last dimensions."""

    name = "map-rows"
    lanes: int | None = None
    """Threads of a row, in the place of what the cost model chooses."""
    exchange: str = SHUFFLE
    """How threads put their results together: naive, shared or shuffle."""
    most_cluster: int = 1
    """Blocks that may be in a cluster: 1 before sm_90, which has none."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.exchange not in EXCHANGES:
            raise CompileError(
                f"unknown exchange '{self.exchange}' of map-rows", hint=f"there are {', '.join(EXCHANGES)}"
            )
        if self.exchange == NAIVE:
            return
        kernels = Kernels(op)
        for function in defined_functions(op):
            on_the_heap(function)
            self.visit(function.body.block, kernels, Schedules(function, "rows"))

    def visit(self, block: Block, kernels: Kernels, schedules: Schedules) -> None:
        for op in list(block.ops):
            if op.name.startswith("scf."):
                for region in op.regions:
                    for inner in region.blocks:
                        self.visit(inner, kernels, schedules)
        for program in programs(block):
            schedule = replace(choose(program, self.most_cluster), exchange=self.exchange)
            if self.lanes is not None and program.reduces:
                schedule = replace(schedule, lanes=self.lanes)
            schedule = schedules.next(schedule, partial(candidates, program, schedule, self.most_cluster))
            emit_program(program, schedule, kernels, schedules.function.sym_name.data)
