"""Gradients of the ops that say how to differentiate."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from xmlc.dialects.ml import derivatives as ml
from xmlc.dialects.ml import functions as F
from xmlc.passes.building import building
from xmlc.passes.differentiate.control import Given, Reached, copied, wanted_of
from xmlc.passes.differentiate.pull_back import Cotangents, captured, pull_back


def stop_gradient(op: ml.StopGradientOp, given: Given, active: set[SSAValue], at: InsertPoint) -> Reached:
    return ()


def barrier(op: ml.BarrierOp, given: Given, active: set[SSAValue], at: InsertPoint) -> Reached:
    return zip((op.x,), given)


def checkpoint(op: ml.CheckpointOp, given: Given, active: set[SSAValue], at: InsertPoint) -> Reached:
    """The gradient of a copy of the body, which reads barriers: no pass finds that the op computed the same."""
    with building(at, op.location):
        again: dict[SSAValue, SSAValue] = {value: F.barrier(value) for value in captured(op)}
    wanted = wanted_of(op, active)
    block = Block()
    yielded = copied(op.body.block, block, dict(again))
    return zip(wanted, differentiated(block, yielded, given, [again[value] for value in wanted], at))


def custom_gradient(op: ml.CustomGradientOp, given: Given, active: set[SSAValue], at: InsertPoint) -> Reached:
    """What the op's own gradient makes of the cotangents of its values.

    What it keeps gets cotangents where that gradient is differentiated again: these flow through the body as usual.
    """
    values = op.values
    reached: list[tuple[SSAValue, SSAValue | None]] = []
    if any(each is not None for each in given[:values]):
        with building(at, op.location):
            zero = Cotangents(zip(op.results, given))
            cotangents = [zero.or_zero(result) for result in op.results[:values]]
        block = Block()
        arguments = [*op.results[values:], *cotangents]
        found = copied(op.gradient.block, block, dict(zip(op.gradient.block.args, arguments)))
        Rewriter.inline_block(block, at)
        reached += zip(op.inputs, found)
    if any(each is not None for each in given[values:]):
        block = Block()
        outside: dict[SSAValue, SSAValue] = dict(zip(op.body.block.args, op.inputs))
        yielded = copied(op.body.block, block, outside)
        wanted = list(dict.fromkeys(value for value in (*op.inputs, *captured(op)) if value in active))
        reached += zip(wanted, differentiated(block, yielded[values:], given[values:], wanted, at))
    return reached


def differentiated(
    block: Block, yielded: Sequence[SSAValue], given: Given, wanted: Sequence[SSAValue], at: InsertPoint
) -> list[SSAValue | None]:
    """The cotangents that reach the values `wanted` through the ops of a block; these go to `at`, with theirs."""
    ops, end = list(block.ops), InsertPoint.at_end(block)
    cotangents = Cotangents(zip(yielded, given))
    pull_back(ops, cotangents, wanted, end)
    Rewriter.inline_block(block, at)
    return [cotangents.get(value) for value in wanted]


REGIONS = {
    ml.StopGradientOp: stop_gradient,
    ml.BarrierOp: barrier,
    ml.CheckpointOp: checkpoint,
    ml.CustomGradientOp: custom_gradient,
}
