"""Which kernels a row program becomes by a schedule."""

from __future__ import annotations

from xmlc.passes.gpu.outline import Kernels
from xmlc.passes.gpu.rows.emit import Finish, Partial, Whole, stored_outputs
from xmlc.passes.gpu.rows.program import Program
from xmlc.passes.gpu.rows.relayed import Relayed
from xmlc.passes.gpu.rows.schedule import Schedule
from xmlc.passes.gpu.rows.staged import Staged


def emit_program(program: Program, schedule: Schedule, kernels: Kernels, name: str) -> None:
    """Launch the program in the place of its last step; its ops are erased."""
    last = program.steps[-1].op
    outputs = stored_outputs(program)
    if schedule.apart:
        Relayed(program, schedule, kernels, last, outputs).emit(name)
    elif program.reduces and schedule.cluster == 1 and schedule.splits(program.columns) > 1:
        partial = Partial(program, schedule, kernels, last, outputs)
        partial.emit(name)
        Finish(program, schedule, kernels, last, outputs, partial.places).emit(f"{name}_finish")
    elif schedule.stages:
        Staged(program, schedule, kernels, last, outputs).emit(name)
    else:
        Whole(program, schedule, kernels, last, outputs).emit(name)
    for op in [*program.fills, *(step.op for step in program.steps)]:
        op.detach()
        op.erase()
