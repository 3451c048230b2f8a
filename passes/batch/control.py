"""Batches of control flow: where elements of a batch part ways, all ways are gone and each takes what it would have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.ir import Operation, SSAValue

from xmlc.dialects.ml import control as ml
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import rank_of, shape_of
from xmlc.passes.batch.batching import Batched, Batching, moved


def chosen(test: SSAValue, yes: SSAValue, no: SSAValue) -> SSAValue:
    """By element of the batch, for which there is one truth value each."""
    return F.select(F.reshape(test, (*shape_of(test), *[1] * (rank_of(yes) - 1))), yes, no)


def if_(batching: Batching, op: ml.IfOp) -> Sequence[SSAValue]:
    """One branch where the condition is the same for all; else both, and each element of the batch takes its own"""
    test, is_batched = batching.of(op.condition)
    if not is_batched:
        return ml.IfOp(test, batching.region(op.then, ()), batching.region(op.otherwise, ())).results
    both = batching.inlined(op.then, ()), batching.inlined(op.otherwise, ())
    return [chosen(test, yes, no) for yes, no in zip(*both)]


def while_(batching: Batching, op: ml.WhileOp) -> Sequence[SSAValue]:
    """As long as the condition holds for any element of the batch, those go on for which it does"""

    def tests(carried: list[SSAValue]) -> SSAValue:
        (test,) = batching.inlined(op.condition, [Batched(value, True) for value in carried])
        return test

    def step(carried: list[SSAValue]) -> list[SSAValue]:
        going_on = tests(carried)
        made = batching.inlined(op.body, [Batched(value, True) for value in carried])
        return [chosen(going_on, new, old) for new, old in zip(made, carried)]

    return F.while_(lambda carried: F.reduce_any(tests(carried)), step, batching.fulls(op.inits))


def scan(batching: Batching, op: ml.ScanOp) -> Sequence[SSAValue]:
    """A scan whose steps compute for the whole batch; what it carries is batched throughout"""
    inits = batching.fulls(op.inits)
    found = [batching.of(value) for value in op.sequences]
    sequences = [moved(value, 0, 1) if is_batched else value for value, is_batched in found]
    flags = [*[True] * len(inits), *[is_batched for _, is_batched in found]]

    def step(carried: list[SSAValue], slices: list[SSAValue]) -> tuple[list[SSAValue], list[SSAValue]]:
        yielded = batching.inlined(op.body, [Batched(*each) for each in zip((*carried, *slices), flags)])
        return yielded[: len(inits)], yielded[len(inits) :]

    length = None if op.length is None else op.length.value.data
    last, stacked = F.scan(step, inits, sequences, length=length, reverse=op.reverse is not None)
    return [*last, *[moved(value, 1, 0) for value in stacked]]


ROWS: dict[type[Operation], Callable[[Batching, Any], Sequence[SSAValue] | None]] = {
    ml.IfOp: if_,
    ml.WhileOp: while_,
    ml.ScanOp: scan,
}
