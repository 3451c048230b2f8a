"""Gradients of control flow. What a region takes from outside gets its share like any operand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.ml import control as ml
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import shape_of
from xmlc.passes.building import building
from xmlc.passes.copies import copy
from xmlc.passes.decompose.operands import zeros
from xmlc.passes.differentiate.pull_back import (
    Cotangents,
    captured,
    expand,
    is_differentiable,
    pull_back,
)

Reached = Iterable[tuple[SSAValue, SSAValue | None]]
Given = Sequence[SSAValue | None]


def copied(source: Block, into: Block, mapping: dict[SSAValue, SSAValue]) -> list[SSAValue]:
    """Append the ops of a region to a block, what has no gradient expanded; returns what the region yields."""
    for op in source.ops:
        into.add_op(copy(op, mapping))
    expand(into)
    end = into.last_op
    assert isinstance(end, ml.YieldOp)
    yielded = list(end.arguments)
    Rewriter.erase_op(end)
    return yielded


def wanted_of(op: Operation, active: set[SSAValue]) -> list[SSAValue]:
    """The values from outside whose cotangents are asked for."""
    return [value for value in captured(op) if value in active]


def if_(op: ml.IfOp, given: Given, active: set[SSAValue], at: InsertPoint) -> Reached:
    """The gradient of the branch that was taken"""
    wanted = wanted_of(op, active)

    def branch(region: Region) -> Region:
        block = Block()
        yielded = copied(region.block, block, {})
        end, ops = InsertPoint.at_end(block), list(block.ops)
        with building(end, op.location):
            cotangents = Cotangents(zip(yielded, given))
            pull_back(ops, cotangents, wanted, end)
            ml.YieldOp(*map(cotangents.or_zero, wanted))
        return Region(block)

    return zip(wanted, ml.IfOp(op.condition, branch(op.then), branch(op.otherwise)).results) if wanted else ()


def while_(op: ml.WhileOp, given: Given, active: set[SSAValue], at: InsertPoint) -> Reached:
    raise CompileError(
        "cannot differentiate ml.while: it keeps no record of its steps, whose number is not known",
        place=place_of(op.location),
        hint="bound its steps: xmlc.while_loop(condition, body, start, most=N), or use a scan",
    )


def scan(op: ml.ScanOp, given: Given, active: set[SSAValue], at: InsertPoint) -> Reached:
    """A scan in the other direction that computes each step again, from the carried values it began with.

    It carries the cotangents of the carried values, and the sums of those of what the body takes from outside.
    """
    count = len(op.inits)
    op, starts = with_starts(op)
    wanted = wanted_of(op, active)
    flowing = [i for i in range(count) if is_differentiable(op.inits[i])]
    scanned = [i for i, each in enumerate(op.sequences) if each in active]
    coming = [(place, each) for place, each in enumerate(given[count:]) if each is not None]
    zero = Cotangents(zip(op.results, given))
    inits = [*[zero.or_zero(op.results[i]) for i in flowing], *[zeros(shape_of(v), v) for v in wanted]]
    sequences = [*starts, *op.sequences, *[each for _, each in coming]]
    body = Block(arg_types=[*[v.type for v in inits], *ml.slice_types([v.type for v in sequences])])
    arguments = list(body.args)
    sums, slices = arguments[len(flowing) : len(inits)], arguments[len(inits) :]
    yielded = copied(op.body.block, body, dict(zip(op.body.block.args, slices)))
    end, ops = InsertPoint.at_end(body), list(body.ops)
    with building(end, op.location):
        cotangents = Cotangents((yielded[i], arguments[k]) for k, i in enumerate(flowing))
        for (place, _), slice in zip(coming, slices[count + len(op.sequences) :]):
            cotangents.add(yielded[count + place], slice)
        carried, parts = slices[:count], slices[count : count + len(op.sequences)]
        pull_back(ops, cotangents, [*carried, *parts, *wanted], end)
        ml.YieldOp(
            *[cotangents.or_zero(carried[i]) for i in flowing],
            *[total if (c := cotangents.get(v)) is None else F.add(total, c) for total, v in zip(sums, wanted)],
            *[cotangents.or_zero(parts[i]) for i in scanned],
        )
    steps = None if sequences else op.steps()
    made = ml.ScanOp(inits, sequences, Region(body), length=steps, reverse=op.reverse is None).results
    reached = [op.inits[i] for i in flowing], wanted, [op.sequences[i] for i in scanned]
    return zip([value for values in reached for value in values], made)


def with_starts(op: ml.ScanOp) -> tuple[ml.ScanOp, list[SSAValue]]:
    """The scan replaced by one that also gives the carried values each step began with, stacked; and those."""
    body = op.detach_region(op.body)
    block = body.block
    end = block.last_op
    assert isinstance(end, ml.YieldOp)
    count = len(op.inits)
    extended = [*end.arguments, *block.args[:count]]
    Rewriter.erase_op(end)
    with building(InsertPoint.at_end(block), op.location):
        ml.YieldOp(*extended)
    length = None if op.length is None else op.length.value.data
    with building(InsertPoint.before(op), op.location):
        made = ml.ScanOp(list(op.inits), list(op.sequences), body, length=length, reverse=op.reverse is not None)
    old = len(op.results)
    Rewriter.replace_op(op, (), made.results[:old])
    return made, list(made.results[old:])


REGIONS: dict[type[Operation], Callable[..., Reached]] = {ml.IfOp: if_, ml.WhileOp: while_, ml.ScanOp: scan}
