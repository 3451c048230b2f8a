"""Bufferizing loops and branches: what they carry stays in one buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects import scf
from xdsl.dialects.builtin import (
    TensorType,
)
from xdsl.ir import Block, BlockArgument

from xmlc.passes.bufferize.bufferizer import Bufferizer, Rules
from xmlc.passes.bufferize.places import Buffer, Place, Wish


def _for(b: Bufferizer, op: scf.ForOp) -> None:
    """Each carried tensor has one buffer, which holds it before, during and after the loop."""
    block = op.body.block
    if not any(isinstance(init.type, TensorType) for init in op.iter_args):
        b.block(block)
        return
    places: list[Place | None] = []
    position = b.liveness.start[op]
    for init, result in zip(op.iter_args, op.res, strict=True):
        if not isinstance(init.type, TensorType):
            places.append(None)
            continue
        taken = [place.buffer for place in places if place is not None]
        places.append(b.carried(init, result, op, taken, position))
    pairs = list(zip(op.iter_args, places, strict=True))
    b.move_all([(init, place) for init, place in pairs if place is not None], op)
    for arg, place in zip(block.args[1:], places, strict=True):
        if place is not None:
            b.settle(arg, place)
    _yielding(b, block, places)
    kept = [init for init, place in pairs if place is None]
    region = op.body
    op.detach_region(region)
    new = scf.ForOp.create(
        operands=(op.lb, op.ub, op.step, *kept),
        result_types=[value.type for value in kept],
        attributes=op.attributes,
        regions=(region,),
        location=op.location,
    )
    b.replace(op, new)
    for result, place in zip(op.res, places, strict=True):
        if place is not None:
            b.settle(result, place)
    _retire_args(b, block)


def _if(b: Bufferizer, op: scf.IfOp) -> None:
    """Both branches leave each result in the same place: that of a tensor yielded by one, if it is done with."""
    branches = [region.block for region in op.regions if region.blocks]
    if not any(isinstance(result.type, TensorType) for result in op.output):
        for block in branches:
            b.block(block)
        return
    places: list[Place | None] = []
    end = b.liveness.end[op]
    for number, result in enumerate(op.output):
        if not isinstance(result.type, TensorType):
            places.append(None)
            continue
        taken = [place.buffer for place in places if place is not None]
        yielded = [cast(scf.YieldOp, block.last_op).arguments[number] for block in branches]
        outer = next((value for value in yielded if value in b.places), yielded[0])
        places.append(b.carried(outer, result, op, taken, end))
    for block in branches:
        _yielding(b, block, places)
    kept = [result.type for result in op.output if not isinstance(result.type, TensorType)]
    regions = [op.detach_region(region) for region in list(op.regions)]
    new = scf.IfOp.create(
        operands=(op.cond,), result_types=kept, attributes=op.attributes, regions=regions, location=op.location
    )
    b.replace(op, new)
    for result, place in zip(op.output, places, strict=True):
        if place is not None:
            b.settle(result, place)


def _while(b: Bufferizer, op: scf.WhileOp) -> None:
    """One buffer for each carried tensor and one for each tensor handed to the body, the same where nothing changes."""
    before, after = op.before_region.block, op.after_region.block
    position = b.liveness.start[op]
    condition = cast(scf.ConditionOp, before.last_op)
    carried: list[Place | None] = []
    for init, arg in zip(op.arguments, before.args, strict=True):
        if not isinstance(init.type, TensorType):
            carried.append(None)
            continue
        taken = [place.buffer for place in carried if place is not None]
        unchanged = [result for result, value in zip(op.res, condition.args) if value is arg]
        carried.append(b.carried(init, unchanged[0] if unchanged else arg, op, taken, position))
    inits = list(zip(op.arguments, carried, strict=True))
    b.move_all([(init, place) for init, place in inits if place is not None], op)
    for arg, place in zip(before.args, carried, strict=True):
        if place is not None:
            b.settle(arg, place)

    handed: list[Place | None] = []
    taken = [place.buffer for place in carried if place is not None]
    claimed: list[Buffer] = []
    for value, result in zip(condition.args, op.res, strict=True):
        if not isinstance(value.type, TensorType):
            handed.append(None)
            continue
        same = b.places.get(value) if isinstance(value, BlockArgument) and value.owner is before else None
        if same is None or same.buffer in claimed:
            same = b.granted(result, op, [*taken, *claimed], None) or b.new_place(result, op)
        claimed.append(same.buffer)
        handed.append(same)
    _yielding(b, before, handed)
    for arg, place in zip(after.args, handed, strict=True):
        if place is not None:
            b.settle(arg, place)
    _yielding(b, after, carried)
    kept = [init for init, place in inits if place is None]
    regions = [op.detach_region(region) for region in list(op.regions)]
    new = scf.WhileOp.create(
        operands=kept,
        result_types=[result.type for result in op.res if not isinstance(result.type, TensorType)],
        attributes=op.attributes,
        regions=regions,
        location=op.location,
    )
    b.replace(op, new)
    for result, place in zip(op.res, handed, strict=True):
        if place is not None:
            b.settle(result, place)
    _retire_args(b, before, after)


def _yielding(b: Bufferizer, block: Block, places: Sequence[Place | None]) -> None:
    """Rewrite a block whose terminator hands tensors on, each into its place."""
    last = block.last_op
    assert isinstance(last, scf.YieldOp | scf.ConditionOp)
    handed = list(last.arguments if isinstance(last, scf.YieldOp) else last.args)
    moves = [(value, place) for value, place in zip(handed, places, strict=True) if place is not None]
    for value, place in moves:
        b.wish(value, Wish(place))
    b.block(block)
    b.move_all(moves, last)
    last.operands = [value for value in last.operands if not isinstance(value.type, TensorType)]


def _retire_args(b: Bufferizer, *blocks: Block) -> None:
    """Mark the tensor arguments of blocks to be erased at the end, last first."""
    b.dead_args += [arg for block in blocks for arg in reversed(block.args) if isinstance(arg.type, TensorType)]


RULES: Rules = {
    scf.ConditionOp: lambda b, op: None,
    scf.ForOp: _for,
    scf.IfOp: _if,
    scf.WhileOp: _while,
    scf.YieldOp: lambda b, op: None,
}
