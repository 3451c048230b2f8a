"""What `scf` means in a kernel: lanes that take a branch, or go round a loop again, go on without the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute, Operation, Region

from xmlc.dialects.reference.arith import select as select_one
from xmlc.dialects.reference.arith import where as choose
from xmlc.dialects.reference.interpreter import Array, InterpreterError, dtype_of
from xmlc.dialects.reference.lanes.frame import ThreadError, ThreadFrame, lane_shape, pick, rank, spread, varies

ROUNDS = 1_000_000
"""After so many rounds of a `while` its threads are taken to wait for what cannot come."""


def scatter(op: Operation, type: Attribute, count: int, old: Any, parts: Sequence[tuple[Array, Any]]) -> Any:
    """A value for each of `count` lanes: those of the parts where their masks hold, else the old one."""
    if isinstance(type, MemRefType):
        raise InterpreterError(op, "a memref cannot differ between the threads that took one branch and another")
    result = np.zeros((count, *lane_shape(type)), dtype_of(type)) if old is None else np.array(spread(old, type, count))
    for mask, value in parts:
        result[mask] = value
    return result


def if_(frame: ThreadFrame, op: scf.IfOp) -> None:
    condition = frame[op.cond]
    if np.ndim(condition) == 0 or condition.all() or not condition.any():
        taken = op.true_region if np.all(condition) else op.false_region
        frame.set(op, *(frame.run(taken) if taken.blocks else ()))
        return
    parts: list[list[tuple[Array, Any]]] = [[] for _ in op.output]
    for region, mask in ((op.true_region, condition), (op.false_region, ~condition)):
        if region.blocks:
            for part, value in zip(parts, frame.picked(mask).run(region)):
                part.append((mask, value))
    count = frame.threads.count
    frame.set(op, *(scatter(op, result.type, count, None, part) for result, part in zip(op.output, parts)))


def for_(frame: ThreadFrame, op: scf.ForOp) -> None:
    low, high, step = (frame[bound] for bound in (op.lb, op.ub, op.step))
    if np.any(np.asarray(step) <= 0):
        raise InterpreterError(op, f"the step is {np.min(step)}, expected a positive one")
    carried: Sequence[Any] = frame.get(op.iter_args)
    body = op.body.block
    if not any(map(np.ndim, (low, high, step))):
        for index in range(int(low), int(high), int(step)):
            carried = frame.run(body, low.dtype.type(index), *carried)
        frame.set(op, *carried)
        return
    types = [each.type for each in op.iter_args]
    count = frame.threads.count
    index = np.array(np.broadcast_to(low, count))
    running = index < high
    inner, inner_mask = frame, np.ones(count, np.bool_)
    while running.any():
        if running.all():
            carried = frame.run(body, index, *carried)
        else:
            if inner is frame or not np.array_equal(inner_mask, running):
                inner, inner_mask = frame.picked(running), running
            given = [pick(value, type, running) for value, type in zip(carried, types)]
            results = inner.run(body, index[running], *given)
            carried = [
                scatter(op, type, count, old, [(running, new)]) for type, old, new in zip(types, carried, results)
            ]
        index = index + step
        running = running & (index < high)
    frame.set(op, *carried)


def while_(frame: ThreadFrame, op: scf.WhileOp) -> None:
    """A lane that leaves keeps what the condition passed on; the others go on without it."""
    count = frame.threads.count
    types = [result.type for result in op.results]
    results: list[Any] = [None] * len(types)
    lanes = np.arange(count)
    inner: ThreadFrame = frame
    carried: Sequence[Any] = frame.get(op.arguments)
    for _ in range(ROUNDS):
        condition, *passed = inner.run(op.before_region, *carried)
        if np.ndim(condition) == 0 and not condition and len(lanes) == count:
            frame.set(op, *passed)  # all leave together: what is one value stays one
            return
        stay = np.broadcast_to(condition, len(lanes))
        leaving = lanes[~stay]
        if leaving.size:
            for i, (type, value) in enumerate(zip(types, passed)):
                new = spread(value, type, len(lanes))[~stay]
                results[i] = scatter(op, type, count, results[i], [(leaving, new)])
            lanes = lanes[stay]
            if not lanes.size:
                frame.set(op, *results)
                return
            passed = [pick(value, type, stay) for type, value in zip(types, passed)]
            mask = np.zeros(count, np.bool_)
            mask[lanes] = True
            inner = frame.picked(mask)
        carried = inner.run(op.after_region, *passed)
    name = inner.threads.name(0)
    raise ThreadError(op, f"{name} went round {ROUNDS} times: it may wait for what another thread does later")


def index_switch(frame: ThreadFrame, op: scf.IndexSwitchOp) -> None:
    cases: dict[int, Region] = dict(zip(op.cases.get_values(), op.case_regions))
    frame.set(op, *frame.run(cases.get(int(frame.same(op, op.arg)), op.default_region)))


def select(frame: ThreadFrame, op: arith.SelectOp) -> None:
    """As on one thread; a condition for each lane chooses whole vectors."""
    condition, a, b = frame.get((op.cond, op.lhs, op.rhs))
    axes = rank(op.lhs.type)
    if isinstance(op.lhs.type, MemRefType):
        frame.set(op, a if frame.same(op, op.cond) else b)
    elif axes and rank(op.cond.type) == 0 and varies(condition, op.cond.type):
        frame.set(op, choose(condition.reshape(-1, *(1,) * axes), a, b))
    else:
        frame.set(op, select_one(op, np.asarray(condition), a, b))


EVALUATE = {
    scf.IfOp: if_,
    scf.ForOp: for_,
    scf.WhileOp: while_,
    scf.IndexSwitchOp: index_switch,
    arith.SelectOp: select,
}
