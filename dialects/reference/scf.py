"""What `scf` means. Inside a linalg body, `scf.if` evaluates each branch at the lanes that take it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from xdsl.dialects import scf
from xdsl.ir import Region, SSAValue

from xmlc.dialects.reference.interpreter import (
    SHAPED,
    Array,
    Frame,
    InterpreterError,
    Lanes,
    LanesDifferError,
    dtype_of,
)


def one(value: Any) -> Any:
    """The scalar that a value is; lanes must agree on it."""
    if value.ndim == 0:
        return value
    if value.size and np.all(value == value.flat[0]):
        return value.flat[0]
    raise LanesDifferError


class Selected(dict[SSAValue, Any]):
    """The values that some lanes of a frame see: the frame's, picked by a mask when first asked for."""

    def __init__(self, frame: Frame, mask: Array):
        super().__init__()
        self.frame = frame
        self.mask = mask

    def __missing__(self, value: SSAValue) -> Any:
        found = self.frame.values[value]
        if not isinstance(value.type, SHAPED):
            found = self.pick(found)
        self[value] = found
        return found

    def pick(self, lanes: Any) -> Any:
        return np.broadcast_to(lanes, self.mask.shape)[self.mask] if np.ndim(lanes) else lanes


def if_(frame: Frame, op: scf.IfOp) -> None:
    condition = frame[op.cond]
    if condition.ndim and frame.lanes is not None and not any(isinstance(r.type, SHAPED) for r in op.output):
        frame.set(op, *_if_of_lanes(frame, op, condition, frame.lanes))
    elif one(condition):
        frame.set(op, *frame.run(op.true_region))
    elif op.false_region.blocks:
        frame.set(op, *frame.run(op.false_region))


def _if_of_lanes(frame: Frame, op: scf.IfOp, condition: Any, lanes: Lanes) -> Sequence[Any]:
    condition = np.broadcast_to(condition, lanes.shape)
    results = [np.zeros(lanes.shape, dtype_of(result.type)) for result in op.output]
    for region, mask in ((op.true_region, condition), (op.false_region, ~condition)):
        if not mask.any() or not region.blocks:
            continue
        picked = Selected(frame, mask)
        coordinates = [picked.pick(each) for each in lanes.coordinates]
        branch = Frame(frame.program, picked, Lanes((int(mask.sum()),), coordinates))
        for result, value in zip(results, branch.run(region)):
            result[mask] = value
    return results


def for_(frame: Frame, op: scf.ForOp) -> None:
    low, high, step = (one(frame[bound]) for bound in (op.lb, op.ub, op.step))
    if step <= 0:
        raise InterpreterError(op, f"the step is {step}, expected a positive one")
    number = low.dtype.type
    carried: Sequence[Any] = frame.get(op.iter_args)
    body = op.body.block
    for index in range(int(low), int(high), int(step)):
        carried = frame.run(body, number(index), *carried)
    frame.set(op, *carried)


def while_(frame: Frame, op: scf.WhileOp) -> None:
    carried: Sequence[Any] = frame.get(op.arguments)
    while True:
        condition, *passed = frame.run(op.before_region, *carried)
        if not one(condition):
            break
        carried = frame.run(op.after_region, *passed)
    frame.set(op, *passed)


def parallel(frame: Frame, op: scf.ParallelOp) -> None:
    """Points in lexicographic order; each reduction combines (so far, the point's value)."""
    bounds = zip(*(frame.get(each) for each in (op.lowerBound, op.upperBound, op.step)))
    body = op.body.block
    reduce = body.last_op
    carried = frame.get(op.initVals)
    for point in product(*(range(int(one(a)), int(one(b)), int(one(step))) for a, b, step in bounds)):
        contributions = frame.run(body, *map(np.int64, point))
        if isinstance(reduce, scf.ReduceOp):
            for index, (region, value) in enumerate(zip(reduce.reductions, contributions)):
                (carried[index],) = frame.run(region, carried[index], value)
    frame.set(op, *carried)


def index_switch(frame: Frame, op: scf.IndexSwitchOp) -> None:
    chosen = int(one(frame[op.arg]))
    cases: dict[int, Region] = dict(zip(op.cases.get_values(), op.case_regions))
    frame.set(op, *frame.run(cases.get(chosen, op.default_region)))


def execute_region(frame: Frame, op: scf.ExecuteRegionOp) -> None:
    frame.set(op, *frame.run(op.region))


EVALUATE = {
    scf.IfOp: if_,
    scf.ForOp: for_,
    scf.WhileOp: while_,
    scf.ParallelOp: parallel,
    scf.IndexSwitchOp: index_switch,
    scf.ExecuteRegionOp: execute_region,
}
