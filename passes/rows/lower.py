"""Lower rows: runs of linalg ops around reductions become loops over rows, each row done in a few sweeps of vectors.

Ops element by element become loops over vectors where that beats what LLVM makes of loops over numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from xdsl.context import Context
from xdsl.dialects import linalg, memref
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block
from xdsl.passes import ModulePass

from xmlc.passes import remarks
from xmlc.passes.contractions.emitter import Emitter
from xmlc.passes.expand_math.registers import PIECES, REGISTERS
from xmlc.passes.functions import defined_functions
from xmlc.passes.index_arithmetic import IndexConstants
from xmlc.passes.machine import Machine, machine_of
from xmlc.passes.memory import byte_size
from xmlc.passes.rows.emit import emit
from xmlc.passes.rows.emitter import lanes_for, vector_loop
from xmlc.passes.rows.places import extreme_of, split
from xmlc.passes.rows.plan import Plan, plan_of
from xmlc.passes.rows.recognise import Group, groups_of
from xmlc.passes.rows.search import search
from xmlc.passes.rows.shares import share


@dataclass(frozen=True)
class LowerRows(ModulePass):
    """Do all ops of a softmax or a normalisation for one row, then for the next; leave everything else as it is."""

    name = "lower-rows"
    vector_bits: int = Machine.vector_bits
    first_cache: int = Machine.first_cache
    second_cache: int = Machine.second_cache
    third_cache: int = Machine.third_cache
    threads: int = Machine.threads

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = machine_of(self)
        for function in defined_functions(op):
            constants = IndexConstants(function.body.block)
            for block in list(function.walk_blocks()):
                if not isinstance(block.parent_op(), linalg.ops.GenericOp):
                    lower(block, machine, constants)


def lower(block: Block, machine: Machine, constants: IndexConstants) -> None:
    """Lower the groups of one block."""
    for op in [op for op in block.ops if isinstance(op, linalg.ops.GenericOp)]:
        if (extreme := extreme_of(op)) is None:
            continue
        if search(extreme, Emitter(op, constants), machine):
            op.detach()
            op.erase()
        else:
            split(extreme)
    share(block, machine.threads)
    for group in groups_of(block):
        loop = vector_loop(group)
        if loop is None or not pays(group, loop, machine) or (plan := plan_of(group)) is None:
            continue
        last = group.steps[-1].op
        remarks.passed(last, lambda plan=plan, loop=loop: description(plan, loop))
        emit(Emitter(last, constants), plan, machine, loop)
        for step in reversed(group.steps):
            step.op.detach()
            step.op.erase()
        erase_unused(block)


def description(plan: Plan, loop: int) -> str:
    """What becomes of a group, in words."""
    if not plan.group.columns:
        return f"{len(plan.steps)} ops element by element, in vectors"
    sizes = "x".join(str(plan.group.extents[column]) for column in plan.group.columns)
    vectors = "columns" if plan.group.is_column[loop] else "rows side by side"
    sweeps = "1 sweep" if plan.sweeps == 1 else f"{plan.sweeps} sweeps"
    return f"{len(plan.steps)} ops a row at a time: {sweeps} over its {sizes} elements, in vectors of {vectors}"


def pays(group: Group, loop: int, machine: Machine) -> bool:
    """A chain is left to LLVM, which makes vectors of it as well, unless it computes functions that registers of
    sixteen numbers compute otherwise, or its results are to be stored past the caches.
    """
    if group.columns or computes(group, loop, machine):
        return any(step.is_full for step in group.steps)
    results = [each for step in group.steps for each in step.outputs]
    return any(byte_size(cast("Any", each.value.type)) >= machine.third_cache for each in results)


def computes(group: Group, loop: int, machine: Machine) -> bool:
    """Whether registers of sixteen numbers compute something here in another way."""
    if machine.vector_bits != WIDEST_BITS or lanes_for(group, loop, machine) != PIECES:
        return False
    return any(type(inner) in REGISTERS for step in group.steps for inner in step.op.walk())


WIDEST_BITS = 32 * PIECES


BUFFERS = (memref.AllocOp, memref.AllocaOp, memref.CollapseShapeOp, memref.ExpandShapeOp)


def erase_unused(block: Block) -> None:
    """Erase buffers, and views of them, that nothing uses any more."""
    for op in reversed(list(block.ops)):
        if isinstance(op, BUFFERS) and not op.results[0].uses:
            op.detach()
            op.erase()
