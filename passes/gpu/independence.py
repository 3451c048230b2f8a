"""Which loops of a nest are independent: what threads may share, and what they may repeat or read early."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.dialects import func, memref, scf
from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import Operation, SSAValue
from xdsl.traits import is_side_effect_free

from xmlc.dialects import gpu
from xmlc.passes.parallelize import is_outside, known, perfect_nest
from xmlc.passes.schedule import PARALLEL
from xmlc.passes.views import VIEWS, root

WRITES = (memref.StoreOp, memref.AtomicRMWOp)


def chain(loop: scf.ForOp) -> Iterator[scf.ForOp]:
    """The loop, and loops directly inside one another with only pure ops and private buffers beside them."""
    return perfect_nest(loop, is_repeatable)


def is_repeatable(op: Operation) -> bool:
    """Whether each thread may do it again: it touches no memory."""
    return isinstance(op, (scf.YieldOp, memref.GetGlobalOp, *VIEWS)) or (
        not op.regions and not isinstance(op, memref.AllocOp | memref.AllocaOp) and is_side_effect_free(op)
    )


def parallel_loops(loop: scf.ForOp) -> list[scf.ForOp]:
    """The loops of a perfect nest, of known extent, that threads can share: outermost first.

    A loop inside one that has buffers of its own stays in the thread.
    """
    nest = list(chain(loop))
    if any(isinstance(each, memref.AllocOp) and not is_static(each) for each in loop.walk()):
        return []
    written = [op for op in loop.walk() if isinstance(op, (*WRITES, memref.CopyOp))]
    return [
        each
        for each in nest
        if all(known(bound) is not None for bound in each.operands[:3])
        and (PARALLEL in each.attributes or is_independent(each, loop, written))
    ]


def is_static(alloc: memref.AllocOp) -> bool:
    return DYNAMIC_INDEX not in alloc.memref.type.get_shape()


def is_independent(loop: scf.ForOp, nest: scf.ForOp, written: Sequence[Operation]) -> bool:
    """Whether iterations touch nothing that another one writes: each has its own part of what is written.

    The loop's index alone must be the index of one dimension in every access to a buffer that the nest writes.
    """
    index = loop.body.block.args[0]
    targets: set[SSAValue] = set()
    for op in written:
        target = op.operands[1]
        if not isinstance(op, WRITES) or isinstance(target.owner, VIEWS):
            return is_private(root(target), loop) and len(written) == 1
        if not is_private(target, loop):
            targets.add(target)
    for target in targets:
        positions: set[int] | None = None
        for access in nest.walk():
            if target not in access.operands:
                continue
            if not isinstance(access, (memref.LoadOp, *WRITES)):
                return False
            at = access.operands[1:] if isinstance(access, memref.LoadOp) else access.operands[2:]
            here = {position for position, each in enumerate(at) if each is index}
            positions = here if positions is None else positions & here
        if not positions:
            return False
    return True


def is_private(buffer: SSAValue, loop: scf.ForOp) -> bool:
    """Whether each iteration makes the buffer anew."""
    return not is_outside(buffer, loop)


def is_readable_at(load: memref.LoadOp, place: Operation) -> bool:
    """Whether a load of the same block, done at `place` instead, reads the same: nothing in between writes there."""
    if load.parent is not place.parent:
        return False
    buffer = root(load.memref)
    if writes_to(place, buffer):
        return False
    op = load.next_op
    while op is not None and op is not place:
        if writes_to(op, buffer):
            return False
        op = op.next_op
    return op is place


def writes_to(op: Operation, buffer: SSAValue) -> bool:
    """Whether an op may write to a buffer."""
    for each in op.walk():
        if isinstance(each, (*WRITES, memref.CopyOp)):
            if root(each.operands[1]) is buffer:
                return True
        elif isinstance(each, func.CallOp | gpu.LaunchFuncOp):
            if any(root(operand) is buffer for operand in each.operands):
                return True
        elif not isinstance(each, memref.LoadOp) and not is_repeatable(each) and not each.regions:
            return any(root(operand) is buffer for operand in each.operands)
    return False
